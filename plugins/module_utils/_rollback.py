# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back: from a generation that does not work, and from a switch that was cut off."""

from __future__ import annotations

import contextlib
import os

from ansible_collections.vigil.monitoring.plugins.module_utils import _database_role
from ansible_collections.vigil.monitoring.plugins.module_utils._data_owner import owner_problem
from ansible_collections.vigil.monitoring.plugins.module_utils._deployed import Records
from ansible_collections.vigil.monitoring.plugins.module_utils._endpoint import shown
from ansible_collections.vigil.monitoring.plugins.module_utils._firewall import Firewall
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError, NotVerified
from ansible_collections.vigil.monitoring.plugins.module_utils._removal import remove_empty
from ansible_collections.vigil.monitoring.plugins.module_utils._verification import Before
from ansible_collections.vigil.monitoring.plugins.module_utils._watch import Watch, watch_process


def undo_an_interrupted_switch(task):
    """Undo a switch that an earlier run began and did not verify.

    :param task: :class:`_task.Task`.
    :returns: whether there was anything to do.
    """
    runtimes = task.runtimes
    recovered = task.state.recover()
    manifest = task.state.manifest()
    runtimes.know(manifest)
    # Files are also put back by config_files, which knows nothing of containers.
    untidy = any(runtime.is_untidy() for runtime in runtimes.all)
    if not recovered and not untidy:
        return False
    renamed = any(runtime.renamed() for runtime in runtimes.all)
    runtimes.reinstate(manifest)
    if untidy and manifest["generation"] and manifest["generation"] == task.state.verified().get("generation"):
        # What ran before the switch was stopped for it.
        with contextlib.suppress(NotVerified):
            task.runtime.act("start")
    runtimes.current = runtimes.wanted
    task.notes += runtimes.take_notes()
    if recovered or not renamed:
        task.notes.append("an interrupted activation of an earlier run was rolled back first")
    return True


class Rollback:
    """The generation before, put back and verified.

    :param task: :class:`_task.Task`.
    :param verification: :class:`_verification.Verification`.
    :param record: :class:`_record.Record`.
    :param plan: the :class:`_plan.Plan` that was carried out.
    :param found: what there was before it, a :class:`_deployment.Found`.
    """

    def __init__(self, task, verification, record, plan, found):
        self.task = task
        self.params = task.params
        self.state = task.state
        self.verification = verification
        self.record = record
        self.plan = plan
        self.found = found

    def give_up(self, error, activation):
        """Fail with the service's own words; after a switch, put back what was there.

        :param error: why the service is not what was specified.
        :param activation: :class:`_activation.Activation`.
        """
        task = self.task
        message = "{0} failed verification: {1}.\nLast log lines:\n{2}".format(
            task.runtime.title, error, task.runtime.last_words(activation.since)
        )
        message += "".join("\n" + more for more in (owner_problem(task), _database_role.restore(task)) if more)
        if self.plan.switches and os.path.exists(self.state.rollback):
            message += "\n" + self._put_back()
            written = [path for path in self.params["keep"] if os.path.exists(path)]
            if written and not self.plan.kept:
                message += "\nWhat it has written to {0} was kept.".format(written[0])
            if self.plan.dumps:
                message += "\nIts database was not put back: what was in it before is in {0}.".format(self.plan.dumps)
        task.module.fail_json(
            msg=message,
            action="failed",
            reason=activation.decision.reason,
            unverified=task.unverified,
            notes=task.notes,
        )

    def _put_back(self):
        """Put the previous generation back and verify it.

        :returns: a sentence for the failure message.
        """
        task, runtimes = self.task, self.task.runtimes
        if self.params["keep"] or self.plan.passes_data:
            # It may be writing to what is about to be put back.
            task.runtime.stop()
        self.state.roll_back()
        Records(task.machine).put_back(task.role, self.found.record)
        with contextlib.suppress(HostError):
            Firewall(task.machine).settle()
        # The directory of a drop-in was made for it.
        remove_empty(task, [folder for runtime in runtimes.all for folder in runtime.directories()], spared=())
        runtimes.reinstate(self.state.manifest())
        # A process of an interrupted first deployment may run without that anything of ours was there before.
        if not self.found.was_active or not task.runtime.is_known(task.runtime.inspect()):
            task.runtime.stop()
            if task.runtime.is_gone():
                return "{0} was not deployed here before: it was stopped and removed again.".format(task.name)
            return "The previous deployment was restored; it was not running before either."
        return self._verify(self.verification.before or Before(None, None))

    def _verify(self, before):
        """Start what was put back, and verify it where it was before."""
        try:
            seen = self._start(before)
        except NotVerified as error:
            where = " (checked at {0})".format(shown(before.health, before.health["url"])) if before.health else ""
            known = "" if before.metrics is not None else ", and it did not answer before the change"
            return (
                "The previous deployment was restored on disk, but is not healthy either{0}: {1}{2}. Manual intervention is"
                " required.".format(where, error, known)
            )
        self.record.keep(seen, self.found.verified)
        self.state.note_running(False)
        if before.health is None:
            return "The previous deployment was restored and runs again. It could not be verified, as its address is not known."
        where = shown(self.verification.health, self.verification.asked_at)
        if self.task.unverified:
            return "The previous deployment was restored and runs again. Not verified at {0}: {1}.".format(
                where, "; ".join(self.task.unverified)
            )
        version = self.verification.said or "version not known"
        return "The previous deployment ({0}) was restored and is healthy again at {1}.".format(version, where)

    def _start(self, before):
        """Start it.

        :returns: what was seen at the end.
        :raises NotVerified: when it does not come up.
        """
        said = self.verification.reported(before.metrics or "")
        self.verification.reached_before = bool(said.dependency_up)
        self.task.runtime.act("restart")
        if before.health is None:
            return watch_process(self.task)
        self.verification.health = before.health
        return Watch(self.verification, said.version, self.params["settle"]).run()
