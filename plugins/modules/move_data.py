#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: move_data
short_description: Read, write and place the data of a service that moves to another host
description:
  - What the playbook C(move.yml) does on each of the two hosts. It is used by M(vigil.monitoring.move), not by itself.
  - Data is read and written with the rights of the account that its directory belongs to. Until it is complete, the copy lies in
    C(.vigil-move) below the data directory.
version_added: 0.4.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: partial
    description: Can run in check mode without changing anything.
    details: In check mode, V(inspect) and V(request) work; the others do nothing.
options:
  step:
    description:
      - V(inspect) reports what is there. V(read) puts a part of the data into a file, V(write) writes one to the copy. V(spared) returns
        the files without which the data cannot be read, and V(spare) writes them. V(place) puts the copy into its place, and V(take_back)
        makes it a copy again. V(request) sends HTTP requests to the service, as its health check does. V(finish) forgets the move.
    type: str
    choices: [inspect, read, write, spared, spare, place, take_back, request, finish]
    required: true
  service:
    description: Name of the service.
    type: str
    required: true
  data_dir:
    description: Directory of the data; the one that the service was verified with if not set.
    type: path
  origin:
    description: Name of the host that the data comes from.
    type: str
  part:
    description: Pieces of files, each a path, an offset and a length in bytes.
    type: list
    elements: list
    default: []
  listed:
    description: What the listing of the data says of the files of O(part).
    type: dict
    default: {}
  remove:
    description: Paths of the copy that go before anything is written.
    type: list
    elements: str
    default: []
  make:
    description: Directories and links of the copy, each a path and what is listed of it.
    type: list
    elements: list
    default: []
  path:
    description: File on the host in which V(read) puts a part of the data, compressed, and from which V(write) takes it and removes it.
    type: path
  writer:
    description: Newest version that has written to the data.
    type: str
  evidence:
    description: What was requested of the service before its data moved, and what it answered.
    type: dict
  spare:
    description: Files without which the data cannot be read, each with its V(path) and its V(content) in Base64.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Its path.
        type: path
        required: true
      content:
        description: Its content in Base64.
        type: str
        required: true
  requests:
    description: Paths that are requested, by what they are called.
    type: dict
    default: {}
  username:
    description: User name for these requests, if it is another one than that of the health check.
    type: str
  password:
    description: Its password.
    type: str
extends_documentation_fragment:
  - vigil.monitoring.attributes.step_with_data
seealso:
  - module: vigil.monitoring.move
"""

EXAMPLES = r"""
- name: Report where the data of Prometheus is
  vigil.monitoring.move_data:
    step: inspect
    service: prometheus
"""

RETURN = r"""
found:
  description: What is there.
  returned: with O(step=inspect)
  type: dict
spared:
  description: Files without which the data cannot be read, each with its C(path) and its C(content) in Base64.
  returned: with O(step=spared)
  type: list
  elements: dict
answers:
  description: The answers, by what they are called, each with its C(status) and C(text).
  returned: with O(step=request)
  type: dict
"""

import os

from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._move import DataOfService
from ansible_collections.vigil.monitoring.plugins.module_utils._system import HERE


def _inspect(data, dummy):
    return {"changed": False, "found": data.inspect()}


def _read(data, given):
    data.read(given["part"], given["path"])
    return {"changed": False}


def _write(data, given):
    data.begin(given["origin"])
    data.write(given["remove"], given["make"], given["part"], given["listed"], given["path"])
    return {"changed": True}


def _spared(data, dummy):
    return {"changed": False, "spared": data.spared()}


def _spare(data, given):
    return {"changed": data.write_spared(given["spare"])}


def _place(data, given):
    data.place(given["origin"], given["writer"], given["evidence"])
    return {"changed": True}


def _take_back(data, given):
    return {"changed": data.take_back(given["origin"])}


def _request(data, given):
    login = {"username": given["username"], "password": given["password"]} if given["username"] else {}
    return {"changed": False, "answers": data.request(given["requests"], login)}


def _finish(data, dummy):
    return {"changed": data.finish()}


STEPS = {
    "inspect": _inspect,
    "read": _read,
    "write": _write,
    "spared": _spared,
    "spare": _spare,
    "place": _place,
    "take_back": _take_back,
    "request": _request,
    "finish": _finish,
}


def main():
    """Entry point."""
    module = Module(
        argument_spec={
            "step": {
                "type": "str",
                "required": True,
                "choices": list(STEPS),
            },
            "service": {"type": "str", "required": True},
            "data_dir": {"type": "path"},
            "origin": {"type": "str"},
            "part": {"type": "list", "elements": "list", "default": []},
            "listed": {"type": "dict", "default": {}},
            "remove": {"type": "list", "elements": "str", "default": []},
            "make": {"type": "list", "elements": "list", "default": []},
            "path": {"type": "path"},
            "writer": {"type": "str"},
            "evidence": {"type": "dict"},
            "spare": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "content": {"type": "str", "required": True, "no_log": True},
                },
            },
            "requests": {"type": "dict", "default": {}},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    if os.geteuid() != 0:
        module.fail_json(msg="root is needed to move data; run the play with become: true")
    if module.check_mode and given["step"] not in ("inspect", "request"):
        module.exit_json(changed=False, skipped=True)
    try:
        data = DataOfService(given["service"], given["data_dir"], HERE)
        module.exit_json(**STEPS[given["step"]](data, given))
    except (HostError, OSError, UnicodeError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
