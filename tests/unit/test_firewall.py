# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's nftables table: loaded before the service listens, mended, rolled back, and gone with the last service."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _firewall
from ansible_collections.vigil.monitoring.plugins.module_utils._firewall import UNIT
from ansible_collections.vigil.monitoring.plugins.module_utils._removal import Removal
from ansible_collections.vigil.monitoring.plugins.module_utils._task import Task
from simulated_host import Host, Module, deploy, run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files get owners, which takes root")

RULES = "table inet vigil_monitoring { chain prometheus { # to 10.0.0.0/8"
OTHER = "table inet vigil_monitoring { chain prometheus { # to 192.0.2.0/24"


class Walled(Host):
    """A host with nftables, whose table is the text of its files.

    :ivar table: what is in force; None without the table.
    :ivar loads: whether a load succeeds.
    """

    nft = "/usr/sbin/nft"

    def __init__(self, root):
        super().__init__(root)
        self.table, self.loads, self.on, self.events = None, True, set(), []

    def program(self, name):
        return self.nft

    def run(self, argv, timeout=120, **more):
        argv = list(argv)
        if argv[0] == "sh":
            return (
                0,
                f"{self.table}\n{sorted(self.on)}\n{self.firewall_unit.read_text() if self.firewall_unit.exists() else ''}",
            )
        if argv[0] == self.nft:
            if argv[1] == "--check":
                return (1, "Error: syntax error, unexpected junk") if "junk" in argv[2] else (0, "")
            assert argv[1:] == ["list", "table", "inet", "vigil_monitoring"]
            return (0, self.table) if self.table is not None else (1, "No such file or directory")
        if argv[0] == "systemctl" and argv[-1] == UNIT:
            return self._unit(argv[1])
        if argv[0] == "systemctl" and argv[1] in ("start", "restart"):
            self.events.append("service")
        return super().run(argv, timeout, **more)

    def _unit(self, verb):
        if verb == "is-enabled":
            return 0, "enabled\n" if "enabled" in self.on else "disabled\n"
        if verb == "enable":
            self.on.add("enabled")
        elif verb == "disable":
            self.on.clear()
            self.table = None
        elif verb == "reload-or-restart":
            self.events.append("firewall")
            if not self.loads:
                return 1, "Job for vigil-firewall.service failed."
            self.table = "".join(path.read_text() for path in sorted(Path(self.firewall_directory).glob("*.nft")))
        return 0, ""

    @property
    def firewall_unit(self):
        return Path(self.unit_directory) / UNIT

    def rules(self, text=RULES):
        """Options of the module service."""
        path = f"{self.firewall_directory}/prometheus.nft"
        return {"files": {path: text}, "firewall": path}


@pytest.fixture
def host():
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        made = Walled(folder)
        made.install("3.5.3")
        yield made


@pytest.fixture
def closed(host):
    assert deploy(host, **host.rules())["changed"]
    return host


def test_it_is_closed_before_the_service_listens(host):
    deploy(host, **host.rules())
    assert host.events == ["firewall", "service"] and host.table == RULES and host.on == {"enabled"}
    unit = host.firewall_unit.read_text()
    assert f'include "{host.firewall_directory}/*.nft"' in unit
    assert "flush" not in unit and "After=local-fs.target nftables.service\nPartOf=nftables.service" in unit


def test_a_converged_host(closed):
    pid = closed.process.pid
    done = deploy(closed, **closed.rules())
    assert (done["changed"], done["action"], closed.process.pid) == (False, "none", pid)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("what", ["table", "unit", "enabled"])
def test_what_somebody_changed_is_mended(closed, what, check):
    pid = closed.process.pid
    deploy(closed, asked="x", **closed.rules())  # the comparison on the controller knows what is in force
    if what == "table":
        closed.table = None
    elif what == "unit":
        closed.firewall_unit.write_text("[Service]\n")
    else:
        closed.on.clear()
    done = deploy(closed, check=check, asked="x", **closed.rules())
    assert done["changed"] and closed.process.pid == pid
    if not check:
        assert closed.table == RULES and closed.on == {"enabled"}
        assert not deploy(closed, asked="x", **closed.rules())["changed"]


def test_other_rules_restart_nothing(closed):
    pid = closed.process.pid
    done = deploy(closed, check=True, **closed.rules(OTHER))
    assert done["changed"] and closed.table == RULES
    done = deploy(closed, **closed.rules(OTHER))
    assert done["changed"] and done["action"] in ("none", "reloaded")
    assert closed.table == OTHER and closed.process.pid == pid


def test_a_service_that_does_not_come_up_gets_its_rules_back(closed):
    done = deploy(closed, config="broken", **closed.rules(OTHER))
    assert done["failed"] and "restored" in done["msg"]
    assert closed.table == RULES


def test_rules_that_cannot_be_loaded_go_back(closed):
    closed.loads = False
    done = deploy(closed, **closed.rules(OTHER))
    assert done["failed"] and "its firewall cannot be loaded: systemctl reload-or-restart" in done["msg"]
    assert Path(closed.firewall_directory, "prometheus.nft").read_text() == RULES
    assert closed.process


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nft": None}, "nft is not on this host: install its package, nftables, or set prometheus_firewall: none"),
        ({"has_systemd": lambda: False}, "systemd, which loads the firewall at boot, does not run this host"),
        (
            {},
            "nft refuses the rules of the firewall (Error: syntax error, unexpected junk); or set prometheus_firewall",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_anything(host, change, words, monkeypatch):
    for name, value in change.items():
        monkeypatch.setattr(host, name, value)
    problem = _firewall.Firewall(host).problem("junk", "prometheus")
    assert words in problem


def test_a_check_refuses_as_well(host):
    host.nft = None
    for check in (True, False):
        done = deploy(host, check=check, **host.rules())
        assert done["failed"] and "install its package, nftables" in done["msg"]
    assert host.process is None


def test_the_last_rules_take_the_unit_along(closed):
    Path(closed.firewall_directory, "other.nft").write_text("of another service")
    assert deploy(closed)["changed"]
    assert closed.table == "of another service" and closed.firewall_unit.exists()
    os.unlink(Path(closed.firewall_directory, "other.nft"))
    assert _firewall.Firewall(closed).settle()
    assert closed.table is None and not closed.firewall_unit.exists() and not os.path.exists(closed.firewall_directory)
    assert not _firewall.Firewall(closed).settle()


def test_a_removal_takes_the_rules_along(closed):
    params = {
        "name": "prometheus",
        "role": None,
        "config_dir": str(closed.etc),
        "runtime": "systemd",
        "unit": None,
        "dropin": "",
    }
    params.update(
        state="absent", docker_host="unix:///nowhere", purge=[], spare=[], container=None, image=None, candidate=None
    )
    params["removal"] = None
    module = Module(params)
    assert run(lambda: Removal(Task(module, closed)).run(), module)["changed"]
    assert closed.table is None and not closed.firewall_unit.exists() and not os.path.exists(closed.firewall_directory)


def test_a_host_without_rules_is_left_alone(host):
    assert deploy(host)["changed"]
    assert host.events == ["service"] and not host.firewall_unit.exists()
