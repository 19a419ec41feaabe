# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's disk tells before anything is written to it: where there is no way, and where there is no room.

A run asks before it writes, a check instead of it.
"""

from __future__ import annotations

import os

LEAST_SPACE = 1 << 20  # bytes that have to be free wherever something is to be written


def nearest(path):
    """The nearest part of a path that is there, whatever it is."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def place_problem(directory):
    """Why nothing can be put into a directory, there or to be made: a sentence, or None."""
    found = nearest(directory)
    if not os.path.isdir(found):
        return "{0} has to be a directory, and something else stands there; move it away".format(found)
    status = os.statvfs(found)
    if status.f_flag & os.ST_RDONLY:
        return "{0} is on a file system that is mounted read-only".format(found)
    if not os.access(found, os.W_OK | os.X_OK):
        return "{0} cannot be written, not even by this user ({1})".format(found, os.geteuid())
    if status.f_files and not status.f_ffree:
        return "no inodes are left on the file system of {0}: remove some files".format(found)
    return None


def execution_problem(directory):
    """Why programs in a directory, there or to be made, cannot be run: a sentence, or None."""
    found = nearest(directory)
    if os.statvfs(found).f_flag & os.ST_NOEXEC:
        return "{0} is on a file system that is mounted noexec, so no program in it can be run".format(found)
    return None


def free_bytes(directory):
    """Bytes that are free for a directory, there or to be made; None where its file system does not count them."""
    status = os.statvfs(nearest(directory))
    return status.f_bavail * status.f_frsize if status.f_blocks else None


def is_short(directory, needed=LEAST_SPACE):
    """Whether so many bytes are known to have no room in a directory."""
    free = free_bytes(directory)
    return free is not None and free < needed
