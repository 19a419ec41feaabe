"""Mirrors that are broken, wrong, out of reach or gone, met by a host that is to get another release.

The release is that of node_exporter, the smallest; what fetches and verifies it is the same for all services.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import socket

import pytest

from lab import hosts, mirror

pytestmark = pytest.mark.xdist_group("mirror")
ONLY = ("node_exporter",)


def wanted() -> str:
    """The specified version; the host has another one."""
    return mirror.versions()["node_exporter"]["old"]


@pytest.fixture(scope="module")
def before(shared_site):
    """The host's state before all tests."""
    return shared_site.state()


@pytest.fixture
def ask(shared_site, monkeypatch):
    """Run the play for the other version of node_exporter; ``ask(mirror, further variables)``."""

    def run(place, **variables):
        asked = {"node_exporter_version": wanted(), "monitoring_release_mirror": str(place), **variables}
        with monkeypatch.context() as patch:
            patch.setattr(shared_site, "variables", {**shared_site.variables, **asked})
            return shared_site.run(groups=ONLY)

    return run


@pytest.fixture
def folder(tmp_path):
    """A mirror of its own, to be broken."""
    return shutil.copytree(mirror.path() / "node_exporter", tmp_path / "mirror" / "node_exporter").parent


@pytest.fixture
def archive(folder):
    """The archive in it that will be requested."""
    return next((folder / "node_exporter" / f"v{wanted()}").glob("*.tar.gz"))


def vouch_for(archive):
    """Let the sums file have the archive's checksum as it is now."""
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (archive.parent / "sha256sums.txt").write_text(f"{digest}  {archive.name}\n")


def cut_short(archive):
    archive.write_bytes(archive.read_bytes()[:500_000])


def damage(archive):
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 0xFF
    archive.write_bytes(data)


def put_a_page_there(archive):
    """What a proxy that wants a login answers with, vouched for by a mirror that keeps everything."""
    archive.write_text("<html>Please log in</html>\n" * 100)
    vouch_for(archive)


def put_another_version_there(archive):
    """The newer release under the name of the older one."""
    newer = next(path for path in archive.parents[1].glob("*/*.tar.gz") if path != archive)
    shutil.copy(newer, archive)
    vouch_for(archive)


def empty_the_sums(archive):
    (archive.parent / "sha256sums.txt").write_text("")


def remove_it(archive):
    shutil.rmtree(archive.parent)


BROKEN = {
    "cut short": (cut_short, ["truncated archive", "ends after 500000 bytes", "It was not used"]),
    "damaged": (damage, ["wrong checksum", "It was not used", "Replace the damaged archive"]),
    "a page": (put_a_page_there, ["the archive is damaged or is not a tar.gz"]),
    "another version": (put_another_version_there, ["holds node_exporter", "correct node_exporter_binary_url"]),
    "no sums": (empty_the_sums, ["cannot be verified", "sha256sums.txt is empty", "node_exporter_checksum"]),
    "not there": (remove_it, ["cannot read", "on the controller", "Does monitoring_release_mirror"]),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_mirror_is_named_and_harms_nothing(shared_site, before, ask, folder, archive, kind):
    break_it, words = BROKEN[kind]
    break_it(archive)
    ask(folder).must_be_red(archive.name.split(".tar")[0] if kind != "not there" else str(folder), *words)
    assert shared_site.state() == before
    assert shared_site.host.run("ls -A /root/.ansible/tmp").stdout == "", "a copy of the archive was left there"


@pytest.mark.parametrize("fetch", ["controller", "host"])
def test_a_server_without_the_release_is_named(shared_site, before, ask, folder, archive, fetch):
    remove_it(archive)
    with mirror.serve(hosts.gateway(), folder=folder) as server:
        ask(server.url, monitoring_release_fetch=fetch).must_be_red(
            server.url, "answers 404 Not Found", "Check node_exporter_version, and monitoring_release_mirror"
        )
    assert shared_site.state() == before


@pytest.mark.parametrize("fetch", ["controller", "host"])
def test_an_archive_cut_short_on_a_server_is_named(shared_site, before, ask, folder, archive, fetch):
    cut_short(archive)
    with mirror.serve(hosts.gateway(), folder=folder) as server:
        ask(server.url, monitoring_release_fetch=fetch).must_be_red(server.url, "truncated archive")
    assert shared_site.state() == before


def test_a_server_out_of_reach_is_named(shared_site, before, ask):
    address = f"http://127.0.0.1:{closed_port()}"
    ask(address).must_be_red(f"cannot reach {address}", "refused", "Check the network, or monitoring_release_mirror")
    assert shared_site.state() == before


def test_a_checksum_for_another_build_is_named(shared_site, before, ask):
    ask(mirror.path(), node_exporter_checksum="0" * 64).must_be_red(
        "wrong checksum", f"expected is {'0' * 64}", "correct node_exporter_checksum"
    )
    assert shared_site.state() == before


def test_a_converged_host_needs_no_mirror(shared_site, before, monkeypatch):
    """Nothing is fetched, and nothing is asked: a mirror that is there would tell, one that is gone could not answer."""

    def run(place, **options):
        variables = {**shared_site.variables, "monitoring_release_mirror": place}
        monkeypatch.setattr(shared_site, "variables", variables)
        shared_site.run(**options).must_be_green(changed=False)

    with mirror.serve(hosts.gateway()) as server:
        run(server.url)
        assert server.requests == []
    run(server.url, groups=ONLY)
    assert shared_site.state() == before


@pytest.mark.parametrize("fetch", ["host", "controller"])
def test_a_mended_mirror_is_used_at_once(shared_site, ask, folder, archive, fetch):
    """What was cut short is in nobody's way: neither in the controller's cache nor on the host."""
    whole, place = archive.read_bytes(), {"monitoring_release_fetch": fetch}
    with mirror.serve(hosts.gateway(), folder=folder) as server:
        cut_short(archive)
        ask(server.url, **place).must_be_red("truncated archive")
        archive.write_bytes(whole)
        ask(server.url, **place).must_be_green(changed=True)
        asked = [line for _moment, line in server.requests if "200" in line]
        assert sum(archive.name in line for line in asked) == 2
        assert shared_site.version("node_exporter") == wanted()
        server.requests.clear()
        ask(server.url, **place).must_be_green(changed=False)
        assert server.requests == []
    cached = [path.name for path in (shared_site.folder / "cache").rglob("*") if path.is_file()]
    stored = [name for name in cached if "lock" not in name]
    assert stored == ([hashlib.sha256(whole).hexdigest()] if fetch == "controller" else [])
    # For the next test: the release that ran before, and no other.
    shared_site.run(groups=ONLY).must_be_green(changed=True)
    shared_site.host.run(f"rm -r /opt/vigil/bin/node_exporter-{wanted()}")


def closed_port() -> int:
    """A port of this machine on which nobody listens."""
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
