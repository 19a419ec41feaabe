# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret is left in a text, and what is no secret stays readable. SENTINEL stands for a secret."""

from __future__ import annotations

import json
import time

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._redact import (
    MASK,
    is_secret_key,
    know,
    redact_text,
    scrub,
    scrub_data,
)

BCRYPT = "$2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay"


@pytest.mark.parametrize(
    "key",
    """password passwd pass passphrase PASSWORD smtp_auth_password secret client_secret smtp_auth_secret secrets token
    bearer_token bot_token token_id tokens credentials api_key apikey api-key X-Api-Key api_secret routing_key
    service_key user_key private_key access_key secret_key shared_key account_key Authorization webhook_url
    slack_api_url api_url dsn DATA_SOURCE_NAME sas_url auth_identity X-Auth-Token http.proxy_password""".split(),
)
def test_secret_keys(key):
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "key",
    """password_file api_url_file credentials_file bearer_token_file secrets_file username url channel job token_limit
    secretive key keyspace route receiver basic_auth tls_config ca_file expr""".split(),
)
def test_keys_that_hold_no_secret(key):
    assert not is_secret_key(key)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("", ""),
        ("\n", "\n"),
        ("a: b", "a: b"),
        ("password: SENTINEL\n", f"password: {MASK}\n"),
        ("password: SENTINEL", f"password: {MASK}"),
        ("  - password: SENTINEL", f"  - password: {MASK}"),
        ("- - password: SENTINEL", f"- - password: {MASK}"),
        ('"password": "SENTINEL",', f'"password": {MASK}'),
        ('"password":"SENTINEL"', f'"password": {MASK}'),
        ("password : SENTINEL", f"password : {MASK}"),
        ("password:SENTINEL-is-no-pair", "password:SENTINEL-is-no-pair"),
        ("password: 'SENTINEL: {x}, y'", f"password: {MASK}"),
        ("password: !vault |\n  SENTINEL\n  SENTINEL\nx: y", f"password: {MASK}\n  {MASK}\n  {MASK}\nx: y"),
        ("password: &p SENTINEL\nother: *p", f"password: {MASK}\nother: *p"),
        ("password: |\n  SENTINEL\n\n  SENTINEL\nx: y", f"password: {MASK}\n  {MASK}\n\n  {MASK}\nx: y"),
        ("a:\n  token: >-\n    SENTINEL\n  x: y", f"a:\n  token: {MASK}\n    {MASK}\n  x: y"),
        ("password: SENTINEL\n  SENTINEL goes on\nx: y", f"password: {MASK}\n  {MASK}\nx: y"),
        ("password:\n  SENTINEL\nx: y", f"password:\n  {MASK}\nx: y"),
        ("password:   \n  SENTINEL\nx: y", f"password:\n  {MASK}\nx: y"),
        ("secrets:\n  - SENTINEL\n  - SENTINEL\nx: y", f"secrets:\n  {MASK}\n  {MASK}\nx: y"),
        ("secrets:\n- SENTINEL\n- SENTINEL\nx: y", f"secrets:\n{MASK}\n{MASK}\nx: y"),
        ("credentials:\n  any: SENTINEL\nx: y", f"credentials:\n  {MASK}\nx: y"),
        # What follows a secret in the same item of a list is no part of it.
        ("- password: SENTINEL\n  username: u\n- x: y", f"- password: {MASK}\n  username: u\n- x: y"),
        ("- secrets:\n  - SENTINEL\n  x: y", f"- secrets:\n  {MASK}\n  x: y"),
        ("password_file: /etc/x/pw\nx: y", "password_file: /etc/x/pw\nx: y"),
    ],
)
def test_yaml_in_block_style(text, redacted):
    assert redact_text(text) == redacted


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("{password: SENTINEL}", f"{{password: {MASK}}}"),
        ("basic_auth: {username: u, password: SENTINEL}", f"basic_auth: {{username: u, password: {MASK}}}"),
        ("a: {password: SENTINEL, username: u}", f"a: {{password: {MASK}, username: u}}"),
        ("a: {password: 'SENTINEL, } x', b: c}", f"a: {{password: {MASK}, b: c}}"),
        ("a: {password: 'SENT''INEL', b: c}", f"a: {{password: {MASK}, b: c}}"),
        ('a: {"password": "SENT\\"INEL}", "b": 1}', f'a: {{"password": {MASK}, "b": 1}}'),
        ('{"a":{"password":"SENTINEL","b":"c"}}', f'{{"a":{{"password":{MASK},"b":"c"}}}}'),
        ("- {token: SENTINEL}", f"- {{token: {MASK}}}"),
        ("[{token: SENTINEL}, {token: SENTINEL}]", f"[{{token: {MASK}}}, {{token: {MASK}}}]"),
        ("a: {secrets: [SENTINEL, SENTINEL], b: c}", f"a: {{secrets: {MASK}, b: c}}"),
        ("a: {credentials: {x: {y: SENTINEL}, z: SENTINEL}, b: c}", f"a: {{credentials: {MASK}, b: c}}"),
        ("a: {token: S}, b: {token: S}", f"a: {{token: {MASK}}}, b: {{token: {MASK}}}"),
        ("a: {password: SENTINEL,\n    username: u}", f"a: {{password: {MASK},\n    username: u}}"),
        ("a: {username: u,\n    password: SENTINEL}\nb: c", f"a: {{username: u,\n    password: {MASK}}}\nb: c"),
        ("a: {password:\n    SENTINEL}\nb: c", f"a: {{password:\n    {MASK}}}\nb: c"),
        ("a: {password: 'SENTINEL\n    SENTINEL'}\nb: c", f"a: {{password: {MASK}\n    {MASK}}}\nb: c"),
        ("a: {secrets: [SENTINEL,\n   SENTINEL]}\nb: c", f"a: {{secrets: {MASK}\n   {MASK}}}\nb: c"),
        ('msg="got {\\"password\\": \\"SENTINEL, x\\"}"', f'msg="got {{\\"password\\": {MASK}}}"'),
        ("a: {password_file: /x, token_limit: 5}", "a: {password_file: /x, token_limit: 5}"),
        ('expr: sum by (job) (up{job="a", instance="b"})', 'expr: sum by (job) (up{job="a", instance="b"})'),
    ],
)
def test_flow_style_and_json(text, redacted):
    assert redact_text(text) == redacted


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (
            "a:\n- webhook_configs:\n  - max_alerts: 1\n    url: SENTINEL\n  slack_configs:\n  - title_link: x\n  url: y",
            f"a:\n- webhook_configs:\n  - max_alerts: 1\n    url: {MASK}\n  slack_configs:\n  - title_link: x\n  url: y",
        ),
        ("discord_configs: [{url: SENTINEL, a: b}]\nurl: y", f"discord_configs: [{{url: {MASK}, a: b}}]\nurl: y"),
        ("remote_write:\n- url: x", "remote_write:\n- url: x"),
        # The key that makes an address a secret stands on an earlier line, at whatever column.
        (
            '{\n"webhook_configs": [\n{\n"max_alerts": 1,\n"url": "SENTINEL"\n}\n],\n"url": "y"\n}',
            f'{{\n"webhook_configs": [\n{{\n"max_alerts": 1,\n"url": {MASK}\n}}\n],\n"url": "y"\n}}',
        ),
        ("webhook_configs: [\n{url: SENTINEL}\n]\nurl: y", f"webhook_configs: [\n{{url: {MASK}}}\n]\nurl: y"),
        ("webhook_configs:\n- {a: b,\nurl: SENTINEL}\nurl: y", f"webhook_configs:\n- {{a: b,\nurl: {MASK}}}\nurl: y"),
        ("webhook_configs:\n  [{a: [1],\n  url: SENTINEL}]", f"webhook_configs:\n  [{{a: [1],\n  url: {MASK}}}]"),
        ("webhook_configs: &a\n-\n  url: SENTINEL\nurl: y", f"webhook_configs: &a\n-\n  url: {MASK}\nurl: y"),
        ("? webhook_configs\n: - url: SENTINEL\nurl: y", f"? webhook_configs\n: - url: {MASK}\nurl: y"),
        ("? password\n: SENTINEL\nurl: y", f"? password\n{MASK}\nurl: y"),
        ("credentials: {\nx: SENTINEL\n}\nurl: y", f"credentials: {MASK}\n{MASK}\n{MASK}\nurl: y"),
        ('password: "SENTINEL\nSENTINEL"\nurl: y', f"password: {MASK}\n{MASK}\nurl: y"),
        ('{"password":\n"SENTINEL",\n"a": 1}', f'{{"password":\n{MASK},\n"a": 1}}'),
        ('{"password"\n: "SENTINEL",\n"a": 1}', f'{{"password"\n: {MASK},\n"a": 1}}'),
        ("{a: 1, # a note, it's one\n password: SENTINEL}", f"{{a: 1, # a note, it's one\n password: {MASK}}}"),
        ("{password: # one, two\n SENTINEL, a: b}", f"{{password: {MASK}\n {MASK}, a: b}}"),
        ('basic_auth_users:\n  "we ird": SENTINEL\nurl: y', f'basic_auth_users:\n  "we ird": {MASK}\nurl: y'),
        ('{basic_auth_users: {"we ird": SENTINEL}, a: b}', f'{{basic_auth_users: {{"we ird": {MASK}}}, a: b}}'),
        ("jobs:\n- labels:\n    a: b\n- {key: y}", "jobs:\n- labels:\n    a: b\n- {key: y}"),
        ("jobs:\n- tls_config:\n    a: b\n- {key: y}", "jobs:\n- tls_config:\n    a: b\n- {key: y}"),
        (
            "webhook_configs:\n- title: 'a\n  x: y'\n  url: SENTINEL",
            f"webhook_configs:\n- title: 'a\n  x: y'\n  url: {MASK}",
        ),
        # A bracket in a text opens nothing.
        ("a: see [1\npassword: SENTINEL, x\nb: 2]", f"a: see [1\npassword: {MASK}\nb: 2]"),
        ("a: |\n  [x\nwebhook_configs:\n- url: SENTINEL", f"a: |\n  [x\nwebhook_configs:\n- url: {MASK}"),
        ('{\n"webhook_configs": [\n{\n"url": "SENTINEL"', f'{{\n"webhook_configs": [\n{{\n"url": {MASK}'),
    ],
)
def test_addresses_of_receivers(text, redacted):
    assert redact_text(text) == redacted


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("url: https://u:SENTINEL@host:9/x", f"url: https://{MASK}@host:9/x"),
        ("url: https://SENTINEL@host/1", f"url: https://{MASK}@host/1"),
        ("dial amqp://u:SEN@TINEL@host failed", f"dial amqp://{MASK}@host failed"),
        ("proxy_url: http://host/a@b", "proxy_url: http://host/a@b"),
        ("url: https://host/x?token=SENTINEL", f"url: https://host/x?token={MASK}"),
        ("url: https://host/x?a=b&api_key=SENTINEL", f"url: https://host/x?a=b&api_key={MASK}"),
        (f"  admin: {BCRYPT}", f"  admin: {MASK}"),
        (f"{{admin: {BCRYPT}}}", f"{{admin: {MASK}}}"),
        ('err="Authorization: Bearer SENTINEL1234 was refused"', f'err="Authorization: Bearer {MASK} was refused"'),
        ("Authorization: SENTINEL", f"Authorization: {MASK}"),
        ("basic authentication is on, bearer transportation too", None),
        (
            "key: |\n  -----BEGIN RSA PRIVATE KEY-----\n  SENTINEL\n  -----END RSA PRIVATE KEY-----\nx: y",
            f"key: |\n  {MASK}\n  {MASK}\n  {MASK}\nx: y",
        ),
        ('key: "-----BEGIN PRIVATE KEY-----\\nSENTINEL\\n-----END PRIVATE KEY-----"\nx: y', f"{MASK}\nx: y"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", None),
    ],
)
def test_what_gives_itself_away(text, redacted):
    assert redact_text(text) == (text if redacted is None else redacted)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Environment=DB_PASSWORD=SENTINEL A=b", f"Environment=DB_PASSWORD={MASK} A=b"),
        ('Environment="DB_PASSWORD=SENTINEL with blanks" "A=b"', f'Environment="DB_PASSWORD={MASK}" "A=b"'),
        ("Environment='DB_PASSWORD=SENTINEL x' A=b", f"Environment='DB_PASSWORD={MASK}' A=b"),
        ("ExecStart=/x --token=SENTINEL --web=:9", f"ExecStart=/x --token={MASK} --web=:9"),
        ("admin_password = SENTINEL with blanks", f"admin_password = {MASK}"),
        ('level=error password="SENTINEL x" err=y', f"level=error password={MASK} err=y"),
        ("expr: password == 1", "expr: password == 1"),
        ("ExecStart=/x --web.config.file=/etc/x", "ExecStart=/x --web.config.file=/etc/x"),
        ("SetCredential=pw:SENTINEL", f"SetCredential={MASK}"),
        ("A=b B_TOKEN=SENTINEL C=d", f"A=b B_TOKEN={MASK} C=d"),
    ],
)
def test_units_ini_files_and_log_lines(text, redacted):
    assert redact_text(text) == redacted


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        # A flow mapping that nothing closes ends where the text is indented no more, but for a bracket.
        (
            "x: y\nwebhook_configs: [{b: [1,\n\n  c: 2\n}, {url: SENTINEL}\nurl: w",
            f"x: y\nwebhook_configs: [{{b: [1,\n\n  c: 2\n}}, {{url: {MASK}}}\nurl: w",
        ),
        ("- x\n- [a\npassword: y, SENTINEL", f"- x\n- [a\npassword: {MASK}"),
        ('{password: ["SENTINEL, SENTINEL], SENTINEL: c', f"{{password: {MASK}"),
        (
            '# note\n---\n{\n"webhook_configs": [\n{\n"url": "SENTINEL"',
            f'# note\n---\n{{\n"webhook_configs": [\n{{\n"url": {MASK}',
        ),
        # A text goes on, over empty lines too, and what it has in it is no bracket and no key.
        ("a: b\n  [ c\npassword: x, SENTINEL\nd: e]", f"a: b\n  [ c\npassword: {MASK}\nd: e]"),
        ("a: b\n\n  [ c\npassword: x, SENTINEL\nd: e]", f"a: b\n\n  [ c\npassword: {MASK}\nd: e]"),
        (
            "webhook_configs:\n- title: 'a\nx: y'\n  url: SENTINEL",
            f"webhook_configs:\n- title: 'a\nx: y'\n  url: {MASK}",
        ),
        ("webhook_configs: # note\n  [{a: b,\nurl: SENTINEL}]", f"webhook_configs: # note\n  [{{a: b,\nurl: {MASK}}}]"),
        ("a: b\nwebhook_configs:\n  [{x: y,\nurl: SENTINEL}]", f"a: b\nwebhook_configs:\n  [{{x: y,\nurl: {MASK}}}]"),
        ("- b\n- {webhook_configs: [\n{url: SENTINEL}]}", f"- b\n- {{webhook_configs: [\n{{url: {MASK}}}]}}"),
        # A block scalar ends where its key's column does.
        ("- a: |\n    [x\n  password: y, SENTINEL]", f"- a: |\n    [x\n  password: {MASK}"),
        ("a: |\n  [x\npassword: y, SENTINEL]", f"a: |\n  [x\npassword: {MASK}"),
        ("a: |\n  [x", "a: |\n  [x"),
        ("a: |\n  x\nb: |\n  [y\npassword: z, SENTINEL]", f"a: |\n  x\nb: |\n  [y\npassword: {MASK}"),
        (
            "a: |\n  webhook_configs: [{x: y,\n  url: SENTINEL}]\nb: c",
            f"a: |\n  webhook_configs: [{{x: y,\n  url: {MASK}}}]\nb: c",
        ),
        (
            "a: |\n  x\nb: |\n  webhook_configs: [{x: y,\n  url: SENTINEL}]\n",
            f"a: |\n  x\nb: |\n  webhook_configs: [{{x: y,\n  url: {MASK}}}]\n",
        ),
        ("a: 'b\n[ c'\npassword: x, SENTINEL\nd: e]", f"a: 'b\n[ c'\npassword: {MASK}\nd: e]"),
        # Below a secret, whatever its column.
        ('credentials:\n  a: "x\nSENTINEL"\nb: c', f"credentials:\n  {MASK}\n{MASK}\nb: c"),
        ("tls_config:\n  ? key\n  : SENTINEL\nkey: x", f"tls_config:\n  ? key\n  {MASK}\nkey: x"),
        (
            '{"a": 1,\n  "key": "-----BEGIN PRIVATE KEY-----\\nSENTINEL\\n-----END PRIVATE KEY-----",\n  "b": 2}',
            f'{{"a": 1,\n  {MASK}\n  "b": 2}}',
        ),
        # Not below the one before it.
        ("webhook_configs:\n---\n- url: y", "webhook_configs:\n---\n- url: y"),
        (
            "a:\n    -\n     tls_config:\n         x: y\n    - key: z",
            "a:\n    -\n     tls_config:\n         x: y\n    - key: z",
        ),
        ("authorization:\n  type: Bearer\nx: y", "authorization:\n  type: Bearer\nx: y"),
        ("opsgenie_configs:\n- api_url: x", "opsgenie_configs:\n- api_url: x"),
    ],
)
def test_where_a_mapping_and_a_text_end(text, redacted):
    assert redact_text(text) == redacted


def test_redaction_of_a_whole_alertmanager_configuration_leaves_its_shape():
    text = """global:
  smtp_auth_username: me
  smtp_auth_password: SENTINEL
  slack_api_url: https://hooks.example/SENTINEL
route: {receiver: a, group_by: [alertname]}
receivers:
  - name: a
    pagerduty_configs:
      - routing_key: SENTINEL
        severity: critical
    sns_configs:
      - sigv4: {access_key: SENTINEL, secret_key: SENTINEL, region: eu}
    webhook_configs:
      - url: https://u:SENTINEL@host/hook
        http_config:
          authorization:
            credentials: SENTINEL
          tls_config:
            ca_file: /etc/ca.pem
"""
    redacted = redact_text(text)
    assert "SENTINEL" not in redacted
    assert len(redacted.splitlines()) == len(text.splitlines())
    for kept in ("smtp_auth_username: me", "severity: critical", "region: eu", "authorization:"):
        assert kept in redacted


def test_redaction_is_stable():
    text = "a: {password: SENTINEL, b: c}\ntoken: SENTINEL\nurl: http://u:p@h/?token=x\n"
    assert redact_text(redact_text(text)) == redact_text(text)


def test_long_text_is_redacted_in_linear_time():
    line = "{" + ", ".join(f"k{number}: v" for number in range(20000)) + ", password: SENTINEL}"
    assert "SENTINEL" not in redact_text(line)
    assert "SENTINEL" not in redact_text("'" * 20000 + " token=SENTINEL")
    before = time.process_time()
    panels = [{"title": "it's {x", "targets": [{"expr": "a{b='c'}"}]}] * 4000
    assert "SENTINEL" not in redact_text(json.dumps({"panels": panels, "password": "SENTINEL"}, indent=0))
    for line in ("a: {\n", "- [\n", "a: 'x\n", "a: { # it's\n", "a: |\n  x [\n"):
        redact_text(line * 10000)
    # Quadratic, the first alone takes half a minute.
    assert time.process_time() - before < 8


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (
            "pem: x\n-----BEGIN PRIVATE KEY-----\nAAAA\nBBBB\nCCCC\n-----END PRIVATE KEY-----\nuser: bob\n",
            "pem: x\n********\n********\n********\n********\n********\nuser: bob\n",
        ),
        ('a: {password: "one\n" , user: bob}\n', "a: {password: ********\n********, user: bob}\n"),
        (
            "a: {password: [one,\n  two: x,\n  three], user: bob}\n",
            "a: {password: ********\n  ********\n  ********, user: bob}\n",
        ),
        (
            'a: {password: "one\n\n    two", user: bob}\nb: c\n',
            "a: {password: ********\n\n    ********, user: bob}\nb: c\n",
        ),
        (
            "a: {password: [one,\n\n    two], user: bob}\nb: c\n",
            "a: {password: ********\n\n    ********, user: bob}\nb: c\n",
        ),
        ('a: {password:\n    "one", user: bob}\n', "a: {password:\n    ********, user: bob}\n"),
        ("a: {password: 'one\n    two', user: bob}\n", "a: {password: ********\n    ********, user: bob}\n"),
        ('a: {password: "one\\"\n    two", user: bob}\n', "a: {password: ********\n    ********, user: bob}\n"),
        (
            'a: {password: "one\n    it\'s\n    two", user: bob}\n',
            "a: {password: ********\n    ********\n    ********, user: bob}\n",
        ),
        (
            "a: {password: 'one\n    say \"x\"\n    two', user: bob}\n",
            "a: {password: ********\n    ********\n    ********, user: bob}\n",
        ),
        ("a: {b: {url: x\n}, user: y}\n", "a: {b: {url: x\n}, user: y}\n"),
        ("  password:\n    - one\n    - two\n  user: bob\n", "  password:\n    ********\n    ********\n  user: bob\n"),
        ("password:\n- one\n\n- two\nuser: bob\n", "password:\n********\n\n********\nuser: bob\n"),
        ("x: [{a: {b: c}}, {password: 'x'}]\n", "x: [{a: {b: c}}, {password: ********}]\n"),
        ('x: {password: {a: "}", b: [1, 2]}, user: bob}\n', "x: {password: ********, user: bob}\n"),
        ('x: {password: a"b, user: bob}\n', "x: {password: ********, user: bob}\n"),
        ("x: {password: [\"a, b\", 'c'], user: bob}\n", "x: {password: ********, user: bob}\n"),
        (
            "http_headers:\n  X-A:\n    values: [x]\n  headers:\n",
            "http_headers:\n  X-A:\n    values: [x]\n  headers:\n",
        ),
        ("headers:\nuser: y\n", "headers:\nuser: y\n"),
        (
            '{"authorization": {"credentials": "SENTINEL"}, "authorization": "Basic x"}',
            '{"authorization": ********"credentials": ********}, "authorization": ********',
        ),
        (
            'a: {user: u,\n  password: "one\n  two", c: d}\nb: c\n',
            "a: {user: u,\n  password: ********\n  ********, c: d}\nb: c\n",
        ),
        (
            'a: {user: u,\n  password: "one\n  x\\" y\n  two", c: d}\nb: c\n',
            "a: {user: u,\n  password: ********\n  ********\n  ********, c: d}\nb: c\n",
        ),
        (
            "a: {user: u,\n  password: 'one\n  say \"x\"\n  two', c: d}\nb: c\n",
            "a: {user: u,\n  password: ********\n  ********\n  ********, c: d}\nb: c\n",
        ),
        (
            'a: {user: u,\n  password: "one\n  it\'s, {\n  two", c: d}\nb: c\n',
            "a: {user: u,\n  password: ********\n  ********\n  ********, c: d}\nb: c\n",
        ),
        (
            "a: {user: u,\n  password: [one,\n  two: x,\n  three], c: d}\n",
            "a: {user: u,\n  password: ********\n  ********\n  ********, c: d}\n",
        ),
        (
            'a: {user: u,\n  password: [one,\n\n  "two, ]",\n  three], c: d}\n',
            "a: {user: u,\n  password: ********\n\n  ********\n  ********, c: d}\n",
        ),
        ('a: {user: u,\n  password: "one\n" , c: d}\n', "a: {user: u,\n  password: ********\n********, c: d}\n"),
        ('a: {user: u,\n  password: "one\n"\n , c: d}\n', "a: {user: u,\n  password: ********\n********\n , c: d}\n"),
        (
            'a: {user: u,\n  password: [\n    {x: "s", y: [1]},\n    z], c: d}\ne: f\n',
            "a: {user: u,\n  password: ********\n    ********\n    ********, c: d}\ne: f\n",
        ),
        (
            "a: {user: u,\n  password:\n    SENTINEL,\n  c: d}\ne: f\n",
            "a: {user: u,\n  password:\n    ********,\n  c: d}\ne: f\n",
        ),
        (
            "a: {user: u,\n  password: one\n    two\n  , c: d}\ne: f\n",
            "a: {user: u,\n  password: ********\n    ********\n  , c: d}\ne: f\n",
        ),
        ("a: {user: u,\n  password: one\ne: f\n", "a: {user: u,\n  password: ********\ne: f\n"),
        ("a: {b: 1,\nsecureJsonData:\n  x: SENTINEL\n", "a: {b: 1,\nsecureJsonData:\n  x: ********\n"),
        (
            "a: {b: {\n  url: x},\n  webhook_configs: [{\n  url: SENTINEL}],\n  url: y}\n",
            "a: {b: {\n  url: x},\n  webhook_configs: [{\n  url: ********}],\n  url: y}\n",
        ),
        ("secureJsonData: {x: SENTINEL, y: zwei}\nz: u\n", "secureJsonData: {x: ********, y: ********}\nz: u\n"),
        ("a: {secureJsonData: {x: SENTINEL}, y: z}\n", "a: {secureJsonData: {x: ********}, y: z}\n"),
        (
            "secureJsonData:\n  x.y!: SENTINEL\n  ok: SENTINEL\nu: v\n",
            "secureJsonData:\n  ********\n  ok: ********\nu: v\n",
        ),
        (
            '{"a": {"url": "x", "webhook_configs": [{"url": "SENTINEL"}], "url": "y"}}\n',
            '{"a": {"url": "x", "webhook_configs": [{"url": ********}], "url": "y"}}\n',
        ),
        ('a: "{b: {password: SENTINEL}, c: [d]}"\n', 'a: "{b: {password: ********}, c: [d]}"\n'),
        (
            'a: {b: "}", webhook_configs: [{url: "]", x: \'}\'}, {url: zwei}], url: y}\n',
            "a: {b: \"}\", webhook_configs: [{url: ********, x: '}'}, {url: ********}], url: y}\n",
        ),
    ],
)
def test_a_value_is_masked_to_its_end_and_no_further(text, redacted):
    """Over lines, in and out of brackets and quotes, whatever of these a string has in it."""
    assert redact_text(text) == redacted


def test_what_is_shown_in_any_case_stays_readable():
    try:
        know(["shopdata", "zq7Wkv"], "/srv/shopdata")
        assert scrub("/srv/shopdata of zq7Wkv") == f"/srv/shopdata of {MASK}"
        assert scrub_data({"a": ["zq7Wkv"]}) == {"a": [MASK]}
    finally:
        know(())
