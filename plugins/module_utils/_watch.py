# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watch after a start or a reload: the service becomes ready and stays up, or it is said why not."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.module_utils._host import NotVerified

POLL_SECONDS = 0.2
# Seconds for which an answer has to stay that another request will not change: a process that is just leaving may have given it.
CERTAIN_SECONDS = 2.0
# While a service comes up it is checked more often: most need a fraction of a second.
EAGER_SECONDS = 1.0
EAGER_POLL = 0.05
# Seconds that a service has, once it serves, to reach what the one before it reached.
DEPENDENCY_SECONDS = 10


class Watch:
    """Wait until the service is ready and has stayed up.

    :param verification: :class:`_verification.Verification`.
    :param wanted_version: version that has to answer, or None.
    :param settle: seconds for which it has to stay up, and at least half of them once it is ready.
    :param baseline: what was seen before; None after a start.
    :param reloaded_after: moment after which the configuration must have been loaded.
    :param failed_before: whether the reload before had failed.
    :param flushing: seconds that a reload may take besides, for as long as the service answers.
    """

    def __init__(
        self,
        verification,
        wanted_version,
        settle,
        baseline=None,
        reloaded_after=None,
        failed_before=False,
        flushing=0,
    ):
        self.verification = verification
        self.task = verification.task
        self.machine = verification.machine
        self.expected = wanted_version, reloaded_after, failed_before
        self.settle = settle
        self.baseline = baseline
        self.flushing = flushing
        self.begin = self.machine.monotonic()
        self.ready_since = self.refused_since = None

    def run(self):
        """Wait.

        :returns: what was seen at the end.
        :raises NotVerified: as soon as it is clear that it will not, and at the latest after the time-out.
        """
        while True:
            seen = self._inspect()
            metrics, ready = self.verification.request()
            verdict = self.verification.judge(metrics, ready, *self.expected)
            waited = self.machine.monotonic() - self.begin
            self._give_up_where_waiting_is_no_use(metrics, verdict, waited)
            if self._is_without_its_dependency(metrics, verdict, waited):
                self.machine.sleep(POLL_SECONDS)
                continue
            settled = self._settled_at(verdict, waited)
            if settled is not None and waited >= settled:
                self.verification.conclude(metrics, verdict)
                return seen
            self._give_up_after_the_time_out(metrics, verdict, waited)
            self.machine.sleep(self._pause(settled, waited))

    def _inspect(self):
        """What the runtime knows.

        :raises NotVerified: when the service has stopped or was restarted.
        """
        seen = self.task.runtime.inspect()
        if self.baseline is None:
            self.baseline = self.task.runtime.since_start(seen)
        trouble = self.task.runtime.trouble(self.baseline, seen)
        if trouble:
            raise NotVerified(trouble)
        return seen

    def _give_up_where_waiting_is_no_use(self, metrics, verdict, waited):
        if verdict.state == "wrong":
            raise NotVerified(verdict.reason)
        if verdict.state == "refused":
            self.refused_since = waited if self.refused_since is None else self.refused_since
            if waited - self.refused_since >= CERTAIN_SECONDS:
                raise NotVerified(verdict.reason)
        elif metrics.status:
            self.refused_since = None

    def _is_without_its_dependency(self, metrics, verdict, waited):
        """Whether it serves, and is yet to reach what the one before it reached."""
        if verdict.state != "ok" or not self.verification.reached_before:
            return False
        lost = self.verification.lost_dependency(metrics.text)
        if lost and waited > DEPENDENCY_SECONDS:
            raise NotVerified("{0}, and it did before the change".format(lost))
        return bool(lost)

    def _settled_at(self, verdict, waited):
        """The moment of the watch at which it will have stayed up for long enough, or None."""
        if verdict.state not in ("ok", "unverified"):
            self.ready_since = None
            return None
        if self.ready_since is None:
            self.ready_since = waited
        return max(self.settle, self.ready_since + self.settle / 2)

    def _give_up_after_the_time_out(self, metrics, verdict, waited):
        limit = self.task.params["ready_timeout"] + (self.flushing if metrics.status == 200 else 0)
        if waited > limit:
            raise NotVerified("not ready within {0} s: {1}".format(limit, verdict.reason))

    @staticmethod
    def _pause(settled, waited):
        if settled is not None:
            # The last look is the one at the end of the watch.
            return min(POLL_SECONDS, settled - waited)
        return EAGER_POLL if waited < EAGER_SECONDS else POLL_SECONDS


def watch_process(task):
    """Wait until a service has stayed up whose health check is unknown.

    :param task: :class:`_task.Task`.
    :returns: what was seen at the end.
    :raises NotVerified: when it does not.
    """
    baseline, begin = None, task.machine.monotonic()
    while True:
        seen = task.runtime.inspect()
        baseline = baseline or task.runtime.since_start(seen)
        trouble = task.runtime.trouble(baseline, seen)
        if trouble:
            raise NotVerified(trouble)
        if task.machine.monotonic() - begin >= max(CERTAIN_SECONDS, task.params["settle"]):
            return seen
        task.machine.sleep(POLL_SECONDS)
