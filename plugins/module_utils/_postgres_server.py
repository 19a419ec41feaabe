# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A PostgreSQL server as its administrator speaks to it, and the monitoring role there: looked at, changed, put back."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile

from ansible_collections.vigil.monitoring.plugins.module_utils import _postgres
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError, read_text
from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize

PROGRAM = "psql"
SECONDS = 60
LOCAL_HOSTS = ("", "localhost", "127.0.0.1", "::1")

# What the modules are told about the server and the role.
OPTIONS = {
    "name": {"type": "str", "required": True},
    "password": {"type": "str", "no_log": True},
    "database": {"type": "str", "required": True},
    "host": {"type": "str", "default": ""},
    "port": {"type": "str", "default": "5432"},
    "sslmode": {"type": "str", "default": ""},
    "admin_user": {"type": "str", "default": ""},
    "admin_password": {"type": "str", "no_log": True},
    "admin_system_user": {"type": "str", "default": "postgres"},
}


class Refused(Exception):
    """psql failed; the message holds its words."""


class Unreachable(Exception):
    """There is no server to talk to; the message holds psql's words."""


class NotThere(Exception):
    """What it takes to talk to the server is not on this host yet."""


class Server:
    """The PostgreSQL server, through psql."""

    def __init__(self, parameters):
        self.parameters = parameters
        self.program = shutil.which(PROGRAM)
        if not self.program:
            raise NotThere(
                "psql is not installed on this host; install the PostgreSQL client (Debian: postgresql-client), or create"
                " the role by hand and set postgres_exporter_manage_role: false"
            )
        self.account = None
        if not parameters["admin_user"]:
            try:
                self.account = pwd.getpwnam(parameters["admin_system_user"])
            except KeyError:
                raise NotThere(
                    "there is no system user {0} on this host; set postgres_exporter_admin_username, or set"
                    " postgres_exporter_admin_system_user to the user that runs PostgreSQL".format(
                        parameters["admin_system_user"]
                    )
                ) from None

    def environment(self, user):
        """The environment of psql: connection settings, no user configuration, and a safe search path."""
        given = self.parameters
        host = given["host"]
        if self.account and host in LOCAL_HOSTS:
            host = ""
        wanted = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LC_ALL": "C",
            "PGHOST": host,
            "PGPORT": given["port"],
            "PGDATABASE": given["database"],
            "PGUSER": user,
            "PGSSLMODE": given["sslmode"],
            "PGCONNECT_TIMEOUT": "10",
            "PGAPPNAME": "vigil.monitoring",
            "PGOPTIONS": "-c search_path=pg_catalog -c client_min_messages=warning",
            "PGPASSFILE": "/dev/null",
        }
        return {name: value for name, value in wanted.items() if value}

    def say(self, script, user=None, password=None):
        """Run a script, all of it or nothing.

        :param user: role to log in as; the administrator when it is None.
        :returns: what psql printed.
        :raises Refused: when psql failed.
        :raises Unreachable: when no server answered.
        """
        account = self.account if user is None else None
        if user is None:
            user = self.account.pw_name if self.account else self.parameters["admin_user"]
            password = None if self.account else self.parameters["admin_password"]
        environment = self.environment(user)
        become = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
        with contextlib.ExitStack() as stack:
            if password:
                passwords = stack.enter_context(tempfile.NamedTemporaryFile("w", prefix="vigil-", encoding="utf-8"))
                passwords.write(_postgres.password_file(password))
                passwords.flush()
                environment["PGPASSFILE"] = passwords.name
            try:
                done = subprocess.run(
                    [self.program, "-X", "-w", "-q", "-At", "-1", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=terse"]
                    + ["-f", "-"],
                    input=script.encode("utf-8"),
                    capture_output=True,
                    env=environment,
                    cwd="/",
                    timeout=SECONDS,
                    check=False,
                    **become,
                )
            except subprocess.TimeoutExpired:
                raise Unreachable("psql did not finish within {0} s".format(SECONDS)) from None
        if done.returncode:
            words = sanitize(done.stderr)
            # 2: the connection went bad; see "Exit Status" in psql(1).
            raise (Unreachable if done.returncode == 2 and _postgres.is_unreachable(words) else Refused)(words)
        return done.stdout.decode("utf-8", "replace")

    def accepts(self, user, password):
        """Whether a role can log in with a password."""
        try:
            self.say("SELECT 1;", user, password)
        except Refused:
            return False
        return True


def problem(name, state):
    """Why the role cannot be managed: a sentence, or None."""
    if state["version"] < _postgres.OLDEST:
        return (
            "PostgreSQL before 10 has no pg_monitor; create a role by hand and set postgres_exporter_manage_role: false"
        )
    more = _postgres.excess(state)
    if more:
        return (
            "the role {0} exists and has more privileges than pg_monitor: {1}; use another role for monitoring, revoke them,"
            " or set postgres_exporter_manage_role: false".format(name, ", ".join(more))
        )
    return None


class Role:
    """The role that a service logs in as.

    :param given: the values of :data:`OPTIONS`.
    :param server: a :class:`Server`.
    """

    def __init__(self, given, server):
        self.server = server
        self.name, self.database, self.password = (given[key] for key in ("name", "database", "password"))

    def inspect(self):
        """What the server says about it."""
        return _postgres.seen(self.server.say(_postgres.inspect(self.name, self.database)))

    def missing(self, state):
        """The statements that make it what it has to be, each with how it may be shown.

        :param state: what :meth:`inspect` returned.
        :raises HostError: when it cannot be had on this server.
        """
        wrong = problem(self.name, state)
        if wrong:
            raise HostError(wrong)
        new_password = None
        if self.password:
            if state["role"] is None:
                known = False
            elif "stored" in state:
                known = _postgres.is_password(self.password, state["stored"], self.name)
            else:
                known = self.server.accepts(self.name, self.password)
            new_password = None if known else self.password
        wanted = _postgres.statements(self.name, self.database, state, new_password)
        if wanted and state["standby"]:
            raise HostError(
                "the role {0} must be changed, but this server is a standby: run the play on the primary first".format(
                    self.name
                )
            )
        return wanted

    def make(self):
        """Run the missing statements; returns them without secrets."""
        said = []
        # Twice: the privileges of a new role are known only after it was created.
        for dummy in range(2):
            state = self.inspect()
            wanted = self.missing(state)
            if wanted:
                self.server.say("\n".join(statement for statement, dummy in wanted))
            said += [shown for dummy, shown in wanted]
            if not wanted or state["role"] is not None:
                break
        return said

    def way_back(self, password_file):
        """The statements that restore its current state.

        :param password_file: file that may hold its password, for an administrator who may not read what is stored.
        :returns: the statements, and why its password cannot be restored: a sentence, or None.
        """
        state = self.inspect()
        reason = None
        if self.password and state["role"] is not None and "stored" not in state:
            password = read_text(password_file).rstrip("\n") if password_file else ""
            if password and self.server.accepts(self.name, password):
                state["stored"] = _postgres.scram_verifier(password)
            else:
                reason = (
                    "its password is the new one: the administrator may not read the stored password, and the previous one is"
                    " not known"
                )
        return _postgres.undo(self.name, self.database, state), reason
