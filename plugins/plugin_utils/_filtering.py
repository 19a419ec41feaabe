# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every filter of the collection does with its input and its errors."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.vigil.monitoring.plugins.plugin_utils._late import imported
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain


def filtered(module, name):
    """A pure function as a filter: plain Python data in, and a ValueError as the filter's failure, AnsibleFilterError.

    The function is imported when the filter is first used. Ansible loads all filters of a collection for any one of them,
    anew for each task, and compiles what they import each time.

    :param module: the function's module in ``plugin_utils``.
    :param name: the function's name.
    """

    def run(*arguments, **options):
        function = imported(module, name)
        try:
            return function(
                *(plain(argument) for argument in arguments), **{name: plain(value) for name, value in options.items()}
            )
        except ValueError as error:
            raise AnsibleFilterError(str(error)) from error

    return run
