# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host remembers of its services, what of it nobody asks for any more, and what remove.yml makes of it."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _deployed
from ansible_collections.vigil.monitoring.plugins.module_utils._findings import RED, UNVERIFIED
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _orphans, _removal_scope, _rooms
from role_inputs import Inputs


def record(service, **more):
    return json.dumps({"service": service, "grouped": True, "removal": {"name": service}, **more})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", {}),
        (record("prometheus"), {"prometheus": True}),
        (record("prometheus", grouped=False), {"prometheus": False}),
        # Removed, with its data kept.
        (record("prometheus", removed=True), {}),
        (record("backup", removal={"name": "vigil-backup"}) + "\n/etc/systemd/system/vigil-backup.service", {"backup": True}),
        # Of a version before there were records: by its unit, or by its container's note.
        ("/etc/systemd/system/grafana-server.service", {"grafana": None}),
        ("/etc/alertmanager/.vigil/engine", {"alertmanager": None}),
        # With a record, the unit says nothing more; of a service that the collection does not know, nothing is said.
        (record("prometheus", grouped=False) + "\n/etc/systemd/system/prometheus.service", {"prometheus": False}),
        (record("grafana", removal={"name": "grafana-server"}) + "\n/etc/systemd/system/grafana-server.service", {"grafana": True}),
        ("/etc/systemd/system/vigil-firewall.service\n/etc/systemd/system/shop.service\n" + record("shop"), {}),
        # What was cut short, or is none.
        ('{"service": "prom\n{"service": "../x"}\n[]\n{}\nnonsense', {}),
    ],
)  # fmt: skip
def test_a_host_says_what_was_deployed_on_it(text, wanted):
    assert _orphans.deployed(text) == wanted


def test_the_order_is_that_of_deployment():
    assert list(_orphans.deployed("\n".join(map(record, ("grafana", "prometheus", "node_exporter"))))) == [
        "node_exporter",
        "prometheus",
        "grafana",
    ]


@pytest.mark.parametrize(
    ("grouped", "wanted", "member", "orphan"),
    [
        (True, (), True, True),
        (True, (), False, True),
        (True, ("prometheus",), True, False),
        # A playbook of the user's own has deployed it, outside of any group.
        (False, (), True, False),
        (False, (), False, False),
        # Nobody knows: on a host without groups it may be a playbook's.
        (None, (), True, True),
        (None, (), False, False),
        (None, ("prometheus",), True, False),
    ],
)
def test_what_nobody_asks_for(grouped, wanted, member, orphan):
    assert _orphans.orphans({"prometheus": grouped}, wanted, member) == (["prometheus"] if orphan else [])


@pytest.mark.parametrize(("choice", "state"), [("warn", UNVERIFIED), ("fail", RED)])
def test_a_line_says_how_it_is_removed(choice, state):
    line = _orphans.line("prometheus", "mon", choice, "servers", False)
    assert line["state"] == state
    assert "mon is not in the group servers" in line["reasons"][0]
    assert "`ansible-playbook remove.yml -e host=mon -e service=prometheus`" in line["reasons"][0]
    assert "prometheus_state is absent" in _orphans.line("prometheus", "mon", choice, "servers", True)["reasons"][0]


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        (None, None),
        ("", None),
        ([], None),
        ("prometheus", ["prometheus"]),
        (" prometheus, grafana ", ["prometheus", "grafana"]),
        (["grafana"], ["grafana"]),
        ("backup,grafana", ["backup", "grafana"]),
        ("all", _rooms.deployable()),
    ],
)
def test_services_are_named(named, wanted):
    assert _removal_scope.services_of(named) == wanted


@pytest.mark.parametrize("named", ["promethes", "grafana,x"])
def test_a_service_that_there_is_not(named):
    with pytest.raises(ValueError, match="there is no service"):
        _removal_scope.services_of(named)


GROUPS = {"all": ["mon", "db1"], "prometheus": ["mon"]}


@pytest.mark.parametrize(
    ("named", "limit", "hosts", "words"),
    [
        ("", "", "all", "name the host"),
        ("mon", "", "mon", ""),
        ("mon,db1", "", "mon,db1", ""),
        ("", "mon", "all", ""),
        ("prometheus", "", "prometheus", ""),
        ("db*", "", "db*", ""),
        ("mn", "", "all", "did you mean mon?"),
        ("elsewhere", "", "all", "add it: -i 'elsewhere,'"),
    ],
)
def test_hosts_are_named(named, limit, hosts, words):
    found = _removal_scope.hosts_of(GROUPS, named, limit)
    assert (found["hosts"], bool(found["missing"])) == (hosts, bool(words))
    assert words in found["missing"]


def test_without_an_inventory():
    assert _removal_scope.hosts_of({}, "mon", "")["hosts"] == "localhost"


FOUND = ["node_exporter", "alertmanager", "prometheus"]


@pytest.mark.parametrize(
    ("found", "named", "wanted", "services", "words"),
    [
        (FOUND, None, ["node_exporter"], ["prometheus", "alertmanager"], "is asked for by the inventory and kept: node_exporter"),
        (FOUND, None, FOUND, [], "are asked for by the inventory and kept"),
        (FOUND, None, [], FOUND[::-1], ""),
        (FOUND, ["prometheus"], [], ["prometheus"], ""),
        (FOUND, ["node_exporter"], ["node_exporter"], ["node_exporter"], "the next site.yml deploys it again"),
        (FOUND, ["grafana"], [], [], "nothing of grafana is on mon"),
        (FOUND, _rooms.deployable(), [], FOUND[::-1], ""),
        # It deploys no service, and goes first: nothing is backed up while it is removed.
        (["prometheus", "backup"], None, [], ["backup", "prometheus"], ""),
        (["prometheus", "backup"], None, ["backup"], ["prometheus"], "is asked for by the inventory and kept: backup"),
        ([], None, [], [], "nothing that this collection has deployed is on mon"),
    ],
)  # fmt: skip
def test_what_is_removed(found, named, wanted, services, words):
    choice = _removal_scope.choose(found, named, wanted, "mon")
    assert (choice.services, bool(choice.words)) == (services, bool(words))
    assert words in " ".join(choice.words)


@pytest.mark.parametrize("service", _rooms.names())
def test_a_record_holds_what_removes_a_service_and_no_secret(service):
    room = _rooms.load(service)
    secret = "vigil-sentinel"
    group = room.behind or service
    i = Inputs(service, group_names=[group], health_password=secret, registry_password=secret)
    kept = room.removal_record(i)
    assert (kept["service"], kept["grouped"], kept["removal"]["name"]) == (service, True, room.unit_name)
    assert kept["removal"]["config_dir"] == i["config_dir"] and kept["data"] == room.purged(i)
    assert secret not in json.dumps(kept)
    assert not room.removal_record(Inputs(service))["grouped"]


def test_a_proxy_goes_before_its_service():
    proxies = {"cadvisor": "tls_proxy", "prometheus": None, "node_exporter": None}
    found = ["prometheus", "cadvisor", "tls_proxy"]
    assert _removal_scope.with_proxies(["prometheus", "cadvisor"], found, proxies) == [
        "prometheus",
        "tls_proxy",
        "cadvisor",
    ]
    assert _removal_scope.with_proxies(["prometheus"], found, proxies) == ["prometheus"]
    # One whose service is gone, and one that is not there.
    assert _removal_scope.with_proxies(["tls_proxy"], ["tls_proxy"], {"tls_proxy": None}) == ["tls_proxy"]
    assert _removal_scope.with_proxies(["cadvisor"], ["cadvisor"], proxies) == ["cadvisor"]


@pytest.mark.skipif(os.geteuid() != 0, reason="records are root's")
def test_records(tmp_path):
    machine = SimpleNamespace(records_directory=str(tmp_path / "records"))
    records, data = _deployed.Records(machine), tmp_path / "data"
    given = {"service": "prometheus", "data": [str(data)], "removal": {}}
    assert records.get("prometheus") is None
    records.keep(given)
    assert records.get("prometheus") == given and os.stat(records.directory).st_mode & 0o777 == 0o700
    # A half-written one is swept up with the next.
    (tmp_path / "records" / "prometheus.json.0.tmp").write_text("")
    records.keep({**given, "grouped": True})
    assert os.listdir(records.directory) == ["prometheus.json"]
    # As long as there is data, it is remembered where.
    data.mkdir()
    assert records.end("prometheus", None) == [str(data)]
    assert records.get("prometheus")["removed"]
    data.rmdir()
    assert records.end("prometheus", None) == []
    assert not os.path.exists(records.directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="records are root's")
@pytest.mark.parametrize("mode", [0o777, 0o755])
def test_a_record_that_others_can_have_written_is_refused(tmp_path, mode):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "prometheus.json").write_text(record("prometheus"))
    os.chmod(tmp_path / "records", mode)
    if mode == 0o755:
        os.chown(tmp_path / "records", 1234, 1234)
    with pytest.raises(HostError, match="can be changed by"):
        _deployed.Records(SimpleNamespace(records_directory=str(tmp_path / "records"))).get("prometheus")


HOOK = 'ExecStartPre=+/bin/sh -c "test ! -e /srv/prom/etc/.vigil/undo || {{ cd /srv/prom/etc/.vigil && flock -w 30 . /bin/sh ./undo; }}"'


@pytest.mark.skipif(os.geteuid() != 0, reason="records are root's")
@pytest.mark.parametrize(
    ("unit", "record", "containers", "left", "config_dir"),
    [
        (None, None, (), 0, "/etc/prometheus"),
        ("# Written by vigil.monitoring; x\n[Service]\n" + HOOK, None, (), 1, "/srv/prom/etc"),
        ("[Service]\n" + HOOK, None, (), 0, "/etc/prometheus"),
        (None, {"removal": {"config_dir": "/srv/other"}}, (), 1, "/srv/other"),
        (None, {"removal": {"config_dir": "/srv/other"}, "removed": True}, (), 0, "/srv/other"),
        (None, None, ("prometheus",), 1, "/etc/prometheus"),
    ],
)
def test_what_is_left_of_a_service(tmp_path, unit, record, containers, left, config_dir):
    machine = SimpleNamespace(
        records_directory=str(tmp_path / "records"),
        unit_directory=str(tmp_path),
        firewall_directory=str(tmp_path / "nft"),
    )
    if unit:
        (tmp_path / "prometheus.service").write_text(unit)
    if record:
        _deployed.Records(machine).keep({"service": "prometheus", **record})
    known = {
        "service": "prometheus",
        "unit": "prometheus",
        "config_dir": "/etc/prometheus",
        "releases_dir": str(tmp_path),
    }
    found = _deployed.find(machine, known, {"prometheus": containers})
    assert (len(found["left"]), found["config_dir"]) == (left, config_dir)
