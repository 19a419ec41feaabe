# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tags of roles and playbooks, as their files have them, and the page about them: docs/tags.md."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import yaml

PAGE = """# Tags

`--tags` limits a run of `site.yml`, or of a playbook of yours, to some services or steps. Whatever tags are chosen, what a run
has deployed is verified at its end, and the summary names what was left out.

```sh
ansible-playbook site.yml -i inventories/prod --tags prometheus            # one service, and its verification
ansible-playbook site.yml -i inventories/prod --tags grafana,alertmanager  # two
ansible-playbook site.yml -i inventories/prod --tags verify                # only the verification
ansible-playbook site.yml -i inventories/prod --list-tags                  # what there is
```

Release, files and unit of a service are activated together, so that no host is ever left between two versions. That is why each
tag of a service, `{example}` as well, runs its whole role; what is as the inventory says is left alone. For the same reason
`--skip-tags` with one of them leaves the whole role out.

| Role | Tags |
|---|---|
"""
PLAYBOOKS = """
| Playbook | Tags of its plays |
|---|---|
"""
# Ansible's own, which choose tasks and name nothing.
SPECIAL = {"always", "never"}


def _tags(entry: object) -> Iterator[str]:
    """All tags below a task, a block or a play, in their order."""
    if isinstance(entry, list):
        for one in entry:
            yield from _tags(one)
    elif isinstance(entry, dict):
        own = entry.get("tags", [])
        yield from own.split(",") if isinstance(own, str) else own
        for key, value in entry.items():
            if key != "tags":
                yield from _tags(value)


def _of(path: pathlib.Path) -> list[str]:
    """The tags in a file, each once."""
    found = _tags(yaml.safe_load(path.read_text(encoding="utf-8")))
    return [tag for tag in dict.fromkeys(found) if tag not in SPECIAL]


def of_role(root: pathlib.Path, role: str) -> list[str]:
    """The tags of a role's tasks."""
    return _of(root / "roles" / role / "tasks" / "main.yml")


def page(root: pathlib.Path, roles: list[str], behind: dict[str, str], note: str) -> str:
    """The page about tags.

    :param behind: role that has no play of its own -> the role that deploys it, whose tags select both.
    :param note: the line that says where the page comes from.
    """
    found = {role: of_role(root, role) for role in roles}
    rows = [
        "| `{0}` | {1} |\n".format(
            role, "those of `{0}`, which deploys it".format(behind[role]) if role in behind else _listed(own)
        )
        for role, own in found.items()
        if own
    ]
    playbooks = {path: _of(path) for path in sorted((root / "playbooks").glob("*.yml"))}
    plays = [
        "| `vigil.monitoring.{0}` | {1} |\n".format(path.stem, _listed(own)) for path, own in playbooks.items() if own
    ]
    return note + "\n" + PAGE.format(example="prometheus_configure") + "".join(rows) + PLAYBOOKS + "".join(plays)


def _listed(found: list[str]) -> str:
    return ", ".join(map("`{0}`".format, found))
