#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_content
short_description: Verify Grafana's administrator and its provisioned data sources, dashboards and plugins
description:
  - Ensures that the administrator can log in with the password. Otherwise it is reset by Grafana's command line tool,
    which reads it from its standard input, and the login is verified afterwards.
  - Fails if the default login of Grafana, C(admin) with the password C(admin), is accepted.
  - Deletes data sources that were provisioned before and have been removed from the configuration, and empty folders whose last
    dashboard was removed.
  - Waits until the data sources, dashboards and plugins are present as provisioned.
version_added: 0.2.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: full
    description: >-
      Reports whether the password would be reset or something deleted. Missing content is not a failure in check mode. Of a
      Grafana that does not answer, such as one that is not installed yet, no change is reported.
  diff_mode:
    support: full
    description: Shows the data sources and folders that are deleted.
  idempotent:
    support: full
    description: Only sends requests if everything is present as provisioned.
options:
  url:
    description: Base URL as seen from the host itself, without a slash at its end.
    type: str
    required: true
  ca_path:
    description: File on the host with the CA certificate that signed Grafana's certificate.
    type: path
  username:
    description: Login name of the administrator.
    type: str
    required: true
  password:
    description: Password of the administrator.
    type: str
    required: true
  config_dir:
    description: Configuration directory of Grafana.
    type: path
    required: true
  command:
    description: Grafana's command line tool with the flags for its paths.
    type: list
    elements: str
    required: true
  user:
    description: System user that Grafana runs as.
    type: str
    required: true
  service:
    description: Name of the systemd service, whose last log lines are part of a failure message.
    type: str
    default: grafana-server
  docker_host:
    description: >-
      Address of the Docker engine in whose container O(service) Grafana runs; O(command) is then executed inside it. Without
      it, systemd runs Grafana.
    type: str
  expected:
    description: What was provisioned.
    type: dict
    required: true
    suboptions:
      datasources:
        description: The data sources, with C(name), C(uid), C(type), C(url) and C(org).
        type: list
        elements: dict
        default: []
      dashboards:
        description: The dashboards, with C(uid), C(title), C(folder) and what identifies their content.
        type: list
        elements: dict
        default: []
      plugins:
        description: Version by the name of the plugin.
        type: dict
        default: {}
  timeout:
    description: Seconds to wait until everything is present.
    type: float
    default: 30
  secrets:
    description: Values that are masked in all output.
    type: list
    elements: str
seealso:
  - module: vigil.monitoring.service
"""

EXAMPLES = r"""
- name: Verify Grafana's administrator and contents
  vigil.monitoring.grafana_content:
    url: http://127.0.0.1:3000
    username: admin
    password: "{{ vault_grafana_admin_password }}"
    config_dir: /etc/grafana
    command: [/usr/local/bin/grafana, cli, --homepath=/usr/share/grafana, --config=/etc/grafana/grafana.ini]
    user: grafana
    expected: "{{ provisioned }}"
"""

RETURN = r"""
password_reset:
  description: Whether the password had to be reset. In check mode, whether it would be.
  type: bool
  returned: always
deleted:
  description: Data sources and folders that were deleted. In check mode, those that would be.
  type: list
  elements: str
  returned: always
"""

import contextlib
import json
import os
import pwd
import subprocess
import time
from urllib.parse import quote

from ansible_collections.vigil.monitoring.plugins.module_utils import _client, _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._grafana import (
    dashboard_problem,
    message_of,
    plugin_problems,
    source_problem,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    one_run_at_a_time,
    read_json,
    write_atomically,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._redact import redact_text
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_docker import last_words_of

INTERVAL = 0.3
# Grafana lets nobody of a name in for five minutes after five wrong passwords, not even with the right one. That it does so
# stands in its log alone.
LOCKED = 300.0
LOCK = "too many consecutive incorrect login attempts"
DEFAULT = ("admin", "admin")
# What makes Grafana delete a data source: read-only ones cannot be deleted through its API. It is there for the moment.
REMOVALS = "provisioning/datasources/00-vigil-removed.yml"


class Content:
    """What one Grafana shows."""

    def __init__(self, module):
        self.module = module
        self.params = module.params
        self.expected = module.params["expected"]
        self.began = time.time()
        self.record_path = os.path.join(self.params["config_dir"], ".vigil", "grafana.json")
        self.record = read_json(self.record_path, {}, roots=True)

    def last_words(self):
        """What the log of the service has said since this began."""
        return last_words_of(self.params["service"], self.params["docker_host"], self.began)

    def request(self, path, method="GET", login=None):
        """One request as the administrator: the HTTP status and the answer as text."""
        username, password = login or (self.params["username"], self.params["password"])
        access = _client.Access(
            username=username,
            password=password,
            ca_path=self.params["ca_path"],
            # As when it was deployed: the certificate is for the public name, and this asks an address of the host.
            verify=bool(self.params["ca_path"]),
            check_name=False,
        )
        reply = _client.send(method, self.params["url"] + path, None, access, timeout=30.0)
        return reply.status, reply.body.decode("utf-8", "replace")

    def get(self, path):
        """The parsed answer, or None where there is nothing at that path."""
        status, text = self.request(path)
        if status == 404:
            return None
        if status != 200:
            raise HostError("{0} answers HTTP {1}: {2}".format(path, status, message_of(text)))
        return json.loads(text)

    # The administrator

    def let_in(self):
        """Whether the login works."""
        status, text = self.request("/api/user")
        if status in (401, 403):
            return False
        if status != 200:
            raise HostError(
                "the login of {0} failed with HTTP {1}: {2}".format(self.params["username"], status, text[:200])
            )
        if not json.loads(text).get("isGrafanaAdmin"):
            raise HostError(
                "{0} can log in, but is not a server administrator; set grafana_security.admin_user to one".format(
                    self.params["username"]
                )
            )
        return True

    def reset(self):
        """Have Grafana's own tool set the password, and verify it."""
        account = pwd.getpwnam(self.params["user"])
        argv = [*self.params["command"], "admin", "reset-admin-password", "--password-from-stdin"]
        uid, gid = account.pw_uid, account.pw_gid
        if self.params["docker_host"]:
            # Inside the container it is the service's account anyway; only root may ask the engine.
            argv = ["docker", "-H", self.params["docker_host"], "exec", "-i", self.params["service"], *argv]
            uid = gid = 0
        done = subprocess.run(
            argv,
            input=(self.params["password"] + "\n").encode("utf-8"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # The database's files belong to the service, and have to go on doing so.
            user=uid,
            group=gid,
            extra_groups=[],
            cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            timeout=120,
            check=False,
        )
        output = redact_text(done.stdout.decode("utf-8", "replace")).strip()
        if done.returncode:
            raise HostError(
                "the login of {0} failed, and {1} could not reset the password: {2}".format(
                    self.params["username"], argv[0], "\n".join(output.splitlines()[-5:])
                )
            )
        deadline = time.monotonic() + LOCKED
        while not self.let_in():
            if LOCK in self.last_words() and time.monotonic() < deadline:
                # Somebody tried too many wrong passwords; while it lasts, a further one does not count.
                time.sleep(LOCKED / 60)
                continue
            raise HostError(
                "the password of Grafana's first administrator was reset, but {0} still cannot log in; if that"
                " administrator has another name, correct grafana_security.admin_user".format(self.params["username"])
            )

    def refuse_default(self):
        """Fail where the password that Grafana has unless told otherwise still opens it."""
        # A wrong password counts towards the lock, so this is asked once in the life of a Grafana.
        status, dummy = self.request("/api/user", login=DEFAULT)
        if status == 200:
            raise HostError(
                "the default login admin/admin is accepted: that account still has its default password; change it or"
                " delete it"
            )

    # What is provisioned

    def gone(self):
        """What an earlier run provisioned and this one does not: data sources by organisation and name, and folders."""
        wanted = [[source["org"], source["name"]] for source in self.expected["datasources"]]
        sources = [pair for pair in self.record.get("datasources", []) if pair not in wanted]
        folders = sorted(
            set(self.record.get("folders", [])) - {found["folder"] for found in self.expected["dashboards"]}
        )
        return sources, folders

    def delete_sources(self, pairs):
        """Have data sources deleted by the provisioning that made them."""
        lines = ["apiVersion: 1", "deleteDatasources:"]
        for organisation, name in pairs:
            # JSON is YAML; a dollar would begin a variable.
            lines += [
                "  - name: {0}".format(json.dumps(name.replace("$", "$$"))),
                "    orgId: {0}".format(organisation),
            ]
        path = os.path.join(self.params["config_dir"], REMOVALS)
        group = pwd.getpwnam(self.params["user"]).pw_gid
        write_atomically(path, ("\n".join(lines) + "\n").encode("utf-8"), 0o640, 0, group)
        try:
            status, text = self.request("/api/admin/provisioning/datasources/reload", "POST")
        finally:
            _nofollow.unlink(path)
        if status != 200:
            raise HostError("data sources could not be deleted: HTTP {0}: {1}".format(status, message_of(text)))

    def delete_folders(self, names):
        """Delete the folders among these that hold nothing; what somebody put there stays."""
        deleted = []
        for folder in self.get("/api/folders?limit=1000") or []:
            if folder["title"] not in names:
                continue
            held = self.get("/api/folders/{0}/counts".format(quote(folder["uid"])))
            listed = self.get("/api/search?type=dash-db&folderIds={0}".format(folder.get("id", 0)))
            if listed or (isinstance(held, dict) and any(held.values())):
                continue
            self.request("/api/folders/" + quote(folder["uid"]), "DELETE")
            deleted.append("folder " + folder["title"])
        return deleted

    def missing(self):
        """What is not there as it was provisioned, sentences."""
        for source in self.expected["datasources"]:
            answer = self.get("/api/datasources/uid/" + quote(source["uid"]))
            problem = "is missing" if answer is None else source_problem(source, answer)
            if problem:
                yield "the data source {0} {1}".format(source["name"], problem)
        for wanted in self.expected["dashboards"]:
            answer = self.get("/api/dashboards/uid/" + quote(wanted["uid"]))
            problem = "is missing" if answer is None else dashboard_problem(wanted, answer)
            if problem:
                yield "the dashboard {0} ({1}) {2}".format(wanted["title"], wanted["uid"], problem)

    def wait(self):
        """Wait until everything is there; plugins are loaded before Grafana serves, or never."""
        if self.expected["plugins"]:
            problems = list(plugin_problems(self.expected["plugins"], self.get("/api/plugins?embedded=0") or []))
            if problems:
                raise HostError("\n".join(problems))
        deadline = time.monotonic() + self.params["timeout"]
        while True:
            problems = list(self.missing())
            if not problems:
                return
            if time.monotonic() > deadline:
                raise HostError("Grafana lacks provisioned content:\n{0}".format("\n".join(problems)))
            time.sleep(INTERVAL)

    def remember(self):
        """Write down what is there, so that it can be taken away once it is not wanted any more."""
        record = {
            "datasources": [[source["org"], source["name"]] for source in self.expected["datasources"]],
            "folders": sorted({found["folder"] for found in self.expected["dashboards"] if found["folder"]}),
            "default_refused": True,
        }
        if record != self.record:
            write_atomically(self.record_path, json.dumps(record, indent=1).encode("utf-8") + b"\n", 0o600)

    def run(self):
        """Do what the module is for."""
        sources, folders = self.gone()
        deleted = ["data source " + name for dummy, name in sources]
        reset = False
        if self.module.check_mode:
            try:
                reset = not self.let_in()
            except _client.AskError:
                # The first start sets the password; whether that of a Grafana with data is another one, nobody can say.
                self.module.warn("Grafana does not answer: check mode cannot tell what would change in it")
                deleted = []
            self.finish(reset, deleted)
        reset = not self.let_in()
        if reset:
            self.reset()
        if not self.record.get("default_refused"):
            self.refuse_default()
        if sources:
            self.delete_sources(sources)
        self.wait()
        if folders:
            deleted += self.delete_folders(folders)
        self.remember()
        self.finish(reset, deleted)

    def finish(self, reset, deleted):
        """End with what was done."""
        result = {"changed": bool(reset or deleted), "password_reset": reset, "deleted": deleted}
        if self.module._diff:
            result["diff"] = {"before": "".join(name + "\n" for name in deleted), "after": ""}
        self.module.exit_json(**result)


def main():
    """Entry point."""
    module = Module(
        argument_spec={
            "url": {"type": "str", "required": True},
            "ca_path": {"type": "path"},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "config_dir": {"type": "path", "required": True},
            "command": {"type": "list", "elements": "str", "required": True},
            "user": {"type": "str", "required": True},
            "service": {"type": "str", "default": "grafana-server"},
            "docker_host": {"type": "str"},
            "expected": {
                "type": "dict",
                "required": True,
                "options": {
                    "datasources": {"type": "list", "elements": "dict", "default": []},
                    "dashboards": {"type": "list", "elements": "dict", "default": []},
                    "plugins": {"type": "dict", "default": {}},
                },
            },
            "timeout": {"type": "float", "default": 30},
            "secrets": {"type": "list", "elements": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    content = Content(module)
    try:
        with contextlib.nullcontext() if module.check_mode else one_run_at_a_time(module.params["config_dir"]):
            content.run()
    except (HostError, _client.AskError) as error:
        module.fail_json(msg="{0}\nLast log lines of Grafana:\n{1}".format(error, content.last_words()))


if __name__ == "__main__":
    main()
