# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
  name: promxy_server_groups
  author: Contributors to vigil.monitoring (@vigil-monitoring)
  version_added: 0.4.0
  short_description: The Prometheus servers of the inventory as promxy queries them
  description:
    - Gives one server group for each part of the targets (C(prometheus_shards)), with the servers that scrape it, at the address
      that the variables of their hosts say.
    - Servers that are removed or in agent mode are left out. Of servers of one part of which only some are closed by
      C(monitoring_tls), the closed ones alone are asked, as no password may be sent to others.
  options:
    _terms:
      description: Names of inventory groups.
      type: list
      elements: str
      required: true
    client:
      description: How those servers are queried that C(monitoring_tls) has closed; V(password) to options of an HTTP client.
      type: dict
      default: {}
"""

EXAMPLES = r"""
- name: Show which servers stand in for one another
  ansible.builtin.debug:
    msg: "{{ lookup('vigil.monitoring.promxy_server_groups', 'prometheus').parts }}"
"""

RETURN = r"""
_raw:
  description: One element with these keys.
  type: list
  elements: dict
  contains:
    groups:
      description: Server groups in promxy's own format.
      type: list
      elements: dict
      sample:
        - static_configs: [{targets: ['192.0.2.10:9090', '192.0.2.11:9090']}]
          scheme: http
          path_prefix: ''
          anti_affinity: 15s
          http_client: {dial_timeout: 2s}
    parts:
      description:
        - For each server group, the C(servers) as names of hosts, and C(hosts), some of those that these servers alone scrape, by
          which the verification knows that the group has answered.
      type: list
      elements: dict
    closed:
      description: Whether one of them is closed by C(monitoring_tls).
      type: bool
"""

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _promxy
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import HostValues
from ansible_collections.vigil.monitoring.plugins.plugin_utils._scrape import ScrapeError
from ansible_collections.vigil.monitoring.plugins.plugin_utils._shards import ShardError
from ansible_collections.vigil.monitoring.plugins.plugin_utils._task_cache import once_per_task
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain


class LookupModule(LookupBase):
    """The inventory as promxy sees it."""

    def run(self, terms, variables=None, **kwargs):
        """See DOCUMENTATION."""
        self.set_options(var_options=variables, direct=kwargs)
        if not variables or "hostvars" not in variables:
            raise AnsibleLookupError("promxy_server_groups needs an inventory")
        host, client = variables.get("inventory_hostname"), plain(self.get_option("client"))
        question = ("promxy_server_groups", repr(terms), repr(client), host)
        return [once_per_task(question, lambda: self._groups(plain(terms), client, host, variables))]

    def _groups(self, terms, client, host, variables):
        value = HostValues(variables["hostvars"], self._templar, {"groups": variables["groups"]})
        try:
            return _promxy.server_groups(terms, variables["groups"], value, host, client)
        except (ScrapeError, ShardError) as error:
            raise AnsibleLookupError(str(error)) from error
