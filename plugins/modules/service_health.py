#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_health
short_description: Verify that the monitoring services of a host work as the inventory specifies
version_added: 0.1.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
description:
  - Verifies of each service that the host should run its version and the outcome of its last reload; of Prometheus also
    its targets, rules and Alertmanagers, of Alertmanager its cluster, of Grafana its database, the login of its
    administrator, a response of each data source, and that dashboards are there as provisioned.
  - What no role of the same run has dealt with is compared with the inventory, by the steps of the roles in check
    mode, with the rights that these need on the host - flags, unit or container, configuration, and what the process was
    started with.
  - Which services those are is said by the inventory groups of the host and by the roles that this run has begun on it; a
    host of which neither says anything is searched for services that the collection has deployed. With C(--tags) and C(--skip-tags), it is
    those whose roles were begun or whose names are among the tags. What is expected of them is said by the variables of their
    roles, defaults included; of those that a play gives to a role, by the ones of this run.
  - The requests are sent by the controller. A service that cannot be reached from there is checked on its own host.
  - It never fails because of what it finds; M(vigil.monitoring.summary) does, after all hosts have been checked.
  - C(<service>_health_username), C(<service>_health_password), C(<service>_health_ca), C(<service>_health_client_cert) and
    C(<service>_health_client_key) open services that are behind a password or TLS. What cannot be verified without them is
    said in the result.
options:
  groups:
    description:
      - Services with the inventory groups whose hosts run them.
      - Without it, each service of the collection runs in the group of its name; with it, those that are named.
    type: dict
  timeout:
    description:
      - Seconds until everything has to be good. Targets and rules that are scraped or evaluated less often than this by Prometheus
        itself are then unverified, all others have failed.
      - In check mode there is one request to each service.
    type: float
    default: 60
  from:
    description:
      - What it means that a service could be reached only on its own host, and not from the controller, though it is served on an
        address that others can have. That is said in any case.
      - With V(auto), Prometheus, Alertmanager, promxy and Grafana, which people have to reach, are not fully verified; of exporters
        the scrapes tell whether Prometheus reaches them. With V(controller), each has failed. With V(host), each is good, as for a
        controller that has only SSH to its hosts.
    type: str
    choices: [auto, controller, host]
    default: auto
    version_added: 0.3.0
  ignore:
    description:
      - Targets that may be down, as regular expressions that match the whole of C(job) and C(instance).
      - The service discovery of a job that matches without an instance may fail.
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
  orphans:
    description:
      - What it means that a service was deployed on the host and that the inventory no longer asks for it.
      - With V(warn) it is not fully verified, with V(fail) it has failed, with V(ignore) nothing is said.
    type: str
    choices: [warn, fail, ignore]
    default: warn
    version_added: 0.4.0
  services:
    description: The services to check, complete. The action plugin sets it for the check on the host; do not set it.
    type: list
    elements: dict
    suboptions:
      service:
        description: Which service it is, by the name of its role.
        type: str
        required: true
      version:
        description: Expected version. Without it, any.
        type: str
      health:
        description: How its health is checked, as O(vigil.monitoring.service#module:health).
        type: dict
        required: true
        suboptions:
          url:
            description: Base URL as seen from the host itself, with the route prefix and without a slash at its end.
            type: str
            required: true
          other_urls:
            description: Further ones, for a service that listens on all addresses. The first that answers counts.
            type: list
            elements: str
            default: []
          metrics_path:
            description: Path of its metrics below O(services[].health.url).
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
          client_cert:
            description: File on the host with the certificate to show where the service wants one, and maybe its key.
            type: path
          client_key:
            description: File on the host with the key of O(services[].health.client_cert).
            type: path
          client_pem:
            description: Client certificate with its private key, as text in PEM, instead of O(services[].health.client_cert).
            type: str
          metrics_prefix:
            description:
              - What the names of its metrics C(_build_info), C(_config_last_reload_successful) and
                C(_config_last_reload_success_timestamp_seconds) begin with.
              - The default is O(services[].service).
            type: str
          version_metric:
            description: Metric with the version in a label. The default is O(services[].health.metrics_prefix) with C(_build_info).
            type: str
          version_label:
            description: Label of O(services[].health.version_metric) that is the version.
            type: str
            default: version
          ready_path:
            description: Path that answers 200 when the service is ready. Without it, a service is ready when it serves metrics.
            type: str
          on_config_change:
            description:
              - How it loads a changed configuration. V(reload) sends SIGHUP, and the outcome has to show in its metrics.
              - Without it, the service reads its files at each request, and nothing is done.
            type: str
            choices: [reload, restart]
          reload_delay:
            description: What may hold a reload up, so that more time is granted for it.
            type: dict
            suboptions:
              metric:
                description: Metric with a series for each of the things that the service brings to an end before it reloads.
                type: str
                required: true
              flag:
                description: Name of the flag, without dashes, that grants each of them its time.
                type: str
                required: true
              default:
                description: Seconds that they have without the flag.
                type: int
                required: true
          dependency_metric:
            description: Gauge that is 0 while the service cannot reach what it depends on.
            type: str
          dependency:
            description: What that is, for messages.
            type: str
            default: dependency
          loaded_config_path:
            description: Path at which it shows the configuration that it has loaded.
            type: str
          config_hash_metric:
            description: Metric whose value changes with the configuration that it has loaded.
            type: str
          loaded_directories:
            description: Directories below the configuration directory from which it loads every file.
            type: list
            elements: str
            default: []
          dry_run_argument:
            description:
              - An argument with which the program checks all others and exits before it does anything, such as a directory that
                cannot be. The new binary is run with it, so that it refuses bad values before anything is changed.
            type: str
          tls_variable:
            description: Variable that messages name where the service uses TLS and the request does not, or the other way round.
            type: str
      checks:
        description: What is verified beside its version, its last reload and what it depends on.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description:
              - V(prometheus_server) checks targets, service discoveries, rules, Alertmanagers and remote storage.
              - V(prometheus_catch_up) checks whether it has scraped each target and evaluated each rule since it has loaded its
                configuration, whatever the outcome.
              - V(alertmanager_cluster) checks the members of a cluster and the delivery of messages.
              - V(alertmanager_settled) checks whether it has heard what the others of its cluster know.
              - V(promxy_answer) checks that a query is answered with data of every part of the targets.
              - V(grafana_content) checks the database, the administrator's login, data sources, dashboards and plugins, and where people
                log in by OAuth and LDAP.
              - V(failing_parts) names the parts for which a gauge is 0, V(nonzero_metric) a metric that should be 0.
            type: str
            choices:
              - alertmanager_cluster
              - alertmanager_settled
              - failing_parts
              - grafana_content
              - nonzero_metric
              - prometheus_catch_up
              - prometheus_server
              - promxy_answer
            required: true
          given:
            description: Data of the check.
            type: dict
            required: true
      unit:
        description: Name of its systemd service, or of its container.
        type: str
        required: true
      log_seconds:
        description: How far back its log is read where its metrics do not say why it fails.
        type: int
        default: 5
      docker_host:
        description: Address of the Docker engine that runs it in a container; without it, systemd does.
        type: str
      login:
        description: How the administrator logs in, for a check that does.
        type: dict
        suboptions:
          username:
            description: Login name.
            type: str
            required: true
          password:
            description: Password.
            type: str
            required: true
      log_only:
        description: Send no request to it, and only read the end of its log.
        type: bool
        default: false
  secrets:
    description: Values that are masked in all output. The action plugin fills it in; do not set it.
    type: list
    elements: str
extends_documentation_fragment:
  - vigil.monitoring.attributes.reads_only
attributes:
  check_mode:
    description: Only reads, and requests each service once. What is not there yet is no failure then.
"""

EXAMPLES = r"""
- name: Verify what is deployed
  hosts: node_exporter:alertmanager:prometheus
  gather_facts: false
  tasks:
    - name: Verify each service
      vigil.monitoring.service_health:
      register: health

    - name: Show what was found, and fail when something is red
      vigil.monitoring.summary:
        results: health
      run_once: true
"""

RETURN = r"""
left_out:
  description: Services of the host that are not checked, as C(--tags) or C(--skip-tags) leave them out.
  type: list
  elements: str
  returned: always
silent:
  description: Why the host cannot say which services it has, where nothing else says it.
  type: str
  returned: always
services:
  description: One entry for each service that the host should run.
  type: list
  elements: dict
  returned: always
  contains:
    service:
      description: Which service it is.
      type: str
      sample: prometheus
    state:
      description: V(ok), V(failed), V(unverified), or V(unchecked) for what is not there in check mode.
      type: str
      sample: ok
    version:
      description: The version that serves.
      type: str
      sample: 3.5.3
    url:
      description: Where other hosts reach it.
      type: str
      sample: http://192.0.2.10:9091
    targets:
      description: For Prometheus, how many of how many expected targets are up.
      type: list
      elements: int
      sample: [7, 7]
    reasons:
      description: What is wrong or not verified.
      type: list
      elements: str
      sample: []
    members:
      description: For an Alertmanager, the members of its cluster that it sees.
      type: list
      elements: str
      sample: []
    wordless:
      description: Whether the metrics alone do not say why the service cannot work, so that its log was read.
      type: bool
      sample: false
    reached:
      description: Whether anything answered there.
      type: bool
      sample: true
    config_hash:
      description: For an Alertmanager, what tells its configuration from others.
      type: str
      sample: "2.74e+14"
    silences:
      description:
        - For an Alertmanager of a cluster, when it was asked (C(at)), and its silences (C(known)), each with the times of its last
          change and its end; null where there are too many.
      type: dict
      sample: {at: 1764234000.0, known: {}}
"""

import time

from ansible_collections.vigil.monitoring.plugins.module_utils._health import HEALTH_OPTIONS
from ansible_collections.vigil.monitoring.plugins.module_utils._health_check import CHECKS, check_health, unreachable
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._requests import CannotReach
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_docker import last_words_of

# How many lines of the log are read of a service whose metrics do not say why.
LOG_LINES = 3
PAIR = {"job": {"type": "str"}, "instance": {"type": "str"}}
SERVICE = {
    "service": {"type": "str", "required": True},
    "version": {"type": "str"},
    "health": {"type": "dict", "required": True, "options": HEALTH_OPTIONS},
    "checks": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True, "choices": sorted(CHECKS)},
            "given": {"type": "dict", "required": True},
        },
    },
    "unit": {"type": "str", "required": True},
    "log_seconds": {"type": "int", "default": 5},
    "docker_host": {"type": "str"},
    "login": {
        "type": "dict",
        "options": {
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
        },
    },
    "log_only": {"type": "bool", "default": False},
}


def main():
    module = Module(
        argument_spec={
            "groups": {"type": "dict"},
            "timeout": {"type": "float", "default": 60},
            "from": {"type": "str", "default": "auto", "choices": ["auto", "controller", "host"]},
            "orphans": {"type": "str", "default": "warn", "choices": ["warn", "fail", "ignore"]},
            "ignore": {"type": "list", "elements": "dict", "default": [], "options": PAIR},
            "services": {"type": "list", "elements": "dict", "options": SERVICE},
            "secrets": {"type": "list", "elements": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    if module.params["services"] is None:
        module.fail_json(msg="what to check is determined on the controller: this module needs its action plugin")
    timeout = 0.0 if module.check_mode else module.params["timeout"]
    lines = []
    for service in module.params["services"]:
        if service["log_only"]:
            line = {**unreachable(service, ""), "wordless": True, "reasons": []}
        else:
            try:
                line = check_health(service, timeout)
            except CannotReach as error:
                line = unreachable(service, error)
        if line["wordless"] and line["state"] != "ok":
            name = service["unit"]
            since = time.time() - service["log_seconds"]
            words = last_words_of(name, service["docker_host"], since, LOG_LINES)
            line["reasons"].append("its last log lines:\n{0}".format(words))
        lines.append(line)
    module.exit_json(changed=False, services=lines)


if __name__ == "__main__":
    main()
