"""What others put on the host: files, links and units in the way, whole services to be taken over, and programs that
the distribution or the image brought along."""

from __future__ import annotations

import time

import pytest

from lab import mirror
from lab.common import run


def put(host, path, text, mode="644"):
    host.run(f"mkdir -p $(dirname {path}) && cat >{path} && chmod {mode} {path}", stdin=text)


def rule_file(site):
    """A rule file on the controller, and the variables that deploy it as `rules/mine.yml`."""
    path = site.folder / "mine.yml"
    path.write_text("groups: [{name: mine, rules: [{alert: Mine, expr: vector(1)}]}]\n")
    return {"prometheus_alert_rules_files": [str(path)]}


# What stands in the way: shell commands that put it there and that take it away, variables, words of the message.
WAYS = {
    "a file of the configuration": (
        "echo 'groups: []' >/etc/prometheus/rules/mine.yml",
        "rm /etc/prometheus/rules/mine.yml",
        rule_file,
        [
            "/etc/prometheus/rules/mine.yml was not written by this collection",
            "move it away",
            "prometheus_take_over: true",
        ],
    ),
    "a link in place of a file of the configuration": (
        "ln -s /etc/hostname /etc/prometheus/rules/mine.yml",
        "rm /etc/prometheus/rules/mine.yml",
        rule_file,
        ["/etc/prometheus/rules/mine.yml was not written by this collection", "prometheus_take_over: true"],
    ),
    "a directory in place of a file of the configuration": (
        "mkdir /etc/prometheus/rules/mine.yml",
        "rmdir /etc/prometheus/rules/mine.yml",
        rule_file,
        ["/etc/prometheus/rules/mine.yml is a directory where a file is required; move it away"],
    ),
    "a program in place of our link": (
        "rm /usr/local/bin/promtool; printf '#!/bin/sh\\n' >/usr/local/bin/promtool",
        "rm /usr/local/bin/promtool",
        lambda site: {},
        ["/usr/local/bin/promtool was not written by this collection", "prometheus_take_over: true"],
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_something_in_the_way(shared_site, monkeypatch, way):
    put_there, take_away, variables, words = WAYS[way]
    monkeypatch.setattr(shared_site, "variables", {**shared_site.variables, **variables(shared_site)})
    shared_site.host.run(put_there)
    before = shared_site.state()
    shared_site.run(groups=("prometheus",)).must_be_red(*words)
    assert shared_site.state() == before
    shared_site.host.run(take_away)


def test_when_it_is_out_of_the_way_the_next_run_is_green(shared_site):
    shared_site.variables.update(rule_file(shared_site))
    shared_site.run(groups=("prometheus",)).must_be_green(changed=True)
    rules = shared_site.host.run("curl -fsS http://127.0.0.1:9090/api/v1/rules").stdout
    assert '"name":"Mine"' in rules
    shared_site.host.run("promtool --version")


def test_a_unit_in_the_way_and_a_masked_one(bare):
    unit, only = "/etc/systemd/system/node_exporter.service", ("node_exporter",)
    put(bare.host, unit, "[Service]\nExecStart=/bin/sleep infinity\n")
    bare.host.run("systemctl daemon-reload; systemctl start node_exporter")
    before = bare.fingerprint("/etc/systemd"), bare.pid("node_exporter")
    bare.run(groups=only).must_be_red(
        "node_exporter was not changed", f"{unit} is another tool's unit", "node_exporter_take_over: true"
    )
    assert (bare.fingerprint("/etc/systemd"), bare.pid("node_exporter")) == before
    bare.host.run(f"systemctl stop node_exporter; rm {unit}; systemctl mask node_exporter")
    before = bare.fingerprint("/etc/systemd")
    bare.run(groups=only).must_be_red(f"{unit} masks the service", "node_exporter_take_over: true")
    assert bare.fingerprint("/etc/systemd") == before
    bare.host.run("systemctl unmask node_exporter")
    bare.run(groups=only).must_be_green(changed=True)
    bare.run(groups=only).must_be_green(changed=False)


UNIT = """[Unit]
Description=Prometheus, as somebody else deployed it
[Service]
User=prometheus
ExecStart=/usr/local/bin/prometheus --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/var/lib/prometheus
ExecReload=/bin/kill -HUP $MAINPID
[Install]
WantedBy=multi-user.target
"""
CONFIG = """global: {scrape_interval: 1s}
scrape_configs: [{job_name: theirs, static_configs: [{targets: ['localhost:9090']}]}]
"""
COUNT = "curl -fsS http://127.0.0.1:9090/api/v1/query --data-urlencode 'query=count_over_time(up{job=\"theirs\"}[1h])'"


def unpack(host, program, age, folder):
    """Put the programs of one of the mirror's releases into a folder of the host."""
    version = mirror.versions()[program][age]
    (archive,) = (mirror.path() / program / f"v{version}").glob("*.tar.gz")
    run(["docker", "cp", str(archive), f"{host.name}:/root/release.tar.gz"])
    host.run(f"mkdir -p {folder}; tar -xzf /root/release.tar.gz -C {folder} --no-same-owner --strip-components=1")


def test_a_service_that_another_tool_deployed(bare):
    """It is refused, restored where ours does not come up, and taken over with its data where take_over is set."""
    host, only = bare.host, ("prometheus",)
    host.run("useradd --system --shell /usr/sbin/nologin prometheus")
    unpack(host, "prometheus", "old", "/usr/local/bin")
    put(host, "/etc/prometheus/prometheus.yml", CONFIG)
    put(host, "/etc/systemd/system/prometheus.service", UNIT)
    host.run("mkdir /var/lib/prometheus && chown prometheus: /var/lib/prometheus")
    host.run("systemctl daemon-reload && systemctl enable --now prometheus")
    deadline = time.monotonic() + 60
    while '"value"' not in host.run(COUNT, check=False).stdout:
        assert time.monotonic() < deadline, "their Prometheus scrapes nothing"
        time.sleep(0.3)

    def found():
        state = bare.fingerprint("/etc/systemd", "/etc/prometheus/prometheus.yml", "/usr/local")
        # Where a drop-in was put back, its directory may stay, and says nothing while it is empty.
        state.pop("/etc/systemd/system/prometheus.service.d", None)
        return state

    theirs = found()
    pid = bare.pid("prometheus")

    bare.run(groups=only).must_be_red("/etc/prometheus/prometheus.yml was not written by this collection", "take_over")
    assert found() == theirs
    assert bare.pid("prometheus") == pid

    bare.variables["prometheus_take_over"] = True
    bare.variables["prometheus_systemd_dropin"] = "[Service]\nExecStart=\nExecStart=/bin/false\n"
    bare.run(groups=only).must_be_red("prometheus.service failed verification", "was restored and is healthy again")
    assert found() == theirs
    assert bare.version("prometheus") == mirror.versions()["prometheus"]["old"]

    del bare.variables["prometheus_systemd_dropin"]
    bare.run(groups=only).must_be_green(changed=True)
    assert bare.version("prometheus") == mirror.versions()["prometheus"]["new"]
    assert '"value"' in host.run(COUNT).stdout, "what was stored before is gone"
    bare.run(groups=only).must_be_green(changed=False)
    del bare.variables["prometheus_take_over"]
    bare.run(groups=only).must_be_green(changed=False)


def test_programs_that_are_there_already(bare):
    """What an image brought along is used where it is, in whatever version; where it is not, that is said."""
    programs = ("prometheus", "alertmanager", "node_exporter")
    for program in programs:
        unpack(bare.host, program, "old", "/srv/monitoring")
        bare.variables[f"{program}_install_method"] = "preinstalled"
        bare.variables[f"{program}_preinstalled_path"] = "/srv/monitoring"
    bare.variables["node_exporter_preinstalled_path"] = "/srv/nowhere/node_exporter"
    bare.run().must_be_red(
        "/srv/nowhere/node_exporter: no such executable on this host", "node_exporter_preinstalled_path"
    )
    bare.variables["node_exporter_preinstalled_path"] = "/srv/monitoring/node_exporter"
    bare.run().must_be_green(changed=True)
    for program in programs:
        assert bare.version(program) == mirror.versions()[program]["old"]
        assert bare.host.run(f"readlink /proc/{bare.pid(program)}/exe").stdout.startswith("/srv/monitoring/")
    assert bare.host.run("ls /opt/vigil /usr/local/bin", check=False).stdout.split() in ([], ["/usr/local/bin:"])
    bare.run().must_be_green(changed=False)


def test_programs_of_the_distribution(bare):
    """Debian's packages, whose own units neither start nor come back: ours runs what they brought."""
    bare.variables.update(
        {f"{name}_install_method": "package" for name in ("prometheus", "alertmanager", "node_exporter")}
    )
    bare.run().must_be_green(changed=True)
    for name in ("prometheus", "alertmanager", "node_exporter"):
        path = bare.host.run(f"readlink /proc/{bare.pid(name)}/exe").stdout.strip()
        assert path == {"prometheus": "/usr/bin/prometheus"}.get(name, f"/usr/bin/prometheus-{name.replace('_', '-')}")
        fragment = bare.host.run(f"systemctl show -P FragmentPath {name}").stdout.strip()
        assert fragment == f"/etc/systemd/system/{name}.service"
    for unit in ("prometheus-alertmanager", "prometheus-node-exporter"):
        assert bare.host.run(f"systemctl is-enabled {unit}", check=False).stdout.strip() == "masked"
    bare.run().must_be_green(changed=False)
    bare.host.reboot()
    bare.run().must_be_green()
