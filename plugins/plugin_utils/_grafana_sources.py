# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data sources of Grafana that follow from the inventory, and what keeps Grafana from them."""

from __future__ import annotations

from ansible.errors import AnsibleError
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _promxy, _scrape, _shards
from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import complete_sources
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem
from ansible_collections.vigil.monitoring.plugins.plugin_utils._tls import GRAFANA, Login


class _AnyTls:
    """In the place of :class:`_tls.Tls` where nothing is deployed, and no certificate authority made."""

    @staticmethod
    def login(name):
        return Login(name, "-")

    @staticmethod
    def path(what):
        return "/" + what


def check_sources(hosts, value, inventory):
    """What keeps the Grafana of each host from its data sources: pairs of a host and a problem.

    :param hosts: names of the hosts with Grafana.
    :param value: function of a host and the name of a variable.
    :param inventory: group -> names of its hosts.
    """
    problems = []
    for host in _shards.present("grafana", hosts, value):
        groups, promxy_group, alertmanagers, given = (
            value(host, "grafana_" + name)
            for name in ("prometheus_groups", "promxy_group", "alertmanager_groups", "datasources")
        )
        try:
            # Of another type they may be texts that the role makes these of.
            groups, given = groups if isinstance(groups, dict) else {}, given if isinstance(given, list) else []
            found = sources([groups], inventory, value, host, promxy_group or "", _AnyTls())
            alertmanagers = alertmanagers if isinstance(alertmanagers, dict) else {}
            complete_sources([*found, *alertmanager_sources(alertmanagers, inventory, value, host, _AnyTls())], given)
        except _scrape.ScrapeError as error:
            problems.append((host, Problem("grafana_prometheus_groups", *_halves(str(error)))))
        except ValueError as error:
            name, dummy, rest = str(error).partition(": ")
            problems.append((host, Problem(name, *_halves(rest))))
        except AnsibleError:
            # Said of the variable itself, by the role that it belongs to.
            continue
    return problems


def _halves(text):
    """What is wrong, and the remedy."""
    for sign in ("; ", ": "):
        found, dummy, remedy = text.rpartition(sign)
        if found:
            return found, remedy
    return text, "correct it"


def _source(service, name, host, value, own_host, tls):
    """The data source of one host's service, without what its type has besides.

    :param tls: :class:`_tls.Tls` of Grafana, for those that ``monitoring_tls`` has closed.
    :param value: function of a host and the name of a variable.
    :param own_host: the host of Grafana, on which a server that listens on the loopback is reached there.
    :raises ScrapeError: when Grafana could not reach it.
    """
    variable = "grafana_{0}_group{1}".format(service, "" if service == "promxy" else "s")
    found = _promxy.server(service, host, value, own_host, "Grafana", "leave its group out of {0}".format(variable))
    asks_for = _scrape.asks_for_client(service, host, value)
    if asks_for:
        raise _scrape.ScrapeError(
            "{0} wants a client certificate: leave its group out of {1}, and give the data source"
            " in grafana_datasources, with tlsAuth and its certificate".format(asks_for, variable)
        )
    url = "{0}://{1}{2}".format(found.at.scheme, found.address, found.at.prefix)
    source = {"name": name, "access": "proxy", "url": url, "jsonData": {}}
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


def prometheus_source(service, name, host, value, own_host, tls=None):
    """The data source of one host's Prometheus, or of what has Prometheus' API; see :func:`_source`.

    :param service: ``prometheus``, or another with its API.
    """
    source = _source(service, name, host, value, own_host, tls)
    interval = (value(host, "prometheus_global") or {}).get("scrape_interval") or "15s"
    # What `$__rate_interval` is made of: the interval at which it really scrapes.
    source["jsonData"].update(httpMethod="POST", timeInterval=str(interval))
    return {"type": "prometheus", **source}


def alertmanager_sources(groups, inventory, value, own_host, tls=None):
    """The data sources with which Grafana shows whom Alertmanager notifies, and who has silenced an alert.

    One that Grafana could not reach is left out: its dashboards work without it.

    :param groups: dict of an inventory group to the name of its data source; for the other parameters see :func:`sources`.
    """
    found = []
    for group, name in (groups or {}).items():
        own = []
        for host in _shards.present("alertmanager", inventory.get(group) or (), value):
            try:
                own.append(_source("alertmanager", "{0} {1}".format(name, host), host, value, own_host, tls))
            except _scrape.ScrapeError:
                continue
        for source in own:
            # Grafana's own alerts go where Grafana is told to.
            source["jsonData"].update(implementation="prometheus", handleGrafanaManagedAlerts=False)
            found.append({"type": "alertmanager", **source, **({"name": name} if source is own[0] else {})})
    return found


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
