# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of checklist: determines which Prometheus to query, and queries it, from here if possible."""

from __future__ import annotations

import os

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.module_utils._checklist import Unanswered
from ansible_collections.vigil.monitoring.plugins.modules import checklist
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms, _rules, _scrape
from ansible_collections.vigil.monitoring.plugins.plugin_utils._other_action import reason_of
from ansible_collections.vigil.monitoring.plugins.plugin_utils._role_values import LOCAL, RoleValues
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import request_options

GROUP = "prometheus"


class ActionModule(ActionBase):
    """Action plugin of the checklist module."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Query by the module if a URL is given, otherwise by the role's variables."""
        result = super().run(tmp, task_vars)
        arguments = plain(self._task.args)
        arguments["version_metrics"] = {**_rooms.version_metrics(), **(arguments.get("version_metrics") or {})}
        if arguments.get("prometheus_url"):
            result.update(self._run_on_host(arguments, task_vars))
            return result
        # Only judged here: the module gets what was given, and has the same defaults.
        dummy, given = self.validate_argument_spec(argument_spec=checklist.ARGUMENTS)
        try:
            settings = checklist.settings_of({**plain(given), "version_metrics": arguments["version_metrics"]})
        except ValueError as error:
            raise AnsibleError(str(error)) from error
        result["changed"] = False
        host = task_vars["inventory_hostname"]
        if GROUP not in task_vars["group_names"]:
            raise AnsibleError(
                "prometheus_url is not set, and {0} is not in the group {1} of the inventory".format(host, GROUP)
            )
        try:
            role = RoleValues("prometheus", self._loader, self._templar, task_vars)
            if role.get("prometheus_state") == "absent":
                result.update(skipped=True, skip_reason="it has no Prometheus: prometheus_state is absent")
                return result
            if role.get("prometheus_agent_mode"):
                result.update(_unanswered(host, "it is an agent, which keeps no history"), agent=True)
                return result
            asked = self._from_role(host, role, task_vars)
        except (AnsibleError, _scrape.ScrapeError, _rules.RulesError) as error:
            result.update(_unanswered(host, "the URL or credentials cannot be determined: {0}".format(error)))
            return result
        for name in ("expect", "pools"):
            settings[name] = asked[name] if settings[name] in (None, []) else settings[name]
        public, result["marks"] = asked["url"], asked["marks"]
        if asked["here"]:
            here = {**plain(given), **asked["options"], "prometheus_url": public}
            try:
                result.update(checklist.answers(here, settings))
                return result
            except Unanswered as error:
                if not error.unreachable:
                    result.update(_unanswered(public, str(error)))
                    return result
        there = {**arguments, **asked["options_there"], "prometheus_url": asked["there"]}
        answer = self._run_on_host({**there, "expect": settings["expect"], "pools": settings["pools"]}, task_vars)
        if "answered" not in answer:
            why = reason_of(answer, "no result")
            answer = _unanswered(
                public, "it cannot be reached from the controller, and the module failed on the host: {0}".format(why)
            )
        result.update({**answer, "url": public, "changed": False})
        return result

    def _from_role(self, host, role, task_vars):
        """The URL of Prometheus, from here and on its host, its credentials, and its expected targets."""

        def own(dummy, name):
            return role.get(name)

        at = _scrape.endpoint("prometheus", host, own)
        address = at.host if at.host and _scrape.is_loopback(at.host) else _scrape.address_of(host, own)
        url = "{0}://{1}{2}"
        here, there = role.room.access_here(role.inputs), role.room.access(role.inputs)
        certificates = [here.get(name) for name in ("ca_path", "client_cert", "client_key")]
        inventory = role.room.inventory(role.inputs)
        local = self._connection.transport in LOCAL or task_vars.get("ansible_connection") in LOCAL
        return {
            "url": url.format(at.scheme, _scrape.join(address, at.port), at.prefix),
            "there": url.format(at.scheme, _scrape.join(at.host or "127.0.0.1", at.port), at.prefix),
            # A loopback address is the controller's own, and a certificate that is on the host is not here.
            "here": (local or not _scrape.is_loopback(address))
            and all(map(os.path.isfile, filter(None, certificates))),
            "options": _options(here),
            "options_there": _options(there),
            "expect": inventory["expected"],
            "pools": inventory["pools"],
            "marks": _rules.marks(
                _rules.load_packs(), role.get("prometheus_thresholds"), inventory["rules"]["overrides"]
            ),
        }

    def _run_on_host(self, arguments, task_vars):
        try:
            return self._execute_module(
                module_name="vigil.monitoring.checklist", module_args=arguments, task_vars=task_vars
            )
        except AnsibleError as error:
            return {"failed": True, "msg": str(error)}


def _options(access):
    """The options of the module for a server with this access."""
    found = request_options(access)
    # As when it is verified: the certificate is for the public name, and the question goes to an address.
    return {**found, "check_name": "ca_path" not in found}


def _unanswered(url, text):
    return {"answered": False, "url": url, "problems": [{"section": "prometheus", "text": text}]}
