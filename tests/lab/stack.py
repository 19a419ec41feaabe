"""The demo's stack: an application in production on two lab hosts, and the monitoring that site.yml puts beside it.

The inventory is inventories/demo; where its hosts are stands in a file that the lab writes beside it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import ssl
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

from . import application, hosts, mirror, play, stages, venv
from .application import Application
from .common import ROOT, LabError
from .hosts import Host

INVENTORY = ROOT / "inventories" / "demo"
TLS = (INVENTORY / "group_vars" / "all" / "tls.yml").read_text(encoding="utf-8")
PASSWORD = re.search(r"(?m)^monitoring_password: (\S+)$", TLS)[1]
# The hosts of the inventory and their suites.
MONITORING, PRODUCTION = "vigil-demo1", "vigil-demo2"
SUITES = {MONITORING: "bookworm", PRODUCTION: application.SUITE}


@dataclass(frozen=True)
class Stack:
    """Two hosts, and what one asks of them.

    :ivar monitoring: the host of Prometheus, Alertmanager, the blackbox exporter and Grafana.
    :ivar production: the host of the application, its database and its customers, and of the sink.
    :ivar overlay: the file that says where the inventory's hosts are.
    """

    monitoring: Host
    production: Host
    overlay: Path

    @property
    def prometheus(self) -> str:
        """The URL of Prometheus."""
        return f"https://{self.monitoring.ip}:9091"

    @property
    def grafana(self) -> str:
        """The URL of Grafana, where the lab has one. Everybody may look."""
        return f"https://{self.monitoring.ip}:3000"

    @property
    def authority(self) -> Path:
        """The directory of the certificate authority, beside the file that says where the hosts are."""
        return self.overlay.with_name(f"{self.overlay.stem}-tls")

    def opened(self, url: str) -> HTTPResponse:
        """The answer of a service, as a person gets it who trusts the authority and knows the password; urllib's HTTPError when
        it is none."""
        context = ssl.create_default_context(cafile=str(self.authority / "ca.crt")) if url.startswith("https") else None
        request = urllib.request.Request(url)
        login = base64.b64encode(f"admin:{PASSWORD}".encode()).decode("ascii")
        request.add_header("Authorization", f"Basic {login}")
        return urllib.request.urlopen(request, timeout=10, context=context)

    @property
    def application(self) -> Application:
        """What can be done to the application."""
        return Application(self.production)

    def command(self, playbook: str = "site.yml", *arguments: str) -> list[str]:
        """The command line of a playbook over the demo's inventory and these hosts."""
        inventories = ("-i", str(INVENTORY), "-i", str(self.overlay))
        return [venv.tool("ansible-playbook"), str(ROOT / playbook), *inventories, *arguments]

    def write(self, **variables: object) -> None:
        """Write where the hosts are, and variables that win over the inventory's.

        Grafana is there where the lab has one, and cAdvisor on hosts that have an engine.
        """
        places = {MONITORING: self.monitoring, PRODUCTION: self.production}
        at = {name: {"ansible_host": host.name, "monitoring_address": host.ip} for name, host in places.items()}
        own = {name: {**where, "monitoring_tls_dir": str(self.authority), **variables} for name, where in at.items()}
        inventory = {"all": {"hosts": own}}
        versions = mirror.grafana()
        if versions:
            own[MONITORING]["grafana_version"] = versions[-1]
            inventory["grafana"] = {"hosts": {MONITORING: {}}}
        inventory["cadvisor"] = {"hosts": {name: {} for name, host in places.items() if host.has_docker}}
        self.overlay.parent.mkdir(parents=True, exist_ok=True)
        self.overlay.write_text(json.dumps(inventory), encoding="utf-8")

    def written(self) -> dict[str, object]:
        """The variables of the monitoring host that were written last; empty where none were."""
        if not self.overlay.exists():
            return {}
        return json.loads(self.overlay.read_text(encoding="utf-8"))["all"]["hosts"][MONITORING]

    def deploy(self, *arguments: str, **variables: object) -> str:
        """Run site.yml with variables that win over the inventory's; what it said. LabError when it is red."""
        self.write(**variables)
        done = play.run(self.command("site.yml", *arguments), ROOT, stages.environment())
        if not done.green:
            raise LabError(f"site.yml is red:\n{done.output}")
        return done.output

    def ask(self, path: str, **parameters: object) -> dict | list:
        """The data of an answer of Prometheus' API; urllib's HTTPError when it is none."""
        query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
        with self.opened(f"{self.prometheus}/api/v1/{path}{query}") as answer:
            return json.load(answer)["data"]

    def query(self, expr: str) -> list[dict]:
        """The series of an instant query, each with `metric` and `value`."""
        return self.ask("query", query=expr)["result"]

    def firing(self) -> set[tuple[str, str]]:
        """Name and severity of each alert that fires in Prometheus."""
        alerts = self.ask("alerts")["alerts"]
        labels = [alert["labels"] for alert in alerts if alert["state"] == "firing"]
        return {(one["alertname"], one["severity"]) for one in labels}

    def wait(self, what: str, ready: Callable[[], object], within: float) -> float:
        """Wait until something is true; the seconds that it took. An AssertionError with the state when time is up."""
        began = time.monotonic()
        while not ready():
            if time.monotonic() - began > within:
                raise AssertionError(f"{what}: not within {within} s\n{self._state()}")
            time.sleep(0.5)
        return time.monotonic() - began

    def _state(self) -> str:
        """What fires and what has arrived, as far as it can be had: a test may have stopped either."""
        try:
            firing = sorted(self.firing())
            told = [f"{one.at:.0f} {one.channel} {one.title}" for one in self.application.messages()]
        except OSError as error:
            return f"the state cannot be had: {error}"
        return "\n".join([f"firing: {firing}", "arrived:", *told])


@contextlib.contextmanager
def stack(folder: Path, **variables: object) -> Iterator[Stack]:
    """The whole stack, on hosts of its own, for the length of a `with` block: deployed, verified, with its customers.

    What it has: node_exporter on both hosts, blackbox and postgres exporters, probes, the packs of rules, two Alertmanagers
    that send to the sink, the application with three workers under load, its database. Prometheus scrapes every 5 s.

    :param folder: a directory for the inventory's file.
    :param variables: variables that win over those of inventories/demo.
    """
    group = f"live-{uuid.uuid4().hex[:8]}"
    made = []
    try:
        for name, suite in SUITES.items():
            image = application.image() if name == PRODUCTION else None
            made.append(hosts.up(f"vigil-{group}-{name.removeprefix('vigil-')}", suite, group, image))
        one = Stack(*made, folder / "hosts.json")
        one.deploy(**variables)
        yield one
    finally:
        for host in made:
            host.remove()
