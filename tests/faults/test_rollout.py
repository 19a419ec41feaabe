"""One host after the other: two Prometheus and two Alertmanagers, asked five times a second whether they are ready, while
their release, flags, unit and configuration change, and while a release turns out to be bad.

The tests run in the order in which they stand, on the same hosts; the first one upgrades them.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
import urllib.request

import pytest
from conftest import Containers, Site, base_variables, snapshot, started
from test_rollback import CRASHES, HANGS, publish

from lab import hosts, mirror, play, sink

pytestmark = pytest.mark.xdist_group("rollout")

READY = {"prometheus": "9090/-/ready", "alertmanager": "9093/-/ready"}
# Seconds between two requests.
PERIOD = 0.2


class Watch:
    """Asks the services of some hosts again and again whether they are ready, for the length of a `with` block.

    :ivar gaps: service and host -> the times at which it was away, as (from, to).
    """

    def __init__(self, members):
        self.gaps = {(service, host.name): [] for service in READY for host in members}
        self._urls = {
            (service, host.name): f"http://{host.ip}:{READY[service]}" for service in READY for host in members
        }
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=item, daemon=True) for item in self._urls.items()]

    def _ask(self, what, url):
        away = None
        while not self._over.wait(PERIOD):
            asked = time.monotonic()
            try:
                # On a busy machine an answer may take long. One that is away refuses the connection.
                with urllib.request.urlopen(url, timeout=10):
                    pass
            except OSError:
                away = away or asked
                continue
            if away:
                self.gaps[what].append((away, asked))
                away = None

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error):
        time.sleep(2 * PERIOD)
        self._over.set()
        for thread in self._threads:
            thread.join(10)

    def was_away(self, service):
        """Seconds for which each host's service was away at most."""
        return [
            max([to - begin for begin, to in gaps], default=0.0)
            for (of, dummy), gaps in self.gaps.items()
            if of == service
        ]

    def both_away(self, service):
        """The times at which no host had a service that was ready."""
        one, two = [gaps for (of, dummy), gaps in self.gaps.items() if of == service]
        return [(max(a, c), min(b, d)) for a, b in one for c, d in two if max(a, c) < min(b, d)]


class Three:
    """Two hosts with a Prometheus, an Alertmanager and a node_exporter each, and a third with a node_exporter.

    As a :class:`conftest.Site`, of which it is mixed in, with the first host as the site's own.
    """

    members: tuple = ()
    third: hosts.Host | None = None

    def inventory(self, groups):
        every = [*self.members, *([self.third] if self.third else [])]
        data = hosts.inventory({group: every if group == "node_exporter" else self.members for group in groups},
                               **self.variables)  # fmt: skip
        path = self.folder / "inventory.json"
        path.write_text(json.dumps(data), encoding="utf-8")
        return path

    def of(self, host):
        """The same for another of its hosts, to ask about its processes."""
        return type(self)(host, self.folder, self.variables)

    def pids(self, service):
        """The process of a service on each host."""
        every = [*self.members, *([self.third] if self.third and service == "node_exporter" else [])]
        return [self.of(host).pid(service) for host in every]


class Units(Three, Site):
    """With systemd services."""


class Boxes(Three, Containers):
    """With containers."""


def variables(url, age, docker=False):
    route = {"receiver": "all", "group_by": ["alertname"], "group_wait": "1s", "group_interval": "5s"}
    found = base_variables(age, docker)
    return {
        **found,
        "prometheus_web_listen_address": "0.0.0.0:9090",
        "alertmanager_web_listen_address": "0.0.0.0:9093",
        "alertmanager_receivers": [{"name": "all", "webhook_configs": [{"url": f"{url}/webhook/all"}]}],
        "alertmanager_route": route,
        "prometheus_rule_packs": [],
        "prometheus_alert_rules": [{"alert": "Before", "expr": "vector(1)"}],
    }


@pytest.fixture(scope="module")
def messages():
    """What Alertmanager's receiver gets."""
    with sink.serve(hosts.gateway()) as served:
        yield served


@pytest.fixture(scope="module")
def three(tmp_path_factory, messages):
    folder = tmp_path_factory.mktemp("rollout")
    image = snapshot("trixie", folder, "old")
    with (
        hosts.host("trixie", group="fault", image=image) as one,
        hosts.host("trixie", group="fault", image=image) as two,
        hosts.host("trixie", group="fault", image=image) as three,
    ):
        site = Units(one, folder, variables(messages.url, "old"))
        site.members, site.third = (one, two), three
        for host in site.members:
            started(site.of(host))
        site.run().must_be_green(changed=True)
        yield site


def must_go_on(watch, *services):
    """One of the two served at any time."""
    for service in services:
        assert watch.both_away(service) == [], (service, watch.gaps)


def told(messages, alert):
    """How many messages said that an alert fires."""
    return [
        one
        for one in messages.of("all")
        if one.body["status"] == "firing" and {entry["labels"]["alertname"] for entry in one.body["alerts"]} == {alert}
    ]


def test_an_upgrade_leaves_one_of_two_serving_and_an_alert_arrives_once(three, messages):
    three.variables = variables(messages.url, "new")
    three.variables["prometheus_alert_rules"].append({"alert": "During", "expr": "vector(1)"})
    before = three.pids("prometheus") + three.pids("alertmanager")
    with Watch(three.members) as watch:
        three.run().must_be_green(changed=True)
    must_go_on(watch, "prometheus", "alertmanager")
    after = three.pids("prometheus") + three.pids("alertmanager")
    assert not set(before) & set(after)
    new = mirror.versions()["prometheus"]["new"]
    assert [three.of(host).version("prometheus") for host in three.members] == [new, new]
    messages.wait("all", 2)
    # A second one would come when the other Alertmanager has waited for its turn in the cluster (15 s), if it were to come.
    time.sleep(17)
    assert len(told(messages, "During")) == 1
    assert len(told(messages, "Before")) == 1
    three.run().must_be_green(changed=False)


def test_a_configuration_that_is_reloaded_takes_nobody_away(three):
    before = three.pids("prometheus")
    three.variables["prometheus_alert_rules"].append({"alert": "Reloaded", "expr": "vector(0) > 1"})
    with Watch(three.members) as watch:
        three.run("--tags", "prometheus").must_be_green(changed=True)
    assert three.pids("prometheus") == before
    assert watch.was_away("prometheus") == [0.0, 0.0]


def test_a_start_that_takes_long_is_waited_for(three):
    three.variables["prometheus_systemd_dropin"] = "[Service]\nExecStartPre=/bin/sleep 8\n"
    three.variables["prometheus_config_flags_extra"] = {"query.max-concurrency": 10, "rules.alert.resend-delay": "2s"}
    with Watch(three.members) as watch:
        outcome = three.run("--tags", "prometheus", "-v").must_be_green(changed=True)
    must_go_on(watch, "prometheus")
    assert min(watch.was_away("prometheus")) > 7, watch.gaps
    assert "has waited for" in outcome.output
    three.variables["prometheus_systemd_dropin"] = ""
    three.run("--tags", "prometheus", "--limit", three.members[0].name).must_be_green(changed=True)
    three.run("--tags", "prometheus").must_be_green(changed=True)


@pytest.mark.parametrize("behaviour", [CRASHES, HANGS], ids=["crashes", "never-ready"])
def test_a_release_that_does_not_work_reaches_one_host(three, behaviour):
    good = dict(three.variables)
    before = three.pids("prometheus")
    version = mirror.versions()["prometheus"]["new"]
    publish(three, "prometheus", behaviour)
    three.variables["prometheus_ready_timeout"] = 4
    with Watch(three.members) as watch:
        outcome = three.run("--tags", "prometheus")
    outcome.must_be_red(
        "ROLLOUT OF PROMETHEUS: ended, because 1 of 2 hosts failed",
        "failed before its turn",
        "failed: prometheus.service failed verification",
    )
    assert len(re.findall(rf"vigil-fault-\w+ +{version}\S* +(?:not changed|failed):", outcome.output)) == 2
    assert watch.both_away("prometheus") == []
    after = three.pids("prometheus")
    # The one on which it was tried runs what it ran before, in a new process.
    assert sum(one == other for one, other in zip(before, after)) == 1
    three.variables = good
    three.run("--tags", "prometheus").must_be_green()
    shutil.rmtree(three.folder / "mirror")


def test_an_exporter_that_does_not_work_reaches_the_canary_alone(three):
    good = dict(three.variables)
    before = three.pids("node_exporter")
    publish(three, "node_exporter", CRASHES)
    three.run("--tags", "node_exporter").must_be_red("ROLLOUT OF NODE_EXPORTER: ended, because 1 of 3 hosts failed")
    after = three.pids("node_exporter")
    assert sum(one == other for one, other in zip(before, after)) == 2
    three.variables = good
    three.run("--tags", "node_exporter").must_be_green()
    shutil.rmtree(three.folder / "mirror")


OWN = """
- name: Deploy Prometheus in a play of one's own
  hosts: prometheus
  gather_facts: false
  serial: 1
  max_fail_percentage: 100
  roles:
    - vigil.monitoring.prometheus
"""


def test_a_play_of_ones_own_that_would_go_on(three):
    good = dict(three.variables)
    before = three.pids("prometheus")
    publish(three, "prometheus", CRASHES)
    own = three.folder / "own.yml"
    own.write_text(OWN, encoding="utf-8")
    three.run(playbook=own).must_be_red("failed: prometheus.service failed verification")
    assert three.pids("prometheus")[1] == before[1]
    three.variables = good
    three.run("--limit", three.members[1].name, playbook=own).must_be_green(changed=False)
    three.run("--tags", "prometheus").must_be_green()
    shutil.rmtree(three.folder / "mirror")


def test_a_check_and_another_strategy(three):
    before = three.pids("prometheus")
    three.variables["prometheus_config_flags_extra"] = {"query.max-concurrency": 11, "rules.alert.resend-delay": "2s"}
    three.run("--tags", "prometheus", "--check").must_be_green(changed=True)
    assert three.pids("prometheus") == before
    with Watch(three.members) as watch:
        argv = three.command("--tags", "prometheus")
        environment = {**three.environment(), "ANSIBLE_STRATEGY": "free"}
        play.run(argv, three.folder, environment, 300).must_be_green(changed=True)
    must_go_on(watch, "prometheus")
    assert not set(before) & set(three.pids("prometheus"))


def test_containers_are_changed_one_after_the_other(tmp_path, messages):
    image = snapshot("trixie-docker", tmp_path)
    with (
        hosts.host("trixie-docker", group="fault", image=image) as one,
        hosts.host("trixie-docker", group="fault", image=image) as two,
    ):
        site = Boxes(one, tmp_path, variables(messages.url, "new", True))
        site.members = (one, two)
        for host in site.members:
            started(site.of(host))
        site.run().must_be_green(changed=True)
        site.variables["prometheus_config_flags_extra"] = {"query.max-concurrency": 10}
        site.variables["alertmanager_config_flags_extra"] = {"alerts.gc-interval": "20m"}
        first = site.pids("prometheus") + site.pids("alertmanager")
        with Watch(site.members) as watch:
            site.run().must_be_green(changed=True)
        must_go_on(watch, "prometheus", "alertmanager")
        assert not set(first) & set(site.pids("prometheus") + site.pids("alertmanager"))
        before = [site.of(host).container("prometheus")["Id"] for host in site.members]
        started_at = [site.of(host).container("prometheus")["State"]["StartedAt"] for host in site.members]
        site.variables["prometheus_container_memory"] = "16m"
        with Watch(site.members) as watch:
            site.run("--tags", "prometheus").must_be_red("it was killed: out of memory", "ROLLOUT OF PROMETHEUS")
        assert watch.both_away("prometheus") == []
        assert [site.of(host).container("prometheus")["Id"] for host in site.members] == before
        now = [site.of(host).container("prometheus")["State"]["StartedAt"] for host in site.members]
        assert sum(a == b for a, b in zip(started_at, now)) == 1
