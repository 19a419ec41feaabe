# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host: one host in detail, from node_exporter and cAdvisor."""

from __future__ import annotations

from .build import (
    AT_THE_END,
    NAME,
    SHORTER,
    SINCE,
    Column,
    Dashboard,
    Event,
    Link,
    Panel,
    Query,
    Row,
    Variable,
    above,
    alert_columns,
    alerts_now,
    blocks,
    bound,
    bounds,
    cards,
    deployments,
    falling,
    files,
    firing,
    number,
    rising,
)

# What the variables choose.
_NODE = 'job=~"$job", instance=~"$instance"'
_FILES, _CARD, _BLOCK = files(_NODE), cards(_NODE), blocks(_NODE)
_BUSY = _NODE + ', mode!="idle"'
# The host of other exporters' series: they have another instance.
_HERE = f"and on (host) node_uname_info{{{_NODE}}}"
_MEMORY = bounds("HighMemoryUsage")
_DISK = bounds("HighDiskUsage")
_NO_PSI = "The kernel of this host does not report pressure"


def _rate(metric: str, chosen: str = _NODE) -> str:
    return f"rate(node_{metric}{{{chosen}}}[$__rate_interval])"


# Each file system once, however often it is mounted, as its alerts are.
_AVAILABLE = f"instance:node_filesystem_avail:ratio{{{_NODE}}}"


def _once(expr: str) -> str:
    return f"{expr} and on (job, instance, mountpoint) {_AVAILABLE}"


def _file_systems(expr: str) -> str:
    """For a table: the same labels in each query."""
    return f"max by (mountpoint, device, fstype) ({expr})"


def _number(id: int, title: str, unit: str, query: str, about: str, **more) -> Panel:  # pylint: disable=redefined-builtin
    # Words that are read in the width of three columns.
    more = {"unit": unit, "width": 3, "legend": "value", "empty": "Not scraped", **more}
    return number(id, title, query, about, **more)


def _graph(id: int, title: str, unit: str, about: str, *queries: Query, **more) -> Panel:  # pylint: disable=redefined-builtin
    more = {"width": 8, **more}
    return Panel(id=id, title=title, kind="timeseries", unit=unit, queries=queries, about=about, **more)


_HEADER = (
    _number(
        13,
        "Up",
        "short",
        # Not of a probe that has the same address.
        f"up{{{_NODE}}} and on (job) last_over_time(node_uname_info[$__range])",
        "Whether node_exporter answers. If not, what follows is the state before.",
        width=2,
        thresholds=((None, "red"), (1, "green")),
        texts={"0": ("down", "red"), "1": ("up", "green")},
    ),
    _number(
        14,
        "Operating system",
        "short",
        f"node_os_info{{{_NODE}}}",
        "Distribution and release. After its end of life there are no security updates.",
        legend="{{pretty_name}}",
        width=4,
        name_only=True,
    ),
    _number(
        15,
        "Cores",
        "short",
        f'count(node_cpu_seconds_total{{{_NODE}, mode="idle"}})',
        "CPU cores. Load per core and CPU usage are shares of these.",
        decimals=0,
    ),
    _number(
        16,
        "Memory",
        "bytes",
        f"node_memory_MemTotal_bytes{{{_NODE}}}",
        "Memory of the host. What programs may use of it is shown below.",
        decimals=0,
    ),
    _number(
        17,
        "Uptime",
        "s",
        f"node_time_seconds{{{_NODE}}} - node_boot_time_seconds{{{_NODE}}}",
        "Time since the last boot. A short one that nobody planned: `journalctl -b -1 -e` shows how the boot before ended.",
        decimals=1,
    ),
    _number(
        18,
        "Reboot",
        "short",
        f"node_reboot_required{{{_NODE}}}",
        "Whether an update waits for a reboot. The metric node_reboot_required is that of the textfile script apt.py.",
        thresholds=((None, "green"), (1, "orange")),
        texts={"0": ("no", "green"), "1": ("yes", "orange")},
        empty="Not reported",
    ),
    _number(
        19,
        "Updates",
        "short",
        f"sum(apt_upgrades_pending{{{_NODE}}}) or sum(yum_upgrades_pending{{{_NODE}}})",
        "Packages that can be upgraded. The metrics are those of the textfile scripts apt.py and yum.sh.",
        decimals=0,
        empty="Not reported",
    ),
    _number(
        20,
        "Failed",
        "short",
        f'sum(node_systemd_unit_state{{{_NODE}, state="failed"}})',
        "Units of systemd that have failed. They are listed under System; `systemctl status UNIT` says why.",
        thresholds=above(1),
        decimals=0,
        empty="Not reported",
    ),
)

_CPU = (
    Panel(
        id=1,
        title="CPU usage",
        kind="gauge",
        width=4,
        unit="percent",
        max=100,
        decimals=0,
        thresholds=rising(*bounds("HighCPUUsage")),
        queries=(Query(f"100 * instance:node_cpu_utilisation:rate5m{{{_NODE}}}", "{{host}}"),),
        about="CPU usage, averaged over all CPUs and 5 minutes. I/O wait is not counted.",
    ),
    _graph(
        2,
        "CPU by mode",
        "percent",
        "CPU time by mode: user (programs), system (kernel), iowait (waiting for disks), steal (used by other guests)."
        " Much iowait: see Disks. Much steal: ask who runs the hypervisor.",
        Query(f"100 * avg by (mode) ({_rate('cpu_seconds_total', _BUSY)})", "{{mode}}"),
        width=12,
        max=100,
        stack=True,
        step=0.1,
        latest=True,
        colors={"^user$": "blue", "^system$": "orange", "^iowait$": "red", "^steal$": "purple"},
    ),
    _graph(
        10,
        "Load per core",
        "short",
        "Running and waiting processes per CPU core, averaged over 1, 5 and 15 minutes. Above 1, some are waiting.",
        *(
            Query(
                f"node_load{minutes}{{{_NODE}}} / on (job, instance)"
                f' count by (job, instance) (node_cpu_seconds_total{{{_NODE}, mode="idle"}})',
                f"{minutes} min",
            )
            for minutes in (1, 5, 15)
        ),
        step=0.01,
        # Ours: at 1 every core has work, at 2 as much waits as runs.
        thresholds=rising(1, 2),
    ),
    _graph(
        21,
        "Pressure (PSI)",
        "percentunit",
        "Share of time in which some process waited for CPU, disks or memory. Unlike the load, it is time lost: above 10 % it is felt.",
        Query(_rate("pressure_cpu_waiting_seconds_total"), "CPU"),
        Query(_rate("pressure_io_waiting_seconds_total"), "disks"),
        Query(_rate("pressure_memory_waiting_seconds_total"), "memory"),
        step=0.001,
        empty=_NO_PSI,
    ),
    _graph(
        22,
        "Context switches and interrupts",
        "ops",
        "Switches between processes, and interrupts. A sudden rise without more work: a thread that spins, or a device.",
        Query(_rate("context_switches_total"), "context switches"),
        Query(_rate("intr_total"), "interrupts"),
    ),
    _graph(
        23,
        "Processes",
        "short",
        "Running processes, and those that are blocked by I/O. Many blocked ones: a disk or a network file system does not answer.",
        Query(f"node_procs_running{{{_NODE}}}", "running"),
        Query(f"node_procs_blocked{{{_NODE}}}", "blocked"),
        colors={"^blocked$": "red"},
    ),
)

_MEMORY_PANELS = (
    Panel(
        id=3,
        title="Memory available",
        kind="gauge",
        width=4,
        unit="percent",
        max=100,
        decimals=0,
        thresholds=falling(*(used.scaled(-1, 100) for used in _MEMORY)),
        queries=(Query(f"100 * (1 - instance:node_memory_utilisation:ratio{{{_NODE}}})", "available"),),
        about="Share of memory available to programs without swapping.",
    ),
    _graph(
        4,
        "Memory used",
        "percent",
        "Share of memory in use, without caches. A line that only rises is a leak: `ps aux --sort -rss | head`.",
        Query(f"100 * instance:node_memory_utilisation:ratio{{{_NODE}}}", "{{host}} {{instance}}"),
        max=100,
        step=0.1,
        thresholds=rising(*_MEMORY),
    ),
    _graph(
        24,
        "Memory by kind",
        "bytes",
        "Memory of programs, caches that the kernel gives back when programs need it, and what is free.",
        Query(
            f"node_memory_MemTotal_bytes{{{_NODE}}} - node_memory_MemFree_bytes{{{_NODE}}} - node_memory_Buffers_bytes{{{_NODE}}}"
            f" - node_memory_Cached_bytes{{{_NODE}}} - node_memory_SReclaimable_bytes{{{_NODE}}}",
            "programs",
        ),
        Query(
            f"node_memory_Buffers_bytes{{{_NODE}}} + node_memory_Cached_bytes{{{_NODE}}}"
            f" + node_memory_SReclaimable_bytes{{{_NODE}}}",
            "caches",
        ),
        Query(f"node_memory_MemFree_bytes{{{_NODE}}}", "free"),
        width=12,
        stack=True,
        latest=True,
        colors={"^programs$": "orange", "^caches$": "blue", "^free$": "green"},
    ),
    _graph(
        25,
        "Swap used",
        "bytes",
        "Swap space in use. A little is normal; a rise together with pressure on memory is not.",
        Query(f"node_memory_SwapTotal_bytes{{{_NODE}}} - node_memory_SwapFree_bytes{{{_NODE}}}", "used"),
        Query(f"node_memory_SwapTotal_bytes{{{_NODE}}}", "size"),
        limit="^size$",
        colors={"^size$": "red"},
    ),
    _graph(
        26,
        "Paging",
        "ops",
        "Pages swapped in and out, and major faults, which read from disk. Constant swapping in: the host needs more memory.",
        Query(_rate("vmstat_pswpin"), "swapped in"),
        Query(_rate("vmstat_pswpout"), "swapped out"),
        Query(_rate("vmstat_pgmajfault"), "major faults"),
        step=0.01,
    ),
    _graph(
        27,
        "Processes killed for memory",
        "short",
        "Processes that the kernel killed because no memory was left (OOM): `journalctl -k | grep -i oom`.",
        Query(f"increase(node_vmstat_oom_kill{{{_NODE}}}[$__rate_interval])", "killed"),
        bars=True,
        step=1,
        colors={"^killed$": "red"},
        empty="The kernel of this host does not count them",
    ),
)

_DISKS = (
    Panel(
        id=6,
        title="File systems",
        kind="table",
        width=16,
        unit="percent",
        queries=(
            Query(_file_systems(f"100 * (1 - {_AVAILABLE})")),
            Query(_file_systems(_once(f"node_filesystem_avail_bytes{{{_FILES}}}"))),
            Query(_file_systems(_once(f"node_filesystem_size_bytes{{{_FILES}}}"))),
        ),
        columns=(
            Column("mountpoint", "Mounted on", least=150),
            Column("Value #A", "Used", 90, "percent", 0, rising(*_DISK, usual="transparent")),
            Column("Value #B", "Available", 110, "bytes", 1),
            Column("Value #C", "Size", 110, "bytes", 1),
            Column("device", "Device", 150),
            Column("fstype", "Type", 80),
        ),
        sort="Value #A",
        empty="No node_exporter",
        about="Usage of each file system, by the space available to non-root users, the fullest first. A device that is mounted"
        " several times is listed once; read-only ones are left out. `du -xh --max-depth=2 MOUNTPOINT | sort -h` finds what is large.",
    ),
    Panel(
        id=8,
        title="Time until full (1d trend)",
        kind="table",
        width=8,
        unit="s",
        queries=(
            Query(
                _file_systems(
                    _once(
                        f"(node_filesystem_avail_bytes{{{_FILES}}}"
                        f" / -deriv(node_filesystem_avail_bytes{{{_FILES}}}[1d]) > 0 < 90 * 86400)"
                    )
                )
            ),
        ),
        columns=(
            Column("mountpoint", "Mounted on", least=150),
            # The milder one is ours: what is a week away can wait until morning.
            Column(
                "Value",
                "Full in",
                120,
                decimals=1,
                thresholds=falling(
                    7 * 86400, bound("DiskWillFillSoon", "warning", "hours").scaled(3600), "transparent"
                ),
            ),
        ),
        sort="-Value",
        empty="None fills up within 90 days, or no node_exporter is scraped",
        about="Time until a file system is full, if it continues to fill up as during the last day.",
    ),
    _graph(
        7,
        "Disk space used",
        "bytes",
        "Used space of each file system, each device once. Where a line turns up, find out what began then.",
        Query(
            _once(f"node_filesystem_size_bytes{{{_FILES}}} - node_filesystem_free_bytes{{{_FILES}}}"), "{{mountpoint}}"
        ),
        latest=True,
    ),
    _graph(
        28,
        "Inodes used",
        "percent",
        "Share of the inodes in use. Without any left, no file can be created, however much space is free.",
        Query(f"100 * (1 - instance:node_filesystem_files_free:ratio{{{_NODE}}})", "{{mountpoint}}"),
        max=100,
        step=0.1,
        thresholds=rising(*bounds("HighInodeUsage")),
        latest=True,
    ),
    _graph(
        11,
        "Disk busy",
        "percentunit",
        "Share of time in which a disk was busy with I/O. At 100 % a spinning disk is saturated; see the latency for others.",
        Query(_rate("disk_io_time_seconds_total", _BLOCK), "{{device}}"),
        max=1,
        step=0.001,
        empty="node_exporter reports no disks",
    ),
    _graph(
        29,
        "Disk throughput",
        "Bps",
        "Bytes read (above) and written (below).",
        Query(_rate("disk_read_bytes_total", _BLOCK), "read {{device}}"),
        Query(_rate("disk_written_bytes_total", _BLOCK), "written {{device}}"),
        mirrored="^written ",
        empty="node_exporter reports no disks",
    ),
    _graph(
        30,
        "Disk operations",
        "iops",
        "Completed reads (above) and writes (below) per second. Cloud disks have a limit of these.",
        Query(_rate("disk_reads_completed_total", _BLOCK), "read {{device}}"),
        Query(_rate("disk_writes_completed_total", _BLOCK), "written {{device}}"),
        mirrored="^written ",
        step=0.1,
        empty="node_exporter reports no disks",
    ),
    _graph(
        31,
        "Disk latency",
        "s",
        "Mean time of a read and of a write. Above 20 ms, databases become slow.",
        Query(
            f"{_rate('disk_read_time_seconds_total', _BLOCK)} / ({_rate('disk_reads_completed_total', _BLOCK)} > 0)",
            "read {{device}}",
        ),
        Query(
            f"{_rate('disk_write_time_seconds_total', _BLOCK)} / ({_rate('disk_writes_completed_total', _BLOCK)} > 0)",
            "written {{device}}",
        ),
        empty="No disk was read or written, or node_exporter is not scraped",
    ),
)

_NETWORK = (
    _graph(
        9,
        "Network traffic",
        "Bps",
        "Received (above) and sent (below) by each interface. Bridges and interfaces of containers are excluded.",
        Query(_rate("network_receive_bytes_total", _CARD), "rx {{device}}"),
        Query(_rate("network_transmit_bytes_total", _CARD), "tx {{device}}"),
        mirrored="^tx ",
    ),
    _graph(
        32,
        "Network errors and drops",
        "pps",
        "Packets with errors, and dropped ones. Errors: cable, port or driver; drops: full queues. `ip -s link` shows more.",
        *(
            Query(f"{_rate(f'network_{way}_{kind}_total', _CARD)} > 0", f"{short} {shown} {{{{device}}}}")
            for way, short in (("receive", "rx"), ("transmit", "tx"))
            for kind, shown in (("errs", "errors"), ("drop", "drops"))
        ),
        empty="No errors and no drops, or no node_exporter is scraped",
    ),
    _graph(
        33,
        "TCP connections",
        "short",
        "Established connections, and closed ones that wait (TIME-WAIT).",
        Query(f"node_netstat_Tcp_CurrEstab{{{_NODE}}}", "established"),
        Query(f"node_sockstat_TCP_tw{{{_NODE}}}", "time-wait"),
    ),
    _graph(
        34,
        "TCP retransmissions",
        "percentunit",
        "Share of the segments that were sent again. Above 1 %, the network loses packets.",
        Query(f"{_rate('netstat_Tcp_RetransSegs')} / ({_rate('netstat_Tcp_OutSegs')} > 0)", "sent again"),
        step=0.0001,
        width=12,
    ),
    _graph(
        35,
        "TCP connections opened",
        "ops",
        "Connections opened by this host and by others.",
        Query(_rate("netstat_Tcp_ActiveOpens"), "by this host"),
        Query(_rate("netstat_Tcp_PassiveOpens"), "by others"),
        step=0.01,
        width=12,
    ),
)

_SYSTEM = (
    Panel(
        id=36,
        title="Failed units",
        kind="table",
        width=8,
        unit="short",
        queries=(Query(f'node_systemd_unit_state{{{_NODE}, state="failed"}} == 1'),),
        columns=(Column("name", "Unit", least=NAME),),
        empty="No failed units, or the collector systemd is disabled",
        about="Units of systemd that have failed. `systemctl status UNIT` says why, `systemctl reset-failed UNIT` forgets it.",
    ),
    _graph(
        37,
        "File descriptors",
        "percentunit",
        "Share of the files that the kernel allows to be open. `lsof | awk '{print $1}' | sort | uniq -c | sort -n` finds who.",
        Query(f"node_filefd_allocated{{{_NODE}}} / node_filefd_maximum{{{_NODE}}}", "open files"),
        max=1,
        step=0.0001,
    ),
    _graph(
        38,
        "Clock",
        "s",
        "Difference to the time servers. `chronyc tracking` or `timedatectl timesync-status` says which they are.",
        Query(f"abs(node_timex_offset_seconds{{{_NODE}}})", "offset"),
        empty="node_exporter does not report the clock",
    ),
)

_CONTAINERS = (
    _graph(
        5,
        "Container memory",
        "bytes",
        "Working set memory of each container of this host: memory that the kernel cannot reclaim.",
        Query(f'sum by (name) (container_memory_working_set_bytes{{name!=""}} {_HERE})', "{{name}}"),
        width=12,
        stack=True,
        latest=True,
        empty="No containers on this host, or cAdvisor is not scraped",
        links=(Link("Containers", "/d/mon-containers?${__url_time_range}&var-name=${__field.labels.name}"),),
    ),
    _graph(
        12,
        "Container CPU (cores)",
        "short",
        "CPU usage of each container of this host in cores.",
        Query(
            f'sum by (name) (rate(container_cpu_usage_seconds_total{{name!=""}}[$__rate_interval]) {_HERE})', "{{name}}"
        ),
        width=12,
        stack=True,
        latest=True,
        step=0.001,
        empty="No containers on this host, or cAdvisor is not scraped",
        links=(Link("Containers", "/d/mon-containers?${__url_time_range}&var-name=${__field.labels.name}"),),
    ),
)

_ALERTS = (
    Panel(
        id=39,
        title="Firing alerts of this host",
        kind="table",
        width=12,
        height=6,
        unit=SINCE,
        queries=(Query(alerts_now("", f" {_HERE}")),),
        columns=alert_columns("mountpoint", "device", "name", "datname"),
        empty="No firing alerts",
        sort="Value",
        about="Alerts of this host that fire now. A click on the name leads to its panel and to its runbook.",
    ),
    Panel(
        id=40,
        title="Exporters of this host",
        kind="table",
        width=12,
        height=6,
        unit="short",
        queries=(
            *(
                Query(f"max by (job, instance) ({metric} {_HERE})")
                for metric in ("up", "scrape_duration_seconds", "scrape_samples_post_metric_relabeling")
            ),
        ),
        columns=(
            Column("Value #A", "State", 64, texts={"0": ("down", "red"), "1": ("up", "green")}),
            Column("job", "Job", least=200),
            Column("instance", "Instance", least=SHORTER),
            Column("Value #B", "Scrape", 94, "s", 2),
            Column("Value #C", "Samples", 84, "short", 0),
        ),
        empty="No node_exporter",
        about="Targets of this host that Prometheus scrapes. Page /targets of Prometheus shows the error of one that is down.",
    ),
)

DASHBOARD = Dashboard(
    uid="mon-system",
    title="Host",
    about="One host in detail: CPU, memory, disks, network and system, its containers, alerts and exporters.",
    span="6h",
    empty="node_exporter does not report this, or is not scraped",
    variables=(
        Variable("job", "Job", "label_values(node_uname_info, job)"),
        Variable(
            "instance",
            "Host",
            'query_result(node_uname_info{job=~"$job"})',
            # The inventory's name is shown; a target without one has its address.
            regex='/(?:host="(?<text>[^"]+)",)?instance="(?<value>[^"]+)"/',
        ),
    ),
    events=(
        firing("host", _NODE),
        deployments(),
        Event(
            name="Reboots",
            expr=f"node_boot_time_seconds{{{_NODE}}} * 1000 > $__from {AT_THE_END}",
            color="purple",
            title="{{host}} {{instance}} rebooted",
            text="",
            at_value=True,
        ),
    ),
    panels=(
        *_HEADER,
        *_ALERTS,
        Row("CPU and load"),
        *_CPU,
        Row("Memory"),
        *_MEMORY_PANELS,
        Row("Disks"),
        *_DISKS,
        Row("Network"),
        *_NETWORK,
        Row("System"),
        *_SYSTEM,
        Row("Containers"),
        *_CONTAINERS,
    ),
)
