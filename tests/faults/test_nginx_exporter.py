# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx_exporter beside a real NGINX, on one host for all tests, in the order in which they stand."""

from __future__ import annotations

import time

import pytest
from conftest import Site, base_variables

from lab import containers, hosts, mirror

pytestmark = pytest.mark.xdist_group("nginx_exporter")

ALONE = ("nginx_exporter",)
METRICS = "curl -fsS http://127.0.0.1:9113/metrics"
NGINX = """
events {{ worker_connections {connections}; }}
worker_processes 1;
http {{ server {{ listen 127.0.0.1:80; location = /stub_status {{ stub_status; access_log off; }} }} }}
"""
# Clients that begin a request and do not end it: an idle connection would be closed in favour of the next one.
SLOW = """python3 - <<'END'
import socket, time
clients = []
for dummy in range(40):
    clients.append(socket.create_connection(("127.0.0.1", 80)))
    clients[-1].sendall(b"GET / HTTP/1.1\\r\\n")
    time.sleep(0.02)
END"""


@pytest.fixture(scope="module")
def host():
    with hosts.host("trixie-docker", group="fault") as made:
        made.load(containers.image("nginx_exporter"))
        made.run("apt-get -qq update && apt-get -qq install -y nginx-light >/dev/null")
        configure(made, connections=200)
        yield made


@pytest.fixture
def site(host, tmp_path):
    variables = {
        **base_variables(),
        "nginx_exporter_version": mirror.versions()["nginx_exporter"]["new"],
        "nginx_exporter_ready_timeout": 20,
        "prometheus_thresholds": {"NginxDown": {"critical": {"for": "0s"}}},
    }
    return Site(host, tmp_path, variables, (*ALONE, "prometheus"))


def configure(host, connections: int) -> None:
    host.run(
        f"cat > /etc/nginx/nginx.conf <<'END'\n{NGINX.format(connections=connections)}END\nsystemctl restart nginx"
    )


def metric(site: Site, name: str) -> float:
    lines = site.host.run(METRICS).stdout.splitlines()
    return float(next(line for line in lines if line.startswith(name + " ")).split()[1])


def test_it_counts_the_requests_to_nginx(site):
    site.run("--diff").must_be_green(changed=True)
    before = metric(site, "nginx_http_requests_total")
    site.host.run("for i in 1 2 3 4 5; do curl -s http://127.0.0.1/ >/dev/null; done")
    # And each scrape is one.
    assert metric(site, "nginx_http_requests_total") >= before + 6
    site.run().must_be_green(changed=False)
    assert not site.unanswered("nginx_")


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("127.0.0.1/stub_status", "nginx_exporter_scrape_uri: is no URL"),
        ("http://me:Sentinel-Nginx-91@127.0.0.1/", "nginx_exporter_scrape_uri: has a password"),
    ],
)
def test_an_address_that_cannot_work_is_refused(site, uri, words):
    site.variables["nginx_exporter_scrape_uri"] = uri
    assert "Sentinel-Nginx-91" not in site.run(groups=ALONE).must_be_red(words).output


def test_an_address_that_nginx_does_not_know_is_rolled_back(site):
    site.variables["nginx_exporter_scrape_uri"] = "http://127.0.0.1/other"
    site.run(groups=ALONE).must_be_red("its NGINX is unreachable", "was restored and is healthy again")
    assert metric(site, "nginx_up") == 1


def test_an_nginx_that_drops_connections_shows_in_the_metrics_of_the_alert(site):
    def dropped():
        return metric(site, "nginx_connections_accepted") - metric(site, "nginx_connections_handled")

    assert dropped() == 0
    configure(site.host, connections=10)
    site.host.run(SLOW)
    # The alert takes the difference of the two.
    found = dropped()
    configure(site.host, connections=200)
    assert found >= 20


def test_an_nginx_that_is_down_is_an_alert_and_said_by_the_verification(site):
    site.host.run("systemctl stop nginx")
    deadline, answer = time.monotonic() + 60, ""
    while "NginxDown" not in answer and time.monotonic() < deadline:
        time.sleep(1)
        answer = site.host.run("curl -fsS http://127.0.0.1:9090/api/v1/alerts").stdout
    assert "NginxDown" in answer
    site.run().must_be_red("its NGINX is unreachable")
    site.host.run("systemctl start nginx")


def test_as_a_container_it_tells_the_same(site):
    site.variables["nginx_exporter_runtime"] = "docker"
    site.run(groups=ALONE).must_be_green(changed=True)
    assert metric(site, "nginx_up") == 1
    site.run(groups=ALONE).must_be_green(changed=False)
