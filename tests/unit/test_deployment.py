# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deployment decides, on a host that is played: what restarts, what reloads, what is refused, and what goes back."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
import simulated_host
from ansible_collections.vigil.monitoring.plugins.module_utils import (
    _data_directory,
    _database_role,
    _decision,
    _nofollow,
    _postgres,
    _postgres_server,
    _preflight,
    _runtime_docker,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import LABEL_DEFINITION, LABEL_SERVICE
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError, State
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_docker import Docker
from simulated_host import Host, Program, activate, deploy, dying, stage

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files get owners, which takes root")


@pytest.fixture
def disk():
    """A directory in memory where there is one: a deployment waits for the disk at each of its steps."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
def host(disk):
    made = Host(disk)
    made.install("3.5.3")
    made.install("3.6.0")
    return made


@pytest.fixture
def deployed(host):
    assert deploy(host)["action"] == "started"
    return host


def test_first(host):
    done = deploy(host)
    assert (done["changed"], done["action"], done["version"]) == (True, "started", "3.5.3")
    assert host.process.loaded == "a: 1"


def unchanged(host):
    """A second run of the same, which must find nothing to do."""
    before, disk = host.process.pid, host.files()
    done = deploy(host)
    assert (done["changed"], done["action"], host.process.pid, host.files()) == (False, "none", before, disk)


# What happens to the process

CHANGES = {
    "nothing": ({}, "none", False),
    "configuration": ({"config": "a: 2"}, "reloaded", False),
    "unit": ({"lines": "Nice=5\n"}, "restarted", True),
    "drop-in": ({"dropin": "[Service]\nNice=5\n"}, "restarted", True),
    "flag": ({"flags": ["--log.level=debug"]}, "restarted", True),
    "release": ({"version": "3.6.0"}, "restarted", True),
    "release and configuration": ({"version": "3.6.0", "config": "a: 2"}, "restarted", True),
    "port": ({"port": 9191}, "restarted", True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_decides_what_happens(deployed, change):
    options, action, another = CHANGES[change]
    before, disk = deployed.process.pid, deployed.files()
    told = deploy(deployed, check=True, **options)
    if change != "configuration":  # of that config_files tells
        assert (told["action"], told["changed"]) == (action, action != "none")
    assert (deployed.files(), deployed.process.pid) == (disk, before)
    done = deploy(deployed, **options)
    assert (done["action"], done["changed"]) == (action, action != "none")
    assert (deployed.process.pid != before) is another
    assert deployed.process.loaded == options.get("config", "a: 1")
    assert deployed.process.executable == os.path.realpath(deployed.link)
    again = deploy(deployed, **options)
    assert (again["action"], again["changed"]) == ("none", False)


TITLE = "prometheus.service"


def by_hand(host, word):
    host._stop(TITLE)
    made = host._spawn([str(host.link), word], host_program(host), TITLE, {})
    host._load(made)


def host_program(host):
    return Program(**json.loads(host.link.read_text()))


def edited(host, text):
    (host.etc / "prometheus.yml").write_text(text)
    host._load(host.process)


def relinked(host):
    host.link.unlink()
    host.link.symlink_to(host.root / "opt/3.6.0/prometheus")


DRIFT = {
    "stopped": (lambda host: host._systemctl("stop", [TITLE], []), "started"),
    "crashing": (lambda host: (host.world.processes.clear(), host._fail(TITLE, "x")), "started"),
    "disabled": (lambda host: host.world.enabled.clear(), "none"),
    "started by hand with other arguments": (lambda host: by_hand(host, "--other"), "restarted"),
    # What was put back is what the process was started with; it may have loaded something else since.
    "unit edited": (lambda host: host.unit.write_text("[Service]\nExecStart=/bin/true\n"), "reloaded"),
    "unit removed": (lambda host: host.unit.unlink(), "reloaded"),
    "link to another release": (relinked, "reloaded"),
    "link to another release, started": (lambda host: (relinked(host), host.crash()), "restarted"),
    "configuration edited and loaded": (lambda host: edited(host, "a: 9"), "reloaded"),
    "configuration removed": (lambda host: (host.etc / "prometheus.yml").unlink(), "reloaded"),
    "proof lost": (lambda host: (host.etc / ".vigil/proven.json").unlink(), "reloaded"),
}


@pytest.mark.parametrize("drift", DRIFT)
def test_what_somebody_changed_is_mended(deployed, drift):
    wanted = deployed.files()
    act, action = DRIFT[drift]
    act(deployed)
    done = deploy(deployed)
    assert (done.get("msg"), done["action"], done["changed"]) == (None, action, True)
    assert deployed.files() == wanted
    assert TITLE in deployed.world.enabled
    assert (deployed.process.loaded, deployed.process.executable) == ("a: 1", os.path.realpath(deployed.link))
    unchanged(deployed)


# What does not work goes back

BAD = {
    "it dies": ({"dies": True}, "it keeps restarting"),
    "it dies after a moment": ({"dies_after": 0.5}, "it restarted during verification"),
    "it is never ready": ({"ready_after": 10_000}, "not ready within 120 s"),
    "another version answers": ({"says": "3.5.9"}, "version 3.5.9 is running, 3.6.0 is expected"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_release_that_does_not_work_goes_back(deployed, bad):
    behaviour, reason = BAD[bad]
    wanted = deployed.files()
    deployed.install("3.6.0", **behaviour)
    wanted["opt/3.6.0/prometheus"] = deployed.files()["opt/3.6.0/prometheus"]
    began = deployed.monotonic()
    done = deploy(deployed, "a: 2", version="3.6.0", lines="Nice=5\n")
    assert done["failed"]
    assert reason in done["msg"]
    assert "(3.5.3) was restored and is healthy again" in done["msg"]
    assert deployed.monotonic() - began < 150
    assert deployed.files() == wanted
    assert (deployed.process.program.version, deployed.process.loaded) == ("3.5.3", "a: 1")
    unchanged(deployed)


# A program that the collection does not know

QUEUE = {"metrics_prefix": "queue", "version_metric": "queue_exporter_build_info", "on_config_change": "restart"}


@pytest.fixture
def unknown(tmp_path, monkeypatch):
    """An exporter that nobody has heard of, deployed by the module alone."""
    monkeypatch.setattr(simulated_host, "NAME", "queue_exporter")
    host = Host(tmp_path)
    host.install("1.0.0")
    assert deploy(host, version="1.0.0", health=QUEUE)["action"] == "started"
    return host


def test_a_program_that_the_collection_does_not_know(unknown):
    before = unknown.process.pid
    again = deploy(unknown, version="1.0.0", health=QUEUE)
    assert (again["changed"], again["action"], again["version"]) == (False, "none", "1.0.0")
    changed = deploy(unknown, "a: 2", version="1.0.0", health=QUEUE)
    assert (changed["action"], unknown.process.pid != before) == ("restarted", True)
    reloads = {**QUEUE, "metrics_prefix": "queue_exporter", "on_config_change": "reload"}
    reloaded = deploy(unknown, "a: 3", version="1.0.0", health=reloads)
    assert (reloaded["action"], unknown.process.loaded) == ("reloaded", "a: 3")


def test_a_program_that_the_collection_does_not_know_goes_back(unknown):
    unknown.install("2.0.0", says="9.9.9")
    files = unknown.files()
    done = deploy(unknown, version="2.0.0", health=QUEUE)
    assert "version 9.9.9 is running, 2.0.0 is expected" in done["msg"]
    assert "(1.0.0) was restored and is healthy again" in done["msg"]
    assert unknown.files() == files
    wrong = deploy(unknown, version="1.0.0", lines="Nice=5\n", health={**QUEUE, "version_metric": "other_build_info"})
    assert "another program than queue_exporter responds: its metrics do not have other_build_info" in wrong["msg"]


# What is put back is asked as it was asked before

ELSEWHERE = {
    "port": {"port": 9191},
    "address that nothing leads to": {"health": {"url": "http://127.0.0.9:9191"}},
    "scheme": {"health": {"url": "https://127.0.0.1:9090"}},
    "route prefix": {"health": {"url": "http://127.0.0.1:9090/p"}},
    "path of the metrics": {"health": {"metrics_path": "/m"}},
    "login": {"health": {"username": "me", "password": "x"}},
}


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize("change", ELSEWHERE)
def test_what_is_put_back_is_asked_where_it_was_asked_before(deployed, change, remembered):
    wanted = deployed.files()
    if not remembered:  # deployed by 0.2.0, which wrote nothing down
        (deployed.etc / ".vigil/asked.json").unlink()
    began = deployed.monotonic()
    done = deploy(deployed, dropin="[Service]\nExecStartPre=/bin/false\n", **ELSEWHERE[change])
    assert done["failed"]
    assert (
        "The previous deployment (3.5.3) was restored and is healthy again at http://127.0.0.1:9090/metrics"
        in done["msg"]
    )
    assert deployed.monotonic() - began < 10
    assert deployed.files() == wanted
    assert json.loads((deployed.etc / ".vigil/proven.json").read_text())["generation"]
    unchanged(deployed)


def test_what_0_2_0_remembered_of_how_it_is_asked_is_understood(deployed):
    path = deployed.etc / ".vigil/asked.json"
    known = json.loads(path.read_text())
    names = ("url", "metrics_path", "username", "password", "ca_path", "other_urls", "client_cert", "client_key")
    asked = {"kind": "prometheus", **{name: known["health"][name] for name in names}, "username": "me"}
    path.write_text(json.dumps({"generation": known["generation"], "probe": asked}))
    done = deploy(deployed, dropin="[Service]\nExecStartPre=/bin/false\n", port=9191)
    assert "(3.5.3) was restored and is healthy again at http://127.0.0.1:9090/metrics as me" in done["msg"]
    unchanged(deployed)


def test_how_a_service_is_asked_is_for_root_alone(deployed):
    deploy(deployed, health={"username": "me", "password": "Sentinel"})
    path = deployed.etc / ".vigil/asked.json"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "Sentinel" in path.read_text()
    others = [other for other in path.parent.iterdir() if other.is_file() and other != path]
    assert not [other for other in others if "Sentinel" in other.read_text()]


def test_what_nobody_knows_how_to_ask_is_not_called_healthy(deployed):
    (deployed.etc / ".vigil/asked.json").unlink()
    deployed.install("3.5.3", dies=True)
    deployed.crash()
    deployed.install("3.5.3")  # mended, but systemd has not tried again
    done = deploy(deployed, dropin="[Service]\nExecStartPre=/bin/false\n", port=9191)
    assert "was restored and runs again. It could not be verified" in done["msg"]
    assert "is healthy again" not in done["msg"]


def test_what_did_not_answer_before_is_not_blamed_on_the_rollback(deployed):
    deployed.process.program = Program("3.5.3", mute=True)
    deployed.install("3.5.3", mute=True)
    done = deploy(deployed, dropin="[Service]\nExecStartPre=/bin/false\n", port=9191)
    assert "is not healthy either (checked at http://127.0.0.1:9090/metrics)" in done["msg"]
    assert "and it did not answer before the change" in done["msg"]


PERMANENT = {
    "scheme": ({"health": {"url": "https://127.0.0.1:9090"}}, "does not use TLS", "prometheus_web_config"),
    "path": ({"health": {"metrics_path": "/other"}}, "HTTP 404", "its metrics"),
}


@pytest.mark.parametrize("what", PERMANENT)
def test_what_waiting_will_not_change_is_not_waited_for(deployed, what):
    options, words, variable = PERMANENT[what]
    began = deployed.monotonic()
    done = deploy(deployed, version="3.6.0", **options)
    assert words in done["msg"]
    assert variable in done["msg"]
    assert "is healthy again at http://127.0.0.1:9090/metrics" in done["msg"]
    assert deployed.monotonic() - began < 10


def test_what_is_left_of_a_deployment_that_went_back_is_said(deployed):
    path = deployed.root / "grafana.db"
    path.write_text("x")
    deployed.install("3.6.0", dies=True)
    done = deploy(deployed, dropin="[Service]\nExecStartPre=/bin/false\n", keep=[str(path)])
    assert f"What it has written to {path} was kept." in done["msg"]
    # Another program would change it for good, so it is copied, and goes back.
    done = deploy(deployed, version="3.6.0", keep=[str(path)])
    assert "was kept" not in done["msg"]


def test_its_own_last_words_are_in_the_message(deployed):
    deployed.install("3.6.0", dies=True)
    done = deploy(deployed, version="3.6.0")
    assert 'level=error err="this cannot work"' in done["msg"]


def test_a_first_deployment_that_does_not_work_is_taken_away(host):
    before = host.files()
    host.install("3.5.3", dies=True)
    before["opt/3.5.3/prometheus"] = host.files()["opt/3.5.3/prometheus"]
    done = deploy(host)
    assert done["failed"]
    assert "prometheus was not deployed here before: it was stopped and removed again." in done["msg"]
    assert (host.files(), host.process, host.world.enabled) == (before, None, set())
    host.install("3.5.3")
    assert deploy(host)["action"] == "started"


def test_what_did_not_run_before_does_not_run_afterwards(deployed):
    wanted = deployed.files()
    deployed._systemctl("stop", [TITLE], [])
    deployed.install("3.6.0", dies=True)
    wanted["opt/3.6.0/prometheus"] = deployed.files()["opt/3.6.0/prometheus"]
    done = deploy(deployed, version="3.6.0")
    assert "The previous deployment was restored; it was not running before either." in done["msg"]
    assert (deployed.files(), deployed.process) == (wanted, None)


def test_what_cannot_be_put_back_says_so(deployed):
    deployed.install("3.6.0", dies=True)
    deployed.install("3.5.3", dies=True)
    done = deploy(deployed, version="3.6.0")
    assert "is not healthy either" in done["msg"]
    assert "is healthy again" not in done["msg"]


def test_a_configuration_that_is_refused_at_the_reload_goes_back(deployed):
    before, wanted = deployed.process.pid, deployed.files()
    done = deploy(deployed, "broken: 1")
    assert done["failed"]
    assert "its last configuration reload failed" in done["msg"]
    assert deployed.files() == wanted
    assert (deployed.process.loaded, deployed.process.reload_successful) == ("a: 1", True)
    assert deployed.process.pid != before  # put back with a restart, which proves that it comes up
    unchanged(deployed)


def test_a_failed_reload_of_before_is_not_held_against_a_new_configuration(deployed):
    edited(deployed, "broken: 1")
    done = deploy(deployed, "a: 2")
    assert (done.get("msg"), done["action"]) == (None, "reloaded")
    assert (deployed.process.loaded, deployed.process.reload_successful) == ("a: 2", True)


def test_a_failed_reload_that_nobody_mended_is_tried_again(deployed):
    deployed.process.reload_successful = False
    done = deploy(deployed)
    assert (done.get("msg"), done["action"], done["reason"]) == (
        None,
        "reloaded",
        "its last configuration reload failed",
    )


def test_a_service_in_a_crash_loop_is_no_success_although_nothing_changed(deployed):
    deployed.install("3.5.3", dies=True)
    deployed.crash()
    done = deploy(deployed)
    assert done["failed"]
    assert "it keeps restarting" in done["msg"]


# Another account


def data_of(host, owner="daemon", **options):
    """Stage with an account, which owns the data."""
    data = [{"path": str(host.root / "data"), "owner": owner, "group": owner, "mode": "0750"}]
    return stage(host, "a: 1", user=owner, group=owner, directories=data, **options)


def owners(host):
    """User and group of everything but programs and units."""
    found = {}
    for top in (host.etc, host.root / "data"):
        for path in (top, *top.rglob("*")):
            if ".vigil" not in path.parts:
                status = path.lstat()
                found[str(path.relative_to(host.root))] = (status.st_uid, status.st_gid)
    return found


@pytest.fixture
def owned(host):
    """A deployment whose data belongs to the account daemon, but for what somebody else keeps there."""
    data_of(host)
    assert activate(host)["action"] == "started"
    inner = host.root / "data" / "wal"
    inner.mkdir()
    for name in ("a", "b"):
        (inner / name).write_text("x")
        os.chown(inner / name, 1, 1)
    os.chown(inner, 1, 1)
    (host.root / "data" / "roots").write_text("x")
    os.symlink("/etc/passwd", host.root / "data" / "link")
    os.chown(host.root / "data" / "link", 1, 1, follow_symlinks=False)
    return host


def test_data_and_configuration_pass_to_another_account_with_the_switch(owned):
    before, passwd = owners(owned), os.stat("/etc/passwd").st_uid
    staged = data_of(owned, "bin")
    assert staged["changed"]
    assert owners(owned) == before  # what runs still needs it
    # Stopped while its data changes hands.
    assert activate(owned, lines="User=bin\n")["action"] == "started"
    after = owners(owned)
    assert after["data/wal/a"] == after["data/link"] == after["data"] == (2, 2)
    assert after["etc/prometheus"] == after["etc/prometheus/prometheus.yml"] == (0, 2)
    assert (after["data/roots"], os.stat("/etc/passwd").st_uid) == ((0, 0), passwd)
    assert not data_of(owned, "bin")["changed"]
    assert activate(owned, lines="User=bin\n")["action"] == "none"


def test_owners_go_back_with_the_rest(owned):
    before, wanted = owners(owned), owned.files()
    data_of(owned, "bin")
    done = activate(owned, lines="User=bin\n", dropin="[Service]\nExecStartPre=/bin/false\n")
    assert "was restored and is healthy again" in done["msg"]
    assert (owners(owned), owned.files()) == (before, wanted)


def test_a_run_that_is_killed_while_owners_change_is_undone_and_completed(owned):
    before = owners(owned)
    data_of(owned, "bin")
    moments = 0
    while not dying(owned, moments, lambda: activate(owned, lines="User=bin\n")):
        owned.recall()
        data_of(owned)  # which undoes what was begun
        assert activate(owned)["action"] in ("none", "started", "restarted", "reloaded")
        assert owners(owned) == before
        data_of(owned, "bin")
        moments += 7
    owned.recall()
    assert owners(owned)["data/wal/a"] == (2, 2)


def test_a_file_for_the_account_before_alone_is_refused_before_anything(owned):
    owned.root.chmod(0o755)
    path = owned.etc / "key"
    path.write_text("x")
    os.chown(path, 0, 1)
    path.chmod(0o640)
    assert not data_of(owned, readable=[str(path)]).get("failed")
    done = data_of(owned, "bin", readable=[str(path)])
    assert "cannot be read by the user bin" in done["msg"]
    os.chown(path, 0, 2)
    assert not data_of(owned, "bin", readable=[str(path)]).get("failed")


def restored(host, name, mode):
    """What a restore put there as root."""
    path = host.root / "data" / "wal" / name
    os.chown(path, 0, 0)
    path.chmod(mode)
    return path


def test_data_of_another_account_is_named_where_the_service_does_not_come_up(owned):
    os.unlink(owned.root / "data" / "roots")
    path, data = restored(owned, "b", 0o644), owned.root / "data"
    owned.install("3.6.0", dies=True)
    data_of(owned)
    done = activate(owned, version="3.6.0", data_dir=str(data))
    assert f"{path} belongs to root, and daemon cannot write to it" in done["msg"]
    assert f"`chown -Rh daemon:daemon {data}`" in done["msg"]
    assert "was restored and is healthy again" in done["msg"]
    # What the account may change all the same is not to blame, nor is what the collection put there itself.
    path.chmod(0o666)
    (data / ".vigil-version").write_text("3.5.3")
    (data / "lost+found").mkdir(mode=0o700)
    data_of(owned)
    assert "chown" not in activate(owned, version="3.6.0", data_dir=str(data))["msg"]


def test_data_of_another_account_is_named_where_nothing_was_changed(owned):
    os.unlink(owned.root / "data" / "roots")
    path, data = restored(owned, "a", 0o600), str(owned.root / "data")
    restored(owned, "b", 0o600)
    owned.install("3.5.3", mute=True)
    done = activate(owned, state="restarted", data_dir=data)
    assert f"{path} belongs to root (and 1 more), and daemon cannot" in done["msg"]
    data_of(owned)
    assert f"{path} belongs to root (and 1 more)" in activate(owned, data_dir=data)["msg"]


def test_data_of_another_account_is_named_by_a_check_before_a_start(owned):
    os.unlink(owned.root / "data" / "roots")
    path, data = restored(owned, "b", 0o644), str(owned.root / "data")
    # What runs has shown that it can.
    assert activate(owned, check=True, data_dir=data)["notes"] == []
    owned.run(["systemctl", "stop", "prometheus.service"])
    done = activate(owned, check=True, data_dir=data)
    assert done["action"] == "started" and f"{path} belongs to root" in done["notes"][0]
    assert done["warnings"] == ["prometheus might not start. " + done["notes"][0]]


def test_a_disk_that_cannot_be_read_does_not_keep_anything_from_being_put_back(owned, monkeypatch):
    def unreadable(*dummy):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(_nofollow, "strangers", unreadable)
    owned.install("3.6.0", dies=True)
    data_of(owned)
    done = activate(owned, version="3.6.0", data_dir=str(owned.root / "data"))
    assert "was restored and is healthy again" in done["msg"]


# A role in a database goes back with the rest


class Database:
    """A server in which a role has a password, or is not there; what stands for psql."""

    def __init__(self, password="old", reachable=True):
        self.password, self.reachable, self.said = password, reachable, []

    def __call__(self, given):
        return self

    def say(self, script, *dummy):
        if not self.reachable:
            raise _postgres_server.Unreachable("connection refused")
        if script.startswith("SELECT"):
            role = {"rolcanlogin": True} if self.password else None
            seen = {"version": 170000, "standby": False, "role": role, "connect": True}
            stored = self.password and _postgres.scram_verifier(self.password, b"salt")
            member_of = ["pg_monitor"] if role else []
            return json.dumps({**seen, "member_of": member_of, "stored": stored})
        self.said.append(script)
        stored = re.search(r"PASSWORD '(SCRAM[^']*)'", script)
        passwords = [one for one in ("old", "new") if stored and _postgres.is_password(one, stored[1], "exp")]
        self.password = passwords[0] if passwords else None if "DROP ROLE" in script else self.password
        return ""


@pytest.fixture
def server(monkeypatch):
    made = Database()
    monkeypatch.setattr(_database_role, "Server", made)
    return made


ROLE = {"name": "exp", "password": "new", "password_file": None, "database": "shop"}
BROKEN = {"dropin": "[Service]\nExecStartPre=/bin/false\n"}


@pytest.mark.parametrize("before", ["old", None])
def test_the_role_goes_back_with_a_deployment_that_does_not_work(deployed, server, before):
    server.password = before
    done = deploy(deployed, database=ROLE, **BROKEN)
    assert "The role exp in the database was restored." in done["msg"]
    assert server.password == before
    assert not (deployed.etc / ".vigil/database.json").exists()
    assert deploy(deployed, database=ROLE, version="3.6.0")["action"] == "restarted"
    assert server.password == "new"
    assert not (deployed.etc / ".vigil/database.json").exists()


def test_what_could_not_be_put_back_in_the_database_is_said(deployed, server):
    deployed.install("3.6.0", dies=True)
    spoken = server.say

    def gone_after_the_change(script, *more):
        if "SCRAM" in script:
            spoken(script, *more)
            server.reachable = False
            return ""
        return spoken(script, *more)

    server.say = gone_after_the_change
    done = deploy(deployed, database=ROLE, version="3.6.0")
    assert "The role exp in the database could not be restored; run the play again" in done["msg"]
    assert (deployed.etc / ".vigil/database.json").exists()


def test_a_run_that_was_killed_after_the_change_leaves_the_way_back_to_the_next(deployed, server):
    server.say("SELECT")  # it is as it was
    undo = _postgres.undo("exp", "shop", json.loads(server.say("SELECT")))
    (deployed.etc / ".vigil/database.json").write_text(json.dumps({"undo": undo, "reason": None}))
    server.password = "new"
    deploy(deployed, database=ROLE, **BROKEN)
    assert server.password == "old"


def test_the_role_is_untouched_where_the_deployment_is_refused(deployed, server):
    done = deploy(deployed, database=ROLE, version="2.54.0", data_dir="/nowhere")
    assert done["failed"]
    assert (server.password, server.said) == ("old", [])


def test_the_role_is_put_back_where_the_switch_itself_fails(deployed, server, monkeypatch):
    def fails(*dummy):
        raise HostError("no space left")

    monkeypatch.setattr(State, "switch", fails)
    with pytest.raises(HostError):
        deploy(deployed, "a: 2", database=ROLE)
    assert server.password == "old"


# What is refused before anything is touched

REFUSED = {
    "a taken port": (lambda host: host.occupy(9191), {"port": 9191}, "port 9191 is held by prometheus"),
    "an unknown flag": (
        lambda host: host.install("3.6.0", refuses=("--new",)),
        {"version": "3.6.0", "flags": ["--new=1"]},
        "does not know the flag --new",
    ),
    "another tool's file": (
        lambda host: theirs(host.root / "etc/other.yml"),
        {"files": "etc/other.yml"},
        "etc/other.yml was not written by this collection",
    ),
    "an older version than the data's": (
        lambda host: host.install("2.54.0"),
        {"version": "2.54.0", "data_dir": "/nowhere"},
        "a downgrade was refused",
    ),
}


def theirs(path):
    path.write_text("theirs")


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("check", [False, True])
def test_refused_before_anything_is_touched(deployed, what, check):
    prepare, options, reason = REFUSED[what]
    prepare(deployed)
    if "files" in options:
        options = {"files": {str(deployed.root / options["files"]): "ours"}}
    before, wanted = deployed.process.pid, deployed.files()
    done = deploy(deployed, "a: 2", check=check, **options)
    assert done["failed"]
    assert done["msg"].startswith("prometheus was not changed:\n")
    assert reason in done["msg"]
    assert (deployed.process.pid, deployed.files(), deployed.process.loaded) == (before, wanted, "a: 1")
    unchanged(deployed)


class OtherEngine:
    """An engine of the host, whatever its address."""

    def __init__(self, version, containers=(), security=()):
        self.host, self.containers, self.security = "unix:///run/docker.sock", dict(containers), list(security)
        self.version = lambda: version
        self.network = lambda name: {}
        self.info = lambda: {"SecurityOptions": self.security}
        self.container = self.containers.get


PODMAN = {"ApiVersion": "1.41", "Version": "4.9.3", "Components": [{"Name": "Podman Engine"}]}
DOCKER = {"ApiVersion": "1.45", "Version": "27.0.3", "Components": [{"Name": "Engine"}]}
CONTAINER = {"image": "a/b:1", "user": "0:0", "network_mode": "host", "command": []}


@pytest.mark.parametrize("check", [False, True])
def test_what_podman_runs_of_the_service_is_named_before_systemd_runs_another(deployed, monkeypatch, check):
    State(str(deployed.etc)).remember_engine("unix:///run/docker.sock")
    engine = OtherEngine(PODMAN, {"prometheus": {"Config": {"Labels": {LABEL_SERVICE: "prometheus"}}}})
    monkeypatch.setattr(_runtime_docker, "Engine", lambda address: engine)
    before, disk = deployed.process.pid, deployed.files()
    done = deploy(deployed, version="3.6.0", check=check)
    assert (deployed.process.pid, deployed.files()) == (before, disk)
    assert done["failed"] and "Podman is not supported as a runtime" in done["msg"]
    assert "`podman rm --force prometheus`" in done["msg"]
    # Somebody else's is none of ours.
    engine.containers["prometheus"]["Config"]["Labels"] = {}
    assert deploy(deployed, version="3.6.0", check=check)["action"] == "restarted"


def test_a_port_that_a_container_of_podman_holds(deployed, monkeypatch):
    deployed.occupy(9191, "libpod-" + "ab" * 32 + ".scope")
    done = deploy(deployed, port=9191)
    assert "held by prometheus in the container abababababab of Podman (process" in done["msg"]


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (OtherEngine(PODMAN), "Podman 4.9.3"),
        (OtherEngine(DOCKER, security=["name=userns"]), "prometheus_container_extra: {userns_mode: host}"),
        (OtherEngine({"ApiVersion": "1.30", "Version": "17.06"}), "too old"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_an_engine_that_cannot_run_the_container_is_named_before_anything(deployed, monkeypatch, engine, words, check):
    monkeypatch.setattr(_runtime_docker, "Engine", lambda address: engine)
    disk = deployed.files()
    done = activate(deployed, runtime="docker", container=CONTAINER, check=check)
    assert done["msg"].startswith("prometheus was not changed:\n") and words in done["msg"]
    assert deployed.files() == disk


@pytest.fixture
def renamed(deployed, monkeypatch):
    """A service in a container, to which somebody gave another name; its engine."""
    engine = OtherEngine(DOCKER)
    fingerprint = Docker("prometheus", engine, CONTAINER, "sha256:1").fingerprint()
    one = {
        "Id": "id1",
        "Name": "/mine",
        "Image": "sha256:1",
        "RestartCount": 0,
        "Config": {"Labels": {LABEL_SERVICE: "prometheus", LABEL_DEFINITION: fingerprint}},
        "State": {"Running": True, "Restarting": False, "Pid": deployed.process.pid, "StartedAt": "0"},
        "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}},
        "NetworkSettings": {"Networks": {"host": {}}},
    }
    made = {"id": "id1", "image": "sha256:1", "fingerprint": fingerprint, "definition": CONTAINER}
    manifest = deployed.etc / ".vigil" / "manifest.json"
    known = dict(json.loads(manifest.read_text()), units=[], links={})
    manifest.write_text(json.dumps(dict(known, container=dict(made, limits={"networks": ["host"]}))))
    engine.all = [one]

    def find(name):
        return next((each for each in engine.all if name in (each["Id"], each["Name"].lstrip("/"))), None)

    engine.container = find
    engine.rename = lambda name, new: find(name).update(Name="/" + new)
    engine.set_policy = engine.start = lambda *dummy: None
    monkeypatch.setattr(_runtime_docker, "Engine", lambda address: engine)
    return engine


def in_a_container(host, **options):
    return activate(host, runtime="docker", container=CONTAINER, image="sha256:1", links={}, **options)


def test_a_container_that_was_renamed_by_hand_is_not_replaced(deployed, renamed):
    told = in_a_container(deployed, check=True)
    assert (told["changed"], told["action"]) == (True, "none"), told
    assert told["notes"] == ["the container prometheus was renamed to mine by hand: it would get its name again"]
    assert renamed.all[0]["Name"] == "/mine"
    done = in_a_container(deployed)
    assert done["changed"]
    assert done["notes"] == ["the container prometheus was renamed to mine by hand: it has its name again"]
    assert renamed.all[0]["Name"] == "/prometheus"
    assert not in_a_container(deployed)["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_a_renamed_container_whose_name_another_has_is_told_and_nothing_is_done(deployed, renamed, check):
    renamed.all.append(dict(renamed.all[0], Id="id2", Name="/prometheus", Config={"Labels": {}}))
    words = "renamed to mine by hand, and another container has its name now"
    with pytest.raises(HostError, match=words):
        in_a_container(deployed, check=check)
    assert [one["Name"] for one in renamed.all] == ["/mine", "/prometheus"]


@pytest.mark.parametrize("check", [True, False])
def test_all_that_is_known_before_anything_is_deployed_is_told_at_once(host, monkeypatch, check):
    """A bare host has no configuration directory yet; a run has it by then, and says the same."""
    host.unit.write_text("[Service]\nExecStart=/bin/theirs\n")
    host.occupy(9090)
    limits = {
        "1/limits": "Max open files            1024                 20000                files\n",
        "1/status": "CapEff:\t0000000000000000\n",
    }
    proc = host.proc
    monkeypatch.setattr(host, "proc", lambda path: limits.get(path) or proc(path))
    dropin = "[Service]\nLimitNOFILE=20001\n"
    places = {str(host.link.parent), "/nowhere"}
    monkeypatch.setattr(_preflight, "place_problem", lambda path: f"{path} is read-only" if path in places else None)
    wanted = host.files()
    done = (activate if check else deploy)(host, check=check, dropin=dropin)
    assert done["failed"]
    for reason in (
        "another tool's unit",
        "port 9090 is held by",
        f"{host.link.parent} is read-only; make it writable, or set prometheus_binary_install_dir",
        "the drop-in sets LimitNOFILE=20001, and systemd on this host can grant no more than 20000",
    ):
        assert reason in done["msg"]
    assert (host.files(), host.process) == (wanted, None)


def test_a_check_before_anything_is_deployed(host):
    wanted = host.files()
    told = deploy(host, check=True)
    assert (told["action"], told["changed"], host.files()) == ("started", True, wanted)
    assert deploy(host)["action"] == "started"


def test_a_directory_of_links_that_is_not_there_is_made(host):
    host.link = host.root / "tools" / "bin" / "prometheus"
    assert deploy(host, check=True)["action"] == "started"
    assert not host.link.parent.parent.exists()
    assert deploy(host)["action"] == "started"
    unchanged(host)


@pytest.mark.parametrize("take_over", [False, True])
def test_another_tools_unit(host, take_over):
    host.unit.write_text(f"[Service]\nExecStart={host.root}/opt/3.5.3/prometheus --web.listen-address=:9090\n")
    host._systemctl("enable", [TITLE], [])
    host._systemctl("start", [TITLE], [])
    before, wanted = host.process.pid, host.files()
    done = deploy(host, take_over=take_over)
    if take_over:
        assert (done.get("msg"), done["action"]) == (None, "restarted")
        assert "VIGIL_UNIT" in host.unit.read_text()
        return
    assert "another tool's unit" in done["msg"]
    assert "prometheus_take_over: true" in done["msg"]
    assert (host.process.pid, host.files()) == (before, wanted)


def test_a_unit_that_was_taken_over_goes_back_as_it_was(host):
    host.unit.write_text(f"[Service]\nExecStart={host.root}/opt/3.5.3/prometheus --web.listen-address=:9090\n")
    host._systemctl("enable", [TITLE], [])
    host._systemctl("start", [TITLE], [])
    wanted = host.files()
    host.install("3.6.0", dies=True)
    wanted["opt/3.6.0/prometheus"] = host.files()["opt/3.6.0/prometheus"]
    done = deploy(host, version="3.6.0", take_over=True)
    assert "was restored and is healthy again" in done["msg"]
    assert host.files() == wanted
    assert host.process.argv[0] == f"{host.root}/opt/3.5.3/prometheus"


def test_a_packages_unit_gives_way(host):
    host.world.read["prometheus-node.service"] = ("", "")
    host.occupy(9090, "prometheus-node.service")
    done = deploy(host, conflicts=["prometheus-node.service"])
    assert (done.get("msg"), done["action"]) == (None, "started")
    assert done["notes"] == ["prometheus-node.service uses the same port: it was stopped and masked"]
    assert host.world.masked == {"prometheus-node.service"}


def test_a_downgrade_that_was_allowed_is_made_and_counts(deployed):
    deployed.install("2.54.0")
    assert deploy(deployed, version="2.54.0", data_dir="/nowhere", allow_downgrade=True)["action"] == "restarted"
    assert deploy(deployed, version="2.54.0", data_dir="/nowhere")["action"] == "none"


def data_in(host):
    folder = host.root / "own-data"
    folder.mkdir(exist_ok=True)
    return {"data_dir": str(folder)}


def test_a_patch_release_of_the_line_may_be_older_where_the_service_says_so(deployed):
    for version in ("3.6.2", "3.6.1", "3.5.9"):
        deployed.install(version)
    data = data_in(deployed)
    assert deploy(deployed, version="3.6.2", **data)["action"] == "restarted"
    assert "a downgrade was refused" in deploy(deployed, version="3.6.1", **data)["msg"]
    assert deploy(deployed, version="3.6.1", data_of_line=True, **data)["action"] == "restarted"
    # What has written it once is not forgotten.
    assert "written by prometheus 3.6.2" in deploy(deployed, version="3.5.9", data_of_line=True, **data)["msg"]


# The data that a version had before


def kept(host):
    return {str(path.relative_to(host.etc / ".vigil")): path.read_text() for path in host.etc.glob(".vigil/data-*/*")}


def test_what_a_version_had_before_another_one_changes_it_is_kept(deployed):
    database = deployed.root / "grafana.db"
    database.write_text("of 3.5")
    data = {"keep": [str(database), str(database) + "-wal"], **data_in(deployed)}
    deploy(deployed, **data)
    assert kept(deployed) == {}
    deploy(deployed, version="3.6.0", **data)
    database.write_text("of 3.6")
    # Also after further changes of the configuration, which have copies of their own.
    deploy(deployed, "a: 2", version="3.6.0", **data)
    assert kept(deployed) == {"data-3.5.3/grafana.db": "of 3.5"}
    assert (deployed.etc / ".vigil/data-3.5.3").stat().st_mode & 0o777 == 0o700

    refused = deploy(deployed, version="3.5.3", **data)["msg"]
    assert f"is in {deployed.etc}/.vigil/data-3.5.3 (grafana.db)" in refused
    assert "prometheus_allow_downgrade: true for one run" in refused
    # An older one than that cannot read it either.
    deployed.install("3.4.0")
    assert "data-3.5.3" not in deploy(deployed, version="3.4.0", **data)["msg"]

    # A failed upgrade leaves what the earlier one has kept; the next one that is verified replaces it.
    deployed.install("3.7.0", dies=True)
    deploy(deployed, version="3.7.0", **data)
    assert kept(deployed)["data-3.5.3/grafana.db"] == "of 3.5"
    deployed.install("3.7.0")
    deploy(deployed, version="3.7.0", **data)
    assert kept(deployed) == {"data-3.6.0/grafana.db": "of 3.6"}


def dump_by(script, **environment):
    return {"dump": {"argv": ["sh", "-c", script], "environment": environment}}


def test_the_database_of_a_server_is_dumped_before_another_version_opens_it(deployed):
    given = dump_by("echo dump by $PGUSER; pidof nothing; systemctl 2>/dev/null; :", PGUSER="me")
    deploy(deployed, "a: 2", **given)
    assert kept(deployed) == {}
    done = deploy(deployed, version="3.6.0", **given)
    assert kept(deployed) == {"data-3.5.3/database.sql": "dump by me\n"}
    path = deployed.etc / ".vigil/data-3.5.3/database.sql"
    assert path.stat().st_mode & 0o777 == 0o600
    assert f"its database was dumped to {path}" in done["notes"]
    deployed.install("3.7.0", dies=True)
    failed = deploy(deployed, version="3.7.0", **given)["msg"]
    assert f"what was in it before is in {deployed.etc}/.vigil/data-3.6.0/database.sql" in failed


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (dump_by("echo half; echo server version mismatch >&2; exit 1"), "sh: server version mismatch; correct it"),
        ({"dump": {"argv": ["no-such-pg_dump"], "environment": {}}}, "no-such-pg_dump is not installed to dump it"),
    ],
)
def test_without_a_dump_nothing_is_changed(deployed, given, words):
    before, wanted = deployed.process.pid, deployed.files()
    done = deploy(deployed, version="3.6.0", **given)
    assert words in done["msg"] and "prometheus_dump_database: false" in done["msg"]
    assert (deployed.process.pid, deployed.files(), kept(deployed)) == (before, wanted, {})
    # A check says it where it can.
    assert ("is not installed" in deploy(deployed, version="3.6.0", check=True, **given).get("msg", "")) == (
        "is not installed" in words
    )


def migrated(path, *names):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE log (name TEXT)")
        connection.executemany("INSERT INTO log VALUES (?)", [(name,) for name in names])
    return {"database": str(path), "argv": None, "query": "SELECT name FROM log", "derived": "create "}


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        (["version", "dies_after"], False),
        (["version", "create table x", "create table y"], False),
        (["version", "Add column of the future"], False),
        (["version", "Add column of the future", "Add index of the future"], True),
    ],
)
def test_a_database_that_nobody_knows_says_whether_a_newer_version_has_written_it(host, disk, names, refused):
    """It was copied there by hand, or restored without the mark of the version."""
    given = migrated(disk / "grafana.db", *names)
    done = deploy(host, migrations=given, **data_in(host))
    assert (
        "has 2 changes of its schema that prometheus 3.5.3 does not know, such as 'Add column of" in str(done)
    ) is refused
    assert bool(done.get("failed")) is refused
    if refused:
        assert host.process is None
        assert deploy(host, migrations=given, allow_downgrade=True, **data_in(host))["action"] == "started"


@pytest.mark.parametrize(
    ("script", "refused"),
    [
        ("echo version; echo create table x", False),
        ("echo Add $NAME; echo Add index of the future", True),
        ("echo Add $NAME; echo Add index of the future; exit 1", False),
        ("sleep 0; kill $$", False),
    ],
)
def test_so_does_one_on_a_server(host, script, refused):
    given = {"database": None, "argv": ["sh", "-c", script], "environment": {"NAME": "column"}}
    done = deploy(host, migrations={**given, "query": "", "derived": "create "}, **data_in(host))
    assert (
        "its database has 2 changes of its schema that prometheus 3.5.3 does not know, such as 'Add column'"
        in str(done)
    ) is refused
    assert bool(done.get("failed")) is refused


def test_without_the_client_of_a_server_nothing_is_known(host):
    given = {"database": None, "argv": ["no-such-psql"], "environment": {}, "query": "", "derived": "create "}
    assert deploy(host, migrations=given, **data_in(host))["action"] == "started"


def test_what_is_no_database_says_nothing(host, disk):
    (disk / "grafana.db").write_text("x" * 5000)
    given = {"database": str(disk / "grafana.db"), "argv": None, "query": "SELECT name FROM log", "derived": "create "}
    assert deploy(host, migrations=given, **data_in(host))["action"] == "started"


# Removal


def test_removed(deployed):
    theirs(deployed.etc / "theirs.yml")
    data = deployed.root / "data"
    data.mkdir()
    told = activate(deployed, check=True, state="absent", purge=[str(data)])
    assert (told["changed"], deployed.process is not None) == (True, True)
    done = activate(deployed, state="absent", purge=[str(data)])
    assert (done["changed"], done["action"]) == (True, "removed")
    left = [path for path in deployed.files() if not path.startswith("opt/")]
    assert (left, deployed.process, deployed.world.enabled, data.exists()) == (
        ["etc/prometheus/theirs.yml"],
        None,
        set(),
        False,
    )


def test_what_the_data_are_read_with_goes_with_them(deployed):
    key, data = deployed.etc / "prometheus.yml", deployed.root / "data"
    data.mkdir()
    for _again in range(2):
        activate(deployed, state="absent", spare=[str(key)])
        assert (key.exists(), data.exists()) == (True, True)
    activate(deployed, state="absent", purge=[str(data), str(key)])
    assert not deployed.etc.exists()
    assert not data.exists()
    assert not activate(deployed, state="absent", purge=[str(data), str(key)])["changed"]


def test_both_go_at_once(deployed):
    key, data = deployed.etc / "prometheus.yml", deployed.root / "data"
    data.mkdir()
    activate(deployed, state="absent", purge=[str(data), str(key)])
    assert not deployed.etc.exists()
    assert not data.exists()


# Killed at any moment

KILLED = {
    "first": ((), {}),
    "upgrade": ({}, {"config": "a: 2", "version": "3.6.0", "lines": "Nice=5\n"}),
    "reload": ({}, {"config": "a: 2"}),
    "one that goes back": ({}, {"config": "a: 2", "version": "3.7.0"}),
    "removal": ({}, {"state": "absent"}),
}


def outcome(host):
    """What is left of a deployment, without what differs between two hosts."""
    return (
        {path: re.sub(f"{host.root}|(?<=VIGIL_UNIT=).*", "", text) for path, text in host.files().items()},
        host.process and (host.process.program.version, host.process.loaded),
        sorted(host.world.enabled),
    )


def attempt(host, options):
    """A deployment, or a removal."""
    return activate(host, **options) if options.get("state") else deploy(host, **options)


@pytest.mark.parametrize("way", ["run again", "boot and run again"])
@pytest.mark.parametrize("scenario", KILLED)
def test_killed_at_any_moment(disk, scenario, way):
    first, options = KILLED[scenario]

    def make(name):
        (disk / name).mkdir()
        host = Host(disk / name)
        host.install("3.5.3")
        host.install("3.6.0")
        host.install("3.7.0", dies=True)
        if first != ():
            deploy(host, **first)
        host.remember()
        return host

    reference = make("reference")
    whole = [outcome(reference)]
    attempt(reference, options)
    whole.append(outcome(reference))
    moments = 0
    while True:
        host = make(str(moments))
        finished = dying(host, moments, lambda host=host: attempt(host, options))
        host.recall()
        if way != "run again":
            host.boot()
            if host.process:
                # Whatever comes up is one generation, never a mixture.
                assert outcome(host)[1] in [state[1] for state in whole]
        attempt(host, options)
        again = attempt(host, options)
        assert outcome(host) == whole[-1]
        assert "failed" in again or again["changed"] is False
        if finished:
            break
        moments += 1
    assert moments > 5


HANDLERS = {"restarted": True, "reloaded": False}


@pytest.mark.parametrize("state", HANDLERS)
def test_a_handler_acts_at_once_and_proves_it(deployed, state):
    disk, before = deployed.files(), deployed.process.pid
    told = activate(deployed, check=True, state=state)
    assert (told["changed"], deployed.process.pid) == (True, before)
    done = activate(deployed, state=state)
    assert (done.get("msg"), done["action"], done["changed"]) == (None, state, True)
    assert (deployed.process.pid != before) is HANDLERS[state]
    again = deploy(deployed)
    assert (again["action"], again["changed"]) == ("none", False)
    assert {path: text for path, text in deployed.files().items() if not path.endswith("proven.json")} == {
        path: text for path, text in disk.items() if not path.endswith("proven.json")
    }


@pytest.mark.parametrize("state", HANDLERS)
def test_a_handler_of_what_is_not_there_does_nothing(host, state):
    done = activate(host, state=state)
    assert (done.get("msg"), done["action"], done["changed"]) == (None, "none", False)


@pytest.mark.parametrize("state", HANDLERS)
def test_a_handler_is_red_where_the_service_does_not_serve_afterwards(deployed, state):
    (deployed.etc / "prometheus.yml").write_text("broken")
    done = activate(deployed, state=state)
    assert "prometheus.service failed verification after the" in done["msg"]


def test_a_check_waits_for_no_file_that_the_run_itself_would_write(host):
    """The authority of monitoring_tls is written with the rest of the configuration."""
    url = "https://127.0.0.1:9090"
    own, other = str(host.etc / "monitoring_tls/ca.crt"), str(host.root / "ca.crt")
    assert deploy(host, check=True, health={"url": url, "ca_path": own})["changed"]
    for check, path in ((True, other), (False, own)):
        done = deploy(host, check=check, health={"url": url, "ca_path": path})
        assert path + " cannot be used" in done["msg"]


def test_a_file_that_is_read_at_the_start_and_was_written_just_before_it(host, monkeypatch):
    """The time of the start is known to the second: what was verified with this very file is not restarted for it."""
    path = host.root / "authority.crt"
    path.write_text("one")
    monkeypatch.setattr(_decision.Comparison, "started_after", lambda *dummy, **dummies: False)
    given = {"reads": [str(path)], "asked": "x"}
    assert deploy(host, **given)["action"] == "started"
    assert not deploy(host, **given)["changed"]
    os.utime(path, (1, 1))
    monkeypatch.setattr(_decision, "times_of", lambda paths: [1])
    assert deploy(host, **given)["action"] == "restarted"


# Directories that nothing needs any more


@pytest.mark.parametrize("theirs_too", [False, True])
def test_a_directory_goes_with_its_last_file(host, theirs_too):
    inside = [{"path": "monitoring_tls/tls.key", "content": "x", "mode": 0o640, "secret": True}]
    asked = [{"path": str(host.etc / "file_sd"), "owner": "root", "group": "root", "mode": "0750"}]
    stage(host, "a: 1", files=list(inside), directories=asked)
    activate(host)
    assert (host.etc / "monitoring_tls").is_dir()
    if theirs_too:
        theirs(host.etc / "monitoring_tls" / "theirs")
    stage(host, "a: 1", directories=asked)
    activate(host)
    assert (host.etc / "monitoring_tls").is_dir() == theirs_too
    # One that was asked for stays, though it is empty.
    assert (host.etc / "file_sd").is_dir()
    assert (str(host.etc / "monitoring_tls") in State(str(host.etc)).manifest()["directories"]) == theirs_too
    activate(host, state="absent")
    assert host.etc.exists() == theirs_too


# Time series that end


def test_what_ends_is_said_once(host):
    before = {"node": {"targets": {"a:1": {}}, "relabelling": ""}}
    after = {"nodes": before["node"]}
    assert deploy(host, history=before)["ended"] == []
    assert deploy(host, config="a: 2", check=True, history=after)["ended"] == ["job node is now called nodes (a:1)"]
    assert deploy(host, config="a: 2", history=after)["ended"] == ["job node is now called nodes (a:1)"]
    assert deploy(host, config="a: 2", history=after)["ended"] == []
    # What goes back has not ended.
    host.install("3.7.0", dies=True)
    assert "failed" in deploy(host, version="3.7.0", history=before)
    assert deploy(host, config="a: 2", history=after)["ended"] == []


# Another configuration directory


def other_place(host):
    """Let the inventory name another configuration directory."""
    old, host.etc = host.etc, host.root / "etc" / "elsewhere"
    return old


@pytest.mark.parametrize("theirs_too", [False, True])
def test_the_configuration_moves(deployed, theirs_too):
    old = other_place(deployed)
    if theirs_too:
        theirs(old / "theirs.yml")
    told = deploy(deployed, check=True)
    assert (told["changed"], "failed" in told, deployed.etc.exists()) == (True, False, False)
    done = deploy(deployed)
    assert done["action"] == "restarted" and "its configuration has moved from" in done["notes"][-1]
    assert (old.exists(), (old / ".vigil").exists(), deployed.process.loaded) == (theirs_too, False, "a: 1")
    assert State(str(deployed.etc)).before is None
    unchanged(deployed)
    assert activate(deployed, state="absent")["changed"]
    assert not deployed.etc.exists() and not deployed.unit.exists()


def test_a_configuration_that_does_not_work_in_the_other_directory(deployed):
    before = deployed.files()
    old = other_place(deployed)
    done = deploy(deployed, config="broken")
    assert "was restored and is healthy again" in done["msg"]
    assert {path: text for path, text in deployed.files().items() if "elsewhere" not in path} == before
    assert (deployed.process.loaded, (old / ".vigil").is_dir()) == ("a: 1", True)
    # As it was asked for before, nothing is to be done, but for what the old directory does not know of the new process.
    deployed.etc = old
    assert deploy(deployed)["action"] in ("none", "reloaded")
    unchanged(deployed)
    other_place(deployed)
    assert deploy(deployed)["action"] == "restarted"
    assert not old.exists()


@pytest.mark.parametrize("way", ["run again", "boot and run again"])
def test_killed_while_the_configuration_moves(disk, way):
    def make(name):
        (disk / name).mkdir()
        host = Host(disk / name)
        host.install("3.5.3")
        deploy(host)
        host.remember()
        other_place(host)
        return host

    reference = make("reference")
    deploy(reference)
    moments = 0
    while True:
        host = make(str(moments))
        finished = dying(host, moments, lambda host=host: deploy(host))
        host.recall()
        if way != "run again":
            host.boot()
            assert host.process.loaded == "a: 1"
        deploy(host)
        assert deploy(host)["changed"] is False
        assert outcome(host) == outcome(reference)
        assert not (host.root / "etc" / "prometheus").exists()
        if finished:
            break
        moments += 1


# Another data directory


@pytest.fixture
def elsewhere():
    """A directory on another file system than the host's."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder, "data")


def with_data(host):
    """A service with data; its directory, and another one."""
    old, new = host.root / "data", host.root / "moved"
    (old / "wal").mkdir(parents=True)
    (old / "wal" / "0").write_text("sample")
    assert deploy(host, data_dir=str(old))["action"] == "started"
    return old, new


def test_data_is_not_left_behind(host):
    old, new = with_data(host)
    before = host.files()
    for check in (True, False):
        refused = deploy(host, check=check, data_dir=str(new))
        assert "its data is in {0}".format(old) in refused["msg"] and "prometheus_move_data: true" in refused["msg"]
        assert host.files() == before
    # Who has copied it himself, and where there is none.
    new.mkdir()
    (new / "wal").mkdir()
    (new / "wal" / "0").write_text("sample")
    assert deploy(host, data_dir=str(new))["changed"] in (True, False)
    assert (old / "wal" / "0").read_text() == "sample"


def test_data_is_left_where_it_is(host):
    old, new = with_data(host)
    record = {"service": "prometheus", "grouped": True, "removal": {"name": "prometheus", "config_dir": str(host.etc)}}
    deploy(host, data_dir=str(old), lines="Nice=1\n", removal={**record, "data": [str(old)]})
    deploy(host, data_dir=str(new), lines="Nice=2\n", data_change="empty", removal={**record, "data": [str(new)]})
    assert (old / "wal" / "0").read_text() == "sample"
    # A removal with the data knows of both.
    kept = json.loads(Path(host.records_directory, "prometheus.json").read_text())
    assert kept["data"] == [str(new), str(old)]


@pytest.mark.parametrize("other", [False, True])
def test_data_is_moved(host, elsewhere, other):
    old, new = with_data(host)
    new = elsewhere if other else new
    new.mkdir()
    (old / "link").symlink_to("wal")
    done = deploy(host, data_dir=str(new), lines="Nice=1\n", data_change="move")
    assert done["action"] == "started" and any("its data has moved" in note for note in done["notes"])
    assert (new / "wal" / "0").read_text() == "sample" and os.readlink(new / "link") == "wal"
    assert not old.exists() and State(str(host.etc)).copied_data() is None
    again = deploy(host, data_dir=str(new), lines="Nice=1\n", data_change="move")
    assert (again["changed"], again["action"]) == (False, "none")


@pytest.mark.parametrize("other", [False, True])
def test_data_comes_back(host, elsewhere, other):
    old, new = with_data(host)
    new = elsewhere if other else new
    host.install("3.7.0", dies=True)
    done = deploy(host, data_dir=str(new), version="3.7.0", data_change="move")
    assert "was restored and is healthy again" in done["msg"]
    assert (old / "wal" / "0").read_text() == "sample"
    assert deploy(host, data_dir=str(old))["action"] == "none"


def moving(host, options):
    """A deployment that ends with the process that copies the data for it."""
    try:
        deploy(host, **options)
    except HostError:
        os._exit(9)


def test_data_that_is_to_stay_after_all(host):
    old, new = with_data(host)
    State(str(host.etc)).note_copied_data((str(old), str(new)))
    for _again in range(2):
        deploy(host, data_dir=str(new), lines="Nice=1\n", data_change="empty")
    assert (old / "wal" / "0").read_text() == "sample" and State(str(host.etc)).copied_data() is None


@pytest.mark.parametrize("way", ["run again", "boot and run again"])
@pytest.mark.parametrize("other", [False, True])
def test_killed_while_data_moves(disk, elsewhere, other, way):
    moments = 0
    while True:
        (disk / str(moments)).mkdir()
        host = Host(disk / str(moments))
        host.install("3.5.3")
        old, new = with_data(host)
        new = elsewhere.with_name(str(moments)) if other else new
        options = {"data_dir": str(new), "lines": "Nice=1\n", "data_change": "move"}
        host.remember()
        finished = dying(host, moments, lambda host=host, options=options: moving(host, options))
        host.recall()
        if way != "run again":
            host.boot()
        places = [path for path in (old, new) if (path / "wal" / "0").exists()]
        assert places
        deploy(host, **options)
        assert deploy(host, **options)["changed"] is False
        assert ((new / "wal" / "0").read_text(), old.exists()) == ("sample", False)
        if finished:
            break
        moments += 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda old, new: (new.mkdir(), (new / "x").write_text("")), "where something is already (x)"),
        (lambda old, new: new.symlink_to(old.parent), "is a symbolic link"),
        (lambda old, new: None, "one is inside the other"),
    ],
)
def test_data_that_cannot_be_moved(host, make, words):
    old, new = with_data(host)
    make(old, new)
    new = old / "inside" if "inside" in words else new
    refused = deploy(host, data_dir=str(new), lines="Nice=1\n", data_change="move")
    assert words in refused["msg"] and (old / "wal" / "0").exists()


MOUNTS = """22 1 0:21 / / rw - overlay overlay rw
30 22 8:1 / /data rw shared:1 - ext4 /dev/sda1 rw
31 22 8:1 /x /data/in\\040side rw - ext4 /dev/sda1 rw
32 22 8:2 / /data rw - xfs /dev/sdb1 rw
nonsense
"""


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/var/lib/prometheus", ("/", "overlay")),
        ("/data", ("/data", "xfs")),
        ("/data/prometheus", ("/data", "xfs")),
        ("/database", ("/", "overlay")),
        ("/data/in side/x", ("/data/in side", "ext4")),
    ],
)
def test_the_mount_of_a_path(path, mount):
    assert _data_directory.mount_of(path, _data_directory.parse_mounts(MOUNTS)) == mount
