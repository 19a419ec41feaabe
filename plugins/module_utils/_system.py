# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host as the deployment of a service uses it, besides the disk: commands, processes, HTTP requests, and time.

It is one object, so that every decision of a deployment can be tested against a simulated host.
"""

from __future__ import annotations

import os
import shutil
import time

from ansible_collections.vigil.monitoring.plugins.module_utils import _deployed, _host, _http
from ansible_collections.vigil.monitoring.plugins.module_utils._firewall import DIRECTORY
from ansible_collections.vigil.monitoring.plugins.module_utils._systemd import BOOTED, UNIT_DIRECTORY


class System:
    """This host.

    :ivar unit_directory: directory of the administrator's systemd units.
    :ivar firewall_directory: directory of the services' rules for nftables.
    :ivar records_directory: directory of what is remembered of the services.
    """

    unit_directory = UNIT_DIRECTORY
    firewall_directory = DIRECTORY
    records_directory = _deployed.DIRECTORY
    run = staticmethod(_host.run)
    get = staticmethod(_http.get)
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)

    @staticmethod
    def program(name):
        """The path of one of the system's own programs; None where it is not there."""
        return shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin")

    @staticmethod
    def has_systemd():
        """Whether systemd runs this host."""
        return os.path.isdir(BOOTED)

    @staticmethod
    def proc(path):
        """Text of a file below ``/proc``, or an empty string when there is none or it vanishes while it is read."""
        return _host.read_text("/proc/" + path)

    @staticmethod
    def executable(pid):
        """Where ``/proc/PID/exe`` points.

        :raises OSError: when the process has ended.
        """
        return os.readlink("/proc/{0}/exe".format(pid))

    @staticmethod
    def pids():
        """The ids of all processes, as text."""
        return [name for name in os.listdir("/proc") if name.isdigit()]

    @staticmethod
    def sockets(pid):
        """What the open files of a process are, such as ``socket:[4711]``; empty when it has ended."""
        try:
            return {os.readlink(entry.path) for entry in os.scandir("/proc/{0}/fd".format(pid))}
        except OSError:
            return set()


HERE = System()
