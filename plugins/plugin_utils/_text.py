# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Structures of the inventory as text for a service."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

import yaml

# Text that YAML writes as it is, unless one of its types looks like that: names, addresses, paths.
_AS_IT_IS = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./-]*(?::[A-Za-z0-9_./-]+)*")
# Text that is no longer than this is never broken into lines, and may be a key.
_SHORT = 100


class _Dumper(yaml.SafeDumper):
    """Lists indented below their key and no anchors, as people write it."""

    def increase_indent(self, flow=False, indentless=False):
        """Never put a list at the indentation of its key."""
        return super().increase_indent(flow, False)

    def represent_text(self, text):
        """Text of several lines as a block, as people write it."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    def ignore_aliases(self, data):
        """Write a structure that occurs twice twice."""
        return True


_Dumper.add_representer(str, _Dumper.represent_text)


def plain(data):
    """A copy of a templated structure in Python's own types: no tags, no lazy containers, no vault strings."""
    if isinstance(data, Mapping):
        return {plain(key): plain(value) for key, value in data.items()}
    if isinstance(data, bytes):
        return data.decode("utf-8")
    if isinstance(data, str):
        # Not str(data): a subclass may answer with one of its own kind, which YAML's safe dumper refuses.
        return str.__str__(data)
    if hasattr(data, "__ENCRYPTED__"):
        # A vaulted value up to ansible-core 2.18: a sequence of characters, decrypted as text.
        return plain(str(data))
    if isinstance(data, bool):
        return bool(data)
    if isinstance(data, int):
        return int(data)
    if isinstance(data, float):
        return float(data)
    if isinstance(data, (Sequence, set, frozenset)):
        return [plain(value) for value in data]
    return data


class _Unusual(Exception):
    """What only the library can write."""


def to_yaml(data):
    """YAML of a structure, in the order of its keys.

    Ten thousand targets would take the library more than a second: it makes an event, a node and an analysis of each word.
    """
    found, lines = plain(data), []
    try:
        _write(found, "", lines)
    except _Unusual:
        return _by_library(found)
    return "".join(lines)


def _by_library(data):
    return yaml.dump(data, Dumper=_Dumper, default_flow_style=False, sort_keys=False, allow_unicode=True, width=1000)


def _write(data, indent, lines):
    """The lines of a mapping or a list as the library would write them; the first one without its indentation.

    :raises _Unusual: where that is not certain.
    """
    if not data or not isinstance(data, (dict, list)):
        raise _Unusual
    start = ""
    if isinstance(data, list):
        for value in data:
            if isinstance(value, list) and value:
                raise _Unusual
            _write_value(start + "-", value, indent, " ", lines)
            start = indent
        return
    for key, value in data.items():
        # Another key begins with a question mark.
        if not isinstance(key, str) or not 0 < len(key) <= _SHORT:
            raise _Unusual
        _write_value(start + _scalar(key) + ":", value, indent, "\n", lines)
        start = indent


def _write_value(begin, value, indent, between, lines):
    """A value after the beginning of its line.

    :param between: what stands between that and a structure.
    """
    if isinstance(value, (dict, list)) and value:
        deeper = indent + "  "
        lines.append(begin + between + (deeper if between == "\n" else ""))
        _write(value, deeper, lines)
    else:
        lines.append("{0} {1}\n".format(begin, _scalar(value)))


def _scalar(value):
    """A scalar as the library writes it, on one line.

    :raises _Unusual: where it would be several.
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return str(value)
    if not value and isinstance(value, (dict, list)):
        return "{}" if isinstance(value, dict) else "[]"
    raise _Unusual


# Names and values of labels come back with each target.
@functools.lru_cache(maxsize=4096)
def _text(text):
    if _AS_IT_IS.fullmatch(text) and len(text) <= _SHORT and not _looks_like_a_type(text):
        return text
    if len(text) > _SHORT or len(text.splitlines()) > 1 or text.splitlines(keepends=True) != text.splitlines():
        raise _Unusual
    return _by_library({"x": text})[3:-1]


def _looks_like_a_type(text):
    resolvers = _Dumper.yaml_implicit_resolvers
    found = (*resolvers.get(text[0], ()), *resolvers.get(None, ()))
    return any(pattern.match(text) for dummy, pattern in found)


def file_text(i, name, own, header, data, **further):
    """The text of a file: what the collection makes, or a template of the user's own.

    :param i: :class:`_role_inputs.RoleInputs`.
    :param name: the input, without the role's name, with the path of the template.
    :param own: the value of that input that stands for what the collection makes: ``data`` as YAML below ``header``.
    :param further: variables that the template finds besides those of the host.
    """
    return header + to_yaml(data) if i[name] == own else i.template(i[name], **further)
