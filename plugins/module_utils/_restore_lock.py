# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One restore of a host at a time, and neither a backup nor a rehearsal beside it.

A restore is many tasks of one run of Ansible, between which no process of it is on the host. So a note in memory, which no reboot leaves,
says which run it is and when it was heard of last; a task of it holds a lock besides, for as long as it works.
"""

from __future__ import annotations

import contextlib
import json
import os

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._backup_program import (
    RESTORE_NOTE,
    SILENT,
    boot_time,
    locked_since,
    restore_note,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    ensure_directory,
    lock_path,
    one_run_at_a_time,
    write_atomically,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._snapshots import readable

# What the locks of a restore and of its rehearsal stand for.
LOCK, REHEARSAL = "/var/lib/vigil-restore", "/var/lib/vigil-restore-test"
# A task of a run that was killed may go on for so many seconds.
PATIENCE = 60


def described(note):
    """A restore that is under way, in words.

    :param note: see :func:`_backup_program.restore_note`.
    """
    run = note["run"]
    return "a restore of this host has been running since {0}, by process {1} on {2}".format(
        readable(note["since"]), run["process"], run["controller"]
    )


def advice():
    """What to do about a restore that is under way."""
    return (
        "wait until it has ended. If it was killed, it counts no more {0} minutes after its last task, or as soon as {1} is removed on"
        " the host".format(SILENT // 60, RESTORE_NOTE)
    )


def _locked():
    return one_run_at_a_time(LOCK, PATIENCE, "what a restore changes on this host")


def _write(note):
    ensure_directory(os.path.dirname(RESTORE_NOTE), 0o700)
    write_atomically(RESTORE_NOTE, json.dumps({**note, "seen": boot_time()}).encode("utf-8"), 0o600)


def take(run, gone, now):
    """Begin a restore.

    :param run: which run of Ansible it is: a dict with ``controller`` and ``process`` among others.
    :param gone: the run that is known to have ended, whatever its note says; or None.
    :param now: seconds since the epoch.
    :returns: the note of another restore that is under way; None where there is none.
    """
    with _locked():
        note = restore_note(has_lock=True)
        if note and note["run"] not in (run, gone):
            return note
        _write({"run": run, "since": now})
    return None


@contextlib.contextmanager
def held(run, now):
    """Do a task of a restore.

    :raises HostError: when another one has begun meanwhile.
    """
    with _locked():
        note = restore_note(has_lock=True)
        if note and note["run"] != run:
            raise HostError("{0}; {1}".format(described(note), advice()))
        # None after a reboot, or after a long silence.
        note = note or {"run": run, "since": now}
        _write(note)
        yield
        _write(note)


def release(run):
    """End a restore; whether it was under way."""
    with _locked():
        note = restore_note(has_lock=True)
        if not note or note["run"] != run:
            return False
        _nofollow.unlink(RESTORE_NOTE)
    return True


def beside(state_dir):
    """What is under way that no restore may begin beside: sentences.

    :param state_dir: of the backup.
    """
    found = []
    for path, text in (
        (
            state_dir + "/lock",
            "a backup of this host has been running since {0}: wait until it has ended, or stop vigil-backup.service",
        ),
        (lock_path(REHEARSAL), "a restore has been rehearsed on this host since {0}: wait until that has ended"),
    ):
        since = locked_since(path)
        if since is not None:
            found.append(text.format(readable(since)))
    return found
