# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the roles differ from those of prometheus.prometheus 0.30 and grafana.grafana 6: variables that are not honoured,
and why.

The table in the documentation is generated from this, and the module inputs says the same to whoever sets one of them.
"""

from __future__ import annotations

from typing import NamedTuple, Optional


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
_SKIP = "a host that has the release is left alone anyway"
_RENAMED = "renamed long ago"
_OTHERS = "subscriptions are somebody else's to manage"
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
    "node_exporter_local_cache_path": Difference(True, _CACHE, "monitoring_release_cache"),
    "prometheus_local_cache_path": Difference(True, _CACHE, "monitoring_release_cache"),
    "alertmanager_local_cache_path": Difference(True, _CACHE, "monitoring_release_cache"),
    "blackbox_exporter_local_cache_path": Difference(True, _CACHE, "monitoring_release_cache"),
    "postgres_exporter_local_cache_path": Difference(True, _CACHE, "monitoring_release_cache"),
    "cadvisor_local_cache_path": Difference(True, _CACHE, "monitoring_release_cache"),
    "alertmanager_hipchat_api_url": Difference(False, "HipChat is gone, and with it its support in Alertmanager"),
    "alertmanager_hipchat_auth_token": Difference(False, "HipChat is gone, and with it its support in Alertmanager"),
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
    "grafana_provisioning_synced": Difference(True, "what leaves the inventory always leaves Grafana"),
    "grafana_provisioning_dashboards_from_file_structure": Difference(
        True, "folders are always those of the directory"
    ),
    "grafana_api_url": Difference(True, "Grafana is asked by its own host, where its configuration says"),
    "grafana_environment": Difference(True, "nothing is downloaded by the host", "monitoring_release_mirror"),
    "grafana_alert_notifications": Difference(
        False, "the alerting that it is for left Grafana with version 11", "grafana_alert_resources"
    ),
    "grafana_api_keys": Difference(False, "API keys gave way to service accounts, whose tokens are no configuration"),
    "grafana_api_keys_dir": Difference(True, "there are no API keys"),
    # Of grafana.grafana before version 6, which only knows them to refuse them.
    **{name: Difference(False, _SECTION, "grafana_ini") for name in _SECTIONS_BEFORE_6},
}

# What a variable does differently although it is honoured.
CHANGES = {
    "*_version": "`latest` is refused: a version is pinned, so that a run tomorrow deploys what it deployed today.",
    "*_basic_auth_users": "Takes bcrypt hashes as the services do; a plain password is refused instead of hashed anew.",
    "*_binary_url": "`{arch}` in it stands for the architecture of the host; no facts are needed.",
    "*_config_flags_extra": (
        "`false` gives `--no-FLAG` and a number its value, where prometheus.prometheus gives the bare flag or nothing."
    ),
    "prometheus_scrape_configs": (
        "Stands beside the jobs that come from the inventory (`prometheus_scrape_groups`) and wins over one of the same"
        " name; its default is empty, because Prometheus itself and the nodes are such jobs."
    ),
    "prometheus_targets": "Targets that no job reads get a job of their own instead of an error.",
    "prometheus_alertmanager_config": "Empty means the Alertmanagers of the inventory's group, not none.",
    "prometheus_alert_rules": (
        "The default is empty: the packs of `prometheus_rule_packs` take its place. They stand beside rules of your own as"
        " well, which the summary says; `prometheus_rule_packs: []` deploys your own alone."
    ),
    "prometheus_external_labels": (
        "By default `environment` is `monitoring_environment`, or left out, instead of the name of each host; that name is the"
        " label `replica` (`prometheus_replica_label`), which is dropped before Alertmanager: two servers that see the same"
        " thing make one alert."
    ),
    "prometheus_remote_read": "Left out in agent mode, which does not know it.",
    "*_files": (
        "Relative patterns are looked up in the inventory's directory, then in that of the playbook that was started, in both"
        " below `files` first; two files of one name are an error, and one that leaves the inventory leaves the host. Names"
        " may end in anything that the service can be told to read; templates (`.j2`) and backups are refused."
    ),
    "blackbox_exporter_configuration_modules": "The default has modules for TCP, TLS, ICMP, DNS, SSH and SMTP as well.",
    "postgres_exporter_config_file": (
        "Holds `postgres_exporter_auth_modules`, where prometheus.prometheus writes one named `foo1`; the password is in"
        " it only where you put it."
    ),
    "postgres_exporter_name": (
        "Need not be emptied for `postgres_exporter_uri` to count. A password in it goes to a file that others cannot"
        " read instead of into the unit."
    ),
    "cadvisor_docker_only": "The default is true: what systemd's own units use is in nobody's dashboards.",
    "cadvisor_disable_metrics": (
        "The default also leaves out what costs most: the sizes of containers' directories (`disk`), and each core for"
        " itself (`percpu`)."
    ),
    "cadvisor_store_container_labels": (
        "The default is false: every label of every container would be one of each of its series; name those that you want"
        " in `cadvisor_whitelisted_container_labels`."
    ),
    "alertmanager_cluster": (
        "By default the Alertmanagers of the inventory's group are one cluster: each of several alone would send every message."
    ),
    "grafana_ini": (
        "A secret in it becomes a file that only the service can read; lists are written as Grafana splits them."
    ),
    "grafana_datasources": "Stands beside the Prometheus servers of the inventory; each gets a uid that stays.",
    "grafana_dashboards": "A revision is pinned; the JSON is fetched once by the controller, not at every run.",
    "grafana_dashboards_dir": "Is looked up in the inventory's directory first, then beside the playbook.",
    "grafana_plugins": "A plugin names its version: `grafana-clock-panel 2.1.3`.",
    "alertmanager_receivers": "The default is one receiver that sends nothing, so that a bare deployment works.",
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
            "Do so at once, in either runtime, and are red unless the service serves afterwards. Whatever a role changes it restarts"
            " or reloads itself.",
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
            "Each has the whole role run: release, files and unit are switched together, and what is as asked is left alone. For the"
            " same reason `--skip-tags` with one of them leaves the whole role out; a host that has the release needs none.",
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
            "Ansible says that there is no such file: import the role as a whole.",
        ),
    ),
}
