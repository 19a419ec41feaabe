# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole of summary: it needs nothing but what the hosts have said already."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.vigil.monitoring.plugins.module_utils._stack import summary

display = Display()


class ActionModule(ActionBase):
    """Action plugin of the summary module."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("services",))

    def run(self, tmp=None, task_vars=None):
        """Print the table, and fail where a line of it is red."""
        result = super().run(tmp, task_vars)
        hosts = task_vars["ansible_play_hosts_all"]
        rows = []
        for service in self._task.args["services"]:
            members = task_vars["groups"].get(service, [])
            for host in hosts:
                # A service that is not wanted on the host has skipped its task.
                said = task_vars["hostvars"][host].get("__{0}_health".format(service)) if host in members else None
                if host in members and not (said and said.get("skipped")):
                    rows.append(self._row(service, host, said, task_vars))
        text = summary(rows)
        display.display("\n" + text + "\n")
        red = sum(bool(row["problems"]) for row in rows)
        result.update(changed=False, rows=rows)
        if red:
            result.update(failed=True, msg="{0} of {1} services are red:\n{2}".format(red, len(rows), text))
        return result

    def _row(self, service, host, said, task_vars):
        """What is known about one service on one host."""
        row = {"service": service, "host": host, "version": "", "url": "", "targets": "", "problems": [], "unproven": []}
        if not said:
            row["problems"].append("nothing was proven: an earlier task failed on this host, its message is above")
            return row
        if "problems" not in said:
            row["problems"].append(said.get("msg", "it could not be asked"))
            return row
        row.update(version=said["version"] or "", problems=list(said["problems"]), unproven=list(said["unproven"]))
        row["url"] = said.get("url", "")
        targets = task_vars["hostvars"][host].get("__{0}_targets".format(service))
        if service == "prometheus" and targets and "up" in targets:
            wrong = len(targets["down"]) + len(targets["missing"])
            row["targets"] = "{0}/{1}".format(targets["up"], targets["up"] + wrong)
        if service == "prometheus" and targets and not targets.get("skipped") and not targets.get("healthy"):
            row["problems"].append(targets.get("msg", "its targets could not be judged"))
        if self._task.check_mode and row["problems"]:
            row.update(unproven=["check mode: {0}".format(text) for text in row["problems"]], problems=[])
        return row
