# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that systemd runs: how it is seen, started and stopped. What that is good for is decided elsewhere."""

from __future__ import annotations

import glob
import os
import re

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow, _process_state
from ansible_collections.vigil.monitoring.plugins.module_utils._deployed import HEADER
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    NotVerified,
    last_words,
    read_text,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._process import Running, start_ticks
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime import Runtime
from ansible_collections.vigil.monitoring.plugins.module_utils._system import HERE
from ansible_collections.vigil.monitoring.plugins.module_utils._systemd import (
    DEFINITION,
    FINGERPRINT_VARIABLE,
    NOT_BOOTED,
    PROPERTIES,
    VENDORS,
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

# What systemd says of the bytes that a unit has received where it cannot count them, in newer versions and in older ones.
NOTHING_COUNTED = ("[no data]", "18446744073709551615")


class Systemd(Runtime):
    """One systemd service on this host; methods without a text mean what :class:`_runtime.Runtime` says.

    :param name: name of the service, without its suffix.
    :param unit: text of its unit; None where it is to go.
    :param dropin: the user's lines for the unit, or an empty string.
    :param machine: the host, a :class:`_system.System`.
    """

    needs = "unit"

    def __init__(self, name, unit=None, dropin="", machine=HERE):
        super().__init__(name, machine)
        self._unit = unit
        self._dropin = dropin.strip() + "\n" if dropin.strip() else ""
        self.title = name + ".service"
        # The invocation that a start of ours has ended.
        self._ended = None
        self._known_version = None
        self.unit_path = unit_path(name, machine.unit_directory)
        self.dropin_path = dropin_path(name, machine.unit_directory)

    @classmethod
    def find(cls, params, wanted, state, machine):
        return cls(params["name"], params["unit"], params["dropin"], machine)

    @classmethod
    def host_problem(cls, machine):
        return None if machine.has_systemd() else NOT_BOOTED

    # What is there

    def has(self, manifest):
        return self.unit_path in manifest["units"]

    def inspect(self):
        """The unit's properties as systemd has them."""
        status, output = self.machine.run(
            ["systemctl", "show", self.title, "--property=" + ",".join(sorted({*PROPERTIES, *DEFINITION}))]
        )
        if status:
            raise HostError("systemd does not answer on this host: {0}".format(output.strip()))
        return parse_show(output)

    def running(self, seen):
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
        start = _process_state.start(lambda name: self.machine.proc("{0}/{1}".format(pid, name)))
        return Running(pid, start_ticks(stat), executable, fingerprint, start)

    @staticmethod
    def pid(seen):
        return int(seen["MainPID"])

    @staticmethod
    def is_active(seen):
        return seen["ActiveState"] in ("active", "activating", "reloading")

    @staticmethod
    def is_known(seen):
        return seen["LoadState"] != "not-found"

    @staticmethod
    def is_enabled(seen):
        return seen["UnitFileState"] == "enabled"

    def filter_problem(self, seen):
        if "\nIPAddressDeny=" not in (self._unit or "") or seen.get("IPIngressBytes") not in NOTHING_COUNTED:
            return None
        return (
            "{0}: its filter by address (IPAddressDeny) is not in force, as systemd cannot filter on this host: that takes a kernel"
            " with BPF and the unified cgroup hierarchy (cgroup v2)".format(self.title)
        )

    @staticmethod
    def since_start(seen):
        # A start sets systemd's counter of restarts to zero.
        return dict(seen, NRestarts="0") if int(seen["MainPID"]) else None

    @staticmethod
    def trouble(before, now):
        return crashed(before, now)

    def last_words(self, since, *limit):
        return last_words(self.title, since, *limit, run=self.machine.run, before=self._ended)

    # What has to be there

    def texts(self, undo):
        unit = complete_unit(self._unit, self._dropin, undo, self._ceiling(), self._version())
        return {self.unit_path: unit, self.dropin_path: self._dropin}

    def _ceiling(self):
        return nofile_ceiling(self.machine.proc("1/limits"), self.machine.proc("1/status"))

    def _version(self):
        if self._known_version is None:
            status, shown = self.machine.run(["systemctl", "show", "--property=Version"])
            self._known_version = None if status else systemd_version(shown)
        return self._known_version

    def paths(self):
        return [self.unit_path, self.dropin_path]

    def directories(self):
        return [os.path.dirname(self.dropin_path)]

    def leftovers(self, manifest):
        return self._wanted_by() if self.has(manifest) else []

    def problems(self, replacing, role, secrets):
        # The user's own lines may ask for a limit with which the service could not be started.
        return [ungrantable_limit(self._dropin, self._ceiling())]

    def is_another_program(self, manifest, changes, argv):
        return any(change.kind == "link" and [change.path] == argv[:1] for change in changes)

    def expected(self, argv, running):
        executable = os.path.realpath(argv[0]) if argv else (running.executable if running else "")
        return executable, unit_fingerprint(read_text(self.unit_path))

    def expected_arguments(self, argv):
        # The user's own lines may decide it.
        return None if any(name == "ExecStart" for name, dummy in settings_of(self._dropin)) else list(argv)

    @staticmethod
    def definition(seen):
        return definition(seen)

    def other_dropins(self):
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

    def removable_dropins(self):
        # What a package brought along stays.
        vendors = tuple(vendor + "/" for vendor in VENDORS)
        return [path for path in sorted(self.other_dropins()) if not path.startswith(vendors)]

    def trial(self, argv, links, *more):
        binary = links.get(argv[0], argv[0])
        if not os.path.exists(binary):
            return None
        weak = _nofollow.weakness(binary)
        if weak:
            raise HostError(
                "{0} is not executed as root: {1}; make it owned by root and writable by root alone".format(
                    binary, weak
                )
            )
        return self.machine.run([binary, *argv[1:], *more], timeout=20)

    def foreign_problem(self, seen, ours, conflicts):
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

    def yields(self, pid, port, manifest, wanted):
        return (wanted or self.has(manifest)) and belongs_to(pid, [self.title], self.machine)

    def is_left(self, manifest):
        return self.has(manifest) and self.machine.has_systemd() and self.is_known(self.inspect())

    # Doing it

    def refresh(self):
        if not self.machine.has_systemd():
            return
        status, output = self.machine.run(["systemctl", "daemon-reload"])
        if status:
            raise HostError("systemctl daemon-reload failed: {0}".format(output.strip()))

    def settle(self, texts, seen, stale=False):
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
        before = self.machine.now()
        if action != "reload":
            # An earlier crash loop may have left the unit in `failed`; its counters must not count for this start.
            self.forget_failures()
            self._ended = self.inspect().get("InvocationID")
        # systemctl waits for the old process to end, which takes as long as the unit's TimeoutStopSec allows.
        status, output = self.machine.run(["systemctl", action, self.title], timeout=1800)
        if status:
            raise NotVerified("systemctl {0} failed: {1}".format(action, output.strip()))
        return before

    def _wanted_by(self):
        kinds = ("wants", "requires")
        folder = self.machine.unit_directory
        return [path for kind in kinds for path in glob.glob("{0}/*.{1}/{2}".format(folder, kind, self.title))]

    def retire(self):
        status, output = self.machine.run(["systemctl", "stop", self.title], timeout=1800)
        if status:
            raise NotVerified("systemctl stop {0} failed: {1}".format(self.title, output.strip()))
        self.refresh()
        self.forget_failures()

    def reinstate(self, manifest, mine, tried):
        if not self.machine.has_systemd():
            return
        self.refresh()
        if tried and not mine:
            self.stop()
            self.is_gone()

    def stop(self):
        self.machine.run(["systemctl", "stop", self.title])
        self.forget_failures()

    def is_gone(self):
        if os.path.exists(self.unit_path):
            return False
        self.machine.run(["systemctl", "disable", self.title])
        return True

    def shut_down(self):
        status, output = self.machine.run(["systemctl", "disable", "--now", self.title], timeout=900)
        if status:
            raise HostError("systemctl disable --now {0} failed: {1}".format(self.title, output.strip()))

    def forget_failures(self):
        if not self.machine.has_systemd():
            return
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
