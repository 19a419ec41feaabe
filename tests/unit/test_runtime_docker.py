# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers are replaced and put back, wherever the run dies: against an engine in memory that refuses what a real one
refuses. That a real one does all this as well is for the tests on real hosts."""

from __future__ import annotations

import itertools
import os
import pwd
import signal
import subprocess

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import LABEL_DEFINITION, LABEL_SERVICE
from ansible_collections.vigil.monitoring.plugins.module_utils._engine import Refused
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError, NotVerified
from ansible_collections.vigil.monitoring.plugins.module_utils._runtime_docker import Docker, started_at

OPTIONS = {"image": "a/b:1", "user": "0:0", "network_mode": "host", "command": ["--x"], "restart_policy": "always"}


class Died(BaseException):
    """The process was killed before this call."""


class World:
    """An engine with its containers, which may die before its n-th change."""

    def __init__(self):
        self.all, self.numbers, self.dies_before, self.changes = {}, itertools.count(1), None, 0
        self.networks, self.broken = {}, set()

    def make(self, name, service="prometheus", fingerprint="", image="sha256:1", running=False, network="host"):
        found = {
            "Id": "id{0}".format(next(self.numbers)),
            "Name": "/" + name,
            "Image": image,
            "RestartCount": 0,
            "Config": {"Labels": {LABEL_SERVICE: service, LABEL_DEFINITION: fingerprint} if service else {}},
            "State": {"Running": running, "Restarting": False, "Pid": os.getpid() if running else 0, "StartedAt": "0"},
            "HostConfig": {"RestartPolicy": {"Name": "no"}},
            "NetworkSettings": {"Networks": {network: {}}},
        }
        self.all[found["Id"]] = found
        return found

    def names(self):
        return {
            one["Name"].lstrip("/"): (one["Id"], one["State"]["Running"], one["HostConfig"]["RestartPolicy"]["Name"])
            for one in self.all.values()
        }

    def _find(self, name):
        found = [one for one in self.all.values() if name in (one["Id"], one["Name"].lstrip("/"))]
        if not found:
            raise Refused(404, "no such container: " + name)
        return found[0]

    def _change(self):
        self.changes += 1
        if self.changes == self.dies_before:
            raise Died

    # The client's own methods

    def container(self, name):
        try:
            return self._find(name)
        except Refused:
            return None

    def containers(self):
        return [dict(one, Names=[one["Name"]], Labels=one["Config"].get("Labels")) for one in self.all.values()]

    def network(self, name):
        return self.networks.get(name)

    def remove_network(self, name):
        self._change()
        del self.networks[name]

    def start(self, name):
        self._change()
        one = self._find(name)
        if one["Id"] in self.broken:
            raise Refused(500, "cannot start")
        if any(other["State"]["Running"] for other in self.all.values() if other is not one):
            raise Refused(500, "the port is taken")
        one["State"].update(Running=True, Pid=os.getpid())

    def restart(self, name):
        self.stop(name)
        self.start(name)

    def stop(self, name):
        self._change()
        self._find(name)["State"].update(Running=False, Pid=0)

    def rename(self, name, new):
        self._change()
        one = self._find(name)
        if self.container(new):
            raise Refused(409, "the name is taken: " + new)
        one["Name"] = "/" + new

    def set_policy(self, name, policy):
        self._change()
        self._find(name)["HostConfig"]["RestartPolicy"]["Name"] = policy

    def remove(self, name):
        self._change()
        del self.all[self._find(name)["Id"]]


@pytest.fixture
def world():
    return World()


def entry(container, definition=None):
    """What a manifest says about a container."""
    label = container["Config"]["Labels"][LABEL_DEFINITION]
    return {
        "id": container["Id"],
        "image": container["Image"],
        "fingerprint": label,
        "definition": definition or OPTIONS,
        "limits": {"networks": sorted(container["NetworkSettings"]["Networks"])},
    }


def deployed(world):
    """A service that runs and is verified, with its candidate beside it."""
    old = world.make("prometheus", running=True)
    old["HostConfig"]["RestartPolicy"]["Name"] = "always"
    new = world.make("prometheus-vigil-next")
    runtime = Docker("prometheus", world, OPTIONS, "sha256:1", new["Id"])
    return old, new, runtime


def test_a_candidate_takes_the_place_of_the_old_one(world):
    old, new, runtime = deployed(world)
    runtime.target, runtime.candidate = entry(new), None
    runtime.act("restart")
    assert world.names() == {
        "prometheus": (new["Id"], True, "always"),
        "prometheus-vigil-previous": (old["Id"], False, "no"),
    }
    assert runtime.tidy()
    assert world.names() == {"prometheus": (new["Id"], True, "always")}
    assert not runtime.is_untidy()
    assert not runtime.tidy()


def test_a_run_that_dies_anywhere_leaves_what_the_next_one_puts_back(world):
    """Before each single change of the engine."""
    died = 0
    for number in itertools.count(1):
        world = World()
        old, new, runtime = deployed(world)
        runtime.target, runtime.candidate = entry(new), None
        world.dies_before = number
        try:
            runtime.act("restart")
            break
        except Died:
            died += 1
        # Never do two run at once, nor would they after a restart of the engine.
        after_boot = [policy for dummy, dummy, policy in world.names().values() if policy != "no"]
        assert len(after_boot) <= 1
        # The next run finds the manifest of the old generation.
        again = Docker("prometheus", world, OPTIONS, "sha256:1")
        again.target = entry(old)
        assert again.is_untidy()
        again.tidy()
        again.act("start")
        assert world.names() == {"prometheus": (old["Id"], True, "always")}
    assert died >= 6


def test_a_removal_that_dies_anywhere_is_completed(world):
    for number in range(1, 5):
        world = World()
        dummy, dummy, runtime = deployed(world)
        world.dies_before = number
        try:
            runtime.shut_down()
        except Died:
            Docker("prometheus", world).shut_down()
        assert world.names() == {}


def test_what_cannot_be_started_is_not_proven(world):
    dummy, new, runtime = deployed(world)
    world.broken.add(new["Id"])
    runtime.target, runtime.candidate = entry(new), None
    with pytest.raises(NotVerified, match="cannot start"):
        runtime.act("restart")


def test_a_container_that_is_there_is_started_or_restarted(world):
    old, dummy, runtime = deployed(world)
    runtime.target = entry(old)
    runtime.act("start")
    assert old["State"]["Running"]
    runtime.act("restart")
    assert world.names()["prometheus"] == (old["Id"], True, "always")


def test_a_reload_is_a_signal_that_the_engine_knows_nothing_of(world):
    old, dummy, runtime = deployed(world)
    runtime.target = entry(old)
    # Under nohup the child would inherit that the signal is ignored.
    inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with subprocess.Popen(["sleep", "60"]) as child:
        signal.signal(signal.SIGHUP, inherited)
        old["State"]["Pid"] = child.pid
        runtime.act("reload")
        assert child.wait(10) == -signal.SIGHUP
    assert world.changes == 0
    with pytest.raises(NotVerified, match="has just ended"):
        runtime.act("reload")
    world.stop("prometheus")
    with pytest.raises(NotVerified, match="does not run"):
        runtime.act("reload")


def test_somebody_elses_containers_are_named_and_left_alone(world):
    for name in ("prometheus", "prometheus-vigil-next", "prometheus-vigil-previous"):
        world.make(name, service=None, running=name == "prometheus")
    runtime = Docker("prometheus", world, OPTIONS, "sha256:1")
    assert len(runtime.foreign_problems()) == 3
    before = world.names()
    runtime.tidy()
    runtime.stop()
    runtime.shut_down()
    assert world.names() == before
    assert runtime.is_gone()


def test_a_container_that_was_renamed_by_hand_gets_its_name_again(world):
    made, runtime = runtime_for(world)
    made["HostConfig"]["RestartPolicy"]["Name"] = "always"
    assert runtime.renamed() is None
    world.rename("prometheus", "mine")
    assert (runtime.renamed(), runtime.name_problem()) == (made, None)
    assert runtime.is_untidy() and not runtime.is_gone()
    assert runtime.tidy()
    assert world.names() == {"prometheus": (made["Id"], True, "always")}
    assert runtime.notes == ["the container prometheus was renamed to mine by hand: it has its name again"]
    assert not runtime.tidy()
    # A removal finds it as well.
    world.rename("prometheus", "mine")
    runtime.shut_down()
    assert world.names() == {}


def test_a_renamed_container_whose_name_another_has_is_left_and_told(world):
    made, runtime = runtime_for(world)
    world.rename("prometheus", "mine")
    theirs = world.make("prometheus", service=None)
    before = world.names()
    with pytest.raises(
        HostError, match=r"renamed to mine by hand.*`docker rename prometheus NAME`.*`docker rename mine"
    ):
        runtime.tidy()
    assert world.names() == before
    # One of the service itself gives way.
    theirs["Config"] = made["Config"]
    runtime.tidy()
    assert set(world.names()) == {"prometheus"} and world.all[made["Id"]]["Name"] == "/prometheus"


def test_what_was_put_aside_is_found_by_its_label(world):
    dummy, runtime = runtime_for(world)
    world.make("before-the-holiday")
    world.make("prometheus-vigil-previous")
    world.make("prometheus-vigil-check")
    world.make("another", service="alertmanager")
    world.make("theirs", service=None)
    engine_says = world.containers()
    world.containers = lambda: [*engine_says, dict(engine_says[0], Id="dead", Names=None)]
    assert runtime.put_aside() == ["before-the-holiday"]
    runtime.tidy()
    assert "before-the-holiday" in world.names()


def test_a_candidate_is_spared_until_it_is_its_turn(world):
    old, new, runtime = deployed(world)
    runtime.target = entry(old)
    assert not runtime.is_untidy()
    assert not runtime.tidy()
    runtime.candidate = None
    assert runtime.tidy()
    assert new["Id"] not in world.all


def runtime_for(world, **given):
    options = {**OPTIONS, **given}
    runtime = Docker("prometheus", world, options, "sha256:1")
    made = world.make("prometheus", fingerprint=runtime.fingerprint(), running=True)
    runtime.target = entry(made, options)
    return made, runtime


def test_another_container_is_needed_where_anything_differs(world):
    made, runtime = runtime_for(world)
    assert runtime.replacement(made) is None
    assert "gone" in runtime.replacement(None)
    assert "gone" in runtime.replacement(dict(made, Id="another"))
    assert "another image" in runtime.replacement(dict(made, Image="sha256:2"))
    changed = dict(made, HostConfig={**made["HostConfig"], "NanoCpus": 5})
    assert "limits or networks" in runtime.replacement(changed)
    runtime.container = {**runtime.container, "command": ["--y"], "memory": "1g"}
    assert "(command, memory)" in runtime.replacement(made)
    runtime.target = None
    assert "no container yet" in runtime.replacement(made)


def test_the_candidate_does_not_start_by_itself(world):
    runtime = runtime_for(world)[1]
    wanted = runtime.wanted()
    assert (wanted["name"], wanted["state"], wanted["restart_policy"]) == ("prometheus-vigil-next", "present", "no")
    assert wanted["labels"][LABEL_DEFINITION] == runtime.fingerprint()
    runtime.candidate = world.make("prometheus-vigil-next", fingerprint=runtime.fingerprint())["Id"]
    assert runtime.entry()["id"] == runtime.candidate
    world.all[runtime.candidate]["Image"] = "sha256:2"
    with pytest.raises(HostError, match="differs from the specified one"):
        runtime.entry()


def test_a_network_is_made_for_us_alone(world):
    assert runtime_for(world, network_mode="own")[1].wanted_network() == "own"
    world.networks["own"] = {"Labels": {LABEL_SERVICE: "shared"}}
    assert Docker("prometheus", world, {**OPTIONS, "network_mode": "own"}).wanted_network() is None
    for name in ("host", "none", "bridge", "container:x"):
        assert Docker("prometheus", world, {**OPTIONS, "network_mode": name}).wanted_network() is None


def test_a_network_of_ours_goes_with_its_last_container(world):
    world.networks.update(own={"Labels": {LABEL_SERVICE: "shared"}}, theirs={"Labels": None})
    world.make("alertmanager", service="alertmanager", network="own")
    world.make("prometheus", network="own")
    world.make("prometheus-vigil-previous", network="theirs")
    Docker("prometheus", world).shut_down()
    assert set(world.networks) == {"own", "theirs"}
    Docker("alertmanager", world).shut_down()
    assert set(world.networks) == {"theirs"}


def test_a_policy_that_somebody_changed_is_put_right(world):
    made, runtime = runtime_for(world)
    assert not runtime.is_enabled(made)
    assert runtime.settle({}, made)
    assert world.names()["prometheus"][2] == "always"
    assert not runtime.settle({}, made)


def test_accounts_are_those_of_the_host(world):
    me = pwd.getpwuid(os.getuid())
    runtime = Docker("prometheus", world, {**OPTIONS, "user": me.pw_name})
    assert runtime.container["user"] == "{0}:{1}".format(me.pw_uid, me.pw_gid)
    numbers = Docker("prometheus", world, {**OPTIONS, "user": "0:root", "groups": ["7"]}).container
    assert (numbers["user"], numbers["groups"]) == ("0:0", ["7"])
    missing = Docker("prometheus", world, {**OPTIONS, "user": "no-such-user:no-such-group"})
    with pytest.raises(HostError, match="no account no-such-user:no-such-group"):
        missing.wanted()


def test_devices_are_those_that_the_host_has(world):
    runtime = Docker("prometheus", world, {**OPTIONS, "devices": ["/dev/null:/dev/null:r", "/dev/no-such-thing"]})
    assert runtime.container["devices"] == ["/dev/null:/dev/null:r"]


def test_the_main_process_is_the_one_that_the_engine_names(world):
    made, runtime = runtime_for(world)
    running = runtime.running(made)
    assert (running.pid, running.executable, running.fingerprint) == (
        os.getpid(),
        made["Id"],
        runtime.fingerprint(),
    )
    assert runtime.expected(None, None) == (made["Id"], runtime.fingerprint())
    world.stop("prometheus")
    assert runtime.running(made) is None
    assert runtime.since_start(made) is None
    assert not runtime.is_active(made)


def test_when_a_container_was_started():
    seen = {"State": {"StartedAt": "1970-01-02T00:00:01.516346015Z"}}
    assert started_at(seen) == pytest.approx(86401.516, abs=0.001)
    assert started_at({"State": {"StartedAt": "0001-01-01T00:00:00Z"}}) < 0
    assert started_at(None) == 0.0
