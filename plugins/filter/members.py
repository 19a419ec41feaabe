# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of a playbook that is for one service."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._late import imported


def members(groups, service, limit=None):
    """The pattern of a play that is for the hosts of one service, and in words why there are none.

    :param groups: the magic variable of this name.
    :param service: the service, which is the name of its group.
    :param limit: what ``--limit`` says, if anything.
    """
    return imported("_scope", "members")(groups, service, limit)


class FilterModule:
    """The hosts of a playbook that is for one service."""

    def filters(self):
        """The filters by name."""
        return {"members": members}
