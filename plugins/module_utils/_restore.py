# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of a service on this host, and how those of a snapshot take its place.

They are restored beside it, in a directory of root's, while the service still runs. Once it is stopped, what is there is put aside on the
same file system, and stays until the service is verified. A note of root's says how far that went: a run that was killed
is undone, or continued, by the next one.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat

from ansible_collections.vigil.monitoring.plugins.module_utils import _data_copy, _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._data_copy import BEFORE, OURS, RESTORED
from ansible_collections.vigil.monitoring.plugins.module_utils._data_directory import SPARED, entries
from ansible_collections.vigil.monitoring.plugins.module_utils._disk_space import nearest
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    ensure_directory,
    mark_writer,
    read_json,
    restore_context,
    write_atomically,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._move import DataOfService
from ansible_collections.vigil.monitoring.plugins.module_utils._snapshots import space_problem

# What a run has begun: nothing of the data has changed yet; it is put aside, or comes back; the restored data takes its place; it is there.
FETCHING, ASIDE, PLACING, PLACED = "fetching", "aside", "placing", "placed"
_OWN = (RESTORED, BEFORE, *SPARED)


class RestoredData(DataOfService):
    """The data of a service that is restored on this host. Parameters as of :class:`_move.DataOfService`."""

    def __init__(self, service, data_dir, machine):
        super().__init__(service, data_dir, machine)
        self._note = os.path.join(machine.records_directory, service + ".restore")
        self.dump = os.path.join(machine.records_directory, service + ".sql")

    @property
    def note(self):
        """What is remembered of a restore that is not verified yet."""
        return read_json(self._note, None, roots=True) or {}

    def inspect(self):
        """What is there, as :meth:`_move.DataOfService.inspect`; ``own`` is what would be there without a restore that was interrupted."""
        found, note = super().inspect(), self.note
        placed = note.get("phase") in (PLACING, PLACED)
        own = [] if placed else found["foreign"]
        before = os.path.join(self.data_dir, BEFORE)
        if found["there"] and os.path.isdir(before) and not os.path.islink(before):
            own = [*own, *_data_copy.foreign(before)]
        return {
            **{name: found[name] for name in ("removed", "active", "verified", "there", "writer", "free")},
            "deployed": bool(found["record"]) and not found["removed"],
            "removal": (found["record"] or {}).get("removal"),
            "verified_dir": self.verified.get("data_dir"),
            "own": sorted(own),
            "listing": found["listing"],
            "phase": note.get("phase"),
            "snapshot": note.get("snapshot"),
        }

    def _remember(self, phase, **further):
        ensure_directory(self.machine.records_directory, 0o700)
        note = {**self.note, "phase": phase, **further}
        write_atomically(self._note, json.dumps(note).encode("utf-8"), 0o600)

    def fetch(self, repository, snapshot, described, size):
        """Restore what a snapshot has of it, beside the data that is there. The service may run.

        :param repository: a :class:`_snapshots.Repository` that is reached.
        :param snapshot: ID of the snapshot.
        :param described: what the manifest says of the service.
        :param size: bytes that are restored.
        :raises HostError: when there is no space, or the directory is not there.
        """
        owner = _data_copy.owner_of(self.data_dir)
        problem = space_problem(self.data_dir, size)
        if problem:
            raise HostError(problem)
        note = self.note
        if note.get("phase") not in (None, FETCHING):
            raise HostError("an earlier restore of {0} has to be undone first".format(self.service))
        device = os.stat(self.data_dir).st_dev
        for name in entries(self.data_dir):
            if os.lstat(os.path.join(self.data_dir, name)).st_dev != device:
                raise HostError(
                    "another file system is mounted on {0}/{1}, and cannot be put aside: unmount it".format(
                        self.data_dir, name
                    )
                )
        _nofollow.remove(os.path.join(self.data_dir, RESTORED))
        # An earlier run may have been killed once it had stopped it.
        self._remember(FETCHING, snapshot=snapshot, was_active=bool(note.get("was_active")) or self._is_active())
        with self._staging(make=True) as folder:
            # By a descriptor: nobody can put another directory in its place while restic writes there as root.
            top = "/proc/{0}/fd/{1}".format(os.getpid(), folder.descriptor)
            os.mkdir(top + "/snapshot", 0o700)
            os.mkdir(top + "/data", 0o700)
            paths = [source["from"] for source in described["sources"]]
            repository.restore(snapshot, paths, top + "/snapshot", optional=described["files"])
            for path in described["files"]:
                _must_be_inside(top + "/snapshot" + path, top)
            _assemble(top, described, self.dump)
            _give(top + "/data", *owner)

    @contextlib.contextmanager
    def _staging(self, make=False):
        with _nofollow.directory(self.data_dir) as data:
            if make:
                data.make(RESTORED)
            with contextlib.closing(data.enter(RESTORED)) as folder:
                if folder.status.st_uid != os.geteuid() or folder.status.st_mode & 0o077:
                    raise HostError("{0} is not root's alone; remove it".format(folder.path))
                yield folder

    def place(self, version, files):
        """Put the data that is there aside, and what was restored in its place. The service does not run.

        :param version: that has written the data.
        :param files: those that belong to the data: pairs of their path in the snapshot, and on this host.
        """
        if self.note.get("phase") != FETCHING:
            raise HostError("{0} was not restored from the snapshot yet".format(self.service))
        if self._is_active():
            raise HostError("{0} runs with its data".format(self.service))
        uid, gid = _data_copy.owner_of(self.data_dir)
        with _nofollow.directory(self.data_dir) as data, self._staging() as folder:
            top = "/proc/self/fd/{0}".format(folder.descriptor)
            there = [(top + "/snapshot" + source, path) for source, path in files]
            restored = {path: _content(source) for source, path in there if os.path.isfile(source)}
            present = [{**_present(path), "restored": _digest(content)} for path, content in restored.items()]
            self._remember(ASIDE, files=present)
            data.make(BEFORE)
            with contextlib.closing(data.enter(BEFORE)) as before:
                _own(before, uid, gid)
                _shift_all(data, before, _OWN)
            self._remember(PLACING)
            with contextlib.closing(folder.enter("data")) as source:
                _shift_all(source, data)
            if version:
                mark_writer(self.data_dir, version)
            for path, content in restored.items():
                _write(path, content)
            data.sync()
        self._remember(PLACED)
        _nofollow.remove(os.path.join(self.data_dir, RESTORED))
        restore_context([self.data_dir, *restored])

    def replaced(self):
        """The files that belong to the restored data, and are others since a deployment."""
        files = self.note.get("files") or ()
        return [one["path"] for one in files if _digest(_nofollow.read_bytes(one["path"]) or b"") != one["restored"]]

    def undo(self):
        """Have the data that was there before be there again. The service does not run.

        :returns: whether there was anything to undo.
        """
        note = self.note
        phase = note.get("phase")
        if phase is None:
            return False
        if phase != FETCHING and self._is_active():
            raise HostError("{0} runs with its data".format(self.service))
        with contextlib.suppress(FileNotFoundError), _nofollow.directory(self.data_dir) as data:
            if phase in (PLACING, PLACED):
                for name in data.names():
                    if name not in _OWN:
                        data.clear(name)
                for one in note.get("files") or ():
                    _put_back(one)
                self._remember(ASIDE)
            if phase != FETCHING and data.is_directory(BEFORE):
                with contextlib.closing(data.enter(BEFORE)) as before:
                    _shift_all(before, data)
                _nofollow.remove_empty(os.path.join(self.data_dir, BEFORE))
            data.sync()
        _nofollow.remove(os.path.join(self.data_dir, RESTORED))
        restore_context([self.data_dir])
        _nofollow.unlink(self._note)
        return True

    def finish(self):
        """Remove what was put aside, and forget the restore; the service is verified.

        :returns: whether there was anything.
        """
        if self.note.get("phase") != PLACED:
            return False
        for name in (BEFORE, RESTORED):
            _nofollow.remove(os.path.join(self.data_dir, name))
        return super().finish()


def _assemble(top, described, dump):
    """Have the directory ``data`` be what the data directory is to be, made of what restic has restored."""
    for source in sorted(described["sources"], key=lambda one: not os.path.isdir(top + "/snapshot" + one["from"])):
        path, target = top + "/snapshot" + source["from"], source["to"]
        _must_be_inside(path, top)
        if target is None:
            ensure_directory(os.path.dirname(dump), 0o700)
            _nofollow.remove(dump)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with open(path, "rb") as stream, os.fdopen(os.open(dump, flags, 0o600), "wb") as out:
                shutil.copyfileobj(stream, out)
        elif os.path.isdir(path) and target == described["data"]:
            for name in os.listdir(path):
                if name not in (*SPARED, *OURS):
                    os.rename(os.path.join(path, name), os.path.join(top, "data", name))
        elif not os.path.isdir(path) and target.startswith(described["data"] + "/"):
            target = top + "/data" + target[len(described["data"]) :]
            os.makedirs(os.path.dirname(target), 0o700, exist_ok=True)
            _must_be_inside(os.path.dirname(target), top)
            os.rename(path, target)
        else:
            raise HostError("{0} does not belong into the data directory {1}".format(target, described["data"]))


def _must_be_inside(path, top):
    """Refuse a path that leads elsewhere by a link in the snapshot: the account of the service may have made that."""
    if os.path.realpath(path) != os.path.realpath(top) + path[len(top) :]:
        raise HostError(
            "{0} in the snapshot is, or lies behind, a symbolic link: restore it by hand".format(path[len(top) :])
        )


def _give(folder, uid, gid):
    """Give what was restored to the account of the service; nobody else reaches it yet. Links of root's, which a deployment makes, go."""
    for path, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            entry = os.path.join(path, name)
            status = os.lstat(entry)
            deployed = stat.S_ISLNK(status.st_mode) and not status.st_uid
            if deployed or not (
                stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)
            ):
                os.unlink(entry)
            else:
                os.chown(entry, uid, gid, follow_symlinks=False)


def _own(folder, uid, gid):
    with folder.readable() as descriptor:
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, 0o700)


def _shift_all(source, target, spared=()):
    """Rename all that is in a directory into another one; what an interrupted run has renamed is there already."""
    for name in source.names():
        if name not in spared:
            _shift(source, target, name)


def _shift(source, target, name):
    try:
        os.rename(name, name, src_dir_fd=source.descriptor, dst_dir_fd=target.descriptor)
        return
    except FileNotFoundError:
        return
    except OSError as error:
        # EXDEV: a directory in the lower layer of an overlay; ENOTEMPTY: a part of that was renamed by a run that was interrupted.
        if error.errno not in (errno.EXDEV, errno.ENOTEMPTY, errno.EEXIST) or not source.is_directory(name):
            raise
    target.make(name)
    with contextlib.closing(source.enter(name)) as inner, contextlib.closing(target.enter(name)) as there:
        if inner.status.st_dev != source.status.st_dev:
            raise HostError("another file system is mounted on {0}; restore by hand".format(inner.path))
        with there.readable() as descriptor:
            os.fchown(descriptor, inner.status.st_uid, inner.status.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(inner.status.st_mode))
        _shift_all(inner, there)
    os.rmdir(name, dir_fd=source.descriptor)


def _content(path):
    with open(path, "rb") as stream:
        return stream.read()


def _present(path):
    """A file as it can be put back."""
    status = _nofollow.inspect(path)
    if status is None:
        return {"path": path, "content": None}
    content = base64.b64encode(_nofollow.read_bytes(path) or b"").decode("ascii")
    owner = {"mode": stat.S_IMODE(status.st_mode), "uid": status.st_uid, "gid": status.st_gid}
    return {"path": path, "content": content, **owner}


def _write(path, content):
    """Write a file that belongs to the data; a deployment gives it its owner, where there was none."""
    status = _nofollow.inspect(path)
    if status is None:
        ensure_directory(os.path.dirname(os.path.dirname(path)))
        ensure_directory(os.path.dirname(path), 0o750)
        write_atomically(path, content, 0o600)
    else:
        _nofollow.write_atomically(path, content, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def _put_back(one):
    if one["content"] is None:
        _nofollow.unlink(one["path"])
    else:
        content = base64.b64decode(one["content"])
        _nofollow.write_atomically(one["path"], content, one["mode"], one["uid"], one["gid"])


def _digest(data):
    return hashlib.sha256(data).hexdigest()


def space_problems(needed):
    """Why there is not enough space for what is restored: a sentence for each file system.

    :param needed: data directory -> bytes.
    """
    devices = {}
    for path, size in needed.items():
        device = os.stat(nearest(path)).st_dev
        first, before = devices.get(device, (path, 0))
        devices[device] = (first, before + size)
    problems = [space_problem(path, size) for path, size in devices.values()]
    return [problem for problem in problems if problem]
