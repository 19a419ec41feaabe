# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No query of the dashboards returns nothing, asked of a Prometheus that watches an application and its monitoring.

Each is queried for the last half hour: what is to be seen in trouble alone has been there by then.
"""

from __future__ import annotations

import re
import time

import pytest

from lab import dashboards

QUERIES = [*dashboards.panels(), *dashboards.others()]
# Queries that return nothing here, and why.
_CONTAINERS = "no containers run here: tests/faults/test_cadvisor.py asks for them"
_SERVICES = "none of these services runs here: tests/faults asks for them where their exporters are tested"
EMPTY = {
    **{query.where: _SERVICES for query in QUERIES if re.search(r"\b(redis|nginx|namedprocess)_", query.expr)},
    **{query.where: _CONTAINERS for query in QUERIES if re.search(r"\bcontainer_", query.expr)},
    **{f"mon-self 21 {ref}": "no restore was rehearsed here: tests/faults/test_restore_test.py does" for ref in "AB"},
    "mon-system 18 A": "no textfile script reports it",
    "mon-system 19 A": "no textfile script reports it",
    "mon-db 15 A": "the database has no replica",
    "mon-db 17 A": "PostgreSQL 17 has it in a view that the exporter reads with a collector alone, which is disabled by default",
    "mon-db 17 B": "PostgreSQL 17 has it in a view that the exporter reads with a collector alone, which is disabled by default",
}
# What may return nothing, why, and the part without which it has to return something.
_DISK = "others may make room on this machine's disk all the time"
_FIRED = 'ALERTS{alertstate="firing", alertname!="Watchdog", severity=~"$severity", service=~"$service", alertname=~"$alertname"}'
_NETWORK = ("the network may be free of errors", " > 0")
BY_CHANCE = {
    "mon-system 8 A": (_DISK, " > 0"),
    "mon-fleet 7 G": (_DISK, " > 0 < 90 * 86400"),
    "mon-fleet 7 I": _NETWORK,
    "mon-system 31 A": (
        "nothing may be read from the disk, as all is in memory",
        ' / (rate(node_disk_reads_completed_total{job=~"$job", instance=~"$instance",'
        ' device!~"loop.*|ram.*|sr.*|zram.*"}[$__rate_interval]) > 0)',
    ),
    **{f"mon-system 32 {ref}": _NETWORK for ref in "ABCD"},
    "mon-system 36 A": ("all units may be well", " == 1"),
    "mon-alerts 11 A": (
        "whether an alert was over soon depends on what ran before",
        f" offset 10m unless {_FIRED} offset 11m unless {_FIRED}",
    ),
    "mon-app 12 A": ("the application may fare well", ', service=~"api|probe"'),
    "mon-db 12 A": ("nobody may wait", ', wait_event_type!~"|Client|Activity|Timeout|Extension"'),
    "mon-db 14 A": ("the database has no replica", " == 1"),
    "mon-db 19 C": ("a table that is new has not been vacuumed", " > 0"),
    "mon-system Firing alerts": ("the hosts may fare well", ', service=~"host"'),
    "mon-db Firing alerts": ("the database may fare well", ', service=~"database"'),
    "mon-services Firing alerts": ("none of these services runs here", ', service=~"redis|nginx|processes"'),
    "mon-containers Firing alerts": ("no containers run here", ', service=~"containers"'),
}


def series(stack, expr):
    """How many series an expression has had within the last half hour; asked as a panel of ten minutes would."""
    now = time.time()
    asked = dashboards.filled(expr, span="10m", interval="1m")
    answer = stack.ask("query_range", query=asked, start=now - 1800, end=now, step=5)
    return len(dashboards.found(expr, answer["result"]))


@pytest.mark.parametrize("query", [pytest.param(query, id=f"{query.where} {query.title}") for query in QUERIES])
def test_a_query_returns_something(troubled, query):
    found = series(troubled, query.expr)
    if query.where in EMPTY:
        # Once there is something, it is no exception any more.
        assert not found
    elif query.where in BY_CHANCE:
        reason, part = BY_CHANCE[query.where]
        assert part in query.expr
        assert series(troubled, query.expr.replace(part, "")), reason
    else:
        assert found, query.expr
