# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shape the inputs of the role prometheus."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._filtering import filtered


class FilterModule:
    """Shape the inputs of the role prometheus."""

    def filters(self):
        """The filters by name."""
        return {
            "prometheus_config": filtered("_prometheus", "prometheus_config"),
            "prometheus_directories": filtered("_prometheus", "prometheus_directories"),
            "prometheus_files": filtered("_prometheus", "prometheus_files"),
            "promtool_checks": filtered("_prometheus", "promtool_checks"),
        }
