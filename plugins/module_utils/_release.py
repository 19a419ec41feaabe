# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known about releases: addresses, checksums, versions, archives. Pure functions, no input or output."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote, urlsplit, urlunsplit

# What the kernel calls a machine -> what upstream calls its builds.
ARCHITECTURES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "armv7l": "armv7",
    "armv8l": "armv7",
}

# Bytes of a name that file systems take, and the directories inside each other that an archive may have.
LONGEST_NAME = 255
DEEPEST = 64

_VERSION = re.compile(r"\d+(\.\d+)+([-~+][0-9A-Za-z.+~-]+)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GNU_LINE = re.compile(r"\\?([0-9a-fA-F]{64})\s+\*?(?:\./)?(\S.*)")
_BSD_LINE = re.compile(r"SHA256 ?\((?:\./)?(.+)\) ?= ?([0-9a-fA-F]{64})")
# Most say ``version 1.2.3``; redis_exporter says ``Redis Metrics Exporter v1.2.3``.
_REPORTED_VERSION = re.compile(r"\b(?:version:?|exporter) +v?(\d[0-9A-Za-z.+~-]*)", re.IGNORECASE)
from ansible_collections.vigil.monitoring.plugins.module_utils._version import plain_version, version_key


class ReleaseError(Exception):
    """A release that cannot be had; the message names what was found, what was expected and the way out."""


def architecture(machine):
    """Upstream's name for the builds that run on a machine.

    :param machine: what ``uname -m`` says.
    :raises ReleaseError: for a machine that has no builds.
    """
    try:
        return ARCHITECTURES[machine]
    except KeyError:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ReleaseError(f"there are no releases for the architecture {machine} (known: {known})") from None


# Addresses


def release_url(program, version, mirror=None, upstream=None, bare=False, flat=False, archive=None, checksums=None):
    """Address of a release's archive; ``{arch}`` is left in it for the host to fill in.

    :param mirror: URL or directory in the layout ``NAME/vVERSION/FILE``; None or empty means upstream.
    :param upstream: URL in the layout ``vVERSION/FILE``.
    :param bare: whether the release is no archive but the program itself, ``NAME-vVERSION-linux-ARCH``.
    :param flat: whether all versions lie beside each other, without ``vVERSION``.
    :param archive: name of upstream's archives where it is not ``NAME-{version}.linux-{arch}.tar.gz``.
    :param checksums: only for :func:`release_sums_url`.
    """
    plain = plain_version(version)
    usual = "{program}-v{version}-linux-{arch}" if bare else "{program}-{version}.linux-{arch}.tar.gz"
    name = (archive or usual).replace("{program}", program).replace("{version}", plain)
    return f"{_folder(program, plain, mirror, upstream, flat)}/{name}"


def release_sums_url(
    program, version, mirror=None, upstream=None, bare=False, flat=False, archive=None, checksums=None
):
    """Address of the file with the checksums of a release; parameters as in :func:`release_url`.

    Beside a program without an archive, upstream has a file of its own for the checksum of each build; so has everybody
    where all versions lie beside each other.

    :param checksums: name of the file where it is not ``sha256sums.txt``.
    """
    if flat or (bare and not mirror):
        return release_url(program, version, mirror, upstream, bare, flat, archive) + ".sha256"
    return f"{_folder(program, plain_version(version), mirror, upstream, flat)}/{checksums or 'sha256sums.txt'}"


def _folder(program, version, mirror, upstream, flat):
    below = "" if flat else f"/v{version}"
    if mirror:
        return f"{mirror.rstrip('/')}/{program}{below}"
    if upstream:
        return f"{upstream.rstrip('/')}{below}"
    raise ReleaseError(f"neither a mirror nor an upstream address is known for {program}")


def is_remote(url):
    """Whether an address is fetched over the network; otherwise it is a path on the controller."""
    return urlsplit(url).scheme in ("http", "https")


def local_path(url):
    """Path of an address that is not remote: ``file:///srv/mirror/x`` or ``/srv/mirror/x``."""
    return unquote(urlsplit(url).path) if url.startswith("file:") else url


def base_name(url):
    """Name of the file at an address."""
    path = urlsplit(url).path if is_remote(url) else local_path(url)
    return unquote(path.rsplit("/", 1)[-1])


def shown(url):
    """An address without the credentials that may stand in it, fit for messages and records."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rsplit("@", 1)[-1], query=""))


def origin(url):
    """Scheme, host and port of an address: what a secret header is meant for."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


# Checksums


def parse_sums(text):
    """Checksums by file name, from the output of ``sha256sum``, of ``sha256sum --tag`` or of a like tool.

    Lines that are neither are skipped.
    """
    sums = {}
    for line in text.splitlines():
        gnu, bsd = _GNU_LINE.fullmatch(line.strip()), _BSD_LINE.fullmatch(line.strip())
        if gnu:
            sums[gnu.group(2)] = gnu.group(1).lower()
        elif bsd:
            sums[bsd.group(1)] = bsd.group(2).lower()
    return sums


def digest_in_sums(text, name, sums_url, role):
    """Digest of an archive according to the text of a sums file.

    :param text: of that file.
    :param name: the archive's, without a directory.
    :param sums_url: where the file is from, for the message.
    :param role: whose variables the message names.
    :returns: SHA-256 in hexadecimal.
    :raises ReleaseError: when the file does not vouch for the archive.
    """
    sums = parse_sums(text)
    if name in sums:
        return sums[name]
    lone = text.strip().lower()
    if _SHA256.fullmatch(lone) and base_name(sums_url) == f"{name}.sha256":
        return lone  # nothing but the digest, in a file that is named after its archive
    if len(sums) == 1 and len(text.split()) == 2 and base_name(sums_url) == f"{name}.sha256":
        return next(iter(sums.values()))  # or beside it the name that the archive had where upstream built it
    if not text.strip():
        found = "is empty"
    elif not sums:
        found = "contains no SHA-256 checksums"
    else:
        others = sorted(sums)
        found = f"has no line for it, only for {', '.join(others[:5])}{', ...' if len(others) > 5 else ''}"
    raise ReleaseError(
        f"{name} cannot be verified: {shown(sums_url)} {found}. Set {role}_checksums_url to the file that belongs "
        f"to the archive, or {role}_checksum to its SHA-256."
    )


def given_digest(checksum, arch, role):
    """The digest that the user gave for a release, as plain hexadecimal; None when none was given.

    :param checksum: hexadecimal, with or without ``sha256:``, or a dictionary of checksums by architecture.
    :raises ReleaseError: when it is none of these, or has nothing for the architecture.
    """
    if isinstance(checksum, dict) and checksum:
        if arch not in checksum:
            names = ", ".join(sorted(map(str, checksum)))
            raise ReleaseError(f"{role}_checksum has no entry for this host's architecture {arch} (it has: {names})")
        checksum = checksum[arch]
    return plain_digest(checksum, f"{role}_checksum")


def plain_digest(checksum, variable):
    """A checksum as plain hexadecimal; None for none.

    :param variable: that gives it, for the message.
    :raises ReleaseError: when it is no SHA-256.
    """
    if not checksum:
        return None
    digest = str(checksum).strip().lower()
    digest = digest[len("sha256:") :] if digest.startswith("sha256:") else digest
    if not _SHA256.fullmatch(digest):
        raise ReleaseError(
            f"{variable} is {checksum!r}, which is not a SHA-256 checksum: expected are 64 hexadecimal digits"
        )
    return digest


def check_digest(url, found, expected, variables):
    """Hold what was received against what was promised.

    :param url: where it is from, for the message.
    :param found: SHA-256 in hexadecimal, as ``expected``.
    :param variables: what promised it, for the message.
    :raises ReleaseError: when they differ.
    """
    if found != expected:
        raise ReleaseError(
            f"wrong checksum: {shown(url)} has the SHA-256 {found}, expected is {expected}. It was not used. "
            f"Replace the damaged archive, or correct {variables} if it is for another build."
        )


def check_upstream(url, found, expected, role):
    """Hold what was received, or what a mirror promises, against what upstream is known to have published.

    :param found: SHA-256 in hexadecimal, as ``expected``.
    :param role: whose variables the message names.
    :raises ReleaseError: when they differ.
    """
    if found != expected:
        raise ReleaseError(
            f"{shown(url)} is not the build that upstream published: its SHA-256 is {found}, upstream's is {expected}. "
            f"It was not used. Make the mirror serve upstream's archive; for a build of your own, set its SHA-256 in "
            f"{role}_checksum."
        )


# Versions


def reported_version(output):
    """The version in what a program prints for ``--version``; None when there is none."""
    found = _REPORTED_VERSION.search(output)
    return found.group(1).rstrip(".") if found else None


def check_names(program, version, role):
    """Refuse names that cannot become a directory, and versions that move.

    :raises ReleaseError: naming the variable.
    """
    if not _NAME.fullmatch(program):
        raise ReleaseError(f"{program!r} is not a valid program name")
    if not _VERSION.fullmatch(plain_version(version)):
        raise ReleaseError(f"{role}_version is {version!r}; expected is a pinned version such as 3.5.3")


# Archives


def split_member(name):
    """The top directory of an archive's member, and the path below it; both empty for the root itself.

    :raises ReleaseError: for a name that would leave the directory in which the archive is unpacked.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise ReleaseError(f"the archive is unsafe: its member {name!r} lies outside of the archive")
    if not name.isprintable() or "\\" in name or len(parts) > DEEPEST:
        raise ReleaseError(f"the archive is unsafe: it has a member with an invalid name, {name[:200]!r}")
    if any(len(part.encode("utf-8")) > LONGEST_NAME for part in parts):
        raise ReleaseError(f"the archive is unsafe: it has a member with a name too long for a disk, {name[:200]!r}")
    return (parts[0], "/".join(parts[1:])) if parts else ("", "")


def no_space(directory, needed, free, role=None):
    """The error about a disk on which an archive has no room.

    :param directory: in which it is unpacked.
    :param needed: bytes.
    :param free: bytes, or None.
    """
    way_out = f"Free disk space, or set monitoring_release_dir. {role} was not changed." if role else "Free disk space."
    return ReleaseError(
        f"no space in {directory}: the release needs {needed >> 20} MiB unpacked, "
        f"{(free or 0) >> 20} MiB are free. {way_out}"
    )


# Records


def record(program, version, arch, digest, url, binaries):
    """What ``.release.json`` remembers about an unpacked release.

    :param arch: as in the archive's name, ``amd64``.
    :param digest: the archive's SHA-256 in hexadecimal.
    :param url: where it is from.
    :param binaries: ``os.stat_result`` by name.
    """
    return {
        "program": program,
        "version": version,
        "arch": arch,
        "sha256": digest,
        "url": shown(url),
        "binaries": {name: _fingerprint(status) for name, status in binaries.items()},
    }


def matches(known, version, arch, digest, binaries):
    """Whether a record and the binaries beside it are the release that is specified, untouched since it was unpacked.

    :param known: the record.
    :param digest: the archive's SHA-256 if the user gave one, else None.
    :param binaries: ``os.stat_result`` by name, None for a binary that is not there.
    """
    return (
        known.get("version") == version
        and known.get("arch") == arch
        and digest in (None, known.get("sha256"))
        and all(
            status and known.get("binaries", {}).get(name) == _fingerprint(status) for name, status in binaries.items()
        )
    )


def _fingerprint(status):
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "mode": f"{status.st_mode & 0o7777:04o}"}


def archive_answer(version, arch, path, members, link_dir, message, **further):
    """What is returned for a release of an archive that is there, or would be.

    :param path: directory of the release on the host.
    :param members: the binaries' names inside the release.
    :param link_dir: directory of the links to them.
    :param message: what was done, for people.
    :param further: what else is to be told.
    """
    binaries = {posixpath.basename(member): posixpath.join(path, member) for member in members}
    links = {posixpath.join(link_dir, name): binary for name, binary in binaries.items()}
    return answer(version, path, binaries, links, message, arch=arch, **further)


def answer(version, path, binaries, links, message, **further):
    """What is returned for a program that is there, or would be.

    :param path: directory of the program.
    :param binaries: name -> path.
    :param links: path of the link -> path of the binary.
    :param message: what was done, for people.
    :param further: what else is to be told.
    """
    commands = {posixpath.basename(link): link for link in links} or binaries
    result = {"changed": False, "fetched": False, "installed_now": False, "removed": []}
    result.update(version=version, path=path, binaries=binaries, links=links, commands=commands, msg=message)
    return dict(result, **further)


def releases_to_remove(versions, linked, in_use, keep):
    """Which earlier releases of a program are superfluous.

    The release that the links point to is what a failed upgrade falls back to: it counts as the first of those kept.

    :param versions: earlier versions that are unpacked, in any order.
    :param linked: the version the links point to, or None.
    :param in_use: versions that running processes execute.
    :param keep: how many earlier ones to keep.
    """
    newest_first = sorted(versions, key=lambda version: (version == linked, version_key(version)), reverse=True)
    return [version for version in newest_first[keep:] if version != linked and version not in in_use]
