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
