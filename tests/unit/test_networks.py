# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From which networks a service can be reached: what its unit and nftables say, and what is refused."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _networks
from role_inputs import Inputs, room

RELEASE = {"version": "9.9.9"}
NETWORKS = ["10.0.0.0/8", "fd00::/8"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10.0.0.5/8", "write 10.0.0.0/8 for the network, or 10.0.0.5 for the address"),
        ("mon1.example.org", "write a network such as 10.0.0.0/8 or fd00::/8, or an address"),
        ("10.0.0.0/33", "write a network such as"),
        ("", "write a network such as"),
        ("fe80::1%eth0/64x", "write a network such as"),
        (10, "write a network such as"),
        ("any } accept; drop", "write a network such as"),
    ],
)
def test_what_is_no_network(text, words):
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        _networks.network(text)


@pytest.mark.parametrize(
    ("allowed", "denied", "connects_out", "expected"),
    [
        ([], [], False, {}),
        ([], None, True, {}),
        (NETWORKS, [], False, {"IPAddressDeny": "any", "IPAddressAllow": "localhost 10.0.0.0/8 fd00::/8"}),
        (["192.0.2.1"], [], False, {"IPAddressDeny": "any", "IPAddressAllow": "localhost 192.0.2.1/32"}),
        # It would lose what it connects to.
        (NETWORKS, [], True, {}),
        ([], ["169.254.169.254"], True, {"IPAddressDeny": "169.254.169.254/32"}),
        (NETWORKS, ["fd00:ec2::254"], True, {"IPAddressDeny": "fd00:ec2::254/128"}),
    ],
)
def test_the_filter_of_a_unit(allowed, denied, connects_out, expected):
    counted = {"IPAccounting": True} if expected else {}
    assert _networks.unit_directives(allowed, denied, connects_out) == {**expected, **counted}


def test_rules_for_nftables():
    text = _networks.ruleset(
        "alertmanager",
        [("udp", 9094), ("tcp", 9093), ("tcp", 9094), ("tcp", 9093)],
        ["10.1.0.0/16", "10.0.0.0/8", "fd00::/8"],
    )
    assert "table inet vigil_monitoring {\n  chain alertmanager {" in text
    # Before the engine leads published ports elsewhere, and nothing but these ports.
    assert "hook prerouting priority -150; policy accept;" in text
    assert "meta l4proto . th dport != { tcp . 9093, tcp . 9094, udp . 9094 } accept" in text
    # Of two networks, one in the other, a set takes only the larger.
    assert "    ip saddr { 10.0.0.0/8 } accept\n    ip6 saddr { fd00::/8 } accept\n    drop\n" in text
    order = [
        text.index(words) for words in ("dport", 'iifname "lo" accept', "ct direction reply", "fib daddr", "ip saddr")
    ]
    assert order == sorted(order)


def test_networks_of_one_family_close_the_other():
    text = _networks.ruleset("x", [("tcp", 1)], ["10.0.0.0/8"])
    assert "ip6" not in text and text.count("accept\n") == 5 and text.endswith("    drop\n  }\n}\n")


# The services that only answer, with the inputs that make them so.
ANSWERING = [
    ("node_exporter", {}),
    ("process_exporter", {}),
    ("cadvisor", {}),
    ("postgres_exporter", {}),
    ("postgres_exporter", {"name": "postgresql://u@127.0.0.1:5432/shop"}),
    ("redis_exporter", {}),
    ("redis_exporter", {"addr": "unix:///run/redis.sock"}),
]
CONNECTING = [
    ("prometheus", {}),
    ("alertmanager", {}),
    ("grafana", {}),
    ("blackbox_exporter", {}),
    ("postgres_exporter", {"name": "postgresql://u@db.example.org/shop"}),
    ("postgres_exporter", {"name": "postgresql:///a,postgresql://u@db/b"}),
    ("postgres_exporter", {"dsn_file": "/etc/dsn"}),
    ("postgres_exporter", {"auth_modules": {"a": {}}}),
    ("redis_exporter", {"addr": "redis.example.org:6379"}),
    ("redis_exporter", {"passwords": {"redis://other:6379": "x"}}),
]


@pytest.mark.parametrize(("name", "given"), ANSWERING)
def test_a_service_that_only_answers(name, given):
    assert not room(name).connects_out(Inputs(name, **given).get)


@pytest.mark.parametrize(("name", "given"), CONNECTING)
def test_a_service_that_connects_to_others(name, given):
    assert room(name).connects_out(Inputs(name, **given).get)


@pytest.mark.parametrize("name", ["node_exporter", "blackbox_exporter"])
def test_the_unit_has_its_filter(name):
    inputs = Inputs(name, allowed_networks=NETWORKS)
    text = room(name).unit_text(inputs, {**RELEASE, "commands": {name: "/usr/local/bin/" + name}, "binaries": {}})
    lines = [line for line in text.splitlines() if line.startswith("IP")]
    assert (
        lines
        == {
            "node_exporter": ["IPAddressDeny=any", "IPAddressAllow=localhost 10.0.0.0/8 fd00::/8", "IPAccounting=yes"],
            # Nobody reads the credentials of a cloud's metadata through it.
            "blackbox_exporter": ["IPAddressDeny=169.254.169.254/32 fd00:ec2::254/128", "IPAccounting=yes"],
        }[name]
    )


def test_a_unit_without_networks_has_no_filter():
    release = {**RELEASE, "commands": {"node_exporter": "/usr/local/bin/node_exporter"}, "binaries": {}}
    assert "IPA" not in room("node_exporter").unit_text(Inputs("node_exporter"), release)


def test_the_ports_of_a_service():
    cluster = {"listen-address": "10.0.0.1:9194", "peers": []}
    given = {"firewall": "nftables", "allowed_networks": NETWORKS}
    assert "{ tcp . 9093, tcp . 9194, udp . 9194 }" in room("alertmanager").firewall(
        Inputs("alertmanager", cluster=cluster, **given)
    )
    # Upstream's default, which it listens on without a flag; an empty one listens nowhere.
    assert "{ tcp . 9093, tcp . 9094, udp . 9094 }" in room("alertmanager").firewall(
        Inputs("alertmanager", cluster={}, **given)
    )
    alone = Inputs("alertmanager", cluster={"listen-address": ""}, **given)
    assert "{ tcp . 9093 }" in room("alertmanager").firewall(alone)
    several = Inputs("prometheus", web_listen_address=["10.0.0.1:9090", "127.0.0.1:9091"], **given)
    assert "{ tcp . 9090, tcp . 9091 }" in room("prometheus").firewall(several)


@pytest.mark.parametrize("given", [{"firewall": "nftables"}, {"allowed_networks": NETWORKS}, {}])
def test_no_rules_where_nothing_is_closed(given):
    assert room("prometheus").firewall(Inputs("prometheus", **given)) == ""


def checked(name, **given):
    values = {
        "web_listen_address": "0.0.0.0:1",
        "runtime": "systemd",
        "firewall": "none",
        "allowed_networks": [],
        **given,
    }
    return list(
        map(str, _networks.check_networks(room(name), {f"{name}_{key}": value for key, value in values.items()}))
    )


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        (
            "prometheus",
            {"allowed_networks": NETWORKS},
            "prometheus_firewall: nftables (monitoring_firewall for all services)",
        ),
        ("prometheus", {"allowed_networks": NETWORKS}, "and Prometheus connects to other hosts"),
        ("grafana", {"allowed_networks": NETWORKS, "web_listen_address": None}, "grafana_allowed_networks: []"),
        ("node_exporter", {"allowed_networks": NETWORKS, "runtime": "docker"}, "systemd filters no container"),
        ("node_exporter", {"allowed_networks": ["10.0.0.5/8"]}, "node_exporter_allowed_networks[0]: is '10.0.0.5/8'"),
        ("blackbox_exporter", {"denied_networks": ["metadata"]}, "blackbox_exporter_denied_networks[0]: is 'metadata'"),
    ],
)
def test_networks_that_cannot_work(name, given, words):
    assert words in "\n".join(checked(name, **given))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("prometheus", {}),
        ("prometheus", {"allowed_networks": NETWORKS, "firewall": "nftables"}),
        (
            "prometheus",
            {"allowed_networks": NETWORKS, "web_listen_address": ["127.0.0.1:9090", "[::1]:9090", "localhost:9091"]},
        ),
        ("node_exporter", {"allowed_networks": NETWORKS}),
        ("node_exporter", {"allowed_networks": NETWORKS, "runtime": "docker", "firewall": "nftables"}),
        ("blackbox_exporter", {"denied_networks": []}),
    ],
)
def test_networks_that_work(name, given):
    assert checked(name, **given) == []


def test_members_of_a_cluster_can_reach_each_other():
    found = _networks.check_peers(
        "v.peers", ["10.0.0.2:9094", "mon2:9094", "[fd00::2]:9094", "[2001:db8::2]:9094"], "v", NETWORKS
    )
    assert [str(one) for one in found] == [
        "v: does not contain 2001:db8::2 of v.peers; add 2001:db8::2, as members of a cluster connect to each other"
    ]
