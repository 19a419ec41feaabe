"""Mutation testing: is there a test that fails when a decision is changed?

mutmut changes the code of modules that decide, one operator or constant at a time, and runs the unit tests of these modules
that reach it. A change that no test notices has survived. It takes minutes for each subject and is no part of `make test`;
`make mutation` reports the share that was killed, by what the modules decide about, and fails below LEAST.

It works on a copy laid out as ansible_collections/vigil/monitoring, since it knows a module by its path.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

from . import collection, venv
from .common import ROOT, LabError, say

FOLDER = ROOT / "build" / "mutation"
INSIDE = Path("ansible_collections/vigil/monitoring")
# What is decided about, and where; at least this share of the changes has to be noticed.
SUBJECTS = {
    "secrets": ("module_utils/_redact.py", "module_utils/_scrub.py", "plugin_utils/_secrets.py"),
    "hardening": ("plugin_utils/_unit.py", "module_utils/_systemd.py"),
    "rollback": ("module_utils/_switch.py",),
    "restarts": ("module_utils/_process.py", "module_utils/_health.py"),
}
LEAST = 0.9
# It forks a hundred processes, and says of a decision nothing that the others do not.
LEFT_OUT = "not killed_at_any_moment"
LAST_LINE = re.compile(r"\s(\S+)\.(?:x_|xǁ)\S+__mutmut_\d+: (.+)$")
# How mutmut calls what did not survive. A change in what no test reaches has survived as well.
NOTICED = {"killed", "timeout", "caught by type check", "segfault"}

CONFIGURATION = """\
[tool.pytest.ini_options]
pythonpath = [".", "{inside}/tests"]
filterwarnings = ["ignore"]

[tool.mutmut]
source_paths = ["{inside}/plugins"]
only_mutate = {modules}
also_copy = ["ansible_collections"]
pytest_add_cli_args = ["-k", "{left_out}"]
pytest_add_cli_args_test_selection = {tests}
"""


def run(names: list[str]) -> int:
    """Test the modules that decide about these subjects, or about all; returns 0 where enough was noticed, else 1."""
    unknown = set(names) - set(SUBJECTS)
    if unknown:
        raise LabError(f"{', '.join(sorted(unknown))}: not among {', '.join(SUBJECTS)}")
    venv.ensure()
    enough = [_test(name, SUBJECTS[name]) for name in names or SUBJECTS]
    return 0 if all(enough) else 1


def tests_of(modules: tuple[str, ...], folder: Path) -> list[str]:
    """The files of tests in a folder that import one of these modules, by name.

    Others reach them as well, hundreds for what every module calls; they would make an hour of a minute, and what kills a
    change only there is not tested where one looks for it.
    """
    names = "|".join(re.escape(Path(module).stem) for module in modules)
    imported = re.compile(rf"^\s*(?:from|import)\b.*\b(?:{names})\b", re.MULTILINE)
    return sorted(file.name for file in folder.glob("test_*.py") if imported.search(file.read_text(encoding="utf-8")))


def _test(subject: str, modules: tuple[str, ...]) -> bool:
    """Change the modules of a subject; tell the share that was noticed, and return whether it is enough."""
    copy = FOLDER / subject
    _lay_out(copy, modules)
    log = copy / "mutmut.log"
    say(f"mutation of {subject} (log: {log.relative_to(ROOT)})")
    environment = {**os.environ, "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1"}
    tool = venv.tool("mutmut")
    with open(log, "w", encoding="utf-8") as sink:
        code = subprocess.call([tool, "run"], cwd=copy, env=environment, stdout=sink, stderr=subprocess.STDOUT)
    listed = subprocess.run(
        [tool, "results", "--all", "true"], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    found = sum((count(listed.stdout).get(module, Counter()) for module in modules), Counter())
    if code or not found:
        raise LabError(f"mutmut ended with {code}, and has {sum(found.values())} results; see {log.relative_to(ROOT)}")
    noticed, total = sum(found[word] for word in NOTICED), sum(found.values())
    print(f"{subject:10} {noticed} of {total} changes noticed, {noticed / total:.1%}", flush=True)
    if noticed / total < LEAST:
        print(
            f"less than {LEAST:.0%}; `mutmut results` in {copy.relative_to(ROOT)} names them, `mutmut show` shows one"
        )
    return noticed / total >= LEAST


def count(listing: str) -> dict[str, Counter]:
    """What became of the changes, by module: its path below ``plugins``, with how often each outcome was seen.

    `listing` is what ``mutmut results --all true`` prints.
    """
    counts: dict[str, Counter] = {}
    for line in listing.splitlines():
        if match := LAST_LINE.search(line):
            module = match[1].partition(".plugins.")[2].replace(".", "/") + ".py"
            counts.setdefault(module, Counter())[match[2].strip()] += 1
    return counts


def _lay_out(copy: Path, modules: tuple[str, ...]) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    for name in collection.files():
        source = ROOT / name
        if name.startswith("collections/") or not source.is_file():
            continue
        target = copy / INSIDE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    text = CONFIGURATION.format(
        inside=INSIDE,
        modules=[f"{INSIDE}/plugins/{module}" for module in modules],
        left_out=LEFT_OUT,
        tests=[f"{INSIDE}/tests/unit/{name}" for name in tests_of(modules, ROOT / "tests" / "unit")],
    )
    (copy / "pyproject.toml").write_text(text.replace("'", '"'), encoding="utf-8")
