# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own files on the controller, and the files of a tree."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import FileProblem, Files, find


@pytest.fixture
def tree(tmp_path):
    for name in ("role/files/rules/a.yml", "role/rules/b.yml", "play/rules/c.yml", "play/rules/d.json", "play/e.yml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "play/rules/folder.yml").mkdir()
    (tmp_path / "play/rules/link.yml").symlink_to(tmp_path / "play/rules/c.yml")
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "bases", "found"),
    [
        (["rules/*.yml"], ["role/files", "role", "play"], ["role/files/rules/a.yml"]),
        (["rules/*.yml"], ["nowhere", "role", "play"], ["role/rules/b.yml"]),
        # A link and what it points at are one file; a directory is none.
        (["rules/*.yml"], ["play"], ["play/rules/c.yml"]),
        (["rules/*.yml", "rules/c.*", "rules/*.json"], ["play"], ["play/rules/c.yml", "play/rules/d.json"]),
        (["rules/*.toml"], ["role/files", "play"], []),
        (["missing/*.yml"], ["play"], []),
        (["*.yml"], ["role/files", "role", "play"], ["play/e.yml"]),
        (["rules/c.yml"], ["play"], ["play/rules/c.yml"]),
        ([], ["play"], []),
    ],
)
def test_patterns(tree, patterns, bases, found):
    assert find(patterns, [str(tree / base) for base in bases]) == [str(tree / name) for name in found]


def test_an_absolute_pattern_needs_no_base(tree):
    assert find([str(tree / "play/*.yml")], ["/nowhere", "/"]) == [str(tree / "play/e.yml")]


def test_a_name_that_is_not_there_is_an_error(tree):
    with pytest.raises(FileProblem, match=r"no file rules/z\.yml; looked in .*play"):
        find(["rules/z.yml"], [str(tree / "play")])


def test_two_files_of_one_name_are_named_both():
    files = Files()
    files.add("rules/ansible_managed.yml", "prometheus_alert_rules", data=[])
    mine = [{"source": "/home/me/ansible_managed.yml", "content": ""}]
    with pytest.raises(FileProblem) as error:
        files.add_user_files("rules", mine, "prometheus_alert_rules_files")
    for word in ("prometheus_alert_rules", "/home/me/ansible_managed.yml", "prometheus_alert_rules_files"):
        assert word in str(error.value)
    assert files.entries() == [{"path": "rules/ansible_managed.yml", "data": []}]
