# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another action plugin, in the place of the one that a task names, and why one has no result."""

from __future__ import annotations


def other_action(action, name, task):
    """An action plugin that works on the host, and with the connection, of another one.

    :param action: the one that the task of the playbook named.
    :param name: full name of the one that is wanted.
    :param task: what it is to do, a copy of the task of ``action`` with arguments of its own.
    """
    loader = action._shared_loader_obj.action_loader
    return loader.get(
        # A module without an action plugin of its own has the one that only runs modules.
        name if loader.has_plugin(name) else "ansible.legacy.normal",
        task=task,
        connection=action._connection,
        play_context=action._play_context,
        loader=action._loader,
        templar=action._templar,
        shared_loader_obj=action._shared_loader_obj,
    )


def run_task(action, name, task, task_vars):
    """The result of another action plugin for a task, after which it has cleaned up.

    :param task: as for :func:`other_action`.
    """
    other = other_action(action, name, task)
    try:
        return other.run(task_vars=task_vars)
    finally:
        # Ansible cleans up after the plugin of the task alone.
        other.cleanup()


def run_other(action, name, arguments, task_vars, check=None):
    """The result of another action plugin.

    :param arguments: its options.
    :param check: whether it runs in check mode; None for as the task does.
    """
    task = action._task.copy()
    task.action, task.args = name, arguments
    if check is not None:
        task.check_mode, task.diff = check, False
    return run_task(action, name, task, task_vars)


def reason_of(result, otherwise="no reason given"):
    """Why a module has failed, or has no result.

    :param result: what Ansible returns of it.
    :param otherwise: where it says nothing.
    """
    return str(result.get("msg") or result.get("module_stderr") or otherwise)
