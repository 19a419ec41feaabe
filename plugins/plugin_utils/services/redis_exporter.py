# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""redis_exporter: metrics of a Redis or Valkey server."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from ansible_collections.vigil.monitoring.plugins.plugin_utils._exporter import Exporter
from ansible_collections.vigil.monitoring.plugins.plugin_utils._flags import flag
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import RESTART

# The flags that are inputs: both bear the same names.
FLAGS = (
    "check-keys check-single-keys check-streams check-single-streams check-keys-batch-size count-keys script debug"
    " log-format connection-timeout redis-only-metrics redact-config-metrics ping-on-connect is-tile38 is-cluster"
    " export-client-list export-client-port skip-tls-verification tls-client-key-file tls-client-cert-file"
    " tls-server-key-file tls-server-cert-file tls-server-ca-cert-file tls-server-min-version tls-ca-cert-file"
    " set-client-name check-key-groups max-distinct-key-groups config-command"
).split()


class Room(Exporter):
    """redis_exporter: metrics of a Redis or Valkey server."""

    port = 9121
    documentation = "https://github.com/oliver006/redis_exporter"
    programs = ("redis_exporter", "prometheus-redis-exporter")
    image_program = "/redis_exporter"
    on_config_change = RESTART
    dependency_metric = "redis_up"
    dependency = "Redis"
    shows_secrets = True
    after = ("redis-server.service", "redis.service", "valkey-server.service")
    go_flags = True
    several_addresses = False
    web_config_flag = ""
    config_flag = "redis.password-file"
    flag_defaults = {"redact-config-metrics": True, "set-client-name": True}
    input_flags = {
        "redis.addr": "addr",
        "redis.user": "user",
        "include-config-metrics": "incl_config_metrics",
        "include-system-metrics": "incl_system_metrics",
        **{name: name.replace("-", "_") for name in FLAGS},
    }
    managed_flags = {"redis.password": "password", "redis.password-file": "passwords", "namespace": "namespace"}

    def connects_out(self, get):
        """Unless its only server is on this host, and nobody may name another one."""
        addr = str(get("addr") or "")
        server = urlsplit(addr if "://" in addr else "redis://" + addr)
        local = server.scheme == "unix" or server.hostname in ("localhost", "127.0.0.1", "::1")
        return bool(not local or get("passwords") or get("is_cluster"))

    def config_name(self, i):
        """The file of passwords, which stand in no command line and no environment."""
        return "passwords.json"

    def config(self, i):
        """URL to password; the exporter looks for that of its own URL, with the user in it."""
        url = i["addr"] if "://" in i["addr"] else "redis://" + i["addr"]
        if i["user"]:
            url = url.replace("://", "://{0}@".format(i["user"]), 1)
        own = {url: i["password"]} if i["password"] else {}
        return {**own, **(i["passwords"] or {})} or None

    def first_arguments(self, i, release):
        """It has flags of its own for TLS."""
        tls = self.tls(i)
        files = {"cert": "certificate", "key": "key", "ca-cert": "ca"} if tls else {}
        return [
            part for name, what in files.items() for part in flag("tls-server-{0}-file".format(name), tls.path(what))
        ]

    def _environment(self, i):
        """With an authority for its clients it forgets its oldest version of TLS, and takes Go's, which is 1.0 in builds that
        ask for the Go of before 1.22, as Debian's do: https://go.dev/doc/godebug."""
        return {"GODEBUG": "tls10server=0,tlsrsakex=0"} if self.tls(i) else {}

    def unit_sections(self, i, release):
        """Its environment."""
        return {"Service": {"Environment": ["=".join(item) for item in self._environment(i).items()] or None}}

    def container_needs(self, i, release):
        """Its environment."""
        return {"env": self._environment(i)} if self._environment(i) else {}

    def files(self, i, release):
        """It reads JSON."""
        found = self.config(i)
        content = json.dumps(found, indent=1) + "\n"
        data = [{"path": self.config_name(i), "content": content, "secret": True}] if found else []
        return [*data, *self.tls_files(i)]

    def inputs_with_secrets(self, i):
        """All passwords."""
        return [{"password": password} for password in (self.config(i) or {}).values()]

    def configured(self, i, release):
        """Its certificates."""
        return [{name: i["tls_" + name] for name in ("client_key_file", "client_cert_file", "ca_cert_file")}]

    def validate(self, values):
        """No password in the address, which everybody on the host can see; and no TLS that nobody else knows of."""
        yield from super().validate(values)
        addr = str(values["redis_exporter_addr"])
        if urlsplit(addr if "://" in addr else "redis://" + addr).password:
            yield Problem("redis_exporter_addr", "has a password", "move it to redis_exporter_password")
        for name in ("redis_exporter_tls_server_cert_file", "redis_exporter_tls_server_key_file"):
            if values[name]:
                remedy = "leave it empty, listen on 127.0.0.1, and put a proxy with TLS before it"
                yield Problem(name, "is set, and Prometheus and the verification would not know", remedy)
