# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One step of move.yml, on the host that the service leaves or on the one that it moves to.

The hosts need not reach each other: parts of the data lie on the controller in between, never more than a round of them, and one
part at a time on each of the hosts.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import tempfile
import time

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.module_utils import _data_copy
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _move, _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._deployment import COLLECTION
from ansible_collections.vigil.monitoring.plugins.plugin_utils._other_action import reason_of, run_other
from ansible_collections.vigil.monitoring.plugins.plugin_utils._role_inputs import RoleInputs
from ansible_collections.vigil.monitoring.plugins.plugin_utils._transfer import CannotCopy, copy, temporary_directory

PART = 64 << 20
# So much lies on the controller at a time; a larger file does as a whole.
ROUND = 1 << 30
SPACE = 1 << 28


class ActionModule(ActionBase):
    """Action plugin of the move module."""

    TRANSFERS_FILES = True
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("step", "service", "source", "target", "found", "copied", "fetched", "evidence"))

    def run(self, tmp=None, task_vars=None):
        """Do the step."""
        result = super().run(tmp, task_vars)
        given = self._task.args
        if given.get("service") not in _rooms.names():
            raise AnsibleActionFail("service has to be one of {0}".format(", ".join(_rooms.names())))
        steps = {
            "inspect": self._inspect,
            "decide": self._decide,
            "look": self._look,
            "start": self._pause,
            "stop": self._pause,
            "spared": self._spared,
            "spare": self._spare,
            "evidence": self._evidence,
            "fetch": self._fetch,
            "deliver": self._deliver,
            "place": self._place,
            "take_back": self._take_back,
            "verify": self._verify,
            "finish": self._finish,
        }
        if given.get("step") not in steps:
            raise AnsibleActionFail("step has to be one of {0}".format(", ".join(steps)))
        self.task_vars, self.service, self.room = task_vars, given["service"], _rooms.load(given["service"])
        result.update({"changed": False, **steps[given["step"]](given)})
        return result

    @functools.cached_property
    def _inputs(self):
        """The inputs of the service's role on the new host."""
        return RoleInputs.for_reading(self.service, self._loader, self._templar, self.task_vars)

    def _module(self, **options):
        """The result of the module move_data on the host of this task.

        :raises AnsibleActionFail: when it fails.
        """
        found = self._execute_module(
            module_name=COLLECTION + "move_data",
            module_args={"service": self.service, **options},
            task_vars=self.task_vars,
        )
        if found.get("failed"):
            raise AnsibleActionFail(reason_of(found, "it gave no reason"))
        return found

    def _at_target(self, **options):
        return self._module(data_dir=self.room.data_dir(self._inputs), origin=self._task.args.get("source"), **options)

    # What is there

    def _inspect(self, dummy):
        return {"found": self._module(step="inspect")["found"]}

    def _look(self, dummy):
        return {"copied": self._at_target(step="inspect")["found"]["copied"]}

    def _decide(self, given):
        i, source, target = self._inputs, given["found"], {}
        if source["data_dir"] and self.room.data_dir(i):
            target = self._at_target(step="inspect")["found"]
        else:
            target = {**self._module(step="inspect")["found"], "data_dir": ""}
        hosts = (given["source"], given["target"])
        downgrades = bool(i.get("allow_downgrade"))
        decision = _move.decide(self.service, hosts, source, target, str(i.get("version") or ""), downgrades)
        if decision.problem:
            raise AnsibleActionFail("{0} was not moved: {1}".format(self.room.title, decision.problem))
        return {
            "work": decision.work,
            "words": decision.words,
            "evidence": target.get("evidence") or {},
            "writer": source["writer"] or source["version"],
        }

    # The service itself

    def _pause(self, given):
        record = (given["found"] or {}).get("record")
        if not record or record.get("removed"):
            return {}
        options = _move.pause_options(record["removal"], "stopped" if given["step"] == "stop" else "started")
        return run_other(self, COLLECTION + "service", options, self.task_vars)

    def _answers(self, requests):
        login = self.room.history_login(self._inputs) or {}
        return self._module(step="request", requests=requests, **login)["answers"]

    def _found(self, requests):
        """What the answers to some requests hold: title -> list of texts."""
        found = {}
        for title, said in self._answers(requests).items() if requests else ():
            if said["status"] != 200:
                text = "{0} could not be compared: HTTP {1} {2}"
                raise AnsibleActionFail(text.format(title, said["status"], said["text"].strip()[:300]))
            found[title] = self.room.history_found(title, said["text"])
        return found

    def _evidence(self, dummy):
        metrics = self._module(step="request", requests={"metrics": "/metrics"})["answers"]["metrics"]
        requests = self.room.history_requests(metrics["text"] if metrics["status"] == 200 else "", time.time())
        return {"evidence": {"requests": requests, "found": self._found(requests)}}

    def _verify(self, given):
        before, missing = given["evidence"].get("found") or {}, []
        for dummy in range(10):
            missing = _move.lost(before, self._found(given["evidence"].get("requests") or {}))
            if not missing:
                return {"words": "found again: {0}".format(_move.compared(before))}
            time.sleep(2)
        raise AnsibleActionFail("{0} does not have all of its data: {1}".format(self.room.title, "; ".join(missing)))

    # The data

    def _spared(self, dummy):
        files = self._module(step="spared")["spared"]
        return {"spool": self._spool("spared", json.dumps(files).encode("ascii"))} if files else {}

    def _spare(self, given):
        path = (given["fetched"] or {}).get("spool")
        if not path:
            return {}
        with open(path, "rb") as stream:
            files = json.load(stream)
        os.unlink(path)
        spare = [{**file, "path": target} for file, target in zip(files, self.room.spared(self._inputs))]
        return {"changed": self._module(step="spare", spare=spare)["changed"]}

    @staticmethod
    def _spool(name, data):
        """A file on the controller with these bytes, in Ansible's own directory of this run."""
        folder = os.path.join(C.DEFAULT_LOCAL_TMP, "vigil.monitoring", "move")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        descriptor, path = tempfile.mkstemp(prefix=name + "-", dir=folder)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        return path

    def _fetch(self, given):
        """Read the first round of what the copy lacks."""
        listed = self._module(step="inspect")["found"]["listing"]
        plan = _data_copy.difference(listed, given["copied"])
        wanted, size = [], 0
        for path in plan.copy:
            if wanted and size + listed[path][1] > ROUND:
                break
            wanted.append(path)
            size += listed[path][1]
        free = shutil.disk_usage(C.DEFAULT_LOCAL_TMP).free
        if free < size + SPACE:
            text = "{0} MiB are needed in {1} on this machine for the parts in between, and {2} MiB are free: set ANSIBLE_LOCAL_TEMP"
            raise AnsibleActionFail(text.format((size + SPACE) >> 20, C.DEFAULT_LOCAL_TMP, free >> 20))
        read, path = [], self._connection._shell.join_path(temporary_directory(self), "part")
        for part in _data_copy.parts(wanted, listed, PART):
            self._module(step="read", part=part, path=path)
            spool = self._spool("part", b"")
            self._connection.fetch_file(path, spool)
            read.append({"spool": spool, "part": part})
        return {
            "parts": read,
            "listed": {path: listed[path] for path in wanted},
            "remove": plan.remove,
            "make": plan.make,
            "size": size,
            "more": len(wanted) < len(plan.copy),
            "differs": bool(plan.copy or plan.make or plan.remove),
        }

    def _deliver(self, given):
        """Write what was read."""
        fetched = given["fetched"]
        if not fetched["differs"]:
            return {}
        self._at_target(step="write", remove=fetched["remove"], make=fetched["make"])
        for number, one in enumerate(fetched["parts"]):
            try:
                source = copy(self, one["spool"], "part-{0}".format(number))
            except CannotCopy as error:
                raise AnsibleActionFail(str(error)) from error
            listed = {path: fetched["listed"][path] for path, dummy, dummy in one["part"]}
            self._at_target(step="write", part=one["part"], listed=listed, path=source)
            if os.path.exists(one["spool"]):
                os.unlink(one["spool"])
        return {"changed": True, "size": fetched["size"]}

    def _place(self, given):
        plan = _data_copy.difference(given["found"]["listing"], given["copied"])
        if plan.copy or plan.remove or plan.make:
            named = ", ".join([*plan.copy, *plan.remove, *(path for path, dummy in plan.make)][:3])
            raise AnsibleActionFail(
                "the copy is not complete, something changes the data of the stopped service: " + named
            )
        options = {"writer": given["found"]["writer"], "evidence": given["evidence"]}
        return {"changed": self._at_target(step="place", **options)["changed"]}

    def _take_back(self, dummy):
        return {"changed": self._at_target(step="take_back")["changed"]}

    def _finish(self, dummy):
        return {"changed": self._module(step="finish")["changed"]}
