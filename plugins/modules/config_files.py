#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: config_files
short_description: Stage and validate the whole configuration of a service
description:
- Manages all configuration files of a service, which are rendered on the controller.
- The files are staged together with copies of the user's own files in the same directory, and validated by
the validator of the new version. The running service is not affected; M(vigil.monitoring.service) activates
the staged files.
- A manifest lists the written files, so that a file that was removed from the inventory is removed from the host, and the
user's own files are never changed.
version_added: 0.1.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: full
    description: Stages nothing, but validates if the validator is installed on the host already.
  diff_mode:
    support: full
    description: Secret values are masked; only the name of a secret file is shown.
  idempotent:
    support: full
    description: A converged host takes one round trip.
options:
  path:
    description: Configuration directory of the service, absolute.
    type: path
    required: true
  role:
    description: Prefix of the variables that messages name. Defaults to the last part of O(path).
    type: str
  user:
    description: System user of the service. Created without a home directory and shell if it is missing.
    type: str
    required: true
  group:
    description: System group of the service, which can read the files.
    type: str
    required: true
  files:
description: The configuration files.
    type: list
    elements: dict
    suboptions:
      path:
        description: Path inside O(path).
        type: str
        required: true
      content:
        description: Content as text.
        type: str
      data:
description: Content as data, written as YAML.
        type: raw
      src:
        description: File on the controller whose content is copied unchanged.
        type: path
      secret:
        description: Whether the whole content is secret and not shown in a diff.
        type: bool
        default: false
      mode:
        description: Permission bits, in octal.
        type: str
        default: "0640"
      kept:
        description:
          - For a file that stays as it is as long as there are data which can be read with it alone, such as a key. Where its
            content is empty, it is made up on the host, once.
          - A dictionary with C(data), the path whose existence tells that there are data; C(before), C(file), C(pattern) and
            C(reference) for what counts where data are older than the file; C(what) it is, C(variable), C(everybody) and
            C(another) for messages; and C(renew), whether another content is accepted.
        type: dict
  directories:
    description: >-
      Further directories that the service needs, such as the one of its data, and directories inside O(path) that are there
      without a file or with another owner or mode.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      owner:
        description: Owner's name.
        type: str
        default: root
      group:
        description: Group's name.
        type: str
        default: root
      mode:
        description: Permission bits, in octal.
        type: str
        default: "0750"
  validate:
    description:
      - Commands that validate the staged files. C(%s) is replaced by the directory that contains all of them.
      - A command whose program is not installed yet is skipped in check mode.
    type: list
    elements: list
    default: []
  image:
    description: >-
ID of the container image with the programs of O(validate). They are run in a container of it, without a
network. If not set, the programs of the host are used.
    type: str
  docker_host:
    description: Address of the Docker engine on the host.
    type: str
    default: unix:///var/run/docker.sock
  readable:
    description: Absolute paths of files that the configuration refers to and that the service's user has to be able to read.
    type: list
    elements: path
    default: []
  refuse:
    description: Strings that must not occur in any file, such as C(${) if the service does not expand variables.
    type: list
    elements: str
    default: []
  take_over:
    description: Whether to replace files that were not written by this collection. They are kept for a rollback.
    type: bool
    default: false
  superseded:
    description:
      - Files below O(path) that another collection is known to write and that take no part in what is asked for, with what
        tells them from a user's own. With O(take_over) those that are there are removed, and kept for the rollback; one that
        does not match stays, with a warning.
      - The action plugin adds those of prometheus.prometheus, cloudalchemy and grafana.grafana for the role.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path inside O(path).
        type: str
        required: true
      pattern:
        description: Regular expression that the beginning of its content matches.
        type: str
        required: true
      secret:
        description: Whether the whole content is secret and not shown in a diff.
        type: bool
        default: false
  pristine:
    description: Whether to replace files of a distribution package that have not been modified since.
    type: bool
    default: false
  secrets:
    description: Values that are masked in all output.
    type: list
    elements: str
  look:
    description: >-
Whether the action plugin compares first, and skips this module if nothing differs. Not useful if an
      earlier task has just changed what this one depends on.
    type: bool
    default: true
  payload:
    description: The files, as sent by the action plugin. For internal use.
    type: str
seealso:
  - module: vigil.monitoring.release
  - module: vigil.monitoring.service
"""

EXAMPLES = r"""
- name: Prepare the configuration of Prometheus
  vigil.monitoring.config_files:
    path: /etc/prometheus
    user: prometheus
    group: prometheus
    files:
      - path: prometheus.yml
        data:
          global:
            scrape_interval: 15s
          rule_files:
            - rules/*.yml
      - path: rules/site.yml
        src: rules/site.yml
    directories:
      - path: /var/lib/prometheus
        owner: prometheus
        group: prometheus
    validate:
      - [/usr/local/bin/promtool, check, config, "%s/prometheus.yml"]
"""

RETURN = r"""
readable:
  description: The files of O(readable).
  returned: always
  type: list
  elements: str
staged:
  description: Paths that will change at the switch, relative to the configuration directory.
  returned: always
  type: dict
  sample: {"create": ["rules/site.yml"], "update": ["prometheus.yml"], "remove": []}
taken_over:
  description: Paths of somebody else's that the switch replaces or removes, relative to the configuration directory.
  returned: always
  type: list
  elements: str
  sample: ["prometheus.yml", "rules/ansible_managed.yml"]
validated:
  description: Whether the validator has seen the tree in this run.
  returned: always
  type: bool
recovered:
  description: Whether a switch was undone that an earlier run had begun and not proven.
  returned: always
  type: bool
missing_account:
  description: Whether the user or the group is missing, or was before this run.
  returned: always
  type: bool
"""

import contextlib
import grp
import hashlib
import os
import pwd
import re
import secrets
import shutil
import stat
import tempfile

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._disk_space import is_short, place_problem
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import DEFAULT_HOST, mounts_of
from ansible_collections.vigil.monitoring.plugins.module_utils._engine import Engine
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    State,
    digest,
    ensure_directory,
    one_run_at_a_time,
    read_bytes,
    restore_context,
    run,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._redact import redact_text
from ansible_collections.vigil.monitoring.plugins.module_utils._switch import Owners, plan_files
from ansible_collections.vigil.monitoring.plugins.module_utils._tree import (
    check_path,
    diff_entry,
    inner_directories,
    kept_content,
    reference_problem,
    relocate,
    unpack,
    validators_of,
)

# Of a file that another collection may have written, in bytes: what is longer is not its own.
LONGEST = 1 << 20
# What the files of a tree need beside their content, in bytes.
OVERHEAD = 1 << 16
# Stands for an account that is yet to be made: it can read what everybody can.
NOBODY = 65534
# What a service's account is not for.
NO_LOGIN = ("--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")


class Tree:
    """The configuration of one service on this host."""

    def __init__(self, module):
        self.module = module
        self.path = module.params["path"].rstrip("/")
        self.state = State(self.path)
        self.files = {entry["path"]: entry for entry in unpack(module.params["payload"])}
        self.uid = self.gid = None
        # Directories that pass from one account to another with the switch, with their `Owners` as text.
        self.later = {}

    def fail(self, problems, **result):
        """End with one problem a line."""
        self.module.fail_json(msg="\n".join(problems), **result)

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
        if problems:
            self.fail(problems)

    def resolve_account(self):
        """Look the user and the group up; whether both are there."""
        try:
            self.uid = pwd.getpwnam(self.module.params["user"]).pw_uid
            self.gid = grp.getgrnam(self.module.params["group"]).gr_gid
        except KeyError:
            return False
        return True

    def make_account(self):
        """Make what is missing of the system group and user; whether that could be done here.

        :raises HostError: when it failed.
        """
        user, group = self.module.params["user"], self.module.params["group"]
        if not (shutil.which("groupadd") and shutil.which("useradd")):
            return False
        for find, name, argv in (
            (grp.getgrnam, group, ["groupadd", "--system", group]),
            (pwd.getpwnam, user, ["useradd", "--system", "--gid", group, *NO_LOGIN, user]),
        ):
            if is_known(find, name):
                continue
            status, output = run(argv)
            # Another role's run may have been quicker with an account that both use.
            if status and not is_known(find, name):
                raise HostError("{0} could not create {1}: {2}".format(argv[0], name, output.strip()))
        return self.resolve_account()

    def settle_kept(self):
        """Give each file that data depend on the content that it has to have."""
        problems = []
        for path, entry in self.files.items():
            kept = entry.get("kept")
            if not kept:
                continue
            live = read_regular(os.path.join(self.path, path))
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

    def role(self):
        """The prefix of the variables that messages name."""
        return self.module.params["role"] or os.path.basename(self.path)

    def compare(self, manifest):
        """Hold the wanted files against the host."""
        wanted = {
            path: (digest(entry["content"].encode("utf-8")), entry["mode"], 0, self.gid)
            for path, entry in self.files.items()
        }
        live = {}
        for path in set(wanted) | set(manifest["files"]):
            full = os.path.join(self.path, path)
            status = _nofollow.look(full)
            if status is None:
                continue
            if stat.S_ISLNK(status.st_mode) or stat.S_ISDIR(status.st_mode):
                live[path] = ("not a regular file", None, None, None)
            else:
                live[path] = (digest(read_bytes(full)), status.st_mode & 0o7777, status.st_uid, status.st_gid)
        return wanted, plan_files(wanted, live, manifest["files"])

    def superseded(self, manifest):
        """The files that another collection wrote and nobody asks for any more.

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
        where, role = self.path, self.module.params["role"] or os.path.basename(self.path)
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
                    " {1}_take_over: true to replace it (it is kept for a rollback)".format(
                        full, self.module.params["role"] or os.path.basename(self.path)
                    )
                )
        return problems

    def validate(self, manifest, plan):
        """Have the whole tree checked by the service's own validator."""
        commands = self.module.params["validate"]
        image = self.module.params["image"]
        identity = validators_of(image, [command[0] for command in commands])
        identity = identity or [os.path.realpath(command[0]) for command in commands]
        if not plan.changed and not plan.foreign and manifest.get("validators") == identity:
            return identity, False
        there = [command for command in commands if image or os.path.exists(command[0])]
        self.refuse_programs(command[0] for command in (there if not image else ()))
        if len(there) < len(commands) and not self.module.check_mode:
            absent = sorted({command[0] for command in commands} - {command[0] for command in there})
            self.fail(["the validator {0} is not installed on the host".format(" and ".join(absent))])
        if len(there) < len(commands):
            absent = sorted({os.path.basename(command[0]) for command in commands if command not in there})
            self.module.warn(
                "{0}: check mode cannot tell whether {1} accepts the configuration, as it is not installed yet".format(
                    self.module.params["role"] or os.path.basename(self.path), " and ".join(absent)
                )
            )
        if not there:
            return identity, False
        with self.whole_tree(manifest, plan.remove) as whole:
            for command in there:
                status, output = self.check([word.replace("%s", whole) for word in command], whole)
                if status:
                    shown = " ".join(word.replace("%s", self.path) for word in command)
                    self.fail(
                        [
                            "the configuration is not valid, nothing was changed. {0} reports:".format(shown),
                            redact_text(output.replace(whole, self.path)).strip(),
                        ]
                    )
        return identity, True

    def refuse_programs(self, paths):
        """Fail where root would run a program that somebody else can exchange."""
        weak = {path: _nofollow.weakness(path) for path in paths}
        self.fail_on(
            [
                "{0} is not executed as root: {1}; make it owned by root and writable by root alone".format(path, words)
                for path, words in sorted(weak.items())
                if words
            ]
        )

    def fail_on(self, problems):
        """End where there are problems."""
        if problems:
            self.fail(problems)

    def check(self, command, whole):
        """Run one validator, the host's own or that of the image.

        :param whole: the directory that holds the whole tree.
        :returns: ``(exit status, output)``.
        """
        image = self.module.params["image"]
        if not image:
            return run(command)
        # What others keep in the tree is linked from the copy.
        seen = [path for path in (whole, self.path) if os.path.isdir(path)]
        mounts = ["{0}:{0}:ro".format(path) for path in seen]
        try:
            mounts += mounts_of(self.module.params["readable"], inside=seen)
        except ValueError as error:
            self.fail([str(error)])
        name = self.module.params["role"] or os.path.basename(self.path)
        return Engine(self.module.params["docker_host"]).run_once(name, image, command[1:], mounts, command[0])

    def whole_tree(self, manifest, gone):
        """A directory, at the same depth, with everything that the configuration will consist of.

        :param gone: what will be removed.
        """
        parent = os.path.dirname(self.path)
        # Where somebody else could exchange it, our own directory is the place, or that for all.
        beside = parent if os.access(parent, os.W_OK) and not _nofollow.weakness(parent) else None
        if beside is None and not self.module.check_mode:
            self.state.create()
            beside = self.state.directory
        whole = tempfile.TemporaryDirectory(prefix=".{0}-check-".format(os.path.basename(self.path)), dir=beside)
        ours = {*self.files, *manifest["files"], *gone}
        with contextlib.suppress(FileNotFoundError), _nofollow.directory(self.path) as tree:
            self.link_foreign(tree, whole.name, "", ours)
        for path, entry in self.files.items():
            target = os.path.join(whole.name, path)
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
                stream.write(relocate(entry["content"], self.path, whole.name))
        return whole

    def link_foreign(self, folder, target, prefix, ours):
        """Let what others keep in the tree appear in the copy as well: the service will load it together with ours.

        :param folder: :class:`_nofollow.Directory` of the tree, or of one in it.
        """
        for name in folder.names():
            path, status = prefix + name, folder.look(name)
            if status is None or path in ours or path == ".vigil":
                continue
            if stat.S_ISDIR(status.st_mode) and any(one.startswith(path + "/") for one in ours):
                os.mkdir(os.path.join(target, name), 0o700)
                with contextlib.closing(folder.enter(name)) as inner:
                    self.link_foreign(inner, os.path.join(target, name), path + "/", ours)
                continue
            if folder.weak and not stat.S_ISDIR(status.st_mode):
                # The validator reads it as root.
                os.close(folder.open_file(name))
            os.symlink(os.path.join(self.path, path), os.path.join(target, name))

    def reference_problems(self):
        """The files that the configuration names and the service could not use."""
        problems = []
        for path in self.module.params["readable"]:
            if os.path.relpath(path, self.path) in self.files:
                continue
            problem = self.readability(path)
            if problem:
                problems.append(reference_problem(path, problem, self.module.params["user"]))
        return problems

    def readability(self, path):
        """``missing``, ``empty``, ``unreadable`` or None, as the service's user finds it: root itself does not look."""
        known = self.uid is not None
        uid, gid = (self.uid, self.gid) if known else (NOBODY, NOBODY)
        child = os.fork()
        if child == 0:
            code = 3
            try:
                groups = os.getgrouplist(self.module.params["user"], gid) if known else [gid]
                # The way there is open with the switch; the file itself has to be readable without.
                passed = {Owners.of(text).before[1] for text in self.later.values()} - set(groups)
                status = os.stat(path)
                if status.st_gid in passed and status.st_uid != uid and not status.st_mode & 0o004:
                    os._exit(3)
                os.setgroups([*groups, *passed])
                os.setgid(gid)
                os.setuid(uid)
                # What only looks like a file, such as a FIFO, must not hold us up.
                status = os.stat(path)
                code = 0 if status.st_size else 2
                if not stat.S_ISREG(status.st_mode):
                    code = 1
                else:
                    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
            except (FileNotFoundError, NotADirectoryError):
                code = 1
            except OSError:
                code = 3
            finally:
                os._exit(code)
        return (None, "missing", "empty", "unreadable")[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 3]

    def directories(self):
        """The directories of the tree and those asked for, as ``(path, mode, uid, gid)``; parents first."""
        found = {
            os.path.join(self.path, path).rstrip("/"): (0o750, 0, self.gid) for path in inner_directories(self.files)
        }
        for entry in self.module.params["directories"]:
            uid, gid = id_of(pwd.getpwnam, entry["owner"]), id_of(grp.getgrnam, entry["group"])
            found[entry["path"].rstrip("/")] = (int(entry["mode"], 8), uid, gid)
        return [(path, *wanted) for path, wanted in found.items()]

    def place_problems(self, manifest, plan):
        """Where a directory cannot be made or changed, or the files have no room, one sentence each."""
        known, problems = set(manifest["directories"]), []
        for path, mode, uid, gid in self.directories():
            try:
                status = _nofollow.directory_status(path)
            except HostError as error:
                problems.append(str(error))
                continue
            as_asked = status is not None and is_as_asked(status, mode, uid, gid, path in known)
            if not as_asked or (plan.changed and path == self.path):
                problems.append(place_problem(path))
        size = sum(len(self.files[path]["content"].encode("utf-8")) for path in plan.create + plan.update)
        if plan.changed and is_short(self.path, size + OVERHEAD):
            problems.append("no space left for {0}; free some space on its file system and run again".format(self.path))
        return list(dict.fromkeys(problem for problem in problems if problem))

    def ensure_directories(self, manifest):
        """Create the directories and give ours their owner and mode.

        One that somebody else made keeps its mode, as long as it belongs to whom it has to and the group of the
        service can enter: others may rely on it.

        One that passes from one account to another does so with the switch: what runs still needs it as it is.

        :returns: paths that were, or would be, changed, and all that are ours.
        """
        wanted = self.directories()
        known = set(manifest["directories"])
        changed, self.later = [], {}
        for path, mode, uid, gid in wanted:
            status = _nofollow.directory_status(path)
            if status is None or not is_as_asked(status, mode, uid, gid, path in known):
                changed.append(path)
                passing = self.passing(path, mode, uid, gid)
                if passing:
                    self.later[path] = passing.text()
        ours = known.union(changed)
        if self.module.check_mode:
            return changed, sorted(ours)
        if ours != known:
            # Remembered before they are made, else those of a run that is killed here would count as somebody else's.
            # Killed even before that, it leaves a directory that nobody can enter, which the next run takes for ours.
            ensure_directory(self.path, 0o700)
            self.state.create()
            self.state.amend_manifest(dict(manifest, directories=sorted(ours)))
        for path, mode, uid, gid in wanted:
            if path in changed and path not in self.later:
                ensure_directory(path, mode, uid, gid)
                _nofollow.give_directory(path, mode, uid, gid)
                restore_context([path])
        return changed, sorted(ours)

    @staticmethod
    def passing(path, mode, uid, gid):
        """How a directory passes to its new account, or None for one that is not there or belongs to it already."""
        status = _nofollow.directory_status(path)
        if status is None:
            return None
        # One of root's is no account's own: nobody loses anything with it.
        if (status.st_uid, status.st_gid) in ((uid, gid), (0, 0)):
            return None
        before = (status.st_uid, status.st_gid, status.st_mode & 0o7777)
        return Owners(before, (uid, gid, mode), bool(uid) and bool(status.st_uid))

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

    def stage(self, plan, validators, directories, owners):
        """Put the next generation aside for the switch."""
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
                "manifest": {
                    "files": {path: digest(entry["content"].encode("utf-8")) for path, entry in self.files.items()},
                    "secret": sorted(path for path, entry in self.files.items() if entry["secret"]),
                    "directories": directories,
                    "validators": validators,
                },
            },
        )

    def run(self):
        """Do what the module is for."""
        self.check_inputs()
        result = {"changed": False, "validated": False, "recovered": False, "missing_account": False, "taken_over": []}
        if not self.resolve_account():
            result["missing_account"] = True
            if self.module.check_mode:
                self.uid, self.gid = None, None
            elif not self.make_account():
                self.module.exit_json(staged={}, **result)
        if self.module.check_mode:
            result["recovered"] = self.state.needs_recovery()
        else:
            result["recovered"] = self.state.recover()
        manifest = self.state.manifest()
        self.settle_kept()
        dummy, plan = self.compare(manifest)
        problems = self.foreign_problems(plan) + self.place_problems(manifest, plan)
        if problems:
            self.fail(problems)
        known, unlike = self.superseded(manifest)
        plan = plan._replace(remove=sorted([*plan.remove, *known]))
        result["taken_over"] = sorted([*known, *plan.foreign])
        self.say_what_is_taken_over(result["taken_over"], unlike)
        directories = manifest["directories"]
        if self.gid is not None:
            made, directories = self.ensure_directories(manifest)
            result["directories"] = made
            result["changed"] = bool(made)
        problems = self.reference_problems()
        if problems:
            self.fail(problems)
        validators, result["validated"] = self.validate(manifest, plan)
        if not self.module.check_mode:
            self.state.create()
            if plan.changed or plan.foreign or self.later or validators != manifest.get("validators"):
                self.stage(plan, validators, directories, self.later)
            else:
                self.state.discard_stage()
        result["staged"] = {"create": plan.create, "update": plan.update + plan.foreign, "remove": plan.remove}
        result["changed"] = result["changed"] or result["missing_account"] or plan.changed or bool(plan.foreign)
        if self.module._diff:
            result["diff"] = self.diff(manifest, plan)
        self.module.exit_json(**result)


def is_known(find, name):
    """Whether the host has an account of this name.

    :param find: ``grp.getgrnam`` or ``pwd.getpwnam``.
    """
    try:
        return bool(find(name))
    except KeyError:
        return False


def read_regular(path):
    """Text of a regular file that no link leads to, empty for a long one; None where there is no such file."""
    status = _nofollow.look(path)
    if status is None or not stat.S_ISREG(status.st_mode):
        return None
    return (read_bytes(path) or b"").decode("utf-8", "replace") if status.st_size <= LONGEST else ""


def id_of(find, name):
    """The number of an account; None where the host does not have it, as in the check of a host that is yet to get it.

    :param find: ``grp.getgrnam`` or ``pwd.getpwnam``.
    """
    return find(name)[2] if is_known(find, name) else None


def is_as_asked(status, mode, uid, gid, ours):
    """Whether a directory may stay as it is: exactly as asked, or somebody else's that serves as well."""
    if (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (mode, uid, gid):
        return True
    enterable = status.st_mode & 0o001 or (status.st_gid == gid and status.st_mode & 0o010)
    if mode & 0o020:
        enterable = status.st_gid == gid and status.st_mode & 0o030 == 0o030
    return bool(not ours and status.st_uid == uid and enterable)


def is_pristine(path):
    """Whether a file is a package's own configuration file that nobody changed since it was installed (dpkg, rpm)."""
    if shutil.which("dpkg-query"):
        status, owner = run(["dpkg-query", "-S", path])
        if status:
            return False
        package = owner.split(":")[0]
        dummy, listed = run(["dpkg-query", "-W", "-f=${Conffiles}", package])
        for line in listed.splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] == path:
                # dpkg's own format.
                return hashlib.md5(read_bytes(path) or b"").hexdigest() == words[1]  # noqa: S324
        return False
    if shutil.which("rpm"):
        status, dummy = run(["rpm", "-Vf", "--nodeps", path])
        return status == 0
    return False


def main():
    """Entry point."""
    module = Module(
        argument_spec={
            "path": {"type": "path", "required": True},
            "role": {"type": "str"},
            "user": {"type": "str", "required": True},
            "group": {"type": "str", "required": True},
            "files": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "path": {"type": "str", "required": True},
                    "content": {"type": "str"},
                    "data": {"type": "raw"},
                    "src": {"type": "path"},
                    "secret": {"type": "bool", "default": False, "no_log": False},
                    "mode": {"type": "str", "default": "0640"},
                    "kept": {"type": "dict"},
                },
            },
            "directories": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "owner": {"type": "str", "default": "root"},
                    "group": {"type": "str", "default": "root"},
                    "mode": {"type": "str", "default": "0750"},
                },
            },
            "validate": {"type": "list", "elements": "list", "default": []},
            "image": {"type": "str"},
            "docker_host": {"type": "str", "default": DEFAULT_HOST},
            "readable": {"type": "list", "elements": "path", "default": []},
            "refuse": {"type": "list", "elements": "str", "default": []},
            "take_over": {"type": "bool", "default": False},
            "superseded": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "str", "required": True},
                    "pattern": {"type": "str", "required": True},
                    "secret": {"type": "bool", "default": False, "no_log": False},
                },
            },
            "pristine": {"type": "bool", "default": False},
            "secrets": {"type": "list", "elements": "str", "no_log": True},
            "look": {"type": "bool", "default": True},
            "payload": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    if os.geteuid() != 0:
        module.fail_json(msg="root is needed to deploy a service; run the play with become: true")
    tree = Tree(module)
    try:
        with contextlib.nullcontext() if module.check_mode else one_run_at_a_time(tree.path):
            tree.run()
    except HostError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
