# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The blackbox exporter: probes of addresses over HTTP, TCP, ICMP and DNS."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._exporter import Exporter
from ansible_collections.vigil.monitoring.plugins.plugin_utils._probes import CERTIFICATES
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import (
    Doubt,
    Problem,
    did_you_mean,
    nearest,
    shown,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import RELOAD

# The probers of blackbox_exporter 0.26 to 0.29. Its own check accepts any word, and then no probe works.
PROBERS = ("http", "tcp", "icmp", "dns", "grpc", "unix", "websocket")


class Room(Exporter):
    """The blackbox exporter: probes of addresses over HTTP, TCP, ICMP and DNS."""

    on_config_change = RELOAD
    loaded_config_path = "/config"
    programs = ("blackbox_exporter", "prometheus-blackbox-exporter")
    port = 9115
    config_flags = ("config.file",)
    flag_defaults = {"log.level": "info", "log.format": "logfmt"}
    keeps = (("modules", "*", "blackbox_exporter_configuration_modules"),)

    documentation = "https://github.com/prometheus/blackbox_exporter"
    container_health_path = "/-/healthy"

    scrape = {"job": "blackbox_exporter"}
    since = {
        "web.config.file": "0.19.0",
        "several listen addresses": "0.23.0",
    }
    web_flags = {"web.listen-address": "web_listen_address"}
    managed_flags = {"config.file": "config_dir"}
    flags_input = "cli_flags"

    def external_url(self, i):
        """It is a flag like others."""
        return self.extra_flags(i).get("web.external-url") or ""

    def config_name(self, i):
        """The name that its packages give it."""
        return "blackbox_exporter.yml"

    def config(self, i):
        """Its modules, and where it is closed, one that shows the certificates of all that is closed."""
        tls, own = self.tls(i), {}
        if tls:
            # Prometheus verifies them; what counts here is when they end, whoever has issued them.
            pair = {"cert_file": tls.path("client_certificate"), "key_file": tls.path("client_key")}
            config = {**pair, "insecure_skip_verify": True}
            own = {CERTIFICATES: {"prober": "tcp", "timeout": "5s", "tcp": {"tls": True, "tls_config": config}}}
        return {"modules": {**own, **(i["configuration_modules"] or {})}}

    def files(self, i, release):
        """Its configuration, and the certificate with which it is let in where it looks at others."""
        found, tls = super().files(i, release), self.tls(i)
        known = {entry["path"] for entry in found}
        return [*found, *(entry for entry in (tls.client_files() if tls else ()) if entry["path"] not in known)]

    def validators(self, i, release):
        """It checks its configuration itself."""
        return [[release["binaries"]["blackbox_exporter"], "--config.check", "--config.file=%s/blackbox_exporter.yml"]]

    @staticmethod
    def sends_icmp(i):
        """Whether a module sends ICMP packets, which need a right of their own."""
        modules = (i["configuration_modules"] or {}).values()
        return "icmp" in {module.get("prober") for module in modules if isinstance(module, dict)}

    def hardening_of(self, i):
        """Raw sockets, for ICMP; a right within a user namespace would not count on the host's network."""
        if not self.sends_icmp(i):
            return self.hardening
        raw = {"CapabilityBoundingSet": "CAP_NET_RAW", "AmbientCapabilities": "CAP_NET_RAW", "PrivateUsers": False}
        return {**self.hardening, **raw}

    def container_needs(self, i, release):
        """Raw sockets, for ICMP: the one right that it has, and that an engine gives to nobody but root."""
        if not self.sends_icmp(i):
            return {}
        return {"capabilities": ["NET_RAW"], "user": "0:{0}".format(i["system_group"])}

    def validate(self, values):
        """What only blackbox_exporter has."""
        variable = "blackbox_exporter_configuration_modules"
        if not values[variable]:
            yield Problem(variable, "is empty", "name at least one module, or leave it out for the default ones")
        for name, module in (values[variable] or {}).items():
            where = "{0}[{1!r}]".format(variable, str(name))
            prober = module.get("prober") if isinstance(module, dict) else None
            if not isinstance(module, dict):
                yield Problem(where, "is not a dictionary", "write prober: http, or another one, below it")
            elif prober not in PROBERS:
                remedy = did_you_mean(prober, PROBERS, "there are {0}".format(", ".join(PROBERS)))
                # A later version may have another one; what is nearly one of these is a slip, which nobody else would find.
                kind = Doubt if isinstance(prober, str) and prober and not nearest(prober, PROBERS) else Problem
                yield kind(where + ".prober", "is {0}".format(shown(prober)), remedy)

    # How it is verified

    def peer_files(self):
        """What other collections' roles write below its configuration directory."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _peers

        return {"web_config.yml": _peers.WEB}

    def sections(self, flags, directory, files, shown):
        """What is compared before it is adopted."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _adopted_blackbox_exporter

        return _adopted_blackbox_exporter.sections(flags, directory, files)
