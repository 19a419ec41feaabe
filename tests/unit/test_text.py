# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The YAML of the inventory's structures: what is written quickly is what the library writes."""

from __future__ import annotations

import random
import time

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _text
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import to_yaml

TEXTS = (
    *(
        "",
        "a",
        "node",
        "10.0.0.1:9100",
        "[::1]:9100",
        "/etc/x.yml",
        "a:b",
        "a: b",
        "a #b",
        "#a",
        "- a",
        "-a",
        "--flag=x",
    ),
    *(
        "true",
        "True",
        "yes",
        "no",
        "on",
        "off",
        "null",
        "~",
        "1",
        "0x1f",
        "0o17",
        "017",
        "1e3",
        "1.5",
        ".5",
        "1_000",
        "1:30",
    ),
    *(
        "190:20:30",
        "1:30.5",
        "2024-05-01",
        "2024-05-01T12:00:00Z",
        "12:00",
        "y",
        "n",
        "=",
        "<<",
        "_",
        "1:2:3:x",
        "a:",
        ":a",
    ),
    *(
        "{{ x }}",
        "[a]",
        "a, b",
        "'a'",
        '"a"',
        "it's",
        "\\",
        "a\\b",
        "ü",
        "\u2028",
        "\x07",
        " a",
        "a ",
        "a  b",
        "%a",
        "@a",
        "`a",
    ),
    *(
        "a\nb",
        "a\n",
        "\n",
        "a\tb",
        "...",
        "---",
        "a---",
        "x" * 300,
        "word " * 300,
        "|",
        ">",
        "?",
        "? a",
        "!a",
        "&a",
        "*a",
    ),
    *(
        "infinity",
        ".inf",
        "-.inf",
        ".nan",
        "+1",
        "1s",
        "15s",
        "0b11",
        "0",
        "-1",
        "1.",
        "1.e",
        "1e",
        "_1",
        "/",
        "a/",
        "a.",
    ),
)
STRUCTURES = (
    *(
        {},
        [],
        {"a": {}},
        {"a": []},
        [[]],
        [[1]],
        [["a"], ["b"]],
        [{}],
        {"a": [[]]},
        {"a": {"b": [{"c": ["d", {"e": 1}]}]}},
    ),
    *(
        None,
        True,
        1,
        1.5,
        "text",
        {"a": None, "b": False, "c": 0, "d": 1.5},
        [None, True],
        {1: "a"},
        {True: 1},
        {None: 1},
    ),
    *({"a": "b\nc", "d": [1]}, [{"targets": ["10.0.0.1:9100"], "labels": {"host": "a", "rack": "1"}}], {"x" * 130: 1}),
    *(
        {"x" * 300: 1},
        {"a b": 1},
        {"yes": 1},
        {"": 1},
        {"a\nb": 1},
        [[{"a": 1}]],
        {"a": [{"b": []}, {}]},
        {"a": ("b", "c")},
    ),
)


def library(data):
    """What the library writes, which reads it back as well."""
    written = _text._by_library(_text.plain(data))
    assert yaml.safe_load(written) == _text.plain(data)
    return written


@pytest.mark.parametrize("text", TEXTS)
def test_text_anywhere(text):
    for data in ({"key": text}, [text], {text: "value"}, [{text: text}], {"a": {"b": [text, {"c": text}]}}):
        assert to_yaml(data) == library(data)


@pytest.mark.parametrize("data", STRUCTURES)
def test_structures(data):
    assert to_yaml(data) == library(data)


def test_structures_of_all_kinds():
    rng = random.Random(15)

    def anything(depth):
        kind = rng.random()
        if depth and kind < 0.35:
            return {rng.choice(TEXTS): anything(depth - 1) for dummy in range(rng.randrange(4))}
        if depth and kind < 0.6:
            return [anything(depth - 1) for dummy in range(rng.randrange(4))]
        return rng.choice((None, True, False, 0, -7, 12, 0.25, *TEXTS))

    for dummy in range(3000):
        data = anything(5)
        assert to_yaml(data) == library(data)


def test_ten_thousand_targets_are_written_quickly(monkeypatch):
    """Not by the library; the bound is far away, for a busy machine."""
    monkeypatch.setattr(_text, "_by_library", None)
    groups = [
        {"targets": [f"10.0.{number >> 8}.{number & 255}:9100"], "labels": {"host": f"node{number}", "rack": "r1"}}
        for number in range(10_000)
    ]
    began = time.process_time()
    written = to_yaml(groups)
    assert time.process_time() - began < 5
    assert yaml.safe_load("".join(written.partition("- targets:\n    - 10.0.0.3:")[:1])) == groups[:3]
