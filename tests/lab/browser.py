"""The machine's Chromium, and what it sees of a dashboard in Grafana."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright import sync_api

from .common import apt_install

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# High enough for every panel to be in view: Grafana asks for the others only when somebody scrolls to them.
HEIGHT = 14000
# What is read of a page. Panels bear their number in Grafana before version 11 in the first way, later in the second.
PANELS = """
() => [...document.querySelectorAll('[data-panelid], [data-viz-panel-key]')].filter(
    panel => panel.checkVisibility({visibilityProperty: true})
).map(panel => {
    const number = parseInt(panel.dataset.panelid || panel.dataset.vizPanelKey.replace('panel-', ''));
    const place = panel.getBoundingClientRect();
    const clipped = [...panel.querySelectorAll('h1, h2, h3, h4, h5, h6')]
        .filter(title => title.scrollWidth > title.clientWidth).map(title => title.textContent);
    // The legends that are tables; tables of data are made of other elements.
    const wide = [...panel.querySelectorAll('table')].filter(legend => legend.getBoundingClientRect().right > place.right);
    clipped.push(...wide.map(() => 'the legend of ' + panel.querySelector('h1, h2, h3, h4, h5, h6')?.textContent));
    // Tables of data scroll sideways: what is beyond their edge can be read, what is beyond that of its cell cannot.
    // What else is in a cell appears when one points at it, and in a heading is the handle that makes its column wider.
    const cells = [...panel.querySelectorAll('[role="cell"], [role="columnheader"]')].filter(cell => {
        const text = document.createRange(), place = cell.getBoundingClientRect(), style = getComputedStyle(cell);
        const content = cell.firstElementChild || cell;
        text.selectNodeContents(content);
        const seen = text.getBoundingClientRect();
        // What a click shows whole may be cut.
        return cell.innerText.trim() && !cell.querySelector('[aria-label="Inspect value"]') && (
            [content, ...content.querySelectorAll('*')].some(part =>
                part.scrollWidth > part.clientWidth && getComputedStyle(part).overflowX !== 'visible'
            )
            || seen.left < place.left + parseFloat(style.paddingLeft) - 0.5
            || seen.right > place.right - parseFloat(style.paddingRight) + 0.5
        );
    });
    clipped.push(...cells.map(cell => 'the cell ' + cell.innerText.trim()));
    return {
        number,
        text: panel.innerText,
        failed: panel.querySelector(
            '.panel-info-corner--error, [data-testid="data-testid Panel status error"], [aria-label="Panel status"]'
        ) !== null,
        clipped,
        left: place.left, right: place.right, bottom: place.bottom,
    };
})
"""


@dataclass(frozen=True)
class Panel:
    """A panel as it is seen.

    :ivar text: everything that can be read in it, its title included.
    :ivar failed: Grafana marks it as failed.
    :ivar clipped: titles, legends and cells of tables that do not fit.
    """

    number: int
    text: str
    failed: bool
    clipped: list[str]
    left: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Answer:
    """What a query of a panel got.

    :ivar error: what went wrong; empty when nothing did.
    :ivar values: how many values came.
    """

    expr: str
    error: str
    values: int


class Page:
    """A tab with a Grafana that lets everybody look."""

    def __init__(self, page: sync_api.Page, url: str) -> None:
        self.page, self.url = page, url
        self.pending: set[sync_api.Request] = set()
        self.finished: list[sync_api.Request] = []
        page.on("request", self._asked)
        page.on("requestfinished", self._answered)
        page.on("requestfailed", self._given_up)

    def _asked(self, request: sync_api.Request) -> None:
        if "/api/ds/query" in request.url:
            self.pending.add(request)

    def _answered(self, request: sync_api.Request) -> None:
        if request in self.pending:
            self.pending.discard(request)
            self.finished.append(request)

    def _given_up(self, request: sync_api.Request) -> None:
        self.pending.discard(request)

    def open(self, path: str, width: int) -> None:
        """Go to a page, and wait until it has got its data."""
        self.finished.clear()
        self.page.set_viewport_size({"width": width, "height": HEIGHT})
        self.page.goto(self.url + path)
        self.page.wait_for_function(f"({PANELS})().length > 0")
        self.settle()

    def resize(self, width: int) -> None:
        """Make it as wide as another screen, and wait until it has drawn itself anew."""
        self.page.set_viewport_size({"width": width, "height": HEIGHT})
        self.settle()

    def settle(self, quiet: float = 1.5, within: float = 60) -> None:
        """Wait until no query has been under way for some seconds."""
        began = since = time.monotonic()
        while time.monotonic() - since < quiet:
            if time.monotonic() - began > within:
                raise AssertionError(f"{self.page.url} goes on asking after {within} s")
            self.page.wait_for_timeout(100)
            if self.pending:
                since = time.monotonic()

    def panels(self) -> dict[int, Panel]:
        """The panels by number."""
        return {found["number"]: Panel(**found) for found in self.page.evaluate(PANELS)}

    def answers(self) -> list[Answer]:
        """What the panels' queries got since the page was opened. Those of annotations are no panel's."""
        found = []
        for request in self.finished:
            queries = request.post_data_json["queries"]
            answer = request.response()
            results = answer.json().get("results", {})
            for query in queries:
                if query["refId"] not in "ABCDEFGHIJKLMN":
                    continue
                result = results.get(query["refId"], {})
                error = "" if answer.ok else f"status {answer.status}: {answer.text()}"
                values = sum(
                    len(frame["data"]["values"][0]) for frame in result.get("frames", []) if frame["data"]["values"]
                )
                found.append(Answer(query["expr"], error or result.get("error", ""), values))
        return found

    def _panel(self, number: int) -> sync_api.Locator:
        return self.page.locator(f'[data-panelid="{number}"], [data-viz-panel-key="panel-{number}"]').first

    def headings(self, number: int) -> list[str]:
        """The headings of a panel's table that are seen whole, without scrolling it."""
        found = self._panel(number).evaluate(
            """panel => [...panel.querySelectorAll('[role="columnheader"]')]
            .filter(cell => cell.getBoundingClientRect().right <= panel.getBoundingClientRect().right)
            .map(cell => cell.innerText.trim())"""
        )
        return list(found)

    def panel_picture(self, number: int) -> bytes:
        """A panel as it is seen, as PNG."""
        return self._panel(number).screenshot()

    def picture(self, path: Path) -> None:
        """Save what is seen, down to the last panel."""
        path.parent.mkdir(parents=True, exist_ok=True)
        width = self.page.viewport_size["width"]
        height = max(panel.bottom for panel in self.panels().values()) + 16
        self.page.screenshot(path=path, clip={"x": 0, "y": 0, "width": width, "height": min(height, HEIGHT)})


@contextlib.contextmanager
def chromium() -> Iterator[sync_api.Browser]:
    """A headless Chromium with a profile of its own."""
    path = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if not path:
        apt_install(["chromium"], "dashboards are looked at in Chromium")
        path = shutil.which("chromium")
    with sync_api.sync_playwright() as playwright, tempfile.TemporaryDirectory() as home:
        # Its sandbox does not work for root, which the lab often is; it sees nothing but the lab's own pages.
        browser = playwright.chromium.launch(
            executable_path=path, chromium_sandbox=False, args=list(FLAGS), env={"HOME": home}
        )
        try:
            yield browser
        finally:
            browser.close()
