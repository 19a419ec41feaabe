# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of service_health: finds out what to ask, and asks, from here where that is possible."""

from __future__ import annotations

import contextlib
import os

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.module_utils import _discovery
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import DEFAULT_HOST
from ansible_collections.vigil.monitoring.plugins.module_utils._proof import RED, UNPROVEN, told_from, worst
from ansible_collections.vigil.monitoring.plugins.module_utils._prove import CannotReach, prove, unreachable
from ansible_collections.vigil.monitoring.plugins.module_utils._scrub import Scrubber
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms, _rules, _run, _scope, _scrape
from ansible_collections.vigil.monitoring.plugins.plugin_utils._comparison import Comparison
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import COLLECTION
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import HostValues
from ansible_collections.vigil.monitoring.plugins.plugin_utils._look import answer
from ansible_collections.vigil.monitoring.plugins.plugin_utils._look_containers import Containers
from ansible_collections.vigil.monitoring.plugins.plugin_utils._look_remains import Remains
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain

PLAY_ONLY = (
    "(It was asked where the inventory says. What a play alone gives to the role, such as {0}_web_listen_address below vars, is"
    " known to no other run and to no other host: such values belong into the inventory.)"
)
# The files that it may take to ask a service.
CERTIFICATES = ("ca_path", "client_cert", "client_key")
LOCAL = ("local", "ansible.builtin.local", "ansible.legacy.local")


class RoleValues:
    """A role's variables as its own tasks would see them: the inventory's, and where that says nothing the defaults.

    What the play gave to the role in this run goes before both.

    Reading two files is an order of magnitude faster than including the role for the sake of its defaults.

    :param registered: what its tasks would have registered.
    """

    def __init__(self, role, loader, templar, task_vars, registered=None):
        folder = os.path.join(COLLECTION, "roles", role)
        search = [folder, *(task_vars.get("ansible_search_path") or [])]
        self._variables = {
            **_run.role_defaults(loader, role),
            **task_vars,
            **_run.given_to(role, task_vars["inventory_hostname"], loader),
            **_run.read_trusted(loader, os.path.join(folder, "vars", "main.yml")),
            "role_path": folder,
            "ansible_search_path": search,
            **(registered or {}),
        }
        self._templar = templar.copy_with_new_env(available_variables=self._variables)

    def __getitem__(self, name):
        return plain(self._templar.template(self._variables[name]))

    def render(self, arguments):
        """The arguments of one of the role's tasks, without those that are left out."""
        found = plain(self._templar.template({name: value for name, value in arguments.items() if name != "look"}))
        # From ansible-core 2.19 on, these are gone already; before, a word that nobody else would write stands there.
        return {name: value for name, value in found.items() if value != self._variables.get("omit", ...)}

    def know(self, name, value):
        """Give the role a variable more, as a task that registers its result does."""
        self._variables[name] = value
        self._templar = self._templar.copy_with_new_env(available_variables=self._variables)

    def get(self, name, default=None):
        """A variable, or a default when there is none."""
        return self[name] if name in self._variables else default


def own_alerts(role):
    """What somebody with alerts of his own should know about the packs, or None.

    :param role: the values of the role prometheus, as :class:`RoleValues`.
    """
    own = _rules.own_alerts(
        {"alert_rules": role.get("prometheus_alert_rules"), "rule_files": role["__prometheus_rule_files"]}
    )
    facts = role["__prometheus_inventory"]["rules"]
    wanted, thresholds = role.get("prometheus_rule_packs"), role.get("prometheus_thresholds")
    return _rules.beside_own(_rules.load_packs(), wanted, thresholds, facts, own)


class ActionModule(ActionBase):
    """Action plugin of the service_health module."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Ask every service of this host once it is known what to ask."""
        result = super().run(tmp, task_vars)
        given = self._arguments()
        host = task_vars["inventory_hostname"]
        timeout = 0.0 if self._task.check_mode else float(given["timeout"])
        lines, for_the_host, wordless, containers, secrets, words = [], [], [], {}, [], {}
        unreached = {}
        asked, left_out, silent = self._kinds(host, given, task_vars)
        for kind in asked:
            try:
                role = RoleValues(kind, self._loader, self._templar, task_vars)
                if role.get(kind + "_state") == "absent":
                    continue
                service = self._service(kind, host, role, given, task_vars)
                words[kind] = own_alerts(role) if kind == "prometheus" and service["rules"] else None
            except (AnsibleError, _scrape.ScrapeError, _rules.RulesError) as error:
                lines.append({**unreachable({"service": kind, "health": {"url": "http://" + host}}, ""), "url": None,
                              "reasons": ["what to expect cannot be told: {0}".format(error)]})  # fmt: skip
                continue
            secrets += [*service["secrets"], service["health"].get("password") or ""]
            ways, image = service.pop("ways"), service.pop("image")
            if image:
                containers[_rooms.load(kind).unit_name] = image
            if ways["here"]:
                try:
                    line = prove(service, timeout, patient=False)
                    if not line["wordless"] or line["state"] == "ok" or self._task.check_mode:
                        lines.append(line)
                    else:
                        wordless.append((line, service, ways["there"]))
                    continue
                except CannotReach as error:
                    unreached[kind] = str(error)
            for_the_host.append((service, ways["there"]))
        if for_the_host:
            lines += self._ask_host(for_the_host, timeout, task_vars)
        lines = [
            told_from(line, unreached[line["service"]], given["from"]) if line["service"] in unreached else line
            for line in lines
        ]
        for line, service, there in wordless:
            # Why it is so stands in its log, which only its host can read.
            (words,) = self._ask_host([({**service, "log_only": True}, there)], 0.0, task_vars)
            lines.append({**line, "reasons": [*line["reasons"], *words["reasons"]]})
        if containers:
            self._ask_engine(containers, lines, task_vars)
        begun = _run.noted()
        if not self._task.check_mode:
            groups = task_vars["group_names"]
            alone = [kind for kind in asked if host not in begun.get(kind, ()) and given["groups"].get(kind) in groups]
            self._compare(alone, lines, task_vars)
        for line in lines:
            if line["state"] == RED and not line["reached"] and host not in begun.get(line["service"], ()):
                line["reasons"] = [*line["reasons"], PLAY_ONLY.format(line["service"])]
        for line in lines:
            line["reasons"] = [*line["reasons"], *filter(None, [words.get(line["service"])])]
        if self._task.check_mode:
            for line in lines:
                if line["state"] != "ok":
                    # It may be what this very run would put there.
                    line.update(state="unchecked", reasons=[])
        if any(line["state"] != "ok" for line in lines):
            lines = Scrubber(secrets, " ".join((host, *_rooms.names()))).data(lines)
        result.update(changed=False, services=lines, left_out=left_out, silent=silent)
        return result

    def _compare(self, kinds, lines, task_vars):
        """Add in what the host differs from what the inventory asks for, where this run has not just seen to it itself.

        :param kinds: the services that no role of this run has dealt with.
        """
        for line in lines:
            kind = line["service"]
            if kind not in kinds or line["url"] is None:
                continue
            role = RoleValues(kind, self._loader, self._templar, task_vars)
            for state, text in Comparison(self, kind, role).findings(self._loader, task_vars):
                line["state"] = worst([line["state"], state])
                line["reasons"] = [*line["reasons"], text]

    def _kinds(self, host, given, task_vars):
        """The services to ask for on this host; those that tags leave out; and why it cannot say which it has."""
        groups, begun = task_vars["group_names"], {kind for kind, hosts in _run.noted().items() if host in hosts}
        named = _rooms.in_order(given["groups"])
        kinds = [kind for kind in named if given["groups"][kind] in groups or kind in begun]
        run_tags = task_vars.get("ansible_run_tags") or ["all"]
        asked, left_out = _scope.asked(kinds, begun, run_tags, task_vars.get("ansible_skip_tags") or [])
        if kinds or "all" not in run_tags or host not in (task_vars["groups"].get("all") or ()):
            return asked, left_out, None
        try:
            return self._remembered(named, task_vars), left_out, None
        except AnsibleConnectionFailure as error:
            return [], left_out, "it cannot be asked which services it has: {0}".format(error)

    def _remembered(self, named, task_vars):
        """Those of some services that a host has by what this collection left there, whatever the inventory says."""
        roles = {kind: RoleValues(kind, self._loader, self._templar, task_vars) for kind in named}
        folders = {kind: role.get(kind + "_config_dir") for kind, role in roles.items()}
        look = Remains({kind: folder for kind, folder in folders.items() if folder})
        return look.kinds(answer(self, look.command()) or "")

    def _arguments(self):
        dummy, given = self.validate_argument_spec(
            argument_spec={
                "groups": {"type": "dict"},
                "timeout": {"type": "float", "default": 60},
                "from": {"type": "str", "default": "auto", "choices": ["auto", "controller", "host"]},
                "ignore": {
                    "type": "list",
                    "elements": "dict",
                    "default": [],
                    "options": {"job": {"type": "str"}, "instance": {"type": "str"}},
                },
            }
        )
        given["groups"] = _rooms.groups_of(given["groups"])
        return given

    def _service(self, kind, host, role, given, task_vars):
        """What to ask a service, where from, and what for."""
        groups, room = task_vars["groups"], _rooms.load(kind)

        def own(dummy, name):
            return role.get(name)

        at = _scrape.endpoint(kind, host, own)
        address = at.host if at.host and _scrape.is_loopback(at.host) else _scrape.address_of(host, own)
        # An exporter that has a variable for the whole path of its metrics has no prefix besides.
        path = role.get(kind + "_web_telemetry_path")
        prefix = "" if path else at.prefix
        url = "{0}://{1}{2}"
        contained = role.get(kind + "_runtime") == "docker"
        asked = contained or role.get(kind + "_install_method", "archive") == "archive"
        health = {
            **room.health_check(),
            "url": url.format(at.scheme, _scrape.join(address, at.port), prefix),
            "metrics_path": at.metrics_path if path else "/metrics",
            "username": role.get(kind + "_health_username") or None,
            "password": role.get(kind + "_health_password") or None,
            "ca_path": role.get(kind + "_health_ca") or None,
            "client_cert": role.get(kind + "_health_client_cert") or None,
            "client_key": role.get(kind + "_health_client_key") or None,
        }
        service = {
            "service": kind,
            "health": health,
            "version": str(role.get(kind + "_version") or "") if asked else "",
            "secrets": role.get("__{0}_secrets".format(kind)) if room.dependency else [],
            "image": role.get(kind + "_image") if contained else None,
            "unit": room.unit_name,
            "log_seconds": room.log_seconds,
            "docker_host": role.get("__{0}_engine".format(kind))["host"] if contained else None,
        }
        if kind == "grafana":
            configured = role["__grafana_places"]["health"]
            health.update(username=configured.get("username"), password=configured.get("password"))
            service.update(
                secrets=role["__grafana_secrets"],
                login=role["__grafana_places"]["login"],
                provisioned=role["__grafana_expected"],
            )
        inside = "127.0.0.1" if not at.host else at.host
        local = self._connection.transport in LOCAL or task_vars.get("ansible_connection") in LOCAL
        service["ways"] = {
            # A loopback address is the controller's own, and a certificate that is on the host is not here.
            "here": (local or not _scrape.is_loopback(address))
            and all(os.path.isfile(health[name]) for name in CERTIFICATES if health[name]),
            "there": url.format(at.scheme, _scrape.join(inside, at.port), prefix),
        }
        if kind == "prometheus":
            service.update(self._expectations(role, given))
        if kind == "node_exporter":
            enabled = role.get("node_exporter_enabled_collectors") or []
            service["collectors"] = [str(name) for one in enabled for name in (one if isinstance(one, dict) else [one])]
        if kind == "alertmanager":
            values = HostValues(task_vars["hostvars"], self._templar, {"groups": groups})
            service["members"] = _scrape.members(host, groups.get(given["groups"][kind]) or [], values)
        return service

    def _ask_engine(self, containers, lines, task_vars):
        """Add what the engine says about the containers, which no other host can ask.

        :param containers: name of the container -> name of the image that was asked for.
        """
        host = self._templar.template(task_vars.get("monitoring_docker_host") or DEFAULT_HOST)
        look = Containers(containers, host)
        try:
            output = answer(self, look.command())
        except AnsibleConnectionFailure as error:
            output, why = None, "its host cannot be asked about the container: {0}".format(error)
        else:
            why = "its container could not be asked about: no `docker` answers on the host"
        found = look.problems(output) if output else None
        for line in lines:
            name = _rooms.load(line["service"]).unit_name
            if name not in containers:
                continue
            for certain, reason in [(False, why)] if found is None else found[name]:
                line["state"] = worst([line["state"], RED if certain else UNPROVEN])
                line["reasons"] = [*line["reasons"], reason]

    def _expectations(self, role, given):
        """What this Prometheus has to have: the same data that its configuration was made of."""
        inventory = role["__prometheus_inventory"]
        agent = bool(role.get("prometheus_agent_mode"))
        alertmanagers = role.get("prometheus_alertmanager_config") or inventory["alertmanagers"]
        packs = _rules.chosen(_rules.load_packs(), role.get("prometheus_rule_packs"), inventory["rules"])
        addresses = [
            str(address)
            for manager in alertmanagers
            for static in manager.get("static_configs") or ()
            if not manager.get("relabel_configs")
            for address in static.get("targets") or ()
        ]
        configs = [*(role.get("prometheus_scrape_configs") or ()), *self._own_files(role)]
        return {
            "agent": agent,
            "discoveries": {
                str(config.get("job_name")): _discovery.mechanisms(config)
                for config in configs
                if isinstance(config, dict) and _discovery.mechanisms(config)
            },
            "expect": inventory["expected"],
            "pools": inventory["pools"],
            "ignore": given["ignore"],
            "rules": not agent and bool(role.get("prometheus_alert_rules") or role["__prometheus_rule_files"] or packs),
            "alertmanagers": [] if agent else addresses,
        }

    def _own_files(self, role):
        """The scrape configurations in the user's own files, as far as they can be read."""
        for found in role["__prometheus_scrape_config_files"]:
            with contextlib.suppress(AnsibleError, KeyError):
                content = self._loader.load_from_file(found["source"])
                configs = content.get("scrape_configs") if isinstance(content, dict) else content
                yield from configs if isinstance(configs, list) else ()

    def _ask_host(self, services, timeout, task_vars):
        """Have the module ask where the controller cannot."""
        secrets = [secret for service, dummy in services for secret in service["secrets"]]
        asked = [{**service, "health": {**service["health"], "url": url}} for service, url in services]
        for service in asked:
            del service["secrets"]
        arguments = {"services": asked, "timeout": timeout, "secrets": secrets}
        try:
            answer = self._execute_module(
                module_name="vigil.monitoring.service_health", module_args=arguments, task_vars=task_vars
            )
        except AnsibleError as error:
            answer = {"msg": str(error)}
        lines = answer.get("services")
        if lines is None:
            why = "not from the controller, and the host cannot be asked: {0}".format(
                answer.get("msg") or answer.get("module_stderr") or "no answer"
            )
            return [unreachable(service, why) for service, dummy in services]
        for line, (service, dummy) in zip(lines, services):
            line["url"] = service["health"]["url"]
        return lines
