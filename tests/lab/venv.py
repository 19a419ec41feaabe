"""The virtual environment .venv, with the tools that pyproject.toml pins."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys

import tomllib

from .common import ROOT, LabError, apt_install, run, step

FOLDER = ROOT / ".venv"
STAMP = FOLDER / ".stamp"


def ensure() -> None:
    """Make or renew .venv when it does not fit pyproject.toml and this Python; instant when it does."""
    with open(ROOT / "pyproject.toml", "rb") as handle:
        pins = tomllib.load(handle)["dependency-groups"]["dev"]
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
        run(
            [
                str(FOLDER / "bin" / "python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-compile",
                "--disable-pip-version-check",
                *pins,
            ]
        )
        STAMP.write_text(digest, encoding="ascii")


def tool(name: str) -> str:
    """The path of a tool in .venv; LabError when it is not there."""
    path = FOLDER / "bin" / name
    if not path.exists():
        raise LabError(f"{path} is not there: run `make venv`")
    return str(path)
