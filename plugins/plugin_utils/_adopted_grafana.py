# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a Grafana is compared before it is adopted, whoever deployed it."""

from __future__ import annotations

import configparser
import json
import posixpath

from ansible_collections.vigil.monitoring.plugins.plugin_utils._adoption import dicts, load, mapping, normal, numbered


def sections(flags, directory, files):
    """Its sections; the parameters are those of :meth:`_service.Service.sections`."""
    path = (flags.get("config") or [posixpath.join(directory, "grafana.ini")])[0]
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True, delimiters=("=",), default_section="")
    try:
        parser.read_string("[_]\n" + files.get(path, ""))
    except configparser.Error:
        parser = configparser.RawConfigParser()
    settings = {
        "{0}.{1}".format(section, name).replace("_.", "", 1): (value or "").strip("\"'")
        for section in parser.sections()
        for name, value in parser.items(section)
        if value
    }
    provisioned = posixpath.join(settings.get("paths.provisioning") or posixpath.join(directory, "provisioning"), "")
    sources, dashboards = [], []
    for name, text in sorted(files.items()):
        if name.startswith(provisioned + "datasources/"):
            for source in dicts(mapping(load(text)).get("datasources")):
                sources.append(
                    (str(source.get("name")), normal({key: source.get(key) for key in ("type", "url", "access")}))
                )
        elif name.endswith(".json"):
            try:
                board = mapping(json.loads(text))
            except ValueError:
                continue
            if board.get("title") and ("panels" in board or "rows" in board):
                dashboards.append((str(board["title"]), {"uid": str(board.get("uid") or "")}))
    return {"settings": settings, "data sources": numbered(sources), "dashboards": numbered(dashboards)}


def dashboard_patterns(files):
    """Where Grafana's providers look for dashboards, as shell patterns."""
    return sorted(
        {
            posixpath.join(str(mapping(provider.get("options")).get("path")), "**", "*.json")
            for path, text in files.items()
            if "/dashboards/" in path and path.endswith((".yml", ".yaml"))
            for provider in dicts(mapping(load(text)).get("providers"))
            if str(mapping(provider.get("options")).get("path") or "").startswith("/")
        }
    )
