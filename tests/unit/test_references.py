# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that configurations name, and the secrets in them."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils._references import anchor, file_references
from ansible_collections.vigil.monitoring.plugins.plugin_utils._secrets import secret_values


@pytest.mark.parametrize(
    ("data", "paths"),
    [
        ({}, []),
        ({"password_file": "pw"}, ["/etc/x/pw"]),
        ({"tls_config": {"ca_file": "/ca", "cert_file": "a/../c", "key_file": ""}}, ["/ca", "/etc/x/c"]),
        ({"receivers": [{"slack_configs": [{"api_url_file": "/s"}]}, {"x": [{"api_url_file": "/s"}]}]}, ["/s"]),
        ({"authorization": {"credentials_file": "/t"}, "bearer_token_file": "/b"}, ["/b", "/t"]),
        ({"rule_files": ["a"], "file_sd_configs": [{"files": ["b"]}], "scrape_config_files": ["c"]}, []),
        ({"scrape_failure_log_file": "/var/log/x", "query_log_file": "/q"}, []),
        ("global:\n  smtp_auth_password_file: /p\n", ["/p"]),
        (["a_file: /1\n", {"b_file": "/2"}, [{"c_file": "/3"}], ""], ["/1", "/2", "/3"]),
        ("not: [yaml", []),
        ("{{ text", []),
    ],
)
def test_references(data, paths):
    assert file_references(data, "/etc/x") == paths


def test_anchor_changes_nothing_else():
    data = {"ca_file": "ca", "files": ["f"], "n": 1, "list": [{"key_file": "/k", "x_file": None}], "password_file": ""}
    assert anchor(data, "/d") == {
        "ca_file": "/d/ca",
        "files": ["f"],
        "n": 1,
        "list": [{"key_file": "/k", "x_file": None}],
        "password_file": "",
    }


KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("data", "secrets"),
    [
        ({"basic_auth": {"username": "someone", "password": "hunter22"}}, ["hunter22"]),
        ({"basic_auth_users": {"admin": "$2y$10$abc"}}, ["$2y$10$abc"]),
        ({"authorization": {"type": "Bearer", "credentials": "tok-1"}}, ["tok-1"]),
        ({"password_file": "/etc/secret"}, []),
        ({"url": "https://u:p%40ss@h.example/x"}, ["p%40ss", "p@ss"]),
        ({"remote_write": [{"url": "https://h.example/x"}]}, []),
        ({"webhook_configs": [{"url": "https://h.example/hook/1"}]}, ["https://h.example/hook/1"]),
        ({"slack_api_url": "https://hooks.example/T/B/x"}, ["https://hooks.example/T/B/x"]),
        ({"headers": {"Authorization": "Bearer abcdef", "X-Api-Key": "keykey", "X-Scope-OrgID": "tenant"}},
         ["Bearer abcdef", "abcdef", "keykey"]),
        ({"http_headers": {"X": {"secrets": ["first1", "second"], "values": ["plain"]}}}, ["first1", "second"]),
        ({"sigv4": {"access_key": "AKIA1", "secret_key": "wJal/1"}}, ["AKIA1", "wJal/1"]),
        ({"tls_config": {"key": KEY, "insecure_skip_verify": True}}, [KEY]),
        # However it is masked: see _scrub.
        ({"password": "abc", "token": "true", "secret": None, "x_token": False, "y_token": ""}, ["abc", "true"]),
        ({"password": "correct horse battery"}, ["correct horse battery"]),
        ({"password": 12345678}, ["12345678"]),
        ({"source": "/a/b.yml", "content": "scrape_configs:\n- basic_auth: {password: fromfile}\n"}, ["fromfile"]),
        ([[{"source": "/a", "content": "x:\n  password: nested\n"}], {"password": "other"}], ["nested", "other"]),
        ("global:\n  smtp_auth_password: in-text\n", ["in-text"]),
        ("", []),
    ],
)  # fmt: skip
def test_secrets(data, secrets):
    assert [value for value in secret_values(data) if not value.startswith("MII")] == secrets


class Vaulted:
    """A value from a vault as ansible-core up to 2.18 gives it: no text, but it says that it is encrypted."""

    __ENCRYPTED__ = True

    def __str__(self):
        return "from the vault"


def test_a_value_from_a_vault_is_a_secret_like_any_other():
    assert secret_values({"basic_auth": {"password": Vaulted()}}) == ["from the vault"]
    assert secret_values([[{"remote_write": [{"bearer_token": Vaulted()}]}]]) == ["from the vault"]


def test_whatever_a_data_source_keeps_safe_is_a_secret():
    source = {"name": "x", "secureJsonData": {"httpHeaderValue1": "Bearer T1", "tlsClientKey": "K1"}}
    assert secret_values([source]) == ["Bearer T1", "K1", "T1"]
    assert secret_values({"settings": {}, "secureSettings": {"url": "https://hooks.example/T2"}}) == [
        "https://hooks.example/T2"
    ]
