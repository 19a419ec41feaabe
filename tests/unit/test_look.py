"""One look at a host, carried out by a real shell in a scratch directory: only what is exactly as asked passes."""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._release import architecture, record
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _look

ME = pwd.getpwuid(os.geteuid()).pw_name
MINE = grp.getgrgid(os.getegid()).gr_name
FILES = [
    {"path": "it's.yml", "content": "a: ü\n", "mode": 0o640, "secret": False},
    {"path": "rules/deep/empty.yml", "content": "", "mode": 0o600, "secret": True},
]


def run(command):
    return subprocess.run(["/bin/sh", "-c", command], stdout=subprocess.PIPE, text=True, check=False).stdout


def write(path, text):
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)


@pytest.fixture
def tree(tmp_path):
    """A tree as asked, on a disk on which everything belongs to whoever runs the tests."""
    path, data = tmp_path / "etc", tmp_path / "data"
    for directory, mode in ((path, 0o750), (path / "rules", 0o750), (path / "rules/deep", 0o750), (data, 0o700)):
        directory.mkdir()
        directory.chmod(mode)
    for entry in FILES:
        write(path / entry["path"], entry["content"])
        (path / entry["path"]).chmod(entry["mode"])
    (path / ".vigil").mkdir()
    manifest = {
        "generation": "g1",
        "files": {entry["path"]: hashlib.sha256(entry["content"].encode()).hexdigest() for entry in FILES},
        "secret": ["rules/deep/empty.yml"],
        "validators": [os.path.realpath(sys.executable)],
    }
    write(path / ".vigil/manifest.json", json.dumps(manifest, indent=1))
    write(path / ".vigil/proven.json", '{"generation": "g1"}')
    directories = [{"path": f"{data}/", "owner": ME, "group": MINE, "mode": "0700"}]
    made = _look.Tree(f"{path}/", ME, MINE, FILES, directories, [sys.executable])
    made.wanted = {name: (kind, mode, ME, MINE) for name, (kind, mode, *_owner) in made.wanted.items()}
    return made


def test_a_tree_as_asked(tree):
    assert tree.is_as_asked(run(tree.command()))


def test_what_a_login_prints_does_not_matter(tree):
    assert tree.is_as_asked("Welcome!\n" + run(tree.command()) + "Bye.\n")


def test_a_tree_of_nothing(tmp_path):
    (tmp_path / ".vigil").mkdir()
    empty = {"generation": "g", "files": {}, "secret": [], "validators": []}
    write(tmp_path / ".vigil/manifest.json", json.dumps(empty))
    write(tmp_path / ".vigil/proven.json", '{"generation": "g"}')
    tmp_path.chmod(0o750)
    tree = _look.Tree(str(tmp_path), ME, MINE, [], [], [])
    tree.wanted[str(tmp_path)] = ("directory", 0o750, ME, MINE)
    assert tree.is_as_asked(run(tree.command()))


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
    "a switch under way": lambda path: write(f"{path}/.vigil/undo", ""),
    "something staged": lambda path: os.mkdir(f"{path}/.vigil/staged"),
    "a generation that was not proven": lambda path: amend(f"{path}/.vigil/manifest.json", generation="g2"),
    "a file that is ours and not asked for": lambda path: amend(f"{path}/.vigil/manifest.json", files={"other": "0"}),
    "another validator": lambda path: amend(f"{path}/.vigil/manifest.json", validators=["/bin/true"]),
    "a secret that was none": lambda path: amend(f"{path}/.vigil/manifest.json", secret=[]),
    "no manifest": lambda path: os.unlink(f"{path}/.vigil/manifest.json"),
    "a damaged manifest": lambda path: write(f"{path}/.vigil/manifest.json", "{"),
    "nothing at all": shutil.rmtree,
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_tree_that_is_not_as_asked(tree, change):
    CHANGES[change](tree.path)
    assert not tree.is_as_asked(run(tree.command()))


def test_an_account_that_is_not_there(tree):
    tree.user = "nobody-has-this-name"
    assert not tree.is_as_asked(run(tree.command()))


@pytest.mark.parametrize("output", ["", "sudo: a password is required", f"{_look.MARK}\n" * 8])
def test_output_that_says_nothing(tree, output):
    assert not tree.is_as_asked(output)


@pytest.fixture
def release(tmp_path):
    """A release that is there."""
    made = _look.Release("tool", "1.2.3", str(tmp_path), ["tool", "lib/helper"])
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


def test_a_release_from_another_archive(release):
    output = run(release.command())
    assert release.arch(output, "b" * 64, "tool") is None
    assert release.arch(output, {"mips": "a" * 64}, "tool") is None
    assert release.arch(output, "no checksum", "tool") is None


def test_a_command_that_fails_or_is_too_long_gives_no_answer():
    ran = []
    results = {"true": {"rc": 0, "stdout": "x"}, "false": {"rc": 1, "stdout": "x"}}
    action = SimpleNamespace(_low_level_execute_command=lambda command: ran.append(command) or results[command])
    assert _look.answer(action, "true") == "x"
    assert _look.answer(action, "false") is None
    assert _look.answer(action, "true; " * 20_000) is None
    assert ran == ["true", "false"]


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
    look = _look.Image("prometheus", "q/p:v1", "unix:///its.sock")
    engine([IMAGE], [CONTAINER])
    assert look.known(run(look.command())) == IMAGE
    for image, container in (
        ([], [CONTAINER]),
        ([IMAGE], []),
        ([{**IMAGE, "Id": "sha256:2"}], [CONTAINER]),
        ([IMAGE], [{**CONTAINER, "Config": {"Labels": {}}}]),
    ):
        engine(image, container)
        assert look.known(run(look.command())) is None
    engine([IMAGE], [CONTAINER])
    pinned = _look.Image("prometheus", "q/p@sha256:" + "a" * 64, "unix:///its.sock")
    assert pinned.known(run(pinned.command())) is None
    elsewhere = _look.Image("prometheus", "q/p:v1", "unix:///other.sock")
    assert elsewhere.known(run(elsewhere.command())) is None


def test_containers_are_asked_for_their_own_words(engine):
    look = _look.Containers({"prometheus": "q/p:v1", "alertmanager": "q/a:v1"}, "unix:///its.sock")
    engine([IMAGE], [CONTAINER])
    found = look.problems(run(look.command()))
    assert found["prometheus"] == []
    assert found["alertmanager"][0][0] is True
    engine([], [])
    assert look.problems(run(look.command())) is None
    assert look.problems("no docker") is None
