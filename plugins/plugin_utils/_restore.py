# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of restore.yml does on a host, or why it does nothing. Findings in, sentences out."""

from __future__ import annotations

from typing import Any, NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils._restore import PLACED
from ansible_collections.vigil.monitoring.plugins.module_utils._version import plain_version
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _own_variables, _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._move import is_older, mib
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import nearest

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
    """

    name: str
    title: str
    version: str
    downgrades: bool
    data: str
    files: list
    holds: Any


class Plan(NamedTuple):
    """What a run does on a host.

    :ivar problems: why nothing is done: sentences.
    :ivar words: what is done: sentences.
    :ivar services: those whose data is restored, each a dict.
    """

    problems: list
    words: list
    services: list


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
    if there["own"] and not replace and there["phase"] != PLACED:
        return (
            "{0} on {1} {2} and has data of its own in {3}: {4}. To replace it, set restore_replace: true; it is kept until the"
            " restored data is verified".format(
                title, host, "runs" if there["active"] else "does not run", one.data, one.holds(there["listing"])
            )
        )
    return None


def _words(host, one, described, there, work, size):
    version = plain_version(described["version"])
    text = "{0} {1}: {2} MiB into {3} on {4}".format(one.title, version, mib(size), one.data, host)
    if work == VERIFY:
        return text + " are in place since an earlier run, and are verified"
    if work == AGAIN:
        text += ", after what an interrupted run has begun is undone"
    if there["own"]:
        text += "; what is there is put aside: {0}".format(one.holds(there["listing"]))
    if is_older(version, one.version):
        text += "; {0} {1} upgrades it".format(one.title, one.version)
    return text
