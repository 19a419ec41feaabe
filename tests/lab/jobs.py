"""What a synthetic fleet's services say of themselves, by the metrics of their exporters: Redis, NGINX, processes, PostgreSQL, and the
monitoring stack.

Hosts have them by their role; what has names of its own has some as long as people give them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from .fleet import GIB, Fleet

Sample = tuple[str, dict[str, str], float]
# Counters are rates times the time since this.
_BEGAN = 1_700_000_000
_DAY = 86400
# Groups of processes of a role, and of every host: (name, processes, cores, memory).
_GROUPS = {
    "web": (("nginx", 5, 0.05, 80e6), ("php-fpm: pool www", 12, 0.3, 900e6)),
    "api": (("gunicorn: shop.checkout.wsgi:application", 9, 0.6, 1.4e9),),
    "db": (("postgres", 60, 0.4, 3e9), ("pgbouncer", 1, 0.02, 20e6)),
    "cache": (("redis-server", 1, 0.1, 3.2e9),),
    "worker": (
        ("celery@payments-reconciliation-nightly-batch", 8, 0.5, 2e9),
        ("kafka-consumer-customer-order-events", 2, 0.2, 1.1e9),
    ),
    "queue": (("beam.smp", 1, 0.2, 1.2e9), ("redis-server", 1, 0.03, 0.4e9)),
    "": (("sshd", 3, 0.001, 12e6), ("node_exporter", 1, 0.004, 25e6)),
}
_WAREHOUSE = "customer_analytics_warehouse_eu_central_1"
# Databases: (name, size, commits per second).
_DATABASES = (("shop", 40 * GIB, 300.0), (_WAREHOUSE, 210 * GIB, 4.0), ("postgres", 8e6, 0.1))
# Tables: (database, table, size, rows, dead rows, reads of whole tables an hour).
_TABLES = (
    ("shop", "orders", 18 * GIB, 9e7, 4e5, 0.2),
    ("shop", "customer_loyalty_program_monthly_statements", 7 * GIB, 3e7, 9e6, 6.0),
    ("shop", "products", 0.2 * GIB, 4e5, 900, 120.0),
    (_WAREHOUSE, "fact_order_lines_by_region_and_fiscal_quarter", 90 * GIB, 6e8, 2e7, 1.0),
    (_WAREHOUSE, "dim_customer", 3 * GIB, 1e7, 1e5, 12.0),
)
# Queries: (database, user, text, calls per second, mean time).
_QUERIES = (
    ("shop", "shop", "SELECT * FROM orders WHERE customer_id = $1 ORDER BY created_at DESC LIMIT $2", 40.0, 0.004),
    ("shop", "shop", "UPDATE products SET stock = stock - $1 WHERE id = $2", 6.0, 0.012),
    ("shop", "shop", "INSERT INTO orders (customer_id, items) VALUES ($1, $2)", 3.0, 0.003),
    (
        _WAREHOUSE,
        "payments_reconciliation_readonly",
        "SELECT region, fiscal_quarter, sum(amount) FROM fact_order_lines_by_region_and_fiscal_quarter GROUP BY 1, 2",
        0.01,
        14.0,
    ),
)
_LOCKS = ("accessshare", "rowshare", "rowexclusive", "shareupdateexclusive", "share", "exclusive", "accessexclusive")
# Rule groups of the servers: (file, group, share of its interval that it takes).
_RULES = (
    ("vigil/host.yml", "vigil-host", 0.004),
    ("vigil/database.yml", "vigil-database", 0.01),
    ("vigil/monitoring.yml", "vigil-monitoring", 0.003),
    ("checkout-slo.yml", "checkout-service-level-objectives-multi-window-multi-burn-rate", 0.62),
)
# Probes: (job, address, days until the certificate expires).
_PROBES = (
    ("blackbox_http_2xx", "https://shop.example.net/", 61),
    ("blackbox_http_2xx", "https://payments-gateway.frankfurt.prod.example.net/health/ready", 9),
    ("blackbox_tls", "mail.example.net:465", 31),
)
# Backups: (name, hours since the last success).
_BACKUPS = (("shop-postgresql", 5), ("customer_analytics_warehouse-weekly-full", 31), ("monitoring", 3))


def _wave(rate: float, at: float, place: float) -> float:
    """A counter whose rate goes up and down by a third."""
    return rate * (at - _BEGAN - 300 * math.cos(at / 1000 + place))


def _one_in(number: int, at: float, every: float) -> float:
    """A counter of something that happens now and then."""
    return (at - _BEGAN + 17 * number) // every


def _processes(fleet: Fleet, number: int, at: float) -> Iterator[Sample]:
    """process_exporter."""
    for place, (group, processes, cores, memory) in enumerate((*_GROUPS[fleet.role(number)], *_GROUPS[""])):
        labels, share = {"groupname": group}, 1 + 0.05 * math.sin(at / 1300 + number + place)
        started = at // _DAY * _DAY - _DAY * (2 + number % 30)
        if fleet.bad and number == 4 and group.startswith("celery"):
            # It ends every four minutes.
            started = at // 240 * 240
        gone = fleet.bad and number == 8 and group == "pgbouncer" and at > fleet.now(at) - 1200
        for mode, part in (("user", 0.8), ("system", 0.2)):
            used = _wave(cores * part, fleet.now(at) - 1200 if gone else at, number + place)
            yield "namedprocess_namegroup_cpu_seconds_total", {**labels, "mode": mode}, used
        for memtype, factor in (("resident", 1.0), ("virtual", 4.0), ("swapped", 0.0)):
            value = 0 if gone else round(memory * share * factor)
            yield "namedprocess_namegroup_memory_bytes", {**labels, "memtype": memtype}, value
        zombies = 37 if fleet.bad and number == 7 and place == 0 else 0
        for state, count in (("Running", 1), ("Sleeping", processes - 1), ("Waiting", 0), ("Zombie", zombies)):
            yield "namedprocess_namegroup_states", {**labels, "state": state}, 0 if gone else count
        yield "namedprocess_namegroup_num_procs", labels, 0 if gone else processes + zombies
        yield "namedprocess_namegroup_num_threads", labels, 0 if gone else 4 * processes
        yield "namedprocess_namegroup_open_filedesc", labels, 0 if gone else 30 * processes
        full = fleet.bad and number == 7 and place == 0
        yield "namedprocess_namegroup_worst_fd_ratio", labels, 0.93 if full else 0.03
        yield "namedprocess_namegroup_oldest_start_time_seconds", labels, 0 if gone else started


def _redis(fleet: Fleet, number: int, at: float) -> Iterator[Sample]:
    """redis_exporter."""
    down = fleet.bad and number == 11
    yield "redis_up", {}, 0 if down else 1
    if down:
        return
    cache, full = fleet.role(number) == "cache", fleet.bad and number == 3
    most = 4 * GIB if cache else 0
    used = (0.955 if full else 0.7) + 0.02 * math.sin(at / 1500 + number)
    yield "redis_memory_used_bytes", {}, round(used * most) if cache else 3e8 + 1e6 * number
    yield "redis_memory_max_bytes", {}, most
    yield "redis_connected_clients", {}, round(40 + 12 * math.sin(at / 800 + number))
    yield "redis_commands_processed_total", {}, round(_wave(900 if cache else 60, at, number))
    yield "redis_keyspace_hits_total", {}, round(_wave(420 if cache else 20, at, number))
    yield "redis_keyspace_misses_total", {}, round(_wave(30 + 4 * (number % 5) if cache else 0.5, at, number + 2))
    yield "redis_rejected_connections_total", {}, 3 * _one_in(number, at, 700) if full else 0
    yield "redis_evicted_keys_total", {}, round(_wave(45, at, number)) if full else 0
    yield "redis_expired_keys_total", {}, round(_wave(8, at, number))
    for database, keys in (("db0", 2.4e6 if cache else 900), ("db1", 120)):
        yield "redis_db_keys", {"db": database}, round(keys)
    yield "redis_rdb_last_bgsave_status", {}, 0 if fleet.bad and number == 5 else 1
    if number % 12 in (5, 9):
        primary = {"master_host": "10.20.0.4", "master_port": "6379"}
        yield "redis_master_link_up", primary, 0 if fleet.bad and number == 9 else 1


def _nginx(fleet: Fleet, number: int, at: float) -> Iterator[Sample]:
    """nginx_exporter."""
    down = fleet.bad and number == 24
    yield "nginx_up", {}, 0 if down else 1
    if down:
        return
    accepted = round(_wave(14, at, number))
    dropped = 9 * _one_in(number, at, 60) if fleet.bad and number == 6 else 0
    yield "nginx_connections_accepted", {}, accepted
    yield "nginx_connections_handled", {}, accepted - dropped
    waiting, writing = round(70 + 20 * math.sin(at / 900 + number)), round(6 + 4 * math.sin(at / 400 + number))
    for state, count in (("reading", 1), ("writing", writing), ("waiting", waiting), ("active", 1 + writing + waiting)):
        yield f"nginx_connections_{state}", {}, count
    yield "nginx_http_requests_total", {}, round(_wave(45 + 5 * (number % 7), at, number))


def _postgres(fleet: Fleet, number: int, at: float) -> Iterator[Sample]:
    """postgres_exporter."""
    full, replica, since = fleet.bad and number == 2, number % 12 == 8, at - _BEGAN
    settings = {
        "max_connections": 200,
        "superuser_reserved_connections": 3,
        "reserved_connections": 0,
        "shared_buffers_bytes": 8 * GIB,
        "work_mem_bytes": (64 if replica else 32) << 20,
        "maintenance_work_mem_bytes": 1 * GIB,
        "effective_cache_size_bytes": 24 * GIB,
        "max_wal_size_bytes": 4 * GIB,
        "autovacuum_max_workers": 3,
    }
    yield "pg_up", {}, 1
    for name, value in settings.items():
        yield f"pg_settings_{name}", {}, value
    states = {"active": 20 if full else 4, "idle": 140 if full else 50, "idle in transaction": 9 if full else 1}
    for state, count in states.items():
        about = {"datname": "shop", "state": state, "usename": "shop", "backend_type": "client backend"}
        waits = {"active": "IO", "idle": "Client", "idle in transaction": "Lock" if full else "Client"}
        yield "pg_stat_activity_count", {**about, "wait_event_type": waits[state]}, count
        longest = {"active": 2.0, "idle": 0.0, "idle in transaction": 1500.0 if full else 0.4}[state]
        yield "pg_stat_activity_max_tx_duration", about, longest + math.sin(at / 70 + number) ** 2
    for database, size, commits in _DATABASES:
        labels, factor = {"datname": database}, commits / 300
        yield "pg_database_size_bytes", labels, round(size + since * 100 * factor)
        yield "pg_stat_database_numbackends", labels, round(50 * factor)
        for name, rate in (
            ("xact_commit", commits),
            ("xact_rollback", commits / 90),
            ("blks_hit", 9000 * factor),
            ("blks_read", (9000 * factor) * (0.06 if database == _WAREHOUSE else 0.002)),
            ("temp_bytes", 3e5 * factor),
        ):
            yield f"pg_stat_database_{name}", labels, round(_wave(rate, at, number))
        yield "pg_stat_database_deadlocks", labels, _one_in(number, at, 500) if full and database == "shop" else 0
        yield "pg_stat_database_temp_files", labels, _one_in(number, at, 90) if database == _WAREHOUSE else 0
        for place, mode in enumerate(_LOCKS):
            held = round(30 * factor / (1 + place * place))
            yield "pg_locks_count", {**labels, "mode": f"{mode}lock"}, held
    for place, (database, table, size, rows, dead, scans) in enumerate(_TABLES):
        labels = {"datname": database, "schemaname": "public", "relname": table}
        yield "pg_stat_user_tables_table_size_bytes", labels, round(size)
        yield "pg_stat_user_tables_index_size_bytes", labels, round(size * 0.4)
        yield "pg_stat_user_tables_n_live_tup", labels, round(rows)
        yield "pg_stat_user_tables_n_dead_tup", labels, round(dead * (1 + (at % 7200) / 7200))
        yield "pg_stat_user_tables_last_autovacuum", labels, at // 7200 * 7200 - 3600 * place
        read = _one_in(place, at, 3600 / scans)
        yield "pg_stat_user_tables_seq_scan", labels, read
        yield "pg_stat_user_tables_seq_tup_read", labels, read * rows
        yield "pg_stat_user_tables_idx_scan", labels, round(_wave(60, at, place))
    for place, (database, user, text, calls, mean) in enumerate(_QUERIES):
        identity = str(4_611_686_018_427_387_904 + place * 7_919)
        labels = {"datname": database, "user": user, "queryid": identity}
        yield "pg_stat_statements_calls_total", labels, _wave(calls, at, place)
        yield "pg_stat_statements_seconds_total", labels, _wave(calls * mean, at, place)
        yield "pg_stat_statements_query_id", {"queryid": identity, "query": text}, 1
    yield "pg_replication_is_replica", {}, int(replica)
    yield "pg_replication_lag_seconds", {}, 0.4 + 0.3 * math.sin(at / 500) if replica else 0
    if number % 12 == 2:
        connected = {"application_name": "shop_standby_reporting_frankfurt_02", "client_addr": "10.20.0.9"}
        behind = {**connected, "slot_name": "standby_02", "state": "streaming"}
        yield "pg_stat_replication_pg_wal_lsn_diff", behind, round(2e6 + 1.5e6 * math.sin(at / 300))
    yield "pg_wal_size_bytes", {}, round(2.1 * GIB + (at % 3600) * 1e5)
    for name, rate in (
        ("checkpoints_timed_total", 1 / 300),
        ("checkpoints_req_total", 1 / 900 if full else 0),
        ("buffers_clean_total", 12),
        ("buffers_alloc_total", 160),
        ("maxwritten_clean_total", 0.02),
    ):
        yield f"pg_stat_bgwriter_{name}", {}, int(_wave(rate, at, number))
    # What the packs of rules record of it.
    yield "instance:pg_connections:utilisation", {}, sum(states.values()) / 197


def of_host(fleet: Fleet, number: int, at: float) -> Iterator[tuple[int, list[Sample]]]:
    """The samples of a host's services, each with its exporter's port."""
    exporters: tuple[tuple[int, Callable[..., Iterator[Sample]], tuple[str, ...]], ...] = (
        (9256, _processes, tuple(_GROUPS)),
        (9121, _redis, ("cache", "queue")),
        (9113, _nginx, ("web",)),
        (9187, _postgres, ("db",)),
    )
    for port, said, roles in exporters:
        if fleet.role(number) in roles:
            yield port, list(said(fleet, number, at))


def _prometheus(fleet: Fleet, number: int, at: float) -> Iterator[Sample]:
    """A Prometheus of itself."""
    series = 1100 * fleet.hosts + 4000 + (at % 7200) / 7200 * 120 * fleet.hosts
    yield "prometheus_build_info", {"version": "3.5.3"}, 1
    yield "process_start_time_seconds", {}, at // _DAY * _DAY - 5 * _DAY
    yield "prometheus_config_last_reload_successful", {}, 1
    yield "prometheus_tsdb_head_series", {}, round(series)
    yield "prometheus_tsdb_head_samples_appended_total", {}, round(_wave(75 * fleet.hosts + 260, at, number))
    yield "prometheus_tsdb_storage_blocks_bytes", {}, round(series * 2.2e5 + (at % _DAY) * 900)
    yield "prometheus_tsdb_wal_storage_size_bytes", {}, round(series * 9e3 + (at % 7200) * 2e4)
    yield "prometheus_tsdb_retention_limit_bytes", {}, round((1100 * fleet.hosts + 4000) * 3e5)
    for place, (path, name, share) in enumerate(_RULES):
        group = {"rule_group": f"/etc/prometheus/rules/{path};{name}"}
        yield "prometheus_rule_group_interval_seconds", group, 60
        yield "prometheus_rule_group_last_duration_seconds", group, 60 * share * (1 + 0.2 * math.sin(at / 400 + place))
        failing = fleet.bad and place == len(_RULES) - 1
        yield "prometheus_rule_evaluation_failures_total", group, 2 * _one_in(number, at, 600) if failing else 0
    for manager in servers(fleet):
        labels = {"alertmanager": f"http://{_server(manager)['instance']}:9093/api/v2/alerts"}
        yield "prometheus_notifications_sent_total", labels, round(_wave(0.4, at, manager))
        broken = fleet.bad and manager == 1
        yield "prometheus_notifications_errors_total", labels, round(_wave(0.05, at, manager)) if broken else 0
    yield "prometheus_notifications_dropped_total", {}, _one_in(number, at, 900) if fleet.bad else 0


def _alertmanager(fleet: Fleet, number: int, at: float) -> Iterator[Sample]:
    """An Alertmanager, with names of receivers in its metrics."""
    yield "alertmanager_build_info", {"version": "0.33.1"}, 1
    yield "process_start_time_seconds", {}, at // _DAY * _DAY - 5 * _DAY
    yield "alertmanager_config_last_reload_successful", {}, int(not fleet.bad or number > 0)
    for state, count in (("active", 2), ("expired", 14), ("pending", 0)):
        yield "alertmanager_silences", {"state": state}, count
    for state, count in (("active", 5 if fleet.bad else 1), ("suppressed", 3 if fleet.bad else 0), ("unprocessed", 0)):
        yield "alertmanager_alerts", {"state": state}, count
    for place, (receiver, integration) in enumerate(
        (("payments-platform-on-call-escalation", "pagerduty"), ("team-shop", "slack"), ("team-shop", "email"))
    ):
        labels = {"receiver_name": receiver, "integration": integration}
        every = 240 + 300 * place if fleet.bad else 3000
        yield "alertmanager_notifications_total", labels, _one_in(place, at, every)
        for reason in ("clientError", "contextDeadlineExceeded", "other", "serverError"):
            failed = fleet.bad and integration == "email" and reason == "contextDeadlineExceeded"
            yield (
                "alertmanager_notifications_failed_total",
                {**labels, "reason": reason},
                _one_in(place, at, 1700) if failed else 0,
            )


def servers(fleet: Fleet) -> range:
    """The monitoring servers, by number: a pair, where there is more than a host or two."""
    return range(2 if fleet.hosts > 2 else 1)


def _server(number: int) -> dict[str, str]:
    """The labels of a monitoring server's targets, the port left out."""
    return {
        "instance": f"10.20.250.{number + 1}",
        "host": f"monitoring-{number + 1:02d}.eu-central-1.example.net",
        "role": "monitoring",
        "environment": "production",
    }


def of_monitoring(fleet: Fleet, at: float) -> Iterator[tuple[dict[str, str], list[Sample]]]:
    """The targets of the monitoring stack itself: labels and samples of each."""
    for number in servers(fleet):
        server = _server(number)
        for job, port, said in (("prometheus", 9090, _prometheus), ("alertmanager", 9093, _alertmanager)):
            yield {**server, "job": job, "instance": f"{server['instance']}:{port}"}, list(said(fleet, number, at))
    for place, (job, address, days) in enumerate(_PROBES):
        # One answered a while not, in the bad night.
        ago = fleet.now(at) - at
        success = 0 if fleet.bad and place == 1 and 1500 < ago < 2400 else 1
        expiry = fleet.now(at) + _DAY * (2 if fleet.bad and place == 1 else days)
        samples = [("probe_success", {}, success), ("probe_ssl_earliest_cert_expiry", {}, expiry)]
        yield {**_server(0), "job": job, "instance": address}, samples


def textfiles(fleet: Fleet, at: float) -> Iterator[Sample]:
    """What scripts of backups write for a host's node_exporter."""
    for name, hours in _BACKUPS:
        late = _DAY if fleet.bad and hours > 24 else 0
        yield "backup_last_success_timestamp_seconds", {"backup": name}, at // 3600 * 3600 - 3600 * hours - late
    for service, what, restored, running in (
        ("prometheus", "rules", 60, 61),
        ("prometheus", "targets", 9, 9),
        ("grafana", "dashboards", 12, 12),
        ("alertmanager", "silences", 2, 2),
    ):
        labels = {"backup": "monitoring", "service": service, "what": what}
        for of, count in (("restored", restored), ("running", running)):
            yield "monitoring_restore_test_items", {**labels, "of": of}, count
