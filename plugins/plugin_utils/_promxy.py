# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Promxy's configuration from the Prometheus servers of the inventory. Data in, data out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils import _duration
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms, _scrape, _shards

ROLE = "prometheus"
# Upstream's, 200 ms, takes a server for gone that is far away or has much to do.
DIAL_TIMEOUT = "2s"
INTERVAL = "15s"
# So many hosts of each part are looked for: one of them may be down for good.
NAMED = 3


class Server(NamedTuple):
    """A Prometheus server as others reach it.

    :ivar host: its name in the inventory.
    :ivar address: ``HOST:PORT``.
    :ivar at: its :class:`_scrape.Endpoint`.
    """

    host: str
    address: str
    at: _scrape.Endpoint


def server(service: str, host: str, value: Callable, own_host: str, who: str, remedy: str) -> Server:
    """The Prometheus server of a host, or what has its API, as another service reaches it.

    :param service: its name.
    :param value: function of a host and the name of a variable.
    :param own_host: host of that other service, from which a server that listens on the loopback is reached there.
    :param who: that other service, and ``remedy`` what to do, for the message.
    :raises ScrapeError: when it could not be reached.
    """
    room, at = _rooms.load(service), _scrape.endpoint(service, host, value)
    address = _scrape.address_of(host, value)
    if at.host and _scrape.is_loopback(at.host):
        if host != own_host:
            raise _scrape.ScrapeError(
                "the {0} of {1} listens on {2} alone, where the {3} of {4} cannot reach it; let it listen"
                " elsewhere, or {5}".format(room.title, host, at.host, who, own_host, remedy)
            )
        address = at.host
    return Server(host, _scrape.join(address, at.port or room.port), at)


def server_groups(groups: Iterable[str], inventory: dict, value: Callable, own_host: str, client: dict) -> dict:
    """What the lookup promxy_server_groups returns.

    :param groups: names of inventory groups.
    :param inventory: group -> names of its hosts.
    :param value: function of a host and the name of a variable.
    :param own_host: the host of promxy.
    :param client: how a server has closed itself -> options of an HTTP client.
    :raises ScrapeError: when a server could not be reached.
    :raises ShardError: when a variable cannot say which part of the targets a server scrapes.
    """
    found = {"groups": [], "parts": [], "closed": False}
    for group in groups:
        parts = _shards.replicas(_shards.shards(ROLE, inventory.get(group) or (), value))
        for shard, hosts in parts.items():
            servers = [
                server(ROLE, host, value, own_host, "promxy", "leave its group out of promxy_prometheus_groups")
                for host in hosts
                if not value(host, ROLE + "_agent_mode")
            ]
            closed = [one for one in servers if one.at.closed_by] or servers
            for those in _alike(closed):
                made = _server_group(those, value, client)
                found["groups"].append(made)
                found["parts"].append(_part(those, shard, inventory, value))
                found["closed"] = found["closed"] or bool(those[0].at.closed_by)
    return found


def _alike(servers):
    """Servers of one part, by scheme and prefix of their paths: those of most servers, as a server group has but one of each."""
    by_door = {}
    for one in servers:
        by_door.setdefault((one.at.scheme, one.at.prefix), []).append(one)
    return [max(by_door.values(), key=len)] if by_door else []


def _server_group(servers, value, client):
    at = servers[0].at
    intervals = [(value(one.host, ROLE + "_global") or {}).get("scrape_interval") or INTERVAL for one in servers]
    longest = max(intervals, key=_duration.seconds)
    return {
        "static_configs": [{"targets": sorted(one.address for one in servers)}],
        "scheme": at.scheme,
        "path_prefix": at.prefix,
        # A gap that is longer than this is filled from another replica. Go's durations have no days.
        "anti_affinity": "{0:g}s".format(_duration.seconds(longest)),
        "http_client": {"dial_timeout": DIAL_TIMEOUT, **((client or {}).get(at.closed_by) or {})},
    }


def _part(servers, shard, inventory, value):
    """A part of the targets as the verification looks for it: its servers, and some hosts that these alone scrape.

    What the user changes about labels or groups decides about more than is known here; such hosts are left to others.
    """
    changed = {group for one in servers for group in value(one.host, ROLE + "_scrape_groups") or ()}
    found = []
    for room in map(_rooms.load, _rooms.names()):
        if not room.scrape or "split" in room.scrape or room.name in changed:
            continue
        for host in inventory.get(room.name) or ():
            if len(found) == NAMED:
                break
            own = [value(host, name) for name in ("monitoring_labels", "monitoring_scrape")]
            there = value(host, room.name + "_state") != "absent"
            if host not in found and shard.has(host) and there and not any(own):
                found.append(host)
    return {"servers": [one.host for one in servers], "hosts": found}
