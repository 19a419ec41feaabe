# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a service is requested over HTTP, and what it says about itself: now, and before the switch."""

from __future__ import annotations

import os
from typing import NamedTuple, Optional

from ansible_collections.vigil.monitoring.plugins.module_utils import _process_state
from ansible_collections.vigil.monitoring.plugins.module_utils._endpoint import (
    answer,
    derive,
    flags_of,
    listening,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._health import (
    REFUSALS,
    complete,
    judge,
    lost_dependency,
    reported,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._host import NotVerified, read_text
from ansible_collections.vigil.monitoring.plugins.module_utils._http import UnusableFile, tls_context


class Before(NamedTuple):
    """What a switch replaces.

    :ivar health: its health check; None where that is not known.
    :ivar metrics: what it said just now, None where it did not answer.
    """

    health: Optional[dict]
    metrics: Optional[str]


class Verification:
    """What the service answers.

    :param task: :class:`_task.Task`.
    :ivar health: how its health is checked, see :func:`_health.complete`.
    :ivar before: what the switch replaces, once it was looked at.
    :ivar said: the version that answered last.
    :ivar asked_at: URL at which the last answer came.
    :ivar reached_before: whether it reached what it depends on before anything was done to it.
    """

    def __init__(self, task):
        self.task = task
        self.machine = task.machine
        given = task.params["health"]
        self.health = complete(given, task.role) if given else None
        self.said = self.before = self.asked_at = None
        self.reached_before = False

    def request(self, health=None):
        """One request for the metrics and one for readiness.

        :param health: the health check; the specified one by default.
        """
        health = health or self.health
        metrics = self.answer(health, health["metrics_path"])
        path = self.health["ready_path"] if metrics.status == 200 else None
        return metrics, self.answer(health, path) if path else None

    def answer(self, health, path):
        """The answer of the first address at which there is one, else the one that tells most.

        :param health: the health check.
        :param path: below its base URL.
        """
        found, url = answer(self.machine.get, health, path)
        self.asked_at = url or self.asked_at
        return found

    def judge(self, metrics, ready, *more):
        """The verdict about two answers, see :func:`_health.judge`."""
        return judge(self.health, metrics, ready, *more)

    def reported(self, metrics):
        """What the service reports about itself, see :func:`_health.reported`."""
        return reported(self.health, metrics)

    def lost_dependency(self, metrics):
        """That it cannot reach what it depends on: a sentence, or None."""
        return lost_dependency(self.health, metrics)

    def as_before(self, manifest):
        """The health check of what the activation is about to replace, and its result: :class:`Before`, determined once.

        :param manifest: that of the generation before.
        """
        if self.before is None:
            remembered = self.task.state.asked(manifest["generation"])
            ways = [{**self.health, **remembered}] if remembered else self._likely_ways(manifest)
            self.before = Before(ways[0] if ways else None, None)
            for way in ways or [self.health]:
                metrics, ready = self.request(way)
                if self.judge(metrics, ready, None).state in ("ok", "unverified"):
                    self.before = Before(way, metrics.text)
                    break
        return self.before

    def said_before(self):
        """What the service reported about itself before the activation, as far as it was checked."""
        return self.reported((self.before.metrics if self.before else None) or "")

    def _likely_ways(self, manifest):
        """The possible health checks of a service of which nothing is recorded: by its process, or as the new one's.

        :param manifest: that of the generation before.
        """
        old = self.task.runtimes.of(manifest)
        running = old.running(old.inspect())
        if running is None:
            return []
        pid = running.pid
        argv = [word for word in self.machine.proc("{0}/cmdline".format(pid)).split("\0") if word]
        addresses = old.addresses(manifest)
        if not addresses and "web.listen-address" not in flags_of(argv):
            tables = [self.machine.proc("{0}/net/{1}".format(pid, name)) for name in ("tcp", "tcp6")]
            addresses = listening(tables, self.machine.sockets(pid))
        return [*derive(self.health, argv, addresses, read_text), self.health]

    def file_problem(self):
        """That a file which the health check needs cannot be used: a sentence, or None."""
        health = self.health
        if not health["url"].startswith("https"):
            return None
        try:
            files = [self._soon(health[name]) for name in ("ca_path", "client_cert", "client_key")]
            tls_context(*files, health["client_pem"])
        except UnusableFile as error:
            return REFUSALS["file"].format(error, self.task.role)
        return None

    def _soon(self, path):
        """Where a file lies before the switch that is at a path after it; None where a check has staged none."""
        state = self.task.state
        inside = os.path.relpath(path, state.config_dir) if path else ".."
        if inside in ((state.staged_plan() or {}).get("replace") or ()):
            return state.staged_file(inside)
        deployed = not inside.startswith("..") and not os.path.lexists(path)
        return None if deployed and self.task.module.check_mode else path

    def turns_tls(self):
        """Whether the switch turns TLS on or off, which no reload does."""
        earlier = self.before.health if self.before else None
        return bool(earlier) and earlier["url"].partition(":")[0] != self.health["url"].partition(":")[0]

    def configuration(self):
        """What stands for the configuration that the service says it has loaded, or None."""
        if self.health["loaded_config_path"]:
            answer = self.answer(self.health, self.health["loaded_config_path"])
            return _process_state.of_configuration(answer.status, answer.text)
        if self.health["config_hash_metric"]:
            return self.reported(self.answer(self.health, self.health["metrics_path"]).text).configuration
        return None

    def reread(self):
        """Tell the service to read its files again through its own API; whether it lets us in.

        :raises NotVerified: when it does not want them.
        """
        reload = self.task.params["reload"]
        for path in reload["urls"]:
            answer = self.machine.get(
                (self.asked_at or self.health["url"]) + path,
                reload["username"],
                reload["password"],
                self.health["ca_path"],
                self.health["client_cert"],
                self.health["client_key"],
                self.health["client_pem"],
                timeout=60.0,
                method="POST",
            )
            if answer.status in (401, 403):
                return False
            if answer.status != 200:
                raise NotVerified("{0} answers HTTP {1}: {2}".format(path, answer.status, answer.text.strip()[:500]))
        return True

    def conclude(self, metrics, verdict):
        """Keep what the service said, or that it said nothing."""
        if verdict.state == "unverified":
            self.task.unverified.append(
                "version and configuration: {0}; give {1}_health_username and {1}_health_password".format(
                    verdict.reason, self.task.role
                )
            )
            return
        self.said = self.reported(metrics.text).version
        lost = self.lost_dependency(metrics.text)
        if lost:
            # Nobody would be better off with the exporter put back: the database is what needs a person.
            self.task.unverified.append(lost)
            self.task.module.warn(
                "{0} serves, but {1}. Last log lines:\n{2}".format(
                    self.task.name, lost, self.task.runtime.last_words(self.machine.now() - 5, 3)
                )
            )
