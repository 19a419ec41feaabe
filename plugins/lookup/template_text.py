# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: template_text
short_description: The text of a template, rendered once a task
version_added: 0.2.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
description:
  - Renders a template file exactly as P(ansible.builtin.template#lookup) does, with its default options.
  - A task that uses the text in several of its arguments has it rendered once, which matters with a large inventory.
  - The O(_terms) are paths; a relative one is searched for as that plugin does, below C(templates) of the role first, and
    then where P(vigil.monitoring.user_files#lookup) looks, in each place below C(templates) first.
options:
  _terms:
    description: One or more template files.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show the configuration that the role would write
  ansible.builtin.debug:
    msg: "{{ lookup('vigil.monitoring.template_text', 'prometheus.yml.j2') }}"
"""

RETURN = r"""
_raw:
  description: The text of each template.
  type: list
  elements: str
"""

from ansible.plugins.loader import lookup_loader
from ansible.plugins.lookup import LookupBase
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import locate, places
from ansible_collections.vigil.monitoring.plugins.plugin_utils._task_cache import once_per_task


class _Variables(dict):
    """Variables whose deep copy is a shallow one.

    The plugin behind copies all of them, those of the whole inventory's groups too, only to add some names.
    """

    def __deepcopy__(self, memo):
        return dict(self)


class LookupModule(LookupBase):
    """Lookup plugin template_text."""

    def run(self, terms, variables=None, **kwargs):
        """See DOCUMENTATION."""
        self.set_options(var_options=variables, direct=kwargs)
        return [
            once_per_task(
                ("template_text", str(term), variables.get("inventory_hostname")),
                lambda term=term: self._render(term, variables),
            )
            for term in terms
        ]

    def _render(self, term, variables):
        found, there = locate(term, places(variables, self._loader.get_basedir(), "templates"))
        if there:
            term = found
        plugin = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        return plugin.run([term], variables=_Variables(variables))[0]
