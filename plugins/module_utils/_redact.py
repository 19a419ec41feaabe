# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text without its secrets: known ones in any form (see :mod:`_scrub`), and those of an earlier generation, which nobody
remembers, where the key next to the value gives them away."""

from __future__ import annotations

import bisect
import re

from ansible_collections.vigil.monitoring.plugins.module_utils._scrub import MASK, Scrubber
from ansible_collections.vigil.monitoring.plugins.module_utils._secret_keys import (
    ANYWHERE,
    MAPS,
    PUBLIC,
    PUBLIC_WITHIN,
    WITHIN,
)

# The secrets that this process was told; a module is a process of its own.
_known = Scrubber(())

# A key whose value is a secret in the configuration of Grafana, of an exporter or of something that others keep. Those of
# Prometheus and Alertmanager are known from their types. A path is no secret: keys that end in `_file` stay readable.
_SECRET_KEY = re.compile(
    r"(?i)(pass(word|wd|phrase)?s?|pwd|secrets?|tokens?|token_id|credentials?|authorization|bearer|cookie|dsn"
    r"|(api|routing|service|user|private|access|secret|account|shared|encryption|auth|app|consumer)[_-]?key"
    r"|certificate_key|webhook_url|api_url|sas_url|auth_identity|data_source_name|connection_string)$"
)
# Every address of these is one, by what they are for, though some have another key for it.
URL_SECTIONS = ("webhook_configs", "msteams_configs", "msteamsv2_configs", "discord_configs", "mattermost_configs")
# Whatever stands below these is one, with any key: Grafana's data sources and contact points.
SECRET_MAPS = (*MAPS, "secureJsonData", "secure_json_data", "secureSettings", "secure_settings")
_KEY = r"(?P<key>[\w.-]+)"
# A key that opens a block, whatever it holds; an explicit one (`? key`) has its colon on a later line.
_PARENT = re.compile(
    r"""^(?P<margin>\s*(?:[-:]\s+)*)(?:(?P<quote>["'])(?P<quoted>[^"':]+)(?P=quote)\s*:"""
    r"""|(?P<plain>[\w./*-]+)\s*:(?=\s|$)|\?\s+["']?(?P<explicit>[^\s"':]+)["']?\s*$)"""
)
# A key and its value on a line of their own, in YAML or in JSON.
_LINE = re.compile(
    r"""^(?P<head>(?P<margin>\s*(?:[-:]\s+)*)(?:["']?(?P<plain>[\w./*-]+)["']?|"(?P<quoted>[^"\\]+)"|'(?P<single>[^']+)')\s*:)"""
    r"""(?P<value>\s+\S.*|\s*["'[{].*|\s*)$"""
)
# A line of an INI file.
_INI = re.compile(r"^(?P<head>\s*" + _KEY + r"\s*=\s*)(?!=)\S.*$")
# A key inside a flow mapping, `{password: x}` or `{"password": "x"}`, also when that stands in a quoted string itself.
# A further line of a flow mapping may begin with one.
_FLOW = re.compile(
    r"""(?P<head>(?:(?<=\n)[ \t]*|[{\[,]\s*)(?:\?\s+)?"""
    r"""(?:\\?["'](?P<quoted>[^"'\\\n]+)\\?["']|\\?["']?(?P<key>[^\s"'{}\[\],:\\]+)\\?["']?)\s*:(?:\s+|(?=[\\"'[{]|$)))"""
)
_COMMENT = r"(?<![^\s])#[^\n]*"
_QUOTED = re.compile(r"""\\".*?\\"|"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'""", re.DOTALL)
# A bracket; or a string or a comment, in which none counts. A quote inside a word, as in "it's", begins no string.
_BRACKET = re.compile(
    r"""(?<![^\s\[{(,:=])(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')|""" + _COMMENT + r"""|[{}\[\]]""", re.DOTALL
)
# A string or a comment in a value, in which no sign ends it.
_WHOLE = re.compile(r"""\\".*?\\"|(?<![^\s\[{(,:=])(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')|""" + _COMMENT, re.DOTALL)
# What a value may have before itself: a tag or an anchor.
_VALUE = re.compile(r"\s*(?:[&!]\S*(?:\s+|$))*")
_ITEM = re.compile(r"\s*(?:[-?:](?:\s+|$))*")
# The value of a key is a text of several lines, in which every sign means itself.
_BLOCK_SCALAR = re.compile(r"(?:^|[\s:-])[|>][-+\d]*\s*(?:\s#.*)?$")
# What a document may have before its first line, and how the patterns call a key.
_BEFORE_DOCUMENT = ("#", "%", "---")
_KINDS = ("key", "plain", "explicit", "quoted", "single")
# So many brackets without an end are looked for one; a text with more is no configuration.
_UNCLOSED = 50
# `KEY=value` in an environment, the arguments of a command, a query or a log line; quoted as a whole, by value, or not.
_ASSIGNMENTS = (
    re.compile(r'(?P<head>"' + _KEY + r'=)(?!=)[^"]*(?=")'),
    re.compile(r"(?P<head>'" + _KEY + r"=)(?!=)[^']*(?=')"),
    # A shell's word may consist of several strings.
    re.compile(r"(?P<head>(?<![\w.-])" + _KEY + r"""=)(?!=|\*{8})("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\.|\S)+"""),
)
# https://user:password@host; a token may be the whole of it.
_USERINFO = re.compile(r"(?P<head>[a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s\"']*@")
# An HTTP header quoted in a message: a colon or the like stands behind its name, as in no sentence; or it goes on with
# what is no word.
_HEADER = re.compile(
    r"""(?i)(?P<head>\bauthorization\\*["']?\s*[:=]\s*\\*["'\[]*(?:(?:basic|bearer|digest|token|apikey)\s+)?)[^\s"'\]\\]+"""
)
_SCHEME = re.compile(r"""(?P<head>\b(?i:basic|bearer)\s+)(?=[^\s"']*\d)[\w+/=.~-]{8,}""")
# A bcrypt hash is what basic_auth_users holds.
_BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
_PEM = re.compile(r"-----(?P<end>BEGIN|END) [A-Z0-9 ]*PRIVATE KEY-----")


def know(secrets, shown=""):
    """Mask these secrets, and no others that were known before, in all text from here on.

    :param shown: what is printed in any case; see :class:`_scrub.Scrubber`.
    """
    global _known  # noqa: PLW0603 - one process, one module
    _known = Scrubber(secrets, shown)


def scrub(text):
    """A text without known secrets."""
    return _known.text(text)


def scrub_data(data):
    """A structure without known secrets."""
    return _known.data(data)


def is_secret_key(key, above=None):
    """Whether values under this key are secrets: ``password`` is, ``password_file`` and ``slack_channel`` are not.

    :param above: the key above it, where that is known: ``url`` is one below ``webhook_configs``.
    """
    key = str(key)
    if above in SECRET_MAPS or above in WITHIN.get(key, ()) or (key == "url" and above in URL_SECTIONS):
        return True
    if key in PUBLIC or above in PUBLIC_WITHIN.get(key, ()):
        return False
    return key in ANYWHERE or bool(_SECRET_KEY.search(key))


def redact_text(text):
    """Text in YAML or a like shape, with the values of secret keys, credentials in URLs and bcrypt hashes masked.

    Nested values and block scalars under a secret key are masked as well, line by line.
    """
    text = scrub(text)
    lines = text.splitlines()
    pieces, in_key = _Pieces(lines), _private_keys(lines)
    result, number = [], 0
    # The column of the secret key whose value may go on in the next line.
    column = None
    above = _Above()
    while number < len(lines):
        line, first = lines[number], number
        indent, match, in_text = _indent(line), _PARENT.match(line), number <= pieces.text_end
        number = pieces.flow(first, match) + 1
        if column is not None:
            # A list under a key may stand at the key's own column, as does the value of an explicit key.
            if not line.strip() or indent > column or (indent == column and line.split()[0] in ("-", ":")):
                number = max(number, pieces.quoted(first, match) + 1)
                result += _masked(lines[first:number])
                continue
            column = None
        if in_key[first]:
            number = first + 1
            result.append(" " * indent + MASK)
            continue
        # What a text in quotes has in it stands below none of these keys.
        inside = None if in_text else above.of(line, match)
        if inside in SECRET_MAPS and not match and indent > above.column:
            # A name with signs in it, or a value in the next line.
            result += _masked(lines[first:number])
            continue
        found = _LINE.match(line)
        if found and _has_secret(_name(found), inside, found.group("value")):
            column = len(found.group("margin"))
            number = max(number, pieces.quoted(first, match) + 1)
            result.append(found.group("head") + (" " + MASK if found.group("value").strip() else ""))
            result += _masked(lines[first + 1 : number])
            continue
        if match and match.group("explicit") and is_secret_key(_name(match), inside):
            column = len(match.group("margin"))
        shown = _redact_flow("\n".join(lines[first:number]), match, inside).split("\n")
        result += [
            " " * _indent(part) + MASK if hide else _redact_inline(part) for part, hide in zip(shown, in_key[first:])
        ]
    return "\n".join(result) + ("\n" if text.endswith("\n") else "")


class _Above:
    """The keys that a line stands below.

    :ivar column: that of the innermost one.
    """

    def __init__(self):
        self._keys, self.column = [], -1

    def of(self, line, match):
        """The innermost key above a line, or None; and go on below the key of the line.

        :param match: the match of ``_PARENT`` in the line, or None.
        """
        if not line.strip():
            return None
        # An item of a list may stand at the column of the list's key.
        place = len(match.group("margin")) if match else _indent(line) + 1
        while self._keys and (
            self._keys[-1][0] >= place or self._keys[-1][0] > _indent(line) or line.startswith("---")
        ):
            self._keys.pop()
        self.column, inside = self._keys[-1] if self._keys else (-1, None)
        if match:
            self._keys.append((place, _name(match)))
        return inside


def _indent(line):
    return len(line) - len(line.lstrip())


def _masked(lines):
    """Lines of a secret value; empty ones stay."""
    return [" " * _indent(line) + MASK if line.strip() else line for line in lines]


def _private_keys(lines):
    """For each line whether it belongs to a private key."""
    found, inside = [], False
    for line in lines:
        pem = _PEM.search(line)
        found.append(bool(pem or inside))
        if pem:
            # Both ends on one line: the key stands between them.
            inside = pem.group("end") == "BEGIN" and "-----END" not in line[pem.end() :]
    return found


class _Pieces:
    """How far what a line opens goes on: the further lines of a flow mapping or of a quoted text may stand at any column."""

    def __init__(self, lines):
        self.lines, self.text = lines, "\n".join(lines)
        self.offsets, position = [], 0
        for line in lines:
            self.offsets.append(position)
            position += len(line) + 1
        # The line behind the block scalar that the current line belongs to, and the first line of a document.
        self.limit = 0
        self.first = next(
            (n for n, line in enumerate(lines) if line.strip() and not line.startswith(_BEFORE_DOCUMENT)), 0
        )
        # How far a text goes on: to a line, or to one that is not indented deeper than a column.
        self.text_end, self.text_column = -1, None
        self.unclosed = 0

    def flow(self, number, key):
        """The number of the last line of the flow mapping or list that a line opens; its own where that ends on it.

        :param key: the match of ``_PARENT`` in the line, or None.
        """
        line = self.lines[number]
        column = len(key.group("margin")) if key else _indent(line)
        if number >= self.limit:
            self.limit = self._dedent(number, column) if _BLOCK_SCALAR.search(line) else 0
        # What a text goes on with is no mapping.
        if number <= self.text_end or (
            line.strip() and self.text_column is not None and _indent(line) > self.text_column
        ):
            return number
        self.text_column = self.text_column if not line.strip() else None
        value = line[self._value(number, key) :]
        if value[:1] not in ("[", "{"):
            self.text_end = self.quoted(number, key)
            if value and self.text_end == number and value[0] != "#" and not self.limit:
                self.text_column = column
            return number
        close, limit = self._close(number), self.limit or len(self.lines)
        if close is not None:
            return close
        # It has no end. Nothing else can follow in a document that begins with it; else what is indented deeper belongs to it.
        return limit - 1 if number == self.first and not key else self._dedent(number, _indent(line), "]}") - 1

    def quoted(self, number, key):
        """The number of the last line of the quoted text that is the value of a line's key; its own where there is none."""
        found = _QUOTED.match(self.text, self.offsets[number] + self._value(number, key))
        return self._line(found.end()) if found else number

    def _value(self, number, key):
        """Where in a line the value begins, behind its key, tag and anchor."""
        line = self.lines[number]
        return _VALUE.match(line, key.end() if key else _ITEM.match(line).end()).end()

    def _line(self, position):
        """The number of the line in which what ends at a position of the text has its last sign."""
        return bisect.bisect_left(self.offsets, position) - 1

    def _dedent(self, number, column, but=""):
        """The number of the next line that stands at a column or before it, and begins with none of these signs."""
        for after in range(number + 1, len(self.lines)):
            line = self.lines[after]
            if line.strip() and _indent(line) <= column and line.strip()[0] not in but:
                return after
        return len(self.lines)

    def _close(self, number):
        """The number of the line in which every bracket is closed that a line leaves open, its own for none, or None."""
        stack, behind = [], self.offsets[number] + len(self.lines[number])
        stop = self.offsets[self.limit] if 0 < self.limit < len(self.lines) else len(self.text)
        for found in _BRACKET.finditer(self.text, self.offsets[number], stop if self.unclosed < _UNCLOSED else behind):
            if not stack and found.start() >= behind:
                break
            sign = found.group()
            if sign in "{[":
                stack.append("}" if sign == "{" else "]")
            elif sign in "}]" and stack:
                if stack.pop() != sign:
                    stack.append(sign)
                    break
                if not stack and found.end() > behind:
                    return self._line(found.end())
        self.unclosed += bool(stack)
        return None if stack else number


def _name(match):
    """The key that a pattern has found, whichever way it is written."""
    return next(name for kind, name in match.groupdict().items() if kind in _KINDS and name)


def _has_secret(key, above, value):
    """Whether what stands behind a key is a secret; in a configuration, ``authorization`` has keys of its own."""
    return is_secret_key(key, above) and not (key == "authorization" and value.strip()[:1] in ("", "{"))


def _redact_flow(text, key, above):
    """Mask the values of secret keys in flow mappings.

    :param text: a line, or several that belong together.
    :param key: the match of ``_PARENT`` in it, or None.
    :param above: the key that it stands below.
    :returns: the text, with as many lines.
    """
    # For each bracket that is open, the key that it belongs to; and the key before this place.
    nesting, last = [], _name(key) if key else above
    parts, shown = [], 0
    position = key.end() if key else 0
    seen = position
    while True:
        match = _FLOW.search(text, position)
        if not match:
            return "".join(parts) + text[shown:]
        last = _nest(text[seen : match.start("quoted" if match.group("quoted") else "key")], nesting, last)
        position, name = match.end(), _name(match)
        # The character that ends this key's value may begin the next pair.
        seen, last = position, name
        if _has_secret(name, nesting[-1] if nesting else above, text[position : position + 1] or "x"):
            end = _value_end(text, position)
            further = text[position:end].split("\n")[1:]
            parts += [text[shown:position], "\n".join([MASK, *_masked(further)])]
            position = seen = shown = end
            last = None


def _nest(text, nesting, last):
    """Follow the brackets of a text between two keys.

    :param nesting: for each bracket that is open, the key that it belongs to; changed.
    :param last: the key before the text.
    :returns: the key that a value here would belong to.
    """
    for found in _BRACKET.finditer(text):
        sign = found.group()
        if sign in "{[":
            # A list's items belong to the key of the list.
            nesting.append(last if last is not None or not nesting else nesting[-1])
            last = None
        elif sign in "}]":
            if nesting:
                nesting.pop()
            last = None
    return last


def _value_end(text, start):
    """Where a value of a flow mapping ends."""
    depth, position = 0, start
    while position < len(text):
        character = text[position]
        whole = _WHOLE.match(text, position)
        if whole:
            position = whole.end()
            continue
        if character in "\"'" and not text[start:position].strip(" \t\n[{,:"):
            # No end of it: all that is left may belong to it.
            return len(text)
        if character in "[{":
            depth += 1
        elif character in "]},":
            if not depth:
                return position
            depth -= character != ","
        position += 1
    return position


def _redact_inline(line):
    """Mask what gives itself away wherever it stands in a line."""
    for pattern in (_INI, *_ASSIGNMENTS):
        match = pattern.search(line)
        while match:
            position = match.end("head")
            if is_secret_key(match.group("key")):
                line = line[:position] + MASK + line[match.end() :]
                position += len(MASK)
            # Else the value may hold further pairs, as that of `Environment=` does.
            match = pattern.search(line, position)
    line = _USERINFO.sub(lambda found: found.group("head") + MASK + "@", line)
    for pattern in (_HEADER, _SCHEME):
        line = pattern.sub(lambda found: found.group("head") + MASK, line)
    return _BCRYPT.sub(MASK, line)
