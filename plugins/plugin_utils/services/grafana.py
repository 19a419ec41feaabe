# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grafana: dashboards."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import RESTART, Service


class Room(Service):
    """Grafana: dashboards."""

    stage = 4
    unit_name = "grafana-server"
    web_config_variable = "server"
    ready_path = "/api/health"
    on_config_change = RESTART
