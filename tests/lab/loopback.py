"""What tests on the loopback share, which need no host: a free port, a locked door, and modules run as Ansible runs them."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

from .common import ROOT, run

PASSWORD = "Sentinel-Health-7"
# The bcrypt hash of PASSWORD.
HASH = "$2b$05$K3cT0oLItvn9fDDpKcP.e.zZptHMCI.p2/2Hhh2v0N8I5rQkG2jLO"


def free_port(address: str = "127.0.0.1") -> int:
    """A port of an address of this machine that nobody listens on."""
    with socket.socket() as one:
        one.bind((address, 0))
        return one.getsockname()[1]


def module(name: str, **arguments) -> dict:
    """Run a module as Ansible does on a host; its result, and all that it wrote as ``everything``."""
    done = run(
        [sys.executable, str(ROOT / "plugins" / "modules" / f"{name}.py")],
        check=False,
        timeout=120,
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
    )
    assert done.stdout.strip(), done.stderr
    return {**json.loads(done.stdout), "everything": done.stdout + done.stderr}


def guard(folder: Path) -> tuple[dict, tuple[str, ...]]:
    """Write a certificate for 127.0.0.1, its key, and a web configuration that lets ``me`` in; it and Prometheus' flags."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=lab"]
        + ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    )
    web = {
        "tls_server_config": {"cert_file": str(certificate), "key_file": str(key)},
        "basic_auth_users": {"me": HASH},
    }
    (folder / "web.yml").write_text(json.dumps(web))
    return web, (f"--web.config.file={folder}/web.yml", "--web.external-url=https://lab/prom")
