# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of restore.yml does on a host, or why it does nothing. Findings in, sentences out."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any, NamedTuple

from ansible import constants as C
from ansible_collections.vigil.monitoring.plugins.module_utils._restore import PLACED, dump_of
from ansible_collections.vigil.monitoring.plugins.module_utils._restore_lock import advice, described
from ansible_collections.vigil.monitoring.plugins.module_utils._version import plain_version
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _own_variables, _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._move import is_older, mib
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import nearest
from ansible_collections.vigil.monitoring.plugins.plugin_utils._rollout import is_alive

# What is done with the data of a service: everything; everything, after what an earlier run has begun is undone; verify what that
# has put in place.
RESTORE, AGAIN, VERIFY = "restore", "again", "verify"
# The variables of restore.yml, as options of the module.
SPEC = {
    "services": {"type": "list", "elements": "str", "default": []},
    "snapshot": {"type": "str", "default": "latest"},
    "from": {"type": "str", "default": ""},
    "replace": {"type": "bool", "default": False},
}


class Wanted(NamedTuple):
    """A service of the host, as the inventory wants it.

    :ivar holds: function of a listing: what the data directory holds, in words.
    :ivar database: its database on a server, in words; None where it has none.
    """

    name: str
    title: str
    version: str
    downgrades: bool
    data: str
    files: list
    holds: Any
    database: Any = None


class Plan(NamedTuple):
    """What a run does on a host.

    :ivar problems: why nothing is done: sentences.
    :ivar words: what is done: sentences.
    :ivar services: those whose data is restored, each a dict.
    """

    problems: list
    words: list
    services: list


def this_run() -> dict:
    """Which run of Ansible this is; a task is a process of its own."""
    process = os.getppid()
    found = {"controller": socket.gethostname(), "process": process, "folder": C.DEFAULT_LOCAL_TMP}
    return {**found, "machine": _machine(), "started": _started(process)}


def is_gone(run: dict) -> bool:
    """Whether a run is known to have ended: one of this controller's, whose process is no more.

    :param run: see :func:`this_run`.
    """
    here = (socket.gethostname(), _machine())
    if (run["controller"], run["machine"]) != here:
        return False
    return not is_alive(run["process"]) or _started(run["process"]) != run["started"]


def _machine():
    """The boot of the controller, and the processes that it can see; empty where it does not run Linux."""
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return "{0} {1}".format(stream.read().strip(), os.readlink("/proc/self/ns/pid"))
    return ""


def _started(process):
    """When a process was started, in ticks since the boot; an ID may be given again."""
    with (
        contextlib.suppress(OSError),
        open("/proc/{0}/stat".format(process), encoding="utf-8", errors="replace") as stream,
    ):
        return stream.read().rpartition(")")[2].split()[19]
    return ""


def beside_problems(read: dict) -> list[str]:
    """What is under way on the host that no restore begins beside: sentences.

    :param read: what the module restore_data has read: ``under_way`` and ``beside``.
    """
    other = read["under_way"]
    if not other or is_gone(other["run"]):
        return read["beside"]
    return ["{0}; {1}".format(described(other), advice()), *read["beside"]]


def input_problems(given: dict, in_scope: dict) -> list[str]:
    """What cannot work of the variables of restore.yml: sentences.

    :param given: by their names in :data:`SPEC`.
    :param in_scope: all variables of the host.
    """
    names = ["restore_" + name for name in SPEC]
    own = [*(in_scope.get("monitoring_own_variables") or ()), "restore_test_*"]
    found = [str(typo) for typo in _own_variables.sort_out("restore", names, in_scope, own)[0]]
    for name in given["services"]:
        if name not in _rooms.names():
            other = nearest(name, _rooms.names())
            meant = "; did you mean {0}?".format(other) if other else ""
            found.append("restore_services: there is no service {0}{1}".format(name, meant))
    return found


def chosen(services: list, names: list, host: str) -> tuple[list, list]:
    """The services of a host that are restored, and what of it is not there: sentences.

    :param services: :class:`Wanted` of all that are on the host.
    :param names: of those that are wanted, none for all.
    """
    there = [one.name for one in services]
    missing = ["{0} is not on {1}".format(name, host) for name in names if name not in there]
    return [one for one in services if not names or one.name in names], missing


def plan(host: str, services: list, read: dict, replace: bool, named: list) -> Plan:
    """What is done.

    :param services: :class:`Wanted`, in the order of their deployment.
    :param read: what the module restore_data has read.
    :param replace: whether data that is there may be replaced.
    :param named: names of the services that were named.
    """
    snapshot, problems, words, found = read["snapshot"], list(read["space"]), [], []
    for one in services:
        described, there = snapshot["manifest"].get(one.name), read["found"].get(one.name)
        if described is None or not described["sources"]:
            text = "{0} has no data in snapshot {1}".format(one.title, snapshot["described"])
            if one.name in named:
                problems.append(text)
            elif there:
                words.append(text + "; it is deployed without")
            continue
        problem = _problem(host, one, described, there, replace)
        if problem:
            problems.append(problem)
            continue
        work = RESTORE
        if there["phase"]:
            work = VERIFY if there["phase"] == PLACED and there["snapshot"] == snapshot["id"] else AGAIN
        size = snapshot["sizes"].get(one.name, 0)
        words.append(_words(host, one, described, there, work, size))
        found.append(
            {
                "service": one.name,
                "title": one.title,
                "work": work,
                "stage": not there["deployed"] or not there["there"],
                "data_dir": one.data,
                "described": described,
                "snapshot": snapshot["id"],
                "size": size,
                "files": [list(pair) for pair in zip(described["files"], one.files)],
                "removal": there["removal"] if there["deployed"] else None,
            }
        )
    if not found and not problems and named:
        problems.append("nothing is to be restored on {0}".format(host))
    return Plan(problems, ["snapshot {0}".format(snapshot["described"]), *words], found)


def _problem(host, one, described, there, replace):
    title, name = one.title, one.name
    if not there:
        return "{0} keeps no data on {1}: its backup is of another configuration".format(title, host)
    inside = described["data"] or ""
    for source in described["sources"]:
        target = source["to"]
        if target is not None and target != inside and not target.startswith(inside + "/"):
            return "{0} in the backup of {1} does not lie in its data directory {2}: restore it by hand".format(
                target, title, inside
            )
    if len(described["files"]) != len(one.files):
        return "the files that belong to the data of {0} are others in the backup: {1}".format(
            title, described["files"]
        )
    version = plain_version(described["version"])
    if not one.downgrades and is_older(one.version, version):
        return (
            "{0} {1} has written the data in the snapshot, and {2}_version of {3} is {4}: deploy {1} or newer, or choose an older"
            " snapshot".format(title, version, name, host, one.version)
        )
    if there["deployed"] and there["verified_dir"] and there["verified_dir"].rstrip("/") != one.data.rstrip("/"):
        return "the data of {0} on {1} is in {2}, and is to be in {3}: run site.yml first".format(
            title, host, there["verified_dir"], one.data
        )
    problem = _database_problem(host, one, described, there)
    if problem:
        return problem
    own = _own(one, there)
    if own and not replace and there["phase"] != PLACED:
        return (
            "{0} on {1} {2} and has data of its own in {3}. To replace it, set restore_replace: true; it is kept until the"
            " restored data is verified".format(title, host, "runs" if there["active"] else "does not run", own)
        )
    return None


def _database_problem(host, one, described, there):
    dump = dump_of(described)
    if dump and not one.database:
        return (
            "the database of {0} was on a server when the snapshot was made, and by the inventory it is on none on {1}: restore it with"
            " the settings of then".format(one.title, host)
        )
    if one.database and not dump:
        return "the snapshot has no dump of the database of {0}, which is {1}: restore it with the settings of then".format(
            one.title, one.database
        )
    return there["database"]["problem"] if one.database else None


def _own(one, there):
    """What is there and would be replaced, in words; empty for nothing."""
    found = ["{0}: {1}".format(one.data, one.holds(there["listing"]))] if there["own"] else []
    held = one.database and there["database"]["held"]
    found += ["{0}: {1} tables and sequences".format(one.database, held)] if held else []
    return ", and in ".join(found)


def _words(host, one, described, there, work, size):
    version = plain_version(described["version"])
    text = "{0} {1}: {2} MiB into {3} on {4}".format(one.title, version, mib(size), one.data, host)
    if one.database:
        text += ", and its dump into {0}".format(one.database)
    if work == VERIFY:
        return text + " are in place since an earlier run, and are verified"
    if work == AGAIN:
        text += ", after what an interrupted run has begun is undone"
    own = _own(one, there)
    if own:
        text += "; what is there is kept until all is verified: {0}".format(own)
    if is_older(version, one.version):
        text += "; {0} {1} upgrades it".format(one.title, one.version)
    return text
