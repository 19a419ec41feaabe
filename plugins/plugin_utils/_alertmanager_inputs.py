# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the inputs of the role alertmanager, beyond their types."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._channels import COMMON, GLOBAL_KEYS
from ansible_collections.vigil.monitoring.plugins.plugin_utils._escalation import check_escalation
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inputs import pinned
from ansible_collections.vigil.monitoring.plugins.plugin_utils._networks import NFTABLES, check_peers
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem, is_duration, not_a_duration
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import listen_addresses

# What channels may leave to the section global.
STAND_INS = [name for name, key in GLOBAL_KEYS.items() if key in {key + end for key in COMMON for end in ("", "_file")}]


def check_alertmanager(values):
    """What only Alertmanager has."""
    if not is_duration(values["alertmanager_resolve_timeout"]):
        yield not_a_duration("alertmanager_resolve_timeout", values["alertmanager_resolve_timeout"])
    if values["alertmanager_config_file"] == "alertmanager.yml.j2":
        if not values["alertmanager_receivers"]:
            yield Problem("alertmanager_receivers", "is empty", "name at least one receiver")
        if not (values["alertmanager_route"] or {}).get("receiver"):
            yield Problem("alertmanager_route", "has no receiver", "name the one that gets what no other route takes")
    own = {key: "alertmanager_" + name for name, key in GLOBAL_KEYS.items()}
    own.update(resolve_timeout="alertmanager_resolve_timeout", http_config="alertmanager_http_config")
    for key in values["alertmanager_global"] or {}:
        variable = "alertmanager_smtp" if str(key).startswith("smtp_") else own.get(key)
        if variable:
            found = "has a variable of its own"
            yield Problem("alertmanager_global.{0}".format(key), found, "use {0}".format(variable))
    cluster = values["alertmanager_cluster"] or {}
    peers = cluster.get("peers")
    if peers is not None and not isinstance(peers, list):
        yield Problem("alertmanager_cluster.peers", "is not a list", "write - HOST:PORT below it")
    elif values["alertmanager_firewall"] == NFTABLES and values["alertmanager_allowed_networks"]:
        allowed = values["alertmanager_allowed_networks"]
        yield from check_peers("alertmanager_cluster.peers", peers or [], "alertmanager_allowed_networks", allowed)
    if cluster.get("listen-address"):
        try:
            listen_addresses(cluster["listen-address"])
        except ValueError as error:
            yield Problem("alertmanager_cluster.listen-address", str(error), "write it like 0.0.0.0:9094")
    version = values["alertmanager_version"] if pinned("alertmanager", values) else None
    inputs = {name: values["alertmanager_" + name] for name in ("escalation", "route", "receivers", "smtp", "global")}
    inputs.update((name, values["alertmanager_" + name]) for name in STAND_INS)
    yield from check_escalation(dict(inputs, version=version))
