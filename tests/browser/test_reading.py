# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of this folder read of a page, on one that is made for it: it needs no Grafana."""

from __future__ import annotations

from lab import browser

PAGE = """
<div data-panelid="1" style="width: 200px; overflow: hidden"><h2>Cut off</h2><table style="width: 400px"><tr><td>a</td></tr></table></div>
<div data-viz-panel-key="panel-2" style="width: 200px"><h2>Fits</h2><table style="width: 100px"><tr><td>b</td></tr></table></div>
<div data-panelid="3" style="width: 200px"><h2 style="width: 40px; overflow: hidden; white-space: nowrap">A long title</h2></div>
"""


def test_panels_are_found_with_what_does_not_fit():
    with browser.chromium() as chromium:
        tab = chromium.new_page()
        tab.set_content(PAGE)
        page = browser.Page(tab, "")
        found = page.panels()
        assert {number: panel.clipped for number, panel in found.items()} == {
            1: ["the legend of Cut off"],
            2: [],
            3: ["A long title"],
        }
        assert found[2].text.split() == ["Fits", "b"]
        assert all(page.panel_picture(number).startswith(b"\x89PNG") for number in found)
