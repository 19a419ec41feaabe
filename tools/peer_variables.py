# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write down which variables prometheus.prometheus has, as the data of tests/unit/test_peer_variables.py.

usage: tools/peer_variables.py DIRECTORY, the unpacked collection, with its MANIFEST.json or galaxy.yml
"""

from __future__ import annotations

import json
import pathlib
import sys

import yaml

ROLES = ("node_exporter", "blackbox_exporter", "postgres_exporter", "cadvisor", "prometheus", "alertmanager")
HEAD = """---
# The variables of prometheus.prometheus {version}, from the argument specs of its roles: name to type.
# Written by tools/peer_variables.py.
"""


def version_of(collection):
    """The collection's version."""
    manifest = collection / "MANIFEST.json"
    if manifest.exists():
        return json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"]
    return str(yaml.safe_load((collection / "galaxy.yml").read_text(encoding="utf-8"))["version"])


def variables_of(collection, role):
    """Name to type of a role's variables, sorted."""
    specs = yaml.safe_load((collection / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    options = specs["argument_specs"]["main"]["options"]
    return {name: options[name].get("type", "str") for name in sorted(options)}


def main():
    """Read the collection and write the data file."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    collection = pathlib.Path(sys.argv[1])
    version = version_of(collection)
    data = {"version": version, "roles": {role: variables_of(collection, role) for role in ROLES}}
    target = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "prometheus.prometheus-0.30.yml"
    target.write_text(HEAD.format(version=version) + yaml.safe_dump(data, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main()
