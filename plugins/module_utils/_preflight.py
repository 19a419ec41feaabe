# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would keep a deployment from working, found before anything changes: all of it at once, one sentence each."""

from __future__ import annotations

import os

from ansible_collections.vigil.monitoring.plugins.module_utils import _data_before, _nofollow, _tls_files
from ansible_collections.vigil.monitoring.plugins.module_utils._data_directory import data_problem
from ansible_collections.vigil.monitoring.plugins.module_utils._disk_space import LEAST_SPACE, is_short, place_problem
from ansible_collections.vigil.monitoring.plugins.module_utils._firewall import Firewall
from ansible_collections.vigil.monitoring.plugins.module_utils._health import downgrade_problem
from ansible_collections.vigil.monitoring.plugins.module_utils._host import read_text
from ansible_collections.vigil.monitoring.plugins.module_utils._migrations import migration_problem
from ansible_collections.vigil.monitoring.plugins.module_utils._plan import removable_dropins
from ansible_collections.vigil.monitoring.plugins.module_utils._ports import port_problem
from ansible_collections.vigil.monitoring.plugins.module_utils._process import (
    about_features,
    refused_arguments,
    unknown_flag,
)


def problems_of(task, plan, found, verification, record):
    """All of them.

    :param task: :class:`_task.Task`.
    :param plan: :class:`_plan.Plan`.
    :param found: :class:`_deployment.Found`.
    :param verification: :class:`_verification.Verification`.
    :param record: :class:`_record.Record`.
    """
    problems = dropin_problems(task)
    problems += [problem for runtime in task.runtimes.all for problem in runtime.standing_problems()]
    if plan.switches:
        problems += foreign_problems(task, found)
        problems += place_problems(task, plan)
        problems.append(flag_problem(task) if task.runtime.is_tried(plan.replacing) else None)
        problems += task.runtime.problems(plan.replacing, task.role, task.params["secrets"] or ())
        problems.append(firewall_problem(task))
    if found.running is None or plan.switches:
        # Also what somebody has put into the place of the data while the service was stopped.
        problems.append(version_problem(task, found, record))
    problems.append(data_problem(task.state, task.role, task.params))
    if plan.move and plan.kept:
        problems.append(
            "its data is to be moved, and another version would change it: move it first, then change the version"
        )
    if task.params.get("certificates"):
        problems += certificate_problems(task)
    if found.running is None or plan.switches:
        problems += [port_problem(task, found.running), verification.file_problem()]
    if found.running is None or plan.replacing or plan.texts or plan.has_links:
        problems.append(space_problem(task))
    problems += [copy_problem(task, plan.kept), dump_problem(task, plan)]
    return [problem for problem in problems if problem]


def certificate_problems(task):
    """Certificates of the host that cannot work, one sentence each."""
    given = task.params["certificates"]
    files = {what: given[what] for what in _tls_files.VARIABLES if given[what]}
    return _tls_files.problems(files, given["name"] or "", given["both"])


def foreign_problems(task, found):
    """What of somebody else's stands in the way."""
    params, manifest = task.params, found.manifest
    problems = list(task.runtime.foreign_problems())
    if params["take_over"]:
        return problems
    hint = "; set {0}_take_over: true to replace it (it is kept for a rollback), or move it away".format(task.role)
    problem = task.runtime.foreign_problem(found.seen, manifest["units"], params["conflicts"])
    if problem:
        problems.append(problem + hint)
    for path, text in sorted(params["files"].items()):
        if os.path.lexists(path) and path not in manifest["units"] and read_text(path) != text:
            problems.append("{0} was not written by this collection{1}".format(path, hint))
    for path, target in sorted(params["links"].items()):
        there = _nofollow.link_target(path)
        ours = path in manifest["links"] and there is not None
        if _nofollow.inspect(path) and not ours and (os.path.isdir(path) or there != target):
            problems.append("{0} was not written by this collection{1}".format(path, hint))
    return problems


def dropin_problems(task):
    """Drop-ins of somebody else's with which something else would run than what is specified."""
    removed = removable_dropins(task)
    return [
        "{0} was not written by this collection and overrides how {1} is started ({2}); move its lines into"
        " {3}_systemd_dropin and remove it, or set {3}_take_over: true to have it removed (it is kept for a"
        " rollback)".format(path, task.runtime.title, ", ".join(directives), task.role)
        for path, directives in sorted(task.runtime.other_dropins().items())
        if path not in removed
    ]


def flag_problem(task):
    """A flag that the new binary does not take: a sentence, or None. What it says of features becomes a warning."""
    argv = task.params["argv"]
    if not argv:
        return None
    # --version acts only after every flag before it was understood, and starts nothing.
    links, version = task.params["links"], task.params["version"] or ""
    answer = task.runtime.trial(argv, links, "--version")
    if answer is None:
        task.unknown.append("whether the program accepts every flag, as it is not installed yet")
        return None
    status, output = answer
    flag = unknown_flag(output) if status else None
    if flag:
        return "{0} {1} does not know the flag {2}; remove it, or specify a version that has it".format(
            task.name, version, flag
        )
    refused = refused_arguments(output) if status else None
    if refused:
        return "{0} {1} does not accept its command line: {2}".format(task.name, version, refused)
    return word_problem(task) or task.runtime.program_problem(status, output, task.params["version"], task.role)


def word_problem(task):
    """A word that the new binary does not take as the value of a flag: a sentence, or None.

    It is the binary that is asked: its help does not list every feature, and no list of ours would. Of a feature that it
    does not know, or that does nothing any more, it may only warn; that is said, and is no problem.
    """
    argv = task.params["argv"]
    stops_at = task.params["health"].get("dry_run_argument")
    usual = ("--log.level=info", "--log.format=logfmt")
    if not stops_at or not any(word.startswith(("--enable-feature=", "--log.")) and word not in usual for word in argv):
        return None
    flag = stops_at.partition("=")[0] + "="
    answer = task.runtime.trial([word for word in argv if not word.startswith(flag)], task.params["links"], stops_at)
    if answer is None:
        return None
    warnings, refusals = about_features(answer[1])
    refusals += filter(None, [refused_arguments(answer[1])])
    if refusals:
        return "{0} does not accept its command line: {1}".format(task.name, refusals[0])
    for line in warnings:
        task.say("{0} says: {1}".format(task.name, line))
    return None


def firewall_problem(task):
    """That the rules for nftables cannot be loaded: a sentence, or None."""
    path = task.params["firewall"]
    return Firewall(task.machine).problem(task.params["files"][path], task.role) if path else None


def version_problem(task, found, record):
    """That the data are newer than the specified version: a sentence, or None."""
    params = task.params
    if not params["data_dir"] or not params["version"] or params["allow_downgrade"]:
        return None
    written_by = record.written_by(found.running)
    problem = downgrade_problem(task.role, written_by, params["version"], params["data_of_line"])
    # The program of a container is in its image.
    if not written_by and params["migrations"] and params["argv"] and not params.get("container"):
        program = params["links"].get(params["argv"][0], params["argv"][0])
        problem = migration_problem(task.role, params["version"], params["migrations"], program)
    if not problem:
        return None
    back = _data_before.way_back(task.state, params["version"])
    if back:
        return (
            "a downgrade was refused: {0}; keep the newer version, or go back: {1}; stop the service, put that in the place of the"
            " data of now, and set {2}_allow_downgrade: true for one run".format(problem, back, task.role)
        )
    return (
        "a downgrade was refused: {0}; keep the newer version, or restore a backup of the older one's data; with"
        " {2}_allow_downgrade: true it is deployed, and {1} may be lost".format(problem, params["data_dir"], task.role)
    )


def dump_problem(task, plan):
    """That the database of a server cannot be dumped: a sentence, or None."""
    program = task.params["dump"]["argv"][0] if plan.dumps else None
    if not program or task.machine.program(program):
        return None
    return (
        "{0} {1} is about to change its database, and {2} is not installed to dump it before; install the client of the"
        " database's server, or set {3}_dump_database: false".format(
            task.name, task.params["version"] or "", program, task.role
        )
    )


def place_problems(task, plan):
    """Where the switch could not write."""
    places = [change.path for change in plan.changes if change.kind != "keep"] + list(plan.texts)
    folders = {task.state.directory, *(os.path.dirname(path) for path in places)}
    of_links = {os.path.dirname(change.path) for change in plan.changes if change.kind == "link"}
    found = {}
    for folder in sorted(folders):
        problem = place_problem(folder)
        if problem and folder in of_links:
            problem += "; make it writable, or set {0}_binary_install_dir".format(task.role)
        found.setdefault(problem, folder)
    return [problem for problem in found if problem]


def space_problem(task):
    """Whether there is no room where the data goes, so that a start would not be for long: a sentence, or None."""
    data = task.params["data_dir"]
    if not data or not is_short(data):
        return None
    return "no space is left in {0}, so {1} would fail right after its start; free some space and run again".format(
        data, task.name
    )


def copy_problem(task, kept):
    """Whether there is no room for the copies of what is kept: a sentence, or None."""
    sizes = [os.path.getsize(change.path) for change in kept if os.path.isfile(change.path)]
    # One for a rollback, and one that stays afterwards.
    if not sizes or not is_short(task.state.config_dir, 2 * sum(sizes) + LEAST_SPACE):
        return None
    return "not enough free space in {0} for two copies of {1} ({2} MiB), which {3} {4} is about to change".format(
        task.state.directory, kept[0].path, sum(sizes) >> 20, task.name, task.params["version"] or ""
    )
