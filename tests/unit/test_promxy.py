# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""promxy: whom it asks, how it is configured, and what tells that all of them have answered."""

from __future__ import annotations

import json

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _promxy_answer
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _promxy
from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana_sources import sources
from ansible_collections.vigil.monitoring.plugins.plugin_utils._scrape import ScrapeError
from role_inputs import Inputs, release, room

LOGIN = {"basic_auth": {"username": "vigil-promxy"}}


def asked(hosts, own_host="p", groups=("prometheus",), **inventory):
    inventory = {"prometheus": list(hosts), **inventory}
    return _promxy.server_groups(
        groups, inventory, lambda host, name: hosts.get(host, {}).get(name), own_host, {"password": LOGIN}
    )


def summed(found):
    return [
        (group["static_configs"][0]["targets"], group["scheme"], group["path_prefix"], group["anti_affinity"])
        for group in found["groups"]
    ]


@pytest.mark.parametrize(
    ("hosts", "wanted"),
    [
        ({}, []),
        ({"a": {}}, [(["a:9090"], "http", "", "15s")]),
        (
            {"b": {}, "a": {"monitoring_address": "2001:db8::1"}},
            [(["[2001:db8::1]:9090", "b:9090"], "http", "", "15s")],
        ),
        # The longest interval of the replicas: a gap is longer than that.
        (
            {"a": {"prometheus_global": {"scrape_interval": "1m30s"}}, "b": {}},
            [(["a:9090", "b:9090"], "http", "", "90s")],
        ),
        (
            {name: {"prometheus_shards": 2} for name in "abc"},
            [(["a:9090", "c:9090"], "http", "", "15s"), (["b:9090"], "http", "", "15s")],
        ),
        ({"a": {"prometheus_state": "absent"}, "b": {"prometheus_agent_mode": True}}, []),
        (
            {"a": {"prometheus_web_external_url": "https://x/prom/", "prometheus_web_listen_address": ":1"}},
            [(["a:1"], "http", "/prom", "15s")],
        ),
        # Replicas of which only some are closed: no password is sent to the others.
        ({"a": {}, "b": {"prometheus_tls": True}}, [(["b:9090"], "https", "", "15s")]),
        ({"p": {"prometheus_web_listen_address": "127.0.0.1:9090"}}, [(["127.0.0.1:9090"], "http", "", "15s")]),
    ],
)
def test_the_servers_that_are_asked(hosts, wanted):
    assert summed(asked(hosts)) == wanted


def test_only_those_that_are_closed_are_shown_a_password():
    found = asked({"a": {"prometheus_tls": True}, "b": {"monitoring_tls": True}, "c": {"prometheus_shards": 1}})
    assert found["closed"]
    assert [group["http_client"] for group in found["groups"]] == [{"dial_timeout": "2s", **LOGIN}]
    found = asked({"a": {}})
    assert not found["closed"]
    assert [group["http_client"] for group in found["groups"]] == [{"dial_timeout": "2s"}]


def test_a_server_that_cannot_be_reached_is_named():
    with pytest.raises(
        ScrapeError,
        match=r"the Prometheus of a listens on 127\.0\.0\.1 alone, where the promxy of p .*promxy_prometheus_groups",
    ):
        asked({"a": {"prometheus_web_listen_address": "127.0.0.1:9090"}})


def test_hosts_that_one_part_alone_scrapes_are_looked_for():
    hosts = {"a": {"prometheus_shards": 2}, "b": {"prometheus_shards": 2}}
    exporters = [f"host-{number}" for number in range(40)]
    parts = asked(hosts, node_exporter=exporters, alertmanager=["m"])["parts"]
    assert [part["servers"] for part in parts] == [["a"], ["b"]]
    for number, part in enumerate(parts):
        assert len(part["hosts"]) == 3
        assert all(_promxy._shards.hashmod([name], 2) == number for name in part["hosts"])
    # What the user changes is for him to know.
    changed = {name: {"monitoring_labels": {"host": "x"}} for name in exporters[:38]}
    found = asked({**hosts, **changed}, prometheus=["a", "b"], node_exporter=exporters)["parts"]
    assert {name for part in found for name in part["hosts"]} == set(exporters[38:])
    other = {name: {**of, "prometheus_scrape_groups": {"node_exporter": False}} for name, of in hosts.items()}
    assert [part["hosts"] for part in asked(other, node_exporter=exporters)["parts"]] == [[], []]


PARTS = [{"servers": ["a", "c"], "hosts": ["h.1", "h2"]}, {"servers": ["b"], "hosts": ["h3"]}]


def answer(*hosts):
    return json.dumps({"status": "success", "data": {"result": [{"metric": {"host": host}} for host in hosts]}})


FAILED = json.dumps({"status": "error", "errorType": "execution", "error": "Unable to fetch from downstream servers"})


@pytest.mark.parametrize(
    ("parts", "body", "words"),
    [
        (PARTS, answer("h2", "h3"), ""),
        (PARTS, answer("h.1", "h2", "h3"), ""),
        (PARTS, answer("h2"), "without data of b: none of h3"),
        (PARTS, answer("h3", "other"), "without data of a and c: none of h.1, h2"),
        (
            PARTS,
            FAILED,
            "fails (Unable to fetch from downstream servers): of each part of the targets a Prometheus has to answer",
        ),
        (PARTS, "<html>", "not one of Prometheus' API"),
        (PARTS, "[]", "not one of Prometheus' API"),
        ([], answer(), ""),
        ([{"servers": ["a"], "hosts": []}], answer(), "without data of a"),
        (
            [{"servers": ["a"], "hosts": []}],
            json.dumps({"status": "success", "data": {"result": [{"metric": {}}]}}),
            "",
        ),
    ],
)
def test_an_answer_has_data_of_each_part(parts, body, words):
    finding = _promxy_answer.judge(body, parts)
    assert finding.state == ("wait" if words else "ok")
    assert words in finding.text


def test_what_is_asked():
    assert _promxy_answer.query(PARTS) == r'count by (host) (up{host=~"h\\.1|h2|h3"})'
    assert _promxy_answer.query([{"servers": ["a"], "hosts": []}]) == "count(up)"


FOUND = {
    "groups": [
        {"static_configs": [{"targets": ["a:9090"]}], "http_client": {"dial_timeout": "2s", **LOGIN}, "scheme": "http"}
    ],
    "parts": PARTS,
    "closed": False,
}


def made(**given):
    i = Inputs("promxy", {"vigil.monitoring.promxy_server_groups": [FOUND]}, **given)
    return i, room("promxy")


def test_its_configuration():
    i, promxy = made(
        server_group_options={"timeout": "5s", "scheme": "https", "http_client": {"dial_timeout": "1s"}},
        server_groups=[{"static_configs": [{"targets": ["far:9090"]}], "ignore_error": True}],
    )
    own, other = promxy.config(i)["promxy"]["server_groups"]
    assert own == {
        "static_configs": [{"targets": ["a:9090"]}],
        "http_client": {"dial_timeout": "1s", **LOGIN},
        "scheme": "https",
        "timeout": "5s",
    }
    assert other["ignore_error"]


def test_its_command_line():
    i, promxy = made(config_flags_extra={"query.timeout": "1m", "access-log-destination": "stdout"})
    assert promxy.arguments(i, release("promxy")) == [
        "--config=/etc/promxy/promxy.yml",
        "--http.shutdown-delay=0s",
        "--bind-addr=0.0.0.0:8082",
        "--query.timeout=1m",
        "--access-log-destination=stdout",
    ]


def names(hosts, proxies=("p",), groups=None, **more):
    inventory = {"prometheus": list(hosts), "promxy": list(proxies), "other": ["o"]}
    value = {**hosts, **more}
    found = sources(
        groups or [{"prometheus": "Prometheus"}],
        inventory,
        lambda host, name: value.get(host, {}).get(name),
        "g",
        "promxy",
    )
    return [(source["name"], source["url"], source.get("isDefault", False)) for source in found]


def test_grafanas_default_is_what_survives_the_loss_of_a_replica():
    assert names({"a": {}, "b": {}}) == [
        ("Prometheus", "http://p:8082", True),
        ("Prometheus a", "http://a:9090", False),
        ("Prometheus b", "http://b:9090", False),
    ]
    # Without promxy everything is as it was.
    plain = [("Prometheus", "http://a:9090", True), ("Prometheus b", "http://b:9090", False)]
    assert names({"a": {}, "b": {}}, proxies=[]) == plain
    assert names({"a": {}, "b": {}}, p={"promxy_state": "absent"}) == plain
    assert names({"a": {}}, proxies=["p", "q"]) == [
        ("Prometheus", "http://p:8082", True),
        ("Prometheus promxy q", "http://q:8082", False),
        ("Prometheus a", "http://a:9090", False),
    ]


def test_the_interval_is_that_of_the_servers_behind():
    hosts = {"a": {"prometheus_global": {"scrape_interval": "1m"}}}
    inventory = {"prometheus": ["a"], "promxy": ["p"]}
    found = sources([{"prometheus": "P"}], inventory, lambda host, name: hosts.get(host, {}).get(name), "g", "promxy")
    assert [source["jsonData"]["timeInterval"] for source in found] == ["1m", "1m"]
