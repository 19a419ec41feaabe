# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All hosts of a closed site are gone at once, and one run of restore.yml brings them back: Prometheus and Alertmanagers that are a
cluster, with certificates of the inventory's authority; then the restore of the next time is rehearsed there.
"""

from __future__ import annotations

import json
import time

import pytest
from conftest import SERVICES, Site, base_variables, snapshot
from test_backup import store_samples
from test_restore import silence_written, storing

from lab import hosts

pytestmark = pytest.mark.xdist_group("restore_site")

PERSON = "vigil-sentinel-restore-person"
PORTS = {"node_exporter": 9100, "alertmanager": 9093, "prometheus": 9090}


class Closed(Site):
    """The host ``one`` with everything, and the host ``two`` with an Alertmanager and a node_exporter."""

    other: hosts.Host

    @property
    def both(self):
        return {"one": self.host, "two": self.other}

    def inventory(self, groups):
        connection = {"ansible_connection": "community.docker.docker"}
        every = {
            name: {**connection, "ansible_host": host.name, "monitoring_address": host.ip}
            for name, host in self.both.items()
        }
        members = {"prometheus": ["one"]}
        children = {group: {"hosts": {name: {} for name in members.get(group, every)}} for group in groups}
        path = self.folder / "inventory.json"
        path.write_text(json.dumps({"all": {"hosts": every, "vars": self.variables, "children": children}}))
        return path

    def ask(self, name, service, path, *arguments, login=f"admin:{PERSON}", stdin=""):
        """What a service of a host answers to a person, who verifies its certificate by the inventory's authority."""
        host, authority = self.both[name], (self.folder / ".tls" / "ca.crt").read_text()
        host.run("cat >/root/ca.crt", stdin=authority)
        host.run("cat >/root/login; chmod 600 /root/login", stdin=f'user = "{login}"\n' if login else "")
        url = f"https://{host.ip}:{PORTS[service]}{path}"
        return host.run(
            f"curl -sS --cacert /root/ca.crt -K /root/login {' '.join(arguments)} '{url}'", stdin=stdin
        ).stdout

    def query(self, text):
        answer = self.ask("one", "prometheus", "/api/v1/query", "-G", f"--data-urlencode 'query={text}'")
        return json.loads(answer)["data"]["result"]

    def silences(self, name):
        return [one["id"] for one in json.loads(self.ask(name, "alertmanager", "/api/v2/silences"))]


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """Both hosts were backed up and are gone; empty ones have their names."""
    folder = tmp_path_factory.mktemp("restore_site")
    image, groups = snapshot("trixie", folder), (*SERVICES, "backup")
    with storing() as (dummy, access):
        variables = {
            **base_variables(),
            **access,
            "monitoring_tls": True,
            "monitoring_password": PERSON,
            "alertmanager_receivers": [{"name": "nobody"}],
            "alertmanager_route": {"receiver": "nobody"},
        }
        with hosts.host("trixie", group="fault", image=image) as one, hosts.host("trixie", group="fault") as two:
            site = Closed(one, folder, variables, groups)
            site.other = two
            site.run(timeout=600).must_be_green(changed=True)
            post = "-H 'Content-Type: application/json' -d @-"
            starts = time.strftime("%FT%TZ", time.gmtime())
            silence = {"matchers": [{"name": "alertname", "value": "Kept", "isRegex": False}], "startsAt": starts,
                       "endsAt": "2099-01-01T00:00:00Z", "createdBy": "me", "comment": "x"}  # fmt: skip
            said = site.ask("two", "alertmanager", "/api/v2/silences", post, stdin=json.dumps(silence))
            site.number = json.loads(said)["silenceID"]
            store_samples(site)
            for host in (one, two):
                silence_written(host)
            site.run(playbook="backup.yml").must_be_green(changed=True)
            site.authority = (folder / ".tls" / "ca.crt").read_text()
        with hosts.host("trixie", group="fault") as site.host, hosts.host("trixie", group="fault") as site.other:
            yield site


def test_a_closed_site_comes_back_by_one_run(closed):
    outcome = closed.run(playbook="restore.yml", timeout=600).must_be_green(changed=True)
    assert "sentinel" not in outcome.output
    # The same authority has issued certificates for the new hosts and their new addresses: each answer is verified by it.
    assert (closed.folder / ".tls" / "ca.crt").read_text() == closed.authority
    (kept,) = closed.query("kept_samples[12h]")
    assert [value for dummy, value in kept["values"]] == ["1", "2", "3"]
    deadline = time.monotonic() + 30
    while len(closed.query("up == 1")) < 5:
        assert time.monotonic() < deadline, closed.query("up == 0")
        time.sleep(1)
    for name, host in closed.both.items():
        assert closed.silences(name) == [closed.number]
        cluster = json.loads(closed.ask(name, "alertmanager", "/api/v2/status"))["cluster"]
        assert {peer["address"].partition(":")[0] for peer in cluster["peers"]} == {
            one.ip for one in closed.both.values()
        }
        assert closed.ask(name, "alertmanager", "/api/v2/silences", "-o /dev/null -w '%{http_code}'", login="") == "401"
        assert host.run("systemctl is-active vigil-backup.timer").stdout.strip() == "active"


def test_the_restore_of_a_closed_site_is_rehearsed(closed):
    closed.run(playbook="backup.yml").must_be_green(changed=True)
    outcome = closed.run(playbook="restore_test.yml").must_be_green(changed=True)
    assert "sentinel" not in outcome.output
    words = " ".join(outcome.output.split())
    assert "1 time series in the newest block, and 1 of the running service" in words
    assert words.count("1 of 1 silences") == 2
    for host in closed.both.values():
        assert not host.run("ls -A /var/lib/vigil-restore-test").stdout
