# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files that a package of the distribution brought along."""

from __future__ import annotations

import hashlib
import shutil

from ansible_collections.vigil.monitoring.plugins.module_utils._host import read_bytes, run


def is_pristine(path):
    """Whether a file is a package's own configuration file that nobody changed since it was installed (dpkg, rpm)."""
    if shutil.which("dpkg-query"):
        status, owner = run(["dpkg-query", "-S", path])
        if status:
            return False
        package = owner.split(":")[0]
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
