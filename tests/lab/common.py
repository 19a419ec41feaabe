"""What every part of the lab shares: its folders, running commands, progress, one clear sentence on failure."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".lab"
LABEL = "monitoring.vigil.lab"


class LabError(Exception):
    """The lab cannot go on; the text is one sentence for the person at the terminal."""


def cache_dir() -> Path:
    """The folder that all clones share: the release mirror lives there."""
    path = os.environ.get("VIGIL_LAB_CACHE")
    return Path(path) if path else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vigil-lab"


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(text: str):
    """Print one line when a step that takes its time begins, and one with its seconds when it ends."""
    say(f"{text} ...")
    began = time.monotonic()
    yield
    say(f"{text}: {time.monotonic() - began:.0f} s")


@contextlib.contextmanager
def locked(name: str):
    """Hold a lock that all processes of this user share, so that two runs do not build the same thing at once."""
    folder = cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f".{name}.lock", "w", encoding="ascii") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def untar(archive: Path, folder: Path, members: Callable[[tarfile.TarFile], list] | None = None) -> None:
    """Unpack a tar archive of the lab's own below a folder.

    :param members: gives what is to be unpacked; everything where it gives nothing.
    """
    # PEP 706: Python 3.11 has filters from 3.11.4 on.
    careful = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as tar:
        tar.extractall(folder, (members and members(tar)) or None, **careful)


def run(argv: list[str], check: bool = True, timeout: float | None = None, **kwargs) -> subprocess.CompletedProcess:
    """Run a command with its output captured as text.

    Raises LabError with the command and the end of its output when it fails, is missing, or takes longer than
    `timeout` seconds.
    """
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    if kwargs.get("input") is not None:
        del kwargs["stdin"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, **kwargs)
    except FileNotFoundError as error:
        raise LabError(f"the command {argv[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{' '.join(argv)}` did not end within {timeout} s") from error
    if check and done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise LabError(f"`{' '.join(argv)}` ended with {done.returncode}:\n{tail}")
    return done


def as_root(argv: list[str]) -> list[str]:
    """The same command with the rights of root: as it is for root, else through sudo."""
    if os.geteuid() == 0:
        return argv
    if not shutil.which("sudo"):
        raise LabError(f"`{' '.join(argv)}` needs root, and there is no sudo: run this as root")
    return ["sudo", *argv]


def apt_install(packages: list[str], why: str) -> None:
    """Install Debian packages that are missing.

    Raises LabError, naming `why`, on a machine without apt-get.
    """
    missing = [name for name in packages if not _installed(name)]
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise LabError(
            f"{why}, and this machine has no apt-get to install {', '.join(missing)} with: install them by hand"
        )
    with step(f"installing {' '.join(missing)}"):
        environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
        install = [*environment, "apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
        # The lists of a fresh machine may be missing or too old to fetch by, so they are read anew; a source of
        # somebody else's that does not answer must not stop us: the install says whether it mattered.
        run(as_root([*environment, "apt-get", "update", "-q"]), check=False)
        run(as_root(install))


def _installed(package: str) -> bool:
    if not shutil.which("dpkg-query"):
        return False
    done = run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}", package], check=False)
    return done.returncode == 0 and done.stdout.startswith("ii")
