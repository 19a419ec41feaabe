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
  probe:
    description: How to ask the service. Required for O(state=present).
    type: dict
    suboptions:
      kind:
        description: What kind of service answers, by the name of its role.
        type: str
        required: true
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
      client_cert:
        description: File on the host with the certificate to show where the service wants one, and maybe its key.
        type: path
      client_key:
        description: File on the host with the key of O(probe.client_cert).
        type: path
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
        description: Addresses below O(probe.url) that are sent an empty POST request, one after the other.
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
    probe:
      kind: prometheus
      url: http://127.0.0.1:9090
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
import grp
import importlib.util
import json
import os
import pwd
import re
import sys
from typing import NamedTuple, Optional

from ansible_collections.vigil.monitoring.plugins.module_utils import _glance, _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._asking import (
    credentials_of,
    derive,
    flags_of,
    listening,
    published,
    shown,
    urls_of,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import (
    DEFAULT_HOST,
    LABEL_SERVICE,
    NO_REQUESTS,
    different_options,
    in_container,
    in_podman,
    is_podman,
    label,
    published_by,
    remapping_problem,
    version_in,
    version_problem,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._engine import Engine, NoEngine
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    WRITER,
    HostError,
    NotProven,
    State,
    digest,
    ensure_directory,
    mark_writer,
    newest_writer,
    one_run_at_a_time,
    read_bytes,
    read_text,
    write_atomically,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._http import UnusableFile, tls_context
from ansible_collections.vigil.monitoring.plugins.module_utils._machine import HERE
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._postgres_server import (
    OPTIONS,
    NotThere,
    Refused,
    Role,
    Server,
    Unreachable,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._probe import (
    REFUSALS,
    downgrade_problem,
    flush_seconds,
    judge,
    lost_dependency,
    words,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._process import (
    Decision,
    about_features,
    complaints,
    decide,
    is_loaded,
    listeners,
    other_start,
    refused_arguments,
    unknown_flag,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._room import LEAST_SPACE, is_short, place_problem
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_docker import Docker
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_systemd import (
    Systemd,
    belongs_to,
    in_the_way,
    stop_and_mask,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._scrub import Scrubber
from ansible_collections.vigil.monitoring.plugins.module_utils._services import RELOAD, SERVICES
from ansible_collections.vigil.monitoring.plugins.module_utils._switch import Change, Owners
from ansible_collections.vigil.monitoring.plugins.module_utils._systemd import VENDORS
from ansible_collections.vigil.monitoring.plugins.module_utils._tree import diff_entry
from ansible_collections.vigil.monitoring.plugins.module_utils._version import same_version, version_key

# What is done at once to a service that is deployed: state -> action.
NOW = {"restarted": "restart", "reloaded": "reload"}
POLL_SECONDS = 0.2
# How much of the data is looked through, after a failure, for what belongs to somebody else.
DATA_ENTRIES = 10000
# How many lines of the log of a start are looked through for what the service complains about.
COMPLAINING_LINES = 500
# Seconds for which an answer has to stay that asking again will not change: a process that is just leaving may have given it.
CERTAIN_SECONDS = 2.0
# While a service comes up it is asked more often: most need a fraction of a second.
EAGER_SECONDS = 1.0
EAGER_POLL = 0.05
# Seconds that a service has, once it serves, to reach what the one before it reached.
DEPENDENCY_SECONDS = 10


class Before(NamedTuple):
    """What a switch replaces.

    :ivar probe: how it is asked; None where that is not known.
    :ivar metrics: what it said just now, None where it did not answer.
    """

    probe: Optional[dict]
    metrics: Optional[str]


class Deployment:
    """One service on this host.

    :param machine: the host, a :class:`_machine.Machine`.
    """

    def __init__(self, module, machine=HERE):
        self.module = module
        self.machine = machine
        self.name = module.params["name"]
        self.role = module.params["role"] or self.name
        self.probe = module.params["probe"]
        self.kind = SERVICES[self.probe["kind"]] if self.probe else None
        self.state = State(module.params["config_dir"].rstrip("/"))
        self.notes, self.unproven = [], []
        # In a check: the service's container where somebody gave it another name.
        self.renamed = None
        # An engine that is Podman in truth.
        self.podman = None
        # What a check cannot know, as it changes nothing.
        self.unknown = []
        self.systemd = Systemd(self.name, module.params["unit"], module.params["dropin"], machine)
        self.docker = self.find_docker()
        self.runtime = self.docker if module.params["runtime"] == "docker" else self.systemd
        self.said = None
        # Files that are copied aside, as another program is about to change them; what is written to others stays.
        self.copied = []
        # Whether data passes from one account to another with the switch.
        self.passes = False
        # What the switch replaces, once it was looked at, and the URL at which the last answer came.
        self.before = self.asked_at = None
        # Whether the service reached what it depends on before anything was done to it.
        self.reached_before = False
        # Whether it can be told to read what changes, instead of being restarted.
        self.rereads = False

    def find_docker(self):
        """The other runtime: where it is asked for, and where it has had, or may have, a container of the service."""
        params = self.module.params
        if params["state"] == "present" and params["runtime"] == "docker":
            engine = Engine(params["docker_host"])
            return Docker(self.name, engine, params["container"], params["image"], params["candidate"], self.machine)
        host = self.state.engine()
        if not host and params["state"] == "present":
            return None
        try:
            engine = Engine(host or params["docker_host"])
            if is_podman(engine.version()) and params["state"] == "present":
                self.podman = engine
                return None
        except NoEngine as error:
            if host:
                self.notes.append("{0}; it may have a container {1} that comes back with it".format(error, self.name))
            return None
        return Docker(self.name, engine, machine=self.machine)

    # What is there

    def ask(self, probe=None):
        """One request for the metrics and one for readiness.

        :param probe: how to ask; as it is asked for, where nothing is said.
        """
        probe = probe or self.probe
        metrics = self.answer(probe, probe["metrics_path"])
        path = self.kind.ready_path if metrics.status == 200 else None
        return metrics, self.answer(probe, path) if path else None

    def answer(self, probe, path):
        """The answer of the first address at which there is one, else the one that tells most.

        :param probe: how to ask.
        :param path: below its base URL.
        """
        refused = None
        for url in urls_of(probe):
            found = self.machine.get(url + path, **credentials_of(probe))
            if found.status:
                self.asked_at = url
                return found
            refused = found if refused is None or (found.why and not refused.why) else refused
        return refused

    def as_before(self, manifest):
        """How what the switch is about to replace is asked, and what it says: :class:`Before`, looked for once.

        :param manifest: that of the generation before.
        """
        if self.before is None:
            remembered = self.state.asked(manifest["generation"])
            ways = [remembered] if remembered else self.likely_ways(manifest)
            self.before = Before(ways[0] if ways else None, None)
            for way in ways or [self.probe]:
                metrics, ready = self.ask(way)
                if judge(self.probe["kind"], metrics, ready, None).state in ("ok", "unproven"):
                    self.before = Before(way, metrics.text)
                    break
        return self.before

    def likely_ways(self, manifest):
        """How a service may be asked of which nothing is remembered: as its process says, or as it will be asked.

        :param manifest: that of the generation before.
        """
        old = self.runtime_of(manifest)
        running = old.running(old.look())
        if running is None:
            return []
        pid = running.pid
        argv = [word for word in self.machine.proc("{0}/cmdline".format(pid)).split("\0") if word]
        definition = (manifest["container"] or {}).get("definition") or {}
        addresses = published(definition.get("published_ports")) if old is self.docker else []
        if not addresses and "web.listen-address" not in flags_of(argv):
            tables = [self.machine.proc("{0}/net/{1}".format(pid, name)) for name in ("tcp", "tcp6")]
            addresses = listening(tables, self.machine.sockets(pid))
        return [*derive(self.probe, argv, addresses, read_text), self.probe]

    def file_problem(self):
        """That a file which it takes to ask the service cannot be used: a sentence, or None."""
        probe = self.probe
        if not probe["url"].startswith("https"):
            return None
        try:
            tls_context(probe["ca_path"], probe["client_cert"], probe["client_key"])
        except UnusableFile as error:
            return REFUSALS["file"].format(error, self.role)
        return None

    # What has to change

    def plan(self, manifest):
        """Everything that the switch will change.

        :returns: ``(changes, new manifest, path of a changed unit -> (text before or None, text after or None))``.
        """
        changes, texts = [], {}
        wanted = dict(self.module.params["files"], **self.runtime.texts(self.state.undo))
        for path, text in dict(dict.fromkeys(manifest["units"], ""), **wanted).items():
            live = read_text(path) if os.path.isfile(path) else None
            if text and (live != text or os.path.islink(path)):
                changes.append(Change(path, "file", self.next_unit(path)))
                texts[path] = (live, text)
            elif not text and path in manifest["units"] and live is not None:
                changes.append(Change(path, "remove"))
                texts[path] = (live, None)
        for path in self.removable_dropins():
            changes.append(Change(path, "remove"))
            texts[path] = (read_text(path), None)
        links = self.module.params["links"]
        for path, target in sorted(links.items()):
            if _nofollow.link_target(path) != target:
                changes.append(Change(path, "link", target))
        for path in sorted(set(manifest["links"]) - set(links)):
            if _nofollow.link_target(path) == manifest["links"][path]:
                changes.append(Change(path, "remove"))
        staged = self.state.staged_plan()
        files = {key: manifest[key] for key in ("files", "secret", "directories")}
        files["validators"] = manifest.get("validators")
        if staged:
            files = staged["manifest"]
            base = self.state.config_dir
            changes += [
                Change(os.path.join(base, path), "file", self.state.staged_file(path)) for path in staged["replace"]
            ]
            changes += [Change(os.path.join(base, path), "remove") for path in staged["remove"]]
            changes += [Change(path, "owner", text) for path, text in sorted(staged.get("owners", {}).items())]
        if self.runtime is not self.systemd and self.systemd.unit_path in manifest["units"]:
            changes += [Change(path, "remove") for path in self.systemd.wanted_by()]
        units = sorted(path for path, text in wanted.items() if text)
        container = self.runtime.entry() if self.runtime is self.docker else None
        new = dict(files, units=units, links=dict(links), container=container)
        return changes, new, texts

    def foreign_problems(self, manifest, seen):
        """What of somebody else's stands in the way, one sentence each."""
        problems = []
        if self.runtime is self.docker:
            problems += self.docker.foreign_problems()
        if self.module.params["take_over"]:
            return problems
        hint = "; let it be replaced (it is kept for the rollback) with {0}_take_over: true, or move it away".format(
            self.role
        )
        if self.runtime is self.systemd:
            problem = self.systemd.foreign_problem(seen, manifest["units"], self.module.params["conflicts"])
            if problem:
                problems.append(problem + hint)
        for path, text in sorted(self.module.params["files"].items()):
            if os.path.lexists(path) and path not in manifest["units"] and read_text(path) != text:
                problems.append("{0} was put there by somebody else{1}".format(path, hint))
        for path in sorted(self.module.params["links"]):
            found = _nofollow.link_target(path)
            ours = path in manifest["links"] and found is not None
            if _nofollow.look(path) and not ours:
                target = self.module.params["links"][path]
                if os.path.isdir(path) or found != target:
                    problems.append("{0} was put there by somebody else{1}".format(path, hint))
        return problems

    def dropin_problems(self):
        """Drop-ins of somebody else's with which something else would run than what is asked, one sentence each."""
        removed = self.removable_dropins()
        return [
            "{0}, which somebody else put there, has {1} started otherwise than asked ({2}); write its lines into"
            " {3}_systemd_dropin and remove it, or let it be removed (it is kept for the rollback) with"
            " {3}_take_over: true".format(path, self.runtime.title, ", ".join(directives), self.role)
            for path, directives in sorted(self.runtime.other_dropins().items())
            if path not in removed
        ]

    def removable_dropins(self):
        """Those that are taken away with the switch: not what a package brought along."""
        vendors = tuple(vendor + "/" for vendor in VENDORS)
        found = self.runtime.other_dropins() if self.module.params["take_over"] else ()
        return [path for path in sorted(found) if not path.startswith(vendors)]

    def flag_problem(self):
        """A flag that the new binary does not take: a sentence, or None. What it says of features becomes a warning."""
        argv = self.module.params["argv"]
        if not argv:
            return None
        # --version acts only after every flag before it was understood, and starts nothing.
        links, version = self.module.params["links"], self.module.params["version"] or ""
        answer = self.runtime.trial(argv, links, "--version")
        if answer is None:
            self.unknown.append(
                "whether it knows every flag of its command line, as the program is not on the host yet"
            )
            return None
        status, output = answer
        flag = unknown_flag(output) if status else None
        if flag:
            return "{0} {1} does not know the flag {2}; remove it, or ask for a version that has it".format(
                self.name, version, flag
            )
        refused = refused_arguments(output) if status else None
        if refused:
            return "{0} {1} does not take its command line: {2}".format(self.name, version, refused)
        problem = self.word_problem(argv, links)
        if problem:
            return problem
        if self.runtime is self.docker:
            return self.image_problem(status, output)
        return None

    def word_problem(self, argv, links):
        """A word that the new binary does not take as the value of a flag: a sentence, or None.

        It is the binary that is asked: its help does not list every feature, and no list of ours would. Of a feature that it
        does not know, or that does nothing any more, it may only warn; that is said, and is no problem.
        """
        stops_at = SERVICES[self.role].stops_at if self.role in SERVICES else None
        usual = ("--log.level=info", "--log.format=logfmt")
        if not stops_at or not any(
            word.startswith(("--enable-feature=", "--log.")) and word not in usual for word in argv
        ):
            return None
        flag = stops_at.partition("=")[0] + "="
        answer = self.runtime.trial([word for word in argv if not word.startswith(flag)], links, stops_at)
        if answer is None:
            return None
        warnings, refusals = about_features(answer[1])
        refusals += filter(None, [refused_arguments(answer[1])])
        if refusals:
            return "{0} does not take its command line: {1}".format(self.name, refusals[0])
        for line in warnings:
            self.notes.append("{0} says: {1}".format(self.name, line))
            self.module.warn(self.notes[-1])
        return None

    def tell_complaints(self, since):
        """Say what the service has complained about since a moment, and goes on without."""
        for line in complaints(self.runtime.last_words(since, COMPLAINING_LINES)):
            self.notes.append("{0} says: {1}".format(self.name, line))
            self.module.warn(self.notes[-1])

    def image_problem(self, status, output):
        """That the image does not hold what was asked for: a sentence, or None.

        :param status: with which its program ended that was asked for its version.
        :param output: what it said.
        """
        image, wanted = self.module.params["container"]["image"], self.module.params["version"]
        if status:
            return "{0} of the image {1} ends with status {2} when it is asked for its version: {3}".format(
                self.name, image, status, output.strip()[:500]
            )
        found = version_in(output)
        if found and wanted and not same_version(found, wanted):
            return "the image {0} holds version {1}, and {2}_version asks for {3}; make them agree".format(
                image, found, self.role, wanted
            )
        return None

    def leak_problem(self):
        """That everybody who may ask the engine would see a secret: a sentence, or None."""
        shown = json.dumps(self.docker.container)
        if Scrubber(self.module.params["secrets"] or ()).finds(shown):
            return (
                "a secret would stand in the options of the container, where `docker inspect` shows it; give the"
                " service a file instead"
            )
        return None

    def mount_problems(self):
        """What the engine would follow as root if the container were made, one sentence each."""
        problems = []
        for volume in self.docker.container.get("volumes") or ():
            source = str(volume).partition(":")[0]
            weak = _nofollow.exchangeable(source) if source.startswith("/") else None
            if weak:
                problems.append(
                    "{0} cannot be mounted into the container: {1}, and the engine would follow as root whatever is put"
                    " there, at each start; use a directory in one that only root can write".format(source, weak)
                )
        return problems

    def engine_problems(self):
        """That this engine could not, or must not, run the container, one sentence each."""
        engine = self.docker.engine
        try:
            return [
                version_problem(engine.version()),
                remapping_problem(engine.info(), self.docker.container, self.role),
            ]
        except NoEngine as error:
            return [str(error)]

    def podman_problem(self):
        """That Podman has a container that was made for the service: a sentence, or None."""
        if not self.podman:
            return None
        found = self.podman.container(self.name)
        if found is None or label(found, LABEL_SERVICE) != self.name:
            return None
        return (
            "Podman, which answers at {0}, has the container {1} of the service; Podman is not supported as a runtime, and"
            " nothing is done there: take it away with `podman rm --force {1}` (its data stay) and run again".format(
                self.podman.host, self.name
            )
        )

    def library_problem(self):
        """That community.docker could not make a container on this host: a sentence, or None."""
        if importlib.util.find_spec("requests"):
            return None
        return NO_REQUESTS.format(sys.executable)

    def port_problem(self, running):
        """Who holds one of the service's ports already: a sentence, or None."""
        tables = [self.machine.proc("net/tcp"), self.machine.proc("net/tcp6")]
        inodes = listeners(tables, set(self.module.params["ports"]))
        if not inodes:
            return None
        mine = running.pid if running else None
        yielding = list(self.module.params["conflicts"])
        if self.runtime is self.systemd or self.systemd.unit_path in self.state.manifest()["units"]:
            yielding.append(self.systemd.title)
        for pid in self.machine.pids():
            sockets = self.machine.sockets(pid)
            for inode, port in inodes.items():
                if "socket:[{0}]".format(inode) in sockets and int(pid) != mine:
                    name = self.machine.proc("{0}/comm".format(pid)).strip()
                    publisher = self.publisher(pid, name, port)
                    # What is about to be stopped gives the port up.
                    if (
                        belongs_to(pid, yielding, self.machine)
                        or (name == "docker-proxy" and publisher == self.name)
                        or (self.docker and self.docker.owns(pid))
                    ):
                        continue
                    podman = in_podman(self.machine.proc("{0}/cgroup".format(pid)))
                    name = "the container " + publisher if publisher else name
                    name += " in the container {0} of Podman".format(podman[:12]) if podman else ""
                    return "port {0} is held by {1} (process {2}); stop that, or choose another port".format(
                        port, name, pid
                    )
        return None

    def publisher(self, pid, process, port):
        """The name of the container for which the engine holds a port, or to which its holder belongs; None for none."""
        if not self.docker:
            return None
        inside = in_container(self.machine.proc("{0}/cgroup".format(pid)))
        if inside:
            container = self.docker.engine.container(inside)
            return container["Name"].lstrip("/") if container else None
        if process != "docker-proxy":
            return None
        container = published_by(self.docker.engine.containers(), port)
        return container["Names"][0].lstrip("/") if container else None

    def space_problem(self):
        """Whether there is no room where the data goes, so that a start would not be for long: a sentence, or None."""
        data = self.module.params["data_dir"]
        if not data or not is_short(data):
            return None
        return "no space is left in {0}, so {1} would not outlive a start; make room and run again".format(
            data, self.name
        )

    def owner_problem(self):
        """What of its data the service's account cannot change, as after a restore: a sentence, or None."""
        data = self.module.params["data_dir"]
        if not data:
            return None
        # What the collection itself puts there has the owner that it needs.
        spared = {os.path.join(data, name) for name in (WRITER, "lost+found")}
        spared.update(path.rstrip("/") for path in self.state.manifest()["directories"])
        spared.update(os.path.dirname(path) for path in self.module.params["links"])
        try:
            found, status = _nofollow.strangers(data, DATA_ENTRIES, spared), _nofollow.directory_status(data)
        except (OSError, HostError):
            # A disk that cannot be read keeps nobody from putting back what was there before.
            return None
        if not found or status is None:
            return None
        path, uid = found[0]
        owner = name_of(pwd.getpwuid, status.st_uid)
        return (
            "Below {0}, which belongs to {1}, {2} belongs to {3}{4}, and {1} cannot change it. Where that is so since a"
            " restore, stop {5}, run `chown -Rh {1}:{6} {0}` and run again.".format(
                data,
                owner,
                path,
                name_of(pwd.getpwuid, uid),
                " (and {0} more likewise)".format(len(found) - 1) if found[1:] else "",
                self.name,
                name_of(grp.getgrgid, status.st_gid),
            )
        )

    def place_problems(self, changes, texts):
        """Where the switch could not write, one sentence each."""
        places = [change.path for change in changes if change.kind != "keep"] + list(texts)
        folders = {self.state.directory, *(os.path.dirname(path) for path in places)}
        role, found = self.role, {}
        for folder in sorted(folders):
            problem = place_problem(folder)
            if problem and any(change.kind == "link" and os.path.dirname(change.path) == folder for change in changes):
                problem += "; make it writable, or set {0}_binary_install_dir".format(role)
            found.setdefault(problem, folder)
        return [problem for problem in found if problem]

    def kept(self, changes, manifest):
        """The files that are copied aside because another program is about to change them.

        :param manifest: that of the generation before.
        """
        program = self.module.params["argv"][:1]
        another = any(change.kind == "link" and [change.path] == program for change in changes)
        if self.runtime is self.docker:
            another = not manifest["container"] or manifest["container"]["image"] != self.docker.image
        if not another:
            return []
        for path in self.module.params["keep"]:
            _nofollow.check_file(path)
        self.copied = [Change(path, "keep") for path in self.module.params["keep"]]
        return self.copied

    def copy_problem(self, kept):
        """Whether there is no room for the copies of what is kept: a sentence, or None."""
        sizes = [os.path.getsize(change.path) for change in kept if os.path.isfile(change.path)]
        if not sizes or not is_short(self.state.config_dir, sum(sizes) + LEAST_SPACE):
            return None
        return "there is no room in {0} for a copy of {1} ({2} MiB), which {3} {4} is about to change".format(
            self.state.directory,
            self.module.params["keep"][0],
            sum(sizes) >> 20,
            self.name,
            self.module.params["version"] or "",
        )

    def can_reread(self, changes, running, proof, manifest):
        """Whether the process has loaded everything but these changes, and can be told to read them."""
        reload, base = self.module.params["reload"], self.state.config_dir
        if not (reload and running and changes and self.has_read(running, proof, manifest)):
            return False
        prefixes = tuple(os.path.join(base, path) for path in reload["paths"])
        return all(change.path.startswith(prefixes) for change in changes)

    def written_by(self, running):
        """The newest version that is known to have opened the data, or None."""
        known = self.writers(self.state.proven())
        if running and not known:
            # Somebody else's service, about to be taken over, or one that is not remembered: only its own words tell.
            known = [words(self.probe["kind"], self.as_before(self.state.manifest()).metrics or "").version]
        return max(filter(None, known), key=version_key, default=None)

    def writers(self, proof):
        """The newest version of the last proof of this data, and that with which the data is marked, as far as there are any."""
        data_dir = self.module.params["data_dir"]
        same = proof.get("data_dir", data_dir) == data_dir
        known = proof.get("data_version") if same else None, newest_writer(data_dir) if data_dir else None
        return [version for version in known if version]

    # Doing it

    def next_unit(self, path):
        """Where a unit lies until the switch renames it."""
        return os.path.join(self.state.directory, os.path.basename(path) + ".next")

    def write_units(self, texts):
        """Put the new unit texts beside our state, from where the switch renames them."""
        for path, (dummy, text) in texts.items():
            if text is not None:
                ensure_directory(os.path.dirname(path))
                write_atomically(self.next_unit(path), text.encode("utf-8"), 0o644)

    def reread(self):
        """Tell the service to read its files again through its own API; whether it lets us in.

        :raises NotProven: when it does not want them.
        """
        reload = self.module.params["reload"]
        for path in reload["urls"]:
            answer = self.machine.get(
                (self.asked_at or self.probe["url"]) + path,
                reload["username"],
                reload["password"],
                self.probe["ca_path"],
                self.probe["client_cert"],
                self.probe["client_key"],
                timeout=60.0,
                method="POST",
            )
            if answer.status in (401, 403):
                return False
            if answer.status != 200:
                raise NotProven("{0} answers HTTP {1}: {2}".format(path, answer.status, answer.text.strip()[:500]))
        return True

    def watch(self, wanted_version, settle, baseline=None, reloaded_after=None, failed_before=False, flushing=0):
        """Wait until the service is ready and has stayed up.

        :param wanted_version: version that has to answer, or None.
        :param settle: seconds for which it has to stay up, and at least half of them once it is ready.
        :param baseline: what was seen before; None after a start.
        :param reloaded_after: moment after which the configuration must have been loaded.
        :param failed_before: whether the reload before had failed.
        :param flushing: seconds that a reload may take besides, for as long as the service answers.
        :returns: what was seen at the end.
        :raises NotProven: as soon as it is clear that it will not, and at the latest after the time-out.
        """
        begin, ready_since, refused_since = self.machine.monotonic(), None, None
        while True:
            seen = self.runtime.look()
            if baseline is None:
                baseline = self.runtime.since_start(seen)
            trouble = self.runtime.trouble(baseline, seen)
            if trouble:
                raise NotProven(trouble)
            metrics, ready = self.ask()
            verdict = judge(self.probe["kind"], metrics, ready, wanted_version, reloaded_after, failed_before)
            if verdict.state == "wrong":
                raise NotProven(verdict.reason)
            waited = self.machine.monotonic() - begin
            if verdict.state == "refused":
                refused_since = waited if refused_since is None else refused_since
                if waited - refused_since >= CERTAIN_SECONDS:
                    raise NotProven(verdict.reason)
            elif metrics.status:
                refused_since = None
            if verdict.state == "ok" and self.reached_before:
                lost = lost_dependency(self.probe["kind"], metrics.text)
                if lost and waited > DEPENDENCY_SECONDS:
                    raise NotProven("{0}, and it did before the change".format(lost))
                if lost:
                    self.machine.sleep(POLL_SECONDS)
                    continue
            if verdict.state not in ("ok", "unproven"):
                ready_since = None
            elif ready_since is None:
                ready_since = waited
            settled = max(settle, ready_since + settle / 2) if ready_since is not None else None
            if settled is not None and waited >= settled:
                self.conclude(metrics, verdict)
                return seen
            limit = self.module.params["ready_timeout"] + (flushing if metrics.status == 200 else 0)
            if waited > limit:
                raise NotProven("not ready within {0} s: {1}".format(limit, verdict.reason))
            if settled is not None:
                # The last look is the one at the end of the watch.
                self.machine.sleep(min(POLL_SECONDS, settled - waited))
            else:
                self.machine.sleep(EAGER_POLL if waited < EAGER_SECONDS else POLL_SECONDS)

    def conclude(self, metrics, verdict):
        """Keep what the service said, or that it said nothing."""
        if verdict.state == "unproven":
            self.unproven.append(
                "version and configuration: {0}; give {1}_health_username and {1}_health_password".format(
                    verdict.reason, self.role
                )
            )
        else:
            self.said = words(self.probe["kind"], metrics.text).version
            lost = lost_dependency(self.probe["kind"], metrics.text)
            if lost:
                # Nobody would be better off with the exporter put back: the database is what needs a person.
                self.unproven.append(lost)
                self.module.warn(
                    "{0} serves, but {1}. Its last words:\n{2}".format(
                        self.name, lost, self.runtime.last_words(self.machine.now() - 5, 3)
                    )
                )

    def record(self, seen, known, asked=None):
        """Remember which generation was proven, with which process, unless that is known already.

        :param known: the record of the last proof.
        :param asked: the digest of what was asked for, where that is what was proven.
        """
        running = self.runtime.running(seen)
        if running is None:
            return
        proof = self.proof_of(running, asked, seen)
        if proof.items() <= known.items():
            return
        before = [] if self.module.params["allow_downgrade"] else self.writers(known)
        newest = max(filter(None, [*before, self.said]), key=version_key, default=None)
        data_dir = self.module.params["data_dir"]
        self.state.record_proof(dict(proof, data_version=newest, data_dir=data_dir))
        if newest and data_dir and os.path.isdir(data_dir) and newest_writer(data_dir) != newest:
            try:
                mark_writer(data_dir, newest)
            except HostError as error:
                self.notes.append(str(error))

    def proof_of(self, running, asked, seen):
        """What names the process that was proven, and what a look of the controller compares besides."""
        manifest = self.state.manifest()
        proof = {
            "generation": manifest["generation"],
            "pid": running.pid,
            "started": running.started,
            "unit": self.runtime.expected(self.module.params["argv"], running)[1],
            "start": running.start,
            "watched": self.watched(),
            "touched": self.touched(manifest),
            "configuration": self.configuration(),
            "definition": self.runtime.definition(seen),
        }
        if not asked:
            return proof
        params, account = self.module.params, ""
        paths = list(params["files"])
        if self.runtime is self.docker:
            status, output = self.machine.run(["id", str(params["container"]["user"]).partition(":")[0]])
            account = "" if status else output.strip()
        else:
            paths += [self.systemd.unit_path, self.systemd.dropin_path]
        files = {path: digest(read_bytes(path)) for path in paths if os.path.isfile(path)}
        reads = [int(os.stat(path).st_ctime) for path in params["reads"] if os.path.exists(path)]
        return dict(proof, asked=asked, files=files, reads=reads, account=account)

    def roll_back(self, was_active, old_proof):
        """Put the previous generation back and prove it.

        :returns: a sentence for the failure message.
        """
        if self.module.params["keep"] or self.passes:
            # It may be writing to what is about to be put back.
            self.runtime.stop()
        self.state.roll_back()
        # The directory of a drop-in was made for it.
        self.remove_empty([os.path.dirname(self.systemd.dropin_path)], spared=())
        self.reinstate()
        # A process of an interrupted first deployment may run without that anything of ours was there before.
        if not was_active or not self.runtime.is_known(self.runtime.look()):
            self.runtime.stop()
            if self.runtime.is_gone():
                return "Nothing of {0} ran here before: it was stopped and taken away again.".format(self.name)
            return "What was there before was put back; it did not run before either."
        before = self.before or Before(None, None)
        said = words(self.probe["kind"], before.metrics or "")
        self.reached_before = bool(said.dependency_up)
        try:
            self.runtime.act("restart")
            if before.probe is None:
                seen = self.watch_process()
            else:
                self.probe = before.probe
                seen = self.watch(said.version, self.module.params["settle"])
        except NotProven as error:
            where = " (asked at {0})".format(shown(before.probe, before.probe["url"])) if before.probe else ""
            known = "" if before.metrics is not None else ", and it did not answer before"
            return (
                "What ran before was put back on disk, but it does not come up either{0}: {1}{2}. It needs a person"
                " now.".format(where, error, known)
            )
        self.record(seen, old_proof)
        self.state.note_running(False)
        version = self.said or "version not known"
        if before.probe is None:
            return "What ran before was put back and runs again. That it serves is not proven: how it was asked is not known."
        where = shown(self.probe, self.asked_at)
        if self.unproven:
            return "What ran before was put back and runs again. Not proven at {0}: {1}.".format(
                where, "; ".join(self.unproven)
            )
        return "What ran before ({0}) was put back and serves again at {1}.".format(version, where)

    def watch_process(self):
        """Wait until a service has stayed up that nobody knows how to ask.

        :returns: what was seen at the end.
        :raises NotProven: when it does not.
        """
        baseline, begin = None, self.machine.monotonic()
        while True:
            seen = self.runtime.look()
            baseline = baseline or self.runtime.since_start(seen)
            trouble = self.runtime.trouble(baseline, seen)
            if trouble:
                raise NotProven(trouble)
            if self.machine.monotonic() - begin >= max(CERTAIN_SECONDS, self.module.params["settle"]):
                return seen
            self.machine.sleep(POLL_SECONDS)

    def is_deployed(self, manifest):
        """Whether a generation has a service, in whatever runtime."""
        return bool(manifest["container"]) or self.systemd.unit_path in manifest["units"]

    def runtime_of(self, manifest):
        """The runtime that a generation's service has; the one asked for where it has none."""
        if manifest["container"] and self.docker:
            return self.docker
        return self.systemd if self.systemd.unit_path in manifest["units"] else self.runtime

    def reinstate(self):
        """Give the generation that was put back on the disk its runtime, and take that of the other one away."""
        manifest = self.state.manifest()
        old = self.runtime_of(manifest)
        if self.machine.has_systemd():
            self.systemd.refresh()
            if old is not self.systemd and self.runtime is self.systemd:
                self.systemd.stop()
                self.systemd.is_gone()
        if self.docker:
            self.docker.target, self.docker.candidate = manifest["container"], None
            self.docker.tidy()
        self.runtime = old

    def repair(self):
        """Undo a switch that an earlier run began and did not prove.

        :returns: whether there was anything to do.
        """
        recovered = self.state.recover()
        manifest = self.state.manifest()
        if self.docker:
            self.docker.target = manifest["container"]
        # Files are also put back by config_files, which knows nothing of containers.
        untidy = self.docker is not None and self.docker.is_untidy()
        if not recovered and not untidy:
            return False
        wanted, candidate = self.runtime, self.docker.candidate if self.docker else None
        renamed = self.docker is not None and self.docker.renamed() is not None
        self.reinstate()
        if untidy and manifest["generation"] and manifest["generation"] == self.state.proven().get("generation"):
            # What ran before the switch was stopped for it.
            with contextlib.suppress(NotProven):
                self.runtime.act("start")
        self.runtime = wanted
        if self.docker:
            self.docker.candidate = candidate
        if renamed:
            self.notes += self.docker.notes
            self.docker.notes = []
        if recovered or not renamed:
            self.notes.append("an interrupted switch of an earlier run was undone first")
        return True

    def make_room(self, manifest, was_active):
        """Stop what the generation before has in another runtime than the one asked for.

        :param manifest: that of the generation before.
        """
        old = self.runtime_of(manifest)
        if old is self.runtime:
            return
        if was_active:
            self.reached_before = bool(words(self.probe["kind"], self.as_before(manifest).metrics or "").dependency_up)
        old.retire()

    # The two jobs

    def ensure(self):
        """Make the service run what is on disk, and prove it."""
        module = self.module
        if module.check_mode and self.runtime is self.docker and not self.has_engine():
            self.unknown.append("anything that only the Docker engine can tell, as it is yet to be installed")
            self.end_check(Decision("start", "its engine is not there yet"), changed=True)
        recovered = False if module.check_mode else self.repair()
        manifest, proof = self.state.manifest(), self.state.proven()
        if self.docker:
            self.docker.target = manifest["container"]
        seen = self.runtime.look()
        if module.check_mode and self.runtime is self.docker:
            self.renamed = self.docker.renamed()
            problem = self.docker.name_problem()
            if problem:
                raise HostError(problem)
            seen = self.renamed or seen
        running = self.runtime.running(seen)
        old = self.runtime_of(manifest)
        was_active = self.runtime.is_active(seen) or (old is not self.runtime and old.is_active(old.look()))
        # A run that was killed while it put something back may have left it stopped.
        was_active = was_active or self.state.was_running()
        replacing = self.docker.replacement(seen) if self.runtime is self.docker else None
        changes, new_manifest, texts = self.plan(manifest)
        # A unit that bears the service's own name is replaced instead.
        mine = self.runtime is self.systemd or self.systemd.unit_path in manifest["units"]
        others = [unit for unit in module.params["conflicts"] if not mine or unit != self.systemd.title]
        conflicts = in_the_way(others, self.machine)

        problems = [*self.dropin_problems(), self.podman_problem()]
        if changes or replacing:
            problems += self.foreign_problems(manifest, seen)
            problems += self.place_problems(changes, texts)
            if self.runtime is self.systemd or (replacing and not self.docker.candidate):
                problems.append(self.flag_problem())
            if self.runtime is self.systemd:
                problems.append(self.systemd.limit_problem())
            if replacing:
                problems += [*self.engine_problems(), *self.mount_problems(), self.leak_problem()]
                # Where the image is yet to come, so may be what community.docker needs: the module image has looked.
                problems.append(self.library_problem() if module.params["image"] else None)
            if module.params["data_dir"] and module.params["version"] and not module.params["allow_downgrade"]:
                problem = downgrade_problem(self.probe["kind"], self.written_by(running), module.params["version"])
                if problem:
                    problems.append(
                        "a downgrade was refused: {0}; keep the newer version, or accept the loss of {1} with"
                        " {2}_allow_downgrade: true".format(problem, module.params["data_dir"], self.role)
                    )
        if running is None or changes or replacing:
            problems += [self.port_problem(running), self.file_problem()]
        if running is None or replacing or texts or any(change.kind == "link" for change in changes):
            problems.append(self.space_problem())
        kept = self.kept(changes, manifest)
        problems.append(self.copy_problem(kept) if kept else None)
        problems = [problem for problem in problems if problem]
        if problems:
            if not module.check_mode:
                self.state.discard_stage()
            module.fail_json(msg="{0} was not touched:\n{1}".format(self.name, "\n".join(problems)))

        self.rereads = self.can_reread(changes, running, proof, manifest)
        if module.check_mode:
            self.finish_check(changes, texts, seen, running, proof, conflicts, replacing)
        if replacing and not self.docker.candidate:
            network, wanted = self.docker.wanted_network(), self.docker.wanted()
            module.exit_json(changed=False, wanted_container=wanted, wanted_network=network)
        if changes or replacing or module.params["database"]:
            self.as_before(manifest)
        self.yield_port(conflicts)
        changed_database = self.change_database()
        if changes or replacing:
            self.state.create()
            self.state.note_running(was_active)
            self.write_units(texts)
            for change in changes:
                if change.kind == "link":
                    ensure_directory(os.path.dirname(change.path))
            if self.runtime is self.docker:
                self.state.remember_engine(self.docker.engine.host)
            try:
                self.switch(changes, kept, new_manifest, bool(texts), was_active and old)
            except BaseException:
                self.restore_database()
                raise
        elif new_manifest != {key: manifest.get(key) for key in new_manifest}:
            self.state.amend_manifest(new_manifest)
        self.state.discard_stage()
        if self.runtime is self.docker:
            self.docker.target, self.docker.candidate = new_manifest["container"], None
        decision, since = Decision("start", replacing or "it gets another runtime"), self.machine.now()
        try:
            # Never do two come up with the host, so the old one goes before the new one is enabled.
            self.make_room(manifest, was_active)
            stale = proof.get("definition") not in (None, self.runtime.definition(seen))
            enabled_now = self.runtime.settle(texts, seen, stale)
            seen = self.runtime.look()
            decision = self.decision(self.runtime.running(seen), proof)
            others = [path for path in texts if path not in (*new_manifest["units"], *manifest["units"])]
            if others and decision.action in ("none", "reload"):
                decision = Decision("restart", "it may have been started with {0}".format(", ".join(sorted(others))))
            if replacing:
                decision = decision._replace(reason=replacing)
            seen, decision = self.carry_out(decision, seen)
            if decision.action != "none":
                self.tell_complaints(since)
        except NotProven as error:
            self.give_up(error, decision, since, bool(changes or replacing), was_active, proof)
        self.state.note_database(None)
        self.record(seen, proof, module.params["asked"])
        self.state.record_asked(self.state.manifest()["generation"], self.probe)
        self.state.note_running(False)
        if self.docker and (changes or replacing):
            self.docker.target = new_manifest["container"]
            self.docker.tidy()
            self.notes += self.docker.notes
            self.notes += [
                "the container {0} was made for {1} and renamed by hand, and is not touched; `docker rm {0}` takes it"
                " away".format(name, self.name)
                for name in self.docker.put_aside()
            ]
        if self.docker and self.runtime is self.systemd:
            self.state.remember_engine(None)
        module.exit_json(
            changed=bool(
                changes
                or replacing
                or conflicts
                or recovered
                or enabled_now
                or changed_database
                or decision.action != "none"
            ),
            action={"none": "none", "start": "started", "restart": "restarted", "reload": "reloaded"}[decision.action],
            reason=decision.reason,
            version=self.said,
            pid=self.runtime.pid(seen),
            unproven=self.unproven,
            notes=self.notes,
            diff=self.diff(changes, texts, replacing, manifest),
        )

    def change_database(self):
        """Have the role in the database what it has to be; what brings it back is on disk first.

        :returns: whether it was changed, or a run before has done so and not come to its end.
        :raises HostError: when it cannot be.
        """
        given = self.module.params["database"]
        if not given:
            return False
        try:
            role = Role(given, Server(given))
            if not self.state.database():
                self.state.create()
                statements, reason = role.way_back(given["password_file"])
                self.state.note_database({"undo": statements, "reason": reason})
            role.make()
        except Unreachable as error:
            self.module.warn(
                "the database cannot be reached, so the role {0} is as it was: {1}".format(given["name"], error)
            )
            return bool(self.state.database())
        except (NotThere, Refused, HostError) as error:
            restored = self.restore_database()
            raise HostError(
                "{0} was not touched: the role {1} in the database cannot be changed: {2}.{3}".format(
                    self.name, given["name"], error, " " + restored if restored else ""
                )
            ) from error
        return True

    def restore_database(self):
        """Bring the role in the database back to what it was; a sentence about it, or nothing where it was not changed."""
        given, record = self.module.params["database"], self.state.database()
        if not given or not record:
            return ""
        try:
            Server(given).say("\n".join(record["undo"]))
        except (NotThere, Refused, Unreachable) as error:
            return "The role {0} in the database could not be put back; run again to have it as asked: {1}.".format(
                given["name"], error
            )
        self.state.note_database(None)
        if record["reason"]:
            return "The role {0} in the database was put back, but {1}.".format(given["name"], record["reason"])
        return "The role {0} in the database was put back.".format(given["name"])

    def switch(self, changes, kept, new_manifest, units, old):
        """Make the changes; where files are kept or pass to another account, while the service does not write to them.

        :param old: the runtime in which it runs, or False where it does not.
        """
        self.passes = any(change.kind == "owner" and Owners.of(change.source).inside for change in changes)
        if not kept and not self.passes:
            self.state.switch(changes, new_manifest, units)
            return
        if old:
            old.stop()
        try:
            self.state.switch(changes + kept, new_manifest, units)
        except BaseException:
            if old:
                old.act("start")
            raise

    def is_proven(self, running, proof, manifest):
        """Whether it is this process that was proven to serve the generation of a manifest."""
        known = proof.get("generation"), proof.get("pid"), proof.get("started")
        return known == (manifest["generation"], running.pid, running.started)

    def has_read(self, running, proof, manifest):
        """Whether a process is known to have read, when it started, the generation that is on disk."""
        if self.is_proven(running, proof, manifest):
            return True
        files = [os.path.join(self.state.config_dir, path) for path in manifest["files"]]
        known = [*files, os.path.join(self.state.directory, "manifest.json")]
        return all(self.started_after(running, path) for path in known if os.path.lexists(path))

    def has_loaded(self, running, proof, manifest):
        """Whether a process is known to have loaded what is on disk, and nothing else since."""
        configuration = None
        if proof.get("configuration") and proof.get("generation") == manifest["generation"]:
            configuration = self.configuration()
        return is_loaded(
            proof,
            self.is_proven(running, proof, manifest),
            self.touched(manifest),
            configuration,
            self.has_read(running, proof, manifest),
        )

    def configuration(self):
        """What stands for the configuration that the service says it has loaded, or None."""
        if self.kind.shows:
            answer = self.answer(self.probe, self.kind.shows)
            return _glance.of_configuration(answer.status, answer.text)
        if self.kind.hashed:
            metrics = self.answer(self.probe, self.probe["metrics_path"])
            return words(self.probe["kind"], metrics.text).configuration
        return None

    def watched(self):
        """What of the configuration the running service may have read again; see :func:`_glance.touched`."""
        reload = self.module.params["reload"]
        files = [""] if self.kind.on_change == RELOAD else reload["paths"] if reload else []
        return {"files": files, "directories": list(self.kind.loads_all_of)}

    def touched(self, manifest):
        """What tells that somebody wrote to the configuration, be it as before."""
        return _glance.touched(self.state.config_dir, manifest["files"], self.watched())

    def expected_start(self, proof, fingerprint):
        """How the process has to be started, as far as that is known."""
        known = proof.get("start") if proof.get("unit") == fingerprint else None
        arguments = self.runtime.expected_arguments(self.module.params["argv"])
        return dict(known or {}, **({"arguments": arguments} if arguments else {}))

    def decision(self, running, proof):
        """Compare what runs with what is on disk."""
        executable, fingerprint = self.runtime.expected(self.module.params["argv"], running)
        manifest = self.state.manifest()
        loaded = running is not None and self.has_loaded(running, proof, manifest)
        if running and not loaded and self.module.params["reload"] and self.is_proven(running, proof, manifest):
            # Only what it may have read again was touched.
            self.rereads = True
        for path in self.module.params["reads"]:
            if running and not self.started_after(running, path, margin=0):
                return Decision("restart", "{0} is newer than what it has read of it".format(path))
        on_change = RELOAD if self.rereads else self.kind.on_change
        start = self.expected_start(proof, fingerprint)
        found = decide(running, executable, fingerprint, loaded, on_change, start)
        if found.action in ("none", RELOAD) and self.turns_tls():
            return Decision("restart", "whether it speaks TLS is decided when it starts")
        return found

    def turns_tls(self):
        """Whether the switch turns TLS on or off, which no reload does."""
        earlier = self.before.probe if self.before else None
        return bool(earlier) and earlier["url"].partition(":")[0] != self.probe["url"].partition(":")[0]

    def started_after(self, running, path, margin=2):
        """Whether a process began after a file was written, so that it can have read nothing else.

        :param margin: seconds to be sure by; the manifest of a generation is written when all of it is complete.
        """
        try:
            switched = os.stat(path).st_ctime
            boot = float(re.search(r"(?m)^btime (\d+)$", self.machine.proc("stat")).group(1))
        except (OSError, AttributeError):
            return False
        # `btime` is rounded to seconds; a reload too many does no harm.
        return boot + int(running.started) / os.sysconf("SC_CLK_TCK") > switched + margin

    def carry_out(self, decision, seen):
        """Start, restart or reload as decided, and prove the outcome.

        :returns: what was seen after it, and the decision (a reload may turn out to be needed after all).
        """
        version = self.module.params["version"]
        settle = self.module.params["settle"]
        if decision.action == "none":
            trouble = self.runtime.trouble(None, seen)
            if trouble:
                raise NotProven(trouble)
            metrics, ready = self.ask()
            verdict = judge(self.probe["kind"], metrics, ready, version)
            if self.module.params["database"] and self.before:
                self.reached_before = bool(words(self.probe["kind"], self.before.metrics or "").dependency_up)
                return self.watch(version, 0, seen), decision
            if verdict.state in ("ok", "unproven"):
                self.conclude(metrics, verdict)
                return seen, decision
            if verdict.state == "wait":
                # Just started by somebody, or still reading its write-ahead log.
                return self.watch(version, 0, seen), decision
            failed_reload = words(self.probe["kind"], metrics.text).reload_successful is False
            if not failed_reload or self.kind.on_change != RELOAD:
                raise NotProven(verdict.reason)
            decision = Decision("reload", verdict.reason)
        failed_before, flushing = False, 0
        if decision.action != "start":
            metrics = self.before.metrics or "" if self.before else self.ask()[0].text
            said = words(self.probe["kind"], metrics)
            flushing = flush_seconds(metrics, self.module.params["argv"])
            failed_before = decision.action == "reload" and said.reload_successful is False
            self.reached_before = bool(said.dependency_up)
        if self.rereads and decision.action == "reload":
            if self.reread():
                return self.watch(version, 0, seen), decision
            decision = Decision("restart", decision.reason)
        before = self.runtime.act(decision.action)
        if decision.action == "reload":
            return self.watch(version, 0, seen, before, failed_before, flushing), decision
        return self.watch(version, settle), decision

    def give_up(self, error, decision, since, switched, was_active, proof):
        """Fail with the service's own words; after a switch, put back what was there."""
        message = "{0} does not do what was asked: {1}.\nIts last words:\n{2}".format(
            self.runtime.title, error, self.runtime.last_words(since)
        )
        owners = self.owner_problem()
        message += "\n" + owners if owners else ""
        restored = self.restore_database()
        message += "\n" + restored if restored else ""
        if switched and os.path.exists(self.state.rollback):
            message += "\n" + self.roll_back(was_active, proof)
            written = [path for path in self.module.params["keep"] if os.path.exists(path)] if not self.copied else []
            if written:
                message += "\nWhat it has written to {0} meanwhile was left there.".format(written[0])
        self.module.fail_json(
            msg=message, action="failed", reason=decision.reason, unproven=self.unproven, notes=self.notes
        )

    def yield_port(self, conflicts):
        """Stop and mask the packages' own units that would fight for the port."""
        for unit in conflicts:
            stop_and_mask(unit, self.machine)
            self.notes.append("{0} would fight for the port: it was stopped and masked".format(unit))

    def finish_check(self, changes, texts, seen, running, proof, conflicts, replacing):
        """End a check run: what would change and what would have to happen to the process."""
        if changes:
            self.as_before(self.state.manifest())
        would = (
            Decision("restart", "its unit or binary would change") if running else Decision("start", "it does not run")
        )
        otherwise = other_start(running.start, self.expected_start(proof, None)) if running else None
        if replacing:
            would = would._replace(reason=replacing)
        elif otherwise and texts:
            would = would._replace(reason="it " + otherwise)
        elif running and not texts and not any(change.kind == "link" for change in changes):
            would = self.decision(running, proof)
            on_change = RELOAD if self.rereads else self.kind.on_change
            if would.action == "none" and changes and on_change:
                would = Decision(on_change, "its configuration would change")
        if self.renamed:
            name = self.renamed["Name"].lstrip("/")
            self.notes.append(
                "{0} was renamed to {1} by hand: it would get its name again".format(self.docker.title, name)
            )
        owners = self.owner_problem() if running is None else None
        if owners:
            self.notes.append(owners)
            self.module.warn("{0} might not come up. {1}".format(self.name, owners))
        enabled = self.runtime.is_enabled(seen)
        changed = bool(changes or conflicts or self.renamed or would.action != "none" or not enabled)
        self.end_check(would, changed, self.diff(changes, texts, replacing, self.state.manifest()))

    def end_check(self, would, changed, diff=()):
        """Say what a run would do, and what cannot be known without one."""
        if self.unknown:
            self.module.warn("{0}: a check cannot know {1}".format(self.name, "; ".join(self.unknown)))
        self.module.exit_json(
            changed=changed,
            action={"none": "none", "start": "started", "restart": "restarted", "reload": "reloaded"}[would.action],
            reason=would.reason,
            unproven=[],
            notes=self.notes,
            diff=list(diff),
        )

    def has_engine(self):
        """Whether the Docker engine answers."""
        try:
            return bool(self.docker.engine.version())
        except NoEngine:
            return False

    def diff(self, changes, texts, replacing, manifest):
        """Ansible's diff of units, links and the container; the configuration was shown by config_files.

        :param manifest: that of the generation before.
        """
        if not self.module._diff:
            return []
        entries = [diff_entry(path, before, after, False) for path, (before, after) in texts.items()]
        for change in changes:
            if change.kind == "link":
                entries.append(
                    {
                        "before_header": change.path,
                        "after_header": change.path,
                        "before": "-> {0}\n".format(os.readlink(change.path)) if os.path.islink(change.path) else "",
                        "after": "-> {0}\n".format(change.source) if change.source else "",
                    }
                )
        if replacing:
            before = (manifest["container"] or {}).get("definition") or {}
            names = different_options(before, self.docker.container)
            shown = [
                "".join(
                    "{0}: {1}\n".format(name, json.dumps(options[name], sort_keys=True))
                    for name in names
                    if name in options
                )
                for options in (before, self.docker.container)
            ]
            entries.append(diff_entry(self.docker.title, *shown, False))
        return entries

    def act_now(self):
        """Restart what is deployed, or have it read its files again, and prove that it serves."""
        module = self.module
        manifest, proof = self.state.manifest(), self.state.proven()
        action = NOW[module.params["state"]]
        result = {"reason": "it was asked for", "unproven": self.unproven, "notes": self.notes}
        if not self.is_deployed(manifest):
            module.exit_json(changed=False, action="none", **dict(result, reason="it is not deployed here"))
        self.runtime = self.runtime_of(manifest)
        if self.docker:
            self.docker.target = manifest["container"]
        if module.check_mode:
            module.exit_json(changed=True, action=module.params["state"], **result)
        if self.docker and self.docker.renamed():
            self.docker.tidy()
            self.notes += self.docker.notes
        metrics, since = self.ask()[0].text, self.machine.now()
        said = words(self.probe["kind"], metrics)
        self.reached_before = bool(said.dependency_up)
        try:
            before = self.runtime.act(action)
            if action == "reload":
                flushing = flush_seconds(metrics, module.params["argv"])
                seen = self.watch(None, 0, self.runtime.look(), before, said.reload_successful is False, flushing)
            else:
                seen = self.watch(None, module.params["settle"])
        except NotProven as error:
            owners = self.owner_problem()
            module.fail_json(
                msg="{0} does not serve after the {1}: {2}.\nIts last words:\n{3}{4}".format(
                    self.runtime.title, action, error, self.runtime.last_words(since), "\n" + owners if owners else ""
                ),
                action="failed",
                **result,
            )
        running = self.runtime.running(seen)
        if running:
            # The same generation in another process: what else is known of it stays so.
            self.state.record_proof(dict(proof, **self.proof_of(running, None, seen)))
        module.exit_json(
            changed=True, action=module.params["state"], version=self.said, pid=self.runtime.pid(seen), **result
        )

    def remove(self):
        """Stop the service and take away what the collection wrote."""
        module = self.module
        if os.path.exists(self.state.undo) and not module.check_mode:
            # A part of what an interrupted switch put there is in no manifest yet.
            self.state.recover()
            if self.machine.has_systemd():
                self.systemd.refresh()
        manifest = self.state.manifest()
        paths = [os.path.join(self.state.config_dir, path) for path in manifest["files"]]
        paths += list(manifest["units"])
        there = [path for path in paths if path not in module.params["spare"] and self.reachable(path)]
        # Where a service put something else in the place of a link, that is part of its data.
        there += [path for path in manifest["links"] if self.reachable(path) and _nofollow.link_target(path)]
        purged = [path for path in module.params["purge"] if self.reachable(path)]
        if self.docker:
            self.docker.target = manifest["container"]
        contained = self.docker is not None and not self.docker.is_gone()
        changed = bool(there or purged or contained or os.path.isdir(self.state.directory))
        if module.check_mode or not changed:
            module.exit_json(changed=changed, action="none", reason="", unproven=[], notes=self.notes)
        if (
            self.systemd.unit_path in manifest["units"]
            and self.machine.has_systemd()
            and self.systemd.is_known(self.systemd.look())
        ):
            self.systemd.shut_down()
        if contained:
            self.docker.shut_down()
        for path in there:
            _nofollow.unlink(path)
        # The directories of files such as amtool.yml and of drop-ins were made for these.
        beside = {os.path.dirname(path) for path in [*manifest["units"], self.systemd.dropin_path]} - {
            self.machine.unit_directory
        }
        directories = sorted(beside.union(manifest["directories"]), key=len, reverse=True)
        self.remove_empty(directories, spared=purged)
        # What we know goes last, so that a removal that is cut off can be completed; it was in one of the directories.
        _nofollow.remove(self.state.directory)
        self.remove_empty(directories, spared=purged)
        for path in purged:
            _nofollow.remove(path)
        # What a removal before had spared lies in directories that nobody remembers.
        inside = [path for path in purged if path.startswith(self.state.config_dir + os.sep)]
        self.remove_empty([folder for path in inside for folder in above(path, self.state.config_dir)], spared=())
        if self.machine.has_systemd():
            self.systemd.refresh()
            self.systemd.forget_failures()
        module.exit_json(changed=True, action="removed", reason="it is not wanted here", unproven=[], notes=self.notes)

    def reachable(self, path):
        """Whether something is at a path that can be taken away; behind what was put in its way, nothing of ours is."""
        try:
            return _nofollow.look(path) is not None
        except HostError as error:
            note = "{0}; nothing was removed behind it".format(error)
            self.notes += [note] if note not in self.notes else []
            return False

    def remove_empty(self, paths, spared):
        """Remove the directories among these that are empty: one with somebody's file in it, or with data, stays."""
        for path in paths:
            if path not in spared and self.reachable(path):
                _nofollow.remove_empty(path)


def name_of(look_up, number):
    """The name of an account or a group; its number where it has none.

    :param look_up: function of pwd or grp.
    """
    try:
        return look_up(number)[0]
    except KeyError:
        return str(number)


def above(path, top):
    """The directories that a path lies in, from its own up to another one."""
    while path != top:
        path = os.path.dirname(path)
        yield path


def main():
    """Entry point."""
    module = Module(
        argument_spec={
            "name": {"type": "str", "required": True},
            "role": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent", *NOW], "default": "present"},
            "config_dir": {"type": "path", "required": True},
            "runtime": {"type": "str", "choices": ["systemd", "docker"], "default": "systemd"},
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
            "probe": {
                "type": "dict",
                "options": {
                    "kind": {"type": "str", "required": True},
                    "url": {"type": "str", "required": True},
                    "metrics_path": {"type": "str", "default": "/metrics"},
                    "username": {"type": "str"},
                    "password": {"type": "str", "no_log": True},
                    "ca_path": {"type": "path"},
                    "other_urls": {"type": "list", "elements": "str", "default": []},
                    "client_cert": {"type": "path"},
                    "client_key": {"type": "path", "no_log": False},
                },
            },
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
        required_if=[("state", state, ("probe",)) for state in ("present", *NOW)],
        supports_check_mode=True,
    )
    if os.geteuid() != 0:
        module.fail_json(msg="root is needed to deploy a service; run the play with become: true")
    present, runtime = module.params["state"] == "present", module.params["runtime"]
    needed = {"systemd": "unit", "docker": "container"}[runtime]
    if present and module.params[needed] is None:
        module.fail_json(msg="runtime {0} needs the option {1}".format(runtime, needed))
    if present and runtime == "systemd" and not HERE.has_systemd():
        module.fail_json(msg="this host is not run by systemd; choose another runtime for the service")
    if module.params["probe"] and module.params["probe"]["kind"] not in SERVICES:
        module.fail_json(msg="probe.kind has to be one of {0}".format(", ".join(SERVICES)))
    try:
        deployment = Deployment(module)
        work = {"present": deployment.ensure, "absent": deployment.remove}.get(
            module.params["state"], deployment.act_now
        )
        with contextlib.nullcontext() if module.check_mode else one_run_at_a_time(deployment.state.config_dir):
            work()
    except HostError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
