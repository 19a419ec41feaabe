# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Prometheus server says about its rules and its Alertmanagers, and the summary of a whole run. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit


def rule_problems(payload):
    """The rules that failed at their last evaluation.

    :param payload: parsed answer of ``/api/v1/rules``.
    :returns: ``(number of rules, list of sentences)``.
    """
    rules = [(group["name"], rule) for group in payload["data"]["groups"] for rule in group["rules"]]
    failing = [
        "rule {0} of group {1} fails: {2}".format(rule["name"], group, rule.get("lastError") or "no reason given")
        for group, rule in rules
        if rule.get("health") == "err"
    ]
    return len(rules), failing


def static_addresses(alertmanager_configs):
    """The addresses that Prometheus' ``alerting.alertmanagers`` names itself, sorted; discovered ones are not known."""
    return sorted(
        {
            str(target)
            for config in alertmanager_configs or []
            for static in config.get("static_configs") or []
            for target in static.get("targets") or []
        }
    )


def alertmanager_problems(payload, expected):
    """The Alertmanagers that Prometheus does not send to.

    :param payload: parsed answer of ``/api/v1/alertmanagers``.
    :param expected: addresses as ``host:port``.
    """
    active = {urlsplit(entry["url"]).netloc for entry in payload["data"]["activeAlertmanagers"]}
    return ["not connected to the Alertmanager {0}".format(address) for address in expected if address not in active]


def summary(rows):
    """The table at the end of a run, and the reasons below it.

    :param rows: list of dicts with ``service``, ``host``, ``version``, ``url``, ``targets``, ``problems`` and ``unproven``.
    """
    header = ("", "service", "host", "version", "url", "targets up")
    table = [header] + [
        (
            "RED" if row["problems"] else "ok",
            row["service"],
            row["host"],
            row["version"] or "-",
            row["url"] or "-",
            row["targets"] or "",
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in table) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in table]
    for row in rows:
        for kind, texts in (("RED", row["problems"]), ("not proven", row["unproven"])):
            for text in texts:
                first, *others = str(text).splitlines() or [""]
                lines.append("{0}: {1} on {2}: {3}".format(kind, row["service"], row["host"], first))
                lines += ["    " + line for line in others]
    return "\n".join(lines)
