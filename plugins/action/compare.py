# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validates the inputs of a service's role and compares its host with them, in one round trip."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.module_utils import _deployed
from ansible_collections.vigil.monitoring.plugins.module_utils._systemd import NOT_BOOTED
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms, _run
from ansible_collections.vigil.monitoring.plugins.plugin_utils._config_payload import file_to_send
from ansible_collections.vigil.monitoring.plugins.plugin_utils._host_commands import answer, python_of, takes_input
from ansible_collections.vigil.monitoring.plugins.plugin_utils._host_comparison import (
    ACTIVATION,
    CONFIGURATION,
    CONTENTS,
    DEPLOYMENT,
    PREPARATION,
    PROGRAM,
    SYSTEMD,
    Comparison,
    Outcome,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._input_checks import InputChecks
from ansible_collections.vigil.monitoring.plugins.plugin_utils._other_action import run_other
from ansible_collections.vigil.monitoring.plugins.plugin_utils._role_inputs import RoleInputs

ORDER = (PROGRAM, PREPARATION, CONFIGURATION, ACTIVATION, CONTENTS)


class ActionModule(ActionBase):
    """Action plugin of the compare module."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("service",))

    def run(self, tmp=None, task_vars=None):
        """Say which steps a deployment needs."""
        result = super().run(tmp, task_vars)
        name = self._task.args.get("service")
        if name not in _rooms.names():
            raise AnsibleActionFail("service has to be one of {0}".format(", ".join(_rooms.names())))
        host = task_vars["inventory_hostname"]
        return _run.watched(name, host, lambda: self._compared(name, result, task_vars))

    def _compared(self, name, result, task_vars):
        result.update(InputChecks(self._loader, self._templar).of_role(name, task_vars), changed=False)
        if result.get("failed"):
            return result
        room, i = _rooms.load(name), RoleInputs(name, self._loader, self._templar, task_vars)
        absent = i["state"] == "absent"
        result.update(title=room.title, steps=[], titles={}, release=None, removals=None)
        proxied = bool(room.proxy) and not absent and room.is_closed(i)
        result.update(proxied=proxied, former_proxy=room.proxy if room.proxy and not proxied else None)
        if absent:
            result["removals"] = [step.title for step in room.removals(i)]
            return result
        outcome = self._outcome(room, i, task_vars)
        steps, titles = set(outcome.differs), {}
        preparation = room.preparation(i)
        for step, title in ((PREPARATION, preparation and preparation.title), (CONTENTS, room.contents_title)):
            if title:
                # Only its module can compare what is in another service.
                steps.add(step)
                titles[step] = title
        result.update(steps=[step for step in ORDER if step in steps], titles=titles, release=outcome.release)
        return result

    def _outcome(self, room, i, task_vars):
        python, pipelining = python_of(task_vars), takes_input(self)
        # The first of a host's services has it say which others it has.
        also = ":" if _run.deployed_on(i.host) is not None else _deployed.COMMAND
        comparison = Comparison(room, i, file_to_send, python, None, pipelining, also)
        if not comparison.can_tell():
            program = room.program_step(i)
            found = run_other(self, program.module, program.options, task_vars, check=True)
            if found.get("failed") or found.get("changed"):
                # What is asked in the one command otherwise: a package would be installed before a module asks.
                if i["runtime"] == "systemd" and answer(self, SYSTEMD + " || true") == "":
                    raise AnsibleActionFail(NOT_BOOTED)
                return Outcome(DEPLOYMENT, None)
            comparison = Comparison(room, i, file_to_send, python, found, pipelining, also)
        command = comparison.command()
        outcome = comparison.outcome(answer(self, command, comparison.login))
        if outcome.differs and comparison.problem:
            raise AnsibleActionFail(comparison.problem)
        if comparison.said is not None and also != ":":
            _run.note_deployed(i.host, comparison.said)
        return outcome
