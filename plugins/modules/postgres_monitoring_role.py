#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_monitoring_role
short_description: Have a role in PostgreSQL that may look at everything and change nothing
description:
  - This role can log in to this database, with this password, and is a member of C(pg_monitor) and of nothing else.
  - It talks through the C(psql) of the host, so that no library of Python is needed there. Passwords reach it in files
    that only root reads, and the server as the hash which it stores, so that its log never has them.
  - A role of this name that may do more is not touched but refused.
  - A server that cannot be reached is a warning and no failure, because the exporter can be deployed all the same; it
    is the proof that then says it.
version_added: 0.2.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: full
    description: Looks, and tells what would be changed.
  diff_mode:
    support: full
    description: Shows the statements, without passwords.
  idempotent:
    support: full
    description: Passwords are compared with the hash that the server stores, or by logging in where it may not be read.
options:
  name:
    description: Name of the role.
    type: str
    required: true
  state:
    description: Whether the role has to be there, or to be gone.
    type: str
    choices: [present, absent]
    default: present
  password:
    description: Password of the role. Without one, what it has is left alone; peer authentication needs none.
    type: str
  database:
    description: Database that it has to be able to connect to, and through which everything is said.
    type: str
    required: true
  host:
    description: Host of the server, or the directory of its socket. Empty for the default socket.
    type: str
    default: ""
  port:
    description: Port of the server.
    type: str
    default: "5432"
  sslmode:
    description: Value of libpq's C(sslmode). Empty for its default.
    type: str
    default: ""
  admin_user:
    description:
      - Role that may make roles. Without it, the module becomes O(admin_system_user) and uses the server's socket.
    type: str
    default: ""
  admin_password:
    description: Password of O(admin_user).
    type: str
  admin_system_user:
    description: System user that the server knows as an administrator by peer authentication.
    type: str
    default: postgres
  secrets:
    description: Further values that must not appear in any output.
    type: list
    elements: str
seealso:
  - module: vigil.monitoring.daemon
"""

EXAMPLES = r"""
- name: Let postgres_exporter look at the database of the shop
  vigil.monitoring.postgres_monitoring_role:
    name: postgres-exp
    database: shop
"""

RETURN = r"""
reachable:
  description: Whether the server answered.
  returned: always
  type: bool
statements:
  description: What was said to the server, without passwords.
  returned: always
  type: list
  elements: str
  sample: ['CREATE ROLE "postgres-exp" LOGIN;', 'GRANT pg_monitor TO "postgres-exp";']
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile

from ansible_collections.vigil.monitoring.plugins.module_utils import _postgres
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module

PROGRAM = "psql"
SECONDS = 60
LOCAL_HOSTS = ("", "localhost", "127.0.0.1", "::1")


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
                "there is no psql on this host; install the client of PostgreSQL (Debian: postgresql-client), or make"
                " the role by hand and set postgres_exporter_manage_role: false"
            )
        self.account = None
        if not parameters["admin_user"]:
            try:
                self.account = pwd.getpwnam(parameters["admin_system_user"])
            except KeyError:
                raise NotThere(
                    "there is no system user {0} on this host; give postgres_exporter_admin_username, or the user that"
                    " runs PostgreSQL as postgres_exporter_admin_system_user".format(parameters["admin_system_user"])
                ) from None

    def environment(self, user):
        """The environment of psql: where to connect, no habits of anybody's, and a search path that nobody can plant."""
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
                raise Unreachable("psql did not end within {0} s".format(SECONDS)) from None
        if done.returncode:
            words = " ".join(done.stderr.decode("utf-8", "replace").split())
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
    """Why the role cannot be had: a sentence, or None."""
    if state["version"] < _postgres.OLDEST:
        return (
            "PostgreSQL before 10 has no pg_monitor; make a role by hand and set postgres_exporter_manage_role: false"
        )
    more = _postgres.excess(state)
    if more:
        return (
            "the role {0} is there and has more than pg_monitor: {1}; name another one for monitoring, take that away"
            " from it, or set postgres_exporter_manage_role: false".format(name, ", ".join(more))
        )
    return None


def have(module, server):
    """Make the role what it has to be; returns the statements as they may be shown."""
    name, database, password = (module.params[key] for key in ("name", "database", "password"))
    said = []
    # Twice: what a new role may do is known after it was made.
    for dummy in range(2):
        state = _postgres.seen(server.say(_postgres.look(name, database)))
        wrong = problem(name, state)
        if wrong:
            module.fail_json(msg=wrong, reachable=True, statements=said)
        new_password = None
        if password:
            if state["role"] is None:
                known = False
            elif "stored" in state:
                known = _postgres.is_password(password, state["stored"], name)
            else:
                known = server.accepts(name, password)
            new_password = None if known else password
        wanted = _postgres.statements(name, database, state, new_password)
        if wanted and state["standby"]:
            module.fail_json(
                msg="the role {0} has to be changed, and this server is a standby: run the role on the primary"
                " first".format(name),
                reachable=True,
                statements=said,
            )
        if wanted and not module.check_mode:
            server.say("\n".join(statement for statement, dummy in wanted))
        said += [shown for dummy, shown in wanted]
        if not wanted or state["role"] is not None or module.check_mode:
            break
    return said


def drop(module, server):
    """Take the role away; returns the statements."""
    name, database = module.params["name"], module.params["database"]
    state = _postgres.seen(server.say(_postgres.look(name, database)))
    if state["role"] is None:
        return []
    wanted = [
        _postgres.grant_connect(name, database).replace("GRANT", "REVOKE").replace(" TO ", " FROM "),
        "DROP ROLE {0};".format(_postgres.identifier(name)),
    ]
    if not module.check_mode:
        server.say("\n".join(wanted))
    return wanted


def main():
    """Entry point."""
    module = Module(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "password": {"type": "str", "no_log": True},
            "database": {"type": "str", "required": True},
            "host": {"type": "str", "default": ""},
            "port": {"type": "str", "default": "5432"},
            "sslmode": {"type": "str", "default": ""},
            "admin_user": {"type": "str", "default": ""},
            "admin_password": {"type": "str", "no_log": True},
            "admin_system_user": {"type": "str", "default": "postgres"},
            "secrets": {"type": "list", "elements": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    work = have if module.params["state"] == "present" else drop
    try:
        said = work(module, Server(module.params))
    except NotThere as error:
        if not module.check_mode:
            module.fail_json(msg=str(error), reachable=False, statements=[])
        module.warn("{0}; what would be changed cannot be told".format(error))
        module.exit_json(changed=True, reachable=False, statements=[])
    except Unreachable as error:
        module.warn("the database cannot be reached, so the role {0} was not looked at: {1}".format(
            module.params["name"], error))  # fmt: skip
        module.exit_json(changed=False, reachable=False, statements=[])
    except Refused as error:
        module.fail_json(
            msg="PostgreSQL does not let {0} look after the role {1}: {2}".format(
                module.params["admin_user"] or "the system user " + module.params["admin_system_user"],
                module.params["name"],
                error,
            ),
            reachable=True,
            statements=[],
        )
    result = {"changed": bool(said), "reachable": True, "statements": said}
    if module._diff:
        header = "role {0} of PostgreSQL".format(module.params["name"])
        after = "".join(statement + "\n" for statement in said)
        result["diff"] = {"before_header": header, "after_header": header, "before": "", "after": after}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
