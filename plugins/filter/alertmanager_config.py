# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shape the inputs of the role alertmanager."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._filtering import filtered


class FilterModule:
    """Shape the inputs of the role alertmanager."""

    def filters(self):
        """The filters by name."""
        return {
            "alertmanager_config": filtered("_alertmanager", "alertmanager_config"),
            "alertmanager_drills": filtered("_drill", "alertmanager_drills"),
            "alertmanager_files": filtered("_alertmanager", "alertmanager_files"),
            "escalation_secrets": filtered("_alertmanager", "escalation_secrets"),
        }
