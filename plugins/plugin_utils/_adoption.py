# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs, against what a role would make of the inventory, by meaning. Data in, data out.

Both sides go through the same function, :func:`view`, which turns a command line and files into sections of named things:
what is written differently and means the same is the same there. :func:`compare` says what would be gained, lost or changed.
"""

from __future__ import annotations

import configparser
import fnmatch
import json
import posixpath
import re
from typing import NamedTuple

import yaml
from ansible_collections.vigil.monitoring.plugins.module_utils._duration import UNITS, seconds
from ansible_collections.vigil.monitoring.plugins.module_utils._live import flags_of
from ansible_collections.vigil.monitoring.plugins.module_utils._redact import MASK, is_secret_key, redact_text, scrub

GAINED, LOST, CHANGED = "gained", "lost", "changed"
MARKS = {GAINED: "+", LOST: "-", CHANGED: "~"}
# How many names of what is gained, or paths, are listed.
LISTED = 12
WIDTH = 76

_DURATION = re.compile(r"(\d+(ms|[ywdhms]))+")
# Settings whose value is a duration, by how they end.
_DURATIONS = (
    "interval",
    "timeout",
    "wait",
    "for",
    "delay",
    "retention",
    "retention.time",
    "window",
    "deadline",
    "lookback",
)
# Lists in which the order means nothing.
_UNORDERED = {
    "group_by",
    "matchers",
    "equal",
    "source_matchers",
    "target_matchers",
    "active_time_intervals",
    "mute_time_intervals",
    "targets",
    "files",
    "collector.textfile.directory",
}
# What upstream does where nothing is said: with it or without, it is the same.
_JOB = {
    "metrics_path": "/metrics",
    "scheme": "http",
    "honor_labels": False,
    "honor_timestamps": True,
    "follow_redirects": True,
    "enable_http2": True,
    "enable_compression": True,
}
_GLOBAL = {"scrape_interval": "1m", "scrape_timeout": "10s", "evaluation_interval": "1m"}
_ROUTE = {"continue": False}
_ROOT_ROUTE = {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "4h"}
_ALERTMANAGER_GLOBAL = {"resolve_timeout": "5m", "smtp_require_tls": True, "smtp_hello": "localhost"}
_FLAGS = {
    "prometheus": {
        "web.external-url": "",
        "web.listen-address": "0.0.0.0:9090",
        "web.console.libraries": None,
        "web.console.templates": None,
        "storage.tsdb.path": "data/",
        "log.level": "info",
        "log.format": "logfmt",
    },
    "alertmanager": {
        "web.external-url": "",
        "web.listen-address": "0.0.0.0:9093",
        "cluster.listen-address": "0.0.0.0:9094",
        "storage.path": "data/",
        "log.level": "info",
        "log.format": "logfmt",
    },
    "node_exporter": {"web.listen-address": "0.0.0.0:9100", "web.telemetry-path": "/metrics", "log.level": "info", "log.format": "logfmt"},
    "blackbox_exporter": {"web.listen-address": "0.0.0.0:9115", "log.level": "info", "log.format": "logfmt"},
    "postgres_exporter": {
        "web.listen-address": "0.0.0.0:9187",
        "web.telemetry-path": "/metrics",
        "log.level": "info",
        "log.format": "logfmt",
    },
    "cadvisor": {"listen_ip": "", "port": "8080", "prometheus_endpoint": "/metrics"},
    "grafana": {},
}  # fmt: skip
# Flags that say where files are: the files are compared themselves.
_PLACES = ("config.file", "web.config.file", "config", "homepath")
_DISCOVERED = re.compile(r"_sd_configs$|^static_configs$")

# What keeps a thing as it is: section, pattern of its name, and the advice; {role} is the role, {live} the live value.
_KEEP = (
    ("service", "user", "{role}_system_user: {live}"),
    ("service", "group", "{role}_system_group: {live}"),
    ("service", "version", "{role}_version: {live}"),
    ("flags", "storage.*path", "{role}_db_dir: {live}"),
    ("flags", "web.listen-address", "{role}_web_listen_address: {live}"),
    ("flags", "web.external-url", "{role}_web_external_url: {live}"),
    ("retention", "time", "prometheus_storage_retention: {live}"),
    ("retention", "size", "prometheus_storage_retention_size: {live}"),
    ("flags", "cluster.*", "alertmanager_cluster"),
    ("flags", "collector.*", "{role}_enabled_collectors, {role}_disabled_collectors"),
    ("flags", "no-collector.*", "{role}_enabled_collectors, {role}_disabled_collectors"),
    ("flags", "*", "{role}_config_flags_extra"),
    ("global", "*", "prometheus_global"),
    ("external labels", "replica", "prometheus_replica_label: '' for none"),
    ("external labels", "*", "prometheus_external_labels"),
    ("jobs", "*", "prometheus_scrape_configs, or prometheus_scrape_groups for hosts of the inventory"),
    ("targets", "*", "prometheus_targets, prometheus_scrape_groups; monitoring_address for another name of a host"),
    ("alerts gained", "*", "prometheus_rule_packs: [] for none of the packs"),
    ("alerts", "*", "prometheus_alert_rules, prometheus_alert_rules_files"),
    ("recording rules gained", "*", "prometheus_rule_packs"),
    ("recording rules", "*", "prometheus_alert_rules_files"),
    ("alertmanagers", "*", "prometheus_alertmanager_config"),
    ("relabelling of alerts", "*", "prometheus_alert_relabel_configs, prometheus_replica_label"),
    ("remote write", "*", "prometheus_remote_write"),
    ("remote read", "*", "prometheus_remote_read"),
    ("receivers", "*", "alertmanager_receivers"),
    ("routes", "*", "alertmanager_route"),
    ("inhibitions", "*", "alertmanager_inhibit_rules"),
    ("time intervals", "*", "alertmanager_time_intervals"),
    ("message templates", "*", "alertmanager_template_files"),
    ("modules", "*", "blackbox_exporter_configuration_modules"),
    ("settings", "*", "grafana_ini"),
    ("data sources", "*", "grafana_datasources"),
    ("dashboards gained", "*", "grafana_bundled_dashboards: false for none of the bundled ones"),
    ("dashboards", "*", "grafana_dashboards_dir, grafana_dashboards"),
)


class Difference(NamedTuple):
    """One thing that would not be as it is.

    :ivar section: what kind of thing: ``jobs``, ``alerts``, ``flags``, …
    :ivar name: its name.
    :ivar kind: ``gained``, ``lost`` or ``changed``.
    :ivar detail: how, without secrets; may be empty.
    :ivar keep: what to set to keep it as it is, or None.
    """

    section: str
    name: str
    kind: str
    detail: str = ""
    keep: str = None


# One side


def load(text):
    """A YAML document, or None for what is none."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, Loader=loader)
    except yaml.YAMLError:
        return None


def mapping(found):
    """A mapping, also where something else stands."""
    return found if isinstance(found, dict) else {}


def dicts(found):
    """The mappings among the elements of a list."""
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def normal(value, key=""):
    """A value in a form in which equal meanings are equal."""
    if isinstance(value, dict):
        # What is null or empty is as if it were not there.
        found = {str(name): normal(inner, str(name)) for name, inner in value.items()}
        return {name: inner for name, inner in sorted(found.items()) if inner not in (None, {}, [])}
    if isinstance(value, list):
        found = [normal(inner) for inner in value]
        return sorted(found, key=repr) if key in _UNORDERED else found
    if isinstance(value, bool) or value is None:
        return value
    text = str(value)
    if key.endswith(_DURATIONS) and _DURATION.fullmatch(text):
        return as_duration(seconds(text))
    return " ".join(text.split()) if key == "expr" else text


def as_duration(number):
    """Seconds as Prometheus writes them, in the largest unit that fits."""
    for unit, size in UNITS.items():
        if number and number % size == 0:
            return "{0:g}{1}".format(number / size, unit)
    return "{0:g}s".format(number)


def without(found, defaults):
    """A mapping without what is upstream's default anyway."""
    defaults = normal(defaults)
    return {name: value for name, value in normal(found).items() if name not in defaults or value != defaults[name]}


def numbered(entries):
    """Pairs of names and values as a mapping; of several with one name each gets a number."""
    found = {}
    for name, value in entries:
        key, number = name, 2
        while key in found:
            key, number = "{0} #{1}".format(name, number), number + 1
        found[key] = value
    return found


def matching(files, directory, patterns):
    """The files that patterns match, as upstream resolves them: relative to the configuration's directory."""
    wanted = [posixpath.normpath(posixpath.join(directory, str(pattern))) for pattern in patterns or []]
    return [
        path
        for path in sorted(files)
        if any(fnmatch.fnmatchcase(path, one) and path.count("/") == one.count("/") for one in wanted)
    ]


def view(kind, argv, directory, files):
    """A service as sections of named things.

    :param kind: name of its role.
    :param argv: its command line.
    :param directory: of its configuration.
    :param files: path to text.
    """
    flags = flags_of(argv)
    sections = {"flags": _flags(kind, flags)}
    sections.update(_VIEWS.get(kind, _nothing)(flags, directory, files))
    for name in ("time", "size") if kind == "prometheus" else ():
        # Newer versions have it in the configuration, where older ones have a flag.
        flagged = sections["flags"].pop("storage.tsdb.retention." + name, None)
        if flagged and flagged != "0":
            sections["retention"].setdefault(name, flagged)
    for path in flags.get("web.config.file", ()):
        sections["access"] = {
            name: normal(value) for name, value in mapping(load(files.get(path, ""))).items() if value
        }
    return sections


def _nothing(flags, directory, files):
    return {}


def _flags(kind, flags):
    defaults, found = _FLAGS[kind], {}
    for name, values in flags.items():
        if name in _PLACES or (name in defaults and defaults[name] is None):
            continue
        values = [normal(value, name) for value in values]
        if name.endswith("listen-address"):
            values = [re.sub(r"^(\[::\])?:", "0.0.0.0:", value) for value in values]
        if name in defaults and values == [normal(defaults[name], name)]:
            continue
        found[name] = ", ".join(sorted(values))
    return found


def _prometheus(flags, directory, files):
    path = (flags.get("config.file") or [posixpath.join(directory, "prometheus.yml")])[0]
    config = mapping(load(files.get(path, "")))
    top = mapping(config.get("global"))
    shared = {**_JOB, **{name: top.get(name, _GLOBAL[name]) for name in ("scrape_interval", "scrape_timeout")}}
    jobs = dicts(config.get("scrape_configs"))
    for name in matching(files, directory, config.get("scrape_config_files")):
        jobs += dicts(mapping(load(files[name])).get("scrape_configs"))
    alerts, records = [], []
    for name in matching(files, directory, config.get("rule_files")):
        for group in dicts(mapping(load(files[name])).get("groups")):
            for rule in dicts(group.get("rules")):
                severity = mapping(rule.get("labels")).get("severity")
                said = {key: rule[key] for key in ("expr", "for", "keep_firing_for", "labels") if key in rule}
                if "alert" in rule:
                    words = "{0} ({1})".format(rule["alert"], severity) if severity else str(rule["alert"])
                    alerts.append((words, without(said, {"for": "0s"})))
                else:
                    records.append((str(rule.get("record")), normal(said)))
    alerting = mapping(config.get("alerting"))
    managers = [
        str(target)
        for manager in dicts(alerting.get("alertmanagers"))
        for static in dicts(manager.get("static_configs"))
        for target in static.get("targets") or ()
    ]
    managers += [
        name for manager in dicts(alerting.get("alertmanagers")) for name in manager if name.endswith("_sd_configs")
    ]
    retention = mapping(mapping(mapping(config.get("storage")).get("tsdb")).get("retention"))
    sections = {
        "global": without({name: value for name, value in top.items() if name != "external_labels"}, _GLOBAL),
        "external labels": normal(mapping(top.get("external_labels"))),
        "jobs": numbered(
            (
                str(job.get("job_name")),
                without({n: v for n, v in job.items() if n != "job_name" and not _DISCOVERED.search(n)}, shared),
            )
            for job in jobs
        ),
        "alerts": numbered(alerts),
        "recording rules": numbered(records),
        "alertmanagers": {name: {} for name in managers},
        "relabelling of alerts": numbered(
            (json.dumps(normal(entry), sort_keys=True), {}) for entry in dicts(alerting.get("alert_relabel_configs"))
        ),
        "remote write": numbered((scrub(str(entry.get("url"))), normal(entry)) for entry in dicts(config.get("remote_write"))),
        "remote read": numbered((scrub(str(entry.get("url"))), normal(entry)) for entry in dicts(config.get("remote_read"))),
    }  # fmt: skip
    known = {"global", "scrape_configs", "scrape_config_files", "rule_files", "alerting", "remote_write", "remote_read"}
    for name, value in config.items():
        if name == "storage" and retention:
            value = {**value, "tsdb": {key: inner for key, inner in value["tsdb"].items() if key != "retention"}}
        if name not in known and normal(value):
            sections.setdefault("further sections", {})[name] = normal(value)
    sections["retention"] = {
        name: str(normal(retention[name], "retention." + name)) for name in ("time", "size") if retention.get(name)
    }
    return sections


def _routes(route, path, defaults):
    """A tree of routes as pairs: what leads to one, and what it does."""
    matchers = [str(matcher) for matcher in route.get("matchers") or ()]
    for key, sign in (("match", "="), ("match_re", "=~")):
        matchers += ['{0}{1}"{2}"'.format(name, sign, value) for name, value in mapping(route.get(key)).items()]
    own = ", ".join(
        sorted(re.sub(r'\s*(=~|!~|!=|=)\s*"?([^"]*)"?$', r'\1"\2"', matcher.strip()) for matcher in matchers)
    )
    path = [*path, own or ("everything" if not path else "all of it")]
    said = {name: value for name, value in route.items() if name not in ("routes", "matchers", "match", "match_re")}
    yield " > ".join(path), without(said, defaults)
    for child in dicts(route.get("routes")):
        yield from _routes(child, path, _ROUTE)


def _alertmanager(flags, directory, files):
    path = (flags.get("config.file") or [posixpath.join(directory, "alertmanager.yml")])[0]
    config = mapping(load(files.get(path, "")))
    templates = matching(files, directory, config.get("templates"))
    intervals = [*dicts(config.get("time_intervals")), *dicts(config.get("mute_time_intervals"))]
    return {
        "global": without(mapping(config.get("global")), _ALERTMANAGER_GLOBAL),
        "receivers": numbered(
            (str(entry.get("name")), normal({name: value for name, value in entry.items() if name != "name"}))
            for entry in dicts(config.get("receivers"))
        ),
        "routes": numbered(_routes(mapping(config.get("route")), [], {**_ROUTE, **_ROOT_ROUTE})),
        "inhibitions": numbered(
            (json.dumps(normal(entry), sort_keys=True), {}) for entry in dicts(config.get("inhibit_rules"))
        ),
        "time intervals": numbered(
            (str(entry.get("name")), normal({name: value for name, value in entry.items() if name != "name"}))
            for entry in intervals
        ),
        "message templates": {
            name: {} for path in templates for name in re.findall(r'\{\{-?\s*define\s+"([^"]+)"', files[path])
        },
    }


def _blackbox(flags, directory, files):
    path = (flags.get("config.file") or [posixpath.join(directory, "blackbox_exporter.yml")])[0]
    modules = mapping(mapping(load(files.get(path, ""))).get("modules"))
    return {"modules": {str(name): normal(mapping(module)) for name, module in modules.items()}}


def _grafana(flags, directory, files):
    path = (flags.get("config") or [posixpath.join(directory, "grafana.ini")])[0]
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True, delimiters=("=",), default_section="")
    try:
        parser.read_string("[_]\n" + files.get(path, ""))
    except configparser.Error:
        parser = configparser.RawConfigParser()
    settings = {
        "{0}.{1}".format(section, name).replace("_.", "", 1): (value or "").strip("\"'")
        for section in parser.sections()
        for name, value in parser.items(section)
        if value
    }
    provisioned = posixpath.join(settings.get("paths.provisioning") or posixpath.join(directory, "provisioning"), "")
    sources, dashboards = [], []
    for name, text in sorted(files.items()):
        if name.startswith(provisioned + "datasources/"):
            for source in dicts(mapping(load(text)).get("datasources")):
                sources.append(
                    (str(source.get("name")), normal({key: source.get(key) for key in ("type", "url", "access")}))
                )
        elif name.endswith(".json"):
            try:
                board = mapping(json.loads(text))
            except ValueError:
                continue
            if board.get("title") and ("panels" in board or "rows" in board):
                dashboards.append((str(board["title"]), {"uid": str(board.get("uid") or "")}))
    return {"settings": settings, "data sources": numbered(sources), "dashboards": numbered(dashboards)}


_VIEWS = {"prometheus": _prometheus, "alertmanager": _alertmanager, "blackbox_exporter": _blackbox, "grafana": _grafana}


def dashboard_patterns(files):
    """Where Grafana's providers look for dashboards, as shell patterns."""
    return sorted(
        {
            posixpath.join(str(mapping(provider.get("options")).get("path")), "**", "*.json")
            for path, text in files.items()
            if "/dashboards/" in path and path.endswith((".yml", ".yaml"))
            for provider in dicts(mapping(load(text)).get("providers"))
            if str(mapping(provider.get("options")).get("path") or "").startswith("/")
        }
    )


def targets_of(answer):
    """The targets that a live Prometheus has, as mapping of ``job instance`` to nothing; None where it does not say."""
    try:
        found = json.loads(answer)["data"]["activeTargets"]
        return {"{0} {1}".format(one["labels"]["job"], one["labels"]["instance"]): {} for one in found}
    except (ValueError, KeyError, TypeError):
        return None


def both_targets(live, expected, pools):
    """The targets of both sides, but for jobs whose targets only Prometheus itself can name.

    :param live: see :func:`targets_of`.
    :param expected: what the role expects: list of ``job`` and ``instance``.
    :param pools: jobs whose targets are discovered or relabelled.
    """
    wanted = {"{0} {1}".format(one["job"], one["instance"]): {} for one in expected}
    return tuple({name: {} for name in side if name.split(" ")[0] not in pools} for side in (live, wanted))


def version_of(live):
    """The version that a service says it has, without build metadata; None where it says none."""
    for path, answer in live.get("answers", {}).items():
        found = re.search(
            r'_build_info\{[^}]*\bversion="([^"+]+)' if path.endswith("/metrics") else r'"version":"([^"+]+)',
            answer["text"],
        )
        if found:
            return found[1]
    return None


def further_files(kind, live):
    """Patterns of files that belong to a service and lie outside its configuration's directory."""
    if not live["running"]:
        return []
    files = {path: entry["content"] for path, entry in live["files"].items()}
    if kind == "grafana":
        return dashboard_patterns(files)
    path = (flags_of(live["argv"]).get("config.file") or [""])[0]
    config = mapping(load(files.get(path, "")))
    named = [config.get(name) for name in ("rule_files", "scrape_config_files", "templates")]
    patterns = [
        posixpath.join(live["config_dir"], str(one)) for found in named if isinstance(found, list) for one in found
    ]
    return [one for one in patterns if not posixpath.normpath(one).startswith(live["config_dir"].rstrip("/") + "/")]


def is_theirs(path, text, directory, peers):
    """Whether a file is one that a peer's role is known to write.

    :param peers: as :func:`_peers.written_by_peers` returns them.
    """
    return any(path == posixpath.join(directory, one["path"]) and re.match(one["pattern"], text) for one in peers)


def staying(files, directory, wanted, peers):
    """The files of others that stay in our configuration's directory: path to text."""
    inside = directory.rstrip("/") + "/"
    return {
        path: text
        for path, text in files.items()
        if path.startswith(inside) and path not in wanted and not is_theirs(path, text, directory, peers)
    }


def words_about(kind, live, directory, wanted, peers, take_over):
    """Sentences about a service that no table of differences can say.

    :param directory: of the configuration that the role writes.
    :param wanted: files that it writes there: path to text.
    """
    words = []
    files = {path: entry["content"] for path, entry in live["files"].items()}
    if live["contained"]:
        words.append(
            "it runs in a container, as process {0}: its compose file, image, volumes, networks and limits cannot be seen, and its"
            " paths and accounts are those inside. The role takes no container over that it did not make: stop it first, and"
            " give its data a place that {1} names".format(
                live["pid"], kind + "_db_dir" if kind in ("prometheus", "alertmanager") else "the role"
            )
        )
    if live["several"] > 1:
        words.append("{0} processes of it run here: the oldest, {1}, is compared".format(live["several"], live["pid"]))
    if live["config_dir"].rstrip("/") != directory.rstrip("/"):
        words.append(
            "its configuration is in {0}, and the role writes to {1}: {2}_config_dir: {0} keeps it".format(
                live["config_dir"], directory, kind
            )
        )
    replaced = [path for path in wanted if path in files and files[path] != wanted[path]]
    gone = [path for path, text in files.items() if path not in wanted and is_theirs(path, text, directory, peers)]
    stay = staying(files, directory, wanted, peers)
    if replaced or gone:
        words.append(
            "{0}_take_over: {1}".format(
                kind,
                "true is set, which lets" if take_over else "true is needed, to let",
            )
            + " the role replace {0}{1}".format(
                listed(replaced) or "nothing", " and remove " + listed(gone) if gone else ""
            )
        )
    if stay:
        words.append("stays as it is, and is used where the configuration names it: {0}".format(listed(stay)))
    owners = sorted({live["files"][path]["owner"] for path in replaced if live["files"][path]["owner"] != "root"})
    if owners:
        words.append("files that belong to {0} now will be root's, for its group to read".format(", ".join(owners)))
    config = flags_of(live["argv"]).get("config.file")
    for path, answer in live["answers"].items():
        if path == "/api/v1/status/config" and config:
            names = unloaded(answer["text"], mapping(load(files.get(config[0], ""))))
            if names:
                words.append("what it has loaded is not what is on disk: the jobs {0} differ".format(", ".join(names)))
    return words


def listed(paths):
    """Some of many paths, as one text."""
    paths = sorted(paths)
    more = " and {0} more".format(len(paths) - LISTED) if len(paths) > LISTED else ""
    return ", ".join(paths[:LISTED]) + more


def unloaded(answer, config):
    """What of the file is not what Prometheus has loaded: names of jobs; None where it does not say."""
    try:
        loaded = mapping(load(json.loads(answer)["data"]["yaml"]))
    except (ValueError, KeyError, TypeError):
        return None
    names = [{str(job.get("job_name")) for job in dicts(one.get("scrape_configs"))} for one in (loaded, config)]
    return sorted(names[0] ^ names[1])


# Both sides


def leaves(value, path=()):
    """Every value of a structure with the keys that lead to it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list) and any(isinstance(inner, (dict, list)) for inner in value):
        for number, inner in enumerate(value):
            yield from leaves(inner, (*path, str(number)))
    else:
        yield path, value


def shown(path, value):
    """A value for the eye: without secrets, and short."""
    keys = [key for key in path if not key.isdigit()]
    if any(is_secret_key(key, above) for above, key in zip([None, *keys], keys)):
        return MASK
    text = ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
    text = redact_text(" ".join(text.split()))
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def change(live, wanted, path=()):
    """How a thing changes, in words: each value that does."""
    if not isinstance(live, dict) or not isinstance(wanted, dict):
        live, wanted = {"": live}, {"": wanted}
    found = []
    before, after = dict(leaves(live)), dict(leaves(wanted))
    for where in sorted({*before, *after}):
        if before.get(where) != after.get(where):
            sides = [shown((*path, *where), side[where]) if where in side else "-" for side in (before, after)]
            name = ".".join(where)
            words = "another value" if sides[0] == sides[1] else "{0} -> {1}".format(*sides)
            found.append("{0}: {1}".format(name, words) if name else words)
    more = len(found) - 4
    return "; ".join([*found[:4], *(["and {0} more".format(more)] if more > 0 else [])])


def advice(role, section, name, kind, live):
    """What to set to keep a thing as it is, or None; of what is gained only where it is not the inventory that asks for it."""
    for of, pattern, text in _KEEP:
        asked = of == section and (kind != GAINED or section in ("external labels", "service"))
        if (asked or of == "{0} {1}".format(section, kind)) and fnmatch.fnmatchcase(name, pattern):
            return text.format(role=role, live=shown((name,), live) if isinstance(live, str) and live else "…")
    return None


def compare(role, live, wanted):
    """What would be gained, lost and changed.

    :param role: name of our role.
    :param live: sections as :func:`view` returns them, of what runs; ``wanted`` likewise.
    """
    found = []
    for section in dict.fromkeys([*live, *wanted]):
        before, after = live.get(section) or {}, wanted.get(section) or {}
        for name in dict.fromkeys([*before, *after]):
            if name not in after:
                kind, detail = LOST, shown((section, name), before[name]) if isinstance(before[name], str) else ""
            elif name not in before:
                kind, detail = GAINED, shown((section, name), after[name]) if isinstance(after[name], str) else ""
            elif before[name] != after[name]:
                kind, detail = CHANGED, change(before[name], after[name], (section, name))
            else:
                continue
            keep = advice(role, section, name, kind, before.get(name))
            found.append(Difference(section, redact_text(name), kind, detail, keep))
    return found


def counted(live, wanted):
    """How many things of each section stay exactly as they are."""
    return {
        section: sum(name in after and after[name] == value for name, value in (live.get(section) or {}).items())
        for section, after in wanted.items()
        if live.get(section)
    }


def rendered(host, services):
    """The table of one host.

    :param services: list of dicts: ``role``, ``words`` (sentences), ``differences`` and ``kept`` (see :func:`counted`).
    """
    count = {kind: sum(one.kind == kind for entry in services for one in entry["differences"]) for kind in MARKS}
    text = [
        "ADOPTION OF {0}: {1} gained, {2} lost, {3} changed; nothing was touched".format(
            host, count[GAINED], count[LOST], count[CHANGED]
        )
    ]
    if not services:
        text += ["", "no service of the inventory is to run here"]
    for entry in services:
        same = entry["kept"] and not entry["differences"]
        text += ["", entry["role"] + (": as the inventory asks" if same else "")]
        text += ["    {0}".format(word) for word in entry["words"]]
        kept = ["{0} {1}".format(number, section) for section, number in entry["kept"].items() if number]
        if kept:
            text.append("    kept: {0}".format(", ".join(kept)))
        for (section, kind, keep), group in _grouped(entry["differences"]).items():
            lines = [one.name + (" ({0})".format(one.detail) if one.detail else "") for one in group]
            # What is lost or changed is named in full.
            if kind == GAINED and len(lines) > LISTED:
                lines = [*lines[:LISTED], "and {0} more".format(len(lines) - LISTED)]
            text.append("  {0} {1} {2}:".format(MARKS[kind], section, kind))
            text += ["        {0}".format(line) for line in lines]
            if keep:
                text.append("      to keep it as it is: {0}".format(keep))
    return "\n".join(text)


def _grouped(differences):
    order = (LOST, CHANGED, GAINED)
    found = {}
    for one in sorted(differences, key=lambda one: order.index(one.kind)):
        found.setdefault((one.section, one.kind, one.keep), []).append(one)
    return found
