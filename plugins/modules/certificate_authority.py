#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_authority
short_description: Rotate the certificate authority of an inventory, or renew what it has issued
version_added: 0.3.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
description:
  - Changes the files in C(monitoring_tls_dir) on the controller, and nothing on any host. What follows from them is deployed by
    the roles of the services, so that their tasks have to run after this one.
  - Runs once, for all hosts of the play.
options:
  rotation:
    description:
      - A step of a rotation. After each one, all services of all hosts have to be deployed before the next one is taken; the
        playbook C(vigil.monitoring.rotate_ca) does so.
      - V(announce) makes a new authority, which is trusted beside the old one; the old one still issues.
      - V(switch) has the new one issue. Both are trusted.
      - V(finish) has the new one alone trusted, and removes the key of the old one.
      - A step that a rotation has taken already changes nothing, so that one that was interrupted is taken up again.
      - It fails where O(rotation) would cut off hosts that C(--limit) or C(--tags) leave out, or that have failed in this run.
    type: str
    choices: [announce, switch, finish]
  renew:
    description:
      - Whether the services of all hosts of the play get new certificates and keys from the next deployment on.
      - Either this or O(rotation) is required.
    type: bool
attributes:
  check_mode:
    description: Says what would be done, and writes nothing.
    support: full
  diff_mode:
    description: The files hold secrets.
    support: none
  idempotent:
    description: O(rotation) is; O(renew) makes new certificates each time.
    support: partial
"""

EXAMPLES = r"""
- name: Have a new authority trusted beside the old one
  vigil.monitoring.certificate_authority:
    rotation: announce

- name: New certificates for these hosts, in a playbook of your own
  hosts: web
  tasks:
    - name: Renew the certificates
      vigil.monitoring.certificate_authority:
        renew: true

    - name: Deploy node_exporter with its new certificate
      ansible.builtin.include_role:
        name: vigil.monitoring.node_exporter
"""

RETURN = r"""
stage:
  description:
    - Where the rotation is. V(idle), there is one authority; V(announced), the old one issues and both are trusted;
      V(switched), the new one issues and both are trusted.
  type: str
  returned: always
  sample: announced
trusted:
  description: The authorities that are trusted, and how long they are valid.
  type: list
  elements: str
  returned: with O(rotation)
  sample: ['CN=Monitoring CA 2026-11-27 until 2036-11-24']
directory:
  description: Directory of the files on the controller.
  type: str
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {
    "rotation": {"type": "str", "choices": ["announce", "switch", "finish"]},
    "renew": {"type": "bool"},
}
ONE_OF = ["rotation", "renew"]


def main():
    module = AnsibleModule(
        argument_spec=ARGUMENTS, mutually_exclusive=[ONE_OF], required_one_of=[ONE_OF], supports_check_mode=True
    )
    module.fail_json(msg="this module runs on the controller and needs its action plugin")


if __name__ == "__main__":
    main()
