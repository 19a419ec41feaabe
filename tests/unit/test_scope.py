# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services a run verifies, what it says of the others, and what it remembers of its plays."""

from __future__ import annotations

import json
import os
import pathlib

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.vigil.monitoring.plugins.filter.members import left_out, members
from ansible_collections.vigil.monitoring.plugins.filter.verify_hosts import verify_hosts
from ansible_collections.vigil.monitoring.plugins.module_utils._summary import summary
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _run, _scope
from ansible_collections.vigil.monitoring.plugins.plugin_utils._remains import Remains
from ansible_collections.vigil.monitoring.plugins.plugin_utils._scrape import merge_groups, plan, with_server

from lab import play

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(_run.C, "DEFAULT_LOCAL_TMP", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("groups", "noted", "limit", "hosts"),
    [
        ({"all": []}, {}, None, ["localhost"]),
        ({"all": ["a"], "prometeus": ["a"]}, {}, None, ["all"]),
        ({"all": ["a"], "prometheus": []}, {}, None, ["all"]),
        ({"all": ["a"], "web": ["a"]}, {"prometheus": {"a"}}, None, ["a"]),
        ({"all": ["a", "b"], "prometheus": ["a"]}, {"prometheus": {"a", "b"}}, None, ["prometheus", "b"]),
        ({"all": ["a", "b"], "prometheus": ["a"], "node_exporter": ["a"]}, {}, None, ["node_exporter", "prometheus"]),
        # The hosts that it leaves may have no service at all.
        ({"all": ["a", "b"], "prometheus": ["a"]}, {}, "b", ["all"]),
    ],
)
def test_the_proof_always_has_a_host_that_can_say_a_word(groups, noted, limit, hosts):
    assert _scope.play_hosts(groups, noted, limit) == hosts


@pytest.mark.parametrize(
    ("begun", "run_tags", "skip_tags", "asked"),
    [
        ([], ["all"], [], ["alertmanager", "prometheus"]),
        ([], ["verify"], [], ["alertmanager", "prometheus"]),
        ([], ["prometheus"], [], ["prometheus"]),
        ([], ["prometheus_configure"], [], ["prometheus"]),
        ([], ["prometheusish"], [], []),
        (["alertmanager"], ["mine"], [], ["alertmanager"]),
        ([], ["all"], ["prometheus"], ["alertmanager"]),
        (["prometheus"], ["all"], ["prometheus"], ["alertmanager", "prometheus"]),
        ([], ["nginx"], [], []),
    ],
)
def test_tags_choose_what_is_asked(begun, run_tags, skip_tags, asked):
    kinds = ["alertmanager", "prometheus"]
    chosen, others = _scope.asked(kinds, begun, run_tags, skip_tags)
    assert chosen == asked and others == [kind for kind in kinds if kind not in asked]


@pytest.mark.parametrize(
    ("group", "service"),
    [
        ("promethues", "prometheus"),
        ("alertmanagers", "alertmanager"),
        ("node-exporter", "node_exporter"),
        ("postgresql", None),
        ("application", None),
        ("monitoring", None),
        ("blackbox", None),
    ],
)
def test_a_misspelt_group_is_named(group, service):
    found = list(_scope.typos({"all": ["a"], group: ["a"]}))
    assert found == ([(group, service)] if service else [])
    assert not list(_scope.typos({"all": ["a"], group: []}))
    if service:
        assert not list(_scope.typos({group: ["a"], service: ["a"]}))


@pytest.mark.parametrize(
    ("groups", "how", "limit", "said"),
    [
        ({"all": []}, "", None, "the inventory has no hosts"),
        ({"all": ["a"], "web": ["a"]}, "", None, "the groups of the inventory: web"),
        ({"all": ["a"]}, "--tags x", None, "--tags x selects no service"),
        (
            {"all": ["a", "b"], "prometheus": ["b"]},
            "",
            "a",
            "verify on a, the only hosts that match --limit a; the inventory has prometheus on b",
        ),
    ],
)
def test_nothing_to_verify_is_told_with_its_reason(groups, how, limit, said):
    words = _scope.nothing_words(groups, ["a"], how, limit)
    assert said in " ".join(words)
    shown = summary([], words=words)
    assert shown.startswith("MONITORING: nothing was verified\n") and said in shown and "0 of 0" not in shown


@pytest.mark.parametrize(
    ("groups", "limit", "hosts", "said"),
    [
        ({"all": ["a"], "prometheus": ["a"]}, "", "prometheus", ""),
        ({"all": ["a", "b"], "prometheus": ["a"]}, "a*:!b", "prometheus", ""),
        ({"all": ["a", "b"], "prometheus": ["a"], "site": ["a", "b"]}, "site:&prometheus", "prometheus", ""),
        (
            {"all": ["a", "b"], "prometheus": ["a"]},
            "b",
            "all",
            "--limit b matches no host of the group prometheus, which has a",
        ),
        ({"all": ["a", "b"], "prometheus": ["a"]}, "all:!prometheus", "all", "which has a"),
        (
            {"all": ["a"], "prometheus": []},
            "",
            "all",
            "no host is in the group prometheus; the groups of the inventory: prom",
        ),
        (
            {"all": ["a"], "web": ["a"]},
            "a",
            "all",
            "no host is in the group prometheus; the groups of the inventory: web",
        ),
        ({"all": ["a"]}, "", "all", "the groups of the inventory: none"),
        ({"all": ["a"], "prometeus": ["a"]}, "", "all", "did you mean prometheus instead of prometeus?"),
        ({"all": []}, "", "localhost", "the inventory has no hosts"),
        ({}, "", "localhost", "the inventory has no hosts"),
    ],
)
def test_a_playbook_for_one_service_has_its_hosts_or_the_reason(groups, limit, hosts, said):
    found = members(groups, "prometheus", limit)
    assert found["hosts"] == hosts and said in found["missing"] and bool(said) == bool(found["missing"])


@pytest.mark.parametrize(
    ("groups", "limit", "hosts", "missing", "without"),
    [
        ({"all": ["a"], "prometheus": ["a"]}, "", "prometheus", "", []),
        (
            {"all": ["a", "b"], "grafana": ["b"], "node_exporter": ["a"]},
            "a",
            "node_exporter:grafana",
            "",
            [],
        ),
        ({"all": ["a"], "prometheus": ["a"], "grafana": []}, "", "prometheus", "", ["in the group grafana"]),
        (
            {"all": ["a"], "prometheus": ["a"], "grafanas": ["a"]},
            "",
            "prometheus",
            "",
            ["did you mean grafana instead of grafanas?"],
        ),
        ({"all": ["a"], "prometheus": []}, "", "all", "no host is in the group of a service: ", []),
        ({"all": ["a"], "prometeus": ["a"]}, "", "all", "did you mean prometheus instead of prometeus?", []),
        (
            {"all": ["a", "b"], "prometheus": ["a"], "grafana": ["a"]},
            "b",
            "all",
            "--limit b matches no host of the groups prometheus, grafana, which have a",
            [],
        ),
        ({"all": []}, "", "localhost", "the inventory has no hosts", []),
    ],
)
def test_a_playbook_for_all_services_names_the_groups_without_hosts(groups, limit, hosts, missing, without):
    found = members(groups, None, limit)
    assert found["hosts"] == hosts and missing in found["missing"] and bool(missing) == bool(found["missing"])
    assert len(found["without"]) == len(without)
    assert all(words in sentence for words, sentence in zip(without, found["without"]))


NOTHING = {
    "report": "nothing was reported",
    "drill": "no synthetic alert was sent",
    "silence": "no alert was silenced, and no silence ended",
    "adopt": "nothing was compared",
}


@pytest.fixture
def playbook(tmp_path):
    """A playbook over an inventory whose hosts are this machine; nothing is asked of it."""

    def run(name, groups, *arguments):
        every = {host for hosts in groups.values() for host in hosts}
        data = {"all": {"vars": {"ansible_connection": "local"}, "hosts": dict.fromkeys(every),
                        "children": {group: {"hosts": dict.fromkeys(hosts)} for group, hosts in groups.items()}}}  # fmt: skip
        (tmp_path / "hosts.json").write_text(json.dumps(data))
        argv = ["ansible-playbook", name + ".yml", "-i", str(tmp_path / "hosts.json"), *arguments]
        ended = play.run(argv, ROOT, {**os.environ, "ANSIBLE_NOCOLOR": "1"}, timeout=120)
        return ended.status, " ".join(ended.output.split())

    return run


@pytest.mark.parametrize(
    ("name", "groups", "arguments", "why"),
    [
        ("report", {"web": ["a"]}, [], "no host is in the group prometheus; the groups of the inventory: web"),
        ("drill", {"web": ["a"]}, [], "no host is in the group alertmanager; the groups of the inventory: web"),
        ("silence", {"web": ["a"]}, [], "no host is in the group alertmanager; the groups of the inventory: web"),
        ("adopt", {"web": ["a"]}, [], "no host is in the group of a service: "),
        ("adopt", {"prometheus": []}, [], "the inventory has no hosts"),
        ("adopt", {"prometheus": [], "web": ["a"]}, [], "no host is in the group of a service: "),
        (
            "adopt",
            {"prometeus": ["a"]},
            [],
            "no host is in a group prometheus: did you mean prometheus instead of prometeus?",
        ),
        (
            "adopt",
            {"prometheus": ["a"], "web": ["b"]},
            ["--limit", "b"],
            "--limit b matches no host of the group prometheus, which has a",
        ),
    ],
)
def test_a_playbook_without_its_hosts_fails_and_says_so(playbook, name, groups, arguments, why):
    status, output = playbook(name, groups, *arguments)
    assert status == 2 and "{0}: {1}".format(NOTHING[name], why) in output


@pytest.mark.parametrize("name", list(NOTHING))
def test_a_playbook_that_tags_leave_out_says_so(playbook, name):
    """It may be another part of a larger playbook that was asked for: no failure, and not a green one without a word."""
    groups = {"prometheus": ["a"], "alertmanager": ["a"]}
    for arguments in (["--tags", "x"], ["--skip-tags", name]):
        status, output = playbook(name, groups, *arguments)
        said = "{0}: {1} excludes it; its tag is {2}".format(NOTHING[name], " ".join(arguments), name)
        assert status == 0 and said in output
    status, output = playbook(name, {"web": ["a"]}, "--tags", name)
    assert status == 2 and NOTHING[name] in output and "excludes it" not in output


@pytest.mark.parametrize(
    ("run_tags", "skip_tags", "said"),
    [
        (["all"], [], ""),
        (["report"], [], ""),
        (["x", "report"], ["y"], ""),
        (["tagged"], [], ""),
        (["x"], [], "--tags x excludes it; its tag is report"),
        (["untagged"], [], "--tags untagged excludes it; its tag is report"),
        (["all"], ["report"], "--skip-tags report excludes it; its tag is report"),
        (["report"], ["report"], "--tags report --skip-tags report excludes it; its tag is report"),
        (["all"], ["tagged"], "--skip-tags tagged excludes it; its tag is report"),
    ],
)
def test_how_tags_leave_something_out(run_tags, skip_tags, said):
    assert left_out("report", run_tags, skip_tags) == said


def test_what_tags_leave_out_is_counted():
    left_out = [("a", "prometheus"), ("a", "node_exporter"), ("b", "node_exporter")]
    said = "not verified, because --tags x excludes it: node_exporter on 2 hosts, prometheus on 1 host"
    assert _scope.left_out_words(left_out, _scope.chooses(["x"], [])) == said
    assert _scope.chooses(["all"], ["a", "b"]) == "--skip-tags a,b"
    assert _scope.chooses(["all"], []) == ""


def test_what_a_play_gives_to_a_role_is_found_and_remembered(tmp_path):
    (tmp_path / "hosts.yml").write_text("web: {hosts: {a: {prometheus_version: 3.5.0, monitoring_x: 1, zone: z}}}\n")
    loader = DataLoader()
    inventory = InventoryManager(loader, sources=[str(tmp_path / "hosts.yml")])
    hostvars = HostVars(inventory, VariableManager(loader, inventory), loader)
    play = {
        **_run.role_defaults(loader, "prometheus"),
        **hostvars.raw_get("a"),
        "hostvars": hostvars,
        "prometheus_web_listen_address": "0.0.0.0:9191",
        "prometheus_version": "3.6.0",
        # As the play says it; what it names goes with it, and what other roles have does not.
        **_trusted(loader, tmp_path, "{prometheus_db_dir: '{{ base }}/data', base: '/srv/{{ zone }}', unused: 1}"),
        "grafana_server": {"http_port": 1},
        "__prometheus_x": 2,
    }
    given = _run.given_here("prometheus", play, loader)
    assert given == {
        "prometheus_web_listen_address": "0.0.0.0:9191",
        "prometheus_version": "3.6.0",
        "prometheus_db_dir": "{{ base }}/data",
        "base": "/srv/{{ zone }}",
    }
    _run.note("prometheus", "a/b", given)
    _run.note("grafana", "a/b", {})
    assert _run.noted() == {"prometheus": {"a/b"}, "grafana": {"a/b"}}
    assert _run.given_to("prometheus", "a/b", loader) == given
    assert _run.given_to("grafana", "a/b", loader) == _run.given_to("grafana", "c", loader) == {}
    assert verify_hosts({"all": ["a/b"]}) == "a/b"
    kept = list((tmp_path / "vigil.monitoring").rglob("*"))
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept if path.is_file())


def _trusted(loader, folder, text):
    path = folder / "play.yml"
    path.write_text(text)
    return _run.read_trusted(loader, str(path))


def test_nothing_is_noted_of_a_role_whose_values_are_all_the_inventory_s(tmp_path):
    (tmp_path / "hosts.yml").write_text("web: {hosts: {a: {prometheus_version: 3.5.0}}}\n")
    loader = DataLoader()
    inventory = InventoryManager(loader, sources=[str(tmp_path / "hosts.yml")])
    hostvars = HostVars(inventory, VariableManager(loader, inventory), loader)
    variables = {**_run.role_defaults(loader, "prometheus"), **hostvars.raw_get("a"), "hostvars": hostvars}
    assert _run.given_here("prometheus", variables, loader) == {}


GROUPS = merge_groups([{"prometheus": {"service": "prometheus", "port": 9090}, "web": {"port": 80}}])


def test_a_server_outside_the_groups_scrapes_itself():
    inventory = {"all": ["a"], "monitoring": ["a"]}
    found = with_server(GROUPS, inventory, "prometheus", "a")
    planned = plan(GROUPS, found, lambda host, name: None, own_host="a")
    assert planned["expected"] == [{"job": "prometheus", "instance": "a:9090"}]
    # So that the pack about monitoring itself is chosen as well.
    assert planned["rules"]["groups"] == {"prometheus": "prometheus"}


@pytest.mark.parametrize(
    ("groups", "inventory"),
    [
        (GROUPS, {"prometheus": ["a", "b"]}),
        (merge_groups([{"prometheus": None, "web": {"port": 80}}]), {"web": ["a"]}),
        (merge_groups([{"watchers": {"service": "prometheus", "port": 9090}}]), {"watchers": ["a"]}),
    ],
)
def test_a_server_is_no_target_twice_nor_against_the_inventory(groups, inventory):
    assert with_server(groups, inventory, "prometheus", "a") is inventory


def test_a_host_says_what_was_left_on_it():
    comparison = Remains({"prometheus": "/etc/prometheus", "grafana": "/etc/my grafana"})
    command = comparison.command()
    assert "test -e '/etc/my grafana/.vigil/manifest.json'" in command and "grafana-server.service" in command
    said = "--- vigil ---\ngrafana\n--- vigil ---\nprometheus\n--- vigil ---\nalertmanager\n--- vigil ---\n"
    assert comparison.kinds(said) == ["prometheus", "grafana"]
    assert comparison.deployed(said) == "alertmanager"
    assert comparison.kinds("") == [] and comparison.deployed("") == ""
