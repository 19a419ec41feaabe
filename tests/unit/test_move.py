# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The move of a service to another host: what is refused, what an interrupted run leaves to do, and the copy itself."""

from __future__ import annotations

import io
import json
import os
import random

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _data_copy
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError
from ansible_collections.vigil.monitoring.plugins.module_utils._move import DataOfService
from ansible_collections.vigil.monitoring.plugins.module_utils._system import System
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _move, _rooms

GROUPS = {"all": ["old", "new", "third"], "prometheus": ["new"], "alertmanager": ["old"], "grafana": ["old", "new"]}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("prometheus", "old", "new"), ""),
        (("", "old", "new"), "name the service"),
        (("prometheus", "old", ""), "name the service"),
        (("promethes", "old", "new"), "there is no service promethes; did you mean prometheus?"),
        (("prometheus", "odl", "new"), "the inventory has no host odl; did you mean old?"),
        (("prometheus", "elsewhere", "new"), "keep it in the inventory"),
        (("prometheus", "new", "new"), "same host"),
        (("prometheus", "old", "new", "new"), "leave --limit out"),
        (("alertmanager", "old", "new"), "put new into it and take old out of it"),
        (("grafana", "old", "new"), "In the group grafana, take old out of it"),
        (("promxy", "old", "new"), "In the group promxy, put new into it; then"),
    ],
)
def test_the_inventory_says_first_where_it_is_to_run(given, words):
    found = _move.hosts_of(GROUPS, *given)
    assert words in found["missing"] and bool(words) == bool(found["missing"])
    # The play has a host in any case, to say so.
    assert {found["source"], found["target"]} <= {"old", "new"}
    assert words or (found["source"], found["target"]) == ("old", "new")


def host(**given):
    found = {"record": None, "removed": False, "active": False, "verified": False, "version": None, "data_dir": "/data"}
    found.update(there=True, foreign=[], listing={}, copied={}, writer=None, free=None, origin=None, phase=None)
    return {**found, **given}


RUNS = host(record={"service": "prometheus"}, active=True, listing={"a": ["f", 5 << 20, 1, 0o600]}, writer="3.5.0")
PLACED = {"phase": "placed", "origin": "old"}


@pytest.mark.parametrize(
    ("source", "target", "work", "problem"),
    [
        (RUNS, host(), _move.COPY, None),
        # Cut off while it was copied; after it was put into place; after it was verified.
        (RUNS, host(phase="copying", origin="old", copied=RUNS["listing"]), _move.COPY, None),
        (RUNS, host(foreign=["wal"], **PLACED), _move.AGAIN, None),
        (RUNS, host(active=True, verified=True, foreign=["wal"], **PLACED), _move.VERIFY, None),
        (host(), host(active=True, verified=True, foreign=["wal"], **PLACED), _move.VERIFY, None),
        (host(), host(foreign=["wal"], **PLACED), _move.VERIFY, None),
        (host(record={}, removed=True), host(active=True), _move.DONE, None),
        # Nothing to move; data that would be lost; too little space; a version that cannot read it.
        (host(), host(), _move.DONE, "nothing of prometheus is deployed on old"),
        (RUNS, host(active=True), _move.DONE, "prometheus is deployed and has data of its own on new, which would be lost"),
        (RUNS, host(foreign=["wal"]), _move.DONE, "has left data in /data (wal) on new"),
        (RUNS, host(foreign=["wal"], phase="placed", origin="third"), _move.DONE, "has left data in /data (wal) on new"),
        (RUNS, host(free=1 << 20), _move.DONE, "has 5 MiB, and for /data on new are only 1 MiB free"),
        (RUNS, host(data_dir=""), _move.DONE, "prometheus keeps no data on the host"),
        (host(**{**RUNS, "there": False}), host(), _move.DONE, "/data on old is no directory"),
        (host(**{**RUNS, "writer": "3.9.0"}), host(), _move.DONE, "written by version 3.9.0, and prometheus_version of new is 3.6.0"),
    ],
)  # fmt: skip
def test_what_a_run_has_to_do(source, target, work, problem):
    found = _move.decide("prometheus", ("old", "new"), source, target, "3.6.0", False)
    assert (found.work, bool(found.problem)) == (work, bool(problem))
    assert problem is None or problem in found.problem
    assert found.problem or found.words


def test_an_older_version_gets_the_data_where_that_is_allowed():
    newer = host(**{**RUNS, "writer": "3.9.0"})
    assert _move.decide("prometheus", ("old", "new"), newer, host(), "3.6.0", True).work == _move.COPY
    assert _move.decide("prometheus", ("old", "new"), newer, host(), "latest", False).work == _move.COPY


def test_what_is_lost_is_named():
    before = {"silences": ["one", "two"], "samples": ["x"]}
    assert _move.lost(before, {"silences": ["two", "one", "more"], "samples": ["x"]}) == []
    assert _move.lost(before, {"samples": ["x"], "silences": ["two"]}) == [
        "1 of 2 silences not found on the new host, such as one"
    ]
    assert len(_move.lost(before, {})) == 2
    assert _move.compared(before) == "2 silences; 1 samples"
    assert _move.compared({}) == "nothing that could be compared"


# The copy


def make(folder, files):
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())


def carry(source, target, most=100):
    """One pass of a copy, as move.yml does it, in parts of so many bytes."""
    listed, there = _data_copy.listing(str(source)), _data_copy.listing(str(target))
    plan = _data_copy.difference(listed, there)
    _data_copy.shape(str(target), plan.remove, plan.make)
    parts = _data_copy.parts(plan.copy, listed, most)
    for part in parts:
        stream = io.BytesIO()
        _data_copy.read(str(source), part, stream)
        stream.seek(0)
        _data_copy.write(str(target), part, json.loads(json.dumps(listed)), stream)
    return parts


def same(source, target):
    plan = _data_copy.difference(_data_copy.listing(str(source)), _data_copy.listing(str(target)))
    contents = [
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}
        for folder in (source, target)
    ]  # fmt: skip
    return plan == _data_copy.Plan([], [], []) and contents[0] == contents[1]


@pytest.fixture
def folders(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    make(
        source,
        {"01A/index": random.Random(1).randbytes(1000), "01A/meta.json": "{}", "wal/00": b"x" * 250, "empty": ""},
    )
    (source / "nothing").mkdir()
    os.chmod(source / "empty", 0o640)
    return source, target


@pytest.mark.parametrize("most", [1, 7, 250, 1 << 20])
def test_a_copy_is_the_same(folders, most):
    source, target = folders
    assert carry(source, target, most) and same(source, target)
    assert (target / "empty").stat().st_mode & 0o777 == 0o640
    assert carry(source, target, most) == []


def test_what_changes_meanwhile_is_copied_once_more(folders):
    source, target = folders
    carry(source, target)
    with open(source / "wal/00", "ab") as stream:
        stream.write(b"more")
    make(source, {"wal/01": "new", "nothing/inside": "y"})
    for name in ("index", "meta.json"):
        os.unlink(source / "01A" / name)
    (source / "01A").rmdir()
    parts = carry(source, target)
    assert same(source, target)
    assert {path for part in parts for path, dummy, dummy in part} == {"wal/00", "wal/01", "nothing/inside"}


def test_another_content_of_the_same_size_is_copied(folders):
    source, target = folders
    carry(source, target)
    before = (source / "wal/00").stat().st_mtime_ns
    (source / "wal/00").write_bytes(b"y" * 250)
    os.utime(source / "wal/00", ns=(before, before + 1))
    carry(source, target)
    assert (target / "wal/00").read_bytes() == b"y" * 250 and same(source, target)


def test_a_file_becomes_a_directory_and_back(folders):
    source, target = folders
    carry(source, target)
    os.unlink(source / "empty")
    make(source, {"empty/inside": "y"})
    os.unlink(source / "wal/00")
    (source / "wal").rmdir()
    make(source, {"wal": "z"})
    carry(source, target)
    assert same(source, target)


def test_a_file_that_vanishes_or_shrinks_while_it_is_read(folders):
    source, target = folders
    listed = _data_copy.listing(str(source))
    os.unlink(source / "01A/meta.json")
    (source / "wal/00").write_bytes(b"short")
    plan = _data_copy.difference(listed, {})
    _data_copy.shape(str(target), plan.remove, plan.make)
    for part in _data_copy.parts(plan.copy, listed, 90):
        stream = io.BytesIO()
        _data_copy.read(str(source), part, stream)
        stream.seek(0)
        _data_copy.write(str(target), part, listed, stream)
    assert not (target / "01A/meta.json").exists()
    carry(source, target)
    assert same(source, target)


def test_one_that_was_cut_off_goes_on(folders):
    source, target = folders
    listed = _data_copy.listing(str(source))
    plan = _data_copy.difference(listed, {})
    _data_copy.shape(str(target), plan.remove, plan.make)
    parts = _data_copy.parts(plan.copy, listed, 300)
    for part in parts[:2]:
        stream = io.BytesIO()
        _data_copy.read(str(source), part, stream)
        stream.seek(0)
        _data_copy.write(str(target), part, listed, stream)
    assert len(parts) > 3 and not same(source, target)
    carry(source, target, 300)
    assert same(source, target)


def test_a_part_that_is_cut_short_is_refused(folders):
    source, target = folders
    listed = _data_copy.listing(str(source))
    part = [["wal/00", 0, 250]]
    stream = io.BytesIO()
    _data_copy.read(str(source), part, stream)
    (target / "wal").mkdir()
    with pytest.raises(HostError, match="did not arrive whole"):
        _data_copy.write(str(target), part, listed, io.BytesIO(stream.getvalue()[:-8]))
    assert not (target / "wal/00").exists()


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a"])
def test_a_path_of_the_other_host_stays_inside(path, tmp_path):
    with pytest.raises(HostError, match="is no path inside"):
        _data_copy.shape(str(tmp_path), [path], [])
    with pytest.raises(HostError, match="is no path inside"):
        _data_copy.write(str(tmp_path), [[path, 0, 1]], {path: ["f", 1, 1, 0o600]}, io.BytesIO())


def test_nothing_is_written_through_a_link(folders, tmp_path):
    source, target = folders
    listed = _data_copy.listing(str(source))
    (target / "wal").mkdir()
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (target / "wal" / ("00" + _data_copy.SCRATCH)).symlink_to(victim)
    stream = io.BytesIO()
    _data_copy.read(str(source), [["wal/00", 0, 250]], stream)
    stream.seek(0)
    with pytest.raises(OSError):
        _data_copy.write(str(target), [["wal/00", 0, 250]], listed, stream)
    assert victim.read_text() == "untouched"


def test_parts_hold_no_more_than_they_may():
    listed = {"a": ["f", 25, 1, 0], "b": ["f", 0, 1, 0], "c": ["f", 10, 1, 0]}
    parts = _data_copy.parts(["a", "b", "c"], listed, 10)
    assert [sum(length for dummy, dummy, length in part) for part in parts] == [10, 10, 10, 5]
    assert [piece for part in parts for piece in part if piece[0] == "c"] == [["c", 0, 5], ["c", 5, 5]]
    assert _data_copy.size_of(listed) == 35


# On the host


@pytest.fixture
def data(tmp_path):
    """The data of a service on the new host, whose files belong to who runs the test."""
    machine = System()
    machine.records_directory = str(tmp_path / "records")
    (tmp_path / "data").mkdir()

    return DataOfService("prometheus", str(tmp_path / "data"), machine), tmp_path


def receive(data, folder, files):
    make(folder / "elsewhere", files)
    listed = _data_copy.listing(str(folder / "elsewhere"))
    plan = _data_copy.difference(listed, data.inspect()["copied"])
    (part,) = _data_copy.parts(plan.copy, listed, 1 << 20) or [[]]
    with open(folder / "part", "wb") as stream:
        _data_copy.read(str(folder / "elsewhere"), part, stream)
    data.begin("old")
    data.write(plan.remove, plan.make, part, listed, str(folder / "part"))
    assert not (folder / "part").exists()


def test_a_part_goes_to_a_file_of_who_fetches_it(data):
    moved, folder = data
    make(folder / "data", {"wal/00": "w" * 100})
    (folder / "tmp").mkdir(0o700)
    for dummy in range(2):
        moved.read([["wal/00", 0, 100]], str(folder / "tmp/part"))
    there = (folder / "tmp/part").stat()
    assert (there.st_mode & 0o777, there.st_uid) == (0o600, (folder / "tmp").stat().st_uid)
    stream = io.BytesIO((folder / "tmp/part").read_bytes())
    (folder / "copy/wal").mkdir(parents=True)
    _data_copy.write(str(folder / "copy"), [["wal/00", 0, 100]], _data_copy.listing(str(folder / "data")), stream)
    assert (folder / "copy/wal/00").read_text() == "w" * 100


def test_it_is_put_into_its_place_taken_back_and_put_there_again(data):
    moved, folder = data
    receive(moved, folder, {"01A/index": "i", "wal/00": "w"})
    found = moved.inspect()
    assert (found["phase"], found["origin"], found["foreign"]) == ("copying", "old", [])
    assert set(found["copied"]) == {"01A", "01A/index", "wal", "wal/00"}
    moved.place("old", "3.5.0", {"requests": {}})
    found = moved.inspect()
    assert (found["phase"], found["writer"], found["evidence"]) == ("placed", "3.5.0", {"requests": {}})
    assert sorted(path.name for path in (folder / "data").iterdir()) == [".vigil-version", "01A", "wal"]
    # It did not come up; meanwhile it had written something.
    make(folder / "data", {"wal/01": "written", "lock": ""})
    assert moved.take_back("old") and not moved.take_back("old")
    assert moved.inspect()["foreign"] == []
    receive(moved, folder, {"01A/index": "i", "wal/00": "w"})
    assert "wal/01" not in moved.inspect()["copied"]
    moved.place("old", "3.5.0", None)
    assert sorted(_data_copy.listing(str(folder / "data"))) == ["01A", "01A/index", "wal", "wal/00"]
    assert moved.finish() and not moved.finish()


def test_a_place_that_was_cut_off_is_completed(data, monkeypatch):
    moved, folder = data
    receive(moved, folder, {"01A/index": "i", "wal/00": "w", "x": "x"})
    # An empty directory that a deployment has made is no data.
    (folder / "data" / "wal").mkdir()
    moved._remember("old", "placed")
    os.rename(folder / "data" / _data_copy.STAGING / "01A", folder / "data" / "01A")
    moved.place("old", None, None)
    assert sorted(_data_copy.listing(str(folder / "data"))) == ["01A", "01A/index", "wal", "wal/00", "x"]


def test_data_of_somebody_else_is_never_replaced(data):
    moved, folder = data
    receive(moved, folder, {"wal/00": "w"})
    make(folder / "data", {"wal/theirs": "t"})
    with pytest.raises(HostError, match="something already: wal"):
        moved.place("old", None, None)
    assert (folder / "data/wal/theirs").read_text() == "t"


def test_another_key_is_not_replaced(data):
    moved, folder = data
    path = folder / "config" / "secrets" / "key"
    key = {"path": str(path), "content": "aGVsbG8="}
    assert moved.write_spared([key]) and path.read_text() == "hello" and not moved.write_spared([key])
    path.write_text("another")
    with pytest.raises(HostError, match="not the one that belongs to the data"):
        moved.write_spared([key])


# What of it is found again


def test_samples_of_three_moments_are_compared():
    room, metrics = _rooms.load("prometheus"), "prometheus_tsdb_lowest_timestamp 1.0e+06\n"
    requests = room.history_requests(metrics, 10000.0)
    moments = [float(path.rpartition("=")[2]) for path in requests.values()]
    assert moments == [1300.0, 5485.0, 9970.0]
    assert (
        room.history_requests(metrics.replace("stamp ", "stamp_seconds ").replace("1.0e+06", "1000"), 10000.0)
        == requests
    )
    # One that has just begun, an agent.
    assert room.history_requests(metrics, 1010.0) == {}
    assert room.history_requests("", 10000.0) == {}
    answer = {"data": {"result": [{"metric": {"job": "b", "a": "c"}, "value": [5, "4.5"]}]}}
    assert room.history_found("samples (oldest)", json.dumps(answer)) == ['{"a": "c", "job": "b"} at 4.5']


def test_silences_dashboards_and_users_are_compared():
    silences = [{"id": "1", "status": {"state": "active"}}, {"id": "2", "status": {"state": "expired"}}]
    assert _rooms.load("alertmanager").history_found("silences", json.dumps(silences)) == ["1"]
    found = [{"uid": "u", "title": "T", "type": "dash-db"}, {"login": "admin", "role": "Admin"}]
    assert _rooms.load("grafana").history_found("x", json.dumps(found)) == ["T (u)", "admin"]
    assert _rooms.load("node_exporter").history_requests("", 1.0) == {}
