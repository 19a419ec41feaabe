# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus: scrapes targets, evaluates rules, sends alerts."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import RELOAD, Service


class Room(Service):
    """Prometheus: scrapes targets, evaluates rules, sends alerts."""

    stage = 3
    web_config_variable = "web_config"
    dry_run_argument = "--config.file=/dev/null/none"
    ready_path = "/-/ready"
    on_config_change = RELOAD
    log_seconds = 75
    reload_delay = {
        "metric": "prometheus_remote_storage_shards",
        "flag": "storage.remote.flush-deadline",
        "default": 60,
    }
    loaded_config_path = "/api/v1/status/config"
    loaded_directories = ("rules", "scrape_configs")
