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
  - Asks each provider of OAuth, once for each secret, whether it knows Grafana as a client.
  - Logs in at each server of LDAP as Grafana does to look for a user.
version_added: 0.2.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: full
    description: >-
      Reports whether the password would be reset, something deleted, or something of O(access) changed. Missing content is not a failure
      in check mode. Of a Grafana that was deployed before and does not answer, no change is reported.
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
  access:
    description:
      - What no provisioning file can say. It is compared with Grafana's API, and what differs is changed. What an earlier run has added,
        and this no longer has, is removed; what people have added in Grafana stays.
      - The passwords of users and the tokens of service accounts are in no output.
    type: dict
    default: {}
    version_added: 0.4.0
    suboptions:
      users:
        description: Users of the organisation with their roles.
        type: list
        elements: dict
        default: []
        suboptions:
          login:
            description: Login name.
            type: str
            required: true
          name:
            description: Name.
            type: str
          email:
            description: E-mail address.
            type: str
          role:
            description: Role in the organisation.
            type: str
            choices: [Admin, Editor, Viewer]
            default: Viewer
          password:
            description: First password. Grafana does not tell whether a user has another one since, so it is not changed later.
            type: str
            required: true
      teams:
        description: Teams.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name.
            type: str
            required: true
          email:
            description: E-mail address.
            type: str
          members:
            description: Login names. If not set, the members are left as they are.
            type: list
            elements: str
      folders:
        description: Folders.
        type: list
        elements: dict
        default: []
        suboptions:
          title:
            description: Title.
            type: str
            required: true
          permissions:
            description: >-
              All permissions of the folder, each with C(permission), V(View), V(Edit) or V(Admin), and one of C(team), C(user)
              and C(role). If not set, they are left as they are.
            type: list
            elements: dict
      home:
        description: UID of the dashboard that is shown first. Empty for Grafana's own page.
        type: str
        default: ''
      home_unless_chosen:
        description: Whether a home dashboard stays that people have chosen for the organisation.
        type: bool
        default: false
      service_accounts:
        description: Service accounts with their tokens.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name.
            type: str
            required: true
          role:
            description: Role in the organisation.
            type: str
            choices: [Admin, Editor, Viewer]
            default: Viewer
          tokens:
            description: Tokens, each in a file on the host that only its owner can read.
            type: list
            elements: dict
            default: []
            suboptions:
              name:
                description: Name.
                type: str
                required: true
              serial:
                description: Another value makes a new token, and removes the current one.
                type: str
                default: '1'
              days:
                description: Days after which the token expires. V(0) for never.
                type: int
                default: 0
              renew_days:
                description: Days before the end at which a new token is made.
                type: int
                default: 14
              file:
                description: Path of the file on the host.
                type: path
                required: true
              owner:
                description: Owner of the file.
                type: str
                default: root
  clients:
    description:
      - The clients that Grafana is at its providers of OAuth. Each provider is asked for a token, with a code that nobody has, as the
        answer shows whether it knows the client and its secret. It is asked again if one of these values differs. Not in check mode.
    type: list
    elements: dict
    default: []
    version_added: 0.4.0
    suboptions:
      name:
        description: Name of the provider, as in the section of grafana.ini.
        type: str
        required: true
      token_url:
        description: URL at which it gives tokens.
        type: str
        required: true
      client_id:
        description: ID of the client.
        type: str
        required: true
      client_secret:
        description: Secret of the client.
        type: str
        required: true
      ca_path:
        description: File on the host with the CA certificate that signed the provider's certificate.
        type: path
      verify:
        description: Whether the provider's certificate is verified.
        type: bool
        default: true
  ldap_servers:
    description:
      - The servers of LDAP at which Grafana logs in to look for a user. This does it once as well, as Grafana says of a refusal only in its
        log, and only when somebody wants to log in. Not in check mode.
    type: list
    elements: dict
    default: []
    version_added: 0.4.0
    suboptions:
      name:
        description: Name of the variable that has it, for messages.
        type: str
        required: true
      hosts:
        description: Its hosts, of which the first one is asked that can be reached.
        type: list
        elements: str
        required: true
      port:
        description: Their port.
        type: int
        required: true
      bind_dn:
        description: Distinguished name as which Grafana logs in.
        type: str
        required: true
      bind_password:
        description: Its password.
        type: str
        required: true
      use_ssl:
        description: Whether the connection has TLS.
        type: bool
        default: false
      start_tls:
        description: Whether TLS begins after a request in the clear. Without O(ldap_servers[].use_ssl) it does not, as in Grafana.
        type: bool
        default: false
      ca_paths:
        description: Files on the host with CA certificates that may have signed the server's certificate.
        type: list
        elements: path
        default: []
      client_cert:
        description: File on the host with the certificate that Grafana shows.
        type: path
      client_key:
        description: File on the host with its key.
        type: path
      verify:
        description: Whether the server's certificate is verified.
        type: bool
        default: true
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
access:
  description: What was changed of O(access), as sentences. In check mode, what would be.
  returned: always
  type: list
  elements: str
  sample: ["team Shop: alice is added"]
deleted:
  description: Data sources and folders that were deleted. In check mode, those that would be.
  type: list
  elements: str
  returned: always
"""

import contextlib
import hashlib
import json
import os
import pwd
import subprocess
import time
from urllib.parse import quote, quote_plus

from ansible_collections.vigil.monitoring.plugins.module_utils import _client, _ldap_bind, _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._grafana import (
    MAIN,
    bind_problem,
    client_problem,
    dashboard_problem,
    message_of,
    of_organisation,
    plugin_problems,
    shown_name,
    source_problem,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._grafana_access import EMPTY, GrafanaAccess
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    HostError,
    one_run_at_a_time,
    read_json,
    write_atomically,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._ldap_message import PASSING
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._redact import redact_text
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_docker import last_words_of
from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize

INTERVAL = 0.3
# Grafana lets nobody of a name in for five minutes after five wrong passwords, not even with the right one. That it does so
# stands in its log alone.
LOCKED = 300.0
# Seconds that Grafana's own tool may take.
LONGEST_RESET = 120.0
LOCK = "too many consecutive incorrect login attempts"
DEFAULT = ("admin", "admin")
# What makes Grafana delete a data source: read-only ones cannot be deleted through its API. It is there for the moment.
REMOVALS = "provisioning/datasources/00-vigil-removed.yml"


ROLE = {"type": "str", "choices": ["Admin", "Editor", "Viewer"], "default": "Viewer"}
TOKEN = {
    "name": {"type": "str", "required": True},
    "serial": {"type": "str", "default": "1"},
    "days": {"type": "int", "default": 0},
    "renew_days": {"type": "int", "default": 14},
    "file": {"type": "path", "required": True},
    "owner": {"type": "str", "default": "root"},
}
ACCESS = {
    "users": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "login": {"type": "str", "required": True},
            "name": {"type": "str"},
            "email": {"type": "str"},
            "role": ROLE,
            "password": {"type": "str", "required": True, "no_log": True},
        },
    },
    "teams": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "email": {"type": "str"},
            "members": {"type": "list", "elements": "str"},
        },
    },
    "folders": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "title": {"type": "str", "required": True},
            "permissions": {"type": "list", "elements": "dict"},
        },
    },
    "home": {"type": "str", "default": ""},
    "home_unless_chosen": {"type": "bool", "default": False},
    "service_accounts": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "role": ROLE,
            # Without a secret: what they are is made in Grafana.
            "tokens": {"type": "list", "elements": "dict", "default": [], "options": TOKEN, "no_log": False},
        },
    },
}
CLIENT = {
    "name": {"type": "str", "required": True},
    "token_url": {"type": "str", "required": True, "no_log": False},
    "client_id": {"type": "str", "required": True},
    "client_secret": {"type": "str", "required": True, "no_log": True},
    "ca_path": {"type": "path"},
    "verify": {"type": "bool", "default": True},
}
LDAP_SERVER = {
    "name": {"type": "str", "required": True},
    "hosts": {"type": "list", "elements": "str", "required": True},
    "port": {"type": "int", "required": True},
    "bind_dn": {"type": "str", "required": True},
    "bind_password": {"type": "str", "required": True, "no_log": True},
    "use_ssl": {"type": "bool", "default": False},
    "start_tls": {"type": "bool", "default": False},
    "ca_paths": {"type": "list", "elements": "path", "default": []},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "verify": {"type": "bool", "default": True},
}


class TokenFiles:
    """Files with tokens, each for its owner alone.

    :param default: directory that is made where a file is in it.
    """

    def __init__(self, default):
        self.default = default

    @staticmethod
    def is_there(path):
        """Whether there is anything."""
        return _nofollow.inspect(path) is not None

    def write(self, path, text, owner):
        """Write a file.

        :raises HostError: when the owner or the directory is not there.
        """
        try:
            account = pwd.getpwnam(owner)
            if os.path.dirname(path) == self.default:
                _nofollow.ensure_directory(self.default, mode=0o700)
            write_atomically(path, text.encode("utf-8") + b"\n", 0o600, account.pw_uid, account.pw_gid)
        except KeyError:
            raise HostError("grafana_service_accounts: {0} is no user of this host".format(owner)) from None
        except OSError as error:
            raise HostError("{0} cannot be written: {1}".format(path, error.strerror)) from error

    @staticmethod
    def remove(path):
        """Remove a file that is there."""
        _nofollow.unlink(path)


class Content:
    """What one Grafana shows."""

    def __init__(self, module):
        self.module = module
        self.params = module.params
        self.expected = module.params["expected"]
        self.began = time.time()
        self.removals = os.path.join(self.params["config_dir"], REMOVALS)
        self.record_path = os.path.join(self.params["config_dir"], ".vigil", "grafana.json")
        self.record = read_json(self.record_path, {}, roots=True)

    def last_words(self):
        """What the log of the service has said since this began."""
        return last_words_of(self.params["service"], self.params["docker_host"], self.began)

    def request(self, path, method="GET", login=None, body=None, org=MAIN):
        """One request as the administrator: the HTTP status and the answer as text.

        :param org: number of the organisation that it is about, None for one that is about none.
        """
        username, password = login or (self.params["username"], self.params["password"])
        access = _client.Access(
            username=username,
            password=password,
            ca_path=self.params["ca_path"],
            # As when it was deployed: the certificate is for the public name, and this asks an address of the host.
            verify=bool(self.params["ca_path"]),
            check_name=False,
            headers=of_organisation(org) if org else (),
        )
        reply = _client.send(method, self.params["url"] + path, body, access, timeout=30.0)
        return reply.status, reply.body.decode("utf-8", "replace")

    def get(self, path, org=MAIN):
        """The parsed answer, or None where there is nothing at that path."""
        status, text = self.request(path, org=org)
        if status == 404:
            return None
        if status != 200:
            raise HostError("{0} answers HTTP {1}: {2}".format(path, status, message_of(text)))
        return self.parsed(path, text)

    def parsed(self, path, text):
        """An answer of Grafana as a structure.

        :raises HostError: when it is none, as that of a proxy, or of whatever else listens there.
        """
        try:
            return json.loads(text)
        except ValueError:
            said = "{0} answers {1}, which is no JSON; is something else than Grafana served at {2}?"
            raise HostError(said.format(path, sanitize(text[:120]) or "nothing", self.params["url"])) from None

    def account(self):
        """The account that Grafana runs as.

        :raises HostError: when it is not there.
        """
        try:
            return pwd.getpwnam(self.params["user"])
        except KeyError:
            raise HostError("{0}, as which Grafana runs, is no user of this host".format(self.params["user"])) from None

    def api(self, method, path, body=None):
        """The parsed answer to a request that may change something, or None where there is nothing at that path."""
        status, text = self.request(path, method, body=body)
        if status == 404 and method in ("GET", "DELETE"):
            return None
        if not 200 <= status < 300:
            raise HostError("{0} {1} answers HTTP {2}: {3}".format(method, path, status, message_of(text)))
        answer = self.parsed(path, text) if text.strip() else {}
        if isinstance(answer, dict) and "key" in answer:
            self.module.know(str(answer["key"]))
        return answer

    def access(self, api=None):
        """What no provisioning file can say.

        :param api: for a Grafana that is not there yet, what answers for it.
        """
        wanted = self.params["access"]
        made = GrafanaAccess(
            api or self.api,
            TokenFiles(os.path.join(self.params["config_dir"], "tokens")),
            wanted,
            self.record.get("access") or {},
            self.params["username"],
            os.uname().nodename,
            self.module.check_mode,
            save=lambda record: self.write_record({**self.record, "access": record}),
        )
        if made.needed():
            made.run()
        for doubt in () if api else made.doubts:
            self.module.warn(doubt)
        return made

    # The administrator

    def let_in(self):
        """Whether the login works."""
        status, text = self.request("/api/user", org=None)
        if status in (401, 403):
            return False
        if status != 200:
            raise HostError(
                "the login of {0} failed with HTTP {1}: {2}".format(self.params["username"], status, text[:200])
            )
        if not self.parsed("/api/user", text).get("isGrafanaAdmin"):
            raise HostError(
                "{0} can log in, but is not a server administrator; set grafana_security.admin_user to one".format(
                    self.params["username"]
                )
            )
        return True

    def reset(self):
        """Have Grafana's own tool set the password, and verify it."""
        account = self.account()
        argv = [*self.params["command"], "admin", "reset-admin-password", "--password-from-stdin"]
        uid, gid = account.pw_uid, account.pw_gid
        if self.params["docker_host"]:
            # Inside the container it is the service's account anyway; only root may ask the engine.
            argv = ["docker", "-H", self.params["docker_host"], "exec", "-i", self.params["service"], *argv]
            uid = gid = 0
        try:
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
                timeout=LONGEST_RESET,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            why = getattr(error, "strerror", None) or "it did not end within {0:.0f} s".format(LONGEST_RESET)
            raise HostError(
                "the login of {0} failed, and {1} could not reset the password: {2}".format(
                    self.params["username"], argv[0], why
                )
            ) from error
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
        status, dummy = self.request("/api/user", login=DEFAULT, org=None)
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
        folders = sorted(set(self.record.get("folders", [])) - self.folders())
        return sources, folders

    def folders(self):
        """The folders that the inventory has."""
        own = {one["title"] for one in self.params["access"]["folders"]}
        return own | {found["folder"] for found in self.expected["dashboards"] if found["folder"]}

    def delete_sources(self, pairs):
        """Have data sources deleted by the provisioning that made them."""
        lines = ["apiVersion: 1", "deleteDatasources:"]
        for organisation, name in pairs:
            # JSON is YAML, but for its pairs of escapes, of which Grafana takes neither; a dollar would begin a variable.
            lines += [
                "  - name: {0}".format(json.dumps(name.replace("$", "$$"), ensure_ascii=False)),
                "    orgId: {0}".format(organisation),
            ]
        group = self.account().pw_gid
        write_atomically(self.removals, ("\n".join(lines) + "\n").encode("utf-8"), 0o640, 0, group)
        try:
            status, text = self.request("/api/admin/provisioning/datasources/reload", "POST")
        finally:
            _nofollow.unlink(self.removals)
        if status != 200:
            raise HostError("data sources could not be deleted: HTTP {0}: {1}".format(status, message_of(text)))

    def delete_folders(self, names):
        """Delete the folders among these that hold nothing; what somebody put there stays."""
        deleted = []
        for folder in self.get("/api/folders?limit=1000") or []:
            if folder["title"] not in names or self.holds_more(folder):
                continue
            if not self.module.check_mode:
                path = "/api/folders/" + quote(folder["uid"])
                status, text = self.request(path, "DELETE")
                if status >= 500:
                    raise HostError("DELETE {0} answers HTTP {1}: {2}".format(path, status, message_of(text)))
                if status >= 400:
                    # It is gone, or has what an early version does not count, such as rules of alerts.
                    continue
            deleted.append("folder " + folder["title"])
        return deleted

    def holds_more(self, folder):
        """Whether a folder holds anything else than, in check mode, dashboards of files, which leave it with them."""
        held = self.get("/api/folders/{0}/counts".format(quote(folder["uid"])))
        # The one without an id would be that of all dashboards without a folder.
        listed = self.get("/api/search?type=dash-db&folderIds={0}".format(folder["id"])) if folder.get("id") else []
        leaving = 0
        for found in listed or []:
            board = self.get("/api/dashboards/uid/" + quote(found["uid"])) if self.module.check_mode else None
            if not ((board or {}).get("meta") or {}).get("provisioned"):
                return True
            leaving += 1
        return isinstance(held, dict) and sum(held.values()) > leaving

    def missing(self):
        """What is not there as it was provisioned, sentences."""
        for source in self.expected["datasources"]:
            answer = self.get("/api/datasources/uid/" + quote(source["uid"]), source["org"])
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

    def known(self):
        """Digests of the clients that their providers know, and messages about those that they do not."""
        before, found, problems = self.record.get("clients") or {}, {}, []
        for client in self.params["clients"]:
            digest = hashlib.sha256(json.dumps(client, sort_keys=True).encode("utf-8")).hexdigest()
            try:
                problem = None if before.get(client["name"]) == digest else self.refused(client)
            except _client.AskError as error:
                text = "{token_url} cannot be asked whether it knows the client {client_id}: {0}"
                self.module.warn(text.format(error, **client))
                continue
            if problem:
                problems.append(problem)
            else:
                found[client["name"]] = digest
        return found, problems

    @staticmethod
    def refused(client):
        """Why a provider does not take a client: a message, or None.

        As Grafana does it: the secret is in the header, and where that is refused, in the form.

        :raises AskError: when the provider has no answer.
        """
        access = _client.Access(ca_path=client["ca_path"], verify=client["verify"], use_proxy=True)
        login = {key: client[key] for key in ("client_id", "client_secret")}
        header = dict(zip(("username", "password"), map(quote_plus, login.values())))
        form, problem = {"grant_type": "authorization_code", "code": "none"}, None
        for sent, fields in ((access._replace(**header), form), (access, {**form, **login})):
            reply = _client.send("POST", client["token_url"], None, sent, 15.0, form=fields)
            if reply.status >= 500:
                raise _client.AskError("broken", "HTTP {0}".format(reply.status))
            problem = client_problem(client, reply.status, reply.body.decode("utf-8", "replace"))
            if problem is None:
                break
        return problem

    def not_let_in(self):
        """Messages about the servers of LDAP at which Grafana cannot log in."""
        for server in self.params["ldap_servers"]:
            try:
                host, result = _ldap_bind.bind(
                    _ldap_bind.Server(
                        hosts=server["hosts"],
                        port=server["port"],
                        name=server["bind_dn"],
                        password=server["bind_password"],
                        tls=server["use_ssl"],
                        start_tls=server["start_tls"],
                        ca_paths=server["ca_paths"],
                        client_cert=server["client_cert"],
                        client_key=server["client_key"],
                        verify=server["verify"],
                    )
                )
                if result.code in PASSING:
                    raise _client.AskError("broken", result.words)
            except _client.AskError as error:
                text = "the LDAP server {0}:{1} cannot be asked whether it takes {2} with its password: {3}"
                self.module.warn(text.format(" ".join(server["hosts"]), server["port"], shown_name(server), error))
                continue
            problem = bind_problem(server, host, result)
            if problem:
                yield problem

    def remember(self, access, clients):
        """Write down what is there, so that it can be taken away once it is not wanted any more."""
        provisioned = {found["folder"] for found in self.expected["dashboards"] if found["folder"]}
        record = {
            "datasources": [[source["org"], source["name"]] for source in self.expected["datasources"]],
            "folders": sorted(provisioned.union(access["folders"])),
            "default_refused": True,
            **({} if access == EMPTY else {"access": access}),
            **({"clients": clients} if clients else {}),
        }
        if record != self.record:
            self.write_record(record)

    def write_record(self, record):
        """Write it down, for root alone."""
        write_atomically(self.record_path, json.dumps(record, indent=1).encode("utf-8") + b"\n", 0o600)

    def run(self):
        """Do what the module is for."""
        sources, folders = self.gone()
        deleted = ["data source " + name for dummy, name in sources]
        reset = False
        if self.module.check_mode:
            access = []
            try:
                reset = not self.let_in()
                # With another password nothing can be asked.
                access = [] if reset else self.access().changes
                deleted += [] if reset or not folders else self.delete_folders(folders)
            except _client.AskError:
                # The first start sets the password; whether that of a Grafana with data is another one, nobody can say.
                deleted = []
                if self.record:
                    self.module.warn("Grafana does not answer: check mode cannot tell what would change in it")
                else:
                    access = self.access(api=lambda *request: None).changes
            self.finish(reset, deleted, access)
        reset = not self.let_in()
        if reset:
            self.reset()
        if not self.record.get("default_refused"):
            self.refuse_default()
        # Of a run that was killed: from here on, Grafana would delete a data source that is wanted again at each start.
        _nofollow.unlink(self.removals)
        if sources:
            self.delete_sources(sources)
        self.wait()
        access = self.access()
        if folders:
            deleted += self.delete_folders(folders)
        clients, problems = self.known()
        self.remember(access.record, clients)
        problems += self.not_let_in()
        if problems:
            raise HostError("\n".join(problems))
        self.finish(reset, deleted, access.changes)

    def finish(self, reset, deleted, access):
        """End with what was done."""
        result = {"changed": bool(reset or deleted or access), "password_reset": reset, "deleted": deleted}
        result["access"] = access
        if self.module._diff:
            lines = ["".join(name + "\n" for name in names) for names in (deleted, access)]
            result["diff"] = dict(zip(("before", "after"), lines))
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
            "access": {"type": "dict", "default": {}, "apply_defaults": True, "options": ACCESS},
            "clients": {"type": "list", "elements": "dict", "default": [], "options": CLIENT},
            "ldap_servers": {"type": "list", "elements": "dict", "default": [], "options": LDAP_SERVER},
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
