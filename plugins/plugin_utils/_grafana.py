# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grafana's configuration: the ini with its secrets, LDAP, and what is provisioned. Inputs in, files out."""

from __future__ import annotations

import json
import posixpath
import re
from urllib.parse import unquote, urlsplit

from ansible_collections.vigil.monitoring.plugins.module_utils._endpoint import hosts_of
from ansible_collections.vigil.monitoring.plugins.module_utils._grafana import expectation
from ansible_collections.vigil.monitoring.plugins.module_utils._release import ReleaseError, plain_digest
from ansible_collections.vigil.monitoring.plugins.module_utils._version import version_key
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._container import is_bridge
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import FileProblem, Files
from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana_ini import (
    REFERENCE,
    SECRET_KEY,
    address,
    flat,
    grafana_ini,
    ini_text,
    is_on,
    merge,
    readable_files,
    secret_key,
    split_secrets,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import shown

_DOLLAR = re.compile(r"\$\$|\$(?:__\w+)?\{[^}]+\}|(?P<lone>\$)")
_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")
# Grafana's name for the type of data source.
ALERTMANAGER = "alertmanager"
# Before unified alerting was the only one, Grafana complained about a missing directory of notifiers at every start.
_LAST_WITH_NOTIFIERS = "11.0.0"
# Fields of a data source that left it for secureJsonData long before the oldest version that is deployed here.
_MOVED = {"password": "password", "basicAuthPassword": "basicAuthPassword"}


# Where it is


def health_check(ini):
    """How the host itself checks the health of Grafana: the option ``health`` of the module service."""
    host, port, scheme, prefix, dummy = address([ini])
    hosts = hosts_of("[{0}]".format(host) if ":" in host else host)
    urls = ["{0}://{1}:{2}{3}".format(scheme, one, port, prefix) for one in hosts]
    answer = {**_rooms.load("grafana").health_check(), "url": urls[0], **({"other_urls": urls[1:]} if urls[1:] else {})}
    return answer


def grafana_places(ini):
    """Where a Grafana with this ini keeps its things, and its health check."""
    data = str(ini["paths"]["data"])
    security = ini.get("security") or {}
    host, port, scheme, prefix, dummy = address([ini])
    return {
        "health": health_check(ini),
        "listen": "{0}:{1}".format("[{0}]".format(host) if ":" in host else host, port),
        "prefix": prefix,
        # The URL of the container's own health check; it has no authority to check a certificate with.
        "health_path": "/api/health" if scheme == "http" else "",
        "written": [str(path) for path in (data, ini["paths"].get("logs")) if path],
        "ports": [address([ini])[1]],
        "login": {
            "username": str(security.get("admin_user") or "admin"),
            "password": str(security.get("admin_password") or ""),
        },
        "data": data,
        "plugins": str(ini["paths"].get("plugins") or posixpath.join(data, "plugins")),
        "database": grafana_database(ini),
        "readable": readable_files(ini),
    }


def database_on_server(ini):
    """The database of a server and the clients for it, as :class:`_database.Database` takes it; None where it is unknown.

    The address of the database is in one URL, or in keys of their own. The password is in the environment alone.
    """
    found = dict(ini.get("database") or {})
    if found.get("url"):
        url = urlsplit(str(found["url"]))
        address = url.netloc.rpartition("@")[2]
        found = {"type": url.scheme, "host": address, "name": url.path.lstrip("/")}
        found.update(user=unquote(url.username or ""), password=unquote(url.password or ""))
    host, dummy, port = str(found.get("host") or "127.0.0.1").rpartition(":")
    if not (host and port.isdigit()):
        host, port = str(found.get("host") or "127.0.0.1"), ""
    user, password = str(found.get("user") or ""), str(found.get("password") or "")
    name = str(found.get("name") or "grafana")
    if found.get("type") in ("postgres", "postgresql"):
        kind, title = "postgresql", "PostgreSQL"
        environment = {"PGHOST": host, "PGPORT": port, "PGUSER": user, "PGPASSWORD": password}
        dump = ["pg_dump", "--no-password", "--format=plain", "--clean", "--if-exists", name]
        client = ["psql", "--no-psqlrc", "--no-password", "--tuples-only", "--no-align"]
        client += ["--quiet", "--set=ON_ERROR_STOP=1", name]
    elif found.get("type") == "mysql":
        kind, title, environment = "mysql", "MySQL", {"MYSQL_PWD": password}
        address = ["--host=" + host, "--user=" + user, *(["--port=" + port] if port else [])]
        # Tablespaces are no part of it, and to read them takes a right on the whole server.
        dump = ["mysqldump", "--single-transaction", "--no-tablespaces", *address, name]
        client = ["mysql", "--batch", "--raw", "--skip-column-names", *address, name]
    else:
        return None
    return {
        "kind": kind,
        "title": "the {0} database {1} on {2}".format(title, name, ":".join(part for part in (host, port) if part)),
        "dump": dump,
        "client": client,
        "environment": {key: value for key, value in environment.items() if value},
    }


def grafana_dump(ini, query=None):
    """The command that dumps the database of a server, and its environment with the password; None where it is unknown.

    :param query: SQL; then it is the command that prints the answer to it instead, one value a line.
    """
    found = database_on_server(ini)
    if not found:
        return None
    option = {"postgresql": "--command=", "mysql": "--execute="}[found["kind"]]
    argv = [*found["client"][:-1], option + query, found["client"][-1]] if query else found["dump"]
    return {"kind": "dump", "argv": argv, "environment": found["environment"]}


def grafana_inside(ini, network):
    """The ini as a container has it: on a bridge, Grafana listens on all of the container's addresses.

    :param network: name of the container's network, or ``host``.
    """
    if not is_bridge(network):
        return ini
    return {**ini, "server": {**(ini.get("server") or {}), "http_addr": ""}}


def grafana_home(program):
    """Grafana's home: the release that the program lies in, or the place where the packages have it."""
    folder = posixpath.dirname(posixpath.normpath(program))
    above = posixpath.dirname(folder)
    return (
        above
        if posixpath.basename(folder) == "bin" and above not in ("/", "/usr", "/usr/local")
        else "/usr/share/grafana"
    )


# LDAP


def _toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[{0}]".format(", ".join(_toml(item) for item in value))
    if isinstance(value, (int, float)):
        return str(value)
    text = json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    # Grafana replaces references in the whole file before it reads it. One is meant where it is all of a value.
    return text if REFERENCE.fullmatch(str(value)) else re.sub(r"\$(?=(__\w+)?\{)", r"\\u0024", text)


def _toml_lines(keys):
    return ["{0} = {1}".format(key, _toml(value)) for key, value in keys.items() if value is not None]


def ldap_text(ldap):
    """The text of ldap.toml, from the shape that grafana.grafana has: ``servers`` and ``group_mappings``."""
    lines = []
    if "verbose_logging" in ldap:
        lines += ["verbose_logging = " + _toml(bool(ldap["verbose_logging"])), ""]
    servers = ldap.get("servers") or {}
    for server in servers if isinstance(servers, list) else [servers]:
        lines += ["[[servers]]", *_toml_lines({key: server[key] for key in server if key != "attributes"})]
        lines += ["", "[servers.attributes]", *_toml_lines(server.get("attributes") or {})]
        for org in ldap.get("group_mappings") or []:
            for group in org.get("groups") or []:
                lines += ["", "[[servers.group_mappings]]", "org_id = {0}".format(int(org["id"])), *_toml_lines(group)]
        lines.append("")
    return "\n".join(lines)


# What holds certificates in ldap.toml itself.
_LDAP_INSIDE = ("root_ca_cert_value", "client_cert_value", "client_key_value")
_LDAP_TEXTS = ("host", "bind_dn", "bind_password", "root_ca_cert", "client_cert", "client_key")
_LOOPBACK = re.compile(r"localhost|127\.[\d.]+|\[?::1\]?")


def ldap_servers(ldap, ini, config_dir, network):
    """The servers of LDAP at which Grafana logs in before it looks for a user, as far as they can be asked whether they let it in;
    for grafana_content.

    Not where it has no password of its own, where what it needs is elsewhere than in the inventory, and not what is beside it in its
    container.

    :param ldap: ``grafana_ldap``.
    :param network: of its container; ``host`` where it has none.
    """
    section, ours = flat(ini).get("auth.ldap") or {}, posixpath.join(config_dir, "ldap.toml")
    if not is_on(section.get("enabled")) or str(section.get("config_file") or ours) != ours:
        return []
    found, servers = [], ldap.get("servers") or []
    many = isinstance(servers, list)
    for number, server in enumerate(servers if many else [servers]):
        texts = {key: str(server.get(key) or "") for key in _LDAP_TEXTS}
        # As Grafana takes it apart.
        hosts = [host.strip("[]") for host in texts.pop("host").split()]
        if not texts["bind_password"] or any(REFERENCE.fullmatch(text) for text in (*hosts, *texts.values())):
            continue
        if any(server.get(key) for key in _LDAP_INSIDE):
            continue
        if is_bridge(network) and any(_LOOPBACK.fullmatch(host) for host in hosts):
            continue
        pair = ("client_cert", "client_key") if texts["client_cert"] and texts["client_key"] else ()
        found.append(
            {
                "name": "grafana_ldap.servers[{0}]".format(number) if many else "grafana_ldap.servers",
                "hosts": hosts,
                "port": int(server.get("port") or 0),
                **{key: texts[key] for key in ("bind_dn", "bind_password", *pair)},
                **{key: is_on(server.get(key)) for key in ("use_ssl", "start_tls")},
                "ca_paths": texts["root_ca_cert"].split(),
                "verify": not is_on(server.get("ssl_skip_verify")),
            }
        )
    return found


# Data sources


def slug(text):
    """A name as a uid."""
    return re.sub(r"[^a-z0-9]+", "-", str(text).lower()).strip("-")[:40]


def _literal(value):
    """Texts with a dollar that means itself: provisioning replaces variables in every text, and ``$$`` is a ``$``.

    A reference (``${NAME}``, ``$__file{/path}``) stays one, and so does what is doubled already.
    """
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return _DOLLAR.sub(r"\g<0>\g<lone>", value) if isinstance(value, str) else value


def _as_shown(value):
    """A text as Grafana shows it after that; empty where it depends on what the host has."""
    text = str(value or "")
    return "" if REFERENCE.search(text.replace("$$", "")) else text.replace("$$", "$")


def _wanted(found, given):
    """The data sources of the inventory; without Alertmanagers where the user has one of their own, which says which it is."""
    names = {source["name"] for source in found}
    if any(source.get("type") == ALERTMANAGER and source["name"] not in names for source in given):
        return [source for source in found if source["type"] != ALERTMANAGER]
    return found


def complete_sources(found, given):
    """The data sources of the inventory and those of the user's, whose own words win where both bear one name.

    Each gets a uid that stays the same from run to run, is read-only in Grafana, and keeps its secrets where every
    version reads them.

    :param found: what the inventory has, in Grafana's shape.
    :param given: ``grafana_datasources``.
    :raises ValueError: when two cannot stand beside each other.
    """
    by_name = {}
    for source in [*_wanted(found, given), *given]:
        by_name[source["name"]] = merge(by_name.get(source["name"], {}), source)
    asked = [source["name"] for source in given if source.get("isDefault")]
    result, uids, defaults = [], {}, {}
    for name, source in by_name.items():
        if not source.get("type"):
            raise ValueError("grafana_datasources: {0!r} has no type; add one, such as prometheus".format(name))
        first = {key: source[key] for key in ("name", "type")}
        source = {**first, "uid": slug(name), "orgId": 1, "access": "proxy", "editable": False, **source}
        if asked and name not in asked:
            source["isDefault"] = False
        secure = dict(source.get("secureJsonData") or {})
        for field, where in _MOVED.items():
            if source.get(field):
                secure.setdefault(where, source[field])
            source.pop(field, None)
        source.pop("secureJsonData", None)
        if secure:
            source["secureJsonData"] = secure
        if not _UID.fullmatch(str(source["uid"])):
            raise ValueError(
                "grafana_datasources: {0!r} has the uid {1!r}; use at most 40 letters, digits, - and _".format(
                    name, source["uid"]
                )
            )
        if source["uid"] in uids:
            raise ValueError(
                "grafana_datasources: {0!r} and {1!r} have the same uid, {2}; change one of them".format(
                    uids[source["uid"]], name, source["uid"]
                )
            )
        uids[source["uid"]] = name
        if source.get("isDefault"):
            if source["orgId"] in defaults:
                raise ValueError(
                    "grafana_datasources: {0!r} and {1!r} are both the default, with which Grafana would not start; leave isDefault out"
                    " of one of them".format(defaults[source["orgId"]], name)
                )
            defaults[source["orgId"]] = name
        result.append(_literal(source))
    return result


# Dashboards


def _parsed_dashboard(text, source):
    """The structure of a dashboard's JSON, and its inputs.

    :raises FileProblem: when it is none.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileProblem(
            "{0} is not JSON: {1}; correct it, or export the dashboard anew".format(source, error)
        ) from error
    if not isinstance(data, dict) or not isinstance(data.get("title"), str) or not data["title"].strip():
        raise FileProblem("{0} is not a dashboard: it has no title; give it one, or move the file away".format(source))
    if not re.fullmatch(r"\d*", str(data.get("schemaVersion") or "")):
        raise FileProblem(
            "{0} has the schemaVersion {1}, which is no number; export the dashboard anew".format(
                source, shown(data["schemaVersion"])
            )
        )
    inputs = data.get("__inputs") or []
    if not isinstance(inputs, list) or not all(isinstance(one, dict) and one.get("name") for one in inputs):
        raise FileProblem("{0} has __inputs that are no list of names; export the dashboard anew".format(source))
    return data, inputs


def normal_dashboard(text, source, folder, datasources, stem):
    """A dashboard as it is provisioned: the file as it is, but for what provisioning does not understand.

    :param text: JSON of the dashboard, or of an export that is made to be shared.
    :param source: where it is from, for messages.
    :param folder: name of its folder, empty for none.
    :param datasources: name of an input in such an export, or ``*`` for any -> uid of a data source.
    :param stem: what its uid is made of when it has none.
    :returns: dict with ``path`` inside the tree's dashboards, ``content``, ``source`` and what :func:`expectation` says.
    :raises FileProblem: when it cannot be one.
    """
    data, inputs = _parsed_dashboard(text, source)
    changed = dict(data)
    for input_ in inputs:
        if input_.get("type") == "datasource":
            uid = datasources.get(input_.get("name")) or datasources.get("*")
            if not uid:
                raise FileProblem(
                    "{0} needs a data source for {1}, but none is set; set datasource in its entry of"
                    " grafana_dashboards".format(source, input_.get("name"))
                )
            changed = _replaced(changed, "${%s}" % input_["name"], uid)
        elif input_.get("type") == "constant":
            changed = _replaced(changed, "${%s}" % input_["name"], str(input_.get("value", "")))
    if datasources.get("*"):
        changed = _replaced_inputs(changed, datasources["*"])
    for key in ("__inputs", "__requires", "__elements"):
        changed.pop(key, None)
    if changed.get("id"):
        changed["id"] = None
    if not changed.get("uid"):
        changed["uid"] = slug(stem)
    if not _UID.fullmatch(str(changed["uid"])):
        raise FileProblem(
            "{0} has the uid {1!r}; use at most 40 letters, digits, - and _".format(source, changed["uid"])
        )
    content = text if changed == data else json.dumps(changed, indent=2, ensure_ascii=False) + "\n"
    path = posixpath.join("dashboards", folder, posixpath.basename(stem) + ".json")
    return dict(expectation(changed), path=path, content=content, source=source, folder=folder)


def _replaced(value, old, new):
    if isinstance(value, dict):
        return {key: _replaced(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, old, new) for item in value]
    return value.replace(old, new) if isinstance(value, str) else value


def _replaced_inputs(value, uid):
    """Old exports name their inputs without listing them: ``${DS_PROMETHEUS}``."""
    if isinstance(value, dict):
        return {key: _replaced_inputs(item, uid) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced_inputs(item, uid) for item in value]
    return re.sub(r"\$\{DS_[A-Z0-9_-]+\}", uid, value) if isinstance(value, str) else value


def dashboard_problems(dashboards):
    """What keeps them from standing in one Grafana, one sentence each: what it refuses would be missed only by the verification.

    Each names both files.
    """
    folders = {slug(found["folder"]): found["folder"] for found in dashboards if found["folder"]}
    seen = {}
    for found in dashboards:
        marks = [
            (("uid", found["uid"]), "have the same uid, {0}".format(found["uid"])),
            (
                ("title", found["folder"], found["title"].lower()),
                "have the same title in one folder, {0!r}".format(found["title"]),
            ),
        ]
        for mark, what in marks:
            if mark in seen:
                yield "the dashboards {0} and {1} {2}; change it in one of them".format(
                    seen[mark], found["source"], what
                )
            seen.setdefault(mark, found["source"])
        if slug(found["title"]) in folders:
            yield (
                "the dashboard {0} has the name of a folder, {1!r}, so that Grafana could not distinguish them; change its"
                " title".format(found["source"], folders[slug(found["title"])])
            )


def check_dashboards(dashboards):
    """Whether all of them can stand in one Grafana.

    :raises FileProblem: with the first of :func:`dashboard_problems`.
    """
    for problem in dashboard_problems(dashboards):
        raise FileProblem(problem)


# The files


def grafana_files(contents):
    """The files of Grafana's configuration, for config_files.

    :param contents: dict with ``config_dir``, ``version``, ``ini``, ``ldap``, ``datasources``, ``dashboards``,
        ``alert_resources``, ``plugins_dir`` and maybe ``renew_secret_key``.
    :raises ValueError: when two of them do not go together.
    """
    files, config_dir = Files(), contents["config_dir"]
    # Without a word about it Grafana would look for plugins inside its own release.
    paths = {"provisioning": posixpath.join(config_dir, "provisioning"), "plugins": contents["plugins_dir"]}
    ini = grafana_ini([contents["ini"], {"paths": paths}])
    ldap = contents.get("ldap") or {}
    if ldap:
        ini = grafana_ini([{"auth": {"ldap": {"config_file": posixpath.join(config_dir, "ldap.toml")}}}, ini])
    sections, secrets = split_secrets(ini, config_dir)
    database = grafana_database(ini)
    if database and not (ini.get("security") or {}).get("secret_key"):
        secrets[SECRET_KEY] = ""
        sections.setdefault("security", {})["secret_key"] = "$__file{{{0}}}".format(
            posixpath.join(config_dir, SECRET_KEY)
        )
    files.add("grafana.ini", "the role", content=ini_text(sections))
    for path, secret in secrets.items():
        more = {}
        if path == SECRET_KEY and database:
            more["kept"] = secret_key(config_dir, database[0], contents.get("renew_secret_key"))
        files.add(path, "the role", content=secret + "\n", secret=True, **more)
    if ldap:
        files.add("ldap.toml", "the role", content=ldap_text(ldap), secret=True)
    sources = contents["datasources"]
    files.add(
        "provisioning/datasources/vigil.yml",
        "the role",
        data={"apiVersion": 1, "datasources": sources},
        secret=any(source.get("secureJsonData") for source in sources),
    )
    provider = {
        "name": "vigil",
        "orgId": 1,
        "type": "file",
        "disableDeletion": False,
        "allowUiUpdates": False,
        "updateIntervalSeconds": 30,
        "options": {"path": posixpath.join(config_dir, "dashboards"), "foldersFromFilesStructure": True},
    }
    files.add("provisioning/dashboards/vigil.yml", "the role", data={"apiVersion": 1, "providers": [provider]})
    if contents.get("alert_resources"):
        data = {"apiVersion": 1, **contents["alert_resources"]}
        files.add("provisioning/alerting/vigil.yml", "the role", data=data, secret=True)
    for found in contents["dashboards"]:
        files.add(found["path"], found["source"], content=found["content"])
    return files.entries()


def grafana_directories(settings):
    """The directories that Grafana wants to find, for config_files.

    :param settings: dict with ``config_dir``, ``version``, ``ini``, ``user``, ``group`` and ``plugins_dir``.
    """
    wanted = ["dashboards", *("provisioning/" + kind for kind in ("plugins", "alerting"))]
    if version_key(settings["version"]) < version_key(_LAST_WITH_NOTIFIERS):
        wanted.append("provisioning/notifiers")
    group, paths = settings["group"], settings["ini"]["paths"]
    result = [{"path": posixpath.join(settings["config_dir"], path), "group": group, "mode": "0750"} for path in wanted]
    for path in (paths["data"], paths.get("logs"), settings["plugins_dir"]):
        if path:
            result.append({"path": path, "owner": settings["user"], "group": group, "mode": "0750"})
    return result


def grafana_database(ini):
    """The files of the database that a new version migrates for good; none where it is a server's own."""
    database = ini.get("database") or {}
    if str(database.get("type") or "sqlite3") != "sqlite3" or database.get("url"):
        return []
    path = posixpath.join(ini["paths"]["data"], str(database.get("path") or "grafana.db"))
    return [path + suffix for suffix in ("", "-wal", "-shm", "-journal")]


# Plugins


def plugin_list(given, mirror=""):
    """The plugins with the address of each archive.

    :param given: ``grafana_plugins``: texts such as ``grafana-clock-panel 2.1.3``, or dicts with ``id``, ``version`` and
        maybe ``url`` and ``checksum``.
    :param mirror: release mirror, or nothing for Grafana's own site.
    :raises ValueError: for one that is not pinned.
    """
    result = []
    for entry in given:
        if not isinstance(entry, dict):
            words = re.split(r"[\s@=]+", str(entry).strip())
            entry = {"id": words[0], "version": words[1] if len(words) == 2 else ""}
        name, version = str(entry.get("id") or entry.get("name") or ""), str(entry.get("version") or "")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) or not re.fullmatch(r"\d[\w.+-]*", version):
            raise ValueError(
                "grafana_plugins: {0!r} has no version; write `ID VERSION`, so that every run deploys the same".format(
                    name if name else entry
                )
            )
        try:
            plain_digest(entry.get("checksum"), "the checksum of {0} {1} in grafana_plugins".format(name, version))
        except ReleaseError as error:
            raise ValueError(str(error)) from error
        upstream = "https://grafana.com/api/plugins/{0}/versions/{1}/download".format(name, version)
        local = "{0}/grafana/plugins/{1}-{2}.zip".format(str(mirror or "").rstrip("/"), name, version)
        url = entry.get("url") or (local if mirror else upstream)
        result.append({"id": name, "version": version, "url": url, "checksum": str(entry.get("checksum") or "")})
    return result


def plugin_links(plugins, releases, directory):
    """The links by which Grafana finds its plugins: path to the unpacked plugin.

    :param plugins: what :func:`plugin_list` gives.
    :param releases: directory that holds ``ID-VERSION``.
    :param directory: where Grafana looks for plugins.
    """
    return {
        posixpath.join(directory, plugin["id"]): posixpath.join(releases, "{id}-{version}".format(**plugin))
        for plugin in plugins
    }


# What is done by its API

# The uid of this collection's Fleet Overview, and the default of grafana_home_dashboard.
OVERVIEW, AUTO = "mon-fleet", "auto"


def grafana_access(given, dashboards):
    """The option access of the module grafana_content.

    :param given: the inputs ``org_users``, ``teams``, ``folders``, ``service_accounts``, ``home_dashboard`` and ``config_dir``.
    :param dashboards: the uids of those that are provisioned.
    """
    home = str(given["home_dashboard"] or "")
    accounts = []
    for account in given["service_accounts"]:
        tokens = []
        for token in account.get("tokens") or []:
            path = "{0}/tokens/{1}.{2}".format(given["config_dir"].rstrip("/"), account["name"], token["name"])
            tokens.append({"file": path, **token})
        accounts.append({**account, "tokens": tokens})
    return {
        "users": given["org_users"],
        "teams": given["teams"],
        "folders": given["folders"],
        "home": (OVERVIEW if OVERVIEW in dashboards else "") if home == AUTO else home,
        "home_unless_chosen": home == AUTO,
        "service_accounts": accounts,
    }


# The verification


def grafana_expected(datasources, dashboards, plugins):
    """What has to be found in Grafana, without secrets and without the dashboards themselves.

    :param datasources: what :func:`complete_sources` gives.
    :param dashboards: what :func:`normal_dashboard` gives of each.
    :param plugins: what :func:`plugin_list` gives.
    """
    return {
        "datasources": [
            {**{key: _as_shown(found.get(key)) for key in ("name", "uid", "type", "url")}, "org": int(found["orgId"])}
            for found in datasources
        ],
        "dashboards": [
            {key: found[key] for key in ("uid", "title", "folder", "schema", "digest", "meaning")}
            for found in dashboards
        ],
        "plugins": {found["id"]: found["version"] for found in plugins},
    }
