"""An OpenID provider on the lab's bridge, at which people log in; its clients have to be registered and to know their secret.

with identity.serve() as provider:
    client = provider.register("http://172.18.0.2:3000/login/generic_oauth")
    provider.person("nora", name="Nora")
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

from . import hosts, venv
from .common import LabError
from .loopback import free_port

START_TIMEOUT = 30


@dataclass(frozen=True)
class Client:
    """What a service is given by which it is known to the provider."""

    id: str
    secret: str


@dataclass(frozen=True)
class Provider:
    """A provider that runs.

    :ivar url: what its endpoints begin with.
    """

    url: str

    def _send(self, method: str, path: str, body: dict) -> bytes:
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), method=method)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def register(self, callback: str) -> Client:
        """A new client, to which people come back at this URL."""
        body = {"redirect_uris": [callback], "token_endpoint_auth_method": "client_secret_post"}
        made = json.loads(self._send("POST", "/oauth2/clients", body))
        return Client(made["client_id"], made["client_secret"])

    def person(self, login: str, **claims: object) -> None:
        """Somebody who can log in."""
        self._send("PUT", f"/users/{login}", claims)


@contextlib.contextmanager
def serve() -> Iterator[Provider]:
    """A provider for the length of a `with` block."""
    address = hosts.gateway()
    port = free_port(address)
    argv = [str(venv.group("identity") / "oidc-provider-mock"), "--require-registration", "--host", address]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([*argv, "--port", str(port)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            made, began = Provider(f"http://{address}:{port}"), time.monotonic()
            while not _answers(made):
                if process.poll() is not None or time.monotonic() - began > START_TIMEOUT:
                    log.seek(0)
                    raise LabError(f"{argv[0]} does not answer:\n{log.read().decode(errors='replace')[-2000:]}")
                time.sleep(0.2)
            yield made
        finally:
            process.terminate()
            process.wait()


def _answers(provider: Provider) -> bool:
    try:
        with urllib.request.urlopen(f"{provider.url}/.well-known/openid-configuration", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
