#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: summary
short_description: Show the health of the monitoring services of all hosts, and fail when one has failed
version_added: 0.1.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
description:
  - Prints one table of the services of all hosts of the play, and below it why a line is red or not fully verified.
  - Hosts that failed earlier in the run have no result and are red.
  - Alertmanagers of one cluster that have different configurations are red.
  - Runs once, on the controller alone.
options:
  results:
    description: Name of the variable in which M(vigil.monitoring.service_health) was registered.
    type: str
    required: true
  groups:
    description:
      - Services with the inventory groups whose hosts run them, as for M(vigil.monitoring.service_health).
      - Without it, each service of the collection runs in the group of its name; with it, those that are named.
    type: dict
extends_documentation_fragment:
  - vigil.monitoring.attributes.reads_only
attributes:
  check_mode:
    description: Fails only for hosts that have no result.
seealso:
  - module: vigil.monitoring.service_health
"""

EXAMPLES = r"""
- name: Show what was found, and fail when something is red
  vigil.monitoring.summary:
    results: health
"""

RETURN = r"""
summary:
  description: The text that was printed.
  type: str
  returned: when nothing is red
services:
  description: What M(vigil.monitoring.service_health) returned for all hosts, each with its C(host).
  type: list
  elements: dict
  returned: when nothing is red
unverified:
  description: How many services could not be fully verified.
  type: int
  returned: when nothing is red
  sample: 0
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec={
            "results": {"type": "str", "required": True},
            "groups": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="this module runs on the controller and needs its action plugin")


if __name__ == "__main__":
    main()
