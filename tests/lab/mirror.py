"""A release mirror in upstream's layout, made of the real programs that Debian builds.

    MIRROR/NAME/vVERSION/NAME-VERSION.linux-ARCH.tar.gz, sha256sums.txt
    MIRROR/versions.json    {"prometheus": {"new": "3.5.3", "old": "2.53.3"}, ...}
    MIRROR/extra/           files that Debian's builds read from the host, for the lab's images

"new" comes from Debian sid and "old" from trixie; both move, so each version is read off the binary. Debian adds
build metadata to its versions (3.5.3+ds1): the names leave it out, as upstream's releases are called.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
import threading
import time
from pathlib import Path

from .common import LabError, apt_install, as_root, cache_dir, locked, run, say, step

# Raise it when the layout or the content changes: a mirror of an earlier format is made anew.
FORMAT = 2
SUITES = {"new": "sid", "old": "trixie"}
# What each release holds: archive name -> (Debian package, {file in the archive: file in the package}).
PROGRAMS = {
    "prometheus": ("prometheus", {"prometheus": "usr/bin/prometheus", "promtool": "usr/bin/promtool"}),
    "alertmanager": (
        "prometheus-alertmanager",
        {"alertmanager": "usr/bin/prometheus-alertmanager", "amtool": "usr/bin/amtool"},
    ),
    "node_exporter": ("prometheus-node-exporter", {"node_exporter": "usr/bin/prometheus-node-exporter"}),
    "blackbox_exporter": (
        "prometheus-blackbox-exporter",
        {"blackbox_exporter": "usr/bin/prometheus-blackbox-exporter"},
    ),
    "postgres_exporter": (
        "prometheus-postgres-exporter",
        {"postgres_exporter": "usr/bin/prometheus-postgres-exporter"},
    ),
}
TEMPLATES = "usr/share/prometheus/alertmanager"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armv7"}
VERSION = re.compile(r"version (?P<version>[0-9]+\.[0-9]+\.[0-9]+)")


def path() -> Path:
    """Where the mirror is, made or not."""
    return cache_dir() / "mirror"


def versions() -> dict[str, dict[str, str]]:
    """The versions in the mirror: program -> {"new": version, "old": version}; making it first if need be."""
    return json.loads((ensure() / "versions.json").read_text(encoding="utf-8"))


def architecture() -> str:
    """This machine's architecture as upstream's archives call it."""
    machine = os.uname().machine
    if machine not in ARCHITECTURES:
        raise LabError(f"the lab knows no releases for {machine}")
    return ARCHITECTURES[machine]


def ensure() -> Path:
    """Return the folder of a complete mirror; make it first where there is none."""
    if not _complete():
        with locked("mirror"):
            if not _complete():
                _make()
    return path()


def _complete() -> bool:
    try:
        return int((path() / ".format").read_text(encoding="ascii")) == FORMAT
    except (OSError, ValueError):
        return False


def _make() -> None:
    apt_install(["mmdebstrap", "debian-archive-keyring"], "the release mirror is made of Debian's packages")
    cache_dir().mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory(dir=cache_dir(), prefix="mirror.") as folder:
        made = Path(folder) / "mirror"
        for age, suite in SUITES.items():
            with step(f"fetching the {age} releases (Debian {suite})"):
                tree = _extract(suite, Path(folder))
            for program in PROGRAMS:
                with step(f"packing {program} of Debian {suite}"):
                    found.setdefault(program, {})[age] = _pack(program, tree, made)
            if age == "new":
                shutil.copytree(tree / TEMPLATES, made / "extra" / "alertmanager")
        (made / "versions.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        (made / ".format").write_text(f"{FORMAT}\n", encoding="ascii")
        made.chmod(0o755)
        # By rename and last, so that a mirror is there as a whole or not at all.
        shutil.rmtree(path(), ignore_errors=True)
        made.rename(path())
    say(
        f"release mirror {path()}: "
        + ", ".join(f"{name} {ages['new']} and {ages['old']}" for name, ages in found.items())
    )


def _extract(suite: str, folder: Path) -> Path:
    """Unpack the packages of a Debian suite, with what they depend on, into a folder of this user's."""
    archive = folder / f"{suite}.tar"
    include = ",".join(package for package, _members in PROGRAMS.values())
    # sid's release file may be past its date on a machine that sees a snapshot.
    argv = ["mmdebstrap", "--quiet", "--mode=root", "--variant=extract", '--aptopt=Acquire::Check-Valid-Until "false"']
    run(as_root([*argv, f"--include={include}", suite, str(archive)]))
    tree = folder / suite
    wanted = {member for _package, members in PROGRAMS.values() for member in members.values()}
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            if name in wanted or (name.startswith(TEMPLATES + "/") and name.endswith(".tmpl")):
                target = tree / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with tar.extractfile(member) as source, open(target, "wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
                target.chmod(0o755 if name in wanted else 0o644)
    run(as_root(["rm", "-f", str(archive)]))
    return tree


def _pack(program: str, tree: Path, mirror: Path) -> str:
    """Pack one program as upstream does; return its version."""
    _package, members = PROGRAMS[program]
    done = run([str(tree / members[program]), "--version"])
    match = VERSION.search(done.stdout + done.stderr)
    if not match:
        raise LabError(f"{program} does not say its version: {done.stdout}{done.stderr}")
    version = match["version"]
    top = f"{program}-{version}.linux-{architecture()}"
    folder = mirror / program / f"v{version}"
    folder.mkdir(parents=True)
    archive = folder / f"{top}.tar.gz"
    # Fixed times and owners: the same binaries make the same digest on every machine.
    with open(archive, "wb") as raw, gzip.GzipFile("", "wb", 3, raw, mtime=0) as packed:  # noqa: SIM117
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.addfile(_info(f"{top}/", 0o755, kind=tarfile.DIRTYPE))
            for member, source in members.items():
                info = _info(f"{top}/{member}", 0o755, size=(tree / source).stat().st_size)
                with open(tree / source, "rb") as handle:
                    tar.addfile(info, handle)
            note = f"{program} {version}, built by Debian.\n".encode()
            tar.addfile(_info(f"{top}/NOTICE", 0o644, size=len(note)), io.BytesIO(note))
    digest = hashlib.sha256()
    with open(archive, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    (folder / "sha256sums.txt").write_text(f"{digest.hexdigest()}  {archive.name}\n", encoding="ascii")
    return version


def _info(name: str, mode: int, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.mtime = kind, mode, size, 1_700_000_000
    info.uid = info.gid = 1001
    return info


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files and remembers what was asked, instead of printing it."""

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        self.server.requests.append((time.time(), format % args))


class Server(http.server.ThreadingHTTPServer):
    """A running mirror: `url`, and `requests`, a list of (seconds since the epoch, what was asked)."""

    daemon_threads = True

    def __init__(self, address: str, port: int, folder: Path):
        self.requests: list[tuple[float, str]] = []
        super().__init__((address, port), functools.partial(_Handler, directory=str(folder)))
        self.url = f"http://{address}:{self.server_address[1]}"


@contextlib.contextmanager
def serve(address: str = "127.0.0.1", port: int = 0, folder: Path | None = None):
    """Serve a folder (the mirror, when none is given) over HTTP for the length of a `with` block; yields a Server.

    With the address of `hosts.gateway()` the lab's hosts reach it too.
    """
    with Server(address, port, folder or ensure()) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
