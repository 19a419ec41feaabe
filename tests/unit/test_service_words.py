# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module service shows and says."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._plan import Plan
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_systemd import Systemd
from ansible_collections.vigil.monitoring.plugins.module_utils._service_diff import diff_of
from ansible_collections.vigil.monitoring.plugins.module_utils._switch import Change


def test_the_diff_of_a_link_shows_where_it_led(tmp_path):
    there, new = tmp_path / "prometheus", tmp_path / "promtool"
    there.symlink_to("/opt/old")
    task = SimpleNamespace(module=SimpleNamespace(_diff=True))
    changes = [Change(str(path), "link", "/opt/new") for path in (there, new)]
    shown = diff_of(task, Plan(changes, {}, {}, None, [], []), {})
    assert [(entry["before"], entry["after"]) for entry in shown] == [
        ("-> /opt/old\n", "-> /opt/new\n"),
        ("", "-> /opt/new\n"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[Service]\nExecStart=/usr/bin/prometheus\n", "is another tool's unit"),
        (
            "# Written by vigil.monitoring; your own lines.\n[Service]\nExecStart=/usr/local/bin/prometheus \\\n"
            "  --config.file=/etc/prometheus2/prometheus.yml\n",
            "with another configuration directory (/etc/prometheus2): a host has one prometheus",
        ),
        ("# Written by vigil.monitoring; your own lines.\n[Service]\n", "with another configuration directory: a host"),
    ],
)
def test_whose_a_unit_is(tmp_path, text, words):
    (tmp_path / "prometheus.service").write_text(text)
    service = Systemd("prometheus", machine=SimpleNamespace(unit_directory=str(tmp_path)))
    seen = {"FragmentPath": "", "LoadState": "loaded", "ActiveState": "active"}
    assert words in service.foreign_problem(seen, (), ())


FILTERED = "[Service]\nIPAccounting=yes\nIPAddressDeny=any\nIPAddressAllow=localhost\n"


@pytest.mark.parametrize(
    ("unit", "counted", "warned"),
    [
        # systemd 257, and those before 252, where it cannot count.
        (FILTERED, "[no data]", True),
        (FILTERED, "18446744073709551615", True),
        (FILTERED, "0", False),
        (FILTERED, "4711", False),
        # It does not ask about what it did not want.
        ("[Service]\nExecStart=/bin/true\n", "[no data]", False),
        # A container.
        (None, "[no data]", False),
    ],
)
def test_a_filter_that_is_not_in_force_is_said(unit, counted, warned):
    found = Systemd("node_exporter", unit=unit).filter_problem({"IPIngressBytes": counted})
    assert bool(found) is warned
    if warned:
        assert found.startswith("node_exporter.service: its filter by address (IPAddressDeny) is not in force")
        assert "cgroup v2" in found
