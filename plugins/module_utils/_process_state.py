# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the process of a service is, how it was started, and when its files were last touched.

Needs only the standard library: the module service and the comparison on the host use the same functions.
"""

from __future__ import annotations

import hashlib
import json
import os
import re

# Variables that differ with each start, and those of the language, which no service here looks at.
_VOLATILE = re.compile(
    r"INVOCATION_ID|JOURNAL_STREAM|SYSTEMD_EXEC_PID|MEMORY_PRESSURE_\w+|NOTIFY_SOCKET|WATCHDOG_\w+|MANAGERPID|MAINPID"
    r"|LISTEN_\w+|CREDENTIALS_DIRECTORY|LANG|LANGUAGE|LC_\w+"
)
# Variables of whose values nothing may be kept, not even a digest.
_SECRET = re.compile(r"(?i)pass|secret|token|key|credential|data_source|dsn|auth")
# Limits that follow from the host's memory, so that a host which was given more would restart everything.
_OF_THE_HOST = ("Max processes", "Max pending signals")
_RIGHTS = ("Uid", "Gid", "Groups", "Umask", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
# Where a sandbox shows: what is read-only, hidden, or the process's own.
_MOUNTS = ("/", "/boot", "/dev", "/etc", "/home", "/proc", "/root", "/sys", "/tmp", "/usr", "/var")


def start(read):
    """How a process was started; a part of which the kernel says nothing is empty.

    :param read: function that gives the text of a file of its below ``/proc/PID``, empty where there is none.
    """
    environment = {}
    for word in read("environ").split("\0"):
        name, equals, value = word.partition("=")
        if equals and not _VOLATILE.fullmatch(name):
            environment[name] = "" if _SECRET.search(name) else _digest(value)
    limits = {}
    for line in read("limits").splitlines()[1:]:
        name, *values = re.split(r"\s{2,}", line.strip())
        if name not in _OF_THE_HOST and len(values) > 1:
            limits[name] = values[:2]
    rights = dict(line.split(":", 1) for line in read("status").splitlines() if line.split(":")[0] in _RIGHTS)
    mounts = {}
    for line in read("mountinfo").splitlines():
        words = line.split()
        if len(words) > 5 and words[4] in _MOUNTS and "-" in words:
            kind = words[words.index("-") + 1]
            hidden = re.findall(r"(?:hidepid|subset)=\w+", words[-1])
            mounts[words[4]] = " ".join([words[5].split(",")[0], kind, *hidden])
    return {
        "arguments": read("cmdline").split("\0")[:-1],
        "environment": environment,
        "limits": limits,
        "rights": {name: " ".join(value.split()) for name, value in rights.items()},
        "users": " ".join(read("uid_map").split()),
        "mounts": mounts,
    }


def touched(base, files, watched):
    """What tells that somebody wrote files which the service may have read again since: also one that was put back.

    The moment at which the kernel last saw a file change cannot be set by hand, as that of its content can.

    :param base: the configuration directory.
    :param files: relative paths.
    :param watched: ``files``, what the paths begin with that count; ``directories`` below the base of which the service reads
        whatever lies there.
    """
    found = []
    for path in sorted(files):
        if path.startswith(tuple(watched["files"])):
            found.append((path, _moment(os.path.join(base, path), "st_ctime_ns")))
    for path in watched["directories"]:
        found.append((path, _moment(os.path.join(base, path), "st_mtime_ns")))
    return _digest(json.dumps(found)) if found else ""


def newest(base, files):
    """When the last of some files was written, in seconds since the epoch; 0 where there is none."""
    return max((_moment(os.path.join(base, path), "st_ctime_ns") for path in files), default=0) / 1e9


def _moment(path, name):
    try:
        return getattr(os.lstat(path), name)
    except OSError:
        return 0


def _digest(text):
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def proc(path):
    """Text of a file below ``/proc``, or an empty string when there is none."""
    try:
        with open("/proc/" + path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def executable(pid):
    """Where ``/proc/PID/exe`` points.

    :raises OSError: when the process has ended.
    """
    return os.readlink("/proc/{0}/exe".format(pid))


def process(pid, machine):
    """What the kernel says of a process, its executable and its start; None where there is none of this id.

    :param machine: what has :func:`proc` and :func:`executable`.
    """
    try:
        found = machine.executable(pid)
    except OSError:
        return None
    start_now = start(lambda name: machine.proc("{0}/{1}".format(pid, name)))
    return {"stat": machine.proc("{0}/stat".format(pid)), "executable": found, "start": start_now}


def of_configuration(status, text):
    """What stands for the configuration that a service shows; None where it shows none."""
    return _digest(text) if status == 200 else None
