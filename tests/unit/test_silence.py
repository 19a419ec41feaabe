# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Silences, on an Alertmanager that only keeps a list; the real one is asked in tests/routes."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _alertmanager_api, _client, _silence
from ansible_collections.vigil.monitoring.plugins.modules import silence

NOW = 1_800_000_000.0
GIVEN = {"author": "me", "comment": "why", "duration": "1h", "tolerance": "1m", "id": None}
MATCHERS = _silence.parse_all(['service="api"'])


@pytest.mark.parametrize(
    ("text", "matcher"),
    [
        ('service="api"', ("service", "api", False, True)),
        ("service=api", ("service", "api", False, True)),
        (' service =~ "a|b.*" ', ("service", "a|b.*", True, True)),
        ('service!="api"', ("service", "api", False, False)),
        ('service!~"api"', ("service", "api", True, False)),
        ('path="a \\"b\\" \\\\ c\\nd"', ("path", 'a "b" \\ c\nd', False, True)),
        ('service=""', ("service", "", False, True)),
        # Only a quote, a line break and a backslash itself are written with a backslash, as by amtool.
        (r'instance=~"web\d+\.example"', ("instance", r"web\d+\.example", True, True)),
        (r'instance=~"web\\d+"', ("instance", r"web\d+", True, True)),
        ('service=" api "', ("service", " api ", False, True)),
        # From Alertmanager 0.27 on.
        ('k8s.pod="api"', ("k8s.pod", "api", False, True)),
        ("größe-1=~x", ("größe-1", "x", True, True)),
        ('"with blank"!="api"', ("with blank", "api", False, False)),
        ('"with \\"quotes\\" = and"="a b"', ('with "quotes" = and', "a b", False, True)),
    ],
)
def test_matchers(text, matcher):
    parsed = _silence.parse(text)
    assert parsed == matcher
    assert _silence.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    "text", ["service", "=api", 'x y="z"', '""="x"', '{x}="y"', "x'y=z", 'a="b', 'a="b"c', 'a=~"("', "a==b"]
)
def test_no_matchers(text):
    with pytest.raises(ValueError, match=r"not a matcher|no valid regular"):
        _silence.parse(text)


def test_several_matchers_in_one_text():
    texts = ['{service="a,b", severity=~"warning|info",}', "team = x"]
    assert [str(one) for one in _silence.parse_all(texts)] == ['service="a,b"', 'severity=~"warning|info"', 'team="x"']
    with pytest.raises(ValueError, match="not a matcher"):
        _silence.parse_all(["team=x,y"])


@pytest.mark.parametrize("texts", [[], ['a=~".*"'], ['a!="b"', 'c=""']])
def test_what_would_silence_everything_is_refused(texts):
    with pytest.raises(ValueError, match="would silence everything"):
        _silence.parse_all(texts)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("1h30m", 5400), ("2d", 172800), ("1w", 604800)])
def test_durations(text, seconds):
    assert _alertmanager_api.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "5 min", "30m1h", "-1h", None])
def test_no_durations(text):
    with pytest.raises(ValueError, match="not a duration"):
        _alertmanager_api.seconds(text)


def test_times():
    assert _alertmanager_api.from_time(_alertmanager_api.to_time(NOW + 0.5)) == NOW + 0.5
    assert _alertmanager_api.from_time("2027-01-15T08:00:00Z") == NOW
    assert _alertmanager_api.from_time("2027-01-15T08:00:00.123456789Z") == pytest.approx(NOW + 0.123456789)


class Fake:
    """Alertmanager's API for silences."""

    def __init__(self):
        self.silences, self.asked = [], []

    def add(self, ends=3600, state="active", author="me", matchers=MATCHERS):
        entry = {
            "id": str(len(self.silences)),
            "status": {"state": state},
            "matchers": [matcher.as_dict() for matcher in matchers],
            "startsAt": _alertmanager_api.to_time(NOW - 60),
            "endsAt": _alertmanager_api.to_time(NOW + ends),
            "createdBy": author,
            "comment": "why",
        }
        self.silences.append(entry)
        return entry

    @staticmethod
    def now():
        return NOW

    def json(self, method, path, body=None, kind=dict):
        if method == "GET":
            return self.silences
        self.asked.append((method, path, body))
        return {"silenceID": body.get("id", "new")}

    def request(self, method, path, body=None):
        self.asked.append((method, path, body))


def test_a_silence_is_made():
    api = Fake()
    api.add(author="somebody else")
    api.add(state="expired")
    api.add(matchers=_silence.parse_all(["service=db"]))
    result = silence.present(api, GIVEN, MATCHERS, check_mode=False)
    assert (result["changed"], result["id"]) == (True, "new")
    ((_method, _path, body),) = api.asked
    assert body["matchers"] == [{"name": "service", "value": "api", "isRegex": False, "isEqual": True}]
    assert _alertmanager_api.from_time(body["endsAt"]) == NOW + 3600
    assert result["diff"]["before"] == {} and result["diff"]["after"]["matchers"] == ['service="api"']


@pytest.mark.parametrize(("ends", "kept"), [(7200, True), (3600, True), (3541, True), (3539, False), (10, False)])
def test_a_silence_is_kept_or_extended(ends, kept):
    api = Fake()
    api.add(ends=5)
    api.add(ends=ends)
    result = silence.present(api, GIVEN, MATCHERS, check_mode=False)
    assert (result["changed"], result["id"]) == (not kept, "1")
    assert [body["id"] for _method, _path, body in api.asked] == ([] if kept else ["1"])
    if not kept:
        assert api.asked[0][2]["startsAt"] == api.silences[1]["startsAt"]


def test_check_mode_asks_only():
    api = Fake()
    assert silence.present(api, GIVEN, MATCHERS, check_mode=True)["changed"]
    api.add()
    assert silence.absent(api, GIVEN, MATCHERS, check_mode=True)["changed"]
    assert api.asked == []


def test_all_equal_silences_of_the_author_are_ended():
    api = Fake()
    for more in ({}, {"state": "pending"}, {"state": "expired"}, {"author": "x"}):
        api.add(**more)
    result = silence.absent(api, GIVEN, MATCHERS, check_mode=False)
    assert result["changed"] and result["ids"] == ["0", "1"]
    assert [asked[:2] for asked in api.asked] == [("DELETE", "/api/v2/silence/0"), ("DELETE", "/api/v2/silence/1")]
    assert not silence.absent(Fake(), GIVEN, MATCHERS, check_mode=False)["changed"]


def test_one_is_ended_by_its_id():
    api = Fake()
    api.add(author="x")
    api.add()
    assert silence.absent(api, {**GIVEN, "id": "0"}, None, check_mode=False)["ids"] == ["0"]


@pytest.fixture
def server():
    """A server that answers as it is told; its URL and what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.server.asked.append((self.command, self.path, self.headers, json.loads(body or b"null")))
            status, headers, answer = self.server.answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST

        def date_time_string(self, timestamp=None):
            return self.server.date or super().date_time_string(timestamp)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        served.asked, served.answer, served.date = [], (200, {}, b"{}"), None
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        served.url = "http://127.0.0.1:{0}".format(served.server_address[1])
        yield served
        served.shutdown()


def api_of(server, **access):
    return _alertmanager_api.Api(server.url + "/", _client.Access(**access), 5)


def test_a_request(server):
    server.answer = (200, {}, b'{"silenceID": "x"}')
    assert api_of(server, username="me", password="p").json("POST", "/api/v2/silences", {"a": 1}) == {"silenceID": "x"}
    ((method, path, headers, body),) = server.asked
    assert (method, path, body, headers["Content-Type"]) == ("POST", "/api/v2/silences", {"a": 1}, "application/json")
    assert headers["Authorization"] == "Basic bWU6cA=="


@pytest.mark.parametrize(
    ("answer", "access", "said"),
    [
        ((401, {}, b""), {}, "set url_username"),
        ((401, {}, b""), {"username": "me"}, "check url_username"),
        ((404, {}, b""), {}, "must end with that path"),
        ((302, {"Location": "http://u:secret@x/"}, b""), {}, "redirects to http://********@x/"),
        ((400, {}, b'"bad matcher"'), {}, 'HTTP 400: "bad matcher"'),
        ((200, {}, b"<html>"), {}, "is not Alertmanager"),
        ((200, {}, b""), {}, "is not Alertmanager"),
        ((200, {}, b'["a"]'), {}, "is not Alertmanager: POST /x answers ["),
    ],
)
def test_a_bad_answer(server, answer, access, said):
    server.answer = answer
    with pytest.raises(_alertmanager_api.ApiError) as caught:
        api_of(server, **access).json("POST", "/x", {})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("date", "begins"), [("Fri, 15 Jan 2027 08:00:00 GMT", NOW), ("Fri, 15 Jan 2027 09:00:00 +0100", NOW), ("?", None)]
)
def test_a_silence_begins_by_the_clock_of_alertmanager(server, date, begins):
    """Whatever that of the machine says from which it is made."""
    server.answer, server.date = (200, {}, b"[]"), date
    made = silence.present(api_of(server), GIVEN, MATCHERS, check_mode=True)
    ends = _alertmanager_api.from_time(made["ends_at"])
    assert ends == (begins + 3600 if begins else pytest.approx(time.time() + 3600, abs=60))


def test_nobody_answers():
    with pytest.raises(_alertmanager_api.ApiError, match="connection refused"):
        _alertmanager_api.Api("http://127.0.0.1:9", _client.Access(), 2).request("GET", "/")
