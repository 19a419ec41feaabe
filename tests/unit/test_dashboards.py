# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards as files. Whether their queries can be read is for promtool to say: tests/rules."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils._rules import (
    PACKS,
    alerts_of,
    link_of,
    load_packs,
    resolve,
)

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "bundled" / "dashboards").rglob("*.json"))
SHOWN = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FILES}
PANELS = [pytest.param(uid, panel, id=f"{uid} {panel['id']}") for uid in SHOWN for panel in SHOWN[uid]["panels"]]
# Number, title, kind and queries of each panel. Links of alerts that were sent long ago lead to these numbers.
SPECIFIED = {
    "mon-system": """
        1 Current CPU: gauge 1
        2 CPU by mode: timeseries 1
        3 Memory available: bargauge 1
        4 Memory used: timeseries 1
        5 Container memory: timeseries 1
        6 Disk usage by partition: bargauge 1
        7 Disk space used by partition: piechart 1
        8 Days until full (1d trend): bargauge 1
        9 Network I/O: timeseries 2
        10 Load per core: timeseries 1
        11 Disk busy: timeseries 1
        12 Container CPU (cores): timeseries 1
    """,
    "mon-app": """
        1 Requests per second: timeseries 1
        2 Error rate (5xx): timeseries 1
        3 Response time p50, p95, p99: timeseries 3
        4 Response time distribution: heatmap 1
        5 Errors by status code: timeseries 1
        6 Slowest endpoints (mean, top 10): bargauge 1
        7 Requests above 1 s by endpoint: bargauge 1
        8 Active database connections: timeseries 1
        9 Availability (probes): stat 1
    """,
    "mon-db": """
        1 Connections used: gauge 1
        2 Connections by state: timeseries 2
        3 Top 10 queries by total time: table 1
        4 Top 10 queries by mean time: table 1
        5 Cache hit ratio: timeseries 1
        6 Table sizes (top 10): piechart 1
        7 Database size: timeseries 1
        8 Transactions per second: timeseries 2
        9 Longest transaction by state: timeseries 1
        10 Deadlocks and temp files: timeseries 2
    """,
    "mon-self": """
        1 Targets down: stat 1
        2 Firing alerts: table 1
        3 Watchdog and config reloads: stat 3
        4 Alerts that fired most (review): table 1
        5 Minutes spent firing: table 1
        6 Scrape duration (slowest 10): timeseries 1
        7 Samples ingested per second: timeseries 1
        8 Head series: timeseries 1
        9 TSDB size: timeseries 3
        10 Rule groups by share of their interval: bargauge 1
        11 Rule evaluation failures: timeseries 1
        12 Prometheus to Alertmanager: timeseries 3
        13 Notifications by integration: timeseries 2
        14 Active silences: stat 1
        15 Days to certificate expiry: bargauge 1
        16 Hours since last backup: bargauge 1
    """,
}
# Panels that are coloured at the numbers of an alert.
COLOURED = [
    ("mon-system", 1, "HighCPUUsage"),
    ("mon-system", 4, "HighMemoryUsage"),
    ("mon-system", 6, "HighDiskUsage"),
    ("mon-app", 2, "HighErrorRate"),
    ("mon-app", 3, "SlowResponseTime"),
    ("mon-app", 7, "SlowEndpoint"),
    ("mon-db", 1, "DatabaseConnectionsHigh"),
    ("mon-db", 5, "DatabaseCacheHitLow"),
    ("mon-db", 9, "DatabaseIdleInTransaction"),
    ("mon-self", 15, "CertificateExpiresSoon"),
    ("mon-self", 16, "BackupTooOld"),
]


def everything(found, key):
    """All values of a key, however deep."""
    if isinstance(found, dict):
        for name, value in found.items():
            if name == key:
                yield value
            yield from everything(value, key)
    elif isinstance(found, list):
        for value in found:
            yield from everything(value, key)


def test_the_files_are_what_their_source_gives():
    answer = subprocess.run(
        [sys.executable, "-m", "dashboards", "--check"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tools")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_panel_is_there():
    found = {
        uid: [
            f"{panel['id']} {panel['title']}: {panel['type']} {len(panel['targets'])}"
            for panel in sorted(shown["panels"], key=lambda panel: panel["id"])
        ]
        for uid, shown in SHOWN.items()
    }
    specified = {uid: [line.strip() for line in text.strip().splitlines()] for uid, text in SPECIFIED.items()}
    assert found == specified


@pytest.mark.parametrize("uid", SHOWN)
def test_it_can_be_provisioned(uid):
    shown, text = SHOWN[uid], FILES[list(SHOWN).index(uid)].read_text(encoding="utf-8")
    assert shown["uid"] == uid
    assert shown["id"] is None
    # What an export for other people's Grafana has, and a provisioned file cannot resolve.
    assert "__inputs" not in shown
    assert "${DS_" not in text
    # Grafana 9.4 has 37, and refuses nothing below.
    assert shown["schemaVersion"] <= 37
    # The next run changes nothing: the order of the keys is not that of a day's mood.
    assert text == json.dumps(shown, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert len({title for title in everything(list(SHOWN.values()), "title") if title == shown["title"]}) == 1


@pytest.mark.parametrize("uid", SHOWN)
def test_it_asks_the_chosen_data_source(uid):
    asked = list(everything(SHOWN[uid], "datasource"))
    assert len(asked) > len(SHOWN[uid]["panels"])
    assert all(one == {"type": "prometheus", "uid": "${datasource}"} for one in asked)


@pytest.mark.parametrize("uid", SHOWN)
def test_its_variables_are_used_and_no_others(uid):
    shown = SHOWN[uid]
    variables = {one["name"]: one for one in shown["templating"]["list"]}
    asked = [str(one) for key in ("expr", "query") for one in everything(shown, key)]
    used = {name for one in asked for name in re.findall(r"\$(\w+)", one) if not name.startswith("__")}
    assert used | {"datasource"} == set(variables)
    # Grafana takes those of one id for one.
    assert len({one["id"] for one in variables.values()}) == len(variables)
    for name, variable in variables.items():
        assert variable["label"]
        if name != "datasource":
            assert variable["multi"] and variable["includeAll"]
            assert variable["allValue"] == ".*"
            # All at first, and not whatever comes first.
            assert variable["current"]["value"] == ["$__all"]


@pytest.mark.parametrize("uid", SHOWN)
def test_its_panels_fill_their_rows(uid):
    places = [panel["gridPos"] for panel in SHOWN[uid]["panels"]]
    rows = {}
    for place in places:
        rows.setdefault(place["y"], []).append(place)
    for row in rows.values():
        assert sum(place["w"] for place in row) == 24
        assert len({place["h"] for place in row}) == 1
        ends = [place["x"] + place["w"] for place in row]
        assert [place["x"] for place in row] == [0, *ends[:-1]]


@pytest.mark.parametrize(("uid", "panel"), PANELS)
def test_a_panel_explains_itself(uid, panel):
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["description"].endswith(".")
    unit = panel["options"]["yAxis"]["unit"] if panel["type"] == "heatmap" else defaults["unit"]
    assert unit
    assert defaults["noValue"]
    for target in panel["targets"]:
        # A series without a name is shown with all of its labels.
        assert target["legendFormat"] or panel["type"] == "table"
        assert target["instant"] != target["range"]
        # What shows one number asks for one.
        assert target["instant"] == (panel["type"] not in ("timeseries", "heatmap"))


@pytest.mark.parametrize(("uid", "panel"), PANELS)
def test_what_an_override_is_for_is_matched(uid, panel):
    for override in panel["fieldConfig"]["overrides"]:
        matcher = override["matcher"]
        # Without slashes the whole name has to match.
        assert matcher["id"] == "byName" or re.fullmatch("/.+/", matcher["options"])


@pytest.mark.parametrize(("uid", "number", "alert"), COLOURED)
def test_a_panel_changes_its_colour_where_the_alert_fires(uid, number, alert):
    (panel,) = [panel for panel in SHOWN[uid]["panels"] if panel["id"] == number]
    steps = {step["value"]: step["color"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]}
    found = alerts_of(load_packs())[alert]
    for tier, settings in resolve(found, {}, "")[0].items():
        assert settings.values["threshold"] in steps, (tier, steps)
    if panel["type"] == "timeseries":
        assert panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"] != "off"


@pytest.mark.parametrize("pack", PACKS)
def test_alerts_lead_to_panels_that_are_there(pack):
    link = link_of(load_packs()[pack])
    shown = SHOWN[link.dashboard]
    assert {*link.variables} <= {one["name"] for one in shown["templating"]["list"]}
    panels = {panel["id"]: panel for panel in shown["panels"]}
    alerts = load_packs()[pack]["alerts"]
    led = {name: alert["panel"] for name, alert in alerts.items() if "panel" in alert}
    assert set(led.values()) <= set(panels)
    # What has no panel of its own leads to the dashboard, and says so.
    has = load_packs()[pack].get("panels", True)
    assert bool(led) == has, f"give alerts of {pack}.yml the panel that shows them, or the pack `panels: false`"
    # And the panel says so.
    for name, number in led.items():
        assert re.search(rf"Alerts: .*\b{name}\b", panels[number]["description"])


def test_recording_rules_that_it_asks_for_are_in_the_packs():
    recorded = {name for pack in load_packs().values() for name in pack.get("record") or {}}
    asked = {name for expr in everything(SHOWN, "expr") for name in re.findall(r"\b\w+:\w+:\w+", expr)}
    assert asked
    assert asked <= recorded


def test_the_dashboards_are_linked_with_each_other():
    tags = {tag for shown in SHOWN.values() for tag in shown["tags"]}
    assert len(tags) == 1
    for shown in SHOWN.values():
        (link,) = shown["links"]
        assert link["type"] == "dashboards"
        assert set(link["tags"]) == tags
        assert link["keepTime"]
