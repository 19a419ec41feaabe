"""What arrives, and when: a real Alertmanager with scaled waits against the lab's sink.

Each scenario has an Alertmanager and a sink of its own, and all of them run side by side: they wait most of the time.
"""

from __future__ import annotations

import concurrent.futures
import html
import json
import re
import time
from urllib.parse import unquote

import pytest
from conftest import Alertmanager

from lab import sink

# All of them begin at once, in one process.
pytestmark = pytest.mark.xdist_group("live")

# Stages at 1, 4 and 8 seconds; the last one is due before LATE.
DECLARATION = """
channels:
  monitoring: {{kind: slack, api_url: "{url}/slack/monitoring"}}
  critical: {{kind: slack, api_url: "{url}/slack/critical"}}
  warnings: {{kind: slack, api_url: "{url}/slack/warnings"}}
  email: {{kind: email, to: oncall@example.com}}
  page: {{kind: pagerduty, routing_key: page}}
  deadmansswitch: {{kind: webhook, url: "{url}/webhook/deadmansswitch"}}
default: {{wait: 1s, interval: 2s}}
watchdog: {{interval: 1s, repeat: 2s}}
failures: {{wait: 1s}}
critical:
  - {{channels: [monitoring], wait: 1s}}
  - {{channels: [critical, email], wait: 4s}}
  - {{channels: [page], wait: 8s, interval: 1s}}
warning: {{wait: 1s}}
"""
EVERY_KIND = """
channels:
  slack: {{kind: slack, api_url: "{url}/slack/slack"}}
  email: {{kind: email, to: email@example.com}}
  pagerduty: {{kind: pagerduty, routing_key: pagerduty}}
  webhook: {{kind: webhook, url: "{url}/webhook/webhook"}}
  msteams: {{kind: msteams, webhook_url: "{url}/msteams/msteams"}}
  discord: {{kind: discord, webhook_url: "{url}/discord/discord"}}
  opsgenie: {{kind: opsgenie, api_key: abc, api_url: "{url}"}}
  telegram: {{kind: telegram, bot_token: telegram, chat_id: 1, api_url: "{url}"}}
critical: [{{channels: all, wait: 1s}}]
"""
# A day that neither this test's beginning nor its end can be.
OFF = (
    DECLARATION + f"business_hours: {{{{days: {time.strftime('%A', time.gmtime(time.time() + 3 * 86400)).lower()}}}}}\n"
)
MUTED = DECLARATION + "mute_times: {{always: {{days: monday-sunday}}}}\n"
STAGES = ["monitoring", "critical", "oncall@example.com", "page"]
LATE = 11.0


def matchers_of(text: str) -> list[dict]:
    """What the link to a new silence in a message stands for."""
    inside = unquote(re.search(r"/#/silences/new\?filter=%7B(.*?)%7D", text)[1])
    pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', inside)
    return [{"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in pairs]


CRITICAL = {"severity": "critical"}


def unattended(manager, target):
    """Nobody does anything: every stage is reached, in order and in time, and no other channel."""
    began = time.time()
    manager.post(CRITICAL)
    target.wait("page")
    first = [target.of(channel)[0] for channel in STAGES]
    assert [0 <= round(one.at - began - wait) <= 2 for one, wait in zip(first, (1, 4, 4, 8))] == [True] * 4, (
        target.told()
    )
    assert {one.channel for one in target.messages} == set(STAGES)
    slack, _critical, mail, page = first
    assert mail.title == "[CRITICAL] HighErrorRate: 5 % < 7 % of requests fail & more"
    assert "*5 % &lt; 7 % of requests fail &amp; more* (api 1+2 &amp; co)\nSince the deployment." in slack.text
    assert "<https://runbooks.example.com/HighErrorRate|Runbook>" in slack.text
    assert "<https://grafana.example.com/d/api|Dashboard>" in slack.text
    said = {entry["name"]: entry["value"] for entry in matchers_of(slack.text)}
    assert said == {"alertname": "HighErrorRate", "instance": "api 1+2 & co", "service": "api", "severity": "critical"}
    assert slack.body["attachments"][0]["color"] == "danger"
    # Slack's own escapes: else a label such as <!channel> would call everybody.
    assert slack.title == "[CRITICAL] HighErrorRate: 5 % &lt; 7 % of requests fail &amp; more"
    assert set(mail.body) == {"plain", "html"}
    assert "5 % &lt; 7 %" in mail.body["html"] and "5 % < 7 %" in mail.body["plain"]
    assert 'href="https://runbooks.example.com/HighErrorRate"' in mail.body["html"]
    assert matchers_of(mail.body["html"]) == matchers_of(slack.text) == matchers_of(json.dumps(page.body))
    assert page.body["payload"]["severity"] == "critical"
    assert [link["text"] for link in page.body["links"]] == ["Dashboard", "Runbook", "Silence"]


def silenced(manager, target):
    """A silence after the first stage, by the link in the message, is the acknowledgement."""
    manager.post(CRITICAL)
    manager.silence(matchers_of(target.wait("monitoring")[0].text))
    time.sleep(LATE)
    assert {one.channel for one in target.messages} == {"monitoring"}, target.told()


def resolved(manager, target):
    """What ends after the second stage never pages, and those who were told are told of its end."""
    manager.post(CRITICAL)
    target.wait("critical")
    manager.post(CRITICAL, ended=True)
    time.sleep(LATE)
    assert target.of("page") == [], target.told()
    for channel in STAGES[:-1]:
        said = html.unescape(target.of(channel)[-1].title)
        assert said == "[RESOLVED] HighErrorRate: 5 % < 7 % of requests fail & more"


def storm(manager, target):
    """500 warnings are one message, and 500 critical alerts of five instances one for each instance and stage."""
    manager.post(*({"severity": "warning", "instance": f"api{number}:8000"} for number in range(500)))
    many = [{**CRITICAL, "instance": f"db{number % 5}:9187", "datname": f"d{number}"} for number in range(500)]
    manager.post(*({**one, "service": "database"} for one in many))
    target.wait("page", 5)
    time.sleep(1)
    counts = {channel: len(target.of(channel)) for channel in (*STAGES, "warnings")}
    assert counts == {**dict.fromkeys(STAGES, 5), "warnings": 1}, target.told()
    warning = target.of("warnings")[0]
    assert warning.title.startswith("[WARNING x 500] HighErrorRate")
    assert "10 of 500 firing alerts are shown." in warning.text and warning.text.count("Runbook") == 10


def broken(manager, target):
    """A channel that answers 500 is tried again, the others go on, and its failure arrives by all of them."""
    target.broken.add("critical")
    manager.post(CRITICAL)
    target.wait("page")
    target.wait("oncall@example.com")
    # An attempt is given up after ten seconds, the least that Alertmanager gives it.
    deadline = time.monotonic() + 20
    while not manager.metric(r'alertmanager_notifications_failed_total\{integration="slack".*?\}'):
        assert time.monotonic() < deadline, target.told()
        time.sleep(0.2)
    assert len(target.of("critical", accepted=False)) > 2, target.told()
    before = len(target.messages)
    manager.post({"alertname": "AlertmanagerNotificationsFailing", "service": "monitoring", **CRITICAL})
    for channel in ("monitoring", "oncall@example.com", "page", "warnings"):
        deadline = time.monotonic() + 10
        while not any(
            "NotificationsFailing" in one.title for one in target.messages[before:] if one.channel == channel
        ):
            assert time.monotonic() < deadline, target.told()
            time.sleep(0.05)
    assert not target.of("critical") and not target.of("deadmansswitch")
    target.broken.clear()
    assert "HighErrorRate" in " ".join(one.title for one in target.wait("critical", 2))


def killed(manager, target):
    """Killed between the stages: the rest of them is reached, and what was silenced stays so."""
    quiet = {"severity": "critical", "alertname": "Quiet"}
    manager.silence([{"name": "alertname", "value": "Quiet", "isRegex": False, "isEqual": True}])
    manager.post(CRITICAL, quiet)
    target.wait("monitoring")
    # The silence is on the disk.
    time.sleep(1.5)
    manager.kill()
    manager.start()
    # As Prometheus does, which tells of what fires again and again.
    for _again in range(20):
        manager.post(CRITICAL, quiet)
        time.sleep(0.5)
    for channel in STAGES:
        assert target.wait(channel)
    assert "Quiet" not in " ".join(one.title for one in target.messages), target.told()


def watched(manager, target):
    """The dead man's switch is told again and again, of nothing but the Watchdog, and never of its end."""
    watchdog = {"alertname": "Watchdog", "severity": "none"}
    manager.post(watchdog, {"severity": "info"})
    target.wait("deadmansswitch", 3)
    manager.post(watchdog, ended=True)
    time.sleep(3)
    bodies = [one.body for one in target.of("deadmansswitch")]
    assert {body["status"] for body in bodies} == {"firing"}
    assert {one.title for one in target.of("deadmansswitch")} == {"Watchdog"}
    assert "Watchdog" not in " ".join(one.title for one in target.of(*STAGES, "warnings"))
    assert len(target.of("monitoring")) == 1


def off_hours(manager, target):
    """Out of the business hours, warnings and infos wait; what is critical does not."""
    manager.post(CRITICAL, {"severity": "warning"}, {"severity": "info", "alertname": "Info"})
    target.wait("page")
    assert {one.channel for one in target.messages} == set(STAGES), target.told()
    assert "Info" not in " ".join(one.title for one in target.messages)


def muted(manager, target):
    """In a mute time nothing is sent but the Watchdog."""
    manager.post(CRITICAL, {"severity": "warning"}, {"alertname": "Watchdog"}, {"alertname": "Other", "severity": ""})
    time.sleep(LATE)
    assert {one.channel for one in target.messages} == {"deadmansswitch"}, target.told()


def every_kind(manager, target):
    """Each kind's service takes the message, with title and links."""
    manager.post(CRITICAL)
    for channel in ("slack", "email@example.com", "pagerduty", "webhook", "msteams", "discord", "opsgenie", "telegram"):
        message = target.wait(channel)[0]
        assert "HighErrorRate" in message.title, message
        assert "https://runbooks.example.com/HighErrorRate" in message.text, message
        if channel != "webhook":
            assert len(matchers_of(message.text)) == 4, message
    assert [one for one in target.messages if one.kind == "refused"] == []


# Scenario, release of the mirror, declaration.
SCENARIOS = [
    (scenario, "new", DECLARATION) for scenario in (unattended, silenced, resolved, storm, broken, killed, watched)
]
SCENARIOS += [(off_hours, "new", OFF), (muted, "new", MUTED)]
SCENARIOS += [(every_kind, "new", EVERY_KIND), (every_kind, "old", EVERY_KIND), (unattended, "old", DECLARATION)]
NAMES = [f"{scenario.__name__} {age}" for scenario, age, _declaration in SCENARIOS]


@pytest.fixture(scope="module")
def outcomes(releases, tmp_path_factory):
    """The scenarios, begun all at once: name -> future."""

    def play(scenario, age, declaration):
        with sink.serve() as target:
            folder = tmp_path_factory.mktemp(scenario.__name__)
            manager = Alertmanager(releases[age], folder, declaration, target)
            try:
                manager.start()
                scenario(manager, target)
            finally:
                manager.kill()

    with concurrent.futures.ThreadPoolExecutor(len(SCENARIOS)) as pool:
        yield {name: pool.submit(play, *entry) for name, entry in zip(NAMES, SCENARIOS)}


@pytest.mark.parametrize("name", NAMES)
def test_scenario(outcomes, name):
    outcomes[name].result(timeout=90)
