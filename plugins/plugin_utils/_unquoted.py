# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that YAML converts because they are not quoted: dates, base-60 numbers, booleans, null."""

from __future__ import annotations

import datetime

from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem

# Keys whose values are labels or annotations: names to strings.
LABELS = ("annotations", "external_labels", "labels", "rule_annotations", "rule_labels")
# Keys of durations, which are strings with a unit.
DURATIONS = (
    "evaluation_interval for group_interval group_wait keep_firing_for repeat_interval resolve_timeout scrape_interval"
    " scrape_timeout"
).split()
# In a time interval of Alertmanager: key -> the largest valid number, besides times of the day.
NUMBERS = {"days_of_month": 31, "months": 12}


def sexagesimal(number):
    """The original text of a base-60 number of YAML 1.1: 1050 was ``17:30``."""
    return "{0}:{1:02d}".format(*divmod(abs(number), 60))


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _walk(value, path, key, labels):
    """All scalar values below a value: path, key, whether it is a label, the value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            where = "{0}.{1}".format(path, name)
            yield from _walk(inner, where, str(name), labels if key is None else key in LABELS)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _walk(inner, "{0}[{1}]".format(path, index), key, labels)
    else:
        yield path, key, labels, value


def check_quotes(values):
    """Values that YAML has converted to an invalid type, and values that may be intended differently.

    :param values: input -> its value.
    :returns: problems, and warnings about labels whose values are not strings.
    """
    problems, doubts = [], []
    for name, value in values.items():
        kind = name.partition("_")[2]
        # A switch may be about labels, and is none.
        of_labels = not isinstance(value, bool) and any(name.endswith("_" + labels) for labels in LABELS)
        for path, key, labels, found in _walk(value, name, None, of_labels):
            if isinstance(found, (datetime.date, datetime.datetime)):
                remedy = "put it into quotes: '{0}'".format(found)
                problems.append(Problem(path, "is {0}, which YAML reads as a date".format(found), remedy))
            elif _is_number(found) and kind.endswith("time_intervals") and _cannot_be(key, found):
                written = sexagesimal(int(found))
                what = "is {0}, which is how YAML reads {1} without quotes".format(found, written)
                problems.append(Problem(path, what, "write '{0}'".format(written)))
            elif _is_number(found) and key in DURATIONS and not labels and found != 0:
                remedy = "write a duration with its unit, such as '{0}s'".format(found)
                problems.append(Problem(path, "is the number {0}".format(found), remedy))
            elif labels and (found is None or isinstance(found, (bool, float))):
                doubts.append(_doubt(path, found))
    return problems, doubts


def _cannot_be(key, number):
    """Whether a number in a time interval cannot be intended."""
    return key in ("start_time", "end_time") or abs(number) > NUMBERS.get(key, abs(number))


def _doubt(path, found):
    if found is None:
        return "{0} is empty, and is omitted or becomes an empty string".format(path)
    also = "on and yes" if found is True else "off and no" if found is False else "for example 1.10"
    return "{0} is {1}, which is also how YAML reads {2}: put the intended text into quotes".format(
        path, str(found).lower() if isinstance(found, bool) else found, also
    )
