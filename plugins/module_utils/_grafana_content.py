# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Grafana is verified for: its database, its administrator, and everything that was provisioned."""

from __future__ import annotations

import json
from urllib.parse import urljoin, urlsplit

from ansible_collections.vigil.monitoring.plugins.module_utils import _client, _grafana
from ansible_collections.vigil.monitoring.plugins.module_utils._findings import (
    IN_LOG,
    OK,
    RED,
    UNVERIFIED,
    WAIT,
    Finding,
)

# How providers of OAuth refuse a client that they do not know, or a URL that is not registered for it. Others may mean whoever
# asks, and no person asks here.
REFUSALS = (400, 404)


class GrafanaContent:
    """The check of this name.

    :param check: the :class:`_health_check.HealthCheck` that it belongs to; its service has a ``login``.
    :param given: dict: what was provisioned, as :func:`_grafana.grafana_expected` gives it, and ``logins``, where else people can log in,
        as :func:`_grafana_ini.logins` does.
    """

    def __init__(self, check, given):
        self.check, self.given = check, given

    def inspect(self, *dummy):
        """Grafana's database, its administrator, and everything that was provisioned."""
        problem = _grafana.health_problem(self.check.get("/api/health").decode("utf-8", "replace"))
        if problem:
            return [Finding(WAIT, problem)]
        metrics, login = self.check.access, self.check.service["login"]
        self.check.access = metrics._replace(username=login["username"], password=login["password"])
        try:
            let_in = self.check.reply("/api/user")
            if let_in.status != 200:
                return [Finding(RED, "its administrator {0} cannot log in".format(login["username"]))]
            provisioned = self.given
            self._ask_about(_grafana.MAIN)
            return [
                *self._check_default_login(login["username"]),
                *(self._check_source(source) for source in provisioned["datasources"]),
                *(self._check_dashboard(wanted) for wanted in provisioned["dashboards"]),
                *self._check_plugins(provisioned["plugins"]),
                *self._check_saved(provisioned["logins"]),
                *(self._check_provider(path) for path in provisioned["logins"]["oauth"]),
                *(self._check_ldap() if provisioned["logins"]["ldap"] else ()),
            ]
        finally:
            self.check.access = metrics

    def _check_default_login(self, username):
        """Whether admin/admin opens it. A name has one password: where the administrator bears it, theirs was verified."""
        if username == "admin" or self.check.reply("/api/users/lookup?loginOrEmail=admin").status == 404:
            return
        access = self.check.access
        self.check.access = access._replace(username="admin", password="admin", headers=())
        try:
            if self.check.reply("/api/user").status == 200:
                yield Finding(RED, "anybody can log in with admin/admin")
        finally:
            self.check.access = access

    def _check_source(self, source):
        """Whether a data source is there, and answers a question that goes through Grafana."""
        self._ask_about(source["org"])
        try:
            return self._source(source)
        finally:
            self._ask_about(_grafana.MAIN)

    def _ask_about(self, organisation):
        """Have the next requests be about an organisation."""
        self.check.access = self.check.access._replace(headers=_grafana.of_organisation(organisation))

    def _source(self, source):
        name = "its data source {0} ({1})".format(source["name"], source["url"])
        reply = self.check.reply("/api/datasources/uid/" + source["uid"])
        if reply.status != 200:
            return Finding(WAIT, "{0} is not there".format(name))
        problem = _grafana.source_problem(source, json.loads(reply.body))
        if problem:
            return Finding(WAIT, "{0} {1}".format(name, problem))
        path, question = _grafana.source_question(source)
        reply = self.check.reply(path, question)
        if question is None and reply.status == 404:
            return Finding(UNVERIFIED, "not verified: {0} cannot be queried in this version of Grafana".format(name))
        problem = _grafana.answer_problem(reply.status, reply.body.decode("utf-8", "replace"))
        if problem is None:
            return Finding(OK)
        # Grafana keeps to itself what the data source said, but for its log.
        self.check.line["wordless"] = True
        return Finding(WAIT, "{0} does not answer: {1}".format(name, problem))

    def _check_dashboard(self, wanted):
        """Whether a dashboard is there as it was provisioned."""
        name = "its dashboard {0} ({1})".format(wanted["title"], wanted["uid"])
        reply = self.check.reply("/api/dashboards/uid/" + wanted["uid"])
        if reply.status != 200:
            return Finding(WAIT, "{0} is not there".format(name))
        problem = _grafana.dashboard_problem(wanted, json.loads(reply.body))
        return Finding(WAIT, "{0} {1}".format(name, problem)) if problem else Finding(OK)

    def _check_plugins(self, plugins):
        if plugins:
            for problem in _grafana.plugin_problems(plugins, json.loads(self.check.get("/api/plugins?embedded=0"))):
                yield Finding(RED, problem)

    def _check_saved(self, logins):
        """Whether a login is as the inventory has it: what people save in a later Grafana wins over its files for good."""
        names = [path.rpartition("/")[2] for path in logins["oauth"]] + ["ldap"] * bool(logins["ldap"])
        for name in names:
            reply = self.check.reply("/api/v1/sso-settings/" + name)
            if _grafana.is_saved(reply.status, reply.body.decode("utf-8", "replace")):
                text = (
                    "the settings of its login {0} were saved in Grafana, which win over those of the inventory: reset them there, in"
                    " Administration, Authentication, or leave the login out of grafana_auth"
                )
                yield Finding(RED, text.format(name))

    def _check_provider(self, path):
        """Whether a login at a provider of OAuth can begin: as a browser asks, from wherever this runs."""
        reply = self.check.reply(path)
        location = reply.headers.get("Location")
        begins = _grafana.login_begins(reply.status, location)
        if begins is None:
            return Finding(RED, "{0} leads to no provider (HTTP {1}); {2}".format(path, reply.status, IN_LOG))
        url, client, back = begins
        try:
            status = self._opened(location)
        except _client.AskError as error:
            return Finding(UNVERIFIED, "not verified: a login by {0} begins at {1}: {2}".format(path, url, error))
        if status in REFUSALS:
            text = "nobody can log in by {0}: {1} answers HTTP {2}; its provider has to know the client {3!r} with the redirect URL {4}"
            return Finding(RED, text.format(path, url, status, client, back))
        if status >= 500:
            return Finding(WAIT, "nobody can log in by {0}: {1} answers HTTP {2}".format(path, url, status))
        return Finding(OK)

    @staticmethod
    def _opened(url):
        """The status of a page of a provider: as far as it leads on itself, and without cookies, which a browser would bring back."""
        for dummy in range(5):
            reply = _client.get(url, _client.Access(use_proxy=True), timeout=10.0, connect_timeout=5.0)
            further = urljoin(url, reply.headers.get("Location") or "")
            leads_on = 300 <= reply.status < 400 and urlsplit(further)[:2] == urlsplit(url)[:2]
            if not leads_on or reply.headers.get("Set-Cookie"):
                break
            url = further
        return reply.status

    def _check_ldap(self):
        """Whether Grafana can reach its servers of LDAP."""
        reply = self.check.reply("/api/admin/ldap/status")
        text = reply.body.decode("utf-8", "replace")
        if reply.status == 200:
            for problem in _grafana.ldap_problems(text):
                yield Finding(WAIT, problem)
        else:
            yield Finding(WAIT, "its login by LDAP does not work: {0}".format(_grafana.message_of(text)))
