# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command line says about a service, whoever started it. Data in, data out."""

from __future__ import annotations

import posixpath
import re


def flags_of(argv):
    """The flags of a command line: name to its values; a bare one has ``true``, and ``--no-x`` makes x ``false``."""
    found = {}
    words = list(argv[1:])
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word.strip("-") == "":
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if not equals and words and not words[0].startswith("-"):
            value = words.pop(0)
        elif not equals:
            name, value = (name[3:], "false") if name.startswith("no-") else (name, "true")
        found.setdefault(name, []).append(value)
    return found


def config_directory(config_flags, flags, default):
    """The directory of a service's configuration.

    :param config_flags: flags that name a file in it, the most telling one first.
    :param default: where our role would have it.
    """
    for flag in config_flags:
        path = (flags.get(flag) or [""])[0]
        if posixpath.isabs(path):
            return posixpath.dirname(path)
    return default


def url_of(port, flags, secured):
    """Where the health of a service with these flags is checked on its own host.

    :param port: where it listens without flags.
    :param secured: whether its web configuration has a certificate.
    """
    host, dummy, number = (flags.get("web.listen-address") or [":{0}".format(port)])[0].rpartition(":")
    host = host.strip("[]")
    if host in ("", "0.0.0.0", "::"):
        host = "127.0.0.1"
    prefix = (flags.get("web.route-prefix") or [None])[0]
    if prefix is None:
        outside = (flags.get("web.external-url") or [""])[0]
        prefix = re.sub(r"^[a-z]+://[^/]*", "", outside) if "://" in outside else outside
    prefix = "/" + prefix.strip("/") if prefix.strip("/") else ""
    host = "[{0}]".format(host) if ":" in host else host
    return "{0}://{1}:{2}{3}".format("https" if secured else "http", host, number, prefix)
