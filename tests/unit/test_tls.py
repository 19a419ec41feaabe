# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What monitoring_tls makes of the configuration of each service."""

from __future__ import annotations

import functools
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import bcrypt
import pytest
import yaml
from ansible.errors import AnsibleError
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _authority_store, _rooms, _scrape, _tls
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority import (
    covers,
    now,
    read_certificates,
    read_key,
    same_key,
)
from role_inputs import Inputs, release, room

PASSWORD = "correct horse battery"
RULES = {"groups": {}, "jobs": [], "alertmanagers": 0, "members": 0, "overrides": []}
LOOKUPS = {"vigil.monitoring.alertmanager_cluster": [True],
           "vigil.monitoring.scrape_targets": [{"jobs": [], "alertmanagers": [], "closed": True, "rules": RULES}],
           "vigil.monitoring.grafana_datasources": [[]], "vigil.monitoring.grafana_dashboards": [[]],
           "vigil.monitoring.promxy_server_groups": [{"groups": [], "parts": [], "closed": True}]}  # fmt: skip
CLOSED = [name for name in _rooms.names() if _rooms.load(name).closed_by and not _rooms.load(name).proxy]
# What is nothing without TLS.
PROXIES = {_rooms.load(name).proxy for name in _rooms.names()}


@functools.cache
def folder():
    return tempfile.mkdtemp()


def inputs(role, **given):
    shared = {"monitoring_tls": True, "monitoring_password": PASSWORD, "monitoring_tls_dir": folder()}
    alone = {"cluster": {"listen-address": ""}} if role == "alertmanager" else {}
    return Inputs(role, LOOKUPS, **{**shared, "ansible_host": "192.0.2.7", **alone, **given})


def files_of(role, **given):
    i = inputs(role, **given)
    return {entry["path"]: entry for entry in room(role).files(i, release(role))}


def text(entry):
    return entry.get("content") or yaml.safe_dump(entry["data"])


@pytest.mark.parametrize("role", CLOSED)
def test_every_service_has_a_certificate_of_its_own(role):
    found = files_of(role, prometheus_rule_packs=[]) if role == "prometheus" else files_of(role)
    (certificate,) = read_certificates(found["monitoring_tls/server.crt"]["content"])
    assert covers(certificate, "192.0.2.7") and covers(certificate, "subject") and covers(certificate, "localhost")
    key = found["monitoring_tls/server.key"]
    assert same_key(certificate, read_key(key["content"])) and key["secret"]
    # What a diff shows of the others is no secret.
    shown = "".join(text(entry) for entry in found.values() if not entry.get("secret"))
    assert "PRIVATE KEY" not in shown and PASSWORD not in shown
    for machine in _tls.MACHINES:
        assert _tls.Tls(inputs(role), role).login(machine).password not in shown


@pytest.mark.parametrize("role", sorted(set(CLOSED) - PROXIES))
def test_without_the_switch_nothing_changes(role):
    plain = files_of(role, monitoring_tls=False)
    assert not any(path.startswith("monitoring_tls/server") for path in plain)
    assert room(role).health(inputs(role, monitoring_tls=False))["url"].startswith("http://")
    assert room(role).health(inputs(role))["url"].startswith("https://")
    assert room(role).health(inputs(role, tls=False))["url"].startswith("http://")


@pytest.mark.parametrize("role", [name for name in CLOSED if _rooms.load(name).closed_by == _tls.CERTIFICATE])
def test_exporters_answer_to_holders_of_a_certificate_alone(role):
    i = inputs(role)
    config = room(role).web_config(i)["tls_server_config"]
    assert config["client_auth_type"] == "RequireAndVerifyClientCert"
    assert config["client_ca_file"] == "monitoring_tls/ca.crt" and config["min_version"] == "TLS12"
    # The proxy has all of it in its configuration: test_the_configuration_of_the_proxy.
    arguments = room(role).arguments(i, release(role))
    assert role in PROXIES or any(word.startswith(("--web.config", "--tls-server-ca-cert-file=")) for word in arguments)
    health = room(role).health(i)
    assert "BEGIN CERTIFICATE" in health["client_pem"] and "PRIVATE KEY" in health["client_pem"]
    assert not health.get("username")


@pytest.mark.parametrize("role", ["prometheus", "alertmanager"])
def test_people_and_machines_log_in(role):
    i = inputs(role, monitoring_users={"alice": "$2b$10$" + "a" * 53})
    users = room(role).web_config(i)["basic_auth_users"]
    assert list(users) == ["admin", "alice", *_tls.MACHINES]
    assert bcrypt.checkpw(PASSWORD.encode(), users["admin"].encode())
    for machine in _tls.MACHINES:
        password = _tls.Tls(i, role).login(machine).password
        assert bcrypt.checkpw(password.encode(), users[machine].encode()) and len(password) == 43
    # The same in each run, and another salt on each host.
    other = inputs(role)
    other.host = "other"
    again = room(role).web_config(inputs(role))["basic_auth_users"]
    assert again["admin"] == users["admin"] != room(role).web_config(other)["basic_auth_users"]["admin"]
    assert not {PASSWORD, _tls.Tls(i, role).login(_tls.PROMETHEUS).password} - set(room(role).secrets(i))
    assert room(role).health(i)["username"] == _tls.VERIFICATION


def test_tls_of_ones_own_wins():
    own = {"cert_file": "/etc/ssl/me.crt", "key_file": "/etc/ssl/me.key"}
    i = inputs("node_exporter", tls_server_config=own)
    assert room("node_exporter").web_config(i)["tls_server_config"] == own
    assert "client_pem" not in room("node_exporter").health(i)
    i = inputs("prometheus", web_config={"tls_server_config": own})
    assert room("prometheus").web_config(i) == {"tls_server_config": own}
    i = inputs("grafana", server={"protocol": "http"})
    assert room("grafana").health(i)["url"].startswith("http://")


def test_the_blackbox_exporter_is_let_in_where_it_looks_at_certificates():
    found = files_of("blackbox_exporter")
    modules = found["blackbox_exporter.yml"]["data"]["modules"]
    config = modules["tls_certificate"]["tcp"]["tls_config"]
    assert config["cert_file"].endswith("/monitoring_tls/client.crt") and "http_2xx" in modules
    (certificate,) = read_certificates(found["monitoring_tls/client.crt"]["content"])
    assert same_key(certificate, read_key(found["monitoring_tls/client.key"]["content"]))
    assert found["monitoring_tls/client.key"]["secret"]
    assert "tls_certificate" not in files_of("blackbox_exporter", tls=False)["blackbox_exporter.yml"]["data"]["modules"]
    own = files_of("blackbox_exporter", configuration_modules={"tls_certificate": {"prober": "http"}})
    assert own["blackbox_exporter.yml"]["data"]["modules"]["tls_certificate"] == {"prober": "http"}


def test_grafana_is_closed_by_its_ini():
    ini = room("grafana").ini(inputs("grafana"))
    assert ini["server"]["protocol"] == "https" and ini["security"]["cookie_secure"] is True
    assert ini["auth"]["anonymous"]["enabled"] is False and ini["security"]["admin_password"] == PASSWORD
    assert ini["metrics"]["basic_auth_username"] == _tls.PROMETHEUS
    assert ini["server"]["min_tls_version"] == "TLS1.3"
    older = inputs("grafana", server={"min_tls_version": "TLS1.2"})
    assert room("grafana").ini(older)["server"]["min_tls_version"] == "TLS1.2"
    own = inputs("grafana", auth={"anonymous": {"enabled": True}})
    assert room("grafana").ini(own)["auth"]["anonymous"]["enabled"] is True


def test_a_cluster_of_alertmanagers_lets_members_in_alone():
    cluster = {"listen-address": "0.0.0.0:9094", "peers": ["192.0.2.8:9094"]}
    found = files_of("alertmanager", cluster=cluster)
    config = found["cluster_tls.yml"]["data"]
    assert config["tls_server_config"]["client_auth_type"] == "RequireAndVerifyClientCert"
    assert config["tls_server_config"]["cipher_suites"] == _tls.CIPHERS
    assert found["monitoring_tls/cluster_ca.crt"]["content"] != found["monitoring_tls/ca.crt"]["content"]
    arguments = room("alertmanager").arguments(inputs("alertmanager", cluster=cluster), release("alertmanager"))
    assert "--cluster.tls-config=/etc/alertmanager/cluster_tls.yml" in arguments
    assert "cluster_tls.yml" not in files_of("alertmanager", cluster={"listen-address": ""})


@pytest.mark.parametrize(
    ("of_others", "given", "closed"),
    [
        ({"monitoring_tls": True}, None, True),
        # With TLS, one of them would not understand the other one.
        ({}, None, False),
        ({"monitoring_tls": True, "alertmanager_tls": False}, None, False),
        ({"alertmanager_state": "absent"}, None, True),
        # Only those of its own cluster matter.
        ({}, {"peers": ["elsewhere:9094"]}, True),
        ({}, {"peers": ["b:9094"]}, False),
    ],
)
def test_a_cluster_is_closed_when_all_its_members_are(of_others, given, closed):
    hosts = {"a": {"monitoring_tls": True, "alertmanager_cluster": given}, "b": of_others}
    assert _scrape.has_closed_cluster("a", ["a", "b"], lambda host, name: hosts[host].get(name)) is closed
    i = inputs("alertmanager", cluster={"listen-address": "0.0.0.0:9094", "peers": ["b:9094"]})
    i._lookups = {**LOOKUPS, "vigil.monitoring.alertmanager_cluster": [closed]}
    flags = room("alertmanager").arguments(i, release("alertmanager"))
    assert ("--cluster.tls-config=/etc/alertmanager/cluster_tls.yml" in flags) is closed
    assert (
        "cluster_tls.yml" in {entry["path"] for entry in room("alertmanager").files(i, release("alertmanager"))}
    ) is closed


@pytest.mark.parametrize("tls", [True, False])
def test_redis_exporter_takes_no_version_of_tls_before_1_2(tls):
    """It forgets its flag where it has an authority for its clients."""
    i = inputs("redis_exporter", monitoring_tls=tls)
    made = room("redis_exporter")
    assert ("Environment=GODEBUG=tls10server=0" in made.unit_text(i, release("redis_exporter"))) is tls
    assert ("env" in made.container_needs(i, release("redis_exporter"))) is tls


def test_files_that_something_else_puts_on_the_hosts():
    given = {
        "monitoring_tls_source": "host",
        "monitoring_tls_ca_file": "/etc/ssl/ca.crt",
        "monitoring_tls_cert_file": "/etc/ssl/host.crt",
        "monitoring_tls_key_file": "/etc/ssl/host.key",
    }
    i = inputs("node_exporter", **given)
    assert [entry["path"] for entry in room("node_exporter").files(i, release("node_exporter"))] == ["web_config.yml"]
    assert room("node_exporter").web_config(i)["tls_server_config"]["cert_file"] == "/etc/ssl/host.crt"
    assert "/etc/ssl/host.key" in room("node_exporter").readable(i, release("node_exporter"))
    assert room("node_exporter").health(i)["ca_path"] == "/etc/ssl/ca.crt"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"monitoring_password": ""}, "monitoring_password is not set: monitoring_tls needs it"),
        ({"monitoring_tls_dir": ""}, "monitoring_tls_dir is not set, and the inventory has no directory"),
        ({"monitoring_password": "x" * 73}, "more than 72 bytes"),
        ({"monitoring_tls_source": "controller"}, "monitoring_tls_cert_file is not set"),
    ],
)
def test_what_is_missing_is_named(given, words, tmp_path):
    i = inputs("prometheus", **{"monitoring_tls_dir": str(tmp_path), **given})
    with pytest.raises(AnsibleError, match=words):
        room("prometheus").web_config(i)
        room("prometheus").files(i, release("prometheus"))


def test_an_authority_of_0_3_0_is_not_replaced(tmp_path):
    """It was in a directory that Ansible reads as a part of the inventory."""
    given = {"inventory_dir": str(tmp_path)}
    assert _tls.folder_of(given.get) == str(tmp_path / ".tls")
    (tmp_path / "tls").mkdir()
    # Something else may be called so.
    assert _tls.folder_of(given.get) == str(tmp_path / ".tls")
    (tmp_path / "tls" / "ca.key").write_text("$ANSIBLE_VAULT;1.1;AES256\n", encoding="utf-8")
    with pytest.raises(AnsibleError, match=r"of version 0\.3\.0 is in .*/tls; rename that directory to .*/\.tls"):
        _tls.folder_of(given.get)
    assert _tls.folder_of({**given, "monitoring_tls_dir": str(tmp_path / "tls")}.get) == str(tmp_path / "tls")
    (tmp_path / "tls").rename(tmp_path / ".tls")
    assert _tls.folder_of(given.get) == str(tmp_path / ".tls")


def test_what_only_talks_to_services_makes_no_authority(tmp_path):
    i = inputs("alertmanager", monitoring_tls_dir=str(tmp_path))
    i.deploys = False
    with pytest.raises(AnsibleError, match=r"has no certificate authority yet: site\.yml makes one"):
        _tls.store_of(i)
    assert not list(tmp_path.iterdir())
    i.deploys = True
    _tls.store_of(i).authority()
    i.deploys = False
    assert _tls.store_of(i).is_there()


def test_without_bcrypt_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bcrypt", None)
    with pytest.raises(AnsibleError, match="pip install bcrypt"):
        _tls.bcrypt_hash.__wrapped__("x", b"1" * 16, 4)


def test_names_of_a_host():
    variables = {
        "ansible_host": "192.0.2.7",
        "monitoring_address": "[2001:db8::7]",
        "monitoring_tls_names": ["web.example.org"],
        "monitoring_scrape": {"node_exporter": {"address": "10.0.0.7"}, "application": False},
    }
    found = _tls.names_of_host("Web 1", variables.get, "https://prometheus.example.org/p/")
    local = {"127.0.0.1", "::1", "localhost"}
    assert set(found) - local == {"192.0.2.7", "2001:db8::7", "web.example.org", "10.0.0.7", "prometheus.example.org"}
    assert "db_1" in _tls.names_of_host("db_1", {}.get)


CLIENT = {_tls.CERTIFICATE: {"tls_config": {"cert_file": "c"}}, _tls.PASSWORD: {"basic_auth": {"username": "p"}}}


def plan(hosts, groups, inventory):
    return _scrape.plan(groups, inventory, lambda host, name: hosts[host].get(name), client=CLIENT)


def test_a_closed_target_is_scraped_with_a_certificate_and_an_open_one_without():
    hosts = {"a": {"monitoring_tls": True}, "b": {}}
    found = plan(
        hosts,
        {"node_exporter": {"job": "node", "service": "node_exporter", "port": 9100}},
        {"node_exporter": ["a", "b"]},
    )
    closed, other = found["jobs"]
    assert closed["job_name"] == "node" and closed["config"]["tls_config"] == {"cert_file": "c"}
    assert closed["config"]["scheme"] == "https" and closed["targets"] == [
        {"targets": ["a:9100"], "labels": {"host": "a"}}
    ]
    # Whoever is not vouched for is told no password, and shown nothing.
    assert (
        other["job_name"] == "node_open" and "tls_config" not in other["config"] and other["config"]["scheme"] == "http"
    )
    assert other["targets"] == [{"targets": ["b:9100"], "labels": {"host": "b", "job": "node"}}]
    assert found["expected"] == [{"job": "node", "instance": one} for one in ("a:9100", "b:9100")]
    assert found["closed"] is True


@pytest.mark.parametrize(
    ("variables", "closed"),
    [
        ({"monitoring_tls": True}, True),
        ({"monitoring_tls": "true"}, True),
        ({"monitoring_tls": True, "node_exporter_tls": False}, False),
        ({"node_exporter_tls": True}, True),
        ({"monitoring_tls": True, "node_exporter_tls_server_config": {"cert_file": "x"}}, False),
        ({}, False),
    ],
)
def test_what_the_variables_of_a_host_say(variables, closed):
    found = _scrape.endpoint("node_exporter", "h", lambda host, name: variables.get(name))
    assert (found.closed_by == _tls.CERTIFICATE) is closed


def test_alertmanagers_are_told_with_a_password_where_they_are_closed():
    hosts = {"a": {"monitoring_tls": True}, "b": {}}
    found = plan(hosts, {}, {"alertmanager": ["a", "b"]})
    assert found["alertmanagers"] == [
        {"scheme": "http", "static_configs": [{"targets": ["b:9093"]}]},
        {"scheme": "https", "basic_auth": {"username": "p"}, "static_configs": [{"targets": ["a:9093"]}]},
    ]


@pytest.mark.parametrize(
    ("variables", "scraped", "listens"),
    [
        ({}, ("http", "", 8080), ":8080"),
        ({"cadvisor_port": 8081}, ("http", "", 8081), ":8081"),
        ({"monitoring_tls": True}, ("https", "", 18080), "127.0.0.1:8080"),
        ({"monitoring_tls": True, "cadvisor_port": 8081}, ("https", "", 18080), "127.0.0.1:8081"),
        ({"cadvisor_tls": True}, ("https", "", 18080), "127.0.0.1:8080"),
        ({"monitoring_tls": True, "cadvisor_listen_ip": "[::1]"}, ("https", "", 18080), "[::1]:8080"),
        (
            {"monitoring_tls": True, "tls_proxy_web_listen_address": "10.0.0.7:8443"},
            ("https", "10.0.0.7", 8443),
            "127.0.0.1:8080",
        ),
        # Of the user's own, and open.
        ({"monitoring_tls": True, "cadvisor_tls": False}, ("http", "", 8080), ":8080"),
        ({"monitoring_tls": True, "cadvisor_listen_ip": "10.0.0.7"}, ("http", "10.0.0.7", 8080), "10.0.0.7:8080"),
    ],
)
def test_what_knows_no_tls_is_served_by_a_proxy(variables, scraped, listens):
    """What another host thinks of it is what its own role makes of it."""
    at = _scrape.endpoint("cadvisor", "h", lambda dummy, name: variables.get(name))
    assert (at.scheme, at.host, at.port or 8080) == scraped and at.metrics_path == "/metrics"
    assert at.closed_by == (_tls.CERTIFICATE if scraped[0] == "https" else "")
    given = {name.removeprefix("cadvisor_"): value for name, value in variables.items()}
    i = Inputs("cadvisor", **given)
    assert room("cadvisor").is_closed(i) == bool(at.closed_by)
    assert room("cadvisor").listen(i).replace("0.0.0.0", "") == listens
    # What it is served by is a difference, whatever its address.
    assert [entry["path"] for entry in room("cadvisor").files(i, None)] == (["tls_proxy.txt"] if at.closed_by else [])


def test_its_own_program_is_verified_without_tls():
    i = inputs("cadvisor")
    assert room("cadvisor").is_closed(i) and room("cadvisor").tls(i) is None
    health = room("cadvisor").health(i)
    assert health["url"] == "http://127.0.0.1:8080" and "client_pem" not in health


def test_the_configuration_of_the_proxy():
    config = {
        entry["path"]: entry for entry in room("tls_proxy").files(inputs("tls_proxy"), release("tls_proxy", "2.6.12"))
    }
    assert sorted(config) == [
        "haproxy.cfg",
        "monitoring_tls/ca.crt",
        "monitoring_tls/server.crt",
        "monitoring_tls/server.key",
    ]
    lines = [line.strip() for line in config["haproxy.cfg"]["content"].splitlines()]
    bind = "bind 0.0.0.0:18080 ssl crt monitoring_tls/server.crt ca-file monitoring_tls/ca.crt verify required"
    assert [line for line in lines if line.startswith("bind ")] == [bind]
    assert "server target 127.0.0.1:8080 check inter 5s" in lines
    assert "http-request deny deny_status 404 unless { path /metrics /healthz }" in lines
    assert "http-request deny deny_status 405 unless { method GET HEAD }" in lines
    addresses = inputs("tls_proxy", web_listen_address=["10.0.0.7:1", "[::]:1"])
    text = room("tls_proxy").files(addresses, None)[0]["content"]
    assert "    bind 10.0.0.7:1 ssl" in text and "    bind [::]:1 ssl" in text


def test_a_haproxy_of_the_hosts_own_is_left_alone():
    i = inputs("tls_proxy")
    options = room("tls_proxy").service_options(i, release("tls_proxy", "2.6.12"))
    assert options["conflicts"] == [] and options["name"] == "tls_proxy"
    assert room("tls_proxy").release_options(i)["package_units"] == ["haproxy.service"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tls": False}, "tls_proxy_tls: is false"),
        ({"target": "8080"}, "tls_proxy_target: '8080' is not HOST:PORT"),
        ({"target": ":8080"}, "tls_proxy_target: ':8080' has no address"),
        ({"paths": ["/metrics", "/a b }"]}, "tls_proxy_paths: has '/a b }'"),
        ({"paths": ["metrics"]}, "tls_proxy_paths: has 'metrics'"),
        ({}, None),
    ],
)
def test_what_the_proxy_cannot_do(given, words):
    i = Inputs("tls_proxy", **{"monitoring_tls": True, **given})
    values = {"tls_proxy_" + name: i[name] for name in ("tls", "state", "target", "paths")}
    found = [str(problem) for problem in room("tls_proxy").validate(values)]
    assert len(found) == (1 if words else 0) and all(text.startswith(words) for text in found), found


@pytest.mark.parametrize(
    ("certificate", "key", "taken"),
    [
        ("/etc/ssl/host.crt", "/etc/ssl/host.key", True),
        ("/etc/ssl/host.pem", "/etc/ssl/host.key", False),
        ("/etc/ssl/host.crt", "/etc/ssl/private/host.key", False),
        ("/etc/ssl/host.crt", "/etc/ssl/host.crt", False),
    ],
)
def test_where_haproxy_finds_a_key(certificate, key, taken):
    given = {**dict.fromkeys(_tls.FILES.values()), "monitoring_tls_source": "host"}
    given.update(monitoring_tls_cert_file=certificate, monitoring_tls_key_file=key)
    assert (not list(room("tls_proxy").check_tls(given))) is taken
    assert not list(room("tls_proxy").check_tls({**given, "monitoring_tls_source": "controller"}))


def test_the_hash_of_a_password():
    from ansible_collections.vigil.monitoring.plugins.filter.bcrypt import FilterModule

    make = FilterModule().filters()["bcrypt"]
    hashed = make(PASSWORD)
    assert bcrypt.checkpw(PASSWORD.encode(), hashed.encode()) and hashed.startswith("$2b$10$")
    assert make(PASSWORD) != hashed and PASSWORD not in hashed
    for wrong, words in (("", "is empty"), (None, "no text"), ("x" * 73, "more than 72 bytes")):
        with pytest.raises(AnsibleError, match=words):
            make(wrong)


def test_ansible_takes_the_authority_for_no_inventory(tmp_path):
    """Of an inventory's directory it reads every file."""
    (tmp_path / "hosts.yml").write_text("all: {hosts: {web1: {}}}\n", encoding="utf-8")
    variables = {"ansible_inventory_sources": [str(tmp_path)], "monitoring_password": PASSWORD}
    made = _authority_store.Store(_tls.folder_of(variables.get), PASSWORD, str)
    made.authority(), made.machines(), made.renew(["web1"], now())
    assert len(list((tmp_path / _tls.FOLDER).iterdir())) == 4
    done = subprocess.run(
        [pathlib.Path(sys.executable).parent / "ansible-inventory", "-i", tmp_path, "--list"],
        env={**os.environ, "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.mark.parametrize("role", sorted(set(CLOSED) - PROXIES))
def test_a_closed_container_has_its_certificate_and_tells_no_secret(role):
    i = inputs(role, runtime="docker", container_network="monitoring")
    options, folder = room(role).container(i, release(role)), i["config_dir"]
    paths = {"{0}/{1}".format(folder, entry["path"]) for entry in room(role).files(i, release(role))}
    assert folder + "/monitoring_tls/server.key" in paths
    # All of its directory, so that a file which is replaced is seen.
    assert "{0}:{0}:ro".format(folder) in options["volumes"]
    named = [
        word for word in re.findall(r"[^\s='\"]+", str([options["command"], options.get("env")])) if folder in word
    ]
    assert {word.rstrip(",]") for word in named if word.rstrip(",]").endswith((".crt", ".key"))} <= paths
    # Docker's own check has neither a certificate nor a password.
    assert "healthcheck" not in options
    assert PASSWORD not in str(options) and "PRIVATE KEY" not in str(options)
    assert all(text not in str(options) for text in room(role).secrets(i))


def test_promxy_takes_no_path_from_the_directory_of_its_configuration():
    """Its own working directory is another."""
    (settings,) = room("promxy").client_settings(inputs("promxy")).values()
    assert settings["tls_config"] == {"ca_file": "/etc/promxy/monitoring_tls/ca.crt"}
    assert settings["basic_auth"] == {
        "username": "vigil-promxy",
        "password_file": "/etc/promxy/monitoring_tls/password",
    }
    assert {"monitoring_tls/ca.crt", "monitoring_tls/password"} <= set(files_of("promxy"))
