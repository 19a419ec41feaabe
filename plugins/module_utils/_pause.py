# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deployed service is stopped for a while, and started again as it was: whatever its runtime, without the inventory's variables."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError, NotVerified
from ansible_collections.vigil.monitoring.plugins.module_utils._record import Record
from ansible_collections.vigil.monitoring.plugins.module_utils._verification import Verification
from ansible_collections.vigil.monitoring.plugins.module_utils._watch import Watch

STOPPED, STARTED = "stopped", "started"
# What is done to a service that stays deployed.
PAUSE = (STOPPED, STARTED)


class Pause:
    """The service is to be stopped, or to run again and be verified as it was the last time.

    :param task: :class:`_task.Task`.
    """

    def __init__(self, task):
        self.task = task
        self.state = task.state

    def run(self):
        """Stop or start it, where it is not so already."""
        task, module = self.task, self.task.module
        manifest, wanted = self.state.manifest(), module.params["state"]
        result = {"reason": "requested", "unverified": task.unverified, "notes": task.notes}
        if not task.take_up(manifest):
            module.exit_json(changed=False, action="none", **dict(result, reason="it is not deployed here"))
        active = task.runtime.is_active(task.runtime.inspect())
        changed = active == (wanted == STOPPED)
        if module.check_mode or not changed:
            module.exit_json(changed=changed, action=wanted if changed else "none", **result)
        if wanted == STOPPED:
            task.runtime.stop()
            if task.runtime.is_active(task.runtime.inspect()):
                raise HostError("{0} could not be stopped".format(task.runtime.title))
            module.exit_json(changed=True, action=wanted, **result)
        self._start(manifest, result)

    def _start(self, manifest, result):
        task, module = self.task, self.task.module
        task.params["health"] = task.params["health"] or self.state.asked(manifest["generation"])
        since = task.machine.now()
        try:
            task.runtime.act("start")
            if task.params["health"]:
                verification = Verification(task)
                seen = Watch(verification, None, task.params["settle"]).run()
                Record(task, verification).keep_process(seen, self.state.verified())
        except NotVerified as error:
            module.fail_json(
                msg="{0} failed verification after the start: {1}.\nLast log lines:\n{2}".format(
                    task.runtime.title, error, task.runtime.last_words(since)
                ),
                action="failed",
                **result,
            )
        module.exit_json(changed=True, action=STARTED, **result)
