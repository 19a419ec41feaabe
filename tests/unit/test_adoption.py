# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs is compared with the inventory by meaning: what is only written differently is no difference."""

from __future__ import annotations

import json

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._running_service import (
    config_directory,
    flags_of,
    url_of,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._adopted_prometheus import both_targets, targets_of
from ansible_collections.vigil.monitoring.plugins.plugin_utils._adoption import (
    compare,
    counted,
    further_files,
    rendered,
    unloaded,
    version_of,
    view,
    words_about,
)

DIR = "/etc/prometheus"
ARGV = ["/usr/local/bin/prometheus", f"--config.file={DIR}/prometheus.yml", "--storage.tsdb.path=/var/lib/prometheus"]


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ("--a=1 --a=2 --b", {"a": ["1", "2"], "b": ["true"]}),
        ("--no-agent --x 5 -config=/a --y=", {"agent": ["false"], "x": ["5"], "config": ["/a"], "y": [""]}),
        ("server --homepath=/h", {"homepath": ["/h"]}),
    ],
)
def test_flags_of_a_command_line(words, flags):
    assert flags_of(["program", *words.split()]) == flags


@pytest.mark.parametrize(
    ("words", "secured", "url"),
    [
        ("", False, "http://127.0.0.1:9090"),
        ("--web.listen-address=:9191", True, "https://127.0.0.1:9191"),
        (
            "--web.listen-address=[::]:9090 --web.external-url=https://mon.example/prom/",
            False,
            "http://127.0.0.1:9090/prom",
        ),
        (
            "--web.listen-address=[fd00::1]:9090 --web.route-prefix=/ --web.external-url=/x",
            False,
            "http://[fd00::1]:9090",
        ),
    ],
)
def test_where_a_service_is_asked(words, secured, url):
    assert url_of(9090, flags_of(["p", *words.split()]), secured) == url


def test_where_its_configuration_is():
    assert config_directory(("config.file",), flags_of(["p", "--config.file=/srv/p/prometheus.yml"]), DIR) == "/srv/p"
    assert config_directory(("web.config.file",), flags_of(["n"]), "/etc/node_exporter") == "/etc/node_exporter"


CONFIG = """
global: {scrape_interval: 15s, scrape_timeout: 10s, external_labels: {environment: host1}}
rule_files: [/etc/prometheus/rules/*.yml]
alerting:
  alertmanagers: [{static_configs: [{targets: ['127.0.0.1:9093']}]}]
scrape_configs:
- job_name: prometheus
  metrics_path: /metrics
  static_configs: [{targets: ['host1:9090']}]
- job_name: node
  file_sd_configs: [{files: [/etc/prometheus/file_sd/node.yml]}]
- job_name: db
  basic_auth: {username: u, password: s3cret}
  scrape_interval: 1m
"""
RULES = 'groups: [{name: a, rules: [{alert: Down, expr: "up  ==\\n 0", for: 60s, labels: {severity: critical}}, {record: a:b, expr: up}]}]'
SAME = """
global:
  external_labels: {environment: host1}
  scrape_timeout: 10s
  scrape_interval: 15s
rule_files: [rules/*.yml, rules/*.yaml]
scrape_configs:
- {job_name: db, basic_auth: {password: s3cret, username: u}, scrape_interval: 60s, scheme: http, params: {}}
- {job_name: node, honor_labels: false, static_configs: []}
- {job_name: prometheus}
alerting: {alertmanagers: [{scheme: http, static_configs: [{targets: ['127.0.0.1:9093']}]}], alert_relabel_configs: []}
"""


def prometheus(config, rules=RULES, argv=(), **more):
    files = {f"{DIR}/prometheus.yml": config, f"{DIR}/rules/mine.yml": rules, **more}
    return view("prometheus", [*ARGV, *argv], DIR, files)


def test_what_is_only_written_differently_is_the_same():
    live = prometheus(CONFIG, argv=["--web.external-url=", "--web.listen-address=0.0.0.0:9090",
                                    "--web.console.templates=/etc/prometheus/consoles", "--storage.tsdb.retention.time=720h",
                                    "--storage.tsdb.retention.size=0"])  # fmt: skip
    rules = RULES.replace('"up  ==\\n 0", for: 60s', "up == 0, for: 1m")
    assert rules != RULES
    wanted = prometheus(
        SAME + "storage: {tsdb: {retention: {time: 30d}}}\n", rules, argv=["--web.listen-address=:9090"]
    )
    assert compare("prometheus", live, wanted) == []
    assert counted(live, wanted)["jobs"] == 3


# A change of the wanted configuration, and what is said of it.
DIFFERENT = [
    ({"db": "database"}, [("jobs", "db", "lost"), ("jobs", "database", "gained")]),
    ({"s3cret": "other"}, [("jobs", "db", "changed")]),
    ({"host1": "host2"}, [("external labels", "environment", "changed")]),
    ({"127.0.0.1:9093": "10.0.0.1:9093"}, [("alertmanagers", "127.0.0.1:9093", "lost"), ("alertmanagers", "10.0.0.1:9093", "gained")]),
    ({"scrape_interval: 15s": "scrape_interval: 30s"}, [("global", "scrape_interval", "changed")]),
    ({"alert_relabel_configs: []": "alert_relabel_configs: [{action: labeldrop, regex: replica}]"},
     [("relabelling of alerts", '{"action": "labeldrop", "regex": "replica"}', "gained")]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), DIFFERENT)
def test_what_differs_is_named(changes, expected):
    wanted = SAME
    for before, after in changes.items():
        assert before in wanted
        wanted = wanted.replace(before, after)
    found = compare("prometheus", prometheus(CONFIG), prometheus(wanted))
    assert [(one.section, one.name, one.kind) for one in found] == expected
    assert all(one.keep for one in found if one.kind != "gained")
    assert "the inventory defines no service for this host" in rendered("h", [])
    assert "s3cret" not in rendered("h", [{"role": "prometheus", "words": [], "differences": found, "kept": {}}])


def test_rules_flags_and_accounts():
    live = prometheus(CONFIG, argv=["--storage.tsdb.retention.time=15d", "--enable-feature=x"])
    packs = "groups: [{name: p, rules: [{alert: Watchdog, expr: vector(1)}, {alert: Down, expr: up == 1, labels: {severity: critical}}]}]"
    wanted = prometheus(CONFIG, packs, argv=["--storage.tsdb.retention.time=30d"])
    wanted["flags"]["storage.tsdb.path"] = "/data"
    found = {(one.section, one.name): one for one in compare("prometheus", live, wanted)}
    assert found["alerts", "Watchdog"].keep == "prometheus_rule_packs: [] for none of the packs"
    assert found["alerts", "Down (critical)"].detail == "expr: up == 0 -> up == 1; for: 1m -> -"
    assert found["recording rules", "a:b"].kind == "lost"
    assert found["retention", "time"].keep == "prometheus_storage_retention: 15d"
    assert found["flags", "storage.tsdb.path"].keep == "prometheus_db_dir: /var/lib/prometheus"
    assert found["flags", "enable-feature"].kind == "lost"
    live["service"], wanted["service"] = {"user": "prom"}, {"user": "prometheus"}
    (user,) = [one for one in compare("prometheus", live, wanted) if one.section == "service"]
    assert (user.detail, user.keep) == ("prom -> prometheus", "prometheus_system_user: prom")


ALERTMANAGER = """
global: {resolve_timeout: 5m, slack_api_url: https://hooks.example/secret}
route:
  receiver: ops
  group_by: [alertname, job]
  routes:
  - {receiver: db, match: {team: db}, routes: [{receiver: ops, matchers: ['severity = "critical"']}]}
receivers:
- {name: ops, slack_configs: [{channel: '#ops', api_url: https://hooks.example/secret}]}
- {name: db}
inhibit_rules: [{source_matchers: [a="b", c="d"], target_matchers: [e="f"], equal: [x, y]}]
templates: [/etc/alertmanager/templates/*.tmpl]
"""
ALERTMANAGER_SAME = """
route:
  receiver: ops
  group_wait: 30s
  group_by: [job, alertname]
  routes:
  - {receiver: db, matchers: ['team="db"'], continue: false, routes: [{receiver: ops, matchers: [severity="critical"]}]}
global: {slack_api_url: https://hooks.example/secret}
receivers:
- {name: db}
- {name: ops, slack_configs: [{api_url: https://hooks.example/secret, channel: '#ops'}]}
inhibit_rules: [{equal: [y, x], source_matchers: [c="d", a="b"], target_matchers: [e="f"]}]
templates: [templates/*]
"""


def alertmanager(config):
    where = "/etc/alertmanager"
    argv = ["alertmanager", f"--config.file={where}/alertmanager.yml", "--cluster.listen-address="]
    files = {f"{where}/alertmanager.yml": config, f"{where}/templates/a.tmpl": '{{ define "own.title" }}x{{ end }}'}
    return view("alertmanager", argv, where, files)


def test_receivers_and_routes_by_meaning():
    live = alertmanager(ALERTMANAGER)
    assert compare("alertmanager", live, alertmanager(ALERTMANAGER_SAME)) == []
    assert live["message templates"] == {"own.title": {}}
    assert list(live["routes"]) == [
        "everything",
        'everything > team="db"',
        'everything > team="db" > severity="critical"',
    ]
    wanted = (
        ALERTMANAGER_SAME.replace("receiver: db", "receiver: ops")
        .replace("'#ops'", "'#new'")
        .replace("secret, ch", "other, ch")
    )
    found = {(one.section, one.name): one for one in compare("alertmanager", live, alertmanager(wanted))}
    assert found["routes", 'everything > team="db"'].detail == "receiver: db -> ops"
    detail = found["receivers", "ops"].detail
    assert "slack_configs.0.channel: #ops -> #new" in detail
    assert "slack_configs.0.api_url: another value" in detail
    assert "hooks.example" not in detail


def test_grafana_by_meaning():
    files = {
        "/etc/grafana/grafana.ini": "[server]\nhttp_port = 3000\n[security]\nadmin_password = s3cret\n",
        "/etc/grafana/provisioning/datasources/ansible.yml": "datasources: [{name: P, type: prometheus, url: http://a}]",
        "/var/lib/grafana/dashboards/a.json": json.dumps({"title": "Nodes", "uid": "n", "panels": []}),
    }
    live = view("grafana", ["grafana", "server", "--config=/etc/grafana/grafana.ini"], "/etc/grafana", files)
    assert live["dashboards"] == {"Nodes": {"uid": "n"}}
    changed = {**files, "/etc/grafana/grafana.ini": "[server]\nhttp_port=3001\n[security]\nadmin_password=0ther\n"}
    del changed["/var/lib/grafana/dashboards/a.json"]
    wanted = view("grafana", ["grafana", "server", "--config=/etc/grafana/grafana.ini"], "/etc/grafana", changed)
    found = {one.name: one for one in compare("grafana", live, wanted)}
    assert found["server.http_port"].detail == "3000 -> 3001"
    assert "s3cret" not in found["security.admin_password"].detail
    assert (found["Nodes"].kind, found["Nodes"].section) == ("lost", "dashboards")
    provider = {"content": "providers: [{options: {path: /var/lib/grafana/dashboards}}]"}
    found = {"running": True, "files": {"/etc/grafana/provisioning/dashboards/ansible.yml": provider}}
    assert further_files("grafana", found) == ["/var/lib/grafana/dashboards/**/*.json"]


def test_targets_of_both_sides():
    answer = json.dumps(
        {
            "data": {
                "activeTargets": [
                    {"labels": {"job": "node", "instance": "a:1"}},
                    {"labels": {"job": "k8s", "instance": "b"}},
                ]
            }
        }
    )
    live, wanted = both_targets(targets_of(answer), [{"job": "node", "instance": "a:2"}], ["k8s"])
    found = compare("prometheus", {"targets": live}, {"targets": wanted})
    assert [(one.name, one.kind) for one in found] == [("node a:1", "lost"), ("node a:2", "gained")]
    assert targets_of("no") is None


def live_service(**given):
    theirs = "#\n# Ansible managed\n#\n\ngroups:\n- name: ansible managed alert rules\n  rules:\n  - alert: A\n"
    files = {"prometheus.yml": CONFIG, "rules/ansible_managed.yml": theirs, "rules/mine.yml": RULES}
    return {
        "running": True,
        "several": 1,
        "pid": 7,
        "argv": ARGV,
        "contained": False,
        "config_dir": DIR,
        "files": {f"{DIR}/{path}": {"content": text, "owner": "prometheus"} for path, text in files.items()},
        "answers": {},
        **given,
    }


def test_what_a_table_cannot_say():
    wanted, peers = {f"{DIR}/prometheus.yml": SAME}, _rooms.load("prometheus").superseded()
    said = "\n".join(words_about("prometheus", live_service(), DIR, wanted, peers, False))
    assert f"prometheus_take_over: true is required to allow the role to replace {DIR}/prometheus.yml" in said
    assert f"and remove {DIR}/rules/ansible_managed.yml" in said
    assert f"not changed, and used if the configuration refers to it: {DIR}/rules/mine.yml" in said
    assert "files that belong to prometheus now will belong to root" in said
    assert "container" not in said
    said = "\n".join(
        words_about("prometheus", live_service(contained=True, config_dir="/prom"), DIR, wanted, peers, True)
    )
    assert "its compose file, image, volumes, networks and limits cannot be read" in said
    assert "set prometheus_config_dir: /prom to keep it" in said
    loaded = json.dumps({"data": {"yaml": CONFIG.replace("job_name: db", "job_name: gone")}})
    answers = {"/api/v1/status/config": {"status": 200, "text": loaded}}
    said = "\n".join(words_about("prometheus", live_service(answers=answers), DIR, wanted, peers, True))
    assert "the loaded configuration differs from the file on disk: jobs db, gone" in said
    assert unloaded("no", {}) is None


def test_the_version_that_a_service_says():
    assert (
        version_of({"answers": {"/metrics": {"text": 'node_exporter_build_info{a="b",version="1.9.0+ds1"} 1'}}})
        == "1.9.0"
    )
    assert version_of({"answers": {"/api/v1/status/buildinfo": {"text": '{"data":{"version":"3.5.3"}}'}}}) == "3.5.3"
    assert version_of({"answers": {"/metrics": {"text": ""}}}) is None


@pytest.mark.parametrize(
    "kind",
    ["prometheus", "alertmanager", "blackbox_exporter", "node_exporter", "cadvisor", "grafana", "postgres_exporter"],
)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "a: [",
        "scrape_configs: 5\nroute: []\nreceivers: {}\nmodules: x",
        "global: x\nalerting: []\nrule_files: y",
    ],
)
def test_what_is_no_configuration_does_no_harm(kind, text):
    names = ("prometheus.yml", "alertmanager.yml", "blackbox_exporter.yml", "grafana.ini")
    found = view(kind, [kind], "/etc/x", {f"/etc/x/{name}": text for name in names})
    assert compare(kind, found, found) == []
