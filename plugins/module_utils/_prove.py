# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a service until its answers are good or the time is over. The same on the controller and on the host."""

from __future__ import annotations

import contextlib
import email.utils
import json
import time
from urllib.parse import quote, urlsplit

from ansible_collections.vigil.monitoring.plugins.module_utils import (
    _client,
    _delivery,
    _discovery,
    _duration,
    _grafana,
    _proof,
    _targets,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._clean import clean
from ansible_collections.vigil.monitoring.plugins.module_utils._exposition import Page
from ansible_collections.vigil.monitoring.plugins.module_utils._health import complete, lost_dependency, reported
from ansible_collections.vigil.monitoring.plugins.module_utils._proof import OK, RED, UNPROVEN, WAIT, Finding

# Seconds after which an address counts as one that cannot be reached from here.
CONNECT = 3.0
# Seconds that a service may refuse connections; it has been proven up before, so this is more than a restart takes.
GRACE = 5.0
INTERVAL = 0.5


class CannotReach(Exception):
    """There is no way to this service from here; its host may have one."""


class _Stop(Exception):
    """A finding ends a round of checks."""

    def __init__(self, finding):
        super().__init__(finding.text)
        self.finding = finding


class Prover:
    """The proof of one service.

    :param service: dict: ``service``, its name; ``health``, the option of the module service; ``version``; for
        Prometheus ``agent``, ``expect`` (list of {job, instance}), ``pools``, ``ignore``, ``rules``, ``alertmanagers``;
        for Alertmanager ``members``; for Grafana ``login`` (``username``, ``password``) and ``provisioned``, as
        the filter grafana_expected gives it.
    """

    def __init__(self, service):
        self.service = service
        self.kind = service["service"]
        self.health = complete(service["health"], self.kind)
        self.access = self._access()
        self.caveat = None
        self.reached = False
        self.watch = _delivery.Watch()
        self.discoveries = _discovery.Watch()
        self.resend = self.past = None
        self.line = {
            "service": self.kind,
            "url": self.health["url"],
            "version": None,
            "targets": None,
            "state": WAIT,
            "reasons": [],
            "members": [],
            "config_hash": None,
            "wordless": False,
            "reached": False,
        }

    def _access(self):
        health = self.health
        return _client.Access(
            username=health["username"] or None,
            password=health["password"] or None,
            ca_path=health["ca_path"] or None,
            client_cert=health["client_cert"] or None,
            client_key=health["client_key"] or None,
            # As when it was deployed: a certificate is for the public name, and the request goes to an address.
            check_name=not health["ca_path"],
        )

    def _get(self, path):
        """Body of an answer; anything else ends the round."""
        return self._good(path).body

    def _good(self, path):
        """An answer as asked for; anything else ends the round."""
        reply = self._reply(path)
        if reply.status == 200:
            return reply
        raise _Stop(self._refused(reply, path))

    def _reply(self, path, body=None):
        """An answer of any status to a question, a POST where it has a body; none at all ends the round."""
        url = self.health["url"].rstrip("/") + path
        try:
            try:
                reply = self._ask(url, body)
            except _client.AskError as error:
                if error.kind != "tls" or self.health["ca_path"]:
                    raise
                # Ask without looking at the certificate, and without a password for whoever it is.
                self.access = self.access._replace(username=None, password=None, verify=False, check_name=False)
                self.caveat = "its certificate is not proven ({0}): set {1}_health_ca".format(error, self.kind)
                reply = self._ask(url, body)
        except _client.AskError as error:
            if error.kind == "unreachable" and not self.reached:
                raise CannotReach(str(error)) from error
            why = "it does not answer: {0}".format(error)
            if error.kind == "stranger":
                why += "; give one with {0}_health_client_cert and {0}_health_client_key".format(self.kind)
            raise _Stop(Finding(WAIT if error.transient else RED, why)) from error
        self.reached = self.line["reached"] = True
        return reply

    def _ask(self, url, body):
        if body is None:
            return _client.get(url, self.access, timeout=15.0, connect_timeout=CONNECT)
        return _client.send("POST", url, body, self.access, timeout=15.0, connect_timeout=CONNECT)

    def _refused(self, reply, path):
        name = "{0}_health_username and {0}_health_password".format(self.kind)
        if reply.status in (401, 403) and self.access.username is None:
            return Finding(UNPROVEN, "not proven: it wants to know who asks; set {0}".format(name))
        if reply.status in (401, 403):
            return Finding(RED, "it does not accept {0} (HTTP {1})".format(name, reply.status))
        words = clean(reply.body[:200])
        text = "{0} answers HTTP {1}: {2}".format(path, reply.status, words or "without a word")
        return Finding(WAIT if reply.status >= 500 or reply.status == 429 else RED, text)

    def look(self):
        """One round of all checks.

        :raises CannotReach: when no connection has ever come about.
        :returns: list of findings.
        """
        try:
            return self._look()
        except _Stop as stop:
            return [stop.finding]
        except ValueError as error:
            return [Finding(RED, "{0}; is something else served there?".format(error))]

    def _look(self):
        # The metrics of Prometheus and Alertmanager are below their prefix, which is the URL's path.
        reply = self._good(self.health["metrics_path"])
        metrics = reply.body.decode("utf-8", "replace")
        version, finding = _proof.check_version(self.health, metrics, self.service.get("version"))
        self.line["version"] = version or self.line["version"]
        findings = [finding]
        if version is None:
            return findings
        lost = lost_dependency(self.health, metrics)
        # Only its log says why; the one who asks may be able to look there.
        self.line["wordless"] = bool(lost)
        if lost:
            findings.append(Finding(WAIT, lost))
        said = _proof.standing(self.kind, Page(metrics), self.service.get("collectors") or ())
        findings += [Finding(OK, text) for text in said]
        if self.kind == "grafana":
            findings += self._look_at_content()
        if self.kind == "alertmanager":
            findings.append(self._look_at_cluster(metrics))
            findings += self._told(_delivery.check_messages(Page(metrics)))
        if self.kind == "prometheus":
            findings += self._look_at_prometheus(Page(metrics), metrics, _date(reply))
        return findings

    def _look_at_prometheus(self, page, metrics, now):
        """Targets, discoveries, rules, Alertmanagers, and whether what it sends arrives.

        :param now: its own time in seconds since the epoch, or None.
        """
        loaded = reported(self.health, metrics).reloaded_at
        if loaded is not None and now is not None and loaded > now + 1:
            # Its clock was set back: the time of the last reload says nothing.
            loaded = None
        age = None if loaded is None or now is None else max(0.0, now - loaded)
        yield self._look_at_targets(loaded)
        ignored = _targets.compile_ignore(self.service.get("ignore"))
        jobs = {job: by for job, by in (self.service.get("discoveries") or {}).items() if not ignored(job, "")}
        yield from self._told(_discovery.check(self.discoveries, page, jobs, age))
        fires = None
        if not self.service.get("agent"):
            rules = _proof.data_of(self._get("/api/v1/rules"))
            yield _proof.check_rules(rules, self.service.get("rules"))
            fires = _proof.firing_interval(rules)
            wanted = self.service.get("alertmanagers") or []
            if wanted or page.value("prometheus_notifications_alertmanagers_discovered"):
                known = _proof.data_of(self._get("/api/v1/alertmanagers"))
                yield _proof.check_alertmanagers(known, wanted)
                urls = sorted({str(found.get("url")) for found in known.get("activeAlertmanagers") or ()})
                yield from self._told(self._look_at_alerts(page, urls, age, fires))
        past = self._history(page, age)
        settled = age is None or age > _delivery.BATCH
        yield from self._told(_delivery.check_samples(self.watch, _delivery.samples(page), settled, past))

    def _look_at_alerts(self, page, urls, age, fires):
        """Findings about alerts on their way to the Alertmanagers with these URLs."""
        self.watch.dropped(page.value(_delivery.ALERTS_DROPPED) or 0.0, urls)
        settled, due = True, _delivery.RESEND
        if age is not None and age < _delivery.LONG_AGO:
            due = self._resend() + (fires or 0.0) + _delivery.MARGIN
            settled = age > due
        past = self._history(page, age)
        counts = _delivery.alerts(page, urls)
        yield from _delivery.check_alerts(self.watch, counts, settled, due, fires is not None, past)
        yield from _delivery.check_queue(page)

    def _resend(self):
        """Seconds after which it sends an alert again that goes on."""
        if self.resend is None:
            self.resend = _delivery.RESEND
            with contextlib.suppress(_Stop, ValueError, TypeError):
                flags = _proof.data_of(self._get("/api/v1/status/flags"))
                self.resend = _duration.seconds(flags["rules.alert.resend-delay"])
        return self.resend

    def _history(self, page, age):
        """A function that says of a destination whether the last minutes saw something sent and nothing fail."""
        started = page.value("process_start_time_seconds")
        if started is None or age is None or age < _delivery.HISTORY or self.service.get("agent"):
            return None

        def asked(destination):
            if self.past is None:
                self.past = {}
                query = _delivery.history_query(started, _delivery.HISTORY)
                with contextlib.suppress(_Stop, ValueError):
                    self.past = _delivery.grew(_proof.data_of(self._get("/api/v1/query?query=" + quote(query))))
            found = self.past.get(destination)
            return found is not None and found.tried > 0 and not found.failed

        return asked

    def _told(self, findings):
        """The same findings; where one is not good, the log of the service may say more."""
        for finding in findings:
            if finding.state in (WAIT, RED, UNPROVEN) and finding.text.endswith(_delivery.IN_LOG):
                self.line["wordless"] = True
            yield finding

    def _look_at_cluster(self, metrics):
        status = json.loads(self._get("/api/v2/status"))
        self.line["config_hash"] = _proof.config_hash(metrics)
        self.line["members"], finding = _proof.check_cluster(status, self.service.get("members") or 0)
        return finding

    def _look_at_content(self):
        """Grafana's database, its administrator, and everything that was provisioned."""
        problem = _grafana.health_problem(self._get("/api/health").decode("utf-8", "replace"))
        if problem:
            return [Finding(WAIT, problem)]
        metrics, login = self.access, self.service["login"]
        self.access = metrics._replace(username=login["username"], password=login["password"])
        try:
            let_in = self._reply("/api/user")
            if let_in.status != 200:
                return [Finding(RED, "its administrator {0} cannot log in".format(login["username"]))]
            provisioned = self.service["provisioned"]
            return [
                *self._look_at_default_login(login["username"]),
                *(self._look_at_source(source) for source in provisioned["datasources"]),
                *(self._look_at_dashboard(wanted) for wanted in provisioned["dashboards"]),
                *self._look_at_plugins(provisioned["plugins"]),
            ]
        finally:
            self.access = metrics

    def _look_at_default_login(self, username):
        """Whether admin/admin opens it. A name has one password: where the administrator bears it, theirs was proven."""
        if username == "admin" or self._reply("/api/users/lookup?loginOrEmail=admin").status == 404:
            return
        access, self.access = self.access, self.access._replace(username="admin", password="admin")
        try:
            if self._reply("/api/user").status == 200:
                yield Finding(RED, "whoever says admin/admin is let in")
        finally:
            self.access = access

    def _look_at_source(self, source):
        """Whether a data source is there, and answers a question that goes through Grafana."""
        name = "its data source {0} ({1})".format(source["name"], source["url"])
        reply = self._reply("/api/datasources/uid/" + source["uid"])
        if reply.status != 200:
            return Finding(WAIT, "{0} is not there".format(name))
        problem = _grafana.source_problem(source, json.loads(reply.body))
        if problem:
            return Finding(WAIT, "{0} {1}".format(name, problem))
        path, question = _grafana.source_question(source)
        reply = self._reply(path, question)
        if question is None and reply.status == 404:
            return Finding(UNPROVEN, "not proven: {0} cannot be asked in this version of Grafana".format(name))
        problem = _grafana.answer_problem(reply.status, reply.body.decode("utf-8", "replace"))
        if problem is None:
            return Finding(OK)
        # Grafana keeps to itself what the data source said, but for its log.
        self.line["wordless"] = True
        return Finding(WAIT, "{0} does not answer: {1}".format(name, problem))

    def _look_at_dashboard(self, wanted):
        """Whether a dashboard is there as it was provisioned."""
        name = "its dashboard {0} ({1})".format(wanted["title"], wanted["uid"])
        reply = self._reply("/api/dashboards/uid/" + wanted["uid"])
        if reply.status != 200:
            return Finding(WAIT, "{0} is not there".format(name))
        problem = _grafana.dashboard_problem(wanted, json.loads(reply.body))
        return Finding(WAIT, "{0} {1}".format(name, problem)) if problem else Finding(OK)

    def _look_at_plugins(self, plugins):
        if plugins:
            for problem in _grafana.plugin_problems(plugins, json.loads(self._get("/api/plugins?embedded=0"))):
                yield Finding(RED, problem)

    def _look_at_targets(self, loaded):
        ignored = _targets.compile_ignore(self.service.get("ignore"))
        expect = [(entry["job"], entry["instance"]) for entry in self.service.get("expect") or ()]
        targets = _targets.parse(self._get("/api/v1/targets?state=active"))
        verdict = _targets.judge(targets, expect, ignored, pools=self.service.get("pools") or (), since=loaded)
        self.line["targets"] = [verdict.up, verdict.expected]
        return _proof.check_targets(verdict, targets)

    def conclude(self, findings, elapsed):
        """Turn the last findings into the result: what never came is red, but for what was not due yet."""
        states = []
        for state, text, due, otherwise in findings:
            if state == OK:
                self.line["reasons"] += [text] if text else []
                continue
            if state == WAIT:
                state = UNPROVEN if due > elapsed else otherwise
                if state == UNPROVEN:
                    text = "not proven within {0:.0f} s: {1}".format(elapsed, text)
            states.append(state)
            self.line["reasons"].append(text)
        if self.caveat:
            states.append(UNPROVEN)
            self.line["reasons"].append("not proven: " + self.caveat)
        self.line["state"] = _proof.worst(states)
        return self.line


def _date(reply):
    """The time of the server that answered, in seconds since the epoch; None where it does not say it."""
    try:
        return email.utils.parsedate_to_datetime(reply.headers.get("Date")).timestamp()
    except (AttributeError, TypeError, ValueError, IndexError):
        return None


def prove(service, timeout, patient=True, clock=time.monotonic, sleep=time.sleep):
    """Ask one service until all is good, something is hopeless, or the time is over.

    :param service: dict, one of the module's ``services``.
    :param timeout: seconds; 0 asks once.
    :param patient: wait a while for connections too; without, the first that is refused raises.
    :raises CannotReach: when no connection came about.
    :returns: dict for the summary.
    """
    prover = Prover(service)
    start = clock()
    while True:
        try:
            findings = prover.look()
        except CannotReach:
            if not patient or clock() - start >= min(timeout, GRACE):
                raise
            sleep(INTERVAL)
            continue
        elapsed = clock() - start
        waiting = [finding for finding in findings if finding.state == WAIT]
        if not waiting or any(finding.state == RED for finding in findings):
            return prover.conclude(findings, elapsed)
        # What Prometheus looks at only once a minute is waited for a little longer, but not for hours.
        dues = [finding.due for finding in waiting]
        due = max(dues) if all(dues) else 0.0
        if elapsed >= (max(timeout, due) if due <= 2 * timeout else timeout):
            return prover.conclude(findings, elapsed)
        sleep(INTERVAL)


def unreachable(service, why):
    """The result for a service that does not answer at all."""
    url = service["health"]["url"]
    return {
        "service": service["service"],
        "url": url,
        "version": None,
        "targets": None,
        "state": RED,
        "reasons": ["it does not answer on {0}: {1}".format(urlsplit(url).netloc, why)],
        "members": [],
        "config_hash": None,
        "wordless": False,
        "reached": False,
    }
