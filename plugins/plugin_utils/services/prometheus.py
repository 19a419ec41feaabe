# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus: scrapes targets, evaluates rules, sends alerts."""

from __future__ import annotations

import contextlib

from ansible.errors import AnsibleError
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import RELOAD, Service


class Room(Service):
    """Prometheus: scrapes targets, evaluates rules, sends alerts."""

    stage = 3
    web_config_variable = "web_config"
    dry_run_argument = "--config.file=/dev/null/none"
    ready_path = "/-/ready"
    on_config_change = RELOAD
    log_seconds = 75
    reload_delay = {
        "metric": "prometheus_remote_storage_shards",
        "flag": "storage.remote.flush-deadline",
        "default": 60,
    }
    loaded_config_path = "/api/v1/status/config"
    loaded_directories = ("rules", "scrape_configs")
    for_people = True
    port = 9090
    config_flags = ("config.file",)
    described_by = ("/api/v1/targets?state=active", "/api/v1/status/config", "/api/v1/status/buildinfo")
    data_variable = "prometheus_db_dir"
    flag_defaults = {
        "web.external-url": "",
        "web.listen-address": "0.0.0.0:9090",
        "web.console.libraries": None,
        "web.console.templates": None,
        "storage.tsdb.path": "data/",
        "log.level": "info",
        "log.format": "logfmt",
    }
    keeps = (
        ("retention", "time", "prometheus_storage_retention: {live}"),
        ("retention", "size", "prometheus_storage_retention_size: {live}"),
        ("global", "*", "prometheus_global"),
        ("external labels", "replica", "prometheus_replica_label: '' for none"),
        ("external labels", "*", "prometheus_external_labels"),
        ("jobs", "*", "prometheus_scrape_configs, or prometheus_scrape_groups for hosts of the inventory"),
        ("targets", "*", "prometheus_targets, prometheus_scrape_groups; monitoring_address for another name of a host"),
        ("alerts gained", "*", "prometheus_rule_packs: [] for none of the packs"),
        ("alerts", "*", "prometheus_alert_rules, prometheus_alert_rules_files"),
        ("recording rules gained", "*", "prometheus_rule_packs"),
        ("recording rules", "*", "prometheus_alert_rules_files"),
        ("alertmanagers", "*", "prometheus_alertmanager_config"),
        ("relabelling of alerts", "*", "prometheus_alert_relabel_configs, prometheus_replica_label"),
        ("remote write", "*", "prometheus_remote_write"),
        ("remote read", "*", "prometheus_remote_read"),
    )

    def checks(self, values, surroundings):
        """Targets, rules and connections: by the same data that its configuration was made of."""
        from ansible_collections.vigil.monitoring.plugins.module_utils import _prometheus_discovery
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rules

        inventory = values["__prometheus_inventory"]
        agent = bool(values.get("prometheus_agent_mode"))
        alertmanagers = values.get("prometheus_alertmanager_config") or inventory["alertmanagers"]
        packs = _rules.chosen(_rules.load_packs(), values.get("prometheus_rule_packs"), inventory["rules"])
        rules = values.get("prometheus_alert_rules") or values["__prometheus_rule_files"] or packs
        addresses = [
            str(address)
            for manager in alertmanagers
            for static in manager.get("static_configs") or ()
            if not manager.get("relabel_configs")
            for address in static.get("targets") or ()
        ]
        configs = [*(values.get("prometheus_scrape_configs") or ()), *self._own_files(values, surroundings.load)]
        given = {
            "agent": agent,
            "discoveries": {
                str(config.get("job_name")): _prometheus_discovery.mechanisms(config)
                for config in configs
                if isinstance(config, dict) and _prometheus_discovery.mechanisms(config)
            },
            "expect": inventory["expected"],
            "pools": inventory["pools"],
            "ignore": surroundings.ignore,
            "rules": not agent and bool(rules),
            "alertmanagers": [] if agent else addresses,
        }
        corrupt = (
            "its write-ahead log was corrupt when it started: what came after the damage was dropped (its log names the"
            " segment). Samples of the last hours may be gone; restore the data from a backup where they are needed"
        )
        return [
            {"name": "nonzero_metric", "given": {"metric": "prometheus_tsdb_wal_corruptions_total", "text": corrupt}},
            {"name": "prometheus_server", "given": given},
        ]

    @staticmethod
    def _own_files(values, load):
        """The scrape configurations in the user's own files, as far as they can be read."""
        for found in values["__prometheus_scrape_config_files"]:
            with contextlib.suppress(AnsibleError, KeyError):
                content = load(found["source"])
                configs = content.get("scrape_configs") if isinstance(content, dict) else content
                yield from configs if isinstance(configs, list) else ()

    def advice(self, values, checks):
        """What somebody with alerts of his own should know about the bundled packs."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rules

        if not any(check["given"].get("rules") for check in checks):
            return None
        own = _rules.own_alerts(
            {"alert_rules": values.get("prometheus_alert_rules"), "rule_files": values["__prometheus_rule_files"]}
        )
        facts = values["__prometheus_inventory"]["rules"]
        wanted, thresholds = values.get("prometheus_rule_packs"), values.get("prometheus_thresholds")
        return _rules.beside_own(_rules.load_packs(), wanted, thresholds, facts, own)

    def peer_files(self):
        """What other collections' roles write below its configuration directory."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _peers

        return {
            "rules/ansible_managed.yml": _peers.RULES,
            "rules/ansible_managed.rules": _peers.RULES,
            "web_config.yml": _peers.WEB,
            "web.yml": _peers.BARE_WEB,
        }

    def sections(self, flags, directory, files, shown):
        """What is compared before it is adopted."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _adopted_prometheus

        return _adopted_prometheus.sections(flags, directory, files, shown)

    def further_files(self, live, files):
        """Those that its configuration names."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _adoption

        return _adoption.named_files(live, files)

    def more_sections(self, live, values):
        """Its targets."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _adopted_prometheus

        return _adopted_prometheus.targets(live, values)
