"""What the fault tests share: a host on which everything is deployed, and a way to run the play on it.

Every test gets a host of its own. It boots within seconds from a snapshot, which the first test makes with the very
playbook that is tested, so that a test pays only for what it breaks.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab import containers, dashboards, hosts, images, mirror, play
from lab.common import LABEL, ROOT, locked, run

# Tests that take a minute or more each, and tests that take a second: so ordered, they leave no worker idle in the end.
LONGEST = (
    *("test_compromised_account", "test_interruption", "test_secrets", "test_migration"),
    *("test_rollout", "test_cores", "test_foreign", "test_upgrade", "test_firewall"),
)
SHORTEST = ("test_target_health",)
SERVICES = ("node_exporter", "alertmanager", "prometheus")
EXPORTERS = ("blackbox_exporter", "postgres_exporter")
# What the play is made of: a change here makes a new snapshot.
SOURCES = ("plugins", "roles", "playbooks", "bundled")
# For so many seconds an image of a deployed host is booted.
IMAGE_LASTS = 5400
# What the play owns on a host, but for the services' data.
TREES = (
    "/etc/systemd",
    "/etc/prometheus",
    "/etc/alertmanager",
    "/etc/node_exporter",
    "/etc/amtool",
    "/opt",
    "/usr/local",
)
URLS = {
    "node_exporter": "http://127.0.0.1:9100/metrics",
    "alertmanager": "http://127.0.0.1:9093/-/ready",
    "prometheus": "http://127.0.0.1:9090/-/ready",
    "blackbox_exporter": "http://127.0.0.1:9115/metrics",
    "postgres_exporter": "http://127.0.0.1:9187/metrics",
    "cadvisor": "http://127.0.0.1:8080/healthz",
}


def pytest_collection_modifyitems(items):
    """Begin with what takes longest, and end with what is short; in a group of tests on one host their order stays."""
    items.sort(key=lambda item: (item.path.stem in SHORTEST, item.path.stem not in LONGEST))


@dataclass
class Site:
    """One host named ``subject`` with all three services, its inventory, and the playbook.

    :ivar variables: inventory variables; a test adds its own.
    :ivar groups: the inventory groups that the host is in.
    """

    host: hosts.Host
    folder: Path
    variables: dict = field(default_factory=dict)
    groups: tuple[str, ...] = SERVICES

    def inventory(self, groups: tuple[str, ...]) -> Path:
        """Write the inventory: the services' addresses are loopback ones, so that a snapshot fits every host."""
        connection = {"ansible_connection": "community.docker.docker", "ansible_host": self.host.name}
        data = {
            "all": {
                "hosts": {"subject": dict(connection, monitoring_address="127.0.0.1")},
                "vars": self.variables,
                "children": {group: {"hosts": {"subject": {}}} for group in groups},
            }
        }
        path = self.folder / "inventory.json"
        path.write_text(json.dumps(data), encoding="utf-8")
        return path

    def command(self, *arguments: str, playbook: str = "site.yml", groups: tuple[str, ...] = ()) -> list[str]:
        """The command line of a run; for other groups than the host's, name them."""
        inventory = self.inventory(groups or self.groups)
        return ["ansible-playbook", str(ROOT / playbook), "-i", str(inventory), *arguments]

    def environment(self) -> dict[str, str]:
        """The environment of a run: this clone's collection and settings, a cache of its own."""
        paths = [str(ROOT / "collections"), *filter(None, [os.environ.get("ANSIBLE_COLLECTIONS_PATH")])]
        return {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": ":".join(paths),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }

    def run(self, *arguments: str, timeout: float = 300, **options) -> play.Outcome:
        """Run the play to its end."""
        return play.run(self.command(*arguments, **options), self.folder, self.environment(), timeout)

    def start(self, *arguments: str, **options) -> subprocess.Popen:
        """Begin a run that the test means to interrupt; in a process group of its own."""
        return subprocess.Popen(
            self.command(*arguments, **options),
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def killed(self, task: str, *arguments: str, **options) -> None:
        """Begin a run, and kill it, and whatever it started on this machine, when a task begins."""
        process = self.start(*arguments, **options)
        seen = ""
        with process.stdout as output:
            for line in output:
                seen += line
                if task in line:
                    break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert task in seen, seen

    def serves(self, service: str, within: int = 0) -> bool:
        """Whether a service answers on its port, now or within some seconds."""
        patience = f"--retry {within} --retry-delay 1 --retry-all-errors" if within else ""
        return self.host.run(f"curl -fsS -o /dev/null {patience} {URLS[service]}", check=False).returncode == 0

    def version(self, service: str) -> str | None:
        """The version that a service reports of itself, without build metadata; None while it does not answer."""
        port = {"node_exporter": 9100, "alertmanager": 9093, "prometheus": 9090}[service]
        metrics = self.host.run(f"curl -fsS http://127.0.0.1:{port}/metrics", check=False).stdout
        found = re.search(rf'{service}_build_info{{[^}}]*version="([^"+]*)', metrics)
        return found[1] if found else None

    def pid(self, service: str) -> str:
        """The service's main process: unchanged means that nothing restarted it."""
        return self.host.run(f"systemctl show -P MainPID {service}").stdout.strip()

    def unanswered(self, metrics: str, within: int = 60) -> set[str]:
        """Where the dashboards ask for metrics whose name begins so and get nothing from the host's Prometheus, once that is
        as little as it gets."""
        asked, deadline = dashboards.of(metrics), time.monotonic() + within
        assert asked
        while asked and time.monotonic() < deadline:
            argv = [
                f"curl -fsS -G http://127.0.0.1:9090/api/v1/query --data-urlencode {shlex.quote('query=' + one.expr)}"
                for one in asked
            ]
            answers = self.host.run(" && echo && ".join(argv)).stdout.splitlines()
            asked = [
                one
                for one, answer in zip(asked, filter(None, answers))
                if not dashboards.found(one.expr, json.loads(answer)["data"]["result"])
            ]
            time.sleep(1)
        return {one.where for one in asked}

    def fingerprint(self, *paths: str) -> dict[str, str]:
        """Everything below these paths: path -> kind, mode, owner and content, as the host has it."""
        where = " ".join(paths)
        listed = self.host.run(f"find {where} -printf '%p %y %m %u %g %l\\n'", check=False).stdout
        found = dict(line.split(" ", 1) for line in listed.splitlines())
        for line in self.host.run(f"find {where} -type f -exec sha256sum {{}} +", check=False).stdout.splitlines():
            digest, path = line.split("  ", 1)
            found[path] += digest
        return found

    def state(self) -> dict[str, str]:
        """Everything that a run which ends before harm leaves alone: files byte for byte, processes, versions."""
        shown = "for name in %s; do systemctl show -P MainPID -P NRestarts $name | tr '\\n' ' '; echo $name; done"
        processes = self.host.run(shown % " ".join(SERVICES)).stdout
        served = {service: self.version(service) for service in SERVICES}
        files = self.fingerprint(*TREES)
        # Which process was seen to work is written down anew after the snapshot's boot; the process itself is below.
        kept = {path: found for path, found in files.items() if not path.endswith("/.vigil/proven.json")}
        return {**kept, "processes": processes, "served": str(served)}


class Containers(Site):
    """The same with all services as containers of the host's own engine."""

    def container(self, service: str) -> dict | None:
        """What the engine says about a service's container, or None when there is none."""
        done = self.host.run(f"docker container inspect {service}", check=False)
        return json.loads(done.stdout)[0] if done.returncode == 0 else None

    def pid(self, service: str) -> str:
        return str(self.container(service)["State"]["Pid"])

    def there(self) -> list[str]:
        """The names of all containers, whether they run or not."""
        return sorted(self.host.run("docker ps -a --format '{{.Names}}'").stdout.split())

    def processes(self) -> dict[str, str]:
        """Container and start of everything that the engine has: unchanged means that nothing was touched."""
        shown = "{{.Name}} {{.Id}} {{.State.StartedAt}} {{.RestartCount}} {{.State.Status}}"
        names = " ".join(self.there())
        lines = self.host.run(f"docker container inspect --format '{shown}' {names}").stdout if names else ""
        return dict(line.split(" ", 1) for line in lines.splitlines())

    def state(self) -> dict[str, str]:
        served = {service: self.version(service) for service in SERVICES}
        files = self.fingerprint(*TREES)
        kept = {path: found for path, found in files.items() if not path.endswith("/.vigil/proven.json")}
        return {**kept, **self.processes(), "served": str(served)}


def unreleased() -> str:
    """A version newer than all that runs here, and of the line of Prometheus' newest, so that its configuration is the same."""
    return ".".join([*mirror.versions()["prometheus"]["new"].split(".")[:2], "99"])


def base_variables(age: str = "new", docker: bool = False) -> dict:
    """What every test deploys: the newer releases of the lab's mirror, or the older ones (``old``)."""
    versions = mirror.versions()
    return {
        **({"monitoring_runtime": "docker"} if docker else {}),
        "monitoring_release_mirror": str(mirror.path()),
        **{f"{service}_version": versions[service][age] for service in SERVICES},
        # A crash loop is seen at once; what never gets ready shall not hold the tests up for two minutes.
        **{f"{service}_ready_timeout": 20 for service in SERVICES},
        # The verification at the end of a run waits until every target was scraped once.
        "prometheus_global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
        # After a reload it waits until an alert was sent once more.
        "prometheus_config_flags_extra": {"rules.alert.resend-delay": "2s"},
    }


def snapshot(suite: str, folder: Path, age: str = "new") -> str:
    """The image with everything deployed, made by whoever asks first."""
    docker = images.has_docker(suite)
    digest = hashlib.sha256(json.dumps([base_variables(age, docker), images.name(suite)]).encode())
    for source in SOURCES:
        for path in sorted((ROOT / source).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    begins = f"vigil-lab-deployed:{suite}-{digest.hexdigest()[:12]}-"
    with locked(f"snapshot-{suite}-{age}"):
        image = _newest_image(begins)
        if image is None:
            image = f"{begins}{time.time():.0f}"
            with hosts.host(suite, group="snapshot") as host:
                if docker:
                    host.load(*(containers.image(service, age) for service in SERVICES))
                Site(host, folder, base_variables(age, docker)).run().must_be_green(changed=True)
                host.snapshot(image, {LABEL: "snapshot"})
                # All files are as new as the image, and a service that starts within two seconds of them is reloaded to be sure.
                time.sleep(3)
    return image


def _newest_image(begins: str) -> str | None:
    """The newest image whose name begins so and ends with when it was made; None where that was too long ago.

    A Prometheus that comes up with samples that are some hours old makes a block of them, which the tests of blocks do not expect.
    """
    listed = run(
        ["docker", "image", "ls", "--filter", f"reference={begins}*", "--format", "{{.Repository}}:{{.Tag}}"]
    ).stdout
    made = max((int(name[len(begins) :]) for name in listed.split()), default=0)
    return f"{begins}{made}" if made > time.time() - IMAGE_LASTS else None


def started(site: Site) -> Site:
    """Wait until everything serves on a host that was booted from a snapshot: started is not yet listening."""
    for service in site.groups:
        assert site.serves(service, within=60), f"{service} does not come up by itself"
    return site


@pytest.fixture
def bare(request, tmp_path):
    """A host on which nothing was deployed yet. Indirect parameter: the suite."""
    with hosts.host(getattr(request, "param", "trixie"), group="fault") as host:
        yield Site(host, tmp_path, base_variables())


@pytest.fixture
def site(request, tmp_path):
    """A host on which everything is deployed and runs. Indirect parameter: the suite."""
    suite = getattr(request, "param", "trixie")
    with hosts.host(suite, group="fault", image=snapshot(suite, tmp_path)) as host:
        yield started(Site(host, tmp_path, base_variables()))


@pytest.fixture
def old_site(tmp_path):
    """A host on which the older releases run; the variables ask for the newer ones already."""
    with hosts.host("trixie", group="fault", image=snapshot("trixie", tmp_path, "old")) as host:
        yield started(Site(host, tmp_path, base_variables()))


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory):
    """A deployed host for all tests of a module, each of which checks that it changed nothing."""
    folder = tmp_path_factory.mktemp("site")
    with hosts.host("trixie", group="fault", image=snapshot("trixie", folder)) as host:
        yield started(Site(host, folder, base_variables()))
