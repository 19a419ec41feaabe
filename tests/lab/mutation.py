"""Mutation testing: is there a test that fails when a decision is changed?

mutmut changes the code of modules that decide, one operator or constant at a time, and runs the unit tests of these modules
that reach it. A change that no test notices has survived. It takes minutes for each subject and is no part of `make test`;
`make mutation` reports the share that was killed, by what the modules decide about, and fails below LEAST.

It works on a copy laid out as ansible_collections/vigil/monitoring, since it knows a module by its path.
"""

from __future__ import annotations

import ast
import difflib
import os
import re
import shutil
import subprocess
from pathlib import Path

from . import collection, venv
from .common import ROOT, LabError, say

FOLDER = ROOT / "build" / "mutation"
INSIDE = Path("ansible_collections/vigil/monitoring")
# What is decided about, and where; at least this share of the changes has to be noticed.
SUBJECTS = {
    "secrets": ("module_utils/_redact.py", "module_utils/_scrub.py", "plugin_utils/_secrets.py"),
    "hardening": ("plugin_utils/_unit.py", "module_utils/_systemd.py"),
    "rollback": ("module_utils/_switch.py", "module_utils/_rollback.py"),
    "restarts": ("module_utils/_process.py", "module_utils/_decision.py"),
}
# Tests that reach these modules through what calls them, beside those that import them.
FURTHER_TESTS = {"rollback": ("test_deployment.py",), "restarts": ("test_deployment.py",)}
LEAST = 0.9
# The one forks a hundred processes, and says of a decision nothing that the others do not; the other needs luck on a busy machine.
LEFT_OUT = "not killed_at_any_moment and not test_races"
RESULT = re.compile(r"\s(\S+)\.(\S+__mutmut_\d+): (.+)$")
# Changes that change nothing that could be seen, by what is left of a line and what it becomes, with the reason. They are no
# part of the share.
EQUIVALENT = (
    (r'"(utf-8|ascii|latin-1)"', r'"(UTF-8|ASCII|LATIN-1)"', "Python takes the name of an encoding in any case"),
    (r'"CSafeLoader", yaml.SafeLoader', r"", "the loader in C reads what the other one reads, faster"),
    (r"anchor = max\(", r"", "which part of a secret is looked for first decides about the time that it takes"),
    (r"core\[:40\]", r"core\[:41\]", "any number between what tells a secret and the length of a line"),
    (r"\\ufffd", r"\\uFFFD", "one character to the module re"),
    (r"\(0, 2, 3\)", r"\(0, 3, 3\)", "what stays of a core is found where the whole is"),
    (r"if code < 0x10000 else|if code < 0x100:", r"", "a pattern more, for a form that no program writes"),
    (r"if d\.isalpha\(\)", r"or True", "a digit alone in brackets"),
    (r'"\[\{0\}\]"', r'"XX[abefv0]XX"', "a letter more in brackets, for a form that no program writes"),
    (r'if character in "', r'"XX', "a character is one sign, and no letter"),
    (r'def \(secrets, shown=""', r'shown="XXXX"', "no secret is called so"),
    (r"\[A-Za-z0-9\]\|", r"", "a letter is written as it is, from either branch"),
    (r"16 \* len\(run\)", r"17 \* len\(run\)", "any number that is large enough"),
    (
        r"text.find\(core, start",
        r"text.find\(core, (None)?\)",
        "from the start again finds the same, as what was there is masked",
    ),
    (r'sign in "', r'"XX', "what is compared is one sign, or a string as a whole"),
    (r"self.unclosed|stack.append\(sign\)", r"", "how often an end is looked for decides about the time that it takes"),
    (r"found.end\(\) > behind", r"found.end\(\) >= behind", "what closes at the end of a line closes on it"),
    (r'or "x"\)', r'"XXxXX"|"X"|position \+ 2', "any sign that opens nothing"),
    (
        r"self.column|text_end, self.text_column = -1",
        r"[+-][12]",
        "what is compared with them begins at 0, or is not compared",
    ),
    (r"startswith\(_BEFORE_DOCUMENT\)\), 0", r", (1|None)$", "no line at all"),
    (r"seen = position", r"None", "the key itself has no bracket in it"),
    (r"configuration = None", r'configuration = ""', "either says that nothing is known"),
    (r"x1f\\x7f|x1b", r"x1F\\x7F|x1B", "one character to the module re"),
    (r'"0", said\)', r'"XX0XX", said\)', "a key that is not shown; all numbers become the same"),
    (r"> switched \+ margin", r">= switched \+ margin", "the clock of files is finer than that of processes"),
    (r'rpartition\(":"\)\[2\], 16', r'partition\(":"\)\[2\], 16', "an address in these tables has one colon"),
    (r'"arguments": arguments\} if arguments', r"if \(arguments\) or True", "no arguments say as little as none"),
)
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
    names = {Path(module).stem for module in modules}
    return sorted(file.name for file in folder.glob("test_*.py") if names & _imported(file.read_text(encoding="utf-8")))


def _imported(source: str) -> set[str]:
    """The last parts of the names of modules, and the names, that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update(alias.name.rpartition(".")[2] for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.rpartition(".")[2])
    return found


def _test(subject: str, modules: tuple[str, ...]) -> bool:
    """Change the modules of a subject; tell the share that was noticed, and return whether it is enough."""
    copy = FOLDER / subject
    tests = sorted({*tests_of(modules, ROOT / "tests" / "unit"), *FURTHER_TESTS.get(subject, ())})
    _lay_out(copy, modules, tests)
    log = copy / "mutmut.log"
    say(f"mutation of {subject} (log: {log.relative_to(ROOT)})")
    environment = {**os.environ, "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1"}
    # A few examples of each property notice a change; more of them make an hour of a quarter.
    environment.setdefault("VIGIL_EXAMPLES", "4")
    tool = venv.tool("mutmut")
    with open(log, "w", encoding="utf-8") as sink:
        # As many at once as this process may use processors: `taskset` leaves some to others.
        command = [tool, "run", "--max-children", str(len(os.sched_getaffinity(0)))]
        code = subprocess.call(command, cwd=copy, env=environment, stdout=sink, stderr=subprocess.STDOUT)
    listed = subprocess.run(
        [tool, "results", "--all", "true"], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    found = results(listed.stdout)
    if code or not found:
        raise LabError(f"mutmut ended with {code}, and has {len(found)} results; see {log.relative_to(ROOT)}")
    survived = [name for name, outcome in found.items() if outcome not in NOTICED]
    made = {
        module: changes((copy / "mutants" / INSIDE / "plugins" / module).read_text(encoding="utf-8"))
        for module in modules
    }
    equivalent = {name for name in survived if is_equivalent(*made[name[0]][name[1]])}
    left = [name for name in survived if name not in equivalent]
    for module, function in left:
        before, after = made[module][function]
        print(f"{module} {function}\n    - {before}\n    + {after}")
    total = len(found) - len(equivalent)
    noticed = total - len(left)
    print(f"{subject:10} {noticed} of {total} changes noticed, {noticed / total:.1%}; {len(equivalent)} change nothing")
    return noticed / total >= LEAST


def results(listing: str) -> dict[tuple[str, str], str]:
    """What became of each change: the module's path below ``plugins`` and mutmut's name of the change -> its outcome.

    `listing` is what ``mutmut results --all true`` prints.
    """
    found = {}
    for line in listing.splitlines():
        if match := RESULT.search(line):
            found[match[1].partition(".plugins.")[2].replace(".", "/") + ".py", match[2]] = match[3].strip()
    return found


def changes(source: str) -> dict[str, tuple[str, str]]:
    """Each change that mutmut made in a module: its name -> the lines before and after.

    `source` is the module as mutmut wrote it, with each function as it was and once more for each change.
    """
    lines, bodies = source.splitlines(), {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and "__mutmut_" in node.name:
            # Without the line that has the name.
            bodies[node.name] = lines[node.lineno - 1 : node.end_lineno]
    found = {}
    for name, body in bodies.items():
        function, dummy, number = name.rpartition("__mutmut_")
        if number == "orig":
            continue
        marked = list(
            difflib.ndiff(
                [line.replace(name.rpartition("_")[0] + "_orig", "") for line in bodies[function + "__mutmut_orig"]],
                [line.replace(name, "") for line in body],
            )
        )
        found[name] = tuple("\n".join(line[2:].strip() for line in marked if line.startswith(sign)) for sign in "-+")
    return found


def is_equivalent(before: str, after: str) -> bool:
    """Whether a change is one of those that change nothing."""
    return any(re.search(old, before) and re.search(new, after) for old, new, dummy in EQUIVALENT)


def _lay_out(copy: Path, modules: tuple[str, ...], tests: list[str]) -> None:
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
        tests=[f"{INSIDE}/tests/unit/{name}" for name in tests],
    )
    (copy / "pyproject.toml").write_text(text.replace("'", '"'), encoding="utf-8")
