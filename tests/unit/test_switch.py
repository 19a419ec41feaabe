# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a switch changes, and the journal that undoes it; the journal is carried out by the real /bin/sh."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._switch import (
    Change,
    FilePlan,
    plan_files,
    undo_script,
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
        path, backup = self.live / name, self.state / "previous" / str(len(self.changes))
        make(path)
        subprocess.run(["cp", "-a", "--", str(path), str(backup)], check=True)
        self.backups[str(path)] = str(backup)
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
        undo.write_text(undo_script(self.changes, self.backups, str(self.state), str(undo), False), encoding="utf-8")
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


def run(script, **kwargs):
    return subprocess.run(["/bin/sh", str(script)], text=True, capture_output=True, check=False, **kwargs)


@pytest.fixture
def world(tmp_path, monkeypatch):
    # Waiting for the disk is not what these tests are about.
    (tmp_path / "fast").mkdir()
    (tmp_path / "fast" / "sync").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path / "fast"), prepend=os.pathsep)
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


@pytest.mark.parametrize("made", range(18))
def test_journal_undoes_whatever_part_of_the_switch_was_made(world, made):
    before = world.snapshot()
    undo = world.journal()
    world.switch(made)
    done = run(undo)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert world.snapshot() == before
    assert not undo.exists()
    assert not (world.state / "rollback").exists()


def test_journal_interrupted_after_each_line_is_finished_by_the_next_run(world):
    before = world.snapshot()
    text = world.journal().read_text(encoding="utf-8")
    # Cut before each statement; the name with an end of line in it spans two lines.
    cuts = [
        number
        for number, line in enumerate(text.splitlines(keepends=True))
        if line.startswith(("put ", "rm ", "sync "))
    ]
    assert len(cuts) == len(world.changes) + 2
    for cut in cuts:
        undo = world.journal()
        world.switch(len(world.changes))
        lines = text.splitlines(keepends=True)
        cut_short = world.state / "cut"
        cut_short.write_text("".join(lines[:cut]) + "exit 9\n" + "".join(lines[cut:]), encoding="utf-8")
        assert run(cut_short).returncode == 9
        assert undo.exists()
        assert run(undo).returncode == 0
        assert world.snapshot() == before


@pytest.mark.parametrize("tool", ["cp", "mv", "sync", "rm"])
def test_journal_killed_inside_one_step_is_finished_by_the_next_run(world, tool, tmp_path):
    """Each run of a tool dies half-way through its work, and takes the journal with it."""
    before = world.snapshot()
    world.switch(len(world.changes))
    undo = world.journal()
    shims = tmp_path / "shims"
    shims.mkdir()
    last = {"cp": 'for last; do :; done; echo half > "$last"', "mv": ":", "sync": ":", "rm": ":"}[tool]
    (shims / tool).write_text(f"#!/bin/sh\n{last}\nkill -9 $PPID\n")
    (shims / tool).chmod(0o755)
    killed = run(undo, env={"PATH": "{}:{}".format(shims, os.environ["PATH"])})
    if tool != "sync":
        assert killed.returncode == -9
    assert undo.exists()
    assert run(undo).returncode == 0
    assert world.snapshot() == before


def test_journal_stops_at_a_missing_copy_and_stays(world):
    """Better to stop and say so than to go on with a part of the old generation."""
    undo = world.journal()
    os.unlink(next(iter(world.backups.values())))
    done = run(undo)
    assert done.returncode != 0
    assert "previous/0" in done.stderr
    assert undo.exists()


def test_journal_takes_away_what_a_crash_left_beside_a_path(world):
    before = world.snapshot()
    undo = world.journal()
    for change in world.changes:
        with open(change.path + ".vigil-new", "w", encoding="utf-8") as stream:
            stream.write("half")
    assert run(undo).returncode == 0
    assert world.snapshot() == before


def test_journal_reloads_systemd_only_for_a_unit():
    change = [Change("/etc/x", "file")]
    assert "daemon-reload" in undo_script(change, {}, "/s", "/s/undo", True)
    assert "daemon-reload" not in undo_script(change, {}, "/s", "/s/undo", False)
