"""A release mirror in upstream's layout, made of the real programs that Debian builds.

    MIRROR/NAME/vVERSION/NAME-VERSION.linux-ARCH.tar.gz, sha256sums.txt     (or as upstream names them: services.json)
    MIRROR/grafana/         Grafana's archives, where there are any; see grafana()
    MIRROR/versions.json    {"prometheus": {"new": "3.5.3", "old": "2.53.3"}, ...}
    MIRROR/extra/           what the lab's images and its registry are made of

"new" comes from Debian sid and "old" from trixie; both move, so each version is read off the binary. Debian adds
build metadata to its versions (3.5.3+ds1): the names leave it out, as upstream's releases are called. Which programs there are
stands in services.json, which `make docs` writes from the rooms of the services.
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

from .common import LabError, apt_install, as_root, cache_dir, locked, run, say, step, untar

# Raise it when the layout or the content changes: a mirror of an earlier format is made anew.
FORMAT = 3
SUITES = {"new": "sid", "old": "trixie"}


class Program(NamedTuple):
    """A program of the mirror.

    :ivar package: Debian's package of it.
    :ivar members: what a release holds: file in the archive -> file in the package.
    :ivar archive: name of the release, with ``{program}``, ``{version}`` and ``{arch}``.
    :ivar checksums: name of the file with its checksum.
    :ivar suites: age -> Debian suite.
    :ivar bare: whether upstream publishes the program itself, not an archive.
    :ivar source: Go package that is built of the package's source, and the variable that gets the version; empty for none.
    :ivar by_hand: whether no suite has it: then its releases are those in the cache, see :func:`_take`.
    """

    package: str
    members: dict[str, str]
    archive: str
    checksums: str
    suites: dict[str, str] = SUITES
    bare: bool = False
    source: tuple[str, ...] = ()
    by_hand: bool = False

    def name(self, program: str, version: str) -> str:
        """Name of a release."""
        usual = "{program}-v{version}-linux-{arch}" if self.bare else self.archive
        return usual.format(program=program, version=version, arch=architecture())


SERVICES = json.loads(Path(__file__).with_name("services.json").read_text(encoding="utf-8"))
# No suite of Debian has it: see grafana().
WITHOUT = {"grafana"}
PROGRAMS = {
    name: Program(
        about["package"],
        {member: path.lstrip("/") for member, path in about["members"].items()},
        about["archive"],
        about["checksums"],
        # Where one suite is named, new and old are the same version.
        dict.fromkeys(SUITES, about["lab"]["suite"]) if "suite" in about["lab"] else SUITES,
        about["bare"],
        # Built as upstream does, which needs Go: the Go package, and the variable that the linker writes the version to.
        tuple(about["lab"]["build"].values()) if "build" in about["lab"] else (),
        bool(about["lab"].get("by_hand")),
    )
    for name, about in SERVICES.items()
    if name not in WITHOUT
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
# Grafana is in none of Debian's suites. This version is fetched where no archive was put into the cache by hand.
GRAFANA_SITE = "https://dl.grafana.com/oss/release"
GRAFANA_VERSION = "13.2.3"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armv7"}
# redis_exporter says `Redis Metrics Exporter 1.86.0-1`, with Debian's revision.
VERSION = re.compile(r"(?:version|Exporter) v?(?P<version>[0-9]+\.[0-9]+\.[0-9]+(-[0-9]+)?)")


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
    version = versions()[program][age]
    archive = path() / program / f"v{version}" / PROGRAMS[program].name(program, version)
    name = archive.name.removesuffix(".tar.gz")
    untar(archive, folder, lambda tar: [tar.getmember(f"{name}/{one}") for one in only])
    return folder / name


def ensure() -> Path:
    """Return the folder of a complete mirror; make it first where there is none."""
    if not _complete():
        with locked("mirror"):
            if not _complete():
                _make()
    # A program that is new here is added to a mirror that is there.
    if _missing():
        with locked("mirror"):
            _add(_missing())
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


def _versions() -> dict[str, dict[str, str]]:
    return json.loads((path() / "versions.json").read_text(encoding="utf-8"))


def _missing() -> list[str]:
    found = _versions()
    # What is put there by hand may have come since.
    return [
        name
        for name, program in PROGRAMS.items()
        if name not in found or (program.by_hand and not {found[name]["new"]}.issuperset(_by_hand(name)[-1:]))
    ]


def _by_hand(name: str) -> list[str]:
    """The versions of a program that somebody put into the cache, the oldest first."""
    before, after = PROGRAMS[name].name(name, "VERSION").split("VERSION")
    found = [path.name for path in (cache_dir() / name).glob(f"{before}*{after}")]
    found = [
        one.removeprefix(before).removesuffix(after)
        for one in found
        if (cache_dir() / name / PROGRAMS[name].checksums).exists()
    ]
    return sorted(found, key=lambda version: [int(number) for number in re.findall(r"\d+", version)])


def without(name: str) -> str:
    """Why the mirror has no release of a program that no suite has, and what to do about it."""
    release = PROGRAMS[name].name(name, "VERSION")
    return f"SKIPPED: {name} is not in the release mirror; put {release} and {PROGRAMS[name].checksums} into {cache_dir() / name}"


def _take(name: str, mirror: Path) -> str:
    """Take the newest release of a program from the cache; its version, or nothing where there is none."""
    versions = _by_hand(name)
    if not versions:
        say(without(name))
        return ""
    folder = mirror / name / f"v{versions[-1]}"
    folder.mkdir(parents=True, exist_ok=True)
    for one in (PROGRAMS[name].name(name, versions[-1]), PROGRAMS[name].checksums):
        shutil.copyfile(cache_dir() / name / one, folder / one)
    return versions[-1]


def _add(names: list[str]) -> None:
    if not names:
        return
    apt_install(["mmdebstrap", "debian-archive-keyring"], "the release mirror is made of Debian's packages")
    with tempfile.TemporaryDirectory(dir=cache_dir(), prefix="mirror.") as folder:
        found = _pack_all(names, Path(folder), path())
        written = Path(folder) / "versions.json"
        written.write_text(json.dumps({**_versions(), **found}, indent=2) + "\n", encoding="utf-8")
        written.replace(path() / "versions.json")


def _make() -> None:
    apt_install(["mmdebstrap", "debian-archive-keyring"], "the release mirror is made of Debian's packages")
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir(), prefix="mirror.") as folder:
        made = Path(folder) / "mirror"
        found = _pack_all(list(PROGRAMS), Path(folder), made)
        (made / "versions.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        (made / ".format").write_text(f"{FORMAT}\n", encoding="ascii")
        made.chmod(0o755)
        # By rename and last, so that a mirror is there as a whole or not at all.
        shutil.rmtree(path(), ignore_errors=True)
        made.rename(path())
    say(
        f"release mirror {path()}: "
        + ", ".join(f"{name} {ages['new']} and {ages['old']}" for name, ages in found.items() if ages["new"])
    )


def _pack_all(names: list[str], folder: Path, mirror: Path) -> dict[str, dict[str, str]]:
    """Fetch and pack programs; their versions. What the lab's images are made of comes with the first of them."""
    found: dict[str, dict[str, str]] = {}
    extra = not (mirror / "extra").is_dir()
    chosen = {name: PROGRAMS[name] for name in names if not PROGRAMS[name].by_hand}
    for name in names:
        if PROGRAMS[name].by_hand:
            found[name] = dict.fromkeys(SUITES, _take(name, mirror))
    for suite in dict.fromkeys(suite for program in chosen.values() for suite in program.suites.values()):
        with step(f"fetching the releases of Debian {suite}"):
            of_suite = [program for program in chosen.values() if suite in program.suites.values()]
            tree = _extract(suite, folder, of_suite, extra and suite == SUITES["new"])
        for name, program in chosen.items():
            ages = [age for age, of in program.suites.items() if of == suite]
            if ages:
                with step(f"packing {name} of Debian {suite}"):
                    found.setdefault(name, {}).update(dict.fromkeys(ages, _pack_or_skip(name, tree, mirror)))
        if extra and suite == SUITES["new"]:
            _keep_extra(tree, mirror / "extra")
    return found


def _extract(suite: str, folder: Path, programs: list[Program], extra_too: bool) -> Path:
    """Unpack packages of a Debian suite, with what they depend on, into a folder of this user's."""
    archive = folder / f"{suite}.tar"
    packages = {program.package for program in programs}
    if extra_too:
        packages.update(package for needed, _files in EXTRA.values() for package in needed)
    # sid's release file may be past its date on a machine that sees a snapshot.
    argv = ["mmdebstrap", "--quiet", "--mode=root", "--variant=extract", '--aptopt=Acquire::Check-Valid-Until "false"']
    tree = folder / suite
    sources = [program.package for program in programs if program.source]
    if sources:
        (tree / "sources").mkdir(parents=True)
        (tree / "sources").chmod(0o777)
        # Only upstream's own archive: Debian's changes to it are to the build.
        fetch = (
            f"cd {tree}/sources && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -q source --tar-only {' '.join(sources)}"
        )
        argv += ['--setup-hook=sed -i "p;s/^deb /deb-src /" "$1/etc/apt/sources.list"', f"--extract-hook={fetch}"]
    run(as_root([*argv, f"--include={','.join(sorted(packages))}", suite, str(archive)]))
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


def _pack_or_skip(name: str, tree: Path, mirror: Path) -> str:
    """Pack one program; its version, or nothing for one that has to be built and cannot be built here."""
    try:
        return _pack(name, tree, mirror)
    except LabError as error:
        if not PROGRAMS[name].source:
            raise
        say(f"SKIPPED: {name} is not in the release mirror, and its tests are skipped: {error}")
        return ""


def _pack(name: str, tree: Path, mirror: Path) -> str:
    """Pack one program as upstream does; return its version."""
    program = PROGRAMS[name]
    if program.source:
        _build(program, tree)
    done = run([str(tree / program.members[SERVICES[name]["program"]]), "--version"])
    match = VERSION.search(done.stdout + done.stderr)
    if not match:
        raise LabError(f"{name} does not say its version: {done.stdout}{done.stderr}")
    version = match["version"]
    folder = mirror / name / f"v{version}"
    folder.mkdir(parents=True)
    release = folder / program.name(name, version)
    if program.bare:
        shutil.copyfile(tree / program.members[name], release)
    else:
        _archive(release, {member: tree / source for member, source in program.members.items()}, f"{name} {version}")
    digest = hashlib.sha256()
    with open(release, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    (folder / program.checksums).write_text(f"{digest.hexdigest()}  {release.name}\n", encoding="ascii")
    return version


def _build(program: Program, tree: Path) -> None:
    """Build a program of upstream's source, in the place of Debian's own build."""
    if not shutil.which("go"):
        raise LabError(f"{program.package} has to be built, and there is no Go on this machine: install it")
    (source,) = (tree / "sources").glob(f"{program.package}_*.orig.tar.*")
    version = source.name.split("_", 1)[1].split(".orig.")[0]
    folder = tree / "sources" / program.package
    folder.mkdir()
    run(["tar", "-xf", str(source), "-C", str(folder), "--strip-components=1"])
    (member,) = program.members.values()
    package, variable = program.source
    flags = f"-s -w -X {variable}={version}"
    run(
        [
            "env",
            "CGO_ENABLED=0",
            "go",
            "build",
            "-C",
            str(folder),
            "-ldflags",
            flags,
            "-o",
            str(tree / member),
            package,
        ]
    )


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
    """Serves files and remembers the requests, instead of printing them."""

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        self.server.requests.append((time.time(), format % args))


class Server(http.server.ThreadingHTTPServer):
    """A running mirror: `url`, and `requests`, a list of (seconds since the epoch, request)."""

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
