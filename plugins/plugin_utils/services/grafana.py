# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grafana: dashboards."""

from __future__ import annotations

import json
import posixpath

from ansible_collections.vigil.monitoring.plugins.plugin_utils._container import is_container
from ansible_collections.vigil.monitoring.plugins.plugin_utils._deployment import Step, docker_host
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import COLLECTION
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import RESTART, Service
from ansible_collections.vigil.monitoring.plugins.plugin_utils._tls import PASSWORD, PROMETHEUS, Tls

# Where its database lists the changes of its schema. It puts some of their names together when it runs, and what moved its old alerts
# has left it again.
MIGRATIONS = {
    "query": "SELECT migration_id FROM migration_log",
    "derived": r"(?i)(create|drop|copy|clone|rename|move|remove)\b|.*alert",
}
# Variables of the clients of PostgreSQL and MySQL.
DUMP_PASSWORDS = ("PGPASSWORD", "MYSQL_PWD")


class Room(Service):
    """Grafana: dashboards."""

    stage = 4
    unit_name = "grafana-server"
    web_config_variable = "server"
    ready_path = "/api/health"
    on_config_change = RESTART
    for_people = True
    closed_by = PASSWORD
    shows_secrets = True
    programs = ("grafana", "grafana-server")
    config_flags = ("config",)
    described_by = ()
    keeps = (
        ("settings", "*", "grafana_ini"),
        ("data sources", "*", "grafana_datasources"),
        ("dashboards gained", "*", "grafana_bundled_dashboards: false for none of the bundled ones"),
        ("dashboards", "*", "grafana_dashboards_dir, grafana_dashboards"),
    )

    title = "Grafana"
    documentation = "https://grafana.com/docs/grafana/latest/"
    binaries = ("bin/grafana",)
    image_program = "/usr/share/grafana/bin/grafana"
    hardening = {"ProcSubset": "all"}

    # Its ini, and what follows from it

    scrape = {"port": 3000, "split": "all"}
    contents_title = (
        "Set the administrator's password, users, teams and folders, and verify data sources and dashboards"
    )

    def ini(self, i):
        """Its configuration as a structure: the sections that have an input of their own win over grafana_ini."""
        return i.once("ini", lambda: self._ini(i))

    def _ini(self, i):
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana_ini import grafana_ini

        sections = {name: i[name] for name in ("server", "security", "database", "users", "auth", "smtp")}
        return grafana_ini([i["ini_default"], self._closed(i), i["ini"], sections])

    def leaves_tls(self, get):
        """Its protocol is in its ini."""
        return not any("protocol" in (section or {}) for section in (get("server"), (get("ini") or {}).get("server")))

    def _closed(self, i):
        """What ``grafana_tls`` makes of its ini: TLS, cookies for TLS alone, nothing for who has not logged in, no requests
        to others; and a password for its metrics."""
        tls = self.tls(i)
        if not tls:
            return {}
        machine = tls.login(PROMETHEUS)
        return {
            "server": {
                "protocol": "https",
                "cert_file": tls.path("certificate"),
                "cert_key": tls.path("key"),
                # Its own list for TLS 1.2 has ciphers with CBC, and no setting shortens it.
                "min_tls_version": "TLS1.3",
            },
            "security": {"cookie_secure": True, "disable_gravatar": True},
            "auth": {"anonymous": {"enabled": False}},
            "metrics": {"basic_auth_username": machine.username, "basic_auth_password": machine.password},
        }

    def external_url(self, i):
        """The address that its links have; one that is made of other keys says nothing."""
        url = str((i["server"] or {}).get("root_url") or "")
        return "" if "%(" in url else url

    def places(self, i):
        """Where it keeps its files, and how its API is reached: see :func:`_grafana.grafana_places`."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import grafana_places

        return i.once("places", lambda: grafana_places(self.ini(i)))

    def listen(self, i):
        """Its ini says where."""
        return self.places(i)["listen"]

    def health(self, i):
        """Its ini says how."""
        return {**self.places(i)["health"], **self.access(i)}

    def access(self, i):
        """Its ini says with which password its metrics are read."""
        tls, metrics = self.tls(i), self.ini(i).get("metrics") or {}
        names = {"username": "basic_auth_username", "password": "basic_auth_password"}
        login = {name: str(metrics.get(key) or "") for name, key in names.items()}
        ca = i["health_ca"] or (tls.path("ca") if tls else "")
        return {**(login if all(login.values()) else {}), **({"ca_path": ca} if ca else {})}

    def web_config(self, i):
        """Its web interface is configured by its ini."""
        return {}

    def data_dir(self, i):
        """Its database and its plugins."""
        return self.places(i)["data"]

    def written(self, i):
        """Its data and its log."""
        return self.places(i)["written"]

    def extra_flags(self, i):
        """The prefix of its paths, under the name that the other services have for it."""
        return {"web.route-prefix": self.places(i)["prefix"]}

    # What is provisioned

    def sources(self, i):
        """Its data sources: those of the inventory, and the user's own."""
        return i.once("sources", lambda: self._sources(i))

    @staticmethod
    def _sources(i):
        (found,) = i.lookup(
            "vigil.monitoring.grafana_datasources",
            i["prometheus_groups"],
            promxy_group=i["promxy_group"],
            alertmanager_groups=i["alertmanager_groups"],
            given=i["datasources"],
        )
        return found

    def dashboards(self, i):
        """Its dashboards: the collection's, the user's own, and those that are downloaded."""
        return i.once("dashboards", lambda: self._dashboards(i))

    def _dashboards(self, i):
        bundled = [COLLECTION + "/bundled/dashboards"] if i["bundled_dashboards"] else []
        (found,) = i.lookup(
            "vigil.monitoring.grafana_dashboards",
            *bundled,
            i["dashboards_dir"],
            optional=["dashboards"],
            downloads=i["dashboards"],
            prometheus_groups=i["prometheus_groups"],
            datasources=self.sources(i),
            cache_dir=i["release_cache"],
        )
        return found

    @staticmethod
    def plugins(i):
        """Its plugins, with the address of each."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import plugin_list

        return plugin_list(i["plugins"], i["release_mirror"])

    @staticmethod
    def plugin_releases(i):
        """The directory in which plugins are unpacked, each version beside the others."""
        return i["release_dir"] + "/grafana-plugins"

    def plugin_links(self, i):
        """The links by which it finds its plugins."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import plugin_links

        return plugin_links(self.plugins(i), self.plugin_releases(i), self.places(i)["plugins"])

    def expected(self, i):
        """What its API has to show."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import grafana_expected

        return grafana_expected(self.sources(i), self.dashboards(i), self.plugins(i))

    def provisioned(self, i, release):
        """What its files are made of, as :mod:`_grafana` takes it."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import grafana_inside

        return {
            "version": release["version"],
            "config_dir": i["config_dir"],
            "ini": grafana_inside(self.ini(i), self.network(i)),
            "user": i["system_user"],
            "group": i["system_group"],
            "ldap": i["ldap"],
            "datasources": self.sources(i),
            "dashboards": self.dashboards(i),
            "alert_resources": i["alert_resources"],
            "plugins_dir": self.places(i)["plugins"],
            "renew_secret_key": i["renew_secret_key"],
        }

    # What it is made of

    def command(self, i, release, what):
        """A command of its program."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import grafana_home

        home = grafana_home(release["binaries"]["grafana"])
        return [what, "--homepath=" + home, "--config={0}/grafana.ini".format(i["config_dir"])]

    def arguments(self, i, release):
        """Everything else is in its ini."""
        return self.command(i, release, "server")

    def files(self, i, release):
        """Its ini, its secrets, and what is provisioned."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import grafana_files

        found, tls = grafana_files(self.provisioned(i, release)), self.tls(i)
        if tls:
            return [*found, *tls.server_files()]
        named = "$__file{{{0}}}".format(Tls(i, self.name).path("ca"))
        trusted = [source for source in self.sources(i) if named in (source.get("secureJsonData") or {}).values()]
        return [*found, *(Tls(i, self.name).ca_files() if trusted else [])]

    def directories(self, i, release):
        """Those that it complains about where they are missing, and those that it writes."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import grafana_directories

        return grafana_directories(self.provisioned(i, release))

    def readable(self, i, release):
        """The files that its ini names."""
        return self.places(i)["readable"]

    def inputs_with_secrets(self, i):
        """Its ini and what is provisioned."""
        dump = self.dump(i) or {"environment": {}}
        # Taken out of a URL, it has another text there.
        login = [{"password": value} for name, value in dump["environment"].items() if name in DUMP_PASSWORDS]
        return [self.ini(i), self.sources(i), i["ldap"], i["alert_resources"], i["dashboards"], i["org_users"], *login]

    def hardening_of(self, i):
        """A port below 1024; a right within a user namespace would not count on the host's network."""
        if not i["cap_net_bind_service"]:
            return self.hardening
        right = "CAP_NET_BIND_SERVICE"
        low = {"CapabilityBoundingSet": right, "AmbientCapabilities": right, "PrivateUsers": False}
        return {**self.hardening, **low}

    def unit_sections(self, i, release):
        """It looks for its files below its home."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import grafana_home

        home = grafana_home(release["binaries"]["grafana"])
        return {"Service": {"WorkingDirectory": home, "TimeoutStopSec": "30s"}}

    def container_health(self, i):
        """Empty where it has TLS: it has no authority to check a certificate with."""
        return self.places(i)["health_path"]

    def read_dirs(self, i):
        """What the links in its directory of plugins lead to."""
        return [self.plugin_releases(i)] if i["plugins"] else []

    def container_needs(self, i, release):
        """Its program itself: what the image would run instead is for those who write no configuration. So are the paths in
        the image's environment, which would win over those of grafana.ini, unless they are empty."""
        return {
            "entrypoint": [self.argv(i, release)[0]],
            "env": self.without_paths(),
            "tmpfs": ["/tmp:rw,noexec,nosuid,size=64m"],
            "stop_timeout": 30,
        }

    @staticmethod
    def without_paths():
        """The environment without the image's own paths."""
        return {"GF_PATHS_" + name: "" for name in ("DATA", "LOGS", "PLUGINS", "PROVISIONING")}

    # The steps of its own

    def preparation(self, i):
        """Its plugins."""
        if not i["plugins"]:
            return None
        options = {
            "plugins": self.plugins(i),
            "path": self.plugin_releases(i),
            "headers": i["release_headers"],
            "headers_for": [i["release_mirror"] or "", i["binary_url"]],
            "cache_dir": i["release_cache"],
        }
        return Step("Install the plugins of Grafana", "vigil.monitoring.grafana_plugins", options)

    def further_service_options(self, i, release, prepared=None):
        """Its database is copied before another version changes it; what is provisioned it reads again when its API is told to."""
        login, database = self.places(i)["login"], self.places(i)["database"]
        names = ("datasources", "dashboards", "alerting")
        dump = self.dump(i) if i["dump_database"] else None
        return {
            "keep": database,
            **self.migrations(i, database),
            **({"dump": {"argv": dump["argv"], "environment": dump["environment"]}} if dump else {}),
            "data_of_line": True,
            "reload": {
                "paths": ["provisioning/", "dashboards/"],
                "urls": ["/api/admin/provisioning/{0}/reload".format(name) for name in names],
                **login,
            },
        }

    def migrations(self, i, database):
        """Where its database lists the changes of its schema: the option of the module service."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import grafana_dump

        if database:
            return {"migrations": {"database": database[0], **MIGRATIONS}}
        found = grafana_dump(self.ini(i), MIGRATIONS["query"])
        if not found:
            return {}
        return {"migrations": {"argv": found["argv"], "environment": found["environment"], **MIGRATIONS}}

    def dump(self, i):
        """How the database of a server is dumped; None where it has SQLite, or a server that is not known here."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import grafana_dump

        return None if self.places(i)["database"] else grafana_dump(self.ini(i))

    def database_server(self, i):
        """Its database, where that is on a server: see :class:`_database.Database`."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import database_on_server

        return None if self.places(i)["database"] else database_on_server(self.ini(i))

    def links(self, i, release):
        """Its plugins besides its program."""
        return {**release["links"], **self.plugin_links(i)}

    def contents(self, i, release):
        """The administrator's password, and whether it shows what is provisioned."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import ldap_servers
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana_ini import clients

        places = self.places(i)
        options = {
            "url": places["health"]["url"],
            **({"ca_path": i["health_ca"]} if i["health_ca"] else {}),
            **places["login"],
            "config_dir": i["config_dir"],
            # Its own tool, for what only that can do.
            "command": [release["commands"]["grafana"], *self.command(i, release, "cli")],
            "user": i["system_user"],
            "service": self.unit_name,
            **({"docker_host": docker_host(i)} if is_container(i["runtime"]) else {}),
            "expected": self.expected(i),
            "access": self.people(i),
            "clients": clients(self.ini(i)),
            "ldap_servers": ldap_servers(i["ldap"], self.ini(i), i["config_dir"], self.network(i)),
            "secrets": self.secrets(i),
        }
        return Step(self.contents_title, "vigil.monitoring.grafana_content", options)

    def people(self, i):
        """What is done by its API: the option access of the module grafana_content."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import grafana_access

        names = ("org_users", "teams", "folders", "service_accounts", "home_dashboard", "config_dir")
        return grafana_access({name: i[name] for name in names}, {found["uid"] for found in self.dashboards(i)})

    def secret_key(self, i):
        """The file without which the secrets in its database cannot be read."""
        return i["config_dir"] + "/secrets/security.secret_key"

    def purged(self, i):
        """Its database, its log and its plugins; and the key and the tokens, which are of no use without them."""
        return [*self.written(i), self.secret_key(i), i["config_dir"] + "/tokens"]

    def spared(self, i):
        """What the data can be read with stays as long as they do."""
        return [self.secret_key(i)]

    def backup(self, i):
        """Its database by a step of its own, and all else of its data; with the key that the database cannot be read without."""
        database = self.places(i)["database"]
        prepare = [{"kind": "tree"}, {"kind": "sqlite", "path": database[0]} if database else self.dump(i)]
        # Its log, what it has rendered, and the copies that an upgrade keeps.
        logs = [path for path in self.written(i) if path != self.data_dir(i)]
        excluded = [*(database[0] + end for end in ("", "-*") if database), *logs]
        return {
            "data": self.data_dir(i),
            "prepare": [step for step in prepare if step],
            "exclude": [*excluded, *(posixpath.join(self.data_dir(i), name) for name in ("log", "png", "csv"))],
            "files": [self.secret_key(i)],
        }

    def rehearsal(self, i):
        """With its configuration as it was, but for where it listens; without alerting, mail, and requests to anybody."""
        from ansible_collections.vigil.monitoring.plugins.module_utils._rehearsal import PORT
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._rehearsal import Wanted

        if not self.places(i)["database"]:
            return "its database is on a server: its dump is in the backup, and would need another server than that of production"
        settings = {
            "server.protocol": "http",
            "server.http_addr": "127.0.0.1",
            "server.http_port": PORT,
            "server.root_url": "http://127.0.0.1/",
            "server.serve_from_sub_path": "false",
            "paths.logs": "/tmp",
            "log.mode": "console",
            "unified_alerting.enabled": "false",
            "alerting.enabled": "false",
            "smtp.enabled": "false",
            "analytics.reporting_enabled": "false",
            "analytics.check_for_updates": "false",
            "analytics.check_for_plugin_updates": "false",
            "plugins.plugin_admin_enabled": "false",
        }
        return Wanted(
            arguments=["cfg:{0}={1}".format(*item) for item in settings.items()],
            requests={"what it has": "/api/admin/stats"},
            ready=self.ready_path,
            files={},
            keep=["server", "--homepath", "--config"],
            environment=self.without_paths(),
        )

    def rehearsal_figures(self, answers, before):
        """How many there are of each."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._rehearsal import Figure

        stats = json.loads(answers["what it has"])
        return [Figure(name, stats.get(name) or 0) for name in ("dashboards", "users", "datasources")]

    def removals(self, i):
        """Its plugins."""
        options = {"state": "absent", "path": self.plugin_releases(i)}
        return [Step("Remove the plugins of Grafana", "vigil.monitoring.grafana_plugins", options)]

    def validate(self, values):
        """See :mod:`_grafana_inputs`."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana_inputs import (
            check_grafana,
        )

        return check_grafana(values)

    def check_group(self, hosts, value, inventory):
        """Its data sources."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana_sources import check_sources

        return check_sources(hosts, value, inventory)

    def validate_files(self, values, bases):
        """Its dashboards."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _dashboard_files

        given = (values["grafana_" + name] for name in ("dashboards_dir", "dashboards", "bundled_dashboards"))
        return _dashboard_files.problems(*given, bases)

    # How it is verified

    def endpoint(self, get):
        """As its own configuration says, in the sections of an ini."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana_ini import address

        return address([get("ini_default"), get("ini"), {"server": get("server") or {}}])

    def login(self, values):
        """Its administrator."""
        return self.places(values.inputs)["login"]

    def history_login(self, i):
        """Its administrator."""
        return self.places(i)["login"]

    def history_requests(self, metrics, now):
        """What its database holds, but for what is provisioned."""
        return {"dashboards and folders": "/api/search?limit=5000", "users": "/api/org/users"}

    def history_found(self, title, answer):
        """Each by its own name."""
        found = json.loads(answer)
        return [str(one.get("login") or "{0} ({1})".format(one.get("title"), one.get("uid"))) for one in found]

    def redundancy(self, i):
        """All of them, as people have one open."""
        return self.name

    def checks(self, values, surroundings):
        """Its database, its administrator, what was provisioned, and whom people log in at."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana_ini import logins

        given = {**self.expected(values.inputs), "logins": logins(self.ini(values.inputs))}
        return [{"name": "grafana_content", "given": given}]

    def peer_files(self):
        """What other collections' roles write below its configuration directory."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _peers

        return {
            "provisioning/dashboards/ansible.yml": _peers.PROVIDER,
            "provisioning/datasources/ansible.yml": _peers.SOURCES,
            "provisioning/alerting/ansible.yml": _peers.ALERTING,
            "provisioning/notification/ansible.yml": _peers.ALERTING,
        }

    def sections(self, flags, directory, files, shown):
        """What is compared before it is adopted."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _adopted_grafana

        return _adopted_grafana.sections(flags, directory, files)

    def further_files(self, live, files):
        """The dashboards of its providers."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _adopted_grafana

        return _adopted_grafana.dashboard_patterns(files)
