#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: release
author: Contributors to vigil.monitoring (@vigil-monitoring)
version_added: 0.1.0
short_description: Install a release of a program
description:
  - Installs a version of a program, verified by its checksum, into a directory of its
    own, O(releases_dir)/PROGRAM-VERSION.
  - Nothing is activated. The links of RV(links) are created by M(vigil.monitoring.service), together with the unit and the
    configuration that belong to the release; so an earlier version stays in use, and stays there for a rollback.
  - A host that has the release costs one round trip; neither its disk nor the network is touched.
  - Alternatively uses packages of the distribution, or a program that is already installed on the host.
options:
  program:
    description: Name of the program, as in the names of its archives.
    type: str
    required: true
  role:
    description: Prefix of the variables that messages name. Defaults to O(program).
    type: str
  state:
    description:
      - Whether the program is to be installed.
      - With V(absent), all of the program's releases in O(releases_dir) that this module unpacked are removed. Packages
        and preinstalled programs are left alone.
    type: str
    choices: [present, absent]
    default: present
  method:
    description:
      - V(archive) unpacks an archive from upstream or from a mirror, or the program itself if that is what
        upstream publishes.
      - V(package) installs O(packages).
      - V(preinstalled) uses what is at O(path).
    type: str
    choices: [archive, package, preinstalled]
    default: archive
  version:
    description:
      - The version, pinned. Versions are compared without build metadata, so C(3.5.3+ds1) is V(3.5.3).
      - Required with O(method=archive). Otherwise it is optional, and any version is accepted.
      - With O(method=package), the version of the package if the program does not report one.
    type: str
  binaries:
    description:
      - Executables that the archive must contain, as paths below its top directory. The first is the service itself, which is
        run with C(--version).
    type: list
    elements: str
    required: true
  url:
    description:
      - Address of the archive, over HTTP or HTTPS, or its path on the controller. Required with O(method=archive).
      - C({arch}) is replaced by C(amd64), C(arm64) or C(armv7), whatever the host is.
    type: str
  checksums_url:
    description: Address or path of a file with the SHA-256 of the archive, in the format of C(sha256sum).
    type: str
  checksum:
    description:
      - SHA-256 of the archive in hexadecimal, with or without C(sha256:), or a dictionary of checksums by architecture.
      - Used instead of O(checksums_url). One of the two is required.
    type: raw
  fetch:
    description:
      - Where the archive is downloaded. The V(controller) keeps archives in a cache and copies them to the hosts, the V(host) downloads
        by itself.
      - A mirror that is a directory is always read by the controller.
    type: str
    choices: [controller, host]
    default: controller
  headers:
    description: HTTP headers that the mirror requires. Sent to the host of O(url) only, never to a redirect target.
    type: dict
    default: {}
  cache_dir:
    description:
      - The controller's cache. Defaults to C(vigil.monitoring) in C($XDG_CACHE_HOME), or in C(~/.cache).
    type: str
  releases_dir:
    description: Directory on the host that holds the releases.
    type: path
    default: /opt/vigil/bin
  link_dir:
    description: Directory of the links through which the program is called.
    type: path
    default: /usr/local/bin
  keep:
    description:
      - Number of earlier releases to keep when a new one is unpacked. The one that the links point to is the first of
        them, and never removed; neither is one that still runs.
    type: int
    default: 1
  packages:
    description: Packages that contain the program, for O(method=package).
    type: list
    elements: str
    default: []
  package_binaries:
    description: Absolute paths by the name of the executable, for O(method=package).
    type: dict
    default: {}
  package_units:
    description: Units of the packages, masked before the packages are installed, so that they do not start and take the port.
    type: list
    elements: str
    default: []
  path:
    description:
      - Absolute path of the first of O(binaries), or of the directory that contains all of them, for O(method=preinstalled).
    type: path
  archive:
    description: Path on the host of an archive that the controller copied there. Set by the action plugin alone.
    type: path
  discard:
    description: >-
      Whether to delete O(archive) and its directory once it is unpacked, which saves a round trip. Set
      by the action plugin alone.
    type: bool
    default: false
  found:
    description: Size of the archive in bytes, in check mode. Set by the action plugin alone.
    type: dict
  known_checksums:
    description: SHA-256 of upstream's own builds by architecture, which a mirror cannot override. Set by the action plugin
      alone; O(checksum) takes precedence.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: >-
      Reports what would be downloaded from where, and what would make a run fail, such as a missing archive, a wrong
      checksum, or a disk that is full or read-only. Downloads no archive, and writes nothing.
  diff_mode:
    support: full
    description: Shows the releases that are there before and after.
  idempotent:
    support: full
    description: Changes nothing if the release is installed and unmodified.
  platform:
    support: full
    platforms: linux
    description: Linux on amd64, arm64 and armv7, with Python 3.9 or newer.
"""

EXAMPLES = r"""
- name: Install a release of node_exporter, downloaded by the controller
  vigil.monitoring.release:
    program: node_exporter
    version: 1.11.1
    url: https://mirror.example/node_exporter/v1.11.1/node_exporter-1.11.1.linux-{arch}.tar.gz
    checksums_url: https://mirror.example/node_exporter/v1.11.1/sha256sums.txt
    binaries: [node_exporter]

- name: Install Alertmanager from the distribution
  vigil.monitoring.release:
    program: alertmanager
    method: package
    packages: [prometheus-alertmanager]
    package_binaries:
      alertmanager: /usr/bin/prometheus-alertmanager
      amtool: /usr/bin/amtool
    package_units: [prometheus-alertmanager.service]
    binaries: [alertmanager, amtool]

- name: Use the Prometheus that is part of the image
  vigil.monitoring.release:
    program: prometheus
    method: preinstalled
    path: /srv/prometheus
    binaries: [prometheus, promtool]
"""

RETURN = r"""
version:
  description: The version that is there, without build metadata. In check mode, the version that would be.
  type: str
  returned: when O(state=present)
  sample: 3.5.3
arch:
  description: The host's architecture in upstream's terms.
  type: str
  returned: when O(state=present) and O(method=archive)
  sample: amd64
reports_version:
  description:
    - Whether the program itself reports its version. Some builds of distributions do not; for O(method=package)
      it is then that of the package.
  type: bool
  returned: when O(state=present), and O(method=package) or O(method=preinstalled)
  sample: true
path:
  description: Directory of the release.
  type: str
  returned: when O(state=present)
  sample: /opt/vigil/bin/prometheus-3.5.3
binaries:
  description: Absolute path of each of O(binaries), by name.
  type: dict
  returned: when O(state=present)
  sample:
    prometheus: /opt/vigil/bin/prometheus-3.5.3/prometheus
links:
  description: The links that activate the release, and what they are to point to. Empty unless O(method=archive).
  type: dict
  returned: when O(state=present)
  sample:
    /usr/local/bin/prometheus: /opt/vigil/bin/prometheus-3.5.3/prometheus
commands:
  description: The paths to call the program by, by name. These are links where there are any, else the binaries.
  type: dict
  returned: when O(state=present)
  sample:
    prometheus: /usr/local/bin/prometheus
fetched:
  description: Whether an archive was downloaded or copied for this host.
  type: bool
  returned: when O(state=present)
installed_now:
  description: Whether this task put the program on the host.
  type: bool
  returned: when O(state=present)
removed:
  description: Directories of releases that were removed. In check mode, those that would be.
  type: list
  elements: str
  returned: always
discarded:
  description: Whether the directory of O(archive) is gone.
  type: bool
  returned: when O(discard) is set and something was unpacked
masked:
  description: Units that were masked before their package was installed.
  type: list
  elements: str
  returned: when O(method=package)
wanted:
  description: What the module needs of the action plugin, which then provides it. Never seen by users.
  type: dict
  returned: never
msg:
  description: What was done, or would be, in a sentence.
  type: str
  returned: always
"""

import contextlib
import errno
import json
import os
import shutil
import stat
import tempfile

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._disk_space import (
    execution_problem,
    free_bytes,
    nearest,
    place_problem,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    ensure_directory,
    exclusively,
    file_digest,
    one_run_at_a_time,
    read_json,
    restore_context,
    run,
    write_atomically,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._package_files import package_version
from ansible_collections.vigil.monitoring.plugins.module_utils._release import (
    ReleaseError,
    answer,
    architecture,
    archive_answer,
    check_digest,
    check_names,
    given_digest,
    is_remote,
    matches,
    no_space,
    record,
    releases_to_remove,
    reported_version,
    shown,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._version import plain_version, same_version

RECORD = ".release.json"
# How much a release grows at the least when it is unpacked: what is in it are programs, which shrink to less than half.
GROWTH = 2
UNITS = "/etc/systemd/system"
PATIENCE = 900  # seconds to wait for another run that has the releases


class Archive:
    """A release that is unpacked from an archive."""

    def __init__(self, params, check_mode):
        self.params = params
        self.check_mode = check_mode
        self.program = params["program"]
        self.role = params["role"] or self.program
        self.releases = params["releases_dir"]
        self.link_dir = params["link_dir"]
        # Why what was fetched may be anybody's.
        self.doubt = None

    def present(self):
        self._require("version", "url", "binaries")
        check_names(self.program, self.params["version"], self.role)
        self.version = plain_version(self.params["version"])
        self.arch = architecture(os.uname().machine)
        self.digest = given_digest(self.params["checksum"], self.arch, self.role)
        self.url = self.params["url"].replace("{arch}", self.arch)
        self.path = os.path.join(self.releases, f"{self.program}-{self.version}")
        if self._is_there():
            self._tidy()
            return self._answer(f"{self.program} {self.version} is in {self.path}")
        before = self._versions()
        superfluous = self._superfluous(before)
        plan = {"removed": sorted(superfluous.values()), "diff": self._diff(before, superfluous)}
        by_host = self.params["fetch"] == "host" and is_remote(self.url)
        if not (self.params["archive"] or self.params["found"] or by_host):
            return {"changed": False, "wanted": {"arch": self.arch}}
        self._check_place()
        if self.check_mode:
            self._check_room(self.params["found"] or {"size": self._source().inspect()})
            return self._answer(f"would fetch {shown(self.url)} and unpack it in {self.path}", changed=True, **plan)
        with self._lock():
            if not self._is_there():
                self._install(self._superfluous(self._versions()).values())
        message = f"unpacked {self.program} {self.version} from {shown(self.url)} in {self.path}"
        if self.params["fetch"] == "host" and not by_host:
            message += ", read by the controller because it is a directory there"
        if self.params["discard"]:
            plan["discarded"] = _discard_copy(self.params["archive"])
        return self._answer(message, changed=True, fetched=True, installed_now=True, **plan)

    def _remove_empty_directories(self):
        """Remove the directory of releases unless another program has some there, and the one above it if it bears our name."""
        above = os.path.dirname(self.releases)
        with contextlib.suppress(OSError):
            os.rmdir(self.releases)
            if os.path.basename(above) == "vigil":
                os.rmdir(above)

    def absent(self):
        found = sorted(self._versions().values()) + self._leftovers()
        if found and not self.check_mode:
            with self._lock(), self._workplace() as work:
                self._discard(self._versions().values(), work)
            self._remove_empty_directories()
        done = "would remove" if self.check_mode else "removed"
        return {
            "changed": bool(found),
            "removed": found,
            "diff": {"before": "".join(f"{path}\n" for path in found), "after": ""},
            "msg": f"{done} {', '.join(found) or 'nothing'}",
        }

    def _require(self, *names):
        for name in names:
            if not self.params[name]:
                variable = {"url": f"{self.role}_binary_url", "version": f"{self.role}_version"}.get(name, name)
                raise ReleaseError(f"{variable} is required to install {self.program} from an archive, and is empty")

    def _check_place(self):
        """Refuse what is in the way, and a place where nothing can be put or nothing can be run.

        :raises ReleaseError: naming it.
        """
        if os.path.lexists(self.path) and not os.path.lexists(os.path.join(self.path, RECORD)):
            raise ReleaseError(f"{self.path} was not created by this collection. Move it away, and run again.")
        found = nearest(self.releases)
        if os.geteuid() and not os.access(found, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), found)
        problem = place_problem(self.releases) or execution_problem(self.releases)
        if problem:
            raise ReleaseError(
                f"{problem}. {self.program} is installed there; set monitoring_release_dir to another directory."
            )

    def _check_room(self, found):
        """Refuse a disk on which the release has no room, as far as its size is known.

        :param found: dict with the archive's ``size`` in bytes, or None, and maybe its size when it is ``unpacked``.
        :raises ReleaseError: naming the place.
        """
        free = free_bytes(self.releases)
        needed = found.get("unpacked") or GROWTH * (found["size"] or 0)
        if free is not None and free < needed:
            raise no_space(self.releases, needed, free, self.role)

    def _answer(self, message, **further):
        if self.doubt:
            further["warnings"] = [self.doubt]
        return archive_answer(
            self.version, self.arch, self.path, self.params["binaries"], self.link_dir, message, **further
        )

    def _is_there(self):
        """All that a converged run has to find out."""
        known = _read_record(self.path)
        if not known:
            return False
        statuses = {name: _regular(os.path.join(self.path, name)) for name in self.params["binaries"]}
        return matches(known, self.version, self.arch, self.digest, statuses)

    def _versions(self):
        """Directories of this program's releases that were unpacked by this module, by version."""
        found = {}
        for name in _names(self.releases):
            path = os.path.join(self.releases, name)
            known = {} if name.startswith(".") else _read_record(path)
            if known.get("program") == self.program and name == f"{self.program}-{known.get('version')}":
                found[known["version"]] = path
        return found

    def _superfluous(self, versions):
        """Directories of the releases that give way to the new one, by version."""
        earlier = {version: path for version, path in versions.items() if version != self.version}
        if not earlier:
            return {}
        links = _targets(os.path.join(self.link_dir, name) for name in _names(self.link_dir))
        running = _targets(os.path.join("/proc", name, "exe") for name in _names("/proc") if name.isdigit())
        linked = [version for version, path in earlier.items() if _any_below(path, links)]
        in_use = [version for version, path in earlier.items() if _any_below(path, running + links)]
        chosen = releases_to_remove(earlier, linked[0] if linked else None, in_use, self.params["keep"])
        return {version: earlier[version] for version in chosen}

    def _diff(self, before, superfluous):
        after = (set(before) - set(superfluous)) | {self.version}
        lines = ["".join(f"{self.program}-{version}\n" for version in sorted(versions)) for versions in (before, after)]
        return {"before_header": self.releases, "after_header": self.releases, "before": lines[0], "after": lines[1]}

    @contextlib.contextmanager
    def _lock(self):
        """One run at a time changes the releases of a host. The lock ends with its process."""
        _nofollow.must_be_roots(self.releases, "runs what is in it")
        ensure_directory(self.releases, uid=os.geteuid(), gid=os.getegid())
        # Only root has a place for locks; who is not root has this directory to himself.
        lock = exclusively if os.geteuid() else one_run_at_a_time
        with lock(self.releases, PATIENCE):
            yield

    @contextlib.contextmanager
    def _workplace(self):
        """A scratch directory on the same file system; what killed runs left there goes first."""
        for path in self._leftovers():
            shutil.rmtree(path)
        work = tempfile.mkdtemp(prefix=f".{self.program}-", dir=self.releases)
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _leftovers(self):
        names = [name for name in _names(self.releases) if name.startswith(f".{self.program}-")]
        return [os.path.join(self.releases, name) for name in names]

    def _tidy(self):
        """Remove what a run left that was killed after its release was in place, before it had cleaned up."""
        if self._leftovers() and not self.check_mode:
            with self._lock(), self._workplace():
                pass

    def _install(self, superfluous):
        # Imported here: a converged run does without.
        from ansible_collections.vigil.monitoring.plugins.module_utils._unpack import unpack  # noqa: PLC0415

        with self._workplace() as work:
            archive, digest = self._archive(work)
            fresh = os.path.join(work, "release")
            try:
                unpack(archive, fresh, self.params["binaries"], self.role)
            except ReleaseError as error:
                raise ReleaseError(f"{shown(self.url)}: {error}") from error
            restore_context([fresh])
            self._verify(fresh)
            binaries = {name: os.lstat(os.path.join(fresh, name)) for name in self.params["binaries"]}
            known = record(self.program, self.version, self.arch, digest, self.url, binaries)
            text = json.dumps(known, indent=1, sort_keys=True) + "\n"
            write_atomically(os.path.join(fresh, RECORD), text.encode("utf-8"), 0o644)
            # The new release appears last: where it is, everything else was done too.
            self._discard(superfluous, work)
            if os.path.lexists(self.path):
                self._discard([self.path], work)
            os.rename(fresh, self.path)
            _nofollow.sync_directory(self.releases)

    def _archive(self, work):
        """Path of the verified archive, and its digest."""
        if self.params["archive"]:
            digest = file_digest(self.params["archive"])
            check_digest(self.url, digest, self.digest or digest, f"{self.role}_checksum")
            return self.params["archive"], digest
        source = self._source()
        digest = source.expected_digest()
        path = os.path.join(work, "archive")
        with open(path, "x+b") as stream:
            source.download(stream, digest)
        return path, digest

    def _source(self):
        """Where the host itself fetches the release from."""
        from ansible_collections.vigil.monitoring.plugins.module_utils._download import Source  # noqa: PLC0415

        source = Source.from_options(self.params, self.arch)
        self.doubt = source.doubt()
        return source

    def _verify(self, fresh):
        """Run what was unpacked before it is given its place: an archive may be for another version or machine."""
        found = _version_of(os.path.join(fresh, self.params["binaries"][0]))
        if not same_version(found, self.version):
            raise ReleaseError(
                f"{shown(self.url)} holds {self.program} {found}, not {self.version}: correct "
                f"{self.role}_binary_url or {self.role}_version"
            )

    def _discard(self, paths, work):
        """Remove directories so that none is ever half there under its own name."""
        for path in paths:
            try:
                os.rename(path, os.path.join(work, os.path.basename(path)))
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                _remove_release(path)


def _discard_copy(archive):
    """Remove the copy of an archive, and its directory where nothing else is in it; whether both are gone."""
    try:
        os.unlink(archive)
        os.rmdir(os.path.dirname(archive))
    except OSError:
        return False
    return True


def _remove_release(path):
    """Remove a release where it stands: a directory of the lower layer of an overlay cannot be renamed.

    Its record goes last, so that a removal that is cut off leaves a broken release of ours and no stranger's directory.
    """
    for entry in os.scandir(path):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        elif entry.name != RECORD:
            os.unlink(entry.path)
    shutil.rmtree(path)


class Package:
    """A program that the distribution packages."""

    def __init__(self, params, check_mode):
        self.params = params
        self.check_mode = check_mode
        self.role = params["role"] or params["program"]
        self.names = {os.path.basename(name): name for name in params["binaries"]}

    def present(self):
        packages = self.params["packages"]
        if not packages:
            raise ReleaseError(
                f"no package is defined for {self.params['program']}; set {self.role}_install_method to archive"
            )
        unknown = [name for name in self.names if name not in self.params["package_binaries"]]
        if unknown:
            raise ReleaseError(f"package_binaries has no path of {', '.join(unknown)} is")
        binaries = {name: self.params["package_binaries"][name] for name in self.names}
        missing = [path for path in binaries.values() if not os.access(path, os.X_OK)]
        if not missing:
            where = f"{', '.join(packages)} is installed"
            return _found(self.params, self.role, binaries, where, package_version)
        if self.check_mode:
            version = plain_version(self.params["version"] or "")
            unknown = f"{self.role}: check mode cannot tell whether {', '.join(packages)} can be installed, and in which version"
            message = f"would install {', '.join(packages)}, which brings {', '.join(missing)}"
            folder = os.path.dirname(missing[0])
            return answer(version, folder, binaries, {}, message, changed=True, warnings=[unknown])
        masked = self._mask()
        manager = "apt" if os.path.exists("/usr/bin/apt-get") else "package"
        return {"changed": bool(masked), "masked": masked, "wanted": {"manager": manager}}

    def absent(self):
        return {"changed": False, "removed": [], "masked": [], "msg": "packages are not removed"}

    def _mask(self):
        """Mask the packages' own units while nothing can have started them yet.

        A unit or a mask of that name is left alone: what is in /etc takes precedence over the package's unit anyway.
        """
        masked = []
        for unit in self.params["package_units"]:
            path = os.path.join(UNITS, unit)
            if not os.path.lexists(path):
                ensure_directory(UNITS)
                _nofollow.make_link("/dev/null", path)
                masked.append(unit)
        if masked:
            _nofollow.sync_directory(UNITS)
            if os.path.isdir("/run/systemd/system"):
                run(["systemctl", "daemon-reload"])
        return masked


class Preinstalled:
    """A program that somebody else put on the host."""

    def __init__(self, params, check_mode):
        self.params = params
        self.role = params["role"] or params["program"]

    def present(self):
        path, variable = self.params["path"], f"{self.role}_preinstalled_path"
        if not path or not os.path.isabs(path):
            raise ReleaseError(
                f"{variable} is {path!r}; it has to be the absolute path of {self.params['program']} on the host"
            )
        first, others = self.params["binaries"][0], self.params["binaries"][1:]
        directory = path if os.path.isdir(path) else os.path.dirname(path)
        binaries = {os.path.basename(first): os.path.join(directory, first) if directory == path else path}
        binaries.update({os.path.basename(name): os.path.join(directory, name) for name in others})
        missing = [
            binary for binary in binaries.values() if not os.path.isfile(binary) or not os.access(binary, os.X_OK)
        ]
        if missing:
            raise ReleaseError(
                f"{', '.join(missing)}: no such executable on this host. {variable} is {path}; it has to be "
                f"{first}, or the directory that contains {', '.join(self.params['binaries'])}"
            )
        return _found(self.params, self.role, binaries, f"{self.params['program']} is in {directory}")

    def absent(self):
        return {"changed": False, "removed": [], "msg": "a preinstalled program is not removed"}


def _found(params, role, binaries, where, otherwise=None):
    """The answer for a program that is on the host already.

    :param otherwise: function of its path that returns the version of a program that does not report one.
    """
    first = binaries[os.path.basename(params["binaries"][0])]
    reported, output = _run_for_version(first)
    reports = bool(reported)
    if not reports and otherwise:
        reported = otherwise(first)
    if not reported:
        raise ReleaseError(output)
    if params["version"] and not same_version(reported, params["version"]):
        raise ReleaseError(
            f"{first} is version {reported}, {role}_version is {params['version']}: leave it empty "
            f"to use the installed version, or set {role}_install_method to archive"
        )
    message = f"{where}, version {reported}" + ("" if reports else ", which the program itself does not report")
    folder = os.path.dirname(first)
    return answer(plain_version(reported), folder, binaries, {}, message, reports_version=reports)


def _version_of(binary):
    """The version that a binary reports of itself.

    :raises ReleaseError: when it does not run, or prints nothing that looks like a version.
    """
    found, problem = _run_for_version(binary)
    if not found:
        raise ReleaseError(problem)
    return found


def _run_for_version(binary):
    """The version that a binary reports, or None, and what is then to be said.

    :raises ReleaseError: when it does not run.
    """
    weak = _nofollow.weakness(binary)
    if weak:
        raise ReleaseError(
            f"{binary} is not executed as root: {weak}. Make it owned by root and writable by root alone, and run again."
        )
    try:
        status, output = run([binary, "--version"], timeout=30)
    except OSError as error:
        raise ReleaseError(
            f"{binary} cannot be executed: {error.strerror}. Is it for this architecture ({os.uname().machine}), and "
            f"is its file system mounted with noexec?"
        ) from error
    found = reported_version(output)
    problem = f"{binary} --version exited with status {status} and printed no version: {output.strip()[:500]!r}"
    return None if status else found, problem


def _read_record(directory):
    """What is recorded about an unpacked release; empty where there is no record, or none that can be read."""
    try:
        known = read_json(os.path.join(directory, RECORD), {})
    except (OSError, HostError):
        return {}  # a file, or a directory of somebody else
    return known if isinstance(known, dict) else {}


def _regular(path):
    """Status of a regular file; None for anything else, a link included."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _names(directory):
    return os.listdir(directory) if os.path.isdir(directory) else []


def _targets(links):
    """What links point to; those that cannot be read, or are none, are left out."""
    found = []
    for link in links:
        with contextlib.suppress(OSError):
            found.append(os.readlink(link))
    return found


def _any_below(directory, paths):
    return any(path.startswith(directory + os.sep) for path in paths)


METHODS = {"archive": Archive, "package": Package, "preinstalled": Preinstalled}


def main():
    module = Module(
        argument_spec={
            "program": {"type": "str", "required": True},
            "role": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "method": {"type": "str", "choices": ["archive", "package", "preinstalled"], "default": "archive"},
            "version": {"type": "str"},
            "binaries": {"type": "list", "elements": "str", "required": True},
            "url": {"type": "str"},
            "checksums_url": {"type": "str"},
            "checksum": {"type": "raw"},
            "fetch": {"type": "str", "choices": ["controller", "host"], "default": "controller"},
            "headers": {"type": "dict", "default": {}, "no_log": True},
            "cache_dir": {"type": "str"},
            "releases_dir": {"type": "path", "default": "/opt/vigil/bin"},
            "link_dir": {"type": "path", "default": "/usr/local/bin"},
            "keep": {"type": "int", "default": 1},
            "packages": {"type": "list", "elements": "str", "default": []},
            "package_binaries": {"type": "dict", "default": {}},
            "package_units": {"type": "list", "elements": "str", "default": []},
            "path": {"type": "path"},
            "archive": {"type": "path"},
            "found": {"type": "dict"},
            "known_checksums": {"type": "dict", "default": {}},
            "discard": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    release = METHODS[module.params["method"]](module.params, module.check_mode)
    try:
        answer = release.present() if module.params["state"] == "present" else release.absent()
    except (ReleaseError, HostError) as error:
        module.fail_json(msg=str(error))
    except PermissionError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}. Run the play with become, or as root.")
    except OSError as error:
        module.fail_json(msg=f"{error.filename or release.params['releases_dir']}: {error.strerror}")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
