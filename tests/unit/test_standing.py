# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service goes on without: nothing is red because of it, and the notes and the summary have a line for it."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._exposition import Page
from ansible_collections.vigil.monitoring.plugins.module_utils._health_check import CHECKS
from ansible_collections.vigil.monitoring.plugins.module_utils._process import complaints
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import Surroundings
from role_inputs import Inputs


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", []),
        ("level=info msg=started\nlevel=warn msg=slow", []),
        ("time=2026-11-26T20:00:00Z level=warn msg='ntp collector is deprecated'", ["level=warn msg='ntp collector is deprecated'"]),
        ("  ts=1 msg='x is deprecated' n=1\n  ts=2 msg='x is deprecated' n=2", ["msg='x is deprecated' n=1"]),
        ("collector permanently failing", ["collector permanently failing"]),
        ("2026/11/26 20:00:00 flag --a is not supported", ["flag --a is not supported"]),
        ("\x1b[31mdeprecated\x1b[0m\x07 x", ["deprecated  x"]),
        ("undeprecatedly", []),
    ],
)  # fmt: skip
def test_complaints_of_a_log(log, said):
    assert complaints(log) == said


def test_complaints_are_few_and_short():
    found = complaints("\n".join(f"{chr(97 + number)} is deprecated {'x' * 900}" for number in range(12)))
    assert len(found) == 6
    assert found[-1] == "and 7 more such lines in its log"
    assert max(map(len, found)) <= 300


class Values(dict):
    """The variables of a role, with its inputs."""


def checks_of(kind, collectors):
    """The checks of single metrics that a service's room declares."""
    values = Values({
        "node_exporter_enabled_collectors": [{name: {}} for name in collectors],
        "prometheus_alert_rules": ["x"],
        "prometheus_rule_packs": [],
    })  # fmt: skip
    around = Surroundings("a", ["a"], lambda host, name: None, [], None)
    inventory = {"alertmanagers": [], "rules": {}, "expected": [], "pools": []}
    values.inputs = Inputs(kind, {"vigil.monitoring.scrape_targets": [inventory]})
    found = _rooms.load(kind).checks(values, around)
    return [
        CHECKS[one["name"]](None, one["given"]) for one in found if one["name"] in ("failing_parts", "nonzero_metric")
    ]


NODE = 'node_scrape_collector_success{collector="systemd"} 0\nnode_scrape_collector_success{collector="zfs"} 0\n'


@pytest.mark.parametrize(
    ("kind", "metrics", "collectors", "words"),
    [
        ("node_exporter", NODE, ["systemd", "textfile"], ["collector systemd"]),
        ("node_exporter", NODE, [], []),
        ("node_exporter", NODE.replace(" 0", " 1"), ["systemd"], []),
        ("prometheus", "prometheus_tsdb_wal_corruptions_total 1\n", [], ["write-ahead log was corrupt"]),
        ("prometheus", "prometheus_tsdb_wal_corruptions_total 0\n", [], []),
        ("prometheus", "", [], []),
        ("alertmanager", NODE, ["systemd"], []),
    ],
)
def test_what_the_metrics_say(kind, metrics, collectors, words):
    found = [finding for check in checks_of(kind, collectors) for finding in check.inspect(Page(metrics), None)]
    assert len(found) == len(words)
    assert all(word in finding.text and finding.state == "ok" for word, finding in zip(words, found))
