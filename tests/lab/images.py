"""The base images of the lab's hosts: Debian 12 and 13 with systemd as their first process."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from . import mirror
from .common import LABEL, LabError, apt_install, as_root, locked, run, step

SUITES = ("bookworm", "trixie")
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


def name(suite: str) -> str:
    """The image of a Debian suite."""
    return f"{REPOSITORY}:{suite}"


def ensure(suites: tuple[str, ...] = SUITES) -> None:
    """Return when the images of `suites` are in the engine and made from today's recipe."""
    for suite in suites:
        if suite not in SUITES:
            raise LabError(f"the lab has no image of {suite!r}, only of {', '.join(SUITES)}")
        digest = recipe()
        if _digest(suite) != digest:
            with locked(f"image-{suite}"):
                if _digest(suite) != digest:
                    _build(suite, digest)


def recipe() -> str:
    """The digest of everything that goes into an image, as its label."""
    text = hashlib.sha256(repr((PACKAGES, MASKED)).encode())
    for path in (Path(__file__), *sorted(FILES.iterdir())):
        text.update(path.read_bytes())
    return text.hexdigest()[:16]


def _digest(suite: str) -> str | None:
    form = '{{index .Config.Labels "%s.recipe"}}' % LABEL
    done = run(["docker", "image", "inspect", "--format", form, name(suite)], check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _build(suite: str, digest: str) -> None:
    apt_install(["mmdebstrap", "debian-archive-keyring"], "the lab's hosts are built from Debian's packages")
    # Debian's Alertmanager reads its default templates from here, upstream's has them inside: with them on the
    # host the mirror's repacked binary behaves like upstream's.
    templates = mirror.ensure() / "extra" / "alertmanager"
    with step(f"building the image {name(suite)}"), tempfile.TemporaryDirectory() as folder:
        archive = f"{folder}/{suite}.tar"
        hooks = [f"copy-in {FILES}/lab-init /usr/local/sbin"]
        hooks += ['mkdir -p "$1/etc/systemd/system/systemd-journald.service.d" "$1/usr/share/prometheus/alertmanager"']
        hooks += [f"copy-in {FILES}/50-lab.conf /etc/systemd/system/systemd-journald.service.d"]
        hooks += [f"copy-in {path} /usr/share/prometheus/alertmanager" for path in sorted(templates.iterdir())]
        hooks += ['chmod 0755 "$1/usr/local/sbin/lab-init"']
        hooks += [f'ln -sf /dev/null "$1/etc/systemd/system/{unit}"' for unit in MASKED]
        hooks += ['rm -rf "$1"/var/cache/apt/*.bin "$1"/usr/share/doc/* "$1"/usr/share/man/*']
        argv = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        argv += [f"--customize-hook={hook}" for hook in hooks]
        run(as_root([*argv, suite, archive]))
        # A build and not `docker import`, which knows no STOPSIGNAL: systemd shuts down in order on this one only.
        recipe_lines = [
            "FROM scratch",
            f"ADD {suite}.tar /",
            'ENTRYPOINT ["/usr/local/sbin/lab-init"]',
            "STOPSIGNAL SIGRTMIN+3",
            "ENV container=docker LANG=C.UTF-8",
            f"LABEL {LABEL}=image {LABEL}.recipe={digest}",
        ]
        Path(folder, "Dockerfile").write_text("\n".join(recipe_lines) + "\n", encoding="ascii")
        run(["docker", "build", "--quiet", "--tag", name(suite), folder])
