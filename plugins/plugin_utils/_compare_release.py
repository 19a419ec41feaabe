# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the release that is unpacked on a host with the inventory."""

from __future__ import annotations

import json
import posixpath
import shlex
from types import SimpleNamespace

from ansible_collections.vigil.monitoring.plugins.module_utils._release import (
    ReleaseError,
    architecture,
    given_digest,
    matches,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._host_commands import of, script, sections


class Release:
    """A release of an archive, unpacked and untouched.

    :param members: the binaries' names inside the release.
    """

    def __init__(self, program, version, releases_dir, members):
        self.program = program
        self.version = version
        self.releases_dir = releases_dir
        self.members = members
        self.path = posixpath.join(releases_dir, "{0}-{1}".format(program, version))

    def command(self, otherwise=None):
        """What to run on the host.

        :param otherwise: a command to run besides where nothing of this version is there.
        """
        members = [posixpath.join(self.path, member) for member in self.members]
        return script(
            "uname -m",
            of("ls -A", [self.releases_dir]),
            of("cat", [posixpath.join(self.path, ".release.json")]),
            of("stat -c '%F|%s|%.9Y|%a'", members),
            "test -e {0} || {1}".format(shlex.quote(self.path), otherwise or ":"),
        )

    def arch(self, output, checksum, role):
        """The architecture of the host, when the release is there; else None.

        :param checksum: the archive's checksum as the user gave it, or None.
        """
        try:
            machine, names, known, lines, dummy = sections(output)
            arch = architecture(machine)
            if any(name.startswith(".{0}-".format(self.program)) for name in names.splitlines()):
                return None  # left there by a killed run, and to be tidied up
            statuses = dict(zip(self.members, map(_status, lines.splitlines())))
            complete = len(statuses) == len(self.members)
            digest = given_digest(checksum, arch, role)
            return arch if complete and matches(json.loads(known), self.version, arch, digest, statuses) else None
        except (ValueError, ReleaseError):
            return None

    @staticmethod
    def printed_otherwise(output):
        """What that command printed."""
        return (sections(output) or [""])[-1]

    def arch_to_fetch(self, output):
        """The architecture of a host on which nothing of this version stands, nor in its way; else None."""
        try:
            machine, names, *dummy = sections(output)
            arch = architecture(machine)
        except (ValueError, ReleaseError):
            return None
        leftover = ".{0}-".format(self.program)
        taken = posixpath.basename(self.path)
        return None if any(name == taken or name.startswith(leftover) for name in names.splitlines()) else arch


def _status(line):
    kind, size, modified, mode = line.split("|")
    if not kind.startswith("regular"):
        return None
    return SimpleNamespace(st_size=int(size), st_mtime_ns=int(modified.replace(".", "")), st_mode=int(mode, 8))
