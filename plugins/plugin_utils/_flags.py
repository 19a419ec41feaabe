# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command lines of the services, from the roles' inputs."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.module_utils._version import version_key
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import split_listen_address, web_config

# The first version of each program that knows a flag which the roles write.
SINCE = {
    "prometheus": {
        "storage.tsdb.retention.time": "2.7.0",
        "storage.tsdb.retention.size": "2.7.0",
        # Earlier ones that read it from the configuration took its time for a million times as long.
        "retention in the configuration": "3.11.0",
        "web.config.file": "2.24.0",
        "enable-feature=agent": "2.32.0",
        "agent": "3.0.0",
    },
    "alertmanager": {
        "web.config.file": "0.22.0",
        "several listen addresses": "0.25.0",
        "data.maintenance-interval": "0.25.0",
    },
    "blackbox_exporter": {"web.config.file": "0.19.0", "several listen addresses": "0.23.0"},
    "postgres_exporter": {"web.config.file": "0.11.0", "several listen addresses": "0.15.0"},
    # The second came a little earlier; its former name, with docker_ before it, is known ever since.
    "cadvisor": {
        "enable_metrics": "0.41.0",
        "env_metadata_whitelist": "0.45.0",
        "disable_metrics=cpuset": "0.40.0",
    },
    "node_exporter": {"web.config.file": "1.5.0", "web.config": "1.0.0", "several listen addresses": "1.5.0"},
}


def knows(program, version, flag):
    """Whether a version of a program knows one of the flags in :data:`SINCE`."""
    return version_key(version) >= version_key(SINCE[program][flag])


def flag(name, value=None):
    """One flag as arguments.

    None, an empty string and True give the bare flag, False its negation, a list one flag an element.

    :param name: name without dashes.
    :returns: list of arguments.
    """
    if isinstance(value, (list, tuple)):
        return [argument for item in value for argument in flag(name, item)]
    if value is None or value is True or value == "":
        return ["--" + name]
    if value is False:
        return ["--no-" + name]
    return ["--{0}={1}".format(name, value)]


def extra_flags(extra):
    """The flags of ``<role>_config_flags_extra``, in its order."""
    return [argument for name, value in (extra or {}).items() for argument in flag(name, value)]


def prometheus_flags(settings, program):
    """Command line of Prometheus, as a list.

    :param settings: dict with ``version``, ``config_dir``, ``db_dir``, ``listen_address``, ``external_url``,
        ``retention``, ``retention_size``, ``agent_mode``, ``web_config`` and ``extra``; and ``own_config``, whether
        ``prometheus.yml`` is made by :func:`_prometheus.prometheus_config`.
    :param program: absolute path of the program.
    """
    version = settings["version"]
    arguments = [program] + flag("config.file", settings["config_dir"] + "/prometheus.yml")
    if settings.get("agent_mode"):
        known = knows("prometheus", version, "agent")
        arguments += flag("agent") if known else flag("enable-feature", "agent")
        arguments += flag("storage.agent.path", settings["db_dir"])
    else:
        arguments += flag("storage.tsdb.path", settings["db_dir"])
        if settings.get("own_config") and knows("prometheus", version, "retention in the configuration"):
            # The flags are deprecated: it stands in the configuration.
            pass
        elif knows("prometheus", version, "storage.tsdb.retention.time"):
            arguments += flag("storage.tsdb.retention.time", settings["retention"])
            if str(settings.get("retention_size") or "0") != "0":
                arguments += flag("storage.tsdb.retention.size", settings["retention_size"])
        else:
            arguments += flag("storage.tsdb.retention", settings["retention"])
    if web_config(settings.get("web_config")):
        arguments += flag("web.config.file", settings["config_dir"] + "/web_config.yml")
    arguments += flag("web.listen-address", settings["listen_address"])
    if settings.get("external_url"):
        arguments += flag("web.external-url", settings["external_url"])
    return arguments + extra_flags(settings.get("extra"))


def alertmanager_flags(settings, program):
    """Command line of Alertmanager, as a list.

    :param settings: dict with ``version``, ``config_dir``, ``db_dir``, ``listen_address``, ``external_url``,
        ``cluster``, ``web_config`` and ``extra``.
    :param program: absolute path of the program.
    """
    arguments = [program] + flag("config.file", settings["config_dir"] + "/alertmanager.yml")
    arguments += flag("storage.path", settings["db_dir"])
    if web_config(settings.get("web_config")):
        arguments += flag("web.config.file", settings["config_dir"] + "/web_config.yml")
    arguments += flag("web.listen-address", settings["listen_address"])
    if settings.get("external_url"):
        arguments += flag("web.external-url", settings["external_url"])
    for option, value in sorted((settings.get("cluster") or {}).items()):
        if option == "peers":
            arguments += flag("cluster.peer", list(value or []))
        elif value is None or value == "":
            # An empty listen address switches clustering off, and is no bare flag.
            arguments.append("--cluster.{0}=".format(option))
        else:
            arguments += flag("cluster." + option, value)
    interval = "data.maintenance-interval"
    if knows("alertmanager", settings["version"], interval) and interval not in (settings.get("extra") or {}):
        # New silences are in memory alone until then: a power failure would lose those of the last fifteen minutes.
        arguments += flag(interval, "1m")
    return arguments + extra_flags(settings.get("extra"))


def _collectors(settings):
    """The flags of an exporter's collectors: ``enabled_collectors`` and ``disabled_collectors``."""
    arguments = []
    for collector in settings.get("enabled_collectors") or []:
        options_of = collector if isinstance(collector, dict) else {collector: {}}
        for name, options in options_of.items():
            arguments += flag("collector." + str(name))
            for option, value in sorted((options or {}).items()):
                name_of_option = "collector.{0}.{1}".format(name, option)
                empty = value is None or value == ""
                arguments += ["--{0}=".format(name_of_option)] if empty else flag(name_of_option, value)
    for collector in settings.get("disabled_collectors") or []:
        arguments += flag("no-collector." + str(collector))
    return arguments


def blackbox_exporter_flags(settings, program):
    """Command line of blackbox_exporter, as a list.

    :param settings: dict with ``config_dir``, ``listen_address``, ``web_config`` and ``extra``.
    :param program: absolute path of the program.
    """
    arguments = [program] + flag("config.file", settings["config_dir"] + "/blackbox_exporter.yml")
    if web_config(settings.get("web_config")):
        arguments += flag("web.config.file", settings["config_dir"] + "/web_config.yml")
    arguments += flag("web.listen-address", settings["listen_address"])
    return arguments + extra_flags(settings.get("extra"))


def postgres_exporter_flags(settings, program):
    """Command line of postgres_exporter, as a list. Where the database is stands in files, never here.

    :param settings: dict with ``config_dir``, ``config_file``, ``listen_address``, ``telemetry_path``,
        ``enabled_collectors``, ``disabled_collectors``, ``log_level``, ``log_format``, ``web_config`` and ``extra``.
    :param program: absolute path of the program.
    """
    arguments = [program] + flag("config.file", "{config_dir}/{config_file}".format(**settings))
    arguments += _collectors(settings)
    if web_config(settings.get("web_config")):
        arguments += flag("web.config.file", settings["config_dir"] + "/web_config.yml")
    arguments += flag("web.listen-address", settings["listen_address"])
    arguments += flag("web.telemetry-path", settings["telemetry_path"])
    arguments += flag("log.level", settings["log_level"]) + flag("log.format", settings["log_format"])
    return arguments + extra_flags(settings.get("extra"))


def cadvisor_flags(settings, program):
    """Command line of cAdvisor, as a list. Its flags are Go's own: without a value, or with one after an ``=``.

    :param settings: dict with ``version``, ``listen_address``, ``prometheus_endpoint``, ``enable_metrics``,
        ``disable_metrics``, ``env_metadata_whitelist``, ``whitelisted_container_labels``, ``store_container_labels``,
        ``docker_only``, ``housekeeping_interval``, ``max_housekeeping_interval`` and ``extra``.
    :param program: absolute path of the program.
    """
    names = ("prometheus_endpoint", "housekeeping_interval", "max_housekeeping_interval")
    names += ("docker_only", "store_container_labels")
    address, port = split_listen_address(settings["listen_address"])
    flags = {"listen_ip": address, "port": port, **{name: settings[name] for name in names}}
    lists = {
        name: list(settings[name])
        for name in ("enable_metrics", "disable_metrics", "whitelisted_container_labels", "env_metadata_whitelist")
    }
    if not knows("cadvisor", settings["version"], "disable_metrics=cpuset"):
        # It does not measure that, and fails where it is told not to.
        lists["disable_metrics"] = [metric for metric in lists["disable_metrics"] if metric != "cpuset"]
    for name, values in lists.items():
        if values:
            flags[_known_as(name, settings["version"])] = ",".join(map(str, values))
    flags.update(settings["extra"] or {})
    return [program] + ["--{0}={1}".format(name, _go_text(value)) for name, value in flags.items()]


def _known_as(name, version):
    early = name == "env_metadata_whitelist" and not knows("cadvisor", version, name)
    return "docker_" + name if early else name


def _go_text(value):
    return str(value).lower() if isinstance(value, bool) else "" if value is None else value


def node_exporter_flags(settings, program):
    """Command line of node_exporter, as a list.

    :param settings: dict with ``version``, ``config_dir``, ``listen_address``, ``telemetry_path``,
        ``disable_exporter_metrics``, ``enabled_collectors``, ``disabled_collectors``, ``log_level``, ``log_format``,
        ``web_config``, and ``rootfs`` where the host's file systems are not at the root.
    :param program: absolute path of the program.
    """
    arguments = [program] + _collectors(settings)
    if settings.get("rootfs"):
        arguments += flag("path.rootfs", settings["rootfs"])
    if web_config(settings.get("web_config")):
        known = knows("node_exporter", settings["version"], "web.config.file")
        arguments += flag("web.config.file" if known else "web.config", settings["config_dir"] + "/web_config.yml")
    if settings.get("disable_exporter_metrics"):
        arguments += flag("web.disable-exporter-metrics")
    for name in ("log_level", "log_format"):
        if settings.get(name):
            arguments += flag(name.replace("_", "."), settings[name])
    arguments += flag("web.listen-address", settings["listen_address"])
    if settings.get("telemetry_path"):
        arguments += flag("web.telemetry-path", settings["telemetry_path"])
    return arguments
