"""Runs that are killed: the next one ends where an uninterrupted one would have, byte for byte.

The moment is met exactly: for the run that is to be killed, Ansible starts the host's Python through a wrapper, which
watches the modules' own calls (audit hooks, PEP 578) and stops the process at the one that the test names. What is
frozen there is then killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import SERVICES, TREES, Containers, Site, base_variables, snapshot, started
from test_rollback import HANGS, must_be_gone, publish

from lab import containers, hosts, images
from lab.common import locked

FOLDER = "/var/lib/breakpoint"
LOCK = "/run/vigil.monitoring/etc-prometheus.lock"
# Steps of (event, text in its arguments); the process stops before the call that the last one describes.
MOMENTS = {
    "unpacking": [("open", "/release/promtool'")],
    "staging": [("os.rename", "'plan.json'")],
    # The journal is on disk, the links and the unit are new, the configuration is old.
    "switching": [("os.rename", "'prometheus.yml', 'prometheus.yml'")],
    "switched": [("os.rename", "'undo', 'rollback'"), ("subprocess.Popen", "")],
    # The new service was started where the old one ran or nothing did, and is about to be checked for the first time.
    "verifying": [("os.rename", "'undo', 'rollback'"), ("socket.connect", "")],
    # Only for containers: the old one is stopped, and has the name still; it is put aside, and the new one in its place;
    # the new one was started, and is about to be asked.
    "stopped": [("http.client.send", "name=prometheus-vigil-previous")],
    "replaced": [("http.client.send", "name=prometheus-vigil-previous"), ("http.client.send", "/start ")],
    "started": [("http.client.send", "/start "), ("socket.connect", "9090")],
    # Only for a removal: what it wrote is gone, the directories are not.
    "removing": [("os.rmdir", "'rules'")],
}
SITECUSTOMIZE = """
import os, sys, time

folder = "/var/lib/breakpoint"
steps = [line.rstrip("\\n").split("\\t") for line in open(folder + "/steps")]


def watch(event, arguments):
    if steps and event == steps[0][0] and steps[0][1] in repr(arguments):
        del steps[0]
        if not steps:
            with open(folder + "/reached.part", "w") as stream:
                stream.write(str(os.getpid()))
            os.rename(folder + "/reached.part", folder + "/reached")
            while not os.path.exists(folder + "/go-on"):
                time.sleep(0.05)


sys.addaudithook(watch)
"""
WRAPPER = f'#!/bin/sh\nPYTHONPATH={FOLDER} exec /usr/bin/python3 "$@"\n'
# One service is enough here, and quick: all three are deployed by the same modules.
ONLY = {"groups": ("prometheus",)}


def freeze(site: Site, moment: str) -> subprocess.Popen:
    """Begin a run, and return when it stands still on the host at this moment."""
    steps = "".join(f"{event}\t{text}\n" for event, text in MOMENTS[moment])
    for name, content in (("sitecustomize.py", SITECUSTOMIZE), ("python", WRAPPER), ("steps", steps)):
        site.host.run(
            f"mkdir -p {FOLDER}; rm -f {FOLDER}/reached; cat >{FOLDER}/{name}; chmod 755 {FOLDER}/{name}", stdin=content
        )
    asked = site.variables
    site.variables = {**asked, "ansible_python_interpreter": f"{FOLDER}/python"}
    child = site.start(**ONLY)
    site.variables = asked
    deadline = time.monotonic() + 120
    while site.host.run(f"test -e {FOLDER}/reached", check=False).returncode:
        assert child.poll() is None, f"the run ended before it was {moment}:\n{child.stdout.read()}"
        assert time.monotonic() < deadline, f"the run is not {moment} after two minutes"
        time.sleep(0.2)
    return child


def kill_run(child: subprocess.Popen) -> None:
    """SIGKILL to ansible-playbook and whatever it started on this machine."""
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()


def interrupt(site: Site, moment: str, what: str) -> None:
    """Kill a run at this moment: with its module on the host (``run``), or together with the whole host (``host``)."""
    child = freeze(site, moment)
    if what == "run":
        kill_run(child)
        site.host.run(f"kill -9 $(cat {FOLDER}/reached)")
    else:
        site.host.kill()
        kill_run(child)
        site.host.start()


def end_state(site: Site) -> dict[str, str]:
    """What the host's disk holds, but for the two things that are of this one history: process ids and a random name.

    Everything else below ``.vigil`` is compared too: the next rollback has to find the same there.
    """
    found = site.fingerprint(*TREES)
    manifest = json.loads(site.host.run("cat /etc/prometheus/.vigil/manifest.json").stdout)
    assert manifest.pop("generation")
    if manifest["container"]:
        assert manifest["container"].pop("id")
    found["/etc/prometheus/.vigil/manifest.json"] = json.dumps(manifest, sort_keys=True)
    asked = json.loads(site.host.run("cat /etc/prometheus/.vigil/asked.json").stdout)
    assert asked.pop("generation")
    found["/etc/prometheus/.vigil/asked.json"] = json.dumps(asked, sort_keys=True)
    # Which process was verified.
    del found["/etc/prometheus/.vigil/proven.json"]
    return found


# What a run begins with: the suite, and the age of what is deployed.
BEFORE = {"deployment": ("trixie", None), "upgrade": ("trixie", "old"), "other image": ("trixie-docker", "new")}


@contextlib.contextmanager
def host_before(name: str, folder: Path):
    """A host on which a run brings about what has this name, and its variables ask for that."""
    suite, age = BEFORE[name]
    with hosts.host(suite, group="fault", image=snapshot(suite, folder, age) if age else None) as host:
        if not images.has_docker(suite):
            yield Site(host, folder, base_variables())
            return
        rebuilt = containers.image("prometheus").but(tag="rebuilt", Labels={"rebuilt": "yes"})
        host.load(rebuilt)
        asked = {**base_variables(docker=True), "prometheus_image": containers.upstream_name(rebuilt)}
        yield Containers(host, folder, asked)


@pytest.fixture
def uninterrupted(tmp_path, tmp_path_factory, worker_id):
    """The end state of runs that nobody interrupted, by name; each made once."""
    common = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent

    def state(name: str) -> dict[str, str]:
        kept = common / f"uninterrupted-{name}.json"
        with locked(f"uninterrupted-{name}"):
            if not kept.exists():
                with host_before(name, tmp_path) as site:
                    site.run(**ONLY).must_be_green(changed=True)
                    kept.write_text(json.dumps(end_state(site)), encoding="utf-8")
        return json.loads(kept.read_text(encoding="utf-8"))

    return state


def must_end_like(site: Site, expected: dict[str, str]) -> None:
    """One run repairs everything, and leaves nothing to do for another."""
    site.run(**ONLY).must_be_green(changed=True)
    assert end_state(site) == expected
    assert site.version("prometheus") == site.variables["prometheus_version"]
    site.run(**ONLY).must_be_green(changed=False)
    assert end_state(site) == expected


# Every moment is met by both kinds of death, one of them during first deployments, the other during upgrades. A run
# begins with what the ones before it left, and the last one has to clear up after all of them.


def test_first_deployments_are_killed(bare, uninterrupted):
    for moment, what in (
        ("unpacking", "host"),
        ("staging", "run"),
        ("switching", "run"),
        ("switched", "host"),
        ("verifying", "run"),
    ):
        interrupt(bare, moment, what)
    must_end_like(bare, uninterrupted("deployment"))


def test_upgrades_are_killed(old_site, uninterrupted):
    site = old_site
    before, old = site.fingerprint(*TREES), site.version("prometheus")
    for moment, what in (("unpacking", "run"), ("staging", "host"), ("switching", "host")):
        interrupt(site, moment, what)
        # Before the switch is complete a boot brings up the old generation, by itself, and with nothing of the new one.
        assert site.serves("prometheus", within=60)
        assert site.version("prometheus") == old
        after = site.fingerprint(*TREES)
        assert without_preparations(after) == without_preparations(before)
        assert "/etc/prometheus/.vigil/undo" not in after
    for moment, what in (("switched", "run"), ("verifying", "host")):
        interrupt(site, moment, what)
        # Whatever happens to start the service now finds a whole generation on the disk.
        site.host.run("systemctl restart --no-block prometheus")
        assert site.serves("prometheus", within=60)
    must_end_like(site, uninterrupted("upgrade"))


def test_changes_of_a_container_are_killed(tmp_path, uninterrupted):
    """Wherever a run ended, nothing comes up by itself that was not verified, and one more run ends with one container."""
    with host_before("other image", tmp_path) as site:
        before = started(site).container("prometheus")
        for moment, what in (("staging", "run"), ("switching", "host"), ("stopped", "run"), ("replaced", "host")):
            interrupt(site, moment, what)
            now = site.container("prometheus")
            assert now["Id"] == before["Id"] or not now["State"]["Running"]
        interrupt(site, "started", "run")
        must_end_like(site, uninterrupted("other image"))
        assert site.container("prometheus")["Image"] != before["Image"]
        assert site.there() == sorted(SERVICES)
        policies = site.host.run("docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' $(docker ps -q)").stdout
        assert policies.split() == ["unless-stopped"] * len(SERVICES)


def without_preparations(found: dict[str, str]) -> dict[str, str]:
    """The files of a host, but for what a run prepares where no service looks."""
    return {
        path: what for path, what in found.items() if not path.startswith(("/etc/prometheus/.vigil", "/opt/vigil/bin"))
    }


def test_a_run_waits_for_what_a_killed_one_still_does_on_the_host(old_site, uninterrupted):
    """Without its controller a module goes on on the host; the next run must not come in between."""
    kill_run(freeze(old_site, "switching"))
    follower = old_site.start(**ONLY)
    try:
        # It comes to the lock that the frozen one holds, and waits there for as long as it takes.
        deadline = time.monotonic() + 60
        while old_site.host.run(f"find /proc/[0-9]*/fd -lname {LOCK} | wc -l", check=False).stdout.strip() != "2":
            assert follower.poll() is None
            assert time.monotonic() < deadline, "the second run does not come to the first one's lock"
            time.sleep(0.2)
        time.sleep(2)
        assert follower.poll() is None
        assert old_site.host.run("test -e /etc/prometheus/.vigil/undo", check=False).returncode == 0
        old_site.host.run(f"touch {FOLDER}/go-on")
        output = follower.communicate(timeout=120)[0]
        assert follower.returncode == 0, output
    finally:
        follower.kill()
    assert end_state(old_site) == uninterrupted("upgrade")
    old_site.run(**ONLY).must_be_green(changed=False)


def test_what_a_killed_deployment_left_can_be_taken_away(bare):
    before = bare.fingerprint(*TREES)
    interrupt(bare, "switching", "run")
    bare.variables["prometheus_state"] = "absent"
    # A removal may be killed, too.
    interrupt(bare, "removing", "run")
    bare.run(**ONLY).must_be_green(changed=True)
    after = bare.fingerprint(*TREES)
    assert without_parents(after) == without_parents(before)
    bare.run(**ONLY).must_be_green(changed=False)


def without_parents(found: dict[str, str]) -> dict[str, str]:
    """The files of a host, but for the parents of releases, which may have been made by anybody."""
    return {path: what for path, what in found.items() if path not in ("/opt/vigil", "/opt/vigil/bin")}


def test_a_first_deployment_that_hangs_is_killed_and_tried_again(bare):
    """What the first run started does not count as an old service to which the second could go back."""
    publish(bare, "prometheus", HANGS)
    bare.variables["prometheus_ready_timeout"] = 3
    interrupt(bare, "verifying", "run")
    assert bare.pid("prometheus") != "0"
    bare.run(**ONLY).must_be_red("sentinel", "it was stopped and removed again")
    must_be_gone(bare, "prometheus")
