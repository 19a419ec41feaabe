#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: adoption
short_description: Compare how monitoring runs on a host with what the roles would make of the inventory
description:
  - For each group of a service that the host is in, the service that runs there is held against what the role would deploy,
    whoever deployed it - prometheus.prometheus, cloudalchemy, grafana.grafana, a distribution, a person.
  - Compared is by meaning - scrape jobs and targets, alerts and recording rules, receivers and routes, flags, retention,
    accounts, versions, data sources, dashboards, settings. Upstream's defaults count as given, and an order that means nothing
    does not count.
  - One table for each host says what would be gained, lost and changed, and which variable keeps it as it is. Secrets are
    masked.
  - Nothing is changed, on the host or elsewhere. For a service in a container that another tool made, the table says what
    cannot be seen.
version_added: 0.3.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: full
    description: Only reads.
  diff_mode:
    support: none
    description: Nothing is changed, so there is nothing to show.
  idempotent:
    support: full
    description: Never changes anything.
options: {}
seealso:
  - module: vigil.monitoring.live_services
  - module: vigil.monitoring.service_health
"""

EXAMPLES = r"""
- name: See what a run of the roles would change
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
    C(keep), the variable that keeps it as it is.
  type: dict
  returned: always
kept:
  description: Role to how many things of each section stay as they are.
  type: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    """There is nothing to do on the host: the action plugin of the same name does it all."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    module.fail_json(msg="this module runs on the controller and needs its action plugin")


if __name__ == "__main__":
    main()
