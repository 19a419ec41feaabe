# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scrape jobs for a blackbox exporter from ``monitoring_probes``. Data in, data out, as in _scrape."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.vigil.monitoring.plugins.plugin_utils import _scrape
from ansible_collections.vigil.monitoring.plugins.plugin_utils._scrape import ScrapeError
from ansible_collections.vigil.monitoring.plugins.plugin_utils._shards import WHOLE, Shard
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import has_client_certificate

GROUP = "blackbox_exporter"
KEYS = ("group", "labels", "module", "name", "targets")
JOB = "blackbox_{0}"
# The module that shows the certificates of all that ``monitoring_tls`` has closed, and how often it looks. They change every few
# weeks, and without a sample in five minutes Prometheus takes a series for gone.
CERTIFICATES = "tls_certificate"
INTERVAL = "2m"
# How Prometheus passes a target to the exporter: as a query parameter; and it becomes the label `instance`.
RELABEL = (
    {"source_labels": ["__address__"], "target_label": "__param_target"},
    {"source_labels": ["__param_target"], "target_label": "instance"},
)

_PLACE = re.compile(r"\{(\w+)\}")


def collect(hosts, value):
    """All probes in the variables of some hosts, each once, with the place of its definition.

    :param hosts: names of hosts.
    :param value: function of a host and the name of a variable.
    :returns: list of ``(where, probe)``.
    :raises ScrapeError: when a variable is not a list.
    """
    found, seen = [], set()
    for host in hosts:
        probes = value(host, "monitoring_probes")
        # A value in group_vars is the same for all hosts of the group.
        if not probes or repr(probes) in seen:
            continue
        seen.add(repr(probes))
        where = "monitoring_probes of {0}".format(host)
        if not isinstance(probes, (list, tuple)):
            raise ScrapeError("{0} must be a list of probes, not {1!r}".format(where, probes))
        found += [("{0}[{1}]".format(where, number), probe) for number, probe in enumerate(probes)]
    return found


def check(where, probe, modules):
    """Refuse an invalid probe.

    :param where: the variable and the path in it, for the message.
    :param modules: names of the modules that the exporter has; None when they are not known.
    :raises ScrapeError: saying why.
    """
    _scrape.check_keys(probe, KEYS, where)
    module = probe.get("module")
    if not module:
        raise ScrapeError("{0} has no module; set one such as http_2xx".format(where))
    if modules is not None and module not in modules:
        raise ScrapeError(
            "{0}: the blackbox exporter has no module {1!r}{2}; known are {3}".format(
                where, str(module), _scrape.near(module, modules), ", ".join(sorted(modules))
            )
        )
    targets = probe.get("targets")
    if (
        not isinstance(targets, (list, tuple))
        or not targets
        or not all(isinstance(one, str) and one for one in targets)
    ):
        raise ScrapeError("{0}.targets must be a list of URLs or addresses, not {1!r}".format(where, targets))


def targets_of(where, probe, inventory, value):
    """The targets of one probe with their labels: list of ``(target, labels)``.

    With a group, each target is generated for each of its hosts: ``{address}`` and ``{host}`` are replaced.

    :param where: the variable and the path in it, for the message.
    :param inventory: group -> names of its hosts, all of them.
    :param value: function of a host and the name of a variable.
    :raises ScrapeError: when its group or a placeholder is invalid.
    """
    labels = _scrape.labels_of(probe.get("labels") or {}, where + ".labels")
    if probe.get("name"):
        labels["probe"] = str(probe["name"])
    if not probe.get("group"):
        for target in probe["targets"]:
            if _PLACE.search(target):
                raise ScrapeError("{0}: {1!r} has a placeholder, but no group is set for it".format(where, target))
        return [(target, labels) for target in probe["targets"]]
    if probe["group"] not in inventory:
        meant = _scrape.near(probe["group"], list(inventory))
        raise ScrapeError("{0}: the inventory has no group {1!r}{2}".format(where, str(probe["group"]), meant))
    result = []
    for host in inventory[probe["group"]]:
        for target in probe["targets"]:
            # Without a placeholder it is a single target for the whole group, without labels of a host.
            given = {_scrape.HOST_LABEL: host} if _PLACE.search(target) else {}
            given = _scrape.labelled(given, value(host, "monitoring_labels"), "monitoring_labels of {0}".format(host))
            given = _scrape.labelled(given, probe.get("labels"), where + ".labels")
            result.append((_placed(where, target, host, value), {**given, **labels}))
    return result


def _placed(where, target, host, value):
    def place(match):
        if match[1] == "host":
            return host
        if match[1] != "address":
            raise ScrapeError("{0}: {1!r} has {2}; known are {{address}} and {{host}}".format(where, target, match[0]))
        address = _scrape.address_of(host, value)
        return "[{0}]".format(address) if ":" in address and match[0] != target else address

    return _PLACE.sub(place, target)


def prober(groups, inventory, value, own_host, client=None):
    """The blackbox exporter for this Prometheus: that of its own host, else the first; None when there is none.

    :param groups: result of ``merge_groups``.
    :param inventory: group -> names of its hosts, all of them.
    :param value: function of a host and the name of a variable.
    :param own_host: the host of this Prometheus.
    :param client: see :func:`_scrape.plan_jobs`.
    :returns: ``(host, target, scheme, path prefix, settings of the job, whether it is closed)``.
    """
    entry = {"port": 9115, **(groups.get(GROUP) or {}), "service": GROUP, "labels": {}, "path": None}
    hosts = [host for host in inventory.get(GROUP) or () if value(host, GROUP + "_state") != "absent"]
    for host in sorted(hosts, key=lambda name: name != own_host):
        # Whether the exporter itself is scraped does not matter here.
        unhidden = _without_override(value)
        found = _scrape.targets_of_group(GROUP, entry, [host], unhidden, own_host)
        if found:
            prefix = _scrape.endpoint(GROUP, host, value).prefix
            shared = {key: entry["config"][key] for key in _scrape.SHARED_HTTP if key in (entry.get("config") or {})}
            further = (client or {}).get(found[0].closed_by) or {}
            return host, found[0].target, found[0].scheme, prefix, {**further, **shared}, bool(further)
    return None


def certificate_targets(groups, inventory, value, host):
    """The services of the inventory that are served by TLS: target -> labels.

    :param groups: result of ``merge_groups``.
    :param inventory: group -> names of its hosts, all of them.
    :param value: function of a host and the name of a variable.
    :param host: that of the exporter.
    """
    found = {}
    for group, entry in groups.items():
        for target in _scrape.targets_of_group(group, entry, inventory.get(group) or (), value, host):
            if target.scheme == "https":
                found[target.target] = {**target.labels, "probe": group}
    return found


def _without_override(value):
    def unhidden(host, name):
        found = value(host, name)
        if name == "monitoring_scrape" and isinstance(found, Mapping) and found.get(GROUP) is False:
            return None
        return found

    return unhidden


def probe_jobs(
    groups,
    inventory,
    value,
    own_host=None,
    directory=_scrape.DIRECTORY,
    default_modules=None,
    client=None,
    shard: Shard = WHOLE,
):
    """The scrape jobs of all probes, one for each module.

    :param groups: result of ``merge_groups``.
    :param inventory: group -> names of its hosts, all of them.
    :param value: function of a host and the name of a variable.
    :param default_modules: function that returns the exporter's modules if no variable defines any.
    :param client: see :func:`_scrape.plan_jobs`.
    :param shard: which part of the targets this server has probed.
    :returns: as ``plan_jobs``, and with ``instances``, the values of the label ``instance``.
    :raises ScrapeError: when a variable is invalid, or there is no exporter.
    """
    probes = collect(inventory.get("all") or (), value)
    asked = prober(groups, inventory, value, own_host, client)
    certificates = certificate_targets(groups, inventory, value, asked[0]) if asked and asked[-1] else {}
    if not probes and not certificates:
        return []
    if asked is None:
        raise ScrapeError(
            "{0} defines probes, but the inventory has no host in the group {1}".format(probes[0][0], GROUP)
        )
    host, address, scheme, prefix, shared, closed = asked
    modules = value(host, GROUP + "_configuration_modules")
    if modules is None and default_modules:
        modules = default_modules()
    modules = modules and [*modules, *([CERTIFICATES] if closed else [])]
    asks_for = _scrape.asks_for_client(GROUP, host, value) if scheme == "https" else ""
    by_module, wanted = {CERTIFICATES: dict(certificates)} if certificates else {}, set()
    for where, probe in probes:
        check(where, probe, modules)
        for target, labels in targets_of(where, probe, inventory, value):
            known = by_module.setdefault(str(probe["module"]), {})
            known[target] = {**known.get(target, {}), **labels}
            wanted.add((str(probe["module"]), target))
    jobs = []
    for module, everywhere in sorted(by_module.items()):
        job = JOB.format(module)
        targets = {
            target: labels for target, labels in everywhere.items() if shard.has(_scrape.split_key(target, labels))
        }
        by_labels = {}
        for target, labels in targets.items():
            by_labels.setdefault(tuple(sorted(labels.items())), []).append(target)
        jobs.append(
            {
                "job_name": job,
                "file": "{0}/{1}.yml".format(directory, re.sub(r"[^A-Za-z0-9_.-]", "_", job)),
                "config": {
                    "job_name": job,
                    "metrics_path": prefix + "/probe",
                    "scheme": scheme,
                    **({"scrape_interval": INTERVAL} if module == CERTIFICATES else {}),
                    "params": {"module": [module]},
                    **shared,
                    "relabel_configs": [*RELABEL, {"target_label": "__address__", "replacement": address}],
                },
                "targets": [
                    {"targets": sorted(found), "labels": dict(labels)} for labels, found in sorted(by_labels.items())
                ],
                # The verification waits for what somebody has asked for; it looks at certificates of services itself.
                "instances": sorted(target for target in targets if (module, target) in wanted),
                "closed": closed,
                "partial": len(targets) < len(everywhere),
                "asks_for": (GROUP, asks_for) if asks_for and not has_client_certificate(shared) else None,
            }
        )
    return jobs
