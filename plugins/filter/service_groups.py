# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which groups of an inventory run a service of this collection."""

from __future__ import annotations


def service_groups(groups):
    """The groups whose hosts run a service, in the order of the services, and those of the further roles of site.yml.

    :param groups: the magic variable of this name, or anything else that holds their names.
    """
    # Imported here: Ansible loads all filters of a collection for any one of them.
    from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms  # noqa: PLC0415

    return _rooms.deployable(groups)


class FilterModule:
    """Which groups of an inventory run a service of this collection."""

    def filters(self):
        """The filters by name."""
        return {"service_groups": service_groups}
