# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Docker engine over its socket, for what has to happen within milliseconds: the activation and its verification.

Images are pulled and containers are made by community.docker; nothing here does either. It needs Python's own library
alone, as everything that runs on a host.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
from urllib.parse import quote, urlencode

from ansible_collections.vigil.monitoring.plugins.module_utils._docker import (
    LABEL_SERVICE,
    label,
    log_text,
    socket_path,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError

PATIENCE = 60.0  # seconds for an answer; stopping a container takes longer
STOP_PATIENCE = 1800.0


class NoEngine(HostError):
    """No engine answers."""


class Refused(HostError):
    """The engine says no.

    :ivar status: HTTP status.
    """

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """The engine of this host.

    :param host: its address, ``unix:///PATH``.
    """

    def __init__(self, host):
        self.host = host
        try:
            self._socket = socket_path(host)
        except ValueError as error:
            raise HostError("monitoring_docker_host: {0}".format(error)) from error

    def _request(self, method, path, query=None, body=None, timeout=PATIENCE, **headers):
        """An answer's bytes.

        :raises NoEngine: when none answers.
        :raises Refused: for a status that is no success.
        """
        connection = _Connection(self._socket, timeout)
        target = path + ("?" + urlencode(query) if query else "")
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = json.dumps(body).encode("utf-8") if body is not None else None
        try:
            connection.request(method, target, body=data, headers=headers)
            response = connection.getresponse()
            status, content = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise NoEngine("no Docker engine answers at {0}: {1}".format(self.host, reason)) from error
        finally:
            connection.close()
        if status >= 400:
            try:
                message = json.loads(content).get("message", "")
            except ValueError:
                message = content.decode("utf-8", "replace").strip()
            raise Refused(status, "the Docker engine says: {0}".format(message))
        return content

    def _json(self, method, path, query=None, body=None, timeout=PATIENCE):
        return json.loads(self._request(method, path, query, body, timeout) or b"null")

    def _found(self, path):
        """An answer, or None where there is no such thing."""
        try:
            return self._json("GET", path)
        except Refused as error:
            if error.status != 404:
                raise
            return None

    def version(self):
        """What the engine says about itself."""
        return self._json("GET", "/version")

    def image(self, name):
        """What is known about an image, by name or id; None when it is not there."""
        return self._found("/images/{0}/json".format(quote(name, safe="/:@")))

    def manifest(self, name, username=None, password=None):
        """What the registry says about an image, which is not pulled.

        :raises Refused: when the registry does not answer, does not let one in, or has no such image.
        """
        headers = {}
        if username:
            login = json.dumps({"username": username, "password": password or ""}).encode("utf-8")
            headers["X-Registry-Auth"] = base64.urlsafe_b64encode(login).decode("ascii")
        return json.loads(self._request("GET", "/distribution/{0}/json".format(quote(name, safe="/:@")), **headers))

    def info(self):
        """What the engine says about the host, and how it is set up."""
        return self._json("GET", "/info")

    def root(self):
        """The directory on the host in which the engine keeps its images."""
        return self.info().get("DockerRootDir") or ""

    def network(self, name):
        """What is known about a network; None when it is not there."""
        return self._found("/networks/{0}".format(quote(name, safe="")))

    def container(self, name):
        """What is known about a container, by name or id; None when it is not there."""
        return self._found("/containers/{0}/json".format(quote(name, safe="")))

    def containers(self):
        """All containers, in short."""
        return self._json("GET", "/containers/json", {"all": "1"})

    def _do(self, name, what, query=None, timeout=PATIENCE, body=None):
        self._request("POST", "/containers/{0}/{1}".format(quote(name, safe=""), what), query, body, timeout)

    def create(self, name, body):
        """Make a container that is not started.

        :param body: what the engine's API takes.
        :raises Refused: when the engine does not do it.
        """
        self._json("POST", "/containers/create", {"name": name}, body)

    def start(self, name):
        """Start a container; one that runs stays as it is."""
        self._do(name, "start")

    def stop(self, name):
        """Stop a container with the signal and the patience that it was made with."""
        self._do(name, "stop", timeout=STOP_PATIENCE)

    def restart(self, name):
        """Stop a container and start it again."""
        self._do(name, "restart", timeout=STOP_PATIENCE)

    def rename(self, name, new):
        """Give a container another name."""
        self._do(name, "rename", {"name": new})

    def set_policy(self, name, policy):
        """Say when the engine starts a container by itself.

        :param policy: ``no``, ``always``, ``unless-stopped`` or ``on-failure``.
        """
        self._do(name, "update", body={"RestartPolicy": {"Name": policy}})

    def remove(self, name):
        """Take a container away, also one that runs, with the volumes that nobody named.

        :param name: its name or id; one that is not there is no error.
        :raises Refused: when the engine does not do it.
        """
        try:
            self._request(
                "DELETE",
                "/containers/{0}".format(quote(name, safe="")),
                {"force": "1", "v": "1"},
                timeout=STOP_PATIENCE,
            )
        except Refused as error:
            if error.status != 404:
                raise

    def remove_network(self, name):
        """Take a network away."""
        self._request("DELETE", "/networks/{0}".format(quote(name, safe="")))

    def log(self, name, since, limit):
        """The end of a container's log.

        :param since: seconds since the epoch.
        :param limit: number of lines.
        """
        query = {"stdout": "1", "stderr": "1", "since": "{0:.3f}".format(since), "tail": str(limit)}
        return log_text(self._request("GET", "/containers/{0}/logs".format(quote(name, safe="")), query))

    def deaths(self, container, since):
        """How a container ended, each time: the engine forgets that when it starts it again.

        :param container: its id.
        :param since: seconds since the epoch.
        :returns: list of ``{"status": exit status as text, "killed": whether for want of memory}``, oldest first.
        """
        wanted = {"container": [container], "event": ["die", "oom"]}
        # A moment that has come already: without one, the engine would go on telling for ever.
        query = {
            "since": "{0:.3f}".format(since),
            "until": "{0:.3f}".format(time.time()),
            "filters": json.dumps(wanted),
        }
        found, killed = [], False
        for line in self._request("GET", "/events", query).decode("utf-8", "replace").splitlines():
            event = json.loads(line)
            if event.get("Action") == "oom":
                killed = True
                continue
            status = ((event.get("Actor") or {}).get("Attributes") or {}).get("exitCode", "")
            found.append({"status": status, "killed": killed})
            killed = False
        return found

    def run_once(self, service, image, argv, mounts=(), entrypoint=None):
        """Run a program of an image to its end, without a network and without a right to change anything.

        :param service: name of the service that it is for.
        :param image: id of the image.
        :param argv: arguments.
        :param mounts: list of ``SOURCE:TARGET:ro``.
        :param entrypoint: path of the program; None for the image's own.
        :returns: ``(exit status, what it printed)``.
        :raises Refused: when it could not be started.
        """
        name = service + "-vigil-check"
        left = self.container(name)
        if left is not None:
            if label(left, LABEL_SERVICE) != service:
                raise HostError(
                    "the container {0} was not created by this collection; remove or rename it".format(name)
                )
            self.remove(name)
        body = {
            "Image": image,
            "Cmd": list(argv),
            # What is checked is readable by root alone, as it is not yet where the service would read it.
            "User": "0:0",
            "Labels": {LABEL_SERVICE: service},
            "HostConfig": {
                "NetworkMode": "none",
                "Binds": list(mounts),
                "ReadonlyRootfs": True,
                "SecurityOpt": ["no-new-privileges"],
                "CapDrop": ["ALL"],
                "CapAdd": ["DAC_READ_SEARCH"],
                "LogConfig": {"Type": "json-file", "Config": {}},
            },
        }
        if entrypoint:
            body["Entrypoint"] = [entrypoint]
        self.create(name, body)
        try:
            self.start(name)
            ended = self._json("POST", "/containers/{0}/wait".format(name), timeout=PATIENCE * 2)
            return ended["StatusCode"], self.log(name, 0, 200)
        finally:
            self.remove(name)
