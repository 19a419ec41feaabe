#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: removal
short_description: Remove what this collection has deployed on a host
description:
  - Finds the services of the collection by what they have left on the host, whatever the inventory says, and removes those that the
    inventory does not ask for, or those that are named, under whatever runtime they are.
  - Data is kept unless O(remove_data) is set. Files that the collection did not write are never touched, nor are accounts, packages and
    container images.
  - When it is interrupted, the next run completes it.
version_added: 0.4.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: full
    description: Says what would be removed and what would be kept.
  diff_mode:
    support: partial
    description: What would be removed is in the result.
  idempotent:
    support: full
    description: Where nothing is left, nothing is done.
options:
  service:
    description:
      - Names of services, as a list or with commas between them; V(all) for all that are there.
      - If not set, those that the inventory does not ask for on this host.
    type: raw
  remove_data:
    description: Whether to remove the data as well.
    type: bool
    default: false
seealso:
  - module: vigil.monitoring.deployed_services
"""

EXAMPLES = r"""
- name: Remove what the inventory no longer asks for
  vigil.monitoring.removal:

- name: Remove Prometheus with its data
  vigil.monitoring.removal:
    service: prometheus
    remove_data: true
"""

RETURN = r"""
removed:
  description: What was removed, or would be, by service.
  returned: success
  type: dict
kept:
  description: Paths that are kept, by service - data, and directories with files of others.
  returned: success
  type: dict
words:
  description: The same as sentences.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    """There is nothing to do on the host: the action plugin of the same name runs the modules that remove."""
    module = AnsibleModule(
        argument_spec={"service": {"type": "raw"}, "remove_data": {"type": "bool", "default": False}},
        supports_check_mode=True,
    )
    module.fail_json(msg="this module runs on the controller and needs its action plugin")


if __name__ == "__main__":
    main()
