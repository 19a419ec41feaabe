#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: client_certificate
short_description: Issue a client certificate for a person or another Prometheus
version_added: 0.3.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
description:
  - Has the certificate authority of C(monitoring_tls) issue a certificate with which exporters let somebody in, and writes it to
    the controller with its key, and with C(ca.crt), by which the exporters are recognised.
  - Changes nothing on any host. Runs once, for all hosts of the play.
options:
  name:
    description:
      - Whose it is. The files are C(<name>.crt) and C(<name>.key).
    type: str
    required: true
  days:
    description:
      - Days for which it is valid, 365 at most. It cannot be withdrawn, but by a rotation of the authority.
    type: int
    default: 30
  dest:
    description:
      - Directory on the controller for the files. It is created if it does not exist. The key is readable by its owner alone.
      - Default is a directory of the O(name) where C(ansible-playbook) was started.
    type: path
attributes:
  check_mode:
    description: Says what would be written, and writes nothing.
    support: full
  diff_mode:
    description: The key is a secret.
    support: none
  idempotent:
    description: Each run issues another certificate.
    support: none
seealso:
  - module: vigil.monitoring.certificate_authority
"""

EXAMPLES = r"""
- name: A certificate for Alice, who reads metrics of exporters with curl
  vigil.monitoring.client_certificate:
    name: alice
    days: 30
    dest: /home/alice/monitoring
"""

RETURN = r"""
files:
  description: The files that were written, or would be in check mode.
  type: list
  elements: str
  returned: always
  sample: [/home/alice/monitoring/alice.crt, /home/alice/monitoring/alice.key, /home/alice/monitoring/ca.crt]
ends:
  description: When the certificate is no longer valid, in UTC.
  type: str
  returned: always
  sample: '2026-12-27T04:30:00+00:00'
"""

from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "days": {"type": "int", "default": 30},
    "dest": {"type": "path"},
}


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="this module runs on the controller and needs its action plugin")


if __name__ == "__main__":
    main()
