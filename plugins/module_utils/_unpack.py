# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacks a release's archive. Imported only by a run that installs something."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import tarfile
import zlib
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.vigil.monitoring.plugins.module_utils._release import ReleaseError, split_member

SYNCS_AT_ONCE = 8


def unpack(archive, target, executables, role):
    """Unpack a ``tar.gz`` below a new directory, without the archive's own top directory, or put a program there that
    is published without one.

    Owners and modes are set here, whatever the archive and the umask say. Times are the archive's, so that unpacking
    twice gives the same result. Everything is on the disk, not only in its cache, on return.

    :param archive: path of the file.
    :param target: absolute path of the directory, which does not exist.
    :param executables: names of the files that become executable, beside those that are so in the archive; each must be
        in it.
    :raises ReleaseError: for an archive that is damaged, unsafe, incomplete or too large for the disk.
    """
    try:
        free = _free(os.path.dirname(target))
        bare = _is_program(archive)
        # The quick answer may be wrong for a damaged archive: ask the archive itself before refusing it.
        needed = os.path.getsize(archive) if bare else _stated_size(archive)
        if needed > free and not bare:
            needed = _exact_size(archive)
        if needed > free:
            raise _full(target, needed, free, role)
        os.mkdir(target, 0o700)
        os.chmod(target, 0o755)
        names = _place(archive, target, executables[0]) if bare else _extract(archive, target, executables)
    except (tarfile.TarError, zlib.error, EOFError, UnicodeError, struct.error) as error:
        raise ReleaseError(f"the archive is damaged or is no tar.gz: {error or 'it ends too early'}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(target, needed, _free(os.path.dirname(target)), role) from error
        if error.errno is None:  # gzip.BadGzipFile
            raise ReleaseError(f"the archive is damaged or is no tar.gz: {error}") from error
        raise
    missing = [name for name in executables if name not in names]
    if missing:
        raise ReleaseError(f"the archive has no {', '.join(missing)}; it has {', '.join(sorted(names)[:20])}")


def _is_program(archive):
    with open(archive, "rb") as stream:
        return stream.read(4) == b"\x7fELF"


def _place(program, target, name):
    path = os.path.join(target, name)
    with open(program, "rb") as source:
        # No archive tells its time, and the copy's is that of the run.
        _write(source, path, 0o755, 0)
    _sync(path)
    _sync(target)
    return {name}


def _extract(archive, target, executables):
    """Write the members as they come: the archive is decompressed once."""
    names, tops, directories, written = set(), set(), {target}, []
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            top, name = split_member(member.name)
            if not (member.isdir() or member.isreg()):
                raise ReleaseError(f"the archive is unsafe: its member {member.name!r} is a link or a device")
            tops.add(top)
            if member.isdir():
                continue
            if not name or len(tops - {""}) > 1:
                raise ReleaseError(f"the archive has more than one top directory: {member.name!r} lies beside it")
            path = os.path.join(target, name)
            _make_parents(path, target, directories)
            executable = name in executables or member.mode & 0o100
            _write(tar.extractfile(member), path, 0o755 if executable else 0o644, member.mtime)
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


def _free(directory):
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def _full(target, needed, free, role):
    return ReleaseError(
        f"no space in {os.path.dirname(os.path.dirname(target))}: the release needs {needed >> 20} MiB unpacked, "
        f"{free >> 20} MiB are free. Make room, or set monitoring_release_dir. {role} was not changed."
    )
