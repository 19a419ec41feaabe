# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The blackbox exporter: probes of addresses over HTTP, TCP, ICMP and DNS."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import RELOAD, Service


class Room(Service):
    """The blackbox exporter: probes of addresses over HTTP, TCP, ICMP and DNS."""

    on_config_change = RELOAD
    loaded_config_path = "/config"
    programs = ("blackbox_exporter", "prometheus-blackbox-exporter")
    port = 9115
    config_flags = ("config.file",)
    flag_defaults = {"web.listen-address": "0.0.0.0:9115", "log.level": "info", "log.format": "logfmt"}
    keeps = (("modules", "*", "blackbox_exporter_configuration_modules"),)

    def peer_files(self):
        """What other collections' roles write below its configuration directory."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _peers

        return {"web_config.yml": _peers.WEB}

    def sections(self, flags, directory, files, shown):
        """What is compared before it is adopted."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _adopted_blackbox_exporter

        return _adopted_blackbox_exporter.sections(flags, directory, files)
