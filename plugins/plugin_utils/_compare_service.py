# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares a service that was verified with the inventory."""

from __future__ import annotations

import hashlib
import json
import posixpath
import shlex
from pathlib import Path
from types import SimpleNamespace

from ansible_collections.vigil.monitoring.plugins.module_utils import _compare_program, _firewall, _health
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import (
    DEFAULT_HOST,
    LABEL_DEFINITION,
    label,
    limits,
    names_of,
    policy_of,
    trouble,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._health import (
    complete,
    judge,
    lost_dependency,
    metric_names,
    reported,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._process import (
    is_loaded,
    other_start,
    start_ticks,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._systemd import (
    DEFINITION,
    definition,
    dropin_path,
    is_in_the_way,
    parse_show,
    unit_path,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._host_commands import SUMS, inside, of, script, sections

# Of the option `health`, what stands in the command line of the program on the host: no secret.
SENT = (
    "url",
    "other_urls",
    "metrics_path",
    "ready_path",
    "loaded_config_path",
    "ca_path",
    "client_cert",
    "client_key",
)
# What is secret of it, or is another one in a later run.
UNTOLD = ("password", "client_pem")
MODULE_UTILS = Path(_health.__file__).parent


class Service:
    """A service that runs, as it was verified for exactly the same options.

    :param options: those of the module service.
    :param python: Python on the host.
    :param readable: files that the configuration names.
    :param account: user and group that have to be able to read them.
    """

    def __init__(self, options, python="python3", readable=(), account=("", "")):
        self.options = options
        self.python = python
        self.readable = list(readable)
        self.account = account
        self.name = options["name"]
        self.health = complete(options["health"], options.get("role") or self.name)
        self.contained = options.get("runtime") == "docker"
        self.state = posixpath.join(options["config_dir"].rstrip("/"), ".vigil")
        self.links = options.get("links") or {}
        container = options.get("container") if self.contained else None
        self.devices = sorted(device.split(":")[0] for device in (container or {}).get("devices") or ())
        # Without what may be a password, of which nothing is kept on the host, not even a digest.
        told = {
            name: value
            for name, value in options.items()
            if name not in ("secrets", "reload", "database", "dump", "migrations", "history")
        }
        told["health"] = {name: value for name, value in options["health"].items() if name not in UNTOLD}
        text = json.dumps([told, (options.get("reload") or {}).get("paths"), code()], sort_keys=True, default=str)
        self.asked = hashlib.sha256(text.encode("utf-8")).hexdigest()

    def login(self):
        """What the program on the host is given to read, where the service requires a password or a certificate; else None."""
        found = {name: self.health[name] for name in ("username", "password", "client_pem")}
        return json.dumps(found) + "\n" if found["username"] or found["client_pem"] else None

    def program_options(self, login=False):
        """The arguments of the program on the host, see :func:`_compare_program.compare`."""
        user, group = self.account
        return {
            "config_dir": posixpath.dirname(self.state),
            "health": {name: self.health[name] for name in SENT},
            "names": metric_names(self.health),
            "readable": self.readable,
            "user": user,
            "group": group,
            "login": login,
        }

    def command(self, login=False):
        """What to run on the host.

        :param login: whether it is given :meth:`login` to read. A password stands in no command line.
        """
        options, firewall = self.options, self.options.get("firewall")
        units = () if self.contained else (unit_path(self.name), dropin_path(self.name))
        files = [*(options.get("files") or {}), *units]
        # Nothing of the user's may be imported, nothing is needed of what is installed for this Python, and nothing is written.
        program = [self.python, "-I", "-S", "-B", _compare_program.directory(), json.dumps(self.program_options(login))]
        return inside(
            self.state,
            script(
                "ls -A",
                "cat manifest.json",
                "cat proven.json",
                self._inspect_runtime(),
                of(SUMS, sorted(files)),
                of("stat -c %F", sorted(files)),
                of("readlink", sorted(self.links)),
                of("readlink -f", () if self.contained else (options.get("argv") or ())[:1]),
                of("stat -c %Z", options.get("reads") or ()),
                of("id", [self.user()] if self.contained else ()),
                of("ls -d", self.devices),
                _firewall.command(_firewall.rules_of(firewall)) if firewall else ":",
                " ".join(map(shlex.quote, program)),
            ),
        )

    def user(self):
        """The account of the container on the host."""
        return str((self.options.get("container") or {}).get("user")).partition(":")[0]

    def _inspect_runtime(self):
        if self.contained:
            docker = "docker -H {0} container inspect --format '{{{{json .}}}}' {1}"
            return docker.format(
                shlex.quote(self.options.get("docker_host") or DEFAULT_HOST),
                " ".join(map(shlex.quote, names_of(self.name))),
            )
        units = [self.name + ".service", *(self.options.get("conflicts") or ())]
        properties = "Id,LoadState,ActiveState,UnitFileState,MainPID,NeedDaemonReload," + ",".join(DEFINITION)
        return "systemctl show --property={0} -- {1}".format(properties, " ".join(map(shlex.quote, units)))

    def can_read(self, output):
        """Whether the service can read the files that its configuration names."""
        if not self.readable:
            return True
        try:
            return json.loads(sections(output)[-1])["unusable"] == {}
        except (ValueError, LookupError, TypeError):
            return False

    def matches(self, output, login=False):
        """Whether there is nothing to do.

        :param login: whether the program was given :meth:`login`.
        """
        try:
            names, *known, runtime, sums, kinds, links, binary, times, account, devices, rules, seen = sections(output)
            manifest, verified, seen = *map(json.loads, known), json.loads(seen)
            names = set(names.splitlines())
            return (
                # Neither in the middle of a switch nor with one that was not verified.
                not {"undo", "staged", "before", "data.json"} & names
                and (self.contained or "engine" not in names)
                and manifest["generation"] == verified["generation"]
                and verified["asked"] == self.asked
                and dict(map(_of_sum, sums.splitlines())) == verified["files"]
                # No link in their place, whose target somebody else may change.
                and all(kind.startswith("regular") for kind in kinds.splitlines())
                and links.splitlines() == [target for dummy, target in sorted(self.links.items())]
                and list(map(int, times.splitlines())) == verified["reads"]
                and account == verified["account"]
                and devices.splitlines() == verified["devices"]
                and (not self.options.get("firewall") or _firewall.digest_of(rules) == verified["firewall"])
                and bool(seen["process"])
                and start_ticks(seen["process"]["stat"]) == verified["started"]
                and other_start(seen["process"]["start"], verified["start"]) is None
                and self._runs(runtime, manifest, verified, seen["process"]["executable"], binary)
                and self._serves(verified, seen, login)
            )
        except (ValueError, LookupError, TypeError):
            return False

    def _runs(self, runtime, manifest, verified, executable, binary):
        """Whether the runtime's main process is the one that was verified, and nothing is in its way."""
        if not self.contained:
            mine, *others = map(parse_show, runtime.split("\n\n"))
            wanted = {
                "ActiveState": "active",
                "UnitFileState": "enabled",
                "NeedDaemonReload": "no",
                "MainPID": str(verified["pid"]),
            }
            free = not any(is_in_the_way(one) for one in others if one["Id"] != mine["Id"])
            as_read = definition(mine) == verified["definition"]
            return free and as_read and wanted.items() <= mine.items() and executable == binary
        container = json.loads(runtime)
        made = manifest["container"]
        return (
            container["Id"] == made["id"]
            and container["Image"] == self.options["image"] == made["image"]
            and label(container, LABEL_DEFINITION) == made["fingerprint"]
            and container["State"]["Pid"] == verified["pid"]
            and not trouble(None, container)
            and limits(container) == made["limits"]
            and container["HostConfig"]["RestartPolicy"]["Name"] == policy_of(made)
        )

    def _serves(self, verified, seen, login):
        """Whether the service answers as it has to."""
        health = self.health
        metrics, *others = [SimpleNamespace(**one) for one in seen["answers"]]
        verdict = judge(health, metrics, others[0] if others else None, self.options.get("version"))
        if verdict.state == "unverified":
            # Of the very process that was verified; a password that was given is not refused this way.
            return not login and is_loaded(verified, True, seen["touched"], None, False)
        configuration = reported(health, metrics.text).configuration or seen["configuration"]
        # A service that showed what it had loaded, and does so no longer, is left to the module.
        as_loaded = configuration == verified["configuration"]
        if not as_loaded or not is_loaded(verified, True, seen["touched"], configuration, False):
            return False
        return verdict.state == "ok" and not lost_dependency(health, metrics.text)


def _of_sum(line):
    digest, dummy, path = line.partition("  ")
    return path, digest


def code():
    """A digest of the code that decides about services: what another version verified is verified anew."""
    files = [*sorted(MODULE_UTILS.glob("*.py")), MODULE_UTILS.parent / "modules" / "service.py"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
