# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results that one task needs several times, computed once."""

from __future__ import annotations

import multiprocessing

# Results of this process. The arguments of one task need them several times, and ten thousand hosts cost seconds.
_RESULTS = {}


def once_per_task(key, compute):
    """The result of ``compute``, called only once by the process that runs a task.

    :param key: what the result depends on, besides the inventory; hashable.
    :param compute: function without arguments.
    """
    # A worker lives for one task, in which no variable changes. The main process lives on.
    if multiprocessing.parent_process() is None:
        return compute()
    if key not in _RESULTS:
        _RESULTS[key] = compute()
    return _RESULTS[key]
