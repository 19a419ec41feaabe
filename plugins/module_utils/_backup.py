# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup of a host as files and units: what they say, and what its last run means. Values in, texts out."""

from __future__ import annotations

import json
import posixpath
import shutil

from ansible_collections.vigil.monitoring.plugins.module_utils import _backup_program
from ansible_collections.vigil.monitoring.plugins.module_utils._systemd import UNIT_DIRECTORY

UNIT = "vigil-backup"
SERVICE = """# Written by vigil.monitoring: the next run restores what the inventory says.
[Unit]
Description=Backup of the monitoring
Documentation=https://restic.readthedocs.io/
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={command}
SyslogIdentifier={unit}
TimeoutStartSec=infinity
Nice=19
CPUSchedulingPolicy=batch
IOSchedulingClass=idle
UMask=0077
# It reads files of all accounts, and makes hard links of blocks beside them.
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER
NoNewPrivileges=true
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={writable}
PrivateTmp=true
PrivateDevices=true
ProtectClock=true
ProtectControlGroups=true
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
LockPersonality=true
SystemCallArchitectures=native
SystemCallFilter=@system-service
"""
TIMER = """# Written by vigil.monitoring: the next run restores what the inventory says.
[Unit]
Description=Timer of the backup of the monitoring

[Timer]
OnCalendar={schedule}
RandomizedDelaySec={delay}
Persistent=true

[Install]
WantedBy=timers.target
"""


def has_programs(restic: str, repository: str) -> bool:
    """Whether the programs are there by which a repository is reached.

    :param restic: path of restic.
    """
    return all(map(shutil.which, [restic, *(["ssh"] if repository.startswith("sftp:") else [])]))


def program_path(params: dict) -> str:
    """Where the program is."""
    return posixpath.join(params["program_dir"], "backup.py")


def config_path(params: dict) -> str:
    """Where its configuration is."""
    return posixpath.join(params["config_dir"], "backup.json")


def writable(config: dict, repository: str) -> list[str]:
    """The directories that a run writes to."""
    found = [config["state_dir"]]
    if config["textfile"]:
        found.append(posixpath.dirname(config["textfile"]))
    if repository.startswith("/"):
        found.append(repository)
    # Hard links have to be on the file system of what they link to.
    found += [one["data"] for one in config["services"] if any(step["kind"] == "blocks" for step in one["prepare"])]
    return ["-" + path for path in dict.fromkeys(found)]


def texts(params: dict, program: str) -> dict:
    """All files: absolute path to text and mode.

    :param params: options of the module.
    :param program: text of the program.
    """
    config, folder = params["config"], params["config_dir"]
    repository = config["environment"]["RESTIC_REPOSITORY"]
    command = "/usr/bin/python3 -I -B {0} {1}".format(program_path(params), config_path(params))
    paths = " ".join('"{0}"'.format(path) for path in writable(config, repository)).replace("%", "%%")
    found = {
        program_path(params): (program, 0o755),
        config_path(params): (json.dumps(config, indent=1, sort_keys=True) + "\n", 0o400),
        folder + "/password": (params["password"] + "\n", 0o400),
        "{0}/{1}.service".format(UNIT_DIRECTORY, UNIT): (
            SERVICE.format(command=command, unit=UNIT, writable=paths),
            0o644,
        ),
        "{0}/{1}.timer".format(UNIT_DIRECTORY, UNIT): (
            TIMER.format(schedule=params["schedule"].strip(), delay=params["schedule_delay"].strip()),
            0o644,
        ),
    }
    if params["ssh_key"]:
        found[folder + "/ssh_key"] = (params["ssh_key"].rstrip("\n") + "\n", 0o400)
    if params["ssh_known_hosts"].strip():
        found[folder + "/known_hosts"] = (params["ssh_known_hosts"].rstrip("\n") + "\n", 0o444)
    return found


def removable(params: dict) -> list[str]:
    """All files that may be there."""
    names = ("backup.json", "password", "ssh_key", "known_hosts")
    units = ["{0}/{1}.{2}".format(UNIT_DIRECTORY, UNIT, kind) for kind in ("timer", "service")]
    return [*units, program_path(params), *(posixpath.join(params["config_dir"], name) for name in names)]


def is_secret(path: str) -> bool:
    """Whether the content of a file is shown in no diff."""
    return posixpath.basename(path) in ("password", "ssh_key", "backup.json")


def verdict(status: dict, active: str, now: float) -> tuple[str, str]:
    """What the last run means.

    :param status: what the program remembers.
    :param active: ``ActiveState`` of its unit.
    :returns: ``ok``, ``running``, ``none`` or ``failed``, and a sentence.
    """
    status = _backup_program.settled(status, now)
    if active in ("activating", "active"):
        return "running", "a backup is running"
    if not status.get("last_run"):
        return "none", "no backup was made yet"
    if not status.get("run_success"):
        return "failed", "the last backup failed: {0}".format("; ".join(status.get("errors") or ["no reason is known"]))
    checked = status.get("last_check")
    return "ok", "last backup {0} ago, {1} MiB, snapshot {2}, {3}".format(
        length(now - status["last_success"]),
        int(status.get("size", 0)) >> 20,
        str(status.get("snapshot"))[:8],
        "repository checked {0} ago".format(length(now - checked)) if checked else "repository not checked yet",
    )


def length(seconds: float) -> str:
    """A span of time in words."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return "{0:.0f} {1}".format(seconds // size, unit)
    return "{0:.0f} s".format(max(0, seconds))
