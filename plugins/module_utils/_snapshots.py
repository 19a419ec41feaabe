# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The snapshots in a repository of backups: listed, chosen, described by their manifest, and restored into an empty directory.

Nothing is remembered on the host to reach a repository: the password and the keys lie in a directory of root's in memory for the
length of a ``with`` block.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import posixpath
import re
import tempfile
from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils._backup_program import (
    LOCKED,
    MANIFEST,
    PATIENCE,
    TAG,
    BackupError,
    Restic,
    is_ahead,
    seconds,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._disk_space import LEAST_SPACE, free_bytes

# Stands for the directory of password and keys, where options and environment name files in it.
FOLDER = "@access@"
# Options of a module that reads a repository.
ACCESS = {
    "restic": {"type": "path", "required": True},
    "options": {"type": "list", "elements": "str", "default": []},
    "environment": {"type": "dict", "required": True, "no_log": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "ssh_key": {"type": "str", "default": "", "no_log": True},
    "ssh_known_hosts": {"type": "str", "default": ""},
}
LATEST = "latest"
_ID = re.compile(r"[0-9a-f]{4,64}")
_SHOWN = 5
MINUTE = 60
# Files that restic makes and removes while it restores; and what is written besides.
RESERVE = 16 * LEAST_SPACE


class Snapshot(NamedTuple):
    """A snapshot of a host.

    :ivar id: whole, and ``short``.
    :ivar host: the name that the backup gave the host.
    :ivar time: when it was begun, in seconds since 1970.
    :ivar versions: of the services in it, by their names.
    :ivar paths: what was backed up.
    """

    id: str
    short: str
    host: str
    time: float
    versions: dict
    paths: list


def readable(moment: float) -> str:
    """A time for people: UTC, to the minute."""
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def parse(output: str) -> list:
    """The snapshots that ``restic snapshots --json`` lists, the newest first.

    :raises BackupError: when it is something else.
    """
    found = []
    try:
        for one in json.loads(output) or ():
            tags = one.get("tags") or []
            if TAG not in tags:
                continue
            versions = dict(tag.split("=", 1) for tag in tags if "=" in tag)
            moment = seconds(one["time"])
            if moment is None or not _ID.fullmatch(one["id"]):
                raise ValueError
            found.append(Snapshot(one["id"], one["id"][:8], one["hostname"], moment, versions, one["paths"]))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise BackupError("restic does not say which snapshots there are: {0}".format(output.strip()[:200])) from None
    return sorted(found, key=lambda one: one.time, reverse=True)


def choose(snapshots: list, wanted: str, name: str, now: float) -> Snapshot:
    """The snapshot of a host that is wanted.

    The one that seems to be the newest is not meant where a wrong clock has dated it.

    :param snapshots: of all hosts, see :func:`parse`.
    :param wanted: ``latest``, an ID or its beginning, or a time, for the newest that is not after it.
    :param name: of the host in the backup.
    :param now: what the clock of this host says.
    :raises BackupError: when there is none, with those that there are.
    """
    own = [one for one in snapshots if one.host == name]
    if not own:
        others = sorted({one.host for one in snapshots})
        there = "has snapshots of {0}; set restore_from".format(_some(others)) if others else "has no snapshot at all"
        raise BackupError("there is no snapshot of {0}: the repository {1}".format(name, there))
    if wanted == LATEST:
        ahead = [one for one in own if is_ahead(one.time, now)]
        if ahead:
            text = (
                "which snapshot of {0} is the newest cannot be told: the clock of this host says {1}, and of later are {2}. Where this"
                " clock is wrong, set it right. Where that of the backup was, name the snapshot that is meant with"
                " restore_snapshot, or remove those by `restic forget`; {3}"
            )
            before = [one for one in own if one not in ahead]
            newest = "the newest of before is {0}".format(described(before[0])) if before else "there is none of before"
            raise BackupError(text.format(name, readable(now), _some([described(one) for one in ahead]), newest))
        return own[0]
    before = seconds(wanted)
    if before is not None:
        found = [one for one in own if one.time <= before]
        if not found:
            text = "no snapshot of {0} was made before {1}; the oldest is {2}"
            raise BackupError(text.format(name, wanted, described(own[-1])))
        return found[0]
    found = [one for one in own if _ID.fullmatch(wanted) and one.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    newest = _some([described(one) for one in own])
    if found:
        raise BackupError("{0} is the beginning of several snapshots of {1}: {2}".format(wanted, name, newest))
    elsewhere = [one for one in snapshots if _ID.fullmatch(wanted) and one.id.startswith(wanted)]
    if elsewhere:
        text = "snapshot {0} is one of {1}, and not of {2}; set restore_from: {1} if that is meant"
        raise BackupError(text.format(wanted, elsewhere[0].host, name))
    raise BackupError("there is no snapshot {0} of {1}; there are {2}".format(wanted, name, newest))


def described(snapshot: Snapshot) -> str:
    """A snapshot for people."""
    return "{0} of {1}".format(snapshot.short, readable(snapshot.time))


def _some(words):
    rest = len(words) - _SHOWN
    return ", ".join(words[:_SHOWN]) + (" and {0} more".format(rest) if rest > 0 else "")


def manifest_path(snapshot: Snapshot) -> str:
    """Where the manifest is in a snapshot.

    :raises BackupError: when there is none.
    """
    for path in snapshot.paths:
        if path.endswith("/staging/" + MANIFEST):
            return path
    raise BackupError("snapshot {0} has no {1}: the role backup did not make it".format(snapshot.short, MANIFEST))


def parse_manifest(text: str) -> dict:
    """What is in a snapshot: service -> ``version``, ``data``, ``config``, ``files`` and ``sources``, pairs ``from`` and ``to``.

    :raises BackupError: when it says something else; another host has written it.
    """
    try:
        return {
            str(one["name"]): {
                "version": str(one["version"]),
                "data": _clean(one["data"]),
                "config": _clean(one["config"]),
                "files": [_clean(path) for path in one["files"]],
                "sources": [{"from": _clean(source["from"]), "to": _clean(source["to"])} for source in one["sources"]],
            }
            for one in json.loads(text)["services"]
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        raise BackupError("the manifest of the snapshot is not one of the role backup") from None


def _clean(path):
    """An absolute path as restic has it, or None for none."""
    if path is None:
        return None
    clean = posixpath.normpath(path)
    if not clean.startswith("/") or clean.strip("/") == "" or ".." in path.split("/") or "\0" in path:
        raise ValueError(path)
    return clean


def sizes(output: str, services: dict) -> dict:
    """Bytes of the data of each service.

    :param output: of ``restic ls --json``.
    :param services: see :func:`parse_manifest`.
    """
    roots = {source["from"]: name for name, one in services.items() for source in one["sources"]}
    roots.update({path: name for name, one in services.items() for path in one["files"]})
    found = dict.fromkeys(services, 0)
    for line in output.splitlines():
        with contextlib.suppress(ValueError):
            node = json.loads(line)
            if not isinstance(node, dict) or node.get("type") != "file":
                continue
            path = node["path"]
            # The nearest, should one be in the other.
            while path not in roots and path != "/":
                path = posixpath.dirname(path)
            if path in roots:
                found[roots[path]] += node.get("size", 0)
    return found


def pattern(path: str) -> str:
    """A pattern of restic's that matches a path and what is below it, and nothing else."""
    return re.sub(r"([\\*?\[])", r"\\\1", path)


def is_unlockable(errors: str) -> bool:
    """Whether restic could not write a lock into a repository, as where no space is left there or it is read-only. What is in it
    can be restored all the same: nothing is removed there then.
    """
    return "unable to create lock" in errors and LOCKED not in errors


def space_problem(folder: str, size: int):
    """Why so many bytes cannot be restored into a directory, existing or to be created: a sentence, or None."""
    free = free_bytes(folder)
    if free is None or free >= size + RESERVE:
        return None
    return "{0} MiB are to be restored into {1}, and {2} MiB are free there".format(
        (size + RESERVE) >> 20, folder, free >> 20
    )


class Repository:
    """A repository that is reached for the length of a ``with`` block.

    :param access: options as in :data:`ACCESS`.
    """

    def __init__(self, access: dict):
        self._access, self._stack, self._restic = access, contextlib.ExitStack(), None

    def __enter__(self):
        # In memory: a run that is killed leaves no password on a disk.
        above = "/run" if os.access("/run", os.W_OK) else None
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="vigil-repository-", dir=above))
        for name in ("password", "ssh_key", "ssh_known_hosts"):
            text = self._access.get(name) or ""
            path = os.path.join(folder, "known_hosts" if name == "ssh_known_hosts" else name)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w", encoding="utf-8") as stream:
                stream.write(text.rstrip("\n") + "\n")
        environment = {name: str(value).replace(FOLDER, folder) for name, value in self._access["environment"].items()}
        self._restic = Restic(
            {
                "restic": self._access["restic"],
                "options": ["--no-cache", *(one.replace(FOLDER, folder) for one in self._access["options"])],
                "environment": environment,
            },
            PATIENCE,
        )
        return self

    def __exit__(self, *dummy):
        self._stack.close()

    def snapshots(self) -> list:
        """All snapshots of all hosts, the newest first.

        :raises BackupError: when the repository cannot be reached, or the password is wrong.
        """
        return parse(self._restic.must("snapshots", "--json", "--no-lock", "--tag", TAG, timeout=5 * MINUTE))

    def manifest(self, snapshot: Snapshot) -> dict:
        """See :func:`parse_manifest`."""
        path = manifest_path(snapshot)
        return parse_manifest(self._restic.must("dump", "--no-lock", snapshot.id, path, timeout=10 * MINUTE))

    def sizes(self, snapshot: Snapshot, services: dict) -> dict:
        """See :func:`sizes`."""
        return sizes(self._restic.must("ls", "--json", "--no-lock", snapshot.id, timeout=30 * MINUTE), services)

    def restore(self, snapshot_id: str, paths: list, target: str, optional=()) -> None:
        """Restore paths of a snapshot into an empty directory of root's; each lies there below its own path.

        :param optional: further paths, which it need not have.
        :raises BackupError: when one of them is not restored, or the directory is not empty.
        """
        if os.listdir(target):
            raise BackupError("{0} is not empty".format(target))
        include = [part for path in [*paths, *optional] for part in ("--include", pattern(path))]
        # Takes away the locks of processes that are no more, and of no other.
        self._restic.run("unlock", timeout=5 * MINUTE)
        argv = ["restore", snapshot_id, "--target", target, *include]
        status, output, errors = self._restic.run(*argv)
        if status and is_unlockable(errors):
            status, output, errors = self._restic.run(*argv, "--no-lock")
        if status:
            raise BackupError(self._restic.reason(errors or output))
        missing = [path for path in paths if not os.path.lexists(target + path)]
        if missing:
            raise BackupError("snapshot {0} does not have {1}".format(snapshot_id[:8], ", ".join(missing)))
