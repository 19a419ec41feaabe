# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of other hosts, fast: looked up raw, and templated only where there is something to template."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from ansible.errors import AnsibleError
from jinja2 import Environment, TemplateSyntaxError, nodes

try:  # ansible-core 2.19 and later know which strings may be templated
    from ansible.template import is_trusted_as_template
except ImportError:  # those before know which may not

    def is_trusted_as_template(value):
        """Whether a string comes from the inventory's owner and not from a host."""
        return not getattr(value, "__UNSAFE__", False)


_MISSING = object()
# A name, maybe with a default that is a name or a plain literal: what most templates of an inventory are made of.
_NAME = re.compile(
    r"\{\{\s*([a-zA-Z_]\w*)"
    r"(?:\s*\|\s*(?:default|d)\(\s*(?:([a-zA-Z_]\w*)|'([^'\\]*)'|\"([^\"\\]*)\"|(\d+))\s*\))?\s*\}\}"
)
# A variable that is mostly not set, with a default that is no text.
_MOSTLY_UNSET = re.compile(r"\{\{\s*([a-zA-Z_]\w*)\s*\|\s*default\(\s*(\{\}|\[\]|false|true)\s*\)\s*\}\}")
_OTHER_LITERALS = {"{}": dict, "[]": list, "false": bool, "true": lambda: True}
_LITERALS = frozenset(("true", "false", "none", "True", "False", "None"))
# With these in it, the names in a template do not tell what it depends on.
_OPAQUE = frozenset(("hostvars", "lookup", "q", "query", "vars", "varnames"))
_PARSER = Environment()  # noqa: S701 - parses, renders nothing


def holds_template(found):
    """Whether a raw value has to go through the template engine. Anything but plain data has."""
    if isinstance(found, str):
        return "{{" in found or "{%" in found or "{#" in found
    if found is None or isinstance(found, (bool, int, float)):
        return False
    if isinstance(found, Mapping):
        return any(holds_template(key) or holds_template(value) for key, value in found.items())
    if isinstance(found, (list, tuple)):
        return any(holds_template(value) for value in found)
    return True


def simply_rendered(text, variables, depth=8):
    """A template that only names variables with text, or is a default, a hundred times faster than by the engine; None if it is
    another.

    :param variables: raw.
    :param depth: how many templates may name each other.
    """
    if not depth or not isinstance(text, str) or "\n" in text or not is_trusted_as_template(text):
        return None
    unset = _MOSTLY_UNSET.fullmatch(text)
    if unset:
        return (
            _OTHER_LITERALS[unset.group(2)]()
            if not (unset.group(1) in variables or unset.group(1) in _LITERALS)
            else None
        )
    parts, end = [], 0
    for match in _NAME.finditer(text):
        name, other, single, double, dummy = match.groups()
        value = variables.get(name, _MISSING)
        if value is _MISSING:
            value = variables.get(other) if other else next((one for one in (single, double) if one is not None), None)
        if not isinstance(value, str) or not _LITERALS.isdisjoint((name, other)):
            return None
        if holds_template(value):
            value = simply_rendered(value, variables, depth - 1)
            if not isinstance(value, str):
                return None
        parts += [text[end : match.start()], value]
        end = match.end()
    parts.append(text[end:])
    if any(holds_template(part) for part in parts[::2]):
        return None
    result = "".join(parts)
    # Before ansible-core 2.19 the engine makes structures of texts that look like them.
    return None if result.startswith(("{", "[")) or result in ("True", "False") else result


class HostValues:
    """``values(host, name)`` is that variable of that host, finished, or None where it has none.

    :param hostvars: the magic variable of this name.
    :param templar: any templar; its variables are left alone.
    :param extra: variables every host has besides its own, such as ``groups``.
    :param defaults: variables that a host has when nothing else says them, raw: those of a role.
    """

    def __init__(self, hostvars, templar, extra=None, defaults=None):
        self._hostvars = hostvars
        self._templar = templar.copy_with_new_env(available_variables={})
        self._extra = {"hostvars": hostvars, **(extra or {})}
        self._defaults = defaults or {}
        self._raw = {}
        self._known = {}

    def raw(self, host):
        """All variables of a host, untemplated.

        :raises AnsibleError: for a host that is not in the inventory.
        """
        found = self._raw.get(host)
        if found is None:
            if host not in self._hostvars:
                raise AnsibleError("host {0} is not in the inventory".format(host))
            found = self._hostvars.raw_get(host)
            self._raw[host] = found
        return found

    def __call__(self, host, name):
        raw = self.raw(host)
        found = raw.get(name, _MISSING)
        if found is _MISSING:
            found = self._defaults.get(name)
        if not holds_template(found):
            return found
        text = self._substituted(host, found) if isinstance(found, str) else None
        if text is not None:
            return text
        key = self._dependencies(raw, found)
        if key is None:
            return self._templated(host, name, found)
        if key not in self._known:
            self._known[key] = self._templated(host, name, found)
        return self._known[key]

    def _templated(self, host, name, found):
        self._templar.available_variables = {**self._defaults, **self._extra, **self.raw(host)}
        try:
            return self._templar.template(found)
        except AnsibleError as error:
            raise AnsibleError("{0} of host {1} cannot be evaluated: {2}".format(name, host, error)) from error

    def _substituted(self, host, text):
        """A template that only names variables, a hundred times faster than by the engine; None if it is another."""
        if not is_trusted_as_template(text):
            return None
        parts, end = [], 0
        for match in _NAME.finditer(text):
            parts.append(text[end : match.start()])
            name, other, single, double, number = match.groups()
            if name not in self.raw(host) and name not in self._defaults and match.group(0).find("|") > 0:
                name, literal = other, next((found for found in (single, double, number) if found is not None), None)
            else:
                literal = None
            value = literal if literal is not None else self._named(host, name)
            if value is None:
                return None
            parts.append(value)
            end = match.end()
        parts.append(text[end:])
        if any(holds_template(part) for part in parts[::2]):
            return None
        result = "".join(parts)
        # Before ansible-core 2.19 the engine makes structures of texts that look like them.
        return None if result.startswith(("{", "[")) else result

    def _named(self, host, name):
        """A variable as it is written into a text; None when that is for the engine to say."""
        value = None if name in _LITERALS else self(host, name)
        return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None

    def _dependencies(self, raw, found):
        """What the outcome of a template depends on, so that it is evaluated once for all hosts that agree on it."""
        names, seen, key = [], set(), [found if isinstance(found, str) else repr(found)]
        names.append(_names_in(found))
        while names:
            wanted = names.pop()
            if wanted is None:
                return None
            for name in wanted - seen:
                seen.add(name)
                if name in self._extra:
                    continue  # the same for all
                value = raw.get(name, self._defaults.get(name, _MISSING))
                if value is not _MISSING and holds_template(value):
                    names.append(_names_in(value))
                key.append((name, value if isinstance(value, (str, int)) else repr(value)))
        return (key[0], *sorted(key[1:], key=lambda pair: pair[0]))


def _names_in(found):
    """Names that the templates in a value use; None when they may use others as well."""
    if isinstance(found, str):
        return _names_in_text(str(found)) if holds_template(found) else frozenset()
    if isinstance(found, Mapping):
        found = [*found.keys(), *found.values()]
    if not isinstance(found, (list, tuple)):
        return frozenset() if not holds_template(found) else None
    names = frozenset()
    for value in found:
        more = _names_in(value)
        if more is None:
            return None
        names |= more
    return names


@functools.lru_cache(maxsize=4096)
def _names_in_text(text):
    try:
        names = frozenset(node.name for node in _PARSER.parse(text).find_all(nodes.Name))
    except TemplateSyntaxError:
        return None
    return None if names & _OPAQUE else names
