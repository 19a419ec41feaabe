# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One step of a service's role: the module that it needs, with options made from the role's inputs."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms, _run
from ansible_collections.vigil.monitoring.plugins.plugin_utils._other_action import run_other
from ansible_collections.vigil.monitoring.plugins.plugin_utils._role_inputs import RoleInputs
from ansible_collections.vigil.monitoring.plugins.plugin_utils._turn import ROLLOUT_ENDED, Turn


class ActionModule(ActionBase):
    """Action plugin of the service_step module."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True
    _VALID_ARGS = frozenset(("service", "step", "release", "prepared", "number"))

    def run(self, tmp=None, task_vars=None):
        """Make the options, and run the module."""
        super().run(tmp, task_vars)
        given = self._task.args
        if given.get("service") not in _rooms.names():
            raise AnsibleActionFail("service has to be one of {0}".format(", ".join(_rooms.names())))
        room = _rooms.load(given["service"])
        i = RoleInputs(room.name, self._loader, self._templar, task_vars)
        turn, name = Turn(self, room, i, task_vars), given.get("step")
        i.deploys = name not in room.operations(i)
        if name == ROLLOUT_ENDED:
            return turn.ended()
        step = room.step(name, i, given.get("release"), given.get("prepared"), int(given.get("number") or 0))
        if step is None:
            raise AnsibleActionFail("{0} has no step {1!r}".format(room.name, name))

        def work():
            return run_other(self, step.module, step.options, task_vars)

        return _run.watched(room.name, i.host, lambda: turn.take(name, work) if turn.is_needed(name) else work())
