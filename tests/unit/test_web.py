# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listen addresses, route prefixes, web configurations, and the URL of the health check."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _scrape, _web
from role_inputs import Inputs, room


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("0.0.0.0:9090", ("0.0.0.0", 9090)),
        (":9090", ("", 9090)),
        ("[::]:9090", ("[::]", 9090)),
        ("[fe80::1%eth0]:9090", ("[fe80::1%eth0]", 9090)),
        ("monitor.example:1", ("monitor.example", 1)),
    ],
)
def test_good_addresses(address, parts):
    assert _web.split_listen_address(address) == parts


@pytest.mark.parametrize(
    ("address", "parts", "bound"),
    [
        ("0.0.0.0:9090", ("0.0.0.0", 9090), ""),
        (":9090", ("", 9090), ""),
        ("[::]:9090", ("[::]", 9090), ""),
        ("[::1]:9090", ("[::1]", 9090), "::1"),
        # What no service of ours takes, another program may.
        ("*:9090", ("*", 9090), ""),
        ("::1:9090", ("::1", 9090), "::1"),
        ("tcp://127.0.0.1:80", ("tcp://127.0.0.1", 80), "tcp://127.0.0.1"),
        (":65535", ("", 65535), ""),
        ("a:0", None, None),
        ("a:65536", None, None),
        ("a:\u00b2", None, None),
        ("a:80\n", None, None),
        ("9090", None, None),
        ("/run/x.sock", None, None),
        ("", None, None),
    ],
)
def test_a_port_is_read_in_one_way_whosever_address_it_is(address, parts, bound):
    assert _web.host_and_port(address) == parts
    if parts:
        assert _scrape.listen_address(address, "x") == (bound, parts[1])
        return
    with pytest.raises(_scrape.ScrapeError, match=r"x is .*: a listen address ends with a colon and a port"):
        _scrape.listen_address(address, "x")
    with pytest.raises(ValueError, match="HOST:PORT"):
        _web.split_listen_address(address)


@pytest.mark.parametrize(
    "address", ["", "9090", "0.0.0.0", "::1:9090", "a:0", "a:65536", "http://a:80", "a:80/x", "a :1"]
)
def test_bad_addresses(address):
    with pytest.raises(ValueError, match="HOST:PORT"):
        _web.split_listen_address(address)


def test_a_star_is_refused_as_the_services_would_look_it_up_as_a_name():
    with pytest.raises(ValueError, match=":9100 means all addresses"):
        _web.split_listen_address("*:9100")


@pytest.mark.parametrize(
    ("url", "extra", "prefix"),
    [
        ("", {}, ""),
        (None, None, ""),
        ("http://localhost:9093/", {}, ""),
        ("https://m.example/prometheus/", {}, "/prometheus"),
        ("m.example/alertmanager", {}, "/alertmanager"),
        ("https://m.example/a", {"web.route-prefix": "/"}, ""),
        ("https://m.example/a", {"web.route-prefix": "/b/"}, "/b"),
    ],
)
def test_route_prefix(url, extra, prefix):
    assert _web.route_prefix(url, extra) == prefix


@pytest.mark.parametrize(
    ("settings", "answer"),
    [
        ({}, {"url": "http://127.0.0.1:9090"}),
        ({"listen_address": ":9091"}, {"url": "http://127.0.0.1:9091"}),
        # A Go program that listens there serves IPv4 too, and nothing else on a host without IPv6.
        ({"listen_address": "[::]:9091"}, {"url": "http://127.0.0.1:9091"}),
        ({"listen_address": ["10.0.0.1:1", "10.0.0.2:2"]}, {"url": "http://10.0.0.1:1"}),
        ({"web_config": {"tls_server_config": {"cert_file": "x"}}}, {"url": "https://127.0.0.1:9090"}),
        ({"external_url": "https://x.example/p/"}, {"url": "http://127.0.0.1:9090/p"}),
        ({"metrics_path": "m"}, {"url": "http://127.0.0.1:9090", "metrics_path": "/m"}),
    ],
)
def test_health_check(settings, answer):
    given = {"listen_address": "0.0.0.0:9090"}
    made = _web.health_check(dict(given, **settings))
    others = made.pop("other_urls", [])
    assert made == answer
    # Whoever listens on all addresses is asked on both families.
    assert others == ([made["url"].replace("127.0.0.1", "[::1]")] if "127.0.0.1" in made["url"] else [])


def test_one_address_is_asked_alone():
    assert "other_urls" not in _web.health_check({"listen_address": "127.0.0.1:9090"})


def test_ports():
    assert _web.ports(["0.0.0.0:2", "[::]:1", "127.0.0.1:2"]) == [1, 2]


def test_web_config_leaves_out_what_is_empty_and_anchors_files():
    sections = {"tls_server_config": {"cert_file": "tls/a.crt", "key_file": "/k"}, "http_server_config": {}}
    assert _web.web_config(sections, "/etc/x") == {
        "tls_server_config": {"cert_file": "/etc/x/tls/a.crt", "key_file": "/k"}
    }
    assert _web.web_config({"basic_auth_users": {}}) == {}
    assert _web.web_config(None) == {}


def test_access():
    given = {"health_username": "u", "health_password": "p", "health_ca": "/ca", "health_client_cert": "/c"}
    inputs = Inputs("node_exporter", **given, health_client_key="/k")
    expected = {"username": "u", "password": "p", "ca_path": "/ca", "client_cert": "/c", "client_key": "/k"}
    assert room("node_exporter").access(inputs) == room("node_exporter").access_here(inputs) == expected
