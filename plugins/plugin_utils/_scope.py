# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services of which hosts a run verifies, and messages about those that it does not. Names in, names and messages out."""

from __future__ import annotations

import difflib

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms

# The tag of the verification itself.
VERIFY = "verify"
# Groups that Ansible creates.
OF_ANSIBLE = ("all", "ungrouped")
# Minimum similarity of a group's name to that of a service to be reported as a typo: prometeus is, postgresql is not.
TYPO = 0.8
NAMES = 12
NO_SERVICE = "no host is in the group of a service: {0}"
NO_HOSTS = "the inventory has no hosts: set it with -i, and check it with ansible-inventory --graph"


def play_hosts(groups, noted, limit=None):
    """The pattern of the hosts to verify, which always matches at least one, so that a message can be shown.

    :param groups: group -> its hosts, as in the magic variable.
    :param noted: role -> hosts on which it was started in this run.
    :param limit: the value of ``--limit``, if any.
    """
    if not groups.get("all"):
        return ["localhost"]
    found = [service for service in _rooms.names() if groups.get(service)]
    grouped = {host for service in found for host in groups[service]}
    found += sorted({host for hosts in noted.values() for host in hosts} - grouped)
    return ["all"] if limit or not found else found


def members(groups, service=None, limit=None):
    """The host pattern of a play for one service, or for any, and a message if there are no hosts.

    :param groups: group -> its hosts, as in the magic variable.
    :param service: the service, which is the name of its group; None for all services.
    :param limit: the value of ``--limit``, if any.
    :returns: dict: ``hosts``, which always matches at least one, so that the message can be shown; ``missing``, the message;
        ``without``, sentences about groups of these services that have no host, if others have one.
    """
    if not groups.get("all"):
        return {"hosts": "localhost", "missing": NO_HOSTS, "without": []}
    services = _rooms.in_order() if service is None else [service]
    found = [name for name in services if groups.get(name)]
    hosts = sorted({host for name in found for host in groups[name]})
    if not hosts:
        plain = "no host is in the group {0}".format(service) if service else NO_SERVICE.format(", ".join(services))
        words = typo_messages(groups, services) or [plain]
        return {"hosts": "all", "missing": "; ".join([*words, _groups_words(groups)]), "without": []}
    if limit and not set(hosts) & set(_limited(groups, limit)):
        text = "--limit {0} matches no host of the group{1} {2}, which ha{3} {4}".format(
            limit, "" if len(found) == 1 else "s", ", ".join(found), "s" if len(found) == 1 else "ve", _some(hosts)
        )
        return {"hosts": "all", "missing": text, "without": []}
    empty = ["no host is in the group {0}".format(name) for name in services if name in groups and not groups[name]]
    return {"hosts": ":".join(found), "missing": "", "without": [*typo_messages(groups, services), *empty]}


def left_out(tag, run_tags, skip_tags):
    """How the command line excludes tasks with this tag, as a message; empty if it does not.

    :param run_tags: the value of ``--tags``.
    :param skip_tags: the value of ``--skip-tags``.
    """
    if {"all", "tagged", tag} & set(run_tags) and not {"all", "tagged", tag} & set(skip_tags):
        return ""
    return "{0} excludes it; its tag is {1}".format(chooses(run_tags, skip_tags), tag)


def _limited(groups, limit):
    """The hosts that match ``--limit``, as Ansible evaluates it."""
    inventory = InventoryManager(DataLoader(), parse=False)
    for group, hosts in groups.items():
        inventory.add_group(group)
        for host in hosts:
            inventory.add_host(host, group)
    inventory.subset(limit)
    return [str(host) for host in inventory.list_hosts("all")]


def asked(kinds, begun, run_tags, skip_tags):
    """The services that this run verifies, and the others.

    :param kinds: services, in order.
    :param begun: those whose role was started on the host in this run.
    :param run_tags: the value of ``--tags``.
    :param skip_tags: the value of ``--skip-tags``.
    """
    if {"all", VERIFY} & set(run_tags):
        chosen = [kind for kind in kinds if kind in begun or kind not in skip_tags]
    else:
        chosen = [kind for kind in kinds if kind in begun or any(_is_of(tag, kind) for tag in run_tags)]
    return chosen, [kind for kind in kinds if kind not in chosen]


def _is_of(tag, kind):
    return tag == kind or tag.startswith(kind + "_")


def chooses(run_tags, skip_tags):
    """The options of the command line that exclude services by tags; empty if there are none."""
    options = [] if "all" in run_tags else ["--tags " + ",".join(run_tags)]
    return " ".join(options + (["--skip-tags " + ",".join(skip_tags)] if skip_tags else []))


def typos(groups, services=None):
    """Groups with hosts whose name is similar to that of a service without hosts: ``(group, service)``."""
    others = [
        group for group, hosts in groups.items() if hosts and group not in _rooms.names() and group not in OF_ANSIBLE
    ]
    for service in _rooms.names() if services is None else services:
        if not groups.get(service):
            for group in difflib.get_close_matches(service, others, n=1, cutoff=TYPO):
                yield group, service


def left_out_words(left_out, how):
    """A sentence about the services that were not verified because of tags.

    :param left_out: list of ``(host, service)``.
    :param how: see :func:`chooses`.
    """
    counts = {}
    for dummy, service in left_out:
        counts[service] = counts.get(service, 0) + 1
    listed = ", ".join(
        "{0} on {1} host{2}".format(service, counts[service], "" if counts[service] == 1 else "s")
        for service in _rooms.in_order(counts)
    )
    return "not verified, because {0} excludes it: {1}".format(how, listed)


def typo_messages(groups, services=None):
    """A sentence for each typo."""
    return [
        "no host is in a group {1}: did you mean {1} instead of {0}? Hosts in {1} get {1}, and are scraped".format(
            *typo
        )
        for typo in typos(groups, services)
    ]


def nothing_words(groups, hosts, how, limit):
    """The reason why nothing was verified, and what to do.

    :param hosts: of the play.
    :param how: see :func:`chooses`.
    :param limit: the value of ``--limit``, if any.
    """
    if how:
        return ["nothing was verified: {0} selects no service of these hosts".format(how)]
    if not groups.get("all"):
        return [NO_HOSTS]
    services = _rooms.in_order(service for service, hosts in groups.items() if hosts)
    if services:
        return [
            "no service to verify on {0}{1}; the inventory has {2}".format(
                _some(hosts),
                ", the only hosts that match --limit {0}".format(limit) if limit else "",
                ", ".join("{0} on {1}".format(service, _some(groups[service], 3)) for service in services),
            )
        ]
    return [
        NO_SERVICE.format(", ".join(_rooms.names())),
        _groups_words(groups),
        "a role outside these groups is verified in the run that applies it, and later on hosts whose configuration"
        " this run can read: with become, if the login user is not root",
    ]


def _groups_words(groups):
    others = sorted(group for group in groups if group not in OF_ANSIBLE)
    return "the groups of the inventory: {0}".format(_some(others) if others else "none")


def _some(names, count=NAMES):
    names = list(names)
    more = " and {0} more".format(len(names) - count) if len(names) > count else ""
    return ", ".join(names[:count]) + more
