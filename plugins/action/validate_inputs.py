# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of inputs, which has no other: variables are looked at where they are."""

from __future__ import annotations

import os

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms, _run
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import COLLECTION, places
from ansible_collections.vigil.monitoring.plugins.plugin_utils._late import imported


class ActionModule(ActionBase):
    """Action plugin of the inputs module."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("role",))

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._specs = {}

    def run(self, tmp=None, task_vars=None):
        """Look at the inputs of one role on this host, or of all roles on all hosts of the play."""
        result = super().run(tmp, task_vars)
        result["changed"] = False
        role = self._task.args.get("role")
        if role is None:
            outcomes = self._of_all(task_vars)
        elif role in _rooms.names():
            outcomes = self._of_role(role, task_vars)
        else:
            raise AnsibleActionFail("role has to be one of {0}".format(", ".join(_rooms.names())))
        warnings = [text for outcome in outcomes.values() for text in outcome.warnings]
        own = sorted({name for outcome in outcomes.values() for name in outcome.own})
        unsaid = [name for name in own if _run.first_time("own " + name)]
        if unsaid:
            warnings.append(imported("_own_variables", "warning")(unsaid))
        if warnings:
            result["warnings"] = list(dict.fromkeys(warnings))
        words = _words({key: outcome.problems for key, outcome in outcomes.items()})
        if words:
            result.update(failed=True, msg=words)
        return result

    def _of_role(self, role, task_vars):
        """What its own tasks see, where that is not what was looked at before."""
        host = task_vars["inventory_hostname"]
        given = _run.given_here(role, task_vars, self._loader)
        # For the proof at the end, whatever becomes of this role.
        _run.note(role, host, given)
        if not given and _run.looked_at(role, host):
            return {}

        def value(name):
            return self._templar.template(task_vars[name]) if name in task_vars else None

        return {(role, host): self._check(role, task_vars, value)}

    def _of_all(self, task_vars):
        """What the inventory says about each service of each host of the play that this run deploys."""
        groups = task_vars["groups"]
        there = set(task_vars["ansible_play_hosts"])
        run_tags, skip_tags = task_vars.get("ansible_run_tags") or ["all"], task_vars.get("ansible_skip_tags") or []
        kinds = _rooms.in_order(group for group, hosts in groups.items() if there.intersection(hosts))
        chosen, dummy = imported("_scope", "asked")(kinds, (), run_tags, skip_tags)
        outcomes = {}
        for role in chosen:
            folder = os.path.join(COLLECTION, "roles", role)
            defaults = {
                **_run.role_defaults(self._loader, role),
                **_run.read_trusted(self._loader, os.path.join(folder, "vars", "main.yml")),
                "role_path": folder,
                "ansible_search_path": [folder],
            }
            extra = {"groups": groups, "ansible_play_hosts": task_vars["ansible_play_hosts"]}
            values = imported("_inventory", "HostValues")(task_vars["hostvars"], self._templar, extra, defaults)
            known = {}
            for host in groups[role]:
                if host in there:
                    outcomes[role, host] = self._on_host(role, host, values, known)
        for (role, host), outcome in outcomes.items():
            if not outcome.problems:
                _run.looked_at(role, host, mark=True)
        return outcomes

    def _on_host(self, role, host, values, known):
        return self._check(role, values.raw(host), lambda name: values(host, name), known)

    def _check(self, role, raw, value, known=None):
        """Look at a role's inputs on a host.

        :param known: what was found on other hosts, so that those that say the same are looked at once.
        """
        if role not in self._specs:
            self._specs[role] = imported("_check_roles", "spec_of")(role)
        bases = places({**raw, "ansible_search_path": []}, self._loader.get_basedir())
        return imported("_check_roles", "check")(role, self._specs[role], raw, value, bases, known)


def _words(found):
    """Everything that is wrong, or an empty text.

    :param found: (role, host) -> problems.
    """
    hosts = {}
    for (role, host), problems in found.items():
        if problems:
            hosts.setdefault((role, tuple(problems)), []).append(host)
    parts = []
    for (role, problems), names in hosts.items():
        several = " and {0} more hosts".format(len(names) - 3) if len(names) > 3 else ""
        parts.append(
            "the inputs of {0} on {1} cannot work, nothing was changed:\n{2}".format(
                role, ", ".join(names[:3]) + several, "\n".join("- {0}".format(problem) for problem in problems)
            )
        )
    return "\n".join(parts)
