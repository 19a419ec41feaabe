# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say how a service runs as a container."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._filtering import filtered


class FilterModule:
    """Say how a service runs as a container."""

    def filters(self):
        """The filters by name."""
        return {
            "service_container": filtered("_container", "container"),
            "container_listen": filtered("_container", "inside"),
            "image_name": filtered("_container", "image_name"),
        }
