# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup without a repository: its inputs, what rooms say, what restic's words mean, and a SQLite database in use."""

from __future__ import annotations

import datetime
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.module_utils import _backup, _backup_program, _snapshots
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _backup as plan
from ansible_collections.vigil.monitoring.plugins.plugin_utils import (
    _backup_inputs,
    _check_roles,
    _input_checks,
    _rooms,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._check_roles import spec_of
from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import grafana_dump
from role_inputs import Inputs

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = yaml.safe_load((ROOT / "roles" / "backup" / "defaults" / "main.yml").read_text(encoding="utf-8"))
NOW = 1_800_000_000.0
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n"


def problems(**given):
    values = {**DEFAULTS, "backup_name": "one", "backup_repository": "/srv/backup", "backup_password": "x"}
    values.update(("backup_" + name, value) for name, value in given.items())
    found = _check_roles.check("backup", spec_of("backup"), values, values.get, (), problems=_backup_inputs.problems)
    return found.problems


def test_usual_inputs_are_right():
    assert problems() == []
    assert problems(repository="sftp:me@host:/srv", ssh_key=KEY, ssh_known_hosts="host ssh-ed25519 x") == []
    assert problems(repository="s3:https://server/bucket", environment={"AWS_ACCESS_KEY_ID": "x"}) == []
    assert problems(state="absent", repository="", password="") == []
    # As -e and ini files give them.
    assert problems(check_days="7", paths="/etc/one,/etc/two") == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"repository": ""}, "backup_repository: is empty"),
        ({"repository": "srv/backup"}, "backup_repository: is neither"),
        ({"repository": "sftp:host"}, "backup_repository: is 'sftp:host'; write sftp:USER@HOST:/PATH"),
        ({"repository": "/var/lib/vigil-backup/x"}, "in the role's own directory"),
        ({"password": ""}, "backup_password: is empty"),
        ({"password": "a\nb"}, "backup_password: has more than one line"),
        ({"ssh_key": KEY}, "backup_ssh_key: is set, and"),
        ({"repository": "sftp:host:/x", "ssh_key": KEY}, "backup_ssh_known_hosts: is empty"),
        ({"environment": {"RESTIC_PASSWORD": "x"}}, "backup_environment: has RESTIC_PASSWORD"),
        ({"name": "a b"}, "backup_name: is 'a b'"),
        ({"keep": {"dayly": 7}}, "backup_keep: has 'dayly'; did you mean daily?"),
        ({"keep": {"daily": 0}}, "backup_keep.daily: is 0"),
        ({"check_days": -1}, "backup_check_days: is -1"),
        ({"check_subset": "half"}, "backup_check_subset: is 'half'"),
        ({"schedule": "daily\nExecStart=x"}, "backup_schedule: is"),
        ({"state_dir": "/var"}, "backup_state_dir: is '/var', which belongs to the system"),
        ({"paths": ["/"]}, "backup_paths: has '/'"),
        ({"repositori": "x"}, "backup_repositori: unknown variable"),
    ],
)
def test_what_cannot_work_is_named(given, said):
    found = problems(**given)
    assert len(found) == 1 and said in found[0]


def test_a_name_is_that_of_one_host():
    """Also of a host that this run leaves out; not of one without a backup."""
    names = {"a": "one", "b": "two", "c": "one", "d": "one"}

    def value(host, name):
        return names[host] if name == "backup_name" else "absent" if host == "d" else "present"

    ((host, problem),) = _backup_inputs.check_group(names, value, {})
    assert (host, str(problem)) == ("a", "backup_name: is 'one' on a and c; give each host its own, or leave it out")
    assert _backup_inputs.check_group(["a", "b", "d"], value, {}) == []


def test_roles_that_deploy_no_service_are_validated():
    assert set(_input_checks.FURTHER) == set(_rooms.FURTHER)


def test_no_value_of_a_secret_is_repeated():
    assert "sentinel" not in "".join(problems(repository="sentinel", password="sentinel\n", ssh_key="sentinel"))


def test_what_rooms_say():
    found = plan.services_of(["prometheus", "alertmanager", "node_exporter", "web"], Inputs)
    assert [(one["name"], one["data"], one["prepare"]) for one in found] == [
        ("node_exporter", None, []),
        ("alertmanager", "/var/lib/alertmanager", [{"kind": "tree"}]),
        ("prometheus", "/var/lib/prometheus", [{"kind": "blocks"}]),
    ]
    (agent,) = plan.services_of(["prometheus"], lambda name: Inputs(name, agent_mode=True))
    assert (agent["data"], agent["prepare"]) == (None, [])
    assert plan.services_of(["prometheus"], lambda name: Inputs(name, state="absent")) == []


def test_the_database_of_a_server_is_dumped_without_a_password_in_a_command_line():
    assert grafana_dump({"database": {"type": "sqlite3"}}) is None
    for database in (
        {"type": "postgres", "host": "db:5432", "name": "g", "user": "u", "password": "sentinel"},
        {"url": "postgres://u:sentinel@db:5432/g"},
    ):
        found = grafana_dump({"database": database})
        assert "sentinel" not in " ".join(found["argv"]) and found["argv"][-1] == "g"
        assert found["environment"] == {"PGHOST": "db", "PGPORT": "5432", "PGUSER": "u", "PGPASSWORD": "sentinel"}
    found = grafana_dump({"database": {"type": "mysql", "host": "db", "user": "u", "password": "sentinel"}})
    assert found["argv"][:2] == ["mysqldump", "--single-transaction"]
    assert found["environment"] == {"MYSQL_PWD": "sentinel"}


@pytest.mark.parametrize(
    ("repository", "server"),
    [
        ("sftp:me@host:/srv", "me@host"),
        ("sftp://me@host:2222//srv", "-p 2222 ... me@host"),
        ("sftp:me@[fd00::1]:/srv", "me@fd00::1"),
    ],
)
def test_command_of_sftp(repository, server):
    found = plan.sftp_command(repository, "/etc/vigil-backup")
    assert found.endswith(" {0} -s sftp".format(server.rpartition(" ")[2])) and "StrictHostKeyChecking=yes" in found
    assert ("-p 2222" in found) == ("2222" in server)


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("Fatal: wrong password or no key found", "backup_password is not the password"),
        ("Fatal: unable to open config file: stat /srv/config: no such file or directory", "there is no repository"),
        ("write /srv/tmp: no space left on device", "no space is left"),
        # The end of what ssh says is missing where restic ends first.
        (
            "subprocess ssh: @ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nsubprocess ssh: Please contact your system"
            " administrator.\nFatal: unable to start the sftp session, error: read |0: file already closed",
            "backup_ssh_known_hosts",
        ),
        (
            "subprocess ssh: No ED25519 host key is known for x and you have requested strict checking.",
            "backup_ssh_known_hosts",
        ),
        ("Fatal: unable to start the sftp session, error: unexpected EOF", "cannot be reached"),
        ("ssh: connect to host x port 22: Connection refused", "cannot be reached"),
        ("pack 1234: ciphertext verification failed", "is damaged"),
        # Whatever keeps restic from opening a repository, it asks whether there is one.
        (
            "Fatal: unable to open config file: unexpected HTTP response (401): 401 Unauthorized\nIs there a repository at",
            "cannot be reached",
        ),
        (
            "Stat(<config/>) returned error: dial tcp 127.0.0.1:1: connect: connection refused\ntimed out",
            "cannot be reached",
        ),
        ("Stat: The specified bucket does not exist.\ntimed out", "there is no repository"),
        (
            "panic: runtime error: invalid memory address\n\ngoroutine 1 [running]:\nmain.main()\n\tcmd/main.go:172",
            "restic crashed, as it does where the repository is damaged: run `restic check` (restic: panic: runtime error: invalid"
            " memory address)",
        ),
        ("something else", "restic failed: something else"),
    ],
)
def test_what_restic_says_is_explained(said, meaning):
    assert meaning in _backup_program.reason_of(said)


def test_a_check_is_one_of_its_repository():
    """Another one was never checked, whatever the last one was; no password of either is remembered."""
    first = _backup_program.of_repository(
        {"last_check": 5, "check_success": True, "size": 7}, "rest:http://u:sentinel@a/"
    )
    assert (first["last_check"], first["size"]) == (5, 7) and "sentinel" not in str(first)
    assert _backup_program.of_repository(first, "rest:http://u:sentinel@a/") == first
    other = _backup_program.of_repository(first, "/srv/backup")
    assert "last_check" not in other and "check_success" not in other and other["size"] == 7


def test_only_what_is_missing_is_missing():
    assert _backup_program.is_missing("Fatal: unable to open config file: stat /x/config: no such file or directory")
    assert _backup_program.is_missing(
        "Fatal: repository does not exist: unable to open config file: <config/> does not exist"
    )
    # restic goes on trying until it is stopped.
    assert _backup_program.is_missing(
        "Stat(<config/>) returned error, retrying: Stat: The specified bucket does not exist."
    )
    asks = "\nIs there a repository at the following location?\ns3:http://store/empty"
    assert not _backup_program.is_missing("Fatal: unable to open config file: context canceled" + asks)
    assert not _backup_program.is_missing("Fatal: unable to open config file: 401 Unauthorized" + asks)
    assert not _backup_program.is_missing("Fatal: unable to open config file: ssh: Connection refused")
    assert not _backup_program.is_missing("Fatal: wrong password or no key found")


@pytest.mark.parametrize(
    ("last", "days", "expected"),
    [(0, 7, True), (NOW - 86400, 7, False), (NOW - 7 * 86400, 7, True), (NOW + 99, 7, True), (0, 0, False)],
)
def test_when_something_is_due(last, days, expected):
    assert _backup_program.due(last, days, NOW) is expected


def test_a_time_of_a_wrong_clock_is_no_success():
    status = {"last_success": NOW + 99999, "last_check": NOW - 5, "size": NOW * 2}
    assert _backup_program.settled(status, NOW) == {"last_success": 0, "last_check": NOW - 5, "size": NOW * 2}


RESTIC = """#!/bin/sh
echo "$*" >>{log}
[ "$1" = snapshots ] && cat {listed}
exit 0
"""


@pytest.mark.parametrize(("days", "forgets"), [(0, True), (-1, True), (1, False)])
def test_nothing_is_removed_where_a_snapshot_is_of_later_than_now(tmp_path, days, forgets):
    program, log, listed = tmp_path / "restic", tmp_path / "log", tmp_path / "listed"
    program.write_text(RESTIC.format(log=log, listed=listed), encoding="utf-8")
    program.chmod(0o700)
    moment = datetime.datetime.fromtimestamp(NOW + days * 86400, datetime.timezone.utc).isoformat()
    listed.write_text(json.dumps([{"id": "ab" * 32, "time": moment}]), encoding="utf-8")
    config = {"restic": str(program), "options": [], "environment": {}, "name": "mon1", "state_dir": str(tmp_path)}
    config.update(keep={"last": 1}, prune_days=7, check_days=0)
    backup = _backup_program.Backup(config, now=lambda: NOW)
    found = backup._maintain({"check_success": True}, NOW)
    called = log.read_text(encoding="utf-8").splitlines()
    assert called[0] == "snapshots --json --no-lock --host mon1 --tag vigil"
    assert [line.startswith("forget --prune --host mon1") for line in called[1:]] == [True] * forgets
    assert (found, bool(backup.errors)) == (({"last_prune": NOW}, False) if forgets else ({}, True))
    assert forgets or "the clock of this host is or was wrong: abababab of 2027-01-16T08:00." in backup.errors[0]


@pytest.mark.parametrize(
    ("ssh", "words"),
    [
        ("echo 'Host key verification failed.' >&2; exit 255", "does not have the key in backup_ssh_known_hosts"),
        ("cat", "the repository cannot be reached (restic: Fatal: unable to start the sftp session"),
        ("no-such-program", "the repository cannot be reached (restic: Fatal: unable to start the sftp session"),
    ],
)
def test_ssh_is_asked_why_it_failed_where_restic_did_not_read_it(tmp_path, ssh, words):
    program = tmp_path / "restic"
    program.write_text(
        "#!/bin/sh\necho 'Fatal: unable to start the sftp session, unexpected EOF' >&2\nexit 1\n", encoding="utf-8"
    )
    program.chmod(0o700)
    options = ["-o", "sftp.command=" + (f'sh -c "{ssh}"' if " " in ssh else ssh)]
    restic = _backup_program.Restic({"restic": str(program), "options": options, "environment": {}})
    for tried in (lambda: restic.must("init"), restic.is_there):
        with pytest.raises(_backup_program.BackupError) as error:
            tried()
        assert words in str(error.value)


LOCKED = """#!/bin/sh
echo "$*" >>{log}
[ "$1" = unlock ] || [ $(grep -c backup {log}) -gt 2 ] || {{ echo "repository is already locked by PID 7 on mon1" >&2; exit 11; }}
"""


def test_another_host_that_has_locked_the_repository_is_waited_for(tmp_path, monkeypatch):
    """As when all hosts of a site are backed up at once into one repository: the first one prunes and checks it."""
    monkeypatch.setattr(_backup_program, "PAUSE", 0.01)
    program, log = tmp_path / "restic", tmp_path / "log"
    program.write_text(LOCKED.format(log=log), encoding="utf-8")
    program.chmod(0o700)
    config = {"restic": str(program), "options": [], "environment": {}}
    assert _backup_program.Restic(config, patience=60).run("backup")[0] == 0
    assert log.read_text(encoding="utf-8").split() == ["backup", "unlock", "backup", "unlock", "backup"]
    log.unlink()
    assert _backup_program.Restic(config).run("backup")[0] == 11


def test_verdict():
    good = {"last_run": NOW, "last_success": NOW - 7300, "run_success": True, "size": 5 << 20, "snapshot": "abcdef0123"}
    assert _backup.verdict(good, "inactive", NOW) == (
        "ok",
        "last backup 2 h ago, 5 MiB, snapshot abcdef01, repository not checked yet",
    )
    assert _backup.verdict({}, "inactive", NOW)[0] == "none"
    assert _backup.verdict(good, "activating", NOW)[0] == "running"
    bad = {**good, "run_success": False, "errors": ["x"]}
    assert _backup.verdict(bad, "failed", NOW) == ("failed", "the last backup failed: x")


def test_a_database_in_use_is_copied_as_of_one_moment(tmp_path):
    source = tmp_path / "a ?#.db"
    with sqlite3.connect(source) as there:
        there.execute("CREATE TABLE t (x)")
        there.execute("INSERT INTO t VALUES (1)")
        there.commit()
        _backup_program.copy_database(str(source), str(tmp_path / "copy"))
    assert sqlite3.connect(tmp_path / "copy").execute("SELECT x FROM t").fetchall() == [(1,)]
    source.write_bytes(b"no database" * 1000)
    with pytest.raises(sqlite3.Error):
        _backup_program.copy_database(str(source), str(tmp_path / "other"))


def test_only_complete_blocks_are_linked(tmp_path):
    for name in (
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "01ARZ3NDEKTSV4RRFFQ69G5FAW",
        "01ARZ3NDEKTSV4RRFFQ69G5FAX.tmp-for-creation",
        "wal",
    ):
        (tmp_path / name / "chunks").mkdir(parents=True)
        (tmp_path / name / "index").write_text("x")
        if not name.endswith("W"):
            (tmp_path / name / "meta.json").write_text("{}")
    links = Path(_backup_program.Backup._link_blocks(str(tmp_path)))
    assert links == tmp_path / ".vigil-backup" / "blocks"
    assert [path.name for path in links.iterdir()] == ["01ARZ3NDEKTSV4RRFFQ69G5FAV"]
    one = "01ARZ3NDEKTSV4RRFFQ69G5FAV/index"
    assert (links / one).stat().st_ino == (tmp_path / one).stat().st_ino


def test_no_link_of_the_services_is_followed(tmp_path):
    """What runs as the service may have put it there."""
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    block = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    for folder in (data / block / "chunks", elsewhere / "chunks"):
        folder.mkdir(parents=True)
    for folder in (data / block, elsewhere):
        for name in ("index", "meta.json"):
            (folder / name).write_text("x")
    (data / block / "tombstones").symlink_to(elsewhere / "index")
    (data / block / "more").symlink_to(elsewhere)
    links = Path(_backup_program.Backup._link_blocks(str(data)))
    assert sorted(path.name for path in (links / block).rglob("*")) == ["chunks", "index", "meta.json"]

    shutil.rmtree(data / ".vigil-backup")
    (data / ".vigil-backup").symlink_to(elsewhere)
    with pytest.raises(FileExistsError):
        _backup_program.Backup._link_blocks(str(data))
    (data / ".vigil-backup").unlink()
    (data / "01ARZ3NDEKTSV4RRFFQ69G5FAW").symlink_to(elsewhere)
    with pytest.raises(NotADirectoryError):
        _backup_program.Backup._link_blocks(str(data))
    assert sorted(path.name for path in elsewhere.iterdir()) == ["chunks", "index", "meta.json"]


def test_metrics():
    text = _backup_program.metrics_text("one", {"last_success": 5, "run_success": False})
    assert 'backup_last_success_timestamp_seconds{backup="one"} 5.0\n' in text
    assert 'backup_last_run_success{backup="one"} 0.0\n' in text


def test_a_repository_is_reached_from_a_host_that_has_nothing_of_the_role():
    given = {name[len("backup_") :]: value for name, value in DEFAULTS.items()}
    given.update(repository="sftp:me@host:/srv", ssh_key=KEY, ssh_known_hosts="host x", password="secret-1")
    access = plan.access_of(given)
    assert (
        "-i @access@/ssh_key" in access["options"][1]
        and "UserKnownHostsFile=@access@/known_hosts" in access["options"][1]
    )
    assert access["environment"]["RESTIC_PASSWORD_FILE"] == "@access@/password"
    assert given["config_dir"] not in str(access)
    assert set(access) == set(_snapshots.ACCESS)
