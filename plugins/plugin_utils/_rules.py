# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rule groups from packs of alerts, thresholds and the inventory. Data in, data out.

A pack is a file in ``bundled/rules``. In its texts, ``<< name >>`` is a parameter, and ``<< instance >>`` stands among the
matchers if hosts may have thresholds of their own: such an alert becomes one rule for the hosts with the environment's
threshold, and one more for each other threshold.
"""

from __future__ import annotations

import functools
import os
import re
from typing import NamedTuple

import yaml
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import COLLECTION
from ansible_collections.vigil.monitoring.plugins.plugin_utils._labels import is_label, way_out
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import (
    Problem,
    is_duration,
    not_a_duration,
    shown,
    unknown_key,
)

# In a list of packs, it selects those whose exporters are in the inventory.
AUTO = "auto"
TIERS = ("critical", "warning", "info", "none")
# Labels and annotations that the packs set themselves.
OWN_LABELS = ("alertname", "severity", "service")
OWN_ANNOTATIONS = ("summary", "description", "runbook_url", "dashboard_url")
VARIABLE = "prometheus_thresholds"

_DIRECTORY = os.path.join(COLLECTION, "bundled", "rules")
# The order of the packs in Prometheus: that of a rule file that is there already; others follow by name.
_FIRST = ("host", "api", "database", "containers", "probe", "tls", "backup", "monitoring")


def _packs(directory=_DIRECTORY):
    """The names of the packs, from their files."""
    names = {name[:-4] for name in os.listdir(directory) if name.endswith(".yml")}
    return tuple(sorted(names, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)))


PACKS = _packs()
_SLOT = re.compile(r"<< (\w+) >>")
_INSTANCE = "<< instance >>"
# What a report shows in percent of a host -> the alert at whose thresholds it is marked.
MARKED = {"cpu": "HighCPUUsage", "memory": "HighMemoryUsage", "disk": "HighDiskUsage"}
_NAME = re.compile(r'[^"\\{}<>\s]([^"\\{}<>\n]*[^"\\{}<>\s])?')
# An alerting rule's name in the text of a rule file, in block or in flow style.
_ALERT = re.compile(r"""(?m)(?:^|[-{,\s])["']?alert["']?:\s+["']?([^"'\s,}#]+)""")
# The comparison that a report removes from an expression to get the compared value.
_COMPARED = re.compile(r" (>=|<=|>|<) << threshold >>")


class Link(NamedTuple):
    """The dashboard in Grafana for the alerts of a pack.

    :ivar dashboard: uid of the dashboard.
    :ivar variables: its variables that are also labels of the alerts.
    """

    dashboard: str
    variables: tuple = ()


class RulesError(ValueError):
    """Packs or thresholds are invalid; the message says where and why."""


class Tier(NamedTuple):
    """The resolved settings of one severity of an alert.

    :ivar values: value of each parameter by name.
    :ivar wait: ``for``.
    """

    values: dict
    wait: str


@functools.lru_cache(maxsize=1)
def load_packs(directory=_DIRECTORY):
    """The packs by name, as loaded from their files."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    packs = {}
    for name in PACKS:
        with open(os.path.join(directory, name + ".yml"), encoding="utf-8") as stream:
            packs[name] = yaml.load(stream, Loader=loader)
    return packs


def link_of(pack):
    """The dashboard of a pack.

    :param pack: as loaded from its file: ``dashboard`` is the uid, ``variables`` those that are also labels.
    """
    return Link(pack["dashboard"], tuple(pack.get("variables") or ()))


def alerts_of(packs):
    """All alerts by name."""
    return {name: alert for pack in packs.values() for name, alert in pack["alerts"].items()}


def tiers_of(alert):
    """The severities that an alert has."""
    return [tier for tier in TIERS if tier in alert]


def per_instance(alert):
    """Whether hosts may have thresholds of their own for this alert."""
    return any(_INSTANCE in _expression(alert, tier) for tier in tiers_of(alert))


def _expression(alert, tier):
    return alert[tier].get("expr") or alert["expr"]


def merge(under, over):
    """Override thresholds: mappings are merged, ``false`` disables, and ``true`` restores the pack's own."""
    if over is True:
        return {}
    if not isinstance(over, dict):
        return over
    under = under if isinstance(under, dict) else {}
    return {**under, **{key: merge(under.get(key), value) for key, value in over.items()}}


# Thresholds


def check_thresholds(packs, thresholds, where=VARIABLE):
    """Problems of thresholds.

    :param where: the variable, for the messages.
    """
    if not isinstance(thresholds, dict):
        yield Problem(where, "is {0}".format(shown(thresholds)), "write a dictionary of alerts")
        return
    alerts = alerts_of(packs)
    for name, given in thresholds.items():
        if name not in alerts:
            yield unknown_key(where, name, list(alerts))
        else:
            dummy, problems = resolve(alerts[name], given, "{0}.{1}".format(where, name))
            yield from problems


def check_host(packs, thresholds, of_host, host):
    """Problems of the thresholds of one host, which override the environment's.

    :param thresholds: those of the environment, which are valid.
    """
    where = "{0} of host {1}".format(VARIABLE, host)
    problems = list(check_thresholds(packs, of_host, where))
    # Each is valid alone: check the combination.
    yield from problems or check_thresholds(packs, merge(thresholds, of_host), where)
    if problems:
        return
    alerts = alerts_of(packs)
    for name, given in of_host.items():
        if per_instance(alerts[name]):
            continue
        usual = resolve(alerts[name], thresholds.get(name, {}), "")[0]
        if resolve(alerts[name], merge(thresholds.get(name), given), "")[0] != usual:
            yield Problem(
                "{0}.{1}".format(where, name),
                "is not about a single host",
                "set it for the Prometheus server, such as in group_vars/prometheus",
            )


def resolve(alert, given, where):
    """An alert's severities, with the user's thresholds overriding the pack's.

    :param alert: the alert in its pack.
    :param given: its entry in the thresholds.
    :param where: path of that entry.
    :returns: mapping of severities to :class:`Tier`, None for disabled ones; and a list of problems.
    """
    problems = []
    shipped = tiers_of(alert)
    if given is False:
        return dict.fromkeys(shipped), problems
    given = {} if given is True or given is None else given
    if not isinstance(given, dict):
        problems.append(Problem(where, "is {0}".format(shown(given)), "write a dictionary, or false to disable it"))
        return {}, problems
    parameters = alert.get("parameters") or {}
    # The user may add a severity if one expression is used for all.
    tiers = [tier for tier in TIERS if tier in alert or ("expr" in alert and tier in given and tier != "none")]
    common = {}
    for key, value in given.items():
        path = "{0}.{1}".format(where, key)
        if key in tiers:
            continue
        if key != "for" and key not in parameters:
            possible = [tier for tier in TIERS if tier in alert or ("expr" in alert and tier != "none")]
            problems.append(unknown_key(where, key, [*possible, "for", *parameters]))
        elif not _wrong(key, parameters.get(key), value, path, problems):
            common[key] = value
    resolved = {}
    for tier in tiers:
        resolved[tier] = _resolve_tier(alert, tier, given.get(tier), common, "{0}.{1}".format(where, tier), problems)
    if not problems:
        problems += _out_of_order(parameters, resolved, where)
    return resolved, problems


def _resolve_tier(alert, tier, given, common, where, problems):
    if given is False:
        return None
    parameters = alert.get("parameters") or {}
    given = {} if given is True or given is None else given
    if isinstance(given, (int, float)) and "threshold" in parameters:
        # HighDiskUsage.critical: 95
        given = {"threshold": given}
    if not isinstance(given, dict):
        remedy = "write a dictionary of {0}, or false to disable it".format(", ".join(["for", *parameters]))
        problems.append(Problem(where, "is {0}".format(shown(given)), remedy))
        return None
    found = {name: rule["default"] for name, rule in parameters.items() if "default" in rule}
    found.update({name: None for name, rule in parameters.items() if "from" in rule})
    like = alert.get(tier) or {"for": alert[tiers_of(alert)[0]]["for"]}
    found.update((name, value) for name, value in like.items() if name != "expr")
    found.update(common)
    for key, value in given.items():
        path = "{0}.{1}".format(where, key)
        if key != "for" and key not in parameters:
            problems.append(unknown_key(where, key, ["for", *parameters]))
        elif not _wrong(key, parameters.get(key), value, path, problems):
            found[key] = value
    for name in parameters:
        if name not in found and "{0}.{1}".format(where, name) not in [problem.variable for problem in problems]:
            found_none = "is missing, and the pack has no {0} for this alert".format(tier)
            problems.append(Problem("{0}.{1}".format(where, name), found_none, "set it"))
    return Tier({name: found.get(name) for name in parameters}, str(found["for"]))


def _wrong(key, parameter, value, where, problems):
    """Whether a value is invalid for a parameter; the problem is added to the others."""
    if key == "for":
        if isinstance(value, bool) or not is_duration(value):
            problems.append(not_a_duration(where, value))
            return True
        return False
    kind = parameter.get("kind", "number")
    if kind == "names":
        names = value if isinstance(value, list) else None
        remedy = "write a list of {0}".format(parameter["unit"])
    elif kind == "sizes":
        names = list(value) if isinstance(value, dict) else None
        remedy = "write a dictionary: {0}".format(parameter["unit"])
    else:
        names, remedy = [], ""
    if names is None:
        problems.append(Problem(where, "is {0}".format(shown(value)), remedy))
        return True
    before = len(problems)
    for name in names:
        if not isinstance(name, (str, int)) or isinstance(name, bool) or not _NAME.fullmatch(str(name)):
            problems.append(Problem(where, "{0} is not a valid name".format(shown(name)), remedy))
    if kind == "names":
        return len(problems) > before
    numbers = (
        {"{0}.{1}".format(where, name): size for name, size in value.items()} if kind == "sizes" else {where: value}
    )
    for path, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            unit = parameter["unit"] if kind == "number" else "connections"
            problems.append(Problem(path, "is {0}".format(shown(number)), "write a number ({0})".format(unit)))
        elif not parameter["min"] <= number <= parameter["max"]:
            between = "use one from {0} to {1}".format(_number(parameter["min"]), _number(parameter["max"]))
            problems.append(Problem(path, "is {0}".format(shown(number)), between))
    return len(problems) > before


def _out_of_order(parameters, resolved, where):
    """Lower severities whose threshold is beyond that of a higher one."""
    present = [tier for tier in TIERS if resolved.get(tier)]
    for grave, mild in zip(present, present[1:]):
        for name, parameter in parameters.items():
            worse = parameter.get("worse")
            graver, milder = resolved[grave].values[name], resolved[mild].values[name]
            if (worse == "higher" and milder > graver) or (worse == "lower" and milder < graver):
                yield Problem(
                    "{0}.{1}.{2}".format(where, mild, name),
                    "is {0}, {1} the {2} of {3}".format(
                        _number(milder), "above" if worse == "higher" else "below", _number(graver), grave
                    ),
                    "let {0} fire before {1}, or disable one of them with false".format(mild, grave),
                )


# Packs


def check_packs(wanted, where="prometheus_rule_packs"):
    """Problems of the list of packs."""
    for name in wanted:
        if name not in (AUTO, *PACKS):
            problem = unknown_key(where, name, [AUTO, *PACKS])
            yield problem._replace(variable=where, found="unknown pack {0}".format(shown(name)))


def check_additions(labels, annotations, version=None):
    """Problems of labels and annotations for all alerts of the packs.

    :param version: of Prometheus, if it is known.
    """
    for where, found, own in (
        ("prometheus_rule_labels", labels, OWN_LABELS),
        ("prometheus_rule_annotations", annotations, OWN_ANNOTATIONS),
    ):
        for name, value in found.items():
            path = "{0}.{1}".format(where, name)
            if name in own:
                yield Problem(path, "is set by the packs", "choose another name")
            elif not is_label(name, version):
                yield Problem(path, "is not a valid label name", way_out(name))
            elif isinstance(value, (dict, list)) or value is None:
                yield Problem(path, "is {0}".format(shown(value)), "write a string")


def chosen(packs, wanted, facts):
    """The names of the packs to deploy, in their own order.

    :param wanted: names of packs; ``auto`` selects those whose exporters are in the inventory, or whose fact is not empty.
    :param facts: see :func:`rule_groups`.
    """
    names = set(wanted)
    if AUTO in names:
        there = {*facts["groups"], *facts["groups"].values(), *facts["jobs"]}
        names |= {
            name for name, pack in packs.items() if there & set(pack["exporters"]) or facts.get(pack.get("selected_by"))
        }
    return [name for name in PACKS if name in names]


def own_alerts(settings):
    """The names of the user's own alerts, in the variable and in files.

    Files are only searched, not parsed: there may be thousands, and promtool reports their errors.

    :param settings: dict: ``alert_rules``, and ``rule_files`` as the lookup user_files finds them.
    """
    names = [rule.get("alert") for rule in settings["alert_rules"] or () if isinstance(rule, dict)]
    for entry in settings.get("rule_files") or ():
        names += _ALERT.findall(entry["content"])
    return [name for name in names if name]


def beside_own(packs, wanted, thresholds, facts, own):
    """A message for users with alerts of their own, to whom ``auto`` adds alerts of the packs, or None.

    :param wanted: names of packs. There is a message only for ``auto``.
    :param own: names of the user's alerts.
    :raises RulesError: when packs or thresholds are invalid.
    """
    if AUTO not in wanted or not own:
        return None
    bare = {"rule_labels": {}, "rule_annotations": {}, "runbook_url": "", "dashboard_url": ""}
    given = {"rule_packs": wanted, "thresholds": thresholds, "alert_rules": [{"alert": name} for name in own], **bare}
    groups = rule_groups(packs, given, facts)
    severities = [
        rule["labels"]["severity"]
        for of_pack in groups.values()
        for group in of_pack
        for rule in group["rules"]
        if "alert" in rule
    ]
    if not severities:
        return None
    return (
        "in addition to {0} alert{1} of your own it has {2} of the packs {3} ({4} critical), because prometheus_rule_packs is auto:"
        " set it to the packs that you want, or to [] for none"
    ).format(len(own), "" if len(own) == 1 else "s", len(severities), ", ".join(groups), severities.count("critical"))


def rule_groups(packs, settings, facts):
    """The rule groups of the packs to deploy.

    :param packs: as :func:`load_packs` returns them.
    :param settings: dict: ``rule_packs``, ``thresholds``, ``rule_labels``, ``rule_annotations``, ``runbook_url``,
        ``dashboard_url`` and ``alert_rules``, the inputs without their prefix; optionally ``rule_files``, as for
        :func:`own_alerts`.
    :param facts: dict: ``groups``, the inventory groups that are scraped and the job of each; ``jobs`` that must have
        targets; optionally ``partial``, the jobs of which other shards have targets; numbers of ``alertmanagers`` and of
        ``members`` of their cluster; optionally ``backups``, the names of those of the role backup; ``overrides``, the hosts
        with thresholds of their own as ``host``, ``instances`` and ``thresholds``.
    :returns: mapping of packs to lists of groups in the format of Prometheus.
    :raises RulesError: when packs or thresholds are invalid.
    """
    thresholds = settings["thresholds"]
    problems = [*check_packs(settings["rule_packs"]), *check_thresholds(packs, thresholds)]
    problems += check_additions(settings["rule_labels"], settings["rule_annotations"], settings.get("version"))
    if not problems:
        for entry in facts["overrides"]:
            problems += check_host(packs, thresholds, entry["thresholds"], entry["host"])
    if problems:
        raise RulesError("\n".join(str(problem) for problem in problems))
    # An alert of the user replaces the one of the same name.
    taken = set(own_alerts(settings))
    groups = {}
    for name in chosen(packs, settings["rule_packs"], facts):
        pack = packs[name]
        rules = [{"record": record, "expr": expr.strip()} for record, expr in (pack.get("record") or {}).items()]
        known = {**facts, "own_jobs": own_jobs(pack, facts)}
        found = {"": {"name": "vigil-" + name, "rules": rules}}
        for alert, given in pack["alerts"].items():
            if alert in taken:
                continue
            interval = given.get("interval", "")
            more = _Alert(name, pack, alert, settings, known).rules()
            if more and interval not in found:
                found[interval] = {"name": "vigil-{0}-{1}".format(name, interval), "interval": interval, "rules": []}
            if more:
                found[interval]["rules"] += more
        groups[name] = list(found.values())
    return groups


def own_jobs(pack, facts):
    """The jobs that a pack is about."""
    jobs = {job for group, job in facts["groups"].items() if group in pack["exporters"] or job in pack["exporters"]}
    return sorted(jobs | {job for job in facts["jobs"] if job in pack["exporters"]})


def left_out(packs, settings, facts):
    """The names of the alerts that this Prometheus does not get because other shards have some of the targets that they are about,
    and it has others.

    Parameters as of :func:`rule_groups`.
    """
    taken = set(own_alerts(settings))
    found = []
    split = [job for job in facts.get("partial") or () if job in facts["jobs"]]
    for name in chosen(packs, settings["rule_packs"], facts) if split else ():
        whole = {**facts, "own_jobs": own_jobs(packs[name], facts), "partial": []}
        known = {**whole, "partial": split}
        for alert in packs[name]["alerts"]:
            here, alone = (list(_Alert(name, packs[name], alert, settings, each).rules()) for each in (known, whole))
            if alert not in taken and alone and not here:
                found.append(alert)
    return found


class _Alert:
    """Generates the rules of an alert."""

    def __init__(self, name_of_pack, pack, name, settings, facts):
        self.pack, self.link, self.name, self.alert = name_of_pack, link_of(pack), name, pack["alerts"][name]
        self.settings, self.facts = settings, facts
        self.parameters = self.alert.get("parameters") or {}
        # Jobs of which other shards have targets, where the alert is about all of them.
        partial = set(facts.get("partial") or ())
        of = {"any": partial, "own": set(facts["own_jobs"])}.get(self.alert.get("needs_all"), set())
        self.partial = sorted(partial & of)

    def rules(self):
        """The rules of all severities, including hosts with thresholds of their own."""
        if self.partial and "on_a_part" not in self.alert:
            return []
        return [
            rule for tier, variants in self.variants().items() for found in variants for rule in self.tier(tier, *found)
        ]

    def variants(self):
        """For each severity its distinct settings, each with the matcher of its instances."""
        thresholds = self.settings["thresholds"].get(self.name, {})
        usual = resolve(self.alert, thresholds, "")[0]
        own = []
        for entry in self.facts["overrides"] if per_instance(self.alert) else ():
            if self.name in entry["thresholds"] and entry["instances"]:
                merged = merge(thresholds, entry["thresholds"][self.name])
                own.append((entry["instances"], resolve(self.alert, merged, "")[0]))
        found = {}
        for tier in TIERS:
            if tier not in usual and not any(tier in tiers for dummy, tiers in own):
                continue
            others, excepted = {}, []
            for instances, tiers in own:
                if tiers.get(tier) != usual.get(tier):
                    excepted += instances
                    if tiers.get(tier):
                        key = repr(tiers[tier])
                        others.setdefault(key, (tiers[tier], []))[1].extend(instances)
            found[tier] = [(usual[tier], _matcher(excepted, False))] if usual.get(tier) else []
            found[tier] += [(settings, _matcher(instances, True)) for settings, instances in others.values()]
        return found

    def tier(self, tier, settings, matcher):
        """The rules of one severity with these settings: one, or one for each name."""
        for values in self.values(settings):
            text = functools.partial(_filled, values=values)
            rule = {"alert": self.name, "expr": text(_with_matcher(self.template(tier), matcher)).strip()}
            if settings.wait not in ("0", "0s"):
                rule["for"] = settings.wait
            labels = {"severity": tier, "service": self.pack}
            labels.update((name, text(value)) for name, value in (self.alert.get("labels") or {}).items())
            rule["labels"] = {**_texts(self.settings["rule_labels"]), **labels}
            rule["annotations"] = {
                "summary": text(self.alert["summary"]),
                "description": text(self.alert["description"]),
                **self.links(),
                **_texts(self.settings["rule_annotations"]),
            }
            yield rule

    def template(self, tier):
        """The expression of a severity, unfilled."""
        if self.partial:
            return self.alert["on_a_part"]
        return (self.alert.get(tier) or {}).get("expr") or self.alert["expr"]

    def links(self):
        """The annotations with links."""
        links = {}
        if self.settings["runbook_url"]:
            links["runbook_url"] = runbook(self.settings["runbook_url"], self.name)
        if self.settings["dashboard_url"]:
            base = self.settings["dashboard_url"].rstrip("/")
            links["dashboard_url"] = base + self.panel()
        return links

    def panel(self):
        """The path in Grafana of the alert's panel, with the alert's labels selected; else of its dashboard."""
        link = self.link
        path = "/d/{0}".format(link.dashboard)
        if "panel" not in self.alert:
            return path
        path += "?viewPanel={0}".format(self.alert["panel"])
        # Prometheus expands this: an alert may lack some of these labels.
        chosen_there = "{{{{ with $labels.{0} }}}}&var-{0}={{{{ . | urlquery }}}}{{{{ end }}}}"
        return path + "".join(chosen_there.format(name) for name in link.variables)

    def values(self, settings):
        """The values of the parameters: one mapping for each rule, none if there is nothing to monitor."""
        values, repeated = {"for": settings.wait, "partial": _quoted("|".join(map(re.escape, self.partial)))}, [{}]
        for name, parameter in self.parameters.items():
            value = settings.values[name]
            if value is None and "from" in parameter:
                value = self.facts.get(parameter["from"])
            if parameter.get("when_empty") and not value:
                return
            if parameter.get("kind") == "names" and "each" in parameter:
                repeated = [{parameter["each"][0]: str(one)} for one in value]
            elif parameter.get("kind") == "names":
                values[name] = _quoted("|".join(re.escape(str(one)) for one in value))
            elif parameter.get("kind") == "sizes":
                repeated = [dict(zip(parameter["each"], (str(key), _number(size)))) for key, size in value.items()]
            else:
                values[name] = _number(value)
        for more in repeated:
            yield {**values, **more}


def runbook(base, alert):
    """The URL of an alert's runbook: ``{alert}`` in the base is replaced by its name; otherwise the name is appended."""
    return base.replace("{alert}", alert) if "{alert}" in base else "{0}/{1}".format(base.rstrip("/"), alert)


def thresholds_of(packs, settings, facts):
    """Alerts as compared value and threshold, if there is one: what a report compares with history.

    :returns: list of dicts with ``alert``, ``severity``, ``expr``, ``op``, ``threshold`` and ``for``.
    """
    found = []
    taken = set(own_alerts(settings))
    for pack in chosen(packs, settings["rule_packs"], facts):
        known = {**facts, "own_jobs": own_jobs(packs[pack], facts)}
        for name in packs[pack]["alerts"]:
            if name in taken:
                continue
            shaped = _Alert(pack, packs[pack], name, settings, known)
            if not shaped.rules():
                continue
            for tier, variants in shaped.variants().items():
                template = shaped.template(tier)
                compared = _COMPARED.findall(template)
                # With `or`, its other side has no threshold.
                if len(compared) != 1 or re.search(r"(?m)^or ", template):
                    continue
                for tier_settings, matcher in variants:
                    for values in shaped.values(tier_settings):
                        expr = _filled(_with_matcher(_COMPARED.sub("", template), matcher), values)
                        found.append(
                            {
                                "alert": name,
                                "severity": tier,
                                "expr": " ".join(expr.split()),
                                "op": compared[0],
                                "threshold": float(values["threshold"]),
                                "for": tier_settings.wait,
                            }
                        )
    return found


def marks(packs, thresholds, overrides=()):
    """The thresholds at which a report marks what it shows: those of the alerts in :data:`MARKED`.

    :param thresholds: those of the environment.
    :param overrides: see :func:`rule_groups`.
    :returns: dict: ``cpu``, ``memory`` and ``disk``, each a mapping of severities to percent; ``of``, the same three of each
        instance that has its own; ``backup``, a mapping of severities to hours. A disabled severity is omitted.
    :raises RulesError: when thresholds are invalid.
    """
    problems = list(check_thresholds(packs, thresholds))
    for entry in overrides if not problems else ():
        problems += check_host(packs, thresholds, entry["thresholds"], entry["host"])
    if problems:
        raise RulesError("\n".join(str(problem) for problem in problems))
    alerts = alerts_of(packs)

    def bounds(name, given):
        found = resolve(alerts[name], given.get(name), "")[0]
        return {tier: settings.values["threshold"] for tier, settings in found.items() if settings}

    def of_host(given):
        return {what: bounds(name, given) for what, name in MARKED.items()}

    own = {
        instance: of_host(merge(thresholds, entry["thresholds"]))
        for entry in overrides
        for instance in entry["instances"]
    }
    return {**of_host(thresholds), "of": own, "backup": bounds("BackupTooOld", thresholds)}


def _filled(text, values):
    return _SLOT.sub(lambda match: values[match.group(1)], text)


def _with_matcher(text, matcher):
    if matcher:
        return text.replace(_INSTANCE, matcher)
    return text.replace("{" + _INSTANCE + "}", "").replace(", " + _INSTANCE, "").replace(_INSTANCE + ", ", "")


def _matcher(instances, equal):
    """A matcher of the label instance; none for no instances."""
    found = sorted(set(instances))
    if not found:
        return ""
    if len(found) == 1:
        return 'instance{0}"{1}"'.format("=" if equal else "!=", _quoted(found[0]))
    return 'instance{0}"{1}"'.format("=~" if equal else "!~", _quoted("|".join(map(re.escape, found))))


def _quoted(text):
    """A text, escaped for a PromQL string."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _number(value):
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _texts(mapping):
    return {str(name): str(value).lower() if isinstance(value, bool) else str(value) for name, value in mapping.items()}
