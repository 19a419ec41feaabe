#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alert_drill
short_description: Send a synthetic alert along each route and verify that its notifications are delivered
version_added: 0.2.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
description:
  - Posts one alert after the other to Alertmanager, and reads from its metrics which notifications the services behind the
    receivers accepted. C(amtool alert add) does not verify that.
  - The drill notifies real people, including pagers. Its messages say that they are a drill, and its end is sent as well.
  - Notifications of real alerts during the drill are counted as well. With the feature C(receiver-name-in-metrics) of
    Alertmanager 0.27 or newer they are distinguished by receiver, otherwise by kind of integration and by time.
  - Whether anybody read a notification is not verified.
extends_documentation_fragment:
  - vigil.monitoring.access
  - vigil.monitoring.access.alertmanager
options:
  drills:
    description: The alerts to send, one for each route of the configuration.
    type: list
    elements: dict
    required: true
    suboptions:
      labels:
        description: Labels of the alert.
        type: dict
        required: true
      unique:
        description: Names of the labels that get another value in each run.
        type: list
        elements: str
        default: []
      steps:
        description: The receivers that it must reach.
        type: list
        elements: dict
        required: true
        suboptions:
          receiver:
            description: Name of the receiver.
            type: str
            required: true
          wait:
            description: Seconds after which its notifications are due.
            type: float
            required: true
          integrations:
            description: Number of notifications of each kind that it sends, such as one of C(slack).
            type: dict
            required: true
  left_out:
    description: Receivers that are not tested, each with the reason; they are listed with the others.
    type: dict
    default: {}
  patience:
    description: Seconds that a notification may be late.
    type: float
    default: 30
attributes:
  check_mode:
    description: Returns what would be sent.
    support: full
  diff_mode:
    description: Nothing is changed, so there is nothing to show.
    support: none
  idempotent:
    description: Each run sends new notifications, and leaves nothing behind.
    support: none
seealso:
  - module: vigil.monitoring.silence
"""

EXAMPLES = r"""
- name: Verify that a critical alert is delivered
  vigil.monitoring.alert_drill:
    alertmanager_url: http://localhost:9093
    drills:
      - labels:
          alertname: Drill
          severity: critical
        unique: [alertname]
        steps:
          - receiver: page
            wait: 240
            integrations:
              pagerduty: 1
"""

RETURN = r"""
table:
  description: The result for each receiver, as text.
  type: str
  returned: always
messages:
  description: The same as structured data.
  type: list
  elements: dict
  returned: always
  contains:
    alert:
      description: Labels of the alert.
      type: str
      sample: severity="critical"
    receiver:
      description: Name of the receiver.
      type: str
      sample: page
    integration:
      description: Kind of the integration.
      type: str
      sample: pagerduty
    result:
      description: The result.
      type: str
      sample: sent after 241 s
    sent:
      description: Whether the service behind it accepted the notification.
      type: bool
"""

import time
import uuid

from ansible_collections.vigil.monitoring.plugins.module_utils import _alertmanager_api, _client, _drill_results
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module

INTERVAL = 1.0
ANNOTATIONS = {
    "summary": "This is a drill: no action is required",
    "description": "A synthetic alert that tests whether notifications arrive. It resolves by itself.",
}


def alert(drill, run, began, ends):
    """A drill's alert as the API expects it; without an end it would outlive an interrupted run."""
    labels = {name: str(value) for name, value in drill["labels"].items()}
    labels.update((name, "{0}-{1}".format(labels[name], run)) for name in drill["unique"])
    times = {"startsAt": _alertmanager_api.to_time(began), "endsAt": _alertmanager_api.to_time(ends)}
    return {"labels": labels, "annotations": ANNOTATIONS, **times}


def play(api, drill, posted, patience, clock=time.monotonic, sleep=time.sleep):
    """Send one alert and wait for its notifications; returns the rows of the table.

    :param posted: where the alert is noted, so that it can be ended.
    """
    watch = _drill_results.Watch(
        drill["steps"], _drill_results.parse(api.request("GET", "/metrics").decode("utf-8", "replace"))
    )
    longest = max((row["wait"] for row in watch.rows), default=0) + patience
    began = clock()
    # Long enough for the drills that follow: an end is told, and would be taken for one of their messages.
    at = api.now()
    posted.append(alert(drill, uuid.uuid4().hex[:8], at, at + longest + 3600))
    api.request("POST", "/api/v2/alerts", posted[-1:])
    while True:
        counters = _drill_results.parse(api.request("GET", "/metrics").decode("utf-8", "replace"))
        elapsed = clock() - began
        if watch.inspect(counters, elapsed) or watch.elapsed > longest:
            break
        sleep(INTERVAL)
    return [
        {
            "alert": _drill_results.shown_labels(drill["labels"], drill["unique"]),
            "receiver": row["receiver"],
            "integration": row["integration"],
            "result": watch.verdict(row, elapsed),
            "sent": row["sent_after"] is not None,
        }
        for row in watch.rows
    ]


def planned(drill):
    """The rows of a drill that is not sent."""
    return [
        {
            "alert": _drill_results.shown_labels(drill["labels"], drill["unique"]),
            "receiver": step["receiver"],
            "integration": integration,
            "result": "due after {0:.0f} s".format(step["wait"]),
            "sent": False,
        }
        for step in drill["steps"]
        for integration in sorted(step["integrations"])
    ]


def main():
    step = {
        "receiver": {"type": "str", "required": True},
        "wait": {"type": "float", "required": True},
        "integrations": {"type": "dict", "required": True},
    }
    drill = {
        "labels": {"type": "dict", "required": True},
        "unique": {"type": "list", "elements": "str", "default": []},
        "steps": {"type": "list", "elements": "dict", "required": True, "options": step},
    }
    module = Module(
        argument_spec={
            **_alertmanager_api.ARGUMENTS,
            "drills": {"type": "list", "elements": "dict", "required": True, "options": drill},
            "left_out": {"type": "dict", "default": {}},
            "patience": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
        required_by=_client.REQUIRED_BY,
    )
    given, api, posted, rows = module.params, _alertmanager_api.Api.of(module), [], []
    if not given["drills"]:
        table = _drill_results.table([], given["left_out"])
        msg = "nothing was sent: no route has a receiver with integrations that is not skipped\n" + table
        module.fail_json(msg=msg, messages=[], table=table)
    if module.check_mode:
        rows = [row for one in given["drills"] for row in planned(one)]
        module.exit_json(changed=False, messages=rows, table=_drill_results.table(rows, given["left_out"]))
    problem = None
    try:
        for one in given["drills"]:
            rows += play(api, one, posted, given["patience"])
    except _alertmanager_api.ApiError as error:
        problem = str(error)
    try:
        if posted:
            over = _alertmanager_api.to_time(api.now())
            api.request("POST", "/api/v2/alerts", [dict(one, endsAt=over) for one in posted])
    except _alertmanager_api.ApiError as error:
        problem = (
            problem
            or "the alerts of the drill could not be resolved early, they resolve by themselves: {0}".format(error)
        )
    result = {"messages": rows, "table": _drill_results.table(rows, given["left_out"]), "changed": False}
    lost = [row for row in rows if not row["sent"]]
    if problem:
        module.fail_json(msg="{0}\n{1}".format(problem, result["table"]), **result)
    if lost:
        names = ", ".join(sorted({"{receiver} ({integration})".format(**row) for row in lost}))
        module.fail_json(msg="not all notifications were sent: {0}\n{1}".format(names, result["table"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
