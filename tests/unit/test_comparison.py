# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verification alone: what the steps of a role say in check mode, and what that means."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._findings import RED, UNVERIFIED
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._comparison import STEPS, finding
from role_inputs import Inputs, release, room

INVENTORY = {"jobs": [], "alertmanagers": [], "expected": [], "pools": [], "overridden": [], "closed": False}
RULES = {"groups": {}, "jobs": [], "alertmanagers": 0, "members": 0, "overrides": {}}
# What lookups find where the inventory has nothing besides.
SOME = {
    "vigil.monitoring.scrape_targets": [{**INVENTORY, "rules": RULES}],
    "vigil.monitoring.grafana_datasources": [[]],
    "vigil.monitoring.grafana_dashboards": [[]],
    "vigil.monitoring.promxy_server_groups": [{"groups": [], "parts": [], "closed": False}],
}
GIVEN = {
    "postgres_exporter": {"uri": "localhost/shop"},
    "alertmanager": {"route": {"receiver": "a"}, "receivers": [{"name": "a"}], "cluster": {}},
    "grafana": {"security": {"admin_password": "open-sesame"}},
}


@pytest.mark.parametrize("service", _rooms.names())
@pytest.mark.parametrize(("runtime", "first"), [("systemd", "release"), ("docker", "image")])
def test_the_steps_of_each_role(service, runtime, first, tmp_path):
    closed = {"tls": True, "monitoring_password": "open-sesame", "monitoring_tls_dir": str(tmp_path)}
    given = closed if service == "tls_proxy" else GIVEN.get(service, {})
    inputs, there = Inputs(service, SOME, runtime=runtime, **given), release(service)
    if runtime == "docker" and "image" not in inputs:
        assert service == "tls_proxy"
        return
    found = [room(service).step(name, inputs, there) for name in STEPS]
    assert [step.module for step in found] == [
        f"vigil.monitoring.{name}" for name in (first, "config_files", "service")
    ]
    assert all(isinstance(step.options, dict) for step in found)


@pytest.mark.parametrize(
    ("step", "result", "state", "words"),
    [
        ("program", {"changed": False}, None, ""),
        ("program", {"changed": True}, RED, "not on the host"),
        ("activation", {"changed": False, "reason": "it runs as configured"}, None, ""),
        ("activation", {"changed": True, "reason": "it runs with x"}, RED, "it runs with x; run site.yml"),
        ("activation", {"failed": True, "msg": "prometheus was not changed: /etc/x"}, RED, "prometheus was not changed: /etc/x"),
        ("activation", {"failed": True, "msg": "root is needed to deploy a service; …"}, UNVERIFIED, "become: true"),
        ("activation", {"failed": True, "module_stderr": "no python"}, RED, "no python"),
        ("configuration", {"changed": True, "staged": {"update": ["a.yml"], "create": ["b.yml"]}}, RED, "(b.yml, a.yml)"),
        ("configuration", {"changed": True, "staged": {"create": list("abcdefg")}}, RED, "(a, b, c, d, e and 2 more)"),
        ("configuration", {"changed": True, "staged": {}, "directories": ["/var/lib/x"]}, RED, "(/var/lib/x)"),
        ("configuration", {"changed": True, "staged": {"remove": ["rules/x.yml"]}}, UNVERIFIED, "beside another"),
        ("configuration", {"changed": True, "staged": {}, "directories": []}, RED, "differs from the inventory; run"),
        ("configuration", {"changed": False, "staged": {}}, None, ""),
    ],
)  # fmt: skip
def test_what_a_step_says_against_a_host(step, result, state, words):
    found = finding(step, result)
    assert (found[0] if found else None) == state
    assert words in (found[1] if found else "")
