# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Grafana whose database is a real PostgreSQL, then a real MariaDB, whose users are in a real LDAP or log in at a real OpenID
provider, and whose teams, permissions and tokens are the inventory's.

One host for all tests, in the order in which they stand. Without an archive of Grafana they are skipped, and the closing lines say so.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile

import pytest
import yaml
from conftest import base_variables
from test_database import PASSWORD as SERVERS_PASSWORD
from test_database import Server
from test_grafana import ALONE, PASSWORD, Shown, changed_tasks, security
from test_secrets import LOUD, must_be_silent, processes, readable_by_others

from lab import browser, hosts, identity, mirror
from lab.application import INSTALL, PSQL, with_postgresql
from lab.common import ROOT

pytestmark = pytest.mark.xdist_group("grafana_server")

DATABASE_PASSWORD = "vigil-sentinel-pg'$1"
# Characters that mean something in TOML, and to Grafana, which replaces references in the whole file.
READER = 'vigil-sentinel-reader"${x}\\d#1'
LENA, BOB = "vigil-sentinel-lena", "vigil-sentinel-bob"
# Those who log in at the OpenID provider.
PEOPLE = {"nora": "vigil-sentinel-nora", "mara": "vigil-sentinel-mara"}
CLIENT_SECRET = "vigil-sentinel-oauth'$1;#&%"
PAGE = (ROOT / "docs/howto/grafana.md").read_text(encoding="utf-8")
(DOCUMENTED,) = [block for block in re.findall(r"(?ms)^```yaml\n(.*?)^```", PAGE) if "generic_oauth" in block]
LOG = "journalctl -u grafana-server --no-pager -o cat"
MODIFY = "ldapmodify -Q -Y EXTERNAL -H ldapi:///"
SUFFIX = "dc=nodomain"  # as Debian's slapd has it on a host without a domain
DIRECTORY = """
dn: ou=people,{suffix}
objectClass: organizationalUnit
ou: people

dn: uid=lena,ou=people,{suffix}
objectClass: inetOrgPerson
uid: lena
cn: Lena
sn: L
mail: lena@example
userPassword: {lena}

{people}
dn: cn=reader,{suffix}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: {reader}

dn: cn=editors,{suffix}
objectClass: groupOfNames
cn: editors
member: uid=lena,ou=people,{suffix}

dn: cn=admins,{suffix}
objectClass: groupOfNames
cn: admins
member: uid=nora,ou=people,{suffix}
"""
PERSON = """
dn: uid={name},ou=people,{suffix}
objectClass: inetOrgPerson
uid: {name}
cn: {name}
sn: {name}
mail: {name}@example
userPassword: {password}
"""
LDAP = {
    "servers": [
        {
            "host": "127.0.0.1",
            "port": 389,
            "use_ssl": False,
            "bind_dn": "cn=reader," + SUFFIX,
            "bind_password": READER,
            "search_filter": "(uid=%s)",
            "search_base_dns": ["ou=people," + SUFFIX],
            "group_search_filter": "(&(objectClass=groupOfNames)(member=%s))",
            "group_search_filter_user_attribute": "dn",
            "group_search_base_dns": [SUFFIX],
            "attributes": {"username": "uid", "name": "cn", "surname": "sn", "email": "mail"},
        }
    ],
    "group_mappings": [{"id": 1, "groups": [{"group_dn": "cn=editors," + SUFFIX, "org_role": "Editor"}]}],
}


@pytest.fixture(scope="module")
def host(grafana_versions):
    with hosts.host("trixie", group="fault", image=with_postgresql("trixie")) as made:
        made.run(INSTALL.format("slapd ldap-utils"), timeout=300)
        made.run("systemctl start postgresql@$(ls /etc/postgresql)-main slapd")
        quoted = DATABASE_PASSWORD.replace("'", "''")
        made.run(PSQL, stdin=f"CREATE ROLE grafana LOGIN PASSWORD '{quoted}'")
        made.run(PSQL, stdin="CREATE DATABASE grafana OWNER grafana")
        script = """
dn: olcDatabase={1}mdb,cn=config
changetype: modify
replace: olcRootPW
olcRootPW: boss-of-ldap
"""
        made.run(MODIFY, stdin=script)
        people = "".join(PERSON.format(name=name, password=PEOPLE[name], suffix=SUFFIX) for name in PEOPLE)
        entries = DIRECTORY.format(suffix=SUFFIX, lena=LENA, reader=READER, people=people.lstrip())
        made.run(f"ldapadd -x -H ldapi:/// -D cn=admin,{SUFFIX} -w boss-of-ldap", stdin=entries)
        yield made


@pytest.fixture
def shown(host, tmp_path, grafana_versions):
    """The host with its variables as they stand between the tests."""
    database = {"type": "postgres", "host": "127.0.0.1:5432", "name": "grafana", "user": "grafana"}
    variables = {
        **base_variables(),
        "grafana_version": grafana_versions[-1],
        "grafana_ready_timeout": 90,
        "grafana_security": {**security(PASSWORD), "secret_key": "vigil-sentinel-key"},
        "grafana_database": {**database, "password": DATABASE_PASSWORD, "ssl_mode": "disable"},
        "grafana_auth": {"ldap": {"enabled": True}},
        "grafana_ldap": LDAP,
        "grafana_ini": {"unified_alerting": {"state_history": {"enabled": True, "backend": "annotations"}}},
        "monitoring_verify_timeout": 10,
    }
    return Shown(host, tmp_path, variables, ("grafana",))


def both(shown, **options):
    """A run, and that a check has announced the tasks that change something in it; nothing is left to do after it."""
    foreseen = must_be_silent(shown.run("--check", *LOUD, **options)).must_be_green()
    outcome = must_be_silent(shown.run(*LOUD, **options)).must_be_green()
    activated = "Activate the configuration"
    announced, made = ([task for task in changed_tasks(one) if activated not in task] for one in (foreseen, outcome))
    assert announced == made
    shown.run(**options).must_be_green(changed=False)
    return outcome


def test_its_database_is_on_a_server_and_its_users_log_in_by_ldap(shown):
    both(shown)
    tables = shown.host.run(PSQL.replace("psql", "psql -d grafana"), stdin="SELECT count(*) FROM migration_log").stdout
    assert int(tables) > 100
    assert shown.host.run("ls /var/lib/grafana/grafana.db", check=False).stdout == ""
    lena = f"lena:{LENA}"
    assert '"login":"lena"' in shown.ask("/api/user", lena)
    (user,) = [one for one in shown.get("/api/org/users") if one["login"] == "lena"]
    assert (user["role"], user["email"]) == ("Editor", "lena@example")
    assert shown.status("/api/user", "lena:wrong") == "401"
    assert shown.host.run("stat -c '%a %U %G' /etc/grafana/ldap.toml").stdout.split() == ["640", "root", "grafana"]
    assert readable_by_others(shown) == []
    assert "vigil-sentinel" not in shown.host.run(LOG).stdout
    # It takes what it is told of the history of alerts, and renders no images.
    settings = shown.get("/api/admin/settings")
    history = settings["unified_alerting.state_history"]
    assert (history["enabled"], history["backend"]) == ("true", "annotations")
    assert settings["rendering"]["server_url"] == ""
    assert shown.get("/api/org/preferences")["homeDashboardUID"] == "mon-fleet"
    shown.host.run("systemctl stop slapd")
    try:
        outcome = shown.run(playbook="playbooks/verify.yml")
        outcome.must_be_red("grafana on subject: its LDAP server 127.0.0.1:389 cannot be reached", "connection refused")
    finally:
        shown.host.run("systemctl start slapd")


# TLS for slapd, without which it lets nobody in by a password from then on.
CERTIFICATE = """
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost \\
    -keyout /etc/ldap/slapd.key -out /etc/ldap/slapd.pem 2>/dev/null
chgrp openldap /etc/ldap/slapd.key && chmod 640 /etc/ldap/slapd.key
"""
WITH_TLS = """
dn: cn=config
changetype: modify
replace: olcTLSCertificateFile
olcTLSCertificateFile: /etc/ldap/slapd.pem
-
replace: olcTLSCertificateKeyFile
olcTLSCertificateKeyFile: /etc/ldap/slapd.key
-
replace: olcSecurity
olcSecurity: simple_bind=128
"""


def test_a_password_that_ldap_does_not_take_is_red(shown):
    """Grafana tells that nobody but its log. It is asked as Grafana asks, in each run."""
    lena = f"lena:{LENA}"
    assert shown.status("/api/user", lena) == "200"
    shown.host.run(CERTIFICATE)
    shown.host.run(MODIFY, stdin=WITH_TLS)
    try:
        text = (
            "nobody can log in by the LDAP server {}:389: it does not take cn=reader,"
            + SUFFIX
            + " with its password: {}"
        )
        before = shown.untouched()
        shown.run().must_be_red(
            text.format("127.0.0.1", "confidentiality required (result 13)"),
            "set use_ssl: true, or use_ssl and start_tls, in grafana_ldap.servers[0]",
        )
        assert shown.untouched() == before
        assert shown.status("/api/user", lena) == "401"

        tls = {"host": "localhost", "use_ssl": True, "start_tls": True, "root_ca_cert": "/etc/ldap/slapd.pem"}
        server = {**LDAP["servers"][0], **tls}
        wrong = {**server, "bind_password": "vigil-sentinel-reader-wrong"}
        shown.variables["grafana_ldap"] = {**LDAP, "servers": [wrong]}
        with processes() as seen:
            outcome = must_be_silent(shown.run(*LOUD))
        outcome.must_be_red(
            text.format("localhost", "invalid credentials (result 49);"),
            "correct grafana_ldap.servers[0].bind_password or bind_dn",
        )
        assert not [command for command in seen if "vigil-sentinel-reader" in command and "grep" not in command]
        assert shown.status("/api/user", lena) == "401"
        assert shown.status("/api/user") == "200"
        assert "Cannot authenticate admin user in LDAP" in shown.host.run(LOG).stdout

        shown.variables["grafana_ldap"] = {**LDAP, "servers": [server]}
        must_be_silent(shown.run(*LOUD)).must_be_green(changed=True)
        assert shown.status("/api/user", lena) == "200"
    finally:
        shown.host.run(MODIFY, stdin="dn: cn=config\nchangetype: modify\ndelete: olcSecurity\n")
        # Until then it goes on as before.
        shown.host.run("systemctl restart slapd")


def logged_in(chromium, url, name, password):
    """Who somebody is after a login at the provider, as people do it; None where Grafana does not let them in."""
    page = chromium.new_context().new_page()
    page.goto(f"{url}/login")
    page.get_by_text("Sign in with Example").click()
    page.locator("input[name=login]").fill(name)
    page.locator("input[name=password]").fill(password)
    page.locator("input[name=password]").press("Enter")
    page.wait_for_url(f"{url}/**")
    page.wait_for_load_state()
    answer = page.request.get(f"{url}/api/user")
    found = answer.json() if answer.ok else None
    page.context.close()
    return found


def test_people_log_in_at_an_openid_provider(shown, provider_program):
    """With the role that their groups have, which the provider has from LDAP. The secret of its client is told to nobody."""
    url = f"http://{shown.host.ip}:3000"
    kept = "/etc/grafana/secrets/auth.generic_oauth.client_secret"
    connector = {
        "host": f"{shown.host.ip}:389",
        "insecureNoSSL": True,
        "bindDN": "cn=reader," + SUFFIX,
        "bindPW": READER,
        "userSearch": {
            "baseDN": "ou=people," + SUFFIX,
            "username": "uid",
            "idAttr": "uid",
            "emailAttr": "mail",
            "nameAttr": "cn",
            "preferredUsernameAttr": "uid",
        },
        "groupSearch": {
            "baseDN": SUFFIX,
            "filter": "(objectClass=groupOfNames)",
            "userMatchers": [{"userAttr": "DN", "groupAttr": "member"}],
            "nameAttr": "cn",
        },
    }
    with (
        identity.serve(provider_program, f"{url}/login/generic_oauth", connector, CLIENT_SECRET) as provider,
        browser.chromium() as chromium,
    ):
        # As it is documented, with the addresses of the lab.
        text = DOCUMENTED.replace("https://login.example.org", provider).replace("https://grafana.example.org", url)
        shown.variables.update(yaml.safe_load(text), vault_grafana_oauth=CLIENT_SECRET)
        oauth = shown.variables["grafana_auth"]["generic_oauth"]
        shown.variables["grafana_auth"]["ldap"] = {"enabled": True}
        with processes() as seen:
            both(shown)
        assert not [command for command in seen if "vigil-sentinel-oauth" in command and "grep" not in command]
        found = {name: logged_in(chromium, url, name, password) for name, password in PEOPLE.items()}
        assert {name: (one["login"], one["email"]) for name, one in found.items()} == {
            name: (name, f"{name}@example") for name in PEOPLE
        }
        roles = {one["login"]: one["role"] for one in shown.get("/api/org/users")}
        assert (roles["nora"], roles["mara"]) == ("Admin", "Viewer")
        assert shown.host.run(f"stat -c '%a %U %G' {kept}").stdout.split() == ["640", "root", "grafana"]
        holders = "grep -rl vigil-sentinel-oauth /etc /var/log /var/lib /run 2>/dev/null"
        assert shown.host.run(holders, check=False).stdout.split() == [kept]
        assert readable_by_others(shown) == []
        told = f"cat /proc/{shown.grafana_pid()}/environ; systemctl show grafana-server; {LOG}"
        assert "vigil-sentinel-oauth" not in shown.host.run(told).stdout
        # Who has opened it by another URL comes back without a cookie.
        assert "missing saved state" in shown.ask("/login/generic_oauth?code=x&state=x")
        # The provider takes nobody at their word.
        oauth["client_secret"] = "vigil-sentinel-oauth-wrong"
        diff = must_be_silent(shown.run("--check", "--diff")).must_be_green(changed=True)
        assert kept in diff.output
        words = f"{provider}/token does not take the client grafana with its secret: Invalid client credentials."
        for arguments in (LOUD, ()):
            must_be_silent(shown.run(*arguments)).must_be_red(words, "correct grafana_auth.generic_oauth.client_secret")
        assert logged_in(chromium, url, "nora", PEOPLE["nora"]) is None
        assert "invalid_client" in shown.host.run(LOG).stdout
        oauth["client_secret"] = CLIENT_SECRET
        # Nor does it send people to where nobody has registered.
        shown.variables["grafana_server"] = {"root_url": "http://grafana.example/"}
        shown.run().must_be_red(
            f"nobody can log in by /login/generic_oauth: {provider}/auth answers HTTP 400",
            "the client 'grafana' with the redirect URL http://grafana.example/login/generic_oauth",
        )
    del shown.variables["grafana_server"]
    words = " ".join(shown.run().output.split())
    assert f"not verified: a login by /login/generic_oauth begins at {provider}/auth: connection refused" in words
    assert "grafana_server.root_url: is not set, so that people come back from the provider to http://" in words
    for name in PEOPLE:
        (user,) = [one for one in shown.get("/api/users") if one["login"] == name]
        shown.post(f"/api/admin/users/{user['id']}", {}, "DELETE")


TOKEN = "/etc/grafana/tokens/ci.deploy"


def as_machine(shown, token, path="/api/folders"):
    """The status that a request with a token has. It stands in no command line."""
    command = f"curl -sS -o /dev/null -w '%{{http_code}}' -H @- http://127.0.0.1:3000{path}"
    return shown.host.run(command, stdin=f"Authorization: Bearer {token}").stdout


def test_teams_permissions_and_tokens_come_change_and_go(shown):
    shown.dashboard("Shop/mine.json")
    people = {
        "grafana_org_users": [{"login": "bob", "password": BOB, "role": "Viewer"}],
        "grafana_teams": [{"name": "Shop", "members": ["lena", "bob"]}],
        "grafana_folders": [
            {"title": "Shop", "permissions": [{"team": "Shop", "permission": "Edit"}]},
            {"title": "Later"},
        ],
        "grafana_service_accounts": [{"name": "ci", "role": "Editor", "tokens": [{"name": "deploy", "days": 90}]}],
        "grafana_home_dashboard": "mine",
    }
    shown.variables.update(people)
    both(shown)
    token = shown.host.run(f"cat {TOKEN}").stdout.strip()
    modes = shown.host.run(f"stat -c '%a %U' {TOKEN} /etc/grafana/tokens").stdout.split()
    assert modes == ["600", "root", "700", "root"]
    assert as_machine(shown, token) == "200"
    # Who is in the team may edit what others do not even see.
    assert '"canEdit":true' in shown.ask("/api/dashboards/uid/mine", f"bob:{BOB}")
    carol = {"login": "carol", "password": "carols-password", "name": "Carol"}
    shown.post("/api/admin/users", carol)
    assert shown.status("/api/dashboards/uid/mine", "carol:carols-password") == "403"
    assert shown.get("/api/org/preferences")["homeDashboardUID"] == "mine"

    people["grafana_service_accounts"][0]["tokens"][0]["serial"] = 2
    people["grafana_teams"][0]["members"] = ["lena"]
    shown.variables.update(people)
    outcome = both(shown)
    another = shown.host.run(f"cat {TOKEN}").stdout.strip()
    assert another != token and token not in outcome.output and another not in outcome.output
    assert as_machine(shown, another) == "200"
    # What a token that was revoked gets; Grafana 9.4 calls it an internal error.
    assert as_machine(shown, token) in ("401", "500")
    assert shown.status("/api/dashboards/uid/mine", f"bob:{BOB}") == "403"

    for name in people:
        del shown.variables[name]
    (shown.folder / "dashboards/Shop/mine.json").unlink()
    both(shown)
    assert {one["login"] for one in shown.get("/api/org/users")} == {"admin", "lena", "carol"}
    assert shown.get("/api/teams/search")["teams"] == shown.get("/api/serviceaccounts/search")["serviceAccounts"] == []
    assert [folder["title"] for folder in shown.get("/api/folders")] == ["Monitoring"]
    assert shown.host.run(f"ls {TOKEN}", check=False).stdout == ""


def publish(shown):
    """A release that is the program of the mirror's under the number of the next one, alone in a mirror; its version."""
    name, machine = mirror.grafana()[-1], mirror.architecture()
    version = re.sub(r"(?<=\.)\d+", lambda minor: str(int(minor[0]) + 1), name, count=1)
    assert len(name) == len(version), "the number stands in the program, where there is no room for a longer one"
    source = mirror.path() / "grafana" / f"grafana-{name}.linux-{machine}.tar.gz"
    folder = shown.folder / "mirror/grafana"
    folder.mkdir(parents=True)
    archive = folder / f"grafana-{version}.linux-{machine}.tar.gz"
    with tarfile.open(source) as given, tarfile.open(archive, "w:gz", compresslevel=1) as made:
        for member in given:
            stream = given.extractfile(member) if member.isfile() else None
            member.name = member.name.replace(f"grafana-{name}", f"grafana-{version}", 1)
            if stream and member.name.endswith("/bin/grafana"):
                stream = io.BytesIO(stream.read().replace(name.encode(), version.encode()))
            made.addfile(member, stream)
    archive.with_name(archive.name + ".sha256").write_text(hashlib.sha256(archive.read_bytes()).hexdigest())
    shown.variables.update(grafana_release_mirror=str(shown.folder / "mirror"), grafana_version=version)
    return version


def test_an_upgrade_dumps_the_database_and_a_downgrade_is_refused(shown):
    shown.run(**ALONE).must_be_green()
    before = mirror.grafana()[-1]
    dump = f"/etc/grafana/.vigil/data-{before}/database.sql"
    following = publish(shown)
    # Without a dump, nothing is changed.
    shown.host.run("mv /usr/bin/pg_dump /usr/bin/pg_dump.away")
    pid = shown.grafana_pid()
    try:
        for check in ((), ("--check",)):
            shown.run(*check).must_be_red("pg_dump is not installed to dump it", "grafana_dump_database: false")
    finally:
        shown.host.run("mv /usr/bin/pg_dump.away /usr/bin/pg_dump")
    assert shown.grafana_pid() == pid
    must_be_silent(shown.run(*LOUD)).must_be_green(changed=True)
    shown.run().must_be_green(changed=False)
    assert shown.get("/api/health")["version"] == following
    assert shown.host.run(f"stat -c '%a %U' {dump}").stdout.split() == ["600", "root"]

    shown.variables["grafana_version"] = before
    del shown.variables["grafana_release_mirror"]
    pid = shown.grafana_pid()
    shown.run().must_be_red(
        f"a downgrade was refused: the data was written by grafana {following}",
        f"is in /etc/grafana/.vigil/data-{before} (database.sql)",
    )
    assert shown.grafana_pid() == pid

    # What the message says: the dump is put back, and the older version is allowed for one run.
    shown.post("/api/admin/users", {"login": "late", "password": "too-late-1", "name": "Late"})
    shown.host.run("systemctl stop grafana-server")
    shown.host.run(f"cd / && su postgres -c 'psql -q -d grafana -v ON_ERROR_STOP=1' <{dump}", timeout=120)
    shown.variables["grafana_allow_downgrade"] = True
    shown.run().must_be_green(changed=True)
    del shown.variables["grafana_allow_downgrade"]
    shown.run().must_be_green(changed=False)
    assert shown.get("/api/health")["version"] == before
    assert {one["login"] for one in shown.get("/api/org/users")} == {"admin", "lena", "carol"}

    # One that another Grafana of a newer version shares: this host has written nothing down of it, but it says so itself.
    def change(script):
        shown.host.run(PSQL.replace("psql", "psql -d grafana"), stdin=script)

    columns = "migration_id, sql, success, error, timestamp"
    rows = ", ".join(f"('Add sentinel_future {number}', '', true, '', now())" for number in (1, 2))
    change(f"INSERT INTO migration_log ({columns}) VALUES {rows}")
    shown.host.run("systemctl stop grafana-server; rm /var/lib/grafana/.vigil-version /etc/grafana/.vigil/proven.json")
    must_be_silent(shown.run(*LOUD)).must_be_red(
        f"its database has 2 changes of its schema that grafana {before} does not know, such as 'Add sentinel_future 1'",
        "a newer version has written it",
    )
    change("DELETE FROM migration_log WHERE migration_id LIKE 'Add sentinel_future%'")
    shown.run().must_be_green(changed=True)


def test_its_database_comes_back_from_a_backup(shown):
    """With the users of that moment and no others. What is there is refused first, and comes back where the dump is not loaded."""
    shown.groups = ("grafana", "backup")
    shown.variables.update(backup_repository="/srv/backup", backup_password="vigil-sentinel-repository")
    shown.run().must_be_green(changed=True)
    shown.run(playbook="backup.yml").must_be_green(changed=True)
    users = {one["login"] for one in shown.get("/api/org/users")}
    shown.post("/api/admin/users", {"login": "newest", "password": "newest-password", "name": "Newest"})
    pid = shown.grafana_pid()
    shown.run(playbook="restore.yml").must_be_red(
        "has data of its own", "the PostgreSQL database grafana on 127.0.0.1:5432", "restore_replace: true"
    )
    assert shown.grafana_pid() == pid
    arguments = ("-e", '{"restore_replace": true}', *LOUD)

    def restore():
        return must_be_silent(shown.run(*arguments, playbook="restore.yml"))

    # Its account may create no tables, so that the dump is refused.
    change = PSQL.replace("psql", "psql -d grafana")
    shown.host.run(change, stdin="ALTER DATABASE grafana OWNER TO postgres")
    restore().must_be_red("subject was not restored", "permission denied for schema public")
    shown.host.run(change, stdin="ALTER DATABASE grafana OWNER TO grafana")
    assert {one["login"] for one in shown.get("/api/org/users")} == {*users, "newest"}

    restore().must_be_green(changed=True)
    assert {one["login"] for one in shown.get("/api/org/users")} == users
    left = "ls -d /var/lib/grafana/.vigil-before /var/lib/vigil.monitoring/*.restore /var/lib/vigil.monitoring/*.sql"
    assert not shown.host.run(left, check=False).stdout
    shown.run().must_be_green(changed=False)


def test_its_database_is_on_mysql(shown):
    """It takes the place of PostgreSQL, which stays where that fails, and is dumped and refused in the same way. MariaDB plays it."""
    server = Server(shown.host, "mysql")
    shown.host.run(INSTALL.format("mariadb-server mariadb-client-compat"), timeout=300)
    server.make()
    shown.run().must_be_green()
    users = {one["login"] for one in shown.get("/api/org/users")}
    database = {"type": "mysql", "host": "127.0.0.1:3306", "name": "grafana", "user": "grafana"}
    shown.variables["grafana_database"] = {**database, "password": "vigil-sentinel-wrong"}
    must_be_silent(shown.run(*LOUD)).must_be_red(
        "Access denied for user 'grafana'@'localhost' (using password: YES)", "was restored and is healthy again"
    )
    assert {one["login"] for one in shown.get("/api/org/users")} == users

    shown.variables["grafana_database"]["password"] = SERVERS_PASSWORD
    must_be_silent(shown.run(*LOUD)).must_be_green(changed=True)
    for check in ((), ("--check",)):
        shown.run(*check).must_be_green(changed=False)
    assert int(server.sql("SELECT count(*) FROM migration_log")) > 100
    assert [one["login"] for one in shown.get("/api/org/users")] == ["admin"]
    assert readable_by_others(shown) == []

    before = mirror.grafana()[-1]
    dump = f"/etc/grafana/.vigil/data-{before}/database.sql"
    following = publish(shown)
    must_be_silent(shown.run(*LOUD)).must_be_green(changed=True)
    assert shown.get("/api/health")["version"] == following
    assert shown.host.run(f"stat -c '%a %U' {dump}; tail -1 {dump}").stdout.startswith("600 root\n-- Dump completed")
    shown.variables["grafana_version"] = before
    del shown.variables["grafana_release_mirror"]
    pid = shown.grafana_pid()
    shown.run().must_be_red(f"a downgrade was refused: the data was written by grafana {following}", f"data-{before}")
    assert shown.grafana_pid() == pid
    shown.post("/api/admin/users", {"login": "late", "password": "too-late-1", "name": "Late"})
    shown.host.run(f"systemctl stop grafana-server && mariadb grafana <{dump}", timeout=120)
    shown.variables["grafana_allow_downgrade"] = True
    shown.run().must_be_green(changed=True)
    assert [one["login"] for one in shown.get("/api/org/users")] == ["admin"]
