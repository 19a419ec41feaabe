# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's dashboards keep the rules of all dashboards, and each rule says of a broken one that it is."""

from __future__ import annotations

import copy

import pytest

from lab import dashboards
from lab.dashboard_rules import RULES, ends, links, marks, names, sources, units

SHOWN = dashboards.shown()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("uid", SHOWN)
def test_a_dashboard_keeps_the_rule(uid, rule):
    assert list(rule(SHOWN[uid])) == []


def panel_of(dashboard, number):
    return next(panel for panel in dashboards.panels_of(dashboard) if panel["id"] == number)


def defaults(dashboard, number):
    return panel_of(dashboard, number)["fieldConfig"]["defaults"]


def column(dashboard, number, title):
    """The properties of a column."""
    for override in panel_of(dashboard, number)["fieldConfig"]["overrides"]:
        if override["matcher"]["options"] == title:
            return override["properties"]
    raise KeyError(title)


def without(properties, name):
    properties[:] = [one for one in properties if one["id"] != name]


def target(dashboard, number):
    return panel_of(dashboard, number)["targets"][0]


# Rule, dashboard, what is broken, and what is said of it.
BROKEN = [
    (units, "mon-system", lambda it: defaults(it, 4).pop("unit"), "has no unit"),
    (
        units,
        "mon-system",
        lambda it: without(column(it, 6, "Available"), "unit"),
        "B is shown as short, and not as bytes",
    ),
    (units, "mon-system", lambda it: defaults(it, 4).update(unit="short"), "A is shown as short, and not as percent"),
    (units, "mon-system", lambda it: defaults(it, 25).update(unit="s"), "is shown as s, and not as bytes"),
    (units, "mon-app", lambda it: defaults(it, 3).update(unit="ms"), "is shown as ms, and not as s"),
    (ends, "mon-app", lambda it: defaults(it, 6).pop("min"), "its bars do not begin at zero"),
    (ends, "mon-app", lambda it: defaults(it, 5).update(min=10), "its bars do not begin at zero"),
    (ends, "mon-app", lambda it: defaults(it, 7).pop("max"), "a share without an end"),
    (ends, "mon-app", lambda it: defaults(it, 1)["custom"].pop("axisSoftMin"), "its axis begins anywhere"),
    (links, "mon-alerts", lambda it: without(column(it, 9, "Alert"), "links"), "Alert leads nowhere"),
    (
        links,
        "mon-fleet",
        lambda it: defaults(it, 8).update(links=[{"title": "Host", "url": "/d/mon-system?var-job=x"}]),
        "does not keep the time range",
    ),
    (
        sources,
        "mon-app",
        lambda it: target(it, 1).update(datasource={"type": "prometheus", "uid": "prometheus"}),
        "asks",
    ),
    (sources, "mon-app", lambda it: target(it, 1).pop("datasource"), "asks whatever is the default"),
    (sources, "mon-app", lambda it: panel_of(it, 1).pop("datasource"), "asks whatever is the default"),
    (names, "mon-app", lambda it: target(it, 1).update(expr='up{instance="10.0.0.1:9100"}'), "names 10.0.0.1"),
    (names, "mon-app", lambda it: target(it, 1).update(expr='up{job=~"node|api"}'), "names the job node|api"),
    (names, "mon-app", lambda it: target(it, 1).update(expr='up{host="web1"}'), "names the host web1"),
    (
        names,
        "mon-app",
        lambda it: it["templating"]["list"][1]["query"].update(query='label_values(up{job="api"}, instance)'),
        "names the job api",
    ),
    (marks, "mon-system", lambda it: it["annotations"]["list"][0].pop("step"), "has no step"),
    (
        marks,
        "mon-system",
        lambda it: it["annotations"]["list"][0].update(expr='ALERTS{alertstate="firing"}'),
        "each step is a mark, as long as an alert fires",
    ),
    (marks, "mon-system", lambda it: it["annotations"]["list"][0].pop("filter"), "is not of the panels alone"),
    (marks, "mon-app", lambda it: it["annotations"]["list"][1].update(expr="changes(up[5m])"), "each step is a mark"),
]


@pytest.mark.parametrize(("rule", "uid", "breaks", "words"), BROKEN)
def test_a_broken_dashboard_is_said_to_be(rule, uid, breaks, words):
    broken = copy.deepcopy(SHOWN[uid])
    breaks(broken)
    assert any(words in sentence for sentence in rule(broken)), list(rule(broken))


def test_every_rule_is_seen_to_be_broken():
    assert {rule for rule, *dummy in BROKEN} == set(RULES)
