# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The activation of a new generation: switched on the disk, then started, restarted or reloaded, and watched."""

from __future__ import annotations

import os

from ansible_collections.vigil.monitoring.plugins.module_utils import _data_before, _database_role
from ansible_collections.vigil.monitoring.plugins.module_utils._firewall import Firewall
from ansible_collections.vigil.monitoring.plugins.module_utils._health import RELOAD, reload_delay
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    NotVerified,
    ensure_directory,
    write_atomically,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._plan import next_unit
from ansible_collections.vigil.monitoring.plugins.module_utils._process import Decision, complaints
from ansible_collections.vigil.monitoring.plugins.module_utils._watch import Watch

# How many lines of the log of a start are looked through for what the service complains about.
COMPLAINING_LINES = 500


def switch(task, plan, found, version=None):
    """Bring the new generation onto the disk; what cannot be completed is undone.

    :param task: :class:`_task.Task`.
    :param plan: :class:`_plan.Plan`.
    :param found: :class:`_deployment.Found`.
    :param version: that has written the data, or None.
    """
    state = task.state
    if not plan.switches:
        if plan.manifest != {key: found.manifest.get(key) for key in plan.manifest}:
            state.amend_manifest(plan.manifest)
        return
    state.create()
    state.note_running(found.was_active)
    _write_units(task, plan.texts)
    for change in plan.changes:
        if change.kind == "link":
            ensure_directory(os.path.dirname(change.path))
    task.runtime.remember(state)
    try:
        _switch_while_nothing_writes(task, plan, found.old if found.was_active else None, version)
    except BaseException:
        _database_role.restore(task)
        raise


def _write_units(task, texts):
    """Put the new unit texts beside our state, from where the switch renames them."""
    for path, (dummy, text) in texts.items():
        if text is not None:
            ensure_directory(os.path.dirname(path))
            write_atomically(next_unit(task.state, path), text.encode("utf-8"), 0o644)


def _switch_while_nothing_writes(task, plan, old, version):
    """Make the changes; where files are kept or pass to another account, while the service does not write to them.

    :param old: the runtime in which it runs, or None where it does not.
    """
    if not plan.kept and not plan.passes_data:
        task.state.switch(plan.changes, plan.manifest, bool(plan.texts))
        return
    if plan.move:
        task.state.note_copied_data((plan.move.old, plan.move.new))
        plan.move.prepare()
    copies = plan.move is not None and not plan.move.is_one_file_system()
    if copies:
        # Most of it while the service still runs.
        plan.move.copy()
    if old:
        old.stop()
    try:
        if copies:
            plan.move.copy()
        _data_before.keep(task.state, version, [change.path for change in plan.kept])
        moved = plan.move.renames() if plan.move and not copies else []
        task.state.switch(moved + plan.changes + plan.kept, plan.manifest, bool(plan.texts))
    except BaseException:
        if old:
            old.act("start")
        raise


def _settle_firewall(task):
    """Load the firewall that lies on the disk.

    :returns: whether anything was changed.
    :raises NotVerified: when that fails.
    """
    try:
        return Firewall(task.machine).settle()
    except HostError as error:
        raise NotVerified("its firewall cannot be loaded: {0}".format(error)) from error


class Activation:
    """What is on the disk, run and verified.

    :param task: :class:`_task.Task`.
    :param verification: :class:`_verification.Verification`.
    :param comparison: :class:`_decision.Comparison`.
    :ivar decision: what had to happen to the process.
    :ivar enabled_now: whether it did not come up with the host before.
    :ivar firewall_changed: whether rules of the firewall were loaded that were not in force.
    :ivar since: when it began, in seconds since the epoch.
    """

    def __init__(self, task, verification, comparison):
        self.task = task
        self.params = task.params
        self.verification = verification
        self.comparison = comparison
        self.decision = Decision("start", "its runtime changes")
        self.enabled_now = False
        self.firewall_changed = False
        self.since = task.machine.now()

    def run(self, plan, found):
        """Start, restart or reload the service as far as that is needed, and verify it.

        :param plan: :class:`_plan.Plan`.
        :param found: :class:`_deployment.Found`.
        :returns: what was seen at the end.
        :raises NotVerified: when it does not serve what was specified.
        """
        if plan.replacing:
            self.decision = self.decision._replace(reason=plan.replacing)
        # What is to be closed is closed before the service listens.
        self.firewall_changed = _settle_firewall(self.task)
        # Never do two come up with the host, so the old one goes before the new one is enabled.
        self._make_room(found)
        runtime = self.task.runtime
        stale = found.verified.get("definition") not in (None, runtime.definition(found.seen))
        self.enabled_now = runtime.settle(plan.texts, found.seen, stale)
        seen = runtime.inspect()
        self.decision = self._decide(plan, found, seen)
        seen, self.decision = self._carry_out(seen)
        if self.decision.action != "none":
            self._tell_complaints()
        return seen

    def _make_room(self, found):
        """Stop what the generation before has in another runtime than the specified one."""
        old = self.task.runtimes.of(found.manifest)
        if old is self.task.runtime:
            return
        if found.was_active:
            before = self.verification.as_before(found.manifest)
            self.verification.reached_before = bool(self.verification.reported(before.metrics or "").dependency_up)
        old.retire()

    def _decide(self, plan, found, seen):
        decision = self.comparison.decide(self.task.runtime.running(seen), found.verified)
        others = [path for path in plan.texts if path not in (*plan.manifest["units"], *found.manifest["units"])]
        if others and decision.action in ("none", "reload"):
            decision = Decision("restart", "it may have been started with {0}".format(", ".join(sorted(others))))
        return decision._replace(reason=plan.replacing) if plan.replacing else decision

    def _carry_out(self, seen):
        """Start, restart or reload as decided, and verify the outcome.

        :returns: what was seen after it, and the decision (a reload may turn out to be needed after all).
        """
        decision = self.decision
        if decision.action == "none":
            seen, decision = self._confirm(seen, decision)
            if decision.action == "none":
                return seen, decision
        failed_before, flushing = False, 0
        if decision.action != "start":
            before = self.verification.before
            metrics = before.metrics or "" if before else self.verification.request()[0].text
            said = self.verification.reported(metrics)
            flushing = reload_delay(self.verification.health, metrics, self.params["argv"])
            failed_before = decision.action == "reload" and said.reload_successful is False
            self.verification.reached_before = bool(said.dependency_up)
        if self.comparison.rereads and decision.action == "reload":
            if self.verification.reread():
                return self._watch(0, seen), decision
            decision = Decision("restart", decision.reason)
        before = self.task.runtime.act(decision.action)
        if decision.action == "reload":
            return self._watch(0, seen, before, failed_before, flushing), decision
        return self._watch(self.params["settle"]), decision

    def _confirm(self, seen, decision):
        """Verify a service to which nothing has to be done.

        :returns: what was seen after it, and the decision.
        """
        trouble = self.task.runtime.trouble(None, seen)
        if trouble:
            raise NotVerified(trouble)
        metrics, ready = self.verification.request()
        verdict = self.verification.judge(metrics, ready, self.params["version"])
        if self.params["database"] and self.verification.before:
            self.verification.reached_before = bool(self.verification.said_before().dependency_up)
            return self._watch(0, seen), decision
        if verdict.state in ("ok", "unverified"):
            self.verification.conclude(metrics, verdict)
            return seen, decision
        if verdict.state == "wait":
            # Just started by somebody, or still reading its write-ahead log.
            return self._watch(0, seen), decision
        failed_reload = self.verification.reported(metrics.text).reload_successful is False
        if not failed_reload or self.verification.health["on_config_change"] != RELOAD:
            raise NotVerified(verdict.reason)
        return seen, Decision("reload", verdict.reason)

    def _watch(self, settle, *more):
        return Watch(self.verification, self.params["version"], settle, *more).run()

    def _tell_complaints(self):
        """Say what the service has complained about since it was started or reloaded, and goes on without."""
        for line in complaints(self.task.runtime.last_words(self.since, COMPLAINING_LINES)):
            self.task.say("{0} says: {1}".format(self.task.name, line))
