# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A week that ended in a bad night, as OpenMetrics, and a real Prometheus that has it in its database."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import time
import urllib.request
from pathlib import Path

from lab import mirror
from lab.loopback import free_port

DAY, HOUR, MINUTE = 86400, 3600, 60
GIB = 1 << 30
STEP = 60
DAYS = 8
# What a label may hold; it ends up on a screen, in Markdown and in HTML.
HOSTILE = '"><img src=x onerror=alert(1)>|`*_[x](javascript:alert(2))\x1b[31m\u202e'

RULES = {
    "groups": [
        {
            "name": "demo",
            "rules": [
                {"alert": "Watchdog", "expr": "vector(1)", "labels": {"severity": "none"}},
                {"alert": "HighLoad", "expr": "node_load1 > 4", "for": "5m", "labels": {"severity": "warning"}},
                {"alert": "HighLoad", "expr": "node_load1 > 12", "for": "5m", "labels": {"severity": "critical"}},
                {"alert": "CacheHitLow", "expr": "cache_hits < 95", "labels": {"severity": "warning"}},
                {"alert": "TargetDown", "expr": "up == 0", "for": "1h", "labels": {"severity": "warning"}},
                {
                    "alert": "DiskFillsSoon",
                    "expr": "node_load1 > 90 and node_load1 > 1",
                    "labels": {"severity": "info"},
                },
            ],
        }
    ]
}


def label(text):
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Data:
    """Samples by metric and labels, written as OpenMetrics."""

    def __init__(self, end):
        self.end = end
        self.families = {}

    def add(self, name, labels, value, start=DAYS * DAY, stop=0, step=STEP):
        """A series from ``start`` seconds before the end to ``stop`` before it; value is a function of the time."""
        text = ",".join(f'{key}="{label(value)}"' for key, value in labels.items())
        lines = self.families.setdefault(name, [])
        for at in range(self.end - start, self.end - stop + 1, step):
            lines.append(f"{name}{{{text}}} {value(at)} {at}")

    def fires(self, alert, severity, labels, start, stop, pending=0):
        """An alert that fires from ``start`` seconds before the end to ``stop`` before it, after a time of pending."""
        labels = {"alertname": alert, **labels, "severity": severity}
        active = self.end - start - pending
        if pending:
            self.add("ALERTS", {**labels, "alertstate": "pending"}, lambda at: 1, start + pending, start + 1)
        self.add("ALERTS", {**labels, "alertstate": "firing"}, lambda at: 1, start, stop)
        self.add("ALERTS_FOR_STATE", labels, lambda at: active, start + pending, stop)

    def write(self, path):
        with open(path, "w", encoding="utf-8") as stream:
            for name, lines in self.families.items():
                stream.write(f"# TYPE {name} gauge\n")
                stream.write("\n".join(lines) + "\n")
            stream.write("# EOF\n")


def bad_night(end):
    """The week: PostgreSQL went down 20 minutes ago and its disk fills; a loaded web server; one forgotten backup."""
    data = Data(end)
    for host in ("web1", "db1"):
        node = {"job": "node", "instance": f"{host}:9100"}
        gone = (end - 7 * HOUR, end - 6 * HOUR) if host == "web1" else (0, 0)
        data.add("up", node, lambda at, gone=gone: int(not gone[0] <= at < gone[1]), DAY)
        data.add(
            "node_exporter_build_info", {**node, "version": "1.11.1" if host == "web1" else "1.9.0"}, lambda at: 1, 600
        )
        if host == "web1":
            # It was upgraded in the night.
            data.add(
                "node_exporter_build_info", {**node, "version": "1.8.2"}, lambda at: 1, 2 * DAY, 5 * HOUR, step=240
            )
        data.add("cadvisor_version_info", {**node, "cadvisorVersion": "v0.60.3"}, lambda at: 1, 600)
        data.add(
            "process_start_time_seconds",
            node,
            lambda at, host=host: 1.7e9 + (at > end - HOUR) * 1e6 * (host == "web1"),
            DAY,
        )
        # Half of each CPU is used, and for an hour of the night nine tenths.
        for cpu in ("0", "1"):
            data.add("node_cpu_seconds_total", {**node, "mode": "idle", "cpu": cpu}, lambda at: 1, DAY)
            labels = {**node, "mode": "user", "cpu": cpu}
            data.add("node_cpu_seconds_total", labels, lambda at, host=host: busy(at - end, host == "db1"), DAY)
        data.add("node_memory_MemTotal_bytes", node, lambda at: 8 * GIB, DAY, step=240)
        data.add(
            "node_memory_MemAvailable_bytes",
            node,
            lambda at, host=host: (6 if host == "web1" else 1) * GIB,
            DAY,
            step=240,
        )
    data.add("up", {"job": "node", "instance": "old1:9100"}, lambda at: 1, 3 * DAY, 20 * HOUR, step=240)
    spikes = {"web1": ((26 * HOUR, 20), (8 * HOUR, 10), (5 * HOUR, 3)), "db1": ()}
    for host, times in spikes.items():
        inside = [(end - start, end - start + minutes * MINUTE) for start, minutes in times]
        data.add(
            "node_load1",
            {"job": "node", "instance": f"{host}:9100"},
            lambda at, inside=inside: 9 if any(a <= at < b for a, b in inside) else 1.5 + math.sin(at / 7000) / 2,
        )
    # An hour of each day, and never the hour in which the test happens to run: rules look at it as well.
    data.add("cache_hits", {"job": "db", "datname": "shop"}, lambda at: 99 - ((end - at) % DAY // HOUR == 11) * 9)
    disk(data, "web1", "/", 40 * GIB, lambda at: 22 * GIB + 0.2 * GIB * math.sin(at / 9000))
    disk(data, "web1", "/run", 4 * GIB, lambda at: 0.1 * GIB, fstype="tmpfs")
    disk(data, "web1", "/media/image", 4 * GIB, lambda at: 0, readonly=1)
    # 2 GiB a day, 6.4 GiB left: full in 3.2 days.
    disk(data, "db1", "/var/lib/postgresql", 100 * GIB, lambda at: 6.4 * GIB + 2 * GIB * (end - at) / DAY)
    disk(data, "db1", "/", 20 * GIB, lambda at: 14 * GIB - 0.05 * GIB * (end - at) / DAY)
    for name, host, age in (("postgresql", "db1", 2 * HOUR), ("files", "web1", 40 * HOUR)):
        data.add(
            "backup_last_success_timestamp_seconds",
            {"job": "node", "instance": f"{host}:9100", "backup": name},
            lambda at, age=age: end - age - DAY * max(0, math.ceil((end - age - at) / DAY)),
        )
    database = {"job": "node", "instance": "db1:9100", "backup": "postgresql"}
    data.add("backup_size_bytes", database, lambda at: 5 * GIB, 600)
    data.add("backup_last_check_success", database, lambda at: 1, 600)
    elsewhere = {"job": "node", "instance": "web1:9100", "backup": "postgresql"}
    data.add("monitoring_restore_test_success_timestamp_seconds", elsewhere, lambda at: end - 9 * DAY, 600)
    # As the module restore_test writes them.
    one = {**elsewhere, "service": "prometheus"}
    for name, labels, value in (
        ("snapshot_timestamp_seconds", {**elsewhere, "snapshot": "abcd0001"}, end - 9 * DAY - 2 * HOUR),
        ("size_bytes", one, 3 * GIB),
        ("duration_seconds", one, 41),
        ("items", {**one, "what": "rules", "of": "restored"}, 60),
        ("items", {**one, "what": "rules", "of": "running"}, 61),
    ):
        data.add("monitoring_restore_test_" + name, labels, lambda at, value=value: value, 600)
    web = {"job": "node", "instance": "web1:9100", "service": "host"}
    data.fires("HighLoad", "warning", web, 8 * HOUR - 300, 8 * HOUR - 600, pending=300)
    data.fires("HighLoad", "warning", web, 5 * HOUR, 5 * HOUR - 180)
    data.fires(
        "HighDiskUsage", "critical", {**web, "instance": "db1:9100", "mountpoint": "/var/lib/postgresql"}, 30 * HOUR, 0
    )
    data.fires(
        "PostgresDown", "critical", {"job": "postgresql", "instance": "db1:9187", "service": "database"}, 20 * MINUTE, 0
    )
    data.fires("ProbeFailed", "warning", {"job": "probe", "instance": HOSTILE}, 10 * HOUR, 10 * HOUR - 900)
    data.fires("OnlyPending", "warning", web, 0, 60, pending=600)
    return data


def busy(at, hard):
    """Seconds that a CPU was in use until a time before the end of the night."""
    return 10 * DAY + at / 2 + (0.4 * max(0, min(at + 4 * HOUR, HOUR)) if hard else 0)


def disk(data, host, mountpoint, size, avail, fstype="ext4", readonly=0):
    labels = {
        "job": "node",
        "instance": f"{host}:9100",
        "device": "/dev/vda1",
        "fstype": fstype,
        "mountpoint": mountpoint,
    }
    data.add("node_filesystem_size_bytes", labels, lambda at: size, step=600)
    data.add("node_filesystem_avail_bytes", labels, lambda at: int(avail(at)), step=600)
    data.add("node_filesystem_readonly", labels, lambda at: readonly, step=600)


def binaries(folder):
    """The newest prometheus and promtool of the mirror, unpacked."""
    mirror.ensure()
    return mirror.unpack("prometheus", "new", folder)


@contextlib.contextmanager
def prometheus(programs: Path, folder: Path, data=None, rules=None, flags=(), web=None, path=""):
    """A running Prometheus with this data in its blocks, that scrapes itself and a target that is down; its address."""
    address = f"127.0.0.1:{free_port()}"
    database = folder / "data"
    database.mkdir()
    if data:
        data.write(folder / "night.om")
        subprocess.run(
            [programs / "promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=240h", "-q"]
            + [folder / "night.om", database],
            check=True,
            capture_output=True,
        )
    access = web or {}
    config = {
        "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
        "rule_files": [f"{folder}/rules.yml"] if rules else [],
        "scrape_configs": [
            {
                "job_name": "prometheus",
                "metrics_path": f"{path}/metrics",
                "static_configs": [{"targets": [address]}],
                **access,
            },
            {"job_name": "lost", "static_configs": [{"targets": ["127.0.0.1:9"]}]},
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    (folder / "rules.yml").write_text(json.dumps(rules or {}))
    with open(folder / "log", "w+") as log:
        process = subprocess.Popen(
            [programs / "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={database}"]
            + [f"--web.listen-address={address}", *flags],
            stdout=log,
            stderr=log,
        )
        try:
            until = time.monotonic() + 60
            while not answers(f"http://{address}{path}/api/v1/query?query=up%7Bjob=%22prometheus%22%7D==1") and not web:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until, (folder / "log").read_text()
                time.sleep(0.1)
            yield address
        finally:
            process.terminate()
            process.wait(20)


def answers(url):
    """Whether there is a sample."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as reply:
        return '"value"' in reply.read().decode()
    return False


def now():
    """The minute that has just ended."""
    return int(time.time()) // 60 * 60
