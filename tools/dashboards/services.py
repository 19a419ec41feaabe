# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services beside the application and its database: Redis, NGINX, and groups of processes."""

from __future__ import annotations

from .build import (
    NAME,
    Column,
    Dashboard,
    Link,
    Panel,
    Query,
    Row,
    Variable,
    above,
    bound,
    bounds,
    firing,
    rising,
    top,
)

_CHOSEN = 'host=~"$host"'
_HOST = Column(
    "host", "Host", least=NAME, links=(Link("Host", "/d/mon-fleet?var-host=${__value.raw}&${__url_time_range}"),)
)
_UP = {"0": ("down", "red"), "1": ("up", "green")}
_BY = "by (host, instance)"
_NO_REDIS = "No redis_exporter is scraped"
_NO_NGINX = "No NGINX: nginx_exporter is not scraped"
_NO_PROCESSES = "No process_exporter is scraped"


def _redis(metric: str, how: str = "max") -> str:
    return f"{how} {_BY} (redis_{metric}{{{_CHOSEN}}})"


def _rate(metric: str, function: str = "rate", over: str = "$__rate_interval") -> str:
    return f"sum {_BY} ({function}({metric}{{{_CHOSEN}}}[{over}]))"


def _group(metric: str, function: str = "", more: str = "") -> str:
    """A metric of groups of processes, by host and group."""
    series = f"namedprocess_namegroup_{metric}{{{_CHOSEN}{more}}}"
    return f"sum by (host, groupname) ({f'{function}({series}[$__rate_interval])' if function else series})"


_HITS = _rate("redis_keyspace_hits_total")
_RATIO = f"100 * {_HITS} / ({_HITS} + {_rate('redis_keyspace_misses_total')} > 0)"
_LIMIT = f"({_redis('memory_max_bytes')} > 0)"
_DROPPED = (
    f"{_rate('nginx_connections_accepted', 'increase', '5m')} - {_rate('nginx_connections_handled', 'increase', '5m')}"
)
_STARTED = (
    f"max by (host, groupname) (changes((namedprocess_namegroup_oldest_start_time_seconds{{{_CHOSEN}}} > 0)[15m:1m]))"
)
_NAME = "{{host}}"
_GROUP = "{{host}} {{groupname}}"

DASHBOARD = Dashboard(
    uid="mon-services",
    title="Services",
    about="Redis, NGINX and groups of processes of all hosts.",
    span="6h",
    empty="No exporter of Redis, NGINX or processes is scraped",
    variables=(
        Variable(
            "host",
            "Host",
            'label_values({__name__=~"redis_up|nginx_up|namedprocess_namegroup_num_procs"}, host)',
        ),
    ),
    events=(firing("redis|nginx|processes", 'host=~"$host"'),),
    panels=(
        Row("Redis"),
        Panel(
            id=1,
            title="Redis servers",
            kind="table",
            width=24,
            height=7,
            unit="short",
            queries=(
                Query(_redis("up", "min")),
                Query(_redis("memory_used_bytes")),
                Query(f"100 * {_redis('memory_used_bytes')} / {_LIMIT}"),
                Query(_redis("connected_clients")),
                Query(f"sum {_BY} (redis_db_keys{{{_CHOSEN}}})"),
                Query(_redis("rdb_last_bgsave_status", "min")),
                Query(_redis("master_link_up", "min")),
            ),
            columns=(
                Column("Value #A", "State", 80, texts=_UP),
                _HOST,
                Column("Value #B", "Memory", 84, "bytes", 1),
                Column(
                    "Value #C",
                    "Of its limit",
                    110,
                    "percent",
                    0,
                    rising(*bounds("RedisMemoryNearLimit"), usual="transparent"),
                ),
                Column("Value #D", "Clients", 90, "short", 0),
                Column("Value #E", "Keys", 110, "short"),
                Column("Value #F", "Last snapshot", 120, texts={"0": ("failed", "red"), "1": ("ok", "green")}),
                Column("Value #G", "Link to master", 120, texts=_UP),
            ),
            sort="-Value #A",
            empty=_NO_REDIS,
            about="Servers that redis_exporter watches, those that are down first. `redis-cli INFO` on the host says the same.",
        ),
        Panel(
            id=2,
            title="Redis commands per second",
            kind="timeseries",
            width=8,
            unit="ops",
            latest=True,
            step=0.01,
            queries=(Query(_rate("redis_commands_processed_total"), _NAME),),
            empty=_NO_REDIS,
            about="Commands that each server processed. A sudden fall is more telling than a peak.",
        ),
        Panel(
            id=3,
            title="Redis memory of its limit",
            kind="timeseries",
            width=8,
            unit="percent",
            max=100,
            latest=True,
            step=0.1,
            thresholds=rising(*bounds("RedisMemoryNearLimit")),
            queries=(Query(f"100 * {_redis('memory_used_bytes')} / {_LIMIT}", _NAME),),
            empty="No Redis has a limit (maxmemory is 0), or redis_exporter is not scraped",
            about="Memory in use as a share of `maxmemory`. At the limit keys are evicted, or writes are refused.",
        ),
        Panel(
            id=4,
            title="Redis hit ratio",
            kind="timeseries",
            width=8,
            unit="percent",
            max=100,
            latest=True,
            step=0.1,
            queries=(Query(_RATIO, _NAME),),
            empty="No key was asked for, or redis_exporter is not scraped",
            about="Share of the lookups that found a key. A fall after a deployment or a restart: the cache is cold.",
        ),
        Panel(
            id=5,
            title="Redis clients and rejected connections",
            kind="timeseries",
            width=12,
            unit="short",
            latest=True,
            step=1,
            thresholds=above(bound("RedisRejectedConnections", "critical") + 1),
            queries=(
                Query(_redis("connected_clients"), "clients {{host}}"),
                Query(_rate("redis_rejected_connections_total", "increase", "5m"), "rejected (5m) {{host}}"),
            ),
            colors={"^rejected": "red"},
            empty=_NO_REDIS,
            about="Connected clients, and connections that were rejected because there were `maxclients` already.",
        ),
        Panel(
            id=6,
            title="Redis evicted and expired keys",
            kind="timeseries",
            width=12,
            unit="ops",
            latest=True,
            step=0.01,
            queries=(
                Query(_rate("redis_evicted_keys_total"), "evicted {{host}}"),
                Query(_rate("redis_expired_keys_total"), "expired {{host}}"),
            ),
            empty=_NO_REDIS,
            about="Keys that went because memory was short, and keys whose time was over.",
        ),
        Row("NGINX"),
        Panel(
            id=7,
            title="NGINX",
            kind="table",
            width=12,
            unit="short",
            queries=(Query(f"min by (host) (nginx_up{{{_CHOSEN}}})"),),
            columns=(Column("Value", "State", 80, texts=_UP), _HOST),
            sort="-Value",
            empty=_NO_NGINX,
            about="Whether nginx_exporter gets the status page, those that are down first. `curl -i` its URL on the host of the exporter.",
        ),
        Panel(
            id=8,
            title="NGINX requests per second",
            kind="timeseries",
            width=12,
            unit="reqps",
            latest=True,
            step=0.01,
            queries=(Query(_rate("nginx_http_requests_total"), _NAME),),
            empty=_NO_NGINX,
            about="Requests of each server, each scrape of its status page among them.",
        ),
        Panel(
            id=9,
            title="NGINX connections",
            kind="timeseries",
            width=12,
            unit="short",
            latest=True,
            step=1,
            queries=tuple(
                Query(f"sum by (host) (nginx_connections_{state}{{{_CHOSEN}}})", f"{state} {_NAME}")
                for state in ("active", "reading", "writing", "waiting")
            ),
            empty=_NO_NGINX,
            about="Open connections by what they do. Many that are waiting are idle clients; many that are writing, a slow backend.",
        ),
        Panel(
            id=10,
            title="NGINX dropped connections (5m)",
            kind="timeseries",
            width=12,
            unit="short",
            latest=True,
            step=1,
            thresholds=above(bound("NginxConnectionsDropped", "critical") + 1),
            queries=(Query(_DROPPED, _NAME),),
            empty=_NO_NGINX,
            about="Connections that were accepted and not handled: raise `worker_connections`.",
        ),
        Row("Processes"),
        Panel(
            id=11,
            title="Groups of processes",
            kind="table",
            width=24,
            height=10,
            unit="short",
            queries=(
                Query(_group("num_procs")),
                Query(_group("cpu_seconds_total", "rate")),
                Query(_group("memory_bytes", more=', memtype="resident"')),
                Query(_group("open_filedesc")),
                Query(f"100 * max by (host, groupname) (namedprocess_namegroup_worst_fd_ratio{{{_CHOSEN}}})"),
                Query(_group("states", more=', state="Zombie"')),
                Query(
                    f"time() - (min by (host, groupname) (namedprocess_namegroup_oldest_start_time_seconds{{{_CHOSEN}}}) > 0)"
                ),
            ),
            columns=(
                Column("Value #A", "Processes", 98, "short", 0, ((None, "red"), (1, "transparent"))),
                Column("groupname", "Group", least=NAME),
                _HOST,
                Column("Value #B", "CPU (cores)", 100, "short", 2),
                Column("Value #C", "Memory", 84, "bytes", 1),
                Column("Value #D", "Open files", 92, "short", 0),
                Column("Value #E", "Of their limit", 112, "percent", 0, above(80, "orange", usual="transparent")),
                Column("Value #F", "Zombies", 86, "short", 0, above(1, "orange", usual="transparent")),
                Column("Value #G", "Age of the oldest", 145, "s", 1),
            ),
            sort="Value #B",
            empty=_NO_PROCESSES,
            about="Groups of `process_exporter_names`, those with most CPU first. A group whose processes have ended stays, with none.",
        ),
        Panel(
            id=12,
            title="CPU by group (10 highest)",
            kind="timeseries",
            width=24,
            unit="short",
            latest=True,
            step=0.001,
            queries=(Query(top(_group("cpu_seconds_total", "rate")), _GROUP),),
            empty=_NO_PROCESSES,
            about="CPU usage in cores. The group that grew when the host's usage did is the one to look at.",
        ),
        Panel(
            id=13,
            title="Memory by group (10 highest)",
            kind="timeseries",
            width=24,
            unit="bytes",
            latest=True,
            queries=(Query(top(_group("memory_bytes", more=', memtype="resident"')), _GROUP),),
            empty=_NO_PROCESSES,
            about="Resident memory, shared pages counted in each process. A line that only rises is a leak.",
        ),
        Panel(
            id=14,
            title="Restarts by group (15m, 10 highest)",
            kind="timeseries",
            width=24,
            unit="short",
            latest=True,
            step=1,
            thresholds=above(bound("ProcessGroupRestarting", "warning") + 1, "orange"),
            queries=(Query(top(_STARTED), _GROUP),),
            empty=_NO_PROCESSES,
            about="How often the oldest process was replaced. `journalctl -u UNIT` says why it ended.",
        ),
    ),
)
