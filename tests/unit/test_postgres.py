# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The monitoring role: what it has, what it needs, and what is said to the server."""

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _postgres

ROLE = {"rolcanlogin": True, **dict.fromkeys(_postgres.ATTRIBUTES, False)}
CONVERGED = {
    "version": 170000,
    "standby": False,
    "role": ROLE,
    "member_of": ["pg_monitor"],
    "connect": True,
    "owns": [],
}


def said(password=None, **changes):
    return [shown for dummy, shown in _postgres.statements("exp", "shop", {**CONVERGED, **changes}, password)]


def test_a_role_that_is_as_it_has_to_be_is_left_alone():
    assert said() == []


@pytest.mark.parametrize(
    ("changes", "password", "statements"),
    [
        (
            {"role": None, "member_of": [], "connect": None},
            "p",
            ["CREATE ROLE \"exp\" LOGIN PASSWORD '********';", 'GRANT pg_monitor TO "exp";'],
        ),
        (
            {"role": None, "member_of": [], "connect": None},
            None,
            ['CREATE ROLE "exp" LOGIN;', 'GRANT pg_monitor TO "exp";'],
        ),
        ({"member_of": []}, None, ['GRANT pg_monitor TO "exp";']),
        ({"connect": False}, None, ['GRANT CONNECT ON DATABASE "shop" TO "exp";']),
        ({"role": {**ROLE, "rolcanlogin": False}}, None, ['ALTER ROLE "exp" LOGIN;']),
        ({}, "p", ["ALTER ROLE \"exp\" PASSWORD '********';"]),
    ],
)
def test_what_is_missing_is_said_and_nothing_else(changes, password, statements):
    assert said(password=password, **changes) == statements


def test_the_server_gets_a_hash_and_never_the_password():
    ((statement, dummy),) = _postgres.statements("exp", "shop", CONVERGED, "hunter2")
    assert "hunter2" not in statement
    assert _postgres.is_password("hunter2", statement.split("'")[1], "exp")


def test_the_hash_is_the_one_of_the_rfc():
    # RFC 7677, section 3: user "user", password "pencil"; the keys as PostgreSQL stores them.
    salt = __import__("base64").b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    made = _postgres.scram_verifier("pencil", salt, 4096)
    assert made == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
        ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


@pytest.mark.parametrize(
    ("stored", "verdict"),
    [
        (_postgres.scram_verifier("right", b"salt"), True),
        (_postgres.scram_verifier("wrong", b"salt"), False),
        ("md5" + hashlib.md5(b"rightexp").hexdigest(), True),
        ("md5" + hashlib.md5(b"rightother").hexdigest(), False),
        (None, False),
        ("", False),
        ("right", False),
    ],
)
def test_a_password_is_recognised_by_its_hash(stored, verdict):
    assert _postgres.is_password("right", stored, "exp") is verdict


@pytest.mark.parametrize(
    ("role", "member_of", "words"),
    [
        (ROLE, ["pg_monitor", "pg_read_all_stats"], []),
        (None, [], []),
        ({**ROLE, "rolsuper": True}, [], ["SUPERUSER"]),
        ({**ROLE, "rolcreatedb": True}, ["app"], ["CREATEDB", "membership in app"]),
    ],
)
def test_what_a_role_has_beyond_looking(role, member_of, words):
    assert _postgres.excess({"role": role, "member_of": member_of, "owns": []}) == words


def test_what_a_role_owns():
    owns = [
        ["pg_class", "shop", 2],
        ["pg_database", "shop", 1],
        ["pg_namespace", "postgres", 1],
        ["pg_tablespace", None, 1],
    ]
    assert _postgres.excess({"role": ROLE, "member_of": ["pg_monitor"], "owns": [*owns, ["pg_cast", "shop", 1]]}) == [
        "the ownership of 2 tables in the database shop",
        "the ownership of the database shop",
        "the ownership of 1 schema in the database postgres",
        "the ownership of 1 tablespace",
        "the ownership of 1 pg_cast in the database shop",
    ]


def test_names_cannot_smuggle_in_statements():
    assert _postgres.identifier('a"; DROP') == '"a""; DROP"'
    assert _postgres.literal("it's") == "'it''s'"
    assert _postgres.literal("a\\'b") == "E'a\\\\''b'"


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ('connection to server on socket "/run/x/.s.PGSQL.5432" failed: No such file or directory', True),
        ('connection to server at "localhost" (127.0.0.1), port 5432 failed: Connection refused', True),
        ("FATAL:  the database system is starting up", True),
        ('could not translate host name "db" to address', True),
        ('FATAL:  password authentication failed for user "exp"', False),
        ('FATAL:  database "shop" does not exist', False),
        ("ERROR:  permission denied to create role", False),
    ],
)
def test_nobody_there_is_told_from_being_turned_away(words, verdict):
    assert _postgres.is_unreachable(words) is verdict


def test_the_password_file_escapes_what_libpq_reads_otherwise():
    assert _postgres.password_file("a:b\\c") == "*:*:*:*:a\\:b\\\\c\n"


def test_what_psql_prints_is_one_state():
    assert _postgres.seen('{"version" : 170000, "role" : null}\n{"stored" : null}\n') == {
        "version": 170000,
        "role": None,
        "stored": None,
    }


@pytest.mark.parametrize(
    ("changes", "statements"),
    [
        ({}, []),
        ({"stored": "SCRAM-SHA-256$1"}, ["ALTER ROLE \"exp\" PASSWORD 'SCRAM-SHA-256$1';"]),
        ({"stored": None}, ['ALTER ROLE "exp" PASSWORD NULL;']),
        ({"role": {**ROLE, "rolcanlogin": False}}, ['ALTER ROLE "exp" NOLOGIN;']),
        ({"member_of": []}, ['REVOKE pg_monitor FROM "exp";']),
        ({"connect": False}, ['REVOKE CONNECT ON DATABASE "shop" FROM "exp";']),
    ],
)
def test_the_way_back_undoes_what_may_have_been_said(changes, statements):
    assert _postgres.undo("exp", "shop", {**CONVERGED, **changes}) == statements


def test_a_role_that_was_not_there_goes_with_what_it_was_given():
    (statement,) = _postgres.undo("exp", "shop", {**CONVERGED, "role": None, "member_of": [], "connect": None})
    assert 'REVOKE CONNECT ON DATABASE "shop" FROM "exp"; DROP ROLE "exp";' in statement
    assert statement.startswith("DO $vigil$ BEGIN IF EXISTS")
