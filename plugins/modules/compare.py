#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: compare
short_description: Compare a service on a host with the inputs of its role
description:
  - Validates the inputs of a service's role and finds out in one round trip whether its host has the service as they
    specify it - program, files, unit or container, process, loaded configuration, and what the service itself says.
  - Names the steps that a deployment needs. What cannot be compared in that round trip is left to these, as each of them
    compares for itself before it changes anything.
  - It is for the role P(vigil.monitoring.deployment#role), which all services of this collection share.
version_added: 0.3.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
extends_documentation_fragment:
  - vigil.monitoring.attributes.reads_only
options:
  service:
    description: Name of the service, which is that of its role.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Compare Prometheus with the host
  vigil.monitoring.compare:
    service: prometheus
"""

RETURN = r"""
steps:
  description: The steps that the deployment needs, in their order. Empty where the host has the service as specified.
  returned: always
  type: list
  elements: str
  sample: [configuration, activation]
titles:
  description: What the steps do that only this service has.
  returned: always
  type: dict
removals:
  description: What else is removed with the service, where its role removes it; else null.
  returned: always
  type: list
  elements: str
title:
  description: The service's name as its own documentation writes it.
  returned: always
  type: str
  sample: Prometheus
proxied:
  description: Whether a proxy on its host serves it by TLS.
  returned: always
  type: bool
former_proxy:
  description: The service that served it by TLS, if it ever did, and has to be removed before it is changed; else null.
  returned: always
  type: str
release:
  description: The program, as M(vigil.monitoring.release) or M(vigil.monitoring.image) returns it, where it is there as specified.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    """There is nothing to do on the host: the action plugin of the same name does it all."""
    module = AnsibleModule(
        argument_spec={"service": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    module.fail_json(msg="this module runs on the controller and needs its action plugin")


if __name__ == "__main__":
    main()
