# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus' configuration from the role's inputs and the inventory.

Every path in it is relative where Prometheus resolves it against the configuration's own directory, so that a staged
copy of the tree can be checked as a whole.
"""

from __future__ import annotations

import fnmatch
import os
import re

import yaml
from ansible_collections.vigil.monitoring.plugins.module_utils._version import version_key
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import FileProblem, Files
from ansible_collections.vigil.monitoring.plugins.plugin_utils._references import anchor
from ansible_collections.vigil.monitoring.plugins.plugin_utils._rules import load_packs, rule_groups
from ansible_collections.vigil.monitoring.plugins.plugin_utils._shards import Shard, relabelling
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import web_config
from ansible_collections.vigil.monitoring.plugins.plugin_utils.services.prometheus import Room

# What means something in a regular expression. Go's take a backslash before nothing else, such as a blank.
_SIGNS = re.compile(r"[\\.+*?()|\[\]{}^$]")
# Sections of the file that are taken as they are.
SECTIONS = ("runtime", "storage", "tracing", "otlp")
RULE_FILES = ("rules/*.yml", "rules/*.yaml", "rules/*.rules")
# Directories below the configuration's that the user's own tasks may write to, as with prometheus.prometheus.
SHARED = ("file_sd", "rules", "scrape_configs")
SCRAPE_CONFIG_FILES_SINCE = "2.43.0"
# Name of the rule group that the inventory's rules stand in; as with prometheus.prometheus.
RULE_GROUP = "ansible managed alert rules"


def _relative(path, config_dir):
    """A path below the configuration directory as one relative to it; every other one as it is."""
    inside = config_dir.rstrip("/") + "/"
    return path[len(inside) :] if str(path).startswith(inside) else path


def _portable_job(job, config_dir):
    """A scrape job whose target files are relative and whose secrets' files are absolute."""
    job = anchor(job, config_dir)
    if job.get("file_sd_configs"):
        job["file_sd_configs"] = [
            dict(entry, files=[_relative(path, config_dir) for path in entry.get("files") or []])
            for entry in job["file_sd_configs"]
        ]
    return job


def user_jobs(files):
    """The jobs in the user's own files with scrape configurations."""
    jobs = []
    for entry in files or []:
        try:
            content = yaml.safe_load(entry["content"])
        except yaml.YAMLError:
            # promtool has the better words for it.
            continue
        jobs += [job for job in (content or {}).get("scrape_configs") or [] if isinstance(job, dict)]
    return jobs


def _inventory_jobs(settings, inventory):
    """The inventory's jobs, but those whose name the user's own files with scrape configurations take."""
    taken = {job.get("job_name") for job in user_jobs(settings.get("scrape_config_files"))}
    return [job for job in inventory.get("jobs") or [] if job["job_name"] not in taken]


def _reads_scrape_config_files(settings):
    return version_key(settings["version"]) >= version_key(SCRAPE_CONFIG_FILES_SINCE)


def scrape_configs(settings, inventory):
    """All jobs of the configuration: those of the inventory, then the user's own.

    :param settings: see :func:`prometheus_config`.
    :param inventory: see :func:`prometheus_config`.
    """
    config_dir = settings["config_dir"]
    jobs = [
        _split(
            dict(_portable_job(job["config"], config_dir), file_sd_configs=[{"files": [job["file"]]}]),
            settings,
            inventory,
        )
        if job["targets"] is None
        else dict(_portable_job(job["config"], config_dir), file_sd_configs=[{"files": [job["file"]]}])
        for job in _inventory_jobs(settings, inventory)
    ]
    own = [_portable_job(job, config_dir) for job in settings["scrape_configs"] or []]
    return jobs + [_split(job, settings, inventory) for job in own]


def _split(job, settings, inventory):
    """A job of the user's own, with the rules that keep its part of the targets where they are to be split."""
    if job.get("job_name") not in (settings.get("sharded_jobs") or ()):
        return job
    rules = relabelling(Shard(**inventory["shard"]))
    return {**job, "relabel_configs": [*rules, *(job.get("relabel_configs") or [])]} if rules else job


def external_labels(settings):
    """The labels of whatever leaves this Prometheus; those without a value are none.

    The label that tells two Prometheus servers of the same targets apart is among them, unless its name is empty; a value
    of the user's own stays.
    """
    found = {name: value for name, value in (settings["external_labels"] or {}).items() if value not in ("", None)}
    if settings["replica_label"]:
        found.setdefault(settings["replica_label"], settings["replica"])
    return found


def _alertmanagers(settings, inventory):
    """The section ``alerting``, or None where nobody is to be alerted."""
    managers = settings["alertmanager_config"] or inventory.get("alertmanagers") or []
    if not managers:
        return None
    section = {"alertmanagers": anchor(managers, settings["config_dir"])}
    relabel = list(settings["alert_relabel_configs"] or [])
    if settings["replica_label"]:
        # Last, so that the user's own can still see it: what two servers say of one thing is one alert.
        relabel.append({"action": "labeldrop", "regex": _SIGNS.sub(r"\\\g<0>", settings["replica_label"])})
    if relabel:
        section["alert_relabel_configs"] = relabel
    return section


def _other_rule_files(settings):
    """The user's own rule files whose names none of the patterns matches, which therefore stand beside them."""
    paths = sorted("rules/" + os.path.basename(entry["source"]) for entry in settings.get("rule_files") or [])
    return [path for path in paths if not any(fnmatch.fnmatchcase(path, pattern) for pattern in RULE_FILES)]


def prometheus_config(settings, inventory):
    """``prometheus.yml`` as a structure.

    :param settings: dict with the role's inputs without their prefix: ``version``, ``config_dir``, ``agent_mode``,
        ``global``, ``external_labels``, ``replica_label`` and ``replica``, its value,
        ``scrape_configs``, ``targets``, ``sharded_jobs``, ``alertmanager_config``,
        ``alert_relabel_configs``, ``remote_write``, ``remote_read``, those of :data:`SECTIONS`,
        ``retention`` and ``retention_size``; ``scrape_config_patterns`` as given, and
        ``scrape_config_files`` and ``rule_files`` as the lookup user_files finds them.
    :param inventory: what the lookup scrape_targets returns: ``jobs``, ``alertmanagers`` and ``shard``.
    """
    config_dir = settings["config_dir"]
    config = {"global": dict(settings["global"] or {})}
    labels = external_labels(settings)
    if labels:
        config["global"]["external_labels"] = labels
    alerting = None if settings["agent_mode"] else _alertmanagers(settings, inventory)
    if not settings["agent_mode"]:
        config["rule_files"] = [*RULE_FILES, *_other_rule_files(settings)]
    if alerting:
        config["alerting"] = alerting
    config["scrape_configs"] = scrape_configs(settings, inventory)
    if settings["scrape_config_patterns"] and _reads_scrape_config_files(settings):
        config["scrape_config_files"] = ["scrape_configs/*"]
    if settings["remote_write"]:
        config["remote_write"] = anchor(settings["remote_write"], config_dir)
    if settings["remote_read"] and not settings["agent_mode"]:
        config["remote_read"] = anchor(settings["remote_read"], config_dir)
    sections = {**{name: settings[name] for name in SECTIONS}, "storage": _storage(settings)}
    config.update((name, anchor(section, config_dir)) for name, section in sections.items() if section)
    return config


def _storage(settings):
    """The section ``storage``, with the retention where this version reads it there."""
    storage = dict(settings["storage"] or {})
    if settings["agent_mode"] or not Room().knows(settings["version"], "retention in the configuration"):
        return storage
    tsdb = dict(storage.get("tsdb") or {})
    retention = {"time": settings["retention"]}
    if str(settings["retention_size"] or "0") != "0":
        retention["size"] = settings["retention_size"]
    tsdb["retention"] = {**retention, **(tsdb.get("retention") or {})}
    return {**storage, "tsdb": tsdb}


def prometheus_files(settings, inventory, config):
    """The files of Prometheus' configuration directory.

    :param settings: as for :func:`prometheus_config`, with ``target_files`` and ``web_config`` besides, and those of
        :func:`rule_groups`.
    :param inventory: what the lookup scrape_targets returns: ``jobs`` and ``rules``.
    :param config: text of ``prometheus.yml``.
    :raises FileProblem: when two files want the same name.
    :raises RulesError: when packs or thresholds cannot be used.
    """
    files = Files()
    files.add("prometheus.yml", "prometheus_config_file", content=config.rstrip() + "\n")
    if not settings["agent_mode"]:
        for pack, groups in rule_groups(load_packs(), settings, inventory["rules"]).items():
            files.add("rules/vigil-{0}.yml".format(pack), "prometheus_rule_packs", data={"groups": groups})
        if settings["alert_rules"]:
            rules = {"groups": [{"name": RULE_GROUP, "rules": settings["alert_rules"]}]}
            files.add("rules/ansible_managed.yml", "prometheus_alert_rules", data=rules)
        files.add_user_files("rules", settings.get("rule_files"), "prometheus_alert_rules_files")
    for name, groups in (settings["targets"] or {}).items():
        files.add("file_sd/{0}.yml".format(name), "prometheus_targets[{0!r}]".format(name), data=groups)
    files.add_user_files("file_sd", settings.get("target_files"), "prometheus_static_targets_files")
    for job in _inventory_jobs(settings, inventory):
        if job["targets"] is not None:
            files.add(job["file"], "the inventory's job {0!r}".format(job["job_name"]), data=job["targets"])
    if settings.get("scrape_config_files") and not _reads_scrape_config_files(settings):
        raise FileProblem(
            "prometheus_scrape_config_files: Prometheus {0} reads none, {1} is the first that does; write the jobs of {2} into"
            " prometheus_scrape_configs".format(
                settings["version"], SCRAPE_CONFIG_FILES_SINCE, settings["scrape_config_files"][0]["source"]
            )
        )
    files.add_user_files("scrape_configs", settings.get("scrape_config_files"), "prometheus_scrape_config_files")
    web = web_config(settings["web_config"], settings["config_dir"])
    if web:
        files.add("web_config.yml", "prometheus_web_config", data=web)
    return files.entries()


def prometheus_directories(config_dir, group, writable):
    """The directories in which others may put files for Prometheus, there whether we have a file for them or not.

    In one that the group may write to, the sticky bit keeps what root wrote there out of its reach, and what is made there
    belongs to the group, so that Prometheus can read it.

    :param writable: names of those that the group may write to.
    :returns: as the module config_files takes them.
    """
    return [
        {
            "path": "{0}/{1}".format(config_dir.rstrip("/"), name),
            "owner": "root",
            "group": group,
            "mode": "3770" if name in writable else "0750",
        }
        for name in SHARED
    ]
