# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the health of a service is checked: at which addresses of its host, also where nothing is recorded."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

# Hosts of listen addresses that mean "all of them": what answers there on which kind of address is for the host to say.
# A Go program that listens on [::] has 127.0.0.1 as well, and nothing else where the host has no IPv6.
UNSPECIFIED = ("", "0.0.0.0", "[::]", "*")
LOOPBACK = ("127.0.0.1", "[::1]")
# Flags by which the programs say where they serve, without their dashes.
_LISTEN, _PREFIX, _URL = "web.listen-address", "web.route-prefix", "web.external-url"
_WEB_CONFIG = ("web.config.file", "web.config")
_METRICS = ("web.telemetry-path", "prometheus_endpoint")


def hosts_of(host):
    """The hosts at which whoever listens there can be reached on the same host, the likelier one first.

    :param host: host part of a listen address, with the brackets that it may have.
    """
    return list(LOOPBACK) if host in UNSPECIFIED else [host]


def route_prefix(external_url, extra=None):
    """The path that all of a service's paths begin with, without a slash at its end.

    :param external_url: value of ``--web.external-url``; without a scheme it is taken as HOST/PATH.
    :param extra: further flags; ``web.route-prefix`` wins over the URL's path.
    """
    prefix = (extra or {}).get(_PREFIX)
    if not prefix:
        url = str(external_url or "")
        prefix = urlsplit(url).path if "://" in url else url.partition("/")[2]
    prefix = prefix.strip("/")
    return "/" + prefix if prefix else ""


def urls_of(health):
    """All base URLs at which a service may answer."""
    return [health["url"], *(health.get("other_urls") or ())]


def credentials_of(health):
    """What is shown and known besides, as named arguments of :func:`_http.get`."""
    names = ("username", "password", "ca_path", "client_cert", "client_key", "client_pem")
    return {name: health.get(name) for name in names}


def answer(get, health, path):
    """The answer of the first address at which there is one, else the one that tells most; with that address or None.

    :param get: :func:`_http.get`.
    :param path: below its base URL.
    """
    refused = None
    for url in urls_of(health):
        found = get(url + path, **credentials_of(health))
        if found.status:
            return found, url
        refused = found if refused is None or (found.why and not refused.why) else refused
    return refused, None


def shown(health, url):
    """How the health of a service was checked, for messages: no password is shown.

    :param url: the base URL at which it answered.
    """
    text = url + health["metrics_path"]
    if health.get("username"):
        text += " as {0}".format(health["username"])
    if health.get("client_cert"):
        text += " with the certificate {0}".format(health["client_cert"])
    return text


def flags_of(argv):
    """The flags of a command line by their names, with the values that were given to each."""
    found = {}
    for word in argv:
        match = re.fullmatch(r"--?([a-zA-Z][\w.-]*)(?:=(.*))?", word, re.DOTALL)
        if match:
            found.setdefault(match.group(1), []).append(match.group(2) or "")
    return found


def listening(tables, sockets):
    """Where a process listens, as ``HOST:PORT``, by port.

    :param tables: texts of ``/proc/PID/net/tcp`` and ``/proc/PID/net/tcp6``.
    :param sockets: what its open files are, such as ``socket:[4711]``.
    """
    found = set()
    for table in tables:
        for line in table.splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == "0A" and "socket:[{0}]".format(fields[9]) in sockets:
                address, dummy, port = fields[1].partition(":")
                found.add((int(port, 16), _address(address)))
    return ["{0}:{1}".format(host, port) for port, host in sorted(found)]


def _address(text):
    """An address of ``/proc/net/tcp`` as the host part of a URL; the kernel writes it in words of the machine's order."""
    if set(text) == {"0"}:
        return ""
    parts = bytes.fromhex(text)
    parts = b"".join(parts[start : start + 4][::-1] for start in range(0, len(parts), 4))
    if len(parts) == 4:
        return ".".join(map(str, parts))
    words = [parts[start : start + 2].hex().lstrip("0") or "0" for start in range(0, 16, 2)]
    return "[::1]" if words == ["0"] * 7 + ["1"] else "[{0}]".format(":".join(words))


def published(ports):
    """The listen addresses on the host that lead into a container.

    :param ports: the container's option ``published_ports``.
    """
    found = []
    for entry in ports or ():
        outside = str(entry).partition("/")[0].rpartition(":")[0]
        found.append(outside if ":" in outside else ":" + outside)
    return found


def derive(health, argv, addresses, web_config):
    """How the health of a service that runs with these arguments may be checked, the likeliest first.

    :param health: the health check of the one that replaces it: what no argument tells is taken from there.
    :param argv: its command line.
    :param addresses: where it is known to listen, ``HOST:PORT``; what its arguments say counts where there are none.
    :param web_config: function of the path of a web configuration, which returns its text.
    """
    flags = flags_of(argv)
    addresses = addresses or flags.get(_LISTEN) or []
    files = [path for name in _WEB_CONFIG for path in flags.get(name, ())]
    schemes = ["http"]
    if files:
        schemes = ["https"] if re.search(r"(?m)^['\"]?tls_server_config\b", web_config(files[-1])) else ["http"]
    own = urlsplit(health["url"])
    prefixes = [route_prefix((flags.get(_URL) or [""])[-1], {_PREFIX: (flags.get(_PREFIX) or [""])[-1]})]
    if _LISTEN not in flags:
        # Its own configuration says where it is served.
        schemes = [own.scheme, "https" if own.scheme == "http" else "http"]
        prefixes = list(dict.fromkeys([own.path, ""]))
    path = next((flags[name][-1] for name in _METRICS if flags.get(name)), None)
    found = []
    for address in addresses:
        host, dummy, port = address.rpartition(":")
        for scheme in schemes:
            for prefix in prefixes:
                urls = [urlunsplit((scheme, "{0}:{1}".format(one, port), prefix, "", "")) for one in hosts_of(host)]
                paths = [path] if path else list(dict.fromkeys(["/metrics", health["metrics_path"]]))
                found += [dict(health, url=urls[0], other_urls=urls[1:], metrics_path=one) for one in paths]
    return found
