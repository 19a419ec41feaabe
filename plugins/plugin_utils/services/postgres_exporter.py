# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""postgres_exporter: metrics of a PostgreSQL server."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils import _data_source
from ansible_collections.vigil.monitoring.plugins.plugin_utils._container import is_container
from ansible_collections.vigil.monitoring.plugins.plugin_utils._data_source import (
    container_source,
    postgres_exporter_source,
    postgres_role,
    source_files,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._deployment import Step, given
from ansible_collections.vigil.monitoring.plugins.plugin_utils._exporter import Exporter
from ansible_collections.vigil.monitoring.plugins.plugin_utils._flags import collector_flags
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Doubt, Problem, shown
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import RESTART


class Room(Exporter):
    """postgres_exporter: metrics of a PostgreSQL server."""

    on_config_change = RESTART
    dependency_metric = "pg_up"
    dependency = "database"
    shows_secrets = True
    programs = ("postgres_exporter", "prometheus-postgres-exporter")
    port = 9187
    config_flags = ("config.file", "web.config.file")
    flag_defaults = {"web.telemetry-path": "/metrics", "log.level": "info", "log.format": "logfmt"}
    input_flags = {"log.level": "log_level", "log.format": "log_format"}

    documentation = "https://github.com/prometheus-community/postgres_exporter"
    after = ("postgresql.service",)

    scrape = {"job": "postgres"}
    since = {
        "web.config.file": "0.11.0",
        "several listen addresses": "0.15.0",
    }
    managed_flags = {"config.file": "config_file"}

    @staticmethod
    def source(i):
        """Where its database is, as :mod:`_data_source` takes it."""
        names = ("config_dir", "name", "uri", "username", "password", "dsn_file", "system_user")
        # systemd reads the variables of the environment for the service; inside a container nobody else does.
        return {**{name: i[name] for name in names}, "reads_environment": is_container(i["runtime"])}

    def connects_out(self, get):
        """Unless its only database is on this host."""
        settings = {name: str(get(name) or "") for name in ("name", "uri", "username", "password", "dsn_file")}
        try:
            source = _data_source.first(settings)
        except ValueError:
            return True
        several = get("auth_modules") or "," in settings["name"]
        local = source and (source.host in _data_source.LOCAL or source.host.startswith("/"))
        return bool(several or not local)

    def config_name(self, i):
        """An input, as prometheus.prometheus has it."""
        return i["config_file"]

    def config(self, i):
        """Without one it says for ever that its last reload failed."""
        return {"auth_modules": i["auth_modules"] or {}}

    def first_arguments(self, i, release):
        """Its collectors. Where the database is stands in files, never here."""
        return collector_flags(i)

    def files(self, i, release):
        """Its configuration, and where its database is."""
        return [*super().files(i, release), *source_files(self.source(i))]

    def readable(self, i, release):
        """In a container it reads the user's own file with its data source itself."""
        own = [i["dsn_file"]] if i["dsn_file"] and is_container(i["runtime"]) else []
        return super().readable(i, release) + own

    def inputs_with_secrets(self, i):
        """Data sources, and the passwords of the roles in the database."""
        passwords = [{"password": i["password"]}, {"password": i["admin_password"]}]
        return [i["auth_modules"], self.web_config(i), i["name"], i["uri"], *passwords]

    def unit_sections(self, i, release):
        """systemd reads a data source that only root may read."""
        found = postgres_exporter_source(self.source(i))
        return {"Service": {"Environment": found["environment"], "EnvironmentFile": found["environment_file"]}}

    def container_needs(self, i, release):
        """Its data source, which is not among its options."""
        return container_source({**self.source(i), "argv": self.argv(i, release), "user": i["system_user"]})

    def role_options(self, i):
        """For the module postgres_monitoring_role: the role that it logs in as, and who may manage it."""
        role = postgres_role(self.source(i))
        return {
            **{name: role[name] for name in ("name", "database", "host", "port", "sslmode")},
            "admin_user": i["admin_username"],
            "admin_password": i["admin_password"] or None,
            "admin_system_user": i["admin_system_user"],
        }

    def preparation(self, i):
        """Compared here, and changed together with the service, so that it goes back with everything else."""
        if not i["manage_role"]:
            return None
        options = {
            **self.role_options(i),
            "password": postgres_role(self.source(i))["password"] or None,
            "config_dir": i["config_dir"],
            "secrets": self.secrets(i),
        }
        title = "Compare the role in PostgreSQL that postgres_exporter logs in as"
        return Step(title, "vigil.monitoring.postgres_monitoring_role", given(**options))

    def further_service_options(self, i, release, prepared=None):
        """The role in the database, where it has to change; and the user's own file, which is read only at the start."""
        options = super().further_service_options(i, release, prepared)
        options["reads"] = [i["dsn_file"]] if i["dsn_file"] else []
        if prepared and prepared.get("changed"):
            options["database"] = {
                **self.role_options(i),
                "password": postgres_role(self.source(i))["password"],
                "password_file": i["config_dir"] + "/postgres_exporter_pass",
            }
        return options

    def removals(self, i):
        """The role in the database, where the data is removed as well."""
        if not (i["purge_data"] and i["manage_role"]):
            return []
        options = {**self.role_options(i), "state": "absent", "secrets": self.secrets(i)}
        title = "Drop the role in PostgreSQL that postgres_exporter logged in as"
        return [Step(title, "vigil.monitoring.postgres_monitoring_role", given(**options))]

    def validate(self, values):
        """What only postgres_exporter has: where its database is, and who looks after its role there."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._inputs import check_collectors

        yield from check_collectors(self.name, values)
        role = "postgres_exporter_"
        file_name = str(values[role + "config_file"])
        if not file_name or "/" in file_name:
            found = "is {0}".format(shown(values[role + "config_file"]))
            yield Problem(role + "config_file", found, "give the name of a file; it lies in {0}config_dir".format(role))
        settings = {
            name: str(values[role + name] or "") for name in ("name", "uri", "username", "password", "dsn_file")
        }
        if settings["dsn_file"] and not settings["dsn_file"].startswith("/"):
            found = "is {0}".format(shown(settings["dsn_file"]))
            yield Problem(role + "dsn_file", found, "give the absolute path of a file on the host")
        closed = ("tls", "basic_auth_users", "allowed_networks")
        if values.get(role + "auth_modules") and not any(values.get(role + name) for name in closed):
            found = "whoever can reach the exporter can have it send these passwords to a server of his own, by /probe"
            remedy = "set monitoring_tls, {0}basic_auth_users or {0}allowed_networks".format(role)
            yield Doubt(role + "auth_modules", found, remedy)
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

    # How it is verified

    def peer_files(self):
        """What other collections' roles write below its configuration directory."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _peers

        return {
            "web_config.yml": _peers.WEB,
            "postgres_exporter_uri": _peers.ONE_LINE,
            "postgres_exporter_user": _peers.ONE_LINE,
            "postgres_exporter_pass": _peers.ONE_LINE,
        }
