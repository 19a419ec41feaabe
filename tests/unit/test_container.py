# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services' containers as options of docker_container."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _container, _data_source, _rooms
from role_inputs import Inputs, release, room

LOOKUPS = {
    "vigil.monitoring.grafana_datasources": [[]],
    "vigil.monitoring.grafana_dashboards": [[]],
    "vigil.monitoring.promxy_server_groups": [{"groups": [], "parts": [], "closed": False}],
    "vigil.monitoring.scrape_targets": [{"jobs": [], "alertmanagers": [], "closed": False, "rules": {}}],
}

SETTINGS = {
    "service": "prometheus",
    "image": "quay.io/prometheus/prometheus:v3.5.3",
    "argv": ["/bin/prometheus", "--config.file=/etc/prometheus/prometheus.yml"],
    "user": "prometheus",
    "group": "monitoring",
    "config_dir": "/etc/prometheus",
    "data_dirs": ["/var/lib/prometheus"],
    "readable": ["/etc/prometheus/password", "/etc/ssl/own/key.pem"],
    "network": "host",
    "listen_address": "0.0.0.0:9090",
    "web_config": {},
    "external_url": "https://example.org/prometheus/",
    "limit_nofile": 65000,
    "stop_timeout": "10min",
    "health_path": "/-/healthy",
    "memory": "",
    "cpus": "",
    "container_extra": {},
}


def made(**given):
    return _container.container({**SETTINGS, **given}, {})


def made_for(role, **given):
    """The container of a service."""
    account = {"system_user": "prometheus", "system_group": "monitoring"}
    inputs = Inputs(role, LOOKUPS, **{"runtime": "docker", "config_dir": "/etc/prometheus", **account, **given})
    return room(role).container(inputs, release(role))


def test_a_container_can_do_nothing_that_it_need_not():
    options = made()
    assert options["read_only"] is True
    assert options["cap_drop"] == ["ALL"]
    assert "capabilities" not in options
    assert options["security_opts"] == ["no-new-privileges:true"]
    assert options["user"] == "prometheus:monitoring"
    assert options["command"] == ["--config.file=/etc/prometheus/prometheus.yml"]
    assert options["volumes"] == [
        "/etc/prometheus:/etc/prometheus:ro",
        "/var/lib/prometheus:/var/lib/prometheus:rw",
        "/etc/ssl/own:/etc/ssl/own:ro",
    ]
    assert (options["ulimits"], options["stop_timeout"]) == (["nofile:65000:65000"], 600)
    assert options["healthcheck"]["test"][-1] == "http://127.0.0.1:9090/prometheus/-/healthy"
    assert {"memory", "cpus", "published_ports", "networks", "pid_mode", "env"} & set(options) == set()


# The page Security says why: cAdvisor asks the engine, and a socket for ICMP takes a capability.
RIGHTS = {"cadvisor": ["DAC_READ_SEARCH", "SYS_PTRACE", "SYSLOG"], "blackbox_exporter": ["NET_RAW"]}


@pytest.mark.parametrize("role", [name for name in _rooms.names() if "image" in Inputs(name)])
def test_no_service_has_more_than_the_documentation_says(role):
    options = made_for(role, **({"cluster": {}} if role == "alertmanager" else {}))
    assert (options["read_only"], options["cap_drop"]) == (True, ["ALL"])
    # Nothing about seccomp: the engine's own filter stays.
    assert options["security_opts"] == ["no-new-privileges:true"]
    assert "privileged" not in options
    assert options.get("capabilities") == RIGHTS.get(role)


def test_nothing_is_mounted_for_itself_that_the_service_can_exchange():
    """The engine follows, as root and at each start, wherever the service has its own directory of logs lead."""
    options = made(
        data_dirs=["/var/lib/prometheus/", "/var/lib/prometheus/logs", "/var/lib/prometheus2"],
        read_dirs=["/var/lib/prometheus/rules", "/opt/more"],
        readable=["/var/lib/prometheus/token/x"],
    )
    assert options["volumes"] == [
        "/etc/prometheus:/etc/prometheus:ro",
        "/opt/more:/opt/more:ro",
        "/var/lib/prometheus:/var/lib/prometheus:rw",
        "/var/lib/prometheus2:/var/lib/prometheus2:rw",
    ]


def test_limits_are_set_where_they_are_asked_for():
    options = made(memory="512m", cpus="1.5")
    assert (options["memory"], options["cpus"]) == ("512m", 1.5)


def test_on_a_bridge_ports_are_published_on_the_addresses_asked_for():
    options = made(network="monitoring", listen_address=["127.0.0.1:9090", "[::1]:9090"], publish=["0.0.0.0:9094"])
    assert options["published_ports"] == [
        "127.0.0.1:9090:9090",
        "[::1]:9090:9090",
        "0.0.0.0:9094:9094/tcp",
        "0.0.0.0:9094:9094/udp",
    ]
    assert options["networks"] == [{"name": "monitoring", "aliases": ["prometheus"]}]
    # Inside, it asks itself where it listens.
    assert options["healthcheck"]["test"][-1].startswith("http://127.0.0.1:9090/")


@pytest.mark.parametrize(
    ("listen", "network", "inside"),
    [
        ("127.0.0.1:9090", "host", "127.0.0.1:9090"),
        (["127.0.0.1:1", "[::1]:1"], "host", ["127.0.0.1:1", "[::1]:1"]),
        ("127.0.0.1:9090", "bridge", "0.0.0.0:9090"),
        (":9090", "own", "0.0.0.0:9090"),
        (["127.0.0.1:1", "[::1]:1", "10.0.0.1:2"], "own", ["0.0.0.0:1", "0.0.0.0:2"]),
    ],
)
def test_a_container_listens_on_its_own_addresses(listen, network, inside):
    assert _container.inside(listen, network) == inside


@pytest.mark.parametrize("web", [{"tls_server_config": {"cert_file": "x"}}, {"basic_auth_users": {"a": "b"}}])
def test_a_container_that_would_need_a_secret_does_not_ask_itself(web):
    assert "healthcheck" not in made(web_config=web)


def test_the_users_own_options_have_the_last_word():
    options = made(
        container_extra={
            "read_only": False,
            "cap_drop": [],
            "log_options": {"max-file": "9"},
            "volumes": ["/srv:/srv:ro"],
            "healthcheck": None,
            "oom_score_adj": -500,
        }
    )
    assert (options["read_only"], options["cap_drop"], options["oom_score_adj"]) == (False, [], -500)
    assert options["log_options"] == {"max-size": "10m", "max-file": "9"}
    assert options["volumes"][0] == "/etc/prometheus:/etc/prometheus:ro"
    assert options["volumes"][-1] == "/srv:/srv:ro"
    assert "healthcheck" not in options


def test_node_exporter_sees_the_host_and_writes_nowhere():
    options = made_for("node_exporter", enabled_collectors=[{"textfile": {}}, "systemd"])
    assert (options["pid_mode"], options["network_mode"]) == ("host", "host")
    assert options["volumes"] == [
        "/etc/prometheus:/etc/prometheus:ro",
        "/:/host:ro,rslave",
        "/var/lib/node_exporter:/var/lib/node_exporter:ro",
        "/run/dbus:/var/run/dbus:ro",
    ]
    less = made_for("node_exporter", textfile_dir="", enabled_collectors=["ntp"])
    assert less["volumes"][1:] == ["/:/host:ro,rslave"]


def test_only_probes_by_icmp_need_a_right():
    options = made_for("blackbox_exporter", configuration_modules={"a": {"prober": "icmp"}})
    assert (options["capabilities"], options["user"]) == (["NET_RAW"], "0:monitoring")
    assert "capabilities" not in made_for("blackbox_exporter", configuration_modules={"a": {"prober": "http"}})


def test_grafana_is_run_by_its_own_program():
    options = made_for("grafana")
    assert options["entrypoint"] == ["/opt/x/grafana"]
    assert options["command"][0] == "server"


def test_what_grafanas_image_says_of_paths_does_not_win_over_its_ini():
    options = made_for("grafana", container_extra={"env": {"GF_LOG_LEVEL": "debug"}})
    assert options["env"] == {
        "GF_PATHS_DATA": "",
        "GF_PATHS_LOGS": "",
        "GF_PATHS_PLUGINS": "",
        "GF_PATHS_PROVISIONING": "",
        "GF_LOG_LEVEL": "debug",
    }


@pytest.mark.parametrize(
    ("text", "expected"), [("600s", 600), ("10min", 600), ("2m", 120), (30, 30), ("1h", 3600), ("50ms", 1)]
)
def test_times_are_systemds(text, expected):
    assert _container.seconds(text) == expected


@pytest.mark.parametrize("text", ["soon", "-1s", "", "1d 2h"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match="is not a time"):
        _container.seconds(text)


def test_a_mirror_takes_the_place_of_the_registry():
    repository = "quay.io/prometheus/prometheus"
    assert _container.image_name(repository, "v1") == "quay.io/prometheus/prometheus:v1"
    assert _container.image_name(repository, "v1", "m.example:5000") == "m.example:5000/prometheus/prometheus:v1"
    assert _container.image_name(repository, "v1", "m.example/quay/") == "m.example/quay/prometheus/prometheus:v1"


DATABASE = {"name": "", "uri": "", "username": "", "password": "", "dsn_file": "", "config_dir": "/etc/pe"}


def test_a_database_behind_a_socket_is_seen_by_its_directory():
    options = made_for("postgres_exporter", **{**DATABASE, "name": "postgresql:///postgres?host=/var/run/postgresql"})
    assert options["volumes"][-1] == "/var/run/postgresql:/var/run/postgresql:ro"
    assert options["env"] == {"DATA_SOURCE_URI_FILE": "/etc/pe/postgres_exporter_uri", "PGUSER": "prometheus"}
    assert "entrypoint" not in options


def test_the_password_of_a_database_is_in_no_option():
    settings = {**DATABASE, "uri": "db:5432/shop", "username": "me", "password": "open-sesame"}
    assert "open-sesame" not in str(made_for("postgres_exporter", **settings))
    # What fits into no files is read by the container itself.
    options = made_for("postgres_exporter", **{**DATABASE, "name": "user=me password=open-sesame,user=you"})
    assert "open-sesame" not in str(options)
    assert options["entrypoint"][-1] == "/etc/pe/data_source.env"
    assert options["command"][0] == "/opt/x/postgres_exporter"


@pytest.mark.parametrize(
    "name", ["user=me password='it''s \"$HOME\" `x` \\\\ y',host=b", "postgresql://a:b%20c@h/d?e=f&g=h,x=y"]
)
def test_a_container_reads_its_environment_as_systemd_does(tmp_path, name):
    (entry,) = _data_source.source_files({**DATABASE, "name": name})
    file = tmp_path / "env"
    file.write_text(
        "# a comment\n\nNOT A VARIABLE\n" + entry["content"] + "PLAIN=a b&c\nSINGLE='d e'", encoding="utf-8"
    )
    argv = ["/bin/sh", "-c", _data_source.READ_ENVIRONMENT, str(file), "/usr/bin/env"]
    answer = subprocess.run(argv, capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]})
    found = dict(line.split("=", 1) for line in answer.stdout.splitlines())
    assert found["DATA_SOURCE_NAME"] == name
    assert (found["PLAIN"], found["SINGLE"]) == ("a b&c", "d e")


def test_cadvisor_has_what_the_documentation_says():
    options = made_for("cadvisor", system_user="root")
    assert options["capabilities"] == ["DAC_READ_SEARCH", "SYS_PTRACE", "SYSLOG"]
    assert "/var/run:/var/run:ro" in options["volumes"]
    assert options["cap_drop"] == ["ALL"]
