# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an Alertmanager is verified for: its cluster, and whether any of its messages arrives."""

from __future__ import annotations

import json

from ansible_collections.vigil.monitoring.plugins.module_utils._findings import (
    GOOD,
    IN_LOG,
    RED,
    UNVERIFIED,
    WAIT,
    Finding,
)

MESSAGES_SENT = "alertmanager_notification_requests_total"
MESSAGES_FAILED = "alertmanager_notification_requests_failed_total"


class AlertmanagerCluster:
    """The check of this name.

    :param check: the :class:`_health_check.HealthCheck` that it belongs to.
    :param given: dict: ``members``, how many its cluster has.
    """

    def __init__(self, check, given):
        self.check, self.given = check, given

    def look(self, page, dummy):
        """Findings about it now.

        :param page: its metrics, a :class:`_exposition.Page`.
        """
        status = json.loads(self.check.get("/api/v2/status"))
        self.check.line["config_hash"] = self.check.reported(page.text).configuration
        self.check.line["members"], finding = check_cluster(status, self.given.get("members") or 0)
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

    def look(self, dummy_page, dummy):
        """Findings about it now."""
        cluster = json.loads(self.check.get("/api/v2/status")).get("cluster") or {}
        settled = cluster.get("status") in ("ready", "disabled")
        yield GOOD if settled else Finding(WAIT, "its cluster is {0}".format(cluster.get("status")))


def check_cluster(status, members):
    """Whether an Alertmanager sees the others of its cluster.

    :param status: answer of ``/api/v2/status``.
    :param members: how many members the inventory gives it, itself included; 0 when it stands alone.
    :returns: the names of the members that it sees, sorted, and a :class:`Finding`.
    """
    cluster = status.get("cluster") or {}
    seen = sorted(str(peer.get("name")) for peer in cluster.get("peers") or ())
    if members < 2:
        return seen, GOOD
    if cluster.get("status") == "disabled":
        return seen, Finding(RED, "clustering is off, though the inventory gives it {0} members".format(members))
    if len(seen) < members:
        return seen, Finding(WAIT, "it sees {0} of the {1} members of its cluster".format(len(seen), members))
    if cluster.get("status") != "ready":
        return seen, Finding(WAIT, "its cluster is {0}".format(cluster.get("status")))
    return seen, GOOD


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
