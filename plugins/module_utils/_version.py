# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one order of versions: semantic versioning, without build metadata. See https://semver.org/#spec-item-11."""

from __future__ import annotations


def plain_version(version):
    """A version without build metadata: ``v3.5.3+ds1`` is ``3.5.3``, and ``3.0.0~rc.1`` is ``3.0.0-rc.1``."""
    return str(version).strip().lstrip("v").split("+", 1)[0].replace("~", "-")


def version_key(version):
    """A version as something that sorts: a pre-release comes before its release."""
    numbers, dummy, pre = plain_version(version).partition("-")
    release = tuple(int(part) if part.isdigit() else 0 for part in numbers.split("."))
    release += (0,) * (3 - len(release))
    # Numbers sort before words, and having no pre-release after having any.
    steps = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split(".") if part)
    return release, not pre, steps


def same_version(one, other):
    """Whether two versions differ in nothing but build metadata."""
    return version_key(one) == version_key(other)
