# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of service_health: finds out what to check, and checks it from the controller where that is possible."""

from __future__ import annotations

import os

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import DEFAULT_HOST
from ansible_collections.vigil.monitoring.plugins.module_utils._findings import RED, UNVERIFIED, worst
from ansible_collections.vigil.monitoring.plugins.module_utils._health_check import check_health, unreachable
from ansible_collections.vigil.monitoring.plugins.module_utils._requests import CannotReach
from ansible_collections.vigil.monitoring.plugins.module_utils._scrub import Scrubber
from ansible_collections.vigil.monitoring.plugins.module_utils._summary import only_from_host
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _orphans, _rooms, _rules, _run, _scope, _scrape
from ansible_collections.vigil.monitoring.plugins.plugin_utils._compare_containers import Containers
from ansible_collections.vigil.monitoring.plugins.plugin_utils._comparison import StepComparison
from ansible_collections.vigil.monitoring.plugins.plugin_utils._host_commands import answer
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import HostValues
from ansible_collections.vigil.monitoring.plugins.plugin_utils._other_action import reason_of
from ansible_collections.vigil.monitoring.plugins.plugin_utils._remains import Remains
from ansible_collections.vigil.monitoring.plugins.plugin_utils._role_values import LOCAL, RoleValues
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import Surroundings

PLAY_ONLY = (
    "(The request went to the address that the inventory specifies. What a play alone gives to the role, such as"
    " {0}_web_listen_address below vars, is known to no other run and to no other host: such values belong in the inventory.)"
)
# The files that a request to a service may need.
CERTIFICATES = ("ca_path", "client_cert", "client_key")


class ActionModule(ActionBase):
    """Action plugin of the service_health module."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):  # noqa: C901
        """Check every service of this host."""
        result = super().run(tmp, task_vars)
        given = self._arguments()
        host = task_vars["inventory_hostname"]
        timeout = 0.0 if self._task.check_mode else float(given["timeout"])
        lines, for_the_host, wordless, containers, secrets, advice = [], [], [], {}, [], {}
        unreached, self._deployed = {}, _run.deployed_on(host)
        asked, left_out, silent = self._kinds(host, given, task_vars)
        for kind in asked:
            try:
                role = RoleValues(kind, self._loader, self._templar, task_vars)
                if role.get(kind + "_state") == "absent":
                    continue
                service = self._service(kind, host, role, given, task_vars)
                advice[kind] = _rooms.load(kind).advice(role, service["checks"])
            except (AnsibleError, _scrape.ScrapeError, _rules.RulesError) as error:
                lines.append({**unreachable({"service": kind, "health": {"url": "http://" + host}}, ""), "url": None,
                              "reasons": ["what to expect cannot be determined: {0}".format(error)]})  # fmt: skip
                continue
            secrets += [*service["secrets"], service["health"].get("password") or ""]
            secrets += (service["health"].get("client_pem") or "").splitlines()[1:-1]
            ways, image = service.pop("ways"), service.pop("image")
            if image:
                containers[_rooms.load(kind).unit_name] = image
            if ways["here"]:
                try:
                    line = check_health(service, timeout, patient=False)
                    if not line["wordless"] or line["state"] == "ok" or self._task.check_mode:
                        lines.append(line)
                    else:
                        wordless.append((line, service, ways["there"]))
                    continue
                except CannotReach as error:
                    unreached[kind] = str(error)
            for_the_host.append((service, ways["there"]))
        if for_the_host:
            lines += self._run_on_host(for_the_host, timeout, task_vars)
        lines = [
            only_from_host(line, unreached[line["service"]], given["from"], _rooms.load(line["service"]).for_people)
            if line["service"] in unreached
            else line
            for line in lines
        ]
        for line, service, there in wordless:
            # Why it is so stands in its log, which only its host can read.
            (words,) = self._run_on_host([({**service, "log_only": True}, there)], 0.0, task_vars)
            lines.append({**line, "reasons": [*line["reasons"], *words["reasons"]]})
        if containers:
            self._inspect_containers(containers, lines, task_vars)
        begun = _run.noted()
        if not self._task.check_mode:
            groups = task_vars["group_names"]
            alone = [kind for kind in asked if host not in begun.get(kind, ()) and given["groups"].get(kind) in groups]
            self._compare(alone, lines, task_vars)
        for line in lines:
            if line["state"] == RED and not line["reached"] and host not in begun.get(line["service"], ()):
                line["reasons"] = [*line["reasons"], PLAY_ONLY.format(line["service"])]
        for line in lines:
            line["reasons"] = [*line["reasons"], *filter(None, [advice.get(line["service"])])]
        if self._task.check_mode:
            for line in lines:
                if line["state"] != "ok":
                    # It may be what this very run would put there.
                    line.update(state="unchecked", reasons=[])
        if any(line["state"] != "ok" for line in lines):
            lines = Scrubber(secrets, " ".join((host, *_rooms.names()))).data(lines)
        lines += self._orphans(host, given, begun, task_vars)
        result.update(changed=False, services=lines, left_out=left_out, silent=silent)
        return result

    def _orphans(self, host, given, begun, task_vars):
        """A line for each service that was deployed on the host and that nothing asks for any more."""
        if given["orphans"] == _orphans.IGNORE or not self._deployed:
            return []
        groups = task_vars["group_names"]
        wanted = {kind for kind, hosts in begun.items() if host in hosts}
        absent = set()
        found = _orphans.deployed(self._deployed)
        # site.yml deals with these after the verification.
        wanted.update(kind for kind in _rooms.FURTHER if kind in groups)
        for kind in found:
            if given["groups"].get(kind) in groups and kind not in wanted:
                role = RoleValues(kind, self._loader, self._templar, task_vars)
                (absent if role.get(kind + "_state") == "absent" else wanted).add(kind)
        for kind in _rooms.in_order(wanted):
            room = _rooms.load(kind)
            if room.proxy and room.is_closed(RoleValues(kind, self._loader, self._templar, task_vars).inputs):
                wanted.add(room.proxy)
        member = any(group in groups for group in given["groups"].values())
        named = {**given["groups"], **{kind: kind for kind in given["further"]}}
        left = [kind for kind in _orphans.orphans(found, wanted, member) if kind in named]
        chosen, dummy = _scope.asked(
            left, (), task_vars.get("ansible_run_tags") or ["all"], task_vars.get("ansible_skip_tags") or []
        )
        return [_orphans.line(kind, host, given["orphans"], named[kind], kind in absent) for kind in chosen]

    def _compare(self, kinds, lines, task_vars):
        """Add in what the host differs from the inventory, where this run has not just seen to it itself.

        :param kinds: the services that no role of this run has dealt with.
        """
        for line in lines:
            kind = line["service"]
            if kind not in kinds or line["url"] is None:
                continue
            role = RoleValues(kind, self._loader, self._templar, task_vars)
            comparison = StepComparison(self, role.room, role.inputs)
            found = comparison.findings(task_vars)
            if role.room.proxy and role.room.is_closed(role.inputs):
                proxy = RoleValues(role.room.proxy, self._loader, self._templar, task_vars)
                of_proxy = StepComparison(self, proxy.room, proxy.inputs).findings(task_vars)
                found += [(state, "its {0}: {1}".format(proxy.room.title, text)) for state, text in of_proxy]
            for state, text in found:
                line["state"] = worst([line["state"], state])
                line["reasons"] = [*line["reasons"], text]
            self._deployed = comparison.deployed or self._deployed

    def _kinds(self, host, given, task_vars):
        """The services to check on this host; those that tags leave out; and why it is unknown which it has."""
        groups, begun = task_vars["group_names"], {kind for kind, hosts in _run.noted().items() if host in hosts}
        named = _rooms.in_order(given["groups"])
        kinds = [kind for kind in named if given["groups"][kind] in groups or kind in begun]
        # A proxy is verified with the service behind it, which is reached through it alone.
        proxies = {_rooms.load(kind).proxy for kind in kinds}
        kinds = [kind for kind in kinds if kind not in proxies]
        run_tags = task_vars.get("ansible_run_tags") or ["all"]
        asked, left_out = _scope.asked(kinds, begun, run_tags, task_vars.get("ansible_skip_tags") or [])
        if kinds or "all" not in run_tags or host not in (task_vars["groups"].get("all") or ()):
            return asked, left_out, None
        try:
            return self._remembered(named, task_vars), left_out, None
        except AnsibleConnectionFailure as error:
            return [], left_out, "it cannot be determined which services it has: {0}".format(error)

    def _remembered(self, named, task_vars):
        """Those of some services that a host has by what this collection left there, whatever the inventory says."""
        roles = {kind: RoleValues(kind, self._loader, self._templar, task_vars) for kind in named}
        folders = {kind: role.get(kind + "_config_dir") for kind, role in roles.items()}
        comparison = Remains({kind: folder for kind, folder in folders.items() if folder})
        output = answer(self, comparison.command()) or ""
        self._deployed = comparison.deployed(output)
        left = _orphans.orphans(_orphans.deployed(self._deployed), (), False)
        return [kind for kind in comparison.kinds(output) if kind not in left]

    def _arguments(self):
        dummy, given = self.validate_argument_spec(
            argument_spec={
                "groups": {"type": "dict"},
                "timeout": {"type": "float", "default": 60},
                "from": {"type": "str", "default": "auto", "choices": ["auto", "controller", "host"]},
                "orphans": {"type": "str", "default": "warn", "choices": [*_orphans.STATES, _orphans.IGNORE]},
                "ignore": {
                    "type": "list",
                    "elements": "dict",
                    "default": [],
                    "options": {"job": {"type": "str"}, "instance": {"type": "str"}},
                },
            }
        )
        given["further"] = _rooms.FURTHER if given["groups"] is None else ()
        given["groups"] = _rooms.groups_of(given["groups"])
        return given

    def _service(self, kind, host, role, given, task_vars):
        """What to check of a service, and from where."""
        groups, room = task_vars["groups"], _rooms.load(kind)

        def own(dummy, name):
            return role.get(name)

        at = _scrape.endpoint(kind, host, own)
        address = at.host if at.host and _scrape.is_loopback(at.host) else _scrape.address_of(host, own)
        # An exporter that has a variable for the whole path of its metrics has no prefix besides.
        path = role.get(kind + "_web_telemetry_path")
        prefix = "" if path else at.prefix
        url = "{0}://{1}{2}"
        asks = room, role.inputs
        if at.closed_by and room.proxy:
            proxy = RoleValues(room.proxy, self._loader, self._templar, task_vars)
            asks = proxy.room, proxy.inputs
        contained = role.get(kind + "_runtime") == "docker"
        asked = contained or role.get(kind + "_install_method", "archive") == "archive"
        health = {
            **room.health_check_of(role.inputs),
            "url": url.format(at.scheme, _scrape.join(address, at.port), prefix),
            "metrics_path": at.metrics_path if path else "/metrics",
            **asks[0].access_here(asks[1]),
        }
        service = {
            "service": kind,
            "health": health,
            "version": str(role.get(kind + "_version") or "") if asked else "",
            "secrets": room.secrets(role.inputs) if room.shows_secrets else [],
            "image": role.get(kind + "_image") if contained else None,
            **room.log_source(role.inputs),
        }
        inside = "127.0.0.1" if not at.host else at.host
        local = self._connection.transport in LOCAL or task_vars.get("ansible_connection") in LOCAL
        service["ways"] = {
            # A loopback address is the controller's own, and a certificate that is on the host is not here.
            "here": (local or not _scrape.is_loopback(address))
            and all(os.path.isfile(health[name]) for name in CERTIFICATES if health.get(name)),
            "there": {**asks[0].access(asks[1]), "url": url.format(at.scheme, _scrape.join(inside, at.port), prefix)},
        }
        surroundings = Surroundings(
            host,
            groups.get(given["groups"][kind]) or [],
            HostValues(task_vars["hostvars"], self._templar, {"groups": groups}),
            given["ignore"],
            self._loader.load_from_file,
        )
        service["checks"], service["login"] = room.checks(role, surroundings), room.login(role)
        return service

    def _inspect_containers(self, containers, lines, task_vars):
        """Add what the engine says about the containers, which can only be read on its host.

        :param containers: name of the container -> name of the specified image.
        """
        host = self._templar.template(task_vars.get("monitoring_docker_host") or DEFAULT_HOST)
        comparison = Containers(containers, host)
        try:
            output = answer(self, comparison.command())
        except AnsibleConnectionFailure as error:
            output, why = None, "the container on its host cannot be inspected: {0}".format(error)
        else:
            why = "its container could not be inspected: the host has no working `docker` command"
        found = comparison.problems(output) if output else None
        for line in lines:
            name = _rooms.load(line["service"]).unit_name
            if name not in containers:
                continue
            for certain, reason in [(False, why)] if found is None else found[name]:
                line["state"] = worst([line["state"], RED if certain else UNVERIFIED])
                line["reasons"] = [*line["reasons"], reason]

    def _run_on_host(self, services, timeout, task_vars):
        """Have the module check on the host what the controller cannot reach."""
        secrets = [secret for service, dummy in services for secret in service["secrets"]]
        asked = [{**service, "health": {**service["health"], **there}} for service, there in services]
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
            why = "not from the controller, and the check on the host failed: {0}".format(
                reason_of(answer, "no answer")
            )
            return [unreachable(service, why) for service, dummy in services]
        for line, (service, dummy) in zip(lines, services):
            line["url"] = service["health"]["url"]
        return lines
