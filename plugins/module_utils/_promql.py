# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of PromQL that is needed to evaluate an alert again: durations, and an expression without its threshold."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils import _duration

_DURATION = re.compile(r"(?:\d+(?:ms|[ywdhms]))+")
_TOKEN = re.compile(
    r"""
    (?P<blank>\s+|\#[^\n]*)
    | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
    | (?P<number>0[xX][0-9a-fA-F]+(?![\w.])|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<duration>(?:\d+(?:ms|[ywdhms]))+)
    | (?P<word>[a-zA-Z_:][\w:.]*)
    | (?P<compare>==|!=|>=|<=|>|<)
    | (?P<match>=~|!~|=)
    | (?P<open>[(\[{])
    | (?P<close>[)\]}])
    | (?P<other>[-+*/%^,:@])
    """,
    re.VERBOSE,
)
_CLOSES = {"(": ")", "[": "]", "{": "}"}
# They have a lower precedence than a comparison: the left side of the threshold would be another expression.
_LOOSE = ("and", "or", "unless")
OPERATORS = (">", ">=", "<", "<=")


class Threshold(NamedTuple):
    """An alert's expression, taken apart: ``expr op threshold``."""

    expr: str
    op: str
    threshold: float


class _Token(NamedTuple):
    kind: str
    text: str
    depth: int
    start: int
    end: int


def seconds(duration):
    """A duration such as ``24h``, ``1d12h`` or ``90`` (seconds) as a whole number of seconds.

    :raises ValueError: when it is no duration, or shorter than a second.
    """
    text = str(duration).strip()
    if text.isdigit():
        total = int(text)
    elif _DURATION.fullmatch(text):
        total = int(_duration.seconds(text))
    else:
        raise ValueError("{0!r} is not a duration such as 24h, 7d or 1d12h".format(text))
    if total < 1:
        raise ValueError("{0!r} is shorter than a second".format(text))
    return total


def duration(total):
    """Seconds as a duration of Prometheus, with one unit: ``7d``, ``36h``, ``90s``."""
    total = int(total)
    for unit in ("d", "h", "m"):
        if total and total % _duration.UNITS[unit] == 0:
            return "{0}{1}".format(total // _duration.UNITS[unit], unit)
    return "{0}s".format(total)


def number(value):
    """A number as PromQL reads it back."""
    return repr(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def split(expression):
    """Split ``X > NUMBER``, if the comparison is the outermost and last operation in it.

    :returns: a :class:`Threshold`.
    :raises ValueError: when it has another form; the message says why.
    """
    tokens = _tokens(expression)
    while _wrapped(tokens):
        tokens = [token._replace(depth=token.depth - 1) for token in tokens[1:-1]]
    top = [token for token in tokens if token.depth == 0]
    if any(token.kind == "word" and token.text.lower() in _LOOSE for token in top):
        raise ValueError("and, or, unless: more than one condition")
    compared = [index for index, token in enumerate(tokens) if token.kind == "compare" and token.depth == 0]
    if not compared:
        raise ValueError("no comparison")
    if len(compared) > 1:
        raise ValueError("more than one comparison")
    at = compared[0]
    left, operator, right = tokens[:at], tokens[at].text, tokens[at + 1 :]
    if right and right[0].kind == "word" and right[0].text.lower() == "bool":
        raise ValueError("bool: it returns 0 or 1 instead of filtering")
    sign = 1
    if len(right) == 2 and right[0].text in "+-":
        sign = -1 if right[0].text == "-" else 1
        right = right[1:]
    if len(right) != 1 or right[0].kind != "number":
        raise ValueError("not compared with a plain number")
    if operator not in OPERATORS:
        raise ValueError("{0} has no adjustable threshold".format(operator))
    if not left or all(token.kind in ("number", "other", "open", "close") for token in left):
        raise ValueError("no metric is compared")
    text = right[0].text
    value = sign * float(int(text, 16) if text[:2].lower() == "0x" else text)
    return Threshold(expression[left[0].start : left[-1].end], operator, value)


def _tokens(expression):
    """The tokens without blanks; each has the number of brackets around it, a bracket that of what surrounds it."""
    tokens, at, brackets = [], 0, []
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if not match:
            raise ValueError("cannot be parsed at {0!r}".format(expression[at : at + 20]))
        kind, text = match.lastgroup, match.group()
        if kind == "close":
            if not brackets or _CLOSES[brackets.pop()] != text:
                raise ValueError("its brackets do not match")
        if kind != "blank":
            tokens.append(_Token(kind, text, len(brackets), at, match.end()))
        if kind == "open":
            brackets.append(text)
        at = match.end()
    if brackets:
        raise ValueError("its brackets do not match")
    if not tokens:
        raise ValueError("it is empty")
    return tokens


def _wrapped(tokens):
    """Whether one pair of parentheses holds everything."""
    if len(tokens) < 3 or tokens[0].text != "(" or tokens[-1].text != ")":
        return False
    return all(token.depth > 0 for token in tokens[1:-1])


def proposal(value, operator):
    """A threshold that a value stays within, in two significant digits: rounded up for an upper one, down for a lower one."""
    if not math.isfinite(value) or value == 0:
        return value
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    rounded = (math.ceil if operator.startswith(">") else math.floor)(round(value / unit, 9)) * unit
    return float("{0:.12g}".format(rounded))
