# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the repository itself depends on is pinned: development dependencies by checksums, actions by commits."""

from __future__ import annotations

import re

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lab import venv
from lab.common import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
GROUPS = ("dev", "galaxy", "site", "supply")
ENTRY = re.compile(r"(?m)^([a-z0-9][a-z0-9._-]*)==(\S+)(?: ; [^\n\\]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")


def entries(group: str) -> dict[str, str]:
    """What a lock file lists: name -> version."""
    return {name: version for name, version, dummy in ENTRY.findall(venv.lock(group).read_text(encoding="utf-8"))}


def test_every_group_that_something_installs_has_a_lock_file():
    assert set(venv.locked_groups()) == set(GROUPS)


@pytest.mark.parametrize("group", GROUPS)
def test_a_lock_file_has_nothing_but_versions_with_checksums(group):
    text = venv.lock(group).read_text(encoding="utf-8")
    assert not re.sub(r"(?m)^#.*\n", "", ENTRY.sub("", text))
    # Whichever registry pip is set up for.
    assert "://" not in text


@pytest.mark.parametrize("group", GROUPS)
def test_a_lock_file_has_the_versions_of_pyproject(group):
    found, pins = entries(group), [Requirement(pin) for pin in venv.pinned(group)]
    assert len(found) > len(pins)
    for pin in pins:
        version = found.get(canonicalize_name(pin.name))
        assert version and pin.specifier.contains(version), f"{pin}: run `make lock`"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_an_action_is_pinned_by_its_commit(path):
    text = path.read_text(encoding="utf-8")
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    for used in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used
    # No more than reading, unless a job says otherwise.
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}


def test_one_action_has_one_commit():
    used = {line for path in WORKFLOWS for line in re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))}
    assert len({line.partition("@")[0] for line in used}) == len(used)


def test_new_versions_are_proposed_for_both():
    config = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))
    found = {(update["package-ecosystem"], update["directory"]) for update in config["updates"]}
    assert found == {("github-actions", "/"), ("pip", "/requirements")}
