# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of a role, for what runs outside of it."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._role_inputs import RoleInputs

# Connections that lead to the controller itself.
LOCAL = ("local", "ansible.builtin.local", "ansible.legacy.local")


class RoleValues:
    """A role's variables by their whole names, as its own tasks would see them, with its room and its typed inputs.

    Reading two files is an order of magnitude faster than including the role for the sake of its defaults.
    """

    def __init__(self, role, loader, templar, task_vars):
        self.room = _rooms.load(role)
        self.inputs = RoleInputs.for_reading(role, loader, templar, task_vars)

    def __getitem__(self, name):
        return self.inputs.variable(name)

    def get(self, name, default=None):
        """A variable, or a default when there is none."""
        return self[name] if self.inputs.has(name) else default
