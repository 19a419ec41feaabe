# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of config_files: collects the files, asks the module only where one look shows that something is
to be done, and has the account made where the host lacks the tools for it that the module uses.
"""

from __future__ import annotations

import posixpath

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.module_utils._tree import pack
from ansible_collections.vigil.monitoring.plugins.plugin_utils._look import answer
from ansible_collections.vigil.monitoring.plugins.plugin_utils._look_tree import Tree
from ansible_collections.vigil.monitoring.plugins.plugin_utils._peers import written_by_peers
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import to_yaml


class ActionModule(ActionBase):
    """Action plugin of the config_files module."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp=None, task_vars=None):
        """Send the tree to the host; at the most twice, with the account made in between."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        files = [self._collect(entry) for entry in arguments.pop("files", None) or []]
        if boolean(arguments.get("take_over") or False):
            arguments["superseded"] = [
                *(arguments.get("superseded") or []),
                *written_by_peers(arguments.get("role") or posixpath.basename(str(arguments.get("path")).rstrip("/"))),
            ]
        if boolean(arguments.pop("look", True)) and self._is_as_asked(arguments, files):
            nothing = {"create": [], "update": [], "remove": []}
            return {
                "changed": False,
                "validated": False,
                "recovered": False,
                "missing_account": False,
                "taken_over": [],
                "staged": nothing,
                "readable": [],
            }
        arguments["payload"] = pack(files)
        result = self._ask_host(arguments, task_vars)
        made_none = result.get("missing_account") and not result.get("staged")
        if made_none and not result.get("failed") and not self._task.check_mode:
            self._make_account(arguments["user"], arguments["group"], task_vars)
            result = self._ask_host(arguments, task_vars)
            if not result.get("failed"):
                result["changed"] = True
        # So that what comes after it need not render the configuration once more to know them.
        result["readable"] = list(arguments.get("readable") or ())
        return result

    def _is_as_asked(self, arguments, files):
        """Whether a look at the host is enough. What the module may complain about is left to it."""
        given = {name: arguments.get(name) for name in ("path", "user", "group")}
        refused = [
            leftover for leftover in arguments.get("refuse") or () if any(leftover in f["content"] for f in files)
        ]
        if arguments.get("readable") or refused or not all(given.values()):
            return False
        validators = [str(command[0]) for command in arguments.get("validate") or ()]
        tree = Tree(
            **given,
            files=files,
            directories=arguments.get("directories") or [],
            validators=validators,
            image=arguments.get("image"),
            absent=[entry["path"] for entry in arguments.get("superseded") or ()],
        )
        output = answer(self, tree.command())
        return output is not None and tree.is_as_asked(output)

    def _ask_host(self, arguments, task_vars):
        result = self._execute_module(
            module_name="vigil.monitoring.config_files", module_args=arguments, task_vars=task_vars
        )
        # The invocation would repeat every argument at -vvv; nothing in it is worth the risk.
        result.pop("invocation", None)
        return result

    def _collect(self, entry):
        """One file with its content as text."""
        path = entry.get("path")
        given = [key for key in ("content", "data", "src") if entry.get(key) is not None]
        if not path or len(given) != 1:
            raise AnsibleActionFail("each file needs a path and one of content, data or src; found {0}".format(given))
        if given == ["src"]:
            source = self._find_needle("files", entry["src"])
            try:
                with open(source, encoding="utf-8") as stream:
                    content = stream.read()
            except (OSError, UnicodeDecodeError) as error:
                raise AnsibleActionFail(
                    "{0}, meant for {1}, cannot be read: {2}".format(source, path, error)
                ) from error
        elif given == ["data"]:
            content = to_yaml(entry["data"])
        else:
            content = str(entry["content"])
        return {
            "path": str(path),
            "content": content,
            "mode": int(str(entry.get("mode", "0640")), 8),
            "secret": bool(entry.get("secret", False)),
            **({"kept": dict(entry["kept"])} if entry.get("kept") else {}),
        }

    def _make_account(self, user, group, task_vars):
        """Create the system group and user with Ansible's own modules."""
        steps = [
            ("ansible.builtin.group", {"name": group, "system": True}),
            (
                "ansible.builtin.user",
                {
                    "name": user,
                    "group": group,
                    "system": True,
                    "shell": "/usr/sbin/nologin",
                    "home": "/nonexistent",
                    "create_home": False,
                },
            ),
        ]
        for module, arguments in steps:
            result = self._execute_module(module_name=module, module_args=arguments, task_vars=task_vars)
            if result.get("failed"):
                raise AnsibleActionFail(
                    "{0} {1} could not be created: {2}".format(
                        module.rsplit(".", 1)[1], arguments["name"], result.get("msg", "no reason given")
                    )
                )
