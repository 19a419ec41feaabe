# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runtimes that there are, and which of them have to do with a service on this host."""

from __future__ import annotations

from typing import Optional

from ansible_collections.vigil.monitoring.plugins.module_utils._runtime import Runtime
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_docker import Docker
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_systemd import Systemd

# Value of the module's option `runtime` -> its class.
RUNTIMES = {"systemd": Systemd, "docker": Docker}


class Runtimes:
    """Those that may have something of the service.

    :param params: options of the module service.
    :param state: what is remembered about the service, a :class:`_host.State`.
    :param machine: the host, a :class:`_system.System`.
    :ivar all: the runtimes, each a :class:`_runtime.Runtime`.
    :ivar wanted: the one that the service is to run under.
    :ivar current: the one that is being dealt with: another than the wanted one while something is put back.
    """

    def __init__(self, params, state, machine):
        found = {name: kind.find(params, params["runtime"] == name, state, machine) for name, kind in RUNTIMES.items()}
        self.wanted = self.current = found[params["runtime"]]
        self.all = [runtime for runtime in found.values() if runtime is not None]

    def of(self, manifest: dict) -> Runtime:
        """The runtime that a generation's service has; the wanted one where it has none."""
        return next((runtime for runtime in self.all if runtime.has(manifest)), self.wanted)

    def others(self) -> list:
        """Those that the service is not to run under."""
        return [runtime for runtime in self.all if runtime is not self.wanted]

    def know(self, manifest: dict) -> None:
        """Take what is remembered about a generation for what has to be there."""
        for runtime in self.all:
            runtime.know(manifest)

    def reinstate(self, manifest: dict) -> None:
        """Give the generation that was put back on the disk its runtime, and take that of the other one away."""
        old = self.of(manifest)
        for runtime in self.all:
            runtime.reinstate(manifest, runtime is old, runtime is self.current)
        self.current = old

    def own_titles(self, manifest: dict) -> list:
        """What the service is called where it is, or is to be."""
        return [runtime.title for runtime in self.all if runtime is self.wanted or runtime.has(manifest)]

    def yields(self, pid: str, port: int, manifest: dict) -> bool:
        """Whether a process gives up its port with the switch, as it belongs to the service."""
        return any(runtime.yields(pid, port, manifest, runtime is self.wanted) for runtime in self.all)

    def holder(self, pid: str, port: int) -> Optional[str]:
        """For whom a process holds a port, where that is another one than the process says: words, or None."""
        return next(filter(None, (runtime.holder(pid, port) for runtime in self.all)), None)

    def take_notes(self) -> list:
        """The notes of all of them, once."""
        return [note for runtime in self.all for note in runtime.take_notes()]
