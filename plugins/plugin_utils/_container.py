# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services' containers as options of community.docker.docker_container, and the names of their images."""

from __future__ import annotations

import re

from ansible_collections.vigil.monitoring.plugins.module_utils._docker import mounts_of, parse_reference
from ansible_collections.vigil.monitoring.plugins.module_utils._endpoint import hosts_of
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import listen_addresses, route_prefix

# What every container gets; <role>_container_extra has the last word.
HARDENING = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opts": ["no-new-privileges:true"],
    "restart_policy": "unless-stopped",
    "log_driver": "json-file",
    "log_options": {"max-size": "10m", "max-file": "3"},
}

# Options that make a container ours, or that the switch has to decide.
MANAGED = ("auto_remove", "command", "cleanup", "detach", "image", "name", "pull", "recreate", "state")
# Options whose entries are added to ours; all others take the place of ours, dictionaries key by key.
ADDED = ("volumes", "groups")

_UNITS = {"": 1, "ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600}


def is_container(runtime):
    """Whether services of this runtime run in containers, from images."""
    return runtime == "docker"


def image_name(repository, tag, registry=""):
    """The name of upstream's image, from a mirror where there is one.

    :param repository: with upstream's registry, ``quay.io/prometheus/prometheus``.
    :param tag: the image's tag.
    :param registry: host of the mirror, with a port and a path as it may be; empty for upstream's.
    """
    if registry:
        repository = "{0}/{1}".format(registry.rstrip("/"), parse_reference(repository).repository)
    return "{0}:{1}".format(repository, tag)


def is_bridge(network):
    """Whether containers on a network have addresses of their own, so that their ports have to be published."""
    return network not in ("host", "none")


def inside(listen, network):
    """The listen addresses as they have to be inside a container: all of its own, where it has any.

    :param listen: one listen address or a list of them.
    :param network: name of the network.
    """
    if not is_bridge(network):
        return listen
    ports = sorted({port for dummy, port in listen_addresses(listen)})
    addresses = ["0.0.0.0:{0}".format(port) for port in ports]
    return addresses if isinstance(listen, (list, tuple)) else addresses[0]


def published(listen):
    """How listen addresses of the host lead into a container."""
    return ["{0}{1}:{1}".format(host + ":" if host else "", port) for host, port in listen_addresses(listen)]


def seconds(duration):
    """The seconds of a time as systemd writes it (``600s``, ``10min``), for the patience of a stop.

    :raises ValueError: when it is none.
    """
    match = re.fullmatch(r"\s*(\d+)\s*(ms|s|min|m|h|)\s*", str(duration))
    if not match:
        raise ValueError("{0!r} is not a time such as 600s".format(str(duration)))
    return max(1, round(int(match.group(1)) * _UNITS[match.group(2)]))


def container(settings, needs):
    """The container of a service.

    :param settings: what the flags of the service are made of (``config_dir``, ``listen_address``, ``web_config``,
        ``external_url``, ``extra``), and ``service``, ``image``, ``argv``, ``user``, ``group`` and ``network``; maybe
        ``data_dirs`` (written), ``read_dirs`` and ``readable`` (directories and files that are read), ``publish``
        (further listen addresses), ``memory`` (as Docker writes it, ``2g``), ``cpus``, ``limit_nofile``,
        ``stop_timeout`` (as systemd writes it, ``600s``), ``health_path``, ``ready_timeout`` (seconds) and
        ``container_extra``, which has the last word.
    :param needs: options that this service has beside those that all have.
    :returns: dict of options of https://docs.ansible.com/ansible/latest/collections/community/docker/docker_container_module.html.
    :raises ValueError: for a time that is none.
    """
    # What lies in a directory of the service's own is seen with that; mounted by itself, it would be followed by the engine
    # wherever the service has it lead.
    given = [path.rstrip("/") for path in settings.get("data_dirs") or []]
    written = _outside(given, given)
    read = _outside([settings["config_dir"], *(settings.get("read_dirs") or [])], written)
    volumes = ["{0}:{0}:ro".format(path) for path in read] + ["{0}:{0}:rw".format(path) for path in written]
    volumes += mounts_of(settings.get("readable") or [], inside=[*read, *written])
    made = {
        **HARDENING,
        "image": settings["image"],
        "command": list(settings["argv"][1:]),
        "user": "{0}:{1}".format(settings["user"], settings["group"]),
        "network_mode": settings["network"],
        "ulimits": ["nofile:{0}:{0}".format(settings["limit_nofile"])] if settings.get("limit_nofile") else None,
        "stop_timeout": seconds(settings["stop_timeout"]) if settings.get("stop_timeout") else None,
        "memory": str(settings["memory"]) if settings.get("memory") else None,
        "cpus": float(settings["cpus"]) if settings.get("cpus") else None,
        **needs,
        "volumes": [*volumes, *needs.get("volumes", ())],
    }
    address = health_url(settings)
    if address:
        made["healthcheck"] = {
            "test": ["CMD", "wget", "-q", "-T", "4", "-O", "/dev/null", address],
            "interval": "30s",
            "timeout": "5s",
            "retries": 3,
            "start_period": "{0}s".format(settings.get("ready_timeout") or 60),
        }
    if is_bridge(made["network_mode"]):
        made["published_ports"] = published(settings["listen_address"]) + [
            "{0}/{1}".format(port, kind) for port in published(settings.get("publish") or []) for kind in ("tcp", "udp")
        ]
        # Others find it by its name, also while it bears another one for the length of a switch.
        made["networks"] = [{"name": made["network_mode"], "aliases": [settings["service"]]}]
    return merged(
        {key: value for key, value in made.items() if value is not None}, settings.get("container_extra") or {}
    )


def _outside(paths, folders):
    """Those of the paths that lie in none of the folders."""
    return [path for path in paths if not any(path.startswith(folder + "/") for folder in folders)]


def merged(made, extra):
    """The options with the user's own ones, which win: lists of mounts and groups grow, dictionaries are merged."""
    result = dict(made)
    for key, value in extra.items():
        if key in ADDED and isinstance(value, list):
            result[key] = [*(result.get(key) or []), *value]
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = {**result[key], **value}
        else:
            result[key] = value
    return {key: value for key, value in result.items() if value is not None}


def health_url(settings):
    """The URL of a container's own health check, or an empty string where it would need a secret.

    :param settings: as for :func:`container`.
    """
    web = settings.get("web_config") or {}
    if not settings.get("health_path") or web.get("tls_server_config") or web.get("basic_auth_users"):
        return ""
    host, port = listen_addresses(inside(settings["listen_address"], settings["network"]))[0]
    prefix = route_prefix(settings.get("external_url"), settings.get("extra"))
    return "http://{0}:{1}{2}{3}".format(hosts_of(host)[0], port, prefix, settings["health_path"])
