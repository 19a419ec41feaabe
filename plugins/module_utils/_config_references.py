# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a configuration names: whether the service's account can read them."""

from __future__ import annotations

import os
import stat

from ansible_collections.vigil.monitoring.plugins.module_utils._switch import Owners
from ansible_collections.vigil.monitoring.plugins.module_utils._tree import reference_problem

# Stands for an account that is yet to be made: it can read what everybody can.
NOBODY = 65534


def reference_problems(tree):
    """The files that the configuration names and the service could not use, one sentence each.

    :param tree: :class:`_config_files.Tree`.
    """
    problems = []
    for path in tree.module.params["readable"]:
        if os.path.relpath(path, tree.path) in tree.files:
            continue
        problem = readability(tree, path)
        if problem:
            problems.append(reference_problem(path, problem, tree.module.params["user"]))
    return problems


def readability(tree, path):
    """``missing``, ``empty``, ``unreadable`` or None, as the service's user finds it: root itself does not look."""
    known = tree.uid is not None
    uid, gid = (tree.uid, tree.gid) if known else (NOBODY, NOBODY)
    child = os.fork()
    if child == 0:
        code = 3
        try:
            groups = os.getgrouplist(tree.module.params["user"], gid) if known else [gid]
            # The way there is open with the switch; the file itself has to be readable without.
            passed = {Owners.of(text).before[1] for text in tree.directories.later.values()} - set(groups)
            status = os.stat(path)
            if status.st_gid in passed and status.st_uid != uid and not status.st_mode & 0o004:
                os._exit(3)
            os.setgroups([*groups, *passed])
            os.setgid(gid)
            os.setuid(uid)
            # What only looks like a file, such as a FIFO, must not hold us up.
            status = os.stat(path)
            code = 0 if status.st_size else 2
            if not stat.S_ISREG(status.st_mode):
                code = 1
            else:
                os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
        except (FileNotFoundError, NotADirectoryError):
            code = 1
        except OSError:
            code = 3
        finally:
            os._exit(code)
    return (None, "missing", "empty", "unreadable")[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 3]
