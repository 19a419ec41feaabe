"""A reboot: everything comes up by itself, in the state in which it was verified; and how well the units are hardened."""

from __future__ import annotations

import re

import pytest
from conftest import SERVICES, TREES

EXPOSURE = {"prometheus": 1.5, "alertmanager": 1.5, "node_exporter": 2.5}


@pytest.mark.parametrize("site", ["trixie", "bookworm"], indirect=True)
def test_everything_is_up_after_a_reboot_and_hardened(site):
    before = {service: site.version(service) for service in SERVICES}
    files = site.fingerprint(*TREES)
    site.host.reboot()
    assert all(site.serves(service, within=60) for service in SERVICES)
    assert {service: site.version(service) for service in SERVICES} == before
    assert (
        site.host.run(
            "systemctl --failed --plain --no-legend | grep -E 'prometheus|alertmanager|node_exp'", check=False
        ).stdout
        == ""
    )
    site.run().must_be_green(changed=False)
    after = site.fingerprint(*TREES)
    records = {path for path in files if path.endswith("/.vigil/proven.json")}
    assert len(records) == len(SERVICES)
    assert {path: found for path, found in after.items() if path not in records} == {
        path: found for path, found in files.items() if path not in records
    }
    for service, limit in EXPOSURE.items():
        said = site.host.run(f"systemd-analyze security --no-pager {service}.service", check=False).stdout
        exposure = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)[1])
        assert exposure <= limit, said
