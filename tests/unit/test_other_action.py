# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A step of a role runs the action plugin of its module, and a module without one as Ansible itself would."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.plugins.loader import action_loader
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._other_action import other_action
from role_inputs import Inputs, room

GIVEN = {
    "alertmanager": {"route": {"receiver": "a"}, "receivers": [{"name": "a"}], "cluster": {}},
    "postgres_exporter": {"uri": "localhost/shop", "purge_data": True},
    "grafana": {"security": {"admin_password": "open-sesame"}, "plugins": ["a-panel 1.0.0"]},
}


def modules(service):
    """Every module that a step of this service's role may run."""
    lookups = {
        "vigil.monitoring.grafana_datasources": [[]],
        "vigil.monitoring.grafana_dashboards": [[]],
        "vigil.monitoring.promxy_server_groups": [{"groups": [], "parts": [], "closed": False}],
    }
    inputs, about = Inputs(service, lookups, **GIVEN.get(service, {})), room(service)
    steps = [about.program_step(inputs), about.preparation(inputs), *about.removals(inputs)]
    steps += [about.step(name, inputs, None) for name in ("restarted", "removal", *about.operations(inputs))]
    return {step.module for step in steps if step}


@pytest.mark.parametrize("service", _rooms.names())
def test_each_step_has_an_action_plugin(service):
    action = SimpleNamespace(
        _shared_loader_obj=SimpleNamespace(action_loader=action_loader),
        **dict.fromkeys(("_connection", "_play_context", "_loader", "_templar")),
    )
    for name in modules(service):
        assert other_action(action, name, SimpleNamespace()) is not None, name
