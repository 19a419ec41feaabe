# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grafana's configuration from the inputs: the ini, its secrets, data sources, dashboards, plugins, and what is refused."""

from __future__ import annotations

import configparser
import json
import re

import pytest
import tomllib
from ansible_collections.vigil.monitoring.plugins.lookup.grafana_dashboards import download_of
from ansible_collections.vigil.monitoring.plugins.module_utils import _grafana as said
from ansible_collections.vigil.monitoring.plugins.module_utils._ldap_message import Result
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _dashboard_files, _grafana_ini, _scrape
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _grafana as grafana
from ansible_collections.vigil.monitoring.plugins.plugin_utils._dashboard_files import read_tree
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import FileProblem
from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana_inputs import check_grafana
from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana_sources import (
    alertmanager_sources,
    check_sources,
    prometheus_source,
)
from checked_health import health_of
from role_inputs import Inputs, room

INI = {
    "instance_name": "one",
    "paths": {"data": "/var/lib/grafana", "logs": "/var/log/grafana"},
    "server": {"http_addr": "0.0.0.0", "http_port": 3000},
    "security": {"admin_user": "admin", "admin_password": "Sentinel-1"},
}
SETTINGS = {
    "config_dir": "/etc/grafana",
    "version": "12.1.0",
    "ini": INI,
    "user": "grafana",
    "group": "grafana",
    "ldap": {},
    "datasources": [],
    "dashboards": [],
    "alert_resources": {},
    "plugins_dir": "/var/lib/grafana/plugins",
}


def files(**given):
    return {entry["path"]: entry for entry in grafana.grafana_files({**SETTINGS, **given})}


def dashboard(text=None, source="one.json", folder="", inputs=None, stem="one", **keys):
    return grafana.normal_dashboard(
        text or json.dumps({"title": "One", "uid": "one", **keys}), source, folder, inputs or {}, stem
    )


def test_later_layers_win_and_a_null_takes_a_key_out():
    merged = _grafana_ini.grafana_ini(
        [
            {"auth": {"ldap": {"enabled": True}}, "log": {"mode": "console"}},
            {"log": {"mode": None}},
            {"auth": {"x": 1}},
            None,
        ]
    )
    assert merged == {"auth": {"ldap": {"enabled": True}, "x": 1}, "log": {}}


def test_the_ini_reads_back_as_it_was_meant():
    auth = {"generic_oauth": {"scopes": ["openid", "email"], "enabled": True, "auth_url": "https://x/?a=1#b;c"}}
    text = files(ini={**INI, "auth": auth, "users": {"login_hint": "", "motto": "it`s; so"}})["grafana.ini"]["content"]
    parsed = configparser.RawConfigParser()
    parsed.read_string("[DEFAULT]\n" + text)
    assert parsed["auth.generic_oauth"]["scopes"] == "openid, email"
    assert parsed["auth.generic_oauth"]["enabled"] == "true"
    # What would begin a comment stands in quotes of the parser that Grafana uses.
    assert parsed["auth.generic_oauth"]["auth_url"] == "`https://x/?a=1#b;c`"
    assert parsed["users"]["motto"] == '"""it`s; so"""'
    assert parsed["paths"]["provisioning"] == "/etc/grafana/provisioning"
    assert parsed["paths"]["plugins"] == "/var/lib/grafana/plugins"
    with pytest.raises(ValueError, match="an ini file cannot represent"):
        files(ini={**INI, "users": {"motto": '`"""'}})


def test_secrets_are_in_files_of_their_own():
    ini = {
        **INI,
        "smtp": {"password": 12345, "host": "mail:25", "enabled": True},
        "auth": {"generic_oauth": {"client_secret": "Sentinel-2", "client_id": "me"}},
        "database": {"url": "mysql://u:Sentinel-3@db/grafana"},
        "remote_cache": {"connstr": "addr=x,password=Sentinel-4"},
        "auth.x": {"client_secret": "$__file{/run/secret}", "password": ""},
    }
    found = files(ini=ini)
    secrets = {path: entry["content"] for path, entry in found.items() if path.startswith("secrets/")}
    assert secrets == {
        "secrets/security.admin_password": "Sentinel-1\n",
        "secrets/smtp.password": "12345\n",
        "secrets/auth.generic_oauth.client_secret": "Sentinel-2\n",
        "secrets/database.url": "mysql://u:Sentinel-3@db/grafana\n",
        "secrets/remote_cache.connstr": "addr=x,password=Sentinel-4\n",
    }
    assert all(found[path]["secret"] for path in secrets)
    text = found["grafana.ini"]["content"]
    assert "Sentinel" not in text
    assert "admin_password = $__file{/etc/grafana/secrets/security.admin_password}" in text
    assert "client_secret = $__file{/run/secret}" in text
    assert _grafana_ini.readable_files(ini) == ["/run/secret"]


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ({}, ("", 3000, "http", "", "/metrics")),
        ({"http_addr": "127.0.0.1", "http_port": "80"}, ("127.0.0.1", 80, "http", "", "/metrics")),
        (
            {"protocol": "h2", "root_url": "%(protocol)s://%(domain)s/grafana/", "serve_from_sub_path": True},
            ("", 3000, "https", "/grafana", "/grafana/metrics"),
        ),
        ({"root_url": "https://x/grafana/"}, ("", 3000, "http", "", "/metrics")),
        *(
            ({"root_url": "https://x/g/", "serve_from_sub_path": word}, ("", 3000, "http", "/g", "/g/metrics"))
            for word in (1, "yes", "True", "t")
        ),
        ({"http_addr": "[::1]"}, ("::1", 3000, "http", "", "/metrics")),
    ],
)
def test_where_it_is_served(server, expected):
    assert _grafana_ini.address([{"server": server}]) == expected
    values = {"grafana_ini": {"server": server}}
    assert _scrape.endpoint("grafana", "h", lambda host, name: values.get(name)) == (*expected, "")


def test_how_it_is_asked():
    ini = {**INI, "metrics": {"basic_auth_username": "m", "basic_auth_password": "p"}}
    places, inputs = (
        grafana.grafana_places(ini),
        Inputs("grafana", ini_default=INI, ini={"metrics": ini["metrics"]}, health_ca="/ca"),
    )
    url = "http://127.0.0.1:3000"
    others = {"other_urls": ["http://[::1]:3000"]}
    login = {"username": "m", "password": "p"}
    assert places["health"] == health_of("grafana", url, **others)
    assert room("grafana").health(inputs) == health_of("grafana", url, ca_path="/ca", **others, **login)
    assert places["login"] == {"username": "admin", "password": "Sentinel-1"}
    assert places["plugins"] == "/var/lib/grafana/plugins"
    assert places["database"][:2] == ["/var/lib/grafana/grafana.db", "/var/lib/grafana/grafana.db-wal"]
    assert grafana.grafana_database({**INI, "database": {"type": "postgres"}}) == []


@pytest.mark.parametrize(
    ("program", "home"),
    [
        ("/opt/vigil/bin/grafana-12.1.0/bin/grafana", "/opt/vigil/bin/grafana-12.1.0"),
        ("/usr/share/grafana/bin/grafana", "/usr/share/grafana"),
        ("/usr/bin/grafana", "/usr/share/grafana"),
        ("/usr/sbin/grafana", "/usr/share/grafana"),
    ],
)
def test_home(program, home):
    assert grafana.grafana_home(program) == home


def test_the_directory_of_notifiers_is_there_for_the_versions_that_look_for_it():
    def paths(version):
        return [entry["path"] for entry in grafana.grafana_directories({**SETTINGS, "version": version})]

    assert "/etc/grafana/provisioning/notifiers" in paths("9.4.0-pre")
    assert "/etc/grafana/provisioning/notifiers" not in paths("11.0.0")
    assert "/var/lib/grafana/plugins" in paths("13.0.0")


def test_a_secret_of_oauth_has_a_file_of_its_own():
    oauth = {"enabled": True, "client_id": "grafana", "client_secret": "Sentinel-oauth"}
    found = files(ini={**INI, "auth": {"generic_oauth": oauth}})
    path = "secrets/auth.generic_oauth.client_secret"
    assert (found[path]["content"], found[path]["secret"]) == ("Sentinel-oauth\n", True)
    text = found["grafana.ini"]["content"]
    assert f"client_secret = $__file{{/etc/grafana/{path}}}" in text and "Sentinel-oauth" not in text


def test_a_section_inside_a_section_has_its_name_in_the_ini():
    history = {"state_history": {"enabled": True, "backend": "annotations"}}
    text = files(ini={**INI, "unified_alerting": history, "rendering": {"server_url": ""}})["grafana.ini"]["content"]
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_string("[DEFAULT]\n" + text)
    assert dict(parsed["unified_alerting.state_history"])["backend"] == "annotations"
    assert parsed["rendering"]["server_url"] == ""


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("plain", "plain"),
        ("a\"b\\c'd#e", "a\"b\\c'd#e"),
        ("\u00e4\U0001f600\x7f\x01\n\t", "\u00e4\U0001f600\x7f\x01\n\t"),
        (["dc=a", "dc=${b}"], ["dc=a", "dc=${b}"]),
        (389, 389),
        (True, True),
        # What Grafana would replace before it reads the file; where it is all of a value, that is meant.
        ("pa${ss}w$__env{x}o$rd", "pa${ss}w$__env{x}o$rd"),
        ("$__file{/etc/grafana/ldap_password}", "$__file{/etc/grafana/ldap_password}"),
    ],
)
def test_a_value_of_ldap_is_read_as_it_was_given(value, read):
    text = grafana.ldap_text({"servers": {"host": "h", "bind_password": value, "timeout": None}})
    assert tomllib.loads(text)["servers"] == [{"host": "h", "bind_password": read, "attributes": {}}]
    assert ("${" in text or "$__env{" in text) is False
    assert ("$__file{" in text) == ("$__file{" in str(value))


def test_ldap_in_the_shape_of_the_peer():
    ldap = {
        "servers": {
            "host": "h",
            "port": 636,
            "use_ssl": True,
            "search_base_dns": ["dc=x"],
            "attributes": {"name": "n"},
        },
        "group_mappings": [{"id": 2, "groups": [{"group_dn": "*", "org_role": "Viewer"}]}],
    }
    found = files(ldap=ldap)
    assert found["ldap.toml"]["secret"]
    text = found["ldap.toml"]["content"]
    assert 'host = "h"\nport = 636\nuse_ssl = true\nsearch_base_dns = ["dc=x"]' in text
    assert '[[servers.group_mappings]]\norg_id = 2\ngroup_dn = "*"\norg_role = "Viewer"' in text
    assert "config_file = /etc/grafana/ldap.toml" in found["grafana.ini"]["content"]


@pytest.mark.parametrize(
    ("kind", "argv", "secret"),
    [
        ("postgres", "psql --no-psqlrc --no-password --tuples-only --no-align --quiet --set=ON_ERROR_STOP=1 --command=SELECT g",
         "PGPASSWORD"),
        ("mysql", "mysql --batch --raw --skip-column-names --host=db --user=u --port=1 --execute=SELECT g", "MYSQL_PWD"),
    ],
)  # fmt: skip
def test_the_database_of_a_server_is_asked_without_its_password_in_a_command_line(kind, argv, secret):
    database = {"type": kind, "host": "db:1", "name": "g", "user": "u", "password": "Sentinel"}
    found = grafana.grafana_dump({"database": database}, "SELECT")
    assert (" ".join(found["argv"]), found["environment"][secret]) == (argv, "Sentinel")


# Data sources


def test_the_inventory_and_the_user_each_have_their_say():
    found = [{"name": "Prometheus", "type": "prometheus", "url": "http://a", "isDefault": True, "jsonData": {"a": 1}}]
    given = [
        {"name": "Loki", "type": "loki", "isDefault": True, "basicAuthPassword": "pa$s"},
        {"name": "Prometheus", "jsonData": {"b": 2}},
    ]
    prometheus, loki = grafana.complete_sources(found, given)
    assert prometheus["jsonData"] == {"a": 1, "b": 2}
    assert (prometheus["uid"], prometheus["access"], prometheus["editable"]) == ("prometheus", "proxy", False)
    assert loki["secureJsonData"] == {"basicAuthPassword": "pa$$s"}
    assert "basicAuthPassword" not in loki


@pytest.mark.parametrize(
    ("text", "written", "shown"),
    [
        ("a$1", "a$$1", "a$1"),
        ("a$$1", "a$$1", "a$1"),
        ("$__file{/x}", "$__file{/x}", ""),
        ("http://${HOST}:1/$x", "http://${HOST}:1/$$x", ""),
    ],
)
def test_a_dollar_means_itself_unless_it_names_something(text, written, shown):
    (source,) = grafana.complete_sources([], [{"name": "x", "type": "x", "url": text}])
    assert source["url"] == written
    assert grafana.grafana_expected([source], [], [])["datasources"][0]["url"] == shown


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([{"name": "A b", "type": "x"}, {"name": "a-b", "type": "x"}], "have the same uid, a-b"),
        (
            [{"name": "a", "type": "x", "isDefault": True}, {"name": "b", "type": "x", "isDefault": True}],
            "both the default",
        ),
        ([{"name": "a", "type": "x", "uid": "no/slash"}], "has the uid 'no/slash'"),
    ],
)
def test_data_sources_that_grafana_would_not_start_with(given, words):
    with pytest.raises(ValueError, match=words):
        grafana.complete_sources([], given)


def test_the_address_of_a_prometheus_comes_from_its_host():
    values = {
        "prometheus_web_listen_address": "127.0.0.1:9091",
        "prometheus_web_external_url": "http://x/prom/",
        "prometheus_global": {"scrape_interval": "5s"},
        "prometheus_health_username": "me",
        "prometheus_health_password": "a$b",
    }
    source = prometheus_source("prometheus", "P", "h", lambda host, name: values.get(name), "h")
    assert source["url"] == "http://127.0.0.1:9091/prom"
    assert source["jsonData"]["timeInterval"] == "5s"
    assert source["secureJsonData"] == {"basicAuthPassword": "a$$b"}
    with pytest.raises(_scrape.ScrapeError, match="alone, where the Grafana of other cannot reach it"):
        prometheus_source("prometheus", "P", "h", lambda host, name: values.get(name), "other")


def of_alertmanagers(groups=None, own_host="g", tls=None, **hosts):
    inventory = {"alertmanager": list(hosts), "empty": []}
    groups = {"alertmanager": "Alertmanager"} if groups is None else groups
    return alertmanager_sources(groups, inventory, lambda host, name: hosts.get(host, {}).get(name), own_host, tls)


def test_alertmanagers_are_data_sources():
    external = {"alertmanager_web_external_url": "http://x/am/"}
    found = of_alertmanagers(a=external, b={"alertmanager_web_listen_address": "127.0.0.1:9193"}, c={}, own_host="b")
    assert [(source["name"], source["url"]) for source in found] == [
        ("Alertmanager", "http://a:9093/am"),
        ("Alertmanager b", "http://127.0.0.1:9193"),
        ("Alertmanager c", "http://c:9093"),
    ]
    expected = {"implementation": "prometheus", "handleGrafanaManagedAlerts": False}
    assert all((source["type"], source["jsonData"]) == ("alertmanager", expected) for source in found)
    assert not any(source.get("isDefault") for source in found)


def test_an_alertmanager_that_grafana_cannot_reach_is_none_of_its_data_sources():
    loopback = {"alertmanager_web_listen_address": "127.0.0.1:9093"}
    closed = {"alertmanager_web_config": {"tls_server_config": CERTIFICATE}}
    gone = {"alertmanager_state": "absent"}
    found = of_alertmanagers(a=loopback, b=closed, c=gone, d={})
    assert [(source["name"], source["url"]) for source in found] == [("Alertmanager", "http://d:9093")]
    assert of_alertmanagers(a=loopback) == of_alertmanagers({}, a={}) == of_alertmanagers({"empty": "X"}, a={}) == []


def test_an_alertmanager_of_the_users_own_is_the_only_one():
    found = of_alertmanagers(a={})
    own = {"name": "Paging", "type": "alertmanager", "url": "http://paging"}
    assert [one["name"] for one in grafana.complete_sources(found, [own])] == ["Paging"]
    laid_over = {"name": "Alertmanager", "jsonData": {"handleGrafanaManagedAlerts": True}}
    (source,) = grafana.complete_sources(found, [laid_over])
    assert (source["url"], source["jsonData"]["handleGrafanaManagedAlerts"]) == ("http://a:9093", True)
    assert len(grafana.complete_sources(found, [{"name": "Loki", "type": "loki"}])) == 2


def test_an_alertmanager_is_asked_as_grafanas_pages_ask_it():
    question = said.source_question({"type": "alertmanager", "uid": "alertmanager", "name": "Alertmanager"})
    assert question == ("/api/alertmanager/alertmanager/api/v2/silences?filter=alertname%3D%22no-alert%22", None)
    assert said.answer_problem(200, "[]") is None
    assert "502" in said.answer_problem(502, '{"message": ""}')


DEFAULT = {"name": "X", "type": "x", "isDefault": True}
CERTIFICATE = {"client_auth_type": "RequireAndVerifyClientCert", "cert_file": "/c", "key_file": "/k"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, []),
        ({"prometheus_web_listen_address": "127.0.0.1:9090"}, ["alone, where the Grafana of graf cannot reach it"]),
        ({"prometheus_web_config": {"tls_server_config": CERTIFICATE}}, ["wants a client certificate", "leave its group out"]),
        ({"prometheus_state": "absent", "prometheus_web_listen_address": "127.0.0.1:9090"}, []),
        ({"grafana_state": "absent", "prometheus_web_listen_address": "127.0.0.1:9090"}, []),
        ({"grafana_datasources": [{"name": "Prom", "isDefault": True}, DEFAULT]}, ["are both the default"]),
        ({"grafana_datasources": [{"name": "PROM", "type": "x"}]}, ["'Prom' and 'PROM' have the same uid, prom"]),
    ],
)  # fmt: skip
def test_what_keeps_grafana_from_its_data_sources_is_known_before_anything_is_changed(given, words):
    values = {"grafana_prometheus_groups": {"prometheus": "Prom"}, "monitoring_address": "192.0.2.1", **given}
    inventory = {"prometheus": ["prom"], "grafana": ["graf"]}
    problems = check_sources(["graf"], lambda host, name: values.get(name), inventory)
    assert [host for host, dummy in problems] == ["graf"] * bool(words)
    assert all(word in str(problems[0][1]) for word in words), problems
    assert all("; " in str(problem) for dummy, problem in problems)


# Dashboards


def test_a_dashboard_is_copied_byte_for_byte():
    text = '{ "title":"One" , "uid":"one", "id":null }'
    found = dashboard(text, folder="Shop")
    assert (found["content"], found["path"], found["uid"]) == (text, "dashboards/Shop/one.json", "one")


def test_an_export_is_made_fit_for_provisioning():
    export = {
        "id": 7,
        "title": "One",
        "__inputs": [{"name": "DS_X", "type": "datasource"}, {"name": "VAR_Y", "type": "constant", "value": "y"}],
        "__requires": [],
        "panels": [{"datasource": {"uid": "${DS_X}"}, "title": "${VAR_Y}", "old": "${DS_OLD}"}],
    }
    found = dashboard(json.dumps(export), inputs={"*": "prometheus"}, stem="Shop/One two")
    data = json.loads(found["content"])
    assert data["panels"] == [{"datasource": {"uid": "prometheus"}, "title": "y", "old": "prometheus"}]
    assert (data["id"], data["uid"], "__inputs" in data, "__requires" in data) == (None, "shop-one-two", False, False)
    with pytest.raises(FileProblem, match="needs a data source for DS_X"):
        dashboard(json.dumps(export))


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "one.json is not JSON"), ("[]", "it has no title"), ('{"title": "x", "uid": "a b"}', "has the uid 'a b'")],
)
def test_what_is_no_dashboard(text, words):
    with pytest.raises(FileProblem, match=words):
        dashboard(text)


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ([dashboard(source="b", folder="B")], "a and b have the same uid, one"),
        ([dashboard(source="b", uid="two")], "a and b have the same title in one folder"),
        ([dashboard(source="b", uid="two", title="two", folder="One")], "a has the name of a folder, 'One'"),
    ],
)
def test_dashboards_that_cannot_stand_beside_each_other(others, words):
    with pytest.raises(FileProblem, match=words):
        grafana.check_dashboards([dashboard(source="a"), *others])


def write_dashboards(folder, **texts):
    """Files of the user's own beside the inventory; for a dictionary, the JSON of a dashboard."""
    for name, text in texts.items():
        file = folder / "dashboards" / name.replace("__", "/")
        file = file.with_name(file.name + ".json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text if isinstance(text, str) else json.dumps({"title": name, "uid": name, **text}))


def file_problems(folder, entries=(), directory="dashboards", bundled=False):
    return _dashboard_files.problems(directory, list(entries), bundled, [str(folder)])


def test_everything_that_is_wrong_with_dashboards_is_named_before_anything_is_changed(tmp_path):
    write_dashboards(
        tmp_path,
        Shop__bad='{"title": "Bad",',
        Shop__none="[]",
        Shop__one={"uid": "same", "title": "One"},
        two={"uid": "same", "title": "Two"},
        word={"schemaVersion": "new"},
        deep="[" * 100000,
        inputs={"__inputs": {"name": "x"}},
    )
    (tmp_path / "dashboards/latin.json").write_bytes(b'{"title": "\xe4"}')
    (tmp_path / "dashboards/gone.json").symlink_to("nowhere.json")
    (tmp_path / "dashboards/old.json.bak").write_text("{}")
    entries = [{"dashboard_url": str(tmp_path / "absent.json")}, {"dashboard_url": "https://example.org/x.json"}]
    problems = file_problems(tmp_path, entries)
    for words in (
        "Shop/bad.json is not JSON: Expecting property name",
        "Shop/none.json is not a dashboard: it has no title; give it one",
        "Shop/one.json have the same uid, same; change it in one of them",
        "word.json has the schemaVersion 'new', which is no number",
        "deep.json is not JSON: ",
        "inputs.json has __inputs that are no list of names",
        "latin.json cannot be read as a text in UTF-8",
        "gone.json is no file, or a link that leads to none",
        "old.json.bak looks like one that was left over",
        "absent.json cannot be read",
    ):
        assert [words in problem for problem in problems].count(True) == 1, (words, problems)
    assert len(problems) == 10
    # What has to be downloaded is not requested for it.
    assert "example.org" not in str(problems)


def test_dashboards_that_can_be_deployed_are_no_problem(tmp_path):
    write_dashboards(tmp_path, Shop__one={}, two={})
    assert file_problems(tmp_path, bundled=True) == []
    assert file_problems(tmp_path / "empty", bundled=True) == []
    bundled = dict(read_dashboards_of_the_collection())
    write_dashboards(tmp_path, mine={"uid": next(iter(bundled))})
    assert "have the same uid, " + next(iter(bundled)) in file_problems(tmp_path, bundled=True)[0]
    assert file_problems(tmp_path, bundled=False) == []
    assert "there is no directory elsewhere for dashboards; create it" in file_problems(tmp_path, (), "elsewhere")[0]


def read_dashboards_of_the_collection():
    for path, dummy, text in read_tree(_dashboard_files.BUNDLED):
        yield json.loads(text)["uid"], path


def test_folders_are_those_of_the_tree(tmp_path):
    for path in ("top.json", "Shop/a.json", "Shop/.hidden.json", ".git/b.json", "Shop/readme.md"):
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_text("{}")
    found = read_tree(str(tmp_path))
    assert [(path.removeprefix(str(tmp_path)), folder) for path, folder, dummy in found] == [
        ("/top.json", ""),
        ("/Shop/a.json", "Shop"),
    ]


@pytest.mark.parametrize("name", ["a.json.j2", "a.json.bak", "a.yml", "a.jsonnet"])
def test_what_is_no_dashboard_is_refused_by_name(tmp_path, name):
    (tmp_path / name).write_text("{}")
    with pytest.raises(FileProblem, match=r"grafana_dashboards_dir: .*/" + name):
        read_tree(str(tmp_path))


def test_what_is_downloaded_is_pinned():
    url, stem, dummy = download_of(0, {"dashboard_id": 1860, "revision_id": 37})
    assert (url, stem) == ("https://grafana.com/api/dashboards/1860/revisions/37/download", "1860")
    assert download_of(1, {"dashboard_url": "https://x/one.json?a=b"})[1] == "one"
    with pytest.raises(FileProblem, match=r"grafana_dashboards\[2\] \(1860\) has no revision_id"):
        download_of(2, {"dashboard_id": 1860})


# What is found there


def test_a_dashboard_in_grafana_is_the_one_on_disk():
    wanted = {
        "title": "T",
        "uid": "u",
        "schemaVersion": 37,
        "panels": [{"title": "P", "targets": [{"expr": "up"}], "w": 1.0}],
    }
    expected = said.expectation(wanted)

    def problem(provisioned=True, **keys):
        return said.dashboard_problem(expected, {"meta": {"provisioned": provisioned}, "dashboard": {**wanted, **keys}})

    panel = wanted["panels"][0]
    assert problem(id=3, version=9, panels=[{**panel, "w": 1}]) is None
    assert problem(provisioned=False) == "was not provisioned, but created by a user"
    assert problem(panels=[{**panel, "w": 2}]) == "differs from the file on disk"
    # A newer Grafana brings it up to its own schema: what it is about has to be the same.
    assert problem(schemaVersion=41, panels=[{**panel, "w": 2}]) is None
    assert problem(schemaVersion=41, panels=[{**panel, "targets": [{"expr": "down"}]}]) is not None


def test_data_sources_plugins_and_health():
    expected = {"name": "P", "type": "prometheus", "url": "http://a", "uid": "p q"}
    assert said.source_problem(expected, {"name": "P", "type": "prometheus", "url": "http://a"}) is None
    assert said.source_problem(expected, {"name": "P", "type": "prometheus", "url": "b"}).startswith("has url 'b'")
    path, body = said.source_question(expected)
    assert (path, body["queries"][0]["datasource"]["uid"]) == ("/api/ds/query", "p q")
    assert said.source_question({"type": "mysql", "uid": "m n"}) == ("/api/datasources/uid/m%20n/health", None)
    assert said.answer_problem(200, '{"results": {"A": {"frames": []}}}') is None
    assert said.answer_problem(200, '{"results": {"A": {"error": "dial  tcp"}}}') == "dial tcp"
    assert said.answer_problem(500, "oh") == "HTTP 500: oh"
    answer = [{"id": "a", "info": {"version": "1"}}, {"id": "b", "info": {"version": "1"}}]
    problems = list(said.plugin_problems({"a": "1", "b": "2", "c": "1"}, answer))
    assert [problem[:34] for problem in problems] == [
        "it has version 1 of the plugin b, ",
        "it did not load the plugin c; see ",
    ]
    assert said.health_problem('{"database": "ok"}') is None
    assert "database does not work" in said.health_problem('{"database": "failing"}')
    assert said.health_problem("<html>") == "its health is not JSON"
    assert said.message_of('{"message": "a  b"}') == "a b"


# Plugins


@pytest.mark.parametrize(
    ("more", "content", "kept"),
    [
        ({}, "\n", True),
        ({"security": {"secret_key": "Sentinel-9"}}, "Sentinel-9\n", True),
        # Where it is told to look elsewhere, and where others share the database, nothing is made up.
        ({"security": {"secret_key": "$__file{/srv/key}"}}, None, False),
        ({"database": {"type": "postgres", "host": "db"}}, None, False),
        (
            {"database": {"type": "postgres", "host": "db"}, "security": {"secret_key": "Sentinel-9"}},
            "Sentinel-9\n",
            False,
        ),
    ],
)
def test_the_key_that_grafana_encrypts_with(more, content, kept):
    found = files(ini=_grafana_ini.grafana_ini([INI, more]))
    entry = found.get("secrets/security.secret_key")
    assert (entry and entry["content"]) == content
    assert bool(entry and entry.get("kept")) is kept
    assert entry is None or entry["secret"]
    said = re.search(r"(?m)^secret_key = (.*)$", found["grafana.ini"]["content"])
    assert (said is not None) is (content is not None or "security" in more)
    if content:
        assert said.group(1) == "$__file{/etc/grafana/secrets/security.secret_key}"


def test_plugins_are_pinned_and_have_an_address():
    given = ["a-panel 1.2.3", "b-panel@2.0.0", {"id": "c", "version": "1", "url": "/x.zip", "checksum": "0" * 64}]
    found = grafana.plugin_list(given, "/mirror/")
    assert [entry["url"] for entry in found] == [
        "/mirror/grafana/plugins/a-panel-1.2.3.zip",
        "/mirror/grafana/plugins/b-panel-2.0.0.zip",
        "/x.zip",
    ]
    assert grafana.plugin_list(["a 1"])[0]["url"] == "https://grafana.com/api/plugins/a/versions/1/download"
    assert grafana.plugin_links(found[:1], "/r", "/p") == {"/p/a-panel": "/r/a-panel-1.2.3"}
    for wrong in ("a-panel", "a-panel latest", "../a 1.0"):
        with pytest.raises(ValueError, match="has no version"):
            grafana.plugin_list([wrong])
    with pytest.raises(ValueError, match="the checksum of c 1 in grafana_plugins is 'md5'"):
        grafana.plugin_list([{"id": "c", "version": "1", "checksum": "md5"}])


# Inputs

GOOD = {
    "grafana_version": "12.1.0",
    "grafana_install_method": "archive",
    "grafana_ini_default": {"paths": {"data": "/var/lib/grafana"}, "security": {"admin_user": "admin"}},
    "grafana_ini": {},
    "grafana_server": {},
    "grafana_security": {"admin_password": "Sentinel"},
    "grafana_database": {},
    "grafana_users": {},
    "grafana_auth": {},
    "grafana_smtp": {},
    "grafana_ldap": {},
    "grafana_cap_net_bind_service": False,
    "grafana_datasources": [],
    "grafana_dashboards": [],
    "grafana_plugins": [],
    "grafana_alert_resources": {},
    "grafana_prometheus_groups": {"prometheus": "Prometheus"},
    "grafana_alertmanager_groups": {"alertmanager": "Alertmanager"},
    **dict.fromkeys(("grafana_org_users", "grafana_teams", "grafana_folders", "grafana_service_accounts"), ()),
}
OAUTH = {
    "enabled": True,
    "client_id": "grafana",
    "client_secret": "Sentinel",
    "scopes": "openid profile email",
    "auth_url": "https://login.example/auth",
    "token_url": "https://login.example/token",
}
PUBLIC = {"root_url": "https://grafana.example/"}


def oauth(server=PUBLIC, without=(), provider="generic_oauth", **more):
    """Inputs for a login at a provider."""
    section = {key: value for key, value in {**OAUTH, **more}.items() if key not in without}
    return {"auth": {provider: section}, "server": server}


LDAP = {"host": "ldap.example", "search_filter": "(uid=%s)", "search_base_dns": ["dc=example"], "bind_password": "x"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"version": "9.3.2"}, "grafana_version: is 9.3.2; deploy 9.4 or newer"),
        ({"security": {}}, "grafana_security.admin_password: is not set"),
        ({"security": {"admin_password": "admin"}}, "is the one that everybody knows"),
        ({"security": {"admin_password": "$__file{/x}"}}, "says where the password is"),
        ({"security": {"admin_password": "abc"}}, "is too short"),
        ({"security": {"admin_password": " Sentinel"}}, "begins or ends with a blank"),
        ({"security": {"admin_password": "Sentinel", "admin_user": ""}}, "grafana_security.admin_user: is empty"),
        ({"server": {"http_port": 80}}, "grafana_server.http_port: is 80; set grafana_cap_net_bind_service"),
        ({"server": {"http_port": 0}}, "grafana_server.http_port"),
        ({"server": {"protocol": "socket"}}, "grafana_server.protocol"),
        ({"server": {"protocol": "https", "cert_file": "/c"}}, "grafana_server.cert_key: is no absolute path"),
        ({"server": {"x": 1}, "ini": {"server": {"x": 2}}}, "grafana_server and grafana_ini.server: both set x"),
        ({"ini": {"paths": {"provisioning": "/x"}}}, "grafana_ini.paths.provisioning: is set"),
        ({"ini": {"paths": {"data": "/var"}}}, "grafana_ini.paths.data: is '/var', which belongs to the system"),
        ({"ini": {"paths": {"data": "relative"}}}, "grafana_ini.paths.data: is 'relative'; give an absolute path"),
        ({"ini": {"paths": [1]}}, "grafana_ini.paths: is a list"),
        ({"datasources": [{"type": "x", "isDefault": "true"}]}, "grafana_datasources[0]: has no name"),
        (
            {"datasources": [{"name": "x", "type": "x", "isDefault": "true"}]},
            "grafana_datasources[0].isDefault: is a text",
        ),
        ({"datasources": [{"name": "x", "type": "x"}] * 2}, "grafana_datasources: has two of the name 'x'"),
        ({"dashboards": [{"dashboard_id": 1}]}, "grafana_dashboards[0]: has no revision_id"),
        ({"dashboards": [{"dashbord_url": "x"}]}, "did you mean dashboard_url?"),
        ({"plugins": ["x"]}, "grafana_plugins: 'x' has no version"),
        ({"alert_resources": {"contactpoints": []}}, "did you mean contactPoints?"),
        ({"ldap": {"server": {}}}, "grafana_ldap: has no servers"),
        ({"ldap": {"servers": ["x"]}}, "grafana_ldap: has no servers"),
        ({"ldap": {"servers": {**LDAP, "host": ""}}}, "grafana_ldap.servers[0].host: is not set; Grafana requires it"),
        (
            {"ldap": {"servers": [{**LDAP, "bind_pasword": "Sentinel"}]}},
            "grafana_ldap.servers[0].bind_pasword: unknown key; did you mean bind_password?",
        ),
        ({"ldap": {"servers": [{**LDAP, "port": "389"}]}}, "grafana_ldap.servers[0].port: is '389'"),
        ({"ldap": {"servers": [{**LDAP, "use_ssl": "no"}]}}, "grafana_ldap.servers[0].use_ssl: is 'no'"),
        ({"ldap": {"servers": [{**LDAP, "search_base_dns": "dc=x"}]}}, "search_base_dns: is no list"),
        ({"ldap": {"servers": LDAP, "group_mappings": {"id": 1}}}, "grafana_ldap.group_mappings: is no list"),
        ({"ldap": {"servers": LDAP, "group_mappings": [{"id": "x"}]}}, "group_mappings[0].id: is 'x'"),
        (
            {"ldap": {"servers": LDAP, "group_mappings": [{"id": 1, "groups": [{"org_role": "Admin"}]}]}},
            "group_mappings[0].groups[0].group_dn: is not set",
        ),
        (
            {
                "ldap": {
                    "servers": LDAP,
                    "group_mappings": [{"id": 1, "groups": [{"group_dn": "x", "org_role": "Boss"}]}],
                }
            },
            "group_mappings[0].groups[0].org_role: is 'Boss'",
        ),
        ({"ldap": {"servers": LDAP}}, "grafana_ldap: is set, but LDAP is not enabled"),
        (
            oauth(without=["client_id"]),
            "grafana_auth.generic_oauth.client_id: is not set; give the one that the provider",
        ),
        (oauth(without=["token_url"]), "grafana_auth.generic_oauth.token_url: is not set"),
        (oauth(provider="okta"), "grafana_auth.okta.api_url: is not set"),
        (oauth(auth_url="login.example"), "generic_oauth.auth_url: is 'login.example'; begin it with https:// or"),
        (
            oauth(without=["client_secret"]),
            "grafana_auth.generic_oauth.client_secret: is not set; give it, or use_pkce",
        ),
        (oauth(without=["scopes"]), "grafana_auth.generic_oauth.scopes: is not set, and Grafana asks for user:email"),
        (oauth(server={"root_url": "grafana.example"}), "grafana_server.root_url: is 'grafana.example'; begin it with"),
        (
            {
                **oauth(server={"http_port": 3001}),
                "ini_default": {**GOOD["grafana_ini_default"], "server": {"domain": "h"}},
            },
            "grafana_server.root_url: is not set, so that people come back from the provider to"
            " http://h:3001/login/generic_oauth; set it to the URL by which people open Grafana",
        ),
        ({"datasources": [{"name": "x"}]}, "grafana_datasources: 'x' has no type; add one"),
        (
            {"datasources": [{"name": "x", "type": "x", "uid": "a b"}]},
            "grafana_datasources: 'x' has the uid 'a b'; use at most 40",
        ),
        (
            {"datasources": [{"name": "a b", "type": "x"}, {"name": "a-b", "type": "x"}]},
            "grafana_datasources: 'a b' and 'a-b' have the same uid, a-b; change",
        ),
        (
            {"auth": {"basic": {"enabled": False}}},
            "grafana_auth.basic.enabled: is off; leave it out: the role logs in with the administrator's password",
        ),
        ({"datasources": [{"name": "x", "type": "x", "orgId": "main"}]}, "grafana_datasources[0].orgId: is 'main'"),
        ({"ini": {"auth": {"disable_login": "yes"}}}, "grafana_auth.disable_login: is on; leave it out"),
        (
            {"ini": {"server": {"root_url": 'a`b"""c#'}}},
            "grafana_ini.server.root_url: contains both a backtick and three quotes",
        ),
    ],
)
def test_inputs_that_cannot_work(given, words):
    problems = [
        str(problem) for problem in check_grafana({**GOOD, **{"grafana_" + name: v for name, v in given.items()}})
    ]
    assert any(words in problem for problem in problems), problems
    assert "Sentinel" not in str(problems)


def test_inputs_that_can_work():
    assert list(check_grafana(GOOD)) == []
    # The type of one of the inventory's is known.
    over = [{"name": "Prometheus", "jsonData": {}}, {"name": "Prometheus host-1", "isDefault": True}]
    groups = [{"group_dn": "*", "org_role": "Viewer"}, {"group_dn": "cn=x", "grafana_admin": True}]
    ldap = {"servers": {**LDAP, "attributes": {"email": "mail"}}, "group_mappings": [{"id": 1, "groups": groups}]}
    enabled = {"auth": {"ldap": {"enabled": True}}}
    logins = [
        oauth(),
        oauth(without=["client_secret"], use_pkce=True),
        oauth(server={"root_url": "%(protocol)s://g.example/"}, token_url="$__file{/run/token_url}"),
        oauth(server={"domain": "g.example"}),
        oauth(server={}, without=OAUTH.keys() - {"enabled"}, enabled=False),
        oauth(provider="github", without=["auth_url", "token_url", "scopes"]),
    ]
    # Who logs in at its API needs no form.
    closed = {"auth": {"disable_login_form": True, "disable_login": False, "basic": {"enabled": "$__env{BASIC}"}}}
    others = ({"datasources": over}, {"ldap": ldap, **enabled}, {"smtp": {"password": 'a`b"""c'}}, closed)
    for given in (*others, *logins):
        assert list(check_grafana({**GOOD, **{"grafana_" + name: v for name, v in given.items()}})) == []
    low = {"grafana_server": {"http_port": 443}, "grafana_cap_net_bind_service": True}
    assert list(check_grafana({**GOOD, **low})) == []


def test_where_people_log_in():
    ini = {"auth": {"ldap": {"enabled": True}, "generic_oauth": {"enabled": "true"}, "github": {"enabled": False}}}
    assert _grafana_ini.logins(ini) == {"oauth": ["/login/generic_oauth"], "ldap": True}
    assert _grafana_ini.logins({"auth.grafananet": {"enabled": 1}}) == {"oauth": ["/login/grafana_com"], "ldap": False}
    assert _grafana_ini.logins({}) == {"oauth": [], "ldap": False}


def test_a_provider_that_can_be_asked_about_its_client():
    known = {key: OAUTH[key] for key in ("client_id", "client_secret", "token_url")}

    def found(**more):
        return _grafana_ini.clients({"auth": {"generic_oauth": {**OAUTH, **more}}})

    assert found() == [{"name": "generic_oauth", **known, "verify": True}]
    assert found(tls_client_ca="/ca", tls_skip_verify_insecure="true")[0]["ca_path"] == "/ca"
    assert not found(tls_skip_verify_insecure=True)[0]["verify"]
    none = [{"enabled": False}, {"client_secret": ""}, {"client_secret": "$__file{/run/s}"}, {"tls_client_cert": "/c"}]
    assert all(found(**more) == [] for more in none)


ASKED = {
    "name": "grafana_ldap.servers[0]",
    "hosts": ["ldap.example"],
    "port": 0,
    "bind_dn": "",
    "bind_password": "x",
    "use_ssl": False,
    "start_tls": False,
    "ca_paths": [],
    "verify": True,
}


def test_a_server_of_ldap_that_can_be_asked():
    """As Grafana takes it: with a password of its own, whatever is in its name; each of the hosts that stand in for each other."""

    def found(network="host", ini=None, **more):
        ini = {"auth": {"ldap": {"enabled": True, **(ini or {})}}}
        return grafana.ldap_servers({"servers": [{**LDAP, **more}]}, ini, "/etc/grafana/", network)

    assert found() == [ASKED]
    assert grafana.ldap_servers({"servers": LDAP}, {"auth.ldap": {"enabled": "true"}}, "/etc/grafana", "own") == [
        {**ASKED, "name": "grafana_ldap.servers"}
    ]
    (one,) = found(
        host="a  [2001:db8::1]",
        port=636,
        use_ssl=True,
        start_tls=True,
        ssl_skip_verify=True,
        root_ca_cert="/a /b",
        client_cert="/c",
        client_key="/k",
        bind_dn="cn=%s",
        bind_password="p ${x}",
    )
    more = {"use_ssl": True, "start_tls": True, "verify": False, "client_cert": "/c", "client_key": "/k"}
    more.update(bind_dn="cn=%s", bind_password="p ${x}", ca_paths=["/a", "/b"])
    assert one == {**ASKED, "hosts": ["a", "2001:db8::1"], "port": 636, **more}
    assert "client_cert" not in found(client_cert="/c")[0]
    elsewhere = [{"bind_password": "$__file{/run/s}"}, {"bind_dn": "${DN}"}, {"host": "a $__env{HOST}"}]
    none = [{"bind_password": ""}, {"bind_password": None}, {"root_ca_cert_value": ["x"]}, *elsewhere]
    assert all(found(**more) == [] for more in none)
    assert found(ini={"config_file": "/etc/grafana/ldap.toml"}) == [ASKED]
    assert found(ini={"config_file": "/srv/ldap.toml"}) == found(ini={"enabled": False}) == []
    assert grafana.ldap_servers({}, {"auth": {"ldap": {"enabled": True}}}, "/etc/grafana", "host") == []
    # What is beside it in its container is not beside it on the host.
    for host in ("localhost", "a 127.0.0.1", "[::1]"):
        assert found(host=host, network="own") == [] != found(host=host)


@pytest.mark.parametrize(
    ("code", "keys", "words"),
    [
        (
            49,
            {},
            "h:636: it does not take cn=g with its password: invalid credentials (result 49): no; correct L.bind_password or bind_dn",
        ),
        (32, {}, "no such object (result 32): no; correct L.bind_dn"),
        (
            53,
            {"bind_dn": ""},
            "does not take an empty bind_dn with its password: unwilling to perform (result 53): no; correct",
        ),
        (13, {}, "(result 13): no; set use_ssl: true, or use_ssl and start_tls, in L"),
        (13, {"use_ssl": True}, "(result 13): no; correct L.bind_password or bind_dn"),
        (0, {}, None),
    ],
)
def test_what_a_server_of_ldap_says(code, keys, words):
    server = {"name": "L", "port": 636, "bind_dn": "cn=g", "bind_password": "Sentinel", "use_ssl": False, **keys}
    found = said.bind_problem(server, "h", Result(code, "no"))
    assert (words is None) == (found is None)
    assert found is None or (words in found and "Sentinel" not in found)


def test_on_a_bridge_grafana_listens_on_the_addresses_of_its_container():
    ini = {"server": {"http_addr": "127.0.0.1", "http_port": 3001}, "paths": {"data": "/d"}}
    assert grafana.grafana_inside(ini, "host") == ini
    assert grafana.grafana_inside(ini, "own")["server"] == {"http_addr": "", "http_port": 3001}
    assert grafana.grafana_places(ini)["listen"] == "127.0.0.1:3001"
