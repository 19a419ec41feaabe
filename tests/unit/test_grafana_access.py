# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, teams, permissions, home dashboard and tokens, compared with a Grafana that is played: it answers as 10.1 did."""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _grafana_access as access
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError
from ansible_collections.vigil.monitoring.plugins.modules import grafana_content
from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import AUTO, OVERVIEW, grafana_access
from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana_inputs import _check_people

NOTHING = {"users": [], "teams": [], "folders": [], "home": "", "home_unless_chosen": False, "service_accounts": []}
START = 1_700_000_000
DAY = 86400


class Grafana:
    """What it holds, and how it answers."""

    def __init__(self):
        self.now = START
        self.users = {1: {"userId": 1, "login": "admin", "role": "Admin", "name": "", "email": "admin@localhost"}}
        self.teams, self.members, self.folders, self.grants = {}, {}, {"Monitoring": "m"}, {"m": []}
        self.accounts, self.tokens, self.home, self.boards = {}, {}, None, ["mon-fleet"]
        self.number, self.asked = 10, []
        # How it writes logins and addresses, and whether it puts who is new into the organisation.
        self.written, self.assigns, self.elsewhere = str, True, {}

    def next(self):
        self.number += 1
        return self.number

    def api(self, method, path, body=None):
        self.asked.append((method, path))
        words = [unquote(word) for word in urlsplit(path).path.split("/")[2:]]
        name = "_".join([method.lower(), *(word for word in words if not word.isdigit() and word not in self.boards)])
        numbers = [int(word) for word in words if word.isdigit()]
        if words[0] == "folders" and len(words) == 3:
            return getattr(self, method.lower() + "_permissions")(words[1], body)
        if words[0] == "dashboards":
            return {} if words[2] in self.boards else None
        if method == "GET":
            return copy.deepcopy(getattr(self, name)(*numbers))
        return getattr(self, name)(*numbers, **({"body": body} if body is not None else {}))

    def get_org_users(self):
        return list(self.users.values())

    def get_users_lookup(self):
        return None

    def _written(self, body):
        return {key: self.written(value) if key in ("login", "email") else value for key, value in body.items()}

    def post_admin_users(self, body):
        number, users = self.next(), self.users if self.assigns else self.elsewhere
        users[number] = {"userId": number, "role": "Viewer", "name": "", "email": "", **self._written(body)}
        return {"id": number}

    def post_org_users(self, body):
        (number,) = (one for one, user in self.elsewhere.items() if user["login"] == self.written(body["loginOrEmail"]))
        self.users[number] = {**self.elsewhere.pop(number), "role": body["role"]}

    def put_users(self, number, body):
        self.users[number].update(self._written(body))

    def patch_org_users(self, number, body):
        self.users[number].update(body)

    def delete_admin_users(self, number):
        del self.users[number]

    def get_teams_search(self):
        return {"teams": list(self.teams.values())}

    def post_teams(self, body):
        number = self.next()
        self.teams[number] = {"id": number, **body}
        # Who makes a team is in it.
        self.members[number] = {1}
        return {"teamId": number}

    def put_teams(self, number, body):
        self.teams[number].update(body)

    def delete_teams(self, number):
        del self.teams[number]

    def get_teams_members(self, number):
        return [{"login": self.users[one]["login"], "userId": one} for one in self.members[number]]

    def post_teams_members(self, number, body):
        self.members[number].add(body["userId"])

    def delete_teams_members(self, number, user):
        self.members[number].remove(user)

    def get_folders(self):
        return [{"title": title, "uid": uid} for title, uid in self.folders.items()]

    def post_folders(self, body):
        uid = "f%d" % self.next()
        self.folders[body["title"]] = uid
        self.grants[uid] = [{"userId": 1, "permission": 4}, {"role": "Editor", "permission": 2}]
        return {"uid": uid}

    def get_permissions(self, uid, body):
        # Administrators have theirs from elsewhere.
        return [*self.grants[uid], {"role": "Admin", "permission": 4}, {"role": "Viewer", "inherited": True}]

    def post_permissions(self, uid, body):
        self.grants[uid] = body["items"]

    def get_org_preferences(self):
        return {"homeDashboardUID": self.home} if self.home else {}

    def patch_org_preferences(self, body):
        self.home = body["homeDashboardUID"]

    def get_serviceaccounts_search(self):
        return {"serviceAccounts": list(self.accounts.values())}

    def post_serviceaccounts(self, body):
        number = self.next()
        self.accounts[number], self.tokens[number] = {"id": number, **body}, {}
        return {"id": number}

    def patch_serviceaccounts(self, number, body):
        self.accounts[number].update(body)

    def delete_serviceaccounts(self, number):
        del self.accounts[number], self.tokens[number]

    def get_serviceaccounts_tokens(self, number):
        return [
            {"id": one, "name": name, "hasExpired": bool(end and end <= self.now), "isRevoked": False}
            for one, (name, end) in self.tokens[number].items()
        ]

    def post_serviceaccounts_tokens(self, number, body):
        one = self.next()
        seconds = body.get("secondsToLive")
        assert body["name"] not in [name for name, dummy in self.tokens[number].values()], "name is taken"
        self.tokens[number][one] = (body["name"], self.now + seconds if seconds else None)
        return {"id": one, "name": body["name"], "key": "glsa_sentinel_%d" % one}

    def delete_serviceaccounts_tokens(self, number, one):
        del self.tokens[number][one]


class Files(dict):
    """The disk of its host."""

    def is_there(self, path):
        return path in self

    def write(self, path, text, owner):
        self[path] = (text, owner)

    def remove(self, path):
        self.pop(path, None)


class Host:
    """A Grafana with its files, and what the module remembers."""

    name = "mon1"

    def __init__(self):
        self.grafana, self.files, self.record, self.saved = Grafana(), Files(), {}, []

    def run(self, check=False, **wanted):
        grafana, files = (copy.deepcopy(one) if check else one for one in (self.grafana, self.files))
        made = access.GrafanaAccess(
            grafana.api,
            files,
            {**NOTHING, **wanted},
            self.record,
            "admin",
            self.name,
            check,
            lambda: grafana.now,
            lambda record: self.saved.append(json.loads(json.dumps(record))),
        )
        grafana.asked.clear()
        if made.needed():
            made.run()
        if check:
            assert {method for method, dummy in grafana.asked} <= {"GET"}
            assert vars(grafana) == {**vars(self.grafana), "asked": grafana.asked}
            assert files == self.files
        else:
            self.record = json.loads(json.dumps(made.record))
        return made

    def converge(self, **wanted):
        """Run, as a check has foreseen; a second run has nothing to do."""
        foreseen = self.run(check=True, **wanted).changes
        made = self.run(**wanted)
        assert foreseen == made.changes
        assert self.run(**wanted).changes == []
        assert self.run(check=True, **wanted).changes == []
        return made


@pytest.fixture
def host():
    return Host()


BOB = {"login": "bob", "password": "bobs-first", "role": "Editor", "email": "bob@example"}
CI = {"name": "deploy", "serial": "1", "days": 30, "renew_days": 10, "file": "/t/ci.deploy", "owner": "root"}
ACCOUNT = {"name": "ci", "role": "Viewer", "tokens": [CI]}
SHOP = {
    "title": "Shop",
    "permissions": [{"team": "Shop", "permission": "Edit"}, {"role": "Viewer", "permission": "View"}],
}
ALL = {
    "users": [BOB],
    "teams": [{"name": "Shop", "email": None, "members": ["bob"]}],
    "folders": [SHOP],
    "home": "mon-fleet",
    "service_accounts": [ACCOUNT],
}


def test_nothing_is_asked_where_nothing_is_wanted(host):
    host.converge()
    assert host.grafana.asked == []


def test_everything_comes_and_goes(host):
    before = copy.deepcopy(vars(host.grafana))
    made = host.converge(**ALL)
    grafana = host.grafana
    (bob,) = [user for user in grafana.users.values() if user["login"] == "bob"]
    (team,) = grafana.teams
    assert (bob["role"], grafana.members[team], grafana.home) == ("Editor", {bob["userId"]}, "mon-fleet")
    assert {"teamId": team, "permission": 2} in grafana.grants[grafana.folders["Shop"]]
    assert host.files["/t/ci.deploy"][0].startswith("glsa_sentinel_")
    assert "sentinel" not in json.dumps([made.changes, host.record, host.saved])

    host.converge()
    assert (host.files, host.record) == ({}, access.EMPTY)
    kept = {"number", "asked", "folders", "grants", "members"}
    assert {name: value for name, value in vars(grafana).items() if name not in kept} == {
        name: value for name, value in before.items() if name not in {*kept, "home"}
    } | {"home": ""}
    # Whether its folder is empty is for who deletes folders; its permissions are Grafana's default.
    assert grafana.grants[grafana.folders["Shop"]] == [
        {"role": "Editor", "permission": 2},
        {"role": "Viewer", "permission": 1},
    ]


def test_what_people_have_made_stays(host):
    grafana = host.grafana
    grafana.post_admin_users({"login": "bob", "email": "other"})
    grafana.post_teams({"name": "Shop", "email": "", "more": 1})
    grafana.post_serviceaccounts({"name": "ci", "role": "Viewer"})
    (number,) = grafana.accounts
    grafana.post_serviceaccounts_tokens(number, {"name": "of somebody"})
    made = host.converge(**ALL)
    assert "user bob: name or email" in made.changes and "user bob is added" not in made.changes
    assert "team Shop: admin is removed" in made.changes
    host.converge()
    assert [user["login"] for user in grafana.users.values()] == ["admin", "bob"]
    assert [team["name"] for team in grafana.teams.values()] == ["Shop"]
    assert [name for name, dummy in grafana.tokens[number].values()] == ["of somebody"]
    # A home dashboard that somebody has chosen since is not taken away.
    host.converge(home="mon-fleet")
    grafana.home = "theirs"
    assert host.converge().changes == [] and grafana.home == "theirs"


def test_what_differs_is_changed(host):
    host.converge(**ALL)
    user = {**BOB, "role": "Admin", "name": "Bob", "password": "another"}
    assert host.converge(**{**ALL, "users": [user]}).changes == [
        "user bob: name or email",
        "user bob: Admin instead of Editor",
    ]
    team = {"name": "Shop", "email": "shop@example", "members": ["bob", "admin"]}
    assert host.converge(**{**ALL, "users": [user], "teams": [team]}).changes == [
        "team Shop: email",
        "team Shop: admin is added",
    ]
    # Members that nobody speaks of are left alone.
    assert host.converge(**{**ALL, "users": [user], "teams": [{"name": "Shop", "members": None}]}).changes == []
    folder = {"title": "Shop", "permissions": [{"user": "bob", "permission": "Admin"}]}
    assert host.converge(**{**ALL, "users": [user], "folders": [folder]}).changes == [
        "team Shop: admin is removed",
        "folder Shop: permissions",
    ]


def test_logins_and_addresses_that_grafana_writes_in_small_letters(host):
    """As from 11.0 on: it knows Bob as bob."""
    host.grafana.written = str.lower
    bob = {**BOB, "login": "Bob", "email": "Bob@Example"}
    folder = {"title": "Shop", "permissions": [{"user": "BOB", "permission": "Edit"}]}
    wanted = {"users": [bob], "teams": [{"name": "Shop", "members": ["Bob"]}], "folders": [folder]}
    assert host.converge(**wanted).changes[:3] == ["user Bob is added", "team Shop is added", "team Shop: Bob is added"]
    (team,), (number,) = host.grafana.teams, set(host.grafana.users) - {1}
    assert (host.grafana.members[team], host.grafana.users[number]["role"]) == ({number}, "Editor")
    assert host.converge(**{**wanted, "users": [{**bob, "email": "rob@example"}]}).changes == [
        "user Bob: name or email"
    ]
    # Who writes it otherwise means no other user.
    assert host.converge(**{**wanted, "users": [{**BOB, "email": "ROB@example"}]}).changes == []
    assert "user bob is removed" in host.converge().changes
    assert list(host.grafana.users) == [1]


def test_who_is_new_in_another_organisation(host):
    """As with auto_assign_org: false."""
    host.grafana.assigns = False
    host.converge(users=[BOB])
    assert [user["role"] for user in host.grafana.users.values()] == ["Admin", "Editor"]


def test_who_is_not_there_yet_is_named(host):
    folder = {"title": "Shop", "permissions": [{"user": "carol", "permission": "View"}]}
    made = host.converge(teams=[{"name": "Shop", "members": ["carol"]}], folders=[folder])
    assert [doubt.split(":")[0] for doubt in made.doubts] == ["grafana_teams", "grafana_folders"]
    host.grafana.post_admin_users({"login": "carol"})
    assert host.converge(teams=[{"name": "Shop", "members": ["carol"]}], folders=[folder]).changes == [
        "team Shop: carol is added",
        "folder Shop: permissions",
    ]


def test_a_home_dashboard_that_people_have_chosen_stays_unless_the_inventory_names_one(host):
    auto = {"home": "mon-fleet", "home_unless_chosen": True}
    host.grafana.home = "theirs"
    assert host.converge(**auto).changes == []
    assert host.grafana.home == "theirs"
    assert host.converge(home="mon-fleet").changes == ["home dashboard: mon-fleet"]
    # Of their own since then.
    host.grafana.home = "theirs"
    assert host.converge(**auto).changes == []
    host.grafana.home = None
    assert host.converge(**auto).changes == ["home dashboard: mon-fleet"]
    host.converge()
    assert host.grafana.home == ""


def test_a_home_dashboard_that_is_not_there_is_an_error(host):
    with pytest.raises(HostError, match="has no dashboard with the uid nowhere"):
        host.run(home="nowhere")


def later(host, days):
    host.grafana.now += days * DAY


def revoked(host):
    (number,) = host.grafana.tokens
    host.grafana.tokens[number].clear()


@pytest.mark.parametrize(
    ("change", "token", "reason"),
    [
        (lambda host: later(host, 19), {}, None),
        (lambda host: later(host, 21), {}, "it expires on 2023-12-14"),
        (lambda host: later(host, 31), {}, "Grafana does not accept the current one any more"),
        (lambda host: later(host, 1), {"serial": "2"}, "its serial is another"),
        (lambda host: later(host, 1), {"days": 60}, "its lifetime is another"),
        (lambda host: later(host, 1), {"owner": "deploy"}, "its owner is another"),
        (lambda host: later(host, 1), {"file": "/t/other"}, "its file is another"),
        (lambda host: (later(host, 1), host.files.clear()), {}, "its file is missing"),
        (lambda host: (later(host, 1), revoked(host)), {}, "Grafana does not accept the current one any more"),
    ],
)
def test_a_token_is_renewed_for_a_reason(host, change, token, reason):
    host.converge(**ALL)
    before = dict(host.files)
    change(host)
    account = {**ACCOUNT, "tokens": [{**CI, **token}]}
    changes = host.converge(**{**ALL, "service_accounts": [account]}).changes
    assert changes == ([f"service account ci: a new token deploy, as {reason}"] if reason else [])
    assert (host.files == before) is (reason is None)
    ((_number, tokens),) = host.grafana.tokens.items()
    assert len(tokens) == len(host.files) == 1
    assert [text.rpartition("_")[2] for text, dummy in host.files.values()] == [str(one) for one in tokens]


def test_a_token_that_never_expires_stays(host):
    account = {**ACCOUNT, "tokens": [{**CI, "days": 0}]}
    host.converge(service_accounts=[account])
    later(host, 4000)
    assert host.converge(service_accounts=[account]).changes == []


def test_hosts_that_share_a_database_leave_each_other_their_tokens(host):
    account = {"service_accounts": [ACCOUNT]}
    host.converge(**account)
    other = Host()
    other.name, other.grafana = "mon2", host.grafana
    later(host, 1)
    other.converge(**account)
    assert host.converge(**account).changes == other.converge(**account).changes == []
    assert host.files != other.files
    ((_number, tokens),) = host.grafana.tokens.items()
    assert len(tokens) == 2


def test_tokens_whose_names_begin_alike_are_told_apart(host):
    tokens = [{**CI, "name": name, "file": "/t/" + name} for name in ("a", "a.b")]
    host.converge(service_accounts=[{**ACCOUNT, "tokens": tokens}])
    later(host, 1)
    tokens[0]["serial"] = "2"
    kept = host.files["/t/a.b"]
    host.converge(service_accounts=[{**ACCOUNT, "tokens": tokens}])
    assert host.files["/t/a.b"] == kept
    made = host.converge(service_accounts=[{**ACCOUNT, "tokens": tokens[1:]}])
    assert made.changes == ["service account ci: the token a is removed"]
    assert list(host.files) == ["/t/a.b"]


@pytest.mark.parametrize("check", [False, True])
def test_a_file_of_somebody_elses_is_not_overwritten(host, check):
    host.files["/t/ci.deploy"] = ("theirs", "root")
    with pytest.raises(HostError, match=r"/t/ci\.deploy, for the token deploy of ci, is there already"):
        host.run(check=check, service_accounts=[ACCOUNT])
    assert host.files == {"/t/ci.deploy": ("theirs", "root")}


@pytest.mark.parametrize("after", range(1, 16))
def test_a_run_that_is_killed_leaves_nothing_that_nobody_knows(host, after):
    """Killed after any of its changes, the next run completes it, and everything can be taken away again."""
    real, done = host.grafana.api, []

    def dying(method, path, body=None):
        answer = real(method, path, body)
        if method != "GET":
            done.append(path)
            if len(done) == after:
                raise KeyboardInterrupt
        return answer

    host.grafana.api = dying
    killed = False
    try:
        host.run(**ALL)
    except KeyboardInterrupt:
        killed = True
        host.record = host.saved[-1] if host.saved else {}
    host.grafana.api = real
    assert killed is (after <= 10)
    later(host, 1)
    host.run(**ALL)
    assert host.run(**ALL).changes == []
    ((dummy, tokens),) = host.grafana.tokens.items()
    assert len(tokens) == 1
    host.run()
    left = host.grafana
    assert ([user["login"] for user in left.users.values()], left.teams, left.accounts, host.files) == (
        ["admin"],
        {},
        {},
        {},
    )


def test_the_default_home_dashboard_is_meant_where_it_is_deployed():
    given = {"org_users": [], "teams": [], "folders": [], "config_dir": "/etc/grafana/"}
    given["service_accounts"] = [{"name": "ci", "tokens": [{"name": "a"}, {"name": "b", "file": "/x"}]}]
    found = grafana_access({**given, "home_dashboard": AUTO}, {"other"})
    assert (found["home"], found["home_unless_chosen"]) == ("", True)
    assert [token["file"] for token in found["service_accounts"][0]["tokens"]] == ["/etc/grafana/tokens/ci.a", "/x"]
    assert grafana_access({**given, "home_dashboard": AUTO}, {OVERVIEW})["home"] == OVERVIEW
    # One of the user's own may have been made in Grafana, and counts whatever people have chosen there.
    found = grafana_access({**given, "home_dashboard": "mine"}, set())
    assert (found["home"], found["home_unless_chosen"]) == ("mine", False)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"org_users": [{"login": "bob"}]}, "grafana_org_users[0].password: is not set"),
        ({"org_users": [{**BOB, "rol": "x"}]}, "grafana_org_users[0].rol: unknown key; did you mean role?"),
        ({"org_users": [{**BOB, "role": "Boss"}]}, "grafana_org_users[0].role: is 'Boss'"),
        ({"org_users": [BOB, {**BOB, "login": "Bob"}]}, "grafana_org_users: has two of the login 'Bob'"),
        ({"org_users": [{**BOB, "login": "admin"}]}, "grafana_org_users[0].login: is the administrator's"),
        ({"org_users": [{**BOB, "login": "Admin"}]}, "grafana_org_users[0].login: is the administrator's"),
        ({"teams": [{"name": ""}]}, "grafana_teams[0].name: is not set"),
        ({"teams": [{"name": "x", "members": "bob"}]}, "grafana_teams[0].members: is no list"),
        ({"folders": [{"title": "x", "permissions": ["x"]}]}, "permissions: is no list of dictionaries"),
        ({"folders": [{"title": "x", "permissions": [{"permission": "View"}]}]}, "permissions[0]: has nobody"),
        (
            {"folders": [{"title": "x", "permissions": [{"permission": "View", "team": "a", "user": "b"}]}]},
            "permissions[0]: has team and user; give one",
        ),
        (
            {"folders": [{"title": "x", "permissions": [{"permission": "Read", "team": "a"}]}]},
            "permissions[0].permission: is 'Read'",
        ),
        (
            {"folders": [{"title": "x", "permissions": [{"permission": "View", "role": "Admin"}]}]},
            "permissions[0].role: is 'Admin'; write Viewer or Editor",
        ),
        (
            {"folders": [{"title": "x", "permissions": [{"permission": "View", "team": "a"}] * 2}]},
            "permissions: has two of the team 'a'",
        ),
        ({"service_accounts": [{"name": "a/b"}]}, "grafana_service_accounts[0].name: is 'a/b'"),
        ({"service_accounts": [{"name": "a", "tokens": [{"name": "../x"}]}]}, "tokens[0].name: is '../x'"),
        ({"service_accounts": [{"name": "a", "tokens": [{"name": "x", "days": "x"}]}]}, "tokens[0].days: is 'x'"),
        ({"service_accounts": [{"name": "a", "tokens": [{"name": "x", "days": 7}]}]}, "made 14 days before the end"),
        ({"service_accounts": [{"name": "a", "tokens": [{"name": "x", "file": "x"}]}]}, "tokens[0].file: is 'x'"),
        ({"service_accounts": [{"name": "a", "tokens": [{"name": "x"}] * 2}]}, "tokens: has two of the name 'x'"),
        (
            {"service_accounts": [{"name": "a", "tokens": [{"name": n, "file": "/x"} for n in "xy"]}]},
            "tokens[1].file: is '/x', as another token's",
        ),
    ],
)
def test_entries_that_cannot_work(given, words):
    values = {"grafana_" + name: given.get(name, []) for name in ("org_users", "teams", "folders", "service_accounts")}
    problems = [str(problem) for problem in _check_people(values)]
    assert any(words in problem for problem in problems), problems
    assert "bobs-first" not in str(problems)


def test_entries_that_can_work():
    values = {
        "grafana_org_users": [BOB],
        "grafana_teams": ALL["teams"],
        "grafana_folders": [SHOP, {"title": "Other"}],
        "grafana_service_accounts": [ACCOUNT, {"name": "bare"}],
    }
    assert list(_check_people(values)) == []


def test_a_token_is_for_its_owner_alone(tmp_path, monkeypatch):
    files = grafana_content.TokenFiles(str(tmp_path / "tokens"))
    path = tmp_path / "tokens/ci.deploy"
    monkeypatch.setattr(grafana_content.pwd, "getpwnam", lambda name: SimpleNamespace(pw_uid=0, pw_gid=0))
    files.write(str(path), "glsa_x", "root")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("glsa_x\n", 0o600)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(HostError, match="cannot be written"):
        files.write(str(tmp_path / "none/x"), "glsa_x", "root")
    monkeypatch.undo()
    with pytest.raises(HostError, match="nobody-has-this-name is no user of this host"):
        files.write(str(path), "glsa_x", "nobody-has-this-name")
