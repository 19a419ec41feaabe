# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text without its secrets: known ones in any form (see :mod:`_scrub`), and those of an earlier generation, which nobody
remembers, where the key next to the value gives them away."""

from __future__ import annotations

import re

from ansible_collections.vigil.monitoring.plugins.module_utils._scrub import MASK, Scrubber

# The secrets that this process was told; a module is a process of its own.
_known = Scrubber(())

# A key whose value is a secret in the configuration of Prometheus, Alertmanager, Grafana or an exporter. A path is
# no secret: keys that end in `_file` stay readable.
_SECRET_KEY = re.compile(
    r"(?i)(pass(word|wd|phrase)?s?|pwd|secrets?|tokens?|token_id|credentials?|authorization|bearer|cookie|dsn"
    r"|(api|routing|service|user|private|access|secret|account|shared|encryption)[_-]?key"
    r"|webhook_url|api_url|sas_url|auth_identity|data_source_name|connection_string)$"
)
# Alertmanager treats every URL in these sections as a secret.
URL_SECTIONS = ("webhook_configs", "msteams_configs", "msteamsv2_configs", "discord_configs", "mattermost_configs")
_SECTION = re.compile(r"""^(?P<margin>\s*(?:-\s+)*)[{\s]*["']?(?:""" + "|".join(URL_SECTIONS) + r""")["']?\s*:""")
_KEY = r"(?P<key>[\w.-]+)"
# A key and its value on a line of their own, in YAML or in JSON.
_LINE = re.compile(
    r"""^(?P<head>(?P<margin>\s*(?:-\s+)*)["']?""" + _KEY + r"""["']?\s*:)(?P<value>\s+\S.*|\s*["'[{].*|\s*)$"""
)
# A line of an INI file.
_INI = re.compile(r"^(?P<head>\s*" + _KEY + r"\s*=\s*)(?!=)\S.*$")
# A key inside a flow mapping, `{password: x}` or `{"password": "x"}`, also when that stands in a quoted string itself.
_FLOW = re.compile(r"""(?P<head>[{\[,]\s*\\?["']?""" + _KEY + r"""\\?["']?\s*:(?:\s+|(?=[\\"'[{]|$)))""")
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


def is_secret_key(key):
    """Whether values under this key are secrets: ``password`` is, ``password_file`` and ``slack_channel`` are not."""
    return bool(_SECRET_KEY.search(str(key)))


def redact_text(text):
    """Text in YAML or a like shape, with the values of secret keys, credentials in URLs and bcrypt hashes masked.

    Nested values and block scalars under a secret key are masked as well, line by line.
    """
    result = []
    text = scrub(text)
    # The column of the secret key whose value may go on in the next line, and whether a private key began.
    column, in_pem = None, False
    # The column of the section in which addresses are secrets.
    section = None
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
        if section is not None and line.strip():
            if indent < section or (indent == section and not line.lstrip().startswith("- ")):
                section = None
        match = _SECTION.match(line)
        if match:
            section = len(match.group("margin"))
        urls = section is not None
        match = _LINE.match(line)
        if match and _is_secret(match.group("key"), urls):
            column = len(match.group("margin"))
            result.append(match.group("head") + (" " + MASK if match.group("value").strip() else ""))
            continue
        line, goes_on = _redact_flow(line, urls)
        if goes_on:
            column = indent
        result.append(_redact_inline(line))
    return "\n".join(result) + ("\n" if text.endswith("\n") else "")


def _is_secret(key, urls):
    return is_secret_key(key) or (urls and key == "url")


def _redact_flow(line, urls):
    """Mask the values of secret keys in flow mappings; also whether the last one goes on in the next line."""
    position = 0
    while True:
        match = _FLOW.search(line, position)
        if not match:
            return line, False
        if not _is_secret(match.group("key"), urls):
            # The character that ends this key's value may begin the next pair.
            position = match.end()
            continue
        end = _value_end(line, match.end())
        line = line[: match.end()] + MASK + (line[end:] if end is not None else "")
        if end is None:
            return line, True
        position = match.end() + len(MASK)


def _value_end(line, start):
    """Where a value of a flow mapping ends, or None when that is not on this line."""
    depth, position = 0, start
    while position < len(line):
        character = line[position]
        quoted = re.match(r"""\\".*?\\"|"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'""", line[position:])
        if quoted:
            position += quoted.end()
            continue
        if character in "\"'" and not line[start:position].strip():
            return None
        if character in "[{":
            depth += 1
        elif character in "]}":
            if depth == 0:
                return position
            depth -= 1
        elif character == "," and depth == 0:
            return position
        position += 1
    return None


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
