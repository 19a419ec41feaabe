# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""target_health against a real Prometheus: targets up, down, slow, missing, unexpected, and behind TLS and passwords.

The server is the lab mirror's, on the loopback; no lab host is needed.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lab import mirror
from lab.loopback import PASSWORD, free_port, guard, module


def health(url, check=False, **options):
    """The result of the module."""
    return module(
        "target_health", prometheus_url=url, **{"timeout": 2.5, "interval": 0.2, **options}, _ansible_check_mode=check
    )


@contextlib.contextmanager
def answering(status=200, body="up 1\n", headers=None, wait=0.0):
    """A server on the loopback that answers every request alike, after a while; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            released.wait(wait)
            with contextlib.suppress(OSError):
                self.send_response(status)
                for name, value in {"Content-Type": "text/plain", **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

        def log_message(self, *args):
            pass

    released = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield "127.0.0.1:{}".format(server.server_port)
    finally:
        released.set()
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def binary(tmp_path_factory):
    """The newest Prometheus of the mirror, unpacked."""
    mirror.ensure()
    return mirror.unpack("prometheus", "new", tmp_path_factory.mktemp("prometheus")) / "prometheus"


@contextlib.contextmanager
def prometheus(binary, folder, jobs, *flags, ready="/-/ready"):
    """A running Prometheus with these scrape configurations; yields its address once it is ready."""
    address = f"127.0.0.1:{free_port()}"
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs(address)}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    with open(folder / "log", "w+") as log:
        process = subprocess.Popen(
            [
                str(binary),
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={address}",
                *flags,
            ],
            stdout=log,
            stderr=log,
        )
        try:
            for dummy in range(200):
                assert process.poll() is None, (folder / "log").read_text()
                with contextlib.suppress(OSError), socket.create_connection(address.split(":"), 1):
                    if not ready:
                        break
                    with urllib.request.urlopen(f"http://{address}{ready}", timeout=2):
                        break
                time.sleep(0.05)
            yield address
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def world(binary, tmp_path_factory):
    """A Prometheus with one target of each kind; their instances by kind, and the URL."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "later.json").write_text("[]")
    with answering() as up, answering(wait=30) as slow, answering(status=500) as broken:
        down = f"127.0.0.1:{free_port()}"

        def jobs(own):
            def job(name, *targets, **more):
                return {"job_name": name, "static_configs": [{"targets": list(targets)}], **more}

            return [
                job("self", own),
                job("up", up),
                job("down", down, params={"access_token": [PASSWORD]}),
                job("slow", slow),
                job("broken", broken),
                job("rare", up, scrape_interval="1d"),
                {"job_name": "later", "file_sd_configs": [{"files": [f"{folder}/later.json"]}]},
            ]

        with prometheus(binary, folder, jobs) as own:
            # Prometheus hands discovered targets to the scraper for the first time five seconds after its start.
            kinds = {"self": own, "up": up, "down": down, "slow": slow, "broken": broken}
            settled = health(
                f"http://{own}",
                expect=[{"job": job, "instance": instance} for job, instance in kinds.items()],
                ignore=[{"job": "down|slow|broken"}],
                timeout=20,
            )
            assert settled["healthy"], settled["msg"]
            yield {
                **kinds,
                "url": f"http://{own}",
                "later": up,
                "rare": up,
                "folder": folder,
            }


def expect(world, *kinds):
    return [{"job": kind, "instance": world[kind]} for kind in kinds]


def test_targets_that_are_up(world):
    result = health(world["url"], expect=expect(world, "self", "up"))
    assert result["healthy"] is True and result["changed"] is False
    assert (result["up"], result["expected"], result["down"], result["missing"]) == (2, 2, [], [])
    assert result["elapsed"] < 2


def test_check_mode_asks_too(world):
    assert health(world["url"], check=True, expect=expect(world, "self"))["healthy"] is True
    assert health(world["url"], check=True, expect=expect(world, "down"), timeout=1)["failed"]


def test_a_target_that_is_down(world):
    result = health(world["url"], expect=expect(world, "up", "down"))
    assert result["failed"] and result["healthy"] is False and result["up"] == 1
    (down,) = result["down"]
    assert (down["job"], down["instance"], down["health"]) == ("down", world["down"], "down")
    assert "connection refused" in down["last_error"] and down["last_scrape"]
    assert f"down     down  {world['down']}" in result["msg"] and "connection refused" in result["msg"]
    assert PASSWORD not in result["everything"]
    assert result["elapsed"] >= 2.5


def test_a_target_that_is_slow(world):
    result = health(world["url"], expect=expect(world, "slow"))
    assert result["failed"] and "deadline exceeded" in result["msg"]


def test_a_target_that_answers_with_an_error(world):
    result = health(world["url"], expect=expect(world, "broken"))
    assert result["failed"] and "500" in result["msg"]


def test_a_target_that_is_missing(world):
    result = health(world["url"], expect=[*expect(world, "up"), {"job": "up", "instance": "other:1"}], timeout=1)
    assert result["failed"] and result["missing"] == [{"job": "up", "instance": "other:1"}] and not result["down"]
    assert "not among the 1 target of this job" in result["msg"]


def test_a_target_that_appears_while_it_waits(world):
    """The file is read by Prometheus after the module began to ask, and the first scrape comes later still."""
    file = world["folder"] / "later.json"

    def write():
        (world["folder"] / "new").write_text(json.dumps([{"targets": [world["later"]]}]))
        os.replace(world["folder"] / "new", file)

    timer = threading.Timer(2, write)
    timer.start()
    result = health(world["url"], expect=expect(world, "later"), timeout=30)
    timer.join()
    assert result["healthy"] is True and result["elapsed"] > 1


def test_a_target_that_has_not_been_scraped_is_not_up(world):
    result = health(world["url"], expect=expect(world, "rare"), timeout=1)
    assert result["failed"] and result["down"][0]["health"] == "unknown" and result["down"][0]["last_scrape"] is None
    assert "no scrape yet (every 1d)" in result["msg"]


def test_targets_that_may_be_down(world):
    kinds = expect(world, "up", "down", "slow")
    ignore = [{"job": "down"}, {"job": "s.*", "instance": r"127\.0\.0\.1:\d+"}]
    result = health(world["url"], expect=kinds, ignore=ignore)
    assert result["healthy"] is True and [entry["job"] for entry in result["ignored"]] == ["down", "slow"]
    assert health(world["url"], expect=kinds, ignore=[{"job": "dow"}, {"job": "slow"}], timeout=1)["failed"]


def test_an_invalid_pattern(world):
    result = health(world["url"], ignore=[{"instance": "lab-("}])
    assert result["failed"] and "'lab-('" in result["msg"]


def test_targets_that_nobody_expects(world):
    result = health(world["url"], expect=expect(world, "up"))
    assert result["healthy"] is True and "down" in {entry["job"] for entry in result["unexpected"]}
    result = health(world["url"], expect=expect(world, "up"), fail_on_unexpected=True, timeout=1)
    assert result["failed"] and "unexpected" in result["msg"] and not result["down"]


def test_without_expectations_everything_must_be_up(world):
    result = health(world["url"], timeout=1)
    assert result["failed"] and {"down", "slow", "broken"} <= {entry["job"] for entry in result["down"]}


def test_a_server_that_starts_while_it_waits(binary, tmp_path):
    """Connection refused is polled, as is the 503 of a Prometheus that is not ready."""
    port = free_port()

    def later():
        time.sleep(1.5)
        with answering(503, "Service Unavailable") as busy:
            forward[0] = busy
            time.sleep(1)

    forward = [None]
    thread = threading.Thread(target=later)
    thread.start()
    result = health(f"http://127.0.0.1:{port}", timeout=1)
    assert result["failed"] and "connection refused" in result["msg"] and result["elapsed"] >= 1
    while not forward[0]:
        time.sleep(0.05)
    result = health(f"http://{forward[0]}", timeout=0.5)
    assert result["failed"] and "HTTP 503: Service Unavailable" in result["msg"]
    thread.join()


@pytest.mark.parametrize(
    "reply, words",
    [
        ({"status": 401}, "set url_username and url_password"),
        ({"status": 403}, "authentication required"),
        ({"status": 404}, "--web.route-prefix"),
        ({"status": 302, "headers": {"Location": "https://me:Sentinel-Health-7@sso/login"}}, "@sso/login (HTTP 302)"),
        ({"body": "<html>Sign in"}, "is not Prometheus (text/plain): it is not JSON: it starts with '<html>Sign in'"),
        ({"body": '{"database": "ok"}'}, "JSON, but not from Prometheus"),
        ({"status": 418}, "HTTP 418"),
    ],
)
def test_answers_that_no_waiting_helps(reply, words):
    with answering(**reply) as address:
        result = health(f"http://{address}", timeout=30)
    assert result["failed"] and words in result["msg"]
    assert result["elapsed"] < 5 and PASSWORD not in result["everything"]


def test_a_server_that_says_nothing():
    with answering(wait=60) as address:
        result = health(f"http://{address}", timeout=1)
    assert result["failed"] and "accepts connections, but did not respond" in result["msg"]


def test_a_url_without_a_scheme():
    result = health("localhost:9090")
    assert result["failed"] and "is not an http:// or https:// URL" in result["msg"]


@pytest.fixture(scope="module")
def guarded(binary, tmp_path_factory):
    """A Prometheus behind TLS, basic authentication and a path; its URL and its certificate."""
    folder = tmp_path_factory.mktemp("guarded")
    dummy, flags = guard(folder)

    def jobs(own):
        return [
            {
                "job_name": "self",
                "scheme": "https",
                "metrics_path": "/prom/metrics",
                "basic_auth": {"username": "me", "password": PASSWORD},
                "tls_config": {"ca_file": f"{folder}/cert.pem"},
                "static_configs": [{"targets": [own]}],
            }
        ]

    with prometheus(binary, folder, jobs, *flags, ready=None) as own:
        yield {"own": own, "url": f"https://{own}/prom", "cert": str(folder / "cert.pem")}


def test_through_tls_and_a_password(guarded):
    result = health(
        guarded["url"],
        expect=[{"job": "self", "instance": guarded["own"]}],
        url_username="me",
        url_password=PASSWORD,
        ca_path=guarded["cert"],
        timeout=15,
    )
    assert result["healthy"] is True and PASSWORD not in result["everything"]


def test_a_password_in_the_url_works_and_is_shown_nowhere(guarded):
    url = guarded["url"].replace("//", f"//me:{PASSWORD}@")
    result = health(url, ca_path=guarded["cert"], timeout=15)
    assert result["healthy"] is True and PASSWORD not in result["everything"]
    result = health(url, ca_path=guarded["cert"], expect=[{"job": "a", "instance": "b"}], timeout=0)
    assert result["failed"] and PASSWORD not in result["everything"]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"ca_path": None}, "its certificate is not trusted"),
        ({"ca_path": "/nonexistent.pem"}, "ca_path /nonexistent.pem cannot be used"),
        ({"url_password": "wrong"}, "authentication failed for user 'me'"),
        ({"url_username": None, "url_password": None}, "set url_username and url_password"),
        ({"client_cert": "/nonexistent.pem"}, "client_cert /nonexistent.pem cannot be used"),
        ({"prometheus_url": "path"}, "--web.route-prefix"),
        ({"prometheus_url": "name"}, "certificate is not trusted"),
        ({"prometheus_url": "http"}, "HTTP 400"),
    ],
)
def test_doors_that_stay_shut(guarded, change, words):
    options = {"url_username": "me", "url_password": PASSWORD, "ca_path": guarded["cert"], "timeout": 30, **change}
    urls = {
        "path": guarded["url"].removesuffix("/prom"),
        "name": guarded["url"].replace("127.0.0.1", "localhost"),
        "http": guarded["url"].replace("https", "http"),
    }
    url = urls.get(options.pop("prometheus_url", None), guarded["url"])
    result = health(url, **options)
    assert result["failed"] and words in result["msg"]
    assert result["elapsed"] < 5 and PASSWORD not in result["everything"]


def test_without_validation_the_certificate_does_not_matter(guarded):
    result = health(guarded["url"], url_username="me", url_password=PASSWORD, validate_certs=False, timeout=15)
    assert result["healthy"] is True
