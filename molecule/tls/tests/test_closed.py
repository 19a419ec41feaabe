"""Verify a host whose services are closed: who gets an answer, who does not, and what the host has of the authority."""

from __future__ import annotations

import json
import os
import re

import pytest

PASSWORD = "Sentinel-Molecule-8"
# Those that people log in to, and those that answer to a client certificate alone.
PEOPLE = {"prometheus": 9091, "alertmanager": 9093}
# The port of cAdvisor is that of HAProxy in front of it: it knows no TLS.
EXPORTERS = {"node_exporter": 9100, "blackbox_exporter": 9115, "postgres_exporter": 9187, "cadvisor": 18080}
PORTS = {**PEOPLE, **EXPORTERS}
UNITS = sorted({*PORTS, "tls_proxy"})
TRUST = "--cacert /etc/prometheus/monitoring_tls/ca.crt"
CLIENT = "--cert /etc/prometheus/monitoring_tls/client.crt --key /etc/prometheus/monitoring_tls/client.key"
# `systemd-analyze security`: the promised exposure, from 0 (safe) to 10.
EXPOSURE = 1.5


def address(host) -> str:
    return host.check_output("hostname -i")


def status(host, port: int, options: str, scheme: str = "https") -> str:
    """The HTTP status that the host's address answers with on a port; 000 where TLS is refused."""
    at = f"{scheme}://{address(host)}:{port}/metrics"
    return host.run(f"curl -s -o /dev/null -w '%{{http_code}}' --max-time 10 {options} {at}").stdout


def ask(host, port: int, path: str) -> dict:
    """The JSON that a person with the password gets."""
    told = f"curl -sSf --max-time 10 {TRUST} --user 'admin:{PASSWORD}' 'https://{address(host)}:{port}{path}'"
    return json.loads(host.check_output(told))


@pytest.mark.parametrize("unit", UNITS)
def test_service_runs_and_starts_at_boot(host, unit):
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled
    assert host.check_output("systemctl show -P NRestarts %s", unit) == "0"


@pytest.mark.parametrize("service", sorted(PORTS))
def test_nobody_gets_an_answer_without_tls(host, service):
    assert status(host, PORTS[service], "", scheme="http") in ("000", "400")


@pytest.mark.parametrize("service", sorted(EXPORTERS))
def test_exporters_answer_to_a_client_certificate_alone(host, service):
    port = EXPORTERS[service]
    assert status(host, port, f"{TRUST} {CLIENT}") == "200"
    assert status(host, port, TRUST) == "000"
    assert status(host, port, f"{TRUST} --user 'admin:{PASSWORD}'") == "000"


@pytest.mark.parametrize("service", sorted(PEOPLE))
def test_people_need_the_password(host, service):
    port = PEOPLE[service]
    assert status(host, port, f"{TRUST} --user 'admin:{PASSWORD}'") == "200"
    assert status(host, port, TRUST) == "401"
    assert status(host, port, f"{TRUST} --user 'admin:{PASSWORD}x'") == "401"


def test_cadvisor_itself_listens_on_the_loopback(host):
    assert status(host, 8080, "", scheme="http") == "000"
    assert host.socket("tcp://127.0.0.1:8080").is_listening


def test_prometheus_has_all_targets_up(host):
    targets = ask(host, PORTS["prometheus"], "/api/v1/targets?state=active")["data"]["activeTargets"]
    # The certificates of the services are probed every two minutes.
    due = [one for one in targets if one["labels"]["job"] != "blackbox_tls_certificate" or one["health"] != "unknown"]
    assert {one["health"] for one in due} == {"up"}, due
    assert {one["labels"]["job"] for one in due} >= {"prometheus", "alertmanager", "node", "cadvisor", "postgres"}
    assert {one["scrapeUrl"].split(":")[0] for one in due} == {"https"}


def test_prometheus_sends_its_alerts(host):
    command = (
        f"for _try in $(seq 90); do curl -sSf --max-time 10 {TRUST} --user 'admin:{PASSWORD}'"
        f" https://{address(host)}:9093/api/v2/alerts | grep -q Watchdog && exit 0; sleep 1; done; exit 1"
    )
    assert host.run(command).succeeded


def test_keys_are_for_the_service_alone_and_the_authority_has_none_here(host):
    shown = host.check_output("find /etc/*/monitoring_tls -type f -printf '%p %m %u\\n'")
    assert shown
    for line in shown.splitlines():
        path, mode, owner = line.split()
        assert (mode, owner) == ("640", "root"), path
    keys = host.check_output("grep -rlE '^-----BEGIN.* PRIVATE KEY-----$' /etc /opt /var/lib || true").split()
    # The last one is Debian's, for PostgreSQL.
    known = {"server.key", "client.key", "ssl-cert-snakeoil.key"}
    assert {os.path.basename(path) for path in keys} == known, keys


def test_the_password_is_not_on_the_host(host):
    found = host.check_output("grep -rlF %s /etc /var/log /opt /run/systemd || true", PASSWORD)
    assert found == ""
    assert PASSWORD not in host.check_output("cat /proc/[0-9]*/cmdline")


def test_the_proxy_is_hardened(host):
    text = host.check_output("systemd-analyze security --no-pager tls_proxy.service")
    score = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", text)[1])
    assert score <= EXPOSURE, text
