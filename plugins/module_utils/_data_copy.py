# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of a service on its way to another host: listed, read and written in parts, and put into its place at the end.

What is copied while the service runs may change meanwhile: a file has the change time that it was listed with, so the copy after the
stop finds it to differ. All is done with the rights of the account that the data belongs to.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import struct
import tempfile
import zlib
from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._backup_program import LINKS
from ansible_collections.vigil.monitoring.plugins.module_utils._data_directory import (
    SCRATCH,
    SPARED,
    as_account,
    entries,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._host import WRITER, HostError

# In the data directory: the copy, until it is complete.
STAGING = ".vigil-move"
# What is restored there of a backup, until it is complete; and what was there before, until the service is verified.
RESTORED, BEFORE = ".vigil-restore", ".vigil-before"
# What a run leaves there that was interrupted.
UNFINISHED = (STAGING, RESTORED, BEFORE)
# What is in a data directory, and is no data of the service; a backup may be running at any moment.
OURS = (WRITER, LINKS, *UNFINISHED)
LENGTH = struct.Struct(">q")
GONE = -1
BLOCK = 1 << 20
FILE, FOLDER, LINK = "f", "d", "l"


class Plan(NamedTuple):
    """What makes a copy the same as the data.

    :ivar remove: paths that go, those inside a directory before it.
    :ivar make: directories and links, as pairs of a path and what is listed of it, a directory before what is inside.
    :ivar copy: paths of files.
    """

    remove: list
    make: list
    copy: list


def difference(source: dict, target: dict) -> Plan:
    """What a copy lacks, and what it has too much.

    :param source: the listing of the data, see :func:`listing`.
    :param target: the listing of the copy.
    """
    remove = [path for path, found in target.items() if path not in source or source[path][0] != found[0]]
    make, copy = [], []
    for path, found in sorted(source.items()):
        there = target.get(path)
        if there == found or (found[0] == FOLDER and there and there[0] == FOLDER):
            continue
        if found[0] == FILE:
            copy.append(path)
        else:
            make.append([path, found])
            if there and path not in remove:
                remove.append(path)
    return Plan(sorted(remove, reverse=True), make, copy)


def parts(paths: list, source: dict, most: int) -> list:
    """The files in parts of at most so many bytes: lists of ``[path, offset, length]``.

    :param source: the listing of the data.
    """
    found, part, room = [], [], most
    for path in paths:
        size, offset = source[path][1], 0
        while True:
            length = min(size - offset, room)
            part.append([path, offset, length])
            offset, room = offset + length, room - length
            if room <= 0 or len(part) >= 2000:
                found.append(part)
                part, room = [], most
            if offset >= size:
                break
    return [*found, part] if part else found


def size_of(source: dict) -> int:
    """Bytes of all files of a listing."""
    return sum(found[1] for found in source.values() if found[0] == FILE)


def listing(folder: str) -> dict:
    """What is in a directory: relative path -> ``[f, size, change time in ns, mode]``, ``[d, mode]`` or ``[l, target]``.

    Root's own links are left out: they lead to what a deployment makes.
    """
    found = {}

    def visit(inside):
        for name in sorted(os.listdir(os.path.join(folder, inside))):
            path = os.path.join(inside, name)
            if not inside and name in (*SPARED, *OURS):
                continue
            name.encode("utf-8")
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(os.path.join(folder, path))
                mode = stat.S_IMODE(status.st_mode)
                if stat.S_ISDIR(status.st_mode):
                    found[path] = [FOLDER, mode]
                    visit(path)
                elif stat.S_ISREG(status.st_mode):
                    found[path] = [FILE, status.st_size, status.st_mtime_ns, mode]
                elif stat.S_ISLNK(status.st_mode) and status.st_uid:
                    found[path] = [LINK, os.readlink(os.path.join(folder, path))]

    if os.path.isdir(folder):
        visit("")
    return found


def read(folder: str, part: list, stream) -> None:
    """Write the bytes of a part to a stream, compressed: for each piece its length, :data:`GONE` for none, and its bytes.

    :param part: see :func:`parts`.
    """
    packer = zlib.compressobj(1)
    for path, offset, length in part:
        try:
            descriptor = os.open(os.path.join(folder, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            stream.write(packer.compress(LENGTH.pack(GONE)))
            continue
        with os.fdopen(descriptor, "rb") as source:
            source.seek(offset)
            data = source.read(length)
        stream.write(packer.compress(LENGTH.pack(len(data))))
        stream.write(packer.compress(data))
    stream.write(packer.flush())


def write(folder: str, part: list, source: dict, stream) -> None:
    """Write what :func:`read` has read.

    :param source: what the listing of the data says of these files.
    :raises HostError: when it is not what was read.
    """
    data = _Unpacked(stream)
    for path, offset, length in part:
        target = os.path.join(folder, checked(path))
        size = LENGTH.unpack(data.take(LENGTH.size))[0]
        if size > length:
            raise HostError("what was read of {0} is longer than it was listed".format(path))
        flags = os.O_WRONLY | os.O_NOFOLLOW | (0 if offset else os.O_CREAT | os.O_TRUNC)
        with os.fdopen(os.open(target + SCRATCH, flags, 0o600), "wb") as out:
            out.seek(offset)
            if size > 0:
                out.write(data.take(size))
        if offset + length >= source[path][1]:
            if size == GONE:
                # It will not be in the next listing either.
                os.unlink(target + SCRATCH)
                continue
            os.chmod(target + SCRATCH, stat.S_IMODE(source[path][3]))
            os.utime(target + SCRATCH, ns=(source[path][2], source[path][2]))
            os.rename(target + SCRATCH, target)


class _Unpacked:
    """The bytes of a compressed stream."""

    def __init__(self, stream):
        self.stream, self.unpacker, self.rest = stream, zlib.decompressobj(), bytearray()

    def take(self, size):
        """So many of them."""
        while len(self.rest) < size:
            block = self.stream.read(BLOCK)
            if not block:
                raise HostError("a part of the data did not arrive whole")
            self.rest += self.unpacker.decompress(block)
        found = bytes(self.rest[:size])
        del self.rest[:size]
        return found


def checked(path: str) -> str:
    """A path that stays inside the copy; another host has named it.

    :raises HostError: when it does not.
    """
    if not path or path.startswith("/") or any(word in ("", ".", "..") for word in path.split("/")):
        raise HostError("{0!r} is no path inside a directory of data".format(path))
    return path


def shape(folder: str, remove: list, make: list) -> None:
    """Remove what is too much in a copy, and make its directories and links."""
    for path in remove:
        target = os.path.join(folder, checked(path))
        if os.path.isdir(target) and not os.path.islink(target):
            shutil.rmtree(target)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(target)
    for path, found in make:
        target = os.path.join(folder, checked(path))
        if found[0] == FOLDER:
            os.makedirs(target, exist_ok=True)
            os.chmod(target, stat.S_IMODE(found[1]) | 0o700)
        else:
            os.symlink(found[1], target)


def owner_of(folder: str) -> tuple:
    """The account that a directory of data belongs to.

    :raises HostError: when there is none, or it is a link.
    """
    status = _nofollow.directory_status(folder)
    if status is None:
        raise HostError("the data directory {0} does not exist".format(folder))
    return status.st_uid, status.st_gid


def as_owner(folder: str, work, stream=None):
    """Do something with the rights of the account that a directory belongs to.

    :param work: gets a file to write to.
    :param stream: that file, which root has opened; a temporary one by default.
    :returns: that file, to be read.
    """
    uid, gid = owner_of(folder)
    stream = stream or tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it

    def child():
        work(stream)
        stream.flush()

    as_account(uid, gid, child)
    stream.seek(0)
    return stream


def foreign(folder: str) -> list:
    """What is in a data directory that neither is a copy or a restore under way nor empty."""
    found = []
    for name in entries(folder):
        path = os.path.join(folder, name)
        empty = os.path.isdir(path) and not os.path.islink(path) and not os.listdir(path)
        if name not in OURS and not empty and not (os.path.islink(path) and not os.lstat(path).st_uid):
            found.append(name)
    return found


def place(folder: str) -> None:
    """Have the complete copy be the data; what was begun of that is completed."""
    staging = os.path.join(folder, STAGING)
    if not os.path.isdir(staging):
        return
    for name in sorted(os.listdir(staging)):
        _shift(os.path.join(staging, name), os.path.join(folder, name))
    os.rmdir(staging)
    os.sync()


def _shift(path, target):
    """Rename, also a directory over one that is there, in which only empty directories or links of root's are."""
    if os.path.isdir(path) and not os.path.islink(path) and os.path.isdir(target) and os.listdir(target):
        for name in os.listdir(path):
            _shift(os.path.join(path, name), os.path.join(target, name))
        os.rmdir(path)
    else:
        os.rename(path, target)


def take_back(folder: str) -> None:
    """Have the data be a copy under way again, which a further run completes."""
    staging = os.path.join(folder, STAGING)
    os.makedirs(staging, 0o700, exist_ok=True)
    for name in entries(folder):
        if name not in (WRITER, STAGING) and not os.path.lexists(os.path.join(staging, name)):
            os.rename(os.path.join(folder, name), os.path.join(staging, name))
