# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads that go wrong, and the controller's cache."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import multiprocessing
import os
import socket
import time
from urllib.error import HTTPError

import pytest
from ansible_collections.vigil.monitoring.plugins.action.grafana_plugins import _Plugin
from ansible_collections.vigil.monitoring.plugins.lookup.grafana_dashboards import LookupModule
from ansible_collections.vigil.monitoring.plugins.module_utils import _download, _host
from ansible_collections.vigil.monitoring.plugins.module_utils._download import Download, Source, entry_advice
from ansible_collections.vigil.monitoring.plugins.module_utils._release import ReleaseError
from ansible_collections.vigil.monitoring.plugins.plugin_utils._cache import Cache
from release_world import make_mirror, send, server

BODY = b"an archive" * 1000
DIGEST = hashlib.sha256(BODY).hexdigest()
NAME = "fake-1.0.0.linux-amd64.tar.gz"
SECRET = {"Authorization": "Bearer SENTINEL"}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(_download, "PAUSES", (0, 0))


def source(url, **kwargs):
    return Source(role="fake", url=f"{url}/{NAME}", checksums_url=f"{url}/sha256sums.txt", **kwargs)


def download(wanted, expected=DIGEST):
    stream = io.BytesIO()
    wanted.download(stream, expected)
    return stream.getvalue()


def test_archive_and_checksum():
    def answer(handler):
        send(handler, 200, BODY if handler.path.endswith("gz") else f"{DIGEST}  {NAME}\n".encode())

    with server(answer) as (url, _dummy):
        wanted = source(url)
        assert wanted.expected_digest() == DIGEST
        assert download(wanted) == BODY


def test_a_given_checksum_needs_no_sums_file():
    assert Source(role="fake", url="https://nowhere.invalid/x", digest=DIGEST).expected_digest() == DIGEST


def test_no_checksum_at_all_is_refused():
    with pytest.raises(ReleaseError, match="fake_checksum or fake_checksums_url"):
        Source(role="fake", url="https://nowhere.invalid/x").expected_digest()


@pytest.mark.parametrize(
    "status, attempts, words",
    [
        (404, 1, "answers 404 Not Found.*fake_version.*monitoring_release_mirror"),
        (403, 1, "answers 403 Forbidden.*monitoring_release_headers"),
        (503, 3, "answers 503 Service Unavailable"),
        (500, 3, "answers 500"),
    ],
)
def test_refusals(status, attempts, words):
    with server(lambda handler: send(handler, status)) as (url, seen):
        with pytest.raises(ReleaseError, match=words) as refused:
            download(source(url, headers=SECRET))
        assert url in str(refused.value) and "SENTINEL" not in str(refused.value)
        assert len(seen) == attempts


def test_an_error_that_passes_is_forgotten():
    answers = iter([(502, b""), (200, BODY)])
    with server(lambda handler: send(handler, *next(answers))) as (url, _dummy):
        assert download(source(url)) == BODY


def test_truncated_download():
    with server(lambda handler: send(handler, 200, BODY[:500], promised=len(BODY))) as (url, seen):
        with pytest.raises(ReleaseError, match=f"ended after 500 of {len(BODY)} bytes"):
            download(source(url))
        assert len(seen) == 3


def test_wrong_checksum_is_not_tried_again():
    with server(lambda handler: send(handler, 200, BODY[:-1])) as (url, seen):
        with pytest.raises(ReleaseError, match=f"wrong checksum: .*expected is {DIGEST}.*fake_checksum"):
            download(source(url))
        assert len(seen) == 1


def test_truncated_archive_on_the_mirror(tmp_path):
    whole = gzip.compress(os.urandom(5000))
    with server(lambda handler: send(handler, 200, whole[:3000])) as (url, seen):
        with pytest.raises(ReleaseError, match=f"truncated archive: {url}/{NAME} ends after 3000 bytes"):
            download(source(url))
        # As the host opens its own: a file that must not be there yet.
        with open(tmp_path / "new", "x+b") as stream, pytest.raises(ReleaseError, match="truncated archive"):
            source(url).download(stream, DIGEST)
        assert len(seen) == 2
    (tmp_path / NAME).write_bytes(whole[:3000])
    with pytest.raises(ReleaseError, match=f"truncated archive: {tmp_path}/{NAME} ends after 3000 bytes"):
        source(tmp_path).verify_local(DIGEST)


def test_nobody_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ReleaseError, match=r"cannot reach .*refused.*monitoring_release_mirror"):
            download(source(f"http://127.0.0.1:{taken.getsockname()[1]}"))


def test_a_mirror_that_hangs(monkeypatch):
    monkeypatch.setattr(_download, "TIMEOUT", 0.2)
    monkeypatch.setattr(_download, "PAUSES", ())
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(ReleaseError, match="timed out"):
            download(source(f"http://127.0.0.1:{silent.getsockname()[1]}"))


def test_a_server_that_trickles(monkeypatch):
    """One byte now and then is no time-out of the socket's, and no download either."""
    monkeypatch.setattr(_download, "PAUSES", ())
    monkeypatch.setattr(_download, "STALL_SECONDS", 0.3)

    def answer(handler):
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _dummy in range(100):
                handler.wfile.write(b"x")
                time.sleep(0.05)

    began = time.monotonic()
    with (
        server(answer) as (url, _seen),
        pytest.raises(ReleaseError, match=r"not be read to its end: no more than \d+ bytes came in"),
    ):
        download(source(url))
    assert time.monotonic() - began < 8


@pytest.mark.parametrize("promised", [True, False])
def test_more_than_anything_that_is_meant(monkeypatch, promised):
    def answer(handler):
        handler.send_response(200)
        if promised:
            handler.send_header("Content-Length", str(9 << 20))
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _dummy in range(9):
                handler.wfile.write(bytes(1 << 20))

    stream = io.BytesIO()
    with server(answer) as (url, seen):
        wanted = Download(f"{url}/x", entry_advice("grafana_dashboards[0]"), limit=2 << 20)
        with pytest.raises(ReleaseError, match=r"/x has more than 2 MiB.*Check grafana_dashboards\[0\]"):
            wanted.into(stream)
        assert len(seen) == 1
        if promised:
            with pytest.raises(ReleaseError, match="has more than 2 MiB"):
                wanted.size()
    assert len(stream.getvalue()) <= 2 << 20


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x"])
def test_a_redirect_out_of_the_web(target):
    with (
        server(lambda handler: send(handler, 302, Location=target)) as (url, _dummy),
        pytest.raises(ReleaseError, match=r"redirects from http to .*which is not secure"),
    ):
        download(source(url))


def test_a_redirect_from_https_to_http(monkeypatch):
    def moved(url, **_options):
        raise HTTPError(url.replace("https:", "http:"), 302, "Found", {}, None)

    monkeypatch.setattr(_download, "open_url", moved)
    with pytest.raises(ReleaseError, match=r"redirects from https to http://mirror.invalid/x, which is not secure"):
        Download("https://mirror.invalid/x", entry_advice("x")).size()


@pytest.mark.parametrize("refuses", [True, False])
def test_a_look_downloads_nothing(refuses):
    def answer(handler):
        if refuses and handler.command == "HEAD":
            return send(handler, 405)
        return send(handler, 200, BODY if handler.path.endswith("gz") else f"{DIGEST}  {NAME}\n".encode())

    with server(answer) as (url, seen):
        assert source(url).inspect() == len(BODY)
    assert [path for path, dummy in seen] == ["/sha256sums.txt"] + [f"/{NAME}"] * refuses


def test_a_look_finds_what_a_download_would():
    with (
        server(lambda handler: send(handler, 200, f"{DIGEST}  other.tar.gz".encode())) as (url, _dummy),
        pytest.raises(ReleaseError, match=r"sha256sums.txt has no line for it"),
    ):
        source(url).inspect()
    with (
        server(lambda handler: send(handler, 404)) as (url, _dummy),
        pytest.raises(ReleaseError, match=r"answers 404.*fake_version"),
    ):
        source(url, digest=DIGEST).inspect()


def test_a_mirror_that_serves_another_build_with_sums_of_its_own():
    """What upstream published is known: it is not for the mirror to say."""

    def answer(handler):
        send(handler, 200, BODY if handler.path.endswith("gz") else f"{DIGEST}  {NAME}\n".encode())

    with server(answer) as (url, _dummy):
        known = source(url, known="0" * 64)
        for attempt in (lambda: download(known, known.expected_digest()), known.inspect):
            with pytest.raises(ReleaseError, match=f"not the build that upstream published.*{DIGEST}.*fake_checksum"):
                attempt()
        assert download(source(url, known="0" * 64, digest=DIGEST)) == BODY
        assert download(source(url, known=DIGEST)) == BODY
        assert source(url, known=DIGEST).inspect() == len(BODY)


@pytest.mark.parametrize(
    "url, options, doubted",
    [
        ("http://mirror", {}, True),
        ("https://mirror", {}, False),
        ("/srv/mirror", {}, False),
        ("http://mirror", {"digest": DIGEST}, False),
        ("http://mirror", {"known": DIGEST}, False),
    ],
)
def test_who_vouches(url, options, doubted):
    assert bool(source(url, **options).doubt()) is doubted


def test_a_known_build_and_one_that_is_given():
    options = {"program": "fake", "url": "http://x/{arch}", "known_checksums": {"amd64": DIGEST}}
    assert Source.from_options(options, "amd64").expected_digest() == DIGEST
    assert Source.from_options(options, "arm64").known is None
    given = Source.from_options({**options, "checksum": "1" * 64}, "amd64")
    assert given.expected_digest() == "1" * 64


def test_headers_are_for_those_servers_that_they_are_meant_for():
    with server(lambda handler: send(handler, 200, BODY)) as (storage, seen_there):
        Download(f"{storage}/x", entry_advice("x"), SECRET, ["https://mirror.invalid"]).into(io.BytesIO())
        with server(lambda handler: send(handler, 302, Location=f"{storage}/x")) as (mirror, seen_here):
            Download(f"{mirror}/x", entry_advice("x"), SECRET, [mirror]).into(io.BytesIO())
            Download(f"{mirror}/x", entry_advice("x"), SECRET, []).size()
    assert [headers.get("Authorization") for dummy, headers in seen_here] == ["Bearer SENTINEL"]
    assert [headers.get("Authorization") for dummy, headers in seen_there] == [None, None]


def test_secret_headers_follow_a_redirect_to_the_same_server_only():
    with server(lambda handler: send(handler, 200, BODY)) as (storage, seen_there):

        def answer(handler):
            send(handler, 302, Location="/moved" if handler.path != "/moved" else f"{storage}/archive")

        with server(answer) as (mirror, seen_here):
            assert download(source(mirror, headers=SECRET)) == BODY
    assert [headers.get("Authorization") for dummy, headers in seen_here] == ["Bearer SENTINEL"] * 2
    assert [headers.get("Authorization") for dummy, headers in seen_there] == [None]


def test_secret_headers_are_not_for_another_server_with_the_sums():
    with server(lambda handler: send(handler, 200, f"{DIGEST}  {NAME}".encode())) as (url, seen):
        wanted = Source(
            role="fake", url=f"https://elsewhere.invalid/{NAME}", checksums_url=f"{url}/sums", headers=SECRET
        )
        assert wanted.expected_digest() == DIGEST
        assert "Authorization" not in seen[0][1]


def test_redirects_in_a_circle():
    with (
        server(lambda handler: send(handler, 301, Location="/again")) as (url, _dummy),
        pytest.raises(ReleaseError, match="redirects in a loop"),
    ):
        download(source(url))


def test_secrets_are_not_in_the_representation():
    assert "SENTINEL" not in repr(source("http://x", headers=SECRET))


def test_mirror_on_the_controller(tmp_path):
    archive, digest = make_mirror(tmp_path, "1.0.0")
    wanted = Source(role="fake", url=f"file://{archive}", checksums_url=str(archive.parent / "sha256sums.txt"))
    assert wanted.expected_digest() == digest
    assert wanted.verify_local(digest) == str(archive)
    archive.write_bytes(b"damaged")
    with pytest.raises(ReleaseError, match="wrong checksum"):
        wanted.verify_local(digest)
    archive.unlink()
    with pytest.raises(ReleaseError, match=r"No such file.*monitoring_release_mirror"):
        wanted.verify_local(digest)


def test_cache_downloads_once_and_is_private(tmp_path):
    cache, calls = Cache(tmp_path / "cache"), []

    def bring(stream):
        calls.append(1)
        stream.write(BODY)

    path = cache.obtain(DIGEST, bring)
    assert cache.obtain(DIGEST, bring) == path and len(calls) == 1
    assert os.stat(tmp_path / "cache").st_mode & 0o777 == 0o700
    with open(path, "rb") as stream:
        assert stream.read() == BODY


def test_cache_replaces_what_is_damaged(tmp_path):
    cache = Cache(tmp_path)
    path = cache.obtain(DIGEST, lambda stream: stream.write(BODY))
    with open(path, "ab") as stream:
        stream.write(b"!")
    cache.obtain(DIGEST, lambda stream: stream.write(BODY))
    assert _host.file_digest(path) == DIGEST


def test_what_nothing_vouches_for_is_asked_for_again(tmp_path, monkeypatch):
    answers = [BODY, BODY, b"another", None]
    with server(lambda handler: send(handler, 200 if answers[0] else 404, answers[0] or b"")) as (url, seen):
        cache, wanted = Cache(tmp_path), Download(f"{url}/x", entry_advice("grafana_dashboards[0]"))

        def request():
            kept = cache.of_address(wanted)
            with open(kept.path, "rb") as stream:
                return stream.read(), kept.doubts

        def a_day_later():
            answers.pop(0)
            for path in tmp_path.glob("at-*"):
                os.utime(path, (time.time() - 90_000,) * 2)

        content, doubts = request()
        assert content == BODY and len(doubts) == 1 and "plain http" in doubts[0]
        assert request() == (BODY, [])
        assert len(seen) == 1
        a_day_later()
        assert request()[0] == BODY
        assert len(seen) == 2
        a_day_later()
        content, doubts = request()
        assert content == b"another" and "differs from the previous download" in doubts[-1]
        a_day_later()
        content, (doubt,) = request()
        assert content == b"another" and "answers 404" in doubt and "previous download is used" in doubt
        # What is damaged counts for nothing.
        with open(cache.of_address(wanted).path, "ab") as stream:
            stream.write(b"!")
        with pytest.raises(ReleaseError, match="answers 404"):
            request()
    assert not list(tmp_path.glob("*.part-*"))


def of_plugin(url, checksum, cache):
    plugin = {"id": "a", "version": "1", "url": f"{url}/x", "checksum": checksum}
    return _Plugin(plugin, {}, [], cache, []).obtain()


def of_dashboard(url, checksum, cache):
    lookup = LookupModule()
    lookup.get_option = {"cache_dir": str(cache)}.get
    return lookup._download(f"{url}/x", "grafana_dashboards[0]", checksum, [])


@pytest.mark.parametrize("obtain", [of_plugin, of_dashboard])
def test_an_entry_with_a_checksum_is_nothing_else(tmp_path, obtain):
    with server(lambda handler: send(handler, 200, BODY)) as (url, _seen):
        with open(obtain(url, DIGEST, tmp_path), "rb") as stream:
            assert stream.read() == BODY
        with pytest.raises(ReleaseError, match=f"wrong checksum: .*{DIGEST}.*grafana_(plugins|dashboards)"):
            obtain(url, "0" * 64, tmp_path)
    assert DIGEST in os.listdir(tmp_path) and "0" * 64 not in os.listdir(tmp_path)


def test_a_bad_download_leaves_nothing(tmp_path):
    def fail(stream):
        stream.write(b"half")
        raise ReleaseError("no")

    (tmp_path / f"{DIGEST}.part-of-a-killed-run").write_bytes(b"half")
    with pytest.raises(ReleaseError):
        Cache(tmp_path).obtain(DIGEST, fail)
    assert os.listdir(tmp_path) == [f"{DIGEST}.lock"]
    assert Cache(tmp_path).obtain(DIGEST, lambda stream: stream.write(BODY))


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ReleaseError, match="monitoring_release_cache"):
        Cache(tmp_path / "file" / "cache").obtain(DIGEST, None)


def _obtain(directory, url, results):
    wanted = source(url)
    results.put(Cache(directory).obtain(DIGEST, lambda stream: wanted.download(stream, DIGEST)))


def test_twenty_processes_download_once(tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    with server(lambda handler: send(handler, 200, BODY)) as (url, seen):
        processes = [context.Process(target=_obtain, args=(tmp_path, url, results)) for dummy in range(20)]
        for process in processes:
            process.start()
        paths = {results.get(timeout=30) for dummy in processes}
        for process in processes:
            process.join()
    assert paths == {str(tmp_path / DIGEST)}
    assert len(seen) == 1
