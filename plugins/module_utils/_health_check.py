# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a service until its answers are good or the time is over. The same on the controller and on the host."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from ansible_collections.vigil.monitoring.plugins.module_utils import _certificate_end, _client
from ansible_collections.vigil.monitoring.plugins.module_utils._alertmanager_cluster import (
    AlertmanagerCluster,
    AlertmanagerSettled,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._exposition import Page
from ansible_collections.vigil.monitoring.plugins.module_utils._findings import (
    IN_LOG,
    OK,
    RED,
    UNVERIFIED,
    WAIT,
    Finding,
    check_version,
    worst,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._grafana_content import GrafanaContent
from ansible_collections.vigil.monitoring.plugins.module_utils._health import complete, lost_dependency, reported
from ansible_collections.vigil.monitoring.plugins.module_utils._metric_checks import FailingParts, NonzeroMetric
from ansible_collections.vigil.monitoring.plugins.module_utils._prometheus_server import (
    PrometheusCatchUp,
    PrometheusServer,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._promxy_answer import PromxyAnswer
from ansible_collections.vigil.monitoring.plugins.module_utils._requests import CannotReach, Stop
from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize

# What a service is verified for beside its version, its last reload and what it depends on, by name; its room chooses.
CHECKS = {
    "alertmanager_cluster": AlertmanagerCluster,
    "alertmanager_settled": AlertmanagerSettled,
    "failing_parts": FailingParts,
    "grafana_content": GrafanaContent,
    "nonzero_metric": NonzeroMetric,
    "prometheus_catch_up": PrometheusCatchUp,
    "prometheus_server": PrometheusServer,
    "promxy_answer": PromxyAnswer,
}
# Seconds after which an address counts as one that cannot be reached from here.
CONNECT = 3.0
# Seconds that a service may refuse connections; it has been verified before, so this is more than a restart takes.
GRACE = 5.0
INTERVAL = 0.5
# At most this long; a service that takes seconds for its answers is given as much time for its own work.
LONGEST_INTERVAL = 5.0


class HealthCheck:
    """The health check of one service.

    :param service: dict: ``service``, its name; ``health``, the option of the module service; ``version``; ``checks``, a list
        of dicts with ``name``, a key of ``CHECKS``, and ``given``, its data; ``login``, for a check that logs in.
    """

    def __init__(self, service):
        self.service = service
        self.name = service["service"]
        self.health = complete(service["health"], self.name)
        self.access = self._access()
        self.caveat = None
        self.reached = False
        self.checks = [CHECKS[check["name"]](self, check["given"]) for check in service.get("checks") or ()]
        self.line = {
            "service": self.name,
            "url": self.health["url"],
            "version": None,
            "targets": None,
            "state": WAIT,
            "reasons": [],
            "members": [],
            "config_hash": None,
            "silences": None,
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
            client_pem=health["client_pem"] or None,
            # As when it was deployed: a certificate is for the public name, and the request goes to an address.
            check_name=not health["ca_path"],
        )

    def get(self, path):
        """Body of an answer; anything else ends the round."""
        return self._good(path).body

    def _good(self, path):
        """A response as expected; anything else ends the round."""
        reply = self.reply(path)
        if reply.status == 200:
            return reply
        raise Stop(self._refused(reply, path))

    def reply(self, path, body=None):
        """An answer of any status to a question, a POST where it has a body; none at all ends the round."""
        url = self.health["url"].rstrip("/") + path
        try:
            try:
                reply = self._request(url, body)
            except _client.AskError as error:
                if error.kind != "tls" or self.health["ca_path"]:
                    raise
                # Ask without looking at the certificate, and without a password for whoever it is.
                self.access = self.access._replace(username=None, password=None, verify=False, check_name=False)
                self.caveat = "its certificate is not verified ({0}): set {1}_health_ca".format(error, self.name)
                reply = self._request(url, body)
        except _client.AskError as error:
            if error.kind == "unreachable" and not self.reached:
                raise CannotReach(str(error)) from error
            why = "no response: {0}".format(error)
            if error.kind == "stranger":
                why += "; set {0}_health_client_cert and {0}_health_client_key".format(self.name)
            raise Stop(Finding(WAIT if error.transient else RED, why)) from error
        self.reached = self.line["reached"] = True
        return reply

    def _request(self, url, body):
        if body is None:
            return _client.get(url, self.access, timeout=15.0, connect_timeout=CONNECT)
        return _client.send("POST", url, body, self.access, timeout=15.0, connect_timeout=CONNECT)

    def _refused(self, reply, path):
        name = "{0}_health_username and {0}_health_password".format(self.name)
        if reply.status in (401, 403) and self.access.username is None:
            return Finding(
                UNVERIFIED, "not verified: authentication required (HTTP {1}); set {0}".format(name, reply.status)
            )
        if reply.status in (401, 403):
            return Finding(RED, "authentication failed with {0} (HTTP {1})".format(name, reply.status))
        words = sanitize(reply.body[:200])
        text = "{0} returns HTTP {1}: {2}".format(path, reply.status, words or "an empty body")
        return Finding(WAIT if reply.status >= 500 or reply.status == 429 else RED, text)

    def inspect(self):
        """One round of all checks.

        :raises CannotReach: when no connection has ever come about.
        :returns: list of findings.
        """
        try:
            return self._inspect()
        except Stop as stop:
            return [stop.finding]
        except ValueError as error:
            return [Finding(RED, "{0}; is something else served there?".format(error))]

    def _inspect(self):
        # The metrics of Prometheus and Alertmanager are below their prefix, which is the URL's path.
        reply = self._good(self.health["metrics_path"])
        metrics = reply.body.decode("utf-8", "replace")
        version, finding = check_version(self.health, metrics, self.service.get("version"))
        self.line["version"] = version or self.line["version"]
        findings = [finding]
        if version is None:
            return findings
        lost = lost_dependency(self.health, metrics)
        # Only its log says why; whoever checks may be able to read it.
        self.line["wordless"] = bool(lost)
        if lost:
            findings.append(Finding(WAIT, lost))
        if reply.certificate:
            ends = _certificate_end.validity(reply.certificate)
            found = _certificate_end.finding(ends, time.time(), self.health["tls_variable"])
            findings += [found] if found else []
        for check in self.checks:
            for finding in check.inspect(Page(metrics), reply):
                # Where one is not good, the log of the service may say more.
                if finding.state in (WAIT, RED, UNVERIFIED) and finding.text.endswith(IN_LOG):
                    self.line["wordless"] = True
                findings.append(finding)
        return findings

    def reported(self, metrics):
        """What the service reports about itself, see :func:`_health.reported`."""
        return reported(self.health, metrics)

    def conclude(self, findings, elapsed):
        """Turn the last findings into the result: what never came is red, but for what was not due yet."""
        states = []
        for state, text, due, otherwise in findings:
            if state == OK:
                self.line["reasons"] += [text] if text else []
                continue
            if state == WAIT:
                state = UNVERIFIED if due > elapsed else otherwise
                if state == UNVERIFIED:
                    text = "not verified within {0:.0f} s: {1}".format(elapsed, text)
            states.append(state)
            self.line["reasons"].append(text)
        if self.caveat:
            states.append(UNVERIFIED)
            self.line["reasons"].append("not verified: " + self.caveat)
        self.line["state"] = worst(states)
        return self.line


def check_health(service, timeout, patient=True, clock=time.monotonic, sleep=time.sleep):
    """Ask one service until all is good, something is hopeless, or the time is over.

    :param service: dict, one of the module's ``services``.
    :param timeout: seconds; 0 for one check.
    :param patient: wait a while for connections too; without, the first that is refused raises.
    :raises CannotReach: when no connection came about.
    :returns: dict for the summary.
    """
    check = HealthCheck(service)
    start = clock()
    while True:
        began = clock()
        try:
            findings = check.inspect()
        except CannotReach:
            if not patient or clock() - start >= min(timeout, GRACE):
                raise
            sleep(INTERVAL)
            continue
        elapsed = clock() - start
        waiting = [finding for finding in findings if finding.state == WAIT]
        if not waiting or any(finding.state == RED for finding in findings):
            return check.conclude(findings, elapsed)
        # What Prometheus looks at only once a minute is waited for a little longer, but not for hours.
        dues = [finding.due for finding in waiting]
        due = max(dues) if all(dues) else 0.0
        if elapsed >= (max(timeout, due) if due <= 2 * timeout else timeout):
            return check.conclude(findings, elapsed)
        sleep(min(max(INTERVAL, clock() - began), LONGEST_INTERVAL))


def unreachable(service, why):
    """The result for a service that does not answer at all."""
    url = service["health"]["url"]
    return {
        "service": service["service"],
        "url": url,
        "version": None,
        "targets": None,
        "state": RED,
        "reasons": ["no response from {0}: {1}".format(urlsplit(url).netloc, why)],
        "members": [],
        "config_hash": None,
        "silences": None,
        "wordless": False,
        "reached": False,
    }
