# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as text, Markdown and HTML, from invented results; hostile labels; files."""

from __future__ import annotations

import datetime
import html.parser
import math
import os
import pathlib
import re
import stat

import pytest
from ansible_collections.vigil.monitoring.plugins.action import report as action
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _render, _report

GOLDEN = pathlib.Path(__file__).with_name("report.golden.txt")
# Tue 2 Jun 2026 06:00 UTC
END = 1780380000
HOUR, DAY = 3600, 86400
HOSTILE = (
    "\"'></td></svg><img src=x onerror=alert(1)><script>alert(2)</script>|`*_[x](javascript:a)\x1b[31m\n# a\u202eb"
)


def spell(start, end, **more):
    """An episode, in hours before the end."""
    found = {"start": END - start * HOUR, "end": END - end * HOUR, "ongoing": end == 0, "before": start > 24}
    return {**found, **more}


def fired(alert, severity, *episodes, **labels):
    return {"alert": alert, "severity": severity, "labels": labels, "episodes": list(episodes), "most": None}


def check(name, value, bad=False, unit="count", where=(), trouble="it fails"):
    return {"check": name, "value": value, "unit": unit, "bad": bad, "where": list(where), "trouble": trouble}


def threshold(alert, severity, times, **more):
    firing = None if times is None else times * 600
    found = {"expr": "x", "op": ">", "threshold": 80, "for": 300, "times": times, "firing": firing, "each": True,
             "series": 2, "percentile": 61.23, "labels": {"instance": "web1:9100"}, "proposal": 62,
             "hours": 200}  # fmt: skip
    return {"alert": alert, "severity": severity, **found, **more}


def quiet():
    """Results of a healthy Prometheus."""
    return {
        "answered": True,
        "url": "http://192.0.2.1:9091",
        "version": "3.5.3",
        "start": END - DAY,
        "end": END,
        "range": DAY,
        "oldest": END - 31 * DAY,
        "targets": {
            "up": 2, "expected": 2, "down": [], "missing": [], "ignored": [], "unexpected_down": [],
            "jobs": {"node": [2, 2]},
        },
        "services": [
            {"job": "node", "instances": [{"instance": "a:9100", "up": 1.0}, {"instance": "b:9100", "up": 1.0}],
             "versions": {"node_exporter": {"1.11.1": 2}}, "restarts": []},
        ],
        "alerts": {"series": 0, "by_name": False, "step": 30, "fired": []},
        "changes": {"compared": True, "alerts_before": [], "added": [], "removed": [], "versions": [], "figures": []},
        "hosts": {"cpu": [busy("a:9100", 40.0)], "memory": [busy("a:9100", 50.0)]},
        "disks": [disk("a:9100", "/", 40.0)],
        "backups": [backup("db", 3 * HOUR)],
        "rehearsals": [],
        "checks": [check("Watchdog is firing", 1, unit="yes"), check("Failed rule evaluations", 0)],
        "thresholds": {"range": 7 * DAY, "percentile_range": 30 * DAY, "checked": [], "left_out": []},
        "problems": [],
        "queries": 31,
    }  # fmt: skip


def disk(instance, mountpoint, used, per_day=0.0, days_left=None, **more):
    history = [[END - day * DAY, used - day * (per_day or 0) / (1 << 30)] for day in range(7, -1, -1)]
    found = {"job": "node", "instance": instance, "device": "/dev/vda1", "fstype": "ext4", "mountpoint": mountpoint,
             "size": 100 << 30, "avail": (100 - used) * (1 << 30), "used": used, "per_day": per_day,
             "days_left": days_left, "span": 7 * DAY, "history": history}  # fmt: skip
    return {**found, **more}


def busy(instance, most, **more):
    history = [[END - DAY, most / 2], [END - DAY / 2, most], [END, most / 4]]
    return {"instance": instance, "most": most, "mean": most / 2, "last": most / 4, "history": history, **more}


def backup(name, age, **more):
    found = {"backup": name, "instance": "a:9100", "last": END - age, "age": age, "successes": 1, "gone": False}
    return {**found, "size": None, "checked": None, "check_success": None, "rehearsed": None, **more}


def rehearsal(backup, service, **more):
    items = [{"what": "rules", "restored": 60, "running": 61}, {"what": "samples", "restored": 2.0, "running": None}]
    found = {"backup": backup, "service": service, "rehearsed": END - 9 * DAY, "snapshot": "abcd0001", "items": items}
    return {**found, "taken": END - 9 * DAY - 2 * HOUR, "size": 3 << 30, "seconds": 41.4, **more}


def bad():
    """Results of a bad night."""
    found = quiet()
    found["targets"].update(
        up=1,
        expected=3,
        down=[{"job": "node", "instance": "b:9100", "last_error": "connection refused"}],
        missing=[{"job": "node", "instance": "c:9100"}],
        jobs={"node": [1, 2]},
    )
    found["services"][0].update(
        instances=[{"instance": "b:9100", "up": 0.99999}, {"instance": "a:9100", "up": 1.0}],
        versions={"node_exporter": {"1.11.1": 1, "1.9.0": 1}},
        restarts=[{"instance": "b:9100", "times": 2}],
    )
    found["alerts"].update(
        series=4,
        fired=[
            fired("HighLoad", "warning", spell(9, 8.5), spell(3, 2.75), instance="a:9100", job="node"),
            fired("PostgresDown", "critical", spell(0.5, 0), instance="db:9187", server="main"),
            fired("HighDiskUsage", "warning", spell(30, 0), instance="a:9100", mountpoint="/var"),
            fired("NoSteps", "warning"),
        ],
    )
    found["changes"].update(
        alerts_before=[{"alert": "HighDiskUsage", "severity": "warning"}, {"alert": "Gone", "severity": "critical"}],
        added=[{"job": "node", "count": 5, "instances": [{"instance": f"n{number}:9100"} for number in range(3)]}],
        removed=[{"job": "db", "count": 1, "instances": [{"instance": "old:9187", "host": "old"}]}],
        versions=[{"job": "node", "program": "node_exporter", "before": ["1.9.0"], "now": ["1.11.1", "1.9.0"]}],
        figures=[
            {"figure": "series in memory", "before": 1000, "now": 1100},
            {"figure": "alerting and recording rules", "before": 60, "now": 61},
        ],
    )
    found["hosts"]["cpu"] = [busy("a:9100", 97.0), busy("b:9100", 12.0)]
    found["disks"] = [
        disk("a:9100", "/var", 92.0, 2.0 * (1 << 30), 4.0),
        disk("a:9100", "/new", 10.0, None, None, span=0, history=[]),
        disk("a:9100", "/", 40.0, -0.25 * (1 << 30)),
    ]
    known = {"size": 5 << 30, "checked": END - 2 * DAY, "check_success": 1, "rehearsed": END - 9 * DAY}
    found["backups"] = [backup("db", 40 * HOUR, successes=0), backup("files", 3 * HOUR, gone=True, **known)]
    found["rehearsals"] = [
        rehearsal("files", "grafana", size=None, seconds=None, snapshot=None, taken=None, items=[]),
        rehearsal("files", "prometheus"),
    ]
    found["checks"] = [
        check("Watchdog is firing", None, True, "yes", trouble="the Watchdog is not firing"),
        check("Failed notifications", 7, True, where=[{"integration": "slack", "instance": "m:9093", "value": 7}],
              trouble="notifications failed"),
        check("Active silences", None),
        check("Size of the stored blocks", 5 << 30, unit="bytes"),
    ]  # fmt: skip
    found["thresholds"].update(
        checked=[
            threshold("HighCPUUsage", "critical", 0),
            threshold("HighCPUUsage", "warning", 9, threshold=60),
            threshold(
                "CacheHitLow", "warning", 1, op="<", threshold=95, percentile=88.8, proposal=88, labels={"datname": "x"}
            ),
            threshold("Many", "info", 2, each=False, series=400, **{"for": 0}),
            threshold("New", "warning", 0, proposal=None, hours=3),
            threshold("Broken", "", None, percentile=None, series=None, labels={}),
            threshold("Nothing", "", 0, percentile=None, series=0, labels={}),
        ],
        left_out=[{"alert": "Down", "severity": "critical", "why": "no comparison"}] * 2,
    )
    found["oldest"] = END - 3 * DAY
    found["problems"] = [{"section": "thresholds", "text": "Broken (no severity): HTTP 422: query timed out"}]
    return found


def document(*sections):
    return _report.document(list(sections), _report.clock(datetime.timezone.utc))


def text_of(answers):
    return _render.as_text(document(("mon", answers)))


def test_the_whole_text_of_a_bad_night():
    """The complete text; after an intended change, read it and write it again with VIGIL_GOLDEN=write."""
    text = _render.as_text(document(("mon.example.org", bad()), ("other.example.org", None)))
    if os.environ.get("VIGIL_GOLDEN") == "write":
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_a_quiet_night_is_all_good():
    text = text_of(quiet())
    overview = text[text.index("requests\n") : text.index("Changes in 24 hours")]
    assert "Nothing needs attention." in text and "Nothing changed." in text
    assert re.findall(r"^(.) ", overview, re.MULTILINE) == ["✓"] * 5
    assert "No alert fired." in text and "✗" not in text and "Most fired" not in text


@pytest.mark.parametrize(
    "change, words",
    [
        ({"backups": []}, "! no backup metric"),
        ({"disks": []}, "! no file system metrics"),
        ({"alerts": None}, "Alerts\n------\n\n"),
        ({"targets": None, "services": []}, "Services and targets\n--------------------\n\n"),
        ({"version": None}, "Prometheus of an unknown version"),
        ({"changes": {"compared": False}}, "Prometheus has no samples of 24 hours ago to compare with."),
        ({"hosts": {"cpu": [], "memory": []}}, "No metrics of hosts."),
        ({"backups": [backup("db", END, last=0)]}, "never"),
        ({"backups": [backup("db", HOUR, check_success=0)]}, "1 of a repository with errors"),
        ({"rehearsals": [rehearsal("db", "prometheus")]}, "rules: 60 and 61; samples: 2 and"),
        (
            {"problems": [{"section": "disks", "text": "trend: it said nothing"}]},
            "! Request failed: trend: it said nothing",
        ),
        ({"problems": [{"section": "disks", "text": "x"}]}, "! 1 request failed; the report lists them"),
    ],
)
def test_what_is_not_there_is_said(change, words):
    assert words in text_of({**quiet(), **change})


def test_disks_and_backups_are_marked_by_the_bounds_of_the_inventory():
    found = {**quiet(), "disks": [disk(host, "/", 80.0) for host in ("a", "b", "c")]}
    found["backups"] = [backup("db", 25 * HOUR), backup("files", 3 * HOUR)]
    assert re.findall(r"(.) (.) /: 80 % used", text_of({**found})) == [("!", "a"), ("!", "b"), ("!", "c")]
    disks = {"a": {"critical": 70}, "b": {}}
    nothing = {"cpu": {}, "memory": {}}
    own = {host: {**nothing, "disk": bounds} for host, bounds in disks.items()}
    found["marks"] = {**nothing, "disk": {"warning": 79}, "of": own, "backup": {"warning": 24, "critical": 30}}
    text = text_of(found)
    assert re.findall(r"(.) (.) /: 80 % used", text) == [("✗", "a"), ("!", "c")]
    assert "! 2 backups, 1 older than 24 h, the oldest 25 h" in text
    found["backups"][1] = backup("files", -25 * HOUR)
    assert "! 2 backups, 2 older than 24 h, the oldest 25 h" in (text := text_of(found)) and "in the future" in text
    assert "✓ 2 backups, the oldest" in text_of({**found, "marks": {**found["marks"], "backup": {}}})


@pytest.mark.parametrize(
    ("last", "time", "age"),
    [
        # Milliseconds.
        (END * 1000.0, "no time: 1.78e+12", "in the future"),
        (math.inf, "no time: +Inf", "in the future"),
        (-math.inf, "never", "-"),
    ],
)
def test_a_backup_whose_script_writes_no_time(last, time, age):
    found = quiet()
    found["backups"] = [backup("db", END - last, checked=last, rehearsed=last)]
    text = text_of(found)
    assert re.search(r"db +a:9100 +{0} +{1} ".format(re.escape(time), re.escape(age)), text), text
    assert "oldest" not in text


def test_a_ratio_that_was_divided_by_zero():
    found = quiet()
    found["thresholds"]["checked"] = [threshold("CacheFull", "warning", 1, percentile=math.inf, proposal=math.inf)]
    text = text_of(found)
    assert "≤ +Inf" in text and "> +Inf" not in text


def test_the_busiest_hosts_are_marked_by_their_own_thresholds():
    found = {**quiet(), "hosts": {"cpu": [busy("a:9100", 70.0), busy("b:9100", 70.0)], "memory": []}}
    found["marks"] = {"cpu": {"warning": 60}, "memory": {}, "disk": {}, "backup": {}, "of": {}}
    found["marks"]["of"]["b:9100"] = {"cpu": {"warning": 90}, "memory": {}, "disk": {}}
    page = _render.as_html(document(("mon", found)))
    assert re.findall(r'<td class="right short(?: (\w+))?" data-label="Max">70 %', page) == ["warn", ""]


def test_what_is_in_order_is_folded_and_what_is_not_is_open():
    headings = {block.text: block for block in document(("mon", bad())).blocks if isinstance(block, _report.Heading)}
    folded = {text for text, block in headings.items() if block.folded}
    assert folded == {"Most fired", "Busiest hosts"}
    headings = [block for block in document(("mon", quiet())).blocks if isinstance(block, _report.Heading)]
    assert [block.text for block in headings if not block.folded] == ["mon", "Changes in 24 hours"]
    failed = {**quiet(), "problems": [{"section": "thresholds", "text": "no answer"}]}
    page = _render.as_html(document(("mon", failed)))
    assert "<details open><summary><h3>Thresholds" in page and "<details><summary><h3>Disks" in page


def test_most_fired_counts_what_lies_in_the_range():
    """An alert that has been firing for a week fired for the 1,440 minutes of this day."""
    answers = quiet()
    answers["alerts"].update(series=1, fired=[fired("Old", "warning", spell(170, 0), instance="a:9100")])
    assert re.search(r"Old +warning +1 +1 +1440 +7 d 2 h", text_of(answers))


def test_the_short_report_is_the_overview_and_what_changed():
    short = _report.brief(document(("mon", bad()), ("other", None)))
    headings = [block.text for block in short.blocks if isinstance(block, _report.Heading)]
    assert headings == ["mon", "Changes in 24 hours", "other"] and short.verdict.text == "6 problems and 1 warning."
    assert not any(isinstance(block, _report.Table) for block in short.blocks)


def test_many_alerts_are_told_by_name():
    answers = quiet()
    storm = {**fired("Storm", "critical", spell(2, 1)), "most": 1700}
    answers["alerts"].update(series=1800, by_name=True, fired=[storm])
    text = text_of(answers)
    assert "1800 alerts are too many to list individually" in text and "at most 1700 at once" in text


def test_long_tables_end_with_what_is_left():
    answers = quiet()
    answers["disks"] = [disk(f"h{number}:9100", "/", 90.0) for number in range(45)]
    text = text_of(answers)
    assert "  and 5 more" in text and "h44" not in text and "40 more file systems that are full or will be soon" in text


def test_who_was_not_asked_and_who_is_an_agent():
    refused = {"answered": False, "problems": [{"section": "prometheus", "text": "it cannot be queried: refused"}]}
    agent = {"answered": False, "agent": True, "problems": [{"section": "prometheus", "text": "it is an agent"}]}
    text = _render.as_text(document(("a", refused), ("b", agent)))
    assert "no Prometheus could be queried" in text
    assert "✗ No data: it cannot be queried: refused" in text and "· it is an agent" in text and "✗ 1 problem." in text


# ---- words


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3570, "1 h"),
        (12000, "3 h 20 min"),
        (2 * DAY, "2 d"),
        (190800, "2 d 5 h"),
    ],
)
def test_durations(seconds, text):
    assert _report.length(seconds) == text


@pytest.mark.parametrize(
    "seconds, text", [(DAY, "24 hours"), (7 * DAY, "7 days"), (600, "10 minutes"), (61, "61 seconds")]
)
def test_ranges(seconds, text):
    assert _report.span(seconds) == text


@pytest.mark.parametrize(
    "value, text",
    [(0, "0 B"), (1000, "1.0 KiB"), (1 << 30, "1.0 GiB"), (-3 << 29, "-1.5 GiB"), (1 << 60, "1048576 TiB")],
)
def test_sizes(value, text):
    assert _report.size(value) == text


@pytest.mark.parametrize("value, text", [(1, "100 %"), (0.99999, "99.99 %"), (0.9583, "95.83 %"), (0, "0.00 %")])
def test_a_share_never_rounds_up_to_all(value, text):
    assert _report.share(value) == text


@pytest.mark.parametrize(
    "value, text", [(80, "80"), (0.51234, "0.512"), (1234.5, "1234"), (1.5e9, "1.5e+09"), (2e6, "2e+06")]
)
def test_figures(value, text):
    assert _report.figure(value) == text


def test_the_place_of_an_alert():
    labels = {"job": "node", "service": "host", "zone": "b", "mountpoint": "/var", "instance": "a:1"}
    assert _report.where(labels) == "a:1 /var zone=b"
    assert _report.where({"job": "node"}) == "node" and _report.where({}) == ""


def test_times_are_english_in_the_zone_of_the_reader():
    zone = datetime.timezone(datetime.timedelta(hours=-7), "MST")
    assert _report.moment(_report.clock(zone)(END), long=True) == "Mon 1 Jun 2026 23:00 MST"


# ---- hostile labels


def hostile():
    answers = bad()
    answers.update(url="http://x/" + HOSTILE, version=HOSTILE)
    answers["targets"]["down"][0].update(instance=HOSTILE, job=HOSTILE, last_error=HOSTILE)
    answers["services"][0].update(job=HOSTILE, versions={HOSTILE: {HOSTILE: 1}})
    answers["services"][0]["restarts"][0]["instance"] = HOSTILE
    for entry in answers["alerts"]["fired"]:
        entry.update(alert=HOSTILE, severity=HOSTILE, labels={"instance": HOSTILE, HOSTILE: HOSTILE})
    for entry in answers["disks"]:
        entry.update(instance=HOSTILE, mountpoint=HOSTILE)
    for entry in answers["backups"]:
        entry.update(instance=HOSTILE, backup=HOSTILE)
    for entry in answers["rehearsals"]:
        entry.update(backup=HOSTILE, service=HOSTILE, snapshot=HOSTILE)
        for item in entry["items"]:
            item.update(what=HOSTILE)
    answers["checks"][1]["where"] = [{HOSTILE: HOSTILE, "value": 7}]
    for entry in answers["thresholds"]["checked"]:
        entry.update(alert=HOSTILE, severity=HOSTILE, labels={"instance": HOSTILE})
    answers["thresholds"]["left_out"] = [{"alert": HOSTILE, "severity": HOSTILE, "why": HOSTILE}]
    answers["problems"] = [{"section": name, "text": HOSTILE} for name in ("disks", "alerts", "thresholds")]
    return document((HOSTILE, answers))


class Tags(html.parser.HTMLParser):
    """The tags of a page with their attributes, its texts, and whether each tag is closed where it should be."""

    VOID = ("meta", "line", "rect", "polygon", "polyline")

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = set(), set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, dummy in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, dummy in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_html_holds_no_tag_and_no_attribute_of_a_label():
    page = _render.as_html(hostile())
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    assert tags.tags == {
        *"html head meta title style body h1 h2 h3 p ul li div table thead tbody tr th td details summary".split(),
        *"svg rect line polygon polyline".split(),
    }
    assert tags.attributes == {
        *"lang charset name content http-equiv class data-label open".split(),
        *"viewbox preserveaspectratio role aria-label width height x x1 x2 y y1 y2 points".split(),
    }
    assert any("<script>alert(2)</script>" in text for text in tags.texts)


def test_html_loads_nothing():
    page = _render.as_html(document(("mon", bad())))
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert not re.search(r"(?i)\b(src=|href|url\(|@import|<script|<link)", page)


def test_text_holds_no_control_characters():
    for text in (_render.as_text(hostile()), _render.as_markdown(hostile()), _render.as_html(hostile())):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", text)
        assert "\n# a" not in text


def test_markdown_is_escaped():
    text = _render.as_markdown(hostile())
    # What stands in code spans is inert; in the rest nothing of Markdown or HTML may be left unshielded.
    rest = re.sub(r"(?<![`\\])(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", text)
    assert not re.search(r"(?<!\\)<", rest) and not re.search(r"(?<!\\)\[", rest)
    tables = [line for line in text.splitlines() if line.startswith("| ")]
    counts = [len(re.findall(r"(?<!\\)\|", line)) for line in tables]
    assert tables and min(counts) >= 4 and HOSTILE.split("\x1b", maxsplit=1)[0].replace("|", "\\|") in text
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) <= 1


@pytest.mark.parametrize(
    "text, escaped",
    [
        ("a_b*c", r"a\_b\*c"),
        ("see http://evil.example/ and www.evil.example", r"see http\://evil.example/ and www\.evil.example"),
        ("me@example.org mailto:x", r"me\@example.org mailto\:x"),
        ("<b>&amp;", r"\<b\>\&amp;"),
        ("a\\|b", r"a\\\|b"),
        ("3.5 %", "3.5 %"),
    ],
)
def test_markdown_texts(text, escaped):
    assert _render.markdown_text(text) == escaped


@pytest.mark.parametrize(
    "text, escaped", [("1. one", r"1\. one"), ("- one", r"\- one"), ("# one", r"\# one"), ("===", r"\===")]
)
def test_markdown_paragraphs(text, escaped):
    assert _render.markdown_line(text) == escaped


@pytest.mark.parametrize(
    "text, code",
    [
        ("a:1", "`a:1`"),
        ("a|b", r"`a\|b`"),
        ("a`b", "``a`b``"),
        ("`a", "`` `a ``"),
        ("a``", "``` a`` ```"),
        ("", ""),
    ],
)
def test_markdown_code(text, code):
    assert _render.markdown_code(text) == code


def test_long_names_are_cut():
    assert len(_render.clean("x" * 1000)) == _render.LONGEST


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("AlertOne, AlertTwo", "AlertOne, AlertTwo"),
        ("AlertOne, AlertTwo, AlertThree", "AlertOne, AlertTwo, …"),
        ("AlertOne, AlertTwo and AlertThree", "AlertOne, AlertTwo …"),
        # One word stays whole.
        ("AnAlertWithAVeryLongName", "AnAlertWithAVeryLongName"),
    ],
)
def test_what_is_too_long_ends_between_two_words(text, cut):
    assert _render.clean(text, 21) == cut and len(_render.clean("a " + "b" * 1000)) <= _render.LONGEST


def test_no_name_of_an_alert_is_broken_inside():
    names = ["Alert{0:02}{1}".format(number, "WithAName" * 6) for number in range(30)]
    answers = bad()
    answers["alerts"]["fired"] = [fired(name, "warning", spell(3, 2), instance="a:9100") for name in names]
    answers["thresholds"]["left_out"] = [{"alert": name, "severity": "", "why": "no comparison"} for name in names]
    text, markdown, page = (
        render(document(("mon", answers))) for render in (_render.as_text, _render.as_markdown, _render.as_html)
    )
    for number, name in enumerate(names):
        # Both tables of alerts, the list of rules that were not checked, and the first changes.
        times = 4 if number < 8 else 3
        assert [len(re.findall(rf"\b{name}\b", found)) for found in (text, markdown)] == [times, times]
        assert len(re.findall(rf"\b{name}\b(?![^<]*</title>)(?![^<]*\">)", page)) == times
    listed = text[text.index("Not checked, because") :].splitlines()[2:]
    assert len(listed) > 10 and max(map(len, listed)) <= _render.WIDTH
    screen, paper = _render.STYLE.split("@media print")
    assert (
        "anywhere" not in re.search(r"\.name {[^}]*}", screen).group(0)
        and ".name { overflow-wrap: anywhere; }" in paper
    )


# ---- plots


@pytest.mark.parametrize(
    "spells, drawn",
    [
        ([(0, 1)], "█" * 24),
        ([(0.999, 1.0)], "·" * 23 + "█"),
        ([(0, 0.001), (0.5, 0.6)], "█" + "·" * 11 + "█" * 3 + "·" * 9),
    ],
)
def test_strips_of_letters(spells, drawn):
    assert _render._characters(_report.Strip(spells, [], "bad", "")) == drawn


def test_lines_of_letters_do_not_make_mountains_of_noise():
    assert set(_render._characters(_report.Line([[at, 50 + at % 2 / 10] for at in range(100)], ""))) <= set("▄▅")
    rising = _render._characters(_report.Line([[at, at] for at in range(100)], ""))
    assert rising[0] == "▁" and rising[-1] == "█" and list(rising) == sorted(rising)


@pytest.mark.parametrize("values", [[0], [100], [0, 0.5], [99.5, 100], [50], [0, 100]])
def test_the_edges_of_a_plot_hold_its_values(values):
    low, high = _render._bounds(values)
    assert 0 <= low <= min(values) and max(values) <= high <= 100 and high - low >= 10


# ---- files


def test_files_are_for_the_owner_and_group_and_whole(tmp_path):
    path = tmp_path / "new" / "report.md"
    action.write(str(path), "first")
    action.write(str(path), "zweiter Bericht: ✓")
    assert path.read_text(encoding="utf-8") == "zweiter Bericht: ✓" and os.listdir(path.parent) == ["report.md"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640 and stat.S_IMODE(path.parent.stat().st_mode) == 0o750


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "report.md"
    action.write(str(path), "old")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError):
        action.write(str(path), "new")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["report.md"]


@pytest.mark.parametrize("length, name", [(DAY, "24h"), (7 * DAY, "7d"), (36 * HOUR, "36h")])
def test_file_names(length, name):
    assert action.file_name([{"end": END, "range": length}]) == f"monitoring-{name}-20260602T0600Z"


def test_a_place_is_told_by_the_name_of_its_host_in_the_inventory():
    at = {"instance": "192.0.2.1:9100", "host": "shop-1"}
    assert _report.place(at) == "shop-1 192.0.2.1:9100"
    assert _report.place({"instance": "192.0.2.1:9100"}) == "192.0.2.1:9100"
    assert _report.place({"instance": "shop-1:9100", "host": "shop-1"}) == "shop-1:9100"
    assert _report.place({"instance": "shop-1", "host": "shop-1"}) == "shop-1"
    assert _report.place({"instance": "shop-10:9100", "host": "shop-1"}) == "shop-1 shop-10:9100"
    assert _report.where({**at, "mountpoint": "/srv"}) == "shop-1 192.0.2.1:9100 /srv"
    assert _report.where({"host": "shop-1", "datname": "shop"}) == "shop-1 shop"


def test_every_part_of_the_report_names_hosts():
    """An address in front of somebody who was woken is nothing: wherever an instance stands, so does its host."""
    answers, at = quiet(), {"instance": "192.0.2.1:9100", "host": "shop-1"}
    answers["targets"]["down"] = [{"job": "node", **at}]
    answers["services"][0].update(instances=[{**at, "up": 0.5}], restarts=[{**at, "times": 2}])
    answers["alerts"] = {"series": 1, "by_name": False, "step": 30, "fired": [fired("A", "warning", spell(2, 1), **at)]}
    answers["disks"] = [{**disk("x", "/", 99.0), **at}]
    answers["backups"] = [{**backup("db", 3 * HOUR), **at}]
    answers["checks"] = [check("Failed rule evaluations", 1, bad=True, where=[{**at, "value": 1}])]
    answers["thresholds"]["checked"] = [threshold("A", "warning", 1, labels=at)]
    answers["hosts"] = {"cpu": [{**busy("x", 5), **at}], "memory": [{**busy("x", 5), **at}]}
    answers["changes"]["removed"] = [{"job": "node", "count": 1, "instances": [at]}]
    text = _render.as_text(document(("mon", answers)))
    assert text.count("192.0.2.1:9100") == text.count("shop-1 192.0.2.1:9100") >= 11
