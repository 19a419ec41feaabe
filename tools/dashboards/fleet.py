# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleet Overview: all hosts in a table, those in trouble first, and the ten highest of each resource."""

from __future__ import annotations

from .build import (
    FIRING,
    NAME,
    Column,
    Dashboard,
    Link,
    Panel,
    Query,
    Variable,
    above,
    blocks,
    bound,
    bounds,
    cards,
    counted,
    files,
    named,
    number,
    of_severity,
    rising,
    top,
    warnings,
)

_NODE = 'job=~"$job", host=~"$host"'
_FILES, _CARD, _BLOCK = files(_NODE), cards(_NODE), blocks(_NODE)
# Whether they answer or not: node_exporter's jobs are those that have ever named a kernel in the time range.
_UP = f"up{{{_NODE}}} and on (job) count by (job) (last_over_time(node_uname_info[$__range]))"
_FIRING = f'{FIRING}, host=~"$host"'


def _per_host(expr: str, how: str = "max") -> str:
    return f"{how} by (name) ({named(expr)})"


_ALERTS = {
    "critical": named(of_severity("critical", _FIRING)),
    "warning": named(f"({warnings(_FIRING)})"),
}
_LEFT = f"node_filesystem_avail_bytes{{{_FILES}}} / -deriv(node_filesystem_avail_bytes{{{_FILES}}}[1d])"
_LOAD = (
    f"node_load1{{{_NODE}}} / on (job, instance) group_left ()"
    f' count by (job, instance) (node_cpu_seconds_total{{{_NODE}, mode="idle"}})'
)
_ERRORS = (
    f"sum without (device) (rate(node_network_receive_errs_total{{{_CARD}}}[$__rate_interval])"
    f" + rate(node_network_transmit_errs_total{{{_CARD}}}[$__rate_interval]))"
)
_CPU, _MEMORY, _DISK = (
    f"100 * instance:node_cpu_utilisation:rate5m{{{_NODE}}}",
    f"100 * instance:node_memory_utilisation:ratio{{{_NODE}}}",
    f"100 * (1 - instance:node_filesystem_avail:ratio{{{_NODE}}})",
)
# What is beyond a threshold of this inventory, and not yet for long enough to fire.
_PENDING = 'alertstate="pending", severity="{}", host=~"$host"'


def _score(points: int, alerts: str) -> str:
    """Points for each alert of a host; none where it has none."""
    return f"({points} * count by (name) ({alerts}) or 0 * {_per_host(f'({_UP})')})"


def _of(resource: str, expr: str) -> str:
    """With a label, so that `or` takes it for another series than that of another resource."""
    return f'label_replace({expr}, "resource", "{resource}", "", "")'


_USAGE = f"({_of('cpu', _CPU)} or {_of('memory', _MEMORY)} or {_DISK})"
# A host that is down comes first; then each alert counts, and where they are equal, the fullest resource.
_TROUBLE = " + on (name) ".join(
    (
        f"1000 * (1 - {_per_host(f'({_UP})', 'min')})",
        _score(100, _ALERTS["critical"]),
        _score(30, named(f"ALERTS{{{_PENDING.format('critical')}}}")),
        _score(10, _ALERTS["warning"]),
        _score(3, named(f"ALERTS{{{_PENDING.format('warning')}}}")),
        f"({_per_host(_USAGE)} / 100 or 0 * {_per_host(f'({_UP})')})",
    )
)
_TO_THE_HOST = Link(
    "Host", "/d/mon-system?var-instance=${__data.fields.instance}&var-job=${__data.fields.job}&${__url_time_range}"
)
_OF_SERIES = Link(
    "Host", "/d/mon-system?var-instance=${__field.labels.instance}&var-job=${__field.labels.job}&${__url_time_range}"
)
_NAMED = "{{name}}"


def _graph(id: int, title: str, unit: str, expr: str, about: str, **more) -> Panel:  # pylint: disable=redefined-builtin
    """The ten highest hosts."""
    legend = more.pop("legend", _NAMED)
    return Panel(
        id=id,
        title=title,
        kind="timeseries",
        width=12,
        # Names stand below the graph.
        height=10,
        unit=unit,
        latest=True,
        queries=(Query(named(f"({expr})"), legend),),
        links=(_OF_SERIES,),
        about=about,
        **more,
    )


DASHBOARD = Dashboard(
    uid="mon-fleet",
    title="Fleet Overview",
    about="All hosts at a glance, those in trouble first. A click on a host leads to its page.",
    span="3h",
    empty="No node_exporter is scraped",
    variables=(
        Variable("job", "Job", "label_values(node_uname_info, job)"),
        Variable("host", "Host", 'label_values(node_uname_info{job=~"$job"}, host)'),
    ),
    # Marks of a whole fleet would bury its graphs.
    events=(),
    panels=(
        number(
            1,
            "Hosts",
            f"count({_UP})",
            "Hosts with a node_exporter. If one is missing, it is not in the inventory's group node_exporter.",
            legend="hosts",
            decimals=0,
        ),
        number(
            2,
            "Hosts down",
            counted(f"({_UP}) == 0", _UP),
            "Hosts whose node_exporter does not answer. They are the first ones in the table.",
            legend="down",
            thresholds=above(1),
            decimals=0,
        ),
        number(
            3,
            "Hosts critical",
            counted(f"count by (name) ({_ALERTS['critical']})", _UP),
            "Hosts with at least one critical alert that fires now.",
            legend="critical",
            thresholds=above(1),
            decimals=0,
        ),
        number(
            4,
            "Hosts warning",
            counted(f"count by (name) ({_ALERTS['warning']})", _UP),
            "Hosts with at least one warning that fires now, and is not critical as well.",
            legend="warnings",
            thresholds=above(1, "orange"),
            decimals=0,
        ),
        number(
            5,
            "CPU cores in use",
            f'sum(rate(node_cpu_seconds_total{{{_NODE}, mode!~"idle|iowait"}}[$__rate_interval]))'
            f' / count(node_cpu_seconds_total{{{_NODE}, mode="idle"}})',
            "Share of all cores of the fleet that is in use. A single busy host does not show here: see the table.",
            legend="in use",
            unit="percentunit",
            decimals=0,
        ),
        number(
            6,
            "Memory in use",
            f"1 - sum(node_memory_MemAvailable_bytes{{{_NODE}}}) / sum(node_memory_MemTotal_bytes{{{_NODE}}})",
            "Share of all memory of the fleet that is in use. A single host does not show here: see the table.",
            legend="in use",
            unit="percentunit",
            decimals=0,
        ),
        Panel(
            id=7,
            title="Hosts, those in trouble first",
            kind="table",
            width=24,
            height=18,
            unit="short",
            queries=(
                Query(f"max by (name, job, instance, role, environment) ({named(f'({_UP})')})"),
                Query(f"count by (name) ({_ALERTS['critical']})"),
                Query(f"count by (name) ({_ALERTS['warning']})"),
                Query(_per_host(f"({_CPU})")),
                Query(_per_host(f"({_MEMORY})")),
                Query(_per_host(f"({_DISK})")),
                Query(f"min by (name) ({named(f'({_LEFT} > 0 < 90 * 86400)')})"),
                Query(_per_host(f"({_LOAD})")),
                Query(f"{_per_host(_ERRORS)} > 0"),
                Query(_per_host(f"(node_time_seconds{{{_NODE}}} - node_boot_time_seconds{{{_NODE}}})")),
                Query(_TROUBLE),
            ),
            columns=(
                # First, because a phone shows it beside a name of 40 letters.
                Column("Value #A", "Up", 46, texts={"0": ("down", "red"), "1": ("up", "green")}),
                Column("name", "Host", least=NAME, links=(_TO_THE_HOST,)),
                Column("Value #B", "Critical", 68, "short", 0, ((None, "transparent"), (1, "red"))),
                Column("Value #C", "Warning", 76, "short", 0, ((None, "transparent"), (1, "orange"))),
                Column("Value #D", "CPU", 56, "percent", 0, rising(*bounds("HighCPUUsage"), usual="transparent")),
                Column("Value #E", "Memory", 72, "percent", 0, rising(*bounds("HighMemoryUsage"), usual="transparent")),
                # The fullest one.
                Column("Value #F", "Disk", 60, "percent", 0, rising(*bounds("HighDiskUsage"), usual="transparent")),
                Column(
                    "Value #G",
                    "Full in",
                    80,
                    "s",
                    1,
                    (
                        (None, "red"),
                        (bound("DiskWillFillSoon", "critical", "hours").scaled(3600), "orange"),
                        (bound("DiskWillFillSoon", "warning", "hours").scaled(3600), "transparent"),
                    ),
                ),
                # Ours: at 1 every core has work, at 2 as much waits as runs.
                Column("Value #H", "Load", 60, "short", 2, rising(1, 2, usual="transparent")),
                Column("Value #I", "Net errors", 88, "pps", 1, ((None, "transparent"), (0.1, "orange"))),
                Column("Value #J", "Uptime", 80, "s", 1),
                Column("role", "Role", 70),
                Column("environment", "Environment", 102),
                Column("instance", "instance", hidden=True),
                Column("job", "job", hidden=True),
                Column("Value #K", "trouble", hidden=True),
            ),
            sort="Value #K",
            about="A host that is down comes first, then those with critical alerts, those beyond a critical threshold for not yet long"
            " enough, those with warnings, and then by usage. Disk is the fullest one, load that per core. Cells have the colors of the"
            " alerts. Role and environment are the labels of these names, from monitoring_labels.",
        ),
        _graph(
            8,
            "CPU usage (10 highest)",
            "percent",
            top(_CPU, of=f"instance:node_cpu_utilisation:rate5m{{{_NODE}}}"),
            "The ten hosts with the highest peak in the time range.",
            max=100,
            step=0.1,
            thresholds=rising(*bounds("HighCPUUsage")),
        ),
        _graph(
            9,
            "Memory used (10 highest)",
            "percent",
            top(_MEMORY, of=f"instance:node_memory_utilisation:ratio{{{_NODE}}}"),
            "The ten hosts with the highest peak in the time range.",
            max=100,
            step=0.1,
            thresholds=rising(*bounds("HighMemoryUsage")),
        ),
        _graph(
            10,
            "Disk usage (10 fullest)",
            "percent",
            top(_DISK, over="-min_over_time", of=f"instance:node_filesystem_avail:ratio{{{_NODE}}}"),
            "The ten fullest file systems in the time range, each once, however often it is mounted.",
            max=100,
            step=0.1,
            legend="{{name}} {{mountpoint}}",
            thresholds=rising(*bounds("HighDiskUsage")),
        ),
        _graph(
            11,
            "Load per core (10 highest)",
            "short",
            top(_LOAD),
            "Running and waiting processes per CPU core. Above 1, some are waiting.",
            step=0.01,
            thresholds=rising(1, 2),
        ),
        _graph(
            12,
            "Network traffic (10 highest)",
            "Bps",
            top(
                f"sum without (device) (rate(node_network_receive_bytes_total{{{_CARD}}}[$__rate_interval])"
                f" + rate(node_network_transmit_bytes_total{{{_CARD}}}[$__rate_interval]))"
            ),
            "Received and sent by each host, without bridges and interfaces of containers.",
        ),
        _graph(
            13,
            "Disk busy (10 highest)",
            "percentunit",
            top(f"rate(node_disk_io_time_seconds_total{{{_BLOCK}}}[$__rate_interval])"),
            "Share of time in which a disk was busy with I/O.",
            max=1,
            step=0.001,
            legend="{{name}} {{device}}",
        ),
    ),
)
