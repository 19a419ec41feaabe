# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts from which something is removed."""

from __future__ import annotations


def removal_hosts(groups, named=None, limit=None):
    """The pattern of the hosts from which something is removed, and in words why there are none.

    :param groups: the magic variable of this name.
    :param named: names of hosts with commas between them, or a pattern.
    :param limit: what ``--limit`` says, if anything.
    """
    # Imported here: Ansible loads all filters of a collection for any one of them.
    from ansible_collections.vigil.monitoring.plugins.plugin_utils import _removal_scope  # noqa: PLC0415

    return _removal_scope.hosts_of(groups, named, limit)


class FilterModule:
    """The hosts from which something is removed."""

    def filters(self):
        """The filters by name."""
        return {"removal_hosts": removal_hosts}
