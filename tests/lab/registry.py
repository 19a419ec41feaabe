"""A container registry on the lab's bridge, as a company has one: Debian's docker-registry with images of the lab's.

with registry.serve(containers.image("prometheus")) as served:
    served.name(image)      what a host pulls, such as 172.18.0.1:41234/prometheus/prometheus:v3.5.3
    served.requests()       what was asked of it
    served.stop()           and it is gone
"""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import hosts, mirror
from .common import LabError, cache_dir
from .containers import MANIFEST, Image
from .loopback import free_port

USER = "lab"
PASSWORD = "let-me-pull"
# The password as the registry wants it kept (bcrypt).
HTPASSWD = "lab:$2y$05$abcdefghijklmnopqrstuucCZeJdrAgCPNDV0D5WMVlxjAoEEY.vu\n"
START_TIMEOUT = 20


@dataclass
class Registry:
    """A registry that runs, or ran.

    :ivar address: its host and port.
    :ivar folder: its configuration, log and images.
    """

    address: str
    folder: Path
    process: subprocess.Popen | None = field(default=None, repr=False)

    def name(self, image: Image, by_digest: bool = False) -> str:
        """What to write to have this image pulled from here: by its tag, or pinned to its digest."""
        return f"{self.address}/{image.repository}" + (f"@{image.digest}" if by_digest else f":{image.tag}")

    def push(self, *images: Image) -> None:
        """Put images in."""
        for image in images:
            blobs = {layer.digest: layer.path.read_bytes() for layer in image.layers} | {image.id: image.config}
            for digest, data in blobs.items():
                if not self._has(f"{image.repository}/blobs/{digest}"):
                    place = self._ask("POST", f"{image.repository}/blobs/uploads/", b"").headers["Location"]
                    self._ask("PUT", f"{place}&digest={digest}", data, "application/octet-stream")
            self._ask("PUT", f"{image.repository}/manifests/{image.tag}", image.manifest, MANIFEST)

    def requests(self) -> list[str]:
        """What engines asked of the registry, such as "GET /v2/prometheus/prometheus/manifests/v3.5.3"."""
        entries = (json.loads(line) for line in self._log().splitlines() if line.startswith("{"))
        return [
            f"{entry['http.request.method']} {entry['http.request.uri']}"
            for entry in entries
            if entry["msg"].startswith("response completed") and entry["http.request.useragent"].startswith("docker/")
        ]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [
                    str(mirror.ensure() / "extra" / "registry" / "docker-registry"),
                    "serve",
                    str(self.folder / "config.yml"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                self._ask("GET", "")
                return
            time.sleep(0.05)
        raise LabError(f"the registry does not answer; its last words:\n{self._log()[-2000:]}")

    def stop(self) -> None:
        """End it; what it holds stays for the next start."""
        if self.process:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def _log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def _has(self, path: str) -> bool:
        try:
            self._ask("HEAD", path)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            raise
        return True

    def _ask(self, method: str, path: str, data: bytes | None = None, kind: str = ""):
        url = path if path.startswith("http") else f"http://{self.address}/v2/{path}"
        request = urllib.request.Request(url, data=data, method=method)
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
        if kind:
            request.add_header("Content-Type", kind)
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
            return answer


@contextlib.contextmanager
def serve(*images: Image, login: bool = False, port: int = 0) -> Iterator[Registry]:
    """A registry of one's own that holds these images, for the length of a `with` block.

    With `login`, it answers to USER with PASSWORD only. Without a port, it gets one that is free.
    """
    address = hosts.gateway()
    with tempfile.TemporaryDirectory(prefix="registry.", dir=cache_dir()) as folder:
        made = Registry(f"{address}:{port or free_port(address)}", Path(folder))
        config = {
            "version": "0.1",
            "log": {"formatter": "json"},
            "storage": {"filesystem": {"rootdirectory": f"{folder}/images"}},
            "http": {"addr": made.address},
        }
        if login:
            (made.folder / "htpasswd").write_text(HTPASSWD, encoding="ascii")
            config["auth"] = {"htpasswd": {"realm": "lab", "path": f"{folder}/htpasswd"}}
        # YAML is a superset of JSON.
        (made.folder / "config.yml").write_text(json.dumps(config), encoding="ascii")
        made.start()
        try:
            made.push(*images)
            yield made
        finally:
            made.stop()
