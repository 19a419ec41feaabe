# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is downloaded, on the controller or on the host: releases, their checksums, plugins, dashboards."""

from __future__ import annotations

import errno
import gzip
import hashlib
import http.client
import io
import os
import ssl
import time
import zlib
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.error import HTTPError

from ansible.module_utils.urls import open_url
from ansible_collections.vigil.monitoring.plugins.module_utils._host import PIECE, file_digest
from ansible_collections.vigil.monitoring.plugins.module_utils._release import (
    ReleaseError,
    base_name,
    check_digest,
    check_upstream,
    digest_in_sums,
    given_digest,
    is_remote,
    local_path,
    origin,
    shown,
)

TIMEOUT = 10  # seconds to connect, and between two pieces of an answer
PAUSES = (1, 2)  # seconds before each further attempt after a transient error
# A server that sends less than this many bytes in so many seconds has stalled, however often it sends one.
STALL_BYTES, STALL_SECONDS = 1 << 16, 60
LARGEST = 2 << 30  # bytes of an archive
LARGEST_TEXT = 16 << 20  # bytes of a file of checksums, or of a dashboard
REDIRECTS = (301, 302, 303, 307, 308)
TRANSIENT_STATUS = (408, 429, 500, 502, 503, 504)
# With these a server may refuse HEAD, and answer GET all the same.
NO_HEAD = (400, 403, 405, 501)


class Advice(NamedTuple):
    """The way out, for messages.

    :ivar variable: that gives the address.
    :ivar missing: what to check where the server has no such file.
    :ivar unreachable: what to check where no server answers.
    """

    variable: str
    missing: str
    unreachable: str


def release_advice(role):
    """The way out for the release of a role."""
    return Advice(
        f"{role}_binary_url",
        f"Is there such a release for this architecture? Check {role}_version, and monitoring_release_mirror "
        f"or {role}_binary_url and {role}_checksums_url.",
        f"Check the network, or monitoring_release_mirror and {role}_binary_url; monitoring_release_fetch chooses who "
        f"downloads, the controller or the host.",
    )


def entry_advice(name):
    """The way out for an entry of a variable, such as ``grafana_plugins (ID VERSION)``."""
    return Advice(
        name,
        f"Is there such a version? Check {name}.",
        f"Check the network, or {name}; or use a file on the controller.",
    )


@dataclass(frozen=True)
class Source:
    """Where a release comes from, and how it is verified.

    :param role: prefix of the variables that messages name.
    :param url: of the archive; a path for a mirror on the controller.
    :param checksums_url: of the sums file.
    :param digest: SHA-256 that the user gave, else None.
    :param known: SHA-256 of upstream's own build, where that is known, else None.
    :param headers: sent to the archive's origin and to no other.
    """

    role: str
    url: str
    checksums_url: str | None = None
    digest: str | None = None
    headers: dict = field(default_factory=dict, repr=False)
    known: str | None = None

    @classmethod
    def from_options(cls, options, arch):
        """The source that the options of ``vigil.monitoring.release`` describe, for an architecture.

        :raises ReleaseError: for a checksum that is none.
        """
        role = options.get("role") or options["program"]
        return cls(
            role=role,
            url=options["url"].replace("{arch}", arch),
            checksums_url=(options.get("checksums_url") or "").replace("{arch}", arch),
            digest=given_digest(options.get("checksum"), arch, role),
            headers=options.get("headers") or {},
            known=(options.get("known_checksums") or {}).get(arch),
        )

    def below(self, absolute):
        """The same for a mirror on the controller, with absolute paths.

        :param absolute: called with a path, makes it absolute.
        """
        paths = {"url": absolute(local_path(self.url))}
        if self.checksums_url and not is_remote(self.checksums_url):
            paths["checksums_url"] = absolute(local_path(self.checksums_url))
        return replace(self, **paths)

    def expected_digest(self):
        """The SHA-256 that the archive must have: the one given, else the one known, else the sums file's.

        :raises ReleaseError: when nothing vouches for the archive.
        """
        return self.digest or self.known or self._promised()

    def _promised(self):
        if not self.checksums_url:
            raise ReleaseError(
                f"{shown(self.url)} cannot be verified: set {self.role}_checksum or {self.role}_checksums_url"
            )
        text = self._read(self.checksums_url).decode("utf-8", "replace")
        return digest_in_sums(text, base_name(self.url), self.checksums_url, self.role)

    def doubt(self):
        """Why what is expected may be anybody's: a sentence, or None."""
        if self.digest or self.known or not (self.checksums_url or "").startswith("http:"):
            return None
        return (
            f"{self.role}: the checksum of {base_name(self.url)} comes over plain http ({shown(self.checksums_url)}), so "
            f"both could be replaced on the network; set {self.role}_checksum, or use https"
        )

    def inspect(self):
        """Ask for the archive without downloading it, and for its checksums.

        :returns: its size in bytes, or None where the server does not tell.
        :raises ReleaseError: for what would keep a run from having it, as far as that shows.
        """
        expected = self.expected_digest()
        if not self.digest and self.known:
            # A mirror that promises another build will not deliver this one. A run does without its promise.
            try:
                promised = self._promised()
            except ReleaseError:
                promised = expected
            check_upstream(self.url, promised, expected, self.role)
        if not is_remote(self.url):
            return os.path.getsize(self.verify_local(expected))
        return self._download().size()

    def download(self, stream, expected):
        """Write the archive to an empty binary stream, open for reading too, and verify it.

        :raises ReleaseError: when it cannot be had, or is another than expected.
        """
        self._verify(stream, self._download().into(stream), expected)

    def verify_local(self, expected):
        """Path of an archive in a mirror on the controller, verified.

        :raises ReleaseError: when it is not there, or is another than expected.
        """
        path = local_path(self.url)
        try:
            with open(path, "rb") as stream:
                self._verify(stream, file_digest(path), expected)
        except OSError as error:
            raise self._unreadable(path, error) from error
        return path

    def _download(self):
        return Download(self.url, release_advice(self.role), self.headers)

    def _verify(self, stream, found, expected):
        if found != expected and _is_cut_short(stream):
            raise ReleaseError(
                f"truncated archive: {shown(self.url)} ends after {stream.seek(0, os.SEEK_END)} bytes, incomplete. "
                f"It was not used. Replace it with the complete archive, and run again."
            )
        if not self.digest and self.known == expected:
            check_upstream(self.url, found, expected, self.role)
        check_digest(self.url, found, expected, f"{self.role}_checksum or the sums file")

    def _read(self, url):
        if is_remote(url):
            stream = io.BytesIO()
            Download(url, release_advice(self.role), self.headers, [self.url], LARGEST_TEXT).into(stream)
            return stream.getvalue()
        try:
            with open(local_path(url), "rb") as stream:
                return stream.read()
        except OSError as error:
            raise self._unreadable(local_path(url), error) from error

    def _unreadable(self, path, error):
        return ReleaseError(
            f"cannot read {path} on the controller: {error.strerror}. Does monitoring_release_mirror (or "
            f"{self.role}_binary_url) name the right directory, and does it contain this {self.role}_version?"
        )


def _is_cut_short(stream):
    """Whether the end of a gzip file is missing."""
    stream.seek(0)
    try:
        # Without a mode, GzipFile takes the stream's own: one that was opened for writing could not be read.
        with gzip.GzipFile(fileobj=stream, mode="rb") as unpacked:
            while unpacked.read(PIECE):
                pass
    except EOFError:
        return True
    except (OSError, zlib.error):
        return False
    return False


class _Interrupted(OSError):
    """The connection ended before the answer did."""


class Download:
    """One file over HTTP, with a few further attempts after errors that pass by themselves.

    :param url: its address.
    :param advice: an :class:`Advice`.
    :param headers: secret ones.
    :param meant_for: addresses whose servers may see them, and no other; the file's own where none are given.
    :param limit: the most bytes that are taken.
    """

    def __init__(self, url, advice, headers=None, meant_for=None, limit=LARGEST):
        self.url = url
        self.advice = advice
        self.headers = headers or {}
        self.origins = {origin(address) for address in meant_for or [url]}
        self.limit = limit

    def into(self, stream):
        """Write the file to a stream.

        :returns: its SHA-256.
        :raises ReleaseError: when it cannot be had.
        """
        return self._patiently(lambda: self._attempt(stream))

    def size(self):
        """Bytes of the file, without downloading it; None where the server does not tell.

        :raises ReleaseError: when it cannot be had.
        """
        return self._patiently(self._size)

    def _patiently(self, attempt):
        for pause in (*PAUSES, None):
            try:
                return attempt()
            except HTTPError as error:
                problem = self._status(error)
                transient = error.code in TRANSIENT_STATUS
            except (OSError, http.client.HTTPException, ValueError) as error:
                problem = self._failure(error)
                transient = not isinstance(getattr(error, "reason", error), (ssl.SSLCertVerificationError, ValueError))
            if pause is None or not transient:
                break
            time.sleep(pause)
        raise ReleaseError(problem)

    def _attempt(self, stream):
        stream.seek(0)
        stream.truncate()
        summed, received = hashlib.sha256(), 0
        with self._open() as answer:
            promised = self._promised(answer)
            # What is there, not all that was requested: else a server that trickles would never be noticed.
            read = getattr(answer, "read1", answer.read)
            since, then = time.monotonic(), 0
            for piece in iter(lambda: read(PIECE), b""):
                summed.update(piece)
                received += len(piece)
                self._hold(received)
                self._write(stream, piece)
                if time.monotonic() - since > STALL_SECONDS:
                    if received - then < STALL_BYTES:
                        raise _Interrupted(f"no more than {received - then} bytes came in {STALL_SECONDS} s")
                    since, then = time.monotonic(), received
        if promised is not None and received != promised:
            raise _Interrupted(f"the connection ended after {received} of {promised} bytes")
        stream.flush()
        return summed.hexdigest()

    def _size(self):
        try:
            with self._open("HEAD") as answer:
                return self._promised(answer)
        except HTTPError as error:
            if error.code not in NO_HEAD:
                raise
        with self._open() as answer:
            return self._promised(answer)

    def _promised(self, answer):
        length = answer.headers.get("Content-Length")
        if length is None:
            return None
        self._hold(int(length))
        return int(length)

    def _hold(self, size):
        if size > self.limit:
            raise ReleaseError(
                f"{shown(self.url)} has more than {self.limit >> 20} MiB, which is no {base_name(self.url) or 'file'} "
                f"that can be meant. It was not used. Check {self.advice.variable}."
            )

    def _open(self, method="GET"):
        """Follow redirects by hand: the headers are secret and must not leave the origin that they are meant for."""
        url = self.url
        for _dummy in range(10):
            headers = self.headers if origin(url) in self.origins else {}
            try:
                return open_url(
                    url,
                    method=method,
                    headers=dict(headers, **{"Accept-Encoding": "identity"}),
                    timeout=TIMEOUT,
                    follow_redirects="no",
                    decompress=False,
                    use_netrc=not headers,
                    http_agent="vigil.monitoring",
                )
            except HTTPError as error:
                if error.code not in REDIRECTS:
                    raise
                if not is_remote(error.url) or (origin(url)[0] == "https" and origin(error.url)[0] != "https"):
                    raise ReleaseError(
                        f"{shown(self.url)} redirects from {origin(url)[0]} to {shown(error.url)}, which is not "
                        f"secure; set {self.advice.variable} to a URL that does not"
                    ) from error
                url = error.url
        raise ReleaseError(f"{shown(self.url)} redirects in a loop; correct {self.advice.variable}")

    def _write(self, stream, piece):
        try:
            stream.write(piece)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            way_out = ": free some space and run again" if full else ""
            where = getattr(stream, "name", "memory")
            raise ReleaseError(f"cannot store {shown(self.url)} in {where}: {error.strerror}{way_out}") from error

    def _status(self, error):
        if error.code in (401, 403, 407):
            advice = "Access needs credentials: see monitoring_release_headers."
        elif error.code in (404, 410):
            advice = self.advice.missing
        else:
            advice = "The server's own log may have details."
        return (
            f"{shown(self.url)} answers {error.code} {http.client.responses.get(error.code, '')}".rstrip()
            + f". {advice}"
        )

    def _failure(self, error):
        reason = getattr(error, "reason", error)
        words = str(getattr(reason, "strerror", None) or reason) or type(reason).__name__
        if isinstance(error, (_Interrupted, http.client.IncompleteRead)):
            return f"{shown(self.url)} could not be read to its end: {words}. It was discarded; run again."
        return f"cannot reach {shown(self.url)} from {os.uname().nodename}: {words}. {self.advice.unreachable}"
