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
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _promxy, _scrape, _shards
from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import complete_sources
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import HostValues
from ansible_collections.vigil.monitoring.plugins.plugin_utils._role_inputs import RoleInputs
from ansible_collections.vigil.monitoring.plugins.plugin_utils._task_cache import once_per_task
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain
from ansible_collections.vigil.monitoring.plugins.plugin_utils._tls import GRAFANA, Tls


def prometheus_source(service, name, host, value, own_host, tls=None):
    """The data source of one host's Prometheus, or of what has Prometheus' API.

    :param service: ``prometheus``, or another with its API.
    :param tls: :class:`_tls.Tls` of Grafana, for those that ``monitoring_tls`` has closed.
    :param value: function of a host and the name of a variable.
    :param own_host: the host of Grafana, on which a server that listens on the loopback is reached there.
    :raises ScrapeError: when Grafana could not reach it.
    """
    variable = "grafana_{0}_group{1}".format(service, "s" if service == "prometheus" else "")
    found = _promxy.server(service, host, value, own_host, "Grafana", "leave its group out of {0}".format(variable))
    asks_for = _scrape.asks_for_client(service, host, value)
    if asks_for:
        raise _scrape.ScrapeError(
            "{0} wants a client certificate: leave its group out of {1}, and give the data source"
            " in grafana_datasources, with tlsAuth and its certificate".format(asks_for, variable)
        )
    interval = (value(host, "prometheus_global") or {}).get("scrape_interval") or "15s"
    source = {
        "name": name,
        "type": "prometheus",
        "access": "proxy",
        "url": "{0}://{1}{2}".format(found.at.scheme, found.address, found.at.prefix),
        # What `$__rate_interval` is made of: the interval at which it really scrapes.
        "jsonData": {"httpMethod": "POST", "timeInterval": str(interval)},
    }
    username, password = (value(host, "{0}_health_{1}".format(service, part)) for part in ("username", "password"))
    secrets = {}
    if found.at.closed_by:
        login = tls.login(GRAFANA)
        username, password = username or login.username, password or login.password
        source["jsonData"]["tlsAuthWithCACert"] = True
        secrets["tlsCACert"] = "$__file{{{0}}}".format(tls.path("ca"))
    if username and password:
        secrets["basicAuthPassword"] = str(password).replace("$", "$$")
        source.update(basicAuth=True, basicAuthUser=username)
    return {**source, "secureJsonData": secrets} if secrets else source


def sources(groups, inventory, value, own_host, promxy_group="", tls=None):
    """The data sources of the inventory, the default one first.

    :param groups: list of dicts of an inventory group to the name of its data source.
    :param inventory: group -> names of its hosts.
    :param promxy_group: inventory group of promxy; empty for none.
    """
    found, proxies = [], _shards.present("promxy", inventory.get(promxy_group) or (), value) if promxy_group else []
    for mapping in groups:
        for group, name in mapping.items():
            hosts = _shards.present("prometheus", inventory.get(group) or (), value)
            if not found and hosts:
                for number, host in enumerate(proxies):
                    own = name if number == 0 else "{0} promxy {1}".format(name, host)
                    # Its interval is that of the servers behind it.
                    source = prometheus_source("promxy", own, host, value, own_host, tls)
                    behind = (value(hosts[0], "prometheus_global") or {}).get("scrape_interval") or "15s"
                    source["jsonData"]["timeInterval"] = str(behind)
                    found.append(source)
            for number, host in enumerate(hosts):
                # The first one bears the plain name, so that a second one changes nothing about it.
                own = name if number == 0 and not proxies else "{0} {1}".format(name, host)
                found.append(prometheus_source("prometheus", own, host, value, own_host, tls))
    if found:
        found[0]["isDefault"] = True
    return found


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
            return complete_sources(found, plain(self.get_option("given")))
        except (_scrape.ScrapeError, ValueError) as error:
            raise AnsibleLookupError(str(error)) from error
