# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the services' web interfaces have in common: listen addresses, the web configuration, the URL of the health check."""

from __future__ import annotations

import posixpath
import re

from ansible_collections.vigil.monitoring.plugins.module_utils._endpoint import hosts_of, route_prefix
from ansible_collections.vigil.monitoring.plugins.plugin_utils._references import anchor

_HOST = re.compile(r"|\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[^\s:/\[\]]+")


def host_and_port(address):
    """What ends with a colon and a port as ``(host, port)``, whatever stands before them; None where it does not."""
    host, colon, port = str(address).rpartition(":")
    if not colon or not re.fullmatch(r"\d{1,5}", port) or not 1 <= int(port) <= 65535:
        return None
    return host, int(port)


def split_listen_address(address):
    """A listen address as ``(host, port)``; the host keeps its brackets and may be empty.

    :raises ValueError: when it is not ``HOST:PORT`` with a port between 1 and 65535.
    """
    parts = host_and_port(address)
    if not parts or not _HOST.fullmatch(parts[0]):
        raise ValueError("{0!r} is not HOST:PORT with a port between 1 and 65535".format(str(address)))
    if parts[0] == "*":
        raise ValueError("{0!r}: no service takes a *; :{1} means all addresses".format(str(address), parts[1]))
    return parts


def listen_addresses(listen):
    """One listen address, or a list of them, as a list of ``(host, port)``."""
    addresses = list(listen) if isinstance(listen, (list, tuple)) else [listen]
    return [split_listen_address(address) for address in addresses]


def web_config(sections, config_dir=None):
    """The web configuration without its empty sections; an empty dict means that there is none.

    :param sections: dict with ``tls_server_config``, ``http_server_config``, ``basic_auth_users``, or None.
    :param config_dir: directory that relative paths of files are meant from.
    """
    config = {name: section for name, section in (sections or {}).items() if section}
    return anchor(config, config_dir) if config_dir else config


def wants_client_certificate(tls):
    """Whether a service with this ``tls_server_config`` lets nobody in who shows no certificate."""
    return isinstance(tls, dict) and tls.get("client_auth_type") in (
        "RequireAnyClientCert",
        "RequireAndVerifyClientCert",
    )


def has_client_certificate(config):
    """Whether a scrape configuration has a certificate to show."""
    tls = config.get("tls_config") or {}
    return isinstance(tls, dict) and any(tls.get(name) for name in ("cert_file", "cert", "cert_ref"))


def health_check(settings):
    """How the host itself checks the health of a service.

    :param settings: dict with ``listen_address``, ``external_url``, ``metrics_path``, ``web_config``,
        ``extra``; all but the first may be missing.
    :returns: the option ``health`` of the module service.
    """
    host, port = listen_addresses(settings["listen_address"])[0]
    tls = (settings.get("web_config") or {}).get("tls_server_config")
    prefix = route_prefix(settings.get("external_url"), settings.get("extra"))
    urls = ["{0}://{1}:{2}{3}".format("https" if tls else "http", one, port, prefix) for one in hosts_of(host)]
    answer = {"url": urls[0]}
    if urls[1:]:
        answer["other_urls"] = urls[1:]
    if settings.get("metrics_path"):
        answer["metrics_path"] = posixpath.join("/", settings["metrics_path"])
    return answer


# The options of modules that ask the API of a service -> with what it is accessed, as suboptions of ``health``.
REQUEST_OPTIONS = {
    "url_username": "username",
    "url_password": "password",
    "ca_path": "ca_path",
    "client_cert": "client_cert",
    "client_key": "client_key",
}


def request_options(access):
    """With what a module asks the API of a service, as its options. Proxies are for the internet, not for the own services.

    :param access: what ``_deployment.Deployment.access`` returns, or the option ``health`` with more beside it.
    """
    found = {option: access[name] for option, name in REQUEST_OPTIONS.items() if access.get(name)}
    return {**found, "use_proxy": False}


def ports(listen):
    """The TCP ports of one listen address or a list of them, each once."""
    return sorted({port for dummy, port in listen_addresses(listen)})
