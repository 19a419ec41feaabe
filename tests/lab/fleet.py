"""Synthetic hosts: what node_exporter would say of a fleet, on a quiet night or on a bad one.

The numbers are those of a history for a Prometheus of one's own (:mod:`.history`), and of pages that a Prometheus scrapes.
"""

from __future__ import annotations

import functools
import http.server
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

GIB = 1 << 30
CORES = 4
_ROLES = ("web", "api", "db", "cache", "worker", "queue")
# Names as long as people give them: what is cut off on a screen is seen with them.
_LONG = "frankfurt-payments-gateway-02.prod.example.net"
_DOMAINS = {"api": ".eu-central-1.example.net", "web": ".example.net"}
# Containers of a host: (name, cores, memory, its limit). Compose makes such names.
_CONTAINERS = (
    ("nginx", 0.02, 40e6, 0),
    ("shop-checkout-api-1", 0.4, 700e6, 1e9),
    ("shop-recommendation-worker-1", 0.15, 480e6, 500e6),
    ("payments_reconciliation_nightly-batch_1", 0.03, 90e6, 256e6),
    ("redis", 0.01, 25e6, 0),
    ("grafana-agent", 0.005, 110e6, 200e6),
)
# Requests of an instance of the application: (method, endpoint, requests per second, mean time).
_ENDPOINTS = (
    ("GET", "/api/v1/products/{product_id}", 12.0, 0.03),
    ("POST", "/api/v1/customers/{customer_id}/orders/{order_id}/payments", 0.7, 0.4),
    ("GET", "/api/v1/search", 3.0, 0.15),
    ("GET", "/health", 0.2, 0.001),
)
# Bounds of its response times.
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_MODES = {"user": 0.55, "system": 0.25, "iowait": 0.1, "nice": 0.02, "softirq": 0.05, "steal": 0.03}
# Alerts of the bad night: (alert, severities, number of the host, minutes since it began, minutes that it lasted; 0: still).
BAD = (
    ("HighCPUUsage", ("warning", "critical"), 7, 25, 0),
    ("HighMemoryUsage", ("warning",), 11, 50, 0),
    ("HighDiskUsage", ("warning", "critical"), 3, 110, 0),
    ("DiskWillFillSoon", ("warning",), 3, 55, 0),
    ("TargetDown", ("warning",), 12, 12, 0),
    ("RedisMemoryNearLimit", ("warning", "critical"), 3, 40, 0),
    ("NginxConnectionsDropped", ("warning",), 6, 70, 0),
    ("ProcessGroupRestarting", ("warning",), 4, 35, 0),
    ("DatabaseIdleInTransaction", ("warning",), 2, 20, 0),
    ("SlowEndpoint", ("warning",), 1, 45, 0),
    *(("HighCPUUsage", ("warning",), number, 170 - 9 * number, 5) for number in range(1, 17, 2)),
)
# Those whose condition is true, and not yet for long enough: minutes since when.
PENDING = (("HighDiskUsage", ("warning", "critical"), 20, 5),)
# Of alerts that are not about the host alone: the service, the port of its exporter, and more labels.
_SERVICES = {
    "TargetDown": ("monitoring", 9100),
    "RedisMemoryNearLimit": ("redis", 9121),
    "NginxConnectionsDropped": ("nginx", 9113),
    "ProcessGroupRestarting": ("processes", 9256),
    "DatabaseIdleInTransaction": ("database", 9187),
    "SlowEndpoint": ("api", 8000),
}
# Ports of exporters, with the name of the job of each.
JOBS = {
    8000: "api",
    8080: "cadvisor",
    9100: "node",
    9113: "nginx_exporter",
    9121: "redis_exporter",
    9187: "postgres_exporter",
    9256: "process_exporter",
}
_ABOUT = {
    "HighDiskUsage": {"mountpoint": "/", "device": "/dev/sda1"},
    "ProcessGroupRestarting": {"groupname": "celery@payments-reconciliation-nightly-batch"},
    "DatabaseIdleInTransaction": {"datname": "shop", "state": "idle in transaction"},
    "SlowEndpoint": {"handler": _ENDPOINTS[1][1]},
}


@dataclass(frozen=True)
class Fleet:
    """A fleet of synthetic hosts.

    :ivar bad: whether it is a bad night: one host is down, one busy, one short of memory, a disk fills up.
    """

    hosts: int
    bad: bool = False

    @staticmethod
    def role(number: int) -> str:
        """What a host is for."""
        return _ROLES[number % len(_ROLES)]

    def name(self, number: int) -> str:
        """Name of a host in the inventory."""
        role = self.role(number)
        return _LONG if number == 4 else f"{role}-{number // len(_ROLES) + 1:02d}{_DOMAINS.get(role, '')}"

    def target(self, number: int) -> dict[str, str]:
        """The labels of a host's target."""
        environment = "staging" if number % 5 == 4 else "production"
        return {
            "job": "node",
            "instance": f"10.20.{number // 250}.{number % 250 + 1}:9100",
            "host": self.name(number),
            "role": self.role(number),
            "environment": environment,
        }

    def busy(self, number: int, at: float) -> float:
        """Share of a host's CPU that is in use: by day more than by night, each host a little differently."""
        if self.bad and number == 7:
            return 0.82 if at > self.now(at) - 1800 else 0.3
        return 0.08 + 0.02 * (number % 7) + 0.05 * math.sin(at / 1700 + number)

    @staticmethod
    def now(at: float) -> float:
        """The bad night's trouble is half an hour old, whenever one looks."""
        return max(at, time.time())

    def samples(self, number: int, at: float) -> Iterator[tuple[str, dict[str, str], float]]:
        """What node_exporter says of a host: names, labels and values."""
        bad = self.bad
        # Counters are rates times the time since this; a whole year makes numbers as large as real ones.
        since = at - 1_700_000_000
        busy, total = self.busy(number, at), (8 + 8 * (number % 4)) * GIB
        yield (
            "node_uname_info",
            {
                "nodename": self.name(number).split(".", maxsplit=1)[0],
                "release": "6.1.0-28-amd64",
                "machine": "x86_64",
                "sysname": "Linux",
            },
            1,
        )
        yield "node_os_info", {"pretty_name": "Debian GNU/Linux 12 (bookworm)", "id": "debian", "version_id": "12"}, 1
        yield "node_boot_time_seconds", {}, at // 86400 * 86400 - 86400 * (3 + number % 40) + 600
        yield "node_time_seconds", {}, at
        yield "node_context_switches_total", {}, 4000 * since
        yield "node_intr_total", {}, 2500 * since
        yield "node_forks_total", {}, 12 * since
        yield "node_procs_running", {}, round(1 + busy * CORES)
        yield "node_procs_blocked", {}, 2 if bad and number == 3 else 0
        for load, factor in (("1", 1.1), ("5", 1.0), ("15", 0.9)):
            yield f"node_load{load}", {}, round(CORES * busy * factor * (1.6 if busy > 0.8 else 1), 2)
        for cpu in range(CORES):
            used = self._cpu_seconds(number, at)
            yield "node_cpu_seconds_total", {"cpu": str(cpu), "mode": "idle"}, since - used
            for mode, share in _MODES.items():
                yield "node_cpu_seconds_total", {"cpu": str(cpu), "mode": mode}, used * share
        for resource, factor in (("cpu_waiting", 0.3), ("io_waiting", 0.05), ("io_stalled", 0.03)):
            yield f"node_pressure_{resource}_seconds_total", {}, self._cpu_seconds(number, at) * factor
        for kind in ("waiting", "stalled"):
            yield f"node_pressure_memory_{kind}_seconds_total", {}, since * (0.12 if bad and number == 11 else 0.001)
        free = 0.18 if bad and number == 11 else 0.35 + 0.05 * (number % 8) + 0.02 * math.sin(at / 2300 + number)
        memory = {
            "MemTotal": total,
            "MemAvailable": total * free,
            "MemFree": total * free / 3,
            "Buffers": total * 0.03,
            "Cached": total * free / 2,
            "SReclaimable": total * 0.02,
            "SwapTotal": 2 * GIB,
            "SwapFree": 2 * GIB * (0.3 if bad and number == 11 else 0.98),
            "Dirty": 4e6,
            "Writeback": 0,
        }
        for name, value in memory.items():
            yield f"node_memory_{name}_bytes", {}, round(value)
        for name, rate in (("pgmajfault", 0.4), ("pswpin", 0.1), ("pswpout", 0.1), ("oom_kill", 0)):
            yield f"node_vmstat_{name}", {}, round(rate * since)
        yield from self._disks(number, at, since)
        yield from self._network(number, since)
        yield "node_timex_sync_status", {}, 1
        yield "node_timex_offset_seconds", {}, 2e-5 * math.sin(at / 600 + number)
        yield "node_timex_maxerror_seconds", {}, 0.02
        yield "node_filefd_allocated", {}, 2100 + 40 * (number % 9)
        yield "node_filefd_maximum", {}, 1_048_576
        yield "node_entropy_available_bits", {}, 256
        for unit in ("nginx.service", "cron.service", "backup.service"):
            failed = float(bad and number in (3, 5) and unit == "backup.service")
            yield "node_systemd_unit_state", {"name": unit, "state": "failed", "type": "simple"}, failed
            yield "node_systemd_unit_state", {"name": unit, "state": "active", "type": "simple"}, 1 - failed
        yield "node_reboot_required", {}, float(number % 9 == 5)
        yield "apt_upgrades_pending", {"origin": "Debian-Security:12/stable", "arch": "amd64"}, number % 4
        yield "node_textfile_scrape_error", {}, 0
        yield "process_open_fds", {}, 11
        yield "process_max_fds", {}, 1024

    def _cpu_seconds(self, number: int, at: float) -> float:
        """How long a CPU has been in use: the integral of :meth:`busy`."""
        whole = (0.08 + 0.02 * (number % 7)) * (at - 1_700_000_000) - 85 * math.cos(at / 1700 + number)
        if self.bad and number == 7:
            since = self.now(at) - 1800
            return 0.3 * (min(at, since) - 1_700_000_000) + 0.82 * max(0.0, at - since)
        return whole

    def _disks(self, number: int, at: float, since: float) -> Iterator[tuple[str, dict[str, str], float]]:
        left = self.now(at) - at
        root = 0.11 + left / 86400 if self.bad and number == 3 else 0.4 + 0.03 * (number % 10) - (at % 86400) / 4e6
        if self.bad and number == 20 and left <= 300:
            root = 0.13
        # /srv/data is mounted twice.
        places = (
            ("/dev/sda1", "/", 40 * GIB, root),
            ("/dev/sda2", "/boot", GIB / 2, 0.7),
            ("/dev/sdb1", "/srv/data", 200 * GIB, 0.6),
            ("/dev/sdb1", "/var/lib/docker", 200 * GIB, 0.6),
        )
        for device, mountpoint, size, free in places:
            labels = {"device": device, "mountpoint": mountpoint, "fstype": "ext4", "device_error": ""}
            yield "node_filesystem_size_bytes", labels, size
            yield "node_filesystem_free_bytes", labels, round(size * (free + 0.05))
            yield "node_filesystem_avail_bytes", labels, round(size * free)
            yield "node_filesystem_files", labels, size // 16384
            yield "node_filesystem_files_free", labels, round(size // 16384 * 0.9)
            yield "node_filesystem_readonly", labels, 0
            yield "node_filesystem_device_error", labels, 0
        for device, factor in (("sda", 1.0), ("sdb", 4.0)):
            labels, busy = {"device": device}, 0.9 if self.bad and number == 3 else 0.01 * (1 + number % 5)
            for name, rate in (
                ("read_bytes", 2e5),
                ("written_bytes", 6e5),
                ("reads_completed", 9),
                ("writes_completed", 30),
                ("read_time_seconds", 0.02 * busy * 10),
                ("write_time_seconds", 0.05 * busy * 10),
            ):
                yield f"node_disk_{name}_total", labels, rate * factor * since
            yield "node_disk_io_time_seconds_total", labels, busy * min(1.0, factor) * since
            yield "node_disk_io_time_weighted_seconds_total", labels, busy * 1.5 * since

    def _network(self, number: int, since: float) -> Iterator[tuple[str, dict[str, str], float]]:
        for device, factor in (("eth0", 1.0), ("docker0", 0.1), ("lo", 0.2)):
            labels, errors = {"device": device}, 3.0 if self.bad and number in (3, 9) and device == "eth0" else 0.0
            for way, rate in (("receive", 3e5), ("transmit", 9e5)):
                yield f"node_network_{way}_bytes_total", labels, round(rate * factor * (1 + number % 6) * since)
                yield f"node_network_{way}_packets_total", labels, round(400 * factor * since)
                yield f"node_network_{way}_errs_total", labels, round(errors * since)
                yield f"node_network_{way}_drop_total", labels, round(errors / 2 * since)
        yield "node_network_up", {"device": "eth0"}, 1
        yield "node_network_speed_bytes", {"device": "eth0"}, 1.25e8
        yield "node_netstat_Tcp_CurrEstab", {}, 80 + 10 * (number % 7)
        for name, rate in (("ActiveOpens", 3), ("PassiveOpens", 9), ("RetransSegs", 0.4), ("OutSegs", 900)):
            yield f"node_netstat_Tcp_{name}", {}, round(rate * since)
        yield "node_netstat_TcpExt_ListenDrops", {}, 0
        yield "node_sockstat_TCP_tw", {}, 14
        yield "node_sockstat_TCP_alloc", {}, 120

    def containers(self, number: int, at: float) -> Iterator[tuple[str, dict[str, str], float]]:
        """What cAdvisor says of a host: every third one runs containers."""
        since = at - 1_700_000_000
        for place, (name, cores, memory, limit) in enumerate(_CONTAINERS if number % 3 == 0 else ()):
            labels = {"name": name, "id": f"/system.slice/docker-{place:02d}{number:04d}.scope", "image": f"{name}:1.2"}
            used = memory * (1 + 0.04 * math.sin(at / 900 + number + place))
            # One of them was killed for memory a quarter of an hour ago.
            killed = self.bad and number == 3 and name == "shop-recommendation-worker-1"
            again = self.now(at) - 900
            started = again if killed and at > again else 1_700_000_000 + 3600 * place
            yield "container_last_seen", labels, at
            yield "container_start_time_seconds", labels, started
            yield "container_cpu_usage_seconds_total", {**labels, "cpu": "total"}, cores * (at - started)
            yield "container_memory_working_set_bytes", labels, round(min(used, limit) if limit else used)
            yield "container_spec_memory_limit_bytes", labels, limit
            yield "container_oom_events_total", labels, 1 if killed and at > again else 0
            for way, factor in (("receive", 2e4), ("transmit", 5e4)):
                yield f"container_network_{way}_bytes_total", {**labels, "interface": "eth0"}, factor * cores * since

    def application(self, number: int, at: float) -> Iterator[tuple[str, dict[str, str], float]]:
        """What an instance of the application says of its requests: it runs where the role is api."""
        since, total, buckets = at - 1_700_000_000, 0.0, dict.fromkeys(BUCKETS, 0.0)
        for method, handler, rate, mean in _ENDPOINTS if self.role(number) == "api" else ():
            count, labels = rate * since, {"method": method, "handler": handler}
            total += count
            for status, share in (("2xx", 0.985), ("4xx", 0.012), ("5xx", 0.003)):
                yield "http_requests_total", {**labels, "status": status}, count * share
            yield "http_request_duration_seconds_count", labels, count
            yield "http_request_duration_seconds_sum", labels, count * mean
            for bound in BUCKETS:
                below = count * (1 - math.exp(-bound / mean))
                buckets[bound] += below
                if bound in (0.1, 0.5, 1.0):
                    yield "http_request_duration_seconds_bucket", {**labels, "le": str(bound)}, below
            yield "http_request_duration_seconds_bucket", {**labels, "le": "+Inf"}, count
        if total:
            for bound, below in buckets.items():
                yield "http_request_duration_highr_seconds_bucket", {"le": str(bound)}, below
            yield "http_request_duration_highr_seconds_bucket", {"le": "+Inf"}, total
            yield "http_request_duration_highr_seconds_count", {}, total

    def down(self, number: int, at: float) -> bool:
        """Whether a host does not answer."""
        return self.bad and number == 12 and at > self.now(at) - 900

    def alerts(self, at: float) -> Iterator[tuple[dict[str, str], float, float]]:
        """The alerts that there are at a time: labels, when each began, and when it was pending first."""
        now = self.now(at)
        for name, severities, number, ago, lasted in BAD if self.bad else ():
            began = now - ago * 60
            if number < self.hosts and began <= at and (not lasted or at < began + lasted * 60):
                for severity in severities:
                    yield self._alert(name, severity, number), began, began - 300
        for name, severities, number, ago in PENDING if self.bad else ():
            since = now - ago * 60
            for severity in severities if number < self.hosts and since <= at else ():
                yield self._alert(name, severity, number), math.inf, since
        # What never fires: it was pending for a moment, again and again.
        if self.hosts > 2 and at % 1200 < 240:
            pending = {"alertname": "HighMemoryUsage", "severity": "critical", "service": "host"}
            yield {**self.target(2), **pending}, math.inf, at - at % 1200

    def _alert(self, name: str, severity: str, number: int) -> dict[str, str]:
        """The labels of an alert about a host."""
        service, port = _SERVICES.get(name, ("host", 9100))
        target = self.target(number)
        about = {"job": JOBS[port], "instance": target["instance"].replace("9100", str(port)), **_ABOUT.get(name, {})}
        return {**target, **about, "alertname": name, "severity": severity, "service": service}

    def recorded(self, number: int, at: float) -> Iterator[tuple[str, dict[str, str], float]]:
        """What the packs of rules record of a host."""
        values: dict[str, dict[str, float]] = {}
        for name, labels, value in self.samples(number, at):
            if name in ("node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes"):
                values.setdefault("memory", {})[name] = value
            if name in ("node_filesystem_avail_bytes", "node_filesystem_size_bytes"):
                values.setdefault(labels["mountpoint"], {"device": labels["device"]})[name] = value
        memory = values.pop("memory")
        share = memory["node_memory_MemAvailable_bytes"] / memory["node_memory_MemTotal_bytes"]
        yield "instance:node_cpu_utilisation:rate5m", {}, self.busy(number, at)
        yield "instance:node_memory_utilisation:ratio", {}, 1 - share
        once = {found["device"]: mountpoint for mountpoint, found in reversed(values.items())}
        for mountpoint, found in values.items():
            if once[found["device"]] != mountpoint:
                continue
            labels = {"mountpoint": mountpoint, "device": found["device"], "fstype": "ext4"}
            free = found["node_filesystem_avail_bytes"] / found["node_filesystem_size_bytes"]
            yield "instance:node_filesystem_avail:ratio", labels, free
            yield "instance:node_filesystem_files_free:ratio", labels, 0.9


def line(name: str, labels: dict[str, str], value: float, at: float | None = None) -> str:
    """A sample in the text format."""
    inside = ",".join(f'{key}="{text}"' for key, text in labels.items() if text)
    return f"{name}{{{inside}}} {value!r}" + ("" if at is None else f" {at:.3f}") + "\n"


class _Exporter(http.server.BaseHTTPRequestHandler):
    """One page for each host: /metrics/NUMBER."""

    def do_GET(self):
        """Answer with the metrics of a host."""
        fleet, at = self.server.fleet, time.time()
        number = self.path.rpartition("/")[2]
        if not number.isdecimal() or int(number) >= fleet.hosts or fleet.down(int(number), at):
            self.send_error(503)
            return
        body = "".join(line(*sample) for sample in fleet.samples(int(number), at)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        """Say nothing of requests."""


def serve(fleet: Fleet, address: str, port: int) -> http.server.ThreadingHTTPServer:
    """A server of the hosts' pages, not yet running."""
    server = http.server.ThreadingHTTPServer((address, port), functools.partial(_Exporter))
    server.daemon_threads = True
    server.fleet = fleet
    return server


def scrape_config(fleet: Fleet, address: str) -> dict:
    """What a Prometheus needs to scrape the hosts' pages, each under the name of its own.

    :param address: address and port of the server of the pages.
    """
    groups = [
        {"targets": [address], "labels": {**fleet.target(number), "__metrics_path__": f"/metrics/{number}"}}
        for number in range(fleet.hosts)
    ]
    return {"job_name": "synthetic", "static_configs": groups}


if __name__ == "__main__":
    # Copied to a lab host: hosts, port, and `bad` for a bad night.
    serve(Fleet(int(sys.argv[1]), "bad" in sys.argv[3:]), "0.0.0.0", int(sys.argv[2])).serve_forever()
