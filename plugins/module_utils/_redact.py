# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text without its secrets: known ones in any form (see :mod:`_scrub`), and those of an earlier generation, which nobody
remembers, where the key next to the value gives them away."""

from __future__ import annotations

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
# A key that opens a block, whatever it holds.
_PARENT = re.compile(
    r"""^(?P<margin>\s*(?:-\s+)*)[{\s]*(?:(?P<quote>["'])(?P<key>[^"':]+)(?P=quote)\s*:|(?P<plain>[\w./*-]+)\s*:(?=\s|$))"""
)
_KEY = r"(?P<key>[\w.-]+)"
# A key and its value on a line of their own, in YAML or in JSON.
_LINE = re.compile(
    r"""^(?P<head>(?P<margin>\s*(?:-\s+)*)["']?""" + _KEY + r"""["']?\s*:)(?P<value>\s+\S.*|\s*["'[{].*|\s*)$"""
)
# A line of an INI file.
_INI = re.compile(r"^(?P<head>\s*" + _KEY + r"\s*=\s*)(?!=)\S.*$")
# A key inside a flow mapping, `{password: x}` or `{"password": "x"}`, also when that stands in a quoted string itself.
_FLOW = re.compile(r"""(?P<head>[{\[,]\s*\\?["']?""" + _KEY + r"""\\?["']?\s*:(?:\s+|(?=[\\"'[{]|$)))""")
# A line that goes on with one may begin with a key.
_FLOW_LINE = re.compile(r"""(?P<head>(?:^|[{\[,])\s*\\?["']?""" + _KEY + r"""\\?["']?\s*:(?:\s+|(?=[\\"'[{]|$)))""")
_QUOTED = re.compile(r"""\\".*?\\"|"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'""")
# A bracket, or a string in which none counts.
_BRACKET = re.compile(r"""[{}\[\]]|"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'""")
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


def redact_text(text):  # noqa: C901
    """Text in YAML or a like shape, with the values of secret keys, credentials in URLs and bcrypt hashes masked.

    Nested values and block scalars under a secret key are masked as well, line by line.
    """
    result = []
    text = scrub(text)
    # The column of the secret key whose value may go on in the next line, and whether a private key began.
    column, in_pem = None, False
    # Where it stands in flow mappings, and whether the value of a secret key goes on there.
    flow, value = _Flow(), None
    # The keys that the current line stands below, each with its column, the innermost last.
    above = []
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        pem = _PEM.search(line)
        if pem or in_pem:
            in_pem = pem.group("end") == "BEGIN" if pem else True
            # Both ends on one line: the key stands between them.
            in_pem = in_pem and "-----END" not in line[pem.end() :] if pem else in_pem
            result.append(" " * indent + MASK)
            continue
        if column is not None:
            # A list under a key may stand at the key's own column.
            if not line.strip():
                result.append(line)
                continue
            if indent > column or (indent == column and line.lstrip().startswith("- ")):
                result.append(" " * indent + MASK)
                continue
            column = None
        if value is not None:
            end, depth, quote = _value_end(line, 0, *value)
            if end is None and (depth or quote or not _PARENT.match(line)):
                value = depth, quote
                result.append(" " * indent + MASK if line.strip() else line)
                continue
            value = None
            if end is not None and line[:end].strip():
                line = " " * indent + MASK + line[end:]
        if flow.nesting and line.strip() and indent <= flow.column and line.strip()[0] not in "]}":
            flow = _Flow()
        match = _PARENT.match(line)
        if match and not flow.nesting:
            place = len(match.group("margin"))
            while above and above[-1][0] >= place:
                above.pop()
        inside = flow.nesting[-1] if flow.nesting else above[-1][1] if above else None
        if match and not flow.nesting:
            above.append((place, _name(match)))
        elif inside in SECRET_MAPS and not flow.nesting and indent > above[-1][0]:
            # A name with signs in it, or a value in the next line.
            result.append(" " * indent + MASK)
            continue
        match = _LINE.match(line) if not flow.nesting else None
        if match and _has_secret(match.group("key"), inside, match.group("value")):
            column = len(match.group("margin"))
            result.append(match.group("head") + (" " + MASK if match.group("value").strip() else ""))
            continue
        was_open = bool(flow.nesting)
        line, value = _redact_flow(line, inside, flow)
        if value is not None and not was_open:
            # What is indented deeper belongs to it, or it has ended.
            column, value = indent, None
        if not was_open:
            flow.column = indent
        result.append(_redact_inline(line))
    return "\n".join(result) + ("\n" if text.endswith("\n") else "")


class _Flow:
    """Where a text stands in flow mappings: the keys of the brackets that are open, and the key before this place."""

    def __init__(self):
        self.nesting, self.last, self.column = [], None, 0

    def follow(self, text):
        """Go on over a text without keys."""
        self.last = _nest(text, self.nesting, self.last)


def _name(match):
    return match.group("key") or match.group("plain")


def _has_secret(key, above, value):
    """Whether what stands behind a key is a secret; in a configuration, ``authorization`` has keys of its own."""
    return is_secret_key(key, above) and not (key == "authorization" and value.strip()[:1] in ("", "{"))


def _redact_flow(line, above, flow):
    """Mask the values of secret keys in flow mappings.

    :param above: the key that the line stands below.
    :param flow: a :class:`_Flow`, taken to the end of the line.
    :returns: the line; and where the last value goes on in the next one, what :func:`_value_end` takes, else None.
    """
    position = seen = 0
    match = _PARENT.match(line)
    if match and not flow.nesting:
        seen, flow.last = match.end() - 1, _name(match)
    pattern = _FLOW_LINE if flow.nesting else _FLOW
    while True:
        match = pattern.search(line, position)
        pattern = _FLOW
        if not match:
            flow.follow(line[seen:])
            return line, None
        flow.follow(line[seen : match.start("key")])
        inside = flow.nesting[-1] if flow.nesting else above
        seen, key = match.end(), match.group("key")
        if not _has_secret(key, inside, line[match.end() :] or "x"):
            # The character that ends this key's value may begin the next pair.
            position, flow.last = match.end(), key
            continue
        end, depth, quote = _value_end(line, match.end())
        line = line[: match.end()] + MASK + (line[end:] if end is not None else "")
        if end is None:
            return line, (depth, quote)
        position = seen = match.end() + len(MASK)
        flow.last = None


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


def _value_end(line, start, depth=0, quote=""):
    """Where a value of a flow mapping ends.

    :param depth: how many brackets of the value are open, and ``quote`` the one that it stands in, at the start.
    :returns: the position, or None when it is not on this line; and depth and quote there.
    """
    position = start
    while position < len(line):
        if quote:
            end = re.compile(r"(?:[^\"\\]|\\.)*\"" if quote == '"' else "[^']*'").match(line, position)
            if not end:
                return None, depth, quote
            position, quote = end.end(), ""
            continue
        character = line[position]
        quoted = _QUOTED.match(line, position)
        if quoted:
            position = quoted.end()
            continue
        if character in "\"'" and line[start:position].strip(" [{,:") == "":
            quote = character
        elif character in "[{":
            depth += 1
        elif character in "]}":
            if depth == 0:
                return position, depth, quote
            depth -= 1
        elif character == "," and depth == 0:
            return position, depth, quote
        position += 1
    return None, depth, quote


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
