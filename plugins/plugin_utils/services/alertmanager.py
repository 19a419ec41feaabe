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
    receives_alerts = True
    programs = ("alertmanager", "prometheus-alertmanager")
    port = 9093
    config_flags = ("config.file",)
    data_variable = "alertmanager_db_dir"
    flag_defaults = {
        "web.external-url": "",
        "web.listen-address": "0.0.0.0:9093",
        "cluster.listen-address": "0.0.0.0:9094",
        "storage.path": "data/",
        "log.level": "info",
        "log.format": "logfmt",
    }
    keeps = (
        ("flags", "cluster.*", "alertmanager_cluster"),
        ("receivers", "*", "alertmanager_receivers"),
        ("routes", "*", "alertmanager_route"),
        ("inhibitions", "*", "alertmanager_inhibit_rules"),
        ("time intervals", "*", "alertmanager_time_intervals"),
        ("message templates", "*", "alertmanager_template_files"),
    )

    def checks(self, values, surroundings):
        """Its cluster, and whether its messages arrive."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _scrape

        members = _scrape.members(surroundings.host, surroundings.members, surroundings.value)
        return [{"name": "alertmanager_cluster", "given": {"members": members}}]

    def peer_files(self):
        """What other collections' roles write below its configuration directory."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _peers

        return {"web_config.yml": _peers.WEB}

    def sections(self, flags, directory, files, shown):
        """What is compared before it is adopted."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _adopted_alertmanager

        return _adopted_alertmanager.sections(flags, directory, files)

    def further_files(self, live, files):
        """Those that its configuration names."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _adoption

        return _adoption.named_files(live, files)
