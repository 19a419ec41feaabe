# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""System Overview: the hosts, from node_exporter and cAdvisor."""

from __future__ import annotations

from .build import DEPLOYMENTS, Dashboard, Event, Panel, Query, Variable, bounds, falling, firing, rising

# What the two variables choose.
_NODE = 'job=~"$job", instance=~"$instance"'
_DISK = _NODE + ', fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660|nsfs"'
_CARD = _NODE + ', device!~"lo|veth.*|docker.*|br-.*"'
# A file system first, then its host without the port: the end of a long name is cut off.
_MOUNTED = (r"(.*?)(?::\d+)? (\S+)", "$2 $1")

_MEMORY = bounds("HighMemoryUsage")

DASHBOARD = Dashboard(
    uid="mon-system",
    title="System Overview",
    about="CPU, memory, disks and network of the hosts, and the containers on them.",
    span="6h",
    variables=(
        Variable("job", "Job", "label_values(node_uname_info, job)"),
        Variable("instance", "Host", 'label_values(node_uname_info{job=~"$job"}, instance)'),
    ),
    events=(
        firing("host|containers"),
        DEPLOYMENTS,
        Event(
            name="Reboots",
            expr=f"node_boot_time_seconds{{{_NODE}}} * 1000 > $__from",
            color="purple",
            title="{{instance}} rebooted",
            text="",
            at_value=True,
        ),
    ),
    panels=(
        Panel(
            id=1,
            title="Current CPU",
            kind="gauge",
            width=6,
            unit="percent",
            max=100,
            decimals=0,
            thresholds=rising(*bounds("HighCPUUsage")),
            queries=(Query(f"sort_desc(100 * instance:node_cpu_utilisation:rate5m{{{_NODE}}})", "{{instance}}"),),
            about="CPU usage, averaged over all CPUs and 5 minutes. I/O wait is not counted.",
        ),
        Panel(
            id=2,
            title="CPU by mode",
            kind="timeseries",
            width=18,
            unit="percent",
            max=100,
            stack=True,
            queries=(
                Query(
                    f'100 * avg by (mode) (rate(node_cpu_seconds_total{{{_NODE}, mode!="idle"}}[$__rate_interval]))',
                    "{{mode}}",
                ),
            ),
            colors={"^user$": "blue", "^system$": "orange", "^iowait$": "red", "^steal$": "purple"},
            about="CPU time by mode: user (programs), system (kernel), iowait (waiting for disks), steal (used by other guests).",
        ),
        Panel(
            id=3,
            title="Memory available",
            kind="bargauge",
            width=6,
            unit="percent",
            max=100,
            decimals=0,
            thresholds=falling(*(100 - used for used in _MEMORY)),
            queries=(Query(f"sort(100 * (1 - instance:node_memory_utilisation:ratio{{{_NODE}}}))", "{{instance}}"),),
            about="Share of memory available to programs without swapping.",
        ),
        Panel(
            id=4,
            title="Memory used",
            kind="timeseries",
            width=9,
            unit="percent",
            max=100,
            latest=True,
            thresholds=rising(*_MEMORY),
            queries=(Query(f"100 * instance:node_memory_utilisation:ratio{{{_NODE}}}", "{{instance}}"),),
            about="Share of memory in use, without caches.",
        ),
        Panel(
            id=5,
            title="Container memory",
            kind="timeseries",
            width=9,
            unit="bytes",
            stack=True,
            queries=(Query('sum by (name) (container_memory_working_set_bytes{name!=""})', "{{name}}"),),
            empty="No containers: cAdvisor is not scraped",
            about="Working set memory of each container, on all hosts: memory that the kernel cannot reclaim.",
        ),
        Panel(
            id=6,
            title="Disk usage by partition",
            kind="bargauge",
            width=6,
            unit="percent",
            max=100,
            decimals=0,
            thresholds=rising(*bounds("HighDiskUsage")),
            queries=(
                Query(
                    f"sort_desc(100 * (1 - instance:node_filesystem_avail:ratio{{{_NODE}}}))",
                    "{{instance}} {{mountpoint}}",
                ),
            ),
            renamed=_MOUNTED,
            tall=True,
            about="Usage of each file system, by the space available to non-root users, the fullest first."
            " Without read-only file systems.",
        ),
        Panel(
            id=7,
            title="Disk space used by partition",
            kind="piechart",
            width=5,
            unit="bytes",
            queries=(
                Query(
                    f"node_filesystem_size_bytes{{{_DISK}}} - node_filesystem_avail_bytes{{{_NODE}}}",
                    "{{instance}} {{mountpoint}}",
                ),
            ),
            renamed=_MOUNTED,
            about="Distribution of the used space over the file systems.",
        ),
        Panel(
            id=8,
            title="Days until full (1d trend)",
            kind="bargauge",
            width=5,
            unit="d",
            decimals=0,
            max=90,
            # Ours: the alert counts in hours, and what is a week away can wait until morning.
            thresholds=falling(30, 7),
            queries=(
                Query(
                    f"sort((node_filesystem_avail_bytes{{{_DISK}}}"
                    f" / -deriv(node_filesystem_avail_bytes{{{_NODE}}}[1d])) / 86400 > 0)",
                    "{{instance}} {{mountpoint}}",
                ),
            ),
            renamed=_MOUNTED,
            tall=True,
            empty="No file system is filling up",
            about="Days until a file system is full, if it continues to fill up as during the last day.",
        ),
        Panel(
            id=9,
            title="Network I/O",
            kind="timeseries",
            width=8,
            unit="Bps",
            mirrored="^tx ",
            queries=(
                Query(
                    f"sum by (instance) (rate(node_network_receive_bytes_total{{{_CARD}}}[$__rate_interval]))",
                    "rx {{instance}}",
                ),
                Query(
                    f"sum by (instance) (rate(node_network_transmit_bytes_total{{{_CARD}}}[$__rate_interval]))",
                    "tx {{instance}}",
                ),
            ),
            about="Received (above) and sent (below) by each host. Bridges and container interfaces are excluded.",
        ),
        Panel(
            id=10,
            title="Load per core",
            kind="timeseries",
            width=8,
            unit="short",
            latest=True,
            # Ours: at 1 every core has work, at 2 as much waits as runs.
            thresholds=rising(1, 2),
            queries=(
                Query(
                    f"node_load1{{{_NODE}}} / on (job, instance)"
                    f' count by (job, instance) (node_cpu_seconds_total{{{_NODE}, mode="idle"}})',
                    "{{instance}}",
                ),
            ),
            about="Running and waiting processes per CPU core. Above 1, some are waiting.",
        ),
        Panel(
            id=11,
            title="Disk busy",
            kind="timeseries",
            width=8,
            unit="percentunit",
            max=1,
            queries=(
                Query(
                    f'rate(node_disk_io_time_seconds_total{{{_NODE}, device!~"loop.*|ram.*"}}[$__rate_interval])',
                    "{{instance}} {{device}}",
                ),
            ),
            empty="No disk metrics",
            about="Share of time in which a disk was busy with I/O.",
        ),
        Panel(
            id=12,
            title="Container CPU (cores)",
            kind="timeseries",
            width=8,
            unit="short",
            stack=True,
            queries=(
                Query(
                    'sum by (name) (rate(container_cpu_usage_seconds_total{name!=""}[$__rate_interval]))', "{{name}}"
                ),
            ),
            empty="No containers: cAdvisor is not scraped",
            about="CPU usage of each container in cores, on all hosts.",
        ),
    ),
)
