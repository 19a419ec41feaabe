# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What restic has restored of a service, in a directory that root alone can enter: ``snapshot``, each path below its own, and ``data``.

The account of the service may have put links into its data. What lies behind one is never moved.
"""

from __future__ import annotations

import os
import stat

from ansible_collections.vigil.monitoring.plugins.module_utils._data_copy import OURS
from ansible_collections.vigil.monitoring.plugins.module_utils._data_directory import SPARED
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError


def dump_of(described):
    """Where a snapshot has the dump of a database on a server; None for none.

    :param described: what its manifest says of the service.
    """
    return next((source["from"] for source in described["sources"] if source["to"] is None), None)


def assemble(top, described):
    """Have the directory ``data`` be what the data directory is to be, made of what restic has restored.

    :raises HostError: when that is not as its manifest says.
    """
    if described["data"] not in [source["to"] for source in described["sources"]]:
        raise HostError("the snapshot does not have its data directory {0}".format(described["data"]))
    for source in sorted(described["sources"], key=lambda one: not os.path.isdir(top + "/snapshot" + one["from"])):
        path, target = top + "/snapshot" + source["from"], source["to"]
        if target is None:
            # The dump of a database on a server.
            continue
        must_be_inside(path, top)
        if os.path.isdir(path) and target == described["data"]:
            for name in os.listdir(path):
                if name not in (*SPARED, *OURS):
                    os.rename(os.path.join(path, name), os.path.join(top, "data", name))
        elif not os.path.isdir(path) and target.startswith(described["data"] + "/"):
            target = top + "/data" + target[len(described["data"]) :]
            os.makedirs(os.path.dirname(target), 0o700, exist_ok=True)
            must_be_inside(os.path.dirname(target), top)
            os.rename(path, target)
        else:
            raise HostError("{0} does not belong into the data directory {1}".format(target, described["data"]))


def must_be_inside(path, top):
    """Refuse a path that leads elsewhere by a link in the snapshot: the account of the service may have made that."""
    if os.path.realpath(path) != os.path.realpath(top) + path[len(top) :]:
        raise HostError(
            "{0} in the snapshot is, or lies behind, a symbolic link: restore it by hand".format(path[len(top) :])
        )


def give(folder, uid, gid, keeps_links=False):
    """Give what is in a directory to the account of the service; nobody else reaches it yet. What is no file, directory or link goes.

    :param keeps_links: whether links of root's stay; a deployment makes them again.
    """
    for path, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            entry = os.path.join(path, name)
            status = os.lstat(entry)
            is_link = stat.S_ISLNK(status.st_mode)
            if is_link and not status.st_uid:
                if not keeps_links:
                    os.unlink(entry)
            elif is_link or stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode):
                os.chown(entry, uid, gid, follow_symlinks=False)
            else:
                os.unlink(entry)
