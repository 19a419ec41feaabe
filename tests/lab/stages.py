"""What `make test` runs: stages, each announced, each with its log, and the log shown where a stage fails."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import engine, hosts, images, mirror, sanity, venv
from .common import ROOT, LabError, locked, say

LOGS = ROOT / "build" / "logs"
SUMMARY = re.compile(r"^(?:=+ )?((?:\d+ \w+, )*\d+ \w+(?:, \d+ \w+)* in [0-9.]+s.*?)(?: =+)?$")
PROGRESS = re.compile(
    r"^([.FEsxX]+ |\[gw\d+\] \[|tests/\S+ [.FEsxX]|FAILED|ERROR|PASSED|SKIPPED|=+ |Running sanity test|(INFO|ERROR|CRITICAL) +\[)"
)
# What pytest says at its end of each test that failed.
FAILURE = re.compile(r"(?m)^(?:FAILED|ERROR) tests/.*")
# How much of a failed stage's log is shown; the rest is in its file.
TAIL = 120
# How much of a line that tells of a test is shown.
LINE = 160
# How a stage runs that leaves the processors to others: nice(1), and sched(7) about autogroups, of which each session is one.
LOWEST = 19
# Lanes run beside each other, the stages of each one after the other. What is about time (report, routes, live) waits for
# most of it, which is enough for the checks, as these give way to it; the faults take all that there is, and come after it.
LANES = ("services", "checks", "hosts")


@dataclass(frozen=True)
class Stage:
    """A part of the tests: what it is, what it needs made before, and its command.

    `lane`: one of LANES.
    `gives_way`: a processor is all that it needs, and what others leave of one is enough.
    """

    name: str
    about: str
    needs: tuple[Callable[[], object], ...]
    command: Callable[[], list[str]]
    lane: str
    present: Callable[[], bool] = lambda: True
    gives_way: bool = False


def prepare() -> None:
    """Make everything that hosts need: engine, mirror, images, network."""
    engine.ensure()
    mirror.ensure()
    images.ensure()
    hosts.gateway()


def environment() -> dict[str, str]:
    """The environment of all tools: .venv first, the mirror, the collection as the clone resolves it.

    Python keeps the bytecode that it compiles, which many CI jobs tell it not to: the tests start Ansible some thousand times, and
    to compile it anew would take as long as all else that such a start does.
    """
    added = {
        "PATH": f"{venv.FOLDER / 'bin'}:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(venv.FOLDER),
        "PYTHONPATH": str(ROOT / "tests"),
        "PYTHONUNBUFFERED": "1",
        "VIGIL_LAB_MIRROR": str(mirror.path()),
        "ANSIBLE_NOCOLOR": "1",
        "NO_COLOR": "1",
    }
    return {**{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}, **added}


def _pytest(*paths: str, workers: int = 0) -> list[str]:
    argv = [venv.tool("python"), "-m", "pytest", "--color=no", "--durations=10"]
    return [*argv, *(["-n", str(workers), "--dist", "loadgroup"] if workers else []), *paths]


def _lint() -> list[str]:
    ruff, ansible_lint = venv.tool("ruff"), venv.tool("ansible-lint")
    found = f"ANSIBLE_COLLECTIONS_PATH={ROOT / 'collections'}"
    return [
        "sh",
        "-ec",
        f"{ruff} check . && {ruff} format --check . && {found} {ansible_lint} --offline --strict --nocolor",
    ]


def _has(*names: str) -> Callable[[], bool]:
    return lambda: any((ROOT / name).exists() for name in names)


STAGES = (
    Stage(
        "unit",
        "the pure functions and modules",
        (),
        lambda: _pytest("tests/unit", workers=2),
        "checks",
        _has("tests/unit"),
        gives_way=True,
    ),
    Stage("lint", "ruff, ansible-lint with the profile production", (), _lint, "checks", gives_way=True),
    Stage("sanity", "ansible-test sanity on a laid-out copy", (), sanity.command, "checks", gives_way=True),
    Stage(
        "packaging",
        "a plain clone resolves, the built collection installs",
        (),
        lambda: _pytest("tests/packaging"),
        "checks",
        _has("tests/packaging"),
        gives_way=True,
    ),
    Stage(
        "rules",
        "every alert: when it fires, when not, and at its border, by promtool",
        (mirror.ensure,),
        lambda: _pytest("tests/rules", workers=2),
        "checks",
        _has("tests/rules"),
        gives_way=True,
    ),
    Stage(
        "report",
        "the report of a real Prometheus with a made-up week",
        (mirror.ensure,),
        lambda: _pytest("tests/report"),
        "services",
        _has("tests/report"),
    ),
    Stage(
        "routes",
        "where alerts go: amtool, and a real Alertmanager with scaled waits",
        (prepare,),
        lambda: _pytest("tests/routes", workers=2),
        "services",
        _has("tests/routes"),
    ),
    Stage(
        "readme",
        "what README says to type, word for word in a clean clone, the demo included",
        (prepare,),
        lambda: _pytest("tests/readme"),
        "services",
        _has("tests/readme"),
    ),
    Stage(
        "live",
        "an application in trouble, under load: alerts fire, arrive and resolve; what dashboards ask for is there",
        (prepare,),
        # One session, so that they share the stack.
        lambda: [*_pytest("tests/live", "tests/browser"), "-v"],
        "hosts",
        _has("tests/live"),
    ),
    Stage(
        "molecule",
        "real hosts, Debian 12 and 13, as systemd services, as containers, and closed by monitoring_tls",
        (prepare,),
        lambda: [venv.tool("molecule"), "test", "--all"],
        "checks",
        _has("molecule"),
    ),
    Stage(
        "faults",
        "what may go wrong, on real hosts",
        (prepare,),
        # Three, as each waits half of its time for services to come up. A line for every test shows that they go on.
        lambda: [*_pytest("tests/faults", workers=3), "-v"],
        "hosts",
        _has("tests/faults"),
    ),
)


def test(names: list[str]) -> int:
    """Run the stages of these names, or all; returns 0 when none failed, else 1."""
    unknown = set(names) - {stage.name for stage in STAGES}
    if unknown:
        raise LabError(
            f"no stage is called {', '.join(sorted(unknown))}; there are {', '.join(s.name for s in STAGES)}"
        )
    if minutes := os.environ.get("VIGIL_TEST_MINUTES"):
        os.environ["VIGIL_TEST_END"] = str(time.time() + 60 * _minutes(minutes))
    venv.ensure()
    LOGS.mkdir(parents=True, exist_ok=True)
    wanted = [stage for stage in STAGES if stage.name in names or not names]
    for stage in wanted:
        if not stage.present():
            say(f"{stage.name}: nothing of it is here, left out")
    results = _run_all([stage for stage in wanted if stage.present()])
    say("")
    for name, code, seconds, lines in results:
        say(f"{'green' if code == 0 else 'RED  '} {name:10} {seconds:5.0f} s  {lines[-1] if lines else ''}")
        for failure in failures(LOGS / f"{name}.log") if code else ():
            say(f"      {failure[:LINE]}")
    # pytest's closing lines, on the standard output, for whoever counts tests.
    for _name, _code, _seconds, lines in results:
        for line in lines:
            print(f"===== {line} =====", flush=True)
    return 1 if any(code for _name, code, _seconds, _lines in results) else 0


def failures(log: Path) -> list[str]:
    """The lines of a log that name a test that failed."""
    return FAILURE.findall(log.read_text(encoding="utf-8", errors="replace")) if log.exists() else []


def _minutes(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise LabError(f"VIGIL_TEST_MINUTES is a number of minutes such as 60, not '{text}'") from None


def one(arguments: list[str]) -> int:
    """Run some tests in the foreground, by arguments of pytest; returns its exit status."""
    venv.ensure()
    if not all(word.startswith("tests/unit") for word in arguments if word.startswith("tests/")):
        prepare()
    return subprocess.call(_pytest(*arguments), cwd=ROOT, env=environment())


def test_core(version: str) -> int:
    """Deploy with another ansible-core, such as 2.21, 2.21.5 or 2.22.0rc1; returns pytest's exit status."""
    if not re.fullmatch(r"2\.\d+(\.\d+((b|rc)\d+)?)?", version):
        raise LabError(f"CORE is a version of ansible-core such as 2.21, 2.21.5 or 2.22.0rc1, not '{version}'")
    venv.ensure()
    if venv.core(version) is None:
        raise LabError(
            f"ansible-core {version} needs one of Python {', '.join(venv.pythons(version))}, and none is here"
        )
    prepare()
    argv = _pytest("tests/faults/test_cores.py", "-k", "chosen")
    return subprocess.call(argv, cwd=ROOT, env={**environment(), "VIGIL_CORE": version})


def bench(arguments: list[str]) -> int:
    """Run the benchmark in the foreground, with arguments of its own; returns its exit status."""
    script = ROOT / "tests" / "bench" / "run.py"
    if not script.exists():
        raise LabError(f"there is no benchmark here: {script.relative_to(ROOT)} is missing")
    venv.ensure()
    prepare()
    return subprocess.call([venv.tool("python"), str(script), *arguments], cwd=ROOT, env=environment())


def _run_all(wanted: list[Stage]) -> list[tuple[str, int, float, list[str]]]:
    """Run stages, lane beside lane; returns name, exit status, seconds and closing lines in their order."""
    done = {}
    with concurrent.futures.ThreadPoolExecutor(len(LANES)) as pool:
        lanes = [[stage for stage in wanted if stage.lane == lane] for lane in LANES]
        futures = [pool.submit(lambda lane: {stage.name: _run(stage) for stage in lane}, lane) for lane in lanes]
        try:
            for future in futures:
                done.update(future.result())
        except BaseException:
            _interrupted.set()
            for child in list(_children):
                _end(child)
            raise
    return [(stage.name, *done[stage.name]) for stage in wanted]


def _run(stage: Stage) -> tuple[int, float, list[str]]:
    """Run one stage: its exit status, its seconds, and the closing lines of pytest in its output."""
    if _interrupted.is_set():
        return 1, 0.0, []
    log = LOGS / f"{stage.name}.log"
    say(f"---- {stage.name}: {stage.about} (log: {log.relative_to(ROOT)})")
    began = time.monotonic()
    lines: list[str] = []
    try:
        for need in stage.needs:
            need()
        # Its hosts have fixed names, so two runs at once would take them from each other.
        with locked(stage.name) if stage.name == "molecule" else contextlib.nullcontext():
            code = _stream(stage, log, lines)
    except LabError as error:
        say(str(error))
        code = 1
    else:
        if code:
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:]
            shown = "\n".join(f"    {line}" for line in tail)
            say(f"the end of {log.relative_to(ROOT)}:\n{shown}")
    seconds = time.monotonic() - began
    say(f"---- {stage.name}: {'green' if code == 0 else f'RED (exit status {code})'} after {seconds:.0f} s")
    return code, seconds, lines


# The commands that run, for an interruption to end them, after which no lane goes on.
_children: set[subprocess.Popen] = set()
_interrupted = threading.Event()


def _end(child: subprocess.Popen) -> None:
    """End a command with all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)


def _stream(stage: Stage, log: Path, closing: list[str]) -> int:
    """Run a stage into its log, showing the lines that tell its progress; collects pytest's closing lines."""
    with open(log, "w", encoding="utf-8") as sink:
        # A group of its own, so that an interrupted run takes its children with it.
        lowest = ["nice", "-n", str(LOWEST)] if stage.gives_way else []
        with subprocess.Popen(
            [*lowest, *stage.command()],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as child:
            _children.add(child)
            if stage.gives_way:
                with contextlib.suppress(OSError):  # a kernel without autogroups goes by nice alone
                    Path(f"/proc/{child.pid}/autogroup").write_text(f"{LOWEST}\n", encoding="ascii")
            try:
                for line in child.stdout:
                    sink.write(line)
                    sink.flush()
                    text = line.rstrip()
                    if match := SUMMARY.match(text):
                        closing.append(match[1])
                    elif PROGRESS.match(text):
                        print(f"     {stage.name}: {text[:LINE]}", file=sys.stderr, flush=True)
            except BaseException:
                _end(child)
                raise
            finally:
                _children.discard(child)
        return child.returncode
