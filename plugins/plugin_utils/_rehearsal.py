# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rehearsal of a restore: what rooms say of a service that is started with restored data, and what a comparison means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms

# As many names are in a sentence.
NAMED = 3


class Wanted(NamedTuple):
    """How a service is started beside the running one.

    :ivar arguments: of its command line, with ``_rehearsal.PORT`` in them.
    :ivar requests: what is compared -> path of its API, maybe with ``_rehearsal.NEWEST`` in it.
    :ivar ready: path that answers 200 once it is ready.
    :ivar files: further files of its configuration directory: name -> text.
    :ivar keep: beginnings of the arguments that it shares with the running one.
    :ivar environment: what its container needs besides that of its image.
    """

    arguments: list
    requests: dict
    ready: str
    files: dict
    keep: list
    environment: dict


class Figure(NamedTuple):
    """What a service has, as one number or as names.

    :ivar title: what it is, in the plural.
    :ivar value: how many, or a list of names.
    :ivar exact: whether it can be no other than that of the running service, and not nothing; else it may have changed since the backup.
    """

    title: str
    value: Any
    exact: bool = False


def services_of(groups: list, inputs: Callable) -> tuple[list, list]:
    """The services of a host that are rehearsed, as the module restore_test takes them; and sentences about those that are not.

    :param groups: the groups of the inventory that the host is in.
    :param inputs: function of a service's name that gives the inputs of its role.
    """
    found, words = [], []
    for name in _rooms.in_order(groups):
        room, i = _rooms.load(name), inputs(name)
        if room.behind or i["state"] == "absent":
            continue
        saved = room.backup(i)
        if not saved["data"]:
            continue
        wanted = room.rehearsal(i)
        if isinstance(wanted, str):
            words.append("{0}: {1}".format(name, wanted))
            continue
        login = room.history_login(i) or {}
        found.append(
            {
                "service": name,
                "unit": room.unit_name,
                "config": i["config_dir"],
                "data": saved["data"],
                "has_blocks": any(step["kind"] == "blocks" for step in saved["prepare"]),
                "username": login.get("username"),
                "password": login.get("password"),
                **wanted._asdict(),
            }
        )
    return found, words


def unanswered(answers: dict) -> list[str]:
    """Why something could not be compared, one sentence each."""
    return [
        "{0}: HTTP {1} {2}".format(title, said["status"], said["text"].strip()[:200])
        for title, said in answers.items()
        if said["status"] != 200
    ]


def counted(restored: list[Figure], running: list[Figure]) -> list[list]:
    """What was compared, for the metrics: lists of what it is, how many were restored, and how many the running service has.

    Parameters as of :func:`compare`. Of names, those count that the running service has.
    """
    found = []
    for one, other in zip(restored, running):
        if isinstance(other.value, list):
            found.append([one.title, len(set(other.value) & set(one.value)), len(set(other.value))])
        else:
            found.append([one.title, one.value, other.value])
    return found


def compare(restored: list[Figure], running: list[Figure]) -> tuple[list[str], list[str]]:
    """What is there again, and what is missing, as sentences.

    :param restored: figures of the restored service.
    :param running: those of the running one, in the same order.
    """
    good, bad = [], []
    for one, other in zip(restored, running):
        if isinstance(other.value, list):
            missing = sorted(set(other.value) - set(one.value))
            text = "{0} of {1} {2}".format(len(other.value) - len(missing), len(other.value), one.title)
            more = " and {0} more".format(len(missing) - NAMED) if len(missing) > NAMED else ""
            text += " (missing: {0}{1})".format(", ".join(missing[:NAMED]), more) if missing else ""
            is_bad = bool(missing)
        else:
            text = "{0} {1}, and {2} of the running service".format(one.value, one.title, other.value)
            if one.exact:
                # What has nothing on either side proves nothing.
                is_bad = one.value != other.value or not one.value
                text += "" if one.value or other.value else ": nothing was compared"
            else:
                is_bad = not one.value and bool(other.value)
        (bad if is_bad else good).append(text)
    return good, bad
