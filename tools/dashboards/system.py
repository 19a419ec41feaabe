# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""System Overview: the machines, as node_exporter and cAdvisor tell."""

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
            title="{{instance}} has booted",
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
            about="Share of the processors in use, averaged over all of them and over 5 minutes. Waiting for a disk is no use.",
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
            about="What the processors do: user is programs, system the kernel, iowait waits for disks, steal went to other guests.",
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
            about="Share of the memory that programs can still get without swapping.",
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
            about="Share of the memory in use, caches not counted.",
        ),
        Panel(
            id=5,
            title="Container memory",
            kind="timeseries",
            width=9,
            unit="bytes",
            stack=True,
            queries=(Query('sum by (name) (container_memory_working_set_bytes{name!=""})', "{{name}}"),),
            empty="No containers: no cAdvisor is scraped",
            about="Memory of each container that the kernel cannot take back, on all hosts.",
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
            about="Share of each file system in use, by what is left for ordinary users, the fullest first."
            " Read-only ones are left out.",
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
            about="Where the data lies.",
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
            empty="None is filling up",
            about="Days until a file system is full, should it go on filling as it did within the last day.",
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
            about="Received (above) and sent (below) by each host. Bridges and the cards of containers are left out.",
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
            about="Processes that run or wait, for each core. Above 1 some wait.",
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
            empty="No disks are seen",
            about="Share of the time in which a disk had something to do.",
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
            empty="No containers: no cAdvisor is scraped",
            about="Cores that each container keeps busy, on all hosts.",
        ),
    ),
)
