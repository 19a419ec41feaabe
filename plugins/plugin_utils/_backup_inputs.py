# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the inputs of the role backup: values in, sentences out. No value of a secret is repeated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.vigil.monitoring.plugins.plugin_utils._check_roles import spec_of
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem, did_you_mean, shown

KEEP = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
KINDS = ("sftp", "s3", "rest", "b2", "azure", "gs", "swift", "rclone")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SUBSET = re.compile(r"|\d+(\.\d+)?%|\d+/\d+|\d+[KMGT]?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SFTP = re.compile(r"(?P<user>[\w.-]+@)?(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\]):(?P<path>.+)")
# Set by this collection.
OWN = ("RESTIC_REPOSITORY", "RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_CACHE_DIR", "RESTIC_REPOSITORY_FILE")


def problems(role: str, values: dict) -> list[Problem]:
    """Everything that cannot work.

    :param role: name of the role.
    :param values: its inputs by their whole names, which are of the types that its argument specs say or can be made so.
    """
    given = {name: value for name, value in values.items() if value is not None}
    given = {**values, **ArgumentSpecValidator(spec_of(role)).validate(given).validated_parameters}
    if given["backup_state"] == "absent":
        return []
    return [*_repository(given), *_access(given), *_times(given), *_paths(given)]


def check_group(hosts: Iterable[str], value: Callable, inventory: dict) -> list[tuple[str, Problem]]:
    """What is wrong with all hosts of the group together: host and problem.

    Snapshots of one name are those of one host, and metrics of one name are one backup to the alerts.

    :param hosts: also those that this run leaves out.
    :param value: function of a host and the name of a variable.
    """
    by_name, found = {}, []
    for host in hosts:
        if value(host, "backup_state") != "absent":
            by_name.setdefault(str(value(host, "backup_name")), []).append(host)
    for name, those in by_name.items():
        if len(those) > 1:
            text = "is {0} on {1}".format(shown(name), " and ".join([", ".join(those[:-1]), those[-1]]))
            found.append((those[0], Problem("backup_name", text, "give each host its own, or leave it out")))
    return found


def _repository(given) -> Iterable[Problem]:
    repository, kind = given["backup_repository"], given["backup_repository"].partition(":")[0]
    if not repository:
        yield Problem("backup_repository", "is empty", "name where backups go, such as sftp:backup@host:/srv/backup")
    elif kind == "sftp" and not repository.startswith("sftp://") and not _SFTP.fullmatch(repository[5:]):
        yield Problem("backup_repository", "is {0}".format(shown(repository)), "write sftp:USER@HOST:/PATH")
    elif not repository.startswith("/") and (":" not in repository or kind not in KINDS):
        # It may have a password in it.
        yield Problem(
            "backup_repository",
            "is neither an absolute path nor of a kind that restic knows",
            "begin it with / or with one of {0}".format(", ".join(one + ":" for one in KINDS)),
        )
    elif repository.startswith("/") and any(
        _inside(repository, given[name]) for name in ("backup_state_dir", "backup_config_dir")
    ):
        yield Problem(
            "backup_repository", "is {0}, in the role's own directory".format(shown(repository)), "name another place"
        )


def _access(given) -> Iterable[Problem]:
    kind = given["backup_repository"].partition(":")[0]
    if not given["backup_password"]:
        yield Problem("backup_password", "is empty", "set a password, and keep it where a lost host does not matter")
    elif "\n" in given["backup_password"]:
        yield Problem("backup_password", "has more than one line", "restic reads the first one only; give one line")
    if kind != "sftp" and given["backup_ssh_key"]:
        yield Problem("backup_ssh_key", "is set, and backup_repository is none with sftp:", "remove one of them")
    elif given["backup_ssh_key"] and not given["backup_ssh_known_hosts"].strip():
        yield Problem(
            "backup_ssh_known_hosts",
            "is empty",
            "give the line of the server that `ssh-keyscan HOST` prints, once you have verified it there",
        )
    elif given["backup_ssh_key"] and "PRIVATE KEY" not in given["backup_ssh_key"]:
        yield Problem("backup_ssh_key", "is no private key in PEM", "give the text of the file that ssh-keygen wrote")
    for name in given["backup_environment"]:
        if not _VARIABLE.fullmatch(str(name)):
            yield Problem("backup_environment", "has {0}".format(shown(name)), "give names of environment variables")
        elif name in OWN:
            yield Problem("backup_environment", "has {0}".format(name), "use the inputs of the role for it")
    for option in given["backup_restic_options"]:
        if "=" not in option:
            yield Problem("backup_restic_options", "has {0}".format(shown(option)), "write KEY=VALUE")


def _times(given) -> Iterable[Problem]:
    if not _NAME.fullmatch(given["backup_name"] or ""):
        yield Problem(
            "backup_name", "is {0}".format(shown(given["backup_name"])), "use letters, digits, dots, - and _ only"
        )
    for name in ("backup_schedule", "backup_schedule_delay"):
        if not given[name].strip() or re.search(r"[\n\r%]", given[name]):
            yield Problem(name, "is {0}".format(shown(given[name])), "write it as systemd.time(7) says")
    for name, number in given["backup_keep"].items():
        if name not in KEEP:
            known = "known are {0}".format(", ".join(KEEP))
            yield Problem("backup_keep", "has {0}".format(shown(name)), did_you_mean(str(name), KEEP, known))
        elif not str(number).isdigit() or int(number) < 1:
            yield Problem("backup_keep.{0}".format(name), "is {0}".format(shown(number)), "give a number from 1 on")
    for name in ("backup_prune_days", "backup_check_days"):
        if given[name] < 0:
            yield Problem(name, "is {0}".format(given[name]), "give a number of days, or 0 for never")
    if not _SUBSET.fullmatch(given["backup_check_subset"]):
        yield Problem(
            "backup_check_subset", "is {0}".format(shown(given["backup_check_subset"])), "write it like 5%, 1/7 or 1G"
        )


def _paths(given) -> Iterable[Problem]:
    names = ("backup_config_dir", "backup_program_dir", "backup_state_dir", "backup_restic", "backup_textfile_dir")
    for name in names:
        path = given[name]
        if (path or name != "backup_textfile_dir") and (
            not path.startswith("/") or ".." in path.split("/") or "\n" in path
        ):
            yield Problem(name, "is {0}".format(shown(path)), "give an absolute path")
        elif name not in ("backup_restic", "backup_textfile_dir") and len(path.strip("/").split("/")) < 2:
            yield Problem(name, "is {0}, which belongs to the system".format(shown(path)), "give the role its own")
    for path in given["backup_paths"]:
        if not path.startswith("/") or path.rstrip("/") == "" or "\n" in path:
            yield Problem("backup_paths", "has {0}".format(shown(path)), "give absolute paths, and not all of the host")


def _inside(path, other):
    return (path.rstrip("/") + "/").startswith(other.rstrip("/") + "/")
