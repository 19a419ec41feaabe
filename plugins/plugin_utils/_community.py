# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one collection that this one depends on, and only for containers."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import DEFAULT_HOST
from ansible_collections.vigil.monitoring.plugins.plugin_utils._other_action import reason_of


def must_be_there(loaders, module):
    """Stop where community.docker is not installed.

    :param loaders: the loaders of an action plugin.
    :param module: the module of it that is needed.
    :raises AnsibleActionFail: saying how it is installed.
    """
    if not loaders.module_loader.find_plugin("community.docker." + module):
        raise AnsibleActionFail(
            "the collection community.docker, which makes the containers, is not installed on the controller:"
            " ansible-galaxy collection install community.docker"
        )


def run_module(action, module, options, arguments, task_vars, failure):
    """The answer of a module of community.docker, which has to succeed.

    :param action: the action plugin on whose behalf it runs.
    :param options: what the action plugin was given; ``docker_host`` says where the engine is.
    :param arguments: the module's own.
    :param failure: what the message of a failure begins with, before the module's reason.
    :returns: dict.
    :raises AnsibleActionFail: when it has not.
    """
    engine = {"docker_host": options.get("docker_host") or DEFAULT_HOST}
    result = action._execute_module(
        module_name="community.docker." + module, module_args={**engine, **arguments}, task_vars=task_vars
    )
    if result.get("failed"):
        raise AnsibleActionFail("{0}: {1}".format(failure, reason_of(result)))
    return result
