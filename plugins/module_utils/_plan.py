# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the switch will change: the configuration that is staged, the unit and links or the container, as one plan."""

from __future__ import annotations

import os
from typing import NamedTuple, Optional

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._data_directory import Move
from ansible_collections.vigil.monitoring.plugins.module_utils._host import read_text
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_systemd import in_the_way
from ansible_collections.vigil.monitoring.plugins.module_utils._switch import Change, Owners


class Plan(NamedTuple):
    """What has to change.

    :ivar changes: list of :class:`_switch.Change`.
    :ivar manifest: that of the new generation.
    :ivar texts: path of a changed unit -> (text before or None, text after or None).
    :ivar replacing: why something has to be made anew that is not on the disk, such as a container; or None.
    :ivar conflicts: units of packages that have to give way.
    :ivar kept: files that are copied aside, as another program is about to change them.
    :ivar move: the way of the data to another directory, a :class:`_data_directory.Move`, or None.
    :ivar gone: directories of ours that nothing needs any more once the new generation is verified.
    :ivar dumps: whether the database of a server is dumped, as another program is about to change it; the path of the dump once it is.
    """

    changes: list
    manifest: dict
    texts: dict
    replacing: Optional[str]
    conflicts: list
    kept: list
    gone: list = ()
    move: object = None
    dumps: object = False

    @property
    def switches(self):
        """Whether there is anything to switch."""
        return bool(self.changes or self.replacing)

    @property
    def has_links(self):
        """Whether a link changes, and with it the program."""
        return any(change.kind == "link" for change in self.changes)

    @property
    def passes_data(self):
        """Whether data passes from one account to another."""
        passes = any(change.kind == "owner" and Owners.of(change.source).inside for change in self.changes)
        return passes or self.move is not None


def make_plan(task, manifest, seen):
    """Compare what is specified with what is on the host.

    :param task: :class:`_task.Task`.
    :param manifest: that of the generation before.
    :param seen: what the runtime knows about the service.
    :returns: a :class:`Plan`.
    """
    runtime = task.runtime
    changes, texts = _plan_texts(task, manifest)
    changes += _plan_links(task, manifest)
    staged = task.state.staged_plan()
    changes += _plan_staged(task.state, staged)
    changes += [Change(path, "remove") for other in task.runtimes.others() for path in other.leftovers(manifest)]
    new = staged["manifest"] if staged else _files_of(manifest)
    units = sorted(path for path, text in _wanted_texts(task).items() if text)
    new = dict(new, units=units, links=dict(task.params["links"]), container=runtime.entry())
    # A unit that bears the service's own name is replaced instead.
    own = task.runtimes.own_titles(manifest)
    conflicts = in_the_way([unit for unit in task.params["conflicts"] if unit not in own], task.machine)
    replacing = runtime.replacement(seen)
    gone = staged.get("gone", []) if staged else []
    move = Move.of(task.state.verified(), task.params) if task.params["data_change"] == "move" else None
    kept = _kept(task, changes, manifest)
    # Where nothing was deployed before, nothing is changed that was its own.
    dumps = bool(task.params["dump"] and manifest["generation"]) and _is_another_program(task, changes, manifest)
    return Plan(changes, new, texts, replacing, conflicts, kept, gone, move, dumps)


def next_unit(state, path):
    """Where a unit lies until the switch renames it."""
    return os.path.join(state.directory, os.path.basename(path) + ".next")


def removable_dropins(task):
    """Those of somebody else's drop-ins that are taken away with the switch."""
    return task.runtime.removable_dropins() if task.params["take_over"] else []


def _wanted_texts(task):
    return dict(task.params["files"], **task.runtime.texts(task.state.undo))


def _plan_texts(task, manifest):
    """Units, drop-ins and files that lie elsewhere."""
    changes, texts = [], {}
    for path, text in dict(dict.fromkeys(manifest["units"], ""), **_wanted_texts(task)).items():
        live = read_text(path) if os.path.isfile(path) else None
        if text and (live != text or os.path.islink(path)):
            changes.append(Change(path, "file", next_unit(task.state, path)))
            texts[path] = (live, text)
        elif not text and path in manifest["units"] and live is not None:
            changes.append(Change(path, "remove"))
            texts[path] = (live, None)
    for path in removable_dropins(task):
        changes.append(Change(path, "remove"))
        texts[path] = (read_text(path), None)
    return changes, texts


def _plan_links(task, manifest):
    links, known = task.params["links"], manifest["links"]
    made = [
        Change(path, "link", target) for path, target in sorted(links.items()) if _nofollow.link_target(path) != target
    ]
    gone = [path for path in sorted(set(known) - set(links)) if _nofollow.link_target(path) == known[path]]
    return made + [Change(path, "remove") for path in gone]


def _plan_staged(state, staged):
    """What config_files has staged."""
    if not staged:
        return []
    base = state.config_dir
    return [
        *(Change(os.path.join(base, path), "file", state.staged_file(path)) for path in staged["replace"]),
        *(Change(os.path.join(base, path), "remove") for path in staged["remove"]),
        *(Change(path, "owner", text) for path, text in sorted(staged.get("owners", {}).items())),
    ]


def _files_of(manifest):
    """What a manifest says about the configuration, where nothing of it changes."""
    return dict(
        {key: manifest[key] for key in ("files", "secret", "directories")}, validators=manifest.get("validators")
    )


def _is_another_program(task, changes, manifest):
    return task.runtime.is_another_program(manifest, changes, task.params["argv"])


def _kept(task, changes, manifest):
    if not _is_another_program(task, changes, manifest):
        return []
    for path in task.params["keep"]:
        _nofollow.check_file(path)
    return [Change(path, "keep") for path in task.params["keep"]]
