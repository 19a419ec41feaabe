# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of a drill from Alertmanager's own metrics: metrics in, verdict and message out."""

from __future__ import annotations

import re

from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize

_SAMPLE = re.compile(
    r"(?m)^alertmanager_(notifications_total|notifications_failed_total|notification_requests_total"
    r"|notification_requests_failed_total|notifications_suppressed_total)(?:\{(.*)\})? ([0-9.eE+-]+)$"
)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
WIDTH = 60


def parse(text):
    """The counters in the text of a metrics endpoint: (name, integration, receiver or "") -> number.

    Alertmanager has the receiver's name only with the feature receiver-name-in-metrics.
    """
    counters = {}
    for name, labels, value in _SAMPLE.findall(text):
        found = dict(_LABEL.findall(labels))
        key = name, found.get("integration", ""), found.get("receiver_name", "")
        counters[key] = counters.get(key, 0) + float(value)
    return counters


class Watch:
    """The messages of one drill: which are due, and which were sent.

    Alertmanager counts a request, and then that it failed; a page of metrics that is read in between shows a failed request as
    an accepted one. So the requests of a page are compared with the failures of the next one.

    :ivar rows: one dict for each message: ``receiver``, ``integration``, ``wait``, ``sent_after`` (None: not yet).
    :ivar elapsed: seconds after which the last page was read whose requests are evaluated.
    """

    def __init__(self, steps, before):
        self.before, self.last = before, before
        self.elapsed, self._read = 0.0, 0.0
        self._accepted = {}
        self.rows = [
            {"receiver": step["receiver"], "integration": integration, "wait": step["wait"], "sent_after": None}
            for step in sorted(steps, key=lambda step: step["wait"])
            for integration, count in sorted(step["integrations"].items())
            for dummy in range(count)
        ]
        self.by_receiver = any(receiver for dummy, dummy2, receiver in before)

    def _more(self, name, row, counters):
        """How much a counter has grown since the drill began."""
        key = name, row["integration"], row["receiver"] if self.by_receiver else ""
        return int(counters.get(key, 0) - self.before.get(key, 0))

    def inspect(self, counters, elapsed):
        """Evaluate the previous page of counters with the current one; returns whether there is nothing more to wait for."""
        previous, self.last = self.last, counters
        self.elapsed, self._read = self._read, elapsed
        pending = [row for row in self.rows if row["sent_after"] is None]
        for key in sorted({self._key(row) for row in pending}):
            mine = [row for row in pending if self._key(row) == key]
            # A message that was sent belongs to the stage that was due last: earlier ones may be retried forever.
            due = self.elapsed + 1
            mine.sort(key=lambda row: (row["wait"] > due, -row["wait"] if row["wait"] <= due else row["wait"]))
            accepted = self._more("notification_requests_total", mine[0], previous)
            accepted -= self._more("notification_requests_failed_total", mine[0], counters)
            # A message that is given up has a last attempt, but no success.
            for row in mine[: max(0, accepted - self._accepted.get(key, 0))]:
                row["sent_after"] = round(self.elapsed, 1)
            self._accepted[key] = max(accepted, self._accepted.get(key, 0))
        return all(row["sent_after"] is not None or self._given_up(row) for row in self.rows)

    def _key(self, row):
        return row["integration"], row["receiver"] if self.by_receiver else ""

    def _given_up(self, row):
        """Whether as many messages of its kind failed as are missing."""
        missing = [one for one in self.rows if self._key(one) == self._key(row) and one["sent_after"] is None]
        return self._more("notifications_failed_total", row, self.last) >= len(missing)

    def verdict(self, row, elapsed):
        """The result of a message, as text."""
        if row["sent_after"] is not None:
            return "sent after {0:.0f} s".format(row["sent_after"])
        failed = self._more("notification_requests_failed_total", row, self.last)
        if failed:
            given_up = self._more("notifications_failed_total", row, self.last)
            words = "given up" if given_up else "still retrying"
            return "FAILED: {0} of {1} requests, {2}; see the log of Alertmanager".format(
                failed, self._more("notification_requests_total", row, self.last), words
            )
        suppressed = sum(
            value - self.before.get(key, 0)
            for key, value in self.last.items()
            if key[0] == "notifications_suppressed_total"
        )
        held = "; a silence, an inhibition or a time interval suppressed notifications" if suppressed else ""
        return "NOTHING sent within {0:.0f} s{1}".format(elapsed, held)


def shown_labels(labels, unique):
    """The labels that distinguish the drills: all except the unique ones."""
    pairs = ['{0}="{1}"'.format(*pair) for pair in sorted(labels.items()) if pair[0] not in unique]
    return ", ".join(pairs) or "no further labels"


def table(rows, left_out=None):
    """Rows of ``alert``, ``receiver``, ``integration`` and ``result`` as text.

    :param left_out: receivers that get nothing -> reason.
    """
    lines = [{"alert": "alert", "receiver": "receiver", "integration": "integration", "result": "result"}, *rows]
    for name, why in sorted((left_out or {}).items()):
        lines.append({"alert": "-", "receiver": name, "integration": "-", "result": "omitted: " + why})
    widths = {
        key: min(WIDTH, max(len(sanitize(line[key])) for line in lines)) for key in ("alert", "receiver", "integration")
    }
    written = []
    for line in lines:
        cells = [sanitize(line[key]).ljust(width) for key, width in widths.items()]
        written.append("  ".join([*cells, sanitize(line["result"])]).rstrip())
    return "\n".join(written)
