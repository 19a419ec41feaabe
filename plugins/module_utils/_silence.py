# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Silences that are wanted against those that there are. No I/O."""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils._alertmanager_api import from_time

# A name is any text from Alertmanager 0.27 on, quoted where it has blanks or signs; an earlier one refuses it by itself.
_MATCHER = re.compile(
    r"""\s*("(?:[^"\\]|\\.)+"|[^\s{}!=~,\\"'`]+)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|[^"\s=~][^"]*|)\s*""", re.S
)
_CLASSIC = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# What lies between two commas that are in no quotes.
_PART = re.compile(r"""(?:[^",]|"(?:[^"\\]|\\.)*"?)+""", re.S)
# Alertmanager takes any other backslash for itself, so that "web\d+" is a regular expression with a digit.
_ESCAPE = re.compile(r'\\(["\\n])')
# operator -> isRegex, isEqual
OPERATORS = {"=": (False, True), "!=": (False, False), "=~": (True, True), "!~": (True, False)}


class Matcher(NamedTuple):
    """One matcher, as the API has it."""

    name: str
    value: str
    regex: bool
    equal: bool

    def __str__(self):
        operator = next(sign for sign, kind in OPERATORS.items() if kind == (self.regex, self.equal))
        name = self.name if _CLASSIC.fullmatch(self.name) else _quoted(self.name)
        return "{0}{1}{2}".format(name, operator, _quoted(self.value))

    def problem(self):
        """Why Python cannot tell what its regular expression matches; None where it can."""
        try:
            re.compile(self.value if self.regex else "")
        except re.error as error:
            return "{0!r} has no valid regular expression: {1}".format(str(self), error)
        return None

    def accepts_empty(self):
        """Whether an alert without the label matches."""
        return (bool(re.fullmatch(self.value, "")) if self.regex else self.value == "") == self.equal

    def as_dict(self):
        """The format of the API."""
        return {"name": self.name, "value": self.value, "isRegex": self.regex, "isEqual": self.equal}


def _quoted(text):
    return '"{0}"'.format(text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))


def _unquoted(text):
    if not text.startswith('"'):
        return text
    return _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], text[1:-1])


def parts(text):
    """The texts of the matchers in one that may have several: ``{service="api", severity=~"warning|info"}``."""
    text = text.strip()
    text = text[text.startswith("{") : len(text) - text.endswith("}")]
    return [part for part in _PART.findall(text) if part.strip()]


def read(text):
    """A matcher as Alertmanager's routes write it: ``service="api"``, ``instance=~"web.*"``.

    :raises ValueError: when it is none.
    """
    found = _MATCHER.fullmatch(text)
    if not found:
        raise ValueError('{0!r} is not a matcher; write one such as service="api" or instance=~"web.*"'.format(text))
    name, operator, value = found.groups()
    value = _unquoted(value) if value.startswith('"') else value.strip()
    return Matcher(_unquoted(name), value, *OPERATORS[operator])


def parse(text):
    """A matcher, as by :func:`read`, whose regular expression is valid.

    :raises ValueError: when it is invalid.
    """
    matcher = read(text)
    problem = matcher.problem()
    if problem:
        raise ValueError(problem)
    return matcher


def parse_all(texts):
    """Matchers, sorted; one text may have several.

    :raises ValueError: when one is invalid, or all of them together match everything.
    """
    matchers = sorted({parse(part) for text in texts for part in parts(text) or [text]})
    if all(matcher.accepts_empty() for matcher in matchers):
        raise ValueError("these matchers would silence everything: set at least one that requires a label")
    return matchers


def matchers_of(silence):
    """The matchers of a silence of the API, sorted."""
    return sorted(
        Matcher(entry["name"], entry["value"], entry["isRegex"], entry.get("isEqual", True))
        for entry in silence["matchers"]
    )


def equal_ones(silences, matchers, author=None):
    """The active or pending silences with exactly these matchers, the longest first.

    :param silences: as the API lists them.
    :param author: their author; None: any.
    """
    found = [
        silence
        for silence in silences
        if silence["status"]["state"] in ("active", "pending")
        and matchers_of(silence) == matchers
        and author in (None, silence["createdBy"])
    ]
    return sorted(found, key=lambda silence: from_time(silence["endsAt"]), reverse=True)


def shown(silence):
    """A silence for a diff."""
    if silence is None:
        return {}
    return {
        "matchers": [str(matcher) for matcher in matchers_of(silence)],
        "ends_at": silence["endsAt"],
        "comment": silence["comment"],
        "author": silence["createdBy"],
    }
