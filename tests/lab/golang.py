# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that neither Debian nor pip has, built once by the Go of this machine and kept beside the release mirror.

Without Go there is none.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .common import LabError, cache_dir, locked, run, say, step

MINUTES = 9


@dataclass(frozen=True)
class Program:
    """A program of a Go module.

    :ivar package: its import path.
    :ivar version: a version that the module has, or what Go calls one of a commit.
    :ivar further: modules with their versions, where the module itself would have older ones.
    :ivar in_c: whether a part of it is in C. Such a program is linked to libraries of this machine's, and the hosts have others.
    """

    package: str
    version: str
    further: tuple[str, ...] = ()
    in_c: bool = False

    @property
    def name(self) -> str:
        """Name of the program."""
        return self.package.rpartition("/")[2]

    def path(self) -> Path | None:
        """Path of the program; None, loudly, where it cannot be built."""
        path = cache_dir() / "go" / f"{self.name}-{self.version}"
        go = shutil.which("go")
        with locked(f"go-{self.name}"):
            if path.exists():
                return path
            if go is None:
                say(f"SKIPPED: there is no {self.name}, and what needs it is skipped: {self.missing()}")
                return None
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with step(f"building {self.name} {self.version}"), tempfile.TemporaryDirectory() as folder:
                    self._build(go, folder, path)
            except LabError as error:
                say(f"SKIPPED: {self.name} is not built, and what needs it is skipped: {error}")
                return None
            return path

    def _build(self, go: str, folder: str, path: Path) -> None:
        # In a module of its own: `go install` refuses one that replaces a part of itself.
        environment = {**os.environ, "CGO_ENABLED": str(int(self.in_c)), "GOFLAGS": "-mod=mod"}
        made = Path(folder) / self.name
        for argv in (
            ["mod", "init", "lab"],
            ["get", f"{self.package}@{self.version}", *self.further],
            ["build", "-ldflags=-s -w", "-o", str(made), self.package],
        ):
            run([go, *argv], env=environment, cwd=folder, timeout=MINUTES * 60)
        shutil.move(made, path)

    def missing(self) -> str:
        """What to do where there is none."""
        return f"install Go, which builds {self.name}"
