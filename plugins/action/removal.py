# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes what this collection has deployed on a host, by what it left there."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.module_utils._backup import UNIT
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _backup, _removal_scope, _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._deployment import COLLECTION, docker_host, removal_of
from ansible_collections.vigil.monitoring.plugins.plugin_utils._other_action import reason_of, run_other
from ansible_collections.vigil.monitoring.plugins.plugin_utils._role_inputs import RoleInputs


class ActionModule(ActionBase):
    """Action plugin of the removal module."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp=None, task_vars=None):
        """Find what is there, choose, and remove it."""
        result = super().run(tmp, task_vars)
        dummy, given = self.validate_argument_spec(
            argument_spec={"service": {"type": "raw"}, "remove_data": {"type": "bool", "default": False}}
        )
        try:
            named = _removal_scope.services_of(given["service"])
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from error
        host = task_vars["inventory_hostname"]
        inputs = {name: self._inputs(name, task_vars) for name in _rooms.deployable()}
        found = {one["service"]: one for one in self._find(inputs, task_vars)}
        wanted = [name for name in found if name in task_vars["group_names"] and inputs[name]["state"] != "absent"]
        proxies = {name: _rooms.load(name).proxy for name in _rooms.in_order(found)}
        # A proxy stays and goes with its service, unless it alone is there, or meant.
        alone = [name for name in found if name not in proxies.values() or name in (named or ())]
        choice = _removal_scope.choose(alone, named, wanted, host)
        words, changed, removed, kept = list(choice.words), False, {}, {}
        for name in _removal_scope.with_proxies(choice.services, found, proxies):
            one = self._remove(name, found[name], inputs[name], given["remove_data"], task_vars)
            words += one.pop("words")
            if one.get("failed"):
                done = "; removed before: {0}".format(", ".join(removed)) if removed else ""
                return {
                    **result,
                    **one,
                    "msg": "{0} on {1} was not removed: {2}{3}".format(name, host, one["msg"], done),
                }
            if one["removed"] or one["changed"]:
                changed = changed or one["changed"]
                removed[name] = one["removed"]
            if one["kept"]:
                kept[name] = one["kept"]
            words += _removal_scope.told(name, one["removed"], one["kept"], self._task.check_mode)
        result.update(changed=changed, removed=removed, kept=kept, words=words, msg="\n".join(words))
        return result

    def _inputs(self, name, task_vars):
        return RoleInputs(name, self._loader, self._templar, task_vars)

    def _find(self, inputs, task_vars):
        """What is there of each service."""
        known = [
            {
                "service": name,
                "unit": UNIT if name in _rooms.FURTHER else _rooms.load(name).unit_name,
                "config_dir": i["config_dir"],
                "releases_dir": i.get("release_dir") or "",
            }
            for name, i in inputs.items()
        ]
        options = {"services": known, "docker_host": docker_host(next(iter(inputs.values())))}
        found = run_other(self, COLLECTION + "deployed_services", options, task_vars)
        if found.get("failed"):
            raise AnsibleError(found.get("msg") or "what was deployed could not be found")
        return found["services"]

    def _remove(self, name, there, i, purges, task_vars):
        """Remove one service by the steps of its role; what it has removed and kept, and sentences.

        :param there: what deployed_services says of it.
        """
        if name in _rooms.FURTHER:
            return self._remove_further(name, there, i, purges, task_vars)
        room, words = _rooms.load(name), []
        record = there["record"]
        if not record:
            # Deployed before there were records.
            moved = {**task_vars, name + "_config_dir": there["config_dir"]}
            record = room.removal_record(self._inputs(name, moved))
            record["data"] = list(dict.fromkeys([*there["data"], *record["data"]]))
        member = name in task_vars["group_names"]
        steps = [
            (COLLECTION + "service", removal_of(record, purges)),
            (COLLECTION + "release", {**record["release"], "state": "absent"}),
            *((module, options) for dummy, module, options in record["further"]),
        ]
        if purges:
            settled = self._inputs(name, {**task_vars, name + "_purge_data": True})
            for step in room.removals(settled):
                if list(step) in record["further"]:
                    continue
                if member:
                    steps.append((step.module, step.options))
                else:
                    text = "{0}: not done, as the variables for it are no longer those of the host: {1}"
                    words.append(text.format(name, step.title))
        removed, kept, changed = [], [], False
        for module, options in steps:
            result = run_other(self, module, options, task_vars)
            if result.get("failed"):
                return {**result, "msg": result.get("msg") or result.get("module_stderr"), "words": words}
            changed = changed or bool(result.get("changed"))
            removed += result.get("removed") or []
            kept += result.get("kept") or []
        return {"changed": changed, "removed": removed, "kept": kept, "words": words}

    def _remove_further(self, name, there, i, purges, task_vars):
        """Remove what a role has deployed that is no service; as :meth:`_remove`."""
        record = there["record"] or _backup.record_of(i, name in task_vars["group_names"])
        options = _backup.removal_options(record, purges)
        result = self._execute_module(module_name=COLLECTION + name, module_args=options, task_vars=task_vars)
        if result.get("failed"):
            return {**result, "msg": reason_of(result), "words": []}
        return {"changed": result["changed"], "removed": result["removed"], "kept": result["kept"], "words": []}
