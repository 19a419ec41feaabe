# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Known secrets are masked whole in every form, and nothing else is."""

from __future__ import annotations

import base64
import html
import json
import os
import shlex
import textwrap
import time
from urllib.parse import quote, quote_plus

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.module_utils import _redact
from ansible_collections.vigil.monitoring.plugins.module_utils._postgres import literal
from ansible_collections.vigil.monitoring.plugins.module_utils._scrub import EVERYDAY, MASK, Scrubber
from ansible_collections.vigil.monitoring.plugins.module_utils._tree import diff_entry
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import to_yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

HOSTILE = "'\"%{}[]\\$`&<>;:,@/#!?*|~^=()- \täßéñ中😀\n"
# More of them find what is rare, and take minutes.
EXAMPLES = int(os.environ.get("VIGIL_EXAMPLES", "20"))
SECRETS = st.text(st.one_of(st.sampled_from(HOSTILE), st.sampled_from("abcxyzABC0189nrtu")), min_size=6, max_size=24)


def go_quote(secret):
    """Go's %q."""
    named = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return '"' + "".join(named.get(c, c) for c in secret) + '"'


def lower_hex(text):
    """Percent-encoding with small digits."""
    return "".join(part if i == 0 else "%" + part[:2].lower() + part[2:] for i, part in enumerate(text.split("%")))


FORMS = {
    "as it is": lambda s: s,
    "quoted by a shell": shlex.quote,
    "in a shell's double quotes": lambda s: '"' + "".join("\\" + c if c in '"\\$`' else c for c in s) + '"',
    "escaped for a shell": lambda s: "".join(c if c.isalnum() else "\\" + c for c in s),
    "a shell's strings side by side": lambda s: "'" + s.replace("'", "'\\''") + "'",
    "YAML": lambda s: yaml.safe_dump({"x": s})[3:],
    "YAML in double quotes": lambda s: yaml.safe_dump(s, default_style='"', width=1000),
    "YAML in single quotes": lambda s: yaml.safe_dump(s, default_style="'", allow_unicode=True, width=1000),
    "YAML in short lines": lambda s: yaml.safe_dump(s, default_style='"', width=4),
    "our YAML": lambda s: to_yaml({"x": [s]})[5:],
    "JSON": json.dumps,
    "JSON with letters": lambda s: json.dumps(s, ensure_ascii=False),
    "JSON in JSON": lambda s: json.dumps(json.dumps(s)),
    "JSON in JSON in JSON": lambda s: json.dumps(json.dumps(json.dumps(s))),
    "Go's JSON": lambda s: "".join(f"\\u{ord(c):04x}" if c in "<>&" else c for c in json.dumps(s, ensure_ascii=False)),
    "Go's %q": go_quote,
    "Python's repr": repr,
    "Python's ascii": ascii,
    "bytes of Python": lambda s: repr(s.encode())[1:],
    "percent-encoded": quote,
    "percent-encoded, slashes too": lambda s: quote(s, safe=""),
    "percent-encoded as a form": quote_plus,
    "percent-encoded in small digits": lambda s: lower_hex(quote(s, safe="")),
    "percent-encoded twice": lambda s: quote(quote(s, safe=""), safe=""),
    "percent-encoded, every byte": lambda s: "".join(f"%{byte:02X}" for byte in s.encode()),
    "as user information": lambda s: quote(s, safe="$&+,;="),
    "HTML": html.escape,
    "Go's HTML": lambda s: html.escape(s).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    "HTML's numbers": lambda s: s.encode("ascii", "xmlcharrefreplace").decode(),
    "SQL": literal,
    "a connection string": lambda s: "'" + s.replace("\\", "\\\\").replace("'", "\\'") + "'",
    "systemd": lambda s: '"' + go_quote(s)[1:-1].replace("%", "%%").replace("$", "$$") + '"',
    "Base64": lambda s: base64.b64encode(s.encode()).decode(),
    "Base64 of a login": lambda s: base64.b64encode(f"me:{s}".encode()).decode(),
    "Base64 of another login": lambda s: base64.b64encode(f"you:{s}".encode()).decode(),
    "Base64 in JSON": lambda s: (
        base64.b64encode(json.dumps({"auth": s}, ensure_ascii=False).encode()).decode()
        if json.dumps(s, ensure_ascii=False)[1:-1] == s
        else ""
    ),
    "Base64 for URLs": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "hexadecimal": lambda s: s.encode().hex(),
    "hexadecimal, large": lambda s: s.encode().hex().upper(),
    "in the wrong encoding": lambda s: s.encode().decode("latin-1"),
    "without letters that it has": lambda s: s.encode("ascii", "replace").decode(),
}


def left_over(secret, text):
    """What a masked text still has between its marks, without the quotes that may stand around."""
    inside = text[len("before ¦") : -len("¦ after")]
    return inside.strip("'\"bE|-=\\\n. \t" if MASK in inside else "").replace(MASK, "")


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True)
@given(secret=SECRETS)
@example(secret="it's my word")
@example(secret='say "please", 100%')
@example(secret="{{ jinja }} ${shell} C:\\dir\\new")
@example(secret="päßwörd-中文-😀")
@example(secret="two lines\nof one secret\n\nand a third")
@example(secret="''''''\"\"\"\"")
@example(secret="\\\\\\\\\\\\")
def test_every_form_of_a_secret_is_masked_whole(form, secret):
    secret = secret.strip()
    assume(len(secret) > 4 and not secret.isdigit() and secret != MASK)
    text = "before ¦" + FORMS[form](secret) + "¦ after"
    found = Scrubber([secret]).text(text)
    assert found.startswith("before ¦") and found.endswith("¦ after"), found
    assert left_over(secret, found) == "", (FORMS[form](secret), found)


@settings(max_examples=3 * EXAMPLES, deadline=None, database=None, derandomize=True)
@given(st.lists(SECRETS, min_size=1, max_size=4), st.sampled_from(sorted(FORMS)), st.sampled_from(sorted(FORMS)))
def test_a_form_within_a_form_is_masked(secrets, inner, outer):
    secrets = [one.strip() for one in secrets if len(one.strip()) > 5 and not one.strip().isdigit()]
    scrubber = Scrubber(secrets)
    for secret in secrets:
        word = max(secret.split(), key=len)
        if len(word) > 5 and word.isascii() and word.isalnum() and "Base64" not in inner + outer:
            assert word not in scrubber.text("x " + FORMS[outer](FORMS[inner](secret)) + " y")


WORDS = [
    "grafana",
    "prometheus",
    "admin",
    "postgres",
    "password",
    "monitoring",
    "9090",
    "Alertmanager",
    "node_exporter",
]
READABLE = """/etc/{w}/{w}.ini
the user {w} may not read /var/lib/{w}: permission denied
FATAL: password authentication failed for user "{w}"
{w}.service failed verification
http://{w}.example.org:9090/{w}/-/ready
--config.file=/etc/{w}/{w}.yml
[{w}] restarted, {w} is up
{w}_password is given as {w}_password_file as well
secret /etc/{w}/secrets/{w}.password does not exist
user={w} database={w}
password: {w}.ini is no password
"""
AS_VALUES = """password={w}
password: {w}
password: "{w}"
"password": "{w}"
{{"password":"{w}","user":"me"}}
the password is {w}
--web.password {w}
--web.password={w}
DB_PASSWORD='{w}'
http://me:{w}@host/
\\"token\\": \\"{w}\\"
smtp_auth_password: {w}
authorization: Bearer {w}
secret_key={w} x
api_key: [{w}]
"""


@pytest.mark.parametrize("word", WORDS)
def test_an_everyday_word_is_masked_as_a_value_alone(word):
    readable = READABLE.format(w=word)
    assert Scrubber([word]).text(readable) == readable
    for line in AS_VALUES.format(w=word).splitlines():
        before, dummy, after = line.rpartition(word)
        assert Scrubber([word]).text(line) == before + MASK + after


@pytest.mark.parametrize("word", WORDS)
def test_an_everyday_word_is_masked_where_it_is_encoded_as_a_login(word):
    login = base64.b64encode(f"admin:{word}".encode()).decode()
    assert login not in Scrubber([word]).text(f"Authorization: Basic {login}")


@pytest.mark.parametrize("word", ["swordfish", "Sesame", "hunter2", "goodword1", "123456789"])
def test_a_word_that_nobody_needs_is_masked_in_sentences(word):
    text = f"it is {word}, ({word}) '{word}' x/{word}/y \\n{word}\\n %27{word}%27"
    assert word not in Scrubber([word]).text(text)
    assert Scrubber([word]).text(f"a{word}s") == f"a{word}s" or not word.isalpha()


def test_a_word_that_the_module_shows_in_any_case_is_no_secret_there():
    assert Scrubber(["kraken"], shown="/etc/kraken/x.yml").text("/etc/kraken/x.yml") == "/etc/kraken/x.yml"
    assert Scrubber(["kraken"]).text("/etc/kraken/x.yml") == f"/etc/{MASK}/x.yml"
    assert Scrubber(["kraken-1"], shown="kraken-1").text("kraken-1") == MASK


def test_the_lines_of_a_private_key_are_masked_one_by_one():
    body = base64.b64encode(bytes(range(256))).decode()
    key = "-----BEGIN PRIVATE KEY-----\n" + "\n".join(textwrap.wrap(body, 64)) + "\n-----END PRIVATE KEY-----\n"
    for text in (key, textwrap.indent(key, "      "), json.dumps(key), textwrap.wrap(body, 64)[2]):
        assert not any(line in Scrubber([key]).text(text) for line in textwrap.wrap(body, 64))


def test_a_line_of_a_secret_is_masked_alone_where_it_is_long_enough():
    scrubber = Scrubber(["-----BEGIN zq-----\nzq7Wkv9x\nzq7Wkv1"])
    assert scrubber.text("-----BEGIN zq----- zq7Wkv9x and zq7Wkv1") == f"-----BEGIN zq----- {MASK} and zq7Wkv1"
    assert Scrubber(["zq7Wkv9x\nzq7Wkv9y"]).text("zq7Wkv9x, zq7Wkv9y") == f"{MASK}, {MASK}"


def test_what_is_no_text_stays():
    data = {"a": [1, None, True, 2.5], "swordfish": {"b": ("swordfish", b"swordfish")}}
    assert Scrubber(["swordfish"]).data(data) == {"a": [1, None, True, 2.5], MASK: {"b": [MASK, MASK.encode()]}}


def test_short_and_empty_secrets_make_nothing_unreadable():
    text = "on and off, 1 of 2: a x on"
    assert Scrubber(["", " ", "on", "a", "1", MASK]).text(text) == text
    assert Scrubber(["on"]).text("password: on") == f"password: {MASK}"


def test_time_is_linear_in_a_hostile_text():
    scrubber = Scrubber(["a" + "\\" * 20 + "b", "''''''''''''''''c", "x y  z\n\n1", '"\\"\\"\\"\\"\\"\\"d', "é" * 20])
    before = time.process_time()
    for text in ("\\" * 30000, "'" * 30000, '\\"' * 15000, "\\n" * 15000 + "y", "x" + " \\n" * 10000, "?" * 30000):
        scrubber.text("a c d x z b 1" + text)
    assert time.process_time() - before < 8


@settings(max_examples=2 * EXAMPLES, deadline=None, database=None, derandomize=True)
@given(SECRETS)
def test_no_diff_shows_a_secret_of_an_earlier_generation(secret):
    """Nobody knows it any more: the key gives it away."""
    sentinel = "SENTINEL" + secret + "SENTINEL"
    data = {"basic_auth": {"username": "me", "password": sentinel}, "list": [{"bearer_token": sentinel, "x": 1}]}
    for before in (
        to_yaml(data),
        yaml.safe_dump(data),
        json.dumps(data),
        yaml.safe_dump(data, default_flow_style=True),
    ):
        assert "SENTINEL" not in json.dumps(diff_entry("/x", before, None, False))
    for shown in (f"password={shlex.quote(sentinel)} x=y", f'level=error password={json.dumps(sentinel)} err="x"'):
        if "\n" not in shown:
            assert "SENTINEL" not in _redact.redact_text(shown), shown


def test_a_known_secret_is_masked_before_keys_are_looked_for():
    _redact.know(["it's my word"])
    try:
        assert "my word" not in _redact.redact_text("could not log in: password=it's my word' sslmode=disable")
        assert "my word" not in _redact.redact_text("could not log in: password='it\\'s my word' sslmode=disable")
    finally:
        _redact.know(())


PROSE = """authorization credentials or bearer token file
at most one of basic_auth, authorization, oauth2, azuread & sigv4 must be configured
authorization type cannot be set to "basic", use "basic_auth" instead
Authorization header must be changed via the basic_auth, authorization parameter
at most one of bearer_token & bearer_token_file must be configured
at most one of authorization credentials & credentials_file must be configured
Basic authentication failed, bearer transportation too
the secret credentials are wrong: password, token and key are missing
"""


def test_words_of_prose_stay():
    assert _redact.redact_text(PROSE) == PROSE
    assert Scrubber(["token", "credentials", "basic"]).text(PROSE) == PROSE


def test_everyday_words_are_words():
    assert all(word == word.lower() and word.replace("_", "").isalpha() for word in EVERYDAY)


# What a program may write for one character; the secret stands around it.
LETTERS = {"\a": "a", "\b": "b", "\f": "f", "\v": "v", "\x1b": "e", "\0": "0"}
ONE_BY_ONE = [
    *LETTERS,
    "'",
    '"',
    "<",
    "\\",
    "\x80",
    "\x85",
    "\u00a0",
    "\u2003",
    "\u2028",
    "\xff",
    "\u0100",
    "é",
    "€",
    "\uffff",
    "\U00010000",
    "😀",
]


def forms_of(character):
    """The forms of one character that need no other program to be made."""
    code, utf8 = ord(character), character.encode()
    if code < 0x10000:
        yield f"\\u{code:04x}"
        yield f"\\u{code:04X}"
    else:
        high, low = divmod(code - 0x10000, 0x400)
        yield f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
    yield f"\\U{code:08x}"
    yield f"\\u{{{code:x}}}"
    if code < 0x100:
        yield f"\\x{code:02x}"
        yield f"\\{code:03o}"
    if code >= 0x80:
        yield "".join(f"\\x{byte:02x}" for byte in utf8)
        yield "".join(f"\\{byte:03o}" for byte in utf8)
        yield utf8.decode("latin-1")
        yield "?"
        yield "\ufffd"
    if character in LETTERS:
        yield "\\" + LETTERS[character]
    yield f"&#{code};"
    yield f"&#0{code};"
    yield f"&#x{code:x};"
    yield f"&#X{code:x};"
    yield f"&amp;#{code};"
    yield {"'": "&apos;", '"': "&quot;", "<": "&lt;", "é": "&eacute;", "\u00a0": "&nbsp;"}.get(character, character)
    yield {'"': '"\'"\'"', "'": "'\"'\"'"}.get(character, character)
    yield "".join(f"%{byte:02x}" for byte in utf8)
    yield "".join(f"%25{byte:02x}" for byte in utf8)


@pytest.mark.parametrize("character", ONE_BY_ONE, ids=lambda character: f"U+{ord(character):04X}")
def test_each_form_of_one_character_is_masked(character):
    scrubber = Scrubber([f"Zq7{character}Wm4kv"])
    for form in forms_of(character):
        assert scrubber.text(f"pre Zq7{form}Wm4kv post") == f"pre {MASK} post", form


@pytest.mark.parametrize("secret", ["Zq7-Wm4", "zq7W", "é€q7w", "k\ud800lm9"])
def test_a_secret_whose_every_character_is_a_number_is_masked(secret):
    encoded = secret.encode("utf-8", "surrogatepass")
    scrubber = Scrubber([secret])
    for form in (
        encoded.hex(),
        "".join(f"\\x{byte:02x}" for byte in encoded),
        "".join(f"\\x{byte:02X}" for byte in encoded),
        "".join(f"%{byte:02X}" for byte in encoded),
        "".join(f"&#{ord(character)};" for character in secret),
        "".join(f"\\u{ord(character):04x}" for character in secret),
        "".join(f"\\u{ord(character):04X}" for character in secret),
    ):
        assert scrubber.text(f"pre {form} post") == f"pre {MASK} post", form


@pytest.mark.parametrize("before", ["", "a", "ab"])
@pytest.mark.parametrize("secret", ["zq7W", "zq7Wk", "zq7Wkv"])
def test_the_shortest_secret_is_masked_in_base64_whatever_stands_before(secret, before):
    """Five characters tell it; four bytes have as many wherever they begin but one."""
    encoded = base64.b64encode((before + secret).encode()).decode()
    masked = Scrubber([secret]).text(f"pre {encoded} post")
    assert masked == (f"pre {MASK} post" if (secret, before) != ("zq7W", "a") else f"pre {encoded} post")


def test_base64_is_masked_wherever_it_stands_and_however_often():
    encoded = base64.b64encode(b"me:zq7Wkv9x").decode()
    assert Scrubber(["zq7Wkv9x"]).text(f"{encoded} {encoded} and {encoded}") == f"{MASK} {MASK} and {MASK}"
    alone = base64.b64encode(b"zq7Wkv9x").decode()
    assert Scrubber(["zq7Wkv9x"]).text(alone) == MASK


@pytest.mark.parametrize(
    ("secret", "shown", "text", "masked"),
    [
        # Four signs are enough, where they are no word.
        ("zq7W", "", "it is zq7W there", f"it is {MASK} there"),
        ("zq7W", "", "xxzq7Wyy", f"xx{MASK}yy"),
        ("zqxw", "", "xxzqxwyy", "xxzqxwyy"),
        # A port is no secret in a sentence, and a number with another digit is.
        ("12345", "", "port 12345 is taken", "port 12345 is taken"),
        ("123456", "", "port 123456 is taken", f"port {MASK} is taken"),
        ("123456", "", "7123456", "7123456"),
        # What is shown in any case: a word of up to fifteen letters.
        ("abcdefghijklmno", "/srv/abcdefghijklmno", "in abcdefghijklmno", "in abcdefghijklmno"),
        ("abcdefghijklmnop", "/srv/abcdefghijklmnop", "in abcdefghijklmnop", f"in {MASK}"),
        ("app2024", "/srv/app2024", "in app2024", f"in {MASK}"),
    ],
)
def test_what_is_a_word_and_what_is_a_secret(secret, shown, text, masked):
    assert Scrubber([secret], shown).text(text) == masked


def test_bytes_that_are_no_text_are_masked_too():
    scrubber = Scrubber(["zq7Wkv9x"])
    assert scrubber.data(b"\xff\xfe zq7Wkv9x \x80") == b"\xff\xfe " + MASK.encode() + b" \x80"
    assert scrubber.finds("a zq7Wkv9x") and not scrubber.finds("nothing")
