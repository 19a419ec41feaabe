"""The dashboards over a synthetic fleet: a Prometheus with its history and a Grafana beside it, both on this machine, without a host.

python -m lab gallery 33 bad        pictures of all dashboards, in build/gallery
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import browser, dashboards, fleet, history, mirror
from .common import ROOT, LabError, cache_dir, run, step

FOLDER = ROOT / "build" / "gallery"
# What is seen on a wall, on a notebook and on a phone.
WIDTHS = {"desk": 1600, "notebook": 1280, "phone": 390}
SPAN = 3 * 3600


@dataclass(frozen=True)
class Gallery:
    """What runs.

    :ivar until: the newest sample, in seconds since the epoch.
    """

    prometheus: str
    grafana: str
    until: float

    def path(self, uid: str, theme: str = "light", span: int = SPAN, **variables: str) -> str:
        """The path of a dashboard that shows the time until the newest sample."""
        chosen = "".join(f"&var-{name}={value}" for name, value in variables.items())
        return f"/d/{uid}?from={int((self.until - span) * 1000)}&to={int(self.until * 1000)}&theme={theme}{chosen}"

    def series(self, expr: str, at: float | None = None) -> list[dict]:
        """The series of an instant query."""
        asked = urllib.parse.urlencode({"query": expr, "time": at or self.until})
        with urllib.request.urlopen(f"{self.prometheus}/api/v1/query?{asked}", timeout=60) as answer:
            return json.load(answer)["data"]["result"]


@contextlib.contextmanager
def gallery(
    hosts: fleet.Fleet, extra: str = "", seconds: int = SPAN, every: int = 60, shown: Path = dashboards.FOLDER
) -> Iterator[Gallery]:
    """A Prometheus and a Grafana with all dashboards, for the length of a `with` block.

    :param extra: more lines of OpenMetrics.
    :param seconds: length of the history.
    :param every: seconds between two samples.
    :param shown: the folder of the dashboards.
    """
    until = time.time() // 60 * 60
    with tempfile.TemporaryDirectory(prefix="vigil-gallery-") as name, contextlib.ExitStack() as running:
        folder = Path(name)
        release = mirror.unpack("prometheus", "new", folder, "prometheus", "promtool")
        written = folder / "history.om"
        with step(f"writing the history of {hosts.hosts} hosts"), open(written, "w", encoding="utf-8") as handle:
            handle.writelines(history.lines(hosts, until, seconds, every, extra))
            handle.flush()
            run(
                [
                    str(release / "promtool"),
                    "tsdb",
                    "create-blocks-from",
                    "openmetrics",
                    str(written),
                    str(folder / "data"),
                ]
            )
        written.unlink()
        (folder / "prometheus.yml").write_text("{}\n", encoding="ascii")
        first, second = _ports()
        prometheus, grafana = f"http://127.0.0.1:{first}", f"http://127.0.0.1:{second}"
        argv = [
            str(release / "prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=10y",
            f"--web.listen-address=127.0.0.1:{first}",
        ]
        running.enter_context(_running(argv, f"{prometheus}/-/ready", folder / "prometheus.log"))
        running.enter_context(_grafana(folder, prometheus, second, every, shown))
        yield Gallery(prometheus, grafana, until)


def _grafana(folder: Path, prometheus: str, port: int, every: int, shown: Path):
    """A Grafana that lets everybody look."""
    versions = mirror.grafana()
    if not versions:
        raise LabError(mirror.without_grafana())
    archive = next((cache_dir() / "grafana").glob(f"grafana-{versions[-1]}.*.tar.gz"))
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    home = next(path for path in folder.glob("grafana-*") if path.is_dir())
    provisioning = folder / "provisioning"
    source = {"name": "Prometheus", "uid": "prometheus", "type": "prometheus", "url": prometheus, "isDefault": True}
    source["jsonData"] = {"timeInterval": f"{every}s"}
    provider = {
        "name": "vigil",
        "type": "file",
        "options": {"path": str(shown), "foldersFromFilesStructure": True},
    }
    for kind, data in (("datasources", source), ("dashboards", provider)):
        (provisioning / kind).mkdir(parents=True)
        text = json.dumps({"apiVersion": 1, "providers" if kind == "dashboards" else kind: [data]})
        (provisioning / kind / "vigil.yml").write_text(text, encoding="utf-8")
    settings = {
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_PATHS_DATA": str(folder / "grafana"),
        "GF_PATHS_LOGS": str(folder / "grafana"),
        "GF_PATHS_PROVISIONING": str(provisioning),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    }
    argv = [str(home / "bin" / "grafana"), "server", f"--homepath={home}"]
    url = f"http://127.0.0.1:{port}/api/health"
    return _running(argv, url, folder / "grafana.log", {**os.environ, **settings})


def _ports() -> list[int]:
    """Two ports that are free."""
    with contextlib.ExitStack() as open_now:
        found = [open_now.enter_context(socket.socket()) for _ in range(2)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


@contextlib.contextmanager
def _running(argv: list[str], url: str, log: Path, environment: dict | None = None) -> Iterator[None]:
    """A program, from when its URL answers."""
    with open(log, "wb") as output, subprocess.Popen(argv, stdout=output, stderr=output, env=environment) as process:
        try:
            began = time.monotonic()
            while not _answers(url):
                if process.poll() is not None or time.monotonic() - began > 90:
                    raise LabError(f"{argv[0]} does not answer:\n{log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.2)
            yield
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def draw(hosts: fleet.Fleet, wanted: tuple[str, ...] = (), themes: tuple[str, ...] = ("light", "dark")) -> list[Path]:
    """Pictures of the dashboards at every width; their paths."""
    made = []
    night = "bad" if hosts.bad else "quiet"
    with gallery(hosts) as shown, browser.chromium() as chromium:
        page = browser.Page(chromium.new_page(), shown.grafana)
        for uid in wanted or dashboards.shown():
            for theme in themes:
                page.open(shown.path(uid, theme), WIDTHS["desk"])
                for screen, width in WIDTHS.items():
                    page.resize(width)
                    made.append(FOLDER / f"{uid}-{hosts.hosts}-{night}-{screen}-{theme}.png")
                    page.picture(made[-1])
    return made


if __name__ == "__main__":
    for drawn in draw(fleet.Fleet(int(sys.argv[1]), sys.argv[2] == "bad"), tuple(sys.argv[3:])):
        print(drawn)
