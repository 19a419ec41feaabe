# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""node_exporter: metrics of a host."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._container import is_container
from ansible_collections.vigil.monitoring.plugins.plugin_utils._flags import collector_flags, flag
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import Service
from ansible_collections.vigil.monitoring.plugins.plugin_utils._tls import CERTIFICATE
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import web_config


class Room(Service):
    """node_exporter: metrics of a host."""

    dry_run_argument = "--path.procfs=/dev/null/none"
    programs = ("node_exporter", "prometheus-node-exporter")
    port = 9100
    closed_by = CERTIFICATE
    config_flags = ("web.config.file",)
    flag_defaults = {
        "web.listen-address": "0.0.0.0:9100",
        "web.telemetry-path": "/metrics",
        "log.level": "info",
        "log.format": "logfmt",
    }

    title = "node_exporter"
    description = "Prometheus node_exporter"
    documentation = "https://github.com/prometheus/node_exporter"
    binaries = ("node_exporter",)
    hardening = {
        # It measures the host, so it has to see it: all of /proc (mounts of PID 1, load, memory, pressure),
        "ProtectProc": "default",
        "ProcSubset": "all",
        # file systems below /home and temporary ones (read-only, sizes only),
        "ProtectHome": "read-only",
        "PrivateTmp": False,
        # the host's own name, also after it was changed,
        "ProtectHostname": False,
        # and the state of the clock (adjtimex without the right to set it).
        "ProtectClock": False,
        "SystemCallFilter": ["@system-service", "~@privileged @resources", "prlimit64 adjtimex clock_adjtime"],
    }
    # Where its container sees the host's file systems.
    rootfs = "/host"

    scrape = {"job": "node", "port": 9100}
    since = {
        "web.config.file": "1.5.0",
        "web.config": "1.0.0",
        "several listen addresses": "1.5.0",
    }

    def connects_out(self, get):
        """It reads the kernel, and D-Bus by a socket."""
        return False

    def arguments(self, i, release):
        """Collectors first, as in its documentation."""
        arguments = collector_flags(i)
        if is_container(i["runtime"]):
            arguments += flag("path.rootfs", self.rootfs)
        if web_config(self.web_config(i)):
            known = self.knows(release["version"], "web.config.file")
            arguments += flag("web.config.file" if known else "web.config", i["config_dir"] + "/web_config.yml")
        if i["web_disable_exporter_metrics"]:
            arguments += flag("web.disable-exporter-metrics")
        for name in ("log_level", "log_format"):
            if i[name]:
                arguments += flag(name.replace("_", "."), i[name])
        arguments += flag("web.listen-address", self.listen_inside(i))
        return arguments + flag("web.telemetry-path", i["web_telemetry_path"]) if i["web_telemetry_path"] else arguments

    def directories(self, i, release):
        """The directory of text files, in which the group may write and everybody may read."""
        if not i["textfile_dir"]:
            return []
        owner = {"owner": i["system_user"], "group": i["system_group"]}
        return [{"path": i["textfile_dir"], **owner, "mode": "0775"}]

    def purged(self, i):
        """The directory of text files is all of its data."""
        return [i["textfile_dir"]] if i["textfile_dir"] else []

    def container_needs(self, i, release):
        """It measures the host, so it has to see it: processes, network and file systems, all of it read-only."""
        volumes = ["/:{0}:ro,rslave".format(self.rootfs)]
        if i["textfile_dir"]:
            volumes.append("{0}:{0}:ro".format(i["textfile_dir"]))
        enabled = i["enabled_collectors"] or []
        if any("systemd" in (collector if isinstance(collector, dict) else [collector]) for collector in enabled):
            # It talks to systemd over D-Bus.
            volumes.append("/run/dbus:/var/run/dbus:ro")
        return {"pid_mode": "host", "volumes": volumes}

    def validate(self, values):
        """Its collectors."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._inputs import check_collectors

        return check_collectors(self.name, values)

    # How it is verified

    def checks(self, values, surroundings):
        """Collectors that were asked for by name and find nothing; others report 0 where a host has nothing for them."""
        enabled = values.get("node_exporter_enabled_collectors") or []
        given = {
            "metric": "node_scrape_collector_success",
            "label": "collector",
            "names": [str(name) for one in enabled for name in (one if isinstance(one, dict) else [one])],
            "text": "its collector {0} is enabled but returns nothing; its log has the reason",
        }
        return [{"name": "failing_parts", "given": given}]

    def peer_files(self):
        """What other collections' roles write below its configuration directory."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _peers

        return {"web_config.yml": _peers.WEB, "config.yaml": _peers.BARE_WEB}
