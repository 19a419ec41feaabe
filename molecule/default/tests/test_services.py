"""What each host must show after the deployment, asked of the services themselves."""

from __future__ import annotations

import json
import re

import pytest

SERVICES = {"prometheus": 9091, "alertmanager": 9093, "node_exporter": 9100}
# `systemd-analyze security`: the promised exposure, from 0 (safe) to 10.
EXPOSURE = {"prometheus": 1.5, "alertmanager": 1.5, "node_exporter": 2.5}


def get(host, url: str):
    """The JSON that a URL on the host answers with."""
    return json.loads(host.check_output("curl -sSf --max-time 10 %s", url))


@pytest.mark.parametrize("service", SERVICES)
def test_service_runs_and_starts_at_boot(host, service):
    assert host.service(service).is_running
    assert host.service(service).is_enabled
    assert host.check_output("systemctl show -P NRestarts %s", service) == "0"


@pytest.mark.parametrize("service", SERVICES)
def test_unit_is_hardened(host, service):
    text = host.check_output("systemd-analyze security --no-pager %s.service", service)
    score = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", text)[1])
    assert score <= EXPOSURE[service], text


def test_prometheus_has_all_targets_up(host):
    targets = get(host, "http://localhost:9091/api/v1/targets?state=active")["data"]["activeTargets"]
    assert {target["labels"]["job"] for target in targets} >= {"node", "alertmanager", "prometheus"}
    assert {target["health"] for target in targets} == {"up"}, targets
    assert len(targets) == 2 * len(SERVICES)


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
    # What fires before Prometheus has found its Alertmanagers is sent again a minute later.
    command = (
        "for _try in $(seq 90); do curl -sSf --max-time 10 http://localhost:9093/api/v2/alerts"
        " | grep -q Watchdog && exit 0; sleep 1; done; exit 1"
    )
    assert host.run(command).succeeded


@pytest.mark.parametrize("folder", ["/etc/prometheus", "/etc/alertmanager"])
def test_configuration_is_not_for_others(host, folder):
    found = host.check_output("find %s -perm /o=rwx -not -type l -type f", folder)
    assert found == ""
