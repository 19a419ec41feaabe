# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx_exporter: metrics of an NGINX web server."""

from __future__ import annotations

from urllib.parse import urlsplit

from ansible_collections.vigil.monitoring.plugins.plugin_utils._exporter import Exporter
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem


class Room(Exporter):
    """nginx_exporter: metrics of an NGINX web server."""

    port = 9113
    documentation = "https://github.com/nginx/nginx-prometheus-exporter"
    binaries = ("nginx-prometheus-exporter",)
    programs = ("nginx-prometheus-exporter", "prometheus-nginx-exporter")
    dependency_metric = "nginx_up"
    dependency = "NGINX"
    after = ("nginx.service",)
    flag_defaults = {"log.level": "info", "log.format": "logfmt", "nginx.plus": False}
    input_flags = {
        "nginx.scrape-uri": "scrape_uri",
        "nginx.plus": "plus",
        "log.level": "log_level",
        "log.format": "log_format",
    }

    def health_check_of(self, i):
        """The metrics of NGINX Plus have names of their own."""
        return {**self.health_check(), **({"dependency_metric": "nginxplus_up"} if i["plus"] else {})}

    def validate(self, values):
        """An address that NGINX can be requested at, without a password that everybody on the host could see."""
        yield from super().validate(values)
        name = "nginx_exporter_scrape_uri"
        url = urlsplit(values[name])
        if url.scheme not in ("http", "https") or not url.hostname:
            yield Problem(name, "is no URL", "write one such as http://127.0.0.1/stub_status")
        if url.password:
            yield Problem(name, "has a password", "let NGINX allow the address of the exporter instead")
