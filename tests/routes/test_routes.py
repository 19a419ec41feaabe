"""Where alerts go, asked of amtool itself: every route of every declaration, with both releases of the mirror."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils._escalation import escalate
from conftest import AGES, amtool, settings, write

SIX = """
channels:
  monitoring: {kind: slack, api_url: https://hooks.example.com/monitoring}
  critical: {kind: slack, api_url: https://hooks.example.com/critical}
  warnings: {kind: slack, api_url: https://hooks.example.com/warnings}
  email: {kind: email, to: [oncall@example.com, boss@example.com]}
  page: {kind: pagerduty, routing_key: 0123456789abcdef}
  deadmansswitch: {kind: webhook, url: https://ping.example.com/abc}
"""
EVERY_KIND = """
channels:
  slack: {kind: slack, api_url_file: /etc/keys/slack}
  email: {kind: email, to: a@example.com, auth_username: me, auth_password: hush}
  pagerduty: {kind: pagerduty, service_key: abc}
  webhook:
    kind: webhook
    url: https://example.com/x
    http_config: {basic_auth: {username: me, password: hush}, tls_config: {insecure_skip_verify: true}}
  msteams: {kind: msteams, webhook_url: https://example.com/teams}
  discord: {kind: discord, webhook_url: https://example.com/discord}
  opsgenie: {kind: opsgenie, api_key: abc, responders: [{name: ops, type: team}]}
  telegram: {kind: telegram, bot_token: "1:abc", chat_id: -100}
"""
ONE = "channels: {ops: {kind: email, to: ops@example.com}}"
TWO = """
channels:
  warnings: {kind: slack, api_url: https://hooks.example.com/warnings}
  page: {kind: pagerduty, routing_key: abc}
"""
HOURS = (
    SIX
    + """
business_hours: {days: [monday-friday], from: 08:00, to: 18:00, timezone: Europe/Berlin}
mute_times:
  maintenance: {days: [sunday, friday-monday], from: "02:00", to: "04:00"}
  holidays: [{months: december, days_of_month: ["24:26"]}, {months: january, days_of_month: ["1"]}]
"""
)
OWN = (
    SIX
    + """
  database: {kind: webhook, url: https://example.com/db}
critical:
  - {channels: [critical, page], wait: 0s}
warning: {channels: [email]}
routes:
  - {matchers: ['service="database"'], channels: database, wait: 5s, continue: true}
  - {matchers: ['team=~"web|shop"'], channels: [warnings]}
"""
)
FAILING = "alertname=AlertmanagerNotificationsFailing severity=critical integration=slack"
# Declaration, labels, receivers in their order.
ROUTES = [
    *[(one, "alertname=Watchdog severity=none", "deadmansswitch") for one in (SIX, HOURS, OWN)],
    *[(one, "alertname=Watchdog severity=none", "nobody") for one in (EVERY_KIND, ONE, TWO)],
    *[(one, FAILING, "all") for one in (SIX, EVERY_KIND, ONE, TWO, HOURS, OWN)],
    (SIX, "alertname=PrometheusNotificationsFailing severity=warning", "all"),
    (SIX, "alertname=PrometheusNotificationsDropped severity=warning", "all"),
    (SIX, "alertname=PrometheusNotConnectedToAlertmanagers severity=critical", "all"),
    (SIX, "alertname=X severity=critical", "monitoring,critical+email,page"),
    (SIX, "alertname=X severity=warning", "warnings"),
    (SIX, "alertname=X severity=info", "monitoring"),
    (SIX, "alertname=X", "monitoring"),
    (EVERY_KIND, "alertname=X severity=critical", "slack,email"),
    (EVERY_KIND, "alertname=X severity=warning", "slack"),
    (ONE, "alertname=X severity=critical", "ops"),
    (ONE, "alertname=X severity=warning", "ops"),
    (ONE, "alertname=X", "ops"),
    (TWO, "alertname=X severity=critical", "warnings,page"),
    (TWO, "alertname=X severity=info", "warnings"),
    (TWO, "alertname=X severity=warning", "warnings"),
    (HOURS, "alertname=X severity=critical", "monitoring,critical+email,page"),
    (HOURS, "alertname=X severity=warning", "warnings"),
    (HOURS, "alertname=X severity=other", "monitoring"),
    (OWN, "alertname=X severity=critical", "critical+page"),
    (OWN, "alertname=X severity=critical service=database", "database,critical+page"),
    (OWN, "alertname=X severity=critical team=shop", "warnings"),
    (OWN, "alertname=X severity=warning", "email"),
    (OWN, "alertname=X severity=info", "monitoring"),
]
DECLARATIONS = {"six": SIX, "every kind": EVERY_KIND, "one": ONE, "two": TWO, "hours": HOURS, "own": OWN}


@pytest.fixture(scope="module", params=AGES)
def written(request, releases, tmp_path_factory):
    """A function that has a declaration written and checked once, for one of the releases."""
    version, programs = releases[request.param]
    done = {}

    def once(declaration):
        if declaration not in done:
            folder = tmp_path_factory.mktemp("config")
            text = write(settings(declaration, version, folder))
            amtool(programs, "check-config", str(folder / "alertmanager.yml"))
            done[declaration] = folder, text
        return (programs, *done[declaration])

    return once


@pytest.mark.parametrize(("declaration", "labels", "receivers"), ROUTES)
def test_an_alert_reaches(written, declaration, labels, receivers):
    programs, folder, _text = written(declaration)
    file = f"--config.file={folder / 'alertmanager.yml'}"
    amtool(programs, "config", "routes", "test", file, f"--verify.receivers={receivers}", *labels.split())


def test_an_app_token_of_slack(releases, tmp_path):
    """Only the newer release knows it; the older one is refused before amtool is asked."""
    declaration = "channels: {ops: {kind: slack, app_token: xoxb-1, channel: '#ops'}}"
    version, programs = releases["new"]
    write(settings(declaration, version, tmp_path))
    amtool(programs, "check-config", str(tmp_path / "alertmanager.yml"))
    with pytest.raises(
        ValueError, match=r"app_token: needs the key app_token_file, which works from Alertmanager 0\.30"
    ):
        write(settings(declaration, releases["old"][0], tmp_path))


@pytest.mark.parametrize("name", DECLARATIONS)
def test_no_secret_stands_in_the_main_file(written, name):
    _programs, folder, text = written(DECLARATIONS[name])
    for path in (folder / "secrets").glob("*") if (folder / "secrets").exists() else ():
        assert str(path) in text
        assert path.read_text() not in text.replace(str(path), "")


@pytest.mark.parametrize("name", DECLARATIONS)
def test_every_receiver_is_asked_for(name):
    """A receiver that no line of ROUTES names would be one that nobody looked at."""
    made = escalate(settings(DECLARATIONS[name], "0.33.1", "/etc/alertmanager"))
    asked = {
        one for declaration, _labels, names in ROUTES if declaration == DECLARATIONS[name] for one in names.split(",")
    }
    assert {receiver["name"] for receiver in made["receivers"]} == asked
