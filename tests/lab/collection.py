"""The collection as others have it: a fresh clone, and what is built of that and installed."""

from __future__ import annotations

import os
from pathlib import Path

from . import venv
from .common import ROOT, run


def files() -> list[str]:
    """What git knows of today's files, or would take."""
    argv = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    return [name for name in run(argv).stdout.split("\0") if name]


def clone(folder: Path) -> Path:
    """Fill a folder with what `git clone` would give of today's files; returns it."""
    for name in files():
        source, target = ROOT / name, folder / name
        if not (source.is_symlink() or source.is_file()):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        else:
            target.write_bytes(source.read_bytes())
    return folder


def install(source: Path, folder: Path) -> Path:
    """Build the collection of a clone, and install the archive into a path of its own below a folder; returns that path.

    No server is asked: what it depends on comes with the package `ansible`.
    """
    galaxy, path = [venv.tool("ansible-galaxy"), "collection"], folder / "installed"
    run([*galaxy, "build", "--output-path", str(folder)], cwd=source, env=environment(folder))
    (archive,) = folder.glob("vigil-monitoring-*.tar.gz")
    run([*galaxy, "install", "--offline", str(archive), "-p", str(path)], cwd=folder, env=environment(folder))
    return path


def environment(home: Path, **own: str) -> dict[str, str]:
    """The environment of somebody who has the tools, and nothing of this clone.

    :param home: the home, for what lies in the caller's own one would be found as well.
    """
    theirs = ("ANSIBLE_", "MOLECULE_", "PYTHONPATH", "XDG_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    path = f"{Path(venv.tool('python')).parent}:{clean['PATH']}"
    return {**clean, "PATH": path, "HOME": str(home), "ANSIBLE_NOCOLOR": "1", **own}
