# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From inventory groups to what Prometheus scrapes, and to what it is then expected to have. Data in, data out.

Host variables come through one function, ``value(host, name)``, that gives a finished value or None; so nothing here
knows about Ansible, and a host of ten thousand costs a handful of dictionary look-ups.
"""

from __future__ import annotations

import contextlib
import fnmatch
import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._labels import is_label, way_out
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import nearest
from ansible_collections.vigil.monitoring.plugins.plugin_utils._shards import (
    BY_JOB,
    BY_TARGET,
    ON_ALL,
    SPLITS,
    WHOLE,
    Shard,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._tls import switched_on
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import (
    has_client_certificate,
    host_and_port,
    wants_client_certificate,
)

GROUP_KEYS = ("config", "enabled", "job", "labels", "path", "port", "port_from", "scheme", "service", "split")
HOST_KEYS = ("address", "enabled", "labels", "path", "port", "scheme")
# Settings of a scrape job that mean the same to Prometheus when it speaks to an Alertmanager.
SHARED_HTTP = ("authorization", "basic_auth", "oauth2", "proxy_url", "tls_config")
DIRECTORY = "file_sd/inventory"
# Where Alertmanagers speak to each other: the default of --cluster.listen-address.
CLUSTER_PORT = 9094
# The variable of a scraped host that gives it bounds of its own.
THRESHOLDS = "prometheus_thresholds"
# The label of every target that has a host in the inventory: its name there, which its address does not tell.
HOST_LABEL = "host"
# What is added to the name of a job for those of its targets that are not closed, where others are.
OPEN = "_open"


class ScrapeError(Exception):
    """Something in the variables makes no sense; the message names group or host, variable and value."""


class Endpoint(NamedTuple):
    """Where a service of one of our roles is served, as its host's variables say.

    :ivar host: host part of its listen address, ``""`` for all interfaces.
    :ivar port: its port, or None when no variable says it.
    :ivar scheme: ``http`` or ``https``.
    :ivar prefix: path that its URLs begin with, without a slash at the end; mostly empty.
    :ivar metrics_path: path of its metrics, prefix included.
    :ivar closed_by: how ``monitoring_tls`` has closed it to strangers, see :mod:`_tls`; mostly empty.
    """

    host: str
    port: int | None
    scheme: str
    prefix: str
    metrics_path: str
    closed_by: str = ""


def listen_address(text, what):
    """Host and port of ``[HOST]:PORT``; of a list, those of the first element that is not for its own host alone.

    :param what: where it comes from, for the error.
    :raises ScrapeError: when there is no port.
    """
    if isinstance(text, Sequence) and not isinstance(text, str):
        found = [listen_address(one, what) for one in text or [""]]
        return next((one for one in found if not (one[0] and is_loopback(one[0]))), found[0])
    # Any program's, not a service's of this collection alone: what stands before the port is its own affair.
    parts = host_and_port(text)
    if not parts:
        raise ScrapeError("{0} is {1!r}: a listen address ends with a colon and a port".format(what, str(text)))
    return _bound(parts[0]), parts[1]


def _bound(host):
    """The host of a listen address without brackets, ``""`` for all interfaces."""
    host = host.strip("[]")
    return "" if host in ("0.0.0.0", "::", "*") else host


def is_loopback(host):
    """Whether an address can only be reached from its own machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def endpoint(service, host, value):
    """Read a service's :class:`Endpoint` off the variables of its role.

    :param service: prefix of the variables: ``prometheus``, ``alertmanager``, ``node_exporter``, …
    :param value: function of a host and the name of a variable.
    """

    def get(name):
        return value(host, "{0}_{1}".format(service, name))

    # Of a service that is none of this collection's, the same variables are looked at.
    room = _rooms.load(service) if service in _rooms.names() else None
    own = room.endpoint(get) if room else None
    closed = bool(room) and switched_on(get("tls"), value(host, "monitoring_tls")) and room.leaves_tls(get)
    if own:
        found = Endpoint(*own)
        return found._replace(scheme="https", closed_by=room.closed_by) if closed else found
    listening = get("web_listen_address")
    name, port = "", None
    if not listening and (get("listen_ip") or get("port")):
        # An address may be two variables, as with prometheus.prometheus.
        name, port = _bound(str(get("listen_ip") or "")), get("port") and int(get("port"))
    if listening:
        name, port = listen_address(listening, "{0}_web_listen_address of {1}".format(service, host))
    web_config = get("web_config")
    tls = get("tls_server_config") or (web_config.get("tls_server_config") if isinstance(web_config, Mapping) else None)
    # The flags may bear another name, that of prometheus.prometheus.
    flags = get("config_flags_extra") or get("cli_flags")
    flags = flags if isinstance(flags, Mapping) else {}
    prefix = flags.get("web.route-prefix")
    if prefix is None:
        prefix = urlsplit(str(get("web_external_url") or flags.get("web.external-url") or "")).path
    prefix = "/" + str(prefix).strip("/") if str(prefix).strip("/") else ""
    path = get("metrics_path") or get("web_telemetry_path") or get("prometheus_endpoint")
    path = str(path) if path else prefix + "/metrics"
    if closed and room.proxy:
        front = endpoint(room.proxy, host, value)
        port = front.port or _rooms.load(room.proxy).port
        return Endpoint(front.host, port, "https", prefix, path, room.closed_by)
    return Endpoint(name, port, "https" if tls or closed else "http", prefix, path, room.closed_by if closed else "")


def asks_for_client(service, host, value):
    """The variable by which a service of one of our roles wants a client certificate, with its host; else nothing.

    :param service: prefix of the variables.
    :param value: function of a host and the name of a variable.
    """
    for name in ("tls_server_config", "web_config"):
        found = value(host, "{0}_{1}".format(service, name))
        tls = found.get("tls_server_config") if name == "web_config" and isinstance(found, Mapping) else found
        if wants_client_certificate(tls):
            return "{0}_{1} of {2}".format(service, name, host)
    return ""


def address_of(host, value):
    """The name or address under which other hosts reach this one: monitoring_address, ansible_host or its name."""
    return clean_address(value(host, "monitoring_address") or value(host, "ansible_host") or host, host)


def clean_address(address, host):
    """An address without brackets.

    :raises ScrapeError: when it is none.
    """
    address = str(address).strip()
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if not address or re.search(r"[\s/\[\]@]", address):
        raise ScrapeError("{0!r} of host {1} is no address: see monitoring_address".format(address, host))
    return address


def join(address, port):
    """``ADDRESS:PORT``, with brackets around an IPv6 address."""
    return "[{0}]:{1}".format(address, port) if ":" in address else "{0}:{1}".format(address, port)


def near(name, known):
    """What a message adds to a name that means nothing: the nearest one that there is, or an empty string."""
    found = nearest(name, known)
    return "; did you mean {0!r}?".format(found) if found else ""


def check_keys(found, allowed, where):
    """Refuse what is no mapping, or has keys that mean nothing.

    :param found: what the inventory has.
    :param allowed: names of keys.
    :param where: the variable and the path in it, for the message.
    :raises ScrapeError: naming the nearest key that there is.
    """
    if not isinstance(found, Mapping):
        raise ScrapeError("{0} has to be a mapping, not {1!r}".format(where, found))
    for key in found:
        if key not in allowed:
            raise ScrapeError(
                "{0} has no key {1!r}{2}; known are {3}".format(where, str(key), near(key, allowed), ", ".join(allowed))
            )


def labels_of(found, where):
    """Labels as text, without those that are null.

    :param where: the variable and the path in it, for the message.
    :raises ScrapeError: when they are none.
    """
    if not isinstance(found, Mapping):
        raise ScrapeError("{0} has to be a mapping of names to values, not {1!r}".format(where, found))
    for name in found:
        if not is_label(name):
            raise ScrapeError("{0}: {1!r} is not a valid label name".format(where, str(name)))
    return {str(name): _text(text) for name, text in found.items() if text is not None}


def labelled(labels, found, where):
    """Labels with those of a variable over them; null takes one away.

    :param found: what the inventory has; None where the variable is not set.
    :param where: the variable and the path in it, for the message.
    :raises ScrapeError: when they are none.
    """
    if not found:
        return labels
    taken_away = {str(name) for name, text in found.items() if text is None} if isinstance(found, Mapping) else ()
    return {name: text for name, text in {**labels, **labels_of(found, where)}.items() if name not in taken_away}


def _text(found):
    return str(found).lower() if isinstance(found, bool) else str(found)


def _path(found, where):
    path = str(found)
    if not path.startswith("/"):
        raise ScrapeError("{0} is {1!r}: a path begins with /".format(where, path))
    return path


def _scheme(found, where):
    if found not in ("http", "https"):
        raise ScrapeError("{0} is {1!r}: it has to be http or https".format(where, str(found)))
    return str(found)


def _port(found, where):
    try:
        port = int(found)
    except (TypeError, ValueError):
        port = 0
    if isinstance(found, bool) or not 0 < port < 65536:
        raise ScrapeError("{0} is {1!r}: it has to be a port".format(where, found))
    return port


class Found(NamedTuple):
    """One target of a group before jobs are put together.

    :ivar asks_for: the variable of its host by which it wants a client certificate; mostly empty.
    :ivar closed_by: how ``monitoring_tls`` has closed it to strangers; mostly empty.
    :ivar here: whether this server scrapes it, and no other shard.
    """

    target: str
    path: str
    scheme: str
    labels: dict
    asks_for: str = ""
    closed_by: str = ""
    here: bool = True


def merge_groups(mappings):
    """Several ``prometheus_scrape_groups`` as one: a later one replaces a group's entry but for ``split``, null or false drops it.

    :returns: group -> its entry.
    :raises ScrapeError: for what is none.
    """
    merged = {}
    for mapping in mappings:
        if mapping is None:
            continue
        if not isinstance(mapping, Mapping):
            raise ScrapeError("prometheus_scrape_groups has to be a mapping of groups, not {0!r}".format(mapping))
        for group, entry in mapping.items():
            earlier = merged.get(str(group))
            if isinstance(entry, Mapping) and isinstance(earlier, Mapping) and "split" in earlier:
                # Whoever gives it another port still has its targets added up, or watched by all.
                entry = {"split": earlier["split"], **entry}
            merged[str(group)] = entry
    result = {}
    for group, entry in merged.items():
        if entry is None or entry is False:
            continue
        where = "prometheus_scrape_groups.{0}".format(group)
        check_keys(entry, GROUP_KEYS, where)
        if entry.get("enabled", True):
            result[group] = entry
    return result


def with_server(groups, inventory, service, host):
    """The inventory in which the host of a server that scrapes itself is in a group of its service, as it is asked for.

    :param groups: result of :func:`merge_groups`.
    :param inventory: group -> names of its hosts.
    :param service: role of the server.
    """
    own = [group for group, entry in groups.items() if entry.get("service") == service]
    if not own or any(host in (inventory.get(group) or ()) for group in own):
        return inventory
    return {**inventory, own[0]: [*(inventory.get(own[0]) or ()), host]}


def targets_of_group(group, entry, hosts, value, own_host=None):  # noqa: C901
    """The targets of one inventory group, in the order of its hosts.

    :param group: name of the inventory group.
    :param entry: its entry in ``prometheus_scrape_groups``.
    :param hosts: names of its hosts.
    :param value: function of a host and the name of a variable.
    :param own_host: the host whose Prometheus scrapes; a service of its own that listens only there is reached there.
    :raises ScrapeError: when a variable cannot be used.
    """
    where = "prometheus_scrape_groups.{0}".format(group)
    service, port_from = entry.get("service"), entry.get("port_from")
    group_path = _path(entry["path"], where + ".path") if entry.get("path") else None
    group_scheme = _scheme(entry["scheme"], where + ".scheme") if entry.get("scheme") else None
    group_port = _port(entry["port"], where + ".port") if entry.get("port") else None
    if not (group_port or service or port_from):
        raise ScrapeError("{0} says no port: set port, port_from or service".format(where))
    result = []
    for host in hosts:
        own = {}
        overrides = value(host, "monitoring_scrape")
        if overrides:
            where_host = "monitoring_scrape of {0}".format(host)
            if not isinstance(overrides, Mapping):
                raise ScrapeError("{0} has to be a mapping of groups, not {1!r}".format(where_host, overrides))
            own = overrides.get(group) or {}
            if own is not False and own:
                check_keys(own, HOST_KEYS, "{0}: {1}".format(where_host, group))
            if overrides.get(group) is False or own.get("enabled", True) is False:
                continue
        if service and value(host, service + "_state") == "absent":
            continue
        port, path, scheme, bound, closed_by = group_port, group_path or "/metrics", group_scheme or "http", "", ""
        if service:
            at = endpoint(service, host, value)
            bound, port, closed_by = at.host, at.port or port, at.closed_by
            path, scheme = group_path or at.metrics_path, group_scheme or at.scheme
        elif port_from:
            listening = value(host, port_from)
            if isinstance(listening, int):
                port = _port(listening, "{0} of {1}".format(port_from, host))
            elif listening:
                bound, port = listen_address(listening, "{0} of {1}".format(port_from, host))
        if own:
            where_host = "monitoring_scrape of {0}: {1}".format(host, group)
            port = _port(own["port"], where_host + ".port") if own.get("port") else port
            path = _path(own["path"], where_host + ".path") if own.get("path") else path
            scheme = _scheme(own["scheme"], where_host + ".scheme") if own.get("scheme") else scheme
        if not port:
            raise ScrapeError(
                "host {0} says no port for {1}: set {2} there, or port in {3}".format(
                    host, group, port_from or str(service) + "_web_listen_address", where
                )
            )
        if own.get("address"):
            address = clean_address(own["address"], host)
        elif bound and host == own_host and is_loopback(bound):
            address = bound
        else:
            address = address_of(host, value)
        asks_for = asks_for_client(service, host, value) if service and scheme == "https" else ""
        labels = labelled({HOST_LABEL: host}, entry.get("labels"), where + ".labels")
        labels = labelled(labels, value(host, "monitoring_labels"), "monitoring_labels of {0}".format(host))
        labels = labelled(labels, own and own.get("labels"), "monitoring_scrape of {0}: {1}.labels".format(host, group))
        result.append(
            Found(join(address, port), path, scheme, labels, asks_for, closed_by if scheme == "https" else "")
        )
    return result


def split_key(target, labels):
    """By what of a target its shard is chosen: the label of its host, so that all targets of a host are at one server and rules
    can join them; else its address.

    :param target: ``HOST:PORT``, or what a prober is asked about.
    """
    return labels.get(HOST_LABEL) or target


def _split(group, entry, job, targets, shard):
    """The targets of a group, with those marked that are not of this shard.

    :param targets: list of :class:`Found`.
    :raises ScrapeError: when ``split`` of the group is none.
    """
    service = entry.get("service")
    of_room = _rooms.load(service).scrape if service in _rooms.names() else {}
    split = entry.get("split") or of_room.get("split") or BY_TARGET
    if split not in SPLITS:
        where = "prometheus_scrape_groups.{0}.split is {1!r}: it has to be one of {2}"
        raise ScrapeError(where.format(group, str(split), ", ".join(SPLITS)))
    if split == ON_ALL or shard.of == 1 or (split == BY_JOB and shard.has(job)):
        return targets
    return [
        target._replace(here=split == BY_TARGET and shard.has(split_key(target.target, target.labels)))
        for target in targets
    ]


def plan_jobs(
    groups, inventory, value, own_host=None, directory=DIRECTORY, client=None, shard: Shard = WHOLE
):  # fmt: skip
    """Every job that the inventory asks for.

    :param groups: result of :func:`merge_groups`.
    :param inventory: group -> names of its hosts, all of them.
    :param value: function of a host and the name of a variable.
    :param directory: folder of the target files, relative to Prometheus' configuration.
    :param client: how those are scraped that ``monitoring_tls`` has closed: ``closed_by`` -> settings of a job.
    :param shard: which part of the targets this server scrapes; the configuration of a job is the same on all.
    :returns: list of jobs, sorted by name: ``job_name``, ``file``, ``config`` (a scrape configuration without its
        discovery), ``targets`` (one group for each distinct set of labels), and ``partial``, whether other shards have targets of
        it.
    :raises ScrapeError: when a variable cannot be used, or two jobs would be written to one file.
    """
    found = {}
    for group, entry in groups.items():
        hosts = inventory.get(group)
        if hosts:
            job = str(entry.get("job") or group)
            targets = _split(group, entry, job, targets_of_group(group, entry, hosts, value, own_host), shard)
            if targets:
                found.setdefault(job, []).append((group, entry, targets))
    jobs, files = [], {}
    for job in sorted(found):
        file_name = re.sub(r"[^A-Za-z0-9_.-]", "_", job)
        if files.setdefault(file_name, job) != job:
            raise ScrapeError("jobs {0!r} and {1!r} would share the file {2}".format(files[file_name], job, file_name))
        for name, parts, further in _by_door(job, found[job], client or {}):
            jobs.append(_job(name, job, parts, "{0}/{1}.yml".format(directory, file_name + name[len(job) :]), further))
    return jobs


def _by_door(job, parts, client):
    """A job once for all its targets; or, where only some are closed, one for these and one for the others, as no password
    may be told to whom no certificate authority vouches for. Their targets have the same label ``job``.

    :returns: list of ``(name of the job, parts, settings of the job)``.
    """
    doors = {target.closed_by for dummy, dummy, targets in parts for target in targets}
    found = []
    for door in sorted(doors, reverse=True):
        those = [
            (group, entry, [target for target in targets if target.closed_by == door])
            for group, entry, targets in parts
        ]
        name = job if door or len(doors) == 1 else job + OPEN
        found.append((name, [part for part in those if part[2]], client.get(door) or {}))
    return found


def _job(name, job, parts, file_name, further):
    """One job of the groups that map to it.

    :param name: of the job; its targets have the label ``job`` where that is another one.
    :param further: settings besides those of the groups, which win.
    """
    config, source = {}, None
    for group, entry, dummy in parts:
        extra = entry.get("config") or {}
        if extra and config and extra != config:
            raise ScrapeError(
                "prometheus_scrape_groups: {0} and {1} both make the job {2} and give it a different config".format(
                    source, group, job
                )
            )
        if extra:
            where = "prometheus_scrape_groups.{0}.config".format(group)
            if not isinstance(extra, Mapping):
                raise ScrapeError("{0} has to be a mapping, not {1!r}".format(where, extra))
            for key in ("job_name", "metrics_path", "scheme"):
                if key in extra:
                    raise ScrapeError(
                        "{0} must not hold {1}; the group has {2}".format(
                            where, key, {"job_name": "job", "metrics_path": "path"}.get(key, key)
                        )
                    )
            config, source = extra, group
    # What most targets say is the job's, and the others say it in labels of their own.
    path = _commonest(target.path for dummy, dummy, targets in parts for target in targets)
    scheme = _commonest(target.scheme for dummy, dummy, targets in parts for target in targets)
    by_labels, partial = _by_labels(parts, path, scheme, {"job": job} if name != job else {})
    asking = [(group, target.asks_for) for group, dummy, targets in parts for target in targets if target.asks_for]
    return {
        "job_name": name,
        "file": file_name,
        "asks_for": asking[0] if asking and not has_client_certificate(config) else None,
        "closed": bool(further),
        "partial": partial,
        "config": {"job_name": name, "metrics_path": path, "scheme": scheme, **further, **config},
        "targets": [
            {"targets": sorted(targets), "labels": dict(labels)} for labels, targets in sorted(by_labels.items())
        ],
    }


def _by_labels(parts, path, scheme, common):
    """The targets of a job that this server scrapes, by their labels.

    :param path: that of the job, likewise ``scheme``; a target with another one says so in its labels.
    :param common: labels of all of them.
    :returns: labels as pairs -> targets; and whether other shards have targets of the job.
    """
    merged, here = {}, set()
    for dummy, dummy, targets in parts:
        for target in targets:
            key = (target.target, target.path, target.scheme)
            labels = merged.get(key)
            merged[key] = target.labels if not labels else {**labels, **target.labels}
            if target.here:
                here.add(key)
    found = {}
    for key, labels in merged.items():
        if key not in here:
            continue
        target, own_path, own_scheme = key
        labels = {**common, **labels}
        if own_path != path:
            labels = {**labels, "__metrics_path__": own_path}
        if own_scheme != scheme:
            labels = {**labels, "__scheme__": own_scheme}
        found.setdefault(tuple(sorted(labels.items())), []).append(target)
    return found, len(here) < len(merged)


def _commonest(texts):
    counts = {}
    for text in texts:
        counts[text] = counts.get(text, 0) + 1
    return min(counts, key=lambda text: (-counts[text], text))


def alertmanagers(group, entry, hosts, value, own_host=None, client=None):
    """The ``alertmanagers`` of Prometheus' ``alerting`` section for an inventory group of Alertmanagers.

    :param client: see :func:`plan_jobs`.
    :returns: list of one configuration for each distinct scheme and path prefix, in Prometheus' own shape.
    """
    service = _rooms.receives_alerts()
    entry = {**(entry or {}), "service": service, "port": (entry or {}).get("port") or _rooms.load(service).port}
    by_door = {}
    for host in hosts or ():
        # The metrics' own path and labels are no matter here; address, port and scheme are the same.
        for found in targets_of_group(group, {**entry, "labels": {}, "path": None}, [host], value, own_host):
            prefix = endpoint(service, host, value).prefix
            by_door.setdefault((found.scheme, prefix, found.closed_by), set()).add(found.target)
    shared = {key: entry["config"][key] for key in SHARED_HTTP if key in (entry.get("config") or {})}
    return [
        {
            "scheme": scheme,
            **({"path_prefix": prefix} if prefix else {}),
            **((client or {}).get(closed_by) or {}),
            **shared,
            "static_configs": [{"targets": sorted(targets)}],
        }
        for (scheme, prefix, closed_by), targets in sorted(by_door.items())
    ]


def plan(  # noqa: C901
    groups,
    inventory,
    value,
    own_host=None,
    scrape_configs=(),
    targets=None,
    target_files=None,
    alertmanager_group=None,
    default_ports=False,
    directory=DIRECTORY,
    probes=(),
    version=None,
    client=None,
    shard: Shard = WHOLE,
    sharded_jobs=(),
):
    """Everything that Prometheus gets from the inventory, and everything that it is then expected to have.

    :param groups: result of :func:`merge_groups`.
    :param scrape_configs: the user's own scrape configurations; a job of theirs replaces one of ours.
    :param targets: the user's ``prometheus_targets``: name -> target groups; they replace the targets of a job of ours
        with that name, and those that no scrape configuration reads get a job of their own.
    :param target_files: base name -> target groups of the user's own target files; likewise, the job is named after the
        file.
    :param alertmanager_group: inventory group of the Alertmanagers; the default is the name of the service.
    :param default_ports: whether Prometheus adds the port of the scheme to an address without one (before 3.0).
    :param probes: jobs of the blackbox exporter, as ``probe_jobs`` makes them.
    :param version: of Prometheus, where it is known: an earlier one takes fewer names of labels.
    :param client: see :func:`plan_jobs`.
    :param shard: which part of the inventory's targets this server scrapes.
    :param sharded_jobs: names of the user's own jobs whose targets are split as well.
    :raises ScrapeError: when a variable cannot be used.
    """
    partial = set()
    split_jobs = {str(name) for name in sharded_jobs or ()} if shard.of > 1 else set()
    targets = {str(name): found or [] for name, found in (targets or {}).items()}
    files = {"{0}.yml".format(name): found for name, found in targets.items()}
    files.update(target_files or {})
    scrape_configs = [config for config in scrape_configs or () if isinstance(config, Mapping)]
    theirs = {str(config.get("job_name")) for config in scrape_configs}
    alertmanager_group = alertmanager_group or _rooms.receives_alerts()
    expected, pools, renamed, read = set(), set(), set(), set()

    def expect(config, target_groups):
        name = str(config["job_name"])
        if name in split_jobs:
            partial.add(name)
            target_groups = [
                {**found, "targets": [target for target in found.get("targets") or () if shard.has(str(target))]}
                for found in target_groups or ()
            ]
            target_groups = [found for found in target_groups if found["targets"]]
        if config.get("relabel_configs"):
            # What relabelling makes of them is for Prometheus to say: whatever it has of this job has to be up.
            if target_groups:
                pools.add(str(config["job_name"]))
                if any(rule.get("target_label") == "job" or rule.get("action") for rule in config["relabel_configs"]):
                    renamed.add(str(config["job_name"]))
            return
        for found in target_groups or ():
            labels = found.get("labels") or {}
            scheme = labels.get("__scheme__") or config.get("scheme") or "http"
            for target in found.get("targets") or ():
                instance = str(labels.get("instance") or target)
                if default_ports and instance == target and not re.search(r":\d+$", instance):
                    instance += ":443" if scheme == "https" else ":80"
                expected.add((str(labels.get("job") or config["job_name"]), instance))

    for config in scrape_configs:
        if not config.get("job_name"):
            continue
        expect(config, config.get("static_configs"))
        for discovery in config.get("file_sd_configs") or ():
            for pattern in discovery.get("files") or ():
                folder, dummy, base = str(pattern).rpartition("/")
                if folder and folder.rpartition("/")[2] != "file_sd":
                    continue
                for name in fnmatch.filter(files, base):
                    read.add(name)
                    expect(config, files[name])

    jobs, overridden, made = [], [], {}
    jobs_of_groups, closed = plan_jobs(groups, inventory, value, own_host, directory, client, shard), False
    taken = {job["job_name"] for job in jobs_of_groups}.intersection(job["job_name"] for job in probes)
    if taken:
        raise ScrapeError("the job {0} is one of probes already: rename that of the group".format(min(taken)))
    for job in [*jobs_of_groups, *probes]:
        instances, asks_for = job.pop("instances", None), job.pop("asks_for", None)
        closed = job.pop("closed", False) or closed
        has_part = job.pop("partial", False)
        if job["job_name"] in theirs:
            overridden.append(job["job_name"])
            continue
        if asks_for:
            raise ScrapeError(
                "{1} wants a client certificate of whoever scrapes it: give the job {2} one with"
                " prometheus_scrape_groups.{0}.config.tls_config.cert_file and key_file, files on the host of"
                " Prometheus that its user can read".format(*asks_for, job["job_name"])
            )
        for suffix in (".yml", ".yaml", ".json"):
            if job["job_name"] + suffix in files:
                job.update(file="file_sd/" + job["job_name"] + suffix, targets=None)
                overridden.append(job["job_name"])
                read.add(job["job_name"] + suffix)
                expect(job["config"], files[job["job_name"] + suffix])
                break
        else:
            if has_part:
                partial.add(job["config"].get("job_name"))
                if not job["targets"]:
                    continue
            if instances is None:
                expect(job["config"], job["targets"])
            else:
                # Relabelled, but by us: the targets' names are known.
                expected.update((job["job_name"], instance) for instance in instances)
        jobs.append(job)
    for name in sorted(targets):
        if name + ".yml" not in read and name not in theirs:
            job = {"job_name": name, "file": "file_sd/{0}.yml".format(name), "config": {"job_name": name}}
            jobs.append({**job, "targets": None})
            expect(job["config"], targets[name])
            made[name] = name + ".yml"
    for name in sorted(target_files or {}):
        job_name, dummy, ending = name.rpartition(".")
        if name in read or job_name in theirs or ending.lower() not in ("yml", "yaml", "json"):
            continue
        other = made.get(job_name) or next((job["file"] for job in jobs if job["job_name"] == job_name), None)
        if other:
            raise ScrapeError(
                "the target file {0} would become the job {1}, which {2} is already: no job reads it; rename it".format(
                    name, job_name, other
                )
            )
        made[job_name] = name
        job = {"job_name": job_name, "file": "file_sd/" + name, "config": {"job_name": job_name}}
        jobs.append({**job, "targets": None})
        expect(job["config"], files[name])
    for job in jobs if version and not is_label("a.b", version) else ():
        for found in job["targets"] or ():
            for name in found.get("labels") or ():
                if not is_label(name, version):
                    where = "{0} of the job {1}".format(", ".join(found["targets"][:3]), job["job_name"])
                    raise ScrapeError("{0!r}, a label of {1}: {2}".format(name, where, way_out(name)))
    managers = alertmanagers(
        alertmanager_group, groups.get(alertmanager_group), inventory.get(alertmanager_group), value, own_host, client
    )
    return {
        "closed": closed or any("tls_config" in manager for manager in managers),
        "jobs": sorted(jobs, key=lambda job: job["job_name"]),
        "alertmanagers": managers,
        "expected": [{"job": job, "instance": instance} for job, instance in sorted(expected)],
        "pools": sorted(pools),
        "overridden": overridden,
        "shard": {"number": shard.number, "of": shard.of},
        "rules": {
            "groups": {
                group: str(entry.get("job") or group) for group, entry in groups.items() if inventory.get(group)
            },
            "jobs": sorted({job for job, dummy in expected} | (pools - renamed)),
            "partial": sorted(partial),
            "alertmanagers": sum(len(manager["static_configs"][0]["targets"]) for manager in managers),
            "members": max(
                (
                    members(host, inventory[alertmanager_group], value)
                    for host in inventory.get(alertmanager_group) or ()
                ),
                default=0,
            ),
            "overrides": own_thresholds(groups, inventory, value, own_host),
            "backups": backups(inventory, value),
        },
    }


def backups(inventory, value):
    """The names of the backups that the role backup makes: the value of the label ``backup`` in their metrics."""
    hosts = [host for host in inventory.get("backup") or () if value(host, "backup_state") != "absent"]
    return sorted(str(value(host, "backup_name") or host) for host in hosts)


def own_thresholds(groups, inventory, value, own_host=None):
    """The hosts with thresholds other than those that the Prometheus server itself sees, and their targets' instances."""
    hosts = {host for group in groups for host in inventory.get(group) or ()} - {own_host}
    given = {host: value(host, THRESHOLDS) for host in sorted(hosts)}
    found = []
    for host, thresholds in given.items():
        if not thresholds or (own_host and thresholds == value(own_host, THRESHOLDS)):
            continue
        targets = [
            target
            for group, entry in groups.items()
            if host in (inventory.get(group) or ())
            for target in targets_of_group(group, entry, [host], value, own_host)
        ]
        instances = sorted({target.labels.get("instance") or target.target for target in targets})
        found.append({"host": host, "instances": instances, "thresholds": thresholds})
    return found


def cluster(host, group, value):
    """The flags ``--cluster.*`` with which the Alertmanagers of a group are one cluster; a single one stands alone.

    :param group: hosts with an Alertmanager.
    :param value: function of a host and the name of a variable.
    """
    others = [other for other in group if other != host and value(other, "alertmanager_state") != "absent"]
    if host not in group or not others:
        return {"listen-address": ""}
    found = {"listen-address": join("0.0.0.0", CLUSTER_PORT)}
    own = address_of(host, value)
    with contextlib.suppress(ValueError):
        # Alertmanager takes no name here. Without it, it looks for a private address of its own.
        ipaddress.ip_address(own)
        found["advertise-address"] = join(own, CLUSTER_PORT)
    found["peers"] = sorted(join(address_of(other, value), CLUSTER_PORT) for other in others)
    return found


def fellows(host, group, value):
    """The other hosts of a group whose Alertmanagers are in one cluster with this one.

    :param group: hosts with an Alertmanager.
    :param value: function of a host and the name of a variable.
    """
    given = value(host, "alertmanager_cluster")
    peers = (cluster(host, group, value) if given is None else given or {}).get("peers") or []
    names = {_peer_host(peer) for peer in ([peers] if isinstance(peers, str) else peers)}
    if not names:
        return []
    return [
        other
        for other in group
        if other != host
        and value(other, "alertmanager_state") != "absent"
        and names & {other, value(other, "ansible_host"), value(other, "monitoring_address")}
    ]


def members(host, group, value):
    """How many Alertmanagers of the inventory are in one cluster with this one, itself included; 0 when it is alone.

    :param group: hosts with an Alertmanager.
    """
    others = len(fellows(host, group, value))
    return others + 1 if others else 0


def has_closed_cluster(host, group, value):
    """Whether ``monitoring_tls`` has closed all Alertmanagers that are in one cluster with this one: with TLS, none of them
    understands another one without it.

    :param group: hosts with an Alertmanager.
    """
    return all(endpoint(_rooms.receives_alerts(), other, value).closed_by for other in fellows(host, group, value))


def _peer_host(peer):
    return str(peer).rpartition(":")[0].strip("[]")
