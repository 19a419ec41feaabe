# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of this folder read of a page, on one that is made for it: it needs no Grafana."""

from __future__ import annotations

from lab import browser

PAGE = """
<style>
[role] { padding: 6px; overflow: hidden }
[role] button { border: 0; padding: 0 }
.ellipsis { overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
</style>
<div data-panelid="1" style="width: 200px; overflow: hidden"><h2>Cut off</h2><table style="width: 400px"><tr><td>a</td></tr></table></div>
<div data-viz-panel-key="panel-2" style="width: 200px"><h2>Fits</h2><table style="width: 100px"><tr><td>b</td></tr></table></div>
<div data-panelid="3" style="width: 200px"><h2 style="width: 40px; overflow: hidden; white-space: nowrap">A long title</h2></div>
<div data-panelid="4" style="width: 200px; overflow: hidden"><h2>Table</h2><div style="width: 900px; display: flex">
<div role="columnheader" style="width: 80px"><button>Host</button></div>
<div role="columnheader" style="width: 30px"><button>Environment</button></div>
<div role="cell" style="width: 60px"><div class="ellipsis">a.very-long.example.net</div></div>
<div role="cell" style="width: 60px"><a class="ellipsis" style="display: flex"><div class="ellipsis">linked.example.net</div></a></div>
<div role="cell" style="width: 60px"><div class="ellipsis">SELECT everything</div><button aria-label="Inspect value"></button></div>
<div role="cell" style="width: 300px"><a style="overflow: hidden; display: flex"><div>beyond.the.edge.example.net</div></a></div>
</div></div>
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
            # What is beyond the edge of a table is reached by scrolling it.
            4: ["the cell Environment", "the cell a.very-long.example.net", "the cell linked.example.net"],
        }
        assert page.headings(4) == ["Host", "Environment"]
        assert found[2].text.split() == ["Fits", "b"]
        assert all(page.panel_picture(number).startswith(b"\x89PNG") for number in found)
