# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows what service_health found on all hosts, once, and fails when a line is red."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.module_utils._findings import RED, UNVERIFIED, worst
from ansible_collections.vigil.monitoring.plugins.module_utils._summary import agreement, ended_words, summary
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rollout, _rooms, _run, _scope
from ansible_collections.vigil.monitoring.plugins.plugin_utils._controller import show
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import HostValues
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain


class ActionModule(ActionBase):
    """Action plugin of the summary module."""

    BYPASS_HOST_LOOP = True
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Collect, show, judge."""
        result = super().run(tmp, task_vars)
        dummy, given = self.validate_argument_spec(
            argument_spec={
                "results": {"type": "str", "required": True},
                "groups": {"type": "dict"},
            }
        )
        skipped = _scope.VERIFY in (task_vars.get("ansible_skip_tags") or ())
        lines, left_out, words = ([], [], []) if skipped else self._lines(given, task_vars)
        disagreeing = agreement(lines)
        for line in lines:
            text = disagreeing.get((line["service"], line["host"]))
            if text:
                line["state"] = worst([line["state"], RED])
                line["reasons"] = [*line["reasons"], text]
        nothing = not lines
        unwanted = self._unwanted(given, task_vars) if nothing and not skipped and not left_out else []
        if unwanted:
            # The inventory specifies that nothing is there.
            nothing = False
            words.append("nothing has to be verified: {0}".format(", ".join(unwanted)))
        words += [] if unwanted else self._words(lines, left_out, skipped, task_vars)
        if _run.first_time("what ends"):
            words += ended_words(_run.ended(), self._task.check_mode)
        text = summary(lines, self._task.check_mode, words)
        shown = show("\n" + text + "\n")
        red = [line for line in lines if line["state"] == RED]
        result["changed"] = False
        if nothing and not skipped and not left_out and "all" in (task_vars.get("ansible_run_tags") or ["all"]):
            # Green would mean that something was verified. With tags, another part of a playbook may have been selected.
            result["failed"] = True
            result["msg"] = "nothing was verified; see the summary" if shown else text
            return result
        if red:
            result["failed"] = True
            result["msg"] = failure(red) if shown else text
            return result
        result.update(summary=text, services=lines, unverified=sum(line["state"] == UNVERIFIED for line in lines))
        return result

    def _unwanted(self, given, task_vars):
        """What of the play's hosts and services the inventory wants gone, in words."""
        values = HostValues(task_vars["hostvars"], self._templar, {"groups": task_vars["groups"]})
        there = task_vars["ansible_play_hosts_all"]
        return [
            "{0}_state is absent on {1}".format(service, host)
            for service, group in _rooms.groups_of(given["groups"]).items()
            for host in task_vars["groups"].get(group) or ()
            if host in there and values(host, service + "_state") == "absent"
        ]

    def _words(self, lines, left_out, skipped, task_vars):
        """Sentences about what was not checked."""
        groups, limit = task_vars["groups"], task_vars.get("ansible_limit")
        run_tags, skip_tags = task_vars.get("ansible_run_tags") or ["all"], task_vars.get("ansible_skip_tags") or []
        how = _scope.chooses(run_tags, skip_tags)
        if skipped:
            return ["nothing was verified, because {0} excludes the verification".format(how)]
        words = [_scope.left_out_words(left_out, how)] if left_out else []
        if not lines and not left_out:
            words += _scope.nothing_words(groups, task_vars["ansible_play_hosts_all"], how, limit)
        return words + _scope.typo_messages(groups)

    def _lines(self, given, task_vars):
        """One line for each service that a host of this play should run, whether there is a result or not.

        :returns: the lines; what tags leave out, as ``(host, service)``; and which hosts could not be checked.
        """
        hostvars, groups = task_vars["hostvars"], task_vars["groups"]
        values = HostValues(hostvars, self._templar, {"groups": groups})
        running = set(task_vars["ansible_play_hosts"])
        members = {
            service: set(groups.get(group) or ()) for service, group in _rooms.groups_of(given["groups"]).items()
        }
        for service, hosts in _run.noted().items():
            if service in members:
                members[service] |= hosts
        lines, left_out, words = [], [], []
        rollouts, failed = _rollout.written_down(), _run.failed()
        for host in task_vars["ansible_play_hosts_all"]:
            given_back = plain(values.raw(host).get(given["results"]) or {})
            found = given_back.get("services")
            if found is not None:
                lines += [{**line, "host": host} for line in found]
                left_out += [(host, service) for service in given_back.get("left_out") or ()]
                if given_back.get("silent"):
                    words.append("{0}: {1}".format(host, given_back["silent"]))
                continue
            for service, hosts in members.items():
                if host in hosts and values(host, service + "_state") != "absent":
                    why = "an earlier task of this run failed on this host, or it could not be reached"
                    if host in running:
                        why = "it has not been checked"
                    entry = rollouts.get(service, {}).get(host)
                    said = "failed: " + failed[service, host] if (service, host) in failed else "not verified: " + why
                    lines.append(
                        {
                            "service": service,
                            "host": host,
                            "state": RED,
                            "version": entry.version if entry else None,
                            "reasons": [_rollout.outcome(entry) or said],
                            "url": None,
                        }
                    )
        return lines, left_out, words


def failure(red):
    """One sentence that names the red lines."""
    names = sorted("{0} on {1}".format(line["service"], line["host"]) for line in red)
    more = " and {0} more".format(len(names) - 5) if len(names) > 5 else ""
    return "verification failed: {0}{1}; see the summary".format(", ".join(names[:5]), more)
