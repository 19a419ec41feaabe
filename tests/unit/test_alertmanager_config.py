# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alertmanager's configuration and files from inputs; the exporters' files."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils._alertmanager import (
    GLOBAL_KEYS,
    alertmanager_config,
    alertmanager_files,
    escalation_secrets,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._exporter import exporter_files, textfile_directories


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
    assert exporter_files({"config_dir": "/etc/ne", "web_config": {"tls_server_config": {}}}) == []
    assert exporter_files({"config_dir": "/etc/ne", "web_config": {"basic_auth_users": {"a": "b"}}}) == [
        {"path": "web_config.yml", "data": {"basic_auth_users": {"a": "b"}}}
    ]
    assert textfile_directories({"textfile_dir": "", "user": "u", "group": "g"}) == []
    assert textfile_directories({"textfile_dir": "/t", "user": "u", "group": "g"}) == [
        {"path": "/t", "owner": "u", "group": "g", "mode": "0775"}
    ]
