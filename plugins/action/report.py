# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders what checklist found on all hosts, once: to the screen and to files beside the controller's user."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.vigil.monitoring.plugins.action.summary import MACHINE_CALLBACKS
from ansible_collections.vigil.monitoring.plugins.module_utils._promql import duration
from ansible_collections.vigil.monitoring.plugins.modules.report import ARGUMENTS
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _render, _report
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
        sections = self._sections(given["results"], task_vars)
        document = _report.document(sections, _report.clock())
        text = _render.as_text(document)
        shown = "text" in given["formats"] and C.DEFAULT_STDOUT_CALLBACK not in MACHINE_CALLBACKS
        if shown:
            Display().display("\n" + text)
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
        result.update(changed=bool(files), report=text, files=list(files))
        silent = [
            host
            for host, answers in sections
            if not (answers or {}).get("answered") and not (answers or {}).get("agent")
        ]
        if silent:
            result.update(failed=True, msg="no answers from {0}; the report says why".format(", ".join(silent)))
        elif not sections:
            result.update(failed=True, msg="no host of this play has a Prometheus to report on")
        if shown and result.get("failed"):
            # A failed task's result is printed: the report would be there twice.
            del result["report"]
        return result

    def _sections(self, name, task_vars):
        """Each host of the play with what it found, None where it found nothing."""
        values = HostValues(task_vars["hostvars"], self._templar, {"groups": task_vars["groups"]})
        sections = []
        for host in task_vars["ansible_play_hosts_all"]:
            found = plain(values.raw(host).get(name))
            if not found or "answered" not in found:
                if found and found.get("skipped"):
                    continue
                found = {
                    "answered": False,
                    "problems": [{"section": "prometheus", "text": (found or {}).get("msg") or "it was not asked"}],
                }
            sections.append((host, found))
        return sections


def file_name(told):
    """The name of the files, without suffix: range and time of the report, in UTC so that no hour occurs twice."""
    end = max([answers["end"] for answers in told] or [time.time()])
    length = duration(max([answers["range"] for answers in told])) if told else "unanswered"
    # A day is a day's report, though Prometheus would call it 1d.
    length = "24h" if length == "1d" else length
    return "monitoring-{0}-{1}".format(length, time.strftime("%Y%m%dT%H%MZ", time.gmtime(end)))


def write(path, text):
    """Write a file as a whole, for its owner and group alone."""
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o750, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".report.", dir=directory)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o640)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
