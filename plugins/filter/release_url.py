# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of releases in a mirror or upstream."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.vigil.monitoring.plugins.module_utils import _release


def _readable(function):
    def filtered(program, version, mirror=None, upstream=None, **options):
        try:
            return function(program, version, mirror=mirror, upstream=upstream, **options)
        except _release.ReleaseError as error:
            raise AnsibleFilterError(str(error)) from error

    return filtered


class FilterModule:
    """Both filters in one file: they share their parameters."""

    def filters(self):
        return {
            "release_url": _readable(_release.release_url),
            "release_sums_url": _readable(_release.release_sums_url),
        }
