"""Running commands and knowing what they cost."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path

from lab.common import ROOT, LabError, run


@dataclass(frozen=True)
class Cost:
    """What one run took.

    :ivar seconds: from its start to its end.
    :ivar cpu: processor seconds of the command and its children on this machine; what hosts spend is not among them.
    :ivar load: the load average of the last minute when it began.
    """

    seconds: float
    cpu: float
    load: float = 0.0


def timed(argv: list[str], environment: dict[str, str], cwd: Path = ROOT) -> tuple[Cost, str]:
    """Run a command to its end; returns its cost and its output. LabError with its output when it fails."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        load, began = os.getloadavg()[0], time.monotonic()
        # wait4 is asked, and not the sum of all children, so that what runs beside it is not counted.
        child = subprocess.Popen(
            argv, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        dummy, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if child.returncode:
        raise LabError(f"`{' '.join(argv)}` ended with {child.returncode}:\n{text[-6000:]}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, load), text


def median(costs: list[Cost]) -> Cost:
    """The medians of several runs' costs."""
    return Cost(*map(statistics.median, zip(*map(astuple, costs))))


def write_json(path: Path, data: object) -> Path:
    """Write data, for an inventory or a playbook, which YAML can be read from JSON; returns the path."""
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def machine() -> dict[str, str]:
    """The machine and the versions that the figures belong to."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    models = re.findall(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(encoding="utf-8"), re.MULTILINE)
    versions = run(["ansible-playbook", "--version"]).stdout
    core = re.search(r"core ([^\]]+)\]", versions)
    return {
        "processor": f"{models[0] if models else platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{int(memory[1]) / 2**20:.0f} GiB",
        "kernel": platform.release(),
        "load average": f"{os.getloadavg()[2]:.1f}",
        "python": platform.python_version(),
        "ansible-core": core[1] if core else "unknown",
        "docker": run(["docker", "version", "--format", "{{.Server.Version}}"]).stdout.strip(),
    }
