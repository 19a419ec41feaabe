"""Verify each host after the deployment, by requests to the services themselves."""

from __future__ import annotations

import collections
import json
import os
import re

import pytest

DOCKER = os.environ["MOLECULE_SCENARIO_NAME"] == "docker"
PORTS = {
    "prometheus": 9091,
    "alertmanager": 9093,
    "node_exporter": 9100,
    "blackbox_exporter": 9115,
    "postgres_exporter": 9187,
    "cadvisor": 8080,
}
# `systemd-analyze security`: the promised exposure, from 0 (safe) to 10.
EXPOSURE = {
    "prometheus": 1.5,
    "alertmanager": 1.5,
    "node_exporter": 2.5,
    "blackbox_exporter": 2.5,
    "postgres_exporter": 1.5,
    "cadvisor": 3.5,
}
PASSWORD = "Sentinel-Molecule-7"
# Two hosts that monitor each other: all services, probes of both Prometheus servers, the database's exporter and the host.
TARGETS = {"prometheus": 2, "alertmanager": 2, "node": 2, "cadvisor": 2, "blackbox_exporter": 2, "postgres": 1}
PROBES = {"blackbox_http_2xx": 2, "blackbox_tcp_connect": 1, "blackbox_icmp": 1}


@pytest.fixture(params=sorted(PORTS))
def service(request, host):
    """A service that this host runs."""
    if request.param == "postgres_exporter" and not on_database_host(host):
        pytest.skip("not on this host")
    return request.param


def on_database_host(host) -> bool:
    # PostgreSQL and its exporter are on the second host alone.
    return host.check_output("hostname").endswith("trixie")


def get(host, url: str):
    """The JSON response of a URL on the host."""
    return json.loads(host.check_output("curl -sSf --max-time 10 %s", url))


def container(host, service: str) -> dict:
    """The output of docker inspect for a service's container."""
    return json.loads(host.check_output("docker container inspect %s", service))[0]


def test_service_runs_and_starts_at_boot(host, service):
    if DOCKER:
        found = container(host, service)
        assert (found["State"]["Status"], found["RestartCount"]) == ("running", 0)
        assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
        assert not host.service(service).is_running
        return
    assert host.service(service).is_running
    assert host.service(service).is_enabled
    assert host.check_output("systemctl show -P NRestarts %s", service) == "0"


def test_service_is_of_the_version_that_was_asked_for(host, service):
    mirror = os.environ.get("VIGIL_LAB_MIRROR") or os.path.expanduser("~/.cache/vigil-lab/mirror")
    with open(os.path.join(mirror, "versions.json"), encoding="utf-8") as stream:
        wanted = json.load(stream)[service]["new"]
    metrics = host.check_output("curl -sSf --max-time 10 http://localhost:%s/metrics", str(PORTS[service]))
    # cAdvisor has options of its own for it.
    told = rf'{service}_(build|version)_info{{[^}}]*\b(version|cadvisorVersion)="v?([^"+]*)'
    assert re.search(told, metrics)[3] == wanted


def test_service_is_hardened(host, service):
    if DOCKER:
        found = container(host, service)["HostConfig"]
        assert found["ReadonlyRootfs"]
        assert not found["Privileged"]
        assert found["CapDrop"] == ["ALL"]
        assert "no-new-privileges:true" in found["SecurityOpt"]
        # It measures what only root can read.
        assert (container(host, service)["Config"]["User"] == "0:0") == (service == "cadvisor")
        return
    text = host.check_output("systemd-analyze security --no-pager %s.service", service)
    score = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", text)[1])
    assert score <= EXPOSURE[service], text


def test_prometheus_has_all_targets_up(host):
    targets = get(host, "http://localhost:9091/api/v1/targets?state=active")["data"]["activeTargets"]
    assert {target["health"] for target in targets} == {"up"}, targets
    assert collections.Counter(target["labels"]["job"] for target in targets) == {**TARGETS, **PROBES}


def test_probes_succeed(host):
    found = get(host, "http://localhost:9091/api/v1/query?query=probe_success")["data"]["result"]
    assert collections.Counter(series["metric"]["job"] for series in found) == PROBES
    assert {series["value"][1] for series in found} == {"1"}, found


def test_database_answers(host):
    (series,) = get(host, "http://localhost:9091/api/v1/query?query=pg_up")["data"]["result"]
    assert (series["metric"]["job"], series["value"][1]) == ("postgres", "1")


def test_password_of_the_database_is_not_for_others(host):
    if not on_database_host(host):
        pytest.skip("not on this host")
    found = host.check_output("grep -rlF %s /etc /var/log /opt /run/systemd || true", PASSWORD).split()
    assert found == ["/etc/postgres_exporter/postgres_exporter_pass"]
    told = "docker container inspect postgres_exporter" if DOCKER else "systemctl show postgres_exporter"
    assert PASSWORD not in host.check_output("cat /proc/[0-9]*/cmdline; " + told)


def test_prometheus_sees_every_alertmanager(host):
    data = get(host, "http://localhost:9091/api/v1/alertmanagers")["data"]
    assert len(data["activeAlertmanagers"]) == 2
    assert data["droppedAlertmanagers"] == []


def test_prometheus_rules_are_healthy(host):
    groups = get(host, "http://localhost:9091/api/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert rules
    assert all(rule["health"] in ("ok", "unknown") for rule in rules), rules


def test_watchdog_reaches_alertmanager(host):
    # Alerts that fire before Prometheus has found its Alertmanagers are sent again a minute later.
    command = (
        "for _try in $(seq 90); do curl -sSf --max-time 10 http://localhost:9093/api/v2/alerts"
        " | grep -q Watchdog && exit 0; sleep 1; done; exit 1"
    )
    assert host.run(command).succeeded


def test_configuration_is_not_for_others(host, service):
    found = host.check_output("find %s -perm /o=rwx -not -type l -type f", "/etc/" + service)
    assert found == ""
