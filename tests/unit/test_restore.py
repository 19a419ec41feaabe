# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of restore.yml does on a host or refuses, and how data takes the place of other data, wherever that is interrupted."""

from __future__ import annotations

import os

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _data_copy
from ansible_collections.vigil.monitoring.plugins.module_utils import _restore as host_side
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError
from ansible_collections.vigil.monitoring.plugins.module_utils._restore import RestoredData
from ansible_collections.vigil.monitoring.plugins.module_utils._system import System
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _restore, _rooms

DATA = "/var/lib/prometheus"
LINKS = DATA + "/.vigil-backup/blocks"
OLD = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
DUMPED = [{"from": LINKS, "to": DATA}, {"from": "/staging/p.sql", "to": None}]
SERVER = "the PostgreSQL database g on db"
HELD = {"problem": None, "held": 7}


def there(**given):
    found = {
        "own": [],
        "deployed": False,
        "there": False,
        "active": False,
        "phase": None,
        "snapshot": None,
        "removal": None,
        "database": None,
    }
    return {**found, "verified_dir": None, "listing": {}, **given}


def read(found=None, space=(), **described):
    sources = [{"from": LINKS, "to": DATA}]
    manifest = {
        "version": "3.5.0",
        "data": DATA,
        "config": "/etc/prometheus",
        "files": [],
        "sources": sources,
        **described,
    }
    snapshot = {"id": "abcd0001ff", "described": "abcd0001 of then", "manifest": {"prometheus": manifest}}
    return {
        "snapshot": {**snapshot, "sizes": {"prometheus": 5 << 20}},
        "found": {"prometheus": found or there()},
        "space": space,
    }


def wanted(**given):
    holds = _rooms.load("prometheus").holds
    return _restore.Wanted("prometheus", "Prometheus", "3.5.0", False, DATA, [], holds)._replace(**given)


def plan(reading, replace=False, named=(), **given):
    return _restore.plan("mon1", [wanted(**given)], reading, replace, list(named))


def test_an_empty_host_gets_what_the_snapshot_has():
    found = plan(read())
    assert not found.problems and found.words[1] == "Prometheus 3.5.0: 5 MiB into /var/lib/prometheus on mon1"
    (service,) = found.services
    assert (service["work"], service["stage"], service["size"]) == (_restore.RESTORE, True, 5 << 20)


@pytest.mark.parametrize(
    ("reading", "given", "said"),
    [
        (read(space=["no space"]), {}, "no space"),
        (read(), {"version": "3.4.9"}, "Prometheus 3.5.0 has written the data in the snapshot, and prometheus_version of mon1 is 3.4.9"),
        (read(sources=[{"from": "/x", "to": "/srv/x"}]), {}, "/srv/x in the backup of Prometheus does not lie in"),
        (read(files=["/etc/key"]), {}, "files that belong to the data of Prometheus are others"),
        (read(there(deployed=True, verified_dir="/srv/data")), {}, "is in /srv/data, and is to be in /var/lib/prometheus: run site.yml"),
        (read(there(own=["wal"], active=True, deployed=True)), {}, "Prometheus on mon1 runs and has data of its own"),
        (read(there(own=["wal"])), {}, "Prometheus on mon1 does not run and has data of its own in /var/lib/prometheus: no complete"),
        (read(sources=[]), {"named": ["prometheus"]}, "Prometheus has no data in snapshot abcd0001 of then"),
        (read(sources=DUMPED), {}, "was on a server when the snapshot was made, and by the inventory it is on none on mon1"),
        (read(), {"database": SERVER}, "no dump of the database of Prometheus, which is the PostgreSQL database g on db"),
        (read(there(database={"problem": "psql is not installed"}), sources=DUMPED), {"database": SERVER}, "psql is not installed"),
        (read(there(database=HELD), sources=DUMPED), {"database": SERVER},
         "Prometheus on mon1 does not run and has data of its own in the PostgreSQL database g on db: 7 tables and sequences. To"),
        (read(there(own=["wal"], database=HELD), sources=DUMPED), {"database": SERVER},
         "in /var/lib/prometheus: no complete block, and no data, and in the PostgreSQL database g on db: 7 tables"),
    ],
)  # fmt: skip
def test_what_would_harm_is_refused(reading, given, said):
    found = plan(reading, **given)
    assert said in "; ".join(found.problems)


def test_a_dump_is_loaded_into_the_database_of_the_inventory():
    given = {"database": SERVER}
    empty = {"problem": None, "held": 0}
    found = plan(read(there(database=empty), sources=DUMPED), **given)
    assert found.words[1].endswith("on mon1, and its dump into " + SERVER) and not found.problems
    found = plan(read(there(database=HELD), sources=DUMPED), replace=True, **given)
    assert "what is there is kept until all is verified: the PostgreSQL database g on db: 7 tables" in found.words[1]
    # What an earlier run has put in place is no reason to stop.
    ours = there(database=empty, phase="placed", snapshot="abcd0001ff")
    assert plan(read(ours, sources=DUMPED), **given).services[0]["work"] == _restore.VERIFY


def test_a_run_is_gone_with_its_process():
    me = _restore.this_run()
    assert not _restore.is_gone(me)
    child = os.fork()
    if not child:
        os._exit(0)
    dead = {**me, "process": child, "started": _restore._started(child)}
    os.waitpid(child, 0)
    assert _restore.is_gone(dead)
    # Its ID was given to another process; and a process of another machine, or before its reboot, is not seen from here.
    assert _restore.is_gone({**me, "started": "1"})
    assert not _restore.is_gone({**dead, "machine": "another boot"}) and not _restore.is_gone(
        {**dead, "controller": "x"}
    )


def test_what_is_under_way_is_said_with_what_to_do():
    me = _restore.this_run()
    note = {"run": {**me, "process": os.getpid(), "started": _restore._started(os.getpid())}, "since": 0}
    (said,) = _restore.beside_problems({"under_way": note, "beside": []})
    assert said.startswith("a restore of this host has been running since 1970-01-01 00:00 UTC, by process")
    assert "wait until it has ended" in said and "/run/vigil.monitoring/restore.json is removed" in said
    assert _restore.beside_problems({"under_way": {**note, "run": {**me, "started": "1"}}, "beside": ["x"]}) == ["x"]


def test_what_is_asked_for_is_done():
    assert not plan(read(), version="latest").problems
    assert not plan(read(), version="3.4.9", downgrades=True).problems
    own = read(there(own=["wal"], active=True, deployed=True, there=True, verified_dir=DATA + "/"))
    found = plan(own, replace=True)
    assert not found.problems and "what is there is kept until" in found.words[1] and not found.services[0]["stage"]
    assert "Prometheus 3.6.0 upgrades it" in plan(read(), version="3.6.0").words[1]
    assert plan(read(sources=[])).words[1:] == [
        "Prometheus has no data in snapshot abcd0001 of then; it is deployed without"
    ]


@pytest.mark.parametrize(
    ("found", "work"),
    [
        (there(phase="fetching", snapshot="abcd0001ff"), _restore.AGAIN),
        (there(phase="placing", snapshot="abcd0001ff"), _restore.AGAIN),
        (there(phase="placed", snapshot="another", own=["old"]), _restore.AGAIN),
        (there(phase="placed", snapshot="abcd0001ff", own=["old"]), _restore.VERIFY),
    ],
)
def test_what_was_interrupted_is_undone_or_continued(found, work):
    assert plan(read(found)).services[0]["work"] == work


def test_typos_are_named():
    given = {"services": ["promethes"]}
    said = _restore.input_problems(given, {"restore_snapshots": 1, "restore_replace": True, "restore_test_dir": "/x"})
    assert said[0].startswith("restore_snapshots: unknown variable; did you mean restore_snapshot?")
    assert said[1:] == ["restore_services: there is no service promethes; did you mean prometheus?"]


def test_blocks_are_counted_and_dated():
    listing = {OLD: ["d", 0o700], OLD + "/index": ["f", 3 << 20, 1, 0o600], "wal": ["d", 0o700]}
    said = _rooms.load("prometheus").holds(listing)
    assert said == "1 blocks, written from 2016-07-30 23:54 UTC to 2016-07-30 23:54 UTC, 3 MiB of data"
    assert _rooms.load("prometheus").holds({}) == "no complete block, and no data"
    assert _rooms.load("alertmanager").holds({"silences": ["f", 1, 1, 0]}) == "1 MiB of data"


def make(folder, files):
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()
    }


class Repository:
    """One that has a tree, a database and a key."""

    def restore(self, dummy, paths, target, optional=()):
        assert not os.listdir(target) and paths == [DATA, "/staging/g.db"] and optional == ["/etc/key"]
        make_in = {
            DATA + "/plugins/p": "new",
            DATA + "/.vigil-version": "1",
            "/staging/g.db": "db",
            "/etc/key": "new key",
        }
        for path, text in make_in.items():
            os.makedirs(os.path.dirname(target + path), exist_ok=True)
            with open(target + path, "w", encoding="utf-8") as stream:
                stream.write(text)
        os.symlink("/opt/plugin", target + DATA + "/plugins/link")


DESCRIBED = {
    "version": "12.0.0",
    "data": DATA,
    "files": ["/etc/key"],
    "sources": [{"from": DATA, "to": DATA}, {"from": "/staging/g.db", "to": DATA + "/g.db"}],
}
BEFORE = {"plugins/p": "old", "plugins/own/q": "old", "g.db": "old"}
AFTER = {"plugins/p": "new", "g.db": "db", ".vigil-version": "12.0.0\n"}


@pytest.fixture
def data(tmp_path):
    machine = System()
    machine.records_directory = str(tmp_path / "records")
    make(tmp_path / "data", BEFORE)
    make(tmp_path / "etc", {"key": "old key"})
    return RestoredData("grafana", str(tmp_path / "data"), machine), tmp_path


def fetched(restored, folder):
    restored.fetch(Repository(), "abcd", DESCRIBED, 10)
    assert {path: text for path, text in files(folder / "data").items() if not path.startswith(".")} == BEFORE


def test_data_takes_the_place_of_other_data_and_that_comes_back(data):
    restored, folder = data
    for dummy in range(2):
        fetched(restored, folder)
        restored.replace("12.0.0", [["/etc/key", str(folder / "etc/key")]])
        found = files(folder / "data")
        assert {path: text for path, text in found.items() if not path.startswith(".vigil-before/")} == AFTER
        assert files(folder / "data/.vigil-before") == BEFORE and not (folder / "data/.vigil-restore").exists()
        assert files(folder / "etc") == {"key": "new key"} and restored.replaced() == []
        assert restored.inspect()["own"] == ["g.db", "plugins"] and restored.inspect()["phase"] == "placed"
        with pytest.raises(HostError, match="has to be undone first"):
            restored.fetch(Repository(), "abcd", DESCRIBED, 10)
        assert restored.undo() and files(folder / "data") == BEFORE and files(folder / "etc") == {"key": "old key"}
        assert not restored.undo() and restored.note == {}
    fetched(restored, folder)
    restored.replace("12.0.0", [["/etc/key", str(folder / "etc/key")]])
    make(folder / "etc", {"key": "another"})
    assert restored.replaced() == [str(folder / "etc/key")]
    assert restored.finish() and not restored.finish()
    assert files(folder / "data") == AFTER and restored.note == {}


class Killed(BaseException):
    """What no code catches."""


CALLS = ("rename", "mkdir", "unlink", "rmdir", "chown", "fchown", "open")


def kill_after(number, calls, patch):
    """Let so many of these functions of `os` be called, and kill whoever calls one more."""
    left = [number]

    def counted(call):
        def run(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return call(*arguments, **options)

        return run

    for name in calls:
        patch.setattr(os, name, counted(getattr(os, name)))


@pytest.mark.parametrize("begun", ["place", "undo"])
def test_killed_at_any_moment_it_is_undone(data, monkeypatch, begun):
    restored, folder = data
    number = 0
    while True:
        fetched(restored, folder)
        if begun == "undo":
            restored.replace("12.0.0", [["/etc/key", str(folder / "etc/key")]])
        try:
            with monkeypatch.context() as patch:
                kill_after(number, CALLS, patch)
                if begun == "place":
                    restored.replace("12.0.0", [["/etc/key", str(folder / "etc/key")]])
                else:
                    restored.undo()
        except Killed:
            restored.undo()
            # The scratch file of what was being written is nobody's.
            key = (folder / "etc/key").read_text(encoding="utf-8")
            assert files(folder / "data") == BEFORE and key == "old key"
            number += 1
            continue
        break
    assert number > 20


STATE = """#!/bin/sh
# A server whose database is the file `table`, and which knows three statements.
cd "$(dirname "$0")"; script=$(cat)
case "$script" in
*pg_stat_activity*) echo 0 ;;
*relkind*) [ ! -s table ] || echo "DROP TABLE IF EXISTS t;" ;;
*fails*) echo "no space left" >&2; exit 3 ;;
*COMMIT*) case "$script" in *row*) echo "$script" | grep row >table ;; *) : >table ;; esac ;;
esac
"""
HEAD, TAIL = "-- PostgreSQL database dump\n", "\n-- PostgreSQL database dump complete\n"


class WithDump(Repository):
    """One that has a dump besides."""

    row = "row of the snapshot"

    def restore(self, snapshot, paths, target, optional=()):
        super().restore(snapshot, [path for path in paths if path != "/staging/g.sql"], target, optional)
        with open(target + "/staging/g.sql", "w", encoding="utf-8") as stream:
            stream.write(HEAD + self.row + TAIL)


WITH_DUMP = {**DESCRIBED, "sources": [*DESCRIBED["sources"], {"from": "/staging/g.sql", "to": None}]}


@pytest.fixture
def served(data):
    """Data with a database on a server."""
    restored, folder = data
    (folder / "psql").write_text(STATE, encoding="utf-8")
    (folder / "pg_dump").write_text(f"#!/bin/sh\nprintf '{HEAD}'; cat {folder}/table; printf '{TAIL}'\n")
    for name in ("psql", "pg_dump"):
        (folder / name).chmod(0o755)
    (folder / "table").write_text("row of now\n")
    given = {"kind": "postgresql", "title": SERVER, "environment": {}}
    given.update(client=[str(folder / "psql")], dump=[str(folder / "pg_dump")])
    return RestoredData("grafana", str(folder / "data"), restored.machine, given), folder


def place(restored, folder, repository=None):
    restored.fetch(repository or WithDump(), "abcd", WITH_DUMP, 10)
    restored.replace("12.0.0", [["/etc/key", str(folder / "etc/key")]], "/staging/g.sql")


def test_a_database_takes_the_place_of_another_one_and_that_comes_back(served):
    restored, folder = served
    for before in ("row of now\n", ""):
        (folder / "table").write_text(before)
        held = bool(before)
        assert restored.inspect()["database"] == {"problem": None, "held": held}
        place(restored, folder)
        assert (folder / "table").read_text() == "row of the snapshot\n"
        # What there was before, whatever is there now.
        assert restored.inspect()["database"]["held"] == held and os.path.exists(restored.dump_before) == held
        assert restored.undo() and (folder / "table").read_text() == before and files(folder / "data") == BEFORE
        assert not os.path.exists(restored.dump_before)
    place(restored, folder)
    assert restored.finish() and (folder / "table").read_text() == "row of the snapshot\n"
    assert not os.path.exists(restored.dump_before)


def test_a_dump_that_cannot_be_loaded_leaves_what_was_there(served):
    restored, folder = served

    class Fails(WithDump):
        row = "row that fails"

    with pytest.raises(HostError, match=r"the PostgreSQL database g on db: .*psql failed: no space left"):
        place(restored, folder, Fails())
    # The server has taken it back: it is not asked for what it would refuse again.
    (folder / "psql").rename(folder / "away")
    assert restored.undo() and (folder / "table").read_text() == "row of now\n" and files(folder / "data") == BEFORE
    (folder / "away").rename(folder / "psql")

    class Torn(WithDump):
        row = "x" * 5000

        def restore(self, snapshot, paths, target, optional=()):
            super().restore(snapshot, paths, target, optional)
            os.truncate(target + "/staging/g.sql", 4500)

    with pytest.raises(HostError, match="is not complete"):
        restored.fetch(Torn(), "abcd", WITH_DUMP, 10)
    assert restored.note["phase"] == "fetching" and restored.undo()


def test_killed_at_any_moment_the_database_comes_back(served, monkeypatch):
    """A client that was begun has done its work, or none of it."""
    restored, folder = served
    number, reached = 0, set()
    while True:
        (folder / "table").write_text("row of now\n")
        restored.fetch(WithDump(), "abcd", WITH_DUMP, 10)
        try:
            with monkeypatch.context() as patch:
                kill_after(number, ("rename",), patch)
                restored.replace("12.0.0", [["/etc/key", str(folder / "etc/key")]], "/staging/g.sql")
        except Killed:
            reached.add(((folder / "table").read_text(), restored.note["phase"]))
            restored.undo()
            assert (folder / "table").read_text() == "row of now\n" and files(folder / "data") == BEFORE
            number += 1
            continue
        break
    assert ("row of the snapshot\n", "placing") in reached and len(reached) > 2


def test_without_its_server_nothing_is_taken_back(served):
    restored, folder = served
    place(restored, folder)
    without = RestoredData("grafana", str(folder / "data"), restored.machine)
    with pytest.raises(
        HostError, match=r"names the server of the database of grafana no more; what it held is in .*before\.sql"
    ):
        without.undo()
    assert without.note["phase"] == "placed"
    os.rename(restored.dump_before, restored.dump_before + ".away")
    with pytest.raises(FileNotFoundError):
        restored.undo()
    assert restored.note["phase"] == "placed" and (folder / "table").read_text() == "row of the snapshot\n"
    (folder / "psql").unlink()
    text = "psql is not installed on this host, and the PostgreSQL database g on db cannot be restored without"
    assert text in restored.inspect()["database"]["problem"]


def test_a_directory_that_cannot_be_renamed_is_moved_by_its_files(data, monkeypatch):
    """In an overlay, a directory of a lower layer: rename(2) says EXDEV."""
    restored, folder = data
    rename = os.rename

    def other(source, target, **options):
        if options and source == "plugins":
            raise OSError(18, "Invalid cross-device link")
        rename(source, target, **options)

    monkeypatch.setattr(os, "rename", other)
    fetched(restored, folder)
    restored.replace("12.0.0", [])
    assert files(folder / "data/.vigil-before") == BEFORE
    assert restored.undo() and files(folder / "data") == BEFORE


def test_the_links_of_a_backup_that_is_running_are_no_data(data):
    """They are root's, and the account of the service cannot enter them."""
    restored, folder = data
    make(folder / "data/.vigil-backup", {"blocks/x": "x"})
    found = restored.inspect()
    assert found["own"] == ["g.db", "plugins"] and not [path for path in found["listing"] if path.startswith(".")]
    # But they are what is backed up.
    assert ".vigil-backup" not in _data_copy.UNFINISHED


@pytest.mark.parametrize("link", [DATA, "/staging", DATA + "/sub"])
def test_a_link_in_a_snapshot_leads_nowhere(data, link):
    """The account of the service, or an administrator, has made it; root does not move what is behind it."""
    restored, folder = data
    make(folder / "elsewhere", {"g.db": "another's", "plugins/p": "another's"})
    described = {
        **DESCRIBED,
        "sources": [{"from": DATA, "to": DATA}, {"from": "/staging/g.db", "to": DATA + "/sub/g.db"}],
    }

    class Linked(Repository):
        def restore(self, snapshot, paths, target, optional=()):
            super().restore(snapshot, paths, target, optional)
            if os.path.lexists(target + link):
                os.rename(target + link, target + "/away")
            os.symlink(str(folder / "elsewhere"), target + link)

    with pytest.raises(HostError, match="symbolic link: restore it by hand"):
        restored.fetch(Linked(), "abcd", described, 10)
    assert files(folder / "elsewhere") == {"g.db": "another's", "plugins/p": "another's"}
    assert restored.undo() and files(folder / "data") == BEFORE


def test_nothing_is_restored_without_space(data, monkeypatch):
    restored, folder = data
    monkeypatch.setattr(host_side, "space_problem", lambda folder, size: "no space")
    with pytest.raises(HostError, match="no space"):
        restored.fetch(Repository(), "abcd", DESCRIBED, 1)
    assert files(folder / "data") == BEFORE and restored.note == {}
