# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A large file of the controller for one task on the host."""

from __future__ import annotations

import os

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize


class CannotCopy(Exception):
    """The file did not get there; the message says why."""


def directory_command(action):
    """What makes the temporary directory of a task, for another command of it to run along; see :func:`adopt_directory`.

    None where that command is run by another user than the one who copies files.
    """
    shell = action._connection._shell
    if action._connection.become or shell.tmpdir is not None or action._connection.transport == "local":
        return None
    name = shell._generate_temp_dir_name()
    return shell.mkdtemp(name, tmpdir=action.get_shell_option("remote_tmp", default="~/.ansible/tmp"))


def adopt_directory(action, output):
    """Have the directory that such a command printed go with the task, as one that Ansible made."""
    path = output.strip().partition("=")[2]
    if "/ansible-tmp-" in path:
        action._connection._shell.tmpdir = path + "/"
        action._cleanup_remote_tmp = True


def temporary_directory(action):
    """The directory on the host that goes with the task of an action plugin."""
    shell = action._connection._shell
    if shell.tmpdir is None:
        # Ansible asks for the home in a round trip of its own; the command that makes the directory finds it as well.
        action._remote_expand_user = lambda path, **dummy: path
        try:
            action._make_tmp_path()
        finally:
            del action._remote_expand_user
    return shell.tmpdir


def copy(action, path, name):
    """Path by which the host reads a file of the controller. A copy goes with the task's temporary directory.

    :param name: name of the copy.
    :raises CannotCopy: when it cannot be made.
    """
    if action._connection.transport == "local":
        return path
    folder = temporary_directory(action)
    target = action._connection._shell.join_path(folder, name)
    try:
        action._transfer_file(path, target)
    except AnsibleConnectionFailure:
        raise
    except AnsibleError as error:
        size, words = os.path.getsize(path) >> 20, sanitize(error)
        raise CannotCopy(
            "cannot copy {0} ({1} MiB) to the host; is there enough free space? {2}".format(path, size, words)
        ) from error
    # Nothing that is copied is to be executed.
    action._fixup_perms2((folder, target), execute=False)
    return target
