# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation site: built without a warning, without a broken link, readable on a desktop and on a phone.

Links to other sites need a network, which tests must not: the workflow that publishes the site checks them.
"""

from __future__ import annotations

import os
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
import yaml

from lab import browser, site
from lab.common import ROOT

WIDTHS = {"desktop": 1440, "phone": 390}
# One of each sort: a landing page, prose, wide tables, generated reference, code.
LOOKED_AT = (
    "index.html",
    "concepts.html",
    "alerts.html",
    "benchmarks.html",
    "reference/prometheus_role.html",
    "runbooks/ApiDown.html",
    "migration.html",
)
# What a page loads by itself; a link that people follow is no such thing.
LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src"}
# Says where else a page or its data is, and loads nothing.
NAMES_ONLY = {"canonical", "index", "search", "next", "prev"}


class Page(HTMLParser):
    """The links of a page, what it loads, and the places in it that links can lead to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember an element."""
        found = dict(attrs)
        self.places |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if found.get(LOADED.get(tag, "")) and found.get("rel") not in NAMES_ONLY:
            self.loaded.append(found[LOADED[tag]])


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The site of today's files."""
    folder = tmp_path_factory.mktemp("site")
    assert site.build(folder) == 0, "a warning is an error here: see above"
    return folder / "html"


@pytest.fixture(scope="module")
def pages(built) -> dict[Path, Page]:
    """All pages."""
    return {path: Page(path) for path in built.rglob("*.html")}


def test_every_link_within_the_site_leads_somewhere(built, pages):
    broken = []
    for path, page in pages.items():
        for link in page.links:
            target, place = urldefrag(link)
            if ":" in target.partition("/")[0] or target.startswith("//"):
                continue
            found = Path(os.path.normpath(path.parent / unquote(target))) if target else path
            if not found.is_file() or (place and found in pages and unquote(place) not in pages[found].places):
                broken.append(f"{path.relative_to(built)}: {link}")
    assert broken == []
    assert sum(len(page.links) for page in pages.values()) > 1000


def test_no_page_loads_anything_from_elsewhere(built, pages):
    """It is read where there is no internet, and nobody is told who reads it."""
    strange = {
        (path.relative_to(built).as_posix(), url)
        for path, page in pages.items()
        for url in page.loaded
        if "//" in url.partition("?")[0] or not (path.parent / unquote(url.partition("?")[0])).resolve().is_file()
    }
    assert strange == set()


def test_everything_has_a_page(built):
    missing = []
    for role in (ROOT / "roles").glob("*/meta/argument_specs.yml"):
        missing.append(f"reference/{role.parents[1].name}_role.html")
    for module in (ROOT / "plugins" / "modules").glob("*.py"):
        missing.append(f"reference/{module.stem}_module.html")
    for pack in (ROOT / "bundled" / "rules").glob("*.yml"):
        alerts = yaml.safe_load(pack.read_text(encoding="utf-8"))["alerts"]
        missing += [f"runbooks/{alert}.html" for alert in alerts]
    pages = (
        "installation five-minutes concepts troubleshooting migration changelog contributing security alerts dashboards"
    )
    missing += [f"{page}.html" for page in [*pages.split(), "benchmarks", "tags", "roles/index", "search"]]
    assert [name for name in missing if not (built / name).is_file()] == []


def test_no_page_has_an_error_of_the_theme_in_it(built, pages):
    assert [str(path) for path in pages if "ERROR: " in path.read_text(encoding="utf-8")] == []


@pytest.fixture(scope="module")
def tab(built):
    """A tab of the machine's Chromium."""
    with browser.chromium() as chromium:
        yield chromium.new_page()


@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_page_fits_the_screen_in_light_and_dark(built, tab, name):
    """The pictures are in build/browser, for a person to look at."""
    colours = {}
    for screen, width in WIDTHS.items():
        tab.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            tab.emulate_media(color_scheme=scheme)
            tab.goto((built / name).as_uri())
            target = ROOT / "build" / "browser" / f"site-{name.replace('/', '-')}-{screen}-{scheme}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            tab.screenshot(path=target)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, f"wider than a {screen}"
            colours[scheme] = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colours["light"] != colours["dark"]


def test_the_variables_of_a_role_can_be_read(built, tab):
    """Seen, and with their descriptions within the page, without scrolling to the side."""
    for screen, width in WIDTHS.items():
        tab.set_viewport_size({"width": width, "height": 900})
        tab.goto((built / "reference" / "prometheus_role.html").as_uri())
        option = tab.locator("table.ansible-option-table tr", has_text="prometheus_storage_retention_size").first
        assert option.is_visible()
        option.scroll_into_view_if_needed()
        tab.screenshot(path=ROOT / "build" / "browser" / f"site-variable-{screen}.png")
        for cell in option.locator("td").all():
            box = cell.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width


def test_a_search_finds_a_variable_and_an_alert(built, tab):
    for word, page in (("prometheus_storage_retention", "prometheus_role"), ("DiskWillFillSoon", "DiskWillFillSoon")):
        tab.goto((built / "search.html").as_uri() + f"?q={word}")
        tab.wait_for_selector("#search-results li a", timeout=20000)
        links = tab.eval_on_selector_all(
            "#search-results li a", "links => links.map(link => link.getAttribute('href'))"
        )
        assert any(page in link for link in links), (word, links)
