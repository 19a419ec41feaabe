# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the inputs of the role prometheus, beyond their types."""

from __future__ import annotations

import re

from ansible_collections.vigil.monitoring.plugins.module_utils._version import version_key
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rules, _shards
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inputs import pinned
from ansible_collections.vigil.monitoring.plugins.plugin_utils._labels import is_label, way_out
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import (
    Problem,
    did_you_mean,
    is_duration,
    not_a_duration,
    shown,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils.services.prometheus import Room

_SIZE = re.compile(r"0|(\d+(\.\d+)?(B|[KMGTPE]i?B))+")


def check_rules(values):
    """Packs of rules, thresholds, and what all alerts get besides."""
    packs = _rules.load_packs()
    yield from _rules.check_packs(values["prometheus_rule_packs"])
    yield from _rules.check_thresholds(packs, values["prometheus_thresholds"])
    version = values["prometheus_version"] if pinned("prometheus", values) else None
    added = values["prometheus_rule_labels"], values["prometheus_rule_annotations"]
    yield from _rules.check_additions(*added, version)


def _check_shards(values):
    """Which part of the targets it scrapes, and which jobs of the user's own are split."""
    try:
        _shards.shards("prometheus", [""], lambda dummy, name: values.get(name))
    except _shards.ShardError as error:
        yield error.problem
    own = [
        config.get("job_name") for config in values.get("prometheus_scrape_configs") or () if isinstance(config, dict)
    ]
    own += list(values["prometheus_targets"] or ())
    for name in values.get("prometheus_sharded_jobs") or ():
        if name not in own:
            remedy = did_you_mean(
                name, own, "the jobs of the inventory are split anyway, see split in prometheus_scrape_groups"
            )
            found = "{0} is no job of prometheus_scrape_configs or prometheus_targets".format(shown(name))
            yield Problem("prometheus_sharded_jobs", found, remedy)


def check_prometheus(values):  # noqa: C901
    """What only Prometheus has."""
    yield from check_rules(values)
    for key in ("scrape_interval", "scrape_timeout", "evaluation_interval"):
        value = (values["prometheus_global"] or {}).get(key)
        if value is not None and not is_duration(value):
            yield not_a_duration("prometheus_global." + key, value)
    if "external_labels" in (values["prometheus_global"] or {}):
        yield Problem(
            "prometheus_global.external_labels", "has a variable of its own", "use prometheus_external_labels"
        )
    label = values["prometheus_replica_label"]
    version = values["prometheus_version"] if pinned("prometheus", values) else None
    if label and not is_label(label, version):
        yield Problem("prometheus_replica_label", "is {0}".format(shown(label)), way_out(label) + ", or write nothing")
    if label and not values["prometheus_replica"] and label not in (values["prometheus_external_labels"] or {}):
        remedy = "write the name of this server, or an empty prometheus_replica_label for no such label"
        yield Problem("prometheus_replica", "is empty", remedy)
    yield from _check_shards(values)
    for name in values["prometheus_external_labels"] or {}:
        if not is_label(name, version):
            where = "prometheus_external_labels.{0}".format(name)
            yield Problem(where, "is not a valid label name", way_out(name))
    if not is_duration(values["prometheus_storage_retention"]):
        yield not_a_duration("prometheus_storage_retention", values["prometheus_storage_retention"])
    retention = ((values["prometheus_storage"] or {}).get("tsdb") or {}).get("retention") or {}
    for key, variable in (("time", "prometheus_storage_retention"), ("size", "prometheus_storage_retention_size")):
        if key in retention:
            where = "prometheus_storage.tsdb.retention." + key
            yield Problem(where, "has a variable of its own", "use {0}".format(variable))
    size = values["prometheus_storage_retention_size"]
    if not _SIZE.fullmatch(str(size)):
        yield Problem(
            "prometheus_storage_retention_size", "is {0}".format(shown(size)), "write a size such as 512MB or 50GB"
        )
    if str(values["prometheus_agent_mode"]).lower() in ("true", "yes", "on", "1") and pinned("prometheus", values):
        if version_key(values["prometheus_version"]) < version_key(Room.since["enable-feature=agent"]):
            yield Problem(
                "prometheus_agent_mode",
                "is not known to version {0}".format(values["prometheus_version"]),
                "deploy {0} or newer".format(Room.since["enable-feature=agent"]),
            )
    for name, groups in (values["prometheus_targets"] or {}).items():
        good = isinstance(groups, list) and all(
            isinstance(group, dict) and isinstance(group.get("targets"), list) for group in groups
        )
        where = "prometheus_targets[{0!r}]".format(str(name))
        if not good:
            yield Problem(where, "is not a list of groups", "write - targets: [HOST:PORT] below it")
        if "/" in str(name):
            yield Problem(where, "has a slash in its name", "the name becomes that of a file; choose another")
