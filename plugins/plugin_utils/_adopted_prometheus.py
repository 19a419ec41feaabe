# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a Prometheus is compared before it is adopted, whoever deployed it."""

from __future__ import annotations

import json
import posixpath
import re

from ansible_collections.vigil.monitoring.plugins.module_utils._redact import scrub
from ansible_collections.vigil.monitoring.plugins.plugin_utils._adoption import (
    dicts,
    load,
    mapping,
    matching,
    normal,
    numbered,
    without,
)

# What upstream does where nothing is said: with it or without, it is the same.
_JOB = {
    "metrics_path": "/metrics",
    "scheme": "http",
    "honor_labels": False,
    "honor_timestamps": True,
    "follow_redirects": True,
    "enable_http2": True,
    "enable_compression": True,
}
_GLOBAL = {"scrape_interval": "1m", "scrape_timeout": "10s", "evaluation_interval": "1m"}
_DISCOVERED = re.compile(r"_sd_configs$|^static_configs$")


def sections(flags, directory, files, shown):
    """Its sections.

    :param flags: its flags, with the values that were given to each.
    :param directory: of its configuration.
    :param files: path to text.
    :param shown: the section of flags; those that are compared elsewhere are taken out.
    """
    path = (flags.get("config.file") or [posixpath.join(directory, "prometheus.yml")])[0]
    config = mapping(load(files.get(path, "")))
    top = mapping(config.get("global"))
    shared = {**_JOB, **{name: top.get(name, _GLOBAL[name]) for name in ("scrape_interval", "scrape_timeout")}}
    jobs = dicts(config.get("scrape_configs"))
    for name in matching(files, directory, config.get("scrape_config_files")):
        jobs += dicts(mapping(load(files[name])).get("scrape_configs"))
    alerts, records = [], []
    for name in matching(files, directory, config.get("rule_files")):
        for group in dicts(mapping(load(files[name])).get("groups")):
            for rule in dicts(group.get("rules")):
                severity = mapping(rule.get("labels")).get("severity")
                said = {key: rule[key] for key in ("expr", "for", "keep_firing_for", "labels") if key in rule}
                if "alert" in rule:
                    words = "{0} ({1})".format(rule["alert"], severity) if severity else str(rule["alert"])
                    alerts.append((words, without(said, {"for": "0s"})))
                else:
                    records.append((str(rule.get("record")), normal(said)))
    alerting = mapping(config.get("alerting"))
    managers = [
        str(target)
        for manager in dicts(alerting.get("alertmanagers"))
        for static in dicts(manager.get("static_configs"))
        for target in static.get("targets") or ()
    ]
    managers += [
        name for manager in dicts(alerting.get("alertmanagers")) for name in manager if name.endswith("_sd_configs")
    ]
    retention = mapping(mapping(mapping(config.get("storage")).get("tsdb")).get("retention"))
    found = {
        "global": without({name: value for name, value in top.items() if name != "external_labels"}, _GLOBAL),
        "external labels": normal(mapping(top.get("external_labels"))),
        "jobs": numbered(
            (
                str(job.get("job_name")),
                without({n: v for n, v in job.items() if n != "job_name" and not _DISCOVERED.search(n)}, shared),
            )
            for job in jobs
        ),
        "alerts": numbered(alerts),
        "recording rules": numbered(records),
        "alertmanagers": {name: {} for name in managers},
        "relabelling of alerts": numbered(
            (json.dumps(normal(entry), sort_keys=True), {}) for entry in dicts(alerting.get("alert_relabel_configs"))
        ),
        "remote write": numbered((scrub(str(entry.get("url"))), normal(entry)) for entry in dicts(config.get("remote_write"))),
        "remote read": numbered((scrub(str(entry.get("url"))), normal(entry)) for entry in dicts(config.get("remote_read"))),
    }  # fmt: skip
    known = {"global", "scrape_configs", "scrape_config_files", "rule_files", "alerting", "remote_write", "remote_read"}
    for name, value in config.items():
        if name == "storage" and retention:
            value = {**value, "tsdb": {key: inner for key, inner in value["tsdb"].items() if key != "retention"}}
        if name not in known and normal(value):
            found.setdefault("further sections", {})[name] = normal(value)
    found["retention"] = {
        name: str(normal(retention[name], "retention." + name)) for name in ("time", "size") if retention.get(name)
    }
    for name in ("time", "size"):
        # Newer versions have it in the configuration, where older ones have a flag.
        flagged = shown.pop("storage.tsdb.retention." + name, None)
        if flagged and flagged != "0":
            found["retention"].setdefault(name, flagged)
    return found


def targets_of(answer):
    """The targets that a live Prometheus has, as mapping of ``job instance`` to nothing; None where it does not say."""
    try:
        found = json.loads(answer)["data"]["activeTargets"]
        return {"{0} {1}".format(one["labels"]["job"], one["labels"]["instance"]): {} for one in found}
    except (ValueError, KeyError, TypeError):
        return None


def both_targets(live, expected, pools):
    """The targets of both sides, but for jobs whose targets only Prometheus itself can name.

    :param live: see :func:`targets_of`.
    :param expected: what the role expects: list of ``job`` and ``instance``.
    :param pools: jobs whose targets are discovered or relabelled.
    """
    wanted = {"{0} {1}".format(one["job"], one["instance"]): {} for one in expected}
    return tuple({name: {} for name in side if name.split(" ")[0] not in pools} for side in (live, wanted))


def targets(live, values):
    """The targets before and after, and a sentence where those before cannot be seen.

    :param live: what was read of the service.
    :param values: the variables of the role.
    """
    answer, inventory = live["answers"]["/api/v1/targets?state=active"], values.room.inventory(values.inputs)
    found = targets_of(answer["text"])
    if found is None:
        return {}, {}, ["which targets it has cannot be seen: it does not say (HTTP {0})".format(answer["status"])]
    before, after = both_targets(found, inventory["expected"], inventory["pools"])
    return {"targets": before}, {"targets": after}, []
