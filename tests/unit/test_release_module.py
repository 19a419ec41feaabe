# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's side of ``release``, on directories of this machine and with a program that only knows its version."""

from __future__ import annotations

import collections
import errno
import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from types import SimpleNamespace

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow, _package_files, _unpack
from ansible_collections.vigil.monitoring.plugins.module_utils._release import ReleaseError
from ansible_collections.vigil.monitoring.plugins.modules import release
from release_world import make_archive, make_mirror, send, server


@pytest.fixture(autouse=True)
def amd64(monkeypatch):
    machine = SimpleNamespace(machine="x86_64")
    monkeypatch.setattr(release.os, "uname", lambda: machine)


@pytest.fixture
def world(tmp_path):
    """``run(version, **options)`` installs from a mirror directory, as the action plugin would have it."""
    (tmp_path / "links").mkdir()

    def run(version="1.0.0", check_mode=False, state="present", method="archive", **options):
        archive = tmp_path / "mirror" / "fake" / f"v{version}" / f"fake-{version}.linux-amd64.tar.gz"
        if not archive.exists():
            make_mirror(tmp_path / "mirror", version)
        params = dict.fromkeys(("role", "checksum", "checksums_url", "path", "cache_dir"))
        params.update(
            program="fake",
            version=version,
            url=str(archive).replace("amd64", "{arch}"),
            fetch="controller",
            headers={},
            binaries=["fake"],
            releases_dir=str(tmp_path / "bin"),
            link_dir=str(tmp_path / "links"),
            keep=1,
            archive=str(archive),
            discard=False,
            packages=[],
            package_binaries={},
            package_units=[],
            found=None,
            known_checksums={},
        )
        params.update(options)
        return getattr(release.METHODS[method](params, check_mode), state)()

    return run


def snapshot(root, times=False):
    """Everything below a directory: mode, owner, content; with the times at which files were written if asked."""
    found = {}
    for folder, _dummy, files in os.walk(root):
        found[folder] = os.stat(folder).st_mode
        for name in files:
            path = os.path.join(folder, name)
            status = os.stat(path)
            with open(path, "rb") as stream:
                found[path] = (status.st_mode, status.st_uid, stream.read(), times and status.st_ctime_ns)
    return found


@pytest.mark.parametrize("beside, gone", [((), True), (("somebody's",), False)])
def test_a_copy_that_goes_once_it_is_unpacked(world, tmp_path, beside, gone):
    make_mirror(tmp_path / "mirror", "1.0.0")
    copies = tmp_path / "copies"
    copies.mkdir()
    shutil.copy(tmp_path / "mirror/fake/v1.0.0/fake-1.0.0.linux-amd64.tar.gz", copies / "archive.tar.gz")
    for name in beside:
        (copies / name).write_text("")
    answer = world(archive=str(copies / "archive.tar.gz"), discard=True)
    assert (answer["discarded"], copies.exists()) == (gone, not gone)
    assert (tmp_path / "bin/fake-1.0.0/fake").exists()


def test_install_and_converge(world, tmp_path):
    previous = os.umask(0o077)
    try:
        answer = world()
    finally:
        os.umask(previous)
    path = tmp_path / "bin" / "fake-1.0.0"
    assert answer["changed"] and answer["installed_now"] and answer["fetched"]
    assert answer["binaries"] == {"fake": f"{path}/fake"}
    assert answer["links"] == {f"{tmp_path}/links/fake": f"{path}/fake"}
    assert answer["commands"] == {"fake": f"{tmp_path}/links/fake"}
    assert os.listdir(tmp_path / "links") == []
    modes = {
        name: os.stat(path / name).st_mode & 0o7777 for name in ("", "fake", "docs", "docs/README", ".release.json")
    }
    assert modes == {"": 0o755, "fake": 0o755, "docs": 0o755, "docs/README": 0o644, ".release.json": 0o644}
    assert os.stat(path / "fake").st_uid == os.geteuid()
    assert os.stat(tmp_path / "bin").st_mode & 0o7777 == 0o755
    assert os.listdir(tmp_path / "bin") == ["fake-1.0.0"]

    before = snapshot(tmp_path / "bin", times=True)
    again = world(archive=None, url="http://nowhere.invalid/{arch}")
    assert not again["changed"] and not again["fetched"] and again["links"] == answer["links"]
    assert snapshot(tmp_path / "bin", times=True) == before


def test_what_is_executable_in_the_archive_stays_so(world, tmp_path):
    """A release may be a whole tree, with more programs in it than those that are asked for."""
    tool = tarfile.TarInfo("fake-1.0.0.linux-amd64/libexec/tool")
    tool.mode = 0o700
    path = tmp_path / "whole.tar.gz"
    make_archive(path, "1.0.0", members=[tool])
    world(archive=str(path))
    assert os.stat(tmp_path / "bin/fake-1.0.0/libexec/tool").st_mode & 0o7777 == 0o755


def test_check_mode_says_and_does_nothing(world, tmp_path):
    assert world(check_mode=True, archive=None)["wanted"] == {"arch": "amd64"}
    answer = world(check_mode=True, archive=None, found={"size": 1000})
    assert answer["changed"] and "would fetch" in answer["msg"] and "fake-1.0.0.linux-amd64.tar.gz" in answer["msg"]
    assert answer["diff"]["after"] == "fake-1.0.0\n"
    assert not (tmp_path / "bin").exists()


def test_the_controller_is_asked_for_the_archive(world, tmp_path):
    assert world(archive=None) == {"changed": False, "wanted": {"arch": "amd64"}}
    assert not (tmp_path / "bin").exists()


def _cut_short(path):
    (path / "fake").write_text("#!/bin/sh\n")


@pytest.mark.parametrize(
    "tamper",
    [
        _cut_short,
        lambda path: (path / "fake").unlink(),
        lambda path: (path / "fake").chmod(0o644),
        lambda path: (path / ".release.json").write_text("{"),
        lambda path: (path / ".release.json").write_text("[]"),
    ],
)
def test_a_release_that_was_tampered_with_is_replaced(world, tmp_path, tamper):
    world()
    before = snapshot(tmp_path / "bin")
    tamper(tmp_path / "bin" / "fake-1.0.0")
    assert world()["changed"]
    assert snapshot(tmp_path / "bin") == before


def test_another_checksum_means_another_release(world, tmp_path):
    world()
    digest = make_archive(
        tmp_path / "mirror/fake/v1.0.0/fake-1.0.0.linux-amd64.tar.gz",
        "1.0.0",
        members=[("fake-1.0.0.linux-amd64/new", b"")],
    )
    assert world(checksum=digest)["changed"]
    assert (tmp_path / "bin" / "fake-1.0.0" / "new").exists()
    assert not world(checksum={"amd64": f"sha256:{digest}"})["changed"]


def test_what_is_not_ours_stays(world, tmp_path):
    foreign = tmp_path / "bin" / "fake-1.0.0"
    foreign.mkdir(parents=True)
    (foreign / "fake").write_text("mine")
    with pytest.raises(ReleaseError, match="was not created by this collection"):
        world()
    assert (foreign / "fake").read_text() == "mine"
    (tmp_path / "bin" / "file").write_text("mine too")
    world("1.1.0")
    assert world(state="absent")["removed"] == [f"{tmp_path}/bin/fake-1.1.0"]
    assert sorted(os.listdir(tmp_path / "bin")) == ["fake-1.0.0", "file"]


def test_a_killed_run_leaves_nothing_behind_after_the_next(world, tmp_path):
    world()
    before = snapshot(tmp_path / "bin")
    world(state="absent")
    assert not (tmp_path / "bin").exists()
    litter = tmp_path / "bin" / ".fake-killed" / "release"
    litter.mkdir(parents=True)
    (tmp_path / "bin").chmod(0o755)
    (litter / "fake").write_text("half")
    world()
    assert snapshot(tmp_path / "bin") == before


@pytest.mark.parametrize("moment", ["unpack", "restore_context", "write_atomically", "sync_directory"])
def test_killed_at_any_moment(world, tmp_path, monkeypatch, moment):
    """A child process dies at that moment; the next run ends as if it had been the first."""
    world("1.0.0")
    child = os.fork()
    if not child:
        place, name = (_unpack if moment == "unpack" else release), moment
        if moment == "sync_directory":
            place = _nofollow
        monkeypatch.setattr(place, name, lambda *args, **kwargs: os._exit(9))
        world("1.1.0")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    world("1.1.0")
    found = sorted(os.listdir(tmp_path / "bin"))
    assert found == ["fake-1.0.0", "fake-1.1.0"]
    assert sorted(os.listdir(tmp_path / "bin" / "fake-1.1.0")) == [".release.json", "docs", "fake"]


def test_one_earlier_release_is_kept(world, tmp_path):
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        answer = world(version)
    assert answer["removed"] == [f"{tmp_path}/bin/fake-1.0.0"]
    assert sorted(os.listdir(tmp_path / "bin")) == ["fake-1.1.0", "fake-1.2.0"]
    assert (
        answer["diff"]["before"] == "fake-1.0.0\nfake-1.1.0\n" and answer["diff"]["after"] == "fake-1.1.0\nfake-1.2.0\n"
    )


def test_a_release_whose_directory_cannot_be_renamed(world, tmp_path, monkeypatch):
    """As in the lower layer of an overlay: a host that was booted from an image which held the release already."""
    for version in ("1.0.0", "1.1.0"):
        world(version)
    rename, removed = os.rename, []

    def refuse(source, target, **places):
        if os.path.basename(source).startswith("fake-1."):
            raise OSError(errno.EXDEV, "Invalid cross-device link", source)
        rename(source, target, **places)

    def unlink(path, **options):
        removed.append(os.path.basename(path))
        original(path, **options)

    original = os.unlink
    monkeypatch.setattr(os, "rename", refuse)
    monkeypatch.setattr(os, "unlink", unlink)
    assert world("1.2.0")["removed"] == [f"{tmp_path}/bin/fake-1.0.0"]
    assert sorted(os.listdir(tmp_path / "bin")) == ["fake-1.1.0", "fake-1.2.0"]
    # Cut off before its end, the removal leaves what is known to be ours.
    assert removed.index("fake") < removed.index(".release.json")
    world(state="absent", version="1.1.0")
    assert not (tmp_path / "bin").exists()


def test_the_linked_release_is_the_one_to_fall_back_to(world, tmp_path):
    world("1.0.0")
    os.symlink(tmp_path / "bin" / "fake-1.0.0" / "fake", tmp_path / "links" / "fake")
    world("1.1.0")  # did not come up: the link still points to 1.0.0
    assert world("1.2.0")["removed"] == [f"{tmp_path}/bin/fake-1.1.0"]
    assert sorted(os.listdir(tmp_path / "bin")) == ["fake-1.0.0", "fake-1.2.0"]


def test_a_release_that_runs_stays(world, tmp_path):
    world("1.0.0")
    sleeper = tmp_path / "bin" / "fake-1.0.0" / "sleeper"
    shutil.copy("/bin/sleep", sleeper)
    process = subprocess.Popen([sleeper, "60"])
    try:
        world("1.1.0")
        assert world("1.2.0")["removed"] == []
    finally:
        process.kill()
        process.wait()


def _link(name, target="fake", kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "members, words",
    [
        ([("../evil", b"")], "unsafe.*evil"),
        ([("/etc/evil", b"")], "unsafe.*/etc/evil"),
        ([_link("fake-1.0.0.linux-amd64/link")], "link or a device"),
        ([_link("fake-1.0.0.linux-amd64/hard", kind=tarfile.LNKTYPE)], "link or a device"),
        ([_link("fake-1.0.0.linux-amd64/null", kind=tarfile.CHRTYPE)], "link or a device"),
        ([("other/file", b"")], "more than one top directory"),
        ([("loose", b"")], "more than one top directory"),
        ([("fake-1.0.0.linux-amd64/fake", b"twice")], "fake' twice"),
        ([("fake-1.0.0.linux-amd64/fake/below", b"a file")], "fake/below' twice"),
        ([("fake-1.0.0.linux-amd64/new\nline", b"")], "invalid name"),
        ([("fake-1.0.0.linux-amd64/back\\slash", b"")], "invalid name"),
        ([("fake-1.0.0.linux-amd64" + "/d" * 70, b"")], "invalid name"),
        ([("fake-1.0.0.linux-amd64/" + "n" * 256, b"")], "too long for a disk"),
        ([("fake-1.0.0.linux-amd64/bomb", bytes(70 << 20))], "unsafe: .* KiB of it unpack to 70 MiB"),
    ],
)
def test_unsafe_archives(world, tmp_path, members, words):
    make_mirror(tmp_path / "mirror", "1.0.0", members=members)
    with pytest.raises(ReleaseError, match=words):
        world()
    assert os.listdir(tmp_path / "bin") == []
    assert not (tmp_path / "evil").exists()


def test_rights_that_no_release_needs_are_not_given(world, tmp_path):
    """Who may do what is decided here, whatever the archive says."""
    tool = tarfile.TarInfo("fake-1.0.0.linux-amd64/tool")
    tool.mode, tool.uid, tool.gid = 0o6777, 1234, 1234
    make_mirror(tmp_path / "mirror", "1.0.0", members=[tool])
    world()
    status = os.stat(tmp_path / "bin/fake-1.0.0/tool")
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o755, os.geteuid(), os.getegid())


def test_too_many_files(world, tmp_path, monkeypatch):
    monkeypatch.setattr(_unpack, "MOST_FILES", 2)
    world("1.0.0")
    make_mirror(tmp_path / "mirror", "1.1.0", members=[("fake-1.1.0.linux-amd64/third", b"")])
    with pytest.raises(ReleaseError, match="in 3 files or more"):
        world("1.1.0")


def make_zip(path, members, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name, (2024, 1, 2, 3, 4, 6))
            info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            bundle.writestr(info, content)
    return str(path)


def test_a_zip_is_unpacked_as_a_tar_is(tmp_path):
    archive = make_zip(
        tmp_path / "a.zip",
        [("top/plugin.json", b"{}", 0o100600), ("top/", b"", 0o40777), ("top/bin/tool", b"#!", 0o106755)],
    )
    _unpack.unpack(archive, str(tmp_path / "there"), usual="zip")
    modes = {
        name: os.stat(tmp_path / "there" / name).st_mode & 0o7777 for name in ("", "bin", "plugin.json", "bin/tool")
    }
    assert modes == {"": 0o755, "bin": 0o755, "plugin.json": 0o644, "bin/tool": 0o755}
    assert _unpack.unpacked_size(archive) == 4


@pytest.mark.parametrize(
    "members, words",
    [
        ([("../evil", b"", 0)], "unsafe.*evil"),
        ([("/etc/evil", b"", 0)], "unsafe.*/etc/evil"),
        ([("top/link", b"/etc/passwd", 0o120777)], "link or a device"),
        ([("top/fifo", b"", 0o10644)], "link or a device"),
        ([("top/null", b"", 0o20666)], "link or a device"),
        ([("top/a", b"", 0), ("top/a", b"", 0)], "top/a' twice"),
        ([("top/a", b"", 0), ("other/a", b"", 0)], "more than one top directory"),
        ([("top/bomb", bytes(70 << 20), 0)], "unsafe: .* KiB of it unpack to 70 MiB"),
        ([("top/" + "n" * 300, b"", 0)], "too long for a disk"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_unsafe_zips(tmp_path, members, words):
    with pytest.raises(ReleaseError, match=words):
        _unpack.unpack(make_zip(tmp_path / "a.zip", members), str(tmp_path / "there"), usual="zip")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\3\4 and no more", b"\x7fELF"])
def test_what_is_no_zip(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ReleaseError, match="not a zip"):
        _unpack.unpack(str(tmp_path / "a.zip"), str(tmp_path / "there"), usual="zip")


@pytest.mark.parametrize("left", [0, 5, 100, 200])
def test_damaged_archive(world, tmp_path, left):
    archive, _dummy = make_mirror(tmp_path / "mirror", "1.0.0")
    archive.write_bytes(archive.read_bytes()[:left])
    with pytest.raises(ReleaseError, match=r"linux-amd64.tar.gz: the archive is damaged or is not a tar.gz"):
        world()
    assert os.listdir(tmp_path / "bin") == []


def test_a_program_that_comes_without_an_archive(tmp_path):
    program = tmp_path / "fake-v1.0.0-linux-amd64"
    shutil.copy("/bin/true", program)
    _unpack.unpack(str(program), str(tmp_path / "fake-1.0.0"), ["fake"], "fake")
    assert os.listdir(tmp_path / "fake-1.0.0") == ["fake"]
    assert (tmp_path / "fake-1.0.0" / "fake").read_bytes() == program.read_bytes()
    assert (tmp_path / "fake-1.0.0" / "fake").stat().st_mode & 0o7777 == 0o755
    with pytest.raises(ReleaseError, match="has no faketool; it has fake"):
        _unpack.unpack(str(program), str(tmp_path / "other-1.0.0"), ["fake", "faketool"], "fake")


def test_an_archive_without_the_program(world):
    with pytest.raises(ReleaseError, match="has no faketool; it has docs/README, fake"):
        world(binaries=["fake", "faketool"])


def test_an_archive_that_lies_about_its_version(world, tmp_path):
    make_mirror(tmp_path / "mirror", "1.0.0", reports="0.9.0")
    with pytest.raises(
        ReleaseError, match=r"holds fake 0.9.0\+ds1, not 1.0.0: correct fake_binary_url or fake_version"
    ):
        world()
    assert os.listdir(tmp_path / "bin") == []


def test_wrong_checksum_of_what_was_copied(world, tmp_path):
    with pytest.raises(ReleaseError, match="wrong checksum"):
        world(checksum="0" * 64)
    assert os.listdir(tmp_path / "bin") == []


def test_a_full_disk_is_noticed_before_writing(world, tmp_path, monkeypatch):
    world("1.0.0")
    for found in ({"size": 5 << 20}, {"size": 1, "unpacked": 10 << 20}):
        assert world("1.1.0", check_mode=True, found=found)["changed"]
    status = collections.namedtuple("status", "f_bavail f_frsize f_blocks f_flag f_files")
    monkeypatch.setattr(os, "statvfs", lambda path: status(1, 16, 1, 0, 0))
    with pytest.raises(ReleaseError, match=f"no space in {tmp_path}/bin: .*monitoring_release_dir"):
        world("1.1.0")
    for found in ({"size": 5 << 20}, {"size": 1, "unpacked": 10 << 20}):
        with pytest.raises(
            ReleaseError, match=f"no space in {tmp_path}/bin: the release needs 10 MiB unpacked, 0 MiB are"
        ):
            world("1.1.0", check_mode=True, found=found)
    assert os.listdir(tmp_path / "bin") == ["fake-1.0.0"]


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("flag, words", [("ST_RDONLY", "mounted read-only"), ("ST_NOEXEC", "mounted noexec")])
def test_a_place_that_cannot_hold_programs(world, tmp_path, monkeypatch, check_mode, flag, words):
    world("1.0.0", check_mode=True, found={"size": 1})
    status = collections.namedtuple("status", "f_bavail f_frsize f_blocks f_flag f_files")
    monkeypatch.setattr(os, "statvfs", lambda path: status(1 << 20, 1024, 1 << 20, getattr(os, flag), 0))
    with pytest.raises(ReleaseError, match=f"{words}.*monitoring_release_dir"):
        world("1.0.0", check_mode=check_mode, found={"size": 1})
    assert not (tmp_path / "bin").exists()


@pytest.mark.parametrize("check_mode", [True, False])
def test_what_is_in_the_way_is_found_by_a_check_too(world, tmp_path, check_mode):
    (tmp_path / "bin").write_text("a file")
    with pytest.raises(ReleaseError, match="must be a directory, but is something else"):
        world("1.0.0", check_mode=check_mode, found={"size": 1})


def test_the_host_downloads_by_itself(world, tmp_path):
    archive, digest = make_mirror(tmp_path / "mirror", "1.0.0")

    def answer(handler):
        send(handler, 200, (archive.parent / os.path.basename(handler.path)).read_bytes())

    with server(answer) as (url, seen):
        result = world(
            archive=None,
            fetch="host",
            url=url + "/fake-1.0.0.linux-{arch}.tar.gz",
            checksums_url=f"{url}/sha256sums.txt",
            headers={"Authorization": "Bearer SENTINEL"},
        )
    assert result["changed"] and [path for path, dummy in seen] == ["/sha256sums.txt", "/fake-1.0.0.linux-amd64.tar.gz"]
    text = (tmp_path / "bin" / "fake-1.0.0" / ".release.json").read_text()
    assert json.loads(text)["sha256"] == digest and "SENTINEL" not in text


@pytest.mark.parametrize("there", [True, False])
def test_a_host_that_downloads_by_itself_asks_for_the_size_in_a_check(world, tmp_path, there):
    archive, dummy = make_mirror(tmp_path / "mirror", "1.0.0")

    def answer(handler):
        body = (archive.parent / os.path.basename(handler.path)).read_bytes()
        send(handler, 200 if there or handler.path.endswith(".txt") else 404, body)

    with server(answer) as (url, dummy):
        options = {
            "archive": None,
            "check_mode": True,
            "fetch": "host",
            "url": url + "/fake-1.0.0.linux-{arch}.tar.gz",
            "checksums_url": f"{url}/sha256sums.txt",
        }
        if there:
            assert world(**options)["changed"]
            assert "plain http" in world(**options)["warnings"][0]
        else:
            with pytest.raises(ReleaseError, match=r"answers 404.*fake_version"):
                world(**options)
    assert not (tmp_path / "bin").exists()


def test_a_directory_is_read_by_the_controller_even_if_the_host_is_to_fetch(world):
    assert "wanted" in world(archive=None, fetch="host")
    assert "read by the controller" in world(fetch="host")["msg"]


@pytest.mark.parametrize(
    "options, words",
    [({"url": None}, "fake_binary_url"), ({"version": None}, "fake_version"), ({"version": "latest"}, "pinned")],
)
def test_what_is_needed_is_named(world, options, words):
    with pytest.raises(ReleaseError, match=words):
        world(**options)


def test_absent(world, tmp_path):
    world("1.0.0")
    world("1.1.0")
    assert len(world(state="absent", check_mode=True)["removed"]) == 2
    assert len(os.listdir(tmp_path / "bin")) == 2
    assert world(state="absent")["changed"]
    assert not (tmp_path / "bin").exists()
    assert not world(state="absent")["changed"]


@pytest.mark.parametrize(("above", "goes"), [("vigil", True), ("srv", False)])
def test_the_directory_above_goes_where_it_bears_our_name(world, tmp_path, above, goes):
    there = tmp_path / above
    there.mkdir()
    world(releases_dir=str(there / "bin"))
    world(state="absent", releases_dir=str(there / "bin"))
    assert not (there / "bin").exists() and there.exists() is not goes


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "usr" / "fake"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\necho fake, version 1.0.0+ds1\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("directory", [True, False])
def test_preinstalled(world, program, directory):
    answer = world(version=None, method="preinstalled", path=str(program.parent if directory else program))
    assert not answer["changed"] and answer["version"] == "1.0.0"
    assert answer["commands"] == answer["binaries"] == {"fake": str(program)} and answer["links"] == {}


@pytest.mark.parametrize(
    "options, words",
    [
        ({"path": None}, "fake_preinstalled_path"),
        ({"path": "relative"}, "fake_preinstalled_path is 'relative'"),
        ({"path": "/nowhere/fake"}, "/nowhere/fake: no such executable.*fake_preinstalled_path"),
        ({"binaries": ["fake", "faketool"]}, "faketool: no such executable"),
        ({"version": "2.0.0"}, r"is version 1.0.0\+ds1, fake_version is 2.0.0"),
    ],
)
def test_preinstalled_refused(world, program, options, words):
    with pytest.raises(ReleaseError, match=words):
        world(**{"version": "1.0.0", "method": "preinstalled", "path": str(program), **options})


def test_package(world, program, tmp_path, monkeypatch):
    monkeypatch.setattr(release, "UNITS", str(tmp_path / "units"))
    monkeypatch.setattr(release, "run", lambda *args, **kwargs: (0, "fake, version 1.0.0"))
    monkeypatch.setattr(release, "ensure_directory", lambda path: os.makedirs(path, exist_ok=True))
    options = {
        "method": "package",
        "version": None,
        "packages": ["pkg-fake"],
        "package_binaries": {"fake": str(program)},
        "package_units": ["fake.service", "theirs.service"],
    }
    assert world(**options)["commands"] == {"fake": str(program)}
    assert not (tmp_path / "units").exists()

    program.unlink()
    assert "would install pkg-fake" in world(check_mode=True, **options)["msg"]
    assert not (tmp_path / "units").exists()
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / "theirs.service").write_text("[Unit]\n")
    answer = world(**options)
    assert answer["masked"] == ["fake.service"] and answer["wanted"]["manager"] in ("apt", "package")
    assert os.readlink(tmp_path / "units" / "fake.service") == "/dev/null"
    assert (tmp_path / "units" / "theirs.service").read_text() == "[Unit]\n"


UNVERSIONED = "#!/bin/sh\necho 'fake, version  (branch: debian/sid, revision: 0.8.5-1)'\n"


def test_a_package_whose_program_does_not_know_its_version(world, program, monkeypatch):
    options = {"method": "package", "version": None, "packages": ["x"], "package_binaries": {"fake": str(program)}}
    assert world(**options)["reports_version"]
    program.write_text(UNVERSIONED)
    known = {str(program): "0.8.5"}
    monkeypatch.setattr(release, "package_version", known.get)
    answer = world(**options)
    assert (answer["version"], answer["reports_version"]) == ("0.8.5", False)
    assert "version 0.8.5, which the program itself does not report" in answer["msg"]
    known.clear()
    with pytest.raises(ReleaseError, match="printed no version: 'fake, version  "):
        world(**options)
    # What somebody put there belongs to no package.
    with pytest.raises(ReleaseError, match="printed no version"):
        world(version=None, method="preinstalled", path=str(program))


@pytest.mark.parametrize(
    ("version", "upstream"),
    [
        ("0.8.5-1", "0.8.5"),
        ("2.53.3+ds1-2", "2.53.3+ds1"),
        ("1:0.28.1-1~bpo12+1", "0.28.1"),
        ("3.0.0~rc.1-1", "3.0.0~rc.1"),
        ("1.2-3-4", "1.2-3"),
        ("0.8.7\n", "0.8.7"),
        ("", None),
    ],
)
def test_upstreams_part_of_a_packages_version(version, upstream):
    assert _package_files.upstream_version(version) == upstream


def test_the_package_of_a_file_is_known(tmp_path):
    if not shutil.which("dpkg-query"):
        pytest.skip("no dpkg on this machine")
    status = subprocess.run(["dpkg-query", "-W", "-f=${Version}", "dpkg"], capture_output=True, text=True, check=True)
    assert _package_files.package_version("/usr/bin/dpkg") == _package_files.upstream_version(status.stdout)
    assert _package_files.package_version(str(tmp_path)) is None


def test_package_of_nothing(world):
    with pytest.raises(ReleaseError, match="fake_install_method"):
        world(method="package")
