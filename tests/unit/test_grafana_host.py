# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is checked of a Grafana, by its own host and by the verification, and plugins as they are unpacked."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from types import SimpleNamespace

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.module_utils import _client, _health_check
from ansible_collections.vigil.monitoring.plugins.module_utils._grafana import expectation
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError
from ansible_collections.vigil.monitoring.plugins.module_utils._release import ReleaseError
from ansible_collections.vigil.monitoring.plugins.modules import grafana_content, grafana_plugins
from checked_health import health_of
from ldap_answers import BUSY, OK, WRONG, serve
from ldap_answers import answer as of_ldap

BOARD = {"title": "One", "uid": "one", "panels": []}
EXPECTED = {
    "datasources": [{"name": "P", "uid": "p", "type": "prometheus", "url": "http://a", "org": 1}],
    "dashboards": [dict(expectation(BOARD), folder="Shop")],
    "plugins": {"a-panel": "1.0"},
    "logins": {"oauth": [], "ldap": False},
}
# Where Grafana sends people who want to log in there.
PROVIDER = "https://login.example/auth?client_id=g&redirect_uri=http%3A%2F%2Fh%2Flogin%2Fgeneric_oauth&state=x"
NOTHING = {"users": [], "teams": [], "folders": [], "home": "", "home_unless_chosen": False, "service_accounts": []}
ANSWERS = {
    "/metrics": 'grafana_build_info{version="9.4.0"} 1\n',
    "/api/health": {"database": "ok", "version": "9.4.0"},
    "/api/user": {"isGrafanaAdmin": True},
    "/api/datasources/uid/p": {"name": "P", "type": "prometheus", "url": "http://a"},
    "/api/ds/query": {"results": {"A": {"frames": []}}},
    "/api/dashboards/uid/one": {"meta": {"provisioned": True}, "dashboard": {**BOARD, "id": 3, "version": 2}},
    "/api/plugins?embedded=0": [{"id": "a-panel", "info": {"version": "1.0"}}],
}


class Grafana:
    """Answers by path; a login that is not the one it knows gets 401."""

    def __init__(self, answers=None, login=("admin", "right")):
        self.answers = {**ANSWERS, **(answers or {})}
        self.logins = {login}
        # The organisation of what is not of the first one, by path; and which one each path was asked about.
        self.elsewhere, self.about = {}, {}
        self.asked = []

    def send(self, method, url, body, access, *rest, **options):
        path = url.partition("3000")[2]
        self.about[path] = dict(access.headers).get("X-Grafana-Org-Id")
        if path in self.elsewhere and self.about[path] != self.elsewhere[path]:
            return _client.Reply(404, {}, b'{"message": "Data source not found"}')
        self.asked.append((method, path, access.username, access.password))
        if path == "/api/user" and (access.username, access.password) not in self.logins:
            return _client.Reply(401, {}, b'{"message": "Invalid username or password"}')
        answer = self.answers.get(path or url, 404)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, list) and answer and isinstance(answer[0], _client.Reply):
            # One after the other.
            return answer.pop(0)
        if isinstance(answer, tuple):
            return _client.Reply(302, dict(zip(("Location", "Set-Cookie"), answer)), b"")
        if isinstance(answer, int):
            return _client.Reply(answer, {}, b'{"message": "no"}')
        return _client.Reply(200, {}, (answer if isinstance(answer, str) else json.dumps(answer)).encode())

    def get(self, url, access, *rest, **options):
        return self.send("GET", url, None, access)


@pytest.fixture
def verify(monkeypatch):
    def run(grafana, username="admin", provisioned=None):
        monkeypatch.setattr(_client, "send", grafana.send)
        monkeypatch.setattr(_client, "get", grafana.get)
        login = {"username": username, "password": "right"}
        service = {
            "service": "grafana",
            "health": health_of("grafana", "http://h:3000"),
            "version": "9.4.0",
            "login": login,
        }
        return _health_check.check_health(
            {**service, "checks": [{"name": "grafana_content", "given": provisioned or EXPECTED}]}, 0.0
        )

    return run


def test_everything_is_there(verify):
    grafana = Grafana()
    assert verify(grafana)["state"] == "ok"
    # The login is asked for nothing that does without.
    assert ("GET", "/metrics", None, None) in grafana.asked
    assert ("POST", "/api/ds/query", "admin", "right") in grafana.asked


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"/api/health": {"database": "failing"}}, "its database does not work"),
        ({"/api/datasources/uid/p": 404}, "its data source P (http://a) is not there"),
        ({"/api/ds/query": {"results": {"A": {"error": "refused"}}}}, "P (http://a) does not answer: refused"),
        ({"/api/dashboards/uid/one": 404}, "its dashboard One (one) is not there"),
        ({"/api/dashboards/uid/one": {"meta": {}, "dashboard": BOARD}}, "was not provisioned"),
        ({"/api/plugins?embedded=0": []}, "it did not load the plugin a-panel"),
    ],
)
def test_what_is_missing_is_red(verify, answers, words):
    line = verify(Grafana(answers))
    assert line["state"] == "failed"
    assert words in line["reasons"][0]


def test_a_login_that_does_not_work_is_red(verify):
    line = verify(Grafana(login=("admin", "another")))
    assert (line["state"], line["reasons"]) == ("failed", ["its administrator admin cannot log in"])


def test_the_first_password_of_an_account_that_is_not_the_administrators(verify):
    grafana = Grafana({"/api/users/lookup?loginOrEmail=admin": {"id": 1}}, login=("boss", "right"))
    assert verify(grafana, username="boss")["state"] == "ok"
    grafana.logins.add(("admin", "admin"))
    assert verify(grafana, username="boss")["reasons"] == ["anybody can log in with admin/admin"]


def test_a_data_source_that_cannot_be_queried_is_not_verified(verify):
    source = {"name": "M", "uid": "m", "type": "mysql", "url": "db", "org": 1}
    grafana = Grafana({"/api/datasources/uid/m": {"name": "M", "type": "mysql", "url": "db"}})
    assert verify(grafana, provisioned={**EXPECTED, "datasources": [source]})["state"] == "unverified"


PATH, STATUS = "/login/generic_oauth", "/api/admin/ldap/status"
SERVERS = [{"host": "one", "port": 389, "available": True}]


@pytest.mark.parametrize(
    ("answers", "state", "words"),
    [
        ({PATH: (PROVIDER,), PROVIDER: 200, STATUS: SERVERS}, "ok", ""),
        # A bot may be asked for more than a person.
        ({PATH: (PROVIDER,), PROVIDER: 403, STATUS: SERVERS}, "ok", ""),
        (
            {PATH: (PROVIDER,), PROVIDER: 400, STATUS: SERVERS},
            "failed",
            "nobody can log in by /login/generic_oauth: https://login.example/auth answers HTTP 400; its provider has to know the"
            " client 'g' with the redirect URL http://h/login/generic_oauth",
        ),
        # It looks at what it is asked for on a page of its own. One that needs a cookie, or somebody else's, says nothing of Grafana.
        (
            {PATH: (PROVIDER,), PROVIDER: ("/ldap",), "https://login.example/ldap": 400, STATUS: SERVERS},
            "failed",
            "HTTP 400",
        ),
        ({PATH: (PROVIDER,), PROVIDER: ("/in", "a=b"), "https://login.example/in": 400, STATUS: SERVERS}, "ok", ""),
        (
            {PATH: (PROVIDER,), PROVIDER: ("https://other.example/",), "https://other.example/": 400, STATUS: SERVERS},
            "ok",
            "",
        ),
        ({PATH: (PROVIDER,), PROVIDER: (PROVIDER,), STATUS: SERVERS}, "ok", ""),
        ({PATH: (PROVIDER,), PROVIDER: 503, STATUS: SERVERS}, "failed", "https://login.example/auth answers HTTP 503"),
        (
            {PATH: (PROVIDER,), PROVIDER: _client.AskError("unreachable", "connection refused"), STATUS: SERVERS},
            "unverified",
            "not verified: a login by /login/generic_oauth begins at https://login.example/auth: connection refused",
        ),
        (
            {PATH: ("/login",), STATUS: SERVERS},
            "failed",
            "/login/generic_oauth leads to no provider (HTTP 302); its log",
        ),
        (
            {PATH: (PROVIDER,), PROVIDER: 200, STATUS: [*SERVERS, {"host": "two", "port": 636, "error": "no route"}]},
            "failed",
            "its LDAP server two:636 cannot be reached: no route",
        ),
        ({PATH: (PROVIDER,), PROVIDER: 200, STATUS: 400}, "failed", "its login by LDAP does not work: no"),
    ],
)
def test_where_people_log_in(verify, answers, state, words):
    grafana = Grafana(answers)
    line = verify(grafana, provisioned={**EXPECTED, "logins": {"oauth": [PATH], "ldap": True}})
    assert (line["state"], words in " ".join(line["reasons"])) == (state, True), line
    assert "state=x" not in str(line)
    # A provider is told no password.
    assert all(one[2] is None for one in grafana.asked if not one[1])


@pytest.mark.parametrize("name", ["generic_oauth", "ldap"])
def test_a_login_whose_settings_somebody_has_saved_in_grafana(verify, name):
    logins = {"oauth": [PATH], "ldap": True}
    answers = {PATH: (PROVIDER,), PROVIDER: 200, STATUS: SERVERS}
    for found, state in (
        ({"provider": name, "source": "system", "settings": {}}, "ok"),
        ("<html>", "ok"),
        ({"provider": name, "source": "database", "settings": {"clientSecret": "*********"}}, "failed"),
    ):
        line = verify(
            Grafana({**answers, "/api/v1/sso-settings/" + name: found}), provisioned={**EXPECTED, "logins": logins}
        )
        assert line["state"] == state, line
    (reason,) = line["reasons"]
    assert reason.startswith("the settings of its login {0} were saved in Grafana, which win over".format(name))


def test_each_is_looked_for_in_its_organisation(verify, content):
    """Whichever the administrator has open."""
    other = {"name": "Q", "uid": "q", "type": "prometheus", "url": "http://b", "org": 2}
    expected = {**EXPECTED, "datasources": [*EXPECTED["datasources"], other]}
    for run in (verify, content):
        grafana = Grafana({"/api/datasources/uid/q": {"name": "Q", "type": "prometheus", "url": "http://b"}})
        grafana.elsewhere = {"/api/datasources/uid/q": "2"}
        if run is verify:
            assert verify(grafana, provisioned=expected)["state"] == "ok"
        else:
            content(grafana, expected=expected, access={**NOTHING, "home": "one"}, check=True)
            content(grafana, expected=expected)
        asked = {path: org for path, org in grafana.about.items() if path.startswith("/api/") and path != "/api/health"}
        assert (asked.pop("/api/datasources/uid/q"), asked.pop("/api/user")) == ("2", None)
        assert asked.pop("/api/ds/query", "2") == "2"
        assert asked and set(asked.values()) == {"1"}


# On its host


@pytest.fixture
def content(monkeypatch, tmp_path):
    (tmp_path / ".vigil").mkdir()
    (tmp_path / "provisioning/datasources").mkdir(parents=True)

    def make(grafana, expected=None, log="", resets=True, check=False, told=None, access=None, clients=(), ldap=()):
        monkeypatch.setattr(_client, "send", grafana.send)
        monkeypatch.setattr(grafana_content, "last_words_of", lambda *arguments: log)
        monkeypatch.setattr(grafana_content, "LOCKED", 0.3)
        monkeypatch.setattr(grafana_content.pwd, "getpwnam", lambda name: SimpleNamespace(pw_uid=1, pw_gid=1))

        def run(argv, **kwargs):
            grafana.asked.append((argv, kwargs["input"]))
            if isinstance(resets, Exception):
                raise resets
            if resets:
                grafana.logins.add(("admin", "right"))
            return SimpleNamespace(returncode=0, stdout=b"changed")

        monkeypatch.setattr(grafana_content.subprocess, "run", run)
        params = {
            "url": "http://h:3000",
            "ca_path": None,
            "username": "admin",
            "password": "right",
            "config_dir": str(tmp_path),
            "command": ["/bin/grafana", "cli"],
            "user": "grafana",
            "service": "grafana-server",
            "docker_host": None,
            "expected": expected or EXPECTED,
            "access": access or NOTHING,
            "clients": clients,
            "ldap_servers": ldap,
            "timeout": 0,
        }
        ended = {}

        def end(**result):
            ended.update(result)
            raise SystemExit

        warn = (told if told is not None else []).append
        module = SimpleNamespace(params=params, check_mode=check, _diff=True, exit_json=end, warn=warn)
        with pytest.raises(SystemExit):
            grafana_content.Content(module).run()
        return ended

    return make


TOKENS = "https://login.example/token"
CLIENT = {
    "name": "generic_oauth",
    "token_url": TOKENS,
    "client_id": "g",
    "client_secret": "Sentinel: 1",
    "ca_path": None,
    "verify": True,
}


def said(error="", status=400):
    """How a provider refuses a code."""
    return _client.Reply(status, {}, json.dumps({"error": error}).encode() if error else b"<html>")


def test_a_provider_is_asked_once_for_each_secret(content):
    grafana = Grafana({TOKENS: [said("invalid_client", 401), said("invalid_grant")]})
    assert content(grafana, clients=[CLIENT])["changed"] is False
    # In the header, as OAuth has it there, and then in the form.
    assert [one[2:] for one in grafana.asked if not one[1]] == [("g", "Sentinel%3A+1"), (None, None)]
    grafana = Grafana()
    content(grafana, clients=[CLIENT])
    assert all(one[1] for one in grafana.asked)
    grafana = Grafana({TOKENS: [said("invalid_grant")]})
    content(grafana, clients=[{**CLIENT, "client_secret": "Sentinel: 2"}])
    assert [one[0] for one in grafana.asked if not one[1]] == ["POST"]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (
            [said("invalid_client", 401)] * 2,
            "does not take the client g with its secret: invalid_client; correct grafana_auth",
        ),
        (
            [said(status=404)] * 2,
            "answers HTTP 404: nobody gives tokens there; correct grafana_auth.generic_oauth.token_url",
        ),
    ],
)
def test_a_client_that_its_provider_does_not_know(content, tmp_path, answers, words):
    for dummy in range(2):
        with pytest.raises(HostError, match=words) as caught:
            content(Grafana({TOKENS: list(answers)}), clients=[CLIENT])
        assert "Sentinel" not in str(caught.value)
    # What else is there is known all the same.
    assert json.loads((tmp_path / ".vigil/grafana.json").read_text())["folders"] == ["Shop"]


def test_a_provider_that_has_no_answer(content):
    for answer in (said(status=503), _client.AskError("unreachable", "connection refused")):
        told = []
        grafana = Grafana({TOKENS: [answer] if isinstance(answer, _client.Reply) else answer})
        content(grafana, clients=[CLIENT], told=told)
        assert told[0].startswith(TOKENS + " cannot be asked whether it knows the client g: ")


def ldap_server(port, number=0, **more):
    """One of the option ldap_servers, as Ansible completes it."""
    return {
        "name": "grafana_ldap.servers[{0}]".format(number),
        "hosts": ["127.0.0.1"],
        "port": port,
        "bind_dn": "cn=g",
        "bind_password": "Sentinel",
        **dict.fromkeys(("use_ssl", "start_tls"), False),
        **dict.fromkeys(("client_cert", "client_key")),
        "ca_paths": [],
        "verify": True,
        **more,
    }


def test_servers_of_ldap_are_asked_with_each_run(content, tmp_path):
    with serve(of_ldap(OK)) as one, serve(of_ldap(WRONG, "49 it is\x1b[31m")) as two:
        servers = [ldap_server(one.port), ldap_server(two.port, 1)]
        for dummy in range(2):
            with pytest.raises(HostError) as caught:
                content(Grafana(), ldap=servers)
            # The second one alone, and nothing of the first.
            assert str(caught.value) == (
                "nobody can log in by the LDAP server 127.0.0.1:{0}: it does not take cn=g with its password: invalid"
                " credentials (result 49): 49 it is; correct grafana_ldap.servers[1].bind_password or bind_dn".format(
                    two.port
                )
            )
        assert [b"Sentinel" in said for said in one.received].count(True) == 2
        assert content(Grafana(), ldap=servers[:1])["changed"] is False
        content(Grafana(), ldap=servers, check=True)
        assert [b"Sentinel" in said for said in one.received].count(True) == 3
    # What else is there is known all the same.
    assert json.loads((tmp_path / ".vigil/grafana.json").read_text())["folders"] == ["Shop"]


def test_a_server_of_ldap_that_has_no_answer(content):
    told = []
    with serve(of_ldap(BUSY)) as busy, serve(b"HTTP/1.1 400\r\n") as another:
        servers = [
            ldap_server(busy.port),
            ldap_server(another.port, bind_dn=""),
            ldap_server(0, hosts=["127.0.0.1", "127.0.0.2"]),
        ]
        content(Grafana(), ldap=servers, told=told)
    text = "the LDAP server 127.0.0.1{0} cannot be asked whether it takes {1} with its password: {2}"
    assert told[:2] == [
        text.format(":{0}".format(busy.port), "cn=g", "busy (result 51)"),
        text.format(":{0}".format(another.port), "an empty bind_dn", "what it answers is not LDAP"),
    ]
    assert told[2].startswith("the LDAP server 127.0.0.1 127.0.0.2:0 cannot be asked")


def test_a_login_that_works_is_left_alone(content, tmp_path):
    assert content(Grafana())["changed"] is False
    record = json.loads((tmp_path / ".vigil/grafana.json").read_text())
    assert (record["datasources"], record["folders"]) == ([[1, "P"]], ["Shop"])
    grafana = Grafana()
    content(grafana)
    # A wrong password counts towards a lock, so it is tried only once.
    assert not [asked for asked in grafana.asked if asked[2:] == ("admin", "admin")]


def test_another_password_is_set_by_grafanas_own_tool_through_its_standard_input(content):
    grafana = Grafana(login=("admin", "old"))
    assert content(grafana)["password_reset"] is True
    ((argv, told),) = [asked for asked in grafana.asked if asked[0] not in ("GET", "POST")]
    assert argv == ["/bin/grafana", "cli", "admin", "reset-admin-password", "--password-from-stdin"]
    assert told == b"right\n"


def test_a_name_that_is_not_the_administrators_is_told_from_a_lock(content):
    with pytest.raises(HostError, match=r"correct grafana_security\.admin_user"):
        content(Grafana(login=("boss", "x")), resets=False)


def test_a_lock_is_waited_for(content):
    grafana = Grafana(login=("admin", "old"))
    refused = iter([True, True, True])
    send = grafana.send

    def locked(method, url, body, access, *rest, **options):
        if url.endswith("/api/user") and next(refused, False):
            return _client.Reply(401, {}, b"{}")
        return send(method, url, body, access, *rest, **options)

    grafana.send = locked
    assert content(grafana, log=grafana_content.LOCK)["password_reset"] is True


def refuse(*dummy, **dummies):
    raise _client.AskError("down", "connection refused")


def test_a_check_of_a_grafana_that_is_not_there_announces_no_change_of_its_password(content, tmp_path):
    """The first start sets the password: the run after it resets none."""
    content(Grafana())
    grafana, told = Grafana(), []
    grafana.send = refuse
    ended = content(grafana, check=True, told=told, expected={"datasources": [], "dashboards": [], "plugins": {}})
    assert (ended["changed"], ended["password_reset"], ended["deleted"]) == (False, False, [])
    assert "check mode cannot tell" in told[0]
    # One that was never there gets what is wanted besides.
    (tmp_path / ".vigil/grafana.json").unlink()
    access = {**NOTHING, "home": "one", "teams": [{"name": "Shop", "members": ["me"]}]}
    ended, told[:] = content(grafana, check=True, told=told, access=access), []
    assert (ended["access"], ended["changed"], told) == (["team Shop is added", "home dashboard: one"], True, [])
    # Of one that answers it is told, and nothing is done.
    grafana = Grafana(login=("admin", "old"))
    ended = content(grafana, check=True)
    assert (ended["changed"], ended["password_reset"]) == (True, True)
    assert {asked[0] for asked in grafana.asked} == {"GET"}


def test_what_was_provisioned_before_and_is_not_wanted_any_more_is_deleted(content, tmp_path):
    content(Grafana())
    grafana = Grafana(
        {
            "/api/admin/provisioning/datasources/reload": {},
            "/api/folders?limit=1000": [
                {"title": "Shop", "uid": "s", "id": 9},
                {"title": "Theirs", "uid": "t", "id": 8},
            ],
            "/api/search?type=dash-db&folderIds=9": [],
            "/api/folders/s": {},
        }
    )
    ended = content(grafana, expected={"datasources": [], "dashboards": [], "plugins": {}})
    assert ended["deleted"] == ["data source P", "folder Shop"]
    methods = [asked[:2] for asked in grafana.asked]
    assert ("POST", "/api/admin/provisioning/datasources/reload") in methods
    assert ("DELETE", "/api/folders/s") in methods
    assert ("DELETE", "/api/folders/t") not in methods


GONE = {"datasources": [], "dashboards": [], "plugins": {}}
FOLDERS = {"/api/folders?limit=1000": [{"title": "Shop", "uid": "s", "id": 9}], "/api/folders/s": {}}
WITHOUT_ID = {
    "/api/folders?limit=1000": [{"title": "Shop", "uid": "s"}],
    "/api/search?type=dash-db&folderIds=0": [{"uid": "two"}],
}
LISTED, COUNTS = "/api/search?type=dash-db&folderIds=9", "/api/folders/s/counts"
RELOAD = "/api/admin/provisioning/datasources/reload"


@pytest.mark.parametrize(
    ("before", "after", "foreseen", "deleted"),
    [
        # What files have brought leaves with them.
        ({LISTED: [{"uid": "one"}]}, {LISTED: []}, True, True),
        ({LISTED: [{"uid": "one"}], COUNTS: {"dashboard": 1}}, {LISTED: [], COUNTS: {"dashboard": 0}}, True, True),
        # What somebody has put there stays.
        ({LISTED: [{"uid": "two"}]}, {LISTED: [{"uid": "two"}]}, False, False),
        (
            {LISTED: [{"uid": "one"}], COUNTS: {"dashboard": 1, "rule": 1}},
            {LISTED: [], COUNTS: {"rule": 1}},
            False,
            False,
        ),
        # An early version counts nothing, and refuses.
        ({LISTED: []}, {LISTED: [], "/api/folders/s": 400}, True, False),
        # Without an id it is not the folder of all that are in none.
        ({**WITHOUT_ID, COUNTS: {"dashboard": 0}}, {**WITHOUT_ID, COUNTS: {"dashboard": 0}}, True, True),
    ],
)
def test_a_folder_is_deleted_where_nobody_uses_it(content, before, after, foreseen, deleted):
    content(Grafana())
    somebodys = {"/api/dashboards/uid/two": {"meta": {}, "dashboard": {}}}
    for check, answers, wanted in ((True, before, foreseen), (False, after, deleted)):
        grafana = Grafana({**FOLDERS, RELOAD: {}, **somebodys, **answers})
        ended = content(grafana, expected=GONE, check=check)
        assert ended["deleted"] == ["data source P"] + ["folder Shop"] * wanted, check
        assert not check or {asked[0] for asked in grafana.asked} == {"GET"}


def test_a_folder_that_grafana_cannot_delete_is_not_reported_as_deleted(content):
    content(Grafana())
    grafana = Grafana({**FOLDERS, RELOAD: {}, LISTED: [], "/api/folders/s": 500})
    with pytest.raises(HostError, match="DELETE /api/folders/s answers HTTP 500: no"):
        content(grafana, expected=GONE)


def test_a_data_source_with_any_name_is_deleted(content, tmp_path):
    name = 'Shop \U0001f6d2 ü "a" $HOME'
    source = {"name": name, "uid": "p", "type": "prometheus", "url": "http://a", "org": 1}
    content(Grafana({"/api/datasources/uid/p": source}), expected={**GONE, "datasources": [source]})
    removals, read = tmp_path / grafana_content.REMOVALS, []
    grafana = Grafana({RELOAD: {}})
    send = grafana.send

    def reload(method, url, *rest, **options):
        if method == "POST":
            read.append(yaml.safe_load(removals.read_text(encoding="utf-8")))
        return send(method, url, *rest, **options)

    grafana.send = reload
    assert content(grafana, expected=GONE)["deleted"] == ["data source " + name]
    assert [one["deleteDatasources"] for one in read] == [[{"name": name.replace("$", "$$"), "orgId": 1}]]
    assert not removals.exists()


def test_what_a_killed_run_has_left_deletes_nothing_later(content, tmp_path):
    removals = tmp_path / grafana_content.REMOVALS
    removals.write_text("deleteDatasources: [{name: P}]", encoding="utf-8")
    content(Grafana(), check=True)
    assert removals.exists()
    content(Grafana())
    assert not removals.exists()


@pytest.mark.parametrize("path", ["/api/user", "/api/datasources/uid/p", "/api/plugins?embedded=0"])
def test_an_answer_that_is_not_grafanas(content, path):
    with pytest.raises(
        HostError, match=r"answers <html>Sign in, which is no JSON; is something else than Grafana served"
    ):
        content(Grafana({path: "<html>Sign in"}))


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (FileNotFoundError(2, "No such file or directory"), "/bin/grafana could not reset the password: No such file"),
        (subprocess.TimeoutExpired("Sentinel", 120), "could not reset the password: it did not end within 120 s"),
    ],
)
def test_a_tool_that_does_not_run(content, problem, words):
    with pytest.raises(HostError, match=words) as caught:
        content(Grafana(login=("admin", "old")), resets=problem)
    assert "Sentinel" not in str(caught.value)


def test_an_account_that_is_not_there(content, monkeypatch):
    grafana = Grafana(login=("admin", "old"))

    def unknown(name):
        raise KeyError(name)

    sent = grafana.send

    def send(*arguments, **options):
        monkeypatch.setattr(grafana_content.pwd, "getpwnam", unknown)
        return sent(*arguments, **options)

    grafana.send = send
    with pytest.raises(HostError, match="grafana, as which Grafana runs, is no user of this host"):
        content(grafana)


# Plugins


def bundle(path, version="1.0.0", name="a-panel", **more):
    about = json.dumps({"id": name, "info": {"version": version}})
    with zipfile.ZipFile(path, "w") as made:
        for member, text in {"a-panel/plugin.json": about, "a-panel/img/x.svg": "x", **more}.items():
            made.writestr(member, text)
        tool = zipfile.ZipInfo("a-panel/gpx")
        tool.external_attr = 0o100755 << 16
        made.writestr(tool, "tool")
    return {"id": "a-panel", "version": "1.0.0", "url": str(path)}


def test_a_plugin_is_unpacked_whole(tmp_path):
    wanted = bundle(tmp_path / "a.zip")
    grafana_plugins.install(wanted, wanted["url"], str(tmp_path / "plugins"))
    there = tmp_path / "plugins/a-panel-1.0.0"
    assert sorted(os.listdir(there)) == ["gpx", "img", "plugin.json"]
    modes = [os.stat(there / name).st_mode & 0o777 for name in ("gpx", "img", "plugin.json")]
    assert modes == [0o755, 0o755, 0o644]
    assert os.listdir(tmp_path / "plugins") == ["a-panel-1.0.0"]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"version": "2.0.0"}, "contains the plugin a-panel 2.0.0, not a-panel 1.0.0"),
        ({"name": "b-panel"}, "contains the plugin b-panel 1.0.0"),
        ({"a-panel/../../../etc/x": "x"}, "unsafe"),
        ({"a-panel/dist/x": "x", "a-panel/plugin.json": "{"}, "its plugin.json is not valid JSON"),
    ],
)
def test_an_archive_that_is_not_what_was_asked_for(tmp_path, keys, words):
    wanted = bundle(tmp_path / "a.zip", **keys)
    with pytest.raises(ReleaseError, match=words):
        grafana_plugins.install(wanted, wanted["url"], str(tmp_path / "plugins"))
    assert os.listdir(tmp_path / "plugins") == []


def test_what_is_no_archive(tmp_path):
    (tmp_path / "a.zip").write_text("<html>")
    with pytest.raises(ReleaseError, match="damaged or is not a zip"):
        grafana_plugins.install(
            {"id": "a", "version": "1", "url": "u"}, str(tmp_path / "a.zip"), str(tmp_path / "plugins")
        )
