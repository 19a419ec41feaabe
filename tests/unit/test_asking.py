# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a service is asked that somebody else started, and what an answer says that asking again will not change."""

from __future__ import annotations

import contextlib
import datetime
import http.server
import ipaddress
import os
import socket
import ssl
import threading

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _endpoint, _http
from ansible_collections.vigil.monitoring.plugins.module_utils._health import judge
from checked_health import complete_health
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HEALTH = complete_health("prometheus", "https://10.0.0.1:9999/new", username="me")
TLS = "tls_server_config:\n  cert_file: x\n"


@pytest.mark.parametrize(
    ("argv", "addresses", "web", "urls"),
    [
        (["--web.listen-address=0.0.0.0:9090"], [], "", ["http://127.0.0.1:9090/metrics"]),
        (["--web.listen-address=[::]:9090"], [], "", ["http://127.0.0.1:9090/metrics"]),
        (["--web.listen-address=:1", "--web.listen-address=10.0.0.1:2"], [], "",
         ["http://127.0.0.1:1/metrics", "http://10.0.0.1:2/metrics"]),
        (["--web.listen-address=:1", "--web.external-url=https://x/p/"], [], "", ["http://127.0.0.1:1/p/metrics"]),
        (["--web.listen-address=:1", "--web.external-url=https://x/p/", "--web.route-prefix=/"], [], "",
         ["http://127.0.0.1:1/metrics"]),
        (["--web.listen-address=:1", "--web.config.file=/w"], [], TLS, ["https://127.0.0.1:1/metrics"]),
        (["--web.listen-address=:1", "--web.config=/w"], [], '"tls_server_config": {}\n', ["https://127.0.0.1:1/metrics"]),
        (["--web.listen-address=:1", "--web.config.file=/w"], [], "basic_auth_users:\n", ["http://127.0.0.1:1/metrics"]),
        (["--web.listen-address=:1", "--web.telemetry-path=/m"], [], "", ["http://127.0.0.1:1/m"]),
        # A container's own address leads nowhere.
        (["--web.listen-address=0.0.0.0:9090"], [":9191"], "", ["http://127.0.0.1:9191/metrics"]),
        # Grafana and cAdvisor: where they listen is seen, the rest is tried.
        (["server", "--config=x"], [":3000"], "",
         ["https://127.0.0.1:3000/new/metrics", "https://127.0.0.1:3000/metrics", "http://127.0.0.1:3000/new/metrics",
          "http://127.0.0.1:3000/metrics"]),
        ([], [], "", []),
    ],
)  # fmt: skip
def test_ways_to_ask_what_nobody_wrote_down(argv, addresses, web, urls):
    ways = _endpoint.derive(HEALTH, ["prometheus", *argv], addresses, lambda path: web)
    assert [way["url"] + way["metrics_path"] for way in ways] == urls
    assert all(way["username"] == "me" and way["ready_path"] == "/-/ready" for way in ways)


def test_where_a_process_listens():
    with socket.socket() as one, socket.socket(socket.AF_INET6) as other:
        one.bind(("127.0.0.2", 0))
        one.listen()
        other.bind(("::1", 0))
        other.listen()
        mine = set()
        tables = []
        for name in ("tcp", "tcp6"):
            with open("/proc/self/net/" + name, encoding="ascii") as stream:
                tables.append(stream.read())
        for entry in os.scandir("/proc/self/fd"):
            try:
                mine.add(os.readlink(entry.path))
            except OSError:
                continue
        found = _endpoint.listening(tables, mine)
        assert f"127.0.0.2:{one.getsockname()[1]}" in found
        assert f"[::1]:{other.getsockname()[1]}" in found
        assert _endpoint.listening(tables, set()) == []


def test_where_a_container_is_reached():
    ports = ["127.0.0.1:9191:9090", "9093:9093/tcp", "[::]:1:2"]
    assert _endpoint.published(ports) == ["127.0.0.1:9191", ":9093", "[::]:1"]


# Answers


class Metrics(http.server.BaseHTTPRequestHandler):
    def setup(self):
        if isinstance(self.request, ssl.SSLSocket):
            try:
                self.request.do_handshake()
            except ssl.SSLError:
                # Closed with something unread, the connection would be reset, and the last word lost.
                raw = socket.socket(fileno=self.request.detach())
                raw.settimeout(1)
                with contextlib.suppress(OSError):
                    while raw.recv(4096):
                        pass
                raw.close()
                raise
        super().setup()

    def do_GET(self):
        if self.headers.get("Authorization", "") == "Basic bWU6eA==":
            self.send_response(401)
            self.end_headers()
            return
        body = b'prometheus_build_info{version="3.5.3"} 1\n'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *dummy):
        pass


def certificate(folder, name, issuer=None, days=1):
    """Write a certificate for 127.0.0.1 and its key; what signs others is returned."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0] if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=not issuer, path_length=None), True)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return subject, key


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("tls")
    ca = certificate(made, "ca")
    certificate(made, "server", ca)
    certificate(made, "expired", ca, days=-1)
    certificate(made, "client", ca)
    certificate(made, "stranger")
    return made


def serve(context):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    server.handle_error = lambda *dummy: None
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(params=["server", "expired", "mutual", "plain"])
def server(request, folder):
    context = None
    if request.param != "plain":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        name = "expired" if request.param == "expired" else "server"
        context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
        if request.param == "mutual":
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(folder / "ca.crt")
    made = serve(context)
    yield request.param, made.server_address[1]
    made.shutdown()
    made.server_close()


EXPECTED = {
    ("server", "https"): ("", "ok"),
    ("server", "https ca"): ("", "ok"),
    ("server", "https other ca"): ("certificate", "prometheus_health_ca"),
    ("server", "https no ca"): ("file", "prometheus_health_ca"),
    ("server", "https login"): ("login", "prometheus_health_password"),
    ("expired", "https"): ("", "ok"),
    ("expired", "https ca"): ("certificate", "certificate has expired"),
    ("mutual", "https"): ("stranger", "prometheus_health_client_cert"),
    ("mutual", "https client"): ("", "ok"),
    ("mutual", "https stranger"): ("stranger", "prometheus_health_client_cert"),
    ("mutual", "https no client"): ("file", "prometheus_health_client_cert"),
    ("plain", "http"): ("", "ok"),
    ("plain", "https"): ("plain", "prometheus_web_config"),
}


@pytest.mark.parametrize("way", sorted({way for dummy, way in EXPECTED}))
def test_what_asking_again_will_not_change_is_known_by_its_cause(server, folder, way):
    kind, port = server
    if (kind, way) not in EXPECTED:
        return
    why, words = EXPECTED[kind, way]
    scheme, dummy, more = way.partition(" ")
    given = {
        "ca": {"ca_path": folder / "ca.crt"},
        "other ca": {"ca_path": folder / "stranger.crt"},
        "no ca": {"ca_path": folder / "none"},
        "login": {"username": "me", "password": "x"},
        "client": {"client_cert": folder / "client.crt", "client_key": folder / "client.key"},
        "stranger": {"client_cert": folder / "stranger.crt", "client_key": folder / "stranger.key"},
        "no client": {"client_cert": folder / "none"},
    }.get(more, {})
    given = {name: str(value) for name, value in given.items()}
    for dummy in range(5):  # a server that resets the connection may be quicker than its own last word
        answer = _http.get(f"{scheme}://127.0.0.1:{port}/metrics", **given)
        if answer.status or answer.why:
            break
    assert answer.why == why, answer
    verdict = judge(complete_health("prometheus"), answer, None, None)
    assert (verdict.state == "ok") if words == "ok" else (verdict.state == "refused" and words in verdict.reason)


@pytest.mark.parametrize(
    ("status", "text", "why", "state"),
    [
        (400, "Client sent an HTTP request to an HTTPS server.\n", "tls", "refused"),
        (404, "404 page not found", "", "refused"),
        (302, "", "", "refused"),
        (429, "", "", "wait"),
        (503, "Service Unavailable", "", "wait"),
        (401, "", "", "unverified"),
        (403, "", "login", "refused"),
        (0, "Connection refused", "", "wait"),
    ],
)
def test_what_may_still_become_good_is_waited_for(status, text, why, state):
    assert judge(complete_health("prometheus"), _http.Answer(status, text, why), None, None).state == state


def test_whoever_speaks_no_http_is_somebody_else():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def talk():
            one = listener.accept()[0]
            one.recv(100)
            one.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            one.close()

        threading.Thread(target=talk, daemon=True).start()
        answer = _http.get(f"http://127.0.0.1:{listener.getsockname()[1]}/metrics")
    assert answer.why == "other"
    assert "does not speak HTTP" in judge(complete_health("prometheus"), answer, None, None).reason
