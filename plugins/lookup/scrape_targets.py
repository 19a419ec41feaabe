# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: scrape_targets
short_description: What a Prometheus server scrapes according to the inventory
version_added: 0.1.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
description:
  - Turns inventory groups into scrape jobs with sorted targets, and says which targets the server is then expected
    to have. Hosts that O(ignore:--limit) leaves out of the run stay targets.
  - The address of a target is the host's C(monitoring_address), else its C(ansible_host), else its name in the
    inventory. A service that listens on the loopback only is reached there by the Prometheus server of its own host.
  - The label C(host) of a target is the name of its host in the inventory. A host's C(monitoring_labels) are put on all
    of its targets; V(null) takes a label away, also in the C(labels) of a group or of C(monitoring_scrape).
  - A host's C(monitoring_scrape), a mapping of groups to C(address), C(port), C(path), C(scheme), C(labels) and
    C(enabled), overrides what is said about a group, for that host. V(false) instead of a mapping takes the host out.
  - Hosts whose C(<service>_state) is V(absent) are no targets.
  - The C(monitoring_probes) of all hosts become one job for each module, C(blackbox_<module>), that asks the blackbox
    exporter of the server's own host or, where that has none, of the first host in the group C(blackbox_exporter).
    The label C(instance) is the target as it is written. A probe is a mapping of C(module), C(targets), and maybe
    C(name) (the label C(probe)), C(labels), and C(group), for each of whose hosts the targets are then made, with
    C({address}) and C({host}) in their places.
options:
  _terms:
    description:
      - One or more mappings of inventory groups to what is scraped there, as in C(prometheus_scrape_groups). A later
        mapping replaces single groups of an earlier one; V(null) or V(false) instead of an entry drops the group.
      - C(job) is the name of the job, that of the group when it is not given. Groups with the same job are merged, and
        a host that is in several of them is one target.
      - C(service) names a role whose variables on the host say port, scheme and path -
        C(<service>_web_listen_address), C(<service>_web_config), C(<service>_web_telemetry_path),
        C(<service>_web_external_url) and the flag C(web.route-prefix) in C(<service>_config_flags_extra).
      - C(port_from) names a host variable that holds a port or a listen address; C(port) is used where there is none.
      - C(path) and C(scheme) are those of the metrics; C(labels) are put on all targets of the group.
      - C(split) says how the targets of the group are split where there are several C(prometheus_shards). V(target), the default,
        gives each host's targets to one server; V(job) all targets of the job to one server, for rules that add them up; V(all)
        the whole group to every server.
      - C(config) holds further settings of the scrape job in Prometheus' own shape, such as C(basic_auth),
        C(tls_config), C(scrape_interval) or C(relabel_configs).
    type: list
    elements: dict
    required: true
  scrape_configs:
    description: The user's own scrape configurations. A job of the same name replaces one from the inventory.
    type: list
    elements: dict
    default: []
  targets:
    description:
      - The user's own targets, a mapping of names to target groups in Prometheus' own shape. They are written to
        C(file_sd/NAME.yml) and replace the targets of the job with that name.
      - Those that no scrape configuration reads get a job of that name.
    type: dict
    default: {}
  target_files:
    description:
      - Paths on the controller of the user's own target files. They are copied to C(file_sd/) and win likewise.
      - One that no scrape configuration reads gets a job that is named after the file.
    type: list
    elements: str
    default: []
  scrape_config_files:
    description: Paths on the controller of the user's own files with C(scrape_configs), whose jobs count like those above.
    type: list
    elements: str
    default: []
  prometheus_version:
    description: Version of the server. Before 3.0 it adds the port of the scheme to an address without one.
    type: str
    default: ''
  alertmanager_group:
    description: Inventory group of the Alertmanagers.
    type: str
    default: alertmanager
  server:
    description:
      - The role of the server that asks, V(prometheus), where its own task does. Its host is then a target also where it is
        in no group of that service, and the values that the play gives to the role count for it.
      - If the variables C(prometheus_shards) and C(prometheus_shard) of the hosts in its group split the targets, only those
        of its own part are returned.
    type: str
    default: ''
  sharded_jobs:
    description: Names of jobs in O(scrape_configs) and O(targets) that are split like those of the inventory, by address.
    type: list
    elements: str
    default: []
  client:
    description:
      - How those services are scraped, and sent alerts, that require authentication by C(monitoring_tls); V(certificate) to
        settings of a job with which exporters are scraped, and V(password) to those for Prometheus, Alertmanager and Grafana.
      - A job of whose targets only some are closed becomes two; that of the others has C(_open) at the end of its name,
        and its targets have the same label C(job).
    type: dict
    default: {}
  directory:
    description: Folder of the target files that come from the inventory, relative to Prometheus' configuration.
    type: str
    default: file_sd/inventory
"""

EXAMPLES = r"""
- name: Jobs for two groups
  ansible.builtin.debug:
    msg: "{{ lookup('vigil.monitoring.scrape_targets', groups_to_scrape).jobs }}"
  vars:
    groups_to_scrape:
      node_exporter:
        job: node
        service: node_exporter
        port: 9100
      redis:
        port: 9121
        labels:
          team: cache

- name: What the user has beside the inventory counts too
  ansible.builtin.debug:
    msg: "{{ lookup('vigil.monitoring.scrape_targets', prometheus_scrape_groups,
             scrape_configs=prometheus_scrape_configs, targets=prometheus_targets).expected }}"

# host_vars of a host whose application is somewhere else
# monitoring_scrape:
#   application:
#     port: 8080
#     path: /internal/metrics
#     labels: {tier: front}
#   node_exporter: false
"""

RETURN = r"""
_raw:
  description: One element with these keys.
  type: list
  elements: dict
  contains:
    jobs:
      description:
        - The jobs to write, sorted by name. C(config) is the scrape configuration without its discovery; C(file) the
          target file relative to Prometheus' configuration; C(targets) its content, one group for each distinct set of
          labels, or null when the user's own file of that name is read instead.
      type: list
      elements: dict
      sample:
        - job_name: node
          file: file_sd/inventory/node.yml
          config: {job_name: node, metrics_path: /metrics, scheme: http}
          targets:
            - targets: ['192.0.2.10:9100']
              labels: {host: web1}
            - targets: ['192.0.2.11:9100']
              labels: {host: web2}
    alertmanagers:
      description: The Alertmanagers of the inventory, as C(alerting.alertmanagers) of Prometheus' configuration.
      type: list
      elements: dict
      sample:
        - scheme: http
          static_configs:
            - targets: ['192.0.2.10:9093']
    expected:
      description: Targets that the server must have and that must be up, sorted by job and instance.
      type: list
      elements: dict
      sample:
        - job: node
          instance: 192.0.2.10:9100
    closed:
      description: Whether a target or an Alertmanager requires authentication by C(monitoring_tls).
      type: bool
    pools:
      description: Jobs whose targets are relabelled, so that only Prometheus knows which they are.
      type: list
      elements: str
    shard:
      description: Which part of the targets these are, C(number) from 0 on, and C(of) how many parts.
      type: dict
    rules:
      description:
        - What the packs of rules depend on. C(groups), the inventory groups that are scraped and the job of each; C(jobs)
          that have targets; C(partial), the jobs of which other shards have targets; how many C(alertmanagers) there are, and
          C(members) of their cluster; C(overrides), the hosts that have C(prometheus_thresholds) of their own, and the
          instances of their targets.
      type: dict
    overridden:
      description: Jobs from the inventory that a job or a target file of the user's replaces.
      type: list
      elements: str
"""

import os

from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _run
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import COLLECTION
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import HostValues
from ansible_collections.vigil.monitoring.plugins.plugin_utils._probes import GROUP, probe_jobs
from ansible_collections.vigil.monitoring.plugins.plugin_utils._scrape import (
    ScrapeError,
    merge_groups,
    plan,
    with_server,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._shards import WHOLE, ShardError, shard_of
from ansible_collections.vigil.monitoring.plugins.plugin_utils._task_cache import once_per_task


def read_target_files(loader, paths):
    """Base name -> target groups of target files on the controller.

    :param loader: Ansible's data loader.
    :raises AnsibleError: when a file cannot be read or holds no list.
    """
    result = {}
    for path in paths:
        found = loader.load_from_file(str(path)) or []
        if not isinstance(found, list):
            raise AnsibleError("{0} holds no list of target groups".format(path))
        result[os.path.basename(str(path))] = found
    return result


def read_jobs(loader, paths):
    """The jobs in files with scrape configurations; what is none is left to promtool, which has the better words for it."""
    jobs = []
    for path in paths:
        try:
            found = loader.load_from_file(str(path))
        except AnsibleError:
            continue
        jobs += (found.get("scrape_configs") if isinstance(found, dict) else None) or []
    return jobs


def default_modules(loader):
    """The modules of a blackbox exporter about which no variable says anything: those of its role."""
    path = os.path.join(COLLECTION, "roles", GROUP, "defaults", "main.yml")
    return loader.load_from_file(path)["blackbox_exporter_configuration_modules"]


def before_3(version):
    """Whether this version of Prometheus adds default ports."""
    major = str(version or "").lstrip("v").partition(".")[0]
    return major.isdigit() and int(major) < 3


class LookupModule(LookupBase):
    """The inventory as Prometheus sees it."""

    def run(self, terms, variables=None, **kwargs):
        """See DOCUMENTATION."""
        self.set_options(var_options=variables, direct=kwargs)
        if not variables or "hostvars" not in variables:
            raise AnsibleLookupError("scrape_targets needs an inventory; it cannot be used where there are no hostvars")
        question = (repr(terms), repr(self.get_options()), variables.get("inventory_hostname"))
        return [once_per_task(question, lambda: self._plan(terms, variables))]

    def _plan(self, terms, variables):
        inventory = variables["groups"]
        own_host, directory = variables.get("inventory_hostname"), self.get_option("directory")
        client = self.get_option("client")
        value = HostValues(variables["hostvars"], self._templar, {"groups": inventory})
        server = self.get_option("server")
        if server:
            value = self._with_play(value, server, own_host, variables)
        try:
            groups, shard = merge_groups(terms), WHOLE
            if server:
                shard = shard_of(server, own_host, inventory.get(server) or (), value)
                inventory = with_server(groups, inventory, server, own_host)
            return plan(
                groups,
                inventory,
                value,
                own_host=own_host,
                scrape_configs=[
                    *(self.get_option("scrape_configs") or ()),
                    *read_jobs(self._loader, self.get_option("scrape_config_files")),
                ],
                targets=self.get_option("targets"),
                target_files=read_target_files(self._loader, self.get_option("target_files")),
                alertmanager_group=self.get_option("alertmanager_group"),
                default_ports=before_3(self.get_option("prometheus_version")),
                version=self.get_option("prometheus_version"),
                directory=directory,
                client=client,
                shard=shard,
                sharded_jobs=self.get_option("sharded_jobs"),
                probes=probe_jobs(
                    groups,
                    inventory,
                    value,
                    own_host,
                    directory,
                    lambda: default_modules(self._loader),
                    client,
                    shard,
                ),
            )
        except (ScrapeError, ShardError) as error:
            raise AnsibleLookupError(str(error)) from error

    def _with_play(self, value, role, host, variables):
        """The same function of a host and a variable, but for what the play gives to the role of the server itself."""
        given = {
            name: self._templar.template(raw) for name, raw in _run.given_here(role, variables, self._loader).items()
        }
        if not given:
            return value
        return lambda other, name: given[name] if other == host and name in given else value(other, name)
