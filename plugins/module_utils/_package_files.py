# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the distribution's package manager (dpkg, rpm) knows about the files of its packages."""

from __future__ import annotations

import hashlib
import shutil

from ansible_collections.vigil.monitoring.plugins.module_utils._host import read_bytes, run


def package_version(path):
    """The version of upstream's that the package of a file has; None where no package has the file."""
    if shutil.which("dpkg-query"):
        package = _owner(path)
        status, found = run(["dpkg-query", "-W", "-f=${Version}", package]) if package else (1, "")
    elif shutil.which("rpm"):
        status, found = run(["rpm", "-qf", "--qf", "%{VERSION}", path])
    else:
        return None
    return None if status else upstream_version(found)


def upstream_version(version):
    """The part of a package's version that is upstream's: Debian's have the form ``[EPOCH:]UPSTREAM[-REVISION]``."""
    upstream = version.strip().rpartition(":")[2]
    return upstream.rpartition("-")[0] or upstream or None


def _owner(path):
    """The package that a file belongs to, as dpkg says; None for none."""
    status, owner = run(["dpkg-query", "-S", path])
    return None if status else owner.split(":")[0]


def is_pristine(path):
    """Whether a file is a package's own configuration file that nobody changed since it was installed."""
    if shutil.which("dpkg-query"):
        package = _owner(path)
        if not package:
            return False
        dummy, listed = run(["dpkg-query", "-W", "-f=${Conffiles}", package])
        for line in listed.splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] == path:
                # dpkg's own format.
                return hashlib.md5(read_bytes(path) or b"").hexdigest() == words[1]  # noqa: S324
        return False
    if shutil.which("rpm"):
        status, dummy = run(["rpm", "-Vf", "--nodeps", path])
        return status == 0
    return False
