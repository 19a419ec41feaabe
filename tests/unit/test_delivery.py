# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connected means delivered, only scrapes since the last reload count, and a discovery that fails is no empty one."""

from __future__ import annotations

import email.utils
import json

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import (
    _alertmanager_cluster,
    _client,
    _health_check,
    _prometheus_delivery,
    _prometheus_discovery,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._exposition import Page
from ansible_collections.vigil.monitoring.plugins.module_utils._prometheus_delivery import Counts, Watch
from checked_health import health_of

START = 1_800_000_000.0
URL = "http://m:9093/api/v2/alerts"
METRICS = {
    "sent": _prometheus_delivery.ALERTS_SENT,
    "errors": _prometheus_delivery.ALERTS_FAILED,
    "dropped": _prometheus_delivery.ALERTS_DROPPED,
    "samples": _prometheus_delivery.SAMPLES_SENT,
    "samples_failed": _prometheus_delivery.SAMPLES_FAILED,
    "samples_retried": _prometheus_delivery.SAMPLES_RETRIED,
    "samples_newest": _prometheus_delivery.SAMPLES_NEWEST,
}


def samples(**found):
    """A page of metrics; a value is a number or ``{labels: number}``."""
    lines = []
    for name, value in found.items():
        for labels, number in (value if isinstance(value, dict) else {"": value}).items():
            lines.append(f"{name}{{{labels}}} {number}" if labels else f"{name} {number}")
    return "\n".join(lines) + "\n"


class Prometheus:
    """A Prometheus whose counters are functions of the seconds since its proof began.

    :ivar loaded: seconds before the proof at which it loaded its configuration.
    :ivar started: seconds before the proof at which it started.
    :ivar pending: seconds of the proof for which its alert is yet to fire.
    """

    def __init__(
        self,
        monkeypatch,
        loaded=3600.0,
        fires=True,
        past=None,
        resend="1m",
        scraped=0.0,
        started=86400.0,
        pending=0,
        **counters,
    ):
        self.loaded, self.fires, self.past, self.resend, self.scraped = loaded, fires, past, resend, scraped
        self.started, self.pending = started, pending
        self.counters = counters
        self.now = 0.0
        self.asked = []
        monkeypatch.setattr(_client, "get", self.get)

    def get(self, url, access, **timeouts):
        path = url.split("/", 3)[3].partition("?")[0]
        self.asked.append(path)
        answer = getattr(self, path.rpartition("/")[2])()
        body = answer if isinstance(answer, str) else json.dumps({"status": "success", "data": answer})
        return _client.Reply(200, {"Date": email.utils.formatdate(START + self.now)}, body.encode())

    def metrics(self):
        found = {
            "prometheus_build_info": {'version="3.5.3"': 1},
            "prometheus_config_last_reload_successful": 1,
            "prometheus_config_last_reload_success_timestamp_seconds": START - self.loaded,
            "process_start_time_seconds": START - self.started,
            "prometheus_notifications_alertmanagers_discovered": 1,
        }
        for name, count in self.counters.items():
            label = f'alertmanager="{URL}"'
            label = 'remote_name="r",url="http://r/x"' if name.startswith("samples") else label
            found[METRICS[name]] = {label if name != "dropped" else "": count(self.now)}
        return samples(**found)

    def targets(self):
        last = email.utils.formatdate(START + self.scraped).split()
        target = {
            "labels": {"job": "node", "instance": "0:1"},
            "health": "up",
            "scrapeUrl": "http://x",
            "scrapePool": "node",
            "scrapeInterval": "15s",
            "lastScrape": f"{last[3]}-01-15T{last[4]}.5Z",
        }
        return {"activeTargets": [target]}

    def rules(self):
        state = "pending" if self.now < self.pending else "firing"
        rule = {"name": "Watchdog", "health": "ok", "state": state if self.fires else "inactive", "duration": 10}
        return {"groups": [{"interval": 15, "rules": [rule]}]}

    def alertmanagers(self):
        return {"activeAlertmanagers": [{"url": URL}]}

    def flags(self):
        return {"rules.alert.resend-delay": self.resend}

    def query(self):
        result = [
            {"metric": {"alertmanager": URL, "of": name}, "value": [0, str(value)]}
            for name, value in (self.past or {}).items()
        ]
        return {"result": result}

    def prove(self, timeout=60, **service):
        asked = {
            "service": "prometheus",
            "health": health_of("prometheus"),
            "checks": [{"name": "prometheus_server", "given": {"expect": [], "rules": True, **service}}],
        }
        found = _health_check.check_health(asked, timeout, clock=lambda: self.now, sleep=self._sleep)
        return found["state"], " ".join(found["reasons"])

    def _sleep(self, seconds):
        self.now += seconds


def steps(every, start=0.0):
    """A counter that grows by one every so many seconds."""
    return lambda now: start + now // every


def still(value):
    return lambda now: value


def test_what_was_always_delivered_is_good_at_once(monkeypatch):
    asked = Prometheus(monkeypatch, sent=still(60), errors=still(0))
    assert asked.prove() == ("ok", "") and asked.now == 0
    assert "api/v1/status/flags" not in asked.asked and "api/v1/query" not in asked.asked


@pytest.mark.parametrize(("started", "waits"), [(11.5, 0), (9, 0), (13.5, 40), (86400, 40)])
def test_what_was_sent_since_a_start_was_sent_with_its_configuration(monkeypatch, started, waits):
    """A reload came later, and what was sent before it says nothing."""
    asked = Prometheus(monkeypatch, loaded=10, started=started, sent=steps(40, 1), errors=still(0))
    assert asked.prove() == ("ok", "") and asked.now == waits


def test_a_start_excuses_nothing(monkeypatch):
    failing = Prometheus(monkeypatch, loaded=10, started=10, sent=steps(40, 1), errors=steps(40, 1))
    state, why = failing.prove()
    assert state == "failed" and "its alerts do not reach" in why
    nothing = Prometheus(monkeypatch, loaded=10, started=10, sent=still(0), errors=still(0))
    state, why = nothing.prove()
    assert state == "unverified" and "no alert was sent" in why and nothing.now > 60


def test_an_alert_that_is_about_to_fire_is_waited_for(monkeypatch):
    asked = Prometheus(monkeypatch, loaded=1, started=1, pending=8, sent=lambda now: float(now >= 9), errors=still(0))
    assert asked.prove() == ("ok", "") and asked.now == 9


def test_what_failed_long_ago_is_told_by_its_own_history(monkeypatch):
    past = {_prometheus_delivery.ALERTS_SENT: 2.5, _prometheus_delivery.ALERTS_FAILED: 0}
    asked = Prometheus(monkeypatch, sent=still(60), errors=still(7), past=past)
    assert asked.prove() == ("ok", "") and asked.now == 0
    # Its history, of this very process, was asked once.
    assert asked.asked.count("api/v1/query") == 1


def test_without_a_history_the_next_notification_is_waited_for(monkeypatch):
    asked = Prometheus(monkeypatch, sent=steps(40, 60), errors=still(7))
    assert asked.prove() == ("ok", "") and asked.now == 40


def test_every_alert_fails(monkeypatch):
    asked = Prometheus(monkeypatch, sent=steps(40, 60), errors=steps(40, 60))
    state, why = asked.prove()
    assert state == "failed" and f"its alerts do not reach {URL}: 61 of 61 failed" in why


def test_alerts_that_fail_since_the_last_reload(monkeypatch):
    """Before it they arrived, so that only the next one tells."""
    asked = Prometheus(monkeypatch, loaded=5, sent=steps(40, 60), errors=steps(40))
    state, why = asked.prove()
    assert state == "failed" and "its alerts do not reach" in why


def test_alerts_that_arrive_since_the_last_reload(monkeypatch):
    asked = Prometheus(monkeypatch, loaded=5, sent=steps(40, 60), errors=still(0), scraped=1)
    assert asked.prove() == ("ok", "") and asked.now == 40


def test_how_long_a_notification_may_take_is_the_flag_s_to_say(monkeypatch):
    asked = Prometheus(monkeypatch, loaded=30, resend="3s", sent=still(60), errors=still(0))
    assert asked.prove() == ("ok", "") and asked.now == 0
    asked = Prometheus(monkeypatch, loaded=5, resend="10m", sent=still(60), errors=still(0))
    state, why = asked.prove()
    assert (state, asked.now) == ("unverified", 60) and "no alert was sent to" in why and "every 620 s" in why


def test_an_alertmanager_that_comes_up_in_time(monkeypatch):
    asked = Prometheus(monkeypatch, sent=steps(20, 1), errors=still(1))
    assert asked.prove()[0] == "ok"


def test_where_no_alert_fires_nothing_is_proven(monkeypatch):
    asked = Prometheus(monkeypatch, fires=False)
    state, why = asked.prove()
    assert state == "unverified" and "no notification was sent to" in why and asked.now == 0


def test_alerts_that_are_dropped(monkeypatch):
    """As the queue is full, though those that are sent arrive."""
    asked = Prometheus(monkeypatch, sent=still(60), errors=still(0), dropped=steps(1))
    assert asked.prove()[0] == "ok"
    watch = Watch()
    watch.dropped(5, [URL])
    assert watch.inspect(URL, Counts(60, 0), True) == "good"
    watch.dropped(6, [URL])
    assert watch.inspect(URL, Counts(60, 0), True) == "failing"
    watch.dropped(6, [URL])
    assert watch.inspect(URL, Counts(61, 0), True) == "good"
    full = Page(samples(prometheus_notifications_queue_length=9990, prometheus_notifications_queue_capacity=10000))
    assert ["9990 of 10000" in finding.text for finding in _prometheus_delivery.check_queue(full)] == [True]
    assert not list(_prometheus_delivery.check_queue(Page("")))


def test_a_failure_is_counted_before_the_attempt():
    watch = Watch()
    assert watch.inspect("x", Counts(1, 1), False) == "failing"
    assert watch.inspect("x", Counts(1, 2), False) == "failing"
    assert watch.inspect("x", Counts(2, 2), False) == "failing"
    assert watch.inspect("x", Counts(3, 2), False) == "good"


def test_remote_storage_that_takes_nothing(monkeypatch):
    fine = {"sent": still(60), "errors": still(0)}
    asked = Prometheus(monkeypatch, samples=steps(1, 10), samples_failed=steps(1, 10), **fine)
    state, why = asked.prove()
    assert state == "failed" and "its samples do not arrive at http://r/x (r)" in why
    asked = Prometheus(monkeypatch, samples=still(10), samples_failed=still(0), **fine)
    assert asked.prove() == ("ok", "") and asked.now == 0
    # What waits for a storage that is away is not lost, and nothing would come of waiting longer here.
    asked = Prometheus(monkeypatch, samples=steps(1, 10), samples_retried=steps(1, 9), samples_newest=still(0), **fine)
    state, why = asked.prove()
    assert state == "unverified" and "0 were refused, 9 had to be sent again" in why and asked.now == 0
    # An agent sends no alerts, and samples all the same.
    asked = Prometheus(monkeypatch, samples=steps(1, 10), samples_failed=steps(1, 10))
    assert asked.prove(agent=True)[0] == "failed"
    assert "api/v1/rules" not in asked.asked


@pytest.mark.parametrize(
    ("failed", "receiver", "said"),
    [(4, "", "its messages by slack fail: 4 of 4"), (4, "ops", "by slack to ops fail"), (3, "", None), (0, "", None)],
)
def test_a_channel_that_takes_no_message(failed, receiver, said):
    labels = 'integration="slack"' + (f',receiver_name="{receiver}"' if receiver else "")
    page = samples(
        **{_alertmanager_cluster.MESSAGES_SENT: {labels: 4}, _alertmanager_cluster.MESSAGES_FAILED: {labels: failed}}
    )
    found = list(_alertmanager_cluster.check_messages(Page(page)))
    assert [finding.state for finding in found] == (["unverified"] if said else [])
    assert not said or said in found[0].text


def test_the_history_is_that_of_this_process_and_of_both_counters():
    query = _prometheus_delivery.history_query(1795726125.18, 150)
    assert "process_start_time_seconds == 1795726125.18" in query and query.count("[150s]") == 5
    data = {
        "result": [
            {"metric": {"alertmanager": URL, "of": _prometheus_delivery.ALERTS_FAILED}, "value": [0, "1"]},
            {"metric": {"remote_name": "r", "url": "u", "of": _prometheus_delivery.SAMPLES_SENT}, "value": [0, "5"]},
            {"metric": {"remote_name": "r", "url": "u", "of": _prometheus_delivery.SAMPLES_RETRIED}, "value": [0, "2"]},
        ]
    }
    assert _prometheus_delivery.grew(data) == {URL: Counts(0, 1), ("r", "u"): Counts(5, 2)}


SCRAPED = [{"job": "node", "instance": "0:1"}]


def test_a_scrape_from_before_the_reload_says_nothing(monkeypatch):
    fine = {"sent": still(60), "errors": still(0), "resend": "1s"}
    asked = Prometheus(monkeypatch, loaded=30, scraped=-31, **fine)
    state, why = asked.prove(expect=SCRAPED)
    assert (
        state == "failed" and "not scraped" in why and "no scrape since its configuration was loaded (every 15s)" in why
    )
    asked = Prometheus(monkeypatch, loaded=30, scraped=-29, **fine)
    assert asked.prove(expect=SCRAPED) == ("ok", "") and asked.now == 0
    # A clock that was set back tells nothing of before and after.
    asked = Prometheus(monkeypatch, loaded=-3600, scraped=-31, **fine)
    assert asked.prove(expect=SCRAPED)[0] == "ok"


def discovered(job="dock", size=0, **more):
    return samples(prometheus_sd_discovered_targets={f'config="{job}",name="scrape"': size}, **more)


def refreshes(tried, failed, mechanism="docker", extra=""):
    labels = f'mechanism="{mechanism}"{extra}'
    return {_prometheus_discovery.REFRESHED: {labels: tried}, _prometheus_discovery.REFRESH_FAILED: {labels: failed}}


@pytest.mark.parametrize(
    ("pages", "mechanism", "state", "said"),
    [
        ([discovered(**refreshes(1, 1))], "docker", "wait", "service discovery fails (docker_sd_configs)"),
        ([discovered(**refreshes(9, 9, "http"))], "http", "wait", "service discovery fails (http_sd_configs)"),
        ([discovered(**refreshes(9, 9, extra=',config="dock"'))], "docker", "wait", "fails"),
        # That of another job.
        ([discovered(**refreshes(9, 9, extra=',config="other"'))], "docker", "ok", "finds none"),
        ([discovered(**refreshes(9, 0))], "docker", "ok", "finds none"),
        ([discovered(size=2, **refreshes(9, 9))], "docker", None, ""),
        ([discovered(**refreshes(9, 3))], "docker", "wait", "has failed before"),
        ([discovered(**refreshes(9, 3)), discovered(**refreshes(10, 4))], "docker", "wait", "fails"),
        ([discovered(**refreshes(9, 3)), discovered(**refreshes(10, 3))], "docker", "ok", "finds none"),
        (
            [discovered(prometheus_sd_file_read_errors_total=9, prometheus_sd_file_scan_duration_seconds_count=9)],
            "file",
            "wait",
            "file_sd_configs",
        ),
        ([discovered(prometheus_sd_file_scan_duration_seconds_count=9)], "file", "ok", "finds none"),
        (
            [discovered(prometheus_sd_kubernetes_http_request_total={'status_code="<error>"': 4})],
            "kubernetes",
            "wait",
            "kubernetes_sd_configs",
        ),
        (
            [discovered(prometheus_sd_kubernetes_http_request_total={'status_code="403"': 4, 'status_code="200"': 9})],
            "kubernetes",
            "wait",
            "has failed before",
        ),
        ([discovered(prometheus_sd_dns_lookup_failures_total=3, **refreshes(1, 0, "dns"))], "dns", "wait", "dns_sd"),
    ],
)
def test_a_discovery_that_fails_is_told_from_one_that_finds_nothing(pages, mechanism, state, said):
    watch = _prometheus_discovery.Watch()
    for page in pages:
        found = list(_prometheus_discovery.check(watch, Page(page), {"dock": [mechanism]}))
    assert [finding.state for finding in found] == ([state] if state else [])
    assert not state or (said in found[0].text and "dock" in found[0].text)


def test_a_discovery_that_has_only_begun_gets_its_time():
    (found,) = _prometheus_discovery.check(
        _prometheus_discovery.Watch(), Page(discovered()), {"dock": ["docker"]}, age=3
    )
    assert (found.state, found.otherwise) == ("wait", "ok") and found.due > 3


def test_what_is_discovered_and_cannot_be_a_target():
    page = samples(
        prometheus_target_sync_failed_total={'scrape_job="x"': 3, 'scrape_job="y"': 0},
        prometheus_sd_failed_configs={'name="scrape"': 1, 'name="notify"': 0},
    )
    assert [
        finding.state for finding in _prometheus_discovery.check(_prometheus_discovery.Watch(), Page(page), {})
    ] == ["failed", "unverified"]


def test_a_discovery_that_may_fail(monkeypatch):
    asked = Prometheus(monkeypatch, sent=still(60), errors=still(0))
    page = asked.metrics() + discovered(**refreshes(1, 1))
    monkeypatch.setattr(asked, "metrics", lambda: page)
    assert asked.prove(discoveries={"dock": ["docker"]})[0] == "failed"
    assert asked.prove(discoveries={"dock": ["docker"]}, ignore=[{"job": "do.k"}]) == ("ok", "")


def test_the_mechanisms_of_a_job():
    config = {
        "job_name": "x",
        "docker_sd_configs": [{}],
        "static_configs": [{}],
        "http_sd_configs": [],
        "dns_sd_configs": [1],
    }
    assert _prometheus_discovery.mechanisms(config) == ["dns", "docker"]


def test_a_page_of_metrics():
    page = Page('# TYPE a counter\na{x="1\\"}",y="b\\\\"} 2e+00\na{x="2"} 3 1700000000000\nab 7\n')
    assert page.samples("a") == [({"x": '1"}', "y": "b\\"}, 2.0), ({"x": "2"}, 3.0)]
    assert page.value("a") == 5 and page.value("b") is None
    assert page.by("a", "x") == {('1"}',): 2, ("2",): 3}
