# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validates the inputs of one role on a host, or of all roles on all hosts of a play, once in a run."""

from __future__ import annotations

import os

from ansible.plugins.loader import lookup_loader
from ansible_collections.vigil.monitoring.plugins.plugin_utils import (
    _backup_inputs,
    _check_roles,
    _inputs,
    _rooms,
    _run,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import COLLECTION, places
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import holds_template, simply_rendered
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Doubt
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain

# What validates the inputs of roles that deploy no service.
FURTHER = {"backup": _backup_inputs}


class InputChecks:
    """What is wrong with inputs, as the answer of an action plugin.

    :param loader: Ansible's data loader.
    :param templar: that of the task.
    """

    def __init__(self, loader, templar):
        self._loader = loader
        self._templar = templar
        self._specs = {}
        self._tls = None

    def of_role(self, role: str, task_vars: dict) -> dict:
        """What its own tasks see, where that was not validated before."""
        host = task_vars["inventory_hostname"]
        given = _run.given_here(role, task_vars, self._loader)
        if role not in FURTHER:
            # For the verification at the end, whatever becomes of this role.
            _run.note(role, host, given)
        if not given and _run.looked_at(role, host):
            return {}

        def value(name):
            found = task_vars.get(name)
            if not holds_template(found):
                return found
            text = simply_rendered(found, task_vars)
            return self._templar.template(found) if text is None else text

        return _answer({(role, host): self._check(role, task_vars, value)})

    def of_all(self, task_vars: dict, only: str | None = None) -> dict:
        """What the inventory says about each service of each host of the play that this run deploys.

        :param only: the one role to validate, whatever tags say.
        """
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import HostValues  # noqa: PLC0415
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._scope import asked  # noqa: PLC0415

        groups = task_vars["groups"]
        there = set(task_vars["ansible_play_hosts"])
        run_tags, skip_tags = task_vars.get("ansible_run_tags") or ["all"], task_vars.get("ansible_skip_tags") or []
        names = [name for name in _rooms.deployable() if there.intersection(groups.get(name) or ())]
        chosen = [only] if only else asked(names, (), run_tags, skip_tags)[0]
        outcomes = {}
        for role in chosen:
            folder = os.path.join(COLLECTION, "roles", role)
            defaults = {
                **_run.role_defaults(self._loader, role),
                "role_path": folder,
                "ansible_search_path": [folder],
            }
            extra = {"groups": groups, "ansible_play_hosts": task_vars["ansible_play_hosts"]}
            values = HostValues(task_vars["hostvars"], self._templar, extra, defaults)
            known = {}
            for host in groups.get(role) or ():
                if host in there:
                    outcomes[role, host] = self._check(
                        role, values.raw(host), lambda name, host=host, values=values: values(host, name), known
                    )
            self._check_group(role, groups, values, outcomes)
        for (role, host), outcome in outcomes.items():
            if not (outcome.problems or outcome.shared):
                _run.looked_at(role, host, mark=True)
        return _answer(outcomes)

    @staticmethod
    def _check_group(role, groups, values, outcomes):
        """Add what is wrong with all hosts of a group together, where each of them alone is right.

        It is said of a host of this run, also where another one is named.
        """
        hosts = groups.get(role) or ()
        of_role = {host: outcomes[role, host] for host in hosts if (role, host) in outcomes}
        if not of_role or any(outcome.problems for outcome in of_role.values()):
            return
        for host, problem in (FURTHER.get(role) or _rooms.load(role)).check_group(hosts, values, groups):
            of_role.get(host, next(iter(of_role.values()))).problems.append(str(problem))

    def _check(self, role, raw, value, known=None):
        """Validate a role's inputs on a host.

        :param known: what was found on other hosts, so that those that say the same are validated once.
        """
        if role not in self._specs:
            self._specs[role] = _check_roles.spec_of(role)
        bases = places({**raw, "ansible_search_path": []}, self._loader.get_basedir())
        problems = FURTHER.get(role, _inputs).problems
        found = _check_roles.check(role, self._specs[role], raw, value, bases, known, problems)
        if found.values:
            self._check_tls(role, raw["inventory_hostname"], found, value)
        return found

    def _check_tls(self, role, host, found, value):
        """Add what is wrong with the variables of monitoring_tls, where it closes the service."""
        if not found.values.get(role + "_tls"):
            return
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _tls_inputs  # noqa: PLC0415

        if not self._tls:
            self._tls = _tls_inputs.TlsChecks(self._text)

        def get(name):
            return found.values[name] if name in found.values else plain(value(name))

        for problem in self._tls.problems(_tls_inputs.Values(_rooms.load(role), host, get)):
            doubt = isinstance(problem, Doubt)
            (found.warnings if doubt else found.shared).append(str(problem))

    def _text(self, path):
        """The text of a file of the controller."""
        plugin = lookup_loader.get("ansible.builtin.file", loader=self._loader, templar=self._templar)
        (text,) = plugin.run([path], variables={}, rstrip=False)
        return plain(text)


def _answer(outcomes):
    """Warnings and problems as an action plugin returns them.

    :param outcomes: (role, host) -> ``_check_roles.Outcome``.
    """
    from ansible_collections.vigil.monitoring.plugins.plugin_utils import _own_variables  # noqa: PLC0415

    result = {}
    warnings = [text for outcome in outcomes.values() for text in outcome.warnings]
    own = sorted({name for outcome in outcomes.values() for name in outcome.own})
    unsaid = [name for name in own if _run.first_time("own " + name)]
    if unsaid:
        warnings.append(_own_variables.warning(unsaid))
    if warnings:
        result["warnings"] = list(dict.fromkeys(warnings))
    problems = _sentences({key: outcome.problems for key, outcome in outcomes.items()})
    shared = {}
    for (dummy, host), outcome in outcomes.items():
        shared[None, host] = list(dict.fromkeys([*shared.get((None, host), ()), *outcome.shared]))
    problems = "\n".join(filter(None, [_sentences(shared), problems]))
    if problems:
        result.update(failed=True, msg=problems)
    return result


def _sentences(found):
    """Everything that is wrong, or an empty text.

    :param found: (role, host) -> problems; for the variables that all services share, None instead of a role.
    """
    hosts = {}
    for (role, host), problems in found.items():
        if problems:
            hosts.setdefault((role, tuple(problems)), []).append(host)
    parts = []
    for (role, problems), names in hosts.items():
        several = " and {0} more hosts".format(len(names) - 3) if len(names) > 3 else ""
        parts.append(
            "the {0} on {1} cannot work, nothing was changed:\n{2}".format(
                "inputs of {0}".format(role) if role else "variables of monitoring_tls",
                ", ".join(names[:3]) + several,
                "\n".join("- {0}".format(problem) for problem in problems),
            )
        )
    return "\n".join(parts)
