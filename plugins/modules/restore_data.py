#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: restore_data
short_description: Read a repository of backups, and restore the data of a service from it
description:
  - What the playbook C(restore.yml) does on a host. It is used by M(vigil.monitoring.restore), not by itself.
  - Data is restored into C(.vigil-restore) below the data directory. What was there before is in C(.vigil-before) until the service is
    verified.
version_added: 0.4.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: partial
    description: Can run in check mode without changing anything.
    details: In check mode, V(read) works; the others do nothing.
options:
  step:
    description:
      - V(read) reports which snapshot is meant, what is in it, and what is on the host. V(hold) begins the restore, beside which no other
        one, no backup and no rehearsal begins, and stops the timer of the backup. V(release) starts that again; V(end) ends the restore.
        V(fetch) restores the data of a service beside what is there, V(place) puts that aside and the restored
        data in its place, V(note) returns how far that went, V(undo) brings back what was put aside, and V(finish)
        removes it.
    type: str
    choices: [read, hold, release, end, fetch, place, note, undo, finish]
    required: true
  name:
    description: Name of the host in the backup.
    type: str
  snapshot:
    description: V(latest), the ID of a snapshot, or a time, for the newest snapshot that is not after it; the ID with V(fetch).
    type: str
    default: latest
  services:
    description: With V(read), the services and the data directory of each.
    type: dict
    default: {}
  service:
    description: Name of the service.
    type: str
  data_dir:
    description: Its data directory.
    type: path
  described:
    description: What the manifest of the snapshot says of the service.
    type: dict
    default: {}
  size:
    description: Bytes that are restored.
    type: int
    default: 0
  files:
    description: Files that belong to the data, each as its path in the snapshot and its path on this host.
    type: list
    elements: list
    default: []
  database:
    description: The database of the service on a server, with its C(kind), C(title), the commands C(dump) and C(client), and the
      C(environment) of these.
    type: dict
  databases:
    description: With V(read), the databases of the services, as in O(database).
    type: dict
    default: {}
  run:
    description: Which run of Ansible it is, with its C(controller) and C(process).
    type: dict
  gone:
    description: With V(hold), a run that has ended without saying so.
    type: dict
  state_dir:
    description: With V(read) and V(hold), the directory of the backup's state.
    type: path
extends_documentation_fragment:
  - vigil.monitoring.attributes.step_with_data
  - vigil.monitoring.repository
seealso:
  - module: vigil.monitoring.restore
"""

EXAMPLES = r"""
- name: Report what is on the host of a service that was restored
  vigil.monitoring.restore_data:
    step: note
    service: grafana
    data_dir: /var/lib/grafana
"""

RETURN = r"""
missing:
  description: Whether programs have to be installed before the repository can be read.
  returned: with O(step=read)
  type: bool
snapshot:
  description: The snapshot that is meant, with its C(id), C(described), C(manifest) and C(sizes).
  returned: with O(step=read)
  type: dict
found:
  description: What is there, by service.
  returned: with O(step=read)
  type: dict
space:
  description: Why there is not enough space, a sentence for each file system.
  returned: with O(step=read)
  type: list
  elements: str
replaced:
  description: Files that were replaced since they were restored.
  returned: with O(step=note)
  type: list
  elements: str
was_active:
  description: Whether the service had run before it was restored.
  returned: with O(step=note)
  type: bool
phase:
  description: What an unfinished restore has begun, null for none.
  returned: with O(step=note)
  type: str
under_way:
  description: What is remembered of another restore that is under way, null for none.
  returned: with O(step=read) and O(step=hold)
  type: dict
beside:
  description: What is under way that no restore begins beside, as sentences.
  returned: with O(step=read)
  type: list
  elements: str
"""

import contextlib
import os
import time

from ansible_collections.vigil.monitoring.plugins.module_utils import _backup, _restore_lock, _snapshots
from ansible_collections.vigil.monitoring.plugins.module_utils._backup_program import BackupError, restore_note
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError, run
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._restore import RestoredData, dump_of, space_problems
from ansible_collections.vigil.monitoring.plugins.module_utils._system import HERE

TIMER = _backup.UNIT + ".timer"
UNIT = _backup.UNIT + ".service"
ARGUMENTS = {
    "step": {
        "type": "str",
        "required": True,
        "choices": ["read", "hold", "release", "end", "fetch", "place", "note", "undo", "finish"],
    },
    "access": {"type": "dict", "options": _snapshots.ACCESS},
    "secrets": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "name": {"type": "str"},
    "snapshot": {"type": "str", "default": _snapshots.LATEST},
    "services": {"type": "dict", "default": {}},
    "service": {"type": "str"},
    "data_dir": {"type": "path"},
    "described": {"type": "dict", "default": {}},
    "size": {"type": "int", "default": 0},
    "files": {"type": "list", "elements": "list", "default": []},
    "database": {"type": "dict"},
    "databases": {"type": "dict", "default": {}},
    "run": {"type": "dict"},
    "gone": {"type": "dict"},
    "state_dir": {"type": "path"},
}


def _read(given):
    note = restore_note()
    lock = {
        "under_way": note if note and note["run"] != given["run"] else None,
        "beside": _restore_lock.beside(given["state_dir"]),
    }
    found = {
        name: RestoredData(name, path, HERE, given["databases"].get(name)).inspect()
        for name, path in given["services"].items()
    }
    access = given["access"]
    if not _backup.has_programs(access["restic"], access["environment"]["RESTIC_REPOSITORY"]):
        return {"changed": False, "missing": True, "found": found, **lock}
    with _snapshots.Repository(access) as repository:
        snapshot = _snapshots.choose(repository.snapshots(), given["snapshot"], given["name"], time.time())
        manifest = repository.manifest(snapshot)
        sizes = repository.sizes(snapshot, manifest)
    described = {"id": snapshot.id, "described": _snapshots.described(snapshot), "manifest": manifest, "sizes": sizes}
    needed = {path: sizes.get(name, 0) for name, path in given["services"].items() if name in manifest}
    return {
        "changed": False,
        "missing": False,
        "found": found,
        "snapshot": described,
        "space": space_problems(needed),
        **lock,
    }


def _hold(given):
    other = _restore_lock.take(given["run"], given["gone"], time.time())
    if other:
        return {"changed": False, "under_way": other}
    try:
        # Now that no other one begins.
        beside = _restore_lock.beside(given["state_dir"])
        if beside:
            raise HostError("; ".join(beside))
        return {**_stop_timer(), "under_way": None}
    except BaseException:
        _restore_lock.release(given["run"])
        raise


def _stop_timer():
    if run(["systemctl", "is-enabled", TIMER])[0] and run(["systemctl", "is-active", TIMER])[0]:
        return {"changed": False}
    _must(["disable", "--now", TIMER])
    _must(["stop", UNIT])
    return {"changed": True}


def _release(dummy):
    if run(["systemctl", "cat", TIMER])[0] or not run(["systemctl", "is-enabled", TIMER])[0]:
        return {"changed": False}
    _must(["enable", "--now", TIMER])
    return {"changed": True}


def _end(given):
    return {"changed": _restore_lock.release(given["run"])}


def _must(argv):
    status, output = run(["systemctl", *argv], timeout=600)
    if status:
        raise HostError("systemctl {0} failed: {1}".format(" ".join(argv), output.strip()))


def _of(given):
    return RestoredData(given["service"], given["data_dir"], HERE, given["database"])


def _fetch(given):
    with _snapshots.Repository(given["access"]) as repository:
        _of(given).fetch(repository, given["snapshot"], given["described"], given["size"])
    return {"changed": True}


def _place(given):
    described = given["described"]
    _of(given).replace(described["version"], given["files"], dump_of(described))
    return {"changed": True}


def _note(given):
    data = _of(given)
    note = data.note
    return {
        "changed": False,
        "phase": note.get("phase"),
        "was_active": bool(note.get("was_active")),
        "replaced": data.replaced(),
    }


def _undo(given):
    return {"changed": _of(given).undo()}


def _finish(given):
    return {"changed": _of(given).finish()}


STEPS = {
    "read": _read,
    "hold": _hold,
    "release": _release,
    "end": _end,
    "fetch": _fetch,
    "place": _place,
    "note": _note,
    "undo": _undo,
    "finish": _finish,
}
# The steps that hold the lock of a restore themselves, or need none.
ALONE = ("read", "hold", "end")


def main():
    """Entry point."""
    module = Module(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
        required_if=[
            ("step", "read", ("access", "name", "run", "state_dir")),
            ("step", "hold", ("run", "state_dir")),
            ("step", "fetch", ("access", "service", "data_dir", "run")),
            *(("step", step, ("service", "data_dir", "run")) for step in ("place", "note", "undo", "finish")),
            *(("step", step, ("run",)) for step in ("release", "end")),
        ],
    )
    given = module.params
    if os.geteuid() != 0:
        module.fail_json(msg="root is needed to restore data; run the play with become: true")
    if module.check_mode and given["step"] != "read":
        module.exit_json(changed=False, skipped=True)
    try:
        alone = contextlib.nullcontext() if given["step"] in ALONE else _restore_lock.held(given["run"], time.time())
        with alone:
            found = STEPS[given["step"]](given)
        module.exit_json(**found)
    except (HostError, BackupError, OSError, UnicodeError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
