# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shape the inputs of the exporters' roles."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._filtering import filtered


class FilterModule:
    """Shape the inputs of the exporters' roles."""

    def filters(self):
        """The filters by name."""
        return {
            "exporter_files": filtered("_exporter", "exporter_files"),
            "blackbox_exporter_files": filtered("_exporter", "blackbox_exporter_files"),
            "blackbox_exporter_profile": filtered("_exporter", "blackbox_exporter_profile"),
            "postgres_exporter_files": filtered("_exporter", "postgres_exporter_files"),
            "postgres_exporter_source": filtered("_data_source", "postgres_exporter_source"),
            "postgres_role": filtered("_data_source", "postgres_role"),
            "textfile_directories": filtered("_exporter", "textfile_directories"),
            "readable_yaml": filtered("_text", "to_yaml"),
        }
