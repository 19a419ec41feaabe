# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks from which services can be reached, with real nftables and systemd: tried by two other hosts, a stranger and one that
is allowed."""

from __future__ import annotations

import pytest
from conftest import Containers, base_variables, snapshot, started

from lab import hosts

PORTS = (9090, 9093, 9094, 9100)
OFF = {"monitoring_firewall": "none", "monitoring_allowed_networks": []}


@pytest.fixture
def others():
    """A host that is allowed, and a stranger."""
    with hosts.host("trixie", group="fault") as allowed, hosts.host("trixie", group="fault") as stranger:
        yield allowed, stranger


def reaches(other: hosts.Host, subject: hosts.Host, *ports: int) -> list[int]:
    """The ports that another host can connect to."""
    program = "import socket, sys\nfor port in map(int, sys.argv[2:]):\n try:\n  socket.create_connection((sys.argv[1], port), 1)"
    program += "\n  print(port)\n except OSError:\n  pass\n"
    said = other.run(f"python3 - {subject.ip} {' '.join(map(str, ports))}", stdin=program).stdout
    return [int(port) for port in said.split()]


def closed_to(allowed: hosts.Host) -> dict:
    return {"monitoring_firewall": "nftables", "monitoring_allowed_networks": [f"{allowed.ip}/32", "fd00::/8"]}


def install_nftables(host: hosts.Host) -> None:
    host.run("apt-get update -q && apt-get install -y -q --no-install-recommends nftables", timeout=120)


def test_a_stranger_reaches_no_port_and_everything_else_is_left_alone(site, others):
    allowed, stranger = others
    host = site.host
    # Beside them somebody's own: a service, and a table.
    host.run("systemd-run --unit=theirs python3 -m http.server 2222")
    host.run("for _try in $(seq 50); do curl -so /dev/null http://127.0.0.1:2222 && exit 0; sleep 0.2; done; exit 1")
    site.variables.update(closed_to(allowed))
    assert reaches(stranger, host, *PORTS, 2222) == [9090, 9093, 9100, 2222]

    for arguments in (["--check"], []):
        words = "nft is not on this host: install its package, nftables, or set node_exporter_firewall: none"
        site.run(*arguments).must_be_red(words)
    assert reaches(stranger, host, *PORTS) == [9090, 9093, 9100]

    install_nftables(host)
    host.run("nft 'add table inet theirs; add chain inet theirs x'")
    assert site.run("--check", "--diff").must_be_green(changed=True)
    assert host.run("nft list tables").stdout.split("\n")[-2] == "table inet theirs"
    pids = {service: site.pid(service) for service in ("prometheus", "alertmanager")}
    site.run().must_be_green(changed=True)
    assert reaches(stranger, host, *PORTS, 2222) == [2222]
    assert reaches(allowed, host, *PORTS, 2222) == [9090, 9093, 9100, 2222]
    assert {service: site.pid(service) for service in pids} == pids
    assert "inet theirs" in host.run("nft list tables").stdout
    site.run().must_be_green(changed=False)
    site.run("--check").must_be_green(changed=False)

    # Somebody empties all tables; then Debian's own service does, which ours follows.
    host.run("nft flush ruleset")
    assert reaches(stranger, host, 9090) == [9090]
    site.run("--check").must_be_green(changed=True)
    site.run().must_be_green(changed=True)
    assert reaches(stranger, host, *PORTS) == []
    for verb in ("restart", "reload", "stop", "start"):
        host.run(f"systemctl {verb} nftables")
    assert reaches(stranger, host, *PORTS) == []
    site.run().must_be_green(changed=False)

    # After a boot it is closed before anybody can connect.
    host.reboot()
    started(site)
    assert reaches(stranger, host, *PORTS) == []
    assert reaches(allowed, host, *PORTS) == [9090, 9093, 9100]

    # One service is open again, then all of them, and nothing is left.
    site.variables["prometheus_allowed_networks"] = []
    site.run().must_be_green(changed=True)
    assert reaches(stranger, host, *PORTS) == [9090]
    site.variables.update(OFF)
    site.run().must_be_green(changed=True)
    assert reaches(stranger, host, *PORTS) == [9090, 9093, 9100]
    assert "vigil" not in host.run("nft list tables; ls /etc /etc/systemd/system").stdout
    site.run().must_be_green(changed=False)


@pytest.mark.parametrize("site", ["bookworm"], indirect=True)
def test_the_filter_of_the_unit_alone(site, others):
    """For a service that only answers; the others are refused without nftables."""
    allowed, stranger = others
    site.variables["monitoring_allowed_networks"] = [allowed.ip]
    refused = [f"set {service}_firewall: nftables" for service in ("prometheus", "alertmanager")]
    outcome = site.run().must_be_red(*refused)
    assert "node_exporter_firewall" not in outcome.output
    assert reaches(stranger, site.host, 9100) == [9100]
    del site.variables["monitoring_allowed_networks"]
    site.variables["node_exporter_allowed_networks"] = [allowed.ip]
    outcome = site.run().must_be_green(changed=True)
    assert "not in force" not in outcome.output
    assert reaches(stranger, site.host, *PORTS) == [9090, 9093]
    assert reaches(allowed, site.host, *PORTS) == [9090, 9093, 9100]
    site.run().must_be_green(changed=False)


def test_ports_of_containers(tmp_path, others):
    """Published ports on a bridge, which the engine leads elsewhere, and containers in the host's own network."""
    allowed, stranger = others
    image = snapshot("trixie-docker", tmp_path)
    with hosts.host("trixie-docker", group="fault", image=image) as host:
        site = started(Containers(host, tmp_path, base_variables(docker=True)))
        assert reaches(stranger, host, *PORTS) == [9090, 9093, 9100]
        install_nftables(host)
        site.variables.update(closed_to(allowed))
        site.run().must_be_green(changed=True)
        assert reaches(stranger, host, *PORTS) == []
        assert reaches(allowed, host, *PORTS) == [9090, 9093, 9100]

        bridge = {"alertmanager_container_network": "monitoring", "alertmanager_web_listen_address": "0.0.0.0:9093"}
        site.variables.update(bridge)
        address = ("-e", f"monitoring_address={host.ip}")
        site.run(*address).must_be_green(changed=True)
        assert "monitoring" in site.container("alertmanager")["NetworkSettings"]["Networks"]
        assert reaches(stranger, host, *PORTS) == []
        assert reaches(allowed, host, *PORTS) == [9090, 9093, 9100]
        site.run(*address).must_be_green(changed=False)
        site.variables.update(OFF)
        site.run(*address).must_be_green(changed=True)
        assert reaches(stranger, host, *PORTS) == [9090, 9093, 9100]
