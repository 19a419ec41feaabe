# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of grafana_plugins: looks what is missing, obtains the archives, and sends them."""

from __future__ import annotations

import shlex

from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.module_utils._download import file_digest
from ansible_collections.vigil.monitoring.plugins.module_utils._release import (
    ReleaseError,
    given_digest,
    is_remote,
    local_path,
    shown,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._cache import Cache
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import locate, places
from ansible_collections.vigil.monitoring.plugins.plugin_utils._look import answer
from ansible_collections.vigil.monitoring.plugins.plugin_utils._transfer import CannotCopy, copy


class ActionModule(ActionBase):
    """Action plugin of the grafana_plugins module."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Ask the module only where something is missing."""
        super().run(tmp, task_vars)
        given = dict(self._task.args)
        given.pop("archives", None)
        headers = given.pop("headers", None) or {}
        if given.get("state") == "absent":
            return self._ask(given, task_vars)
        bases = places(task_vars, self._loader.get_basedir())
        missing = self._missing(given)
        if not missing:
            return {"changed": False, "unpacked": []}
        try:
            if not self._task.check_mode:
                given["archives"] = {
                    name: self._copy(name, self._archive(plugin, headers, given.get("cache_dir"), bases))
                    for name, plugin in missing.items()
                }
        except ReleaseError as error:
            return {"failed": True, "changed": False, "msg": str(error)}
        return self._ask(given, task_vars)

    def _ask(self, given, task_vars):
        return self._execute_module(
            module_name="vigil.monitoring.grafana_plugins", module_args=given, task_vars=task_vars
        )

    def _missing(self, given):
        """The plugins that the host lacks, by the names of their directories."""
        wanted = {"{id}-{version}".format(**plugin): plugin for plugin in given.get("plugins") or []}
        there = answer(self, "ls -A {0} 2>/dev/null || :".format(shlex.quote(str(given["path"]))))
        return {name: plugin for name, plugin in wanted.items() if name not in (there or "").split()}

    def _archive(self, plugin, headers, cache_dir, bases):
        """Path of a plugin's archive on the controller."""
        url = str(plugin["url"])
        if is_remote(url):
            path = Cache(cache_dir, bases).of_address(url, headers, "grafana_plugins ({id} {version})".format(**plugin))
        else:
            path, dummy = locate(local_path(url), bases)
        expected = given_digest(plugin.get("checksum"), "", "grafana_plugins")
        try:
            found = file_digest(path)
        except OSError as error:
            raise ReleaseError(
                "the plugin {0} {1} is not at {2} on the controller: {3}".format(
                    plugin["id"], plugin["version"], path, error.strerror
                )
            ) from error
        if expected and found != expected:
            raise ReleaseError(
                "wrong checksum: {0} has the SHA-256 {1}, expected is {2}. It was not used.".format(
                    shown(url), found, expected
                )
            )
        return path

    def _copy(self, name, path):
        try:
            return copy(self, path, name + ".zip")
        except CannotCopy as error:
            raise ReleaseError(str(error)) from error
