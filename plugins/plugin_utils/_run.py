# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which roles of the collection this run of Ansible has begun on which hosts, and with which values of the play.

What a play gives to a role, below ``vars`` or beside its name, is gone when the play ends, and a host may run a service
without being in the group of its name. The verification at the end has to know of both. The notes lie in Ansible's own temporary
directory of this run, which only its user can enter, and go away with it. They hold what the play says, unrendered: of a
secret the name of the variable that holds it.
"""

from __future__ import annotations

import inspect
import json
import os
from urllib.parse import quote, unquote

import yaml
from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.parsing.yaml.dumper import AnsibleDumper
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import COLLECTION
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import (
    _names_in,
    holds_template,
    is_trusted_as_template,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._other_action import reason_of

# Inputs of all roles, and what is none of the play's.
SHARED = "monitoring_"
INTERNAL = ("ansible_", "__")


def folder(*parts):
    """A directory of this run of Ansible, for the notes of all its processes."""
    return os.path.join(C.DEFAULT_LOCAL_TMP, "vigil.monitoring", *parts)


def read_trusted(loader, path):
    """The content of a YAML file of the collection, or of a note, whose templates may be rendered. Nobody may change it."""
    # From ansible-core 2.19 on, what may be templated has to be said. What is called unsafe is no copy, which would take long.
    trusted = "trusted_as_template" in inspect.signature(loader.load_from_file).parameters
    return loader.load_from_file(path, unsafe=True, **({"trusted_as_template": True} if trusted else {})) or {}


def role_defaults(loader, role):
    """The raw defaults of a role of this collection."""
    return read_trusted(loader, os.path.join(COLLECTION, "roles", role, "defaults", "main.yml"))


def _renders(value):
    """Whether all templates in a value may be rendered."""
    if isinstance(value, str):
        return not holds_template(value) or is_trusted_as_template(value)
    if isinstance(value, dict):
        return all(_renders(key) and _renders(one) for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return all(_renders(one) for one in value)
    return True


def given_by_play(variables, inventory, defaults):
    """The inputs of a role that neither the inventory says nor its defaults, and what their templates name. All raw.

    :param variables: those that the role's tasks see.
    :param inventory: those that its host has anywhere.
    :param defaults: the role's inputs.
    """

    def own(name):
        if name not in variables or (name in inventory and inventory[name] == variables[name]):
            return False
        return not (name in defaults and defaults[name] == variables[name])

    wanted = [name for name in variables if name in defaults or name.startswith(SHARED)]
    found = {}
    while wanted:
        name = wanted.pop()
        if name in found or name.startswith(INTERNAL) or not own(name) or not _renders(variables[name]):
            continue
        found[name] = variables[name]
        wanted += [other for other in _names_in(variables[name]) or () if other not in defaults]
    return found


def given_here(role, variables, loader):
    """The inputs of a role that its play gives to the host of this task: see :func:`given_by_play`."""
    inventory = variables["hostvars"].raw_get(variables["inventory_hostname"])
    return given_by_play(variables, inventory, role_defaults(loader, role))


def note(role, host, given):
    """Remember until the end of this run that a role was begun on a host."""
    notes = folder("roles", role)
    os.makedirs(notes, mode=0o700, exist_ok=True)
    path = os.path.join(notes, quote(host, safe=""))
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        stream.write(yaml.dump(given, Dumper=AnsibleDumper, default_flow_style=False) if given else "{}\n")


def first_time(what):
    """Whether this is asked for the first time in this run, by any of Ansible's processes.

    :param what: text.
    """
    notes = folder("said")
    os.makedirs(notes, mode=0o700, exist_ok=True)
    try:
        os.close(os.open(os.path.join(notes, quote(what, safe="")[:200]), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


def looked_at(role, host, mark=False):
    """Whether the inputs of a role on a host were looked at already in this run, before the first of its changes.

    :param mark: to remember that they were.
    """
    path = folder("checked", role, quote(host, safe=""))
    if mark:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    return os.path.exists(path)


def note_deployed(host, text):
    """Remember what a host has said about all services that were deployed on it: see :data:`_deployed.COMMAND`."""
    os.makedirs(folder("deployed"), mode=0o700, exist_ok=True)
    path = folder("deployed", quote(host, safe=""))
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)


def deployed_on(host):
    """What a host has said in this run about all services that were deployed on it; None where nobody has asked it."""
    try:
        with open(folder("deployed", quote(host, safe="")), encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def _remember(kind, service, host, value):
    notes = folder(kind, service)
    os.makedirs(notes, mode=0o700, exist_ok=True)
    path = os.path.join(notes, quote(host, safe=""))
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        json.dump(value, stream)


def _remembered(kind):
    found = {}
    for service in _listed(folder(kind)):
        for name in _listed(folder(kind, service)):
            with open(folder(kind, service, name), encoding="utf-8") as stream:
                found[service, unquote(name)] = json.load(stream)
    return found


def note_ended(service, host, ended):
    """Remember until the end of this run which time series of a service end: see :mod:`_history`."""
    _remember("ended", service, host, ended)


def ended():
    """What was noted of time series that end: ``(service, host)`` -> sentences."""
    return _remembered("ended")


def watched(service, host, work):
    """The result of a step of a service's role; where it fails, the summary of this run says why.

    :param work: takes the step, and returns its result.
    """
    try:
        result = work()
    except AnsibleError as error:
        _remember("failed", service, host, first_line(error))
        raise
    if result.get("failed"):
        _remember("failed", service, host, why_failed(result))
    return result


def failed():
    """Why steps of roles have failed in this run: ``(service, host)`` -> the first line of the message."""
    return _remembered("failed")


def why_failed(result):
    """Why the module of a result has failed, as the first line of what it says."""
    return first_line(reason_of(result))


def first_line(text):
    """The first line of a message."""
    return str(text).strip().split("\n", maxsplit=1)[0]


def noted():
    """Role -> hosts on which it was begun in this run."""
    found = {}
    for role in _listed(folder("roles")):
        found[role] = {unquote(name) for name in _listed(folder("roles", role))}
    return found


def given_to(role, host, loader):
    """What the play gave to a role on a host in this run."""
    path = folder("roles", role, quote(host, safe=""))
    return read_trusted(loader, path) if os.path.exists(path) else {}


def _listed(path):
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []
