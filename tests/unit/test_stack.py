"""The proof of the whole stack: rules, Alertmanagers, and the table at the end."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._stack import (
    alertmanager_problems,
    rule_problems,
    static_addresses,
    summary,
)


def rules(*healths):
    listed = [{"name": f"R{n}", "health": health, "lastError": "boom"} for n, health in enumerate(healths)]
    return {"data": {"groups": [{"name": "g", "rules": listed}]}}


@pytest.mark.parametrize(
    ("healths", "number", "failing"),
    [((), 0, 0), (("ok", "unknown"), 2, 0), (("ok", "err", "err"), 3, 2)],
)
def test_a_rule_that_fails_is_named(healths, number, failing):
    count, problems = rule_problems(rules(*healths))
    assert (count, len(problems)) == (number, failing)
    assert all("boom" in problem for problem in problems)


def test_an_alertmanager_that_is_not_connected_is_named():
    payload = {"data": {"activeAlertmanagers": [{"url": "http://a:9093/api/v2/alerts"}]}}
    assert alertmanager_problems(payload, ["a:9093"]) == []
    assert alertmanager_problems(payload, ["a:9093", "b:9093"]) == ["not connected to the Alertmanager b:9093"]


def test_only_static_addresses_are_expected():
    configs = [{"static_configs": [{"targets": ["b:1", "a:1"]}]}, {"dns_sd_configs": [{"names": ["x"]}]}]
    assert static_addresses(configs) == ["a:1", "b:1"]
    assert static_addresses(None) == []


def test_the_summary_says_what_is_red_and_why():
    row = {"host": "h", "version": "1", "url": "u", "targets": "", "problems": [], "unproven": []}
    text = summary(
        [
            dict(row, service="good"),
            dict(row, service="bad", problems=["first\nsecond"]),
            dict(row, service="shy", unproven=["needs a password"]),
        ]
    )
    assert "RED  bad" in text
    assert "RED: bad on h: first\n    second" in text
    assert "not proven: shy on h: needs a password" in text
