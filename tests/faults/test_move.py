# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service moves with its data to another host: what was there is there, whatever interrupts it.

One site of two hosts for all tests, in the order in which they stand. The hosts are reached over SSH, by a user who becomes root
with sudo.
"""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import pytest
from faults.conftest import SERVICES, Site, base_variables, snapshot

from lab import hosts
from lab.common import apt_install, run

pytestmark = pytest.mark.xdist_group("move")

SILENCE = {
    "matchers": [{"name": "alertname", "value": "Kept", "isRegex": False, "isEqual": True}],
    "startsAt": "2020-01-01T00:00:00Z",
    "endsAt": "2099-01-01T00:00:00Z",
    "createdBy": "test",
    "comment": "kept",
}


class Moving(Site):
    """The host ``subject`` with everything, and the host ``other``, to which services move."""

    other: hosts.Host
    members: dict

    @property
    def key(self):
        return self.folder / "key"

    def open_ssh(self):
        """Let the user `ops` in on both hosts, who may become root."""
        apt_install(["openssh-client"], "hosts are reached over SSH")
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)])
        public = self.key.with_suffix(".pub").read_text(encoding="utf-8")
        for host in (self.host, self.other):
            host.run("apt-get update -q; apt-get install -q -y openssh-server; systemctl start ssh", timeout=300)
            host.run(
                "useradd -m -s /bin/sh ops; install -d -m 0700 -o ops -g ops /home/ops/.ssh;"
                "install -m 0600 -o ops -g ops /dev/stdin /home/ops/.ssh/authorized_keys;"
                "echo 'ops ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ops",
                stdin=public,
            )

    def inventory(self, groups):
        connection = {
            "ansible_connection": "ssh",
            "ansible_user": "ops",
            "ansible_become": True,
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
        }
        every = {
            name: {**connection, "ansible_host": host.ip, "monitoring_address": host.ip}
            for name, host in (("subject", self.host), ("other", self.other))
        }
        children = {group: {"hosts": {self.members.get(group, "subject"): {}}} for group in groups}
        path = self.folder / "inventory.json"
        path.write_text(json.dumps({"all": {"hosts": every, "vars": self.variables, "children": children}}))
        return path

    def move(self, service, *arguments, source="subject", target="other"):
        return self.run(
            *("-e", f"service={service}", "-e", f"from={source}", "-e", f"to={target}"), *arguments, playbook="move.yml"
        )

    def get(self, host, path, port=9090):
        return json.loads(host.run(f"curl -fsS 'http://127.0.0.1:{port}{path}'", check=False).stdout or "null")

    def samples(self, host, end):
        """How many samples of `up` of Prometheus' own target there are until a moment, and when the oldest one was."""
        found = []
        for query in ('sum(count_over_time(up{job="node"}[2h]))', "min(min_over_time(timestamp(up)[2h:2s]))"):
            answer = self.get(host, f"/api/v1/query?query={quote(query, safe='')}&time={end:.0f}")
            found.append(float(answer["data"]["result"][0]["value"][1]))
        return found

    def runs(self, host, service):
        return host.run(f"systemctl is-active {service}", check=False).stdout.strip() == "active"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("move")
    image = snapshot("trixie", folder)
    with hosts.host("trixie", group="fault", image=image) as one, hosts.host("trixie", group="fault") as two:
        variables = {
            **base_variables(),
            "prometheus_web_listen_address": "0.0.0.0:9090",
            "node_exporter_web_listen_address": "0.0.0.0:9100",
            "alertmanager_web_listen_address": "0.0.0.0:9093",
        }
        made = Moving(one, folder, variables)
        made.other, made.members = two, {}
        made.open_ssh()
        made.run().must_be_green(changed=True)
        one.run(
            "curl -fsS -H 'Content-Type: application/json' -d @- http://127.0.0.1:9093/api/v2/silences",
            stdin=json.dumps(SILENCE),
        )
        yield made


def test_what_cannot_be_moved_is_refused(site):
    for service, words in (
        ("prometheus", "In the group prometheus, put other into it and take subject out of it"),
        ("promethes", "did you mean prometheus?"),
    ):
        refused = site.move(service)
        assert refused.status and words in refused.output, refused.output
    site.members = {"node_exporter": "other"}
    refused = site.move("node_exporter")
    assert refused.status and "node_exporter keeps no data on the host" in refused.output, refused.output
    site.members = {}
    assert all(site.serves(service) for service in SERVICES)


def test_an_alertmanager_that_left_the_inventory_is_named(site):
    left = ("node_exporter", "prometheus")
    told = site.run(playbook="verify.yml", groups=left).must_be_green(changed=False)
    assert f"it sends its alerts also to {site.host.ip}:9093, which the inventory does not have" in told.output, (
        told.output
    )
    red = site.run("-e", "monitoring_orphans=fail", playbook="verify.yml", groups=left)
    assert red.status and "sends its alerts also to" in red.output, red.output
    assert "sends its alerts also to" not in site.run(playbook="verify.yml").must_be_green(changed=False).output


def test_a_new_host_that_cannot_run_it_stops_nothing(site):
    """Something else has the port there."""
    site.members = {"prometheus": "other"}
    pid = site.pid("prometheus")
    site.other.run("systemd-run --unit=theirs python3 -m http.server 9090")
    site.other.run("for i in $(seq 100); do curl -fsS -o /dev/null http://127.0.0.1:9090 && break; sleep 0.1; done")
    failed = site.move("prometheus")
    site.other.run("systemctl stop theirs")
    assert failed.status, failed.output
    assert "port 9090 is held by python3" in failed.output, failed.output
    assert "prometheus was not moved and runs on subject as before" in failed.output, failed.output
    assert site.pid("prometheus") == pid and not site.runs(site.other, "prometheus")


def test_it_is_killed_in_the_middle_and_moved_by_the_next_run(site):
    # A sample has the time at which its scrape began, which may still be under way.
    before = time.time() - 10
    counted, oldest = site.samples(site.host, before)
    # It is stopped, and a part is copied; then all is copied and in its place.
    for task in ("Copy what has changed meanwhile", "Start the service on the new host and verify it"):
        site.killed(task, "-e", "service=prometheus", "-e", "from=subject", "-e", "to=other", playbook="move.yml")
        assert not site.runs(site.other, "prometheus") and not site.serves("prometheus")
    told = site.other.run("cat /var/lib/vigil.monitoring/prometheus.move").stdout
    assert json.loads(told)["phase"] == "placed"

    told = site.move("prometheus", "--check")
    assert told.status == 0 and "an earlier run was interrupted" in told.output, told.output
    began = time.time()
    done = site.move("prometheus").must_be_green(changed=True)
    assert "found again" in done.output and "history ends" not in done.output, done.output
    assert site.runs(site.other, "prometheus") and not site.serves("prometheus")
    assert site.samples(site.other, before) == [counted, oldest]
    # It goes on: there are samples that were taken after the last run began.
    newest = quote('max(timestamp(up{job="node"}))', safe="")
    deadline, taken = time.monotonic() + 60, 0
    while taken < began and time.monotonic() < deadline:
        time.sleep(1)
        answer = site.get(site.other, f"/api/v1/query?query={newest}")
        taken = float(answer["data"]["result"][0]["value"][1])
    assert taken >= began
    # What it keeps is kept on the old host as well.
    assert (
        site.host.run("ls /var/lib/prometheus").stdout and not site.host.run("ls /etc/prometheus", check=False).stdout
    )
    again = site.move("prometheus").must_be_green(changed=False)
    assert "there is nothing to move" in again.output


def test_silences_move_with_alertmanager(site):
    site.members = {"prometheus": "other", "alertmanager": "other"}
    done = site.move("alertmanager", "-e", "remove_data=true").must_be_green(changed=True)
    assert "found again: 1 silences" in done.output, done.output
    silences = site.get(site.other, "/api/v2/silences", 9093)
    assert [one["comment"] for one in silences] == ["kept"]
    assert not site.host.run("ls -d /var/lib/alertmanager", check=False).stdout
    # Prometheus follows.
    managers = site.get(site.other, "/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    assert [one["url"].split("/")[2].split(":")[0] for one in managers] == [site.other.ip]
    site.run().must_be_green(changed=False)
