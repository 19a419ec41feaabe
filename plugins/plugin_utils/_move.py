# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a service can move from one host to another, and what a run of move.yml has to do. Findings in, sentences out."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils._data_copy import size_of
from ansible_collections.vigil.monitoring.plugins.module_utils._disk_space import LEAST_SPACE
from ansible_collections.vigil.monitoring.plugins.module_utils._move import PLACED
from ansible_collections.vigil.monitoring.plugins.module_utils._version import version_key
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import nearest

# What a run has to do: everything; everything, after what an earlier run has placed is a copy again; verify and go on; nothing.
COPY, AGAIN, VERIFY, DONE = "copy", "again", "verify", "done"
USAGE = "name the service and both hosts: -e service=prometheus -e from=OLD -e to=NEW"


class Decision(NamedTuple):
    """What a run does.

    :ivar work: :data:`COPY`, :data:`AGAIN`, :data:`VERIFY` or :data:`DONE`.
    :ivar words: sentences for the person who runs it.
    :ivar problem: why nothing is done: a sentence, or None.
    """

    work: str
    words: list
    problem: str | None = None


def hosts_of(groups: dict, service: str, source: str, target: str, limit: str = "") -> dict:
    """The hosts of a move, and in words why there is none.

    :param groups: the magic variable.
    :returns: ``source``, ``target`` and ``missing``; without a move both are a host that there is.
    """
    known = [*(groups.get("all") or ())]
    missing = _missing(groups, known, service, source, target, limit)
    if missing:
        some = limit or (known[0] if known else "localhost")
        return {"source": some, "target": some, "missing": missing}
    return {"source": source, "target": target, "missing": ""}


def _missing(groups, known, service, source, target, limit):
    if not (service and source and target):
        return USAGE
    if service not in _rooms.names():
        other = nearest(service, _rooms.names())
        return "there is no service {0}{1}".format(service, "; did you mean {0}?".format(other) if other else "")
    for host in (source, target):
        if host not in known:
            other = nearest(host, known)
            meant = (
                "; did you mean {0}?".format(other) if other else ". It has to be reachable: keep it in the inventory"
            )
            return "the inventory has no host {0}{1}".format(host, meant)
    if source == target:
        return "from and to are the same host: for another directory on it, see prometheus_move_data and the like"
    if limit:
        return "leave --limit out: other hosts refer to the service, and follow it"
    members = groups.get(service) or ()
    change = []
    if target not in members:
        change.append("put {0} into it".format(target))
    if source in members:
        change.append("take {0} out of it (keep it in the inventory, so that it is reached)".format(source))
    if change:
        return "the inventory has to say first where {0} is to run. In the group {0}, {1}; then run this again".format(
            service, " and ".join(change)
        )
    return ""


def decide(service: str, hosts: tuple, source: dict, target: dict, version: str, downgrades: bool) -> Decision:
    """What a run does.

    :param service: its name.
    :param hosts: names of the host where it is and of the one where it is to be.
    :param source: what the module move_data has found on the one.
    :param target: and on the other.
    :param version: that is deployed on the other.
    :param downgrades: whether an older version may get the data.
    """
    here, there = hosts
    words = {"service": service, "here": here, "there": there, "old": source["data_dir"], "new": target["data_dir"]}
    deployed = bool(source["record"]) and not source["removed"]
    if target["phase"] == PLACED and target["origin"] == here:
        if (target["active"] and target["verified"]) or not deployed:
            return Decision(
                VERIFY, ["its data was moved to {there} by an earlier run, which is completed".format(**words)]
            )
        return Decision(AGAIN, ["an earlier run was interrupted, and is completed"])
    if not deployed and target["active"]:
        return Decision(
            DONE, ["{service} runs on {there}, and no longer on {here}: there is nothing to move".format(**words)]
        )
    problem = _problem(words, deployed, source, target, version, downgrades)
    if problem:
        return Decision(DONE, [], problem)
    size = size_of(source["listing"])
    text = "{0} MiB in {old} on {here} go to {new} on {there}, through this machine".format(mib(size), **words)
    copied = size_of(target["copied"])
    return Decision(COPY, [text + ("; {0} MiB of it are there already".format(mib(copied)) if copied else "")])


def _problem(words, deployed, source, target, version, downgrades):
    if not deployed:
        return "nothing of {service} is deployed on {here}; if it never was, run site.yml".format(**words)
    if not words["old"] or not words["new"]:
        return (
            "{service} keeps no data on the host: run site.yml, which deploys it on {there}, and then"
            " remove.yml -e host={here} -e service={service}"
        ).format(**words)
    if not source["there"]:
        return "{old} on {here} is no directory; there is no data to move".format(**words)
    if target["active"] or target["foreign"]:
        found = ", ".join(target["foreign"][:3])
        return (
            "{service} {0} on {there}, which would be lost: to give it up, run remove.yml -e host={there} -e service={service}"
            " -e remove_data=true, and then this again".format(
                "is deployed and has data of its own"
                if target["active"]
                else "has left data in {new} ({0})".format(found, **words),
                **words,
            )
        )
    newest = source["writer"] or source["version"]
    if newest and version and not downgrades and is_older(version, newest):
        return "its data was written by version {0}, and {service}_version of {there} is {1}: deploy {0} or newer there".format(
            newest, version, **words
        )
    size, free = size_of(source["listing"]), target["free"]
    if free is not None and free + size_of(target["copied"]) < size + LEAST_SPACE:
        return "its data in {old} on {here} has {0} MiB, and for {new} on {there} are only {1} MiB free".format(
            mib(size), mib(free), **words
        )
    return None


def is_older(version: str, newest: str) -> bool:
    """Whether a version that is to be deployed is older than the one that has written the data."""
    # Such as `latest`: what that is, is known once it is installed, and the data is marked with the newest version.
    return version[:1].isdigit() and version_key(version) < version_key(newest)


def mib(size: int) -> int:
    """Bytes in MiB, rounded up."""
    return -(-size >> 20) if size else 0


def pause_options(removal: dict, state: str) -> dict:
    """The options of the module service that stop a deployed service, or start it again.

    :param removal: how it is removed, by its record on the host.
    :param state: ``stopped`` or ``started``.
    """
    known = {name: removal[name] for name in ("name", "role", "config_dir", "docker_host") if name in removal}
    return {**known, "state": state}


def lost(before: dict, after: dict) -> list:
    """What of a service's data is not found again: sentences.

    :param before: what was found on the old host: what is compared -> list of texts.
    :param after: the same on the new one.
    """
    found = []
    for title, things in before.items():
        gone = [thing for thing in things if thing not in set(after.get(title) or ())]
        if gone:
            text = "{0} of {1} {2} not found on the new host, such as {3}"
            found.append(text.format(len(gone), len(things), title, gone[0]))
    return found


def compared(before: dict) -> str:
    """What was compared, for the person who runs it."""
    counts = ["{0} {1}".format(len(things), title) for title, things in before.items()]
    return "; ".join(counts) if counts else "nothing that could be compared"
