# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others have written, before it is shown: it must not steer a terminal, turn the writing around, or fill the screen.

A target's status line, a label's value, a line of a log, the words of a validator: whoever writes them may not be trusted to
leave the text beside them alone.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 300
# Sequences that steer a terminal, as a whole: colours and movements (CSI), titles and links (OSC), and the rest of them.
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]"
)


def clean(text, longest=LONGEST):
    """A text in one line, without characters that steer a terminal or turn the direction of writing, and not too long.

    :param text: anything that can be a text; bytes that are none are shown as such.
    :param longest: how many characters are left of it.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return _cut(_harmless(" ".join(_ESCAPE.sub("", str(text)).split())), longest)


def clean_lines(text, longest=10 * LONGEST):
    """A text of several lines, each of them cleaned, with the spaces that there are."""
    # A line ends where it does for everybody: to Python, a form feed ends one, too.
    lines = _ESCAPE.sub("", str(text)).replace("\r\n", "\n").replace("\t", "    ").split("\n")
    return "\n".join(_cut(_harmless(line), longest) for line in lines)


def _harmless(line):
    if line.isprintable():
        return line
    # Controls, formats (also those that turn the direction), surrogates, private and unassigned ones; other line ends.
    return "".join(
        "\ufffd"
        if unicodedata.category(character)[0] == "C" or unicodedata.category(character) in ("Zl", "Zp")
        else character
        for character in line
    )


def _cut(text, longest):
    return text if len(text) <= longest else text[: longest - 1] + "…"
