"""An application in production, to be monitored: the shop of examples/application on a lab host.

Beside it are its PostgreSQL with backups, its customers, a page with TLS, and a sink that plays Slack, PagerDuty, the mail
server and the dead man's switch.
None of it is the collection's: the lab puts it there, as an image that is made once.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from . import hosts, images, venv
from .common import LABEL, ROOT, locked, run, step
from .hosts import Host
from .sink import Message

EXAMPLE = ROOT / "examples" / "application"
UNITS = Path(__file__).parent / "units"
SINK = Path(__file__).parent / "sink.py"
SUITE = "trixie"
SINK_PORT = 8025
# An ordinary day: enough for every rate to mean something, and less than two cores notice.
ORDINARY = {"rate": 10, "errors": 0.002, "slow": 0.02, "delay": 0.2}
# The pools of all workers, 3 x 5, and the exporter can take nearly all of the 17 that are not reserved for administrators.
MAX_CONNECTIONS = 20
INSTALL = (
    "apt-get update -q && "
    "DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends {} && apt-get clean"
)
PSQL = "cd / && su postgres -c 'psql -XAtq -v ON_ERROR_STOP=1'"


def with_postgresql(suite: str = SUITE) -> str:
    """The image of a host on which Debian's PostgreSQL runs, made by whoever asks first."""
    image = f"vigil-lab-deployed:{suite}-postgresql-{images.recipe(suite)[:12]}"
    with locked(f"postgresql-{suite}"):
        if run(["docker", "image", "inspect", image], check=False).returncode:
            with (
                step(f"making the image of a host with PostgreSQL ({suite})"),
                hosts.host(suite, group="snapshot") as host,
            ):
                host.run(INSTALL.format("postgresql"), timeout=300)
                host.snapshot(image, {LABEL: "snapshot"})
    return image


def image(suite: str = SUITE) -> str:
    """The image of a host on which the whole application runs, made by whoever asks first."""
    digest = hashlib.sha256(images.recipe(suite).encode())
    for path in [Path(__file__), SINK, *sorted(EXAMPLE.iterdir()), *sorted(UNITS.iterdir())]:
        if path.is_file():
            digest.update(path.name.encode() + path.read_bytes())
    name = f"vigil-lab-deployed:{suite}-application-{digest.hexdigest()[:12]}"
    with locked(f"application-{suite}"):
        if run(["docker", "image", "inspect", name], check=False).returncode:
            with (
                step(f"making the image of a host with the application ({suite})"),
                hosts.host(suite, group="snapshot", image=with_postgresql(suite)) as host,
            ):
                _install(host)
                host.snapshot(name, {LABEL: "snapshot"})
    return name


def _install(host: Host) -> None:
    """Put everything on a host that has PostgreSQL. It need not reach a package registry: this machine's pip does."""
    host.run(INSTALL.format("python3-venv"), timeout=300)
    version = host.run("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'").stdout.strip()
    host.run("mkdir -p /opt/application /opt/sink")
    for path in sorted(EXAMPLE.iterdir()):
        if path.suffix != ".service":
            run(["docker", "cp", str(path), f"{host.name}:/opt/application/"])
    run(["docker", "cp", str(SINK), f"{host.name}:/opt/sink/"])
    for unit in [EXAMPLE / "application.service", *sorted(UNITS.iterdir())]:
        run(["docker", "cp", str(unit), f"{host.name}:/etc/systemd/system/"])
    with tempfile.TemporaryDirectory() as folder:
        argv = [venv.tool("python"), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        argv += ["--only-binary=:all:", f"--python-version={version}"]
        machine = host.run("uname -m").stdout.strip()
        run([*argv, f"--platform=manylinux2014_{machine}", "-d", folder, "-r", str(EXAMPLE / "requirements.txt")])
        run(["docker", "cp", folder, f"{host.name}:/opt/wheels"])
    pip = "/opt/application/venv/bin/pip install -q --no-index --find-links /opt/wheels"
    host.run("python3 -m venv /opt/application/venv", timeout=120)
    host.run(f"{pip} -r /opt/application/requirements.txt && rm -r /opt/wheels", timeout=300)
    password = secrets.token_hex(16)
    statements = f"""
        CREATE ROLE shop LOGIN PASSWORD '{password}';
        CREATE DATABASE shop OWNER shop;
        ALTER SYSTEM SET max_connections = {MAX_CONNECTIONS};
        ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements';
        \\c shop
        CREATE EXTENSION pg_stat_statements;
    """
    host.run(PSQL, stdin=statements)
    host.run(
        "umask 077; cat > /etc/application.env", stdin=f"DATABASE_URL=postgresql://shop:{password}@localhost/shop\n"
    )
    host.run("cat > /etc/load.env", stdin=_load(ORDINARY))
    host.run(
        "chmod -R u=rwX,go=rX /opt/application /opt/sink && systemctl enable application backup.timer load sink tls"
    )


def _load(options: dict) -> str:
    return "LOAD=" + " ".join(f"--{name} {value}" for name, value in options.items()) + "\n"


@dataclass(frozen=True)
class Application:
    """What can be done to the application on its host."""

    host: Host

    @property
    def url(self) -> str:
        """Where its customers go."""
        return f"http://{self.host.ip}:8000"

    @property
    def sink(self) -> str:
        """Where the messages arrive."""
        return f"http://{self.host.ip}:{SINK_PORT}"

    def sql(self, statement: str) -> str:
        """What PostgreSQL's administrator gets for a statement."""
        return self.host.run(PSQL, stdin=statement).stdout.strip()

    def postgresql(self, verb: str) -> None:
        """Start or stop the server itself: the unit `postgresql` only stands for it, and does not wait."""
        self.host.run(f"systemctl {verb} postgresql@$(ls /etc/postgresql)-main")

    def load(self, **options: float) -> None:
        """Send other customers: `rate`, `errors`, `slow`, `delay` (see load.py); what is not given is as usual."""
        self.host.run("cat > /etc/load.env && systemctl restart load", stdin=_load({**ORDINARY, **options}))

    def messages(self) -> list[Message]:
        """What arrived in the channels so far, in its order."""
        with urllib.request.urlopen(self.sink + "/messages", timeout=10) as answer:
            return [Message(**one) for one in json.load(answer)]
