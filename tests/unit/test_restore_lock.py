# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One restore of a host at a time, and neither a backup nor a rehearsal beside it: by processes that hold the locks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _backup_program, _host, _restore_lock
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError

ONE = {"controller": "ctl", "process": 1, "machine": "m", "started": "5"}
OTHER = {**ONE, "process": 2}
NOW = 1795800000.0


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where the note and the locks are."""
    locks = tmp_path / "locks"
    monkeypatch.setattr(_host, "LOCKS", str(locks))
    note, lock = str(locks / "restore.json"), str(locks / "var-lib-vigil-restore.lock")
    monkeypatch.setattr(_restore_lock, "RESTORE_NOTE", note)
    monkeypatch.setattr(_restore_lock, "PATIENCE", 0.3)
    monkeypatch.setattr(_backup_program, "RESTORE_NOTE", note)
    monkeypatch.setattr(_backup_program, "RESTORE_LOCK", lock)
    return tmp_path


def test_the_program_of_the_backup_looks_where_the_lock_is(monkeypatch):
    monkeypatch.undo()
    assert _host.lock_path(_restore_lock.LOCK) == _backup_program.RESTORE_LOCK
    assert os.path.dirname(_backup_program.RESTORE_NOTE) == _host.LOCKS


@contextlib.contextmanager
def process(work):
    """Another process, which does something and then waits to be killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with work():
            os.write(writer, b"x")
            time.sleep(60)
        os._exit(0)
    os.read(reader, 1)
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)


def aged(seconds):
    """Have it been silent for so long."""
    with open(_restore_lock.RESTORE_NOTE, encoding="utf-8") as stream:
        note = json.load(stream)
    with open(_restore_lock.RESTORE_NOTE, "w", encoding="utf-8") as stream:
        json.dump({**note, "seen": note["seen"] - seconds}, stream)


def test_the_second_is_told_of_the_first():
    assert _restore_lock.take(ONE, None, NOW) is None
    note = _restore_lock.take(OTHER, None, NOW + 5)
    assert (note["run"], note["since"]) == (ONE, NOW)
    text = "a restore of this host has been running since 2026-11-27 17:20 UTC, by process 1 on ctl"
    assert _restore_lock.described(note) == text
    with pytest.raises(HostError, match=text + "; wait until it has ended"), _restore_lock.held(OTHER, NOW):
        pytest.fail("it has no lock")
    with _restore_lock.held(ONE, NOW):
        pass
    # Only its own.
    assert not _restore_lock.release(OTHER) and _restore_lock.release(ONE)
    assert _restore_lock.take(OTHER, None, NOW) is None


def test_what_has_ended_without_saying_so_does_not_block():
    """Its process is gone, or it was silent for half an hour; after a reboot there is no note at all."""
    assert _restore_lock.take(ONE, None, NOW) is None
    assert _restore_lock.take(OTHER, ONE, NOW) is None
    with pytest.raises(HostError, match="by process 2 on ctl"), _restore_lock.held(ONE, NOW):
        pytest.fail("another one has begun")
    aged(_backup_program.SILENT - 60)
    assert _restore_lock.take(ONE, None, NOW)["run"] == OTHER
    aged(120)
    assert _restore_lock.take(ONE, None, NOW) is None
    aged(2 * _backup_program.SILENT)
    with _restore_lock.held(ONE, NOW):
        assert _backup_program.restore_note()["run"] == ONE
    os.unlink(_restore_lock.RESTORE_NOTE)
    with _restore_lock.held(ONE, NOW):
        assert _backup_program.restore_note()["since"] == NOW


def test_a_task_that_is_at_work_blocks_however_long_it_takes():
    _restore_lock.take(ONE, None, NOW)
    with process(lambda: _restore_lock.held(ONE, NOW)):
        aged(2 * _backup_program.SILENT)
        assert _backup_program.restore_note()["run"] == ONE
        with pytest.raises(HostError, match="another run has been changing what a restore changes on this host"):
            _restore_lock.take(OTHER, ONE, NOW)
    # It was killed.
    assert _backup_program.restore_note() is None
    assert _restore_lock.take(OTHER, None, NOW) is None


def config(folder):
    return {
        "restic": "/bin/false",
        "options": [],
        "environment": {"RESTIC_REPOSITORY": "/x"},
        "state_dir": str(folder / "state"),
    }


def test_a_backup_and_a_restore_see_each_other(folder):
    backup = _backup_program.Backup(config(folder))
    assert _restore_lock.beside(str(folder / "state")) == []
    with process(backup._alone):
        (said,) = _restore_lock.beside(str(folder / "state"))
        assert "a backup of this host has been running since 20" in said and "or stop vigil-backup.service" in said
    # One that was killed holds nothing.
    assert _restore_lock.beside(str(folder / "state")) == []
    _restore_lock.take(ONE, None, NOW)
    text = "a restore of this host has been running since 2026-11-27 17:20 UTC; it makes a backup"
    with pytest.raises(_backup_program.Busy, match=text), backup._alone():
        pytest.fail("a restore is under way")
    _restore_lock.release(ONE)
    with backup._alone():
        pass


def test_a_restore_sees_a_rehearsal(folder):
    with process(lambda: _host.one_run_at_a_time(_restore_lock.REHEARSAL)):
        (said,) = _restore_lock.beside(str(folder / "state"))
        assert said.startswith("a restore has been rehearsed on this host since 20")
