#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_plugins
short_description: Install Grafana plugins, one directory for each version
description:
  - Unpacks plugins in the given versions. Grafana does not load them until
    M(vigil.monitoring.service) activates their links, together with everything else.
  - The controller downloads an archive once, or reads it from a mirror that is a directory; a host that has the
    plugin is not changed.
version_added: 0.2.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: full
    description: Reports what would be unpacked, and what would make a run fail; downloads and writes nothing.
  diff_mode:
    support: none
    description: The result names what was unpacked.
  idempotent:
    support: full
    description: Changes nothing if all plugins are installed.
options:
  path:
    description: Directory on the host for the unpacked plugins, each in C(ID-VERSION).
    type: path
    required: true
  state:
    description: Whether the plugins are installed, or all of them removed.
    type: str
    choices: [present, absent]
    default: present
  plugins:
    description: The plugins.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: Name of the plugin.
        type: str
        required: true
      version:
        description: Its version.
        type: str
        required: true
      url:
        description: URL of its zip archive, or a path on the controller.
        type: str
        required: true
      checksum:
        description: SHA-256 of the archive. Without it, the server of the archive is trusted, with a warning if
          it is downloaded over plain HTTP. Grafana itself loads signed plugins only.
        type: str
        default: ""
  headers:
    description: HTTP headers of the requests for archives.
    type: dict
    default: {}
  headers_for:
    description: URLs of the servers that O(headers) are sent to, and no other, whatever they redirect to. Defaults to the server of
      each archive.
    type: list
    elements: str
    default: []
  cache_dir:
    description: Cache directory on the controller for archives. Defaults to the user's own cache.
    type: str
    default: ""
  archives:
    description: Paths on the host of the archives that the controller copied there, by C(ID-VERSION). For internal use.
    type: dict
    default: {}
  found:
    description: Sizes of the archives in bytes by C(ID-VERSION), in check mode. For internal use.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Install the clock panel
  vigil.monitoring.grafana_plugins:
    path: /opt/vigil/bin/grafana-plugins
    plugins:
      - id: grafana-clock-panel
        version: 2.1.3
        url: https://mirror.example/grafana/plugins/grafana-clock-panel-2.1.3.zip
"""

RETURN = r"""
unpacked:
  description: Plugins that were unpacked, or would be in check mode.
  returned: always
  type: list
  elements: str
"""

import json
import os
import shutil
import tempfile

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._disk_space import free_bytes, is_short, place_problem
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    ensure_directory,
    restore_context,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._release import ReleaseError, no_space, shown


def identity(directory):
    """Name and version of the plugin in a directory, as its own description says; None for each that it does not say."""
    for place in ("plugin.json", "dist/plugin.json"):
        path = os.path.join(directory, place)
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as stream:
                about = json.load(stream)
            return about.get("id"), (about.get("info") or {}).get("version")
    return None, None


def check_place(directory, needed):
    """Refuse a place where nothing can be put, or where the archives alone have no room.

    :param needed: bytes, as far as they are known.
    :raises ReleaseError: naming the place.
    """
    problem = place_problem(directory)
    if problem:
        raise ReleaseError(
            "{0}. Plugins are installed there; set monitoring_release_dir to another directory.".format(problem)
        )
    if is_short(directory, needed):
        raise no_space(directory, needed, free_bytes(directory), "grafana")


def install(plugin, archive, directory):
    """Unpack one plugin; it appears under its name when it is complete and is what it should be.

    :raises ReleaseError: when it is not.
    """
    name = "{id}-{version}".format(**plugin)
    _nofollow.must_be_roots(directory, "unpacks there what Grafana runs")
    ensure_directory(directory)
    work = tempfile.mkdtemp(prefix=".plugin-", dir=directory)
    try:
        # Imported here: a run that unpacks nothing does without.
        from ansible_collections.vigil.monitoring.plugins.module_utils._unpack import unpack  # noqa: PLC0415

        fresh = os.path.join(work, "plugin")
        try:
            unpack(archive, fresh, usual="zip")
        except ReleaseError as error:
            raise ReleaseError("{0}: {1}".format(shown(plugin["url"]), error)) from error
        try:
            found = identity(fresh)
        except ValueError as error:
            raise ReleaseError("{0}: its plugin.json is not valid JSON: {1}".format(plugin["url"], error)) from error
        if found != (plugin["id"], plugin["version"]):
            raise ReleaseError(
                "{0} contains the plugin {1} {2}, not {3} {4}; correct grafana_plugins or the archive".format(
                    plugin["url"], found[0], found[1], plugin["id"], plugin["version"]
                )
            )
        restore_context([fresh])
        os.rename(fresh, os.path.join(directory, name))
        _nofollow.sync_directory(directory)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def main():
    """Entry point."""
    module = Module(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "plugins": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "id": {"type": "str", "required": True},
                    "version": {"type": "str", "required": True},
                    "url": {"type": "str", "required": True},
                    "checksum": {"type": "str", "default": ""},
                },
            },
            "headers": {"type": "dict", "default": {}, "no_log": True},
            "headers_for": {"type": "list", "elements": "str", "default": []},
            "cache_dir": {"type": "str", "default": ""},
            "archives": {"type": "dict", "default": {}},
            "found": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    directory = module.params["path"]
    if module.params["state"] == "absent":
        try:
            there = _nofollow.inspect(directory) is not None
            if there and not module.check_mode:
                _nofollow.remove(directory)
        except HostError as error:
            module.fail_json(msg=str(error))
        module.exit_json(changed=there, unpacked=[])
    missing = [
        plugin
        for plugin in module.params["plugins"]
        if not os.path.isdir(os.path.join(directory, "{id}-{version}".format(**plugin)))
    ]
    try:
        if missing:
            check_place(directory, sum(size or 0 for size in module.params["found"].values()))
        for plugin in missing if not module.check_mode else []:
            install(plugin, module.params["archives"]["{id}-{version}".format(**plugin)], directory)
    except (ReleaseError, HostError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(missing), unpacked=["{id}-{version}".format(**plugin) for plugin in missing])


if __name__ == "__main__":
    main()
