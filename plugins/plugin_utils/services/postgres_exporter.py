# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""postgres_exporter: metrics of a PostgreSQL server."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import RESTART, Service


class Room(Service):
    """postgres_exporter: metrics of a PostgreSQL server."""

    on_config_change = RESTART
    dependency_metric = "pg_up"
    dependency = "database"
    shows_secrets = True
    programs = ("postgres_exporter", "prometheus-postgres-exporter")
    port = 9187
    config_flags = ("config.file", "web.config.file")
    flag_defaults = {
        "web.listen-address": "0.0.0.0:9187",
        "web.telemetry-path": "/metrics",
        "log.level": "info",
        "log.format": "logfmt",
    }

    def peer_files(self):
        """What other collections' roles write below its configuration directory."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _peers

        return {
            "web_config.yml": _peers.WEB,
            "postgres_exporter_uri": _peers.ONE_LINE,
            "postgres_exporter_user": _peers.ONE_LINE,
            "postgres_exporter_pass": _peers.ONE_LINE,
        }
