#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: adoption
short_description: Compare the monitoring services on a host with what the roles would deploy from the inventory
description:
  - For each service group of the host, the running service is compared with what the role would deploy, whatever tool
    deployed it - prometheus.prometheus, cloudalchemy, grafana.grafana, a distribution, or an administrator by hand.
  - The comparison is semantic - scrape jobs and targets, alerts and recording rules, receivers and routes, flags, retention,
    system users, versions, data sources, dashboards, settings. Values equal to upstream's defaults are treated as set, and
    irrelevant order is ignored.
  - One table for each host lists what would be gained, lost and changed, and which variable keeps the current state. Secrets
    are masked.
  - Nothing is changed, on the host or elsewhere. For a service in a container that another tool created, the table says what
    cannot be compared.
version_added: 0.3.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
extends_documentation_fragment:
  - vigil.monitoring.attributes.reads_only
options: {}
seealso:
  - module: vigil.monitoring.live_services
  - module: vigil.monitoring.service_health
"""

EXAMPLES = r"""
- name: Show what a run of the roles would change
  hosts: prometheus:alertmanager:node_exporter
  gather_facts: false
  tasks:
    - name: Compare each service
      vigil.monitoring.adoption:
"""

RETURN = r"""
summary:
  description: The table that was printed.
  type: str
  returned: always
differences:
  description: Role to its differences, each with C(section), C(name), C(kind) (V(gained), V(lost) or V(changed)), C(detail) and
    C(keep), the variable that keeps the current state.
  type: dict
  returned: always
kept:
  description: Role to the number of unchanged entries of each section.
  type: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    """Nothing is done on the host: the action plugin of the same name does everything."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    module.fail_json(msg="this module runs on the controller and needs its action plugin")


if __name__ == "__main__":
    main()
