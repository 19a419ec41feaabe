# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of releases in a mirror or upstream."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError


def _readable(name):
    def filtered(program, version, mirror=None, upstream=None, **options):
        # Imported here: Ansible loads all filters of a collection for any one of them.
        from ansible_collections.vigil.monitoring.plugins.module_utils import _release  # noqa: PLC0415

        try:
            return getattr(_release, name)(program, version, mirror=mirror, upstream=upstream, **options)
        except _release.ReleaseError as error:
            raise AnsibleFilterError(str(error)) from error

    return filtered


class FilterModule:
    """Both filters in one file: they share their parameters."""

    def filters(self):
        return {
            "release_url": _readable("release_url"),
            "release_sums_url": _readable("release_sums_url"),
        }
