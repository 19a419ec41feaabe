"""The comparison of a host, carried out by a real shell in a scratch directory: only what is exactly as specified passes."""

from __future__ import annotations

import base64
import contextlib
import grp
import hashlib
import http.server
import json
import os
import pwd
import shutil
import ssl
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import ClassVar

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.action import service as service_action
from ansible_collections.vigil.monitoring.plugins.module_utils import _compare_program, _process_state
from ansible_collections.vigil.monitoring.plugins.module_utils._health import complete
from ansible_collections.vigil.monitoring.plugins.module_utils._host import State
from ansible_collections.vigil.monitoring.plugins.module_utils._process import Running, start_ticks
from ansible_collections.vigil.monitoring.plugins.module_utils._record import Record
from ansible_collections.vigil.monitoring.plugins.module_utils._release import architecture, record
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_docker import Docker
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_systemd import Systemd
from ansible_collections.vigil.monitoring.plugins.module_utils._system import System
from ansible_collections.vigil.monitoring.plugins.module_utils._systemd import definition
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _compare_files, _compare_service, _host_commands
from ansible_collections.vigil.monitoring.plugins.plugin_utils._compare_containers import Containers, Image
from ansible_collections.vigil.monitoring.plugins.plugin_utils._compare_files import Tree
from ansible_collections.vigil.monitoring.plugins.plugin_utils._compare_release import Release
from ansible_collections.vigil.monitoring.plugins.plugin_utils._compare_service import Service
from checked_health import health_of

ME = pwd.getpwuid(os.geteuid()).pw_name
MINE = grp.getgrgid(os.getegid()).gr_name
FILES = [
    {"path": "it's.yml", "content": "a: ü\n", "mode": 0o640, "secret": False},
    {"path": "rules/deep/empty.yml", "content": "", "mode": 0o600, "secret": True},
]


def run(command, given=""):
    argv = ["/bin/sh", "-c", command]
    return subprocess.run(argv, input=given, stdout=subprocess.PIPE, text=True, check=False).stdout


def write(path, text):
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)


@pytest.fixture(params=["named", "listed"])
def tree(tmp_path, request, monkeypatch):
    """A tree as specified, on a disk on which everything belongs to whoever runs the tests: of few files and of many."""
    monkeypatch.setattr(_compare_files, "MANY", 0 if request.param == "listed" else 200)
    path, data = tmp_path / "etc", tmp_path / "data"
    for directory, mode in ((path, 0o750), (path / "rules", 0o750), (path / "rules/deep", 0o750), (data, 0o700)):
        directory.mkdir()
        directory.chmod(mode)
    for entry in FILES:
        write(path / entry["path"], entry["content"])
        (path / entry["path"]).chmod(entry["mode"])
    (path / ".vigil").mkdir(mode=0o700)
    manifest = {
        "generation": "g1",
        "files": {entry["path"]: hashlib.sha256(entry["content"].encode()).hexdigest() for entry in FILES},
        "secret": ["rules/deep/empty.yml"],
        "validators": [os.path.realpath(sys.executable)],
    }
    write(path / ".vigil/manifest.json", json.dumps(manifest, indent=1))
    write(path / ".vigil/proven.json", '{"generation": "g1"}')
    directories = [{"path": f"{data}/", "owner": ME, "group": MINE, "mode": "0700"}]
    superseded = ["rules/peer.yml", "it's.yml"]
    made = Tree(f"{path}/", ME, MINE, FILES, directories, [sys.executable], absent=superseded)
    for known in (made.wanted, made.kinds):
        known.update({name: (kind, mode, ME, MINE) for name, (kind, mode, *_owner) in known.items()})
    return made


def test_a_tree_as_asked(tree):
    assert tree.matches(run(tree.command()))


def test_what_a_login_prints_does_not_matter(tree):
    assert tree.matches("Welcome!\n" + run(tree.command()) + "Bye.\n")


def test_what_others_put_beside_the_files_does_not_matter(tree):
    write(f"{tree.path}/rules/other\nf|777|root|root|x.yml", "x")
    assert tree.matches(run(tree.command()))


def test_a_tree_of_many_files(tmp_path):
    """Their names would not fit into one command line."""
    files = [{**FILES[0], "path": f"rules/{'x' * 60}{number}.yml"} for number in range(2_000)]
    tree = Tree(str(tmp_path), ME, MINE, files, [], [])
    assert len(tree.command()) < _host_commands.LONGEST / 10


def test_a_tree_of_nothing(tmp_path):
    (tmp_path / ".vigil").mkdir(mode=0o700)
    empty = {"generation": "g", "files": {}, "secret": [], "validators": []}
    write(tmp_path / ".vigil/manifest.json", json.dumps(empty))
    write(tmp_path / ".vigil/proven.json", '{"generation": "g"}')
    tmp_path.chmod(0o750)
    tree = Tree(str(tmp_path), ME, MINE, [], [], [])
    tree.wanted[str(tmp_path)] = ("directory", 0o750, ME, MINE)
    assert tree.matches(run(tree.command()))


def amend(path, **values):
    with open(path, encoding="utf-8") as stream:
        known = json.load(stream)
    write(path, json.dumps({**known, **values}))


CHANGES = {
    "another content": lambda path: write(f"{path}/it's.yml", "b"),
    "another mode": lambda path: os.chmod(f"{path}/it's.yml", 0o644),
    "a file that is missing": lambda path: os.unlink(f"{path}/it's.yml"),
    "a link in place of a file": lambda path: (os.rename(f"{path}/it's.yml", f"{path}/x"), os.symlink("x", f"{path}/it's.yml")),
    "another mode of a directory": lambda path: os.chmod(f"{path}/rules", 0o755),
    "no data directory": lambda path: os.rmdir(f"{path}/../data"),
    "what another collection left": lambda path: write(f"{path}/rules/peer.yml", ""),
    "a switch under way": lambda path: write(f"{path}/.vigil/undo", ""),
    "something staged": lambda path: os.mkdir(f"{path}/.vigil/staged"),
    "a generation that was not verified": lambda path: amend(f"{path}/.vigil/manifest.json", generation="g2"),
    "a file that is ours and not specified": lambda path: amend(f"{path}/.vigil/manifest.json", files={"other": "0"}),
    "another validator": lambda path: amend(f"{path}/.vigil/manifest.json", validators=["/bin/true"]),
    "a secret that was none": lambda path: amend(f"{path}/.vigil/manifest.json", secret=[]),
    "no manifest": lambda path: os.unlink(f"{path}/.vigil/manifest.json"),
    "a damaged manifest": lambda path: write(f"{path}/.vigil/manifest.json", "{"),
    "nothing at all": shutil.rmtree,
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_tree_that_is_not_as_asked(tree, change):
    CHANGES[change](tree.path)
    assert not tree.matches(run(tree.command()))


def test_an_account_that_is_not_there(tree):
    tree.user = "nobody-has-this-name"
    assert not tree.matches(run(tree.command()))


@pytest.mark.parametrize("output", ["", "sudo: a password is required", f"{_host_commands.MARK}\n" * 8])
def test_output_that_says_nothing(tree, output):
    assert not tree.matches(output)


@pytest.fixture
def release(tmp_path):
    """A release that is there."""
    made = Release("tool", "1.2.3", str(tmp_path), ["tool", "lib/helper"])
    os.makedirs(f"{made.path}/lib")
    for member in made.members:
        write(f"{made.path}/{member}", member)
    binaries = {member: os.lstat(f"{made.path}/{member}") for member in made.members}
    known = record("tool", "1.2.3", architecture(os.uname().machine), "a" * 64, "http://x/", binaries)
    write(f"{made.path}/.release.json", json.dumps(known, indent=1))
    return made


def test_a_release_that_is_there(release):
    for checksum in (None, "", "a" * 64, "sha256:" + "a" * 64):
        assert release.arch(run(release.command()), checksum, "tool") == architecture(os.uname().machine)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: write(f"{path}/tool", "longer than before"),
        lambda path: os.utime(f"{path}/tool", ns=(1, 1)),
        lambda path: os.chmod(f"{path}/tool", 0o700),
        lambda path: os.unlink(f"{path}/lib/helper"),
        lambda path: amend(f"{path}/.release.json", version="1.2.4"),
        lambda path: write(f"{path}/.release.json", ""),
        lambda path: os.mkdir(f"{path}/../.tool-leftover"),
        shutil.rmtree,
    ],
)
def test_a_release_that_is_not_quite_there(release, change):
    change(release.path)
    assert release.arch(run(release.command()), None, "tool") is None


def test_what_to_fetch_is_clear_only_where_nothing_of_it_stands(release):
    arch = architecture(os.uname().machine)
    assert release.arch_to_fetch(run(release.command())) is None
    shutil.rmtree(release.path)
    assert release.arch_to_fetch(run(release.command())) == arch
    shutil.rmtree(release.releases_dir)
    assert release.arch_to_fetch(run(release.command())) == arch
    os.makedirs(f"{release.releases_dir}/.tool-leftover")
    assert release.arch_to_fetch(run(release.command())) is None
    assert release.arch_to_fetch("sudo: a password is required") is None


def test_what_is_run_besides_where_nothing_of_a_release_is_there(release):
    command = release.command("echo made")
    assert release.printed_otherwise(run(command)) == ""
    shutil.rmtree(release.path)
    assert release.printed_otherwise(run(command)) == "made"
    assert release.arch_to_fetch(run(command)) == architecture(os.uname().machine)
    assert release.printed_otherwise("sudo: a password is required") == ""


def test_a_release_from_another_archive(release):
    output = run(release.command())
    assert release.arch(output, "b" * 64, "tool") is None
    assert release.arch(output, {"mips": "a" * 64}, "tool") is None
    assert release.arch(output, "no checksum", "tool") is None


def test_a_command_that_fails_or_is_too_long_gives_no_answer():
    ran = []
    results = {"true": {"rc": 0, "stdout": "x"}, "false": {"rc": 1, "stdout": "x"}}
    action = SimpleNamespace(_low_level_execute_command=lambda command: ran.append(command) or results[command])
    assert _host_commands.answer(action, "true") == "x"
    assert _host_commands.answer(action, "false") is None
    assert _host_commands.answer(action, "true; " * 20_000) is None
    assert ran == ["true", "false"]


def test_a_deployment_is_known_again_by_a_later_comparison(monkeypatch):
    asked = []
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
    given = {"name": "x", "config_dir": "/etc/x", "unit": "", "health": health_of("prometheus", "http://x")}
    action = service_action.ActionModule.__new__(service_action.ActionModule)
    action._task = SimpleNamespace(args=given, check_mode=False)
    action._execute_module = lambda module_args, **dummy: asked.append(module_args) or {"changed": True}
    assert action.run(task_vars={})["changed"] is True
    assert asked[0]["asked"] == _compare_service.Service(given).asked


ENGINE = """#!/bin/sh
# What the engine answers, by the kind of thing that is asked about.
[ "$1 $2" = "-H unix:///its.sock" ] || exit 1
shift 2
case "$1 $4" in
  "container {{.Image}}") for one in "${@:5}"; do echo sha256:1; done ;;
  "container "*) cat "$0.container" ;;
  "image "*) cat "$0.image" ;;
esac
"""
IMAGE = {"Id": "sha256:1", "RepoDigests": [], "Config": {"Entrypoint": ["/bin/prometheus"]}}
CONTAINER = {
    "Name": "/prometheus",
    "Image": "sha256:1",
    "RestartCount": 0,
    "State": {"Running": True, "StartedAt": "2026-11-25T22:13:14.516346015Z"},
    "Config": {"Labels": {"monitoring.vigil.service": "prometheus", "monitoring.vigil.image": "q/p:v1"}},
}


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """A `docker` on the PATH, and how to have it answer."""
    program = tmp_path / "docker"
    write(program, ENGINE.replace("/bin/sh", shutil.which("bash")))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def answers(image, container):
        for kind, data in (("image", image), ("container", container)):
            write(f"{program}.{kind}", "".join(json.dumps(one) + "\n" for one in data))

    return answers


def test_an_image_that_runs_already_needs_no_module(engine):
    comparison = Image("prometheus", "q/p:v1", "unix:///its.sock")
    engine([IMAGE], [CONTAINER])
    assert comparison.known(run(comparison.command())) == IMAGE
    for image, container in (
        ([], [CONTAINER]),
        ([IMAGE], []),
        ([{**IMAGE, "Id": "sha256:2"}], [CONTAINER]),
        ([IMAGE], [{**CONTAINER, "Config": {"Labels": {}}}]),
    ):
        engine(image, container)
        assert comparison.known(run(comparison.command())) is None
    engine([IMAGE], [CONTAINER])
    pinned = Image("prometheus", "q/p@sha256:" + "a" * 64, "unix:///its.sock")
    assert pinned.known(run(pinned.command())) is None
    elsewhere = Image("prometheus", "q/p:v1", "unix:///other.sock")
    assert elsewhere.known(run(elsewhere.command())) is None


def test_containers_are_asked_for_their_own_words(engine):
    comparison = Containers({"prometheus": "q/p:v1", "alertmanager": "q/a:v1"}, "unix:///its.sock")
    engine([IMAGE], [CONTAINER])
    found = comparison.problems(run(comparison.command()))
    assert found["prometheus"] == []
    assert found["alertmanager"][0][0] is True
    engine([], [])
    assert comparison.problems(run(comparison.command())) is None
    assert comparison.problems("no docker") is None


SYSTEMCTL = """#!/bin/sh
cat "$0.answer"
"""
METRICS = """# HELP prometheus_build_info ...
prometheus_build_info{branch="x",version="3.5.3+ds1"} 1
prometheus_config_last_reload_successful 1
prometheus_config_last_reload_success_timestamp_seconds 1.7e+09
prometheus_something_else 5
"""


class Answers(http.server.BaseHTTPRequestHandler):
    """A service whose answers a test can change."""

    paths: ClassVar = {}

    def do_GET(self):
        status, text = self.paths.get(self.path, (404, ""))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_arguments):
        pass


@contextlib.contextmanager
def serving(answers, tls=None):
    """A server with these answers; its URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), answers)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def served():
    """What is served, by path, and where."""
    found = type("Found", (Answers,), {"paths": {"/metrics": (200, METRICS), "/-/ready": (200, "ready")}})
    with serving(found) as url:
        yield found.paths, url


class World:
    """A verified service, whose process is that of the tests; its options, and what the host says of it."""

    def __init__(self, folder, url, **options):
        self.folder = folder
        self.tool = folder / "bin" / "prometheus"
        self.read = folder / "password"
        self.beside = folder / "amtool.yml"
        self.options = {
            "name": "prometheus",
            "runtime": "systemd",
            "config_dir": str(folder),
            "health": health_of("prometheus", url),
            "argv": [str(self.tool), "--flag"],
            "links": {str(self.tool): sys.executable},
            "files": {str(self.beside): "x"},
            "reads": [str(self.read)],
            "conflicts": ["other.service"],
            "version": "3.5.3",
            "secrets": ["sentinel"],
            **options,
        }
        self.manifest = {"generation": "g1", "files": {}}

    def prove(self):
        """Have the module write down what it verified, as it does at the end of a run."""
        self.tool.parent.mkdir(exist_ok=True)
        if not self.tool.is_symlink():
            self.tool.symlink_to(sys.executable)
        write(self.read, "secret")
        write(self.beside, "x")
        contained = self.options["runtime"] == "docker"
        container = self.options.get("container")
        runtime = SimpleNamespace(
            expected=lambda argv, running: ("", "fingerprint"),
            definition=lambda seen: "" if contained else definition({}),
            devices=lambda: sorted(device.split(":")[0] for device in (container or {}).get("devices") or ()),
            paths=lambda: [] if contained else [str(self.folder / "no.unit"), str(self.folder / "no.conf")],
            account=Docker("prometheus", None, container).account if contained else Systemd("prometheus").account,
        )
        task = SimpleNamespace(
            params={"reads": [], "files": {}, "reload": None, "argv": [], "firewall": None, **self.options},
            machine=System(),
            state=SimpleNamespace(manifest=lambda: self.manifest, config_dir=str(self.folder)),
            runtime=runtime,
        )
        health = complete(self.options["health"], self.options["name"])
        kept = Record(task, SimpleNamespace(health=health, configuration=lambda: None))
        process = _process_state.process(os.getpid(), _process_state)
        running = Running(os.getpid(), start_ticks(process["stat"]), "", None, process["start"])
        verified = kept.of(running, self.comparison().asked, {})
        (self.folder / ".vigil").mkdir(mode=0o700, exist_ok=True)
        State(str(self.folder)).install_program(_compare_program.directory(), _compare_program.files())
        write(self.folder / ".vigil" / "manifest.json", json.dumps(self.manifest))
        write(self.folder / ".vigil" / "proven.json", json.dumps(verified))

    def comparison(self, readable=(), **options):
        return Service({**self.options, **options}, sys.executable, readable, (ME, MINE))

    def matches(self, login=False, **options):
        comparison = self.comparison(**options)
        command = comparison.command(login)
        # No text of a program in what sudo logs.
        assert len(command) < 4000 and "import" not in command
        return comparison.matches(run(command, comparison.login() if login else ""), login)


@pytest.fixture
def unit(tmp_path, monkeypatch):
    """A `systemctl` on the PATH, and how to have it answer: properties of the service, and of the other unit."""
    program = tmp_path / "systemctl"
    write(program, SYSTEMCTL)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def answers(other=(), **mine):
        blocks = [
            {
                "Id": "prometheus.service",
                "MainPID": str(os.getpid()),
                "LoadState": "loaded",
                "ActiveState": "active",
                "UnitFileState": "enabled",
                "NeedDaemonReload": "no",
                **mine,
            },
            {
                "Id": "other.service",
                "LoadState": "not-found",
                "ActiveState": "inactive",
                "UnitFileState": "",
                **dict(other),
            },
        ]
        lines = ["".join(f"{name}={value}\n" for name, value in block.items()) for block in blocks]
        write(f"{program}.answer", "\n".join(lines))

    answers()
    return answers


@pytest.fixture
def verified(tmp_path, served, unit):
    world = World(tmp_path, served[1])
    world.prove()
    return world


def test_a_service_that_runs_as_it_was_verified(verified):
    before = sorted(verified.folder.rglob("*"))
    assert verified.matches()
    # A comparison writes nothing, not even bytecode.
    assert sorted(verified.folder.rglob("*")) == before


NFT = """#!/bin/sh
echo "$@" >>{0}.asked
cat {0}.answer
"""


def test_rules_of_the_firewall_that_are_in_force(tmp_path, served, unit):
    nft = tmp_path / "nft"
    write(nft, NFT.format(nft))
    nft.chmod(0o755)
    write(f"{nft}.answer", "chain prometheus")
    path = str(tmp_path / "firewall" / "prometheus.nft")
    world = World(tmp_path, served[1], firewall=path)
    world.prove()
    assert world.matches()
    assert (tmp_path / "nft.asked").read_text().splitlines()[-1] == "list chain inet vigil_monitoring prometheus"
    # Somebody emptied the table, or changed it.
    for other in ("", "chain prometheus { accept }"):
        write(f"{nft}.answer", other)
        assert not world.matches()
    # Where it has no rules, nobody asks for them.
    asked = (tmp_path / "nft.asked").read_text()
    world.options["firewall"] = None
    world.prove()
    assert world.matches() and (tmp_path / "nft.asked").read_text() == asked


def test_no_password_is_a_part_of_what_is_kept(verified):
    assert verified.comparison(secrets=["another"]).asked == verified.comparison().asked
    reload = {"paths": ["a"], "urls": ["/reload"], "username": "u", "password": "one"}
    assert verified.comparison(reload=reload).asked == verified.comparison(reload={**reload, "password": "two"}).asked


class Locked(Answers):
    """A service that requires a password."""

    users: ClassVar = []

    def do_GET(self):
        if self.headers["Authorization"] != "Basic " + base64.b64encode(b"u:sentinel").decode():
            self.users.append(self.headers["Authorization"])
            self.paths = dict.fromkeys(self.paths, (401, "no"))
        super().do_GET()


@pytest.fixture
def locked(tmp_path, unit):
    """A verified service that requires a password, and those who were refused."""
    found = type("Found", (Locked,), {"paths": {"/metrics": (200, METRICS), "/-/ready": (200, "ready")}, "users": []})
    with serving(found) as url:
        health = {**health_of("prometheus", url), "username": "u", "password": "sentinel"}
        world = World(tmp_path, url, health=health)
        world.prove()
        yield world, found.users


def test_a_password_is_sent_where_no_command_line_shows_it(locked):
    world, refused = locked
    assert world.matches(login=True)
    assert "sentinel" not in world.comparison().command(True)
    assert not refused
    assert "sentinel" in world.comparison().login()


def test_a_password_that_cannot_be_sent_is_not_needed_for_the_process_that_was_verified(locked):
    world, refused = locked
    assert world.matches()
    # Nobody is counted as one who tries passwords.
    assert set(refused) == {None}
    amend(world.folder / ".vigil/proven.json", touched="0")
    assert not world.matches()


def test_a_password_that_is_refused_is_left_to_the_module(locked):
    world, _refused = locked
    health = {**world.options["health"], "password": "another"}
    assert world.comparison(health=health).asked == world.comparison().asked
    assert not world.matches(login=True, health=health)


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 and its key, in one file."""
    path = tmp_path / "own.pem"
    argv = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout {0} -out {0}.crt".format(path)
    subprocess.run(argv.split(), check=True, capture_output=True)
    with open(path, "a", encoding="utf-8") as stream:
        stream.write((tmp_path / "own.pem.crt").read_text())
    return path


def test_a_service_with_tls_that_requires_a_client_certificate(tmp_path, unit, certificate):
    found = type("Found", (Answers,), {"paths": {"/metrics": (200, METRICS), "/-/ready": (200, "ready")}})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    with serving(found, context) as url:
        pem = str(certificate)
        world = World(tmp_path, url, health={**health_of("prometheus", url), "ca_path": pem, "client_cert": pem})
        world.prove()
        assert world.matches()
        other = {**world.options["health"], "client_cert": None}
        assert not world.matches(health=other)
        certificate.unlink()
        assert not world.matches()


def test_files_that_the_configuration_names(verified, tmp_path):
    token = tmp_path / "token"
    comparison = verified.comparison(readable=[str(token)])

    def readable():
        return comparison.can_read(run(comparison.command()))

    assert not readable()
    write(token, "")
    assert not readable()
    write(token, "x")
    assert readable()
    token.unlink()
    token.mkdir()
    assert not readable()
    shutil.rmtree(verified.folder / ".vigil")
    assert not readable()
    assert verified.comparison().can_read("")


def test_the_program_of_another_version_is_not_run(verified):
    program = verified.folder / ".vigil" / _compare_program.directory()
    assert (program / "__main__.py").exists()
    State(str(verified.folder)).install_program("comparison-other", {"__main__.py": ""})
    assert not program.exists()
    assert not verified.matches()
    State(str(verified.folder)).install_program(_compare_program.directory(), _compare_program.files())
    assert verified.matches()
    write(next(program.rglob("_http.py")), "")
    assert not verified.matches()
    State(str(verified.folder)).install_program(_compare_program.directory(), _compare_program.files())
    assert verified.matches()


@pytest.mark.parametrize(
    "options",
    [{"version": "3.5.4"}, {"argv": ["x"]}, {"unit": "another"}, {"dropin": "[Service]"}, {"links": {}}],
)
def test_another_wish_is_left_to_the_module(verified, options):
    assert not verified.matches(**options)


def test_what_other_code_verified_is_left_to_the_module(verified, monkeypatch):
    monkeypatch.setattr(_compare_service, "code", lambda: "another")
    assert not verified.matches()


SERVICE_CHANGES = {
    "a switch under way": lambda world: write(world.folder / ".vigil/undo", ""),
    "something staged": lambda world: (world.folder / ".vigil/staged").mkdir(),
    "an engine that once had it": lambda world: write(world.folder / ".vigil/engine", "unix:///its.sock"),
    "a generation that was not verified": lambda world: amend(world.folder / ".vigil/manifest.json", generation="g2"),
    "a process of another start": lambda world: amend(world.folder / ".vigil/proven.json", started="1"),
    "a process that is gone": lambda world: amend(world.folder / ".vigil/proven.json", pid=2**22 + 1),
    "a file that somebody edited": lambda world: write(world.beside, "y"),
    "a file that is gone": lambda world: os.unlink(world.beside),
    "a link to another program": lambda world: (os.unlink(world.tool), world.tool.symlink_to("/bin/sh")),
    "no link": lambda world: os.unlink(world.tool),
    "a link in place of a file": lambda world: (os.rename(world.beside, world.folder / "x"), world.beside.symlink_to("x")),
    "a newer file that it reads": lambda world: (os.utime(world.read), amend(world.folder / ".vigil/proven.json", reads=[1])),
    "a file that it reads and that is gone": lambda world: os.unlink(world.read),
    "a process that was started otherwise": lambda world: amend(world.folder / ".vigil/proven.json", start={"arguments": ["x"]}),
    "a configuration that was written to": lambda world: amend(world.folder / ".vigil/proven.json", touched="0"),
    "a service that has loaded something else": lambda world: amend(world.folder / ".vigil/proven.json", configuration="0"),
    "a unit that systemd has read otherwise": lambda world: amend(world.folder / ".vigil/proven.json", definition="0"),
    "a record of an older version": lambda world: amend(world.folder / ".vigil/proven.json", watched=None),
    "no record": lambda world: os.unlink(world.folder / ".vigil/proven.json"),
    "a damaged record": lambda world: write(world.folder / ".vigil/proven.json", "{"),
    "a state that others can enter": lambda world: (world.folder / ".vigil").chmod(0o770),
    "nothing at all": lambda world: shutil.rmtree(world.folder / ".vigil"),
}  # fmt: skip


@pytest.mark.parametrize("change", SERVICE_CHANGES)
def test_a_service_that_is_not_as_verified(verified, change):
    SERVICE_CHANGES[change](verified)
    assert not verified.matches()


@pytest.mark.parametrize(
    "properties",
    [
        {"ActiveState": "activating"},
        {"UnitFileState": "disabled"},
        {"NeedDaemonReload": "yes"},
        {"MainPID": "1"},
        {"other": {"LoadState": "loaded", "ActiveState": "active"}},
        {"other": {"LoadState": "loaded", "UnitFileState": "enabled"}},
    ],
)
def test_what_systemd_says_otherwise(verified, unit, properties):
    unit(**properties)
    assert not verified.matches()


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/metrics", (500, METRICS)),
        ("/metrics", (200, METRICS.replace("3.5.3", "3.5.2"))),
        ("/metrics", (200, METRICS.replace("successful 1", "successful 0"))),
        ("/metrics", (200, "")),
        ("/-/ready", (503, "not yet")),
    ],
)
def test_what_the_service_says_otherwise(verified, served, path, answer):
    served[0][path] = answer
    assert not verified.matches()


def test_an_exporter_without_its_database(tmp_path, served, unit):
    metrics = 'postgres_exporter_build_info{version="3.5.3"} 1\npg_up 1\n'
    served[0]["/metrics"] = (200, metrics)
    world = World(tmp_path, served[1], health=health_of("postgres_exporter", served[1]))
    world.prove()
    assert world.matches()
    served[0]["/metrics"] = (200, metrics.replace("pg_up 1", "pg_up 0"))
    assert not world.matches()


def test_a_container_that_runs_as_it_was_proven(tmp_path, served, engine):
    container = {
        **CONTAINER,
        "Id": "c1",
        "State": {"Running": True, "Pid": os.getpid(), "StartedAt": "2026-11-25T22:13:14.516346015Z"},
        "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}},
        "NetworkSettings": {"Networks": {"host": {}}},
        "Config": {"Labels": {**CONTAINER["Config"]["Labels"], "monitoring.vigil.definition": "f"}},
    }
    docker = {"runtime": "docker", "image": "sha256:1", "docker_host": "unix:///its.sock", "conflicts": []}
    world = World(tmp_path, served[1], container={"user": ME}, **docker)
    made = {"id": "c1", "image": "sha256:1", "fingerprint": "f", "limits": {"networks": ["host"]}, "definition": {}}
    world.manifest = {"generation": "g1", "files": {}, "container": made}
    world.prove()
    engine([IMAGE], [container])
    assert world.matches()
    for others in (
        [],
        [container, {**container, "Name": "/prometheus-vigil-next"}],
        [{**container, "Id": "c2"}],
        [{**container, "Image": "sha256:2"}],
        [{**container, "Config": CONTAINER["Config"]}],
        [{**container, "State": {**container["State"], "Pid": 1}}],
        [{**container, "State": {**container["State"], "Restarting": True}}],
        [{**container, "HostConfig": {"RestartPolicy": {"Name": "no"}}}],
        [{**container, "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}, "Memory": 1}}],
        [{**container, "NetworkSettings": {"Networks": {"other": {}}}}],
    ):
        engine([IMAGE], others)
        assert not world.matches()
    engine([IMAGE], [container])
    amend(tmp_path / ".vigil/proven.json", account="another")
    assert not world.matches()
    world.options["container"]["devices"] = ["/dev/null:/dev/null:r"]
    world.prove()
    assert world.matches()
    amend(tmp_path / ".vigil/proven.json", devices=[])
    assert not world.matches()
