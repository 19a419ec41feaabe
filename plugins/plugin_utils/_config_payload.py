# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a configuration as they are sent to a host."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleActionFail
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import to_yaml


def file_to_send(entry: dict, find: Callable[[str], Any] | None = None) -> dict:
    """One file with its content as text.

    :param entry: an element of the option ``files`` of the module config_files.
    :param find: function that finds a file of the controller by the name that its option ``src`` gives.
    """
    path = entry.get("path")
    given = [key for key in ("content", "data", "src") if entry.get(key) is not None]
    if not path or len(given) != 1:
        raise AnsibleActionFail("each file needs a path and one of content, data or src; found {0}".format(given))
    if given == ["src"]:
        source = find(entry["src"])
        try:
            with open(source, encoding="utf-8") as stream:
                content = stream.read()
        except (OSError, UnicodeDecodeError) as error:
            raise AnsibleActionFail("{0}, meant for {1}, cannot be read: {2}".format(source, path, error)) from error
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
