# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host runs what the inventory specifies, where the verification runs alone: the steps of the service's role,
in check mode. So there is one decision about it, and one place where each option is made.
"""

from __future__ import annotations

from ansible.errors import AnsibleError
from ansible_collections.vigil.monitoring.plugins.module_utils._findings import RED, UNVERIFIED
from ansible_collections.vigil.monitoring.plugins.plugin_utils._other_action import reason_of, run_other

# What a service is made of. Accounts in databases, plugins and contents are verified by what the services report.
STEPS = ("program", "configuration", "activation")
SHOWN = 5
WAY_OUT = "; run site.yml to deploy it"


def finding(step, result):
    """What a step says against the host: ``(state, sentence)``, or None.

    :param result: that of the step in check mode.
    """
    if result.get("failed"):
        said = reason_of(result)
        if said.startswith("root is needed"):
            text = "the running service was not compared with the inventory, which requires root; run with become: true"
            return UNVERIFIED, text
        return RED, "it differs from the inventory: {0}".format(said)
    if not result.get("changed"):
        return None
    if step == "configuration":
        return _of_files(result)
    if step == "activation":
        return RED, "it differs from the inventory: {0}{1}".format(result.get("reason") or "it differs", WAY_OUT)
    return RED, "what the inventory specifies is not on the host{0}".format(WAY_OUT)


def _of_files(result):
    staged = result.get("staged") or {}
    names = [name for kind in ("create", "update", "remove") for name in staged.get(kind) or ()]
    names += result.get("directories") or []
    listed = ", ".join(names[:SHOWN]) + (" and {0} more".format(len(names) - SHOWN) if names[SHOWN:] else "")
    # Without a name, it is the account or the rights of files that differ.
    where = " ({0})".format(listed) if listed else ""
    if staged.get("remove"):
        # Files that lie beside the playbook which deploys are not seen from another one.
        return UNVERIFIED, (
            "its configuration differs from the inventory{0}; where some of it lies beside another"
            " playbook, this one cannot know it".format(where)
        )
    return RED, "its configuration differs from the inventory{0}{1}".format(where, WAY_OUT)


class StepComparison:
    """What the deployment of one service would change on its host.

    :param action: the action plugin on whose behalf it is found out.
    :param room: the service's room.
    :param i: the inputs of its role.
    :ivar deployed: what the host said about all services that were deployed on it; None where it was not asked.
    """

    def __init__(self, action, room, i):
        self.action = action
        self.room = room
        self.i = i
        self.deployed = None

    def findings(self, task_vars):
        """What speaks against the host, as ``(state, sentence)``; empty where it is as specified."""
        found, release = [], None
        for name in STEPS:
            try:
                step = self.room.step(name, self.i, release)
                result = run_other(self.action, step.module, step.options, task_vars, check=True)
            except AnsibleError as error:
                text = "what runs could not be compared with what the inventory specifies: {0}".format(error)
                return [*found, (UNVERIFIED, text)]
            if release is None:
                release = result
            self.deployed = result.get("deployed", self.deployed)
            one = finding(name, result)
            found += [one] if one else []
            if result.get("failed"):
                break
        return found
