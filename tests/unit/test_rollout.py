"""The order in which hosts change a service: canaries first, never two that are redundant, none after a failure."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._alertmanager_cluster import AlertmanagerSettled
from ansible_collections.vigil.monitoring.plugins.module_utils._findings import GOOD, OK, WAIT
from ansible_collections.vigil.monitoring.plugins.module_utils._prometheus_server import check_evaluated, check_scraped
from ansible_collections.vigil.monitoring.plugins.module_utils._targets import Target
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rollout, _run
from ansible_collections.vigil.monitoring.plugins.plugin_utils._rollout import (
    CHANGING,
    FAILED,
    UNCHANGED,
    VERIFIED,
    Entry,
    Rollout,
    Stopped,
    failed,
    outcome,
    waits_for,
)

ONE = "prometheus"


@pytest.fixture(autouse=True)
def _notes(tmp_path, monkeypatch):
    monkeypatch.setattr(_run.C, "DEFAULT_LOCAL_TMP", str(tmp_path))


def of(**states):
    """Entries: host to state, or to state and group."""
    return {host: Entry(*((state,) if isinstance(state, str) else state)) for host, state in states.items()}


@pytest.mark.parametrize(
    ("entries", "group", "canaries", "waits"),
    [
        (of(), None, 1, None),
        (of(a=CHANGING), None, 1, "a"),
        (of(a=VERIFIED), None, 1, None),
        # Behind the canary, all others go together.
        (of(a=VERIFIED, c=CHANGING, d=CHANGING), None, 1, None),
        (of(a=CHANGING), None, 2, None),
        (of(a=CHANGING, c=CHANGING), None, 2, "a"),
        (of(a=VERIFIED, c=CHANGING), None, 2, "c"),
        (of(a=CHANGING), None, 0, None),
        # Of what is redundant never two, canaries or not.
        (of(a=(CHANGING, ONE)), ONE, 0, "a"),
        (of(a=(CHANGING, ONE)), ONE, 2, "a"),
        (of(a=(VERIFIED, ONE)), ONE, 0, None),
        (of(a=(CHANGING, "another")), ONE, 0, None),
        (of(a=(VERIFIED, ONE), c=(CHANGING, "another")), ONE, 1, None),
        # What was written down about itself before, as by another step, is no reason to wait.
        (of(b=(CHANGING, ONE)), ONE, 1, None),
        # Not changed, it is no canary.
        (of(a=UNCHANGED, c=CHANGING), None, 1, "c"),
    ],
)
def test_what_a_host_waits_for(entries, group, canaries, waits):
    assert waits_for(entries, "b", group, canaries) == waits


def test_a_failure_of_another_host_ends_it():
    assert failed(of(a=VERIFIED, b=FAILED), "b") is None
    assert failed(of(a=VERIFIED, c=FAILED), "b") == "c"


def change(host, group, canaries, events, seconds, state):
    """What a worker of Ansible does: begin, change, write down."""
    rollout = Rollout("prometheus")
    try:
        rollout.begin(host, group, canaries)
    except Stopped as stopped:
        events.put((time.monotonic(), host, "stopped by " + stopped.host))
        return
    events.put((time.monotonic(), host, "begins"))
    time.sleep(seconds)
    events.put((time.monotonic(), host, "ends"))
    rollout.write_down(host, Entry(state, group, os.getpid()))


def run(*hosts):
    """Run workers of (host, group, canaries, state) at the same time; what they did, in order."""
    events = multiprocessing.get_context("fork").Queue()
    workers = [
        multiprocessing.get_context("fork").Process(target=change, args=(host, group, canaries, events, 0.3, state))
        for host, group, canaries, state in hosts
    ]
    for worker in workers:
        worker.start()
        time.sleep(0.05)
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0
    found = []
    while not events.empty():
        found.append(events.get())
    return [event[1:] for event in sorted(found)]


def test_hosts_that_are_redundant_take_turns():
    done = run(*[(host, ONE, 0, VERIFIED) for host in "abc"])
    assert [what for dummy, what in done] == ["begins", "ends"] * 3
    assert all(done[at][0] == done[at + 1][0] for at in (0, 2, 4))
    assert {entry.state for entry in Rollout("prometheus").entries().values()} == {VERIFIED}


def test_all_others_follow_the_canary_together():
    done = run(*[(host, None, 1, VERIFIED) for host in "abcd"])
    assert [what for dummy, what in done] == ["begins", "ends", "begins", "begins", "begins", "ends", "ends", "ends"]
    assert done[0][0] == done[1][0]


def test_nothing_is_changed_after_a_failure():
    done = run(*[(host, ONE, 0, FAILED) for host in "abc"])
    first = done[0][0]
    assert done[:2] == [(first, "begins"), (first, "ends")]
    assert sorted(done[2:]) == [(host, f"stopped by {first}") for host in sorted({*"abc"} - {first})]


def test_a_worker_that_is_killed_has_failed():
    context = multiprocessing.get_context("fork")
    events = context.Queue()
    worker = context.Process(target=change, args=("a", ONE, 0, events, 60, VERIFIED))
    worker.start()
    events.get(timeout=30)
    assert Rollout("prometheus").entries()["a"].state == CHANGING
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(30)
    with pytest.raises(Stopped) as stopped:
        Rollout("prometheus").begin("b", ONE, 0)
    assert (stopped.value.host, stopped.value.text) == ("a", "its change was interrupted")
    # Whoever has failed may be tried again in the same run.
    assert Rollout("prometheus").begin("a", ONE, 0) is None


def test_services_do_not_wait_for_each_other():
    Rollout("prometheus").begin("a", ONE, 1)
    assert Rollout("alertmanager").begin("b", ONE, 1) is None
    assert sorted(_rollout.written_down()) == ["alertmanager", "prometheus"]


def test_what_is_written_down_is_for_the_user_alone(tmp_path):
    Rollout("prometheus").begin("a", ONE, 1)
    folder = tmp_path / "vigil.monitoring" / "rollout"
    assert folder.stat().st_mode & 0o077 == 0
    assert {path.stat().st_mode & 0o077 for path in folder.iterdir()} == {0}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (None, None),
        (Entry(VERIFIED, version="3.5.0"), None),
        (Entry(CHANGING), None),
        (Entry(FAILED, text="it crashed", version="3.4.0"), "failed: it crashed; it runs 3.4.0 as before"),
        (Entry(UNCHANGED, text="a failed"), "not changed: a failed"),
    ],
)
def test_what_the_summary_says(entry, words):
    assert outcome(entry) == words


def test_who_has_what():
    text = _rollout.report(
        "Prometheus",
        {
            "a": Entry(VERIFIED, version="3.6.0"),
            "b": Entry(FAILED, text="it keeps restarting", version="3.5.0"),
            "c": Entry(UNCHANGED, text="b failed"),
        },
    )
    assert text.splitlines() == [
        "ROLLOUT OF PROMETHEUS: ended, because 1 of 3 hosts failed",
        "     HOST  RUNS   OUTCOME",
        "  ✓  a     3.6.0  changed and verified",
        "  ✗  b     3.5.0  failed: it keeps restarting",
        "  ·  c     -      not changed: b failed",
    ]


def test_it_is_told_once():
    assert [Rollout("prometheus").is_told(), Rollout("prometheus").is_told(), Rollout("grafana").is_told()] == [
        False,
        True,
        False,
    ]


# What is waited for between two hosts.


def target(job, last_scrape, interval="15s"):
    return Target(job, "h:1", "down", "http://h:1", "refused", last_scrape, job, interval)


@pytest.mark.parametrize(
    ("targets", "state", "words", "due"),
    [
        ([], WAIT, "it does not know 1 of 1 expected targets", 0.0),
        ([target("node", None)], WAIT, "it has not scraped 1 of 1 targets yet", 25.0),
        # The last scrape was by the configuration before.
        ([target("node", "2026-01-01T00:00:00Z", "1m")], WAIT, "it has not scraped 1 of 1 targets yet", 70.0),
        # Down is scraped, too.
        ([target("node", "2026-01-01T00:00:20Z")], OK, "", 0.0),
        (
            [target("node", "2026-01-01T00:00:20Z"), target("slow", None, "1h")],
            WAIT,
            "it has not scraped 1 of 2 targets yet",
            3610.0,
        ),
    ],
)
def test_targets_are_scraped_again(targets, state, words, due):
    loaded = 1767225610.0
    found = check_scraped(targets, [("node", "h:1")], loaded)
    assert (found.state, found.text, found.due) == (state, words, due)


def test_rules_are_evaluated_again():
    def data(*healths):
        return {"groups": [{"interval": 30, "rules": [{"health": health}]} for health in healths]}

    assert check_evaluated(data()) == check_evaluated(data("ok", "err")) == GOOD
    found = check_evaluated(data("ok", "unknown"))
    assert (found.state, found.text, found.due) == (WAIT, "it has not evaluated 1 rule group yet", 40.0)


@pytest.mark.parametrize(("status", "state"), [("ready", OK), ("disabled", OK), ("settling", WAIT)])
def test_an_alertmanager_has_settled(status, state):
    class Check:
        def get(self, path):
            assert path == "/api/v2/status"
            return json.dumps({"cluster": {"status": status, "peers": []}})

    (found,) = AlertmanagerSettled(Check(), {}).inspect(None, None)
    assert found.state == state
