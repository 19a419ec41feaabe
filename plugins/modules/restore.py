#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: restore
short_description: One step of the restore of services from a backup
description:
  - What the tasks of the playbook C(restore.yml) are made of. The repository, and how it is reached, is what the role
    P(vigil.monitoring.backup#role) says.
version_added: 0.4.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: partial
    description: Can run in check mode without changing anything.
    details: V(plan) reports what would be restored. The playbook runs no other step in check mode.
  diff_mode:
    support: none
    description: Data is not shown.
  idempotent:
    support: partial
    description: Data that is there is replaced with O(replace) only.
    details: What an interrupted run has put in place is verified, and not restored once more.
options:
  step:
    description:
      - V(plan) validates everything and reports what is restored. V(hold) stops the timer of the backup, and V(release) starts it again.
        V(fetch) restores the data of a service beside what is there, V(place) stops the service and puts the restored data in its place.
        V(verify) fails where the verification did, V(finish) removes what was put aside, and V(undo) brings it back. From V(hold) to
        V(end) no other restore of the host, no backup and no rehearsal begins.
    type: str
    choices: [plan, hold, fetch, place, verify, finish, undo, release, end]
    required: true
  services:
    description: The variable C(restore_services), names of the services that are restored; all of the host by default.
    type: list
    elements: str
    default: []
  snapshot:
    description:
      - The variable C(restore_snapshot), V(latest), the ID of a snapshot, or a time such as V(2026-11-27 03:00), for the newest snapshot
        that is not after it; in the time zone of the host unless it has one.
    type: str
    default: latest
  from:
    description: The variable C(restore_from), the name of the host in the backup. The default is C(backup_name) of the host.
    type: str
    default: ""
  replace:
    description: The variable C(restore_replace), whether data that is on the host is replaced.
    type: bool
    default: false
  service:
    description: A service, as V(plan) has returned it.
    type: dict
  health:
    description: What M(vigil.monitoring.service_health) has returned.
    type: list
    elements: dict
seealso:
  - module: vigil.monitoring.restore_data
"""

EXAMPLES = r"""
- name: Report what would be restored
  vigil.monitoring.restore:
    step: plan
    services: [prometheus]
"""

RETURN = r"""
services:
  description: The services whose data is restored.
  returned: with O(step=plan)
  type: list
  elements: dict
deployed:
  description: Names of the services that are deployed and verified.
  returned: with O(step=plan)
  type: list
  elements: str
words:
  description: Sentences for the person who runs the playbook.
  returned: with O(step=plan) and O(step=undo)
  type: raw
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    """There is nothing to do on the host: the action plugin of the same name runs the module restore_data."""
    steps = ["plan", "hold", "fetch", "place", "verify", "finish", "undo", "release", "end"]
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "required": True, "choices": steps},
            "services": {"type": "list", "elements": "str", "default": []},
            "snapshot": {"type": "str", "default": "latest"},
            "from": {"type": "str", "default": ""},
            "replace": {"type": "bool", "default": False},
            "service": {"type": "dict"},
            "health": {"type": "list", "elements": "dict"},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="this module runs on the controller and needs its action plugin")


if __name__ == "__main__":
    main()
