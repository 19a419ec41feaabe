# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An OpenID provider on the lab's bridge: Dex, at which people log in with their passwords of an LDAP server, which has their groups.

with identity.serve(program, "http://172.18.0.2:3000/login/generic_oauth", ldap, "secret") as url:
    print(f"{url}/auth")
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from . import hosts
from .common import LabError
from .golang import Program
from .loopback import free_port

# 2.41.1: Go knows it by its commit alone. The newest that builds with a version of its own second module.
SERVER = Program(
    "github.com/dexidp/dex/cmd/dex",
    "v0.0.0-20240807174518-43956db7fd75",
    further=("github.com/dexidp/dex/api/v2@v2.2.0",),
    in_c=True,
)
CLIENT = "grafana"
START_TIMEOUT = 30


@contextlib.contextmanager
def serve(program: Path, callback: str, ldap: dict, client_secret: str) -> Iterator[str]:
    """The URL of a provider, for the length of a `with` block.

    :param program: path of Dex.
    :param callback: where people come back to; it takes them to nowhere else.
    :param ldap: the configuration of its connector.
    :param client_secret: that of its client.
    """
    address = hosts.gateway()
    port = free_port(address)
    url = f"http://{address}:{port}"
    config = {
        "issuer": url,
        "storage": {"type": "memory"},
        "web": {"http": f"{address}:{port}"},
        "oauth2": {"skipApprovalScreen": True},
        "staticClients": [{"id": CLIENT, "name": "Grafana", "secret": client_secret, "redirectURIs": [callback]}],
        "connectors": [{"type": "ldap", "id": "ldap", "name": "LDAP", "config": ldap}],
    }
    # Otherwise what looks like a variable of the shell in a password would be one.
    environment = {**os.environ, "DEX_EXPAND_ENV": "false"}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        file = Path(folder) / "dex.json"
        file.write_text(json.dumps(config))
        argv = [str(program), "serve", str(file)]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        try:
            began = time.monotonic()
            while not _answers(url):
                if process.poll() is not None or time.monotonic() - began > START_TIMEOUT:
                    log.seek(0)
                    raise LabError(f"{argv[0]} does not answer:\n{log.read().decode(errors='replace')[-2000:]}")
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/.well-known/openid-configuration", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
