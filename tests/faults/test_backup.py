# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real restic with a local repository: what is in a backup, what is said of one that fails, and that nothing runs twice.

The tests run in the order in which they stand, on one host.
"""

from __future__ import annotations

import json
import re

import pytest
from conftest import SERVICES, Site, base_variables, snapshot, started

from lab import hosts

pytestmark = pytest.mark.xdist_group("backup")

PASSWORD = "vigil-sentinel-backup-1"
REPOSITORY = "/srv/backup"
METRICS = "/var/lib/node_exporter/vigil_backup.prom"
STATUS = "/var/lib/vigil-backup/status.json"
RESTIC = f"RESTIC_REPOSITORY={REPOSITORY} RESTIC_PASSWORD_FILE=/etc/vigil-backup/password restic --no-cache"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A deployed host with a backup."""
    folder = tmp_path_factory.mktemp("backup")
    with hosts.host("trixie", group="fault", image=snapshot("trixie", folder)) as host:
        variables = {**base_variables(), "backup_repository": REPOSITORY, "backup_password": PASSWORD}
        yield started(Site(host, folder, variables, SERVICES))


def backed_up(site, *arguments, **options):
    """Run the playbook backup.yml."""
    return site.run(*arguments, playbook="backup.yml", groups=(*SERVICES, "backup"), **options)


def status(site):
    return json.loads(site.host.run(f"cat {STATUS}").stdout)


def metric(site, name):
    """The value that node_exporter shows."""
    text = site.host.run("curl -fsS http://127.0.0.1:9100/metrics").stdout
    (value,) = re.findall(rf'^{name}{{backup="subject"}} (\S+)$', text, re.MULTILINE)
    return float(value)


def listed(site):
    """The paths in the newest snapshot."""
    return site.host.run(f"{RESTIC} ls latest").stdout.splitlines()


def test_a_backup_has_what_was_deployed(saved):
    saved.variables["backup_keep"] = {"dayly": 7}
    backed_up(saved).must_be_red("backup_keep: has 'dayly'; did you mean daily?")
    assert saved.host.run("test -e /etc/vigil-backup", check=False).returncode
    del saved.variables["backup_keep"]

    saved.host.run("mkdir -p /var/lib/prometheus/01ARZ3NDEKTSV4RRFFQ69G5FAV/chunks; cd /var/lib/prometheus/01ARZ*;"
                   " echo '{}' >meta.json; echo index >index; echo samples >chunks/000001; chown -R --reference=.. .")  # fmt: skip
    outcome = backed_up(saved).must_be_green(changed=True)
    assert PASSWORD not in outcome.output
    paths = listed(saved)
    for wanted in (
        *("/etc/prometheus/prometheus.yml", "/etc/prometheus/.vigil/proven.json", "/etc/alertmanager/alertmanager.yml"),
        "/var/lib/prometheus/.vigil-backup/blocks/01ARZ3NDEKTSV4RRFFQ69G5FAV/chunks/000001",
        "/var/lib/vigil-backup/staging/manifest.json",
    ):
        assert wanted in paths
    # The head is in no backup.
    assert not [path for path in paths if "/wal" in path]
    assert not saved.host.run("ls -A /var/lib/prometheus/.vigil-backup", check=False).stdout
    assert metric(saved, "backup_last_success_timestamp_seconds") == pytest.approx(status(saved)["last_success"], abs=1)
    assert metric(saved, "backup_last_check_success") == 1
    modes = saved.host.run("stat -c '%a %U' /etc/vigil-backup/* /etc/vigil-backup").stdout.split("\n")
    assert sorted(modes) == ["", "400 root", "400 root", "700 root"]


def test_a_converged_host_is_left_alone(saved):
    before = status(saved)
    saved.run("--tags", "backup", groups=(*SERVICES, "backup")).must_be_green(changed=False)
    assert status(saved) == before
    saved.variables["backup_schedule"] = "*-*-* 25:00:00"
    saved.run("--tags", "backup", groups=(*SERVICES, "backup")).must_be_red("backup_schedule is '*-*-* 25:00:00'")
    del saved.variables["backup_schedule"]


def test_what_fails_is_named_and_the_last_success_stays(saved):
    before = metric(saved, "backup_last_success_timestamp_seconds")
    start = "systemctl start vigil-backup.service"
    saved.host.run(f"mv {REPOSITORY} {REPOSITORY}.away; mkdir {REPOSITORY}")
    assert saved.host.run(start, check=False).returncode
    assert "there is no repository at backup_repository" in status(saved)["errors"][0]
    # What was there is never created anew over it, and without a word.
    backed_up(saved).must_be_red("there is no repository at backup_repository")
    saved.variables["backup_schedule_delay"] = "31m"
    backed_up(saved).must_be_red("is gone, with all of its backups")
    saved.host.run(f"rmdir {REPOSITORY}; mv {REPOSITORY}.away {REPOSITORY}")

    saved.variables["backup_password"] = "vigil-sentinel-wrong"
    outcome = backed_up(saved).must_be_red("backup_password is not the password of the repository")
    assert "vigil-sentinel-wrong" not in outcome.output
    assert metric(saved, "backup_last_success_timestamp_seconds") == before
    saved.variables["backup_password"] = PASSWORD
    backed_up(saved).must_be_green(changed=True)
    assert metric(saved, "backup_last_success_timestamp_seconds") > before


def test_killed_and_two_at_once(saved):
    program = "python3 -I -B /opt/vigil/backup/backup.py /etc/vigil-backup/backup.json"
    other = saved.host.run(f"flock /var/lib/vigil-backup/lock {program}", check=False)
    assert other.returncode == 75 and "another backup of this host is running" in other.stderr
    killed = "systemctl start --no-block vigil-backup; sleep 0.7; systemctl kill --signal=KILL vigil-backup; sleep 1"
    saved.host.run(killed)
    saved.host.run("systemctl reset-failed vigil-backup; systemctl start vigil-backup")
    assert status(saved)["run_success"] is True
    assert "no errors were found" in saved.host.run(f"{RESTIC} check").stdout


def test_data_is_brought_back_as_the_documentation_says(saved):
    """docs/howto/backup.md, "When a host is gone", for silences and for a block that the running Prometheus has made."""
    silence = "amtool --alertmanager.url http://127.0.0.1:9093 silence add alertname=Kept --duration 3h --author me --comment x"
    number = saved.host.run(silence).stdout.strip()
    saved.host.run(
        "for second in $(seq 90); do grep -aq Kept /var/lib/alertmanager/silences && break; sleep 1; done", timeout=100
    )
    backed_up(saved).must_be_green(changed=True)
    saved.host.run(
        f"{RESTIC} restore latest --include /var/lib/alertmanager --include /var/lib/prometheus --target /var/lib/restored;"
        "systemctl stop alertmanager prometheus; rm -rf /var/lib/alertmanager/* /var/lib/prometheus/0*;"
        "mv /var/lib/restored/var/lib/alertmanager/* /var/lib/alertmanager/;"
        "mv /var/lib/restored/var/lib/prometheus/.vigil-backup/blocks/* /var/lib/prometheus/;"
        "for name in alertmanager prometheus; do chown -R --reference=/var/lib/$name /var/lib/$name/*; done;"
        "systemctl start alertmanager prometheus"
    )
    assert saved.serves("alertmanager", within=20)
    assert number in saved.host.run("amtool --alertmanager.url http://127.0.0.1:9093 silence query -q").stdout
    assert saved.host.run("cat /var/lib/prometheus/01ARZ3NDEKTSV4RRFFQ69G5FAV/chunks/000001").stdout == "samples\n"


def test_a_damaged_repository_is_no_success(saved):
    before = metric(saved, "backup_last_success_timestamp_seconds")
    saved.variables["backup_check_subset"] = "100%"
    saved.host.run(
        "cd /srv/backup/data; for pack in $(find . -type f); do chmod u+w $pack; printf XXXX | dd of=$pack conv=notrunc status=none"
        ' bs=1 seek=8; done; sed -i \'s/"last_check": [0-9.]*/"last_check": 1/\' /var/lib/vigil-backup/status.json'
    )
    backed_up(saved).must_be_red("the check of the repository failed", "the repository is damaged")
    assert metric(saved, "backup_last_check_success") == 0
    assert metric(saved, "backup_last_success_timestamp_seconds") == before


def test_removed(saved):
    saved.variables["backup_state"] = "absent"
    saved.run("--tags", "backup", groups=(*SERVICES, "backup")).must_be_green(changed=True)
    assert (
        saved.host.run(
            "systemctl list-unit-files 'vigil-backup*' --no-legend; ls /etc/vigil-backup", check=False
        ).stdout
        == ""
    )
    assert saved.host.run(f"ls {REPOSITORY}/config").stdout
    saved.run("--tags", "backup", groups=(*SERVICES, "backup")).must_be_green(changed=False)
