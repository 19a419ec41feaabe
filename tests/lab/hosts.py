"""Lab hosts: containers with a real systemd, on a network of their own."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import random
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from . import containers, engine, images
from .common import LABEL, LabError, locked, run, step

NETWORK = "vigil-lab"
PREFIX = "vigil-"
ENGINE = "/var/lib/docker"
BOOT_TIMEOUT = 90
WATCHES, ENOUGH_WATCHES = Path("/proc/sys/fs/inotify/max_user_instances"), 1024
# What root may do on a real host and our modules rely on, beyond Docker's own set: mounts and cgroups (systemd), the
# /proc entries of other users' processes. SYS_RESOURCE stays out, as not every machine has it to give.
CAPABILITIES = ("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH", "SYS_NICE")
OPTIONS = (
    *(part for name in CAPABILITIES for part in ("--cap-add", name)),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--cgroupns", "private", "--tmpfs", "/run", "--tmpfs", "/run/lock"),
)
# What the kernel tells, for cAdvisor.
DOCKER_OPTIONS = ("--cap-add", "SYSLOG", "--device", "/dev/kmsg")


@dataclass(frozen=True)
class Host:
    """A lab host: its container's name, its image (a Debian suite, maybe with an engine), its address."""

    name: str
    suite: str
    ip: str

    def run(
        self, command: str, check: bool = True, timeout: float = 60, stdin: str | None = None
    ) -> subprocess.CompletedProcess:
        """Run a shell command on the host as root; LabError when it fails and `check` is true, or takes `timeout` s."""
        interactive = ["-i"] if stdin is not None else []
        return run(
            ["docker", "exec", *interactive, self.name, "sh", "-c", command], check=check, timeout=timeout, input=stdin
        )

    def wait(self, timeout: float = BOOT_TIMEOUT) -> None:
        """Return when systemd has started everything it means to; LabError when it has not within `timeout` s."""
        deadline = time.monotonic() + timeout
        state = ""
        while time.monotonic() < deadline:
            # Before systemd listens it fails at once, then it answers when everything was started.
            left = deadline - time.monotonic()
            state = self.run(
                f"timeout {left + 1:.0f} systemctl is-system-running --wait", check=False, timeout=left + 5
            )
            state = state.stdout.strip()
            if state in ("running", "degraded"):
                return
            time.sleep(0.2)
        log = run(["docker", "logs", "--tail", "20", self.name], check=False)
        raise LabError(f"{self.name} did not boot within {timeout} s (state {state!r}):\n{log.stdout}{log.stderr}")

    @property
    def has_docker(self) -> bool:
        """Whether the host has a Docker engine of its own."""
        return images.has_docker(self.suite)

    def load(self, *wanted: containers.Image) -> None:
        """Put images of services into the host's own engine, without any registry."""
        with containers.archive(wanted) as archive, open(archive, "rb") as handle:
            run(["docker", "exec", "-i", self.name, "docker", "load", "--quiet"], stdin=handle, timeout=120)

    def kill(self) -> None:
        """Cut the power: every process of the host gets SIGKILL at once."""
        run(["docker", "kill", self.name])

    def start(self) -> None:
        """Boot a host that was cut off, and wait for it."""
        run(["docker", "start", self.name])
        self.wait()

    def reboot(self) -> None:
        """Shut the host down in order and boot it again."""
        run(["docker", "restart", "--time", "60", self.name])
        self.wait()

    def snapshot(self, image: str, labels: dict[str, str]) -> None:
        """Keep the host's disk as an image to boot others from; shut down in order first, so that all is written."""
        run(["docker", "stop", "--time", "60", self.name])
        changes = [part for key, value in labels.items() for part in ("--change", f"LABEL {key}={value}")]
        if self.has_docker:
            # No image holds what is on a volume.
            volume = _volume(image)
            run(["docker", "volume", "rm", "-f", volume])
            run(["docker", "volume", "create", "--label", f"{LABEL}=snapshot", volume])
            _copy_engine(self, volume, "/engine", f"{ENGINE}/. /engine")
        run(["docker", "commit", *changes, self.name, image], timeout=300)

    def remove(self) -> None:
        """Remove the host with everything on it."""
        run(["docker", "rm", "-f", "-v", self.name], check=False)

    def vars(self) -> dict[str, str]:
        """The connection variables of an inventory."""
        return {
            "ansible_connection": "community.docker.docker",
            "ansible_host": self.name,
            "monitoring_address": self.ip,
        }


def inventory(groups: dict[str, list[Host]], **variables) -> dict:
    """An inventory as data (json.dumps it into a *.json or *.yml file) of group -> hosts, and the variables of all."""
    every = {host.name: host.vars() for members in groups.values() for host in members}
    children = {name: {"hosts": {host.name: {} for host in members}} for name, members in groups.items()}
    return {"all": {"hosts": every, "vars": variables, "children": children}}


def up(name: str, suite: str, group: str = "lab", image: str | None = None) -> Host:
    """Boot a host of this name and suite, replacing one of ours with that name; return it when systemd is up.

    `image` is a snapshot to boot instead of the suite's bare image. `group` labels it, so that `down` can take all of
    a kind. Raises LabError when the name is somebody else's.
    """
    if not name.startswith(PREFIX):
        raise LabError(f"a lab host's name begins with {PREFIX}, {name!r} does not")
    engine.ensure()
    _allow_watches()
    images.ensure((suite,))
    present = run(
        ["docker", "container", "ls", "-a", "--filter", f"name=^{name}$", "--format", "{{.Names}}"]
    ).stdout.split()
    if present and name not in engine.ours("container"):
        raise LabError(f"a container {name} is there that is not of this lab: rename or remove it")
    if present:
        run(["docker", "rm", "-f", "-v", name])
    # A fixed address, so that it stays the same over a reboot; picked under a lock, as tests run side by side.
    with locked("network"):
        address = _free_address()
        labels = ["--label", f"{LABEL}=host", "--label", f"{LABEL}.group={group}", "--label", f"{LABEL}.suite={suite}"]
        place = ["--name", name, "--hostname", name, "--network", NETWORK, "--ip", address]
        rights = DOCKER_OPTIONS if images.has_docker(suite) else ()
        run(["docker", "create", *place, *labels, *OPTIONS, *rights, image or images.name(suite)])
    made = Host(name, suite, address)
    try:
        if image and made.has_docker:
            _copy_engine(made, _volume(image), "/engine:ro", f"/engine/. {ENGINE}")
        made.start()
    except BaseException:
        made.remove()
        raise
    return made


def _allow_watches() -> None:
    """Let the hosts watch files. systemd and Prometheus take some of the kernel's inotify instances each, of which root has 128
    on most machines, on all hosts together: with 17 hosts or so a Prometheus silently misses changes of its file_sd_configs."""
    try:
        if int(WATCHES.read_text(encoding="ascii")) < ENOUGH_WATCHES:
            WATCHES.write_text(str(ENOUGH_WATCHES), encoding="ascii")
    except OSError:
        # Who is not root has to do it: sysctl fs.inotify.max_user_instances=1024.
        return


def _volume(image: str) -> str:
    """The volume that keeps the engine's data of a snapshot."""
    return image.replace(":", "-")


def _copy_engine(host: Host, volume: str, place: str, what: str) -> None:
    """Copy an engine's data between a host that is down and a volume, with the devices and attributes of overlays."""
    rights = ["--cap-add", "SYS_ADMIN", "--security-opt", "apparmor=unconfined", "--network", "none"]
    mounts = ["--volumes-from", host.name, "--volume", f"{volume}:{place}"]
    argv = ["docker", "run", "--rm", *rights, *mounts, "--entrypoint", "cp", images.name(host.suite), "-a"]
    run([*argv, *what.split()], timeout=300)


def find(name: str) -> Host:
    """A host that is there already; LabError when it is not."""
    found = _inspected([name])
    if not found:
        raise LabError(f"there is no lab host {name}")
    return found[0]


def _inspected(names: list[str]) -> list[Host]:
    """The hosts of these names, without those that are not there."""
    if not names:
        return []
    hosts = []
    for data in json.loads(run(["docker", "container", "inspect", *names], check=False).stdout or "[]"):
        config = data["NetworkSettings"]["Networks"][NETWORK]
        address = config.get("IPAddress") or (config.get("IPAMConfig") or {}).get("IPv4Address", "")
        hosts.append(Host(data["Name"].lstrip("/"), data["Config"]["Labels"].get(f"{LABEL}.suite", ""), address))
    return hosts


def listing(group: str | None = None) -> list[Host]:
    """All lab hosts, or those of a group, by name."""
    label = f"{LABEL}.group={group}" if group else f"{LABEL}=host"
    done = run(["docker", "container", "ls", "-a", "--filter", f"label={label}", "--format", "{{.Names}}"])
    # What runs beside this may remove some in between.
    return _inspected(sorted(done.stdout.split()))


def remove(group: str | None = None, names: list[str] | None = None) -> list[str]:
    """Remove hosts as `down` does, and keep the network, on which something else may serve; returns their names."""
    gone = [host for host in listing(group) if names is None or host.name in names]
    for host in gone:
        host.remove()
    return [host.name for host in gone]


def down(group: str | None = None, names: list[str] | None = None) -> list[str]:
    """Remove the lab's hosts: those named, those of a group, or all; and the network when it is empty.

    Returns the names of the hosts that are gone.
    """
    gone = remove(group, names)
    if NETWORK in engine.ours("network"):
        with locked("network"):
            run(["docker", "network", "rm", NETWORK], check=False)  # refused while a container is on it
    return gone


@contextlib.contextmanager
def host(suite: str = "trixie", name: str | None = None, group: str = "test", image: str | None = None):
    """A host for the length of a `with` block, bare or booted from a snapshot."""
    made = up(name or f"{PREFIX}{group}-{uuid.uuid4().hex[:8]}", suite, group, image)
    try:
        yield made
    finally:
        made.remove()


def gateway() -> str:
    """This machine's address as the lab's hosts see it: serve there what they shall fetch."""
    with locked("network"):
        return str(next(_network().hosts()))


def _network() -> ipaddress.IPv4Network:
    """The lab's network, made if it is not there. Call it with the lock held."""
    if NETWORK not in engine.ours("network"):
        # Docker knows which ranges are free: its choice is taken, then fixed, as only then addresses can be asked for.
        # Hosts get addresses below the range from which Docker itself gives them out.
        label = ["--label", f"{LABEL}=network"]
        run(["docker", "network", "create", *label, NETWORK])
        network = _subnet()
        run(["docker", "network", "rm", NETWORK])
        upper = list(network.subnets(prefixlen_diff=1))[1]
        ranges = ["--subnet", str(network), "--ip-range", str(upper), "--gateway", str(next(network.hosts()))]
        run(["docker", "network", "create", *label, *ranges, NETWORK])
    return _subnet()


def _subnet() -> ipaddress.IPv4Network:
    config = json.loads(run(["docker", "network", "inspect", NETWORK]).stdout)[0]["IPAM"]["Config"]
    return ipaddress.ip_network(config[0]["Subnet"])


def _free_address() -> str:
    network = _network()
    # Stopped hosts keep theirs, so the containers are asked, not the network.
    taken = {host.ip for host in listing()}
    taken.add(str(next(network.hosts())))
    free = [address for address in map(str, next(network.subnets(prefixlen_diff=1)).hosts()) if address not in taken]
    if not free:
        raise LabError(f"no address is left on the network {NETWORK}")
    # Any: the engine goes on holding the one of a host for a moment after that was removed.
    return random.choice(free)


def boot_all(wanted: dict[str, str], group: str, snapshots: dict[str, str] | None = None) -> list[Host]:
    """Make sure that these hosts (name -> suite) run: start what is stopped, boot what is missing, keep the rest.

    `snapshots` are images to boot instead of a suite's bare one (name -> image); a host that was made from another than
    it is now is made anew.
    """
    have = {host.name: host for host in listing(group)}
    result = []
    for name, suite in wanted.items():
        image = (snapshots or {}).get(name) or images.name(suite)
        running, origin = "", image
        if name in have:
            form = "{{.State.Running}} {{.Config.Image}}"
            running, _space, origin = run(["docker", "inspect", "-f", form, name]).stdout.strip().partition(" ")
        if running == "true" and origin == image:
            result.append(have[name])
        elif name in have and origin == image:
            with step(f"starting the host {name}"):
                have[name].start()
            result.append(have[name])
        else:
            with step(f"booting the host {name} (Debian {suite})"):
                result.append(up(name, suite, group, image))
    return result
