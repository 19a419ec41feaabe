# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards as a person sees them, on a desk and on a phone, light and dark: every panel shows something.

The pictures are in build/browser, for a person to look at.
"""

from __future__ import annotations

import re

import pytest

from lab import browser, dashboards
from lab.common import ROOT

WIDTHS = {"desktop": 1440, "phone": 390}
SHOWN = dashboards.shown()
# Panels with nothing to show here, and why.
_CONTAINERS = "no containers run here: tests/faults/test_cadvisor.py asks for them"
_SERVICES = "none of these services runs here: tests/faults asks for them where their exporters are tested"
EMPTY = {
    **{("mon-services", number): _SERVICES for number in range(1, 15)},
    **{("mon-containers", number): _CONTAINERS for number in range(1, 8)},
    ("mon-self", 21): "no restore was rehearsed here",
    ("mon-system", 5): _CONTAINERS,
    ("mon-system", 12): _CONTAINERS,
    ("mon-system", 18): "no textfile script reports it",
    ("mon-system", 19): "no textfile script reports it",
    ("mon-db", 14): "the database has no replica",
    ("mon-db", 15): "the database has no replica",
    (
        "mon-db",
        17,
    ): "PostgreSQL 17 has it in a view that the exporter reads with a collector alone, which is disabled by default",
}
# Panels that may have nothing to show.
BY_CHANCE = {
    ("mon-system", 8): "others may make room on this machine's disk all the time",
    ("mon-system", 32): "the network may be free of errors",
    ("mon-system", 36): "all units may be well",
    ("mon-alerts", 11): "whether an alert was over soon depends on what ran before",
    ("mon-app", 12): "the application may fare well",
    ("mon-db", 12): "nobody may wait",
}
# Queries that may return nothing, such as columns of tables: the panel shows the others.
COLUMNS = {
    ("mon-fleet", 7, "G"): "others may make room on this machine's disk all the time",
    ("mon-fleet", 7, "I"): "the network may be free of errors",
    ("mon-system", 31, "A"): "nothing may be read from the disk, as all is in memory",
    ("mon-db", 19, "C"): "a table that is new has not been vacuumed",
}


def excused():
    """The expressions of queries that need not return anything, whatever is chosen."""
    wanted = {*EMPTY, *BY_CHANCE, *COLUMNS}
    for uid, shown in SHOWN.items():
        for panel in dashboards.panels_of(shown):
            for target in panel["targets"]:
                if wanted & {(uid, panel["id"]), (uid, panel["id"], target["refId"])}:
                    fixed = re.split(r"\$(?!__)\w+", target["expr"])
                    yield re.compile(".*".join(map(re.escape, fixed)))


@pytest.fixture(scope="module")
def page(request, grafana_versions):
    """A tab with the stack's Grafana, which lets everybody look."""
    stack = request.getfixturevalue("troubled")
    with browser.chromium() as chromium:
        yield browser.Page(chromium.new_page(ignore_https_errors=True), stack.grafana)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("uid", SHOWN)
def test_every_panel_shows_something(page, uid, theme):
    # What is folded asks for nothing before somebody unfolds it: tests/live asks its queries.
    specified = {panel["id"]: panel for panel in SHOWN[uid]["panels"] if panel["type"] != "row"}
    rows = {panel["id"] for panel in SHOWN[uid]["panels"] if panel["type"] == "row"}
    wrong = []
    page.open(f"/d/{uid}?from=now-15m&to=now&theme={theme}", WIDTHS["desktop"])
    for screen, width in WIDTHS.items():
        page.resize(width)
        page.picture(ROOT / "build" / "browser" / f"{uid}-{screen}-{theme}.png")
        seen = page.panels()
        assert set(seen) == set(specified) | rows
        for number, wanted in specified.items():
            panel, title = seen[number], wanted["title"]
            where = f"{title} on a {screen}"
            empty = dashboards.is_empty(wanted, panel.text)
            if (uid, number) in BY_CHANCE:
                continue
            if (uid, number) in EMPTY:
                # Once there is something, it is no exception any more.
                wrong += [] if empty else [f"{where}: is not empty"]
                continue
            wrong += [f"{where}: {panel.text}"] if empty else []
            wrong += [f"{where}: failed"] if panel.failed else []
            wrong += [f"{where}: {cut} does not fit" for cut in panel.clipped]
            wrong += [f"{where}: is wider than the screen"] if panel.right > width else []
    # A gauge's text is a picture: what it got is looked at as well.
    answers = page.answers()
    assert len(answers) >= sum(len(panel["targets"]) for panel in specified.values())
    wrong += [
        f"{answer.expr}: {answer.error or 'nothing'}"
        for answer in answers
        if (answer.error or not answer.values) and not any(expr.fullmatch(answer.expr) for expr in excused())
    ]
    assert not wrong


def test_the_link_of_an_alert_leads_to_its_panel(page, troubled):
    alerts = troubled.ask("alerts")["alerts"]
    (link,) = {
        alert["annotations"]["dashboard_url"] for alert in alerts if alert["labels"]["alertname"] == "TargetDown"
    }
    assert link.startswith(troubled.grafana)
    page.open(link.removeprefix(troubled.grafana), WIDTHS["desktop"])
    (panel,) = page.panels().values()
    assert panel.text.startswith("Targets down")


def test_a_link_chooses_what_its_alert_is_about(page, troubled):
    one, other = (f"{host.ip}:9100" for host in (troubled.production, troubled.monitoring))
    page.open(f"/d/mon-system?viewPanel=4&var-job=node&var-instance={one}&from=now-15m", WIDTHS["phone"])
    (panel,) = page.panels().values()
    assert panel.text.startswith("Memory used")
    assert one in panel.text
    assert other not in panel.text


def test_an_alert_leads_to_its_receivers_and_silences(page, troubled):
    """Grafana asks Alertmanager itself, and a viewer may look."""
    (shown,) = [panel for panel in dashboards.panels_of(SHOWN["mon-alerts"]) if panel["title"] == "Firing now"]
    links = {link["title"]: link["url"] for link in every(shown, "links")}
    add = (
        "amtool silence add alertname=TargetDown --author=nora --comment='the second one is being moved' --duration=10m"
    )
    # Debian's amtool, which the lab has, looks for its defaults elsewhere than upstream's.
    defaults = "mkdir -p ~/.config/prometheus; ln -sf /etc/amtool/config.yml ~/.config/prometheus/amtool.yml"
    number = troubled.monitoring.run(f"{defaults}; {add}").stdout.strip()
    try:
        page.page.goto(troubled.grafana + links["Receivers and silences"].replace("${__value.raw}", "TargetDown"))
        page.page.get_by_test_id("alert-group-collapse-toggle").first.click()
        page.page.get_by_test_id("alert-group").first.wait_for()
        text = page.page.inner_text("body")
        assert "suppressed" in text.lower() and "TargetDown" in text
        page.page.goto(f"{troubled.grafana}/alerting/silences?alertmanager=Alertmanager")
        page.page.get_by_text("TargetDown").first.wait_for()
    finally:
        troubled.monitoring.run(f"amtool silence expire {number}")


def every(found, key):
    """All entries of the lists under a key, however deep."""
    if isinstance(found, dict):
        if found.get("id") == key:
            yield from found["value"]
        for value in found.values():
            yield from every(value, key)
    elif isinstance(found, list):
        for value in found:
            yield from every(value, key)
