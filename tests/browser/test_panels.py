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
EMPTY = {
    ("mon-system", 5): "no containers run here: tests/faults/test_cadvisor.py asks for them",
    ("mon-system", 12): "no containers run here: tests/faults/test_cadvisor.py asks for them",
}
# Panels that may have nothing to show.
BY_CHANCE = {("mon-system", 8): "others may make room on this machine's disk all the time"}


def excused():
    """The expressions of panels that need not show anything, whatever is chosen."""
    for uid, number in (*EMPTY, *BY_CHANCE):
        (panel,) = (panel for panel in SHOWN[uid]["panels"] if panel["id"] == number)
        for target in panel["targets"]:
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
    specified = {panel["id"]: panel for panel in SHOWN[uid]["panels"]}
    wrong = []
    page.open(f"/d/{uid}?from=now-15m&to=now&theme={theme}", WIDTHS["desktop"])
    for screen, width in WIDTHS.items():
        page.resize(width)
        page.picture(ROOT / "build" / "browser" / f"{uid}-{screen}-{theme}.png")
        seen = page.panels()
        assert set(seen) == set(specified)
        for number, panel in seen.items():
            title, nothing = specified[number]["title"], specified[number]["fieldConfig"]["defaults"]["noValue"]
            where = f"{title} on a {screen}"
            empty = nothing in panel.text or "No data" in panel.text
            if (uid, number) in BY_CHANCE:
                continue
            if (uid, number) in EMPTY:
                # Once there is something, it is no exception any more.
                wrong += [] if empty else [f"{where}: is not empty"]
                continue
            wrong += [f"{where}: {panel.text}"] if empty else []
            wrong += [f"{where}: failed"] if panel.failed else []
            wrong += [f"{where}: {title} does not fit" for title in panel.clipped]
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
