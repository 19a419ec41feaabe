# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The switch from one generation of a service to the next: what changes, and the journal that undoes it.

A generation is everything that has to fit together: the links to the binaries and the unit, or the container, and the
configuration files.
The journal is a POSIX shell script, so that one and the same text serves the next run of a play, the start hook of
the unit after a power cut, and the rollback after a failed proof.
"""

from __future__ import annotations

import posixpath
import shlex
from typing import NamedTuple

EMPTY_MANIFEST = {
    "generation": None,
    "files": {},
    "secret": [],
    "directories": [],
    "units": [],
    "links": {},
    "container": None,
}

# What stands beside a path for the moment before it is renamed into its place.
SCRATCH = ".vigil-new"


class Change(NamedTuple):
    """One path that the switch gives a new state.

    :ivar path: absolute path that changes.
    :ivar kind: ``file`` (renamed from ``source``), ``link`` (a symbolic link to ``source``), ``remove``, ``keep`` (left
        as it is: what the new generation makes of it is undone with the rest), or ``owner`` (a directory that passes from one
        account to another).
    :ivar source: staged file, target of the link, or an :class:`Owners` as text; empty otherwise.
    """

    path: str
    kind: str
    source: str = ""


class Owners(NamedTuple):
    """How a directory passes from one account to another.

    :ivar before: its user and group, numbers, and its permission bits.
    :ivar after: likewise.
    :ivar inside: whether what the account has inside passes along: data, as opposed to configuration.
    """

    before: tuple
    after: tuple
    inside: bool

    def text(self):
        """The same as a word, for a :class:`Change`."""
        return "{0}:{1}:{2:o} {3}:{4}:{5:o} {6}".format(*self.before, *self.after, "inside" if self.inside else "alone")

    @classmethod
    def of(cls, text):
        """What :meth:`text` was made of."""
        before, after, inside = text.split(" ")
        (uid, gid, mode), (new_uid, new_gid, new_mode) = before.split(":"), after.split(":")
        return cls(
            (int(uid), int(gid), int(mode, 8)), (int(new_uid), int(new_gid), int(new_mode, 8)), inside == "inside"
        )

    def back(self):
        """The way back."""
        return self._replace(before=self.after, after=self.before)


def owner_commands(path, owners):
    """The commands that pass a directory on; they may be repeated after they were interrupted.

    Only what belongs to the one account goes to the other, so that nothing else can be had by a link into the directory;
    chown neither follows links nor leaves the directory by one that is put in its way.

    :param path: the directory.
    :param owners: an :class:`Owners`.
    """
    (uid, gid, mode), (new_uid, new_gid, new_mode) = owners.before, owners.after
    chown = ["chown", "-Rh" if owners.inside else "-h"]
    commands = []
    if uid != new_uid:
        commands.append([*chown, "--from={0}".format(uid), str(new_uid), "--", path])
    if gid != new_gid:
        commands.append([*chown, "--from={0}:{1}".format(new_uid, gid), ":{0}".format(new_gid), "--", path])
    if mode != new_mode:
        commands.append(["chmod", "{0:04o}".format(new_mode), "--", path])
    return commands


class FilePlan(NamedTuple):
    """What has to happen to the files of a configuration tree, as sorted relative paths.

    :ivar create: wanted and not there.
    :ivar update: ours, and different in content, owner or mode.
    :ivar remove: written by us, no longer wanted.
    :ivar foreign: wanted, there, different, and not written by us.
    """

    create: list
    update: list
    remove: list
    foreign: list

    @property
    def changed(self):
        """Whether anything has to happen."""
        return bool(self.create or self.update or self.remove)


def plan_files(wanted, live, manifest_files):
    """Compare the wanted files with those on the host and those of the manifest.

    :param wanted: relative path -> anything that compares equal to the live value when nothing has to be done.
    :param live: relative path -> state of what stands there now (of wanted paths and those in the manifest), absent
        when nothing does.
    :param manifest_files: the relative paths that the last generation wrote.
    """
    create, update, foreign = [], [], []
    for path in sorted(wanted):
        if path not in live:
            create.append(path)
        elif live[path] != wanted[path]:
            # Equal content that someone else wrote is adopted: writing it again would change nothing.
            (update if path in manifest_files or live[path][0] == wanted[path][0] else foreign).append(path)
    remove = sorted(path for path in manifest_files if path not in wanted and path in live)
    return FilePlan(create, update, remove, foreign)


def undo_script(changes, backups, state_dir, self_path, reload_systemd):
    """The journal: a script that puts back what stood before ``changes``, however many of them were made.

    It may run again after it was interrupted itself, and removes itself as its last act. Each path gets its old state
    by a rename on its own file system, so that no reader ever sees a part of a file.

    :param changes: list of :class:`Change`.
    :param backups: path -> copy of what stood there; paths without a copy did not exist.
    :param state_dir: directory of the journal and of the rollback.
    :param self_path: where the script will stand while the switch is under way.
    :param reload_systemd: whether a unit is among the changes, so that systemd has to read it again.
    """
    lines = [
        "#!/bin/sh",
        "# Puts back what stood here before a switch that was not proven. Written by vigil.monitoring; safe to repeat.",
        "set -eu",
        'put() { rm -rf "$2%s"; cp -a "$1" "$2%s"; mv -fT "$2%s" "$2"; }' % (SCRATCH, SCRATCH, SCRATCH),
    ]
    for change in changes:
        path = shlex.quote(change.path)
        if change.kind == "owner":
            for command in owner_commands(change.path, Owners.of(change.source).back()):
                lines.append(" ".join(map(shlex.quote, command)))
        elif change.path in backups:
            lines.append("put {0} {1}".format(shlex.quote(backups[change.path]), path))
        else:
            lines.append("rm -f {0} {1}".format(path, shlex.quote(change.path + SCRATCH)))
    if reload_systemd:
        lines.append("if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi")
    # The journal must not vanish from the disk before what it put back has arrived there.
    folders = " ".join(shlex.quote(path) for path in sorted({posixpath.dirname(change.path) for change in changes}))
    lines.append("sync -f {0} 2>/dev/null || sync".format(folders))
    lines.append("rm -f {0} {1}".format(shlex.quote(self_path), shlex.quote(posixpath.join(state_dir, "rollback"))))
    return "\n".join(lines) + "\n"
