# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judgement of targets, on payloads in the shape of /api/v1/targets."""

from __future__ import annotations

import json

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _targets


def active(job, instance, health="up", **more):
    """One active target as Prometheus 3.5 writes it."""
    found = {
        "discoveredLabels": {"__address__": instance, "__metrics_path__": "/metrics", "job": job},
        "labels": {"job": job, "instance": instance, "rack": "a1"},
        "scrapePool": job,
        "scrapeUrl": f"http://{instance}/metrics",
        "globalUrl": f"http://{instance}/metrics",
        "lastError": "" if health != "down" else f'Get "http://{instance}/metrics": connection refused',
        "lastScrape": "0001-01-01T00:00:00Z" if health == "unknown" else "2025-06-01T12:00:00.1Z",
        "lastScrapeDuration": 0.001,
        "health": health,
        "scrapeInterval": "15s",
        "scrapeTimeout": "10s",
    }
    found.update(more)
    return found


def answer(*targets):
    return json.dumps({"status": "success", "data": {"activeTargets": list(targets), "droppedTargets": []}}).encode()


def judged(targets, expect=None, ignore=(), **more):
    return _targets.judge(_targets.parse(answer(*targets)), expect, _targets.compile_ignore(ignore), **more)


def test_all_up_is_healthy():
    verdict = judged([active("node", "a:1"), active("node", "b:1")], [("node", "a:1"), ("node", "b:1")])
    assert verdict == (True, 2, 2, [], [], [], [])


def test_each_kind_of_trouble_is_told_apart():
    verdict = judged(
        [active("node", "a:1"), active("node", "b:1", "down"), active("node", "c:1", "unknown"), active("x", "y:1")],
        [("node", "a:1"), ("node", "b:1"), ("node", "c:1"), ("node", "d:1")],
    )
    assert not verdict.healthy
    assert (verdict.up, verdict.expected) == (1, 4)
    assert [target.instance for target in verdict.down] == ["b:1", "c:1"]
    assert verdict.missing == [("node", "d:1")]
    assert [target.instance for target in verdict.unexpected] == ["y:1"]


def test_a_never_scraped_target_is_not_up_and_has_no_last_scrape():
    verdict = judged([active("node", "a:1", "unknown")], [("node", "a:1")])
    assert not verdict.healthy
    assert _targets.as_dict(verdict.down[0])["last_scrape"] is None


@pytest.mark.parametrize("health", ["up", "down"])
def test_an_unexpected_target_decides_only_when_asked(health):
    targets = [active("node", "a:1"), active("sd", "z:1", health)]
    assert judged(targets, [("node", "a:1")]).healthy
    assert not judged(targets, [("node", "a:1")], fail_on_unexpected=True).healthy


def test_without_expectations_everything_known_must_be_up():
    assert judged([active("node", "a:1")]).healthy
    assert not judged([active("node", "a:1"), active("node", "b:1", "down")]).healthy
    assert not judged([]).healthy


def test_an_empty_list_of_expectations_expects_nothing():
    assert judged([active("node", "a:1", "down")], []).healthy


def test_of_several_targets_with_one_pair_all_must_be_up():
    two = [active("node", "a:1"), active("node", "a:1", "down", scrapeUrl="http://a:1/other")]
    for targets in (two, two[::-1]):
        verdict = judged(targets, [("node", "a:1")])
        assert not verdict.healthy
        assert (verdict.up, verdict.expected, len(verdict.down)) == (0, 1, 1)


def test_an_expectation_that_occurs_twice_counts_once():
    verdict = judged([active("node", "a:1")], [("node", "a:1"), ("node", "a:1"), ("node", "b:1"), ("node", "b:1")])
    assert (verdict.expected, verdict.up, verdict.missing) == (2, 1, [("node", "b:1")])


@pytest.mark.parametrize(
    "patterns, forgiven",
    [
        ([{"job": "node"}], True),
        ([{"job": "nod"}], False),
        ([{"job": "ode"}], False),
        ([{"instance": "lab-.*"}], True),
        ([{"instance": "lab-"}], False),
        ([{"job": "node", "instance": "other:.*"}], False),
        ([{"job": "no|node"}], True),
        ([{"job": "x"}, {"instance": r"lab-1:\d+"}], True),
        ([{"job": "(?i)NODE"}], True),
        ([], False),
    ],
)
def test_ignore_matches_whole_values(patterns, forgiven):
    verdict = judged([active("node", "lab-1:9100", "down")], [("node", "lab-1:9100")], patterns)
    assert verdict.healthy is forgiven
    assert len(verdict.ignored) == forgiven


def test_an_ignored_target_may_be_down_but_not_missing():
    verdict = judged([], [("node", "a:1")], [{"job": "node"}])
    assert not verdict.healthy and verdict.missing


def test_an_invalid_pattern_is_named():
    with pytest.raises(ValueError, match=r"instance: 'lab-\(' is not a valid regular expression"):
        _targets.compile_ignore([{"job": "node"}, {"instance": "lab-("}])


def test_an_entry_that_would_forgive_everything_is_refused():
    with pytest.raises(ValueError, match="neither job nor instance"):
        _targets.compile_ignore([{"job": None, "instance": ""}])


def test_pools_are_judged_whole():
    probe = active("blackbox", "https://example.com", "down", scrapePool="probes")
    verdict = judged([probe], [], pools=["probes"])
    assert not verdict.healthy and verdict.expected == 1 and not verdict.unexpected


def test_labels_that_relabelling_took_away():
    bare = active("node", "a:1")
    bare["labels"] = {}
    target = _targets.parse(answer(bare))[0]
    assert (target.job, target.instance) == ("node", "")


@pytest.mark.parametrize(
    "payload, words",
    [
        (b"<html><title>Login</title>", "not JSON: it starts with '<html><title>Login"),
        (b"", "it is empty"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[]", "not from Prometheus"),
        (b'{"status":"error","errorType":"bad_data","error":"no"}', "it is an error: no"),
        (b'{"status":"success","data":{}}', "no list of active targets"),
        (b'{"status":"success","data":[]}', "no list of active targets"),
        (b'{"status":"success","data":{"activeTargets":[1]}}', "no list of active targets"),
        (b'{"database":"ok","version":"9.4"}', "not from Prometheus"),
        (b'{"status":"success","data":{"activeTargets":[{"he', "not JSON"),
        (b"[" * 100000, "not JSON"),
    ],
)
def test_what_is_no_answer_of_prometheus_is_said_to_be_none(payload, words):
    with pytest.raises(ValueError, match=words.replace("[", r"\[")):
        _targets.parse(payload)


def test_no_targets_is_an_answer():
    assert _targets.parse(b'{"status":"success","data":{"activeTargets":null}}') == []
    assert _targets.parse(answer()) == []


def test_the_table_reads_well():
    targets = _targets.parse(
        answer(
            active("node", "a:9100"),
            active("node", "b:9100", "down"),
            active("api", "c:8000", "unknown"),
            active("node", "d:9200"),
            active("other", "e:9100"),
        )
    )
    expect = [("node", name + ":9100") for name in "abdef"] + [("api", "c:8000"), ("db", "g:1")]
    verdict = _targets.judge(targets, expect)
    assert _targets.explain(verdict, targets, True) == (
        "1 of 7 expected targets are up: 1 down, 1 not scraped yet, 4 missing, 2 unexpected\n"
        "  PROBLEM      JOB    INSTANCE  WHY\n"
        "  down         node   b:9100    connection refused\n"
        "  missing      db     g:1       Prometheus has no target in a job of this name\n"
        "  missing      node   d:9100    Prometheus has d:9200 in this job\n"
        "  missing      node   e:9100    Prometheus has it as job other\n"
        "  missing      node   f:9100    not among the 3 targets of this job\n"
        "  not scraped  api    c:8000    no scrape yet (every 15s)\n"
        "  unexpected   node   d:9200    it is up, but not in `expect`\n"
        "  unexpected   other  e:9100    it is up, but not in `expect`"
    )


def test_the_table_names_the_host_beside_an_address_that_does_not():
    """The label host is the host's name in the inventory; it decides nothing."""
    named = active("node", "192.0.2.1:9100", "down", lastError="connection refused")
    named["labels"]["host"] = "web1"
    plain = active("node", "web2:9100", "down", lastError="connection refused")
    plain["labels"]["host"] = "web2"
    verdict = judged([named, plain], [("node", "192.0.2.1:9100"), ("node", "web2:9100")])
    rows, left = _targets.problems(verdict)
    assert [row[2] for row in rows] == ["web1 192.0.2.1:9100", "web2:9100"] and not left
    assert [target.instance for target in verdict.down] == ["192.0.2.1:9100", "web2:9100"]


def test_the_table_is_short_and_says_how_much_it_leaves_out():
    verdict = judged([active("node", f"{n:03}:1", "down") for n in range(45)], [("node", "x:1")] * 3)
    assert verdict.healthy is False
    verdict = judged([active("node", f"{n:03}:1", "down") for n in range(45)])
    text = _targets.explain(verdict)
    assert text.count("\n") == 22
    assert text.endswith("and 25 more")


def test_secrets_are_not_shown():
    target = active(
        "x",
        "a:1",
        "down",
        scrapeUrl="http://me:hunter2@a:1/m?module=http&access_token=hunter2",
        lastError='Get "http://me:hunter2@a:1/m?token=hunter2&x=1": EOF',
    )
    verdict = judged([target])
    assert "hunter2" not in json.dumps([_targets.as_dict(verdict.down[0]), _targets.explain(verdict)])
    assert "module=http" in _targets.as_dict(verdict.down[0])["scrape_url"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:10Z", 10),
        ("1970-01-01T01:00:10.5+01:00", 10.5),
        ("1969-12-31T20:00:10.123456789-04:00", 10.123456789),
    ],
)
def test_times_in_the_zone_of_the_server(text, seconds):
    assert _targets.time_of(text) == seconds


def test_what_was_scraped_before_does_not_count():
    since = _targets.time_of("2025-06-01T12:00:00Z")
    old = {"lastScrape": "2025-06-01T11:59:59.9Z"}
    found = [active("node", "a:1"), active("node", "b:1", **old), active("node", "c:1", "down", **old)]
    expect = [("node", f"{name}:1") for name in "abc"]
    verdict = judged(found, expect, since=since)
    assert (verdict.up, verdict.healthy) == (1, False)
    assert [(target.instance, target.health) for target in verdict.down] == [("b:1", "unknown"), ("c:1", "unknown")]
    assert "no scrape since its configuration was loaded (every 15s)" in _targets.explain(verdict)
    assert judged(found[:2], expect[:2]).healthy
