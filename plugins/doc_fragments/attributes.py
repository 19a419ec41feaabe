# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How modules behave in check mode and in diff mode, and when they are run again."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes that modules share; a module's own take precedence."""

    # Of modules that change nothing.
    READS_ONLY = r"""
attributes:
  check_mode:
    description: Check mode makes no difference; the module only reads.
    support: full
  diff_mode:
    description: Nothing is changed, so there is nothing to show.
    support: none
  idempotent:
    description: Never changes anything.
    support: full
"""

    # Of modules that a playbook of this collection runs step by step on the data of a service.
    STEP_WITH_DATA = r"""
attributes:
  diff_mode:
    description: Data is not shown.
    support: none
  idempotent:
    description: What was done already is not done again.
    support: full
"""
