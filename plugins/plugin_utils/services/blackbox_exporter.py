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
