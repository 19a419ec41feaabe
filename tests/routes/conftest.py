"""What the tests of routes share: declarations as the role renders them, and the mirror's Alertmanagers."""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import subprocess
import time
import urllib.request
import uuid
from pathlib import Path

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _alertmanager
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import to_yaml

from lab import images, mirror
from lab.common import LABEL, ROOT, run
from lab.loopback import free_port

AGES = ("new", "old")


def settings(declaration: str | dict, version: str, folder: Path, **given) -> dict:
    """The role's inputs with a declaration, as its vars hand them on."""
    bare = {
        "config_dir": str(folder),
        "version": version,
        "escalation": yaml.safe_load(declaration) if isinstance(declaration, str) else declaration,
        "resolve_timeout": "3m",
        "smtp": {"from": "alertmanager@example.com", "smarthost": "localhost:25", "require_tls": False},
        "http_config": {},
        "route": {"receiver": "default"},
        "receivers": [{"name": "default"}],
        "inhibit_rules": [],
        "time_intervals": [],
        "template_files": [],
        "own_templates": [
            {"source": str(path), "content": path.read_text(encoding="utf-8")}
            for path in (ROOT / "bundled/messages").glob("*.tmpl")
        ],
        "web_config": {},
        "mask_diff": False,
        "global": {},
        "tracing": {},
        "event_recorder": {},
    }
    return {**bare, **dict.fromkeys(_alertmanager.GLOBAL_KEYS, ""), **given}


def write(given: dict) -> str:
    """Write everything that the role would write to the host; returns the text of alertmanager.yml."""
    text = to_yaml(_alertmanager.alertmanager_config(given))
    for entry in _alertmanager.alertmanager_files(given, text):
        path = Path(given["config_dir"]) / entry["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(entry["content"], encoding="utf-8")
    return text


@pytest.fixture(scope="session")
def releases(tmp_path_factory) -> dict[str, tuple[str, Path]]:
    """The mirror's releases: "new" and "old" -> (version, folder of alertmanager and amtool)."""
    found = {}
    for age in AGES:
        folder = mirror.unpack("alertmanager", age, tmp_path_factory.mktemp(age))
        found[age] = mirror.versions()["alertmanager"][age], folder
    return found


def amtool(folder: Path, *arguments: str) -> str:
    """What amtool prints; it has to succeed."""
    done = subprocess.run([str(folder / "amtool"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def stamp(seconds: float) -> str:
    """A time as the API wants it."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat()


class Alertmanager:
    """A running Alertmanager; in a container, as Debian's build reads its own templates from the host."""

    def __init__(self, release, folder, declaration, target):
        self.version, self.programs = release
        self.folder, self.name = folder, f"vigil-route-{uuid.uuid4().hex[:8]}"
        self.port, self.fired = free_port(), None
        self.url = f"http://127.0.0.1:{self.port}"
        smtp = {"from": "alertmanager@example.com", "smarthost": target.smtp, "require_tls": False}
        pagerduty = target.url + "/v2/enqueue"
        given = settings(declaration.format(url=target.url), self.version, folder, smtp=smtp, pagerduty_url=pagerduty)
        write(given)

    def start(self):
        """Start it, with what it left on the disk, and wait until it is ready."""
        mounts = [f"--volume={path}:{path}" for path in (self.folder, self.programs)]
        program = [
            f"{self.programs}/alertmanager",
            f"--config.file={self.folder}/alertmanager.yml",
            f"--storage.path={self.folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
            # What silences there are is written to the disk so often.
            "--data.maintenance-interval=1s",
        ]
        label = f"--label={LABEL}=route"
        docker = ["docker", "run", "--detach", f"--name={self.name}", label, "--network=host", *mounts]
        run([*docker, f"--entrypoint={program[0]}", images.name("trixie"), *program[1:]])
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                if self.ask("/-/ready"):
                    return
            assert time.monotonic() < deadline, run(["docker", "logs", self.name], check=False).stderr
            time.sleep(0.1)

    def kill(self):
        """End it as a power failure would, or remove what is left of it."""
        run(["docker", "rm", "--force", self.name], check=False)

    def ask(self, path: str, data=None) -> str:
        """One request to its API."""
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=5) as reply:
            return reply.read().decode()

    def metric(self, pattern: str) -> float:
        """The sum of the samples that match."""
        return sum(float(found) for found in re.findall(rf"(?m)^{pattern} (\S+)$", self.ask("/metrics")))

    def post(self, *alerts: dict, ended: bool = False):
        """Tell of alerts as Prometheus does; all labels but these four are the same for all."""
        # What has fired for longer than a stage waits goes there at once, so all posts of a scenario name its beginning.
        self.fired = self.fired or time.time()
        sent = [
            {
                "labels": {"alertname": "HighErrorRate", "service": "api", "instance": "api 1+2 & co", **labels},
                "annotations": {
                    "summary": "5 % < 7 % of requests fail & more",
                    "description": "Since the deployment.",
                    "runbook_url": "https://runbooks.example.com/HighErrorRate",
                    "dashboard_url": "https://grafana.example.com/d/api",
                },
                "startsAt": stamp(self.fired),
                "endsAt": stamp(time.time() + (0 if ended else 300)),
            }
            for labels in alerts
        ]
        self.ask("/api/v2/alerts", sent)

    def silence(self, matchers: list[dict]):
        """Silence what has these labels."""
        times = {"startsAt": stamp(time.time()), "endsAt": stamp(time.time() + 300)}
        self.ask("/api/v2/silences", {"matchers": matchers, "createdBy": "x", "comment": "seen", **times})
