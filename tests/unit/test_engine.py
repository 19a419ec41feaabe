# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of an engine against a server on a socket: what is asked, and what becomes of each kind of answer."""

from __future__ import annotations

import base64
import http.server
import json
import socketserver
import threading

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.vigil.monitoring.plugins.action import image as image_action
from ansible_collections.vigil.monitoring.plugins.module_utils._engine import Engine, NoEngine, Refused
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError
from ansible_collections.vigil.monitoring.plugins.modules import image as image_module
from simulated_host import Module, run


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.headers.append(dict(self.headers))
        self.server.asked.append((self.command, self.path, body))
        status, content = self.server.answers.get(
            (self.command, self.path.partition("?")[0]), (404, {"message": "no such"})
        )
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *arguments):
        """Quiet."""

    def address_string(self):
        return "socket"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def server(tmp_path):
    with Server(str(tmp_path / "docker.sock"), Handler) as made:
        made.asked, made.headers, made.answers = [], [], {}
        made.engine = Engine("unix://" + str(tmp_path / "docker.sock"))
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def test_how_a_container_ended_is_told_after_it_was_started_again(server):
    def event(action, **attributes):
        return json.dumps({"Action": action, "Actor": {"ID": "a", "Attributes": attributes}}).encode()

    lines = (event("die", exitCode="3"), event("oom"), event("die", exitCode="137"), event("die", exitCode="0"))
    server.answers[("GET", "/events")] = 200, b"\n".join(lines) + b"\n"
    assert server.engine.deaths("a", 1000) == [
        {"status": "3", "killed": False},
        {"status": "137", "killed": True},
        {"status": "0", "killed": False},
    ]
    asked = server.asked[-1][1]
    # Without an end, the engine goes on for ever.
    assert "since=1000.000" in asked
    assert "until=" in asked


def test_what_is_not_there_is_none(server):
    assert server.engine.container("a") is None
    assert server.engine.image("registry:5000/a/b@sha256:1") is None
    assert server.engine.network("n/n") is None
    assert [path for dummy, path, dummy in server.asked] == [
        "/containers/a/json",
        "/images/registry:5000/a/b@sha256:1/json",
        "/networks/n%2Fn",
    ]


def test_what_the_engine_refuses_is_said_in_its_words(server):
    server.answers["POST", "/containers/a/start"] = (500, {"message": "port is already allocated"})
    with pytest.raises(Refused, match="port is already allocated") as caught:
        server.engine.start("a")
    assert caught.value.status == 500
    server.answers["GET", "/version"] = (502, b"<html>bad gateway")
    with pytest.raises(Refused, match="bad gateway"):
        server.engine.version()


def test_no_engine_is_named_with_its_address(tmp_path):
    with pytest.raises(NoEngine, match=r"no Docker engine answers at unix:///.*: No such file"):
        Engine(f"unix://{tmp_path}/none").version()
    (tmp_path / "dead.sock").touch()
    with pytest.raises(NoEngine, match="Connection refused"):
        Engine(f"unix://{tmp_path}/dead.sock").version()
    with pytest.raises(HostError, match="monitoring_docker_host"):
        Engine("tcp://example.org:2375")


def test_orders_carry_what_they_need(server):
    ok = (204, b"")
    for what in ("start", "stop", "restart", "rename", "update"):
        server.answers["POST", "/containers/a/" + what] = ok
    server.answers["DELETE", "/containers/a"] = ok
    engine = server.engine
    engine.start("a")
    engine.stop("a")
    engine.restart("a")
    engine.rename("a", "b")
    engine.set_policy("a", "always")
    engine.remove("a")
    engine.remove("gone")
    assert server.asked == [
        ("POST", "/containers/a/start", None),
        ("POST", "/containers/a/stop", None),
        ("POST", "/containers/a/restart", None),
        ("POST", "/containers/a/rename?name=b", None),
        ("POST", "/containers/a/update", {"RestartPolicy": {"Name": "always"}}),
        ("DELETE", "/containers/a?force=1&v=1", None),
        ("DELETE", "/containers/gone?force=1&v=1", None),
    ]


def frame(text):
    return b"\2\0\0\0" + len(text).to_bytes(4, "big") + text


def test_a_program_of_an_image_is_run_to_its_end_and_taken_away(server):
    name = "/containers/prometheus-vigil-check"
    server.answers["POST", "/containers/create"] = (201, {"Id": "1"})
    server.answers["POST", name + "/start"] = (204, b"")
    server.answers["POST", name + "/wait"] = (200, {"StatusCode": 3})
    server.answers["GET", name + "/logs"] = (200, frame(b"not valid\n"))
    server.answers["DELETE", name] = (204, b"")
    done = server.engine.run_once("prometheus", "sha256:1", ["check"], ["/a:/a:ro"], "/bin/promtool")
    assert done == (3, "not valid\n")
    made = next(body for method, path, body in server.asked if path.startswith("/containers/create"))
    assert (made["Entrypoint"], made["Cmd"], made["Image"]) == (["/bin/promtool"], ["check"], "sha256:1")
    assert made["HostConfig"]["NetworkMode"] == "none"
    assert made["HostConfig"]["Binds"] == ["/a:/a:ro"]
    assert server.asked[-1][0] == "DELETE"


def test_a_log_is_asked_for_from_the_very_moment_on(server):
    server.answers["GET", "/containers/prometheus/logs"] = (200, frame(b"no such storage\n"))
    # A whole second, rounded up, would leave out what a container said that died at once.
    assert server.engine.log("prometheus", 1700000000.75, 20) == "no such storage\n"
    assert "since=1700000000.750" in server.asked[-1][1]


def test_a_program_that_cannot_be_started_leaves_nothing(server):
    name = "/containers/prometheus-vigil-check"
    server.answers["POST", "/containers/create"] = (201, {"Id": "1"})
    server.answers["POST", name + "/start"] = (400, {"message": "no such file or directory"})
    with pytest.raises(Refused, match="no such file"):
        server.engine.run_once("prometheus", "sha256:1", [])
    assert server.asked[-1][:2] == ("DELETE", name + "?force=1&v=1")


def test_what_an_earlier_check_left_is_taken_away_unless_it_is_somebody_elses(server):
    name = "/containers/prometheus-vigil-check"
    server.answers["GET", name + "/json"] = (200, {"Config": {"Labels": {"monitoring.vigil.service": "prometheus"}}})
    with pytest.raises(Refused):
        server.engine.run_once("prometheus", "sha256:1", [])
    assert server.asked[1][0] == "DELETE"
    server.answers["GET", name + "/json"] = (200, {"Config": {"Labels": {}}})
    server.asked.clear()
    with pytest.raises(HostError, match="not created by this collection"):
        server.engine.run_once("prometheus", "sha256:1", [])
    assert [method for method, dummy, dummy in server.asked] == ["GET"]


def test_a_registry_is_asked_without_pulling(server):
    server.answers[("GET", "/distribution/mirror:5000/a/b:1/json")] = 200, {"Descriptor": {}, "Platforms": []}
    assert server.engine.manifest("mirror:5000/a/b:1", "me", "sentinel")["Platforms"] == []
    login = json.loads(base64.urlsafe_b64decode(server.headers[-1]["X-Registry-Auth"]))
    assert login == {"username": "me", "password": "sentinel"}
    server.engine.manifest("mirror:5000/a/b:1")
    assert "X-Registry-Auth" not in server.headers[-1]
    server.answers[("GET", "/distribution/mirror:5000/a/b:2/json")] = 500, {"message": "dial tcp: connection refused"}
    with pytest.raises(Refused, match="connection refused"):
        server.engine.manifest("mirror:5000/a/b:2")
    server.answers[("GET", "/info")] = 200, {"DockerRootDir": "/var/lib/docker"}
    assert server.engine.root() == "/var/lib/docker"


def image(server, monkeypatch, **given):
    """What the module image ends with, by an engine that has no image."""
    monkeypatch.setattr(image_module.os, "geteuid", lambda: 0)
    options = {"name": "grafana", "program": "grafana", "image": "a/b:1", "version": "1", "role": None, "path": None}
    options.update(tools=[], archive=None, username=None, password=None, engine="present", size=0, inquire=False)
    made = Module({**options, "docker_host": server.engine.host, **given})
    monkeypatch.setattr(image_module, "Module", lambda **dummy: made)
    return run(image_module.main, made)


@pytest.mark.parametrize("engine", ["present", "install"])
def test_podman_is_no_engine_whatever_could_be_installed(server, monkeypatch, engine):
    podman = {"ApiVersion": "1.41", "Version": "4.9.3", "Components": [{"Name": "Podman Engine"}]}
    server.answers["GET", "/version"] = 200, podman
    monkeypatch.setattr(image_module.importlib.util, "find_spec", lambda name: None)
    done = image(server, monkeypatch, engine=engine)
    assert done["failed"] and "Podman 4.9.3" in done["msg"]


def test_where_the_engine_keeps_its_images_is_told_for_the_message_of_a_full_disk(server, monkeypatch):
    server.answers["GET", "/version"] = 200, {"ApiVersion": "1.45", "Version": "27.0.3"}
    server.answers["GET", "/info"] = 200, {"DockerRootDir": "/data/docker"}
    monkeypatch.setattr(image_module.importlib.util, "find_spec", lambda name: object())
    done = image(server, monkeypatch)
    assert (done["wanted"], done["root"]) == (["image"], "/data/docker")


@pytest.mark.parametrize(
    ("module", "variable"), [("docker_image_load", "_image_archive"), ("docker_image_pull", "_image")]
)
def test_a_disk_that_fills_up_while_an_image_comes_is_named(module, variable):
    says = {"failed": True, "msg": "Error: write /blobs/sha256/1: no space left on device"}
    action = image_action.ActionModule(*[None] * 6)
    action._root = "/data/docker"
    action._execute_module = lambda **dummy: says
    with pytest.raises(
        AnsibleActionFail, match=f"not enough free space in /data/docker for what grafana{variable} specifies.*Error:"
    ):
        action._obtain(module, {"program": "grafana"}, {}, {}, "x cannot be had", variable)
    says["msg"] = "unauthorized"
    with pytest.raises(AnsibleActionFail, match=r"^x cannot be had: unauthorized"):
        action._obtain(module, {"program": "grafana"}, {}, {}, "x cannot be had", variable)
