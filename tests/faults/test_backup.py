# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real restic: what is in a backup, what is said of one that fails, and that nothing runs twice; with a local repository, one
over SSH, one over HTTP, and one in a bucket of S3; and that nothing restores beside anything else.

The tests run in the order in which they stand, on one host.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time

import pytest
from conftest import SERVICES, Site, base_variables, snapshot, started

from lab import hosts
from lab.common import run

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
        host.run("mkdir /srv/more; echo more >/srv/more/small")
        variables = {**base_variables(), "backup_repository": REPOSITORY, "backup_password": PASSWORD}
        variables["backup_paths"] = ["/srv/more"]
        yield started(Site(host, folder, variables, SERVICES))


@pytest.fixture(autouse=True)
def variables(saved):
    """What a test sets is gone with it, also where it fails: the next ones say what they have found, and not the same again."""
    plain = dict(saved.variables)
    yield plain
    saved.variables = plain


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


def store_samples(site):
    """Have promtool write a block of old samples, as Prometheus itself would have after two hours; the block's name."""
    start = (int(time.time()) // 7200 - 3) * 7200
    lines = [f"kept_samples {number} {start + 60 * number}\n" for number in range(1, 4)]
    text = "# TYPE kept_samples gauge\n" + "".join(lines) + "# EOF\n"
    site.host.run("cat >/root/kept.txt", stdin=text)
    written = site.host.run("promtool tsdb create-blocks-from openmetrics /root/kept.txt /var/lib/prometheus").stdout
    site.host.run("chown -R --reference=/var/lib/prometheus /var/lib/prometheus/01*")
    (block,) = re.findall(r"^01\w+", written, re.MULTILINE)
    return block


def samples(site):
    """Those samples, as Prometheus serves them."""
    query = "curl -fsS --data-urlencode 'query=kept_samples[12h]' http://127.0.0.1:9090/api/v1/query"
    found = json.loads(site.host.run(query).stdout)["data"]["result"]
    return [value for one in found for dummy, value in one["values"]]


def test_a_backup_has_what_was_deployed(saved, variables):
    saved.variables["backup_keep"] = {"dayly": 7}
    backed_up(saved).must_be_red("backup_keep: has 'dayly'; did you mean daily?")
    assert saved.host.run("test -e /etc/vigil-backup", check=False).returncode
    saved.variables = dict(variables)

    backed_up(saved, "--check").must_be_green(changed=True)
    assert saved.host.run("test -e /etc/vigil-backup || test -e /srv/backup", check=False).returncode
    block = store_samples(saved)
    outcome = backed_up(saved).must_be_green(changed=True)
    assert PASSWORD not in outcome.output
    paths = listed(saved)
    for wanted in (
        *("/etc/prometheus/prometheus.yml", "/etc/prometheus/.vigil/proven.json", "/etc/alertmanager/alertmanager.yml"),
        f"/var/lib/prometheus/.vigil-backup/blocks/{block}/chunks/000001",
        "/var/lib/vigil-backup/staging/manifest.json",
        "/srv/more/small",
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
    saved.run("--check", "--tags", "backup", groups=(*SERVICES, "backup")).must_be_green(changed=False)
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
    before = status(saved)
    saved.host.run("head -c 400M /dev/urandom >/srv/more/large")
    killed = saved.host.run(
        "systemctl start --no-block vigil-backup;"
        "for n in $(seq 200); do pgrep -f '^/usr/bin/restic backup' && break; sleep 0.05; done; sleep 0.2;"
        "systemctl kill --signal=KILL vigil-backup; sleep 1"
    )
    # It was running, and wrote nothing any more.
    assert killed.stdout.strip() and status(saved) == before
    assert "manifest.json" in saved.host.run("ls /var/lib/vigil-backup/staging").stdout
    saved.host.run("rm /srv/more/large; systemctl reset-failed vigil-backup; systemctl start vigil-backup")
    assert status(saved)["run_success"] is True
    assert saved.host.run("ls -d /var/lib/vigil-backup/staging", check=False).stdout == ""
    assert saved.host.run(f"{RESTIC} list locks").stdout == ""
    assert "no errors were found" in saved.host.run(f"{RESTIC} check").stdout


# libfaketime reaches Python and the shell; restic asks the kernel for the time, and is told here which one its snapshots are of.
OF_THE_CLOCK = """#!/bin/sh
for one; do shift; set -- "$@" "$one"; [ "$one" != backup ] || set -- "$@" --time "$(date '+%F %T')"; done
unset LD_PRELOAD
exec /usr/bin/restic "$@"
"""


def snapshots(site):
    """Their IDs, the oldest first."""
    found = json.loads(site.host.run(f"{RESTIC} snapshots --json").stdout)
    return [one["id"] for one in sorted(found, key=lambda one: one["time"])]


def test_a_wrong_clock_removes_nothing_and_is_no_success_for_ever(saved):
    backed_up(saved).must_be_green()
    saved.host.run("apt-get update -q; apt-get install -q -y faketime", timeout=200)
    config = json.loads(saved.host.run("cat /etc/vigil-backup/backup.json").stdout)
    config = {**config, "restic": "/usr/local/bin/restic", "keep": {"last": 1}, "prune_days": 7, "check_days": 0}
    saved.host.run("cat >/usr/local/bin/restic; chmod 755 /usr/local/bin/restic", stdin=OF_THE_CLOCK)
    saved.host.run("cat >/root/clock.json", stdin=json.dumps(config))
    program = "python3 -I -B /opt/vigil/backup/backup.py /root/clock.json"
    before = snapshots(saved)

    # A year ahead: the program cannot know. Its rules keep the one that is the newest.
    saved.host.run(f"faketime -f +400d {program}")
    assert metric(saved, "backup_last_success_timestamp_seconds") > time.time() + 300 * 86400
    (late,) = snapshots(saved)
    assert late not in before
    # Right again: the new one is no longer the newest by its time, and is not removed for that.
    said = saved.host.run(program, check=False)
    assert (
        said.returncode == 1 and "so the clock of this host is or was wrong" in said.stderr and late[:8] in said.stderr
    )
    right, last = snapshots(saved)
    assert last == late
    # What was written for the future is forgotten: BackupTooOld fires.
    assert metric(saved, "backup_last_success_timestamp_seconds") == 0
    # Behind.
    said = saved.host.run(f"faketime '2001-01-01 00:00:00' {program}", check=False)
    assert said.returncode == 1 and "so the clock of this host is or was wrong" in said.stderr
    early, *others = snapshots(saved)
    assert others == [right, late]

    groups = (*SERVICES, "backup")
    for playbook in ("restore.yml", "restore_test.yml"):
        arguments = ["--check"] if playbook == "restore.yml" else []
        refused = saved.run(*arguments, playbook=playbook, groups=groups)
        refused.must_be_red(
            "which snapshot of subject is the newest cannot be told", f"the newest of before is {right[:8]}"
        )
    moment = json.dumps(
        {"restore_snapshot": time.strftime("%F %TZ", time.gmtime(time.time() + 60)), "restore_replace": True}
    )
    told = saved.run("--check", "-e", moment, playbook="restore.yml", groups=groups).must_be_green(changed=False)
    assert f"snapshot {right[:8]} of" in told.output

    saved.host.run(f"{RESTIC} forget {late} {early}; {program}")
    assert metric(saved, "backup_last_success_timestamp_seconds") == pytest.approx(time.time(), abs=60)
    (kept,) = snapshots(saved)
    assert kept not in (early, late, right)


def test_a_full_repository_is_named_still_restored_and_healed(saved, variables):
    saved.host.run("mkdir /srv/small; mount -t tmpfs -o size=32m none /srv/small")
    saved.variables["backup_repository"] = "/srv/small/repository"
    backed_up(saved).must_be_green(changed=True)
    before = metric(saved, "backup_last_success_timestamp_seconds")
    saved.host.run("head -c 64M /dev/urandom >/srv/more/large")
    backed_up(saved).must_be_red("no space is left where the repository, the cache or the data is")
    assert metric(saved, "backup_last_run_success") == 0
    assert metric(saved, "backup_last_success_timestamp_seconds") == before
    # To the last byte; what is there is restored.
    saved.host.run("rm /srv/more/large; dd if=/dev/zero of=/srv/small/ballast bs=4k 2>/dev/null", check=False)
    assert saved.host.run("df --output=avail /srv/small | tail -1").stdout.strip() == "0"
    backed_up(saved).must_be_red("no space is left where the repository, the cache or the data is")
    saved.run(playbook="restore_test.yml", groups=(*SERVICES, "backup")).must_be_green(changed=True)

    saved.host.run("rm /srv/small/ballast; mount -o remount,size=256m /srv/small")
    backed_up(saved).must_be_green(changed=True)
    assert metric(saved, "backup_last_success_timestamp_seconds") > before
    checked = saved.host.run(f"{RESTIC.replace(REPOSITORY, '/srv/small/repository')} check --read-data").stdout
    assert "no errors were found" in checked
    saved.variables = dict(variables)
    backed_up(saved).must_be_green(changed=True)
    saved.host.run("umount /srv/small; rmdir /srv/small")


def test_data_is_brought_back_as_the_documentation_says(saved):
    """By restic alone, without this collection: silences, and samples of a block, which are then served again."""
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
    assert saved.serves("prometheus", within=20)
    assert samples(saved) == ["1", "2", "3"]


def test_a_repository_over_ssh_and_one_over_http(saved, variables):
    saved.host.run("apt-get update -q; apt-get install -q -y openssh-server rclone", timeout=300)
    saved.host.run(
        "mkdir -p /root/.ssh /srv/rest; ssh-keygen -q -t ed25519 -N '' -f /root/key; cat /root/key.pub >>/root/.ssh/authorized_keys;"
        "systemctl start ssh; systemd-run --unit=rest rclone serve restic --addr 127.0.0.1:7071 --user lab --pass sentinel-rest /srv/rest"
    )
    known = saved.host.run("cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub").stdout.strip()
    saved.variables.update(
        backup_repository="sftp:root@127.0.0.1:/srv/sftp",
        backup_ssh_key=saved.host.run("cat /root/key").stdout,
        # The key of another server.
        backup_ssh_known_hosts="127.0.0.1 " + saved.host.run("cut -d' ' -f1,2 /root/key.pub").stdout,
    )
    backed_up(saved).must_be_red(
        "the repository cannot be reached: its server does not have the key in backup_ssh_known_hosts"
    )
    saved.variables["backup_ssh_known_hosts"] = f"127.0.0.1 {known}"
    outcome = backed_up(saved).must_be_green(changed=True)
    assert "PRIVATE KEY" not in outcome.output
    assert len(saved.host.run("ls /srv/sftp/snapshots").stdout.split()) == 1
    # This one was checked, and not the one before alone.
    assert status(saved)["last_check"] > status(saved)["last_success"] - 60

    saved.variables = {**variables, "backup_repository": "rest:http://lab:sentinel-wrong@127.0.0.1:7071/one/"}
    outcome = backed_up(saved).must_be_red("the repository cannot be reached", "401 Unauthorized")
    assert "sentinel-wrong" not in outcome.output
    saved.variables["backup_repository"] = "rest:http://lab:sentinel-rest@127.0.0.1:7071/one/"
    assert "sentinel-rest" not in backed_up(saved).must_be_green(changed=True).output
    assert len(saved.host.run("ls /srv/rest/one/snapshots").stdout.split()) == 1
    saved.variables = dict(variables)
    backed_up(saved).must_be_green(changed=True)


def test_a_repository_in_a_bucket(saved, s3_server, variables):
    """The server refuses a wrong key by its signature; the bucket is made with the repository."""
    run(["docker", "cp", str(s3_server), f"{saved.host.name}:/usr/local/bin/versitygw"])
    saved.host.run(
        "mkdir -p /srv/s3; systemd-run --unit=s3 -E ROOT_ACCESS_KEY=lab -E ROOT_SECRET_KEY=sentinel-s3-secret"
        " /usr/local/bin/versitygw --port 127.0.0.1:7070 posix /srv/s3;"
        "for n in $(seq 100); do curl -s -o /dev/null http://127.0.0.1:7070 && break; sleep 0.1; done"
    )
    saved.variables["backup_repository"] = "s3:http://127.0.0.1:7070/monitoring/one"
    access = {"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "sentinel-s3-wrong"}
    saved.variables["backup_environment"] = access
    outcome = backed_up(saved).must_be_red("the repository cannot be reached", "signature we calculated does not match")
    assert "sentinel-s3" not in outcome.output
    access["AWS_SECRET_ACCESS_KEY"] = "sentinel-s3-secret"
    assert "sentinel-s3" not in backed_up(saved).must_be_green(changed=True).output
    assert len(saved.host.run("ls /srv/s3/monitoring/one/snapshots").stdout.split()) == 1
    # What is restored is read with the same keys.
    told = saved.run("--check", "-e", "restore_replace=true", playbook="restore.yml", groups=(*SERVICES, "backup"))
    assert "MiB into /var/lib/prometheus on subject" in told.must_be_green(changed=False).output
    saved.variables = dict(variables)
    saved.host.run("systemctl stop s3")
    backed_up(saved).must_be_green(changed=True)


NOTE = "/run/vigil.monitoring/restore.json"


def test_neither_two_restores_nor_a_backup_nor_a_rehearsal_beside_one(saved):
    """The first one is stopped where it is, and goes on when the others were refused."""
    # All services, so that Prometheus has the rules of the pack backup, too.
    arguments = ("-e", json.dumps({"restore_replace": True}))
    options = {"playbook": "restore.yml", "groups": (*SERVICES, "backup")}
    before = status(saved)
    first = saved.start(*arguments, **options)
    seen = ""
    for line in first.stdout:
        seen += line
        if "Restore the data beside what is there" in line:
            break
    os.killpg(first.pid, signal.SIGSTOP)
    try:
        second = saved.run(*arguments, **options)
        words = " ".join(second.must_be_red("nothing is restored on subject, and nothing was changed").output.split())
        assert "a restore of this host has been running since 20" in words and f"by process {first.pid} on " in words
        assert "wait until it has ended" in words
        busy = saved.host.run("systemctl start vigil-backup; journalctl -u vigil-backup -n 20 -o cat", check=False)
        assert "a restore of this host has been running since 20" in busy.stdout and status(saved) == before
        rehearsal = saved.run(playbook="restore_test.yml", groups=(*SERVICES, "backup"))
        assert "rehearse it once that has ended" in " ".join(
            rehearsal.must_be_red("a restore of this host").output.split()
        )
    finally:
        os.killpg(first.pid, signal.SIGCONT)
        seen += first.communicate(timeout=300)[0]
    assert first.returncode == 0, seen
    assert saved.host.run(f"ls {NOTE}", check=False).returncode

    # A backup is not stopped either.
    hold = "systemd-run --quiet --unit=hold flock /var/lib/vigil-backup/lock sleep 60"
    saved.host.run(f"systemctl reset-failed vigil-backup; {hold}; sleep 0.5")
    outcome = saved.run(*arguments, **options)
    said = " ".join(outcome.must_be_red("nothing was changed").output.split())
    assert "a backup of this host has been running since 20" in said
    saved.host.run("systemctl stop hold")
    assert saved.host.run(f"ls {NOTE}", check=False).returncode


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


def units(site):
    """What the host has of the backup, without its state."""
    listed = "systemctl list-unit-files 'vigil-backup*' --no-legend; ls /etc/vigil-backup /opt/vigil/backup"
    return site.host.run(f"{listed}; ls /var/lib/node_exporter/vigil_backup.prom", check=False).stdout


def test_removed(saved):
    """By remove.yml, once the host has left the group; and by the role."""
    saved.host.run(f"rm -r {REPOSITORY} /var/lib/vigil-backup/repository.json")
    backed_up(saved).must_be_green(changed=True)
    named = saved.run(playbook="verify.yml", groups=SERVICES).must_be_green()
    assert "subject is not in the group backup" in named.output and "-e service=backup" in named.output
    arguments = ("-e", "host=subject")
    kept = saved.run(*arguments, "--check", playbook="remove.yml", groups=SERVICES).must_be_green(changed=True)
    assert "backup: would be removed: /etc/systemd/system/vigil-backup.timer" in kept.output and units(saved)
    kept = saved.run(*arguments, playbook="remove.yml", groups=SERVICES).must_be_green(changed=True)
    assert "backup: kept: /var/lib/vigil-backup" in kept.output and units(saved) == ""
    assert saved.host.run(f"ls {REPOSITORY}/config /var/lib/vigil-backup/status.json").stdout
    saved.run(*arguments, playbook="remove.yml", groups=SERVICES).must_be_green(changed=False)
    gone = (*arguments, "-e", "remove_data=true")
    saved.run(*gone, playbook="remove.yml", groups=SERVICES).must_be_green(changed=True)
    assert saved.host.run("ls -d /var/lib/vigil-backup", check=False).stdout == ""
    assert "subject is not in the group backup" not in saved.run(playbook="verify.yml", groups=SERVICES).output

    backed_up(saved).must_be_green(changed=True)
    saved.variables["backup_state"] = "absent"
    saved.run("--tags", "backup", groups=(*SERVICES, "backup")).must_be_green(changed=True)
    assert units(saved) == "" and saved.host.run("ls -d /var/lib/vigil-backup", check=False).stdout == ""
    assert saved.host.run(f"ls {REPOSITORY}/config").stdout
    saved.run("--tags", "backup", groups=(*SERVICES, "backup")).must_be_green(changed=False)
