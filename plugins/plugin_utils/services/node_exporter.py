# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""node_exporter: metrics of a host."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import Service


class Room(Service):
    """node_exporter: metrics of a host."""

    dry_run_argument = "--path.procfs=/dev/null/none"
    programs = ("node_exporter", "prometheus-node-exporter")
    port = 9100
    config_flags = ("web.config.file",)
    flag_defaults = {
        "web.listen-address": "0.0.0.0:9100",
        "web.telemetry-path": "/metrics",
        "log.level": "info",
        "log.format": "logfmt",
    }

    def checks(self, values, surroundings):
        """Collectors that were asked for by name and find nothing; others report 0 where a host has nothing for them."""
        enabled = values.get("node_exporter_enabled_collectors") or []
        given = {
            "metric": "node_scrape_collector_success",
            "label": "collector",
            "names": [str(name) for one in enabled for name in (one if isinstance(one, dict) else [one])],
            "text": "its collector {0} was asked for and finds nothing; its log says why",
        }
        return [{"name": "failing_parts", "given": given}]

    def peer_files(self):
        """What other collections' roles write below its configuration directory."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _peers

        return {"web_config.yml": _peers.WEB, "config.yaml": _peers.BARE_WEB}
