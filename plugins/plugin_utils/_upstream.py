# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What upstream's own types say about the files of Prometheus and Alertmanager: every key, and what it holds.

``make upstream`` writes the data. A kind is a word (``string``, ``secret``, ``secret url``, ``duration``, ``int``, …), ``[]``
or ``{}`` before the kind of what a list or a dictionary holds, or ``@`` before the name of a structure.
"""

from __future__ import annotations

import functools
import json
import os

PROGRAMS = ("alertmanager", "prometheus")
_DATA = os.path.join(os.path.dirname(os.path.realpath(__file__)), "data")


@functools.cache
def upstream(program):
    """The data of one program: ``module`` with its version, ``roots`` of its files, and ``types``."""
    with open(os.path.join(_DATA, program + ".json"), encoding="utf-8") as stream:
        return json.load(stream)


def version_of(program):
    """The version of a program whose types are known, as the program says it."""
    found = upstream(program)["module"].rpartition("@v")[2]
    # As a module, 3.16.0 of Prometheus is 0.316.0.
    return (
        "{0}.{1}.{2}".format(found[2], int(found[3:5]), found.rpartition(".")[2]) if program == "prometheus" else found
    )


def keys(program, *path, document="config"):
    """The keys at a place of a program's file, each with what it holds.

    :param path: the keys that lead there, such as ``"receivers", "slack_configs"``.
    """
    data = upstream(program)
    found = data["types"][data["roots"][document]]
    for key in path:
        found = data["types"][found[key].partition("@")[2]]
    return found


def is_secret(kind):
    """Whether a kind is a secret, or a list or a dictionary of such."""
    return kind.lstrip("[]{}").startswith("secret")
