# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of a service on this host, and how those of a snapshot take its place.

They are restored beside it, in a directory of root's, while the service still runs. Once it is stopped, what is there is put aside on the
same file system, and stays until the service is verified; what a database on a server holds is dumped. A note of root's says how far
that went: a run that was killed is undone, or continued, by the next one.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import json
import os
import stat

from ansible_collections.vigil.monitoring.plugins.module_utils import _data_copy, _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._data_copy import BEFORE, RESTORED
from ansible_collections.vigil.monitoring.plugins.module_utils._data_directory import SPARED, entries
from ansible_collections.vigil.monitoring.plugins.module_utils._database import SCRATCH, Database, Unchanged
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
from ansible_collections.vigil.monitoring.plugins.module_utils._restored import (
    assemble,
    dump_of,
    give,
    must_be_inside,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._snapshots import space_problem

# What a run has begun: nothing of the data has changed yet; it is put aside, or comes back; the restored data takes its place; it is there.
FETCHING, ASIDE, PLACING, PLACED = "fetching", "aside", "placing", "placed"
_OWN = (RESTORED, BEFORE, *SPARED)


class RestoredData(DataOfService):
    """The data of a service that is restored on this host. Further parameters as of :class:`_move.DataOfService`.

    :param database: its database on a server, as :class:`_database.Database` takes it; None where it has none.
    """

    def __init__(self, service, data_dir, machine, database=None):
        super().__init__(service, data_dir, machine)
        self._note = os.path.join(machine.records_directory, service + ".restore")
        self._database = database
        # What the database held before, where only root can enter.
        self.dump_before = os.path.join(machine.records_directory, service + ".before.sql")

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
            "database": self._inspect_database(note.get("held") if placed else None),
        }

    def _inspect_database(self, before):
        """``held``, how many tables and other objects it has, or ``problem``; None without a database on a server.

        :param before: how many there were before a restore that was interrupted; None where there was none.
        """
        if not self._database:
            return None
        database = Database(self._database)
        missing = database.missing()
        if missing:
            text = (
                "{0} not installed on this host, and {1} cannot be restored without: install the client of its server"
            )
            return {"problem": text.format(" and ".join(missing) + (" are" if missing[1:] else " is"), database.title)}
        try:
            held = len(database.drops())
        except HostError as error:
            return {"problem": str(error)}
        return {"problem": None, "held": held if before is None else before}

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
                must_be_inside(top + "/snapshot" + path, top)
            dump = dump_of(described)
            if dump and self._database:
                must_be_inside(top + "/snapshot" + dump, top)
                problem = Database(self._database).problem_of(top + "/snapshot" + dump)
                if problem:
                    raise HostError(problem)
            assemble(top, described)
            give(top + "/data", *owner)

    @contextlib.contextmanager
    def _staging(self, make=False):
        with _nofollow.directory(self.data_dir) as data:
            if make:
                data.make(RESTORED)
            with contextlib.closing(data.enter(RESTORED)) as folder:
                if folder.status.st_uid != os.geteuid() or folder.status.st_mode & 0o077:
                    raise HostError("{0} is not root's alone; remove it".format(folder.path))
                yield folder

    def replace(self, version, files, dump=None):
        """Put the data that is there aside, and what was restored in its place. The service does not run.

        :param version: that has written the data.
        :param files: those that belong to the data: pairs of their path in the snapshot, and on this host.
        :param dump: path of the dump of its database in the snapshot; None for none.
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
            self._remember(ASIDE, files=present, held=self._dump_database() if dump else None)
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
            if dump:
                self._load("{0}/snapshot{1}".format(top, dump), (uid, gid))
        self._remember(PLACED)
        _nofollow.remove(os.path.join(self.data_dir, RESTORED))
        restore_context([self.data_dir, *restored])

    def _dump_database(self):
        """Dump what the database holds, where it holds something: how many tables and other objects."""
        database = Database(self._database)
        database.must_be_idle()
        held = len(database.drops())
        if held:
            database.dump(self.dump_before)
        return held

    def _load(self, dump, account):
        self._remember(PLACING, loads=True)
        try:
            Database(self._database, account).load(dump)
        except Unchanged:
            # What keeps it from being loaded would keep what was there before from being loaded as well.
            self._remember(PLACING, loads=False)
            raise

    def _bring_back_database(self, held):
        if not self._database:
            raise HostError(
                "the inventory names the server of the database of {0} no more; what it held is in {1}".format(
                    self.service, self.dump_before
                )
            )
        owner = _data_copy.owner_of(self.data_dir)
        Database(self._database, owner).load(self.dump_before if held else None)

    def _forget_database(self):
        for path in (self.dump_before, self.dump_before + SCRATCH):
            _nofollow.unlink(path)

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
        if note.get("loads"):
            self._bring_back_database(note["held"])
        with contextlib.suppress(FileNotFoundError), _nofollow.directory(self.data_dir) as data:
            if phase in (PLACING, PLACED):
                for name in data.names():
                    if name not in _OWN:
                        data.clear(name)
                for one in note.get("files") or ():
                    _put_back(one)
                self._remember(ASIDE, loads=False)
            if phase != FETCHING and data.is_directory(BEFORE):
                with contextlib.closing(data.enter(BEFORE)) as before:
                    _shift_all(before, data)
                _nofollow.remove_empty(os.path.join(self.data_dir, BEFORE))
            data.sync()
        _nofollow.remove(os.path.join(self.data_dir, RESTORED))
        restore_context([self.data_dir])
        self._forget_database()
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
        self._forget_database()
        return super().finish()


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
