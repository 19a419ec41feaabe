"""The images of the lab's hosts: Debian 12 and 13 with systemd as their first process, bare or with a Docker engine."""

from __future__ import annotations

import concurrent.futures
import hashlib
import shutil
import tempfile
from pathlib import Path

from . import mirror
from .common import LABEL, LabError, apt_install, as_root, locked, run, step

SUITES = ("bookworm", "trixie")
# The same with an engine of their own: a layer on the bare image.
WITH_DOCKER = tuple(f"{suite}-docker" for suite in SUITES)
REPOSITORY = "vigil-lab"
PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
)
MASKED = (
    "console-getty.service",
    "dev-hugepages.mount",
    "getty.target",
    "sys-fs-fuse-connections.mount",
    "systemd-udevd.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-networkd-wait-online.service",
)
FILES = Path(__file__).parent / "files"
ENGINE = FILES / "docker"


def name(suite: str) -> str:
    """The image of a Debian suite."""
    return f"{REPOSITORY}:{suite}"


def has_docker(suite: str) -> bool:
    """Whether the hosts of this suite have a Docker engine of their own."""
    return suite in WITH_DOCKER


def ensure(suites: tuple[str, ...] = SUITES + WITH_DOCKER) -> None:
    """Return when the images of `suites` are in the engine and made from today's recipe."""
    for suite in suites:
        if suite not in SUITES + WITH_DOCKER:
            raise LabError(f"the lab has no image of {suite!r}, only of {', '.join(SUITES + WITH_DOCKER)}")
    missing = [suite for suite in suites if _digest(suite) != recipe(suite)]
    bare = sorted({_bare(suite) for suite in missing})
    if any(_digest(suite) != recipe(suite) for suite in bare):
        apt_install(["mmdebstrap", "debian-archive-keyring"], "the lab's hosts are built from Debian's packages")
        mirror.ensure()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(_build, bare))
        list(pool.map(_build, [suite for suite in missing if has_docker(suite)]))


def recipe(suite: str) -> str:
    """The digest of everything that goes into an image, kept as its label."""
    if has_docker(suite):
        text = hashlib.sha256(repr((recipe(_bare(suite)), _docker_layer(suite))).encode())
    else:
        text = hashlib.sha256(repr((_hooks(Path()), _dockerfile(suite), PACKAGES)).encode())
    for path in sorted((ENGINE if has_docker(suite) else FILES).iterdir()):
        if path.is_file():
            text.update(path.read_bytes())
    return text.hexdigest()[:16]


def _bare(suite: str) -> str:
    return suite.removesuffix("-docker")


def _digest(suite: str) -> str | None:
    form = '{{index .Config.Labels "%s.recipe"}}' % LABEL
    done = run(["docker", "image", "inspect", "--format", form, name(suite)], check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _hooks(templates: Path) -> list[str]:
    """What mmdebstrap does in the new system after the packages are in; `templates` are Alertmanager's own."""
    return [
        'mkdir -p "$1/etc/systemd/system/systemd-journald.service.d" "$1/usr/share/prometheus/alertmanager"',
        "copy-in FILES/lab-init /usr/local/sbin",
        'chmod 0755 "$1/usr/local/sbin/lab-init"',
        "copy-in FILES/50-lab.conf /etc/systemd/system/systemd-journald.service.d",
        # Debian's Alertmanager reads its default templates from here, upstream's has them inside: with them on the
        # host, the mirror's binary behaves like upstream's.
        *(f"copy-in {templates}/{name}.tmpl /usr/share/prometheus/alertmanager" for name in ("default", "email")),
        *(f'ln -sf /dev/null "$1/etc/systemd/system/{unit}"' for unit in MASKED),
        'rm -rf "$1"/var/cache/apt/*.bin "$1"/usr/share/doc/* "$1"/usr/share/man/*',
    ]


def _dockerfile(suite: str) -> list[str]:
    """A build and not `docker import`, which knows no STOPSIGNAL: systemd shuts down in order on this one only."""
    return [
        "FROM scratch",
        f"ADD {suite}.tar /",
        'ENTRYPOINT ["/usr/local/sbin/lab-init"]',
        "STOPSIGNAL SIGRTMIN+3",
        "ENV container=docker LANG=C.UTF-8",
    ]


def _docker_layer(suite: str) -> list[str]:
    # Debian 13 has the command line in a package of its own, which docker.io only recommends.
    packages = "docker.io docker-cli" if _bare(suite) != "bookworm" else "docker.io"
    install = f"apt-get install -y -q --no-install-recommends {packages} python3-requests"
    return [
        f"FROM {name(_bare(suite))}",
        f"RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive {install} && apt-get clean && rm -rf /var/lib/apt/lists/*"
        # It would load modules into the kernel of the machine.
        " && ln -sf /dev/null /etc/systemd/system/systemd-modules-load.service",
        "COPY lab-init /usr/local/sbin/lab-init",
        "COPY daemon.json /etc/docker/daemon.json",
        "COPY 50-lab.conf /etc/systemd/system/docker.service.d/50-lab.conf",
        "COPY 50-lab.conf /etc/systemd/system/containerd.service.d/50-lab.conf",
        # Layers of containers cannot lie on the layers of the host's own container.
        "VOLUME /var/lib/docker",
    ]


def _build(suite: str) -> None:
    with locked(f"image-{suite}"):
        if _digest(suite) == recipe(suite):
            return
        with step(f"building the image {name(suite)}"), tempfile.TemporaryDirectory() as folder:
            label = f"LABEL {LABEL}=image {LABEL}.recipe={recipe(suite)}"
            if has_docker(suite):
                shutil.copytree(ENGINE, folder, dirs_exist_ok=True)
                shutil.copy(FILES / "50-lab.conf", folder)
                Path(folder, "Dockerfile").write_text(
                    "\n".join([*_docker_layer(suite), label]) + "\n", encoding="ascii"
                )
                run(["docker", "build", "--quiet", "--tag", name(suite), folder])
                return
            hooks = [hook.replace("FILES", str(FILES)) for hook in _hooks(mirror.path() / "extra" / "alertmanager")]
            argv = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
            argv += [f"--customize-hook={hook}" for hook in hooks]
            run(as_root([*argv, suite, f"{folder}/{suite}.tar"]))
            Path(folder, "Dockerfile").write_text("\n".join([*_dockerfile(suite), label]) + "\n", encoding="ascii")
            run(["docker", "build", "--quiet", "--tag", name(suite), folder])
            run(as_root(["rm", "-f", f"{folder}/{suite}.tar"]))
