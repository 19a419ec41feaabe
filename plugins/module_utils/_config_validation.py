# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The validation of a configuration by the service's own validator, in a copy of the whole tree."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import mounts_of
from ansible_collections.vigil.monitoring.plugins.module_utils._engine import Engine
from ansible_collections.vigil.monitoring.plugins.module_utils._host import run
from ansible_collections.vigil.monitoring.plugins.module_utils._redact import redact_text
from ansible_collections.vigil.monitoring.plugins.module_utils._tree import relocate, validators_of


class Validation:
    """That of one configuration.

    :param tree: :class:`_config_files.Tree`.
    """

    def __init__(self, tree):
        self.tree = tree
        self.module = tree.module
        self.path = tree.path

    def run(self, manifest, plan):
        """Have the whole tree checked by the service's own validator."""
        commands = self.module.params["validate"]
        image = self.module.params["image"]
        identity = validators_of(image, [command[0] for command in commands])
        identity = identity or [os.path.realpath(command[0]) for command in commands]
        if not plan.changed and not plan.foreign and manifest.get("validators") == identity:
            return identity, False
        there = [command for command in commands if image or os.path.exists(command[0])]
        self._refuse_programs(command[0] for command in (there if not image else ()))
        if len(there) < len(commands) and not self.module.check_mode:
            absent = sorted({command[0] for command in commands} - {command[0] for command in there})
            self.tree.fail(["the validator {0} is not installed on the host".format(" and ".join(absent))])
        if len(there) < len(commands):
            absent = sorted({os.path.basename(command[0]) for command in commands if command not in there})
            self.module.warn(
                "{0}: check mode cannot tell whether {1} accepts the configuration, as it is not installed yet".format(
                    self.tree.role(), " and ".join(absent)
                )
            )
        if not there:
            return identity, False
        with self._whole_tree(manifest, plan.remove) as whole:
            for command in there:
                status, output = self._check([word.replace("%s", whole) for word in command], whole)
                if status:
                    shown = " ".join(word.replace("%s", self.path) for word in command)
                    self.tree.fail(
                        [
                            "the configuration is not valid, nothing was changed. {0} reports:".format(shown),
                            redact_text(output.replace(whole, self.path)).strip(),
                        ]
                    )
        return identity, True

    def _refuse_programs(self, paths):
        """Fail where root would run a program that somebody else can exchange."""
        weak = {path: _nofollow.weakness(path) for path in paths}
        self.tree.fail_on(
            [
                "{0} is not executed as root: {1}; make it owned by root and writable by root alone".format(path, words)
                for path, words in sorted(weak.items())
                if words
            ]
        )

    def _check(self, command, whole):
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
            self.tree.fail([str(error)])
        name = self.tree.role()
        return Engine(self.module.params["docker_host"]).run_once(name, image, command[1:], mounts, command[0])

    def _whole_tree(self, manifest, gone):
        """A directory, at the same depth, with everything that the configuration will consist of.

        :param gone: what will be removed.
        """
        parent = os.path.dirname(self.path)
        # Where somebody else could exchange it, our own directory is the place, or that for all.
        beside = parent if os.access(parent, os.W_OK) and not _nofollow.weakness(parent) else None
        if beside is None and not self.module.check_mode:
            self.tree.state.create()
            beside = self.tree.state.directory
        whole = tempfile.TemporaryDirectory(prefix=".{0}-check-".format(os.path.basename(self.path)), dir=beside)
        ours = {*self.tree.files, *manifest["files"], *gone}
        with contextlib.suppress(FileNotFoundError), _nofollow.directory(self.path) as tree:
            self._link_foreign(tree, whole.name, "", ours)
        for path, entry in self.tree.files.items():
            target = os.path.join(whole.name, path)
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
                stream.write(relocate(entry["content"], self.path, whole.name))
        return whole

    def _link_foreign(self, folder, target, prefix, ours):
        """Let what others keep in the tree appear in the copy as well: the service will load it together with ours.

        :param folder: :class:`_nofollow.Directory` of the tree, or of one in it.
        """
        for name in folder.names():
            path, status = prefix + name, folder.inspect(name)
            if status is None or path in ours or path == ".vigil":
                continue
            if stat.S_ISDIR(status.st_mode) and any(one.startswith(path + "/") for one in ours):
                os.mkdir(os.path.join(target, name), 0o700)
                with contextlib.closing(folder.enter(name)) as inner:
                    self._link_foreign(inner, os.path.join(target, name), path + "/", ours)
                continue
            if folder.weak and not stat.S_ISDIR(status.st_mode):
                # The validator reads it as root.
                os.close(folder.open_file(name))
            os.symlink(os.path.join(self.path, path), os.path.join(target, name))
