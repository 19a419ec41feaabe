# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison of the controller says that something differs exactly where a module would change something, or complain.

Each state of a simulated host goes through both: the comparison as one command of a real shell, with programs on the PATH
that answer as the simulated host is, and the modules config_files and service in check mode.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _compare_program, _runtime_docker, _systemd
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import LABEL_DEFINITION, LABEL_SERVICE
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError, State
from ansible_collections.vigil.monitoring.plugins.module_utils._http import Answer
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_docker import Docker
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _compare_service
from ansible_collections.vigil.monitoring.plugins.plugin_utils._compare_service import Service
from ansible_collections.vigil.monitoring.plugins.plugin_utils._host_comparison import Comparison
from checked_health import checked
from simulated_host import NAME, UNIT, Host, Program, activate, deploy, dying, stage

TITLE = NAME + ".service"
PORT = 9090
CONTAINER = {"image": "a/b:1", "user": "0:0", "network_mode": "host", "command": []}
DOCKER = {"ApiVersion": "1.45", "Version": "27.0.3", "Components": [{"Name": "Engine"}]}


class Subject(Host):
    """A host with what the inventory specifies for it; a state changes either.

    :ivar config: text of its configuration.
    :ivar wanted: options of the module service that differ from the usual ones.
    :ivar staged: options of config_files, likewise.
    :ivar tls: whether the service speaks TLS; ``login``: the one that it requires; ``client``: whether a client
        certificate is required.
    :ivar pipelining: whether the controller can send a password.
    :ivar engine: what the engine has, for a container.
    """

    def __init__(self, root):
        super().__init__(root)
        self.config, self.wanted, self.staged = "a: 1", {}, {}
        self.tls, self.login, self.client, self.shown, self.pipelining = False, None, False, None, True
        self.engine = None
        self.data, self.beside, self.token = self.root / "data", self.root / "amtool.yml", self.root / "token"

    def get(self, url, username=None, password=None, client_cert=None, **more):
        scheme, path = urlsplit(url).scheme, urlsplit(url).path
        if self.process and (scheme == "https") != self.tls:
            return Answer(0, "wrong version number", "plain") if not self.tls else Answer(400, "", "tls")
        if self.client and not client_cert:
            return Answer(0, "certificate required", "stranger")
        if self.login and (username, password) != self.login:
            return Answer(401, "Unauthorized", "login" if username else "")
        if path == "/api/v1/status/config" and self.process:
            return Answer(200, self.shown or self.process.loaded)
        return super().get(url.replace("https:", "http:"), **more)

    def _show(self, title):
        shown = super()._show(title)
        foreign = self.unit.with_suffix(".service.d").is_dir() and title == TITLE
        return shown.replace("NeedDaemonReload=no", "NeedDaemonReload=yes") if foreign else shown

    def options(self):
        """Those of the module service."""
        wanted = dict(self.wanted)
        flags, lines, health = wanted.pop("flags", ()), wanted.pop("lines", ""), wanted.pop("health", {})
        version = wanted.pop("version", "3.5.3")
        argv = [str(self.link), f"--config.file={self.etc}/prometheus.yml", f"--web.listen-address=127.0.0.1:{PORT}"]
        argv += flags
        return {
            "name": NAME,
            "config_dir": str(self.etc),
            "runtime": "systemd",
            "unit": UNIT.format(argv=" ".join(argv), lines=lines),
            "dropin": "",
            "argv": argv,
            "version": version,
            "links": {str(self.link): str(self.root / "opt" / version / NAME)},
            "files": {str(self.beside): "x"},
            "conflicts": ["other.service"],
            "health": {**checked(NAME), "url": f"http://127.0.0.1:{PORT}", **health},
            **wanted,
        }

    def tree(self):
        """Those of config_files that matter to it, and its files."""
        files = [
            {"path": "prometheus.yml", "content": self.config, "mode": 0o640, "secret": False},
            {"path": "rules/vigil.yml", "content": "groups: []\n", "mode": 0o640, "secret": False},
            *self.staged.get("files", ()),
        ]
        data = {"path": str(self.data), "owner": "root", "group": "root", "mode": "0700"}
        return {
            "path": str(self.etc),
            "user": self.staged.get("user", "root"),
            "group": "root",
            "files": [file for file in files if file["path"] != self.staged.get("without")],
            "directories": [data],
            "validate": [],
            "readable": [str(self.token)],
            "superseded": [{"path": "peer.yml", "pattern": "# peer", "secret": False}],
            "refuse": ["${"],
        }

    def run_modules(self, check):
        """What config_files and service return."""
        options = self.options()
        health = options.pop("health")
        options["asked"] = Service({**options, "health": health}).asked
        tree = self.tree()
        names = ("directories", "readable", "user", "refuse", "superseded")
        more = {name: tree[name] for name in names}
        files = [file for file in tree["files"] if file["path"] != "prometheus.yml"]
        staged = stage(self, self.config, check, files=files, take_over=True, **more)
        if staged.get("failed"):
            return [staged]
        return [staged, activate(self, check=check, health=health, **options)]

    def converge(self):
        """Have it as specified, with a record of that."""
        for found in self.run_modules(check=False):
            assert not found.get("failed"), found

    def would_change(self):
        """What the modules would change, or complain about: in check mode, and where that finds nothing, in a run.

        A check asks no service for its health.
        """
        for check in (True, False):
            try:
                found = self.run_modules(check)
            except HostError as error:
                found = [{"failed": True, "msg": str(error)}]
            if any(one.get("failed") or one["changed"] for one in found):
                return True, found
        return False, found

    def differs(self):
        """What the comparison says."""
        room = SimpleNamespace(
            config_options=lambda i, release: self.tree(), service_options=lambda i, release: self.options()
        )
        python = self.root / "programs" / "python3"
        i = {"runtime": self.options()["runtime"], "install_method": "archive"}
        given = {"changed": False}
        comparison = Comparison(room, i, lambda entry: entry, str(python), given, self.pipelining)
        command = comparison.command()
        self._answer(comparison)
        environment = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["/bin/sh", "-c", command], stdout=subprocess.PIPE, text=True, check=False, env=environment
        )
        return comparison.outcome(done.stdout).differs

    def _answer(self, comparison):
        """Have the programs of the host answer as it is."""
        asked = comparison._service.program_options(bool(comparison.login))
        login = json.loads(comparison.login) if comparison.login else None
        installed = (self.etc / ".vigil" / _compare_program.directory() / "__main__.py").exists()
        answers = {"systemctl": "", "docker": "", "python3": ""}
        if installed:
            with contextlib.suppress(OSError, TypeError, KeyError, ValueError):
                seen = _compare_program.compare(asked, login, self, str(self.etc / ".vigil"))
                answers["python3"] = json.dumps(seen)
        blocks = [f"Id={title}\n" + self._show(title) + "\n" for title in (TITLE, "other.service")]
        answers["systemctl"] = "\n".join(blocks)
        if self.engine:
            there = [self.engine.container(name) for name in (NAME, NAME + "-vigil-next", NAME + "-vigil-previous")]
            answers["docker"] = "\n".join(json.dumps(one) for one in there if one)
        for name, text in answers.items():
            program = self.root / "programs" / name
            program.parent.mkdir(exist_ok=True)
            program.with_suffix(".answer").write_text(text)
            program.write_text(f"#!/bin/sh\nexec cat {shlex.quote(str(program.with_suffix('.answer')))}\n")
            program.chmod(0o755)


@pytest.fixture
def host(monkeypatch):
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        os.chmod(folder, 0o755)
        made = Subject(Path(folder))
        monkeypatch.setattr(_compare_service, "unit_path", lambda name: _systemd.unit_path(name, made.unit_directory))
        monkeypatch.setattr(
            _compare_service, "dropin_path", lambda name: _systemd.dropin_path(name, made.unit_directory)
        )
        made.install("3.5.3")
        made.install("3.6.0")
        made.token.write_text("x")
        made.token.chmod(0o644)
        yield made


def verdicts(host):
    """Whether the comparison finds a difference, whether a module would change something, and what both say."""
    differs = host.differs()
    would, found = host.would_change()
    return bool(differs), would, (differs, found)


def agree(host, expected):
    differs, would, found = verdicts(host)
    assert (differs, would) == (expected, expected), found


# Changes of the host


def written(path, text=None):
    def change(host):
        target = host.root / path
        target.write_text(target.read_text() if text is None else text)

    return change


def removed(path):
    return lambda host: (host.root / path).unlink()


def moded(path, mode):
    return lambda host: (host.root / path).chmod(mode)


def owned(path, uid, gid):
    return lambda host: os.chown(host.root / path, uid, gid)


def linked(path, target="elsewhere"):
    def change(host):
        (host.root / path).unlink()
        (host.root / path).symlink_to(target)

    return change


def emptied_directory(path):
    def change(host):
        (host.root / path).unlink()
        (host.root / path).mkdir()

    return change


def wants(**options):
    return lambda host: host.wanted.update(options)


def stages(**options):
    return lambda host: host.staged.update(options)


def sets(**values):
    return lambda host: [setattr(host, name, value) for name, value in values.items()]


def behaves(**behaviour):
    return lambda host: [setattr(host.process.program, name, value) for name, value in behaviour.items()]


def runs(**values):
    return lambda host: [setattr(host.process, name, value) for name, value in values.items()]


def both(*changes):
    return lambda host: [change(host) for change in changes]


def stopped(host):
    host._stop(TITLE)


def by_hand(*words):
    def change(host):
        argv, environment = [*host.process.argv, *words], host.process.environment
        program = host.process.program
        host._stop(TITLE)
        host._load(host._spawn(argv, program, TITLE, environment))

    return change


def other_argument(host):
    host.process.argv = [*host.process.argv, "--web.enable-admin-api"]


def other_environment(host):
    host.process.environment = {**host.process.environment, "GOGC": "5"}


def foreign_dropin(text, name="90-other.conf"):
    def change(host):
        folder = host.root / "systemd" / (TITLE + ".d")
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    return change


def conflicting(active):
    def change(host):
        host.world.read["other.service"] = ("", "")
        if active:
            host._spawn(["/usr/bin/other"], Program("1"), "other.service", {})
        else:
            host.world.enabled.add("other.service")

    return change


def record(name, **values):
    """Something of what is remembered is otherwise."""

    def change(host):
        path = host.etc / ".vigil" / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


UNDO, STAGED = "etc/prometheus/.vigil/undo", "etc/prometheus/.vigil/staged"
CONFIG, RULES = "etc/prometheus/prometheus.yml", "etc/prometheus/rules/vigil.yml"
MORE = {"path": "rules/more.yml", "content": "x", "mode": 0o640, "secret": False}

DIFFERENT = {
    # Files
    "the configuration was edited": written(CONFIG, "a: 2"),
    "the configuration was edited, loaded and put back": both(written(CONFIG, "b"), written(CONFIG, "a: 1")),
    "the configuration is gone": removed(CONFIG),
    "the configuration is a link": linked(CONFIG),
    "the configuration is a directory": emptied_directory(CONFIG),
    "the configuration is empty": written(CONFIG, ""),
    "the configuration has another mode": moded(CONFIG, 0o644),
    "the configuration has another owner": owned(CONFIG, 1, 0),
    "the configuration has another group": owned(CONFIG, 0, 1),
    "a rule file was edited": written(RULES, "x"),
    "a rule file is gone": removed(RULES),
    "a rule file was written as it was": written(RULES),
    "a rule file is a link": linked(RULES),
    "the rules' directory has another mode": moded("etc/prometheus/rules", 0o755),
    "the rules' directory has another owner": owned("etc/prometheus/rules", 1, 0),
    "the configuration directory has another mode": moded("etc/prometheus", 0o755),
    "the configuration directory has another group": owned("etc/prometheus", 0, 1),
    "a rule file of somebody's is loaded": written("etc/prometheus/rules/theirs.yml", ""),
    "the data directory has another mode": moded("data", 0o755),
    "the data directory has another owner": owned("data", 1, 0),
    "the data directory is gone": lambda host: host.data.rmdir(),
    "the rules are gone": lambda host: shutil.rmtree(host.etc / "rules"),
    "another configuration is wanted": sets(config="a: 2"),
    "one file more is wanted": stages(files=[MORE]),
    "one file less is wanted": stages(without="rules/vigil.yml"),
    "a variable was left in the configuration": sets(config="a: ${x}"),
    "what another collection left": written("etc/prometheus/peer.yml", "# peer"),
    "a file that the configuration names is gone": removed("token"),
    "a file that the configuration names is empty": written("token", ""),
    "a file that the configuration names is a directory": emptied_directory("token"),
    "a file that the configuration names is a broken link": linked("token"),
    "a file that the configuration names is a pipe": lambda host: (host.token.unlink(), os.mkfifo(host.token)),
    "a user that does not exist is wanted": stages(user="nobody-has-this-name"),
    # The unit
    "the unit was edited": lambda host: host.unit.write_text(host.unit.read_text() + "# x\n"),
    "the unit is gone": removed("systemd/prometheus.service"),
    "the unit is a link": lambda host: (host.unit.rename(host.root / "u"), host.unit.symlink_to(host.root / "u")),
    "the link leads elsewhere": linked("bin/prometheus", "/bin/true"),
    "the link is gone": removed("bin/prometheus"),
    "a file stands for the link": lambda host: (host.link.unlink(), host.link.write_text("")),
    "another flag is wanted": wants(flags=["--log.level=debug"]),
    "a line of the unit more is wanted": wants(lines="Nice=5\n"),
    "lines of the user's own are wanted": wants(dropin="[Service]\nNice=5\n"),
    "another version is wanted": wants(version="3.6.0"),
    "a file beside is edited": written("amtool.yml", "y"),
    "a file beside is gone": removed("amtool.yml"),
    "another file beside is wanted": lambda host: host.wanted.update(files={str(host.beside): "z"}),
    "the service does not come up with the host": lambda host: host.world.enabled.discard(TITLE),
    "another unit for the same port runs": conflicting(True),
    "another unit for the same port comes up with the host": conflicting(False),
    "somebody's drop-in changes the command": foreign_dropin("[Service]\nExecStart=\nExecStart=/bin/x\n"),
    # The process
    "the service does not run": stopped,
    "the service cannot be started": both(stopped, lambda host: host.world.failed.add(TITLE)),
    "the service was started by hand with another argument": by_hand("--web.enable-lifecycle"),
    "the process has another argument": other_argument,
    "the process has another environment": other_environment,
    "the process has another binary": runs(executable="/usr/bin/prometheus"),
    "the binary of the process was deleted": lambda host: setattr(host.process, "executable", str(host.link) + " (deleted)"),
    "the process is of another unit": lambda host: host.process.environment.update(VIGIL_UNIT="other"),
    "the service crashed": lambda host: host.crash(),
    "the host was booted": lambda host: host.boot(),
    "the service does not answer": behaves(mute=True),
    "the service is not ready": lambda host: setattr(host.process.program, "ready_after", 1e6),
    "another version answers": behaves(says="3.5.2"),
    "its last reload failed": runs(reload_successful=False),
    # What it has loaded
    "it shows another configuration": sets(shown="a: 3"),
    "a directory was restored from a backup": both(written(CONFIG), written(RULES)),
    # What is remembered, and interrupted switches
    "nothing is remembered": lambda host: shutil.rmtree(host.etc / ".vigil"),
    "another process was verified": record("proven.json", pid=1, started="1"),
    "something else is staged": lambda host: stage(host, "a: 5"),
    # TLS, and who is let in
    "it speaks TLS, and the health check does not": sets(tls=True),
    "the health check uses TLS, and the service does not": wants(health={"url": f"https://127.0.0.1:{PORT}"}),
    "a client certificate is required": sets(client=True),
    "the password is refused": both(sets(login=("u", "p")), wants(health={"username": "u", "password": "other"})),
}  # fmt: skip
SAME = {
    "nothing happened": lambda host: None,
    "a file beside the configuration was written": written("etc/prometheus/token", "x"),
    "a renewed file that the configuration names": written("token", "y"),
    "a password is required, and none is given": sets(login=("u", "p")),
    "lines were logged": lambda host: host.world.log.append("level=error err=x"),
    "another process listens elsewhere": lambda host: host.occupy(9999, "third.service"),
    "a file of somebody's own in the configuration directory": written("etc/prometheus/own.yml", "x"),
}  # fmt: skip

# Something is done that is reported as no change: systemd reads its files again.
REREAD = {
    "systemd has yet to read the unit": lambda host: host.world.read.update({TITLE: ("x", "")}),
    "somebody's harmless drop-in": foreign_dropin("[Service]\nNice=5\n"),
}


@pytest.fixture
def converged(host):
    host.converge()
    return host


@pytest.mark.parametrize("state", DIFFERENT)
def test_a_difference(converged, state):
    DIFFERENT[state](converged)
    agree(converged, True)


@pytest.mark.parametrize("state", SAME)
def test_no_difference(converged, state):
    SAME[state](converged)
    agree(converged, False)


@pytest.mark.parametrize("state", REREAD)
def test_a_unit_that_systemd_has_to_read_again(converged, state):
    REREAD[state](converged)
    differs, would, found = verdicts(converged)
    assert (differs, would) == (True, False), found
    assert "systemctl daemon-reload" in converged.commands


PROTECTED = {
    "TLS": (sets(tls=True), {"url": f"https://127.0.0.1:{PORT}"}),
    "a client certificate": (
        sets(tls=True, client=True),
        {"url": f"https://127.0.0.1:{PORT}", "ca_path": "own.pem", "client_cert": "own.pem"},
    ),
    "a password": (sets(login=("u", "p")), {"username": "u", "password": "p"}),
    "a password that cannot be sent": (
        sets(login=("u", "p"), pipelining=False),
        {"username": "u", "password": "p"},
    ),
}
# What happens to a service with TLS or a password -> whether that differs.
EVENTS = {
    "nothing": (lambda host: None, False),
    "it was restarted": (by_hand(), True),
    "its configuration was written": (written(CONFIG), True),
    "its unit was edited": (lambda host: host.unit.write_text(host.unit.read_text() + "# x\n"), True),
    "it was stopped": (stopped, True),
    "a named file is gone": (removed("token"), True),
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate and its key, in one file."""
    path = tmp_path_factory.mktemp("certificate") / "own.pem"
    argv = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x -keyout {0} -out {0}.crt".format(path)
    subprocess.run(argv.split(), check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return str(path)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("way", PROTECTED)
def test_a_service_with_tls_or_a_password(host, certificate, way, event):
    change, health = PROTECTED[way]
    health = {name: certificate if value == "own.pem" else value for name, value in health.items()}
    change(host)
    host.wanted["health"] = health
    host.converge()
    happens, expected = EVENTS[event]
    happens(host)
    agree(host, expected)


@pytest.mark.parametrize("moment", range(0, 40, 3))
def test_a_switch_that_was_cut_off(converged, moment):
    """Before one of its changes of the disk; what was specified before is specified again."""
    before = converged.files(), sorted(os.listdir(converged.etc / ".vigil"))
    ended = dying(converged, moment, lambda: deploy(converged, "a: 2", version="3.6.0"))
    converged.recall()
    same = (converged.files(), sorted(os.listdir(converged.etc / ".vigil"))) == before
    assert not (ended and same)
    differs, would, found = verdicts(converged)
    # What is merely staged is removed, which counts as no change.
    assert differs or not would, found
    assert differs is not same, found


class Engine:
    """An engine with the service's container, and a process for it."""

    host = "unix:///run/docker.sock"

    def __init__(self):
        self.all, self.device = [], None

    def version(self):
        return DOCKER

    def info(self):
        return {"SecurityOptions": []}

    def container(self, name):
        return next((one for one in self.all if name in (one["Id"], one["Name"].lstrip("/"))), None)

    def containers(self):
        return [dict(one, Names=[one["Name"]], Labels=one["Config"]["Labels"], Ports=[]) for one in self.all]

    def network(self, name):
        return {}

    def run_once(self, *dummy, **more):
        return 0, "prometheus, version 3.5.3"

    def set_policy(self, *dummy):
        pass

    def deaths(self, identity, since):
        return ()

    def log(self, *dummy):
        return ""


@pytest.fixture
def contained(host, monkeypatch):
    """The same service as a container of an engine, as specified."""
    host.converge()
    engine = host.engine = Engine()
    monkeypatch.setattr(_runtime_docker, "Engine", lambda address: engine)
    container = {**CONTAINER, "devices": ["/dev/null:/dev/null:r"]}
    fingerprint = Docker(NAME, engine, container, "sha256:1").fingerprint()
    one = {
        "Id": "id1",
        "Name": "/" + NAME,
        "Image": "sha256:1",
        "RestartCount": 0,
        "Config": {"Labels": {LABEL_SERVICE: NAME, LABEL_DEFINITION: fingerprint}},
        "State": {"Running": True, "Restarting": False, "Pid": host.process.pid, "StartedAt": "0"},
        "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}},
        "NetworkSettings": {"Networks": {"host": {}}},
    }
    engine.all = [one]
    made = {"id": "id1", "image": "sha256:1", "fingerprint": fingerprint, "definition": container}
    manifest = host.etc / ".vigil" / "manifest.json"
    known = dict(
        json.loads(manifest.read_text()), units=[], links={}, container=dict(made, limits={"networks": ["host"]})
    )
    manifest.write_text(json.dumps(known))
    State(str(host.etc)).remember_engine(engine.host)
    host.unit.unlink()
    host.world.read.clear()
    host.world.enabled.clear()
    docker = {"runtime": "docker", "unit": None, "container": container, "image": "sha256:1", "links": {}}
    host.wanted.update(docker, docker_host=engine.host, conflicts=[])
    host.converge()
    return host


def inspected(**values):
    def change(host):
        for name, value in values.items():
            found = host.engine.all[0]
            found[name] = {**found[name], **value} if isinstance(value, dict) else value

    return change


def container_wants(**options):
    return lambda host: host.wanted.update(container={**host.wanted["container"], **options})


IN_DOCKER = {
    "nothing happened": (lambda host: None, False),
    "it is another container": (inspected(Id="id2"), True),
    "it has another image": (inspected(Image="sha256:2"), True),
    "it does not run": (inspected(State={"Running": False, "Pid": 0}), True),
    "it is being restarted": (inspected(State={"Running": False, "Restarting": True, "Pid": 0}), True),
    "it does not come up with the engine": (inspected(HostConfig={"RestartPolicy": {"Name": "no"}}), True),
    "it was given other limits": (inspected(HostConfig={"RestartPolicy": {"Name": "unless-stopped"}, "Memory": 1}), True),
    "it is in another network": (inspected(NetworkSettings={"Networks": {"other": {}}}), True),
    "it was renamed": (inspected(Name="/mine"), True),
    "it was removed": (lambda host: host.engine.all.clear(), True),
    "it is nobody's": (inspected(Config={"Labels": {}}), True),
    "another image is wanted": (wants(image="sha256:2"), True),
    "another command is wanted": (container_wants(command=["--x"]), True),
    "another network is wanted": (container_wants(network_mode="bridge"), True),
    "no device is wanted": (container_wants(devices=[]), True),
    "another device is wanted": (container_wants(devices=["/dev/zero:/dev/zero:r"]), True),
    "a configuration was edited": (written(CONFIG, "a: 2"), True),
    "a configuration was written as it was": (written(CONFIG), True),
    "a named file is gone": (removed("token"), True),
    "it shows another configuration": (sets(shown="a: 3"), True),
    "another version answers": (behaves(says="3.5.2"), True),
    "its last reload failed": (runs(reload_successful=False), True),
    "the process has another argument": (other_argument, True),
    "a password is required, and none is given": (sets(login=("u", "p")), False),
    "it speaks TLS, and the health check does not": (sets(tls=True), True),
    "a file beside is edited": (written("amtool.yml", "y"), True),
}  # fmt: skip


@pytest.mark.parametrize("state", IN_DOCKER)
def test_a_container(contained, state):
    change, expected = IN_DOCKER[state]
    contained.engine.all = copy.deepcopy(contained.engine.all)
    change(contained)
    agree(contained, expected)


def test_there_are_more_than_a_hundred_states():
    assert len(DIFFERENT) + len(SAME) + len(PROTECTED) * len(EVENTS) + len(IN_DOCKER) > 100
