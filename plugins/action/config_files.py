# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of config_files: reads the files, and has the account made where the host lacks the tools for it that the
module uses.
"""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.module_utils._tree import pack
from ansible_collections.vigil.monitoring.plugins.plugin_utils._config_payload import file_to_send


class ActionModule(ActionBase):
    """Action plugin of the config_files module."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp=None, task_vars=None):
        """Send the tree to the host; at the most twice, with the account made in between."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        files = [
            file_to_send(entry, lambda name: self._find_needle("files", name))
            for entry in arguments.pop("files", None) or []
        ]
        arguments["payload"] = pack(files)
        result = self._run_on_host(arguments, task_vars)
        made_none = result.get("missing_account") and not result.get("staged")
        if made_none and not result.get("failed") and not self._task.check_mode:
            self._make_account(arguments["user"], arguments["group"], task_vars)
            result = self._run_on_host(arguments, task_vars)
            if not result.get("failed"):
                result["changed"] = True
        return result

    def _run_on_host(self, arguments, task_vars):
        result = self._execute_module(
            module_name="vigil.monitoring.config_files", module_args=arguments, task_vars=task_vars
        )
        # The invocation would repeat every argument at -vvv; nothing in it is worth the risk.
        result.pop("invocation", None)
        return result

    def _make_account(self, user, group, task_vars):
        """Create the system group and user with Ansible's own modules."""
        steps = [
            ("ansible.builtin.group", {"name": group, "system": True}),
            (
                "ansible.builtin.user",
                {
                    "name": user,
                    "group": group,
                    "system": True,
                    "shell": "/usr/sbin/nologin",
                    "home": "/nonexistent",
                    "create_home": False,
                },
            ),
        ]
        for module, arguments in steps:
            result = self._execute_module(module_name=module, module_args=arguments, task_vars=task_vars)
            if result.get("failed"):
                raise AnsibleActionFail(
                    "{0} {1} could not be created: {2}".format(
                        module.rsplit(".", 1)[1], arguments["name"], result.get("msg", "no reason given")
                    )
                )
