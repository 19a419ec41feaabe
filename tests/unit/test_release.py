# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known about releases without looking: addresses, checksums, versions, archives."""

from __future__ import annotations

import os

import pytest
from ansible_collections.vigil.monitoring.plugins.filter.release_url import FilterModule
from ansible_collections.vigil.monitoring.plugins.module_utils import _release
from ansible_collections.vigil.monitoring.plugins.module_utils._release import ReleaseError

A, B = "a" * 64, "b" * 64
UPSTREAM = "https://upstream.example/prometheus/releases/download"


@pytest.mark.parametrize(
    "machine, arch",
    [
        ("x86_64", "amd64"),
        ("amd64", "amd64"),
        ("aarch64", "arm64"),
        ("arm64", "arm64"),
        ("armv7l", "armv7"),
        ("armv8l", "armv7"),
    ],
)
def test_architecture(machine, arch):
    assert _release.architecture(machine) == arch


def test_unknown_architecture_is_named():
    with pytest.raises(ReleaseError, match="sparc64"):
        _release.architecture("sparc64")


@pytest.mark.parametrize(
    "version, mirror, folder",
    [
        ("3.5.3", None, f"{UPSTREAM}/v3.5.3"),
        ("v3.5.3+ds1", "", f"{UPSTREAM}/v3.5.3"),
        ("3.5.3", "https://mirror.example/", "https://mirror.example/prometheus/v3.5.3"),
        ("3.5.3", "/srv/mirror", "/srv/mirror/prometheus/v3.5.3"),
    ],
)
def test_addresses(version, mirror, folder):
    filters = FilterModule().filters()
    url = filters["release_url"]("prometheus", version, mirror=mirror, upstream=UPSTREAM)
    sums = filters["release_sums_url"]("prometheus", version, mirror=mirror, upstream=UPSTREAM)
    assert url == folder + "/prometheus-3.5.3.linux-{arch}.tar.gz"
    assert sums == folder + "/sha256sums.txt"


def test_address_of_a_program_that_is_published_without_an_archive():
    filters = FilterModule().filters()
    url = filters["release_url"]("cadvisor", "v0.60.3", upstream=UPSTREAM, bare=True)
    assert url == f"{UPSTREAM}/v0.60.3/cadvisor-v0.60.3-linux-{{arch}}"
    sums = filters["release_sums_url"]
    assert sums("cadvisor", "0.60.3", upstream=UPSTREAM, bare=True) == url + ".sha256"
    assert sums("cadvisor", "0.60.3", mirror="/m", upstream=UPSTREAM, bare=True) == "/m/cadvisor/v0.60.3/sha256sums.txt"


def test_address_of_a_program_whose_files_upstream_names_otherwise():
    filters = FilterModule().filters()
    layout = {"archive": "process-exporter-{version}.linux-{arch}.tar.gz", "checksums": "checksums.txt"}
    for given, folder in (
        ({"upstream": UPSTREAM}, f"{UPSTREAM}/v0.8.7"),
        ({"mirror": "/m"}, "/m/process_exporter/v0.8.7"),
    ):
        url = filters["release_url"]("process_exporter", "v0.8.7", **given, **layout)
        assert url == f"{folder}/process-exporter-0.8.7.linux-{{arch}}.tar.gz"
        assert filters["release_sums_url"]("process_exporter", "0.8.7", **given, **layout) == f"{folder}/checksums.txt"


@pytest.mark.parametrize(
    "url, remote, name",
    [
        ("https://mirror.example/x/a%2Bb.tar.gz?token=1", True, "a+b.tar.gz"),
        ("/srv/mirror/a.tar.gz", False, "a.tar.gz"),
        ("file:///srv/mirror/a%20b.tar.gz", False, "a b.tar.gz"),
        ("mirror/a.tar.gz", False, "a.tar.gz"),
    ],
)
def test_kinds_of_addresses(url, remote, name):
    assert _release.is_remote(url) is remote
    assert _release.base_name(url) == name


def test_shown_address_has_no_credentials():
    assert _release.shown("https://me:SENTINEL@mirror.example:8443/x?token=SENTINEL") == "https://mirror.example:8443/x"


@pytest.mark.parametrize(
    "output, version",
    [
        ("prometheus, version 3.5.3+ds1 (branch: debian/sid, revision: 3.5.3+ds1-1)\n  build user: x", "3.5.3+ds1"),
        ("node_exporter, version 1.11.1 (branch: , revision: )", "1.11.1"),
        ("grafana version 11.0.0", "11.0.0"),
        ("Version v2.0.0-rc.1, commit abc", "2.0.0-rc.1"),
        ("version:3.1.2.", None),
        ("version: 3.1.2.", "3.1.2"),
        ("conversion 3.1", None),
        ("no such flag --version", None),
    ],
)
def test_reported_version(output, version):
    assert _release.reported_version(output) == version


@pytest.mark.parametrize("version", ["latest", "", "3", "../3.5.3", "3.5.3/..", "3.5 .3"])
def test_a_version_is_pinned_and_fit_for_a_directory(version):
    with pytest.raises(ReleaseError, match="prometheus_version"):
        _release.check_names("prometheus", version, "prometheus")


@pytest.mark.parametrize("version", ["3.5.3", "v3.5.3", "0.28.1+ds2", "3.0.0-rc.1", "11.0"])
def test_pinned_versions(version):
    _release.check_names("prometheus", version, "prometheus")


@pytest.mark.parametrize(
    "name, split",
    [
        ("top", ("top", "")),
        ("top/", ("top", "")),
        ("./top/a/b", ("top", "a/b")),
        ("top//a", ("top", "a")),
        ("./", ("", "")),
        ("top/..a", ("top", "..a")),
    ],
)
def test_members_of_an_archive(name, split):
    assert _release.split_member(name) == split


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "top/../../x", "top/.."])
def test_members_outside_of_an_archive(name):
    with pytest.raises(ReleaseError, match="unsafe"):
        _release.split_member(name)


def _status(size=10, mtime_ns=5, mode=0o100755):
    return os.stat_result((mode, 1, 1, 1, 0, 0, size, 0, 0, 0, 0.0, mtime_ns / 1e9, 0.0, 0, mtime_ns, 0))


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, True),
        ({"digest": A}, True),
        ({"digest": B}, False),
        ({"version": "3.5.4"}, False),
        ({"arch": "arm64"}, False),
        ({"binaries": {"prometheus": _status(size=11)}}, False),
        ({"binaries": {"prometheus": _status(mtime_ns=6)}}, False),
        ({"binaries": {"prometheus": _status(mode=0o100777)}}, False),
        ({"binaries": {"prometheus": None}}, False),
        ({"binaries": {"prometheus": _status(), "promtool": _status()}}, False),
    ],
)
def test_a_record_matches_only_what_was_unpacked(changes, expected):
    known = _release.record("prometheus", "3.5.3", "amd64", A, "https://mirror.example/x", {"prometheus": _status()})
    asked = {"version": "3.5.3", "arch": "amd64", "digest": None, "binaries": {"prometheus": _status()}}
    assert _release.matches(known, **dict(asked, **changes)) is expected


@pytest.mark.parametrize(
    "versions, linked, in_use, keep, removed",
    [
        ([], None, [], 1, []),
        (["2.53.3"], "2.53.3", [], 1, []),
        (["2.53.3", "3.4.0"], "3.4.0", [], 1, ["2.53.3"]),
        # After an upgrade to 3.4.0 that was rolled back: what runs is kept, not what is newest.
        (["2.53.3", "3.4.0"], "2.53.3", ["2.53.3"], 1, ["3.4.0"]),
        (["2.53.3", "2.52.0", "3.4.0"], "3.4.0", ["2.52.0"], 1, ["2.53.3"]),
        (["2.53.3"], "2.53.3", [], 0, []),
        (["2.53.3"], None, [], 0, ["2.53.3"]),
        (["2.9.0", "2.10.0"], None, [], 1, ["2.9.0"]),
    ],
)
def test_superfluous_releases(versions, linked, in_use, keep, removed):
    assert _release.releases_to_remove(versions, linked, in_use, keep) == removed


def test_releases_that_lie_beside_each_other():
    """As Grafana's do: no directory for a version, and a file of its own for the checksum of each archive."""
    filters = FilterModule().filters()
    for mirror, start in (("/srv/mirror/", "/srv/mirror/grafana"), (None, UPSTREAM)):
        url = filters["release_url"]("grafana", "v12.1.0", mirror=mirror, upstream=UPSTREAM, flat=True)
        assert url == f"{start}/grafana-12.1.0.linux-{{arch}}.tar.gz"
        sums = filters["release_sums_url"]("grafana", "v12.1.0", mirror=mirror, upstream=UPSTREAM, flat=True)
        assert sums == url + ".sha256"


def test_a_lone_digest_vouches_for_the_archive_that_its_file_is_named_after_and_for_no_other():
    digest, name = "ab" * 32, "grafana-12.1.0.linux-amd64.tar.gz"
    assert _release.digest_in_sums(digest.upper() + "\n", name, f"https://x/{name}.sha256", "grafana") == digest
    with pytest.raises(ReleaseError, match="cannot be verified"):
        _release.digest_in_sums(digest, name, "https://x/other.tar.gz.sha256", "grafana")
    # As Grafana's since 12.4.3: with the name that the archive had where it was built.
    built = f"{digest}  dist/grafana_12.4.3_24388279614_linux_amd64.tar.gz\n"
    assert _release.digest_in_sums(built, name, f"https://x/{name}.sha256", "grafana") == digest
    for other in ("https://x/other.tar.gz.sha256", "https://x/sha256sums.txt"):
        with pytest.raises(ReleaseError, match="has no line for it"):
            _release.digest_in_sums(built, name, other, "grafana")
    with pytest.raises(ReleaseError, match="has no line for it"):
        _release.digest_in_sums(built + built.replace("amd64", "arm64"), name, f"https://x/{name}.sha256", "grafana")
