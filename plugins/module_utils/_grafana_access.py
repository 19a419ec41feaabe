# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a Grafana no provisioning file can say: users, teams, permissions of folders, home dashboard, service accounts.

It is compared with Grafana's API, and only what differs is changed. What an earlier run has made, and the inventory has no longer,
is removed; what people have made in Grafana stays. What a run has made is in a record.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from urllib.parse import quote

from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError

PERMISSIONS = {"View": 1, "Edit": 2, "Admin": 4}
# What a folder has as soon as it is made, but for its creator.
DEFAULTS = ({"role": "Editor", "permission": "Edit"}, {"role": "Viewer", "permission": "View"})
DAY = 86400
MANY = 1000
LISTS = ("users", "teams", "folders", "permissions")
EMPTY = {"users": [], "teams": [], "folders": [], "permissions": [], "home": "", "service_accounts": {}}


def token_reason(wanted, known, there, listed, now):
    """Why a new token is made: a clause, or None.

    :param wanted: dict with ``serial``, ``days``, ``renew_days``, ``owner`` and ``file``.
    :param known: what the record says of the current one, or None.
    :param there: whether its file is there.
    :param listed: ids of the tokens that Grafana accepts.
    :param now: seconds since the epoch.
    """
    if not known:
        return "it is new"
    if str(known["serial"]) != str(wanted["serial"]):
        return "its serial is another"
    for key, what in (("days", "lifetime"), ("owner", "owner"), ("file", "file")):
        if known[key] != wanted[key]:
            return "its {0} is another".format(what)
    if known["id"] not in listed:
        return "Grafana does not accept the current one any more"
    if not there:
        return "its file is missing"
    if known["expires"] and known["expires"] - now < wanted["renew_days"] * DAY:
        return "it expires on {0}".format(datetime.fromtimestamp(known["expires"], timezone.utc).strftime("%Y-%m-%d"))
    return None


def token_name(token, host, now):
    """The name of a new token in Grafana: those of one service account have to differ, also where several hosts share a database."""
    return "{0} {1} {2} {3}".format(token["name"], token["serial"], host, int(now))


def earlier_tokens(name, host, tokens, spared=None):
    """Ids of the tokens in Grafana that were made on a host for a name.

    :param tokens: answer of Grafana.
    :param spared: id of the current one.
    """
    made = re.compile(r"{0} \S+ {1} \d+".format(re.escape(name), re.escape(host)))
    return [one["id"] for one in tokens if one["id"] != spared and made.fullmatch(str(one.get("name")))]


def one_login(login, other):
    """Whether two logins are one: from 11.0 on, Grafana writes those of users and their addresses in small letters."""
    return str(login).lower() == str(other).lower()


def is_told(user, told):
    """Whether a user has this name and address.

    :param user: as Grafana lists it.
    :param told: dict with ``name`` and ``email``, as far as they are wanted.
    """
    name, email = told.get("name"), told.get("email")
    return name in (None, user.get("name")) and (email is None or one_login(user.get("email"), email))


def grants(entries):
    """Permissions of a folder in one form: who -> level. What it inherits, and what administrators have anyway, is left out.

    :param entries: as Grafana lists them.
    """
    found = {}
    for one in entries:
        if one.get("inherited") or one.get("role") == "Admin":
            continue
        who = ("role", one["role"]) if one.get("role") else None
        who = who or (("team", one["teamId"]) if one.get("teamId") else ("user", one.get("userId")))
        found[who] = int(one.get("permission") or 0)
    return found


class GrafanaAccess:
    """One Grafana.

    :param api: function of a method, a path and a body, which returns the parsed answer, None where there is nothing at that path.
    :param files: object with ``is_there(path)``, ``write(path, text, owner)`` and ``remove(path)``.
    :param wanted: dict with ``users``, ``teams``, ``folders``, ``home``, ``home_unless_chosen`` and ``service_accounts``.
    :param record: what an earlier run has made, empty for none.
    :param administrator: login of the administrator, who is never removed.
    :param host: name of this host.
    :param check: whether nothing may be changed.
    :param now: function that returns seconds since the epoch.
    :param save: function of a record, called before anything is made, so that a run that is killed leaves nothing nobody knows.
    :ivar changes: what was done, or would be, one sentence each.
    :ivar doubts: what a person should know.
    :ivar record: what is made by now.
    """

    def __init__(self, api, files, wanted, record, administrator, host, check=False, now=time.time, save=None):
        self.api, self.files, self.wanted, self.check, self.now = api, files, wanted, check, now
        self.before = {**EMPTY, **record}
        self.record = {**EMPTY, "service_accounts": {}}
        self.administrator, self.host = administrator, re.sub(r"[^\w.-]", "_", host)
        self.changes, self.doubts = [], []
        self._save = save
        self._users, self._teams = None, None

    def run(self):
        """Compare, and change what differs."""
        self._have_users()
        self._have_teams()
        self._have_folders()
        self._have_home()
        self._have_service_accounts()
        self._remove_what_has_left()

    def needed(self):
        """Whether there is anything to compare."""
        wanted = any(self.wanted[name] for name in ("users", "teams", "folders", "home", "service_accounts"))
        return wanted or any(self.before.values())

    def _note(self, kind, name, new=True):
        """Remember that something is ours."""
        self.record[kind] = [*self.record[kind], name]
        if new:
            self._keep()

    def _keep(self):
        """Write down what is made, with what there was before: that has not left yet."""
        if self._save and not self.check:
            both = {kind: sorted({*self.before[kind], *self.record[kind]}) for kind in LISTS}
            accounts = {**self.before["service_accounts"], **self.record["service_accounts"]}
            self._save({**self.record, **both, "home": self.before["home"], "service_accounts": accounts})

    def _change(self, sentence, *requests):
        """Note a change, and make it by requests: tuples of method, path and body; the parsed answer of the last one."""
        self.changes.append(sentence)
        answer = None
        for request in () if self.check else requests:
            answer = self.api(*request)
        return answer or {}

    # Users

    @property
    def users(self):
        """Login -> user of the organisation."""
        if self._users is None:
            self._users = {one["login"]: one for one in self.api("GET", "/api/org/users") or []}
        return self._users

    def _user(self, login):
        """The user of the organisation who logs in by this name; None where there is none."""
        return self.users.get(login) or next(
            (one for one in self.users.values() if one_login(one["login"], login)), None
        )

    def _have_users(self):
        before = {login.lower() for login in self.before["users"]}
        for wanted in self.wanted["users"]:
            login = wanted["login"]
            found = self._user(login)
            if found is None:
                self._add_user(wanted)
                continue
            if login.lower() in before:
                self._note("users", login, False)
            told = {name: wanted[name] for name in ("name", "email") if wanted.get(name)}
            if not is_told(found, told):
                body = {**{name: found.get(name) for name in ("login", "name", "email")}, **told}
                self._change("user {0}: name or email".format(login), ("PUT", "/api/users/%d" % found["userId"], body))
            if found["role"] != wanted["role"]:
                path = "/api/org/users/%d" % found["userId"]
                self._change(
                    "user {0}: {1} instead of {2}".format(login, wanted["role"], found["role"]),
                    ("PATCH", path, {"role": wanted["role"]}),
                )

    def _add_user(self, wanted):
        login, role = wanted["login"], {"role": wanted["role"]}
        known = self.api("GET", "/api/users/lookup?loginOrEmail=" + quote(login, safe=""))
        if known:
            body = {"loginOrEmail": login, **role}
            self._change("user {0} is added to the organisation".format(login), ("POST", "/api/org/users", body))
        else:
            self._note("users", login)
            body = {name: wanted[name] for name in ("login", "name", "email", "password") if wanted.get(name)}
            made = self._change("user {0} is added".format(login), ("POST", "/api/admin/users", body))
            self._users = None
            if made and self._user(login):
                self.api("PATCH", "/api/org/users/%d" % made["id"], role)
            elif made:
                # With auto_assign_org: false, or another auto_assign_org_id, Grafana puts who is new elsewhere.
                self.api("POST", "/api/org/users", {"loginOrEmail": login, **role})
        self._users = None if not self.check else {**self.users, login: {"userId": 0, "login": login}}

    # Teams

    @property
    def teams(self):
        """Name -> team."""
        if self._teams is None:
            answer = self.api("GET", "/api/teams/search?perpage=%d" % MANY) or {}
            self._teams = {one["name"]: one for one in answer.get("teams") or []}
        return self._teams

    def _have_teams(self):
        for wanted in self.wanted["teams"]:
            name, email = wanted["name"], wanted.get("email") or ""
            found, fresh = self.teams.get(name), name not in self.teams
            if fresh or name in self.before["teams"]:
                self._note("teams", name, fresh)
            if fresh:
                body = {"name": name, "email": email}
                answer = self._change("team {0} is added".format(name), ("POST", "/api/teams", body))
                found = {"id": answer.get("teamId", 0), "name": name, "email": email}
                self._teams = {**self.teams, name: found}
            elif wanted.get("email") and found.get("email") != email:
                body = {"name": name, "email": email}
                self._change("team {0}: email".format(name), ("PUT", "/api/teams/%d" % found["id"], body))
            if wanted.get("members") is not None:
                self._have_members(wanted, found, fresh)

    def _have_members(self, wanted, found, fresh):
        path = "/api/teams/%d/members" % found["id"]
        there = {one["userId"]: one["login"] for one in (self.api("GET", path) if found["id"] else None) or []}
        kept = set()
        for login in wanted["members"]:
            user = self._user(login)
            if user is None:
                self.doubts.append(
                    "grafana_teams: {0} is no user of Grafana yet; after the first login, or with an entry in grafana_org_users, the"
                    " next run adds it to the team {1}".format(login, wanted["name"])
                )
                continue
            kept.add(user["userId"])
            if user["userId"] not in there:
                sentence = "team {0}: {1} is added".format(wanted["name"], login)
                self._change(sentence, ("POST", path, {"userId": user["userId"]}))
        for number, login in there.items():
            if number not in kept:
                request = ("DELETE", "{0}/{1}".format(path, number))
                if fresh:
                    # Who makes a team is its first member, which nobody has asked for.
                    self.api(*request)
                else:
                    self._change("team {0}: {1} is removed".format(wanted["name"], login), request)

    # Folders

    def _have_folders(self):
        if not self.wanted["folders"] and not self.before["permissions"]:
            return
        folders = {one["title"]: one["uid"] for one in self.api("GET", "/api/folders?limit=%d" % MANY) or []}
        for wanted in self.wanted["folders"]:
            title = wanted["title"]
            if title not in folders:
                self._note("folders", title)
                made = self._change("folder {0} is added".format(title), ("POST", "/api/folders", {"title": title}))
                folders[title] = made.get("uid", "")
            elif title in self.before["folders"]:
                self._note("folders", title, False)
            if wanted.get("permissions") is not None:
                self._note("permissions", title, title not in self.before["permissions"])
                self._have_permissions(title, folders[title], wanted["permissions"])
        for title in self.before["permissions"]:
            if title in folders and title not in self.record["permissions"]:
                self._have_permissions(title, folders[title], DEFAULTS)

    def _have_permissions(self, title, uid, wanted):
        path = "/api/folders/{0}/permissions".format(quote(uid, safe=""))
        found = grants((self.api("GET", path) if uid else None) or [])
        items, asked = [], {}
        for one in wanted:
            who = self._who(title, one)
            if who:
                kind, key = who
                asked[who] = PERMISSIONS[one["permission"]]
                items.append({"role" if kind == "role" else kind + "Id": key, "permission": asked[who]})
        if found != asked or not uid:
            self._change("folder {0}: permissions".format(title), ("POST", path, {"items": items}))

    def _who(self, title, one):
        if one.get("role"):
            return "role", one["role"]
        kind = "team" if one.get("team") else "user"
        found = self.teams.get(one[kind]) if kind == "team" else self._user(one[kind])
        if found is None:
            self.doubts.append(
                "grafana_folders: the {0} {1} has no permission for the folder {2} yet, as it is not in Grafana; the next run after it is"
                " there sets it".format(kind, one[kind], title)
            )
            return None
        return kind, found["id" if kind == "team" else "userId"]

    # The home dashboard

    def _have_home(self):
        wanted, before = self.wanted["home"] or "", self.before["home"]
        self.record["home"] = wanted
        if not wanted and not before:
            return
        found = (self.api("GET", "/api/org/preferences") or {}).get("homeDashboardUID") or ""
        # One that people have chosen stays where the inventory names none.
        chosen = bool(found) and found != before
        if found == wanted or (chosen and (not wanted or self.wanted["home_unless_chosen"])):
            self.record["home"] = wanted if found == wanted else ""
            return
        if wanted and not self.check and self.api("GET", "/api/dashboards/uid/" + quote(wanted, safe="")) is None:
            raise HostError("grafana_home_dashboard: Grafana has no dashboard with the uid {0}".format(wanted))
        self._change(
            "home dashboard: {0}".format(wanted or "Grafana's own"),
            ("PATCH", "/api/org/preferences", {"homeDashboardUID": wanted}),
        )

    # Service accounts

    def _have_service_accounts(self):
        if not self.wanted["service_accounts"] and not self.before["service_accounts"]:
            return
        answer = self.api("GET", "/api/serviceaccounts/search?perpage=%d" % MANY) or {}
        there = {one["name"]: one for one in answer.get("serviceAccounts") or []}
        for wanted in self.wanted["service_accounts"]:
            name, role = wanted["name"], wanted["role"]
            found, before = there.get(name), self.before["service_accounts"].get(name)
            if found is None:
                before = {"made": True, "tokens": {}}
                self.record["service_accounts"][name] = before
                self._keep()
                body = {"name": name, "role": role}
                made = self._change("service account {0} is added".format(name), ("POST", "/api/serviceaccounts", body))
                found = {"id": made.get("id", 0), "role": role}
            elif found["role"] != role:
                sentence = "service account {0}: {1} instead of {2}".format(name, role, found["role"])
                self._change(sentence, ("PATCH", "/api/serviceaccounts/%d" % found["id"], {"role": role}))
            before = before or {"made": False, "tokens": {}}
            kept = {"made": before["made"], "tokens": {}}
            self.record["service_accounts"][name] = kept
            self._have_tokens(wanted, found["id"], before["tokens"], kept["tokens"])
        for name, before in self.before["service_accounts"].items():
            if name not in self.record["service_accounts"]:
                self._leave_service_account(name, there.get(name), before)

    def _have_tokens(self, wanted, number, before, kept):
        path = "/api/serviceaccounts/%d/tokens" % number
        listed = (self.api("GET", path) if number else None) or []
        valid = {one["id"] for one in listed if not one.get("hasExpired") and not one.get("isRevoked")}
        for token in wanted["tokens"]:
            name, known = token["name"], before.get(token["name"])
            there = self.files.is_there(token["file"])
            if there and not (known and known["file"] == token["file"]):
                raise HostError(
                    "grafana_service_accounts: {0}, for the token {1} of {2}, is there already, and was not written by this collection;"
                    " remove it, or name another file".format(token["file"], name, wanted["name"])
                )
            reason = token_reason(token, known, there, valid, self.now())
            kept[name] = known
            if reason:
                kept[name] = {
                    "id": None,
                    **{key: token[key] for key in ("serial", "days", "owner", "file")},
                    "expires": None,
                }
                # A run that is killed from here on has written a file of its own.
                self._keep()
                kept[name] = self._renew(wanted["name"], token, reason, path, listed)
                if known and known["file"] != token["file"] and not self.check:
                    self.files.remove(known["file"])
        for name, known in before.items():
            if name not in kept:
                gone = [("DELETE", "{0}/{1}".format(path, one)) for one in earlier_tokens(name, self.host, listed)]
                self._change("service account {0}: the token {1} is removed".format(wanted["name"], name), *gone)
                if not self.check:
                    self.files.remove(known["file"])

    def _renew(self, account, token, reason, path, listed):
        """Make a token, write it to its file, then remove the earlier ones; what the record says of it."""
        now, days = self.now(), token["days"]
        body = {"name": token_name(token, self.host, now), **({"secondsToLive": days * DAY} if days else {})}
        self._change("service account {0}: a new token {1}, as {2}".format(account, token["name"], reason))
        known = {key: token[key] for key in ("serial", "days", "owner", "file")}
        if self.check:
            return {"id": None, "expires": None, **known}
        made = self.api("POST", path, body)
        self.files.write(token["file"], made["key"], token["owner"])
        for number in earlier_tokens(token["name"], self.host, listed, made["id"]):
            self.api("DELETE", "{0}/{1}".format(path, number))
        return {"id": made["id"], "expires": int(now) + days * DAY if days else None, **known}

    def _leave_service_account(self, name, found, before):
        if found and before["made"]:
            path = "/api/serviceaccounts/%d" % found["id"]
            self._change("service account {0} is removed".format(name), ("DELETE", path))
        elif found:
            path = "/api/serviceaccounts/%d/tokens" % found["id"]
            listed = self.api("GET", path) or []
            for token in before["tokens"]:
                gone = [("DELETE", "{0}/{1}".format(path, one)) for one in earlier_tokens(token, self.host, listed)]
                self._change("service account {0}: the token {1} is removed".format(name, token), *gone)
        for known in before["tokens"].values():
            if not self.check:
                self.files.remove(known["file"])

    # What the inventory has no longer

    def _remove_what_has_left(self):
        wanted = [one["name"] for one in self.wanted["teams"]]
        for name in self.before["teams"]:
            if name not in wanted and name in self.teams:
                path = "/api/teams/%d" % self.teams[name]["id"]
                self._change("team {0} is removed".format(name), ("DELETE", path))
        wanted = [self.administrator, *(one["login"] for one in self.wanted["users"])]
        for login in self.before["users"]:
            found = None if any(one_login(login, one) for one in wanted) else self._user(login)
            if found:
                path = "/api/admin/users/%d" % found["userId"]
                self._change("user {0} is removed".format(login), ("DELETE", path))
