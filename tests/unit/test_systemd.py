# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd says and what it is told."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _systemd

UNIT = """[Unit]
Description=Prometheus

[Service]
User=prometheus
ExecStart=/usr/local/bin/prometheus
LimitNOFILE={limit}

[Install]
WantedBy=multi-user.target
"""


@pytest.mark.parametrize(
    ("text", "properties"),
    [
        ("", {}),
        ("MainPID=12\nResult=success\n", {"MainPID": "12", "Result": "success"}),
        ("Environment=A=1 B=2\n", {"Environment": "A=1 B=2"}),
        ("FragmentPath=\n", {"FragmentPath": ""}),
        ("no equals sign\nMainPID=0", {"MainPID": "0"}),
    ],
)
def test_parse_show(text, properties):
    assert _systemd.parse_show(text) == properties


def test_fingerprint_tells_apart_whatever_differs():
    units = [("a", ""), ("a", "b"), ("ab", ""), ("", "ab"), ("a\0", "b"), ("a ", "")]
    assert len({_systemd.fingerprint(*unit) for unit in units}) == len(units)
    assert _systemd.fingerprint("a", "b") == _systemd.fingerprint("a", "b")
    assert re.fullmatch("[0-9a-f]{16}", _systemd.fingerprint("ünit"))


def unquoted(line):
    """The shell command of a start hook as systemd hands it to the shell; see systemd.service(5)."""
    prefix = 'ExecStartPre=+/bin/sh -c "'
    assert line.startswith(prefix)
    assert line.endswith('"')
    body, command, position = line[len(prefix) : -1], "", 0
    while position < len(body):
        assert body[position] != '"', "the quotes end too early"
        if body[position] == "\\":
            position += 1
        elif body[position] in "%$":
            assert body[position] == body[position + 1], "systemd would expand this"
            position += 1
        command += body[position]
        position += 1
    return command


@pytest.mark.parametrize("name", ["etc", "with blank", "it's", 'a "quote"', "100%", "$HOME", "back\\slash", "ü"])
@pytest.mark.parametrize("journal", [None, "works", "fails"])
def test_start_hook_undoes_a_half_made_switch_and_lets_everything_else_start(tmp_path, name, journal):
    folder = tmp_path / name
    folder.mkdir(mode=0o700)
    if journal:
        (folder / "undo").write_text(f"{'true' if journal == 'works' else 'exit 3'}\ntouch '{tmp_path}/undone'\n")
    done = subprocess.run(["/bin/sh", "-c", unquoted(_systemd.start_hook(str(folder / "undo")))], check=False)
    assert done.returncode == (1 if journal else 0)
    assert (tmp_path / "undone").exists() == (journal == "works")


@pytest.mark.skipif(os.geteuid() != 0, reason="files get owners, which takes root")
@pytest.mark.parametrize(("owner", "mode"), [(9, 0o700), (0, 0o770), (0, 0o755)])
def test_start_hook_carries_out_nothing_that_others_may_have_put_there(tmp_path, owner, mode):
    folder = tmp_path / ".vigil"
    folder.mkdir()
    (folder / "undo").write_text(f"touch '{tmp_path}/undone'\n")
    folder.chmod(mode)
    os.chown(folder, owner, -1)
    done = subprocess.run(["/bin/sh", "-c", unquoted(_systemd.start_hook(str(folder / "undo")))], check=False)
    assert done.returncode == 1
    assert not (tmp_path / "undone").exists()


def test_start_hook_waits_for_a_switch_that_is_under_way(tmp_path):
    """The switch completes meanwhile: its journal is gone when the hook's turn comes, and nothing is undone."""
    (tmp_path / "undo").write_text(f"touch '{tmp_path}/undone'\n")
    switch = subprocess.Popen(["flock", str(tmp_path), "sh", "-c", f"echo; sleep 0.5; rm '{tmp_path}/undo'"], stdout=-1)
    switch.stdout.readline()
    command = unquoted(_systemd.start_hook(str(tmp_path / "undo")))
    done = subprocess.run(["/bin/sh", "-c", command], check=False, capture_output=True)
    switch.communicate()
    assert done.returncode == 1
    assert not os.path.exists(tmp_path / "undone")


@pytest.mark.parametrize(
    ("asked", "ceiling", "granted"),
    [
        ("65000", None, "65000"),
        ("infinity", None, "infinity"),
        ("65000", 1024, "1024"),
        ("65000", 65000, "65000"),
        ("65000", 1048576, "65000"),
        ("infinity", 4096, "4096"),
        ("1024:65000", 4096, "1024:4096"),
        ("infinity:infinity", 4096, "4096:4096"),
        ("1024:2048", 4096, "1024:2048"),
    ],
)
def test_open_files_limit_is_what_the_host_can_grant(asked, ceiling, granted):
    unit = _systemd.complete_unit(UNIT.format(limit=asked), "", "/etc/x/.vigil/undo", ceiling)
    assert re.findall("LimitNOFILE=(.*)", unit) == [granted]


def test_other_limits_and_lines_that_only_look_like_it_are_left_alone():
    text = "[Service]\nLimitNPROC=99999\n#LimitNOFILE=99999\nExecStart=/x LimitNOFILE=99999\n"
    assert _systemd.complete_unit(text, "", "/u", 10).endswith(text.partition("\n")[2])


@pytest.mark.parametrize(("version", "kept"), [(252, False), (253, False), (254, True), (257, True), (None, True)])
def test_what_an_older_systemd_does_not_know_is_left_out(version, kept):
    text = "[Service]\nRestart=on-failure\nRestartSec=1s\nRestartSteps=5\nRestartMaxDelaySec=30s\nUser=x\n"
    unit = _systemd.complete_unit(text, "", "/u", version=version)
    assert [name in unit for name in ("\nRestartSteps=5\n", "\nRestartMaxDelaySec=30s\n")] == [kept, kept]
    assert "\nRestartSec=1s\n" in unit and unit.endswith("User=x\n")


@pytest.mark.parametrize(
    ("shown", "number"),
    [("Version=252.38-1~deb12u1\n", 252), ("Version=v257.4\n", 257), ("Id=x\nVersion=255\n", 255), ("", None)],
)
def test_the_version_of_systemd(shown, number):
    assert _systemd.systemd_version(shown) == number


def test_complete_unit_keeps_every_line_and_adds_two():
    text = UNIT.format(limit=5)
    unit = _systemd.complete_unit(text, "", "/etc/x/.vigil/undo")
    assert [line for line in unit.splitlines() if line in text.splitlines()] == text.splitlines()
    added = [line for line in unit.splitlines() if line not in text.splitlines()]
    assert len(added) == 2
    assert unit.index("[Service]") < unit.index(added[0]) < unit.index("[Install]")
    assert _systemd.unit_fingerprint(unit) == _systemd.fingerprint(text, "")


@pytest.mark.parametrize("section", ["[Service]\n", "[Service]  \n"])
def test_service_section_is_found(section):
    assert "VIGIL_UNIT" in _systemd.complete_unit(section + "User=x\n", "", "/u")


@pytest.mark.parametrize("text", ["", "[Unit]\n", "[service]\nUser=x\n", "# [Service]\n", "Description=[Service]\n"])
def test_unit_without_a_service_section_is_refused(text):
    with pytest.raises(ValueError, match=r"no \[Service\] section"):
        _systemd.complete_unit(text, "", "/u")


def test_dropin_changes_the_fingerprint_and_not_the_unit():
    one, two = (_systemd.complete_unit("[Service]\n", dropin, "/u") for dropin in ("", "[Service]\nNice=5\n"))
    assert _systemd.unit_fingerprint(one) != _systemd.unit_fingerprint(two)
    assert "Nice" not in two


@pytest.mark.parametrize("text", ["", "[Service]\nEnvironment=VIGIL_UNIT=xyz\n", "Environment=VIGIL_UNIT=0123\n"])
def test_unit_of_somebody_else_has_no_fingerprint(text):
    assert _systemd.unit_fingerprint(text) is None


LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max processes             unlimited            unlimited            processes
Max open files            1024                 {0}               files
"""


@pytest.mark.parametrize(
    ("hard", "capabilities", "ceiling"),
    [
        ("524288", "00000000a80425fb", 524288),  # docker's own capabilities: no CAP_SYS_RESOURCE
        ("524288", "000001ffffffffff", None),  # root of a real host
        ("524288", "0000000001000000", None),  # only CAP_SYS_RESOURCE
        ("unlimited", "0", None),
    ],
)
def test_nofile_ceiling(hard, capabilities, ceiling):
    status = f"Name:\tsystemd\nCapPrm:\t{capabilities}\nCapEff:\t{capabilities}\n"
    assert _systemd.nofile_ceiling(LIMITS.format(hard), status) == ceiling


def test_nofile_ceiling_where_proc_says_nothing():
    assert _systemd.nofile_ceiling("", "") is None


def properties(**changed):
    base = {
        "ActiveState": "active",
        "SubState": "running",
        "MainPID": "10",
        "NRestarts": "0",
        "Result": "success",
        "ExecMainStatus": "0",
    }
    return dict(base, **changed)


@pytest.mark.parametrize(
    ("scenario", "before", "now", "reason"),
    [
        ("up", None, properties(), None),
        ("stays_up", properties(), properties(), None),
        ("starting", None, properties(ActiveState="activating", SubState="start-pre", MainPID="0"), None),
        ("reloading", properties(), properties(ActiveState="reloading", SubState="reload"), None),
        (
            "failed",
            None,
            properties(ActiveState="failed", SubState="failed", MainPID="0", Result="exit-code", ExecMainStatus="2"),
            "it failed (exit-code, status 2)",
        ),
        (
            "crash_loop_between_two_starts",
            None,
            properties(ActiveState="activating", SubState="auto-restart", MainPID="0", Result="exit-code"),
            "it keeps restarting (exit-code)",
        ),
        (
            "crash_loop_at_its_second_start",
            None,
            properties(ActiveState="activating", SubState="start", NRestarts="1"),
            "it keeps restarting (success)",
        ),
        (
            "stopped_by_hand",
            None,
            properties(ActiveState="inactive", SubState="dead", MainPID="0"),
            "it stopped (success)",
        ),
        ("stopping", None, properties(ActiveState="deactivating", SubState="stop"), "it stopped (success)"),
        (
            "crashed_and_up_again",
            properties(),
            properties(NRestarts="1", MainPID="11"),
            "it restarted during verification (success)",
        ),
        ("restarted_by_hand", properties(), properties(MainPID="11"), "it restarted"),
        ("earlier_restarts_do_not_count", properties(NRestarts="7"), properties(NRestarts="7"), None),
        ("killed", properties(), properties(ActiveState="failed", Result="oom-kill"), "it failed (oom-kill)"),
    ],
)
def test_crashed(scenario, before, now, reason):
    found = _systemd.crashed(before, now)
    assert found == reason if reason is None else found.startswith(reason)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "unknown"),
        ({"Result": "timeout"}, "timeout"),
        ({"Result": "exit-code", "ExecMainStatus": "205"}, "exit-code, status 205"),
    ],
)
def test_exit_words(given, words):
    assert _systemd.exit_words(given) == words


@pytest.mark.parametrize(
    ("dropin", "ceiling", "asked"),
    [
        ("", 20000, None),
        ("[Service]\nLimitNOFILE=20000\n", 20000, None),
        ("[Service]\nLimitNOFILE=20001\n", None, None),
        ("[Service]\nLimitNOFILE=20001\n", 20000, "20001"),
        ("[Service]\nLimitNOFILE = 1024:99999\n", 20000, "1024:99999"),
        ("[Service]\nLimitNOFILE=infinity\n", 20000, "infinity"),
        ("[Service]\nLimitNOFILE=infinity\nLimitNOFILE=1024\n", 20000, None),
        ("[Service]\n#LimitNOFILE=20001\nLimitNPROC=30000\n", 20000, None),
    ],
)
def test_a_limit_that_the_host_cannot_grant(dropin, ceiling, asked):
    problem = _systemd.ungrantable_limit(dropin, ceiling)
    assert (problem is None) is (asked is None)
    said = f"the drop-in sets LimitNOFILE={asked}, and systemd on this host can grant no more than 20000"
    assert problem == (said if asked else None)


def test_where_drop_ins_may_lie_as_systemd_reads_them():
    """systemd.unit(5): /etc/systemd/system.control first, then run's, /etc, /run, and the vendors'; a-b.service as a-.service.d too."""
    places = [
        "/etc/systemd/system.control",
        "/run/systemd/system.control",
        "/run/systemd/transient",
        "/etc/systemd/system",
        "/run/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
    ]
    for name, folders in (
        ("prometheus", ["prometheus.service.d"]),
        ("prometheus-eu-2", ["prometheus-eu-2.service.d", "prometheus-eu-.service.d", "prometheus-.service.d"]),
    ):
        found = _systemd.dropin_directories(name)
        assert found == [f"{place}/{folder}" for folder in folders for place in places]
    assert _systemd.dropin_directories("x", "/srv/units")[:1] == ["/srv/system.control/x.service.d"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[Service]\nUser=x\nNice = 5 \n", [("User", "x"), ("Nice", "5")]),
        ("[Unit]\nUser=x\n[Service]\nA=\n[Install]\nB=c\n", [("A", "")]),
        ("[Service]\n# User=x\n;User=y\n  # A=b\n\nnothing\n", []),
        (
            "[Service]\nExecStart=/bin/x \\\n  --a \\\n  --b=1\nUser=x\n",
            [("ExecStart", "/bin/x --a --b=1"), ("User", "x")],
        ),
        # The X is a letter as any other, and what stands behind the first sign is the value.
        ("[Service]\nXA=a#b;c=d\nX=y\n", [("XA", "a#b;c=d"), ("X", "y")]),
        ("[Service]\nA=1;2\nB=#c\n", [("A", "1;2"), ("B", "#c")]),
        ("[Service]\nA;=1\nB#=2\n", [("A;", "1"), ("B#", "2")]),
    ],
)
def test_the_lines_of_a_service(text, found):
    assert _systemd.settings_of(text) == found


@pytest.mark.parametrize(
    ("dropin", "found"),
    [
        ("[Service]\nUser=root\n", ["User"]),
        ("[Service]\nUser=prometheus\n", []),
        # What adds comes first, and what changes after it.
        ("[Service]\nReadWritePaths=/srv\nUser=root\nExecStartPre=/bin/x\n", ["User"]),
        ("[Service]\nReadWritePaths=\nUser=root\n", ["ReadWritePaths", "User"]),
        ("[Service]\nCPUWeight=20\n[Unit]\nUser=root\n", []),
    ],
)
def test_what_a_foreign_drop_in_changes(dropin, found):
    unit = UNIT.format(limit=5) + "[Service]\nReadWritePaths=/var/lib/prometheus\n"
    assert _systemd.overridden(unit, dropin) == found
