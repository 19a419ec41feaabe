#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: service_step
short_description: Run one step of a service's role
description:
  - Runs the module that a step of a service's role needs, with options made from the inputs of the role - such as
    M(vigil.monitoring.release), M(vigil.monitoring.config_files) and M(vigil.monitoring.service).
  - It is for the roles of this collection. The modules themselves take all of their options by hand.
version_added: 0.3.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: full
    description: As the module of the step.
  diff_mode:
    support: full
    description: As the module of the step.
  idempotent:
    support: full
    description: As the module of the step.
options:
  service:
    description: Name of the service, which is that of its role.
    type: str
    required: true
  step:
    description:
      - V(program), V(preparation), V(configuration), V(activation) and V(contents) deploy the service in this order;
        V(rollout_ended) fails on a host that was not changed, because another one had failed before its turn;
        V(removal), V(release_removal) and V(further_removal) remove it; V(restarted) and V(reloaded) are for handlers.
      - A service may have others of its own, such as V(drill) and V(silence) of Alertmanager.
    type: str
    required: true
  release:
    description: What the step V(program) has returned, or C(release) of M(vigil.monitoring.compare).
    type: dict
  prepared:
    description: What the step V(preparation) has returned.
    type: dict
  number:
    description: Which of several steps V(further_removal), beginning with 0.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Restart Prometheus and verify it
  vigil.monitoring.service_step:
    service: prometheus
    step: restarted
"""

RETURN = r"""
rollout_ended:
  description: Host that has failed before the turn of this one, which therefore was not changed.
  type: str
  returned: when that is so, by the step V(activation)
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    """There is nothing to do on the host: the action plugin of the same name runs the module of the step."""
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "step": {"type": "str", "required": True},
            "release": {"type": "dict"},
            "prepared": {"type": "dict"},
            "number": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="this module runs on the controller and needs its action plugin")


if __name__ == "__main__":
    main()
