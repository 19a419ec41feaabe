# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look through configurations."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._filtering import filtered


class FilterModule:
    """Look through configurations."""

    def filters(self):
        """The filters by name."""
        return {
            "file_references": filtered("_references", "file_references"),
            "secret_values": filtered("_secrets", "secret_values"),
        }
