#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: config_files
short_description: Stage and validate the whole configuration of a service
description:
  - Manages all configuration files of a service, which are rendered on the controller.
  - The files are staged together with copies of the user's own files in the same directory, and validated by
    the validator of the new version. The running service is not affected; M(vigil.monitoring.service) activates
    the staged files.
  - A manifest lists the written files, so that a file that was removed from the inventory is removed from the host, and the
    user's own files are never changed.
version_added: 0.1.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: full
    description: Stages nothing, but validates if the validator is installed on the host already.
  diff_mode:
    support: full
    description: Secret values are masked; only the name of a secret file is shown.
  idempotent:
    support: full
    description: A converged host takes one round trip.
options:
  path:
    description: Configuration directory of the service, absolute.
    type: path
    required: true
  role:
    description: Prefix of the variables that messages name. Defaults to the last part of O(path).
    type: str
  user:
    description: System user of the service. Created without a home directory and shell if it is missing.
    type: str
    required: true
  group:
    description: System group of the service, which can read the files.
    type: str
    required: true
  files:
    description: The configuration files.
    type: list
    elements: dict
    suboptions:
      path:
        description: Path inside O(path).
        type: str
        required: true
      content:
        description: Content as text.
        type: str
      data:
        description: Content as data, written as YAML.
        type: raw
      src:
        description: File on the controller whose content is copied unchanged.
        type: path
      secret:
        description: Whether the whole content is secret and not shown in a diff.
        type: bool
        default: false
      mode:
        description: Permission bits, in octal.
        type: str
        default: "0640"
      kept:
        description:
          - For a file that stays as it is as long as there are data which can be read with it alone, such as a key. Where its
            content is empty, it is made up on the host, once.
          - A dictionary with C(data), the path whose existence tells that there are data; C(before), C(file), C(pattern) and
            C(reference) for what counts where data are older than the file; C(what) it is, C(variable), C(everybody) and
            C(another) for messages; and C(renew), whether another content is accepted.
        type: dict
  directories:
    description: >-
      Further directories that the service needs, such as the one of its data, and directories inside O(path) that are there
      without a file or with another owner or mode.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      owner:
        description: Owner's name.
        type: str
        default: root
      group:
        description: Group's name.
        type: str
        default: root
      mode:
        description: Permission bits, in octal.
        type: str
        default: "0750"
  validate:
    description:
      - Commands that validate the staged files. C(%s) is replaced by the directory that contains all of them.
      - A command whose program is not installed yet is skipped in check mode.
    type: list
    elements: list
    default: []
  image:
    description: >-
      ID of the container image with the programs of O(validate). They are run in a container of it, without a
      network. If not set, the programs of the host are used.
    type: str
  docker_host:
    description: Address of the Docker engine on the host.
    type: str
    default: unix:///var/run/docker.sock
  readable:
    description: Absolute paths of files that the configuration refers to and that the service's user has to be able to read.
    type: list
    elements: path
    default: []
  refuse:
    description: Strings that must not occur in any file, such as C(${) if the service does not expand variables.
    type: list
    elements: str
    default: []
  take_over:
    description: Whether to replace files that were not written by this collection. They are kept for a rollback.
    type: bool
    default: false
  superseded:
    description:
      - Files below O(path) that another collection is known to write and that are not part of what the inventory specifies, with what
        tells them from a user's own. With O(take_over) those that are there are removed, and kept for the rollback; one that
        does not match stays, with a warning.
      - The action plugin adds those of prometheus.prometheus, cloudalchemy and grafana.grafana for the role.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path inside O(path).
        type: str
        required: true
      pattern:
        description: Regular expression that the beginning of its content matches.
        type: str
        required: true
      secret:
        description: Whether the whole content is secret and not shown in a diff.
        type: bool
        default: false
  pristine:
    description: Whether to replace files of a distribution package that have not been modified since.
    type: bool
    default: false
  data_dir:
    description:
      - Directory of the service's data. If the data is in another one, nothing is changed unless O(data_change) says what becomes of it.
    type: path
    version_added: 0.4.0
  data_change:
    description: As O(vigil.monitoring.service#module:data_change), which does it.
    type: str
    choices: [move, empty]
    version_added: 0.4.0
  secrets:
    description: Values that are masked in all output.
    type: list
    elements: str
  payload:
    description: The files, as sent by the action plugin. For internal use.
    type: str
seealso:
  - module: vigil.monitoring.release
  - module: vigil.monitoring.service
"""

EXAMPLES = r"""
- name: Prepare the configuration of Prometheus
  vigil.monitoring.config_files:
    path: /etc/prometheus
    user: prometheus
    group: prometheus
    files:
      - path: prometheus.yml
        data:
          global:
            scrape_interval: 15s
          rule_files:
            - rules/*.yml
      - path: rules/site.yml
        src: rules/site.yml
    directories:
      - path: /var/lib/prometheus
        owner: prometheus
        group: prometheus
    validate:
      - [/usr/local/bin/promtool, check, config, "%s/prometheus.yml"]
"""

RETURN = r"""

staged:
  description: Paths that will change at the switch, relative to the configuration directory.
  returned: always
  type: dict
  sample: {"create": ["rules/site.yml"], "update": ["prometheus.yml"], "remove": []}
taken_over:
  description: Paths of somebody else's that the switch replaces or removes, relative to the configuration directory.
  returned: always
  type: list
  elements: str
  sample: ["prometheus.yml", "rules/ansible_managed.yml"]
validated:
  description: Whether the validator has seen the tree in this run.
  returned: always
  type: bool
recovered:
  description: Whether an activation was undone that an earlier run had begun and not verified.
  returned: always
  type: bool
missing_account:
  description: Whether the user or the group is missing, or was before this run.
  returned: always
  type: bool
"""

import contextlib
import os

from ansible_collections.vigil.monitoring.plugins.module_utils._config_files import Tree
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import DEFAULT_HOST
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError, one_run_at_a_time
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module


def main():
    """Entry point."""
    module = Module(
        argument_spec={
            "path": {"type": "path", "required": True},
            "role": {"type": "str"},
            "user": {"type": "str", "required": True},
            "group": {"type": "str", "required": True},
            "files": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "path": {"type": "str", "required": True},
                    "content": {"type": "str"},
                    "data": {"type": "raw"},
                    "src": {"type": "path"},
                    "secret": {"type": "bool", "default": False, "no_log": False},
                    "mode": {"type": "str", "default": "0640"},
                    "kept": {"type": "dict"},
                },
            },
            "directories": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "owner": {"type": "str", "default": "root"},
                    "group": {"type": "str", "default": "root"},
                    "mode": {"type": "str", "default": "0750"},
                },
            },
            "validate": {"type": "list", "elements": "list", "default": []},
            "image": {"type": "str"},
            "docker_host": {"type": "str", "default": DEFAULT_HOST},
            "readable": {"type": "list", "elements": "path", "default": []},
            "refuse": {"type": "list", "elements": "str", "default": []},
            "take_over": {"type": "bool", "default": False},
            "superseded": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "str", "required": True},
                    "pattern": {"type": "str", "required": True},
                    "secret": {"type": "bool", "default": False, "no_log": False},
                },
            },
            "pristine": {"type": "bool", "default": False},
            "data_dir": {"type": "path"},
            "data_change": {"type": "str", "choices": ["move", "empty"]},
            "secrets": {"type": "list", "elements": "str", "no_log": True},
            "payload": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    if os.geteuid() != 0:
        module.fail_json(msg="root is needed to deploy a service; run the play with become: true")
    tree = Tree(module)
    try:
        with contextlib.nullcontext() if module.check_mode else one_run_at_a_time(tree.path):
            tree.run()
    except HostError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
