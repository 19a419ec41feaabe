# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of inputs, which has no other: variables are looked at where they are."""

from __future__ import annotations

import os

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _inputs, _run
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import COLLECTION
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain


def role_inputs(role):
    """Names of a role's inputs, off its argument specs."""
    path = os.path.join(COLLECTION, "roles", role, "meta", "argument_specs.yml")
    with open(path, encoding="utf-8") as stream:
        specs = yaml.load(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return sorted(specs["argument_specs"]["main"]["options"])


class ActionModule(ActionBase):
    """Action plugin of the inputs module."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("role",))

    def run(self, tmp=None, task_vars=None):
        """Collect everything that is wrong, and fail with all of it."""
        result = super().run(tmp, task_vars)
        role = self._task.args.get("role")
        if role not in _inputs.OWN_CHECKS:
            raise AnsibleActionFail("role has to be one of {0}".format(", ".join(sorted(_inputs.OWN_CHECKS))))
        # For the proof at the end, whatever becomes of this role.
        _run.note(role, task_vars["inventory_hostname"], _run.given_here(role, task_vars, self._loader))
        known = role_inputs(role)
        own = plain(self._templar.template(task_vars.get("monitoring_own_variables") or []))
        checked = ["{0}_{1}".format(role, suffix) for suffix in _inputs.CHECKED]
        values = {name: plain(self._templar.template(task_vars[name])) for name in checked if name in task_vars}
        missing, warnings = _inputs.different_variables(role, task_vars)
        found = list(_inputs.unknown_variables(role, known, task_vars, own)) + missing
        found += _inputs.problems(role, values)
        result["changed"] = False
        if warnings:
            result["warnings"] = warnings
        if found:
            result["failed"] = True
            result["msg"] = "the inputs of {0} cannot work, nothing was changed:\n{1}".format(
                role, "\n".join("- {0}".format(problem) for problem in found)
            )
        return result
