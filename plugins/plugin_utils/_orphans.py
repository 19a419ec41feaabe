# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was deployed on a host and is no longer in its inventory. What the host says in, services and lines of the summary out."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.module_utils import _deployed
from ansible_collections.vigil.monitoring.plugins.module_utils._findings import RED, UNVERIFIED
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms

IGNORE = "ignore"
# Values of monitoring_orphans -> state of the line in the summary.
STATES = {"warn": UNVERIFIED, "fail": RED}
NOT_ASKED = (
    "this collection deployed it here, and the inventory does not ask for it: {why}. Remove it with"
    " `ansible-playbook remove.yml -e host={host} -e service={service}`, which keeps its data, or {back}."
    " (monitoring_orphans is {choice}; fail makes this red, ignore silences it.)"
)


def deployed(text):
    """The services of the collection that a host has, with whether a group of the inventory asked for them.

    :param text: what :data:`_deployed.COMMAND` prints there.
    :returns: service -> True, False, or None where nobody knows, in the order of deployment.
    """
    found, units = {}, {}
    for one in _deployed.parse(text or ""):
        service = one.get("service") or one["unit"]
        if service not in _rooms.names() and service not in _rooms.FURTHER:
            # Only few are called otherwise; loading all rooms takes a while.
            units = units or {_rooms.load(name).unit_name: name for name in _rooms.names()}
            service = units.get(one["unit"])
        if service:
            found[service] = found.get(service) or one["grouped"]
    return {name: found[name] for name in _rooms.deployable(found)}


def orphans(found, wanted, groups_matter):
    """Those of a host's services that nothing asks for.

    :param found: see :func:`deployed`.
    :param wanted: services that the inventory asks for there, or a play of this run has dealt with.
    :param groups_matter: whether the host is in the group of any service. If not, one of which nobody knows whether a group has
        asked for it may be a playbook's.
    """
    return [
        service
        for service, grouped in found.items()
        if service not in wanted and (grouped or (grouped is None and groups_matter))
    ]


def line(service, host, choice, group, absent):
    """The line of the summary.

    :param choice: value of monitoring_orphans.
    :param group: the group whose hosts run the service.
    :param absent: whether its state is absent in the inventory.
    """
    why = "{0} is not in the group {1}".format(host, group)
    back = "put the host back into the group"
    if absent:
        why, back = "{0}_state is absent".format(service), "run site.yml, which removes it"
    text = NOT_ASKED.format(why=why, host=host, service=service, back=back, choice=choice)
    return {"service": service, "state": STATES[choice], "reasons": [text], "url": None, "version": None, "reached": True,
            "orphan": True}  # fmt: skip
