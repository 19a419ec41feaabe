# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a repository of backups says, as restic has said it, and which snapshot is meant; tests/faults/test_restore.py has a real one."""

from __future__ import annotations

import json
import os
import stat

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _snapshots
from ansible_collections.vigil.monitoring.plugins.module_utils._backup_program import BackupError

MANIFEST = "/var/lib/vigil-backup/staging/manifest.json"


def listed(number, time, host="mon1", tags=("vigil", "prometheus=3.5.0", "alertmanager=0.28.1")):
    """An entry of `restic snapshots --json`, as restic 0.14 prints it; later ones have more keys."""
    identity = "{0:08x}".format(number) + "ee" * 28
    return {
        "time": time,
        "tree": "62dc58ef",
        "paths": ["/etc/prometheus", MANIFEST],
        "hostname": host,
        "username": "root",
        "tags": list(tags) or None,
        "id": identity,
        "short_id": identity[:8],
    }


LISTED = [
    listed(0xABCD0001, "2026-11-25T02:30:00.123456789Z"),
    listed(0xABCD0002, "2026-11-26T03:30:00.1+01:00"),
    listed(0x12340003, "2026-11-27T02:30:00Z"),
    listed(0x55550004, "2026-11-28T02:30:00Z", host="mon2"),
    listed(0x66660005, "2026-11-29T02:30:00Z", tags=()),
]
SNAPSHOTS = _snapshots.parse(json.dumps(LISTED))
NOW = _snapshots.seconds("2026-11-28 02:30Z")


def test_snapshots_of_the_role_are_listed_the_newest_first():
    assert [one.short for one in SNAPSHOTS] == ["55550004", "12340003", "abcd0002", "abcd0001"]
    assert SNAPSHOTS[1].versions == {"prometheus": "3.5.0", "alertmanager": "0.28.1"}
    # 03:30 in a zone that is an hour ahead.
    assert SNAPSHOTS[2].time - SNAPSHOTS[3].time == pytest.approx(86400, abs=1)
    assert _snapshots.described(SNAPSHOTS[2]) == "abcd0002 of 2026-11-26 02:30 UTC"
    assert _snapshots.parse("null") == _snapshots.parse("[]") == []


@pytest.mark.parametrize("output", ["", "{", "[1]", '[{"tags": ["vigil"]}]', "Fatal: no"])
def test_another_output_is_refused(output):
    with pytest.raises(BackupError, match="does not say which snapshots there are"):
        _snapshots.parse(output)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("latest", "12340003"),
        ("1234", "12340003"),
        ("abcd0001", "abcd0001"),
        ("abcd0002" + "ee" * 28, "abcd0002"),
        ("2026-11-26", "abcd0002"),
        ("2026-11-26 02:29Z", "abcd0001"),
        ("2026-11-26T02:31:00+00:00", "abcd0002"),
        ("2027-01-01", "12340003"),
    ],
)
def test_a_snapshot_is_chosen(wanted, found):
    assert _snapshots.choose(SNAPSHOTS, wanted, "mon1", NOW).short == found


@pytest.mark.parametrize(
    ("wanted", "name", "said"),
    [
        ("latest", "mon9", "no snapshot of mon9: the repository has snapshots of mon1, mon2; set restore_from"),
        ("beef", "mon1", "no snapshot beef of mon1; there are 12340003 of 2026-11-27 02:30 UTC, abcd0002 of"),
        ("abcd", "mon1", "abcd is the beginning of several"),
        ("5555", "mon1", "5555 is one of mon2, and not of mon1; set restore_from: mon2"),
        ("2026-11-24", "mon1", "no snapshot of mon1 was made before 2026-11-24; the oldest is abcd0001 of"),
        ("yesterday", "mon1", "no snapshot yesterday of mon1"),
        ("2026-13-41", "mon1", "no snapshot 2026-13-41 of mon1"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(wanted, name, said):
    with pytest.raises(BackupError) as error:
        _snapshots.choose(SNAPSHOTS, wanted, name, NOW)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("clock", "said"),
    [
        ("2026-11-27 01:29:59Z", "of later are 12340003 of 2026-11-27 02:30 UTC. .* the newest of before is abcd0002"),
        ("1970-01-01 00:00Z", "says 1970-01-01 00:00 UTC, .* 12340003 of .*, abcd0002 of .*; there is none of before"),
    ],
)
def test_a_snapshot_of_later_than_now_is_not_the_newest(clock, said):
    now = _snapshots.seconds(clock)
    with pytest.raises(BackupError, match=said):
        _snapshots.choose(SNAPSHOTS, "latest", "mon1", now)
    # What was named is meant.
    assert _snapshots.choose(SNAPSHOTS, "1234", "mon1", now).short == "12340003"
    assert _snapshots.choose(SNAPSHOTS, "2026-11-27", "mon1", now).short == "12340003"
    assert _snapshots.choose(SNAPSHOTS, "latest", "mon1", _snapshots.seconds("2026-11-27 01:30Z")).short == "12340003"


def test_an_empty_repository_is_named():
    with pytest.raises(BackupError, match="has no snapshot at all"):
        _snapshots.choose([], "latest", "mon1", NOW)


def service(**given):
    links = {"from": "/var/lib/prometheus/.vigil-backup/blocks", "to": "/var/lib/prometheus"}
    found = {
        "name": "prometheus",
        "version": "3.5.0",
        "data": "/var/lib/prometheus",
        "config": "/etc/prometheus",
        "files": [],
    }
    return {**found, "sources": [links], **given}


def test_a_manifest_says_what_is_in_a_snapshot():
    found = _snapshots.parse_manifest(json.dumps({"time": 1, "services": [service()]}))
    assert found["prometheus"]["sources"] == service()["sources"]
    found = _snapshots.parse_manifest(
        json.dumps({"services": [service(data="/data/", sources=[{"from": "/a", "to": None}])]})
    )
    assert found["prometheus"]["data"] == "/data" and found["prometheus"]["sources"] == [{"from": "/a", "to": None}]
    assert _snapshots.manifest_path(SNAPSHOTS[0]) == MANIFEST
    with pytest.raises(BackupError, match="the role backup did not make it"):
        _snapshots.manifest_path(SNAPSHOTS[0]._replace(paths=["/etc"]))


@pytest.mark.parametrize(
    "given",
    [
        {"data": "relative"},
        {"files": ["/etc/../etc/shadow"]},
        {"config": "/"},
        {"sources": [{"from": "/a"}]},
        {"data": 1},
    ],
)
def test_a_manifest_that_leads_elsewhere_is_refused(given):
    with pytest.raises(BackupError, match="manifest of the snapshot is not one"):
        _snapshots.parse_manifest(json.dumps({"services": [service(**given)]}))


def test_sizes_are_those_of_each_service():
    services = {
        "prometheus": {"sources": [{"from": "/data/links", "to": "/data"}], "files": []},
        "grafana": {"sources": [{"from": "/data", "to": "/data"}], "files": ["/etc/key"]},
        "node_exporter": {"sources": [], "files": []},
    }
    nodes = [
        ("/data", "dir", None),
        ("/data/a", "file", 1),
        ("/data/links/b/c", "file", 20),
        ("/data/links/d", "file", 2),
    ]
    nodes += [("/etc/key", "file", 100), ("/etc/other", "file", 5000), ("/data/l", "symlink", None)]
    lines = [{"struct_type": "snapshot", "paths": ["/data"]}]
    lines += [{"path": path, "type": kind, **({"size": size} if size else {})} for path, kind, size in nodes]
    output = "\n".join(map(json.dumps, lines)) + "\nno json\n"
    assert _snapshots.sizes(output, services) == {"prometheus": 22, "grafana": 101, "node_exporter": 0}


def test_a_path_is_no_pattern():
    assert _snapshots.pattern("/data[1]/a*b?c\\d") == "/data\\[1]/a\\*b\\?c\\\\d"


def test_space_is_named(tmp_path):
    assert _snapshots.space_problem(str(tmp_path / "new"), 1) is None
    said = _snapshots.space_problem(str(tmp_path), 1 << 60)
    assert said.startswith("1099511627792 MiB are to be restored into {0}, and ".format(tmp_path))


def test_a_repository_in_which_no_lock_can_be_written_is_read_without():
    full = "unable to create lock in backend: write /srv/locks/84d3-tmp-4130: no space left on device"
    assert _snapshots.is_unlockable(full)
    assert _snapshots.is_unlockable(
        "Fatal: unable to create lock in backend: open /srv/locks/84d3: read-only file system"
    )
    assert not _snapshots.is_unlockable(
        "unable to create lock in backend: repository is already locked by PID 7 on mon1"
    )
    assert not _snapshots.is_unlockable("ciphertext verification failed")


RESTIC = """#!/bin/sh
{{ echo "$*"; cat "$RESTIC_PASSWORD_FILE" "${{RESTIC_PASSWORD_FILE%/*}}/known_hosts"; stat -c %a "$RESTIC_PASSWORD_FILE"; }} >>{log}
case "$*" in
*snapshots*) cat {listed};;
*unlock*) exit 1;;
*restore*) while [ "$1" != --target ]; do shift; done; mkdir -p "$2/etc"; echo x >"$2/etc/key"; exit $(cat {status});;
esac
"""


@pytest.fixture
def repository(tmp_path):
    """One that is reached by a restic which writes down how it was called."""
    program, log = tmp_path / "restic", tmp_path / "log"
    (tmp_path / "listed").write_text(json.dumps(LISTED), encoding="utf-8")
    (tmp_path / "status").write_text("0", encoding="utf-8")
    program.write_text(RESTIC.format(log=log, listed=tmp_path / "listed", status=tmp_path / "status"), encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    environment = {"RESTIC_REPOSITORY": "/srv", "RESTIC_PASSWORD_FILE": "@access@/password"}
    access = {
        "restic": str(program),
        "options": ["-o", "sftp.command=ssh -i @access@/ssh_key"],
        "environment": environment,
    }
    return {**access, "password": "secret-1", "ssh_key": "", "ssh_known_hosts": "host key"}


def test_the_password_is_in_a_file_for_as_long_as_it_is_needed(repository, tmp_path):
    with _snapshots.Repository(repository) as found:
        assert found.snapshots() == SNAPSHOTS
    call, *files = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert files == ["secret-1", "host key", "400"]
    assert "secret-1" not in call and "@access@" not in call and "--no-lock" in call
    folder = call.partition("ssh -i ")[2].partition("/ssh_key")[0]
    assert folder and not os.path.exists(folder)


def test_what_was_not_restored_is_named(repository, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    with _snapshots.Repository(repository) as found:
        with pytest.raises(BackupError, match="snapshot abcd0001 does not have /etc/other"):
            found.restore("abcd0001", ["/etc/key", "/etc/other"], str(target))
        with pytest.raises(BackupError, match="is not empty"):
            found.restore("abcd0001", ["/etc/key"], str(target))
        (tmp_path / "status").write_text("1", encoding="utf-8")
        (tmp_path / "empty").mkdir()
        with pytest.raises(BackupError, match="restic failed"):
            found.restore("abcd0001", ["/etc/key"], str(tmp_path / "empty"))
