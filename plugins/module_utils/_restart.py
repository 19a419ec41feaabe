# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restart or reload of what is deployed, for handlers: done at once, under whatever runtime, and verified."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.module_utils._data_owner import owner_problem
from ansible_collections.vigil.monitoring.plugins.module_utils._health import reload_delay
from ansible_collections.vigil.monitoring.plugins.module_utils._host import NotVerified
from ansible_collections.vigil.monitoring.plugins.module_utils._record import Record
from ansible_collections.vigil.monitoring.plugins.module_utils._verification import Verification
from ansible_collections.vigil.monitoring.plugins.module_utils._watch import Watch

# What is done at once to a service that is deployed: state -> action.
NOW = {"restarted": "restart", "reloaded": "reload"}


class Restart:
    """The service is to restart, or to read its files again.

    :param task: :class:`_task.Task`.
    """

    def __init__(self, task):
        self.task = task
        self.state = task.state
        self.verification = Verification(task)

    def run(self):
        """Restart what is deployed, or have it read its files again, and verify that it serves."""
        task, module = self.task, self.task.module
        manifest, verified = self.state.manifest(), self.state.verified()
        wanted = module.params["state"]
        result = {"reason": "requested", "unverified": task.unverified, "notes": task.notes}
        if not task.take_up(manifest):
            module.exit_json(changed=False, action="none", **dict(result, reason="it is not deployed here"))
        if module.check_mode:
            module.exit_json(changed=True, action=wanted, **result)
        for runtime in task.runtimes.all:
            if runtime.renamed():
                runtime.tidy()
        task.notes += task.runtimes.take_notes()
        metrics, since = self.verification.request()[0].text, task.machine.now()
        try:
            seen = self._act(NOW[wanted], metrics)
        except NotVerified as error:
            owners = owner_problem(task)
            module.fail_json(
                msg="{0} failed verification after the {1}: {2}.\nLast log lines:\n{3}{4}".format(
                    task.runtime.title,
                    NOW[wanted],
                    error,
                    task.runtime.last_words(since),
                    "\n" + owners if owners else "",
                ),
                action="failed",
                **result,
            )
        Record(task, self.verification).keep_process(seen, verified)
        module.exit_json(
            changed=True, action=wanted, version=self.verification.said, pid=task.runtime.pid(seen), **result
        )

    def _act(self, action, metrics):
        """Do it.

        :param metrics: what the service said before.
        :returns: what was seen at the end.
        :raises NotVerified: when it does not serve afterwards.
        """
        task, params = self.task, self.task.params
        said = self.verification.reported(metrics)
        self.verification.reached_before = bool(said.dependency_up)
        before = task.runtime.act(action)
        if action != "reload":
            return Watch(self.verification, None, params["settle"]).run()
        flushing = reload_delay(self.verification.health, metrics, params["argv"])
        failed = said.reload_successful is False
        return Watch(self.verification, None, 0, task.runtime.inspect(), before, failed, flushing).run()
