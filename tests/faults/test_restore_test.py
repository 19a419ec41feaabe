# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""restore_test.yml: a restore is rehearsed beside production, which notices nothing of it; what is lost is found.

The tests run in the order in which they stand, on one host.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import re
import signal
import threading
import time

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _rehearsal
from conftest import SERVICES, Containers, Site, base_variables, snapshot, started
from test_backup import backed_up, store_samples
from test_move import SILENCE

from lab import hosts, play

pytestmark = pytest.mark.xdist_group("restore_test")

SCRATCH = "/var/lib/vigil-restore-test"
METRIC = "/var/lib/node_exporter/vigil_restore_test.prom"


@dataclasses.dataclass
class Listener:
    """A server on another address than the host's, which answers whatever it is sent.

    :ivar asked: path of each request.
    """

    address: str = ""
    asked: list = dataclasses.field(default_factory=list)


@contextlib.contextmanager
def listening():
    found = Listener()

    class Answers(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found.asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *dummy):
            return

    with http.server.ThreadingHTTPServer((hosts.gateway(), 0), Answers) as server:
        found.address = "{0}:{1}".format(*server.server_address)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


PATHS = {"/metrics", "/api/v2/alerts", "/write", "/notify"}


def outward(address):
    """Variables by which Prometheus and Alertmanager send something to an address again and again."""
    return {
        "prometheus_scrape_configs": [{"job_name": "listener", "static_configs": [{"targets": [address]}]}],
        "prometheus_alertmanager_config": [{"static_configs": [{"targets": ["127.0.0.1:9093", address]}]}],
        "prometheus_remote_write": [{"url": f"http://{address}/write", "queue_config": {"max_shards": 1}}],
        "alertmanager_receivers": [{"name": "all", "webhook_configs": [{"url": f"http://{address}/notify"}]}],
        "alertmanager_route": {"receiver": "all", "group_wait": "1s", "group_interval": "2s", "repeat_interval": "2s"},
    }


@pytest.fixture(scope="module")
def listener():
    with listening() as found:
        yield found


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory, listener):
    """A deployed host with a backup, in which there is a block, and a configuration that scrapes and notifies another address."""
    folder = tmp_path_factory.mktemp("restore_test")
    with hosts.host("trixie", group="fault", image=snapshot("trixie", folder)) as host:
        variables = {
            **base_variables(),
            "prometheus_alert_rules": [{"alert": "Always", "expr": "vector(1)"}],
            "backup_repository": "/srv/backup",
            "backup_password": "vigil-sentinel-rehearsal",
        }
        site = started(Site(host, folder, {**variables, **outward(listener.address)}, SERVICES))
        post = "curl -fsS -H 'Content-Type: application/json' -d @- http://127.0.0.1:9093/api/v2/silences"
        site.silence = json.loads(host.run(post, stdin=json.dumps(SILENCE)).stdout)["silenceID"]
        site.silenced = time.monotonic()
        site.run().must_be_green(changed=True)
        store_samples(site)
        # It would look for blocks of others once a minute.
        host.run("systemctl restart prometheus")
        assert site.serves("prometheus", within=20)
        backed_up(site).must_be_green(changed=True)
        deadline = time.monotonic() + 60
        while missing := PATHS.difference(listener.asked):
            assert time.monotonic() < deadline, f"nothing was sent to {missing}"
            time.sleep(0.5)
        site.variables = variables
        site.run().must_be_green(changed=True)
        yield site


def rehearsal(site, *arguments):
    return site.run(*arguments, playbook="restore_test.yml", groups=(*SERVICES, "backup"))


def left(site):
    """What a rehearsal has left on the host."""
    found = site.host.run(f"ls -A {SCRATCH}; systemctl list-units --all 'vigil-restore-test*' --no-legend", check=False)
    return found.stdout


def untouched(site):
    """The processes of production, and its files."""
    files = site.fingerprint("/etc/prometheus", "/etc/alertmanager", "/etc/systemd/system")
    return {service: site.pid(service) for service in SERVICES}, files


ACTIVE = "for n in $(seq 600); do systemctl is-active -q 'vigil-restore-test-{0}' && exit 0; sleep 0.05; done; exit 1"
# The program of a rehearsal on the host: it has the lock.
HOLDER = "ls -l /proc/[0-9]*/fd/* 2>/dev/null | grep vigil-restore-test.lock | sed 's|.*/proc/\\([0-9]*\\)/.*|\\1|'"


def test_a_rehearsal_says_what_is_there_again(rehearsed, listener):
    before = untouched(rehearsed)
    rehearsal(rehearsed, "--check").must_be_green(changed=False)
    assert rehearsed.host.run(f"cat {METRIC}", check=False).returncode
    listener.asked.clear()
    run = rehearsed.start(playbook="restore_test.yml", groups=(*SERVICES, "backup"))
    rehearsed.host.run(ACTIVE.format("prometheus"), timeout=60)
    # For longer than the seconds after which a Prometheus begins to scrape, nobody stops it.
    rehearsed.host.run(f"kill -STOP $({HOLDER}); sleep 12; kill -CONT $({HOLDER})")
    output = run.communicate(timeout=120)[0]
    outcome = play.Outcome(run.returncode, output).must_be_green(changed=True)
    # By the restored configuration it would have asked and sent.
    assert not listener.asked
    words = " ".join(outcome.output.split())
    for wanted in (
        "1 time series in the newest block, and 1 of the running service",
        "2 samples of the last two minutes in the newest block, and 2 of the running service",
        "silences",
    ):
        assert wanted in words
    rules = re.search(r"(\d+) rules, and (\d+) of the running service", words)
    # The restored configuration has a job more, and that an alert for it.
    assert int(rules[1]) == int(rules[2]) + 1 > 1
    assert "vigil-sentinel-rehearsal" not in outcome.output
    assert left(rehearsed) == "" and untouched(rehearsed) == before
    shown = rehearsed.host.run("curl -fsS http://127.0.0.1:9100/metrics").stdout
    value = re.search(r'(?m)^monitoring_restore_test_success_timestamp_seconds\{backup="subject"\} (\S+)$', shown)
    assert float(value[1]) == pytest.approx(time.time(), abs=60)
    labels = r'backup="subject",of="(restored|running)",service="prometheus",what="([a-z ]+)"'
    items = {(of, what): float(number) for of, what, number in re.findall(rf"items{{{labels}}} (\S+)", shown)}
    for of in ("restored", "running"):
        assert items[of, "time series in the newest block"] == 1
        assert items[of, "samples of the last two minutes in the newest block"] == 2
    assert items["restored", "rules"] == items["running", "rules"] + 1


def test_a_killed_rehearsal_is_removed_by_the_next_one(rehearsed):
    before = untouched(rehearsed)
    run = rehearsed.start(playbook="restore_test.yml", groups=(*SERVICES, "backup"))
    rehearsed.host.run(ACTIVE.format("*"), timeout=60)
    run.send_signal(signal.SIGKILL)
    # Its program on the host goes on.
    rehearsed.host.run(f"kill -KILL $({HOLDER})")
    run.communicate(timeout=10)
    time.sleep(1)
    # What it has started still runs.
    assert "vigil-restore-test-" in left(rehearsed)
    rehearsal(rehearsed).must_be_green(changed=True)
    assert left(rehearsed) == "" and untouched(rehearsed) == before


def test_a_rehearsed_service_reaches_the_loopback_alone(rehearsed, listener):
    """Whatever its configuration says: as systemd enforces it where the kernel has BPF for its units."""
    host, url = rehearsed.host, f"http://{listener.address}/reached"
    account = [int(number) for number in host.run("id -u prometheus; id -g prometheus").stdout.split()]
    process = _rehearsal.Process(["curl"], *account)
    options = _rehearsal.unit_properties(process, {}, "/var/lib/prometheus", {"memory": 1 << 30, "cpu": 100})

    def reaches(where, *wanted):
        given = " ".join(f"'{part}'" for part in wanted)
        return (
            host.run(f"systemd-run -q --wait {given} -- curl -fsS -m 5 -o /dev/null {where}", check=False).returncode
            == 0
        )

    assert reaches(url)
    assert reaches("http://127.0.0.1:9090/-/ready", *options)
    assert not reaches(url, *options)


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

    # Of one that was made two minutes before the backup it is known that it was written to the disk.
    time.sleep(max(0, rehearsed.silenced + 125 - time.monotonic()))
    rehearsed.variables["backup_exclude"] = ["/var/lib/alertmanager/silences"]
    backed_up(rehearsed).must_be_green(changed=True)
    rehearsal(rehearsed).must_be_red("is not complete", f"0 of 1 silences (missing: {rehearsed.silence})")
    del rehearsed.variables["backup_exclude"]
    backed_up(rehearsed).must_be_green(changed=True)
    outcome = rehearsal(rehearsed).must_be_green(changed=True)
    assert "1 of 1 silences" in " ".join(outcome.output.split())
    metric, before = rehearsed.host.run(f"cat {METRIC}").stdout, untouched(rehearsed)

    plain = dict(rehearsed.variables)
    for given, words in (
        ({"backup_password": "vigil-sentinel-wrong"}, "backup_password is not the password of the repository"),
        ({"backup_repository": "/srv/elsewhere"}, "there is no repository at backup_repository"),
        ({"backup_name": "other"}, "there is no snapshot of other: the repository has snapshots of subject"),
    ):
        rehearsed.variables = {**plain, **given}
        assert "vigil-sentinel" not in rehearsal(rehearsed).must_be_red(words).output
    rehearsed.variables = plain

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
