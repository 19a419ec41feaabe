# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks of firing alerts do not bury a graph, and long names are not cut off: pictures of a small fleet on a bad night.

For the marks, the same dashboard is drawn three times: as it is deployed, without marks, and as it would be with a mark for each sample of
an alert. The last one shows that the count of their pixels sees what it is for.
"""

from __future__ import annotations

import dataclasses
import io
import json

import pytest
from PIL import Image

from lab import browser, dashboards, fleet, gallery
from lab.common import ROOT
from lab.pixels import red_share

UID, SPAN, EVERY = "mon-system", 3600, 15
# A host whose CPU is busy: its alerts began to fire within the hour.
HOSTS = fleet.Fleet(9, bad=True)
HOST = HOSTS.target(7)
# So much of a panel may marks cover. A dashed line of two pixels for each of a dozen alerts covers less.
MOST = 0.02


def variant(name, expr):
    """The dashboard under another name, with its marks asked for in another way; without any for None."""
    made = json.loads(json.dumps(dashboards.shown()[UID]))
    made.update(uid=f"{UID}-{name}", title=f"{made['title']} {name}")
    (marks,) = [one for one in made["annotations"]["list"] if "ALERTS" in one["expr"]]
    assert marks["enable"]
    marks["expr"] = expr(marks["expr"])
    made["annotations"]["list"] = [marks] if marks["expr"] else []
    return made


def graphs():
    """The graphs of the dashboard that are marked, outside of folded rows."""
    (marks,) = variant("deployed", lambda expr: expr)["annotations"]["list"]
    kinds = {panel["id"]: panel["type"] for panel in dashboards.shown()[UID]["panels"]}
    return [number for number in marks["filter"]["ids"] if kinds.get(number) == "timeseries"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory, grafana_versions):
    """A Grafana with the variants and with the other dashboards, and a tab."""
    folder = tmp_path_factory.mktemp("dashboards")
    ways = {
        "deployed": lambda expr: expr,
        "bare": lambda expr: None,
        "each-sample": lambda expr: expr.partition(" unless ")[0],
    }
    for name, way in ways.items():
        (folder / f"{name}.json").write_text(json.dumps(variant(name, way)), encoding="utf-8")
    for uid, content in dashboards.shown().items():
        (folder / f"{uid}.json").write_text(json.dumps(content), encoding="utf-8")
    with (
        gallery.gallery(HOSTS, seconds=SPAN, every=EVERY, shown=folder) as made,
        browser.chromium() as chromium,
    ):
        yield made, browser.Page(chromium.new_page(), made.grafana)


def red(shown, name, theme):
    """The share of red of each graph."""
    made, page = shown
    chosen = {"job": HOST["job"], "instance": HOST["instance"]}
    page.open(made.path(f"{UID}-{name}", theme, span=SPAN, **chosen), gallery.WIDTHS["desk"])
    page.picture(ROOT / "build" / "browser" / f"marks-{name}-{theme}.png")
    return {number: red_share(Image.open(io.BytesIO(page.panel_picture(number)))) for number in graphs()}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_marks_do_not_bury_the_graphs(shown, theme):
    bare, deployed, each = (red(shown, name, theme) for name in ("bare", "deployed", "each-sample"))
    assert bare
    covered = {number: deployed[number] - bare[number] for number in bare}
    buried = {number: each[number] - bare[number] for number in bare}
    assert 0 < max(covered.values()) <= MOST, covered
    # With a mark for each sample, this count would be red.
    assert min(buried.values()) > 2 * MOST, buried


# The table of hosts.
TABLE = 7
# What a phone has room for in a legend, beside one number. Longer names push it out of sight, until one scrolls the legend sideways.
FITS = 37


# Panels that have nothing to show of so small a fleet.
EMPTY = {("mon-alerts", 11): "an alert of another host is over soon", ("mon-self", 17): "another host is down"}
# What of a dashboard is chosen: a host that has everything, containers and trouble as well.
CHOSEN = {"mon-system": {"instance": HOSTS.target(3)["instance"]}}
# Names as long as people give them that a dashboard shows.
LONGEST = {
    "mon-fleet": HOSTS.name(4),
    "mon-containers": "payments_reconciliation_nightly-batch_1",
    "mon-services": "celery@payments-reconciliation-nightly-batch",
    "mon-db": "customer_analytics_warehouse_eu_central_1",
    "mon-self": "https://payments-gateway.frankfurt.prod.example.net/health/ready",
}


@pytest.mark.parametrize("uid", dashboards.shown())
def test_every_panel_shows_something_and_no_name_is_cut_off(shown, uid):
    made, page = shown
    specified = [panel for panel in dashboards.shown()[uid]["panels"] if panel["type"] != "row"]
    page.open(made.path(uid, span=SPAN, **CHOSEN.get(uid, {})), gallery.WIDTHS["desk"])
    wrong = []
    for screen, width in gallery.WIDTHS.items():
        page.resize(width)
        seen = page.panels()
        assert LONGEST.get(uid, "") in " ".join(panel.text for panel in seen.values())
        for panel in specified:
            where, found = f"{panel['title']} on a {screen}", seen[panel["id"]]
            if dashboards.is_empty(panel, found.text) != ((uid, panel["id"]) in EMPTY):
                wrong.append(f"{where}: {found.text}")
            wrong += [f"{where}: failed"] if found.failed else []
            cut = [one for one in found.clipped if screen != "phone" or not one.startswith("the legend of ")]
            wrong += [f"{where}: {one} does not fit" for one in cut]
    assert not wrong


def test_a_phone_has_room_for_the_names_of_hosts_and_a_number(shown):
    made, page = shown
    chosen = "&var-host=".join(name for name in map(HOSTS.name, range(HOSTS.hosts)) if len(name) <= FITS)
    page.open(made.path("mon-fleet", span=SPAN, host=chosen), gallery.WIDTHS["phone"])
    panels = page.panels()
    assert [cut for panel in panels.values() for cut in panel.clipped] == []
    # In the table, whether a host is up, beside as much of its name.
    assert page.headings(TABLE)[:2] == ["Up"]


def test_a_notebook_has_room_for_every_column_of_the_hosts(shown):
    made, page = shown
    page.open(made.path("mon-fleet", span=SPAN), gallery.WIDTHS["notebook"])
    columns = {panel["id"]: panel for panel in dashboards.shown()["mon-fleet"]["panels"]}[TABLE]["transformations"]
    (organized,) = [one["options"] for one in columns if one["id"] == "organize"]
    titles = [
        organized["renameByName"][label] for label in sorted(organized["indexByName"], key=organized["indexByName"].get)
    ]
    assert page.headings(TABLE) == [title for title in titles if title not in ("instance", "job", "trouble")]


@pytest.mark.parametrize("screen", ["notebook", "phone"])
def test_a_dashboard_without_data_says_what_is_missing(shown, screen):
    """Each panel in words of its own, and none in Grafana's."""
    made, page = shown
    before = dataclasses.replace(made, until=made.until - 86400)
    page.open(before.path("mon-app", span=SPAN), gallery.WIDTHS[screen])
    page.picture(ROOT / "build" / "browser" / f"nothing-{screen}.png")
    panels = dashboards.shown()["mon-app"]["panels"]
    # What a heatmap says is part of a picture: the test below asks for it.
    said = {one["id"]: one["fieldConfig"]["defaults"]["noValue"] for one in panels if one["type"] != "heatmap"}
    # What is written by a browser's own fonts breaks where it wants.
    seen = {number: " ".join(panel.text.split()) for number, panel in page.panels().items()}
    assert [number for number, text in seen.items() if "No data" in text] == []
    assert [number for number, words in said.items() if words not in seen[number]] == []


def test_a_heatmap_has_one_bucket_that_says_it_has_nothing_or_those_of_the_data(shown):
    made, dummy = shown
    (panel,) = [one for one in dashboards.shown()["mon-app"]["panels"] if one["type"] == "heatmap"]
    expr = dashboards.filled(panel["targets"][0]["expr"])
    assert [one["metric"]["le"] for one in made.series(expr.replace('job=~".*"', 'job="none"'))] == ["No requests"]
    assert {one["metric"]["le"] for one in made.series(expr)} >= {"0.1", "+Inf"}
    assert len(made.series(expr)) == len(fleet.BUCKETS) + 1
