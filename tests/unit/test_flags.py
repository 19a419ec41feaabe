# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services' command lines."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils._flags import flag
from role_inputs import Inputs, release, room

EMPTY_WEB = {"tls_server_config": {}, "http_server_config": {}, "basic_auth_users": {}}


def arguments(role, version=None, **given):
    """The command line of a service without its program."""
    web = given.pop("web_config", {})
    inputs = Inputs(role, **given, **({"web_config": web} if role in ("prometheus", "alertmanager") else web))
    return room(role).argv(inputs, release(role, version))[1:]


WEB = {"basic_auth_users": {"admin": "hash"}}


@pytest.mark.parametrize(
    ("value", "arguments"),
    [
        (None, ["--x"]),
        ("", ["--x"]),
        (True, ["--x"]),
        (False, ["--no-x"]),
        ("a b", ["--x=a b"]),
        (0, ["--x=0"]),
        (1024, ["--x=1024"]),
        (["a", "b"], ["--x=a", "--x=b"]),
        ([], []),
    ],
)
def test_one_flag(value, arguments):
    assert flag("x", value) == arguments


def prometheus(**settings):
    given = {
        "version": "3.5.3",
        "config_dir": "/etc/prometheus",
        "db_dir": "/data",
        "web_listen_address": "0.0.0.0:9090",
        "web_external_url": "",
        "storage_retention": "30d",
        "storage_retention_size": "0",
        "agent_mode": False,
        "web_config": EMPTY_WEB,
        "config_flags_extra": {},
    }
    return arguments("prometheus", **dict(given, **settings))


COMMON = ["--config.file=/etc/prometheus/prometheus.yml"]
STORAGE = ["--storage.tsdb.path=/data", "--storage.tsdb.retention.time=30d"]
LISTEN = ["--web.listen-address=0.0.0.0:9090"]


@pytest.mark.parametrize(
    ("settings", "rest"),
    [
        ({}, STORAGE + LISTEN),
        ({"storage_retention_size": "50GB"}, [*STORAGE, "--storage.tsdb.retention.size=50GB", *LISTEN]),
        ({"storage_retention_size": 0}, STORAGE + LISTEN),
        ({"version": "2.6.0"}, ["--storage.tsdb.path=/data", "--storage.tsdb.retention=30d", *LISTEN]),
        ({"agent_mode": True}, ["--agent", "--storage.agent.path=/data", *LISTEN]),
        (
            {"agent_mode": True, "version": "2.53.3"},
            ["--enable-feature=agent", "--storage.agent.path=/data", *LISTEN],
        ),
        # Before its release a version knows what the release knows.
        ({"agent_mode": True, "version": "3.0.1+ds1"}, ["--agent", "--storage.agent.path=/data", *LISTEN]),
        ({"web_config": WEB}, [*STORAGE, "--web.config.file=/etc/prometheus/web_config.yml", *LISTEN]),
        ({"web_external_url": "https://m.example/p"}, [*STORAGE, *LISTEN, "--web.external-url=https://m.example/p"]),
        (
            {
                "config_flags_extra": {
                    "web.enable-admin-api": None,
                    "enable-feature": ["a", "b"],
                    "alertmanager.timeout": "10s",
                }
            },
            [
                *STORAGE,
                *LISTEN,
                "--web.enable-admin-api",
                "--enable-feature=a",
                "--enable-feature=b",
                "--alertmanager.timeout=10s",
            ],
        ),
    ],
)
def test_prometheus(settings, rest):
    assert prometheus(**settings) == COMMON + rest


@pytest.mark.parametrize(
    ("settings", "rest"),
    [
        ({}, ["--cluster.listen-address="]),
        ({"cluster": {"listen-address": "0.0.0.0:9094", "peers": ["a:1", "b:1"], "peer-timeout": "20s"}}, None),
        ({"cluster": {}, "config_flags_extra": {"data.retention": "24h"}}, ["--data.retention=24h"]),
        ({"cluster": {}, "version": "0.25.0"}, ["--data.maintenance-interval=1m"]),
        (
            {"cluster": {}, "version": "0.25.0", "config_flags_extra": {"data.maintenance-interval": "5m"}},
            ["--data.maintenance-interval=5m"],
        ),
    ],
)
def test_alertmanager(settings, rest):
    given = {
        "version": "0.24.0",
        "config_dir": "/etc/am",
        "db_dir": "/data",
        "web_listen_address": "0.0.0.0:9093",
        "web_external_url": "",
        "cluster": {"listen-address": ""},
        "web_config": {},
        "config_flags_extra": {},
    }
    if rest is None:
        rest = [
            "--cluster.listen-address=0.0.0.0:9094",
            "--cluster.peer-timeout=20s",
            "--cluster.peer=a:1",
            "--cluster.peer=b:1",
        ]
    assert arguments("alertmanager", **dict(given, **settings)) == [
        "--config.file=/etc/am/alertmanager.yml",
        "--storage.path=/data",
        "--web.listen-address=0.0.0.0:9093",
        *rest,
    ]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, []),
        ({"enabled_collectors": ["systemd", {"textfile": {"directory": "/t"}}]},
         ["--collector.systemd", "--collector.textfile", "--collector.textfile.directory=/t"]),
        ({"enabled_collectors": [{"textfile": {"directory": ""}}]},
         ["--collector.textfile", "--collector.textfile.directory="]),
        ({"enabled_collectors": [{"cpu": None}, {"ntp": {"server-is-local": True}}]},
         ["--collector.cpu", "--collector.ntp", "--collector.ntp.server-is-local"]),
        ({"enabled_collectors": [{"filesystem": {"mount-points-exclude": "^/(dev|proc)($|/)", "b": 1}}]},
         ["--collector.filesystem", "--collector.filesystem.b=1",
          "--collector.filesystem.mount-points-exclude=^/(dev|proc)($|/)"]),
        ({"disabled_collectors": ["zfs"]}, ["--no-collector.zfs"]),
        ({"web_config": WEB}, ["--web.config.file=/etc/ne/web_config.yml"]),
        ({"web_config": WEB, "version": "1.4.0"}, ["--web.config=/etc/ne/web_config.yml"]),
        ({"web_disable_exporter_metrics": True}, ["--web.disable-exporter-metrics"]),
    ],
)  # fmt: skip
def test_node_exporter(settings, expected):
    given = {
        "version": "1.11.1",
        "config_dir": "/etc/ne",
        "web_listen_address": ["127.0.0.1:9100", "[::1]:9100"],
        "web_telemetry_path": "/metrics",
        "web_disable_exporter_metrics": False,
        "enabled_collectors": [],
        "disabled_collectors": [],
        "log_level": "info",
        "log_format": "json",
        "web_config": EMPTY_WEB,
    }
    assert arguments("node_exporter", **dict(given, **settings)) == [
        *expected,
        "--log.level=info",
        "--log.format=json",
        "--web.listen-address=127.0.0.1:9100",
        "--web.listen-address=[::1]:9100",
        "--web.telemetry-path=/metrics",
    ]


def test_blackbox_exporter():
    settings = {
        "config_dir": "/etc/blackbox_exporter",
        "web_listen_address": ["127.0.0.1:9115", "[::1]:9115"],
        "web_config": WEB,
        "cli_flags": {"log.level": "warn", "history.limit": 10},
    }
    assert arguments("blackbox_exporter", **settings) == [
        "--config.file=/etc/blackbox_exporter/blackbox_exporter.yml",
        "--web.config.file=/etc/blackbox_exporter/web_config.yml",
        "--web.listen-address=127.0.0.1:9115",
        "--web.listen-address=[::1]:9115",
        "--log.level=warn",
        "--history.limit=10",
    ]


CADVISOR = {
    "listen_ip": "0.0.0.0",
    "port": "8080",
    "prometheus_endpoint": "/metrics",
    "enable_metrics": [],
    "disable_metrics": ["cpuset", "tcp"],
    "whitelisted_container_labels": ["com.docker.compose.service"],
    "env_metadata_whitelist": ["TEAM"],
    "store_container_labels": False,
    "docker_only": True,
    "housekeeping_interval": "10s",
    "max_housekeeping_interval": "15s",
    "config_flags_extra": {"url_base_prefix": "/c", "profiling": True},
}


@pytest.mark.parametrize(
    ("version", "changed"),
    [
        ("0.60.3", ["--disable_metrics=cpuset,tcp", "--env_metadata_whitelist=TEAM"]),
        ("0.38.7", ["--disable_metrics=tcp", "--docker_env_metadata_whitelist=TEAM"]),
    ],
)
def test_cadvisors_flags_are_gos_own(version, changed):
    assert sorted(arguments("cadvisor", version, **CADVISOR)) == sorted(
        [
            *changed,
            "--docker_only=true",
            "--housekeeping_interval=10s",
            "--listen_ip=0.0.0.0",
            "--max_housekeeping_interval=15s",
            "--port=8080",
            "--profiling=true",
            "--prometheus_endpoint=/metrics",
            "--store_container_labels=false",
            "--url_base_prefix=/c",
            "--whitelisted_container_labels=com.docker.compose.service",
        ]
    )


def test_postgres_exporter_is_not_told_its_database():
    settings = {
        "config_dir": "/etc/postgres_exporter",
        "config_file": "postgres_exporter.yml",
        "web_listen_address": "0.0.0.0:9187",
        "web_telemetry_path": "/metrics",
        "enabled_collectors": ["postmaster", {"stat_statements": {"limit": 5}}],
        "disabled_collectors": ["wal"],
        "log_level": "info",
        "log_format": "json",
        "web_config": EMPTY_WEB,
        "config_flags_extra": {"disable-default-metrics": None},
        "password": "secret",
    }
    assert arguments("postgres_exporter", **settings) == [
        "--config.file=/etc/postgres_exporter/postgres_exporter.yml",
        "--collector.postmaster",
        "--collector.stat_statements",
        "--collector.stat_statements.limit=5",
        "--no-collector.wal",
        "--web.listen-address=0.0.0.0:9187",
        "--web.telemetry-path=/metrics",
        "--log.level=info",
        "--log.format=json",
        "--disable-default-metrics",
    ]


def test_flags_of_go_are_those_that_differ_from_upstreams_defaults():
    usual = [
        "--web.listen-address=0.0.0.0:9121",
        "--web.telemetry-path=/metrics",
        "--redis.addr=redis://localhost:6379",
    ]
    numbers = [
        "--check-keys-batch-size=1000",
        "--log-format=txt",
        "--connection-timeout=15s",
        "--tls-server-min-version=TLS1.2",
        "--max-distinct-key-groups=100",
        "--config-command=CONFIG",
    ]
    assert arguments("redis_exporter") == [*usual, *numbers]
    given = arguments("redis_exporter", check_keys=["a", "b"], is_cluster=True, set_client_name=False, password="p")
    assert given[0] == "--redis.password-file=/etc/redis_exporter/passwords.json"
    assert {"--check-keys=a,b", "--is-cluster=true", "--set-client-name=false"} <= set(given)
    assert not any(argument.rpartition("=")[2] == "p" for argument in given)


@pytest.mark.parametrize(("plus", "metric"), [(False, "nginx_up"), (True, "nginxplus_up")])
def test_nginx_exporter_with_either_edition(plus, metric):
    inputs = Inputs("nginx_exporter", plus=plus)
    assert room("nginx_exporter").health(inputs)["dependency_metric"] == metric
    assert arguments("nginx_exporter", plus=plus) == [
        "--web.listen-address=0.0.0.0:9113",
        "--web.telemetry-path=/metrics",
        "--nginx.scrape-uri=http://127.0.0.1/stub_status",
        "--nginx.plus" if plus else "--no-nginx.plus",
        "--log.level=info",
        "--log.format=logfmt",
    ]


@pytest.mark.parametrize(
    ("given", "passwords"),
    [
        ({}, None),
        ({"password": "p"}, {"redis://localhost:6379": "p"}),
        ({"password": "p", "user": "u"}, {"redis://u@localhost:6379": "p"}),
        ({"addr": "h:1", "password": "p", "passwords": {"redis://x": "y"}}, {"redis://h:1": "p", "redis://x": "y"}),
    ],
)
def test_passwords_of_redis_by_the_url_that_its_exporter_looks_for(given, passwords):
    assert room("redis_exporter").config(Inputs("redis_exporter", **given)) == passwords
