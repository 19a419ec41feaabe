# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's cache of archives: one for each user, each file named after its own SHA-256."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
import time
from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils._host import file_digest
from ansible_collections.vigil.monitoring.plugins.module_utils._release import ReleaseError, shown
from ansible_collections.vigil.monitoring.plugins.plugin_utils._controller import locked
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import locate

# What nothing vouches for is asked for anew after a day, in seconds.
TRUSTED = 86_400


class Kept(NamedTuple):
    """A file that nothing but its address is known of.

    :ivar path: where it is in the cache.
    :ivar doubts: what a person should know about it, one sentence each.
    """

    path: str
    doubts: list


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
            raise self._unusable(error) from error

    def held(self, digest):
        """Path of the archive with a digest, or None where it is not here."""
        path = os.path.join(self.directory, digest)
        try:
            return path if self._holds(path, digest) else None
        except OSError:
            return None

    def of_address(self, wanted):
        """A file that nothing vouches for, downloaded if it was not lately; what was downloaded before is compared.

        :param wanted: the :class:`_download.Download`.
        :returns: a :class:`Kept`.
        :raises ReleaseError: when it cannot be had.
        """
        name = "at-" + hashlib.sha256(wanted.url.encode("utf-8")).hexdigest()
        try:
            self._create()
            known, since = self._known(name)
            if known and since < TRUSTED:
                return Kept(os.path.join(self.directory, known), [])
            with self._lock(name):
                known, since = self._known(name)
                if not known or since >= TRUSTED:
                    return self._request_again(name, known, wanted)
            return Kept(os.path.join(self.directory, known), [])
        except OSError as error:
            raise self._unusable(error) from error

    def _request_again(self, name, known, wanted):
        doubts, found = [], []
        try:
            scratch = os.path.join(self.directory, name)
            self._bring(scratch, lambda stream: found.append(wanted.into(stream)), lambda: found[0])
        except ReleaseError as error:
            if not known:
                raise
            doubts.append(f"{error} The previous download is used, although it cannot be verified.")
            return Kept(os.path.join(self.directory, known), doubts)
        if wanted.url.startswith("http:"):
            doubts.append(
                f"{wanted.advice.variable}: {shown(wanted.url)} came over plain http and cannot be verified; "
                f"set its checksum, or use https"
            )
        if known and known != found[0]:
            doubts.append(
                f"{wanted.advice.variable}: {shown(wanted.url)} differs from the previous download; set its checksum"
            )
        self._bring(os.path.join(self.directory, name), lambda stream: stream.write(found[0].encode("ascii")))
        return Kept(os.path.join(self.directory, found[0]), doubts)

    def _known(self, name):
        """The digest of what an address held when it was last asked, and how many seconds ago that was; or None, 0."""
        path = os.path.join(self.directory, name)
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                digest = stream.read(65)
            if re.fullmatch("[0-9a-f]{64}", digest) and self._holds(os.path.join(self.directory, digest), digest):
                return digest, abs(time.time() - os.stat(path).st_mtime)
        except FileNotFoundError:
            pass
        return None, 0

    def _unusable(self, error):
        return ReleaseError(
            f"the cache {self.directory} cannot be used: {error.strerror}. Repair it, or set monitoring_release_cache"
        )

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

    def _lock(self, digest):
        return locked(os.path.join(self.directory, f"{digest}.lock"))

    def _bring(self, path, download, name_of=None):
        """Write a file and give it its name.

        :param path: of the file, unless ``name_of`` is called for its name once it is there.
        """
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
            os.rename(part, os.path.join(self.directory, name_of()) if name_of else path)
        except BaseException:
            os.unlink(part)
            raise
