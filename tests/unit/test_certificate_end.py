# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verification tells how long the certificate of a service is valid."""

from __future__ import annotations

import functools
import http.server
import ssl
import threading

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _certificate_end, _client, _health_check
from ansible_collections.vigil.monitoring.plugins.module_utils._certificate_end import Validity
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority import (
    DAY,
    Authority,
    Subject,
    begin_of,
    end_of,
    now,
    read_certificates,
)
from checked_health import health_of
from hypothesis import given
from hypothesis import strategies as st

SERVER = Subject("web1", "", ("localhost", "127.0.0.1"), server=True)


@functools.cache
def authority():
    return Authority.make("CA", now() - 400 * DAY)


def issued(left, days=90):
    """A certificate with some days left."""
    begin = now() + (left - days) * DAY
    return authority().issue(SERVER, days, begin, begin)


def der(text):
    return ssl.PEM_cert_to_DER_cert(text)


@pytest.mark.parametrize("year", [0, 12, 30])
def test_read_from_the_certificate_itself(year):
    # After 2049 a time is written otherwise.
    made = Authority.make("Long", now() + year * 365 * DAY, 3650)
    found = _certificate_end.validity(der(made.trusted_text))
    assert found == (begin_of(made.certificate).timestamp(), end_of(made.certificate).timestamp())


@given(st.binary(max_size=64))
def test_what_is_no_certificate_is_no_error(data):
    assert _certificate_end.validity(data) is None


def test_a_certificate_that_ends_early_is_no_error():
    whole = der(authority().trusted_text)
    for length in range(120):
        _certificate_end.validity(whole[:length])


@pytest.mark.parametrize(
    ("left", "life", "state", "words"),
    [
        (60, 90, None, ""),
        (30, 90, None, ""),
        (21, 90, None, ""),
        (20.9, 90, "unverified", "its certificate expires on 2026-12-"),
        (7.1, 90, "unverified", "in 7 days; site.yml renews one of monitoring_tls"),
        (6.9, 90, "failed", "in 7 days; site.yml"),
        (0.6, 90, "failed", "in 1 day; "),
        (0, 90, "failed", "its certificate expired on 2026-11-27; site.yml"),
        (-400, 90, "failed", "its certificate expired on 2025-10-23"),
        # One that is valid for a short time is renewed with less left.
        (5, 14, None, ""),
        (3, 14, "unverified", "any other has to be renewed where node_exporter_tls_server_config has it from"),
        (1, 14, "failed", "in 1 day;"),
        (1.4, 4, None, ""),
    ],
)
def test_what_is_left(left, life, state, words):
    at = 1795737600.0  # 2026-11-27
    end = at + left * 86400
    found = _certificate_end.finding(Validity(end - life * 86400, end), at, "node_exporter_tls_server_config")
    assert (found and found.state) == state and words in (found.text if found else "")
    assert _certificate_end.finding(None, at, "x") is None


METRICS = b'node_exporter_build_info{version="1.11.1"} 1\n'


class Handler(http.server.BaseHTTPRequestHandler):
    """Metrics of a node_exporter."""

    def do_GET(self):
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(METRICS)))
        self.end_headers()
        self.wfile.write(METRICS)

    def log_message(self, *dummy):
        """Say nothing."""


@pytest.fixture(name="serve")
def _serve(tmp_path):
    servers = []

    def start(certificate):
        (tmp_path / "pair").write_text(certificate.certificate + certificate.key, encoding="ascii")
        (tmp_path / "ca").write_text(authority().trusted_text, encoding="ascii")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tmp_path / "pair")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return "https://127.0.0.1:{0}".format(server.server_address[1]), str(tmp_path / "ca")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def verified(url, ca=None):
    health = health_of("node_exporter", url, **({"ca_path": ca} if ca else {}))
    return _health_check.check_health({"service": "node_exporter", "health": health, "version": "1.11.1"}, 1)


@pytest.mark.parametrize(("left", "state"), [(40, "ok"), (15, "unverified"), (3, "failed")])
def test_the_verification_says_it(left, state, serve):
    certificate = issued(left)
    url, ca = serve(certificate)
    found = verified(url, ca)
    assert found["state"] == state, found
    assert state == "ok" or "its certificate expires on {0:%Y-%m-%d}".format(certificate.ends) in found["reasons"][0]
    reply = _client.get(url + "/metrics", _client.Access(ca_path=ca))
    (made,) = read_certificates(certificate.certificate)
    assert _certificate_end.validity(reply.certificate).end == end_of(made).timestamp()


def test_also_of_one_that_is_not_verified(serve):
    url, dummy = serve(issued(3))
    found = verified(url)
    assert found["state"] == "failed" and "its certificate expires on" in found["reasons"][0]
    url, dummy = serve(issued(-3))
    assert "its certificate expired on" in verified(url)["reasons"][0]
    # One that is verified, and has expired, is refused by TLS already.
    url, ca = serve(issued(-3))
    found = verified(url, ca)
    assert found["state"] == "failed" and "certificate has expired" in found["reasons"][0]
