# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate authority of an inventory."""

from __future__ import annotations

import datetime
import functools
import ssl
import threading

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _authority
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority import (
    Authority,
    AuthorityProblem,
    Subject,
    begin_of,
    covers,
    end_of,
    is_signed_by,
    names_of,
    period,
    read_certificates,
    read_key,
    same_key,
)
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ExtendedKeyUsage
from hypothesis import given
from hypothesis import strategies as st

DAY = datetime.timedelta(days=1)
AT = datetime.datetime(2027, 1, 1, tzinfo=datetime.timezone.utc)
WEB = Subject("web1", "node_exporter", ("192.0.2.1", "web1.example.org", "::1"), server=True)


@functools.cache
def authority():
    return Authority.make("Test CA", AT)


def certificate(issued):
    (found,) = read_certificates(issued.certificate)
    return found


def test_what_it_issues_is_the_same_on_every_controller():
    again = Authority.read(authority().key_text, authority().trusted_text)
    assert again.issue(WEB, at=AT + DAY) == authority().issue(WEB, at=AT + DAY)
    assert Authority.make("Test CA", AT).issue(WEB, at=AT + DAY) != authority().issue(WEB, at=AT + DAY)


@pytest.mark.parametrize(
    "other", [{"name": "web2"}, {"use": "grafana"}, {"names": ("web1",)}, {"client": True}, {"server": False}]
)
def test_another_subject_has_another_key_and_number(other):
    one, two = authority().issue(WEB, at=AT + DAY), authority().issue(WEB._replace(**other), at=AT + DAY)
    assert one.key != two.key and certificate(one).serial_number != certificate(two).serial_number


def test_another_life_has_another_number():
    """Browsers refuse two certificates with the same number, which may begin at the same time."""
    lives = range(20, 100)
    issued = [certificate(authority().issue(WEB, days, AT + DAY)) for days in lives]
    assert len({found.serial_number for found in issued}) == len(lives)


def test_a_certificate_says_what_it_is_for():
    found = authority().issue(WEB, at=AT + DAY)
    made = certificate(found)
    assert sorted(names_of(made)) == ["192.0.2.1", "::1", "web1.example.org"]
    assert same_key(made, read_key(found.key)) and is_signed_by(made, authority().certificate)
    usage = made.extensions.get_extension_for_class(ExtendedKeyUsage).value
    assert [one._name for one in usage] == ["serverAuth"]
    asks = certificate(authority().issue(Subject("verification", "", client=True), at=AT + DAY))
    assert [one._name for one in asks.extensions.get_extension_for_class(ExtendedKeyUsage).value] == ["clientAuth"]
    assert names_of(asks) == []


@given(
    life=st.integers(3, 800),
    passed=st.integers(0, 3_000_000),
)
def test_a_third_of_the_life_is_left_when_the_next_one_begins(life, passed):
    at = AT + datetime.timedelta(minutes=passed)
    begin, end = period(AT, life, at)
    assert begin <= at < end and end - begin == life * DAY
    assert (end - at) >= life * DAY / 3 - datetime.timedelta(seconds=1)


def test_renewed_once_a_period_and_when_somebody_wants_it():
    step = datetime.timedelta(days=60)
    found = [authority().issue(WEB, 90, AT + number * step).certificate for number in range(1, 5)]
    assert len(set(found)) == 4
    day = AT + 10 * DAY
    wanted = authority().issue(WEB, 90, day + DAY, renewed=day)
    assert wanted != authority().issue(WEB, 90, day + DAY) and wanted == authority().issue(
        WEB, 90, day + 2 * DAY, renewed=day
    )
    assert wanted.ends == day + 90 * DAY


def test_hosts_are_not_all_renewed_in_one_run():
    begins = {authority().anchor("web{0}".format(number)).date() for number in range(50)}
    assert len(begins) > 20


def test_clocks_may_differ_and_no_certificate_outlives_its_authority():
    made = certificate(authority().issue(WEB, at=AT + 100 * DAY))
    assert begin_of(made) <= AT + 99 * DAY
    old = Authority.make("Old CA", AT, days=100)
    assert end_of(certificate(old.issue(WEB, at=AT + 80 * DAY))) == end_of(old.certificate)
    with pytest.raises(AuthorityProblem, match="it expired on 2027-04-11: rotate it"):
        old.issue(WEB, at=AT + 101 * DAY)


def test_an_authority_for_one_purpose_is_another_one():
    cluster = authority().for_purpose("the cluster")
    assert cluster.trusted_text == authority().for_purpose("the cluster").trusted_text
    made = certificate(cluster.issue(WEB, at=AT + DAY))
    assert is_signed_by(made, cluster.certificate) and not is_signed_by(made, authority().certificate)
    assert cluster.trusted_text != authority().for_purpose("another").trusted_text


@pytest.mark.parametrize(
    ("key", "certificates", "words"),
    [
        (lambda: "nonsense", lambda: authority().trusted_text, "its key cannot be used: it is no private key"),
        (lambda: authority().key_text, lambda: "nonsense", "its certificate cannot be used: it has no certificate"),
        (lambda: authority().key_text, lambda: Authority.make("x", AT).trusted_text, "belongs to none of its certificates"),
        (lambda: _authority._key_pem(ec.generate_private_key(ec.SECP256R1())), lambda: authority().trusted_text, "RSA nor Ed"),
    ],
)  # fmt: skip
def test_what_is_no_authority_is_refused(key, certificates, words):
    with pytest.raises(AuthorityProblem, match=words):
        Authority.read(key(), certificates())


@pytest.mark.parametrize(
    ("names", "name", "covered"),
    [
        (("web1.example.org",), "WEB1.example.org.", True),
        (("*.example.org",), "web1.example.org", True),
        (("*.example.org",), "a.web1.example.org", False),
        (("*.example.org",), "example.org", False),
        (("192.0.2.1",), "192.0.2.1", True),
        (("192.0.2.1",), "192.0.2.2", False),
    ],
)
def test_for_whom_a_certificate_is(names, name, covered):
    assert covers(certificate(authority().issue(WEB._replace(names=names), at=AT + DAY)), name) is covered


def test_a_server_and_who_asks_know_each_other(tmp_path):
    """By Python's own TLS: what Go's thinks of it is seen on hosts."""
    made = Authority.make("Test CA")
    pair = {"server": WEB, "client": Subject("prometheus", "", client=True), "wrong": WEB}
    for name, subject in pair.items():
        issued = made.issue(subject)
        (tmp_path / name).write_text(issued.certificate + issued.key, encoding="ascii")
    (tmp_path / "ca").write_text(made.trusted_text, encoding="ascii")

    def connect(shown):
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca")
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_cert_chain(tmp_path / "server")
        client = ssl.create_default_context(cafile=tmp_path / "ca")
        client.load_cert_chain(tmp_path / shown)
        return _handshake(server, client, "web1.example.org")

    assert connect("client") is None
    # What may answer may not ask.
    assert "purpose" in connect("wrong")


def _handshake(server, client, name):
    """What the server complains about, or None."""
    import socket

    one, two = socket.socketpair()
    found = []

    def answer():
        try:
            with server.wrap_socket(one, server_side=True) as stream:
                stream.send(b"x")
            found.append(None)
        except ssl.SSLError as error:
            found.append(str(error))
            one.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with client.wrap_socket(two, server_hostname=name) as stream:
            stream.recv(1)
    except (ssl.SSLError, OSError):
        pass
    thread.join()
    return found[0]
