# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database of a service on a real PostgreSQL and a real MariaDB: the program of the backup dumps it, a restore loads the dump, and
what was there comes back where that fails.

No Grafana is needed: what the backup and restore.yml do is done step by step. With a Grafana: test_grafana_server.py. By the same steps: a
disk that fills up.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import ansible
import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import database_on_server

from lab import hosts
from lab.application import INSTALL, PSQL, with_postgresql
from lab.common import ROOT, run

pytestmark = pytest.mark.xdist_group("database")

PASSWORD = "vigil-sentinel-database'\\$1"
DATA, RECORDS = "/var/lib/grafana", "/var/lib/vigil.monitoring"
REPOSITORY = {"RESTIC_REPOSITORY": "/srv/backup", "RESTIC_PASSWORD": "vigil-sentinel-restic"}
BEFORE = f"{RECORDS}/grafana.before.sql"
# Text that a client, or who puts a script together, could take for something else.
HARD = "it's; \\! touch /root/pwned \\. COMMIT; ${x} ü"


class Server:
    """A database ``grafana`` with its account, as both kinds of servers have it."""

    def __init__(self, host, kind):
        self.host, self.kind = host, kind
        port = {"postgres": 5432, "mysql": 3306}[kind]
        database = {
            "type": kind,
            "host": f"127.0.0.1:{port}",
            "name": "grafana",
            "user": "grafana",
            "password": PASSWORD,
        }
        self.given = database_on_server({"database": database})

    def boss(self, script):
        """What the administrator gets for a script."""
        command = PSQL.replace("psql", "psql -d grafana") if self.kind == "postgres" else "mariadb -N -r grafana"
        return self.host.run(command, stdin=script).stdout.strip()

    def make(self):
        quoted = PASSWORD.replace("'", "''")
        if self.kind == "postgres":
            self.host.run("systemctl start postgresql@$(ls /etc/postgresql)-main")
            self.host.run(PSQL, stdin=f"CREATE ROLE grafana LOGIN PASSWORD '{quoted}'")
            self.host.run(PSQL, stdin="CREATE DATABASE grafana OWNER grafana")
        else:
            self.host.run("systemctl start mariadb")
            quoted = quoted.replace("\\", "\\\\")
            self.host.run("mariadb", stdin=f"CREATE USER grafana@'127.0.0.1' IDENTIFIED BY '{quoted}'; CREATE DATABASE grafana;"
                          "GRANT ALL ON grafana.* TO grafana@'127.0.0.1'")  # fmt: skip

    def sql(self, script):
        """What the account of the service gets for a script."""
        secret = {"postgres": "PGPASSWORD", "mysql": "MYSQL_PWD"}[self.kind]
        self.host.run("cat >/root/secret", stdin=PASSWORD)
        client = "psql -XAtq -v ON_ERROR_STOP=1 -h 127.0.0.1 -U grafana grafana"
        if self.kind == "mysql":
            client = "mariadb -N -r -h 127.0.0.1 -u grafana grafana"
        return self.host.run(f'{secret}="$(cat /root/secret)" {client}', stdin=script).stdout.strip()

    def fill(self, *rows):
        """Two tables, of which one refers to the other, with these rows in them."""
        key = {"postgres": "serial PRIMARY KEY", "mysql": "int AUTO_INCREMENT PRIMARY KEY"}[self.kind]
        self.sql(
            f"CREATE TABLE org (id {key}, name varchar(200)); CREATE TABLE dashboard (id {key}, org_id int REFERENCES org (id))"
        )
        for row in rows:
            quoted = row.replace("'", "''").replace("\\", "\\\\" if self.kind == "mysql" else "\\")
            self.sql(
                f"INSERT INTO org (name) VALUES ('{quoted}'); INSERT INTO dashboard (org_id) SELECT max(id) FROM org"
            )

    def rows(self):
        return self.sql("SELECT name FROM org ORDER BY id").splitlines()

    def tables(self):
        schema = {"postgres": "'public'", "mysql": "'grafana'"}[self.kind]
        return self.sql(
            f"SELECT table_name FROM information_schema.tables WHERE table_schema = {schema} ORDER BY 1"
        ).split()

    def deny(self, denied=True):
        """Keep the account from creating tables, or let it again."""
        if self.kind == "postgres":
            verb = "ALTER DATABASE grafana OWNER TO " + ("postgres" if denied else "grafana")
        else:
            verb = (
                f"{'REVOKE CREATE ON grafana.* FROM' if denied else 'GRANT CREATE ON grafana.* TO'} grafana@'127.0.0.1'"
            )
        self.boss(verb)


@pytest.fixture(scope="module")
def machine():
    with hosts.host("trixie", group="fault", image=with_postgresql("trixie")) as made:
        made.run(INSTALL.format("restic mariadb-server mariadb-client-compat"), timeout=300)
        made.run(f"useradd --system grafana; install -d -o grafana -g grafana {DATA}; echo png >{DATA}/kept")
        program = ROOT / "plugins/module_utils/_backup_program.py"
        run(["docker", "cp", str(program), f"{made.name}:/root/backup.py"])
        made.run(
            "mkdir -p /root/lib/ansible /root/lib/ansible_collections/vigil/monitoring; cat >/root/driver.py",
            stdin=DRIVER,
        )
        made.run("touch /root/lib/ansible/__init__.py")
        for source, target in (
            (Path(ansible.__file__).parent / "module_utils", "ansible/module_utils"),
            (ROOT / "plugins", "ansible_collections/vigil/monitoring/plugins"),
        ):
            run(["docker", "cp", str(source), f"{made.name}:/root/lib/{target}"])
        yield made


# The steps of the module restore_data by its own functions, without Ansible, which would take most of the time.
DRIVER = """
import json, os, sys
from ansible_collections.vigil.monitoring.plugins.module_utils import _snapshots
from ansible_collections.vigil.monitoring.plugins.module_utils._backup_program import BackupError
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError
from ansible_collections.vigil.monitoring.plugins.module_utils._restore import RestoredData
from ansible_collections.vigil.monitoring.plugins.module_utils._system import HERE
from ansible_collections.vigil.monitoring.plugins.modules.restore_data import STEPS

given = json.load(sys.stdin)
step = given["step"]
with open("/root/driver.pid", "w") as stream:
    stream.write(str(os.getpid()))
try:
    if step == "inspect":
        print(json.dumps(RestoredData("grafana", given["data_dir"], HERE, given["database"]).inspect()["database"]))
        sys.exit()
    if step == "fetch":
        with _snapshots.Repository(given["access"]) as repository:
            given["snapshot"] = repository.snapshots()[0].id
    assert STEPS[step](given)["changed"]
except (BackupError, HostError) as error:
    sys.exit("refused: " + str(error))
"""
DESCRIBED = {
    "version": "12.0.0",
    "data": DATA,
    "config": "/etc/grafana",
    "files": [],
    "sources": [{"from": DATA, "to": DATA}, {"from": "/root/state/staging/grafana.sql", "to": None}],
}
ACCESS = {
    "restic": "/usr/bin/restic",
    "options": [],
    "environment": {"RESTIC_REPOSITORY": "/srv/backup", "RESTIC_PASSWORD_FILE": "@access@/password"},
    "password": REPOSITORY["RESTIC_PASSWORD"],
}
COMMAND = "PYTHONPATH=/root/lib python3 -B /root/driver.py"


class Restored:
    """A service whose data is restored step by step."""

    def __init__(self, server):
        self.server, self.host = server, server.host

    def given(self, step):
        given = {
            "service": "grafana",
            "data_dir": DATA,
            "database": self.server.given,
            "described": DESCRIBED,
            "files": [],
        }
        return json.dumps({**given, "step": step, "access": ACCESS, "size": 1 << 20})

    def step(self, step, refused=""):
        """What a step prints, or with what it is refused."""
        done = self.host.run(COMMAND, stdin=self.given(step), check=False)
        assert "vigil-sentinel" not in done.stdout + done.stderr
        assert bool(done.returncode) == bool(refused) and refused in done.stderr, done.stderr
        return done.stdout

    def left(self):
        return self.host.run(f"ls -d {DATA}/.vigil-before {DATA}/.vigil-restore {RECORDS}/*", check=False).stdout


@pytest.fixture(scope="module", params=["postgres", "mysql"])
def restored(request, machine):
    """A database that was backed up, and has changed since."""
    server = Server(machine, request.param)
    server.make()
    server.fill("then", HARD)
    config = {
        "name": "subject", "restic": "/usr/bin/restic", "options": [], "state_dir": "/root/state", "textfile": "", "keep": {},
        "prune_days": 0, "check_days": 0, "check_subset": "", "paths": [], "exclude": [], "environment": REPOSITORY,
        "services": [{
            "name": "grafana", "version": "12.0.0", "config": "/etc/grafana", "files": [], "exclude": [], "data": DATA,
            "prepare": [{"kind": "tree"}, {"kind": "dump", "argv": server.given["dump"], "environment": server.given["environment"]}],
        }],
    }  # fmt: skip
    machine.run("umask 077; cat >/root/backup.json; rm -rf /srv/backup", stdin=json.dumps(config))
    environment = " ".join(f"{name}={value}" for name, value in REPOSITORY.items())
    machine.run(f"{environment} restic init -q && python3 -I -B /root/backup.py /root/backup.json")
    server.sql(
        "DELETE FROM dashboard; DELETE FROM org; INSERT INTO org (name) VALUES ('now'); CREATE TABLE newer (id int)"
    )
    return Restored(server)


def killed_while_it_loads(restored):
    """The client waits for a lock on a table when the module is killed, and does not find the end of its script after that."""
    restored.step("fetch")
    lock = "BEGIN; LOCK TABLE dashboard IN ACCESS SHARE MODE; SELECT pg_sleep(600)"
    restored.host.run(f"systemd-run --quiet --unit=lock -p User=postgres psql -d grafana -c '{lock}'")
    command = f"systemd-run --quiet --unit=load --pipe /bin/sh -c '{COMMAND}' >/dev/null 2>&1 </root/given &"
    restored.host.run(f"cat >/root/given; {command}", stdin=restored.given("place"))
    waits = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'grafana' AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + 60
    while restored.server.boss(waits) != "1":
        assert time.monotonic() < deadline, "the client does not wait for the lock"
    restored.host.run("kill -KILL $(cat /root/driver.pid)")
    # A server goes on sleeping without its client.
    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%LOCK TABLE%' AND pid <> pg_backend_pid()"
    restored.server.boss(ends)
    while restored.server.boss("SELECT count(*) FROM pg_stat_activity WHERE usename = 'grafana'") != "0":
        assert time.monotonic() < deadline, "the session of the client goes on"


def test_a_dump_takes_the_place_of_a_database_and_that_comes_back(restored):
    server, host = restored.server, restored.host
    now = ["dashboard", "newer", "org"]
    assert json.loads(restored.step("inspect"))["problem"] is None
    restored.step("fetch")
    assert server.rows() == ["now"]

    # While another Grafana has it open, nothing is changed.
    wait = {"postgres": "SELECT pg_sleep(60)", "mysql": "SELECT SLEEP(60)"}[server.kind]
    program = " ".join(server.given["client"])
    secret = {"postgres": "PGPASSWORD", "mysql": "MYSQL_PWD"}[server.kind]
    text = f"#!/bin/sh\nexport PGHOST=127.0.0.1 PGUSER=grafana {secret}=\"$(cat /root/secret)\"\necho '{wait};' | exec {program}\n"
    host.run("cat >/root/other; chmod 700 /root/other", stdin=text)
    host.run("systemd-run --quiet --unit=other /root/other; sleep 1")
    restored.step("place", "is in use by 1 other sessions of the same account")
    host.run("systemctl stop other")
    if server.kind == "postgres":
        # The server goes on sleeping without its client.
        server.boss("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'grafana'")
    restored.step("undo")
    assert server.rows() == ["now"]
    assert restored.left() == ""

    # The account may not create what the dump creates: the server refuses in the middle of it.
    restored.step("fetch")
    server.deny()
    restored.step("place", " failed: ")
    if server.kind == "postgres":
        # There it is one transaction.
        assert server.rows() == ["now"] and server.tables() == now
    server.deny(False)
    restored.step("undo")
    assert server.rows() == ["now"] and server.tables() == now and restored.left() == ""

    if server.kind == "postgres":
        killed_while_it_loads(restored)
        assert server.rows() == ["now"] and server.tables() == now
        restored.step("undo")
        assert server.rows() == ["now"] and server.tables() == now and restored.left() == ""

    restored.step("fetch")
    restored.step("place")
    assert server.rows() == ["then", HARD] and server.tables() == ["dashboard", "org"]
    assert host.run(f"stat -c '%a %U' {BEFORE}").stdout.split() == ["600", "root"]
    assert host.run("ls /root/pwned", check=False).returncode
    # Numbers go on where they were.
    assert server.sql("INSERT INTO org (name) VALUES ('next')") == "" and server.rows()[-1] == "next"
    restored.step("undo")
    assert server.rows() == ["now"] and server.tables() == now and restored.left() == ""

    restored.step("fetch")
    restored.step("place")
    restored.step("finish")
    assert server.rows() == ["then", HARD] and restored.left() == ""


def test_what_cannot_be_reached_is_said_before_anything_is_changed(restored):
    server, host = restored.server, restored.host
    unit = "postgresql@$(ls /etc/postgresql)-main" if server.kind == "postgres" else "mariadb"
    program = f"/usr/bin/{server.given['client'][0]}"
    host.run(f"systemctl stop {unit}")
    assert "onnect" in json.loads(restored.step("inspect"))["problem"]
    host.run(f"systemctl start {unit}; mv {program} {program}.away")
    problem = json.loads(restored.step("inspect"))["problem"]
    assert problem.startswith(f"{server.given['client'][0]} is not installed on this host, and ")
    host.run(f"mv {program}.away {program}")
    assert restored.left() == ""


def test_a_disk_that_fills_up_while_data_is_restored(machine):
    """There was space when the restore began: what is there stays, and nothing is left of what was restored."""
    small, lost = "/srv/small/data", "/srv/lost"
    machine.run("mkdir /srv/small; mount -t tmpfs -o size=120m tmpfs /srv/small")
    machine.run(f"install -d -o grafana -g grafana {small}; echo now >{small}/kept")
    environment = " ".join(f"{name}={value}" for name, value in REPOSITORY.items())
    make = f"mkdir {lost}; head -c 150M /dev/urandom >{lost}/large; rm -rf /srv/backup"
    machine.run(
        f"{make}; export {environment}; restic init -q; restic backup -q --tag vigil {lost}; rm -r {lost}", timeout=120
    )
    described = {**DESCRIBED, "data": lost, "sources": [{"from": lost, "to": lost}]}
    given = {
        "service": "grafana",
        "data_dir": small,
        "database": None,
        "described": described,
        "files": [],
        "access": ACCESS,
    }

    def step(name):
        done = machine.run(
            COMMAND, stdin=json.dumps({**given, "step": name, "size": 1 << 20}), check=False, timeout=120
        )
        return done.returncode, done.stdout + done.stderr

    status, said = step("fetch")
    assert status == 1 and said.startswith(
        "refused: no space is left where the repository, the cache or the data is"
    ), said
    assert machine.run(f"cat {small}/kept").stdout == "now\n"
    assert step("undo")[0] == 0
    assert machine.run(f"ls -A {small}").stdout.split() == ["kept"]
    machine.run("umount /srv/small")
