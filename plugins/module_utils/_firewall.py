# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's nftables table of the services: a file for each of them, and one systemd unit that loads all of them at once.

The table is loaded in one transaction, and no other table is touched. The files belong to the services, which switch, roll back
and remove them with everything else; here the kernel and systemd are made to agree with what lies on the disk.
"""

from __future__ import annotations

import glob
import hashlib
import os

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    ensure_directory,
    read_text,
    write_atomically,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._systemd import UNIT_DIRECTORY

TABLE = "inet vigil_monitoring"
DIRECTORY = "/etc/vigil-firewall"
UNIT = "vigil-firewall.service"
# A table has to be there to be deleted.
EMPTY = "add table {0}; delete table {0}".format(TABLE)
TEXT = """# Written by vigil.monitoring: the ports of its services are closed to all networks but those in {directory}.
[Unit]
Description=Firewall of the monitoring services
Documentation=man:nft(8)
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target
# It empties all tables, whenever it starts or reloads.
After=local-fs.target nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={nft} '{load}'
ExecReload={nft} '{load}'
ExecStop={nft} '{empty}'

[Install]
WantedBy=multi-user.target nftables.service
"""


def path_of(name):
    """Where the rules of a service lie."""
    return "{0}/{1}.nft".format(DIRECTORY, name)


def rules_of(path):
    """The name of the service whose rules lie at a path."""
    return os.path.basename(path)[: -len(".nft")]


def command(name):
    """What prints the rules of a service that are in force, and what loads them at a boot; for a shell."""
    listed = "PATH=$PATH:/usr/sbin:/sbin nft list chain {0} {1} 2>/dev/null".format(TABLE, name)
    loader = "systemctl is-enabled {1} 2>/dev/null; sha256sum {0}/{1} 2>/dev/null".format(UNIT_DIRECTORY, UNIT)
    return "{0}; {1}".format(listed, loader)


def digest_of(text):
    """What stands for the output of :func:`command`."""
    return hashlib.sha256(text.strip("\r\n").encode("utf-8", "replace")).hexdigest()[:16]


class Firewall:
    """The table on this host.

    :param machine: the host, a :class:`_system.System`.
    """

    def __init__(self, machine):
        self.machine = machine
        self.directory = machine.firewall_directory
        self.unit_path = os.path.join(machine.unit_directory, UNIT)

    def problem(self, text, role):
        """That these rules cannot be loaded: a sentence, or None.

        :param text: the rules of one service.
        :param role: prefix of the variables that messages name.
        """
        remedy = "or set {0}_firewall: none".format(role)
        if not self.machine.has_systemd():
            return "systemd, which loads the firewall at boot, does not run this host; {0}".format(remedy)
        nft = self._nft()
        if not nft:
            return "nft is not on this host: install its package, nftables, {0}".format(remedy)
        status, output = self.machine.run([nft, "--check", text])
        if status:
            return "nft refuses the rules of the firewall ({0}); {1}".format(output.strip()[:400], remedy)
        return None

    def settle(self):
        """Load what lies on the disk, now and at each boot; or nothing of it any more, where there is nothing.

        :returns: whether anything was changed.
        :raises HostError: when that fails.
        """
        if glob.glob(os.path.join(glob.escape(self.directory), "*.nft")):
            return self._load()
        if os.path.lexists(self.unit_path):
            self._run("systemctl", "disable", "--now", UNIT)
            _nofollow.unlink(self.unit_path)
            self._run("systemctl", "daemon-reload")
            _nofollow.remove_empty(self.directory)
            return True
        return False

    def in_force(self, name):
        """What stands for the rules of a service that are in force, as the comparison on the controller sees them."""
        return digest_of(self.machine.run(["sh", "-c", command(name)])[1])

    def _load(self):
        nft = self._nft()
        if not nft:
            raise HostError("nft is not on this host: install its package, nftables")
        load = '{0}; include "{1}/*.nft"'.format(EMPTY, self.directory)
        text = TEXT.format(directory=self.directory, nft=nft, load=load, empty=EMPTY)
        changed = read_text(self.unit_path) != text or os.path.islink(self.unit_path)
        if changed:
            ensure_directory(os.path.dirname(self.unit_path))
            write_atomically(self.unit_path, text.encode("utf-8"), 0o644)
            self._run("systemctl", "daemon-reload")
        if self.machine.run(["systemctl", "is-enabled", UNIT])[1].strip() != "enabled":
            self._run("systemctl", "enable", UNIT)
            changed = True
        before = self._table(nft)
        self._run("systemctl", "reload-or-restart", UNIT)
        return changed or self._table(nft) != before

    def _table(self, nft):
        return self.machine.run([nft, "list", "table", *TABLE.split()])

    def _nft(self):
        return self.machine.program("nft")

    def _run(self, *argv):
        status, output = self.machine.run(list(argv))
        if status:
            raise HostError("{0} failed: {1}".format(" ".join(argv), output.strip()))
