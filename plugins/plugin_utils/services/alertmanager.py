# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alertmanager: routes alerts to receivers."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import RELOAD, Service


class Room(Service):
    """Alertmanager: routes alerts to receivers."""

    stage = 2
    web_config_variable = "web_config"
    dry_run_argument = "--storage.path=/dev/null/none"
    ready_path = "/-/ready"
    on_config_change = RELOAD
    log_seconds = 300
    config_hash_metric = "alertmanager_config_hash"
    loaded_directories = ("templates",)
    for_people = True

    def checks(self, values, surroundings):
        """Its cluster, and whether its messages arrive."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _scrape

        members = _scrape.members(surroundings.host, surroundings.members, surroundings.value)
        return [{"name": "alertmanager_cluster", "given": {"members": members}}]
