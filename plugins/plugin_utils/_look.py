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
from types import SimpleNamespace

from ansible_collections.vigil.monitoring.plugins.module_utils._docker import (
    LABEL_SERVICE,
    health_problems,
    image_problem,
    label,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._release import (
    ReleaseError,
    architecture,
    given_digest,
    matches,
)
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
