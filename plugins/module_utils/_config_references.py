# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a configuration names: whether the service's account can read them."""

from __future__ import annotations

import os

from ansible_collections.vigil.monitoring.plugins.module_utils._account_access import readability
from ansible_collections.vigil.monitoring.plugins.module_utils._switch import Owners
from ansible_collections.vigil.monitoring.plugins.module_utils._tree import reference_problem


def reference_problems(tree):
    """The files that the configuration names and the service could not use, one sentence each.

    :param tree: :class:`_config_files.Tree`.
    """
    problems, user = [], tree.module.params["user"]
    account = (tree.uid, tree.gid) if tree.uid is not None else None
    passed = [Owners.of(text).before[1] for text in tree.directories.later.values()]
    for path in tree.module.params["readable"]:
        if os.path.relpath(path, tree.path) in tree.files:
            continue
        problem = readability(path, user, account, passed)
        if problem:
            problems.append(reference_problem(path, problem, user))
    return problems
