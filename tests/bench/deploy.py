"""Deployments on lab hosts: ours beside those of prometheus.prometheus, with one mirror and one ansible.cfg."""

from __future__ import annotations

import contextlib
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import application, containers, hosts, mirror, registry, stages
from lab.common import ROOT, say
from lab.peers import PEER, Peer
from lab.play import recap

from .measure import Cost, median, timed, write_json

SUITE = "trixie"
GROUP = "bench"
SERVICES = ("node_exporter", "alertmanager", "prometheus")
# All that the lab has a release and an image of, on a host with its own engine and a database.
EVERYTHING = ("node_exporter", "blackbox_exporter", "postgres_exporter", "alertmanager", "prometheus")
RUNTIMES = ("systemd", "docker")
# How the whole site is deployed, and what the inventory says for that: by either runtime, and closed to strangers.
PASSWORD = "just-a-measurement"
WAYS = {
    **{runtime: {"monitoring_runtime": runtime} for runtime in RUNTIMES},
    "tls": {"monitoring_runtime": "systemd", "monitoring_tls": True, "monitoring_password": PASSWORD},
}
# What both get; the rest is each collection's own defaults.
ALERTING = {"alertmanager_route": {"receiver": "nobody"}, "alertmanager_receivers": [{"name": "nobody"}]}


class Side:
    """One collection on its hosts.

    :ivar folder: its inventories, playbooks and caches.
    """

    name: str

    def __init__(self, folder: Path, url: str, services: tuple[str, ...] = SERVICES):
        self.folder = folder
        self.url = url
        self.services = services
        self.versions = {service: mirror.versions()[service]["new"] for service in services}
        # Further variables of the inventory.
        self.more: dict = {}
        folder.mkdir(parents=True)

    def run(self, on: list[hosts.Host], playbook: Path | None = None, bytecode: bool = True) -> tuple[Cost, str]:
        """Run the roles, or another playbook, on these hosts.

        :param bytecode: whether Python finds what it has compiled before, and may keep it.
        """
        inventory = hosts.inventory(dict.fromkeys(self.services, on), **{**self.variables(on), **self.more})
        argv = [
            "ansible-playbook",
            str(playbook or self.playbook()),
            *("-i", str(write_json(self.folder / "inventory.json", inventory))),
        ]
        environment = self.environment()
        if not bytecode:
            # Where it would look for bytecode, there is none, and there will be none.
            nowhere = str(self.folder / "bytecode")
            environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": nowhere}
        return timed(argv, environment, self.folder)

    def playbook(self) -> Path:
        """A play that consists of the roles, for all hosts."""
        raise NotImplementedError

    def variables(self, on: list[hosts.Host]) -> dict:
        """What the inventory says for all hosts."""
        raise NotImplementedError

    def collections(self) -> list[str]:
        """Where the collection is."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """This clone's ansible.cfg, and caches that no earlier run has filled."""
        return {
            **stages.environment(),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": ":".join(self.collections()),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }

    def _playbook(self, collection: str, facts: bool) -> Path:
        roles = [{"role": f"{collection}.{service}"} for service in self.services]
        play = {"name": "Deploy", "hosts": "all", "gather_facts": facts, "roles": roles}
        return write_json(self.folder / "roles.yml", [play])


class Ours(Side):
    """vigil.monitoring as it is in this clone."""

    name = "vigil.monitoring"

    def collections(self):
        return [str(ROOT / "collections")]

    def playbook(self):
        return self._playbook("vigil.monitoring", facts=False)

    def variables(self, on):
        versions = {f"{service}_version": version for service, version in self.versions.items()}
        return {"monitoring_release_mirror": self.url, **versions, **ALERTING}


class Everything(Ours):
    """All services and their verification, in one of :data:`WAYS`.

    :ivar images: address of the registry that has the images.
    """

    def __init__(self, folder: Path, url: str, way: str, images: str):
        super().__init__(folder, url, EVERYTHING)
        self.way = way
        self.images = images
        # Where the lab has one.
        for version in mirror.grafana()[-1:]:
            self.services += ("grafana",)
            self.versions["grafana"] = version

    def variables(self, on):
        return {
            **super().variables(on),
            **WAYS[self.way],
            "monitoring_image_registry": self.images,
            "postgres_exporter_manage_role": True,
            "grafana_security": {"admin_password": PASSWORD},
            "monitoring_probes": [{"module": "http_2xx", "targets": [self.url]}],
        }


class Theirs(Side):
    """The peer, which fetches from the same mirror."""

    name = PEER

    def __init__(self, peer: Peer, *arguments):
        super().__init__(*arguments)
        self.peer = peer

    def collections(self):
        return [str(self.peer.folder)]

    def playbook(self):
        # Its roles cannot do without facts.
        return self._playbook(PEER, facts=True)

    def variables(self, on):
        found = dict(ALERTING)
        for service, version in self.versions.items():
            base = f"{self.url}/{service}/v{version}"
            found |= {
                f"{service}_version": version,
                f"{service}_binary_url": f"{base}/{service}-{version}.linux-{mirror.architecture()}.tar.gz",
                f"{service}_checksums_url": f"{base}/sha256sums.txt",
                f"{service}_local_cache_path": str(self.folder / "cache" / service),
            }
        # What ours knows from the inventory.
        found["prometheus_targets"] = {"node": [{"targets": [f"{host.ip}:9100" for host in on]}]}
        found["prometheus_alertmanager_config"] = [{"static_configs": [{"targets": [f"{on[0].ip}:9093"]}]}]
        return found


@contextlib.contextmanager
def booted(number: int, suite: str = SUITE, image: str | None = None):
    """Hosts for the length of a `with` block, bare or booted from a snapshot."""
    names = [f"{hosts.PREFIX}{GROUP}-{uuid.uuid4().hex[:8]}" for dummy in range(number)]
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda name: hosts.up(name, suite, GROUP, image), names))
        yield found
    finally:
        # The network stays, as the mirror is served on it: made anew it would have another address.
        hosts.remove(GROUP, names)


def one_host(folder: Path, url: str, peer: Peer | None, rounds: int) -> dict:
    """One host with the three services: first and converged runs, by turns, each round on hosts of its own.

    The converged run of site.yml follows at once on the first one, when Prometheus has just been started.
    """
    kinds = ("first", "converged", "no_bytecode")
    costs = {(who, kind): [] for who in ("roles", "site", "peer") for kind in kinds}
    tasks = {}
    for number in range(rounds):
        sides = {"roles": Ours(folder / f"roles{number}", url), "site": Ours(folder / f"site{number}", url)}
        if peer:
            sides["peer"] = Theirs(peer, folder / f"peer{number}", url)
        with booted(len(sides)) as found:
            for kind in kinds:
                for (who, side), host in zip(sides.items(), found):
                    playbook = ROOT / "site.yml" if who == "site" else None
                    cost, output = side.run([host], playbook, bytecode=kind != "no_bytecode")
                    say(
                        f"{kind} run, round {number + 1}, {_LABELS[who]}: {cost.seconds:.1f} s, {cost.cpu:.1f} s of CPU"
                    )
                    costs[who, kind].append(cost)
                    tasks[who, kind] = {word: recap(output, word) for word in ("ok", "changed", "skipped")}
    return {
        kind: {who: _result(costs[who, kind], tasks[who, kind]) for who in _LABELS if costs[who, kind]}
        for kind in kinds
    }


def fleet(folder: Path, url: str, peer: Peer | None, rounds: int, size: int) -> dict:
    """node_exporter on many hosts: converged runs, after a first one that brings it there."""
    found = {"first": {}, "converged": {}}
    sides = {"roles": Ours(folder / "fleet", url, ("node_exporter",))}
    if peer:
        sides["peer"] = Theirs(peer, folder / "fleet-peer", url, ("node_exporter",))
    for who, side in sides.items():
        with booted(size) as hosts_of_side:
            for kind, times in (("first", 1), ("converged", rounds)):
                costs = []
                for dummy in range(times):
                    cost, output = side.run(hosts_of_side)
                    say(f"{kind} run on {size} hosts, {_LABELS[who]}: {cost.seconds:.1f} s, {cost.cpu:.1f} s of CPU")
                    costs.append(cost)
                tasks = {word: recap(output, word) for word in ("ok", "changed", "skipped")}
                found[kind][who] = _result(costs, tasks)
    return {"hosts": size, **found}


def whole_site(folder: Path, url: str, rounds: int) -> dict:
    """site.yml with everything on one host, in each of :data:`WAYS`, by turns."""
    kinds = ("first", "converged")
    costs = {(way, kind): [] for way in WAYS for kind in kinds}
    tasks = {}
    suite = f"{SUITE}-docker"
    image = application.with_postgresql(suite)
    grafana = map(containers.grafana, mirror.grafana()[-1:])
    with registry.serve(*map(containers.image, EVERYTHING), *grafana) as served:
        for number in range(rounds):
            with booted(len(WAYS), suite, image) as found:
                sides = [Everything(folder / f"{way}{number}", url, way, served.address) for way in WAYS]
                for kind in kinds:
                    for side, host in zip(sides, found):
                        cost, output = side.run([host], ROOT / "site.yml")
                        say(f"{kind} run of the whole site, round {number + 1}, {side.way}: {cost.seconds:.1f} s")
                        costs[side.way, kind].append(cost)
                        tasks[side.way, kind] = {word: recap(output, word) for word in ("ok", "changed", "skipped")}
    return {kind: {way: _result(costs[way, kind], tasks[way, kind]) for way in WAYS} for kind in kinds}


_LABELS = {"roles": "our roles", "site": "our site.yml, with its verification", "peer": PEER}


def _result(costs: list[Cost], tasks: dict[str, int]) -> dict:
    middle = median(costs)
    return {
        "seconds": round(middle.seconds, 2),
        "cpu": round(middle.cpu, 2),
        "runs": [round(cost.seconds, 2) for cost in costs],
        "load": round(middle.load, 1),
        **tasks,
    }
