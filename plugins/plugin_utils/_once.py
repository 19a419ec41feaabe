# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that one task asks for several times, found once."""

from __future__ import annotations

import multiprocessing

# The answers of this process. The arguments of one task ask several times over, and ten thousand hosts cost seconds.
_ANSWERS = {}


def once_a_task(question, answer):
    """What ``answer`` returns, asked only once by the process that carries out a task.

    :param question: what the answer depends on, beside the inventory; hashable.
    :param answer: function without arguments.
    """
    # A worker lives for one task, in which no variable changes. The main process lives on.
    if multiprocessing.parent_process() is None:
        return answer()
    if question not in _ANSWERS:
        _ANSWERS[question] = answer()
    return _ANSWERS[question]
