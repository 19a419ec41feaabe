# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of other hosts: the fast ways have to say what the template engine says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

try:
    from ansible.template import trust_as_template
except ImportError:
    trust_as_template = str

from ansible_collections.vigil.monitoring.plugins.lookup import (
    alertmanager_cluster,
    grafana_datasources,
    scrape_targets,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import HostValues, simply_rendered
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain

GROUP_VARS = r"""
port: 9100
zone: "{{ rack }}.example.com"
plain: "{{ ansible_host }}:{{ port }}"
nested: "{{ inventory_hostname }}.{{ zone }}"
default_name: "{{ absent | default(ansible_host) }}:1"
default_text: "{{ absent | default('x y') }}:{{absent|d(\"z\")}}:{{ absent|default( 7 ) }}"
default_unused: "{{ port | default('9') }}"
filtered: "{{ ansible_host | upper }}"
dictionary: {cert: "{{ folder | default('/etc') }}/{{ zone }}", port: "{{ port }}"}
listed: ["{{ port }}", {a: "{{ rack }}"}]
of_others: "{{ hostvars['two'].ansible_host }}"
of_groups: "{{ groups['web'] | join('+') }}"
conditional: "{% if rack == 'r1' %}first{% else %}other{% endif %}"
brace: "{ {{ port }} }"
raw: "{% raw %}{{ $labels.x }}{% endraw %}"
literal: "{{ true }}"
broken: "{{ nowhere_to_be_found }}"
broken_too: "{{ nowhere_to_be_found | upper }}"
number: 5
nothing: null
"""


@pytest.fixture(scope="module")
def hostvars(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inventory")
    (folder / "group_vars").mkdir()
    (folder / "group_vars/web.yml").write_text(GROUP_VARS)
    (folder / "hosts.yml").write_text(
        "web: {hosts: {one: {ansible_host: h1, rack: r1}, two: {ansible_host: h2, rack: r2}, three: {rack: r2}}}\n"
    )
    loader = DataLoader()
    inventory = InventoryManager(loader, sources=[str(folder)])
    return HostVars(inventory, VariableManager(loader, inventory), loader)


@pytest.fixture
def values(hostvars):
    templar = Templar(loader=DataLoader(), variables={})
    return HostValues(
        hostvars,
        templar,
        {"groups": {"web": ["one", "two", "three"]}},
        {"role_default": trust_as_template("{{ port }}!")},
    )


@pytest.mark.parametrize("host", ["one", "two"])
@pytest.mark.parametrize(
    "name",
    "port zone plain nested default_name default_text default_unused filtered dictionary listed of_groups"
    " conditional brace raw number nothing".split(),
)
def test_values_are_those_of_the_engine(values, hostvars, host, name):
    for dummy in range(2):
        ours, theirs = values(host, name), hostvars[host][name]
        assert ours == theirs or str(ours) == str(theirs)


SIMPLE = {
    "name": "one",
    "text": "a b",
    "empty": "",
    "port": 9100,
    "flag": True,
    "nothing": None,
    "list": ["a"],
    "like_a_list": "[a]",
    "like_a_bool": "True",
    "chain": "{{ link }}-x",
    "link": "{{ name }}",
    "with_default": "{{ absent | default('d') }}",
    "loop": "{{ pool }}",
    "pool": "{{ loop }}",
    "lines": "{{ name }}\n",
    "broken": "{{ absent }}",
    "other": "{{ text | upper }}",
    "mostly_unset": "{{ absent | default(false) }}",
}


@pytest.mark.parametrize(
    ("template", "simple"),
    [
        ("{{ name }}", True),
        ("{{name}}.{{ text }}", True),
        ("/{{ chain }}/{{ link }}", True),
        ("{{ empty }}", True),
        ("{{ absent | default('systemd') }}", True),
        ("{{ absent | default('') }}", True),
        ('{{ absent|d("x") }}:1', True),
        ("{{ absent | default(name) }}", True),
        ("{{ name | default('unused') }}", True),
        ("{{ name | default(absent) }}", True),
        ("{{ with_default }}{{ chain }}", True),
        ("{{ port }}", False),
        ("{{ port }}:1", False),
        ("{{ flag }}", False),
        ("{{ nothing | default('x') }}", False),
        ("{{ list }}", False),
        ("{{ absent | default(5) }}", False),
        ("{{ absent | default({}) }}", True),
        ("{{absent|default( [] )}}", True),
        ("{{ absent | default(false) }}", True),
        ("{{ absent | default(true) }}", True),
        ("{{ list | default([]) }}", False),
        ("{{ true | default(false) }}", False),
        ("{{ absent | default({}) }}x", False),
        ("{{ mostly_unset }}", False),
        ("{{ like_a_list }}", False),
        ("{{ like_a_bool }}", False),
        ("{{ lines }}x", False),
        ("{{ true }}", False),
        ("{{ name | upper }}", False),
        ("{{ other }}", False),
        ("{{- name -}}", False),
        ("{{ name }}{% if flag %}x{% endif %}", False),
        ("{{ name }}{# comment #}", False),
        ("{{ name }}\n", False),
    ],
)
def test_a_simple_template_is_rendered_as_by_the_engine(template, simple):
    variables = {name: trust_as_template(value) if isinstance(value, str) else value for name, value in SIMPLE.items()}
    engine = Templar(loader=DataLoader(), variables=variables)
    found = simply_rendered(trust_as_template(template), variables)
    assert (found is not None) == simple
    if simple:
        theirs = engine.template(trust_as_template(template))
        assert found == theirs and isinstance(theirs, type(plain(found)))


@pytest.mark.parametrize("template", ["{{ loop }}", "{{ broken }}", "{{ absent }}", "{{ absent | default(nowhere) }}"])
def test_what_cannot_be_rendered_is_left_to_the_engine(template):
    variables = {name: trust_as_template(value) if isinstance(value, str) else value for name, value in SIMPLE.items()}
    assert simply_rendered(trust_as_template(template), variables) is None


def test_text_of_a_host_is_no_template():
    """What a host says about itself is not evaluated, also where it looks like a template."""
    if trust_as_template is str:
        pytest.skip("ansible-core before 2.19 marks such text otherwise")
    assert simply_rendered("{{ name }}", {"name": "x"}) is None
    assert simply_rendered(trust_as_template("{{ name }}"), {"name": "{{ secret }}", "secret": "x"}) is None


def test_each_host_has_its_own(values):
    assert [values(host, "zone") for host in ("one", "two", "three")] == [
        "r1.example.com",
        "r2.example.com",
        "r2.example.com",
    ]
    assert values("one", "dictionary")["cert"] == "/etc/r1.example.com"
    assert values("two", "dictionary")["cert"] == "/etc/r2.example.com"


def test_other_hosts_can_be_asked(values):
    assert values("one", "of_others") == "h2"


def test_what_is_not_there_is_none_or_the_role_says_it(values):
    assert values("one", "unheard_of") is None
    assert values("one", "role_default") == "9100!"


@pytest.mark.parametrize("name", ["broken", "broken_too"])
def test_an_undefined_variable_is_named_with_its_host(values, name):
    with pytest.raises(AnsibleError, match=name + " of host one cannot be evaluated.*nowhere_to_be_found"):
        values("one", name)


def test_a_host_that_is_in_no_inventory_is_named(values):
    with pytest.raises(AnsibleError, match="nobody"):
        values("nobody", "port")


# What somebody keeps in the variables of his hosts, and what no service of ours asks for.
UNRELATED = r"""
backup:
  hosts: "{{ groups['all'] | map('extract', hostvars, 'ansible_host') | list }}"
  key: "{{ lookup('ansible.builtin.file', '/nowhere/to/be/found') }}"
  port: "{{ nowhere_to_be_found }}"
  itself: "{{ hostvars }}"
  bad: "{{ 1 / 0 }}"
sealed: !vault |
  $ANSIBLE_VAULT;1.1;AES256
  30303030
"""
SITE = """
all:
  children:
    prometheus: {hosts: {one: {}}}
    alertmanager: {hosts: {one: {ansible_host: 192.0.2.1}, two: {ansible_host: 192.0.2.2}}}
    node_exporter: {hosts: {two: {}, three: {ansible_host: 192.0.2.3}}}
"""
SCRAPED = {"node_exporter": {"job": "node", "service": "node_exporter", "port": 9100}}


class Counted(HostVars):
    """Counts the hosts whose variables are templated as a whole, as any step through one of these does."""

    whole = 0

    def __getitem__(self, name):
        Counted.whole += 1
        return super().__getitem__(name)


def looked_up(tmp_path, plugin, terms, unrelated=UNRELATED, hosts=SITE):
    """A lookup's answer for the host `one` of an inventory of its own."""
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/all.yml").write_text(unrelated)
    (tmp_path / "hosts.yml").write_text(hosts)
    loader = DataLoader()
    inventory = InventoryManager(loader, sources=[str(tmp_path)])
    manager = VariableManager(loader, inventory)
    hostvars = Counted(inventory, manager, loader)
    variables = {
        **manager.get_vars(host=inventory.get_host("one")),
        "hostvars": hostvars,
        "groups": inventory.get_groups_dict(),
    }
    lookup = plugin.LookupModule(loader, Templar(loader=loader, variables=variables))
    # Ansible finds the defaults in the documentation of a plugin that it has loaded itself.
    documented = yaml.safe_load(plugin.DOCUMENTATION)["options"].items()
    known = {name: option.get("default") for name, option in documented}
    lookup.get_option, lookup.get_options = known.__getitem__, lambda: known
    return lookup.run(terms, variables)[0]


def test_variables_that_nobody_asks_for_are_not_looked_at(tmp_path):
    """A failing lookup, an undefined variable, hostvars, or a secret of another vault: all in somebody's own variables."""
    Counted.whole = 0
    for number, (plugin, terms, expected) in enumerate(
        [
            (alertmanager_cluster, ["one", "two"], "'peers': ['192.0.2.2:9094']"),
            (scrape_targets, [SCRAPED], "{'job': 'node', 'instance': '192.0.2.3:9100'}"),
            (grafana_datasources, [{"prometheus": "Prometheus"}], "http://192.0.2.1:9090"),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert expected in str(looked_up(folder, plugin, terms))
    assert Counted.whole == 0


def test_a_variable_that_is_needed_may_use_the_others_of_its_host(tmp_path):
    of_others = (
        "monitoring_address: \"{{ inventory_hostname }}.{{ hostvars['one'].zone }}.{{ groups['all'] | length }}\"\n"
    )
    found = looked_up(
        tmp_path, alertmanager_cluster, ["one", "two"], unrelated=UNRELATED + of_others + "zone: example.org\n"
    )
    assert found["peers"] == ["two.example.org.3:9094"]


def test_a_needed_variable_that_cannot_be_evaluated_is_named_with_its_host(tmp_path):
    broken = UNRELATED + 'monitoring_address: "{{ nowhere_to_be_found }}"\n'
    with pytest.raises(AnsibleError, match=r"monitoring_address of host (one|two) cannot be evaluated"):
        looked_up(tmp_path, alertmanager_cluster, ["one", "two"], unrelated=broken)


def test_no_role_hands_the_variables_of_all_hosts_around():
    """A filter gets them as one structure, every value of it templated."""
    root = Path(__file__).resolve().parents[2]
    for path in [*root.glob("roles/*/*/*.yml"), *root.glob("playbooks/*.yml")]:
        assert "hostvars" not in path.read_text(encoding="utf-8"), path
