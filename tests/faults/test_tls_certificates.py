# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates on two real hosts with a cluster of Alertmanagers: rotation, the sources host and controller, and what is refused.

The tests run in the order in which they stand, on the same hosts. What the switch itself does is in test_tls.py.
"""

from __future__ import annotations

import json
import ssl
import time
from datetime import timedelta

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority import (
    DAY,
    Authority,
    Subject,
    now,
    read_certificates,
)
from conftest import SERVICES, Site, base_variables, snapshot, started
from test_firewall import install_nftables, reaches

from lab import hosts

pytestmark = pytest.mark.xdist_group("tls_certificates")

PASSWORD = "vigil-sentinel-tls-person"
ON = {"monitoring_tls": True, "monitoring_password": PASSWORD}
PORTS = {"node_exporter": 9100, "alertmanager": 9093, "prometheus": 9090}
FOLDER = "/etc/ssl/vigil"


class Two(Site):
    """Two hosts with all three services each.

    :ivar own: variables of single hosts: name to variables.
    """

    other: hosts.Host
    plain: dict
    own: dict

    @property
    def both(self):
        return (self.host, self.other)

    def inventory(self, groups):
        data = hosts.inventory({group: list(self.both) for group in groups}, **self.variables)
        for name, variables in self.own.items():
            data["all"]["hosts"][name].update(variables)
        path = self.folder / "inventory.json"
        path.write_text(json.dumps(data), encoding="utf-8")
        return path

    def closed(self, **variables):
        """Let the inventory close both hosts."""
        self.variables, self.own = {**self.plain, **ON, **variables}, {}
        return self

    def get(self, host, service, path, *arguments):
        url = f"https://127.0.0.1:{PORTS[service]}{path}"
        config = f'user = "admin:{PASSWORD}"\ninsecure'
        command = f"curl -fsS -K /dev/fd/3 {' '.join(arguments)} '{url}' 3<<'END'\n{config}\nEND"
        return json.loads(host.run(command).stdout)

    def query(self, host, text):
        arguments = ("-G", f"--data-urlencode 'query={text}'")
        return self.get(host, "prometheus", "/api/v1/query", *arguments)["data"]["result"]

    def pids(self):
        shown = " ".join(SERVICES)
        return {host.name: host.run(f"systemctl show -P MainPID {shown}").stdout for host in self.both}

    def deployed(self):
        """All that a run which is refused leaves alone."""
        trees = [f"/etc/{service}" for service in SERVICES]
        found = {
            host.name: host.run(f"find {' '.join(trees)} -type f -not -name proven.json | xargs sha256sum").stdout
            for host in self.both
        }
        return found, self.pids()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    image = snapshot("trixie", folder)
    with (
        hosts.host("trixie", group="fault", image=image) as one,
        hosts.host("trixie", group="fault", image=image) as two,
    ):
        # What a drill sends, and where.
        plain = {
            **base_variables(),
            "monitoring_verify_timeout": 20,
            "alertmanager_receivers": [{"name": "sink", "webhook_configs": [{"url": "http://127.0.0.1:9999/"}]}],
            "alertmanager_route": {"receiver": "sink", "group_wait": "1s"},
        }
        site = Two(one, folder, plain, SERVICES)
        site.other, site.plain, site.own = two, plain, {}
        for host in site.both:
            host.run(f"systemd-run --unit=sink python3 -c '{SINK}'")
        started(site)
        yield site


# Answers whoever posts something.
SINK = (
    "import http.server as h\n"
    "class S(h.BaseHTTPRequestHandler):\n"
    "  def do_POST(self):\n"
    '    self.rfile.read(int(self.headers["Content-Length"])); self.send_response(200); self.end_headers()\n'
    'h.HTTPServer(("127.0.0.1", 9999), S).serve_forever()'
)


def on_the_wire(host, service):
    """The serial number of the certificate that a service shows."""
    (shown,) = read_certificates(ssl.get_server_certificate((host.ip, PORTS[service])))
    return shown.serial_number


def members(site, host):
    return len(site.get(host, "alertmanager", "/api/v2/status")["cluster"]["peers"])


def all_up(site):
    """Whether each Prometheus has scraped all targets of both hosts."""
    for host in site.both:
        deadline = time.monotonic() + 30
        while len(site.query(host, "up == 1")) < 6:
            assert time.monotonic() < deadline, site.query(host, "up == 0")
            time.sleep(1)


# The inventory's own authority


def test_only_a_deployment_makes_an_authority(shared):
    site = shared.closed()
    site.run(playbook="verify.yml").must_be_red("verification failed")
    for playbook in ("drill.yml", "silence.yml"):
        site.run("-e", "alertmanager_silence_matchers=service=api", playbook=playbook).must_be_red(
            "has no certificate authority yet: site.yml makes one"
        )
    assert not (site.folder / ".tls").exists()


def test_it_is_closed(shared):
    site = shared.closed()
    site.run().must_be_green(changed=True)
    site.run().must_be_green(changed=False)
    all_up(site)


def test_a_role_alone_in_a_play_of_the_users_own(shared):
    site = shared.closed(node_exporter_disabled_collectors=["zfs"])
    play = [{"hosts": "all", "gather_facts": False, "roles": ["vigil.monitoring.node_exporter"]}]
    (site.folder / "own.yml").write_text(json.dumps(play), encoding="utf-8")
    before = site.pids()
    outcome = site.run(playbook=str(site.folder / "own.yml"))
    outcome.must_be_green(changed=True)
    assert site.pids() != before
    site.run(playbook=str(site.folder / "own.yml")).must_be_green(changed=False)
    all_up(site)


def test_without_pipelining(shared, monkeypatch):
    monkeypatch.setenv("ANSIBLE_PIPELINING", "false")
    site = shared.closed(node_exporter_disabled_collectors=["zfs"])
    site.run().must_be_green(changed=False)


def test_a_drill_reaches_its_receiver(shared):
    shared.closed(node_exporter_disabled_collectors=["zfs"]).run(playbook="drill.yml").must_be_green(changed=None)


def test_the_authority_is_rotated_and_no_scrape_is_refused(shared):
    site = shared.closed(node_exporter_disabled_collectors=["zfs"])
    folder = site.folder / ".tls"
    before, began = (folder / "ca.crt").read_text(), time.time()
    serials = {(host.name, service): on_the_wire(host, service) for host in site.both for service in PORTS}
    site.run(playbook="rotate_ca.yml", timeout=400).must_be_green(changed=True)
    took = int(time.time() - began)
    assert sorted(path.name for path in folder.iterdir()) == ["ca.crt", "ca.key", "machines.key"]
    assert (folder / "ca.crt").read_text() != before
    assert not {(h.name, s) for h in site.both for s in PORTS if on_the_wire(h, s) == serials[h.name, s]}
    all_up(site)
    for host in site.both:
        # An Alertmanager that is restarted is not there for a moment. On a busy machine one scrape may time out; a certificate that
        # is not trusted is refused until the next host is done, which takes longer than two scrapes.
        lost = f'min_over_time(max_over_time(up{{job!="alertmanager"}}[5s])[{took}s:1s]) == 0'
        assert site.query(host, lost) == []
        (fewest,) = site.query(host, f'min(count_over_time(up{{job!="alertmanager"}}[{took}s]))')
        assert int(fewest["value"][1]) > took / 2 * 0.8
        assert members(site, host) == 2
        # Of the samples of ten seconds and more, as a member that was restarted has to join again.
        alone = site.query(host, f"max_over_time(min_over_time(alertmanager_cluster_members[10s])[{took}s:2s]) < 2")
        assert alone == []
        apart = site.query(host, f"max(count_over_time((alertmanager_cluster_members < 2)[{took}s:2s]))")
        assert not apart or int(apart[0]["value"][1]) <= 5, apart
    site.run().must_be_green(changed=False)


# Certificates of somebody else


def files_of(site, authority, host, **how):
    """Certificate, key and authority of a host: name of the file to its text."""
    at, days = how.get("at") or now(), how.get("days", 30)
    names = how.get("names") or (host.ip, host.name, "localhost", "127.0.0.1")
    made = authority.issue(Subject(host.name, "host", names, server=True, client=True), days, at, renewed=at)
    key = how.get("key") or made.key
    return {"host.crt": made.certificate, "host.key": key, "ca.crt": authority.trusted_text}


def variables_of(folder):
    names = {"ca": "ca.crt", "cert": "host.crt", "key": "host.key", "client_cert": "host.crt", "client_key": "host.key"}
    return {f"monitoring_tls_{what}_file": f"{folder}/{name}" for what, name in names.items()}


@pytest.fixture(scope="module")
def authority():
    made = Authority.make("Somebody's CA", now() - 400 * DAY)
    return made


@pytest.fixture(scope="module")
def stranger():
    return Authority.make("A stranger's CA", now() - 400 * DAY)


# What is wrong with the certificate of one of two hosts, and what is said of it: on the controller, and on the host itself.
WRONG = {
    "expired": ({"at": now() - 50 * DAY}, "expired on", "has expired"),
    # As it looks where the clock is behind that of who issued it, by more than the day that is allowed for.
    "not yet valid": ({"at": now() + 3 * DAY}, "is not valid before", "is not valid yet"),
    "another name": (
        {"names": ("elsewhere.example.org",)},
        "is for elsewhere.example.org, and Prometheus reaches this host as",
        "is for other names than",
    ),
}


def wrong_files(kind, site, authority, stranger):
    """The files of the second host, and what is said of them in both places."""
    host = site.other
    good = files_of(site, authority, host)
    if kind == "wrong CA":
        found = {**files_of(site, stranger, host), "ca.crt": good["ca.crt"]}
        return found, "was issued by CN=A stranger", "was not issued by an authority in"
    if kind == "another key":
        words = "does not belong to the certificate"
        return {**good, "host.key": files_of(site, stranger, host)["host.key"]}, words, words
    how, *words = WRONG[kind]
    return (files_of(site, authority, host, **how), *words)


KINDS = [*WRONG, "wrong CA", "another key"]


def controller(site, files):
    """Files of the controller, by host."""
    for name, texts in files.items():
        folder = site.folder / "files" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file_name, text in texts.items():
            (folder / file_name).write_text(text, encoding="utf-8")
    variables = variables_of("{{ inventory_dir }}/files/{{ inventory_hostname }}")
    return site.closed(monitoring_tls_source="controller", **variables)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_file_of_the_controller_is_refused_before_anything_changes(shared, authority, stranger, kind):
    site = shared
    files, words, dummy = wrong_files(kind, site, authority, stranger)
    controller(site, {site.host.name: files_of(site, authority, site.host), site.other.name: files})
    before = site.deployed()
    outcome = site.run().must_be_red("nothing was changed", words)
    assert "PRIVATE KEY" not in outcome.output and site.other.name in outcome.output
    assert site.deployed() == before


def test_files_of_the_controller(shared, authority):
    site = controller(shared, {host.name: files_of(shared, authority, host) for host in shared.both})
    site.run().must_be_green(changed=True)
    site.run().must_be_green(changed=False)
    all_up(site)
    assert all(members(site, host) == 2 for host in site.both)
    # Renewed: taken without a restart.
    before = site.pids()
    renewed = {host.name: files_of(site, authority, host, days=60) for host in site.both}
    controller(site, renewed).run().must_be_green(changed=True)
    for host in site.both:
        (wanted,) = read_certificates(renewed[host.name]["host.crt"])
        assert {on_the_wire(host, service) for service in PORTS} == {wanted.serial_number}
    assert site.pids() == before
    all_up(site)


def put(host, texts):
    """Something else puts files on a host, whole and for the services to read; those that are the same stay. A cluster's
    Alertmanager reads the authority when it starts."""
    for name, text in texts.items():
        path = f"{FOLDER}/{name}"
        take = (
            f"cat > {path}.new; chmod 644 {path}.new; cmp -s {path}.new {path} && rm {path}.new || mv {path}.new {path}"
        )
        host.run(f"mkdir -p {FOLDER}; {take}", stdin=text)


def by_host(site):
    return site.closed(monitoring_tls_source="host", **variables_of(FOLDER))


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_file_of_a_host_is_refused_before_that_host_changes(shared, authority, stranger, kind):
    site = by_host(shared)
    files, dummy, words = wrong_files(kind, site, authority, stranger)
    put(site.other, files)
    before = site.deployed()
    outcome = site.run("--limit", site.other.name, groups=("node_exporter",)).must_be_red(words)
    assert "PRIVATE KEY" not in outcome.output
    assert site.deployed() == before


def test_files_of_the_hosts(shared, authority):
    site = by_host(shared)
    for host in site.both:
        put(host, files_of(site, authority, host))
    site.run().must_be_green(changed=True)
    site.run().must_be_green(changed=False)
    all_up(site)
    # Renewed by whoever put them there: no run is needed.
    before, renewed = site.pids(), {host: files_of(site, authority, host, days=60) for host in site.both}
    for host, texts in renewed.items():
        put(host, texts)
        (wanted,) = read_certificates(texts["host.crt"])
        assert {on_the_wire(host, service) for service in PORTS} == {wanted.serial_number}
    all_up(site)
    site.run().must_be_green(changed=None)
    assert site.pids() == before


def test_the_verification_names_what_has_expired_on_a_running_site(shared, authority):
    site = by_host(shared)
    good = files_of(site, authority, site.other)
    put(site.other, files_of(site, authority, site.other, at=now() - 50 * DAY))
    try:
        outcome = site.run(playbook="verify.yml").must_be_red("certificate")
        named = [line for line in outcome.output.splitlines() if "expired" in line]
        assert named, outcome.output
        # Soon is said, too.
        put(site.other, files_of(site, authority, site.other, at=now() - 27 * DAY - timedelta(hours=1)))
        soon = site.run(playbook="verify.yml")
        assert "expires" in soon.output, soon.output
    finally:
        put(site.other, good)
    site.run(playbook="verify.yml").must_be_green(changed=None)


# Beside other things


def test_with_the_firewall_a_stranger_reaches_no_port_and_the_site_itself_does(shared):
    site = shared
    allowed = [f"{host.ip}/32" for host in site.both]
    for host in site.both:
        install_nftables(host)
    by_host(site).variables.update(monitoring_firewall="nftables", monitoring_allowed_networks=allowed)
    with hosts.host("trixie", group="fault") as stranger:
        assert reaches(stranger, site.other, *PORTS.values()) == list(PORTS.values())
        site.run().must_be_green(changed=True)
        assert reaches(stranger, site.other, *PORTS.values(), 9094) == []
    all_up(site)
    assert all(members(site, host) == 2 for host in site.both)
    site.run().must_be_green(changed=False)


def test_a_check_of_a_bare_host_writes_nothing(bare):
    bare.variables.update(ON)
    bare.run("--check", "--diff").must_be_green(changed=True)
    assert not (bare.folder / ".tls").exists()
    assert bare.host.run("ls -d /etc/prometheus /etc/alertmanager /etc/node_exporter", check=False).stdout == ""
