# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Monitoring Stack: whether monitoring itself works, and which alerts are useful."""

from __future__ import annotations

from .build import DEPLOYMENTS, Column, Dashboard, Event, Panel, Query, above, bound, bounds, falling, firing, rising

# The services that this collection deploys; their build_info has the version.
_OURS = "prometheus|alertmanager|grafana|node_exporter|postgres_exporter|blackbox_exporter"
_ALERT = (Column("alertname", "Alert"), Column("severity", "Severity", 90))
# Wide enough for most names, and narrow enough for a phone to show how grave it is.
_FIRING = (Column("alertname", "Alert", 220), Column("severity", "Severity", 80))
# Of a group of rules, the file is left out.
_GROUP = (".*;(.*)", "$1")
_STATE = {"0": ("failing", "red"), "1": ("ok", "green")}

DASHBOARD = Dashboard(
    uid="mon-self",
    title="Monitoring Stack",
    about="Firing alerts, delivery of notifications, and health of Prometheus and Alertmanager.",
    span="24h",
    variables=(),
    events=(
        firing(".+"),
        DEPLOYMENTS,
        Event(
            name="Restarts of monitoring services",
            expr=(
                "process_start_time_seconds * 1000 * on (job, instance) group_left (version)"
                f' max by (job, instance, version) ({{__name__=~"({_OURS})_build_info"}}) > $__from'
            ),
            color="purple",
            title="{{job}} {{version}} started",
            text="{{instance}}",
            at_value=True,
        ),
    ),
    panels=(
        Panel(
            id=1,
            title="Targets down",
            kind="stat",
            width=4,
            unit="short",
            thresholds=above(1),
            queries=(Query("count(up == 0) or vector(0)", "down"),),
            about="Targets that cannot be scraped now. Page /targets of Prometheus shows the error of each.",
        ),
        Panel(
            id=2,
            title="Firing alerts",
            kind="table",
            width=12,
            unit="short",
            queries=(Query('ALERTS{alertstate="firing", alertname!="Watchdog"}'),),
            columns=(
                *_FIRING,
                Column("host", "Host"),
                Column("instance", "Instance"),
                Column("job", "Job", 150),
                Column("mountpoint", "Mount point"),
                Column("datname", "Database"),
                Column("handler", "Endpoint"),
                Column("name", "Container"),
            ),
            empty="No firing alerts",
            about="Alerts that fire now, without Watchdog, which always fires.",
        ),
        Panel(
            id=3,
            title="Watchdog and config reloads",
            kind="stat",
            width=8,
            unit="bool_on_off",
            thresholds=((None, "red"), (1, "green")),
            queries=(
                Query('max(ALERTS{alertname="Watchdog", alertstate="firing"}) or vector(0)', "watchdog"),
                Query("min(prometheus_config_last_reload_successful)", "prometheus reload"),
                Query("min(alertmanager_config_last_reload_successful)", "alertmanager reload"),
            ),
            texts=_STATE,
            about="Whether rules are evaluated, and whether the last configuration reload of each service succeeded.",
        ),
        Panel(
            id=4,
            title="Alerts that fired most (review)",
            kind="table",
            width=12,
            unit="short",
            decimals=0,
            queries=(Query("topk(20, sum by (alertname, severity) (changes(ALERTS_FOR_STATE[$__range]) + 1))"),),
            columns=(*_ALERT, Column("Value", "Times", 90)),
            empty="No alerts fired",
            about="How often each alert became pending or fired in the time range. Select a week and check for each alert"
            " whether it required action.",
        ),
        Panel(
            id=5,
            title="Minutes spent firing",
            kind="table",
            width=12,
            unit="m",
            decimals=0,
            queries=(
                Query(
                    "topk(20, sum by (alertname, severity)"
                    ' (sum_over_time(ALERTS{alertstate="firing", alertname!="Watchdog"}[$__range:1m])))'
                ),
            ),
            columns=(*_ALERT, Column("Value", "Time", 90)),
            empty="No alerts fired",
            about="How long each alert fired in the time range, summed over its instances.",
        ),
        Panel(
            id=6,
            title="Scrape duration (slowest 10)",
            kind="timeseries",
            width=8,
            unit="s",
            queries=(Query("topk(10, scrape_duration_seconds)", "{{job}} {{instance}}"),),
            about="Scrape duration of the slowest targets. A target that reaches the scrape timeout is down.",
        ),
        Panel(
            id=7,
            title="Samples ingested per second",
            kind="timeseries",
            width=8,
            unit="short",
            latest=True,
            queries=(
                Query(
                    "sum by (instance) (rate(prometheus_tsdb_head_samples_appended_total[$__rate_interval]))",
                    "{{instance}}",
                ),
            ),
            about="Samples that Prometheus stores per second. At 0, no alert can fire.",
        ),
        Panel(
            id=8,
            title="Head series",
            kind="timeseries",
            width=8,
            unit="short",
            latest=True,
            queries=(Query("prometheus_tsdb_head_series", "{{instance}}"),),
            about="Series in memory. A steady increase is caused by a label with ever new values.",
        ),
        Panel(
            id=9,
            title="TSDB size",
            kind="timeseries",
            width=8,
            unit="bytes",
            queries=(
                Query("prometheus_tsdb_storage_blocks_bytes", "blocks {{instance}}"),
                Query("prometheus_tsdb_wal_storage_size_bytes", "wal {{instance}}"),
                Query("prometheus_tsdb_retention_limit_bytes > 0", "limit {{instance}}"),
            ),
            limit="^limit ",
            colors={"^limit ": "red"},
            about="Disk space used by Prometheus' data, and its size limit, if set.",
        ),
        Panel(
            id=10,
            title="Rule groups by share of their interval",
            kind="bargauge",
            width=8,
            unit="percentunit",
            max=1,
            # Ours: at 1 evaluations are skipped.
            thresholds=rising(0.5, 1),
            queries=(
                Query(
                    "topk(10, prometheus_rule_group_last_duration_seconds / prometheus_rule_group_interval_seconds)",
                    "{{rule_group}}",
                ),
            ),
            renamed=_GROUP,
            about="Duration of a rule group's evaluation as a share of its interval. At 100 %, alerts are late.",
        ),
        Panel(
            id=11,
            title="Rule evaluation failures",
            kind="timeseries",
            width=8,
            unit="short",
            decimals=0,
            bars=True,
            queries=(
                Query(
                    "sum by (rule_group) (increase(prometheus_rule_evaluation_failures_total[$__rate_interval]))",
                    "{{rule_group}}",
                ),
            ),
            renamed=_GROUP,
            about="Rules that could not be evaluated: their alerts cannot fire. Page /rules of Prometheus shows the error.",
        ),
        Panel(
            id=12,
            title="Prometheus to Alertmanager",
            kind="timeseries",
            width=12,
            unit="short",
            queries=(
                Query(
                    "sum by (alertmanager) (rate(prometheus_notifications_sent_total[$__rate_interval]))",
                    "sent {{alertmanager}}",
                ),
                Query(
                    "sum by (alertmanager) (rate(prometheus_notifications_errors_total[$__rate_interval]))",
                    "errors {{alertmanager}}",
                ),
                Query("sum(rate(prometheus_notifications_dropped_total[$__rate_interval]))", "dropped"),
            ),
            colors={"^errors ": "orange", "^dropped$": "red"},
            empty="Prometheus has no Alertmanager",
            about="Alerts sent to Alertmanager per second. Failed and dropped ones were not delivered to it.",
        ),
        Panel(
            id=13,
            title="Notifications by integration",
            kind="timeseries",
            width=12,
            unit="short",
            decimals=0,
            bars=True,
            queries=(
                Query(
                    "sum by (integration) (increase(alertmanager_notifications_total[$__rate_interval])) > 0",
                    "sent {{integration}}",
                ),
                Query(
                    "sum by (integration, reason) (increase(alertmanager_notifications_failed_total[$__rate_interval])) > 0",
                    "failed {{integration}} {{reason}}",
                ),
            ),
            colors={"^failed ": "red"},
            empty="No notifications",
            about="Notifications that Alertmanager sent, and those that failed.",
        ),
        Panel(
            id=14,
            title="Active silences",
            kind="stat",
            width=4,
            unit="short",
            # Neither good nor bad.
            thresholds=((None, "blue"),),
            queries=(Query('max(alertmanager_silences{state="active"})', "silences"),),
            about="Active silences. A forgotten one hides the next outage.",
        ),
        Panel(
            id=15,
            title="Days to certificate expiry",
            kind="bargauge",
            width=10,
            unit="d",
            decimals=0,
            max=90,
            thresholds=falling(*bounds("CertificateExpiresSoon")),
            queries=(Query("(probe_ssl_earliest_cert_expiry - time()) / 86400", "{{instance}}"),),
            named="${__field.labels.instance}",
            empty="No TLS certificates are probed",
            about="Days until the first certificate in each chain expires.",
        ),
        Panel(
            id=16,
            title="Hours since last backup",
            kind="bargauge",
            width=10,
            unit="h",
            decimals=1,
            thresholds=above(bound("BackupTooOld", "critical")),
            queries=(Query("(time() - max by (backup) (backup_last_success_timestamp_seconds)) / 3600", "{{backup}}"),),
            named="${__field.labels.backup}",
            empty="No backup metrics",
            about="Hours since the last success of each backup, from its metric backup_last_success_timestamp_seconds.",
        ),
    ),
)
