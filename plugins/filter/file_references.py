# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look through configurations."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._filtering import filtered
from ansible_collections.vigil.monitoring.plugins.plugin_utils._references import file_references
from ansible_collections.vigil.monitoring.plugins.plugin_utils._secrets import secret_values


class FilterModule:
    """Look through configurations."""

    def filters(self):
        """The filters by name."""
        return {
            "file_references": filtered(file_references),
            "secret_values": filtered(secret_values),
        }
