# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deployment of a service: what is prepared on the host is switched to, and verified; or it goes back."""

from __future__ import annotations

import os
from typing import NamedTuple, Optional

from ansible_collections.vigil.monitoring.plugins.module_utils import _data_before, _database_role
from ansible_collections.vigil.monitoring.plugins.module_utils._activation import Activation, switch
from ansible_collections.vigil.monitoring.plugins.module_utils._data_directory import Move
from ansible_collections.vigil.monitoring.plugins.module_utils._data_owner import owner_problem
from ansible_collections.vigil.monitoring.plugins.module_utils._decision import DONE, Comparison
from ansible_collections.vigil.monitoring.plugins.module_utils._deployed import COMMAND, Records, with_older_data
from ansible_collections.vigil.monitoring.plugins.module_utils._history import ended
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError, NotVerified
from ansible_collections.vigil.monitoring.plugins.module_utils._plan import make_plan
from ansible_collections.vigil.monitoring.plugins.module_utils._preflight import problems_of
from ansible_collections.vigil.monitoring.plugins.module_utils._process import Decision, Running
from ansible_collections.vigil.monitoring.plugins.module_utils._record import Record
from ansible_collections.vigil.monitoring.plugins.module_utils._removal import remove_empty, take_away_before
from ansible_collections.vigil.monitoring.plugins.module_utils._rollback import Rollback, undo_an_interrupted_switch
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime import Runtime
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_systemd import stop_and_mask
from ansible_collections.vigil.monitoring.plugins.module_utils._service_diff import diff_of
from ansible_collections.vigil.monitoring.plugins.module_utils._verification import Verification


class Found(NamedTuple):
    """What there was before anything was changed.

    :ivar manifest: that of the generation on the disk.
    :ivar verified: the record of its last verification.
    :ivar seen: what the runtime knows about the service.
    :ivar running: its main process, or None.
    :ivar old: the runtime under which it is.
    :ivar was_active: whether it ran, or had run until an earlier run stopped it.
    :ivar record: what the host remembered of it, see :mod:`_deployed`; None for nothing.
    """

    manifest: dict
    verified: dict
    seen: object
    running: Optional[Running]
    old: Runtime
    was_active: bool
    record: Optional[dict]


class Deployment:
    """The service is to run, as it is asked for.

    :param task: :class:`_task.Task`.
    """

    def __init__(self, task):
        self.task = task
        self.params = task.params
        self.state = task.state
        self.verification = Verification(task)
        self.record = Record(task, self.verification)
        self.comparison = Comparison(task, self.verification, self.record)
        self.ended = []

    def run(self):
        """Make the service run what is on disk, and verify it: the order of a deployment."""
        self._end_a_check_before_its_runtime_is_there()
        recovered = not self.task.module.check_mode and undo_an_interrupted_switch(self.task)
        found = self._inspect()
        plan = make_plan(self.task, found.manifest, found.seen)
        self._refuse_what_cannot_work(plan, found)
        self._learn_whether_it_can_reread(plan, found)
        self._end_a_check(plan, found)
        self._have_the_controller_make(plan)
        self._verify_what_is_replaced(plan, found)
        plan, before = self._dump_what_is_changed(plan, found)
        self._stop_what_is_in_the_way(plan)
        # Before anything of it is there, so that whatever is left of it can be found.
        Records(self.task.machine).keep(with_older_data(self.params["removal"], found.record))
        self._forget_a_copy_that_is_not_wanted(plan, found)
        changed_database = _database_role.change(self.task)
        switch(self.task, plan, found, before)
        self._adopt(plan)
        activation = Activation(self.task, self.verification, self.comparison)
        seen = self._activate(activation, plan, found)
        self._warn_of_no_filter(seen)
        self._remember(seen, found)
        self._clean_up(plan, before)
        changed = plan.switches or plan.conflicts or recovered or activation.enabled_now or changed_database
        changed = changed or activation.firewall_changed
        self._end(activation.decision, changed, seen, found.was_active, diff_of(self.task, plan, found.manifest))

    def _end_a_check_before_its_runtime_is_there(self):
        missing = self.task.runtime.missing() if self.task.module.check_mode else None
        if missing:
            unknown, reason = missing
            self.task.unknown.append(unknown)
            self._say_what_would_happen(Decision("start", reason), changed=True)

    def _inspect(self):
        """What there is, a :class:`Found`."""
        task, runtime = self.task, self.task.runtime
        manifest = self.state.manifest()
        task.runtimes.know(manifest)
        seen = runtime.inspect()
        if task.module.check_mode:
            problem = runtime.name_problem()
            if problem:
                raise HostError(problem)
            seen = runtime.renamed() or seen
        old = task.runtimes.of(manifest)
        # A run that was killed while it put something back may have left it stopped.
        was_active = (
            runtime.is_active(seen) or (old is not runtime and old.is_active(old.inspect())) or self.state.was_running()
        )
        record = Records(task.machine).get(task.role)
        return Found(manifest, self.state.verified(), seen, runtime.running(seen), old, was_active, record)

    def _refuse_what_cannot_work(self, plan, found):
        problems = problems_of(self.task, plan, found, self.verification, self.record)
        if problems:
            if not self.task.module.check_mode:
                self.state.discard_stage()
            self.task.module.fail_json(msg="{0} was not changed:\n{1}".format(self.task.name, "\n".join(problems)))

    def _learn_whether_it_can_reread(self, plan, found):
        self.comparison.rereads = self.comparison.can_reread(
            plan.changes, found.running, found.verified, found.manifest
        )

    def _end_a_check(self, plan, found):
        """End a check run: what would change and what would have to happen to the process."""
        task, runtime = self.task, self.task.runtime
        if not task.module.check_mode:
            return
        if plan.changes:
            self.verification.as_before(found.manifest)
        would = self.comparison.foresee(plan, found)
        renamed = runtime.renamed_note()
        task.notes += [renamed] if renamed else []
        owners = owner_problem(task) if found.running is None else None
        if owners:
            task.notes.append(owners)
            task.module.warn("{0} might not start. {1}".format(task.name, owners))
        changed = plan.changes or plan.conflicts or renamed or not runtime.is_enabled(found.seen)
        changed = changed or self.record.firewall() != found.verified.get("firewall")
        self._say_what_would_happen(would, changed, diff_of(task, plan, found.manifest))

    def _have_the_controller_make(self, plan):
        """End here where something has to be made first that no module but another one can make, such as a container."""
        order = self.task.runtime.order() if plan.replacing else None
        if order:
            self.task.module.exit_json(changed=False, **order)

    def _verify_what_is_replaced(self, plan, found):
        if plan.switches or self.params["database"]:
            self.verification.as_before(found.manifest)

    def _dump_what_is_changed(self, plan, found):
        """Dump the database of a server while all is as it was.

        :returns: the plan with the path of the dump, and the version that has written the data, or None.
        """
        if not plan.kept and not plan.dumps:
            return plan, None
        version = self.record.written_by(found.running)
        if plan.dumps:
            given = self.params["dump"]
            try:
                path = _data_before.dump(self.state, version, given["argv"], given["environment"] or {})
            except HostError as error:
                self.state.discard_stage()
                advice = "correct it, or set {0}_dump_database: false".format(self.task.role)
                self.task.module.fail_json(msg="{0} was not changed:\n{1}; {2}".format(self.task.name, error, advice))
            self.task.notes.append("its database was dumped to {0}".format(path))
            plan = plan._replace(dumps=path)
        return plan, version

    def _stop_what_is_in_the_way(self, plan):
        """Stop and mask the packages' own units that would fight for the port."""
        for unit in plan.conflicts:
            stop_and_mask(unit, self.task.machine)
            self.task.notes.append("{0} uses the same port: it was stopped and masked".format(unit))

    def _adopt(self, plan):
        self.state.discard_stage()
        self.task.runtime.adopt(plan.manifest)

    def _activate(self, activation, plan, found):
        try:
            return activation.run(plan, found)
        except NotVerified as error:
            rollback = Rollback(self.task, self.verification, self.record, plan, found)
            return rollback.give_up(error, activation)

    def _warn_of_no_filter(self, seen):
        problem = self.task.runtime.filter_problem(seen)
        if problem:
            self.task.say(problem)

    def _remember(self, seen, found):
        self.state.note_database(None)
        self.ended = ended(self.state.history(), self.params["history"])
        self.state.record_history(self.params["history"])
        self.record.keep(seen, found.verified, self.params["asked"])
        self.state.record_asked(self.state.manifest()["generation"], self.verification.health)
        self.state.note_running(False)

    def _clean_up(self, plan, before):
        runtimes = self.task.runtimes
        if plan.kept or plan.dumps:
            _data_before.retire(self.state, before)
        if plan.switches:
            for runtime in runtimes.all:
                runtime.clean_up(plan.manifest)
            self.task.notes += runtimes.take_notes()
        for runtime in runtimes.others():
            runtime.forget(self.state)
        self._retire_data(plan)
        if self.state.before:
            where = self.state.before.config_dir
            take_away_before(self.task)
            left = "; files of others are left there" if os.path.isdir(where) else ""
            self.task.notes.append(
                "its configuration has moved from {0} to {1}{2}".format(where, self.state.config_dir, left)
            )
        if plan.gone:
            remove_empty(self.task, sorted(plan.gone, key=len, reverse=True), spared=())
            manifest = self.state.manifest()
            left = [path for path in manifest["directories"] if path not in plan.gone or os.path.isdir(path)]
            self.state.amend_manifest(dict(manifest, directories=left))

    def _forget_a_copy_that_is_not_wanted(self, plan, found):
        """After a move that was cut off, and is not asked for any more, the old data is what there is."""
        copied = self.state.copied_data()
        if copied and plan.move is None and os.path.normpath(found.verified.get("data_dir") or "") != copied[1]:
            self.state.note_copied_data(None)

    def _retire_data(self, plan):
        """Remove the data that was moved from where it was, which only a rollback would have needed."""
        copied = self.state.copied_data()
        if copied and os.path.normpath(self.params["data_dir"] or "") == copied[1]:
            Move(*copied).retire()
        if copied:
            self.state.note_copied_data(None)
        if plan.move:
            self.task.notes.append("its data has moved from {0} to {1}".format(plan.move.old, plan.move.new))

    def _end(self, decision, changed, seen, was_running, diff):
        self.task.module.exit_json(
            changed=bool(changed or decision.action != "none"),
            action=DONE[decision.action],
            reason=decision.reason,
            version=self.verification.said,
            pid=self.task.runtime.pid(seen),
            was_running=was_running,
            unverified=self.task.unverified,
            notes=self.task.notes,
            ended=self.ended,
            diff=diff,
        )

    def _say_what_would_happen(self, would, changed, diff=()):
        """Say what a run would do, and what cannot be known without one."""
        task = self.task
        if task.unknown:
            task.module.warn("{0}: check mode cannot tell {1}".format(task.name, "; ".join(task.unknown)))
        task.module.exit_json(
            changed=bool(changed or would.action != "none"),
            action=DONE[would.action],
            reason=would.reason,
            unverified=[],
            notes=task.notes,
            diff=list(diff),
            ended=ended(self.state.history(), task.params["history"]),
            deployed=task.machine.run(["sh", "-c", COMMAND])[1],
        )
