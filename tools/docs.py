# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the documentation that is generated: variables, tags, alerts, dashboards, and what differs from prometheus.prometheus.

usage: tools/docs.py [--check], or `make docs`

Whole files below docs/, the README of each role, and what stands between `<!-- generated: differences -->` and its end in
docs/migration.md.
With --check nothing is written; the status is 1 when something is out of date.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import json
import pathlib
import re
import sys

import role_readme
import tags
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "collections"), str(ROOT / "tools")]

from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._differences import CHANGES, DIFFERENCES, ENTRY_POINTS
from ansible_collections.vigil.monitoring.plugins.plugin_utils._rules import (
    link_of,
    load_packs,
    per_instance,
    tiers_of,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import RELOAD

import roles

ROLES = [*_rooms.in_order(), "backup", "silenced_deployment"]
HOME = "https://github.com/vigil-monitoring/vigil.monitoring"
NOTE = "<!-- Written by tools/docs.py from {0}; do not edit. -->\n"
# Variables that belong to no role: name -> (where it is set, meaning). Those that only stand in for a default of each
# role are found in the roles themselves.
SHARED = {
    "monitoring_address": (
        "a host",
        "Address under which other hosts reach this host; the default is `ansible_host`, else its name in the inventory.",
    ),
    "monitoring_labels": (
        "a host",
        "Labels of all of its targets, besides `host`, its name in the inventory. `null` takes a label away:"
        " `monitoring_labels: {host: null}`.",
    ),
    "monitoring_scrape": (
        "a host",
        "Overrides of `prometheus_scrape_groups` for this host: group to `address`, `port`, `path`, `scheme`,"
        " `labels`, or `false`.",
    ),
    "monitoring_probes": (
        "everywhere, a group or a host",
        "What the blackbox exporters of the inventory probe: a list of `module`, `targets`, and optionally `name`, `labels`"
        " and `group`; see [probes](../howto/probes.md).",
    ),
    "monitoring_verify_ignore": (
        "everywhere",
        "Targets that may be down during verification: a list of `job` and `instance`, as regular expressions.",
    ),
    "monitoring_orphans": (
        "everywhere",
        "What it means that a host has a service that was deployed there and that the inventory no longer asks for: `warn`, it is not"
        " fully verified; `fail`, the run fails; `ignore`. Default: `warn`. See [howto/remove.md](../howto/remove.md).",
    ),
    "monitoring_verify_timeout": (
        "everywhere",
        "Seconds to wait for targets, rules and connections to come up. Default: `60`.",
    ),
    "monitoring_verify_from": (
        "everywhere",
        "What it means that a service answers on its own host and not the controller: `auto`, Prometheus, Alertmanager, promxy and Grafana"
        " are not fully verified; `controller`, each service has failed; `host`, each is good, for a controller that has only SSH to its"
        " hosts. Default: `auto`.",
    ),
    "monitoring_environment": (
        "everywhere",
        "Value of the label `environment` in the default of `prometheus_external_labels`. Default: empty, which omits the label.",
    ),
    "monitoring_report_range": (
        "everywhere",
        "The time range that `report.yml` covers, until now. Default: `24h`; the weekly report is `7d`.",
    ),
    "monitoring_report_dir": (
        "everywhere",
        "Directory on the controller for the report's files. Default: `reports` where `ansible-playbook` is started.",
    ),
    "monitoring_report_formats": (
        "everywhere",
        "Formats of the report: `text` is printed, `markdown` and `html` are files. Default: all three.",
    ),
    "monitoring_report_mail": (
        "everywhere",
        "The e-mail in which `report.yml` sends its report: `to`, `from`, `smarthost`, and optionally `auth_username`,"
        " `auth_password`, `require_tls`, `ca_path`; see [the report](../howto/report.md). Default: none is sent.",
    ),
    "monitoring_report_slack": (
        "everywhere",
        "Where in Slack the report goes: `api_url` of an incoming webhook, and optionally `channel`. Default: nowhere.",
    ),
    "monitoring_report_send": (
        "everywhere",
        "`always`, or `findings`: a report without a problem or a warning is written, and not sent. Default: `always`.",
    ),
    "monitoring_report_thresholds": (
        "everywhere",
        "Thresholds that the report compares with the history: a list of `alert`, `severity`, `expr` without its comparison,"
        " `op`, `threshold`, `for`. Default: those in the rules of Prometheus.",
    ),
    "monitoring_report_threshold_range": (
        "everywhere",
        "The time range in which the report counts how often each alert would have fired. Default: `7d`.",
    ),
    "monitoring_report_percentile_range": (
        "everywhere",
        "The time range whose 99th percentile the report suggests as a threshold. Default: `30d`.",
    ),
    "docker_engine": (
        "everywhere",
        "Whether a host that runs containers has its Docker engine already (`present`), or installs it from the packages of its"
        " distribution (`install`). Default: `present`.",
    ),
    "monitoring_docker_host": (
        "everywhere",
        "Address of the Docker engine on the host itself. Default: `unix:///var/run/docker.sock`.",
    ),
    "monitoring_tls": (
        "everywhere",
        "Whether all services are served by TLS and require a client certificate or a password: see"
        " [howto/tls.md](../howto/tls.md). Default: `false`; for a single role: `*_tls`.",
    ),
    "monitoring_password": (
        "everywhere",
        "Password of `monitoring_username` for Prometheus, Alertmanager and promxy, and of Grafana's administrator; required with"
        " `monitoring_tls`. Keep it in a vault.",
    ),
    "monitoring_username": (
        "everywhere",
        "User name for Prometheus, Alertmanager and promxy, where `monitoring_tls` closes them. Default: `admin`.",
    ),
    "monitoring_users": (
        "everywhere",
        "Further users of Prometheus, Alertmanager and promxy: user names to bcrypt hashes of their passwords. Default: `{}`.",
    ),
    "monitoring_tls_source": (
        "everywhere",
        "Where certificates come from: `ca`, a certificate authority of the inventory's own; `host`, files that something else"
        " puts on the hosts; `controller`, files of the controller. Default: `ca`.",
    ),
    "monitoring_tls_dir": (
        "everywhere",
        "Directory on the controller with the certificate authority, which is made there when it is first needed. Its keys are"
        " encrypted; commit it with the inventory. Default: `.tls` in the directory of the inventory.",
    ),
    "monitoring_tls_passphrase": (
        "everywhere",
        "Passphrase that encrypts the keys in `monitoring_tls_dir`, as `ansible-vault` does. Default: `monitoring_password`.",
    ),
    "monitoring_tls_days": (
        "everywhere",
        "Days for which a certificate of the authority is valid; any run renews it when a third of them is left. Default: `90`.",
    ),
    "monitoring_tls_renew": (
        "everywhere",
        "Whether `site.yml` has new certificates and keys issued for all hosts of the run: `-e monitoring_tls_renew=true`."
        " Default: `false`.",
    ),
    "monitoring_tls_names": (
        "everywhere",
        "Further DNS names and addresses of a host for its certificate, beside its name in the inventory, `ansible_host`,"
        " `monitoring_address`, the external URL of the service and the loopback. Default: `[]`.",
    ),
    "monitoring_tls_ca_file": (
        "everywhere",
        "For the sources `host` and `controller`: file with the certificates of the authorities to trust, on the host or the"
        " controller.",
    ),
    "monitoring_tls_cert_file": (
        "everywhere",
        "For these sources: file with the certificate of the host, and its chain.",
    ),
    "monitoring_tls_key_file": (
        "everywhere",
        "For these sources: file with its private key.",
    ),
    "monitoring_tls_client_cert_file": (
        "everywhere",
        "For these sources: file with the certificate with which Prometheus scrapes exporters and the verification checks them.",
    ),
    "monitoring_tls_client_key_file": (
        "everywhere",
        "For these sources: file with its private key.",
    ),
    "monitoring_own_variables": (
        "everywhere",
        "Names, or shell patterns of names, of variables of your own that begin with a role's name. Any other that is not an input"
        " of the role is refused if it is a letter or two away from one (a typo), else reported in a warning.",
    ),
    "monitoring_strict_variables": (
        "everywhere",
        "Whether every variable that begins with a role's name, is not an input of it, and is not in"
        " `monitoring_own_variables` is refused. Default: `false`.",
    ),
    "monitoring_gather_facts": (
        "everywhere",
        "Whether `site.yml`, `verify.yml`, `report.yml`, `adopt.yml`, `backup.yml`, `restore.yml` and `restore_test.yml` gather facts"
        " first, for an inventory whose variables name them, such as"
        " `ansible_default_ipv4`, `ansible_fqdn` or `ansible_facts['hostname']`. Default: `false`.",
    ),
}


def markdown(text):
    """Ansible's markup as Markdown."""
    text = re.sub(r"\b[CVOMBI]\(([^()]*(?:\([^()]*\)[^()]*)*)\)", r"`\1`", text)
    text = re.sub(r"\bP\(([^()#]*)#\w+\)", r"`\1`", text)
    text = re.sub(r"\bL\(([^,()]*),\s*([^()]*)\)", r"[\1](\2)", text)
    return re.sub(r"\bU\(([^()]*)\)", r"<\1>", text)


def cell(text):
    """Text for a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def default_of(value, role):
    """A default for a cell: the value where it is short, else where to find it."""
    if value in ("", None):
        return ""
    text = value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True, width=1000).strip()
    text = text.replace("\n...", "")
    if len(text) > 70:
        return "see [defaults](../../roles/{0}/defaults/main.yml)".format(role)
    return "`{0}`".format(cell(text))


def specs_of(role):
    """The argument specs of a role's entry point."""
    with open(ROOT / "roles" / role / "meta" / "argument_specs.yml", encoding="utf-8") as stream:
        return yaml.safe_load(stream)["argument_specs"]["main"]


def defaults_of(role):
    """The defaults of a role's inputs, templates among them, which the specs leave out."""
    path = ROOT / "roles" / role / "defaults" / "main.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}


def groups_of(role):
    """The inputs in the order of defaults/main.yml, under its comments: list of ``(title, names)``."""
    if not defaults_of(role):
        return [("Inputs", list(specs_of(role)["options"]))]
    groups = []
    for line in (ROOT / "roles" / role / "defaults" / "main.yml").read_text(encoding="utf-8").splitlines()[3:]:
        if line.startswith("# "):
            groups.append((line[2:], []))
        elif re.match(r"[a-z_]+:", line):
            groups[-1][1].append(line.partition(":")[0])
    return groups


def role_page(role):
    """The page of a role."""
    specs, defaults = specs_of(role), defaults_of(role)
    lines = [NOTE.format("roles/{0}/meta/argument_specs.yml".format(role)), "# Role `{0}`\n".format(role)]
    lines += [markdown(text) + "\n" for text in specs["description"]]
    for title, names in groups_of(role):
        lines.append("## {0}\n".format(re.sub(r"(https?://\S+)", r"<\1>", title)))
        lines.append("| Variable | Type | Default | Meaning |\n|---|---|---|---|")
        for name in names:
            option = specs["options"][name]
            kind = option["type"] + (" of {0}".format(option["elements"]) if option.get("elements") else "")
            if option.get("choices"):
                kind = ", ".join("`{0}`".format(choice) for choice in option["choices"])
            meaning = cell(markdown(" ".join(option["description"])))
            lines.append(
                "| `{0}` | {1} | {2} | {3} |".format(name, kind, default_of(defaults.get(name), role), meaning)
            )
        lines.append("")
    return "\n".join(lines)


def for_any_role(name):
    """A variable's name without saying of which role: ``*_version``."""
    return re.sub("^({0})_".format("|".join(ROLES)), "*_", name)


def shared_table():
    """The variables that are set once for all roles."""
    found = {}
    for role in ROLES:
        defaults = defaults_of(role)
        for name, option in specs_of(role)["options"].items():
            match = re.fullmatch(r"\{\{ (monitoring_\w+) \| default\(([^|]*)\) \}\}", str(defaults.get(name)))
            if match and match.group(1) not in SHARED:
                meaning = re.sub(r"\b{0}_".format(role), "*_", " ".join(option["description"]))
                meaning = meaning.replace(_rooms.load(role).title, "the service")
                words = (match.group(2), for_any_role(name), meaning)
                found.setdefault(match.group(1), words)
    lines = ["| Variable | Set for | Meaning |", "|---|---|---|"]
    for name, (default, of_role, description) in sorted(found.items()):
        meaning = "{0} Default: `{1}`; for a single role: `{2}`.".format(markdown(description), default, of_role)
        lines.append("| `{0}` | everywhere | {1} |".format(name, cell(meaning)))
    for name, (where, meaning) in SHARED.items():
        lines.append("| `{0}` | {1} | {2} |".format(name, where, cell(meaning)))
    return "\n".join(lines) + "\n"


def differences_tables():
    """Variables of the peers that are not supported, or that mean something else."""
    lines = ["| Not supported | Why | Instead | If it is set |", "|---|---|---|---|"]
    rows = {}
    for name, difference in DIFFERENCES.items():
        key = (difference.reason, for_any_role(difference.instead or ""), difference.harmless)
        rows.setdefault(key, []).append((name, difference.instead))
    for (reason, instead, harmless), found in rows.items():
        names = list(dict.fromkeys(for_any_role(name) for name, dummy in found))
        if len({role for role in ROLES for name, dummy in found if name.startswith(role + "_")}) == 1:
            names, instead = [name for name, dummy in found], found[0][1]
        listed = ", ".join("`{0}`".format(name) for name in names)
        instead = "`{0}`".format(instead) if instead else ""
        effect = "a warning" if harmless else "refused"
        lines.append("| {0} | {1} | {2} | {3} |".format(listed, cell(reason), instead, effect))
    lines += ["", "| Supported with a difference | Difference |", "|---|---|"]
    lines += ["| `{0}` | {1} |".format(name, cell(text)) for name, text in CHANGES.items()]
    lines += ["", "| Entry point | Names | Here |", "|---|---|---|"]
    for kind, entries in ENTRY_POINTS.items():
        for entry in entries:
            listed = ", ".join("`{0}`".format(name) for name in entry.names)
            there = "" if entry.kept else "Not available. "
            lines.append("| {0} | {1} | {2}{3} |".format(kind, listed, there, cell(entry.meaning)))
    return "\n".join(lines) + "\n"


ALERTS = """# Alerts

The packs of alerts that `prometheus_rule_packs` deploys. Its default, `auto`, selects those whose exporters are in the inventory, and
`backup` where it has a group of this name.
Each alert is tested with promtool: when it fires, when it does not, and what happens at its threshold (`tests/rules`).

Every number here is a default. `prometheus_thresholds` overrides it, for an environment, for a group of Prometheus servers
and, where it says "by host", in the `host_vars` of a single host:

```yaml
prometheus_thresholds:
  HighDiskUsage: {critical: 90}                # the threshold of one severity
  HighCPUUsage:
    warning: {threshold: 70, for: 30m}         # several parameters of it
  HighErrorRate: {floor: 100}                  # a parameter of all severities
  SlowEndpoint: false                          # disable the alert
  HighMemoryUsage: {warning: false}            # or one severity of it
  ContainerDown: {containers: [shop, proxy]}   # names to watch
  DatabasePoolHigh: {pools: {shop: 15}}        # database to the pool size of all workers
```

An unknown key, a number out of its range and a warning threshold beyond the critical one are refused, with their path.
`prometheus_rule_labels` and `prometheus_rule_annotations` are added to all of them; a rule in `prometheus_alert_rules` with an
alert's name replaces it.

A pack is a file in `bundled/rules`. In its expressions `<< name >>` is a parameter, and `<< instance >>` is replaced by a
matcher that separates hosts with thresholds of their own from the others.
"""


def value_of(value):
    """A parameter's value for a cell."""
    return "none" if value in ([], {}) else "{0:.10g}".format(value) if isinstance(value, (int, float)) else str(value)


def bounds_of(alert, tier):
    """The parameters of one severity, as words."""
    parameters = alert.get("parameters") or {}
    found = []
    for name, rule in parameters.items():
        if name in alert[tier]:
            found.append("{0} {1} {2}".format(name, value_of(alert[tier][name]), rule["unit"]))
    return ", ".join([*found, "for {0}".format(alert[tier]["for"])])


def alerts_page(packs):
    """The list of all alerts."""
    lines = [NOTE.format("bundled/rules"), ALERTS]
    for name, pack in packs.items():
        lines.append("## `{0}`\n".format(name))
        said = "scrapes: " + ", ".join("`{0}`".format(one) for one in pack["exporters"])
        if "selected_by" in pack:
            said = "has hosts in the group `{0}`".format(name)
        lines.append("Deployed by `auto` where the inventory {0}.\n".format(said))
        lines.append("| Alert | Severities | By host | Meaning |\n|---|---|---|---|")
        for alert, found in pack["alerts"].items():
            tiers = "<br>".join("{0}: {1}".format(tier, bounds_of(found, tier)) for tier in tiers_of(found))
            hosts = "yes" if per_instance(found) else ""
            lines.append(
                "| [{0}](runbooks/{0}.md) | {1} | {2} | {3} |".format(alert, tiers, hosts, cell(found["about"]))
            )
        lines.append("")
    return "\n".join(lines)


def runbook_page(pack, name, alert):
    """The runbook of an alert."""
    lines = [NOTE.format("bundled/rules/{0}.yml".format(pack)), "# {0}\n".format(name), alert["about"] + "\n"]
    lines.append("## What to do\n")
    lines += ["{0}. {1}".format(number, step) for number, step in enumerate(alert["steps"], 1)]
    journals = sorted(set(re.findall(r"`journalctl -u (\w+)", " ".join(alert["steps"]))) & set(ROLES))
    if journals:
        shown = " and ".join("`docker logs {0}`".format(name) for name in journals)
        lines.append("\nWhere it runs as a container, {0} on its host has the same log.".format(shown))
    lines.append("\n## When it fires\n\n| Severity | Threshold |\n|---|---|")
    lines += ["| {0} | {1} |".format(tier, bounds_of(alert, tier)) for tier in tiers_of(alert)]
    for tier in tiers_of(alert):
        expr = alert[tier].get("expr")
        if expr:
            lines.append("\n{0}:\n\n```promql\n{1}\n```".format(tier.capitalize(), expr.strip()))
    if "expr" in alert:
        lines.append("\n```promql\n{0}\n```".format(alert["expr"].strip()))
    others = {key: rule for key, rule in (alert.get("parameters") or {}).items() if "default" in rule or "min" in rule}
    if others:
        lines.append("\n## Parameters\n\n| `prometheus_thresholds.{0}...` | Unit | Range | Default |".format(name))
        lines.append("|---|---|---|---|")
        for key, rule in others.items():
            between = "{0} to {1}".format(value_of(rule["min"]), value_of(rule["max"])) if "min" in rule else ""
            default = (
                value_of(rule["default"]) if "default" in rule else "see above" if "from" not in rule else "inventory"
            )
            lines.append("| `{0}` | {1} | {2} | {3} |".format(key, rule["unit"], between, default))
    uid = link_of(load_packs()[pack]).dashboard
    shown = dashboards()[uid]
    where = "the dashboard {0} (`{1}`)".format(shown["title"], uid)
    for panel in panels_of(shown):
        if panel["id"] == alert.get("panel"):
            where = "the panel {0} of {1}".format(panel["title"], where)
    lines.append("\nIts dashboard link opens {0}. All alerts are listed in [alerts](../alerts.md).\n".format(where))
    return "\n".join(lines)


DASHBOARDS = """# Dashboards

The dashboards in Grafana's folder Monitoring. Begin with the **Fleet Overview**: a table of all hosts, those in trouble first.
A click on a host opens its page, **Host**; a click on a firing alert opens its panel, its runbook, or Grafana's page of its receivers and
silences. Each dashboard has a variable for its data source, and where it makes sense for jobs, hosts and so on, and links to the others.

Whom an alert is sent to, and who has silenced it, is known to Alertmanager alone, and no metric says it of a single alert. Grafana asks
Alertmanager itself, by a data source for each host of `grafana_alertmanager_groups`; its own panel of alert groups is not stable, and not
enabled. How many notifications a receiver got is a metric, and a panel of **Alerts**; for the names of the receivers, Alertmanager 0.27 or
newer needs `alertmanager_config_flags_extra: {enable-feature: receiver-name-in-metrics}`. Without a data source of an Alertmanager, the
links to it are left out.

Annotations in graphs can be enabled and disabled at the top: firing alerts, deployments (counters of the application were
reset), reboots. An alert is marked once, where it begins to fire, in the panels that it is about, for the hosts that are
selected. Where that cannot be, its marks are disabled at first.

Hosts have their names of the inventory (label `host`); a target without one has its address. Tables show the labels `role` and
`environment` where `monitoring_labels` of the hosts sets them.

Colours and lines are the thresholds of the [alerts](alerts.md): the role moves them with `prometheus_thresholds`, and links
runbooks at `prometheus_runbook_url`, of the first server of `grafana_prometheus_groups`. Thresholds of single hosts
move the alert only. A file that is imported by hand has the default ones. If
`prometheus_dashboard_url` is set, an alert's link opens its panel, with its labels selected. Panels that show what an alert
evaluates use the same recording rules, so they need the packs of rules (`prometheus_rule_packs`).

`python -m lab gallery 300 bad` (with `PYTHONPATH=tests`) draws all dashboards over a synthetic fleet, on a quiet or on a bad
night, at 1600, 1280 and 390 pixels, light and dark, into `build/gallery`. 90 of such pictures were looked at for
0.4.0, in Grafana 10.1, of fleets with 1, 3, 9, 33 and 300 hosts: at 1280 and at 390 pixels most, at 1600 sixteen, 38 of them dark. Every
panel was seen with data, but those that are folded; of 300 hosts, not every dashboard was looked at, nor at every width.

Names are never shortened. A table whose columns have no room scrolls sideways: on a phone it begins with what is most needed, such as
whether a host is up and its name, or a number and what it is of. A legend has room for 37 letters and a number on a phone; a longer name
pushes the number out of sight, until the legend is scrolled sideways: mostly those of groups of processes with their hosts. A bar of an
endpoint or of a group of rules is cut off at some 50 letters there, and names beside When alerts fired begin out of sight from some 20 on.
The scale below a heatmap that has nothing to show goes from infinity to infinity.

The files in `bundled/dashboards` are generated by `make docs` from `tools/dashboards`. To change one, change its
source; to have one of your own, save a copy under another uid.
"""


@functools.lru_cache(maxsize=1)
def dashboards():
    """The dashboards that the role grafana deploys, by uid."""
    files = sorted((ROOT / "bundled" / "dashboards").glob("*/*.json"))
    found = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    order = [link_of(pack).dashboard for pack in load_packs().values()]
    # No alert leads to the first ones: they are where a person begins.
    order = ["mon-fleet", "mon-alerts", *order]
    return {shown["uid"]: shown for shown in sorted(found, key=lambda shown: order.index(shown["uid"]))}


def panels_of(shown):
    """The panels of a dashboard, those in folded rows too."""
    return [one for panel in shown["panels"] for one in (panel["panels"] if panel["type"] == "row" else [panel])]


def dashboards_page():
    """What each panel shows."""
    lines = [NOTE.format("bundled/dashboards"), DASHBOARDS]
    for uid, shown in dashboards().items():
        lines.append("## {0} (`{1}`)\n\n{2}\n".format(shown["title"], uid, shown["description"]))
        chosen = [one["label"] for one in shown["templating"]["list"]]
        marked = ", ".join(one["name"] for one in shown["annotations"]["list"])
        lines.append("Variables: {0}. Annotations: {1}.\n".format(", ".join(chosen), marked or "none"))
        lines.append("| | Panel | Shows |\n|---|---|---|")
        for panel in panels_of(shown):
            lines.append("| {0} | {1} | {2} |".format(panel["id"], cell(panel["title"]), cell(panel["description"])))
        lines.append("")
    return "\n".join(lines)


def role_files():
    """Path to content of the roles of services, and of what lists them."""
    rooms = {name: _rooms.load(name) for name in _rooms.in_order()}
    reloading = [name for name, room in rooms.items() if room.on_config_change == RELOAD]
    content = {**roles.files(list(rooms), reloading), "tests/lab/services.json": roles.lab_file(rooms)}
    return {ROOT / path: text for path, text in content.items()}


def pages():
    """Path to content of everything that is generated from the roles."""
    content = {ROOT / "docs" / "roles" / (role + ".md"): role_page(role) for role in ROLES}
    content[ROOT / "docs" / "roles" / "README.md"] = (
        NOTE.format("the roles' argument specs")
        + "\n# Variables\n\n"
        + "\n".join(
            "- [{0}]({0}.md): {1}".format(role, markdown(specs_of(role)["short_description"])) for role in ROLES
        )
        + "\n\n## Set once for all roles\n\n"
        + shared_table()
    )
    for specs in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml")):
        role = specs.parents[1].name
        readme = role_readme.page(ROOT, role, specs_of(role), role_page(role), HOME)
        content[ROOT / "roles" / role / "README.md"] = readme
    behind = {room.name: room.behind for room in map(_rooms.load, _rooms.names()) if room.behind}
    content[ROOT / "docs" / "tags.md"] = tags.page(ROOT, ROLES, behind, NOTE.format("roles/*/tasks and playbooks"))
    packs = load_packs()
    content[ROOT / "docs" / "alerts.md"] = alerts_page(packs)
    content[ROOT / "docs" / "dashboards.md"] = dashboards_page()
    for pack, found in packs.items():
        for alert in found["alerts"]:
            content[ROOT / "docs" / "runbooks" / (alert + ".md")] = runbook_page(pack, alert, found["alerts"][alert])
    migration = ROOT / "docs" / "migration.md"
    section = re.compile("(<!-- generated: differences -->\n).*?(<!-- end: differences -->)", re.S)
    text, found = section.subn(
        lambda match: match[1] + differences_tables() + match[2], migration.read_text(encoding="utf-8")
    )
    if not found:
        sys.exit("docs/migration.md has no section <!-- generated: differences -->")
    content[migration] = text
    return content


def main():
    """Write the pages, or say which are out of date."""
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    stale = 0
    # What the pages are made of comes first.
    for path, content in itertools.chain.from_iterable(make().items() for make in (role_files, pages)):
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if before == content:
            continue
        stale += 1
        name = str(path.relative_to(ROOT))
        if check:
            print("{0} is out of date; run tools/docs.py".format(name))
            diff = difflib.unified_diff(before.splitlines(), content.splitlines(), name, "generated", lineterm="", n=0)
            print("\n".join(list(diff)[:20]))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            print("wrote {0}".format(name))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
