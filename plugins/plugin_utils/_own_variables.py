# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that begin with a role's name, but are not inputs of it: typos, or the user's own. Names in, messages out."""

from __future__ import annotations

import fnmatch

from ansible_collections.vigil.monitoring.plugins.plugin_utils._differences import DIFFERENCES
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem


def distance(one, other, most):
    """The edit distance of two words: letters changed, added, removed or swapped with their neighbour.

    :param most: distances above it are not computed exactly.
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


def typo_of(name, known, prefix):
    """The input that a name is probably a typo of, or None.

    One in four letters may be wrong, at most two; the same words in another order, or with another separator, are a match.
    A larger distance says nothing about the intended input.

    :param known: names of the role's inputs.
    :param prefix: their common prefix.
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
    """The variables that begin with a role's name, but are not inputs of it.

    :param known: names of the role's inputs.
    :param in_scope: names of all variables of the host.
    :param own: names, or shell patterns of names, that the user has for other purposes.
    :returns: problems, for those that are typos, and the names of the others.
    """
    prefix, typos, others = role + "_", [], []
    for name in sorted(name for name in in_scope if str(name).startswith(prefix)):
        if name in known or name in DIFFERENCES or any(fnmatch.fnmatchcase(name, pattern) for pattern in own):
            continue
        meant = typo_of(name, known, prefix)
        if meant:
            remedy = (
                "did you mean {0}? If it is a variable of your own, add it to the list monitoring_own_variables".format(
                    meant
                )
            )
            typos.append(Problem(name, "unknown variable", remedy))
        else:
            others.append(name)
    return typos, others


def strict(names):
    """The problems of unknown variables, for monitoring_strict_variables."""
    remedy = "remove it, or add it to the list monitoring_own_variables (monitoring_strict_variables is true)"
    return [Problem(name, "unknown variable", remedy) for name in names]


def warning(names):
    """One sentence about all unknown variables."""
    return (
        "unknown variables that begin with the name of a role: {0}. List your own ones in"
        " monitoring_own_variables; monitoring_strict_variables: true makes them errors".format(", ".join(names))
    )
