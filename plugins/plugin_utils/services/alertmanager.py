# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alertmanager: routes alerts to receivers."""

from __future__ import annotations

import datetime
import json

import yaml
from ansible_collections.vigil.monitoring.plugins.plugin_utils._deployment import Step
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import COLLECTION
from ansible_collections.vigil.monitoring.plugins.plugin_utils._flags import extra_flags, flag
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import RELOAD, Service
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import file_text
from ansible_collections.vigil.monitoring.plugins.plugin_utils._tls import PASSWORD, VERIFICATION
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import ports, request_options

HEADER = """# Written by vigil.monitoring from the inventory: the next run restores what the inventory says.
# https://prometheus.io/docs/alerting/latest/configuration/

"""
AMTOOL_HTTP = "amtool_http.yml"
AMTOOL_HEADER = "# Written by vigil.monitoring from the inventory: the defaults of amtool on this host.\n"
# For so many seconds a silence may be in memory alone.
UNWRITTEN = 120


class Room(Service):
    """Alertmanager: routes alerts to receivers."""

    stage = 2
    web_config_variable = "web_config"
    dry_run_argument = "--storage.path=/dev/null/none"
    ready_path = "/-/ready"
    on_config_change = RELOAD
    log_seconds = 300
    config_hash_metric = "alertmanager_config_hash"
    loaded_directories = ("templates",)
    for_people = True
    closed_by = PASSWORD
    receives_alerts = True
    programs = ("alertmanager", "prometheus-alertmanager")
    port = 9093
    config_flags = ("config.file",)
    data_variable = "alertmanager_db_dir"
    flag_defaults = {
        "web.external-url": "",
        "web.listen-address": "0.0.0.0:9093",
        "cluster.listen-address": "0.0.0.0:9094",
        "storage.path": "data/",
        "log.level": "info",
        "log.format": "logfmt",
    }
    keeps = (
        ("flags", "cluster.*", "alertmanager_cluster"),
        ("receivers", "*", "alertmanager_receivers"),
        ("routes", "*", "alertmanager_route"),
        ("inhibitions", "*", "alertmanager_inhibit_rules"),
        ("time intervals", "*", "alertmanager_time_intervals"),
        ("message templates", "*", "alertmanager_template_files"),
    )

    title = "Alertmanager"
    description = "Prometheus Alertmanager"
    documentation = "https://prometheus.io/docs/alerting/latest/alertmanager/"
    binaries = ("alertmanager", "amtool")
    hardening = {"ProcSubset": "all"}
    container_health_path = "/-/healthy"
    # Alertmanager expands no variables: what looks like one would be taken literally.
    refused_texts = ("${",)
    # The values of alertmanager_config_file and alertmanager_amtool_config_file for which the files are made here, instead of by
    # templates of the user's own.
    own_template = "alertmanager.yml.j2"
    own_amtool_template = "amtool.yml.j2"

    scrape = {"port": 9093, "split": "all"}
    since = {
        "web.config.file": "0.22.0",
        "several listen addresses": "0.25.0",
        "data.maintenance-interval": "0.25.0",
    }
    managed_flags = {
        "config.file": "config_dir",
        "storage.path": "db_dir",
        "web.listen-address": "web_listen_address",
        "web.external-url": "web_external_url",
        "web.config.file": "web_config",
        "cluster.peer": "cluster",
    }

    def managed_flag(self, flag, values):
        """A cluster is an input too, of flags without their prefix."""
        prefix = "cluster."
        if flag.startswith(prefix) and flag[len(prefix) :] in (values.get("alertmanager_cluster") or {}):
            return "cluster"
        return super().managed_flag(flag, values)

    def external_url(self, i):
        """An input of its own."""
        return i["web_external_url"]

    def data_dir(self, i):
        """Silences and the log of notifications."""
        return i["db_dir"]

    def arguments(self, i, release):
        """A cluster is said by flags alone."""
        extra = self.extra_flags(i)
        arguments = flag("config.file", i["config_dir"] + "/alertmanager.yml") + flag("storage.path", i["db_dir"])
        arguments += self.web_arguments(i)
        for option, value in sorted((i["cluster"] or {}).items()):
            if option == "peers":
                arguments += flag("cluster.peer", list(value or []))
            elif value is None or value == "":
                # An empty listen address switches clustering off, and is no bare flag.
                arguments.append("--cluster.{0}=".format(option))
            else:
                arguments += flag("cluster." + option, value)
        if self._has_closed_cluster(i) and "cluster.tls-config" not in extra:
            arguments += flag("cluster.tls-config", i["config_dir"] + "/cluster_tls.yml")
        interval = "data.maintenance-interval"
        if self.knows(release["version"], interval) and interval not in extra:
            # New silences are in memory alone until then: a power failure would lose those of the last fifteen minutes.
            arguments += flag(interval, "1m")
        return arguments + extra_flags(extra)

    def _has_closed_cluster(self, i):
        """Whether the members of its cluster talk to each other by TLS: all of them, or none."""
        return self.shows_own_certificate(i) and bool(self.tls(i)) and self._are_fellows_closed(i)

    @staticmethod
    def _are_fellows_closed(i):
        def request():
            group = (i.shared("groups") or {}).get("alertmanager") or []
            (found,) = i.lookup("vigil.monitoring.alertmanager_cluster", group, closed=True)
            return found

        return i.once("are fellows closed", request)

    def shows_own_certificate(self, i):
        """The members of its cluster do."""
        return bool((i["cluster"] or {}).get("listen-address"))

    def _cluster_files(self, i):
        """The configuration by which only members take part in its cluster."""
        if not self._has_closed_cluster(i):
            return []
        return self.tls(i).cluster_files("cluster_tls.yml")

    def further_service_options(self, i, release, prepared=None):
        """Whom its members trust is read at its start alone; their own certificates at each connection."""
        return {"reads": [self.tls(i).cluster_ca()]} if self._has_closed_cluster(i) else {}

    def open_ports(self, i):
        """The other members of its cluster reach it by both protocols; without a flag it listens for them as well."""
        address = (i["cluster"] or {}).get("listen-address", self.flag_defaults["cluster.listen-address"])
        gossip = ports(address) if address else []
        return [*super().open_ports(i), *((kind, port) for kind in ("tcp", "udp") for port in gossip)]

    def published(self, i):
        """For the other members of its cluster."""
        address = (i["cluster"] or {}).get("listen-address")
        return [address] if address else []

    # The configuration

    def settings(self, i, version):
        """What the configuration is made of, as :mod:`_alertmanager` takes it."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._channels import GLOBAL_KEYS

        names = (
            "config_dir escalation resolve_timeout smtp http_config global tracing event_recorder route receivers inhibit_rules"
            " time_intervals mask_diff"
        )
        return {
            **{name: i[name] for name in [*names.split(), *GLOBAL_KEYS]},
            "web_config": self.web_config(i),
            "version": version,
            "own_templates": i.lookup("vigil.monitoring.user_files", COLLECTION + "/bundled/messages/vigil.tmpl"),
            "template_files": self.user_files(i, "template_files"),
        }

    def configuration(self, i, version):
        """The text of ``alertmanager.yml``."""
        return i.once(("configuration", version), lambda: self._configuration(i, version))

    def _configuration(self, i, version):
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._alertmanager import (
            alertmanager_config,
        )

        config = alertmanager_config(self.settings(i, version))
        return file_text(i, "config_file", self.own_template, HEADER, config, alertmanager_configuration=config)

    def files(self, i, release):
        """The configuration, templates of messages, files of secrets, and the configuration of its web interface."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._alertmanager import (
            alertmanager_files,
        )

        version = release["version"]
        found = alertmanager_files(self.settings(i, version), self.configuration(i, version))
        return [*found, *self.tls_files(i), *self._cluster_files(i), *self._amtool_files(i)]

    def _amtool_files(self, i):
        """With what amtool logs in on its host, for who may read the files of Alertmanager."""
        tls = self.tls(i)
        if not tls:
            return []
        data = {"tls_config": {"ca_file": tls.path("ca")}, "basic_auth": tls.login(VERIFICATION)._asdict()}
        return [{"path": AMTOOL_HTTP, "data": data, "secret": True}]

    def directories(self, i, release):
        """Its data; and the one of templates, which the peer makes as well, whether there are any or not."""
        templates = {"path": i["config_dir"] + "/templates", "group": i["system_group"]}
        return [*super().directories(i, release), templates]

    def outside_files(self, i):
        """amtool reads its defaults from a place of its own, where everybody who uses it can read them."""
        defaults = {"alertmanager.url": i["amtool_config_alertmanager_url"]}
        if self.tls(i):
            defaults["http.config.file"] = "{0}/{1}".format(i["config_dir"], AMTOOL_HTTP)
        if i["amtool_config_output"]:
            defaults["output"] = i["amtool_config_output"]
        text = file_text(i, "amtool_config_file", self.own_amtool_template, AMTOOL_HEADER, defaults)
        return {"/etc/amtool/config.yml": text}

    def validators(self, i, release):
        """amtool of the same release."""
        return [[release["binaries"]["amtool"], "check-config", "%s/alertmanager.yml"]]

    def configured(self, i, release):
        """The configuration may be a template of the user's own."""
        return [self.configuration(i, release["version"]), self.web_config(i)]

    def inputs_with_secrets(self, i):
        """Those in the configuration, wherever a template of the user's own took them from, and in files of their own."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._alertmanager import (
            escalation_secrets,
        )

        apart = escalation_secrets(self.settings(i, i["version"]))
        return [self.configuration(i, i["version"]), self.web_config(i), {"secrets": apart}]

    # What its API is asked for, beside a deployment

    def api_options(self, i):
        """How the modules that work through its API reach it from its host."""
        health = self.health(i)
        options = {**request_options(health), "alertmanager_url": health["url"], "check_name": False}
        # The certificate is for the public name, and this is an address of the host itself.
        return {**options, "validate_certs": "ca_path" in health}

    def drill_options(self, i):
        """For the module alert_drill: a synthetic alert along each route."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._drill import alertmanager_drills

        found = alertmanager_drills(yaml.safe_load(self.configuration(i, i["version"])), i["drill_skip"])
        return {**self.api_options(i), **found, "patience": i["drill_patience"]}

    def silence_options(self, i):
        """For the module silence."""
        names = ("state", "matchers", "duration", "comment", "author")
        return {**self.api_options(i), **{name: i["silence_" + name] for name in names}}

    def operations(self, i):
        """Those of its files of tasks, drill.yml and silence.yml."""
        return {
            "drill": lambda: Step("drill", "vigil.monitoring.alert_drill", self.drill_options(i)),
            "silence": lambda: Step("silence", "vigil.monitoring.silence", self.silence_options(i)),
        }

    def validate(self, values):
        """See :mod:`_alertmanager_inputs`."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._alertmanager_inputs import (
            check_alertmanager,
        )

        return check_alertmanager(values)

    def rehearsal(self, i):
        """Alone, with a receiver that notifies nobody."""
        from ansible_collections.vigil.monitoring.plugins.module_utils._rehearsal import PORT
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._rehearsal import Wanted

        name = "restore_test.yml"
        flags = {
            "config.file": "{0}/{1}".format(i["config_dir"], name),
            "storage.path": i["db_dir"],
            "web.listen-address": "127.0.0.1:" + PORT,
            "cluster.listen-address": "",
        }
        return Wanted(
            arguments=["--{0}={1}".format(*item) for item in flags.items()],
            requests=self.history_requests("", 0),
            ready=self.ready_path,
            files={name: json.dumps({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]})},
            keep=[],
            environment={},
        )

    def rehearsal_figures(self, answers, before):
        """Its silences, but for those that it may not have written to its disk by then."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._rehearsal import Figure

        found = []
        for one in json.loads(answers["silences"]):
            changed = datetime.datetime.strptime(one["updatedAt"][:19], "%Y-%m-%dT%H:%M:%S")
            since = changed.replace(tzinfo=datetime.timezone.utc).timestamp()
            if before is None or (one["status"]["state"] != "expired" and since < before - UNWRITTEN):
                found.append(one["id"])
        return [Figure("silences", found)]

    # How it is verified

    def history_requests(self, metrics, now):
        """Its silences."""
        return {"silences": "/api/v2/silences"}

    def history_found(self, title, answer):
        """The silences by their ids, without those that have expired."""
        return [one["id"] for one in json.loads(answer) if one["status"]["state"] != "expired"]

    def checks(self, values, surroundings):
        """Its cluster, and whether its messages arrive."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _scrape

        others = _scrape.fellows(surroundings.host, surroundings.members, surroundings.value)
        # Who names peers of his own may mean some that are in no inventory.
        own = (values.get("alertmanager_cluster") or {}).get("peers")
        given = {
            "members": len(others) + 1 if others else 0,
            "addresses": {other: _scrape.address_of(other, surroundings.value) for other in others},
            "orphans": "ignore" if own else surroundings.value(surroundings.host, "monitoring_orphans"),
        }
        return [{"name": "alertmanager_cluster", "given": given}]

    def redundancy(self, i):
        """The members of a cluster."""
        return self.name

    def catch_up(self, i):
        """That it knows the silences and the notifications of the others."""
        return [{"name": "alertmanager_settled", "given": {}}]

    def peer_files(self):
        """What other collections' roles write below its configuration directory."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _peers

        return {"web_config.yml": _peers.WEB}

    def sections(self, flags, directory, files, shown):
        """What is compared before it is adopted."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _adopted_alertmanager

        return _adopted_alertmanager.sections(flags, directory, files)

    def further_files(self, live, files):
        """Those that its configuration names."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _adoption

        return _adoption.named_files(live, files)
