# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of S3 that verifies signatures: versitygw, which keeps buckets as directories. Neither Debian nor pip has one.

It is built once by the Go of this machine, and kept beside the release mirror. Without Go there is none.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .common import LabError, cache_dir, locked, run, say, step

MODULE, VERSION = "github.com/versity/versitygw/cmd/versitygw", "v1.8.0"
MINUTES = 9


def program() -> Path | None:
    """Path of the program; None, loudly, where it cannot be built."""
    path = cache_dir() / "s3" / f"versitygw-{VERSION}"
    go = shutil.which("go")
    with locked("s3"):
        if path.exists():
            return path
        if go is None:
            say(f"SKIPPED: there is no server of S3, and its test is skipped: {missing()}")
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        # Linked to no library of this machine's: the hosts have others.
        environment = {**os.environ, "GOBIN": str(path.parent), "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}
        try:
            with step(f"building versitygw {VERSION}"):
                run([go, "install", "-ldflags=-s -w", f"{MODULE}@{VERSION}"], env=environment, timeout=MINUTES * 60)
        except LabError as error:
            say(f"SKIPPED: the server of S3 is not built, and its test is skipped: {error}")
            return None
        (path.parent / "versitygw").rename(path)
        return path


def missing() -> str:
    """What to do where there is none."""
    return "install Go, which builds versitygw"
