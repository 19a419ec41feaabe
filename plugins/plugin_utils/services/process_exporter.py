# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""process_exporter: metrics of groups of processes."""

from __future__ import annotations

import yaml
from ansible_collections.vigil.monitoring.plugins.plugin_utils._exporter import Exporter
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem, is_duration, not_a_duration
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import RESTART


class Room(Exporter):
    """process_exporter: metrics of groups of processes."""

    port = 9256
    documentation = "https://github.com/ncabatoff/process-exporter"
    binaries = ("process-exporter",)
    programs = ("process-exporter", "prometheus-process-exporter")
    on_config_change = RESTART
    config_flag = "config.path"
    go_flags = True
    several_addresses = False
    flag_defaults = {"recheck-with-time-limit": "0"}
    input_flags = {"recheck-with-time-limit": "recheck_time_limit"}
    # It measures the processes of others, so it has to see them.
    hardening = {"ProtectProc": "default", "ProcSubset": "all"}

    def connects_out(self, get):
        """It reads the kernel."""
        return False

    def config(self, i):
        """The groups: a list, or its text as prometheus.prometheus has it."""
        names = i["names"]
        return {"process_names": yaml.safe_load(names) if isinstance(names, str) else names}

    def validators(self, i, release):
        """It reads its configuration and measures once. Debian's builds cannot: they find out when they start."""
        if i["install_method"] == "package" and not release.get("image"):
            return []
        path = "--config.path=%s/config.yml"
        return [[release["binaries"][self.program], path, "--gather-smaps=false", "--once-to-stdout-delay=1ns"]]

    def container_needs(self, i, release):
        """The processes of the host."""
        return {"pid_mode": "host"}

    def validate(self, values):
        """Its groups, and how long it looks at names again."""
        yield from super().validate(values)
        limit, names = values["process_exporter_recheck_time_limit"], values["process_exporter_names"]
        if str(limit) not in ("0", "") and not is_duration(limit):
            yield not_a_duration("process_exporter_recheck_time_limit", limit)
        try:
            groups = yaml.safe_load(names) if isinstance(names, str) else names
        except yaml.YAMLError:
            groups = None
        if not isinstance(groups, list) or not groups or not all(isinstance(group, dict) for group in groups):
            found = "is no list of groups"
            yield Problem("process_exporter_names", found, "write a list of dictionaries with comm, exe or cmdline")
