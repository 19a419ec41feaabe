# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One step of restore.yml: what is restored on a host, and how the data of each service takes its place, or comes back."""

from __future__ import annotations

import functools

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.module_utils._findings import RED
from ansible_collections.vigil.monitoring.plugins.module_utils._restore import FETCHING
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _backup, _move, _restore, _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._deployment import COLLECTION, docker_host
from ansible_collections.vigil.monitoring.plugins.plugin_utils._other_action import reason_of, run_other
from ansible_collections.vigil.monitoring.plugins.plugin_utils._role_inputs import RoleInputs


class ActionModule(ActionBase):
    """Action plugin of the restore module."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("step", "service", "health", *_restore.SPEC))

    def run(self, tmp=None, task_vars=None):
        """Do the step."""
        result = super().run(tmp, task_vars)
        spec = {
            **_restore.SPEC,
            "step": {"type": "str", "required": True},
            "service": {"type": "dict"},
            "health": {"type": "list", "elements": "dict"},
        }
        dummy, given = self.validate_argument_spec(argument_spec=spec)
        steps = {
            "plan": self._plan,
            "hold": self._hold,
            "fetch": self._fetch,
            "place": self._place,
            "verify": self._verify,
            "finish": self._finish,
            "undo": self._undo,
            "release": self._release,
            "end": self._end,
        }
        if given["step"] not in steps:
            raise AnsibleActionFail("step has to be one of {0}".format(", ".join(steps)))
        self.task_vars, self.host = task_vars, task_vars["inventory_hostname"]
        self._inputs = functools.cache(
            lambda role: RoleInputs.for_reading(role, self._loader, self._templar, task_vars)
        )
        result.update({"changed": False, **steps[given["step"]](given)})
        return result

    def _module(self, **options):
        """The result of the module restore_data on this host.

        :raises AnsibleActionFail: when it fails.
        """
        found = self._execute_module(
            module_name=COLLECTION + "restore_data", module_args=options, task_vars=self.task_vars
        )
        if found.get("failed"):
            raise AnsibleActionFail(reason_of(found))
        return found

    def _access(self):
        i = self._inputs(_backup.ROLE)
        return {"access": _backup.access_of(i), "secrets": _backup.secrets_of(i, [])}

    def _of(self, given, **options):
        """The result for a service: its database, with a password, is in no result of another step."""
        service, run = given["service"], _restore.this_run()
        database = _rooms.load(service["service"]).database_server(self._inputs(service["service"]))
        secrets = [*options.pop("secrets", ()), *_backup.secrets_of_databases([database] if database else [])]
        named = {"service": service["service"], "data_dir": service["data_dir"], "database": database}
        return self._module(**named, run=run, secrets=secrets, **options)

    # What there is to do

    def _wanted(self):
        found = []
        for one in _backup.services_of(self.task_vars["group_names"], self._inputs):
            i, room = self._inputs(one["name"]), _rooms.load(one["name"])
            downgrades = bool(i.get("allow_downgrade"))
            data = (one["data"] or "").rstrip("/")
            database = (room.database_server(i) or {}).get("title")
            found.append(
                _restore.Wanted(
                    one["name"], room.title, one["version"], downgrades, data, one["files"], room.holds, database
                )
            )
        return found

    def _databases(self, services):
        found = {one.name: _rooms.load(one.name).database_server(self._inputs(one.name)) for one in services}
        return {name: database for name, database in found.items() if database}

    def _plan(self, given):
        i, problems = self._inputs(_backup.ROLE), _restore.input_problems(given, self.task_vars)
        if i["state"] == "absent":
            problems.append("backup_state is absent on {0}".format(self.host))
        everything = self._wanted()
        services, missing = _restore.chosen(everything, given["services"], self.host)
        self._refuse(problems)
        if given["services"] and not services:
            return {"services": [], "deployed": [], "words": missing}
        databases, access, me = self._databases(services), self._access(), _restore.this_run()
        options = {
            **access,
            "secrets": [*access["secrets"], *_backup.secrets_of_databases(databases.values())],
            "databases": databases,
            "run": me,
            "state_dir": i["state_dir"],
            "step": "read",
            "name": given["from"] or i["name"],
            "snapshot": given["snapshot"],
            "services": {one.name: one.data for one in services if one.data},
        }
        read = self._module(**options)
        self._refuse(_restore.beside_problems(read))
        if read["missing"]:
            if self._task.check_mode:
                text = "{0} is not installed on {1}; without --check it is, and then the repository is read"
                return {"services": [], "deployed": [], "words": [text.format(i["restic"], self.host)]}
            _backup.install(self, i, self.task_vars)
            read = self._module(**options)
            if read["missing"]:
                raise AnsibleActionFail(
                    "{0} were installed, and {1} is not there".format(", ".join(_backup.packages_of(i)), i["restic"])
                )
        plan = _restore.plan(self.host, services, read, given["replace"], given["services"])
        self._refuse(plan.problems)
        return {
            "services": plan.services,
            "deployed": [one.name for one in services],
            "words": [*plan.words, *missing],
        }

    def _refuse(self, problems):
        if problems:
            text = "nothing is restored on {0}, and nothing was changed:\n{1}"
            raise AnsibleActionFail(text.format(self.host, "\n".join("- " + one for one in problems)))

    # The way

    def _hold(self, dummy):
        options = {"step": "hold", "run": _restore.this_run(), "state_dir": self._inputs(_backup.ROLE)["state_dir"]}
        found = self._module(**options)
        if found["under_way"] and _restore.is_gone(found["under_way"]["run"]):
            found = self._module(**options, gone=found["under_way"]["run"])
        if found["under_way"]:
            self._refuse(_restore.beside_problems({**found, "beside": []}))
        return {"changed": found["changed"]}

    def _release(self, dummy):
        return {"changed": self._module(step="release", run=_restore.this_run())["changed"]}

    def _end(self, dummy):
        self._module(step="end", run=_restore.this_run())
        return {}

    def _fetch(self, given):
        service = given["service"]
        options = {name: service[name] for name in ("snapshot", "described", "size")}
        return {"changed": self._of(given, step="fetch", **self._access(), **options)["changed"]}

    def _pause(self, given, state):
        removal = given["service"]["removal"]
        if not removal:
            # It was deployed by this run, if at all.
            i, room = self._inputs(given["service"]["service"]), _rooms.load(given["service"]["service"])
            removal = {
                "name": room.unit_name,
                "role": room.name,
                "config_dir": i["config_dir"],
                "docker_host": docker_host(i),
            }
        found = run_other(self, COLLECTION + "service", _move.pause_options(removal, state), self.task_vars)
        if found.get("failed"):
            raise AnsibleActionFail(reason_of(found))

    def _place(self, given):
        service = given["service"]
        if service["removal"]:
            self._pause(given, "stopped")
        self._of(given, step="place", described=service["described"], files=service["files"])
        return {"changed": True}

    def _verify(self, given):
        red = [line for line in given["health"] or () if line["state"] == RED]
        if red:
            text = "{0}: {1}"
            raise AnsibleActionFail(
                "failed verification: "
                + "; ".join(text.format(line["service"], ", ".join(line["reasons"]) or "no reason") for line in red)
            )
        if not given["service"]:
            return {}
        replaced = self._of(given, step="note")["replaced"]
        if replaced:
            raise AnsibleActionFail(
                "{0} is another one than in the snapshot, because the inventory says so; the secrets in the restored data of {1}"
                " cannot be read with it: take it out of the inventory".format(
                    ", ".join(replaced), given["service"]["title"]
                )
            )
        return {}

    def _finish(self, given):
        return {"changed": self._of(given, step="finish")["changed"]}

    def _undo(self, given):
        title, note = given["service"]["title"], self._of(given, step="note")
        if not note["phase"]:
            return {"words": "{0} is as it was before".format(title)}
        if note["phase"] != FETCHING:
            self._pause(given, "stopped")
        self._of(given, step="undo")
        if note["was_active"]:
            self._pause(given, "started")
            return {"changed": True, "words": "{0} runs with the data that was there before".format(title)}
        return {"changed": True, "words": "{0} does not run, and its data directory is as it was before".format(title)}
