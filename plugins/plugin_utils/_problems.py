# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Problems of inputs, each as a sentence that names the input, the problem and the remedy."""

from __future__ import annotations

import difflib
import re
from typing import NamedTuple

# https://prometheus.io/docs/prometheus/latest/configuration/configuration/: <duration>
_DURATION = re.compile(r"0|(?=\d)(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?")


class Problem(NamedTuple):
    """One problem.

    :ivar variable: the input, with the path inside it.
    :ivar found: what is wrong with it.
    :ivar remedy: what to do.
    """

    variable: str
    found: str
    remedy: str

    def __str__(self):
        return "{0}: {1}; {2}".format(*self)


class Doubt(Problem):
    """A key or value that our lists lack, but the program may know: a warning, and the program decides."""


def shown(value):
    """A value that is not a secret, short enough for a message."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def is_duration(value):
    """Whether Prometheus accepts this as a duration: ``15s``, ``1h30m``, ``0``; the largest unit comes first."""
    return isinstance(value, (str, int)) and bool(_DURATION.fullmatch(str(value)))


def not_a_duration(name, value):
    """The problem of a value that is not a duration."""
    return Problem(name, "is {0}".format(shown(value)), "write a duration such as 15s, 5m, 1h30m or 30d")


def check_url_path(name, value):
    """What is wrong with the path of a URL."""
    if not str(value).startswith("/"):
        yield Problem(name, "is {0}".format(shown(value)), "begin it with a slash")


def nearest(name, known):
    """The known name that is most similar to an unknown one; None if none is similar."""
    return next(iter(difflib.get_close_matches(str(name), known, n=1)), None)


def did_you_mean(name, known, otherwise):
    """The remedy for an unknown name.

    :param known: the known names.
    :param otherwise: the remedy if none of them is similar.
    """
    near = nearest(name, known)
    return "did you mean {0}?".format(near) if near else otherwise


def unknown_key(where, key, known, kind=Problem):
    """The problem of an unknown key.

    :param where: path of the dictionary.
    :param known: keys that it may have.
    :param kind: :class:`Doubt` if the program may know more of them.
    """
    remedy = did_you_mean(key, known, "known are {0}".format(", ".join(sorted(known))))
    return kind("{0}.{1}".format(where, key), "unknown key", remedy)
