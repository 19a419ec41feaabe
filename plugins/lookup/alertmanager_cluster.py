# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
  name: alertmanager_cluster
  author: Contributors to vigil.monitoring (@vigil-monitoring)
  version_added: 0.3.0
  short_description: The cluster of the Alertmanagers of an inventory group
  description:
    - Gives the flags C(--cluster.*) with which the Alertmanagers of a group know of each other, so that a message is sent
      once. A single one, or a host that is not in the group, stands alone.
    - The address of a host is its C(monitoring_address), else its C(ansible_host), else its name in the inventory. No
      other variable of another host but these and C(alertmanager_state) is read.
  options:
    _terms:
      description: Names of the hosts with an Alertmanager.
      type: list
      elements: str
      required: true
    closed:
      description:
        - Return whether all other Alertmanagers of this host's cluster use TLS by C(monitoring_tls) instead. Their variables about
          TLS are read then.
      type: bool
      default: false
"""

EXAMPLES = r"""
- name: Show how this host takes part
  ansible.builtin.debug:
    msg: "{{ lookup('vigil.monitoring.alertmanager_cluster', groups.alertmanager) }}"
"""

RETURN = r"""
_raw:
  description: One dictionary for C(alertmanager_cluster); or, with O(closed), one boolean.
  type: list
  elements: raw
  sample:
    - listen-address: "0.0.0.0:9094"
      advertise-address: "192.0.2.1:9094"
      peers: ["192.0.2.2:9094"]
"""

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import HostValues
from ansible_collections.vigil.monitoring.plugins.plugin_utils._scrape import ScrapeError, cluster, has_closed_cluster
from ansible_collections.vigil.monitoring.plugins.plugin_utils._task_cache import once_per_task
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain


class LookupModule(LookupBase):
    """A group of Alertmanagers as one of them sees it."""

    def run(self, terms, variables=None, **kwargs):
        """See DOCUMENTATION."""
        self.set_options(var_options=variables, direct=kwargs)
        if not variables or "hostvars" not in variables:
            raise AnsibleLookupError("alertmanager_cluster needs an inventory")
        hosts, host = [], variables.get("inventory_hostname")
        for term in plain(list(terms)):
            hosts += term if isinstance(term, list) else [term]
        ask = has_closed_cluster if self.get_option("closed") else cluster
        question = ("alertmanager_cluster", tuple(hosts), host, ask.__name__)
        return [once_per_task(question, lambda: self._cluster(ask, hosts, host, variables))]

    def _cluster(self, ask, hosts, host, variables):
        value = HostValues(variables["hostvars"], self._templar, {"groups": variables["groups"]})
        try:
            return ask(host, hosts, value)
        except ScrapeError as error:
            raise AnsibleLookupError(str(error)) from error
