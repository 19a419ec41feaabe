# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verification at the end: green only when everything works, and a red line says why.

Where it matters only what is expected, the inventory is changed and not the host: the verification alone is then run on a host
that differs from it.
"""

from __future__ import annotations

import json
import re

import pytest

from lab import hosts

HASH = "$2b$05$hmXApiF5iEhh/e0O2HfAwub15QTotdBpSHg7H8ew.v.s9/ErjwaJO"
PASSWORD = "Sentinel-Health-7"


ALONE = ("prometheus",)
# Tests that change nothing share one host.
READS_ONLY = pytest.mark.xdist_group("verification")


@pytest.fixture
def deployed(shared_site, monkeypatch):
    """A deployed host whose variables are for one test alone."""
    monkeypatch.setattr(shared_site, "variables", dict(shared_site.variables))
    return shared_site


def verify(site, *arguments, **variables):
    site.variables.setdefault("monitoring_verify_timeout", 30)
    site.variables.update(variables)
    outcome = site.run(*arguments, playbook="playbooks/verify.yml")
    # With -v, Ansible shows the task's whole result below the summary.
    assert "-vvv" in arguments or outcome.output.count("MONITORING:") <= 1, outcome.output
    return outcome


@READS_ONLY
def test_a_deployed_host_is_verified(deployed):
    outcome = verify(deployed).must_be_green(changed=False)
    assert "MONITORING: 3 of 3 services verified\n" in outcome.output
    for line in (
        r"✓ +node_exporter +subject +1\.\S+ +- +http://127.0.0.1:9100",
        r"✓ +alertmanager +subject +0\.\S+ +- +http://127.0.0.1:9093",
        r"✓ +prometheus +subject +3\.\S+ +3/3 +http://127.0.0.1:9090",
    ):
        assert re.search(line, outcome.output), outcome.output


def test_services_that_are_dead(site):
    site.host.run("systemctl stop node_exporter alertmanager")
    outcome = verify(site, monitoring_verify_timeout=8)
    outcome.must_be_red(
        "0 of 3 services verified, 3 failed",
        "node_exporter on subject: no response from 127.0.0.1:9100: connection refused",
        "alertmanager on subject: no response from 127.0.0.1:9093: connection refused",
        "1 of 3 expected targets are up: 2 down",
        "verification failed: alertmanager on subject, node_exporter on subject, prometheus on subject",
    )


@READS_ONLY
@pytest.mark.parametrize(
    "variables, words",
    [
        ({"node_exporter_version": "1.0.0"}, "is running, 1.0.0 is expected"),
        ({"prometheus_web_listen_address": "0.0.0.0:9099"}, "no response from 127.0.0.1:9099"),
        ({"prometheus_targets": {"app": [{"targets": ["127.0.0.1:8000"]}]}}, "missing app 127.0.0.1:8000"),
        (
            {"prometheus_scrape_configs": [{"job_name": "s", "static_configs": [{"targets": ["x:1"]}]}]},
            "missing s x:1",
        ),
        (
            {"prometheus_alertmanager_config": [{"static_configs": [{"targets": ["192.0.2.1:9093"]}]}]},
            "it does not alert 1 of 1 Alertmanagers: 192.0.2.1:9093",
        ),
        ({"prometheus_scrape_groups": {"prometheus": {"prot": 1}}}, "has no key 'prot'; did you mean 'port'?"),
        ({"monitoring_verify_ignore": [{"job": "("}], "monitoring_verify_timeout": 0}, "'(' is not a valid regular"),
    ],
)
def test_what_differs_from_the_inventory_is_red(deployed, variables, words):
    verify(deployed, **{"monitoring_verify_timeout": 1, **variables}).must_be_red(words)


def test_a_target_that_is_down_and_one_that_may_be(site):
    site.groups = ALONE
    site.variables["prometheus_targets"] = {"app": [{"targets": ["127.0.0.1:8000"]}]}
    site.variables["monitoring_verify_timeout"] = 15
    site.run().must_be_red("down app 127.0.0.1:8000", "connection refused")
    verify(site, monitoring_verify_ignore=[{"job": "ap"}], monitoring_verify_timeout=1).must_be_red("1 down")
    verify(site, monitoring_verify_ignore=[{"job": "app"}]).must_be_green(changed=False)


def test_a_rule_that_fails_when_it_is_evaluated(site):
    """promtool accepts it: only the evaluation shows that two series get the same labels."""
    site.groups = ALONE
    # Both of its series are there without a scrape, so that the first evaluation fails.
    one, two = (f'label_replace(vector(1), "x", "{number}", "", "")' for number in (1, 2))
    broken = f'label_replace({one} or {two}, "x", "same", "", "")'
    site.variables["prometheus_alert_rules"] = [{"alert": "Broken", "expr": broken}]
    site.variables["monitoring_verify_timeout"] = 12
    site.run().must_be_red("1 rule fails", "Broken", "same labelset")


def test_rules_that_are_not_there(site):
    site.groups = ALONE
    site.variables["prometheus_rule_packs"] = []
    verify(site.run() and site).must_be_green()
    site.variables["prometheus_alert_rules"] = [{"alert": "A", "expr": "vector(1)"}]
    verify(site, monitoring_verify_timeout=1).must_be_red("it has loaded no rules")


def test_a_password_that_the_proof_does_not_know(site):
    site.variables["prometheus_web_config"] = {"basic_auth_users": {"me": HASH}}
    site.variables["prometheus_scrape_groups"] = {
        "prometheus": {
            "service": "prometheus",
            "port": 9090,
            "config": {"basic_auth": {"username": "me", "password": PASSWORD}},
        }
    }
    site.run().must_be_green()
    outcome = verify(site).must_be_green(changed=False)
    assert "2 of 3 services verified, 1 not fully verified" in outcome.output
    assert "set prometheus_health_username and prometheus_health_password" in outcome.output
    known = {"prometheus_health_username": "me", "prometheus_health_password": PASSWORD}
    outcome = verify(site, "-vvv", **known).must_be_green(changed=False)
    assert "3 of 3 services verified" in outcome.output and PASSWORD not in outcome.output
    verify(site, **{**known, "prometheus_health_password": "wrong"}).must_be_red("authentication failed")


def test_check_mode_on_a_bare_host(bare):
    outcome = verify(bare, "--check").must_be_green(changed=False)
    assert "0 of 3 services verified, 3 not there yet (check mode: nothing is verified)" in outcome.output
    verify(bare, monitoring_verify_timeout=0).must_be_red("3 failed")


@READS_ONLY
def test_a_host_that_cannot_be_reached_is_red(deployed):
    """The verification does not stop at it, and says which it was."""
    inventory = deployed.folder / "more.yml"
    inventory.write_text(
        "node_exporter: {hosts: {gone: {ansible_host: vigil-nowhere, ansible_connection: community.docker.docker}}}\n"
    )
    outcome = verify(deployed, "-i", str(inventory), monitoring_verify_timeout=1)
    outcome.must_be_red("node_exporter on gone: no response from vigil-nowhere:9100", "2 of 4 services verified")
    verify(deployed, "-i", str(inventory), "--limit", "gone").must_be_red("0 of 1 service verified, 1 failed")


@READS_ONLY
def test_a_host_that_failed_earlier_in_the_run_is_red(deployed):
    with hosts.host("trixie", group="fault") as other:
        # How sd_booted(3) and so the collection find out who runs a host.
        other.run("mv /run/systemd/system /run/systemd/elsewhere")
        variables = {**other.vars(), "monitoring_scrape": {"node_exporter": False}}
        inventory = deployed.folder / "more.json"
        inventory.write_text(json.dumps({"node_exporter": {"hosts": {"broken": variables}}}))
        outcome = deployed.run("-i", str(inventory))
        outcome.must_be_red(
            "3 of 4 services verified, 1 failed", "node_exporter on broken: failed: this host is not run by systemd"
        )
        left = other.run("ls -d /etc/node_exporter /opt/vigil; getent passwd node-exp", check=False).stdout
        assert left == ""


README = """
- hosts: monitoring
  gather_facts: false
  roles:
    - role: vigil.monitoring.prometheus
      tags: mine
      vars:
        prometheus_web_listen_address: "0.0.0.0:{{ my_port }}"
        my_port: 9191
- import_playbook: vigil.monitoring.verify
"""


def test_a_role_outside_the_groups_scrapes_itself_and_is_verified(bare):
    playbook, alone = bare.folder / "own.yml", {"playbook": "playbooks/verify.yml", "groups": ("monitoring",)}
    playbook.write_text(README)
    own = {"playbook": str(playbook), "groups": ("monitoring",)}
    outcome = bare.run("--check", **own).must_be_green()
    assert "0 of 1 service verified, 1 not there yet" in outcome.output
    bare.variables["monitoring_verify_timeout"] = 1
    # Nothing was deployed, and the host remembers nothing.
    bare.run(**alone).must_be_red("MONITORING: nothing was verified", "the groups of the inventory: monitoring")
    bare.variables["monitoring_verify_timeout"] = 20
    outcome = bare.run(**own).must_be_green(changed=True)
    assert re.search(r"✓ +prometheus +subject +3\.\S+ +1/1 +http://127.0.0.1:9191", outcome.output), outcome.output
    assert "1 of 1 service verified" in outcome.output and "WARNING" not in outcome.output
    outcome = bare.run("--tags", "mine", **own).must_be_green(changed=False)
    assert "1 of 1 service verified" in outcome.output
    outcome = bare.run("--tags", "other", **own).must_be_green(changed=False)
    assert "nothing was verified: --tags other selects no service" in outcome.output
    bare.variables["monitoring_verify_timeout"] = 1
    bare.run(**alone).must_be_red("no response from 127.0.0.1:9090", "such values belong in the inventory")
    bare.variables.update(prometheus_web_listen_address="0.0.0.0:9191", monitoring_verify_timeout=20)
    assert "1 of 1 service verified" in bare.run(**alone).must_be_green(changed=False).output


@READS_ONLY
def test_a_run_with_tags_says_what_it_did_not_ask(deployed):
    outcome = deployed.run("--tags", "prometheus").must_be_green(changed=False)
    assert "1 of 1 service verified" in outcome.output
    assert (
        "not verified, because --tags prometheus excludes it: node_exporter on 1 host, alertmanager" in outcome.output
    )
    assert "Could not match" not in outcome.output
    # A step alone would work with what nobody has compared: it cannot be started at.
    outcome = deployed.run("--start-at-task", "Activate the configuration and verify Prometheus")
    assert "[ERROR]: No matching task" in outcome.output
    assert outcome.count("changed") == 0


def test_connected_means_delivered_and_only_scrapes_since_the_reload_count(site):
    """Alertmanager is listed, resolved and scraped, and refuses every alert; what is discovered is nothing, by an error."""

    def asked(alerts, scrape, **more):
        login = {"basic_auth": {"username": "me"}}
        alerting = {
            "static_configs": [{"targets": ["127.0.0.1:9093"]}],
            "basic_auth": {"username": "me", "password": alerts},
        }
        job = {"scrape_interval": "10s", "basic_auth": {**login["basic_auth"], "password": scrape}}
        site.variables.update(
            alertmanager_web_config={"basic_auth_users": {"me": HASH}},
            alertmanager_health_username="me",
            alertmanager_health_password=PASSWORD,
            prometheus_alertmanager_config=[alerting],
            prometheus_scrape_groups={"alertmanager": {"service": "alertmanager", "port": 9093, "config": job}},
            monitoring_verify_timeout=20,
            **{"prometheus_scrape_configs": [], **more},
        )
        return site.run()

    discoveries = [
        {"job_name": "containers", "docker_sd_configs": [{"host": "unix:///run/no.sock"}]},
        {"job_name": "web", "http_sd_configs": [{"url": "http://127.0.0.1:9/targets"}]},
    ]
    outcome = asked("wrong", PASSWORD, prometheus_scrape_configs=discoveries)
    outcome.must_be_red(
        "2 of 3 services verified, 1 failed",
        "its alerts do not reach http://127.0.0.1:9093/api/v2/alerts",
        "its job containers has no target, because service discovery fails (docker_sd_configs)",
        "its job web has no target, because service discovery fails (http_sd_configs)",
        "its last log lines",
    )
    assert PASSWORD not in outcome.output
    assert "3 of 3 services verified" in asked(PASSWORD, PASSWORD).must_be_green(changed=True).output
    # A reload, in which the targets keep the health of their last scrape for up to ten seconds.
    asked(PASSWORD, "wrong").must_be_red("down alertmanager subject 127.0.0.1:9093", "401 Unauthorized")
