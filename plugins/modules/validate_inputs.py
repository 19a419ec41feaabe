#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: validate_inputs
short_description: Refuse inputs of a role that cannot work
description:
  - Checks the variables of a role before anything is done, or of all roles before the first of them changes anything, and
    names everything that is wrong with them at once.
  - A variable that begins with the name of the role and is likely to be a typo of an input, a letter or two away, is
    refused. All others that mean nothing to the role are listed in one warning a run, or refused where
    C(monitoring_strict_variables) is true. Variables of your own are listed in C(monitoring_own_variables), as names or
    shell patterns.
  - Beyond the types, which are those of the role's argument specs, it checks durations, sizes, addresses, checksums, hashes,
    flags that contradict inputs, files that are not there, what YAML has understood otherwise for want of quotes, and what
    the specified version does not support.
  - Runs on the controller alone. Values of secrets are never repeated.
version_added: 0.1.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
extends_documentation_fragment:
  - vigil.monitoring.attributes.reads_only
options:
  role:
    description:
      - Role of this collection whose inputs are checked, as its own tasks see them.
      - Without it, those of all services whose groups the hosts of the play are in, once for all hosts; the roles then do
        not check them again in this run, unless a play gives them values.
      - With V(backup), which is no service, its inputs on all hosts of the play, once for all of them.
    type: str
"""

EXAMPLES = r"""
- name: Refuse inputs that cannot work
  vigil.monitoring.validate_inputs:
    role: prometheus

- name: Refuse inputs of any service that cannot work
  vigil.monitoring.validate_inputs:
  run_once: true
"""

RETURN = r""" # """

from ansible.module_utils.basic import AnsibleModule


def main():
    """There is nothing to do on the host: the action plugin of the same name does it all."""
    module = AnsibleModule(
        argument_spec={"role": {"type": "str"}},
        supports_check_mode=True,
    )
    module.fail_json(msg="this module runs on the controller and needs its action plugin")


if __name__ == "__main__":
    main()
