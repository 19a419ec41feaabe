# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's diff of units, links and the container; the configuration was shown by config_files."""

from __future__ import annotations

import os

from ansible_collections.vigil.monitoring.plugins.module_utils._tree import diff_entry


def diff_of(task, plan, manifest):
    """The entries; none where no diff was requested.

    :param task: :class:`_task.Task`.
    :param plan: :class:`_plan.Plan`.
    :param manifest: that of the generation before.
    """
    if not task.module._diff:
        return []
    entries = [diff_entry(path, before, after, False) for path, (before, after) in plan.texts.items()]
    entries += [_link_entry(change) for change in plan.changes if change.kind == "link"]
    return entries + (task.runtime.diff(manifest) if plan.replacing else [])


def _link_entry(change):
    return {
        "before_header": change.path,
        "after_header": change.path,
        "before": "-> {0}\n".format(os.readlink(change.path)) if os.path.islink(change.path) else "",
        "after": "-> {0}\n".format(change.source) if change.source else "",
    }
