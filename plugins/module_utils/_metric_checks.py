# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of single metrics, of any service: what it goes on without. Nothing is red because of it, and somebody should know."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.module_utils._findings import OK, Finding


class FailingParts:
    """A gauge that is 0 for a part of the service that was specified.

    :param given: dict: ``metric``; its ``label`` that names the part; ``names`` of the parts that were specified; ``text``, in
        which ``{0}`` is the name.
    """

    def __init__(self, dummy, given):
        self.given = given

    def inspect(self, page, dummy):
        """A finding for each of them."""
        given = self.given
        for labels, value in page.samples(given["metric"]):
            if value == 0 and labels.get(given["label"]) in given["names"]:
                yield Finding(OK, given["text"].format(labels[given["label"]]))


class NonzeroMetric:
    """A metric that should be 0.

    :param given: dict: ``metric`` and ``text``.
    """

    def __init__(self, dummy, given):
        self.given = given

    def inspect(self, page, dummy):
        """A finding where it is not."""
        if page.value(self.given["metric"]):
            yield Finding(OK, self.given["text"])
