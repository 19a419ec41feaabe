# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes from outside paints nothing: every place that shows it is given the same poison."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import (
    _alertmanager_api,
    _checklist,
    _client,
    _docker,
    _drill_results,
    _grafana,
    _health,
    _health_check,
    _host,
    _module,
    _prometheus_server,
    _summary,
    _targets,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize, sanitize_lines
from ansible_collections.vigil.monitoring.plugins.modules import target_health
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _render, _report
from checked_health import complete_health, health_of

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
# Clears the screen, goes home and paints a summary of its own; a title, C1 controls, line ends of all kinds, and what turns
# the writing around.
POISON = (
    "\x1b[2J\x1b[HMONITORING: 5 of 5 services verified\x1b]0;title\x07\x9b31m\r\v\f\x1c\x85\u2028\u202eneverp\u2066\x00\x08"
    "\x1b(0\x1bM x" + "y" * 2000
)


def harmless(text, lines=None):
    """Nothing steers a terminal, and a text of so many lines has no more of them."""
    bad = {c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")}
    assert not bad, bad
    assert lines is None or len(text.splitlines()) <= lines, text
    assert max(map(len, text.split("\n"))) < 3100
    return text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb  c\n", "a b c"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x07", "link"),
        ("\x9b2Jx", "x"),
        ("a\x00b\x08", "a�b�"),
        ("a\u202eb\u2066", "a�b�"),
        ("a\u2028b\x85c\x0bd", "a b c d"),
        (b"caf\xc3\xa9 \xff", "café �"),
        ("\udc80", "�"),
        ("Grüße, 監視 ✓", "Grüße, 監視 ✓"),
        ("x" * 400, "x" * 299 + "…"),
        (None, "None"),
    ],
)
def test_one_line(text, shown):
    assert sanitize(text) == shown


def test_several_lines_keep_their_spaces():
    assert sanitize_lines("a  b\r\n  c\x1b[1m d\n\x0be\tf") == "a  b\n  c d\n�e    f"


def line(**more):
    found = {
        "service": "node_exporter",
        "host": "a",
        "state": "failed",
        "version": "1",
        "url": "http://a",
        "reasons": [],
    }
    return {**found, **more}


def target():
    return _targets.Target(POISON, POISON, "down", POISON, POISON, None, POISON, POISON)


def sinks():
    """What is shown of the poison, by where it is shown, and how many lines that has."""
    yield "summary", _summary.summary([line(version=POISON, host=POISON, url=POISON)], words=[POISON]), 6
    shown = _summary.summary([line(reasons=[POISON])])
    assert shown.count("5 of 5") == 1 and "\nMONITORING" not in shown
    yield "reasons", shown, None
    verdict = _targets.judge([target()], [(POISON, POISON), (POISON, "b")])
    yield "targets", _targets.explain(verdict, [target()]), 4
    yield "scrapes", _targets.as_dict(target())["last_error"], 1
    failing = {"groups": [{"name": POISON, "rules": [{"name": POISON, "health": "err", "lastError": POISON}]}]}
    yield "rules", _prometheus_server.check_rules(failing, True).text, 3
    yield "log", _host.log_excerpt("error: " + POISON, 3), None
    rows = [{"alert": POISON, "receiver": POISON, "integration": POISON, "result": POISON}]
    yield "drill", _drill_results.table(rows, {POISON: POISON}), 3
    reply = _client.Reply(500, {"Location": POISON}, POISON.encode())
    check = _health_check.HealthCheck({"service": "prometheus", "health": health_of("prometheus", "http://a")})
    yield "answer", check._refused(reply, "/x").text, 1
    api = _alertmanager_api.Api("http://a", _client.Access(), 1)
    for status in (500, 302):
        yield "alertmanager", api._refusal(reply._replace(status=status)), 1
    yield "target_health", target_health._advice("http://a", _client.Access(), reply._replace(status=302)), 1
    yield "grafana", _grafana.message_of(json.dumps({"message": POISON})), 1

    class Answer:
        status, text = 500, POISON

    yield "health", _health.judge(complete_health("prometheus"), Answer, None, None).reason, 1
    for body in (POISON.encode(), json.dumps({"status": "error", "error": POISON}).encode()):
        with pytest.raises(ValueError) as caught:
            _checklist.data_of(reply._replace(body=body), _client.Access())
        yield "checklist", str(caught.value), 1
    with pytest.raises(ValueError) as caught:
        _targets.parse(json.dumps({"status": "error", "error": POISON}))
    yield "payload", str(caught.value), 1
    blocks = [
        _report.Para(POISON),
        _report.Items([(None, POISON)]),
        _report.Table([_report.Column(POISON)], [[_report.Cell(POISON, name=True)]]),
    ]
    document = _report.Document(POISON, POISON, _report.Para(POISON), blocks)
    for render in (_render.as_text, _render.as_markdown, _render.as_html, _render.as_mail, _render.as_slack):
        yield render.__name__, render(document), None


@pytest.mark.parametrize(("text", "lines"), [pytest.param(*found, id=name) for name, *found in sinks()])
def test_a_sink_is_clean(text, lines):
    assert "5 of 5" in harmless(text, lines) or "MONITORING" in text.upper() or "…" in text


def test_a_module_s_own_words_are_clean(monkeypatch):
    said = {}
    monkeypatch.setattr(_module.AnsibleModule, "__init__", lambda self, *given, **more: None)
    monkeypatch.setattr(_module.AnsibleModule, "fail_json", lambda self, **told: said.update(told))
    monkeypatch.setattr(_module.AnsibleModule, "warn", lambda self, text: said.update(warning=text))
    monkeypatch.setattr(_module.Module, "know", lambda self, *secrets: None)
    module = _module.Module({})
    module._verbosity = 0
    module.fail_json("first\n" + POISON)
    module.warn(POISON)
    harmless(said["msg"], None)
    harmless(said["warning"], None)
    assert said["msg"].startswith("first\n")


def test_an_engine_s_health_check_is_clean():
    assert _docker.sanitize(POISON) == sanitize(POISON)


def test_nothing_folds_the_words_of_others_by_itself():
    """One function cleans: whoever folds lines of an answer, an error or a log into one by hand forgets the rest."""
    by_hand = re.compile(r'" "\.join\([^)\n]*(?:body|stderr|stdout|[Ee]rror|payload|reply)[^\n]*\.split\(\)\)')
    found = [
        f"{path.relative_to(PLUGINS)}: {number}"
        for path in PLUGINS.rglob("*.py")
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if by_hand.search(text)
    ]
    assert found == []
