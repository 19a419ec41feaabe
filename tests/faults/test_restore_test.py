# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""restore_test.yml: a restore is rehearsed beside production, which notices nothing of it; what is lost is found.

The tests run in the order in which they stand, on one host.
"""

from __future__ import annotations

import re
import signal
import time

import pytest
from conftest import SERVICES, Containers, Site, base_variables, snapshot, started
from test_backup import backed_up, store_samples

from lab import hosts

pytestmark = pytest.mark.xdist_group("restore_test")

SCRATCH = "/var/lib/vigil-restore-test"
METRIC = "/var/lib/node_exporter/vigil_restore_test.prom"


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    """A deployed host with a backup, in which there is a block."""
    folder = tmp_path_factory.mktemp("restore_test")
    with hosts.host("trixie", group="fault", image=snapshot("trixie", folder)) as host:
        variables = {
            **base_variables(),
            "backup_repository": "/srv/backup",
            "backup_password": "vigil-sentinel-rehearsal",
        }
        site = started(Site(host, folder, variables, SERVICES))
        store_samples(site)
        # It would look for blocks of others once a minute.
        host.run("systemctl restart prometheus")
        assert site.serves("prometheus", within=20)
        backed_up(site).must_be_green(changed=True)
        yield site


def rehearsal(site, *arguments):
    return site.run(*arguments, playbook="restore_test.yml", groups=(*SERVICES, "backup"))


def left(site):
    """What a rehearsal has left on the host."""
    found = site.host.run(f"ls -A {SCRATCH}; systemctl list-units --all 'vigil-restore-test*' --no-legend", check=False)
    return found.stdout


def untouched(site):
    """The processes of production, its files, and how many notifications were sent."""
    metrics = site.host.run("curl -fsS http://127.0.0.1:9093/metrics").stdout
    sent = re.findall(r"(?m)^alertmanager_notifications_total\S* (\S+)$", metrics)
    files = site.fingerprint("/etc/prometheus", "/etc/alertmanager", "/etc/systemd/system")
    return {service: site.pid(service) for service in SERVICES}, sent, files


def test_a_rehearsal_says_what_is_there_again(rehearsed):
    before = untouched(rehearsed)
    rehearsal(rehearsed, "--check").must_be_green(changed=False)
    assert rehearsed.host.run(f"cat {METRIC}", check=False).returncode
    outcome = rehearsal(rehearsed).must_be_green(changed=True)
    words = " ".join(outcome.output.split())
    for wanted in (
        "1 time series in the newest block, and 1 of the running service",
        "2 samples of the last two minutes in the newest block, and 2 of the running service",
        "silences",
    ):
        assert wanted in words
    rules = re.search(r"(\d+) rules, and (\d+) of the running service", words)
    assert rules[1] == rules[2] != "0"
    assert "vigil-sentinel-rehearsal" not in outcome.output
    assert left(rehearsed) == "" and untouched(rehearsed) == before
    shown = rehearsed.host.run("curl -fsS http://127.0.0.1:9100/metrics").stdout
    value = re.search(r'(?m)^monitoring_restore_test_success_timestamp_seconds\{backup="subject"\} (\S+)$', shown)
    assert float(value[1]) == pytest.approx(time.time(), abs=60)


def test_a_killed_rehearsal_is_removed_by_the_next_one(rehearsed):
    before = untouched(rehearsed)
    run = rehearsed.start(playbook="restore_test.yml", groups=(*SERVICES, "backup"))
    active = "for n in $(seq 600); do systemctl is-active -q 'vigil-restore-test-*' && exit 0; sleep 0.05; done; exit 1"
    rehearsed.host.run(active, timeout=60)
    run.send_signal(signal.SIGKILL)
    rehearsed.host.run("pkill -KILL -f '[A]nsiballZ_restore_test|[r]estore_test.py'", check=False)
    run.communicate(timeout=10)
    assert "vigil-restore-test-" in left(rehearsed)
    rehearsal(rehearsed).must_be_green(changed=True)
    assert left(rehearsed) == "" and untouched(rehearsed) == before


def test_what_is_lost_is_found(rehearsed):
    """Other samples than production has, and a repository that is damaged: the metric stays as it was."""
    metric = rehearsed.host.run(f"cat {METRIC}").stdout
    rehearsed.host.run("systemctl stop prometheus; mv /var/lib/prometheus/01* /root/; systemctl start prometheus")
    assert rehearsed.serves("prometheus", within=20)
    rehearsal(rehearsed).must_be_red(
        "is not complete", "1 time series in the newest block, and 0 of the running service"
    )
    rehearsed.host.run("systemctl stop prometheus; mv /root/01* /var/lib/prometheus/; systemctl start prometheus")
    assert rehearsed.serves("prometheus", within=20)
    before = untouched(rehearsed)

    # What a pack holds cannot be told: of one of the two services it may be that which is not read.
    rehearsed.host.run(
        "cd /srv/backup/data; for pack in $(find . -type f); do chmod u+w $pack;"
        " dd if=/dev/urandom of=$pack conv=notrunc status=none bs=1 count=64 seek=8; done"
    )
    outcome = rehearsal(rehearsed).must_be_red("the repository is damaged")
    assert "vigil-sentinel-rehearsal" not in outcome.output
    assert left(rehearsed) == "" and untouched(rehearsed) == before
    assert rehearsed.host.run(f"cat {METRIC}").stdout == metric


def test_containers_are_rehearsed_in_containers(tmp_path):
    with hosts.host("trixie-docker", group="fault", image=snapshot("trixie-docker", tmp_path)) as host:
        variables = {**base_variables(docker=True), "backup_repository": "/srv/backup", "backup_password": "sentinel"}
        site = started(Containers(host, tmp_path, variables, SERVICES))
        backed_up(site).must_be_green(changed=True)
        before = site.processes()
        words = " ".join(rehearsal(site).must_be_green(changed=True).output.split())
        rules = re.search(r"(\d+) rules, and (\d+) of the running service", words)
        assert rules[1] == rules[2] != "0" and "silences" in words
        # None of them is left, and those of production are the same.
        assert site.processes() == before
        assert host.run(f"ls -A {SCRATCH}").stdout == ""
