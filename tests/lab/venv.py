"""The virtual environment .venv, with the tools that pyproject.toml pins and requirements/ locks."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
from pathlib import Path

import tomllib

from .common import ROOT, LabError, apt_install, cache_dir, locked, run, step

FOLDER = ROOT / ".venv"
STAMP = FOLDER / ".stamp"
LOCKS = ROOT / "requirements"


def pinned(group: str) -> list[str]:
    """What a dependency group of pyproject.toml pins, with the groups that it includes."""
    with open(ROOT / "pyproject.toml", "rb") as handle:
        groups = tomllib.load(handle)["dependency-groups"]

    def resolved(name: str) -> list[str]:
        return [
            pin
            for entry in groups[name]
            for pin in ([entry] if isinstance(entry, str) else resolved(entry["include-group"]))
        ]

    return resolved(group)


def lock(name: str) -> Path:
    """The lock file of a dependency group: all that it takes, for every Python, with checksums."""
    return LOCKS / f"{name}.txt"


def locked_groups() -> list[str]:
    """The dependency groups that have a lock file."""
    return sorted(path.stem for path in LOCKS.glob("*.txt"))


def install(python: str, file: Path, *more: str) -> None:
    """Install what a lock file lists, and nothing else; LabError where a file has another checksum than is written there."""
    options = ["--quiet", "--no-compile", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
    run([python, "-m", "pip", "install", *options, *more, "--requirement", str(file)])


def write_locks() -> None:
    """Write the lock files anew, from pyproject.toml. What is locked already keeps its version, where it still fits."""
    uv = group("supply") / "uv"
    options = ["--quiet", "--universal", "--generate-hashes", "--python-version", "3.11", "--no-annotate"]
    for name in locked_groups():
        with step(f"locking {name}"):
            own = [
                "--custom-compile-command",
                "make lock",
                "--group",
                f"pyproject.toml:{name}",
                "--output-file",
                str(lock(name)),
            ]
            run([str(uv), "pip", "compile", *options, *own], cwd=ROOT, env={**os.environ, **_index()})


def _index() -> dict[str, str]:
    """The registry that pip is set up for, as uv takes it."""
    done = run([tool("python"), "-m", "pip", "config", "get", "global.index-url"], check=False)
    return {"UV_DEFAULT_INDEX": done.stdout.strip()} if done.returncode == 0 and done.stdout.strip() else {}


def audit() -> None:
    """Tell of known vulnerabilities in what the lock files list; LabError where there are some."""
    for name in locked_groups():
        with step(f"auditing {name}"):
            argv = [
                str(group("supply") / "pip-audit"),
                "--requirement",
                str(lock(name)),
                "--disable-pip",
                "--require-hashes",
            ]
            run([*argv, "--progress-spinner", "off"])


def sbom(folder: Path) -> tuple[Path, Path]:
    """Build the collection and the list of its components into a folder; returns the paths of both."""
    folder.mkdir(parents=True, exist_ok=True)
    said = run(
        [tool("ansible-galaxy"), "collection", "build", "--force", "--output-path", str(folder)], cwd=ROOT
    ).stdout
    archive = Path(said.strip().split()[-1])
    listed = folder / f"{archive.name.removesuffix('.tar.gz')}.cdx.json"
    run([str(group("supply") / "python"), str(ROOT / "tools" / "sbom.py"), str(archive), str(listed)])
    return archive, listed


def ensure() -> None:
    """Make or renew .venv when it does not fit its lock file and this Python; instant when it does."""
    pins = lock("dev").read_text(encoding="utf-8")
    # Not sys.executable: where .venv is active, that is the one which is about to go.
    python = os.path.realpath(sys.executable)
    digest = hashlib.sha256(repr((pins, sys.version, python)).encode()).hexdigest()
    if STAMP.exists() and STAMP.read_text(encoding="ascii") == digest:
        return
    if importlib.util.find_spec("ensurepip") is None:
        # Debian keeps it in a package of its own.
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        apt_install(
            [f"python{version}-venv"], f"Python {version} here has no ensurepip, which makes virtual environments"
        )
    with step(f"making .venv with Python {sys.version.split()[0]}"):
        shutil.rmtree(FOLDER, ignore_errors=True)
        run([python, "-m", "venv", str(FOLDER)])
        install(str(FOLDER / "bin" / "python"), lock("dev"))
        STAMP.write_text(digest, encoding="ascii")


def tool(name: str) -> str:
    """The path of a tool in .venv; LabError when it is not there."""
    path = FOLDER / "bin" / name
    if not path.exists():
        raise LabError(f"{path} is not there: run `make venv`")
    return str(path)


def without_shims() -> str:
    """PATH without pyenv's shims, which fail for versions that are installed but not chosen."""
    return os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if not part.endswith("/shims"))


def find_python(version: str) -> Path | None:
    """The interpreter of a version such as 3.12 that can make virtual environments, or None."""
    name = f"python{version}"
    candidates = [shutil.which(name, path=without_shims())]
    candidates += sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/{name}"))
    for candidate in filter(None, candidates):
        if run([str(candidate), "-c", "import venv, ensurepip"], check=False).returncode == 0:
            return Path(candidate)
    return None


def pythons(version: str) -> list[str]:
    """The versions of Python that an ansible-core runs on, the newest first: three, which move by one with every second release."""
    oldest = 10 + (int(version.split(".")[1]) - 16) // 2
    return [f"3.{oldest + step}" for step in (2, 1, 0)]


def core(version: str) -> Path | None:
    """The programs of an ansible-core, in an environment of its own that all clones share; None without such a Python.

    It finds the collections that the lab connects with in .venv.

    :param version: one such as 2.21.5, or a line such as 2.21, of which the newest is taken.
    """
    python = next(filter(None, map(find_python, pythons(version))), None)
    if python is None:
        return None
    wanted = version if version.count(".") > 1 else f"{version}.*"
    return _shared(cache_dir() / "cores" / version, python, [f"ansible-core=={wanted}", "requests"])


def group(name: str) -> Path:
    """The programs of a dependency group of pyproject.toml, in an environment of its own that all clones share."""
    file, python = lock(name), Path(os.path.realpath(sys.executable))
    digest = hashlib.sha256(repr((file.read_text(encoding="utf-8"), sys.version)).encode()).hexdigest()[:12]
    return _shared(cache_dir() / "groups" / f"{name}-{digest}", python, file)


def _shared(folder: Path, python: Path, wanted: list[str] | Path) -> Path:
    """An environment with these packages, or those of a lock file; made where it is not there. Returns the folder of its programs."""
    with locked(f"venv-{folder.name}"):
        if not (folder / ".complete").exists():
            about = wanted.stem if isinstance(wanted, Path) else ", ".join(wanted[:3])
            with step(f"installing {about}, … with {python.name}"):
                shutil.rmtree(folder, ignore_errors=True)
                run([str(python), "-m", "venv", str(folder)])
                if isinstance(wanted, Path):
                    install(str(folder / "bin" / "python"), wanted)
                else:
                    argv = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-compile"]
                    run([*argv, "--disable-pip-version-check", *wanted])
                (folder / ".complete").touch()
    return folder / "bin"


def collections() -> Path:
    """Where .venv has the collections of the package `ansible`."""
    return next(FOLDER.glob("lib/python*/site-packages"))
