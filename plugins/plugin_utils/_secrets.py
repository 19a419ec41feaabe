# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets in the inputs, so that they can be scrubbed from whatever is printed."""

from __future__ import annotations

import re
from urllib.parse import unquote

import yaml
from ansible_collections.vigil.monitoring.plugins.module_utils._redact import is_secret_key
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain

_USERINFO = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:([^/\s@]+)@")
# A password among the pairs of a connection string, or in the query of a URL.
_PAIR = re.compile(r"(?i)(?:^|[\s?&])(?:password|passwd|pwd)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s&',]+))")
_SCHEME = re.compile(r"^(?i:bearer|basic|token|apikey|splunk|genie-?key)\s+(\S+)\s*$")


def _secret_key(key, above):
    return is_secret_key(key.replace("-", "_"), above)


def _strings(data):
    """Every string directly in a value: itself, or the elements of a list."""
    return [str(item) for item in (data if isinstance(data, list) else [data]) if isinstance(item, (str, int, float))]


def _walk(data, above):
    """Every secret below a structure; ``above`` is the key that it stands below."""
    if isinstance(data, dict):
        for key, value in data.items():
            key = str(key)
            if isinstance(value, bool) or value is None:
                continue
            if isinstance(value, dict):
                yield from _walk(value, key)
            elif _secret_key(key, above):
                yield from _strings(value)
            elif isinstance(value, list):
                yield from _walk(value, key)
            else:
                yield from _in_text(value)
    elif isinstance(data, list):
        for value in data:
            yield from _walk(value, above)
    else:
        yield from _in_text(data)


def _in_text(value):
    """Secrets that a string gives away by itself: a password in a URL, a private key."""
    if isinstance(value, str):
        for password in _USERINFO.findall(value):
            yield password
            yield unquote(password)
        for quoted, plain in _PAIR.findall(value):
            yield quoted or plain
            yield unquote(quoted or plain)
        if "PRIVATE KEY-----" in value:
            yield value
            yield from (line for line in value.splitlines() if len(line) > 30 and "PRIVATE KEY" not in line)


def _parsed(part):
    """Text in YAML as a structure; other text as it is."""
    if isinstance(part, dict) and set(part) >= {"content", "source"}:
        part = part["content"]
    if isinstance(part, str) and ("\n" in part or ": " in part):
        try:
            return yaml.load(part, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except yaml.YAMLError:
            return part
    return part


def secret_values(data):
    """The secrets in inputs or rendered files, sorted, each once.

    :param data: a structure, the text of a YAML file, a dict with ``content`` and ``source``, or a list of these.
    """
    data = plain(data)
    parts = data if isinstance(data, list) else [data]
    found = set()
    for part in parts:
        parsed = _parsed(part)
        if isinstance(parsed, list):
            parsed = [_parsed(item) if isinstance(item, dict) and "source" in item else item for item in parsed]
        for value in _walk(parsed, None):
            found.add(value.strip())
            # "Authorization: Bearer TOKEN" is found by its token alone as well.
            found.update(_SCHEME.findall(value))
    return sorted(value for value in found if value)
