"""Faults of an inventory and of a service: each ends before harm, or is undone, and says why."""

from __future__ import annotations

import os
import signal
import time

STATE = "/etc/prometheus /etc/alertmanager /etc/node_exporter /etc/systemd/system /usr/local/bin"


def running(site):
    """What must not change when a run stops before harm."""
    return {name: site.pid(name) for name in ("prometheus", "alertmanager", "node_exporter")}, site.fingerprint(STATE)


def test_bad_input_stops_before_harm_and_names_its_cause(site):
    site.run().must_be_green(changed=False)
    before = running(site)
    broken = [
        ({"prometheus_alert_rules": [{"alert": "Broken", "expr": "up === 0"}]}, ("could not parse expression", "Broken")),
        ({"prometheus_retention": "1d"}, ("prometheus_retention", "prometheus_storage_retention")),
        ({"prometheus_config_flags_extra": {"nonsense": "1"}}, ("does not know the flag --nonsense",)),
        ({"prometheus_config_flags_extra": {"enable-feature": "nonsense"}}, ("does not know the feature nonsense",)),
        ({"alertmanager_route": {"receiver": "nobody"}}, ("amtool", "nobody")),
        ({"alertmanager_receivers": [{"name": "default", "webhook_configs": [{"url_file": "/etc/missing"}]}]},
         ("/etc/missing", "does not exist")),
        ({"prometheus_version": "3.99.0"}, ("3.99.0",)),
    ]  # fmt: skip
    good = dict(site.variables)
    for variables, words in broken:
        site.variables = dict(good, **variables)
        site.run().must_be_red(*words)
        assert running(site) == before, variables
    site.variables = good
    site.run().must_be_green(changed=False)


def test_a_service_that_crashes_is_put_back(site):
    version, before = site.version("prometheus"), site.fingerprint("/etc/systemd/system/prometheus.service")
    site.variables["prometheus_config_flags_extra"] = {"query.timeout": "never"}
    site.run().must_be_red("prometheus.service does not do what was asked", "was put back and serves again")
    assert site.version("prometheus") == version
    assert site.fingerprint("/etc/systemd/system/prometheus.service") == before
    del site.variables["prometheus_config_flags_extra"]
    site.run().must_be_green()
    site.run().must_be_green(changed=False)


def test_what_leaves_the_inventory_leaves_the_host_and_nothing_else(site):
    site.host.run("echo 'groups: []' > /etc/prometheus/rules/theirs.yml; chmod 644 /etc/prometheus/rules/theirs.yml")
    site.variables["prometheus_targets"] = {"extra": [{"targets": ["127.0.0.1:9100"]}]}
    site.run().must_be_green(changed=True)
    assert site.host.run("ls /etc/prometheus/file_sd/extra.yml", check=False).returncode == 0
    del site.variables["prometheus_targets"]
    site.run().must_be_green(changed=True)
    assert site.host.run("ls /etc/prometheus/file_sd/extra.yml", check=False).returncode != 0
    assert site.host.run("cat /etc/prometheus/rules/theirs.yml").stdout.strip() == "groups: []"


def test_a_killed_run_is_repaired_by_the_next_one(site):
    site.variables["prometheus_storage_retention"] = "11d"
    child = site.start()
    deadline = time.monotonic() + 60
    # Killed as soon as the switch is on the disk and the service is about to be proven.
    while time.monotonic() < deadline and child.poll() is None:
        if "11d" in site.host.run("cat /etc/systemd/system/prometheus.service").stdout:
            break
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    site.host.kill()
    site.host.start()
    site.run().must_be_green()
    assert "11d" in site.host.run("tr '\\0' ' ' < /proc/$(pidof prometheus)/cmdline").stdout
    site.run().must_be_green(changed=False)
    site.host.reboot()
    site.run().must_be_green(changed=False)
