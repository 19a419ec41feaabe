# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step of a role that starts, restarts or reloads a service, when it is its host's turn: see :mod:`_rollout`."""

from __future__ import annotations

import os
from collections.abc import Callable

from ansible.errors import AnsibleError
from ansible_collections.vigil.monitoring.plugins.module_utils._findings import RED
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _run
from ansible_collections.vigil.monitoring.plugins.plugin_utils._controller import show
from ansible_collections.vigil.monitoring.plugins.plugin_utils._other_action import reason_of
from ansible_collections.vigil.monitoring.plugins.plugin_utils._rollout import (
    FAILED,
    FLEET,
    UNCHANGED,
    VERIFIED,
    Entry,
    Rollout,
    Stopped,
    report,
)

ACTIVATION, ROLLOUT_ENDED = "activation", "rollout_ended"
# The steps that act on the process.
STEPS = (ACTIVATION, "restarted", "reloaded")
NOT_CHANGED = (
    "{title} was not changed on {host}, because {failed} failed before its turn. Solve that problem, and run the playbook again;"
    " with --limit {host}, this host is changed in spite of it."
)
BEHIND = (
    "{title} was changed on {host} and is healthy, but has not caught up within {seconds} s: {reasons}. It stays as it is now."
    " The hosts that are redundant to it were not changed."
)


class Turn:
    """One step of a role on one of several hosts.

    :param action: the action plugin of its task.
    :param room: the service's room.
    :param i: the inputs of its role.
    :param task_vars: variables of its task.
    """

    def __init__(self, action, room, i, task_vars):
        self.action, self.room, self.i, self.task_vars = action, room, i, task_vars
        self.hosts = task_vars.get("ansible_play_hosts_all") or []
        self.rollout = Rollout(room.name)

    def is_needed(self, step: str) -> bool:
        """Whether other hosts of the play can have a turn, too."""
        return step in STEPS and len(self.hosts) > 1 and not self.action._task.check_mode

    def take(self, step: str, work: Callable[[], dict]) -> dict:
        """Wait for the turn of the host, and change it.

        :param work: runs the step's module, and returns its result.
        :returns: that result; one that has failed where the host has not caught up; or one with ``rollout_ended``, the name of
            a host, where the host was not changed because that one has failed.
        """
        group = self.room.redundancy(self.i)
        canaries = self.i["canary"] if len(self.hosts) >= FLEET else 0
        try:
            waited = self.rollout.begin(self.i.host, group, canaries)
        except Stopped as stopped:
            return self._not_changed(step, group, stopped.host)
        if waited:
            self.action._display.v("{0} on {1} has waited for {2}".format(self.room.title, self.i.host, waited))
        try:
            result = work()
            if group is not None and result.get("was_running") and result.get("changed"):
                self._catch_up(result)
        except BaseException as error:
            self._write_down(group, FAILED, str(error) or type(error).__name__)
            raise
        if result.get("failed"):
            self._write_down(group, FAILED, _run.why_failed(result), self._health([], 0.0)["version"])
        else:
            self._write_down(group, VERIFIED, "", result.get("version"))
        return result

    def _write_down(self, group, state, text, version=None):
        self.rollout.write_down(self.i.host, Entry(state, group, os.getpid(), text, version))

    def ended(self) -> dict:
        """Say once which host has what, and fail: of a host that was not changed."""
        entries = self.rollout.entries()
        shown = self.rollout.is_told() or show("\n" + report(self.room.title, entries) + "\n")
        result = self._failure(next(host for host, entry in entries.items() if entry.state == FAILED))
        if not shown:
            result["msg"] += "\n" + report(self.room.title, entries)
        return result

    def _failure(self, failed):
        words = {"title": self.room.title, "host": self.i.host, "failed": failed}
        return {"failed": True, "changed": False, "msg": NOT_CHANGED.format(**words)}

    def _not_changed(self, step, group, failed):
        self._write_down(group, UNCHANGED, "{0} failed".format(failed), self._health([], 0.0)["version"])
        # Once all hosts have come to this step, the next one tells what each of them has; a handler has no next one.
        return {"changed": False, "rollout_ended": failed} if step == ACTIVATION else self._failure(failed)

    def _catch_up(self, result):
        """Wait until the host does again what it did before; where it does not, the result has failed."""
        seconds = self.i["ready_timeout"]
        line = self._health(self.room.catch_up(self.i), seconds)
        if line["state"] == RED:
            reasons = "; ".join(line["reasons"])
            words = {"title": self.room.title, "host": self.i.host, "seconds": seconds, "reasons": reasons}
            result.update(failed=True, msg=BEHIND.format(**words))

    def _health(self, checks, seconds):
        """What the service is found to be on its host: a line as the module service_health returns it."""
        service = {
            "service": self.room.name,
            "health": self.room.health(self.i),
            "checks": checks,
            **self.room.log_source(self.i),
        }
        arguments = {"services": [service], "timeout": seconds, "secrets": self.room.secrets(self.i)}
        try:
            found = self.action._execute_module(
                module_name="vigil.monitoring.service_health", module_args=arguments, task_vars=self.task_vars
            )
        except AnsibleError as error:
            found = {"msg": str(error)}
        nothing = {"version": None, "state": RED, "reasons": [reason_of(found, "no answer")]}
        return (found.get("services") or [nothing])[0]
