# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Grafana beside a real Prometheus: its password, its secrets, what it shows, its upgrades, its absence.

One host for all tests, in the order in which they stand; each leaves it converged. Without an archive of Grafana they are
skipped, and the closing lines say so.
"""

from __future__ import annotations

import hashlib
import io
import json
import signal
import tarfile
import time
import zipfile
from base64 import b64encode

import pytest
from conftest import Site, base_variables
from test_secrets import LOUD, must_be_silent, processes, readable_by_others

from lab import containers, hosts, mirror

pytestmark = pytest.mark.xdist_group("grafana")

PASSWORD = "vigil-sentinel-admin-1"
NEXT_PASSWORD = "vigil-sentinel-$admin`2#;'\""
# The secrets of these tests: others run beside them, with secrets of their own.
OURS = (PASSWORD, NEXT_PASSWORD, "vigil-sentinel-$admin", "vigil-sentinel-smtp")
GROUPS = ("prometheus", "grafana")
ALONE = {"groups": ("grafana",)}
SOURCE = {"name": "Prometheus", "type": "prometheus", "url": "http://127.0.0.1:9090", "isDefault": True}
BROKEN = "99.1.0"
# What a release does that cannot migrate its database: it spoils it first.
SPOILS = "echo spoilt >/var/lib/grafana/grafana.db; echo 'level=error msg=\"sentinel: migration failed\"' >&2; exit 1"


def security(password):
    """The section; without the lock after five wrong passwords, for these tests try more than that."""
    return {"admin_password": password, "disable_brute_force_login_protection": True}


class Shown(Site):
    """A host with Grafana on it."""

    password = PASSWORD

    def ask(self, path: str, login: str | None = None, *flags: str) -> str:
        """What Grafana's API answers, with the status in the last line. The login goes nowhere near a command line."""
        header = "Authorization: Basic " + b64encode((login or f"admin:{self.password}").encode()).decode()
        command = f"curl -sS -H @- -w '\\n%{{http_code}}' {' '.join(flags)} 'http://127.0.0.1:3000{path}'"
        return self.host.run(command, stdin=header).stdout

    def status(self, path: str, login: str | None = None, *flags: str) -> str:
        return self.ask(path, login, *flags).rpartition("\n")[2]

    def get(self, path: str):
        answer, dummy, status = self.ask(path).rpartition("\n")
        assert status == "200", answer
        return json.loads(answer)

    def post(self, path: str, body: dict, method: str = "POST") -> None:
        put = ["-X", method, "-H", "'Content-Type: application/json'", "-d", f"'{json.dumps(body)}'"]
        assert self.status(path, None, *put) == "200"

    def grafana_pid(self) -> str:
        return self.pid("grafana-server")

    def dashboard(self, path: str, **keys) -> None:
        """A dashboard of the user's own, beside the inventory."""
        file = self.folder / "dashboards" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"title": "Mine", "uid": "mine", "panels": [], "schemaVersion": 37, **keys}))

    def untouched(self):
        """What a run that ends before harm leaves alone."""
        return self.fingerprint("/etc/grafana", "/usr/local", "/etc/systemd"), self.grafana_pid()


@pytest.fixture(scope="module")
def host(grafana_versions):
    with hosts.host("trixie-docker", group="fault") as made:
        yield made


@pytest.fixture
def shown(host, tmp_path, grafana_versions):
    """The host with its variables as they stand between the tests."""
    variables = {
        **base_variables(),
        "grafana_version": grafana_versions[0],
        "grafana_ready_timeout": 90,
        "grafana_security": security(PASSWORD),
        "grafana_datasources": [SOURCE],
        "monitoring_verify_timeout": 10,
    }
    return Shown(host, tmp_path, variables, GROUPS)


def changed_tasks(outcome):
    """The tasks that have reported a change."""
    tasks, found = "", []
    for line in outcome.output.splitlines():
        tasks = line.strip(" *") if line.startswith("TASK ") else tasks
        if line.startswith("changed: "):
            found.append(tasks)
    return found


def test_the_first_deployment_shows_everything_and_tells_nobody(shown):
    shown.variables.pop("grafana_datasources")
    shown.variables["grafana_smtp"] = {"enabled": False, "password": "vigil-sentinel-smtp;1"}
    foreseen = must_be_silent(shown.run("--check", *LOUD)).must_be_green(changed=True)
    assert shown.host.run("ls -d /etc/grafana", check=False).stdout == ""
    with processes() as seen:
        outcome = must_be_silent(shown.run(*LOUD)).must_be_green(changed=True)
        assert changed_tasks(foreseen) == changed_tasks(outcome)
        shown.run().must_be_green(changed=False)
        shown.run("--check").must_be_green(changed=False)
    assert "MONITORING: 2 of 2 services verified" in outcome.output
    assert not [command for command in seen if any(one in command for one in OURS) and "grep" not in command]
    assert readable_by_others(shown) == []
    secrets = shown.host.run(
        "grep -rl vigil-sentinel /etc /var/lib/grafana /var/log/grafana /run/systemd", check=False
    ).stdout
    assert sorted(secrets.split()) == [
        "/etc/grafana/secrets/security.admin_password",
        "/etc/grafana/secrets/smtp.password",
    ]
    environment = (
        f"cat /proc/{shown.grafana_pid()}/environ; systemctl show grafana-server; journalctl --no-pager -o cat"
    )
    assert "vigil-sentinel" not in shown.host.run(environment).stdout
    source = shown.get("/api/datasources/uid/prometheus")
    assert (source["url"], source["jsonData"]["timeInterval"]) == ("http://127.0.0.1:9090", "2s")
    assert shown.status("/api/user", "admin:admin") == "401"
    titles = {found["folderTitle"] for found in shown.get("/api/search?type=dash-db")}
    assert titles == {"Monitoring"}


KEY = "/etc/grafana/secrets/security.secret_key"
KNOWN_KEY = "SW2YcwTIb9zpOOhoPsMm"


def test_its_key_is_its_own_and_stays(shown):
    """Made up on the host; another one is refused, as what is encrypted could no longer be read."""
    key = shown.host.run(f"cat {KEY}").stdout.strip()
    assert len(key) >= 40
    assert shown.host.run(f"stat -c '%a %U %G' {KEY}").stdout.split() == ["640", "root", "grafana"]
    shown.run(**ALONE).must_be_green()
    outcome = shown.run(*LOUD, **ALONE).must_be_green(changed=False)
    shown.variables["grafana_security"] = {**security(PASSWORD), "secret_key": "vigil-sentinel-another"}
    before = shown.untouched()
    for check in ((), ("--check",)):
        refused = must_be_silent(shown.run(*LOUD, *check, **ALONE))
        refused.must_be_red("grafana_security.secret_key is another", "grafana_renew_secret_key: true")
        assert key not in outcome.output + refused.output
    assert shown.untouched() == before
    assert shown.host.run(f"cat {KEY}").stdout.strip() == key


def test_what_is_provisioned_comes_and_goes_without_a_restart(shown):
    shown.run(**ALONE).must_be_green()
    pid = shown.grafana_pid()
    shown.dashboard("Shop/mine.json")
    shown.variables["grafana_datasources"] = [SOURCE, {**SOURCE, "name": "Other $1", "isDefault": False}]
    outcome = shown.run("--diff", **ALONE).must_be_green(changed=True)
    assert "+  - name: Other $$1" in outcome.output
    assert shown.get("/api/dashboards/uid/mine")["meta"]["folderTitle"] == "Shop"
    assert shown.get("/api/datasources/uid/other-1")["readOnly"]
    shown.dashboard("Shop/mine.json", title="Mine, changed")
    shown.run(**ALONE).must_be_green(changed=True)
    assert shown.get("/api/dashboards/uid/mine")["dashboard"]["title"] == "Mine, changed"

    (shown.folder / "dashboards/Shop/mine.json").unlink()
    shown.variables["grafana_datasources"] = [SOURCE]
    shown.run(**ALONE).must_be_green(changed=True)
    assert shown.status("/api/dashboards/uid/mine") == "404"
    assert [source["name"] for source in shown.get("/api/datasources")] == ["Prometheus"]
    assert [folder["title"] for folder in shown.get("/api/folders")] == ["Monitoring"]
    shown.run(**ALONE).must_be_green(changed=False)
    assert shown.grafana_pid() == pid


def test_another_password_is_taken_up_whoever_changed_it(shown):
    shown.variables["grafana_security"] = security(NEXT_PASSWORD)
    with processes() as seen:
        must_be_silent(shown.run(*LOUD, **ALONE)).must_be_green(changed=True)
    assert not [command for command in seen if any(one in command for one in OURS)]
    assert any("reset-admin-password" in command for command in seen), "it was not reset"
    assert shown.status("/api/user") == "401"
    shown.password = NEXT_PASSWORD
    assert shown.status("/api/user") == "200"
    # The database belongs to the service as before.
    assert shown.host.run("stat -c %U /var/lib/grafana/grafana.db").stdout.strip() == "grafana"

    shown.variables["grafana_security"] = security(PASSWORD)
    shown.run(**ALONE).must_be_green(changed=True)
    shown.password = PASSWORD
    # Somebody changes it in Grafana: the next run sees that, although nothing changed here.
    change = {"oldPassword": PASSWORD, "newPassword": "of-somebody-else", "confirmNew": "of-somebody-else"}
    shown.post("/api/user/password", change, "PUT")
    pid = shown.grafana_pid()
    assert "its administrator admin cannot log in" in shown.run(playbook="playbooks/verify.yml", **ALONE).output
    shown.run(**ALONE).must_be_green(changed=True)
    assert shown.status("/api/user") == "200"
    assert shown.grafana_pid() == pid


def no_json(shown):
    shown.dashboard("Shop/good.json")
    (shown.folder / "dashboards/Shop/bad.json").write_text('{"title": "Bad",')


BEFORE_ALL = "the inputs of grafana on subject cannot work, nothing was changed:"


def one_uid(shown):
    shown.dashboard("One/mine.json")
    shown.dashboard("Two/mine.json")


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (no_json, [BEFORE_ALL, "dashboards/Shop/bad.json is not JSON: Expecting property name"]),
        (one_uid, [BEFORE_ALL, "dashboards/One/mine.json and", "Two/mine.json have the same uid, mine"]),
        ({"grafana_datasources": [{"name": "x"}]}, [BEFORE_ALL, "grafana_datasources: 'x' has no type; add one"]),
        ({"grafana_security": {}}, ["grafana_security.admin_password: is not set; put one into a vault"]),
        (
            {"grafana_security": {"admin_password": "admin"}},
            ["grafana_security.admin_password: is the one that everybody"],
        ),
        (
            {"grafana_plugins": ["nobody-has-this-panel 1.0.0"]},
            ["the plugin nobody-has-this-panel 1.0.0 is not at", "nobody-has-this-panel-1.0.0.zip on the controller"],
        ),
        ({"grafana_version": "98.0.0"}, ["grafana-98.0.0.linux-", "Does monitoring_release_mirror"]),
    ],
    ids=("no-json", "one-uid", "no-type", "no-password", "password-admin", "no-such-plugin", "no-such-release"),
)
def test_what_cannot_work_harms_nothing(shown, break_it, words):
    before = shown.untouched()
    if callable(break_it):
        break_it(shown)
    else:
        shown.variables.update(break_it)
    shown.run(**ALONE).must_be_red(*words)
    assert shown.untouched() == before


def test_provisioning_that_grafana_refuses_is_put_back(shown):
    shown.run(**ALONE).must_be_green()
    before = shown.fingerprint("/etc/grafana/provisioning")
    receivers = [{"uid": "no", "type": "pigeon", "settings": {}}]
    shown.variables["grafana_alert_resources"] = {"contactPoints": [{"orgId": 1, "name": "No", "receivers": receivers}]}
    shown.run(**ALONE).must_be_red(
        "/api/admin/provisioning/alerting/reload answers HTTP 500", "was restored and is healthy again"
    )
    assert shown.fingerprint("/etc/grafana/provisioning") == before
    del shown.variables["grafana_alert_resources"]
    shown.run(**ALONE).must_be_green(changed=False)


def test_a_data_source_that_does_not_answer_is_named(shown):
    shown.host.run("systemctl stop prometheus")
    try:
        outcome = shown.run(playbook="playbooks/verify.yml", **ALONE)
        outcome.must_be_red(
            "grafana on subject: its data source Prometheus (http://127.0.0.1:9090) does not answer",
            "its last log lines",
            "connection refused",
        )
    finally:
        shown.host.run("systemctl start prometheus")
        assert shown.serves("prometheus", within=20)


def plugin(shown, version):
    """A plugin in the user's own directory, with nothing in it that could be signed."""
    about = {"type": "panel", "name": "Mine", "id": "mine-test-panel", "info": {"version": version}}
    about["dependencies"] = {"grafanaDependency": ">=9.0.0", "plugins": []}
    path = shown.folder / f"mine-test-panel-{version}.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("mine-test-panel/plugin.json", json.dumps(about))
        bundle.writestr("mine-test-panel/module.js", "define([], function () {});")
    return {"id": "mine-test-panel", "version": version, "url": str(path)}


def test_a_plugin_of_ones_own_is_loaded_replaced_and_taken_away(shown):
    there = "/var/lib/grafana/plugins/mine-test-panel"
    shown.variables["grafana_plugins"] = [plugin(shown, "1.0.0")]
    # Nobody signed it, so Grafana does not load it: that is said, and the specified plugin is not there.
    shown.run(**ALONE).must_be_red("it did not load the plugin mine-test-panel", "mine-test-panel")
    shown.variables["grafana_ini"] = {"plugins": {"allow_loading_unsigned_plugins": "mine-test-panel"}}
    shown.run(**ALONE).must_be_green(changed=True)
    assert shown.host.run(f"readlink {there}").stdout.strip() == "/opt/vigil/bin/grafana-plugins/mine-test-panel-1.0.0"
    shown.variables["grafana_plugins"] = [plugin(shown, "1.1.0")]
    shown.run(**ALONE).must_be_green(changed=True)
    assert shown.get("/api/plugins/mine-test-panel/settings")["info"]["version"] == "1.1.0"
    del shown.variables["grafana_plugins"], shown.variables["grafana_ini"]
    shown.run(**ALONE).must_be_green(changed=True)
    assert shown.host.run(f"ls -d {there}", check=False).stdout == ""


def publish(shown):
    """Let the inventory ask for a release that spoils its database when it starts; no other one is in its mirror."""
    folder = shown.folder / "mirror" / "grafana"
    folder.mkdir(parents=True)
    top = f"grafana-{BROKEN}"
    archive = folder / f"{top}.linux-{mirror.architecture()}.tar.gz"
    says = f'case "$*" in *--version*) echo "grafana version {BROKEN}"; exit 0;; esac'
    data = f"#!/bin/sh\n{says}\n{SPOILS}\n".encode()
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo(f"{top}/bin/grafana")
        member.size, member.mode = len(data), 0o755
        tar.addfile(member, io.BytesIO(data))
    # As Grafana's site has it: the digest and nothing else.
    archive.with_name(archive.name + ".sha256").write_text(hashlib.sha256(archive.read_bytes()).hexdigest())
    shown.variables.update(grafana_release_mirror=str(shown.folder / "mirror"), grafana_version=BROKEN)


def test_an_upgrade_that_cannot_migrate_puts_the_database_back(shown):
    old = shown.get("/api/health")["version"]
    shown.post("/api/admin/users", {"name": "Kept", "login": "kept", "password": "kept-it-1"})
    publish(shown)
    outcome = shown.run(**ALONE)
    outcome.must_be_red(
        "grafana-server.service failed verification",
        "sentinel: migration failed",
        "was restored and is healthy again",
    )
    assert shown.get("/api/health") == {**shown.get("/api/health"), "database": "ok", "version": old}
    assert shown.get("/api/users/lookup?loginOrEmail=kept")["name"] == "Kept"
    assert shown.status("/api/user") == "200"


@pytest.mark.parametrize("moment", ["unpacked", "switched"])
def test_an_upgrade_that_is_killed_is_finished_by_the_next_run(shown, moment):
    """Killed on the controller: what the host does goes on or is left half done, and either way nothing is lost."""
    publish(shown)
    child = shown.start(**ALONE)
    sign = {"unpacked": f"/opt/vigil/bin/grafana-{BROKEN}", "switched": "/etc/grafana/.vigil/previous/0"}[moment]
    shown.host.run("rm -rf /etc/grafana/.vigil/previous")
    deadline = time.monotonic() + 60
    while shown.host.run(f"test -e {sign}", check=False).returncode:
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    shown.host.run("pkill -9 -f AnsiballZ_daemon", check=False)
    shown.variables.update(grafana_version=mirror.grafana()[0])
    del shown.variables["grafana_release_mirror"]
    shown.run(**ALONE).must_be_green()
    shown.run(**ALONE).must_be_green(changed=False)
    assert shown.get("/api/users/lookup?loginOrEmail=kept")["name"] == "Kept"


def test_an_upgrade_keeps_everything_and_the_earlier_release(shown, grafana_versions):
    if len(grafana_versions) < 2:
        pytest.skip("there is only one version of Grafana in the mirror")
    shown.variables["grafana_version"] = grafana_versions[-1]
    shown.run(**ALONE).must_be_green(changed=True)
    assert shown.get("/api/health")["version"] == grafana_versions[-1]
    assert shown.get("/api/users/lookup?loginOrEmail=kept")["name"] == "Kept"
    releases = shown.host.run("ls -d /opt/vigil/bin/grafana-[0-9]*").stdout.split()
    assert {path.rpartition("/grafana-")[2] for path in releases} >= {grafana_versions[0], grafana_versions[-1]}
    shown.run(**ALONE).must_be_green(changed=False)


MARK, DATABASE = "/var/lib/grafana/.vigil-version", "/var/lib/grafana/grafana.db"
# Python on the host: nothing else there reads SQLite.
FROM_THE_FUTURE = """
import json, sqlite3
path = "/etc/grafana/.vigil/proven.json"
record = json.load(open(path))
record["data_version"] = None
json.dump(record, open(path, "w"))
with sqlite3.connect("/var/lib/grafana/grafana.db") as database:
    for name in ("Add column sentinel_future to dashboard", "Add unique index for sentinel_future"):
        database.execute("INSERT INTO migration_log (migration_id, sql, success, error, timestamp) VALUES (?, '', 1, '', 0)", [name])
"""
FORGET = "DELETE FROM migration_log WHERE migration_id LIKE '%sentinel_future%'"


def test_a_database_of_a_newer_version_is_refused_before_anything_is_stopped(shown, grafana_versions):
    shown.variables["grafana_version"] = grafana_versions[-1]
    shown.run(**ALONE).must_be_green()
    line = ".".join(grafana_versions[-1].split(".")[:2])
    # Within its line a patch release may be older.
    shown.host.run(f"echo {line}.99 >{MARK}")
    shown.variables["grafana_limit_nofile"] = 9000
    shown.run(**ALONE).must_be_green(changed=True)
    # What an upgrade that failed before has kept is of this version.
    shown.host.run("rm -rf /etc/grafana/.vigil/data-*; install -d -m 700 /etc/grafana/.vigil/data-9.3.0")
    shown.host.run(f"echo 99.1.0 >{MARK}")
    shown.host.run("touch /etc/grafana/.vigil/data-9.3.0/grafana.db")
    before = shown.untouched()
    shown.variables["grafana_limit_nofile"] = 10000
    for check in ((), ("--check",)):
        shown.run(*check, **ALONE).must_be_red(
            "a downgrade was refused: the data was written by grafana 99.1.0",
            "before a newer version changed it, is in /etc/grafana/.vigil/data-9.3.0 (grafana.db)",
            "grafana_allow_downgrade: true for one run",
        )
    assert shown.untouched()[1] == before[1]
    shown.variables["grafana_allow_downgrade"] = True
    shown.run(**ALONE).must_be_green(changed=True)
    del shown.variables["grafana_allow_downgrade"]

    # A copy of somebody's, put in place by hand: nobody has written down who has written it, but it says so itself.
    shown.host.run(f"systemctl stop grafana-server; rm {MARK}; python3 -", stdin=FROM_THE_FUTURE)
    shown.run(**ALONE).must_be_red(
        f"{DATABASE} has 2 changes of its schema that grafana {grafana_versions[-1]} does not know, such as 'Add column sentinel",
        "a newer version has written it",
    )
    assert shown.host.run("systemctl is-active grafana-server", check=False).stdout.strip() == "inactive"
    shown.host.run(
        'python3 -c "import sqlite3; d = sqlite3.connect(\'{0}\'); d.execute(\\"{1}\\"); d.commit()"'.format(
            DATABASE, FORGET
        )
    )
    shown.run(**ALONE).must_be_green(changed=True)
    shown.run(**ALONE).must_be_green(changed=False)


def test_as_a_container_it_keeps_everything_and_its_password_is_set_inside(shown, grafana_versions):
    shown.host.load(containers.grafana(grafana_versions[-1]))
    shown.variables.update(grafana_version=grafana_versions[-1], grafana_runtime="docker")
    shown.password = NEXT_PASSWORD
    shown.variables["grafana_security"] = security(NEXT_PASSWORD)
    must_be_silent(shown.run(*LOUD, **ALONE)).must_be_green(changed=True)
    assert shown.host.run("docker ps --format '{{.Names}}'").stdout.split() == ["grafana-server"]
    assert shown.host.run("systemctl is-active grafana-server", check=False).stdout.strip() == "inactive"
    assert shown.get("/api/users/lookup?loginOrEmail=kept")["name"] == "Kept"
    shown.run(**ALONE).must_be_green(changed=False)

    # The image's environment says where the data is, and does not win; the first administrator there is a new one.
    shown.variables.update(grafana_ini={"paths": {"data": "/srv/grafana"}}, grafana_start_empty=True)
    must_be_silent(shown.run(*LOUD, **ALONE)).must_be_green(changed=True)
    assert shown.host.run("ls /srv/grafana/grafana.db").stdout
    assert shown.get("/api/users/search")["totalCount"] == 1
    told = "docker container inspect grafana-server; docker image inspect $(docker images -q); docker logs grafana-server 2>&1"
    assert "vigil-sentinel" not in shown.host.run(told).stdout

    del shown.variables["grafana_start_empty"]
    shown.variables.update(grafana_ini={}, grafana_runtime="systemd", grafana_security=security(PASSWORD))
    shown.password = PASSWORD
    shown.run(**ALONE).must_be_green(changed=True)
    assert shown.get("/api/users/lookup?loginOrEmail=kept")["name"] == "Kept"
    assert shown.host.run("docker ps -aq").stdout == ""


def test_a_database_that_cannot_be_written_is_red(shown, grafana_versions):
    shown.variables["grafana_version"] = grafana_versions[-1]
    shown.host.run(
        "systemctl stop grafana-server; chown root:root /var/lib/grafana/grafana.db; chmod 644 /var/lib/grafana/grafana.db"
    )
    outcome = shown.run(**ALONE)
    outcome.must_be_red("readonly database")
    shown.host.run("systemctl stop grafana-server; chown grafana:grafana /var/lib/grafana/grafana.db")
    shown.run(**ALONE).must_be_green(changed=True)


def test_no_space_for_the_data_is_said_before_anything_is_done(shown, grafana_versions):
    shown.variables["grafana_version"] = grafana_versions[-1]
    shown.host.run(
        "mkdir -p /srv/small; mount -t tmpfs -o size=64k tmpfs /srv/small; dd if=/dev/zero of=/srv/small/x 2>/dev/null || :"
    )
    shown.host.run("mkdir -p /srv/small/data; chown grafana: /srv/small/data", check=False)
    before = shown.untouched()[1]
    shown.variables.update(grafana_ini={"paths": {"data": "/srv/small/data"}}, grafana_start_empty=True)
    shown.run(**ALONE).must_be_red("no space is left in /srv/small/data", "free some space and run again")
    assert shown.grafana_pid() == before


def test_a_removal_takes_what_was_brought_and_the_data_where_that_is_asked(shown, grafana_versions):
    shown.variables.update(grafana_version=grafana_versions[-1], grafana_state="absent")
    key = shown.host.run(f"cat {KEY}").stdout
    shown.run(**ALONE).must_be_green(changed=True)
    listed = "find /etc/grafana /opt/vigil/bin/grafana* /usr/local/bin/grafana /var/lib/grafana -maxdepth 0; find /etc/grafana -type f"
    # The data stay, and with them what they can be read with.
    assert shown.host.run(listed, check=False).stdout.split() == ["/etc/grafana", "/var/lib/grafana", KEY]
    assert shown.host.run(f"cat {KEY}").stdout == key
    shown.variables["grafana_purge_data"] = True
    shown.run(**ALONE).must_be_green(changed=True)
    assert shown.host.run("ls -d /etc/grafana /var/lib/grafana /var/log/grafana", check=False).stdout == ""
    shown.run(**ALONE).must_be_green(changed=False)


def test_one_that_encrypts_with_the_key_that_everybody_knows_goes_on_and_can_be_given_another(shown):
    """As an earlier release of the collection, or somebody else, left it: without a word about a key."""
    shown.variables["grafana_security"] = {**security(PASSWORD), "secret_key": KNOWN_KEY}
    secret = {
        "secureJsonData": {"basicAuthPassword": "vigil-sentinel-source"},
        "basicAuth": True,
        "basicAuthUser": "me",
    }
    shown.variables["grafana_datasources"] = [{**SOURCE, **secret}]
    shown.run(**ALONE).must_be_green(changed=True)
    shown.host.run(
        f"set -e; rm {KEY}; sed -i '/^secret_key/d' /etc/grafana/grafana.ini; systemctl restart grafana-server"
    )
    shown.host.run("curl -fsS --retry 60 --retry-delay 1 --retry-all-errors http://127.0.0.1:3000/api/health")

    shown.variables["grafana_security"] = security(PASSWORD)
    told = " ".join(shown.run(**ALONE).must_be_green(changed=True).output.split())
    assert "is the one that everybody knows" in told
    assert "rotate-data-keys" in told
    assert shown.host.run(f"cat {KEY}").stdout.strip() == KNOWN_KEY
    shown.run(**ALONE).must_be_green(changed=False)

    # What the warning says is done.
    assert shown.status("/api/admin/encryption/rotate-data-keys", None, "-X", "POST") == "204"
    shown.variables["grafana_security"] = {**security(PASSWORD), "secret_key": "vigil-sentinel-another"}
    shown.variables["grafana_renew_secret_key"] = True
    must_be_silent(shown.run(*LOUD, **ALONE)).must_be_green(changed=True)
    assert shown.host.run(f"cat {KEY}").stdout.strip() == "vigil-sentinel-another"
    assert shown.get("/api/datasources/uid/prometheus")["secureJsonFields"] == {"basicAuthPassword": True}
    # Given once, it stays without a further word.
    del shown.variables["grafana_renew_secret_key"]
    shown.variables["grafana_security"] = security(PASSWORD)
    shown.run(**ALONE).must_be_green()
    assert shown.host.run(f"cat {KEY}").stdout.strip() == "vigil-sentinel-another"
