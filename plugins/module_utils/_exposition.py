# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A page of metrics in Prometheus' text format, as far as single samples are looked for."""

from __future__ import annotations

import re

_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_NAME = re.compile(r"[^{ ]+")
# What stands in a line behind the name of its metric.
_REST = re.compile(r"(?:\{(.*)\})? ([^ ]+)(?: \d+)?")


class Page:
    """A page of metrics.

    :param text: in Prometheus' text format.
    """

    def __init__(self, text):
        self.text = text
        # The page of a large server has thousands of lines, and is looked through for dozens of metrics.
        self._lines = {}
        for line in text.split("\n"):
            name = _NAME.match(line)
            if name:
                self._lines.setdefault(name.group(), []).append(line[name.end() :])

    def samples(self, name):
        """The samples of a metric: list of ``(labels, value)``."""
        found = []
        for match in map(_REST.fullmatch, self._lines.get(name, ())):
            if match:
                labels, value = match.groups()
                pairs = {key: _ESCAPED.sub(_unescaped, text) for key, text in _LABEL.findall(labels or "")}
                found.append((pairs, float(value)))
        return found

    def value(self, name):
        """The sum of a metric over all of its labels; None where it is not there."""
        found = self.samples(name)
        return sum(value for dummy, value in found) if found else None

    def by(self, name, *labels):
        """Values of these labels -> the sum of a metric."""
        found = {}
        for pairs, value in self.samples(name):
            key = tuple(pairs.get(label, "") for label in labels)
            found[key] = found.get(key, 0.0) + value
        return found


def _unescaped(match):
    return "\n" if match.group(1) == "n" else match.group(1)
