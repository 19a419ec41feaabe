# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files with dashboards on the controller: found, read, and validated before anything is changed."""

from __future__ import annotations

import os

from ansible_collections.vigil.monitoring.plugins.module_utils._release import is_remote, local_path
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import (
    COLLECTION,
    FileProblem,
    check_name,
    locate,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import dashboard_problems, normal_dashboard

VARIABLE = "grafana_dashboards_dir"
# The directory of this collection's own.
BUNDLED = COLLECTION + "/bundled/dashboards"
# What need not be there: the default of the variable.
OPTIONAL = ("dashboards",)
# What lies beside dashboards and is for people.
TEXTS = (".md", ".rst", ".txt")


def find_directory(directory, bases, optional=OPTIONAL):
    """A directory as an absolute path; where it is optional and not there, one that holds nothing.

    :param bases: what :func:`_files.places` gives.
    :raises FileProblem: when it is not there.
    """
    path, there = locate(directory, bases)
    if there and os.path.isdir(path):
        return os.path.realpath(path)
    if not there and directory in optional:
        return path
    raise FileProblem(
        "{0}: there is no directory {1} for dashboards; create it, or correct the path; looked in {2}".format(
            VARIABLE, directory, ", ".join(bases)
        )
    )


def list_tree(directory):
    """The files below a directory that are meant as dashboards: ``(path, folder)``, sorted; hidden ones are left out, as in
    Grafana."""
    for folder, names, files in os.walk(directory):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            path, ending = os.path.join(folder, name), os.path.splitext(name)[1].lower()
            if name.startswith(".") or ending in TEXTS or not ending:
                continue
            yield path, "" if folder == directory else os.path.basename(folder)


def read_dashboard(path):
    """The text of a file of :func:`list_tree`.

    :raises FileProblem: for what is no dashboard, and no text for who looks after them.
    """
    check_name(path, VARIABLE, (".json", ".JSON"))
    if not os.path.isfile(path):
        raise FileProblem(
            "{0}: {1} is no file, or a link that leads to none; correct it, or move it away".format(VARIABLE, path)
        )
    return read(path)


def read_tree(directory):
    """The JSON files below a directory: ``(path, folder, text)``.

    :raises FileProblem: see :func:`read_dashboard`.
    """
    return [(path, folder, read_dashboard(path)) for path, folder in list_tree(directory)]


def read(path):
    """The text of a file.

    :raises FileProblem: when it is none.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise FileProblem(
            "{0} cannot be read as a text in UTF-8: {1}; correct it, or move it away".format(path, error)
        ) from error


def stem_of(path, folder):
    """What the uid of a dashboard is made of when it has none: the name of its file, with its folder."""
    name = os.path.splitext(os.path.basename(path))[0]
    return "{0}/{1}".format(folder, name) if folder else name


def problems(directory, entries, bundled, bases):
    """Everything that is wrong with the files of the controller, and with all dashboards beside each other; sentences.

    What has to be downloaded is validated when it is there.

    :param directory: ``grafana_dashboards_dir``.
    :param entries: ``grafana_dashboards``.
    :param bundled: whether those of this collection are deployed as well.
    :param bases: what :func:`_files.places` gives.
    """
    wrong, found = [], []

    def add(make):
        try:
            found.append(make())
        except FileProblem as error:
            wrong.append(str(error))

    trees = [BUNDLED] if bundled else []
    try:
        trees.append(find_directory(str(directory), bases))
    except FileProblem as error:
        wrong.append(str(error))
    for tree in trees:
        for path, folder in list_tree(tree):
            add(lambda path=path, folder=folder: _dashboard(read_dashboard(path), path, folder, stem_of(path, folder)))
    for number, entry in enumerate(entries):
        url = str(entry.get("dashboard_url") or "")
        if url and not is_remote(url):
            path, name = local_path(url), "grafana_dashboards[{0}] ({1})".format(number, url)
            folder = str(entry.get("folder") or "")
            given = {"*": entry["datasource"]} if entry.get("datasource") else {}
            stem = stem_of(path, "")
            add(
                lambda path=path, name=name, folder=folder, stem=stem, given=given: _dashboard(
                    read(path), name, folder, stem, given
                )
            )
    return [*wrong, *dashboard_problems(found)]


def _dashboard(text, source, folder, stem, given=()):
    return normal_dashboard(text, source, folder, dict(given), stem)
