# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages that people have written name is there: variables, files, playbooks, packs, and figures of other pages."""

from __future__ import annotations

import json
import pathlib
import re

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.module_utils import _summary, _targets
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _inputs, _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._differences import DIFFERENCES
from ansible_collections.vigil.monitoring.plugins.plugin_utils._rules import PACKS, load_packs
from role_inputs import Inputs
from test_inputs import GOOD, problems

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/howto").glob("*.md")]
}
SPECS = {
    path.parents[1].name: yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    for path in (ROOT / "roles").glob("*/meta/argument_specs.yml")
}
INPUTS = {name for options in SPECS.values() for name in options}
SHARED = set(
    re.findall(r"(?m)^\| `((?:monitoring|docker)_\w+)` \|", (ROOT / "docs/roles/README.md").read_text(encoding="utf-8"))
)
PLAYBOOKS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "playbooks").glob("*.yml")}
PREFIXES = sorted({*_rooms.names(), "backup", "silenced_deployment", "restore", "restore_test", "monitoring", "docker"})
NAME = re.compile(r"(?<![\w.:/-])((?:{0})_[a-z0-9_]*[a-z0-9])(?![\w*])".format("|".join(PREFIXES)))
# Names that begin as a role's do, and are keys of something else.
KEYS = {"grafana_admin": "a key of the groups of grafana_ldap"}
FOLDERS = "bundled|changelogs|docs|examples|inventories|meta|molecule|playbooks|plugins|requirements|roles|tests|tools"
# What a page says to write, and what is meant of each role.
NOT_HERE = {
    "inventories/prod/files/prometheus/rules/shop.yml",
    "inventories/prod/group_vars/all/vault.yml",
    "meta/argument_specs.yml",
}


def source(*folders):
    """The text of all code in some folders."""
    paths = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".yml"))
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(paths))


def words():
    """Names that are no variables: tags, modules, metrics, and what playbooks take by -e."""
    tags = {f"{name}_{step}" for name in _rooms.names() for step in ("install", "download", "configure", "run")}
    tags |= {"grafana_datasources", "grafana_dashboards", "grafana_notifications"}
    parts = {
        path.stem for folder in ("modules", "lookup", "filter") for path in (ROOT / "plugins" / folder).glob("*.*")
    }
    metrics = set(
        re.findall(r"\w+_(?:total|seconds|bytes|items|series|successful)\b", source("bundled/rules", "plugins"))
    )
    # Those of a rehearsal have their beginning from one constant.
    metrics |= {"monitoring_restore_test_" + name for name in [*metrics, "items"]}
    given = {name for text in PLAYBOOKS.values() for name in re.findall(r"(\w+) \| default\(", text)}
    return tags | parts | metrics | given | set(PLAYBOOKS)


KNOWN = INPUTS | SHARED | set(DIFFERENCES) | set(KEYS) | words()


def unknown(text):
    """Names in a text that look like a variable of this collection, and are none."""
    return sorted(set(NAME.findall(text)) - KNOWN)


@pytest.mark.parametrize("page", sorted(PAGES))
def test_every_variable_that_is_named_is_one(page):
    assert unknown(PAGES[page]) == []


def test_a_variable_that_is_none_is_seen():
    assert unknown("Set `monitoring_conatiner_network`, `backup_repo` or\n    prometheus_retention: 30d") == [
        "backup_repo",
        "monitoring_conatiner_network",
        "prometheus_retention",
    ]


def test_every_shared_variable_that_is_read_is_on_the_page():
    defaults = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "roles").glob("*/defaults/main.yml"))
    read = set(re.findall(r"\b(monitoring_\w+) (?:\| default|\|default)", defaults + "".join(PLAYBOOKS.values())))
    read |= set(
        re.findall(r'(?:shared|value|get)\([^()"]*"(monitoring_\w+)"', source("plugins/plugin_utils", "plugins/action"))
    )
    assert read - SHARED == set()
    # And the other way round: none is described that nothing reads.
    everything = source("plugins", "playbooks", "roles")
    assert [name for name in sorted(SHARED) if not re.search(rf"\b{name}\b", everything)] == []


@pytest.mark.parametrize("page", sorted(PAGES))
def test_every_file_of_the_repository_that_is_named_is_there(page):
    named = re.findall(r"(?<![\w/.<-])((?:{0})/[\w./-]*\w)(?![\w/*<-])".format(FOLDERS), PAGES[page])
    named = {path for path in named if not re.search("NAME|PACK|…", path)}
    missing = {path for path in named - NOT_HERE if not (ROOT / path).exists() and not (ROOT / "docs" / path).exists()}
    # A link is relative to its page.
    folder = (ROOT / page).parent
    assert {path for path in missing if not (folder / path).exists()} == set()


@pytest.mark.parametrize("role", sorted(SPECS))
def test_every_input_that_a_description_refers_to_is_one(role):
    text = " ".join(line for option in SPECS[role].values() for line in option["description"])
    assert [name for name in re.findall(r"\bO\((\w+)", text) if name not in INPUTS] == []


def examples():
    """The variables of each service in each block of a page."""
    for page, text in sorted(PAGES.items()):
        for number, block in enumerate(re.findall(r"(?ms)^ *```yaml\n(.*?)^ *```", text), 1):
            block = re.sub(r'"\{\{ vault_\w+ \}\}"', "https://example.org/a-long-password", block)
            found = yaml.safe_load(block.replace("sha256:…", "sha256:" + 64 * "0"))
            for role in _rooms.names() if isinstance(found, dict) else ():
                own = {name: value for name, value in found.items() if name in SPECS[role]}
                if own:
                    yield pytest.param(role, own, id=f"{page}-{number}-{role}")


@pytest.mark.parametrize(("role", "given"), list(examples()))
def test_an_example_of_variables_is_valid(role, given):
    given = {name[len(role) + 1 :]: value for name, value in given.items()}
    if role in GOOD:
        assert problems(role, **given) == []
        return
    i = Inputs(role, monitoring_password="a long password", **given)
    values = {name: i[name[len(role) + 1 :]] for name in SPECS[role]}
    assert [str(problem) for problem in _inputs.problems(role, values)] == []


def test_every_playbook_is_run_with_an_inventory():
    """The one that ansible.cfg names is the very machine."""
    runbooks = [path.read_text(encoding="utf-8") for path in (ROOT / "docs/runbooks").glob("*.md")]
    commands = re.findall(r"ansible-playbook +([\w.]+)([^\n`#]*)", "\n".join([*PAGES.values(), *runbooks]))
    assert len(commands) > 30
    # It asks for a password, and has no host.
    assert {name for name, rest in commands if " -i " not in rest} <= {"password.yml"}


def test_the_example_of_a_failure_is_what_a_run_says():
    services = [("alertmanager", 9093), ("node_exporter", 9100), ("prometheus", 9090)]
    rows = [
        (
            "down",
            job,
            _targets.place(f"127.0.0.1:{port}", "mon1"),
            f"dial tcp 127.0.0.1:{port}: connect: connection refused",
        )
        for job, port in (("alertmanager", 9093), ("node", 9100))
    ]
    table = _targets.table(("PROBLEM", "JOB", "INSTANCE", "WHY"), rows)
    lines = [
        {"service": name, "host": "mon1", "state": "failed", "url": f"http://127.0.0.1:{port}", "reasons": []}
        for name, port in services
    ]
    lines[-1].update(version="3.5.3", targets=[1, 3])
    lines[-1]["reasons"] = ["1 of 3 expected targets are up: 2 down\n" + table]
    assert f"```\n{_summary.summary(lines)}\n```" in PAGES["docs/troubleshooting.md"]


def test_the_list_of_playbooks_is_complete():
    (row,) = re.findall(r"(?m)^\| `playbooks/` \| (.*) \|$", PAGES["docs/architecture.md"])
    # Part of the others.
    assert set(re.findall(r"`(\w+)`", row)) == set(PLAYBOOKS) - {"facts"}


def test_the_playbooks_that_gather_facts_are_named():
    page = (ROOT / "docs/roles/README.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"(?m)^\| `monitoring_gather_facts` \| (.*) \|$", page)
    gathering = {name for name, text in PLAYBOOKS.items() if "import_playbook: facts.yml" in text}
    assert set(re.findall(r"`(\w+)\.yml`", row)) == gathering


def test_the_packs_of_alerts_are_all_named():
    text = " ".join(SPECS["prometheus"]["prometheus_rule_packs"]["description"])
    assert set(re.findall(r"V\((\w+)\)", text)) == {*PACKS, "auto"}


def test_the_alerts_that_need_all_targets_are_all_in_the_table():
    rows = re.findall(r"(?m)^\| ((?:`[A-Z]\w+`(?:, )?)+) \| ", PAGES["docs/howto/replicas.md"])
    listed = set(re.findall(r"`(\w+)`", " ".join(rows)))
    alerts = {name: alert for pack in load_packs().values() for name, alert in pack["alerts"].items()}
    assert {name for name, alert in alerts.items() if "needs_all" in alert} <= listed <= set(alerts)


def test_how_large_it_can_get_is_what_the_benchmarks_say():
    page, found = PAGES["docs/how-large.md"], json.loads((ROOT / "docs/benchmarks.json").read_text(encoding="utf-8"))
    most = found["simulated_site"]["sizes"][-1]
    each = f"{most['cpu'] / most['hosts']:.2f} CPU seconds of the controller for each converged host"
    assert f"{each} with its verification: {most['cpu']:.0f} for {most['hosts']} hosts" in page
    scrape = found["scrape_configuration"]
    reading = f"of which {scrape['empty']['seconds']:.1f} s are Ansible's own"
    assert f"{scrape['hosts']:,} hosts: {scrape['role']['seconds']:.1f} s for a converged run, {reading}" in page
    for row in found["target_health"]["sizes"][-2:]:
        assert f"{row['targets']:,}: {row['seconds']:.1f} s and {row['peak_mib']:.0f} MiB" in page
    large = found["large_server"]
    assert f"It then has {round(large['series'], -3):,} series" in page
    assert f"uses {large['memory_mib'] / 1024:.1f} GiB of memory and {large['cpu_share']:.2f} of one processor" in page
    rates = f"{large['scrapes']:.0f} scrapes, {large['samples']:,.0f} samples and {large['evaluations']:.0f} rules"
    assert rates in page
    assert f"{large['memory_mib'] * 1024 / large['targets']:.0f} KiB for a target" in page
    assert f"{large['memory_mib'] * 1024 / large['series']:.0f} KiB for a series" in page
