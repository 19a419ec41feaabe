# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role in PostgreSQL that a service logs in as: changed just before the switch, and put back where that is."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError
from ansible_collections.vigil.monitoring.plugins.module_utils._postgres_server import (
    NotThere,
    Refused,
    Role,
    Server,
    Unreachable,
)


def change(task):
    """Have the role in the database what it has to be; what brings it back is on disk first.

    :param task: :class:`_task.Task`.
    :returns: whether it was changed, or a run before has done so and not come to its end.
    :raises HostError: when it cannot be.
    """
    given, state = task.params["database"], task.state
    if not given:
        return False
    try:
        role = Role(given, Server(given))
        if not state.database():
            state.create()
            statements, reason = role.way_back(given["password_file"])
            state.note_database({"undo": statements, "reason": reason})
        role.make()
    except Unreachable as error:
        task.module.warn(
            "the database cannot be reached, so the role {0} was left as it is: {1}".format(given["name"], error)
        )
        return bool(state.database())
    except (NotThere, Refused, HostError) as error:
        restored = restore(task)
        raise HostError(
            "{0} was not changed: the role {1} in the database cannot be changed: {2}.{3}".format(
                task.name, given["name"], error, " " + restored if restored else ""
            )
        ) from error
    return True


def restore(task):
    """Bring the role in the database back to what it was; a sentence about it, or nothing where it was not changed.

    :param task: :class:`_task.Task`.
    """
    given, record = task.params["database"], task.state.database()
    if not given or not record:
        return ""
    try:
        Server(given).say("\n".join(record["undo"]))
    except (NotThere, Refused, Unreachable) as error:
        return "The role {0} in the database could not be restored; run the play again: {1}.".format(
            given["name"], error
        )
    task.state.note_database(None)
    if record["reason"]:
        return "The role {0} in the database was restored, but {1}.".format(given["name"], record["reason"])
    return "The role {0} in the database was restored.".format(given["name"])
