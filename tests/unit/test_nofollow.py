# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root works where a service's account can write, and that account puts everything in its way that it can."""

from __future__ import annotations

import ast
import contextlib
import os
import pwd
import re
import shutil
import socket
import stat
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _host, _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._nofollow import HostError
from ansible_collections.vigil.monitoring.plugins.module_utils._switch import Change

PLUGINS = Path(_nofollow.__file__).resolve().parents[1]
root = pytest.mark.skipif(os.geteuid() != 0, reason="files get owners, which takes root")
ACCOUNT = pwd.getpwnam("daemon")


class World:
    """A directory that an account owns, and others' files beside it."""

    def __init__(self, folder):
        folder.chmod(0o755)
        self.data, self.precious = folder / "data", folder / "precious"
        for path, uid in ((self.data, ACCOUNT.pw_uid), (self.precious, 0)):
            path.mkdir(mode=0o755)
            os.chown(path, uid, uid)
        (self.precious / "shadow").write_text("secret\n")
        (self.precious / "shadow").chmod(0o600)
        (self.precious / "inner").mkdir()
        (self.precious / "inner/file").write_text("theirs\n")
        self.before = self.seen()

    def seen(self):
        """What is not the account's: path -> type and mode, owner, group, content."""
        found = {}
        for folder, names, files in os.walk(self.precious):
            for name in [".", *names, *files]:
                path = os.path.join(folder, name)
                at = os.lstat(path)
                content = Path(path).read_bytes() if stat.S_ISREG(at.st_mode) else None
                found[path] = (at.st_mode, at.st_uid, at.st_gid, content)
        return found

    def own(self, *paths):
        for path in paths:
            os.chown(path, ACCOUNT.pw_uid, ACCOUNT.pw_gid, follow_symlinks=False)

    def untouched(self):
        return self.seen() == self.before


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    assert made.untouched(), "what the account had no right to was changed"


# What the account can put at the path that root is about to work on, or at a directory on the way to it.
def _link(world, path):
    path.symlink_to(world.precious / "inner")


def _link_to_file(world, path):
    path.symlink_to(world.precious / "shadow")


def _second_name(world, path):
    os.link(world.precious / "shadow", path)


def _fifo(world, path):
    os.mkfifo(path)


def _socket(world, path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def _device(world, path):
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 7))


PLANTED = [_link, _link_to_file, _second_name, _fifo, _socket, _device]
# What is done at a path below the account's directory, as for the directory of Grafana's plugins or a file in it.
DIRECTORY_WORK = {
    "make": lambda path: _nofollow.ensure_directory(str(path), 0o700, ACCOUNT.pw_uid, ACCOUNT.pw_gid),
    "give": lambda path: _nofollow.give_directory(str(path), 0o700, ACCOUNT.pw_uid, ACCOUNT.pw_gid),
    "write below": lambda path: _nofollow.write_atomically(str(path / "file"), b"ours", 0o644),
    "link below": lambda path: _nofollow.make_link("/opt", str(path / "file")),
    "unlink below": lambda path: _nofollow.unlink(str(path / "file")),
    "remove below": lambda path: _nofollow.remove(str(path / "file")),
    "read below": lambda path: _nofollow.read_bytes(str(path / "file")),
    "look below": lambda path: _nofollow.inspect(str(path / "file")),
    "status": lambda path: _nofollow.directory_status(str(path)),
    "sync": lambda path: _nofollow.sync_directory(str(path)),
}


@root
@pytest.mark.parametrize("plant", PLANTED)
@pytest.mark.parametrize("work", DIRECTORY_WORK)
def test_what_stands_in_the_place_of_a_directory_is_named_and_not_followed(world, plant, work):
    path = world.data / "plugins"
    plant(world, path)
    with pytest.raises(HostError, match=re.escape(str(path))) as raised:
        DIRECTORY_WORK[work](path)
    if plant in (_link, _link_to_file):
        assert "the account daemon can change what is in " + str(world.data) in str(raised.value)


@root
@pytest.mark.parametrize("plant", [_second_name, _fifo, _socket, _device, _link_to_file])
@pytest.mark.parametrize("work", ["read", "copy", "check"])
def test_what_stands_in_the_place_of_a_file_is_not_read(world, plant, work, tmp_path):
    path = world.data / "grafana.db"
    plant(world, path)
    if work == "copy" and plant is _link_to_file:
        # A link is kept as a link.
        _nofollow.copy(str(path), str(tmp_path / "copy"))
        assert os.readlink(tmp_path / "copy") == str(world.precious / "shadow")
        return
    if work == "check" and plant is _link_to_file:
        _nofollow.check_file(str(path))
        return
    with pytest.raises(HostError, match=re.escape(str(path))):
        {
            "read": lambda: _nofollow.read_bytes(str(path)),
            "copy": lambda: _nofollow.copy(str(path), str(tmp_path / "copy")),
            "check": lambda: _nofollow.check_file(str(path)),
        }[work]()
    assert not (tmp_path / "copy").exists()


@root
@pytest.mark.parametrize("plant", [*PLANTED, None])
def test_writing_replaces_what_stands_there_and_nothing_behind_it(world, plant):
    path = world.data / "file"
    if plant:
        plant(world, path)
    _nofollow.write_atomically(str(path), b"ours", 0o640, 0, 9)
    assert path.read_bytes() == b"ours"
    path.unlink()
    if plant:
        plant(world, path)
    _nofollow.make_link("/opt", str(path))
    assert os.readlink(path) == "/opt"
    # What a crash may have left, or the account put there.
    (world.data / "file.vigil-new").mkdir()
    (world.data / "file.vigil-new/x").symlink_to(world.precious / "shadow")
    _nofollow.make_link("/srv", str(path))
    assert os.readlink(path) == "/srv"


@root
def test_removal_takes_links_away_and_nothing_behind_them(world):
    deep = world.data / "a/b"
    deep.mkdir(parents=True)
    for number, plant in enumerate(PLANTED):
        plant(world, deep / str(number))
    (world.data / "up").symlink_to("../precious")
    _nofollow.remove(str(world.data))
    assert not os.path.lexists(world.data)


@root
def test_removal_of_a_link_leaves_what_it_points_to(world, tmp_path):
    (tmp_path / "db").symlink_to(world.precious)
    _nofollow.remove(str(tmp_path / "db") + "/")
    assert not os.path.lexists(tmp_path / "db")
    (tmp_path / "db").symlink_to(world.precious / "inner")
    _nofollow.remove_empty(str(tmp_path / "db"))
    assert os.path.islink(tmp_path / "db")


@root
def test_removal_names_what_is_too_deep_and_what_is_mounted(world, tmp_path):
    path = world.data
    for dummy in range(_nofollow.DEPTH + 5):
        path /= "d"
        path.mkdir()
    with pytest.raises(HostError, match="directories deep"):
        _nofollow.remove(str(world.data))
    mounted = tmp_path / "other/mounted"
    mounted.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(mounted)], check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        (mounted / "file").write_text("theirs")
        with pytest.raises(HostError, match=r"another file system is mounted on .*/mounted"):
            _nofollow.remove(str(tmp_path / "other"))
        assert (mounted / "file").exists()
        # The top of what is removed may be a file system of its own: it is emptied.
        _nofollow.remove(str(mounted))
        assert os.listdir(mounted) == []
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


@root
def test_links_that_only_root_can_have_made_are_followed(world, tmp_path):
    (tmp_path / "lib").symlink_to("data2")
    (tmp_path / "data2").mkdir()
    (tmp_path / "data2/etc").symlink_to(tmp_path / "data3")
    (tmp_path / "data3").mkdir()
    _nofollow.write_atomically(str(tmp_path / "lib/../lib/etc/./file"), b"ours", 0o644)
    assert (tmp_path / "data3/file").read_bytes() == b"ours"
    (tmp_path / "data3/link").symlink_to("file")
    assert _nofollow.read_bytes(str(tmp_path / "lib/etc/link")) == b"ours"
    assert _nofollow.read_bytes(str(tmp_path / "lib/etc/none")) is None
    assert _nofollow.read_bytes(str(tmp_path / "lib/none/none")) is None
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(HostError, match="more than 40 links"):
        _nofollow.inspect(str(tmp_path / "round/x"))
    # The account's own way leads nowhere, even below what root made there.
    (world.data / "mine").mkdir()
    (world.data / "mine/link").symlink_to(tmp_path / "data3")
    with pytest.raises(HostError, match="link"):
        _nofollow.read_bytes(str(world.data / "mine/link/file"))


@root
@pytest.mark.parametrize(
    ("owner", "group", "mode", "weak"),
    [
        (0, 0, 0o755, None),
        (0, 0, 0o775, None),
        (0, "nobody's", 0o775, None),
        (0, "somebody's", 0o755, None),
        (0, "somebody's", 0o775, "the group daemon"),
        (0, 0, 0o757, "everybody"),
        (0, 0, 0o1777, "everybody"),
        ("daemon", 0, 0o700, "the account daemon"),
    ],
)
def test_who_can_write(tmp_path, owner, group, mode, weak):
    folder = tmp_path / "folder"
    folder.mkdir()
    gid = {"nobody's": 61234, "somebody's": ACCOUNT.pw_gid}.get(group, 0)
    if group == "nobody's":
        _nofollow._members[gid] = False
    (folder / "program").write_text("")
    (folder / "program").chmod(0o755)
    os.chown(folder, ACCOUNT.pw_uid if owner else 0, gid)
    folder.chmod(mode)
    found = _nofollow.weakness(str(folder / "program"))
    assert (found or "").startswith(weak or "")
    assert (found is None) == (weak is None)
    if weak:
        with pytest.raises(HostError, match="and root runs it"):
            _nofollow.must_be_roots(str(folder / "more/and/more"), "runs it")
    else:
        _nofollow.must_be_roots(str(folder / "more/and/more"), "runs it")


@root
def test_program_that_its_owner_can_change(tmp_path):
    program = tmp_path / "program"
    program.write_text("")
    os.chown(program, ACCOUNT.pw_uid, -1)
    assert _nofollow.weakness(str(program)) == f"the account daemon can change {program}"
    assert _host.HostError is HostError


@root
def test_list_of_access_counts(tmp_path):
    nobody = 0xFFFFFFFF
    entries = [(1, 7, nobody), (2, 7, ACCOUNT.pw_uid), (4, 5, nobody), (0x10, 7, nobody), (0x20, 5, nobody)]
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(tmp_path, "system.posix_acl_access", packed)
    except OSError:
        pytest.skip("this file system has no access lists")
    assert "access list" in _nofollow.weakness(str(tmp_path))


@root
@pytest.mark.parametrize(
    ("path", "weak"),
    [
        ("/", None),
        ("/proc/self", None),
        ("precious/inner", None),
        ("data", None),
        ("data/sub", "the account daemon"),
        ("data/missing/more", "the account daemon"),
        ("data/link", "the account daemon"),
        ("missing/more", None),
        ("sticky/roots", None),
        ("sticky/missing", "everybody"),
    ],
)
def test_what_an_engine_may_mount(world, tmp_path, path, weak):
    (world.data / "sub").mkdir()
    (world.data / "link").symlink_to(world.precious)
    (tmp_path / "sticky/roots").mkdir(parents=True)
    (tmp_path / "sticky").chmod(0o1777)
    found = _nofollow.exchangeable(path if path.startswith("/") else str(tmp_path / path))
    assert (found is None) == (weak is None)
    assert (weak or "") in (found or "")


@root
def test_state_in_a_directory_that_the_account_can_write(world):
    """The account can exchange the state as a whole; what it puts there is neither read nor carried out."""
    state = _host.State(str(world.data))
    state.create()
    state.record_verified({"generation": "1"})
    os.rename(state.directory, str(world.data / "away"))
    fake = world.data / ".vigil"
    fake.mkdir()
    (fake / "proven.json").write_text('{"generation": "theirs"}')
    (fake / "manifest.json").write_text('{"generation": "other"}')
    (fake / "undo").write_text(f"rm -rf {world.precious}")
    world.own(fake, *fake.iterdir())
    for work in (state.verified, state.manifest, state.create, state.recover, state.engine):
        with pytest.raises(HostError, match="can be changed by the account daemon"):
            work()


@root
@pytest.mark.parametrize("moment", ["before", "after"])
def test_journal_follows_nothing(world, tmp_path, moment):
    """A link of a plugin is switched, and then its directory is exchanged: rolling back stops there, and all else goes back."""
    plugins, config = world.data / "plugins", tmp_path / "etc"
    for path in (plugins, config):
        path.mkdir()
    world.own(plugins)
    (plugins / "file").symlink_to("/opt/old")
    (config / "file").write_text("old")
    state = _host.State(str(config))
    state.create()
    _nofollow.write_atomically(str(config / ".vigil/next"), b"new", 0o644)
    changes = [
        Change(str(plugins / "file"), "link", "/opt/new"),
        Change(str(plugins / "another"), "link", "/opt/another"),
        Change(str(config / "file"), "file", str(config / ".vigil/next")),
    ]
    if moment == "before":
        os.rename(plugins, world.data / "away")
        plugins.symlink_to(world.precious / "inner")
        with pytest.raises(HostError, match="plugins is a link to"):
            state.switch(changes, {}, False)
        assert (config / "file").read_text() == "old"
        return
    state.switch(changes, {}, False)
    os.rename(plugins, world.data / "away")
    plugins.symlink_to(world.precious / "inner")
    script = str(config / ".vigil/rollback")
    done = subprocess.run(["/bin/sh", script], check=False, capture_output=True, text=True, cwd=world.data)
    assert done.returncode == 1
    assert "plugins is a link to" in done.stderr
    with pytest.raises(HostError, match="plugins is a link to"):
        state.roll_back()
    assert (config / "file").read_text() == "old"
    # Once that is put right, the rest goes back, too.
    plugins.unlink()
    os.rename(world.data / "away", plugins)
    assert state.recover()
    assert os.readlink(plugins / "file") == "/opt/old"
    assert not os.path.lexists(plugins / "another")


@root
def test_what_an_account_has_passes_to_another_one_and_nothing_else(world, tmp_path):
    uid, gid = ACCOUNT.pw_uid, ACCOUNT.pw_gid
    (world.data / "sub").mkdir()
    (world.data / "sub/file").write_text("")
    (world.data / "link").symlink_to(world.precious / "shadow")
    (world.data / "to").symlink_to(world.precious / "inner")
    world.own(world.data / "sub", world.data / "sub/file", world.data / "link", world.data / "to")
    os.link(world.precious / "shadow", world.data / "second")
    paths = [world.data, *(world.data / name for name in ("sub", "sub/file", "link", "to"))]
    way = [(uid, gid, 0o755), (4711, 4712, 0o700)]
    for before, after in (way, way[::-1]):
        _nofollow.pass_on(str(world.data), before, after, True)
        assert {(os.lstat(path).st_uid, os.lstat(path).st_gid) for path in paths} == {after[:2]}
        assert stat.S_IMODE(os.stat(world.data).st_mode) == after[2]
        assert world.untouched()


@root
def test_races(world):
    """The account exchanges a directory for a link all the time; whatever root does there ends well or says so."""
    path, away, ends = world.data / "plugins", world.data / "away", threading.Event()
    path.mkdir()
    world.own(path)

    def exchange():
        os.chdir("/")
        while not ends.is_set():
            try:
                os.rename(path, away)
                os.symlink(world.precious / "inner", path)
                os.unlink(path)
                os.rename(away, path)
            except OSError:
                # What root made in the meantime stands in the way of every further exchange.
                shutil.rmtree(away, ignore_errors=True)
                with contextlib.suppress(OSError):
                    path.mkdir()
                    world.own(path)

    thread = threading.Thread(target=exchange)
    thread.start()
    outcomes = {"ended well": 0, "refused": 0}
    try:
        # At least so often, and on a busy machine until the two have met.
        number, patience = 0, time.monotonic() + 30
        while number < 1500 or (not all(outcomes.values()) and time.monotonic() < patience):
            number += 1
            name = list(DIRECTORY_WORK)[number % len(DIRECTORY_WORK)]
            try:
                DIRECTORY_WORK[name](path)
                outcomes["ended well"] += 1
            except (HostError, OSError):
                outcomes["refused"] += 1
    finally:
        ends.set()
        thread.join()
    assert all(outcomes.values()), outcomes


# Nobody forgets it

# What changes the disk by a path, or reads by one whatever is there.
UNSAFE = {
    "os": set(
        "chown lchown chmod lchmod rename replace renames unlink remove rmdir removedirs mkdir makedirs mkfifo mknod symlink"
        " link open truncate utime setxattr walk scandir chdir system popen".split()
    ),
    "shutil": set("rmtree copy copy2 copyfile copystat copymode copytree move chown unpack_archive".split()),
    "tempfile": set("mkdtemp mkstemp TemporaryDirectory NamedTemporaryFile TemporaryFile mktemp".split()),
}
# Where it is used all the same: file and function -> why nobody else than root can have a hand in it there.
REASONS = {
    ("module_utils/_process_state.py", "open"): "of /proc",
    ("module_utils/_compare_program.py", "open"): "of the state of root's own, into which the comparison has gone",
    ("module_utils/_host.py", "utime"): "of a lock that is open, in a directory of root's own",
    ("module_utils/_host.py", "open"): "of /proc, of units and of what lies beside them in /etc",
    ("module_utils/_download.py", "open"): "of the controller, or of an archive that its user has copied to the host",
    ("module_utils/_unpack.py", "*"): "in a directory of root's own, below one that must_be_roots has seen",
    (
        "module_utils/_migrations.py",
        "open",
    ): "of a release of root's own, with the rights of the account whose data it is",
    ("modules/release.py", "*"): "in a directory that must_be_roots has seen",
    ("modules/grafana_plugins.py", "*"): "in a directory of root's own, below one that must_be_roots has seen",
    (
        "module_utils/_config_validation.py",
        "makedirs",
    ): "in a directory that is made for the check and that nobody else can enter",
    ("module_utils/_config_validation.py", "mkdir"): "likewise",
    ("module_utils/_config_validation.py", "symlink"): "likewise",
    ("module_utils/_config_validation.py", "TemporaryDirectory"): "made where nobody else can exchange it",
    ("module_utils/_config_validation.py", "open"): "likewise",
    ("module_utils/_snapshots.py", "TemporaryDirectory"): "in /run, made where nobody else can exchange it",
    ("module_utils/_snapshots.py", "open"): "likewise",
    ("module_utils/_account_access.py", "open"): "by a process that has become the service's account",
    ("module_utils/_postgres_server.py", "NamedTemporaryFile"): "in /tmp, where nobody can touch what is root's",
    ("module_utils/_http.py", "NamedTemporaryFile"): "of the controller, where that does not run Linux",
    ("module_utils/_system.py", "scandir"): "of /proc",
    (
        "module_utils/_tls_files.py",
        "open",
    ): "of an ACME client's, which are links; of regular files, and all that is said is whether they hold a certificate",
    (
        "module_utils/_data_directory.py",
        "*",
    ): "what changes a disk there has the rights of the account whose data it is; root only adds up what its files have",
    (
        "module_utils/_data_copy.py",
        "*",
    ): "what reads and writes data there has the rights of the account whose data it is; root only lists what its directory has",
    (
        "module_utils/_move.py",
        "*",
    ): "what it writes as root goes by _nofollow; the part that it opens and removes is in Ansible's own directory, the rest has the"
    " rights of the account",
    (
        "module_utils/_rehearsal.py",
        "*",
    ): "in a directory that root alone can enter; links in what was restored are not followed, and the service runs after that",
    (
        "module_utils/_restore.py",
        "*",
    ): "below a directory that only root can enter, held by its descriptor; what is in the data directory is renamed by descriptors",
    ("module_utils/_restored.py", "*"): "in a directory that root alone can enter; no link in it is followed",
    (
        "module_utils/_database.py",
        "open",
    ): "of a dump, beside the state of root's own or below a directory that only root can enter",
    ("module_utils/_database.py", "TemporaryFile"): "without a name",
    (
        "module_utils/_backup_program.py",
        "*",
    ): "in directories of root's own; in those of a service's data it goes by descriptors, and its unit can write nowhere else",
    (
        "modules/live_services.py",
        "*",
    ): "it only reads, of regular files and of no links, and nothing is done by what it finds",
}
# What runs on the controller, with the rights of its user and in his directories.
ON_THE_CONTROLLER = ("module_utils/_client.py",)


def unsafe_calls(path):
    """The names of unsafe functions that a file uses, with the line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in UNSAFE.get(node.value.id, ("write_text", "write_bytes", "touch", "rmdir", "mkdir")):
                yield node.attr, node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            yield "open", node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module in UNSAFE:
            yield from ((name.name, node.lineno) for name in node.names if name.name in UNSAFE[node.module])


def test_nothing_else_changes_the_disk_of_a_host():
    found, used = [], set()
    for path in sorted([*(PLUGINS / "module_utils").glob("*.py"), *(PLUGINS / "modules").glob("*.py")]):
        name = str(path.relative_to(PLUGINS))
        if path.name == "_nofollow.py" or name in ON_THE_CONTROLLER:
            continue
        for function, line in unsafe_calls(path):
            reason = next((key for key in ((name, function), (name, "*")) if key in REASONS), None)
            used.add(reason)
            if reason is None:
                found.append(f"{name}:{line} uses {function}")
    assert not found, "a service's account may stand behind the path: use _nofollow, or say here why not"
    assert not set(REASONS) - used, "these are used no more"


def test_every_program_that_root_hands_to_python_is_isolated():
    """A json.py in the directory where root happens to be, or one that PYTHONPATH names, is not imported."""
    for path in sorted(PLUGINS.rglob("*.py")):
        for line in path.read_text(encoding="utf-8").splitlines():
            # What a message advises, between backticks, is run by a person.
            if "`" not in line and re.search(r"""python\S*["']? .*(-c|-) |"\{0\} .*-c """, line):
                assert " -I " in line, f"{path}: {line}"


@pytest.mark.skipif(os.geteuid() != 0, reason="files get owners, which takes root")
def test_what_belongs_to_others_is_found_without_following_a_link(tmp_path):
    data, outside = tmp_path / "data", tmp_path / "outside"
    for folder in (data, data / "a", data / "a" / "b", data / "roots", outside):
        folder.mkdir()
        os.chown(folder, 1, 1)
    for path in (data / "a" / "b" / "deep", data / "shared", data / "first", outside / "x"):
        path.write_text("x")
    os.symlink(outside, data / "link")
    os.chown(data / "roots", 0, 0)
    os.chown(data / "shared", 0, 1)
    (data / "shared").chmod(0o660)
    found = [(str(data / "first"), 0), (str(data / "roots"), 0), (str(data / "a" / "b" / "deep"), 0)]
    assert _nofollow.strangers(str(data), 100) == found
    assert _nofollow.strangers(str(data), 100, {str(data / "roots")}) == [found[0], found[2]]
    # Those nearest come first, and no more is looked at than was said.
    assert _nofollow.strangers(str(data), 5) == found[:2]
    assert _nofollow.strangers(str(tmp_path / "none"), 100) == []
    os.rename(data, tmp_path / "moved")
    os.symlink(tmp_path / "moved", data)
    os.chown(tmp_path, 1, 1)
    assert _nofollow.strangers(str(data), 100) == []
