# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of a role, for what runs outside of it."""

from __future__ import annotations

import os

from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms, _run
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import COLLECTION
from ansible_collections.vigil.monitoring.plugins.plugin_utils._role_inputs import RoleInputs
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain

# Connections that lead to the controller itself.
LOCAL = ("local", "ansible.builtin.local", "ansible.legacy.local")


class RoleValues:
    """A role's variables as its own tasks would see them: the inventory's, and where that says nothing the defaults.

    What the play gave to the role in this run goes before both.

    Reading two files is an order of magnitude faster than including the role for the sake of its defaults.
    """

    def __init__(self, role, loader, templar, task_vars):
        folder = os.path.join(COLLECTION, "roles", role)
        search = [folder, *(task_vars.get("ansible_search_path") or [])]
        self._variables = {
            **_run.role_defaults(loader, role),
            **task_vars,
            **_run.given_to(role, task_vars["inventory_hostname"], loader),
            "role_path": folder,
            "ansible_search_path": search,
        }
        self._templar = templar.copy_with_new_env(available_variables=self._variables)
        self.room = _rooms.load(role)
        self.inputs = RoleInputs(role, loader, templar, task_vars)

    def __getitem__(self, name):
        return plain(self._templar.template(self._variables[name]))

    def get(self, name, default=None):
        """A variable, or a default when there is none."""
        return self[name] if name in self._variables else default
