"""What version 0.2.0 of the collection deployed, deployed again with today's: recognised, with its data, in one run.

Every unit says more today than it did then, so each service restarts once; what runs in containers as it did is left alone.
"""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from conftest import SERVICES, Site, base_variables
from test_upgrade import query, silences

from lab import containers, hosts, play
from lab.common import ROOT, untar

# The last commit of 0.2.0.
BEFORE = "40f6ef6"


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The collection as it was, laid out as Ansible finds it; skipped where the clone lacks its commit."""
    folder = tmp_path_factory.mktemp("before")
    home = folder / "ansible_collections" / "vigil" / "monitoring"
    home.mkdir(parents=True)
    archive = folder / "before.tar"
    made = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "--output", str(archive), BEFORE],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(
            f"SKIPPED: this clone lacks the commit of 0.2.0 ({BEFORE}); fetch the whole history to run this test"
        )
    untar(archive, home)
    return folder


@pytest.mark.parametrize("suite", ["trixie", "trixie-docker"])
def test_a_deployment_of_the_release_before_is_recognised(before, tmp_path, suite):
    docker = suite.endswith("docker")
    with hosts.host(suite, group="fault") as host:
        site = Site(host, tmp_path, base_variables(docker=docker))
        if docker:
            host.load(*(containers.image(service, "new") for service in SERVICES))
        home = before / "ansible_collections" / "vigil" / "monitoring"
        environment = {
            **site.environment(),
            "ANSIBLE_COLLECTIONS_PATH": ":".join([str(before), os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")]).rstrip(
                ":"
            ),
            "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
        }
        command = site.command()
        command[1] = str(home / "site.yml")
        play.run(command, tmp_path, environment, 300).must_be_green(changed=True)
        host.run(
            "amtool --alertmanager.url=http://127.0.0.1:9093 silence add --author=test --comment='kept' --duration=2h a=b"
            if not docker
            else "docker exec alertmanager amtool --alertmanager.url=http://127.0.0.1:9093 silence add --author=test"
            " --comment='kept' --duration=2h a=b"
        )
        (first,) = query(site, "min(prometheus_tsdb_lowest_timestamp_seconds)") or [None]
        identities = {name: identity(site, name, docker) for name in SERVICES}

        checked = site.run("--check").must_be_green()
        assert "failed=0" in checked.output
        outcome = site.run().must_be_green(changed=True)
        assert f"{len(SERVICES)} of {len(SERVICES)} services" in outcome.output

        assert "kept" in silences(site)
        assert query(site, "min(prometheus_tsdb_lowest_timestamp_seconds)")[0]["value"][1] == first["value"][1]
        now = {name: identity(site, name, docker) for name in SERVICES}
        for name in SERVICES:
            if docker and now[name] == identities[name]:
                continue  # left alone
            assert now[name], name
        site.run().must_be_green(changed=False)
        assert {name: identity(site, name, docker) for name in SERVICES} == now


def identity(site, service, docker):
    """What tells one process of a service from the next."""
    if docker:
        done = site.host.run(f"docker container inspect {service}", check=False)
        return json.loads(done.stdout)[0]["State"]["Pid"] if done.returncode == 0 else None
    return site.pid(service)
