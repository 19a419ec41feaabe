# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of a playbook that is for some service, and how tags leave it out."""

from __future__ import annotations


def members(groups, service=None, limit=None):
    """The pattern of a play that is for the hosts of one service, or of any, and in words why there are none.

    :param groups: the magic variable of this name.
    :param service: the service, which is the name of its group; None for all services.
    :param limit: what ``--limit`` says, if anything.
    """
    # Imported here: Ansible loads all filters of a collection for any one of them.
    from ansible_collections.vigil.monitoring.plugins.plugin_utils import _scope  # noqa: PLC0415

    return _scope.members(groups, service, limit)


def left_out(tag, run_tags, skip_tags=()):
    """How a command line leaves out what has this tag, in words; empty when it does not.

    :param run_tags: the magic variable ``ansible_run_tags``.
    :param skip_tags: the magic variable ``ansible_skip_tags``.
    """
    from ansible_collections.vigil.monitoring.plugins.plugin_utils import _scope  # noqa: PLC0415

    return _scope.left_out(tag, run_tags, skip_tags)


class FilterModule:
    """The hosts of a playbook that is for some service, and how tags leave it out."""

    def filters(self):
        """The filters by name."""
        return {"members": members, "left_out": left_out}
