# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs, against what is on disk. Whether an earlier task said `changed` plays no part in it."""

from __future__ import annotations

import json
import re
from typing import NamedTuple, Optional

_ERROR = re.compile(r"(?i)\b(error|fatal|panic|level=(error|crit)|cannot|can't|unable|denied|no space|refused)\b")


class Running(NamedTuple):
    """The main process of a service.

    :ivar pid: its id.
    :ivar started: ticks since boot, from ``/proc/PID/stat``; with the pid it names the process beyond doubt.
    :ivar executable: where ``/proc/PID/exe`` points.
    :ivar fingerprint: that of the unit text it was started with, or None when it was not started by a unit of ours.
    :ivar start: how it was started, as :func:`_process_state.start` tells.
    """

    pid: int
    started: str
    executable: str
    fingerprint: Optional[str]
    start: Optional[dict] = None


class Decision(NamedTuple):
    """What has to be done and why.

    :ivar action: ``none``, ``start``, ``restart`` or ``reload``.
    :ivar reason: a sentence.
    """

    action: str
    reason: str


AS_ON_DISK = Decision("none", "it runs as configured")


def start_ticks(stat):
    """The 22nd field of ``/proc/PID/stat``, see proc(5). The second one may hold blanks and parentheses."""
    return stat.rpartition(")")[2].split()[19]


def other_start(now, then):
    """In what a process was started otherwise than the service has to be: what it does, in words, or None.

    What a unit says is not enough: it may have been another one for the time of a start.

    :param now: how it was started, as :func:`_process_state.start` tells; of what is empty nothing is known.
    :param then: how it has to be, likewise.
    """
    now, then = now or {}, then or {}
    for part, words in _STARTS.items():
        one, other = now.get(part), then.get(part)
        if one and other and one != other:
            return words(one, other)
    return None


def _other_arguments(now, then):
    more, less = _beyond(now, then), _beyond(then, now)
    if not more and not less:
        return "runs with its arguments in another order than configured"
    return "runs with {0} instead of {1}".format(" ".join(more) or "no such argument", " ".join(less) or "nothing")


def _beyond(words, others):
    return [word for word in words if word not in others]


def _other_environment(now, then):
    names = sorted(name for name in set(now) | set(then) if now.get(name) != then.get(name))
    return "runs with other variables in its environment ({0})".format(", ".join(names))


def _other_values(title, now, then):
    names = sorted(name for name in set(now) | set(then) if now.get(name) != then.get(name))
    shown = ["{0}: {1}, not {2}".format(name, _shown(now.get(name)), _shown(then.get(name))) for name in names]
    return "runs with other {0} ({1})".format(title, "; ".join(shown))


def _shown(value):
    return "/".join(value) if isinstance(value, list) else value or "none"


_STARTS = {
    "arguments": _other_arguments,
    "environment": _other_environment,
    "limits": lambda now, then: _other_values("limits", now, then),
    "rights": lambda now, then: _other_values("rights", now, then),
    "users": lambda now, then: "runs in another user namespace",
    "mounts": lambda now, then: _other_values("file systems in sight", now, then),
}


def is_loaded(verified, same, touched, configuration, started_after):
    """Whether a process is known to have loaded the generation that is on disk.

    :param verified: the record of the last verification.
    :param same: whether that was of this process and of this generation.
    :param touched: as :func:`_process_state.touched` tells.
    :param configuration: what stands for the configuration that the service says it has loaded, or None.
    :param started_after: whether the process began after the last file was written.
    """
    if configuration and verified.get("configuration") not in (None, configuration):
        return False
    return verified.get("touched", touched) == touched if same else started_after


def decide(running, executable, fingerprint, loaded, on_change, start=None):
    """Compare the process with the disk.

    :param running: :class:`Running`, or None when the service does not run.
    :param executable: real path of the binary on disk.
    :param fingerprint: that of the unit on disk.
    :param loaded: whether this process is known to have loaded the configuration that is on disk.
    :param on_change: what makes the service take up a configuration: ``reload``, ``restart``, or None for nothing.
    :param start: how it has to be started, as :func:`_process_state.start` tells; None where that is not known.
    """
    if running is None:
        return Decision("start", "it is not running")
    if running.executable != executable:
        return Decision("restart", "it runs {0} instead of {1}".format(running.executable, executable))
    if running.fingerprint != fingerprint:
        return Decision("restart", "its unit has changed since it was started")
    otherwise = other_start(running.start, start)
    if otherwise:
        return Decision("restart", "it " + otherwise)
    if not loaded and on_change:
        return Decision(on_change, "it has not loaded the configuration on disk")
    return AS_ON_DISK


def unknown_flag(output):
    """The flag that a program does not know, from its complaint, or None."""
    match = re.search(r"unknown (?:long|short) flag '([^']+)'", output)
    return match.group(1) if match else None


def refused_arguments(output):
    """What a program says of arguments that it does not take, or None: kingpin's words, or those of Go's own flags."""
    for line in output.splitlines():
        for pattern in (
            r"\S+: error: (.+?)(?:, try --help)?$",
            r"(invalid (?:boolean )?value .+ for flag .+)$",
            r"(flag provided .+)$",
            r"Error parsing command line arguments: (.+)$",
        ):
            match = re.match(pattern, line.strip())
            if match:
                return match.group(1)
    return None


def about_features(output):
    """What a program says of the features that it was configured to enable, in its own words without time and place.

    :returns: warnings, of names that it does not know or that do nothing, and what it refuses.
    """
    warnings, refusals = [], []
    for line in output.splitlines():
        if "enable-feature" not in line and "feature flag" not in line:
            continue
        level = re.search(r"level=(\w+)", line)
        words = re.search(r"msg=.*", line)
        found = refusals if level and level.group(1).lower() in ("error", "fatal", "crit") else warnings
        if level and level.group(1).lower() != "info":
            found.append(words.group(0) if words else line.strip())
    return warnings, refusals


def listeners(tcp_tables, ports):
    """The sockets that listen on one of the ports.

    :param tcp_tables: texts of ``/proc/net/tcp`` and ``/proc/net/tcp6``.
    :param ports: TCP ports.
    :returns: inode -> port.
    """
    found = {}
    for table in tcp_tables:
        for line in table.splitlines()[1:]:
            fields = line.split()
            # State 0A is TCP_LISTEN; the local address is `hexadecimal address:hexadecimal port`.
            if len(fields) > 9 and fields[3] == "0A":
                port = int(fields[1].rpartition(":")[2], 16)
                if port in ports:
                    found[fields[9]] = port
    return found


def since_start(entries, before):
    """The lines of a unit's journal without those of a run of it before; all of them where there are no others.

    :param entries: the journal as ``journalctl --output=json`` prints it.
    :param before: the invocation that is over, as systemd names it, or nothing.
    """
    lines, later = [], []
    for entry in entries.splitlines():
        try:
            found = json.loads(entry)
        except ValueError:
            continue
        message = found.get("MESSAGE")
        if isinstance(message, list):  # bytes that are no text
            message = bytes(message).decode("utf-8", "replace")
        lines.append(message or "")
        # The unit's own processes have the one, what systemd says about it has the other.
        if not before or before not in (found.get("_SYSTEMD_INVOCATION_ID"), found.get("INVOCATION_ID")):
            later.append(message or "")
    return later or lines


# What a program says of something that it will go on without, and that nobody sees in its metrics.
_COMPLAINT = re.compile(
    r"(?i)\b(deprecated|permanently|no longer supported|not supported|unsupported|obsolete|has no effect|will be removed)\b"
)
COMPLAINTS = 5


def complaints(log):
    """The lines of a log that speak of something which is out of date or will never work, each once, and not many.

    :param log: text without secrets.
    """
    found = {}
    for line in log.splitlines():
        # Without control characters; and without the moment, as the same is said again and again.
        said = re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", line)).strip()
        said = re.sub(r"^(?:(?:time|ts|t)=\S+|\d{4}[-/]\d\d[-/]\d\d[T ]\S+)\s+", "", said)
        if _COMPLAINT.search(said):
            found.setdefault(re.sub(r"\d+", "0", said), said[:300])
    shown = list(found.values())
    left = len(shown) - COMPLAINTS
    return shown[:COMPLAINTS] + (["and {0} more such lines in its log".format(left)] if left > 0 else [])


def telling_lines(lines, limit):
    """The log lines that explain a failure: those that speak of errors, and the last ones, in their order.

    A program that is given a bad value prints its error first and pages of help after it.

    :param lines: log lines, oldest first.
    :param limit: how many to return at the most.
    """
    lines = [line for line in lines if line.strip()]
    errors = [number for number, line in enumerate(lines) if _ERROR.search(line)]
    chosen = set(errors[: limit // 2])
    for number in reversed(range(len(lines))):
        if len(chosen) >= limit:
            break
        chosen.add(number)
    return [lines[number] for number in sorted(chosen)]
