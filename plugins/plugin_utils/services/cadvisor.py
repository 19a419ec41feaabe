# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cAdvisor: metrics of the containers of a host."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._networks import is_local
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import (
    Doubt,
    Problem,
    check_url_path,
    did_you_mean,
    is_duration,
    not_a_duration,
    shown,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import Service
from ansible_collections.vigil.monitoring.plugins.plugin_utils._tls import CERTIFICATE
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import listen_addresses, split_listen_address

# The flags that are inputs: both bear the same names.
FLAG_INPUTS = (
    "disable_metrics docker_only enable_metrics env_metadata_whitelist housekeeping_interval listen_ip"
    " max_housekeeping_interval port prometheus_endpoint store_container_labels whitelisted_container_labels"
).split()

# What cAdvisor can measure, as 0.38 to 0.60 call it.
METRICS = (
    "accelerator advtcp app cpu cpuLoad cpu_topology cpuset disk diskIO hugetlb memory memory_numa network oom_event"
    " percpu perf_event pressure process referenced_memory resctrl sched tcp udp"
).split()


class Room(Service):
    """cAdvisor: metrics of the containers of a host."""

    ready_path = "/healthz"
    version_metric = "cadvisor_version_info"
    version_label = "cadvisorVersion"
    described_by = ()
    flag_defaults = {"listen_ip": "", "port": "8080", "prometheus_endpoint": "/metrics"}
    # It knows no TLS itself.
    closed_by = CERTIFICATE
    proxy = "tls_proxy"

    title = "cAdvisor"
    documentation = "https://github.com/google/cadvisor"
    # The release is the program itself: upstream publishes no archive.
    binaries = ("cadvisor",)
    # It asks the engine which containers there are, and does without one.
    after = ("docker.service", "containerd.service")
    container_health_path = "/healthz"
    hardening = {
        # It measures what runs on the host: all processes and what the kernel says of them,
        "ProtectProc": "default",
        "ProcSubset": "all",
        "PrivateUsers": False,
        # processes and files that are others' (read only, as the whole file system is), and Docker's socket, which is root's,
        "CapabilityBoundingSet": "CAP_DAC_READ_SEARCH CAP_SYS_PTRACE CAP_SYSLOG",
        # file systems wherever they are mounted,
        "ProtectHome": "read-only",
        "PrivateTmp": False,
        # the sizes of disks, and what the kernel tells of processes that it ended for want of memory,
        "PrivateDevices": False,
        "DeviceAllow": ["/dev/kmsg r"],
        "ProtectKernelLogs": False,
        # and the host's own name.
        "ProtectHostname": False,
    }

    scrape = {"port": 8080}
    since = {
        "enable_metrics": "0.41.0",
        # It came a little earlier; its former name, with docker_ before it, is known ever since.
        "env_metadata_whitelist": "0.45.0",
        "disable_metrics=cpuset": "0.40.0",
    }
    managed_flags = {**{name: name for name in FLAG_INPUTS}, "docker_env_metadata_whitelist": "env_metadata_whitelist"}

    def listen(self, i):
        """Address and port are inputs of their own, as they are flags of its own."""
        return "{0}:{1}".format(i["listen_ip"], i["port"])

    def connects_out(self, get):
        """It asks the engine, by a socket."""
        return False

    def metrics_path(self, i):
        """A flag of its own."""
        return i["prometheus_endpoint"]

    def own_web_config(self, i):
        """It has neither TLS nor a login that the role knows."""
        return {}

    def leaves_tls(self, get):
        """An address that others reach is the user's own decision."""
        return not get("listen_ip") or is_local("{0}:1".format(get("listen_ip")))

    def arguments(self, i, release):
        """Its flags are Go's own: without a value, or with one after an ``=``."""
        names = ("prometheus_endpoint", "housekeeping_interval", "max_housekeeping_interval")
        names += ("docker_only", "store_container_labels")
        address, port = split_listen_address(self.listen_inside(i))
        flags = {"listen_ip": address, "port": port, **{name: i[name] for name in names}}
        lists = {name: list(i[name] or []) for name in ("enable_metrics", "disable_metrics")}
        lists.update((name, list(i[name] or [])) for name in ("whitelisted_container_labels", "env_metadata_whitelist"))
        if lists["enable_metrics"]:
            # The list of those that are wanted would be ignored beside it.
            lists["disable_metrics"] = []
        if not self.knows(release["version"], "disable_metrics=cpuset"):
            # It does not measure that, and fails where it is told not to.
            lists["disable_metrics"] = [metric for metric in lists["disable_metrics"] if metric != "cpuset"]
        for name, values in lists.items():
            if values:
                flags[self._known_as(name, release["version"])] = ",".join(map(str, values))
        flags.update(self.extra_flags(i))
        return ["--{0}={1}".format(name, _go_text(value)) for name, value in flags.items()]

    def _known_as(self, name, version):
        early = name == "env_metadata_whitelist" and not self.knows(version, name)
        return "docker_" + name if early else name

    def files(self, i, release):
        """It has no configuration but its flags; what changes with its proxy is a difference also where they stay."""
        note = "{0} serves cAdvisor by TLS.\n".format(self.proxy)
        return [{"path": "tls_proxy.txt", "content": note}] if self.is_closed(i) else []

    def readable(self, i, release):
        """It has no configuration but its flags."""
        return []

    def container_needs(self, i, release):
        """It measures the containers, so it has to see them: the engine, its files, and the kernel's files on both; and
        what the kernel tells of processes that it ended for want of memory."""
        seen = ("/:/rootfs", "/var/run:/var/run", "/sys:/sys", "/var/lib/docker:/var/lib/docker", "/dev/disk:/dev/disk")
        return {
            "volumes": ["{0}:ro".format(mount) for mount in seen],
            "devices": ["/dev/kmsg:/dev/kmsg:r"],
            "capabilities": ["DAC_READ_SEARCH", "SYS_PTRACE", "SYSLOG"],
        }

    def validate(self, values):
        """What only cAdvisor has: its address in two parts, and what it measures how often."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._inputs import pinned

        role = "cadvisor_"
        try:
            listen_addresses("{0}:{1}".format(values[role + "listen_ip"], values[role + "port"]))
        except ValueError as error:
            yield Problem(role + "listen_ip and cadvisor_port", str(error), "write them like 0.0.0.0 or [::], and 8080")
        yield from check_url_path(role + "prometheus_endpoint", values[role + "prometheus_endpoint"])
        for name in ("housekeeping_interval", "max_housekeeping_interval"):
            if not is_duration(values[role + name]):
                yield not_a_duration(role + name, values[role + name])
        for name in ("enable_metrics", "disable_metrics"):
            for metric in values[role + name]:
                if metric not in METRICS:
                    remedy = did_you_mean(metric, METRICS, "there are " + ", ".join(METRICS))
                    yield Doubt(role + name, "has {0}".format(shown(metric)), remedy)
        if values[role + "enable_metrics"] and pinned(self.name, values):
            if not self.knows(values[role + "version"], "enable_metrics"):
                least = self.since["enable_metrics"]
                found = "is set, which needs version {0}".format(least)
                yield Problem(role + "enable_metrics", found, "use cadvisor_disable_metrics, or deploy a newer version")

    # How it is verified

    def peer_files(self):
        """What other collections' roles write below its configuration directory."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _peers

        return {"web_config.yml": _peers.WEB}


def _go_text(value):
    return str(value).lower() if isinstance(value, bool) else "" if value is None else value
