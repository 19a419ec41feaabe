# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the roles differ from those of prometheus.prometheus 0.30 and grafana.grafana 6: variables that are not honoured,
and why.

The table in the documentation is generated from this, and the module inputs says the same to whoever sets one of them.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms


class Difference(NamedTuple):
    """A variable of prometheus.prometheus or grafana.grafana that has no meaning here.

    :ivar harmless: whether an inventory that sets it deploys the same service all the same. Setting one that is not
        harmless is an error, unless its value is empty.
    :ivar reason: why it is not honoured.
    :ivar instead: name of the variable to use, or None.
    """

    harmless: bool
    reason: str
    instead: Optional[str] = None


_CACHE = "archives are cached by their checksums, for each user on the controller; nothing is unpacked there"
_SKIP = "a host that already has the release is not changed anyway"
_RENAMED = "renamed long ago"
_OTHERS = "subscriptions are managed elsewhere"
_SECTION = "a section or a key of grafana.ini since version 6"
_SECTIONS_BEFORE_6 = [
    "grafana_" + name
    for name in (
        "logs_dir data_dir remote_cache welcome_email_on_sign_up auth_generic_oauth session analytics alerting"
        " unified_alerting log metrics tracing snapshots image_storage date_formats feature_toggles plugins_ops instance"
        " address port domain url panels"
    ).split()
]

DIFFERENCES = {
    **{name + "_local_cache_path": Difference(True, _CACHE, "monitoring_release_cache") for name in _rooms.names()},
    "alertmanager_hipchat_api_url": Difference(
        False, "HipChat no longer exists, and Alertmanager has removed its support"
    ),
    "alertmanager_hipchat_auth_token": Difference(
        False, "HipChat no longer exists, and Alertmanager has removed its support"
    ),
    # Names that prometheus.prometheus itself only knows to refuse them or to warn.
    "node_exporter_skip_install": Difference(False, _SKIP, "node_exporter_install_method"),
    "prometheus_skip_install": Difference(False, _SKIP, "prometheus_install_method"),
    "alertmanager_skip_install": Difference(False, _SKIP, "alertmanager_install_method"),
    "node_exporter_binary_local_dir": Difference(False, _RENAMED, "node_exporter_preinstalled_path"),
    "prometheus_binary_local_dir": Difference(False, _RENAMED, "prometheus_preinstalled_path"),
    "alertmanager_binary_local_dir": Difference(False, _RENAMED, "alertmanager_preinstalled_path"),
    "node_exporter_archive_path": Difference(True, _CACHE, "monitoring_release_cache"),
    "prometheus_archive_path": Difference(True, _CACHE, "monitoring_release_cache"),
    "alertmanager_archive_path": Difference(True, _CACHE, "monitoring_release_cache"),
    "alertmanager_cli_flags": Difference(False, _RENAMED, "alertmanager_config_flags_extra"),
    "alertmanager_listen_address": Difference(False, _RENAMED, "alertmanager_web_listen_address"),
    "alertmanager_external_url": Difference(False, _RENAMED, "alertmanager_web_external_url"),
    "alertmanager_mesh": Difference(False, _RENAMED, "alertmanager_cluster"),
    "alertmanager_child_routes": Difference(False, "renamed long ago: the key routes of it", "alertmanager_route"),
    # Of grafana.grafana.
    "grafana_apt_arch": Difference(True, "apt knows its own architecture"),
    "grafana_rhsm_subscription": Difference(False, _OTHERS, "grafana_manage_repo"),
    "grafana_rhsm_repo": Difference(False, _OTHERS, "grafana_manage_repo"),
    "grafana_use_provisioning": Difference(True, "everything is provisioned by files"),
    "grafana_provisioning_synced": Difference(
        True, "what is removed from the inventory is always removed from Grafana"
    ),
    "grafana_provisioning_dashboards_from_file_structure": Difference(
        True, "folders are always those of the directory"
    ),
    "grafana_api_url": Difference(True, "requests are sent by Grafana's own host, to the address in its configuration"),
    "grafana_environment": Difference(True, "nothing is downloaded by the host", "monitoring_release_mirror"),
    "grafana_alert_notifications": Difference(
        False, "Grafana removed this alerting in version 11", "grafana_alert_resources"
    ),
    "grafana_api_keys": Difference(
        False, "Grafana has replaced API keys by the tokens of service accounts", "grafana_service_accounts"
    ),
    "grafana_api_keys_dir": Difference(True, "there are no API keys"),
    # Of grafana.grafana before version 6, which only knows them to refuse them.
    **{name: Difference(False, _SECTION, "grafana_ini") for name in _SECTIONS_BEFORE_6},
}

# What a variable does differently although it is honoured.
CHANGES = {
    "*_version": "`latest` is refused: the version is pinned, so that every run deploys the same.",
    "*_basic_auth_users": "Requires bcrypt hashes, as the services do; a plain password is refused, not hashed at each run.",
    "*_binary_url": "`{arch}` in it is replaced by the architecture of the host; no facts are needed.",
    "*_config_flags_extra": (
        "`false` gives `--no-FLAG` and a number its value, where prometheus.prometheus gives the bare flag or nothing."
    ),
    "prometheus_scrape_configs": (
        "Added to the jobs from the inventory (`prometheus_scrape_groups`); replaces one of the same name. Its default is empty,"
        " because Prometheus itself and the nodes are jobs from the inventory."
    ),
    "prometheus_targets": "Targets that no job uses get a job of their own instead of an error.",
    "prometheus_alertmanager_config": "Empty means the Alertmanagers of the inventory's group, not none.",
    "prometheus_alert_rules": (
        "The default is empty: the packs of `prometheus_rule_packs` replace it. They are deployed in addition to your own rules,"
        " which the summary mentions; `prometheus_rule_packs: []` deploys only your own."
    ),
    "prometheus_external_labels": (
        "By default `environment` is `monitoring_environment`, or omitted, instead of the name of each host; that name is the"
        " label `replica` (`prometheus_replica_label`), which is dropped from alerts, so that two servers with the same targets"
        " send one alert."
    ),
    "prometheus_remote_read": "Omitted in agent mode, which does not support it.",
    "*_files": (
        "Relative patterns are looked up in the inventory's directory, then in that of the playbook that was started, in both"
        " below `files` first; two files of one name are an error, and one removed from the inventory is removed from the host."
        " Any file extension that the service can read is allowed; templates (`.j2`) and backups are refused."
    ),
    "blackbox_exporter_configuration_modules": "The default has modules for TCP, TLS, ICMP, DNS, SSH and SMTP as well.",
    "postgres_exporter_config_file": (
        "Contains `postgres_exporter_auth_modules`, while prometheus.prometheus writes one named `foo1`; it contains a password"
        " only if you add one."
    ),
    "postgres_exporter_name": (
        "Need not be emptied to use `postgres_exporter_uri`. A password in it is written to a file that others cannot"
        " read, not into the unit."
    ),
    "cadvisor_docker_only": "The default is true: dashboards do not use the metrics of systemd's own units.",
    "cadvisor_disable_metrics": (
        "The default also disables the most expensive metrics: the sizes of containers' directories (`disk`), and each core for"
        " itself (`percpu`)."
    ),
    "cadvisor_store_container_labels": (
        "The default is false: every label of every container would be one of each of its series; list those that you want"
        " in `cadvisor_whitelisted_container_labels`."
    ),
    "alertmanager_cluster": (
        "By default the Alertmanagers of the inventory's group are one cluster: without it, each of them would send every notification."
    ),
    "grafana_ini": (
        "A secret in it is written to a file that only the service can read; lists are written as Grafana splits them."
    ),
    "grafana_datasources": "Added to the Prometheus servers of the inventory; each gets a stable uid.",
    "grafana_dashboards": "A revision is pinned; the controller downloads the JSON once, not at every run.",
    "grafana_dashboards_dir": "It is looked up in the inventory's directory first, then in the playbook's.",
    "grafana_plugins": "A plugin needs a version: `grafana-clock-panel 2.1.3`.",
    "alertmanager_receivers": "The default is one receiver that sends nothing, so that a deployment without further settings works.",
}


class EntryPoint(NamedTuple):
    """Names by which a play reaches into a role: handlers, tags, files of tasks.

    :ivar names: the peers' names, with X for a role.
    :ivar kept: whether our roles have them.
    :ivar meaning: what they do here, or what to write instead.
    """

    names: tuple
    kept: bool
    meaning: str


ENTRY_POINTS = {
    "handlers": (
        EntryPoint(
            ("restart X", "Restart X", "reload X", "Reload X", "restart_grafana", "restart grafana", "Restart grafana"),
            True,
            "Do so at once, in either runtime, and fail unless the service works afterwards. A role restarts or reloads the service"
            " itself after its own changes.",
        ),
        EntryPoint(
            (
                "provisioned dashboards changed",
                "Find dashboards subdirectories",
                "Set privileges on provisioned dashboards",
                "Set privileges on provisioned dashboards directory",
                "Set privileges on provisioned dashboards sub-directories",
            ),
            False,
            "Not needed: dashboards are written with the owners and modes that they keep.",
        ),
    ),
    "tags": (
        EntryPoint(
            (
                "X",
                "X_install",
                "X_download",
                "X_configure",
                "X_run",
                "grafana_datasources",
                "grafana_dashboards",
                "grafana_notifications",
            ),
            True,
            "Each runs the whole role: release, files and unit are activated together, and what is unchanged is skipped. For the"
            " same reason `--skip-tags` with one of them skips the whole role; a host that has the release needs none.",
        ),
        EntryPoint(
            ("install", "download", "configure", "run"),
            False,
            "Other roles of a play have them as well: name the service, as in `X_configure`. The summary says that nothing was verified.",
        ),
    ),
    "tasks_from": (
        EntryPoint(
            (
                "preflight.yml",
                "install.yml",
                "configure.yml",
                "plugins.yml",
                "datasources.yml",
                "dashboards.yml",
                "notifications.yml",
                "api_keys.yml",
            ),
            False,
            "Ansible reports that the file does not exist: import the whole role.",
        ),
    ),
}
