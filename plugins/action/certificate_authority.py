# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of certificate_authority, which has no other: the authority is on the controller alone."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.modules.certificate_authority import ARGUMENTS, ONE_OF
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority_task import AuthorityTask
from ansible_collections.vigil.monitoring.plugins.plugin_utils._controller import show


class ActionModule(ActionBase):
    """Action plugin of the certificate_authority module."""

    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Take a step of a rotation, or have certificates renewed."""
        result = super().run(tmp, task_vars)
        dummy, given = self.validate_argument_spec(
            argument_spec=ARGUMENTS, mutually_exclusive=[ONE_OF], required_one_of=[ONE_OF]
        )
        task = AuthorityTask(self._loader, self._templar, task_vars, self._task.check_mode)
        if given["rotation"]:
            result.update(task.rotate(given["rotation"]))
        elif given["renew"]:
            result.update(task.renew())
        if result.get("msg"):
            show(result["msg"])
        return result
