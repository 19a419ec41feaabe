# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs, thresholds and the rules made of them. What the rules do is for promtool to say: tests/rules."""

from __future__ import annotations

import re

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils._rules import (
    PACKS,
    TIERS,
    RulesError,
    beside_own,
    check_additions,
    check_host,
    check_packs,
    check_thresholds,
    left_out,
    load_packs,
    marks,
    merge,
    own_alerts,
    rule_groups,
    tiers_of,
)

PACKS_AS_SHIPPED = load_packs()
ALERTS = [(pack, name) for pack in PACKS for name in PACKS_AS_SHIPPED[pack]["alerts"]]


def facts(**given):
    return {
        "groups": {"node_exporter": "node", "prometheus": "prometheus"},
        "jobs": ["node", "prometheus"],
        "alertmanagers": 1,
        "members": 0,
        "overrides": [],
        **given,
    }


def settings(**given):
    return {
        "rule_packs": ["auto"],
        "thresholds": {},
        "rule_labels": {},
        "rule_annotations": {},
        "runbook_url": "",
        "dashboard_url": "",
        "alert_rules": [],
        **given,
    }


def rules(alert, found=None, **given):
    """The rules of one alert."""
    groups = rule_groups(PACKS_AS_SHIPPED, settings(**given), found or facts())
    return [
        rule
        for of_pack in groups.values()
        for group in of_pack
        for rule in group["rules"]
        if rule.get("alert") == alert
    ]


def problems(thresholds):
    return [str(problem) for problem in check_thresholds(PACKS_AS_SHIPPED, thresholds)]


@pytest.mark.parametrize(("pack", "name"), ALERTS)
def test_an_alert_is_complete(pack, name):
    alert = PACKS_AS_SHIPPED[pack]["alerts"][name]
    assert tiers_of(alert), "no severity"
    parameters = alert.get("parameters") or {}
    for tier in tiers_of(alert):
        texts = [alert[tier].get("expr") or alert["expr"], alert["summary"], alert["description"]]
        each = {slot for parameter in parameters.values() for slot in parameter.get("each", ())}
        slots = {slot for text in texts for slot in re.findall(r"<< (\w+) >>", text)}
        assert slots <= {*parameters, *each, "for", "instance"}
        assert "for" in alert[tier]
        for parameter, rule in parameters.items():
            assert rule["unit"]
            assert parameter in alert[tier] or "default" in rule or "from" in rule, (tier, parameter)
    assert alert["about"].endswith(".")
    # What its runbook begins with.
    assert all(step.endswith((".", "?")) for step in alert["steps"])
    assert alert["description"].endswith(".")


def test_names_are_used_once():
    assert len({name for pack, name in ALERTS}) == len(ALERTS)
    assert PACKS[:8] == ("host", "api", "database", "containers", "probe", "tls", "backup", "monitoring")


def test_the_packs_are_those_whose_exporters_are_scraped():
    def chosen(found, *wanted):
        return list(rule_groups(PACKS_AS_SHIPPED, settings(rule_packs=list(wanted)), found))

    assert chosen(facts(), "auto") == ["host", "monitoring"]
    assert chosen(facts(), "auto", "backup") == ["host", "backup", "monitoring"]
    assert chosen(facts(backups=["db1"]), "auto") == ["host", "backup", "monitoring"]
    assert chosen(facts(), "tls") == ["tls"]
    assert chosen(facts(), *[]) == []
    # A group and a job of the user's own names count by either.
    everything = facts(groups={"mine": "postgres", "application": "api", "cadvisor": "c"}, jobs=["blackbox"])
    assert chosen(everything, "auto") == ["api", "database", "containers", "probe", "tls", "monitoring"]


def test_each_host_of_the_group_backup_is_expected_to_report():
    found = [rule["expr"] for rule in rules("BackupMissing", facts(backups=["db1", "web1"]))]
    expected = [
        'absent(backup_last_success_timestamp_seconds{{backup="{0}"}})'.format(name) for name in ("db1", "web1")
    ]
    assert [expr.strip() for expr in found] == expected
    named = rules("BackupMissing", facts(backups=["db1"]), thresholds={"BackupMissing": {"backups": ["shop"]}})
    assert ["shop" in rule["expr"] for rule in named] == [True]


def test_a_rule_as_prometheus_reads_it():
    critical, warning = rules(
        "HighCPUUsage",
        rule_labels={"team": "shop"},
        rule_annotations={"contact": 112},
        runbook_url="https://wiki.example.org/",
        dashboard_url="https://grafana.example.org/",
    )
    assert critical == {
        "alert": "HighCPUUsage",
        "expr": "100 * instance:node_cpu_utilisation:rate5m > 80",
        "for": "5m",
        "labels": {"team": "shop", "severity": "critical", "service": "host"},
        "annotations": {
            "summary": "High CPU usage on {{ or $labels.host $labels.instance }}",
            "description": '{{ $value | printf "%.0f" }} % of the CPU of {{ or $labels.host $labels.instance }} have been in use for 5m; '
            "the threshold is 80 %.",
            "runbook_url": "https://wiki.example.org/HighCPUUsage",
            "dashboard_url": "https://grafana.example.org/d/mon-system?viewPanel=2"
            "{{ with $labels.job }}&var-job={{ . | urlquery }}{{ end }}"
            "{{ with $labels.instance }}&var-instance={{ . | urlquery }}{{ end }}",
            "contact": "112",
        },
    }
    assert (warning["labels"]["severity"], warning["for"]) == ("warning", "15m")
    assert "runbook_url" not in rules("HighCPUUsage")[0]["annotations"]
    (again,) = rules("Watchdog", runbook_url="https://x/{alert}.html")
    assert again["annotations"]["runbook_url"] == "https://x/Watchdog.html"
    assert "for" not in rules("Watchdog", thresholds={"Watchdog": {"for": "0s"}})[0]


def test_the_alert_that_always_fires_is_in_a_group_that_is_evaluated_often():
    """Its first notification then comes soon after a start, and after Prometheus knows its Alertmanagers."""
    common, often = rule_groups(PACKS_AS_SHIPPED, settings(), facts())["monitoring"]
    assert (common["name"], "interval" in common) == ("vigil-monitoring", False)
    assert (often["name"], often["interval"]) == ("vigil-monitoring-5s", "5s")
    assert [(rule["alert"], rule["for"]) for rule in often["rules"]] == [("Watchdog", "10s")]
    (alone,) = rule_groups(PACKS_AS_SHIPPED, settings(thresholds={"Watchdog": False}), facts())["monitoring"]
    assert alone == common


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"critical": ("> 85", "10m"), "warning": ("> 75", "30m")}),
        ({"critical": 95}, {"critical": ("> 95", "10m"), "warning": ("> 75", "30m")}),
        ({"critical": {"threshold": 92.5, "for": "1m"}}, {"critical": ("> 92.5", "1m"), "warning": ("> 75", "30m")}),
        ({"threshold": 80}, {"critical": ("> 80", "10m"), "warning": ("> 80", "30m")}),
        ({"for": "1h", "warning": {"for": "2h"}}, {"critical": ("> 85", "1h"), "warning": ("> 75", "2h")}),
        ({"warning": False}, {"critical": ("> 85", "10m")}),
        # A severity that the pack has not.
        (
            {"info": 50},
            {"critical": ("> 85", "10m"), "warning": ("> 75", "30m"), "info": ("> 50", "10m")},
        ),
        (False, {}),
        (True, {"critical": ("> 85", "10m"), "warning": ("> 75", "30m")}),
    ],
)
def test_thresholds(given, expected):
    assert problems({"HighDiskUsage": given}) == []
    found = rules("HighDiskUsage", thresholds={"HighDiskUsage": given})
    assert {rule["labels"]["severity"]: (rule["expr"][-4:].strip(), rule["for"]) for rule in found} == {
        tier: (bound[-4:].strip(), wait) for tier, (bound, wait) in expected.items()
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], ["prometheus_thresholds: is []", "dictionary of alerts"]),
        ({"HighCpuUsage": {}}, ["prometheus_thresholds.HighCpuUsage: unknown key", "HighCPUUsage"]),
        ({"HighCPUUsage": {"fatal": 3}}, ["prometheus_thresholds.HighCPUUsage.fatal: unknown key"]),
        ({"HighCPUUsage": {"critical": {"treshold": 3}}}, ["HighCPUUsage.critical.treshold", "threshold?"]),
        ({"HighCPUUsage": {"critical": 120}}, ["HighCPUUsage.critical.threshold: is 120", "from 0 to 100"]),
        ({"HighCPUUsage": {"critical": {"threshold": "80"}}}, ["critical.threshold: is '80'", "a number (percent)"]),
        ({"HighCPUUsage": {"critical": {"threshold": True}}}, ["critical.threshold: is True"]),
        ({"HighCPUUsage": {"critical": [80]}}, ["HighCPUUsage.critical: is [80]"]),
        ({"HighCPUUsage": 80}, ["prometheus_thresholds.HighCPUUsage: is 80", "false to disable it"]),
        ({"HighCPUUsage": {"warning": 90}}, ["HighCPUUsage.warning.threshold: is 90, above the 80 of critical"]),
        ({"CertificateExpiresSoon": {"warning": 1}}, ["warning.threshold: is 1, below the 7 of critical"]),
        ({"HighCPUUsage": {"for": "5 m"}}, ["HighCPUUsage.for: is '5 m'", "15s"]),
        ({"ContainerDown": {"containers": "shop"}}, ["ContainerDown.containers: is 'shop'", "write a list"]),
        ({"ContainerDown": {"containers": ['a"b']}}, ["ContainerDown.containers", "is not a valid name"]),
        ({"DatabasePoolHigh": {"pools": ["shop"]}}, ["DatabasePoolHigh.pools", "write a dictionary"]),
        ({"DatabasePoolHigh": {"pools": {"shop": 0}}}, ["DatabasePoolHigh.pools.shop: is 0", "from 1 to"]),
    ],
)
def test_a_threshold_that_cannot_be_is_refused_with_its_path(given, words):
    (problem,) = problems(given)
    assert [word for word in words if word not in problem] == []


def test_a_host_may_have_bounds_of_its_own():
    own = {"host": "db1", "instances": ["db1:9100"], "thresholds": {"HighDiskUsage": {"critical": 95}}}
    found = {
        (rule["labels"]["severity"], rule["expr"])
        for rule in rules("HighDiskUsage", facts(overrides=[own, {**own, "host": "db2", "instances": ["db2:9100"]}]))
    }
    usual = "100 * (1 - instance:node_filesystem_avail:ratio{0}) > {1}"
    assert found == {
        ("critical", usual.format('{instance!~"db1:9100|db2:9100"}', 85)),
        ("critical", usual.format('{instance=~"db1:9100|db2:9100"}', 95)),
        ("warning", usual.format("", 75)),
    }
    off = {**own, "thresholds": {"HighDiskUsage": False}}
    assert [rule["expr"] for rule in rules("HighDiskUsage", facts(overrides=[off]))] == [
        usual.format('{instance!="db1:9100"}', 85),
        usual.format('{instance!="db1:9100"}', 75),
    ]


def test_a_report_has_the_bounds_of_the_alerts():
    shipped = marks(PACKS_AS_SHIPPED, {})
    host = {"cpu": {"critical": 80, "warning": 60}, "memory": {"critical": 90, "warning": 75}}
    assert shipped == {**host, "disk": {"critical": 85, "warning": 75}, "of": {}, "backup": {"critical": 26}}
    own = {"host": "db1", "instances": ["db1:9100"], "thresholds": {"HighDiskUsage": {"critical": 95}}}
    off = {
        "host": "db2",
        "instances": ["db2:9100"],
        "thresholds": {"HighDiskUsage": False, "HighCPUUsage": {"warning": 70}},
    }
    given = {"HighDiskUsage": {"warning": 60}, "BackupTooOld": {"warning": 20, "critical": 50}}
    assert marks(PACKS_AS_SHIPPED, given, [own, off]) == {
        **host,
        "disk": {"critical": 85, "warning": 60},
        "of": {
            "db1:9100": {**host, "disk": {"critical": 95, "warning": 60}},
            "db2:9100": {**host, "cpu": {"critical": 80, "warning": 70}, "disk": {}},
        },
        "backup": {"critical": 50, "warning": 20},
    }
    with pytest.raises(RulesError, match=r"prometheus_thresholds\.HighDisk: "):
        marks(PACKS_AS_SHIPPED, {"HighDisk": 1})


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        ({"HighDiskUsage": {"critical": 70}}, ["prometheus_thresholds of host db1.HighDiskUsage.warning.threshold"]),
        ({"HighErrorRate": {"critical": 70}}, ["HighErrorRate", "is not about a single host"]),
        ({"HighDisk": {}}, ["prometheus_thresholds of host db1.HighDisk"]),
    ],
)
def test_a_host_with_wrong_bounds_is_named(thresholds, words):
    (problem,) = check_host(PACKS_AS_SHIPPED, {}, thresholds, "db1")
    assert [word for word in words if word not in str(problem)] == []
    with pytest.raises(RulesError, match="db1"):
        rules("HighDiskUsage", facts(overrides=[{"host": "db1", "instances": [], "thresholds": thresholds}]))


def test_what_is_the_environments_is_no_hosts_own():
    """A host that sees the variable of all hosts repeats what holds anyway."""
    usual = {"HighErrorRate": {"critical": 7}}
    assert list(check_host(PACKS_AS_SHIPPED, usual, usual, "db1")) == []


def test_an_alert_of_the_users_own_takes_the_place_of_a_packs():
    assert rules("TargetDown", alert_rules=[{"alert": "TargetDown", "expr": "up == 0"}]) == []


def test_one_rule_for_each_name():
    assert [rule["expr"] for rule in rules("JobMissing")] == ['absent(up{job="node"})', 'absent(up{job="prometheus"})']
    assert rules("AlertmanagerClusterMembers") == []
    assert rules("AlertmanagerClusterMembers", facts(members=2))[0]["expr"].endswith("< 2")
    given = {"rule_packs": ["containers"], "thresholds": {"ContainerDown": {"containers": ["shop-a.b"]}}}
    (found,) = rules("ContainerDown", **given)
    assert found["labels"] == {"severity": "critical", "service": "containers", "name": "shop-a.b"}


def test_additions_and_packs_are_checked():
    assert [str(one) for one in check_packs(["auto", "host"])] == []
    added = {"alertname": "x", "a-b": "x", "c": None}, {"summary": "x", "d": "1"}
    found = [str(one) for one in check_additions(*added, "2.53.3")]
    assert [one.partition(":")[0] for one in found] == [
        "prometheus_rule_labels.alertname",
        "prometheus_rule_labels.a-b",
        "prometheus_rule_labels.c",
        "prometheus_rule_annotations.summary",
    ]


@pytest.mark.parametrize(("version", "refused"), [("2.53.3", True), ("3.0.0", False), ("3.16.0", False), (None, False)])
@pytest.mark.parametrize("name", ["k8s.pod", "größe", "with blank", "1st", "中文"])
def test_a_label_may_have_any_name_where_the_version_takes_it(name, version, refused):
    found = [str(one) for one in check_additions({name: "x"}, {name: "x"}, version)]
    assert bool(found) == refused
    if refused:
        assert "deploy Prometheus 3.0.0 or newer" in found[0] and name in found[0]


@pytest.mark.parametrize("name", ["", "lone \ud800 surrogate"])
def test_what_is_no_text_is_no_label(name):
    assert "is not a valid label name" in str(next(check_additions({name: "x"}, {}, "3.16.0")))


def test_merging():
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": False}) == {"a": {"b": 3, "c": 2}, "d": False}
    assert merge({"a": 1}, True) == {}
    assert merge(False, {"a": 1}) == {"a": 1}


def test_severities_are_in_their_order():
    assert TIERS == ("critical", "warning", "info", "none")


def test_no_two_rules_are_the_same_to_promtool():
    """It knows a rule by its name and the labels that it adds: one alert for each of several names needs them to differ."""
    names = {
        "ContainerDown": {"containers": ["a", "b"]},
        "DatabasePoolHigh": {"pools": {"a": 1, "b": 2}},
        "BackupMissing": {"backups": ["a", "b"]},
    }
    groups = rule_groups(PACKS_AS_SHIPPED, settings(rule_packs=list(PACKS), thresholds=names), facts())
    found = [
        (rule["alert"], tuple(sorted(rule["labels"].items())))
        for of_pack in groups.values()
        for group in of_pack
        for rule in group["rules"]
        if "alert" in rule
    ]
    assert len([one for one in found if one[0] == "JobMissing"]) == 2
    assert sorted(found) == sorted(set(found))


BLOCK = "groups:\n- name: a\n  rules:\n  - alert: 'Watchdog'\n    expr: vector(1)\n  - expr: up\n    \"alert\": Mine # 1\n  - record: a:b\n"
FLOW = "groups: [{name: b, rules: [{alert: Flow, expr: 'up{alert=\"x\"}'}, {expr: up, alert: Two}]}]"


def test_alerts_of_the_users_own_are_known_wherever_they_stand():
    given = {"alert_rules": [{"alert": "One"}, {"record": "x"}], "rule_files": [{"content": BLOCK}, {"content": FLOW}]}
    assert own_alerts(given) == ["One", "Watchdog", "Mine", "Flow", "Two"]


@pytest.mark.parametrize("where", [{"alert_rules": [{"alert": "Watchdog"}]}, {"rule_files": [{"content": BLOCK}]}])
def test_an_alert_of_the_users_own_is_not_there_twice(where):
    assert rules("Watchdog")
    assert not rules("Watchdog", **where)


def test_who_has_alerts_of_his_own_is_told_what_the_packs_add():
    def word(own, *wanted, thresholds=None):
        return beside_own(PACKS_AS_SHIPPED, wanted, thresholds or {}, facts(), own)

    assert word([], "auto") is None
    assert word(["Mine"], "host") is None
    assert word(["Mine"]) is None
    said = word(["Mine"], "auto")
    assert said.startswith("in addition to 1 alert of your own it has ")
    assert "of the packs host, monitoring (14 critical)" in said
    assert "prometheus_rule_packs" in said
    fewer = word(["Mine", "Watchdog"], "auto", thresholds={"HighDiskUsage": False})
    assert int(fewer.split("it has ")[1].split()[0]) == int(said.split("it has ")[1].split()[0]) - 3


# What needs the targets of all shards, each with the job that another one has targets of, and what becomes of it here.
ON_A_PART = [
    ("JobDown", "node", ['max by (job) (up{job!~"node"}) == 0']),
    ("JobDown", "shop.web", ['max by (job) (up{job!~"shop\\\\.web"}) == 0']),
    ("JobMissing", "node", ['absent(up{job="node"})', 'absent(up{job="prometheus"})']),
    ("BackupTooOld", "node", ["abs(time() - max by (backup) (backup_last_success_timestamp_seconds)) / 3600 > 26"]),
    ("BackupMissing", "node", []),
    ("ContainerDown", "cadvisor", []),
    ("ContainerDown", "node", ["the same"]),
    ("ProcessGroupDown", "process_exporter", []),
    ("ProcessGroupDown", "node", ["the same"]),
    ("HighErrorRate", "shop", []),
    ("ErrorBudgetBurn", "shop", []),
    ("HighErrorRate", "node", ["the same"]),
    ("ApiDown", "shop", ["the same"]),
    ("TargetDown", "node", ["the same"]),
    ("Watchdog", "node", ["the same"]),
]
EVERYTHING = {
    "groups": {name: name for name in ("node_exporter", "cadvisor", "process_exporter")} | {"application": "shop"},
    "jobs": ["node", "prometheus"],
}
NAMED = {
    "rule_packs": [*PACKS],
    "thresholds": {
        "BackupMissing": {"backups": ["shop"]},
        "ContainerDown": {"containers": ["shop"]},
        "ProcessGroupDown": {"processes": ["shop"]},
    },
}


@pytest.mark.parametrize(("alert", "partial", "wanted"), ON_A_PART)
def test_a_shard_says_nothing_that_only_all_of_them_could_know(alert, partial, wanted):
    here = [rule["expr"] for rule in rules(alert, facts(**EVERYTHING, partial=[partial]), **NAMED)]
    whole = [rule["expr"] for rule in rules(alert, facts(**EVERYTHING), **NAMED)]
    assert whole
    assert here == (whole if wanted == ["the same"] else wanted)


def test_alerts_that_no_shard_has_are_named():
    def named(jobs, partial):
        return left_out(PACKS_AS_SHIPPED, settings(**NAMED), facts(**{**EVERYTHING, "jobs": jobs}, partial=partial))

    assert named(["node"], []) == []
    assert named(["node"], ["node"]) == ["BackupMissing"]
    assert named(["node", "cadvisor"], ["node", "cadvisor"]) == ["ContainerDown", "BackupMissing"]
    # All of this job is at another server, which has its alerts.
    assert named(["node"], ["shop"]) == []
    assert named(["node", "shop"], ["shop"]) == [
        "HighErrorRate", "SlowResponseTime", "SlowEndpoint", "ErrorBudgetBurn", "BackupMissing"
    ]  # fmt: skip
    # Nobody has asked for these alerts.
    assert left_out(PACKS_AS_SHIPPED, settings(), facts(partial=["node"])) == []


def test_a_rule_says_which_targets_it_needs():
    for pack, name in ALERTS:
        alert = PACKS_AS_SHIPPED[pack]["alerts"][name]
        texts = [alert[tier].get("expr") or alert["expr"] for tier in tiers_of(alert)]
        assert alert.get("needs_all") in (None, "any", "own")
        assert "on_a_part" not in alert or alert["needs_all"]
        # JobMissing is made for the jobs alone that have targets here.
        if any("absent(" in text for text in texts) and name != "JobMissing":
            assert alert["needs_all"], name
