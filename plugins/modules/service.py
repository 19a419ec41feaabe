#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: service
short_description: Switch a service to what was prepared, and prove that it works
description:
  - This service runs, enabled, with the binary, the unit and the configuration that are on disk; or as a container, with
    the image and the options that are asked for.
  - The binary's link and the unit, or the container, and the configuration staged by M(vigil.monitoring.config_files) are
    switched together, with a journal on disk first, so that a crash at any moment is undone by the next run, and for
    systemd by the next start.
  - From one runtime to the other a service is switched in the same way.
  - What has to start, restart or reload is decided by comparing what runs with what is on disk. Then the service has to
    become ready and stay up; where it does not, everything is put back, the earlier service is proven, and the module
    fails with the service's own last words.
version_added: 0.1.0
requirements:
  - For O(runtime=docker), Docker 20.10 or newer and Python's requests on the host, and the collection community.docker on
    the controller.
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: full
    description: Tells what would be switched and what would have to restart or reload.
  diff_mode:
    support: full
    description: Shows the unit, the drop-in and the links, or what changes about the container.
  idempotent:
    support: full
    description: A converged service is asked once and not watched.
options:
  name:
    description: Name of the systemd service, without its suffix, and of the container.
    type: str
    required: true
  role:
    description: Prefix of the variables that messages name as the way out. The default is O(name).
    type: str
  state:
    description: >-
      Whether the service is to run, or to be gone: stopped, with its unit and links, or its container, and its
      configuration removed, its data kept unless O(purge) names it. V(restarted) and V(reloaded) are for handlers: they do that
      to what is deployed, whatever it runs under, and prove that it serves afterwards.
    type: str
    choices: [present, absent, restarted, reloaded]
    default: present
  config_dir:
    description: Configuration directory of the service; what the collection remembers lies below it.
    type: path
    required: true
  runtime:
    description: What the service runs under.
    type: str
    choices: [systemd, docker]
    default: systemd
  container:
    description:
      - Options of M(community.docker.docker_container) for the container. Required for O(state=present) with
        O(runtime=docker).
      - In C(user), names of the host's accounts may stand in place of numbers.
    type: dict
  image:
    description: Id of the container's image, which has to be on the host. Without it nothing but a check can be run.
    type: str
  docker_host:
    description: Address of the Docker engine on the host.
    type: str
    default: unix:///var/run/docker.sock
  asked:
    description: >-
      Digest of all options, by which a later run knows them again. Set by the action plugin, which then does without this
      module on a converged host.
    type: str
  candidate:
    description: >-
      Id of the container that was made for the switch. The action plugin fills it in, with
      M(community.docker.docker_container), where another container is needed; do not set it.
    type: str
  unit:
    description: Text of the unit. Required for O(state=present) with O(runtime=systemd).
    type: str
  dropin:
    description: The user's own lines for the unit, as the text of a drop-in. Empty for none.
    type: str
    default: ""
  links:
    description: Symbolic links to make, from path to target.
    type: dict
    default: {}
  files:
    description: Further files of the same generation that lie elsewhere, such as the defaults of a command line tool,
      from absolute path to text. Everybody may read them.
    type: dict
    default: {}
  argv:
    description: The service's command line. The new binary is asked whether it knows every flag before anything changes.
    type: list
    elements: str
    default: []
  version:
    description: Version that has to answer. Without it any version is good.
    type: str
  health:
    description:
      - How the health of the service is checked. Required for O(state=present).
      - What sets a program apart from others is said here, so that any program which serves metrics can be deployed.
    type: dict
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
        description: Path of its metrics below O(health.url).
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
        description: File on the host with the key of O(health.client_cert).
        type: path
      metrics_prefix:
        description:
          - What the names of its metrics C(_build_info), C(_config_last_reload_successful) and
            C(_config_last_reload_success_timestamp_seconds) begin with.
          - The default is O(role), or O(name).
        type: str
      version_metric:
        description: Metric with the version in a label. The default is O(health.metrics_prefix) with C(_build_info).
        type: str
      version_label:
        description: Label of O(health.version_metric) that is the version.
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
        description: Directories below O(config_dir) from which it loads every file.
        type: list
        elements: str
        default: []
      dry_run_argument:
        description:
          - An argument with which the program checks all others and exits before it does anything, such as a directory that
            cannot be. The new binary is run with it, so that it refuses bad values before anything is changed.
        type: str
      tls_variable:
        description: Variable that messages name where the service speaks TLS and is asked without it, or the other way round.
        type: str
  ready_timeout:
    description: >-
      Seconds within which the service has to be ready. Reading a long write-ahead log takes its time; a crash loop is
      seen at once, whatever this says. A reload of Prometheus gets besides what C(--storage.remote.flush-deadline) grants
      the endpoints that it writes to.
    type: int
    default: 120
  settle:
    description: Seconds for which the service has to stay up after a start, and at least half of them once it is ready.
    type: float
    default: 1
  data_dir:
    description:
      - Directory of the service's data, guarded against versions older than the newest that has written there. That one is
        remembered with the data, in C(.vigil-version), which root alone can read, so that it also counts after a removal or
        on another host.
      - Where its file system is full, nothing is started or restarted.
    type: path
  allow_downgrade:
    description: Whether a version may be started that is older than the newest one which has written the data.
    type: bool
    default: false
  take_over:
    description:
      - Whether a unit of the same name that somebody else wrote may be replaced. It is kept for the rollback.
      - So are drop-ins of somebody else's that would have the service started otherwise than asked. Those that a package
        brought along, and those for all services of a host, stay.
    type: bool
    default: false
  conflicts:
    description: >-
      Units of distribution packages that run the same program. They are stopped and masked where they run or are to be
      started at boot. One that bears the service's own name and is masked is replaced.
    type: list
    elements: str
    default: []
  ports:
    description: TCP ports that the service listens on. One that somebody else holds is named before anything changes.
    type: list
    elements: int
    default: []
  reads:
    description: >-
      Files of somebody else's that the service reads only when it starts. Where one is newer than the process, the
      service is restarted.
    type: list
    elements: path
    default: []
  reload:
    description:
      - How the service is told to read some of its files again, where it has another way than SIGHUP. A change of any other
        file restarts it, and so does one of these where it does not let the one in who asks.
    type: dict
    suboptions:
      paths:
        description: What the paths of these files begin with, relative to O(config_dir).
        type: list
        elements: str
        required: true
      urls:
        description: Addresses below O(health.url) that are sent an empty POST request, one after the other.
        type: list
        elements: str
        required: true
      username:
        description: Name for basic authentication.
        type: str
      password:
        description: Password for basic authentication.
        type: str
  database:
    description:
      - The role in PostgreSQL that the service logs in as, where M(vigil.monitoring.postgres_monitoring_role) has found that
        it has to change.
      - It is changed just before the switch, with a note on disk first, and goes back where that goes back.
    type: dict
    suboptions:
      name:
        description: Name of the role.
        type: str
        required: true
      password:
        description: Its password.
        type: str
      password_file:
        description: File of the generation before that may hold the password before.
        type: path
      database:
        description: Database that it has to be able to connect to.
        type: str
        required: true
      host:
        description: Host of the server, or the directory of its socket.
        type: str
        default: ""
      port:
        description: Port of the server.
        type: str
        default: "5432"
      sslmode:
        description: Value of libpq's C(sslmode).
        type: str
        default: ""
      admin_user:
        description: Role that may make roles.
        type: str
        default: ""
      admin_password:
        description: Its password.
        type: str
      admin_system_user:
        description: System user that the server knows as an administrator, without O(database.admin_user).
        type: str
        default: postgres
  keep:
    description:
      - Files that another version of the program changes for good when it starts, such as a database.
      - Before the switch to another program the service is stopped and they are copied; a rollback puts them back.
    type: list
    elements: path
    default: []
  purge:
    description: Directories and files that O(state=absent) removes too.
    type: list
    elements: path
    default: []
  spare:
    description: Files of ours that O(state=absent) leaves, as the data that stay can be read with them alone.
    type: list
    elements: path
    default: []
  secrets:
    description: Values that must not appear in any output.
    type: list
    elements: str
  look:
    description: >-
      Whether the action plugin looks first whether the service runs as it was proven to, and then does without this
      module. Of no use where an earlier task has just changed what this one depends on.
    type: bool
    default: true
seealso:
  - module: vigil.monitoring.release
  - module: vigil.monitoring.config_files
"""

EXAMPLES = r"""
- name: Run Prometheus and prove it
  vigil.monitoring.service:
    name: prometheus
    config_dir: /etc/prometheus
    unit: "{{ lookup('ansible.builtin.file', 'prometheus.service') }}"
    links:
      /usr/local/bin/prometheus: /opt/vigil/bin/prometheus-3.5.3/prometheus
    version: 3.5.3
    health:
      url: http://127.0.0.1:9090
      ready_path: /-/ready
      on_config_change: reload
      loaded_config_path: /api/v1/status/config
    ports: [9090]
"""

RETURN = r"""
action:
  description: What was done to the process.
  returned: always
  type: str
  sample: restarted
reason:
  description: Why.
  returned: always
  type: str
version:
  description: Version that answers, in the service's own words.
  returned: when the service was asked
  type: str
unproven:
  description: What could not be proven, such as everything that needs a password the module was not given.
  returned: always
  type: list
  elements: str
notes:
  description: What else a person should know, such as a unit that was masked.
  returned: always
  type: list
  elements: str
pid:
  description: Main process.
  returned: when the service runs
  type: int
"""

import contextlib
import os

from ansible_collections.vigil.monitoring.plugins.module_utils._deployment import Deployment
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import DEFAULT_HOST
from ansible_collections.vigil.monitoring.plugins.module_utils._health import HEALTH_OPTIONS
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError, one_run_at_a_time
from ansible_collections.vigil.monitoring.plugins.module_utils._machine import HERE
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._postgres_server import OPTIONS
from ansible_collections.vigil.monitoring.plugins.module_utils._removal import Removal
from ansible_collections.vigil.monitoring.plugins.module_utils._restart import NOW, Restart
from ansible_collections.vigil.monitoring.plugins.module_utils._runtimes import RUNTIMES
from ansible_collections.vigil.monitoring.plugins.module_utils._task import Task

# What is done for each value of the option `state`.
WORK = {"present": Deployment, "absent": Removal, **dict.fromkeys(NOW, Restart)}


def main():
    """Entry point."""
    module = Module(
        argument_spec={
            "name": {"type": "str", "required": True},
            "role": {"type": "str"},
            "state": {"type": "str", "choices": list(WORK), "default": "present"},
            "config_dir": {"type": "path", "required": True},
            "runtime": {"type": "str", "choices": list(RUNTIMES), "default": "systemd"},
            "unit": {"type": "str"},
            "dropin": {"type": "str", "default": ""},
            "links": {"type": "dict", "default": {}},
            "files": {"type": "dict", "default": {}},
            "container": {"type": "dict"},
            "image": {"type": "str"},
            "candidate": {"type": "str"},
            "asked": {"type": "str"},
            "docker_host": {"type": "str", "default": DEFAULT_HOST},
            "argv": {"type": "list", "elements": "str", "default": []},
            "version": {"type": "str"},
            "health": {"type": "dict", "options": HEALTH_OPTIONS},
            "ready_timeout": {"type": "int", "default": 120},
            "settle": {"type": "float", "default": 1},
            "data_dir": {"type": "path"},
            "allow_downgrade": {"type": "bool", "default": False},
            "take_over": {"type": "bool", "default": False},
            "conflicts": {"type": "list", "elements": "str", "default": []},
            "ports": {"type": "list", "elements": "int", "default": []},
            "reads": {"type": "list", "elements": "path", "default": []},
            "reload": {
                "type": "dict",
                "options": {
                    "paths": {"type": "list", "elements": "str", "required": True},
                    "urls": {"type": "list", "elements": "str", "required": True},
                    "username": {"type": "str"},
                    "password": {"type": "str", "no_log": True},
                },
            },
            "database": {"type": "dict", "options": dict(OPTIONS, password_file={"type": "path", "no_log": False})},
            "keep": {"type": "list", "elements": "path", "default": []},
            "purge": {"type": "list", "elements": "path", "default": []},
            "spare": {"type": "list", "elements": "path", "default": []},
            "secrets": {"type": "list", "elements": "str", "no_log": True},
            "look": {"type": "bool", "default": True},
        },
        required_if=[("state", state, ("health",)) for state in ("present", *NOW)],
        supports_check_mode=True,
    )
    if os.geteuid() != 0:
        module.fail_json(msg="root is needed to deploy a service; run the play with become: true")
    problem = problem_of(module.params, HERE)
    if problem:
        module.fail_json(msg=problem)
    try:
        task = Task(module)
        with contextlib.nullcontext() if module.check_mode else one_run_at_a_time(task.state.config_dir):
            WORK[module.params["state"]](task).run()
    except HostError as error:
        module.fail_json(msg=str(error))


def problem_of(params, machine):
    """That nothing can be done with these options on this host: a sentence, or None."""
    runtime = RUNTIMES[params["runtime"]]
    if params["state"] == "present":
        if params[runtime.needs] is None:
            return "runtime {0} needs the option {1}".format(params["runtime"], runtime.needs)
        problem = runtime.host_problem(machine)
        if problem:
            return problem
    return None


if __name__ == "__main__":
    main()
