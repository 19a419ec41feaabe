# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts that the proof asks."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._late import imported


def verify_hosts(groups, limit=None):
    """The pattern of the hosts on which services are to be proven.

    :param groups: the magic variable of this name.
    :param limit: what ``--limit`` says, if anything.
    """
    return ",".join(imported("_scope", "play_hosts")(groups, imported("_run", "noted")(), limit))


class FilterModule:
    """The hosts that the proof asks."""

    def filters(self):
        """The filters by name."""
        return {"verify_hosts": verify_hosts}
