# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that leaves groups: what the verification says of what runs on there, and what remove.yml takes away.

The tests of a runtime run in the order in which they stand, on one deployed host.
"""

from __future__ import annotations

import re

import pytest
from conftest import SERVICES, TREES, Containers, Site, base_variables, snapshot, started
from test_removal import BESIDE, put

from lab import containers, hosts

STAYS = ("node_exporter",)
LEFT = ("alertmanager", "prometheus")
ORPHAN = (
    "this collection deployed it here, and the inventory does not ask for it: subject is not in the group prometheus"
)
RECORDS = "/var/lib/vigil.monitoring"


@pytest.fixture(scope="module", params=["trixie", "trixie-docker"])
def leaving(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("leaving")
    kind = Containers if request.param.endswith("docker") else Site
    docker = kind is Containers
    with hosts.host(request.param, group="fault", image=snapshot(request.param, folder)) as host:
        yield started(kind(host, folder, base_variables(docker=docker)))


def removal(site, *arguments, groups=STAYS):
    return site.run("-e", "host=subject", *arguments, playbook="remove.yml", groups=groups)


def running(site):
    return [service for service in SERVICES if site.serves(service)]


def oldest(site):
    """Since when Prometheus has samples, in milliseconds; an alert's state tells as well that nothing was lost."""
    text = site.host.run("curl -fsS http://127.0.0.1:9090/metrics").stdout
    return float(re.search(r"(?m)^prometheus_tsdb_lowest_timestamp (\S+)", text)[1])


def test_data_and_configuration_move_to_other_directories(leaving):
    leaving.run().must_be_green()
    before, plain = leaving.state(), dict(leaving.variables)
    first = oldest(leaving)
    # Another file system than that of the host: what it is given for /run.
    places = {"prometheus_db_dir": "/run/prom/data", "prometheus_config_dir": "/srv/prom/etc"}
    leaving.variables.update(prometheus_db_dir="/srv/prom/data")
    for arguments in (("--check",), ()):
        refused = leaving.run(*arguments)
        refused.must_be_red("its data is in /var/lib/prometheus", "set prometheus_move_data: true to have it moved")
    assert leaving.state() == before
    for moved, gone in (
        ({"prometheus_db_dir": "/srv/prom/data"}, ("/var/lib/prometheus",)),
        (places, ("/srv/prom/data", "/etc/prometheus")),
        ({}, ("/run/prom", "/srv/prom")),
    ):
        leaving.variables = {**plain, "prometheus_move_data": True, **moved}
        leaving.run("--check").must_be_green(changed=True)
        leaving.run().must_be_green(changed=True)
        assert oldest(leaving) == first
        files = leaving.fingerprint(*gone)
        assert not [path for path, found in files.items() if found[0] != "d"], files
        leaving.run().must_be_green(changed=False)
    leaving.variables = plain


def test_what_left_its_group_is_named(leaving):
    # A whole run after the boot, so that the next one is a converged one.
    leaving.run().must_be_green()
    for playbook in ("site.yml", "verify.yml"):
        shown = leaving.run(playbook=playbook, groups=STAYS).must_be_green(changed=False)
        assert "1 of 3 services verified, 2 not fully verified" in shown.output, shown.output
        assert ORPHAN in shown.output and "-e host=subject -e service=prometheus" in shown.output
    red = leaving.run("-e", "monitoring_orphans=fail", groups=STAYS)
    assert red.status and "verification failed: alertmanager on subject, prometheus on subject" in red.output
    quiet = leaving.run("-e", "monitoring_orphans=ignore", groups=STAYS).must_be_green(changed=False)
    assert "1 of 1 service verified" in quiet.output and ORPHAN not in quiet.output
    # Of a host in no group at all, too, where it is reached.
    alone = leaving.run("--limit", "subject", playbook="verify.yml", groups=("others",)).must_be_green()
    assert "3 not fully verified" in alone.output and ORPHAN in alone.output
    # In its groups, nothing is said.
    assert ORPHAN not in leaving.run(playbook="verify.yml").must_be_green(changed=False).output


def test_nothing_is_removed_that_nobody_named(leaving):
    for arguments, words in (
        ((), "nothing was removed: name the host"),
        (("-e", "host=subjet"), "did you mean subject?"),
        (("-e", "host=subject", "-e", "service=promethes"), "did you mean 'prometheus'?"),
    ):
        refused = leaving.run(*arguments, playbook="remove.yml", groups=STAYS)
        assert refused.status and words in refused.output, refused.output
    nothing = removal(leaving, "-e", "service=grafana").must_be_green(changed=False)
    assert "nothing of grafana is on subject" in nothing.output
    assert running(leaving) == list(SERVICES)


def test_it_is_removed_and_the_rest_stays(leaving):
    beside = {path: text for path, text in BESIDE.items() if not path.startswith("/etc/systemd")}
    put(leaving, beside)
    theirs, before = leaving.fingerprint(*beside), leaving.fingerprint(*TREES)
    told = removal(leaving, "--check").must_be_green(changed=True)
    assert "prometheus: would be removed" in told.output and "/var/lib/prometheus" in told.output
    assert (running(leaving), leaving.fingerprint(*TREES)) == (list(SERVICES), before)

    # One first, named; then it is cut off in the middle of the rest, and run again.
    removal(leaving, "-e", "service=alertmanager").must_be_green(changed=True)
    assert running(leaving) == ["node_exporter", "prometheus"]
    leaving.host.run("chattr +i /etc/prometheus/prometheus.yml 2>/dev/null || mount --bind /etc/prometheus/prometheus.yml"
                     " /etc/prometheus/prometheus.yml")  # fmt: skip
    cut = removal(leaving)
    assert cut.status and "prometheus on subject was not removed" in cut.output
    leaving.host.run("chattr -i /etc/prometheus/prometheus.yml 2>/dev/null || umount /etc/prometheus/prometheus.yml")
    done = removal(leaving).must_be_green(changed=True)
    assert "is asked for by the inventory and kept: node_exporter" in done.output
    assert "kept: /var/lib/prometheus" in done.output
    assert running(leaving) == ["node_exporter"]
    left = leaving.fingerprint("/etc/prometheus", "/etc/alertmanager", "/opt/vigil", "/usr/local/bin")
    files = {path for path, found in left.items() if found[0] != "d" and "node_exporter" not in path}
    assert files == {path for path in beside if not path.startswith("/var/lib")}
    assert leaving.fingerprint(*beside) == theirs
    assert "/var/lib/prometheus/wal" in leaving.fingerprint("/var/lib/prometheus")
    removal(leaving).must_be_green(changed=False)
    clean = leaving.run(groups=STAYS).must_be_green(changed=False)
    assert "1 of 1 service verified" in clean.output


def test_the_data_goes_when_it_is_asked_for(leaving):
    done = removal(leaving, "-e", "service=all", "-e", "remove_data=true", groups=("others",)).must_be_green(
        changed=True
    )
    assert "/var/lib/prometheus" in done.output
    assert running(leaving) == []
    gone = ("/var/lib/prometheus", "/var/lib/alertmanager", "/etc/node_exporter", RECORDS)
    assert not leaving.fingerprint(*gone)
    removal(leaving, "-e", "service=all", groups=("others",)).must_be_green(changed=False)


@pytest.mark.parametrize("docker", [False, True])
def test_without_a_record(docker, tmp_path):
    """What a version before 0.4.0 has deployed, in a directory of the user's choice."""
    suite = "trixie-docker" if docker else "trixie"
    kind = Containers if docker else Site
    where = "/etc/prometheus" if docker else "/srv/prom/etc"
    variables = {**base_variables(docker=docker), "prometheus_config_dir": where}
    with hosts.host(suite, group="fault") as host:
        if docker:
            host.load(containers.image("prometheus", "new"))
        site = kind(host, tmp_path, variables, ("prometheus",))
        site.run().must_be_green(changed=True)
        host.run(f"rm -r {RECORDS}")
        site.variables = base_variables(docker=docker)
        done = removal(site, groups=("others",)).must_be_green(changed=True)
        assert "kept: /var/lib/prometheus" in done.output
        assert not site.serves("prometheus") and not site.fingerprint(where, "/opt/vigil")
        assert "/var/lib/prometheus/wal" in site.fingerprint("/var/lib/prometheus")
