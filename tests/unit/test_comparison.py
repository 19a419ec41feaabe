# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verification alone: what the steps of a role say in check mode, and what that means."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.module_utils._findings import RED, UNPROVEN
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._comparison import finding, steps

ROLES = Path(__file__).resolve().parents[2] / "roles"


@pytest.mark.parametrize("service", _rooms.names())
@pytest.mark.parametrize(("runtime", "first"), [("systemd", "release"), ("docker", "image")])
def test_the_steps_of_each_role(service, runtime, first):
    tasks = [
        task
        for name in (runtime, "main")
        for task in yaml.safe_load((ROLES / service / "tasks" / f"{name}.yml").read_text(encoding="utf-8"))
    ]
    found = steps(tasks)
    assert [name for name, _arguments, _register in found] == [first, "config_files", "service"]
    assert [register for _name, _arguments, register in found] == [f"__{service}_release", f"__{service}_config", None]
    assert all(isinstance(arguments, dict) for _name, arguments, _register in found)


@pytest.mark.parametrize(
    ("step", "result", "state", "words"),
    [
        ("release", {"changed": False}, None, ""),
        ("release", {"changed": True}, RED, "not on the host"),
        ("service", {"changed": False, "reason": "it runs as configured"}, None, ""),
        ("service", {"changed": True, "reason": "it runs with x"}, RED, "it runs with x; run site.yml"),
        ("service", {"failed": True, "msg": "prometheus was not changed: /etc/x"}, RED, "prometheus was not changed: /etc/x"),
        ("service", {"failed": True, "msg": "root is needed to deploy a service; …"}, UNPROVEN, "become: true"),
        ("service", {"failed": True, "module_stderr": "no python"}, RED, "no python"),
        ("config_files", {"changed": True, "staged": {"update": ["a.yml"], "create": ["b.yml"]}}, RED, "(b.yml, a.yml)"),
        ("config_files", {"changed": True, "staged": {"create": list("abcdefg")}}, RED, "(a, b, c, d, e and 2 more)"),
        ("config_files", {"changed": True, "staged": {}, "directories": ["/var/lib/x"]}, RED, "(/var/lib/x)"),
        ("config_files", {"changed": True, "staged": {"remove": ["rules/x.yml"]}}, UNPROVEN, "beside another"),
        ("config_files", {"changed": False, "staged": {}}, None, ""),
    ],
)  # fmt: skip
def test_what_a_step_says_against_a_host(step, result, state, words):
    found = finding(step, result)
    assert (found[0] if found else None) == state
    assert words in (found[1] if found else "")
