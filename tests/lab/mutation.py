"""Mutation testing: is there a test that fails when a decision is changed?

mutmut changes the code of modules that decide, one operator or constant at a time, and runs the unit tests that reach it.
A change that no test notices has survived. It takes hours and is no part of `make test`; `make mutation` reports the
share that was killed, by what the modules decide about.

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

COPY = ROOT / "build" / "mutation"
INSIDE = Path("ansible_collections/vigil/monitoring")
# What is decided about, and where; at least this share of the changes has to be noticed.
SUBJECTS = {
    "secrets": ("module_utils/_redact.py", "plugin_utils/_secrets.py"),
    "hardening": ("plugin_utils/_unit.py", "module_utils/_systemd.py"),
    "rollback": ("module_utils/_switch.py",),
    "restarts": ("module_utils/_process.py", "module_utils/_probe.py"),
}
LEAST = 0.9
# The one forks a hundred processes and says of a decision nothing that the others do not; the other is about files that are
# not where they are in a clone.
LEFT_OUT = "not killed_at_any_moment and not generated_documentation"
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
pytest_add_cli_args_test_selection = ["{inside}/tests/unit"]
"""


def run(names: list[str]) -> int:
    """Test the modules that decide about these subjects, or about all; returns 0 where enough was noticed, else 1."""
    unknown = set(names) - set(SUBJECTS)
    if unknown:
        raise LabError(f"{', '.join(sorted(unknown))}: not among {', '.join(SUBJECTS)}")
    venv.ensure()
    wanted = {name: SUBJECTS[name] for name in names or SUBJECTS}
    _lay_out([module for modules in wanted.values() for module in modules])
    log = COPY / "mutmut.log"
    say(f"mutation: this takes long (log: {log.relative_to(ROOT)})")
    environment = {**os.environ, "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1"}
    tool = venv.tool("mutmut")
    with open(log, "w", encoding="utf-8") as sink:
        code = subprocess.call([tool, "run"], cwd=COPY, env=environment, stdout=sink, stderr=subprocess.STDOUT)
    listed = subprocess.run(
        [tool, "results", "--all", "true"], cwd=COPY, env=environment, capture_output=True, text=True, check=False
    )
    counts = count(listed.stdout)
    if not counts:
        raise LabError(f"mutmut ended with {code} and has no result; see {log.relative_to(ROOT)}")
    return _report(wanted, counts)


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


def _report(wanted: dict[str, tuple[str, ...]], counts: dict[str, Counter]) -> int:
    enough = True
    for subject, modules in wanted.items():
        found = sum((counts.get(module, Counter()) for module in modules), Counter())
        noticed, total = sum(found[word] for word in NOTICED), sum(found.values())
        share = noticed / total if total else 0
        enough = enough and share >= LEAST
        print(f"{subject:10} {noticed} of {total} changes noticed, {share:.0%}", flush=True)
    if not enough:
        print(
            f"less than {LEAST:.0%}; `mutmut results` in {COPY.relative_to(ROOT)} names them, `mutmut show` shows one"
        )
    return 0 if enough else 1


def _lay_out(modules: list[str]) -> None:
    shutil.rmtree(COPY, ignore_errors=True)
    for name in collection.files():
        source = ROOT / name
        if name.startswith("collections/") or not source.is_file():
            continue
        target = COPY / INSIDE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    text = CONFIGURATION.format(
        inside=INSIDE, modules=[f"{INSIDE}/plugins/{module}" for module in modules], left_out=LEFT_OUT
    )
    (COPY / "pyproject.toml").write_text(text.replace("'", '"'), encoding="utf-8")
