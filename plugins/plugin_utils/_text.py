# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Structures of the inventory as text for a service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml


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


def to_yaml(data):
    """YAML of a structure, in the order of its keys."""
    return yaml.dump(
        plain(data), Dumper=_Dumper, default_flow_style=False, sort_keys=False, allow_unicode=True, width=1000
    )
