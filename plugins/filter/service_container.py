# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say how a service runs as a container."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._container import container, image_name, inside
from ansible_collections.vigil.monitoring.plugins.plugin_utils._filtering import filtered


class FilterModule:
    """Say how a service runs as a container."""

    def filters(self):
        """The filters by name."""
        return {
            "service_container": filtered(container),
            "container_listen": filtered(inside),
            "image_name": filtered(image_name),
        }
