# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inputs of all roles before the first change, and what YAML has understood otherwise than it was meant."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _check_roles, _unquoted

ROOT = Path(__file__).resolve().parents[2]
DAY = datetime.date(2026, 1, 2)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("prometheus_external_labels", {"since": DAY},
         "prometheus_external_labels.since: is 2026-01-02, which YAML reads as a date; put it into quotes: '2026-01-02'"),
        ("prometheus_targets", {"a": [{"targets": ["x:1"], "labels": {"built": DAY}}]},
         "prometheus_targets.a[0].labels.built: is 2026-01-02"),
        ("grafana_ini", {"x": {"y": datetime.datetime(2026, 1, 2, 3, 4)}}, "grafana_ini.x.y: is 2026-01-02 03:04:00"),
        ("alertmanager_time_intervals", [{"time_intervals": [{"times": [{"start_time": 1050, "end_time": "20:00"}]}]}],
         "time_intervals[0].times[0].start_time: is 1050, which is how YAML reads 17:30 without quotes; write '17:30'"),
        ("alertmanager_time_intervals", [{"time_intervals": [{"days_of_month": [65]}]}],
         "days_of_month[0]: is 65, which is how YAML reads 1:05"),
        ("alertmanager_time_intervals", [{"time_intervals": [{"months": [63]}]}], "months[0]: is 63, which is how YAML reads 1:03"),
        ("alertmanager_route", {"routes": [{"group_wait": 30}]},
         "alertmanager_route.routes[0].group_wait: is the number 30; write a duration with its unit, such as '30s'"),
        ("prometheus_scrape_configs", [{"job_name": "x", "scrape_interval": 15}],
         "prometheus_scrape_configs[0].scrape_interval: is the number 15"),
        ("prometheus_alert_rules", [{"alert": "X", "for": 90}], "prometheus_alert_rules[0].for: is the number 90"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_place(name, value, words):
    problems, doubts = _unquoted.check_quotes({name: value})
    assert len(problems) == 1
    assert words in str(problems[0])
    assert doubts == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "prometheus_external_labels.x is true, which is also how YAML reads on and yes"),
        (False, "is false, which is also how YAML reads off and no"),
        (1.1, "is 1.1, which is also how YAML reads for example 1.10"),
        (None, "prometheus_external_labels.x is empty"),
    ],
)
def test_what_may_be_meant_otherwise_is_said(value, words):
    problems, doubts = _unquoted.check_quotes({"prometheus_external_labels": {"x": value}})
    assert problems == []
    assert len(doubts) == 1
    assert words in doubts[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prometheus_external_labels", {"x": "2026-01-02", "y": "on", "z": 5}),
        ("alertmanager_time_intervals", [{"time_intervals": [{"days_of_month": [1, "1:5", -1], "months": [12]}]}]),
        ("prometheus_scrape_configs", [{"honor_labels": True, "sample_limit": 10, "scrape_interval": "15s"}]),
        ("alertmanager_receivers", [{"pushover_configs": [{"retry": 30, "send_resolved": True}]}]),
        ("alertmanager_route", {"group_wait": "30s", "repeat_interval": 0}),
        # A label that is called as a duration is a label.
        ("prometheus_external_labels", {"scrape_interval": 15}),
    ],
)  # fmt: skip
def test_what_is_meant_as_it_is_stays(name, value):
    assert _unquoted.check_quotes({name: value}) == ([], [])


@pytest.mark.parametrize(
    ("raw", "reason", "fact"),
    [
        ("{{ ansible_default_ipv4.address }}", "'ansible_default_ipv4' is undefined", True),
        ("{{ ansible_fqdn }}", "'ansible_fqdn' is undefined", True),
        ("{{ ansible_facts['hostname'] }}", "object of type 'dict' has no attribute 'hostname'", True),
        ("{{ my_name }}", "'ansible_hostname' is undefined", True),
        ("{{ ansible_host }}", "'ansible_host' is undefined", False),
        ("{{ nowhere }}", "'nowhere' is undefined", False),
        ("{{ ansible_fqdn | nofilter }}", "No filter named 'nofilter'", False),
    ],
)
def test_an_undefined_fact_is_told_from_other_variables(raw, reason, fact):
    assert ("monitoring_gather_facts: true" in _check_roles.hint(raw, reason)) == fact


@pytest.mark.parametrize(
    ("raw", "go"),
    [
        ([{"title": '{{ template "own.title" . }}'}], True),
        ({"summary": "{{ $labels.instance }} is down"}, True),
        ("{{ .CommonLabels.alertname }}", True),
        ("{{ range .Alerts }}x{{ end }}", True),
        ("{{ template }}", False),
        ("{{ ends }}", False),
    ],
)
def test_a_template_that_is_not_ansibles_is_told_from_others(raw, go):
    assert ("write !unsafe before the text" in _check_roles.hint(raw, "Syntax error in template")) == go


def test_hosts_that_say_the_same_are_checked_once(monkeypatch):
    judged = []
    monkeypatch.setattr(_check_roles, "judge", lambda *arguments: judged.append(arguments) or ([], []))
    known = {}
    for number in (1, 1, 2, 1):
        _check_roles.check("cadvisor", {"cadvisor_port": {}}, {}, lambda name, port=number: port, [], known)
    assert len(judged) == 2


def test_a_value_that_cannot_be_evaluated_is_a_problem_beside_the_others():
    def value(name):
        if name == "cadvisor_port":
            raise AnsibleError("'ansible_fqdn' is undefined")

    raw = {"cadvisor_port": "{{ ansible_fqdn }}", "cadvisor_prot": 1}
    found = _check_roles.check("cadvisor", {"cadvisor_port": {}}, raw, value, [])
    assert len(found.problems) == 2
    assert "cadvisor_port cannot be evaluated: 'ansible_fqdn' is undefined; it is a fact" in found.problems[0]
    assert "cadvisor_prot: unknown variable; did you mean cadvisor_port?" in found.problems[1]


@pytest.fixture
def site(tmp_path):
    """site.yml over an inventory whose hosts cannot be reached, from a directory that is nobody's."""

    def run(variables, groups, *arguments):
        every = {host for hosts in groups.values() for host in hosts}
        data = {
            "all": {
                "hosts": dict.fromkeys(every, {"ansible_host": "192.0.2.1"}),  # noqa: RUF024 - only written
                "vars": variables,
                "children": {group: {"hosts": dict.fromkeys(hosts)} for group, hosts in groups.items()},
            }
        }
        inventory = tmp_path / "inventory.json"
        inventory.write_text(json.dumps(data))
        done = subprocess.run(
            [Path(sys.executable).parent / "ansible-playbook", ROOT / "site.yml", "-i", inventory, *arguments],
            cwd=tmp_path,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "COLUMNS": "10000"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_the_inputs_of_all_roles_are_checked_before_the_first_change(site):
    """A typo, a type, a file, a fact, a word without quotes, each in another role; no request is sent to any host."""
    status, output = site(
        {
            "node_exporter_verison": "1.2.3",
            "node_exporter_port": 9100,
            "prometheus_ip": "192.0.2.7",
            "prometheus_storage_retention": "two weeks",
            "alertmanager_cluster": ["a"],
            "grafana_security": {"admin_password": "{{ ansible_fqdn }}"},
            # Of no role here, and nobody's business.
            "cadvisor_port": "{{ nowhere }}",
            "backup": {"all": "{{ hostvars }}", "key": "{{ lookup('ansible.builtin.file', '/nowhere') }}"},
        },
        {"node_exporter": ["one", "two"], "prometheus": ["one"], "alertmanager": ["two"], "grafana": ["two"]},
    )
    assert status != 0
    for words in (
        "the inputs of node_exporter on one, two cannot work, nothing was changed",
        "node_exporter_verison: unknown variable; did you mean node_exporter_version?",
        "prometheus_storage_retention: is 'two weeks'",
        "alertmanager_cluster",
        "monitoring_gather_facts: true",
    ):
        assert words in output
    assert output.count("begin with the name of a role: node_exporter_port, prometheus_ip.") == 1
    assert "Validating arguments" not in output
    assert "cadvisor" not in output


def test_what_is_wrong_with_a_group_is_said_before_the_first_change(site):
    """Each host alone is right; and a host that this run leaves out counts as well."""
    groups = {"prometheus": ["one", "two"]}
    status, output = site({"prometheus_replica": "A"}, groups, "--limit", "one")
    assert status != 0
    assert "the inputs of prometheus on one cannot work, nothing was changed" in output
    assert "prometheus_replica: is 'A' on one and two; give each its own" in output


def test_the_inputs_of_backup_are_checked_before_the_first_change(site):
    """With those of the services; also of a host that runs none; and its tag alone."""
    groups = {"prometheus": ["one"], "backup": ["one", "two", "store"]}
    status, output = site({"backup_name": "same", "backup_repository": "srv"}, groups)
    assert status != 0
    assert "the inputs of backup on one, two, store cannot work, nothing was changed" in output
    assert "backup_repository: is neither an absolute path" in output and "backup_password: is empty" in output
    right = {"backup_repository": "/srv/backup", "backup_password": "x", "prometheus_storage_retention": "two weeks"}
    status, output = site({**right, "backup_name": "same"}, groups, "--tags", "backup", "--limit", "two,store")
    assert status != 0
    assert "backup_name: is 'same' on one, two and store; give each host its own" in output
    assert "two weeks" not in output


def test_strictness_tags_and_the_users_own_variables(site):
    strict = {"monitoring_strict_variables": True, "prometheus_ip": "x", "prometheus_mine": 1, "alertmanager_ip": "y"}
    groups = {"prometheus": ["one"], "alertmanager": ["one"]}
    status, output = site({**strict, "monitoring_own_variables": ["prometheus_m*"]}, groups, "--tags", "prometheus")
    assert status != 0
    assert "prometheus_ip: unknown variable" in output
    assert "prometheus_mine" not in output
    assert "alertmanager_ip" not in output


@pytest.mark.parametrize("name", ["prod", "staging"])
@pytest.mark.parametrize("left", [None, {}], ids=["missing", "empty"])
def test_every_group_may_be_empty_or_missing(tmp_path, name, left):
    """But one, whose hosts are checked; what the inventory says for them names no group that has to be there."""
    # As they are shipped: a clone may be in use.
    shutil.copytree(ROOT / "inventories" / name, tmp_path / name, ignore=shutil.ignore_patterns(".tls", "vault.yml"))
    hosts = yaml.safe_load((tmp_path / name / "hosts.yml").read_text(encoding="utf-8"))
    groups = hosts["all"]["children"]
    for group in set(groups) - {"prometheus"}:
        if left is None:
            del groups[group]
        else:
            groups[group] = left
    (tmp_path / name / "hosts.yml").write_text(yaml.safe_dump(hosts), encoding="utf-8")
    play = {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [{"vigil.monitoring.validate_inputs": {}, "run_once": True}],
    }
    (tmp_path / "look.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")
    # It comes from the user's vault.
    argv = ["ansible-playbook", "look.yml", "-i", name, "-e", "monitoring_password=Sentinel-of-thirty-characters-77"]
    done = subprocess.run(
        [Path(sys.executable).parent / argv[0], *argv[1:]],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"), "ANSIBLE_NOCOLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
