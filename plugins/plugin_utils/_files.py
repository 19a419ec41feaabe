# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of files for the module config_files, and files on the controller: the collection's and the user's own."""

from __future__ import annotations

import fnmatch
import glob
import os
import re

# The directory of this collection on the controller.
COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


# What an editor, a tool or a cautious hand leaves beside a file, and nobody means to be read.
_LEFT_OVER = re.compile(
    r"(~|\.(bak|backup|dist|disabled|example|off|old|orig|rej|rpmnew|rpmsave|sample|save|sw[op]|tmp))$"
)


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
        :param origin: the variable that names it, for the message where two name the same.
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
        :raises FileProblem: when the service would not read one, or nobody means it to.
        """
        for entry in files or []:
            check_name(entry["source"], variable, ENDINGS.get(variable))
            path = "{0}/{1}".format(directory, os.path.basename(entry["source"]))
            self.add(path, "{0} ({1})".format(entry["source"], variable), content=entry["content"])

    def entries(self):
        """The files as config_files takes them."""
        return list(self._entries.values())


def check_name(source, variable, endings=None):
    """Refuse a file that the service would not read, or that nobody means to be read.

    :raises FileProblem: naming it, and the input.
    """
    name = os.path.basename(source)
    if name.endswith(".j2"):
        why = "is a template of Jinja's, and files are copied as they are: write out what is in it"
    elif _LEFT_OVER.search(name):
        why = "looks like one that was left over or laid aside: move it elsewhere, or narrow the pattern"
    elif re.search(r"[][*?\\]", name):
        why = "has a character in its name that stands for others in a pattern: rename it"
    elif endings and not name.endswith(tuple(endings)):
        why = "is not read under this name: it has to end in {0}".format(" or ".join(endings))
    else:
        return
    raise FileProblem("{0}: {1} {2}".format(variable, source, why))


# The patterns that the roles have by default: where they match nothing, nothing is missed. A unit test compares.
DEFAULT_PATTERNS = {
    "prometheus_static_targets_files": ["prometheus/targets/*.yml", "prometheus/targets/*.json"],
    "prometheus_scrape_config_files": ["prometheus/scrape_configs/*.yml", "prometheus/scrape_configs/*.json"],
    "prometheus_alert_rules_files": ["prometheus/rules/*.yml", "prometheus/rules/*.yaml"],
    "alertmanager_template_files": ["alertmanager/templates/*.tmpl"],
}


# What the names of files may end with, where the service reads no others: what Prometheus discovers targets from has one of these.
ENDINGS = {"prometheus_static_targets_files": (".yml", ".yaml", ".json", ".YML", ".YAML", ".JSON")}


def file_problems(patterns, bases, variable):
    """Everything that is wrong with the files that an input names, before they are read for the host: sentences.

    :param patterns: what the input says; ``bases`` and ``variable`` as for :func:`find`.
    """
    try:
        found = find(patterns, bases, variable)
    except FileProblem as error:
        return [str(error)]
    problems, names = [], {}
    for path in found:
        try:
            check_name(path, variable, ENDINGS.get(variable))
        except FileProblem as error:
            problems.append(str(error))
            continue
        first = names.setdefault(os.path.basename(path), path)
        if first != path:
            problems.append("{0}: {1} and {2} have the same name; rename one of them".format(variable, first, path))
        try:
            with open(path, encoding="utf-8") as stream:
                stream.read()
        except (OSError, UnicodeDecodeError) as error:
            problems.append(
                "{0}: {1} cannot be read as a text in UTF-8: {2}; correct it, or narrow the pattern".format(
                    variable, path, error
                )
            )
    return problems


def places(variables, basedir, folder="files"):
    """The directories of the controller below which a relative path of the user's is looked up, in this order.

    Those of the role that uses it and of the roles around that, of the inventory, of the playbook that was started, and of
    the one that the play stands in; in each, its subdirectory for this kind of file comes first. Never the working
    directory: the same command means the same wherever it is given.

    :param variables: those of the host.
    :param basedir: directory of the play's playbook, as Ansible's data loader knows it.
    :param folder: name of the subdirectory.
    """
    variables = variables or {}
    inventories = [variables.get("inventory_dir"), *(variables.get("ansible_inventory_sources") or ())]
    directories = [path for path in variables.get("ansible_search_path") or () if path != basedir]
    directories += [_directory(path) for path in inventories if path]
    directories += [*started_in(), basedir]
    return list(dict.fromkeys(place for path in directories if path for place in (os.path.join(path, folder), path)))


def _directory(path):
    """A directory, or that of a file; None for what is none, such as a list of hosts in the place of an inventory."""
    path = str(path)
    if os.path.isdir(path):
        return os.path.abspath(path)
    return os.path.dirname(os.path.abspath(path)) if os.path.isfile(path) else None


def started_in():
    """The directories of the playbooks that ``ansible-playbook`` was given."""
    # Imported here: whoever only reads the collection's own files does without.
    from ansible import context  # noqa: PLC0415

    given = context.CLIARGS.get("args") or ()
    if isinstance(given, str):
        return []
    return [_directory(path) for path in given if os.path.isfile(str(path))]


def locate(path, bases):
    """A file or directory of the controller as an absolute path; one that is nowhere belongs beside the playbook.

    :param bases: what :func:`places` gives.
    :returns: the path, and whether it is there.
    """
    path = os.path.expanduser(str(path))
    there = next((found for found in (os.path.join(base, path) for base in bases) if os.path.exists(found)), None)
    beside = [*started_in(), *bases[-1:], os.curdir][0]
    return os.path.abspath(there or os.path.join(beside, path)), there is not None


def find(patterns, bases, variable="", warn=None):
    """The files that patterns match.

    A relative pattern is looked up in the first of the bases that has its directory. One that matches nothing gives
    nothing, with a warning; a plain name that is not there is an error, and so is a directory that is not there, as files
    that are looked for in the wrong place would be taken away from the host.

    :param patterns: list of shell patterns.
    :param bases: directories, the most specific first.
    :param variable: the input that the patterns are from.
    :param warn: function of a sentence about patterns that match nothing, and files that no pattern matches.
    :returns: absolute paths, resolved, sorted within each pattern, none twice.
    :raises FileProblem: when a name without wildcards is no file, or no base has a pattern's directory.
    """
    found, folders = [], {}
    defaults = DEFAULT_PATTERNS.get(variable, ())
    where = "{0}: ".format(variable) if variable else ""
    for given in patterns:
        pattern = os.path.expanduser(str(given))
        directory = os.path.dirname(pattern)
        matches, there = [], False
        for base in bases:
            # Without a directory of its own the pattern says nothing about where; the first match decides.
            if os.path.isdir(os.path.join(base, directory)) or (glob.has_magic(directory) and _glob(base, directory)):
                there, matches = True, [path for path in _glob(base, pattern) if os.path.isfile(path)]
                folders.setdefault(os.path.join(base, directory), []).append(os.path.basename(pattern))
                if matches or directory:
                    break
        found += [os.path.realpath(path) for path in matches]
        if matches or (given in defaults and glob.has_magic(pattern)):
            continue
        looked = "looked in {0}".format(", ".join(bases))
        if not glob.has_magic(pattern):
            raise FileProblem("{0}there is no file {1}; {2}".format(where, pattern, looked))
        if not there:
            raise FileProblem("{0}there is no directory {1} for {2}; {3}".format(where, directory, pattern, looked))
        if warn:
            warn("{0}{1} matches no file; {2}".format(where, pattern, looked))
    if warn and list(patterns) == list(defaults):
        for folder, names in folders.items():
            _warn_of_others(folder, names, variable, warn)
    return list(dict.fromkeys(found))


def _glob(base, pattern):
    return sorted(glob.glob(os.path.join(base, pattern)))


def _warn_of_others(folder, names, variable, warn):
    """Say so where a directory that is looked at by default holds files that none of the default patterns matches."""
    others = sorted(
        name
        for name in os.listdir(folder)
        if not name.startswith(".")
        and os.path.isfile(os.path.join(folder, name))
        and not any(fnmatch.fnmatchcase(name, pattern) for pattern in names)
    )
    if others:
        warn(
            "{0}: {1} in {2} matches none of {3}, and is not deployed".format(
                variable, ", ".join(others), folder, ", ".join(names)
            )
        )
