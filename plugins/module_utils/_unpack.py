# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacks an archive, a ``tar.gz`` or a ``zip``. Imported only by a run that installs something."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils._disk_space import free_bytes
from ansible_collections.vigil.monitoring.plugins.module_utils._release import ReleaseError, no_space, split_member

SYNCS_AT_ONCE = 8
# More than any release has; Grafana's, the largest, unpacks to 500 MiB in 15,000 files.
LARGEST = 4 << 30  # bytes, unpacked
MOST_FILES = 200_000
# An archive of programs shrinks to a third. One that grows by more than this is a bomb, once it is larger than that.
LARGEST_RATIO = 100
SMALL = 16 << 20  # bytes, unpacked


class Member(NamedTuple):
    """What is in an archive, of either kind.

    :ivar name: its path, as the archive has it.
    :ivar kind: ``file``, ``directory`` or ``other``.
    :ivar mode: permission bits.
    :ivar mtime: seconds since the epoch.
    :ivar size: bytes.
    :ivar open: called without an argument, gives a binary stream.
    """

    name: str
    kind: str
    mode: int
    mtime: float
    size: int
    open: Callable


def unpack(archive, target, executables=(), role=None, usual="tar.gz"):
    """Unpack a ``tar.gz`` or a ``zip`` below a new directory, without the archive's own top directory, or put a program
    there that is published without one.

    Owners and modes are set here, whatever the archive and the umask say. Times are the archive's, so that unpacking
    twice gives the same result. Everything is on the disk, not only in its cache, on return.

    :param archive: path of the file.
    :param target: absolute path of the directory, which does not exist.
    :param executables: names of the files that become executable, beside those that are so in the archive; each must be
        in it.
    :param role: whose variables a message names.
    :param usual: what the archive should be, for the message about one that is none.
    :raises ReleaseError: for an archive that is damaged, unsafe, incomplete or too large for the disk.
    """
    releases, needed = os.path.dirname(os.path.dirname(target)), 0
    try:
        kind = kind_of(archive)
        if kind == "program" and not executables:
            raise ReleaseError(f"it is a program, not a {usual}")
        free = free_bytes(os.path.dirname(target))
        needed = _needed(archive, kind, free)
        if free is not None and needed > free:
            raise no_space(releases, needed, free, role)
        os.mkdir(target, 0o700)
        os.chmod(target, 0o755)
        names = _place(archive, target, executables[0]) if kind == "program" else _extract(archive, target, executables)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, UnicodeError, struct.error) as error:
        raise ReleaseError(f"the archive is damaged or is not a {usual}: {error or 'it ends too early'}") from error
    except (NotImplementedError, RuntimeError) as error:  # a zip with a password, or of a method that Python lacks
        raise ReleaseError(f"the archive cannot be unpacked: {error}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_space(releases, needed, free_bytes(os.path.dirname(target)), role) from error
        if error.errno is None:  # gzip.BadGzipFile
            raise ReleaseError(f"the archive is damaged or is not a {usual}: {error}") from error
        raise
    missing = [name for name in executables if name not in names]
    if missing:
        raise ReleaseError(f"the archive has no {', '.join(missing)}; it has {', '.join(sorted(names)[:20])}")


def kind_of(archive):
    """``program``, ``zip``, or ``tar.gz`` for everything else."""
    with open(archive, "rb") as stream:
        start = stream.read(4)
    return {b"\x7fELF": "program", b"PK\3\4": "zip"}.get(start, "tar.gz")


def unpacked_size(archive):
    """Bytes of an archive when unpacked, as it says itself and without unpacking it; 0 where it says nothing."""
    try:
        return _needed(archive, kind_of(archive), None)
    except (OSError, EOFError, struct.error, zipfile.BadZipFile):
        return 0


def _needed(archive, kind, free):
    if kind == "program":
        return os.path.getsize(archive)
    if kind == "zip":
        with zipfile.ZipFile(archive) as bundle:
            return sum(member.file_size for member in bundle.infolist())
    needed = _stated_size(archive)
    # The quick answer may be wrong for a damaged archive: ask the archive itself before refusing it.
    return _exact_size(archive) if free is not None and needed > free else needed


def _place(program, target, name):
    path = os.path.join(target, name)
    with open(program, "rb") as source:
        # No archive tells its time, and the copy's is that of the run.
        _write(source, path, 0o755, 0)
    _sync(path)
    _sync(target)
    return {name}


def _members(archive):
    """The members of an archive of either kind, as they come: a tar.gz is decompressed once."""
    if kind_of(archive) == "zip":
        with zipfile.ZipFile(archive) as bundle:
            for info in bundle.infolist():
                yield _of_zip(bundle, info)
        return
    with tarfile.open(archive, "r:gz") as tar:
        for info in tar:
            kind = "directory" if info.isdir() else "file" if info.isreg() and not info.issparse() else "other"
            yield Member(info.name, kind, info.mode, info.mtime, info.size, lambda info=info: tar.extractfile(info))


def _of_zip(bundle, info):
    mode, kind = info.external_attr >> 16, "directory" if info.is_dir() else "file"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        kind = "other"
    try:
        written = max(time.mktime((*info.date_time, 0, 0, -1)), 0)
    except (OverflowError, ValueError):
        written = 0
    return Member(info.filename, kind, mode, written, info.file_size, lambda: bundle.open(info))


def _extract(archive, target, executables):
    """Write the members as they come."""
    names, tops, directories, written, total = set(), set(), {target}, [], 0
    packed = os.path.getsize(archive)
    largest = min(LARGEST, max(SMALL, LARGEST_RATIO * packed))
    for count, member in enumerate(_members(archive), 1):
        top, name = split_member(member.name)
        if member.kind == "other":
            raise ReleaseError(f"the archive is unsafe: its member {member.name!r} is a link or a device")
        tops.add(top)
        total += member.size
        if total > largest or count > MOST_FILES:
            raise ReleaseError(
                f"the archive is unsafe: {packed >> 10} KiB of it unpack to {total >> 20} MiB or more in {count} files or more"
            )
        if member.kind == "directory":
            continue
        if not name or len(tops - {""}) > 1:
            raise ReleaseError(f"the archive has more than one top directory: {member.name!r} lies beside it")
        path = os.path.join(target, name)
        executable = name in executables or member.mode & 0o100
        try:
            _make_parents(path, target, directories)
            with member.open() as source:
                _write(source, path, 0o755 if executable else 0o644, member.mtime)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise ReleaseError(f"the archive is damaged: it has {member.name!r} twice") from error
        written.append(path)
        names.add(name)
    # Grafana has thousands of files. Synced together once all are written, they share the disk's writes.
    with ThreadPoolExecutor(SYNCS_AT_ONCE) as pool:
        for dummy in pool.map(_sync, [*written, *directories]):
            pass  # an error is raised here
    return names


def _make_parents(path, target, directories):
    missing = []
    parent = os.path.dirname(path)
    while parent not in directories:
        missing.append(parent)
        parent = os.path.dirname(parent)
    for directory in reversed(missing):
        os.mkdir(directory, 0o700)
        os.chmod(directory, 0o755)
        directories.add(directory)


def _write(source, path, mode, mtime):
    with open(path, "xb") as stream:
        shutil.copyfileobj(source, stream, 1 << 20)
        stream.flush()
        os.fchmod(stream.fileno(), mode)
        os.utime(stream.fileno(), (mtime, mtime))


def _sync(path):
    """Have a file, or a directory's entries, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stated_size(archive):
    """Bytes of the archive when unpacked, from the last field of a gzip file: known without decompressing it."""
    with open(archive, "rb") as stream:
        if stream.seek(0, os.SEEK_END) < 18:
            raise EOFError("it ends too early")
        stream.seek(-4, os.SEEK_END)
        return struct.unpack("<I", stream.read(4))[0]


def _exact_size(archive):
    with tarfile.open(archive, "r:gz") as tar:
        return sum(member.size for member in tar)
