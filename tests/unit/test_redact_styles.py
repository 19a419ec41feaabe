# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""However a configuration is written, each secret in it is masked and nothing else: in block and flow style, in JSON with and
without indentation, with the key that makes a value a secret on an earlier line."""

from __future__ import annotations

import json
import os

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.module_utils._redact import is_secret_key, redact_text
from hypothesis import given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("VIGIL_EXAMPLES", "40"))
LISTS = ("webhook_configs", "discord_configs", "receivers", "routes", "jobs")
MAPS = ("secureJsonData", "basic_auth_users", "tls_config", "smtp_tls_config", "basic_auth", "labels")
LEAVES = ("url", "key", "password", "api_url", "user", "credentials", "title", "severity", "bearer_token")
# Signs that mean something to a parser, and to a search for keys.
SIGNS = ("", " it's", ", x", " {y", "}", "] z", " # no comment", ": a", ' "q"', " [", "\n  two")


class Data:
    """A structure and what of it is secret."""

    def __init__(self, draw):
        self.draw, self.secrets, self.others = draw, [], []
        self.document = self.mapping(None, 3)

    def value(self, key, above, secret, depth):
        secret = secret or is_secret_key(key, above)
        if key in LISTS:
            many = range(self.draw(st.integers(1, 3)))
            return [self.mapping(key, depth - 1, secret) for dummy in many]
        if key in MAPS:
            return self.mapping(key, depth - 1, secret)
        kind, found = ("SECRET", self.secrets) if secret else ("open", self.others)
        found.append(f"{kind}{len(found)}x")
        return found[-1] + self.draw(st.sampled_from(SIGNS)) + ("SECRET" if secret else "")

    def mapping(self, above, depth, secret=False):
        names = LEAVES if depth <= 0 else LEAVES + LISTS + MAPS
        chosen = self.draw(st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True))
        return {key: self.value(key, above, secret, depth) for key in chosen}


class Writer:
    """Writes YAML as a person would not, and every parser reads it."""

    def __init__(self, draw):
        self.draw = draw

    def one(self, *choices):
        return self.draw(st.sampled_from(choices))

    def scalar(self, text):
        quoted = json.dumps(text, ensure_ascii=False)
        single = "'" + text.replace("'", "''") + "'"
        return quoted if "\n" in text else self.one(quoted, single)

    def gap(self):
        """Between two signs of a flow mapping."""
        return self.one("", "", " ", "\n", "\n  ", "\n\n", " # don't {\n", "\n    ")

    def flow(self, data):
        if isinstance(data, dict):
            inner = [self.key(key) + self.one(":", " :") + " " + self.gap() + self.flow(data[key]) for key in data]
        elif isinstance(data, list):
            inner = [self.flow(item) for item in data]
        else:
            return self.scalar(data)
        opened, closed = "{}" if isinstance(data, dict) else "[]"
        return opened + self.gap() + (self.gap() + "," + self.gap()).join(inner) + self.gap() + closed

    def key(self, key):
        return self.one(key, f'"{key}"', f"'{key}'")

    def block(self, data, indent=0):
        """The lines of a node in block style; those of a flow mapping may be indented less."""
        lines = []
        for key, value in data.items() if isinstance(data, dict) else ():
            head = (
                " " * indent
                + self.key(key)
                + ":"
                + self.one("", "", " # it's {", " &a1" if indent == 0 and not lines else "")
            )
            if isinstance(value, str) or self.one(True, False, False):
                head = head.split(" #")[0]
                lines += (head + " " + (self.scalar(value) if isinstance(value, str) else self.flow(value))).split("\n")
            elif isinstance(value, dict):
                lines += [head, *self.block(value, indent + self.one(1, 2, 4))]
            else:
                lines += [head, *self.items(value, indent + self.one(0, 2, 4))]
        return lines

    def items(self, data, indent):
        lines = []
        for item in data:
            way = self.one("compact", "alone", "flow")
            if way == "flow":
                lines += (" " * indent + "- " + self.flow(item)).split("\n")
            elif way == "alone":
                lines += [" " * indent + "-", *self.block(item, indent + self.one(1, 2, 4))]
            else:
                first, *further = self.block(item, indent + 2)
                lines += [" " * indent + "- " + first[indent + 2 :], *further]
        return lines


STYLES = {
    "JSON": lambda data, draw: json.dumps(data),
    "JSON without blanks": lambda data, draw: json.dumps(data, separators=(",", ":")),
    "JSON in lines without indentation": lambda data, draw: json.dumps(data, indent=0),
    "JSON in lines": lambda data, draw: json.dumps(data, indent=draw(st.integers(1, 4)), separators=(",", ": ")),
    "JSON in lines of a list": lambda data, draw: json.dumps([data], indent=0),
    "JSON with tabs": lambda data, draw: json.dumps(data, indent="\t"),
    "block": lambda data, draw: yaml.safe_dump(data, sort_keys=False, width=1000),
    "block in short lines": lambda data, draw: yaml.safe_dump(data, sort_keys=False, width=20),
    "block with flow": lambda data, draw: yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=30),
    "flow": lambda data, draw: yaml.safe_dump(data, sort_keys=False, default_flow_style=True, width=20),
    "flow in double quotes": lambda data, draw: yaml.safe_dump(
        data, default_flow_style=True, default_style='"', width=30
    ),
    "flow in any lines": lambda data, draw: Writer(draw).flow(data),
    "block in any lines": lambda data, draw: "\n".join(Writer(draw).block(data)),
    "below a comment": lambda data, draw: "# it's\n---\n" + Writer(draw).flow(data),
}


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True)
@given(choices=st.data())
def test_secrets_are_masked_and_nothing_else_in_any_style(style, choices):
    data = Data(choices.draw)
    text = STYLES[style](data.document, choices.draw)
    read = json.loads(text) if "\t" in text else yaml.safe_load(text)
    assert data.document in (read, read if isinstance(read, dict) else read[0])
    found = redact_text(text)
    assert "SECRET" not in found, (text, found)
    assert [name for name in data.others if name not in found] == [], (text, found)
    assert found.count("\n") == text.count("\n")
