# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data that a version had before another one changed it irreversibly: copies of files, and a dump of a server's database.

They are in ``<config_dir>/.vigil/data-VERSION``, which only root can enter, until the next version is verified with copies of its own.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._database import write_dump
from ansible_collections.vigil.monitoring.plugins.module_utils._host import ensure_directory
from ansible_collections.vigil.monitoring.plugins.module_utils._version import version_key

PREFIX = "data-"
DUMP = "database.sql"
# Of what is not complete.
SCRATCH = ".new"
UNKNOWN = "unknown"


class Copies(NamedTuple):
    """What a version had.

    :ivar version: of the service.
    :ivar directory: where it is.
    :ivar names: of the files in it.
    """

    version: str
    directory: str
    names: tuple


def directory_of(state, version):
    """Where the data of a version goes; what a service says about its version is no path.

    :param state: a :class:`_host.State`.
    :param version: text, or None where it is not known.
    """
    return os.path.join(state.directory, PREFIX + (re.sub(r"[^0-9A-Za-z.+~-]", "_", version or "") or UNKNOWN))


def keep(state, version, paths):
    """Copy files while nothing writes to them.

    :param paths: those that are not there are left out.
    :returns: the directory with the copies, or None where there was nothing to copy.
    """
    there = [path for path in paths if _nofollow.inspect(path)]
    if not there:
        return None
    directory = directory_of(state, version)
    ensure_directory(directory, mode=0o700)
    for path in there:
        target = os.path.join(directory, os.path.basename(path))
        _nofollow.unlink(target + SCRATCH)
        _nofollow.copy(path, target + SCRATCH)
        _nofollow.move(target + SCRATCH, target)
    return directory


def dump(state, version, argv, environment):
    """Dump a database by the server's own tool.

    :param environment: of the command, with the password.
    :returns: path of the dump.
    :raises HostError: when it failed; an earlier dump is left as it was.
    """
    directory = directory_of(state, version)
    ensure_directory(directory, mode=0o700)
    path = os.path.join(directory, DUMP)
    write_dump(argv, environment, path)
    return path


def copies(state):
    """The copies that there are, those of the newest version first.

    :returns: list of :class:`Copies`.
    """
    if not _nofollow.inspect(state.directory):
        return []
    with _nofollow.directory(state.directory) as found:
        found.must_be_roots()
        directories = [name for name in found.names() if name.startswith(PREFIX)]
    result = []
    for name in directories:
        path = os.path.join(state.directory, name)
        with _nofollow.directory(path) as found:
            names = tuple(sorted(one for one in found.names() if not one.endswith(SCRATCH)))
        if names:
            result.append(Copies(name[len(PREFIX) :], path, names))
    return sorted(result, key=lambda one: version_key(one.version), reverse=True)


def retire(state, version):
    """Remove the copies of all versions but one."""
    spared = directory_of(state, version)
    for one in copies(state):
        if one.directory != spared:
            _nofollow.remove(one.directory)


def way_back(state, wanted):
    """How the data of a version goes back that is as old as the wanted one, or older: a clause, or an empty text.

    :param wanted: version that is to open it.
    """
    for one in copies(state):
        if one.version != UNKNOWN and version_key(one.version) <= version_key(wanted):
            return "the data that {0} had, before a newer version changed it, is in {1} ({2})".format(
                one.version, one.directory, ", ".join(one.names)
            )
    return ""
