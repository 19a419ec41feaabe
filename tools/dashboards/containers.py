# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers: those of all hosts, from cAdvisor."""

from __future__ import annotations

from .build import (
    NAME,
    Column,
    Dashboard,
    Link,
    Panel,
    Query,
    Variable,
    above,
    bound,
    bounds,
    deployments,
    firing,
    rising,
    top,
)

_CHOSEN = 'name!="", host=~"$host", name=~"$name"'
_NO_CONTAINERS = "No containers, or no cAdvisor is scraped"
_BY = "by (host, name)"


def _sum(metric: str, how: str = "sum") -> str:
    return f"{how} {_BY} (container_{metric}{{{_CHOSEN}}})"


def _counted(metric: str, function: str = "increase", over: str = "$__rate_interval", how: str = "sum") -> str:
    return f"{how} {_BY} ({function}(container_{metric}{{{_CHOSEN}}}[{over}]))"


def _happened(metric: str, function: str, how: str) -> str:
    """How often within one step: that of a time in which there are enough samples, without what was there one step ago."""
    series = f"container_{metric}{{{_CHOSEN}}}[$__rate_interval]"
    return f"{how} {_BY} ({function}({series}) - {function}({series} offset $__interval)) > 0.5"


_LIMIT = f"(max {_BY} (container_spec_memory_limit_bytes{{{_CHOSEN}}}) > 0)"
_OF_LIMIT = f"100 * {_sum('memory_working_set_bytes', 'max')} / {_LIMIT}"
_STARTS = (
    f"{_counted('cpu_usage_seconds_total', 'resets', '1h', 'max')}"
    f" or {_counted('start_time_seconds', 'changes', '1h', 'max')}"
)
_KILLS = _counted("oom_events_total", "increase", "1h")
_SEEN = _sum("last_seen", "max")
# One that is gone comes first; then those that were killed for memory, those that were started, and those that are near their limit.
_TROUBLE = " + ".join(
    (
        f"1000 * (time() - {_SEEN} > bool {bound('ContainerDown', 'critical'):g})",
        f"100 * ({_KILLS} > bool 0 or 0 * {_SEEN})",
        f"10 * (({_STARTS}) > bool 0 or 0 * {_SEEN})",
        f"({_OF_LIMIT} / 100 or 0 * {_SEEN})",
        # Less than all of these: of others, those with most memory.
        f"{_sum('memory_working_set_bytes')} / 1e18",
    )
)
_NAMES = "{{name}} {{host}}"
_HOST = Link("Host", "/d/mon-fleet?var-host=${__data.fields.Host}&${__url_time_range}")

DASHBOARD = Dashboard(
    uid="mon-containers",
    title="Containers",
    about="Containers of all hosts: what runs, what it uses, what was started anew or killed.",
    span="6h",
    empty=_NO_CONTAINERS,
    variables=(
        Variable("host", "Host", 'label_values(container_last_seen{name!=""}, host)'),
        Variable("name", "Container", 'label_values(container_last_seen{name!="", host=~"$host"}, name)'),
    ),
    events=(firing("containers", 'host=~"$host", name=~"$name"'), deployments()),
    panels=(
        Panel(
            id=1,
            title="Containers, those in trouble first",
            kind="table",
            width=24,
            height=12,
            unit="short",
            queries=(
                Query(f"time() - {_SEEN}"),
                Query(_counted("cpu_usage_seconds_total", "rate")),
                Query(_sum("memory_working_set_bytes")),
                Query(_OF_LIMIT),
                Query(_STARTS),
                Query(_KILLS),
                Query(f"time() - {_sum('start_time_seconds', 'max')}"),
                Query(_TROUBLE),
            ),
            columns=(
                Column(
                    "name",
                    "Container",
                    least=312,
                    links=(Link("This one alone", "?var-name=${__value.raw}&${__url_time_range}"),),
                ),
                Column("host", "Host", least=NAME, links=(_HOST,)),
                Column("Value #A", "Seen", 64, "s", 0, above(bound("ContainerDown", "critical"), usual="transparent")),
                Column("Value #B", "Cores", 66, "short", 2),
                Column("Value #C", "Memory", 84, "bytes", 1),
                Column(
                    "Value #D",
                    "Of limit",
                    78,
                    "percent",
                    0,
                    rising(*bounds("ContainerMemoryNearLimit"), usual="transparent"),
                ),
                Column("Value #E", "Starts (1h)", 90, "short", 0, above(1, "orange", usual="transparent")),
                Column("Value #F", "OOM (1h)", 84, "short", 0, above(1, usual="transparent")),
                Column("Value #G", "Age", 82, "s", 1),
                Column("Value #H", "trouble", hidden=True),
            ),
            sort="Value #H",
            empty="No containers, or no cAdvisor",
            about="Containers with a name: first those that cAdvisor has not seen for long, that were killed for memory (OOM) or started"
            " within an hour, and that are near their limit. `docker logs --tail 50 NAME` shows the end of a log.",
        ),
        Panel(
            id=2,
            title="Memory of its limit (10 highest)",
            kind="timeseries",
            width=12,
            height=10,
            unit="percent",
            max=100,
            latest=True,
            step=0.1,
            thresholds=rising(*bounds("ContainerMemoryNearLimit")),
            queries=(Query(top(_OF_LIMIT), _NAMES),),
            empty="No container has a memory limit, or cAdvisor is not scraped",
            about="Working set memory as a share of the limit. At 100 % the kernel kills a process of the container.",
        ),
        Panel(
            id=3,
            title="Memory (10 highest)",
            kind="timeseries",
            width=12,
            height=10,
            unit="bytes",
            latest=True,
            queries=(Query(top(_sum("memory_working_set_bytes")), _NAMES),),
            about="Working set memory of a container: memory that the kernel cannot reclaim.",
        ),
        Panel(
            id=4,
            title="CPU (10 highest)",
            kind="timeseries",
            width=12,
            height=10,
            unit="short",
            latest=True,
            step=0.001,
            queries=(Query(top(_counted("cpu_usage_seconds_total", "rate")), _NAMES),),
            about="CPU usage of a container in cores.",
        ),
        Panel(
            id=5,
            title="Starts and OOM kills",
            kind="timeseries",
            width=12,
            height=10,
            unit="short",
            bars=True,
            step=1,
            queries=(
                Query(_happened("cpu_usage_seconds_total", "resets", "max"), "started {{name}} {{host}}"),
                Query(_happened("oom_events_total", "increase", "sum"), "killed {{name}} {{host}}"),
            ),
            colors={"^killed": "red", "^started": "orange"},
            empty="No container was started anew or killed, or cAdvisor is not scraped",
            about="Starts, seen by the CPU time that begins anew, and processes that the kernel killed for memory.",
        ),
        Panel(
            id=6,
            title="Network received (10 highest)",
            kind="timeseries",
            width=12,
            height=10,
            unit="Bps",
            latest=True,
            queries=(Query(top(_counted("network_receive_bytes_total", "rate")), _NAMES),),
            empty="No network metrics of containers, or cAdvisor is not scraped",
            about="Bytes that a container receives. Those of the host's network have no such metric.",
        ),
        Panel(
            id=7,
            title="Network sent (10 highest)",
            kind="timeseries",
            width=12,
            height=10,
            unit="Bps",
            latest=True,
            queries=(Query(top(_counted("network_transmit_bytes_total", "rate")), _NAMES),),
            empty="No network metrics of containers, or cAdvisor is not scraped",
            about="Bytes that a container sends. Those of the host's network have no such metric.",
        ),
    ),
)
