# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible loads all filters of a collection for any one of them, anew for each task: they import nothing before they are used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

FILTERS = Path(__file__).resolve().parents[2] / "plugins" / "filter"
FILES = sorted(path.stem for path in FILTERS.glob("*.py"))


def test_a_filter_that_is_not_used_imports_nothing_of_its_own():
    imports = "\n".join(f"import ansible_collections.vigil.monitoring.plugins.filter.{name}" for name in FILES)
    shown = "import sys; print(*(name for name in sys.modules if '.plugin_utils._' in name))"
    done = subprocess.run(
        [sys.executable, "-c", f"{imports}\n{shown}"],
        env={"PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []


def test_each_filter_is_documented_with_an_example():
    for path in FILTERS.glob("*.yml"):
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert f"vigil.monitoring.{path.stem}" in found["EXAMPLES"]
