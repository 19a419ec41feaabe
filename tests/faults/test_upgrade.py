"""From the older releases to the newer ones and back: the data stays, one earlier release is kept, a downgrade asks."""

from __future__ import annotations

import json
import time

from conftest import SERVICES

from lab import mirror


def query(site, expression):
    """The result of an instant query."""
    done = site.host.run(f"curl -fsS --data-urlencode 'query={expression}' http://127.0.0.1:9090/api/v1/query")
    return json.loads(done.stdout)["data"]["result"]


def silences(site):
    """The comments of Alertmanager's silences."""
    return [
        entry["comment"]
        for entry in json.loads(site.host.run("curl -fsS http://127.0.0.1:9093/api/v2/silences").stdout)
    ]


def releases(site, service):
    """The releases of a service that are on the host."""
    return sorted(site.host.run(f"ls /opt/vigil/bin | grep '^{service}-'").stdout.split())


def test_an_upgrade_keeps_the_data_and_the_earlier_release(old_site):
    site, versions = old_site, mirror.versions()
    old = {service: versions[service]["old"] for service in SERVICES}
    new = {service: versions[service]["new"] for service in SERVICES}
    assert {service: site.version(service) for service in SERVICES} == old
    site.host.run(
        "amtool --alertmanager.url=http://127.0.0.1:9093 silence add --author=test --comment='kept over the upgrade'"
        " --duration=2h alertname=Nothing; echo 'kept_over_the_upgrade 7' >/var/lib/node_exporter/kept.prom"
    )
    # A series that only the old release has: its own version.
    mine = f'last_over_time(prometheus_build_info{{version=~"{old["prometheus"]}.*"}}[1h])'
    deadline = time.monotonic() + 30
    while not query(site, mine):
        assert time.monotonic() < deadline, "the old Prometheus does not scrape itself"
        time.sleep(1)
    account = site.host.run("stat -c '%U:%G %a' /var/lib/prometheus /var/lib/alertmanager").stdout

    site.run().must_be_green(changed=True)

    assert {service: site.version(service) for service in SERVICES} == new
    assert query(site, mine)
    assert "kept over the upgrade" in silences(site)
    assert "kept_over_the_upgrade 7" in site.host.run("curl -fsS http://127.0.0.1:9100/metrics").stdout
    assert site.host.run("stat -c '%U:%G %a' /var/lib/prometheus /var/lib/alertmanager").stdout == account
    for service in SERVICES:
        assert releases(site, service) == sorted([f"{service}-{old[service]}", f"{service}-{new[service]}"])
    site.run().must_be_green(changed=False)


def test_a_downgrade_of_prometheus_across_its_storage_format_asks_first(site):
    old, new = mirror.versions()["prometheus"]["old"], mirror.versions()["prometheus"]["new"]
    pid = site.pid("prometheus")
    site.variables["prometheus_version"] = old
    # Also to one who does not let the service run on, the data says who wrote it.
    site.run(groups=("prometheus",)).must_be_red(
        "prometheus was not changed", f"the data was written by prometheus {new}", "prometheus_allow_downgrade: true"
    )
    assert (site.version("prometheus"), site.pid("prometheus")) == (new, pid)

    site.variables["prometheus_allow_downgrade"] = True
    site.run(groups=("prometheus",)).must_be_green(changed=True)
    assert site.version("prometheus") == old
    site.run(groups=("prometheus",)).must_be_green(changed=False)

    # Up again, and once more there is data that the old one cannot read.
    site.variables.update(prometheus_version=new, prometheus_allow_downgrade=False)
    site.run(groups=("prometheus",)).must_be_green(changed=True)
    assert releases(site, "prometheus") == [f"prometheus-{old}", f"prometheus-{new}"]
    site.variables["prometheus_version"] = old
    site.run(groups=("prometheus",)).must_be_red("a downgrade was refused")
    assert site.version("prometheus") == new
