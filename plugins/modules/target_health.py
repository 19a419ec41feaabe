#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: target_health
short_description: Wait until every expected target of Prometheus is up
version_added: 0.1.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
description:
  - Requests the active targets of a Prometheus server until every expected one is known and up, or the timeout has passed.
  - Runs on any host that can reach the server, with the Python standard library and without facts.
  - Scrapes from before Prometheus last loaded its configuration are not counted, because a target may be scraped differently
    since then; see O(since_reload).
  - Each poll is one request. Temporary errors (connection refused, no response yet, HTTP 5xx) are
    retried; permanent ones (HTTP 401, 404, a redirect, an untrusted certificate, a response that
    is not from Prometheus) fail at once.
options:
  prometheus_url:
    description:
      - URL of Prometheus, with the path of its C(--web.external-url) or C(--web.route-prefix) if it has one.
      - A user name and password in it are used as O(url_username) and O(url_password), and never shown.
    type: str
    required: true
  expect:
    description:
      - The targets that must be known to Prometheus and up.
      - Without this option, all targets of Prometheus must be up, and there must be at least one.
      - When several targets have the same job and instance, all of them must be up.
    type: list
    elements: dict
    suboptions:
      job:
        description: Value of the target's C(job) label.
        type: str
        required: true
      instance:
        description: Value of the target's C(instance) label, usually its address and port.
        type: str
        required: true
  ignore:
    description:
      - Expected targets that may be down or not scraped yet. They must still be known to Prometheus.
      - An entry ignores the targets that match all of its patterns.
    type: list
    elements: dict
    default: []
    suboptions:
      job:
        description: Regular expression that the whole C(job) label must match.
        type: str
      instance:
        description: Regular expression that the whole C(instance) label must match.
        type: str
  fail_on_unexpected:
    description:
      - Fail also when Prometheus has targets that are not in O(expect).
      - When V(false), such targets are returned, but do not affect the result.
    type: bool
    default: false
  since_reload:
    description:
      - Whether only scrapes are counted that were made after Prometheus last loaded its configuration, at a start or a reload.
      - That time is requested once, from C(/api/v1/status/runtimeinfo); if the server does not return it, all scrapes are counted.
    type: bool
    default: true
    version_added: 0.3.0
  timeout:
    description:
      - Seconds after which targets that are not up are a failure.
      - A new target is scraped for the first time within one scrape interval, so the timeout should be longer. With V(0),
        one request is sent.
    type: float
    default: 60
  interval:
    description: Seconds between two requests.
    type: float
    default: 1
extends_documentation_fragment:
  - vigil.monitoring.access
  - vigil.monitoring.attributes.reads_only
seealso:
  - plugin: vigil.monitoring.scrape_targets
    plugin_type: lookup
    description: Returns the list of expected targets from the inventory.
"""

EXAMPLES = r"""
- name: Verify that all targets of Prometheus are up
  vigil.monitoring.target_health:
    prometheus_url: http://localhost:9091

- name: Wait up to two minutes until two targets are up
  vigil.monitoring.target_health:
    prometheus_url: https://prometheus.example.com/prometheus
    url_username: monitoring
    url_password: "{{ vault_prometheus_password }}"
    ca_path: /etc/ssl/certs/internal.pem
    expect:
      - job: node
        instance: 192.0.2.10:9100
      - job: node
        instance: 192.0.2.11:9100
    timeout: 120

- name: Verify that exactly the targets of the inventory are scraped and up, except for the laboratory
  vigil.monitoring.target_health:
    prometheus_url: http://localhost:9091
    expect: "{{ lookup('vigil.monitoring.scrape_targets', prometheus_scrape_groups).expected }}"
    ignore:
      - instance: lab-.*:9100
    fail_on_unexpected: true
"""

RETURN = r"""
healthy:
  description: Whether every expected target is known and up, except for the ignored ones.
  type: bool
  returned: always
up:
  description: Number of expected targets that are up.
  type: int
  returned: always
  sample: 3
expected:
  description: Number of expected targets.
  type: int
  returned: always
  sample: 5
down:
  description: Expected targets that are known and not up, without the ignored ones, sorted by job and instance.
  type: list
  elements: dict
  returned: always
  contains:
    job:
      description: The C(job) label.
      type: str
      sample: node
    instance:
      description: The C(instance) label.
      type: str
      sample: 192.0.2.10:9100
    health:
      description: V(down), or V(unknown) when it has not been scraped yet, or not since the configuration was loaded.
      type: str
      sample: down
    scrape_url:
      description: The URL that Prometheus scrapes, without secrets.
      type: str
      sample: http://192.0.2.10:9100/metrics
    last_error:
      description: Error of the last scrape, as reported by Prometheus.
      type: str
      sample: 'Get "http://192.0.2.10:9100/metrics": dial tcp 192.0.2.10:9100: connect: connection refused'
    last_scrape:
      description: Time of the last scrape; null if there was none.
      type: str
      sample: "2025-06-01T12:00:00.123456789Z"
missing:
  description: Expected targets that Prometheus does not know, as job and instance.
  type: list
  elements: dict
  returned: always
  sample:
    - job: node
      instance: 192.0.2.11:9100
unexpected:
  description: Targets of Prometheus that are not expected, with the same keys as RV(down).
  type: list
  elements: dict
  returned: always
ignored:
  description: Expected targets that are not up, but ignored, with the same keys as RV(down).
  type: list
  elements: dict
  returned: always
elapsed:
  description: Seconds from the first request to the verdict.
  type: float
  returned: always
  sample: 1.27
"""

import json
import time

from ansible_collections.vigil.monitoring.plugins.module_utils import _client, _targets
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize


class Hopeless(Exception):
    """A permanent error; the message says what to do."""


class Later(Exception):
    """A temporary error; the message says what it is."""


def targets_of(url, access, timeout):
    """Request the active targets once.

    :param url: base URL of Prometheus without user info.
    :param timeout: seconds for the request.
    :raises Hopeless: on a permanent error.
    :raises Later: on a temporary error.
    """
    try:
        reply = _client.get(url.rstrip("/") + "/api/v1/targets?state=active", access, timeout)
    except _client.AskError as error:
        if error.transient:
            raise Later("the request to Prometheus at {0} failed: {1}".format(url, error)) from error
        hint = {"tls": "; see ca_path, validate_certs and whether the URL should begin with http://"}
        raise Hopeless(
            "the request to Prometheus at {0} failed: {1}{2}".format(url, error, hint.get(error.kind, ""))
        ) from error
    status = reply.status
    if status == 200:
        try:
            return _targets.parse(reply.body)
        except ValueError as error:
            kind = reply.headers.get("Content-Type", "no content type")
            raise Hopeless(
                "the server at {0} is not Prometheus ({1}): {2}; check host, port and path of prometheus_url".format(
                    url, sanitize(kind.partition(";")[0]), error
                )
            ) from error
    if status >= 500 or status in (408, 429):
        words = sanitize(reply.body[:200])
        raise Later("Prometheus at {0} answers HTTP {1}: {2}".format(url, status, words or "empty response"))
    raise Hopeless(_advice(url, access, reply))


def loaded_at(url, access, timeout):
    """When Prometheus last loaded its configuration, in seconds since the epoch; None if it does not report it.

    It reports whole seconds, so the next one is used: a scrape of the same second may be from before.
    """
    try:
        reply = _client.get(url.rstrip("/") + "/api/v1/status/runtimeinfo", access, timeout)
        found = json.loads(reply.body)["data"]
        loaded = _targets.time_of(found["lastConfigTime"]) + 1
        now = _targets.time_of(found["serverTime"]) if found.get("serverTime") else loaded
    except (_client.AskError, ValueError, KeyError, TypeError):
        return None
    # Its clock was set back: scrapes before and after cannot be distinguished.
    return loaded if reply.status == 200 and loaded <= now + 2 else None


def _advice(url, access, reply):
    if reply.status in (401, 403) and access.username is None:
        return "Prometheus at {0}: authentication required (HTTP {1}): set url_username and url_password{2}".format(
            url, reply.status, "" if access.client_cert else ", or client_cert"
        )
    if reply.status == 401:
        return "Prometheus at {0}: authentication failed for user {1!r} (HTTP 401)".format(url, access.username)
    if reply.status == 403:
        return "Prometheus at {0}: user {1!r} is not allowed to read targets (HTTP 403)".format(url, access.username)
    if reply.status == 404:
        return (
            "no Prometheus API below {0} (HTTP 404): if it is served under a path (--web.external-url,"
            " --web.route-prefix), prometheus_url must end with that path".format(url)
        )
    if 300 <= reply.status < 400:
        where = sanitize(_client.without_secrets(reply.headers.get("Location") or "nowhere"))
        return (
            "Prometheus at {0} redirects to {1} (HTTP {2}), which is not followed: set prometheus_url to the URL of"
            " Prometheus itself".format(url, where, reply.status)
        )
    return "Prometheus at {0} answers HTTP {1}, which is unexpected for a request for targets".format(url, reply.status)


def watch(request, judge, timeout, interval, clock=time.monotonic, sleep=time.sleep):
    """Poll until all expected targets are up or the timeout has passed.

    :param ask: function of the timeout of a request in seconds, returns targets.
    :param judge: function of targets, returns a verdict.
    :returns: the last verdict and its targets (None and () if there never were any), the last error or None,
        and the elapsed seconds.
    """
    start = clock()
    verdict, targets = None, ()
    while True:
        left = timeout - (clock() - start)
        trouble = None
        try:
            # The last request, and that of a timeout of 0, still gets enough time for a busy server.
            targets = request(max(left, 5.0))
            verdict = judge(targets)
        except Later as error:
            trouble = str(error)
        left = timeout - (clock() - start)
        if (verdict is not None and verdict.healthy and trouble is None) or left <= 0:
            return verdict, targets, trouble, clock() - start
        sleep(max(0.01, min(interval, left)))


def main():
    module = Module(
        argument_spec={
            "prometheus_url": {"type": "str", "required": True},
            "expect": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "job": {"type": "str", "required": True},
                    "instance": {"type": "str", "required": True},
                },
            },
            "ignore": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"job": {"type": "str"}, "instance": {"type": "str"}},
            },
            "fail_on_unexpected": {"type": "bool", "default": False},
            "since_reload": {"type": "bool", "default": True},
            "timeout": {"type": "float", "default": 60},
            "interval": {"type": "float", "default": 1},
            **_client.OPTIONS,
        },
        supports_check_mode=True,
        required_by=_client.REQUIRED_BY,
    )
    given = module.params
    _client.hide_userinfo(module, given["prometheus_url"])
    url, access = _client.server_of(given, "prometheus_url")
    expect = given["expect"]
    if expect is not None:
        expect = [(entry["job"], entry["instance"]) for entry in expect]
    nothing = {"healthy": False, "up": 0, "down": [], "missing": [], "unexpected": [], "ignored": [], "elapsed": 0.0}
    nothing["expected"] = len(set(expect or ()))
    try:
        ignored = _targets.compile_ignore(given["ignore"])
        since = []

        def judge(found):
            if given["since_reload"] and not since:
                since.append(loaded_at(url, access, 5.0))
            return _targets.judge(
                found, expect, ignored, given["fail_on_unexpected"], since=since[0] if since else None
            )

        verdict, targets, trouble, elapsed = watch(
            lambda seconds: targets_of(url, access, seconds),
            judge,
            given["timeout"],
            given["interval"],
        )
    except (Hopeless, ValueError) as error:
        module.fail_json(msg=str(error), **nothing)

    if verdict is None:
        nothing["elapsed"] = round(elapsed, 3)
        module.fail_json(msg="{0} (retried for {1:.0f} s)".format(trouble, elapsed), **nothing)
    result = {
        "healthy": verdict.healthy and trouble is None,
        "up": verdict.up,
        "expected": verdict.expected,
        "down": [_targets.as_dict(target) for target in verdict.down],
        "missing": [{"job": job, "instance": instance} for job, instance in verdict.missing],
        "unexpected": [_targets.as_dict(target) for target in verdict.unexpected],
        "ignored": [_targets.as_dict(target) for target in verdict.ignored],
        "elapsed": round(elapsed, 3),
    }
    if result["healthy"]:
        module.exit_json(changed=False, **result)
    explained = _targets.explain(verdict, targets, given["fail_on_unexpected"])
    message = "Prometheus at {0}, after {1:.0f} s: {2}".format(url, elapsed, explained)
    if trouble:
        message += "\nSince then requests fail: {0}".format(trouble)
    module.fail_json(msg=message, **result)


if __name__ == "__main__":
    main()
