#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: summary
short_description: Print what a run has proven, and fail if a part of it is red
description:
  - Collects what M(vigil.monitoring.service_health) and M(vigil.monitoring.target_health) found on the hosts of the play,
    and prints one table. A host that has no result, because an earlier task failed on it, is red.
version_added: 0.1.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: full
    description: What is not deployed yet is said to be unproven.
options:
  services:
    description: Inventory groups, which bear the names of the services that their hosts run.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Say what was proven
  vigil.monitoring.summary:
    services: [node_exporter, alertmanager, prometheus]
  run_once: true
"""

RETURN = r"""
rows:
  description: One entry for each service of each host.
  returned: always
  type: list
  elements: dict
"""
