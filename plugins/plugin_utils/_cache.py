# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's cache of archives: one for each user, each file named after its own SHA-256."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from urllib.error import HTTPError

from ansible.module_utils.urls import open_url
from ansible_collections.vigil.monitoring.plugins.module_utils._download import TIMEOUT, file_digest
from ansible_collections.vigil.monitoring.plugins.module_utils._release import ReleaseError, shown
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import locate


def default_directory():
    """Where the cache of the current user lies unless ``monitoring_release_cache`` says otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "vigil.monitoring")


class Cache:
    """Archives by digest. Safe for any number of processes at once; may be deleted at any time.

    :param directory: where they are; a relative one is looked up below the bases.
    :param bases: what :func:`places` gives.
    """

    def __init__(self, directory=None, bases=()):
        self.directory, dummy = locate(directory or default_directory(), bases)

    def obtain(self, digest, download):
        """Path of the archive with a digest, downloaded if need be.

        A file enters the cache by a rename after it was verified, and is verified again before each use: what is
        damaged, here or on the way, is thrown away.

        :param digest: SHA-256 in hexadecimal.
        :param download: called with an empty binary stream, open for reading too; writes the archive to it and
            verifies it, or raises.
        :raises ReleaseError: when the cache cannot be used; what ``download`` raises is passed on.
        """
        path = os.path.join(self.directory, digest)
        try:
            self._create()
            if self._holds(path, digest):
                return path
            with self._lock(digest):
                # Another process may have brought it while this one waited.
                if not self._holds(path, digest):
                    self._bring(path, download)
            return path
        except OSError as error:
            raise ReleaseError(
                f"the cache {self.directory} cannot be used: {error.strerror}. "
                f"Repair it, or set monitoring_release_cache"
            ) from error

    def of_address(self, url, headers, what):
        """Path of a file that nothing but its address is known of, downloaded if need be and then kept for good.

        :param headers: of the request.
        :param what: what asks for it, for the message.
        :raises ReleaseError: when it cannot be had.
        """
        self._create()
        path = os.path.join(self.directory, "at-" + hashlib.sha256(url.encode("utf-8")).hexdigest())
        try:
            if not os.path.exists(path):
                self._bring(path, lambda stream: self._fetch(url, headers, stream))
        except (OSError, ValueError) as error:
            words = "answers {0}".format(error.code) if isinstance(error, HTTPError) else f"cannot be had: {error}"
            raise ReleaseError(f"{what}: {shown(url)} {words}; check it, or use a file on the controller") from error
        return path

    @staticmethod
    def _fetch(url, headers, stream):
        with open_url(url, headers=headers, timeout=TIMEOUT, http_agent="vigil.monitoring") as answer:
            shutil.copyfileobj(answer, stream)

    def _create(self):
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        status = os.stat(self.directory)
        if status.st_uid != os.geteuid():
            raise ReleaseError(f"the cache {self.directory} belongs to another user; set monitoring_release_cache")
        if stat.S_IMODE(status.st_mode) != 0o700:
            os.chmod(self.directory, 0o700)

    @staticmethod
    def _holds(path, digest):
        try:
            return file_digest(path) == digest
        except FileNotFoundError:
            return False

    @contextlib.contextmanager
    def _lock(self, digest):
        # Locks are never deleted: whoever waits for one must wait for the same file. They end with their process.
        with open(os.path.join(self.directory, f"{digest}.lock"), "wb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _bring(self, path, download):
        for name in os.listdir(self.directory):
            # The lock is ours, so a part of this archive was left by a run that was killed.
            if name.startswith(f"{os.path.basename(path)}.part-"):
                os.unlink(os.path.join(self.directory, name))
        descriptor, part = tempfile.mkstemp(prefix=f"{os.path.basename(path)}.part-", dir=self.directory)
        try:
            with os.fdopen(descriptor, "w+b") as stream:
                download(stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(part, path)
        except BaseException:
            os.unlink(part)
            raise
