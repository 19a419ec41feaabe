# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of a service: compared with the host, validated, and staged for the switch."""

from __future__ import annotations

import os
import re
import secrets
import stat

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._account_access import find_account
from ansible_collections.vigil.monitoring.plugins.module_utils._accounts import make_account
from ansible_collections.vigil.monitoring.plugins.module_utils._config_directories import Directories
from ansible_collections.vigil.monitoring.plugins.module_utils._config_references import reference_problems
from ansible_collections.vigil.monitoring.plugins.module_utils._config_validation import Validation
from ansible_collections.vigil.monitoring.plugins.module_utils._data_directory import data_problem
from ansible_collections.vigil.monitoring.plugins.module_utils._deployed import Records
from ansible_collections.vigil.monitoring.plugins.module_utils._host import State, digest, read_bytes
from ansible_collections.vigil.monitoring.plugins.module_utils._package_files import is_pristine
from ansible_collections.vigil.monitoring.plugins.module_utils._switch import plan_files
from ansible_collections.vigil.monitoring.plugins.module_utils._system import HERE
from ansible_collections.vigil.monitoring.plugins.module_utils._tree import check_path, diff_entry, kept_content, unpack

# Of a file that another collection may have written, in bytes: what is longer is not its own.
LONGEST = 1 << 20


class Tree:
    """The configuration of one service on this host.

    :param module: the module config_files, with its options in ``params``.
    """

    def __init__(self, module, machine=HERE):
        self.module = module
        self.path = module.params["path"].rstrip("/")
        self.state = State(self.path, Records(machine).moved_from(self.role(), self.path))
        self.files = {entry["path"]: entry for entry in unpack(module.params["payload"])}
        self.uid = self.gid = None
        self.directories = Directories(self)

    def run(self):
        """Stage what differs: the order of the module."""
        check = self.module.check_mode
        self.check_inputs()
        result = {"changed": False, "validated": False, "missing_account": not self.resolve_account(), "taken_over": []}
        result["recovered"] = False
        if result["missing_account"] and not check and not self.make_account():
            self.module.exit_json(staged={}, **result)
        result["recovered"] = self.state.needs_recovery() if check else self.state.recover()
        manifest = self.state.manifest()
        self.settle_kept()
        plan = self.compare(manifest)
        data = data_problem(self.state, self.role(), self.module.params)
        self.fail_on(
            self.foreign_problems(plan) + self.directories.place_problems(manifest, plan) + ([data] if data else [])
        )
        plan, result["taken_over"] = self.take_over(manifest, plan)
        directories = manifest["directories"]
        if self.gid is not None:
            result["directories"], directories = self.directories.ensure(manifest)
        self.fail_on(reference_problems(self))
        validators, result["validated"] = Validation(self).run(manifest, plan)
        if not check:
            self.stage(manifest, plan, validators, directories)
        result["staged"] = {"create": plan.create, "update": plan.update + plan.foreign, "remove": plan.remove}
        result["changed"] = bool(result.get("directories") or result["missing_account"] or plan.changed or plan.foreign)
        if self.module._diff:
            result["diff"] = self.diff(manifest, plan)
        self.module.exit_json(**result)

    def role(self):
        """The prefix of the variables that messages name."""
        return self.module.params["role"] or os.path.basename(self.path)

    def resolve_account(self):
        """Look the user and the group up; whether both are there."""
        found = find_account(self.module.params["user"], self.module.params["group"])
        self.uid, self.gid = found or (None, None)
        return found is not None

    def make_account(self):
        """Make what is missing of the system group and user; whether that could be done here.

        :raises HostError: when it failed.
        """
        return make_account(self.module.params["user"], self.module.params["group"]) and self.resolve_account()

    def fail(self, problems, **result):
        """End with one problem a line."""
        self.module.fail_json(msg="\n".join(problems), **result)

    def fail_on(self, problems):
        """End where there are problems."""
        if problems:
            self.fail(problems)

    def check_inputs(self):
        """Refuse paths that leave the tree and strings that must not be left over."""
        problems = []
        for path, entry in self.files.items():
            try:
                check_path(path)
            except ValueError as error:
                problems.append(str(error))
            for leftover in self.module.params["refuse"]:
                for number, line in enumerate(entry["content"].splitlines(), 1):
                    if leftover in line:
                        problems.append(
                            "{0}/{1}, line {2}, has a {3!r}: the service does not expand variables and would use it"
                            " literally; write the value, or refer to a file that contains it".format(
                                self.path, path, number, leftover
                            )
                        )
        self.fail_on(problems)

    def settle_kept(self):
        """Give each file that data depend on the content that it has to have."""
        problems = []
        for path, entry in self.files.items():
            kept = entry.get("kept")
            if not kept:
                continue
            live = read_regular(os.path.join(self.path, path))
            if live is None and self.state.before:
                live = read_regular(os.path.join(self.state.before.config_dir, path))
            elsewhere = read_regular(os.path.join(self.path, kept["file"])) or ""
            found = kept_content(entry["content"], live, os.path.exists(kept["data"]), elsewhere, kept)
            content = found.content or secrets.token_urlsafe(32)
            if entry["secret"]:
                self.module.know(content)
            entry["content"] = content + "\n"
            problems += [found.problem] if found.problem else []
            if found.doubt:
                self.module.warn("{0}: {1}".format(self.role(), found.doubt))
        if problems:
            self.fail(problems)

    def compare(self, manifest):
        """Compare the wanted files with those on the host.

        :param manifest: that of the generation on the disk.
        :returns: a :class:`_switch.FilePlan`.
        """
        wanted = {
            path: (digest(entry["content"].encode("utf-8")), entry["mode"], 0, self.gid)
            for path, entry in self.files.items()
        }
        live = {}
        for path in set(wanted) | set(manifest["files"]):
            full = os.path.join(self.path, path)
            status = _nofollow.inspect(full)
            if status is None:
                continue
            if stat.S_ISLNK(status.st_mode) or stat.S_ISDIR(status.st_mode):
                live[path] = ("not a regular file", None, None, None)
            else:
                live[path] = (digest(read_bytes(full)), status.st_mode & 0o7777, status.st_uid, status.st_gid)
        return plan_files(wanted, live, manifest["files"])

    def take_over(self, manifest, plan):
        """Have removed what another collection wrote and the inventory no longer specifies.

        :returns: the plan with that, and the paths of all that is taken over.
        """
        known, unlike = self.superseded(manifest)
        plan = plan._replace(remove=sorted([*plan.remove, *known]))
        taken = sorted([*known, *plan.foreign])
        self.say_what_is_taken_over(taken, unlike)
        return plan, taken

    def superseded(self, manifest):
        """The files that another collection wrote and the inventory no longer specifies.

        :returns: those to be removed, and those that are not as it writes them; relative paths.
        """
        known, unlike = [], []
        for entry in self.module.params["superseded"] if self.module.params["take_over"] else ():
            path = entry["path"]
            if path in self.files or path in manifest["files"]:
                continue
            content = read_regular(os.path.join(self.path, path))
            if content is not None:
                (known if re.match(entry["pattern"], content) else unlike).append(path)
        return known, unlike

    def say_what_is_taken_over(self, taken, unlike):
        """Name what somebody else's files become of; a run that was asked to take over says so once."""
        where, role = self.path, self.role()
        if taken:
            self.module.warn(
                "taken over in {0}, and kept for a rollback in {1}: {2}".format(
                    where, self.state.previous, ", ".join(taken)
                )
            )
        for path in unlike:
            self.module.warn(
                "{0}/{1} bears a name that the role {2} of another collection writes, and is not as that writes it: it"
                " stays, and is used wherever the service looks for it".format(where, path, role)
            )

    def foreign_problems(self, plan):
        """What stands in the way, one sentence each; empty where it may be replaced."""
        problems = []
        for path in plan.foreign:
            full = os.path.join(self.path, path)
            if os.path.isdir(full):
                problems.append("{0} is a directory where a file is required; move it away".format(full))
            elif self.module.params["take_over"] or (self.module.params["pristine"] and is_pristine(full)):
                continue
            else:
                problems.append(
                    "{0} was not written by this collection and differs from the inventory; move it away, or set"
                    " {1}_take_over: true to replace it (it is kept for a rollback)".format(full, self.role())
                )
        return problems

    def diff(self, manifest, plan):
        """Ansible's diff of everything that the switch will change."""
        entries = []
        hidden = {entry["path"] for entry in self.module.params["superseded"] if entry["secret"]}.union(
            manifest["secret"]
        )
        for path in plan.create + plan.update + plan.foreign + plan.remove:
            before = self.shown(os.path.join(self.path, path)) if path not in plan.create else None
            after = self.files[path]["content"] if path in self.files else None
            secret = path in hidden or (path in self.files and self.files[path]["secret"])
            entries.append(diff_entry(os.path.join(self.path, path), before, after, secret))
        return entries

    @staticmethod
    def shown(path):
        """What stands at a path, for a diff: a link as such, without what it points to."""
        target = _nofollow.link_target(path)
        if target is not None:
            return "-> {0}\n".format(target)
        found = read_bytes(path)
        return found.decode("utf-8", "replace") if found is not None else None

    def stage(self, manifest, plan, validators, directories):
        """Put the next generation aside for the switch; what was staged before goes where nothing differs."""
        self.state.create()
        owners = self.directories.later
        if not (plan.changed or plan.foreign or owners or validators != manifest.get("validators")):
            self.state.discard_stage()
            return
        contents = {
            path: (self.files[path]["content"].encode("utf-8"), self.files[path]["mode"], 0, self.gid)
            for path in plan.create + plan.update + plan.foreign
        }
        self.state.stage(
            contents,
            {
                "replace": sorted(contents),
                "remove": plan.remove,
                "owners": owners,
                "gone": self.directories.gone,
                "manifest": {
                    "files": {path: digest(entry["content"].encode("utf-8")) for path, entry in self.files.items()},
                    "secret": sorted(path for path, entry in self.files.items() if entry["secret"]),
                    "directories": directories,
                    "validators": validators,
                },
            },
        )


def read_regular(path):
    """Text of a regular file that no link leads to, empty for a long one; None where there is no such file."""
    status = _nofollow.inspect(path)
    if status is None or not stat.S_ISREG(status.st_mode):
        return None
    return (read_bytes(path) or b"").decode("utf-8", "replace") if status.st_size <= LONGEST else ""
