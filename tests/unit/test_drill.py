# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which alerts a drill sends, and what it makes of Alertmanager's counters."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.module_utils import _drill_results
from ansible_collections.vigil.monitoring.plugins.modules import alert_drill
from ansible_collections.vigil.monitoring.plugins.plugin_utils._drill import alertmanager_drills

CONFIG = yaml.safe_load(
    """
route:
  receiver: home
  group_by: [alertname]
  group_wait: 10s
  routes:
    - {receiver: dead, matchers: ['alertname="Watchdog"'], group_wait: 0s, group_by: [cluster]}
    - {receiver: all, matchers: ['alertname=~"Failing|Dropped"']}
    - {receiver: chat, matchers: [severity="critical"], continue: true}
    - {receiver: page, matchers: [severity="critical"], group_wait: 4m}
    - {receiver: nothing, match: {severity: info}}
    - receiver: team
      match_re: {team: "web.*|db"}
      routes: [{receiver: db, matchers: ['team!="web"', 'team="db"']}]
    - {receiver: never, matchers: ['severity="critical"']}
receivers:
  - {name: home, slack_configs: [{}]}
  - {name: dead, webhook_configs: [{}]}
  - {name: all, slack_configs: [{}, {}], email_configs: [{}]}
  - {name: chat, slack_configs: [{}]}
  - {name: page, pagerduty_configs: [{}]}
  - {name: nothing}
  - {name: team, msteamsv2_configs: [{}]}
  - {name: db, email_configs: [{}]}
  - {name: never, email_configs: [{}]}
"""
)


def test_drills():
    found = alertmanager_drills(CONFIG)
    assert [
        ([(step["receiver"], step["wait"]) for step in one["steps"]], one["unique"]) for one in found["drills"]
    ] == [
        ([("home", 10)], ["alertname", "service"]),
        # Their groups may be there already.
        ([("dead", 300)], ["service"]),
        ([("all", 310)], ["service"]),
        ([("chat", 10), ("page", 240)], ["alertname", "service"]),
        ([("team", 10)], ["alertname", "service"]),
        ([("db", 10)], ["alertname", "service"]),
    ]
    assert found["drills"][2]["steps"][0]["integrations"] == {"slack": 2, "email": 1}
    assert found["drills"][2]["labels"] == {"alertname": "Failing", "service": "drill"}
    assert found["left_out"] == {
        "nothing": "has no integrations",
        "never": "no labels were found that match only this route",
    }


def test_matchers_that_only_alertmanager_reads():
    routes = [
        {"receiver": "chat", "matchers": ['{service="api", severity=~"critical|warning"}']},
        {"receiver": "page", "matchers": [r'instance=~"\pL+"'], "routes": [{"receiver": "db", "matchers": ["a=b"]}]},
        {"receiver": "team", "match_re": {"team": "w(?i)eb"}},
        {"receiver": "all", "matchers": ["a=b"]},
    ]
    found = alertmanager_drills({**CONFIG, "route": {"receiver": "home", "routes": routes}})
    assert [(one["steps"][0]["receiver"], one["labels"].get("severity")) for one in found["drills"]] == [
        ("home", None),
        ("chat", "critical"),
        ("all", None),
    ]
    why = "Python cannot tell what {0} matches".format
    assert found["left_out"] == {
        "page": why(r'instance=~"\\pL+"'),
        "db": why(r'instance=~"\\pL+"'),
        "team": why('team=~"w(?i)eb"'),
    }


def test_receivers_are_spared():
    found = alertmanager_drills(CONFIG, skip=["page"])
    assert {step["receiver"] for one in found["drills"] for step in one["steps"]} == {
        "home",
        "dead",
        "all",
        "team",
        "db",
    }
    assert found["left_out"]["page"] == found["left_out"]["chat"] == "skipped"


def page(receiver=None, **counts):
    """A page of metrics; slack=(messages, failed messages, requests, failed requests)."""
    lines = ["# HELP alertmanager_notifications_total x", "other_total 3"]
    for integration, (messages, failed, requests, bad) in counts.items():
        labels = 'integration="{0}"'.format(integration) + (',receiver_name="{0}"'.format(receiver) if receiver else "")
        lines += [
            "alertmanager_notifications_total{%s} %d" % (labels, messages),
            'alertmanager_notifications_failed_total{%s,reason="other"} %d' % (labels, failed),
            'alertmanager_notifications_failed_total{%s,reason="clientError"} 0' % labels,
            "alertmanager_notification_requests_total{%s} %d" % (labels, requests),
            "alertmanager_notification_requests_failed_total{%s} %d" % (labels, bad),
        ]
    return "\n".join(lines)


def parsed(**counts):
    return _drill_results.parse(page(**counts))


STEPS = [
    {"receiver": "page", "wait": 240, "integrations": {"pagerduty": 1}},
    {"receiver": "chat", "wait": 10, "integrations": {"slack": 1}},
    {"receiver": "critical", "wait": 120, "integrations": {"slack": 1, "email": 1}},
]
ZERO = {"slack": (5, 1, 9, 4), "email": (0, 0, 0, 0), "pagerduty": (0, 0, 0, 0)}


def seen(watch, counters, elapsed):
    """Have a page and the same one a second later evaluated, as nothing happens in between."""
    watch.inspect(counters, elapsed)
    return watch.inspect(counters, elapsed + 1)


def results(watch, elapsed=300.0):
    return {(row["receiver"], row["integration"]): watch.verdict(row, elapsed) for row in watch.rows}


def test_all_messages_go_out():
    watch = _drill_results.Watch(STEPS, parsed(**ZERO))
    assert not seen(watch, parsed(**{**ZERO, "slack": (6, 1, 10, 4)}), 11.0)
    assert not seen(watch, parsed(slack=(7, 1, 11, 4), email=(1, 0, 1, 0), pagerduty=(0, 0, 0, 0)), 121.0)
    assert seen(watch, parsed(slack=(7, 1, 11, 4), email=(1, 0, 1, 0), pagerduty=(1, 0, 1, 0)), 242.0)
    assert results(watch) == {
        ("chat", "slack"): "sent after 11 s",
        ("critical", "slack"): "sent after 121 s",
        ("critical", "email"): "sent after 121 s",
        ("page", "pagerduty"): "sent after 242 s",
    }


def test_a_message_that_was_only_attempted_did_not_go_out():
    watch = _drill_results.Watch(STEPS[:1], parsed(**ZERO))
    assert not seen(watch, parsed(**{**ZERO, "pagerduty": (1, 0, 3, 3)}), 270.0)
    assert results(watch) == {
        ("page", "pagerduty"): "FAILED: 3 of 3 requests, still retrying; see the log of Alertmanager"
    }
    assert seen(watch, parsed(**{**ZERO, "pagerduty": (1, 1, 4, 4)}), 271.0)
    assert "4 of 4 requests, given up" in results(watch)[("page", "pagerduty")]


def test_the_stage_that_was_due_last_is_the_one_that_worked():
    watch = _drill_results.Watch(STEPS, parsed(**ZERO))
    seen(watch, parsed(**{**ZERO, "slack": (6, 1, 12, 7)}), 60.0)
    seen(watch, parsed(**{**ZERO, "slack": (7, 1, 14, 8)}), 121.0)
    assert results(watch)["critical", "slack"] == "sent after 121 s"
    assert results(watch)["chat", "slack"].startswith("FAILED")
    seen(watch, parsed(**{**ZERO, "slack": (7, 1, 15, 8)}), 130.0)
    assert results(watch)["chat", "slack"] == "sent after 130 s"


def test_a_request_whose_failure_is_not_counted_yet_was_not_accepted():
    watch = _drill_results.Watch(STEPS[:1], parsed(**ZERO))
    for second, (requests, failed) in enumerate([(1, 0), (1, 1), (2, 1), (3, 3), (4, 3), (5, 5)]):
        assert not watch.inspect(parsed(**{**ZERO, "pagerduty": (1, 0, requests, failed)}), 241.0 + second)
    assert results(watch)["page", "pagerduty"].startswith("FAILED: 5 of 5 requests")
    assert not watch.inspect(parsed(**{**ZERO, "pagerduty": (1, 0, 6, 5)}), 247.0)
    assert watch.inspect(parsed(**{**ZERO, "pagerduty": (1, 0, 6, 5)}), 248.0)
    assert results(watch)["page", "pagerduty"] == "sent after 247 s"


def test_receivers_are_told_apart_where_the_counters_name_them():
    before = _drill_results.parse(page("chat", slack=(0, 0, 0, 0)) + "\n" + page("critical", slack=(0, 0, 0, 0)))
    watch = _drill_results.Watch(STEPS[1:2], before)
    seen(
        watch,
        _drill_results.parse(page("chat", slack=(0, 0, 0, 0)) + "\n" + page("critical", slack=(1, 0, 1, 0))),
        11.0,
    )
    assert results(watch, 40.0) == {("chat", "slack"): "NOTHING sent within 40 s"}


def test_what_is_held_back_is_said():
    watch = _drill_results.Watch(STEPS[1:2], parsed(**ZERO))
    held = page(**ZERO) + '\nalertmanager_notifications_suppressed_total{reason="silence"} 1'
    seen(watch, _drill_results.parse(held), 11.0)
    assert "a silence, an inhibition or a time interval" in results(watch)["chat", "slack"]


class Fake:
    """An Alertmanager that sends its message at the third look."""

    def __init__(self, works=True):
        self.alerts, self.looks, self.works = [], 0, works

    @staticmethod
    def now():
        # By its own clock, which is not that of whoever runs the drill.
        return 1_700_000_000.0

    def request(self, method, path, body=None):
        if method == "POST":
            self.alerts += body
            return b""
        self.looks += 1
        sent = self.works and self.looks > 3
        return page(slack=(sent, 0, sent, 0)).encode()


@pytest.mark.parametrize("works", [True, False])
def test_play(works):
    api, posted, now = Fake(works), [], [1_800_000_000.0]
    drill = {"labels": {"alertname": "Drill", "severity": "critical"}, "unique": ["alertname"], "steps": STEPS[1:2]}
    rows = alert_drill.play(
        api, drill, posted, 5, clock=lambda: now[0], sleep=lambda span: now.__setitem__(0, now[0] + span)
    )
    result = "sent after 2 s" if works else "NOTHING sent within 17 s"
    row = {"alert": 'severity="critical"', "receiver": "chat", "integration": "slack", "result": result, "sent": works}
    assert rows == [row]
    assert posted == api.alerts
    assert posted[0]["startsAt"] == "2023-11-14T22:13:20.000000Z" and posted[0]["endsAt"].startswith(
        "2023-11-14T23:13:3"
    )
    assert posted[0]["labels"]["severity"] == "critical" and posted[0]["labels"]["alertname"].startswith("Drill-")
    assert _drill_results.table(rows, {"page": "skipped"}).splitlines() == [
        "alert                receiver  integration  result",
        'severity="critical"  chat      slack        ' + result,
        "-                    page      -            omitted: skipped",
    ]
