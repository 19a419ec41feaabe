# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of a host's file systems before anything is written: whether a directory is writable and has enough free space.

They run before writing, and in check mode instead of it.
"""

from __future__ import annotations

import os

LEAST_SPACE = 1 << 20  # bytes that must be free wherever something is written


def nearest(path):
    """The longest part of a path that exists, of any type."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def place_problem(directory):
    """Why nothing can be written to a directory, existing or to be created: a sentence, or None."""
    found = nearest(directory)
    if not os.path.isdir(found):
        return "{0} must be a directory, but is something else; move it away".format(found)
    status = os.statvfs(found)
    if status.f_flag & os.ST_RDONLY:
        return "{0} is on a file system that is mounted read-only".format(found)
    if not os.access(found, os.W_OK | os.X_OK):
        return "{0} is not writable for this user ({1})".format(found, os.geteuid())
    if status.f_files and not status.f_ffree:
        return "no inodes are left on the file system of {0}: remove some files".format(found)
    return None


def execution_problem(directory):
    """Why programs in a directory, existing or to be created, cannot be executed: a sentence, or None."""
    found = nearest(directory)
    if os.statvfs(found).f_flag & os.ST_NOEXEC:
        return "{0} is on a file system that is mounted noexec, so programs in it cannot be executed".format(found)
    return None


def free_bytes(directory):
    """Free bytes for a directory, existing or to be created; None if its file system does not report them."""
    status = os.statvfs(nearest(directory))
    return status.f_bavail * status.f_frsize if status.f_blocks else None


def is_short(directory, needed=LEAST_SPACE):
    """Whether a directory is known to have less free space than this."""
    free = free_bytes(directory)
    return free is not None and free < needed
