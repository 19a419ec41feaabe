# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the configuration files on a host with the inventory."""

from __future__ import annotations

import hashlib
import json
import posixpath
import shlex

from ansible_collections.vigil.monitoring.plugins.module_utils._tree import inner_directories, validators_of
from ansible_collections.vigil.monitoring.plugins.plugin_utils._host_commands import SUMS, inside, of, script, sections

# More files than these are not named in the command, which would get too long: whatever lies in the tree is listed instead.
MANY = 200
# As `stat -c %F` calls what `find -printf %y` shows.
KINDS = {"f": "regular file", "d": "directory"}


class Tree:
    """A configuration tree that is complete, verified, and ours.

    :param path: the configuration directory.
    :param files: list of dicts with ``path``, ``content``, ``mode`` (int) and ``secret``.
    :param directories: list of dicts with ``path``, ``owner``, ``group`` and ``mode`` (octal text).
    :param validators: the programs that check the tree.
    :param image: id of the image that they belong to, or None for the host's own.
    :param absent: paths inside the tree at which nothing has to stand, unless they are among the files.
    """

    def __init__(self, path, user, group, files, directories, validators, image=None, absent=()):
        self.path = path.rstrip("/")
        self.image = image
        self.user = user
        self.files = files
        self.validators = validators
        self.absent = sorted(set(absent) - {entry["path"] for entry in files})
        inner = [
            posixpath.join(self.path, found).rstrip("/") for found in inner_directories([f["path"] for f in files])
        ]
        self.listed = len(files) > MANY
        # Every file that has to be there: relative path -> kind, mode, owner, group; and whatever is named in the command, by its path.
        self.kinds = {entry["path"]: ("regular file", entry["mode"], "root", group) for entry in files}
        self.wanted = {}
        if not self.listed:
            self.wanted = {posixpath.join(self.path, path): found for path, found in self.kinds.items()}
        self.wanted.update((found, ("directory", 0o750, "root", group)) for found in inner)
        for entry in directories:
            mode = int(str(entry.get("mode", "0750")), 8)
            owner = (entry.get("owner", "root"), entry.get("group", "root"))
            self.wanted[entry["path"].rstrip("/")] = ("directory", mode, *owner)

    def command(self):
        """What to run on the host."""
        return inside(
            posixpath.join(self.path, ".vigil"),
            script(
                "ls -A",
                "cat manifest.json",
                "cat proven.json",
                of("id -u", [self.user]),
                self._sums(),
                self._list() if self.listed else ":",
                of("stat -c '%F|%a|%U|%G'", self.wanted),
                of("readlink -f", () if self.image else self.validators),
                of("ls -d", [posixpath.join(self.path, path) for path in self.absent]),
            ),
        )

    def _sums(self):
        if self.listed:
            return self._find("-type f -exec {0} {{}} +".format(SUMS))
        return of(SUMS, [posixpath.join(self.path, entry["path"]) for entry in self.files])

    def _list(self):
        return self._find("-printf '%y|%m|%u|%g|%P\\n'")

    def _find(self, action):
        """What does something with all that lies in the tree, but for our own state."""
        return "find {0} -path {1} -prune -o {2}".format(
            shlex.quote(self.path), shlex.quote(posixpath.join(self.path, ".vigil")), action
        )

    def matches(self, output):
        """Whether the output says that there is nothing to do."""
        try:
            names, manifest, verified, uid, sums, entries, lines, identity, present = sections(output)
            manifest, verified = json.loads(manifest), json.loads(verified)
            found = [
                (kind, int(mode, 8), *owner) for kind, mode, *owner in (line.split("|") for line in lines.splitlines())
            ]
            kinds = dict(_of_entry(line) for line in entries.splitlines()) if self.listed else self.kinds
        except ValueError:
            return False
        recorded = manifest.get("files") or {}
        digests = {entry["path"]: _digest(entry, recorded) for entry in self.files}
        there = {path: digest for digest, dummy, path in (line.partition("  ") for line in sums.splitlines())}
        return (
            uid.isdigit()
            # Neither in the middle of a switch nor with one that was not verified.
            and not {"undo", "staged"} & set(names.splitlines())
            and not present
            and manifest.get("generation") == verified.get("generation")
            and manifest.get("files") == digests
            and manifest.get("secret") == sorted(entry["path"] for entry in self.files if entry["secret"])
            and manifest.get("validators") == (validators_of(self.image, self.validators) or identity.splitlines())
            and all(there.get(posixpath.join(self.path, path)) == digest for path, digest in digests.items())
            and all(kinds.get(path) == kind for path, kind in self.kinds.items())
            and [(kind.replace("regular empty file", "regular file"), *rest) for kind, *rest in found]
            == list(self.wanted.values())
        )


def _of_entry(line):
    """Path, and kind, mode, owner and group, of one line that ``find`` has printed."""
    kind, mode, owner, group, path = line.split("|", 4)
    return path, (KINDS.get(kind, kind), int(mode, 8), owner, group)


def _digest(entry, recorded):
    """The digest that a file has to have: of what was made up on the host, the one that was recorded."""
    if entry.get("kept") and not entry["content"].strip():
        return recorded.get(entry["path"])
    return hashlib.sha256(entry["content"].encode("utf-8")).hexdigest()
