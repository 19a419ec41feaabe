# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The TLS proxy: HAProxy in front of a service whose own program knows no TLS."""

from __future__ import annotations

import posixpath
import re

from ansible_collections.vigil.monitoring.plugins.plugin_utils import _tls
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem, shown
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import RESTART, Service
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import listen_addresses, split_listen_address

# Its own metrics, beside the paths of the service behind it.
METRICS = "/-/proxy/metrics"
# What a path may have without quotes in the configuration.
_PATH = re.compile(r"/[A-Za-z0-9/_.~-]*")
CONFIG = """# Written by vigil.monitoring. Relative paths count from the directory of this file.
global
    default-path config
    maxconn 100
    log stdout format raw local0 notice
    # The key of NAME.crt is in NAME.key.
    ssl-load-extra-del-ext
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
    ssl-default-bind-ciphers {ciphers}
    ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256

defaults
    mode http
    log global
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-request 10s

frontend tls
{binds}
    http-request deny deny_status 405 unless {{ method GET HEAD }}
    http-request use-service prometheus-exporter if {{ path {metrics} }}
    http-request deny deny_status 404 unless {{ path {paths} }}
    default_backend target

backend target
    server target {target} check inter 5s
"""


class Room(Service):
    """The TLS proxy: HAProxy in front of a service whose own program knows no TLS."""

    title = "TLS proxy"
    description = "HAProxy that serves by TLS what knows none itself"
    documentation = "https://docs.haproxy.org/"
    binaries = ("haproxy",)
    programs = ()
    metrics_prefix = "haproxy_process"
    # 1 while it answers.
    dependency_metric = "haproxy_backend_active_servers"
    dependency = "service behind it"
    # New certificates as well: it reads them when it starts.
    on_config_change = RESTART
    closed_by = _tls.CERTIFICATE
    behind = "cadvisor"
    port = 18080
    described_by = ()
    managed_flags = {"f": "config_dir"}
    flags_input = ""

    def connects_out(self, get):
        """Its target is on the same host."""
        return False

    def extra_flags(self, i):
        """None: all of its configuration is in its file."""
        return {}

    def metrics_path(self, i):
        """Of its own metrics."""
        return METRICS

    def own_web_config(self, i):
        """Its configuration is another than that of exporter-toolkit."""
        return {}

    def arguments(self, i, release):
        """In the foreground, as one process."""
        return ["-db", "-f", i["config_dir"] + "/haproxy.cfg"]

    def files(self, i, release):
        """Its configuration, and its certificate with the authority of those who ask."""
        tls = self.tls(i)
        certificate, authority = tls.name_in_tree("certificate"), tls.name_in_tree("ca")
        bind = "    bind {0}:{1} ssl crt {2} ca-file {3} verify required"
        text = CONFIG.format(
            ciphers=":".join(_tls.OPENSSL_CIPHERS),
            binds="\n".join(
                bind.format(host or "*", port, certificate, authority)
                for host, port in listen_addresses(i["web_listen_address"])
            ),
            metrics=METRICS,
            paths=" ".join(i["paths"]),
            target=i["target"],
        )
        return [{"path": "haproxy.cfg", "content": text}, *self.tls_files(i)]

    def validators(self, i, release):
        """HAProxy itself."""
        return [[release["commands"]["haproxy"], "-c", "-f", "%s/haproxy.cfg"]]

    def service_options(self, i, release, prepared=None):
        """Where the host has an HAProxy of its own, that stays as it is: this one is another process."""
        return {**super().service_options(i, release, prepared), "conflicts": []}

    def further_service_options(self, i, release, prepared=None):
        """It reads certificates when it starts, not at each connection."""
        return {}

    def validate(self, values):
        """What would give a configuration that means something else, or nothing to put TLS in front of."""
        if not values["tls_proxy_tls"] and values["tls_proxy_state"] == "present":
            yield Problem("tls_proxy_tls", "is false", "set monitoring_tls, or do without this role")
        try:
            host, dummy = split_listen_address(values["tls_proxy_target"])
            if not host:
                raise ValueError("{0} has no address".format(shown(values["tls_proxy_target"])))
        except ValueError as error:
            yield Problem("tls_proxy_target", str(error), "write it like 127.0.0.1:8080")
        for path in values["tls_proxy_paths"]:
            if not _PATH.fullmatch(str(path)):
                yield Problem("tls_proxy_paths", "has {0}".format(shown(path)), "write paths such as /metrics")

    def check_tls(self, given):
        """HAProxy before 3.0 looks for a key beside its certificate, and nowhere else."""
        certificate, key = (str(given[_tls.FILES[what]] or "") for what in ("certificate", "key"))
        stem, crt = posixpath.splitext(certificate)
        if given["monitoring_tls_source"] == _tls.HOST and certificate and (crt != ".crt" or key != stem + ".key"):
            found = "is {0}, and HAProxy, which serves what knows no TLS, takes NAME.crt with NAME.key".format(
                shown(key)
            )
            yield Problem(_tls.FILES["key"], found, "name both files so, or set cadvisor_tls: false")
