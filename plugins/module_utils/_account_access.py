# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the account of a service can read. Needs only the standard library: the comparison runs it on the host as well."""

from __future__ import annotations

import grp
import os
import pwd
import stat

# Stands for an account that is yet to be made: it can read what everybody can.
NOBODY = 65534


def find_account(user, group):
    """The numbers of a user and a group; None where the host lacks one of them."""
    uid, gid = id_of(pwd.getpwnam, user), id_of(grp.getgrnam, group)
    return None if uid is None or gid is None else (uid, gid)


def is_known(find, name):
    """Whether the host has an account of this name.

    :param find: ``grp.getgrnam`` or ``pwd.getpwnam``.
    """
    try:
        return bool(find(name))
    except KeyError:
        return False


def id_of(find, name):
    """The number of an account; None where the host does not have it, as in the check of a host that is yet to get it.

    :param find: ``grp.getgrnam`` or ``pwd.getpwnam``.
    """
    return find(name)[2] if is_known(find, name) else None


def readability(path, user, account, passed=()):
    """``missing``, ``empty``, ``unreadable`` or None, as the service's user finds a file: root itself does not open it.

    :param user: name of the account.
    :param account: its numbers, see :func:`find_account`; None where it is yet to be made.
    :param passed: groups of directories that will belong to the account.
    """
    uid, gid = account or (NOBODY, NOBODY)
    child = os.fork()
    if child == 0:
        code = 3
        try:
            groups = os.getgrouplist(user, gid) if account else [gid]
            # The way there is open with the switch; the file itself has to be readable without.
            passed = set(passed) - set(groups)
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
