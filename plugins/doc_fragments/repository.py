# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module reaches the repository of the backups."""

from __future__ import annotations


class ModuleDocFragment:
    """Options that modules share which read a repository of restic."""

    DOCUMENTATION = r"""
options:
  access:
    description: How the repository is reached.
    type: dict
    suboptions:
      restic:
        description: Path of restic.
        type: path
        required: true
      options:
        description: Its options.
        type: list
        elements: str
        default: []
      environment:
        description: Its environment.
        type: dict
        required: true
      password:
        description: Password of the repository.
        type: str
        required: true
      ssh_key:
        description: Private key for C(sftp:).
        type: str
        default: ""
      ssh_known_hosts:
        description: Lines of C(known_hosts).
        type: str
        default: ""
  secrets:
    description: Texts that no output may show.
    type: list
    elements: str
    default: []
"""
