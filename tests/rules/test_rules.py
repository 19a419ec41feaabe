# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the packs' alerts do, by promtool, with the series and the expectations of ``cases/*.yml``.

A case is one of three: one that ``fires``, one in which the alert stays ``silent``, one at its ``border``. ``series`` are in
promtool's notation, one sample a minute; ``#`` in a name stands for ten series. ``at`` says how many alerts of which severity
fire at that time. ``partial`` names jobs of which other shards have targets.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.plugin_utils._rules import PACKS, load_packs, rule_groups

KINDS = ("fires", "silent", "border")
# By its nature it cannot be silent.
ALWAYS = {"Watchdog"}
SETTINGS = {
    "rule_packs": list(PACKS),
    "thresholds": {
        "ContainerDown": {"containers": ["shop"]},
        "DatabasePoolHigh": {"pools": {"shop": 15}},
        "BackupMissing": {"backups": ["shop"]},
        "ProcessGroupDown": {"processes": ["shop"]},
    },
    "rule_labels": {"team": "shop"},
    "rule_annotations": {},
    "runbook_url": "https://runbooks.example.org",
    "dashboard_url": "https://grafana.example.org",
    "alert_rules": [],
}
FACTS = {
    "groups": {
        "node_exporter": "node",
        "application": "shop",
        "postgres_exporter": "postgres",
        "blackbox_exporter": "blackbox_exporter",
        "cadvisor": "cadvisor",
        "prometheus": "prometheus",
        "alertmanager": "alertmanager",
    },
    "jobs": ["node"],
    "alertmanagers": 1,
    "members": 2,
    "overrides": [],
}


def cases():
    """All cases: alert, kind, and the case."""
    for path in sorted((Path(__file__).parent / "cases").glob("*.yml")):
        # With this loader everything is text: `0x20` are twenty samples and no number.
        for alert, found in yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader).items():
            for case in found:
                (kind,) = set(KINDS) & set(case)
                yield alert, kind, case


CASES = list(cases())


def asked(promtool, folder, alert, case, **questions):
    """promtool's answer to questions about one alert, with all recording rules beside it."""
    facts = {**FACTS, "overrides": overrides(case), "partial": case.get("partial") or []}
    packs = rule_groups(load_packs(), SETTINGS, facts)
    groups = [group for of_pack in packs.values() for group in of_pack]
    for group in groups:
        group["rules"] = [rule for rule in group["rules"] if rule.get("alert") in (None, alert)]
    (folder / "rules.json").write_text(json.dumps({"groups": groups}), encoding="utf-8")
    test = {"interval": "1m", "input_series": series(case), **questions}
    content = {"rule_files": ["rules.json"], "evaluation_interval": "1m", "tests": [test]}
    (folder / "tests.json").write_text(json.dumps(content), encoding="utf-8")
    return subprocess.run(
        [promtool, "test", "rules", str(folder / "tests.json")],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def overrides(case):
    """The thresholds of single hosts in a case."""
    return json.loads(case["overrides"]) if "overrides" in case else []


def series(case):
    """The series of a case, as promtool takes them."""
    return [
        {"series": name.replace("#", str(number)), "values": values}
        for name, values in case["series"].items()
        for number in (range(10) if "#" in name else (0,))
    ]


@pytest.mark.parametrize(
    ("alert", "case"), [pytest.param(alert, case, id=f"{alert} {kind}: {case[kind]}") for alert, kind, case in CASES]
)
def test_alert(promtool, tmp_path, alert, case):
    questions = [
        {
            "expr": f'count by (severity) (ALERTS{{alertname="{alert}",alertstate="firing"}})',
            "eval_time": time,
            "exp_samples": [
                {"labels": f'{{severity="{severity}"}}', "value": int(count)} for severity, count in firing.items()
            ],
        }
        for time, firing in case["at"].items()
    ]
    answer = asked(promtool, tmp_path, alert, case, promql_expr_test=questions)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("alert", "case"), [pytest.param(alert, case, id=alert) for alert, kind, case in CASES if kind == "fires"]
)
def test_what_it_says_can_be_read(promtool, tmp_path, alert, case):
    """promtool, told to expect nothing, shows what it got instead: labels and annotations as a person would get them."""
    time = next(time for time, firing in case["at"].items() if firing)
    question = {"eval_time": time, "alertname": alert, "exp_alerts": []}
    answer = asked(promtool, tmp_path, alert, case, alert_rule_test=[question])
    said = answer.stdout + answer.stderr
    assert answer.returncode != 0
    assert f'runbook_url="https://runbooks.example.org/{alert}"' in said
    assert re.search(
        r'dashboard_url="https://grafana\.example\.org/d/mon-\w+(\?viewPanel=\d+(&var-\w+=[^"&]+)*)?"', said
    ), said
    for broken in ("error expanding", "<no value>", "<<", "%!", "{{"):
        assert broken not in said, said


# What is probed is an address on any host, or none.
PROBED = {alert for pack in ("probe", "tls") for alert in load_packs()[pack]["alerts"]}


@pytest.mark.parametrize(
    ("alert", "case"), [pytest.param(alert, case, id=alert) for alert, kind, case in CASES if kind == "fires"]
)
def test_an_alert_of_a_target_names_its_host(promtool, tmp_path, alert, case):
    """Targets of the inventory have a label `host`: no rule aggregates it away, and the summary has it."""
    named = {re.sub(r'instance="([^"]*)"', r'instance="\1",host="name-of-\1"', name): values
             for name, values in case["series"].items()}  # fmt: skip
    time = next(time for time, firing in case["at"].items() if firing)
    question = {"eval_time": time, "alertname": alert, "exp_alerts": []}
    answer = asked(promtool, tmp_path, alert, {**case, "series": named}, alert_rule_test=[question])
    said = answer.stdout + answer.stderr
    got = re.findall(r"Labels:(\{.*?\})\s*Annotations:(\{.*?\n?\})", said.replace("\n", " "))
    assert got, said
    for labels, words in got:
        if instance := re.search(r'\binstance="([^"]*)"', labels):
            assert f'host="name-of-{instance[1]}"' in labels
            assert alert in PROBED or re.search(rf'(?:summary|description)="[^"]*\bname-of-{instance[1]}\b', words), (
                words
            )


def test_every_alert_has_a_case_of_each_kind():
    there = {(alert, kind) for alert, kind, dummy in CASES}
    wanted = {
        (alert, kind)
        for pack in load_packs().values()
        for alert in pack["alerts"]
        for kind in (KINDS if alert not in ALWAYS else ("fires",))
    }
    assert wanted - there == set()
    assert {alert for alert, kind in there} == {alert for alert, kind in wanted}
    # A case that expects nothing is no case of an alert that fires.
    assert all(any(case["at"].values()) for dummy, kind, case in CASES if kind == "fires")
    assert not any(list(case["at"].values())[-1] for dummy, kind, case in CASES if kind == "silent")
