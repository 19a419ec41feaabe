# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Application Performance: requests, from prometheus-fastapi-instrumentator, and availability, from probes."""

from __future__ import annotations

from .build import (
    ADDRESS,
    SINCE,
    Column,
    Dashboard,
    Panel,
    Query,
    Variable,
    above,
    alert_columns,
    alerts_now,
    bound,
    bounds,
    counted,
    deployments,
    falling,
    firing,
    named,
    number,
    rising,
    top,
)

# Scrapes are counted as requests: the alerts exclude them as well.
_HTTP = 'job=~"$job", handler=~"$handler", handler!~".*/metrics"'
# This histogram has no label for the handler.
_BUCKETS = 'http_request_duration_highr_seconds_bucket{job=~"$job"}'

_ALL = f"sum by (job) (rate(http_requests_total{{{_HTTP}}}[$__rate_interval]))"
_FAILED = f'sum by (job) (rate(http_requests_total{{{_HTTP}, status=~"5.."}}[$__rate_interval]))'

_SLOW = bounds("SlowResponseTime")
_5XX = ', status=~"5.."'
# Whether they answer or not: the jobs of the application are those that have counted a request in the time range.
_INSTANCES = (
    'up{job=~"$job"} and on (job) count by (job) (last_over_time('
    'http_request_duration_highr_seconds_count{job=~"$job"}[$__range]))'
)


def _by(label: str, matchers: str = "") -> str:
    return f"sum by ({label}) (rate(http_requests_total{{{_HTTP}{matchers}}}[$__rate_interval]))"


def _in_the_range(matchers: str = "") -> str:
    return f"sum by (job) (increase(http_requests_total{{{_HTTP}{matchers}}}[$__range]))"


_FAILED_BY_ENDPOINT = f"100 * ({_by('handler', _5XX)} or 0 * {_by('handler')}) / ({_by('handler')} > 0)"


def _quantile(share: str) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({_BUCKETS}[$__rate_interval])))"


# Grafana 10.1 has no words of its own for a heatmap that has nothing to show: this is the only bucket where the time range has no
# sample. Its name is drawn beside the axis, which has no room for more.
_NO_TIMES = (
    f"label_replace(vector(NaN) unless on () count(last_over_time({_BUCKETS}[$__range] @ end())),"
    ' "le", "No requests", "", "")'
)


def _over_the_range(name: str, by: str, matchers: str = "") -> str:
    return f"sum by ({by}) (increase(http_request_duration_seconds_{name}{{{_HTTP}{matchers}}}[$__range]))"


DASHBOARD = Dashboard(
    uid="mon-app",
    title="Application Performance",
    about="Requests, errors and response times of the application by endpoint and instance, and its availability from outside.",
    span="6h",
    empty="No requests, or no application is scraped",
    variables=(
        Variable("job", "Job", "label_values(http_requests_total, job)"),
        Variable(
            "handler", "Endpoint", 'label_values(http_requests_total{job=~"$job", handler!~".*/metrics"}, handler)'
        ),
    ),
    events=(firing("api|probe"), deployments(shown=True)),
    panels=(
        number(
            10,
            "Instances down",
            counted(f"({_INSTANCES}) == 0", _INSTANCES),
            "Instances of the application that do not answer Prometheus. The others serve its requests alone.",
            legend="down",
            empty="No application is scraped",
            width=4,
            height=6,
            thresholds=above(1),
            decimals=0,
        ),
        number(
            11,
            "Requests without errors",
            f"100 * (1 - ({_in_the_range(_5XX)} or 0 * {_in_the_range()}) / ({_in_the_range()} > 0))",
            "Share of the requests of the time range that did not fail with a status of 500 or above. Below the objective of"
            " ErrorBudgetBurn, the error budget of this time is used up.",
            legend="{{job}}",
            width=6,
            height=6,
            unit="percent",
            decimals=2,
            # The objective; the more severe one is ours.
            thresholds=falling(bound("ErrorBudgetBurn", "critical", "objective"), 99),
        ),
        Panel(
            id=12,
            title="Firing alerts of the application",
            kind="table",
            width=14,
            height=6,
            unit=SINCE,
            queries=(Query(alerts_now('service=~"api|probe"')),),
            columns=alert_columns("host", "instance", "handler"),
            sort="Value",
            empty="No firing alerts",
            about="Alerts of the application and of its probes that fire now, the newest first. A click on the name leads to its panel,"
            " to its runbook, and to its receivers and silences.",
        ),
        Panel(
            id=1,
            title="Requests per second",
            kind="timeseries",
            width=12,
            unit="reqps",
            latest=True,
            queries=(Query(_ALL, "{{job}}"),),
            about="Requests to the selected endpoints. A sudden drop deserves as much attention as a rise.",
        ),
        Panel(
            id=2,
            title="Error rate (5xx)",
            kind="timeseries",
            width=12,
            unit="percent",
            latest=True,
            thresholds=rising(*bounds("HighErrorRate")),
            # Without a single error there is no series of errors: the rate is 0, not absent.
            queries=(Query(f"100 * ({_FAILED} or 0 * {_ALL}) / {_ALL}", "{{job}}"),),
            about="Share of the requests with an HTTP status of 500 or above.",
        ),
        Panel(
            id=3,
            title="Response time p50, p95, p99",
            kind="timeseries",
            width=12,
            unit="s",
            latest=True,
            thresholds=rising(*_SLOW),
            queries=(
                Query(_quantile("0.50"), "p50"),
                Query(_quantile("0.95"), "p95"),
                Query(_quantile("0.99"), "p99"),
            ),
            colors={"^p50$": "green", "^p95$": "yellow", "^p99$": "red"},
            about="Half of the requests, 95 % and 99 % were answered within this time. The lines are the thresholds of p95.",
        ),
        Panel(
            id=4,
            title="Response time distribution",
            kind="heatmap",
            width=12,
            unit="s",
            step=0.1,
            queries=(Query(f"sum by (le) (increase({_BUCKETS}[$__rate_interval])) or {_NO_TIMES}", "{{le}}"),),
            about="Number of requests by response time. Two bands are two kinds of requests, or cache hits and misses.",
        ),
        Panel(
            id=5,
            title="Errors by status code",
            kind="timeseries",
            width=12,
            unit="short",
            bars=True,
            stack=True,
            queries=(
                Query(
                    f'sum by (status) (increase(http_requests_total{{{_HTTP}, status=~"4..|5.."}}[$__rate_interval]))',
                    "{{status}}",
                ),
            ),
            colors={"^4": "orange", "^5": "red"},
            empty="No failed requests, or no application is scraped",
            about="Failed requests: 4xx are errors of the client, 5xx of the application.",
        ),
        Panel(
            id=6,
            title="Slowest endpoints (mean, top 10)",
            kind="bargauge",
            width=12,
            unit="s",
            thresholds=rising(*_SLOW),
            queries=(
                Query(
                    f"topk(10, {_over_the_range('sum', 'method, handler')}"
                    f" / ({_over_the_range('count', 'method, handler')} > 0))",
                    "{{method}} {{handler}}",
                ),
            ),
            about="Mean response time in the time range.",
        ),
        Panel(
            id=7,
            title="Requests above 1 s by endpoint",
            kind="bargauge",
            width=12,
            height=10,
            unit="percent",
            max=100,
            # The milder one is ours: at the other the alert fires.
            thresholds=rising(1, bound("SlowEndpoint", "warning")),
            queries=(
                Query(
                    "topk(10, 100 * (1 - "
                    + _over_the_range("bucket", "handler", r', le=~"1(\\.0)?"')
                    + f" / ({_over_the_range('count', 'handler')} > 0)))",
                    "{{handler}}",
                ),
            ),
            about="Share of the requests that took longer than one second, in the time range.",
        ),
        Panel(
            id=15,
            title="Requests by instance",
            kind="timeseries",
            width=12,
            height=10,
            unit="reqps",
            latest=True,
            queries=(Query(named(f"({_by('job, host, instance')})"), "{{name}}"),),
            about="Requests that each instance answers. One that gets none is up, and not in the load balancer.",
        ),
        Panel(
            id=13,
            title="Requests by endpoint (10 highest)",
            kind="timeseries",
            width=12,
            height=10,
            unit="reqps",
            latest=True,
            queries=(Query(top(_by("handler")), "{{handler}}"),),
            about="The ten endpoints with the highest peak in the time range. One that rises alone is a client that repeats itself.",
        ),
        Panel(
            id=14,
            title="Errors by endpoint (10 highest)",
            kind="timeseries",
            width=12,
            height=10,
            unit="percent",
            latest=True,
            step=0.01,
            queries=(Query(top(f"({_FAILED_BY_ENDPOINT})"), "{{handler}}"),),
            about="Share of the requests of each endpoint that failed with a status of 500 or above. One alone: its code or what it asks"
            " of; all of them: the database or the host.",
        ),
        Panel(
            id=8,
            title="Active database connections",
            kind="timeseries",
            width=12,
            height=6,
            unit="short",
            decimals=0,
            queries=(
                Query(
                    'sum by (datname) (pg_stat_activity_count{state="active", datname!~"template.*|postgres|"})',
                    "{{datname}}",
                ),
            ),
            empty="No postgres_exporter is scraped",
            about="Connections with a running query.",
        ),
        Panel(
            id=9,
            title="Availability (probes)",
            kind="table",
            width=12,
            height=6,
            unit="percent",
            queries=(Query("100 * avg by (instance) (avg_over_time(probe_success[$__range]))"),),
            columns=(
                # The objective; the more severe one is ours.
                Column(
                    "Value",
                    "Available",
                    100,
                    decimals=2,
                    thresholds=falling(bound("ErrorBudgetBurn", "critical", "objective"), 99, usual="transparent"),
                ),
                Column("instance", "Address", least=ADDRESS),
            ),
            sort="-Value",
            empty="No blackbox_exporter is scraped",
            about="Share of successful probes of the blackbox exporter, in the time range, the lowest first.",
        ),
    ),
)
