# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small world for the tests of ``release``: archives of a program that only knows its version, and a web server."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import tarfile
import threading

SCRIPT = "#!/bin/sh\necho 'fake, version {version}+ds1 (branch: none)'\n"


def make_archive(path, version, members=None, reports=None):
    """Write ``fake-VERSION.linux-amd64.tar.gz``; returns its SHA-256.

    :param members: further ``tarfile.TarInfo`` or (name, bytes).
    :param reports: the version that the program reports, if another.
    """
    top = f"fake-{version}.linux-amd64"
    files = [(f"{top}/fake", SCRIPT.format(version=reports or version).encode()), (f"{top}/docs/README", b"read me\n")]
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for member in files + list(members or ()):
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size, info.mode, info.mtime, info.uid = len(member[1]), 0o600, 1700000000, 1234
                tar.addfile(info, io.BytesIO(member[1]))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_mirror(root, version, **kwargs):
    """A mirror directory with one release; returns the path of the archive and its SHA-256."""
    folder = root / "fake" / f"v{version}"
    archive = folder / f"fake-{version}.linux-amd64.tar.gz"
    digest = make_archive(archive, version, **kwargs)
    (folder / "sha256sums.txt").write_text(f"{digest}  {archive.name}\n")
    return archive, digest


@contextlib.contextmanager
def server(answer):
    """A web server on the loopback address.

    :param answer: called with the request handler for each GET; it writes the whole answer. A HEAD gets the head of it, and
        is not counted.
    :yields: its URL, and the list of (path, headers) that were asked for.
    """
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.wfile, body = io.BytesIO(), self.wfile
            answer(self)
            body.write(self.wfile.getvalue().partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            self.wfile = body

        def do_GET(self):
            seen.append((self.path, dict(self.headers)))
            answer(self)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}", seen
        finally:
            running.shutdown()
            thread.join()


def send(handler, status, body=b"", promised=None, **headers):
    """Answer a request, optionally promising more bytes than are sent."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body) if promised is None else promised))
    handler.end_headers()
    handler.wfile.write(body)
