# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a round of checks ends early."""

from __future__ import annotations


class CannotReach(Exception):
    """There is no way to this service from here; its host may have one."""


class Stop(Exception):
    """A finding ends a round of checks."""

    def __init__(self, finding):
        super().__init__(finding.text)
        self.finding = finding
