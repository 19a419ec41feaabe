# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the inputs of the role backup, and of the services of a host, to the options of the module backup."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from ansible.errors import AnsibleActionFail
from ansible_collections.vigil.monitoring.plugins.module_utils import _backup
from ansible_collections.vigil.monitoring.plugins.module_utils._data_copy import UNFINISHED
from ansible_collections.vigil.monitoring.plugins.module_utils._snapshots import FOLDER
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._other_action import run_other
from ansible_collections.vigil.monitoring.plugins.plugin_utils._role_inputs import RoleInputs

ROLE = "backup"
# In node_exporter's textfile directory: when a restore was rehearsed.
REHEARSED = "vigil_restore_test.prom"
_SECRET = re.compile("SECRET|PASS|PWD|TOKEN|KEY|ACCOUNT|CREDENTIAL", re.IGNORECASE)


def services_of(groups: list[str], inputs: Callable[[str], Any]) -> list[dict]:
    """What is backed up of the services of a host.

    :param groups: the groups of the inventory that it is in.
    :param inputs: function of a service's name that gives the inputs of its role.
    """
    found = []
    for name in _rooms.in_order(groups):
        room, i = _rooms.load(name), inputs(name)
        if room.behind or i["state"] == "absent":
            continue
        one = {"name": name, "version": str(i["version"]), "config": i["config_dir"], **room.backup(i)}
        # What a restore or a move has not completed.
        begun = [posixpath.join(one["data"], ours) for ours in UNFINISHED] if one["data"] else []
        found.append({**one, "exclude": [*one["exclude"], *begun]})
    return found


def config_of(i, services: list[dict]) -> dict:
    """The configuration of the program on the host, with secrets in it.

    :param i: the inputs of the role.
    :param services: see :func:`services_of`.
    """
    state = i["state_dir"]
    return {
        "name": i["name"],
        "restic": i["restic"],
        "options": restic_options(i, i["config_dir"]),
        "environment": {**_environment(i, i["config_dir"]), "RESTIC_CACHE_DIR": state + "/cache", "HOME": state},
        "state_dir": state,
        "textfile": i["textfile_dir"].rstrip("/") + "/vigil_backup.prom" if i["textfile_dir"] else "",
        "keep": {str(name): int(number) for name, number in i["keep"].items()},
        "prune_days": i["prune_days"],
        "check_days": i["check_days"],
        "check_subset": i["check_subset"],
        "paths": i["paths"],
        "exclude": i["exclude"],
        "services": services,
    }


def access_of(i) -> dict:
    """How the repository is reached from a host on which the role was never deployed, see :data:`_snapshots.ACCESS`."""
    return {
        "restic": i["restic"],
        "options": restic_options(i, FOLDER),
        "environment": {**_environment(i, FOLDER), "HOME": FOLDER},
        "password": i["password"],
        "ssh_key": i["ssh_key"],
        "ssh_known_hosts": i["ssh_known_hosts"],
    }


def _environment(i, folder):
    return {
        **{str(name): str(value) for name, value in i["environment"].items()},
        "RESTIC_REPOSITORY": i["repository"],
        "RESTIC_PASSWORD_FILE": folder + "/password",
    }


def restic_options(i, folder: str) -> list[str]:
    """The options of restic that are no secret.

    :param folder: directory of the key.
    """
    options = list(i["restic_options"])
    if i["ssh_key"]:
        options.append("sftp.command=" + sftp_command(i["repository"], folder))
    return [part for option in options for part in ("-o", option)]


def sftp_command(repository: str, folder: str) -> str:
    """The command by which restic reaches a repository with ``sftp:``."""
    place, port = repository[len("sftp:") :], ""
    if place.startswith("//"):
        server = place[2:].partition("/")[0]
        server, dummy, port = server.rpartition(":") if server.rpartition(":")[2].isdigit() else (server, "", "")
    elif "[" in place:
        server = place.partition("]")[0].replace("[", "")
    else:
        server = place.partition(":")[0]
    argv = ["ssh", *(["-p", port] if port else []), "-i", folder + "/ssh_key"]
    for option in (
        "UserKnownHostsFile={0}/known_hosts".format(folder),
        "StrictHostKeyChecking=yes",
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "ConnectTimeout=30",
        "ServerAliveInterval=30",
    ):
        argv += ["-o", option]
    return " ".join(shlex.quote(part) for part in [*argv, server.strip("[]"), "-s", "sftp"])


def packages_of(i) -> list[str]:
    """The packages that have the programs by which the repository is reached."""
    return [*i["packages"], *(["openssh-client"] if i["repository"].startswith("sftp:") else [])]


def install(action, i, task_vars: dict) -> None:
    """Install the programs by which the repository is reached.

    :param action: an action plugin.
    :raises AnsibleActionFail: when they cannot be installed.
    """
    package = {"name": packages_of(i), "state": "present"}
    installed = run_other(action, "ansible.builtin.package", package, task_vars)
    if installed.get("failed"):
        # The list of packages of a new host may be empty, or old.
        installed = run_other(action, "ansible.builtin.apt", {**package, "update_cache": True}, task_vars)
    if installed.get("failed"):
        raise AnsibleActionFail(
            "{0} cannot be installed, and {1} is missing: {2}".format(
                ", ".join(packages_of(i)), i["restic"], installed.get("msg")
            )
        )


def record_of(i, grouped: bool) -> dict:
    """What the host remembers of it: see :mod:`_deployed`.

    :param grouped: whether a group of the inventory asks for it.
    """
    places = {name: i[name] for name in ("config_dir", "program_dir", "state_dir", "textfile_dir")}
    removal = {"name": _backup.UNIT, **places}
    return {"service": ROLE, "grouped": grouped, "data": [i["state_dir"]], "removal": removal}


def removal_options(record: dict, purges: bool) -> dict:
    """The options of the module backup that remove what a record describes.

    :param purges: whether its state goes as well.
    """
    places = {name: value for name, value in record["removal"].items() if name != "name"}
    return {**places, "state": "absent", "record": record, "remove_data": purges}


def module_options(i, services: list[dict], grouped: bool) -> dict:
    """The options of the module backup.

    :param grouped: see :func:`record_of`.
    """
    present = i["state"] != "absent"
    return {
        "state": i["state"],
        "record": record_of(i, grouped),
        "config": config_of(i, services) if present else {},
        "password": i["password"],
        "ssh_key": i["ssh_key"],
        "ssh_known_hosts": i["ssh_known_hosts"],
        "secrets": secrets_of(i, services),
        "schedule": i["schedule"],
        "schedule_delay": i["schedule_delay"],
        "packages": packages_of(i),
        "config_dir": i["config_dir"],
        "program_dir": i["program_dir"],
        "state_dir": i["state_dir"],
        "textfile_dir": i["textfile_dir"],
    }


def secrets_of(i, services: list[dict]) -> list[str]:
    """What no output may show."""
    found = [i["password"], i["ssh_key"], urlsplit(i["repository"].partition(":")[2]).password]
    found += [value for name, value in i["environment"].items() if _SECRET.search(str(name))]
    found += secrets_of_databases(step for one in services for step in one["prepare"])
    return sorted({str(one) for one in found if one})


def secrets_of_databases(steps) -> list[str]:
    """Those in the environment of the clients of databases.

    :param steps: dicts, maybe with ``environment``.
    """
    return [value for one in steps for name, value in one.get("environment", {}).items() if _SECRET.search(name)]


def of_host(action, task_vars: dict) -> tuple[RoleInputs, list[dict]]:
    """The inputs of the role on a host, and what is backed up of its services.

    :param action: an action plugin.
    """

    def inputs(name):
        return RoleInputs.for_reading(name, action._loader, action._templar, task_vars)

    return inputs(ROLE), services_of(task_vars["group_names"], inputs)
