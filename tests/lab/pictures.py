# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures of the documentation, made of a real deployment: the summary of its run, and a dashboard in its Grafana."""

from __future__ import annotations

import io
import re
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from . import browser, mirror, play, stack, stages
from .common import ROOT, LabError, step

FOLDER = ROOT / "docs" / "images"
# The dashboard, and what of it is shown.
DASHBOARD, WIDTH, HEIGHT = "mon-app", 1280, 622
# A graph of less shows nothing; in this time the dashboard fills.
MINUTES = 6


def make() -> None:
    """Deploy the demo's stack on hosts of its own, and write docs/images anew."""
    stages.prepare()
    if not mirror.grafana():
        raise LabError(f"without Grafana there is no picture of a dashboard: {mirror.without_grafana()}")
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, stack.stack(Path(folder)) as made:
        done = play.run(made.command("verify.yml"), ROOT, stages.environment())
        if not done.green:
            raise LabError(f"verify.yml is red:\n{done.output}")
        _summary(done.output, made)
        made.application.load(errors=0.01)
        with step(f"waiting {MINUTES} minutes for the dashboard to fill"):
            time.sleep(MINUTES * 60)
        with browser.chromium() as chromium:
            page = browser.Page(chromium.new_page(ignore_https_errors=True), made.grafana)
            page.open(f"/d/{DASHBOARD}?from=now-{MINUTES - 1}m&to=now&theme=dark&kiosk", WIDTH)
            page.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
            page.settle()
            page.page.screenshot(path=FOLDER / "dashboard.png")


def _summary(output: str, made: stack.Stack) -> None:
    """Draw the summary of a run as a terminal shows it, with the names that people give to hosts.

    LabError where it does not say that everything works: nobody's first picture should have to be explained.
    """
    (text,) = re.findall(r"(?m)^MONITORING: .*(?:\n {2}.*)*", output)
    if not re.match(r"MONITORING: (\d+) of \1 ", text):
        raise LabError(f"not everything works:\n{output}")
    for host, inventory, name, address in (
        (made.monitoring, stack.MONITORING, "mon1", "192.0.2.10"),
        (made.production, stack.PRODUCTION, "web1", "192.0.2.20"),
    ):
        text = text.replace(host.ip, address).replace(inventory, name)
    title, *rows = text.splitlines()
    cells = [re.split(r" {2,}", row.strip()) for row in rows]
    cells = [["", *cells[0]], *cells[1:]]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in cells]
    shown = Text("\n".join([title, *lines]))
    shown.highlight_regex(r"(?m)^ *✓", "bold green")
    shown.highlight_regex(r"^MONITORING: .*", "bold")
    shown.highlight_regex(r"(?m)^ +SERVICE .*", "dim")
    console = Console(record=True, width=max(map(len, lines)) + 2, file=io.StringIO())
    console.print(shown)
    drawn = console.export_svg(title="ansible-playbook site.yml -i inventories/prod", unique_id="summary")
    # Fonts that it would fetch from elsewhere: the reader's own will do.
    drawn = re.sub(r"(?s)@font-face \{.*?\}", "", drawn).replace("Fira Code", "ui-monospace")
    (FOLDER / "summary.svg").write_text(drawn, encoding="utf-8")
