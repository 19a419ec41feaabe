# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that a Docker engine runs: how it is seen, replaced, started and stopped.

The container of the generation on disk is named in the manifest by its id and bears the service's name. While a switch
is under way there are two more: ``NAME-vigil-next``, made and not started, and ``NAME-vigil-previous``, stopped and kept
until the new one is verified. Whatever of these is not the manifest's is left over from a switch that was cut off.
"""

from __future__ import annotations

import calendar
import contextlib
import grp
import importlib.util
import json
import os
import pwd
import re
import signal
import sys
import time

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow, _process_state
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import (
    LABEL_DEFINITION,
    LABEL_IMAGE,
    LABEL_SERVICE,
    NO_REQUESTS,
    clamp_nofile,
    different_options,
    fingerprint,
    in_container,
    is_podman,
    is_restarted,
    label,
    limits,
    names_of,
    policy_of,
    published_by,
    remapping_problem,
    trouble,
    version_in,
    version_problem,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._endpoint import published
from ansible_collections.vigil.monitoring.plugins.module_utils._engine import Engine, NoEngine, Refused
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    NotVerified,
    last_words,
    log_excerpt,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._process import Running, other_start, start_ticks
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime import Runtime
from ansible_collections.vigil.monitoring.plugins.module_utils._scrub import Scrubber
from ansible_collections.vigil.monitoring.plugins.module_utils._system import HERE
from ansible_collections.vigil.monitoring.plugins.module_utils._systemd import nofile_ceiling
from ansible_collections.vigil.monitoring.plugins.module_utils._tree import diff_entry
from ansible_collections.vigil.monitoring.plugins.module_utils._version import same_version

# The engine's own process that holds a published port, where the kernel does not do it.
PROXY = "docker-proxy"
# How long ago a death may be that speaks of the watch that has just seen a restart, in seconds.
RECENT = 120
# How much of a log is read for the lines that tell something.
LOG_LINES = 500


class Docker(Runtime):
    """One container on this host; methods without a text mean what :class:`_runtime.Runtime` says.

    :param name: name of the service and of its container.
    :param engine: :class:`_engine.Engine`.
    :param container: options of docker_container for it; None where it is to go.
    :param image: id of the image.
    :param candidate: id of the container that was made for the switch, or None.
    :param machine: the host, a :class:`_system.System`.
    :ivar target: the manifest's entry about the container of the generation on disk, or None.
    """

    needs = "container"

    def __init__(self, name, engine, container=None, image=None, candidate=None, machine=HERE):
        super().__init__(name, machine)
        self.title = "the container " + name
        self.engine = engine
        self.image = image
        self.candidate = candidate
        dummy, self.next, self.previous = names_of(name)
        # As the host knows it; what the container gets is its number.
        self._user = str(container["user"]).partition(":")[0] if container else None
        self.container = self._resolved(container) if container else None
        self.target = None
        # When it was started anew, in seconds since the epoch: what it said before tells nothing.
        self._began = 0.0

    @classmethod
    def find(cls, params, wanted, state, machine):
        """The container, where it is specified, and where the service has had, or may have, one."""
        name, present = params["name"], params["state"] == "present"
        if wanted and present:
            engine = Engine(params["docker_host"])
            return cls(name, engine, params["container"], params["image"], params["candidate"], machine)
        host = state.engine()
        if not host and present:
            return None
        try:
            engine = Engine(host or params["docker_host"])
            if is_podman(engine.version()) and present:
                return Podman(name, engine, machine)
        except NoEngine as error:
            return Unreachable(name, error, bool(host), machine)
        return cls(name, engine, machine=machine)

    def _resolved(self, container):
        """The options with numbers for the accounts of this host, and limits that it can grant."""
        found = dict(container)
        user, dummy, group = str(found["user"]).partition(":")
        with contextlib.suppress(KeyError):
            uid = int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
            gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid if group else None
            if not user.isdigit():
                gid = pwd.getpwnam(user).pw_gid if gid is None else gid
                others = set(os.getgrouplist(user, gid)) - {gid}
                found["groups"] = [*(found.get("groups") or ()), *map(str, sorted(others))]
            found["user"] = str(uid) if gid is None else "{0}:{1}".format(uid, gid)
        if found.get("ulimits"):
            found["ulimits"] = clamp_nofile(found["ulimits"], engine_ceiling(self.machine))
        if found.get("devices"):
            # A host that is a container itself has few; a container that asks for one that is not there does not start.
            found["devices"] = [device for device in found["devices"] if os.path.exists(device.split(":")[0])]
        return found

    # What is there

    def missing(self):
        try:
            if self.engine.version():
                return None
        except NoEngine:
            pass
        return (
            "what only the Docker engine can tell, as it is not installed yet",
            "the Docker engine is not installed yet",
        )

    def know(self, manifest):
        self.target = manifest["container"]

    def has(self, manifest):
        return bool(manifest["container"])

    def addresses(self, manifest):
        definition = (manifest["container"] or {}).get("definition") or {}
        return published(definition.get("published_ports"))

    def inspect(self):
        """What the engine knows about the service's container, or None."""
        return self.engine.container(self.name)

    def running(self, seen):
        pid = self.pid(seen)
        stat = self.machine.proc("{0}/stat".format(pid)) if pid else ""
        if not stat:
            return None
        start = _process_state.start(lambda name: self.machine.proc("{0}/{1}".format(pid, name)))
        return Running(pid, start_ticks(stat), seen["Id"], label(seen, LABEL_DEFINITION), start)

    @staticmethod
    def pid(seen):
        """The id of the main process as the host sees it, 0 when there is none."""
        return seen["State"]["Pid"] if seen and seen["State"]["Running"] else 0

    @staticmethod
    def is_active(seen):
        return bool(seen and (seen["State"]["Running"] or seen["State"]["Restarting"]))

    def is_known(self, seen):
        return self._is_mine(seen)

    def is_enabled(self, seen):
        if not seen or not self.target or seen["Id"] != self.target["id"]:
            return True
        return seen["HostConfig"]["RestartPolicy"]["Name"] == policy_of(self.target)

    @staticmethod
    def since_start(seen):
        # A start sets the engine's counter of restarts to zero.
        return dict(seen, RestartCount=0) if seen and seen["State"]["Running"] else None

    def trouble(self, before, now):
        # One that runs again says nothing any more about its end.
        deaths = self.engine.deaths(now["Id"], self.machine.now() - RECENT) if is_restarted(before, now) else ()
        return trouble(before, now, deaths)

    def last_words(self, since, *limit):
        try:
            return log_excerpt(self.engine.log(self.name, max(since, self._began), LOG_LINES), *limit)
        except Refused as error:
            return "  ({0})".format(error)

    def yields(self, pid, port, manifest, wanted):
        published_here = self._comm(pid) == PROXY and self._publisher(pid, port) == self.name
        return published_here or self._owns(pid)

    def holder(self, pid, port):
        publisher = self._publisher(pid, port)
        return "the container " + publisher if publisher else None

    def _comm(self, pid):
        return self.machine.proc("{0}/comm".format(pid)).strip()

    def _publisher(self, pid, port):
        """The name of the container for which the engine holds a port, or to which its holder belongs; None for none."""
        inside = in_container(self.machine.proc("{0}/cgroup".format(pid)))
        if inside:
            container = self.engine.container(inside)
            return container["Name"].lstrip("/") if container else None
        if self._comm(pid) != PROXY:
            return None
        container = published_by(self.engine.containers(), port)
        return container["Names"][0].lstrip("/") if container else None

    def _owns(self, pid):
        """Whether a process belongs to one of the service's containers."""
        found = in_container(self.machine.proc("{0}/cgroup".format(pid)))
        return found is not None and found in {container["Id"] for container in self._mine()}

    def _is_mine(self, container):
        return container is not None and label(container, LABEL_SERVICE) == self.name

    def _mine(self):
        found = [self.engine.container(name) for name in (self.name, self.next, self.previous)]
        if self.target and self.target["id"] not in [container["Id"] for container in found if container]:
            # Somebody may have given it another name.
            found.append(self.engine.container(self.target["id"]))
        return [container for container in found if self._is_mine(container)]

    def renamed(self):
        found = self.engine.container(self.target["id"]) if self.target else None
        return found if self._is_mine(found) and found["Name"].lstrip("/") not in names_of(self.name) else None

    def renamed_note(self):
        found = self.renamed()
        name = found["Name"].lstrip("/") if found else None
        return "{0} was renamed to {1} by hand: it would get its name again".format(self.title, name) if name else None

    def name_problem(self):
        found, other = self.renamed(), self.inspect()
        # One of the service itself gives way.
        if found is None or other is None or self._is_mine(other):
            return None
        return (
            "{0} was renamed to {1} by hand, and another container has its name now; give that one another name"
            " (`docker rename {2} NAME`), then this one its own: `docker rename {1} {2}`".format(
                self.title, found["Name"].lstrip("/"), self.name
            )
        )

    def put_aside(self):
        """The names that somebody gave containers which were made for the service, without that of the generation."""
        known = [self.target["id"]] if self.target else []
        return [
            name
            for one in self.engine.containers()
            # One that is just being removed has no name any more.
            for name in [name.lstrip("/") for name in one.get("Names") or ()][:1]
            if (one.get("Labels") or {}).get(LABEL_SERVICE) == self.name
            and one["Id"] not in known
            # A check that is under way, or was cut off.
            and name not in (*names_of(self.name), self.name + "-vigil-check")
        ]

    def is_left(self, manifest):
        return not self.is_gone()

    # What has to be there

    def account(self):
        status, output = self.machine.run(["id", self._user])
        return "" if status else output.strip()

    def devices(self):
        return sorted(device.split(":")[0] for device in self.container.get("devices") or ())

    def order(self):
        if self.candidate:
            return None
        network, wanted = self.wanted_network(), self.wanted()
        return {"wanted_container": wanted, "wanted_network": network}

    def diff(self, manifest):
        before = (manifest["container"] or {}).get("definition") or {}
        names = different_options(before, self.container)
        shown = [
            "".join(
                "{0}: {1}\n".format(name, json.dumps(options[name], sort_keys=True))
                for name in names
                if name in options
            )
            for options in (before, self.container)
        ]
        return [diff_entry(self.title, *shown, False)]

    def expected(self, argv, running):
        return (self.target["id"], self.target["fingerprint"]) if self.target else ("", "")

    def replacement(self, seen):
        if self.target is None:
            return "it has no container yet"
        if seen is None or seen["Id"] != self.target["id"]:
            return "its container is gone"
        if seen["Image"] != self.image:
            return "it runs another image than requested"
        if self.target["fingerprint"] != self.fingerprint():
            names = different_options(self.target["definition"], self.container)
            commands = [{"arguments": one.get("command")} for one in (self.target["definition"], self.container)]
            otherwise = other_start(*commands)
            more = ": it " + otherwise if otherwise else ""
            return "its container was made with other options ({0}){1}".format(", ".join(names), more)
        if limits(seen) != self.target["limits"]:
            return "the limits or networks of its container were changed since it was made"
        return None

    def fingerprint(self):
        """The fingerprint of the container that is specified."""
        return fingerprint(self.container, self.image)

    def wanted(self):
        """Options of docker_container that make the candidate; it must not start by itself before it is its turn.

        :raises HostError: when the host lacks its account.
        """
        if not self.container["user"].replace(":", "").isdigit():
            raise HostError("the host has no account {0} for the container".format(self.container["user"]))
        labels = {
            **(self.container.get("labels") or {}),
            LABEL_SERVICE: self.name,
            LABEL_DEFINITION: self.fingerprint(),
            LABEL_IMAGE: self.container["image"],
        }
        return {
            **self.container,
            "name": self.next,
            "labels": labels,
            "restart_policy": "no",
            "state": "present",
            "pull": "never",
        }

    def wanted_network(self):
        """The name of a network of ours that has to be made first, or None."""
        name = self.container["network_mode"]
        if name in ("host", "none", "bridge", "default") or ":" in name or self.engine.network(name):
            return None
        return name

    def entry(self):
        """What the manifest of the new generation says about its container.

        :raises HostError: when the candidate is not what was specified.
        """
        made = self.engine.container(self.candidate) if self.candidate else None
        if made is None:
            return self.target
        if made["Image"] != self.image or label(made, LABEL_DEFINITION) != self.fingerprint():
            raise HostError("the container {0} differs from the specified one; run again".format(self.next))
        if self.container.get("memory") and not made["HostConfig"].get("Memory"):
            self.notes.append("this host's kernel can limit no memory: the container has no limit")
        return {
            "id": made["Id"],
            "image": self.image,
            "fingerprint": self.fingerprint(),
            "definition": self.container,
            "limits": limits(made),
        }

    def foreign_problems(self):
        """That somebody else's containers have the names that are needed, one sentence each."""
        found = {name: self.engine.container(name) for name in (self.name, self.next, self.previous)}
        return [
            "the container {0} was not created by this collection and is left alone; rename or remove it".format(name)
            for name, container in found.items()
            if container is not None and not self._is_mine(container)
        ]

    def problems(self, replacing, role, secrets):
        if not replacing:
            return []
        return [
            *self._engine_problems(role),
            *self._mount_problems(),
            self._leak_problem(secrets),
            # Where the image is yet to come, so may be what community.docker needs: the module image has looked.
            self._library_problem() if self.image else None,
        ]

    def _engine_problems(self, role):
        """That this engine could not, or must not, run the container, one sentence each."""
        try:
            return [
                version_problem(self.engine.version()),
                remapping_problem(self.engine.info(), self.container, role),
            ]
        except NoEngine as error:
            return [str(error)]

    def _mount_problems(self):
        """What the engine would follow as root if the container were made, one sentence each."""
        problems = []
        for volume in self.container.get("volumes") or ():
            source = str(volume).partition(":")[0]
            weak = _nofollow.exchangeable(source) if source.startswith("/") else None
            if weak:
                problems.append(
                    "{0} cannot be mounted into the container: {1}, and the engine would follow as root whatever is put"
                    " there, at each start; use a directory in one that only root can write".format(source, weak)
                )
        return problems

    def _leak_problem(self, secrets):
        """That everybody who may ask the engine would see a secret: a sentence, or None."""
        if Scrubber(secrets).finds(json.dumps(self.container)):
            return (
                "a secret would stand in the options of the container, where `docker inspect` shows it; give the"
                " service a file instead"
            )
        return None

    @staticmethod
    def _library_problem():
        """That community.docker could not make a container on this host: a sentence, or None."""
        return None if importlib.util.find_spec("requests") else NO_REQUESTS.format(sys.executable)

    def is_tried(self, replacing):
        return bool(replacing) and not self.candidate

    def program_problem(self, status, output, version, role):
        image = self.container["image"]
        if status:
            return "{0} of the image {1} exits with status {2} when called with --version: {3}".format(
                self.name, image, status, output.strip()[:500]
            )
        found = version_in(output)
        if found and version and not same_version(found, version):
            return "the image {0} holds version {1}, and {2}_version is {3}; make them agree".format(
                image, found, role, version
            )
        return None

    def is_another_program(self, manifest, changes, argv):
        return not manifest["container"] or manifest["container"]["image"] != self.image

    def trial(self, argv, links, *more):
        if not self.image:
            return None
        try:
            return self.engine.run_once(self.name, self.image, [*argv[1:], *more], entrypoint=argv[0])
        except Refused as error:
            return 125, str(error)

    # Doing it

    def remember(self, state):
        state.remember_engine(self.engine.host)

    def forget(self, state):
        state.remember_engine(None)

    def adopt(self, manifest):
        self.target, self.candidate = manifest["container"], None

    def reinstate(self, manifest, mine, tried):
        candidate, self.candidate = self.candidate, None
        self.target = manifest["container"]
        self.tidy()
        self.candidate = candidate

    def clean_up(self, manifest):
        self.target = manifest["container"]
        self.tidy()
        self.notes += [
            "the container {0} was made for {1} and renamed by hand, and is not touched; `docker rm {0}` takes it"
            " away".format(name, self.name)
            for name in self.put_aside()
        ]

    def settle(self, texts, seen, stale=False):
        if self.is_enabled(seen):
            return False
        self.engine.set_policy(self.name, policy_of(self.target))
        return True

    def act(self, action):
        before = self.machine.now()
        try:
            current = self.inspect()
            if action == "reload":
                self._hang_up(current)
            elif current and current["Id"] == self.target["id"]:
                self.engine.set_policy(self.name, policy_of(self.target))
                # A start leaves one that runs as it is.
                (self.engine.restart if action == "restart" else self.engine.start)(self.name)
                self._began = started_at(self.inspect()) if action == "restart" else 0.0
            else:
                self.retire()
                self.engine.rename(self.target["id"], self.name)
                self.engine.set_policy(self.name, policy_of(self.target))
                self.engine.start(self.name)
        except Refused as error:
            raise NotVerified(str(error)) from error
        return before

    def _hang_up(self, seen):
        """Send SIGHUP to the main process.

        Not through the engine: it takes any signal that it passes on for a stop by hand, and starts the container
        neither after a crash nor with the host again (moby/moby#41302).
        """
        pid = self.pid(seen)
        if not pid:
            raise NotVerified("{0} does not run".format(self.title))
        try:
            os.kill(pid, signal.SIGHUP)
        except ProcessLookupError as error:
            raise NotVerified("{0} has just ended".format(self.title)) from error

    def retire(self):
        """Stop the container that has the service's name and put it aside; it does not come up by itself any more."""
        if self.inspect() is None:
            return
        try:
            self.engine.set_policy(self.name, "no")
            self.engine.stop(self.name)
            self.engine.rename(self.name, self.previous)
        except Refused as error:
            raise NotVerified(str(error)) from error

    def is_untidy(self):
        """Whether there are other containers of the service than the generation's, or under other names."""
        return any(
            container["Id"] != self.candidate
            and (not self.target or container["Id"] != self.target["id"] or container["Name"] != "/" + self.name)
            for container in self._mine()
        )

    def tidy(self):
        """Remove whatever of the service is not the generation's container, and give that one its name."""
        problem = self.name_problem()
        if problem:
            raise HostError(problem)
        untidy, renamed = self.is_untidy(), self.renamed()
        name = renamed["Name"].lstrip("/") if renamed else None
        kept = None
        for container in self._mine():
            if self.target and container["Id"] == self.target["id"]:
                kept = container
            elif container["Id"] != self.candidate:
                self._remove(container)
        if kept is not None and kept["Name"] != "/" + self.name:
            self.engine.rename(kept["Id"], self.name)
        if name:
            self.notes.append("{0} was renamed to {1} by hand: it has its name again".format(self.title, name))
        return untidy

    def stop(self):
        if self.is_known(self.inspect()):
            self.engine.stop(self.name)

    def is_gone(self):
        return not self._mine()

    def shut_down(self):
        """Stop it and take it away, with a network that was made for it and serves nobody else."""
        for container in self._mine():
            if container["State"]["Running"]:
                self.engine.stop(container["Id"])
            self._remove(container)

    def _remove(self, container):
        """Take a container away, with a network that was made for it and serves nobody else."""
        self.engine.remove(container["Id"])
        for name in limits(container)["networks"]:
            network = self.engine.network(name)
            if network and LABEL_SERVICE in (network.get("Labels") or {}) and not self._members(name):
                self.engine.remove_network(name)

    def _members(self, network):
        """The containers that are on a network, or will be once they run."""
        return [one for one in self.engine.containers() if network in one["NetworkSettings"]["Networks"]]


class Podman(Runtime):
    """What of the service an engine may have that is Podman in truth, which is no runtime of this collection yet.

    :param engine: :class:`_engine.Engine`.
    """

    def __init__(self, name, engine, machine=HERE):
        super().__init__(name, machine)
        self.engine = engine

    def standing_problems(self):
        found = self.engine.container(self.name)
        if found is None or label(found, LABEL_SERVICE) != self.name:
            return []
        return [
            "Podman, which answers at {0}, has the container {1} of the service; Podman is not supported as a runtime, and"
            " nothing is done there: take it away with `podman rm --force {1}` (its data stay) and run again".format(
                self.engine.host, self.name
            )
        ]


class Unreachable(Runtime):
    """What of the service an engine may have that does not answer.

    :param error: what was tried, and how it went.
    :param remembered: whether the engine is known to have had a container of the service.
    """

    def __init__(self, name, error, remembered, machine=HERE):
        super().__init__(name, machine)
        self.title = "the container " + name
        self._error = error
        if remembered:
            self.notes.append("{0}; it may have a container {1}, which starts again with it".format(error, name))

    def act(self, action):
        raise NotVerified(str(self._error))


def started_at(seen):
    """When a container was started, in seconds since the epoch; 0 where that is not known.

    :param seen: what the engine knows about it.
    """
    # Such as 2026-11-25T22:13:14.516346015Z
    match = re.fullmatch(
        r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z", (seen or {}).get("State", {}).get("StartedAt") or ""
    )
    if not match:
        return 0.0
    return calendar.timegm(time.strptime(match.group(1), "%Y-%m-%dT%H:%M:%S")) + float(match.group(2) or 0)


def last_words_of(name, docker_host, since, *limit):
    """The last log lines of a service that tell something.

    :param name: name of its container, or of its systemd service.
    :param docker_host: address of the engine that runs it; None where systemd does.
    :param since: seconds since the epoch.
    """
    if not docker_host:
        return last_words(name + ".service", since, *limit)
    try:
        return Docker(name, Engine(docker_host)).last_words(since, *limit)
    except HostError as error:
        return "  ({0})".format(error)


def engine_ceiling(machine=HERE):
    """The highest limit of open files that the engine's own processes can give, or None for no ceiling."""
    found = []
    for pid in machine.pids():
        if machine.proc(pid + "/comm").strip() in ("containerd", "dockerd"):
            found.append(nofile_ceiling(machine.proc(pid + "/limits"), machine.proc(pid + "/status")))
    return min((ceiling for ceiling in found if ceiling is not None), default=None)


def containers_of(docker_host):
    """The containers that were made for services: name of the service -> names of its containers; empty without an engine."""
    found = {}
    try:
        for one in Engine(docker_host).containers():
            service = (one.get("Labels") or {}).get(LABEL_SERVICE)
            # That of a network is no service.
            if service and service != "shared":
                found.setdefault(service, []).append((one.get("Names") or [one["Id"]])[0].lstrip("/"))
    except NoEngine:
        return {}
    return found
