# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts between which a service moves."""

from __future__ import annotations


def move_hosts(groups, service=None, source=None, target=None, limit=None):
    """The hosts between which a service moves, and in words why there are none.

    :param groups: the magic variable of this name.
    :param service: name of the service.
    :param source: name of the host that it leaves.
    :param target: name of the host that it moves to.
    :param limit: what ``--limit`` says, if anything.
    """
    # Imported here: Ansible loads all filters of a collection for any one of them.
    from ansible_collections.vigil.monitoring.plugins.plugin_utils import _move  # noqa: PLC0415

    return _move.hosts_of(groups, service, source, target, limit)


class FilterModule:
    """The hosts between which a service moves."""

    def filters(self):
        """The filters by name."""
        return {"move_hosts": move_hosts}
