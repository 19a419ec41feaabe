# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directories of a configuration tree: ours stay ours, wherever the run dies that makes them."""

from __future__ import annotations

import os
import stat
import tempfile
from types import SimpleNamespace

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._account_access import readability
from ansible_collections.vigil.monitoring.plugins.module_utils._config_files import Tree
from ansible_collections.vigil.monitoring.plugins.module_utils._tree import diff_entry, pack

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="directories get owners, which takes root")


def make(root, **module):
    """A tree with a folder of its own, and a directory for data beside it."""
    params = {
        "role": None,
        "data_dir": None,
        "data_change": None,
        "path": str(root / "etc"),
        "payload": pack([{"path": "rules/a.yml", "content": "", "mode": 0o640, "secret": False}]),
        "directories": [{"path": str(root / "data"), "owner": "daemon", "group": "daemon", "mode": "0700"}],
    }
    tree = Tree(SimpleNamespace(params=params, **{"check_mode": False, **module}))
    tree.uid = tree.gid = 1
    return tree


def deploy(root, **module):
    """Make the directories; returns those that changed and those that are ours."""
    tree = make(root, **module)
    return tree.directories.ensure(tree.state.manifest())


def found(root):
    """Every directory that is not our state, with mode and owner."""
    paths = {path: os.stat(path) for path, _dirs, _files in os.walk(root) if ".vigil" not in path}
    return {path: (stat.S_IMODE(at.st_mode), at.st_uid, at.st_gid) for path, at in paths.items()}


def test_made_once_and_remembered(tmp_path):
    every = [str(tmp_path / name) for name in ("data", "etc", "etc/rules")]
    assert sorted(deploy(tmp_path, check_mode=True)[0]) == every
    assert not os.listdir(tmp_path)
    changed, ours = deploy(tmp_path)
    assert (sorted(changed), ours) == (every, every)
    assert found(tmp_path / "etc") == {every[1]: (0o750, 0, 1), every[2]: (0o750, 0, 1)}
    assert found(tmp_path / "data") == {every[0]: (0o700, 1, 1)}
    assert deploy(tmp_path) == ([], every)


def test_killed_before_any_call(tmp_path, monkeypatch):
    (tmp_path / "reference").mkdir()
    deploy(tmp_path / "reference")
    for moment in range(100):
        root = tmp_path / str(moment) / "killed"
        root.mkdir(parents=True)
        child = os.fork()
        if not child:
            left = iter(range(moment))

            def die(call, *arguments, left=left, **options):
                if next(left, None) is None:
                    os._exit(9)
                return call(*arguments, **options)

            for name in ("mkdir", "chown", "chmod", "rename", "fchmod"):
                original = getattr(os, name)
                monkeypatch.setattr(os, name, lambda *a, original=original, **k: die(original, *a, **k))
            deploy(root)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        ours = deploy(root)[1]
        assert ours == [path.replace("reference", f"{moment}/killed") for path in deploy(tmp_path / "reference")[1]]
        assert list(found(root).values()) == list(found(tmp_path / "reference").values())
        if status == 0:
            break
    assert status == 0
    assert moment > 8


def test_what_somebody_else_made_stays_theirs(tmp_path):
    (tmp_path / "etc").mkdir(mode=0o755)
    (tmp_path / "etc/rules").mkdir(mode=0o700)
    changed, ours = deploy(tmp_path)
    assert str(tmp_path / "etc") not in ours
    # The service could not enter it as it was.
    assert str(tmp_path / "etc/rules") in changed
    assert stat.S_IMODE(os.stat(tmp_path / "etc").st_mode) == 0o755


def problems(root, tree=None):
    """What keeps the directories and files from being made."""
    tree = tree or make(root)
    manifest = tree.state.manifest()
    return tree.directories.place_problems(manifest, tree.compare(manifest))


def test_a_file_in_the_place_of_a_directory_stops_before_anything_is_made(tmp_path):
    assert problems(tmp_path) == []
    (tmp_path / "data").write_text("theirs")
    assert problems(tmp_path) == [f"{tmp_path}/data has to be a directory, and a file stands there; move it away"]
    assert os.listdir(tmp_path) == ["data"]


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"f_flag": os.ST_RDONLY}, "is on a file system that is mounted read-only"),
        ({"f_files": 9, "f_ffree": 0}, "no inodes are left on the file system of"),
        ({"f_bavail": 1}, "no space left for"),
    ],
)
def test_a_disk_that_takes_nothing_stops_before_anything_is_made(tmp_path, monkeypatch, changed, words):
    sound = {"f_flag": 0, "f_files": 9, "f_ffree": 9, "f_blocks": 1, "f_bavail": 1 << 20, "f_frsize": 1024}
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(**sound))
    assert problems(tmp_path) == []
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(**{**sound, **changed}))
    assert [problem for problem in problems(tmp_path) if words in problem], problems(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_disk_that_takes_nothing_is_no_matter_where_nothing_changes(tmp_path, monkeypatch):
    deploy(tmp_path)
    tree = make(tmp_path)
    (tmp_path / "etc/rules/a.yml").write_text("")
    os.chown(tmp_path / "etc/rules/a.yml", 0, 1)
    os.chmod(tmp_path / "etc/rules/a.yml", 0o640)
    manifest = dict(tree.state.manifest(), files={"rules/a.yml": ""})
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_RDONLY))
    assert tree.directories.place_problems(manifest, tree.compare(manifest)) == []


def test_what_an_account_could_read_that_is_yet_to_be_made():
    with tempfile.TemporaryDirectory() as folder:  # pytest's own lets nobody else in
        os.chmod(folder, 0o755)
        for name, mode in (("open", 0o644), ("closed", 0o600)):
            with open(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT), "w") as stream:
                stream.write("x")
            os.chmod(f"{folder}/{name}", mode)
        assert readability(f"{folder}/open", "nobody-yet", None) is None
        assert readability(f"{folder}/closed", "nobody-yet", None) == "unreadable"
        assert readability(f"{folder}/gone", "nobody-yet", None) == "missing"


def test_a_directory_of_the_tree_may_be_asked_for_with_a_mode_of_its_own(tmp_path):
    tree = make(tmp_path)
    asked = [("etc/rules", "3770"), ("etc/file_sd", "0750")]
    tree.module.params["directories"] = [
        {"path": str(tmp_path / name), "owner": "root", "group": "daemon", "mode": mode} for name, mode in asked
    ]
    tree.directories.ensure(tree.state.manifest())
    assert {path.split("/etc/")[-1]: mode[0] for path, mode in found(tmp_path / "etc").items()} == {
        str(tmp_path / "etc"): 0o750,
        "rules": 0o3770,
        "file_sd": 0o750,
    }
    assert tree.directories.ensure(tree.state.manifest())[0] == []


def test_somebody_elses_directory_that_the_group_cannot_write_to_does_not_serve_where_it_has_to(tmp_path):
    (tmp_path / "etc/rules").mkdir(parents=True)
    tree = make(tmp_path)
    asked = {"path": str(tmp_path / "etc/rules"), "owner": "root", "group": "daemon", "mode": "3770"}
    tree.module.params["directories"] = [asked]
    assert str(tmp_path / "etc/rules") in tree.directories.ensure(tree.state.manifest())[0]


@pytest.mark.parametrize(
    ("before", "after", "secret", "said"),
    [
        ("a: 1\n", "a: 2\n", False, ""),
        ("a: 1\n", "a: 1\n", False, ""),
        ("password: x\n", "password: y\n", False, "(what differs is masked)\n"),
        ("password: x\n", "password: 'x' # the same\n", False, "(what differs is masked)\n"),
        ("a: 1\r\n", "a: 1\n", False, "(only line endings differ)\n"),
        ("password: x\n", "password: x\r\n", False, "(only line endings differ)\n"),
        # Whatever differs in a file that is hidden as a whole, secrets or not.
        ("url: a\npassword: x\n", "url: b\npassword: x\n", True, "(it changes)\n"),
        ("a: 1\r\n", "a: 1\n", True, "(it changes)\n"),
        ("password: x\n", "password: x\n", True, ""),
        (None, "password: x\n", True, ""),
        ("password: x\n", None, True, ""),
    ],
)
def test_a_diff_says_of_what_it_hides_only_what_is_true(before, after, secret, said):
    entry = diff_entry("/etc/x", before, after, secret)
    assert entry["after"].endswith(said)
    assert (entry["after"] == entry["before"] + said) == bool(said or before == after)
    assert "(" not in entry["after"].replace("(the content of this file is secret)", "").removesuffix(said)
