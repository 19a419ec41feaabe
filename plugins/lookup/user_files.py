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
    - A relative pattern is looked up below the C(files) directory of the role, of the playbook, below these themselves,
      and below the working directory; the first one that has the pattern's directory counts.
    - A pattern that matches nothing gives nothing. A name without wildcards that is no file is an error.
  options:
    _terms:
      description: Patterns, or lists of patterns.
      type: list
      elements: raw
      required: true
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

import os

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import FileProblem, find
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain


class LookupModule(LookupBase):
    """Lookup plugin user_files."""

    def run(self, terms, variables=None, **kwargs):
        """Find and read the files."""
        self.set_options(var_options=variables, direct=kwargs)
        patterns = []
        for term in plain(list(terms)):
            patterns += term if isinstance(term, list) else [term]
        try:
            return [{"source": path, "content": self._read(path)} for path in find(patterns, self._bases(variables))]
        except FileProblem as error:
            raise AnsibleError(str(error)) from error

    def _bases(self, variables):
        """The directories that relative patterns are looked up below, the most specific first."""
        search = [str(path) for path in (variables or {}).get("ansible_search_path") or []]
        search.append(self._loader.get_basedir())
        bases = [base for path in search for base in (os.path.join(path, "files"), path)]
        return list(dict.fromkeys(bases + [os.getcwd()]))

    def _read(self, path):
        try:
            # Decrypts a file that is vaulted as a whole, and gives the path of the plain copy.
            with open(self._loader.get_real_file(path), encoding="utf-8") as stream:
                return stream.read()
        except (OSError, UnicodeDecodeError) as error:
            raise FileProblem("{0} cannot be read: {1}".format(path, error)) from error
