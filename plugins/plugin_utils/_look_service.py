# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at a service that was proven."""

from __future__ import annotations

import hashlib
import json
import posixpath
import shlex
from pathlib import Path
from types import SimpleNamespace

from ansible_collections.vigil.monitoring.plugins.module_utils import _health
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import (
    DEFAULT_HOST,
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
    AS_ON_DISK,
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
from ansible_collections.vigil.monitoring.plugins.plugin_utils._look import SUMS, inside, of, script, sections

MODULE_UTILS = Path(_health.__file__).parent


class Service:
    """A service that runs, as it was proven to for exactly the same options.

    :param options: those of the module service.
    :param python: Python on the host.
    """

    def __init__(self, options, python="python3"):
        self.options = options
        self.python = python
        self.name = options["name"]
        self.health = complete(options["health"], options.get("role") or self.name)
        self.contained = options.get("runtime") == "docker"
        self.state = posixpath.join(options["config_dir"].rstrip("/"), ".vigil")
        self.links = options.get("links") or {}
        # Without what may be a password, of which nothing is kept on the host, not even a digest.
        told = {name: value for name, value in options.items() if name not in ("secrets", "reload", "database")}
        text = json.dumps([told, (options.get("reload") or {}).get("paths"), code()], sort_keys=True, default=str)
        self.asked = hashlib.sha256(text.encode("utf-8")).hexdigest()

    def can_tell(self):
        """Whether a look can be enough: not where a password, a certificate or a device of the host has its part in it."""
        health = self.health
        protected = any(health[name] for name in ("username", "password", "ca_path", "client_cert"))
        devices = self.contained and (self.options.get("container") or {}).get("devices")
        return not protected and not devices and str(health["url"]).startswith("http://")

    @staticmethod
    def program():
        """What Python runs on the host."""
        return (MODULE_UTILS / "_process_state.py").read_text(encoding="utf-8")

    def command(self, reads=False):
        """What to run on the host.

        :param reads: whether it is given :meth:`program` to read, instead of having it in its command line.
        """
        options, health = self.options, self.health
        units = () if self.contained else (unit_path(self.name), dropin_path(self.name))
        files = [*(options.get("files") or {}), *units]
        glance = ["-I", "-"] if reads else ["-I", "-c", self.program()]
        glance += [posixpath.dirname(self.state), health["url"]]
        glance += [",".join(metric_names(health)), health["loaded_config_path"] or ""]
        glance += [health["metrics_path"]]
        glance += [health["ready_path"]] if health["ready_path"] else []
        return inside(
            self.state,
            script(
                "ls -A",
                "cat manifest.json",
                "cat proven.json",
                self._ask_runtime(),
                of(SUMS, sorted(files)),
                of("readlink", sorted(self.links)),
                of("readlink -f", () if self.contained else (options.get("argv") or ())[:1]),
                of("stat -c %Z", options.get("reads") or ()),
                of("id", [self.user()] if self.contained else ()),
                "{0} {1}".format(shlex.quote(self.python), " ".join(map(shlex.quote, glance))),
            ),
        )

    def user(self):
        """The account of the container on the host."""
        return str((self.options.get("container") or {}).get("user")).partition(":")[0]

    def _ask_runtime(self):
        if self.contained:
            docker = "docker -H {0} container inspect --format '{{{{json .}}}}' {1}"
            return docker.format(
                shlex.quote(self.options.get("docker_host") or DEFAULT_HOST),
                " ".join(map(shlex.quote, names_of(self.name))),
            )
        units = [self.name + ".service", *(self.options.get("conflicts") or ())]
        properties = "Id,LoadState,ActiveState,UnitFileState,MainPID,NeedDaemonReload," + ",".join(DEFINITION)
        return "systemctl show --property={0} -- {1}".format(properties, " ".join(map(shlex.quote, units)))

    def result(self, output):
        """The module's answer where there is nothing to do, else None."""
        try:
            names, *known, runtime, sums, links, binary, times, account, seen = sections(output)
            manifest, proven, seen = *map(json.loads, known), json.loads(seen)
            names = set(names.splitlines())
            if not (
                # Neither in the middle of a switch nor with one that was not proven.
                not {"undo", "staged"} & names
                and (self.contained or "engine" not in names)
                and manifest["generation"] == proven["generation"]
                and proven["asked"] == self.asked
                and dict(map(_of_sum, sums.splitlines())) == proven["files"]
                and links.splitlines() == [target for dummy, target in sorted(self.links.items())]
                and list(map(int, times.splitlines())) == proven["reads"]
                and account == proven["account"]
                and seen["process"]
                and start_ticks(seen["process"]["stat"]) == proven["started"]
                and other_start(seen["process"]["start"], proven["start"]) is None
                and self._runs(runtime, manifest, proven, seen["process"]["executable"], binary)
            ):
                return None
            return self._answer([SimpleNamespace(**one) for one in seen["said"] or ()], proven, seen)
        except (ValueError, LookupError, TypeError):
            return None

    def _runs(self, runtime, manifest, proven, executable, binary):
        """Whether the runtime's main process is the one that was proven, and nothing is in its way."""
        if not self.contained:
            mine, *others = map(parse_show, runtime.split("\n\n"))
            wanted = {
                "ActiveState": "active",
                "UnitFileState": "enabled",
                "NeedDaemonReload": "no",
                "MainPID": str(proven["pid"]),
            }
            free = not any(is_in_the_way(one) for one in others if one["Id"] != mine["Id"])
            as_read = definition(mine) == proven["definition"]
            return free and as_read and wanted.items() <= mine.items() and executable == binary
        container = json.loads(runtime)
        made = manifest["container"]
        return (
            container["Id"] == made["id"]
            and container["Image"] == self.options["image"] == made["image"]
            and container["State"]["Pid"] == proven["pid"]
            and not trouble(None, container)
            and limits(container) == made["limits"]
            and container["HostConfig"]["RestartPolicy"]["Name"] == policy_of(made)
        )

    def _answer(self, answers, proven, seen):
        """The module's answer for a service that says what it has to, else None."""
        health = self.health
        if not answers:
            return None
        metrics, ready = answers[0], answers[1] if len(answers) > 1 else None
        verdict = judge(health, metrics, ready, self.options.get("version"))
        configuration = reported(health, metrics.text).configuration or seen["configuration"]
        # A service that showed what it had loaded, and does so no longer, is left to the module.
        as_loaded = configuration == proven["configuration"]
        if not as_loaded or not is_loaded(proven, True, seen["touched"], configuration, False):
            return None
        if verdict.state != "ok" or lost_dependency(health, metrics.text):
            return None
        return {
            "changed": False,
            "action": AS_ON_DISK.action,
            "reason": AS_ON_DISK.reason,
            "version": reported(health, metrics.text).version,
            "pid": proven["pid"],
            "unverified": [],
            "notes": [],
            "diff": [],
        }


def _of_sum(line):
    digest, dummy, path = line.partition("  ")
    return path, digest


def code():
    """A digest of the code that decides about services: what another version proved is looked at again."""
    files = [*sorted(MODULE_UTILS.glob("*.py")), MODULE_UTILS.parent / "modules" / "service.py"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
