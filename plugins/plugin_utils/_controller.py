# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What action plugins do on the controller itself: show text to people, write files, and wait for each other."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator

from ansible import constants as C
from ansible.utils.display import Display

# Their output is for programs: text beside it would spoil it. They have the text in the result.
MACHINE_CALLBACKS = ("json", "jsonl", "ansible.posix.json", "ansible.posix.jsonl")


def show(text: str) -> bool:
    """Print text, unless the output of this run is for programs; whether it was printed."""
    shown = C.DEFAULT_STDOUT_CALLBACK not in MACHINE_CALLBACKS
    if shown:
        Display().display(text)
    return shown


def write_file(path: str, text: str, mode: int) -> None:
    """Write a file in one step: nobody sees a part of it, and a failure leaves what was there.

    :raises OSError: when it cannot be written.
    """
    folder, name = os.path.split(path)
    handle, part = tempfile.mkstemp(dir=folder, prefix="." + name)
    try:
        with open(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(part, mode)
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    """Keep out other processes of this controller that lock the same file, in a with block; it begins when they have ended theirs.

    The file is never deleted: whoever waits for one must wait for the same file. A lock ends with its process.

    :raises OSError: when the file cannot be written.
    """
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "w", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
