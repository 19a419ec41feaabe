# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to happen to the process: what runs, compared with what is on disk."""

from __future__ import annotations

import os
import re

from ansible_collections.vigil.monitoring.plugins.module_utils._health import RELOAD
from ansible_collections.vigil.monitoring.plugins.module_utils._process import (
    Decision,
    decide,
    is_loaded,
    other_start,
)

# What was done, by the action that was decided.
DONE = {"none": "none", "start": "started", "restart": "restarted", "reload": "reloaded"}


class Comparison:
    """The process against the disk.

    :param task: :class:`_task.Task`.
    :param verification: :class:`_verification.Verification`.
    :param record: :class:`_record.Record`.
    :ivar rereads: whether the process can be told to read what changes, instead of being restarted.
    """

    def __init__(self, task, verification, record):
        self.task = task
        self.params = task.params
        self.state = task.state
        self.verification = verification
        self.record = record
        self.rereads = False

    def decide(self, running, verified):
        """What has to happen, a :class:`_process.Decision`.

        :param running: the main process, or None.
        :param verified: the record of the last verification.
        """
        executable, fingerprint = self.task.runtime.expected(self.params["argv"], running)
        manifest = self.state.manifest()
        loaded = running is not None and self.has_loaded(running, verified, manifest)
        if running and not loaded and self.params["reload"] and is_verified(running, verified, manifest):
            # Only what it may have read again was touched.
            self.rereads = True
        for path in self.params["reads"] if not self._has_read_all(running, verified) else ():
            if running and not self.started_after(running, path, margin=0):
                return Decision("restart", "{0} has changed since it was started".format(path))
        start = self.expected_start(verified, fingerprint)
        found = decide(running, executable, fingerprint, loaded, self.on_change(), start)
        if found.action in ("none", RELOAD) and self.verification.turns_tls():
            return Decision("restart", "turning TLS on or off takes a restart")
        return found

    def _has_read_all(self, running, verified):
        """Whether the files that it reads at its start are those with which this very process was verified: the time of its
        start alone is known to the second."""
        same = running is not None and (verified.get("pid"), verified.get("started")) == (running.pid, running.started)
        return same and verified.get("reads") == times_of(self.params["reads"])

    def foresee(self, plan, found):
        """What a check expects to happen, a :class:`_process.Decision`.

        :param plan: :class:`_plan.Plan`.
        :param found: :class:`_deployment.Found`.
        """
        running, verified = found.running, found.verified
        would = (
            Decision("restart", "its unit or binary would change")
            if running
            else Decision("start", "it is not running")
        )
        if plan.replacing:
            return would._replace(reason=plan.replacing)
        otherwise = other_start(running.start, self.expected_start(verified, None)) if running else None
        if otherwise and plan.texts:
            return would._replace(reason="it " + otherwise)
        if not running or plan.texts or plan.has_links:
            return would
        would = self.decide(running, verified)
        on_change = self.on_change()
        read_once = {change.path for change in plan.changes}.intersection(self.params["reads"])
        if read_once and would.action in ("none", RELOAD):
            return Decision("restart", "{0} would change, which is read at its start alone".format(min(read_once)))
        if would.action == "none" and plan.changes and on_change:
            return Decision(on_change, "its configuration would change")
        return would

    def on_change(self):
        """How it takes up a changed configuration."""
        return RELOAD if self.rereads else self.verification.health["on_config_change"]

    def expected_start(self, verified, fingerprint):
        """How the process has to be started, as far as that is known."""
        known = verified.get("start") if verified.get("unit") == fingerprint else None
        arguments = self.task.runtime.expected_arguments(self.params["argv"])
        return dict(known or {}, **({"arguments": arguments} if arguments else {}))

    def has_loaded(self, running, verified, manifest):
        """Whether a process is known to have loaded what is on disk, and nothing else since."""
        configuration = None
        if verified.get("configuration") and verified.get("generation") == manifest["generation"]:
            configuration = self.verification.configuration()
        return is_loaded(
            verified,
            is_verified(running, verified, manifest),
            self.record.touched(manifest),
            configuration,
            self.has_read(running, verified, manifest),
        )

    def has_read(self, running, verified, manifest):
        """Whether a process is known to have read, when it started, the generation that is on disk."""
        if is_verified(running, verified, manifest):
            return True
        files = [os.path.join(self.state.config_dir, path) for path in manifest["files"]]
        known = [*files, os.path.join(self.state.directory, "manifest.json")]
        return all(self.started_after(running, path) for path in known if os.path.lexists(path))

    def can_reread(self, changes, running, verified, manifest):
        """Whether the process has loaded everything but these changes, and can be told to read them."""
        reload, base = self.params["reload"], self.state.config_dir
        if not (reload and running and changes and self.has_read(running, verified, manifest)):
            return False
        prefixes = tuple(os.path.join(base, path) for path in reload["paths"])
        return all(change.path.startswith(prefixes) for change in changes)

    def started_after(self, running, path, margin=2):
        """Whether a process began after a file was written, so that it can have read nothing else.

        :param margin: seconds to be sure by; the manifest of a generation is written when all of it is complete.
        """
        try:
            switched = os.stat(path).st_ctime
            boot = float(re.search(r"(?m)^btime (\d+)$", self.task.machine.proc("stat")).group(1))
        except (OSError, AttributeError):
            return False
        # `btime` is rounded to seconds; a reload too many does no harm.
        return boot + int(running.started) / os.sysconf("SC_CLK_TCK") > switched + margin


def times_of(paths):
    """When files were last changed, in seconds since the epoch, without those that are not there."""
    return [int(os.stat(path).st_ctime) for path in paths if os.path.exists(path)]


def is_verified(running, verified, manifest):
    """Whether it is this process that was verified to serve the generation of a manifest."""
    known = verified.get("generation"), verified.get("pid"), verified.get("started")
    return known == (manifest["generation"], running.pid, running.started)
