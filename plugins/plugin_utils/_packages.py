# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of the host's distribution, installed by Ansible's own modules on behalf of an action plugin."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._other_action import run_task

DO_NOT_START = 101  # what Debian's policy-rc.d says to keep a package from starting its services


def install(action, packages, with_apt, task_vars, alone):
    """Install packages.

    :param with_apt: whether the host has apt; else Ansible finds out what it has.
    :param alone: whether nothing of them may start, and nothing that they recommend comes along.
    :returns: the module's answer.
    """
    if not with_apt:
        return _with_package(action, packages, task_vars)
    options = {
        "name": packages,
        "state": "present",
        # Debian's Prometheus recommends a node_exporter that nobody asked for here.
        "install_recommends": not alone,
        **({"policy_rc_d": DO_NOT_START} if alone else {}),
    }
    for refresh in ({}, {"update_cache": True}):
        # The host's lists of packages may be missing or out of date.
        done = action._execute_module(
            module_name="ansible.builtin.apt", module_args={**options, **refresh}, task_vars=task_vars
        )
        if not done.get("failed"):
            break
    return done


def _with_package(action, packages, task_vars):
    """``ansible.builtin.package`` is an action of its own: it finds out which module manages packages there."""
    task = action._task.copy()
    task.args = {"name": packages, "state": "present"}
    return run_task(action, "ansible.builtin.package", task, task_vars)
