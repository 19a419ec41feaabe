# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No query of the dashboards returns nothing, asked of a Prometheus that watches an application and its monitoring.

Each is queried for the last half hour: what is to be seen in trouble alone has been there by then.
"""

from __future__ import annotations

import time

import pytest

from lab import dashboards

QUERIES = [*dashboards.panels(), *dashboards.others()]
# Queries that return nothing here, and why.
EMPTY = {
    "mon-system 5 A": "no containers run here: tests/faults/test_cadvisor.py asks for them",
    "mon-system 12 A": "no containers run here: tests/faults/test_cadvisor.py asks for them",
}
# What may return nothing, why, and the part without which it has to return something.
BY_CHANCE = {
    "mon-system 8 A": ("others may make room on this machine's disk all the time", " > 0"),
    "mon-system Firing alerts": ("the hosts may fare well", ', service=~"host|containers"'),
    "mon-db Firing alerts": ("the database may fare well", ', service=~"database"'),
}


def series(stack, expr):
    """How many series an expression has had within the last half hour; asked as a panel of ten minutes would."""
    now = time.time()
    asked = dashboards.filled(expr, span="10m", interval="1m")
    return len(stack.ask("query_range", query=asked, start=now - 1800, end=now, step=5)["result"])


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
