# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends a report by e-mail and to Slack: the short report as the message, the whole one as an attachment of the e-mail."""

from __future__ import annotations

import contextlib
import email.message
import email.policy
import email.utils
import re
import smtplib
import ssl

from ansible_collections.vigil.monitoring.plugins.module_utils import _client
from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _render, _report, _scrape

SUBMISSION, SUBMISSIONS = 587, 465
TIMEOUT = 30
COLORS = {_report.BAD: "#c5221f", _report.WARN: "#9a6700", _report.GOOD: "#1a7f37"}


class DeliveryError(Exception):
    """A message was not sent; the text names the option, what was found and what to do, and shows no secret."""


def server_of(smarthost):
    """Host and port of an SMTP server; the port is 587 without one.

    :raises DeliveryError: when it is neither.
    """
    host, colon, port = smarthost.strip().rpartition(":")
    if not colon or smarthost.endswith("]"):
        host, port = smarthost.strip(), str(SUBMISSION)
    host = host.strip("[]")
    if not host or not port.isdigit() or not 0 < int(port) < 65536 or set(host) & set(" /@"):
        raise DeliveryError(
            "mail.smarthost: {0!r} is no SMTP server such as smtp.example.com:587".format(sanitize(smarthost))
        )
    return host, int(port)


def check(mail, slack):
    """Validate the options before anything is queried or written.

    :raises DeliveryError: when a message could never be sent.
    """
    if mail:
        host, port = server_of(mail["smarthost"])
        for name, addresses in (("from", [mail["from"]]), ("to", mail["to"])):
            if not addresses:
                raise DeliveryError("mail.{0}: there is no address; set at least one".format(name))
            for address in addresses:
                if "@" not in email.utils.parseaddr(address)[1] or set(address) & set("\r\n"):
                    raise DeliveryError(
                        "mail.{0}: {1!r} is no address such as ops@example.com".format(name, sanitize(address))
                    )
        if bool(mail["auth_username"]) != bool(mail["auth_password"]):
            raise DeliveryError("mail: auth_username and auth_password belong together; set both or neither")
        for name in ("auth_username", "auth_password"):
            if not mail[name].isascii():
                raise DeliveryError(
                    "mail.{0}: a letter or sign in it is not ASCII, and Python's client for SMTP sends none in a login; use an"
                    " account without".format(name)
                )
        if mail["auth_password"] and not mail["require_tls"] and port != SUBMISSIONS and not _scrape.is_loopback(host):
            raise DeliveryError(
                "mail.require_tls: false would send auth_password unencrypted to {0}; remove it, or the password".format(
                    host
                )
            )
        authorities(mail)
    if slack and not slack["api_url"].strip().startswith(("https://", "http://")):
        raise DeliveryError("slack.api_url: is no URL such as https://hooks.slack.com/services/…")
    if slack and not re.fullmatch(r"[!-~]+", slack["api_url"].strip()):
        raise DeliveryError("slack.api_url: has a blank, a line break or another sign in it that no URL has; remove it")


def authorities(mail):
    """What a server's certificate is verified with.

    :raises DeliveryError: when the file cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=mail["ca_path"] or None)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DeliveryError("mail.ca_path: {0} cannot be read: {1}".format(mail["ca_path"], reason)) from error


def subject_of(document):
    """One line that says what a report is about."""
    return "{0}: {1} {2}".format(document.title, document.verdict.text, document.subtitle)


def message_of(document, mail, name):
    """The report as an e-mail.

    :param mail: the option.
    :param name: of the attached file, without suffix.
    """
    short = _report.brief(document)
    # A subject in one line: programs show the blanks of one that is folded.
    message = email.message.EmailMessage(email.policy.EmailPolicy(max_line_length=250))
    message["Subject"] = _render.clean(subject_of(document), 180)
    message["From"] = mail["from"]
    message["To"] = ", ".join(mail["to"])
    message["Date"] = email.utils.localtime()
    message["Message-ID"] = email.utils.make_msgid(domain=email.utils.parseaddr(mail["from"])[1].rpartition("@")[2])
    # No answer of a mailbox that is on holiday: https://www.rfc-editor.org/rfc/rfc3834
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_render.as_text(short) + "\nThe attached page has the whole report.\n")
    message.add_alternative(_render.as_mail(short), subtype="html")
    message.add_attachment(
        _render.as_html(document).encode("utf-8"), maintype="text", subtype="html", filename=name + ".html"
    )
    return message


def send_mail(message, mail):
    """Send an e-mail.

    :raises DeliveryError: when the server does not take it for each of its recipients.
    """
    host, port = server_of(mail["smarthost"])
    where = "mail.smarthost: {0}:{1}: ".format(host, port)
    context = authorities(mail)
    try:
        if port == SUBMISSIONS:
            server = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=context)
        else:
            server = smtplib.SMTP(host, port, timeout=TIMEOUT)
        with contextlib.closing(server):
            server.ehlo()
            if port != SUBMISSIONS and mail["require_tls"]:
                if not server.has_extn("starttls"):
                    raise DeliveryError(where + "it offers no STARTTLS; use port 465, or set require_tls to false")
                server.starttls(context=context)
                server.ehlo()
            if mail["auth_username"]:
                server.login(mail["auth_username"], mail["auth_password"])
            refused = server.send_message(message)
            with contextlib.suppress(smtplib.SMTPException, OSError):
                server.quit()
    except smtplib.SMTPAuthenticationError as error:
        raise DeliveryError(where + "authentication failed for user {0!r}".format(mail["auth_username"])) from error
    except smtplib.SMTPRecipientsRefused as error:
        raise DeliveryError(where + _refused(error.recipients)) from error
    except smtplib.SMTPResponseException as error:
        raise DeliveryError("{0}{1} {2}".format(where, error.smtp_code, sanitize(error.smtp_error))) from error
    except ssl.SSLCertVerificationError as error:
        text = "its certificate is not trusted: {0}; see ca_path"
        raise DeliveryError(where + text.format(error.verify_message or error)) from error
    except (smtplib.SMTPException, OSError) as error:
        raise DeliveryError(where + (getattr(error, "strerror", None) or str(error) or type(error).__name__)) from error
    if refused:
        raise DeliveryError(where + _refused(refused))


def _refused(recipients):
    return "; ".join(
        "{0} was refused: {1} {2}".format(address, code, sanitize(text)) for address, (code, text) in recipients.items()
    )


def slack_of(document, slack):
    """The short report as the body of a request to an incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks"""
    body = {
        "text": _render.slack_text(document.title),
        "attachments": [
            {
                "color": COLORS.get(document.verdict.state, COLORS[_report.WARN]),
                "title": _render.slack_text("{0} {1}".format(document.verdict.text, document.subtitle)),
                "text": _render.as_slack(_report.brief(document)),
                "mrkdwn_in": ["text"],
            }
        ],
    }
    if slack["channel"]:
        body["channel"] = slack["channel"]
    return body


def send_slack(body, slack):
    """Send a message to Slack.

    :raises DeliveryError: when it is not taken. Who has the URL can send messages, so it is a secret.
    """
    url = slack["api_url"].strip()
    try:
        reply = _client.send("POST", url, body, _client.Access(use_proxy=True), TIMEOUT)
    except _client.AskError as error:
        raise DeliveryError("slack.api_url: {0}".format(str(error).replace(url, "the URL"))) from error
    if not 200 <= reply.status < 300:
        words = sanitize(reply.body[:200]).replace(url, "the URL")
        raise DeliveryError("slack.api_url: HTTP {0}: {1}".format(reply.status, words or "no reason given"))
