# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate Grafana's JSON from the description of a dashboard, with Grafana's own foundation SDK.

The JSON is of the schema that Grafana 9 wrote, and that every later one reads.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import yaml
from ansible_collections.vigil.monitoring.plugins.plugin_utils._dashboards import ALERTMANAGER as MANAGER
from ansible_collections.vigil.monitoring.plugins.plugin_utils._dashboards import AT, RUNBOOK
from ansible_collections.vigil.monitoring.plugins.plugin_utils._rules import (
    alerts_of,
    link_of,
    load_packs,
    resolve,
    runbook,
)
from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    gauge,
    heatmap,
    piechart,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models import piechart as piechart_model
from grafana_foundation_sdk.models import prometheus as prometheus_model

SERVICES = pathlib.Path(__file__).resolve().parents[2] / "plugins" / "plugin_utils" / "services"
# Tag of all dashboards; the links between them use it.
TAG = "vigil-monitoring"
# The variable: a provisioned file resolves no ${DS_...}.
SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
COLUMNS = 24
# A row's height; a unit is 38 pixels.
HEIGHT = 8
_NEUTRAL = "#8e8e8e"
Steps = tuple[tuple[float | None, str], ...]


# Parts of a dashboard


@dataclass(frozen=True)
class Query:
    """A query of a panel.

    :ivar legend: name of its series, with ``{{label}}`` for labels.
    """

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Link:
    """Where a click leads.

    :ivar url: with ``${...}`` for labels, as Grafana writes it; empty for the runbook of the alert that is the value. One that begins
        with :data:`ALERTING` is there where Grafana has an Alertmanager.
    """

    title: str
    url: str = ""


# Grafana's pages of alerts and silences.
ALERTING = "/alerting/"
GROUPS, SILENCES = (f"{ALERTING}{page}?alertmanager=Alertmanager" for page in ("groups", "silences"))


@dataclass(frozen=True)
class Column:
    """A column of a table.

    :ivar label: the label in it; ``Value`` is the value, of several queries ``Value #A`` that of the first.
    :ivar title: its heading.
    :ivar width: in pixels; without it, it takes what is left.
    :ivar least: in pixels, so much at least; where a screen has no room for all columns, the table scrolls sideways.
    :ivar unit: that of its numbers; empty for those of the panel, where it is the value of the only query.
    :ivar thresholds: its background, from a value on.
    :ivar texts: values that are shown as a text in a color.
    :ivar hidden: it is there for links alone, or to sort by.
    :ivar inspected: a click on a mark in its cells shows the whole text.
    """

    label: str
    title: str
    width: int = 0
    unit: str = ""
    decimals: int | None = None
    thresholds: Steps = ()
    texts: dict[str, tuple[str, str]] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    least: int = 0
    hidden: bool = False
    inspected: bool = False


@dataclass(frozen=True)
class Row:
    """A heading that folds what follows until the next one.

    :ivar folded: panels that are folded at first, and ask nothing until they are unfolded; none follow then.
    """

    title: str
    folded: tuple[Panel, ...] = ()


@dataclass(frozen=True)
class Panel:
    """A panel.

    :ivar id: its number within the dashboard. Links of alerts lead to it: it stays, wherever the panel moves.
    :ivar kind: Grafana's name for how it is drawn.
    :ivar width: columns of 24.
    :ivar about: what it shows, and what to make of it.
    :ivar empty: what it means when there is nothing to show; by default, what the dashboard says.
    :ivar thresholds: the colors from a value on; in a time series they are lines.
    :ivar colors: regular expressions of names of series with the color of each.
    :ivar limit: regular expression of the name of a series that is a limit for the others.
    :ivar mirrored: regular expression of the names of series that are drawn below zero.
    :ivar floor: where the axis begins unless something is below it.
    :ivar texts: values that are shown as a text in a color.
    :ivar named: name of a series that stands alone, which Grafana would leave out.
    :ivar latest: the legend has the latest values.
    :ivar renamed: a regular expression of names of series, and what is shown instead.
    :ivar tall: bars have long names; where they are many, the panel scrolls.
    :ivar columns: of a table, from left to right.
    :ivar height: in Grafana's units of 38 pixels; those beside it have the same.
    :ivar step: numbers are rounded to multiples of it.
    :ivar sort: the column, by its label, that a table is sorted by, the largest first; with ``-`` the smallest.
    :ivar links: where a click on a series leads.
    :ivar name_only: a stat shows the name of its series, and not the value.
    """

    id: int
    title: str
    kind: str
    width: int
    unit: str
    queries: tuple[Query, ...]
    about: str
    empty: str = ""
    thresholds: Steps = ()
    stack: bool = False
    bars: bool = False
    max: float | None = None
    decimals: int | None = None
    colors: dict[str, str] = field(default_factory=dict)
    limit: str = ""
    mirrored: str = ""
    floor: float = 0
    texts: dict[str, tuple[str, str]] = field(default_factory=dict)
    named: str = ""
    latest: bool = False
    renamed: tuple[str, str] = ()
    tall: bool = False
    columns: tuple[Column, ...] = ()
    height: int = 0
    step: float = 0
    sort: str = ""
    links: tuple[Link, ...] = ()
    name_only: bool = False


@dataclass(frozen=True)
class Variable:
    """A choice at the top of a dashboard: all, or some.

    :ivar regex: what of the query's result is the value, and what is shown for it; then one is chosen, and not all.
    """

    name: str
    label: str
    query: str
    regex: str = ""


@dataclass(frozen=True)
class Event:
    """What is marked in graphs of a dashboard.

    :ivar at_value: the value is the time in milliseconds, instead of being above zero when it happens.
    :ivar shown: whether it is marked at first; otherwise, once a person wants it.
    :ivar alerts: only panels that alerts lead to are marked.
    """

    name: str
    expr: str
    color: str
    title: str
    text: str
    at_value: bool = False
    shown: bool = True
    alerts: bool = False


@dataclass(frozen=True)
class Dashboard:
    """A dashboard.

    :ivar span: the time that it shows at first, such as ``6h``.
    :ivar empty: what it means when a panel has nothing to show.
    """

    uid: str
    title: str
    about: str
    span: str
    empty: str
    variables: tuple[Variable, ...]
    events: tuple[Event, ...]
    panels: tuple[Panel | Row, ...]


# Thresholds: the numbers of the alerts

ALERTS = alerts_of(load_packs())


class Bound(float):
    """The number at which an alert fires; what ``prometheus_thresholds`` says of it moves it at deployment.

    :ivar origin: the alert, the severity, the parameter, and by what its number is multiplied and what is added to that.
    """

    origin: dict[str, object]

    def __new__(cls, value: float, **origin: object) -> Bound:
        """A number with where it is from."""
        made = super().__new__(cls, value)
        made.origin = origin
        return made

    def scaled(self, factor: float, offset: float = 0) -> Bound:
        """The same in another unit, or counted from another end."""
        origin = {
            **self.origin,
            "factor": self.origin["factor"] * factor,
            "offset": self.origin["offset"] * factor + offset,
        }
        return Bound(self * factor + offset, **origin)


def bound(alert: str, tier: str, parameter: str = "threshold") -> Bound:
    """The number at which an alert of the packs fires unless ``prometheus_thresholds`` says otherwise."""
    resolved, problems = resolve(ALERTS[alert], {}, alert)
    if problems:
        raise ValueError("\n".join(map(str, problems)))
    value = resolved[tier].values[parameter]
    return Bound(value, alert=alert, severity=tier, parameter=parameter, factor=1, offset=0)


def bounds(alert: str) -> tuple[Bound, Bound]:
    """The numbers of an alert's two severities: ``warning`` and ``critical``."""
    return bound(alert, "warning"), bound(alert, "critical")


def rising(warning: float, critical: float, usual: str = "green") -> Steps:
    """The more, the worse."""
    return ((None, usual), (warning, "orange"), (critical, "red"))


def falling(warning: float, critical: float, usual: str = "green") -> Steps:
    """The less, the worse."""
    return ((None, "red"), (critical, "orange"), (warning, usual))


def above(limit: float, color: str = "red", usual: str = "green") -> Steps:
    """Green below a number, red from there on."""
    return ((None, usual), (limit, color))


# Widths of columns in pixels: a letter takes 7.6 where a link makes it bold, and the cell 20 around it. A name of 46 letters, and one of
# 40; an address that is probed, or a path, of 64; the names of most alerts, and of the longest one.
NAME, SHORTER, ADDRESS, ALERT, ANY_ALERT = 370, 312, 490, 255, 310

# Neither good nor bad.
NEUTRAL: Steps = ((None, "blue"),)


# Panels that several dashboards have


def number(id: int, title: str, expr: str, about: str, **more) -> Panel:  # pylint: disable=redefined-builtin
    """A number at the top of a page.

    :param more: attributes of :class:`Panel`, and ``legend``, the name of the series.
    """
    legend = more.pop("legend")
    more = {"width": 4, "height": 3, "unit": "short", "thresholds": NEUTRAL, **more}
    return Panel(id=id, title=title, kind="stat", queries=(Query(expr, legend),), about=about, **more)


# Parts of queries


def counted(found: str, of: str) -> str:
    """How many there are; 0 only where there is something to count them of: without it, all is not well but unknown."""
    return f"count({found}) or 0 * count({of})"


def files(chosen: str) -> str:
    """Matchers of file systems that keep data.

    :param chosen: matchers of the hosts.
    """
    return chosen + ', fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660|nsfs"'


def cards(chosen: str) -> str:
    """Matchers of network interfaces, without bridges and those of containers."""
    return chosen + ', device!~"lo|veth.*|docker.*|br-.*|cni.*|flannel.*|cali.*"'


def blocks(chosen: str) -> str:
    """Matchers of disks."""
    return chosen + ', device!~"loop.*|ram.*|sr.*|zram.*"'


# Matchers of alerts that fire. Watchdog always does.
FIRING = 'alertstate="firing", alertname!="Watchdog"'


def of_severity(severity: str, matchers: str) -> str:
    """The alerts of a severity."""
    return f'ALERTS{{severity="{severity}", {matchers}}}'


def warnings(matchers: str) -> str:
    """The warnings; one that fires with both severities is a critical alert."""
    return f"{of_severity('warning', matchers)} unless ignoring (severity) {of_severity('critical', matchers)}"


def began(alerts: str) -> str:
    """The first minute of each time that alerts fired; pending ones never fired."""
    return f"({alerts} unless {alerts} offset 1m)"


def minutes(alerts: str, by: str = "alertname, severity") -> str:
    """In how many minutes of the time range there were alerts, summed over their hosts."""
    return f"sum by ({by}) (count_over_time({alerts}[$__range:1m]))"


NOTIFICATIONS = (
    Query(
        "sum by (integration) (increase(alertmanager_notifications_total[$__rate_interval])) > 0",
        "sent {{integration}}",
    ),
    Query(
        "sum by (integration, reason) (increase(alertmanager_notifications_failed_total[$__rate_interval])) > 0",
        "failed {{integration}} {{reason}}",
    ),
)


def named(expr: str) -> str:
    """With the label ``name``: the host's name in the inventory, or else the target's address."""
    joined = f'label_join({expr}, "name", ";", "host", "instance")'
    return f'label_replace({joined}, "name", "$1$2", "name", "(?:([^;]+);.*|;(.*))")'


def top(expr: str, number: int = 10, of: str = "", over: str = "max_over_time") -> str:
    """The series that were the highest in the time range: the same ones all the time, unlike those of ``topk`` alone.

    :param of: a metric with the same labels that they are chosen by; by default they are evaluated at each step.
    :param over: the function that is the higher, the more of a series is to be seen.
    """
    chosen = f"{of}[$__range]" if of else f"({expr})[$__range:$__interval]"
    return f"{expr} and topk({number}, {over}({chosen} @ end()))"


def once(alerts: str) -> str:
    """Alerts, but one that fires with both severities only as the more severe one.

    :param alerts: matchers.
    """
    critical, others = (f'ALERTS{{severity{how}"critical", {alerts}}}' for how in ("=", "!="))
    return f"({critical} or ({others} unless ignoring (severity) {critical}))"


# Alerts as rows of a table. The value is the time in milliseconds since when each has been active.
SINCE = "dateTimeFromNow"


def alerts_now(matchers: str = "", chosen: str = "") -> str:
    """The alerts that fire now, each once, with when it became active, and the label ``panel`` with the path of its panel.

    :param chosen: what follows, such as ``and on (host) ...``.
    """
    firing_now = once(f"{FIRING}{matchers and ', '}{matchers}")
    expr = f"1000 * (ALERTS_FOR_STATE and ignoring (alertstate) {firing_now}{chosen})"
    # By default the page of all alerts, for alerts of the user's own.
    expr = f'label_replace({expr}, "panel", "mon-alerts?", "", "")'
    expr = f'label_replace({expr}, "chosen", "", "", "")'
    for name, pack in load_packs().items():
        link = link_of(pack)
        paths: dict[str, list[str]] = {}
        for alert, about in pack["alerts"].items():
            panel = f"viewPanel={about['panel']}" if "panel" in about else ""
            paths.setdefault(f"{link.dashboard}?{panel}", []).append(alert)
        for path, names in paths.items():
            expr = f'label_replace({expr}, "panel", "{path}", "alertname", "{"|".join(names)}")'
        for label in link.variables:
            if label in ("job", "instance", "host"):
                # Not where it is empty: that would choose nothing.
                joined = f'label_join({expr}, "{label}_of", ";", "service", "{label}", "chosen")'
                expr = f'label_replace({joined}, "chosen", "$2&var-{label}=$1", "{label}_of", "{name};([^;]+);(.*)")'
    return expr


def alert_columns(*labels: str) -> tuple[Column, ...]:
    """The columns of a table of :func:`alerts_now`, with these labels of what the alerts are about."""
    titles = {
        "host": "Host",
        "instance": "Instance",
        "job": "Job",
        "mountpoint": "Mounted on",
        "device": "Device",
        "datname": "Database",
        "handler": "Endpoint",
        "name": "Container",
        "groupname": "Group",
        "backup": "Backup",
    }
    least = {"host": NAME, "instance": SHORTER, "handler": ADDRESS, "name": NAME, "groupname": NAME, "job": 200}
    return (
        Column("severity", "Severity", 80),
        Column("alertname", "Alert", ANY_ALERT, links=(_PANEL, Link("Runbook"), _RECEIVERS)),
        Column("Value", "Active since", 140),
        *(Column(label, titles[label], least=least.get(label, 110)) for label in labels),
        Column("panel", "panel", hidden=True),
        Column("chosen", "chosen", hidden=True),
    )


_RECEIVERS = Link("Receivers and silences", f"{GROUPS}&queryString=alertname%3D${{__value.raw}}")
_PANEL = Link("Its panel", "/d/${__data.fields.panel:raw}${__data.fields.chosen:raw}&${__url_time_range}")


# Annotations of every dashboard


def firing(services: str, of: str = "", shown: bool = True) -> Event:
    """The moments at which alerts of these services began to fire, in the panels that they lead to.

    :param of: matchers of those that are about what is chosen.
    :param shown: see :class:`Event`.
    """
    alerts = f'ALERTS{{{FIRING}, service=~"{services}"{of and ", "}{of}}}'
    return Event(
        name="Firing alerts",
        # One mark where an alert begins, and not one for each step as long as it fires.
        expr=f"{alerts} unless {alerts} offset $__interval",
        color="red",
        title="{{alertname}}",
        text="{{severity}} {{job}} {{host}} {{instance}}",
        shown=shown,
        alerts=True,
    )


# Only the newest step is asked: one mark, and not one for each step since.
AT_THE_END = "and on () vector(time()) > ($__to - 2 * $__interval_ms) / 1000"


def _more(function: str, metric: str) -> str:
    """More than one step ago: this marks the moment, and looks back far enough for a slow start."""
    return f"{function}({metric}[5m]) > {function}({metric}[5m] offset $__interval)"


# With several workers an application exports no process start time, but its counters are reset; a single one does both.
_DEPLOYED = (
    _more("resets", "http_request_duration_highr_seconds_count")
    + " or on (job, instance) "
    + _more("changes", "process_start_time_seconds")
    + " and on (job, instance) http_request_duration_highr_seconds_count"
)


def deployments(shown: bool = False) -> Event:
    """Starts of the application; away from its own dashboard a person has to want them."""
    return Event(
        name="Deployments",
        expr=_DEPLOYED,
        color="blue",
        title="{{job}} was deployed",
        text="{{job}} on {{instance}} has started anew",
        shown=shown,
    )


# To Grafana's JSON


class _Annotation(model.AnnotationQuery):
    """The SDK lacks the texts of annotations, which the Prometheus data source has."""

    def __init__(self, event: Event, panels: list[int]) -> None:
        super().__init__(
            name=event.name, datasource=SOURCE, enable=event.shown, hide=False, icon_color=event.color, expr=event.expr
        )
        self.event, self.panels = event, panels

    def to_json(self) -> dict[str, object]:
        return {
            **super().to_json(),
            **({"filter": {"exclude": False, "ids": self.panels}} if self.panels else {}),
            "titleFormat": self.event.title,
            "textFormat": self.event.text,
            "tagKeys": "severity,service",
            "step": "15s",
            "useValueForTime": self.event.at_value,
        }


class _Step(model.Threshold):
    """A threshold that says of which alert its number is: see :func:`_dashboards.adjusted`."""

    def to_json(self) -> dict[str, object]:
        origin = {AT: self.value.origin} if isinstance(self.value, Bound) else {}
        return {**super().to_json(), **origin}


class _Ready:
    """A model where the SDK wants a builder."""

    def __init__(self, made: object) -> None:
        self.made = made

    def build(self) -> object:
        return self.made


def rendered(shown: Dashboard) -> str:
    """A dashboard as the text of its file."""
    made = (
        dashboard.Dashboard(shown.title)
        .uid(shown.uid)
        .description(shown.about)
        .tags([TAG])
        .timezone("browser")
        .time(f"now-{shown.span}", "now")
        .refresh("1m")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Dashboards")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            # Side by side, they need a line of their own.
            .as_dropdown(True)
            .keep_time(True)
        )
        # Without an id of their own, Grafana treats all variables as one.
        .with_variable(
            dashboard.DatasourceVariable("datasource").id("datasource").label("Data source").type("prometheus")
        )
    )
    for variable in shown.variables:
        made.with_variable(_variable(variable))
    for event in shown.events:
        made.annotation(_Ready(_Annotation(event, sorted(_led(shown)) if event.alerts else [])))
    for number, (panel, place) in enumerate(_placed(shown.panels)):
        if isinstance(panel, Row):
            # No panel has such a number.
            row = dashboard.Row(panel.title).id(1000 + number).grid_pos(place).collapsed(bool(panel.folded))
            for folded, within in _placed(panel.folded):
                within.y += place.y + 1
                row.with_panel(_panel(shown, folded).grid_pos(within))
            made.with_row(row)
        else:
            made.with_panel(_panel(shown, panel).grid_pos(place))
    found = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    found["annotations"].setdefault("list", [])
    for panel in found["panels"]:
        if panel["type"] == "bargauge":
            # Missing in the SDK; since Grafana 10.3 the minimum height of a bar applies only together with it.
            panel["options"] |= {"sizing": "manual", "maxVizHeight": 300}
    # Grafana assigns the number; a dashboard is identified by its uid.
    found["id"] = None
    return json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _variable(variable: Variable) -> dashboard.QueryVariable:
    everything = model.VariableOption(selected=True, text=["All"], value=["$__all"])
    made = (
        dashboard.QueryVariable(variable.name)
        .id(variable.name)
        .label(variable.label)
        .datasource(SOURCE)
        .query({"query": variable.query, "refId": variable.name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )
    if variable.regex:
        return made.regex(variable.regex)
    return (
        made.multi(True)
        .include_all(True)
        # All means a pattern, not a list of a thousand names.
        .all_value(".*")
        .current(everything)
    )


def _placed(panels: tuple[Panel | Row, ...]):
    """Each panel with its place: from left to right, from top to bottom."""
    x = y = height = 0
    for panel in panels:
        width, own = (COLUMNS, 1) if isinstance(panel, Row) else (panel.width, panel.height or HEIGHT)
        if x + width > COLUMNS:
            x, y = 0, y + height
        yield panel, model.GridPos(h=own, w=width, x=x, y=y)
        x, height = x + width, own


def _panel(shown: Dashboard, panel: Panel):
    panel = dataclasses.replace(panel, empty=panel.empty or shown.empty)
    made = _KINDS[panel.kind](panel)
    made.id(panel.id).title(panel.title).description(_described(shown, panel)).datasource(SOURCE)
    for number, query in enumerate(panel.queries):
        made.with_target(_target(panel, _said(panel, query) if number == 0 else query, "ABCDEFGHIJKLMN"[number]))
    if panel.renamed:
        regex, shown_as = panel.renamed
        options = {"regex": regex, "renamePattern": shown_as}
        made.with_transformation(model.DataTransformerConfig(id_val="renameByRegex", options=options))
    return made.no_value(panel.empty)


def _led(shown: Dashboard) -> dict[int, list[str]]:
    """The panels that alerts lead to, each with those."""
    found: dict[int, list[str]] = {}
    for pack in load_packs().values():
        for name, alert in pack["alerts"].items() if link_of(pack).dashboard == shown.uid else ():
            if "panel" in alert:
                found.setdefault(alert["panel"], []).append(name)
    return found


def _described(shown: Dashboard, panel: Panel) -> str:
    """What a panel shows, and the alerts that lead to it."""
    led = _led(shown).get(panel.id)
    return panel.about + (f" Alerts: {', '.join(led)}." if led else "")


def _said(panel: Panel, query: Query) -> Query:
    """A query of a table, with a row that says what it means when there is nothing to show.

    Grafana has a text of its own below the headings of a table of several queries.
    """
    if panel.kind != "table" or len(panel.queries) == 1:
        return query
    words = f'label_replace(vector(NaN), "{_first_label(panel).label}", "{panel.empty}", "", "")'
    return dataclasses.replace(query, expr=f"({query.expr}) or on () {words}")


def _first_label(panel: Panel) -> Column:
    """The column of a table that says in words that there is nothing to show."""
    return next(column for column in panel.columns if not column.label.startswith("Value"))


def _target(panel: Panel, query: Query, ref: str) -> prometheus.Dataquery:
    formats = {"heatmap": prometheus_model.PromQueryFormat.HEATMAP, "table": prometheus_model.PromQueryFormat.TABLE}
    made = (
        prometheus.Dataquery()
        .expr(f"round({query.expr}, {panel.step})" if panel.step else query.expr)
        .legend_format(query.legend)
        .format(formats.get(panel.kind, prometheus_model.PromQueryFormat.TIME_SERIES))
        .editor_mode(prometheus_model.QueryEditorMode.CODE)
        .datasource(SOURCE)
        .ref_id(ref)
        .exemplar(False)
    )
    # What was, or how things are now.
    return made.range() if panel.kind in ("timeseries", "heatmap", "state-timeline") else made.instant()


def _steps(panel: Panel) -> dashboard.ThresholdsConfig:
    steps = panel.thresholds or ((None, "green"),)
    if panel.kind == "timeseries" and panel.thresholds:
        # A line at the lower end of the good values would be one too many.
        steps = tuple((value, "transparent" if color == "green" else color) for value, color in steps)
    return (
        dashboard.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([_Step(value=value, color=color) for value, color in steps])
    )


def _numbers(made, panel: Panel):
    """Options that all kinds of panels have for their numbers."""
    made.unit(panel.unit).thresholds(_steps(panel))
    if panel.max is not None:
        made.max(panel.max)
    if panel.bars or panel.kind in ("gauge", "bargauge"):
        # Otherwise the smallest one has no bar.
        made.min(0)
    if panel.decimals is not None and panel.kind != "timeseries":
        # On an axis, Grafana shows the text for no value where a number would have to be rounded.
        made.decimals(panel.decimals)
    if panel.named:
        made.display_name(panel.named)
    if panel.links:
        made.data_links([_Ready(_link(link)) for link in panel.links])
    if panel.kind in ("gauge", "bargauge", "stat"):
        made.mappings(_texts(panel))
    return made


def _texts(panel: Panel) -> list[model.ValueMapping]:
    """Text that is shown instead of numbers."""
    options = {
        value: model.ValueMappingResult(text=text, color=color, index=number)
        for number, (value, (text, color)) in enumerate(panel.texts.items())
    }
    # No value gets a neutral color: that of the lowest threshold may mean an alert, or that all is well.
    nothing = model.DashboardSpecialValueMapOptions(
        match=model.SpecialValueMatch.NULL,
        result=model.ValueMappingResult(text=panel.empty, color=_NEUTRAL),
    )
    return [*([model.ValueMap(options=options)] if options else []), model.SpecialValueMap(options=nothing)]


def _single(made, panel: Panel):
    """Panels that show one number for each series."""
    _numbers(made, panel).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    by = model.FieldColorModeId.THRESHOLDS if panel.thresholds else model.FieldColorModeId.PALETTE_CLASSIC
    return made.color_scheme(dashboard.FieldColor().mode(by))


def _gauge(panel: Panel) -> gauge.Panel:
    return _single(gauge.Panel(), panel).show_threshold_markers(True)


# A few series should not be shown too large.
_TEXT = common.VizTextDisplayOptions().title_size(13).value_size(18)


def _bargauge(panel: Panel) -> bargauge.Panel:
    return (
        _single(bargauge.Panel(), panel)
        .orientation(common_model.VizOrientation.HORIZONTAL)
        .display_mode(common_model.BarGaugeDisplayMode.BASIC)
        .show_unfilled(True)
        # From 41 on, a name stands above its bar and not beside it, where its end would be cut off.
        .min_viz_height(45 if panel.tall else 16)
        .text(_TEXT)
    )


def _text_mode(panel: Panel, several: bool) -> common_model.BigValueTextMode:
    if panel.name_only:
        return common_model.BigValueTextMode.NAME
    return common_model.BigValueTextMode.VALUE_AND_NAME if several else common_model.BigValueTextMode.VALUE


def _stat(panel: Panel) -> stat.Panel:
    listed = "{{" in panel.queries[0].legend
    several = listed or len(panel.queries) > 1
    made = (
        _single(stat.Panel(), panel)
        .graph_mode(common_model.BigValueGraphMode.NONE)
        .color_mode(common_model.BigValueColorMode.BACKGROUND)
        .text_mode(_text_mode(panel, several))
    )
    # One for each series, with names of any length: one below the other.
    return made.orientation(common_model.VizOrientation.HORIZONTAL).text(_TEXT) if listed else made


def _piechart(panel: Panel) -> piechart.Panel:
    return (
        _single(piechart.Panel(), panel)
        .pie_type(piechart_model.PieChartType.DONUT)
        .legend(
            piechart.PieChartLegendOptions()
            .show_legend(True)
            .display_mode(common_model.LegendDisplayMode.TABLE)
            .placement(common_model.LegendPlacement.BOTTOM)
            .values([piechart_model.PieChartLegendValues.VALUE])
        )
        .tooltip(common.VizTooltipOptions().mode(common_model.TooltipDisplayMode.SINGLE))
    )


# Labels whose values may be as long as people make them.
_LONG = re.compile(r"{{(name|host|instance|handler)}}")


def _long(panel: Panel) -> bool:
    """Whether names of its series may be long."""
    return any(_LONG.search(query.legend) for query in panel.queries)


def _beside(panel: Panel) -> bool:
    """Whether the legend has room beside the graph: there Grafana cuts off what is wider than a part of the panel."""
    return panel.width >= COLUMNS // 2 and not _long(panel)


def _calcs(panel: Panel) -> list[str]:
    """The numbers in the legend. On a phone, one has room beside a long name, and not two."""
    if not panel.latest:
        return []
    return ["lastNotNull"] if _long(panel) else ["lastNotNull", "max"]


def _legend(panel: Panel) -> common.VizLegendOptions:
    made = common.VizLegendOptions().show_legend(True).calcs(_calcs(panel))
    if not panel.latest:
        return made.display_mode(common_model.LegendDisplayMode.LIST).placement(common_model.LegendPlacement.BOTTOM)
    return (
        made.display_mode(common_model.LegendDisplayMode.TABLE)
        .placement(common_model.LegendPlacement.RIGHT if _beside(panel) else common_model.LegendPlacement.BOTTOM)
        # Below a graph there is room for three or four: the largest ones, whatever their names begin with.
        .sort_by("Last *")
        .sort_desc(True)
    )


def _timeseries(panel: Panel) -> timeseries.Panel:
    made = (
        _numbers(timeseries.Panel(), panel)
        .legend(_legend(panel))
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_model.TooltipDisplayMode.MULTI)
            .sort(common_model.SortOrder.DESCENDING)
        )
        .draw_style(common_model.GraphDrawStyle.BARS if panel.bars else common_model.GraphDrawStyle.LINE)
        # In a stack, the line of a series that is zero would lie on the one below it.
        .line_width(0 if panel.stack else 1)
        .fill_opacity(60 if panel.bars or panel.stack else 0 if panel.floor or panel.latest else 10)
        .show_points(common_model.VisibilityMode.NEVER)
    )
    if not panel.mirrored:
        made.axis_soft_min(panel.floor)
    if panel.bars:
        # These are counts: without any, the axis would go to 100.
        made.axis_soft_max(1)
    if panel.stack:
        made.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL).group("A"))
    if panel.thresholds:
        made.thresholds_style(common.GraphThresholdsStyleConfig().mode(common_model.GraphTresholdsStyleMode.DASHED))
    for pattern, color in panel.colors.items():
        made.override_by_regexp(_regexp(pattern), [_property("color", {"mode": "fixed", "fixedColor": color})])
    if panel.limit:
        made.override_by_regexp(
            _regexp(panel.limit),
            [
                _property("custom.stacking", {"mode": "none", "group": "A"}),
                _property("custom.fillOpacity", 0),
                _property("custom.lineWidth", 1),
                _property("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
            ],
        )
    if panel.mirrored:
        made.override_by_regexp(_regexp(panel.mirrored), [_property("custom.transform", "negative-Y")])
    return made


def _heatmap(panel: Panel) -> heatmap.Panel:
    # The buckets have the panel's unit, their values are requests.
    return (
        heatmap.Panel()
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_model.HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .steps(64)
            .exponent(0.5)
            .fill("dark-orange")
        )
        .y_axis(heatmap.YAxisConfig().unit(panel.unit).axis_placement(common_model.AxisPlacement.LEFT))
        .cell_values(heatmap.CellValues().unit("short"))
        .cell_gap(1)
        .show_legend()
    )


def _timeline(panel: Panel) -> statetimeline.Panel:
    return (
        _numbers(statetimeline.Panel(), panel)
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .show_value(common_model.VisibilityMode.NEVER)
        .row_height(0.8)
        .legend(common.VizLegendOptions().show_legend(False).calcs([]))
    )


def _table(panel: Panel) -> table.Panel:
    # Only the value has a unit: a label that looks like a number has none.
    made = _numbers(table.Panel(), panel).unit("string").show_header(True).cell_height(common_model.TableCellHeight.SM)
    shown = [column.label for column in panel.columns]
    if len(panel.queries) > 1:
        made.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    if panel.sort:
        options = {"fields": {}, "sort": [{"field": panel.sort.lstrip("-"), "desc": not panel.sort.startswith("-")}]}
        made.with_transformation(model.DataTransformerConfig(id_val="sortBy", options=options))
    made.with_transformation(
        model.DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": shown}})
    )
    made.with_transformation(
        model.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {},
                "indexByName": {label: number for number, label in enumerate(shown)},
                "renameByName": {column.label: column.title for column in panel.columns},
            },
        )
    )
    for column in panel.columns:
        properties = _cells(panel, column)
        if properties:
            made.override_by_name(column.title, properties)
    values = [column for column in panel.columns if column.label == "Value" and not column.hidden]
    if values and not panel.sort:
        made.sort_by([common.TableSortByFieldState().display_name(values[0].title).desc(True)])
    return made


def _cells(panel: Panel, column: Column) -> list[model.DynamicConfigValue]:
    """How the cells of a column are shown."""
    found = [_property("custom.width", column.width)] if column.width else []
    said = 8 * len(panel.empty) + 8 if len(panel.queries) > 1 and column is _first_label(panel) else 0
    if max(said, column.least):
        found.append(_property("custom.minWidth", max(said, column.least)))
    if column.inspected:
        found.append(_property("custom.inspect", True))
    if column.hidden:
        found.append(_property("custom.hidden", True))
    if column.label == "severity":
        found += [_property("mappings", [_SEVERITIES]), *_cell("color-text")]
    unit = column.unit or (panel.unit if column.label == "Value" else "")
    if unit:
        found.append(_property("unit", unit))
    if column.decimals is not None:
        found.append(_property("decimals", column.decimals))
    # A cell without a number says nothing, and has no color: that of the lowest threshold may be that of trouble.
    nothing = {"match": "null+nan", "result": {"text": "", "color": "transparent", "index": len(column.texts)}}
    mappings = [{"type": "special", "options": nothing}]
    if column.texts:
        mapped = {
            value: {"text": text, "color": color, "index": number}
            for number, (value, (text, color)) in enumerate(column.texts.items())
        }
        mappings.insert(0, {"type": "value", "options": mapped})
        found += _cell("color-text")
    # The panel's text for no data is not that of a label which a row lacks.
    found.append(_property("noValue", ""))
    if column.label.startswith("Value"):
        found.append(_property("mappings", mappings))
    if column.thresholds:
        steps = [_Step(value=value, color=color) for value, color in column.thresholds]
        found += [_property("thresholds", {"mode": "absolute", "steps": steps}), *_cell("color-background")]
    if column.links:
        found.append(_property("links", [_link(link) for link in column.links]))
    return found


# The role puts the address of the runbooks here; of this file alone it is the default one.
_RUNBOOKS = yaml.safe_load((SERVICES / "prometheus.yml").read_text(encoding="utf-8"))


def _link(link: Link) -> dict[str, object]:
    if link.url:
        return {"title": link.title, "url": link.url, **({MANAGER: True} if link.url.startswith(ALERTING) else {})}
    return {"title": link.title, "url": runbook(_default("runbook_url"), "${__value.raw}"), RUNBOOK: True}


def _default(name: str) -> object:
    """The default of a variable of Prometheus."""
    return next(group[name]["default"] for group in _RUNBOOKS["variables"].values() if name in group)


_SEVERITIES = {
    "type": "value",
    "options": {
        severity: {"color": color, "index": number}
        for number, (severity, color) in enumerate({"critical": "red", "warning": "orange", "info": "blue"}.items())
    },
}
_KINDS: dict[str, Callable] = {
    "gauge": _gauge,
    "bargauge": _bargauge,
    "stat": _stat,
    "piechart": _piechart,
    "timeseries": _timeseries,
    "heatmap": _heatmap,
    "table": _table,
    "state-timeline": _timeline,
}


def _regexp(pattern: str) -> str:
    """Without the slashes, the whole name would have to match."""
    return f"/{pattern}/"


def _property(name: str, value: object) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val=name, value=value)


def _cell(kind: str) -> list[model.DynamicConfigValue]:
    """How a cell is drawn: Grafana before 9.5 knows the first, later ones the second."""
    return [_property("custom.displayMode", kind), _property("custom.cellOptions", {"type": kind})]
