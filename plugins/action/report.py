# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the results of checklist of all hosts, once: on the screen and as files on the controller."""

from __future__ import annotations

import os
import time

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.module_utils._promql import duration
from ansible_collections.vigil.monitoring.plugins.modules.report import ARGUMENTS
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _render, _report, _report_delivery
from ansible_collections.vigil.monitoring.plugins.plugin_utils._controller import show, write_file
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import HostValues
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain

WRITERS = {"markdown": (".md", _render.as_markdown), "html": (".html", _render.as_html)}


class ActionModule(ActionBase):
    """Action plugin of the report module."""

    BYPASS_HOST_LOOP = True
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Collect, render, show, write."""
        result = super().run(tmp, task_vars)
        dummy, given = self.validate_argument_spec(argument_spec=ARGUMENTS)
        try:
            _report_delivery.check(given["mail"], given["slack"])
        except _report_delivery.DeliveryError as error:
            raise AnsibleError(str(error)) from error
        if not given["results"]:
            return {**result, "changed": False}
        sections = self._sections(given["results"], task_vars)
        document = _report.document(sections, _report.clock())
        text = _render.as_text(document)
        shown = "text" in given["formats"] and show("\n" + text)
        directory = os.path.abspath(given["directory"])
        name = file_name([answers for dummy, answers in sections if answers and answers.get("answered")])
        files = {
            os.path.join(directory, name + WRITERS[kind][0]): WRITERS[kind][1]
            for kind in given["formats"]
            if kind in WRITERS
        }
        if not self._task.check_mode:
            for path, render in files.items():
                try:
                    write(path, render(document))
                except OSError as error:
                    raise AnsibleError("{0} cannot be written: {1}".format(path, error.strerror or error)) from error
        sent, unsent = self._deliver(document, given, name)
        result.update(changed=bool(files or sent), report=text, files=list(files), sent=sent)
        silent = [
            host
            for host, answers in sections
            if not (answers or {}).get("answered") and not (answers or {}).get("agent")
        ]
        if silent:
            result.update(failed=True, msg="no results from {0}; the report has the reason".format(", ".join(silent)))
        elif not sections:
            result.update(failed=True, msg="no host of this play has a Prometheus to report on")
        elif unsent:
            result.update(failed=True, msg="the report was written, and not sent: {0}".format("; ".join(unsent)))
        if shown and result.get("failed"):
            # A failed task's result is printed: the report would be there twice.
            del result["report"]
        return result

    def _deliver(self, document, given, name):
        """Send the report where it is wanted: where it went, or would go in check mode, and why it went nowhere else."""
        sent, unsent = [], []
        if given["send"] == "findings" and document.verdict.state == _report.GOOD:
            return sent, unsent
        ways = []
        if given["mail"]:
            mail = given["mail"]
            message = _report_delivery.message_of(document, mail, name)
            ways.append(("mail to " + ", ".join(mail["to"]), _report_delivery.send_mail, message, mail))
        if given["slack"]:
            body = _report_delivery.slack_of(document, given["slack"])
            ways.append(("Slack", _report_delivery.send_slack, body, given["slack"]))
        for where, send, message, options in ways:
            try:
                if not self._task.check_mode:
                    send(message, options)
                sent.append(where)
            except _report_delivery.DeliveryError as error:
                unsent.append(str(error))
        return sent, unsent

    def _sections(self, name, task_vars):
        """Each host of the play with its results, None if there are none."""
        values = HostValues(task_vars["hostvars"], self._templar, {"groups": task_vars["groups"]})
        sections = []
        for host in task_vars["ansible_play_hosts_all"]:
            found = plain(values.raw(host).get(name))
            if not found or "answered" not in found:
                if found and found.get("skipped"):
                    continue
                found = {
                    "answered": False,
                    "problems": [{"section": "prometheus", "text": (found or {}).get("msg") or "it was not queried"}],
                }
            sections.append((host, found))
        return sections


def file_name(reported):
    """The name of the files, without suffix: range and time of the report, in UTC so that no hour occurs twice."""
    end = max([answers["end"] for answers in reported] or [time.time()])
    length = duration(max([answers["range"] for answers in reported])) if reported else "unanswered"
    # A day is a day's report, though Prometheus would call it 1d.
    length = "24h" if length == "1d" else length
    return "monitoring-{0}-{1}".format(length, time.strftime("%Y%m%dT%H%MZ", time.gmtime(end)))


def write(path, text):
    """Write a file atomically, readable by its owner and group only."""
    os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
    write_file(path, text, 0o640)
