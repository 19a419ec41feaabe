# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service is to the generic code. Each has a room, ``services/<name>.py``, with all that sets it apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils._data_copy import size_of
from ansible_collections.vigil.monitoring.plugins.module_utils._health import RELOAD, RESTART
from ansible_collections.vigil.monitoring.plugins.plugin_utils._deployment import Deployment, docker_host

__all__ = ["RELOAD", "RESTART", "Service", "Surroundings"]


class Surroundings(NamedTuple):
    """What a verification has besides the service's own variables."""

    host: str
    """Name of the host in the inventory."""

    members: list
    """The hosts of the inventory that run the same service."""

    value: Callable
    """Function of a host and the name of a variable, which returns its value or None."""

    ignore: list
    """Targets that may be down: the option of the module service_health."""

    load: Callable
    """Function of a path on the controller, which returns what the YAML file holds."""


class Service(Deployment):
    """A service with the behaviour of an exporter that has no configuration; a room overrides what is different.

    The name is that of the room's file, of the role, of the inventory group whose hosts run the service, and the prefix of
    its variables.
    """

    name: str = ""
    """Name of the service: that of its room's file."""

    stage: int = 1
    """When it is deployed: services of a lower stage first, those of one stage by name. Exporters have 1."""

    unit_name: str = ""
    """Name of its systemd service and of its container. Default: the service's name."""

    web_config_variable: str = "tls_server_config"
    """Suffix of the variable in which TLS of its web interface is configured."""

    dry_run_argument: str | None = None
    """An argument with which the program checks all others and exits before it does anything; None where it has none."""

    metrics_prefix: str = ""
    """What the names of ``_build_info`` and ``_config_last_reload_…`` begin with. Default: the service's name."""

    version_metric: str = ""
    """Metric that has its version in a label. Default: ``<metrics_prefix>_build_info``."""

    version_label: str = "version"
    """Label of :attr:`version_metric` that is the version."""

    ready_path: str | None = None
    """Path that answers 200 when the service is ready; None: a service is ready when it serves metrics."""

    on_config_change: str | None = None
    """How it loads a changed configuration: ``reload`` by SIGHUP, with the outcome in its metrics; ``restart``; or None
    where it reads its files at each request."""

    dependency_metric: str | None = None
    """Gauge that is 0 while the service cannot reach what it depends on."""

    dependency: str | None = None
    """What it depends on, for messages, such as ``database``."""

    loaded_config_path: str | None = None
    """Path at which it shows the configuration that it has loaded; None where it shows none."""

    config_hash_metric: str | None = None
    """Metric whose value changes with the configuration that it has loaded."""

    loaded_directories: tuple[str, ...] = ()
    """Directories below its configuration directory from which it loads every file."""

    for_people: bool = False
    """Whether people have to reach it; other services are there for Prometheus alone."""

    receives_alerts: bool = False
    """Whether it is the service to which alerts are sent."""

    shows_secrets: bool = False
    """Whether its log, or what its verification finds, may hold one of ``__<name>_secrets``."""

    log_seconds: int = 5
    """How far back its log is read where its metrics do not say why something fails: what is tried only once a minute is
    logged only then."""

    reload_delay: dict | None = None
    """What may hold a reload up: ``metric`` with a series for each of the things that it waits for, ``flag`` of the time
    that each gets, and ``default`` of that flag in seconds."""

    programs: tuple[str, ...] = ()
    """Names of its program, as upstream and distributions have them. Default: the service's name."""

    port: int | None = None
    """TCP port that upstream's program listens on without flags."""

    config_flags: tuple[str, ...] = ()
    """Flags that name a file of its configuration, the most telling one first."""

    described_by: tuple[str, ...] = ("/metrics",)
    """Paths that are requested of one that somebody else deployed, for what it says about itself."""

    data_variable: str | None = None
    """Variable of the directory of its data."""

    flag_defaults: ClassVar[dict] = {}
    """Flags with upstream's defaults: with them or without, it is the same. None: what is given does not matter."""

    keeps: tuple[tuple[str, str, str], ...] = ()
    """What keeps a thing as it is when the service is adopted: section, pattern of its name, and the advice."""

    def __init_subclass__(cls):
        super().__init_subclass__()
        # Of its own: what a base of several rooms got by default is not theirs.
        own = cls.__dict__
        cls.name = own.get("name") or cls.__module__.rpartition(".")[2]
        cls.programs = own.get("programs") or (cls.name,)
        cls.binaries = own.get("binaries") or (cls.name,)
        cls.unit_name = own.get("unit_name") or cls.name
        cls.metrics_prefix = own.get("metrics_prefix") or cls.name
        cls.version_metric = own.get("version_metric") or cls.metrics_prefix + "_build_info"

    def health_check(self) -> dict:
        """How the service is checked on any host: suboptions of ``health`` of the module service."""
        found = {
            "metrics_prefix": self.metrics_prefix,
            "version_metric": self.version_metric,
            "version_label": self.version_label,
            "ready_path": self.ready_path,
            "on_config_change": self.on_config_change,
            "reload_delay": self.reload_delay,
            "dependency_metric": self.dependency_metric,
            "dependency": self.dependency,
            "loaded_config_path": self.loaded_config_path,
            "config_hash_metric": self.config_hash_metric,
            "loaded_directories": list(self.loaded_directories),
            "dry_run_argument": self.dry_run_argument,
            "tls_variable": "{0}_{1}".format(self.name, self.web_config_variable),
        }
        return {name: value for name, value in found.items() if value not in (None, [])}

    def health_check_of(self, i) -> dict:
        """The same, where an input decides a part of it, such as the name of a metric.

        :param i: the inputs of its role, by their names without the role's.
        """
        return self.health_check()

    def check_group(self, hosts: list[str], value: Callable, inventory: dict) -> list[tuple]:
        """What is wrong with the inputs of all hosts of its group together: pairs of a host and a ``_problems.Problem``.

        :param hosts: in the order of the inventory, also those that this run leaves out.
        :param value: function of a host and the name of a variable, which returns its value or None.
        :param inventory: group -> names of its hosts.
        """
        return []

    def log_source(self, i) -> dict:
        """Where its log is read: suboptions of ``services`` of the module service_health."""
        engine = docker_host(i) if i["runtime"] == "docker" else None
        return {"unit": self.unit_name, "log_seconds": self.log_seconds, "docker_host": engine}

    def endpoint(self, get: Callable) -> tuple | None:
        """Where it is served, where other variables than those of an exporter say it.

        :param get: function of the suffix of a variable, which returns its value or None.
        :returns: the fields of :class:`_scrape.Endpoint`.
        """
        return None

    def login(self, values) -> dict | None:
        """``username`` and ``password`` of its administrator, where a check logs in."""
        return None

    def checks(self, values, surroundings: Surroundings) -> list[dict]:
        """What is verified beside its version, its last reload and what it depends on.

        :param values: the variables of its role, with ``[]`` and ``get``.
        :returns: dicts with ``name``, a key of ``_health_check.CHECKS``, and ``given``, the data of that check.
        """
        return []

    def redundancy(self, i) -> str | None:
        """Name of what the hosts of this service are redundant within, so that never two of them are changed at once; None
        where each of them is the only one to do what it does, as exporters are.

        :param i: the inputs of its role, by their names without the role's.
        """
        return None

    def catch_up(self, i) -> list[dict]:
        """What is waited for, as :meth:`checks` has it, after a host was changed and before one that is redundant to it is."""
        return []

    def history_login(self, i) -> dict | None:
        """``username`` and ``password`` with which its data is requested, where its metrics need others.

        :param i: the inputs of its role, by their names without the role's.
        """
        return None

    def history_requests(self, metrics: str, now: float) -> dict[str, str]:
        """What is requested before its data is moved, and again afterwards to verify that the data is there.

        :param metrics: what it says about itself.
        :param now: seconds since the epoch.
        :returns: what is compared, in the plural -> path of its API.
        """
        return {}

    def history_found(self, title: str, answer: str) -> list[str]:
        """What an answer to such a request holds: each of these has to be found again.

        :param title: of the request.
        """
        return []

    def backup(self, i) -> dict:
        """What of its data is backed up, and what prepares that; its configuration directory always is.

        :param i: the inputs of its role, by their names without the role's.
        :returns: ``data``, its data directory or None; ``prepare``, a list of steps, each with its ``kind``: ``tree``, all of the
            data directory as it is; ``blocks``, the complete blocks of a time series database; ``sqlite``, the database at
            ``path``, by SQLite's own online backup; ``dump``, what ``argv`` with ``environment`` writes; ``exclude``, patterns of
            paths that are left out; ``files``, further files that belong to the data and are restored with it.
        """
        data = self.data_dir(i)
        return {"data": data, "prepare": [{"kind": "tree"}] if data else [], "exclude": [], "files": []}

    def database_server(self, i) -> dict | None:
        """Its database, where that is on a server, as :class:`_database.Database` takes it.

        :param i: the inputs of its role, by their names without the role's.
        """
        return None

    def rehearsal(self, i):
        """How it is started with restored data beside the running one, without sending anything to anybody.

        Its files are at the places of their own there.

        :param i: the inputs of its role, by their names without the role's.
        :returns: a :class:`_rehearsal.Wanted`, or a sentence: why it is not.
        """
        return "it is not started, only its backup is read"

    def rehearsal_figures(self, answers: dict, before: float | None) -> list:
        """What it has, as :class:`_rehearsal.Figure`; the same ones in the same order for the restored and the running service.

        :param answers: title of each request of :meth:`rehearsal` that was sent -> text of the answer.
        :param before: when the backup was made, for the running service: what is younger is in no backup; None for the restored one.
        """
        return []

    def holds(self, listing: dict) -> str:
        """What is in its data directory, in words, such as before that is replaced.

        :param listing: see :func:`_data_copy.listing`.
        """
        size = size_of(listing)
        return "{0} MiB of data".format(-(-size >> 20)) if size else "no data"

    def peer_files(self) -> dict:
        """What other collections' roles are known to write below its configuration directory: path -> ``_peers.Written``."""
        return {}

    def sections(self, flags: dict, directory: str, files: dict, shown: dict) -> dict:
        """What of it is compared before it is adopted, whoever deployed it, as sections of named things.

        :param flags: its flags, with the values that were given to each.
        :param directory: of its configuration.
        :param files: path to text.
        :param shown: the section of flags; those that are compared elsewhere are taken out.
        """
        return {}

    def further_files(self, live: dict, files: dict) -> list[str]:
        """Patterns of its files outside its configuration's directory.

        :param live: what the module live_services has read of it.
        :param files: path to text.
        """
        return []

    def more_sections(self, live: dict, values) -> tuple[dict, dict, list[str]]:
        """Sections before and after that its files do not tell, and sentences besides.

        :param live: what the module live_services has read of it.
        :param values: the variables of its role, with ``[]`` and ``get``.
        """
        return {}, {}, []

    def advice(self, values, checks: list[dict]) -> str | None:
        """A sentence for the summary, whatever was found; or None.

        :param checks: what :meth:`checks` has returned.
        """
        return None
