# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account of a service was broken into, and puts links, second names, FIFOs and a journal of its own wherever it can
write, before, during and after runs. Each run converges or ends naming what it found, and root's own stays as it was.
"""

from __future__ import annotations

import contextlib

import pytest
from conftest import Containers, Site, base_variables, snapshot, started
from test_rollback import CRASHES, VERSION, publish

from lab import hosts, mirror

SERVICES = ("node_exporter", "blackbox_exporter", "alertmanager", "prometheus")
# The user made these before the first run, for other tools of his that run as the service.
SHARED = "/etc/prometheus /etc/alertmanager /etc/blackbox_exporter"
TEXTS = "/var/lib/node_exporter/texts"
# What a run rightly changes, and what nobody minds: what Python and Ansible keep for themselves.
OURS = (
    *(f"/etc/{name}" for name in (*SERVICES, "grafana", "amtool")),
    "/etc/systemd/system",
    "/opt/vigil",
    "/usr/local/bin",
    "/root/.ansible",
    "*/__pycache__",
)


def account(site: Site, user: str, script: str) -> None:
    """Do something as a service's account."""
    site.host.run(f"setpriv --reuid {user} --regid {user} --init-groups sh -e", stdin=script)


def precious(site: Site) -> dict[str, str]:
    """What is root's and none of the services': path -> kind, mode, owner and content. And whatever is not root's among ours."""
    apart = " -o ".join(f"-path '{path}'" for path in OURS)
    where = f"find /etc /usr /root /opt \\( {apart} \\) -prune -o"
    lines = site.host.run(f"{where} -printf '%p\\t%y %m %u %g %l\\n'").stdout.splitlines()
    lines += site.host.run(
        "find /etc/systemd /opt /usr/local ! -user root -printf '%p\\t%y %m %u\\n'"
    ).stdout.splitlines()
    found = dict(line.split("\t") for line in lines)
    for line in site.host.run(f"{where} -type f -exec sha256sum {{}} +", timeout=120).stdout.splitlines():
        digest, path = line.split("  ", 1)
        found[path] += digest
    units = "ls /etc/systemd/system /etc/systemd/system/*.wants /root"
    return {
        **found,
        "units": site.host.run(f"{units} | grep -v -e exporter -e prometheus -e alertmanager -e grafana").stdout,
    }


@contextlib.contextmanager
def exchanging(site: Site, **folders: str):
    """For as long as this lasts, accounts exchange each a directory of theirs for a link to a directory of root's."""
    try:
        for user, folder in folders.items():
            loop = f"while test ! -e /tmp/enough; do mv {folder} {folder}.away && ln -s /etc/systemd/system {folder}; "
            loop += f"rm -f {folder}; mv -T {folder}.away {folder}; done"
            start = f"setpriv --reuid {user} --regid {user} --init-groups sh -c '{loop}' >/dev/null 2>&1 &"
            site.host.run(f"rm -f /tmp/enough; {start}")
        yield
    finally:
        site.host.run("touch /tmp/enough; sleep 0.5")
        for folder in folders.values():
            # A run may have made the directory anew, and filled it, while the account had it elsewhere.
            site.host.run(f"if test -d {folder}.away; then rm -rf {folder}; mv -T {folder}.away {folder}; fi")


def remove(site: Site) -> None:
    """Remove everything: that nothing is left to verify is as specified."""
    outcome = site.run().must_be_green()
    assert "nothing has to be verified" in outcome.output, outcome.output


@pytest.fixture
def shared(bare):
    """A host whose user lets the services' accounts write into their configuration directories."""
    bare.groups = SERVICES
    bare.variables.update(
        node_exporter_textfile_dir=TEXTS,
        blackbox_exporter_version=mirror.versions()["blackbox_exporter"]["new"],
        prometheus_rule_packs=[],
        prometheus_alert_rules=[{"alert": "First", "expr": "vector(0)"}],
    )
    for name in SERVICES:
        user = {"node_exporter": "node-exp", "blackbox_exporter": "blackbox-exp"}.get(name, name)
        bare.variables[f"{name}_system_user"] = bare.variables[f"{name}_system_group"] = user
        bare.host.run(f"groupadd -r {user}; useradd -r -g {user} -M -s /usr/sbin/nologin {user}")
        if name != "node_exporter":
            bare.host.run(f"install -d -m 2775 -g {user} /etc/{name}")
            bare.host.run(f"install -d -m 2775 -g {user} /etc/{name}/rules" if name == "prometheus" else "true")
    bare.host.run("install -d -o node-exp -g node-exp /var/lib/node_exporter")
    bare.run().must_be_green(changed=True)
    return bare


def rules(site: Site, name: str) -> None:
    """Ask for another rule, so that the next run has something to do."""
    site.variables["prometheus_alert_rules"] = [{"alert": name, "expr": "vector(0)"}]


# What the account does, as whom, which role is run then, what it says; and what puts it right again.
PLANTED = {
    "a link in the place of a directory of ours": (
        "prometheus", "cd /etc/prometheus; mv rules away; ln -s /etc/systemd/system rules",
        "prometheus", "/etc/prometheus/rules is a link to /etc/systemd/system",
        "cd /etc/prometheus; rm rules; mv away rules",
    ),
    "a FIFO in the place of a file": (
        "prometheus", "cd /etc/prometheus; mv prometheus.yml away; mkfifo prometheus.yml",
        "prometheus", "/etc/prometheus/prometheus.yml is a FIFO",
        "cd /etc/prometheus; mv -f away prometheus.yml",
    ),
    "a second name of a file of root's, where the kernel lets it": (
        "root", "ln /etc/hostname.x /etc/prometheus/rules/more.yml",
        "prometheus", "/etc/prometheus/rules/more.yml has 2 names (hard links)",
        "rm /etc/prometheus/rules/more.yml",
    ),
    "a journal of its own": (
        "prometheus",
        "cd /etc/prometheus; mv .vigil away; mkdir -m 700 .vigil; echo 'touch /root/owned' >.vigil/undo;"
        " echo '{}' >.vigil/manifest.json",
        "prometheus", "/etc/prometheus/.vigil can be changed by the account prometheus",
        "cd /etc/prometheus; rm -r .vigil; mv away .vigil",
    ),
    "a link in the place of a directory that the user named": (
        "node-exp", f"mv {TEXTS} {TEXTS}.away; ln -s /etc/systemd {TEXTS}",
        "node_exporter", f"{TEXTS} is a link to /etc/systemd",
        f"rm {TEXTS}; mv {TEXTS}.away {TEXTS}",
    ),
    "a link in the place of a file": (
        "alertmanager", "cd /etc/alertmanager; mv alertmanager.yml away; ln -s /etc/shadow alertmanager.yml",
        "alertmanager", None,
        "rm /etc/alertmanager/away",
    ),
}  # fmt: skip


def test_under_systemd(shared):
    site = shared
    site.host.run("echo x >/etc/hostname.x; chmod 600 /etc/hostname.x")
    before = precious(site)
    for name, (user, plant, role, words, mend) in PLANTED.items():
        rules(site, "Second")
        account(site, user, plant)
        outcome = site.run("--diff", groups=(role,))
        if words:
            outcome.must_be_red(words)
        else:
            outcome.must_be_green(changed=True)
        assert "root:" not in outcome.output, name
        # The unit's own start meets it, too.
        site.host.run(f"systemctl restart {role}", check=False)
        site.host.run(mend)
        assert precious(site) == before, name
    site.host.run(f"systemctl restart {' '.join(SERVICES)}")
    site.run().must_be_green(changed=True)

    # While directories are exchanged all the time, runs end well or say why.
    with exchanging(site, prometheus="/etc/prometheus/rules", **{"node-exp": TEXTS}):
        rules(site, "Third")
        site.run(groups=("prometheus",))
        site.variables["node_exporter_textfile_dir"] = f"{TEXTS}/more"
        site.run(groups=("node_exporter",))
        site.variables["node_exporter_textfile_dir"] = TEXTS
        assert precious(site) == before
        # Also where the new release does not come up, and all goes back.
        publish(site, "prometheus", CRASHES)
        site.run(groups=("prometheus",)).must_be_red()
        assert precious(site) == before
    site.variables["prometheus_version"] = mirror.versions()["prometheus"]["new"]
    del site.variables["prometheus_release_mirror"]
    site.run().must_be_green()
    assert site.serves("prometheus", within=20)
    assert site.version("prometheus") != VERSION

    # A removal takes the data, and nothing that the data leads to.
    data = {"prometheus": "/var/lib/prometheus", "alertmanager": "/var/lib/alertmanager", "node-exp": TEXTS}
    for user, folder in data.items():
        account(site, user, f"cd {folder}; mkdir -p d/d; ln -s /etc d/etc; ln -s /root/.. d/d/root; mkfifo d/fifo")
    site.variables.update({f"{name}_state": "absent" for name in SERVICES})
    # The blackbox_exporter keeps no data.
    site.variables.update({f"{name}_purge_data": True for name in SERVICES if name != "blackbox_exporter"})
    with exchanging(site, alertmanager="/var/lib/alertmanager/d"):
        site.run()
    remove(site)
    assert site.host.run(f"ls -d {' '.join(data.values())}", check=False).stdout == ""
    assert precious(site) == before


def test_grafana(bare, grafana_versions):
    site = bare
    site.groups = ("grafana",)
    site.variables.update(
        grafana_version=grafana_versions[0],
        grafana_ready_timeout=60,
        grafana_security={"admin_password": "vigil-sentinel-admin-1"},
    )
    site.run().must_be_green(changed=True)
    site.host.run("echo x >/etc/hostname.x; chmod 600 /etc/hostname.x; mkdir -p /etc/theirs")
    before = precious(site)
    for plant, words in (
        ("rmdir plugins; ln -s /etc/systemd/system plugins", "plugins is a link to /etc/systemd/system"),
        ("rm plugins; mkfifo plugins", "plugins has to be a directory, and a FIFO stands there"),
    ):
        account(site, "grafana", f"cd /var/lib/grafana; {plant}")
        site.run().must_be_red("/var/lib/grafana/" + words)
        assert precious(site) == before
    account(site, "grafana", "cd /var/lib/grafana; rm plugins; ln -s /etc/theirs theirs")
    site.run()
    assert precious(site) == before
    with exchanging(site, grafana="/var/lib/grafana/plugins"):
        site.variables["grafana_ini"] = {"analytics": {"reporting_enabled": False}}
        site.run()
        assert precious(site) == before
    site.variables.update(grafana_state="absent", grafana_purge_data=True)
    remove(site)
    assert site.host.run("ls -d /var/lib/grafana", check=False).stdout == ""
    assert precious(site) == before


def test_in_containers(tmp_path):
    image = snapshot("trixie-docker", tmp_path)
    with hosts.host("trixie-docker", group="fault", image=image) as host:
        site = started(Containers(host, tmp_path, base_variables(docker=True)))
        user = host.run("stat -c %U /var/lib/node_exporter").stdout.strip()
        before, processes = precious(site), site.processes()
        # The engine would make what is missing, as root, wherever the account has it lead.
        account(site, user, "ln -s /etc/systemd/system /var/lib/node_exporter/texts")
        for folder in ("/var/lib/node_exporter/texts", "/var/lib/node_exporter/texts/more"):
            site.variables["node_exporter_textfile_dir"] = folder
            site.run(groups=("node_exporter",)).must_be_red("/var/lib/node_exporter/texts is a link to")
        site.variables["node_exporter_textfile_dir"] = "/var/lib/node_exporter/other"
        site.run(groups=("node_exporter",)).must_be_red("cannot be mounted into the container", "the account " + user)
        assert (precious(site), site.processes()) == (before, processes)
        del site.variables["node_exporter_textfile_dir"]

        account(
            site, "prometheus", "cd /var/lib/prometheus; mkdir -p d; ln -s /etc d/etc; mkfifo d/fifo; ln -s /root r"
        )
        site.variables.update({f"{name}_state": "absent" for name in site.groups})
        site.variables.update({f"{name}_purge_data": True for name in site.groups})
        remove(site)
        assert host.run("ls -d /var/lib/prometheus /var/lib/node_exporter", check=False).stdout == ""
        assert precious(site) == before
