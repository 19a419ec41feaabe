# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The summary of what was verified on all hosts. Results in, text out."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.module_utils._alertmanager_cluster import unlike
from ansible_collections.vigil.monitoring.plugins.module_utils._findings import OK, RED, UNVERIFIED, worst
from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize, sanitize_lines
from ansible_collections.vigil.monitoring.plugins.module_utils._targets import table

MARKS = {OK: "✓", RED: "✗", UNVERIFIED: "?", "unchecked": "·"}
# More lines of one service than this are folded into one, as far as they are good and alike.
FOLD = 30
# More reasons than twice as many are only counted.
REASONS = 20
# As many kinds of time series that end are named for a service.
ENDED = 10
# Characters of a line below the table: a line of a log, maybe.
LINE = 500


def agreement(lines):
    """Members of one cluster that have different configurations or different silences.

    :param lines: results with ``service``, ``host``, and ``members``, ``config_hash`` and ``silences`` where they are of a cluster.
    :returns: service and host -> text.
    """
    clusters = {}
    for line in lines:
        if len(line.get("members") or ()) > 1 and line.get("config_hash"):
            clusters.setdefault((line["service"], *line["members"]), []).append(line)
    result = {}
    for found in clusters.values():
        texts = [*_configurations(found), *_silences(found)]
        if texts:
            result.update(((line["service"], line["host"]), "; ".join(texts)) for line in found)
    return result


def _configurations(lines):
    hashes = {}
    for line in lines:
        hashes.setdefault(line["config_hash"], []).append(line["host"])
    if len(hashes) > 1:
        parts = sorted(", ".join(sorted(hosts)) for hosts in hashes.values())
        yield "the members of its cluster do not have the same configuration: {0}".format(" | ".join(parts))


def _silences(lines):
    found = unlike(lines)
    if found:
        hosts = sorted({host for behind in found.values() for host in behind})
        text = "a silence that was made at one member of its cluster is not at the others: {0} lack{1} {2}"
        more = " and {0} more".format(len(found) - 3) if len(found) > 3 else ""
        yield text.format(", ".join(hosts), "s" if len(hosts) == 1 else "", ", ".join(list(found)[:3]) + more)


def only_from_host(line, why, from_where, for_people):
    """A line of a service that could be checked only on its own host, though its address is meant for others.

    :param why: the controller could not.
    :param from_where: ``auto``, ``controller`` or ``host``; see the option C(from) of the module service_health.
    :param for_people: whether people have to reach it; of the others the scrapes tell whether Prometheus reaches them.
    """
    if line["state"] not in (OK, UNVERIFIED):
        return line
    text = "only its own host was answered there, and not the controller: {0}".format(why)
    state = {"controller": RED, "host": OK}.get(from_where, UNVERIFIED if for_people else OK)
    return {**line, "state": worst([line["state"], state]), "reasons": [*line["reasons"], text]}


def targets_text(line):
    """``up/expected`` of a line, or nothing where there are none to speak of."""
    return "{0}/{1}".format(*line["targets"]) if line.get("targets") else ""


def summary(lines, check_mode=False, words=()):
    """The table of all services and, below it, why which line is red.

    :param lines: dicts with ``service``, ``host``, ``state``, ``version``, ``url``, ``targets`` and ``reasons``.
    :param words: sentences about what was not checked.
    :returns: the text.
    """
    lines = sorted(lines, key=lambda line: (line["service"], line["host"]))
    count = {state: sum(line["state"] == state for line in lines) for state in MARKS}
    title = "MONITORING: {0} of {1} service{2} verified".format(count[OK], len(lines), "s" if len(lines) != 1 else "")
    if not lines:
        title = "MONITORING: nothing was verified"
    for state, word in ((RED, "failed"), (UNVERIFIED, "not fully verified"), ("unchecked", "not there yet")):
        if count[state]:
            title += ", {0} {1}".format(count[state], word)
    if check_mode and lines:
        title += " (check mode: nothing is verified)" if not count[OK] else " (check mode)"
    rows = [
        (MARKS[line["state"]], line["service"], line["host"], line.get("version") or "-", targets_text(line) or "-",
         line.get("url") or "-")
        for line in _folded(lines)
    ]  # fmt: skip
    text = [title]
    if rows:
        text.append(table((" ", "SERVICE", "HOST", "VERSION", "TARGETS", "URL"), rows))
    text += ["  ! {0}".format(sanitize(word, LINE)) for word in words]
    told = [line for line in lines if line["reasons"]]
    told.sort(key=lambda line: line["state"] != RED)
    for line in told[: 2 * REASONS]:
        text.append("")
        text.append("{0} {1} on {2}:".format(MARKS[line["state"]], line["service"], line["host"]))
        for reason in line["reasons"]:
            # What looks like a line of its own in it is shifted like the others.
            for part in reason.splitlines():
                text.append("    " + sanitize_lines(part, LINE))
    if len(told) > 2 * REASONS:
        text.append("\nand {0} more".format(len(told) - 2 * REASONS))
    return "\n".join(text)


def ended_words(ended, check_mode=False):
    """Sentences about time series that end under their old names.

    :param ended: ``(service, host)`` -> sentences; hosts of which the same is said are one.
    """
    alike = {}
    for (service, host), texts in sorted(ended.items()):
        for text in texts[:ENDED]:
            alike.setdefault((service, text), []).append(host)
        if texts[ENDED:]:
            alike.setdefault((service, "and {0} more".format(len(texts) - ENDED)), []).append(host)
    verb = "would end" if check_mode else "ends"
    return [
        "{0} on {1}: history {2} under the old name: {3}".format(service, ", ".join(hosts), verb, text)
        for (service, text), hosts in alike.items()
    ]


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
