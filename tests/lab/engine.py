"""A Docker engine: the one that runs, else one that we install and start."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from .common import LABEL, STATE, LabError, apt_install, as_root, locked, run, say, step

RECORD = STATE / "engine.json"
LOG = STATE / "dockerd.log"
SOCKET = Path("/var/run/docker.sock")
START_TIMEOUT = 60


def ensure() -> None:
    """Return when a Docker engine answers; install and start one where none does.

    Raises LabError where none can be had.
    """
    if answers():
        return
    with locked("engine"):
        if not answers():
            _start()


def answers() -> bool:
    """Whether the `docker` command reaches an engine."""
    return bool(shutil.which("docker")) and run(["docker", "info"], check=False).returncode == 0


def stop() -> None:
    """End the engine if this clone started it and nobody else's containers run on it."""
    record = _record()
    pid = record.get("pid")
    if not pid:
        return
    if answers():
        others = run(["docker", "ps", "-q"]).stdout.split()
        if others:
            say(f"the Docker engine stays up: {len(others)} other containers run on it")
            return
    RECORD.unlink()
    if _command(pid) != "dockerd":
        return
    with step("stopping the Docker engine that we started"):
        # By its id, never by name: another dockerd may be somebody else's.
        run(as_root(["kill", f"-{signal.SIGTERM.value}", str(pid)]), check=False)
        deadline = time.monotonic() + 30
        while _command(pid) == "dockerd" and time.monotonic() < deadline:
            time.sleep(0.2)


def _start() -> None:
    if os.environ.get("DOCKER_HOST"):
        raise LabError(
            f"the Docker engine of DOCKER_HOST={os.environ['DOCKER_HOST']} does not answer: start it, or unset that"
        )
    if SOCKET.exists() and os.geteuid() != 0 and not os.access(SOCKET, os.W_OK) and not _record():
        raise LabError(
            f"{SOCKET} may not be used by this user: run `sudo usermod -aG docker $USER`, log in again, and start over"
        )
    if not shutil.which("dockerd") or not shutil.which("iptables", path="/usr/sbin:/sbin:" + os.environ["PATH"]):
        apt_install(["docker.io", "iptables"], "the lab needs a Docker engine and none answers")
    with step("starting a Docker engine"):
        if Path("/run/systemd/system").is_dir():
            run(as_root(["systemctl", "start", "docker"]))
            _write({"service": True})
            _let_user_in()
        else:
            _write({"pid": _spawn()})
        _wait()


def _spawn() -> int:
    """Start dockerd in a session of its own, so that it outlives this process and its terminal; return its pid."""
    STATE.mkdir(exist_ok=True)
    for path in ("/var/run/docker.pid", "/run/docker/containerd/containerd.pid"):
        _drop_stale(Path(path))
    # The group lets the user who called sudo use the engine without being root.
    argv = as_root(["dockerd", "--group", str(os.getegid())])
    environment = dict(os.environ, PATH="/usr/sbin:/sbin:" + os.environ["PATH"])
    with open(LOG, "w", encoding="utf-8") as log:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd="/", start_new_session=True
        )
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        # Under sudo the child is sudo itself: the pid file names the engine.
        pid = _number(Path("/var/run/docker.pid"))
        if pid and _command(pid) == "dockerd":
            return pid
        if child.poll() is not None:
            break
        time.sleep(0.1)
    raise LabError(f"dockerd ended at once; its last words ({LOG}):\n{_tail()}")


def _wait() -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not answers():
        pid = _record().get("pid")
        if time.monotonic() > deadline or (pid and _command(pid) != "dockerd"):
            raise LabError(f"the Docker engine does not answer; its last words:\n{_tail()}")
        time.sleep(0.3)


def _let_user_in() -> None:
    """Open the socket of an engine that we have just installed to this user; nobody else's is touched."""
    if os.geteuid() != 0 and not os.access(SOCKET, os.W_OK):
        run(as_root(["chgrp", str(os.getegid()), str(SOCKET)]))


def _drop_stale(path: Path) -> None:
    """Remove a pid file whose process is gone or, as numbers are given out anew, is another program."""
    pid = _number(path)
    if pid is not None and _command(pid) not in ("dockerd", "containerd"):
        run(as_root(["rm", "-f", str(path)]))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _command(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _record() -> dict:
    try:
        return json.loads(RECORD.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _write(record: dict) -> None:
    STATE.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(record) + "\n", encoding="utf-8")


def _tail() -> str:
    try:
        return "\n".join(LOG.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
    except OSError:
        return run(as_root(["journalctl", "-u", "docker", "-n", "15", "--no-pager"]), check=False).stdout


def ours(kind: str) -> list[str]:
    """The names of all containers or networks (`kind`: container, network) that carry the lab's label."""
    options = ["-a"] if kind == "container" else []
    form = "{{.Names}}" if kind == "container" else "{{.Name}}"
    return run(["docker", kind, "ls", *options, "--filter", f"label={LABEL}", "--format", form]).stdout.split()
