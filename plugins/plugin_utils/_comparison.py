# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host runs what the inventory asks for, where the verification runs alone: the steps of the service's role, with
its own arguments, in check mode. So there is one decision about it, and one place where each argument is written.
"""

from __future__ import annotations

import os

from ansible.errors import AnsibleError
from ansible_collections.vigil.monitoring.plugins.module_utils._findings import RED, UNPROVEN
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import COLLECTION
from ansible_collections.vigil.monitoring.plugins.plugin_utils._other_action import other_action
from ansible_collections.vigil.monitoring.plugins.plugin_utils._run import read_trusted

COLLECTION_NAME = "vigil.monitoring."
# What a service is made of. Accounts in databases, plugins and contents are proven by what the services say.
STEPS = ("release", "image", "config_files", "service")
SHOWN = 5
WAY_OUT = "; run site.yml to have it as asked"


def steps(tasks):
    """The steps among a role's tasks: ``(name, arguments, name of the variable that gets the result or None)``."""
    found = []
    for task in tasks:
        found += steps(task.get("block") or ())
        found += [
            (step, task[COLLECTION_NAME + step], task.get("register"))
            for step in STEPS
            if COLLECTION_NAME + step in task
        ]
    return found


def finding(step, result):
    """What a step says against the host: ``(state, sentence)``, or None.

    :param result: that of the step in check mode.
    """
    if result.get("failed"):
        said = str(result.get("msg") or result.get("module_stderr") or "no reason given")
        if said.startswith("root is needed"):
            text = "what runs was not compared with what the inventory asks for: root is needed for it; run with become: true"
            return UNPROVEN, text
        return RED, "it is not as the inventory asks for: {0}".format(said)
    if not result.get("changed"):
        return None
    if step == "config_files":
        return _of_files(result)
    if step == "service":
        return RED, "it is not as the inventory asks for: {0}{1}".format(result.get("reason") or "it differs", WAY_OUT)
    return RED, "what the inventory asks for is not on the host{0}".format(WAY_OUT)


def _of_files(result):
    staged = result.get("staged") or {}
    names = [name for kind in ("create", "update", "remove") for name in staged.get(kind) or ()]
    names += result.get("directories") or []
    listed = ", ".join(names[:SHOWN]) + (" and {0} more".format(len(names) - SHOWN) if names[SHOWN:] else "")
    if staged.get("remove"):
        # Files that lie beside the playbook which deploys are not seen from another one.
        return UNPROVEN, (
            "its configuration differs from what the inventory asks for ({0}); where some of it lies beside another"
            " playbook, this one cannot know it".format(listed)
        )
    return RED, "its configuration differs from what the inventory asks for ({0}){1}".format(listed, WAY_OUT)


class Comparison:
    """What the deployment of one service would change on its host.

    :param action: the action plugin on whose behalf it is found out.
    :param kind: name of the service's role.
    :param role: the role's variables, with ``render`` and ``know``.
    """

    def __init__(self, action, kind, role):
        self.action = action
        self.kind = kind
        self.role = role

    def findings(self, loader, task_vars):
        """What speaks against the host, as ``(state, sentence)``; empty where it is as asked."""
        folder = os.path.join(COLLECTION, "roles", self.kind, "tasks")
        files = "{0}.yml".format(self.role[self.kind + "_runtime"]), "main.yml"
        tasks = [task for file in files for task in read_trusted(loader, os.path.join(folder, file))]
        found = []
        for step, arguments, register in steps(tasks):
            try:
                result = self._carry_out(step, self.role.render(arguments), task_vars)
            except AnsibleError as error:
                text = "what runs could not be compared with what the inventory asks for: {0}".format(error)
                return [*found, (UNPROVEN, text)]
            if register:
                self.role.know(register, result)
            one = finding(step, result)
            found += [one] if one else []
            if result.get("failed"):
                break
        return found

    def _carry_out(self, step, arguments, task_vars):
        action = self.action
        task = action._task.copy()
        task.action, task.args, task.check_mode, task.diff = COLLECTION_NAME + step, arguments, True, False
        return other_action(action, COLLECTION_NAME + step, task).run(task_vars=task_vars)
