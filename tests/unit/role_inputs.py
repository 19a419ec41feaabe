# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inputs of a role without a run of Ansible: its defaults, rendered, and what a test gives."""

from __future__ import annotations

import functools
import pathlib

import yaml
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _container, _rooms
from jinja2 import meta
from jinja2.nativetypes import NativeEnvironment

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _url(*dummy, **dummies):
    return "https://example.org/release"


ENVIRONMENT = NativeEnvironment()  # renders files of the collection
ENVIRONMENT.filters.update({
    "vigil.monitoring.release_url": _url,
    "vigil.monitoring.release_sums_url": _url,
    "vigil.monitoring.image_name": _container.image_name,
    "bool": bool,
})  # fmt: skip


@functools.cache
def _defaults(role):
    return yaml.safe_load((ROOT / "roles" / role / "defaults" / "main.yml").read_text(encoding="utf-8"))


class Inputs:
    """The same questions as those of ``_role_inputs.RoleInputs``.

    :param lookups: name of a lookup plugin to what it returns.
    :param given: inputs by their names without the role's, and other variables by theirs.
    """

    def __init__(self, role, lookups=None, **given):
        self.role, self.host, self.check_mode, self.deploys = role, "subject", False, True
        self._lookups = lookups or {}
        names = _defaults(role)
        self._variables = {"inventory_hostname": "subject", "groups": {}, **names}
        self._variables.update(
            (role + "_" + name if role + "_" + name in names else name, value) for name, value in given.items()
        )
        self._made = {}

    def __contains__(self, name):
        return "{0}_{1}".format(self.role, name) in self._variables

    def __getitem__(self, name):
        return self._rendered(self._variables["{0}_{1}".format(self.role, name)])

    def get(self, name, default=None):
        """An input, or a default where the role has none of this name."""
        if name in self:
            return self[name]
        return default

    def shared(self, name, default=None):
        """A variable that is none of the role's."""
        return self._variables.get(name, default)

    def once(self, key, make):
        """What a function returns, computed once."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def lookup(self, name, *dummy, **dummies):
        """What a lookup plugin returns."""
        return self._lookups.get(name, [])

    def template(self, path, **dummies):
        """The text of a template of the user's own."""
        return self._lookups[path]

    def _rendered(self, value):
        if isinstance(value, str) and "{{" in value and "lookup(" not in value:
            template = ENVIRONMENT.parse(value)
            names = meta.find_undeclared_variables(template)
            return ENVIRONMENT.from_string(value).render(
                {name: self._rendered(self._variables[name]) for name in names if name in self._variables}
            )
        if isinstance(value, dict):
            return {key: self._rendered(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._rendered(item) for item in value]
        return value


def room(role):
    """The room of a service."""
    return _rooms.load(role)


def release(role, version=None, folder="/opt/x"):
    """What the module release returns for a program that is there."""
    about = room(role)
    names = [name.rpartition("/")[2] for name in about.binaries]
    programs = {name: "{0}/{1}".format(folder, name) for name in names}
    version = version or str(_defaults(role).get(role + "_version") or "2.6.12")
    return {"version": version, "commands": programs, "binaries": programs, "links": {}, "image": None}
