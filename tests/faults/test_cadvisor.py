# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cAdvisor beside a real Docker engine, and the alerts on containers on what it really tells.

One host for all tests, in the order in which they stand.
"""

from __future__ import annotations

import json
import re
import time

import pytest
from conftest import Site, base_variables

from lab import containers, dashboards, hosts, mirror

pytestmark = pytest.mark.xdist_group("cadvisor")

GROUPS = ("cadvisor", "node_exporter", "prometheus")
ALONE = ("cadvisor",)
METRICS = "http://127.0.0.1:8080/metrics"


@pytest.fixture(scope="module")
def host():
    with hosts.host("trixie-docker", group="fault") as made:
        image = containers.image("node_exporter")
        made.load(image, containers.image("cadvisor"))
        # It works all the time, a little: what it has used falls back with each start.
        limits = "--memory 64m --cpus 0.1"
        shell = f"--entrypoint sh {containers.upstream_name(image)} -c 'while :; do :; done'"
        made.run(f"docker run -d --name app --label team=shop {limits} {shell}")
        yield made


@pytest.fixture
def site(host, tmp_path):
    variables = {
        **base_variables(),
        "cadvisor_version": mirror.versions()["cadvisor"]["new"],
        "cadvisor_ready_timeout": 20,
        "cadvisor_housekeeping_interval": "1s",
        "cadvisor_max_housekeeping_interval": "1s",
        # Bounds that are passed soon.
        "prometheus_thresholds": {
            "ContainerDown": {"containers": ["app", "never-made"], "critical": {"threshold": 10, "for": "0s"}},
            "ContainerMemoryNearLimit": {"critical": {"threshold": 0, "for": "0s"}, "warning": False},
        },
    }
    return Site(host, tmp_path, variables, GROUPS)


def series(site: Site, metric: str) -> list[str]:
    """The lines of a metric, as cAdvisor tells them of containers; those of the host as a whole have no name."""
    return re.findall(rf'(?m)^{metric}{{.*\bname="[^"].*$', site.host.run(f"curl -fsS {METRICS}").stdout)


def firing(site: Site, alert: str) -> set[str]:
    """The containers of which an alert fires in Prometheus."""
    answer = site.host.run("curl -fsS http://127.0.0.1:9090/api/v1/alerts").stdout
    alerts = json.loads(answer)["data"]["alerts"]
    labels = [found["labels"] for found in alerts if found["state"] == "firing"]
    return {found["name"] for found in labels if found["alertname"] == alert}


def soon(look, wanted, within: float = 40) -> None:
    """Fail unless a look gives what is wanted within some seconds."""
    deadline = time.monotonic() + within
    while (found := look()) != wanted:
        assert time.monotonic() < deadline, f"{found} instead of {wanted}"
        time.sleep(0.5)


def test_it_is_deployed_from_a_release_that_is_no_archive(site):
    site.run("--check", "--diff").must_be_green(changed=True)
    assert not site.serves("cadvisor")
    outcome = site.run().must_be_green(changed=True)
    assert "MONITORING: 3 of 3 services verified" in outcome.output
    site.run().must_be_green(changed=False)
    assert site.host.run("systemctl show -P NRestarts cadvisor").stdout.strip() == "0"


def test_what_it_tells_of_a_container_is_cheap_and_named(site):
    (seen,) = series(site, "container_last_seen")
    assert 'name="app"' in seen
    assert "container_label" not in seen
    assert series(site, "container_start_time_seconds")
    assert series(site, "container_network_receive_bytes_total")
    # The sizes of directories cost a walk through all of them.
    assert not series(site, "container_fs_usage_bytes")


def test_another_measure_is_a_restart_and_a_wrong_one_stops_before_that(site):
    pid = site.pid("cadvisor")
    site.variables["cadvisor_disable_metrics"] = ["dsk"]
    site.run(groups=ALONE).must_be_red("cadvisor_disable_metrics: has 'dsk'; did you mean disk?")
    assert site.pid("cadvisor") == pid
    site.variables.update(cadvisor_disable_metrics=["disk"], cadvisor_whitelisted_container_labels=["team"])
    site.run(groups=ALONE).must_be_green(changed=True)
    assert site.pid("cadvisor") != pid
    (seen,) = series(site, "container_last_seen")
    assert 'container_label_team="shop"' in seen


def test_the_alerts_on_containers_fire_on_what_cadvisor_tells(site):
    soon(lambda: firing(site, "ContainerDown"), {"never-made"})
    soon(lambda: firing(site, "ContainerMemoryNearLimit"), {"app"})
    for _time in range(3):
        site.host.run("docker restart --time 1 app")
        # Each start has to be seen by a scrape of its own.
        time.sleep(5)
    soon(lambda: firing(site, "ContainerRestarting"), {"app"})
    site.host.run("docker stop --time 1 app")
    soon(lambda: firing(site, "ContainerDown"), {"app", "never-made"})
    site.host.run("docker start app")
    soon(lambda: firing(site, "ContainerDown"), {"never-made"})


def test_the_dashboards_show_the_container(site):
    """The dashboards' other queries are asked of the live stack, which has no containers (tests/live)."""
    # Kills for memory are in the kernel's messages, which a lab host cannot read.
    asked = [query for query in dashboards.panels() if re.search("container_(?!oom)", query.expr)]
    assert len(asked) == 15
    for query in asked:
        # Starts and kills are seen where there are some: whatever there is of them is asked for here.
        expr = query.expr.replace(" > 0.5", "")
        expr = dashboards.filled(expr, interval="30s")
        url = f"-G http://127.0.0.1:9090/api/v1/query --data-urlencode 'query={expr}'"
        found = json.loads(site.host.run(f"curl -fsS {url}").stdout)["data"]["result"]
        assert [one["metric"]["name"] for one in found] == ["app"], query


def test_as_a_container_it_tells_the_same(site):
    kinds = ("last_seen", "cpu_usage_seconds_total", "spec_memory_limit_bytes", "network_receive_bytes_total")
    # With the default measures: how the kernel counts each core is not the same everywhere.
    site.variables.pop("cadvisor_disable_metrics", None)
    site.variables["cadvisor_runtime"] = "docker"
    site.run(groups=ALONE).must_be_green(changed=True)
    assert site.host.run("docker ps --format '{{.Names}}'").stdout.split() == ["cadvisor", "app"]
    assert site.host.run("systemctl is-active cadvisor", check=False).stdout.strip() != "active"

    def told():
        lines = {kind: series(site, f"container_{kind}") for kind in kinds}
        return {kind: len([line for line in found if 'name="app"' in line]) for kind, found in lines.items()}

    soon(told, dict.fromkeys(kinds, 1))
    site.run(groups=ALONE).must_be_green(changed=False)


def test_it_leaves_with_what_it_brought(site):
    site.variables.update(cadvisor_state="absent", cadvisor_runtime="docker")
    site.run(groups=ALONE).must_be_green(changed=True)
    assert not site.serves("cadvisor")
    left = "ls -d /etc/cadvisor /opt/vigil/bin/cadvisor* /usr/local/bin/cadvisor /etc/systemd/system/cadvisor*"
    assert site.host.run(left, check=False).stdout == ""
    assert site.host.run("docker ps --format '{{.Names}}'").stdout.split() == ["app"]
    assert site.host.run("id -un 0").stdout.strip() == "root"
