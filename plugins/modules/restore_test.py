#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: restore_test
short_description: Rehearse the restore of a backup without touching production
description:
  - What the tasks of the playbook C(restore_test.yml) are made of. The action plugin makes the options of the inventory.
  - V(rehearse) restores the newest snapshot of a host into a scratch directory, one service after the other, starts each from the
    program that is deployed, on the loopback and with limited memory and CPU, requests of it what is compared, and removes
    everything again. No notification is sent.
  - V(compare) requests the same of the running services, fails where the restored ones lack something, and writes the metric
    C(monitoring_restore_test_success_timestamp_seconds) and the figures where they do not.
version_added: 0.4.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: none
    description: Is skipped in check mode.
  diff_mode:
    support: none
    description: Data is not shown.
  idempotent:
    support: none
    description: Restores again each time; nothing of it remains.
options:
  step:
    description:
      - V(record) writes the metrics; V(compare) uses it.
    type: str
    choices: [rehearse, compare, record]
    required: true
  found:
    description: With V(compare), what V(rehearse) has returned.
    type: dict
  name:
    description: Name of the backup.
    type: str
  services:
    description: The services that are started, with what their rooms say.
    type: list
    elements: dict
    default: []
  directory:
    description: Where the scratch directory C(vigil-restore-test) is made.
    type: path
    default: /var/lib
  memory:
    description: Bytes of memory that a service gets, such as V(2G).
    type: str
    default: 2G
  cpu:
    description: Percent of a core that a service gets.
    type: int
    default: 100
  timeout:
    description: Seconds until a service has to be ready.
    type: int
    default: 120
  docker_host:
    description: Address of the Docker engine on the host.
    type: str
    default: unix:///var/run/docker.sock
  metrics_file:
    description: With V(record), the file of node_exporter's textfile collector.
    type: path
  snapshot:
    description: With V(record), the C(time) of the snapshot, and its ID as C(short).
    type: dict
  figures:
    description: With V(record), by service its C(size) in bytes, the C(seconds) of its restore, and C(items), lists of what was compared,
      how many were restored, and how many the running service has.
    type: dict
    default: {}
extends_documentation_fragment:
  - vigil.monitoring.repository
seealso:
  - module: vigil.monitoring.backup
"""

EXAMPLES = r"""
- name: Restore into a scratch directory, and start the services there
  vigil.monitoring.restore_test:
    step: rehearse
  register: rehearsed

- name: Compare with the running services
  vigil.monitoring.restore_test:
    step: compare
    found: "{{ rehearsed.found }}"
"""

RETURN = r"""
found:
  description: The C(snapshot), and by service what it has answered, or why it does not run.
  returned: with O(step=rehearse)
  type: dict
words:
  description: What was compared, as sentences.
  returned: with O(step=compare)
  type: list
  elements: str
"""

import os
import re
import shutil
import time

from ansible.module_utils.common.text.formatters import human_to_bytes
from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow, _restore_lock, _snapshots
from ansible_collections.vigil.monitoring.plugins.module_utils._backup_program import (
    BackupError,
    restore_note,
    series_text,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import DEFAULT_HOST
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    ensure_directory,
    one_run_at_a_time,
    write_atomically,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._rehearsal import Rehearsal

ARGUMENTS = {
    "step": {"type": "str", "required": True, "choices": ["rehearse", "compare", "record"]},
    "found": {"type": "dict"},
    "access": {"type": "dict", "options": _snapshots.ACCESS},
    "secrets": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "name": {"type": "str"},
    "services": {"type": "list", "elements": "dict", "default": []},
    "directory": {"type": "path", "default": "/var/lib"},
    "memory": {"type": "str", "default": "2G"},
    "cpu": {"type": "int", "default": 100},
    "timeout": {"type": "int", "default": 120},
    "docker_host": {"type": "str", "default": DEFAULT_HOST},
    "metrics_file": {"type": "path"},
    "snapshot": {"type": "dict"},
    "figures": {"type": "dict", "default": {}},
}
SCRATCH = "vigil-restore-test"
# What a mount of systemd's and of the engine's can be given as it is.
PLAIN = re.compile(r"/[A-Za-z0-9/._-]*")
# The metrics of a rehearsal begin so.
METRICS = "monitoring_restore_test_"


def _rehearse(given):
    access = given["access"]
    if not shutil.which(access["restic"]):
        raise HostError("{0} is not on this host: run site.yml, which installs it".format(access["restic"]))
    try:
        limits = {"memory": human_to_bytes(given["memory"]), "cpu": given["cpu"]}
    except ValueError as error:
        raise HostError("restore_test_memory: {0}".format(error)) from error
    if not PLAIN.fullmatch(given["directory"]) or not os.path.isdir(given["directory"]):
        raise HostError(
            "restore_test_dir is {0!r}: give an existing directory whose path has letters, digits, / . _ and - only".format(
                given["directory"]
            )
        )
    # One for all directories: the units of all runs have the same names. Several backups may be rehearsed on one host.
    with one_run_at_a_time(_restore_lock.REHEARSAL, patience=3600):
        # After the lock is held: a restore that begins at this moment sees that.
        note = restore_note()
        if note:
            raise HostError("{0}; rehearse it once that has ended".format(_restore_lock.described(note)))
        folder = os.path.join(given["directory"], SCRATCH)
        _nofollow.must_be_roots(folder, "restores there all data of the host")
        ensure_directory(folder, 0o700)
        rehearsal = Rehearsal(folder, given["docker_host"], limits, given["timeout"])
        # Of an earlier run that was killed.
        rehearsal.sweep()
        try:
            with _snapshots.Repository(access) as repository:
                return _each(rehearsal, repository, given)
        finally:
            rehearsal.sweep()


def _each(rehearsal, repository, given):
    snapshot = _snapshots.choose(repository.snapshots(), _snapshots.LATEST, given["name"], time.time())
    manifest = repository.manifest(snapshot)
    sizes, found = repository.sizes(snapshot, manifest), {}
    for wanted in given["services"]:
        name = wanted["service"]
        try:
            if name not in manifest:
                raise BackupError("the snapshot does not have it")
            found[name] = rehearsal.rehearse(repository, snapshot.id, sizes[name], manifest[name], wanted)
        except (HostError, BackupError, OSError) as error:
            found[name] = {"problem": str(error)}
    return {
        "changed": False,
        "found": {
            "snapshot": {
                "described": _snapshots.described(snapshot),
                "short": snapshot.short,
                "time": snapshot.time,
            },
            "services": found,
        },
    }


def metrics_text(name, now, snapshot, figures):
    """All metrics of a rehearsal that has found nothing missing.

    :param name: of the backup.
    :param snapshot: ``short``, the beginning of its ID, and ``time``.
    :param figures: service -> ``size``, ``seconds`` and ``items``, lists of what was compared, how many of it were restored, and how many
        the running service has.
    """
    backup = {"backup": name}
    of = {service: {**backup, "service": service} for service in sorted(figures)}
    items = [
        ({**of[service], "what": what, "of": whose}, number)
        for service in of
        for what, *both in figures[service]["items"]
        for whose, number in zip(("restored", "running"), both)
    ]
    taken = [({**backup, "snapshot": snapshot["short"]}, snapshot["time"])] if snapshot else []
    return "".join(
        series_text(METRICS + metric, text, series)
        for metric, text, series in (
            (
                "success_timestamp_seconds",
                "When a restore of the backup was last rehearsed without a finding.",
                [(backup, int(now))],
            ),
            ("snapshot_timestamp_seconds", "When the snapshot was made that was rehearsed last.", taken),
            ("size_bytes", "Size of what was restored.", [(of[one], figures[one]["size"]) for one in of]),
            ("duration_seconds", "How long the restore took.", [(of[one], figures[one]["seconds"]) for one in of]),
            ("items", "What was compared: of the restored service, and of the running one.", items),
        )
        if series
    )


def _record(given):
    path = given["metrics_file"]
    if not os.path.isdir(os.path.dirname(path)):
        return {"changed": False}
    text = metrics_text(given["name"], time.time(), given["snapshot"] or {}, given["figures"])
    write_atomically(path, text.encode("utf-8"), 0o644)
    return {"changed": True}


def main():
    """Entry point."""
    module = Module(
        argument_spec=ARGUMENTS,
        supports_check_mode=False,
        required_if=[
            ("step", "rehearse", ("access", "name")),
            ("step", "record", ("metrics_file", "name")),
        ],
    )
    if module.params["step"] == "compare":
        module.fail_json(msg="this step runs on the controller and needs its action plugin")
    if os.geteuid() != 0:
        module.fail_json(msg="root is needed to restore data; run the play with become: true")
    try:
        module.exit_json(**(_rehearse if module.params["step"] == "rehearse" else _record)(module.params))
    except (HostError, BackupError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
