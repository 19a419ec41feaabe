# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The README of each role, which Galaxy shows: an example, the tags, and the tables of docs/roles."""

from __future__ import annotations

import pathlib
import re

import tags

SERVICE = """```yaml
- hosts: {role}
  become: true
  gather_facts: false
  roles:
    - vigil.monitoring.{role}

- import_playbook: vigil.monitoring.verify
```

`ansible-playbook vigil.monitoring.site -i INVENTORY` deploys all services of an inventory.
"""
FOOT = """## License

GPL-3.0-or-later. The collection, its other roles and its documentation: <{home}>.
"""


def page(root: pathlib.Path, role: str, specs: dict, variables: str, home: str) -> str:
    """The README of a role.

    :param specs: the argument specs of its entry point `main`.
    :param variables: the page of docs/roles, whose tables it repeats; it lies as deep, so that relative links hold.
    :param home: the address of the repository.
    """
    note, heading, rest = variables.split("\n\n", 2)
    description, mark, tables = rest.partition("## ")
    example = SERVICE.format(role=role) if role + "_state" in specs["options"] else _documented(root, role)
    found = tags.of_role(root, role)
    parts = [note, heading.replace("Role `", "`vigil.monitoring."), description.strip()]
    parts += ["## Example\n\n" + example.strip()] if example else []
    parts.append((mark + tables).strip())
    if found:
        parts.append("## Tags\n\n{0}: see [tags](../../docs/tags.md).".format(", ".join(map("`{0}`".format, found))))
    return "\n\n".join([*parts, FOOT.format(home=home)])


def _documented(root: pathlib.Path, role: str) -> str:
    """The example that the documentation has of a role; empty where it has none."""
    for path in sorted((root / "docs").glob("*.md")):
        for block in re.findall(r"(?ms)^```yaml\n.*?^```$", path.read_text(encoding="utf-8")):
            if re.search(r"\bvigil\.monitoring\.{0}$".format(role), block, re.MULTILINE):
                return block
    return ""
