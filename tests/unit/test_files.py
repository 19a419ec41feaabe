# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own files on the controller, and the files of a tree."""

from __future__ import annotations

import re

import pytest
import yaml
from ansible import context
from ansible.utils.context_objects import CLIArgs
from ansible_collections.vigil.monitoring.plugins.plugin_utils._cache import Cache
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import (
    COLLECTION,
    DEFAULT_PATTERNS,
    FileProblem,
    Files,
    check_name,
    find,
    locate,
    places,
)


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


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A controller: an inventory, the playbook that was started, the one that it imports, and a working directory."""
    for name in ("inventories/prod/hosts.yml", "site.yml", "playbooks/site.yml", "roles/mine/x", "elsewhere/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.setattr(context, "CLIARGS", CLIArgs({"args": (str(tmp_path / "site.yml"),)}))
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def where(site, **given):
    variables = {
        "inventory_dir": str(site / "inventories/prod"),
        "ansible_inventory_sources": [str(site / "inventories/prod/hosts.yml"), "one,two,"],
        "ansible_search_path": [str(site / "roles/mine"), str(site / "playbooks")],
        **given,
    }
    return places(variables, str(site / "playbooks"))


def test_the_order_in_which_places_are_searched(site):
    assert [path.removeprefix(str(site)) for path in where(site)] == [
        "/roles/mine/files",
        "/roles/mine",
        "/inventories/prod/files",
        "/inventories/prod",
        "/files",
        "",
        "/playbooks/files",
        "/playbooks",
    ]


@pytest.mark.parametrize("given", [{"inventory_dir": None, "ansible_inventory_sources": ["a,"]}, {}])
def test_the_working_directory_is_no_place(site, given):
    (site / "elsewhere/rules").mkdir()
    (site / "elsewhere/rules/r.yml").write_text("")
    (site / "elsewhere/image.tar").write_text("")
    bases = where(site, **given)
    assert str(site / "elsewhere") not in bases
    with pytest.raises(
        FileProblem, match=r"prometheus_alert_rules_files: there is no directory rules for rules/\*\.yml; looked"
    ):
        find(["rules/*.yml"], bases, "prometheus_alert_rules_files")
    # What is nowhere is missed beside the playbook, and what is made, such as a cache, is made there.
    assert locate("image.tar", bases) == (str(site / "image.tar"), False)
    assert Cache("cache", bases).directory == str(site / "cache")


def test_a_file_beside_the_inventory_counts_before_one_beside_the_playbook(site):
    for folder in ("inventories/prod/files", "files", ""):
        (site / folder / "rules").mkdir(parents=True)
        (site / folder / "rules/r.yml").write_text("")
    assert find(["rules/*.yml"], where(site)) == [str(site / "inventories/prod/files/rules/r.yml")]
    assert locate("rules/r.yml", where(site)) == (str(site / "inventories/prod/files/rules/r.yml"), True)
    (site / "mirror").mkdir()
    assert locate("mirror", where(site)) == (str(site / "mirror"), True)
    assert locate("/dev/null", where(site)) == ("/dev/null", True)


@pytest.mark.parametrize(
    ("patterns", "names", "said"),
    [
        (["rules/*.rules"], ["a.yml"], ["prometheus_alert_rules_files: rules/*.rules matches no file"]),
        # The defaults may match nothing; a file beside them that they do not match is not passed over in silence.
        (DEFAULT_PATTERNS["prometheus_alert_rules_files"], ["a.yml"], []),
        (DEFAULT_PATTERNS["prometheus_alert_rules_files"], [], []),
        (DEFAULT_PATTERNS["prometheus_alert_rules_files"], ["a.yml", "b.rules"], ["b.rules in .*prometheus/rules matches none"]),
        # Who names his own patterns leaves out what he likes.
        (["prometheus/rules/a*"], ["a.yml", "b.rules"], []),
    ],
)  # fmt: skip
def test_what_matches_nothing_is_said(site, patterns, names, said):
    for folder in ("rules", "prometheus/rules"):
        (site / folder).mkdir(parents=True)
        for name in names:
            (site / folder / name).write_text("")
    warnings = []
    find(patterns, [str(site)], "prometheus_alert_rules_files", warnings.append)
    assert len(warnings) == len(said)
    for found, words in zip(warnings, said):
        assert re.search(words.replace("*.", r"\*\.") if "none" not in words else words, found)


@pytest.mark.parametrize("variable", DEFAULT_PATTERNS)
def test_default_patterns_are_those_of_the_roles(variable):
    role = variable.partition("_")[0]
    with open(f"{COLLECTION}/roles/{role}/defaults/main.yml", encoding="utf-8") as stream:
        assert yaml.safe_load(stream)[variable] == DEFAULT_PATTERNS[variable]


@pytest.mark.parametrize(
    ("name", "endings", "words"),
    [
        ("d.yml.j2", None, "is a template of Jinja's"),
        ("d.tmpl.j2", None, "is a template of Jinja's"),
        ("a.yml~", None, "left over"),
        ("a.yml.bak", None, "left over"),
        ("a.yml.disabled", None, "left over"),
        ("a[1].rules", None, "stands for others"),
        ("web.txt", (".yml", ".json"), r"has to end in \.yml or \.json"),
        ("a.rule", None, None),
        ("b.alerts", None, None),
        ("web.json", (".yml", ".json"), None),
    ],
)
def test_a_file_that_would_not_be_read_is_refused_by_name(name, endings, words):
    if not words:
        check_name("/x/" + name, "variable", endings)
        return
    with pytest.raises(FileProblem, match=rf"variable: /x/{re.escape(name)} .*{words}"):
        check_name("/x/" + name, "variable", endings)
