# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host has a service as its inventory specifies it, found out in one round trip.

What is compared is what the modules would compare; whatever is not exactly as specified, or cannot be read, is left to them.
"""

from __future__ import annotations

import posixpath
from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils._docker import image_answer
from ansible_collections.vigil.monitoring.plugins.module_utils._release import ReleaseError, archive_answer, check_names
from ansible_collections.vigil.monitoring.plugins.module_utils._systemd import BOOTED, NOT_BOOTED
from ansible_collections.vigil.monitoring.plugins.module_utils._version import plain_version
from ansible_collections.vigil.monitoring.plugins.plugin_utils._compare_containers import Image
from ansible_collections.vigil.monitoring.plugins.plugin_utils._compare_files import Tree
from ansible_collections.vigil.monitoring.plugins.plugin_utils._compare_release import Release
from ansible_collections.vigil.monitoring.plugins.plugin_utils._compare_service import Service
from ansible_collections.vigil.monitoring.plugins.plugin_utils._container import is_container
from ansible_collections.vigil.monitoring.plugins.plugin_utils._host_commands import combined, parts

PROGRAM, PREPARATION, CONFIGURATION, ACTIVATION, CONTENTS = (
    "program",
    "preparation",
    "configuration",
    "activation",
    "contents",
)


# Says whether a host can have services of systemd.
SYSTEMD = "test -d {0} && echo systemd".format(BOOTED)
# Whatever a service is made of.
DEPLOYMENT = (PROGRAM, CONFIGURATION, ACTIVATION)


class Outcome(NamedTuple):
    """What a comparison says.

    :ivar differs: the steps that a deployment needs, in their order.
    :ivar release: what the module release or image would return, where the program is there as specified; else None.
    """

    differs: tuple
    release: dict | None


class Comparison:
    """One service and one host.

    :param room: the service's room.
    :param i: the inputs of its role.
    :param files: function that makes the files as config_files sends them out of those of its option ``files``.
    :param python: Python on the host.
    :param release: what the program's module has returned, where only that can know; else None.
    :param pipelining: whether the command can be given something to read.
    :param also: a further command, whose output is in ``said``.
    :ivar problem: why the host can have no such service, whatever is changed on it; else None.
    :ivar login: what it has to be given: a password, which must not stand in a command line; else None.
    """

    def __init__(self, room, i, files, python="python3", release=None, pipelining=False, also=":"):
        self.room, self.i, self.files, self.python = room, i, files, python
        self.given = release
        self.pipelining = pipelining
        self.also, self.said = also, None
        self.problem = None
        self.login = None
        self.contained = is_container(i["runtime"])

    def can_tell(self) -> bool:
        """Whether one command can be enough: a package or a program of somebody else's has a version that only it can say."""
        return bool(self.given) or self.contained or self.i["install_method"] == "archive"

    def command(self) -> str:
        """What to run on the host."""
        self._program = self._program_part()
        release = self.given or self._provisional()
        self._tree, self._service = self._parts(release)
        self.login = self._service.login() if self.pipelining else None
        service = self._service.command(bool(self.login))
        manager = ":" if self.contained else SYSTEMD
        wanted = [self._program.command() if self._program else ":", self._tree.command(), service, self.also, manager]
        return combined(wanted)

    def outcome(self, output: str | None) -> Outcome:
        """What the output of that command says."""
        found = parts(output, 5) if output else None
        if not found:
            return Outcome(DEPLOYMENT, None)
        program, tree, service, self.said, manager = found
        self.problem = None if self.contained or manager.strip() else NOT_BOOTED
        release = self.given or self._known(program)
        if release is None:
            return Outcome(DEPLOYMENT, None)
        if self.contained:
            # Only now it is known which image that is.
            self._tree, self._service = self._parts(release)
        if not self._files_match(tree) or not self._service.can_read(service):
            return Outcome((CONFIGURATION, ACTIVATION), release)
        if not self._service.matches(service, bool(self.login)):
            return Outcome((ACTIVATION,), release)
        return Outcome((), release)

    def _program_part(self):
        if self.given:
            return None
        i = self.i
        if self.contained:
            options = self.room.image_options(i)
            return Image(options["name"], options["image"], options["docker_host"])
        options = self.room.release_options(i)
        return Release(
            options["program"], plain_version(options["version"]), options["releases_dir"], options["binaries"]
        )

    def _provisional(self):
        """What would be returned for the program if it were there."""
        if self.contained:
            return self._image(None)
        return self._archive("")

    def _archive(self, arch):
        options, release = self.room.release_options(self.i), self._program
        message = "{0} {1} is in {2}".format(options["program"], release.version, release.path)
        return archive_answer(release.version, arch, release.path, options["binaries"], options["link_dir"], message)

    def _image(self, image):
        options = self.room.image_options(self.i)
        tools = options.get("tools") or ()
        return image_answer(
            image, options["image"], options["program"], tools, options["version"], path=options.get("path")
        )

    def _known(self, output):
        """What the program's module would return, where it is there; else None."""
        if self.contained:
            image = self._program.known(output)
            return {"changed": False, **self._image(image)} if image else None
        options = self.room.release_options(self.i)
        try:
            check_names(options["program"], options["version"], options["program"])
        except ReleaseError:
            return None
        arch = self._program.arch(output, options.get("checksum"), options["program"])
        return self._archive(arch) if arch else None

    def _parts(self, release):
        options = self.room.config_options(self.i, release)
        files = [self.files(entry) for entry in options["files"]]
        self._refused = [
            text for text in options.get("refuse") or () if any(text in entry["content"] for entry in files)
        ]
        tree = Tree(
            options["path"],
            options["user"],
            options["group"],
            files,
            options["directories"],
            [str(command[0]) for command in options["validate"]],
            options.get("image"),
            [entry["path"] for entry in options.get("superseded") or ()],
        )
        # What is deployed with them is readable for the service.
        own = {posixpath.join(options["path"], entry["path"]) for entry in files}
        readable = [path for path in options["readable"] if posixpath.normpath(path) not in own]
        account = (options["user"], options["group"])
        return tree, Service(self.room.service_options(self.i, release), self.python, readable, account)

    def _files_match(self, output):
        # What the module may complain about is left to it.
        return not self._refused and self._tree.matches(output)
