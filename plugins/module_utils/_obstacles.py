# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What on this host speaks against a switch, found out before anything is changed."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from typing import NamedTuple, Optional

from ansible_collections.vigil.monitoring.plugins.module_utils._docker import NO_REQUESTS, published_by, version_in
from ansible_collections.vigil.monitoring.plugins.module_utils._host import has_systemd, read_text
from ansible_collections.vigil.monitoring.plugins.module_utils._probe import downgrade_problem, same_version
from ansible_collections.vigil.monitoring.plugins.module_utils._process import (
    listeners,
    unknown_features,
    unknown_flag,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_systemd import belongs_to

LEAST_SPACE = 1 << 20  # bytes that have to be free for a service's data before it is started


class Plan(NamedTuple):
    """What a switch will change.

    :ivar changes: list of :class:`_switch.Change`.
    :ivar texts: paths of units and files beside the configuration that change.
    :ivar replacing: why another container is needed, or None.
    :ivar kept: changes of the kind ``keep``.
    """

    changes: list
    texts: dict
    replacing: Optional[str]
    kept: list


class Obstacles:
    """What speaks against the switch of one service, as sentences that name the way out.

    :param params: options of the module daemon.
    :param systemd: the runtime :class:`_runtime_systemd.Systemd`.
    :param docker: the runtime :class:`_runtime_docker.Docker`, or None where the host has no engine to speak of.
    :param runtime: the one of them that is asked for.
    :param state: what is remembered about the service.
    """

    def __init__(self, params, systemd, docker, runtime, state):
        self.params = params
        self.name = params["name"]
        self.role = params["role"] or self.name
        self.systemd = systemd
        self.docker = docker
        self.runtime = runtime
        self.state = state

    def problems(self, manifest, seen, running, plan, written_by):
        """All of them.

        :param manifest: that of the generation before.
        :param seen: what the runtime sees of the service.
        :param running: its process, or None.
        :param plan: :class:`Plan`.
        :param written_by: function that tells the newest version that has opened the data, or None.
        """
        found = []
        differs = plan.changes or plan.replacing
        if differs:
            found += self._foreign(manifest, seen)
            if self.runtime is self.systemd or (plan.replacing and not self.docker.candidate):
                found.append(self._flags())
            if plan.replacing:
                found += [self._leak(), self._library()]
            found.append(self._downgrade(written_by))
        if running is None or differs:
            found.append(self._ports(running))
        if running is None or plan.replacing or plan.texts or any(change.kind == "link" for change in plan.changes):
            found.append(self._space())
        if plan.kept:
            found.append(self._copies(plan.kept))
        return [problem for problem in found if problem]

    def _downgrade(self, written_by):
        """That the version that is asked for cannot read the data: a sentence, or None."""
        data, version = self.params["data_dir"], self.params["version"]
        if not data or not version or self.params["allow_downgrade"]:
            return None
        problem = downgrade_problem(self.params["probe"]["kind"], written_by(), version)
        if not problem:
            return None
        return (
            "a downgrade was refused: {0}; keep the newer version, or accept the loss of {1} with"
            " {2}_allow_downgrade: true".format(problem, data, self.role)
        )

    def _foreign(self, manifest, seen):
        """What of somebody else's stands in the way, one sentence each."""
        problems = []
        if self.runtime is self.docker:
            problems += self.docker.foreign_problems()
            unit = self._unit_in_the_way(manifest)
            problems += [unit] if unit else []
        if self.params["take_over"]:
            return problems
        hint = "; let it be replaced (it is kept for the rollback) with {0}_take_over: true, or move it away".format(
            self.role
        )
        if self.runtime is self.systemd:
            problem = self.systemd.foreign_problem(seen, manifest["units"], self.params["conflicts"])
            if problem:
                problems.append(problem + hint)
        for path, text in sorted(self.params["files"].items()):
            if os.path.lexists(path) and path not in manifest["units"] and read_text(path) != text:
                problems.append("{0} was put there by somebody else{1}".format(path, hint))
        for path in sorted(self.params["links"]):
            ours = path in manifest["links"] and os.path.islink(path)
            if os.path.lexists(path) and not ours:
                target = self.params["links"][path]
                if os.path.isdir(path) or not (os.path.islink(path) and os.readlink(path) == target):
                    problems.append("{0} was put there by somebody else{1}".format(path, hint))
        return problems

    def _unit_in_the_way(self, manifest):
        """That somebody else's unit runs the service that is to be a container, or would at the next boot, or None."""
        if not has_systemd() or self.systemd.unit_path in manifest["units"]:
            return None
        seen = self.systemd.look()
        path = seen["FragmentPath"]
        if not self.systemd.is_active(seen) and not self.systemd.is_enabled(seen):
            return None
        if self.systemd.title in self.params["conflicts"] and path != self.systemd.unit_path:
            # That of a package, which makes way.
            return None
        return (
            "{0} is another tool's unit, and runs or comes up with the host; remove it, or take it over with {1}_runtime:"
            " systemd and {1}_take_over: true first"
        ).format(path or self.systemd.title, self.role)

    def _flags(self):
        """A flag or feature that the new binary does not know: a sentence, or None."""
        argv = self.params["argv"]
        if not argv:
            return None
        # --version acts only after every flag before it was understood, and starts nothing.
        links, version = self.params["links"], self.params["version"] or ""
        answer = self.runtime.trial(argv, links, "--version")
        if answer is None:
            return None
        status, output = answer
        flag = unknown_flag(output) if status else None
        if flag:
            return "{0} {1} does not know the flag {2}; remove it, or ask for a version that has it".format(
                self.name, version, flag
            )
        if any(word.startswith("--enable-feature=") for word in argv):
            unknown, known = unknown_features(argv, self.runtime.trial(argv[:1], links, "--help")[1])
            if unknown:
                return "{0} {1} does not know the feature {2}; it knows {3}".format(
                    self.name, version, ", ".join(unknown), ", ".join(known)
                )
        if self.runtime is self.docker:
            return self._image(status, output)
        return None

    def _image(self, status, output):
        """That the image does not hold what was asked for: a sentence, or None.

        :param status: with which its program ended that was asked for its version.
        :param output: what it said.
        """
        image, wanted = self.params["container"]["image"], self.params["version"]
        if status:
            return "{0} of the image {1} ends with status {2} when it is asked for its version: {3}".format(
                self.name, image, status, output.strip()[:500]
            )
        found = version_in(output)
        if found and wanted and not same_version(found, wanted):
            return "the image {0} holds version {1}, and {2}_version asks for {3}; make them agree".format(
                image, found, self.role, wanted
            )
        return None

    def _leak(self):
        """That everybody who may ask the engine would see a secret: a sentence, or None."""
        shown = json.dumps(self.docker.container)
        if any(len(secret) > 3 and secret in shown for secret in self.params["secrets"] or ()):
            return (
                "a secret would stand in the options of the container, where `docker inspect` shows it; give the"
                " service a file instead"
            )
        return None

    def _library(self):
        """That community.docker could not make a container on this host: a sentence, or None."""
        if importlib.util.find_spec("requests"):
            return None
        return NO_REQUESTS.format(sys.executable)

    def _ports(self, running):
        """Who holds one of the service's ports already: a sentence, or None."""
        tables = [read_text("/proc/net/tcp"), read_text("/proc/net/tcp6")]
        inodes = listeners(tables, set(self.params["ports"]))
        if not inodes:
            return None
        mine = running.pid if running else None
        yielding = list(self.params["conflicts"])
        if self.runtime is self.systemd or self.systemd.unit_path in self.state.manifest()["units"]:
            yielding.append(self.systemd.title)
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                sockets = {os.readlink(entry.path) for entry in os.scandir("/proc/{0}/fd".format(pid))}
            except OSError:
                continue
            for inode, port in inodes.items():
                if "socket:[{0}]".format(inode) in sockets and int(pid) != mine:
                    name = read_text("/proc/{0}/comm".format(pid)).strip()
                    publisher = self._publisher(name, port)
                    # What is about to be stopped gives the port up.
                    if belongs_to(pid, yielding) or publisher == self.name or (self.docker and self.docker.owns(pid)):
                        continue
                    name = "the container " + publisher if publisher else name
                    return "port {0} is held by {1} (process {2}); stop that, or choose another port".format(
                        port, name, pid
                    )
        return None

    def _publisher(self, process, port):
        """The name of the container for which the engine holds a port, or None."""
        if process != "docker-proxy" or not self.docker:
            return None
        container = published_by(self.docker.engine.containers(), port)
        return container["Names"][0].lstrip("/") if container else None

    def _space(self):
        """Whether there is no room where the data goes, so that a start would not be for long: a sentence, or None."""
        data = self.params["data_dir"]
        if not data or not os.path.isdir(data):
            return None
        status = os.statvfs(data)
        # What is free for others than root; a file system that does not count its blocks says nothing.
        if not status.f_blocks or status.f_bavail * status.f_frsize >= LEAST_SPACE:
            return None
        return "no space is left in {0}, so {1} would not outlive a start; make room and run again".format(
            data, self.name
        )

    def _copies(self, kept):
        """Whether there is no room for the copies of what is kept: a sentence, or None."""
        sizes = [os.path.getsize(change.path) for change in kept if os.path.isfile(change.path)]
        status = os.statvfs(self.state.config_dir)
        if not sizes or not status.f_blocks or sum(sizes) + LEAST_SPACE <= status.f_bavail * status.f_frsize:
            return None
        return "there is no room in {0} for a copy of {1} ({2} MiB), which {3} {4} is about to change".format(
            self.state.directory,
            self.params["keep"][0],
            sum(sizes) >> 20,
            self.name,
            self.params["version"] or "",
        )
