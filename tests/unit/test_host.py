# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's disk: a generation is switched whole or not at all, wherever the run dies."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import shutil
import stat
import subprocess
import time
from functools import partial
from types import SimpleNamespace

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _host, _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError, State, write_atomically
from ansible_collections.vigil.monitoring.plugins.module_utils._process import since_start
from ansible_collections.vigil.monitoring.plugins.module_utils._switch import Change

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files get owners, which takes root")

# Everything by which the code changes the disk. A crash is tried before each single call.
MUTATIONS = ("rename", "unlink", "symlink", "mkdir", "rmdir", "chmod", "fchmod", "chown", "fchown", "fsync", "open")


@pytest.fixture(autouse=True)
def _disk_is_not_waited_for(monkeypatch, tmp_path_factory):
    """What counts here is the order of the calls; waiting for the disk at each of them takes half a minute."""
    shims = tmp_path_factory.mktemp("shims")
    (shims / "sync").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(shims), prepend=os.pathsep)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def snapshot(*folders):
    """Every path below some folders with type, mode, owner, group and content; our own state apart."""
    found = {}
    for folder in map(str, folders):
        for parent, directories, files in os.walk(folder):
            if ".vigil" in directories:
                directories.remove(".vigil")
            for name in directories + files:
                path = os.path.join(parent, name)
                status = os.lstat(path)
                if stat.S_ISLNK(status.st_mode):
                    content = os.readlink(path)
                else:
                    content = None if stat.S_ISDIR(status.st_mode) else _nofollow.read_bytes(path)
                found[path] = (status.st_mode, status.st_uid, status.st_gid, content)
    return found


class World:
    """A service with a verified generation on disk and the next one prepared."""

    def __init__(self, root):
        self.root = root
        self.config, self.units, self.bin = root / "etc", root / "systemd dir", root / "bin"
        for folder in (self.config, self.units, self.bin):
            folder.mkdir(parents=True)
        self.state = State(str(self.config))
        self.state.create()
        # Files of somebody else, of every kind.
        (self.config / "foreign.yml").write_text("theirs")
        (self.config / "broken").symlink_to("/no/where")
        # The first generation, through the real thing.
        first = {"keep.yml": self.file("keep"), "change.yml": self.file("old"), "drop.yml": self.file("drop", uid=7)}
        self.state.stage(first, {"manifest": {}})
        self.unit_file("old unit")
        changes = [Change(self.at(self.units, "x.service"), "file", str(self.root / "next.service"))]
        changes += [Change(self.at(self.bin, "x"), "link", "/opt/x-1/x"), Change(self.at(self.bin, "y"), "link", "/y")]
        changes += [Change(self.at(self.config, name), "file", self.state.staged_file(name)) for name in first]
        self.state.switch(changes, {"files": dict.fromkeys(first, "")}, False)
        self.prove()

    @staticmethod
    def file(text, mode=0o640, uid=0, gid=9):
        return text.encode("utf-8"), mode, uid, gid

    @staticmethod
    def at(folder, name):
        return str(folder / name)

    def unit_file(self, text):
        write_atomically(str(self.root / "next.service"), text.encode("utf-8"), 0o644)

    def prove(self, pid=4711):
        self.state.record_verified(
            {"generation": self.state.manifest()["generation"], "pid": pid, "started": "99", "data_version": "1.0"}
        )

    def prepare(self):
        """Stage the second generation: a file of each fate, a unit, a changed link, one link less."""
        (self.config / "rules").mkdir(exist_ok=True)
        second = {"keep.yml": self.file("keep"), "change.yml": self.file("new", 0o600), "rules/new.yml": self.file("n")}
        self.state.stage(second, {"manifest": {}})
        self.unit_file("new unit")
        changes = [Change(self.at(self.units, "x.service"), "file", str(self.root / "next.service"))]
        changes += [Change(self.at(self.bin, "x"), "link", "/opt/x-2/x"), Change(self.at(self.bin, "y"), "remove")]
        changes += [Change(self.at(self.config, name), "file", self.state.staged_file(name)) for name in second]
        changes += [Change(self.at(self.config, "drop.yml"), "remove")]
        return changes

    def prepare_first(self):
        """Stage the first generation again."""
        first = {"change.yml": self.file("old"), "drop.yml": self.file("drop", uid=7)}
        self.state.stage(first, {})
        self.unit_file("old unit")
        changes = [Change(self.at(self.units, "x.service"), "file", str(self.root / "next.service"))]
        changes += [Change(self.at(self.bin, "x"), "link", "/opt/x-1/x"), Change(self.at(self.bin, "y"), "link", "/y")]
        changes += [Change(self.at(self.config, "rules/new.yml"), "remove")]
        return changes + [Change(self.at(self.config, name), "file", self.state.staged_file(name)) for name in first]

    def switch(self):
        return self.state.switch(self.prepare(), {"files": {"second": ""}}, False)

    def snapshot(self):
        return snapshot(self.config, self.units, self.bin)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def in_a_child_that_dies(work, call, monkeypatch, names=MUTATIONS):
    """Run ``work`` in a fork that dies, as by SIGKILL, before its n-th change of the disk.

    :returns: whether it got to its end without dying.
    """
    child = os.fork()
    if child == 0:
        count, opens = 0, os.open

        def counted(original):
            def wrapper(*args, **kwargs):
                nonlocal count
                if original is opens and not (args[1] if len(args) > 1 else kwargs["flags"]) & os.O_CREAT:
                    return original(*args, **kwargs)
                count += 1
                if count == call:
                    os._exit(9)
                return original(*args, **kwargs)

            return wrapper

        try:
            for name in names:
                setattr(os, name, counted(getattr(os, name)))
            work()
        except BaseException:
            os._exit(8)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9)
    return status == 0


# One generation after another


def test_switch_makes_the_new_generation_whole(world):
    generation = world.switch()
    assert (world.config / "change.yml").read_text() == "new"
    assert stat.S_IMODE((world.config / "change.yml").stat().st_mode) == 0o600
    assert (world.config / "change.yml").stat().st_gid == 9
    assert (world.config / "rules/new.yml").read_text() == "n"
    assert not (world.config / "drop.yml").exists()
    assert os.readlink(world.bin / "x") == "/opt/x-2/x"
    assert not os.path.lexists(world.bin / "y")
    assert (world.units / "x.service").read_text() == "new unit"
    assert (world.config / "foreign.yml").read_text() == "theirs"
    assert world.state.manifest()["generation"] == generation
    assert world.state.manifest()["files"] == {"second": ""}
    assert world.state.staged_plan() is None


def test_rollback_puts_back_the_old_generation_byte_for_byte(world):
    (world.config / "rules").mkdir()
    before = world.snapshot()
    world.switch()
    world.state.roll_back()
    assert world.snapshot() == before
    assert not world.state.needs_recovery()


def test_what_the_new_generation_made_of_a_kept_file_is_undone(world, tmp_path):
    """A database that a new version migrated goes back together with the binary, and what lay beside it then goes."""
    database, beside = tmp_path / "data.db", tmp_path / "data.db-wal"
    database.write_text("old")
    kept = [Change(str(database), "keep"), Change(str(beside), "keep")]
    world.state.switch(world.prepare() + kept, {"files": {"second": ""}}, False)
    assert database.read_text() == "old"
    database.write_text("migrated")
    beside.write_text("migrating")
    world.state.roll_back()
    assert database.read_text() == "old"
    assert not beside.exists()


def test_unproven_switch_is_undone_by_the_next_run(world):
    (world.config / "rules").mkdir()
    before, old = world.snapshot(), world.state.manifest()
    world.switch()
    assert world.state.needs_recovery()
    assert world.state.recover() is True
    assert (world.snapshot(), world.state.manifest()) == (before, old)
    assert world.state.recover() is False
    assert world.snapshot() == before


def test_proven_switch_is_not_undone(world):
    world.switch()
    world.prove()
    after = world.snapshot()
    assert world.state.recover() is False
    assert world.snapshot() == after


def test_undoing_forgets_which_process_had_loaded_the_old_generation(world):
    """The run may have died after the reload: then that very process has loaded what is undone now."""
    world.switch()
    world.state.recover()
    verified = world.state.verified()
    assert verified["generation"] == world.state.manifest()["generation"]
    assert (verified["pid"], verified["started"], verified["data_version"]) == (None, None, "1.0")


def test_rolling_back_forgets_it_too(world):
    world.switch()
    world.state.roll_back()
    assert world.state.verified()["pid"] is None


def test_first_deployment_that_was_not_proven_leaves_nothing(tmp_path):
    (tmp_path / "etc").mkdir()
    state = State(str(tmp_path / "etc"))
    state.create()
    state.stage({"a.yml": World.file("a")}, {})
    state.switch([Change(str(tmp_path / "etc/a.yml"), "file", state.staged_file("a.yml"))], {}, False)
    assert state.recover() is True
    assert state.manifest()["generation"] is None
    assert snapshot(tmp_path / "etc") == {}


def test_third_switch_does_not_remember_the_first(world):
    world.switch()
    world.prove()
    before = world.snapshot()
    (world.config / "change.yml").chmod(0o640)
    drifted = world.snapshot()
    world.switch()
    world.state.roll_back()
    assert world.snapshot() == drifted
    assert drifted != before


# A run that dies


def test_switch_that_dies_before_any_change_of_the_disk_is_undone_byte_for_byte(world, monkeypatch):
    """Every single call that changes something is a moment at which the power may go."""
    (world.config / "rules").mkdir()
    before, old = world.snapshot(), world.state.manifest()
    died = 0
    for call in range(1, 500):
        changes = world.prepare()
        finished = in_a_child_that_dies(partial(world.state.switch, changes, {}, False), call, monkeypatch)
        if finished:
            break
        died += 1
        world.state.recover()
        assert world.snapshot() == before, f"after a crash before call {call}"
        assert world.state.manifest() == old
        assert world.state.recover() is False
    assert finished
    assert died > 60


def test_staging_that_dies_leaves_no_plan(world, monkeypatch):
    before = world.snapshot()
    files = {"a.yml": World.file("a"), "b/c.yml": World.file("c")}
    for call in range(1, 200):
        if in_a_child_that_dies(lambda: world.state.stage(files, {"replace": ["a.yml"]}), call, monkeypatch):
            break
        if world.state.staged_plan() is not None:
            # The plan is the last file; from then on all of them are there.
            assert os.path.exists(world.state.staged_file("b/c.yml"))
        assert world.snapshot() == before
        assert not world.state.needs_recovery()
    assert world.state.staged_plan() == {"replace": ["a.yml"]}


def test_recovery_forgets_what_was_staged_because_a_part_of_it_was_moved(world, monkeypatch):
    changes = world.prepare()
    renames = ("rename",)
    for call in range(1, 20):
        in_a_child_that_dies(partial(world.state.switch, changes, {}, False), call, monkeypatch, renames)
        if os.path.exists(world.state.undo):
            break
    assert world.state.staged_plan() is not None
    world.state.recover()
    assert world.state.staged_plan() is None


def test_failed_rename_is_undone_at_once(world, monkeypatch):
    (world.config / "rules").mkdir()
    before = world.snapshot()
    changes = world.prepare()
    rename = os.rename

    def refuse(source, target, **places):
        if source == target == "new.yml":
            raise PermissionError(errno.EPERM, "Operation not permitted", target)
        return rename(source, target, **places)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(PermissionError):
        world.state.switch(changes, {}, False)
    assert world.snapshot() == before
    assert not world.state.needs_recovery()


def test_old_rollback_is_gone_before_its_copies_are(world, monkeypatch):
    """Else a lost record would make the next run put half of the last but one generation back."""
    (world.config / "rules").mkdir()
    first = world.snapshot()
    for call in range(1, 80):
        world.switch()
        world.prove()
        second = world.snapshot()
        changes = world.prepare()
        finished = in_a_child_that_dies(partial(world.state.switch, changes, {}, False), call, monkeypatch)
        assert not finished
        begun = os.path.exists(world.state.undo)
        os.unlink(os.path.join(world.state.directory, "proven.json"))
        world.state.recover()
        assert world.snapshot() in (first, second)
        if begun:
            break
        if world.snapshot() == second:
            world.prove()
            # Back to the first generation, for the next moment to die at.
            world.state.switch(world.prepare_first(), {}, False)
            world.prove()
            assert world.snapshot() == first
    assert begun


# Disks


def test_full_disk_while_staging_changes_nothing_and_names_the_path(world, monkeypatch):
    before = world.snapshot()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError, match=r"no space left for .*/staged/files/a\.yml"):
        world.state.stage({"a.yml": World.file("a")}, {})
    monkeypatch.undo()
    assert world.state.staged_plan() is None
    assert not os.path.exists(world.state.staged)
    assert world.snapshot() == before


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,mode=0755", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_really_full_disk_in_the_middle_of_a_switch(small_disk):
    world = World(small_disk / "world")
    (world.config / "rules").mkdir()
    before = world.snapshot()
    changes = world.prepare()
    with open(small_disk / "ballast", "wb", buffering=0) as ballast, pytest.raises(OSError, match="No space"):
        while True:
            ballast.write(b"x" * 4096)
    with pytest.raises((HostError, OSError), match=r"(?i)no space left"):
        world.state.switch(changes, {}, False)
    assert world.snapshot() == before
    os.unlink(small_disk / "ballast")
    world.state.recover()
    assert world.snapshot() == before
    world.switch()
    assert (world.config / "change.yml").read_text() == "new"


def test_unit_on_another_file_system_is_copied_beside_its_place_first(small_disk, tmp_path, monkeypatch):
    world = World(tmp_path / "world")
    shutil.rmtree(world.units)
    (small_disk / "units").mkdir()
    world.units.symlink_to(small_disk / "units")
    write_atomically(str(world.units / "x.service"), b"old unit", 0o644)
    seen = []
    copyfileobj = shutil.copyfileobj

    def watched(reader, writer):
        copyfileobj(reader, writer)
        writer.flush()
        seen.append(stat.S_IMODE(os.fstat(writer.fileno()).st_mode))

    monkeypatch.setattr(shutil, "copyfileobj", watched)
    world.switch()
    assert (world.units / "x.service").read_text() == "new unit"
    assert stat.S_IMODE((world.units / "x.service").stat().st_mode) == 0o644
    assert os.listdir(world.units) == ["x.service"]
    assert set(seen) == {0o600}, "a copy that may hold a secret is nobody else's before it has its mode"
    world.state.roll_back()
    assert (world.units / "x.service").read_text() == "old unit"
    assert os.listdir(world.units) == ["x.service"]


def test_switch_over_a_directory_is_refused_before_anything_changes(world):
    (world.config / "way").mkdir()
    before = world.snapshot()
    with pytest.raises(HostError, match="way is a directory, and a file has to stand there"):
        world.state.switch([Change(str(world.config / "way"), "file", "/dev/null")], {}, False)
    assert world.snapshot() == before
    assert not world.state.needs_recovery()


# Two at once


def test_second_run_waits_for_the_first(tmp_path):
    moments = multiprocessing.SimpleQueue()

    def first():
        with _host.one_run_at_a_time(str(tmp_path)):
            moments.put("first in")
            time.sleep(0.4)
            moments.put("first out")

    process = multiprocessing.get_context("fork").Process(target=first)
    process.start()
    assert moments.get() == "first in"
    with _host.one_run_at_a_time(str(tmp_path)):
        assert not moments.empty()
        assert moments.get() == "first out"
    process.join()


def test_second_run_gives_up_with_a_reason(tmp_path):
    impatient = _host.one_run_at_a_time(str(tmp_path), patience=0.2)
    with (
        _host.one_run_at_a_time(str(tmp_path)),
        pytest.raises(HostError, match="another run has been changing"),
        impatient,
    ):
        pass
    with _host.one_run_at_a_time(str(tmp_path), patience=0.2):
        pass


def test_first_deployments_and_removals_at_once_wait_for_each_other(tmp_path):
    target = tmp_path / "etc" / "x"
    with _host.one_run_at_a_time(str(target)):
        for change in (lambda: target.mkdir(parents=True), target.rmdir):
            change()
            with pytest.raises(HostError), _host.one_run_at_a_time(str(target) + "/", patience=0.2):
                pass


def test_nobody_else_can_hold_a_lock(tmp_path):
    """Whoever can read a directory can lock it: with the lock there, the account of a service held up every run."""
    tmp_path.chmod(0o755)
    theirs = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(theirs, fcntl.LOCK_EX)
    with _host.one_run_at_a_time(str(tmp_path), patience=0.2):
        pass
    os.close(theirs)
    assert stat.S_IMODE(os.stat(_host.LOCKS).st_mode) == 0o700


def test_place_of_the_locks_that_somebody_else_made_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_host, "LOCKS", str(tmp_path / "locks"))
    (tmp_path / "locks").mkdir()
    os.chown(tmp_path / "locks", 9, 9)
    with pytest.raises(HostError, match="can be changed by the account"), _host.one_run_at_a_time("/etc/x"):
        pass


def test_lock_of_a_killed_run_does_not_stay(tmp_path):
    child = os.fork()
    if child == 0:
        with _host.one_run_at_a_time(str(tmp_path)):
            os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    with _host.one_run_at_a_time(str(tmp_path), patience=0.2):
        pass


def test_start_hook_has_to_wait_while_a_switch_is_under_way(world, monkeypatch):
    """A service that restarts by itself in the middle of a switch must not undo it under the run's feet."""
    tried = []
    original = _host._make

    def make(change):
        tried.append(subprocess.run(["flock", "-n", world.state.directory, "true"], check=False).returncode)
        original(change)

    monkeypatch.setattr(_host, "_make", make)
    world.switch()
    assert set(tried) == {1}
    assert subprocess.run(["flock", "-n", world.state.directory, "true"], check=False).returncode == 0


# Single files


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_files_and_directories_do_not_depend_on_the_umask(tmp_path, umask):
    old = os.umask(umask)
    try:
        write_atomically(str(tmp_path / "f"), b"x", 0o640, 0, 9)
        _host.ensure_directory(str(tmp_path / "a/b"), 0o750, 0, 9)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o750
    assert (tmp_path / "a/b").stat().st_gid == 9


def test_existing_directory_keeps_its_mode(tmp_path):
    (tmp_path / "a").mkdir(mode=0o700)
    _host.ensure_directory(str(tmp_path / "a"), 0o755)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_write_replaces_a_link_and_not_what_it_points_to(tmp_path):
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "f").symlink_to("theirs")
    write_atomically(str(tmp_path / "f"), b"ours", 0o644)
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert (tmp_path / "f").read_text() == "ours"


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_failed_write_leaves_the_old_file_and_no_scrap(tmp_path, monkeypatch, error):
    (tmp_path / "f").write_text("old")

    def fail(descriptor):
        raise OSError(error, "no")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(HostError, match="no space left for"):
        write_atomically(str(tmp_path / "f"), b"new", 0o644)
    assert (tmp_path / "f").read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("content", [None, b"", b'{"a": ', b"\xff"])
def test_own_record_that_is_missing_or_cut_short_is_as_good_as_none(tmp_path, content):
    path = tmp_path / "r.json"
    if content is not None:
        path.write_bytes(content)
    assert _host.read_json(str(path), {"default": 1}) == {"default": 1}


def test_state_is_open_to_root_alone(world):
    world.switch()
    assert stat.S_IMODE(os.stat(world.state.directory).st_mode) == 0o700
    for parent, directories, files in os.walk(world.state.directory):
        for name in directories + files:
            path = os.path.join(parent, name)
            assert os.path.islink(path) or os.lstat(path).st_mode & 0o022 == 0


def test_manifest_of_a_service_that_was_never_deployed(tmp_path):
    assert State(str(tmp_path)).manifest()["generation"] is None
    assert State(str(tmp_path)).verified() == {}
    assert State(str(tmp_path)).staged_plan() is None
    assert State(str(tmp_path)).needs_recovery() is False


def test_amended_manifest_keeps_its_generation(world):
    generation = world.state.manifest()["generation"]
    world.state.amend_manifest({"files": {"other": ""}})
    manifest = json.loads((world.config / ".vigil/manifest.json").read_text())
    assert manifest == {"files": {"other": ""}, "generation": generation}


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (["sh", "-c", "echo out; echo err >&2; exit 3"], 3, "out\nerr\n"),
        (["sh", "-c", "echo $LC_ALL"], 0, "C\n"),
        (["cat"], 0, ""),
        (["printf", "\\377"], 0, "\ufffd"),
        (["/no/such/program"], 127, "No such file"),
        (["sleep", "5"], 124, "sleep did not finish within 0.2 s"),
    ],
)
def test_run(argv, status, said):
    found, output = _host.run(argv, timeout=0.2 if argv[0] == "sleep" else 20)
    assert found == status
    assert said in output


def test_run_of_a_file_that_cannot_be_executed(tmp_path):
    (tmp_path / "program").write_text("text")
    assert _host.run([str(tmp_path / "program")])[0] == 126


def test_restore_context_without_selinux_runs_nothing(monkeypatch):
    monkeypatch.setattr(_host, "run", lambda argv: pytest.fail("ran"))
    monkeypatch.setattr(_host, "os", SimpleNamespace(path=SimpleNamespace(exists=lambda path: False)))
    _host.restore_context(["/etc/x"])


def entry(message, **more):
    return json.dumps({"MESSAGE": message, **more})


def test_the_words_of_a_process_that_was_ended_tell_nothing_about_the_one_after_it():
    journal = "\n".join(
        [
            entry("See you next time!", _SYSTEMD_INVOCATION_ID="old"),
            entry("Stopped prometheus.service.", INVOCATION_ID="old"),
            entry("level=error msg=new", _SYSTEMD_INVOCATION_ID="new"),
            entry(list(b"caf\xe9"), _SYSTEMD_INVOCATION_ID="new"),
            entry("Failed with result 'exit-code'.", INVOCATION_ID="new"),
            "no JSON",
        ]
    )
    new = ["level=error msg=new", "caf\ufffd", "Failed with result 'exit-code'."]
    assert since_start(journal, "old") == new
    assert since_start(journal, None) == ["See you next time!", "Stopped prometheus.service.", *new]
    # Where the new one has said nothing, the end of the old one is all there is.
    assert since_start(entry("a", INVOCATION_ID="old"), "old") == ["a"]
