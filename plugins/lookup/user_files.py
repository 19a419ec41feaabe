# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = """
  name: user_files
  author: Contributors to vigil.monitoring (@vigil-monitoring)
  version_added: 0.1.0
  short_description: Find and read files of the user's own on the controller
  description:
    - Gives the files that shell patterns match, with their contents.
    - A relative pattern is looked up below the role that uses it, the directory of the inventory, that of the playbook that
      was started, and that of the play's own playbook, in each below its C(files) first; the first one that has the
      pattern's directory counts. The working directory does not.
    - A pattern that matches nothing gives nothing, and a warning. A name without wildcards that is no file is an error,
      and so is a pattern whose directory is nowhere, unless it is one of the defaults of O(variable).
  options:
    _terms:
      description: Patterns, or lists of patterns.
      type: list
      elements: raw
      required: true
    variable:
      description: The input that the patterns are from, for messages.
      type: str
      default: ''
"""

EXAMPLES = """
- name: Show the rule files that would be deployed
  ansible.builtin.debug:
    msg: "{{ query('vigil.monitoring.user_files', 'prometheus/rules/*.yml') | map(attribute='source') }}"
"""

RETURN = """
  _raw:
    description: The files.
    type: list
    elements: dict
    contains:
      source:
        description: Absolute path on the controller.
        type: str
      content:
        description: Content as text.
        type: str
"""

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import FileProblem, find, places
from ansible_collections.vigil.monitoring.plugins.plugin_utils._task_cache import once_per_task
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain

display = Display()


class LookupModule(LookupBase):
    """Lookup plugin user_files."""

    def run(self, terms, variables=None, **kwargs):
        """Find and read the files."""
        self.set_options(var_options=variables, direct=kwargs)
        patterns, variable = [], self.get_option("variable")
        for term in plain(list(terms)):
            patterns += term if isinstance(term, list) else [term]
        question = ("user_files", tuple(map(str, patterns)), variable, (variables or {}).get("inventory_hostname"))
        try:
            return once_per_task(question, lambda: self._files(patterns, variable, variables))
        except FileProblem as error:
            raise AnsibleError(str(error)) from error

    def _files(self, patterns, variable, variables):
        bases = places(variables, self._loader.get_basedir())
        paths = find(patterns, bases, variable, display.warning)
        return [{"source": path, "content": self._read(path)} for path in paths]

    def _read(self, path):
        try:
            # Decrypts a file that is vaulted as a whole, and gives the path of the plain copy.
            with open(self._loader.get_real_file(path), encoding="utf-8") as stream:
                return stream.read()
        except (OSError, UnicodeDecodeError) as error:
            raise FileProblem("{0} cannot be read: {1}".format(path, error)) from error
