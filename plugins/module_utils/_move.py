# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One of the two hosts between which the data of a service moves."""

from __future__ import annotations

import base64
import json
import os

from ansible_collections.vigil.monitoring.plugins.module_utils import _data_copy, _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._deployed import Records
from ansible_collections.vigil.monitoring.plugins.module_utils._disk_space import free_bytes
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import DEFAULT_HOST
from ansible_collections.vigil.monitoring.plugins.module_utils._endpoint import answer
from ansible_collections.vigil.monitoring.plugins.module_utils._health import complete
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    State,
    ensure_directory,
    mark_writer,
    newest_writer,
    read_json,
    restore_context,
    write_atomically,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._runtimes import Runtimes

COPYING, PLACED = "copying", "placed"


class DataOfService:
    """The data of a service on this host.

    :param service: its name.
    :param data_dir: the directory; that of the last verification where it is None.
    :param machine: the host, a :class:`_system.System`.
    """

    def __init__(self, service, data_dir, machine):
        self.service, self.machine = service, machine
        self.record = Records(machine).get(service)
        config_dir = (self.record or {}).get("removal", {}).get("config_dir")
        self.state = State(config_dir) if config_dir else None
        verified = self.state.verified() if self.state else {}
        self.verified = verified
        self.data_dir = (data_dir or verified.get("data_dir") or "").rstrip("/")
        # What is remembered of the move; not among the records, as it is none.
        self._note = os.path.join(machine.records_directory, service + ".move")

    @property
    def staging(self):
        """Directory of the copy that is under way."""
        return os.path.join(self.data_dir, _data_copy.STAGING)

    def inspect(self):
        """What is there: see the keys. The listing is that of the copy where one is under way."""
        there = bool(self.data_dir) and os.path.isdir(self.data_dir) and not os.path.islink(self.data_dir)
        note = read_json(self._note, None, roots=True) or {}
        return {
            "record": self.record,
            "removed": bool((self.record or {}).get("removed")),
            "active": self._is_active(),
            "verified": bool(self.verified),
            "version": self.verified.get("data_version"),
            "data_dir": self.data_dir,
            "there": there,
            "foreign": _data_copy.foreign(self.data_dir) if there else [],
            "listing": self._listing(self.data_dir) if there else {},
            "copied": self._listing(self.staging) if there else {},
            "writer": newest_writer(self.data_dir) if there else None,
            "free": free_bytes(self.data_dir) if self.data_dir else None,
            "origin": note.get("origin"),
            "phase": note.get("phase"),
            "evidence": note.get("evidence"),
        }

    def _listing(self, folder):
        if not os.path.isdir(folder) or os.path.islink(folder):
            return {}

        def work(stream):
            stream.write(json.dumps(_data_copy.listing(folder)).encode("ascii"))

        with _data_copy.as_owner(self.data_dir, work) as stream:
            return json.load(stream)

    def _is_active(self):
        if not self.record or self.record.get("removed"):
            return False
        removal = self.record["removal"]
        params = {
            "name": removal["name"],
            "state": "stopped",
            "runtime": "systemd",
            "docker_host": removal.get("docker_host") or DEFAULT_HOST,
            "dropin": "",
            **dict.fromkeys(("unit", "container", "image", "candidate")),
        }
        runtimes, manifest = Runtimes(params, self.state, self.machine), self.state.manifest()
        runtimes.know(manifest)
        runtime = runtimes.of(manifest)
        return runtime.has(manifest) and runtime.is_active(runtime.inspect())

    def spared(self):
        """The files without which the data cannot be read, each with its content; they are secret."""
        paths = ((self.record or {}).get("removal") or {}).get("spare") or []
        found = [(path, _nofollow.read_bytes(path, roots=False)) for path in paths if _nofollow.inspect(path)]
        return [{"path": path, "content": base64.b64encode(data).decode("ascii")} for path, data in found if data]

    def begin(self, origin):
        """Remember that a copy is under way."""
        self._remember(origin, COPYING)

    def _remember(self, origin, phase, evidence=None):
        note = {"origin": origin, "phase": phase, "evidence": evidence}
        if read_json(self._note, None, roots=True) != note:
            ensure_directory(self.machine.records_directory, 0o700)
            write_atomically(self._note, json.dumps(note).encode("utf-8"), 0o600)

    def read(self, part, target):
        """Write a part of the data, see :func:`_data_copy.read`, to a file in the temporary directory of the task.

        It belongs to whom the directory belongs to: who has logged in to become root fetches it.
        """
        folder = os.path.dirname(target)
        if os.path.lexists(target):
            os.unlink(target)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(target, flags, 0o600), "w+b") as stream:
            _data_copy.as_owner(self.data_dir, lambda out: _data_copy.read(self.data_dir, part, out), stream)
            there = os.stat(folder)
            os.fchown(stream.fileno(), there.st_uid, there.st_gid)

    def write(self, remove, make, part, listed, source):
        """Make the copy the same as the data, as far as this part goes."""
        with open(source or os.devnull, "rb") as stream:

            def work(dummy):
                os.makedirs(self.staging, 0o700, exist_ok=True)
                _data_copy.shape(self.staging, remove, make)
                _data_copy.write(self.staging, part, listed, stream)

            _data_copy.as_owner(self.data_dir, work).close()
        if source:
            # No second copy of all data on the way.
            os.unlink(source)

    def write_spared(self, files):
        """Have the files there without which the data cannot be read; a deployment gives them their owner.

        :raises HostError: when another one is there.
        """
        changed = False
        for file in files:
            path, data = file["path"], base64.b64decode(file["content"])
            found = _nofollow.read_bytes(path) if _nofollow.inspect(path) else None
            if found and found != data:
                raise HostError("{0} is there already, and not the one that belongs to the data".format(path))
            if not found:
                ensure_directory(os.path.dirname(os.path.dirname(path)))
                ensure_directory(os.path.dirname(path), 0o750)
                write_atomically(path, data, 0o600)
                changed = True
        return changed

    def place(self, origin, writer, evidence):
        """Put the complete copy into its place."""
        foreign = _data_copy.foreign(self.data_dir)
        if foreign and (read_json(self._note, None, roots=True) or {}).get("phase") != PLACED:
            raise HostError("in {0} is something already: {1}".format(self.data_dir, ", ".join(foreign[:3])))
        self._remember(origin, PLACED, evidence)
        _data_copy.as_owner(self.data_dir, lambda stream: _data_copy.place(self.data_dir)).close()
        if writer:
            mark_writer(self.data_dir, writer)
        restore_context([self.data_dir])

    def take_back(self, origin):
        """Have the data that was placed be a copy again; the service must not run."""
        if (read_json(self._note, None, roots=True) or {}).get("phase") != PLACED:
            return False
        if self._is_active():
            raise HostError("{0} runs with its data".format(self.service))
        _data_copy.as_owner(self.data_dir, lambda stream: _data_copy.take_back(self.data_dir)).close()
        self._remember(origin, COPYING)
        return True

    def request(self, requests, login):
        """What the service answers, wherever and however its health was checked the last time."""
        asked = self.state.asked(self.state.manifest()["generation"]) if self.state else None
        if not asked:
            raise HostError("how {0} is reached is not known; run site.yml there first".format(self.service))
        health = {**complete(asked, self.service), **login}
        found = {}
        for title, path in requests.items():
            said = answer(self.machine.get, health, path)[0]
            found[title] = {"status": said.status, "text": said.text}
        return found

    def finish(self):
        """Forget the move."""
        if _nofollow.inspect(self._note) is None:
            return False
        _nofollow.unlink(self._note)
        return True
