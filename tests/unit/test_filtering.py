# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters are imported together and each time anew, and what they need only when they are used."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.vigil.monitoring.plugins.plugin_utils._filtering import filtered
from ansible_collections.vigil.monitoring.plugins.plugin_utils._late import imported

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
FILES = sorted(path.stem for path in (PLUGINS / "filter").glob("*.py"))


@pytest.mark.parametrize("name", FILES)
def test_each_filter_has_its_function(name):
    module = importlib.import_module(f"ansible_collections.vigil.monitoring.plugins.filter.{name}")
    for made in module.FilterModule().filters().values():
        named = inspect.getclosurevars(made).nonlocals
        if "module" in named:
            assert callable(imported(named["module"], named["name"]))


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
    assert {name.rpartition(".")[2] for name in done.stdout.split()} == {"_filtering", "_late", "_text"}


def test_what_a_filter_says_of_an_input_that_cannot_work():
    with pytest.raises(AnsibleFilterError, match="both a backtick and three quotes"):
        filtered("_grafana_ini", "ini_text")({"": {"key": '`"""'}})
