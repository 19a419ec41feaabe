# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pint, cloudflare's linter of rules, says of the packs; the exceptions and their reasons stand in ``pint.hcl``."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils._rules import load_packs, rule_groups
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import to_yaml
from test_rules import FACTS, SETTINGS

from lab.common import cache_dir, locked

VERSION = "v0.87.0"
PROGRAM = f"github.com/cloudflare/pint/cmd/pint@{VERSION}"
CONFIG = Path(__file__).with_name("pint.hcl")


@pytest.fixture(scope="module")
def pint():
    """The one on PATH, else one that Go builds once; where neither is to be had, what it would say is not known."""
    if found := shutil.which("pint"):
        return found
    if not shutil.which("go"):
        pytest.skip("PINT WAS NOT RUN over the rules: there is no pint on PATH, and no Go to build it with")
    folder = cache_dir() / f"pint-{VERSION}"
    with locked("pint"):
        if not (folder / "pint").exists():
            install = ["nice", "-n", "10", "go", "install", PROGRAM]
            environment = {**os.environ, "GOBIN": str(folder)}
            done = subprocess.run(
                install, env=environment, capture_output=True, text=True, timeout=900, check=False, cwd="/"
            )
            if done.returncode:
                why = done.stderr.strip().splitlines()[-1]
                pytest.skip(f"PINT WAS NOT RUN over the rules: `go install {PROGRAM}` failed: {why}")
    return str(folder / "pint")


def lint(pint, folder, groups):
    """What pint says of rule groups, and its exit status."""
    for name, found in groups.items():
        (folder / f"{name}.yml").write_text(to_yaml({"groups": found}), encoding="utf-8")
    argv = [
        pint,
        "--no-color",
        "--offline",
        "--config",
        str(CONFIG),
        "lint",
        "--min-severity=info",
        "--fail-on=info",
        ".",
    ]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_pint_has_nothing_to_say(pint, tmp_path):
    code, said = lint(pint, tmp_path, rule_groups(load_packs(), SETTINGS, FACTS))
    assert code == 0, said
    assert "entries=" in said and "entries=0" not in said


def test_pint_sees_what_is_wrong(pint, tmp_path):
    """A label that the expression does not have would be empty in the message."""
    rule = {
        "alert": "Down",
        "expr": "sum by (job) (up) == 0",
        "annotations": {"summary": "{{ $labels.instance }} is down"},
    }
    code, said = lint(pint, tmp_path, {"wrong": {"name": "wrong", "rules": [rule]}})
    assert code != 0
    assert "alerts/template" in said
