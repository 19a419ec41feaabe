# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of an Alertmanager is compared before it is adopted, whoever deployed it."""

from __future__ import annotations

import json
import posixpath
import re

from ansible_collections.vigil.monitoring.plugins.plugin_utils._adoption import (
    dicts,
    load,
    mapping,
    matching,
    normal,
    numbered,
    without,
)

# What upstream does where nothing is said: with it or without, it is the same.
_ROUTE = {"continue": False}
_ROOT_ROUTE = {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "4h"}
_ALERTMANAGER_GLOBAL = {"resolve_timeout": "5m", "smtp_require_tls": True, "smtp_hello": "localhost"}


def _routes(route, path, defaults):
    """A tree of routes as pairs: what leads to one, and what it does."""
    matchers = [str(matcher) for matcher in route.get("matchers") or ()]
    for key, sign in (("match", "="), ("match_re", "=~")):
        matchers += ['{0}{1}"{2}"'.format(name, sign, value) for name, value in mapping(route.get(key)).items()]
    own = ", ".join(
        sorted(re.sub(r'\s*(=~|!~|!=|=)\s*"?([^"]*)"?$', r'\1"\2"', matcher.strip()) for matcher in matchers)
    )
    path = [*path, own or ("everything" if not path else "all of it")]
    said = {name: value for name, value in route.items() if name not in ("routes", "matchers", "match", "match_re")}
    yield " > ".join(path), without(said, defaults)
    for child in dicts(route.get("routes")):
        yield from _routes(child, path, _ROUTE)


def sections(flags, directory, files):
    """Its sections; the parameters are those of :meth:`_service.Service.sections`."""
    path = (flags.get("config.file") or [posixpath.join(directory, "alertmanager.yml")])[0]
    config = mapping(load(files.get(path, "")))
    templates = matching(files, directory, config.get("templates"))
    intervals = [*dicts(config.get("time_intervals")), *dicts(config.get("mute_time_intervals"))]
    return {
        "global": without(mapping(config.get("global")), _ALERTMANAGER_GLOBAL),
        "receivers": numbered(
            (str(entry.get("name")), normal({name: value for name, value in entry.items() if name != "name"}))
            for entry in dicts(config.get("receivers"))
        ),
        "routes": numbered(_routes(mapping(config.get("route")), [], {**_ROUTE, **_ROOT_ROUTE})),
        "inhibitions": numbered(
            (json.dumps(normal(entry), sort_keys=True), {}) for entry in dicts(config.get("inhibit_rules"))
        ),
        "time intervals": numbered(
            (str(entry.get("name")), normal({name: value for name, value in entry.items() if name != "name"}))
            for entry in intervals
        ),
        "message templates": {
            name: {} for path in templates for name in re.findall(r'\{\{-?\s*define\s+"([^"]+)"', files[path])
        },
    }
