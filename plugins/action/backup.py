# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of backup: validates the inputs of the role, and has the programs installed that are missing."""

from __future__ import annotations

import os

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _backup, _run
from ansible_collections.vigil.monitoring.plugins.plugin_utils._controller import locked
from ansible_collections.vigil.monitoring.plugins.plugin_utils._input_checks import InputChecks


class ActionModule(ActionBase):
    """Action plugin of the backup module."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("now",))

    def run(self, tmp=None, task_vars=None):
        """Validate, then run the module; install what it lacks."""
        result = super().run(tmp, task_vars)
        result.update(InputChecks(self._loader, self._templar).of_role(_backup.ROLE, task_vars))
        if result.get("failed"):
            return result
        i, services = _backup.of_host(self, task_vars)
        grouped = _backup.ROLE in task_vars["group_names"]
        options = {**_backup.module_options(i, services, grouped), "now": boolean(self._task.args.get("now", False))}
        result.update(self._module(options, task_vars))
        if result.get("missing") and not self._task.check_mode:
            _backup.install(self, i, task_vars)
            del result["missing"]
            result.update(self._module(options, task_vars))
            if result.get("missing"):
                raise AnsibleActionFail(
                    "{0} were installed, and backup_restic is not there: {1}".format(
                        ", ".join(result["missing"]), i["restic"]
                    )
                )
        if result.pop("uncreated", False):
            diff = result.get("diff") or []
            result.update(self._create(options, task_vars))
            result["diff"] = [*diff, *(result.get("diff") or [])]
        return result

    def _create(self, options, task_vars):
        """Have the host create the repository, if none did before it: hosts with one repository would damage it by creating it at once."""
        os.makedirs(_run.folder(), mode=0o700, exist_ok=True)
        with locked(_run.folder("backup.lock")):
            created = self._module({**options, "create": True, "now": False}, task_vars)
        if created.get("failed") or not options["now"]:
            return created
        return {**self._module(options, task_vars), "changed": True}

    def _module(self, options, task_vars):
        return self._execute_module(module_name="vigil.monitoring.backup", module_args=options, task_vars=task_vars)
