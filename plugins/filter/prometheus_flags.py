# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the command lines of the services."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._filtering import filtered


class FilterModule:
    """Write the command lines of the services."""

    def filters(self):
        """The filters by name."""
        return {
            "prometheus_flags": filtered("_flags", "prometheus_flags"),
            "alertmanager_flags": filtered("_flags", "alertmanager_flags"),
            "node_exporter_flags": filtered("_flags", "node_exporter_flags"),
            "blackbox_exporter_flags": filtered("_flags", "blackbox_exporter_flags"),
            "postgres_exporter_flags": filtered("_flags", "postgres_exporter_flags"),
            "cadvisor_flags": filtered("_flags", "cadvisor_flags"),
        }
