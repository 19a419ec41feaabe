# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered about a service that was verified, and which versions have written its data."""

from __future__ import annotations

import os

from ansible_collections.vigil.monitoring.plugins.module_utils import _compare_program, _process_state
from ansible_collections.vigil.monitoring.plugins.module_utils._decision import times_of
from ansible_collections.vigil.monitoring.plugins.module_utils._firewall import Firewall, rules_of
from ansible_collections.vigil.monitoring.plugins.module_utils._health import RELOAD
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    digest,
    mark_writer,
    newest_writer,
    read_bytes,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._version import version_key


class Record:
    """The record of the last verification.

    :param task: :class:`_task.Task`.
    :param verification: :class:`_verification.Verification`.
    """

    def __init__(self, task, verification):
        self.task = task
        self.params = task.params
        self.state = task.state
        self.verification = verification

    def keep(self, seen, known, asked=None):
        """Remember which generation was verified, with which process, unless that is known already.

        :param seen: what the runtime knows about the service.
        :param known: the record of the last verification.
        :param asked: the digest of what was specified, where that is what was verified.
        """
        running = self.task.runtime.running(seen)
        if running is None:
            return
        self.state.install_program(_compare_program.directory(), _compare_program.files())
        verified = self.of(running, asked, seen)
        if verified.items() <= known.items():
            return
        before = [] if self.params["allow_downgrade"] else self.writers(known)
        newest = max(filter(None, [*before, self.verification.said]), key=version_key, default=None)
        data_dir = self.params["data_dir"]
        self.state.record_verified(dict(verified, data_version=newest, data_dir=data_dir))
        if newest and data_dir and os.path.isdir(data_dir) and newest_writer(data_dir) != newest:
            try:
                mark_writer(data_dir, newest)
            except HostError as error:
                self.task.notes.append(str(error))

    def keep_process(self, seen, known):
        """Remember in which process the same generation was verified again: what else is known of it stays so.

        :param seen: what the runtime knows about the service.
        :param known: the record of the last verification.
        """
        running = self.task.runtime.running(seen)
        if running:
            self.state.record_verified(dict(known, **self.of(running, None, seen)))

    def of(self, running, asked, seen):
        """What names the process that was verified, and what the controller's comparison needs besides."""
        runtime, params = self.task.runtime, self.params
        manifest = self.state.manifest()
        verified = {
            "generation": manifest["generation"],
            "pid": running.pid,
            "started": running.started,
            "unit": runtime.expected(params["argv"], running)[1],
            "start": running.start,
            "watched": self.watched(),
            "touched": self.touched(manifest),
            "configuration": self.verification.configuration(),
            "definition": runtime.definition(seen),
        }
        if not asked:
            return verified
        paths = [*params["files"], *runtime.paths()]
        files = {path: digest(read_bytes(path)) for path in paths if os.path.isfile(path)}
        reads = times_of(params["reads"])
        return dict(
            verified,
            asked=asked,
            files=files,
            reads=reads,
            account=runtime.account(),
            devices=runtime.devices(),
            firewall=self.firewall(),
        )

    def firewall(self):
        """What stands for the rules of the firewall that are in force, where it has some."""
        path = self.params["firewall"]
        return Firewall(self.task.machine).in_force(rules_of(path)) if path else None

    def watched(self):
        """What of the configuration the running service may have read again; see :func:`_process_state.touched`."""
        reload, health = self.params["reload"], self.verification.health
        files = [""] if health["on_config_change"] == RELOAD else reload["paths"] if reload else []
        return {"files": files, "directories": health["loaded_directories"]}

    def touched(self, manifest):
        """What tells that somebody wrote to the configuration, be it as before."""
        return _process_state.touched(self.state.config_dir, manifest["files"], self.watched())

    def written_by(self, running):
        """The newest version that is known to have opened the data, or None."""
        known = self.writers(self.state.verified())
        if running and not known:
            # Somebody else's service, about to be taken over, or one that is not remembered: only its own words tell.
            before = self.verification.as_before(self.state.manifest())
            known = [self.verification.reported(before.metrics or "").version]
        return max(filter(None, known), key=version_key, default=None)

    def writers(self, verified):
        """The newest version of the last record of this data, and that with which the data is marked, as far as there are any."""
        data_dir = self.params["data_dir"]
        same = verified.get("data_dir", data_dir) == data_dir
        known = verified.get("data_version") if same else None, newest_writer(data_dir) if data_dir else None
        return [version for version in known if version]
