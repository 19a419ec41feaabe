# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The removal of a service: stopped, with all that the collection wrote; data only where they are named."""

from __future__ import annotations

import os

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._deployed import Records, remaining
from ansible_collections.vigil.monitoring.plugins.module_utils._firewall import Firewall
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError


class Removal:
    """The service is to be gone.

    :param task: :class:`_task.Task`.
    """

    def __init__(self, task):
        self.task = task
        self.params = task.params
        self.state = task.state

    def run(self):
        """Stop the service and take away what the collection wrote."""
        task, module = self.task, self.task.module
        if not module.check_mode:
            self._undo_an_interrupted_switch()
        manifest = self.state.manifest()
        task.runtimes.know(manifest)
        written = self._written(manifest)
        purged = [path for path in self.params["purge"] if reachable(self.task, path)]
        left = [runtime for runtime in task.runtimes.all if runtime.is_left(manifest)]
        records, given = Records(task.machine), self.params["removal"]
        record = records.get(task.role)
        remembered = bool(record and (not record.get("removed") or not remaining(record)))
        changed = bool(written or purged or left or remembered or os.path.isdir(self.state.directory))
        removed = [*(runtime.title for runtime in left), *written, *purged]
        spared = [path for path in self.params["spare"] if os.path.lexists(path)]
        if module.check_mode or not changed:
            kept = [path for path in remaining(record or given) if path not in [*purged, *spared]] + spared
            self._end(changed, "none", "", removed, kept)
        for runtime in left:
            runtime.shut_down()
        if self.state.before:
            take_away_before(task)
        self._take_away(manifest, written, purged)
        for runtime in task.runtimes.all:
            runtime.refresh()
            runtime.forget_failures()
        data = records.end(task.role, given)
        others = [path for path in [self.state.config_dir, *manifest["directories"]] if os.path.isdir(path)]
        kept = list(dict.fromkeys([*data, *(path for path in others if not _inside(path, [*data, *others]))]))
        self._end(True, "removed", "its state is absent", removed, kept)

    def _end(self, changed, action, reason, removed, kept):
        more = {"removed": removed, "kept": kept, "notes": self.task.notes, "unverified": []}
        self.task.module.exit_json(changed=changed, action=action, reason=reason, **more)

    def _undo_an_interrupted_switch(self):
        """A part of what an interrupted switch put there is in no manifest yet."""
        if os.path.exists(self.state.undo):
            self.state.recover()
            for runtime in self.task.runtimes.all:
                runtime.refresh()

    def _written(self, manifest):
        """What of ours is there and goes."""
        paths = [os.path.join(self.state.config_dir, path) for path in manifest["files"]] + list(manifest["units"])
        there = [path for path in paths if path not in self.params["spare"] and reachable(self.task, path)]
        # Where a service put something else in the place of a link, that is part of its data.
        return there + [
            path for path in manifest["links"] if reachable(self.task, path) and _nofollow.link_target(path)
        ]

    def _take_away(self, manifest, written, purged):
        for path in written:
            _nofollow.unlink(path)
        Firewall(self.task.machine).settle()
        # The directories of files such as amtool.yml and of drop-ins were made for these.
        beside = {os.path.dirname(path) for path in manifest["units"]}
        beside.update(folder for runtime in self.task.runtimes.all for folder in runtime.directories())
        beside.discard(self.task.machine.unit_directory)
        directories = sorted(beside.union(manifest["directories"]), key=len, reverse=True)
        remove_empty(self.task, directories, purged)
        # What we know goes last, so that a removal that is cut off can be completed; it was in one of the directories.
        _nofollow.remove(self.state.directory)
        remove_empty(self.task, directories, purged)
        for path in purged:
            _nofollow.remove(path)
        # What a removal before had spared lies in directories that nobody remembers.
        inside = [path for path in purged if path.startswith(self.state.config_dir + os.sep)]
        remove_empty(
            self.task, [folder for path in inside for folder in _above(path, self.state.config_dir)], spared=()
        )


def take_away_before(task):
    """Take away what is left in the directory where the configuration of a service was: its files, and what we know of it.

    :param task: :class:`_task.Task`.
    """
    before = task.state.before
    manifest, here = before.manifest(), task.state.manifest()
    for path in manifest["files"]:
        if reachable(task, os.path.join(before.config_dir, path)):
            _nofollow.unlink(os.path.join(before.config_dir, path))
    _nofollow.remove(before.directory)
    directories = {*manifest["directories"], before.config_dir} - {*here["directories"], task.state.config_dir}
    remove_empty(task, sorted(directories, key=len, reverse=True), spared=())
    task.state.forget_before()


def _inside(path, directories):
    """Whether a path lies in one of some directories."""
    return any(path.startswith(one.rstrip("/") + os.sep) for one in directories)


def reachable(task, path):
    """Whether something is at a path that can be taken away; behind what was put in its way, nothing of ours is.

    :param task: :class:`_task.Task`.
    """
    try:
        return _nofollow.inspect(path) is not None
    except HostError as error:
        note = "{0}; nothing was removed behind it".format(error)
        task.notes += [note] if note not in task.notes else []
        return False


def remove_empty(task, paths, spared):
    """Remove the directories among these that are empty: one with somebody's file in it, or with data, stays.

    :param task: :class:`_task.Task`.
    """
    for path in paths:
        if path not in spared and reachable(task, path):
            _nofollow.remove_empty(path)


def _above(path, top):
    """The directories that a path lies in, from its own up to another one."""
    while path != top:
        path = os.path.dirname(path)
        yield path
