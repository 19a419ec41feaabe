# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report by e-mail and to Slack, to a sink that speaks both; what is refused before, and what is said when it fails."""

from __future__ import annotations

import ssl

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _render, _report
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _report_delivery as delivery

from lab import loopback, sink

PASSWORD = "Sentinel-Smtp-4"
HOSTILE = "<!channel> & <script>alert(1)</script>\x1b[31m\r\nBcc: x@example.com"


def document(text="db1 is down", state=_report.BAD):
    blocks = [
        _report.Heading(2, "mon1"),
        _report.Items([(state, text)]),
        _report.Heading(3, "Changes in 24 hours", brief=True),
        _report.Items([(_report.GOOD, "HighLoad did not fire")]),
        _report.Heading(3, "Disks"),
        _report.Table([_report.Column("Host")], [[_report.Cell("only in the whole report")]]),
    ]
    return _report.Document("Monitoring report", "24 hours until Tue 2 Jun", _report.verdict([(state, text)]), blocks)


def mail(**changes):
    return {"to": ["ops@example.com", "Night <night@example.com>"], "from": "Monitoring <mon@example.com>",
            "smarthost": "smtp.example.com:587", "auth_username": "", "auth_password": "", "require_tls": True,
            "ca_path": None, **changes}  # fmt: skip


def slack(url="https://hooks.slack.com/services/Sentinel", channel=""):
    return {"api_url": url, "channel": channel}


@pytest.mark.parametrize(
    ("smarthost", "server"),
    [
        ("smtp.example.com:25", ("smtp.example.com", 25)),
        ("smtp.example.com", ("smtp.example.com", 587)),
        ("[2001:db8::1]:465", ("2001:db8::1", 465)),
        ("[2001:db8::1]", ("2001:db8::1", 587)),
    ],
)
def test_the_server(smarthost, server):
    assert delivery.server_of(smarthost) == server


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"smarthost": "smtp.example.com:smtp"}, "mail.smarthost: 'smtp.example.com:smtp' is no SMTP server"),
        ({"smarthost": ""}, "mail.smarthost: '' is no SMTP server"),
        ({"to": []}, "mail.to: there is no address"),
        ({"to": ["ops"]}, "mail.to: 'ops' is no address"),
        ({"from": "a@example.com\nBcc: b@example.com"}, "mail.from: "),
        ({"auth_username": "me"}, "auth_username and auth_password belong together"),
        (
            {"auth_username": "me", "auth_password": PASSWORD + "ü"},
            "mail.auth_password: a letter or sign in it is not ASCII",
        ),
        ({"auth_username": "mä", "auth_password": PASSWORD}, "mail.auth_username: a letter or sign in it is not ASCII"),
        ({"ca_path": "/nowhere/ca.pem"}, "mail.ca_path: /nowhere/ca.pem cannot be read: No such file or directory"),
        (
            {"auth_username": "me", "auth_password": PASSWORD, "require_tls": False},
            "would send auth_password unencrypted to smtp.example.com",
        ),
    ],
)
def test_what_could_never_be_sent_is_refused(changes, words):
    with pytest.raises(delivery.DeliveryError) as error:
        delivery.check(mail(**changes), None)
    assert words in str(error.value) and PASSWORD not in str(error.value)


def test_what_can_be_sent_is_not_refused():
    delivery.check(None, None)
    delivery.check(mail(), slack())
    login = {"auth_username": "me", "auth_password": PASSWORD, "require_tls": False}
    delivery.check(mail(smarthost="127.0.0.1:25", **login), None)
    delivery.check(mail(smarthost="smtp.example.com:465", **login), None)
    with pytest.raises(delivery.DeliveryError, match=r"slack\.api_url: is no URL"):
        delivery.check(None, slack("hooks.slack.com/services/x"))
    # As of two lines that YAML has folded into one.
    with pytest.raises(delivery.DeliveryError, match=r"slack\.api_url: has a blank") as error:
        delivery.check(None, slack("https://hooks.slack.com/services/ Sentinel"))
    assert "Sentinel" not in str(error.value)


def test_the_mail_has_the_short_report_and_the_whole_one_attached():
    with sink.serve() as server:
        options = mail(smarthost=server.smtp, require_tls=False)
        delivery.send_mail(delivery.message_of(document(HOSTILE), options, "monitoring-24h"), options)
    (message,) = server.messages
    assert message.title == "Monitoring report: 1 problem. 24 hours until Tue 2 Jun"
    plain, page = message.body["plain"], message.body["html"]
    assert "HighLoad did not fire" in plain and "only in the whole report" not in plain
    # The sink keeps the last part of a type: the attached page.
    assert "only in the whole report" in page and "&lt;script&gt;" in page and "<script" not in page
    assert "\x1b" not in plain + page and "\nBcc:" not in plain


def test_the_body_of_the_mail_is_escaped():
    body = _render.as_mail(_report.brief(document(HOSTILE)))
    assert "<script" not in body and "&lt;!channel&gt;" in body and "only in" not in body and "✗" in body


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    loopback.guard(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context


def test_a_login_over_starttls(certificate):
    path, context = certificate
    with sink.serve(login=("me", PASSWORD), tls=context) as server:
        options = mail(smarthost=server.smtp, auth_username="me", auth_password=PASSWORD, ca_path=str(path))
        delivery.send_mail(delivery.message_of(document(), options, "x"), options)
        assert len(server.messages) == 1
        for changes, words in (
            ({"auth_password": "Sentinel-Wrong"}, "authentication failed for user 'me'"),
            ({"auth_username": "", "auth_password": ""}, "530 authentication required"),
            ({"ca_path": None}, "its certificate is not trusted"),
            ({"ca_path": "/nowhere"}, "mail.ca_path: /nowhere cannot be read"),
        ):
            with pytest.raises(delivery.DeliveryError) as error:
                delivery.send_mail(delivery.message_of(document(), options, "x"), {**options, **changes})
            assert words in str(error.value) and "Sentinel" not in str(error.value)
        assert len(server.messages) == 1


def test_without_starttls_nothing_is_sent_unless_that_is_wanted():
    with sink.serve() as server:
        options = mail(smarthost=server.smtp)
        with pytest.raises(delivery.DeliveryError, match="it offers no STARTTLS"):
            delivery.send_mail(delivery.message_of(document(), options, "x"), options)
    assert not server.messages


def test_a_server_that_is_not_there_and_one_that_refuses():
    options = mail(smarthost=f"127.0.0.1:{loopback.free_port()}", require_tls=False)
    with pytest.raises(delivery.DeliveryError, match=r"mail\.smarthost: 127\.0\.0\.1:\d+: Connection refused"):
        delivery.send_mail(delivery.message_of(document(), options, "x"), options)
    with sink.serve() as server:
        server.broken.add("ops@example.com")
        options = mail(smarthost=server.smtp, require_tls=False)
        with pytest.raises(delivery.DeliveryError, match="451 out of order"):
            delivery.send_mail(delivery.message_of(document(), options, "x"), options)


def test_slack_gets_the_short_report():
    with sink.serve() as server:
        options = slack(server.url + "/slack/ops", "#night")
        delivery.send_slack(delivery.slack_of(document(HOSTILE), options), options)
    (message,) = server.messages
    assert message.title == "1 problem. 24 hours until Tue 2 Jun" and message.body["channel"] == "#night"
    assert (
        "&lt;!channel&gt;" in message.text
        and "only in" not in message.text
        and "\n*Changes in 24 hours*" in message.text
    )


def test_a_long_report_is_cut_for_slack():
    long = document()
    long.blocks[1].entries.extend((_report.WARN, "w" * 100) for dummy in range(100))
    text = delivery.slack_of(long, slack())["attachments"][0]["text"]
    assert len(text) < 3600 and text.endswith("…")


def test_the_url_of_slack_is_a_secret():
    with sink.serve() as server:
        server.broken.add("Sentinel")
        for url, words in (
            (server.url + "/slack/Sentinel", "HTTP 500: out of order"),
            (f"http://127.0.0.1:{loopback.free_port()}/slack/Sentinel", "connection refused"),
            ("http://[Sentinel", "slack.api_url: "),
            (server.url + "/slack/Sentinel 1", "slack.api_url: its URL has a blank or a control character in it"),
        ):
            with pytest.raises(delivery.DeliveryError) as error:
                delivery.send_slack(delivery.slack_of(document(), slack(url)), slack(url))
            assert words in str(error.value) and "Sentinel" not in str(error.value)
