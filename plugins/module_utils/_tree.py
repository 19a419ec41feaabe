# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration tree as data: its way through the wire, its diff, and what the validator says about it."""

from __future__ import annotations

import base64
import json
import posixpath
import re
import zlib
from typing import NamedTuple, Optional

from ansible_collections.vigil.monitoring.plugins.module_utils._redact import redact_text


def pack(files):
    """The files as one opaque word.

    One word that Ansible can mask as a whole (``no_log``) in its log and its output: masked one by one, a file that
    holds just ``on`` would make every "on" of the output unreadable.

    :param files: list of dicts with ``path``, ``content`` (str), ``mode`` (int) and ``secret`` (bool).
    """
    return base64.b64encode(zlib.compress(json.dumps(files).encode("utf-8"), 6)).decode("ascii")


def unpack(payload):
    """The inverse of :func:`pack`."""
    return json.loads(zlib.decompress(base64.b64decode(payload)))


def check_path(path):
    """Refuse a path that leaves the tree or enters our own state.

    :raises ValueError: with the reason.
    """
    normal = posixpath.normpath(path)
    if not path or normal != path or posixpath.isabs(path) or normal.split("/")[0] in ("..", ".", ".vigil"):
        raise ValueError("{0!r} is no path inside the configuration directory".format(path))


def inner_directories(paths):
    """The directories that files of a tree lie in, relative to it and sorted; the tree itself is the empty one.

    :param paths: relative paths of the files.
    """
    found = {""}
    for path in paths:
        parts = posixpath.dirname(path).split("/")
        found.update("/".join(parts[: count + 1]) for count in range(len(parts)))
    return sorted(found)


def relocate(content, config_dir, elsewhere):
    """A file's content as it has to read when the tree stands elsewhere: absolute paths into the tree follow it.

    :param content: text.
    :param config_dir: absolute path of the tree, without a slash at its end; likewise ``elsewhere``.
    """
    return content.replace(config_dir + "/", elsewhere + "/")


def diff_entry(path, before, after, secret):
    """One entry of Ansible's diff, without secrets.

    :param path: absolute path of the file.
    :param before: text that is there, or None.
    :param after: text that is wanted, or None.
    :param secret: whether the whole file is a secret.
    """
    hidden, differs = "(the content of this file is secret)\n", "(what differs is masked)\n"
    headers = {
        "before_header": path + (" (not there)" if before is None else ""),
        "after_header": path + (" (removed)" if after is None else ""),
    }
    if secret:
        shown, differs = ["" if before is None else hidden, "" if after is None else hidden], "(it changes)\n"
    else:
        shown = [redact_text(before or ""), redact_text(after or "")]
    if shown[0] == shown[1] and before is not None and after is not None and before != after:
        ends = not secret and before.splitlines() == after.splitlines()
        shown[1] += "(only line endings differ)\n" if ends else differs
    return dict(headers, before=shown[0], after=shown[1])


def reference_problem(path, problem, user):
    """The sentence about a file that the configuration names and the service cannot use.

    :param problem: ``missing``, ``empty`` or ``unreadable``.
    """
    words = {
        "missing": "does not exist",
        "empty": "is empty",
        "unreadable": "cannot be read by the user {0}".format(user),
    }
    return "{0}, which the configuration names, {1}".format(path, words[problem])


class Kept(NamedTuple):
    """What becomes of a file that stays as long as there are data which can be read with it alone.

    :ivar content: its text; None where it is to be made up.
    :ivar problem: why nothing may be done, a sentence, or None.
    :ivar doubt: what a person should know, a sentence, or None.
    """

    content: Optional[str]
    problem: Optional[str] = None
    doubt: Optional[str] = None


def kept_content(wanted, live, has_data, elsewhere, kept):
    """The content of a file that data depend on, such as the key with which they are encrypted.

    :param wanted: the content that is given; empty where it is to be made up.
    :param live: the content that is on the host, or None.
    :param has_data: whether the data are there.
    :param elsewhere: text of the file in which the content stood before it had a file of its own, empty for none.
    :param kept: dict with ``before``, what counts where nothing is said anywhere, ``pattern`` for what is said in
        ``elsewhere``, ``reference`` that says it stands in a file, ``what`` it is, the ``variable`` that gives it, what to
        do about one that ``everybody`` knows and about ``another`` one, and whether to ``renew`` it all the same.
    :returns: a :class:`Kept`.
    """
    wanted = wanted.strip()
    known = None
    if live is not None:
        known = live.strip()
    elif has_data:
        found = re.search(kept["pattern"], elsewhere)
        known = found.group(1).strip("\"'`") if found else kept["before"]
        if kept["reference"] in known:
            known = None
    if known is None and has_data and not wanted:
        return Kept(None, "{0} is not known any more: give it as {1}".format(kept["what"], kept["variable"]))
    if known and wanted and has_data and known != wanted and not kept["renew"]:
        return Kept(
            wanted,
            "{0} is another {1} than the one in use. {2}".format(kept["variable"], kept["what"], kept["another"]),
        )
    content = wanted or known
    doubt = None
    if content == kept["before"]:
        doubt = "{0} is the one that everybody knows. {1}".format(kept["what"], kept["everybody"])
    return Kept(content, None, doubt)


def validators_of(image, programs):
    """What stands for an image's validators in the manifest: one word each, another one for another image.

    :param image: id of the image; without one the host's own programs are meant, and nothing is returned.
    :param programs: their paths.
    """
    return ["{0}:{1}".format(image, program) for program in programs] if image else []
