# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write what the hosts need to know of upstream's configuration types: which keys hold secrets, and where.

usage: tools/upstream/tables.py [--check], or `make upstream`. With --check nothing is written; the status is 1 when the
table is not that of the data.
"""

from __future__ import annotations

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "plugins/plugin_utils/data"
TABLE = ROOT / "plugins/module_utils/_secret_keys.py"
PROGRAMS = ("alertmanager", "prometheus")
# A word that other programs' files have for what is none.
COMMON_WORDS = ("key",)
HEAD = '''# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys that Prometheus and Alertmanager themselves mark as secrets. Written by `make upstream` from their types; do not edit.

{versions}.
"""

from __future__ import annotations
'''


def places(program):
    """Every key of a program's files as ``(key above, key, what it holds)``."""
    data = json.loads((DATA / (program + ".json")).read_text(encoding="utf-8"))

    def walk(name, above, seen):
        for key, kind in data["types"][name].items():
            yield above, key, kind
            inner = kind.rpartition("@")[2] if "@" in kind else None
            if inner and (inner, key) not in seen:
                # A dictionary of structures has names of the user's own in between.
                yield from walk(inner, "*" if kind.startswith("{}") else key, seen | {(inner, key)})

    for root in data["roots"].values():
        yield from walk(root, None, frozenset())


def sorted_out(found):
    """What the table says, by the name of its parts."""
    secret, public, maps = {}, {}, set()
    for above, key, kind in found:
        (secret if "secret" in kind else public).setdefault(key, set()).add(above)
        if "secret" in kind and kind.startswith("{}"):
            maps.add(key)
    anywhere = {key for key in secret if key not in public and key not in COMMON_WORDS} - maps
    return {
        "ANYWHERE": sorted(anywhere),
        "MAPS": sorted(maps),
        "WITHIN": {
            key: sorted(filter(None, above)) for key, above in sorted(secret.items()) if key not in anywhere | maps
        },
        "PUBLIC": sorted(key for key in public if key.endswith("_api_url") and key not in secret),
        "PUBLIC_WITHIN": {
            key: sorted(filter(None, public[key])) for key in sorted(secret) if key in public and key not in ("url",)
        },
    }


def table():
    """The text of the table."""
    parts = sorted_out(place for program in PROGRAMS for place in places(program))
    modules = [json.loads((DATA / (name + ".json")).read_text(encoding="utf-8"))["module"] for name in PROGRAMS]
    versions = " and ".join(module.partition("github.com/")[2].replace("@", " ") for module in modules)
    comments = {
        "ANYWHERE": "Secret wherever they stand.",
        "MAPS": "Each value below these is a secret, whatever its key.",
        "WITHIN": "Secret below some keys: key -> those above it.",
        "PUBLIC": "Addresses that hold no secret, though that of Slack does.",
        "PUBLIC_WITHIN": "Not secret below some keys: key -> those above it.",
    }
    lines = [HEAD.format(versions=versions)]
    for name, value in parts.items():
        lines.append("# " + comments[name])
        if isinstance(value, dict):
            lines.append(name + " = {")
            lines += ["    {0}: {1},".format(quoted(key), tuple_of(above)) for key, above in value.items()]
            lines.append("}")
        else:
            lines.append(name + " = (")
            lines += ["    {0},".format(quoted(key)) for key in value]
            lines.append(")")
    return "\n".join(lines) + "\n"


def quoted(text):
    """Text as Python has it in double quotes."""
    return json.dumps(text)


def tuple_of(texts):
    """A tuple, on one line or one element a line."""
    line = "({0}{1})".format(", ".join(map(quoted, texts)), "," if len(texts) == 1 else "")
    if len(line) < 80:
        return line
    return "(\n" + "".join("        {0},\n".format(quoted(text)) for text in texts) + "    )"


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        if TABLE.read_text(encoding="utf-8") != table():
            sys.exit("{0} is not what the data says: run `make upstream`".format(TABLE.relative_to(ROOT)))
    else:
        TABLE.write_text(table(), encoding="utf-8")
