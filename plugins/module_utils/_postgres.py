# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The monitoring role of a PostgreSQL server: what it has, what it has to have, and the statements in between."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import posixpath
import re

OLDEST = 100000  # 10, the first with pg_monitor
# pg_monitor is made of these, so a role that has them has nothing more.
HARMLESS = ("pg_monitor", "pg_read_all_settings", "pg_read_all_stats", "pg_stat_scan_tables")
ATTRIBUTES = {
    "rolsuper": "SUPERUSER",
    "rolcreaterole": "CREATEROLE",
    "rolcreatedb": "CREATEDB",
    "rolreplication": "REPLICATION",
    "rolbypassrls": "BYPASSRLS",
}
# Catalogs of what may have an owner, see pg_shdepend; others go by their own names.
_OWNED = {
    "pg_class": "table",
    "pg_namespace": "schema",
    "pg_proc": "function",
    "pg_type": "type",
    "pg_tablespace": "tablespace",
    "pg_extension": "extension",
}
ITERATIONS = 4096
_SCRAM = re.compile(r"SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")
# What psql says when nobody could answer, as opposed to being turned away.
_UNREACHABLE = re.compile(
    r"(?i)connection refused|no such file or directory|timeout expired|timed out|could not translate host name"
    r"|no route to host|network is unreachable|is starting up|is shutting down|in recovery mode|closed the connection"
    r"|not yet accepting connections"
)


def literal(text):
    """Text as a literal of SQL.

    :raises ValueError: for text that no literal can hold.
    """
    if "\0" in text:
        raise ValueError("a literal cannot hold a null byte")
    quoted = text.replace("'", "''")
    return "E'{0}'".format(quoted.replace("\\", "\\\\")) if "\\" in text else "'{0}'".format(quoted)


def identifier(name):
    """A name as an identifier of SQL."""
    return '"{0}"'.format(name.replace('"', '""'))


def scram_verifier(password, salt=None, iterations=ITERATIONS):
    """What PostgreSQL stores of a password, RFC 5803: made here, so that no log of the server ever has the password.

    :param password: text.
    :param salt: bytes; None takes random ones.
    :param iterations: of PBKDF2.
    """
    salt = os.urandom(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("utf-8"), salt, iterations)
    client = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
    server = hmac.new(salted, b"Server Key", hashlib.sha256).digest()
    encoded = [base64.b64encode(part).decode("ascii") for part in (salt, hashlib.sha256(client).digest(), server)]
    return "SCRAM-SHA-256${0}:{1}${2}:{3}".format(iterations, *encoded)


def is_password(password, stored, role):
    """Whether what PostgreSQL stores belongs to this password.

    :param stored: ``pg_authid.rolpassword``, or None.
    :param role: the role's name, which is part of the older MD5 hashes.
    """
    scram = _SCRAM.fullmatch(stored or "")
    if scram:
        made = scram_verifier(password, base64.b64decode(scram[2]), int(scram[1]))
        return hmac.compare_digest(made, stored)
    made = "md5" + hashlib.md5((password + role).encode("utf-8")).hexdigest()  # noqa: S324 - PostgreSQL's own format
    return hmac.compare_digest(made, stored or "")


def inspect(role, database):
    """The script for psql that tells everything about a role; see :func:`seen`."""
    return """SELECT json_build_object(
  'version', current_setting('server_version_num')::int,
  'standby', pg_is_in_recovery(),
  'connect', (SELECT has_database_privilege(r.oid, d.oid, 'CONNECT') FROM pg_roles r, pg_database d
              WHERE r.rolname = {role} AND d.datname = {database}),
  'role', (SELECT row_to_json(r) FROM (SELECT rolcanlogin, {attributes} FROM pg_roles WHERE rolname = {role}) r),
  'member_of', (SELECT coalesce(json_agg(g.rolname ORDER BY g.rolname), '[]') FROM pg_auth_members m
                JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = {role}),
  'owns', (SELECT coalesce(json_agg(json_build_array(kind, place, many) ORDER BY kind, place), '[]') FROM
           (SELECT d.classid::regclass::text AS kind, coalesce(o.datname, b.datname) AS place, count(*) AS many
            FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
            LEFT JOIN pg_database b ON b.oid = d.dbid
            LEFT JOIN pg_database o ON o.oid = d.objid AND d.classid = 'pg_database'::regclass
            WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o' AND r.rolname = {role}
            GROUP BY 1, 2) found));
SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS readable \\gset
\\if :readable
SELECT json_build_object('stored', (SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = {role}));
\\endif
""".format(role=literal(role), database=literal(database), attributes=", ".join(ATTRIBUTES))


def seen(output):
    """What :func:`inspect` printed, as one dict; ``stored`` is missing where it may not be read."""
    found = {}
    # A long JSON value stays on one line.
    for line in output.splitlines():
        if line.startswith("{"):
            found.update(json.loads(line))
    return found


def excess(state):
    """What a role has beyond the right to look: a list of words, empty for a role that is not there."""
    attributes = [word for name, word in ATTRIBUTES.items() if (state["role"] or {}).get(name)]
    groups = ["membership in " + name for name in state["member_of"] if name not in HARMLESS]
    return attributes + groups + [_owned(*found) for found in state.get("owns") or ()]


def _owned(kind, database, many):
    """What a role owns, in words.

    :param kind: the catalog that has it.
    :param database: where it is, or the database itself; None for what belongs to none.
    """
    if kind == "pg_database":
        return "the ownership of the database {0}".format(database)
    name = _OWNED.get(kind, kind)
    where = " in the database {0}".format(database) if database else ""
    return "the ownership of {0} {1}{2}".format(many, name + "s" * (many > 1), where)


def statements(role, database, state, new_password):
    """What has to be said to the server so that the role is as it has to be.

    :param state: result of :func:`seen`.
    :param new_password: password to set, or None to leave it.
    :returns: list of pairs: a statement, and the same as it may be shown.
    """
    name, result = identifier(role), []
    known = state["role"]
    password = ("", "")
    if new_password is not None:
        password = (" PASSWORD {0}".format(literal(scram_verifier(new_password))), " PASSWORD '********'")
    if known is None:
        result.append(tuple("CREATE ROLE {0} LOGIN{1};".format(name, part) for part in password))
    elif not known["rolcanlogin"] or password[0]:
        login = "" if known["rolcanlogin"] else " LOGIN"
        result.append(tuple("ALTER ROLE {0}{1}{2};".format(name, login, part) for part in password))
    if "pg_monitor" not in state["member_of"]:
        result.append(("GRANT pg_monitor TO {0};".format(name),) * 2)
    # A role that is yet to be made may connect where everybody may; the next look tells, after it was made.
    if known is not None and state["connect"] is False:
        result.append((grant_connect(role, database),) * 2)
    return result


def undo(role, database, state):
    """What has to be said so that a role is again what it was.

    :param state: result of :func:`seen`, from before it was changed.
    """
    name = identifier(role)
    revoke = grant_connect(role, database).replace("GRANT", "REVOKE").replace(" TO ", " FROM ")
    if state["role"] is None:
        return [
            "DO $vigil$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = {0}) THEN {1} DROP ROLE {2}; END IF; END $vigil$;".format(
                literal(role), revoke, name
            )
        ]
    result = []
    if "stored" in state:
        stored = "NULL" if state["stored"] is None else literal(state["stored"])
        result.append("ALTER ROLE {0} PASSWORD {1};".format(name, stored))
    if not state["role"]["rolcanlogin"]:
        result.append("ALTER ROLE {0} NOLOGIN;".format(name))
    if "pg_monitor" not in state["member_of"]:
        result.append("REVOKE pg_monitor FROM {0};".format(name))
    if state["connect"] is False:
        result.append(revoke)
    return result


def journal(config_dir):
    """Where it is written down how a role goes back, while a service is switched that logs in as it."""
    return posixpath.join(config_dir, ".vigil", "database.json")


def grant_connect(role, database):
    """The statement that lets a role into a database."""
    return "GRANT CONNECT ON DATABASE {0} TO {1};".format(identifier(database), identifier(role))


def is_unreachable(output):
    """Whether psql's words say that there is no server to talk to, rather than one that refuses."""
    return bool(_UNREACHABLE.search(output)) and not re.search(r"(?i)authentication failed|does not exist", output)


def password_file(password):
    """The content of a libpq password file that has one password for everything."""
    return "*:*:*:*:{0}\n".format(password.replace("\\", "\\\\").replace(":", "\\:"))
