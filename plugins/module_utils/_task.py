# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of the module ``service``: what is specified, of which host, and what is to be said at its end."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.module_utils._deployed import Records
from ansible_collections.vigil.monitoring.plugins.module_utils._host import State
from ansible_collections.vigil.monitoring.plugins.module_utils._runtimes import Runtimes
from ansible_collections.vigil.monitoring.plugins.module_utils._system import HERE


class Task:
    """What all parts of a deployment share.

    :param module: the module, with its options in ``params``.
    :param machine: the host, a :class:`_system.System`.
    :ivar name: name of the service.
    :ivar role: prefix of the variables that messages name.
    :ivar state: what is remembered about the service.
    :ivar runtimes: what it may run under, a :class:`_runtimes.Runtimes`.
    :ivar notes: what a person should know besides.
    :ivar unverified: what could not be verified.
    :ivar unknown: what check mode cannot tell, as it changes nothing.
    """

    def __init__(self, module, machine=HERE):
        self.module = module
        self.params = module.params
        self.machine = machine
        self.name = module.params["name"]
        self.role = module.params["role"] or self.name
        config_dir = module.params["config_dir"].rstrip("/")
        self.state = State(config_dir, Records(machine).moved_from(self.role, config_dir))
        self.notes, self.unverified, self.unknown = [], [], []
        self.runtimes = Runtimes(module.params, self.state, machine)
        self.notes += self.runtimes.take_notes()

    @property
    def runtime(self):
        """The runtime that is being dealt with, a :class:`_runtime.Runtime`."""
        return self.runtimes.current

    def take_up(self, manifest):
        """Deal with the runtime under which the service is deployed; whether it is deployed at all."""
        if not manifest["container"] and not any(runtime.has(manifest) for runtime in self.runtimes.all):
            return False
        self.runtimes.current = self.runtimes.of(manifest)
        self.runtimes.know(manifest)
        return True

    def say(self, note):
        """Note something, and warn of it."""
        self.notes.append(note)
        self.module.warn(note)
