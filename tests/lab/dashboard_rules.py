"""Rules that every dashboard has to keep, whatever it shows: what a person who writes one should not have to remember.

Each takes the parsed JSON of a dashboard and gives a sentence for each place that breaks it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from .dashboards import panels_of

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# What a query measures, by how it is written, and the units that can be meant: of several that match, the first one counts. What is
# divided by something else is a ratio, of which nothing can be said here.
UNITS = (
    (r"^(round\()?100 \*", {"percent"}),
    (r"^(rate|increase|deriv)\((?!.*\) / )\w+_bytes(_total)?\b", {"Bps", "bytes"}),
    (r"^(sum|max|min|avg)?( by \([^)]*\))? ?\(?\w+_bytes\b(?!.* / )", {"bytes"}),
    (r"^(histogram_quantile|time\(\) -)", {"s"}),
)
# Kinds of panels in which a share of something is a bar or an arc, which needs an end.
BARS = ("gauge", "bargauge")
# Labels in tables that have a page of their own.
PAGES = ("alertname",)


def _places(value: object, path: str = "") -> Iterator[tuple[str, str, object]]:
    """Each key with its value and where it is, however deep."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield path, key, entry
            yield from _places(entry, f"{path}.{key}")
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from _places(entry, f"{path}[{number}]")


def _named(panel: dict) -> str:
    return f"{panel['id']} {panel['title']}"


def _column(panel: dict, title: str) -> dict[str, object]:
    """The properties of a column of a table, by name."""
    return {
        one["id"]: one["value"]
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"] == {"id": "byName", "options": title}
        for one in override["properties"]
    }


def _titles(panel: dict) -> dict[str, str]:
    """The headings of a table's columns, by what Grafana calls the field."""
    for one in panel.get("transformations", ()):
        if one["id"] == "organize":
            return one["options"]["renameByName"]
    return {}


def _unit(panel: dict, target: dict) -> str:
    """The unit in which the answer to a query is shown."""
    if panel["type"] == "heatmap":
        return panel["options"]["yAxis"]["unit"]
    if panel["type"] != "table":
        return panel["fieldConfig"]["defaults"].get("unit", "")
    titles = _titles(panel)
    field = "Value" if len(panel["targets"]) == 1 else f"Value #{target['refId']}"
    if field not in titles:
        # It is there for labels alone.
        return "string"
    found = _column(panel, titles[field])
    return str(found.get("unit", "short" if "mappings" in found else ""))


def units(dashboard: dict) -> Iterator[str]:
    """Every number has a unit, and one in which it can be measured."""
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            unit = _unit(panel, target)
            if not unit:
                yield f"{_named(panel)}: {target['refId']} has no unit"
                continue
            if unit in ("string", "dateTimeFromNow") or panel["options"].get("textMode") == "name":
                continue
            for pattern, fitting in UNITS:
                if re.search(pattern, target["expr"]):
                    if unit not in fitting:
                        yield f"{_named(panel)}: {target['refId']} is shown as {unit}, and not as {' or '.join(sorted(fitting))}"
                    break


def ends(dashboard: dict) -> Iterator[str]:
    """A bar begins at zero, and one of a share has an end; an axis begins at zero unless something is drawn below it."""
    for panel in panels_of(dashboard):
        defaults = panel["fieldConfig"]["defaults"]
        custom = defaults.get("custom", {})
        if panel["type"] in BARS or custom.get("drawStyle") == "bars":
            if defaults.get("min") != 0:
                yield f"{_named(panel)}: its bars do not begin at zero"
        elif panel["type"] == "timeseries":
            below = "negative-Y" in json.dumps(panel["fieldConfig"]["overrides"])
            if not below and "axisSoftMin" not in custom:
                yield f"{_named(panel)}: its axis begins anywhere"
        if panel["type"] in BARS and defaults.get("unit") in ("percent", "percentunit") and "max" not in defaults:
            yield f"{_named(panel)}: a share without an end"


def links(dashboard: dict) -> Iterator[str]:
    """What has a page of its own leads there, and a link to a dashboard keeps the time range."""
    for panel in panels_of(dashboard):
        for field, title in _titles(panel).items():
            if field in PAGES and not _column(panel, title).get("links"):
                yield f"{_named(panel)}: {title} leads nowhere"
    for path, key, value in _places(dashboard):
        if key == "url" and str(value).startswith("/d/") and "${__url_time_range}" not in str(value):
            yield f"{path}: {value} does not keep the time range"


def sources(dashboard: dict) -> Iterator[str]:
    """Everything asks the chosen data source."""
    found = [(path, value) for path, key, value in _places(dashboard) if key == "datasource"]
    for path, value in found:
        if value != SOURCE:
            yield f"{path}: asks {value}, and not the chosen data source"
    asking = [path for path, key, dummy in _places(dashboard) if key == "expr"]
    for path in asking:
        if not any(path == where for where, dummy in found):
            yield f"{path}: asks whatever is the default"
    for panel in panels_of(dashboard):
        if "datasource" not in panel:
            yield f"{_named(panel)}: asks whatever is the default"


def names(dashboard: dict) -> Iterator[str]:
    """No host, address or job of somebody's stands in a query."""
    for path, key, value in _places(dashboard):
        if key not in ("expr", "query") or not isinstance(value, str):
            continue
        for found in re.findall(r"\d+\.\d+\.\d+\.\d+|\blocalhost\b", value):
            yield f"{path}: names {found}"
        for label, matched in re.findall(r'\b(instance|host|job|nodename)=~?"([^"]*)"', value):
            if not matched.startswith("$") and matched not in (".+", ".*"):
                yield f"{path}: names the {label} {matched}"


def marks(dashboard: dict) -> Iterator[str]:
    """A mark is of a moment: alerts once where they begin, in the panels that they lead to; and each has a step."""
    led = sorted(panel["id"] for panel in panels_of(dashboard) if "Alerts: " in panel["description"])
    for one in dashboard["annotations"]["list"]:
        expr = one["expr"]
        if not re.fullmatch(r"\d+[sm]", str(one.get("step", ""))):
            yield f"{one['name']}: has no step"
        if "ALERTS" not in expr:
            if "$__interval" not in expr:
                yield f"{one['name']}: each step is a mark"
            continue
        if not re.fullmatch(r"(ALERTS\{[^}]*\}) unless \1 offset \$__interval", expr):
            yield f"{one['name']}: each step is a mark, as long as an alert fires"
        if one.get("filter") != {"exclude": False, "ids": led}:
            yield f"{one['name']}: is not of the panels alone that alerts lead to"


RULES = (units, ends, links, sources, names, marks)
