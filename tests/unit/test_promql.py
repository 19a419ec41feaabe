# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions taken apart at their threshold, durations, proposals."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _duration, _promql


@pytest.mark.parametrize(
    "expression, expected",
    [
        ("node_load1 > 4", ("node_load1", ">", 4)),
        ("a:b:rate5m>0.5", ("a:b:rate5m", ">", 0.5)),
        ("x > -1e-3", ("x", ">", -0.001)),
        ("x <= +0x1f", ("x", "<=", 31)),
        ("(a > 5)", ("a", ">", 5)),
        ("((a) / (b) >= .5)", ("(a) / (b)", ">=", 0.5)),
        ("(a) + (b) > 5", ("(a) + (b)", ">", 5)),
        ('100 * (1 - a{x=">5"} / b{y!~"<|>= 3"}) > 80', ('100 * (1 - a{x=">5"} / b{y!~"<|>= 3"})', ">", 80)),
        ("time() - max(a) > 60", ("time() - max(a)", ">", 60)),
        ("a offset 5m < 3", ("a offset 5m", "<", 3)),
        ("sum by (and, or) (rate(a[5m])) > 2", ("sum by (and, or) (rate(a[5m]))", ">", 2)),
        ("max(a > 3) > 5", ("max(a > 3)", ">", 5)),
        ("(a and b > 1) > 5", ("(a and b > 1)", ">", 5)),
        ('a{b="\\"> 3"} > 5 # > 7', ('a{b="\\"> 3"}', ">", 5)),
        ("a # first\n > 5", ("a", ">", 5)),
    ],
)
def test_what_is_compared_with_a_number(expression, expected):
    assert _promql.split(expression) == expected


@pytest.mark.parametrize(
    "expression, why",
    [
        ("up == 0", "== has no adjustable"),
        ("a != 3", "!= has no adjustable"),
        ("a > bool 5", "bool"),
        ("a > b", "not compared with a plain number"),
        ("a > 24 * 3600", "not compared with a plain number"),
        ("a > 5m", "not compared with a plain number"),
        ("a > 5 + b", "not compared with a plain number"),
        ("5 < a", "not compared with a plain number"),
        ("a > on (job) 5", "not compared with a plain number"),
        ("a > 5 and b > 3", "more than one condition"),
        ("a and b > 3", "more than one condition"),
        ("a or b > 3", "more than one condition"),
        ("a UNLESS b > 3", "more than one condition"),
        ("a > 1 > 2", "more than one comparison"),
        ("absent(x)", "no comparison"),
        ("1 > 2", "no metric is compared"),
        ("> 2", "no metric is compared"),
        ('a{b="c" > 3', "brackets"),
        ("a) > 3", "brackets"),
        ("(a] > 3", "brackets"),
        ('a{b="c > 3', "cannot be parsed"),
        ("", "empty"),
        ("# only > 3", "empty"),
    ],
)
def test_what_is_left_out(expression, why):
    with pytest.raises(ValueError, match=why):
        _promql.split(expression)


@pytest.mark.parametrize(
    "text, number", [("15s", 15), ("1m30s", 90), ("1h", 3600), ("500ms", 0.5), ("", 0), (None, 0), ("1d", 86400)]
)
def test_durations_of_services(text, number):
    assert _duration.seconds(text) == number


@pytest.mark.parametrize(
    "text, seconds", [("24h", 86400), ("1d12h", 129600), ("90", 90), ("1w", 604800), ("1500ms", 1)]
)
def test_durations(text, seconds):
    assert _promql.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "soon", "1 day", "500ms", "-5m", "5m later"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError):
        _promql.seconds(text)


@pytest.mark.parametrize("seconds, text", [(86400, "1d"), (129600, "36h"), (90, "90s"), (300, "5m"), (0, "0s")])
def test_durations_for_prometheus(seconds, text):
    assert _promql.duration(seconds) == text


@pytest.mark.parametrize(
    "value, operator, bound",
    [
        (93.2, ">", 94),
        (0.0123, ">=", 0.013),
        (90, ">", 90),
        (87.6, "<", 87),
        (0, ">", 0),
        (-3.14, ">", -3.1),
        (12345, "<=", 12000),
    ],
)
def test_a_proposal_is_kept_by_its_value(value, operator, bound):
    assert _promql.proposal(value, operator) == pytest.approx(bound)


def test_numbers_are_written_as_promql_reads_them():
    assert [_promql.number(value) for value in (80, 80.0, 0.5, 1e-07)] == ["80", "80", "0.5", "1e-07"]
