# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write down which variables, handlers and tags the peers' roles have, as the data of tests/unit/test_roles.py.

usage: tools/peer_variables.py DIRECTORY, the unpacked prometheus.prometheus or grafana.grafana, with its MANIFEST.json
or galaxy.yml
"""

from __future__ import annotations

import json
import pathlib
import re
import sys

import yaml

from roles import names as services

# Collection -> the file that holds the variables of its roles.
PEERS = {"prometheus": "prometheus.prometheus-0.30.yml", "grafana": "grafana.grafana-6.0.yml"}
HEAD = """---
# The variables of {name} {version}, from the argument specs or the defaults of its roles: name to type; and the names of
# its handlers, tags and files of tasks.
# Written by tools/peer_variables.py.
"""


class Indented(yaml.SafeDumper):
    """Lists below their keys, as yamllint wants them."""

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


class Specs(yaml.SafeLoader):
    """Reads ``!unsafe``, Ansible's mark of texts that are no templates."""


Specs.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))

TYPES = {bool: "bool", int: "int", list: "list", dict: "dict"}


def about(collection):
    """Namespace, name and version of a collection."""
    manifest = collection / "MANIFEST.json"
    if manifest.exists():
        return json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]
    return yaml.safe_load((collection / "galaxy.yml").read_text(encoding="utf-8"))


def variables_of(collection, role):
    """Name to type of a role's variables, sorted; where it has no specs its defaults tell."""
    specs = collection / "roles" / role / "meta" / "argument_specs.yml"
    if specs.exists():
        options = yaml.load(specs.read_text(encoding="utf-8"), Specs)["argument_specs"]["main"]["options"]
        return {name: options[name].get("type", "str") for name in sorted(options)}
    defaults = yaml.safe_load((collection / "roles" / role / "defaults" / "main.yml").read_text(encoding="utf-8"))
    return {name: TYPES.get(type(defaults[name]), "str") for name in sorted(defaults)}


def entry_points_of(collection, role):
    """The names by which others reach into a role: of its handlers, its tags and its files of tasks."""
    folder = collection / "roles" / role
    handlers = yaml.safe_load((folder / "handlers" / "main.yml").read_text(encoding="utf-8")) or []
    names = set()
    for handler in handlers:
        listened = handler.get("listen") or []
        names.update([handler["name"], *([listened] if isinstance(listened, str) else listened)])
    shared = collection / "roles" / "_common" / "tasks"
    files = [*sorted((folder / "tasks").glob("*.yml")), *(sorted(shared.glob("*.yml")) if shared.is_dir() else [])]
    tags = set()
    for file in files:
        for block in re.findall(r"(?m)^( *)tags:\n((?:\1 *- .*\n?)+)", file.read_text(encoding="utf-8")):
            tags.update(re.sub(r"\{\{.*\}\}", role, word).strip("\"' ") for word in re.findall(r"- (.*)", block[1]))
    return {
        "handlers": sorted(names),
        "tags": sorted(tags - {"always"}),
        "tasks_from": sorted(path.name for path in (folder / "tasks").glob("*.yml")),
    }


def main():
    """Read the collection and write the data file."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    collection = pathlib.Path(sys.argv[1])
    found = about(collection)
    version = str(found["version"])
    # All with a described interface, so that a service added here is compared with its namesake from its first test.
    described = {path.parents[1].name for path in collection.glob("roles/[a-z]*/meta/argument_specs.yml")}
    roles = sorted(described | {name for name in services() if (collection / "roles" / name).is_dir()})
    file_name = PEERS[found["name"]]
    data = {
        "version": version,
        "roles": {role: variables_of(collection, role) for role in roles},
        "entry_points": {role: entry_points_of(collection, role) for role in roles},
    }
    target = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / file_name
    head = HEAD.format(name="{namespace}.{name}".format(**found), version=version)
    target.write_text(head + yaml.dump(data, Dumper=Indented, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main()
