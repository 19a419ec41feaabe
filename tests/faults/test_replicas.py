# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two Prometheus, two Alertmanagers and promxy on real hosts: one alert and one message of what both see, also while one is away;
then the same two servers as shards.

One site for all tests, in the order in which they stand.
"""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import pytest
from faults.conftest import Site, base_variables

from lab import containers, hosts, mirror, sink

pytestmark = pytest.mark.xdist_group("replicas")

SERVERS = ("alertmanager", "prometheus")
# So many targets of one job, so that both shards have some: each is an address of whoever asks, where node_exporter listens.
THINGS = {f"thing-{number}": f"127.0.0.{10 + number}" for number in range(8)}
RULES = [
    {"alert": "Mine", "expr": "vector(1)"},
    {"alert": "MemberAway", "expr": 'up{job="alertmanager"} == 0', "for": "2s"},
]
ROUTE = {
    "receiver": "sink",
    "group_by": ["alertname"],
    "group_wait": "1s",
    "group_interval": "2s",
    "repeat_interval": "1h",
}


class Two(Site):
    """Two hosts; promxy is a service on the one and a container on the other."""

    other: hosts.Host
    sink: sink.Sink

    @property
    def both(self):
        return (self.host, self.other)

    def inventory(self, groups):
        members = {group: [self.host] if group == "grafana" else self.both for group in groups}
        data = hosts.inventory(members, **self.variables)
        every = data["all"]
        every["hosts"][self.other.name].update(promxy_runtime="docker")
        every["hosts"].update({name: {"monitoring_address": address} for name, address in THINGS.items()})
        every["children"]["things"] = {"hosts": {name: {} for name in THINGS}}
        path = self.folder / "inventory.json"
        path.write_text(json.dumps(data), encoding="utf-8")
        return path

    def get(self, host, path, port=9090):
        return json.loads(host.run(f"curl -fsS 'http://127.0.0.1:{port}{path}'", check=False).stdout or "null")

    def query(self, host, query, port=9090):
        """The samples of an instant query: labels and value of each."""
        found = self.get(host, "/api/v1/query?query=" + quote(query, safe=""), port)
        if not found or found["status"] != "success":
            return None
        return [(sample["metric"], float(sample["value"][1])) for sample in found["data"]["result"]]

    def up(self, host, port=9090):
        """The targets that are up as one server sees them: job and instance."""
        return {
            (labels["job"], labels["instance"]) for labels, value in self.query(host, "up", port) or () if value == 1
        }

    def sent(self, host):
        """How many alerts a Prometheus has sent since it started."""
        shown = "curl -fsS http://127.0.0.1:9090/metrics | grep ^prometheus_notifications_sent_total"
        return sum(float(line.split()[-1]) for line in host.run(shown, check=False).stdout.splitlines())

    def messages(self, alert):
        """The messages about an alert that is firing, each as the alerts in it."""
        found = [message.body for message in self.sink.of("one")]
        return [
            body["alerts"]
            for body in found
            if body["status"] == "firing" and body["groupLabels"] == {"alertname": alert}
        ]


def until(condition, within=60, told=lambda: ""):
    """What a condition gives as soon as that is something; an AssertionError with what is told when time is up."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.5)
    raise AssertionError(f"nothing within {within} s {told()}")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    versions = mirror.versions()
    with (
        hosts.host("trixie", group="fault") as one,
        hosts.host("trixie-docker", group="fault") as two,
        sink.serve(hosts.gateway()) as target,
    ):
        groups = ("node_exporter", *SERVERS)
        variables = {
            **base_variables(),
            "prometheus_alert_rules": RULES,
            "prometheus_rule_packs": [],
            "prometheus_web_listen_address": "0.0.0.0:9090",
            "prometheus_scrape_groups": {"things": {"port": 9100}},
            "node_exporter_web_listen_address": "0.0.0.0:9100",
            "alertmanager_route": ROUTE,
            "alertmanager_receivers": [{"name": "sink", "webhook_configs": [{"url": target.url + "/webhook/one"}]}],
        }
        if versions["promxy"]["new"]:
            groups = (*groups, "promxy")
            variables["promxy_version"] = versions["promxy"]["new"]
            variables["promxy_ready_timeout"] = 30
            two.load(containers.image("promxy"))
            if mirror.grafana():
                groups = (*groups, "grafana")
                variables["grafana_version"] = mirror.grafana()[-1]
                variables["grafana_security"] = {"admin_password": "battery staple"}
        made = Two(one, tmp_path_factory.mktemp("replicas"), variables, groups)
        made.other, made.sink = two, target
        yield made


@pytest.fixture
def promxy(site):
    """The port of promxy; the test is skipped where there is none."""
    if "promxy" not in site.groups:
        pytest.skip(mirror.without("promxy"))
    return 8082


def test_two_servers_make_one_alert(site):
    site.run(timeout=420).must_be_green(changed=True)
    until(lambda: all(map(site.sent, site.both)), 90)
    for host in site.both:
        alerts = [alert["labels"] for alert in site.get(host, "/api/v2/alerts", 9093)]
        assert [labels for labels in alerts if labels["alertname"] == "Mine"] == [{"alertname": "Mine"}]
    labels = [site.get(host, "/api/v1/status/config")["data"]["yaml"] for host in site.both]
    assert [f"replica: {host.name}" in text for host, text in zip(site.both, labels)] == [True, True]


def test_it_arrives_once(site):
    (alerts,) = until(lambda: site.messages("Mine"))
    assert [alert["labels"] for alert in alerts] == [{"alertname": "Mine"}]
    # The other member would have sent its own after fifteen seconds, if it had not heard of this one.
    time.sleep(18)
    assert len(site.messages("Mine")) == 1, site.sink.told()


def test_a_converged_site_changes_nothing(site):
    site.run().must_be_green(changed=False)


def test_replicas_scrape_the_same(site):
    one, two = (site.up(host) for host in site.both)
    assert one == two
    assert {job for job, dummy in one} >= {"things", "prometheus", "alertmanager"}


def test_a_silence_is_at_both_members(site):
    body = {
        "matchers": [{"name": "alertname", "value": "Other", "isRegex": False, "isEqual": True}],
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "test",
        "comment": "test",
    }
    site.host.run(
        f"curl -fsS -H 'Content-Type: application/json' -d '{json.dumps(body)}' http://127.0.0.1:9093/api/v2/silences"
    )

    def ids(host):
        return [one["id"] for one in site.get(host, "/api/v2/silences", 9093) or ()]

    (found,) = until(lambda: ids(site.other), 30)
    assert ids(site.host) == [found]


def test_one_cause_is_one_message_while_a_member_is_away(site):
    """The cause is that very member; and the verification names it."""
    site.other.run("systemctl stop alertmanager")
    try:
        (alerts,) = until(lambda: site.messages("MemberAway"))
        assert [alert["labels"]["host"] for alert in alerts] == [site.other.name]
        outcome = site.run("--tags", "alertmanager", playbook="verify.yml")
        assert outcome.status != 0
        assert f"it sees 1 of the 2 members of its cluster, not {site.other.name}" in outcome.output
        time.sleep(5)
        assert len(site.messages("MemberAway")) == 1, site.sink.told()
    finally:
        site.other.run("systemctl start alertmanager")
    # Whoever comes back knows the silence, and what was sent.
    until(lambda: len((site.get(site.other, "/api/v2/status", 9093) or {}).get("cluster", {}).get("peers", ())) == 2)
    assert len(until(lambda: site.get(site.other, "/api/v2/silences", 9093))) == 1
    time.sleep(18)
    assert [len(site.messages(alert)) for alert in ("Mine", "MemberAway")] == [1, 1], site.sink.told()


def test_promxy_answers_while_a_replica_is_away(site, promxy):
    """In both runtimes: one Prometheus is stopped, and then the other one."""
    everything = site.up(site.host)
    for host in site.both:
        until(lambda host=host: site.up(host, promxy) == everything)
    for away in site.both:
        away.run("systemctl stop prometheus")
        try:
            for host in site.both:
                assert site.query(host, "count(up)", promxy), (
                    f"promxy of {host.name} without the Prometheus of {away.name}"
                )
        finally:
            away.run("systemctl start prometheus")
        until(lambda away=away: site.query(away, "count(up)") and site.sent(away))
    # Neither made another message of what goes on: the one sent it while the other was away.
    assert len(site.messages("Mine")) == 1, site.sink.told()


def test_grafana_asks_promxy_unless_it_is_told_otherwise(site, promxy):
    if "grafana" not in site.groups:
        pytest.skip(mirror.without_grafana())

    def ask(path):
        curl = f"curl -fsS -u 'admin:battery staple' 'http://127.0.0.1:3000/api/datasources{path}'"
        return json.loads(site.host.run(curl).stdout)

    found = {source["name"]: source for source in ask("") if source["type"] == "prometheus"}
    assert {name: source["isDefault"] for name, source in found.items()} == {
        "Prometheus": True,
        f"Prometheus promxy {site.other.name}": False,
        **{f"Prometheus {host.name}": False for host in site.both},
    }
    assert found["Prometheus"]["url"] == f"http://{site.host.ip}:{promxy}"
    (sample,) = ask(f"/proxy/uid/{found['Prometheus']['uid']}/api/v1/query?query=count(up)")["data"]["result"]
    assert float(sample["value"][1]) == len(site.up(site.host))


def test_promxy_without_any_server_is_red_and_named(site, promxy):
    for host in site.both:
        host.run("systemctl stop prometheus")
    try:
        outcome = site.run("--tags", "promxy", playbook="verify.yml")
        assert outcome.status != 0
        assert "a query through it fails" in outcome.output
        assert f"a Prometheus has to answer, of {site.host.name}, {site.other.name}" in outcome.output
    finally:
        for host in site.both:
            host.run("systemctl start prometheus")
    until(lambda: all(site.query(host, "count(up)") for host in site.both))


def test_two_shards_have_one_part_of_the_targets_each(site):
    # The test before has just started both servers again: this one may not answer yet, nor have scraped all.
    whole = until(lambda: _all_scraped(site))
    site.variables["prometheus_shards"] = 2
    site.run(timeout=420).must_be_green(changed=True)
    stack = {pair for pair in whole if pair[0] in ("prometheus", "alertmanager", "grafana", "promxy")}
    one, two = until(
        lambda: _parts(site, whole, stack), told=lambda: [_scraped(site, host) ^ whole for host in site.both]
    )
    things = [{pair for pair in found if pair[0] == "things"} for found in (one, two)]
    assert min(map(len, things)) > 0
    # What a server has is what the files of its own say.
    for host, found in zip(site.both, things):
        text = host.run("cat /etc/prometheus/file_sd/inventory/things.yml").stdout
        assert text.count(":9100") == len(found)
    site.run().must_be_green(changed=False)


def _scraped(site, host):
    """The targets that a server has scraped within ten seconds: on a busy machine a scrape of these may take too long."""
    found = site.query(host, "max_over_time(up[10s]) == 1") or ()
    return {(labels["job"], labels["instance"]) for labels, dummy in found}


def _all_scraped(site):
    """The targets of the first server, as soon as it knows the things and has scraped everything."""
    targets = (site.get(site.host, "/api/v1/targets?state=active") or {"data": {"activeTargets": []}})["data"]
    found = {(one["labels"]["job"], one["labels"]["instance"]) for one in targets["activeTargets"]}
    things = [job for job, dummy in found if job == "things"]
    return found if len(things) == len(THINGS) and found == _scraped(site, site.host) else None


def _parts(site, whole, stack):
    """What each shard scrapes, as soon as both together have everything and what has left is stale: what they share is the stack."""
    one, two = (_scraped(site, host) for host in site.both)
    return (one, two) if one | two == whole and one & two == stack else None


def test_promxy_puts_shards_together(site, promxy):
    whole = set.union(*(site.up(host) for host in site.both))
    for host in site.both:
        until(lambda host=host: site.up(host, promxy) == whole)
    # A part without any server is an error, and no answer with a part of the data.
    site.other.run("systemctl stop prometheus")
    try:
        assert site.query(site.host, "count(up)", promxy) is None
    finally:
        site.other.run("systemctl start prometheus")
    until(lambda: site.query(site.host, "count(up)", promxy))


def test_promxy_asks_servers_that_are_closed(site, promxy):
    """With the password of a machine, and who asks promxy needs one as well."""
    whole = until(lambda: site.query(site.host, "count(up)", promxy))
    # The things are reached at node_exporter without a certificate.
    site.variables.update(monitoring_tls=True, monitoring_password="correct horse", node_exporter_tls=False)
    site.run(timeout=420).must_be_green(changed=True)
    port = f"https://localhost:{promxy}"
    for host in site.both:
        ca = "--cacert /etc/promxy/monitoring_tls/ca.crt"
        done = host.run(f"curl -sS -o /dev/null -w '%{{http_code}}' {ca} '{port}/api/v1/query?query=up'")
        assert done.stdout == "401"
        done = host.run(f"curl -fsS {ca} -u 'admin:correct horse' '{port}/api/v1/query?query=count(up)'")
        assert json.loads(done.stdout)["data"]["result"][0]["value"][1] == str(int(whole[0][1]))
        assert "correct horse" not in host.run("cat /etc/promxy/promxy.yml").stdout
    site.run().must_be_green(changed=False)
