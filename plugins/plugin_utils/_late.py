# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What not every task needs, imported when it is used."""

from __future__ import annotations

import importlib

PACKAGE = __name__.rpartition(".")[0]


def imported(module, name):
    """A function by its name and that of its module in ``plugin_utils``."""
    return getattr(importlib.import_module("{0}.{1}".format(PACKAGE, module)), name)
