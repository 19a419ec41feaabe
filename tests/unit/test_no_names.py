# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generic code knows no service by name: what is particular to one stands in its room, or in a file that bears its name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
# A file that bears one of these words is about that service, and may name those that it works with.
BEARS = (*_rooms.names(), "blackbox", "postgres")
# The others that may, and why.
ABOUT_ONE = {
    "action/checklist.py": "asks Prometheus servers for their history, and nobody else",
    "action/report.py": "shows what Prometheus servers answered",
    "modules/checklist.py": "asks Prometheus servers for their history, and nobody else",
    "plugin_utils/_channels.py": "channels are receivers of Alertmanager",
    "plugin_utils/_probes.py": "makes the jobs of the blackbox exporter",
    "plugin_utils/_upstream.py": "reads tables of upstream's types, which bear the names of two programs",
    "plugin_utils/_upstream_sums.py": "checksums of releases that upstream publishes none for",
}


def names_in(text):
    """Every text in a program that is the name of a service and nothing else, with its line."""
    return [
        (node.lineno, node.value)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and node.value in _rooms.names()
    ]


FILES = sorted(str(path.relative_to(PLUGINS)) for path in PLUGINS.rglob("*.py"))


def is_about_one(path):
    return any(word in path for word in BEARS) or path in ABOUT_ONE


@pytest.mark.parametrize("path", [path for path in FILES if not is_about_one(path)])
def test_no_service_is_known_by_name(path):
    assert names_in((PLUGINS / path).read_text(encoding="utf-8")) == []


def test_who_is_excused_names_one():
    for path in ABOUT_ONE:
        assert names_in((PLUGINS / path).read_text(encoding="utf-8")), path


def test_a_name_is_seen():
    assert names_in("if kind == 'grafana': pass\nTABLE = {'prometheus': 1}\nfound = 'prometheus_x'\n") == [
        (1, "grafana"),
        (2, "prometheus"),
    ]
