# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a process is started, restarted, reloaded or left alone, and what is said of it: one difference at a time."""

from __future__ import annotations

import json
import os
import time
from types import SimpleNamespace

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._decision import DONE, Comparison, is_verified
from ansible_collections.vigil.monitoring.plugins.module_utils._process import (
    AS_ON_DISK,
    Decision,
    Running,
    about_features,
    complaints,
    decide,
    is_loaded,
    listeners,
    other_start,
    refused_arguments,
    since_start,
    start_ticks,
    telling_lines,
    unknown_flag,
)

ARGV = ["/usr/local/bin/prometheus", "--web=:9090"]
TICKS = os.sysconf("SC_CLK_TCK")
# Seconds since the epoch at which the machine started.
BOOT = 1_000_000


class World:
    """A service as it was verified: its process runs what is on disk. Each test changes one thing."""

    def __init__(self, folder):
        self.folder = folder
        self.manifest = {"generation": "g1", "files": {"prometheus.yml": {}, "rules/a.yml": {}}}
        self.file("prometheus.yml")
        self.file("rules/a.yml")
        self.file("state/manifest.json")
        self.file("web.crt")
        self.executable, self.fingerprint = "/usr/local/bin/prometheus", "f1"
        self.arguments = ARGV
        self.tls_turns = False
        self.configuration = "c1"
        self.touched = {"rules": 1}
        self.running = Running(7, str(100_000 * TICKS), self.executable, self.fingerprint, {"arguments": ARGV})
        self.verified = {
            "generation": "g1",
            "pid": 7,
            "started": self.running.started,
            "configuration": "c1",
            "touched": {"rules": 1},
            "unit": "f1",
            "start": {"limits": {"nofile": ["1", "1"]}},
        }
        self.params = {"argv": ARGV, "reads": [str(folder / "web.crt")], "reload": None}
        self.on_config_change = "reload"

    def file(self, name):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")

    def start(self, seconds, path):
        """Let the process have started so many seconds after a file was written."""
        written = os.stat(self.folder / path).st_ctime
        self.running = self.running._replace(started=str(int((written + seconds - BOOT) * TICKS)))

    def restart(self):
        """Let it be another process, which started long after every file was written."""
        self.start(1000, "web.crt")
        self.running = self.running._replace(pid=8)

    @property
    def comparison(self):
        def expected(argv, running):
            assert argv is self.params["argv"]
            return (self.executable if running is self.running else "another process"), self.fingerprint

        def expected_arguments(argv):
            assert argv is self.params["argv"]
            return self.arguments

        def proc(name):
            assert name == "stat"
            return f"cpu 1 2\nbtime {BOOT}\nprocesses 5\n"

        state = SimpleNamespace(
            manifest=lambda: self.manifest, config_dir=str(self.folder), directory=str(self.folder / "state")
        )
        task = SimpleNamespace(
            params=self.params,
            state=state,
            runtime=SimpleNamespace(expected=expected, expected_arguments=expected_arguments),
            machine=SimpleNamespace(proc=proc),
        )
        verification = SimpleNamespace(
            turns_tls=lambda: self.tls_turns,
            configuration=lambda: self.configuration,
            health={"on_config_change": self.on_config_change},
        )

        def touched(manifest):
            assert manifest is self.manifest
            return self.touched

        return Comparison(task, verification, SimpleNamespace(touched=touched))

    def decide(self):
        return tuple(self.comparison.decide(self.running, self.verified))


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    # The same process as was verified; and it started after every file was written.
    made.start(1000, "web.crt")
    made.verified["started"] = made.running.started
    return made


def as_is(world):
    pass


def other_executable(world):
    world.executable = "/usr/local/bin/prometheus-2"


def other_unit(world):
    world.fingerprint = "f2"


def other_arguments(world):
    world.running = world.running._replace(start={"arguments": ["--other"]})


def other_limits(world):
    world.running = world.running._replace(start={"limits": {"nofile": ["2", "2"]}})


def other_limits_of_an_earlier_unit(world):
    other_limits(world)
    world.verified["unit"] = "f0"


def unknown_arguments(world):
    world.arguments = []
    other_arguments(world)


def not_running(world):
    world.running = None


def other_configuration_loaded(world):
    world.configuration = "c2"


def other_configuration_of_another_generation(world):
    world.configuration = "c2"
    world.verified["generation"] = "g0"


def says_nothing_of_its_configuration(world):
    world.configuration = None


def rules_touched(world):
    world.touched = {"rules": 2}


def rules_touched_and_restarted(world):
    rules_touched(world)
    world.restart()


def new_generation_and_an_old_process(world):
    world.manifest["generation"] = "g2"
    world.start(-1000, "web.crt")
    world.params["reads"] = []


def new_generation_that_nothing_takes_up(world):
    new_generation_and_an_old_process(world)
    world.on_config_change = None


def new_generation_that_takes_a_restart(world):
    new_generation_and_an_old_process(world)
    world.on_config_change = "restart"


def new_generation_and_a_younger_process(world):
    world.manifest["generation"] = "g2"


def a_file_that_is_read_at_the_start(world):
    world.start(-5, "web.crt")


def a_file_that_was_read_a_moment_later(world):
    world.start(0.5, "web.crt")
    world.verified["started"] = world.running.started


def tls_turns(world):
    world.tls_turns = True


def tls_turns_with_a_configuration(world):
    tls_turns(world)
    rules_touched(world)


def tls_turns_while_it_does_not_run(world):
    tls_turns(world)
    not_running(world)


RELOAD = ("reload", "it has not loaded the configuration on disk")
TLS = ("restart", "turning TLS on or off takes a restart")


@pytest.mark.parametrize(
    ("change", "decided"),
    [
        (as_is, tuple(AS_ON_DISK)),
        (other_executable, ("restart", "it runs /usr/local/bin/prometheus instead of /usr/local/bin/prometheus-2")),
        (other_unit, ("restart", "its unit has changed since it was started")),
        (other_arguments, ("restart", f"it runs with --other instead of {' '.join(ARGV)}")),
        (other_limits, ("restart", "it runs with other limits (nofile: 2/2, not 1/1)")),
        # What is known of another unit says nothing of this one.
        (other_limits_of_an_earlier_unit, tuple(AS_ON_DISK)),
        (unknown_arguments, tuple(AS_ON_DISK)),
        (not_running, ("start", "it is not running")),
        (other_configuration_loaded, RELOAD),
        (other_configuration_of_another_generation, tuple(AS_ON_DISK)),
        (says_nothing_of_its_configuration, tuple(AS_ON_DISK)),
        (rules_touched, RELOAD),
        (rules_touched_and_restarted, tuple(AS_ON_DISK)),
        (new_generation_and_an_old_process, RELOAD),
        (new_generation_that_nothing_takes_up, tuple(AS_ON_DISK)),
        (new_generation_that_takes_a_restart, ("restart", RELOAD[1])),
        (new_generation_and_a_younger_process, tuple(AS_ON_DISK)),
        (a_file_that_is_read_at_the_start, ("restart", "{}/web.crt has changed since it was started")),
        (a_file_that_was_read_a_moment_later, tuple(AS_ON_DISK)),
        (tls_turns, TLS),
        (tls_turns_with_a_configuration, TLS),
        (tls_turns_while_it_does_not_run, ("start", "it is not running")),
    ],
)
def test_what_one_difference_leads_to(world, change, decided):
    change(world)
    assert world.decide() == (decided[0], decided[1].format(world.folder))


@pytest.mark.parametrize("path", ["prometheus.yml", "rules/a.yml", "state/manifest.json"])
@pytest.mark.parametrize(("seconds", "action"), [(-1, "reload"), (1.95, "reload"), (2.5, "none")])
def test_a_process_has_read_what_was_written_well_before_it_started(world, path, seconds, action):
    world.params["reads"] = []
    world.manifest["generation"] = "g2"
    # The other files are gone: what is not there was not written after it. And the file is younger than its directory.
    for other in {"prometheus.yml", "rules/a.yml", "state/manifest.json"} - {path}:
        (world.folder / other).unlink()
    time.sleep(0.1)
    os.utime(world.folder / path)
    world.start(seconds, path)
    assert world.decide()[0] == action


def test_the_moment_of_the_start_is_compared_to_the_second():
    comparison = Comparison(
        SimpleNamespace(params={}, state=None, machine=SimpleNamespace(proc=lambda name: "")), None, None
    )
    assert not comparison.started_after(Running(1, "5", "x", None), "/")
    comparison.task.machine.proc = lambda name: f"btime {BOOT}\n"
    assert not comparison.started_after(Running(1, "5", "x", None), "/nonexistent/file")


def test_only_what_it_may_read_again_was_touched(world):
    """Then a reload is enough, whatever a changed configuration takes otherwise."""
    world.on_config_change, world.params["reload"] = "restart", {"paths": ["rules/"]}
    rules_touched(world)
    comparison = world.comparison
    assert comparison.rereads is False
    assert comparison.decide(world.running, world.verified) == Decision(*RELOAD)
    assert comparison.rereads is True and comparison.on_change() == "reload"


@pytest.mark.parametrize("change", [new_generation_and_an_old_process, as_is, not_running])
def test_a_restart_is_not_made_a_reload_otherwise(world, change):
    world.on_config_change, world.params["reload"] = "restart", {"paths": ["rules/"]}
    change(world)
    comparison = world.comparison
    comparison.decide(world.running, world.verified)
    assert comparison.rereads is False and comparison.on_change() == "restart"


@pytest.mark.parametrize(
    ("paths", "change", "possible"),
    [
        (["rules/a.yml"], as_is, True),
        (["rules/a.yml", "rules/b.yml"], as_is, True),
        (["rules/a.yml", "prometheus.yml"], as_is, False),
        ([], as_is, False),
        (["rules/a.yml"], not_running, False),
        (["rules/a.yml"], new_generation_and_an_old_process, False),
        (["rules/a.yml"], new_generation_and_a_younger_process, True),
    ],
)
def test_changes_that_can_be_read_again(world, paths, change, possible):
    world.params["reload"] = {"paths": ["rules/", "more/"]}
    change(world)
    changes = [SimpleNamespace(path=str(world.folder / path)) for path in paths]
    found = world.comparison.can_reread(changes, world.running, world.verified, world.manifest)
    assert bool(found) is possible
    world.params["reload"] = None
    assert not world.comparison.can_reread(changes, world.running, world.verified, world.manifest)


def test_relative_paths_are_those_of_the_configuration(world):
    world.params["reload"] = {"paths": ["rules/"]}
    changes = [SimpleNamespace(path="rules/a.yml")]
    assert not world.comparison.can_reread(changes, world.running, world.verified, world.manifest)


NOTHING = SimpleNamespace(replacing=None, texts=[], has_links=False, changes=[])


def plan(changes=(), **differences):
    """Differences; of changes their paths."""
    found = [SimpleNamespace(path=path) for path in changes]
    return SimpleNamespace(**{**vars(NOTHING), "changes": found, **differences})


@pytest.mark.parametrize(
    ("change", "differences", "foreseen"),
    [
        (as_is, {}, tuple(AS_ON_DISK)),
        (as_is, {"texts": ["unit"]}, ("restart", "its unit or binary would change")),
        (as_is, {"has_links": True}, ("restart", "its unit or binary would change")),
        (as_is, {"replacing": "other data"}, ("restart", "other data")),
        (as_is, {"changes": ["prometheus.yml"]}, ("reload", "its configuration would change")),
        (new_generation_that_nothing_takes_up, {"changes": ["prometheus.yml"]}, tuple(AS_ON_DISK)),
        (not_running, {}, ("start", "it is not running")),
        (not_running, {"texts": ["unit"]}, ("start", "it is not running")),
        (not_running, {"replacing": "other data"}, ("start", "other data")),
        (other_arguments, {}, ("restart", f"it runs with --other instead of {' '.join(ARGV)}")),
        (other_arguments, {"texts": ["unit"]}, ("restart", f"it runs with --other instead of {' '.join(ARGV)}")),
        (other_executable, {"changes": ["prometheus.yml"]},
         ("restart", "it runs /usr/local/bin/prometheus instead of /usr/local/bin/prometheus-2")),
        (rules_touched, {}, RELOAD),
        (rules_touched, {"changes": ["prometheus.yml"]}, RELOAD),
    ],
)  # fmt: skip
def test_what_a_check_expects(world, change, differences, foreseen):
    change(world)
    found = SimpleNamespace(running=world.running, verified=world.verified)
    assert tuple(world.comparison.foresee(plan(**differences), found)) == foreseen


def test_what_is_verified_is_this_process_and_this_generation(world):
    assert is_verified(world.running, world.verified, world.manifest)
    for key in ("generation", "pid", "started"):
        assert not is_verified(world.running, {**world.verified, key: "other"}, world.manifest)
    assert set(DONE) == {"none", "start", "restart", "reload"} and DONE["reload"] == "reloaded"


@pytest.mark.parametrize(
    ("now", "then", "said"),
    [
        ({}, {}, None),
        (None, None, None),
        (None, {"arguments": ["a"]}, None),
        ({"arguments": ["a"]}, None, None),
        ({"arguments": ["a"]}, {"arguments": ["a"]}, None),
        ({"arguments": ["a", "b"]}, {"arguments": ["b", "a"]}, "runs with its arguments in another order than configured"),
        ({"arguments": ["a", "b", "c"]}, {"arguments": ["a"]}, "runs with b c instead of nothing"),
        ({"arguments": ["a"]}, {"arguments": ["a", "b", "c"]}, "runs with no such argument instead of b c"),
        ({"environment": {"A": "1", "B": "2", "C": "3"}}, {"environment": {"A": "1", "B": "3", "D": "4"}},
         "runs with other variables in its environment (B, C, D)"),
        ({"limits": {"a": ["1", "2"], "b": "x", "d": "1"}}, {"limits": {"a": ["1", "3"], "c": "y", "d": "1"}},
         "runs with other limits (a: 1/2, not 1/3; b: x, not none; c: none, not y)"),
        ({"rights": {"a": "1"}}, {"rights": {"a": "2"}}, "runs with other rights (a: 1, not 2)"),
        ({"users": "1"}, {"users": "2"}, "runs in another user namespace"),
        ({"mounts": {"/x": "rw"}}, {"mounts": {"/x": "ro"}}, "runs with other file systems in sight (/x: rw, not ro)"),
        # The first difference alone is told.
        ({"arguments": ["a"], "users": "1"}, {"arguments": ["b"], "users": "2"}, "runs with a instead of b"),
    ],
)  # fmt: skip
def test_a_start_that_was_otherwise(now, then, said):
    assert other_start(now, then) == said


@pytest.mark.parametrize(
    ("verified", "same", "configuration", "started_after", "loaded"),
    [
        ({}, True, None, False, True),
        ({}, False, None, False, False),
        ({}, False, None, True, True),
        ({"touched": 1}, True, None, False, True),
        ({"touched": 2}, True, None, True, False),
        ({"touched": 2}, False, None, True, True),
        ({"configuration": "c"}, True, "c", False, True),
        ({"configuration": "d"}, True, "c", True, False),
        ({"configuration": "d"}, False, "c", True, False),
        ({"configuration": "d"}, True, None, False, True),
        ({}, True, "c", False, True),
    ],
)
def test_what_a_process_has_loaded(verified, same, configuration, started_after, loaded):
    assert is_loaded(verified, same, 1, configuration, started_after) is loaded


def test_the_first_difference_decides():
    process = Running(1, "5", "/a", "f", {"users": "1"})
    assert decide(process, "/b", "g", False, "reload", {"users": "2"}).reason == "it runs /a instead of /b"
    assert (
        decide(process, "/a", "g", False, "reload", {"users": "2"}).reason
        == "its unit has changed since it was started"
    )
    assert decide(process, "/a", "f", False, "reload", {"users": "2"}).reason == "it runs in another user namespace"
    assert decide(process, "/a", "f", False, "reload") == Decision(*RELOAD)
    assert decide(process, "/a", "f", False, None) == AS_ON_DISK == Decision("none", "it runs as configured")


def test_the_moment_that_a_process_started_stands_behind_its_name():
    fields = " ".join(str(number) for number in range(3, 53))
    assert start_ticks(f"7 (a) b (c) {fields}") == "22"


def test_words_of_programs():
    assert unknown_flag("x: error: unknown short flag '-q', try --help") == "-q"
    assert unknown_flag("all is well") is None
    assert refused_arguments("  x: error: no such thing  \nx: error: another") == "no such thing"
    assert (
        refused_arguments('invalid boolean value "y" for flag -x: bad') == 'invalid boolean value "y" for flag -x: bad'
    )
    warnings, refusals = about_features(
        "--enable-feature without a level\n"
        "level=fatal feature flag without words\n"
        "level=crit msg=c feature flag\n"
        "level=info msg=i feature flag\n"
        "level=WARN msg=other\n"
        "  level=warn feature flag w  \n"
    )
    assert refusals == ["level=fatal feature flag without words", "msg=c feature flag"]
    assert warnings == ["level=warn feature flag w"]


TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2382 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1
   1: 0100007F:2383 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 112 1
   2: 0100007F:2382 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 113 1
   3: cut 0A
   4: 0:2382 0:0 0A 0:0 0:0 0 0 0
   5: 0100007F:2384 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 114
"""
TABLE6 = "header\n   0: 00000000000000000000000000000000:2384 0:0 0A 0:0 0:0 0 0 0 115 1\n"


def test_sockets_that_listen():
    assert listeners([TABLE, TABLE6], [0x2382, 0x2384]) == {"111": 0x2382, "114": 0x2384, "115": 0x2384}
    assert listeners([], [1]) == {}


def entry(message, **further):
    return json.dumps({"MESSAGE": message, **further})


def test_lines_of_the_journal_since_a_start():
    journal = "\n".join(
        [
            entry("old", _SYSTEMD_INVOCATION_ID="a"),
            "no JSON",
            entry("stopped", INVOCATION_ID="a"),
            entry([110, 101, 119, 255], _SYSTEMD_INVOCATION_ID="b"),
            entry(None),
        ]
    )
    assert since_start(journal, "a") == ["new\ufffd", ""]
    assert since_start(journal, None) == ["old", "stopped", "new\ufffd", ""]
    # Nothing since: what was before is better than nothing.
    assert since_start(entry("old", INVOCATION_ID="a") + "\n" + entry(None, INVOCATION_ID="a"), "a") == ["old", ""]


def test_what_a_log_complains_of():
    lines = [f"time=2026-11-26T21:10:57Z flag {name} is deprecated" for name in "abcdefg"]
    assert complaints("\n".join(lines[:5])) == [f"flag {name} is deprecated" for name in "abcde"]
    assert complaints("\n".join(lines[:6]))[5:] == ["and 1 more such lines in its log"]
    assert complaints("\n".join(lines))[5:] == ["and 2 more such lines in its log"]
    # Once, whatever the number and the moment; without control characters; and not endless.
    assert complaints("2026-11-26 21:10:57 try 1 is unsupported\n2026/11/26T21:10:58Z try 22 is unsupported") == [
        "try 1 is unsupported"
    ]
    assert complaints("ts=1 \x1b[1;31mobsolete\x1b[0m\x07x\x9f") == ["obsolete x"]
    assert complaints("t=5 deprecated " + "x" * 400) == [("deprecated " + "x" * 400)[:300]]
    assert complaints("all is well\nundeprecated") == []


def test_lines_that_tell_why():
    lines = ["start", "error: a", "", "  ", "FATAL b", "cannot c", "help 1", "help 2", "help 3"]
    assert telling_lines(lines, 4) == ["error: a", "FATAL b", "help 2", "help 3"]
    assert telling_lines(lines, 6) == ["error: a", "FATAL b", "cannot c", "help 1", "help 2", "help 3"]
    assert telling_lines(lines, 100) == [line for line in lines if line.strip()]
    assert telling_lines(lines, 1) == ["help 3"]
    assert telling_lines([], 3) == []
