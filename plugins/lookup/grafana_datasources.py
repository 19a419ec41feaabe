# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
  name: grafana_datasources
  author: Contributors to vigil.monitoring (@vigil-monitoring)
  version_added: 0.2.0
  short_description: The data sources that the inventory has for Grafana
  description:
    - Gives one data source for each Prometheus of the groups that are named, with the address that the variables of its
      host say, and the user's own besides.
    - Where a group of promxy is named and has hosts, the first of them is the default data source, with the name that the
      first Prometheus has otherwise, and each Prometheus has the name of its host in its own.
    - Each has a uid that is made of its name, so that dashboards which name it stay whole.
  options:
    _terms:
      description: One dictionary of inventory group to name of its data source.
      type: list
      elements: dict
      required: true
    promxy_group:
      description: Inventory group of promxy; empty for none.
      type: str
      default: ''
    alertmanager_groups:
      description: Inventory groups of Alertmanager to the name of its data source. One that Grafana could not reach, as it listens on
        the loopback of another host or wants a client certificate, is left out; so are all of them where O(given) has one of its type.
      type: dict
      default: {}
      version_added: 0.4.0
    given:
      description: Data sources of the user's own, in Grafana's shape. One that bears the name of another is laid over it.
      type: list
      elements: dict
      default: []
"""

EXAMPLES = r"""
- name: What Grafana would get
  ansible.builtin.debug:
    msg: "{{ lookup('vigil.monitoring.grafana_datasources', {'prometheus': 'Prometheus'}) }}"
"""

RETURN = r"""
_raw:
  description: One list of data sources, as Grafana's provisioning takes them.
  type: list
  elements: list
"""

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _scrape
from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import complete_sources
from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana_sources import alertmanager_sources, sources
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import HostValues
from ansible_collections.vigil.monitoring.plugins.plugin_utils._role_inputs import RoleInputs
from ansible_collections.vigil.monitoring.plugins.plugin_utils._task_cache import once_per_task
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain
from ansible_collections.vigil.monitoring.plugins.plugin_utils._tls import Tls


class LookupModule(LookupBase):
    """The inventory as Grafana sees it."""

    def run(self, terms, variables=None, **kwargs):
        """See DOCUMENTATION."""
        self.set_options(var_options=variables, direct=kwargs)
        if not variables or "hostvars" not in variables:
            raise AnsibleLookupError("grafana_datasources needs an inventory")
        question = (repr(terms), repr(self.get_options()), variables.get("inventory_hostname"))
        return [once_per_task(question, lambda: self._sources(terms, variables))]

    def _sources(self, terms, variables):
        inventory = variables["groups"]
        value = HostValues(variables["hostvars"], self._templar, {"groups": inventory})
        # What Grafana shows and trusts follows from the variables of its own host.
        tls = Tls(RoleInputs("grafana", self._loader, self._templar, variables), "grafana")
        try:
            found = sources(
                plain(terms),
                inventory,
                value,
                variables.get("inventory_hostname"),
                self.get_option("promxy_group"),
                tls,
            )
            alertmanagers = plain(self.get_option("alertmanager_groups"))
            found += alertmanager_sources(alertmanagers, inventory, value, variables.get("inventory_hostname"), tls)
            return complete_sources(found, plain(self.get_option("given")))
        except (_scrape.ScrapeError, ValueError) as error:
            raise AnsibleLookupError(str(error)) from error
