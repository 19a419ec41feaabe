# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate Grafana's JSON from the description of a dashboard, with Grafana's own foundation SDK.

The JSON is of the schema that Grafana 9 wrote, and that every later one reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from ansible_collections.vigil.monitoring.plugins.plugin_utils._rules import alerts_of, link_of, load_packs, resolve
from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    gauge,
    heatmap,
    piechart,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models import piechart as piechart_model
from grafana_foundation_sdk.models import prometheus as prometheus_model

# Tag of all dashboards; the links between them use it.
TAG = "vigil-monitoring"
# The variable: a provisioned file resolves no ${DS_...}.
SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
COLUMNS = 24
# A row's height; a unit is 38 pixels.
HEIGHT = 8
_NO_DATA = "No data"
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
class Column:
    """A column of a table.

    :ivar label: the label in it; ``Value`` is the value.
    :ivar title: its heading.
    """

    label: str
    title: str
    width: int = 0


@dataclass(frozen=True)
class Panel:
    """A panel.

    :ivar id: its number within the dashboard. Links of alerts lead to it: it stays, wherever the panel moves.
    :ivar kind: Grafana's name for how it is drawn.
    :ivar width: columns of 24.
    :ivar about: what it shows, and what to make of it.
    :ivar empty: what it means when there is nothing to show.
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


@dataclass(frozen=True)
class Variable:
    """A choice at the top of a dashboard: all, or some."""

    name: str
    label: str
    query: str


@dataclass(frozen=True)
class Event:
    """What is marked in all graphs of a dashboard.

    :ivar at_value: the value is the time in milliseconds, instead of being above zero as long as it lasts.
    """

    name: str
    expr: str
    color: str
    title: str
    text: str
    at_value: bool = False


@dataclass(frozen=True)
class Dashboard:
    """A dashboard.

    :ivar span: the time that it shows at first, such as ``6h``.
    """

    uid: str
    title: str
    about: str
    span: str
    variables: tuple[Variable, ...]
    events: tuple[Event, ...]
    panels: tuple[Panel, ...]


# Thresholds: the numbers of the alerts

ALERTS = alerts_of(load_packs())


def bound(alert: str, tier: str, parameter: str = "threshold") -> float:
    """The number at which an alert of the packs fires unless ``prometheus_thresholds`` says otherwise."""
    resolved, problems = resolve(ALERTS[alert], {}, alert)
    if problems:
        raise ValueError("\n".join(map(str, problems)))
    return resolved[tier].values[parameter]


def bounds(alert: str) -> tuple[float, float]:
    """The numbers of an alert's two severities: ``warning`` and ``critical``."""
    return bound(alert, "warning"), bound(alert, "critical")


def rising(warning: float, critical: float) -> Steps:
    """The more, the worse."""
    return ((None, "green"), (warning, "orange"), (critical, "red"))


def falling(warning: float, critical: float) -> Steps:
    """The less, the worse."""
    return ((None, "red"), (critical, "orange"), (warning, "green"))


def above(limit: float, color: str = "red") -> Steps:
    """Green below a number, red from there on."""
    return ((None, "green"), (limit, color))


# Annotations of every dashboard


def firing(services: str) -> Event:
    """Firing alerts of these services."""
    return Event(
        name="Firing alerts",
        expr=f'ALERTS{{alertstate="firing", alertname!="Watchdog", service=~"{services}"}}',
        color="red",
        title="{{alertname}}",
        text="{{severity}} {{job}} {{instance}}",
    )


def _more(function: str, metric: str) -> str:
    """More than one step ago: this marks the moment, and looks back far enough for a slow start."""
    return f"{function}({metric}[5m]) > {function}({metric}[5m] offset $__interval)"


# With several workers an application exports no process start time, but its counters are reset; a single one does both.
DEPLOYMENTS = Event(
    name="Deployments",
    expr=(
        _more("resets", "http_request_duration_highr_seconds_count")
        + " or on (job, instance) "
        + _more("changes", "process_start_time_seconds")
        + " and on (job, instance) http_request_duration_highr_seconds_count"
    ),
    color="blue",
    title="{{job}} was deployed",
    text="{{job}} on {{instance}} has started anew",
)


# To Grafana's JSON


class _Annotation(model.AnnotationQuery):
    """The SDK lacks the texts of annotations, which the Prometheus data source has."""

    def __init__(self, event: Event) -> None:
        super().__init__(
            name=event.name, datasource=SOURCE, enable=True, hide=False, icon_color=event.color, expr=event.expr
        )
        self.event = event

    def to_json(self) -> dict[str, object]:
        return {
            **super().to_json(),
            "titleFormat": self.event.title,
            "textFormat": self.event.text,
            "tagKeys": "severity,service",
            "step": "15s",
            "useValueForTime": self.event.at_value,
        }


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
        made.annotation(_Ready(_Annotation(event)))
    for panel, place in _placed(shown.panels):
        made.with_panel(_panel(shown, panel).grid_pos(place))
    found = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    for panel in found["panels"]:
        if panel["type"] == "bargauge":
            # Missing in the SDK; since Grafana 10.3 the minimum height of a bar applies only together with it.
            panel["options"] |= {"sizing": "manual", "maxVizHeight": 300}
    # Grafana assigns the number; a dashboard is identified by its uid.
    found["id"] = None
    return json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _variable(variable: Variable) -> dashboard.QueryVariable:
    everything = model.VariableOption(selected=True, text=["All"], value=["$__all"])
    return (
        dashboard.QueryVariable(variable.name)
        .id(variable.name)
        .label(variable.label)
        .datasource(SOURCE)
        .query({"query": variable.query, "refId": variable.name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        # All means a pattern, not a list of a thousand names.
        .all_value(".*")
        .current(everything)
    )


def _placed(panels: tuple[Panel, ...]):
    """Each panel with its place: from left to right, from top to bottom."""
    x = y = 0
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, y = 0, y + HEIGHT
        yield panel, model.GridPos(h=HEIGHT, w=panel.width, x=x, y=y)
        x += panel.width


def _panel(shown: Dashboard, panel: Panel):
    made = _KINDS[panel.kind](panel)
    made.id(panel.id).title(panel.title).description(_described(shown, panel)).datasource(SOURCE)
    for number, query in enumerate(panel.queries):
        made.with_target(_target(panel, query, "ABCDEFGH"[number]))
    if panel.renamed:
        regex, shown_as = panel.renamed
        options = {"regex": regex, "renamePattern": shown_as}
        made.with_transformation(model.DataTransformerConfig(id_val="renameByRegex", options=options))
    return made.no_value(panel.empty or _NO_DATA)


def _described(shown: Dashboard, panel: Panel) -> str:
    """What a panel shows, and the alerts that lead to it."""
    led = [
        name
        for found in load_packs().values()
        for name, alert in found["alerts"].items()
        if link_of(found).dashboard == shown.uid and alert.get("panel") == panel.id
    ]
    return panel.about + (f" Alerts: {', '.join(led)}." if led else "")


def _target(panel: Panel, query: Query, ref: str) -> prometheus.Dataquery:
    formats = {"heatmap": prometheus_model.PromQueryFormat.HEATMAP, "table": prometheus_model.PromQueryFormat.TABLE}
    made = (
        prometheus.Dataquery()
        .expr(query.expr)
        .legend_format(query.legend)
        .format(formats.get(panel.kind, prometheus_model.PromQueryFormat.TIME_SERIES))
        .editor_mode(prometheus_model.QueryEditorMode.CODE)
        .datasource(SOURCE)
        .ref_id(ref)
        .exemplar(False)
    )
    # What was, or how things are now.
    return made.range() if panel.kind in ("timeseries", "heatmap") else made.instant()


def _steps(panel: Panel) -> dashboard.ThresholdsConfig:
    steps = panel.thresholds or ((None, "green"),)
    if panel.kind == "timeseries" and panel.thresholds:
        # A line at the lower end of the good values would be one too many.
        steps = tuple((value, "transparent" if color == "green" else color) for value, color in steps)
    return (
        dashboard.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=color) for value, color in steps])
    )


def _numbers(made, panel: Panel):
    """Options that all kinds of panels have for their numbers."""
    made.unit(panel.unit).thresholds(_steps(panel))
    if panel.max is not None:
        made.max(panel.max)
        if panel.kind != "timeseries":
            made.min(0)
    if panel.decimals is not None and panel.kind != "timeseries":
        # On an axis, Grafana shows the text for no value where a number would have to be rounded.
        made.decimals(panel.decimals)
    if panel.named:
        made.display_name(panel.named)
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
        result=model.ValueMappingResult(text=panel.empty or _NO_DATA, color=_NEUTRAL),
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


def _stat(panel: Panel) -> stat.Panel:
    listed = "{{" in panel.queries[0].legend
    several = listed or len(panel.queries) > 1
    made = (
        _single(stat.Panel(), panel)
        .graph_mode(common_model.BigValueGraphMode.NONE)
        .color_mode(common_model.BigValueColorMode.BACKGROUND)
        .text_mode(common_model.BigValueTextMode.VALUE_AND_NAME if several else common_model.BigValueTextMode.VALUE)
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


def _timeseries(panel: Panel) -> timeseries.Panel:
    made = (
        _numbers(timeseries.Panel(), panel)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(common_model.LegendDisplayMode.LIST)
            .placement(common_model.LegendPlacement.BOTTOM)
            .calcs(["lastNotNull"] if panel.latest else [])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_model.TooltipDisplayMode.MULTI)
            .sort(common_model.SortOrder.DESCENDING)
        )
        .draw_style(common_model.GraphDrawStyle.BARS if panel.bars else common_model.GraphDrawStyle.LINE)
        # In a stack, the line of a series that is zero would lie on the one below it.
        .line_width(0 if panel.stack else 1)
        .fill_opacity(60 if panel.bars or panel.stack else 0 if panel.floor else 10)
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


def _table(panel: Panel) -> table.Panel:
    # Only the value has a unit: a label that looks like a number has none.
    made = _numbers(table.Panel(), panel).unit("string").show_header(True).cell_height(common_model.TableCellHeight.SM)
    shown = [column.label for column in panel.columns]
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
        properties = [_property("custom.width", column.width)] if column.width else []
        if column.label == "severity":
            properties += [_property("mappings", [_SEVERITIES]), *_cell("color-text")]
        if column.label == "Value":
            properties.append(_property("unit", panel.unit))
        if properties:
            made.override_by_name(column.title, properties)
    if any(column.label == "Value" for column in panel.columns):
        title = next(column.title for column in panel.columns if column.label == "Value")
        made.sort_by([common.TableSortByFieldState().display_name(title).desc(True)])
    return made


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
}


def _regexp(pattern: str) -> str:
    """Without the slashes, the whole name would have to match."""
    return f"/{pattern}/"


def _property(name: str, value: object) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val=name, value=value)


def _cell(kind: str) -> list[model.DynamicConfigValue]:
    """How a cell is drawn: Grafana before 9.5 knows the first, later ones the second."""
    return [_property("custom.displayMode", kind), _property("custom.cellOptions", {"type": kind})]
