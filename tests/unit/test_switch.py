# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a switch changes, and the journal that undoes it, carried out as a script and by the next run."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _host, _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._switch import (
    Change,
    FilePlan,
    Owners,
    plan_files,
    undo_steps,
)

# What Tree.compare compares: digest, mode, owner, group.
A, B = ("aaaa", 0o640, 0, 5), ("bbbb", 0o640, 0, 5)
A_OTHER_MODE = ("aaaa", 0o644, 0, 5)


@pytest.mark.parametrize(
    ("scenario", "wanted", "live", "manifest", "plan"),
    [
        ("nothing_wanted_nothing_there", {}, {}, [], FilePlan([], [], [], [])),
        ("first_deployment", {"b": A, "a": B}, {}, [], FilePlan(["a", "b"], [], [], [])),
        ("converged", {"a": A}, {"a": A}, ["a"], FilePlan([], [], [], [])),
        ("content_changed", {"a": A}, {"a": B}, ["a"], FilePlan([], ["a"], [], [])),
        ("mode_drifted", {"a": A}, {"a": A_OTHER_MODE}, ["a"], FilePlan([], ["a"], [], [])),
        ("left_the_inventory", {}, {"a": A}, ["a"], FilePlan([], [], ["a"], [])),
        ("left_the_inventory_and_already_gone", {}, {}, ["a"], FilePlan([], [], [], [])),
        ("ours_deleted_by_hand", {"a": A}, {}, ["a"], FilePlan(["a"], [], [], [])),
        ("foreign_and_different", {"a": A}, {"a": B}, [], FilePlan([], [], [], ["a"])),
        ("foreign_and_equal_is_adopted", {"a": A}, {"a": A}, [], FilePlan([], [], [], [])),
        ("foreign_with_equal_content_gets_our_mode", {"a": A}, {"a": A_OTHER_MODE}, [], FilePlan([], ["a"], [], [])),
        ("foreign_beside_ours_is_not_seen", {"a": A}, {"a": A, "z": B}, ["a"], FilePlan([], [], [], [])),
    ],
)
def test_plan_files(scenario, wanted, live, manifest, plan):
    found = plan_files(wanted, live, manifest)
    assert found == plan
    assert found.changed == bool(plan.create or plan.update or plan.remove)


NAMES = [
    "plain.yml",
    "with blank.yml",
    "it's.yml",
    'say "hi".yml',
    "$HOME `id` $(id).yml",
    "back\\slash.yml",
    "new\nline.yml",
    "-rf",
    "ünïcödé ✓.yml",
    "*",
    "a;b&c|d.yml",
]


class World:
    """Files in a directory, a switch of them, and the journal of it."""

    def __init__(self, folder):
        self.live, self.state = folder / "live dir's", folder / "state dir's"
        self.live.mkdir()
        (self.state / "previous").mkdir(parents=True)
        self.changes, self.backups = [], {}

    def existing(self, name, make):
        """A path that stands there before the switch and is changed by it."""
        path, backup = self.live / name, f"previous/{len(self.changes)}"
        make(path)
        subprocess.run(["cp", "-a", "--", str(path), str(self.state / backup)], check=True)
        self.backups[str(path)] = backup
        self.changes.append(Change(str(path), "file"))

    def new(self, name):
        """A path that the switch creates."""
        self.changes.append(Change(str(self.live / name), "file"))

    def switch(self, count):
        """Carry out the first changes."""
        for change in self.changes[:count]:
            if os.path.lexists(change.path):
                os.unlink(change.path)
            with open(change.path, "w", encoding="utf-8") as stream:
                stream.write("new")

    def journal(self):
        undo = self.state / "undo"
        steps = undo_steps(self.changes, self.backups)
        undo.write_text(_nofollow.journal(steps, str(self.state), False, _host._own_text()), encoding="utf-8")
        (self.state / "rollback").write_text("older")
        return undo

    def snapshot(self):
        found = {}
        for name in os.listdir(self.live):
            path = self.live / name
            status = path.lstat()
            content = os.readlink(path) if path.is_symlink() else path.read_bytes()
            found[name] = (status.st_mode, status.st_uid, status.st_gid, int(status.st_mtime), content)
        return found


def write(text, mode=0o640):
    def make(path):
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        os.utime(path, (1_600_000_000, 1_600_000_000))

    return make


def run(script):
    return subprocess.run(["/bin/sh", str(script)], text=True, capture_output=True, check=False)


@pytest.fixture
def world(tmp_path, monkeypatch):
    # Waiting for the disk is not what these tests are about.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    world = World(tmp_path)
    for name in NAMES:
        world.existing(name, write("old " + name))
    world.existing("link", lambda path: path.symlink_to("plain.yml"))
    world.existing("broken link", lambda path: path.symlink_to("/no where"))
    world.existing("script", write("#!/bin/sh\n", 0o4755))
    world.existing("empty", write("", 0o600))
    world.new("new one's.yml")
    world.new("new link")
    return world


def put_back(world):
    text = (world.state / "undo").read_text(encoding="utf-8")
    _nofollow.put_back(_nofollow.parse_journal(text, str(world.state)))


@pytest.mark.parametrize("made", range(18))
def test_journal_undoes_whatever_part_of_the_switch_was_made(world, made):
    before = world.snapshot()
    undo = world.journal()
    world.switch(made)
    if made % 6:
        put_back(world)
    else:
        done = run(undo)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert world.snapshot() == before
    assert not undo.exists()
    assert not (world.state / "rollback").exists()


def test_journal_that_dies_before_any_call_is_finished_by_the_next_run(world):
    before, finished = world.snapshot(), False
    for call in range(400):
        undo = world.journal()
        world.switch(len(world.changes))
        child = os.fork()
        if child == 0:
            left = iter(range(call))

            def counted(original, left=left):
                def wrapper(*args, **kwargs):
                    if next(left, None) is None:
                        os._exit(9)
                    return original(*args, **kwargs)

                return wrapper

            for name in ("rename", "unlink", "symlink", "chown", "fchown", "fchmod", "utime"):
                setattr(os, name, counted(getattr(os, name)))
            put_back(world)
            os._exit(0)
        finished = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        if undo.exists():
            put_back(world)
        assert world.snapshot() == before
        if finished:
            break
    assert finished
    assert call > 50


def test_journal_stops_at_a_missing_copy_and_stays(world):
    """Better to stop and say so than to go on with a part of the old generation."""
    undo = world.journal()
    world.switch(len(world.changes))
    switched = world.snapshot()
    os.unlink(world.state / "previous/3")
    done = run(undo)
    assert done.returncode != 0
    assert "previous/3 is missing" in done.stderr
    assert undo.exists()
    assert world.snapshot() == switched


def test_journal_takes_away_what_a_crash_left_beside_a_path(world):
    before = world.snapshot()
    world.journal()
    for change in world.changes:
        with open(change.path + ".vigil-new", "w", encoding="utf-8") as stream:
            stream.write("half")
    put_back(world)
    assert world.snapshot() == before


def test_journal_reloads_systemd_only_for_a_unit():
    for reload in (True, False):
        told = _nofollow.parse_journal(_nofollow.journal([["/etc/x", None]], "/s", reload, ""), "/s")
        assert told == {"state": "/s", "steps": [["/etc/x", None]], "reload": reload}


def test_journal_of_an_older_version_is_carried_out(world):
    """Up to 0.2 it was made of shell commands, which follow whatever somebody put there meanwhile."""
    before = world.snapshot()
    lines = ["#!/bin/sh", "# Puts back it's old self.", "set -eu"]
    lines.append('put() { rm -rf "$2.vigil-new"; cp -a "$1" "$2.vigil-new"; mv -fT "$2.vigil-new" "$2"; }')
    for change in world.changes:
        path = shlex.quote(change.path)
        if change.path in world.backups:
            lines.append(f"put {shlex.quote(str(world.state / world.backups[change.path]))} {path}")
        else:
            lines.append(f"rm -f {path} {shlex.quote(change.path + '.vigil-new')}")
    lines.append("if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi")
    lines.append(f"sync -f {shlex.quote(str(world.live))} 2>/dev/null || sync")
    lines.append(f"rm -f {shlex.quote(str(world.state / 'undo'))} {shlex.quote(str(world.state / 'rollback'))}")
    told = _nofollow.parse_journal("\n".join(lines) + "\n", str(world.state))
    assert told["reload"]
    assert len(told["steps"]) == len(world.changes)
    (world.state / "undo").write_text("older")
    world.switch(len(world.changes))
    _nofollow.put_back(dict(told, reload=False))
    assert world.snapshot() == before
    assert not (world.state / "undo").exists()


@pytest.mark.parametrize("inside", [True, False])
def test_how_a_directory_passes_to_another_account_is_kept_as_a_word(inside):
    """Numbers and permission bits as a person reads them, and back to what they were."""
    owners = Owners((1, 2, 0o750), (30, 40, 0o2775), inside)
    assert owners.text() == "1:2:750 30:40:2775 " + ("inside" if inside else "alone")
    assert Owners.of(owners.text()) == owners
    assert owners.back() == ((30, 40, 0o2775), (1, 2, 0o750), inside)
    changes = [Change("/data", "owner", owners.text()), Change("/a", "file"), Change("/b", "link")]
    assert undo_steps(changes, {"/a": "/copy"}) == [["/data", list(owners.back())], ["/a", "/copy"], ["/b", None]]
