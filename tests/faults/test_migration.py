"""A host that the roles of prometheus.prometheus deployed becomes ours, with its history, targets and alerts, and nothing twice."""

from __future__ import annotations

import json
import os
import re
import time

import pytest

from lab import mirror, peers, play, venv

SERVICES = ("node_exporter", "alertmanager", "prometheus")
NODE = 'up{job="node",instance="127.0.0.1:9100"}'
TREES = ("/etc/systemd/system", "/etc/prometheus", "/etc/alertmanager", "/etc/amtool", "/usr/local/bin")


@pytest.fixture
def theirs(bare):
    """The host as the peer's roles leave it, with rules of the user's own and a target file; its inventory fits ours too."""
    peer = peers.find()
    if peer is None:
        pytest.skip(f"{peers.PEER} is not here; {peers.without()}")
    rules = bare.folder / "mine.yml"
    rules.write_text("groups: [{name: mine, rules: [{alert: Mine, expr: vector(1), labels: {severity: info}}]}]\n")
    bare.variables.update(
        prometheus_targets={"node": [{"targets": ["127.0.0.1:9100"], "labels": {"team": "core"}}]},
        prometheus_alertmanager_config=[{"static_configs": [{"targets": ["127.0.0.1:9093"]}]}],
        prometheus_alert_rules_files=[str(rules)],
        alertmanager_route={"receiver": "nobody", "group_wait": "1s"},
        alertmanager_receivers=[{"name": "nobody"}],
    )
    with mirror.serve() as served:
        for service in SERVICES:
            version = mirror.versions()[service]["new"]
            base = f"{served.url}/{service}/v{version}"
            bare.variables |= {
                f"{service}_binary_url": f"{base}/{service}-{version}.linux-{mirror.architecture()}.tar.gz",
                f"{service}_checksums_url": f"{base}/sha256sums.txt",
                f"{service}_local_cache_path": str(bare.folder / service),
            }
        playbook = bare.folder / "theirs.yml"
        roles = [{"role": f"{peers.PEER}.{service}"} for service in SERVICES]
        playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": True, "roles": roles}]))
        # Inventories of theirs name the variables' host by its own facts.
        argv = ["ansible-playbook", str(playbook), "-i", str(bare.inventory(SERVICES))]
        paths = [str(peer.folder), str(venv.collections()), os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")]
        environment = {**bare.environment(), "ANSIBLE_COLLECTIONS_PATH": ":".join(filter(None, paths))}
        play.run(argv, bare.folder, environment, 300).must_be_green(changed=True)
    for service in SERVICES:
        for name in ("binary_url", "checksums_url"):
            del bare.variables[f"{service}_{name}"]
    return bare


def ask(site, path, **form):
    """The answer of an API of Prometheus' or Alertmanager's, by the host itself."""
    port = 9093 if path.startswith("/api/v2") else 9090
    more = " ".join(f"--data-urlencode '{name}={value}'" for name, value in form.items())
    done = site.host.run(f"curl -fsS http://127.0.0.1:{port}{path} {more}", check=False).stdout
    return json.loads(done or "null")


def samples(site, since=None):
    """How many samples of the node's series there are, at a moment."""
    form = {"query": f"count_over_time({NODE}[1h])", **({"time": since} if since else {})}
    found = (ask(site, "/api/v1/query", **form) or {}).get("data", {}).get("result") or []
    return int(found[0]["value"][1]) if found else 0


def wait(condition, what, within=120):
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.3)


def alerts(site):
    """Name and labels of every alert that Alertmanager has."""
    return [alert["labels"] for alert in ask(site, "/api/v2/alerts") or []]


def test_a_host_of_the_peers_roles(theirs):
    site, host = theirs, theirs.host
    wait(lambda: samples(site) > 2, "their Prometheus scrapes nothing")
    wait(lambda: [a for a in alerts(site) if a["alertname"] == "Mine"], "their alert does not arrive")
    before = site.fingerprint(*TREES)
    pids = {service: site.pid(service) for service in SERVICES}
    assert "/etc/prometheus/rules/ansible_managed.yml" in before

    # What the adoption says beforehand is what happens afterwards; it changes nothing.
    for arguments in ((), ("--check",)):
        said = site.run(*arguments, playbook="adopt.yml").must_be_green(changed=False).output
    folded = re.sub(r"\s+", " ", said)
    assert site.fingerprint(*TREES) == before
    assert {service: site.pid(service) for service in SERVICES} == pids
    for words in (
        "prometheus_take_over: true is required",
        "remove /etc/prometheus/rules/ansible_managed.yml",
        "- alerts lost: Watchdog (warning)",
        "NodeClockNotSynchronising (warning)",
        "prometheus_rule_packs: [] for none of the packs",
        "alertmanager 127.0.0.1:9093",
        "external labels gained: replica (subject)",
    ):
        assert words in folded, said

    site.variables.update({f"{service}_take_over": True for service in SERVICES})
    # Ours does not come up: theirs is put back with all of its files, and serves.
    site.variables["prometheus_systemd_dropin"] = "[Service]\nExecStart=\nExecStart=/bin/false\n"
    failed = site.run(groups=("prometheus",))
    failed.must_be_red(
        "was restored and is healthy again", "taken over in /etc/prometheus", "rules/ansible_managed.yml"
    )
    after = site.fingerprint(*TREES)
    # Directories that were theirs may have become root's, who still lets the service in.
    assert {path: after.get(path) for path, found in before.items() if found[0] in "fl"} == {
        path: found for path, found in before.items() if found[0] in "fl"
    }
    assert site.version("prometheus") == mirror.versions()["prometheus"]["new"]
    assert (site.pid("node_exporter"), site.pid("alertmanager")) == (pids["node_exporter"], pids["alertmanager"])

    del site.variables["prometheus_systemd_dropin"]
    moment = time.time()
    old = samples(site, moment)
    done = site.run().must_be_green(changed=True)
    assert "rules/ansible_managed.yml" in done.output
    assert samples(site, moment) >= old > 2, "what was stored before is gone"
    targets = ask(site, "/api/v1/targets?state=active")["data"]["activeTargets"]
    found = sorted((target["labels"]["job"], target["labels"]["instance"]) for target in targets)
    assert len(found) == len(set(found)), "a target is scraped twice"
    assert ("node", "127.0.0.1:9100") in found
    assert {"prometheus", "node", "alertmanager"} <= {job for job, _instance in found}
    (node,) = [target for target in targets if target["labels"]["job"] == "node"]
    assert node["labels"]["team"] == "core"
    groups = ask(site, "/api/v1/rules")["data"]["groups"]
    names = [rule["name"] for group in groups for rule in group["rules"]]
    assert names.count("Watchdog") == 1
    assert names.count("Mine") == 1
    assert "ansible managed alert rules" not in [group["name"] for group in groups]
    wait(lambda: [a["alertname"] for a in alerts(site)].count("Mine") == 1, "the alert is there twice, or not at all")
    assert host.run("ls /etc/prometheus/rules").stdout.split().count("mine.yml") == 1

    site.run().must_be_green(changed=False)
    assert "0 gained, 0 lost, 0 changed" in site.run(playbook="adopt.yml").must_be_green(changed=False).output
    for service in SERVICES:
        del site.variables[f"{service}_take_over"]
    site.run().must_be_green(changed=False)
