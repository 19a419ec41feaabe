# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host is gone with all of its data, and comes back by restore.yml from a repository on another host, which is reached over SSH.

The tests run in the order in which they stand. Grafana is among the services where the lab has an archive of it.
"""

from __future__ import annotations

import contextlib
import json

import pytest
from conftest import SERVICES, Site, base_variables, snapshot, started
from test_backup import samples, status, store_samples
from test_move import SILENCE

from lab import containers, hosts, mirror

pytestmark = pytest.mark.xdist_group("restore")

PASSWORD = "vigil-sentinel-restore-1"
ADMIN = "vigil-sentinel-restore-admin"
RECORDS = "/var/lib/vigil.monitoring"
SILENCE_IT = (
    "amtool --alertmanager.url http://127.0.0.1:9093 silence add alertname=Kept --duration 9h --author me --comment x"
)
DEAD = [{"job_name": "dead", "static_configs": [{"targets": ["127.0.0.1:1"]}]}]


class Lost(Site):
    """A site whose host can be replaced by another one of the same name in the inventory."""

    number: str
    store: hosts.Host

    def restore(self, *arguments, **options):
        # With the end of a restore the timer is there again, which has been due; beside that backup no restore begins.
        running = "systemctl show -P ActiveState vigil-backup.service | grep -qx activating"
        self.host.run(f"while {running}; do sleep 0.5; done", timeout=120)
        return self.run(*arguments, playbook="restore.yml", **options)

    def silences(self):
        return self.host.run("amtool --alertmanager.url http://127.0.0.1:9093 silence query -q").stdout

    def grafana(self, path, *flags, stdin=""):
        url = f"http://127.0.0.1:3000{path}"
        login = f'header = "Content-Type: application/json"\nuser = "admin:{ADMIN}"\n'
        self.host.run("cat >/root/login; chmod 600 /root/login", stdin=login)
        return json.loads(self.host.run(f"curl -fsS -K /root/login {' '.join(flags)} {url}", stdin=stdin).stdout)

    def has_everything(self):
        """Samples, silences, users and dashboards of the moment of the backup."""
        assert samples(self) == ["1", "2", "3"]
        assert self.number in self.silences()
        if "grafana" in self.groups:
            assert self.grafana("/api/users/lookup?loginOrEmail=kept")["name"] == "Kept"
            assert self.grafana("/api/dashboards/uid/kept")["dashboard"]["title"] == "Kept"
        left = f"ls -d /var/lib/*/.vigil-before /var/lib/*/.vigil-restore {RECORDS}/*.restore /run/vigil-repository-*"
        assert not self.host.run(left, check=False).stdout


@contextlib.contextmanager
def storing():
    """A host that keeps a repository, and the variables by which it is reached over SSH."""
    with hosts.host("trixie", group="fault") as store:
        store.run("apt-get update -q; apt-get install -q -y openssh-server", timeout=300)
        store.run("mkdir -p /root/.ssh; ssh-keygen -q -t ed25519 -N '' -f /root/key; cat /root/key.pub >>/root/.ssh/authorized_keys;"
                  "systemctl start ssh")  # fmt: skip
        known = store.run("cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub").stdout.strip()
        yield (
            store,
            {
                "backup_repository": f"sftp:root@{store.ip}:/srv/backup",
                "backup_password": PASSWORD,
                "backup_ssh_key": store.run("cat /root/key").stdout,
                "backup_ssh_known_hosts": f"{store.ip} {known}",
            },
        )


def silence_written(host):
    """Wait until Alertmanager has written its silence, which it does once a minute."""
    host.run(
        "for second in $(seq 90); do grep -aq Kept /var/lib/alertmanager/silences && break; sleep 1; done", timeout=100
    )


@pytest.fixture(scope="module")
def lost(tmp_path_factory):
    """A host that was backed up and is gone; an empty one has its name."""
    folder = tmp_path_factory.mktemp("restore")
    with storing() as (store, access):
        variables = {**base_variables(), **access}
        groups = (*SERVICES, "backup")
        if mirror.grafana():
            groups = (*groups, "grafana")
            variables.update(
                grafana_version=mirror.grafana()[0],
                grafana_security={"admin_password": ADMIN},
                grafana_ready_timeout=90,
            )
        with hosts.host("trixie", group="fault", image=snapshot("trixie", folder)) as gone:
            site = started(Lost(gone, folder, variables, SERVICES))
            site.groups = groups
            site.run().must_be_green(changed=True)
            site.number = gone.run(SILENCE_IT).stdout.strip()
            silence_written(gone)
            store_samples(site)
            if "grafana" in groups:
                user = {"name": "Kept", "login": "kept", "password": "vigil-sentinel-kept"}
                site.grafana("/api/admin/users", "-d @-", stdin=json.dumps(user))
                dashboard = {"dashboard": {"uid": "kept", "title": "Kept", "panels": []}}
                site.grafana("/api/dashboards/db", "-d @-", stdin=json.dumps(dashboard))
            site.run(playbook="backup.yml").must_be_green(changed=True)
        with hosts.host("trixie", group="fault") as empty:
            site.host, site.store = empty, store
            yield site


# A copy of the repository, each pack of which is damaged.
DAMAGE = (
    "cp -a /srv/backup /srv/damaged; cd /srv/damaged/data; for pack in $(find . -type f); do chmod u+w $pack;"
    " dd if=/dev/urandom of=$pack conv=notrunc status=none bs=1 count=64 seek=8; done"
)


def test_everything_is_validated_before_anything_is_changed(lost):
    good, place = dict(lost.variables), f"sftp:root@{lost.store.ip}:/srv/"
    lost.store.run(DAMAGE)
    for given, extra, words in (
        ({"backup_password": "vigil-sentinel-wrong"}, {}, "backup_password is not the password of the repository"),
        ({"backup_repository": place + "elsewhere"}, {}, "there is no repository at backup_repository"),
        ({"backup_repository": place + "damaged"}, {}, "the repository is damaged"),
        ({"backup_repository": "sftp:root@127.0.0.1:/srv/backup"}, {}, "the repository cannot be reached"),
        ({}, {"restore_snapshot": "beef"}, "there is no snapshot beef of subject; there are"),
        ({}, {"restore_from": "mon9"}, "there is no snapshot of mon9: the repository has snapshots of subject"),
        ({}, {"restore_services": ["promethes"]}, "there is no service promethes; did you mean prometheus?"),
        ({}, {"restore_snapshots": "x"}, "restore_snapshots: unknown variable; did you mean restore_snapshot?"),
        (
            {"prometheus_version": mirror.versions()["prometheus"]["old"]},
            {},
            "deploy " + good["prometheus_version"] + " or newer",
        ),
    ):
        lost.variables = {**good, **given}
        refused = lost.restore("-e", json.dumps(extra)).must_be_red(words)
        assert "sentinel" not in refused.output
    lost.variables = good
    lost.host.run("mkdir /var/lib/prometheus; mount -t tmpfs -o size=8m none /var/lib/prometheus")
    lost.restore().must_be_red("MiB are to be restored into /var/lib/prometheus", "MiB are free there")
    lost.host.run("umount /var/lib/prometheus; rmdir /var/lib/prometheus")
    told = lost.restore("--check").must_be_green(changed=False)
    assert "MiB into /var/lib/prometheus on subject" in told.output
    assert not lost.host.run(
        f"ls -d /etc/prometheus /etc/vigil-backup {RECORDS} /var/lib/alertmanager", check=False
    ).stdout


def test_a_host_that_is_gone_comes_back(lost):
    outcome = lost.restore().must_be_green(changed=True)
    assert "sentinel" not in outcome.output
    lost.has_everything()
    assert lost.host.run("stat -c %U /var/lib/prometheus/01*/chunks/000001").stdout.split() == ["prometheus"]
    assert lost.host.run("systemctl is-active vigil-backup.timer").stdout.strip() == "active"
    lost.run().must_be_green(changed=False)
    lost.host.run("systemctl start vigil-backup", timeout=120)
    assert status(lost)["run_success"] is True


def test_what_runs_with_data_of_its_own_is_not_replaced_unasked(lost):
    pids = {name: lost.pid(name) for name in SERVICES}
    refused = lost.restore().must_be_red("Prometheus on subject runs and has data of its own", "restore_replace: true")
    assert "blocks, written from" in refused.output
    assert pids == {name: lost.pid(name) for name in SERVICES}


def replace(site, *arguments):
    given = {"restore_replace": True, "restore_services": ["prometheus", "alertmanager"]}
    return ("-e", json.dumps(given), *arguments)


def test_what_fails_verification_is_put_back(lost):
    lost.host.run("touch /var/lib/prometheus/own; chown prometheus: /var/lib/prometheus/own")
    lost.variables["prometheus_scrape_configs"] = DEAD
    lost.variables["monitoring_verify_timeout"] = 5
    failed = lost.restore(*replace(lost)).must_be_red(
        "subject was not restored", "Prometheus runs with the data that was there before"
    )
    assert "failed verification" in failed.output
    lost.host.run("test -e /var/lib/prometheus/own")
    assert lost.host.run("systemctl is-active vigil-backup.timer").stdout.strip() == "active"
    del lost.variables["prometheus_scrape_configs"]
    lost.run().must_be_green(changed=True)
    lost.has_everything()


@pytest.mark.parametrize("task", ["put its data aside", "Deploy and start what was restored"])
def test_it_is_killed_and_completed_by_the_next_run(lost, task):
    lost.host.run("touch /var/lib/prometheus/own; chown prometheus: /var/lib/prometheus/own")
    lost.killed(task, *replace(lost), playbook="restore.yml")
    assert lost.host.run(f"ls {RECORDS}/prometheus.restore").stdout
    lost.restore(*replace(lost)).must_be_green(changed=True)
    lost.has_everything()
    assert lost.host.run("test -e /var/lib/prometheus/own", check=False).returncode


def test_a_snapshot_of_older_releases_is_upgraded(lost, tmp_path):
    """What Prometheus 2 and an older Alertmanager have written, for the versions that the inventory specifies by then."""
    versions = mirror.versions()
    old = {service: versions[service]["old"] for service in SERVICES}
    with hosts.host("trixie", group="fault", image=snapshot("trixie", tmp_path, "old")) as gone:
        site = started(
            Lost(gone, tmp_path, {**lost.variables, **base_variables("old"), "backup_name": "older"}, SERVICES)
        )
        assert {service: site.version(service) for service in SERVICES} == old
        site.groups = (*SERVICES, "backup")
        lost.number = gone.run(SILENCE_IT).stdout.strip()
        silence_written(gone)
        store_samples(site)
        site.run(playbook="backup.yml").must_be_green(changed=True)
    given = {"restore_replace": True, "restore_from": "older", "restore_services": ["prometheus", "alertmanager"]}
    told = lost.restore("-e", json.dumps(given)).must_be_green(changed=True)
    words = " ".join(told.output.split())
    for title, service in (("Prometheus", "prometheus"), ("Alertmanager", "alertmanager")):
        assert f"{title} {versions[service]['new']} upgrades it" in words
        assert lost.version(service) == versions[service]["new"]
        written = lost.host.run(f"cat /var/lib/{service}/.vigil-version").stdout.strip()
        assert written.partition("+")[0] == versions[service]["new"]
    assert samples(lost) == ["1", "2", "3"]
    assert lost.number in lost.silences()
    lost.run().must_be_green(changed=False)


class Boxed(Lost):
    """The same with all services as containers."""

    def silences(self):
        return self.host.run("curl -fsS http://127.0.0.1:9093/api/v2/silences").stdout


def test_containers_come_back(lost, tmp_path):
    block = lost.host.run("cd /var/lib/prometheus; tar -cz 01* | base64").stdout
    variables = {**lost.variables, **base_variables(docker=True), "backup_name": "boxed"}
    with hosts.host("trixie-docker", group="fault", image=snapshot("trixie-docker", tmp_path)) as gone:
        site = started(Boxed(gone, tmp_path, variables, SERVICES))
        site.groups = (*SERVICES, "backup")
        post = "curl -fsS -H 'Content-Type: application/json' -d @- http://127.0.0.1:9093/api/v2/silences"
        site.number = json.loads(gone.run(post, stdin=json.dumps(SILENCE)).stdout)["silenceID"]
        gone.run("cd /var/lib/prometheus; base64 -d | tar -xz; chown -R --reference=. 01*", stdin=block)
        silence_written(gone)
        site.run(playbook="backup.yml").must_be_green(changed=True)
    with hosts.host("trixie-docker", group="fault") as site.host:
        site.host.load(*(containers.image(service) for service in SERVICES))
        site.restore().must_be_green(changed=True)
        site.has_everything()
        site.restore().must_be_red("Prometheus on subject runs and has data of its own")
        site.restore(*replace(site)).must_be_green(changed=True)
        site.has_everything()
