"""The queries of the dashboards, as Grafana would send them."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .common import ROOT

FOLDER = ROOT / "bundled" / "dashboards"


@dataclass(frozen=True)
class Query:
    """A query of a panel, of an annotation or of a variable.

    :ivar where: the dashboard and the panel's number, or the name of what else asks; and which of its queries.
    :ivar title: the panel's title.
    :ivar instant: it asks for now, and not for the time that is shown.
    """

    where: str
    title: str
    expr: str
    instant: bool = False


def shown() -> dict[str, dict]:
    """The dashboards by uid."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.rglob("*.json"))]
    return {one["uid"]: one for one in found}


def panels_of(dashboard: dict) -> Iterator[dict]:
    """The panels of a dashboard, those in folded rows too; not the rows."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def is_empty(panel: dict, text: str) -> bool:
    """Whether what is read in a panel says that there is nothing, or is a table without a row."""
    defaults, overrides = panel["fieldConfig"]["defaults"], panel["fieldConfig"]["overrides"]
    headers = {panel["title"], *(override["matcher"]["options"] for override in overrides)}
    headless = panel["type"] == "table" and {*text.splitlines()} <= headers
    return defaults["noValue"] in text or "No data" in text or headless


def panels() -> Iterator[Query]:
    """The queries of all panels."""
    for uid, dashboard in shown().items():
        for panel in panels_of(dashboard):
            for target in panel["targets"]:
                where = f"{uid} {panel['id']} {target['refId']}"
                yield Query(where, panel["title"], target["expr"], target["instant"])


def others() -> Iterator[Query]:
    """The queries of annotations and variables; of the latter the series whose label is wanted."""
    for uid, dashboard in shown().items():
        for annotation in dashboard["annotations"]["list"]:
            yield Query(f"{uid} {annotation['name']}", annotation["name"], annotation["expr"])
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                query = variable["query"]["query"]
                series = re.fullmatch(r"(?:label_values|query_result)\((.*?)(?:, \w+)?\)", query)[1]
                yield Query(f"{uid} ${variable['name']}", variable["label"], series, instant=True)


def filled(expr: str, span: str = "1h", interval: str = "5m") -> str:
    """An expression with all chosen in every variable.

    :param span: the time that is shown.
    :param interval: what Grafana would take for a rate.
    """
    of_grafana = {"$__range": span, "$__rate_interval": interval, "$__interval": "15s", "$__from": "0"}
    of_grafana |= {"$__to": "0", "$__interval_ms": "15000"}
    # "$1" is of label_replace.
    return re.sub(r"\$[a-z_]\w*", lambda found: of_grafana.get(found[0], ".*"), expr)


def found(expr: str, series: list[dict]) -> list[dict]:
    """The series of an answer, without the row in which a table says in words that it has nothing to show."""
    if "vector(NaN)" not in expr:
        return series
    return [one for one in series if any(value != "NaN" for dummy, value in one.get("values", [one.get("value")]))]


def of(metrics: str) -> list[Query]:
    """The queries of panels that ask for metrics whose name begins so, with all chosen and a rate of half a minute."""
    wanted = [one for one in panels() if re.search(rf"\b{metrics}", one.expr)]
    return [dataclasses.replace(one, expr=filled(one.expr, interval="30s")) for one in wanted]
