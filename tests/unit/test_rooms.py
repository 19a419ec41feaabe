# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rooms of the services, and the one place that finds them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import RELOAD, RESTART, Service

ROOT = Path(__file__).resolve().parents[2]


def test_each_file_is_a_service_and_bears_its_name():
    assert _rooms.names() == tuple(sorted(path.stem for path in _rooms.FOLDER.glob("*.py")))
    for name in _rooms.names():
        room = _rooms.load(name)
        assert isinstance(room, Service)
        assert room.name == name
        assert room.unit_name == vars(type(room)).get("unit_name", name)
        assert room.metrics_prefix
        assert not room.metrics_prefix.startswith("_")
        assert room.on_config_change in (None, RELOAD, RESTART)
        assert bool(room.dependency) == bool(room.dependency_metric)


def test_a_name_without_a_room_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"there is no service 'prometeus'; did you mean 'prometheus'\?"):
        _rooms.load("prometeus")


def test_the_order_of_deployment():
    exporters = [name for name in _rooms.names() if _rooms.load(name).stage == 1]
    assert {"blackbox_exporter", "cadvisor", "node_exporter", "postgres_exporter"} <= set(exporters)
    assert _rooms.in_order() == [*exporters, "alertmanager", "prometheus", "promxy", "grafana"]
    assert _rooms.in_order(["web", "grafana", "cadvisor"]) == ["cadvisor", "grafana"]
    assert _rooms.groups_of({"grafana": "ui", "cadvisor": "engines"}) == {"cadvisor": "engines", "grafana": "ui"}


def test_names_are_known_without_the_rooms():
    """Ansible compiles what a task imports anew for each task, and most tasks deal with one service."""
    program = (
        "import sys; from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms; _rooms.names();"
        " print([name for name in sys.modules if '.services' in name])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "collections")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"
