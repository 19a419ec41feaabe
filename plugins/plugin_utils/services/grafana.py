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
    for_people = True
    shows_secrets = True
    programs = ("grafana", "grafana-server")
    config_flags = ("config",)
    described_by = ()
    keeps = (
        ("settings", "*", "grafana_ini"),
        ("data sources", "*", "grafana_datasources"),
        ("dashboards gained", "*", "grafana_bundled_dashboards: false for none of the bundled ones"),
        ("dashboards", "*", "grafana_dashboards_dir, grafana_dashboards"),
    )

    def endpoint(self, get):
        """As its own configuration says, in the sections of an ini."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana_ini import address

        return address([get("ini_default"), get("ini"), {"server": get("server") or {}}])

    def credentials(self, values):
        """Those of its metrics, which its own configuration names."""
        configured = values["__grafana_places"]["health"]
        return {name: configured.get(name) for name in ("username", "password")}

    def login(self, values):
        """Its administrator."""
        return values["__grafana_places"]["login"]

    def checks(self, values, surroundings):
        """Its database, its administrator, and what was provisioned."""
        return [{"name": "grafana_content", "given": values["__grafana_expected"]}]

    def peer_files(self):
        """What other collections' roles write below its configuration directory."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _peers

        return {
            "provisioning/dashboards/ansible.yml": _peers.PROVIDER,
            "provisioning/datasources/ansible.yml": _peers.SOURCES,
            "provisioning/alerting/ansible.yml": _peers.ALERTING,
            "provisioning/notification/ansible.yml": _peers.ALERTING,
        }

    def sections(self, flags, directory, files, shown):
        """What is compared before it is adopted."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _adopted_grafana

        return _adopted_grafana.sections(flags, directory, files)

    def further_files(self, live, files):
        """The dashboards of its providers."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _adopted_grafana

        return _adopted_grafana.dashboard_patterns(files)
