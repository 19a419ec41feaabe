# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `--check` finds on a host on which nothing was deployed yet: all that a run would stop at and that can be known
without writing. One bare host for all tests, each of which leaves it as it was.
"""

from __future__ import annotations

import hashlib
import re
import shutil

import pytest
import yaml
from conftest import TREES, Site, base_variables
from test_foreign import put

from lab import hosts, mirror
from lab.common import ROOT

pytestmark = pytest.mark.xdist_group("check")
NODE, PROMETHEUS = ("node_exporter",), ("prometheus",)
UNIT = "/etc/systemd/system/node_exporter.service"
READ_ONLY = "mount --bind /usr/local/bin /usr/local/bin && mount -o remount,bind,ro /usr/local/bin"


@pytest.fixture(scope="module")
def host():
    with hosts.host("trixie", group="fault") as made:
        yield made


@pytest.fixture
def site(host, tmp_path):
    return Site(host, tmp_path, base_variables())


def check(site, groups, *words):
    """A check that is red with these words, and changes nothing."""
    before = site.fingerprint(*TREES, "/etc/passwd", "/etc/group")
    outcome = site.run("--check", "--diff", groups=groups).must_be_red(*words)
    assert site.fingerprint(*TREES, "/etc/passwd", "/etc/group") == before
    return outcome


def test_everything_that_the_switch_would_stop_at_is_told_at_once(site):
    """Somebody else's unit and port, a directory that is read-only, and a limit that the host cannot grant."""
    put(site.host, UNIT, "[Service]\nExecStart=/bin/sleep infinity\n")
    site.host.run(
        f"systemctl daemon-reload; systemd-run --quiet --unit=holder python3 -m http.server 9100; {READ_ONLY}"
    )
    site.host.run("for i in $(seq 100); do curl -fsS -o /dev/null http://127.0.0.1:9100 && break; sleep 0.1; done")
    site.variables["node_exporter_systemd_dropin"] = "[Service]\nLimitNOFILE=123456789\n"
    words = (
        "node_exporter was not changed",
        f"{UNIT} is another tool's unit",
        "port 9100 is held by python3",
        "/usr/local/bin is on a file system that is mounted read-only",
        "node_exporter_binary_install_dir",
        "the drop-in sets LimitNOFILE=123456789, and systemd on this host can grant no more than",
    )
    check(site, NODE, *words)
    # The run itself says the same.
    before = site.fingerprint("/etc", "/usr/local")
    site.run(groups=NODE).must_be_red(*words)
    after = site.fingerprint("/etc", "/usr/local")
    made = {path for path in after if before.get(path) != after[path]}
    assert not {
        path for path in made if not re.match(r"/etc($|/node_exporter|/(passwd|group|g?shadow|\.pwd)|/sub.id)", path)
    }
    site.host.run(
        f"set -e; systemctl stop holder; umount /usr/local/bin; rm {UNIT}; systemctl daemon-reload"
        "; rm -rf /etc/node_exporter /opt/vigil"
    )


# What the place of the releases is mounted with, and what is said of it.
PLACES = {
    "a disk of 8 MiB": ("size=8m", ["no space in /opt/vigil/bin: the release needs"]),
    "no inodes": ("nr_inodes=1", ["no inodes are left on the file system of /opt/vigil"]),
    "noexec": ("noexec", ["/opt/vigil is on a file system that is mounted noexec"]),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_cannot_hold_the_release(site, place):
    options, words = PLACES[place]
    site.host.run(f"set -e; mkdir -p /opt/vigil; mount -t tmpfs -o {options} tmpfs /opt/vigil")
    try:
        check(site, PROMETHEUS, *words, "monitoring_release_dir")
    finally:
        site.host.run("umount /opt/vigil; rmdir /opt/vigil")


def test_a_mirror_that_lacks_the_version_and_one_that_is_gone(site):
    with mirror.serve() as served:
        site.variables["monitoring_release_mirror"] = served.url
        site.run("--check", groups=NODE).must_be_green(changed=True)
        asked = [line for dummy, line in served.requests]
        assert [line for line in asked if "HEAD" in line and ".tar.gz" in line], asked
        assert not [line for line in asked if "GET" in line and ".tar.gz" in line]
        site.variables["node_exporter_version"] = "99.1.0"
        check(site, NODE, "node_exporter/v99.1.0/sha256sums.txt answers 404", "Check node_exporter_version")
        site.variables["node_exporter_checksum"] = "0" * 64
        check(site, NODE, "node_exporter-99.1.0.linux-amd64.tar.gz answers 404", "Check node_exporter_version")
    check(site, NODE, "cannot reach", "monitoring_release_mirror")


def test_another_build_under_the_name_of_a_default_version(site):
    """The mirror vouches for it with a file of checksums of its own; what upstream published is known all the same."""
    role = yaml.safe_load((ROOT / "roles/node_exporter/defaults/main.yml").read_text())
    site.variables["node_exporter_version"] = version = role["node_exporter_version"]
    (archive,) = (mirror.path() / "node_exporter" / f"v{mirror.versions()['node_exporter']['old']}").glob("*.tar.gz")
    folder = site.folder / "mirror" / "node_exporter" / f"v{version}"
    folder.mkdir(parents=True)
    renamed = folder / f"node_exporter-{version}.linux-{mirror.architecture()}.tar.gz"
    shutil.copy(archive, renamed)
    (folder / "sha256sums.txt").write_text(f"{hashlib.sha256(renamed.read_bytes()).hexdigest()}  {renamed.name}\n")
    words = (f"{renamed.name} is not the build that upstream published", "set its SHA-256 in node_exporter_checksum")
    with mirror.serve(folder=site.folder / "mirror") as served:
        for place in (str(site.folder / "mirror"), served.url):
            site.variables["monitoring_release_mirror"] = place
            check(site, NODE, *words)
    before = site.fingerprint(*TREES)
    site.variables["monitoring_release_mirror"] = str(site.folder / "mirror")
    site.run(groups=NODE).must_be_red(*words)
    assert site.fingerprint(*TREES) == before


def test_files_that_the_account_to_be_made_could_not_read(site):
    put(site.host, "/srv/closed", "secret", "600")
    site.variables["prometheus_remote_write"] = [
        {"url": "http://127.0.0.1:9", "basic_auth": {"username": "me", "password_file": path}}
        for path in ("/srv/closed", "/srv/nowhere")
    ]
    check(
        site,
        PROMETHEUS,
        "/srv/closed, which the configuration names, cannot be read by the user prometheus",
        "/srv/nowhere, which the configuration names, does not exist",
    )


def test_what_a_check_cannot_know_is_said(site):
    outcome = site.run("--check").must_be_green(changed=True)
    shown = " ".join(outcome.output.split())
    assert "prometheus: check mode cannot tell whether promtool accepts the configuration" in shown
    assert "node_exporter: check mode cannot tell whether the program accepts every flag" in shown
