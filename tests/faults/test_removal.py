"""What leaves the inventory leaves the host and the services; what others keep beside it stays."""

from __future__ import annotations

import json
import time

from conftest import SERVICES, TREES

FOREIGN = {
    "/etc/prometheus/rules/theirs.yml": "groups: [{name: theirs, rules: [{alert: Theirs, expr: vector(1)}]}]",
    "/etc/prometheus/file_sd/theirs.yml": "- targets: ['127.0.0.1:1']",
    "/etc/alertmanager/templates/theirs.tmpl": '{{ define "theirs" }}theirs{{ end }}',
}
# The same for what only a removal of the whole service comes near to.
BESIDE = {
    **FOREIGN,
    "/etc/systemd/system/prometheus.service.d/10-theirs.conf": "[Service]\nNice=1",
    "/opt/vigil/bin/theirs/program": "theirs",
    "/usr/local/bin/theirs": "theirs",
    "/var/lib/prometheus/theirs": "theirs",
}


def put(site, files):
    """Put somebody else's files on the host; directories for them are made where there are none."""
    for path, content in files.items():
        site.host.run(f"mkdir -p $(dirname {path}); cat >{path}; chmod 644 {path}", stdin=content + "\n")


def api(site, port, path):
    """What a service's own interface says."""
    return json.loads(site.host.run(f"curl -fsS http://127.0.0.1:{port}{path}").stdout)


def alerts(site):
    """The names of the alerts that Prometheus has loaded."""
    groups = api(site, 9090, "/api/v1/rules")["data"]["groups"]
    return {rule["name"] for group in groups for rule in group["rules"]}


def targets(site):
    """The addresses that Prometheus scrapes, as it discovered them."""
    found = api(site, 9090, "/api/v1/targets")["data"]["activeTargets"]
    return {target["discoveredLabels"]["__address__"] for target in found}


def receivers(site):
    """The receivers that Alertmanager has loaded."""
    return {receiver["name"] for receiver in api(site, 9093, "/api/v2/receivers")}


def test_rules_targets_and_templates_go_with_the_inventory(site):
    put(site, FOREIGN)
    groups = ("alertmanager", "prometheus")
    (site.folder / "ours.yml").write_text("groups: [{name: f, rules: [{alert: OfAFile, expr: vector(1)}]}]\n")
    (site.folder / "ours.tmpl").write_text('{{ define "ours" }}ours{{ end }}\n')
    (site.folder / "statics.yml").write_text("- targets: ['127.0.0.1:9100']\n  labels: {of: statics}\n")
    plain = dict(site.variables)
    site.variables.update(
        prometheus_rule_packs=[],
        prometheus_alert_rules=[{"alert": "OfTheInventory", "expr": "vector(1)"}],
        prometheus_alert_rules_files=[str(site.folder / "ours.yml")],
        prometheus_targets={"extra": [{"targets": ["localhost:9090"]}]},
        prometheus_static_targets_files=[str(site.folder / "statics.yml")],
        prometheus_scrape_configs=[
            {"job_name": "s", "file_sd_configs": [{"files": ["/etc/prometheus/file_sd/statics.yml"]}]}
        ],
        alertmanager_template_files=[str(site.folder / "ours.tmpl")],
        alertmanager_receivers=[{"name": "default"}, {"name": "extra"}],
    )
    site.run(groups=groups).must_be_green(changed=True)
    files = (
        "/etc/prometheus/rules/ours.yml",
        "/etc/prometheus/file_sd/extra.yml",
        "/etc/prometheus/file_sd/statics.yml",
        "/etc/alertmanager/templates/ours.tmpl",
    )
    present = site.fingerprint("/etc/prometheus", "/etc/alertmanager")
    assert not [path for path in (*files, *FOREIGN) if path not in present]
    assert alerts(site) == {"OfTheInventory", "OfAFile", "Theirs"}
    assert {"localhost:9090", "127.0.0.1:9100"} <= targets(site)
    assert receivers(site) == {"default", "extra"}
    pids = {service: site.pid(service) for service in SERVICES}

    site.variables = plain
    began = time.time()
    told = "history {0} under the old name: job extra is gone (localhost:9090)"
    assert told.format("would end") in site.run("--check", groups=groups).must_be_green(changed=True).output
    assert told.format("ends") in site.run(groups=groups).must_be_green(changed=True).output
    after = site.fingerprint("/etc/prometheus", "/etc/alertmanager")
    assert not [path for path in files if path in after]
    assert {path: after.get(path) for path in FOREIGN} == {path: present[path] for path in FOREIGN}
    assert alerts(site) >= {"Theirs", "Watchdog"}
    assert not alerts(site) & {"OfTheInventory", "OfAFile"}
    assert not targets(site) & {"localhost:9090", "127.0.0.1:9100"}
    assert receivers(site) == {"default"}
    # Alertmanager does not tell its templates, but when it read them.
    metrics = site.host.run("curl -fsS http://127.0.0.1:9093/metrics").stdout
    reloaded = next(
        line for line in metrics.splitlines() if line.startswith("alertmanager_config_last_reload_success_t")
    )
    assert float(reloaded.split()[1]) >= began
    # All of this takes reloads, no restart.
    assert {service: site.pid(service) for service in SERVICES} == pids
    assert "under the old name" not in site.run(groups=groups).must_be_green(changed=False).output


def test_absent_leaves_the_data_and_what_is_not_ours(site, bare):
    untouched = bare.fingerprint(*TREES)
    put(site, BESIDE)
    theirs = site.fingerprint(*BESIDE)
    data = site.fingerprint("/var/lib/prometheus", "/var/lib/alertmanager")
    site.variables.update({f"{service}_state": "absent" for service in SERVICES})
    site.run("--check").must_be_green(changed=True)
    assert all(site.serves(service) for service in SERVICES)
    site.run().must_be_green(changed=True)

    for service in SERVICES:
        shown = site.host.run(f"systemctl show {service} -p LoadState,ActiveState,UnitFileState").stdout.split()
        assert set(shown) == {"LoadState=not-found", "ActiveState=inactive", "UnitFileState="}
        assert not site.serves(service)
    left = site.fingerprint(*TREES)
    # What was not on a bare host, but for the directories which others' files need: just those files.
    added = {path: found for path, found in left.items() if path not in untouched}
    assert {path for path, found in added.items() if found[0] != "d"} == {
        path for path in BESIDE if "/var/lib" not in path
    }
    needed = {path for path, found in added.items() if found[0] == "d"}
    assert all(any(file.startswith(path + "/") for file in BESIDE) for path in needed), needed
    assert {path: left.get(path) for path in untouched} == untouched
    assert site.fingerprint(*BESIDE) == theirs
    kept = site.fingerprint("/var/lib/prometheus", "/var/lib/alertmanager")
    assert "/var/lib/prometheus/wal" in kept
    assert [path for path in kept if "nflog" in path or "silences" in path] or not data.get(
        "/var/lib/alertmanager/nflog"
    )
    site.run().must_be_green(changed=False)

    site.variables.update({f"{service}_purge_data": True for service in SERVICES})
    site.run().must_be_green(changed=True)
    assert not site.fingerprint("/var/lib/prometheus", "/var/lib/alertmanager", "/var/lib/node_exporter")
    site.run().must_be_green(changed=False)
