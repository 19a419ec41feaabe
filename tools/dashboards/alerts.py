# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts: what fires now, what fired, how long, and what is noise."""

from __future__ import annotations

from .build import (
    ALERT,
    FIRING,
    GROUPS,
    NAME,
    NEUTRAL,
    NOTIFICATIONS,
    SHORTER,
    SILENCES,
    SINCE,
    Column,
    Dashboard,
    Link,
    Panel,
    Query,
    Variable,
    above,
    alert_columns,
    alerts_now,
    began,
    minutes,
    number,
    of_severity,
    warnings,
)

_CHOSEN = 'severity=~"$severity", service=~"$service", alertname=~"$alertname"'
_MATCHERS = f"{FIRING}, {_CHOSEN}"
_FIRING = f"ALERTS{{{_MATCHERS}}}"
_BEGAN = began(_FIRING)
_RUNBOOK = Column("alertname", "Alert", least=ALERT, links=(Link("Runbook"),))
_SEVERITY = Column("severity", "Severity", 80)


def _number(id: int, title: str, expr: str, about: str, thresholds=NEUTRAL, links=()) -> Panel:  # pylint: disable=redefined-builtin
    return number(id, title, expr, about, thresholds=thresholds, decimals=0, legend="alerts", links=links)


def _notified(counter: str) -> str:
    return f"sum by (receiver_name, integration) (increase({counter}[$__range])) >= 0.5"


DASHBOARD = Dashboard(
    uid="mon-alerts",
    title="Alerts",
    about="What fires now and since when, who was notified, what fired in the time range, and which alerts are noise.",
    span="24h",
    empty="No Alertmanager is scraped",
    variables=(
        Variable("severity", "Severity", 'label_values(ALERTS{alertname!="Watchdog"}, severity)'),
        Variable("service", "Service", 'label_values(ALERTS{alertname!="Watchdog"}, service)'),
        Variable("alertname", "Alert", 'label_values(ALERTS{alertname!="Watchdog", service=~"$service"}, alertname)'),
    ),
    events=(),
    panels=(
        _number(
            1,
            "Critical",
            f"count({of_severity('critical', _MATCHERS)}) or vector(0)",
            "Critical alerts that fire now.",
            above(1),
        ),
        _number(
            2,
            "Warnings",
            f"count({warnings(_MATCHERS)}) or vector(0)",
            "Warnings that fire now, and are not critical as well.",
            above(1, "orange"),
        ),
        _number(
            3,
            "Pending",
            f'count(ALERTS{{alertstate="pending", {_CHOSEN}}}) or vector(0)',
            "Alerts whose condition is true, but not yet for long enough.",
        ),
        _number(
            4,
            "Suppressed",
            'max(sum by (instance) (alertmanager_alerts{state="suppressed"}))',
            "Alerts that Alertmanager suppresses because of a silence or an inhibition rule. A click lists them with the silences.",
            links=(Link("Suppressed alerts", f"{GROUPS}&alertState=suppressed"),),
        ),
        _number(
            5,
            "Active silences",
            'max(alertmanager_silences{state="active"})',
            "Active silences. A forgotten one hides the next outage. A click lists them: by whom, why, and until when.",
            links=(Link("Silences", SILENCES),),
        ),
        _number(
            6,
            "Not delivered",
            "sum(increase(alertmanager_notifications_failed_total[$__range]))",
            "Notifications that could not be delivered in the time range: somebody was not told.",
            above(1),
        ),
        Panel(
            id=7,
            title="Firing now",
            kind="table",
            width=24,
            height=12,
            unit=SINCE,
            queries=(Query(alerts_now(_CHOSEN)),),
            columns=alert_columns(
                "host", "instance", "job", "mountpoint", "datname", "handler", "name", "groupname", "backup"
            ),
            sort="Value",
            empty="No firing alerts",
            about="Alerts that fire now, the newest first; one that is a warning and critical at once is listed as critical."
            " A click on the name leads to its panel, to its runbook, and to the receivers that it is sent to and the silences that keep"
            " it from them. Watchdog, which always fires, is left out.",
        ),
        Panel(
            id=8,
            title="When alerts fired",
            kind="state-timeline",
            width=24,
            height=10,
            unit="short",
            thresholds=((None, "green"), (1, "blue"), (2, "orange"), (3, "red")),
            queries=(
                Query(
                    f"max by (alertname) ({of_severity('critical', _MATCHERS)} * 3"
                    f" or {of_severity('warning', _MATCHERS)} * 2 or {_FIRING})"
                    # Grafana calls a timeline without a series an error.
                    ' or label_replace(vector(0), "alertname", "No alerts fired", "", "")'
                    f" unless on () count(last_over_time({_FIRING}[$__range] @ end()))",
                    "{{alertname}}",
                ),
            ),
            empty="No alerts fired",
            about="When each alert fired, on whatever host: red while critical, orange while a warning. What begins together"
            " has one cause.",
        ),
        Panel(
            id=9,
            title="Fired most",
            kind="table",
            width=8,
            height=10,
            unit="short",
            decimals=0,
            queries=(Query(f"topk(20, {minutes(_BEGAN)})"),),
            columns=(Column("Value", "Times", 84), _SEVERITY, _RUNBOOK),
            empty="No alerts fired",
            about="How often each alert began to fire in the time range, summed over its hosts. What was only pending does not count."
            " Select a week, and check for each alert whether it required action.",
        ),
        Panel(
            id=10,
            title="Time spent firing",
            kind="table",
            width=8,
            height=10,
            unit="s",
            decimals=1,
            queries=(Query(f"topk(20, 60 * {minutes(_FIRING)})"),),
            columns=(Column("Value", "Fired for", 104), _SEVERITY, _RUNBOOK),
            empty="No alerts fired",
            about="How long each alert fired in the time range, summed over its hosts.",
        ),
        Panel(
            id=11,
            title="Noise: over within 10 minutes",
            kind="table",
            width=8,
            height=10,
            unit="short",
            decimals=0,
            queries=(
                Query(
                    "topk(20, " + minutes(f"({_FIRING} offset 10m unless {_FIRING} offset 11m unless {_FIRING})") + ")"
                ),
            ),
            columns=(Column("Value", "Times", 84), _SEVERITY, _RUNBOOK),
            empty="No alert was over within 10 minutes",
            about="How often each alert fired and was over within ten minutes, before anybody could act: a longer `for`, or another"
            " threshold in prometheus_thresholds.",
        ),
        Panel(
            id=12,
            title="Hosts with most alerts",
            kind="table",
            width=9,
            unit="short",
            decimals=0,
            queries=(Query(f"topk(20, {minutes(_BEGAN, 'host')})"),),
            columns=(
                Column("Value", "Times", 84),
                Column(
                    "host",
                    "Host",
                    least=NAME,
                    links=(Link("Host", "/d/mon-fleet?var-host=${__value.raw}&${__url_time_range}"),),
                ),
            ),
            empty="No alerts fired",
            about="How often alerts of a host began to fire in the time range. One host with many: repair it, not the alerts.",
        ),
        Panel(
            id=14,
            title="Who was notified",
            kind="table",
            width=8,
            unit="short",
            queries=(
                Query(_notified("alertmanager_notifications_total")),
                Query(_notified("alertmanager_notifications_failed_total")),
            ),
            columns=(
                Column("Value #A", "Sent", 55, "short", 0),
                Column("Value #B", "Failed", 66, "short", 0, ((None, "transparent"), (1, "red"))),
                Column("receiver_name", "Receiver", least=SHORTER),
                Column("integration", "By", 100),
            ),
            sort="Value #A",
            empty="None, or no Alertmanager",
            about="Notifications of the time range by receiver. Alertmanager 0.27 and newer name the receivers with"
            " `enable-feature: receiver-name-in-metrics` in alertmanager_config_flags_extra; without it, only the integrations are known.",
        ),
        Panel(
            id=13,
            title="Notifications by integration",
            kind="timeseries",
            width=7,
            unit="short",
            bars=True,
            step=1,
            queries=NOTIFICATIONS,
            colors={"^failed ": "red"},
            empty="No notifications, or no Alertmanager is scraped",
            about="Notifications that Alertmanager sent, and those that failed.",
        ),
    ),
)
