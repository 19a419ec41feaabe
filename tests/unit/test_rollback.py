# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollback does, in which order, and what it says of the deployment that it restored: each decision by itself.

The whole of it, on a simulated host, is in test_deployment.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _rollback
from ansible_collections.vigil.monitoring.plugins.module_utils._host import NotVerified
from ansible_collections.vigil.monitoring.plugins.module_utils._verification import Before

HEALTH = {"url": "http://127.0.0.1:9090", "metrics_path": "/metrics"}
WHERE = "http://127.0.0.1:9090/metrics"


class Ended(Exception):
    """What fail_json was told."""


class Runtime:
    """One runtime of a host that notes what is done to it."""

    title = "prometheus.service"

    def __init__(self, done, untidy=False, renamed=False, known=True, gone=False, start_fails=False):
        self.done, self.known, self.gone, self.start_fails = done, known, gone, start_fails
        self.is_untidy, self.renamed = lambda: untidy, lambda: renamed

    def act(self, action):
        self.done.append(action)
        if self.start_fails:
            raise NotVerified("it did not start")

    def stop(self):
        self.done.append("stop")

    def inspect(self):
        return {"pid": 7}

    def is_known(self, seen):
        assert seen == {"pid": 7}
        return self.known

    def is_gone(self):
        return self.gone

    def last_words(self, since):
        return f"words since {since}"

    def directories(self):
        return []


def task_of(tmp_path, recovered=False, generation=None, verified=None, **given):
    done = []
    runtime = Runtime(done, **given)
    runtimes = SimpleNamespace(
        all=[runtime, Runtime(done)],
        know=lambda manifest: done.append(("know", manifest["generation"])),
        reinstate=lambda manifest: done.append(("reinstate", manifest["generation"])),
        take_notes=lambda: ["a note of the runtimes"],
        wanted="wanted",
        current=None,
    )
    state = SimpleNamespace(
        recover=lambda: recovered,
        manifest=lambda: {"generation": generation, "directories": []},
        verified=lambda: {"generation": verified} if verified else {},
        roll_back=lambda: done.append("roll back"),
        note_running=lambda running: done.append(("running", running)),
        database=lambda: None,
        rollback=str(tmp_path / "rollback"),
    )

    def fail(**said):
        raise Ended(said)

    machine = SimpleNamespace(
        firewall_directory=str(tmp_path), unit_directory=str(tmp_path), records_directory=str(tmp_path / "records")
    )
    return SimpleNamespace(
        done=done, machine=machine, runtime=runtime, runtimes=runtimes, state=state,
        name="prometheus", role="prometheus", notes=["n"], unverified=[],
        params={"keep": [], "data_dir": "", "database": None, "links": {}, "settle": 1},
        module=SimpleNamespace(fail_json=fail),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "answer", "started", "notes"),
    [
        ({}, False, False, []),
        ({"recovered": True}, True, False, ["a note of the runtimes", "rolled back"]),
        # Files were put back by config_files already; what ran before is started where it was verified.
        ({"untidy": True, "generation": "g", "verified": "g"}, True, True, ["a note of the runtimes", "rolled back"]),
        ({"untidy": True, "generation": "g", "verified": "f"}, True, False, ["a note of the runtimes", "rolled back"]),
        ({"untidy": True}, True, False, ["a note of the runtimes", "rolled back"]),
        (
            {"recovered": True, "generation": "g", "verified": "g"},
            True,
            False,
            ["a note of the runtimes", "rolled back"],
        ),
        # A container that somebody renamed is no interrupted activation.
        ({"untidy": True, "renamed": True}, True, False, ["a note of the runtimes"]),
        ({"untidy": True, "renamed": True, "recovered": True}, True, False, ["a note of the runtimes", "rolled back"]),
        (
            {"untidy": True, "generation": "g", "verified": "g", "start_fails": True},
            True,
            True,
            ["a note of the runtimes", "rolled back"],
        ),
    ],
)
def test_what_is_done_about_an_interrupted_switch(tmp_path, given, answer, started, notes):
    task = task_of(tmp_path, **given)
    assert _rollback.undo_an_interrupted_switch(task) is answer
    generation = given.get("generation")
    done = [("know", generation)]
    done += [("reinstate", generation)] if answer else []
    assert task.done == done + (["start"] if started else [])
    said = {"rolled back": "an interrupted activation of an earlier run was rolled back first"}
    assert task.notes == ["n", *(said.get(note, note) for note in notes)]
    assert task.runtimes.current == ("wanted" if answer else None)


class Rollback(_rollback.Rollback):
    """One whose start ends as a test says, instead of being watched."""

    ends = None

    def _start(self, before):
        self.task.done.append("start")
        if self.ends:
            raise NotVerified(self.ends)
        return "seen"


def rollback_of(task, cls=Rollback, **more):
    given = {"before": None, "said": "3.5.3", "active": True, "switches": True, "kept": False, "passes": False, **more}
    kept = []
    verification = SimpleNamespace(before=given["before"], said=given["said"], health=HEALTH, asked_at=HEALTH["url"])
    made = cls(
        task,
        verification,
        SimpleNamespace(keep=lambda *what: kept.append(what)),
        SimpleNamespace(switches=given["switches"], kept=given["kept"], passes_data=given["passes"], dumps=None),
        SimpleNamespace(was_active=given["active"], verified="verified", record=None),
    )
    made.kept = kept
    return made


def put_back(made):
    return made._put_back()


@pytest.mark.parametrize(
    ("before", "ends", "unverified", "said", "words"),
    [
        (
            Before(HEALTH, "up 1"), None, [], "3.5.3",
            f"The previous deployment (3.5.3) was restored and is healthy again at {WHERE}.",
        ),
        (
            Before(HEALTH, "up 1"), None, [], None,
            f"The previous deployment (version not known) was restored and is healthy again at {WHERE}.",
        ),
        (
            Before(HEALTH, "up 1"), None, ["a", "b"], "3.5.3",
            f"The previous deployment was restored and runs again. Not verified at {WHERE}: a; b.",
        ),
        (
            None, None, [], "3.5.3",
            "The previous deployment was restored and runs again. It could not be verified, as its address is not known.",
        ),
        (
            Before(HEALTH, "up 1"), "no", [], "3.5.3",
            f"The previous deployment was restored on disk, but is not healthy either (checked at {WHERE}): no."
            " Manual intervention is required.",
        ),
        (
            Before(HEALTH, None), "no", [], "3.5.3",
            f"The previous deployment was restored on disk, but is not healthy either (checked at {WHERE}): no, and it did"
            " not answer before the change. Manual intervention is required.",
        ),
        (
            None, "no", [], "3.5.3",
            "The previous deployment was restored on disk, but is not healthy either: no, and it did not answer before the"
            " change. Manual intervention is required.",
        ),
    ],
)  # fmt: skip
def test_what_is_said_of_what_was_restored(tmp_path, before, ends, unverified, said, words):
    task = task_of(tmp_path, generation="g")
    made = rollback_of(task, before=before, said=said)
    made.ends, task.unverified = ends, unverified
    assert put_back(made) == words
    assert task.done == ["roll back", ("reinstate", "g"), "start", *([] if ends else [("running", False)])]
    # Only what came up is remembered as verified, with what was known of it.
    assert made.kept == ([] if ends else [("seen", "verified")])


@pytest.mark.parametrize(
    ("active", "known", "gone", "words"),
    [
        (False, True, True, "prometheus was not deployed here before: it was stopped and removed again."),
        (False, True, False, "The previous deployment was restored; it was not running before either."),
        (True, False, True, "prometheus was not deployed here before: it was stopped and removed again."),
    ],
)
def test_what_did_not_run_before_is_stopped_again(tmp_path, active, known, gone, words):
    task = task_of(tmp_path, generation="g", known=known, gone=gone)
    made = rollback_of(task, active=active)
    assert put_back(made) == words
    assert task.done == ["roll back", ("reinstate", "g"), "stop"] and not made.kept


@pytest.mark.parametrize(("keep", "passes"), [(["/data"], False), ([], True)])
def test_what_writes_to_what_is_put_back_is_stopped_before(tmp_path, keep, passes):
    task = task_of(tmp_path)
    task.params["keep"] = keep
    put_back(rollback_of(task, passes=passes))
    assert task.done[:2] == ["stop", "roll back"]


@pytest.mark.parametrize(
    ("switches", "journal", "written", "kept", "words"),
    [
        (True, True, False, False, "\nThe previous deployment was restored and runs again. It could not be verified, as its"
         " address is not known."),
        (True, True, True, False, "\nThe previous deployment was restored and runs again. It could not be verified, as its"
         " address is not known.\nWhat it has written to {0} was kept."),
        (True, True, True, True, "\nThe previous deployment was restored and runs again. It could not be verified, as its"
         " address is not known."),
        (True, False, True, False, ""),
        (False, True, True, False, ""),
    ],
)  # fmt: skip
def test_a_failure_has_the_reason_the_last_log_lines_and_what_was_done(
    tmp_path, switches, journal, written, kept, words
):
    task = task_of(tmp_path)
    data = tmp_path / "data"
    task.params["keep"] = [str(tmp_path / "nowhere"), str(data)]
    if written:
        data.touch()
    if journal:
        (tmp_path / "rollback").touch()
    made = rollback_of(task, switches=switches, kept=kept)
    activation = SimpleNamespace(since=5, decision=SimpleNamespace(reason="another unit"))
    task.unverified = ["x"]
    with pytest.raises(Ended) as ended:
        made.give_up("it did not become ready", activation)
    said = "prometheus.service failed verification: it did not become ready.\nLast log lines:\nwords since 5"
    assert ended.value.args[0] == {
        "msg": said + words.format(data),
        "action": "failed",
        "reason": "another unit",
        "unverified": ["x"],
        "notes": ["n"],
    }  # fmt: skip
    assert ("roll back" in task.done) is (switches and journal)


@pytest.mark.parametrize("metrics", [None, "pg_up 1\n"])
def test_what_was_restored_is_watched_as_it_was_before(tmp_path, metrics):
    """With the version that it had, at the address that it had, and for what it reached."""
    task, reported, judged = task_of(tmp_path), [], []

    def report(text):
        reported.append(text)
        return SimpleNamespace(dependency_up=1.0 if text else None, version="3.5.3")

    def judge(asked, ready, *expected):
        judged.append(expected)
        raise NotVerified("it did not become ready")

    task.runtime.since_start, task.runtime.trouble = (lambda seen: seen), (lambda baseline, seen: None)
    made = rollback_of(task, _rollback.Rollback, before=Before(HEALTH, metrics))
    verification = made.verification
    verification.task, verification.machine = task, SimpleNamespace(monotonic=lambda: 0)
    verification.health, verification.reported, verification.judge = None, report, judge
    verification.request = lambda: ("", False)
    assert "is not healthy either" in put_back(made)
    assert task.done[-1] == "restart" and verification.health is HEALTH
    assert reported == [metrics or ""] and judged == [("3.5.3", None, False)]
    assert verification.reached_before is bool(metrics)
