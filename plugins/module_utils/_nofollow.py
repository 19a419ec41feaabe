# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root at work where others can write: nothing is followed that an unprivileged account can have put there.

A service's account owns its data and could, once it is broken into, put a link, a second name of somebody else's file, or
a FIFO wherever root is about to write, at any moment. So a path is walked from the root of the file system, one component
after the other, each opened relative to the one before and held (openat(2), ``O_NOFOLLOW``): what was looked at is what is
used, whatever happens to its name meanwhile. A link is followed only where nobody but root can have made it.

Everything by which the collection changes the disk of a host goes through here; a unit test sees to it. The text of this
file is also the program of the journal (:func:`journal`), so it needs nothing but Python's own library.
"""

from __future__ import annotations

import ast
import contextlib
import errno
import grp
import json
import os
import pwd
import re
import shlex
import shutil
import stat
import subprocess
import sys
import uuid

# What stands beside a path for the moment before it is renamed into its place.
SCRATCH = ".vigil-new"
# As many as the kernel follows, see path_resolution(7).
LINKS = 40
# Directories in each other, below one that is removed; whoever has more wants to keep us busy.
DEPTH = 100
TRIES = 5
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}
_CLOSE = os.O_CLOEXEC | os.O_NOFOLLOW
_members = {}


class HostError(Exception):
    """Something about the host stops the run; the message names the path and the way out."""


# Who can write where


def kind_of(mode):
    """What stands there, in words."""
    return _KINDS.get(stat.S_IFMT(mode), "a file")


def _is_root(uid):
    """Whether an account is root, or the one that this runs as."""
    return uid in (0, os.geteuid())


def _has_members(gid):
    """Whether somebody else than root is in a group, by its list or as an account's own group."""
    if gid not in _members:
        try:
            named = set(grp.getgrgid(gid).gr_mem) - {"root"}
        except KeyError:
            named = {"unknown"}
        _members[gid] = bool(named) or any(one.pw_gid == gid and not _is_root(one.pw_uid) for one in pwd.getpwall())
    return _members[gid]


def _writers(descriptor, status):
    """Who besides root can change a file, or what a directory holds: words, or None.

    With an access list, the bits of the group are the most that anybody on it may do.
    """
    if not _is_root(status.st_uid):
        try:
            return "the account " + pwd.getpwuid(status.st_uid).pw_name
        except KeyError:
            return "the account {0}".format(status.st_uid)
    if status.st_mode & 0o002:
        return "everybody"
    if status.st_mode & 0o020:
        try:
            listed = bool(os.getxattr("/proc/self/fd/{0}".format(descriptor), "system.posix_acl_access"))
        except OSError:
            listed = False
        if listed:
            return "an account on its access list"
        if _has_members(status.st_gid):
            try:
                return "the group " + grp.getgrgid(status.st_gid).gr_name
            except KeyError:
                return "the group {0}".format(status.st_gid)
    return None


class Directory:
    """A directory that is held by its descriptor.

    :ivar path: how it was reached, without links.
    :ivar writers: who besides root can change what it holds: words, or None.
    :ivar weak: ``(path, writers)`` of the first directory on the way here of which somebody else can change what it
        holds, this one included; None where only root can have put here what is here.
    """

    def __init__(self, path, descriptor, weak=None):
        self.path = path
        self.descriptor = descriptor
        self.status = os.fstat(descriptor)
        self.writers = _writers(descriptor, self.status)
        self.weak = weak or ((path, self.writers) if self.writers else None)

    def close(self):
        os.close(self.descriptor)

    def at(self, name):
        """Path of an entry."""
        return os.path.join(self.path, name)

    def inspect(self, name):
        """Status of an entry itself, or None when there is none."""
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def is_directory(self, name):
        """Whether an entry is a directory."""
        status = self.inspect(name)
        return status is not None and stat.S_ISDIR(status.st_mode)

    def names(self):
        """What is in it, sorted."""
        with self.readable() as descriptor:
            return sorted(os.listdir(descriptor))

    @contextlib.contextmanager
    def readable(self):
        """Another descriptor of it, by which it can be read, changed, locked and synced."""
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | _CLOSE, dir_fd=self.descriptor)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def sync(self):
        """Make renames within it survive a power cut."""
        with self.readable() as descriptor:
            os.fsync(descriptor)

    def enter(self, name, make=False):
        """A directory in it.

        :param make: whether to make one, root's and 0755, where there is none.
        :raises FileNotFoundError: when there is none.
        :raises NotADirectoryError: when something else stands there.
        """
        made = False
        try:
            descriptor = self._open(name)
        except FileNotFoundError as error:
            if not make:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.at(name)) from error
            made = self.make(name)
            descriptor = self._open(name)
        weak = self.weak
        # In a directory such as /tmp everybody makes what he likes, and nobody can touch what is another's.
        if weak and weak[0] == self.path and self.status.st_mode & stat.S_ISVTX and _is_root(self.status.st_uid):
            weak = None if _is_root(os.fstat(descriptor).st_uid) else weak
        entered = Directory(self.at(name), descriptor, weak)
        if made and not _is_root(entered.status.st_uid):
            entered.close()
            raise HostError(
                "{0} was exchanged while root made it; {1}".format(self.at(name), _mend(self.weak, self.at(name)))
            )
        if made:
            with entered.readable() as opened:
                os.fchmod(opened, 0o755)
        return entered

    def make(self, name):
        """Make a directory that nobody can enter yet; whether there was none."""
        try:
            os.mkdir(name, 0o700, dir_fd=self.descriptor)
        except FileExistsError:
            return False
        return True

    def _open(self, name):
        return os.open(name, os.O_PATH | os.O_DIRECTORY | _CLOSE, dir_fd=self.descriptor)

    def must_be_roots(self):
        """Refuse what was not made by root alone: in a directory that others can write, this one may be theirs.

        :raises HostError: saying whose it is.
        """
        if self.writers:
            raise HostError(
                "{0} can be changed by {1}, and root keeps what it goes by there; remove it, and whatever that put"
                " there".format(self.path, self.writers)
            )

    def open_file(self, name):
        """Descriptor of a regular file in it, for reading.

        :raises FileNotFoundError: when there is none.
        :raises HostError: when it is something else, or may be anybody's.
        """
        self._must_be_file(name, self.inspect(name))
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | _CLOSE, dir_fd=self.descriptor)
        try:
            self._must_be_file(name, os.fstat(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    @contextlib.contextmanager
    def lock_file(self, name):
        """Descriptor of a file in it that is there to be locked, made where there is none."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | _CLOSE
        descriptor = os.open(name, flags, 0o600, dir_fd=self.descriptor)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _must_be_file(self, name, status):
        if status is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.at(name))
        if not stat.S_ISREG(status.st_mode):
            raise HostError(
                "{0} is {1}, and a file has to stand there{2}; move it away".format(
                    self.at(name), kind_of(status.st_mode), _whose(self.weak)
                )
            )
        if self.writers and status.st_nlink > 1:
            raise HostError(
                "{0} has {1} names (hard links){2}: it may be anybody's file, and root does not touch it; put a copy in"
                " its place".format(self.at(name), status.st_nlink, _whose(self.weak))
            )

    def clear(self, name, depth=0):
        """Take an entry away: a link itself, never what it points to; a directory with everything in it.

        :raises HostError: for a file system that is mounted in there, and for what is filled anew all the time.
        """
        for dummy in range(TRIES):
            status = self.inspect(name)
            if status is None:
                return
            try:
                if not stat.S_ISDIR(status.st_mode):
                    os.unlink(name, dir_fd=self.descriptor)
                    return
                with contextlib.closing(self.enter(name)) as inner:
                    inner.empty(depth)
                os.rmdir(name, dir_fd=self.descriptor)
                return
            except FileNotFoundError:
                return
            except (NotADirectoryError, IsADirectoryError):
                continue
            except OSError as error:
                if error.errno == errno.EBUSY and not depth:
                    return  # a mount point: it stays, empty
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        raise HostError(
            "{0} is filled anew while it is removed{1}; end the processes of that account and run again".format(
                self.at(name), _whose(self.weak)
            )
        )

    def empty(self, depth=0):
        """Take away everything in it."""
        if depth > DEPTH:
            raise HostError("{0} is more than {1} directories deep; remove it by hand".format(self.path, DEPTH))
        for name in self.names():
            status = self.inspect(name)
            if status and stat.S_ISDIR(status.st_mode) and status.st_dev != self.status.st_dev:
                raise HostError(
                    "another file system is mounted on {0}, which is to be removed; unmount it first".format(
                        self.at(name)
                    )
                )
            self.clear(name, depth + 1)


def _whose(weak):
    return ", and {1} can change what is in {0}".format(*weak) if weak else ""


def _mend(weak, path):
    return "{0} can change what is in {1}: see who did, and put {2} right".format(weak[1], weak[0], path)


def _walk(path, last, make=False):  # noqa: C901
    """Hold the directory that a path leads to.

    :param path: absolute.
    :param last: what becomes of the last component: ``enter``, for the path of a directory; ``name``, left as it is;
        ``follow``, left as well, but for links that root made, which are followed.
    :param make: whether directories that are missing are made.
    :returns: ``(directory, name of the last component or None)``.
    :raises FileNotFoundError: when a directory on the way is missing.
    :raises HostError: when something stands in the way.
    """
    if not os.path.isabs(path):
        raise HostError("{0!r} is no absolute path".format(path))
    ahead = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    held = [Directory("/", os.open("/", os.O_PATH | os.O_DIRECTORY | _CLOSE))]
    followed = 0
    try:
        while ahead:
            name = ahead.pop()
            here = held[-1]
            if name == "..":
                if len(held) > 1:
                    held.pop().close()
                continue
            ends = not ahead
            if ends and last == "name":
                return held.pop(), name
            target = None
            if ends and last == "follow":
                target = _link_at(here, name)
                if target is None:
                    return held.pop(), name
            else:
                try:
                    held.append(here.enter(name, make))
                    continue
                except OSError as error:
                    if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                        raise
                    target = _link_at(here, name)
            if target is None:
                raise HostError(
                    "{0} has to be a directory, and {1} stands there; move it away".format(
                        here.at(name), kind_of(getattr(here.inspect(name), "st_mode", 0))
                    )
                )
            if here.weak:
                raise HostError(
                    "{0} is a link to {1}{2}: root does not follow it; put what is meant in its place, or remove"
                    " it".format(here.at(name), target, _whose(here.weak))
                )
            followed += 1
            if followed > LINKS:
                raise HostError("{0} leads through more than {1} links".format(path, LINKS))
            ahead += [part for part in reversed(target.split("/")) if part not in ("", ".")]
            while target.startswith("/") and len(held) > 1:
                held.pop().close()
        if last != "enter":
            raise HostError("{0} is a directory, and a file has to stand there".format(path))
        return held.pop(), None
    finally:
        for one in held:
            one.close()


def _link_at(directory, name):
    """Target of a link, or None when it is none."""
    try:
        return os.readlink(name, dir_fd=directory.descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise
        return None


@contextlib.contextmanager
def directory(path, make=False):
    """The :class:`Directory` of a path, for the length of a ``with`` block.

    :param make: whether it, and its parents, are made where they are missing: root's, 0755.
    :raises FileNotFoundError: when it is missing.
    """
    found, dummy = _walk(path, "enter", make)
    with contextlib.closing(found):
        yield found


@contextlib.contextmanager
def place(path, follow=False, make=False):
    """The :class:`Directory` of a path's last component, and the name of that.

    :param follow: whether links that root made are followed, also the last one.
    :param make: whether the directory is made where it is missing.
    """
    found, name = _walk(path, "follow" if follow else "name", make)
    with contextlib.closing(found):
        yield found, name


# Looking


def inspect(path):
    """Status of what stands at a path, itself; None when nothing does."""
    try:
        with place(path) as (folder, name):
            return folder.inspect(name)
    except FileNotFoundError:
        return None


def link_target(path):
    """What the link at a path points to; None where no link is."""
    try:
        with place(path) as (folder, name):
            return _link_at(folder, name)
    except FileNotFoundError:
        return None


def directory_status(path):
    """Status of a directory; None when there is none.

    :raises HostError: when something else stands there, or in the way.
    """
    try:
        with directory(path) as found:
            return found.status
    except FileNotFoundError:
        return None


def read_bytes(path, roots=False):
    """Content of a regular file, or None when there is none.

    :param roots: whether it counts only in a directory that is root's alone.
    :raises HostError: for anything else than a regular file, and for one that may be anybody's.
    """
    try:
        with place(path, follow=not roots) as (folder, name):
            if roots:
                folder.must_be_roots()
            with os.fdopen(folder.open_file(name), "rb") as stream:
                return stream.read()
    except FileNotFoundError:
        return None


def check_file(path):
    """Refuse what root would not read or copy; nothing at all is as good as a file.

    :raises HostError: saying what stands there.
    """
    with contextlib.suppress(FileNotFoundError), place(path) as (folder, name):
        status = folder.inspect(name)
        if status and not stat.S_ISLNK(status.st_mode):
            os.close(folder.open_file(name))


def weakness(path):
    """Who besides root can change a file, or put another one in its place: words, or None.

    :param path: of a file, a program that root would run, or of a directory.
    :raises FileNotFoundError: when it is missing.
    """
    try:
        with place(path, follow=True) as (folder, name):
            if folder.weak:
                return "{1} can change what is in {0}".format(*folder.weak)
            descriptor = os.open(name, os.O_PATH | _CLOSE, dir_fd=folder.descriptor)
            try:
                writers = _writers(descriptor, os.fstat(descriptor))
            finally:
                os.close(descriptor)
            return "{1} can change {0}".format(folder.at(name), writers) if writers else None
    except HostError as error:
        return str(error)


def exchangeable(path):
    """Who besides root can put another directory or file in the place of one that is there or is yet to be made.

    :returns: words, or None.
    """
    while path.strip("/"):
        try:
            found, name = _walk(path, "follow")
            with contextlib.closing(found):
                weak = found.weak
                if found.is_directory(name):
                    with contextlib.closing(found.enter(name)) as entered:
                        # What it holds is the service's own business.
                        weak = entered.weak if entered.weak and entered.weak[0] != entered.path else None
                return "{1} can change what is in {0}".format(*weak) if weak else None
        except FileNotFoundError:
            path = os.path.dirname(path.rstrip("/"))
        except HostError as error:
            return str(error)
    return None


def must_be_roots(path, why):
    """Refuse a directory, there or yet to be made, in which somebody else than root could put something.

    :param why: what root would do there, ``runs what is in it``.
    :raises HostError: naming the directory and who can write there.
    """
    while True:
        try:
            with directory(path) as found:
                if found.weak:
                    raise HostError(
                        "{1} can change what is in {0}, and root {2}; make it owned by root and writable by nobody"
                        " else, or name another directory".format(*found.weak, why)
                    )
                return
        except FileNotFoundError:
            path = os.path.dirname(path.rstrip("/"))


def strangers(path, limit, spared=()):
    """What lies below a directory and belongs to another account, which the directory's own can therefore not change.

    :param limit: how many entries are looked at, those nearest to the directory first.
    :param spared: paths below it that have whatever owner they need; what is in them is looked at.
    :returns: list of ``(path, user id)``; links, and what is not there, count for nothing.
    """
    found, ahead, seen = [], [path.rstrip("/")], 0
    try:
        with directory(path) as top:
            uid, gid = top.status.st_uid, top.status.st_gid
        while ahead and seen < limit:
            folder = ahead.pop(0)
            with contextlib.suppress(FileNotFoundError, HostError), directory(folder) as held:
                for name in held.names()[: limit - seen]:
                    seen += 1
                    status, full = held.inspect(name), os.path.join(folder, name)
                    if status is None:
                        continue
                    if stat.S_ISDIR(status.st_mode):
                        ahead.append(full)
                    if full not in spared and not _can_change(status, uid, gid):
                        found.append((full, status.st_uid))
    except (FileNotFoundError, HostError):
        return []
    return found


def _can_change(status, uid, gid):
    """Whether an account can change a file, or what a directory holds, by its permission bits."""
    if uid in (0, status.st_uid):
        return True
    needed = 0o7 if stat.S_ISDIR(status.st_mode) else 0o6
    shift = 3 if status.st_gid == gid else 0
    return status.st_mode >> shift & needed == needed


# Changing


def ensure_directory(path, mode=0o755, uid=0, gid=0):
    """Create a directory and its parents with explicit modes; an existing one is left as it is.

    :param mode: of the directory itself; its parents get 0755.
    :param uid: of its owner, and ``gid`` of its group; its parents are root's.
    """
    with place(path.rstrip("/") or "/", make=True) as (folder, name):
        if not folder.make(name):
            try:
                with directory(path):
                    return
            except FileNotFoundError:
                raise HostError("{0} is a link to what is not there; remove it".format(path)) from None
        with contextlib.closing(folder.enter(name)) as made:
            if not _is_root(made.status.st_uid):
                raise HostError("{0} was exchanged while root made it; {1}".format(path, _mend(folder.weak, path)))
            _give(made, mode, uid, gid)


def give_directory(path, mode, uid, gid):
    """Give a directory that is there its owner, its group and its mode."""
    with directory(path) as found:
        _give(found, mode, uid, gid)


def pass_on(path, before, after, inside):
    """Have a directory pass from one account to another; it may be repeated after it was interrupted.

    Only what belongs to the one account goes to the other, so that nothing else can be had by a second name.

    :param before: its user and group, numbers, and its permission bits; ``after`` likewise.
    :param inside: whether what the account has inside passes along.
    """
    with place(path.rstrip("/"), follow=True) as (folder, name):
        if folder.is_directory(name):
            _pass_entry(folder, name, before, after, DEPTH if inside else 0)
            with contextlib.closing(folder.enter(name)) as found, found.readable() as descriptor:
                if before[2] != after[2]:
                    os.fchmod(descriptor, after[2])


def _pass_entry(folder, name, before, after, depth):
    try:
        descriptor = os.open(name, os.O_PATH | _CLOSE, dir_fd=folder.descriptor)
    except FileNotFoundError:
        return
    try:
        status = os.fstat(descriptor)
        uid = after[0] if status.st_uid == before[0] else status.st_uid
        gid = after[1] if status.st_gid == before[1] and uid == after[0] else status.st_gid
        if (uid, gid) != (status.st_uid, status.st_gid):
            # The file that was looked at, whatever has its name by now.
            os.chown("/proc/self/fd/{0}".format(descriptor), uid, gid)
    finally:
        os.close(descriptor)
    if depth and stat.S_ISDIR(status.st_mode):
        try:
            inner = folder.enter(name)
        except (FileNotFoundError, NotADirectoryError):
            return
        with contextlib.closing(inner):
            for one in inner.names():
                _pass_entry(inner, one, before, after, depth - 1)


def _give(found, mode, uid, gid):
    with found.readable() as descriptor:
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)


def write_atomically(path, data, mode, uid=None, gid=None):
    """Write a file so that readers see the old content or the new, never a part.

    :param data: bytes.
    :param mode: permission bits, set explicitly so that the umask does not matter.
    :param uid: numeric owner; None leaves that of the process.
    :param gid: numeric group; None leaves that of the process.
    :raises HostError: when the disk is full.
    """
    with place(path) as (folder, name):
        scratch = "{0}.{1}.tmp".format(name, uuid.uuid4().hex[:8])
        try:
            with os.fdopen(_create(folder, scratch), "wb") as stream:
                stream.write(data)
                stream.flush()
                if uid is not None or gid is not None:
                    os.fchown(stream.fileno(), -1 if uid is None else uid, -1 if gid is None else gid)
                os.fchmod(stream.fileno(), mode)
                os.fsync(stream.fileno())
            _rename(folder, scratch, folder, name)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(scratch, dir_fd=folder.descriptor)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise HostError(
                    "no space left for {0}; free some space on its file system and run again".format(path)
                ) from error
            raise
        folder.sync()


def _rename(there, old, folder, name):
    try:
        os.rename(old, name, src_dir_fd=there.descriptor, dst_dir_fd=folder.descriptor)
    except IsADirectoryError:
        raise _in_the_way(folder, name) from None


def _in_the_way(folder, name):
    return HostError(
        "{0} is a directory, and a file has to stand there{1}; move it away".format(
            folder.at(name), _whose(folder.weak)
        )
    )


def _create(folder, name):
    """Descriptor of a new file that nobody else may read yet."""
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOSE, 0o600, dir_fd=folder.descriptor)


def copy(source, target):
    """Copy a file or a link with owner, group, mode, times and attributes.

    :raises HostError: when the source is something else, such as a directory.
    """
    with place(source) as (there, name), place(target) as (here, new):
        _copy(there, name, here, new)


def _copy(there, name, here, new):
    status = there.inspect(name)
    if status is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), there.at(name))
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=there.descriptor), new, dir_fd=here.descriptor)
        os.chown(new, status.st_uid, status.st_gid, dir_fd=here.descriptor, follow_symlinks=False)
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(new, ns=times, dir_fd=here.descriptor, follow_symlinks=False)
        return
    # Nobody else may read the copy before it has its mode: the file may hold a secret.
    with os.fdopen(there.open_file(name), "rb") as reader, os.fdopen(_create(here, new), "wb") as writer:
        status = os.fstat(reader.fileno())
        shutil.copyfileobj(reader, writer)
        writer.flush()
        os.fchown(writer.fileno(), status.st_uid, status.st_gid)
        _copy_attributes(reader.fileno(), writer.fileno())
        os.fchmod(writer.fileno(), stat.S_IMODE(status.st_mode))
        os.utime(writer.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(writer.fileno())


def _copy_attributes(source, target):
    # Not every file system has them, nor takes every one.
    with contextlib.suppress(OSError):
        for attribute in os.listxattr(source):
            with contextlib.suppress(OSError):
                os.setxattr(target, attribute, os.getxattr(source, attribute))


def make_link(target, path):
    """Make a symbolic link, or have the one that is there point elsewhere, at once."""
    with place(path) as (folder, name):
        folder.clear(name + SCRATCH)
        os.symlink(target, name + SCRATCH, dir_fd=folder.descriptor)
        _rename(folder, name + SCRATCH, folder, name)


def move(source, path):
    """Rename a file to a path, whatever file or link stands there; from another file system it is copied first."""
    with place(source) as (there, old), place(path) as (folder, name):
        try:
            _rename(there, old, folder, name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # Copied beside the target first, so that the last step is a rename all the same.
            folder.clear(name + SCRATCH)
            _copy(there, old, folder, name + SCRATCH)
            _rename(folder, name + SCRATCH, folder, name)


def shift(source, path):
    """Rename whatever stands at a path to another one on the same file system, where nothing is or an empty directory.

    It may be repeated: where nothing is at the source any more, it was done.
    """
    with place(source) as (there, old), place(path) as (folder, name):
        if there.inspect(old) is None:
            return
        if folder.is_directory(name) and there.is_directory(old):
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=folder.descriptor)
        if folder.inspect(name) is not None:
            raise _in_the_way(folder, name)
        try:
            _rename(there, old, folder, name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            raise HostError("{0} cannot be renamed to {1}; move it by hand".format(source, path)) from None


def unlink(path):
    """Take a file or a link away; nothing there is no error."""
    with contextlib.suppress(FileNotFoundError), place(path) as (folder, name):
        try:
            os.unlink(name, dir_fd=folder.descriptor)
        except IsADirectoryError:
            raise _in_the_way(folder, name) from None


def remove(path):
    """Take away whatever stands at a path: a link itself, never what it points to; a directory with all that is in it."""
    with contextlib.suppress(FileNotFoundError), place(path.rstrip("/")) as (folder, name):
        folder.clear(name)


def remove_empty(path):
    """Remove a directory that is empty: one with somebody's file in it stays, and so does a link."""
    with contextlib.suppress(FileNotFoundError), place(path.rstrip("/")) as (folder, name):
        try:
            os.rmdir(name, dir_fd=folder.descriptor)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EBUSY):
                raise


def sync_directory(path):
    """Make renames within a directory survive a power cut; one that is missing needs nothing."""
    with contextlib.suppress(FileNotFoundError), directory(path) as found:
        found.sync()


# The journal


def journal(steps, state_dir, reload_systemd, program):
    """The journal of a switch: a shell script that puts back what stood there before, however much of it was made.

    It may run again after it was interrupted itself, and removes itself as its last act. The next run of a play carries it
    out, the start hook of a unit after a power cut, and the rollback after a failed verification.

    :param steps: list of ``[path, copy of what stood there, relative to the state directory, or None for nothing; or the
        arguments of pass_on; or {"goes back to": where it was}]``.
    :param state_dir: root's own directory, with the copies and the journal.
    :param reload_systemd: whether a unit is among the paths, so that systemd has to read it again.
    :param program: the text of this file.
    """
    told = json.dumps({"state": state_dir, "steps": steps, "reload": bool(reload_systemd)})
    return "\n".join(
        [
            "#!/bin/sh",
            "# Restores the previous generation after a failed activation. Written by vigil.monitoring; safe to repeat.",
            'python={0}; [ -x "$python" ] || python=python3'.format(shlex.quote(sys.executable or "/usr/bin/python3")),
            "exec \"$python\" -I - <<'END OF THE JOURNAL'",
            program,
            "carry_out({0!r})".format(told),
            "END OF THE JOURNAL",
            "",
        ]
    )


def carry_out(told):
    """Carry out a journal as a program of its own."""
    try:
        put_back(json.loads(told))
    except (HostError, OSError) as error:
        raise SystemExit(str(error)) from error


def parse_journal(text, state_dir):
    """What a journal says, also one of a version that wrote plain shell commands (0.2 and before).

    :param text: of the script.
    """
    told = re.search(r"(?m)^carry_out\((.+)\)$", text)
    if told:
        return json.loads(ast.literal_eval(told.group(1)))
    steps = []
    words = iter(shlex.split(text.partition("put()")[2].partition("\n")[2]))
    for word in words:
        if word == "put":
            backup, path = next(words), next(words)
            steps.append([path, os.path.relpath(backup, state_dir)])
        elif word == "rm" and next(words) == "-f":
            path = next(words)
            # The last line of the script removes the journal itself.
            if not path.startswith(state_dir + "/undo"):
                steps.append([path, None])
    return {"state": state_dir, "steps": steps, "reload": "systemctl daemon-reload" in text}


def put_back(told):
    """Put back what stood there before a switch.

    :param told: what :func:`journal` was told.
    :raises HostError: when a copy is missing, and nothing was done; or when something stands in the way of a path, and
        all others were put back.
    """
    with directory(told["state"]) as state:
        state.must_be_roots()
        copies = [os.path.join(told["state"], copied) for dummy, copied in told["steps"] if isinstance(copied, str)]
        missing = [copied for copied in copies if inspect(copied) is None]
        if missing:
            # Better to stop and say so than to go on with a part of the old generation.
            raise HostError("{0} is missing, a copy of what was there before".format(missing[0]))
        problems = []
        for path, copied in told["steps"]:
            try:
                if isinstance(copied, list):
                    pass_on(path, *copied)
                elif isinstance(copied, dict):
                    shift(path, copied["goes back to"])
                elif copied:
                    _restore(os.path.join(told["state"], copied), path)
                else:
                    remove(path + SCRATCH)
                    unlink(path)
            except HostError as error:
                problems.append(str(error))
        # The journal must not vanish from the disk before what it put back has arrived there.
        for folder in sorted({os.path.dirname(path) for path, dummy in told["steps"]}):
            try:
                sync_directory(folder)
            except HostError as error:
                problems.append(str(error))
        if told["reload"] and os.path.isdir("/run/systemd/system"):
            subprocess.run(["systemctl", "daemon-reload"], stdin=subprocess.DEVNULL, check=True)
        if problems:
            raise HostError("\n".join(sorted(set(problems))))
        for name in ("undo", "rollback"):
            state.clear(name)
        state.sync()


def _restore(copied, path):
    with place(copied) as (there, old), place(path) as (folder, name):
        folder.clear(name + SCRATCH)
        _copy(there, old, folder, name + SCRATCH)
        _rename(folder, name + SCRATCH, folder, name)
