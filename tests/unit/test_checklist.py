# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The queries of the checklist, sent to a fake Prometheus."""

from __future__ import annotations

import json
import math
from urllib.parse import parse_qsl, urlsplit

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _checklist, _client, _promql
from ansible_collections.vigil.monitoring.plugins.modules import checklist

END = 1_800_000_000
DAY = 86400
SETTINGS = {"range": DAY, "trend_range": 7 * DAY, "threshold_range": 7 * DAY, "percentile_range": 30 * DAY}


def reply(data=None, status=200, error=None):
    answer = {"status": "success", "data": data} if error is None else {"status": "error", "error": error}
    return _client.Reply(status, {}, json.dumps(answer).encode())


def vector(*series):
    """An instant answer of ``(labels, value)``."""
    return reply({"resultType": "vector", "result": [{"metric": m, "value": [END, str(v)]} for m, v in series]})


def matrix(*series):
    """A range answer of ``(labels, points)``."""
    rows = [{"metric": labels, "values": [[at, str(value)] for at, value in points]} for labels, points in series]
    return reply({"resultType": "matrix", "result": rows})


class Fake:
    """Answers by the beginning of a path or query; remembers all questions."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    def __call__(self, url, access, timeout, connect_timeout):
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query))
        self.asked.append((parts.path, given))
        query = given.get("query", "")
        if query == "time()":
            return reply({"resultType": "scalar", "result": [END, f"{END}.25"]})
        for beginning, answer in sorted(self.answers.items(), key=lambda pair: not pair[0].startswith("/api")):
            if beginning in (parts.path, query[: len(beginning)]):
                if isinstance(answer, Exception):
                    raise answer
                return answer
        if parts.path.endswith("/rules"):
            return reply({"groups": []})
        if parts.path.endswith("/targets"):
            return reply({"activeTargets": []})
        if parts.path.endswith("/buildinfo"):
            return reply({"version": "3.5.3"})
        return vector() if parts.path.endswith("/query") else matrix()

    def queries(self, beginning=""):
        found = [given["query"] for dummy, given in self.asked if "query" in given]
        return [query for query in found if query.startswith(beginning)]


def collected(fake, **settings):
    server = _checklist.Prometheus("http://p:9090/", _client.Access(), 600, 60, get=fake)
    return _checklist.collect(server, {**SETTINGS, **settings})


def test_an_empty_prometheus_answers_everything():
    fake = Fake()
    report = collected(fake)
    assert report["answered"] and not report["problems"] and report["version"] == "3.5.3"
    assert (report["start"], report["end"]) == (END - DAY, END)
    assert report["alerts"]["fired"] == report["disks"] == report["backups"] == report["services"] == []


@pytest.mark.parametrize("length", ["10m", "24h", "7d", "30d", "366d"])
def test_questions_are_few_and_their_points_too(length):
    """All of them at once: alerts, disks and backups are there, and one threshold."""
    seconds = _promql.seconds(length)
    labels = {"alertname": "A", "severity": "critical"}
    fake = Fake(
        **{
            "count(last_over_time": vector(({}, 400)),
            "ALERTS_FOR_STATE": matrix((labels, [(END, END)])),
            "node_filesystem": vector(({"mountpoint": "/"}, 5)),
            "count(up)": vector(({}, 2)),
            "max by (backup": vector(({"backup": "b"}, END - 5)),
            "/api/v1/rules": rules(rule("A", "a > 5")),
        }
    )
    fake.answers["/api/v1/query_range"] = matrix()
    collected(fake, range=seconds, threshold_range=seconds, percentile_range=seconds)
    assert len(fake.asked) <= 40 + 2
    spans = [
        (int(given["end"]) - int(given["start"])) / int(given["step"]) + 1
        for path, given in fake.asked
        if path.endswith("query_range")
    ]
    assert len(spans) == 5 and max(spans) <= 11000


def test_changes_are_what_differs_from_the_start_of_the_range():
    """What came and went, by job, is told with some names; what cannot be requested is None, and a problem."""
    node, old = {"job": "node"}, {"job": "node", "instance": "old:9100"}
    fake = Fake(
        **{
            "count(up)": vector(({}, 3)),
            "count by (alertname": vector(({"alertname": "A", "severity": "critical"}, 1)),
            "count by (job) (up unless": vector(
                (node, 5), *((dict(node, instance=f"n{index}"), 1) for index in range(3))
            ),
            "count by (job) (up offset": vector((node, 1), (old, 1)),
            "label_replace(sum(max_over": vector(({"figure": "series in memory"}, 1000)),
        }
    )
    changes = collected(fake)["changes"]
    assert changes["compared"] and changes["alerts_before"] == [{"alert": "A", "severity": "critical"}]
    (added,), (removed,) = changes["added"], changes["removed"]
    assert (added["job"], added["count"], len(added["instances"])) == ("node", 5, 3)
    assert removed == {"job": "node", "count": 1, "instances": [{"instance": "old:9100"}]}
    assert changes["figures"] == [{"figure": "series in memory", "before": 1000, "now": 1000}]
    at = {given["time"] for dummy, given in fake.asked if given.get("query") == "count(up)"}
    assert at == {str(END - DAY)}
    fake.answers["count by (job) (up unless"] = reply(error="no", status=422)
    found = collected(fake)
    assert found["changes"]["added"] is None
    assert [problem["section"] for problem in found["problems"]] == ["changes"]


def test_without_samples_of_the_start_nothing_is_new():
    assert collected(Fake())["changes"] == {"compared": False}


def test_versions_that_changed():
    def build(version, job="node"):
        return {"__name__": "node_exporter_build_info", "job": job, "version": version}

    class Upgraded(Fake):
        """Other versions at the start of the range."""

        def __call__(self, url, *further):
            given = dict(parse_qsl(urlsplit(url).query))
            if "build_info" in given.get("query", ""):
                at_start = given["time"] == str(END - DAY)
                return vector(
                    *((build(v), 1) for v in (["1.9.0", "1.8.0"] if at_start else ["1.9.0"])), (build("2", "x"), 1)
                )
            return super().__call__(url, *further)

    changes = collected(Upgraded(**{"count(up)": vector(({}, 1))}))["changes"]
    assert changes["versions"] == [
        {"job": "node", "program": "node_exporter", "before": ["1.8.0", "1.9.0"], "now": ["1.9.0"]}
    ]


def test_a_program_that_tells_no_version():
    """As the cAdvisor inside a kubelet, whose label is empty."""
    found = [
        ({"__name__": "cadvisor_version_info", "job": "kubelet"}, 1.0),
        ({"__name__": "cadvisor_version_info", "job": "cadvisor", "version": "v0.49.1"}, 1.0),
    ]
    assert _checklist.versions_of(found) == {"cadvisor": {"cadvisor": {"0.49.1": 1}}}


def test_the_busiest_hosts_come_first():
    points = [(END - 600, 10), (END - 300, math.nan), (END, 30)]
    found = matrix(
        ({"instance": "a"}, points), ({"instance": "b"}, [(END, 99)]), ({"instance": "c"}, [(END, math.nan)])
    )
    first, second = collected(Fake(**{"(100 * sum by (instance)": found}))["hosts"]["cpu"]
    assert (first["instance"], second["instance"]) == ("b", "a")
    assert (second["most"], second["mean"], second["last"], len(second["history"])) == (30, 20, 30, 2)


def test_every_instance_of_the_report_has_its_hosts_name():
    """Prometheus tells it with the targets; what queries aggregate away is put back."""
    target = {"labels": {"job": "node", "instance": "192.0.2.1:9100", "host": "web1"}, "health": "down",
              "scrapeUrl": "http://192.0.2.1:9100/metrics"}  # fmt: skip
    other = {**target, "labels": {"job": "own", "instance": "192.0.2.2:80"}}
    at = {"job": "node", "instance": "192.0.2.1:9100"}
    fake = Fake(
        **{
            "/api/v1/targets": reply({"activeTargets": [target, other]}),
            "avg_over_time(up": vector((at, 0.5), ({**at, "instance": "192.0.2.2:80"}, 1)),
            "changes(process_start_time_seconds": vector((at, 2)),
            "sum by (instance, rule_group)": vector(({"instance": "192.0.2.1:9100", "rule_group": "g"}, 1)),
        }
    )
    report = collected(fake)
    assert [entry.get("host") for entry in report["targets"]["down"]] == ["web1", None]
    (job,) = report["services"]
    assert [entry.get("host") for entry in job["instances"]] == ["web1", None]
    assert job["restarts"] == [{"instance": "192.0.2.1:9100", "times": 2, "host": "web1"}]
    (failed,) = [found for found in report["checks"] if found["check"] == "Failed rule evaluations"]
    assert failed["where"][0]["host"] == "web1"


def test_a_question_that_fails_is_a_line_and_not_the_end():
    fake = Fake(
        **{
            "count(last_over_time": reply(status=422, error="query processing would load too many samples"),
            "node_filesystem_avail_bytes": _client.AskError("slow", "it said nothing"),
            "/api/v1/targets": _client.Reply(502, {}, b"<html>Bad Gateway"),
        }
    )
    report = collected(fake)
    problems = {problem["section"]: problem["text"] for problem in report["problems"]}
    assert report["answered"] and report["alerts"] is None and report["disks"] is None and report["targets"] is None
    assert problems["alerts"] == "how many alerts fired: HTTP 422: query processing would load too many samples"
    assert problems["disks"] == "free space: it said nothing"
    assert problems["targets"] == "targets: HTTP 502, not a response of Prometheus: <html>Bad Gateway"
    assert report["backups"] == [] and report["checks"]


@pytest.mark.parametrize("data", [None, [], {}, {"result": None}, {"result": [1, "2"]}, {"result": [{"metric": {}}]}])
def test_an_answer_of_another_shape_is_a_line_too(data):
    names = ("query_range", "rules", "targets", "status/buildinfo")
    fake = Fake(**{"/api/v1/" + name: reply(data) for name in names})
    fake.answers.update({"avg_over_time": reply(data), "count(": vector(({}, 3))})
    report = collected(fake, thresholds=[threshold()])
    assert report["answered"] and report["version"] is None and report["thresholds"]["checked"][0]["times"] is None
    assert any("availability: unexpected format of the response" in problem["text"] for problem in report["problems"])


def test_after_its_time_nothing_is_asked_any_more():
    times = iter(range(0, 10000, 5))
    fake = Fake()
    server = _checklist.Prometheus("http://p", _client.Access(), 60, 60, get=fake, clock=lambda: next(times))
    report = _checklist.collect(server, dict(SETTINGS))
    assert len(fake.asked) < 15 and any(
        "timeout for all requests had passed" in entry["text"] for entry in report["problems"]
    )


@pytest.mark.parametrize(
    "answer, words, unreachable",
    [
        (_client.AskError("unreachable", "connection refused"), "cannot be queried: connection refused", True),
        (_client.AskError("tls", "its certificate is not trusted"), "see ca_path", False),
        (_client.Reply(401, {}, b"Unauthorized"), "set url_username and url_password", False),
        (_client.Reply(404, {}, b"404 page not found"), "--web.external-url", False),
        (_client.Reply(200, {}, b"<html>"), "not a response of Prometheus: <html>", False),
        (reply({"resultType": "scalar", "result": None}), "the server is not Prometheus", False),
        (reply([]), "the server is not Prometheus", False),
    ],
)
def test_who_cannot_be_asked_at_all(answer, words, unreachable):
    def get(*arguments):
        if isinstance(answer, Exception):
            raise answer
        return answer

    server = _checklist.Prometheus("http://p", _client.Access(), 60, 60, get=get)
    with pytest.raises(_checklist.Unanswered, match=words) as caught:
        _checklist.collect(server, dict(SETTINGS))
    assert caught.value.unreachable is unreachable


# ---- episodes


def points(*spans, value=1, step=30):
    return [(float(at), float(value)) for start, end in spans for at in range(start, end + 1, step)]


def test_episodes_are_told_apart_by_their_gaps():
    found = _checklist.episodes(points((300, 600), (900, 900)), 30, 0, 3000)
    assert [(spell["start"], spell["end"], spell["ongoing"]) for spell in found] == [
        (300, 630, False),
        (900, 930, False),
    ]


def test_an_episode_that_reaches_the_end_is_going_on():
    found = _checklist.episodes(points((2940, 3000)), 30, 0, 3000)
    assert found == [{"start": 2940, "end": 3000, "ongoing": True, "before": False}]
    assert not _checklist.episodes(points((2910, 2970)), 30, 0, 3000)[-1]["ongoing"]


def test_an_episode_that_began_before_the_range_is_told_by_its_activation():
    found = _checklist.episodes(points((0, 90), value=-5000), 30, 0, 3000, since=True)
    assert found == [{"start": -5000, "end": 120, "ongoing": False, "before": True}]


def test_a_new_activation_without_a_gap_is_a_new_episode():
    fresh = points((300, 360), value=300) + points((390, 450), value=380)
    assert [spell["start"] for spell in _checklist.episodes(fresh, 30, 0, 3000, since=True)] == [300, 390]


def test_an_activation_that_prometheus_moves_after_a_restart_is_the_same_episode():
    moved = points((300, 600), value=300) + points((630, 900), value=420)
    assert len(_checklist.episodes(moved, 30, 0, 3000, since=True)) == 1


def test_no_points_are_no_episodes():
    assert _checklist.episodes([], 30, 0, 3000) == []


def test_too_many_alerts_are_told_by_name():
    query = "count by (alertname, severity, service) (ALERTS"
    fake = Fake(
        **{
            "count(last_over_time": vector(({}, 1800)),
            query: matrix(({"alertname": "Storm", "severity": "critical"}, [(END - 60, 900), (END - 30, 1700)])),
        }
    )
    alerts = collected(fake)["alerts"]
    assert alerts["by_name"] and alerts["series"] == 1800 and alerts["fired"][0]["most"] == 1700
    assert not fake.queries("ALERTS_FOR_STATE")


# ---- disks


def test_the_trend_is_the_line_of_least_squares():
    line = [(at * 3600.0, 500.0 - 2 * at) for at in range(24)]
    assert _checklist.trend(line) == pytest.approx(-2 / 3600)
    noisy = [(at, value + (7 if index % 2 else -7)) for index, (at, value) in enumerate(line)]
    # Twelve steps of 7 up against the sum of squares of 24 hours around their middle.
    assert _checklist.trend(noisy) * 3600 == pytest.approx(-2 + 7 * 12 / (24 * (24**2 - 1) / 12))


def test_times_of_today_do_not_cost_precision():
    line = [(END + at * 3600.0, 1e12 - 1e6 * at) for at in range(168)]
    assert _checklist.trend(line) == pytest.approx(-1e6 / 3600, rel=1e-6)


@pytest.mark.parametrize("count, step", [(0, 3600), (3, 36000), (24, 600)])
def test_too_little_history_has_no_trend(count, step):
    assert _checklist.trend([(at * step, at) for at in range(count)]) is None


@pytest.mark.parametrize(
    "avail, slope, days",
    [(86400, -1, 1), (86400, 0, None), (86400, 1, None), (86400, None, None), (0, 0, 0), (0, -1, 0), (1e15, -1, None)],
)
def test_days_left(avail, slope, days):
    assert _checklist.days_left(avail, slope) == days


def test_disks_come_with_the_most_pressing_first():
    big, small = ({"instance": "a:1", "mountpoint": name, "fstype": "ext4"} for name in ("/big", "/small"))
    start = END - 7 * DAY
    fake = Fake(
        **{
            "node_filesystem_size_bytes": vector((big, 1000), (small, 100), ({"mountpoint": "/empty"}, 0)),
            "node_filesystem_avail_bytes": vector((big, 500), (small, 10), ({"mountpoint": "/empty"}, 0)),
            "/api/v1/query_range": matrix(
                (big, [(start + DAY * day, 500) for day in range(8)]),
                (small, [(start + DAY * day, 80 - 10 * day) for day in range(8)]),
            ),
        }
    )
    small, big = collected(fake)["disks"]
    assert (small["mountpoint"], small["used"]) == ("/small", 90)
    assert (small["per_day"], small["days_left"]) == (pytest.approx(10), pytest.approx(1))
    assert (big["days_left"], big["per_day"], big["span"]) == (None, 0, 7 * DAY)


# ---- backups, checks


def test_a_file_system_that_is_mounted_several_times_is_one():
    def mounted(mountpoint, device="/dev/vda1", instance="a"):
        return {"instance": instance, "device": device, "mountpoint": mountpoint}

    free = [
        (mounted("/etc/hosts"), 5, 10),
        # What is free has changed between two places.
        (mounted("/var/lib/docker"), 4, 10),
        (mounted("/etc/hostname"), 5, 10),
        (mounted("/srv/quota"), 5, 8),
        (mounted("/", "/dev/vdb1"), 5, 10),
        (mounted("/mnt", "/dev/vdb1"), 5, 10),
        (mounted("/mnt", instance="b"), 5, 10),
    ]
    found = [(labels["instance"], labels["mountpoint"]) for labels, dummy, dummy in _checklist.once(free)]
    assert found == [("a", "/var/lib/docker"), ("a", "/srv/quota"), ("a", "/"), ("b", "/mnt")]


def test_a_backup_whose_metric_is_gone_is_told():
    name = "max by (backup, instance) "
    fake = Fake(
        **{
            name + "(last_over_time": vector(({"backup": "a"}, END - 60), ({"backup": "b"}, END - 9000)),
            "max by (__name__": vector(
                ({"backup": "a", "__name__": "backup_last_success_timestamp_seconds"}, END - 60),
                ({"backup": "a", "__name__": "backup_size_bytes", "instance": "other"}, 7),
            ),
            name + "(changes": vector(({"backup": "a"}, 2)),
        }
    )
    old, new = collected(fake)["backups"]
    assert (old["size"], new["size"], new["checked"]) == (None, 7, None)
    assert (old["backup"], old["age"], old["successes"], old["gone"]) == ("b", 9000, 0, True)
    assert (new["backup"], new["age"], new["successes"], new["gone"]) == ("a", 60, 2, False)


def test_the_figures_of_a_rehearsal_are_by_service():
    """They are requested only where there was one."""
    name, start = "max by (backup, instance) ", "monitoring_restore_test_"
    of = {"backup": "a", "service": "grafana"}
    rehearsed = [
        ({"backup": "a", "__name__": start + "success_timestamp_seconds"}, END - 60),
        ({"backup": "a", "__name__": start + "snapshot_timestamp_seconds", "snapshot": "old"}, END - 900),
        ({"backup": "a", "__name__": start + "snapshot_timestamp_seconds", "snapshot": "abcd"}, END - 600),
        ({**of, "__name__": start + "size_bytes"}, 7),
        ({**of, "__name__": start + "items", "what": "users", "of": "restored"}, 2),
    ]
    now = [({"backup": "a", "__name__": start + "success_timestamp_seconds"}, END - 60)]
    fake = Fake(
        **{
            name + "(last_over_time": vector(({"backup": "a"}, END - 60)),
            "max by (__name__, backup, instance)": vector(*now),
            "max by (__name__, backup, service": vector(*rehearsed),
        }
    )
    (found,) = collected(fake)["rehearsals"]
    assert (found["backup"], found["service"], found["snapshot"], found["taken"]) == ("a", "grafana", "abcd", END - 600)
    assert (found["rehearsed"], found["size"], found["seconds"]) == (END - 60, 7, None)
    assert found["items"] == [{"what": "users", "restored": 2, "running": None}]
    fake.answers["max by (__name__, backup, instance)"] = vector()
    assert collected(fake)["rehearsals"] == []


@pytest.mark.parametrize(
    "bad, total, values, value, verdict",
    [
        ("zero", "min", [1, 0], 0, True),
        ("zero", "min", [1, 1], 1, False),
        ("positive", "sum", [0.4, 0], 0, False),
        ("positive", "sum", [0.9, 2.1], 3, True),
        ("absent", "max", [], None, True),
        ("absent", "max", [1], 1, False),
        ("positive", "sum", [], None, False),
        ("none", "sum", [5, 6], 11, False),
    ],
)
def test_checks(bad, total, values, value, verdict):
    check = _checklist.Check("c", "q", bad, total)
    found = _checklist.judged(check, [({"instance": f"i{index}"}, number) for index, number in enumerate(values)])
    assert (found["value"], found["bad"]) == (value, verdict)
    assert bool(found["where"]) == (verdict and bad != "absent")


def rule(name, query, severity="warning", waits=300, **more):
    return {
        "type": "alerting",
        "name": name,
        "query": query,
        "labels": {"severity": severity},
        "duration": waits,
        **more,
    }


def rules(*found):
    return reply({"groups": [{"name": "g", "rules": [*found, {"type": "recording", "name": "a:b", "query": "c > 5"}]}]})


def test_a_rule_that_cannot_be_evaluated_is_a_trouble():
    broken = rule("A", "a > 5", health="err", lastError="many-to-many at http://me:secret@x/")
    check = collected(Fake(**{"/api/v1/rules": rules(broken, rule("B", "b > 5"))}))["checks"][0]
    assert (check["value"], check["of"], check["bad"]) == (1, 2, True)
    assert "many-to-many" in check["where"][0]["error"] and "secret" not in check["where"][0]["error"]


# ---- thresholds


def test_thresholds_come_from_the_rules():
    fake = Fake(
        **{
            "/api/v1/rules": rules(
                rule("Watchdog", "vector(1)"), rule("A", "a > 5"), rule("B", "up == 0"), rule("C", "c")
            )
        }
    )
    found = collected(fake)["thresholds"]
    assert [(line["alert"], line["expr"], line["op"], line["threshold"], line["for"]) for line in found["checked"]] == [
        ("A", "a", ">", 5, 300)
    ]
    assert [(rule_["alert"], rule_["why"]) for rule_ in found["left_out"]] == [
        ("B", "== has no adjustable threshold"),
        ("C", "no comparison"),
    ]
    assert "min_over_time(((a) > bool 5)[5m:30s]) == 1" in fake.queries()
    (query,) = fake.queries("quantile_over_time(0.99, (a)[30d:300s]) or ")
    assert "count_over_time((a)[30d:1h])" in query


def hours(**instances):
    """What tells of series at how many hours they had a sample."""
    return [({"instance": name, _checklist.HOURS: "1"}, count) for name, count in instances.items()]


def threshold(**more):
    return {"alert": "A", "severity": "warning", "expr": "a", "op": ">", "threshold": 5.0, "for": 300, **more}


@pytest.mark.parametrize(
    "changes, query",
    [
        ({}, "min_over_time(((a) > bool 5)[5m:30s]) == 1"),
        ({"for": 0}, "((a) > bool 5) == 1"),
        ({"for": 15}, "((a) > bool 5) == 1"),
        ({"op": "<", "threshold": 0.5, "for": 90}, "min_over_time(((a) < bool 0.5)[90s:30s]) == 1"),
    ],
)
def test_the_question_whether_it_would_have_fired(changes, query):
    assert _checklist.firing_query(threshold(**changes)) == query


def test_given_thresholds_are_taken_and_the_rules_are_not():
    fires = [(END - 600, 1), (END - 540, 1), (END - 60, 1)]
    fake = Fake(
        **{
            "/api/v1/rules": rules(rule("B", "b > 7")),
            "quantile_over_time(0.99, (a)": vector(
                ({"instance": "x"}, 3), ({"instance": "y"}, 9.41), ({}, math.nan), *hours(x=720, y=200)
            ),
            "min_over_time": matrix(({"instance": "y"}, fires)),
        }
    )
    (line,) = collected(fake, thresholds=[threshold()])["thresholds"]["checked"]
    assert (line["times"], line["firing"], line["series"]) == (2, 180, 2)
    assert (line["percentile"], line["labels"], line["proposal"]) == (9.41, {"instance": "y"}, 9.5)


def test_under_a_lower_bound_the_first_percentile_counts():
    fake = Fake(**{"quantile_over_time(0.01, (a)": vector(
        ({"instance": "x"}, 97), ({"instance": "y"}, 88.8), *hours(x=168, y=168))})  # fmt: skip
    (line,) = collected(fake, thresholds=[threshold(op="<", threshold=95)])["thresholds"]["checked"]
    assert (line["percentile"], line["labels"], line["proposal"]) == (88.8, {"instance": "y"}, 88)


@pytest.mark.parametrize(
    ("history", "worst", "proposal", "most"),
    [
        # A server of four minutes, one of a day, one of a week.
        ({}, "y", None, 0),
        ({"x": 24, "y": 23}, "y", None, 24),
        ({"x": 168, "y": 168}, "y", 9.5, 168),
        # A new host does not speak for the others.
        ({"x": 720, "y": 1}, "x", 3.9, 720),
    ],
)
def test_no_bound_is_proposed_from_less_than_a_week(history, worst, proposal, most):
    found = vector(({"instance": "x"}, 3.9), ({"instance": "y"}, 9.41), *hours(**history))
    (line,) = collected(Fake(quantile_over_time=found), thresholds=[threshold()])["thresholds"]["checked"]
    assert (line["labels"]["instance"], line["proposal"], line["hours"]) == (worst, proposal, most)
    assert line["series"] == 2 and line["percentile"] is not None


def test_two_severities_of_one_expression_share_the_question_for_its_percentile():
    fake = Fake()
    collected(fake, thresholds=[threshold(), threshold(severity="critical", threshold=9)])
    assert len(fake.queries("quantile_over_time")) == 1 and len(fake.queries("min_over_time")) == 2


def test_of_many_series_only_the_count_is_fetched():
    many = [({"instance": f"i{index}"}, index) for index in range(300)]
    fake = Fake(quantile_over_time=vector(*many))
    (line,) = collected(fake, thresholds=[threshold()])["thresholds"]["checked"]
    assert line["each"] is False and fake.queries("count(min_over_time")


# ---- the module's options


def test_options_become_seconds():
    given = {name: spec.get("default") for name, spec in checklist.ARGUMENTS.items()}
    given["thresholds"] = [threshold(**{"for": "5m"}), threshold(**{"for": "0"})]
    settings = checklist.settings_of(given)
    assert settings["range"] == DAY and [entry["for"] for entry in settings["thresholds"]] == [300, 0]


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("range", "a day", "range: 'a day' is not a duration"),
        ("range", "5m", "range: 5m is not between"),
        ("trend_range", "2y", "trend_range: 2y is not between"),
        ("thresholds", [threshold(**{"for": "soon"})], "thresholds: A: for: 'soon'"),
        ("ignore", [{"job": "("}], "is not a valid regular expression"),
    ],
)
def test_options_that_cannot_be_meant(name, value, words):
    given = {name: spec.get("default") for name, spec in checklist.ARGUMENTS.items()}
    with pytest.raises(ValueError) as caught:
        checklist.settings_of({**given, name: value})
    assert words in str(caught.value)
