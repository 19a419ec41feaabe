# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus: scrapes targets, evaluates rules, sends alerts."""

from __future__ import annotations

import contextlib
import json
import re

from ansible.errors import AnsibleError
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms, _shards
from ansible_collections.vigil.monitoring.plugins.plugin_utils._flags import extra_flags, flag
from ansible_collections.vigil.monitoring.plugins.plugin_utils._secrets import secret_values
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import RELOAD, Service
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import file_text
from ansible_collections.vigil.monitoring.plugins.plugin_utils._tls import CERTIFICATE, PASSWORD, PROMETHEUS, Tls
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import web_config

HEADER = """# Written by vigil.monitoring from the inventory: the next run restores what the inventory says.
# https://prometheus.io/docs/prometheus/latest/configuration/configuration/

"""


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
    closed_by = PASSWORD
    scrapes = True
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

    title = "Prometheus"
    documentation = "https://prometheus.io/docs/"
    binaries = ("prometheus", "promtool")
    # Its own metrics about the process (open files, memory) come from /proc/self; GOMEMLIMIT and the pressure of the host from
    # files of /proc that are no processes.
    hardening = {"ProcSubset": "all"}
    container_health_path = "/-/healthy"
    # The value of prometheus_config_file for which the configuration is made here, instead of by a template of the user's own.
    own_template = "prometheus.yml.j2"

    # Every shard scrapes all servers: nobody else notices that all servers of another one are gone.
    scrape = {"port": 9090, "split": "all"}
    since = {
        "storage.tsdb.retention.time": "2.7.0",
        "storage.tsdb.retention.size": "2.7.0",
        # Earlier ones that read it from the configuration took its time for a million times as long.
        "retention in the configuration": "3.11.0",
        "web.config.file": "2.24.0",
        "enable-feature=agent": "2.32.0",
        "agent": "3.0.0",
    }
    managed_flags = {
        "config.file": "config_dir",
        "storage.tsdb.path": "db_dir",
        "storage.agent.path": "db_dir",
        "storage.local.path": "db_dir",
        "storage.tsdb.retention": "storage_retention",
        "storage.tsdb.retention.time": "storage_retention",
        "storage.tsdb.retention.size": "storage_retention_size",
        "storage.local.retention": "storage_retention",
        "agent": "agent_mode",
        "web.listen-address": "web_listen_address",
        "web.external-url": "web_external_url",
        "web.config.file": "web_config",
    }

    def external_url(self, i):
        """An input of its own."""
        return i["web_external_url"]

    def data_dir(self, i):
        """Its time series database, or the write-ahead log of an agent."""
        return i["db_dir"]

    def arguments(self, i, release):
        """An agent has another storage; retention is in the configuration from the version on that reads it there."""
        version = release["version"]
        arguments = flag("config.file", i["config_dir"] + "/prometheus.yml")
        if i["agent_mode"]:
            arguments += flag("agent") if self.knows(version, "agent") else flag("enable-feature", "agent")
            arguments += flag("storage.agent.path", i["db_dir"])
        else:
            arguments += flag("storage.tsdb.path", i["db_dir"]) + self._retention(i, version)
        return arguments + self.web_arguments(i) + extra_flags(self.extra_flags(i))

    def _retention(self, i, version):
        """The flags of the retention; a template of the user's own knows nothing of it."""
        if i["config_file"] == self.own_template and self.knows(version, "retention in the configuration"):
            return []
        if not self.knows(version, "storage.tsdb.retention.time"):
            return flag("storage.tsdb.retention", i["storage_retention"])
        arguments = flag("storage.tsdb.retention.time", i["storage_retention"])
        if str(i["storage_retention_size"] or "0") != "0":
            arguments += flag("storage.tsdb.retention.size", i["storage_retention_size"])
        return arguments

    # The configuration

    @staticmethod
    def scrape_groups():
        """Inventory groups that are scraped unless prometheus_scrape_groups says otherwise: those of all services that have a
        port. Variables of the service on the scraped host say port, path and scheme."""
        rooms = [_rooms.load(name) for name in _rooms.in_order()]
        groups = {room.name: {"service": room.name, **room.scrape} for room in rooms if room.scrape}
        # The pack of the application adds up all of its instances.
        return {**groups, "application": {"port": 8000, "split": "job"}}

    def inventory(self, i):
        """What the inventory has to be scraped, and what is then expected: see the lookup scrape_targets."""
        return i.once("inventory", lambda: self._inventory(i))

    def _inventory(self, i):
        (found,) = i.lookup(
            "vigil.monitoring.scrape_targets",
            self.scrape_groups(),
            i["scrape_groups"],
            scrape_configs=i["scrape_configs"],
            targets=i["targets"],
            target_files=[found["source"] for found in self.user_files(i, "static_targets_files")],
            scrape_config_files=[found["source"] for found in self.user_files(i, "scrape_config_files")],
            prometheus_version=i["version"],
            server=self.name,
            sharded_jobs=i["sharded_jobs"],
            client=self.client_settings(i),
        )
        return found

    @staticmethod
    def client_settings(i):
        """How it scrapes those that ``monitoring_tls`` has closed: ``certificate`` and ``password``, each with settings of a job."""
        tls = Tls(i, "prometheus")
        certificate = {"tls_config": tls.client_config()}
        login = {"username": PROMETHEUS, "password_file": tls.name_in_tree("password")}
        # A password is shown to whom the authority vouches for; a certificate is of no use there.
        known = {"tls_config": {"ca_file": tls.name_in_tree("ca")}}
        return {CERTIFICATE: certificate, PASSWORD: {**known, "basic_auth": login}}

    def settings(self, i, version):
        """What the configuration is made of, as :mod:`_prometheus` takes it."""
        names = (
            "config_dir agent_mode global external_labels replica_label remote_write remote_read otlp storage tracing scrape_configs"
            " targets sharded_jobs alert_rules rule_packs thresholds rule_labels rule_annotations runbook_url dashboard_url"
            " alertmanager_config alert_relabel_configs"
        )
        return {
            **{name: i[name] for name in names.split()},
            "web_config": self.web_config(i),
            "version": version,
            "replica": i["replica"],
            "retention": i["storage_retention"],
            "retention_size": i["storage_retention_size"],
            "runtime": i["runtime_config"],
            "scrape_config_patterns": i["scrape_config_files"],
            "scrape_config_files": self.user_files(i, "scrape_config_files"),
            "target_files": self.user_files(i, "static_targets_files"),
            "rule_files": self.user_files(i, "alert_rules_files"),
        }

    def configuration(self, i, release):
        """The text of ``prometheus.yml``."""
        return i.once(("configuration", release["version"]), lambda: self._configuration(i, release["version"]))

    def _configuration(self, i, version):
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._prometheus import (
            prometheus_config,
        )

        config = prometheus_config(self.settings(i, version), self.inventory(i))
        return file_text(i, "config_file", self.own_template, HEADER, config, prometheus_configuration=config)

    def files(self, i, release):
        """The configuration, rules, targets, and the configuration of its web interface."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._prometheus import (
            prometheus_files,
        )

        contents, inventory = self.settings(i, release["version"]), self.inventory(i)
        found = prometheus_files(contents, inventory, self.configuration(i, release))
        return [*found, *self.tls_files(i), *(self._client_files(i) if inventory["closed"] else [])]

    def _client_files(self, i):
        """What it shows to those that are closed to strangers, and what it checks them by."""
        client = Tls(i, self.name)
        own = {entry["path"] for entry in self.tls_files(i)}
        found = [*client.client_files(), client.password_file(PROMETHEUS)]
        return [entry for entry in found if entry["path"] not in own]

    def history(self, i, release):
        """Its jobs with their targets, where the configuration is made here."""
        if i["config_file"] != self.own_template:
            return None
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._prometheus import (
            prometheus_files,
            scrape_configs,
            user_jobs,
        )
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._prometheus_history import jobs_of

        settings, inventory = self.settings(i, release["version"]), self.inventory(i)
        jobs = [*scrape_configs(settings, inventory), *user_jobs(settings["scrape_config_files"])]
        return jobs_of(jobs, prometheus_files(settings, inventory, self.configuration(i, release)))

    def directories(self, i, release):
        """Its data, and the directories in which others may put files for it."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._prometheus import (
            prometheus_directories,
        )

        shared = prometheus_directories(i["config_dir"], i["system_group"], i["group_writable_dirs"])
        return [*super().directories(i, release), *shared]

    def validators(self, i, release):
        """promtool of the same release."""
        promtool = release["binaries"]["promtool"]
        checks = [[promtool, "check", "config", "%s/prometheus.yml"]]
        if web_config(self.web_config(i)):
            checks.append([promtool, "check", "web-config", "%s/web_config.yml"])
        return checks

    def configured(self, i, release):
        """The configuration may be a template of the user's own."""
        return [self.configuration(i, release), self.web_config(i), self.user_files(i, "scrape_config_files")]

    def inputs_with_secrets(self, i):
        """The inputs that may hold secrets: known without a look at the whole inventory."""
        names = "scrape_configs scrape_groups remote_write remote_read tracing alertmanager_config web_config".split()
        return [*(i[name] for name in names), self.user_files(i, "scrape_config_files")]

    def written_secrets(self, i, release):
        """Those in the configuration as well, wherever a template of the user's own took them from."""
        return sorted({*self.secrets(i), *secret_values([self.configuration(i, release)])})

    def validate(self, values):
        """See :mod:`_prometheus_inputs`."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._prometheus_inputs import (
            check_prometheus,
        )

        return check_prometheus(values)

    def check_group(self, hosts, value, inventory):
        """See :mod:`_shards`."""
        return _shards.check_group(self.name, hosts, value)

    def history_requests(self, metrics, now):
        """When its targets were scraped, about the oldest moment that it has samples of, the newest one, and one between."""
        found = re.search(r"(?m)^prometheus_tsdb_lowest_timestamp(?:_seconds)? ([0-9.e+]+)$", metrics)
        if not found:
            return {}
        oldest = float(found[1]) / (1 if "_seconds " in found[0] else 1000)
        # A scrape that has begun later than this may not be stored yet.
        newest = now - 30
        if not oldest < newest:
            return {}
        path = "/api/v1/query?query=timestamp%28up%29&time={0:.3f}"
        moments = {"oldest": min(oldest + 300, newest), "middle": (oldest + newest) / 2, "newest": newest}
        return {"samples ({0})".format(name): path.format(moment) for name, moment in moments.items()}

    def history_found(self, title, answer):
        """The time series, each with the time of its sample."""
        samples = json.loads(answer)["data"]["result"]
        return ["{0} at {1}".format(json.dumps(one["metric"], sort_keys=True), one["value"][1]) for one in samples]

    def backup(self, i):
        """Its complete blocks; samples that are in none yet, those of the last one to three hours, are in no backup."""
        if i["agent_mode"]:
            return {**super().backup(i), "data": None, "prepare": []}
        return {**super().backup(i), "prepare": [{"kind": "blocks"}]}

    def rehearsal(self, i):
        """With its rules, but without targets, Alertmanagers and remote storage; no block is compacted, and none is too old."""
        from ansible_collections.vigil.monitoring.plugins.module_utils._rehearsal import NEWEST, PORT, WINDOW
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._prometheus import RULE_FILES
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._rehearsal import Wanted

        if i["agent_mode"]:
            return "an agent keeps no data"
        name = "restore_test.yml"
        flags = {
            "config.file": "{0}/{1}".format(i["config_dir"], name),
            "storage.tsdb.path": i["db_dir"],
            "storage.tsdb.retention.time": "100y",
            "storage.tsdb.min-block-duration": "2h",
            "storage.tsdb.max-block-duration": "2h",
            "web.listen-address": "127.0.0.1:" + PORT,
        }
        all_series = "%7B__name__%21%3D%22%22%7D"
        query = "/api/v1/query?time=" + NEWEST + "&query="
        return Wanted(
            arguments=["--{0}={1}".format(*item) for item in flags.items()],
            # As many of the samples as a server with millions of time series can add up.
            requests={
                "series": query + "count({0})".format(all_series),
                "samples": query + "sum(count_over_time({0}[{1}s]))".format(all_series, WINDOW),
                "rules": "/api/v1/rules",
            },
            ready="/-/ready",
            files={name: json.dumps({"rule_files": list(RULE_FILES)})},
            keep=[],
            environment={},
        )

    def rehearsal_figures(self, answers, before):
        """Its time series at the newest moment of its blocks, and their samples in the minutes before; its rules."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._rehearsal import Figure

        found = []
        for request, title in (("series", "time series"), ("samples", "samples of the last two minutes")):
            if request in answers:
                result = json.loads(answers[request])["data"]["result"]
                found.append(Figure(title + " in the newest block", int(result[0]["value"][1]) if result else 0, True))
        groups = json.loads(answers["rules"])["data"]["groups"]
        found.append(Figure("rule groups", len(groups)))
        return [*found, Figure("rules", sum(len(group["rules"]) for group in groups))]

    def holds(self, listing):
        """Its blocks, and when they were written: their names begin with that."""
        from ansible_collections.vigil.monitoring.plugins.module_utils._backup_program import ULID
        from ansible_collections.vigil.monitoring.plugins.module_utils._snapshots import readable

        blocks, digits, size = (
            sorted(filter(ULID.fullmatch, listing)),
            "0123456789ABCDEFGHJKMNPQRSTVWXYZ",
            super().holds(listing),
        )
        if not blocks:
            return "no complete block, and {0}".format(size)
        first, last = (
            readable(sum(digits.index(digit) << 5 * place for place, digit in enumerate(reversed(block[:10]))) / 1000)
            for block in (blocks[0], blocks[-1])
        )
        return "{0} blocks, written from {1} to {2}, {3}".format(len(blocks), first, last, size)

    # How it is verified

    def checks(self, values, surroundings):
        """Targets, rules and connections: by the same data that its configuration was made of."""
        from ansible_collections.vigil.monitoring.plugins.module_utils import _prometheus_discovery
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rules

        inventory = self.inventory(values.inputs)
        agent = bool(values.get("prometheus_agent_mode"))
        alertmanagers = values.get("prometheus_alertmanager_config") or inventory["alertmanagers"]
        packs = _rules.chosen(_rules.load_packs(), values.get("prometheus_rule_packs"), inventory["rules"])
        rules = values.get("prometheus_alert_rules") or self.user_files(values.inputs, "alert_rules_files") or packs
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
            # Who names others himself, or writes the configuration, may mean some that are in no inventory.
            "orphans": "ignore"
            if values.get("prometheus_alertmanager_config") or values.get("prometheus_config_file") != self.own_template
            else surroundings.value(surroundings.host, "monitoring_orphans") or "warn",
        }
        corrupt = (
            "its write-ahead log was corrupt when it started: what came after the damage was dropped (its log names the"
            " segment). Samples of the last hours may be gone; restore the data from a backup where they are needed"
        )
        return [
            {"name": "nonzero_metric", "given": {"metric": "prometheus_tsdb_wal_corruptions_total", "text": corrupt}},
            {"name": "prometheus_server", "given": given},
        ]

    def redundancy(self, i):
        """All that scrape the same part of the targets."""
        shard = self.inventory(i)["shard"]
        return self.name if shard["of"] == 1 else "{0} {1} of {2}".format(self.name, shard["number"], shard["of"])

    def catch_up(self, i):
        """That it scrapes and evaluates again."""
        given = {"agent": bool(i["agent_mode"]), "expect": self.inventory(i)["expected"]}
        return [{"name": "prometheus_catch_up", "given": given}]

    def _own_files(self, values, load):
        """The scrape configurations in the user's own files, as far as they can be read."""
        for found in self.user_files(values.inputs, "scrape_config_files"):
            with contextlib.suppress(AnsibleError, KeyError):
                content = load(found["source"])
                configs = content.get("scrape_configs") if isinstance(content, dict) else content
                yield from configs if isinstance(configs, list) else ()

    def advice(self, values, checks):
        """What somebody with alerts of his own should know about the bundled packs."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rules

        if not any(check["given"].get("rules") for check in checks):
            return None
        facts = self.inventory(values.inputs)["rules"]
        settings = {
            "rule_packs": values.get("prometheus_rule_packs"),
            "thresholds": values.get("prometheus_thresholds"),
            "alert_rules": values.get("prometheus_alert_rules"),
            "rule_files": self.user_files(values.inputs, "alert_rules_files"),
            "rule_labels": {},
            "rule_annotations": {},
            "runbook_url": "",
            "dashboard_url": "",
        }
        packs = _rules.load_packs()
        own = _rules.own_alerts(settings)
        found = [
            _rules.beside_own(packs, settings["rule_packs"], settings["thresholds"], facts, own),
            self._missing_alerts(_rules.left_out(packs, settings, facts)),
        ]
        return "; ".join(filter(None, found)) or None

    @staticmethod
    def _missing_alerts(names):
        """A sentence about alerts that no shard has."""
        if not names:
            return None
        text = "it has no alert {0}, which would have to see the targets of all shards: see docs/howto/replicas.md"
        return text.format(", ".join(names))

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
