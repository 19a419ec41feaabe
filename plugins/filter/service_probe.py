# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say how a service is asked."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._filtering import filtered


class FilterModule:
    """Say how a service is asked."""

    def filters(self):
        """The filters by name."""
        return {
            "service_probe": filtered("_web", "probe"),
            "service_ports": filtered("_web", "ports"),
        }
