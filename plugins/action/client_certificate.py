# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of client_certificate, which has no other: the authority is on the controller alone."""

from __future__ import annotations

import os

from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.modules.client_certificate import ARGUMENTS
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority_task import AuthorityTask
from ansible_collections.vigil.monitoring.plugins.plugin_utils._controller import show


class ActionModule(ActionBase):
    """Action plugin of the client_certificate module."""

    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Issue a certificate and write its files."""
        result = super().run(tmp, task_vars)
        dummy, given = self.validate_argument_spec(argument_spec=ARGUMENTS)
        task = AuthorityTask(self._loader, self._templar, task_vars, self._task.check_mode)
        folder = os.path.abspath(os.path.expanduser(given["dest"] or given["name"]))
        result.update(task.client_certificate(given["name"], given["days"], folder))
        show(result["msg"])
        return result
