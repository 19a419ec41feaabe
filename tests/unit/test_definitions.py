# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No class and no module defines a name twice: the second one would take the place of the first, and nothing would say so."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
FILES = sorted(str(path.relative_to(PLUGINS)) for path in PLUGINS.rglob("*.py"))


def defined_twice(text):
    """The functions and classes that a program defines more than once in one place; not the setter of a property."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef)):
            kinds = (ast.FunctionDef, ast.ClassDef)
            names = [
                one.name
                for one in node.body
                if isinstance(one, kinds) and not any(isinstance(mark, ast.Attribute) for mark in one.decorator_list)
            ]
            found += sorted(name for name, count in Counter(names).items() if count > 1)
    return found


@pytest.mark.parametrize("path", FILES)
def test_every_name_is_defined_once(path):
    assert defined_twice((PLUGINS / path).read_text(encoding="utf-8")) == []


def test_a_second_definition_is_seen():
    assert defined_twice("class A:\n def one(self): pass\n def two(self): pass\n def one(self, more): pass\n") == [
        "one"
    ]
    assert defined_twice("class A:\n @x.setter\n def one(self, v): pass\n def one(self): pass\n") == []
