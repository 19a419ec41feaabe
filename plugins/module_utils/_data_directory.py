# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service whose data is to be in another directory: refused, moved, or left where it is.

On one file system the data is renamed, with the journal of the switch. To another one it is copied while the service runs, then the
rest of it once the service is stopped; the old copy is removed when the service is verified with the new one.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._disk_space import LEAST_SPACE, free_bytes, nearest
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    WRITER,
    HostError,
    ensure_directory,
    mark_writer,
    newest_writer,
    read_text,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._switch import Change

# What is in a directory without being data of the service.
SPARED = ("lost+found",)
# A file that is being copied.
SCRATCH = ".vigil-copy"


class Move:
    """The way of a service's data from one directory to another.

    :ivar old: where it is.
    :ivar new: where it is to be.
    """

    def __init__(self, old, new):
        self.old, self.new = old.rstrip("/"), new.rstrip("/")

    @classmethod
    def of(cls, verified, params):
        """The move that is asked for, or None where the data is where it is to be.

        :param verified: the record of the last verification.
        :param params: options of the module service.
        """
        old, new = verified.get("data_dir"), params.get("data_dir")
        if not old or not new or os.path.normpath(old) == os.path.normpath(new):
            return None
        move = cls(os.path.normpath(old), os.path.normpath(new))
        return move if entries(move.old) else None

    def is_one_file_system(self):
        """Whether the data can be renamed."""
        here, there = os.stat(self.old), os.stat(nearest(self.new))
        inside = (os.lstat(os.path.join(self.old, name)).st_dev == here.st_dev for name in entries(self.old))
        # Neither between two mounts of one file system nor in all of an overlay can directories be renamed.
        mounts = parse_mounts(read_text("/proc/self/mountinfo"))
        mount, other = (mount_of(os.path.realpath(path), mounts) for path in (self.old, nearest(self.new)))
        renamable = mount == other and mount[1] != "overlay"
        return here.st_dev == there.st_dev and renamable and all(inside)

    def problem(self, role, choice, copied):
        """Why the service is not deployed: a sentence, or None.

        :param role: prefix of the variables that messages name.
        :param choice: ``move``, ``empty``, or None.
        :param copied: whether what is in the new directory is a copy of ours that was cut off.
        """
        found = [] if copied else [name for name in entries(self.new) if name != WRITER]
        full = [name for name in found if not _is_empty_directory(os.path.join(self.new, name))]
        if choice == "empty" or (choice is None and full):
            # Who has copied it himself wants what is there.
            return None
        if choice is None:
            return (
                "its data is in {0}, and its data directory is to be {1}, with which it would start without any history; set"
                " {2}_move_data: true to have it moved, or {2}_start_empty: true to leave it where it is".format(
                    self.old, self.new, role
                )
            )
        if os.path.islink(self.old) or os.path.islink(self.new):
            return "{0} is a symbolic link: move the data by hand while the service is stopped".format(
                self.old if os.path.islink(self.old) else self.new
            )
        if full:
            return (
                "its data in {0} is to be moved to {1}, where something is already ({2}); move one of them away".format(
                    self.old, self.new, ", ".join(full[:3])
                )
            )
        if _is_inside(self.new, self.old) or _is_inside(self.old, self.new):
            return "of {0} and {1}, one is inside the other: data cannot be moved there".format(self.old, self.new)
        if not self.is_one_file_system():
            size, free = size_of(self.old), free_bytes(self.new)
            taken = size_of(self.new) if copied else 0
            if free is not None and free + taken < size + LEAST_SPACE:
                return "its data in {0} has {1} MiB, and in {2} are only {3} MiB free".format(
                    self.old, size >> 20, self.new, free >> 20
                )
        return None

    def prepare(self):
        """Have the new directory there, as the old one is."""
        status = os.stat(self.old)
        if not os.path.isdir(self.new):
            ensure_directory(self.new, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)

    def renames(self):
        """The changes of the switch that move the data on one file system; the service is stopped by then."""
        return [
            Change(os.path.join(self.new, name), "data", os.path.join(self.old, name)) for name in entries(self.old)
        ]

    def copy(self):
        """Have a copy of the data in the new directory, as the account that it belongs to: what is there of it stays.

        :raises HostError: when that fails.
        """
        status = os.stat(self.old)
        as_account(status.st_uid, status.st_gid, lambda: _same(self.old, self.new))
        writer = newest_writer(self.old)
        if writer:
            mark_writer(self.new, writer)

    def retire(self):
        """Remove the old copy, once the service is verified with the new one."""
        for name in entries(self.old):
            _nofollow.remove(os.path.join(self.old, name))
        _nofollow.remove_empty(self.old)


def parse_mounts(text):
    """The mounts of a host, as pairs of their place and the type of their file system.

    :param text: of ``/proc/self/mountinfo``, see proc_pid_mountinfo(5).
    """
    found = []
    for line in text.splitlines():
        before, dummy, after = line.partition(" - ")
        if len(before.split()) > 4 and after:
            place = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), before.split()[4])
            found.append((place, after.split()[0]))
    return found


def mount_of(path, mounts):
    """The mount that a path is on: its place and the type of its file system.

    :param mounts: see :func:`parse_mounts`.
    """
    over = [one for one in mounts if path == one[0] or path.startswith(one[0].rstrip("/") + "/")]
    # Of several in one place, the last one is seen.
    return max(enumerate(over), key=lambda pair: (len(pair[1][0]), pair[0]), default=(0, ("/", "")))[1]


def data_problem(state, role, params):
    """That a service's data is in another directory than the specified one: a sentence, or None.

    :param state: what is remembered about the service, a :class:`_host.State`.
    :param role: prefix of the variables that messages name.
    :param params: options of a module: ``data_dir`` and ``data_change``.
    """
    move = Move.of(state.verified(), params)
    if move is None:
        return None
    return move.problem(role, params["data_change"], state.copied_data() == (move.old, move.new))


def entries(path):
    """The names in a directory of data; none where there is none."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return sorted(name for name in os.listdir(path) if name not in SPARED)
    return []


def size_of(path):
    """Bytes of all files below a directory."""
    total = 0
    for folder, dummy, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def _is_empty_directory(path):
    return not os.path.islink(path) and os.path.isdir(path) and not os.listdir(path)


def _is_inside(path, other):
    return os.path.realpath(path).startswith(os.path.realpath(other) + os.sep)


def as_account(uid, gid, work):
    """Do something with the rights of an account: what it can put in the way of its own data is its own.

    :raises HostError: with what went wrong.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            os.umask(0o077)
            work()
        except BaseException as error:
            os.write(writer, str(error).encode("utf-8", "replace")[:4000])
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        said = stream.read().decode("utf-8", "replace")
    if os.waitpid(child, 0)[1]:
        raise HostError("the data could not be copied: {0}".format(said or "it was interrupted"))


def _same(old, new):
    """Make a directory the same as another one, file by file; what is newer there, and the same, stays."""
    names = [name for name in entries(old) if name != WRITER]
    for name in entries(new):
        if name not in names and name != WRITER:
            _clear(os.path.join(new, name))
    for name in names:
        source, target = os.path.join(old, name), os.path.join(new, name)
        # The service may be deleting it at this moment; the second pass sees what is left.
        with contextlib.suppress(FileNotFoundError):
            status = os.lstat(source)
            if stat.S_ISDIR(status.st_mode):
                if not os.path.isdir(target) or os.path.islink(target):
                    _clear(target)
                    os.mkdir(target)
                os.chmod(target, stat.S_IMODE(status.st_mode) | 0o700)
                _same(source, target)
                shutil.copystat(source, target)
            elif stat.S_ISLNK(status.st_mode):
                _clear(target)
                os.symlink(os.readlink(source), target)
            elif stat.S_ISREG(status.st_mode) and not _is_copy(status, target):
                _clear(target)
                shutil.copy2(source, target + SCRATCH, follow_symlinks=False)
                os.rename(target + SCRATCH, target)


def _is_copy(status, target):
    with contextlib.suppress(FileNotFoundError):
        found = os.lstat(target)
        same = (found.st_size, found.st_mtime_ns, stat.S_IFMT(found.st_mode))
        return same == (status.st_size, status.st_mtime_ns, stat.S_IFMT(status.st_mode))
    return False


def _clear(path):
    with contextlib.suppress(FileNotFoundError):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
