# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What exporters have in common: a room that extends :class:`Exporter` says only what is different."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.vigil.monitoring.plugins.plugin_utils._flags import extra_flags, flag
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem, check_url_path
from ansible_collections.vigil.monitoring.plugins.plugin_utils._references import anchor
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import Service
from ansible_collections.vigil.monitoring.plugins.plugin_utils._tls import CERTIFICATE
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import web_config


class Exporter(Service):
    """An exporter whose command line and files follow from its inputs.

    A room gives at least ``port`` and ``documentation``.
    """

    title: str = ""
    """Default: the service's name."""

    config_flag: str = "config.file"
    """Flag that names its configuration file."""

    web_config_flag: str = "web.config.file"
    """Flag that names the file with TLS and users; empty where it has none (the role is then ``without`` those inputs)."""

    web_flags: ClassVar[dict] = {"web.listen-address": "web_listen_address", "web.telemetry-path": "web_telemetry_path"}
    """The flags of its web interface, and the inputs that set them."""

    several_addresses: bool = True
    """Whether it may listen on several addresses."""

    input_flags: ClassVar[dict] = {}
    """Further flags: name to the input, without the role's name, that sets it. Their order is that of the command line."""

    go_flags: bool = False
    """Whether its flags are those of Go's own package: ``--x=true`` instead of ``--x``, and one list as ``--x=a,b``. An input
    that is empty, false or the value in :attr:`flag_defaults` gives none."""

    # Metrics are for Prometheus, which has a certificate.
    closed_by = CERTIFICATE

    # The metrics about the process itself need the time of the boot, from /proc/stat.
    hardening: ClassVar[dict] = {"ProcSubset": "all"}

    def __init_subclass__(cls):
        super().__init_subclass__()
        own = cls.__dict__
        cls.title = cls.title or cls.name
        cls.description = cls.description or "Prometheus " + cls.title
        cls.scrape = {"port": cls.port, **own.get("scrape", {})}
        cls.config_flags = cls.config_flags or (cls.config_flag, cls.web_config_flag)
        cls.flag_defaults = {"web.listen-address": "0.0.0.0:{0}".format(cls.port), **own.get("flag_defaults", {})}
        web = {cls.web_config_flag: "tls_server_config"} if cls.web_config_flag else {}
        cls.managed_flags = {**cls.web_flags, **web, **cls.input_flags, **own.get("managed_flags", {})}

    def config_name(self, i) -> str:
        """Name of its configuration file, below its configuration directory."""
        return "config.yml"

    def config(self, i) -> Any:
        """The content of its configuration file; None where it has no such file."""
        return None

    def own_web_config(self, i):
        """Empty where it has neither TLS nor users of its own."""
        return super().own_web_config(i) if self.web_config_flag else {}

    def first_arguments(self, i, release) -> list:
        """What its command line has after the configuration file and before everything else."""
        return []

    def arguments(self, i, release):
        """Configuration, web interface, further flags of inputs, and those of the user's own."""
        arguments = []
        if self.config(i) is not None:
            arguments += flag(self.config_flag, "{0}/{1}".format(i["config_dir"], self.config_name(i)))
        arguments += self.first_arguments(i, release)
        if self.web_config_flag and web_config(self.web_config(i)):
            arguments += flag(self.web_config_flag, i["config_dir"] + "/web_config.yml")
        for name, of_input in self.web_flags.items():
            arguments += flag(name, self.listen_inside(i) if of_input == "web_listen_address" else i[of_input])
        for name, of_input in self.input_flags.items():
            arguments += self._of_go(name, i[of_input]) if self.go_flags else flag(name, i[of_input])
        return arguments + extra_flags(self.extra_flags(i))

    def _of_go(self, name, value):
        text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        usual = self.flag_defaults.get(name, False if isinstance(value, bool) else "")
        return [] if text in (usual, None) else flag(name, str(text).lower() if isinstance(text, bool) else text)

    def web_files(self, i):
        """None where no flag names it."""
        return super().web_files(i) if self.web_config_flag else []

    def files(self, i, release):
        """Its configuration, and that of its web interface."""
        config = self.config(i)
        data = [] if config is None else [{"path": self.config_name(i), "data": anchor(config, i["config_dir"])}]
        return [*data, *self.web_files(i)]

    def configured(self, i, release):
        """Its configuration may name files."""
        return [*filter(None, [self.config(i)]), self.web_config(i)]

    def inputs_with_secrets(self, i):
        """Its configuration may hold secrets."""
        return [*filter(None, [self.config(i)]), self.web_config(i)]

    def validate(self, values):
        """What is wrong with the address and the path at which its metrics are served."""
        address, path = (self.name + "_" + name for name in ("web_listen_address", "web_telemetry_path"))
        if not self.several_addresses and isinstance(values[address], list) and len(values[address]) != 1:
            yield Problem(address, "is a list", "give one address: {0} listens on no more".format(self.title))
        if path in values:
            yield from check_url_path(path, values[path])
