# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds what the collection has left on a host of which the inventory does not say what it runs."""

from __future__ import annotations

import shlex

from ansible_collections.vigil.monitoring.plugins.module_utils import _deployed
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._host_commands import script, sections


class Remains:
    """The services that a host runs as it remembers, by the manifest of each or by its unit, which all can read.

    :param folders: service -> its configuration directory.
    """

    def __init__(self, folders):
        self.folders = folders

    def command(self):
        """What to run on the host."""
        search = "{{ test -e {0} || head -n 1 {1} | grep -q vigil.monitoring; }} && echo {2}"
        steps = [
            search.format(
                shlex.quote("{0}/.vigil/manifest.json".format(folder)),
                shlex.quote("/etc/systemd/system/{0}.service".format(_rooms.load(kind).unit_name)),
                kind,
            )
            for kind, folder in self.folders.items()
        ]
        # A command that finds nothing is no failure.
        return script(*(step + " || :" for step in steps), _deployed.COMMAND)

    def kinds(self, output):
        """The services, in their order.

        :param output: what the command printed.
        """
        found = {section.strip() for section in sections(output)[:-1]}
        return _rooms.in_order(found)

    @staticmethod
    def deployed(output):
        """What the host says about all services that were deployed on it.

        :param output: what the command printed.
        """
        return (sections(output) or [""])[-1]
