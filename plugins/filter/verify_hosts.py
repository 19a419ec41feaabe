# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts that are verified."""

from __future__ import annotations


def verify_hosts(groups, limit=None):
    """The pattern of the hosts on which services are verified.

    :param groups: the magic variable of this name.
    :param limit: what ``--limit`` says, if anything.
    """
    # Imported here: Ansible loads all filters of a collection for any one of them.
    from ansible_collections.vigil.monitoring.plugins.plugin_utils import _run, _scope  # noqa: PLC0415

    return ",".join(_scope.play_hosts(groups, _run.noted(), limit))


class FilterModule:
    """The hosts that are verified."""

    def filters(self):
        """The filters by name."""
        return {"verify_hosts": verify_hosts}
