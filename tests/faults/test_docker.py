# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may go wrong with services that run as containers, and what has to stay as it is.

One host for all tests, in the order in which they stand; each leaves it converged. No registry can be reached from it.
"""

from __future__ import annotations

import json
import time

import pytest
from conftest import SERVICES, Containers, base_variables, snapshot, started, unreleased
from test_host_trouble import held_port
from test_rollback import CRASHES, publish

from lab import containers, hosts

pytestmark = pytest.mark.xdist_group("docker")

# An image of a made-up version, which answers for that and does something else than serving when it is started.
BAD = unreleased()


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    image = snapshot("trixie-docker", tmp_path_factory.mktemp("snapshot"))
    with hosts.host("trixie-docker", group="fault", image=image) as made:
        yield made


@pytest.fixture
def site(host, tmp_path):
    return started(Containers(host, tmp_path, base_variables(docker=True)))


def bad_image(site: Containers, service: str, behaviour: str) -> None:
    """Let the inventory ask for an image that behaves like this, and have it on the host."""
    answer = f'case "$*" in *--version*) echo "{service}, version {BAD} (branch: HEAD)"; exit 0;; esac'
    real = containers.image(service)
    program = "/bin/pretender"
    image = real.with_script(program, f"{answer}\n{behaviour}").but(tag=f"v{BAD}", Entrypoint=[program])
    site.host.load(image)
    site.variables[f"{service}_version"] = BAD


def query(site: Containers, text: str, at: float | None = None) -> list:
    """The answer of Prometheus to a query, now or at a moment in seconds since the epoch."""
    when = f"--data-urlencode time={at}" if at else ""
    url = f"http://127.0.0.1:9090/api/v1/query --data-urlencode 'query={text}' {when}"
    return json.loads(site.host.run(f"curl -fsSG {url}").stdout)["data"]["result"]


def test_a_converged_host_is_left_alone_and_no_registry_is_asked(site):
    before, began = site.state(), site.host.run("date +%s").stdout.strip()
    site.run().must_be_green(changed=False)
    site.run("--check", "--diff").must_be_green(changed=False)
    assert site.state() == before
    assert site.there() == sorted(SERVICES)
    events = f"docker events --since {began} --until $(date +%s) --filter type=image --filter type=container"
    assert site.host.run(f"{events} --format '{{{{.Action}}}}' | grep -vE '^(exec|health)'", check=False).stdout == ""


def test_what_a_container_may_do_as_the_engine_and_the_kernel_see_it(site):
    for service in SERVICES:
        made = site.container(service)["HostConfig"]
        assert (made["ReadonlyRootfs"], made["CapDrop"], made["Privileged"]) == (True, ["ALL"], False), service
        # The engine adds the label where a container sees the host's processes.
        label = ["label=disable"] if made["PidMode"] == "host" else []
        assert made["SecurityOpt"] == ["no-new-privileges:true", *label] and not made["CapAdd"], service
        lines = site.host.run(f"cat /proc/{site.pid(service)}/status").stdout.splitlines()
        status = {name: value.split() for name, colon, value in (line.partition(":") for line in lines)}
        # The engine's own filter of system calls, and no way to gain what it lacks.
        assert (status["Seccomp"], status["NoNewPrivs"]) == (["2"], ["1"]), service
        assert {status[name][0] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {"0" * 16}, service
        assert "0" not in status["Uid"], service


# What both services take up by a reload.
RELOADED = {
    "prometheus_alert_rules": [{"alert": "Mine", "expr": "vector(1)"}],
    "alertmanager_receivers": [{"name": "default"}, {"name": "other"}],
}


def test_a_configuration_is_reloaded_and_seen_inside_and_the_container_stays(site):
    before = site.processes()
    site.variables.update(RELOADED)
    site.run().must_be_green(changed=True)
    assert site.processes() == before
    rules = site.host.run("curl -fsS http://127.0.0.1:9090/api/v1/rules").stdout
    assert '"name":"Mine"' in rules
    assert '"other"' in site.host.run("curl -fsS http://127.0.0.1:9093/api/v2/receivers").stdout


def test_what_was_reloaded_comes_back_by_itself_after_a_crash_and_with_the_engine(site):
    """A signal that goes through the engine would count as a stop by hand: neither would start it again."""
    before = {service: site.container(service)["Id"] for service in SERVICES}
    site.host.run(f"kill -KILL {site.pid('prometheus')}")
    assert site.serves("prometheus", within=30)
    site.host.run("systemctl restart docker")
    assert all(site.serves(service, within=30) for service in SERVICES)
    assert {service: site.container(service)["Id"] for service in SERVICES} == before
    site.variables.update(RELOADED)
    site.run().must_be_green(changed=False)


def test_a_configuration_that_the_images_own_promtool_refuses_reaches_nobody(site):
    before = site.state()
    site.variables["prometheus_alert_rules"] = [{"alert": "Mine", "expr": "sum("}]
    site.run(groups=("prometheus",)).must_be_red("promtool", "parse error", "nothing was changed")
    assert site.state() == before


def test_another_limit_is_another_container_with_the_same_data(site):
    before, then = site.container("prometheus"), time.time() - 1
    site.variables["prometheus_container_memory"] = "512m"
    site.run(groups=("prometheus",)).must_be_green(changed=True)
    now = site.container("prometheus")
    assert now["Id"] != before["Id"]
    assert now["HostConfig"]["Memory"] == 512 * 1024**2
    assert query(site, 'up{job="prometheus"}', then)
    assert site.there() == sorted(SERVICES)
    # By hand, behind our back: seen and taken back.
    site.host.run("docker update --memory 300m --memory-swap 600m prometheus")
    site.run(groups=("prometheus",)).must_be_green(changed=True)
    assert site.container("prometheus")["HostConfig"]["Memory"] == 512 * 1024**2
    site.variables = base_variables(docker=True)
    site.run().must_be_green(changed=True)


@pytest.mark.parametrize(
    ("service", "behaviour", "words"),
    [
        ("node_exporter", CRASHES, ("it keeps restarting", "status 3", "sentinel: no such storage")),
        ("alertmanager", "exec sleep 600", ("not ready within 3 s", "no response")),
        ("prometheus", 'exec /bin/prometheus "$@"', (f"is running, {BAD} is expected",)),
    ],
)
def test_an_image_that_does_not_work_is_taken_back(site, service, behaviour, words):
    before = site.container(service)
    bad_image(site, service, behaviour)
    site.variables[f"{service}_ready_timeout"] = 3
    outcome = site.run(groups=(service,))
    outcome.must_be_red(*words, "was restored and is healthy again")
    assert site.container(service)["Id"] == before["Id"]
    assert site.serves(service)
    assert site.there() == sorted(SERVICES)
    site.variables = base_variables(docker=True)
    # What Prometheus scrapes depends on the other groups.
    groups = SERVICES if service == "prometheus" else (service,)
    site.run(groups=groups).must_be_green(changed=False)


def test_a_container_that_is_killed_for_want_of_memory_is_told_so(site):
    before = site.container("prometheus")["Id"]
    site.variables["prometheus_container_memory"] = "16m"
    outcome = site.run(groups=("prometheus",))
    outcome.must_be_red("it was killed: out of memory", "was restored and is healthy again")
    assert site.container("prometheus")["Id"] == before


def test_a_port_that_is_taken_by_a_process_or_a_container(site):
    before = site.state()
    site.variables["alertmanager_web_listen_address"] = "0.0.0.0:9099"
    with held_port(site.host, 9099) as pid:
        site.run(groups=("alertmanager",)).must_be_red(f"port 9099 is held by python3 (process {pid})")
    image = containers.upstream_name(containers.image("node_exporter"))
    site.host.run(f"docker run -d --name theirs -p 9099:9100 {image}")
    site.run(groups=("alertmanager",)).must_be_red("port 9099 is held by", "theirs")
    site.host.run("docker rm -f theirs")
    assert site.state() == before


def test_a_container_of_somebody_elses_is_never_touched(site):
    image = containers.upstream_name(containers.image("node_exporter"))
    site.host.run(f"docker rm -f node_exporter; docker run -d --name node_exporter --network host {image}")
    before = site.processes()
    site.run(groups=("node_exporter",)).must_be_red("the container node_exporter was not created by this collection")
    site.variables["node_exporter_state"] = "absent"
    site.run(groups=("node_exporter",))
    assert site.processes() == before
    site.host.run("docker rm -f node_exporter")
    site.variables["node_exporter_state"] = "present"
    site.run(groups=("node_exporter",)).must_be_green(changed=True)


def test_an_engine_that_is_stopped_is_named_before_anything_changes(site):
    site.host.run("systemctl stop docker.socket docker")
    before = site.fingerprint("/etc/prometheus", "/etc/systemd")
    site.variables["prometheus_alert_rules"] = [{"alert": "Mine", "expr": "vector(1)"}]
    site.run(groups=("prometheus",)).must_be_red(
        "no Docker engine answers at unix:///var/run/docker.sock", "docker_engine: install"
    )
    assert site.fingerprint("/etc/prometheus", "/etc/systemd") == before
    site.host.run("systemctl start docker")
    started(site)


def test_a_host_that_is_rebooted_brings_everything_back(site):
    site.host.reboot()
    assert all(site.serves(service, within=60) for service in SERVICES)
    # And when the power was cut.
    site.host.kill()
    site.host.start()
    assert all(site.serves(service, within=60) for service in SERVICES)
    site.run().must_be_green(changed=False)


def silence(site: Containers) -> str:
    """Silence something in Alertmanager; its id."""
    matcher = {"name": "alertname", "value": "Mine", "isRegex": False}
    data = {"matchers": [matcher], "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z"}
    data.update(createdBy="test", comment="kept")
    url = "http://127.0.0.1:9093/api/v2/silences -H 'Content-Type: application/json' -d @-"
    return json.loads(site.host.run(f"curl -fsS {url}", stdin=json.dumps(data)).stdout)["silenceID"]


def is_silenced(site: Containers, which: str) -> bool:
    return f'"{which}"' in site.host.run("curl -fsS http://127.0.0.1:9093/api/v2/silences").stdout


def active(site: Containers, service: str) -> str:
    return site.host.run(f"systemctl is-active {service}", check=False).stdout.strip()


def test_a_change_of_the_runtime_keeps_the_data_both_ways_and_goes_back_where_it_fails(site):
    kept, then = silence(site), time.time()
    time.sleep(3)
    assert query(site, 'up{job="prometheus"}', then + 2)

    # To systemd, with a release that crashes: the container serves on.
    before = site.container("node_exporter")["Id"]
    site.variables["monitoring_runtime"] = "systemd"
    publish(site, "node_exporter", CRASHES)
    site.run(groups=("node_exporter",)).must_be_red(
        "it keeps restarting", "sentinel", "was restored and is healthy again"
    )
    assert site.container("node_exporter")["Id"] == before
    assert site.serves("node_exporter")
    assert active(site, "node_exporter") != "active"
    assert site.host.run("systemctl is-enabled node_exporter", check=False).stdout.strip() != "enabled"

    # To systemd: one service each, and the data of before.
    site.variables = {**base_variables(), "monitoring_runtime": "systemd"}
    site.run().must_be_green(changed=True)
    assert site.there() == []
    assert [active(site, service) for service in SERVICES] == ["active"] * 3
    assert query(site, 'up{job="prometheus"}', then + 2)
    assert is_silenced(site, kept)

    # To a container, from an image that crashes: the unit serves on.
    site.variables["monitoring_runtime"] = "docker"
    bad_image(site, "node_exporter", CRASHES)
    site.run(groups=("node_exporter",)).must_be_red(
        "it keeps restarting", "sentinel", "was restored and is healthy again"
    )
    assert site.there() == []
    assert active(site, "node_exporter") == "active"
    assert site.host.run("systemctl is-enabled node_exporter").stdout.strip() == "enabled"

    # To containers, and back where it began.
    site.variables = base_variables(docker=True)
    site.run().must_be_green(changed=True)
    assert site.there() == sorted(SERVICES)
    assert [active(site, service) for service in SERVICES] == ["inactive"] * 3
    assert query(site, 'up{job="prometheus"}', then + 2)
    assert is_silenced(site, kept)


class Both(Containers):
    """Two hosts, the first of which runs containers."""

    def inventory(self, groups):
        data = hosts.inventory(dict.fromkeys(groups, self.hosts), **self.variables)
        data["all"]["hosts"][self.host.name]["monitoring_runtime"] = "docker"
        path = self.folder / "inventory.json"
        path.write_text(json.dumps(data), encoding="utf-8")
        return path


def test_each_prometheus_scrapes_the_other_host_however_that_is_run(site):
    groups = ("node_exporter", "prometheus")
    with hosts.host("bookworm", group="fault", image=snapshot("bookworm", site.folder)) as other:
        both = Both(site.host, site.folder, base_variables(), groups)
        both.hosts = (site.host, other)
        outcome = both.run().must_be_green(changed=True)
        # Their Alertmanagers are there as well, and not in this inventory.
        assert "MONITORING: 4 of 6 services verified, 2 not fully verified" in outcome.output
        both.run().must_be_green(changed=False)
        assert site.there() == sorted(SERVICES)
        assert active(site, "prometheus") == "inactive"
        assert other.run("systemctl is-active prometheus; command -v docker", check=False).stdout.split() == ["active"]
        for host in both.hosts:
            found = json.loads(host.run("curl -fsS http://127.0.0.1:9090/api/v1/targets?state=active").stdout)
            up = {target["labels"]["instance"] for target in found["data"]["activeTargets"] if target["health"] == "up"}
            assert {f"{one.ip}:9100" for one in both.hosts} <= up


def test_what_leaves_takes_its_container_along_and_nothing_else(site):
    image = containers.upstream_name(containers.image("node_exporter"))
    site.host.run(f"docker run -d --name theirs --entrypoint sleep {image} 600")
    site.variables.update({f"{service}_state": "absent" for service in SERVICES}, prometheus_purge_data=True)
    site.run().must_be_green(changed=True)
    assert site.there() == ["theirs"]
    left = "ls -d /etc/prometheus /etc/alertmanager /etc/node_exporter /var/lib/prometheus"
    assert site.host.run(left, check=False).stdout == ""
    assert site.host.run("ls -d /var/lib/alertmanager").returncode == 0
    site.run().must_be_green(changed=False)
