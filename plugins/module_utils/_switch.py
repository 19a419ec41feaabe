# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The switch from one generation of a service to the next: what changes, and what puts it back.

A generation is everything that has to fit together: the links to the binaries and the unit, or the container, and the
configuration files.
What carries both out is in :mod:`_nofollow`.
"""

from __future__ import annotations

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


class Change(NamedTuple):
    """One path that the switch gives a new state.

    :ivar path: absolute path that changes.
    :ivar kind: ``file`` (renamed from ``source``), ``link`` (a symbolic link to ``source``), ``remove``, ``keep`` (left
        as it is: what the new generation makes of it is undone with the rest), ``owner`` (a directory that passes from one
        account to another), or ``data`` (renamed from ``source``, and back again).
    :ivar source: staged file, target of the link, an :class:`Owners` as text, or where data is; empty otherwise.
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


def undo_steps(changes, backups):
    """What the journal has to put back: see :func:`_nofollow.journal`.

    :param changes: list of :class:`Change`.
    :param backups: path -> copy of what stood there; paths without a copy did not exist.
    """
    return [[change.path, _way_back(change, backups)] for change in changes]


def _way_back(change, backups):
    if change.kind == "owner":
        return list(Owners.of(change.source).back())
    if change.kind == "data":
        return {"goes back to": change.source}
    return backups.get(change.path)
