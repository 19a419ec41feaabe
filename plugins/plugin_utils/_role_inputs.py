# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inputs of a role on a host: rendered when they are first used, and of the types that the role's specification says."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.validation import (
    check_type_bool,
    check_type_dict,
    check_type_float,
    check_type_int,
    check_type_list,
)
from ansible.plugins.loader import lookup_loader
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _run
from ansible_collections.vigil.monitoring.plugins.plugin_utils._check_roles import spec_of
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import COLLECTION
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import holds_template, simply_rendered
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain

# A path stays as it is: it is one of the host's, where a module expands it.
_TYPES = {
    "bool": check_type_bool,
    "int": check_type_int,
    "float": check_type_float,
    "dict": check_type_dict,
    "list": check_type_list,
    "str": str,
    "path": str,
}


class RoleInputs:
    """The inputs of a role, by their names without the role's.

    :param role: name of the role.
    :param loader: Ansible's data loader.
    :param templar: any templar; it is left alone.
    :param variables: what the role's own tasks see, or what the inventory says about the host: the role's defaults are below
        them, and what the play gave to the role in this run is above them.
    :ivar check_mode: whether nothing may be changed.
    :ivar deploys: whether they are a deployment's; what only talks to services makes no certificate authority.
    """

    def __init__(self, role: str, loader, templar, variables: dict):
        self.role = role
        self.host = variables["inventory_hostname"]
        self.check_mode = bool(variables.get("ansible_check_mode"))
        self.deploys = True
        self._loader = loader
        folder = os.path.join(COLLECTION, "roles", role)
        search = [folder, *(variables.get("ansible_search_path") or [])]
        self._variables = {
            **_run.role_defaults(loader, role),
            **variables,
            **_run.given_to(role, self.host, loader),
            "role_path": folder,
            "ansible_search_path": list(dict.fromkeys(search)),
        }
        self._templar = templar.copy_with_new_env(available_variables=self._variables)
        self._spec = spec_of(role)
        self._known, self._made = {}, {}

    @classmethod
    def for_reading(cls, role: str, loader, templar, variables: dict) -> RoleInputs:
        """Those for who only reads: nothing is changed for their sake, and no certificate authority made."""
        return cls(role, loader, templar, {**variables, "ansible_check_mode": True})

    def __contains__(self, name: str) -> bool:
        return "{0}_{1}".format(self.role, name) in self._spec

    def __getitem__(self, name: str) -> Any:
        """An input.

        :raises AnsibleError: when it cannot be rendered or is of another type.
        """
        if name not in self._known:
            self._known[name] = self._typed("{0}_{1}".format(self.role, name))
        return self._known[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An input, or a default where the role has none of this name."""
        if name in self:
            return self[name]
        return default

    def has(self, whole: str) -> bool:
        """Whether there is a variable of this whole name, the role's or another."""
        return whole in self._variables

    def variable(self, whole: str) -> Any:
        """A variable by its whole name, rendered, of whatever type it is.

        :raises KeyError: when there is none.
        """
        return self._rendered(self._variables[whole])

    def shared(self, name: str, default: Any = None) -> Any:
        """A variable that is none of the role's, or a default where it is not set."""
        found = self._variables.get(name)
        return default if found is None else self._rendered(found)

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What a function returns, computed once."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def lookup(self, name: str, *terms: Any, **options: Any) -> list:
        """What a lookup plugin returns."""
        plugin = lookup_loader.get(name, loader=self._loader, templar=self._templar)
        return plugin.run(list(terms), variables=self._variables, **options)

    def template(self, path: str, **further: Any) -> str:
        """The text of a template of the user's own.

        :param further: variables that it finds besides those of the host.
        """
        variables = {**self._variables, **further}
        templar = self._templar.copy_with_new_env(available_variables=variables)
        plugin = lookup_loader.get("vigil.monitoring.template_text", loader=self._loader, templar=templar)
        (text,) = plugin.run([path], variables=variables)
        return plain(text)

    def _rendered(self, found):
        if not holds_template(found):
            return plain(found)
        text = simply_rendered(found, self._variables)
        return plain(self._templar.template(found)) if text is None else text

    def _typed(self, whole):
        option = self._spec[whole]
        value = self._rendered(self._variables.get(whole))
        if value is None or option["type"] == "raw":
            return value
        try:
            return _TYPES[option["type"]](value)
        except (TypeError, ValueError) as error:
            raise AnsibleError("{0} has to be of type {1}: {2}".format(whole, option["type"], error)) from error
