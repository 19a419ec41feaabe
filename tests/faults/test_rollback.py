"""New releases that turn out not to work: the run is red with the service's own words, and the old service serves on.

The releases are made up here: an archive like upstream's with scripts in it that answer for their version, and do
something else than serving when they are started.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from conftest import TREES, Site, unreleased

from lab import mirror

VERSION = unreleased()
# How a made-up program behaves when it is started.
CRASHES = "echo 'level=error msg=\"sentinel: no such storage\"' >&2; exit 3"
HANGS = "echo 'sentinel: reading a very long log'; exec sleep 600"


def pretends(service: str, version: str) -> str:
    """What a program does that serves as another version than it says: it runs the one that is beside it."""
    return f'exec /opt/vigil/bin/{service}-{version}/{service} "$@"'


def publish(site: Site, service: str, behaviour: str) -> None:
    """Let the inventory ask for a release of a service that behaves like this; no other one is in its mirror."""
    scripts = {service: behaviour, {"prometheus": "promtool", "alertmanager": "amtool"}.get(service): "exit 0"}
    scripts.pop(None, None)
    folder = site.folder / "mirror" / service / f"v{VERSION}"
    folder.mkdir(parents=True)
    top = f"{service}-{VERSION}.linux-{mirror.architecture()}"
    archive = folder / f"{top}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, text in scripts.items():
            says = f'case "$*" in *--version*) echo "{name}, version {VERSION} (branch: HEAD)"; exit 0;; esac'
            data = f"#!/bin/sh\n{says}\n{text}\n".encode()
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size, member.mode = len(data), 0o755
            tar.addfile(member, io.BytesIO(data))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    Path(folder / "sha256sums.txt").write_text(f"{digest}  {archive.name}\n", encoding="ascii")
    site.variables[f"{service}_release_mirror"] = str(site.folder / "mirror")
    site.variables[f"{service}_version"] = VERSION


def on_disk(site: Site, service: str) -> dict[str, str]:
    """What has to be as before: everything but the failed release itself, and what is known about the last switch."""
    apart = (f"/opt/vigil/bin/{service}-{VERSION}", f"/etc/{service}/.vigil")
    return {path: found for path, found in site.fingerprint(*TREES).items() if not path.startswith(apart)}


def must_be_gone(site: Site, service: str) -> None:
    """A first deployment that failed leaves no process, nothing that would come up at the next boot, no configuration."""
    shown = site.host.run(f"systemctl show {service} -p LoadState,ActiveState,MainPID").stdout.split()
    assert set(shown) == {"LoadState=not-found", "ActiveState=inactive", "MainPID=0"}
    assert site.host.run("pgrep -fa '[s]entinel|[s]leep 600'", check=False).stdout == ""
    left = site.fingerprint(*TREES)
    assert not [
        path for path in left if path.startswith(("/etc/systemd/system", "/usr/local/bin/")) and service in path
    ]
    known = json.loads(site.host.run(f"cat /etc/{service}/.vigil/manifest.json || echo '{{}}'").stdout)
    assert not known.get("files")
    assert not [
        path for path in left if path.startswith(f"/etc/{service}/") and "/.vigil" not in path and left[path][0] == "f"
    ]


@pytest.mark.parametrize(
    ("service", "behaviour", "words"),
    [
        # A crash loop is seen at once, whatever the time-out says.
        ("node_exporter", CRASHES, ("it keeps restarting", "status 3", "sentinel: no such storage")),
        ("alertmanager", HANGS, ("not ready within 3 s", "no response", "sentinel: reading a very long log")),
        ("prometheus", None, ("version {old}", f"is running, {VERSION} is expected")),
    ],
    ids=("crash-loop", "never-ready", "wrong-version"),
)
def test_an_upgrade_that_does_not_work_is_rolled_back(site, service, behaviour, words):
    old = site.version(service)
    before, pid = on_disk(site, service), site.pid(service)
    publish(site, service, behaviour or pretends(service, old))
    site.variables[f"{service}_ready_timeout"] = 600 if behaviour == CRASHES else 3
    if service == "prometheus":
        # The configuration goes back together with the binary, on the disk and in the process.
        site.variables["prometheus_alert_rules"] = [{"alert": "OnlyWithTheNewOne", "expr": "vector(1)"}]
    site.run(groups=(service,)).must_be_red(
        f"{service}.service failed verification",
        "Last log lines",
        "was restored and is healthy again",
        *(word.format(old=old) for word in words),
    )
    assert on_disk(site, service) == before
    assert site.serves(service)
    assert site.version(service) == old
    assert site.pid(service) != pid
    if service == "prometheus":
        rules = site.host.run("curl -fsS http://127.0.0.1:9090/api/v1/rules").stdout
        assert "Watchdog" in rules
        assert "OnlyWithTheNewOne" not in rules
    # The failure is not forgotten: with the same inventory, the run is red again, not green because nothing changed.
    site.run(groups=(service,)).must_be_red(f"{service}.service failed verification")
    assert on_disk(site, service) == before


@pytest.mark.parametrize(("service", "behaviour"), [("prometheus", CRASHES), ("alertmanager", HANGS)])
def test_a_first_deployment_that_does_not_work_is_taken_away_again(bare, service, behaviour):
    publish(bare, service, behaviour)
    bare.variables[f"{service}_ready_timeout"] = 3
    bare.run(groups=(service,)).must_be_red(
        f"{service}.service failed verification", "sentinel", "it was stopped and removed again"
    )
    must_be_gone(bare, service)


BROKEN = "[Service]\nExecStartPre=/bin/false\n"


def test_what_is_put_back_is_asked_as_it_was_before(site):
    before = on_disk(site, "node_exporter")
    site.variables.update(
        node_exporter_web_listen_address="0.0.0.0:9200",
        node_exporter_systemd_dropin=BROKEN,
        # Nothing waits for it: longer than the run may take.
        node_exporter_ready_timeout=900,
    )
    site.run(groups=("node_exporter",)).must_be_red(
        "was restored and is healthy again at http://127.0.0.1:9100/metrics"
    )
    assert site.serves("node_exporter")
    # 0.2.0 wrote nothing down; its command line tells.
    site.host.run("rm /etc/node_exporter/.vigil/asked.json")
    site.run(groups=("node_exporter",)).must_be_red(
        "was restored and is healthy again at http://127.0.0.1:9100/metrics"
    )
    assert on_disk(site, "node_exporter") == before
    must_have_a_certificate(site)


def must_have_a_certificate(site: Site) -> None:
    """TLS that lets nobody in without a certificate is refused without one, activated with one, and verified."""
    site.host.run(
        "mkdir -p /etc/tls && cd /etc/tls && for name in ca node; do openssl req -x509 -newkey rsa:2048 -nodes -days 2"
        " -subj /CN=$name -keyout $name.key -out $name.crt; done && chmod 644 *.key"
    )
    site.variables.update(
        node_exporter_web_listen_address="[::]:9100",
        node_exporter_systemd_dropin="",
        node_exporter_tls_server_config={
            "cert_file": "/etc/tls/node.crt",
            "key_file": "/etc/tls/node.key",
            "client_ca_file": "/etc/tls/ca.crt",
            "client_auth_type": "RequireAndVerifyClientCert",
        },
    )
    pid = site.pid("node_exporter")
    site.run(groups=("node_exporter",)).must_be_red("node_exporter_health_client_cert", "RequireAndVerifyClientCert")
    site.variables.update(
        node_exporter_health_client_cert="/etc/tls/none.crt", node_exporter_health_client_key="/etc/tls/ca.key"
    )
    site.run(groups=("node_exporter",)).must_be_red("was not changed", "/etc/tls/none.crt")
    assert site.pid("node_exporter") == pid
    # One that the service does not trust is not waited for.
    site.variables.update(
        node_exporter_health_client_cert="/etc/tls/node.crt", node_exporter_health_client_key="/etc/tls/node.key"
    )
    site.run(groups=("node_exporter",)).must_be_red(
        "client certificate required", "is healthy again at http://127.0.0.1:9100/metrics"
    )
    site.variables.update(
        node_exporter_health_client_cert="/etc/tls/ca.crt", node_exporter_health_client_key="/etc/tls/ca.key"
    )
    site.run(groups=("node_exporter",)).must_be_green(changed=True)
    # The authority that vouches for somebody else is a certain error.
    site.variables["node_exporter_health_ca"] = "/etc/tls/ca.crt"
    site.run(groups=("node_exporter",)).must_be_red("its certificate is not trusted", "node_exporter_health_ca")


def test_another_group_takes_the_data_along_and_goes_back_with_it(site):
    places = "/etc/prometheus /var/lib/prometheus"
    show = f"find {places} -path '*/.vigil*' -prune -o -printf '%u:%g\\n' | sort | uniq -c"
    before = site.host.run(f"find {places} -printf '%U:%G\\n' | sort -u").stdout
    site.variables.update(prometheus_system_group="promx", prometheus_systemd_dropin=BROKEN)
    outcome = site.run(groups=("prometheus",)).must_be_red(
        "was restored and is healthy again at http://127.0.0.1:9090/metrics"
    )
    # Last words of the process that was stopped for it tell nothing.
    assert "See you next time" not in outcome.output
    assert site.host.run(f"find {places} -printf '%U:%G\\n' | sort -u").stdout == before
    site.variables["prometheus_systemd_dropin"] = ""
    site.run(groups=("prometheus",)).must_be_green(changed=True)
    owners = site.host.run(show).stdout
    assert "root:promx" in owners
    assert ":prometheus" not in owners
    site.run(groups=("prometheus",)).must_be_green(changed=False)
    assert site.serves("prometheus")
