# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that begin with a role's name and mean nothing to it: a slip of the pen, or somebody's own. Names in, words out."""

from __future__ import annotations

import fnmatch

from ansible_collections.vigil.monitoring.plugins.plugin_utils._differences import DIFFERENCES
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem


def distance(one, other, most):
    """How many letters have to be changed, added, left out or swapped with their neighbour to make one word of another.

    :param most: beyond which the answer is of no interest.
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    before, above = None, list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        line = [row]
        for column, beside in enumerate(other, 1):
            cost = min(above[column] + 1, line[-1] + 1, above[column - 1] + (letter != beside))
            if before and column > 1 and letter == other[column - 2] and one[row - 2] == beside:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        if min(line) > most:
            return most + 1
        before, above = above, line
    return above[-1]


def slip_of(name, known, prefix):
    """The input that a name is probably a slip of, or None.

    One letter of four may be wrong, two at the most; of words in another order, or written with another separator, all are
    right. Below that, what is near to an input is no likelier to be meant than any other word.

    :param known: names of the role's inputs.
    :param prefix: what they all begin with.
    """
    rest = name[len(prefix) :]
    best, least = None, min(2, len(rest) // 4) + 1
    for input_ in sorted(known):
        other = input_[len(prefix) :]
        if _words(rest) == _words(other):
            return input_
        found = distance(rest, other, least - 1)
        if found < least:
            best, least = input_, found
    return best


def _words(text):
    return sorted(word for word in text.lower().replace("-", "_").split("_") if word)


def sort_out(role, known, in_scope, own=()):
    """The variables that begin with a role's name and mean nothing to it.

    :param known: names of the role's inputs.
    :param in_scope: names of all variables of the host.
    :param own: names, or shell patterns of names, that the user keeps for other purposes.
    :returns: problems, for those that are slips, and the names of the others.
    """
    prefix, slips, others = role + "_", [], []
    for name in sorted(name for name in in_scope if str(name).startswith(prefix)):
        if name in known or name in DIFFERENCES or any(fnmatch.fnmatchcase(name, pattern) for pattern in own):
            continue
        meant = slip_of(name, known, prefix)
        if meant:
            remedy = "did you mean {0}? A variable of your own goes into the list monitoring_own_variables".format(
                meant
            )
            slips.append(Problem(name, "unknown variable", remedy))
        else:
            others.append(name)
    return slips, others


def strict(names):
    """The problems of variables that mean nothing, for those who want none."""
    remedy = "remove it, or put it into the list monitoring_own_variables (monitoring_strict_variables is true)"
    return [Problem(name, "unknown variable", remedy) for name in names]


def warning(names):
    """One sentence about all variables that mean nothing."""
    return (
        "variables that begin with the name of a role and mean nothing to it: {0}. Those of your own can be listed in"
        " monitoring_own_variables; monitoring_strict_variables: true makes errors of them".format(", ".join(names))
    )
