# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where images come from: a registry that wants a login, a digest, an archive; and an engine that is not fit yet.

One host for all tests, in the order in which they stand.
"""

from __future__ import annotations

import pytest
from conftest import SERVICES, Containers, base_variables

from lab import containers, hosts, registry

pytestmark = pytest.mark.xdist_group("docker-images")

NODE = ("node_exporter",)
LOUD = ("-vvv", "--diff")


@pytest.fixture(scope="module")
def host():
    with hosts.host("trixie-docker", group="fault") as made:
        yield made


@pytest.fixture(scope="module")
def served():
    with registry.serve(*(containers.image(service) for service in SERVICES), login=True) as running:
        yield running


@pytest.fixture
def site(host, served, tmp_path):
    variables = {
        **base_variables(docker=True),
        "monitoring_image_registry": served.address,
        "monitoring_registry_username": registry.USER,
        "monitoring_registry_password": registry.PASSWORD,
    }
    return Containers(host, tmp_path, variables)


def pulls(served: registry.Registry) -> list[str]:
    """The layers that were fetched from the registry."""
    return [asked for asked in served.requests() if asked.startswith("GET") and "/blobs/" in asked]


def test_an_engine_that_is_missing_is_named_and_installed_where_that_was_asked_for(site):
    """Python's requests, too, which the modules that make containers need on the host."""
    before = site.fingerprint("/etc/node_exporter", "/opt")
    site.host.run("apt-get remove -y -q docker.io docker-cli python3-requests", timeout=120)
    site.run(groups=NODE).must_be_red("no Docker engine answers", "docker_engine: install")
    assert site.fingerprint("/etc/node_exporter", "/opt") == before
    site.variables["docker_engine"] = "install"
    site.run("--check", groups=NODE).must_be_green(changed=True)
    assert site.host.run("command -v dockerd", check=False).returncode != 0
    site.run(groups=NODE).must_be_green(changed=True)
    assert site.there() == ["node_exporter"]
    site.host.run("apt-get install -y -q --no-install-recommends docker-cli", timeout=120)


def test_what_the_modules_lack_on_the_host_is_named(site):
    site.variables["node_exporter_web_listen_address"] = "0.0.0.0:9101"
    site.host.run("mv /usr/lib/python3/dist-packages/requests /tmp/requests")
    before = site.state()
    site.run(groups=NODE).must_be_red("requests", "docker_engine: install")
    assert site.state() == before
    site.host.run("mv /tmp/requests /usr/lib/python3/dist-packages/requests")


def test_a_disk_without_room_for_an_image_is_named_and_harms_nothing(site, served):
    """The engine keeps images on a disk that is too small."""
    before = site.fingerprint("/etc/prometheus", "/opt")
    site.host.run(
        "set -e; systemctl stop docker.socket docker; mount -t tmpfs -o size=100m tmpfs /var/lib/docker; systemctl start docker"
    )
    site.run(groups=("prometheus",)).must_be_red("cannot be pulled, nothing was changed", "no space left on device")
    assert site.fingerprint("/etc/prometheus", "/opt") == before
    assert site.there() == []
    site.host.run("set -e; systemctl stop docker.socket docker; umount /var/lib/docker; systemctl start docker")
    assert site.serves("node_exporter", within=30)


def test_images_are_pulled_once_from_a_registry_that_wants_a_login_and_its_password_stays_nowhere(site, served):
    images = site.host.run("docker images -aq").stdout
    site.run("--check", "--diff").must_be_green(changed=True)
    assert site.host.run("docker images -aq").stdout == images

    site.variables["monitoring_registry_password"] = "Sentinel-Wrong-9"
    outcome = site.run("--check", *LOUD, groups=("alertmanager",)).must_be_red("cannot be pulled", "alertmanager_image")
    assert "Sentinel-Wrong-9" not in outcome.output
    outcome = site.run(*LOUD, groups=("alertmanager",)).must_be_red("cannot be", "nothing was changed")
    assert "Sentinel-Wrong-9" not in outcome.output

    site.variables["monitoring_registry_password"] = registry.PASSWORD
    outcome = site.run(*LOUD).must_be_green(changed=True)
    assert registry.PASSWORD not in outcome.output
    assert pulls(served)
    assert site.there() == sorted(SERVICES)
    for service in SERVICES:
        assert site.container(service)["Config"]["Image"].startswith(served.address)
    told = "docker container inspect $(docker ps -aq); docker image inspect $(docker images -q)"
    assert registry.PASSWORD not in site.host.run(f"{told}; journalctl --no-pager --output=cat").stdout
    encoded = "grep -rlE 'let-me-pull|bGFiOmxldC1tZS1wdWxs' /root /etc /tmp /var/tmp /run /var/lib/docker/containers"
    assert site.host.run(encoded, check=False).stdout == ""


def test_a_registry_that_is_gone_is_not_missed_by_a_converged_host(site, served):
    served.stop()
    site.run().must_be_green(changed=False)
    # What needs another image says so, and what runs goes on.
    site.variables["node_exporter_version"] = "99.3.0"
    before = site.state()
    site.run("--check", groups=NODE).must_be_red("node-exporter:v99.3.0 cannot be pulled", "connection refused")
    site.run(groups=NODE).must_be_red("node-exporter:v99.3.0 cannot be", "nothing was changed", "connection refused")
    assert site.state() == before
    served.start()


def test_a_digest_is_honoured(site, served):
    image = containers.image("node_exporter")
    site.variables["node_exporter_image"] = served.name(image, by_digest=True)
    site.run(groups=NODE).must_be_green(changed=True)
    site.run(groups=NODE).must_be_green(changed=False)
    assert site.container("node_exporter")["Image"] == image.id

    before = site.state()
    site.variables["node_exporter_image"] = served.name(image, by_digest=True)[:-4] + "0000"
    site.run("--check", groups=NODE).must_be_red("cannot be pulled", "unknown", "check node_exporter_image")
    site.run(groups=NODE).must_be_red("cannot be pulled, nothing was changed", "unknown")
    # An image that is there under that name and is another one.
    site.variables["node_exporter_image"] = f"{served.name(image)}@{containers.image('alertmanager').digest}"
    site.run(groups=NODE).must_be_red("nothing was changed")
    assert site.state() == before


def test_an_archive_of_the_controller_needs_no_registry(site, served):
    served.stop()
    image = containers.image("node_exporter", "old")
    archive = site.folder / "images.tar"
    site.variables.update(
        monitoring_image_registry="",
        node_exporter_version=image.tag[1:],
        node_exporter_image_archive=str(archive),
    )
    site.run(groups=NODE).must_be_red(f"node_exporter_image_archive: {archive} is not on the controller")
    containers.save(archive, [containers.image("alertmanager", "old")])
    site.run("--check", groups=NODE).must_be_red(
        "holds", "make node_exporter_image and node_exporter_image_archive agree"
    )
    site.run(groups=NODE).must_be_red(f"holds {containers.upstream_name(containers.image('alertmanager', 'old'))}")
    containers.save(archive, [image])
    site.run(groups=NODE).must_be_green(changed=True)
    assert site.version("node_exporter") == image.tag[1:]
    archive.unlink()
    site.run(groups=NODE).must_be_green(changed=False)
    served.start()


def test_containers_of_a_bridge_find_each_other_by_name_and_are_published_where_they_listen(site):
    address = site.host.ip
    site.variables["monitoring_container_network"] = "monitoring"
    site.variables["alertmanager_web_listen_address"] = f"{address}:9093"
    # The loopback interface of a container on a bridge is its own.
    asked = ("-e", f"monitoring_address={address}")
    groups = ("alertmanager", "prometheus")
    theirs = "iptables-save | grep -v '^[#:*]' | grep -viE 'docker|commit|br-'"
    rules = site.host.run(theirs, check=False).stdout
    site.run(*asked, groups=groups).must_be_green(changed=True)
    site.run(*asked, groups=groups).must_be_green(changed=False)
    site.host.run("docker exec prometheus wget -q -O- http://alertmanager:9093/-/ready")
    assert site.host.run("docker port alertmanager 9093/tcp").stdout.strip() == f"{address}:9093"
    assert "monitoring" in networks(site)
    # Whoever leaves it last takes it along.
    site.variables.update({f"{service}_state": "absent" for service in groups})
    site.run(groups=groups).must_be_green(changed=True)
    assert "monitoring" not in networks(site)
    assert site.there() == ["node_exporter"]
    assert site.host.run(theirs, check=False).stdout == rules


def networks(site: Containers) -> list[str]:
    return site.host.run("docker network ls --format '{{.Name}}'").stdout.split()
