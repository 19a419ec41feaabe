#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: service_health
short_description: Ask a service whether it serves what was asked for
description:
  - Asks a service on the host itself for its version and its configuration, and a Prometheus server for its rules and
    its Alertmanagers too.
  - What is wrong is returned and does not fail the task, so that a whole run can be judged at its end.
version_added: 0.1.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: full
    description: It only asks.
options:
  probe:
    description: How to ask, as for M(vigil.monitoring.daemon).
    type: dict
    required: true
    suboptions:
      kind:
        description: What kind of service answers.
        type: str
        choices: [alertmanager, node_exporter, prometheus]
        required: true
      url:
        description: Base URL as seen from the host itself.
        type: str
        required: true
      metrics_path:
        description: Path of its metrics below O(probe.url).
        type: str
        default: /metrics
      username:
        description: Name for basic authentication.
        type: str
      password:
        description: Password for basic authentication.
        type: str
      ca_path:
        description: File on the host with the authority that signed the service's certificate.
        type: path
  version:
    description: Version that has to answer. Without it any version is good.
    type: str
  alertmanagers:
    description: What a Prometheus server has in C(alerting.alertmanagers). Those it names have to be connected.
    type: list
    elements: dict
    default: []
  agent:
    description: Whether the Prometheus server is an agent, which has neither rules nor Alertmanagers.
    type: bool
    default: false
  timeout:
    description: Seconds within which everything has to be in order.
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: Ask Alertmanager
  vigil.monitoring.service_health:
    probe:
      kind: alertmanager
      url: http://127.0.0.1:9093
    version: 0.33.1
"""

RETURN = r"""
problems:
  description: What is wrong, one sentence each.
  returned: always
  type: list
  elements: str
unproven:
  description: What could not be asked.
  returned: always
  type: list
  elements: str
version:
  description: Version that answers.
  returned: always
  type: str
url:
  description: Where it was asked, as seen from its host.
  returned: always
  type: str
rules:
  description: Number of rules that are loaded.
  returned: when a Prometheus server answers
  type: int
"""

import json
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vigil.monitoring.plugins.module_utils._http import get
from ansible_collections.vigil.monitoring.plugins.module_utils._probe import READY_PATHS, judge, words
from ansible_collections.vigil.monitoring.plugins.module_utils._stack import (
    alertmanager_problems,
    rule_problems,
    static_addresses,
)

POLL_SECONDS = 0.5


def look(parameters):
    """Ask everything once."""
    probe = parameters["probe"]
    credentials = (probe["username"], probe["password"], probe["ca_path"])
    metrics = get(probe["url"] + probe["metrics_path"], *credentials)
    path = READY_PATHS[probe["kind"]]
    ready = get(probe["url"] + path, *credentials) if path and metrics.status == 200 else None
    verdict = judge(probe["kind"], metrics, ready, parameters["version"])
    result = {"problems": [], "unproven": [], "url": probe["url"], "version": words(probe["kind"], metrics.text).version}
    if verdict.state == "unproven":
        result["unproven"].append("version and configuration: " + verdict.reason)
    elif verdict.state != "ok":
        result["problems"].append(verdict.reason)
    elif probe["kind"] == "prometheus" and not parameters["agent"]:
        rules = get(probe["url"] + "/api/v1/rules", *credentials, timeout=20.0)
        connected = get(probe["url"] + "/api/v1/alertmanagers", *credentials)
        try:
            result["rules"], result["problems"] = rule_problems(json.loads(rules.text))
            result["problems"] += alertmanager_problems(
                json.loads(connected.text), static_addresses(parameters["alertmanagers"])
            )
        except (KeyError, TypeError, ValueError):
            result["problems"].append(
                "its API answers HTTP {0} and {1}, and not what an API of Prometheus says".format(
                    rules.status, connected.status
                )
            )
    return result


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "probe": {
                "type": "dict",
                "required": True,
                "options": {
                    "kind": {"type": "str", "choices": sorted(READY_PATHS), "required": True},
                    "url": {"type": "str", "required": True},
                    "metrics_path": {"type": "str", "default": "/metrics"},
                    "username": {"type": "str"},
                    "password": {"type": "str", "no_log": True},
                    "ca_path": {"type": "path"},
                },
            },
            "version": {"type": "str"},
            "alertmanagers": {"type": "list", "elements": "dict", "default": []},
            "agent": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    # A check run on a host without the service has nothing to wait for.
    deadline = time.monotonic() + (0 if module.check_mode else module.params["timeout"])
    while True:
        result = look(module.params)
        if not result["problems"] or time.monotonic() >= deadline:
            module.exit_json(changed=False, **result)
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
