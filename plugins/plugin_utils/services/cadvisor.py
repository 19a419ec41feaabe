# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cAdvisor: metrics of the containers of a host."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import Service


class Room(Service):
    """cAdvisor: metrics of the containers of a host."""

    ready_path = "/healthz"
    version_metric = "cadvisor_version_info"
    version_label = "cadvisorVersion"
    described_by = ()
    flag_defaults = {"listen_ip": "", "port": "8080", "prometheus_endpoint": "/metrics"}

    def peer_files(self):
        """What other collections' roles write below its configuration directory."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _peers

        return {"web_config.yml": _peers.WEB}
