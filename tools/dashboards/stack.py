# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Monitoring Stack: whether monitoring itself works, and which alerts are useful."""

from __future__ import annotations

from .build import (
    ADDRESS,
    ALERT,
    AT_THE_END,
    FIRING,
    NAME,
    NOTIFICATIONS,
    SHORTER,
    SILENCES,
    SINCE,
    Column,
    Dashboard,
    Event,
    Link,
    Panel,
    Query,
    Row,
    above,
    alert_columns,
    alerts_now,
    began,
    bound,
    bounds,
    counted,
    deployments,
    falling,
    firing,
    minutes,
    named,
    number,
    rising,
    top,
)

# The services that this collection deploys; their build_info has the version.
_OURS = "prometheus|alertmanager|grafana|node_exporter|postgres_exporter|blackbox_exporter"
_ALERT = (Column("severity", "Severity", 80), Column("alertname", "Alert", least=ALERT, links=(Link("Runbook"),)))
_FIRING = f"ALERTS{{{FIRING}}}"
# Of a group of rules, the file is left out.
_GROUP = (".*;(.*)", "$1")
_STATE = {"0": ("failing", "red"), "1": ("ok", "green")}

_PANELS = {
    panel.id: panel
    for panel in (
        number(
            1,
            "Targets down",
            counted("up == 0", "up"),
            "Targets that cannot be scraped now. Page /targets of Prometheus shows the error of each.",
            legend="down",
            empty="No targets",
            height=5,
            thresholds=above(1),
        ),
        Panel(
            id=2,
            title="Firing alerts",
            kind="table",
            width=24,
            unit=SINCE,
            queries=(Query(alerts_now()),),
            columns=alert_columns("host", "job", "mountpoint", "datname"),
            sort="Value",
            empty="No firing alerts",
            about="Alerts that fire now, without Watchdog, which always fires. The dashboard Alerts has more.",
        ),
        Panel(
            id=3,
            title="Watchdog and config reloads",
            kind="stat",
            width=16,
            height=5,
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
            queries=(Query(f"topk(20, {minutes(began(_FIRING))})"),),
            columns=(Column("Value", "Times", 84), *_ALERT),
            empty="No alerts fired",
            about="How often each alert began to fire in the time range; what was only pending does not count. Select a week and check"
            " for each alert"
            " whether it required action.",
        ),
        Panel(
            id=5,
            title="Minutes spent firing",
            kind="table",
            width=12,
            unit="m",
            decimals=0,
            queries=(Query(f"topk(20, sum by (alertname, severity) (sum_over_time({_FIRING}[$__range:1m])))"),),
            columns=(Column("Value", "Time", 90), *_ALERT),
            empty="No alerts fired",
            about="How long each alert fired in the time range, summed over its instances.",
        ),
        Panel(
            id=6,
            title="Scrape duration (slowest 10)",
            kind="timeseries",
            width=12,
            unit="s",
            latest=True,
            queries=(
                Query(named(f"({top('scrape_duration_seconds', of='scrape_duration_seconds')})"), "{{job}} {{name}}"),
            ),
            empty="No targets",
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
                    named(
                        "sum by (host, instance) (rate(prometheus_tsdb_head_samples_appended_total[$__rate_interval]))"
                    ),
                    "{{name}}",
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
            queries=(Query(named("prometheus_tsdb_head_series"), "{{name}}"),),
            about="Series in memory. A steady increase is caused by a label with ever new values.",
        ),
        Panel(
            id=9,
            title="TSDB size",
            kind="timeseries",
            width=8,
            unit="bytes",
            latest=True,
            queries=(
                Query(named("prometheus_tsdb_storage_blocks_bytes"), "blocks {{name}}"),
                Query(named("prometheus_tsdb_wal_storage_size_bytes"), "wal {{name}}"),
                Query(named("(prometheus_tsdb_retention_limit_bytes > 0)"), "limit {{name}}"),
            ),
            limit="^limit ",
            colors={"^limit ": "red"},
            about="Disk space used by Prometheus' data, and its size limit, if set.",
        ),
        Panel(
            id=10,
            title="Rule groups by share of their interval",
            kind="bargauge",
            width=12,
            height=10,
            unit="percentunit",
            max=1,
            tall=True,
            # Ours: at 1 evaluations are skipped.
            thresholds=rising(0.5, 1),
            queries=(
                Query(
                    "topk(10, max by (rule_group)"
                    " (prometheus_rule_group_last_duration_seconds / prometheus_rule_group_interval_seconds))",
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
            width=12,
            height=10,
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
            empty="Prometheus has no Alertmanager, or does not scrape itself",
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
            queries=NOTIFICATIONS,
            colors={"^failed ": "red"},
            empty="No notifications, or no Alertmanager is scraped",
            about="Notifications that Alertmanager sent, and those that failed.",
        ),
        number(
            14,
            "Active silences",
            'max(alertmanager_silences{state="active"})',
            "Active silences. A forgotten one hides the next outage. A click lists them.",
            legend="silences",
            empty="No Alertmanager is scraped",
            links=(Link("Silences", SILENCES),),
            height=5,
        ),
        Panel(
            id=15,
            title="Days to certificate expiry",
            kind="table",
            width=12,
            unit="suffix: d",
            queries=(Query("(probe_ssl_earliest_cert_expiry - time()) / 86400"),),
            columns=(
                Column(
                    "Value",
                    "Expires in",
                    90,
                    decimals=0,
                    thresholds=falling(*bounds("CertificateExpiresSoon"), usual="transparent"),
                ),
                Column("instance", "Certificate of", least=ADDRESS),
                Column("host", "Host", least=NAME),
            ),
            sort="-Value",
            empty="No TLS certificates are probed by blackbox_exporter",
            about="Days until the first certificate in each chain expires.",
        ),
        Panel(
            id=16,
            title="Time since last backup",
            kind="table",
            width=12,
            unit="s",
            queries=(Query("time() - max by (backup) (backup_last_success_timestamp_seconds)"),),
            columns=(
                Column(
                    "Value",
                    "Succeeded",
                    105,
                    decimals=1,
                    thresholds=above(bound("BackupTooOld", "critical").scaled(3600), usual="transparent"),
                ),
                Column("backup", "Backup", least=NAME),
            ),
            sort="Value",
            empty="No backup reports its success",
            about="Time since the last success of each backup, from its metric backup_last_success_timestamp_seconds.",
        ),
        Panel(
            id=17,
            title="Targets that are down",
            kind="table",
            width=12,
            unit="short",
            queries=(Query("up == 0"),),
            columns=(
                Column("host", "Host", least=NAME),
                Column("job", "Job", least=200),
                Column("instance", "Instance", least=SHORTER),
            ),
            empty="No target is down",
            about="Targets that cannot be scraped now. Page /targets of Prometheus shows the error of each.",
        ),
        Panel(
            id=18,
            title="Jobs by what they cost",
            kind="table",
            width=12,
            unit="short",
            queries=(
                Query("sum by (job) (scrape_samples_post_metric_relabeling)"),
                Query("count by (job) (up)"),
                Query("count by (job) (up == 0)"),
                Query("max by (job) (scrape_duration_seconds)"),
                Query("sum by (job) (sum_over_time(scrape_series_added[1h]))"),
            ),
            columns=(
                Column("job", "Job", least=180),
                Column("Value #B", "Targets", 74, "short", 0),
                Column("Value #C", "Down", 55, "short", 0, above(1, usual="transparent")),
                Column("Value #A", "Samples", 80, "short"),
                Column("Value #E", "New series (1h)", 130, "short"),
                Column("Value #D", "Slowest", 80, "s"),
            ),
            sort="Value #A",
            empty="No targets",
            about="Samples of each scrape by job, the largest first, and the series that it has added in an hour. Many new ones"
            " all the time:"
            " a label with ever new values, which metric_relabel_configs can drop.",
        ),
        Panel(
            id=19,
            title="Samples by job (10 highest)",
            kind="timeseries",
            width=12,
            unit="short",
            latest=True,
            queries=(Query(top("sum by (job) (scrape_samples_post_metric_relabeling)"), "{{job}}"),),
            empty="No targets",
            about="Samples of a scrape of all targets of a job. A step upwards: a new version of an exporter, or a label that was added.",
        ),
        Panel(
            id=20,
            title="Metrics with most series",
            kind="table",
            width=24,
            height=10,
            unit="short",
            decimals=0,
            queries=(Query('topk(20, count by (__name__) ({__name__!=""}))'),),
            columns=(Column("Value", "Series", 80), Column("__name__", "Metric", least=NAME)),
            empty="Prometheus has no series",
            about="The metrics with most series. This query reads every series: unfold it when you need it, and not all day.",
        ),
        Panel(
            id=21,
            title="Last rehearsal of each restore",
            kind="table",
            width=24,
            unit="short",
            queries=tuple(
                Query(f'max by (backup, service, what) (monitoring_restore_test_items{{of="{of}"}})')
                for of in ("restored", "running")
            ),
            columns=(
                Column("Value #A", "Restored", 84, "short", 0),
                Column("Value #B", "Running then", 110, "short", 0),
                Column("service", "Service", least=125),
                Column("what", "Compared", least=150),
                Column("backup", "Backup", least=NAME),
            ),
            empty="No restore was rehearsed",
            about="What restore_test.yml found in the restored services, and in the running ones at that time. Rules and dashboards may"
            " have changed since the backup.",
        ),
    )
}


def _panels(*numbers: int) -> tuple[Panel, ...]:
    return tuple(_PANELS[number] for number in numbers)


DASHBOARD = Dashboard(
    uid="mon-self",
    title="Monitoring Stack",
    about="Firing alerts, delivery of notifications, and health of Prometheus and Alertmanager.",
    span="24h",
    empty="Prometheus does not scrape itself",
    variables=(),
    events=(
        firing(".+", shown=False),
        deployments(),
        Event(
            name="Restarts of monitoring services",
            expr=(
                "process_start_time_seconds * 1000 * on (job, instance) group_left (version)"
                f' max by (job, instance, version) ({{__name__=~"({_OURS})_build_info"}}) > $__from {AT_THE_END}'
            ),
            color="purple",
            title="{{job}} {{version}} started",
            text="{{instance}}",
            at_value=True,
        ),
    ),
    panels=(
        *_panels(1, 14, 3, 2),
        Row("Alerts"),
        *_panels(4, 5),
        Row("Targets and scrapes"),
        *_panels(17, 18, 6, 19),
        Row("Prometheus"),
        *_panels(7, 8, 9, 10, 11),
        Row("Notifications"),
        *_panels(12, 13),
        Row("Certificates and backups"),
        *_panels(15, 16, 21),
        Row("Cardinality", _panels(20)),
    ),
)
