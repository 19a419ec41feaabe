# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shape the inputs of the role grafana."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._filtering import filtered


class FilterModule:
    """Shape the inputs of the role grafana."""

    def filters(self):
        """The filters by name."""
        return {
            "grafana_ini": filtered("_grafana_ini", "grafana_ini"),
            "grafana_places": filtered("_grafana", "grafana_places"),
            "grafana_inside": filtered("_grafana", "grafana_inside"),
            "grafana_home": filtered("_grafana", "grafana_home"),
            "grafana_files": filtered("_grafana", "grafana_files"),
            "grafana_directories": filtered("_grafana", "grafana_directories"),
            "grafana_expected": filtered("_grafana", "grafana_expected"),
            "grafana_plugins": filtered("_grafana", "plugin_list"),
            "grafana_plugin_links": filtered("_grafana", "plugin_links"),
        }
