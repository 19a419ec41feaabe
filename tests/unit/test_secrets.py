# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which values of the inputs are secrets."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils._secrets import secret_values

KEY = "-----BEGIN PRIVATE KEY-----\n{0}\n{1}\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("data", "secrets"),
    [
        ({"password": "S"}, ["S"]),
        ({"password": " S "}, ["S"]),
        ({"password": ["S", 5, True, None]}, ["5", "S", "True"]),
        ({"password": True, "token": None, "secret": "S"}, ["S"]),
        ({"enabled": True, "password": "S"}, ["S"]),
        ({"password": {"a": "S", "password": "T"}}, ["T"]),
        # By the key above it, and with a dash for the underscore.
        ({"webhook_configs": [{"url": "https://x/S"}]}, ["https://x/S"]),
        ({"remote_write": [{"url": "https://x/S"}]}, []),
        ({"tls-config": {"key": "S"}}, []),
        ({"tls_config": {"key": "S"}}, ["S"]),
        ({"webhook-url": "S"}, ["S"]),
        ({"slack-api-url": "S"}, ["S"]),
        ({"webhook_configs": {"a-b": "x", "url": "S"}}, ["S"]),
        ({"azure_account_key": "S", "http_cookie": "T"}, ["S", "T"]),
        ({"password_file": "/etc/x"}, []),
        # What gives itself away.
        ({"dsn_x": "postgres://me:p%40ss@db/x"}, ["p%40ss", "p@ss"]),
        ({"x": "host=db password=p%40ss user=me"}, ["p%40ss", "p@ss"]),
        ({"x": "host=db password='p %40' user=me"}, ["p %40", "p @"]),
        ({"x": "https://x/?a=b&pwd=S"}, ["S"]),
        ({"x": ["postgres://me:S@db/x"]}, ["S"]),
        ("postgres://me:S@db/x", ["S"]),
        ({"credentials": "Bearer S"}, ["Bearer S", "S"]),
        # Text in YAML, on one line or several; other text as it is.
        ("password: S", ["S"]),
        ("a:\n  password: S\n", ["S"]),
        ("password:\n  S\n", ["S"]),
        ("a:\n- {password: S\n", []),
        ({"content": "password: S", "source": "a file"}, ["S"]),
        ({"content": "password: S"}, []),
        (["password: S", {"token": "T"}], ["S", "T"]),
        ("- 5\n- content: 'password: S'\n  source: x\n", ["S"]),
        (["no secret", 5, None, ""], []),
    ],
)
def test_the_secrets_among_inputs(data, secrets):
    assert secret_values(data) == secrets


def test_a_private_key_is_one_and_so_is_each_of_its_lines():
    """A line of thirty characters may be anything."""
    text = KEY.format("a" * 30, "b" * 31)
    assert secret_values({"x": text}) == [text.strip(), "b" * 31]
    assert secret_values({"x": text.replace("PRIVATE KEY", "CERTIFICATE")}) == []
    # Nor is the line that says what it is.
    text = text.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
    assert secret_values({"x": text}) == [text.strip(), "b" * 31]
