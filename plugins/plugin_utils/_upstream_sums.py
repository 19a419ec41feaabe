# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SHA-256 of what upstream published of the default versions: program and version -> architecture -> digest.

``make sums`` fills it from upstream's own files of checksums when a default is raised. Where these could not be reached, a
cell is taken from what others have pinned in public (packages, container builds, installers), and only where two of them
that are independent of each other agree; else it is left out, and the mirror's own file of checksums is believed.
``make versions`` names the cells that are missing.
"""

from __future__ import annotations

SUMS: dict[tuple[str, str], dict[str, str]] = {
    ("cadvisor", "0.60.6"): {
        "amd64": "c381c2c911bc43d465d1e0eaff60f96d58c031c409bddf06da0316fdde8a9296",
    },
    ("node_exporter", "1.12.1"): {
        "amd64": "b51d8a76aa2a9156a55d501aca6276fae09e262259a5e4e831d2c2222f084e63",
        "arm64": "ad35b605f9954b9f1ffddf5ba054bdc5a98d790b9eae5291e1eeb83f1ecbd0e7",
    },
    ("postgres_exporter", "0.20.1"): {
        "amd64": "89d4f7e7920cad48fdc3133f789556ef5253c330a9f5fdace3bdb6344c0a8b5a",
        "arm64": "d5d86fb98bb1f26b088d1a6fda07fd6b6f035cb5d40492f75ec3bfebb5ddfe9d",
    },
}


def sums_of(program, version):
    """The checksums of a release by architecture; empty where none is known."""
    return SUMS.get((program, version), {})
