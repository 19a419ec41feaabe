# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host is as asked already, found out by one shell command instead of a module.

A module brings its Python code along and imports Ansible's on the host, which takes several times as long as all that it
then does on a converged host. What is compared here is what the module would compare; whatever is not exactly as asked,
or cannot be read, is left to the module.
"""

from __future__ import annotations

import calendar
import hashlib
import json
import posixpath
import shlex
import time
from pathlib import Path
from types import SimpleNamespace

from ansible_collections.vigil.monitoring.plugins.module_utils import _glance
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import (
    DEFAULT_HOST,
    LABEL_SERVICE,
    health_problems,
    image_problem,
    label,
    limits,
    names_of,
    policy_of,
    trouble,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._probe import (
    judge,
    lost_dependency,
    telling_metrics,
    words,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._process import AS_ON_DISK, start_ticks
from ansible_collections.vigil.monitoring.plugins.module_utils._release import (
    ReleaseError,
    architecture,
    given_digest,
    matches,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_systemd import Systemd
from ansible_collections.vigil.monitoring.plugins.module_utils._services import SERVICES
from ansible_collections.vigil.monitoring.plugins.module_utils._systemd import is_in_the_way, parse_show
from ansible_collections.vigil.monitoring.plugins.module_utils._tree import inner_directories, validators_of

MARK = "--- vigil ---"
# A command is one argument of the shell, which Linux limits to 128 KiB.
LONGEST = 100_000


def answer(action, command):
    """What a command prints on the host of an action plugin, or None where it is too long or fails."""
    if len(command) > LONGEST:
        return None
    result = action._low_level_execute_command(command)
    return result["stdout"] if result["rc"] == 0 else None


def python_of(variables):
    """Python on the host: the one that the inventory names, else the first one there."""
    named = str((variables or {}).get("ansible_python_interpreter") or "")
    return named if named.startswith("/") else "python3"


def _script(*commands):
    """One command out of several, with a mark before the output of each; what they complain about is left out."""
    steps = ["echo '{0}'; {1}".format(MARK, command) for command in commands]
    return "{{ LC_ALL=C; export LC_ALL; {0}; echo '{1}'; }} 2>/dev/null".format("; ".join(steps), MARK)


def _sections(output):
    """The output of each command of :func:`_script`, without the ends of line around it."""
    return [section.strip("\r\n") for section in output.split(MARK)[1:-1]]


def _of(tool, paths):
    return "{0} -- {1}".format(tool, " ".join(map(shlex.quote, paths))) if paths else ":"


class Release:
    """A release of an archive, unpacked and untouched.

    :param members: the binaries' names inside the release.
    """

    def __init__(self, program, version, releases_dir, members):
        self.program = program
        self.version = version
        self.releases_dir = releases_dir
        self.members = members
        self.path = posixpath.join(releases_dir, "{0}-{1}".format(program, version))

    def command(self):
        """What to run on the host."""
        members = [posixpath.join(self.path, member) for member in self.members]
        return _script(
            "uname -m",
            _of("ls -A", [self.releases_dir]),
            _of("cat", [posixpath.join(self.path, ".release.json")]),
            _of("stat -c '%F|%s|%.9Y|%a'", members),
        )

    def arch(self, output, checksum, role):
        """The architecture of the host, when the release is there; else None.

        :param checksum: the archive's checksum as the user gave it, or None.
        """
        try:
            machine, names, known, lines = _sections(output)
            arch = architecture(machine)
            if any(name.startswith(".{0}-".format(self.program)) for name in names.splitlines()):
                return None  # left there by a killed run, and to be tidied up
            statuses = dict(zip(self.members, map(_status, lines.splitlines())))
            complete = len(statuses) == len(self.members)
            digest = given_digest(checksum, arch, role)
            return arch if complete and matches(json.loads(known), self.version, arch, digest, statuses) else None
        except (ValueError, ReleaseError):
            return None

    def arch_to_fetch(self, output):
        """The architecture of a host on which nothing of this version stands, nor in its way; else None."""
        try:
            machine, names, *dummy = _sections(output)
            arch = architecture(machine)
        except (ValueError, ReleaseError):
            return None
        leftover = ".{0}-".format(self.program)
        taken = posixpath.basename(self.path)
        return None if any(name == taken or name.startswith(leftover) for name in names.splitlines()) else arch


def _status(line):
    kind, size, modified, mode = line.split("|")
    if not kind.startswith("regular"):
        return None
    return SimpleNamespace(st_size=int(size), st_mtime_ns=int(modified.replace(".", "")), st_mode=int(mode, 8))


class Image:
    """An image that the container of a service runs already.

    :param name: name of the container.
    :param reference: name of the image.
    :param host: address of the engine.
    """

    def __init__(self, name, reference, host):
        self.name = name
        self.reference = reference
        self.host = host

    def command(self):
        """What to run on the host."""
        inspect = "docker -H {0} {1} inspect --format '{{{{json .}}}}' {2}"
        return _script(
            inspect.format(shlex.quote(self.host), "image", shlex.quote(self.reference)),
            inspect.format(shlex.quote(self.host), "container", shlex.quote(self.name)),
        )

    def known(self, output):
        """What the engine knows about the image, when it is the one asked for and runs; else None."""
        try:
            image, container = map(json.loads, _sections(output))
        except ValueError:
            return None
        runs = container["Image"] == image["Id"] and label(container, LABEL_SERVICE) == self.name
        return image if runs and not image_problem(self.reference, image) else None


class Containers:
    """The containers of services, for their own words in the proof.

    :param wanted: name of the container -> name of the image that was asked for.
    :param host: address of the engine.
    """

    def __init__(self, wanted, host):
        self.wanted = wanted
        self.host = host

    def command(self):
        """What to run on the host."""
        docker = "docker -H {0}".format(shlex.quote(self.host))
        names = " ".join(map(shlex.quote, self.wanted))
        inspect = "{0} container inspect --format".format(docker)
        return _script(
            "date +%s",
            "{0} '{{{{json .}}}}' {1}".format(inspect, names),
            "{0} image inspect --format '{{{{json .}}}}' $({1} '{{{{.Image}}}}' {2})".format(docker, inspect, names),
        )

    def problems(self, output):
        """Name of the container -> what speaks against it; None where the engine did not answer."""
        try:
            now, containers, images = _sections(output)
            found = {one["Name"].lstrip("/"): one for one in map(json.loads, containers.splitlines())}
            known = {one["Id"]: one for one in map(json.loads, images.splitlines())}
            ages = {name: int(now) - _epoch(one["State"]["StartedAt"]) for name, one in found.items()}
        except ValueError:
            return None
        if not found:
            return None
        return {
            name: health_problems(found.get(name), known, reference, ages.get(name))
            for name, reference in self.wanted.items()
        }


def _epoch(timestamp):
    """Seconds since the epoch of a time of the engine's, ``2026-11-25T22:13:14.516346015Z``."""
    return calendar.timegm(time.strptime(timestamp[:19], "%Y-%m-%dT%H:%M:%S"))


class Tree:
    """A configuration tree that is complete, proven, and ours.

    :param path: the configuration directory.
    :param files: list of dicts with ``path``, ``content``, ``mode`` (int) and ``secret``.
    :param directories: list of dicts with ``path``, ``owner``, ``group`` and ``mode`` (octal text).
    :param validators: the programs that check the tree.
    :param image: id of the image that they belong to, or None for the host's own.
    """

    def __init__(self, path, user, group, files, directories, validators, image=None):
        self.path = path.rstrip("/")
        self.image = image
        self.user = user
        self.files = files
        self.validators = validators
        inner = [
            posixpath.join(self.path, found).rstrip("/") for found in inner_directories([f["path"] for f in files])
        ]
        # Everything that has to be there: path -> kind, mode, owner, group.
        self.wanted = {
            posixpath.join(self.path, entry["path"]): ("regular file", entry["mode"], "root", group) for entry in files
        }
        self.wanted.update((found, ("directory", 0o750, "root", group)) for found in inner)
        for entry in directories:
            mode = int(str(entry.get("mode", "0750")), 8)
            owner = (entry.get("owner", "root"), entry.get("group", "root"))
            self.wanted[entry["path"].rstrip("/")] = ("directory", mode, *owner)

    def command(self):
        """What to run on the host."""
        state = posixpath.join(self.path, ".vigil")
        return _script(
            _of("ls -A", [state]),
            _of("cat", [posixpath.join(state, "manifest.json")]),
            _of("cat", [posixpath.join(state, "proven.json")]),
            _of("id -u", [self.user]),
            _of("sha256sum", [posixpath.join(self.path, entry["path"]) for entry in self.files]),
            _of("stat -c '%F|%a|%U|%G'", self.wanted),
            _of("readlink -f", () if self.image else self.validators),
        )

    def is_as_asked(self, output):
        """Whether the output says that there is nothing to do."""
        try:
            names, manifest, proven, uid, sums, lines, identity = _sections(output)
            manifest, proven = json.loads(manifest), json.loads(proven)
            found = [
                (kind, int(mode, 8), *owner) for kind, mode, *owner in (line.split("|") for line in lines.splitlines())
            ]
        except ValueError:
            return False
        digests = {entry["path"]: hashlib.sha256(entry["content"].encode("utf-8")).hexdigest() for entry in self.files}
        return (
            uid.isdigit()
            # Neither in the middle of a switch nor with one that was not proven.
            and not {"undo", "staged"} & set(names.splitlines())
            and manifest.get("generation") == proven.get("generation")
            and manifest.get("files") == digests
            and manifest.get("secret") == sorted(entry["path"] for entry in self.files if entry["secret"])
            and manifest.get("validators") == (validators_of(self.image, self.validators) or identity.splitlines())
            and [line.split(" ")[0] for line in sums.splitlines()] == list(digests.values())
            and [(kind.replace("regular empty file", "regular file"), *rest) for kind, *rest in found]
            == list(self.wanted.values())
        )


class Service:
    """A service that runs, as it was proven to for exactly the same options.

    :param options: those of the module daemon.
    :param python: Python on the host.
    """

    def __init__(self, options, python="python3"):
        self.options = options
        self.python = python
        self.name = options["name"]
        self.probe = options["probe"]
        self.contained = options.get("runtime") == "docker"
        self.state = posixpath.join(options["config_dir"].rstrip("/"), ".vigil")
        self.links = options.get("links") or {}
        # Without what may be a password, of which nothing is kept on the host, not even a digest.
        told = {name: value for name, value in options.items() if name not in ("secrets", "reload")}
        text = json.dumps([told, (options.get("reload") or {}).get("paths"), code()], sort_keys=True, default=str)
        self.asked = hashlib.sha256(text.encode("utf-8")).hexdigest()

    def can_tell(self):
        """Whether a look can be enough: not where a password, a certificate or a device of the host has its part in it."""
        probe = self.probe
        protected = any(probe.get(name) for name in ("username", "password", "ca_path"))
        devices = self.contained and (self.options.get("container") or {}).get("devices")
        return not protected and not devices and str(probe["url"]).startswith("http://")

    def command(self):
        """What to run on the host."""
        options, probe, state = self.options, self.probe, self.state
        proven = posixpath.join(state, "proven.json")
        unit = Systemd(self.name)
        files = [*(options.get("files") or {}), *(() if self.contained else (unit.unit_path, unit.dropin_path))]
        kind = SERVICES[probe["kind"]]
        glance = [Path(_glance.__file__).read_text(encoding="utf-8"), proven, probe["url"]]
        glance += [",".join(telling_metrics(probe["kind"])), probe.get("metrics_path") or "/metrics"]
        glance += [kind.ready_path] if kind.ready_path else []
        return "test -e {0} && {1}".format(
            shlex.quote(proven),
            _script(
                _of("ls -A", [state]),
                _of("cat", [posixpath.join(state, "manifest.json")]),
                _of("cat", [proven]),
                self._ask_runtime(),
                _of("sha256sum", sorted(files)),
                _of("readlink", sorted(self.links)),
                _of("readlink -f", () if self.contained else (options.get("argv") or ())[:1]),
                _of("stat -c %Z", options.get("reads") or ()),
                _of("id", [self.user()] if self.contained else ()),
                "{0} -c {1}".format(shlex.quote(self.python), " ".join(map(shlex.quote, glance))),
            ),
        )

    def user(self):
        """The account of the container on the host."""
        return str((self.options.get("container") or {}).get("user")).partition(":")[0]

    def _ask_runtime(self):
        if self.contained:
            docker = "docker -H {0} container inspect --format '{{{{json .}}}}' {1}"
            return docker.format(
                shlex.quote(self.options.get("docker_host") or DEFAULT_HOST),
                " ".join(map(shlex.quote, names_of(self.name))),
            )
        units = [self.name + ".service", *(self.options.get("conflicts") or ())]
        properties = "Id,LoadState,ActiveState,UnitFileState,MainPID,NeedDaemonReload"
        return "systemctl show --property={0} -- {1}".format(properties, " ".join(map(shlex.quote, units)))

    def result(self, output):
        """The module's answer where there is nothing to do, else None."""
        try:
            names, *known, runtime, sums, links, binary, times, account, seen = _sections(output)
            manifest, proven, seen = *map(json.loads, known), json.loads(seen)
            names = set(names.splitlines())
            if not (
                # Neither in the middle of a switch nor with one that was not proven.
                not {"undo", "staged"} & names
                and (self.contained or "engine" not in names)
                and manifest["generation"] == proven["generation"]
                and proven["asked"] == self.asked
                and dict(map(_of_sum, sums.splitlines())) == proven["files"]
                and links.splitlines() == [target for dummy, target in sorted(self.links.items())]
                and list(map(int, times.splitlines())) == proven["reads"]
                and account == proven["account"]
                and seen["process"]
                and start_ticks(seen["process"]["stat"]) == proven["started"]
                and self._runs(runtime, manifest, proven["pid"], seen["process"]["executable"], binary)
            ):
                return None
            return self._answer([SimpleNamespace(**one) for one in seen["said"] or ()], proven["pid"])
        except (ValueError, LookupError, TypeError):
            return None

    def _runs(self, runtime, manifest, pid, executable, binary):
        """Whether the runtime's main process is the one that was proven, and nothing is in its way."""
        if not self.contained:
            mine, *others = map(parse_show, runtime.split("\n\n"))
            wanted = {
                "ActiveState": "active",
                "UnitFileState": "enabled",
                "NeedDaemonReload": "no",
                "MainPID": str(pid),
            }
            free = not any(is_in_the_way(one) for one in others if one["Id"] != mine["Id"])
            return free and wanted.items() <= mine.items() and executable == binary
        container = json.loads(runtime)
        made = manifest["container"]
        return (
            container["Id"] == made["id"]
            and container["Image"] == self.options["image"] == made["image"]
            and container["State"]["Pid"] == pid
            and not trouble(None, container)
            and limits(container) == made["limits"]
            and container["HostConfig"]["RestartPolicy"]["Name"] == policy_of(made)
        )

    def _answer(self, answers, pid):
        """The module's answer for a service that says what it has to, else None."""
        kind = self.probe["kind"]
        if not answers:
            return None
        metrics, ready = answers[0], answers[1] if len(answers) > 1 else None
        verdict = judge(kind, metrics, ready, self.options.get("version"))
        if verdict.state != "ok" or lost_dependency(kind, metrics.text):
            return None
        return {
            "changed": False,
            "action": AS_ON_DISK.action,
            "reason": AS_ON_DISK.reason,
            "version": words(kind, metrics.text).version,
            "pid": pid,
            "unproven": [],
            "notes": [],
            "diff": [],
        }


def _of_sum(line):
    digest, dummy, path = line.partition("  ")
    return path, digest


def code():
    """A digest of the code that decides about services: what another version proved is looked at again."""
    folder = Path(_glance.__file__).parent
    files = [*sorted(folder.glob("*.py")), folder.parent / "modules" / "daemon.py"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
