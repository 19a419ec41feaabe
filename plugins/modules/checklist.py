#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: checklist
short_description: Run the daily and weekly operations checklist on the history of Prometheus
version_added: 0.2.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
description:
  - Queries a Prometheus server for targets that are up, alerts that fired, what has changed since the start of the range, the
    busiest hosts, disk usage and its trend, age of backups, health of monitoring itself, and how the thresholds of alerts
    compare with the measured values.
  - M(vigil.monitoring.report) writes a readable report of the results.
  - Sends at most forty requests, and two for each threshold, however many hosts there are. A request that fails is listed
    in RV(problems); the others continue. The findings themselves are never a failure of the task.
  - Without O(prometheus_url), on a host of the inventory group C(prometheus), URL, credentials and expected targets come
    from the variables of the role P(vigil.monitoring.prometheus#role), and the controller sends the requests; a server that
    cannot be reached from there is queried from its own host.
options:
  prometheus_url:
    description:
      - URL of Prometheus, with the path of its C(--web.external-url) or C(--web.route-prefix) if it has one.
      - A user name and password in it are used as O(url_username) and O(url_password), and never shown.
    type: str
  range:
    description: The time range of the report, until now, such as V(24h) or V(7d).
    type: str
    default: 24h
  trend_range:
    description: The time range of the linear regression that predicts when disks are full; at least O(range).
    type: str
    default: 7d
  thresholds:
    description:
      - Thresholds to compare with history. Without this option they are taken from the alerting rules of Prometheus,
        if an expression is only a comparison with a number; RV(thresholds.left_out) lists the rules that are not.
    type: list
    elements: dict
    suboptions:
      alert:
        description: Name of the alert.
        type: str
        required: true
      severity:
        description: Its severity.
        type: str
        default: ""
      expr:
        description: PromQL expression that is compared, without the comparison.
        type: str
        required: true
      op:
        description: Comparison operator.
        type: str
        choices: ['>', '>=', '<', '<=']
        default: '>'
      threshold:
        description: The number to compare with.
        type: float
        required: true
      for:
        description: How long the comparison must be true, as a duration.
        type: str
        default: "0"
  threshold_range:
    description: The time range in which it is counted how often each alert would have fired.
    type: str
    default: 7d
  percentile_range:
    description:
      - The time range of the 99th percentile.
      - A threshold is suggested only from series with samples of at least seven days.
    type: str
    default: 30d
  expect:
    description:
      - The targets that must be up. Without this option, all targets of Prometheus.
    type: list
    elements: dict
    suboptions:
      job:
        description: Value of the target's C(job) label.
        type: str
        required: true
      instance:
        description: Value of the target's C(instance) label.
        type: str
        required: true
  pools:
    description: Scrape configurations all of whose targets must be up, in addition to O(expect).
    type: list
    elements: str
    default: []
  ignore:
    description: Targets that may be down, as regular expressions that match the whole of C(job) and C(instance).
    type: list
    elements: dict
    default: []
    suboptions:
      job:
        description: Regular expression for the C(job) label.
        type: str
      instance:
        description: Regular expression for the C(instance) label.
        type: str
  timeout:
    description: Seconds for all requests together. Remaining ones are not sent.
    type: float
    default: 600
  query_timeout:
    description: Seconds for one request.
    type: float
    default: 60
  version_metrics:
    description:
      - Metrics whose label tells the version of a program, with that label, beside those with C(version) in C(<program>_build_info).
      - Those of the services of this collection are added.
    type: dict
    default: {}
extends_documentation_fragment:
  - vigil.monitoring.access
  - vigil.monitoring.attributes.reads_only
seealso:
  - module: vigil.monitoring.report
  - module: vigil.monitoring.target_health
"""

EXAMPLES = r"""
- name: Run the checklist for the last 24 hours
  vigil.monitoring.checklist:
    prometheus_url: http://localhost:9091
  register: night

- name: Run the checklist for the last week, and check two thresholds
  vigil.monitoring.checklist:
    prometheus_url: https://prometheus.example.com/prometheus
    url_username: monitoring
    url_password: "{{ vault_prometheus_password }}"
    range: 7d
    thresholds:
      - alert: HighLoad
        severity: warning
        expr: node_load1
        threshold: 4
        for: 15m
      - alert: DatabaseCacheHitLow
        severity: warning
        expr: 100 * sum by (instance) (rate(pg_stat_database_blks_hit[5m])) / sum by (instance) (rate(pg_stat_database_blks_read[5m]))
        op: "<"
        threshold: 95
        for: 15m
  register: week
"""

RETURN = r"""
answered:
  description: Whether Prometheus could be queried. If false, only RV(url) and RV(problems) are returned with it.
  type: bool
  returned: always
url:
  description: URL of the server.
  type: str
  returned: always
  sample: http://localhost:9091
version:
  description: Version of Prometheus.
  type: str
  returned: when answered
  sample: 3.5.3
start:
  description: Start of the range, in seconds since the epoch.
  type: int
  returned: when answered
end:
  description: End of the range, by the clock of Prometheus.
  type: int
  returned: when answered
range:
  description: Seconds between the two.
  type: int
  returned: when answered
  sample: 86400
oldest:
  description: Time of the oldest sample in the TSDB of Prometheus, if a metric has it.
  type: float
  returned: when answered
targets:
  description: Targets as M(vigil.monitoring.target_health) reports them, and for each of C(jobs) how many are up out of how many.
  type: dict
  returned: when answered
services:
  description:
    - Jobs with the five C(instances) of the lowest availability in the range, the reported C(versions), and C(restarts).
  type: list
  elements: dict
  returned: when answered
alerts:
  description:
    - Alerts that fired in the range - C(fired) is a list of C(alert), C(severity), C(labels) and C(episodes), each with
      C(start), C(end), whether it is C(ongoing), and whether it began C(before) the range.
    - When more than 500 series fired, C(by_name) is true and the labels are omitted.
  type: dict
  returned: when answered
changes:
  description:
    - What is different from the start of the range, if there are samples of it (C(compared)) - targets that were C(added) and
      C(removed), by job; C(versions) of programs; C(figures); and in C(alerts_before) the alerts that fired in the range before.
  type: dict
  returned: when answered
hosts:
  description:
    - The ten hosts that used most C(cpu) and most C(memory) at one time, in percent, with the C(most), C(mean) and C(last) value
      and the C(history).
  type: dict
  returned: when answered
disks:
  description: Writable file systems with C(used) in percent, bytes C(per_day), C(days_left) and C(history).
  type: list
  elements: dict
  returned: when answered
backups:
  description:
    - Backups with C(last), C(age) in seconds, C(successes) in the range, and whether their metric is C(gone).
    - C(size) in bytes, the times C(checked) and C(rehearsed), and C(check_success) are null where no metric has them.
  type: list
  elements: dict
  returned: when answered
rehearsals:
  description: What the last rehearsal of a restore found - C(backup), C(service), when it was C(rehearsed), the C(snapshot) and when it was
    C(taken), C(size) in bytes, C(seconds) of the restore, and C(items), each with C(what), C(restored) and C(running).
  type: list
  elements: dict
  returned: when answered
checks:
  description: Metrics of Prometheus and Alertmanager about themselves - C(check), C(value), C(bad), C(where).
  type: list
  elements: dict
  returned: when answered
thresholds:
  description: Thresholds compared with history.
  type: dict
  returned: when answered
  contains:
    checked:
      description:
        - Each threshold with C(times), seconds of C(firing), C(percentile), the C(labels) that have it, C(proposal).
        - C(hours) is the number of full hours with a sample, of the series with most of them; below 168, there is no proposal.
      type: list
      elements: dict
    left_out:
      description: Rules whose expression has no adjustable threshold - C(alert), C(severity), C(why).
      type: list
      elements: dict
marks:
  description:
    - Thresholds from the variables of the role - C(cpu), C(memory) and C(disk), percent by severity, C(of), the same for each
      instance with thresholds of its own, and C(backup), hours by severity.
  type: dict
  returned: when answered and O(prometheus_url) is not given
problems:
  description: Requests that failed, as C(section) and C(text).
  type: list
  elements: dict
  returned: always
queries:
  description: Number of requests.
  type: int
  returned: when answered
  sample: 61
"""

from ansible_collections.vigil.monitoring.plugins.module_utils import _checklist, _client, _promql, _targets
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module

PAIR = {"job": {"type": "str"}, "instance": {"type": "str"}}
TARGET = {"job": {"type": "str", "required": True}, "instance": {"type": "str", "required": True}}
THRESHOLD = {
    "alert": {"type": "str", "required": True},
    "severity": {"type": "str", "default": ""},
    "expr": {"type": "str", "required": True},
    "op": {"type": "str", "choices": [">", ">=", "<", "<="], "default": ">"},
    "threshold": {"type": "float", "required": True},
    "for": {"type": "str", "default": "0"},
}
ARGUMENTS = {
    "prometheus_url": {"type": "str"},
    "range": {"type": "str", "default": "24h"},
    "trend_range": {"type": "str", "default": "7d"},
    "thresholds": {"type": "list", "elements": "dict", "options": THRESHOLD},
    "threshold_range": {"type": "str", "default": "7d"},
    "percentile_range": {"type": "str", "default": "30d"},
    "expect": {"type": "list", "elements": "dict", "options": TARGET},
    "pools": {"type": "list", "elements": "str", "default": []},
    "ignore": {"type": "list", "elements": "dict", "default": [], "options": PAIR},
    "timeout": {"type": "float", "default": 600},
    "query_timeout": {"type": "float", "default": 60},
    "version_metrics": {"type": "dict", "default": {}},
    **_client.OPTIONS,
}


def settings_of(given):
    """The options that select what to query, as :func:`_checklist.collect` takes them.

    :raises ValueError: when one of them is invalid; the message names it.
    """
    settings = {name: given[name] for name in ("expect", "pools", "ignore", "thresholds", "version_metrics")}
    _targets.compile_ignore(given["ignore"])
    for name in ("range", "trend_range", "threshold_range", "percentile_range"):
        try:
            settings[name] = _promql.seconds(given[name])
        except ValueError as error:
            raise ValueError("{0}: {1}".format(name, error)) from error
        if not 600 <= settings[name] <= 366 * 86400:
            raise ValueError("{0}: {1} is not between 10m and 366d".format(name, given[name]))
    for threshold in settings["thresholds"] or ():
        waits = str(threshold["for"]).strip()
        try:
            threshold["for"] = 0 if waits in ("0", "0s") else _promql.seconds(waits)
        except ValueError as error:
            raise ValueError("thresholds: {0}: for: {1}".format(threshold["alert"], error)) from error
    return settings


def answers(given, settings):
    """Query the server that the options name.

    :param given: the options, complete.
    :returns: the result without ``changed``.
    :raises _checklist.Unanswered: when it cannot be queried.
    """
    url, access = _client.server_of(given, "prometheus_url")
    server = _checklist.Prometheus(url, access, given["timeout"], given["query_timeout"])
    return {"url": url, **_checklist.collect(server, settings)}


def main():
    module = Module(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
        required_by=_client.REQUIRED_BY,
    )
    given = module.params
    if not given["prometheus_url"]:
        module.fail_json(msg="prometheus_url is not set, and this host is in no group that runs Prometheus")
    url = _client.hide_userinfo(module, given["prometheus_url"])
    try:
        settings = settings_of(given)
    except ValueError as error:
        module.fail_json(msg=str(error))
    try:
        module.exit_json(changed=False, **answers(given, settings))
    except _checklist.Unanswered as error:
        module.exit_json(
            changed=False, answered=False, url=url, problems=[{"section": "prometheus", "text": str(error)}]
        )


if __name__ == "__main__":
    main()
