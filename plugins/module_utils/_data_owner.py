# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data that the service's account cannot change, as after a restore."""

from __future__ import annotations

import grp
import os
import pwd

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._host import WRITER, HostError

# How much of the data is looked through, after a failure, for what belongs to somebody else.
DATA_ENTRIES = 10000


def owner_problem(task):
    """What of its data the service's account cannot change: a sentence, or None.

    :param task: :class:`_task.Task`.
    """
    data = task.params["data_dir"]
    if not data:
        return None
    # What the collection itself puts there has the owner that it needs.
    spared = {os.path.join(data, name) for name in (WRITER, "lost+found")}
    spared.update(path.rstrip("/") for path in task.state.manifest()["directories"])
    spared.update(os.path.dirname(path) for path in task.params["links"])
    try:
        found, status = _nofollow.strangers(data, DATA_ENTRIES, spared), _nofollow.directory_status(data)
    except (OSError, HostError):
        # A disk that cannot be read keeps nobody from putting back what was there before.
        return None
    if not found or status is None:
        return None
    path, uid = found[0]
    return (
        "In {0}, the data directory of {1}, {2} belongs to {3}{4}, and {1} cannot write to it. After a restore from a"
        " backup: stop {5}, run `chown -Rh {1}:{6} {0}`, then run the play again.".format(
            data,
            _name_of(pwd.getpwuid, status.st_uid),
            path,
            _name_of(pwd.getpwuid, uid),
            " (and {0} more)".format(len(found) - 1) if found[1:] else "",
            task.name,
            _name_of(grp.getgrgid, status.st_gid),
        )
    )


def _name_of(look_up, number):
    """The name of an account or a group; its number where it has none."""
    try:
        return look_up(number)[0]
    except KeyError:
        return str(number)
