#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: deployed_services
short_description: Find what this collection has deployed on a host
description:
  - Finds the services of the collection by what it has left on the host - its records, units, state directories, containers, firewall
    rules and releases - whatever the inventory says. It changes nothing.
version_added: 0.4.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
extends_documentation_fragment:
  - vigil.monitoring.attributes.reads_only
options:
  services:
    description: The services to look for.
    type: list
    elements: dict
    required: true
    suboptions:
      service:
        description: Name of the service, which is that of its role.
        type: str
        required: true
      unit:
        description: Name of its unit, without the suffix, and of its container.
        type: str
        required: true
      config_dir:
        description: Where its configuration is, unless something on the host says otherwise.
        type: path
        required: true
      releases_dir:
        description: Directory of its releases, unless its record says otherwise. Empty where it has none.
        type: path
        default: ""
  docker_host:
    description: Address of the Docker engine on the host.
    type: str
    default: unix:///var/run/docker.sock
seealso:
  - module: vigil.monitoring.removal
"""

EXAMPLES = r"""
- name: Find what was deployed on a host
  vigil.monitoring.deployed_services:
    services:
      - service: prometheus
        unit: prometheus
        config_dir: /etc/prometheus
        releases_dir: /opt/vigil/bin
"""

RETURN = r"""
services:
  description: The services of which something is there.
  returned: always
  type: list
  elements: dict
  contains:
    service:
      description: Name of the service.
      type: str
    left:
      description: What is there of it, besides data.
      type: list
      elements: str
    data:
      description: Paths of its data that are there, where its record names them.
      type: list
      elements: str
    config_dir:
      description: Its configuration directory.
      type: str
    record:
      description: Its record, or null.
      type: dict
"""

import os

from ansible_collections.vigil.monitoring.plugins.module_utils._deployed import find
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import DEFAULT_HOST
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_docker import containers_of
from ansible_collections.vigil.monitoring.plugins.module_utils._system import HERE


def main():
    """Entry point."""
    module = Module(
        argument_spec={
            "services": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "service": {"type": "str", "required": True},
                    "unit": {"type": "str", "required": True},
                    "config_dir": {"type": "path", "required": True},
                    "releases_dir": {"type": "path", "default": ""},
                },
            },
            "docker_host": {"type": "str", "default": DEFAULT_HOST},
        },
        supports_check_mode=True,
    )
    if os.geteuid() != 0:
        module.fail_json(msg="root is needed to find what was deployed; run the play with become: true")
    try:
        containers = containers_of(module.params["docker_host"])
        found = [find(HERE, known, containers) for known in module.params["services"]]
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, services=[one for one in found if one["left"] or one["data"]])


if __name__ == "__main__":
    main()
