# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of validate_inputs, which has no other: variables are validated where they are."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._input_checks import FURTHER, InputChecks


class ActionModule(ActionBase):
    """Action plugin of the validate_inputs module."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("role",))

    def run(self, tmp=None, task_vars=None):
        """Validate the inputs of one role on this host, or of all roles on all hosts of the play."""
        result = super().run(tmp, task_vars)
        role, checks = self._task.args.get("role"), InputChecks(self._loader, self._templar)
        known = [*_rooms.names(), *FURTHER]
        if role is not None and role not in known:
            raise AnsibleActionFail("role has to be one of {0}".format(", ".join(known)))
        every = role is None or role in FURTHER
        answer = checks.of_all(task_vars, role) if every else checks.of_role(role, task_vars)
        result.update(answer, changed=False)
        return result
