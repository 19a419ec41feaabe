# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sanitize untrusted text before it is shown: no terminal control sequences, no change of direction, limited length.

Examples are a target's status line, a label's value, a log line, or the output of a validator.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 300
# Complete terminal control sequences: colours and cursor movements (CSI), titles and links (OSC), and others.
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]"
)


def sanitize(text, longest=LONGEST):
    """A text in one line, without control characters or characters that change the text direction, and truncated.

    :param text: anything that can be converted to a text; invalid bytes are replaced.
    :param longest: maximum number of characters.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return _cut(_harmless(" ".join(_ESCAPE.sub("", str(text)).split())), longest)


def sanitize_lines(text, longest=10 * LONGEST):
    """A text of several lines, each of them sanitized, with spaces unchanged."""
    # Only line feeds end a line: Python's splitlines also splits at form feeds.
    lines = _ESCAPE.sub("", str(text)).replace("\r\n", "\n").replace("\t", "    ").split("\n")
    return "\n".join(_cut(_harmless(line), longest) for line in lines)


def _harmless(line):
    if line.isprintable():
        return line
    # Control and format characters (including direction changes), surrogates, private and unassigned ones; other line ends.
    return "".join(
        "\ufffd"
        if unicodedata.category(character)[0] == "C" or unicodedata.category(character) in ("Zl", "Zp")
        else character
        for character in line
    )


def _cut(text, longest):
    return text if len(text) <= longest else text[: longest - 1] + "…"
