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
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.vigil.monitoring.plugins.lookup.grafana_dashboards import LookupModule
from ansible_collections.vigil.monitoring.plugins.plugin_utils._dashboards import ALERTMANAGER, AT, RUNBOOK, adjusted
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


def panels_of(uid):
    """The panels of a dashboard, those in folded rows too, by number."""
    found = {}
    for panel in SHOWN[uid]["panels"]:
        for one in panel["panels"] if panel["type"] == "row" else [panel]:
            assert one["id"] not in found
            found[one["id"]] = one
    return found


PANELS = [pytest.param(uid, panel, id=f"{uid} {number}") for uid in SHOWN for number, panel in panels_of(uid).items()]
# Number, title, kind and queries of each panel. Links of alerts that were sent long ago lead to these numbers.
SPECIFIED = {
    "mon-fleet": """
        1 Hosts: stat 1
        2 Hosts down: stat 1
        3 Hosts critical: stat 1
        4 Hosts warning: stat 1
        5 CPU cores in use: stat 1
        6 Memory in use: stat 1
        7 Hosts, those in trouble first: table 11
        8 CPU usage (10 highest): timeseries 1
        9 Memory used (10 highest): timeseries 1
        10 Disk usage (10 fullest): timeseries 1
        11 Load per core (10 highest): timeseries 1
        12 Network traffic (10 highest): timeseries 1
        13 Disk busy (10 highest): timeseries 1
    """,
    "mon-system": """
        1 CPU usage: gauge 1
        2 CPU by mode: timeseries 1
        3 Memory available: gauge 1
        4 Memory used: timeseries 1
        5 Container memory: timeseries 1
        6 File systems: table 3
        7 Disk space used: timeseries 1
        8 Time until full (1d trend): table 1
        9 Network traffic: timeseries 2
        10 Load per core: timeseries 3
        11 Disk busy: timeseries 1
        12 Container CPU (cores): timeseries 1
        13 Up: stat 1
        14 Operating system: stat 1
        15 Cores: stat 1
        16 Memory: stat 1
        17 Uptime: stat 1
        18 Reboot: stat 1
        19 Updates: stat 1
        20 Failed: stat 1
        21 Pressure (PSI): timeseries 3
        22 Context switches and interrupts: timeseries 2
        23 Processes: timeseries 2
        24 Memory by kind: timeseries 3
        25 Swap used: timeseries 2
        26 Paging: timeseries 3
        27 Processes killed for memory: timeseries 1
        28 Inodes used: timeseries 1
        29 Disk throughput: timeseries 2
        30 Disk operations: timeseries 2
        31 Disk latency: timeseries 2
        32 Network errors and drops: timeseries 4
        33 TCP connections: timeseries 2
        34 TCP retransmissions: timeseries 1
        35 TCP connections opened: timeseries 2
        36 Failed units: table 1
        37 File descriptors: timeseries 1
        38 Clock: timeseries 1
        39 Firing alerts of this host: table 1
        40 Exporters of this host: table 3
    """,
    "mon-alerts": """
        1 Critical: stat 1
        2 Warnings: stat 1
        3 Pending: stat 1
        4 Suppressed: stat 1
        5 Active silences: stat 1
        6 Not delivered: stat 1
        7 Firing now: table 1
        8 When alerts fired: state-timeline 1
        9 Fired most: table 1
        10 Time spent firing: table 1
        11 Noise: over within 10 minutes: table 1
        12 Hosts with most alerts: table 1
        13 Notifications by integration: timeseries 2
        14 Who was notified: table 2
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
        9 Availability (probes): table 1
        10 Instances down: stat 1
        11 Requests without errors: stat 1
        12 Firing alerts of the application: table 1
        13 Requests by endpoint (10 highest): timeseries 1
        14 Errors by endpoint (10 highest): timeseries 1
        15 Requests by instance: timeseries 1
    """,
    "mon-db": """
        1 Connections used: table 1
        2 Connections by state: timeseries 2
        3 Top 10 queries by total time: table 1
        4 Top 10 queries by mean time: table 1
        5 Cache hit ratio: timeseries 1
        6 Table sizes (top 10): table 1
        7 Database size: timeseries 1
        8 Transactions per second: timeseries 2
        9 Longest transaction by state: timeseries 1
        10 Deadlocks and temp files: timeseries 2
        11 Locks by mode: timeseries 1
        12 Sessions that wait: timeseries 1
        13 Temporary files: timeseries 1
        14 Replication lag: timeseries 1
        15 Replicas behind, by bytes: timeseries 1
        16 WAL on disk: timeseries 1
        17 Checkpoints: timeseries 2
        18 Buffers written: timeseries 3
        19 Dead rows (top 10): table 3
        20 Sequential scans (top 10): table 3
        21 Settings that matter: table 7
    """,
    "mon-services": """
        1 Redis servers: table 7
        2 Redis commands per second: timeseries 1
        3 Redis memory of its limit: timeseries 1
        4 Redis hit ratio: timeseries 1
        5 Redis clients and rejected connections: timeseries 2
        6 Redis evicted and expired keys: timeseries 2
        7 NGINX: table 1
        8 NGINX requests per second: timeseries 1
        9 NGINX connections: timeseries 4
        10 NGINX dropped connections (5m): timeseries 1
        11 Groups of processes: table 7
        12 CPU by group (10 highest): timeseries 1
        13 Memory by group (10 highest): timeseries 1
        14 Restarts by group (15m, 10 highest): timeseries 1
    """,
    "mon-containers": """
        1 Containers, those in trouble first: table 8
        2 Memory of its limit (10 highest): timeseries 1
        3 Memory (10 highest): timeseries 1
        4 CPU (10 highest): timeseries 1
        5 Starts and OOM kills: timeseries 2
        6 Network received (10 highest): timeseries 1
        7 Network sent (10 highest): timeseries 1
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
        15 Days to certificate expiry: table 1
        16 Time since last backup: table 1
        17 Targets that are down: table 1
        18 Jobs by what they cost: table 5
        19 Samples by job (10 highest): timeseries 1
        20 Metrics with most series: table 1
        21 Last rehearsal of each restore: table 2
    """,
}
# Beginnings of the metrics of each part that may not be there, and what a panel says then: a regular expression.
PARTS = {
    "http_request": "application",
    "pg_": "postgres_exporter|stat_checkpointer",
    "container_": "cAdvisor",
    "redis_": "redis_exporter",
    "nginx_": "nginx_exporter",
    "namedprocess_": "process_exporter",
    "alertmanager_": "Alertmanager|not scrape itself",
    "probe_": "blackbox_exporter",
    "backup_": "backup",
    "prometheus_": "Prometheus|prometheus",
    "node_|instance:node_|apt_": "node_exporter|kernel|Not scraped|Not reported|collector",
    "up|scrape_": "No targets?|Prometheus|node_exporter",
}
# What begins so is about alerts alone: a zero of these is known.
ALERTS_ALONE = ("count(ALERTS{", "max(ALERTS{", "max by (alertname) (ALERTS{")
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
# Panels that show the number of an alert in another unit: seconds, that Grafana makes days of, in place of hours.
UNITS = {"BackupTooOld": 3600}


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
            for dummy, panel in sorted(panels_of(uid).items())
        ]
        for uid in SHOWN
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
def test_its_variables_are_used_and_no_others(uid):
    shown = SHOWN[uid]
    variables = {one["name"]: one for one in shown["templating"]["list"]}
    asked = [str(one) for key in ("expr", "query") for one in everything(shown, key)]
    used = {name for one in asked for name in re.findall(r"\$([a-z_]\w*)", one) if not name.startswith("__")}
    assert used | {"datasource"} == set(variables)
    # Grafana takes those of one id for one.
    assert len({one["id"] for one in variables.values()}) == len(variables)
    for name, variable in variables.items():
        assert variable["label"]
        if variable.get("regex"):
            # One is chosen: the page is about one. What is shown is the inventory's name, the value is of the label.
            assert not variable.get("multi") and not variable.get("includeAll")
            assert "?<text>" in variable["regex"] and "?<value>" in variable["regex"]
        elif name != "datasource":
            assert variable["multi"] and variable["includeAll"]
            assert variable["allValue"] == ".*"
            # All at first, and not whatever comes first.
            assert variable["current"]["value"] == ["$__all"]


@pytest.mark.parametrize("uid", SHOWN)
def test_its_panels_fill_their_rows(uid):
    places = [panel["gridPos"] for panel in SHOWN[uid]["panels"]]
    folded = [[panel["gridPos"] for panel in row.get("panels", ())] for row in SHOWN[uid]["panels"]]
    rows = {}
    for group, found in enumerate([places, *folded]):
        for place in found:
            rows.setdefault((group, place["y"]), []).append(place)
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
        assert target["instant"] == (panel["type"] not in ("timeseries", "heatmap", "state-timeline"))


@pytest.mark.parametrize(("uid", "panel"), PANELS)
def test_a_panel_without_data_says_what_is_missing(uid, panel):
    """Nobody takes what is not monitored for what is well."""
    words = panel["fieldConfig"]["defaults"]["noValue"]
    assert "No data" not in words and " " in words
    asked = " ".join(target["expr"] for target in panel["targets"])
    # Alerts are those of the Prometheus that is asked: whether some fire is known without any part.
    asked = re.sub(r"ALERTS(_FOR_STATE)?{[^}]*}", "", asked)
    parts = [name for metrics, name in PARTS.items() if re.search(rf"\b(?:{metrics})", asked)]
    # Of several parts, the first one is what the panel is about.
    if parts and words != "No firing alerts":
        assert re.search(parts[0], words), f"{words}: {parts[0]}"
    for mapping in everything(panel, "mappings"):
        for special in (one["options"] for one in mapping if one["type"] == "special"):
            assert special["match"] == "null+nan" or special["result"]["text"] == words


@pytest.mark.parametrize(("uid", "panel"), PANELS)
def test_no_zero_is_shown_where_nothing_is_known(uid, panel):
    for target in panel["targets"]:
        for constant in re.findall(r"vector\((.*?)\)", target["expr"]):
            if constant == "0":
                assert target["expr"].startswith(ALERTS_ALONE), target["expr"]
            else:
                assert constant == "NaN"


@pytest.mark.parametrize(
    ("uid", "panel"), [one for one in PANELS if one.values[1]["type"] == "table" and len(one.values[1]["targets"]) > 1]
)
def test_a_table_of_several_queries_has_a_row_that_says_it(uid, panel):
    """Grafana has headings and a text of its own there."""
    words, (first, *others) = panel["fieldConfig"]["defaults"]["noValue"], (one["expr"] for one in panel["targets"])
    column, said = re.search(r' or on \(\) label_replace\(vector\(NaN\), "(\w+)", "(.*?)", "", ""\)$', first).groups()
    assert said == words
    assert not any("vector(NaN)" in expr for expr in others)
    # The first column of a label, which is as wide as what is left.
    (organized,) = [one["options"] for one in panel["transformations"] if one["id"] == "organize"]
    labels = {label: place for label, place in organized["indexByName"].items() if not label.startswith("Value")}
    assert min(labels, key=labels.get) == column
    widths = {}
    for override in panel["fieldConfig"]["overrides"]:
        found = {one["id"]: one["value"] for one in override["properties"]}
        if "custom.width" in found:
            widths[override["matcher"]["options"]] = found["custom.width"]
    assert organized["renameByName"][column] not in widths
    # A phone has room for a column beside it: the words are not there most of the time, and the numbers are.
    assert len(words) * 8 + 8 <= 250, words
    # On a notebook, as above; the columns of labels are not there, those of values are.
    values = [title for label, title in organized["renameByName"].items() if label.startswith("Value")]
    left = panel["gridPos"]["w"] * 52 - 40 - sum(widths.get(title, 0) for title in values)
    assert len(words) * 7 <= left


@pytest.mark.parametrize(("uid", "panel"), PANELS)
def test_what_an_override_is_for_is_matched(uid, panel):
    for override in panel["fieldConfig"]["overrides"]:
        matcher = override["matcher"]
        # Without slashes the whole name has to match.
        assert matcher["id"] == "byName" or re.fullmatch("/.+/", matcher["options"])


@pytest.mark.parametrize(("uid", "number", "alert"), COLOURED)
def test_a_panel_changes_its_colour_where_the_alert_fires(uid, number, alert):
    panel = panels_of(uid)[number]
    steps = {step["value"]: step["color"] for found in everything(panel, "steps") for step in found}
    found = alerts_of(load_packs())[alert]
    for tier, settings in resolve(found, {}, "")[0].items():
        assert settings.values["threshold"] * UNITS.get(alert, 1) in steps, (tier, steps)
    if panel["type"] == "timeseries":
        assert panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"] != "off"


@pytest.mark.parametrize("pack", PACKS)
def test_alerts_lead_to_panels_that_are_there(pack):
    link = link_of(load_packs()[pack])
    shown = SHOWN[link.dashboard]
    assert {*link.variables} <= {one["name"] for one in shown["templating"]["list"]}
    panels = panels_of(link.dashboard)
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


def steps_of(found):
    """All steps of thresholds, however deep."""
    return [step for steps in everything(found, "steps") if isinstance(steps, list) for step in steps]


def urls_of(found):
    """All links that lead to a dashboard of ours."""
    return [url for url in everything(found, "url") if url.startswith(("/d/", "?"))]


@pytest.mark.parametrize("uid", SHOWN)
def test_links_lead_to_dashboards_and_variables_that_are_there(uid):
    for url in urls_of(SHOWN[uid]):
        path, dummy, query = url.partition("?")
        if path.startswith("/d/${"):
            # The path comes with the alert: see the labels in its query.
            continue
        there = SHOWN[path.removeprefix("/d/") or uid]
        names = {one["name"] for one in there["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", query)) <= names, url
    paths = re.findall(r'"(mon-[\w-]+)\?(?:viewPanel=(\d+))?"', " ".join(everything(SHOWN[uid], "expr")))
    for to, number in paths:
        assert not number or int(number) in panels_of(to)


@pytest.mark.parametrize("uid", SHOWN)
def test_alerts_of_others_are_marked_once_a_person_wants_them(uid):
    for annotation in SHOWN[uid]["annotations"]["list"]:
        expr = annotation["expr"]
        # Those of other hosts would bury the graph.
        about_what_is_chosen = '="$instance' in expr.replace("=~", "=") or '="$host' in expr.replace("=~", "=")
        if "ALERTS" in expr:
            assert annotation["enable"] == about_what_is_chosen or uid == "mon-app"


@pytest.mark.parametrize(("uid", "panel"), PANELS)
def test_a_title_fits_beside_its_neighbours(uid, panel):
    # A notebook of 1280 pixels has 53 for each of the 24 columns, of which the padding and the mark for more take 88.
    assert len(panel["title"]) * 7 <= panel["gridPos"]["w"] * 52 - 88, panel["title"]


@pytest.mark.parametrize(
    ("uid", "panel"),
    [one for one in PANELS if "legend" in one.values[1].get("options", {}) and one.values[1]["type"] == "timeseries"],
)
def test_a_long_name_has_room_in_the_legend(uid, panel):
    legend = panel["options"]["legend"]
    if any(re.search(r"{{(name|host|instance|handler)}}", target["legendFormat"]) for target in panel["targets"]):
        # A phone has room for a name of 37 letters and one number; what is longer is reached by scrolling the legend sideways.
        assert legend["placement"] == "bottom"
        assert len(legend["calcs"]) <= 1
    if legend["displayMode"] == "table":
        # Of ten series it shows four, and on a phone three.
        assert (legend["sortBy"], legend["sortDesc"]) == ("Last *", True)


# How wide a column of names is at least, in pixels: a letter takes 7.6, and the cell 20 around it.
NAMES = {
    "alertname": 240,
    "host": 300,
    "name": 190,
    "instance": 150,
    "relname": 340,
    "datname": 110,
    "groupname": 330,
    "query": 340,
    "receiver_name": 290,
}


@pytest.mark.parametrize(("uid", "panel"), [one for one in PANELS if one.values[1]["type"] == "table"])
def test_a_column_of_names_has_room_for_them(uid, panel):
    (organized,) = [one["options"] for one in panel["transformations"] if one["id"] == "organize"]
    for label, title in organized["renameByName"].items():
        (column,) = [
            {one["id"]: one["value"] for one in override["properties"]}
            for override in panel["fieldConfig"]["overrides"]
            if override["matcher"]["options"] == title
        ]
        room = column.get("custom.width", 0) or column.get("custom.minWidth", 0)
        if label in NAMES and not column.get("custom.hidden"):
            assert room >= NAMES[label], f"{title} is cut off"
        # A title of its own is as wide as its letters, or as what is left.
        assert not room or len(title) * 6.5 + 12 <= room, title


@pytest.mark.parametrize(("uid", "panel"), PANELS)
def test_a_panel_is_of_a_kind_that_says_when_it_has_nothing(uid, panel):
    """Grafana shows `No data` in other kinds, whatever the panel says."""
    if panel["type"] == "heatmap":
        # It is said by the name of the only bucket.
        assert all("vector(NaN) unless on ()" in target["expr"] for target in panel["targets"])
    else:
        assert panel["type"] in ("timeseries", "stat", "gauge", "bargauge", "table", "state-timeline")


@pytest.mark.parametrize(("uid", "panel"), PANELS)
def test_hosts_are_named_as_in_the_inventory(uid, panel):
    for target in panel["targets"]:
        if "{{instance}}" in target["legendFormat"]:
            assert "{{host}}" in target["legendFormat"] or "probe" in target["expr"], target["legendFormat"]


def test_thresholds_that_are_of_an_alert_say_so():
    marked = [step for step in steps_of(list(SHOWN.values())) if AT in step]
    assert {step[AT]["alert"] for step in marked} >= {alert for dummy, dummy, alert in COLOURED}
    for step in marked:
        origin = step[AT]
        tier = resolve(alerts_of(load_packs())[origin["alert"]], {}, "")[0][origin["severity"]]
        assert step["value"] == tier.values[origin["parameter"]] * origin["factor"] + origin["offset"]


def test_thresholds_of_the_inventory_move_lines_and_colours():
    thresholds = {"HighCPUUsage": {"critical": 95}, "HighMemoryUsage": {"warning": False}}
    before, after = (
        SHOWN["mon-system"],
        adjusted(SHOWN["mon-system"], load_packs(), thresholds, "https://wiki.example/"),
    )
    assert before is not after

    def steps(shown, number):
        (found,) = [panel for panel in shown["panels"] if panel["id"] == number]
        return [(step["color"], step["value"]) for step in found["fieldConfig"]["defaults"]["thresholds"]["steps"]]

    assert steps(before, 1) == [("green", None), ("orange", 60), ("red", 80)]
    assert steps(after, 1) == [("green", None), ("orange", 60), ("red", 95)]
    # What is disabled has no line; what is counted from the other end moves as well.
    assert steps(after, 4) == [("transparent", None), ("red", 90)]
    assert steps(after, 3) == [("red", None), ("green", 10)]
    text = json.dumps(after)
    assert AT not in text and RUNBOOK not in text
    assert "https://wiki.example/${__value.raw}" in text


@pytest.mark.parametrize(
    ("disabled", "steps"),
    [
        ({}, [("red", None), ("orange", 10), ("green", 25)]),
        ({"warning": False}, [("red", None), ("green", 10)]),
        ({"critical": False}, [("orange", None), ("green", 25)]),
        (False, [("green", None)]),
    ],
)
def test_where_less_is_worse_a_disabled_alert_colours_nothing(disabled, steps):
    found = adjusted(SHOWN["mon-system"], load_packs(), {"HighMemoryUsage": disabled}, None)
    (panel,) = [panel for panel in found["panels"] if panel["id"] == 3]
    made = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(step["color"], step["value"]) for step in made] == steps


@pytest.mark.parametrize(
    ("url", "shown"), [("", []), (None, ["Runbook"]), ("https://w.example/{alert}.md", ["Runbook"])]
)
def test_the_runbooks_of_the_inventory_are_linked(url, shown):
    found = adjusted(SHOWN["mon-alerts"], load_packs(), {}, url)
    links = {
        link["title"]: link["url"]
        for links in everything(found, "value")
        if isinstance(links, list)
        for link in links
        if "url" in link
    }
    assert [title for title in links if title == "Runbook"] == shown
    if url:
        assert links["Runbook"] == "https://w.example/${__value.raw}.md"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("", set()),
        (None, {"Alertmanager"}),
        ("Paging & mail", {"Paging%20%26%20mail"}),
    ],
)
def test_silences_and_receivers_are_those_of_the_data_source(name, found):
    for uid in ("mon-alerts", "mon-system", "mon-app", "mon-self"):
        made = adjusted(SHOWN[uid], load_packs(), {}, None, name)
        urls = [url for url in everything(made, "url") if url.startswith("/alerting/")]
        assert {re.search(r"[?&]alertmanager=([^&]*)", url)[1] for url in urls} == found
        assert ALERTMANAGER not in json.dumps(made)


def test_thresholds_that_are_invalid_are_left_to_the_role_that_refuses_them():
    same = adjusted(SHOWN["mon-system"], load_packs(), {}, None)
    assert adjusted(SHOWN["mon-system"], load_packs(), {"NoSuchAlert": 1}, None) == same
    assert adjusted(SHOWN["mon-system"], load_packs(), ["what"], None) == same


@pytest.mark.parametrize(
    ("groups", "critical", "runbook"),
    [
        # The first server that there is says it.
        ({"nowhere": "", "prometheus": "prod"}, 95, "https://wiki.example/runbooks/"),
        ({"nowhere": ""}, 80, "https://"),
        ({}, 80, "https://"),
    ],
)
def test_the_dashboards_that_are_deployed_are_of_the_inventory(tmp_path, groups, critical, runbook):
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/prometheus.yml").write_text(
        "wanted: 95\n"
        "prometheus_thresholds: {HighCPUUsage: {critical: '{{ wanted }}'}}\n"
        "prometheus_runbook_url: https://wiki.example/runbooks/\n"
    )
    (tmp_path / "hosts.yml").write_text("prometheus: {hosts: {one: {}}}\n")
    loader = DataLoader()
    inventory = InventoryManager(loader, sources=[str(tmp_path / "hosts.yml")])
    variables = {
        "groups": inventory.get_groups_dict(),
        "hostvars": HostVars(inventory, VariableManager(loader, inventory), loader),
    }
    lookup = LookupModule(loader, Templar(loader=loader, variables=variables))
    lookup.get_option = {"prometheus_groups": groups, "datasources": [], "downloads": [], "optional": []}.get
    found = {
        one["uid"]: one["content"] for one in lookup._dashboards([str(FILES[0].parents[1])], [str(ROOT)], variables)
    }
    assert set(found) == set(SHOWN)
    gauge = next(panel for panel in json.loads(found["mon-system"])["panels"] if panel["id"] == 1)
    assert gauge["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"] == critical
    assert any(url.startswith(runbook) for url in everything(json.loads(found["mon-alerts"]), "url"))
    assert not any(AT in text or RUNBOOK in text for text in found.values())
