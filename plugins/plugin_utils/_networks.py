# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From which networks a service can be reached: directives of its systemd unit, and rules for nftables.

The unit's filter has no direction: a service that connects to other hosts by itself would lose those that it needs. So the unit
filters for services that only answer, and nftables for all, in both runtimes.
"""

from __future__ import annotations

import ipaddress

from ansible_collections.vigil.monitoring.plugins.module_utils._firewall import TABLE
from ansible_collections.vigil.monitoring.plugins.plugin_utils._container import is_container
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem, shown
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import listen_addresses

NFTABLES = "nftables"
# Before the engine's translation of addresses (dstnat, -100), so that a published port is still the host's, whichever container
# it leads to. Loopback is the host itself. What is only routed through the host, and answers to its own requests, pass.
CHAIN = """table {table} {{
  chain {name} {{
    type filter hook prerouting priority -150; policy accept;
    meta l4proto . th dport != {{ {ports} }} accept
    iifname "lo" accept
    ct direction reply accept
    fib daddr type != local accept
{allowed}    drop
  }}
}}
"""


def network(text):
    """One network or address.

    :raises ValueError: when it is neither, with what it may have been meant to be.
    """
    try:
        return ipaddress.ip_network(text if isinstance(text, str) else "")
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(text if isinstance(text, str) else "", strict=False)
    except ValueError:
        raise ValueError("write a network such as 10.0.0.0/8 or fd00::/8, or an address") from None
    host = str(text).partition("/")[0]
    raise ValueError("write {0} for the network, or {1} for the address".format(meant, host))


def unit_directives(allowed, denied, connects_out):
    """Directives of ``[Service]`` that filter by address; none where nothing is to be filtered.

    :param allowed: networks from which it can be reached; empty for all.
    :param denied: networks that it must not exchange anything with.
    :param connects_out: whether it connects to other hosts by itself.
    """
    found = {}
    if allowed and not connects_out:
        found = {"IPAddressDeny": "any", "IPAddressAllow": " ".join(["localhost", *map(str, map(network, allowed))])}
    elif denied:
        found = {"IPAddressDeny": " ".join(map(str, map(network, denied)))}
    # systemd counts with the same means as it filters: where it counts nothing, it filters nothing.
    return {**found, "IPAccounting": True} if found else {}


def ruleset(name, ports, allowed):
    """The service's part of the nftables table, as a file that ``nft -f`` loads.

    :param name: name of its chain.
    :param ports: pairs of protocol (``tcp`` or ``udp``) and port.
    :param allowed: networks from which they can be reached.
    """
    networks = list(map(network, allowed))
    lines = ""
    for version, source in ((4, "ip"), (6, "ip6")):
        # Neither twice nor one inside another, which a set does not take.
        found = list(ipaddress.collapse_addresses([one for one in networks if one.version == version]))
        if found:
            lines += "    {0} saddr {{ {1} }} accept\n".format(source, ", ".join(map(str, found)))
    closed = ", ".join("{0} . {1}".format(*one) for one in sorted(set(ports)))
    return CHAIN.format(table=TABLE, name=name, ports=closed, allowed=lines)


def is_local(listen):
    """Whether only the host itself can reach what listens on these addresses."""
    hosts = [host.strip("[]") for host, dummy in listen_addresses(listen)]
    return all(host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback) for host in hosts)


def _is_address(text):
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def check_networks(room, values):
    """Its networks can be read, and something enforces them.

    :param room: the service.
    :param values: its inputs by their whole names.
    """
    names = [room.name + "_" + name for name in ("allowed_networks", "denied_networks")]
    for name in names:
        for index, text in enumerate(values.get(name) or []):
            try:
                network(text)
            except ValueError as error:
                yield Problem("{0}[{1}]".format(name, index), "is {0}".format(shown(text)), str(error))
    name = names[0]
    if not values[name] or values[room.name + "_firewall"] == NFTABLES:
        return
    contained = is_container(values[room.name + "_runtime"])
    if not contained and not room.connects_out(lambda suffix: values.get("{0}_{1}".format(room.name, suffix))):
        return
    listen = values.get(room.name + "_web_listen_address")
    try:
        if listen and is_local(listen):
            return
    except ValueError:
        return  # which is a problem of its own
    yield Problem(
        name,
        "cannot be enforced: systemd filters {0}".format(
            "no container" if contained else "both directions, and {0} connects to other hosts".format(room.title)
        ),
        "set {0}_firewall: nftables (monitoring_firewall for all services), or {1}: []".format(room.name, name),
    )


def check_peers(variable, peers, name, allowed):
    """The other members of a cluster can reach it.

    :param variable: the input with ``peers``.
    :param peers: their ``HOST:PORT``; names of hosts are nobody's to look up here.
    :param name: the input with the networks.
    """
    networks = [network(text) for text in allowed]
    for peer in peers:
        host = str(peer).rpartition(":")[0].strip("[]")
        if _is_address(host) and not any(ipaddress.ip_address(host) in one for one in networks):
            remedy = "add {0}, as members of a cluster connect to each other".format(host)
            yield Problem(name, "does not contain {0} of {1}".format(host, variable), remedy)
