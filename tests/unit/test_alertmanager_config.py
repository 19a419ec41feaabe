# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alertmanager's configuration and files from inputs; the exporters' files."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.plugin_utils._alertmanager import (
    GLOBAL_KEYS,
    SECTIONS,
    alertmanager_config,
    alertmanager_files,
    escalation_secrets,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import COLLECTION, FileProblem
from ansible_collections.vigil.monitoring.plugins.plugin_utils._secrets import secret_values
from ansible_collections.vigil.monitoring.plugins.plugin_utils._upstream import keys
from role_inputs import Inputs, release, room


def settings(**given):
    bare = {
        "config_dir": "/etc/am",
        "version": "0.33.1",
        "escalation": {},
        "resolve_timeout": "3m",
        "smtp": {},
        "http_config": {},
        "route": {"receiver": "default"},
        "receivers": [{"name": "default"}],
        "inhibit_rules": [],
        "time_intervals": [],
        "template_files": [],
        "own_templates": [{"source": "/role/vigil.tmpl", "content": "T"}],
        "web_config": {},
        "mask_diff": False,
        "global": {},
        "tracing": {},
        "event_recorder": {},
    }
    return {**bare, **dict.fromkeys(GLOBAL_KEYS, ""), **given}


def test_bare():
    assert alertmanager_config(settings()) == {
        "global": {"resolve_timeout": "3m"},
        "templates": ["templates/*.tmpl"],
        "route": {"receiver": "default"},
        "receivers": [{"name": "default"}],
    }


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ({"slack_api_url": "u"}, {"slack_api_url": "u"}),
        ({"wechat_url": "u", "wechat_secret": "s", "wechat_corp_id": "c"},
         {"wechat_api_url": "u", "wechat_api_secret": "s", "wechat_api_corp_id": "c"}),
        ({"smtp": {"from": "a@b", "require_tls": "True"}}, {"smtp_from": "a@b", "smtp_require_tls": True}),
        ({"smtp": {"require_tls": "no"}}, {"smtp_require_tls": False}),
        ({"smtp": {"auth_password_file": "pw"}}, {"smtp_auth_password_file": "/etc/am/pw"}),
        ({"http_config": {"proxy_url": "p"}}, {"http_config": {"proxy_url": "p"}}),
    ],
)  # fmt: skip
def test_global(given, added):
    assert alertmanager_config(settings(**given))["global"] == {"resolve_timeout": "3m", **added}


def test_lists_and_references():
    config = alertmanager_config(
        settings(
            inhibit_rules=[{"equal": ["a"]}],
            time_intervals=[{"name": "t"}],
            receivers=[{"name": "s", "slack_configs": [{"api_url_file": "slack"}]}],
        )
    )
    assert config["inhibit_rules"] == [{"equal": ["a"]}]
    assert config["time_intervals"] == [{"name": "t"}]
    assert config["receivers"][0]["slack_configs"] == [{"api_url_file": "/etc/am/slack"}]


def test_files():
    templates = [{"source": "/x/a.tmpl", "content": "A"}]
    given = settings(template_files=templates, web_config={"tls_server_config": {"cert_file": "c"}})
    assert alertmanager_files(given, "text\n\n") == [
        {"path": "alertmanager.yml", "content": "text\n"},
        {"path": "templates/a.tmpl", "content": "A"},
        {"path": "web_config.yml", "data": {"tls_server_config": {"cert_file": "/etc/am/c"}}},
    ]
    assert all(entry["secret"] for entry in alertmanager_files(dict(given, mask_diff=True), "text"))


def test_escalation():
    channels = {"page": {"kind": "pagerduty", "routing_key": "R0UT1NG"}}
    given = settings(
        escalation={"channels": channels}, smtp={"auth_password": "hush"}, inhibit_rules=[{"equal": ["x"]}]
    )
    config = alertmanager_config(given)
    assert config["global"]["smtp_auth_password_file"] == "/etc/am/secrets/smtp.auth_password"
    assert config["receivers"][0]["pagerduty_configs"][0]["routing_key_file"] == "/etc/am/secrets/page.routing_key"
    assert config["inhibit_rules"][-1] == {"equal": ["x"]}
    assert "R0UT1NG" not in str(config) and "hush" not in str(config)
    assert alertmanager_files(given, "text") == [
        {"path": "alertmanager.yml", "content": "text\n"},
        {"path": "templates/vigil.tmpl", "content": "T"},
        {"path": "secrets/page.routing_key", "content": "R0UT1NG", "secret": True},
        {"path": "secrets/smtp.auth_password", "content": "hush", "secret": True},
    ]
    assert escalation_secrets(given) == ["R0UT1NG", "hush"]


def test_exporter():
    exporter, there = room("node_exporter"), release("node_exporter")
    assert exporter.files(Inputs("node_exporter", tls_server_config={}), there) == []
    assert exporter.files(Inputs("node_exporter", basic_auth_users={"a": "b"}), there) == [
        {"path": "web_config.yml", "data": {"basic_auth_users": {"a": "b"}}}
    ]
    account = {"system_user": "u", "system_group": "g"}
    assert exporter.directories(Inputs("node_exporter", textfile_dir="", **account), there) == []
    assert exporter.directories(Inputs("node_exporter", textfile_dir="/t", **account), there) == [
        {"path": "/t", "owner": "u", "group": "g", "mode": "0775"}
    ]


def test_templates_are_loaded_whatever_they_are_called():
    files = [{"source": "/x/" + name, "content": ""} for name in ("a.tmpl", "b.html", "c.txt")]
    given = settings(template_files=files)
    assert alertmanager_config(given)["templates"] == ["templates/*.tmpl", "templates/b.html", "templates/c.txt"]
    with pytest.raises(FileProblem, match=r"alertmanager_template_files: /x/d\.tmpl\.j2 is a template of Jinja's"):
        alertmanager_files(settings(template_files=[{"source": "/x/d.tmpl.j2", "content": ""}]), "text")


OWN = [
    {
        "source": "/x/own.tmpl",
        "content": '{{ define "own.title" }}{{ template "own.part" . }}{{ end }}{{- define `own.part` -}}x{{ end }}'
        '{{/* define "own.no" */}}',
    }
]


@pytest.mark.parametrize(
    ("text", "version", "words"),
    [
        ('{{ template "own.title" . }}', "0.33.1", None),
        ("{{- template `own.part` . -}}", "0.33.1", None),
        ('{{ template "slack.default.title" . }} {{ template "__subject" . }}', "0.33.1", None),
        ('{{ template "own.titel" . }}', "0.33.1", "uses the template 'own.titel', which is not defined; did you mean 'own.title'"),
        ('{{ template "own.no" . }}', "0.33.1", "'own.no', which is not defined"),
        ('{{ template "zzz" . }}', "0.33.1", "define it in a file of alertmanager_template_files"),
        ('{{ template "slack.default.titel" . }}', "0.33.1", "'slack.default.titel', .* did you mean 'slack.default.title'"),
        # A release that is newer than what is known here may have it.
        ('{{ template "slack.default.thread" . }}', "0.99.0", None),
        ('{{ template "own.titel" . }}', "0.99.0", "did you mean 'own.title'"),
        # Of this collection's own messages, which are there with alertmanager_escalation only.
        ('{{ template "vigil.text" . }}', "0.33.1", "'vigil.text', which is not defined"),
        ("{{ .CommonLabels.alertname }}", "0.33.1", None),
        ("${SLACK_TITLE}", "0.33.1", r"contains '\$\{', but Alertmanager does not expand variables; write the value"),
    ],
)  # fmt: skip
def test_what_fails_when_a_message_is_sent_is_refused_before(text, version, words):
    config = yaml.safe_dump({"receivers": [{"name": "team", "slack_configs": [{"channel": "x"}, {"title": text}]}]})
    given = settings(template_files=OWN, version=version)
    if not words:
        assert alertmanager_files(given, config)
        return
    with pytest.raises(FileProblem, match=r"the receiver 'team', slack_configs\[1\]\.title: .*" + words):
        alertmanager_files(given, config)


def test_a_template_that_another_lacks_is_named_with_its_file():
    broken = [{"source": "/x/b.tmpl", "content": '{{ define "b" }}{{ template "own.titel" . }}{{ end }}'}]
    with pytest.raises(FileProblem, match=r"the file /x/b\.tmpl: uses the template 'own\.titel'"):
        alertmanager_files(settings(template_files=[*OWN, *broken]), "text")


def test_the_messages_of_this_collection_are_whole():
    with open(f"{COLLECTION}/bundled/messages/vigil.tmpl", encoding="utf-8") as stream:
        own = [{"source": "vigil.tmpl", "content": stream.read()}]
    channels = {
        "chat": {"kind": "slack", "api_url": "https://x.example/1"},
        "page": {"kind": "pagerduty", "routing_key": "R"},
    }
    given = settings(escalation={"channels": channels}, own_templates=own)
    assert alertmanager_files(given, yaml.safe_dump(alertmanager_config(given)))


# What a variable of another name writes, or what it has instead.
ELSEWHERE = {"mute_time_intervals": "time_intervals"}


def test_every_global_key_that_upstream_has_can_be_given():
    every = {name: "value of " + key for name, key in GLOBAL_KEYS.items()}
    smtp = {key[len("smtp_") :]: "s" for key in keys("alertmanager", "global") if key.startswith("smtp_")}
    made = alertmanager_config(settings(**every, smtp=smtp, http_config={"proxy_url": "p"}))["global"]
    assert set(keys("alertmanager", "global")) == set(made)
    for name, key in GLOBAL_KEYS.items():
        assert made[key].endswith("value of " + key), name


def test_every_section_that_upstream_has_can_be_given():
    given = {name: {"from": name} for name in SECTIONS}
    config = alertmanager_config(settings(**given, inhibit_rules=[{"equal": []}], time_intervals=[{"name": "t"}]))
    assert set(keys("alertmanager")) - set(config) == set(ELSEWHERE)
    assert all(config[name] == {"from": name} for name in SECTIONS)


def test_a_key_that_only_a_newer_version_has_can_be_given():
    assert alertmanager_config(settings(**{"global": {"new_key_file": "k"}}))["global"]["new_key_file"] == "/etc/am/k"


def test_secrets_of_the_new_sections_are_known():
    config = alertmanager_config(
        settings(
            rocketchat_token="R1",
            event_recorder={"webhook_outputs": [{"name": "w", "url": "https://x/E1"}]},
            tracing={"headers": {"Authorization": "T1"}},
        )
    )
    assert secret_values(config) == ["R1", "T1", "https://x/E1"]
