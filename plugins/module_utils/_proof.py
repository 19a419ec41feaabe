# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what a service says is what was asked of it, and the summary of it all. Answers in, findings and text out."""

from __future__ import annotations

import json
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from ansible_collections.vigil.monitoring.plugins.module_utils._clean import clean, clean_lines
from ansible_collections.vigil.monitoring.plugins.module_utils._duration import seconds
from ansible_collections.vigil.monitoring.plugins.module_utils._health import RELOAD, reported
from ansible_collections.vigil.monitoring.plugins.module_utils._targets import explain, table
from ansible_collections.vigil.monitoring.plugins.module_utils._version import same_version

OK, WAIT, RED, UNPROVEN = "ok", "wait", "red", "unproven"
MARKS = {OK: "✓", RED: "✗", UNPROVEN: "?", "unchecked": "·"}
# More lines of one service than this are folded into one, as far as they are good and alike.
FOLD = 30
REASONS = 20
# Characters of a line below the table: a line of a log, maybe.
LINE = 500
# Whoever has to reach them proves that by itself.
SCRAPED_ONLY = ("node_exporter", "blackbox_exporter", "postgres_exporter", "cadvisor")
# Seconds after its start until Prometheus hands what it has discovered to those who scrape.
DISCOVERY = 10.0


class Finding(NamedTuple):
    """What one check found.

    :ivar state: ``ok``; ``wait`` (may become good); ``red`` (will not); ``unproven`` (cannot be told).
    :ivar text: why, for people; empty when it is good.
        What is good may have a word, too.
    :ivar due: seconds that Prometheus itself takes its time until it can be good, as it looks only every so often.
    :ivar otherwise: what it is where it has not become good when it was due.
    """

    state: str
    text: str = ""
    due: float = 0.0
    otherwise: str = RED


GOOD = Finding(OK)


def check_version(health, metrics, wanted_version):
    """A service's version and its last reload, from its metrics.

    :param health: result of :func:`_health.complete`.
    :param wanted_version: version asked for; empty for any.
    :returns: the version that serves, or None, and a :class:`Finding`.
    """
    found = reported(health, metrics)
    if found.version is None:
        return None, Finding(RED, "what answers there is no {0}".format(health["name"]))
    if wanted_version and not same_version(found.version, wanted_version):
        return found.version, Finding(
            RED, "version {0} serves, {1} was asked for".format(found.version, wanted_version)
        )
    if health["on_config_change"] == RELOAD and found.reload_successful is False:
        return found.version, Finding(
            RED, "its last reload failed: it does not serve the configuration that is on disk; its log says why"
        )
    return found.version, GOOD


def standing(kind, page, collectors=()):
    """What a service goes on without, sentences: nothing is red because of it, and somebody should know.

    :param kind: name of its role.
    :param page: its metrics, a :class:`_exposition.Page`.
    :param collectors: of node_exporter, those that were asked for by name; others say zero where a host has nothing for them.
    """
    if kind == "node_exporter":
        failing = [
            labels["collector"]
            for labels, value in page.samples("node_scrape_collector_success")
            if value == 0 and labels.get("collector") in collectors
        ]
        return ["its collector {0} was asked for and finds nothing; its log says why".format(name) for name in failing]
    if kind == "prometheus" and page.value("prometheus_tsdb_wal_corruptions_total"):
        return [
            "its write-ahead log was corrupt when it started: what came after the damage was dropped (its log names the"
            " segment). Samples of the last hours may be gone; restore the data from a backup where they are needed"
        ]
    return []


def config_hash(metrics):
    """The hash by which Alertmanagers tell whether they have the same configuration, as text, or None."""
    found = re.search(r"(?m)^alertmanager_config_hash(?:\{[^}\n]*\})? (\S+)$", metrics)
    return found.group(1) if found else None


def data_of(payload):
    """The ``data`` of an answer of Prometheus' API.

    :raises ValueError: when it is none, in words.
    """
    try:
        answer = json.loads(payload)
    except ValueError as error:
        raise ValueError("the answer is not JSON") from error
    if not isinstance(answer, dict) or answer.get("status") != "success" or not isinstance(answer.get("data"), dict):
        raise ValueError("the answer is not one of Prometheus' API")
    return answer["data"]


def check_rules(data, wanted):
    """Rules that fail, and rules that are not there.

    :param data: ``data`` of ``/api/v1/rules``.
    :param wanted: whether there have to be rules.
    """
    groups = data.get("groups") or []
    failing, waiting = [], []
    for group in groups:
        for rule in group.get("rules") or ():
            if rule.get("health") == "err":
                failing.append((group, rule))
            elif rule.get("health") != "ok":
                waiting.append((group, rule))
    if failing:
        rows = [(group.get("name", ""), rule.get("name", ""), rule.get("lastError") or "") for group, rule in failing]
        text = "{0} rule{1} fail{2}:\n".format(len(rows), "s" if len(rows) > 1 else "", "" if len(rows) > 1 else "s")
        left = len(rows) - REASONS
        return Finding(WAIT, text + table(("GROUP", "RULE", "WHY"), rows[:REASONS], max(0, left)))
    if wanted and not any(group.get("rules") for group in groups):
        return Finding(WAIT, "it has loaded no rules, though the inventory gives it some")
    if waiting:
        interval = max(float(group.get("interval") or 0) for group, dummy in waiting)
        text = "{0} rule{1} not been evaluated yet".format(len(waiting), " has" if len(waiting) == 1 else "s have")
        return Finding(WAIT, "{0} (every {1:g} s)".format(text, interval), interval + DISCOVERY)
    return GOOD


def firing_interval(data):
    """The longest interval of the rule groups that have an alert which fires, in seconds; None where none does.

    :param data: ``data`` of ``/api/v1/rules``.
    """
    found = [
        float(group.get("interval") or 0)
        for group in data.get("groups") or ()
        if any(rule.get("state") == "firing" for rule in group.get("rules") or ())
    ]
    return max(found) if found else None


def check_targets(verdict, targets):
    """Targets that are missing, down, or not scraped yet.

    :param verdict: of the targets that are expected.
    :param targets: all of them.
    """
    if verdict.healthy:
        return GOOD
    due = 0.0
    if not verdict.missing and all(target.health == "unknown" for target in verdict.down):
        due = max((seconds(target.interval) for target in verdict.down), default=0.0) + DISCOVERY
    return Finding(WAIT, explain(verdict, targets), due)


def check_alertmanagers(data, wanted):
    """Alertmanagers that Prometheus should tell and does not know.

    :param data: ``data`` of ``/api/v1/alertmanagers``.
    :param wanted: addresses with ports.
    """
    known = {
        urlsplit(found.get("url") or "").netloc.rpartition("@")[2] for found in data.get("activeAlertmanagers") or ()
    }
    missing = sorted(address for address in set(wanted) if address not in known)
    if not missing:
        return GOOD
    listed = ", ".join(missing[:REASONS]) + (
        " and {0} more".format(len(missing) - REASONS) if missing[REASONS:] else ""
    )
    return Finding(
        WAIT, "it does not alert {0} of {1} Alertmanagers: {2}".format(len(missing), len(set(wanted)), listed)
    )


def check_cluster(status, members):
    """Whether an Alertmanager sees the others of its cluster.

    :param status: answer of ``/api/v2/status``.
    :param members: how many members the inventory gives it, itself included; 0 when it stands alone.
    :returns: the names of the members that it sees, sorted, and a :class:`Finding`.
    """
    cluster = status.get("cluster") or {}
    seen = sorted(str(peer.get("name")) for peer in cluster.get("peers") or ())
    if members < 2:
        return seen, GOOD
    if cluster.get("status") == "disabled":
        return seen, Finding(RED, "clustering is off, though the inventory gives it {0} members".format(members))
    if len(seen) < members:
        return seen, Finding(WAIT, "it sees {0} of the {1} members of its cluster".format(len(seen), members))
    if cluster.get("status") != "ready":
        return seen, Finding(WAIT, "its cluster is {0}".format(cluster.get("status")))
    return seen, GOOD


def agreement(lines):
    """Findings about Alertmanagers of one cluster that have different configurations.

    :param lines: results of Alertmanagers with ``host``, ``members`` and ``config_hash``.
    :returns: host -> text.
    """
    clusters = {}
    for line in lines:
        if len(line.get("members") or ()) > 1 and line.get("config_hash"):
            clusters.setdefault(tuple(line["members"]), []).append(line)
    result = {}
    for found in clusters.values():
        hashes = {}
        for line in found:
            hashes.setdefault(line["config_hash"], []).append(line["host"])
        if len(hashes) > 1:
            parts = sorted(", ".join(sorted(hosts)) for hosts in hashes.values())
            text = "the members of its cluster do not have the same configuration: {0}".format(" | ".join(parts))
            result.update((line["host"], text) for line in found)
    return result


def told_from(line, why, from_where):
    """A line of a service that only its own host could ask, though its address is meant for others.

    Exporters are for Prometheus, whose scrapes tell whether it reaches them; the others are for people.

    :param why: the controller could not.
    :param from_where: ``auto``, ``controller`` or ``host``; see the option C(from) of the module service_health.
    """
    if line["state"] not in (OK, UNPROVEN):
        return line
    text = "only its own host was answered there, and not the controller: {0}".format(why)
    state = {"controller": RED, "host": OK}.get(from_where, OK if line["service"] in SCRAPED_ONLY else UNPROVEN)
    return {**line, "state": worst([line["state"], state]), "reasons": [*line["reasons"], text]}


def worst(states):
    """The state that counts."""
    for state in (RED, WAIT, UNPROVEN):
        if state in states:
            return state
    return OK


def targets_text(line):
    """``up/expected`` of a line, or nothing where there are none to speak of."""
    return "{0}/{1}".format(*line["targets"]) if line.get("targets") else ""


def summary(lines, check_mode=False, words=()):
    """The table of all services and, below it, why which line is red.

    :param lines: dicts with ``service``, ``host``, ``state``, ``version``, ``url``, ``targets`` and ``reasons``.
    :param words: sentences about what was not asked.
    :returns: the text.
    """
    lines = sorted(lines, key=lambda line: (line["service"], line["host"]))
    count = {state: sum(line["state"] == state for line in lines) for state in MARKS}
    title = "MONITORING: {0} of {1} service{2} proven".format(count[OK], len(lines), "s" if len(lines) != 1 else "")
    if not lines:
        title = "MONITORING: nothing was proven"
    for state, word in ((RED, "red"), (UNPROVEN, "not proven in full"), ("unchecked", "not there yet")):
        if count[state]:
            title += ", {0} {1}".format(count[state], word)
    if check_mode and lines:
        title += " (check mode: nothing is proven)" if not count[OK] else " (check mode)"
    rows = [
        (MARKS[line["state"]], line["service"], line["host"], line.get("version") or "-", targets_text(line) or "-",
         line.get("url") or "-")
        for line in _folded(lines)
    ]  # fmt: skip
    text = [title]
    if rows:
        text.append(table((" ", "SERVICE", "HOST", "VERSION", "TARGETS", "URL"), rows))
    text += ["  ! {0}".format(clean(word, LINE)) for word in words]
    told = [line for line in lines if line["reasons"]]
    told.sort(key=lambda line: line["state"] != RED)
    for line in told[: 2 * REASONS]:
        text.append("")
        text.append("{0} {1} on {2}:".format(MARKS[line["state"]], line["service"], line["host"]))
        for reason in line["reasons"]:
            # What looks like a line of its own in it is shifted like the others.
            for part in reason.splitlines():
                text.append("    " + clean_lines(part, LINE))
    if len(told) > 2 * REASONS:
        text.append("\nand {0} more".format(len(told) - 2 * REASONS))
    return "\n".join(text)


def _folded(lines):
    """The lines to show: of a service on very many hosts the good ones are one line a version."""
    by_service = {}
    for line in lines:
        by_service.setdefault(line["service"], []).append(line)
    for found in by_service.values():
        if len(found) <= FOLD:
            yield from found
            continue
        alike = {}
        for line in found:
            if line["state"] == OK and not line["reasons"] and not line.get("targets"):
                alike.setdefault(line.get("version"), []).append(line)
            else:
                yield line
        for version, same in sorted(alike.items(), key=lambda pair: str(pair[0])):
            yield {**same[0], "host": "{0} hosts".format(len(same)), "version": version, "url": None}
