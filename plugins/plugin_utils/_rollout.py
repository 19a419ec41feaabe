# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which the hosts of one run change a service: first the canary hosts, then the others, and of those that are
redundant to each other never two at once. The first that fails ends it, and the others stay as they are.

Ansible's own ways have gaps here. ``serial`` makes a converged fleet wait for each of its batches. ``throttle`` goes on after a
failure, and ``any_errors_fatal`` is heard only when a task has ended on all hosts. So the hosts find their order among
themselves, where there is something to change: each writes down in a file of this run what it does, and waits for the others.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote

from ansible_collections.vigil.monitoring.plugins.module_utils._targets import table
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms, _run
from ansible_collections.vigil.monitoring.plugins.plugin_utils._controller import locked

CHANGING, VERIFIED, FAILED, UNCHANGED = "changing", "verified", "failed", "unchanged"
# Fewer hosts than this have no canary among them: two are changed one after the other where that matters.
FLEET = 3
# Seconds between two looks at what the others do.
INTERVAL = 0.2
MARKS = {CHANGING: "…", VERIFIED: "✓", FAILED: "✗", UNCHANGED: "·"}
SAID = {CHANGING: "being changed", VERIFIED: "changed and verified", FAILED: "failed", UNCHANGED: "not changed"}
INTERRUPTED = "its change was interrupted"


class Entry(NamedTuple):
    """What a host has written down.

    :ivar state: ``changing``, ``verified``, ``failed``, or ``unchanged`` where the rollout had ended before its turn.
    :ivar group: what it is redundant within, see :meth:`_deployment.Deployment.redundancy`; None where it is not.
    :ivar process: ID of the process on the controller that changes it.
    :ivar text: why it failed, or was not changed.
    :ivar version: what it runs since then, where that is known.
    """

    state: str
    group: str | None = None
    process: int = 0
    text: str = ""
    version: str | None = None


class Stopped(Exception):
    """The rollout has ended before this host's turn: a host has failed.

    :ivar host: the one that failed.
    :ivar text: why.
    """

    def __init__(self, host: str, text: str):
        super().__init__("{0}: {1}".format(host, text))
        self.host, self.text = host, text


def failed(entries: Mapping[str, Entry], host: str) -> str | None:
    """A host that has failed, other than this one; or None.

    :param entries: host to what it has written down.
    """
    return next((name for name, entry in entries.items() if entry.state == FAILED and name != host), None)


def waits_for(entries: Mapping[str, Entry], host: str, group: str | None, canaries: int) -> str | None:
    """A host that has to be verified before another one may be changed; None where none has to.

    :param entries: host to what it has written down.
    :param host: the one that is to be changed.
    :param group: what it is redundant within, or None.
    :param canaries: how many hosts are changed before all others, or 0.
    """
    others = {name: entry for name, entry in entries.items() if name != host}
    changing = [name for name, entry in others.items() if entry.state == CHANGING]
    redundant = [name for name in changing if group is not None and others[name].group == group]
    if redundant:
        return redundant[0]
    verified = sum(entry.state == VERIFIED for entry in others.values())
    if verified < canaries and len(changing) + verified >= canaries:
        return changing[0]
    return None


def is_alive(process: int) -> bool:
    """Whether there is a process of this ID on the controller."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Rollout:
    """The change of one service on the hosts of one run.

    :param service: its name.
    :param sleep: function that waits for a number of seconds.
    """

    def __init__(self, service: str, sleep: Callable[[float], None] = time.sleep):
        self._folder = _run.folder("rollout")
        self._path = os.path.join(self._folder, quote(service, safe=""))
        self._sleep = sleep

    def entries(self) -> dict[str, Entry]:
        """Host to what it has written down, in the order in which they began."""
        try:
            with open(self._path, encoding="utf-8") as stream:
                text = stream.read()
        except FileNotFoundError:
            return {}
        return {host: Entry(*fields) for host, fields in (json.loads(text) if text else {}).items()}

    def is_told(self) -> bool:
        """Whether somebody has said already how it ended, and from now on that is so."""
        return not _run.first_time("rollout " + self._path)

    def write_down(self, host: str, entry: Entry) -> None:
        """Write down what a host does now."""
        with self._locked() as entries:
            entries[host] = entry

    def begin(self, host: str, group: str | None, canaries: int) -> str | None:
        """Wait until a host may be changed, and write down that it is.

        :param group: what it is redundant within, or None.
        :param canaries: how many hosts are changed before all others, or 0.
        :returns: a host that it had to wait for, or None.
        :raises Stopped: when a host has failed in the meantime.
        """
        waited = None
        while True:
            with self._locked() as entries:
                bad = failed(entries, host)
                if bad:
                    raise Stopped(bad, entries[bad].text)
                other = waits_for(entries, host, group, canaries)
                if other is None:
                    entries[host] = Entry(CHANGING, group, os.getpid())
                    return waited
            waited = other
            self._sleep(INTERVAL)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[dict[str, Entry]]:
        """The entries, which are written back, while no other process of this run reads or writes them."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        with locked(self._path + ".lock"):
            before = self.entries()
            entries = dict(before)
            for host, entry in before.items():
                if entry.state == CHANGING and not is_alive(entry.process):
                    # Its process was killed: what it has left of the host is unknown.
                    entries[host] = entry._replace(state=FAILED, text=INTERRUPTED)
            yield entries
            if entries != before:
                part = self._path + ".part"
                with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
                    json.dump(entries, stream)
                os.replace(part, self._path)


def outcome(entry: Entry | None) -> str | None:
    """What the summary says of a host on which the rollout has failed, or which it has not come to; else None."""
    if entry is None or entry.state not in (FAILED, UNCHANGED):
        return None
    runs = "; it runs {0} as before".format(entry.version) if entry.version else ""
    return "{0}: {1}{2}".format(SAID[entry.state], entry.text, runs)


def report(title: str, entries: Mapping[str, Entry]) -> str:
    """Which host has what, where a rollout has ended because a host failed.

    :param title: the service's name, for people.
    :param entries: host to what it has written down.
    """
    bad = sum(entry.state == FAILED for entry in entries.values())
    rows = [
        (MARKS[entry.state], host, entry.version or "-", SAID[entry.state] + (": " + entry.text if entry.text else ""))
        for host, entry in entries.items()
    ]
    head = "ROLLOUT OF {0}: ended, because {1} of {2} hosts failed".format(title.upper(), bad, len(entries))
    return head + "\n" + table((" ", "HOST", "RUNS", "OUTCOME"), rows)


def written_down() -> dict[str, dict[str, Entry]]:
    """Service to what each host has written down in this run about its change."""
    return {name: entries for name in _rooms.names() for entries in [Rollout(name).entries()] if entries}
