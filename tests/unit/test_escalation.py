# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree that a declaration makes, and what is refused of it; where alerts then go is asked in tests/routes."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _channels, _escalation
from ansible_collections.vigil.monitoring.plugins.plugin_utils._upstream import is_secret, keys, upstream

ROLE = pathlib.Path(__file__).resolve().parents[2] / "roles/alertmanager"
SECRET = "S3CR3T-VALUE"
PAGE = {"page": {"kind": "pagerduty", "routing_key": SECRET}}
SLACK = {"kind": "slack", "api_url": "https://hooks.example.com/" + SECRET}


def settings(escalation, **given):
    bare = {
        "escalation": escalation,
        "route": _escalation.NO_ROUTE,
        "receivers": _escalation.NO_RECEIVERS,
        "inhibit_rules": [],
        "time_intervals": [],
        "smtp": {"from": "a@example.com", "smarthost": "mail:25"},
        "version": "0.33.1",
    }
    return {**bare, **given}


def made(text, **given):
    return _escalation.escalate(settings(yaml.safe_load(text) if isinstance(text, str) else text, **given))


def problems(escalation, **given):
    found = [str(problem) for problem in _escalation.check_escalation(settings(escalation, **given))]
    assert SECRET not in str(found)
    return found


def with_page(**keys):
    return {"channels": {"page": {**PAGE["page"], **keys}}}


def beside(**keys):
    return {"channels": PAGE, **keys}


def test_what_nobody_gave_is_the_roles_default():
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
    assert defaults["alertmanager_route"] == _escalation.NO_ROUTE
    assert defaults["alertmanager_receivers"] == _escalation.NO_RECEIVERS
    assert defaults["alertmanager_escalation"] == {}


def test_without_a_declaration_the_inputs_stay_exactly():
    given = {"route": {"receiver": "x"}, "receivers": [{"name": "x"}], "smtp": {"auth_password": "p"}}
    assert made({}, **given) == {**given, "inhibit_rules": [], "time_intervals": [], "files": {}}


def test_a_secret_is_written_to_a_file():
    basic = {"basic_auth": {"username": "me", "password": SECRET}}
    hook = {"kind": "webhook", "url": " https://x/{0}\n".format(SECRET), "http_config": basic}
    tree = made({"channels": {"hook": hook}}, smtp={"auth_password": SECRET})
    assert tree["files"] == {
        "secrets/hook.url": "https://x/" + SECRET,
        "secrets/hook.http_config.basic_auth.password": SECRET,
        "secrets/smtp.auth_password": SECRET,
    }
    assert tree["receivers"][0]["webhook_configs"] == [
        {
            "send_resolved": True,
            "url_file": "secrets/hook.url",
            "http_config": {
                "basic_auth": {"username": "me", "password_file": "secrets/hook.http_config.basic_auth.password"}
            },
        }
    ]
    assert SECRET not in str({**tree, "files": {}})


def test_a_message_of_the_users_own_stays():
    config = made({"channels": {"s": {**SLACK, "title": "Mine", "send_resolved": False}}})["receivers"][0]
    assert config["slack_configs"][0]["title"] == "Mine"
    assert config["slack_configs"][0]["send_resolved"] is False
    assert "vigil.slack.text" in config["slack_configs"][0]["text"]


def test_the_dead_mans_switch_hears_of_no_end_and_of_nothing_else():
    hook = {"kind": "webhook", "url": "https://x/y"}
    tree = made({"channels": {**PAGE, "deadmansswitch": hook}})
    receivers = {receiver["name"]: receiver for receiver in tree["receivers"]}
    assert receivers["deadmansswitch"]["webhook_configs"][0]["send_resolved"] is False
    assert set(receivers["all"]) == {"name", "pagerduty_configs"}
    another = made({"channels": {**PAGE, "ping": hook}, "watchdog": {"channels": ["ping"]}})
    assert another["receivers"][1]["webhook_configs"][0]["send_resolved"] is False


def stages(text):
    routes = made(text)["route"]["routes"]
    return [route for route in routes if route.get("matchers") == ['severity="critical"']]


def test_stages_go_on_but_for_the_last():
    found = stages({"channels": {"monitoring": SLACK, "critical": SLACK, **PAGE}})
    assert [(one["receiver"], one["group_wait"], one.get("continue")) for one in found] == [
        ("monitoring", "10s", True),
        ("critical", "2m", True),
        ("page", "4m", None),
    ]
    assert found[0]["group_by"] == ["alertname", "cluster", "service", "instance"]


def test_stages_without_their_channels_are_left_out():
    assert [one["receiver"] for one in stages({"channels": PAGE})] == ["page"]
    assert [one["receiver"] for one in stages({"channels": {"ops": SLACK}})] == ["ops"]
    assert [one["receiver"] for one in stages({"channels": {"critical": SLACK, **PAGE}})] == ["critical", "page"]


def test_own_stages_and_routes():
    tree = made(
        {
            "channels": {"monitoring": SLACK, **PAGE},
            "critical": [{"channels": "page", "wait": "0s", "group_by": ["alertname"]}],
            "routes": [{"matchers": ['team="db"'], "channels": ["monitoring"], "repeat": "2h", "continue": True}],
        }
    )
    assert tree["route"]["routes"][2:4] == [
        {"receiver": "monitoring", "matchers": ['team="db"'], "repeat_interval": "2h", "continue": True},
        {"receiver": "page", "matchers": ['severity="critical"'], "group_by": ["alertname"], "group_wait": "0s"},
    ]


HOURS = """
channels: {page: {kind: pagerduty, routing_key: x}}
business_hours: {days: [monday-thursday, friday], from: 08:00, to: 18:00, timezone: Europe/Berlin}
mute_times: {night: [{from: 22:00, to: "24:00"}, {from: 00:00, to: "06:00"}]}
"""


def test_hours():
    tree = made(HOURS)
    assert tree["time_intervals"] == [
        {
            "name": "night",
            "time_intervals": [
                {"times": [{"start_time": "22:00", "end_time": "24:00"}]},
                {"times": [{"start_time": "00:00", "end_time": "06:00"}]},
            ],
        },
        {
            "name": "business_hours",
            "time_intervals": [
                {
                    "weekdays": ["monday:thursday", "friday"],
                    "times": [{"start_time": "08:00", "end_time": "18:00"}],
                    "location": "Europe/Berlin",
                }
            ],
        },
    ]
    watchdog, failures, critical, warning, info, default = tree["route"]["routes"]
    assert "mute_time_intervals" not in watchdog
    assert all(one["mute_time_intervals"] == ["night"] for one in (failures, critical, warning, info, default))
    assert warning["active_time_intervals"] == info["active_time_intervals"] == ["business_hours"]
    assert "active_time_intervals" not in critical and "matchers" not in default


@pytest.mark.parametrize(
    ("days", "weekdays"),
    [
        ("monday", ["monday"]),
        ("monday-friday", ["monday:friday"]),
        ("sunday:monday", ["sunday:monday"]),
        ("monday-sunday", ["monday:saturday", "sunday"]),
        ("friday-monday", ["friday:saturday", "sunday:monday"]),
        ("saturday-sunday", ["saturday", "sunday"]),
    ],
)
def test_days(days, weekdays):
    tree = made({"channels": PAGE, "mute_times": {"n": {"days": [days]}}})
    assert tree["time_intervals"][0]["time_intervals"] == [{"weekdays": weekdays}]


def test_a_level_says_itself_when():
    text = HOURS + "warning: {active: [], mute: []}\ncritical: [{channels: page, mute: [business_hours]}]"
    routes = made(text)["route"]["routes"]
    assert "active_time_intervals" not in routes[3] and "mute_time_intervals" not in routes[3]
    assert routes[2]["mute_time_intervals"] == ["business_hours"]


@pytest.mark.parametrize(("version", "named"), [("0.29.0", False), ("0.30.0", True), (None, True)])
def test_inhibitions_have_names_where_these_are_known(version, named):
    rules = made({"channels": PAGE}, version=version, inhibit_rules=[{"equal": ["x"]}])["inhibit_rules"]
    assert all(("name" in rule) == named for rule in rules[:-1])
    assert len(rules) == 4 and rules[-1] == {"equal": ["x"]}


ROOT = "alertmanager_escalation"
REFUSED = [
    ("page", ROOT + ": is a string; write channels: below it"),
    ({}, None),
    ({"chanels": {}}, "chanels: unknown key; did you mean channels?"),
    ({"warning": {}}, ".channels: is missing; define at least one"),
    ({"channels": {}}, ".channels: is empty; define at least one"),
    ({"channels": ["page"]}, ".channels: is a list; define at least one"),
    ({"channels": {"deadmansswitch": SLACK}}, ".channels: has no channel except the dead man's switch"),
    ({"channels": {"page": SECRET}}, ".channels.page: is a string; write a dictionary with kind"),
    ({"channels": {"all": SLACK}}, ".channels.all: is not a valid channel name"),
    ({"channels": {"Page!": SLACK}}, ".channels.Page!: is not a valid channel name"),
    ({"channels": {"page": {"routing_key": SECRET}}}, ".channels.page.kind: is missing; one of discord, email"),
    (with_page(kind="pagerdutty"), ".channels.page.kind: is 'pagerdutty'; one of discord"),
    (with_page(kind=["slack"]), ".channels.page.kind: is ['slack']; one of"),
    (with_page(routing_kee=SECRET), ".channels.page.routing_kee: unknown key; did you mean routing_key?"),
    (with_page(routing_key=""), ".channels.page.routing_key: is missing; set routing_key or service_key, or routing_key_file"),
    (with_page(routing_key=12345678), ".channels.page.routing_key: is a number; write a string, in quotes"),
    (with_page(routing_key_file="/k"), ".channels.page.routing_key: is also set as routing_key_file; keep one"),
    (with_page(service_key=SECRET), ".channels.page: has routing_key and service_key; keep one of them"),
    (with_page(send_resolved="yes"), ".channels.page.send_resolved: is a string; write true or false"),
    (with_page(http_config=SECRET), ".channels.page.http_config: is a string; write it as Alertmanager's http_config"),
    (
        with_page(http_config={"http_headers": {"X": {"secrets": [SECRET]}}}),
        ".channels.page.http_config.http_headers.X.secrets: would be written into the main configuration file; use files instead",
    ),
    ({"channels": {"s": {**SLACK, "api_url": SECRET}}}, ".channels.s.api_url: is not a URL; start it with https://"),
    ({"channels": {"s": {**SLACK, "channel": "#x"}}}, ".channels.s.channel: has no effect: a Slack webhook posts"),
    ({"channels": {"e": {"kind": "email"}}}, ".channels.e.to: is missing; a channel of kind email needs it"),
    (
        {"channels": {"e": {"kind": "email", "to": "x", "auth_username_file": "/x"}}},
        ".channels.e.auth_username_file: Alertmanager cannot read this from a file; set auth_username",
    ),
    ({"channels": {"t": {"kind": "telegram", "bot_token": SECRET}}}, ".channels.t.chat_id: is missing; a channel of kind"),
    (beside(warning={"channels": ["paeg"]}), ".warning.channels: 'paeg' is not defined; did you mean page?"),
    (beside(critical=[{"channels": ["email"]}]), ".critical[0].channels: 'email' is not defined; known are page"),
    (beside(critical=[{"wait": "1m"}]), ".critical[0].channels: is missing; name one or more of page"),
    (beside(critical=[]), ".critical: is a list; write - channels: [...] below it"),
    (beside(critical={"channels": "page"}), ".critical: is a dictionary; write - channels: [...] below it"),
    (beside(critical=["page"]), ".critical[0]: is a string; write a dictionary of channels"),
    (
        beside(critical=[{"channels": "page", "wait": "2m"}, {"channels": "page", "wait": "90s"}]),
        ".critical[1].wait: is 90s, but the previous stage waits 2m; let each stage wait longer",
    ),
    (beside(warning={"wait": "5 min"}), ".warning.wait: is '5 min'; write a duration such as 15s"),
    (beside(info={"repeat": "0s"}), ".info.repeat: is 0; Alertmanager requires a duration greater than 0"),
    (beside(info={"repaet": "1h"}), ".info.repaet: unknown key; did you mean repeat?"),
    (beside(info={"mute": ["night"]}), ".info.mute: 'night' is not defined; define it in mute_times"),
    (beside(group_by="alertname"), ".group_by: is a string; write a list of labels"),
    (beside(routes=[{"channels": "page"}]), ".routes[0].matchers: is missing; write matchers such as"),
    (beside(routes=[{"channels": "page", "matchers": "x=y"}]), ".routes[0].matchers: is not a list of strings"),
    (beside(routes=[{"channels": "page", "matchers": ["a=b"], "continue": 1}]), ".routes[0].continue: is a number"),
    (beside(mute_times=["x"]), ".mute_times: is a list; write NAME: with the times below it"),
    (beside(mute_times={"n": {}}), ".mute_times.n: is empty; write days, from and to below it"),
    (beside(mute_times={"n": {"day": "monday"}}), ".mute_times.n.day: unknown key; did you mean days?"),
    (beside(mute_times={"n": [{"days": "mondays"}]}), ".mute_times.n[0].days: is 'mondays'; write days such as monday"),
    (beside(mute_times={"n": {"days": "monday-friday-sunday"}}), ".mute_times.n.days: is 'monday-friday-sunday'; write"),
    (beside(mute_times={"n": {"from": "8", "to": "9:00"}}), ".mute_times.n.from: is '8'; write a time such as 08:00"),
    (beside(mute_times={"n": {"from": "08:00"}}), ".mute_times.n: has only one of from and to; set both"),
    (
        beside(mute_times={"n": {"from": "22:00", "to": "06:00"}}),
        ".mute_times.n: ends at 06:00, before it begins at 22:00; split it into two entries, 22:00 to 24:00 and 00:00",
    ),
    (beside(business_hours={"days": "monday", "timezone": "Berlin!"}), ".business_hours.timezone: is 'Berlin!'; write a name"),
    (beside(mute_times={"business_hours": {"days": "monday"}}), ".mute_times.business_hours: is a reserved name"),
]  # fmt: skip


@pytest.mark.parametrize(("escalation", "said"), REFUSED)
def test_refused(escalation, said):
    found = problems(escalation)
    if said is None:
        assert found == []
        return
    assert any(one.startswith(ROOT) and said in one for one in found), found
    with pytest.raises(ValueError, match="alertmanager_escalation"):
        made(escalation)


@pytest.mark.parametrize("given", [{"route": {"receiver": "x"}}, {"receivers": [{"name": "x"}]}])
def test_a_route_of_the_users_own_beside_it_is_refused(given):
    (name,) = given
    (found,) = problems({"channels": PAGE}, **given)
    assert found.startswith("alertmanager_{0}: is set together with alertmanager_escalation".format(name))


def test_an_email_without_a_server_is_refused():
    found = problems({"channels": {"e": {"kind": "email", "to": "x"}}}, smtp={})
    assert [one.partition(":")[0] for one in found] == [ROOT + ".channels.e." + key for key in ("from", "smarthost")]


VERSIONS = [
    ("slack", {"api_url_file": "/x"}, "0.24.0", None),
    ("slack", {"app_token_file": "/x"}, "0.29.0", "0.30.0"),
    ("pagerduty", {"routing_key_file": "/x"}, "0.24.0", "0.25.0"),
    ("pagerduty", {"service_key": SECRET}, "0.24.0", "0.25.0"),
    ("email", {"to": "x", "auth_password_file": "/x"}, "0.24.0", "0.25.0"),
    ("email", {"to": "x", "auth_secret_file": "/x"}, "0.30.1", "0.31.0"),
    ("webhook", {"url": "https://" + SECRET}, "0.27.0", "0.28.0"),
    ("discord", {"webhook_url_file": "/x"}, "0.27.0", "0.28.0"),
    ("msteams", {"webhook_url_file": "/x"}, "0.27.0", "0.28.0"),
    ("opsgenie", {"api_key_file": "/x"}, "0.24.0", None),
    ("telegram", {"bot_token": SECRET, "chat_id": 1}, "0.25.0", "0.26.0"),
    ("mattermost", {"webhook_url_file": "/x"}, "0.31.0", "0.32.0"),
    ("incidentio", {"alert_source_token": SECRET, "url": "https://x"}, "0.28.1", "0.29.0"),
    ("victorops", {"api_key": SECRET, "routing_key": "x"}, "0.24.0", "0.25.0"),
    ("wechat", {"api_secret": SECRET, "corp_id": "x"}, "0.30.0", "0.31.0"),
]


@pytest.mark.parametrize(("kind", "keys", "version", "since"), VERSIONS)
def test_keys_of_files_by_version(kind, keys, version, since):
    declared = {"channels": {"c": {"kind": kind, **keys}}}
    found = problems(declared, version=version)
    if since is None:
        assert found == []
        return
    key = next(key for key in keys if key not in ("to", "chat_id"))
    (found,) = found
    assert found.startswith("{0}.channels.c.{1}: needs the key ".format(ROOT, key)) and since in found
    assert problems(declared, version=since) == problems(declared, version=None) == []


def test_versions_without_what_every_tree_needs_are_refused():
    assert "needs Alertmanager 0.24.0" in problems({"channels": {"s": SLACK}}, version="0.23.0")[0]
    hours = {"days": "monday", "timezone": "Europe/Berlin"}
    found = problems({"channels": {"s": SLACK}, "business_hours": hours}, version="0.24.0")
    assert found == [ROOT + ".business_hours.timezone: needs Alertmanager 0.25.0; deploy it, or write times in UTC"]


PAGE_OF_DOCS = (ROLE.parents[1] / "docs/escalation.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(alertmanager_escalation:.*?)```", PAGE_OF_DOCS, re.S))
def test_the_examples_of_the_documentation_work(block):
    text = re.sub(r'"\{\{ vault_\w+ \}\}"', "https://example.com/x", block)
    given = yaml.safe_load(text)
    assert problems(given["alertmanager_escalation"], smtp=given.get("alertmanager_smtp", {})) == []


def test_the_documentation_has_every_kind():
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| (.*)$", PAGE_OF_DOCS))
    assert set(rows) == set(_escalation.KINDS)
    for name, kind in _escalation.KINDS.items():
        for words in (*(f"`{key}`" for key in (*kind.secrets, *kind.needed)), *kind.secrets.values()):
            assert words in rows[name], (name, words)


# What a channel of each kind needs, in full.
WHOLE = {
    "slack": {"api_url": "https://x/S"},
    "email": {"to": "a@b"},
    "pagerduty": {"routing_key": "S"},
    "webhook": {"url": "https://x/S"},
    "msteams": {"webhook_url": "https://x/S"},
    "msteams_connector": {"webhook_url": "https://x/S"},
    "discord": {"webhook_url": "https://x/S"},
    "opsgenie": {"api_key": "S"},
    "telegram": {"bot_token": "S", "chat_id_file": "/etc/keys/chat"},
    "mattermost": {"webhook_url": "https://x/S"},
    "rocketchat": {"token": "S", "token_id": "S"},
    "jira": {
        "api_url": "https://x",
        "project": "P",
        "issue_type": "Bug",
        "http_config": {"basic_auth": {"password": "S"}},
    },
    "incidentio": {"alert_source_token": "S", "url_file": "/etc/keys/incident"},
    "webex": {"room_id": "r", "http_config": {"authorization": {"credentials": "S"}}},
    "pushover": {"token": "S", "user_key": "S"},
    "victorops": {"api_key": "S", "routing_key": "r"},
    "wechat": {"api_secret": "S", "corp_id": "c"},
    "sns": {"topic_arn": "arn:aws:sns:us-east-2:123456789012:My-Topic"},
}


def test_every_kind_of_receiver_that_upstream_has_is_a_kind_of_channel():
    sections = {name for name, kind in keys("alertmanager", "receivers").items() if kind.startswith("[]@")}
    assert {kind.section for kind in _escalation.KINDS.values()} == sections
    assert set(WHOLE) == set(_escalation.KINDS)


@pytest.mark.parametrize("name", _escalation.KINDS)
def test_every_key_that_upstream_has_for_a_kind_is_honoured(name):
    """But that a secret goes to a file, and that only one of the two can be given."""
    kind = _escalation.KINDS[name]
    known = keys("alertmanager", "receivers", kind.section)
    # These have a shape of their own, and slack's channel goes without a webhook.
    further = [key for key in known if key not in ("http_config", "tls_config", "send_resolved", "channel")]
    further = {key: "https://given" for key in further if not is_secret(known[key]) and not key.endswith("_file")}
    channel = {"kind": name, **further, **WHOLE[name]}
    assert problems({"channels": {"c": channel}}, version="0.35.0") == []
    (config,) = made({"channels": {"c": channel}}, version="0.35.0")["receivers"][0][kind.section]
    assert {key: config[key] for key in further} == {key: channel[key] for key in further}
    assert set(kind.message) <= set(known)


@pytest.mark.parametrize("name", _escalation.KINDS)
def test_no_secret_of_a_kind_is_in_the_main_file(name):
    kind = _escalation.KINDS[name]
    known = keys("alertmanager", "receivers", kind.section)
    secret = {key for key, value in known.items() if is_secret(value)}
    assert secret == set(kind.secrets)
    assert {key + "_file" for key in secret} <= set(known)
    tree = made({"channels": {"c": {"kind": name, **WHOLE[name]}}}, version="0.35.0")
    config = tree["receivers"][0][kind.section][0]
    assert not [text for text in re.findall(r"'[^']*S'", str(config)) if "template" not in text]


def test_every_secret_of_a_client_has_a_file_beside_it():
    types = upstream("alertmanager")["types"]
    for name in ("HTTPClientConfig", "BasicAuth", "Authorization", "OAuth2", "TLSConfig"):
        found = types["config." + name]
        secret = {key for key, kind in found.items() if kind == "secret"}
        assert secret <= set(_channels._HTTP_SECRETS)
        assert {key + "_file" for key in secret} <= set(found)


FURTHER = [
    {
        "kind": "slack",
        **WHOLE["slack"],
        "update_message": True,
        "thumb_url": "https://x",
        "post_updates_to_thread": True,
    },
    {"kind": "email", "to": "a@b", "threading": {"thread_by_date": "daily"}, "force_implicit_tls": True},
    {"kind": "telegram", "bot_token_file": "/t", "chat_id_file": "/c", "timeout": "5s"},
    {"kind": "jira", **WHOLE["jira"], "summary": {"template": "x", "enable_update": False}, "fields": {"x": {"y": 1}}},
]


@pytest.mark.parametrize("channel", FURTHER, ids=[channel["kind"] for channel in FURTHER])
def test_further_keys_stay(channel):
    assert problems({"channels": {"c": channel}}) == []
    kind = _escalation.KINDS[channel["kind"]]
    (config,) = made({"channels": {"c": channel}})["receivers"][0][kind.section]
    for key in set(channel) - {"kind", "http_config", *kind.secrets}:
        assert config[key] == channel[key]


def test_slacks_own_api_is_no_secret_and_stays():
    """Alertmanager wants to see it where messages are updated; 0.31 to 0.34 stumble without a word otherwise."""
    login = {"authorization": {"credentials": "S"}}
    channel = {
        "kind": "slack",
        "api_url": _channels.SLACK_API,
        "channel": "#x",
        "update_message": True,
        "http_config": login,
    }
    assert problems({"channels": {"c": channel}}) == []
    tree = made({"channels": {"c": channel}})
    (config,) = tree["receivers"][0]["slack_configs"]
    assert config["api_url"] == _channels.SLACK_API and config["update_message"] is True
    assert tree["files"] == {"secrets/c.http_config.authorization.credentials": "S"}


def test_a_key_that_only_a_newer_version_may_have_is_left_to_it():
    channel = {"kind": "slack", **WHOLE["slack"], "brand_new": 1}
    assert "brand_new: unknown key" in problems({"channels": {"c": channel}}, version="0.35.0")[0]
    assert problems({"channels": {"c": channel}}, version="0.36.0") == []


GLOBAL = [
    ("slack", {}, {"slack_api_url_file": "/x"}),
    ("opsgenie", {}, {"opsgenie_api_key": "S"}),
    ("telegram", {"chat_id": 1}, {"telegram_bot_token_file": "/x"}),
    ("mattermost", {}, {"mattermost_webhook_url": "https://x"}),
    ("rocketchat", {"token_file": "/t"}, {"rocketchat_token_id_file": "/x"}),
    ("jira", {"project": "P", "issue_type": "Bug"}, {"jira_api_url": "https://x"}),
    ("victorops", {"routing_key": "r"}, {"victorops_api_key_file": "/x"}),
    ("wechat", {"api_secret_file": "/x"}, {"wechat_corp_id": "c"}),
    ("incidentio", {"url": "https://x", "http_config": {"authorization": {"credentials_file": "/x"}}}, {}),
]


@pytest.mark.parametrize(("kind", "here", "common"), GLOBAL, ids=[row[0] for row in GLOBAL])
def test_what_is_given_for_all_channels_need_not_be_given_for_one(kind, here, common):
    escalation = {"channels": {"c": {"kind": kind, **here}}}
    assert problems(escalation, version="0.35.0", **common) == []
    if common:
        assert "is missing" in problems(escalation, version="0.35.0")[0]


@pytest.mark.parametrize(("kind", "version"), [("rocketchat", "0.27.0"), ("pushover", "0.25.0")])
def test_a_version_without_the_files_of_two_secrets_is_refused_for_each(kind, version):
    found = problems({"channels": {"c": {"kind": kind, **WHOLE[kind]}}}, version=version)
    assert [one.partition(":")[0] for one in found] == [
        ROOT + ".channels.c." + key for key in _escalation.KINDS[kind].secrets
    ]


def test_what_a_kind_needs_besides_is_said():
    assert problems({"channels": {"c": {"kind": "webex", "room_id": "r"}}}) == [
        ROOT + ".channels.c.http_config.authorization: is missing; a channel of kind webex needs it"
    ]
    assert problems({"channels": {"c": {"kind": "sns"}}}) == [
        ROOT + ".channels.c.topic_arn: is missing; set topic_arn or target_arn or phone_number"
    ]
    assert problems({"channels": {"c": {"kind": "jira", "project": "P", "issue_type": "Bug"}}}) == [
        ROOT + ".channels.c.api_url: is missing; a channel of kind jira needs it, or alertmanager_jira_api_url"
    ]
