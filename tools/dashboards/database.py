# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Database Health: PostgreSQL, from postgres_exporter."""

from __future__ import annotations

from .build import (
    NAME,
    Column,
    Dashboard,
    Panel,
    Query,
    Row,
    Variable,
    above,
    bound,
    bounds,
    deployments,
    falling,
    firing,
    named,
    rising,
)

_SERVER = 'job=~"$job", instance=~"$instance"'
# Templates are not used, and background processes are in no database.
_DATABASE = _SERVER + ', datname=~"$datname", datname!~"template.*|"'

_DATNAME = Column("datname", "Database", least=NAME)
_TABLE = Column("relname", "Table", least=NAME)
_STATEMENT = "datname, user, queryid"
# The value comes first: a phone shows no more than two columns. The text is there where the exporter may read it.
_QUERY = (
    Column("query", "Query", least=NAME, inspected=True),
    Column("queryid", "Id", 205),
    _DATNAME,
    Column("user", "User", least=250),
)
_TEXTS = "topk by (queryid) (1, max by (queryid, query) (pg_stat_statements_query_id))"
_HOW_TO_SEE = (
    " The text is shown where postgres_exporter_enabled_collectors has stat_statements with include_query: true;"
    " otherwise `SELECT query FROM pg_stat_statements WHERE queryid = …` shows it."
)


def _with_text(expr: str) -> str:
    return f"({expr}) * on (queryid) group_left (query) {_TEXTS} or on ({_STATEMENT}) ({expr})"


def _rate(name: str) -> str:
    return f"sum by (datname) (rate(pg_stat_database_{name}{{{_DATABASE}}}[$__rate_interval]))"


def _increase(name: str) -> str:
    return f"sum by (datname) (increase(pg_stat_database_{name}{{{_DATABASE}}}[$__rate_interval]))"


def _rows(what: str, how: str = "sum") -> str:
    return f"{how} by (datname, schemaname, relname) (pg_stat_user_tables_{what}{{{_DATABASE}}})"


def _scans(what: str) -> str:
    return f"sum by (datname, schemaname, relname) (increase(pg_stat_user_tables_{what}{{{_DATABASE}}}[$__range]))"


# Name of the metric, heading, unit, width.
_SETTINGS = (
    ("max_connections", "max_connections", "short", 135),
    ("shared_buffers_bytes", "shared_buffers", "bytes", 120),
    ("work_mem_bytes", "work_mem", "bytes", 95),
    ("maintenance_work_mem_bytes", "maintenance_work_mem", "bytes", 195),
    ("effective_cache_size_bytes", "effective_cache_size", "bytes", 165),
    ("max_wal_size_bytes", "max_wal_size", "bytes", 115),
    ("autovacuum_max_workers", "autovacuum_max_workers", "short", 208),
)


def _graph(id: int, title: str, unit: str, about: str, *queries: Query, **more) -> Panel:  # pylint: disable=redefined-builtin
    more = {"width": 8, **more}
    return Panel(id=id, title=title, kind="timeseries", unit=unit, queries=queries, about=about, **more)


def _statements(function: str, name: str) -> str:
    return f"sum by ({_STATEMENT}) ({function}(pg_stat_statements_{name}{{{_DATABASE}}}[$__range]))"


def _tables(what: str) -> str:
    return f"sum by (datname, schemaname, relname) (pg_stat_user_tables_{what}_size_bytes{{{_DATABASE}}})"


DASHBOARD = Dashboard(
    uid="mon-db",
    title="Database Health",
    about="Connections, queries, cache and sizes of PostgreSQL.",
    span="6h",
    empty="No postgres_exporter is scraped",
    variables=(
        Variable("job", "Job", "label_values(pg_up, job)"),
        Variable("instance", "Server", 'label_values(pg_up{job=~"$job"}, instance)'),
        Variable(
            "datname",
            "Database",
            'label_values(pg_stat_database_numbackends{instance=~"$instance", datname!~"template.*|"}, datname)',
        ),
    ),
    events=(firing("database", _SERVER), deployments()),
    panels=(
        Panel(
            id=1,
            title="Connections used",
            kind="table",
            width=8,
            unit="percent",
            queries=(Query(f"max by (name) ({named(f'100 * instance:pg_connections:utilisation{{{_SERVER}}}')})"),),
            columns=(
                Column(
                    "Value",
                    "Used",
                    80,
                    decimals=0,
                    thresholds=rising(*bounds("DatabaseConnectionsHigh"), usual="transparent"),
                ),
                Column("name", "Server", least=NAME),
            ),
            about="Share of the connections available to ordinary users that are in use; reserved ones are not counted.",
        ),
        Panel(
            id=2,
            title="Connections by state",
            kind="timeseries",
            width=16,
            unit="short",
            decimals=0,
            stack=True,
            queries=(
                Query(f"sum by (state) (pg_stat_activity_count{{{_DATABASE}}})", "{{state}}"),
                Query(f"sum(pg_settings_max_connections{{{_SERVER}}})", "max_connections"),
            ),
            limit="^max_connections$",
            colors={
                "^active$": "green",
                "^idle$": "blue",
                "^idle in transaction": "orange",
                "^max_connections$": "red",
            },
            about="Connections by state, and the limit of the selected servers together. Idle in transaction holds locks.",
        ),
        Panel(
            id=3,
            title="Top 10 queries by total time",
            kind="table",
            width=24,
            unit="percentunit",
            decimals=2,
            queries=(Query(_with_text(f"topk(10, {_statements('rate', 'seconds_total')})")),),
            columns=(Column("Value", "Share of time", 135), *_QUERY),
            empty="pg_stat_statements is not available, or no postgres_exporter is scraped",
            about="Time spent in a query as a share of the time range: 100 % is one connection that does nothing else."
            + _HOW_TO_SEE,
        ),
        Panel(
            id=4,
            title="Top 10 queries by mean time",
            kind="table",
            width=24,
            unit="s",
            queries=(
                Query(
                    _with_text(
                        f"topk(10, {_statements('increase', 'seconds_total')} / ({_statements('increase', 'calls_total')} > 0))"
                    )
                ),
            ),
            columns=(Column("Value", "Mean time", 118), *_QUERY),
            empty="pg_stat_statements is not available, or no postgres_exporter is scraped",
            about="Mean time of a call, in the time range." + _HOW_TO_SEE,
        ),
        Panel(
            id=5,
            title="Cache hit ratio",
            kind="timeseries",
            width=12,
            step=0.1,
            unit="percent",
            # The milder one is ours: at the other the alert fires.
            thresholds=falling(99, bound("DatabaseCacheHitLow", "warning")),
            queries=(
                Query(f"100 * {_rate('blks_hit')} / ({_rate('blks_hit')} + {_rate('blks_read')})", "{{datname}}"),
            ),
            max=100,
            floor=90,
            about="Share of the blocks read from PostgreSQL's shared buffers instead of disk.",
        ),
        Panel(
            id=7,
            title="Database size",
            kind="timeseries",
            width=12,
            unit="bytes",
            queries=(Query(f"sum by (datname) (pg_database_size_bytes{{{_DATABASE}}})", "{{datname}}"),),
            about="Disk space used by each database.",
        ),
        Panel(
            id=6,
            title="Table sizes (top 10)",
            kind="table",
            width=24,
            unit="bytes",
            decimals=1,
            queries=(Query(f"topk(10, {_tables('table')} + {_tables('index')})"),),
            columns=(
                Column("Value", "Size", 100),
                _TABLE,
                _DATNAME,
            ),
            empty="No tables or postgres_exporter",
            about="The largest tables with their indexes.",
        ),
        Panel(
            id=8,
            title="Transactions per second",
            kind="timeseries",
            width=8,
            unit="ops",
            queries=(
                Query(_rate("xact_commit"), "commit {{datname}}"),
                Query(_rate("xact_rollback"), "rollback {{datname}}"),
            ),
            about="Committed and rolled back transactions.",
        ),
        Panel(
            id=9,
            title="Longest transaction by state",
            kind="timeseries",
            width=8,
            unit="s",
            thresholds=above(bound("DatabaseIdleInTransaction", "warning"), "orange"),
            queries=(Query(f"max by (state) (pg_stat_activity_max_tx_duration{{{_DATABASE}}})", "{{state}}"),),
            colors={"^active$": "green", "^idle$": "blue", "^idle in transaction": "orange"},
            about="Age of the oldest transaction. The line is the threshold for idle ones, which hold locks and block VACUUM.",
        ),
        Panel(
            id=10,
            title="Deadlocks and temp files",
            kind="timeseries",
            width=8,
            unit="short",
            decimals=0,
            bars=True,
            queries=(
                Query(_increase("deadlocks"), "deadlocks {{datname}}"),
                Query(_increase("temp_files"), "temp files {{datname}}"),
            ),
            colors={"^deadlocks": "red", "^temp files": "blue"},
            about="Transactions aborted because of a deadlock; sorts that did not fit into work_mem.",
        ),
        Row("Locks and waits"),
        _graph(
            11,
            "Locks by mode",
            "short",
            "Locks that are held. Exclusive ones that last are those that others wait for:"
            " `SELECT * FROM pg_locks WHERE NOT granted`.",
            Query(f"sum by (mode) (pg_locks_count{{{_DATABASE}}}) > 0", "{{mode}}"),
            empty="No locks, or no postgres_exporter is scraped",
        ),
        _graph(
            12,
            "Sessions that wait",
            "short",
            "Sessions of clients by what they wait for, but not for their client. Lock: see the locks; IO: the disks; LWLock: too many"
            " sessions at once.",
            Query(
                f"sum by (wait_event_type) (pg_stat_activity_count{{{_DATABASE},"
                ' wait_event_type!~"|Client|Activity|Timeout|Extension"})',
                "{{wait_event_type}}",
            ),
            stack=True,
            empty="Nobody waits, or no postgres_exporter is scraped",
        ),
        _graph(
            13,
            "Temporary files",
            "Bps",
            "Bytes per second of sorts and joins that did not fit into work_mem.",
            Query(_rate("temp_bytes"), "{{datname}}"),
        ),
        Row("Replication, WAL and checkpoints"),
        _graph(
            14,
            "Replication lag",
            "s",
            "How far a replica is behind. A steady rise: it cannot keep up, or it is not connected.",
            Query(
                f"{named(f'pg_replication_lag_seconds{{{_SERVER}}}')}"
                f" and on (job, instance) pg_replication_is_replica{{{_SERVER}}} == 1",
                "{{name}}",
            ),
            empty="No replica, or no postgres_exporter is scraped",
        ),
        _graph(
            15,
            "Replicas behind, by bytes",
            "bytes",
            "WAL that a connected replica has not yet replayed.",
            Query(
                f"max by (application_name, client_addr) (pg_stat_replication_pg_wal_lsn_diff{{{_SERVER}}})",
                "{{application_name}} {{client_addr}}",
            ),
            empty="No connected replica, or no postgres_exporter is scraped",
        ),
        _graph(
            16,
            "WAL on disk",
            "bytes",
            "Size of the directory pg_wal. One that only grows: a replication slot that nobody reads, or an archive_command that fails.",
            Query(f"{named(f'pg_wal_size_bytes{{{_SERVER}}}')}", "{{name}}"),
            empty="postgres_exporter may not read pg_wal, or is not scraped",
        ),
        _graph(
            17,
            "Checkpoints",
            "short",
            "Checkpoints by the clock and on request. Many on request: max_wal_size is too small.",
            Query(
                f"sum(increase(pg_stat_bgwriter_checkpoints_timed_total{{{_SERVER}}}[$__rate_interval])"
                f" or increase(pg_stat_checkpointer_num_timed_total{{{_SERVER}}}[$__rate_interval]))",
                "by the clock",
            ),
            Query(
                f"sum(increase(pg_stat_bgwriter_checkpoints_req_total{{{_SERVER}}}[$__rate_interval])"
                f" or increase(pg_stat_checkpointer_num_requested_total{{{_SERVER}}}[$__rate_interval]))",
                "on request",
            ),
            bars=True,
            step=0.1,
            width=12,
            colors={"^on request$": "orange"},
            empty="No postgres_exporter is scraped, or its collector stat_checkpointer is disabled: PostgreSQL 17 and newer need it",
        ),
        _graph(
            18,
            "Buffers written",
            "short",
            "Buffers per second that the background writer wrote and that were allocated. Where it stops at its limit, raise"
            " bgwriter_lru_maxpages.",
            Query(f"sum(rate(pg_stat_bgwriter_buffers_clean_total{{{_SERVER}}}[$__rate_interval]))", "written"),
            Query(f"sum(rate(pg_stat_bgwriter_buffers_alloc_total{{{_SERVER}}}[$__rate_interval]))", "allocated"),
            Query(
                f"sum(rate(pg_stat_bgwriter_maxwritten_clean_total{{{_SERVER}}}[$__rate_interval]))",
                "stopped at its limit",
            ),
            width=12,
            step=0.01,
            colors={"^stopped": "orange"},
        ),
        Row("Vacuum and tables"),
        Panel(
            id=19,
            title="Dead rows (top 10)",
            kind="table",
            width=24,
            unit="short",
            queries=(
                Query(f"topk(10, {_rows('n_dead_tup')})"),
                Query(f"100 * {_rows('n_dead_tup')} / ({_rows('n_dead_tup')} + {_rows('n_live_tup')} > 0)"),
                Query(f"time() - ({_rows('last_autovacuum', 'max')} > 0)"),
            ),
            columns=(
                Column("Value #A", "Dead rows", 96, "short", 0),
                _TABLE,
                Column("Value #B", "Share", 60, "percent", 0),
                Column("Value #C", "Autovacuum", 112, "s", 0),
                _DATNAME,
            ),
            sort="Value #A",
            empty="No tables or postgres_exporter",
            about="Rows that were deleted or updated and are not yet cleaned up, and how long ago the autovacuum ran. Many and long ago:"
            " an open transaction blocks VACUUM, or autovacuum_vacuum_scale_factor is too large for the table.",
        ),
        Panel(
            id=20,
            title="Sequential scans (top 10)",
            kind="table",
            width=24,
            unit="short",
            queries=(
                Query(f"topk(10, {_scans('seq_tup_read')})"),
                Query(_scans("seq_scan")),
                Query(_scans("idx_scan")),
            ),
            columns=(
                Column("Value #A", "Rows read", 96, "short", 0),
                _TABLE,
                Column("Value #B", "Scans", 66, "short", 0),
                Column("Value #C", "By an index", 108, "short", 0),
                _DATNAME,
            ),
            sort="Value #A",
            empty="No tables or postgres_exporter",
            about="Rows read by scans of whole tables in the time range. A large table that is scanned often lacks an index.",
        ),
        Row("Settings"),
        Panel(
            id=21,
            title="Settings that matter",
            kind="table",
            width=24,
            unit="short",
            queries=tuple(
                Query(f"max by (name) ({named(f'pg_settings_{setting}{{{_SERVER}}}')})")
                for setting, *dummy in _SETTINGS
            ),
            columns=(
                Column("name", "Server", least=NAME),
                *(
                    Column(f"Value #{'ABCDEFGH'[number]}", title, width, unit, 0 if unit == "short" else 1)
                    for number, (dummy, title, unit, width) in enumerate(_SETTINGS)
                ),
            ),
            empty="No postgres_exporter",
            about="Settings by server: what differs between two servers of a cluster is seen at once. `SHOW NAME` shows others.",
        ),
    ),
)
