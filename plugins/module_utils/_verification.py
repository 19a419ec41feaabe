# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a service is requested over HTTP, and what it says about itself: now, and before the switch."""

from __future__ import annotations

from typing import NamedTuple, Optional

from ansible_collections.vigil.monitoring.plugins.module_utils import _glance
from ansible_collections.vigil.monitoring.plugins.module_utils._asking import (
    credentials_of,
    derive,
    flags_of,
    listening,
    urls_of,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._host import NotProven, read_text
from ansible_collections.vigil.monitoring.plugins.module_utils._http import UnusableFile, tls_context
from ansible_collections.vigil.monitoring.plugins.module_utils._probe import REFUSALS, judge, lost_dependency, words
from ansible_collections.vigil.monitoring.plugins.module_utils._services import SERVICES


class Before(NamedTuple):
    """What a switch replaces.

    :ivar probe: how it is asked; None where that is not known.
    :ivar metrics: what it said just now, None where it did not answer.
    """

    probe: Optional[dict]
    metrics: Optional[str]


class Verification:
    """What the service answers.

    :param task: :class:`_task.Task`.
    :ivar probe: how it is requested.
    :ivar kind: what sets it apart from other services, an entry of ``SERVICES``.
    :ivar before: what the switch replaces, once it was looked at.
    :ivar said: the version that answered last.
    :ivar asked_at: URL at which the last answer came.
    :ivar reached_before: whether it reached what it depends on before anything was done to it.
    """

    def __init__(self, task):
        self.task = task
        self.machine = task.machine
        self.probe = task.params["probe"]
        self.kind = SERVICES[self.probe["kind"]] if self.probe else None
        self.said = self.before = self.asked_at = None
        self.reached_before = False

    def ask(self, probe=None):
        """One request for the metrics and one for readiness.

        :param probe: how to ask; as it is asked for, where nothing is said.
        """
        probe = probe or self.probe
        metrics = self.answer(probe, probe["metrics_path"])
        path = self.kind.ready_path if metrics.status == 200 else None
        return metrics, self.answer(probe, path) if path else None

    def answer(self, probe, path):
        """The answer of the first address at which there is one, else the one that tells most.

        :param probe: how to ask.
        :param path: below its base URL.
        """
        refused = None
        for url in urls_of(probe):
            found = self.machine.get(url + path, **credentials_of(probe))
            if found.status:
                self.asked_at = url
                return found
            refused = found if refused is None or (found.why and not refused.why) else refused
        return refused

    def judge(self, metrics, ready, *more):
        """The verdict about two answers, see :func:`_probe.judge`."""
        return judge(self.probe["kind"], metrics, ready, *more)

    def words(self, metrics):
        """What the service says about itself, see :func:`_probe.words`."""
        return words(self.probe["kind"], metrics)

    def lost_dependency(self, metrics):
        """That it cannot reach what it depends on: a sentence, or None."""
        return lost_dependency(self.probe["kind"], metrics)

    def as_before(self, manifest):
        """How what the switch is about to replace is asked, and what it says: :class:`Before`, looked for once.

        :param manifest: that of the generation before.
        """
        if self.before is None:
            remembered = self.task.state.asked(manifest["generation"])
            ways = [remembered] if remembered else self._likely_ways(manifest)
            self.before = Before(ways[0] if ways else None, None)
            for way in ways or [self.probe]:
                metrics, ready = self.ask(way)
                if self.judge(metrics, ready, None).state in ("ok", "unproven"):
                    self.before = Before(way, metrics.text)
                    break
        return self.before

    def said_before(self):
        """What the service said about itself before the switch, as far as it was asked."""
        return self.words((self.before.metrics if self.before else None) or "")

    def _likely_ways(self, manifest):
        """How a service may be asked of which nothing is remembered: as its process says, or as it will be asked.

        :param manifest: that of the generation before.
        """
        old = self.task.runtimes.of(manifest)
        running = old.running(old.look())
        if running is None:
            return []
        pid = running.pid
        argv = [word for word in self.machine.proc("{0}/cmdline".format(pid)).split("\0") if word]
        addresses = old.addresses(manifest)
        if not addresses and "web.listen-address" not in flags_of(argv):
            tables = [self.machine.proc("{0}/net/{1}".format(pid, name)) for name in ("tcp", "tcp6")]
            addresses = listening(tables, self.machine.sockets(pid))
        return [*derive(self.probe, argv, addresses, read_text), self.probe]

    def file_problem(self):
        """That a file which it takes to ask the service cannot be used: a sentence, or None."""
        probe = self.probe
        if not probe["url"].startswith("https"):
            return None
        try:
            tls_context(probe["ca_path"], probe["client_cert"], probe["client_key"])
        except UnusableFile as error:
            return REFUSALS["file"].format(error, self.task.role)
        return None

    def turns_tls(self):
        """Whether the switch turns TLS on or off, which no reload does."""
        earlier = self.before.probe if self.before else None
        return bool(earlier) and earlier["url"].partition(":")[0] != self.probe["url"].partition(":")[0]

    def configuration(self):
        """What stands for the configuration that the service says it has loaded, or None."""
        if self.kind.shows:
            answer = self.answer(self.probe, self.kind.shows)
            return _glance.of_configuration(answer.status, answer.text)
        if self.kind.hashed:
            return self.words(self.answer(self.probe, self.probe["metrics_path"]).text).configuration
        return None

    def reread(self):
        """Tell the service to read its files again through its own API; whether it lets us in.

        :raises NotProven: when it does not want them.
        """
        reload = self.task.params["reload"]
        for path in reload["urls"]:
            answer = self.machine.get(
                (self.asked_at or self.probe["url"]) + path,
                reload["username"],
                reload["password"],
                self.probe["ca_path"],
                self.probe["client_cert"],
                self.probe["client_key"],
                timeout=60.0,
                method="POST",
            )
            if answer.status in (401, 403):
                return False
            if answer.status != 200:
                raise NotProven("{0} answers HTTP {1}: {2}".format(path, answer.status, answer.text.strip()[:500]))
        return True

    def conclude(self, metrics, verdict):
        """Keep what the service said, or that it said nothing."""
        if verdict.state == "unproven":
            self.task.unproven.append(
                "version and configuration: {0}; give {1}_health_username and {1}_health_password".format(
                    verdict.reason, self.task.role
                )
            )
            return
        self.said = self.words(metrics.text).version
        lost = self.lost_dependency(metrics.text)
        if lost:
            # Nobody would be better off with the exporter put back: the database is what needs a person.
            self.task.unproven.append(lost)
            self.task.module.warn(
                "{0} serves, but {1}. Its last words:\n{2}".format(
                    self.task.name, lost, self.task.runtime.last_words(self.machine.now() - 5, 3)
                )
            )
