"""`ansible-test sanity` on a copy laid out as ansible_collections/vigil/monitoring.

In the clone itself it would pass without looking: it skips what it reaches through links. Its tools live in virtual
environments of their own that it makes; the script that puts pip into them is downloaded, which needs more network than
package registries, so a script of ours stands in its place, under a home of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from . import collection, venv
from .common import ROOT, cache_dir, run

COPY = ROOT / "build" / "ansible_collections" / "vigil" / "monitoring"
# The oldest that we support and the newest that ansible-core 2.19 knows: what imports on both, does between.
HOST_PYTHONS = ("3.9", "3.13")
# The links back to the clone, and what is not shipped: ruff looks after that.
LEFT_OUT = ("collections/", "tests/", "tools/", "molecule/")

# What ansible-test runs as its get-pip.py: the arguments are packages and options of that script.
GET_PIP = '''\
"""Install pip into an empty virtual environment, from the package registry that pip is set up for."""

import subprocess
import sys

packages = [word for word in sys.argv[1:] if not word.startswith("-")]
sys.exit(subprocess.call([{pip_python!r}, "-m", "pip", "--python", sys.executable, "install", "--quiet", *packages]))
'''


def command() -> list[str]:
    """Lay out the copy and the home; the command line to run."""
    _lay_out()
    home = cache_dir() / "ansible-test"
    _stand_in(home)
    path = f"{_pythons()}:{venv.without_shims()}"
    environment = [
        f"PATH={path}",
        f"HOME={home}",
        f"XDG_CACHE_HOME={cache_dir().parent}",
        f"ANSIBLE_COLLECTIONS_PATH={ROOT / 'build'}",
    ]
    argv = ["env", "-C", str(COPY), *environment, venv.tool("ansible-test"), "sanity", "--color", "no"]
    return argv


def _lay_out() -> None:
    shutil.rmtree(COPY, ignore_errors=True)
    for name in collection.files():
        source = ROOT / name
        if name.startswith(LEFT_OUT) or not source.is_file():
            continue
        target = COPY / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    # A repository of its own: in ours the copy is ignored, and ansible-test would find nothing to test.
    run(["git", "-C", str(COPY), "init", "--quiet"])


def _pythons() -> Path:
    """A folder with this machine's Python interpreters that work, as hosts may have them: python3.9, python3.10, ..."""
    folder = ROOT / "build" / "pythons"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    (folder / f"python{own}").symlink_to(venv.tool("python"))
    for version in HOST_PYTHONS:
        if version != own and (found := venv.find_python(version)):
            (folder / f"python{version}").symlink_to(found)
    return folder


def _stand_in(home: Path) -> None:
    """Put the script where ansible-test looks for one that it has downloaded before."""
    data = Path(venv.tool("python")).parent.parent / "lib"
    script = next(data.glob("python*/site-packages/ansible_test/_util/target/setup/requirements.py"))
    packages = script.parents[3] / "_internal" / "python_requirements.py"
    version = re.search(r"pip='([0-9.]+)'", packages.read_text(encoding="utf-8"))[1]
    path = home / ".ansible" / "test" / "cache" / f"get_pip_{version.replace('.', '_')}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = GET_PIP.format(pip_python=venv.tool("python"))
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.rename(path)
