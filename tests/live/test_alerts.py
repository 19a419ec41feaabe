# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application in trouble: the alerts fire when they should, arrive, and end with the trouble.

All of them at once on one stack: customers who get errors, wait, and take all connections; a target that is gone; then a
database that is down, which probes notice as well. The bounds are those that a user gets; only `for` is scaled down.
"""

from __future__ import annotations

import functools
import re
import time

# Alert and severity -> the channel that hears of it first.
LOADED = {
    ("HighErrorRate", "critical"): "monitoring",
    ("SlowResponseTime", "critical"): "monitoring",
    ("DatabaseConnectionsHigh", "critical"): "monitoring",
    ("TargetDown", "warning"): "warnings",
}
DATABASE_DOWN = {("PostgresDown", "critical"): "monitoring", ("ProbeFailed", "critical"): "monitoring"}
ALL = {**LOADED, **DATABASE_DOWN}


def arrived(stack, alert, word="", since=0.0):
    """When the first channel of an alert was told that it fires, or this word; None while it was not."""
    name, severity = alert
    # On a busy machine the alert may have fired for another target as well: that has no summary of its own then.
    title = re.compile(rf"\[{word or severity.upper()}( x \d+)?\] {name}(:| \()")
    told = [one for one in stack.application.messages() if one.channel == ALL[alert] and one.at >= since]
    return next((one.at for one in told if title.match(one.title)), None)


def test_alerts_fire_and_resolve(stack):
    shop = stack.application
    # A rate needs its history, and what the start of everything took has to be given back.
    stack.wait("a quiet beginning", lambda: not stack.firing() & set(ALL), within=120)
    stack.wait("customers", lambda: stack.query("job:http_requests:rate5m > 1"), within=60)
    try:
        began = trouble(stack, shop)
    finally:
        shop.postgresql("start")
        stack.production.run("systemctl start node_exporter")
        # The rules look at five minutes; so many happy customers outnumber the others before, and are not too many for a slow machine.
        shop.load(rate=40, errors=0, slow=0)
    stack.wait("the end of all alerts", lambda: not stack.firing() & set(ALL), within=400)
    for alert in ALL:
        fired = arrived(stack, alert, since=began[alert])
        resolved = functools.partial(arrived, stack, alert, "RESOLVED", since=fired)
        stack.wait(f"the end of {alert[0]} is told", resolved, within=60)
    shop.load()


def trouble(stack, shop):
    """Bring all alerts about and wait for their messages; returns when what each is about began."""
    began = dict.fromkeys(LOADED, time.time())
    # Every second request waits three seconds with a connection in its hand. That asks for 30 at a time where there are 15,
    # as workers do not get equal shares of the customers.
    shop.load(rate=20, errors=0.3, slow=0.5, delay=3)
    stack.production.run("systemctl stop node_exporter")
    stack.wait("alerts about load", lambda: set(LOADED) <= stack.firing(), within=120)
    shop.load(rate=1)
    # So busy an application may have kept a probe waiting as well.
    stack.wait("the end of the crowd", lambda: not set(DATABASE_DOWN) & stack.firing(), within=60)
    began.update(dict.fromkeys(DATABASE_DOWN, time.time()))
    shop.postgresql("stop")
    stack.wait("alerts about the database", lambda: set(DATABASE_DOWN) <= stack.firing(), within=90)
    for alert, at in began.items():
        stack.wait(f"the message about {alert[0]}", functools.partial(arrived, stack, alert, since=at), within=60)
    return began
