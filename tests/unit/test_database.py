# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the clients of a database's server are run, and what is said where they fail. What they do on real servers is in tests/faults."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._database import KINDS, Database
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError
from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import database_on_server

PASSWORD = "vigil-sentinel-database"


def client(folder, text):
    """A program that stands for a client of the server."""
    path = folder / "client"
    path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def database(folder, text, kind="postgresql", account=None):
    program = client(folder, text)
    given = {"kind": kind, "title": "the database", "environment": {"PGPASSWORD": PASSWORD}}
    return Database({**given, "client": [program, "g"], "dump": [program, "g"]}, account)


SAYS_ALL = 'here="$(dirname "$0")"; env >"$here/env"; pwd >"$here/where"; cat >>"$here/script"; echo "DROP TABLE IF EXISTS a;"\n'


def test_a_client_knows_the_password_and_nothing_of_whoever_runs_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/root/of-somebody")
    monkeypatch.setenv("PGSERVICE", "of-somebody")
    assert database(tmp_path, SAYS_ALL).drops() == ["DROP TABLE IF EXISTS a;"]
    seen = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert seen["PGPASSWORD"] == PASSWORD and seen["LC_ALL"] == "C" and not set(seen) & {"HOME", "PGSERVICE"}
    assert (tmp_path / "where").read_text() == "/\n"


def test_a_dump_is_loaded_between_a_beginning_and_an_end(tmp_path):
    (tmp_path / "dump").write_text("CREATE TABLE a();\n")
    database(tmp_path, SAYS_ALL).load(str(tmp_path / "dump"))
    loaded = (tmp_path / "script").read_text().split("ORDER BY c.relkind = 'S', c.oid;")[1]
    assert loaded == (
        "SET client_min_messages = warning;\nBEGIN;\nDROP TABLE IF EXISTS a;\nCREATE TABLE a();\n\nCOMMIT;\n"
    )


def test_an_interrupted_dump_is_never_committed(tmp_path, monkeypatch):
    """What was not read to its end has no COMMIT, and the client is ended."""
    (tmp_path / "dump").write_text("CREATE TABLE a();\n")
    found = database(tmp_path, SAYS_ALL)
    script = found._script

    def torn(drops, dump):
        for number, part in enumerate(script(drops, dump)):
            if number == 2:
                raise OSError(5, "Input/output error")
            yield part

    monkeypatch.setattr(found, "_script", torn)
    with pytest.raises(OSError, match="Input/output"):
        found.load(str(tmp_path / "dump"))
    assert "COMMIT" not in (tmp_path / "script").read_text()


def test_what_a_client_says_when_it_fails_is_said(tmp_path):
    (tmp_path / "dump").write_text("x" * 1000000)
    for work in ("drops", "load"):
        found = database(tmp_path, "echo 'permission denied for schema public' >&2; exit 3\n")
        with pytest.raises(HostError, match=r"the database: .*/client failed: permission denied for schema public"):
            found.load(str(tmp_path / "dump")) if work == "load" else found.drops()
    with pytest.raises(HostError, match="cannot be run: No such file"):
        missing = {"kind": "mysql", "title": "x", "environment": {}, "client": ["/no/mysql"], "dump": ["/no/mysqldump"]}
        Database(missing).drops()
    assert Database(missing).missing() == ["/no/mysql", "/no/mysqldump"]
    assert database(tmp_path, "").missing() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="another account takes root")
def test_a_dump_is_loaded_with_the_rights_of_the_account(tmp_path):
    """psql and mysql run programs where a dump says so. What the database holds is asked by root, before there is an account."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "dump").write_text("x")
        (folder / "dump").chmod(0o600)
        database(folder, 'id -u >"$(dirname "$0")/$(id -u)"; cat >/dev/null\n', account=(65534, 65534)).load(
            name + "/dump"
        )
        assert sorted(path.name for path in folder.iterdir()) == ["0", "65534", "client", "dump"]


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("postgresql", "--\n-- PostgreSQL database dump\n--\nx\n--\n-- PostgreSQL database dump complete\n--\n", None),
        ("postgresql", "--\n-- PostgreSQL database dump\n--\nx\n", "the dump for the database is not complete"),
        ("postgresql", "-- MariaDB dump 10.19\n-- Dump completed on 1\n", "what was backed up is no dump for the database"),
        ("mysql", "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19\nx\n-- Dump completed on 2026\n", None),
        ("mysql", "-- MySQL dump 8.0\nx\n-- Dump completed on 2026-11-27\n", None),
        ("mysql", "-- MySQL dump 8.0\nx\n", "is not complete"),
        ("mysql", "", "is no dump"),
    ],
)  # fmt: skip
def test_a_dump_of_another_server_or_a_part_of_one_is_not_loaded(tmp_path, kind, text, said):
    (tmp_path / "dump").write_text(text)
    problem = database(tmp_path, "", kind).problem_of(str(tmp_path / "dump"))
    assert (problem is None) if said is None else (said in problem)


def test_a_database_that_is_in_use_is_not_changed(tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("ansible_collections.vigil.monitoring.plugins.module_utils._database.LINGERS", 0)
    database(tmp_path, "cat >/dev/null; echo 0\n").must_be_idle()
    with pytest.raises(HostError, match="the database is in use by 2 other sessions of the same account"):
        database(tmp_path, "cat >/dev/null; echo 2\n").must_be_idle()


def test_an_inventory_names_the_clients_and_no_password_in_a_command_line():
    for given in (
        {"type": "postgres", "host": "db:5432", "name": "g", "user": "u", "password": PASSWORD},
        {"type": "mysql", "host": "db", "name": "g", "user": "u", "password": PASSWORD},
    ):
        found = database_on_server({"database": given})
        assert PASSWORD not in " ".join([*found["client"], *found["dump"], found["title"]])
        assert PASSWORD in found["environment"].values() and found["kind"] in KINDS
    assert found["title"] == "the MySQL database g on db"
    assert database_on_server({"database": {"type": "sqlite3"}}) is None
