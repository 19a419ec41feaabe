# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host remembers of the services that were deployed on it: a record for each, in one directory of root's.

A record tells where a service and its data are, without the inventory that has said so once. It is there before anything of the
service is activated, and stays as long as anything is left of it, its data included.
"""

from __future__ import annotations

import glob
import json
import os
import re

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    ensure_directory,
    read_json,
    read_text,
    write_atomically,
)

DIRECTORY = "/var/lib/vigil.monitoring"
# How every unit of this collection begins.
HEADER = "Written by vigil.monitoring"
# Services of versions before 0.4.0 have no record; their units and the notes of their containers tell of them.
COMMAND = (
    "cat {0}/*.json 2>/dev/null; grep -ls '^# {1}' /etc/systemd/system/*.service; ls -d /etc/*/.vigil/engine 2>/dev/null; :"
).format(DIRECTORY, HEADER)


def parse(text):
    """The services that are deployed on a host.

    :param text: what :data:`COMMAND` prints there.
    :returns: list of dicts with ``service``, or ``unit`` where only that is known, and ``grouped``: whether the inventory
        asked for it by a group, None where that is not known.
    """
    found = []
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("{"):
            record = _record(line)
            if record and not record.get("removed"):
                unit = (record.get("removal") or {}).get("name")
                found.append({"service": record["service"], "unit": unit, "grouped": bool(record.get("grouped"))})
        elif line.endswith("/.vigil/engine"):
            found.append({"unit": line.split("/")[2], "grouped": None})
        elif line.endswith(".service"):
            found.append({"unit": os.path.basename(line)[: -len(".service")], "grouped": None})
    known = {one.get("unit") for one in found if "service" in one}
    return [one for one in found if "service" in one or one["unit"] not in known]


def _record(text):
    """A record, or None where a text is none."""
    try:
        record = json.loads(text)
    except ValueError:
        return None
    good = isinstance(record, dict) and re.fullmatch(r"[a-z][a-z0-9_]*", str(record.get("service")))
    return record if good else None


class Records:
    """The records of this host.

    :param machine: the host, a :class:`_system.System`.
    """

    def __init__(self, machine):
        self.directory = machine.records_directory

    def _path(self, service):
        return os.path.join(self.directory, service + ".json")

    def get(self, service):
        """The record of a service, or None."""
        record = read_json(self._path(service), None, roots=True)
        return record if isinstance(record, dict) and record.get("service") == service else None

    def moved_from(self, service, config_dir):
        """The configuration directory that a service still has, where it is to have another one; else None.

        :param config_dir: the one that it is to have.
        """
        record = self.get(service) or {}
        before = (record.get("removal") or {}).get("config_dir") or ""
        there = before and before != config_dir and os.path.isdir(os.path.join(before, ".vigil"))
        # Back again: what is there is what it has.
        return before if there and not os.path.isfile(os.path.join(config_dir, ".vigil", "proven.json")) else None

    def keep(self, record):
        """Write a record, unless it is there already."""
        if not record or self.get(record["service"]) == record:
            return
        ensure_directory(self.directory, 0o700)
        name = record["service"] + ".json"
        with _nofollow.directory(self.directory) as folder:
            folder.must_be_roots()
            scratch = [one for one in folder.names() if one.startswith(name + ".")]
        for one in scratch:
            # A run was killed while it wrote this.
            _nofollow.unlink(os.path.join(self.directory, one))
        write_atomically(
            self._path(record["service"]), (json.dumps(record, sort_keys=True) + "\n").encode("utf-8"), 0o600
        )

    def end(self, service, given):
        """The service is removed: of its record stays what says where its data is, as long as there is some.

        :param given: the record of the removal, for a service that has none.
        :returns: paths of the data that is kept.
        """
        record = self.get(service) or given
        data = remaining(record)
        self.put_back(service, {**record, "removed": True} if data else None)
        return data

    def put_back(self, service, record):
        """Have the record that there was before; None for none."""
        if record:
            self.keep(record)
        elif _nofollow.inspect(self._path(service)):
            _nofollow.unlink(self._path(service))
            _nofollow.remove_empty(self.directory)


def with_older_data(record, before):
    """A record that also names the data which the one before it named, where it is still there."""
    older = [path for path in remaining(before) if path not in record["data"]] if record else []
    return {**record, "data": [*record["data"], *older]} if older else record


def remaining(record):
    """The paths of a service's data that are there."""
    return [path for path in (record or {}).get("data") or () if os.path.lexists(path)]


# In the start hook of each unit: the journal in its state directory.
HOOK = re.compile(r"^ExecStartPre=.*test ! -e (/[^\s;'\"]+)/\.vigil/undo ", re.MULTILINE)


def find(machine, known, containers):
    """What is on the host of one service.

    :param machine: the host, a :class:`_system.System`.
    :param known: dict with ``service``, ``unit``, and ``config_dir`` and ``releases_dir`` where nothing says otherwise.
    :param containers: name of a service -> names of its containers.
    """
    service, record = known["service"], Records(machine).get(known["service"])
    unit = os.path.join(machine.unit_directory, known["unit"] + ".service")
    text = read_text(unit) if os.path.isfile(unit) else ""
    ours, named = HEADER in text.partition("\n")[0], HOOK.search(text)
    config_dir = (record or {}).get("removal", {}).get("config_dir") or known["config_dir"]
    if ours and named and not record:
        config_dir = named.group(1)
    state = os.path.join(config_dir, ".vigil")
    releases = (record or {}).get("release", {}).get("releases_dir") or known["releases_dir"]
    rules = os.path.join(machine.firewall_directory, service + ".nft")
    left = [unit] if ours else []
    left += [path for path in (state, rules) if os.path.lexists(path)]
    left += ["container " + name for name in containers.get(known["unit"], ())]
    if releases:
        left += sorted(os.path.dirname(path) for path in glob.glob("{0}/{1}-*/.release.json".format(releases, service)))
    if record and not record.get("removed"):
        left.append(os.path.join(machine.records_directory, service + ".json"))
    verified = read_json(os.path.join(state, "proven.json"), {}, roots=True) if os.path.isdir(state) else {}
    data = remaining(record or {"data": [verified.get("data_dir")] if verified.get("data_dir") else []})
    return {"service": service, "left": left, "data": data, "config_dir": config_dir, "record": record}
