# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles of prometheus.prometheus, cloudalchemy and grafana.grafana are known to write below a configuration
directory, and how it is known again.

The same names are written anew where the inventory asks for them. These are the ones that it may no longer ask for: the
service would go on loading them beside ours, or they hold secrets that nothing uses.
"""

from __future__ import annotations

from typing import NamedTuple


class Written(NamedTuple):
    """A file of a peer's.

    :ivar pattern: regular expression that its content matches where the peer wrote it.
    :ivar secret: whether its content is a secret as a whole.
    """

    pattern: str
    secret: bool = False


# `{{ ansible_managed | comment }}`, whatever a user's ansible.cfg has for ansible_managed.
_HEADER = r"(?:---\n)?#\n(?:#[^\n]*\n)+#\n\s*"
_INDENTED = r"(?:[ \t][^\n]*(?:\n|\Z)|\n)*"
# One rule group, named by the role; a second one would be somebody's own.
RULES = Written(_HEADER + r"groups:\n- name: ansible managed alert rules\n  rules:[^\n]*\n" + _INDENTED + r"\Z")
_SECTIONS = r"(?:(?:tls_server_config|http_server_config|basic_auth_users):[^\n]*\n" + _INDENTED + ")"
WEB = Written(_HEADER + _SECTIONS + r"+\Z")
# cloudalchemy writes the variable as it is, without a header.
BARE_WEB = Written(r"(?:---\n)?(?:" + _SECTIONS + r"+|\{\}\s*)\Z")
ONE_LINE = Written(r"[^\n]+\n?\Z", secret=True)
PROVIDER = Written(
    r"apiVersion: 1\nproviders:\n +- name: '?default'?\n +orgId: 1\n +folder: ''\n +type: file\n +options:\n"
    r" +path: [^\n]*/dashboards\"?\n(?: +foldersFromFilesStructure: [^\n]*\n)?[\s.]*\Z"
)

SOURCES = Written(r"apiVersion: 1\ndeleteDatasources: \[\]\ndatasources:\n", secret=True)
ALERTING = Written(r"apiVersion: 1\n", secret=True)
