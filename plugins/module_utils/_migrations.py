# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a database has changes of its schema that a program does not know, so that a newer version has written it.

A program that migrates its database writes down each change by a name, and has these names in its text. What it only finds there it
passes over without a word.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import signal
import subprocess
from urllib.parse import quote

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._backup_program import client_options
from ansible_collections.vigil.monitoring.plugins.module_utils._data_directory import as_account
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError

# A database may hold whatever its service has put there.
MOST, SECONDS = 20000, 60
NAMED = 3
# A single one may have been taken out of a newer program again.
FEWEST = 2


def unknown_to(program, names, derived):
    """The names that stand nowhere in a program.

    :param program: its bytes, or a mapping of them.
    :param derived: regular expression of names that a program puts together when it runs.
    """
    pattern = re.compile(derived)
    return [name for name in names if not pattern.match(name) and program.find(name.encode("utf-8")) < 0]


def of_server(argv, environment, derived, program):
    """The changes of a database on a server that a program does not know.

    :param argv: command that prints the names, one a line; ``environment`` of it.
    :param program: path.
    :returns: their number and some of them; None where that cannot be told.
    """
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
            **client_options(environment),
        )
        if done.returncode or not os.path.isfile(program):
            return None
        return _counted(done.stdout.decode("utf-8", "replace").splitlines()[:MOST], derived, program)
    except (OSError, ValueError, subprocess.SubprocessError):
        # Without its client, or before it is there: the service itself says what is wrong.
        return None


def of_sqlite(database, query, derived, program):
    """The changes of a SQLite database that a program does not know.

    :param database: path; it is read with the rights of its owner.
    :param query: SQL whose first column is a name.
    :param program: path.
    :returns: their number and some of them; None where that cannot be told.
    """
    status = _nofollow.inspect(database)
    if status is None or not os.path.isfile(program):
        return None
    reader, writer = os.pipe()

    def work():
        # In the child: a database that keeps it busy ends it.
        signal.alarm(SECONDS)
        found = json.dumps(_read(database, query, derived, program))
        os.write(writer, found.encode("utf-8")[:4000])

    try:
        as_account(status.st_uid, status.st_gid, work)
        os.close(writer)
        writer = None
        with os.fdopen(reader, "rb") as stream:
            reader = None
            number, names = json.loads(stream.read())
            return number, names
    except (HostError, ValueError, OSError):
        return None
    finally:
        for descriptor in (reader, writer):
            if descriptor is not None:
                os.close(descriptor)


def _read(database, query, derived, program):
    # Not every host has this part of the standard library.
    import sqlite3  # noqa: PLC0415

    connection = sqlite3.connect("file:{0}?mode=ro&immutable=1".format(quote(database)), uri=True)
    try:
        names = [str(row[0])[:500] for row in connection.execute(query).fetchmany(MOST)]
    finally:
        connection.close()
    return _counted(names, derived, program)


def _counted(names, derived, program):
    """How many of the names a program does not know, and some of them."""
    with open(program, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as text:
        found = unknown_to(text, names, derived)
    return len(found), [name[:100] for name in found[:NAMED]]


def migration_problem(name, version, given, program):
    """That a database was written by a newer version, as far as its changes tell: a sentence, or None.

    :param name: of the service.
    :param version: that is to open it.
    :param given: dict with ``database`` or ``argv`` and ``environment``, ``query`` and ``derived``.
    :param program: path of the program of this version.
    """
    if given["database"]:
        found = of_sqlite(given["database"], given["query"], given["derived"], program)
    else:
        found = of_server(given["argv"], given["environment"] or {}, given["derived"], program)
    if not found or found[0] < FEWEST:
        return None
    return "{0} has {1} changes of its schema that {2} {3} does not know, such as {4}: a newer version has written it".format(
        given["database"] or "its database", found[0], name, version, ", ".join(repr(one) for one in found[1])
    )
