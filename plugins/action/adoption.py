# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares what runs on a host with what the roles would make of its inventory, and shows it."""

from __future__ import annotations

import posixpath

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.module_utils import _redact
from ansible_collections.vigil.monitoring.plugins.module_utils._tree import unpack
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _adoption, _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._controller import show
from ansible_collections.vigil.monitoring.plugins.plugin_utils._other_action import reason_of
from ansible_collections.vigil.monitoring.plugins.plugin_utils._role_values import RoleValues
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import to_yaml


class ActionModule(ActionBase):
    """Action plugin of the adoption module."""

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Read the host, make the wanted side of the roles' own values, compare, show."""
        result = super().run(tmp, task_vars)
        self.validate_argument_spec(argument_spec={})
        host = task_vars["inventory_hostname"]
        roles, entries = {}, []
        for kind in _rooms.in_order(task_vars["group_names"]):
            role = RoleValues(kind, self._loader, self._templar, task_vars)
            if role.get(kind + "_state") == "absent":
                continue
            roles[kind] = role
        live = self._read(roles, task_vars)
        secrets = [secret for role in roles.values() for secret in role.room.secrets(role.inputs)]
        _redact.know(secrets)
        for kind, role in roles.items():
            try:
                entries.append(judged(kind, role, live[kind]))
            except AnsibleError as error:
                entries.append(
                    nothing(
                        kind, "what the role would deploy cannot be determined: {0}".format(_redact.scrub(str(error)))
                    )
                )
        text = _redact.scrub(_adoption.rendered(host, entries))
        show("\n" + text + "\n")
        differences = {entry["role"]: [one._asdict() for one in entry["differences"]] for entry in entries}
        result.update(
            changed=False, summary=text, differences=differences, kept={e["role"]: e["kept"] for e in entries}
        )
        return result

    def _read(self, roles, task_vars):
        """What runs; asked a second time only where the first answer names files elsewhere."""
        asked = {
            kind: {
                **described(_rooms.load(kind)),
                "config_dir": role[kind + "_config_dir"],
                "username": role.get(kind + "_health_username") or None,
                "password": role.get(kind + "_health_password") or None,
                "further": [],
            }
            for kind, role in roles.items()
        }
        found = self._run_module(list(asked.values()), task_vars)
        again = []
        for kind, service in found.items():
            further = _adoption.further_files(kind, service)
            if further:
                again.append({**asked[kind], "further": further})
        return {**found, **(self._run_module(again, task_vars) if again else {})}

    def _run_module(self, services, task_vars):
        if not services:
            return {}
        answer = self._execute_module(
            module_name="vigil.monitoring.live_services", module_args={"services": services}, task_vars=task_vars
        )
        if answer.get("failed") or "payload" not in answer:
            why = reason_of(answer, "no answer")
            raise AnsibleError("how the services run cannot be read: {0}".format(why))
        return unpack(answer["payload"])


def release(kind, version):
    """What a release of the role would return, where none was looked for."""
    program = "/usr/local/bin/{0}"
    names = (kind, "promtool", "amtool")
    return {
        "version": version,
        "binaries": {name: program.format(name) for name in names},
        "commands": {name: program.format(name) for name in names},
        "links": {},
        "image": None,
    }


def described(room):
    """What the module live_services has to know about a service."""
    return {
        "name": room.name,
        "programs": list(room.programs),
        "port": room.port,
        "config_flags": list(room.config_flags),
        "paths": list(room.described_by),
    }


def nothing(kind, *words):
    """The entry of a service about which there is nothing but words."""
    return {"role": kind, "words": list(words), "differences": [], "kept": {}}


def wanted_files(kind, role):
    """The files that the role would write: path to text."""
    directory = role[kind + "_config_dir"]
    found = {}
    for entry in role.room.files(role.inputs, release(kind, str(role[kind + "_version"]))):
        text = entry["content"] if entry.get("content") is not None else None
        if text is None and entry.get("data") is not None:
            text = to_yaml(entry["data"])
        if text is None:
            with open(entry["src"], encoding="utf-8") as stream:
                text = stream.read()
        found[posixpath.join(directory, entry["path"])] = text
    return found


def judged(kind, role, live):
    """The entry of one service."""
    if not live["running"]:
        return nothing(kind, "nothing of it runs here: a run of the role deploys it")
    directory = role[kind + "_config_dir"]
    wanted = wanted_files(kind, role)
    words = _adoption.words_about(
        kind, live, directory, wanted, _rooms.load(kind).superseded(), bool(role.get(kind + "_take_over"))
    )
    files = {path: entry["content"] for path, entry in live["files"].items()}
    # What others keep in the directory stays, but for what is taken over.
    stays = _adoption.staying(files, directory, wanted, _rooms.load(kind).superseded())
    released = release(kind, str(role[kind + "_version"]))
    before = _adoption.view(kind, live["argv"], live["config_dir"], files)
    after = _adoption.view(
        kind,
        [str(word) for word in role.room.argv(role.inputs, released)],
        directory,
        {**stays, **wanted},
    )
    before["service"] = {"user": live["account"]["owner"], "group": live["account"]["group"]}
    after["service"] = {
        "user": str(role.get(kind + "_system_user") or before["service"]["user"]),
        "group": str(role.get(kind + "_system_group") or before["service"]["group"]),
    }
    version = _adoption.version_of(live)
    if version:
        before["service"]["version"], after["service"]["version"] = version, str(role[kind + "_version"])
    more_before, more_after, more_words = _rooms.load(kind).more_sections(live, role)
    before.update(more_before)
    after.update(more_after)
    words += more_words
    return {
        "role": kind,
        "words": words,
        "differences": _adoption.compare(kind, before, after),
        "kept": _adoption.counted(before, after),
    }
