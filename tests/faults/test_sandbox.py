"""The sandbox of the services: how exposed systemd says they are, and what of a hidden directory is let through."""

from __future__ import annotations

import re

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._unit import unit_text

from lab.common import ROOT


@pytest.mark.parametrize("bare", ["bookworm", "trixie"], indirect=True)
def test_exposure_of_every_unit_on_a_host(bare):
    """As the systemd of each supported Debian rates it; docs/security.md has those that may be above 1.5."""
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    exceptions = {unit: float(most) for unit, most in re.findall(r"(?m)^\| (\w+) \| (\d\.\d) \| \S", page)}
    for name in _rooms.names():
        defaults = (ROOT / "roles" / name / "defaults" / "main.yml").read_text(encoding="utf-8")
        (account,) = re.findall(rf"(?m)^{name}_system_(?:user|group): (\w[\w-]*)$", defaults)
        service = {"User": account, "Group": account, "ExecStart": ["/bin/true"], "Type": "exec"}
        text = unit_text({"Unit": {"Description": name}, "Service": service}, _rooms.load(name).hardening)
        bare.host.run(f"mkdir -p /srv/units && cat >/srv/units/{name}.service", stdin=text)
        command = f"cd /srv/units && systemd-analyze security --offline=true --no-pager ./{name}.service"
        level = re.search(r"exposure level for .*: ([0-9.]+)", bare.host.run(command, check=False).stdout)
        assert level, name
        assert float(level[1]) <= exceptions.get(name, 1.5), name


def test_data_tokens_and_directories_below_home(bare):
    host = bare.host
    host.run(
        "mkdir -p /home/ann /home/shared; echo secret >/home/ann/private; echo token >/home/tok;"
        " chmod 755 /home/ann; chmod 644 /home/tok /home/ann/private"
    )
    bare.variables.update(
        prometheus_db_dir="/home/prom/data",
        prometheus_read_only_dirs=["/home/shared"],
        prometheus_scrape_configs=[
            {
                "job_name": "guarded",
                "authorization": {"credentials_file": "/home/tok"},
                "static_configs": [{"targets": ["127.0.0.1:9090"]}],
            }
        ],
    )
    only = {"groups": ("prometheus",)}
    outcome = bare.run(**only).must_be_green(changed=True)
    assert "2/2" in outcome.output, outcome.output
    # As the service sees it: what it was given, and nobody else's files.
    seen = f"nsenter -t {bare.pid('prometheus')} -m"
    assert host.run(f"{seen} cat /home/tok").stdout == "token\n"
    assert host.run(f"{seen} ls /home").stdout.split() == ["prom", "shared", "tok"]
    assert host.run("ls /home/prom/data").stdout
    bare.run(**only).must_be_green(changed=False)
