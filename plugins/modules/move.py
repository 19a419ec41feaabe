#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: move
short_description: One step of the move of a service to another host
description:
  - What the tasks of the playbook C(move.yml) are made of. It runs for the new host; steps of the old host are delegated to that.
version_added: 0.4.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: partial
    description: Can run in check mode without changing anything.
    details: V(inspect) and V(decide) work as always and change nothing. The playbook runs no other step in check mode.
  diff_mode:
    support: none
    description: Data is not shown.
  idempotent:
    support: full
    description: What an interrupted run has done is not done again.
options:
  step:
    description:
      - V(inspect), V(start), V(stop), V(spared), V(evidence) and V(fetch) are for the old host; V(decide), V(look), V(spare), V(deliver),
        V(place), V(take_back), V(verify) and V(finish) for the new one.
    type: str
    choices:
      [inspect, decide, look, start, stop, spared, spare, evidence, fetch, deliver, place, take_back, verify, finish]
    required: true
  service:
    description: Name of the service.
    type: str
    required: true
  source:
    description: Name of the old host in the inventory.
    type: str
  target:
    description: Name of the new host in the inventory.
    type: str
  found:
    description: What V(inspect) has found.
    type: dict
  copied:
    description: What V(look) has found.
    type: dict
  fetched:
    description: What V(fetch) or V(spared) has returned.
    type: dict
  evidence:
    description: What V(evidence) has returned.
    type: dict
seealso:
  - module: vigil.monitoring.move_data
"""

EXAMPLES = r"""
- name: Find out what is on the old host
  vigil.monitoring.move:
    step: inspect
    service: prometheus
  delegate_to: old
"""

RETURN = r"""
work:
  description: What there is to do - V(copy), V(again) after an interruption, V(verify) or V(done).
  returned: with O(step=decide)
  type: str
words:
  description: Sentences for the person who runs the playbook.
  returned: with O(step=decide) and O(step=verify)
  type: raw
evidence:
  description: What was requested of the service, and what it answered.
  returned: with O(step=evidence)
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    """There is nothing to do on the host: the action plugin of the same name runs the module move_data."""
    steps = ["inspect", "decide", "look", "start", "stop", "spared", "spare"]
    steps += ["evidence", "fetch", "deliver", "place", "take_back", "verify", "finish"]
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "required": True, "choices": steps},
            "service": {"type": "str", "required": True},
            "source": {"type": "str"},
            "target": {"type": "str"},
            **{name: {"type": "dict"} for name in ("found", "copied", "fetched", "evidence")},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="this module runs on the controller and needs its action plugin")


if __name__ == "__main__":
    main()
