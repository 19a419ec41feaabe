# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations as Prometheus and Alertmanager write them.

https://prometheus.io/docs/prometheus/latest/querying/basics/#float-literals-and-time-durations
"""

from __future__ import annotations

import re

# In seconds.
UNITS = {"y": 31536000, "w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_PART = re.compile(r"(\d+)(ms|[ywdhms])")


def seconds(duration):
    """A duration (``1h5m``, ``15s``, ``500ms``) in seconds; 0 for what is none."""
    return sum(int(number) * UNITS[unit] for number, unit in _PART.findall(str(duration or "")))
