# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of grafana_plugins: finds what is missing, obtains the archives, and sends them."""

from __future__ import annotations

import os
import shlex

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.vigil.monitoring.plugins.module_utils._release import (
    ReleaseError,
    check_digest,
    is_remote,
    local_path,
    plain_digest,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import locate, places
from ansible_collections.vigil.monitoring.plugins.plugin_utils._host_commands import answer
from ansible_collections.vigil.monitoring.plugins.plugin_utils._transfer import CannotCopy, copy

display = Display()


class ActionModule(ActionBase):
    """Action plugin of the grafana_plugins module."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Ask the module only where something is missing."""
        super().run(tmp, task_vars)
        given = dict(self._task.args)
        headers, servers = given.pop("headers", None) or {}, given.pop("headers_for", None) or []
        if given.get("state") == "absent":
            return self._run_module(given, task_vars)
        bases = places(task_vars, self._loader.get_basedir())
        missing = self._missing(given)
        if not missing:
            return {"changed": False, "unpacked": []}
        try:
            sources = {
                name: _Plugin(
                    plugin, headers, [url for url in servers if url and is_remote(url)], given.get("cache_dir"), bases
                )
                for name, plugin in missing.items()
            }
            if self._task.check_mode:
                given["found"] = {name: source.inspect() for name, source in sources.items()}
            else:
                given["archives"] = {name: self._copy(name, source.obtain()) for name, source in sources.items()}
        except ReleaseError as error:
            return {"failed": True, "changed": False, "msg": str(error)}
        return self._run_module(given, task_vars)

    def _run_module(self, given, task_vars):
        return self._execute_module(
            module_name="vigil.monitoring.grafana_plugins", module_args=given, task_vars=task_vars
        )

    def _missing(self, given):
        """The plugins that the host lacks, by the names of their directories."""
        wanted = {"{id}-{version}".format(**plugin): plugin for plugin in given.get("plugins") or []}
        there = answer(self, "ls -A {0} 2>/dev/null || :".format(shlex.quote(str(given["path"]))))
        return {name: plugin for name, plugin in wanted.items() if name not in (there or "").split()}

    def _copy(self, name, path):
        try:
            return copy(self, path, name + ".zip")
        except CannotCopy as error:
            raise ReleaseError(str(error)) from error


class _Plugin:
    """Where one plugin comes from, and how it is verified."""

    def __init__(self, plugin, headers, servers, cache_dir, bases):
        # Imported here: a converged run does without.
        from ansible_collections.vigil.monitoring.plugins.module_utils._download import (  # noqa: PLC0415
            Download,
            entry_advice,
        )
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._cache import Cache  # noqa: PLC0415

        self.url, self.variable = str(plugin["url"]), "grafana_plugins ({id} {version})".format(**plugin)
        self.what = "the plugin {id} {version}".format(**plugin)
        self.digest = plain_digest(plugin.get("checksum"), "the checksum in " + self.variable)
        self.download = Download(self.url, entry_advice(self.variable), headers, servers)
        self.cache, self.bases = Cache(cache_dir, bases), bases

    def obtain(self):
        """Path of the archive on the controller, verified as far as anything vouches for it."""
        if not is_remote(self.url):
            return self._local()
        if self.digest:
            return self.cache.obtain(self.digest, self._verified)
        kept = self.cache.of_address(self.download)
        for doubt in kept.doubts:
            display.warning(doubt)
        return kept.path

    def inspect(self):
        """Bytes of the archive, without downloading it; None where the server does not tell."""
        return os.path.getsize(self._local()) if not is_remote(self.url) else self.download.size()

    def _local(self):
        from ansible_collections.vigil.monitoring.plugins.module_utils._host import file_digest  # noqa: PLC0415

        path, dummy = locate(local_path(self.url), self.bases)
        try:
            self._check(file_digest(path))
        except OSError as error:
            raise ReleaseError(f"{self.what} is not at {path} on the controller: {error.strerror}") from error
        return path

    def _verified(self, stream):
        self._check(self.download.into(stream))

    def _check(self, found):
        if self.digest:
            check_digest(self.url, found, self.digest, "the checksum in " + self.variable)
