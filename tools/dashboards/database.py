# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Database Health: PostgreSQL, from postgres_exporter."""

from __future__ import annotations

from .build import DEPLOYMENTS, Column, Dashboard, Panel, Query, Variable, above, bound, bounds, falling, firing, rising

_SERVER = 'job=~"$job", instance=~"$instance"'
# Templates are not used, and background processes are in no database.
_DATABASE = _SERVER + ', datname=~"$datname", datname!~"template.*|"'

_STATEMENT = "datname, user, queryid"
# The value comes first: a phone shows no more than two columns.
_QUERY = (Column("queryid", "Query"), Column("datname", "Database", 110), Column("user", "User", 120))


def _rate(name: str) -> str:
    return f"sum by (datname) (rate(pg_stat_database_{name}{{{_DATABASE}}}[$__rate_interval]))"


def _increase(name: str) -> str:
    return f"sum by (datname) (increase(pg_stat_database_{name}{{{_DATABASE}}}[$__rate_interval]))"


def _statements(function: str, name: str) -> str:
    return f"sum by ({_STATEMENT}) ({function}(pg_stat_statements_{name}{{{_DATABASE}}}[$__range]))"


def _tables(what: str) -> str:
    return f"sum by (datname, schemaname, relname) (pg_stat_user_tables_{what}_size_bytes{{{_DATABASE}}})"


DASHBOARD = Dashboard(
    uid="mon-db",
    title="Database Health",
    about="Connections, queries, cache and sizes of PostgreSQL.",
    span="6h",
    variables=(
        Variable("job", "Job", "label_values(pg_up, job)"),
        Variable("instance", "Server", 'label_values(pg_up{job=~"$job"}, instance)'),
        Variable(
            "datname",
            "Database",
            'label_values(pg_stat_database_numbackends{instance=~"$instance", datname!~"template.*|"}, datname)',
        ),
    ),
    events=(firing("database"), DEPLOYMENTS),
    panels=(
        Panel(
            id=1,
            title="Connections used",
            kind="gauge",
            width=6,
            unit="percent",
            max=100,
            decimals=0,
            thresholds=rising(*bounds("DatabaseConnectionsHigh")),
            queries=(Query(f"100 * instance:pg_connections:utilisation{{{_SERVER}}}", "{{instance}}"),),
            about="Share of the connections available to ordinary users that are in use; reserved ones are not counted.",
        ),
        Panel(
            id=2,
            title="Connections by state",
            kind="timeseries",
            width=18,
            unit="short",
            decimals=0,
            stack=True,
            queries=(
                Query(f"sum by (state) (pg_stat_activity_count{{{_DATABASE}}})", "{{state}}"),
                Query(f"max(pg_settings_max_connections{{{_SERVER}}})", "max_connections"),
            ),
            limit="^max_connections$",
            colors={
                "^active$": "green",
                "^idle$": "blue",
                "^idle in transaction": "orange",
                "^max_connections$": "red",
            },
            about="Connections by state, and the server's limit. Idle in transaction holds locks.",
        ),
        Panel(
            id=3,
            title="Top 10 queries by total time",
            kind="table",
            width=12,
            unit="percentunit",
            decimals=2,
            queries=(Query(f"topk(10, {_statements('rate', 'seconds_total')})"),),
            columns=(Column("Value", "Share of time", 135), *_QUERY),
            empty="pg_stat_statements is not available",
            about="Time spent in a query as a share of the time range: 100 % is one connection that does nothing else.",
        ),
        Panel(
            id=4,
            title="Top 10 queries by mean time",
            kind="table",
            width=12,
            unit="s",
            queries=(
                Query(
                    f"topk(10, {_statements('increase', 'seconds_total')} / ({_statements('increase', 'calls_total')} > 0))"
                ),
            ),
            columns=(Column("Value", "Mean time", 120), *_QUERY),
            empty="pg_stat_statements is not available",
            about="Mean time of a call, in the time range."
            " `SELECT query FROM pg_stat_statements WHERE queryid = …` shows its text.",
        ),
        Panel(
            id=5,
            title="Cache hit ratio",
            kind="timeseries",
            width=12,
            unit="percent",
            latest=True,
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
            id=6,
            title="Table sizes (top 10)",
            kind="piechart",
            width=6,
            unit="bytes",
            queries=(Query(f"topk(10, {_tables('table')} + {_tables('index')})", "{{schemaname}}.{{relname}}"),),
            empty="No tables",
            about="The largest tables with their indexes.",
        ),
        Panel(
            id=7,
            title="Database size",
            kind="timeseries",
            width=6,
            unit="bytes",
            queries=(Query(f"sum by (datname) (pg_database_size_bytes{{{_DATABASE}}})", "{{datname}}"),),
            about="Disk space used by each database.",
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
    ),
)
