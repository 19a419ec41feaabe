"""A release mirror in upstream's layout, made of the real programs that Debian builds.

    MIRROR/NAME/vVERSION/NAME-VERSION.linux-ARCH.tar.gz, sha256sums.txt     (cAdvisor: NAME-vVERSION-linux-ARCH)
    MIRROR/grafana/         Grafana's archives, where there are any; see grafana()
    MIRROR/versions.json    {"prometheus": {"new": "3.5.3", "old": "2.53.3"}, ...}
    MIRROR/extra/           what the lab's images and its registry are made of

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
import urllib.request
from pathlib import Path
from typing import NamedTuple

from .common import LabError, apt_install, as_root, cache_dir, locked, run, say, step

# Raise it when the layout or the content changes: a mirror of an earlier format is made anew.
FORMAT = 3
SUITES = {"new": "sid", "old": "trixie"}


class Program(NamedTuple):
    """A program of the mirror.

    :ivar package: Debian's package of it.
    :ivar members: what a release holds: file in the archive -> file in the package.
    :ivar suites: age -> Debian suite.
    :ivar bare: whether upstream publishes the program itself, not an archive.
    """

    package: str
    members: dict[str, str]
    suites: dict[str, str] = SUITES
    bare: bool = False


PROGRAMS = {
    "prometheus": Program("prometheus", {"prometheus": "usr/bin/prometheus", "promtool": "usr/bin/promtool"}),
    "alertmanager": Program(
        "prometheus-alertmanager",
        {"alertmanager": "usr/bin/prometheus-alertmanager", "amtool": "usr/bin/amtool"},
    ),
    "node_exporter": Program("prometheus-node-exporter", {"node_exporter": "usr/bin/prometheus-node-exporter"}),
    "blackbox_exporter": Program(
        "prometheus-blackbox-exporter",
        {"blackbox_exporter": "usr/bin/prometheus-blackbox-exporter"},
    ),
    "postgres_exporter": Program(
        "prometheus-postgres-exporter",
        {"postgres_exporter": "usr/bin/prometheus-postgres-exporter"},
    ),
    # Debian 11 is the last to have it: one version, old and new.
    "cadvisor": Program("cadvisor", {"cadvisor": "usr/bin/cadvisor"}, dict.fromkeys(SUITES, "bullseye"), bare=True),
}
# What goes into extra/ from the newer suite: folder -> (Debian packages, their files). Debian's Alertmanager reads its
# default templates from the host; the base of containers is a C library and a shell, as upstream's is.
EXTRA = {
    "alertmanager": (("prometheus-alertmanager",), r"usr/share/prometheus/alertmanager/[^/]+\.tmpl"),
    "registry": (("docker-registry",), r"usr/bin/docker-registry"),
    "base": (
        ("busybox-static", "libzstd1"),
        r"usr/bin/busybox|usr/lib/.*/(ld-linux[^/]*|lib(c|dl|m|nss_dns|nss_files|pthread|resolv|rt|zstd))\.so[.\d]+",
    ),
}
# Grafana is in none of Debian's suites. This version is asked for where no archive was put into the cache by hand.
GRAFANA_SITE = "https://dl.grafana.com/oss/release"
GRAFANA_VERSION = "13.2.3"
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


def unpack(program: str, age: str, folder: Path, *only: str) -> Path:
    """Unpack the ``new`` or ``old`` release of a program, or some of its files, below a folder; the release's own."""
    name = f"{program}-{versions()[program][age]}.linux-{architecture()}"
    archive = path() / program / f"v{versions()[program][age]}" / f"{name}.tar.gz"
    with tarfile.open(archive) as tar:
        tar.extractall(folder, [tar.getmember(f"{name}/{one}") for one in only] or None, filter="data")
    return folder / name


def ensure() -> Path:
    """Return the folder of a complete mirror; make it first where there is none."""
    if not _complete():
        with locked("mirror"):
            if not _complete():
                _make()
    return path()


def grafana() -> list[str]:
    """The versions of Grafana that the mirror has, the oldest first.

    They are archives beside their checksums, ``grafana-VERSION.linux-ARCH.tar.gz{,.sha256}``, in the folder grafana of
    the cache: put there by hand, or fetched from Grafana's site where that answers. Empty where there is neither.
    """
    folder = cache_dir() / "grafana"
    with locked("grafana"):
        if not _archives(folder):
            _fetch_grafana(folder)
        link = ensure() / "grafana"
        if folder.is_dir() and not link.exists():
            link.symlink_to(os.path.relpath(folder, path()))
    return _archives(folder)


def without_grafana() -> str:
    """Why there is no Grafana, and what to do about it."""
    name = f"grafana-VERSION.linux-{architecture()}.tar.gz"
    return f"{GRAFANA_SITE} does not answer; put {name} and {name}.sha256 into {cache_dir() / 'grafana'}"


def _archives(folder: Path) -> list[str]:
    end = f".linux-{architecture()}.tar.gz"
    found = [file for file in folder.glob(f"grafana-*{end}") if file.with_name(file.name + ".sha256").exists()]
    names = [file.name.removeprefix("grafana-").removesuffix(end) for file in found]
    # A pre-release comes before its release.
    return sorted(names, key=lambda name: ([int(n) for n in re.findall(r"\d+", name)[:3]], "-" not in name, name))


def _fetch_grafana(folder: Path) -> None:
    name = f"grafana-{GRAFANA_VERSION}.linux-{architecture()}.tar.gz"
    try:
        with urllib.request.urlopen(f"{GRAFANA_SITE}/{name}.sha256", timeout=5) as answer:
            digest = answer.read()
        folder.mkdir(parents=True, exist_ok=True)
        with (
            step(f"fetching {name}"),
            urllib.request.urlopen(f"{GRAFANA_SITE}/{name}", timeout=30) as answer,
            open(folder / f".{name}", "wb") as sink,
        ):
            shutil.copyfileobj(answer, sink, 1 << 20)
        (folder / f".{name}").rename(folder / name)
        (folder / f"{name}.sha256").write_bytes(digest)
    except OSError:
        return


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
        for suite in dict.fromkeys(suite for program in PROGRAMS.values() for suite in program.suites.values()):
            with step(f"fetching the releases of Debian {suite}"):
                tree = _extract(suite, Path(folder))
            for name, program in PROGRAMS.items():
                ages = [age for age, of in program.suites.items() if of == suite]
                if ages:
                    with step(f"packing {name} of Debian {suite}"):
                        found.setdefault(name, {}).update(dict.fromkeys(ages, _pack(name, tree, made)))
            if suite == SUITES["new"]:
                _keep_extra(tree, made / "extra")
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
    programs = [program for program in PROGRAMS.values() if suite in program.suites.values()]
    packages = {program.package for program in programs}
    if suite == SUITES["new"]:
        packages.update(package for needed, _files in EXTRA.values() for package in needed)
    # sid's release file may be past its date on a machine that sees a snapshot.
    argv = ["mmdebstrap", "--quiet", "--mode=root", "--variant=extract", '--aptopt=Acquire::Check-Valid-Until "false"']
    run(as_root([*argv, f"--include={','.join(sorted(packages))}", suite, str(archive)]))
    tree = folder / suite
    wanted = {member for program in programs for member in program.members.values()}
    extra = re.compile("|".join(files for _packages, files in EXTRA.values()))
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            if member.isreg() and (name in wanted or extra.fullmatch(name)):
                target = tree / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with tar.extractfile(member) as source, open(target, "wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
                target.chmod(0o755 if member.mode & 0o100 else 0o644)
    run(as_root(["rm", "-f", str(archive)]))
    return tree


def _keep_extra(tree: Path, extra: Path) -> None:
    for folder, (packages, files) in EXTRA.items():
        (extra / folder).mkdir(parents=True)
        found = [path for path in tree.rglob("*") if re.fullmatch(files, str(path.relative_to(tree)))]
        if not found:
            raise LabError(f"{' and '.join(packages)} of Debian {SUITES['new']} do not hold what the lab needs of them")
        for path in found:
            # A library is asked for by its short name: libzstd.so.1, not libzstd.so.1.5.7.
            shutil.copy2(path, extra / folder / re.sub(r"(\.so\.\d+)\..*", r"\1", path.name))


def _pack(name: str, tree: Path, mirror: Path) -> str:
    """Pack one program as upstream does; return its version."""
    program = PROGRAMS[name]
    done = run([str(tree / program.members[name]), "--version"])
    match = VERSION.search(done.stdout + done.stderr)
    if not match:
        raise LabError(f"{name} does not say its version: {done.stdout}{done.stderr}")
    version = match["version"]
    folder = mirror / name / f"v{version}"
    folder.mkdir(parents=True)
    if program.bare:
        release = folder / f"{name}-v{version}-linux-{architecture()}"
        shutil.copyfile(tree / program.members[name], release)
    else:
        release = folder / f"{name}-{version}.linux-{architecture()}.tar.gz"
        _archive(release, {member: tree / source for member, source in program.members.items()}, f"{name} {version}")
    digest = hashlib.sha256()
    with open(release, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    (folder / "sha256sums.txt").write_text(f"{digest.hexdigest()}  {release.name}\n", encoding="ascii")
    return version


def _archive(release: Path, members: dict[str, Path], what: str) -> None:
    top = release.name.removesuffix(".tar.gz")
    # Fixed times and owners: the same binaries make the same digest on every machine.
    with open(release, "wb") as raw, gzip.GzipFile("", "wb", 3, raw, mtime=0) as packed:  # noqa: SIM117
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.addfile(_info(f"{top}/", 0o755, kind=tarfile.DIRTYPE))
            for member, source in members.items():
                with open(source, "rb") as handle:
                    tar.addfile(_info(f"{top}/{member}", 0o755, size=source.stat().st_size), handle)
            note = f"{what}, built by Debian.\n".encode()
            tar.addfile(_info(f"{top}/NOTICE", 0o644, size=len(note)), io.BytesIO(note))


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
