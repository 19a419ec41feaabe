# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the inputs of the exporters' roles, beyond their types."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils import _data_source
from ansible_collections.vigil.monitoring.plugins.plugin_utils._flags import SINCE, knows
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inputs import pinned
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import (
    Doubt,
    Problem,
    did_you_mean,
    is_duration,
    nearest,
    not_a_duration,
    shown,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import listen_addresses

# What cAdvisor can measure, as 0.38 to 0.60 call it.
CADVISOR_METRICS = (
    "accelerator advtcp app cpu cpuLoad cpu_topology cpuset disk diskIO hugetlb memory memory_numa network oom_event"
    " percpu perf_event pressure process referenced_memory resctrl sched tcp udp"
).split()
LOG_LEVELS = ("debug", "info", "warn", "error")
LOG_FORMATS = ("logfmt", "json")
# The probers of blackbox_exporter 0.26 to 0.29. Its own check accepts any word, and then no probe works.
PROBERS = ("http", "tcp", "icmp", "dns", "grpc", "unix", "websocket")


def check_node_exporter(values):
    """What only node_exporter has."""
    yield from _check_collectors("node_exporter", values)


def _check_collectors(role, values):
    """What exporters with collectors share."""
    on, off, path = (
        "{0}_{1}".format(role, name) for name in ("enabled_collectors", "disabled_collectors", "web_telemetry_path")
    )
    enabled = [str(name) for entry in values[on] or [] for name in (entry if isinstance(entry, dict) else [entry])]
    for name in values[off] or []:
        if name in enabled:
            yield Problem(off, "{0} is enabled as well".format(name), "take it out here or out of {0}".format(on))
    for name, known in (("log_level", LOG_LEVELS), ("log_format", LOG_FORMATS)):
        value = values["{0}_{1}".format(role, name)]
        if value not in known:
            remedy = did_you_mean(value, known, "known are {0}".format(", ".join(known)))
            yield Doubt("{0}_{1}".format(role, name), "is {0}".format(shown(value)), remedy)
    if not str(values[path]).startswith("/"):
        yield Problem(path, "is {0}".format(shown(values[path])), "begin it with a slash")


def check_blackbox_exporter(values):
    """What only blackbox_exporter has."""
    variable = "blackbox_exporter_configuration_modules"
    if not values[variable]:
        yield Problem(variable, "is empty", "name at least one module, or leave it out for the default ones")
    for name, module in (values[variable] or {}).items():
        where = "{0}[{1!r}]".format(variable, str(name))
        prober = module.get("prober") if isinstance(module, dict) else None
        if not isinstance(module, dict):
            yield Problem(where, "is not a dictionary", "write prober: http, or another one, below it")
        elif prober not in PROBERS:
            remedy = did_you_mean(prober, PROBERS, "there are {0}".format(", ".join(PROBERS)))
            # A later version may have another one; what is nearly one of these is a slip, which nobody else would find.
            kind = Doubt if isinstance(prober, str) and prober and not nearest(prober, PROBERS) else Problem
            yield kind(where + ".prober", "is {0}".format(shown(prober)), remedy)


def check_postgres_exporter(values):
    """What only postgres_exporter has: where its database is, and who looks after its role there."""
    yield from _check_collectors("postgres_exporter", values)
    role = "postgres_exporter_"
    file_name = str(values[role + "config_file"])
    if not file_name or "/" in file_name:
        found = "is {0}".format(shown(values[role + "config_file"]))
        yield Problem(role + "config_file", found, "give the name of a file; it lies in {0}config_dir".format(role))
    settings = {name: str(values[role + name] or "") for name in ("name", "uri", "username", "password", "dsn_file")}
    if settings["dsn_file"] and not settings["dsn_file"].startswith("/"):
        found = "is {0}".format(shown(settings["dsn_file"]))
        yield Problem(role + "dsn_file", found, "give the absolute path of a file on the host")
    source = None
    try:
        for name in settings["name"].split(",") if settings["name"] else []:
            _data_source.parse(name)
        source = _data_source.first(settings)
    except ValueError as error:
        yield Problem(role + ("name" if settings["name"] else "uri"), str(error), "see its documentation")
        return
    for name in ("username", "password", "name", "uri"):
        if settings[name] != settings[name].strip() or "\n" in settings[name]:
            yield Problem(role + name, "begins or ends with a blank", "the exporter would strip it; leave it out")
    if str(values[role + "manage_role"]).lower() not in ("true", "yes", "on", "1"):
        return
    if source is None:
        what = "is on, and nothing says where the database is"
        yield Problem(role + "manage_role", what, "give {0}name or {0}uri, or switch it off".format(role))
    elif not values[role + "admin_username"]:
        if source.host not in _data_source.LOCAL and not source.host.startswith("/"):
            yield Problem(
                role + "manage_role",
                "is on, and the database is on {0}".format(shown(source.host)),
                "give {0}admin_username and {0}admin_password, or make the role there by hand".format(role),
            )


def check_cadvisor(values):
    """What only cAdvisor has: its address in two parts, and what it measures how often."""
    role = "cadvisor_"
    try:
        listen_addresses("{0}:{1}".format(values[role + "listen_ip"], values[role + "port"]))
    except ValueError as error:
        yield Problem(role + "listen_ip and cadvisor_port", str(error), "write them like 0.0.0.0 or [::], and 8080")
    if not str(values[role + "prometheus_endpoint"]).startswith("/"):
        found = "is {0}".format(shown(values[role + "prometheus_endpoint"]))
        yield Problem(role + "prometheus_endpoint", found, "begin it with a slash")
    for name in ("housekeeping_interval", "max_housekeeping_interval"):
        if not is_duration(values[role + name]):
            yield not_a_duration(role + name, values[role + name])
    for name in ("enable_metrics", "disable_metrics"):
        for metric in values[role + name]:
            if metric not in CADVISOR_METRICS:
                remedy = did_you_mean(metric, CADVISOR_METRICS, "there are " + ", ".join(CADVISOR_METRICS))
                yield Doubt(role + name, "has {0}".format(shown(metric)), remedy)
    if values[role + "enable_metrics"] and pinned("cadvisor", values):
        if not knows("cadvisor", values[role + "version"], "enable_metrics"):
            least = SINCE["cadvisor"]["enable_metrics"]
            found = "is set, which needs version {0}".format(least)
            yield Problem(role + "enable_metrics", found, "use cadvisor_disable_metrics, or deploy a newer version")
