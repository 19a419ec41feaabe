# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a runtime is: the interface of whatever can run a service on a host. One class each implements it.

What stands here are the answers of a runtime that has nothing of the service. What ``inspect`` returns is for the other methods
of the same runtime alone, and is called ``seen`` there.
"""

from __future__ import annotations

from typing import Any, Optional

from ansible_collections.vigil.monitoring.plugins.module_utils._host import NotVerified
from ansible_collections.vigil.monitoring.plugins.module_utils._process import Running


class Runtime:
    """A service under one runtime of this host.

    :param name: name of the service.
    :param machine: the host, a :class:`_system.System`.
    :ivar title: what messages call the service.
    :ivar notes: what a person should know besides; taken with :meth:`take_notes`.
    :cvar needs: the module's option without which nothing can be deployed under it.
    """

    needs: Optional[str] = None

    def __init__(self, name: str, machine) -> None:
        self.name = name
        self.machine = machine
        self.title = name
        self.notes: list = []

    @classmethod
    def find(cls, params: dict, wanted: bool, state, machine) -> Optional[Runtime]:
        """The runtime, or None where it cannot have anything of the service.

        :param params: options of the module service.
        :param wanted: whether it is what the service is to run under.
        :param state: what is remembered about the service, a :class:`_host.State`.
        """
        raise NotImplementedError

    @classmethod
    def host_problem(cls, machine) -> Optional[str]:
        """That this host cannot have it: a sentence, or None."""
        return None

    # What is there

    def missing(self) -> Optional[tuple]:
        """What check mode cannot tell, and why, where the runtime itself is yet to be installed; None otherwise."""
        return None

    def know(self, manifest: dict) -> None:
        """Take what is remembered about a generation for what has to be there."""

    def has(self, manifest: dict) -> bool:
        """Whether a generation has its service under this runtime."""
        return False

    def inspect(self) -> Any:
        """What is known about the service.

        :raises HostError: when the runtime does not answer.
        """
        return None

    def running(self, seen) -> Optional[Running]:
        """The main process, or None when there is none."""
        return None

    def pid(self, seen) -> int:
        """The id of the main process, 0 when there is none."""
        return 0

    def is_active(self, seen) -> bool:
        """Whether it runs or is on its way there."""
        return False

    def is_known(self, seen) -> bool:
        """Whether there is anything that could run."""
        return False

    def is_enabled(self, seen) -> bool:
        """Whether it comes up with the host."""
        return True

    def filter_problem(self, seen) -> Optional[str]:
        """That its filter by address is not in force on this host: a sentence, or None."""
        return None

    def since_start(self, seen) -> Any:
        """What a watch that begins with a start compares with; None as long as nothing has started."""
        return None

    def trouble(self, before, now) -> Optional[str]:
        """That the service stopped or was restarted since ``before`` (None: a watch is yet to begin), or None."""
        return None

    def last_words(self, since: float, *limit: int) -> str:
        """Its last log lines that tell something, indented and without secrets.

        :param since: seconds since the epoch.
        :param limit: how many at the most.
        """
        return "  (no log lines)"

    def addresses(self, manifest: dict) -> list:
        """The listen addresses on the host that are known to lead to a generation's service, ``HOST:PORT``."""
        return []

    def yields(self, pid: str, port: int, manifest: dict, wanted: bool) -> bool:
        """Whether a process gives up its port with the switch, as it belongs to the service.

        :param manifest: that of the generation before.
        :param wanted: whether the service is to run under this runtime.
        """
        return False

    def holder(self, pid: str, port: int) -> Optional[str]:
        """For whom a process holds a port, where that is another one than the process says: words, or None."""
        return None

    def renamed(self) -> Any:
        """What :meth:`inspect` would return, had nobody given the service another name; None where nobody has."""
        return None

    def renamed_note(self) -> Optional[str]:
        """What a check says about that: a sentence, or None."""
        return None

    def name_problem(self) -> Optional[str]:
        """That it cannot have its name back: a sentence, or None."""
        return None

    def is_untidy(self) -> bool:
        """Whether something of a switch that was cut off is left."""
        return False

    def is_gone(self) -> bool:
        """Whether nothing of it is left; what would have it come up with the host may be taken away then."""
        return True

    def is_left(self, manifest: dict) -> bool:
        """Whether a removal has something to shut down."""
        return False

    # What has to be there

    def texts(self, undo: str) -> dict:
        """The texts that make the service, by their paths; an empty one must not be there.

        :param undo: path of the journal of a running switch.
        """
        return {}

    def paths(self) -> list:
        """The paths of these texts."""
        return []

    def directories(self) -> list:
        """Directories that are made for these texts alone."""
        return []

    def leftovers(self, manifest: dict) -> list:
        """Paths that have a generation's service come up with the host, for when its runtime changes."""
        return []

    def entry(self) -> Optional[dict]:
        """What the manifest of the new generation says about its container; None for none."""
        return None

    def expected(self, argv: list, running: Optional[Running]) -> tuple:
        """The executable and the fingerprint that the process has to have."""
        return "", ""

    def expected_arguments(self, argv: list) -> Optional[list]:
        """The whole command line that the process has to have; None where something else settles it."""
        return None

    def definition(self, seen) -> str:
        """What stands for all that the runtime has read of the service."""
        return ""

    def account(self) -> str:
        """The service's account as the host knows it now, where the runtime has only its number."""
        return ""

    def devices(self) -> list:
        """Paths of the host's devices that the service is given, sorted."""
        return []

    def other_dropins(self) -> dict:
        """Somebody else's drop-ins that have the service started otherwise than specified: path -> directives."""
        return {}

    def removable_dropins(self) -> list:
        """Those of them that may be taken away."""
        return []

    def replacement(self, seen) -> Optional[str]:
        """Why something has to be made anew that is not on the disk, or None."""
        return None

    def order(self) -> Optional[dict]:
        """What the controller has to make for that first, as values of the module's answer; None for nothing."""
        return None

    def diff(self, manifest: dict) -> list:
        """Entries of Ansible's diff for that.

        :param manifest: that of the generation before.
        """
        return []

    def standing_problems(self) -> list:
        """What stands in the way of any deployment, one sentence each."""
        return []

    def foreign_problems(self) -> list:
        """What of somebody else's stands in the way and is replaced by nobody, one sentence each."""
        return []

    def foreign_problem(self, seen, ours, conflicts) -> Optional[str]:
        """That somebody else's service of this name is there, which can be taken over: a sentence, or None.

        :param ours: paths that the collection wrote.
        :param conflicts: units of packages that give way.
        """
        return None

    def problems(self, replacing: Optional[str], role: str, secrets: list) -> list:
        """Why this host could not run what is specified, one sentence each; empty entries are none.

        :param replacing: what :meth:`replacement` said.
        :param role: prefix of the variables that messages name.
        """
        return []

    def is_tried(self, replacing: Optional[str]) -> bool:
        """Whether the program has to be tried with its new command line."""
        return True

    def trial(self, argv: list, links: dict, *more: str) -> Optional[tuple]:
        """What the program says to these arguments.

        :param links: links that the switch will make, from path to target.
        :returns: ``(exit status, output)``, or None where it cannot be run.
        """
        return None

    def program_problem(self, status: int, output: str, version: Optional[str], role: str) -> Optional[str]:
        """That the program is not what was specified: a sentence, or None.

        :param status: of the program when it was run for its version.
        :param output: what it said.
        """
        return None

    def is_another_program(self, manifest: dict, changes: list, argv: list) -> bool:
        """Whether the switch brings another program than the generation before had."""
        return False

    # Doing it

    def take_notes(self) -> list:
        """The notes, once."""
        taken, self.notes = self.notes, []
        return taken

    def remember(self, state) -> None:
        """Note on disk where the service is about to be, before it is."""

    def forget(self, state) -> None:
        """The service has another runtime now: what :meth:`remember` noted goes."""

    def adopt(self, manifest: dict) -> None:
        """The new generation is on the disk: from here on it is what has to be there."""

    def settle(self, texts: dict, seen, stale: bool = False) -> bool:
        """Have what was written read, and the service come up with the host.

        :param texts: paths of units that were changed.
        :param stale: whether something else may have been read than what is on disk.
        :returns: whether it did not come up with the host before.
        :raises HostError: when that fails.
        """
        return False

    def act(self, action: str) -> float:
        """``start``, ``restart`` or ``reload`` it.

        :returns: the moment before, in seconds since the epoch.
        :raises NotVerified: when that fails.
        """
        raise NotVerified("nothing of {0} is there".format(self.title))

    def retire(self) -> None:
        """Stop it once its generation is off the disk, to make room for another runtime.

        :raises NotVerified: when that fails.
        """

    def stop(self) -> None:
        """Stop it, after a rollback to where it did not run."""

    def reinstate(self, manifest: dict, mine: bool, tried: bool) -> None:
        """A generation was put back on the disk: take away what came after it.

        :param mine: whether the generation's service is this runtime's.
        :param tried: whether the service was to run under this runtime.
        """

    def tidy(self) -> bool:
        """Take away what is not the generation's, and give that its name back.

        :returns: whether there was anything to do.
        :raises HostError: when something else has its name.
        """
        return False

    def clean_up(self, manifest: dict) -> None:
        """The new generation is verified: remove what only a rollback would have needed."""

    def shut_down(self) -> None:
        """Stop it and have it come up no more, for its removal.

        :raises HostError: when that fails.
        """

    def refresh(self) -> None:
        """Have the runtime read again what is on the disk.

        :raises HostError: when that fails.
        """

    def forget_failures(self) -> None:
        """Have the runtime forget how often the service failed."""
