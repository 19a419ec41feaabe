# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""redis_exporter beside a real Redis with a password, on one host for all tests, in the order in which they stand."""

from __future__ import annotations

import pytest
from conftest import Site, base_variables

from lab import containers, hosts, mirror

pytestmark = pytest.mark.xdist_group("redis_exporter")

ALONE = ("redis_exporter",)
PASSWORD = "Sentinel-Redis-81"
METRICS = "curl -fsS http://127.0.0.1:9121/metrics"


@pytest.fixture(scope="module")
def host():
    with hosts.host("trixie-docker", group="fault") as made:
        made.load(containers.image("redis_exporter"))
        made.run("apt-get -qq update && apt-get -qq install -y redis-server >/dev/null")
        made.run(f"printf 'bind 127.0.0.1\\nrequirepass {PASSWORD}\\nmaxmemory 64mb\\n' >> /etc/redis/redis.conf")
        made.run("systemctl restart redis-server")
        yield made


@pytest.fixture
def site(host, tmp_path):
    variables = {
        **base_variables(),
        "redis_exporter_version": mirror.versions()["redis_exporter"]["new"],
        "redis_exporter_ready_timeout": 20,
        "redis_exporter_password": PASSWORD,
    }
    return Site(host, tmp_path, variables, (*ALONE, "prometheus"))


def test_its_password_is_in_a_file_and_nowhere_else(site):
    outcome = site.run("--diff").must_be_green(changed=True)
    assert PASSWORD not in outcome.output
    assert "\nredis_up 1\n" in site.host.run(METRICS).stdout
    found = site.host.run(f"grep -rl {PASSWORD} /etc --exclude-dir=redis").stdout.split()
    assert found == ["/etc/redis_exporter/passwords.json"]
    assert site.host.run(f"stat -c '%a %U' {found[0]}").stdout.split() == ["640", "root"]
    assert PASSWORD not in site.host.run("cat /proc/[0-9]*/cmdline; systemctl show redis_exporter").stdout
    assert PASSWORD not in site.host.run(f"cat /proc/{site.pid('redis_exporter')}/environ").stdout
    site.run().must_be_green(changed=False)
    site.host.run(f"REDISCLI_AUTH={PASSWORD} redis-cli SET key value && REDISCLI_AUTH={PASSWORD} redis-cli GET key")
    # A replica alone has a link to a master.
    assert site.unanswered("redis_", within=30) == {"mon-services 1 G"}


def test_a_password_in_the_address_is_refused(site):
    site.variables["redis_exporter_addr"] = "redis://:secret@localhost:6379"
    site.run(groups=ALONE).must_be_red("redis_exporter_addr: has a password")


def test_a_wrong_password_is_rolled_back(site):
    site.variables["redis_exporter_password"] = "Sentinel-Wrong-82"
    site.run(groups=ALONE).must_be_red("its Redis is unreachable", "was restored and is healthy again")
    assert "\nredis_up 1\n" in site.host.run(METRICS).stdout


def test_a_redis_that_is_down_is_said_by_the_verification(site):
    site.host.run("systemctl stop redis-server")
    site.run().must_be_red("its Redis is unreachable")
    site.host.run("systemctl start redis-server")


def test_as_a_container_it_tells_the_same(site):
    site.variables["redis_exporter_runtime"] = "docker"
    site.run(groups=ALONE).must_be_green(changed=True)
    assert "\nredis_up 1\n" in site.host.run(METRICS).stdout
    assert PASSWORD not in site.host.run("docker inspect redis_exporter").stdout
    site.run(groups=ALONE).must_be_green(changed=False)
