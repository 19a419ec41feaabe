# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database of a service on a server, by the server's own clients: what it holds, a dump of it, and a dump that takes its place."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from typing import NamedTuple, Optional

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._backup_program import PATH, client_options
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError

# A server that is asked what it holds answers within so many seconds.
SECONDS = 60
# So long the session of a service that was stopped may still be listed.
LINGERS = 10
BLOCK = 1 << 20
# Of a dump that is not complete.
SCRATCH = ".new"


class Kind(NamedTuple):
    """What is particular to a kind of server.

    :ivar drops: query that prints a statement for each table, view and sequence that drops it.
    :ivar sessions: query for the number of other sessions of the same account.
    :ivar begin: what a script begins with, and ``end`` what it ends with.
    :ivar head: pattern of the beginning of a dump, and ``tail`` of its end.
    :ivar refused: the exit status of a client whose script the server has refused, and then has taken back as a whole; or None.
    """

    drops: str
    sessions: str
    begin: str
    end: str
    head: re.Pattern
    tail: re.Pattern
    refused: Optional[int]


class Unchanged(HostError):
    """Why a dump was not loaded, where the database is as it was."""


KINDS = {
    # Tables first: what belongs to a column goes with it. What an extension has made stays, and is in no dump.
    "postgresql": Kind(
        "SELECT format('DROP %s IF EXISTS %I.%I CASCADE;', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'"
        " WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, n.nspname, c.relname)"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
        " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"
        " ORDER BY c.relkind = 'S', c.oid;",
        "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = current_database() AND usename = current_user"
        " AND pid <> pg_backend_pid();",
        "SET client_min_messages = warning;\nBEGIN;\n",
        "\nCOMMIT;\n",
        re.compile(rb"^-- PostgreSQL database dump$", re.MULTILINE),
        re.compile(rb"^-- PostgreSQL database dump complete$", re.MULTILINE),
        3,
    ),
    "mysql": Kind(
        "SELECT CONCAT('DROP ', IF(table_type = 'VIEW', 'VIEW', 'TABLE'), ' IF EXISTS `', REPLACE(table_name, '`', '``'), '`;')"
        " FROM information_schema.tables WHERE table_schema = DATABASE();",
        "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        " AND user = SUBSTRING_INDEX(USER(), '@', 1);",
        "SET FOREIGN_KEY_CHECKS = 0;\n",
        "\n",
        re.compile(rb"^-- (MySQL|MariaDB) dump ", re.MULTILINE),
        re.compile(rb"^-- Dump completed", re.MULTILINE),
        None,
    ),
}


def write_dump(argv, environment, path):
    """Dump a database by the server's own tool to a file that only root can read.

    :param environment: of the command, with the password.
    :raises HostError: when it failed; an earlier dump is left as it was.
    """
    scratch = path + SCRATCH
    _nofollow.unlink(scratch)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(scratch, flags, 0o600), "wb") as stream:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.PIPE,
                check=False,
                **client_options(environment),
            )
            os.fsync(stream.fileno())
    except OSError as error:
        _nofollow.unlink(scratch)
        raise HostError("its database could not be dumped with {0}: {1}".format(argv[0], error.strerror)) from error
    if done.returncode:
        _nofollow.unlink(scratch)
        said = done.stderr.decode("utf-8", "replace").strip()[-500:]
        raise HostError("its database could not be dumped with {0}: {1}".format(argv[0], said or "no reason given"))
    _nofollow.move(scratch, path)


class Database:
    """A database on a server.

    :param given: ``kind``, ``title`` for people, the commands ``dump`` and ``client``, and their ``environment``.
    :param account: with whose rights a dump is loaded, as ``(uid, gid)``: a client does more than SQL, if a dump says so.
    """

    def __init__(self, given, account=None):
        self.title, self._given, self._account = given["title"], given, account
        self._kind = KINDS[given["kind"]]

    def missing(self):
        """The programs for it that are not on this host."""
        programs = [self._given[name][0] for name in ("client", "dump")]
        return [program for program in programs if not shutil.which(program, path=PATH)]

    def drops(self):
        """A statement for each table, view and sequence that it holds, which drops it.

        :raises HostError: when the server does not say.
        """
        return self._run([self._kind.drops.encode("utf-8")], SECONDS).splitlines()

    def problem_of(self, path):
        """Why a dump cannot be loaded into it: a sentence, or None."""
        with open(path, "rb") as stream:
            head = stream.read(4096)
            stream.seek(max(0, os.path.getsize(path) - 4096))
            tail = stream.read()
        if not self._kind.head.search(head):
            return "what was backed up is no dump for {0}".format(self.title)
        if not self._kind.tail.search(tail):
            return "the dump for {0} is not complete".format(self.title)
        return None

    def must_be_idle(self):
        """Refuse to change it while its service has it open elsewhere, too.

        :raises HostError: with how many sessions there are.
        """
        deadline = time.monotonic() + LINGERS
        while True:
            others = self._run([self._kind.sessions.encode("utf-8")], SECONDS).strip()
            if others == "0":
                return
            if time.monotonic() > deadline:
                raise HostError(
                    "{0} is in use by {1} other sessions of the same account, such as another Grafana's: stop that first".format(
                        self.title, others
                    )
                )
            time.sleep(0.5)

    def dump(self, path):
        """Dump it to a file of root's."""
        write_dump(self._given["dump"], self._given["environment"], path)

    def load(self, path):
        """Have it hold what a dump says, and nothing else.

        :param path: of the dump; None to have it hold nothing.
        :raises Unchanged: when that fails, and nothing was changed.
        :raises HostError: when that fails otherwise.
        """
        try:
            drops = self.drops()
        except HostError as error:
            raise Unchanged(str(error)) from error
        with contextlib.ExitStack() as stack:
            dump = iter(())
            if path is not None:
                stream = stack.enter_context(open(path, "rb"))
                dump = iter(lambda: stream.read(BLOCK), b"")
            self._run(self._script(drops, dump), None, self._account)

    def _script(self, drops, dump):
        yield self._kind.begin.encode("utf-8")
        yield "\n".join([*drops, ""]).encode("utf-8")
        yield from dump
        # Only now: where this is killed, the client has no more to read, and the server takes back what was begun.
        yield self._kind.end.encode("utf-8")

    def _run(self, script, timeout, account=None):
        """Give a script to the client: its output."""
        rights = {"user": account[0], "group": account[1], "extra_groups": []} if account else {}
        argv = self._given["client"]
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=errors,
                    **client_options(self._given["environment"]),
                    **rights,
                )
            except OSError as error:
                raise HostError("{0} cannot be run: {1}".format(argv[0], error.strerror)) from error
            with process:
                try:
                    # A client that stops at an error reads no further.
                    with contextlib.suppress(BrokenPipeError), process.stdin as stream:
                        for part in script:
                            stream.write(part)
                    process.wait(timeout)
                except subprocess.TimeoutExpired:
                    raise HostError("{0} did not answer within {1} s".format(self.title, timeout)) from None
                finally:
                    if process.poll() is None:
                        process.kill()
            output.seek(0)
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace").strip()
            if process.returncode:
                kind = Unchanged if process.returncode == self._kind.refused else HostError
                raise kind("{0}: {1} failed: {2}".format(self.title, argv[0], said[-500:] or "no reason given"))
            return output.read().decode("utf-8", "replace")
