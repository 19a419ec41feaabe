#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: checklist
short_description: Answer the daily and weekly checklist of operations from the history of Prometheus
version_added: 0.2.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
description:
  - Asks a Prometheus server which targets are up, which alerts fired when and for how long, how disks fill, how old
    backups are, whether monitoring itself is well, and how the thresholds of alerts compare with what was measured.
  - M(vigil.monitoring.report) makes a readable report of the answers.
  - Asks at most thirty questions, and two for each threshold, however many hosts there are. One that fails is a line
    among RV(problems); the others are answered nevertheless. What it finds is never a failure.
  - Without O(prometheus_url), on a host of the inventory group C(prometheus), URL, credentials and expected targets come
    from the variables of the role P(vigil.monitoring.prometheus#role), and the controller asks; a server that
    cannot be reached from there is asked by its own host.
options:
  prometheus_url:
    description:
      - Where Prometheus is served, with the path of its C(--web.external-url) or C(--web.route-prefix) if it has one.
      - A user name and password in it are used as O(url_username) and O(url_password), and shown nowhere.
    type: str
  range:
    description: The time to report on, until now, such as V(24h) or V(7d).
    type: str
    default: 24h
  trend_range:
    description: The time whose straight line tells how disks fill; at least O(range).
    type: str
    default: 7d
  thresholds:
    description:
      - Thresholds to hold against history. Without this option they are taken from the alerting rules that Prometheus
        has, where these compare something with a plain number and do nothing else; RV(thresholds.left_out) says
        which rules do not.
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
        description: PromQL of what is compared, without the comparison.
        type: str
        required: true
      op:
        description: How it is compared.
        type: str
        choices: ['>', '>=', '<', '<=']
        default: '>'
      threshold:
        description: The number that it is compared with.
        type: float
        required: true
      for:
        description: How long the comparison has to be true, as a duration.
        type: str
        default: "0"
  threshold_range:
    description: The time in which it is counted how often each alert would have fired.
    type: str
    default: 7d
  percentile_range:
    description:
      - The time whose 99th percentile is taken.
      - A bound is proposed only from series that have samples of a day, whatever this says.
    type: str
    default: 30d
  expect:
    description:
      - The targets that have to be up. Without this option, all that Prometheus has.
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
    description: Scrape configurations all of whose targets have to be up, besides O(expect).
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
    description: Seconds for all questions together. Those that are left then are not asked.
    type: float
    default: 600
  query_timeout:
    description: Seconds for one question.
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
attributes:
  check_mode:
    description: Runs in check mode as it does otherwise; it only reads.
    support: full
  diff_mode:
    description: Nothing is changed, so there is nothing to show.
    support: none
  idempotent:
    description: Never changes anything.
    support: full
seealso:
  - module: vigil.monitoring.report
  - module: vigil.monitoring.target_health
"""

EXAMPLES = r"""
- name: What happened last night
  vigil.monitoring.checklist:
    prometheus_url: http://localhost:9091
  register: night

- name: The week, and whether two bounds would be good ones
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
  description: Whether Prometheus could be asked. Where it is false, only RV(url) and RV(problems) are returned with it.
  type: bool
  returned: always
url:
  description: The server that was asked.
  type: str
  returned: always
  sample: http://localhost:9091
version:
  description: Version of Prometheus.
  type: str
  returned: when answered
  sample: 3.5.3
start:
  description: Begin of the range, in seconds since the epoch.
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
  description: Time of the oldest sample in the database of Prometheus, where a metric tells it.
  type: float
  returned: when answered
targets:
  description: Targets as M(vigil.monitoring.target_health) judges them, and for C(jobs) how many of how many are up.
  type: dict
  returned: when answered
services:
  description:
    - Jobs with the five C(instances) that were up for the least share of the range, the C(versions) that they report, and
      C(restarts).
  type: list
  elements: dict
  returned: when answered
alerts:
  description:
    - What fired in the range - C(fired) is a list of C(alert), C(severity), C(labels) and C(episodes), each with
      C(start), C(end), whether it is C(ongoing), and whether it began C(before) the range.
    - When more than 500 series fired, C(by_name) is true and the labels are left out.
  type: dict
  returned: when answered
disks:
  description: Writable file systems with C(used) in percent, bytes C(per_day), C(days_left) and C(history).
  type: list
  elements: dict
  returned: when answered
backups:
  description: Backups with C(last), C(age) in seconds, C(successes) in the range, and whether their metric is C(gone).
  type: list
  elements: dict
  returned: when answered
checks:
  description: What Prometheus and Alertmanager say about themselves - C(check), C(value), C(bad), C(where).
  type: list
  elements: dict
  returned: when answered
thresholds:
  description: Thresholds against history.
  type: dict
  returned: when answered
  contains:
    checked:
      description:
        - Each threshold with C(times), seconds of C(firing), C(percentile), the C(labels) that have it, C(proposal).
        - C(hours) says at how many full hours the series with most of them had a sample; below 24, there is no proposal.
      type: list
      elements: dict
    left_out:
      description: Rules without a threshold that can be told from their expression - C(alert), C(severity), C(why).
      type: list
      elements: dict
marks:
  description:
    - The bounds of disks and backups by the thresholds of the role - C(disk), percent by severity, C(disk_of), the same of
      each instance with thresholds of its own, and C(backup), hours by severity.
  type: dict
  returned: when answered and O(prometheus_url) is not given
problems:
  description: Questions that were not answered, as C(section) and C(text).
  type: list
  elements: dict
  returned: always
queries:
  description: How many questions were asked.
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
    """The options that say what to ask, as :func:`_checklist.collect` takes them.

    :raises ValueError: when one of them cannot be meant; the message names it.
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
    """Ask the server that the options name.

    :param given: the options, complete.
    :returns: the result without ``changed``.
    :raises _checklist.Unanswered: when it cannot be asked.
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
