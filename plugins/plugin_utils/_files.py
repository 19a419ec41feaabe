# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of files for the module config_tree, and files on the controller: the collection's and the user's own."""

from __future__ import annotations

import glob
import os

# The directory of this collection on the controller.
COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


class FileProblem(ValueError):
    """The user's files cannot be used as they are; the message names them and the way out."""


class Files:
    """The files of one configuration tree, each path at most once."""

    def __init__(self):
        self._entries = {}
        self._origins = {}

    def add(self, path, origin, **entry):
        """Add a file.

        :param path: path inside the tree.
        :param origin: who asks for it, for the message when two do.
        :raises FileProblem: when the path is taken.
        """
        if path in self._entries:
            raise FileProblem(
                "{0} and {1} both want to become {2}; rename one of them".format(self._origins[path], origin, path)
            )
        self._entries[path] = dict(entry, path=path)
        self._origins[path] = origin

    def add_user_files(self, directory, files, variable):
        """Add files of the user's own, under their own names.

        :param directory: directory inside the tree.
        :param files: list of dicts with ``source`` and ``content``, as :func:`find` and a reader give them.
        :param variable: the input that names them.
        """
        for entry in files or []:
            path = "{0}/{1}".format(directory, os.path.basename(entry["source"]))
            self.add(path, "{0} ({1})".format(entry["source"], variable), content=entry["content"])

    def entries(self):
        """The files as config_tree takes them."""
        return list(self._entries.values())


def find(patterns, bases):
    """The files that patterns match.

    A relative pattern is looked up in the first of the bases that has its directory, as Ansible's own ``fileglob``
    does. A pattern that matches nothing gives nothing; a plain name that is not there is an error.

    :param patterns: list of shell patterns.
    :param bases: directories, the most specific first.
    :returns: absolute paths, resolved, sorted within each pattern, none twice.
    :raises FileProblem: when a name without wildcards is no file.
    """
    found = []
    for pattern in patterns:
        pattern = os.path.expanduser(pattern)
        directory = os.path.dirname(pattern)
        matches = []
        for base in bases:
            # Without a directory of its own the pattern says nothing about where; the first match decides.
            if os.path.isdir(os.path.join(base, directory)):
                matches = sorted(path for path in glob.glob(os.path.join(base, pattern)) if os.path.isfile(path))
                if matches or directory:
                    break
        if not matches and not glob.has_magic(pattern):
            raise FileProblem("there is no file {0}; looked in {1}".format(pattern, ", ".join(bases)))
        found += [os.path.realpath(path) for path in matches]
    return list(dict.fromkeys(found))
