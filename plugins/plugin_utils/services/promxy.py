# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""promxy: one address for the queries of several Prometheus servers."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._exporter import Exporter
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import RELOAD
from ansible_collections.vigil.monitoring.plugins.plugin_utils._tls import PASSWORD, PROMXY, Tls

# What its flags are unless the user says otherwise: with a load balancer before it, it would be given time to notice a stop; and each
# query would be a line of its log.
FLAGS = {"http.shutdown-delay": "0s", "access-log-destination": "none"}


class Room(Exporter):
    """promxy: one address for the queries of several Prometheus servers."""

    stage = 3
    port = 8082
    documentation = "https://github.com/jacksontj/promxy"
    description = "Promxy"
    config_flag = "config"
    web_flags = {"bind-addr": "web_listen_address"}
    several_addresses = False
    flag_defaults = {"bind-addr": ":8082", "log-level": "info", "log-format": "text", **FLAGS}
    on_config_change = RELOAD
    # Its reloads bear Prometheus' names, and what it says of its version its own.
    metrics_prefix = "prometheus"
    version_metric = "promxy_build_info"
    ready_path = "/-/ready"
    container_health_path = "/-/ready"
    for_people = True
    # It has Prometheus' API, and no exporter's client.
    closed_by = PASSWORD
    scrapes = True
    scrape = {"split": "all"}

    def external_url(self, i):
        """It is a flag like others."""
        return self.extra_flags(i).get("web.external-url") or ""

    def config_name(self, i):
        """Its name in upstream's documentation is config.yaml."""
        return "promxy.yml"

    def servers(self, i):
        """The Prometheus servers that it queries: see the lookup promxy_server_groups."""
        return i.once("servers", lambda: self._servers(i))

    def _servers(self, i):
        (found,) = i.lookup(
            "vigil.monitoring.promxy_server_groups", *i["prometheus_groups"], client=self.client_settings(i)
        )
        return found

    @staticmethod
    def client_settings(i):
        """With what it asks those that ``monitoring_tls`` has closed. It takes paths from its own working directory."""
        tls = Tls(i, "promxy")
        login = {"username": PROMXY, "password_file": tls.path("password")}
        return {PASSWORD: {"tls_config": {"ca_file": tls.path("ca")}, "basic_auth": login}}

    def config(self, i):
        """A server group for each part of the targets."""
        options = i["server_group_options"] or {}
        client = options.get("http_client") or {}
        groups = [
            {**group, **options, "http_client": {**group["http_client"], **client}}
            for group in self.servers(i)["groups"]
        ]
        return {"promxy": {"server_groups": [*groups, *(i["server_groups"] or [])]}}

    def first_arguments(self, i, release):
        """What the user does not say."""
        extra = self.extra_flags(i)
        return ["--{0}={1}".format(name, value) for name, value in FLAGS.items() if name not in extra]

    def files(self, i, release):
        """Its configuration, and with what it asks servers that are closed."""
        found = super().files(i, release)
        if not self.servers(i)["closed"]:
            return found
        client, known = Tls(i, self.name), {entry["path"] for entry in found}
        more = [*client.ca_files(), client.password_file(PROMXY)]
        return [*found, *(entry for entry in more if entry["path"] not in known)]

    def validators(self, i, release):
        """It checks its configuration itself."""
        return [[release["binaries"]["promxy"], "--check-config", "--config=%s/promxy.yml"]]

    def validate(self, values):
        """Whom it asks."""
        yield from super().validate(values)
        if not values["promxy_prometheus_groups"] and not values["promxy_server_groups"]:
            remedy = "name a group of the inventory, or set promxy_server_groups"
            yield Problem("promxy_prometheus_groups", "is empty", remedy)

    # How it is verified

    def redundancy(self, i):
        """All of them answer the same."""
        return self.name

    def checks(self, values, surroundings):
        """A query through it has to be answered with data of every part of the targets."""
        return [{"name": "promxy_answer", "given": {"parts": self.servers(values.inputs)["parts"]}}]
