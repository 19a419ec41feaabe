# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A login at a server of LDAP, and what servers may send that is none of an answer."""

from __future__ import annotations

import functools
import socket
import ssl
import time

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _client, _ldap_bind
from ansible_collections.vigil.monitoring.plugins.module_utils import _ldap_message as messages
from ansible_collections.vigil.monitoring.plugins.module_utils._ldap_message import LdapError
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority import DAY, Authority, Subject, now
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ldap_answers import ACTIVE_DIRECTORY, EXTENDED, START_TLS, WRONG, answer, serve

BIND = messages.BIND_RESPONSE
PASSWORD = "Sentinel ä"
# 2: of the bind; what is behind it may be there or not: a referral, the credentials of SASL, a control.
GOOD = [
    answer(0),
    answer(WRONG, "no"),
    ACTIVE_DIRECTORY,
    answer(10, more=b"\xa3\x03\x04\x01x"),
    answer(0) + b"\xa0\x00",
]
GOOD[-1] = bytes((0x30, GOOD[-1][1] + 2)) + GOOD[-1][2:]


# Messages


def test_requests_as_the_rfc_has_them():
    found = messages.bind_request(2, "cn=x", "s")
    assert found == b"0\x11\x02\x01\x02`\x0c\x02\x01\x03\x04\x04cn=x\x80\x01s"
    assert messages.start_tls_request(1) == b"0\x1d\x02\x01\x01w\x18\x80\x161.3.6.1.4.1.1466.20037"
    assert messages.unbind_request(3) == b"0\x05\x02\x01\x03B\x00"
    # A length of more than seven bits says first how many bytes it has; a number whose first bit is set would be below zero.
    for length, written in ((127, b"\x7f"), (128, b"\x81\x80"), (256, b"\x82\x01\x00")):
        assert messages.bind_request(2, "cn=x", "s" * length).endswith(b"cn=x\x80" + written + b"s" * length)
    assert messages.unbind_request(200)[2:6] == b"\x02\x02\x00\xc8"
    assert messages.bind_request(2, "\ud800", "").endswith(b"\x04\x01?\x80\x00")


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=300), st.text(st.characters(codec="utf-8"), max_size=300))
@example("x" * 127, "x" * 128)
@example("x" * 255, "x" * 65536)
def test_a_request_of_any_length_is_one_message(name, password):
    found = messages.bind_request(2, name, password)
    assert found.endswith(password.encode())
    if len(found) < messages.LONGEST:
        assert messages.lacks(found) == 0


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (GOOD[0], 0, "refused (result 0)"),
        (GOOD[1], 49, "invalid credentials (result 49): no"),
        (GOOD[2], 49, "invalid credentials (result 49): data 52e"),
        (GOOD[3], 10, "referral (result 10)"),
        (answer(13, "Confidentiality required"), 13, "confidentiality required (result 13)"),
        (answer(77, "x").replace(b"\x01x", b"\x01\xff"), 77, "refused (result 77): \ufffd"),
    ],
)
def test_results(data, code, words):
    found = messages.result(data, 2, BIND)
    assert (found.code, found.words) == (code, words)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "what it answers is not LDAP"),
        (answer(0) + answer(0), "what it answers is not LDAP"),
        (b"0\x03\x02\x01\x02", "its answer is not complete"),
        # Another request, an operation that nobody asked for, one that has no result.
        (answer(0, number=7), "its answer is that to another request"),
        (answer(0, operation=EXTENDED), "its answer is that to another request"),
        (answer(0, operation=0x64), "its answer is of another kind"),
        (answer(52, "bye", number=0, operation=EXTENDED), "it ends the connection: unavailable (result 52): bye"),
        (answer(0).replace(b"\x0a\x01", b"\x02\x01"), "its answer has something else where a number should be"),
        (answer(0).replace(b"\x02\x01\x02", b"\x04\x01\x02"), "its answer has something else where a number"),
        (b"0\x08\x02\x01\x02a\x03\x0a\x01\x00", "its answer is not complete"),
        (answer(0).replace(b"\x04\x00\x04\x00", b"\x04\x00\x05\x00"), "its answer is not complete"),
        # A length that is open, one of five bytes, and one that goes beyond what is there.
        (b"0\x80\x02\x01\x02\x00\x00", "a length in its answer is none that LDAP has"),
        (b"0\x85\x00\x00\x00\x00\x01\x02", "a length in its answer is none that LDAP has"),
        (b"0\x05\x02\x01\x02a\x7f", "its answer ends early"),
        (b"0\x07\x02\x84\xff\xff\xff\xff\x01", "its answer ends early"),
    ],
)
def test_what_is_no_answer(data, words):
    with pytest.raises(LdapError, match=words.replace("(", r"\(").replace(")", r"\)")):
        messages.result(data, 2, BIND)


@pytest.mark.parametrize("data", GOOD)
def test_an_answer_that_ends_early(data):
    for length in range(len(data)):
        assert messages.lacks(data[:length]) > 0
        with pytest.raises(LdapError):
            messages.result(data[:length], 2, BIND)
    assert messages.lacks(data) == 0


@settings(deadline=None)
@given(st.binary(max_size=200))
@example(b"0\x84\xff\xff\xff\xff")
@example(b"0\x80")
def test_anything_else_is_one_kind_of_error(data):
    try:
        # Never more than the longest message, and its beginning, is waited for.
        assert len(data) + messages.lacks(data) <= messages.LONGEST + 6 or messages.lacks(data) <= 0
        messages.result(data, 2, BIND)
    except LdapError:
        pass


@settings(deadline=None)
@given(st.sampled_from(GOOD), st.data())
def test_an_answer_with_a_byte_that_is_another_one(data, draw):
    place = draw.draw(st.integers(0, len(data) - 1))
    changed = data[:place] + bytes((draw.draw(st.integers(0, 255)),)) + data[place + 1 :]
    try:
        messages.lacks(changed)
        messages.result(changed, 2, BIND)
    except LdapError:
        pass


# Connections


@functools.cache
def authority(name):
    return Authority.make(name, now() - 10 * DAY)


@pytest.fixture(name="tls", scope="module")
def _tls(tmp_path_factory):
    """The TLS of a server, and files with its authority and with another one."""
    folder = tmp_path_factory.mktemp("tls")
    subject = Subject("ldap", "", ("localhost",), server=True)
    made = authority("CA").issue(subject, 90, now() - DAY, now() - DAY)
    (folder / "pair").write_text(made.certificate + made.key, encoding="ascii")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "pair")
    for name in ("CA", "Another"):
        (folder / name).write_text(authority(name).trusted_text, encoding="ascii")
    return context, str(folder / "CA"), str(folder / "Another")


def login(port, hosts=("localhost",), timeout=5.0, **more):
    given = _ldap_bind.Server(hosts, port, "cn=x", PASSWORD, **more)
    return _ldap_bind.bind(given, connect_timeout=2.0, timeout=timeout)


def sent(server):
    """Whether the password has reached it, in whatever it was sent."""
    return PASSWORD.encode() in b"".join(server.received)


@pytest.mark.parametrize("parts", [[GOOD[1]], [bytes((one,)) for one in GOOD[1]]])
def test_a_login_and_a_farewell(parts):
    with serve(parts) as server:
        assert login(server.port) == ("localhost", (49, "no"))
    assert server.received == [messages.bind_request(2, "cn=x", PASSWORD), messages.unbind_request(3)]


@pytest.mark.parametrize("start_tls", [False, True])
def test_a_login_with_tls(tls, start_tls):
    context, trusted, another = tls
    turns = [START_TLS, "TLS"] if start_tls else ["TLS"]
    with serve(*turns, GOOD[0], context=context) as server:
        options = {"tls": True, "start_tls": start_tls}
        assert login(server.port, ca_paths=[another, trusted], **options).result.code == 0
        assert sent(server)
        server.received.clear()
        with pytest.raises(_client.AskError, match="its certificate is not trusted"):
            login(server.port, ca_paths=[another], **options)
        with pytest.raises(_client.AskError, match="its certificate is not trusted"):
            login(server.port, ("127.0.0.1",), ca_paths=[trusted], **options)
        assert not sent(server)
        assert login(server.port, verify=False, **options).result.code == 0
        for files in ({"ca_paths": [trusted, "/none"]}, {"ca_paths": ["/none"]}, {"client_cert": "/none"}):
            with pytest.raises(_client.AskError, match="/none cannot be used"):
                login(server.port, **files, **options)


def test_where_tls_is_refused_the_password_stays_here(tls):
    context, trusted, dummy = tls
    options = {"tls": True, "start_tls": True, "ca_paths": [trusted]}
    refusal = answer(2, "what?", number=1, operation=EXTENDED)
    words = r"it refuses StartTLS: protocol error \(result 2\): what\?"
    with serve(refusal) as server, pytest.raises(_client.AskError, match=words):
        login(server.port, **options)
    assert not sent(server)
    # What somebody has put behind the answer in the clear is no part of TLS.
    words = "no TLS connection could be made"
    turns = (START_TLS + GOOD[0], "TLS", GOOD[1])
    with serve(*turns, context=context) as server, pytest.raises(_client.AskError, match=words):
        login(server.port, **options)
    assert not sent(server)
    with serve(GOOD[0]) as server, pytest.raises(_client.AskError, match=words):
        login(server.port, tls=True, ca_paths=[trusted])
    assert not sent(server)


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what it answers is not LDAP"),
        (b"0\x84\x7f\xff\xff\xff" + b"x" * 1000, "its answer has 2147483647 bytes, which is too long"),
        (b"0\x80" + b"x" * 10, "a length in its answer is none that LDAP has"),
        (GOOD[0][:-1], "it accepts connections, but did not respond within 0.3 s"),
        # A byte now and then does not make the time longer.
        ([b"0\x83\x00\xff\x00", *[b"x"] * 100], "it accepts connections, but did not respond within 0.3 s"),
        (b"", "it accepts connections, but did not respond within 0.3 s"),
    ],
)
def test_servers_that_do_not_answer(turn, words):
    with serve(turn) as server:
        began = time.monotonic()
        with pytest.raises(_client.AskError, match=words):
            login(server.port, timeout=0.3)
        assert time.monotonic() - began < 2


def test_a_server_for_which_there_is_no_time_left():
    with serve(GOOD[0]) as server, pytest.raises(_client.AskError, match="did not respond within 0 s"):
        login(server.port, timeout=0.0)


def test_a_server_that_hangs_up():
    # Before it has read what it was sent, or after.
    words = r"it ends the connection|the connection was reset"
    with serve() as server, pytest.raises(_client.AskError, match=words):
        login(server.port)


def test_the_first_host_that_is_there_is_asked():
    with serve(GOOD[0]) as server:
        assert login(server.port, ("127.0.0.9", "127.0.0.1", "127.0.0.8")).host == "127.0.0.1"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(_client.AskError, match="connection refused"):
        login(port, ("127.0.0.1", "127.0.0.2"))
    with pytest.raises(_client.AskError, match="its name cannot be resolved"):
        login(port, ("no.such.host.invalid",))
    for host, wrong in (("127.0.0.1", 1 << 17), ("a\0b", 389), ("x" * 70, 389)):
        with pytest.raises(_client.AskError):
            login(wrong, (host,))
    with pytest.raises(_client.AskError, match="it has no host"):
        login(389, ())
