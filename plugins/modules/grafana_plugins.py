#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_plugins
short_description: Have plugins of Grafana unpacked on a host, each version beside the others
description:
  - These plugins, in these versions, lie unpacked on the host. Grafana does not see them until
    M(vigil.monitoring.daemon) switches its links, together with everything else.
  - The controller downloads an archive, once, or reads it off a mirror in a directory of its own; a host that has the
    plugin is left alone.
version_added: 0.2.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: full
    description: Says what would be unpacked; fetches and writes nothing.
  diff_mode:
    support: none
    description: The answer names what was unpacked.
  idempotent:
    support: full
    description: One look at the host where everything is there.
options:
  path:
    description: Directory on the host that holds the unpacked plugins, as C(ID-VERSION).
    type: path
    required: true
  state:
    description: Whether the plugins are to be there, or all of them to be gone.
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
        description: Where its zip archive is, a URL or a path on the controller.
        type: str
        required: true
      checksum:
        description: SHA-256 of the archive. Without it, whoever serves the archive is trusted; Grafana itself loads only
          plugins that are signed.
        type: str
        default: ""
  headers:
    description: Headers of the requests for archives.
    type: dict
    default: {}
  cache_dir:
    description: Directory on the controller in which archives are kept. Empty means the user's own cache.
    type: str
    default: ""
  archives:
    description: Paths on the host of the archives that the controller copied there, by C(ID-VERSION). For internal use.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Have the clock
  vigil.monitoring.grafana_plugins:
    path: /opt/vigil/bin/grafana-plugins
    plugins:
      - id: grafana-clock-panel
        version: 2.1.3
        url: https://mirror.example/grafana/plugins/grafana-clock-panel-2.1.3.zip
"""

RETURN = r"""
unpacked:
  description: What was unpacked, or would be.
  returned: always
  type: list
  elements: str
"""

import json
import os
import shutil
import tempfile
import zipfile

from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    ensure_directory,
    fsync_dir,
    restore_context,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._release import ReleaseError, split_member


def unpack(archive, target):
    """Unpack a zip below a new directory, without the archive's own top directory; owners and modes are set here.

    :raises ReleaseError: for an archive that is damaged or unsafe.
    """
    try:
        with zipfile.ZipFile(archive) as bundle:
            for member in bundle.infolist():
                dummy, name = split_member(member.filename)
                mode = member.external_attr >> 16
                if mode & 0o170000 == 0o120000:
                    raise ReleaseError("the archive is unsafe: its member {0!r} is a link".format(member.filename))
                if member.is_dir() or not name:
                    continue
                path = os.path.join(target, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with bundle.open(member) as source, open(path, "xb") as stream:
                    shutil.copyfileobj(source, stream)
                os.chmod(path, 0o755 if mode & 0o100 else 0o644)
    except (zipfile.BadZipFile, EOFError) as error:
        raise ReleaseError("the archive is damaged or is no zip: {0}".format(error)) from error
    for folder, dummy, dummy in os.walk(target):
        os.chmod(folder, 0o755)


def identity(directory):
    """Name and version of the plugin in a directory, as its own description says; None for each that it does not say."""
    for place in ("plugin.json", "dist/plugin.json"):
        path = os.path.join(directory, place)
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as stream:
                about = json.load(stream)
            return about.get("id"), (about.get("info") or {}).get("version")
    return None, None


def install(plugin, archive, directory):
    """Unpack one plugin; it appears under its name when it is complete and is what it should be.

    :raises ReleaseError: when it is not.
    """
    name = "{id}-{version}".format(**plugin)
    ensure_directory(directory)
    work = tempfile.mkdtemp(prefix=".plugin-", dir=directory)
    try:
        fresh = os.path.join(work, "plugin")
        os.mkdir(fresh)
        unpack(archive, fresh)
        try:
            found = identity(fresh)
        except ValueError as error:
            raise ReleaseError("{0}: its plugin.json is no JSON: {1}".format(plugin["url"], error)) from error
        if found != (plugin["id"], plugin["version"]):
            raise ReleaseError(
                "{0} holds the plugin {1} {2}, not {3} {4}; correct grafana_plugins or the archive".format(
                    plugin["url"], found[0], found[1], plugin["id"], plugin["version"]
                )
            )
        restore_context([fresh])
        os.rename(fresh, os.path.join(directory, name))
        fsync_dir(directory)
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
            "cache_dir": {"type": "str", "default": ""},
            "archives": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    directory = module.params["path"]
    if module.params["state"] == "absent":
        there = os.path.isdir(directory)
        if there and not module.check_mode:
            shutil.rmtree(directory)
        module.exit_json(changed=there, unpacked=[])
    missing = [
        plugin
        for plugin in module.params["plugins"]
        if not os.path.isdir(os.path.join(directory, "{id}-{version}".format(**plugin)))
    ]
    try:
        for plugin in missing if not module.check_mode else []:
            install(plugin, module.params["archives"]["{id}-{version}".format(**plugin)], directory)
    except (ReleaseError, HostError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(missing), unpacked=["{id}-{version}".format(**plugin) for plugin in missing])


if __name__ == "__main__":
    main()
