"""Trouble on the host: no space, a port that is taken, an unusual umask, no root but sudo; and runs that only look."""

from __future__ import annotations

import contextlib
import os
import re
import time

import pytest
from conftest import TREES

from lab import mirror

RULE = {"prometheus_alert_rules": [{"alert": "Mine", "expr": "vector(1)"}]}


@contextlib.contextmanager
def full_disk(site, path, service):
    """Let a directory lie on a small file system of its own, which is full to the last byte.

    The service is started on it: one that runs sees what was mounted when it was started.
    """
    site.host.run(
        f"set -e; systemctl stop {service}; cp -a {path} /tmp/kept; size=$(du -sk {path} | cut -f1)"
        f"; owner=$(stat -c %U:%G {path}); mode=$(stat -c %a {path})"
        f"; mount -t tmpfs -o size=$((size + 65536))k,mode=$mode tmpfs {path}; chown $owner {path}"
        f"; cp -a /tmp/kept/. {path}; rm -rf /tmp/kept; systemctl start {service}",
        timeout=120,
    )
    assert site.serves(service, within=20)
    site.host.run(f"dd if=/dev/zero of={path}/ballast bs=4k 2>/dev/null || true")
    assert site.host.run(f"df --output=avail {path} | tail -1").stdout.strip() == "0"
    yield
    site.host.run(f"rm {path}/ballast")


# Where no space is left, for which service that matters, variables, and words of the message.
FULL = {
    "release": (
        "/opt/vigil",
        "node_exporter",
        {"node_exporter_version": mirror.versions()["node_exporter"]["old"]},
        ["no space in /opt/vigil/bin", "Free disk space, or set monitoring_release_dir"],
    ),
    "configuration": ("/etc/prometheus", "prometheus", RULE, ["no space left for /etc/prometheus", "free some"]),
    "data": (
        "/var/lib/prometheus",
        "prometheus",
        {"prometheus_storage_retention": "20d"},
        ["prometheus was not changed", "no space is left in /var/lib/prometheus", "free some space and run again"],
    ),
}


@pytest.mark.parametrize("kind", FULL)
def test_no_space(site, kind):
    """A full disk is named and harms nothing; room is all that the next run needs."""
    path, service, variables, words = FULL[kind]
    site.variables.update(variables)

    def state():
        # Without room for its data Prometheus ends and is started again by itself, with any run and with none.
        passing = ("processes", "served") if kind == "data" else ()
        return {name: found for name, found in site.state().items() if name not in passing}

    with full_disk(site, path, service):
        before = state()
        site.run(groups=(service,)).must_be_red(*words)
        assert state() == before
    site.run(groups=(service,)).must_be_green(changed=True)


@contextlib.contextmanager
def held_port(host, port):
    """A process of somebody else's that listens on a port."""
    host.run(f"systemd-run --quiet --unit=holder python3 -m http.server {port}")
    host.run(f"for i in $(seq 100); do curl -fsS -o /dev/null http://127.0.0.1:{port} && break; sleep 0.1; done")
    yield host.run("systemctl show -P MainPID holder").stdout.strip()
    host.run("systemctl stop holder")


def test_a_port_that_is_taken(site):
    """The service moves to a port that somebody else has: it stays where it is until that one goes."""
    site.variables["alertmanager_web_listen_address"] = "0.0.0.0:9099"
    before = site.state()
    with held_port(site.host, 9099) as pid:
        site.run(groups=("alertmanager",)).must_be_red(
            "alertmanager was not changed", f"port 9099 is held by python3 (process {pid})", "choose another port"
        )
        assert site.state() == before
    site.run(groups=("alertmanager",)).must_be_green(changed=True)
    site.host.run("curl -fsS http://127.0.0.1:9099/-/ready")


def test_a_port_that_was_taken_while_the_service_was_down(site):
    site.host.run("systemctl stop node_exporter")
    with held_port(site.host, 9100) as pid:
        before = site.state()
        site.run(groups=("node_exporter",)).must_be_red(f"port 9100 is held by python3 (process {pid})")
        assert site.state() == before
    site.run(groups=("node_exporter",)).must_be_green(changed=True)
    assert site.serves("node_exporter")


UNUSUAL = (*TREES, "/home", "/root", "/srv", "/usr/bin", "/usr/lib", "/var/cache", "/var/lib", "/var/spool", "/var/tmp")


def everything(site):
    """All that a deployment could change, but what systemd and the services write while they run."""
    found = site.fingerprint(*UNUSUAL, "/etc", "/tmp")
    passing = re.compile(
        r"/var/lib/(systemd|prometheus|alertmanager|private|dbus)|/tmp/systemd-private|/var/tmp/systemd-"
        r"|/(root|home/deployer)/\.ansible"
    )
    return {path: state for path, state in found.items() if not passing.match(path)}


def test_a_reload_that_dead_endpoints_hold_up_is_waited_for(site):
    site.variables["prometheus_remote_write"] = [{"url": f"http://127.0.0.1:9/{number}"} for number in range(3)]
    site.variables["prometheus_config_flags_extra"] = {
        "storage.remote.flush-deadline": "2s",
        "rules.alert.resend-delay": "2s",
    }
    site.run().must_be_green(changed=True)
    pending = "curl -fsS http://127.0.0.1:9090/metrics | grep -c '^prometheus_remote_storage_samples_pending.* [1-9]'"
    for _second in range(30):
        if site.host.run(pending, check=False).stdout.strip() == "3":
            break
        time.sleep(1)
    pid, began = site.pid("prometheus"), time.monotonic()
    # Prometheus grants each of them its deadline, one after the other: more than this in all.
    site.variables.update(prometheus_remote_write=[], prometheus_ready_timeout=3)
    site.run().must_be_green(changed=True)
    assert site.pid("prometheus") == pid
    assert time.monotonic() - began > 6


def test_a_check_changes_nothing_on_a_bare_host(bare):
    before = everything(bare)
    outcome = bare.run("--check", "--diff").must_be_green(changed=True)
    assert "prometheus.yml" in outcome.output or "would fetch" in outcome.output
    assert everything(bare) == before


def test_a_check_changes_nothing_on_a_converged_host(site):
    """With nothing to do it would change nothing; with something to do it says what, and does not do it."""
    before, state = everything(site), site.state()
    site.run("--check", "--diff").must_be_green(changed=False)
    site.variables.update(RULE)
    outcome = site.run("--check", "--diff").must_be_green(changed=True)
    assert re.search(r"(?m)^\+ .*alert: Mine", outcome.output), outcome.output
    assert everything(site) == before
    assert site.state() == state


def test_a_umask_that_hides_everything(bare, site):
    """With a umask of 077 on the controller and on the host, the disk ends up as with any other."""
    interpreter = "/usr/local/sbin/python-with-umask"
    bare.host.run(
        f"printf '#!/bin/sh\\numask 077\\nexec /usr/bin/python3 \"$@\"\\n' >{interpreter}; chmod 755 {interpreter}"
    )
    bare.variables["ansible_python_interpreter"] = interpreter
    old = os.umask(0o077)
    try:
        bare.run().must_be_green(changed=True)
    finally:
        os.umask(old)
    assert modes(bare) == modes(site)
    bare.host.run("su -s /bin/sh nobody -c 'promtool --version && amtool --version && amtool alert query'")


def modes(site):
    """Kind, mode and owner of everything that is deployed."""
    found = site.fingerprint("/etc/systemd/system", "/etc/prometheus", "/etc/alertmanager", "/etc/amtool", "/opt")
    found |= site.fingerprint("/usr/local/bin")
    return {path: state.split()[:4] for path, state in found.items()}


def test_a_user_with_sudo(bare):
    """Somebody who is not root and may become it, with a password-less sudo, deploys the same."""
    bare.host.run(
        "useradd --create-home deployer && echo 'deployer ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/deployer"
        " && chmod 440 /etc/sudoers.d/deployer"
    )
    bare.variables["ansible_user"] = "deployer"
    # One service is enough: the modules of all are the same.
    only = ("alertmanager",)
    before = everything(bare)
    bare.run(groups=only).must_be_red("Permission denied", "Run the play with become, or as root")
    assert everything(bare) == before
    bare.variables["ansible_become"] = True
    bare.run(groups=only).must_be_green(changed=True)
    bare.run(groups=only).must_be_green(changed=False)
    left = bare.host.run("find /home/deployer /root/.ansible /tmp -user deployer -type f -not -name '.*'", check=False)
    assert left.stdout.strip() == ""
