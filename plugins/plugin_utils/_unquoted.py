# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What YAML makes of a word that nobody put into quotes: dates, numbers to the base of sixty, truth values, nothing."""

from __future__ import annotations

import datetime

from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem

# Keys whose values are labels or annotations: names to texts.
LABELS = ("annotations", "external_labels", "labels", "rule_annotations", "rule_labels")
# Keys of durations, which are texts with a unit.
DURATIONS = (
    "evaluation_interval for group_interval group_wait keep_firing_for repeat_interval resolve_timeout scrape_interval"
    " scrape_timeout"
).split()
# In a time interval of Alertmanager: key -> the largest number that it can mean, besides times of the day.
NUMBERS = {"days_of_month": 31, "months": 12}


def sexagesimal(number):
    """What was written where YAML 1.1 understood a number to the base of sixty: 1050 was ``17:30``."""
    return "{0}:{1:02d}".format(*divmod(abs(number), 60))


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _walk(value, path, key, labels):
    """Every plain value below one: path, the key that it belongs to, whether it is a label's, the value."""
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
    """What cannot be meant as YAML has understood it, and what may be meant otherwise.

    :param values: input -> its value.
    :returns: problems, and sentences about labels that are texts and were given as something else.
    """
    problems, doubts = [], []
    for name, value in values.items():
        kind = name.partition("_")[2]
        of_labels = any(name.endswith("_" + labels) for labels in LABELS)
        for path, key, labels, found in _walk(value, name, None, of_labels):
            if isinstance(found, (datetime.date, datetime.datetime)):
                remedy = "put it into quotes: '{0}'".format(found)
                problems.append(Problem(path, "is {0}, which YAML takes for a date".format(found), remedy))
            elif _is_number(found) and kind.endswith("time_intervals") and _cannot_be(key, found):
                written = sexagesimal(int(found))
                what = "is {0}, which YAML makes of {1} without quotes".format(found, written)
                problems.append(Problem(path, what, "write '{0}'".format(written)))
            elif _is_number(found) and key in DURATIONS and not labels and found != 0:
                remedy = "write a duration with its unit, such as '{0}s'".format(found)
                problems.append(Problem(path, "is the number {0}".format(found), remedy))
            elif labels and (found is None or isinstance(found, (bool, float))):
                doubts.append(_doubt(path, found))
    return problems, doubts


def _cannot_be(key, number):
    """Whether a number in a time interval is no number that is meant."""
    return key in ("start_time", "end_time") or abs(number) > NUMBERS.get(key, abs(number))


def _doubt(path, found):
    if found is None:
        return "{0} is empty, and is left out or becomes an empty text".format(path)
    also = "on and yes" if found is True else "off and no" if found is False else "1.10, say"
    return "{0} is {1}, which YAML also makes of {2}: put the text that is meant into quotes".format(
        path, str(found).lower() if isinstance(found, bool) else found, also
    )
