# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""monitoring_tls on two real hosts, one with systemd services and one with containers on a bridge, and a stranger beside them.

The tests run in the order in which they stand, on the same hosts: without the switch, half of the site closed, all of it, and
back. What a test shows of a closed site, the first ones have seen the other way round.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Containers, base_variables, snapshot
from test_secrets import processes

from lab import containers, hosts, mirror
from lab.common import run

pytestmark = pytest.mark.xdist_group("tls")

PASSWORD = "vigil-sentinel-tls-person"
# Its targets are scraped every two minutes.
CERTIFICATES = "blackbox_tls_certificate"
ADMIN = f"admin:{PASSWORD}"
EVERYWHERE = ("node_exporter", "process_exporter", "blackbox_exporter", "cadvisor", "alertmanager", "prometheus")
ON_ONE = ("redis_exporter", "nginx_exporter")
NGINX = "events {}\nhttp { server { listen 127.0.0.1:80; location = /stub_status { stub_status; } } }\n"
PORTS = {
    "node_exporter": 9100,
    "process_exporter": 9256,
    "blackbox_exporter": 9115,
    "redis_exporter": 9121,
    "nginx_exporter": 9113,
    "cadvisor": 8080,
    "alertmanager": 9093,
    "cluster": 9094,
    "prometheus": 9090,
    "grafana": 3000,
}
# That of HAProxy in front of it, where it is closed.
PROXY = 18080
ALERT = "VigilSentinelAlert"
SHARED = {
    "prometheus_alert_rules": [{"alert": ALERT, "expr": "vector(1)"}],
    "monitoring_verify_timeout": 20,
    "grafana_ready_timeout": 90,
}
# Grafana's administrator gets the password by the switch; without it, by a variable of its own.
OFF = {"grafana_security": {"admin_password": PASSWORD}}
ON = {"monitoring_tls": True, "monitoring_password": PASSWORD}


class Pair(Containers):
    """Two hosts: `host` runs systemd services, `other` containers. `stranger` is a third one that no inventory knows.

    :ivar own: variables of a single host: its name to variables.
    """

    stranger: hosts.Host
    other: hosts.Host
    own: dict

    @property
    def both(self):
        return (self.host, self.other)

    def inventory(self, groups):
        members = {group: self.both if group in EVERYWHERE else [self.host] for group in groups}
        data = hosts.inventory(members, **self.variables)
        data["all"]["hosts"][self.other.name].update(
            monitoring_runtime="docker", monitoring_container_network="monitoring"
        )
        for name, variables in self.own.items():
            data["all"]["hosts"][name].update(variables)
        path = self.folder / "inventory.json"
        path.write_text(json.dumps(data), encoding="utf-8")
        return path

    def switch(self, *closed):
        """Let the inventory close these hosts."""
        self.variables = {**self.plain, **(ON if closed else OFF)}
        names = {host.name for host in closed}
        self.own = {host.name: {"monitoring_tls": False} for host in self.both if closed and host.name not in names}
        if closed and self.host.name not in names:
            self.own[self.host.name].update(OFF)
        return self

    def scheme(self, host):
        """How the services of a host are reached now."""
        closed = self.variables.get("monitoring_tls") and host.name not in self.own
        return "https" if closed else "http"

    def curl(self, host, service, path, *arguments, login=ADMIN, stdin=""):
        """Ask a service for people as an administrator does; its text."""
        options = [f'user = "{login}"', "insecure"] if login else ["insecure"]
        url = f"{self.scheme(host)}://127.0.0.1:{PORTS[service]}{path}"
        command = f"curl -fsS -K /dev/fd/3 {' '.join(arguments)} '{url}' 3<<'END'\n" + "\n".join(options) + "\nEND"
        return host.run(command, stdin=stdin).stdout

    def get(self, host, service, path, *arguments, **options):
        return json.loads(self.curl(host, service, path, *arguments, **options))

    def query(self, host, text, at=None):
        """The answer of a host's Prometheus to a query: labels and value of each series."""
        arguments = [
            "-G",
            f"--data-urlencode 'query={text}'",
            *([f"--data-urlencode time={at}"] if at else []),
        ]
        return self.get(host, "prometheus", "/api/v1/query", *arguments)["data"]["result"]

    def down(self, host):
        """The targets that a host's Prometheus cannot scrape."""
        found = self.get(host, "prometheus", "/api/v1/targets?state=active")["data"]["activeTargets"]
        assert found
        # What a run has just added may be due later.
        due = [one for one in found if one["labels"]["job"] != CERTIFICATES or one["health"] != "unknown"]
        return [target["scrapeUrl"] for target in due if target["health"] != "up"]

    def processes(self):
        """What runs on both hosts: unchanged means that nothing was restarted."""
        units = {name: self.pid_of(name) for name in self.groups if name != "grafana"}
        shown = "docker ps --format '{{.Names}} {{.ID}}' | sort"
        return {**units, "containers": self.other.run(shown).stdout}

    def pid_of(self, service):
        return self.host.run(f"systemctl show -P MainPID {service}").stdout.strip()

    def tls_files(self):
        """What the switch has written on both hosts."""
        names = "cluster_tls.yml amtool_http.yml web_config.yml"
        find = f"find /etc -type f -path '*/monitoring_tls/*' {' '.join('-o -name ' + name for name in names.split())}"
        return {host.name: host.run(find).stdout.split() for host in self.both}

    def converged(self):
        """Run the play on a converged site; how many tasks did something there, none of which may be a change. Without those
        for HAProxy in front of cAdvisor, which each closed host has besides: its role, and its comparison."""
        of_proxies = 2 * sum(self.scheme(host) == "https" for host in self.both)
        return self.run().must_be_green(changed=False).count("ok") - of_proxies

    def playbook(self, name, *arguments):
        return self.run(*arguments, playbook=name)


def prepare(host, packages):
    host.run(
        f"apt-get -qq update && apt-get -qq install -y --no-install-recommends {packages} >/dev/null 2>&1",
        timeout=200,
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The hosts, and what lasts as long as they do."""
    folder = tmp_path_factory.mktemp("tls")
    suites = {
        "trixie": snapshot("trixie", folder),
        "trixie-docker": snapshot("trixie-docker", folder),
    }
    with contextlib.ExitStack() as stack:
        one, two = [
            stack.enter_context(hosts.host(suite, group="fault", image=image)) for suite, image in suites.items()
        ]
        stranger = stack.enter_context(hosts.host("trixie", group="fault"))
        two.load(*(containers.image(name) for name in ("process_exporter", "blackbox_exporter", "cadvisor")))
        with ThreadPoolExecutor() as pool:
            wanted = {
                one: "redis-server nginx-light tcpdump",
                stranger: "sslscan openssl",
            }
            list(pool.map(prepare, wanted.keys(), wanted.values()))
        one.run(
            "cat > /etc/nginx/nginx.conf; systemctl restart nginx redis-server",
            stdin=NGINX,
        )
        with tempfile.TemporaryDirectory() as unpacked:
            mirror.unpack("alertmanager", "new", Path(unpacked), "alertmanager")
            (program,) = Path(unpacked).rglob("alertmanager")
            run(
                [
                    "docker",
                    "cp",
                    str(program),
                    f"{stranger.name}:/usr/local/bin/alertmanager",
                ]
            )
        yield make(folder, one, two, stranger)


def make(folder, one, two, stranger):
    """The site, with nothing closed."""
    versions, grafana = mirror.versions(), mirror.grafana()
    own = {
        f"{name}_version": versions[name]["new"]
        for name in ("process_exporter", "blackbox_exporter", "cadvisor", *ON_ONE)
    }
    groups = (*EVERYWHERE, *ON_ONE, *(["grafana"] if grafana else []))
    plain = {
        **base_variables(),
        **own,
        **SHARED,
        **({"grafana_version": grafana[-1]} if grafana else {}),
    }
    site = Pair(one, folder, plain, groups)
    site.other, site.stranger, site.plain, site.kept = two, stranger, plain, {}
    return site.switch()


# What a stranger is told

PATHS = (
    *(
        "/",
        "/metrics",
        "/federate?match[]=up",
        "/api/v1/query?query=up",
        "/api/v1/status/config",
        "/api/v1/targets",
    ),
    *(
        "/api/v2/alerts",
        "/api/v2/status",
        "/api/v2/silences",
        "/probe?target=127.0.0.1:9100&module=http_2xx",
        "/config",
    ),
    *(
        "/debug/pprof/",
        "/scrape?target=redis://127.0.0.1:6379",
        "/-/healthy",
        "/-/ready",
        "/graph",
        "/classic/graph",
    ),
    *(
        "/api/search",
        "/api/datasources",
        "/api/org",
        "/api/health",
        "/login",
        "/api/dashboards/home",
        "/api/snapshots",
    ),
)
# Grafana's login, and that it is alive: https://grafana.com/docs/grafana/latest/developers/http_api/other/#health-api
OF_GRAFANA = {"/login", "/api/health"}
# Run on the stranger's host: every way to every port. It prints a list of port, way, path, status, and the text of the answer.
ASK = r"""
import http.client, json, os, ssl, sys, tempfile
from concurrent.futures import ThreadPoolExecutor
said = json.load(sys.stdin)

def context(pem):
    made = ssl._create_unverified_context()
    if pem:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(pem)
            file.flush()
            made.load_cert_chain(file.name)
    return made

def ask(job):
    port, way, path, headers = job
    try:
        if way == "http":
            connection = http.client.HTTPConnection(said["address"], port, timeout=10)
        else:
            connection = http.client.HTTPSConnection(said["address"], port, timeout=10, context=context(said["ways"][way]))
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return [port, way, path, answer.status, answer.read(20000).decode("utf-8", "replace")]
    except (OSError, http.client.HTTPException) as error:
        return [port, way, path, 0, str(error)]

jobs = [(port, way, path, headers) for port in said["ports"] for way in ["http", *said["ways"]] for path in said["paths"]
        for headers in said["headers"]]
with ThreadPoolExecutor(8) as pool:
    json.dump(list(pool.map(ask, jobs)), sys.stdout)
"""
SELF_SIGNED = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=vigil-prometheus -keyout /dev/stdout"
    " 2>/dev/null"
)


def listening(host):
    """The ports on which somebody from elsewhere may knock."""
    lines = host.run("ss -Hltun").stdout.splitlines()
    addresses = [line.split()[4].rpartition(":") for line in lines]
    return {int(port) for address, dummy, port in addresses if not address.startswith(("127.", "[::1]"))}


def ports_of(site, host):
    names = {*EVERYWHERE, "cluster", *(site.groups if host == site.host else ())}
    return {PROXY if name == "cadvisor" and site.scheme(host) == "https" else PORTS[name] for name in names}


def ask(site, host, ways, headers=({},), paths=PATHS):
    said = {
        "address": host.ip,
        "ports": sorted(ports_of(site, host)),
        "ways": ways,
        "paths": paths,
        "headers": headers,
    }
    done = site.stranger.run(f"python3 -c '{ASK}'", stdin=json.dumps(said), timeout=120)
    return [answer for answer in json.loads(done.stdout) if answer[3]]


def told(answers):
    """Of what was answered, that which a stranger has no business with: port to paths."""
    found = {}
    for port, dummy, path, status, text in answers:
        harmless = port == PORTS["grafana"] and (path in OF_GRAFANA or status in (301, 302))
        # A page about an error is short; what was asked for is not.
        if not harmless and (status < 400 or len(text) > 300):
            found.setdefault(port, set()).add(path)
    return found


# What is read on the way

WORDS = {
    "scrape": "GET /metrics HTTP",
    "notification": ALERT,
    "query": "vigil_sentinel_query",
    "login": "Authorization: Basic",
}


def clear_text(site):
    """What a sniffer on the first host reads of the traffic of some seconds, which has all of these."""
    # As root: it would give its file away otherwise, and could not write that again. cAdvisor behind HAProxy stays on the loopback.
    wanted = "not port 53 and not (net 127.0.0.0/8 and port 8080)"
    site.host.run(
        f"rm -f /run/wire; (timeout 60 tcpdump -Z root -i any -s 0 -w /run/wire '{wanted}' >/dev/null 2>&1 &); sleep 2"
    )
    if "grafana" in site.groups:
        query = "/api/datasources/proxy/uid/prometheus/api/v1/query?query=vigil_sentinel_query"
        assert site.get(site.host, "grafana", query)["status"] == "success"
    time.sleep(8)
    site.host.run("kill -INT $(pidof tcpdump); sleep 1")
    size = int(site.host.run("stat -c %s /run/wire").stdout)
    assert size > 50_000, "nothing was captured"
    return {
        what
        for what, word in WORDS.items()
        if site.host.run(f"grep -aq '{word}' /run/wire", check=False).returncode == 0
    }


# What a scanner says of the ports: https://wiki.mozilla.org/Security/Server_Side_TLS, "intermediate"

PROTOCOLS = {"TLSv1.2", "TLSv1.3"}
INTERMEDIATE = {
    *(
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    ),
    *(
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ),
    *(
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-RSA-CHACHA20-POLY1305",
    ),
}
# redis_exporter has no setting for it. Only holders of a client certificate get further than the handshake.
WORSE = {"redis_exporter": {"ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA"}}


def scanned(site, host, port):
    """The versions of TLS and the ciphers that a port takes."""
    command = f"sslscan --no-colour --no-heartbleed --no-fallback --no-groups {host.ip}:{port}"
    output = site.stranger.run(command, check=False).stdout
    protocols = set(re.findall(r"^((?:SSL|TLS)v\S+)\s+enabled", output, re.MULTILINE))
    return protocols, set(re.findall(r"(?:Accepted|Preferred)\s+\S+\s+\d+ bits\s+(\S+)", output))


# The cluster of Alertmanagers


def members(site, host):
    """The addresses of the members of its cluster that a host's Alertmanager knows."""
    found = site.get(host, "alertmanager", "/api/v2/status")["cluster"]
    return {peer["address"] for peer in found["peers"]}


def until(what, check, within=40):
    """Wait until a check is true."""
    deadline = time.monotonic() + within
    while not (found := check()):
        assert time.monotonic() < deadline, f"{what}: not within {within} s"
        time.sleep(1)
    return found


def silence(site, host, comment):
    """Silence something that is nowhere, in one Alertmanager."""
    data = {
        "matchers": [{"name": "nothing", "value": comment, "isRegex": False}],
        "createdBy": "test",
        "comment": comment,
    }
    data.update(startsAt="2026-01-01T00:00:00Z", endsAt="2099-01-01T00:00:00Z")
    arguments = ("-H 'Content-Type: application/json'", "-d @-")
    site.get(host, "alertmanager", "/api/v2/silences", *arguments, stdin=json.dumps(data))


def silences(site, host):
    return {found["comment"] for found in site.get(host, "alertmanager", "/api/v2/silences")}


def intruder(site, tls=None):
    """What an Alertmanager on the stranger's host gets of the silences, which was told no more than the addresses."""
    name, web, gossip = ("/tmp/intruder-tls", 9193, 9194) if tls else ("/tmp/intruder", 9293, 9294)
    config = json.dumps({"route": {"receiver": "none"}, "receivers": [{"name": "none"}]})
    site.stranger.run(f"cat > {name}.yml; rm -rf {name}", stdin=config)
    flags = [
        f"--config.file={name}.yml --storage.path={name} --web.listen-address=127.0.0.1:{web}",
        f"--cluster.listen-address=0.0.0.0:{gossip} --cluster.advertise-address={site.stranger.ip}:{gossip}",
        *(f"--cluster.peer={host.ip}:{PORTS['cluster']}" for host in site.both),
    ]
    if tls:
        site.stranger.run(
            f"{SELF_SIGNED} | cat > /tmp/intruder.pem; cat > {name}_tls.yml",
            stdin=json.dumps(tls),
        )
        flags.append(f"--cluster.tls-config={name}_tls.yml")
    start = f"timeout 50 alertmanager {' '.join(flags)} >{name}.log 2>&1"
    shown = f"curl -fsS --retry 40 --retry-delay 1 --retry-all-errors http://127.0.0.1:{web}/api/v2/silences"
    # It serves once it has tried to join, and has what others know some seconds later.
    command = f"({start} &); {shown} >/dev/null 2>&1; sleep 5; {shown}"
    output = site.stranger.run(command, check=False, timeout=100).stdout
    assert output, site.stranger.run(f"cat {name}.log").stdout
    return {found["comment"] for found in json.loads(output)}


PAIR = {"cert_file": "/tmp/intruder.pem", "key_file": "/tmp/intruder.pem"}
PRETENDED = {
    "tls_server_config": {**PAIR, "client_auth_type": "NoClientCert"},
    "tls_client_config": {**PAIR, "insecure_skip_verify": True},
}


# The tests, in their order


def test_without_the_switch_everything_is_open(shared):
    """What a closed site keeps from a stranger, he gets here; the tests below have been seen the other way round."""
    site = shared.switch()
    site.run().must_be_green()
    site.kept["tasks"] = site.converged()
    for host in site.both:
        assert listening(host) == ports_of(site, host)
        found = told(ask(site, host, {"https": ""}))
        assert set(found) == ports_of(site, host) - {PORTS["cluster"]}, found
        assert site.down(host) == []
    wanted = set(WORDS) if "grafana" in site.groups else {"scrape", "notification"}
    assert clear_text(site) == wanted
    silence(site, site.host, "kept")
    until("the silence is on both hosts", lambda: "kept" in silences(site, site.other))
    until("a stranger reads the silences", lambda: "kept" in intruder(site))
    site.kept["then"] = time.time()


def test_a_check_of_the_switch_writes_nothing(shared):
    site, before = shared.switch(*shared.both), shared.processes()
    files = {host.name: shared.fingerprint("/etc/prometheus", "/etc/alertmanager") for host in shared.both}
    site.run("--check", "--diff").must_be_green(changed=True)
    assert not (site.folder / ".tls").exists()
    assert shared.processes() == before
    assert files == {host.name: shared.fingerprint("/etc/prometheus", "/etc/alertmanager") for host in shared.both}


# What a service ends at when it starts.
BROKEN = {
    "alertmanager": {"data.retention": "never"},
    "prometheus": {"query.timeout": "never"},
}


@pytest.mark.parametrize("service", BROKEN)
def test_a_switch_that_fails_goes_back_and_is_verified_without_tls(shared, service):
    site = shared.switch(shared.host)
    site.variables[f"{service}_config_flags_extra"] = BROKEN[service]
    outcome = site.run("--limit", site.host.name, groups=(service,))
    outcome.must_be_red("never", "was restored and is healthy again")
    site.switch()
    site.host.run(f"curl -fsS -o /dev/null http://127.0.0.1:{PORTS[service]}/metrics")
    assert site.host.run(f"find /etc/{service}/monitoring_tls -type f", check=False).stdout == ""


def test_half_of_a_site_is_closed(shared):
    site = shared.switch(shared.host)
    site.run().must_be_green(changed=True)
    assert site.converged() == site.kept["tasks"]
    half_is_closed(site)


def half_is_closed(site):
    """One host is closed and the other one is not: all see all."""
    for host in site.both:
        open_here = told(ask(site, host, {"https": ""}))
        assert bool(open_here) == (site.scheme(host) == "http"), open_here
        assert site.down(host) == []
        assert alerts_arrive(site, host)


def alerts_arrive(site, host):
    """Whether an Alertmanager has the alert of each Prometheus now."""
    query = f"/api/v2/alerts?filter=alertname={ALERT}"
    (alert,) = until("the alert arrives", lambda: site.get(host, "alertmanager", query))
    for sender in site.both:
        failed = "sum(rate(prometheus_notifications_errors_total[10s]))"
        sent = site.query(
            sender,
            "sum by (alertmanager) (rate(prometheus_notifications_sent_total[10s])) > 0",
        )
        assert len(sent) == 2 and [found["value"][1] for found in site.query(sender, failed)] == ["0"]
    return alert


def test_the_whole_site_is_closed_and_nothing_is_lost(shared):
    site, began = shared.switch(*shared.both), time.time()
    site.run().must_be_green(changed=True)
    took = time.time() - began
    for host in site.both:
        assert listening(host) == ports_of(site, host)
        assert site.down(host) == []
        assert alerts_arrive(site, host)
        assert "kept" in silences(site, host)
        assert site.query(host, 'up{job="prometheus"}', at=site.kept["then"])
        # Two seconds apart, less what the run itself may cost.
        samples = site.query(host, f'min(count_over_time(up{{job!="{CERTIFICATES}"}}[{int(took) + 20}s]))')
        assert float(samples[0]["value"][1]) > 5
    assert site.converged() == site.kept["tasks"]
    site.run("--check", "--diff").must_be_green(changed=False)
    until(
        "the cluster has its members",
        lambda: all(len(members(site, host)) == 2 for host in site.both),
    )
    silence(site, site.other, "closed")
    until("the silence is on both hosts", lambda: "closed" in silences(site, site.host))


def test_a_stranger_is_told_nothing(shared):
    site = shared.switch(*shared.both)
    ways = {"https": "", "self-signed": site.stranger.run(SELF_SIGNED).stdout}
    # Somebody else's certificates of the same inventory: one that may only answer, one of the cluster.
    for name in ("server", "cluster_server"):
        ways[name] = site.host.run(f"cd /etc/alertmanager/monitoring_tls; cat {name}.crt {name}.key").stdout
    basic = [
        b64encode(login.encode()).decode() for login in ("admin:admin", "vigil-prometheus:", "vigil-verification:x")
    ]
    headers = [{}, *({"Authorization": "Basic " + login} for login in basic)]
    some = (
        "/",
        "/metrics",
        "/api/v2/alerts",
        "/api/v1/query?query=up",
        "/probe?target=127.0.0.1:9100&module=http_2xx",
    )
    for host in site.both:
        assert told(ask(site, host, {"https": ""})) == {}
        assert told(ask(site, host, ways, paths=some)) == {}
        assert (
            told(
                ask(
                    site,
                    host,
                    {"https": ""},
                    headers,
                    ("/metrics", "/api/v2/alerts", "/api/v1/query?query=up"),
                )
            )
            == {}
        )
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(lambda tls: intruder(site, tls), (None, PRETENDED))) == [
            set(),
            set(),
        ]
    assert all(len(members(site, host)) == 2 for host in site.both)


def test_nothing_is_read_on_the_way(shared):
    assert clear_text(shared.switch(*shared.both)) == set()


def test_a_scanner_finds_nothing_worse_than_intermediate(shared):
    site = shared.switch(*shared.both)
    named = {port: name for name, port in {**PORTS, "cadvisor": PROXY}.items()}
    ports = [(host, port) for host in site.both for port in sorted(ports_of(site, host))]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(
            lambda one: (one[0].name, named[one[1]], *scanned(site, *one)),
            ports,
        )
        for host, name, protocols, ciphers in found:
            assert protocols and ciphers, (host, name)
            assert protocols <= PROTOCOLS, (host, name)
            assert ciphers <= INTERMEDIATE | WORSE.get(name, set()), (host, name)


def test_keys_and_passwords_are_for_the_service_alone(shared):
    site = shared.switch(*shared.both)
    for host in site.both:
        found = host.run(
            "find /etc/*/monitoring_tls /etc/*/amtool_http.yml /etc/*/web_config.yml -printf '%p %m %u\\n'"
        ).stdout
        for line in found.splitlines():
            path, mode, owner = line.split()
            assert (mode, owner) == (
                "750" if path.endswith("monitoring_tls") else "640",
                "root",
            ), line
        # The authority's key is on no host.
        data = "/etc /run /var/lib/prometheus /var/lib/alertmanager /var/lib/grafana"
        keys = host.run(f"grep -rl 'PRIVATE KEY' {data} --exclude=wire 2>/dev/null", check=False).stdout.split()
        known = {
            "server.key",
            "client.key",
            "cluster_server.key",
            "ssl-cert-snakeoil.key",
        }
        assert keys and {Path(path).name for path in keys} <= known
    listed = {path.name: oct(path.stat().st_mode & 0o777) for path in (site.folder / ".tls").iterdir()}
    assert listed == {"ca.crt": "0o644", "ca.key": "0o600", "machines.key": "0o600"}
    for name in ("ca.key", "machines.key"):
        assert (site.folder / ".tls" / name).read_text().startswith("$ANSIBLE_VAULT;")


def known_secrets(site):
    """The secrets that are on the hosts now: passwords, and the lines of keys."""
    machine = "cat /etc/prometheus/monitoring_tls/password; cat /etc/grafana/secrets/metrics.basic_auth_password 2>/dev/null; true"
    keys = "cat /etc/*/monitoring_tls/*.key; grep -h password: /etc/alertmanager/amtool_http.yml | cut -d: -f2"
    lines = [
        line.strip() for host in site.both for line in (host.run(machine).stdout + host.run(keys).stdout).splitlines()
    ]
    return {
        PASSWORD,
        "PRIVATE KEY",
        *(line for line in lines if len(line) > 20 and "PRIVATE KEY" not in line),
    }


def test_a_broken_configuration_goes_back_and_tells_no_secret(shared):
    site = shared.switch(*shared.both)
    found, before = known_secrets(site), site.processes()
    assert len(found) > 8
    site.variables.update({f"{service}_config_flags_extra": flags for service, flags in BROKEN.items()})
    with processes() as seen:
        for service in BROKEN:
            outcome = site.run("-vvvv", "--diff", groups=(service,))
            outcome.must_be_red("never", "was restored and is healthy again")
            assert not [secret for secret in found if secret in outcome.output], service
    assert not [
        command[:300] for command in seen if "grep" not in command and any(secret in command for secret in found)
    ]
    site.switch(*site.both)
    site.converged()
    assert site.converged() == site.kept["tasks"]
    after = site.processes()
    assert {name for name in after if name != "containers" and after[name] != before[name]} <= set(EVERYWHERE)
    for host in site.both:
        until("all is up", lambda host=host: site.down(host) == [])


def test_playbooks_and_amtool_work(shared):
    site = shared.switch(*shared.both)
    for name in ("verify.yml", "report.yml"):
        site.playbook(name).must_be_green(changed=None)
    site.playbook("silence.yml", "-e", "alertmanager_silence_matchers=nothing=told").must_be_green()
    # Debian's amtool, which the lab has, looks for its defaults elsewhere than upstream's.
    site.host.run("mkdir -p ~/.config/prometheus; ln -sf /etc/amtool/config.yml ~/.config/prometheus/amtool.yml")
    amtool = site.host.run("amtool silence query -o json").stdout
    assert '"told"' in amtool
    site.playbook("verify.yml", "-e", "monitoring_verify_from=host").must_be_green()


def on_the_wire(site, host, port):
    """The serial number of the certificate that a port shows."""
    show = f"openssl s_client -connect {host.ip}:{port} </dev/null 2>/dev/null | openssl x509 -noout -serial"
    return site.stranger.run(show).stdout.strip()


def test_certificates_are_renewed_without_a_restart_and_without_a_gap(shared):
    site = shared.switch(*shared.both)
    ports = [(host, port) for host in site.both for port in sorted(ports_of(site, host))]
    before, serials, began = (
        site.processes(),
        [on_the_wire(site, *one) for one in ports],
        time.time(),
    )
    assert all(serials) and len(set(serials)) == len(serials)
    site.variables["monitoring_tls_days"] = 30
    site.run().must_be_green(changed=True)
    assert site.processes() == before
    assert not set(serials) & {on_the_wire(site, *one) for one in ports}
    assert site.converged() == site.kept["tasks"]
    time.sleep(6)
    for host in site.both:
        # Grafana was restarted.
        until("all is up", lambda host=host: site.down(host) == [])
        seconds = int(time.time() - began)
        # Grafana and HAProxy read their certificate when they start.
        gaps = site.query(host, f'min_over_time(up{{job!~"grafana|cadvisor"}}[{seconds}s]) == 0')
        assert gaps == []
    until(
        "the cluster has its members",
        lambda: all(len(members(site, host)) == 2 for host in site.both),
    )
    silence(site, site.host, "renewed")
    until("the silence is on both hosts", lambda: "renewed" in silences(site, site.other))


def test_the_authority_is_rotated_in_both_runtimes(shared):
    site = shared.switch(*shared.both)
    site.variables["monitoring_tls_days"] = 30
    trusted, began = site.folder / ".tls" / "ca.crt", time.time()
    before = trusted.read_text()
    serials = {on_the_wire(site, host, port) for host in site.both for port in ports_of(site, host)}
    site.run(playbook="rotate_ca.yml", timeout=1500).must_be_green(changed=True)
    assert trusted.read_text() != before
    for host in site.both:
        assert not serials & {on_the_wire(site, host, port) for port in ports_of(site, host)}
        until("all is up", lambda host=host: site.down(host) == [])
        seconds = int(time.time() - began)
        # These are restarted for another certificate. Any other target that is refused is so until the next host is done.
        lost = f'min_over_time(max_over_time(up{{job!~"grafana|cadvisor|alertmanager"}}[6s])[{seconds}s:1s]) == 0'
        assert site.query(host, lost) == []
    assert site.converged() == site.kept["tasks"]


def test_the_other_half_is_opened_first(shared):
    site = shared.switch(shared.other)
    site.run().must_be_green(changed=True)
    half_is_closed(site)


def test_the_way_back_leaves_nothing(shared):
    site = shared.switch()
    site.run().must_be_green(changed=True)
    assert site.converged() == site.kept["tasks"]
    assert site.tls_files() == {host.name: [] for host in site.both}
    for host in site.both:
        assert listening(host) == ports_of(site, host)
        assert host.run("ls -d /etc/tls_proxy /etc/systemd/system/tls_proxy*", check=False).stdout == ""
        assert site.down(host) == []
        assert alerts_arrive(site, host)
        assert {"kept", "closed"} <= silences(site, host)
        assert site.query(host, 'up{job="prometheus"}', at=site.kept["then"])
