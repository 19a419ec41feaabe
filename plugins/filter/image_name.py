# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of a container image."""

from __future__ import annotations


def image_name(repository, tag, registry=""):
    """The name of upstream's image, from a mirror where there is one."""
    # Imported here: Ansible loads all filters of a collection for any one of them.
    from ansible_collections.vigil.monitoring.plugins.plugin_utils import _container  # noqa: PLC0415

    return _container.image_name(repository, tag, registry)


class FilterModule:
    """The name of a container image."""

    def filters(self):
        """The filters by name."""
        return {"image_name": image_name}
