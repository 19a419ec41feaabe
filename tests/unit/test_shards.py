# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replicas and shards: which servers scrape the same, and who scrapes a target."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _shards
from ansible_collections.vigil.monitoring.plugins.plugin_utils._shards import Shard

# What the action hashmod of model/relabel of Prometheus 3.16.0 gives, with its default separator.
REAL = {
    ("web1",): {1: 0, 2: 1, 3: 1, 4: 3, 7: 0, 10: 1, 1000: 31},
    ("10.0.0.1:9100",): {1: 0, 2: 1, 3: 2, 4: 1, 7: 2, 10: 5, 1000: 645},
    ("größe",): {1: 0, 2: 1, 3: 2, 4: 3, 7: 6, 10: 3, 1000: 683},
    ("a", "b"): {1: 0, 2: 0, 3: 2, 4: 2, 7: 2, 10: 4, 1000: 74},
    ("", "b"): {1: 0, 2: 1, 3: 0, 4: 3, 7: 0, 10: 1, 1000: 571},
    ("",): {1: 0, 2: 0, 3: 1, 4: 2, 7: 1, 10: 8, 1000: 958},
    ("[2001:db8::1]:9100",): {1: 0, 2: 1, 3: 2, 4: 3, 7: 5, 10: 7, 1000: 47},
}


@pytest.mark.parametrize("values", REAL)
def test_targets_are_split_as_prometheus_does_it(values):
    assert {modulus: _shards.hashmod(values, modulus) for modulus in REAL[values]} == REAL[values]


def group(**hosts):
    """The hosts and the function that tells their variables, which are given without ``prometheus_``."""

    def value(host, name):
        return {"prometheus_replica_label": "replica", "prometheus_replica": host, **given[host]}.get(name)

    given = {
        host: {"prometheus_" + name: found for name, found in variables.items()} for host, variables in hosts.items()
    }
    return "prometheus", list(hosts), value


@pytest.mark.parametrize(
    ("hosts", "wanted"),
    [
        ({}, {}),
        ({"a": {}}, {"a": Shard(0, 1)}),
        # All of them scrape the same: replicas.
        ({"a": {}, "b": {}}, {"a": Shard(0, 1), "b": Shard(0, 1)}),
        ({"a": {"shards": 2}, "b": {"shards": 2}}, {"a": Shard(0, 2), "b": Shard(1, 2)}),
        ({"a": {"shards": "2"}, "b": {"shards": "2"}}, {"a": Shard(0, 2), "b": Shard(1, 2)}),
        # Who is added at the end changes no other one's part.
        (
            {name: {"shards": 2} for name in "abcde"},
            {"a": Shard(0, 2), "b": Shard(1, 2), "c": Shard(0, 2), "d": Shard(1, 2), "e": Shard(0, 2)},
        ),
        (
            {"a": {"shards": 2, "shard": 1}, "b": {"shards": 2, "shard": "0"}, "c": {"shards": 2, "shard": ""}},
            {"a": Shard(1, 2), "b": Shard(0, 2), "c": Shard(0, 2)},
        ),
        # Whoever is to be removed has no place.
        ({"a": {"shards": 2, "state": "absent"}, "b": {"shards": 2}}, {"b": Shard(0, 2)}),
        # One that scrapes all, such as for long-term storage, beside those that scrape a part.
        (
            {"a": {}, "b": {"shards": 2}, "c": {"shards": 2}},
            {"a": Shard(0, 1), "b": Shard(0, 2), "c": Shard(1, 2)},
        ),
    ],
)
def test_which_server_scrapes_which_part(hosts, wanted):
    assert _shards.shards(*group(**hosts)) == wanted
    assert _shards.check_group(*group(**hosts)) == ([] if len(wanted) != 1 or "a" in wanted else [MISSING])


MISSING = (
    "b",
    _shards.Problem(
        "prometheus_shards",
        "is 2, and no host of the group scrapes part 1 (parts begin with 0)",
        "add hosts, give one of them prometheus_shard, or lower the number",
    ),
)


def test_servers_of_one_part_are_replicas():
    found = _shards.shards(*group(**{name: {"shards": 2} for name in "abc"}, d={}))
    assert _shards.replicas(found) == {Shard(0, 1): ["d"], Shard(0, 2): ["a", "c"], Shard(1, 2): ["b"]}


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        ({"a": {"shards": 0}}, ["a: prometheus_shards: is 0", "1 or more"]),
        ({"a": {"shards": -1}}, ["prometheus_shards: is -1"]),
        ({"a": {"shards": True}}, ["prometheus_shards: is True"]),
        ({"a": {"shards": "two"}}, ["prometheus_shards: is 'two'"]),
        ({"a": {"shards": 2, "shard": 2}}, ["a: prometheus_shard: is 2", "from 0 to 1, as prometheus_shards is 2"]),
        ({"a": {"shards": 2, "shard": "x"}}, ["prometheus_shard: is 'x'", "0 or more"]),
        ({"a": {"shard": 1}}, ["prometheus_shard: is 1; write one from 0 to 0"]),
    ],
)
def test_values_that_are_none(hosts, words):
    with pytest.raises(_shards.ShardError) as error:
        _shards.shards(*group(**hosts))
    assert [word for word in words if word not in str(error.value)] == []
    # Each host says that of itself.
    assert _shards.check_group(*group(**hosts)) == []


@pytest.mark.parametrize(
    ("hosts", "found"),
    [
        ({"a": {"replica": "x"}, "b": {"replica": "y"}}, []),
        ({"a": {"replica": "x"}, "b": {"replica": "x", "replica_label": ""}}, []),
        ({"a": {"replica": "x"}, "b": {"replica": "x", "state": "absent"}}, []),
        ({"a": {"replica": "x"}, "b": {"replica": "x"}}, [("b", "prometheus_replica: is 'x' on a and b")]),
        ({"a": {"shards": 3}, "b": {"shards": 3}}, [("a", "no host of the group scrapes part 2")]),
        ({"a": {"shards": 2, "shard": 1}, "b": {"shards": 2, "shard": 1}}, [("a", "scrapes part 0")]),
        # Different numbers are different sets of servers, each of which has to be complete.
        ({"a": {"shards": 2}, "b": {"shards": 3}}, [("a", "part 1"), ("b", "part 1, 2")]),
    ],
)
def test_a_group_in_which_each_host_is_right_and_all_are_not(hosts, found):
    problems = _shards.check_group(*group(**hosts))
    assert [host for host, problem in problems] == [host for host, words in found]
    assert [words for (host, words), (same, problem) in zip(found, problems) if words not in str(problem)] == []


def test_all_targets_are_at_exactly_one_of_the_shards():
    names = [f"host-{number}" for number in range(1000)]
    for of in (1, 2, 3, 5):
        parts = [{name for name in names if Shard(number, of).has(name)} for number in range(of)]
        assert sum(map(len, parts)) == 1000
        assert set().union(*parts) == set(names)
        assert min(map(len, parts)) > 1000 / of * 0.8


def test_a_server_outside_of_its_group_says_its_part_itself():
    role, hosts, value = group(a={}, b={"shards": 2}, c={"shards": 2, "shard": 1}, d={"shards": 2, "state": "absent"})
    assert _shards.shard_of(role, "a", ["other"], value) == Shard(0, 1)
    assert _shards.shard_of(role, "c", [], value) == Shard(1, 2)
    assert _shards.shard_of(role, "c", ["b", "c"], value) == Shard(1, 2)
    with pytest.raises(
        _shards.ShardError, match=r"^b: prometheus_shards: is 2, and the host is not in the group prometheus"
    ):
        _shards.shard_of(role, "b", ["c"], value)
    # What is to be removed is compared with nothing, and refused for nothing.
    assert _shards.shard_of(role, "d", hosts, value) == Shard(0, 1)
