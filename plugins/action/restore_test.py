# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One step of restore_test.yml: with what services are started beside the running ones, and what the comparison means."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.module_utils._rehearsal import NEWEST
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _backup, _rehearsal, _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._deployment import COLLECTION, docker_host
from ansible_collections.vigil.monitoring.plugins.plugin_utils._other_action import reason_of
from ansible_collections.vigil.monitoring.plugins.plugin_utils._role_inputs import RoleInputs

LIMITS = ("directory", "memory", "cpu", "timeout")


class ActionModule(ActionBase):
    """Action plugin of the restore_test module."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("step", "found", *LIMITS))

    def run(self, tmp=None, task_vars=None):
        """Do the step."""
        result = super().run(tmp, task_vars)
        if self._task.check_mode:
            result.update(changed=False, skipped=True, msg="nothing is rehearsed in check mode")
            return result
        self.task_vars, self.i = task_vars, self._inputs(_backup.ROLE, task_vars)
        if self.i["state"] == "absent":
            result.update(changed=False, skipped=True, msg="no backup is made of this host")
            return result
        step = self._task.args.get("step")
        result.update(self._rehearse() if step == "rehearse" else self._compare(self._task.args["found"]))
        return result

    def _inputs(self, name, task_vars):
        return RoleInputs.for_reading(name, self._loader, self._templar, task_vars)

    def _services(self):
        return _rehearsal.services_of(self.task_vars["group_names"], lambda name: self._inputs(name, self.task_vars))

    def _module(self, module, /, **options):
        """The result of a module on the host of this task.

        :raises AnsibleActionFail: when it fails.
        """
        found = self._execute_module(module_name=COLLECTION + module, module_args=options, task_vars=self.task_vars)
        if found.get("failed"):
            raise AnsibleActionFail(reason_of(found))
        return found

    def _rehearse(self):
        services, dummy = self._services()
        given = {name: self._task.args[name] for name in LIMITS if self._task.args.get(name) is not None}
        secrets = [*_backup.secrets_of(self.i, []), *(one["password"] for one in services if one["password"])]
        return self._module(
            "restore_test",
            step="rehearse",
            access=_backup.access_of(self.i),
            secrets=secrets,
            name=self.i["name"],
            services=services,
            docker_host=docker_host(self.i),
            **given,
        )

    def _compare(self, found):
        snapshot, words, bad, figures = found["snapshot"], [], [], {}
        services, left_out = self._services()
        for wanted in services:
            name = wanted["service"]
            restored = found["services"].get(name) or {"problem": "it was not rehearsed"}
            problem = restored.get("problem")
            good, missing, items = (
                ([], [problem], []) if problem else self._difference(wanted, restored, snapshot["time"])
            )
            if good:
                figures[name] = {"size": restored["size"], "seconds": restored["seconds"], "items": items}
                size = "restored {0} MiB in {1:.0f} s: ".format(restored["size"] >> 20, restored["seconds"])
                words.append("{0}: {1}{2}".format(name, size, "; ".join(good)))
            bad += ["{0}: {1}".format(name, text) for text in missing]
        words += left_out
        about = "snapshot {0} of {1}".format(snapshot["described"], self.i["name"])
        if bad:
            text = "the restore of {0} was rehearsed, and is not complete:\n{1}\n{2}"
            listed = "\n".join("- " + one for one in bad)
            rest = "\n".join("- {0}".format(one) for one in words)
            raise AnsibleActionFail(text.format(about, listed, rest).rstrip())
        changed = False
        if self.i["textfile_dir"]:
            path = self.i["textfile_dir"].rstrip("/") + "/" + _backup.REHEARSED
            options = {"name": self.i["name"], "metrics_file": path, "snapshot": snapshot, "figures": figures}
            changed = self._module("restore_test", step="record", **options)["changed"]
        return {"changed": changed, "words": [about, *words]}

    def _difference(self, wanted, restored, before):
        """What a restored service has, and what it lacks, as sentences; and the figures."""
        room, newest = _rooms.load(wanted["service"]), restored["newest"]
        requests = {
            title: path.replace(NEWEST, "{0:.3f}".format(newest or 0))
            for title, path in wanted["requests"].items()
            if title in restored["answers"]
        }
        login = {name: wanted[name] for name in ("username", "password") if wanted[name]}
        answers = self._module("move_data", step="request", service=wanted["service"], requests=requests, **login)
        running = answers["answers"]
        problems = [
            *(
                "{0} of the restored service could not be read".format(one)
                for one in _rehearsal.unanswered(restored["answers"])
            ),
            *("{0} of the running service could not be read".format(one) for one in _rehearsal.unanswered(running)),
        ]
        if problems:
            return [], problems, []
        figures = (
            room.rehearsal_figures({title: said["text"] for title, said in restored["answers"].items()}, None),
            room.rehearsal_figures({title: said["text"] for title, said in running.items()}, before),
        )
        return (*_rehearsal.compare(*figures), _rehearsal.counted(*figures))
