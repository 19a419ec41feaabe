#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: live_services
short_description: Read how monitoring services run on a host, whoever deployed them
description:
  - Finds the processes of services by their programs, and reads their command lines, accounts, files and what they report
    about themselves. It changes nothing.
  - What it reads holds secrets, so the result is one opaque string for M(vigil.monitoring.adoption), which uses it.
version_added: 0.3.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
extends_documentation_fragment:
  - vigil.monitoring.attributes.reads_only
options:
  services:
    description: The services to look for.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the service, by which the result has it.
        type: str
        required: true
      programs:
        description: Names of its program.
        type: list
        elements: str
        required: true
      port:
        description: Port that it listens on unless its command line says otherwise. Required with O(services[].paths).
        type: int
      config_flags:
        description: Flags that name a file in the directory of its configuration, the most telling one first.
        type: list
        elements: str
        default: []
      paths:
        description: Paths that are requested of it.
        type: list
        elements: str
        default: []
      config_dir:
        description: Where its configuration is unless its command line says otherwise.
        type: path
        required: true
      username:
        description: Name for basic authentication.
        type: str
      password:
        description: Password for basic authentication.
        type: str
      further:
        description: Shell patterns of further files that belong to it, absolute.
        type: list
        elements: str
        default: []
seealso:
  - module: vigil.monitoring.adoption
"""

EXAMPLES = r"""
- name: Read how Prometheus runs
  vigil.monitoring.live_services:
    services:
      - name: prometheus
        programs: [prometheus]
        port: 9090
        config_flags: [config.file]
        paths: [/api/v1/status/config]
        config_dir: /etc/prometheus
"""

RETURN = r"""
payload:
  description: What was read, for M(vigil.monitoring.adoption).
  returned: always
  type: str
"""

import glob
import grp
import os
import pwd
import stat

from ansible_collections.vigil.monitoring.plugins.module_utils._http import get
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._running_service import (
    config_directory,
    flags_of,
    url_of,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._tree import pack

# Of one file, in bytes, and of all files of a service: a configuration is smaller.
LONGEST = 4 << 20
MOST_FILES = 5000


def read(path):
    """What is at a path, unless it is no regular file: dict with ``content``, ``owner``, ``group`` and ``mode``."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            return None
        content = stream.read(LONGEST).decode("utf-8", "replace")
    return {"content": content, **owners(status)}


def owners(status):
    """Owner, group and mode in words."""
    return {
        "owner": name_of(pwd.getpwuid, status.st_uid),
        "group": name_of(grp.getgrgid, status.st_gid),
        "mode": "{0:04o}".format(stat.S_IMODE(status.st_mode)),
    }


def name_of(find, number):
    """The name of an account, or its number where it has none."""
    try:
        return find(number)[0]
    except KeyError:
        return str(number)


def processes(programs):
    """The processes that run one of a service's programs: ``(pid, command line)``, the oldest first."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            program = os.path.basename(os.readlink("/proc/{0}/exe".format(pid)).replace(" (deleted)", ""))
            with open("/proc/{0}/cmdline".format(pid), "rb") as stream:
                argv = stream.read().decode("utf-8", "replace").split("\0")[:-1]
        except OSError:
            continue
        if program in programs and argv:
            found.append((int(pid), argv))
    return sorted(found)


def is_contained(pid):
    """Whether a process sees other files than the host."""
    try:
        return os.readlink("/proc/{0}/ns/mnt".format(pid)) != os.readlink("/proc/1/ns/mnt") and (
            os.stat("/proc/{0}/root/".format(pid)).st_ino != os.stat("/").st_ino
            or os.stat("/proc/{0}/root/".format(pid)).st_dev != os.stat("/").st_dev
        )
    except OSError:
        return False


def files_below(root, directory):
    """The regular files below a directory, but for our own state: path to what :func:`read` says."""
    found = {}
    for where, folders, names in os.walk(root + directory):
        folders[:] = sorted(name for name in folders if name != ".vigil")
        for name in sorted(names):
            if len(found) >= MOST_FILES:
                return found
            entry = read(os.path.join(where, name))
            if entry:
                found[os.path.join(where, name)[len(root) :]] = entry
    return found


def files_elsewhere(root, flags, patterns):
    """The files that flags name, and those that patterns match: path to what :func:`read` says."""
    named = [path for flag in ("web.config.file", "config.my-cnf") for path in flags.get(flag, ())]
    paths = [root + path for path in named if os.path.isabs(path)]
    for pattern in patterns:
        paths += sorted(glob.glob(root + pattern, recursive=True))[:MOST_FILES]
    found = ((path[len(root) :], read(path)) for path in paths)
    return {path: entry for path, entry in found if entry}


def inspect(service):
    """All about one service."""
    running = processes(service["programs"])
    if not running:
        return {"running": False, "files": files_below("", service["config_dir"])}
    pid, argv = running[0]
    contained = is_contained(pid)
    root = "/proc/{0}/root".format(pid) if contained else ""
    flags = flags_of(argv)
    directory = config_directory(service["config_flags"], flags, service["config_dir"])
    files = {**files_below(root, directory), **files_elsewhere(root, flags, service["further"])}
    status = os.stat("/proc/{0}".format(pid))
    found = {
        "running": True,
        "several": len(running),
        "pid": pid,
        "argv": argv,
        "executable": os.readlink("/proc/{0}/exe".format(pid)),
        "contained": contained,
        "account": owners(status),
        "config_dir": directory,
        "files": files,
        "directories": {},
        "answers": {},
    }
    for flag in ("storage.tsdb.path", "storage.agent.path", "storage.path"):
        for path in flags.get(flag, ()):
            if os.path.isdir(root + path):
                found["directories"][path] = owners(os.stat(root + path))
    if service["paths"]:
        web = files.get((flags.get("web.config.file") or [""])[0], {}).get("content", "")
        url = url_of(service["port"], flags, "tls_server_config:" in web and "cert_file" in web)
        for path in service["paths"]:
            answer = get(url + path, service["username"], service["password"])
            found["answers"][path] = {"status": answer.status, "text": answer.text}
    return found


def main():
    """Entry point."""
    module = Module(
        argument_spec={
            "services": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "programs": {"type": "list", "elements": "str", "required": True},
                    "port": {"type": "int"},
                    "config_flags": {"type": "list", "elements": "str", "default": []},
                    "paths": {"type": "list", "elements": "str", "default": []},
                    "config_dir": {"type": "path", "required": True},
                    "username": {"type": "str"},
                    "password": {"type": "str", "no_log": True},
                    "further": {"type": "list", "elements": "str", "default": []},
                },
            },
        },
        supports_check_mode=True,
    )
    if os.geteuid() != 0:
        module.fail_json(msg="root is needed to see how services run; run the play with become: true")
    module.exit_json(
        changed=False, payload=pack({entry["name"]: inspect(entry) for entry in module.params["services"]})
    )


if __name__ == "__main__":
    main()
