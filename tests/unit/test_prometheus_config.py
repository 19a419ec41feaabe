# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus' configuration and files from inputs and inventory."""

from __future__ import annotations

import fnmatch

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import FileProblem
from ansible_collections.vigil.monitoring.plugins.plugin_utils._prometheus import (
    RULE_FILES,
    SECTIONS,
    prometheus_config,
    prometheus_directories,
    prometheus_files,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._upstream import keys
from role_inputs import Inputs, release, room

INVENTORY = {
    "jobs": [
        {
            "job_name": "node",
            "file": "file_sd/inventory/node.yml",
            "config": {"job_name": "node", "tls_config": {"ca_file": "ca.crt"}},
            "targets": [{"targets": ["a:9100"], "labels": {}}],
        },
        # The user's own file of that name has the targets.
        {"job_name": "db", "file": "file_sd/db.yml", "config": {"job_name": "db"}, "targets": None},
    ],
    "alertmanagers": [{"scheme": "http", "static_configs": [{"targets": ["a:9093"]}]}],
    "shard": {"number": 0, "of": 1},
    "rules": {"groups": {}, "jobs": [], "alertmanagers": 1, "members": 0, "overrides": []},
}
NODE = {
    "job_name": "node",
    "tls_config": {"ca_file": "/etc/prometheus/ca.crt"},
    "file_sd_configs": [{"files": ["file_sd/inventory/node.yml"]}],
}
DB = {"job_name": "db", "file_sd_configs": [{"files": ["file_sd/db.yml"]}]}


def settings(**given):
    return dict(
        {
            "version": "3.5.3",
            "config_dir": "/etc/prometheus",
            "agent_mode": False,
            "global": {"scrape_interval": "15s"},
            "external_labels": {},
            "replica_label": "",
            "replica": "prometheus-1",
            "scrape_configs": [],
            "targets": {},
            "sharded_jobs": [],
            "alertmanager_config": [],
            "alert_relabel_configs": [],
            "remote_write": [],
            "remote_read": [],
            "otlp": {},
            "storage": {},
            "tracing": {},
            "runtime": {},
            "retention": "30d",
            "retention_size": "0",
            "scrape_config_patterns": ["*.yml"],
            "scrape_config_files": [],
            "target_files": [],
            "alert_rules": [],
            "rule_packs": ["auto"],
            "thresholds": {},
            "rule_labels": {},
            "rule_annotations": {},
            "runbook_url": "",
            "dashboard_url": "",
            "rule_files": [],
            "web_config": {},
        },
        **given,
    )


DROP = {"action": "labeldrop", "regex": "replica"}
OWN = {"action": "labeldrop", "regex": "pod"}
# External labels and relabelling of alerts as given, and as they become.
REPLICAS = [
    ({}, [], {"replica": "prometheus-1"}, [DROP]),
    ({"environment": ""}, [], {"replica": "prometheus-1"}, [DROP]),
    ({"environment": "prod", "team": None}, [OWN], {"environment": "prod", "replica": "prometheus-1"}, [OWN, DROP]),
    ({"replica": "A"}, [], {"replica": "A"}, [DROP]),
]


@pytest.mark.parametrize("labels, relabel, wanted, dropped", REPLICAS)
def test_two_servers_differ_in_one_label_that_no_alert_has(labels, relabel, wanted, dropped):
    given = {"replica_label": "replica", "external_labels": labels, "alert_relabel_configs": relabel}
    found = prometheus_config(settings(**given), INVENTORY)
    assert found["global"]["external_labels"] == wanted
    assert found["alerting"]["alert_relabel_configs"] == dropped
    other = prometheus_config(settings(**given, replica="prometheus-2"), INVENTORY)
    assert other["alerting"] == found["alerting"]
    agent = prometheus_config(settings(**given, agent_mode=True), INVENTORY)
    assert agent["global"]["external_labels"] == wanted
    assert "alerting" not in agent


def test_another_name_for_the_replica_and_none():
    found = prometheus_config(settings(replica_label="prometheus_replica"), INVENTORY)
    assert found["global"]["external_labels"] == {"prometheus_replica": "prometheus-1"}
    assert found["alerting"]["alert_relabel_configs"][0]["regex"] == "prometheus_replica"
    found = prometheus_config(settings(external_labels={"a": "b"}), INVENTORY)
    assert found["global"]["external_labels"] == {"a": "b"}
    assert "alert_relabel_configs" not in found["alerting"]


def test_everything_of_a_bare_deployment():
    assert prometheus_config(settings(), INVENTORY) == {
        "global": {"scrape_interval": "15s"},
        "rule_files": list(RULE_FILES),
        "alerting": {"alertmanagers": INVENTORY["alertmanagers"]},
        "scrape_configs": [NODE, DB],
        "scrape_config_files": ["scrape_configs/*"],
    }


@pytest.mark.parametrize(
    ("given", "section", "value"),
    [
        ({"external_labels": {"a": "b"}}, "global", {"scrape_interval": "15s", "external_labels": {"a": "b"}}),
        ({"version": "2.42.0"}, "scrape_config_files", None),
        ({"scrape_config_patterns": []}, "scrape_config_files", None),
        ({"agent_mode": True}, "rule_files", None),
        ({"agent_mode": True}, "alerting", None),
        ({"agent_mode": True, "remote_read": [{"url": "u"}]}, "remote_read", None),
        ({"remote_read": [{"url": "u"}]}, "remote_read", [{"url": "u"}]),
        (
            {"remote_write": [{"basic_auth": {"password_file": "pw"}}]},
            "remote_write",
            [{"basic_auth": {"password_file": "/etc/prometheus/pw"}}],
        ),
        (
            {"alertmanager_config": [{"static_configs": []}], "alert_relabel_configs": [{"action": "drop"}]},
            "alerting",
            {"alertmanagers": [{"static_configs": []}], "alert_relabel_configs": [{"action": "drop"}]},
        ),
        # The user's paths below the configuration directory become relative, others stay.
        (
            {
                "scrape_configs": [
                    {"job_name": "x", "file_sd_configs": [{"files": ["/etc/prometheus/file_sd/x.yml", "/y"]}]}
                ]
            },
            "scrape_configs",
            [NODE, DB, {"job_name": "x", "file_sd_configs": [{"files": ["file_sd/x.yml", "/y"]}]}],
        ),
        # A job in a file of the user's own wins over the inventory's.
        (
            {"scrape_config_files": [{"source": "/s.yml", "content": "scrape_configs:\n- job_name: node\n"}]},
            "scrape_configs",
            [DB],
        ),
        ({"scrape_config_files": [{"source": "/s.yml", "content": "not: [yaml"}]}, "scrape_configs", [NODE, DB]),
    ],
)
def test_sections(given, section, value):
    assert prometheus_config(settings(**given), INVENTORY).get(section) == value


def test_inputs_are_not_changed():
    given = settings(external_labels={"a": "b"})
    prometheus_config(given, INVENTORY)
    assert given["global"] == {"scrape_interval": "15s"}


def paths(**given):
    return [entry["path"] for entry in prometheus_files(settings(**given), INVENTORY, "text")]


RULES = {
    "alert_rules": [{"alert": "X"}],
    "rule_files": [{"source": "/home/me/r.yml", "content": "groups: []"}],
}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["file_sd/inventory/node.yml"]),
        (
            {"rule_packs": ["tls", "host"]},
            ["rules/vigil-host.yml", "rules/vigil-tls.yml", "file_sd/inventory/node.yml"],
        ),
        (RULES, ["rules/ansible_managed.yml", "rules/r.yml", "file_sd/inventory/node.yml"]),
        (dict(RULES, agent_mode=True), ["file_sd/inventory/node.yml"]),
        (
            {"targets": {"db": []}, "target_files": [{"source": "/t/x.json", "content": "[]"}]},
            ["file_sd/db.yml", "file_sd/x.json", "file_sd/inventory/node.yml"],
        ),
        (
            {"scrape_config_files": [{"source": "/s.yml", "content": "scrape_configs: [{job_name: node}]"}]},
            ["scrape_configs/s.yml"],
        ),
        ({"web_config": {"basic_auth_users": {"a": "b"}}}, ["file_sd/inventory/node.yml", "web_config.yml"]),
        ({"web_config": {"basic_auth_users": {}, "tls_server_config": {}}}, ["file_sd/inventory/node.yml"]),
    ],
)
def test_files(given, expected):
    assert paths(**given) == ["prometheus.yml", *expected]


def test_targets_twice():
    with pytest.raises(FileProblem, match=r"prometheus_targets\['db'\] and /t/db\.yml \(prometheus_static"):
        paths(targets={"db": []}, target_files=[{"source": "/t/db.yml", "content": ""}])


@pytest.mark.parametrize(("users", "more"), [({}, []), ({"a": "$2y$"}, [["web-config", "%s/web_config.yml"]])])
def test_checks(users, more):
    inputs = Inputs("prometheus", config_dir="/etc/prometheus", web_config={"basic_auth_users": users})
    found = room("prometheus").validators(inputs, {"binaries": {"promtool": "/promtool"}})
    assert found == [["/promtool", "check", *one] for one in [["config", "%s/prometheus.yml"], *more]]


def test_rule_files_are_loaded_whatever_they_are_called():
    names = ["a.rule", "b.alerts", "c.yml", "d.rules", "e.yaml", "f.json"]
    given = settings(rule_files=[{"source": "/home/me/" + name, "content": "groups: []"} for name in names])
    loaded = prometheus_config(given, INVENTORY)["rule_files"]
    assert loaded == [*RULE_FILES, "rules/a.rule", "rules/b.alerts", "rules/f.json"]
    for entry in prometheus_files(given, INVENTORY, "text"):
        if entry["path"].startswith("rules/"):
            assert any(fnmatch.fnmatchcase(entry["path"], pattern) for pattern in loaded)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rule_files": [{"source": "/r/d.yml.j2", "content": ""}]}, "prometheus_alert_rules_files: /r/d.yml.j2 is a template"),
        ({"target_files": [{"source": "/t/a.txt", "content": ""}]}, "prometheus_static_targets_files: /t/a.txt .* has to end in"),
        ({"target_files": [{"source": "/t/a.yml.j2", "content": ""}]}, "prometheus_static_targets_files: /t/a.yml.j2 is a template"),
        ({"scrape_config_files": [{"source": "/s/a.yml.j2", "content": ""}]}, "prometheus_scrape_config_files: /s/a.yml.j2"),
        ({"scrape_config_files": [{"source": "/s/a.yml", "content": ""}], "version": "2.42.0"}, "2.42.0 reads none, 2.43.0 is"),
    ],
)  # fmt: skip
def test_a_file_that_prometheus_would_not_read_is_refused(given, words):
    with pytest.raises(FileProblem, match=words):
        prometheus_files(settings(**given), INVENTORY, "text")


def test_every_section_that_upstream_has_can_be_given():
    given = {name: {"from": name} for name in SECTIONS}
    given.update(
        version="3.16.0", alert_relabel_configs=[{"x": 1}], remote_write=[{"url": "w"}], remote_read=[{"url": "r"}]
    )
    config = prometheus_config(settings(**given), INVENTORY)
    assert set(keys("prometheus")) - set(config) == set()
    assert set(keys("prometheus", "alerting")) - set(config["alerting"]) == set()
    for name in SECTIONS:
        assert config[name]["from"] == name
    # Every key of these is taken as it is.
    for name in ("global", *SECTIONS):
        assert keys("prometheus", name)


def test_files_of_a_section_are_absolute():
    config = prometheus_config(settings(tracing={"endpoint": "e", "tls_config": {"ca_file": "ca.pem"}}), INVENTORY)
    assert config["tracing"] == {"endpoint": "e", "tls_config": {"ca_file": "/etc/prometheus/ca.pem"}}
    assert "storage" not in config


@pytest.mark.parametrize(
    ("given", "storage"),
    [
        ({"version": "3.5.3"}, None),
        ({"version": "3.10.0"}, None),
        ({"version": "3.11.0"}, {"tsdb": {"retention": {"time": "30d"}}}),
        ({"version": "3.16.0+ds1", "retention": "1y"}, {"tsdb": {"retention": {"time": "1y"}}}),
        ({"version": "3.16.0", "retention_size": "50GB"}, {"tsdb": {"retention": {"time": "30d", "size": "50GB"}}}),
        ({"version": "3.16.0", "agent_mode": True}, None),
        (
            {
                "version": "3.16.0",
                "storage": {"tsdb": {"out_of_order_time_window": "1h", "retention": {"percentage": 80}}},
            },
            {"tsdb": {"out_of_order_time_window": "1h", "retention": {"time": "30d", "percentage": 80}}},
        ),
        ({"storage": {"exemplars": {"max_exemplars": 5}}}, {"exemplars": {"max_exemplars": 5}}),
    ],
)
def test_the_retention_stands_where_the_version_wants_it(given, storage):
    """In the configuration or in the flags, in one of them and never in neither."""
    asked = settings(**given)
    assert prometheus_config(asked, INVENTORY).get("storage") == storage
    flags = flags_of(asked, "prometheus.yml.j2")
    in_config = bool(((storage or {}).get("tsdb") or {}).get("retention"))
    assert any("tsdb.retention" in flag for flag in flags) == (not in_config and not asked["agent_mode"])
    # A template of the user's own may know nothing of it.
    flags = flags_of(asked, "mine.yml.j2")
    assert any("tsdb.retention.time" in flag for flag in flags) == (not asked["agent_mode"])


def flags_of(asked, template):
    """The command line of Prometheus with the configuration from a template."""
    retention = {"storage_" + name: asked[name] for name in ("retention", "retention_size")}
    inputs = Inputs("prometheus", config_file=template, agent_mode=asked["agent_mode"], **retention)
    return room("prometheus").arguments(inputs, release("prometheus", asked["version"]))


def test_directories_for_the_files_of_others():
    found = {
        entry["path"]: entry["mode"] for entry in prometheus_directories("/etc/prometheus/", "prometheus", ["rules"])
    }
    assert found == {
        "/etc/prometheus/file_sd": "0750",
        "/etc/prometheus/rules": "3770",
        "/etc/prometheus/scrape_configs": "0750",
    }


def test_a_job_of_the_users_own_that_is_split_keeps_its_part_by_relabelling():
    """Before its own rules, which may change the address."""
    own = {"target_label": "a", "replacement": "b"}
    given = {
        "scrape_configs": [{"job_name": "mine", "relabel_configs": [own]}, {"job_name": "other"}],
        "sharded_jobs": ["mine", "db", "node"],
    }
    part = {**INVENTORY, "shard": {"number": 2, "of": 3}}
    rules = [
        {"source_labels": ["__address__"], "modulus": 3, "target_label": "__tmp_hash", "action": "hashmod"},
        {"source_labels": ["__tmp_hash"], "regex": "2", "action": "keep"},
    ]
    found = {
        job["job_name"]: job.get("relabel_configs")
        for job in prometheus_config(settings(**given), part)["scrape_configs"]
    }
    # The targets of the inventory's were split before.
    assert found == {"node": None, "db": rules, "mine": [*rules, own], "other": None}
    whole = prometheus_config(settings(**given), INVENTORY)["scrape_configs"]
    assert {job["job_name"]: job.get("relabel_configs") for job in whole} == {
        "node": None,
        "db": None,
        "mine": [own],
        "other": None,
    }
