# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused before anything is done, and that nothing else is."""

from __future__ import annotations

import pytest
import role_inputs
from ansible_collections.vigil.monitoring.plugins.plugin_utils import (
    _check_roles,
    _inputs,
    _own_variables,
    _rooms,
    _unquoted,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._alertmanager_inputs import STAND_INS
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Doubt, is_duration

BCRYPT = "$2y$10$" + "a" * 53
COMMON = {
    "install_method": "archive",
    "checksum": "",
    "preinstalled_path": "",
    "binary_install_dir": "/usr/local/bin",
    "release_dir": "/opt/vigil/bin",
    "system_user": "someone",
    "system_group": "someone",
    "systemd_dropin": "",
    "limit_nofile": 8192,
    "ready_timeout": 120,
    "canary": 1,
    "health_username": "",
    "health_password": "",
    "runtime": "docker",
    "image": "quay.io/some/thing:v1.0",
    "container_extra": {"oom_score_adj": -500},
    "container_cpus": "1.5",
    "registry_username": "",
    "registry_password": "",
    "allowed_networks": [],
    "firewall": "none",
}
GOOD = {
    "prometheus": {
        "version": "3.5.3",
        "config_dir": "/etc/prometheus",
        "db_dir": "/var/lib/prometheus",
        "web_listen_address": "0.0.0.0:9090",
        "web_config": {"tls_server_config": {}, "http_server_config": {}, "basic_auth_users": {}},
        "config_flags_extra": {"web.enable-admin-api": None},
        "global": {"scrape_interval": "15s", "scrape_timeout": "10s", "evaluation_interval": "1m30s"},
        "storage": {"tsdb": {"out_of_order_time_window": "30m"}},
        "storage_retention": "30d",
        "storage_retention_size": "0",
        "agent_mode": False,
        "targets": {},
        "rule_packs": ["auto", "backup"],
        "thresholds": {"HighDiskUsage": {"critical": 90, "warning": {"for": "1h"}}, "HighInodeUsage": False},
        "replica_label": "replica",
        "replica": "monitor-1",
        "external_labels": {"environment": "prod"},
        "rule_labels": {"team": "shop"},
        "rule_annotations": {"contact": "+49"},
    },
    "alertmanager": {
        "version": "0.33.1",
        "config_dir": "/etc/alertmanager",
        "db_dir": "/var/lib/alertmanager",
        "web_listen_address": ["127.0.0.1:9093", "[::1]:9093"],
        "web_config": {},
        "config_flags_extra": {},
        "config_file": "alertmanager.yml.j2",
        "escalation": {},
        "smtp": {},
        "global": {"new_key": 1},
        **dict.fromkeys(STAND_INS, ""),
        "receivers": [{"name": "default"}],
        "route": {"receiver": "default"},
        "resolve_timeout": "3m",
        "cluster": {"listen-address": ""},
    },
    "node_exporter": {
        "version": "1.11.1",
        "config_dir": "/etc/node_exporter",
        "textfile_dir": "/var/lib/node_exporter",
        "web_listen_address": "0.0.0.0:9100",
        "web_telemetry_path": "/metrics",
        "tls_server_config": {},
        "http_server_config": {},
        "basic_auth_users": {},
        "log_level": "info",
        "log_format": "json",
        "enabled_collectors": ["systemd", {"textfile": {"directory": "/t"}}],
        "disabled_collectors": ["zfs"],
    },
    "blackbox_exporter": {
        "version": "0.28.0",
        "config_dir": "/etc/blackbox_exporter",
        "web_listen_address": "0.0.0.0:9115",
        "cli_flags": {"log.prober": "warn"},
        "configuration_modules": {"http_2xx": {"prober": "http"}, "icmp": {"prober": "icmp"}},
        "tls_server_config": {},
        "http_server_config": {},
        "basic_auth_users": {},
    },
    "postgres_exporter": {
        "version": "0.19.1",
        "config_dir": "/etc/postgres_exporter",
        "config_file": "postgres_exporter.yml",
        "web_listen_address": "0.0.0.0:9187",
        "web_telemetry_path": "/metrics",
        "config_flags_extra": {},
        "log_level": "debug",
        "log_format": "logfmt",
        "enabled_collectors": [],
        "disabled_collectors": [],
        "name": "postgresql:///postgres?host=/var/run/postgresql",
        "uri": "",
        "username": "",
        "password": "",
        "dsn_file": "",
        "manage_role": True,
        "admin_username": "",
        "tls_server_config": {},
        "http_server_config": {},
        "basic_auth_users": {},
    },
    "cadvisor": {
        "version": "0.60.3",
        "config_dir": "/etc/cadvisor",
        "listen_ip": "[::1]",
        "port": "8080",
        "prometheus_endpoint": "/metrics",
        "enable_metrics": [],
        "disable_metrics": ["tcp", "disk"],
        "housekeeping_interval": "10s",
        "max_housekeeping_interval": "1m",
        "config_flags_extra": {"url_base_prefix": "/c"},
    },
}


def problems(role, **given):
    values = {"{0}_{1}".format(role, name): value for name, value in {**COMMON, **GOOD[role], **given}.items()}
    return [str(problem) for problem in _inputs.problems(role, values)]


def test_what_channels_leave_to_all_is_checked():
    hook = {"channels": {"m": {"kind": "mattermost"}}}
    (found,) = problems("alertmanager", escalation=hook)
    assert "m.webhook_url: is missing" in found
    assert problems("alertmanager", escalation=hook, mattermost_webhook_url_file="/x") == []


@pytest.mark.parametrize("role", sorted(GOOD))
def test_good_inputs(role):
    assert problems(role) == []


TLS = {"tls_server_config": {"cert_file": "a", "key_file": "b"}}
MUTUAL = {"tls_server_config": {**TLS["tls_server_config"], "client_auth_type": "RequireAndVerifyClientCert"}}


@pytest.mark.parametrize(
    ("role", "given"),
    [
        ("prometheus", {"version": "v3.5.3"}),
        ("prometheus", {"external_labels": {"k8s.pod": "x"}, "rule_labels": {"größe": "y"}}),
        ("prometheus", {"replica_label": "k8s.pod"}),
        ("prometheus", {"replica_label": "", "replica": ""}),
        ("prometheus", {"shards": 2, "shard": "1", "targets": {"mine": []}, "sharded_jobs": ["mine"]}),
        ("prometheus", {"external_labels": {"replica": "A"}, "replica": ""}),
        ("prometheus", {"version": "2", "install_method": "package", "rule_labels": {"k8s.pod": "x"}}),
        ("prometheus", {"version": "3.0.0-rc.1"}),
        ("prometheus", {"version": "3.5.3+ds1"}),
        ("prometheus", {"version": "whatever", "install_method": "package"}),
        ("prometheus", {"checksum": "a" * 64}),
        ("prometheus", {"checksum": "sha256:" + "A" * 64}),
        ("prometheus", {"checksum": {"amd64": "a" * 64, "arm64": "b" * 64}}),
        ("prometheus", {"install_method": "preinstalled", "preinstalled_path": "/opt/prometheus"}),
        ("prometheus", {"storage_retention": "1y2w3d4h5m6s7ms", "storage_retention_size": "512MB"}),
        ("prometheus", {"storage_retention": 0, "storage_retention_size": 0}),
        ("prometheus", {"web_config": {"basic_auth_users": {"a": BCRYPT}, **TLS}}),
        ("prometheus", {"web_config": None, "global": {}, "targets": {"a": [{"targets": ["b:1"]}], "c": []}}),
        ("prometheus", {"agent_mode": True, "version": "2.32.0"}),
        ("prometheus", {"systemd_dropin": "# why\n\n[Service]\nNice=5\n"}),
        ("prometheus", {"health_username": "a", "health_password": "b"}),
        ("prometheus", {"web_config": MUTUAL, "health_client_cert": "/c", "health_client_key": "/k"}),
        ("alertmanager", {"config_file": "my.yml.j2", "receivers": [], "route": {}}),
        ("alertmanager", {"cluster": {"listen-address": ":9094", "peers": ["a:9094"]}}),
        ("alertmanager", {"version": "0.24.0", "web_listen_address": "127.0.0.1:9093"}),
        ("node_exporter", {"textfile_dir": "", "web_listen_address": ":9100"}),
    ],
)
def test_further_good_inputs(role, given):
    assert problems(role, **given) == []


@pytest.mark.parametrize(
    ("role", "given", "words"),
    [
        ("prometheus", {"version": "latest"}, ["prometheus_version", "latest", "pin"]),
        ("prometheus", {"version": "3.5"}, ["prometheus_version", "3.5", "MAJOR.MINOR.PATCH"]),
        ("prometheus", {"checksum": "abc"}, ["prometheus_checksum", "64"]),
        ("prometheus", {"checksum": {"arm64": "abc"}}, ["prometheus_checksum['arm64']"]),
        ("prometheus", {"install_method": "preinstalled"}, ["prometheus_preinstalled_path", "absolute"]),
        ("prometheus", {"config_dir": "etc/prometheus"}, ["prometheus_config_dir", "absolute"]),
        ("prometheus", {"config_dir": "/etc/../root"}, ["prometheus_config_dir", "absolute"]),
        ("prometheus", {"db_dir": "/var/lib/"}, ["prometheus_db_dir", "system"]),
        ("prometheus", {"system_user": "Some One"}, ["prometheus_system_user"]),
        ("prometheus", {"web_listen_address": "9090"}, ["prometheus_web_listen_address", "HOST:PORT"]),
        ("prometheus", {"web_listen_address": "a:99999"}, ["prometheus_web_listen_address", "65535"]),
        ("prometheus", {"web_config": {"basic_auth_user": {}}}, ["basic_auth_user", "did you mean basic_auth_users"]),
        ("prometheus", {"web_config": {"tls_server_config": {"cert_file": "a"}}}, ["tls_server_config", "key_file"]),
        ("prometheus", {"web_config": {"tls_server_config": ["x"]}}, ["tls_server_config", "dictionary"]),
        ("prometheus", {"web_config": MUTUAL}, ["prometheus_health_client_cert", "RequireAndVerifyClientCert"]),
        (
            "prometheus",
            {"health_client_key": "/k"},
            ["prometheus_health_client_key", "without prometheus_health_client_cert"],
        ),
        ("prometheus", {"health_client_cert": "c"}, ["prometheus_health_client_cert", "absolute path"]),
        ("prometheus", {"web_config": TLS, "version": "2.23.0"}, ["prometheus_version", "2.24.0"]),
        ("prometheus", {"config_flags_extra": {"--x": 1}}, ["'--x'", "dash", "'x'"]),
        ("prometheus", {"config_flags_extra": {"no-agent": None}}, ["no-agent", "prometheus_agent_mode"]),
        (
            "prometheus",
            {"config_flags_extra": {"storage.tsdb.retention.time": "1d"}},
            ["storage.tsdb.retention.time", "use prometheus_storage_retention"],
        ),
        ("prometheus", {"global": {"scrape_interval": "15 s"}}, ["prometheus_global.scrape_interval", "15 s"]),
        ("prometheus", {"global": {"scrape_interval": "5s1m"}}, ["prometheus_global.scrape_interval"]),
        ("prometheus", {"global": {"external_labels": {}}}, ["use prometheus_external_labels"]),
        (
            "prometheus",
            {"replica_label": "a-b", "version": "2.53.3"},
            ["prometheus_replica_label", "a-b", "letters, digits"],
        ),
        ("prometheus", {"shards": 0}, ["prometheus_shards", "is 0", "1 or more"]),
        ("prometheus", {"shards": 2, "shard": "2"}, ["prometheus_shard: is 2", "from 0 to 1"]),
        ("prometheus", {"shards": 2, "shard": "first"}, ["prometheus_shard", "'first'", "whole number"]),
        (
            "prometheus",
            {"scrape_configs": [{"job_name": "mine"}], "sharded_jobs": ["mien"]},
            ["prometheus_sharded_jobs", "mien", "did you mean mine?"],
        ),
        ("prometheus", {"sharded_jobs": ["node"]}, ["prometheus_sharded_jobs", "split in prometheus_scrape_groups"]),
        ("prometheus", {"replica": ""}, ["prometheus_replica: is empty", "the name of this server"]),
        ("prometheus", {"storage_retention": "30"}, ["prometheus_storage_retention", "30d"]),
        ("prometheus", {"storage_retention": ""}, ["prometheus_storage_retention"]),
        ("prometheus", {"storage_retention_size": "50"}, ["prometheus_storage_retention_size", "50GB"]),
        ("prometheus", {"agent_mode": True, "version": "2.31.0"}, ["prometheus_agent_mode", "2.32.0"]),
        ("prometheus", {"rule_packs": ["hosts"]}, ["prometheus_rule_packs", "'hosts'", "did you mean host?"]),
        ("prometheus", {"thresholds": {"HighDisk": 90}}, ["prometheus_thresholds.HighDisk", "HighDiskUsage"]),
        ("prometheus", {"rule_labels": {"severity": "x"}}, ["prometheus_rule_labels.severity", "another name"]),
        ("prometheus", {"targets": {"node": ["a:9100"]}}, ["prometheus_targets['node']", "targets: [HOST:PORT]"]),
        ("prometheus", {"targets": {"a/b": []}}, ["prometheus_targets['a/b']", "slash"]),
        ("prometheus", {"systemd_dropin": "Nice=5"}, ["prometheus_systemd_dropin", "[Service]"]),
        ("prometheus", {"ready_timeout": 0}, ["prometheus_ready_timeout"]),
        ("node_exporter", {"canary": -1}, ["node_exporter_canary", "is -1"]),
        ("prometheus", {"health_username": "a"}, ["prometheus_health_username", "set both"]),
        ("alertmanager", {"version": "0.24.0"}, ["alertmanager_web_listen_address", "0.25.0"]),
        ("alertmanager", {"web_listen_address": []}, ["alertmanager_web_listen_address", "empty"]),
        ("alertmanager", {"receivers": []}, ["alertmanager_receivers"]),
        ("alertmanager", {"route": {}}, ["alertmanager_route"]),
        (
            "prometheus",
            {"storage": {"tsdb": {"retention": {"time": "1d"}}}},
            ["prometheus_storage.tsdb.retention.time", "use prometheus_storage_retention"],
        ),
        ("prometheus", {"version": "2.53.3", "replica_label": "k8s.pod"}, ["prometheus_replica_label", "3.0.0"]),
        (
            "prometheus",
            {"version": "2.53.3", "external_labels": {"k8s.pod": "x"}},
            ["external_labels.k8s.pod", "3.0.0"],
        ),
        ("prometheus", {"version": "2.53.3", "rule_labels": {"k8s.pod": "x"}}, ["rule_labels.k8s.pod", "3.0.0"]),
        ("alertmanager", {"global": {"smtp_from": "a"}}, ["alertmanager_global.smtp_from", "use alertmanager_smtp"]),
        (
            "alertmanager",
            {"global": {"wechat_api_secret": "Sentinel"}},
            ["alertmanager_global.wechat_api_secret", "use alertmanager_wechat_secret"],
        ),
        ("alertmanager", {"resolve_timeout": "soon"}, ["alertmanager_resolve_timeout", "soon"]),
        ("alertmanager", {"cluster": {"peers": "a:1"}}, ["alertmanager_cluster.peers", "list"]),
        ("alertmanager", {"cluster": {"listen-address": "9094"}}, ["alertmanager_cluster.listen-address"]),
        (
            "alertmanager",
            {"config_flags_extra": {"cluster.listen-address": ":1"}},
            ["cluster.listen-address", "use alertmanager_cluster"],
        ),
        ("node_exporter", {"disabled_collectors": ["textfile"]}, ["textfile", "enabled as well"]),
        ("node_exporter", {"web_telemetry_path": "metrics"}, ["node_exporter_web_telemetry_path", "slash"]),
        ("node_exporter", {"web_listen_address": ["a:1", "b:1"], "version": "1.4.0"}, ["1.5.0"]),
    ],
)
def test_one_problem_that_says_what_to_do(role, given, words):
    found = problems(role, **given)
    assert len(found) == 1
    for word in words:
        assert word in found[0]


def test_no_password_is_repeated():
    found = problems("prometheus", web_config={"basic_auth_users": {"admin": "S3cr3t-word", "b": BCRYPT}})
    assert len(found) == 1
    assert "S3cr3t" not in found[0]
    assert "prometheus_web_config.basic_auth_users['admin']" in found[0]
    # The password is asked for: it stands in no process list and in no history of a shell.
    assert '`htpasswd -nBC 10 ""' in found[0]
    assert "`ansible-playbook vigil.monitoring.password`" in found[0]
    assert problems("node_exporter", basic_auth_users={"x": "short"})[0].startswith(
        "node_exporter_basic_auth_users['x']"
    )


def test_all_problems_are_named_at_once():
    found = problems("prometheus", version="latest", web_listen_address="x", storage_retention="1 day")
    assert len(found) == 3


@pytest.mark.parametrize(
    ("role", "name", "meant"),
    [
        # A letter or two, neighbours that changed places, words in another order.
        ("prometheus", "prometheus_storage_retension", "prometheus_storage_retention"),
        ("prometheus", "prometheus_verison", "prometheus_version"),
        ("prometheus", "prometheus_alert_rule_files", "prometheus_alert_rules_files"),
        ("prometheus", "prometheus_retention_storage", "prometheus_storage_retention"),
        ("prometheus", "prometheus_scrapeconfigs", "prometheus_scrape_configs"),
        ("node_exporter", "node_exporter_web_listen_adress", "node_exporter_web_listen_address"),
        ("alertmanager", "alertmanager_reciever", "alertmanager_receivers"),
        ("alertmanager", "alertmanager_recievers", "alertmanager_receivers"),
        ("grafana", "grafana_datasource", "grafana_datasources"),
        # What inventories have of their own, and what tasks register: near to nothing, whatever shares letters with it.
        ("prometheus", "prometheus_port", None),
        ("prometheus", "prometheus_ip", None),
        ("prometheus", "prometheus_hostnamelookupkey", None),
        ("prometheus", "prometheus_binaries", None),
        ("prometheus", "prometheus_zzzzqqqq", None),
        ("alertmanager", "alertmanager_ip", None),
        ("alertmanager", "alertmanager_host", None),
        ("node_exporter", "node_exporter_port", None),
        ("node_exporter", "node_exporter_binary", None),
        ("grafana", "grafana_admin_password", None),
    ],
)
def test_a_slip_is_told_from_a_variable_of_ones_own(role, name, meant):
    spec = _check_roles.spec_of(role)
    slips, others = _own_variables.sort_out(role, spec, [name, *spec])
    if meant:
        assert [(slip.variable, f"did you mean {meant}?" in slip.remedy) for slip in slips] == [(name, True)]
        assert "monitoring_own_variables" in slips[0].remedy
        assert others == []
    else:
        assert (slips, others) == ([], [name])
    assert _own_variables.sort_out(role, spec, [name], [name[:-2] + "*"]) == ([], [])


def test_what_is_none_of_the_roles_is_left_alone():
    names = ["prometheus", "other_prometheus_x", "__prometheus_x", "prometheusx_y", "prometheus_local_cache_path"]
    assert _own_variables.sort_out("prometheus", ["prometheus_version"], names) == ([], [])


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [("", "", 0), ("abc", "abc", 0), ("abc", "acb", 1), ("abcd", "abd", 1), ("abc", "xbc", 1), ("ab", "ba", 1), ("abc", "xyz", 3)],
)  # fmt: skip
def test_distance(one, other, apart):
    assert _own_variables.distance(one, other, 3) == _own_variables.distance(other, one, 3) == apart
    assert _own_variables.distance(one, other, max(0, apart - 1)) >= apart


@pytest.mark.parametrize(
    ("role", "values", "refused", "warned"),
    [
        ("prometheus", {}, 0, 0),
        ("prometheus", {"prometheus_local_cache_path": "/tmp"}, 0, 1),
        ("alertmanager", {"alertmanager_hipchat_api_url": ""}, 0, 0),
        ("alertmanager", {"alertmanager_hipchat_api_url": "https://x"}, 1, 0),
        ("alertmanager", {"alertmanager_mesh": {"listen-address": ""}}, 1, 0),
        ("prometheus", {"alertmanager_mesh": {"listen-address": ""}}, 0, 0),
        ("prometheus", {"prometheus_skip_install": False}, 0, 0),
    ],
)
def test_variables_of_the_peer(role, values, refused, warned):
    problems_found, warnings = _inputs.different_variables(role, values)
    assert (len(problems_found), len(warnings)) == (refused, warned)


@pytest.mark.parametrize("good", ["0", "15s", "1h30m", "100ms", "1y", 0])
def test_durations(good):
    assert is_duration(good)


@pytest.mark.parametrize("bad", ["", "15", "s", "1.5h", "1m1h", "15S", None, True, ["1s"], 15])
def test_no_durations(bad):
    assert not is_duration(bad)


SECRET = "hunter2-of-the-database"


@pytest.mark.parametrize(
    ("role", "given", "words"),
    [
        ("blackbox_exporter", {"configuration_modules": {}}, "configuration_modules: is empty"),
        ("blackbox_exporter", {"configuration_modules": {"a": "http"}}, "modules['a']: is not a dictionary"),
        ("blackbox_exporter", {"configuration_modules": {"a": {"prober": "htp"}}}, "did you mean http?"),
        ("blackbox_exporter", {"configuration_modules": {"a": {}}}, "there are http, tcp, icmp"),
        ("blackbox_exporter", {"cli_flags": {"config.file": "x"}}, "use blackbox_exporter_config_dir"),
        ("blackbox_exporter", {"version": "0.22.0", "web_listen_address": [":1", ":2"]}, "needs version 0.23.0"),
        ("postgres_exporter", {"config_file": "a/b.yml"}, "give the name of a file"),
        ("postgres_exporter", {"dsn_file": "dsn"}, "give the absolute path"),
        ("postgres_exporter", {"name": SECRET}, "is neither postgresql://"),
        (
            "postgres_exporter",
            {"name": "", "uri": "postgresql://a:" + SECRET + "@b/c"},
            "without the prefix postgresql://",
        ),
        ("postgres_exporter", {"password": " " + SECRET}, "begins or ends with a blank"),
        ("postgres_exporter", {"name": ""}, "nothing says where the database is"),
        ("postgres_exporter", {"dsn_file": "/etc/dsn"}, "nothing says where the database is"),
        ("postgres_exporter", {"name": "", "uri": "db.example.org/shop"}, "the database is on 'db.example.org'"),
        ("postgres_exporter", {"disabled_collectors": ["wal"], "enabled_collectors": ["wal"]}, "is enabled as well"),
        ("postgres_exporter", {"config_flags_extra": {"web.telemetry-path": "/"}}, "_web_telemetry_path"),
        ("cadvisor", {"listen_ip": "::1"}, "cadvisor_listen_ip and cadvisor_port: '::1:8080' is not HOST:PORT"),
        ("cadvisor", {"port": "http"}, "write them like 0.0.0.0 or [::], and 8080"),
        ("cadvisor", {"prometheus_endpoint": "metrics"}, "begin it with a slash"),
        ("cadvisor", {"housekeeping_interval": "10"}, "cadvisor_housekeeping_interval: is '10'"),
        ("cadvisor", {"disable_metrics": ["memry"]}, "has 'memry'; did you mean memory?"),
        ("cadvisor", {"enable_metrics": ["x"]}, "there are accelerator, advtcp"),
        ("cadvisor", {"enable_metrics": ["cpu"], "version": "0.38.7"}, "which needs version 0.41.0"),
        ("cadvisor", {"config_flags_extra": {"port": 1}}, "use cadvisor_port"),
        ("cadvisor", {"config_flags_extra": {"docker_env_metadata_whitelist": "A"}}, "cadvisor_env_metadata_whitelist"),
    ],
)
def test_inputs_of_the_exporters_that_cannot_work(role, given, words):
    found = "\n".join(problems(role, **given))
    assert words in found
    assert SECRET not in found


def test_a_database_elsewhere_needs_an_administrator_or_nobody():
    assert problems("postgres_exporter", name="", uri="db.example.org/shop", admin_username="root") == []
    assert problems("postgres_exporter", name="", uri="db.example.org/shop", manage_role=False) == []
    assert problems("postgres_exporter", name="", uri="localhost/shop") == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"image": "quay.io/some/thing"}, ["_image: is 'quay.io/some/thing', which means another image every day"]),
        ({"image": "quay.io/some/thing:latest"}, ["_image: is", "name a tag or a digest"]),
        ({"image": "quay.io/some/thing:"}, ["_image", "is not the name of an image"]),
        ({"image": "thing@sha256:12"}, ["_image", "64 hexadecimal digits"]),
        ({"container_extra": {"name": "mine"}}, ["_container_extra['name']: is set already"]),
        ({"container_cpus": "two"}, ["_container_cpus: is 'two'"]),
        ({"registry_username": "me"}, ["_registry_username and", "only one of them is set"]),
    ],
)
def test_a_container_that_cannot_be_made(given, words):
    (problem,) = problems("prometheus", **given)
    assert all(word in problem for word in words), problem
    assert problems("prometheus", **given, runtime="systemd") == []


def test_an_image_may_be_pinned_by_its_digest_alone():
    assert problems("alertmanager", image="mirror.example:5000/a/b@sha256:" + "a" * 64) == []


@pytest.mark.parametrize(
    ("role", "given", "words"),
    [
        ("cadvisor", {"disable_metrics": ["tpc"]}, "did you mean tcp?"),
        ("blackbox_exporter", {"configuration_modules": {"a": {"prober": "quic"}}}, "there are http, tcp, icmp"),
        ("node_exporter", {"log_level": "trace"}, "is 'trace'; known are debug, info, warn, error"),
        ("postgres_exporter", {"log_format": "jsn"}, "is 'jsn'; did you mean json?"),
        ("prometheus", {"web_config": {"new_section": {"a": 1}}}, "prometheus_web_config.new_section: unknown section"),
    ],
)
def test_what_only_a_list_of_ours_does_not_know_is_said_and_not_refused(role, given, words):
    values = {"{0}_{1}".format(role, name): value for name, value in {**COMMON, **GOOD[role], **given}.items()}
    (found,) = _inputs.problems(role, values)
    assert isinstance(found, Doubt)
    assert words in str(found)


@pytest.mark.parametrize(
    ("given", "open_to_all"),
    [
        ({}, True),
        ({"tls": True}, False),
        ({"basic_auth_users": {"a": BCRYPT}}, False),
        ({"allowed_networks": ["10.0.0.0/8"], "firewall": "nftables"}, False),
        ({"auth_modules": {}}, False),
    ],
)
def test_passwords_that_anybody_can_have_sent_to_a_server_of_his_own(given, open_to_all):
    modules = {"auth_modules": {"shop": {"type": "userpass", "userpass": {"username": "u", "password": "p"}}}}
    values = {**COMMON, **GOOD["postgres_exporter"], **modules, **given}
    found = _inputs.problems(
        "postgres_exporter", {f"postgres_exporter_{name}": value for name, value in values.items()}
    )
    assert [isinstance(one, Doubt) and "by /probe; set monitoring_tls" in str(one) for one in found] == [
        True
    ] * open_to_all


@pytest.mark.parametrize("size", ["0", "512MB", "50GB", "1.5GB", "1GiB512MiB", "100B"])
def test_sizes_that_prometheus_takes(size):
    assert problems("prometheus", storage_retention_size=size) == []


@pytest.mark.parametrize("role", [name for name in _rooms.names() if _rooms.load(name).stage == 1])
def test_nothing_is_said_of_the_types_of_the_defaults(role):
    i = role_inputs.Inputs(role)
    values = {name: i[name[len(role) + 1 :]] for name in role_inputs._defaults(role)}
    assert _unquoted.check_quotes(values) == ([], [])
    # Each check knows which of the shared inputs a role lacks.
    assert all(str(problem) for problem in _inputs.problems(role, values))
