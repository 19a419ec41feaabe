# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds the ports that a service is to listen on."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.module_utils._docker import in_podman
from ansible_collections.vigil.monitoring.plugins.module_utils._process import listeners
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_systemd import belongs_to


def port_problem(task, running):
    """Who holds one of the service's ports already: a sentence, or None.

    :param task: :class:`_task.Task`.
    :param running: the service's main process, or None.
    """
    machine, manifest = task.machine, task.state.manifest()
    inodes = listeners([machine.proc("net/tcp"), machine.proc("net/tcp6")], set(task.params["ports"]))
    if not inodes:
        return None
    mine = running.pid if running else None
    for pid in machine.pids():
        sockets = machine.sockets(pid)
        for inode, port in inodes.items():
            if "socket:[{0}]".format(inode) not in sockets or int(pid) == mine:
                continue
            # What is about to be stopped gives the port up.
            yields = belongs_to(pid, task.params["conflicts"], machine) or task.runtimes.yields(pid, port, manifest)
            if not yields:
                return "port {0} is held by {1} (process {2}); stop that, or choose another port".format(
                    port, _holder(task, pid, port), pid
                )
    return None


def _holder(task, pid, port):
    name = task.runtimes.holder(pid, port) or task.machine.proc("{0}/comm".format(pid)).strip()
    podman = in_podman(task.machine.proc("{0}/cgroup".format(pid)))
    return name + (" in the container {0} of Podman".format(podman[:12]) if podman else "")
