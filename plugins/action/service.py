# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of service: has a container made where the module says that another one is needed."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import LABEL_SERVICE
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _run
from ansible_collections.vigil.monitoring.plugins.plugin_utils._community import must_be_there, run_module
from ansible_collections.vigil.monitoring.plugins.plugin_utils._compare_service import Service


class ActionModule(ActionBase):
    """Action plugin of the service module."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp=None, task_vars=None):
        """Run the module, and where it needs a container, have it made and run the module again."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if arguments.get("runtime") == "docker" and not arguments.get("image") and not self._task.check_mode:
            raise AnsibleActionFail("runtime docker needs the option image, as the module image returns it")
        if arguments.get("state", "present") == "present" and arguments.get("health"):
            # By which a later comparison knows it.
            arguments["asked"] = Service(arguments).asked
        result = self._run_module(arguments, task_vars)
        wanted, network = result.pop("wanted_container", None), result.pop("wanted_network", None)
        if result.get("failed") or not wanted:
            return result
        must_be_there(self._shared_loader_obj, "docker_container")
        if network:
            self._make("docker_network", {"name": network, "labels": {LABEL_SERVICE: "shared"}}, task_vars)
        made = self._make("docker_container", wanted, task_vars)
        return self._run_module({**arguments, "candidate": made["container"]["Id"]}, task_vars)

    def _run_module(self, arguments, task_vars):
        result = self._execute_module(
            module_name="vigil.monitoring.service", module_args=arguments, task_vars=task_vars
        )
        # Not where the verification compares by a check of its own.
        checked = self._task.check_mode and not task_vars.get("ansible_check_mode")
        if result.get("ended") and not result.get("failed") and not checked:
            # The summary of the run says it.
            _run.note_ended(
                arguments.get("role") or arguments["name"], task_vars["inventory_hostname"], result["ended"]
            )
        return result

    def _make(self, module, arguments, task_vars):
        failure = "{0} was not changed: community.docker.{1} could not make {2}".format(
            self._task.args["name"], module, arguments["name"]
        )
        return run_module(self, module, self._task.args, arguments, task_vars, failure)
