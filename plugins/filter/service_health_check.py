# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the health check of a service."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._filtering import filtered


class FilterModule:
    """Make the health check of a service."""

    def filters(self):
        """The filters by name."""
        return {
            "service_health_check": filtered("_web", "health_check"),
            "service_ports": filtered("_web", "ports"),
        }
