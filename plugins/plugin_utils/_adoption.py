# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare a running service with what a role would deploy from the inventory, semantically. Data in, data out.

Both sides go through the same function, :func:`view`, which turns a command line and files into sections of named things:
what is written differently and means the same is the same there. :func:`compare` says what would be gained, lost or changed.
"""

from __future__ import annotations

import fnmatch
import json
import posixpath
import re
from typing import NamedTuple

import yaml
from ansible_collections.vigil.monitoring.plugins.module_utils._duration import UNITS, seconds
from ansible_collections.vigil.monitoring.plugins.module_utils._redact import MASK, is_secret_key, redact_text
from ansible_collections.vigil.monitoring.plugins.module_utils._running_service import flags_of
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms

GAINED, LOST, CHANGED = "gained", "lost", "changed"
MARKS = {GAINED: "+", LOST: "-", CHANGED: "~"}
# How many names of what is gained, or paths, are listed.
LISTED = 12
WIDTH = 76

_DURATION = re.compile(r"(\d+(ms|[ywdhms]))+")
# Settings whose value is a duration, by how they end.
_DURATIONS = (
    "interval",
    "timeout",
    "wait",
    "for",
    "delay",
    "retention",
    "retention.time",
    "window",
    "deadline",
    "lookback",
)
# Lists in which the order means nothing.
_UNORDERED = {
    "group_by",
    "matchers",
    "equal",
    "source_matchers",
    "target_matchers",
    "active_time_intervals",
    "mute_time_intervals",
    "targets",
    "files",
    "collector.textfile.directory",
}
# Flags that say where files are: the files are compared themselves.
_PLACES = ("config.file", "web.config.file", "config", "homepath")

# What keeps a thing as it is: section, pattern of its name, and the advice; {role} is the role, {live} the live value.
_KEEP = (
    ("service", "user", "{role}_system_user: {live}"),
    ("service", "group", "{role}_system_group: {live}"),
    ("service", "version", "{role}_version: {live}"),
    ("flags", "storage.*path", "{role}_db_dir: {live}"),
    ("flags", "web.listen-address", "{role}_web_listen_address: {live}"),
    ("flags", "web.external-url", "{role}_web_external_url: {live}"),
    ("flags", "collector.*", "{role}_enabled_collectors, {role}_disabled_collectors"),
    ("flags", "no-collector.*", "{role}_enabled_collectors, {role}_disabled_collectors"),
    ("flags", "*", "{role}_config_flags_extra"),
)


class Difference(NamedTuple):
    """One difference.

    :ivar section: its kind: ``jobs``, ``alerts``, ``flags``, …
    :ivar name: its name.
    :ivar kind: ``gained``, ``lost`` or ``changed``.
    :ivar detail: the difference, without secrets; may be empty.
    :ivar keep: the variable to set to keep the current state, or None.
    """

    section: str
    name: str
    kind: str
    detail: str = ""
    keep: str = None


# One side


def load(text):
    """A YAML document, or None if it is invalid."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, Loader=loader)
    except yaml.YAMLError:
        return None


def mapping(found):
    """A mapping; empty if the value is something else."""
    return found if isinstance(found, dict) else {}


def dicts(found):
    """The mappings among the elements of a list."""
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def normal(value, key=""):
    """A value, normalized so that equal meanings compare equal."""
    if isinstance(value, dict):
        # What is null or empty is as if it were not there.
        found = {str(name): normal(inner, str(name)) for name, inner in value.items()}
        return {name: inner for name, inner in sorted(found.items()) if inner not in (None, {}, [])}
    if isinstance(value, list):
        found = [normal(inner) for inner in value]
        return sorted(found, key=repr) if key in _UNORDERED else found
    if isinstance(value, bool) or value is None:
        return value
    text = str(value)
    if key.endswith(_DURATIONS) and _DURATION.fullmatch(text):
        return as_duration(seconds(text))
    return " ".join(text.split()) if key == "expr" else text


def as_duration(number):
    """Seconds as a Prometheus duration, in the largest exact unit."""
    for unit, size in UNITS.items():
        if number and number % size == 0:
            return "{0:g}{1}".format(number / size, unit)
    return "{0:g}s".format(number)


def without(found, defaults):
    """A mapping without keys that have upstream's default value."""
    defaults = normal(defaults)
    return {name: value for name, value in normal(found).items() if name not in defaults or value != defaults[name]}


def numbered(entries):
    """Pairs of names and values as a mapping; duplicate names get a number."""
    found = {}
    for name, value in entries:
        key, number = name, 2
        while key in found:
            key, number = "{0} #{1}".format(name, number), number + 1
        found[key] = value
    return found


def matching(files, directory, patterns):
    """The files that patterns match, as upstream resolves them: relative to the configuration's directory."""
    wanted = [posixpath.normpath(posixpath.join(directory, str(pattern))) for pattern in patterns or []]
    return [
        path
        for path in sorted(files)
        if any(fnmatch.fnmatchcase(path, one) and path.count("/") == one.count("/") for one in wanted)
    ]


def view(kind, argv, directory, files):
    """A service as sections with named entries.

    :param kind: name of its role.
    :param argv: its command line.
    :param directory: of its configuration.
    :param files: path to text.
    """
    room, flags = _rooms.load(kind), flags_of(argv)
    sections = {"flags": _flags(room.flag_defaults, flags)}
    sections.update(room.sections(flags, directory, files, sections["flags"]))
    for path in flags.get("web.config.file", ()):
        sections["access"] = {
            name: normal(value) for name, value in mapping(load(files.get(path, ""))).items() if value
        }
    return sections


def _flags(defaults, flags):
    found = {}
    for name, values in flags.items():
        if name in _PLACES or (name in defaults and defaults[name] is None):
            continue
        values = [normal(value, name) for value in values]
        if name.endswith("listen-address"):
            values = [re.sub(r"^(\[::\])?:", "0.0.0.0:", value) for value in values]
        if name in defaults and values == [normal(defaults[name], name)]:
            continue
        found[name] = ", ".join(sorted(values))
    return found


def version_of(live):
    """The version that a service reports, without build metadata; None if it reports none."""
    for path, answer in live.get("answers", {}).items():
        found = re.search(
            r'_build_info\{[^}]*\bversion="([^"+]+)' if path.endswith("/metrics") else r'"version":"([^"+]+)',
            answer["text"],
        )
        if found:
            return found[1]
    return None


def further_files(kind, live):
    """Patterns of files that belong to a service, but are outside its configuration directory."""
    if not live["running"]:
        return []
    return _rooms.load(kind).further_files(live, {path: entry["content"] for path, entry in live["files"].items()})


def named_files(live, files):
    """Patterns of the files outside its configuration directory that a service's configuration refers to.

    :param files: path to text.
    """
    path = (flags_of(live["argv"]).get("config.file") or [""])[0]
    config = mapping(load(files.get(path, "")))
    named = [config.get(name) for name in ("rule_files", "scrape_config_files", "templates")]
    patterns = [
        posixpath.join(live["config_dir"], str(one)) for found in named if isinstance(found, list) for one in found
    ]
    return [one for one in patterns if not posixpath.normpath(one).startswith(live["config_dir"].rstrip("/") + "/")]


def is_theirs(path, text, directory, peers):
    """Whether a file is known to be written by a role of another collection.

    :param peers: as ``superseded`` of the service's room returns them.
    """
    return any(path == posixpath.join(directory, one["path"]) and re.match(one["pattern"], text) for one in peers)


def staying(files, directory, wanted, peers):
    """Files of other tools that remain in our configuration directory: path to text."""
    inside = directory.rstrip("/") + "/"
    return {
        path: text
        for path, text in files.items()
        if path.startswith(inside) and path not in wanted and not is_theirs(path, text, directory, peers)
    }


def words_about(kind, live, directory, wanted, peers, take_over):
    """Notes about a service that the table of differences cannot show.

    :param directory: of the configuration that the role writes.
    :param wanted: files that it writes there: path to text.
    """
    words = []
    files = {path: entry["content"] for path, entry in live["files"].items()}
    if live["contained"]:
        words.append(
            "it runs in a container, as process {0}: its compose file, image, volumes, networks and limits cannot be read, and its"
            " paths and users are those inside. The role does not take over a container that it did not create: stop it first,"
            " and move its data to the directory in {1}".format(
                live["pid"], _rooms.load(kind).data_variable or "the role"
            )
        )
    if live["several"] > 1:
        words.append("{0} of its processes run here: the oldest, {1}, is compared".format(live["several"], live["pid"]))
    if live["config_dir"].rstrip("/") != directory.rstrip("/"):
        words.append(
            "its configuration is in {0}, but the role writes to {1}: set {2}_config_dir: {0} to keep it".format(
                live["config_dir"], directory, kind
            )
        )
    replaced = [path for path in wanted if path in files and files[path] != wanted[path]]
    gone = [path for path, text in files.items() if path not in wanted and is_theirs(path, text, directory, peers)]
    stay = staying(files, directory, wanted, peers)
    if replaced or gone:
        words.append(
            "{0}_take_over: {1}".format(
                kind,
                "true is set, which allows" if take_over else "true is required to allow",
            )
            + " the role to replace {0}{1}".format(
                listed(replaced) or "nothing", " and remove " + listed(gone) if gone else ""
            )
        )
    if stay:
        words.append("not changed, and used if the configuration refers to it: {0}".format(listed(stay)))
    owners = sorted({live["files"][path]["owner"] for path in replaced if live["files"][path]["owner"] != "root"})
    if owners:
        words.append(
            "files that belong to {0} now will belong to root, readable by the group of the service".format(
                ", ".join(owners)
            )
        )
    config = flags_of(live["argv"]).get("config.file")
    for path, answer in live["answers"].items():
        if path == "/api/v1/status/config" and config:
            names = unloaded(answer["text"], mapping(load(files.get(config[0], ""))))
            if names:
                words.append(
                    "the loaded configuration differs from the file on disk: jobs {0}".format(", ".join(names))
                )
    return words


def listed(paths):
    """Some of many paths, as one text."""
    paths = sorted(paths)
    more = " and {0} more".format(len(paths) - LISTED) if len(paths) > LISTED else ""
    return ", ".join(paths[:LISTED]) + more


def unloaded(answer, config):
    """Jobs whose loaded configuration differs from the file; None if Prometheus does not report it."""
    try:
        loaded = mapping(load(json.loads(answer)["data"]["yaml"]))
    except (ValueError, KeyError, TypeError):
        return None
    names = [{str(job.get("job_name")) for job in dicts(one.get("scrape_configs"))} for one in (loaded, config)]
    return sorted(names[0] ^ names[1])


# Both sides


def leaves(value, path=()):
    """All values of a structure, each with its path of keys."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list) and any(isinstance(inner, (dict, list)) for inner in value):
        for number, inner in enumerate(value):
            yield from leaves(inner, (*path, str(number)))
    else:
        yield path, value


def shown(path, value):
    """A value for display: without secrets, and short."""
    keys = [key for key in path if not key.isdigit()]
    if any(is_secret_key(key, above) for above, key in zip([None, *keys], keys)):
        return MASK
    text = ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
    text = redact_text(" ".join(text.split()))
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def change(live, wanted, path=()):
    """The changed values of an entry, as text."""
    if not isinstance(live, dict) or not isinstance(wanted, dict):
        live, wanted = {"": live}, {"": wanted}
    found = []
    before, after = dict(leaves(live)), dict(leaves(wanted))
    for where in sorted({*before, *after}):
        if before.get(where) != after.get(where):
            sides = [shown((*path, *where), side[where]) if where in side else "-" for side in (before, after)]
            name = ".".join(where)
            words = "another value" if sides[0] == sides[1] else "{0} -> {1}".format(*sides)
            found.append("{0}: {1}".format(name, words) if name else words)
    more = len(found) - 4
    return "; ".join([*found[:4], *(["and {0} more".format(more)] if more > 0 else [])])


def advice(role, section, name, kind, live):
    """The variable to set to keep an entry, or None; for a gained one only if the inventory does not define it."""
    for of, pattern, text in (*_rooms.load(role).keeps, *_KEEP):
        asked = of == section and (kind != GAINED or section in ("external labels", "service"))
        if (asked or of == "{0} {1}".format(section, kind)) and fnmatch.fnmatchcase(name, pattern):
            return text.format(role=role, live=shown((name,), live) if isinstance(live, str) and live else "…")
    return None


def compare(role, live, wanted):
    """The entries that would be gained, lost and changed.

    :param role: name of our role.
    :param live: sections as :func:`view` returns them, of what runs; ``wanted`` likewise.
    """
    found = []
    for section in dict.fromkeys([*live, *wanted]):
        before, after = live.get(section) or {}, wanted.get(section) or {}
        for name in dict.fromkeys([*before, *after]):
            if name not in after:
                kind, detail = LOST, shown((section, name), before[name]) if isinstance(before[name], str) else ""
            elif name not in before:
                kind, detail = GAINED, shown((section, name), after[name]) if isinstance(after[name], str) else ""
            elif before[name] != after[name]:
                kind, detail = CHANGED, change(before[name], after[name], (section, name))
            else:
                continue
            keep = advice(role, section, name, kind, before.get(name))
            found.append(Difference(section, redact_text(name), kind, detail, keep))
    return found


def counted(live, wanted):
    """The number of unchanged entries of each section."""
    return {
        section: sum(name in after and after[name] == value for name, value in (live.get(section) or {}).items())
        for section, after in wanted.items()
        if live.get(section)
    }


def rendered(host, services):
    """The table of one host.

    :param services: list of dicts: ``role``, ``words`` (sentences), ``differences`` and ``kept`` (see :func:`counted`).
    """
    count = {kind: sum(one.kind == kind for entry in services for one in entry["differences"]) for kind in MARKS}
    text = [
        "ADOPTION OF {0}: {1} gained, {2} lost, {3} changed; nothing was modified".format(
            host, count[GAINED], count[LOST], count[CHANGED]
        )
    ]
    if not services:
        text += ["", "the inventory defines no service for this host"]
    for entry in services:
        same = entry["kept"] and not entry["differences"]
        text += ["", entry["role"] + (": identical to the inventory" if same else "")]
        text += ["    {0}".format(word) for word in entry["words"]]
        kept = ["{0} {1}".format(number, section) for section, number in entry["kept"].items() if number]
        if kept:
            text.append("    kept: {0}".format(", ".join(kept)))
        for (section, kind, keep), group in _grouped(entry["differences"]).items():
            lines = [one.name + (" ({0})".format(one.detail) if one.detail else "") for one in group]
            # All lost or changed entries are listed.
            if kind == GAINED and len(lines) > LISTED:
                lines = [*lines[:LISTED], "and {0} more".format(len(lines) - LISTED)]
            text.append("  {0} {1} {2}:".format(MARKS[kind], section, kind))
            text += ["        {0}".format(line) for line in lines]
            if keep:
                text.append("      to keep it: {0}".format(keep))
    return "\n".join(text)


def _grouped(differences):
    order = (LOST, CHANGED, GAINED)
    found = {}
    for one in sorted(differences, key=lambda one: order.index(one.kind)):
        found.setdefault((one.section, one.kind, one.keep), []).append(one)
    return found
