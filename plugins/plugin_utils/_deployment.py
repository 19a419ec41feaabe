# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the inputs of a service's role to the options of the modules that deploy it: the same for every service.

What is particular to a service is said by its room, ``services/NAME.py``, which overrides attributes and methods of
:class:`Deployment`. Data in, data out; only :class:`_role_inputs.RoleInputs` renders templates and runs lookups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils import _firewall
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import DEFAULT_HOST
from ansible_collections.vigil.monitoring.plugins.module_utils._health import RELOAD, RESTART
from ansible_collections.vigil.monitoring.plugins.module_utils._version import version_key
from ansible_collections.vigil.monitoring.plugins.plugin_utils._container import container, inside, is_container
from ansible_collections.vigil.monitoring.plugins.plugin_utils._flags import flag
from ansible_collections.vigil.monitoring.plugins.plugin_utils._networks import NFTABLES, ruleset, unit_directives
from ansible_collections.vigil.monitoring.plugins.plugin_utils._references import OWN, file_references
from ansible_collections.vigil.monitoring.plugins.plugin_utils._secrets import secret_values
from ansible_collections.vigil.monitoring.plugins.plugin_utils._tls import CERTIFICATE, HOST, Tls
from ansible_collections.vigil.monitoring.plugins.plugin_utils._unit import unit_text
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import health_check, ports, web_config

WEB_SECTIONS = ("tls_server_config", "http_server_config", "basic_auth_users")
# Suboptions of `health` of the module service -> inputs, without the role's name and `health_`.
HEALTH = {
    "username": "username",
    "password": "password",
    "ca_path": "ca",
    "client_cert": "client_cert",
    "client_key": "client_key",
}
COLLECTION = "vigil.monitoring."


class Step(NamedTuple):
    """A module that a service needs beside those that all services have.

    :ivar title: what the task does, for people.
    :ivar module: full name of the module.
    :ivar options: its options.
    """

    title: str
    module: str
    options: dict


class Deployment:
    """How a service is deployed.

    ``i`` stands for the role's inputs, by their names without the role's, and ``release`` for what the module release or
    image says about the program: ``version``, ``commands``, ``binaries``, ``links`` and maybe ``image``.
    """

    #: How its own documentation writes its name.
    title: str = ""
    #: ``Documentation`` of its unit.
    documentation: str = ""
    #: ``Description`` of its unit.
    description: str = ""
    #: Names of the programs inside a release, as paths below it; the first one is the service. Default: the service's name.
    binaries: tuple = ()
    #: Where the container image has the program, where that is not a directory of its PATH.
    image_program: str | None = None
    #: Directives of ``[Service]`` in which its unit differs from the hardening that all services share.
    hardening: dict = {}
    #: Units that it starts after, beside the network.
    after: tuple = ()
    #: First version of the program that knows what the role writes: flag, or another feature, to version.
    since: dict = {}
    #: Flags that inputs of their own set: flag to the name of the input, without the role's.
    managed_flags: dict = {}
    #: Name of the input with further flags, without the role's.
    flags_input: str = "config_flags_extra"
    #: How Prometheus scrapes it unless the inventory says otherwise: ``port``, and maybe ``job`` and ``split``; empty where it is
    #: not scraped.
    scrape: dict = {}
    #: Path at which its container asks itself whether it is alive.
    container_health_path: str = "/"
    #: How it is closed where ``<service>_tls`` is true: see :mod:`_tls`; None: it cannot be.
    closed_by: str | None = None
    #: Name of the service that serves it by TLS on its host where ``<service>_tls`` is true, as its own program knows none.
    proxy: str | None = None
    #: Name of the service whose proxy it is: deployed, verified and removed with that, whose group is its own.
    behind: str | None = None
    #: Whether it shows a client certificate to the services that ``<service>_tls`` has closed.
    scrapes: bool = False
    #: Texts that its files must not contain, as it would take them literally.
    refused_texts: tuple = ()

    def managed_flag(self, flag: str, values: dict) -> str | None:
        """The input, without the role's name, that sets a flag; None where none does.

        :param values: all inputs by their whole names.
        """
        return self.managed_flags.get(flag)

    def validate(self, values: dict) -> Iterable:
        """What is wrong with the inputs that only this service has, as ``_problems.Problem`` and ``Doubt``.

        :param values: all inputs by their whole names, of the types that their specs say.
        """
        return ()

    def validate_files(self, values: dict, bases: list) -> Iterable:
        """What is wrong with the files of the controller that only this service's inputs name, as sentences.

        :param values: as for :meth:`validate`.
        :param bases: directories below which a relative path is looked up, see :func:`_files.places`.
        """
        return ()

    # What the role's inputs say.

    def knows(self, version: str, feature: str) -> bool:
        """Whether a version of the program knows one of the features of :attr:`since`."""
        return version_key(version) >= version_key(self.since[feature])

    @property
    def program(self) -> str:
        """Name of the program."""
        return self.binaries[0].rpartition("/")[2]

    def listen(self, i) -> Any:
        """The address that it listens on as ``HOST:PORT``, or a list of them."""
        return i["web_listen_address"]

    def external_url(self, i) -> str:
        """The URL under which users reach it; its path is the prefix of all others."""
        return ""

    def extra_flags(self, i) -> dict:
        """Further flags of the user's own."""
        return i.get(self.flags_input) or {}

    def metrics_path(self, i) -> str | None:
        """Path of its metrics, where it is an input."""
        return i.get("web_telemetry_path")

    def own_web_config(self, i) -> dict:
        """What the inputs say about its web interface, with the sections of exporter-toolkit."""
        return i["web_config"] if "web_config" in i else {name: i.get(name) for name in WEB_SECTIONS}

    def leaves_tls(self, get) -> bool:
        """Whether the variables of its own say nothing about TLS, so that ``<service>_tls`` decides.

        :param get: function of the suffix of a variable, which returns its value or None.
        """
        web = get("web_config")
        return bool(self.closed_by) and not (
            get("tls_server_config") or (isinstance(web, Mapping) and web.get("tls_server_config"))
        )

    def shows_own_certificate(self, i) -> bool:
        """Whether it shows its certificate also where it is the client, as the members of a cluster do."""
        return False

    def is_closed(self, i) -> bool:
        """Whether ``<service>_tls`` closes it."""
        return bool(i.get("tls") and self.leaves_tls(i.get))

    def tls(self, i) -> Tls | None:
        """Its certificate and who may ask it, where ``<service>_tls`` closes it and no proxy has them for it."""
        return i.once("tls", lambda: self._tls(i))

    def _tls(self, i):
        return Tls(i, self.name, self.external_url(i)) if self.is_closed(i) and not self.proxy else None

    def check_tls(self, given: dict) -> Iterable:
        """What it cannot use of the variables of ``monitoring_tls``, as ``_problems.Problem``.

        :param given: their values by their names.
        """
        return ()

    def web_config(self, i) -> dict:
        """The configuration of its web interface: what the inputs say, and what ``<service>_tls`` adds."""
        own, tls = self.own_web_config(i), self.tls(i)
        if not tls:
            return own
        own = {name: section for name, section in (own or {}).items() if section}
        if self.closed_by == CERTIFICATE:
            return {**own, "tls_server_config": tls.server_config()}
        users = {**(own.get("basic_auth_users") or {}), **tls.users()}
        return {**own, "tls_server_config": tls.public_config(), "basic_auth_users": users}

    def tls_files(self, i) -> list:
        """Its certificate and key, as the module config_files takes them, where ``<service>_tls`` is true."""
        tls = self.tls(i)
        return tls.server_files() if tls else []

    def health(self, i) -> dict:
        """How its host checks its health: the option of the module service."""
        said = {
            "listen_address": self.listen(i),
            "external_url": self.external_url(i),
            "extra": self.extra_flags(i),
            "metrics_path": self.metrics_path(i),
            "web_config": self.web_config(i),
        }
        return {**self.health_check_of(i), **health_check(said), **self.access(i)}

    def access(self, i) -> dict:
        """With what its host checks its health, as suboptions of ``health``: what the inputs say, else what ``<service>_tls``
        makes."""
        tls = self.tls(i)
        own = {option: i.get("health_" + name) for option, name in HEALTH.items() if i.get("health_" + name)}
        found = {**(tls.health(self.closed_by) if tls else {}), **own}
        if "client_cert" in own:
            found.pop("client_pem", None)
        return found

    def access_here(self, i) -> dict:
        """The same from the controller, as far as its own files are known here."""
        found, tls = self.access(i), self.tls(i)
        here = tls.ca_here() if tls and found.get("ca_path") == tls.path("ca") else ""
        return {**found, "ca_path": here} if here else found

    def ports(self, i) -> list:
        """TCP ports that it listens on."""
        return ports(self.listen(i))

    def connects_out(self, get) -> bool:
        """Whether it connects to other hosts by itself, beside answering requests.

        :param get: function of the suffix of a variable, which returns its value or None.
        """
        return True

    def open_ports(self, i) -> list:
        """Pairs of protocol and port that others can reach, beside the ports of containers that are published elsewhere."""
        return [("tcp", port) for port in self.ports(i)]

    def firewall(self, i) -> str:
        """Its rules for nftables; empty for none."""
        if i["firewall"] != NFTABLES or not i["allowed_networks"]:
            return ""
        return ruleset(self.name, self.open_ports(i), i["allowed_networks"])

    def network(self, i) -> str:
        """The network of its container; ``host`` where it runs without one."""
        return (i.get("container_network") or "host") if is_container(i["runtime"]) else "host"

    def listen_inside(self, i) -> Any:
        """Where the program itself listens: inside a container on a bridge, on all of the container's addresses."""
        return inside(self.listen(i), self.network(i))

    def data_dir(self, i) -> str | None:
        """Directory of its data."""
        return None

    def written(self, i) -> list:
        """Directories that it writes."""
        return [self.data_dir(i)] if self.data_dir(i) else []

    # What it is made of.

    def user_files(self, i, name: str) -> list:
        """The files of the user's own that an input names: each with its ``source`` and its ``content``."""
        variable = "{0}_{1}".format(self.name, name)
        return i.once(("files", name), lambda: i.lookup("vigil.monitoring.user_files", i[name], variable=variable))

    def web_arguments(self, i) -> list:
        """The flags of the web interface of Prometheus and Alertmanager: its configuration, address and external URL."""
        arguments = []
        if web_config(self.web_config(i)):
            arguments += flag("web.config.file", i["config_dir"] + "/web_config.yml")
        arguments += flag("web.listen-address", self.listen_inside(i))
        return arguments + flag("web.external-url", self.external_url(i)) if self.external_url(i) else arguments

    def arguments(self, i, release) -> list:
        """Its command line but for the program."""
        raise NotImplementedError

    def argv(self, i, release) -> list:
        """Its command line."""
        return [release["commands"][self.program], *self.arguments(i, release)]

    def web_files(self, i) -> list:
        """The file with the configuration of its web interface, if any."""
        web = web_config(self.web_config(i), i["config_dir"])
        return [{"path": "web_config.yml", "data": web}, *self.tls_files(i)] if web else []

    def files(self, i, release) -> list:
        """The files of its configuration directory, as the module config_files takes them."""
        return self.web_files(i)

    def directories(self, i, release) -> list:
        """Directories that have to be there, as the module config_files takes them."""
        found = self.data_dir(i)
        owner = {"owner": i["system_user"], "group": i["system_group"]}
        return [{"path": found, **owner, "mode": "0750"}] if found else []

    def outside_files(self, i) -> dict:
        """Files outside of its configuration directory: absolute path to text."""
        return {}

    def validators(self, i, release) -> list:
        """Commands that check a staged configuration, with ``%s`` for its directory."""
        return []

    def configured(self, i, release) -> list:
        """What may name files, and may hold secrets: structures, and texts in YAML."""
        return [self.web_config(i)]

    def readable(self, i, release) -> list:
        """Files that its configuration names, which its account has to be able to read."""
        return i.once(
            ("readable", release["version"]), lambda: file_references(self.configured(i, release), i["config_dir"])
        )

    def secrets(self, i) -> list:
        """The secrets among its inputs, for whatever is printed."""
        return i.once("secrets", lambda: self._secrets(i))

    def _secrets(self, i):
        shared = [
            {"password": i.get("health_password")},
            {"headers": i.get("release_headers")},
            {"password": i.get("registry_password")},
        ]
        tls = self.tls(i)
        shared += [{"password": one} for one in (tls.secrets() if tls else ())]
        return secret_values([*self.inputs_with_secrets(i), *shared])

    def inputs_with_secrets(self, i) -> list:
        """The inputs that may hold secrets, beside those that all services have."""
        return [self.web_config(i)]

    def written_secrets(self, i, release) -> list:
        """The secrets in what is written, wherever a template of the user's own took them from."""
        return self.secrets(i)

    def hardening_of(self, i) -> dict:
        """The directives of :attr:`hardening`, for these inputs."""
        return self.hardening

    def unit_sections(self, i, release) -> dict:
        """Directives of ``[Unit]`` and ``[Service]`` of its own, laid over those that all services have."""
        return {}

    def unit_text(self, i, release) -> str:
        """The text of its unit."""
        own = self.unit_sections(i, release)
        data, written = self.data_dir(i), self.written(i)
        unit = {
            "Description": self.description or self.title,
            "Documentation": self.documentation,
            "Wants": "network-online.target",
            "After": " ".join(("network-online.target", *self.after)),
            # The data may lie on a file system of its own.
            "RequiresMountsFor": data,
            **own.get("Unit", {}),
        }
        service = {
            "Type": "exec",
            "User": i["system_user"],
            "Group": i["system_group"],
            "ExecStart": self.argv(i, release),
            "ExecReload": "/bin/kill -HUP $MAINPID" if self.on_config_change == RELOAD else None,
            "TimeoutStopSec": i.get("stop_timeout"),
            "LimitNOFILE": i["limit_nofile"],
            **unit_directives(i["allowed_networks"], i.get("denied_networks"), self.connects_out(i.get)),
            "ReadWritePaths": written or None,
            "ReadOnlyPaths": i.get("read_only_dirs"),
            "Readable": self.readable(i, release),
            "SyslogIdentifier": self.name,
            **own.get("Service", {}),
        }
        return unit_text({"Unit": unit, "Service": service}, self.hardening_of(i))

    def container_needs(self, i, release) -> dict:
        """Options of community.docker.docker_container that it needs beside those that all services have."""
        return {}

    def container_health(self, i) -> str:
        """Path at which its container asks itself; empty where it could not without a secret."""
        return self.container_health_path

    def published(self, i) -> list:
        """Further listen addresses that lead into its container, by TCP and by UDP."""
        return []

    def read_dirs(self, i) -> list:
        """Directories that it reads beside its configuration and its data."""
        return i.get("read_only_dirs") or []

    def container(self, i, release) -> dict:
        """The options of its container."""
        return container(
            {
                "service": self.unit_name,
                "image": i["image"],
                "argv": self.argv(i, release),
                "user": i["system_user"],
                "group": i["system_group"],
                "config_dir": i["config_dir"],
                "data_dirs": self.written(i),
                "read_dirs": self.read_dirs(i),
                "readable": self.readable(i, release),
                "network": self.network(i),
                "listen_address": self.listen(i),
                "publish": self.published(i),
                "external_url": self.external_url(i),
                "extra": self.extra_flags(i),
                "web_config": self.web_config(i),
                "memory": i["container_memory"],
                "cpus": i["container_cpus"],
                "limit_nofile": i["limit_nofile"],
                "stop_timeout": i.get("stop_timeout"),
                "health_path": self.container_health(i),
                "ready_timeout": i["ready_timeout"],
                "container_extra": i["container_extra"],
            },
            self.container_needs(i, release),
        )

    # The options of the modules, in their order.

    def release_options(self, i) -> dict:
        """For the module release."""
        archive = i["install_method"] == "archive"
        return given(
            program=self.name,
            method=i["install_method"],
            version=i["version"] if archive else None,
            url=i.get("binary_url"),
            checksums_url=i.get("checksums_url"),
            checksum=i.get("checksum") or None,
            headers=i.get("release_headers"),
            fetch=i.get("release_fetch"),
            cache_dir=i.get("release_cache") or None,
            releases_dir=i.get("release_dir"),
            link_dir=i.get("binary_install_dir"),
            binaries=list(self.binaries),
            packages=i["packages"],
            package_binaries=i["package_binaries"],
            package_units=i["package_units"],
            path=i["preinstalled_path"] or None,
        )

    def image_options(self, i) -> dict:
        """For the module image."""
        return given(
            name=self.unit_name,
            role=self.name,
            program=self.program,
            path=self.image_program,
            tools=[name.rpartition("/")[2] for name in self.binaries[1:]] or None,
            image=i["image"],
            version=i["version"],
            archive=i["image_archive"] or None,
            username=i["registry_username"] or None,
            password=i["registry_password"] or None,
            engine=i.shared("docker_engine", "present"),
            docker_host=docker_host(i),
        )

    def preparation(self, i) -> Step | None:
        """What it depends on, and what has to be there before its configuration is."""
        return None

    #: What the step :meth:`contents` does, for people; empty where there is none.
    contents_title: str = ""

    def contents(self, i, release) -> Step | None:
        """What is done by its own API once it runs."""
        return None

    def removals(self, i) -> list:
        """What is removed with it beside what all services have, as steps."""
        return []

    def superseded(self) -> list:
        """What another collection's role may have left below the configuration directory, as config_files takes it."""
        return [{"path": path, **written._asdict()} for path, written in sorted(self.peer_files().items())]

    def config_options(self, i, release) -> dict:
        """For the module config_files."""
        return given(
            role=self.name,
            path=i["config_dir"],
            user=i["system_user"],
            group=i["system_group"],
            files=self.files(i, release),
            directories=self.directories(i, release),
            validate=self.validators(i, release),
            readable=self.readable(i, release),
            refuse=list(self.refused_texts) or None,
            image=release.get("image"),
            docker_host=docker_host(i),
            take_over=i["take_over"],
            superseded=self.superseded() if i["take_over"] else None,
            pristine=i["install_method"] == "package",
            data_dir=self.data_dir(i) or None,
            data_change=self.data_change(i),
            secrets=self.written_secrets(i, release),
        )

    def service_options(self, i, release, prepared=None) -> dict:
        """For the module service.

        :param prepared: what the step of :meth:`preparation` returned.
        """
        contained = is_container(i["runtime"])
        conflicts = i["package_units"] if i["install_method"] == "package" or i["take_over"] else []
        rules = self.firewall(i)
        firewall = {_firewall.path_of(self.name): rules} if rules else {}
        return given(
            name=self.unit_name,
            role=self.name,
            config_dir=i["config_dir"],
            runtime=i["runtime"],
            unit=None if contained else self.unit_text(i, release),
            dropin=i["systemd_dropin"],
            container=self.container(i, release) if contained else None,
            image=release.get("image"),
            docker_host=docker_host(i),
            links=self.links(i, release),
            files={**self.outside_files(i), **firewall},
            firewall=next(iter(firewall), None),
            argv=self.argv(i, release),
            # A program that does not know its version cannot report it while it runs, either.
            version=release["version"] if release.get("reports_version", True) else None,
            health=self.health(i),
            ports=self.ports(i),
            # The packages' own units make way only where the package was asked for, or everything in the way may be replaced.
            conflicts=conflicts,
            data_dir=self.data_dir(i),
            data_change=self.data_change(i),
            allow_downgrade=i.get("allow_downgrade"),
            take_over=i["take_over"],
            ready_timeout=i["ready_timeout"],
            secrets=self.secrets(i),
            removal=self.removal_record(i),
            certificates=self.certificates(i),
            **self.further_service_options(i, release, prepared),
        )

    def activation_options(self, i, release, prepared=None) -> dict:
        """For the module service where it is run: also what no comparison needs."""
        history = self.history(i, release)
        return {**self.service_options(i, release, prepared), **({} if history is None else {"history": history})}

    def history(self, i, release) -> dict | None:
        """The jobs and targets whose time series a change of the configuration may end, see :mod:`_history`; None: it has none."""
        return None

    def certificates(self, i) -> dict | None:
        """The certificates of the host that something else has put there, as the module service verifies them."""
        tls = self.tls(i)
        if not tls or tls.source != HOST:
            return None
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _tls_inputs  # noqa: PLC0415

        values = _tls_inputs.Values(self, i.host, i.shared)
        files = {what: tls.path(what) for what in values.files()}
        return {**files, "name": _tls_inputs.reached_as(values), "both": self.shows_own_certificate(i)}

    @staticmethod
    def data_change(i) -> str | None:
        """What becomes of the data where its directory is another one than before, as the modules take it."""
        return "move" if i.get("move_data") else "empty" if i.get("start_empty") else None

    def links(self, i, release) -> dict:
        """Symbolic links that are activated with it: path to target."""
        return release["links"]

    def further_service_options(self, i, release, prepared=None) -> dict:
        """Options of the module service that only some services need.

        :param prepared: what the step of :meth:`preparation` returned.
        """
        if self.on_config_change != RESTART or not self.tls(i):
            return {}
        # exporter-toolkit reads certificates at each handshake: new ones need no restart.
        return {"reload": {"paths": [OWN], "urls": []}}

    def removal_options(self, i) -> dict:
        """For the module service, where it is removed."""
        return removal_of(self.removal_record(i), bool(i.get("purge_data")))

    def removal_record(self, i) -> dict:
        """What a removal has to know when no inventory says it any more: see :mod:`_deployed`. It holds no secret."""
        # What takes a password to undo is undone where the inventory still has it.
        further = [step for step in self.removals(i) if not step.options.get("secrets")]
        return {
            "service": self.name,
            "grouped": (self.behind or self.name) in (i.shared("group_names") or ()),
            "data": self.purged(i),
            "removal": {
                "name": self.unit_name,
                "role": self.name,
                "config_dir": i["config_dir"],
                "docker_host": docker_host(i),
                "spare": self.spared(i),
            },
            "release": self.release_removal_options(i),
            "further": [list(step) for step in further],
        }

    def purged(self, i) -> list:
        """What is removed besides, where the data is removed as well."""
        return self.written(i)

    def spared(self, i) -> list:
        """Files that stay as long as the data does."""
        return []

    def release_removal_options(self, i) -> dict:
        """For the module release, where the service is removed."""
        return given(
            program=self.name,
            state="absent",
            binaries=list(self.binaries),
            releases_dir=i.get("release_dir"),
        )

    def handler_options(self, i, state) -> dict:
        """For the module service, in a handler.

        :param state: ``restarted`` or ``reloaded``.
        """
        return {
            "name": self.unit_name,
            "role": self.name,
            "state": state,
            "config_dir": i["config_dir"],
            "docker_host": docker_host(i),
            "health": self.health(i),
            "ready_timeout": i["ready_timeout"],
            "secrets": self.secrets(i),
        }

    # The steps of its role.

    def program_step(self, i) -> Step:
        """What brings the program to the host."""
        if is_container(i["runtime"]):
            return Step("Install", COLLECTION + "image", self.image_options(i))
        return Step("Install", COLLECTION + "release", self.release_options(i))

    def step(self, name: str, i, release: dict | None, prepared: dict | None = None, number: int = 0) -> Step | None:
        """A step of its role; None where it has none of this name.

        :param release: what the step ``program`` has returned.
        :param prepared: what the step ``preparation`` has returned.
        :param number: which of several steps ``further_removal``.
        """
        if name in ("restarted", "reloaded"):
            return Step(name, COLLECTION + "service", self.handler_options(i, name))
        steps = {
            "program": lambda: self.program_step(i),
            "preparation": lambda: self.preparation(i),
            "configuration": lambda: Step(name, COLLECTION + "config_files", self.config_options(i, release)),
            "activation": lambda: Step(name, COLLECTION + "service", self.activation_options(i, release, prepared)),
            "contents": lambda: self.contents(i, release),
            "removal": lambda: Step(name, COLLECTION + "service", self.removal_options(i)),
            "release_removal": lambda: Step(name, COLLECTION + "release", self.release_removal_options(i)),
            "further_removal": lambda: self.removals(i)[number],
            **self.operations(i),
        }
        return steps[name]() if name in steps else None

    def operations(self, i) -> dict:
        """Steps that are no part of a deployment: name to function that returns a step."""
        return {}


def removal_of(record: dict, purges: bool) -> dict:
    """The options of the module service that remove what a record describes.

    :param record: see :meth:`Deployment.removal_record`.
    :param purges: whether the data is removed as well.
    """
    return {
        **record["removal"],
        "state": "absent",
        "purge": record["data"] if purges else [],
        "spare": [] if purges else record["removal"]["spare"],
        "removal": record,
    }


def docker_host(i) -> str:
    """Address of the engine on the host; one for all services."""
    return i.shared("monitoring_docker_host", DEFAULT_HOST)


def given(**options) -> dict:
    """Options of a module without those that are None."""
    return {name: value for name, value in options.items() if value is not None}
