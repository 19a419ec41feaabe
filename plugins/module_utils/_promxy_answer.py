# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a promxy is verified for: a query through it is answered, with data of every part of the targets."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from ansible_collections.vigil.monitoring.plugins.module_utils._findings import GOOD, WAIT, Finding
from ansible_collections.vigil.monitoring.plugins.module_utils._requests import Stop
from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize

# Seconds until a Prometheus that was just started has scraped its targets.
FIRST_SCRAPES = 30.0


class PromxyAnswer:
    """The check of this name.

    :param check: the :class:`_health_check.HealthCheck` that it belongs to.
    :param given: dict: ``parts``, a list of dicts with ``servers``, names of the hosts whose Prometheus servers scrape the same, and
        ``hosts``, some of the hosts that they alone scrape.
    """

    def __init__(self, check, given):
        self.check, self.parts = check, given.get("parts") or []

    def inspect(self, dummy, dummy_reply):
        """A finding about the answer to one query."""
        reply = self.check.reply("/api/v1/query?query=" + quote(query(self.parts)))
        if reply.status in (401, 403):
            raise Stop("authentication required (HTTP {0})".format(reply.status))
        yield judge(reply.body, self.parts)


def query(parts):
    """The query: which of the hosts have targets."""
    hosts = sorted({host for part in parts for host in part["hosts"]})
    if not hosts:
        return "count(up)"
    return "count by (host) (up{{host=~{0}}})".format(json.dumps("|".join(map(re.escape, hosts))))


def judge(body, parts):
    """Whether every part of the targets is in an answer.

    :param body: of the answer, as bytes or text.
    :returns: a :class:`Finding`.
    """
    try:
        answer = json.loads(body)
        result = answer["data"]["result"] if answer["status"] == "success" else None
    except (ValueError, KeyError, TypeError):
        return Finding(WAIT, "its answer to a query is not one of Prometheus' API")
    servers = ", ".join(server for part in parts for server in part["servers"])
    if result is None:
        said = sanitize(str(answer.get("error") or ""))[:500]
        return Finding(WAIT, "a query through it fails ({0}): of each part of the targets a Prometheus has to answer, of {1}".format(
            said, servers))  # fmt: skip
    seen = {found["metric"].get("host") for found in result}
    for part in parts:
        if part["hosts"] and not seen.intersection(part["hosts"]):
            text = "a query through it is answered without data of {0}: none of {1} is in the answer"
            return Finding(WAIT, text.format(" and ".join(part["servers"]), ", ".join(part["hosts"])), FIRST_SCRAPES)
    if parts and not result:
        return Finding(WAIT, "a query through it is answered without data of {0}".format(servers), FIRST_SCRAPES)
    return GOOD
