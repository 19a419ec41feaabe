# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""process_exporter on a real host: it sees the processes of others, and a group that is gone is an alert.

One host for all tests, in the order in which they stand.
"""

from __future__ import annotations

import time

import pytest
from conftest import Site, base_variables

from lab import containers, hosts, mirror

pytestmark = pytest.mark.xdist_group("process_exporter")

ALONE = ("process_exporter",)
METRICS = "curl -fsS http://127.0.0.1:9256/metrics"


@pytest.fixture(scope="module")
def host():
    if not mirror.versions()["process_exporter"]["new"]:
        pytest.skip("SKIPPED: process_exporter could not be built for the lab's release mirror")
    with hosts.host("trixie-docker", group="fault") as made:
        made.load(containers.image("process_exporter"))
        yield made


@pytest.fixture
def site(host, tmp_path):
    variables = {
        **base_variables(),
        "process_exporter_version": mirror.versions()["process_exporter"]["new"],
        "process_exporter_ready_timeout": 20,
        "process_exporter_names": "- comm: [systemd-journal]\n  name: journal\n- comm: [process-exporte]\n",
        "prometheus_thresholds": {
            "ProcessGroupDown": {"processes": ["journal", "never-started"], "critical": {"for": "0s"}}
        },
    }
    return Site(host, tmp_path, variables, (*ALONE, "prometheus"))


def seen(site: Site) -> str:
    return site.host.run(METRICS).stdout


def test_it_sees_the_processes_of_others_and_the_alert_names_the_group_that_is_missing(site):
    site.run().must_be_green(changed=True)
    assert 'namedprocess_namegroup_num_procs{groupname="journal"} 1' in seen(site)
    deadline, answer = time.monotonic() + 60, ""
    while "never-started" not in answer and time.monotonic() < deadline:
        time.sleep(1)
        answer = site.host.run("curl -fsS http://127.0.0.1:9090/api/v1/alerts").stdout
    assert '"groupname":"never-started"' in answer
    assert '"groupname":"journal"' not in answer
    assert not site.unanswered("namedprocess_")
    site.run().must_be_green(changed=False)


def test_a_configuration_that_it_cannot_read_changes_nothing(site):
    pid = site.pid("process_exporter")
    site.variables["process_exporter_names"] = [{"name": "x", "cmdline": ["(+"]}]
    site.run(groups=ALONE).must_be_red("bad cmdline regex")
    site.variables["process_exporter_names"] = "nothing"
    site.run(groups=ALONE).must_be_red("process_exporter_names: is no list of groups")
    assert site.pid("process_exporter") == pid
    assert 'groupname="journal"' in seen(site)


def test_changed_groups_take_effect_and_a_container_sees_the_host_too(site):
    site.variables["process_exporter_names"] = [{"name": "init", "comm": ["systemd"]}]
    site.run(groups=ALONE).must_be_green(changed=True)
    assert 'groupname="init"' in seen(site) and 'groupname="journal"' not in seen(site)
    site.variables["process_exporter_runtime"] = "docker"
    site.run(groups=ALONE).must_be_green(changed=True)
    assert site.host.run("docker ps --format '{{.Names}}'").stdout.split() == ["process_exporter"]
    assert 'groupname="init"' in seen(site)
    site.run(groups=ALONE).must_be_green(changed=False)


def test_debians_package_does_not_report_its_version(site):
    """Its metrics say ``version=""``: the version is that of the package."""
    site.variables["process_exporter_install_method"] = "package"
    site.run(groups=ALONE).must_be_green(changed=True)
    assert 'version=""' in seen(site)
    assert 'groupname="journal"' in seen(site)
    assert site.host.run(f"readlink /proc/{site.pid('process_exporter')}/exe").stdout.startswith("/usr/bin/prometheus-")
    site.run(groups=ALONE).must_be_green(changed=False)
    # Nor can it check a configuration before it starts with it: that is rolled back.
    site.variables["process_exporter_names"] = [{"name": "x", "cmdline": ["(+"]}]
    site.run(groups=ALONE).must_be_red("bad cmdline regex", "was restored and is healthy again")
    assert 'groupname="journal"' in seen(site)


def test_removed_it_leaves_nothing(site):
    site.variables.update(process_exporter_state="absent", process_exporter_runtime="docker")
    site.run(groups=ALONE).must_be_green(changed=True)
    left = "ls -d /etc/process_exporter /opt/vigil/bin/process* /usr/local/bin/process-exporter"
    assert site.host.run(f"{left} 2>/dev/null; true").stdout == ""
