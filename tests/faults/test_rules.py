# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs of rules in a real Prometheus: loaded, evaluated, changed, refused and taken away."""

from __future__ import annotations

import json


def loaded(site):
    """Prometheus' rule groups by name."""
    answer = site.host.run("curl -fsS http://127.0.0.1:9090/api/v1/rules").stdout
    return {group["name"]: group["rules"] for group in json.loads(answer)["data"]["groups"]}


def bounds(site, alert):
    """Severity and expression of each rule of an alert."""
    rules = [rule for rules in loaded(site).values() for rule in rules if rule["name"] == alert]
    return sorted((rule["labels"]["severity"], rule["query"]) for rule in rules)


def test_packs_come_change_and_go(site):
    """The ones for what is scraped are there, and every rule in them can be evaluated."""
    groups = loaded(site)
    assert set(groups) == {"vigil-host", "vigil-monitoring", "vigil-monitoring-5s"}
    assert [rule["name"] for rules in groups.values() for rule in rules if rule["health"] == "err"] == []
    assert [severity for severity, query in bounds(site, "HighDiskUsage")] == ["critical", "warning"]

    site.variables["prometheus_thresholds"] = {"HighDiskUsage": {"critical": 120}, "HighDisk": {}}
    site.run().must_be_red(
        "prometheus_thresholds.HighDiskUsage.critical.threshold: is 120",
        "prometheus_thresholds.HighDisk: unknown key",
        "nothing was changed",
    )
    assert set(loaded(site)) == set(groups)

    site.variables["prometheus_thresholds"] = {"HighDiskUsage": {"critical": 95, "warning": False}}
    site.variables["prometheus_rule_labels"] = {"team": "shop"}
    site.run().must_be_green(changed=True)
    ((severity, query),) = bounds(site, "HighDiskUsage")
    assert severity == "critical"
    assert query.endswith("> 95")
    assert {rule["labels"]["team"] for rule in loaded(site)["vigil-host"] if rule["type"] == "alerting"} == {"shop"}
    site.run().must_be_green(changed=False)

    site.variables["prometheus_rule_packs"] = ["monitoring"]
    site.run().must_be_green(changed=True)
    assert set(loaded(site)) == {"vigil-monitoring", "vigil-monitoring-5s"}
    assert "vigil-host" not in site.host.run("ls /etc/prometheus/rules").stdout
    site.run().must_be_green(changed=False)
