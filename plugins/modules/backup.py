#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: backup
short_description: Configure the backup of a host and verify its last run
description:
  - Writes the program of the backup, its configuration and the units of its timer, creates the repository if it was never there, and
    verifies what the last backup says.
  - The action plugin makes the options of the variables of the role P(vigil.monitoring.backup#role), and of the services of the host.
version_added: 0.4.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: full
    description: Says which files would change; does not reach for the repository.
  diff_mode:
    support: full
    description: Shows changed files, without those that hold secrets.
  idempotent:
    support: full
    description: Changes nothing, and sends no request, where files and units are as they should be.
options:
  state:
    description: Whether backups are made.
    type: str
    choices: [present, absent]
    default: present
  now:
    description: Whether to make a backup at once, and to wait for it.
    type: bool
    default: false
  create:
    description: Whether to create a repository that is not there. Let one host after the other do so, as two that create the same one at
      once damage it.
    type: bool
    default: false
  remove_data:
    description: Whether V(absent) removes O(state_dir) as well.
    type: bool
    default: true
  record:
    description: What the host remembers of it, so that it is found and removed without the inventory.
    type: dict
    default: {}
  config:
    description: Configuration of the program.
    type: dict
    default: {}
  password:
    description: Password of the repository.
    type: str
    default: ""
  ssh_key:
    description: Private key for C(sftp:).
    type: str
    default: ""
  ssh_known_hosts:
    description: Lines of C(known_hosts).
    type: str
    default: ""
  secrets:
    description: Texts that no output may show.
    type: list
    elements: str
    default: []
  schedule:
    description: C(OnCalendar) of the timer.
    type: str
    default: daily
  schedule_delay:
    description: C(RandomizedDelaySec) of the timer.
    type: str
    default: "0"
  packages:
    description: Packages that have the programs that are needed.
    type: list
    elements: str
    default: []
  config_dir:
    description: Directory of configuration and secrets.
    type: path
    default: /etc/vigil-backup
  program_dir:
    description: Directory of the program.
    type: path
    default: /opt/vigil/backup
  state_dir:
    description: Directory of the state.
    type: path
    default: /var/lib/vigil-backup
  textfile_dir:
    description: Directory of node_exporter's textfile collector, empty for none.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Make a backup at once
  vigil.monitoring.backup:
    now: true
"""

RETURN = r"""
missing:
  description: Packages that have to be installed before anything else; nothing was changed.
  returned: when programs are missing
  type: list
  elements: str
uncreated:
  description: There is no repository yet. Settings and program were written; nothing is backed up until O(create) has created it.
  returned: when there is no repository, without O(create)
  type: bool
removed:
  description: Paths that were removed, or would be.
  returned: with O(state=absent)
  type: list
  elements: str
kept:
  description: Paths that are kept.
  returned: with O(state=absent)
  type: list
  elements: str
last:
  description: What the last run means - V(ok), V(running), V(none) or V(failed).
  returned: success
  type: str
status:
  description: What the last run reported, such as C(snapshot), C(size), C(last_success) and C(last_check).
  returned: success
  type: dict
"""

import json
import os
import time

from ansible_collections.vigil.monitoring.plugins.module_utils import _backup, _backup_program, _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._backup_program import BackupError, Restic
from ansible_collections.vigil.monitoring.plugins.module_utils._deployed import Records
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    ensure_directory,
    last_words,
    read_json,
    read_text,
    run,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._system import HERE

ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "now": {"type": "bool", "default": False},
    "create": {"type": "bool", "default": False},
    "remove_data": {"type": "bool", "default": True},
    "record": {"type": "dict", "default": {}},
    "config": {"type": "dict", "default": {}},
    "password": {"type": "str", "default": "", "no_log": True},
    "ssh_key": {"type": "str", "default": "", "no_log": True},
    "ssh_known_hosts": {"type": "str", "default": ""},
    "secrets": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "schedule": {"type": "str", "default": "daily"},
    "schedule_delay": {"type": "str", "default": "0"},
    "packages": {"type": "list", "elements": "str", "default": []},
    "config_dir": {"type": "path", "default": "/etc/vigil-backup"},
    "program_dir": {"type": "path", "default": "/opt/vigil/backup"},
    "state_dir": {"type": "path", "default": "/var/lib/vigil-backup"},
    "textfile_dir": {"type": "str", "default": ""},
}


class Task:
    """The backup of this host."""

    def __init__(self, module):
        self.module, self.params, self.records = module, module.params, Records(HERE)
        self.status = os.path.join(self.params["state_dir"], "status.json")
        self.known = os.path.join(self.params["state_dir"], "repository.json")

    @property
    def repository(self):
        """Its address."""
        return self.params["config"]["environment"]["RESTIC_REPOSITORY"]

    def run(self):
        """Have it as it should be."""
        if self.params["state"] == "absent":
            self._remove()
        missing = self._missing()
        if missing:
            self.module.exit_json(changed=True, missing=missing, last="none", status={})
        program = _backup_program.__loader__.get_source(_backup_program.__name__)
        wanted = _backup.texts(self.params, program)
        surplus = [path for path in _backup.removable(self.params) if path not in wanted and os.path.lexists(path)]
        changes = {path: _differs(path, *one) for path, one in wanted.items()}
        changes = {path: before for path, before in changes.items() if before is not None}
        diff = [self._diff(path, before, wanted[path][0]) for path, before in changes.items()]
        recorded = not self.params["record"] or self.records.get("backup") == self.params["record"]
        changed = bool(changes or surplus or not recorded or not self._is_scheduled())
        if self.module.check_mode:
            self.module.exit_json(changed=changed or self.params["now"], diff=diff, **self._last())
        calendar = self._check_schedule() if changes else None
        if calendar:
            raise HostError(calendar)
        if changed:
            self._write(wanted, changes, surplus)
        create = self.params["create"]
        if changes or self._known_repository() != self.repository:
            changed = self._have_repository(diff) or changed
        if changed or create:
            self._schedule()
        self._end(changed or create, diff, bool(changes) or create)

    def _missing(self):
        """The packages of programs that are not there."""
        there = _backup.has_programs(self.params["config"]["restic"], self.repository)
        return [] if there else self.params["packages"]

    def _is_scheduled(self):
        timer = _backup.UNIT + ".timer"
        return not any(run(["systemctl", verb, timer])[0] for verb in ("is-enabled", "is-active"))

    def _check_schedule(self):
        for name, verb in (("schedule", "calendar"), ("schedule_delay", "timespan")):
            status, output = run(["systemd-analyze", verb, self.params[name].strip()])
            if status and status != 127:
                return "backup_{0} is {1!r}, which systemd does not understand: {2}".format(
                    name, self.params[name], output.strip().splitlines()[-1]
                )
        return None

    def _diff(self, path, before, after):
        if _backup.is_secret(path):
            return {"before_header": path, "after_header": path, "before": "(secret)\n", "after": "(another secret)\n"}
        return {"before_header": path, "after_header": path, "before": before, "after": after}

    def _write(self, wanted, changes, surplus):
        params = self.params
        for folder, mode in (
            (params["config_dir"], 0o700),
            (params["state_dir"], 0o700),
            (params["program_dir"], 0o755),
        ):
            ensure_directory(folder, mode)
            _nofollow.must_be_roots(folder, "runs or reads there what backs up all data of the host")
        self.records.keep(params["record"])
        for path in changes:
            text, mode = wanted[path]
            _nofollow.write_atomically(path, text.encode("utf-8"), mode, 0, 0)
        for path in surplus:
            _nofollow.unlink(path)
        repository = self.repository
        if repository.startswith("/") and not os.path.isdir(os.path.dirname(repository.rstrip("/"))):
            raise HostError(
                "backup_repository is {0}, and {1} does not exist: is it not mounted?".format(
                    repository, os.path.dirname(repository.rstrip("/"))
                )
            )

    def _known_repository(self):
        """The repository that was reached before; None for none."""
        return read_json(self.known, {}).get("repository")

    def _have_repository(self, diff):
        """Create the repository if it was never there; whether it was created.

        :raises BackupError: when it cannot be reached, or was there and is gone.
        """
        repository = self.repository
        restic = Restic(self.params["config"])
        created = False
        if not restic.is_there():
            if self._known_repository() == repository:
                raise BackupError(
                    "the repository that was at backup_repository is gone, with all of its backups. Bring it back; or, to begin a"
                    " new one, remove {0} on the host".format(self.known)
                )
            if not self.params["create"]:
                self.module.exit_json(changed=True, uncreated=True, diff=diff, last="none", status={})
            restic.must("init", timeout=300)
            created = True
        _nofollow.write_atomically(self.known, (json.dumps({"repository": repository}) + "\n").encode("ascii"), 0o600)
        return created

    def _schedule(self):
        for argv in (["daemon-reload"], ["enable", _backup.UNIT + ".timer"], ["restart", _backup.UNIT + ".timer"]):
            status, output = run(["systemctl", *argv])
            if status:
                raise HostError("systemctl {0} failed: {1}".format(" ".join(argv), output.strip()))

    def _last(self):
        status = read_json(self.status, {})
        dummy, active = run(["systemctl", "show", "-P", "ActiveState", _backup.UNIT + ".service"])
        last, words = _backup.verdict(status, active.strip(), time.time())
        return {"last": last, "status": status, "msg": words}

    def _end(self, changed, diff, renewed):
        """Start what has to be made, and say how the last run ended."""
        unit = _backup.UNIT + ".service"
        found = self._last()
        if self.params["now"]:
            since = time.time()
            run(["systemctl", "reset-failed", unit])
            status, dummy = run(["systemctl", "start", unit], timeout=None)
            found = self._last()
            if status:
                log = "" if found["last"] == "failed" else "\nLast log lines:\n" + last_words(unit, since)
                raise HostError(found["msg"] + log)
            changed = True
        elif found["last"] == "none" or (found["last"] == "failed" and renewed):
            # The first one may take long; or what has failed was just corrected.
            run(["systemctl", "reset-failed", unit])
            run(["systemctl", "start", "--no-block", unit])
            found["msg"] += "; one was started"
        elif found["last"] == "failed":
            raise HostError(found["msg"])
        self.module.exit_json(changed=changed, diff=diff, **found)

    def _remove(self):
        """Take timer, program and settings away; the repository stays."""
        state = self.params["state_dir"]
        metrics = os.path.join(self.params["textfile_dir"], "vigil_backup.prom") if self.params["textfile_dir"] else ""
        rehearsed = (
            os.path.join(self.params["textfile_dir"], "vigil_restore_test.prom") if self.params["textfile_dir"] else ""
        )
        paths = [*_backup.removable(self.params), metrics, rehearsed, state if self.params["remove_data"] else ""]
        paths = [path for path in paths if path and os.path.lexists(path)]
        record = self.records.get("backup")
        if paths and not self.module.check_mode:
            run(["systemctl", "disable", "--now", _backup.UNIT + ".timer"])
            run(["systemctl", "stop", _backup.UNIT + ".service"], timeout=300)
            for path in paths:
                _nofollow.remove(path)
            for folder in (self.params["config_dir"], self.params["program_dir"]):
                _nofollow.remove_empty(folder)
            run(["systemctl", "daemon-reload"])
        if not self.module.check_mode:
            self.records.end("backup", self.params["record"])
        kept = [state] if os.path.lexists(state) and state not in paths else []
        ended = bool(record) and not (record.get("removed") and kept)
        self.module.exit_json(changed=bool(paths) or ended, removed=paths, kept=kept, last="none", status={}, diff=[])


def _differs(path, text, mode):
    """The text of a file that is not as it should be, empty where there is none; None where it is."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return ""
    before = read_text(path) or ""
    same = (found.st_mode & 0o7777) == mode and found.st_uid == 0 and before == text
    return None if same else before


def main():
    """Entry point."""
    module = Module(argument_spec=ARGUMENTS, supports_check_mode=True)
    if os.geteuid() != 0:
        module.fail_json(msg="root is needed to back up the data of services; run the play with become: true")
    try:
        Task(module).run()
    except (HostError, BackupError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
