# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What remove.yml removes, of which hosts, and what it says about it. Names in, names and sentences out."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import nearest

ALL = "all"
NO_HOST = (
    "name the host: -e host=NAME, or --limit NAME. What is removed is decided by what this collection left there, so the whole"
    " inventory is never meant"
)


class Choice(NamedTuple):
    """What is removed of a host.

    :ivar services: in the order in which they are removed.
    :ivar words: sentences about what is not.
    """

    services: list
    words: list


def services_of(named):
    """The services that a user has named, or None for all that the inventory does not ask for.

    :param named: names with commas between them, or a list of names; ``all`` is every one that is there.
    :raises ValueError: for one that there is not; the message names the nearest one.
    """
    names = named.split(",") if isinstance(named, str) else list(named or ())
    names = [str(name).strip() for name in names if str(name).strip()]
    if ALL in names:
        return _rooms.deployable()
    for name in names:
        if name not in _rooms.FURTHER:
            # Fails where there is no such service.
            _rooms.load(name)
    return names or None


def hosts_of(groups, named, limit):
    """The pattern of the hosts, and in words why there are none.

    :param groups: the magic variable.
    :param named: what the user calls ``host``: names with commas between them, or a pattern.
    :param limit: the value of ``--limit``, if any.
    """
    known = [*(groups.get("all") or ())]
    if not named and not limit:
        return {"hosts": "all" if known else "localhost", "missing": NO_HOST}
    for name in [name.strip() for name in str(named or "").split(",") if name.strip()]:
        if name not in known and name not in groups and not set("*!&:[]~") & set(name):
            other = nearest(name, [*known, *groups])
            meant = "; did you mean {0}?".format(other) if other else ""
            text = "the inventory has no host {0}{1} To reach a host that is in no inventory, add it: -i '{0},'"
            return {"hosts": "all" if known else "localhost", "missing": text.format(name, meant or ".")}
    return {"hosts": str(named or "all"), "missing": ""}


def choose(found, named, wanted, host):
    """Which of a host's services are removed.

    :param found: names of those of which something is there.
    :param named: see :func:`services_of`.
    :param wanted: names of those that the inventory asks for there.
    :returns: a :class:`Choice`.
    """
    words = []
    chosen = [name for name in found if (name not in wanted if named is None else name in named)]
    if named is None:
        kept = [name for name in found if name in wanted]
        if kept:
            text = "{0} asked for by the inventory and kept: {1}. To remove {2} as well, name {2}: -e service={3}, or -e service=all"
            one = len(kept) == 1
            words.append(text.format("is" if one else "are", ", ".join(kept), "it" if one else "them", ",".join(kept)))
    else:
        again = [name for name in chosen if name in wanted]
        if again:
            words.append(
                "the inventory still asks for {0} on {1}, so the next site.yml deploys {2} again: take {1} out of the group, or set"
                " {3}_state: absent".format(", ".join(again), host, "it" if len(again) == 1 else "them", again[0])
            )
        none = [name for name in named if name not in found]
        if none and len(named) < len(_rooms.deployable()):
            words.append("nothing of {0} is on {1}".format(", ".join(none), host))
    if not found:
        words = ["nothing that this collection has deployed is on {0}".format(host)]
    return Choice(list(reversed(_rooms.deployable(chosen))), words)


def with_proxies(chosen, found, proxies):
    """Services in the order of their removal, with their proxies, which go before them.

    :param chosen: names, in their order.
    :param found: names of those of which something is there.
    :param proxies: service -> its proxy, or None.
    """
    order = []
    for name in chosen:
        order += [one for one in (proxies.get(name), name) if one in found and one not in order]
    return order


def told(service, removed, kept, check):
    """Sentences about what became of a service.

    :param removed: paths and names.
    :param kept: paths of its data, and of directories with files of others.
    """
    verb = "would be removed" if check else "removed"
    words = ["{0}: {1}: {2}".format(service, verb, ", ".join(removed) or "nothing is left of it")]
    if kept:
        words.append(
            "{0}: kept: {1} (its data is removed with -e remove_data=true; files that this collection did not write stay)".format(
                service, ", ".join(kept)
            )
        )
    return words
