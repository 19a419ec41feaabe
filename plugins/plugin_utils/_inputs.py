# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a role's inputs, beyond their types: values in, sentences out. No value of a secret is repeated.

Each check is a generator of ``Problem``; all of them are run, so that one run names everything.
"""

from __future__ import annotations

import posixpath
import re

from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._container import is_container
from ansible_collections.vigil.monitoring.plugins.plugin_utils._differences import DIFFERENCES
from ansible_collections.vigil.monitoring.plugins.plugin_utils._networks import check_networks
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import (
    Doubt,
    Problem,
    check_url_path,
    did_you_mean,
    shown,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import (
    listen_addresses,
    wants_client_certificate,
    web_config,
)

_VERSION = re.compile(r"v?\d+\.\d+\.\d+([-+~][0-9A-Za-z.+~-]+)?")
_CHECKSUM = re.compile(r"(sha256:)?[0-9a-fA-F]{64}")
BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
LOG_LEVELS = ("debug", "info", "warn", "error")
LOG_FORMATS = ("logfmt", "json")
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,30}\$?")
# Each asks for the password, which is then in no process list and in no history; the second one without the library bcrypt.
MAKES_HASH = (
    "make one with `ansible-playbook vigil.monitoring.password`, or with `htpasswd -nBC 10 \"\" | tr -d ':'`; both ask for the"
    " password"
)
# Directories of the system that no service may have as its own, lest a removal takes them along.
_SYSTEM = (
    "/",
    "/etc",
    "/usr",
    "/usr/local",
    "/usr/local/bin",
    "/usr/bin",
    "/var",
    "/var/lib",
    "/opt",
    "/home",
    "/root",
)
_SYSTEM += ("/bin", "/sbin", "/lib", "/boot", "/dev", "/proc", "/sys", "/run", "/tmp", "/srv", "/etc/systemd/system")


def different_variables(role, values):
    """Variables of prometheus.prometheus that are set here and are not honoured.

    :param values: variables in scope with their names; values may be templates, only their emptiness counts.
    :returns: problems, and warnings as sentences.
    """
    problems, warnings = [], []
    for name, difference in DIFFERENCES.items():
        if not name.startswith(role + "_") or not values.get(name):
            continue
        instead = "use {0}".format(difference.instead) if difference.instead else "remove it"
        if difference.harmless:
            warnings.append("{0} has no effect: {1}; {2}".format(name, difference.reason, instead))
        else:
            problems.append(Problem(name, "is not supported ({0})".format(difference.reason), instead))
    return problems, warnings


def check_release(room, values):
    """Version, checksum and path of the program."""
    role = room.name
    method = values[role + "_install_method"]
    version = str(values.get(role + "_version"))
    if method == "archive" and not _VERSION.fullmatch(version):
        found = "is {0}".format(shown(version))
        if version.lower() == "latest":
            yield Problem(role + "_version", found, "pin a version, so that every run deploys the same")
        else:
            yield Problem(role + "_version", found, "write MAJOR.MINOR.PATCH, such as 3.5.0")
    checksum = values.get(role + "_checksum")
    for name, given in checksum.items() if isinstance(checksum, dict) else {"": checksum}.items():
        if given and not _CHECKSUM.fullmatch(str(given)):
            where = "{0}_checksum{1}".format(role, "[{0!r}]".format(name) if name else "")
            yield Problem(where, "is {0}".format(shown(given)), "give the SHA-256 as 64 hexadecimal digits")
    if method == "preinstalled" and not str(values[role + "_preinstalled_path"]).startswith("/"):
        yield Problem(
            role + "_preinstalled_path",
            "is {0}".format(shown(values[role + "_preinstalled_path"])),
            "give the absolute path of the program, as {0}_install_method is preinstalled".format(role),
        )


def check_paths(room, values):
    """Directories are absolute and the service's own."""
    role = room.name
    names = ("config_dir", "db_dir", "textfile_dir", "binary_install_dir", "release_dir")
    for name in ("{0}_{1}".format(role, name) for name in names):
        path = values.get(name)
        if path is None or (path == "" and name.endswith("textfile_dir")):
            continue
        if not str(path).startswith("/") or ".." in str(path).split("/"):
            yield Problem(name, "is {0}".format(shown(path)), "give an absolute path")
        elif not name.endswith("binary_install_dir") and posixpath.normpath(path) in _SYSTEM:
            yield Problem(name, "is {0}, which belongs to the system".format(shown(path)), "give the role its own")
    for kind in ("user", "group"):
        name = "{0}_system_{1}".format(role, kind)
        if not _ACCOUNT.fullmatch(str(values[name])):
            yield Problem(name, "is {0}".format(shown(values[name])), "give the name of a system {0}".format(kind))


def check_web(room, values):
    """Listen addresses, web configuration, and the credentials of the health check."""
    role = room.name
    name = role + "_web_listen_address"
    if name not in values:
        return  # its own configuration says where it listens
    listen = values[name]
    several = isinstance(listen, (list, tuple))
    try:
        if not listen_addresses(listen):
            yield Problem(name, "is an empty list", "give at least one HOST:PORT")
    except ValueError as error:
        yield Problem(name, str(error), "write it like 0.0.0.0:9090 or [::1]:9090")
    if several and len(listen) > 1 and pinned(role, values) and "several listen addresses" in room.since:
        if not room.knows(values[role + "_version"], "several listen addresses"):
            yield Problem(
                name,
                "is a list, which needs version {0}".format(room.since["several listen addresses"]),
                "give one address, or deploy a newer version",
            )
    if role + "_tls_server_config" in values:
        names = ("tls_server_config", "http_server_config", "basic_auth_users")
        config = {key: values["{0}_{1}".format(role, key)] for key in names}
        variables = {key: "{0}_{1}".format(role, key) for key in names}
    else:
        # Some have no configuration of their web interface at all.
        config = values.get(role + "_web_config") or {}
        variables = {key: "{0}_web_config.{1}".format(role, key) for key in config}
    yield from check_web_config(config, variables)
    tls = config.get("tls_server_config") if isinstance(config, dict) else None
    yield from _check_client_certificate(room, values, tls, variables.get("tls_server_config"))
    flag = "web.config" if "web.config" in room.since else "web.config.file"
    known = flag not in room.since or room.knows(values[role + "_version"], flag)
    if web_config(config) and pinned(role, values) and not known:
        yield Problem(
            role + "_version",
            "is {0}, which knows no web configuration".format(values[role + "_version"]),
            "deploy {0} or newer, or leave the web configuration empty".format(room.since[flag]),
        )
    ca = str(values.get(role + "_health_ca") or "")
    if ca and not ca.startswith("/"):
        yield Problem(role + "_health_ca", "is {0}".format(shown(ca)), "give the absolute path of a file on the host")
    if bool(values.get(role + "_health_username")) != bool(values.get(role + "_health_password")):
        yield Problem(
            "{0}_health_username and {0}_health_password".format(role), "only one of them is set", "set both, or none"
        )


def _check_client_certificate(room, values, tls, variable):
    """The health check has a client certificate where the service requires one.

    :param tls: the ``tls_server_config``.
    :param variable: its name for the message.
    """
    role = room.name
    names = ["{0}_health_client_{1}".format(role, part) for part in ("cert", "key")]
    for name in names:
        if values.get(name) and not str(values[name]).startswith("/"):
            yield Problem(name, "is {0}".format(shown(values[name])), "give the absolute path of a file on the host")
    if values.get(names[1]) and not values.get(names[0]):
        yield Problem(names[1], "is set without {0}".format(names[0]), "set both")
    if wants_client_certificate(tls) and not values.get(names[0]):
        yield Problem(
            names[0],
            "is empty, and {0} has client_auth_type: {1}".format(variable, tls["client_auth_type"]),
            "set a client certificate that the service trusts for health checks, with {0} and {1}".format(*names),
        )


def pinned(role, values):
    """Whether the version that will run is the one in the inputs."""
    version = str(values.get(role + "_version"))
    return values[role + "_install_method"] == "archive" and bool(_VERSION.fullmatch(version))


def check_web_config(config, variables):
    """A web configuration.

    :param config: dict of sections.
    :param variables: section -> name of the variable for the message.
    """
    sections = ("tls_server_config", "http_server_config", "basic_auth_users")
    for section, value in config.items():
        name = variables[section]
        if section not in sections and section != "rate_limit":
            remedy = did_you_mean(section, sections, "it has {0}".format(", ".join(sections)))
            yield Doubt(name, "unknown section", remedy)
        elif value and not isinstance(value, dict):
            yield Problem(
                name, "is not a dictionary", "see https://prometheus.io/docs/prometheus/latest/configuration/https/"
            )
        elif section == "tls_server_config" and value:
            for part in ("cert", "key"):
                if not value.get(part + "_file") and not value.get(part):
                    yield Problem(name, "has no {0}_file".format(part), "TLS needs a certificate and its key")
        elif section == "basic_auth_users":
            for user, hashed in (value or {}).items():
                if not BCRYPT.fullmatch(str(hashed)):
                    yield Problem(
                        "{0}[{1!r}]".format(name, str(user)),
                        "is not a bcrypt hash",
                        "{0}, and give the line that begins with $2".format(MAKES_HASH),
                    )


def check_flags(room, values):
    """Further flags do not contradict inputs, and have no dashes of their own."""
    role = room.name
    name = "{0}_{1}".format(role, room.flags_input)
    for flag in values.get(name) or {}:
        where = "{0}[{1!r}]".format(name, str(flag))
        bare = str(flag).lstrip("-")
        if bare != str(flag):
            yield Problem(where, "begins with a dash", "write {0!r}".format(bare))
        managed = room.managed_flag(bare[3:] if bare.startswith("no-") else bare, values)
        if managed:
            yield Problem(where, "the flag is set already", "use {0}_{1}".format(role, managed))


def check_service(room, values):
    """The unit's own inputs, and the time that the verification has."""
    role = room.name
    dropin = str(values[role + "_systemd_dropin"] or "").strip()
    first = next((line.strip() for line in dropin.splitlines() if line.strip() and line.strip()[0] not in "#;"), "[")
    if not first.startswith("["):
        yield Problem(
            role + "_systemd_dropin", "does not begin with a section", "put [Service] or another header first"
        )
    for name, least in (("ready_timeout", 1), ("limit_nofile", 64), ("canary", 0)):
        value = values["{0}_{1}".format(role, name)]
        if re.fullmatch(r"-?\d+", str(value)) and int(value) < least:
            yield Problem("{0}_{1}".format(role, name), "is {0}".format(value), "give {0} or more".format(least))


def check_collectors(role, values):
    """What exporters with collectors share."""
    on, off = ("{0}_{1}".format(role, name) for name in ("enabled_collectors", "disabled_collectors"))
    enabled = [str(name) for entry in values[on] or [] for name in (entry if isinstance(entry, dict) else [entry])]
    for name in values[off] or []:
        if name in enabled:
            yield Problem(off, "{0} is enabled as well".format(name), "take it out here or out of {0}".format(on))
    for name, known in (("log_level", LOG_LEVELS), ("log_format", LOG_FORMATS)):
        value = values["{0}_{1}".format(role, name)]
        if value not in known:
            remedy = did_you_mean(value, known, "known are {0}".format(", ".join(known)))
            yield Doubt("{0}_{1}".format(role, name), "is {0}".format(shown(value)), remedy)
    yield from check_url_path(role + "_web_telemetry_path", values[role + "_web_telemetry_path"])


def problems(role, values):
    """Everything that is wrong with the values of a role's inputs.

    :param role: name of a service.
    :param values: its inputs by their whole names, of the types that their specs say.
    """
    room, found = _rooms.load(role), []
    checks = [check_release, check_paths, check_web, check_networks, check_flags, check_service]
    if is_container(values[role + "_runtime"]):
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._inputs_container import (  # noqa: PLC0415
            check_container,
        )

        checks.append(check_container)
    for check in checks:
        found += check(room, values)
    return [*found, *room.validate(values)]
