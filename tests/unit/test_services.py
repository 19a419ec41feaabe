# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one list of services, and what depends on it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.filter.service_groups import service_groups
from ansible_collections.vigil.monitoring.plugins.module_utils._health import (
    judge,
    lost_dependency,
    reload_delay,
    reported,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._process import Running, decide
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from checked_health import complete_health
from role_inputs import Inputs, room

ROOT = Path(__file__).resolve().parents[2]
RUNNING = Running(1, "100", "/bin/x", "unit")
PROMETHEUS, POSTGRES = complete_health("prometheus"), complete_health("postgres_exporter")
UP = 'postgres_exporter_build_info{version="0.19.1"} 1\npg_up %s\n'


def test_each_service_has_a_role_and_a_play():
    plays = yaml.safe_load((ROOT / "playbooks" / "site.yml").read_text(encoding="utf-8"))
    services = {play["tags"]: play for play in plays if str(play["name"]).startswith("Deploy ")}
    # The role of the service behind a proxy deploys that.
    proxies = {_rooms.load(name).proxy: name for name in _rooms.names() if _rooms.load(name).proxy}
    assert sorted([*services, *proxies]) == list(_rooms.names())
    for proxy, behind in proxies.items():
        about = yaml.safe_load((_rooms.FOLDER / f"{proxy}.yml").read_text(encoding="utf-8"))
        assert _rooms.load(proxy).behind == about["behind"] == behind
        tasks = yaml.safe_load((ROOT / "roles" / behind / "tasks" / "main.yml").read_text(encoding="utf-8"))
        assert tasks[-1]["ansible.builtin.include_role"]["name"] == f"vigil.monitoring.{proxy}"
    assert [_rooms.load(service).stage for service in services] == sorted(_rooms.load(name).stage for name in services)
    for service, play in services.items():
        assert play["hosts"] == f"{{{{ '{service}' if '{service}' in groups else 'all:!all' }}}}"
        imported = {"name": f"vigil.monitoring.{service}", "rolespec_validate": False}
        assert [task["ansible.builtin.import_role"] for task in play["tasks"]] == [imported]
    assert all((ROOT / "roles" / service / "tasks" / "main.yml").is_file() for service in _rooms.names())


def test_groups_of_an_inventory_in_the_order_of_deployment():
    assert service_groups({"web": [], "prometheus": [], "postgres_exporter": []}) == ["postgres_exporter", "prometheus"]
    assert service_groups({"backup": [], "prometheus": []}) == ["prometheus", "backup"]


@pytest.mark.parametrize(
    ("service", "action"),
    [
        ("prometheus", "reload"),
        ("blackbox_exporter", "reload"),
        ("postgres_exporter", "restart"),
        ("node_exporter", "none"),
    ],
)
def test_how_a_changed_configuration_is_taken_up(service, action):
    assert decide(RUNNING, "/bin/x", "unit", False, _rooms.load(service).on_config_change).action == action
    assert decide(RUNNING, "/bin/x", "unit", True, _rooms.load(service).on_config_change).action == "none"


@pytest.mark.parametrize(
    ("argv", "seconds"),
    [
        (["prometheus"], 2 * 2 * 60),
        (["prometheus", "--storage.remote.flush-deadline=1m30s"], 2 * 2 * 90),
        (["prometheus", "--storage.remote.flush-deadline=1m", "--storage.remote.flush-deadline=3s"], 2 * 2 * 3),
        (["prometheus", "--storage.remote.flush-deadline=200ms"], 2 * 2 * 1),
    ],
)
def test_endpoints_may_hold_a_reload_up(argv, seconds):
    shards = 'prometheus_remote_storage_shards{{remote_name="{0}",url="http://127.0.0.1/{0}"}} 1\n'
    assert reload_delay(PROMETHEUS, shards.format("a") + shards.format("b"), argv) == seconds
    assert reload_delay(PROMETHEUS, "# HELP prometheus_remote_storage_shards The number of shards\n", argv) == 0


def test_a_database_that_is_down_is_no_fault_of_the_exporter_but_is_said():
    class Answer:
        status, text = 200, UP % 0

    assert judge(POSTGRES, Answer, None, "0.19.1").state == "ok"
    assert lost_dependency(POSTGRES, UP % 0) == "its database is unreachable (pg_up is 0)"
    assert lost_dependency(POSTGRES, UP % 1) is None
    # An exporter for the targets of its path /probe alone has no database of its own.
    assert lost_dependency(POSTGRES, "") is None
    assert reported(complete_health("node_exporter"), "pg_up 0\n").dependency_up is None


def test_cadvisor_tells_its_version_in_its_own_way():
    told = 'cadvisor_version_info{cadvisorRevision="8",cadvisorVersion="v0.60.3",dockerVersion="26.1.5"} 1\n'
    assert reported(complete_health("cadvisor"), told).version == "v0.60.3"

    class Answer:
        status, text = 200, told

    assert judge(complete_health("cadvisor"), Answer, None, "0.60.3").state == "ok"
    assert judge(complete_health("cadvisor"), Answer, None, "0.60.4").state == "wrong"
    Answer.text = "up 1\n"
    assert (
        "its metrics do not have cadvisor_version_info"
        in judge(complete_health("cadvisor"), Answer, None, "0.60.3").reason
    )


@pytest.mark.parametrize(
    ("modules", "right"),
    [
        ({"a": {"prober": "http"}}, None),
        ({"a": {"prober": "http"}, "b": {"prober": "icmp"}}, "CAP_NET_RAW"),
        ({}, None),
    ],
)
def test_only_icmp_gets_a_right_of_its_own(modules, right):
    inputs = Inputs("blackbox_exporter", configuration_modules=modules)
    assert room("blackbox_exporter").hardening_of(inputs).get("AmbientCapabilities") == right
