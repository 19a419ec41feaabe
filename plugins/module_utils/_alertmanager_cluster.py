# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an Alertmanager is verified for: its cluster, its silences, and whether any of its messages arrives."""

from __future__ import annotations

import ipaddress
import json
import time

from ansible_collections.vigil.monitoring.plugins.module_utils._alertmanager_api import from_time
from ansible_collections.vigil.monitoring.plugins.module_utils._findings import (
    GOOD,
    IN_LOG,
    RED,
    UNVERIFIED,
    WAIT,
    Finding,
)

MESSAGES_SENT = "alertmanager_notification_requests_total"
# A member that was stopped without saying so is forgotten within this many seconds.
GONE = 10.0
STRANGERS = (
    "it sees {0} members of its cluster, and the inventory has {1}: {2}. One that left the group still runs, and takes part in who sends"
    " which message; remove it with `ansible-playbook remove.yml -e host=HOST`"
)
MESSAGES_FAILED = "alertmanager_notification_requests_failed_total"
# Seconds within which a silence that was made or ended at one member is certainly at the others.
SPREAD = 60.0
# Those that ended earlier than this are not returned, and of more than this, none.
RECENT, MANY = 600.0, 2000


class AlertmanagerCluster:
    """The check of this name.

    :param check: the :class:`_health_check.HealthCheck` that it belongs to.
    :param given: dict: ``members``, how many its cluster has; ``addresses``, name to address of each of the others; ``orphans``, the
        value of monitoring_orphans.
    """

    def __init__(self, check, given):
        self.check, self.given = check, given

    def inspect(self, page, dummy):
        """Findings about it now.

        :param page: its metrics, a :class:`_exposition.Page`.
        """
        status = json.loads(self.check.get("/api/v2/status"))
        self.check.line["config_hash"] = self.check.reported(page.text).configuration
        members = self.given.get("members") or 0
        self.check.line["members"], finding = check_cluster(
            status, members, self.given.get("addresses"), self.given.get("orphans")
        )
        if members > 1:
            # The summary compares them with those of the others.
            found = json.loads(self.check.get("/api/v2/silences"))
            self.check.line["silences"] = {"at": time.time(), "known": recent(found, time.time())}
        yield finding
        yield from check_messages(page)


class AlertmanagerSettled:
    """The check of this name: whether an Alertmanager that was started has heard what the others of its cluster know.

    How many others it sees does not matter: where a change makes members of two kinds, they find each other after the last one.

    :param check: the :class:`_health_check.HealthCheck` that it belongs to.
    :param given: dict without keys.
    """

    def __init__(self, check, given):
        self.check = check

    def inspect(self, dummy_page, dummy):
        """Findings about it now."""
        cluster = json.loads(self.check.get("/api/v2/status")).get("cluster") or {}
        settled = cluster.get("status") in ("ready", "disabled")
        yield GOOD if settled else Finding(WAIT, "its cluster is {0}".format(cluster.get("status")))


def recent(silences, now):
    """Silences that hold, or did until a moment ago: id -> times of their last change and their end, in seconds since the epoch.

    :param silences: answer of ``/api/v2/silences``.
    :param now: seconds since the epoch.
    :returns: None when there are too many to compare.
    """
    found = {
        str(one["id"]): [from_time(one["updatedAt"]), from_time(one["endsAt"])]
        for one in silences
        if from_time(one["endsAt"]) > now - RECENT
    }
    return found if len(found) <= MANY else None


def unlike(lines):
    """Silences that one member of a cluster has and another has not had for longer than it takes to spread.

    :param lines: results of members of one cluster, with ``host`` and ``silences``.
    :returns: id -> hosts that do not have it, or have another state of it.
    """
    known = {line["host"]: line["silences"] for line in lines if (line.get("silences") or {}).get("known") is not None}
    if len(known) < 2:
        return {}
    first, last = (choose(found["at"] for found in known.values()) for choose in (min, max))
    result = {}
    for one in sorted({one for found in known.values() for one in found["known"]}):
        states = {host: found["known"].get(one) for host, found in known.items()}
        updated = max(state[0] for state in states.values() if state)
        ends = [state[1] for state in states.values() if state]
        # What was changed or has ended a moment ago need not be everywhere.
        if updated > first - SPREAD or max(ends) < last + SPREAD:
            continue
        behind = sorted(host for host, state in states.items() if not state or state[0] < updated)
        if behind:
            result[one] = behind
    return result


def check_cluster(status, members, addresses=None, orphans=None):
    """Whether an Alertmanager sees the others of its cluster.

    :param status: answer of ``/api/v2/status``.
    :param members: how many members the inventory gives it, itself included; 0 when it stands alone.
    :param addresses: name to address of each of the others; those that are no IP addresses tell nothing.
    :param orphans: what members are that the inventory does not know: ``warn``, the default, ``fail`` or ``ignore``.
    :returns: the names of the members that it sees, sorted, and a :class:`Finding`.
    """
    cluster = status.get("cluster") or {}
    seen = sorted(str(peer.get("name")) for peer in cluster.get("peers") or ())
    if members < 2:
        return seen, GOOD
    if cluster.get("status") == "disabled":
        return seen, Finding(RED, "clustering is off, though the inventory gives it {0} members".format(members))
    if len(seen) < members:
        text = "it sees {0} of the {1} members of its cluster{2}".format(
            len(seen), members, _unseen(cluster, addresses)
        )
        return seen, Finding(WAIT, text)
    if cluster.get("status") != "ready":
        return seen, Finding(WAIT, "its cluster is {0}".format(cluster.get("status")))
    if len(seen) > members and orphans != "ignore":
        there = ", ".join(sorted(str(peer.get("address")) for peer in cluster["peers"]))
        return seen, Finding(
            WAIT, STRANGERS.format(len(seen), members, there), GONE, RED if orphans == "fail" else UNVERIFIED
        )
    return seen, GOOD


def _unseen(cluster, addresses):
    """Which of the others it does not see, as far as their addresses tell."""
    seen = {str(peer.get("address")).rpartition(":")[0].strip("[]") for peer in cluster.get("peers") or ()}
    missing = sorted(
        name for name, address in (addresses or {}).items() if _is_address(address) and address not in seen
    )
    return ", not {0}".format(", ".join(missing)) if missing else ""


def _is_address(text):
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def check_messages(page):
    """Findings about channels that have not taken a single one of Alertmanager's messages since it started.

    Not red: a channel is none of the services that are deployed, and whether it works a drill tells.

    :param page: a :class:`_exposition.Page` of Alertmanager.
    """
    by = ("integration", "receiver_name")
    tried, failed = page.by(MESSAGES_SENT, *by), page.by(MESSAGES_FAILED, *by)
    for key in sorted(tried):
        if failed.get(key) and failed[key] >= tried[key]:
            text = "its messages by {0}{1} fail: {2:.0f} of {3:.0f} since it started; " + IN_LOG
            receiver = " to {0}".format(key[1]) if key[1] else ""
            yield Finding(UNVERIFIED, text.format(key[0], receiver, failed[key], tried[key]))
