# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that systemd runs: how it is seen, started and stopped. What that is good for is decided elsewhere.

What ``look`` returns is for the other methods of the same runtime alone, and is called ``seen`` there.
"""

from __future__ import annotations

import glob
import os
import re

from ansible_collections.vigil.monitoring.plugins.module_utils import _glance, _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    NotProven,
    last_words,
    read_text,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._machine import HERE
from ansible_collections.vigil.monitoring.plugins.module_utils._process import Running, start_ticks
from ansible_collections.vigil.monitoring.plugins.module_utils._systemd import (
    DEFINITION,
    FINGERPRINT_VARIABLE,
    PROPERTIES,
    ahead_of,
    complete_unit,
    crashed,
    definition,
    dropin_directories,
    dropin_path,
    is_in_the_way,
    nofile_ceiling,
    overridden,
    parse_show,
    settings_of,
    systemd_version,
    ungrantable_limit,
    unit_fingerprint,
    unit_path,
)

# How every unit of this collection begins.
HEADER = "Written by vigil.monitoring"


class Systemd:
    """One systemd service on this host.

    :param name: name of the service, without its suffix.
    :param unit: text of its unit; None where it is to go.
    :param dropin: the user's lines for the unit, or an empty string.
    :param machine: the host, a :class:`_machine.Machine`.
    :ivar title: what messages call it.
    """

    def __init__(self, name, unit=None, dropin="", machine=HERE):
        self.name = name
        self.machine = machine
        self._unit = unit
        self._dropin = dropin.strip() + "\n" if dropin.strip() else ""
        self.title = name + ".service"
        # The invocation that a start of ours has ended.
        self._ended = None
        self.unit_path = unit_path(name, machine.unit_directory)
        self.dropin_path = dropin_path(name, machine.unit_directory)

    # What is there

    def look(self):
        """The unit's properties as systemd has them.

        :raises HostError: when systemd does not answer.
        """
        status, output = self.machine.run(
            ["systemctl", "show", self.title, "--property=" + ",".join(sorted({*PROPERTIES, *DEFINITION}))]
        )
        if status:
            raise HostError("systemd does not answer on this host: {0}".format(output.strip()))
        return parse_show(output)

    def running(self, seen):
        """The main process, or None when there is none."""
        pid = self.pid(seen)
        if pid == 0 or not self.is_active(seen):
            return None
        stat = self.machine.proc("{0}/stat".format(pid))
        if not stat:
            return None
        environment = self.machine.proc("{0}/environ".format(pid)).split("\0")
        prefix = FINGERPRINT_VARIABLE + "="
        fingerprint = next((word[len(prefix) :] for word in environment if word.startswith(prefix)), None)
        try:
            executable = self.machine.executable(pid)
        except OSError:
            return None
        start = _glance.start(lambda name: self.machine.proc("{0}/{1}".format(pid, name)))
        return Running(pid, start_ticks(stat), executable, fingerprint, start)

    @staticmethod
    def pid(seen):
        """The id of the main process, 0 when there is none."""
        return int(seen["MainPID"])

    @staticmethod
    def is_active(seen):
        """Whether it runs or is on its way there."""
        return seen["ActiveState"] in ("active", "activating", "reloading")

    @staticmethod
    def is_known(seen):
        """Whether there is anything that could run."""
        return seen["LoadState"] != "not-found"

    @staticmethod
    def is_enabled(seen):
        """Whether it comes up with the host."""
        return seen["UnitFileState"] == "enabled"

    @staticmethod
    def since_start(seen):
        """What a watch that begins with a start compares with; None as long as nothing has started."""
        # A start sets systemd's counter of restarts to zero.
        return dict(seen, NRestarts="0") if int(seen["MainPID"]) else None

    @staticmethod
    def trouble(before, now):
        """Whether the service stopped or was restarted since ``before`` (None: a watch is yet to begin), or None."""
        return crashed(before, now)

    def last_words(self, since, *limit):
        """Its last log lines that tell something, since a moment in seconds since the epoch."""
        return last_words(self.title, since, *limit, run=self.machine.run, before=self._ended)

    # What has to be there

    def texts(self, undo):
        """The texts that make the service, by their paths; an empty one must not be there.

        :param undo: path of the journal of a running switch.
        """
        unit = complete_unit(self._unit, self._dropin, undo, self._ceiling(), self._version())
        return {self.unit_path: unit, self.dropin_path: self._dropin}

    def _ceiling(self):
        return nofile_ceiling(self.machine.proc("1/limits"), self.machine.proc("1/status"))

    def _version(self):
        status, shown = self.machine.run(["systemctl", "show", "--property=Version"])
        return None if status else systemd_version(shown)

    def limit_problem(self):
        """That the user's own lines ask for a limit with which the service could not be started: a sentence, or None."""
        return ungrantable_limit(self._dropin, self._ceiling())

    def expected(self, argv, running):
        """The executable and the fingerprint that the process has to have."""
        executable = os.path.realpath(argv[0]) if argv else (running.executable if running else "")
        return executable, unit_fingerprint(read_text(self.unit_path))

    def expected_arguments(self, argv):
        """The whole command line that the process has to have; None where the user's own lines decide it."""
        return None if any(name == "ExecStart" for name, dummy in settings_of(self._dropin)) else list(argv)

    @staticmethod
    def definition(seen):
        """What stands for all that systemd has read of the service."""
        return definition(seen)

    def other_dropins(self):
        """Somebody else's drop-ins that have the service started otherwise than asked: path -> directives."""
        found, names = {}, set()
        for place in ahead_of(self.machine.unit_directory):
            path = os.path.join(place, self.title)
            if os.path.lexists(path):
                found[path] = ["all of the unit"]
        unit = self._unit + "\n" + self._dropin
        for folder in dropin_directories(self.name, self.machine.unit_directory):
            for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*.conf"))):
                name = os.path.basename(path)
                if path == self.dropin_path or name in names:
                    continue
                names.add(name)
                directives = overridden(unit, read_text(path))
                if directives:
                    found[path] = directives
        return found

    def trial(self, argv, links, *more):
        """What the program says to these arguments.

        :param links: links that the switch will make, from path to target.
        :returns: ``(exit status, output)``, or None where it cannot be asked.
        """
        binary = links.get(argv[0], argv[0])
        if not os.path.exists(binary):
            return None
        weak = _nofollow.weakness(binary)
        if weak:
            raise HostError(
                "{0} is not run by root: {1}; have it belong to root and be written by nobody else".format(binary, weak)
            )
        return self.machine.run([binary, *argv[1:], *more], timeout=20)

    def foreign_problem(self, seen, ours, conflicts):
        """That somebody else's service of this name is there, or None.

        :param ours: paths that the collection wrote.
        :param conflicts: units of packages that give way.
        """
        masked = os.path.realpath(self.unit_path) == "/dev/null"
        if masked and self.title in conflicts:
            # The release module masks a package's unit before it installs the package.
            return None
        if os.path.lexists(self.unit_path) and self.unit_path not in ours:
            return "{0} {1}".format(self.unit_path, "masks the service" if masked else self._whose())
        elsewhere = seen["FragmentPath"] not in ("", self.unit_path)
        if seen["LoadState"] == "loaded" and elsewhere and seen["ActiveState"] == "active":
            return "{0} is already run by {1}, another tool's unit".format(self.title, seen["FragmentPath"])
        return None

    def _whose(self):
        """Whose a unit is that this configuration directory does not know of."""
        words = read_text(self.unit_path).split()
        if HEADER not in " ".join(words):
            return "is another tool's unit"
        named = re.compile(r"--(?:config[.]file|web[.]config(?:[.]file)?|config)=(\S+)")
        config = next((match.group(1) for match in map(named.match, words) if match), None)
        return "is that of a service which this collection deployed with another configuration directory{0}: a host has one {1}".format(
            " ({0})".format(os.path.dirname(config)) if config else "", self.name
        )

    def owns(self, pid):
        """Whether a process belongs to the service."""
        return belongs_to(pid, [self.title], self.machine)

    # Doing it

    def refresh(self):
        """Let systemd read the units again.

        :raises HostError: when that fails.
        """
        status, output = self.machine.run(["systemctl", "daemon-reload"])
        if status:
            raise HostError("systemctl daemon-reload failed: {0}".format(output.strip()))

    def settle(self, texts, seen, stale=False):
        """Let systemd read what was written, and have the service come up with the host.

        :param texts: paths of units that were changed.
        :param stale: whether systemd may have read something else than what is on disk.
        :returns: whether it did not come up with the host before.
        :raises HostError: when that fails.
        """
        enabled = self.is_enabled(seen)
        if not enabled or self.unit_path in texts:
            # This has systemd read all units again, too.
            status, output = self.machine.run(["systemctl", "enable", self.title])
            if status:
                raise HostError("systemctl enable {0} failed: {1}".format(self.title, output.strip()))
        elif texts or stale or seen["NeedDaemonReload"] == "yes":
            self.refresh()
        return not enabled

    def act(self, action):
        """``start``, ``restart`` or ``reload`` it.

        :returns: the moment before, in seconds since the epoch.
        :raises NotProven: when that fails.
        """
        before = self.machine.now()
        if action != "reload":
            # An earlier crash loop may have left the unit in `failed`; its counters must not count for this start.
            self.forget_failures()
            self._ended = self.look().get("InvocationID")
        # systemctl waits for the old process to end, which takes as long as the unit's TimeoutStopSec allows.
        status, output = self.machine.run(["systemctl", action, self.title], timeout=1800)
        if status:
            raise NotProven("systemctl {0} failed: {1}".format(action, output.strip()))
        return before

    def wanted_by(self):
        """The links that have it come up with the host."""
        kinds = ("wants", "requires")
        folder = self.machine.unit_directory
        return [path for kind in kinds for path in glob.glob("{0}/*.{1}/{2}".format(folder, kind, self.title))]

    def retire(self):
        """Stop it once its unit is off the disk, to make room for another runtime.

        :raises NotProven: when that fails.
        """
        status, output = self.machine.run(["systemctl", "stop", self.title], timeout=1800)
        if status:
            raise NotProven("systemctl stop {0} failed: {1}".format(self.title, output.strip()))
        self.refresh()
        self.forget_failures()

    def stop(self):
        """Stop it, after a rollback to where it did not run."""
        self.machine.run(["systemctl", "stop", self.title])
        self.forget_failures()

    def is_gone(self):
        """Whether nothing of it is left; what would have it come up with the host is taken away then."""
        if os.path.exists(self.unit_path):
            return False
        self.machine.run(["systemctl", "disable", self.title])
        return True

    def shut_down(self):
        """Stop it and have it come up no more, for its removal.

        :raises HostError: when that fails.
        """
        status, output = self.machine.run(["systemctl", "disable", "--now", self.title], timeout=900)
        if status:
            raise HostError("systemctl disable --now {0} failed: {1}".format(self.title, output.strip()))

    def forget_failures(self):
        """Let systemd forget how often it failed."""
        self.machine.run(["systemctl", "reset-failed", self.title])


def belongs_to(pid, units, machine=HERE):
    """Whether a process belongs to one of these units."""
    cgroup = machine.proc("{0}/cgroup".format(pid))
    return any(re.search(r"/{0}(/|$)".format(re.escape(unit)), cgroup, re.MULTILINE) for unit in units)


def in_the_way(units, machine=HERE):
    """Those of other units that run or come up with the host."""
    found = []
    for unit in units:
        seen = parse_show(machine.run(["systemctl", "show", unit, "--property=ActiveState,UnitFileState,LoadState"])[1])
        if is_in_the_way(seen):
            found.append(unit)
    return found


def stop_and_mask(unit, machine=HERE):
    """Have another unit run no more, whatever may want to start it.

    :param unit: its name, with the suffix.
    :raises HostError: when that fails.
    """
    machine.run(["systemctl", "disable", "--now", unit])
    status, output = machine.run(["systemctl", "mask", unit])
    if status:
        raise HostError("systemctl mask {0} failed: {1}".format(unit, output.strip()))
