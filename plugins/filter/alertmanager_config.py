# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shape the inputs of the role alertmanager."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._alertmanager import (
    alertmanager_config,
    alertmanager_files,
    escalation_secrets,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._drill import alertmanager_drills
from ansible_collections.vigil.monitoring.plugins.plugin_utils._filtering import filtered
from ansible_collections.vigil.monitoring.plugins.plugin_utils._scrape import cluster


def alertmanager_cluster(group, hostvars, host):
    """The cluster of the Alertmanagers of an inventory group, as this host's takes part in it."""
    return cluster(host, group, lambda other, name: hostvars[other].get(name))


class FilterModule:
    """Shape the inputs of the role alertmanager."""

    def filters(self):
        """The filters by name."""
        return {
            "alertmanager_cluster": filtered(alertmanager_cluster),
            "alertmanager_config": filtered(alertmanager_config),
            "alertmanager_drills": filtered(alertmanager_drills),
            "alertmanager_files": filtered(alertmanager_files),
            "escalation_secrets": filtered(escalation_secrets),
        }
