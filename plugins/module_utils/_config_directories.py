# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directories of a configuration and of the service's data: made, given their owner and mode, passed to another account."""

from __future__ import annotations

import grp
import os
import pwd

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._account_access import id_of
from ansible_collections.vigil.monitoring.plugins.module_utils._disk_space import is_short, place_problem
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError, ensure_directory, restore_context
from ansible_collections.vigil.monitoring.plugins.module_utils._switch import Owners
from ansible_collections.vigil.monitoring.plugins.module_utils._tree import inner_directories

# What the files of a tree need beside their content, in bytes.
OVERHEAD = 1 << 16


class Directories:
    """Those of one service.

    :param tree: :class:`_config_files.Tree`.
    :ivar later: those that pass from one account to another with the switch, with their ``Owners`` as text.
    :ivar gone: those in the tree that are ours and that nothing needs any more.
    """

    def __init__(self, tree):
        self.tree = tree
        self.later = {}
        self.gone = []

    def wanted(self):
        """The directories of the tree and those specified, as ``(path, mode, uid, gid)``; parents first."""
        found = {
            os.path.join(self.tree.path, path).rstrip("/"): (0o750, 0, self.tree.gid)
            for path in inner_directories(self.tree.files)
        }
        for entry in self.tree.module.params["directories"]:
            uid, gid = id_of(pwd.getpwnam, entry["owner"]), id_of(grp.getgrnam, entry["group"])
            found[entry["path"].rstrip("/")] = (int(entry["mode"], 8), uid, gid)
        return [(path, *wanted) for path, wanted in found.items()]

    def place_problems(self, manifest, plan):
        """Where a directory cannot be made or changed, or the files have no room, one sentence each."""
        known, problems = set(manifest["directories"]), []
        for path, mode, uid, gid in self.wanted():
            try:
                status = _nofollow.directory_status(path)
            except HostError as error:
                problems.append(str(error))
                continue
            as_asked = status is not None and is_as_asked(status, mode, uid, gid, path in known)
            if not as_asked or (plan.changed and path == self.tree.path):
                problems.append(place_problem(path))
        size = sum(len(self.tree.files[path]["content"].encode("utf-8")) for path in plan.create + plan.update)
        if plan.changed and is_short(self.tree.path, size + OVERHEAD):
            problems.append(
                "no space left for {0}; free some space on its file system and run again".format(self.tree.path)
            )
        return list(dict.fromkeys(problem for problem in problems if problem))

    def ensure(self, manifest):
        """Create the directories and give ours their owner and mode.

        One that somebody else made keeps its mode, as long as it belongs to whom it has to and the group of the
        service can enter: others may rely on it.

        One that passes from one account to another does so with the switch: what runs still needs it as it is.

        :returns: paths that were, or would be, changed, and all that are ours.
        """
        wanted = self.wanted()
        known = set(manifest["directories"])
        changed, self.later = [], {}
        inside, needed = self.tree.path + os.sep, {path for path, *dummy in wanted}
        self.gone = sorted(path for path in known - needed if path.startswith(inside))
        for path, mode, uid, gid in wanted:
            status = _nofollow.directory_status(path)
            if status is None or not is_as_asked(status, mode, uid, gid, path in known):
                changed.append(path)
                passing = self._passing(path, mode, uid, gid)
                if passing:
                    self.later[path] = passing.text()
        ours = known.union(changed)
        if self.tree.module.check_mode:
            return changed, sorted(ours)
        if ours != known:
            # Remembered before they are made, else those of a run that is killed here would count as somebody else's.
            # Killed even before that, it leaves a directory that nobody can enter, which the next run takes for ours.
            ensure_directory(self.tree.path, 0o700)
            self.tree.state.create()
            self.tree.state.amend_manifest(dict(manifest, directories=sorted(ours)))
        for path, mode, uid, gid in wanted:
            if path in changed and path not in self.later:
                ensure_directory(path, mode, uid, gid)
                _nofollow.give_directory(path, mode, uid, gid)
                restore_context([path])
        return changed, sorted(ours)

    @staticmethod
    def _passing(path, mode, uid, gid):
        """How a directory passes to its new account, or None for one that is not there or belongs to it already."""
        status = _nofollow.directory_status(path)
        if status is None:
            return None
        # One of root's is no account's own: nobody loses anything with it.
        if (status.st_uid, status.st_gid) in ((uid, gid), (0, 0)):
            return None
        before = (status.st_uid, status.st_gid, status.st_mode & 0o7777)
        return Owners(before, (uid, gid, mode), bool(uid) and bool(status.st_uid))


def is_as_asked(status, mode, uid, gid, ours):
    """Whether a directory may stay as it is: exactly as specified, or somebody else's that serves as well."""
    if (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (mode, uid, gid):
        return True
    enterable = status.st_mode & 0o001 or (status.st_gid == gid and status.st_mode & 0o010)
    if mode & 0o020:
        enterable = status.st_gid == gid and status.st_mode & 0o030 == 0o030
    return bool(not ours and status.st_uid == uid and enterable)
