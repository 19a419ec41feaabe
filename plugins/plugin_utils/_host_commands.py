# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares a host with the inventory by one shell command instead of a module.

A module brings its Python code along and imports Ansible's on the host, which takes several times as long as all that it
then does on a converged host. What is compared is what the module would compare; whatever differs, or cannot be read, is
left to the module.

There is a file for each thing that is compared, ``_compare_*.py``: Ansible compiles what a task imports anew for each task.
"""

from __future__ import annotations

import shlex

MARK = "--- vigil ---"
# What looks like a file and is a FIFO must not hold anybody up.
SUMS = "timeout 60 sha256sum"
# A command is one argument of the shell, which Linux limits to 128 KiB.
LONGEST = 100_000


def takes_input(action):
    """Whether a command on the host of an action plugin can be given something to read, as modules are in Ansible's pipelining.

    A program that is read that way stands in no command line, and so neither in the host's list of processes nor in the log
    of its sudo.
    """
    return bool(action._is_pipelining_enabled("new"))


def answer(action, command, given=None):
    """What a command prints on the host of an action plugin, or None where it is too long or fails.

    :param given: text for it to read, where :func:`takes_input` says so.
    """
    if len(command) > LONGEST:
        return None
    options = {"in_data": given.encode("utf-8")} if given else {}
    result = action._low_level_execute_command(command, **options)
    return result["stdout"] if result["rc"] == 0 else None


def python_of(variables):
    """Python on the host: the one that the inventory names, else the first one there."""
    named = str((variables or {}).get("ansible_python_interpreter") or "")
    return named if named.startswith("/") else "python3"


def script(*commands):
    """One command out of several, with a mark before the output of each; what they complain about is left out."""
    steps = ["echo '{0}'; {1}".format(MARK, command) for command in commands]
    return "{{ LC_ALL=C; export LC_ALL; {0}; echo '{1}'; }} 2>/dev/null".format("; ".join(steps), MARK)


def sections(output):
    """The output of each command of :func:`script`, without the ends of line around it."""
    return [section.strip("\r\n") for section in output.split(MARK)[1:-1]]


PART = "=== vigil ==="


def combined(commands):
    """One command out of several that each print :func:`script`'s sections; one that fails prints nothing."""
    return "; ".join("{{ {0}; }}; echo; echo '{1}'".format(command, PART) for command in commands) + "; true"


def parts(output, number):
    """The output of each command of :func:`combined`; None where it is not complete."""
    found = output.split("\n" + PART)
    return found[:number] if len(found) == number + 1 else None


def inside(state, command):
    """A command that is run in a directory of root's own, and fails where it is not: somebody else may have put it there."""
    place = shlex.quote(state)
    return 'cd {0} 2>/dev/null && test -O . && test "$(stat -c %a .)" = 700 && {1}'.format(place, command)


def of(tool, paths):
    return "{0} -- {1}".format(tool, " ".join(map(shlex.quote, paths))) if paths else ":"
