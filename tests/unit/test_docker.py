# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Docker engine says, and what it is told."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _docker
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import Reference, parse_reference
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _container
from role_inputs import Inputs, release, room

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("quay.io/prometheus/prometheus:v3.5.3", ("quay.io", "prometheus/prometheus", "v3.5.3", None)),
        ("prom/prometheus", ("", "prom/prometheus", None, None)),
        ("grafana/grafana:12.0.0", ("", "grafana/grafana", "12.0.0", None)),
        ("localhost/a:1", ("localhost", "a", "1", None)),
        ("172.18.0.1:5000/prometheus/node-exporter:v1", ("172.18.0.1:5000", "prometheus/node-exporter", "v1", None)),
        ("mirror.example:5000/a/b@" + DIGEST, ("mirror.example:5000", "a/b", None, DIGEST)),
        ("a/b:tag@" + DIGEST, ("", "a/b", "tag", DIGEST)),
    ],
)
def test_the_name_of_an_image_has_parts(text, parts):
    assert parse_reference(text) == Reference(*parts)


@pytest.mark.parametrize(
    "text", ["", "a b", "a:b:c", "UPPER/case:1", "a@sha256:12", "a@" + DIGEST + "0", "https://a/b:1", "-x"]
)
def test_what_is_no_name_of_an_image_is_refused(text):
    with pytest.raises(ValueError, match=r"name of an image|digest"):
        parse_reference(text)


def test_only_a_socket_is_an_engine_of_the_host_itself():
    assert _docker.socket_path("unix:///run/docker.sock") == "/run/docker.sock"
    for wrong in ("tcp://127.0.0.1:2375", "unix://run", "/var/run/docker.sock", ""):
        with pytest.raises(ValueError, match="unix:///PATH"):
            _docker.socket_path(wrong)


@pytest.mark.parametrize(
    ("api", "good"), [("1.41", True), ("1.45", True), ("2.0", True), ("1.40", False), ("1.9", False)]
)
def test_an_old_engine_is_named(api, good):
    problem = _docker.version_problem({"ApiVersion": api, "Version": "19.03.1"})
    assert (problem is None) == good
    assert good or ("19.03.1" in problem and "20.10" in problem)
    assert "too old" in _docker.version_problem({})


PODMAN = {"ApiVersion": "1.41", "Version": "4.9.3", "Components": [{"Name": "Podman Engine"}, {"Name": "Conmon"}]}
DOCKER = {"ApiVersion": "1.45", "Version": "27.0.3", "Components": [{"Name": "Engine"}, {"Name": "containerd"}]}


def test_podman_that_answers_like_docker_is_named():
    problem = _docker.version_problem(PODMAN)
    assert (
        "Podman 4.9.3" in problem and "monitoring_docker_host" in problem and "monitoring_runtime: systemd" in problem
    )
    assert _docker.version_problem(DOCKER) is None


REMAPPED = {"SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=userns"]}


@pytest.mark.parametrize(
    ("info", "container", "words"),
    [
        (REMAPPED, {"network_mode": "host"}, ["host's network;", "monitoring_container_network", "userns_mode: host"]),
        (REMAPPED, {"network_mode": "own", "pid_mode": "host"}, ["process ids", "cadvisor_container_extra"]),
        (REMAPPED, {"network_mode": "own", "privileged": True}, ["every privilege", "userns_mode: host"]),
        (REMAPPED, {"network_mode": "own"}, None),
        (REMAPPED, {"network_mode": "host", "userns_mode": "host"}, None),
        ({"SecurityOptions": ["name=seccomp,profile=userns"]}, {"network_mode": "host"}, None),
        ({"SecurityOptions": None}, {"network_mode": "host"}, None),
    ],
)
def test_what_an_engine_that_remaps_accounts_would_refuse(info, container, words):
    problem = _docker.remapping_problem(info, container, "cadvisor")
    assert (problem is None) == (words is None)
    assert all(word in problem for word in words or ())
    # Another network is no way out for what shares more than that.
    assert words is None or ("monitoring_container_network" in problem) == (container["network_mode"] == "host")


def test_an_engine_without_room_is_named():
    said = "write /blobs/x: no space left on device"
    problem = _docker.room_problem(said, "/data/docker", "grafana_image_archive")
    assert "not enough free space in /data/docker for what grafana_image_archive specifies" in problem
    assert "the directory of the Docker engine" in _docker.room_problem("Disk quota exceeded", "", "x_image")
    assert _docker.room_problem("unauthorized", "/data/docker", "x_image") is None


def test_a_pinned_image_is_that_one():
    image = {"Id": OTHER, "RepoDigests": ["a/b@" + DIGEST]}
    assert _docker.image_problem("a/b:1", image) is None
    assert _docker.image_problem("a/b@" + DIGEST, image) is None
    # An image from an archive has no digest but its id.
    assert _docker.image_problem("a/b@" + OTHER, {"Id": OTHER, "RepoDigests": None}) is None
    assert OTHER in _docker.image_problem("a/b@" + DIGEST, {"Id": OTHER})


def test_the_digest_of_the_repository_asked_for_counts():
    image = {"Id": OTHER, "RepoDigests": ["a/b@" + OTHER, "mirror:5000/a/b@" + DIGEST]}
    assert _docker.digest_of(image, "mirror:5000/a/b") == DIGEST
    assert _docker.digest_of({"Id": OTHER, "RepoDigests": []}) == OTHER


def test_an_image_answers_like_a_release():
    image = {"Id": OTHER, "RepoDigests": ["q/p@" + DIGEST], "Config": {"Entrypoint": ["/opt/p/bin/prometheus"]}}
    assert _docker.image_answer(image, "q/p:v1", "prometheus", ["promtool"], "1.0.0") == {
        "version": "1.0.0",
        "image": OTHER,
        "digest": DIGEST,
        "links": {},
        "commands": {"prometheus": "/opt/p/bin/prometheus"},
        "binaries": {"prometheus": "/opt/p/bin/prometheus", "promtool": "/opt/p/bin/promtool"},
    }
    elsewhere = _docker.image_answer(image, "q/p:v1", "prometheus", ["promtool"], "1.0.0", "/usr/bin/prometheus")
    assert elsewhere["binaries"] == {"prometheus": "/usr/bin/prometheus", "promtool": "/usr/bin/promtool"}
    nothing = _docker.image_answer(None, "q/p:v1", "prometheus", [], "1.0.0")
    assert (nothing["image"], nothing["digest"], nothing["commands"]) == (None, None, {"prometheus": "/bin/prometheus"})


def test_a_fingerprint_stands_for_options_and_image():
    one = _docker.fingerprint({"a": 1, "b": [1, 2]}, OTHER)
    assert one == _docker.fingerprint({"b": [1, 2], "a": 1}, OTHER)
    assert len({one, _docker.fingerprint({"a": 1, "b": [2, 1]}, OTHER), _docker.fingerprint({"a": 1}, DIGEST)}) == 3
    assert _docker.different_options({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 3, "d": 4}) == ["b", "c", "d"]


def container(networks=("host",), **state):
    return {
        "Id": "1",
        "RestartCount": state.pop("restarts", 0),
        "State": {
            "Running": True,
            "Restarting": False,
            "OOMKilled": False,
            "ExitCode": 0,
            "Error": "",
            "StartedAt": "then",
            **state,
        },
        "HostConfig": {"Memory": 512, "NanoCpus": 0, "PidsLimit": None, "RestartPolicy": {"Name": "always"}},
        "NetworkSettings": {"Networks": {name: {} for name in networks}},
        "Config": {"Labels": {"monitoring.vigil.service": "prometheus"}},
    }


def test_what_an_update_could_change_is_remembered():
    assert _docker.limits(container(networks=("b", "a"))) == {"Memory": 512, "networks": ["a", "b"]}
    assert _docker.label(container(), "monitoring.vigil.service") == "prometheus"
    assert _docker.label({"Config": {"Labels": None}}, "x") is None


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (None, container(), None),
        (container(), container(), None),
        (None, None, "gone"),
        (None, container(Running=False, ExitCode=3), "it stopped (status 3)"),
        (None, container(Running=False, ExitCode=127, Error="no such file"), "it stopped (status 127, no such file)"),
        (None, container(Restarting=True, ExitCode=3), "it keeps restarting (status 3)"),
        (container(), container(restarts=1), "it keeps restarting"),
        (container(restarts=2), container(restarts=2), None),
        (container(), container(StartedAt="later"), "restarted during verification"),
        (None, container(OOMKilled=True, Running=False, ExitCode=137), "out of memory (status 137)"),
        # A child was killed, and the service itself goes on.
        (None, container(OOMKilled=True), "out of memory"),
    ],
)
def test_a_container_that_does_not_run_as_it_has_to_is_told(before, now, words):
    found = _docker.trouble(before, now)
    assert (found is None) if words is None else (words in found)


NAME = "q/p:v1"


def served(name=NAME, **state):
    made = container(**state)
    made.update(Image=OTHER, Config={"Labels": {"monitoring.vigil.service": "p", "monitoring.vigil.image": name}})
    return made


@pytest.mark.parametrize(
    ("one", "name", "age", "found"),
    [
        (served(), NAME, 5, []),
        (None, NAME, None, [(True, "not run by a container")]),
        # Somebody else's.
        ({**container(), "Config": {"Labels": {}}}, NAME, 5, [(True, "not run by a container")]),
        (served(restarts=3), NAME, 4000, []),
        (served(restarts=3), NAME, 7, [(True, "has restarted it 3 times, the last time 7 s ago")]),
        (served(OOMKilled=True), NAME, 5, [(True, "out of memory")]),
        (served("q/p:v2"), NAME, 5, [(True, "runs the image q/p:v2, expected is q/p:v1")]),
        (served("q/p@" + DIGEST), "q/p@" + DIGEST, 5, [(True, "has other digests")]),
        (served("q/p@" + OTHER), "q/p@" + OTHER, 5, []),
        (served(Health={"Status": "unhealthy", "Log": None}), NAME, 5, [(False, "health check fails: no output")]),
        (served(Health={"Status": "unhealthy", "Log": [{"Output": "a"}, {"Output": "b"}]}), NAME, 5, [(False, ": b")]),
        (served(Health={"Status": "starting"}), NAME, 5, []),
    ],
)
def test_a_container_has_a_word_in_the_proof(one, name, age, found):
    told = _docker.health_problems(one, {OTHER: {"Id": OTHER, "RepoDigests": []}}, name, age)
    assert [certain for certain, dummy in told] == [certain for certain, dummy in found]
    assert all(words in text for (dummy, text), (dummy, words) in zip(told, found))


def test_a_container_that_runs_again_is_known_by_its_end():
    deaths = [{"status": "1", "killed": False}, {"status": "3", "killed": False}]
    assert _docker.trouble(container(), container(restarts=2), deaths) == "it keeps restarting (status 3)"
    killed = [{"status": "137", "killed": True}]
    assert "out of memory (status 137)" in _docker.trouble(container(), container(restarts=1), killed)


def test_a_log_comes_in_frames():
    def frame(kind, text):
        return bytes([kind, 0, 0, 0]) + len(text).to_bytes(4, "big") + text

    assert _docker.log_text(frame(1, b"one\n") + frame(2, "zwölf\n".encode())) == "one\nzwölf\n"
    assert _docker.log_text(b"") == ""
    # From a container with a terminal.
    assert _docker.log_text(b"plain text without frames\n") == "plain text without frames\n"


def test_the_holder_of_a_published_port_is_found():
    listed = [
        {"Names": ["/udp"], "Ports": [{"PublicPort": 9090, "Type": "udp"}]},
        {"Names": ["/a"], "Ports": [{"PrivatePort": 9090}, {"PublicPort": 9091, "Type": "tcp"}]},
        {"Names": ["/none"], "Ports": None},
    ]
    assert _docker.published_by(listed, 9091)["Names"] == ["/a"]
    assert _docker.published_by(listed, 9090) is None


@pytest.mark.parametrize(
    "cgroup",
    [
        "0::/system.slice/docker-{0}.scope\n",
        "12:pids:/docker/{0}\n0::/docker/{0}\n",
        "0::/../docker-{0}.scope/init\n",
    ],
)
def test_a_process_of_a_container_is_known_by_its_cgroup(cgroup):
    assert _docker.in_container(cgroup.format("c" * 64)) == "c" * 64
    assert _docker.in_container("0::/system.slice/docker.service\n") is None


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("prometheus, version 3.5.3+ds1 (branch: debian/sid, revision: 3)\n  build user: x", "3.5.3+ds1"),
        ("cAdvisor version v0.49.1 (6f3f25ba)", "0.49.1"),
        ("grafana version 12.0.0-pre", "12.0.0-pre"),
        ("no idea", None),
    ],
)
def test_a_version_is_read_off_a_program(output, version):
    assert _docker.version_in(output) == version


def test_directories_are_mounted_never_files():
    assert _docker.mounts_of(["/etc/ssl/private/a.key", "/etc/ssl/private/b.pem", "/srv/ca/ca.pem"]) == [
        "/etc/ssl/private:/etc/ssl/private:ro",
        "/srv/ca:/srv/ca:ro",
    ]
    assert _docker.mounts_of(["/etc/prometheus/pass", "/etc/prometheus/tls/key"], inside=["/etc/prometheus"]) == []
    assert _docker.mounts_of(["/etc/prometheus2/pass"], inside=["/etc/prometheus"]) != []
    with pytest.raises(ValueError, match="directory of its own"):
        _docker.mounts_of(["/etc/secret"])


def test_cadvisor_sees_the_host_and_changes_nothing():
    settings = {"name": "cadvisor", "image": "i", "argv": ["/c", "--port=8080"], "user": "root", "group": "root"}
    settings.update(network="host", config_dir="/etc/cadvisor", listen_address="0.0.0.0:8080", health_path="/healthz")
    cadvisor = room("cadvisor")
    made = _container.container(settings, cadvisor.container_needs(Inputs("cadvisor"), release("cadvisor")))
    assert [mount for mount in made["volumes"] if not mount.endswith(":ro")] == []
    assert {"/:/rootfs:ro", "/var/run:/var/run:ro", "/sys:/sys:ro"} < set(made["volumes"])
    assert (made["cap_drop"], made["devices"]) == (["ALL"], ["/dev/kmsg:/dev/kmsg:r"])
    assert made["healthcheck"]["test"][-1] == "http://127.0.0.1:8080/healthz"


def test_limits_are_what_the_host_can_grant():
    assert _docker.clamp_nofile(["nofile:65000:65000", "nproc:9:9"], 20000) == ["nofile:20000:20000", "nproc:9:9"]
    assert _docker.clamp_nofile(["nofile:65000:65000"], None) == ["nofile:65000:65000"]
    assert _docker.clamp_nofile(["nofile:100"], 20000) == ["nofile:100"]


@pytest.mark.parametrize(
    ("platforms", "arch", "there"),
    [
        (["amd64", "arm64", "unknown"], "amd64", True),
        (["amd64"], "arm64", False),
        (["unknown"], "arm64", True),
        ([], "arm64", True),
        (None, "arm64", True),
    ],
)
def test_an_image_for_other_machines(platforms, arch, there):
    found = [{"architecture": name, "os": "linux"} for name in platforms or ()]
    problem = _docker.platform_problem("a/b:1", {"Platforms": found if platforms is not None else None}, arch)
    assert problem == (None if there else "the image a/b:1 is for amd64, and not for arm64")


@pytest.mark.parametrize(
    ("reference", "tags", "problem"),
    [
        ("prom/prometheus:v1", ["prom/prometheus:v1"], None),
        ("docker.io/prom/prometheus:v1", ["prom/prometheus:v1"], None),
        ("alpine", ["docker.io/library/alpine:latest"], None),
        ("quay.io/prom/prometheus:v1", ["prom/prometheus:v1"], "holds prom/prometheus:v1, and not quay.io/prom/"),
        (
            "prom/prometheus:v2",
            ["prom/prometheus:v1", "a:2"],
            "holds prom/prometheus:v1, a:2, and not prom/prometheus:v2",
        ),
        ("prom/prometheus:v2", [], "holds no image with a name"),
        # A digest is nothing that an archive names.
        ("prom/prometheus:v2@" + DIGEST, ["prom/prometheus:v1"], None),
    ],
)
def test_what_an_archive_holds(reference, tags, problem):
    found = _docker.archive_problem(reference, [{"RepoTags": tags or None}])
    assert (found is None) if problem is None else found.startswith(problem)
    assert _docker.archive_problem(reference, None) is None
