# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one collection that this one depends on, and only for containers."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail


def must_be_there(loaders, module):
    """Stop where community.docker is not installed.

    :param loaders: the loaders of an action plugin.
    :param module: the module of it that is needed.
    """
    if not loaders.module_loader.find_plugin("community.docker." + module):
        raise AnsibleActionFail(
            "the collection community.docker, which makes the containers, is not installed on the controller:"
            " ansible-galaxy collection install community.docker"
        )
