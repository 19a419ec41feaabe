# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""node_exporter: metrics of a host."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import Service


class Room(Service):
    """node_exporter: metrics of a host."""

    dry_run_argument = "--path.procfs=/dev/null/none"
