# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of other hosts: the fast ways have to say what the template engine says."""

from __future__ import annotations

import pytest
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

from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import HostValues

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
