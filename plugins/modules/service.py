#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: service
short_description: Manage a service under systemd or Docker, verify it, and roll back on failure
description:
  - Ensures that the service is enabled and runs with the given binary, unit and configuration, or as a container with the
    given image and options.
  - The binary's link and the unit, or the container, and the configuration staged by M(vigil.monitoring.config_files) are
    activated together, with a journal on disk first. If the run is interrupted at any moment, the next run rolls it back,
    and so does the next start of a systemd service.
  - A change of the runtime is activated in the same way.
  - Whether the service is started, restarted or reloaded is decided by comparing the running process with what is on disk.
    Afterwards the service has to become ready and stay up. If it does not, the previous deployment is restored and
    verified, and the module fails with the last log lines of the service.
version_added: 0.1.0
requirements:
  - For O(runtime=docker), Docker 20.10 or newer and Python's requests on the host, and the collection community.docker on
    the controller.
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: full
    description: Reports what would be changed, and whether the service would be started, restarted or reloaded.
  diff_mode:
    support: full
    description: Shows changes of the unit, the drop-in and the links, or of the container's options.
  idempotent:
    support: full
    description: A service that runs as configured is verified with one request and not changed.
options:
  name:
    description: Name of the systemd service, without its suffix, and of the container.
    type: str
    required: true
  role:
    description: Prefix of the variables that messages name. Defaults to O(name).
    type: str
  state:
    description: >-
      V(present) deploys the service. V(absent) stops it and removes its unit and links, or its container, and its
      configuration; data is kept unless listed in O(purge). V(restarted) and V(reloaded) are for handlers: they restart or
      reload the deployed service, whatever its runtime, and verify it afterwards. V(stopped) stops a deployed service that stays
      deployed, and V(started) starts it again and verifies it as it was verified the last time; both need no further options than
      O(name), O(role), O(config_dir) and O(docker_host).
    type: str
    choices: [present, absent, restarted, reloaded, stopped, started]
    default: present
  config_dir:
    description: Configuration directory of the service. The state of the collection is kept in C(.vigil) below it.
    type: path
    required: true
  runtime:
    description: Runtime of the service.
    type: str
    choices: [systemd, docker]
    default: systemd
  container:
    description:
      - Options of M(community.docker.docker_container) for the container. Required for O(state=present) with
        O(runtime=docker).
      - C(user) accepts names of the host's accounts as well as numbers.
    type: dict
  image:
    description: ID of the container's image, which has to be on the host. May be left out in check mode only.
    type: str
  firewall:
    description:
      - Path of the one of O(files) that has the rules of the service for nftables, in the table C(inet vigil_monitoring).
      - All such files of the host are loaded by the systemd unit C(vigil-firewall.service), in one transaction. It goes with the last
        of them.
    type: path
  docker_host:
    description: Address of the Docker engine on the host.
    type: str
    default: unix:///var/run/docker.sock
  asked:
    description: >-
      Digest of all options, which a later run compares. Set by the action plugin, which does not run this module on a
      converged host; do not set it.
    type: str
  candidate:
    description: >-
      ID of the container that replaces the current one. Set by the action plugin, which creates it with
      M(community.docker.docker_container) when needed; do not set it.
    type: str
  unit:
    description: Text of the unit. Required for O(state=present) with O(runtime=systemd).
    type: str
  dropin:
    description: Text of a drop-in with the user's own settings for the unit. Empty for none.
    type: str
    default: ""
  links:
    description: Symbolic links to create, as a mapping from path to target.
    type: dict
    default: {}
  files:
    description: Further files outside O(config_dir), such as the defaults of a command line tool, as a mapping from absolute
      path to text. They are world-readable.
    type: dict
    default: {}
  argv:
    description: Command line of the service. Before anything is changed, the new binary is run to check every flag.
    type: list
    elements: str
    default: []
  version:
    description: Version that the service has to report. Any version is accepted when it is not set.
    type: str
  health:
    description:
      - How the health of the service is checked. Required unless O(state=absent).
      - It contains everything that is specific to a program, so that any program that serves metrics can be deployed.
    type: dict
    suboptions:
      url:
        description: Base URL as seen from the host itself, with the route prefix and without a slash at its end.
        type: str
        required: true
      other_urls:
        description: Further base URLs, for a service that listens on all addresses. The first one that answers is used.
        type: list
        elements: str
        default: []
      metrics_path:
        description: Path of the metrics below O(health.url).
        type: str
        default: /metrics
      username:
        description: User name for basic authentication.
        type: str
      password:
        description: Password for basic authentication.
        type: str
      ca_path:
        description: File on the host with the CA certificate that signed the service's certificate.
        type: path
      client_cert:
        description: File on the host with the client certificate, for a service that requires one. It may contain the key.
        type: path
      client_key:
        description: File on the host with the private key of O(health.client_cert).
        type: path
      client_pem:
        description:
          - Client certificate with its private key, as text in PEM, instead of O(health.client_cert). It is written to no disk of
            the host.
        type: str
      metrics_prefix:
        description:
          - Prefix of its metrics C(_build_info), C(_config_last_reload_successful) and
            C(_config_last_reload_success_timestamp_seconds).
          - Defaults to O(role), or O(name).
        type: str
      version_metric:
        description: Metric with the version in a label. Defaults to O(health.metrics_prefix) followed by C(_build_info).
        type: str
      version_label:
        description: Label of O(health.version_metric) that contains the version.
        type: str
        default: version
      ready_path:
        description: Path that returns HTTP 200 when the service is ready. If not set, the service is ready when it serves metrics.
        type: str
      on_config_change:
        description:
          - How a changed configuration is loaded. V(reload) sends SIGHUP, and the result has to be visible in the metrics.
          - If not set, the service reads its files at each request, and nothing is done.
        type: str
        choices: [reload, restart]
      reload_delay:
        description: Additional time for a reload, for services that finish other work first.
        type: dict
        suboptions:
          metric:
            description: Metric with one series for each piece of work that the service finishes before it reloads.
            type: str
            required: true
          flag:
            description: Name of the flag, without dashes, that limits the time for each of them.
            type: str
            required: true
          default:
            description: Seconds for each of them when the flag is not set.
            type: int
            required: true
      dependency_metric:
        description: Gauge that is 0 while the service cannot reach what it depends on.
        type: str
      dependency:
        description: Name of that dependency in messages.
        type: str
        default: dependency
      loaded_config_path:
        description: Path that returns the loaded configuration.
        type: str
      config_hash_metric:
        description: Metric whose value changes with the loaded configuration.
        type: str
      loaded_directories:
        description: Directories below O(config_dir) from which it loads every file.
        type: list
        elements: str
        default: []
      dry_run_argument:
        description:
          - Argument with which the program validates all others and exits before it does anything, such as a directory that
            cannot exist. The new binary is run with it, so that invalid values are found before anything is changed.
        type: str
      tls_variable:
        description: Variable that messages name if the service uses TLS and the health check does not, or the other way round.
        type: str
  ready_timeout:
    description: >-
      Seconds to wait until the service is ready. Replaying a long write-ahead log takes time. A crash loop is detected at
      once, regardless of this value. For a reload of Prometheus, C(--storage.remote.flush-deadline) is added for each of its
      remote write endpoints.
    type: int
    default: 120
  settle:
    description: Seconds that the service has to stay up after a start, at least half of them after it became ready.
    type: float
    default: 1
  data_dir:
    description:
      - Directory of the service's data. Versions older than the newest one that has written there are refused. The newest
        version is stored with the data, in C(.vigil-version), which only root can read, so that it also counts after a removal
        or on another host.
      - If its file system is full, the service is neither started nor restarted.
    type: path
  data_change:
    description:
      - What becomes of the data when O(data_dir) is another directory than before. If not set, the service is not changed as long as there
        is data in the old directory and none in the new one.
      - V(move) moves it - renamed with the journal of the activation, or copied to another file system, at first while the service
        runs; a rollback brings it back. V(empty) leaves it where it is.
    type: str
    choices: [move, empty]
  allow_downgrade:
    description: Whether to allow a version that is older than the newest one that has written to O(data_dir).
    type: bool
    default: false
  take_over:
    description:
      - Whether to replace a unit of the same name that was not written by this collection. It is kept for a rollback.
      - The same applies to drop-ins that override how the service is started. Drop-ins installed by packages, and those for
        all services of the host, are never removed.
    type: bool
    default: false
  conflicts:
    description: >-
      Units of distribution packages that run the same program. They are stopped and masked if they are active or enabled. A
      masked unit with the service's own name is replaced.
    type: list
    elements: str
    default: []
  ports:
    description: TCP ports that the service listens on. If another process listens on one, the module fails before any change.
    type: list
    elements: int
    default: []
  reads:
    description: >-
      Files not managed by this collection that the service reads only at its start, such as certificates. The service is
      restarted if one is newer than its process.
    type: list
    elements: path
    default: []
  certificates:
    description:
      - Files of the host with which the service is served by TLS, and that something else has put there. A certificate that has
        expired or is not valid yet, that was not issued by the authority, is for another name or purpose, or does not belong to
        its key is refused before anything changes.
    type: dict
    suboptions:
      ca:
        description: File with the certificates of the authorities to trust.
        type: path
        required: true
      certificate:
        description: File with the certificate of the service, and its chain.
        type: path
        required: true
      key:
        description: File with its private key.
        type: path
        required: true
      client_certificate:
        description: File with the certificate that clients of the service show.
        type: path
      client_key:
        description: File with its private key.
        type: path
      name:
        description: Name or address that the certificate has to be for. If not set, any is good.
        type: str
      both:
        description: Whether the service shows its certificate also where it is the client, as the members of a cluster do.
        type: bool
        default: false
  reload:
    description:
      - HTTP API that makes the service reload some of its files, for services that do not reload on SIGHUP. A change of any
        other file restarts the service, and so does a change of these if the API refuses the credentials.
    type: dict
    suboptions:
      paths:
        description: Prefixes of the paths of these files, relative to O(config_dir).
        type: list
        elements: str
        required: true
      urls:
        description: Paths below O(health.url) that are sent an empty POST request, one after the other.
        type: list
        elements: str
        required: true
      username:
        description: User name for basic authentication.
        type: str
      password:
        description: Password for basic authentication.
        type: str
  database:
    description:
      - PostgreSQL role that the service logs in with, if M(vigil.monitoring.postgres_monitoring_role) has reported that it has
        to change.
      - It is changed just before the activation, with a journal on disk first, and restored by a rollback.
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
        description: File of the previous deployment that may contain the previous password.
        type: path
      database:
        description: Database that the role has to be able to connect to.
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
        description: Role that may create roles.
        type: str
        default: ""
      admin_password:
        description: Its password.
        type: str
      admin_system_user:
        description: System user that is an administrator of the server, used if O(database.admin_user) is not set.
        type: str
        default: postgres
  keep:
    description:
      - Files that another version of the program migrates irreversibly when it starts, such as a database.
      - Before another version is activated, the service is stopped and these files are copied. A rollback restores them.
    type: list
    elements: path
    default: []
  dump:
    description:
      - How the database of a server is dumped, which another version of the program migrates irreversibly when it starts. Before another
        version is activated, it is dumped into O(config_dir), where only root can read it. A failed dump ends the deployment before
        anything is changed; a rollback leaves the database as it is, and names the dump.
    type: dict
    suboptions:
      argv:
        description: Command that writes the dump to its standard output.
        type: list
        elements: str
        required: true
      environment:
        description: Environment of the command, with the password.
        type: dict
        default: {}
    version_added: 0.4.0
  migrations:
    description:
      - Where a database lists the changes of its schema. If it is not known which version has written the data, and the program does
        not contain the names of several changes, a newer version has, and the deployment is refused unless O(allow_downgrade).
    type: dict
    suboptions:
      database:
        description: Path of a SQLite database.
        type: path
      argv:
        description: For a database on a server, the command that prints the names, one a line. If it fails, nothing is known.
        type: list
        elements: str
      environment:
        description: Environment of the command, with the password.
        type: dict
        default: {}
      query:
        description: SQL query whose first column is the name of a change.
        type: str
        required: true
      derived:
        description: Regular expression of names that no program contains as such.
        type: str
        required: true
    version_added: 0.4.0
  data_of_line:
    description: Whether a version can open the data of a newer one with the same first two numbers, so that this is no downgrade.
    type: bool
    default: false
    version_added: 0.4.0
  purge:
    description: Directories and files that O(state=absent) removes as well.
    type: list
    elements: path
    default: []
  spare:
    description: Files that O(state=absent) keeps, because the remaining data cannot be read without them.
    type: list
    elements: path
    default: []
  removal:
    description:
      - What a later removal has to know without an inventory - C(service), the name of the service; C(grouped), whether the host is in
        the inventory group of the service; C(data), the paths of its data; and the options of the modules that remove it.
      - It is kept on the host, in C(/var/lib/vigil.monitoring), which only root can enter, until nothing of the service is left. For
        the roles of this collection.
    type: dict
  history:
    description:
      - Jobs whose time series a change of the configuration may end - a mapping from the name of a job to C(targets), its addresses with
        their labels, and C(relabelling), a digest of its rules. It is kept on the host, and compared with that of the last verification.
    type: dict
  secrets:
    description: Values that are masked in all output.
    type: list
    elements: str
seealso:
  - module: vigil.monitoring.release
  - module: vigil.monitoring.config_files
"""

EXAMPLES = r"""
- name: Run Prometheus and verify it
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
  description: What was done to the service's process.
  returned: always
  type: str
  sample: restarted
reason:
  description: Reason for that action.
  returned: always
  type: str
version:
  description: Version that the service reports.
  returned: when the service was verified
  type: str
unverified:
  description: What could not be verified, for example because a password is required that was not given.
  returned: always
  type: list
  elements: str
notes:
  description: Further information for the user, such as a unit that was masked.
  returned: always
  type: list
  elements: str
pid:
  description: ID of the main process.
  returned: when the service runs
  type: int
was_running:
  description: Whether the service ran before.
  returned: when the service was verified
  type: bool
ended:
  description: What ends of the time series under their old names, as sentences.
  returned: with O(state=present)
  type: list
  elements: str
  sample: ["job node: port 9100 is now 9101 (db1:9100)"]
removed:
  description: Paths that were, or would be, removed, and the container or unit that was stopped.
  returned: with O(state=absent)
  type: list
  elements: str
kept:
  description: Paths that are kept - the data, and directories with files that were not written by this collection.
  returned: with O(state=absent)
  type: list
  elements: str
deployed:
  description: What M(vigil.monitoring.service_health) reads about all services that were deployed on this host.
  returned: in check mode with O(state=present)
  type: str
"""

import contextlib
import os

from ansible_collections.vigil.monitoring.plugins.module_utils._deployment import Deployment
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import DEFAULT_HOST
from ansible_collections.vigil.monitoring.plugins.module_utils._health import HEALTH_OPTIONS
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError, one_run_at_a_time
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._pause import PAUSE, Pause
from ansible_collections.vigil.monitoring.plugins.module_utils._postgres_server import OPTIONS
from ansible_collections.vigil.monitoring.plugins.module_utils._removal import Removal
from ansible_collections.vigil.monitoring.plugins.module_utils._restart import NOW, Restart
from ansible_collections.vigil.monitoring.plugins.module_utils._runtimes import RUNTIMES
from ansible_collections.vigil.monitoring.plugins.module_utils._system import HERE
from ansible_collections.vigil.monitoring.plugins.module_utils._task import Task

# What is done for each value of the option `state`.
WORK = {"present": Deployment, "absent": Removal, **dict.fromkeys(NOW, Restart), **dict.fromkeys(PAUSE, Pause)}


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
            "firewall": {"type": "path"},
            "candidate": {"type": "str"},
            "asked": {"type": "str"},
            "docker_host": {"type": "str", "default": DEFAULT_HOST},
            "argv": {"type": "list", "elements": "str", "default": []},
            "version": {"type": "str"},
            "health": {"type": "dict", "options": HEALTH_OPTIONS},
            "ready_timeout": {"type": "int", "default": 120},
            "settle": {"type": "float", "default": 1},
            "data_dir": {"type": "path"},
            "data_change": {"type": "str", "choices": ["move", "empty"]},
            "allow_downgrade": {"type": "bool", "default": False},
            "take_over": {"type": "bool", "default": False},
            "conflicts": {"type": "list", "elements": "str", "default": []},
            "ports": {"type": "list", "elements": "int", "default": []},
            "reads": {"type": "list", "elements": "path", "default": []},
            "certificates": {
                "type": "dict",
                "options": {
                    "ca": {"type": "path", "required": True},
                    "certificate": {"type": "path", "required": True},
                    "key": {"type": "path", "required": True, "no_log": False},
                    "client_certificate": {"type": "path"},
                    "client_key": {"type": "path", "no_log": False},
                    "name": {"type": "str"},
                    "both": {"type": "bool", "default": False},
                },
            },
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
            "dump": {
                "type": "dict",
                "options": {
                    "argv": {"type": "list", "elements": "str", "required": True},
                    "environment": {"type": "dict", "default": {}, "no_log": False},
                },
            },
            "migrations": {
                "type": "dict",
                "options": {
                    "database": {"type": "path"},
                    "argv": {"type": "list", "elements": "str"},
                    "environment": {"type": "dict", "default": {}, "no_log": False},
                    "query": {"type": "str", "required": True},
                    "derived": {"type": "str", "required": True},
                },
                "required_one_of": [("database", "argv")],
            },
            "data_of_line": {"type": "bool", "default": False},
            "purge": {"type": "list", "elements": "path", "default": []},
            "spare": {"type": "list", "elements": "path", "default": []},
            "removal": {"type": "dict"},
            "history": {"type": "dict"},
            "secrets": {"type": "list", "elements": "str", "no_log": True},
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
