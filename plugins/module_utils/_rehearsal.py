# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rehearsal of a restore on a host: data of a snapshot in a scratch directory, and services that are started with it.

They run from the programs that are deployed, see the restored files at the places of their own, listen on the loopback alone, and
reach nothing else. Whatever a run leaves that was killed, the next one removes.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import socket
import time
from typing import NamedTuple, Optional

from ansible_collections.vigil.monitoring.plugins.module_utils import _client
from ansible_collections.vigil.monitoring.plugins.module_utils._backup_program import BackupError
from ansible_collections.vigil.monitoring.plugins.module_utils._engine import Engine, NoEngine
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError, last_words, run
from ansible_collections.vigil.monitoring.plugins.module_utils._restored import assemble, give, must_be_inside
from ansible_collections.vigil.monitoring.plugins.module_utils._snapshots import space_problem

# Begins the names of the transient units and of the containers.
PREFIX = "vigil-restore-test-"
# Stand for the port on which a service is started, and for the newest moment of its blocks in seconds.
PORT, NEWEST = "@port@", "@newest@"
# How many seconds a new block spans (storage.tsdb.min-block-duration), and in which steps its samples are looked for.
BLOCK, WINDOW = 7200, 120
# So long a rehearsed service may run, should nobody stop it.
LONGEST = 3600
STATE = ".vigil"


class Process(NamedTuple):
    """How a service runs on this host.

    :ivar argv: its command line.
    :ivar uid: of its account.
    :ivar gid: of its group.
    :ivar image: ID of the image of its container; None without one.
    """

    argv: list
    uid: int
    gid: int
    image: Optional[str] = None


def arguments(process: Process, keep: list, given: list, port: int) -> list:
    """The command line of a rehearsed service.

    :param process: how it runs on this host.
    :param keep: beginnings of the arguments that it shares with that.
    :param given: its other arguments, with :data:`PORT` in them.
    """
    kept = [one for one in process.argv[1:] if any(one.startswith(start) for start in keep)]
    return [process.argv[0], *kept, *(one.replace(PORT, str(port)) for one in given)]


def unit_properties(process: Process, mounts: dict, data: str, limits: dict) -> list:
    """The options of systemd-run for a rehearsed service.

    :param mounts: directory that was restored -> where the service sees it.
    :param data: where it sees its data, the one directory that it can write.
    :param limits: ``memory`` in bytes and ``cpu`` in percent of a core.
    """
    values = {
        "User": process.uid,
        "Group": process.gid,
        "MemoryMax": limits["memory"],
        "CPUQuota": "{0}%".format(limits["cpu"]),
        "Nice": 10,
        # Before anything of production.
        "OOMScoreAdjust": 1000,
        "RuntimeMaxSec": LONGEST,
        "TimeoutStopSec": 15,
        "ProtectSystem": "strict",
        "ReadWritePaths": data,
        "ProtectHome": "true",
        "PrivateTmp": "true",
        "PrivateDevices": "true",
        "NoNewPrivileges": "true",
        "CapabilityBoundingSet": "",
        "IPAddressDeny": "any",
        "IPAddressAllow": "localhost",
    }
    found = [part for name, value in values.items() for part in ("-p", "{0}={1}".format(name, value))]
    for source, target in mounts.items():
        kind = "BindPaths" if target == data else "BindReadOnlyPaths"
        found += ["-p", "{0}={1}:{2}".format(kind, source, target)]
    return found


def container_body(process: Process, argv: list, mounts: dict, data: str, limits: dict, environment: dict) -> dict:
    """The container of a rehearsed service, as the engine's API takes it. Parameters as of :func:`unit_properties`.

    :param environment: what differs from that of its image.
    """
    return {
        "Image": process.image,
        "Entrypoint": argv[:1],
        "Cmd": argv[1:],
        "User": "{0}:{1}".format(process.uid, process.gid),
        "Env": ["{0}={1}".format(name, value) for name, value in environment.items()],
        "HostConfig": {
            "NetworkMode": "host",
            "Binds": [
                "{0}:{1}:{2}".format(source, target, "rw" if target == data else "ro")
                for source, target in mounts.items()
            ],
            "Memory": limits["memory"],
            "NanoCpus": limits["cpu"] * 10000000,
            "OomScoreAdj": 1000,
            "ReadonlyRootfs": True,
            "Tmpfs": {"/tmp": "rw,noexec,nosuid,size=64m"},
            "SecurityOpt": ["no-new-privileges"],
            "CapDrop": ["ALL"],
            "RestartPolicy": {"Name": "no"},
        },
    }


def newest_of(data: str):
    """Where the newest block of a time series database ends, in seconds; None without blocks.

    :raises BackupError: when one of them does not say which time it is of.
    """
    found = []
    for path in glob.glob(glob.escape(data) + "/*/meta.json"):
        if os.path.islink(path):
            continue
        try:
            with open(path, encoding="utf-8") as stream:
                found.append(int(json.load(stream)["maxTime"]))
        except (KeyError, TypeError, ValueError):
            raise BackupError("the block {0} was not restored completely".format(os.path.dirname(path))) from None
    # A block ends before this moment.
    return (max(found) - 1) / 1000 if found else None


def with_samples(ask, newest: float) -> tuple:
    """The newest moment of a block at which it has samples, and the answers about it: where the service did not run, the time of the
    block went on without any.

    :param ask: function of a moment in seconds that gives the answers to all queries about it: title -> ``status`` and ``text``.
    :param newest: where the block ends; it is what counts where no samples are found.
    """
    first = None
    for back in range(0, BLOCK, WINDOW):
        answers = ask(newest - back)
        if all(said["status"] != 200 or json.loads(said["text"])["data"]["result"] for said in answers.values()):
            return newest - back, answers
        first = first or answers
    return newest, first


class Rehearsal:
    """The services of a snapshot, one after the other, in a scratch directory.

    :param folder: the directory, of root's alone.
    :param docker_host: address of the engine.
    :param limits: see :func:`unit_properties`.
    :param patience: seconds until a service has to be ready.
    """

    def __init__(self, folder: str, docker_host: str, limits: dict, patience: int):
        self.folder, self.limits, self.patience = folder, limits, patience
        self.engine = Engine(docker_host)

    def sweep(self) -> None:
        """Remove what is left of this or an earlier run."""
        listed = run(["systemctl", "list-units", "--all", "--plain", "--no-legend", PREFIX + "*"])[1]
        for line in listed.splitlines():
            if line.split():
                run(["systemctl", "stop", line.split()[0]])
                run(["systemctl", "reset-failed", line.split()[0]])
        with contextlib.suppress(NoEngine):
            for one in self.engine.containers():
                names = [name.lstrip("/") for name in one.get("Names") or ()]
                for name in names:
                    if name.startswith(PREFIX):
                        self.engine.remove(name)
        for name in os.listdir(self.folder):
            shutil.rmtree(os.path.join(self.folder, name), ignore_errors=True)

    def rehearse(self, repository, snapshot, size: int, described: dict, wanted: dict) -> dict:
        """Restore a service, start it, and request of it what is compared.

        :param repository: a :class:`_snapshots.Repository` that is reached.
        :param size: bytes of its data.
        :param described: what the manifest says of it.
        :param wanted: what its room says, see :class:`_rehearsal.Wanted` of the controller's side.
        :returns: ``answers``, title -> status and text; ``newest``; ``size``; ``seconds``.
        :raises BackupError: when it cannot be restored.
        :raises HostError: when it does not start.
        """
        problem, began = space_problem(self.folder, size), time.time()
        if problem:
            raise HostError(problem)
        process = self._running(wanted["unit"])
        top = os.path.join(self.folder, wanted["service"])
        os.mkdir(top, 0o700)
        try:
            data, config = top + "/data", top + "/snapshot" + described["config"]
            for folder in (top + "/snapshot", data):
                os.mkdir(folder, 0o700)
            sources = [source["from"] for source in described["sources"]]
            optional = [described["config"], *described["files"]]
            repository.restore(snapshot, sources, top + "/snapshot", optional=optional)
            assemble(top, described)
            must_be_inside(config, top)
            if not os.path.isdir(config):
                raise BackupError("the snapshot does not have its directory {0}".format(described["config"]))
            shutil.rmtree(os.path.join(config, STATE), ignore_errors=True)
            for name, text in wanted["files"].items():
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
                descriptor = os.open(os.path.join(config, name), flags, 0o400)
                with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                    stream.write(text)
            for path in (data, config):
                os.chown(path, process.uid, process.gid)
                os.chmod(path, 0o700)
                # Of links to what is deployed: it sees that.
                give(path, process.uid, process.gid, keeps_links=True)
            newest = newest_of(data) if wanted["has_blocks"] else None
            restored = time.time() - began
            answers, newest = self._ask(wanted, process, {data: wanted["data"], config: wanted["config"]}, newest)
        finally:
            self._stop(wanted["service"])
            shutil.rmtree(top, ignore_errors=True)
        return {"answers": answers, "newest": newest, "size": size, "seconds": restored}

    def _running(self, unit):
        pid = int(run(["systemctl", "show", "-P", "MainPID", unit + ".service"])[1].strip() or 0)
        container = None
        if not pid:
            with contextlib.suppress(NoEngine):
                container = self.engine.container(unit)
            pid = ((container or {}).get("State") or {}).get("Pid") or 0
        if not pid:
            raise HostError("{0} does not run on this host, from whose program it would be started".format(unit))
        with open("/proc/{0}/status".format(pid), encoding="utf-8") as stream:
            ids = dict(line.split(":", 1) for line in stream if line.startswith(("Uid:", "Gid:")))
        uid, gid = (int(ids[name].split()[1]) for name in ("Uid", "Gid"))
        if container:
            said = container["Config"]
            return Process([*(said["Entrypoint"] or ()), *(said["Cmd"] or ())], uid, gid, container["Image"])
        with open("/proc/{0}/cmdline".format(pid), "rb") as stream:
            return Process(stream.read().decode("utf-8").split("\0")[:-1], uid, gid)

    def _ask(self, wanted, process, mounts, newest):
        """Start it, and send it the requests: the answers, and the moment that was asked about."""
        port, since = _free_port(), time.time()
        argv = arguments(process, wanted["keep"], wanted["arguments"], port)
        name = PREFIX + wanted["service"]
        if process.image:
            body = container_body(process, argv, mounts, wanted["data"], self.limits, wanted["environment"])
            self.engine.create(name, body)
            self.engine.start(name)
        else:
            options = unit_properties(process, mounts, wanted["data"], self.limits)
            command = ["systemd-run", "--quiet", "--service-type=exec", "--unit=" + name, *options, "--", *argv]
            status, output = run(command)
            if status:
                raise HostError("it cannot be started: {0}".format(output.strip()))
        base = "http://127.0.0.1:{0}".format(port)
        access = _client.Access(username=wanted["username"], password=wanted["password"])
        deadline = time.monotonic() + self.patience
        while True:
            with contextlib.suppress(_client.AskError):
                if _client.get(base + wanted["ready"], access, 5).status == 200:
                    break
            if time.monotonic() > deadline or not self._is_alive(name, process):
                words = self.engine.log(name, 0, 15) if process.image else last_words(name, since)
                raise HostError("it is not ready with the restored data. Last log lines:\n{0}".format(words))
            time.sleep(0.2)

        def ask(requests, moment=None):
            answers = {}
            for title, path in requests.items():
                dated = path if moment is None else path.replace(NEWEST, "{0:.3f}".format(moment))
                try:
                    said = _client.get(base + dated, access, 60)
                except _client.AskError as error:
                    raise HostError("it does not answer {0}: {1}".format(path, error)) from error
                answers[title] = {"status": said.status, "text": said.body.decode("utf-8", "replace")}
            return answers

        dated = {title: path for title, path in wanted["requests"].items() if NEWEST in path}
        answers = ask({title: path for title, path in wanted["requests"].items() if title not in dated})
        if dated and newest is not None:
            newest, found = with_samples(lambda moment: ask(dated, moment), newest)
            answers.update(found)
        return answers, newest

    def _is_alive(self, name, process):
        if process.image:
            return bool(((self.engine.container(name) or {}).get("State") or {}).get("Running"))
        return run(["systemctl", "is-active", name])[1].strip() in ("active", "activating")

    def _stop(self, service):
        name = PREFIX + service
        run(["systemctl", "stop", name])
        run(["systemctl", "reset-failed", name])
        with contextlib.suppress(NoEngine):
            if self.engine.container(name):
                self.engine.remove(name)


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
