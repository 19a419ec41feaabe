# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What services report against what is expected, and the summary."""

from __future__ import annotations

import json

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import (
    _alertmanager_api,
    _alertmanager_cluster,
    _client,
    _findings,
    _health_check,
    _prometheus_server,
    _requests,
    _summary,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from checked_health import complete_health, health_of

METRICS = """\
# HELP x
{kind}_build_info{{branch="x",goversion="go1",revision="r",version="{version}"}} 1
{kind}_config_last_reload_successful {reload}
alertmanager_config_hash{{}} 2.74e+14
"""


def metrics(kind, version="3.5.3", reload=1):
    return METRICS.format(kind=kind, version=version, reload=reload)


@pytest.mark.parametrize(
    "text, wanted, state",
    [
        (metrics("prometheus"), "3.5.3", "ok"),
        (metrics("prometheus", "3.5.3+ds1"), "v3.5.3", "ok"),
        (metrics("prometheus"), "", "ok"),
        (metrics("prometheus"), "3.5.4", "failed"),
        (metrics("prometheus", reload=0), "3.5.3", "failed"),
        (metrics("alertmanager"), "3.5.3", "failed"),
        ("<html>", "3.5.3", "failed"),
    ],
)
def test_version_and_reload(text, wanted, state):
    assert _findings.check_version(complete_health("prometheus"), text, wanted)[1].state == state


def rules(*healths, interval=15):
    found = [{"name": f"R{n}", "health": health, "lastError": "many-to-many"} for n, health in enumerate(healths)]
    return {"groups": [{"name": "g", "interval": interval, "rules": found}]}


@pytest.mark.parametrize(
    "data, wanted, state, words",
    [
        (rules("ok", "ok"), True, "ok", ""),
        (rules("ok", "err"), True, "wait", "1 rule fails:\n  GROUP  RULE  WHY\n  g      R1    many-to-many"),
        (rules("ok", "err"), False, "wait", "1 rule fails"),
        (rules(*["err"] * 25), True, "wait", "and 5 more"),
        ({"groups": []}, True, "wait", "no rules"),
        ({"groups": None}, True, "wait", "no rules"),
        ({"groups": [{"name": "g", "rules": []}]}, True, "wait", "no rules"),
        ({"groups": []}, False, "ok", ""),
        (rules("unknown"), True, "wait", "not been evaluated yet (every 15 s)"),
    ],
)
def test_rules(data, wanted, state, words):
    finding = _prometheus_server.check_rules(data, wanted)
    assert finding.state == state and words in finding.text


def test_a_rule_that_is_not_due_yet_says_when_it_is():
    assert _prometheus_server.check_rules(rules("unknown", interval=3600), True).due > 3600
    assert _prometheus_server.check_rules(rules("err"), True).due == 0


def test_alertmanagers():
    data = {"activeAlertmanagers": [{"url": "http://10.0.0.1:9093/am/api/v2/alerts"}]}
    assert _prometheus_server.check_alertmanagers(data, ["10.0.0.1:9093"]).state == "ok"
    finding = _prometheus_server.check_alertmanagers(data, ["10.0.0.1:9093", "10.0.0.2:9093"])
    assert finding.state == "wait" and finding.text == "it does not alert 1 of 2 Alertmanagers: 10.0.0.2:9093"


@pytest.mark.parametrize(
    ("wanted", "orphans", "otherwise"),
    [
        (["10.0.0.1:9093", "10.0.0.2:9093"], "fail", None),
        (["10.0.0.1:9093"], "ignore", None),
        (["10.0.0.1:9093"], "warn", "unverified"),
        (["10.0.0.1:9093"], "fail", "failed"),
        ([], "warn", "unverified"),
    ],
)
def test_an_alertmanager_that_left_the_inventory_is_named(wanted, orphans, otherwise):
    data = {"activeAlertmanagers": [{"url": f"http://u:p@10.0.0.{n}:9093/api/v2/alerts"} for n in (1, 2)]}
    finding = _prometheus_server.check_strangers(data, wanted, orphans, True)
    assert finding.state == (otherwise or "ok")
    assert not otherwise or ("10.0.0.2:9093" in finding.text and "u:p" not in finding.text)
    # One that has left a moment ago may still be listed.
    finding = _prometheus_server.check_strangers(data, wanted, orphans, False)
    assert (finding.state, finding.otherwise) == (("wait", otherwise) if otherwise else ("ok", "failed"))


@pytest.mark.parametrize(
    "status, peers, members, state",
    [
        ("ready", 2, 2, "ok"),
        ("ready", 1, 2, "wait"),
        ("settling", 2, 2, "wait"),
        ("disabled", 0, 2, "failed"),
        ("disabled", 0, 0, "ok"),
        ("ready", 1, 0, "ok"),
    ],
)
def test_clusters(status, peers, members, state):
    answer = {"cluster": {"status": status, "peers": [{"name": f"p{n}"} for n in range(peers)]}}
    assert _alertmanager_cluster.check_cluster(answer, members)[1].state == state


def test_the_member_that_is_not_seen_is_named():
    """As far as addresses tell: a name in the inventory is not what members call each other."""
    peers = [{"name": "p0", "address": "192.0.2.1:9094"}, {"name": "p1", "address": "[2001:db8::1]:9094"}]
    others = {"b": "2001:db8::1", "c": "192.0.2.3", "d": "192.0.2.4", "e": "e.example.org"}
    seen, finding = _alertmanager_cluster.check_cluster({"cluster": {"status": "ready", "peers": peers}}, 5, others)
    assert seen == ["p0", "p1"]
    assert finding.text == "it sees 2 of the 5 members of its cluster, not c, d"


NOW = 1_764_230_000.0


def silence(name, changed, ends, state="active"):
    """As Alertmanager shows it; times are seconds from now."""
    return {
        "id": name,
        "updatedAt": _alertmanager_api.to_time(NOW + changed),
        "endsAt": _alertmanager_api.to_time(NOW + ends),
        "status": {"state": state},
    }


OLD, GONE = silence("one", -3600, 3600), silence("one", -300, -300, "expired")


@pytest.mark.parametrize(
    ("first", "second", "behind"),
    [
        ([], [], {}),
        ([OLD], [OLD], {}),
        ([OLD], [], {"one": ["b"]}),
        ([], [OLD], {"one": ["a"]}),
        ([OLD, silence("two", -90, 60 * 60)], [OLD], {"two": ["b"]}),
        # It was made a moment ago, and is on its way.
        ([silence("one", -30, 3600)], [], {}),
        ([silence("one", 5, 3600)], [], {}),
        # It has ended, or is about to.
        ([silence("one", -3600, -900)], [], {}),
        ([silence("one", -3600, 30)], [], {}),
        # Somebody ended it at one of them, and the other one has not heard of it.
        ([GONE], [OLD], {"one": ["b"]}),
        ([silence("one", -30, -30, "expired")], [OLD], {}),
        ([silence("one", -300, 3600)], [OLD], {"one": ["b"]}),
    ],
)
def test_silences_are_at_all_members(first, second, behind):
    lines = [
        line("alertmanager", host, silences={"at": at, "known": _alertmanager_cluster.recent(found, at)})
        for host, found, at in (("a", first, NOW), ("b", second, NOW + 10))
    ]
    assert _alertmanager_cluster.unlike(lines) == behind
    pair = [{**one, "members": ["p1", "p2"], "config_hash": "1"} for one in lines]
    found = _summary.agreement(pair)
    assert bool(found) == bool(behind)
    for name, hosts in behind.items():
        text = "a silence that was made at one member of its cluster is not at the others: {0} lacks {1}"
        assert set(found.values()) == {text.format(hosts[0], name)}
    # Those of another cluster, and one that could not be asked, have nothing to do with it.
    assert _summary.agreement([pair[0], {**pair[1], "members": ["q1", "q2"]}]) == {}
    assert _summary.agreement([pair[0], {**pair[1], "silences": None}]) == {}


def test_too_many_silences_are_not_compared():
    many = [silence(str(number), -3600, 3600) for number in range(_alertmanager_cluster.MANY + 1)]
    assert _alertmanager_cluster.recent(many, NOW) is None
    assert len(_alertmanager_cluster.recent(many[1:], NOW)) == _alertmanager_cluster.MANY
    lines = [
        line("alertmanager", host, silences={"at": NOW, "known": found})
        for host, found in (("a", None), ("b", {"x": [0, 1e12]}))
    ]
    assert _alertmanager_cluster.unlike(lines) == {}


@pytest.mark.parametrize(
    ("orphans", "state", "after"),
    [("ignore", "ok", None), ("warn", "wait", "unverified"), (None, "wait", "unverified"), ("fail", "wait", "failed")],
)
def test_a_member_that_the_inventory_does_not_know(orphans, state, after):
    peers = [{"name": f"p{n}", "address": f"10.0.0.{n}:9094"} for n in range(3)]
    seen, finding = _alertmanager_cluster.check_cluster(
        {"cluster": {"status": "ready", "peers": peers}}, 2, None, orphans
    )
    assert (finding.state, len(seen)) == (state, 3)
    if after:
        assert finding.otherwise == after
        assert (
            "sees 3 members of its cluster, and the inventory has 2: 10.0.0.0:9094, 10.0.0.1:9094, 10.0.0.2:9094"
            in finding.text
        )


def line(service="node_exporter", host="a", state="ok", **more):
    return {"service": service, "host": host, "state": state, "version": "1", "url": "u", "reasons": [], **more}


def test_members_of_one_cluster_have_one_configuration():
    pair = ["p1", "p2"]
    one = line("alertmanager", "a", members=pair, config_hash="1")
    assert _summary.agreement([one, line("alertmanager", "b", members=pair, config_hash="1")]) == {}
    assert set(_summary.agreement([one, line("alertmanager", "b", members=pair, config_hash="2")])) == {
        ("alertmanager", "a"),
        ("alertmanager", "b"),
    }
    # Those of another cluster, and those that stand alone, may have another.
    assert _summary.agreement([one, line("alertmanager", "b", members=["q1", "q2"], config_hash="2")]) == {}
    assert _summary.agreement([line(members=["x"], config_hash="1"), line(members=["x"], config_hash="2")]) == {}


def test_the_summary_reads_well():
    lines = [
        line(
            "prometheus", "mon", "failed", targets=[5, 7], url="http://m:9091", version="3.5.3", reasons=["one\n  two"]
        ),
        line("node_exporter", "web2", url="http://w2:9100", version="1.11.1"),
        line("node_exporter", "web1", "failed", url=None, version=None, reasons=["not verified: it failed"]),
        line("alertmanager", "mon", "unverified", url="http://m:9093", version="0.33.1", reasons=["not verified: x"]),
    ]
    assert _summary.summary(lines) == (
        "MONITORING: 1 of 4 services verified, 2 failed, 1 not fully verified\n"
        "     SERVICE        HOST  VERSION  TARGETS  URL\n"
        "  ?  alertmanager   mon   0.33.1   -        http://m:9093\n"
        "  ✗  node_exporter  web1  -        -        -\n"
        "  ✓  node_exporter  web2  1.11.1   -        http://w2:9100\n"
        "  ✗  prometheus     mon   3.5.3    5/7      http://m:9091\n"
        "\n✗ node_exporter on web1:\n    not verified: it failed\n"
        "\n✗ prometheus on mon:\n    one\n      two\n"
        "\n? alertmanager on mon:\n    not verified: x"
    )


def test_ten_thousand_good_lines_are_one():
    lines = [line(host=f"h{n}") for n in range(10000)] + [line(host="x", state="failed", reasons=["why"])]
    text = _summary.summary(lines)
    assert "10000 hosts" in text and "✗ node_exporter on x" in text and text.count("\n") < 10


def test_check_mode_says_that_nothing_is_verified():
    text = _summary.summary([line(state="unchecked", version=None, url=None)], check_mode=True)
    assert text.startswith("MONITORING: 0 of 1 service verified, 1 not there yet (check mode: nothing is verified)")


class Server:
    """Answers in turn, instead of the network; the last one for ever."""

    def __init__(self, monkeypatch, **answers):
        self.answers = {path.replace("_", "/"): list(found) for path, found in answers.items()}
        self.asked = []
        self.now = 0.0
        monkeypatch.setattr(_client, "get", self.get)

    def get(self, url, access, **timeouts):
        path = "/" + url.split("/", 3)[3].partition("?")[0]
        self.asked.append((path, access))
        found = self.answers[path.rpartition("/")[2]]
        answer = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            return _client.Reply(answer, {}, b"no")
        return _client.Reply(200, {}, (answer if isinstance(answer, str) else json.dumps(answer)).encode())

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def prove(self, timeout=60, **service):
        name, reach = service.pop("service", "prometheus"), service.pop("health", {})
        check = {"alertmanager": "alertmanager_cluster", "prometheus": "prometheus_server"}[name]
        asked = {"service": name, "health": health_of(name, **reach), "version": service.pop("version", "3.5.3")}
        patient = service.pop("patient", True)
        asked["checks"] = [{"name": check, "given": service}]
        return _health_check.check_health(asked, timeout, clock=self.clock, sleep=self.sleep, patient=patient)


def targets(*healths, interval="15s"):
    found = [
        {
            "labels": {"job": "node", "instance": f"{n}:1"},
            "health": health,
            "scrapeUrl": "http://x",
            "scrapePool": "node",
            "scrapeInterval": interval,
            "lastError": "refused" if health == "down" else "",
        }
        for n, health in enumerate(healths)
    ]
    return {"status": "success", "data": {"activeTargets": found}}


def good(data):
    return {"status": "success", "data": data}


NODE = [{"job": "node", "instance": "0:1"}]
FINE = {"metrics": [metrics("prometheus")], "targets": [targets("up")], "rules": [good(rules("ok"))]}


def test_a_good_prometheus(monkeypatch):
    sent = 'prometheus_notifications_sent_total{alertmanager="http://m:1/x"} 4\n'
    told = {**FINE, "metrics": [metrics("prometheus") + sent]}
    server = Server(monkeypatch, **told, alertmanagers=[good({"activeAlertmanagers": [{"url": "http://m:1/x"}]})])
    found = server.prove(expect=NODE, rules=True, alertmanagers=["m:1"])
    assert found["state"] == "ok" and found["targets"] == [1, 1] and found["version"] == "3.5.3"
    assert [path for path, access in server.asked] == [
        "/metrics",
        "/api/v1/targets",
        "/api/v1/rules",
        "/api/v1/alertmanagers",
    ]


class Large:
    """A Prometheus with 5,000 discovered targets beside those that are expected; answers by path and query.

    :ivar counted: label job -> number of targets, as the query counts them.
    :ivar others: targets of other jobs, in the answer with all of them.
    :ivar knows_pools: whether it knows the parameter scrapePool.
    """

    def __init__(self, monkeypatch, *healths):
        self.own, self.others = targets(*healths)["data"]["activeTargets"], []
        self.sizes = {"node": len(healths), "discovered": 5_000}
        self.counted, self.knows_pools, self.asked = {"node": len(healths)}, True, []
        monkeypatch.setattr(_client, "get", self.get)

    def get(self, url, access, **timeouts):
        path = "/" + url.split("/", 3)[3]
        self.asked.append(path)
        if path == "/metrics":
            size = 'prometheus_target_scrape_pool_targets{{scrape_job="{}"}} {}\n'
            text = metrics("prometheus") + "".join(size.format(*one) for one in self.sizes.items())
            return _client.Reply(200, {}, text.encode())
        if path.startswith("/api/v1/query"):
            found = [{"metric": {"job": job}, "value": [0, str(size)]} for job, size in self.counted.items()]
            data = {"result": found}
        elif path.startswith("/api/v1/targets"):
            some = self.knows_pools and path.endswith("&scrapePool=node")
            data = {"activeTargets": self.own if some else self.own + self.others}
        else:
            data = rules("ok")
        return _client.Reply(200, {}, json.dumps(good(data)).encode())

    def prove(self, **given):
        """The outcome, and whether all targets were requested."""
        asked = {"service": "prometheus", "health": health_of("prometheus"), "version": "3.5.3"}
        asked["checks"] = [{"name": "prometheus_server", "given": {"expect": NODE, **given}}]
        line = _health_check.check_health(asked, 0)
        return line, "/api/v1/targets?state=active" in self.asked


OTHER = {**targets("down")["data"]["activeTargets"][0], "scrapePool": "discovered"}


def test_of_many_targets_those_of_the_expected_jobs_are_enough(monkeypatch):
    line, everything = Large(monkeypatch, "up").prove()
    assert line["state"] == "ok" and line["targets"] == [1, 1] and not everything


def test_of_many_targets_one_that_is_down_is_found(monkeypatch):
    line, everything = Large(monkeypatch, "down").prove()
    assert line["state"] == "failed" and "refused" in line["reasons"][0] and not everything


def test_all_targets_are_requested_where_an_expected_one_is_missing(monkeypatch):
    server = Large(monkeypatch, "up")
    server.others = [{**OTHER, "labels": {"job": "discovered", "instance": "9:1"}}]
    line, everything = server.prove(expect=[*NODE, {"job": "node", "instance": "9:1"}])
    assert everything and "Prometheus has it as job discovered" in line["reasons"][0]


def a_target_elsewhere_with_the_same_labels(server):
    server.counted, server.others = {"node": 2}, [OTHER]


def a_job_without_a_scrape(server):
    server.counted = {}


def no_query(server):
    server.counted = {None: 1}


def no_such_pool(server):
    del server.sizes["node"]


def few_targets(server):
    server.sizes["discovered"] = 10


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (a_target_elsewhere_with_the_same_labels, "failed"),
        (a_job_without_a_scrape, "ok"),
        (no_query, "ok"),
        (no_such_pool, "ok"),
        (few_targets, "ok"),
    ],
)
def test_all_targets_are_requested_where_those_of_some_jobs_may_not_be_enough(monkeypatch, change, state):
    server = Large(monkeypatch, "up")
    change(server)
    line, everything = server.prove()
    assert everything and line["state"] == state


def test_all_targets_of_an_agent_are_requested(monkeypatch):
    line, everything = Large(monkeypatch, "up").prove(agent=True)
    assert everything and line["state"] == "ok"


def test_a_version_without_the_parameter_returns_all_targets(monkeypatch):
    server = Large(monkeypatch, "up")
    server.knows_pools, server.others = False, [{**OTHER, "labels": {"job": "discovered", "instance": "9:1"}}]
    assert server.prove()[0]["state"] == "ok"


def test_the_query_that_counts_targets():
    counted = _prometheus_server.count_query({'a"b', "über"})
    assert counted == 'count by (job) (up{job="a\\"b"}) or count by (job) (up{job="über"})'


def test_a_slow_server_is_asked_less_often(monkeypatch):
    server = Server(monkeypatch, **{**FINE, "targets": [targets("unknown", interval="1d")]})
    answer, times = server.get, []

    def slow(*arguments, **more):
        server.now += 1
        return answer(*arguments, **more)

    monkeypatch.setattr(_client, "get", slow)
    server.sleep = lambda seconds: (times.append(seconds), setattr(server, "now", server.now + seconds))
    server.prove(expect=NODE)
    assert set(times) == {3.0}


def test_an_agent_has_no_rules(monkeypatch):
    server = Server(monkeypatch, **{**FINE, "rules": [422]})
    assert server.prove(expect=NODE, agent=True)["state"] == "ok"


def test_what_may_become_good_is_waited_for(monkeypatch):
    server = Server(monkeypatch, **{**FINE, "targets": [targets("unknown"), targets("down"), targets("up")]})
    assert server.prove(expect=NODE)["state"] == "ok"
    assert server.now > 0


def test_a_target_that_stays_down_is_red_after_the_time(monkeypatch):
    server = Server(monkeypatch, **{**FINE, "targets": [targets("down")]})
    found = server.prove(expect=NODE)
    assert found["state"] == "failed" and "refused" in found["reasons"][0]
    assert server.now == 60


def test_a_target_that_is_scraped_a_little_later_is_waited_for(monkeypatch):
    server = Server(monkeypatch, **{**FINE, "targets": [targets("unknown", interval="1m")]})
    found = server.prove(expect=NODE)
    assert server.now == 70 and found["state"] == "failed"


def test_a_target_that_is_scraped_much_later_is_not_proven(monkeypatch):
    server = Server(monkeypatch, **{**FINE, "targets": [targets("unknown", interval="1d")]})
    found = server.prove(expect=NODE)
    assert server.now == 60 and found["state"] == "unverified" and "not verified within 60 s" in found["reasons"][0]


def test_a_wrong_version_is_red_at_once(monkeypatch):
    server = Server(monkeypatch, **FINE)
    assert server.prove(version="3.4.0", expect=NODE)["state"] == "failed"
    assert server.now == 0


def test_starting_is_waited_for(monkeypatch):
    server = Server(monkeypatch, **{**FINE, "targets": [503, 503, targets("up")]})
    assert server.prove(expect=NODE)["state"] == "ok"


def test_nobody_there(monkeypatch):
    server = Server(monkeypatch, metrics=[_client.AskError("unreachable", "connection refused")])
    with pytest.raises(_requests.CannotReach):
        server.prove(patient=False)
    assert server.now == 0
    with pytest.raises(_requests.CannotReach):
        server.prove()
    assert server.now == _health_check.GRACE


def test_a_password_that_is_not_there_is_not_proven_and_a_wrong_one_is_red(monkeypatch):
    server = Server(monkeypatch, metrics=[401])
    found = server.prove()
    assert found["state"] == "unverified" and "prometheus_health_username" in found["reasons"][0]
    assert server.prove(health={"username": "me", "password": "secret"})["state"] == "failed"


def test_an_unknown_certificate_is_not_proven_and_sees_no_password(monkeypatch):
    server = Server(monkeypatch, **{**FINE, "metrics": [_client.AskError("tls", "self-signed"), metrics("prometheus")]})
    found = server.prove(expect=NODE, health={"username": "me", "password": "secret"})
    assert found["state"] == "unverified" and "prometheus_health_ca" in found["reasons"][-1]
    assert all(access.username is None for path, access in server.asked[1:])


def test_a_certificate_that_the_given_authority_did_not_sign_is_red(monkeypatch):
    server = Server(monkeypatch, metrics=[_client.AskError("tls", "self-signed")])
    assert server.prove(health={"ca_path": "/ca"})["state"] == "failed"


def test_something_else_that_answers_is_red(monkeypatch):
    server = Server(monkeypatch, **{**FINE, "targets": ["<html>"]})
    assert server.prove(expect=NODE)["state"] == "failed"


def test_an_alertmanager_and_its_cluster(monkeypatch):
    status = {"cluster": {"status": "ready", "peers": [{"name": "b"}, {"name": "a"}]}}
    server = Server(
        monkeypatch, metrics=[metrics("alertmanager", "0.33.1")], status=[status], silences=[[silence("one", 0, 1e10)]]
    )
    found = server.prove(service="alertmanager", version="0.33.1", members=2)
    assert found["silences"]["known"] == {"one": [NOW, NOW + 1e10]}
    assert (found["state"], found["members"], found["config_hash"]) == ("ok", ["a", "b"], "2.74e+14")
    assert server.prove(service="alertmanager", version="0.33.1", members=3)["state"] == "failed"


@pytest.mark.parametrize(
    "url, expected",
    [
        ("http://a:1/x", ("http://a:1/x", None, None)),
        ("https://me:p%40ss@a:1/x", ("https://a:1/x", "me", "p@ss")),
        ("http://me@a", ("http://a", "me", None)),
    ],
)
def test_user_info_in_urls(url, expected):
    assert _client.split_userinfo(url) == expected


@pytest.mark.parametrize(
    "text", ["http://u:hunter2@h/x", "see https://h/?api_key=hunter2&x=1", 'Get "http://h?a=b&Token=hunter2": EOF']
)
def test_texts_without_secrets(text):
    assert "hunter2" not in _client.without_secrets(text)


@pytest.mark.parametrize(
    ("service", "before", "from_where", "state"),
    [
        ("grafana", "ok", "auto", "unverified"),
        ("node_exporter", "ok", "auto", "ok"),
        ("node_exporter", "ok", "controller", "failed"),
        ("grafana", "ok", "host", "ok"),
        ("grafana", "unverified", "host", "unverified"),
        ("grafana", "failed", "host", "failed"),
    ],
)
def test_what_only_its_own_host_reaches_is_said(service, before, from_where, state):
    found = _summary.only_from_host(
        line(service, state=before), "no connection within 3 s", from_where, _rooms.load(service).for_people
    )
    assert found["state"] == state
    said = any("only its own host was answered there" in reason for reason in found["reasons"])
    assert said == (before != "failed")
