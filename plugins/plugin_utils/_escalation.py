# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alertmanager's routing tree from a short declaration of channels.

Alertmanager has no acknowledgement. A critical alert matches one route for each stage of its escalation, each with a longer
``group_wait``: an alert that is silenced or resolved by then does not reach the stage.
"""

from __future__ import annotations

import re

from ansible_collections.vigil.monitoring.plugins.module_utils._duration import seconds
from ansible_collections.vigil.monitoring.plugins.plugin_utils._channels import (
    ALL,
    KINDS,
    NOBODY,
    OLDEST,
    SLACK_API,
    check_channel,
    hide,
    kind_of,
    secret_path,
    too_old,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import (
    Problem,
    is_duration,
    not_a_duration,
    shown,
    unknown_key,
)

# Default values of alertmanager_route and alertmanager_receivers.
NO_ROUTE = {"receiver": "default"}
NO_RECEIVERS = [{"name": "default"}]

LOCATION_SINCE = "0.25.0"
RULE_NAME_SINCE = "0.30.0"

GROUP_BY = ["alertname", "cluster", "service"]
# Keys in the declaration -> keys of a route.
WAITS = {"wait": "group_wait", "interval": "group_interval", "repeat": "repeat_interval"}
LEVEL_KEYS = ("channels", "group_by", "active", "mute", *WAITS)
WATCHDOG = 'alertname="Watchdog"'
FAILURES = (
    'alertname=~"AlertmanagerNotificationsFailing|PrometheusNotificationsFailing|PrometheusNotificationsDropped'
    '|PrometheusNotConnectedToAlertmanagers"'
)
LEVELS = {
    "default": {"channels": ["monitoring"], "wait": "30s", "interval": "5m", "repeat": "1h"},
    # Repeated at the first interval after five minutes.
    "watchdog": {"channels": ["deadmansswitch"], "wait": "0s", "interval": "1m", "repeat": "5m"},
    # Must not depend on the channel that is broken.
    "failures": {"channels": ALL, "wait": "10s"},
    "warning": {"channels": ["warnings"], "wait": "1m", "repeat": "4h"},
    "info": {"channels": ["monitoring"], "repeat": "1d"},
}
CRITICAL = [
    {"channels": ["monitoring"], "wait": "10s"},
    {"channels": ["critical", "email"], "wait": "2m"},
    {"channels": ["page"], "wait": "4m", "interval": "1m", "repeat": "15m"},
]
KEYS = ("channels", "business_hours", "mute_times", "critical", "routes", "group_by", *LEVELS)
BUSINESS_HOURS = "business_hours"
# Levels that are sent in business hours only, if these are set.
IN_BUSINESS_HOURS = ("warning", "info")

# In Alertmanager's order: its ranges must not wrap around.
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_DAY = re.compile(r"({0})(?:[-:]({0}))?".format("|".join(_DAYS)))
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")
_ZONE = re.compile(r"[A-Za-z]+([/_+-][A-Za-z0-9]+)*")
_NATIVE_TIMES = ("days_of_month", "months", "years")

# name, sources, targets, labels that are equal.
INHIBITIONS = (
    (
        "critical inhibits lower severities of the same alert",
        ['severity="critical"'],
        ['severity=~"warning|info"'],
        ["alertname", "cluster", "service", "job", "instance", "mountpoint", "datname"],
    ),
    (
        "a job that is down inhibits its targets",
        ['alertname=~"JobDown|ApiDown"'],
        ['alertname="TargetDown"'],
        ["cluster", "job"],
    ),
    (
        "a node that is down inhibits alerts of its host",
        ['alertname="TargetDown"'],
        ['service="host"', 'alertname!="TargetDown"'],
        ["cluster", "job", "instance"],
    ),
)


class EscalationError(ValueError):
    """The declaration is invalid; the message says where and why."""


# Validation of a declaration


def check_escalation(settings):
    """All problems of a declaration; no value of a secret is shown.

    :param settings: dict with ``escalation``, ``route``, ``receivers`` and ``smtp``, the role's inputs, and those of
        :data:`GLOBAL_KEYS` and ``global`` that are given; and ``version``, or None where that is known only on the host.
    """
    declared, root = settings["escalation"], "alertmanager_escalation"
    if not declared:
        return
    if not isinstance(declared, dict):
        yield Problem(root, kind_of(declared), "write channels: below it")
        return
    for name, unset in (("route", NO_ROUTE), ("receivers", NO_RECEIVERS)):
        if settings[name] != unset:
            yield Problem(
                "alertmanager_" + name,
                "is set together with alertmanager_escalation, which generates it",
                "remove one of them; put further routes into alertmanager_escalation.routes",
            )
    if too_old(settings["version"], OLDEST):
        found = "needs Alertmanager {0}, and this is {1}".format(OLDEST, settings["version"])
        yield Problem(root, found, "deploy a newer version")
    yield from (unknown_key(root, key, KEYS) for key in declared if key not in KEYS)
    channels = declared.get("channels")
    if not isinstance(channels, dict) or not channels:
        remedy = "define at least one, such as monitoring: {kind: slack, api_url_file: /etc/alertmanager/slack}"
        yield Problem(root + ".channels", "is missing" if channels is None else _not_filled(channels), remedy)
        return
    for name, channel in channels.items():
        yield from check_channel("{0}.channels.{1}".format(root, name), str(name), channel, settings)
    yield from _check_times(root, declared, settings["version"])
    yield from _check_levels(root, declared)


def _not_filled(value):
    return "is empty" if isinstance(value, dict) else kind_of(value)


def _check_times(root, declared, version):
    times = declared.get("mute_times") or {}
    if not isinstance(times, dict):
        yield Problem(root + ".mute_times", kind_of(times), "write NAME: with the times below it")
        times = {}
    if BUSINESS_HOURS in times:
        yield Problem(root + ".mute_times." + BUSINESS_HOURS, "is a reserved name", "choose another name")
    every = {"mute_times.{0}".format(name): entry for name, entry in times.items()}
    if BUSINESS_HOURS in declared:
        every[BUSINESS_HOURS] = declared[BUSINESS_HOURS]
    for name, entries in every.items():
        where = "{0}.{1}".format(root, name)
        if not entries:
            yield Problem(where, "is empty", "write days, from and to below it, or remove it")
        for number, entry in enumerate(entries if isinstance(entries, list) else [entries]):
            at = "{0}[{1}]".format(where, number) if isinstance(entries, list) else where
            if entries:
                yield from _check_time(at, entry, version)


def _check_time(where, entry, version):
    known = ("days", "from", "to", "timezone", *_NATIVE_TIMES)
    if not isinstance(entry, dict):
        yield Problem(where, kind_of(entry), "write days, from and to below it")
        return
    yield from (unknown_key(where, key, known) for key in entry if key not in known)
    for days in _listed(entry.get("days")):
        if not _DAY.fullmatch(str(days)):
            yield Problem(where + ".days", "is {0}".format(shown(days)), "write days such as monday or monday-friday")
    times = [_clock(entry[key]) for key in ("from", "to") if key in entry]
    for key in ("from", "to"):
        if key in entry and not _TIME.fullmatch(_clock(entry[key])):
            yield Problem(
                "{0}.{1}".format(where, key), "is {0}".format(shown(entry[key])), "write a time such as 08:00"
            )
    if len(times) == 1:
        yield Problem(where, "has only one of from and to", "set both, or none for the whole day")
    if len(times) == 2 and all(map(_TIME.fullmatch, times)) and times[0] >= times[1]:
        remedy = "split it into two entries, {0} to 24:00 and 00:00 to {1}".format(*times)
        yield Problem(where, "ends at {1}, before it begins at {0}".format(*times), remedy)
    if "timezone" in entry:
        if not _ZONE.fullmatch(str(entry["timezone"])):
            found = "is {0}".format(shown(entry["timezone"]))
            yield Problem(where + ".timezone", found, "write a name such as Europe/Berlin")
        if too_old(version, LOCATION_SINCE):
            yield Problem(
                where + ".timezone", "needs Alertmanager " + LOCATION_SINCE, "deploy it, or write times in UTC"
            )


def _check_levels(root, declared):
    """The levels, the stages of critical and the user's routes."""
    names = _interval_names(declared)
    levels = {name: declared[name] for name in LEVELS if name in declared}
    for key in ("critical", "routes"):
        if key not in declared:
            continue
        if not isinstance(declared[key], list) or (key == "critical" and not declared[key]):
            yield Problem("{0}.{1}".format(root, key), kind_of(declared[key]), "write - channels: [...] below it")
            continue
        levels.update(("{0}[{1}]".format(key, number), level) for number, level in enumerate(declared[key]))
    if "group_by" in declared:
        yield from _check_group_by(root + ".group_by", declared["group_by"])
    waits = []
    for name, level in levels.items():
        where = "{0}.{1}".format(root, name)
        if not isinstance(level, dict):
            yield Problem(where, kind_of(level), "write a dictionary of {0}".format(", ".join(LEVEL_KEYS)))
            continue
        in_list = "[" in name
        known = LEVEL_KEYS + (("matchers", "continue") if name.startswith("routes[") else ())
        yield from (unknown_key(where, key, known) for key in level if key not in known)
        yield from _check_level(where, level, declared["channels"], names, in_list)
        if name.startswith("routes["):
            yield from _check_route(where, level)
        if name.startswith("critical[") and is_duration(level.get("wait", "0")):
            waits.append((where, level.get("wait", "0s")))
    for (dummy, before), (where, wait) in zip(waits, waits[1:]):
        if seconds(wait) < seconds(before):
            found = "is {0}, but the previous stage waits {1}".format(wait, before)
            yield Problem(where + ".wait", found, "let each stage wait longer than the previous one")
    if not _readers(declared):
        found = "has no channel except the dead man's switch"
        yield Problem(root + ".channels", found, "define another channel, such as monitoring")


def _check_level(where, level, channels, intervals, needs_channels):
    chosen = level.get("channels")
    if chosen is None and needs_channels:
        yield Problem(where + ".channels", "is missing", "name one or more of {0}".format(", ".join(channels)))
    for name in _listed(chosen):
        if name != ALL and str(name) not in channels:
            problem = unknown_key(where + ".channels", name, list(channels))
            yield problem._replace(variable=where + ".channels", found="{0} is not defined".format(shown(name)))
    for key in WAITS:
        if key in level:
            if not is_duration(level[key]):
                yield not_a_duration("{0}.{1}".format(where, key), level[key])
            elif key != "wait" and not seconds(level[key]):
                yield Problem("{0}.{1}".format(where, key), "is 0", "Alertmanager requires a duration greater than 0")
    for key in ("active", "mute"):
        for name in _listed(level.get(key)):
            if name not in intervals:
                declared = "defined are {0}".format(", ".join(intervals)) if intervals else "define it in mute_times"
                yield Problem("{0}.{1}".format(where, key), "{0} is not defined".format(shown(name)), declared)
    if "group_by" in level:
        yield from _check_group_by(where + ".group_by", level["group_by"])


def _check_group_by(where, labels):
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        yield Problem(where, kind_of(labels), "write a list of labels")


def _check_route(where, level):
    matchers = level.get("matchers")
    if not isinstance(matchers, list) or not matchers or not all(isinstance(entry, str) for entry in matchers):
        found = "is missing" if matchers is None else "is not a list of strings"
        yield Problem(where + ".matchers", found, 'write matchers such as - service="database"')
    if not isinstance(level.get("continue", False), bool):
        yield Problem(where + ".continue", kind_of(level["continue"]), "write true or false")


# Routing tree


def _listed(value):
    """One or several as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _interval_names(declared):
    times = declared.get("mute_times") if isinstance(declared.get("mute_times"), dict) else {}
    return [*([BUSINESS_HOURS] if BUSINESS_HOURS in declared else []), *(times or {})]


def _watching(declared):
    """The channels of the dead man's switch: they receive no other alerts."""
    level = declared.get("watchdog")
    chosen = level.get("channels") if isinstance(level, dict) else None
    return [name for name in _listed(chosen or LEVELS["watchdog"]["channels"]) if name in declared["channels"]]


def _readers(declared):
    watching = _watching(declared)
    return [name for name in declared["channels"] if name not in watching]


def _home(declared):
    """The channel for alerts without a channel of their own: monitoring, or else the first."""
    readers = _readers(declared)
    return ["monitoring"] if "monitoring" in readers else readers[:1]


def _levels(declared):
    """The complete levels, with defined channels only; and the stages of critical."""
    levels = {}
    for name, default in LEVELS.items():
        level = {**default, **(declared.get(name) or {})}
        if level["channels"] != ALL:
            level["channels"] = [one for one in _listed(level["channels"]) if one in declared["channels"]]
        if not level["channels"] and name != "watchdog":
            level["channels"] = levels["default"]["channels"] if levels.get("default") else _home(declared)
        levels[name] = level
    if declared.get("critical"):
        return levels, declared["critical"]
    stages, reached = [], set()
    for stage in CRITICAL:
        wanted = stage["channels"] if stages else _present(stage["channels"], declared) or levels["default"]["channels"]
        channels = [name for name in wanted if name in declared["channels"] and name not in reached]
        if wanted == ALL or channels:
            stages.append({**stage, "channels": wanted if wanted == ALL else channels})
            reached.update(channels)
    return levels, stages


def _present(names, declared):
    return [name for name in names if name in declared["channels"]]


def _clock(value):
    """A time of day; YAML reads 18:00 without quotes as a number to the base 60."""
    if isinstance(value, int) and not isinstance(value, bool):
        return "{0:02d}:{1:02d}".format(*divmod(value, 60))
    return str(value)


def _weekdays(days):
    """A day, or a range of days, in the format of Alertmanager."""
    first, last = _DAY.fullmatch(str(days)).groups()
    if last is None or first == last:
        return [first]
    if _DAYS.index(first) < _DAYS.index(last):
        return ["{0}:{1}".format(first, last)]
    return _weekdays("{0}-saturday".format(first)) + _weekdays("sunday-{0}".format(last))


def _interval(name, entries):
    shaped = []
    for entry in _listed(entries):
        found = {key: _listed(entry[key]) for key in _NATIVE_TIMES if key in entry}
        if "days" in entry:
            found["weekdays"] = [one for days in _listed(entry["days"]) for one in _weekdays(days)]
        if "from" in entry:
            found["times"] = [{"start_time": _clock(entry["from"]), "end_time": _clock(entry["to"])}]
        if "timezone" in entry:
            found["location"] = entry["timezone"]
        shaped.append(found)
    return {"name": name, "time_intervals": shaped}


class _Tree:
    """Routes and the receivers that they need."""

    def __init__(self, declared):
        self.declared = declared
        self.receivers = {}

    def receiver(self, channels):
        """The name of the receiver for these channels."""
        if ALL in channels:
            name, channels = ALL, _readers(self.declared)
        else:
            name = "+".join(dict.fromkeys(channels)) or NOBODY
        self.receivers[name] = list(dict.fromkeys(channels))
        return name

    def route(self, level, matchers, times, go_on=False):
        """One route.

        :param times: ``active`` and ``mute`` if the level does not set them.
        """
        route = {"receiver": self.receiver(_listed(level["channels"]))}
        if matchers:
            route["matchers"] = matchers
        route.update(self.grouping(level))
        for key, native in (("active", "active_time_intervals"), ("mute", "mute_time_intervals")):
            names = _listed(level.get(key, times.get(key)))
            if names:
                route[native] = names
        if go_on:
            route["continue"] = True
        return route

    def grouping(self, level):
        """Grouping and waiting times of a level, as keys of a route."""
        found = {"group_by": level["group_by"]} if "group_by" in level else {}
        found.update((native, str(level[key])) for key, native in WAITS.items() if key in level)
        return found


def _route(declared, tree):
    levels, stages = _levels(declared)
    default = levels["default"]
    root = {"receiver": tree.receiver(_listed(default["channels"]))}
    by = declared.get("group_by", GROUP_BY)
    mute = list(declared.get("mute_times") or {})
    times = {name: {"mute": mute} for name in LEVELS}
    times["watchdog"] = {}
    for name in IN_BUSINESS_HOURS if BUSINESS_HOURS in declared else ():
        times[name] = {"mute": mute, "active": [BUSINESS_HOURS]}
    # An alert that joins a group waits for its interval: a critical one must not wait for that of another instance.
    critical_by = by if "instance" in by or "..." in by else [*by, "instance"]

    routes = [
        tree.route(levels["watchdog"], [WATCHDOG], times["watchdog"]),
        tree.route(levels["failures"], [FAILURES], times["failures"]),
    ]
    for level in declared.get("routes") or []:
        routes.append(tree.route(level, level["matchers"], times["default"], level.get("continue", False)))
    for number, stage in enumerate(stages):
        stage = {"group_by": critical_by, **stage}
        more = number + 1 < len(stages)
        routes.append(tree.route(stage, ['severity="critical"'], times["default"], more))
    for name in ("warning", "info"):
        routes.append(tree.route(levels[name], ['severity="{0}"'.format(name)], times[name]))
    if _listed(default.get("mute", times["default"]["mute"])) or default.get("active"):
        # Alertmanager does not allow muting the root route.
        routes.append(tree.route(default, [], times["default"]))
    return {**root, "group_by": by, **tree.grouping(default), "routes": routes}


def _integration(declared, name, files):
    """A channel as a receiver's section and its configuration."""
    channel = dict(declared["channels"][name])
    kind = KINDS[channel.pop("kind")]
    if isinstance(channel.get("to"), list):
        channel["to"] = ", ".join(channel["to"])
    # The API's own URL is not a secret, and Alertmanager needs it in the configuration to update messages.
    secrets = [key for key in kind.secrets if channel.get(key) != SLACK_API]
    # A message that the Watchdog is resolved would look like a sign of life to a dead man's switch.
    config = {"send_resolved": name not in _watching(declared), **hide(channel, (name,), secrets, files)}
    return kind.section, {**config, **{key: value for key, value in kind.message.items() if key not in config}}


def _inhibit_rules(version):
    named = not too_old(version, RULE_NAME_SINCE)
    return [
        {
            **({"name": name} if named else {}),
            "source_matchers": list(sources),
            "target_matchers": list(targets),
            "equal": list(equal),
        }
        for name, sources, targets, equal in INHIBITIONS
    ]


def escalate(settings):
    """The configuration that is generated from a declaration.

    :param settings: the role's inputs without their prefix: ``escalation``, ``route``, ``receivers``,
        ``inhibit_rules``, ``time_intervals``, ``smtp``, and the ``version`` that will run.
    :returns: dict with ``route``, ``receivers``, ``inhibit_rules``, ``time_intervals`` and ``smtp``; ``files``, the
        secrets by the path of their files inside the configuration directory. Without a declaration, the inputs.
    :raises EscalationError: when it is invalid.
    """
    kept = {key: settings[key] for key in ("route", "receivers", "inhibit_rules", "time_intervals", "smtp")}
    declared = settings["escalation"]
    if not declared:
        return {**kept, "files": {}}
    problems = list(check_escalation(settings))
    if problems:
        raise EscalationError("\n".join(str(problem) for problem in problems))
    tree, files = _Tree(declared), {}
    route = _route(declared, tree)
    receivers = []
    for name, channels in tree.receivers.items():
        receiver = {"name": name}
        for channel in channels:
            section, config = _integration(declared, channel, files)
            receiver.setdefault(section, []).append(config)
        receivers.append(receiver)
    times = dict(declared.get("mute_times") or {})
    if BUSINESS_HOURS in declared:
        times[BUSINESS_HOURS] = declared[BUSINESS_HOURS]
    smtp = dict(settings["smtp"] or {})
    if smtp.get("auth_password") and not too_old(settings["version"], KINDS["email"].secrets["auth_password"]):
        files[secret_path("smtp", "auth_password")] = str(smtp.pop("auth_password")).strip()
        smtp["auth_password_file"] = secret_path("smtp", "auth_password")
    return {
        "route": route,
        "receivers": receivers,
        "inhibit_rules": _inhibit_rules(settings["version"]) + list(settings["inhibit_rules"] or []),
        "time_intervals": [_interval(*time) for time in times.items()] + list(settings["time_intervals"] or []),
        "smtp": smtp,
        "files": files,
    }
