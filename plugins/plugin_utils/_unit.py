# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd units as text: quoting, and the hardening that all services share.

The rules of quoting are those of systemd.service(5), "Command lines", and systemd.unit(5), "Specifiers".
"""

from __future__ import annotations

import re

# What every unit gets. A service may loosen it (PROFILES), a host's owner too (<role>_systemd_dropin).
HARDENING = {
    # No way to gain privileges, whatever is executed.
    "NoNewPrivileges": True,
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "RestrictSUIDSGID": True,
    # The file system is read-only but for ReadWritePaths; /home, /root and the temporary directories are out of sight.
    "ProtectSystem": "strict",
    "ProtectHome": True,
    "PrivateTmp": True,
    # What the host mounts later still shows up inside, never the other way round.
    "PrivateMounts": True,
    "PrivateDevices": True,
    "DevicePolicy": "closed",
    "UMask": "0027",
    # A user namespace with nobody in it but the service and root.
    "PrivateUsers": True,
    "PrivateIPC": True,
    "RemoveIPC": True,
    "KeyringMode": "private",
    # The kernel: nothing to tune, load, read or set.
    "ProtectKernelTunables": True,
    "ProtectKernelModules": True,
    "ProtectKernelLogs": True,
    "ProtectControlGroups": True,
    "ProtectClock": True,
    "ProtectHostname": True,
    "ProtectProc": "invisible",
    "ProcSubset": "pid",
    "LockPersonality": True,
    # Go makes no code at run time.
    "MemoryDenyWriteExecute": True,
    "RestrictRealtime": True,
    "RestrictNamespaces": True,
    # TCP, UDP, the journal's socket, and netlink for the list of interfaces.
    "RestrictAddressFamilies": ["AF_INET AF_INET6 AF_UNIX AF_NETLINK"],
    "SystemCallArchitectures": "native",
    # prlimit64 is how Go asks for the limits; Prometheus panics where it may not. A denied call fails with EPERM
    # instead of killing the service.
    "SystemCallFilter": ["@system-service", "~@privileged @resources", "prlimit64"],
    "SystemCallErrorNumber": "EPERM",
}

# A service that dies comes back for ever, at first after a second, later less often. systemd before 254 does not know
# the last two: there the module leaves them out, and the pause stays at RestartSec.
RESTART = {
    "Restart": "on-failure",
    "RestartSec": "1s",
    "RestartSteps": 5,
    "RestartMaxDelaySec": "30s",
}

# What the hardening puts out of sight: directories, by the directive.
HIDDEN = {"ProtectHome": ("/home", "/root", "/run/user"), "PrivateTmp": ("/tmp", "/var/tmp")}

_SAFE_WORD = re.compile(r"[A-Za-z0-9_@%+=:,./\[\]{}()~^-]+")


def quote_word(word, variables=False):
    """One word of a command line or of a list as systemd reads it back unchanged.

    :param word: the word; other types than str are written as their text.
    :param variables: whether the line has its variables replaced (command lines), so that ``$`` has to be doubled.
    :raises ValueError: when the word holds a line break or another control character but a tab.
    """
    word = str(word)
    if any((ord(character) < 32 and character != "\t") or ord(character) == 127 for character in word):
        raise ValueError("{0!r} holds a control character, which a unit file cannot carry".format(word))
    quoted = word
    if not _SAFE_WORD.fullmatch(word):
        escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
        quoted = '"{0}"'.format(escaped)
    quoted = quoted.replace("%", "%%")
    return quoted.replace("$", "$$") if variables else quoted


def command_line(argv):
    """``ExecStart`` of an argument vector, one argument a line.

    :param argv: list; the first element is the absolute path of the program.
    :raises ValueError: when there is no program, or its path is not absolute or needs quotes.
    """
    if not argv or not re.fullmatch(r"/[A-Za-z0-9_@+=:,./~-]+", str(argv[0])):
        raise ValueError("a unit needs the plain absolute path of its program, found {0!r}".format(argv[:1]))
    return " \\\n  ".join([str(argv[0])] + [quote_word(word, variables=True) for word in argv[1:]])


def _lines(key, value):
    """The lines of one directive; none for a value of None."""
    if value is None:
        return []
    if key == "ExecStart":
        return ["ExecStart=" + command_line(value)]
    if isinstance(value, bool):
        return ["{0}={1}".format(key, "yes" if value else "no")]
    if isinstance(value, (list, tuple)):
        return [line for item in value for line in _lines(key, item)]
    value = str(value)
    if "\n" in value or "\r" in value:
        raise ValueError("{0} holds a line break".format(key))
    return ["{0}={1}".format(key, value)]


def is_below(path, folders):
    """Whether a path is one of some directories or lies in them."""
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def let_through(service, hardening, readable):
    """The directives that let a service see what it is given of the directories that its hardening hides.

    Of a file its directory is let through, so that one which is replaced by a rename is seen; but of one that lies in a
    hidden directory itself, or in somebody's home, nothing else than the file.

    :param service: directives of ``[Service]``, before they are quoted.
    :param hardening: those that the service gets besides.
    :param readable: absolute paths of files that it has to be able to read.
    """
    effective = {**hardening, **service}
    hidden = [folder for name, folders in HIDDEN.items() if effective.get(name) is True for folder in folders]
    named = [
        str(word).rpartition("=")[2] for word in [*service.get("ExecStart", ()), *(service.get("Environment") or ())]
    ]
    written = [path for path in service.get("ReadWritePaths") or () if is_below(path, hidden)]
    read = [path for path in service.get("ReadOnlyPaths") or () if is_below(path, hidden)]
    for path in [*named, *readable]:
        if is_below(path, hidden) and path not in hidden and not is_below(path, [*written, *read]):
            folder = path.rpartition("/")[0]
            alone = folder in hidden or folder.rpartition("/")[0] == "/home"
            read.append(path if alone else folder)
    made = {}
    for name, paths in (("BindPaths", written), ("BindReadOnlyPaths", sorted(set(read)))):
        if paths:
            made[name] = [quote_word(path.replace(":", "\\:")) for path in paths]
    if any(is_below(path, HIDDEN["ProtectHome"]) for path in [*written, *read]):
        made["ProtectHome"] = "tmpfs"
    return made


def unit_text(sections, own):
    """A unit file.

    Paths in ``ReadWritePaths`` and ``ReadOnlyPaths`` and the entries of ``Environment`` are quoted; every other value
    is written as it is given, in systemd's own language.

    :param sections: dict of section name to dict of directives. ``ExecStart`` is an argument vector; a list gives
        one line an element; None leaves a directive out; an empty string resets it. ``Readable`` are files that the
        service has to read, wherever they are.
    :param own: directives in which the service differs from :data:`HARDENING`.
    :raises ValueError: when a value cannot be written.
    """
    service = dict(sections.get("Service") or {})
    hardening = dict(HARDENING, **own)
    service.update(let_through(service, hardening, service.pop("Readable", None) or ()))
    for key in ("ReadWritePaths", "ReadOnlyPaths", "Environment"):
        if service.get(key):
            service[key] = [quote_word(word) for word in service[key]]
    service = dict(RESTART, **service)
    complete = {
        # A service that systemd has given up on would need a person; see RESTART for the pauses.
        "Unit": dict({"StartLimitIntervalSec": 0}, **(sections.get("Unit") or {})),
        "Service": dict(service, **{key: value for key, value in hardening.items() if key not in service}),
        "Install": sections.get("Install") or {"WantedBy": "multi-user.target"},
    }
    text = []
    for name, directives in complete.items():
        lines = [line for key, value in directives.items() for line in _lines(key, value)]
        text.append("[{0}]\n{1}\n".format(name, "\n".join(lines)))
    return "# Written by vigil.monitoring; your own lines belong into a drop-in.\n" + "\n".join(text)
