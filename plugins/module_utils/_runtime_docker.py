# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that a Docker engine runs: how it is seen, replaced, started and stopped.

The container of the generation on disk is named in the manifest by its id and bears the service's name. While a switch
is under way there are two more: ``NAME-vigil-next``, made and not started, and ``NAME-vigil-previous``, stopped and kept
until the new one is proven. Whatever of these is not the manifest's is left over from a switch that was cut off.
"""

from __future__ import annotations

import calendar
import contextlib
import grp
import os
import pwd
import re
import signal
import time

from ansible_collections.vigil.monitoring.plugins.module_utils import _glance
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import (
    LABEL_DEFINITION,
    LABEL_IMAGE,
    LABEL_SERVICE,
    clamp_nofile,
    different_options,
    fingerprint,
    in_container,
    is_restarted,
    label,
    limits,
    names_of,
    policy_of,
    trouble,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._engine import Engine, Refused
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    NotProven,
    last_words,
    log_excerpt,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._machine import HERE
from ansible_collections.vigil.monitoring.plugins.module_utils._process import Running, other_start, start_ticks
from ansible_collections.vigil.monitoring.plugins.module_utils._systemd import nofile_ceiling

# How long ago a death may be that speaks of the watch that has just seen a restart, in seconds.
RECENT = 120
# How much of a log is read for the lines that tell something.
LOG_LINES = 500


class Docker:
    """One container on this host. Methods that the other runtime has too mean the same here.

    :param name: name of the service and of its container.
    :param engine: :class:`_engine.Engine`.
    :param container: options of docker_container for it; None where it is to go.
    :param image: id of the image.
    :param candidate: id of the container that was made for the switch, or None.
    :param machine: the host, a :class:`_machine.Machine`.
    :ivar target: the manifest's entry about the container of the generation on disk, or None.
    :ivar notes: what a person should know besides.
    """

    def __init__(self, name, engine, container=None, image=None, candidate=None, machine=HERE):
        self.name = name
        self.machine = machine
        self.title = "the container " + name
        self.engine = engine
        self.image = image
        self.candidate = candidate
        dummy, self.next, self.previous = names_of(name)
        self.container = self._resolved(container) if container else None
        self.target = None
        self.notes = []
        # When it was started anew, in seconds since the epoch: what it said before tells nothing.
        self._began = 0.0

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

    def look(self):
        """What the engine knows about the service's container, or None."""
        return self.engine.container(self.name)

    def running(self, seen):
        """The main process, or None when there is none."""
        pid = self.pid(seen)
        stat = self.machine.proc("{0}/stat".format(pid)) if pid else ""
        if not stat:
            return None
        start = _glance.start(lambda name: self.machine.proc("{0}/{1}".format(pid, name)))
        return Running(pid, start_ticks(stat), seen["Id"], label(seen, LABEL_DEFINITION), start)

    @staticmethod
    def pid(seen):
        """The id of the main process as the host sees it, 0 when there is none."""
        return seen["State"]["Pid"] if seen and seen["State"]["Running"] else 0

    @staticmethod
    def is_active(seen):
        """Whether it runs or is on its way there."""
        return bool(seen and (seen["State"]["Running"] or seen["State"]["Restarting"]))

    def is_known(self, seen):
        """Whether there is anything that could run."""
        return self._is_mine(seen)

    def is_enabled(self, seen):
        """Whether it comes up with the engine."""
        if not seen or not self.target or seen["Id"] != self.target["id"]:
            return True
        return seen["HostConfig"]["RestartPolicy"]["Name"] == policy_of(self.target)

    @staticmethod
    def since_start(seen):
        """What a watch that begins with a start compares with; None as long as nothing has started."""
        # A start sets the engine's counter of restarts to zero.
        return dict(seen, RestartCount=0) if seen and seen["State"]["Running"] else None

    def trouble(self, before, now):
        """Whether the container stopped or was restarted since ``before`` (None: a watch is yet to begin), or None."""
        # One that runs again says nothing any more about its end.
        deaths = self.engine.deaths(now["Id"], self.machine.now() - RECENT) if is_restarted(before, now) else ()
        return trouble(before, now, deaths)

    def last_words(self, since, *limit):
        """Its last log lines that tell something, since a moment in seconds since the epoch."""
        try:
            return log_excerpt(self.engine.log(self.name, max(since, self._began), LOG_LINES), *limit)
        except Refused as error:
            return "  ({0})".format(error)

    def owns(self, pid):
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
        """The generation's container where somebody gave it another name, or None."""
        found = self.engine.container(self.target["id"]) if self.target else None
        return found if self._is_mine(found) and found["Name"].lstrip("/") not in names_of(self.name) else None

    def name_problem(self):
        """That the generation's container cannot have its name back, as another one has it: a sentence, or None."""
        found, other = self.renamed(), self.look()
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

    # What has to be there

    @staticmethod
    def texts(dummy_undo):
        """The texts that make the service, by their paths: a container needs none."""
        return {}

    def expected(self, dummy_argv, dummy_running):
        """The container and the fingerprint that the process has to have."""
        return (self.target["id"], self.target["fingerprint"]) if self.target else ("", "")

    @staticmethod
    def expected_arguments(dummy_argv):
        """None: what a container runs was settled when it was made."""

    @staticmethod
    def definition(dummy_seen):
        """Nothing: a container's options are its own."""
        return ""

    @staticmethod
    def other_dropins():
        """A container has none."""
        return {}

    def replacement(self, seen):
        """Why another container is needed, or None."""
        if self.target is None:
            return "it is no container yet"
        if seen is None or seen["Id"] != self.target["id"]:
            return "its container is gone"
        if seen["Image"] != self.image:
            return "it runs another image than the one asked for"
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
        """The fingerprint of the container that is asked for."""
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

        :raises HostError: when the candidate is not what was asked for.
        """
        made = self.engine.container(self.candidate) if self.candidate else None
        if made is None:
            return self.target
        if made["Image"] != self.image or label(made, LABEL_DEFINITION) != self.fingerprint():
            raise HostError("the container {0} is not what was asked for; run again".format(self.next))
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
            "the container {0} was made by somebody else and is not touched; rename or remove it".format(name)
            for name, container in found.items()
            if container is not None and not self._is_mine(container)
        ]

    def trial(self, argv, dummy_links, *more):
        """What the program says to these arguments.

        :returns: ``(exit status, output)``, or None where it cannot be asked.
        """
        if not self.image:
            return None
        try:
            return self.engine.run_once(self.name, self.image, [*argv[1:], *more], entrypoint=argv[0])
        except Refused as error:
            return 125, str(error)

    # Doing it

    def settle(self, dummy_texts, seen, dummy_stale=False):
        """Have it come up with the engine.

        :returns: whether that had to be changed.
        """
        if self.is_enabled(seen):
            return False
        self.engine.set_policy(self.name, policy_of(self.target))
        return True

    def act(self, action):
        """``start``, ``restart`` or ``reload`` it, or put the candidate into its place.

        :returns: the moment before, in seconds since the epoch.
        :raises NotProven: when that fails.
        """
        before = self.machine.now()
        try:
            current = self.look()
            if action == "reload":
                self._hang_up(current)
            elif current and current["Id"] == self.target["id"]:
                self.engine.set_policy(self.name, policy_of(self.target))
                # A start leaves one that runs as it is.
                (self.engine.restart if action == "restart" else self.engine.start)(self.name)
                self._began = started_at(self.look()) if action == "restart" else 0.0
            else:
                self.retire()
                self.engine.rename(self.target["id"], self.name)
                self.engine.set_policy(self.name, policy_of(self.target))
                self.engine.start(self.name)
        except Refused as error:
            raise NotProven(str(error)) from error
        return before

    def _hang_up(self, seen):
        """Send SIGHUP to the main process.

        Not through the engine: it takes any signal that it passes on for a stop by hand, and starts the container
        neither after a crash nor with the host again (moby/moby#41302).
        """
        pid = self.pid(seen)
        if not pid:
            raise NotProven("{0} does not run".format(self.title))
        try:
            os.kill(pid, signal.SIGHUP)
        except ProcessLookupError as error:
            raise NotProven("{0} has just ended".format(self.title)) from error

    def retire(self):
        """Stop the container that has the service's name and put it aside; it does not come up by itself any more.

        :raises NotProven: when that fails.
        """
        if self.look() is None:
            return
        try:
            self.engine.set_policy(self.name, "no")
            self.engine.stop(self.name)
            self.engine.rename(self.name, self.previous)
        except Refused as error:
            raise NotProven(str(error)) from error

    def is_untidy(self):
        """Whether there are other containers of the service than the generation's, or under other names."""
        return any(
            container["Id"] != self.candidate
            and (not self.target or container["Id"] != self.target["id"] or container["Name"] != "/" + self.name)
            for container in self._mine()
        )

    def tidy(self):
        """Remove whatever of the service is not the generation's container, and give that one its name.

        :returns: whether there was anything to do.
        :raises HostError: when another container has its name.
        """
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
        """Stop it, after a rollback to where it did not run."""
        if self.is_known(self.look()):
            self.engine.stop(self.name)

    def is_gone(self):
        """Whether nothing of it is left."""
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
