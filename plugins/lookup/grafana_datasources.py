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
    - Each has a uid that is made of its name, so that dashboards which name it stay whole.
  options:
    _terms:
      description: One dictionary of inventory group to name of its data source.
      type: list
      elements: dict
      required: true
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
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import HostValues
from ansible_collections.vigil.monitoring.plugins.plugin_utils._role_inputs import RoleInputs
from ansible_collections.vigil.monitoring.plugins.plugin_utils._task_cache import once_per_task
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain
from ansible_collections.vigil.monitoring.plugins.plugin_utils._tls import GRAFANA, Tls


def prometheus_source(name, host, value, own_host, tls=None):
    """The data source of one host's Prometheus.

    :param tls: :class:`_tls.Tls` of Grafana, for those that ``monitoring_tls`` has closed.
    :param value: function of a host and the name of a variable.
    :param own_host: the host of Grafana, on which a Prometheus that listens on the loopback is reached there.
    :raises ScrapeError: when Grafana could not reach it.
    """
    at = _scrape.endpoint("prometheus", host, value)
    address = _scrape.address_of(host, value)
    if at.host and _scrape.is_loopback(at.host):
        if host != own_host:
            raise _scrape.ScrapeError(
                "the Prometheus of {0} listens on {1} alone, where the Grafana of {2} cannot reach it; let it listen"
                " elsewhere, or leave its group out of grafana_prometheus_groups".format(host, at.host, own_host)
            )
        address = at.host
    asks_for = _scrape.asks_for_client("prometheus", host, value)
    if asks_for:
        raise _scrape.ScrapeError(
            "{0} wants a client certificate: leave its group out of grafana_prometheus_groups, and give the data source"
            " in grafana_datasources, with tlsAuth and its certificate".format(asks_for)
        )
    interval = (value(host, "prometheus_global") or {}).get("scrape_interval") or "15s"
    source = {
        "name": name,
        "type": "prometheus",
        "access": "proxy",
        "url": "{0}://{1}{2}".format(at.scheme, _scrape.join(address, at.port or 9090), at.prefix),
        # What `$__rate_interval` is made of: the interval at which it really scrapes.
        "jsonData": {"httpMethod": "POST", "timeInterval": str(interval)},
    }
    username, password = value(host, "prometheus_health_username"), value(host, "prometheus_health_password")
    secrets = {}
    if at.closed_by:
        login = tls.login(GRAFANA)
        username, password = username or login.username, password or login.password
        source["jsonData"]["tlsAuthWithCACert"] = True
        secrets["tlsCACert"] = "$__file{{{0}}}".format(tls.path("ca"))
    if username and password:
        secrets["basicAuthPassword"] = str(password).replace("$", "$$")
        source.update(basicAuth=True, basicAuthUser=username)
    return {**source, "secureJsonData": secrets} if secrets else source


class LookupModule(LookupBase):
    """The inventory as Grafana sees it."""

    def run(self, terms, variables=None, **kwargs):
        """See DOCUMENTATION."""
        self.set_options(var_options=variables, direct=kwargs)
        if not variables or "hostvars" not in variables:
            raise AnsibleLookupError("grafana_datasources needs an inventory")
        question = (repr(terms), repr(self.get_option("given")), variables.get("inventory_hostname"))
        return [once_per_task(question, lambda: self._sources(terms, variables))]

    def _sources(self, terms, variables):
        inventory = variables["groups"]
        value = HostValues(variables["hostvars"], self._templar, {"groups": inventory})
        # What Grafana shows and trusts follows from the variables of its own host.
        tls = Tls(RoleInputs("grafana", self._loader, self._templar, variables), "grafana")
        found = []
        try:
            for groups in plain(terms):
                for group, name in groups.items():
                    hosts = [host for host in inventory.get(group) or () if value(host, "prometheus_state") != "absent"]
                    for number, host in enumerate(hosts):
                        # The first one bears the plain name, so that a second one changes nothing about it.
                        own = name if number == 0 else "{0} {1}".format(name, host)
                        found.append(prometheus_source(own, host, value, variables.get("inventory_hostname"), tls))
            if found:
                found[0]["isDefault"] = True
            return complete_sources(found, plain(self.get_option("given")))
        except (_scrape.ScrapeError, ValueError) as error:
            raise AnsibleLookupError(str(error)) from error
