# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the inputs of the role grafana, beyond their types."""

from __future__ import annotations

import posixpath
import re

from ansible_collections.vigil.monitoring.plugins.module_utils._grafana_access import one_login
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _grafana, _grafana_ini
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Doubt, Problem, shown, unknown_key

SECTIONS = ("server", "security", "database", "users", "auth", "smtp")
OLDEST = (9, 4)
# Grafana's own tool refuses a shorter one.
SHORTEST_PASSWORD = 5
_ENTRY_KEYS = ("dashboard_id", "revision_id", "dashboard_url", "datasource", "folder", "checksum")
ROLES = ("Admin", "Editor", "Viewer")
_LDAP_LISTS = ("search_base_dns", "group_search_base_dns", "tls_ciphers")
_LDAP_SWITCHES = ("use_ssl", "start_tls", "ssl_skip_verify")
_LDAP_KEYS = ("host", "port", "bind_dn", "bind_password", "timeout", "search_filter", "attributes", "min_tls_version")
_LDAP_KEYS += (
    "root_ca_cert",
    "client_cert",
    "client_key",
    "root_ca_cert_value",
    "client_cert_value",
    "client_key_value",
)
_LDAP_KEYS += ("group_search_filter", "group_search_filter_user_attribute", *_LDAP_LISTS, *_LDAP_SWITCHES)
_ALERTING = ("groups", "deleteRules", "contactPoints", "deleteContactPoints", "policies", "resetPolicies", "templates")
_ALERTING += ("deleteTemplates", "muteTimes", "deleteMuteTimes")


def check_grafana(values):
    """Everything that is wrong."""
    version = re.match(r"v?(\d+)\.(\d+)", str(values["grafana_version"]))
    if version and values["grafana_install_method"] == "archive" and tuple(map(int, version.groups())) < OLDEST:
        yield Problem("grafana_version", "is {0}".format(values["grafana_version"]), "deploy 9.4 or newer")
    layers = {name: values["grafana_" + name] or {} for name in ("ini_default", "ini", *SECTIONS)}
    shapes = list(_check_shapes(layers))
    yield from shapes
    if shapes:
        return
    ini = _grafana_ini.grafana_ini(
        [layers["ini_default"], layers["ini"], {name: layers[name] for name in SECTIONS if layers[name]}]
    )
    yield from _check_password(ini.get("security") or {})
    yield from _check_login(_grafana_ini.flat(ini))
    yield from _check_server(ini.get("server") or {}, values["grafana_cap_net_bind_service"])
    yield from _check_places(ini)
    yield from _check_texts(ini)
    groups = (values["grafana_prometheus_groups"], values["grafana_alertmanager_groups"])
    yield from _check_sources(
        values["grafana_datasources"] or [], [name for one in groups for name in (one or {}).values()]
    )
    yield from _check_downloads(values["grafana_dashboards"] or [])
    try:
        _grafana.plugin_list(values["grafana_plugins"] or [])
    except ValueError as error:
        yield _problem_of(error)
    for key in values["grafana_alert_resources"] or {}:
        if key not in _ALERTING and key != "apiVersion":
            yield unknown_key("grafana_alert_resources", key, _ALERTING, Doubt)
    yield from _check_people(values, str((ini.get("security") or {}).get("admin_user") or "admin"))
    yield from _check_oauth(ini, _grafana_ini.merge(layers["ini"].get("server") or {}, layers["server"]))
    if values["grafana_ldap"]:
        yield from _check_ldap(values["grafana_ldap"], _grafana_ini.flat(ini).get("auth.ldap") or {})


def _check_shapes(layers):
    for name, layer in layers.items():
        for section, keys in layer.items():
            if isinstance(keys, (list, tuple)) and name in ("ini", "ini_default"):
                yield Problem("grafana_{0}.{1}".format(name, section), "is a list", "write the section's keys below it")
    for section in SECTIONS:
        if layers[section] and isinstance(layers["ini"].get(section), dict):
            twice = sorted(set(layers[section]) & set(layers["ini"][section]))
            if twice:
                yield Problem(
                    "grafana_{0} and grafana_ini.{0}".format(section),
                    "both set {0}".format(", ".join(twice)),
                    "set it once",
                )


def _check_password(security):
    """The administrator's password: its value is never repeated."""
    name, password = "grafana_security.admin_password", security.get("admin_password")
    if password is None or not str(password):
        yield Problem(name, "is not set", "put one into a vault; Grafana's own, admin, would open it to everybody")
        return
    password = str(password)
    if password == "admin":
        yield Problem(name, "is the one that everybody knows", "choose another, and put it into a vault")
    elif re.fullmatch(r"\$(__\w+)?\{[^}]+\}", password):
        yield Problem(name, "says where the password is", "give the password itself: the role has to log in with it")
    elif len(password) < SHORTEST_PASSWORD:
        yield Problem(name, "is too short", "Grafana takes none of less than {0} characters".format(SHORTEST_PASSWORD))
    elif password != password.strip() or "\n" in password:
        yield Problem(name, "begins or ends with a blank", "Grafana would strip it; leave it out")
    if not str(security.get("admin_user") or "").strip():
        yield Problem("grafana_security.admin_user", "is empty", "leave it out for admin, or name another")


def _check_login(sections):
    """Whether the role can log in: with the administrator's password, at Grafana itself."""
    remedy = "leave it out: the role logs in with the administrator's password; disable_login_form: true takes the form from people"
    if _grafana_ini.is_off((sections.get("auth.basic") or {}).get("enabled")):
        yield Problem("grafana_auth.basic.enabled", "is off", remedy)
    if _grafana_ini.is_on((sections.get("auth") or {}).get("disable_login")):
        yield Problem("grafana_auth.disable_login", "is on", remedy)


def _check_server(server, may_be_low):
    protocol, port = str(server.get("protocol") or "http"), server.get("http_port", _grafana_ini.PORT)
    if protocol not in ("http", "https", "h2"):
        yield Problem("grafana_server.protocol", "is {0}".format(shown(protocol)), "write http, https or h2")
    if isinstance(port, bool) or not str(port).isdigit() or not 0 < int(port) < 65536:
        yield Problem("grafana_server.http_port", "is {0}".format(shown(port)), "give a port between 1 and 65535")
    elif int(port) < 1024 and not _grafana_ini.is_on(may_be_low):
        yield Problem(
            "grafana_server.http_port",
            "is {0}".format(port),
            "set grafana_cap_net_bind_service: true for one below 1024",
        )
    if protocol != "http":
        for key in ("cert_file", "cert_key"):
            if not str(server.get(key) or "").startswith("/"):
                yield Problem("grafana_server." + key, "is no absolute path", "TLS needs a certificate and its key")


def _check_places(ini):
    paths = ini.get("paths") or {}
    if "provisioning" in paths:
        yield Problem("grafana_ini.paths.provisioning", "is set", "leave it out: it lies in grafana_config_dir")
    for key in ("data", "logs", "plugins"):
        path = paths.get(key)
        if path is None and key != "data":
            continue
        where = "grafana_ini.paths." + key
        if not str(path or "").startswith("/") or ".." in str(path).split("/"):
            yield Problem(where, "is {0}".format(shown(path)), "give an absolute path")
        elif posixpath.dirname(posixpath.normpath(str(path))) in ("/",) or str(path).rstrip("/") in (
            "/var/lib",
            "/var/log",
        ):
            yield Problem(where, "is {0}, which belongs to the system".format(shown(path)), "give Grafana its own")


def _check_texts(ini):
    """Values that no ini file can represent; those of secrets have files of their own."""
    for section, keys in _grafana_ini.split_secrets(ini, "/")[0].items():
        for key, value in keys.items():
            try:
                _grafana_ini.ini_text({section: {key: value}})
            except ValueError:
                yield Problem(
                    "grafana_ini.{0}.{1}".format(section, key),
                    "contains both a backtick and three quotes, which an ini file cannot represent",
                    "put it into a file on the host, and write $__file{/path}",
                )


def _check_sources(sources, of_inventory):
    """Data sources.

    :param of_inventory: names of those that the inventory has, each also with a host's name behind it.
    """
    for number, source in enumerate(sources):
        where = "grafana_datasources[{0}]".format(number)
        if not source.get("name"):
            yield Problem(where, "has no name", "give the one that it bears in Grafana")
        for key in ("isDefault", "basicAuth", "editable", "withCredentials"):
            if isinstance(source.get(key), str):
                yield Problem("{0}.{1}".format(where, key), "is a text", "write true or false without quotes")
        if not re.fullmatch(r"[1-9]\d*", str(source.get("orgId", 1))):
            found = "is {0}".format(shown(source["orgId"]))
            yield Problem(where + ".orgId", found, "give the number of an organisation, such as 1")
            return
        if source.get("access") not in (None, "proxy", "direct"):
            yield Problem(where + ".access", "is {0}".format(shown(source["access"])), "write proxy")
    names = [source.get("name") for source in sources]
    twice = sorted({str(name) for name in names if name and names.count(name) > 1})
    for name in twice:
        yield Problem("grafana_datasources", "has two of the name {0}".format(shown(name)), "rename one of them")
    if twice or not all(isinstance(name, str) and name for name in names):
        return
    # What is merged over one of the inventory's has the type of that.
    known = tuple("{0} ".format(name) for name in of_inventory)
    merged = ({"type": "prometheus", **one} if (one["name"] + " ").startswith(known) else one for one in sources)
    try:
        _grafana.complete_sources([], list(merged))
    except ValueError as error:
        yield _problem_of(error)


def _problem_of(error):
    """The problem that an exception's message describes: the variable, what is wrong, and the remedy."""
    name, dummy, rest = str(error).partition(": ")
    return Problem(name, *rest.split("; ", 1))


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PEOPLE = {
    "org_users": (("login", "password"), ("role", "name", "email")),
    "teams": (("name",), ("email", "members")),
    "folders": (("title",), ("permissions",)),
    "service_accounts": (("name",), ("role", "tokens")),
}
_TOKEN = (("name",), ("serial", "days", "renew_days", "file", "owner"))


def _check_people(values, administrator="admin"):
    """Users, teams, folders and service accounts.

    :param administrator: login of the server's administrator.
    """
    for number, user in enumerate(values["grafana_org_users"] or []):
        if one_login(user.get("login"), administrator):
            where = "grafana_org_users[{0}].login".format(number)
            yield Problem(where, "is the administrator's", "leave it out: grafana_security has its password")
    for name, keys in _PEOPLE.items():
        variable, seen = "grafana_" + name, set()
        for number, entry in enumerate(values[variable] or []):
            where = "{0}[{1}]".format(variable, number)
            yield from _check_entry(where, entry, *keys)
            title = str(entry.get(keys[0][0]) or "")
            if title and title.lower() in seen:
                yield Problem(variable, "has two of the {0} {1}".format(keys[0][0], shown(title)), "remove one of them")
            seen.add(title.lower())
            if "role" in keys[1] and entry.get("role", "Viewer") not in ROLES:
                yield Problem(where + ".role", "is {0}".format(shown(entry["role"])), "write Admin, Editor or Viewer")
    for number, team in enumerate(values["grafana_teams"] or []):
        if not isinstance(team.get("members") or [], list):
            yield Problem("grafana_teams[{0}].members".format(number), "is no list", "write a list of logins")
    for number, folder in enumerate(values["grafana_folders"] or []):
        yield from _check_permissions(
            "grafana_folders[{0}].permissions".format(number), folder.get("permissions") or []
        )
    files = set()
    for number, account in enumerate(values["grafana_service_accounts"] or []):
        where = "grafana_service_accounts[{0}]".format(number)
        if account.get("name") and not _NAME.fullmatch(str(account["name"])):
            yield Problem(where + ".name", "is {0}".format(shown(account["name"])), "use letters, digits, ., - and _")
        yield from _check_tokens(where + ".tokens", account.get("tokens") or [], files)


def _check_entry(where, entry, required, optional):
    for key in required:
        if not str(entry.get(key) or "").strip():
            yield Problem("{0}.{1}".format(where, key), "is not set", "give it")
    for key in entry:
        if key not in required and key not in optional:
            yield unknown_key(where, key, (*required, *optional))


def _check_permissions(where, permissions):
    if not isinstance(permissions, list) or not all(isinstance(one, dict) for one in permissions):
        yield Problem(where, "is no list of dictionaries", "write permission and one of team, user and role in each")
        return
    seen = set()
    for number, one in enumerate(permissions):
        here, who = "{0}[{1}]".format(where, number), [key for key in ("team", "user", "role") if one.get(key)]
        yield from _check_entry(here, one, ("permission",), ("team", "user", "role"))
        if one.get("permission") and one["permission"] not in ("View", "Edit", "Admin"):
            yield Problem(here + ".permission", "is {0}".format(shown(one["permission"])), "write View, Edit or Admin")
        if len(who) != 1:
            yield Problem(here, "has {0}".format(" and ".join(who) or "nobody"), "give one of team, user and role")
        elif (who[0], one[who[0]]) in seen:
            yield Problem(where, "has two of the {0} {1}".format(who[0], shown(one[who[0]])), "remove one of them")
        elif who == ["role"] and one["role"] not in ("Viewer", "Editor"):
            found = "is {0}".format(shown(one["role"]))
            yield Problem(here + ".role", found, "write Viewer or Editor; administrators may do everything")
        seen.update((key, one[key]) for key in who)


def _check_tokens(where, tokens, files):
    if not isinstance(tokens, list) or not all(isinstance(one, dict) for one in tokens):
        yield Problem(where, "is no list of dictionaries", "write the name of a token in each")
        return
    names = [str(one.get("name")) for one in tokens]
    for number, one in enumerate(tokens):
        here = "{0}[{1}]".format(where, number)
        yield from _check_entry(here, one, *_TOKEN)
        for key in ("name", "serial"):
            if one.get(key) is not None and not _NAME.fullmatch(str(one[key])):
                found = "is {0}".format(shown(one[key]))
                yield Problem("{0}.{1}".format(here, key), found, "use letters, digits, ., - and _")
        for key in ("days", "renew_days"):
            if not re.fullmatch(r"\d{1,5}", str(one.get(key, 0))) or isinstance(one.get(key), bool):
                yield Problem("{0}.{1}".format(here, key), "is {0}".format(shown(one[key])), "give a number of days")
        days, renew = one.get("days", 0), one.get("renew_days", 14)
        if str(days).isdigit() and str(renew).isdigit() and 0 < int(days) <= int(renew):
            found = "is {0}, and a new token is made {1} days before the end".format(days, renew)
            yield Problem(here + ".days", found, "give more, or fewer renew_days")
        path = one.get("file")
        if path is not None and (not str(path).startswith("/") or ".." in str(path).split("/")):
            yield Problem(here + ".file", "is {0}".format(shown(path)), "give an absolute path on the host of Grafana")
        elif path is not None and path in files:
            yield Problem(here + ".file", "is {0}, as another token's".format(shown(path)), "give it one of its own")
        files.add(path)
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem(where, "has two of the name {0}".format(shown(name)), "rename one of them")


def _check_oauth(ini, server):
    """OAuth: Grafana looks at most of it when somebody logs in, and until then nobody would see an error.

    :param server: the section server as the inventory has it.
    """
    found = _grafana_ini.providers(ini)
    for name, section in found.items():
        yield from _check_provider("grafana_auth." + name, section, _grafana_ini.PROVIDERS[name])
    if "generic_oauth" in found and not (found["generic_oauth"].keys() & {"scopes", "empty_scopes"}):
        remedy = "write those of the provider, such as openid profile email"
        yield Doubt("grafana_auth.generic_oauth.scopes", "is not set, and Grafana asks for user:email", remedy)
    if not found:
        return
    root = str(server.get("root_url") or "")
    if root and not _is_url(root):
        yield Problem("grafana_server.root_url", "is {0}".format(shown(root)), "begin it with https:// or http://")
    elif not root and not server.get("domain"):
        made = {"protocol": "http", "domain": "localhost", "http_port": _grafana_ini.PORT, **(ini.get("server") or {})}
        back = "{protocol}://{domain}:{http_port}".format(**made)
        first, *dummy = found
        yield Doubt(
            "grafana_server.root_url",
            "is not set, so that people come back from the provider to {0}/login/{1}".format(back, first),
            "set it to the URL by which people open Grafana, and register that URL with /login/{0} at the provider".format(
                first
            ),
        )


def _check_provider(where, section, required):
    """One provider of OAuth."""
    for key in ("client_id", *required):
        if not str(section.get(key) or "").strip():
            yield Problem("{0}.{1}".format(where, key), "is not set", "give the one that the provider has")
    for key in ("auth_url", "token_url", "api_url"):
        if section.get(key) and not _is_url(str(section[key])):
            yield Problem(
                "{0}.{1}".format(where, key), "is {0}".format(shown(section[key])), "begin it with https:// or http://"
            )
    # What else a client can prove itself with.
    others = ("client_secret", "client_authentication", "tls_client_cert")
    if not any(section.get(key) for key in others) and not _grafana_ini.is_on(section.get("use_pkce")):
        yield Doubt(where + ".client_secret", "is not set", "give it, or use_pkce: true for a client without one")


def _is_url(text):
    """Whether it is the URL of a page; what Grafana puts together or reads from elsewhere may be one."""
    return bool(re.match(r"https?://[^/\s]", text)) or "%(" in text or bool(_grafana_ini.REFERENCE.search(text))


def _check_ldap(ldap, section):
    """LDAP: Grafana reads its file when somebody logs in, and until then nobody would see an error.

    :param section: the section auth.ldap.
    """
    servers = ldap.get("servers")
    servers = [servers] if isinstance(servers, dict) else servers
    if not servers or not isinstance(servers, list) or not all(isinstance(server, dict) for server in servers):
        yield Problem("grafana_ldap", "has no servers", "write servers and group_mappings, as grafana.grafana has them")
        return
    for key in ldap:
        if key not in ("servers", "group_mappings", "verbose_logging"):
            yield unknown_key("grafana_ldap", key, ("servers", "group_mappings", "verbose_logging"), Doubt)
    for number, server in enumerate(servers):
        yield from _check_ldap_server("grafana_ldap.servers[{0}]".format(number), server)
    yield from _check_ldap_groups(ldap.get("group_mappings") or [])
    if not _grafana_ini.is_on(section.get("enabled")):
        found = "is set, but LDAP is not enabled"
        yield Doubt("grafana_ldap", found, "set grafana_auth: {ldap: {enabled: true}}, or leave it out")


def _check_ldap_server(where, server):
    for key in ("host", "search_filter", "search_base_dns"):
        if not server.get(key):
            yield Problem("{0}.{1}".format(where, key), "is not set", "Grafana requires it")
    for key, value in server.items():
        if key not in _LDAP_KEYS:
            yield unknown_key(where, key, _LDAP_KEYS, Doubt)
        elif key == "attributes" and not isinstance(value, dict):
            yield Problem(
                "{0}.attributes".format(where), "is no dictionary", "write username, email and member_of in it"
            )
        elif key in _LDAP_LISTS and not isinstance(value, list):
            yield Problem("{0}.{1}".format(where, key), "is no list", "write a list")
        elif key in ("port", "timeout") and (isinstance(value, bool) or not isinstance(value, int)):
            yield Problem("{0}.{1}".format(where, key), "is {0}".format(shown(value)), "write a number without quotes")
        elif key in _LDAP_SWITCHES and not isinstance(value, bool):
            yield Problem(
                "{0}.{1}".format(where, key), "is {0}".format(shown(value)), "write true or false without quotes"
            )


def _check_ldap_groups(mappings):
    where = "grafana_ldap.group_mappings"
    if not isinstance(mappings, list) or not all(isinstance(one, dict) for one in mappings):
        yield Problem(where, "is no list of dictionaries", "write id, of an organisation, and groups in each")
        return
    for number, one in enumerate(mappings):
        here = "{0}[{1}]".format(where, number)
        if not re.fullmatch(r"[1-9]\d*", str(one.get("id", ""))):
            found = "is {0}".format(shown(one["id"])) if "id" in one else "is not set"
            yield Problem(here + ".id", found, "give the number of an organisation, such as 1")
        for index, group in enumerate(one.get("groups") or []):
            place = "{0}.groups[{1}]".format(here, index)
            if not isinstance(group, dict) or not group.get("group_dn"):
                yield Problem(place + ".group_dn", "is not set", "give a distinguished name, or '*' for everybody")
            elif group.get("org_role") not in ROLES and "grafana_admin" not in group:
                found = "is {0}".format(shown(group.get("org_role")))
                yield Problem(place + ".org_role", found, "write Admin, Editor or Viewer")


def _check_downloads(entries):
    for number, entry in enumerate(entries):
        where = "grafana_dashboards[{0}]".format(number)
        for key in entry:
            if key not in _ENTRY_KEYS:
                yield unknown_key(where, key, _ENTRY_KEYS)
        if not re.fullmatch(r"(sha256:)?[0-9a-fA-F]{64}|", str(entry.get("checksum") or "")):
            found = "is {0}".format(shown(entry["checksum"]))
            yield Problem(where + ".checksum", found, "give the SHA-256 as 64 hexadecimal digits")
        if not entry.get("dashboard_url"):
            if not entry.get("dashboard_id"):
                yield Problem(where, "has neither dashboard_id nor dashboard_url", "give one of them")
            elif not entry.get("revision_id"):
                yield Problem(where, "has no revision_id", "pin one, so that every run deploys the same")
