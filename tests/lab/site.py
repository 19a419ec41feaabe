# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation site, built in an environment of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from . import venv
from .common import ROOT, step


def build(folder: Path, builder: str = "html") -> int:
    """Build the site below a folder, in `html`; returns the exit status, which is not 0 where anything is to be warned of.

    :param builder: Sphinx's builder: `html`, or `linkcheck`, which follows the links to other sites.
    """
    python = venv.group("site") / "python"
    with step("building the documentation site"):
        return subprocess.call([str(python), str(ROOT / "tools" / "site" / "build.py"), str(folder), builder])
