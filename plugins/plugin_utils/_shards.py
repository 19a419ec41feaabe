# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers of a group scrape the same targets, and which of them scrapes a target. Data in, data out.

Targets are split as Prometheus' own ``hashmod`` does it, but here, before they are written to files: so each server discovers
only what it scrapes, the verification knows which targets it has to have, and the jobs need no rules of relabelling.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem, shown

# How the targets of a group are split: each by itself, all of a job together, or not at all.
BY_TARGET, BY_JOB, ON_ALL = "target", "job", "all"
SPLITS = (BY_TARGET, BY_JOB, ON_ALL)


class Shard(NamedTuple):
    """A part of the targets.

    :ivar number: which one, from 0 on.
    :ivar of: how many there are.
    """

    number: int
    of: int

    def has(self, *values: str) -> bool:
        """Whether what has these values of its labels belongs to this part."""
        return self.of == 1 or hashmod(values, self.of) == self.number


WHOLE = Shard(0, 1)


class ShardError(ValueError):
    """A variable cannot say which part of the targets a server scrapes.

    :ivar problem: the same as a :class:`_problems.Problem`.
    """

    def __init__(self, host: str, problem: Problem):
        super().__init__("{0}: {1}".format(host, problem))
        self.problem = problem


def hashmod(values: Iterable[str], modulus: int) -> int:
    """The action ``hashmod`` of Prometheus' relabelling, with its default separator.

    :param values: those of the source labels, in their order.
    """
    digest = hashlib.md5(";".join(values).encode("utf-8"), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "big") % modulus


def present(role: str, hosts: Iterable[str], value: Callable) -> list[str]:
    """The hosts of a group on which the service of a role is to be, in their order.

    :param value: function of a host and the name of a variable.
    """
    return [host for host in hosts if value(host, role + "_state") != "absent"]


def shards(role: str, hosts: Iterable[str], value: Callable) -> dict[str, Shard]:
    """The part of the targets that each server of a group scrapes.

    Without a variable of its own the first server has the first part, the second one the second, and after the last part it
    begins again: so a host that is added at the end changes no other one's part.

    :param role: prefix of the variables.
    :param hosts: names of the hosts of the group, in the order of the inventory.
    :param value: function of a host and the name of a variable.
    :raises ShardError: for values that are none.
    """
    counts, found = {}, {}
    names = {name: "{0}_{1}".format(role, name) for name in ("shards", "shard")}
    for host in present(role, hosts, value):
        of = _number(value(host, names["shards"]), 1, host, names["shards"])
        place = counts[of] = counts.get(of, -1) + 1
        given = value(host, names["shard"])
        number = place % of if given in (None, "") else _number(given, 0, host, names["shard"])
        if number >= of:
            remedy = "write one from 0 to {0}, as {1} is {2}".format(of - 1, names["shards"], of)
            raise ShardError(host, Problem(names["shard"], "is {0}".format(number), remedy))
        found[host] = Shard(number, of)
    return found


def shard_of(role: str, host: str, hosts: Iterable[str], value: Callable) -> Shard:
    """The part of the targets that one server scrapes.

    :param hosts: names of the hosts of the group; where the server is not among them, it says its part itself.
    :raises ShardError: for values that are none.
    """
    hosts = list(hosts)
    if host in hosts:
        return shards(role, hosts, value).get(host, WHOLE)
    found = shards(role, [host], value).get(host, WHOLE)
    if found.of > 1 and value(host, role + "_shard") in (None, ""):
        text = "is {0}, and the host is not in the group {1}, where its place tells which part it scrapes".format(
            found.of, role
        )
        raise ShardError(host, Problem(role + "_shards", text, "set {0}_shard".format(role)))
    return found


def relabelling(shard: Shard) -> list[dict]:
    """The rules by which Prometheus itself keeps its part of a job's targets, as ``relabel_configs``."""
    if shard.of == 1:
        return []
    label = "__tmp_hash"
    return [
        {"source_labels": ["__address__"], "modulus": shard.of, "target_label": label, "action": "hashmod"},
        {"source_labels": [label], "regex": str(shard.number), "action": "keep"},
    ]


def _number(found, least: int, host: str, variable: str) -> int:
    number = 1 if found is None else found
    if isinstance(number, str) and number.strip().isdigit():
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        remedy = "write a whole number, {0} or more".format(least)
        raise ShardError(host, Problem(variable, "is {0}".format(shown(found)), remedy))
    return number


def replicas(found: Mapping[str, Shard]) -> dict[Shard, list[str]]:
    """Each part with the servers that scrape it, in the order of the inventory.

    :param found: what :func:`shards` returns.
    """
    groups = {}
    for host, shard in found.items():
        groups.setdefault(shard, []).append(host)
    return dict(sorted(groups.items(), key=lambda item: (item[0].of, item[0].number)))


def check_group(role: str, hosts: Iterable[str], value: Callable) -> list[tuple[str, Problem]]:
    """What is wrong with a group of servers as a whole: host and problem.

    :param role: prefix of the variables.
    :param hosts: names of the hosts of the group, in the order of the inventory.
    :param value: function of a host and the name of a variable.
    """
    names = present(role, hosts, value)
    try:
        found = shards(role, names, value)
    except ShardError:
        return []  # said of the host itself
    problems = []
    for of in sorted({shard.of for shard in found.values()}):
        those = [host for host in names if found[host].of == of]
        missing = sorted(set(range(of)) - {found[host].number for host in those})
        if missing:
            text = "is {0}, and no host of the group scrapes part {1} (parts begin with 0)".format(
                of, ", ".join(map(str, missing))
            )
            remedy = "add hosts, give one of them {0}_shard, or lower the number".format(role)
            problems.append((those[0], Problem(role + "_shards", text, remedy)))
    by_name = {}
    for host in names:
        name = value(host, role + "_replica")
        if name and value(host, role + "_replica_label"):
            by_name.setdefault(str(name), []).append(host)
    for name, those in by_name.items():
        if len(those) > 1:
            text = "is {0} on {1}".format(shown(name), " and ".join(those))
            remedy = "give each its own, or leave it out: then it is the name of the host"
            problems.append((those[-1], Problem(role + "_replica", text, remedy)))
    return problems
