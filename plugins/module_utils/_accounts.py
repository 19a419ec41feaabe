# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account of a service on the host."""

from __future__ import annotations

import grp
import pwd
import shutil

from ansible_collections.vigil.monitoring.plugins.module_utils._account_access import find_account, is_known
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError, run

# What a service's account is not for.
NO_LOGIN = ("--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")


def make_account(user, group):
    """Make what is missing of a system group and user; whether that could be done here.

    :raises HostError: when it failed.
    """
    if not (shutil.which("groupadd") and shutil.which("useradd")):
        return False
    for find, name, argv in (
        (grp.getgrnam, group, ["groupadd", "--system", group]),
        (pwd.getpwnam, user, ["useradd", "--system", "--gid", group, *NO_LOGIN, user]),
    ):
        if is_known(find, name):
            continue
        status, output = run(argv)
        # Another role's run may have been quicker with an account that both use.
        if status and not is_known(find, name):
            raise HostError("{0} could not create {1}: {2}".format(argv[0], name, output.strip()))
    return find_account(user, group) is not None
