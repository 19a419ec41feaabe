# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd says and what it is told, as text in and values out. Nothing here runs a command."""

from __future__ import annotations

import hashlib
import posixpath
import re
import shlex

# There where systemd runs the host: sd_booted(3).
BOOTED = "/run/systemd/system"
NOT_BOOTED = "this host is not run by systemd; choose another runtime for the service"
# The properties of a unit that a verdict needs; see systemctl(1) and org.freedesktop.systemd1(5).
PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "MainPID",
    "NRestarts",
    "Result",
    "ExecMainStatus",
    "ExecMainCode",
    "UnitFileState",
    "FragmentPath",
    "NeedDaemonReload",
    "InvocationID",
    "IPIngressBytes",
)

# What systemd has read of a unit and its drop-ins, as far as it decides how the service is started. `NeedDaemonReload`
# alone does not tell: it looks at the times of the files, which a restored backup sets back.
DEFINITION = (
    "FragmentPath",
    "DropInPaths",
    *(
        "ExecStartPre",
        "ExecStart",
        "ExecStartPost",
        "ExecReload",
        "ExecStop",
        "Restart",
        "RestartUSec",
        "TimeoutStopUSec",
    ),
    *("Environment", "EnvironmentFiles", "PassEnvironment", "UnsetEnvironment"),
    *("User", "Group", "SupplementaryGroups", "DynamicUser", "UMask", "WorkingDirectory", "RootDirectory", "RootImage"),
    *(
        "LimitNOFILE",
        "LimitNOFILESoft",
        "LimitCORE",
        "LimitMEMLOCK",
        "LimitAS",
        "LimitDATA",
        "LimitFSIZE",
        "LimitSTACK",
    ),
    *(
        "CapabilityBoundingSet",
        "AmbientCapabilities",
        "NoNewPrivileges",
        "PrivateTmp",
        "PrivateDevices",
        "PrivateUsers",
    ),
    *(
        "PrivateNetwork",
        "PrivateMounts",
        "ProtectSystem",
        "ProtectHome",
        "ProtectProc",
        "ProcSubset",
        "ProtectHostname",
    ),
    *("ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock"),
    *("ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem"),
    *("IPAddressAllow", "IPAddressDeny", "IPAccounting"),
    *("MemoryDenyWriteExecute", "RestrictAddressFamilies", "RestrictNamespaces", "SystemCallFilter", "DeviceAllow"),
)

# What of a drop-in decides what a service runs, also where our unit says nothing of it.
_STARTS = re.compile(
    r"Exec\w+|.*Environment|EnvironmentFile|User|Group|SupplementaryGroups|DynamicUser|RootDirectory|RootImage|Limit\w+"
    r"|WorkingDirectory|PrivateNetwork|.*Capabilit\w+|SystemCall\w+|.*UsersNamespacePath|NetworkNamespacePath|Type"
)
# These grow with each line; only an empty one takes away what was there.
_GROWING = ("ExecStartPre", "ExecStartPost", "ReadWritePaths", "ReadOnlyPaths", "BindPaths", "BindReadOnlyPaths")
_GROWING += ("InaccessiblePaths", "TemporaryFileSystem")

# The variable in a process's environment that names the unit text which it was started with. Unlike a time stamp it
# does not depend on the clock, and unlike a comparison of arguments it covers limits, hardening and environment too.
FINGERPRINT_VARIABLE = "VIGIL_UNIT"

UNIT_DIRECTORY = "/etc/systemd/system"
# Where packages have their units, in a folder of systemd's.
VENDORS = ("/usr/local/lib", "/usr/lib", "/lib")


def unit_path(name, directory=UNIT_DIRECTORY):
    """Where the unit of a service lies, which is named without its suffix."""
    return posixpath.join(directory, name + ".service")


def dropin_path(name, directory=UNIT_DIRECTORY):
    """Where the user's own lines for the unit of a service lie."""
    return posixpath.join(directory, name + ".service.d", "50-vigil.conf")


def parse_show(text):
    """The properties printed by ``systemctl show`` as a dict of strings.

    :param text: lines of ``Name=value``; a value may hold further equals signs.
    """
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def definition(seen):
    """Sixteen hexadecimal digits that stand for what systemd has read of a unit.

    :param seen: its properties, those of :data:`DEFINITION` among them.
    """
    # Behind these stand the times and the outcome of the last start.
    known = [re.sub(r" ; start_time=.*?(?= \}|$)", "", seen.get(name, "")) for name in DEFINITION]
    return hashlib.sha256("\0".join(known).encode("utf-8")).hexdigest()[:16]


def dropin_directories(name, directory=UNIT_DIRECTORY):
    """Where drop-ins for a service may lie, those first whose files win over others of the same name; see systemd.unit(5).

    Those for all services of a host are its owner's policy: containers of LXC cannot do without.

    :param directory: that of the units that an administrator wrote.
    """
    places = [*ahead_of(directory), directory, "/run/systemd/system"]
    places += [vendor + "/systemd/system" for vendor in VENDORS]
    parts = name.split("-")
    shorter = ["-".join(parts[:count]) + "-" for count in range(len(parts) - 1, 0, -1)]
    folders = ["{0}.service.d".format(one) for one in [name, *shorter]]
    return [posixpath.join(place, folder) for folder in folders for place in places]


def ahead_of(directory=UNIT_DIRECTORY):
    """The directories whose units win over those of an administrator."""
    control = posixpath.join(posixpath.dirname(directory), "system.control")
    return [control, "/run/systemd/system.control", "/run/systemd/transient"]


def settings_of(text):
    """The lines of ``[Service]`` in a unit or drop-in, as pairs of directive and value in their order."""
    section, found = None, []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and line[0] not in "#;":
            name, dummy, value = line.partition("=")
            found.append((name.strip(), " ".join(value.split())))
    return found


def overridden(unit, dropin):
    """The directives with which somebody else's drop-in has a service started otherwise than specified; sorted.

    One that adds what our unit says nothing of, such as a weight or a dependency, is the owner's own.

    :param unit: text of our unit, with that of the user's own drop-in after it.
    :param dropin: text of the other one.
    """
    ours = {}
    for name, value in settings_of(unit):
        ours.setdefault(name, []).append(value)
    found = set()
    for name, value in settings_of(dropin):
        if name in _GROWING and value:
            continue
        if (name in ours or _STARTS.fullmatch(name)) and value not in ours.get(name, ()):
            found.add(name)
    return sorted(found)


def is_in_the_way(seen):
    """Whether another unit runs or comes up with the host.

    :param seen: its properties.
    """
    return seen.get("LoadState") == "loaded" and (
        seen["ActiveState"] in ("active", "activating") or seen["UnitFileState"] == "enabled"
    )


def fingerprint(unit, dropin=""):
    """Sixteen hexadecimal digits that stand for a unit and the user's own drop-in to it."""
    return hashlib.sha256("\0".join((unit, dropin)).encode("utf-8")).hexdigest()[:16]


def start_hook(undo_path):
    """The ExecStartPre line that undoes a half-made switch before the service starts.

    A power cut in the middle of a switch leaves the journal behind, and the next boot starts the service before the
    next run could repair it. The hook fails after an undo, because systemd has read the unit that was just put back
    away; ``Restart=on-failure`` then starts the service with the one that belongs to the binary. The lock is the one
    that a switch holds: a service that restarts by itself in the middle of one waits for its end.

    Where others can write to the directory around it, the journal's own might be theirs; so the hook enters it, and carries
    out what lies there only where it is root's alone.
    """
    command = (
        'test ! -e {0} || {{ cd {1} && test -O . && test "$(stat -c %a .)" = 700 && flock -w 30 . /bin/sh ./{2};'
        " exit 1; }}"
    ).format(shlex.quote(undo_path), *map(shlex.quote, posixpath.split(undo_path)))
    # See "Command lines" and "Specifiers" in systemd.service(5) and systemd.unit(5).
    for special, escaped in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        command = command.replace(special, escaped)
    return 'ExecStartPre=+/bin/sh -c "{0}"'.format(command)


# Directives of our units that an older systemd does not know, and says so in the journal each time it reads a unit: name ->
# the first version that does.
DIRECTIVES_SINCE = {"RestartSteps": 254, "RestartMaxDelaySec": 254}


def known_directives(unit, version):
    """A unit without the lines that this host's systemd does not know.

    :param version: that of systemd, as a number; None where it is not known.
    """
    unknown = [name for name, since in DIRECTIVES_SINCE.items() if version is not None and version < since]
    return re.sub(r"(?m)^(?:{0})=.*\n".format("|".join(unknown)), "", unit) if unknown else unit


def systemd_version(shown):
    """The number of a version such as ``252.38-1~deb12u1``, from what ``systemctl show`` prints of it, or None."""
    match = re.search(r"(?m)^Version=\D*(\d+)", shown)
    return int(match.group(1)) if match else None


def complete_unit(unit, dropin, undo_path, nofile_ceiling=None, version=None):
    """The unit as it goes to the disk: with its fingerprint, the start hook, and what the host can grant and knows.

    :param unit: text of the unit, with a ``[Service]`` section.
    :param dropin: text of the user's drop-in, or an empty string.
    :param undo_path: the journal of a running switch.
    :param nofile_ceiling: the highest ``LimitNOFILE`` that this host's systemd can set, or None for no ceiling.
    :param version: that of the host's systemd, as a number, or None.
    :raises ValueError: when the unit has no ``[Service]`` section.
    """
    unit = known_directives(unit, version)
    section = re.search(r"(?m)^\[Service\][ \t]*\n", unit)
    if not section:
        raise ValueError("the unit has no [Service] section")
    head, tail = unit[: section.end()], unit[section.end() :]

    def clamp(match):
        # One limit, or a soft and a hard one with a colon between them.
        limits = [
            str(nofile_ceiling) if asked == "infinity" or int(asked) > nofile_ceiling else asked
            for asked in match.group(2).split(":")
        ]
        return match.group(1) + ":".join(limits)

    if nofile_ceiling is not None:
        tail = re.sub(r"(?m)^(LimitNOFILE\s*=\s*)((?:\d+|infinity)(?::(?:\d+|infinity))?)[ \t]*$", clamp, tail)
    added = "Environment={0}={1}\n{2}\n".format(
        FINGERPRINT_VARIABLE, fingerprint(head + tail, dropin), start_hook(undo_path)
    )
    return head + added + tail


def unit_fingerprint(unit):
    """The fingerprint that stands in a completed unit, or None."""
    match = re.search(r"(?m)^Environment={0}=([0-9a-f]{{16}})$".format(FINGERPRINT_VARIABLE), unit)
    return match.group(1) if match else None


def nofile_ceiling(limits, status):
    """The highest open-files limit that processes started by PID 1 can be given, or None when there is no ceiling.

    :param limits: text of ``/proc/1/limits``.
    :param status: text of ``/proc/1/status``. With CAP_SYS_RESOURCE (bit 24, capabilities(7)) PID 1 may raise its
        own hard limit, up to the kernel's ``fs.nr_open``; without it (a container) a unit that asks for more dies
        with 205/LIMITS.
    """
    effective = re.search(r"(?m)^CapEff:\s*([0-9a-fA-F]+)", status)
    if effective and int(effective.group(1), 16) >> 24 & 1:
        return None
    hard = re.search(r"(?m)^Max open files\s+\S+\s+(\S+)", limits)
    if not hard or hard.group(1) == "unlimited":
        return None
    return int(hard.group(1))


def ungrantable_limit(dropin, ceiling):
    """That a drop-in asks for more open files than its host can grant, so that the unit would die: a sentence, or None.

    :param ceiling: as :func:`nofile_ceiling` tells.
    """
    asked = re.findall(r"(?m)^[ \t]*LimitNOFILE[ \t]*=[ \t]*(\S+)[ \t]*$", dropin)
    values = asked[-1].split(":") if asked and ceiling is not None else []
    if not any(value == "infinity" or (value.isdigit() and int(value) > ceiling) for value in values):
        return None
    return "the drop-in sets LimitNOFILE={0}, and systemd on this host can grant no more than {1}".format(
        asked[-1], ceiling
    )


def crashed(before, now):
    """Whether the service stopped or was restarted by systemd since ``before``: a reason, or None.

    :param before: properties when the watch began, or None when it is yet to begin.
    :param now: properties as they are.
    """
    if now["ActiveState"] == "failed":
        return "it failed ({0})".format(exit_words(now))
    if now["SubState"] == "auto-restart" or (now["ActiveState"] == "activating" and int(now["NRestarts"]) > 0):
        return "it keeps restarting ({0})".format(exit_words(now))
    if now["ActiveState"] in ("inactive", "deactivating"):
        return "it stopped ({0})".format(exit_words(now))
    if before is not None and (before["NRestarts"], before["MainPID"]) != (now["NRestarts"], now["MainPID"]):
        return "it restarted during verification ({0})".format(exit_words(now))
    return None


def exit_words(properties):
    """How the main process ended, in systemd's words: ``exit-code, status 2``."""
    words = [properties.get("Result", "unknown")]
    status = properties.get("ExecMainStatus", "0")
    if status != "0":
        words.append("status {0}".format(status))
    return ", ".join(words)
