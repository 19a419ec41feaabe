#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: silence
short_description: Create a silence, or expire it
version_added: 0.2.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
description:
  - Ensures that a silence with these matchers lasts for the given duration from now on, or that there is none.
  - An active or pending silence of the same author with the same matchers is kept, and extended if it would end too
    early; it is never shortened. Other silences are not changed.
  - A silence expires by itself.
extends_documentation_fragment:
  - vigil.monitoring.access
  - vigil.monitoring.access.alertmanager
options:
  state:
    description: Whether the silence exists or not.
    type: str
    choices: [present, absent]
    default: present
  matchers:
    description:
      - Matchers of the silence, as in Alertmanager's routes, such as V(service="api") or V(instance=~"web1:.*").
      - An alert must match all of them. Matchers that would match every alert are refused.
    type: list
    elements: str
  id:
    description: For O(state=absent), the id of the silence to expire, instead of O(matchers) and O(author).
    type: str
  duration:
    description: Duration from now on, such as V(30m) or V(1h30m).
    type: str
    default: 1h
  tolerance:
    description: A silence that ends earlier by no more than this duration is kept unchanged.
    type: str
    default: 1m
  comment:
    description: Comment that says why the silence exists.
    type: str
    default: Made by Ansible
  author:
    description: Author of the silence. Silences of other authors are not changed.
    type: str
    default: ansible
attributes:
  check_mode:
    description: Returns what would change.
    support: full
  diff_mode:
    description: Shows matchers, end, comment and author.
    support: full
  idempotent:
    description: A silence that lasts long enough is kept.
    support: full
seealso:
  - module: vigil.monitoring.alert_drill
"""

EXAMPLES = r"""
- name: Silence the API for half an hour
  vigil.monitoring.silence:
    alertmanager_url: http://localhost:9093
    matchers:
      - service="api"
      - severity=~"warning|info"
    duration: 30m
    comment: Release 1.4
    author: "{{ lookup('ansible.builtin.env', 'USER') }}"

- name: Expire the silence after the work
  vigil.monitoring.silence:
    alertmanager_url: http://localhost:9093
    matchers:
      - service="api"
      - severity=~"warning|info"
    author: "{{ lookup('ansible.builtin.env', 'USER') }}"
    state: absent
"""

RETURN = r"""
id:
  description: Id of the silence; of several that were expired, the one that would have lasted longest.
  type: str
  returned: when there is or was one, and not for one that would be created in check mode
  sample: 6a3e7a3c-9f0c-4ad5-8a53-4b4a6f8f6f0e
ids:
  description: Ids of all affected silences.
  type: list
  elements: str
  returned: always
ends_at:
  description: When it ends.
  type: str
  returned: when O(state=present)
  sample: "2025-06-01T12:30:00.000000Z"
"""

from ansible_collections.vigil.monitoring.plugins.module_utils import _alertmanager_api, _client, _silence
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module

SILENCES = "/api/v2/silences"


def present(api, given, matchers, check_mode):
    """Create or extend the silence; returns the result of the module."""
    silences = _silence.equal_ones(api.json("GET", SILENCES, kind=list), matchers, given["author"])
    before = silences[0] if silences else None
    # Its clock, not ours: a silence of one that is ahead would begin later.
    now = api.now()
    ends = now + _alertmanager_api.seconds(given["duration"])
    if before and _alertmanager_api.from_time(before["endsAt"]) >= ends - _alertmanager_api.seconds(given["tolerance"]):
        return {"changed": False, "id": before["id"], "ids": [before["id"]], "ends_at": before["endsAt"]}
    after = {
        "matchers": [matcher.as_dict() for matcher in matchers],
        "startsAt": before["startsAt"] if before else _alertmanager_api.to_time(now),
        "endsAt": _alertmanager_api.to_time(ends),
        "createdBy": given["author"],
        "comment": given["comment"],
    }
    result = {"changed": True, "ends_at": after["endsAt"], "ids": []}
    result["diff"] = {"before": _silence.shown(before), "after": _silence.shown(after)}
    if before:
        after["id"] = before["id"]
        result.update(id=before["id"], ids=[before["id"]])
    if not check_mode:
        made = api.json("POST", SILENCES, after)["silenceID"]
        result.update(id=made, ids=[made])
    return result


def absent(api, given, matchers, check_mode):
    """Expire the silences; returns the result of the module."""
    silences = api.json("GET", SILENCES, kind=list)
    if given["id"]:
        found = [
            silence for silence in silences if silence["id"] == given["id"] and silence["status"]["state"] != "expired"
        ]
    else:
        found = _silence.equal_ones(silences, matchers, given["author"])
    if not check_mode:
        for silence in found:
            api.request("DELETE", "/api/v2/silence/" + silence["id"])
    result = {"changed": bool(found), "ids": [silence["id"] for silence in found]}
    if found:
        result.update(id=found[0]["id"], diff={"before": _silence.shown(found[0]), "after": {}})
    return result


def main():
    module = Module(
        argument_spec={
            **_alertmanager_api.ARGUMENTS,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "matchers": {"type": "list", "elements": "str"},
            "id": {"type": "str"},
            "duration": {"type": "str", "default": "1h"},
            "tolerance": {"type": "str", "default": "1m"},
            "comment": {"type": "str", "default": "Made by Ansible"},
            "author": {"type": "str", "default": "ansible"},
        },
        supports_check_mode=True,
        required_by=_client.REQUIRED_BY,
        required_if=[("state", "present", ["matchers"])],
        required_one_of=[("matchers", "id")],
        mutually_exclusive=[("matchers", "id")],
    )
    given, api = module.params, _alertmanager_api.Api.of(module)
    try:
        matchers = _silence.parse_all(given["matchers"]) if given["matchers"] is not None else None
        if given["state"] == "present":
            result = present(api, given, matchers, module.check_mode)
        else:
            result = absent(api, given, matchers, module.check_mode)
    except (ValueError, _alertmanager_api.ApiError) as error:
        module.fail_json(msg=str(error), ids=[])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
