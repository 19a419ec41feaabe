# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request to a service on this very host.

Not ``fetch_url``: a probe must ignore proxies and ``.netrc``, needs no redirects, checks the certificate's chain but not
the name (the certificate is for the public name, the probe goes to a loopback address), and is imported in a tenth of
the time, which a converged run notices.
"""

from __future__ import annotations

import base64
import http.client
import os
import socket
import ssl
import tempfile
from typing import NamedTuple
from urllib.parse import urlsplit

# What a service says by TLS to whom it does not know, as OpenSSL calls it.
_STRANGER = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "CERTIFICATE_UNKNOWN", "CERTIFICATE_EXPIRED")
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")


class Answer(NamedTuple):
    """What came back.

    :ivar status: HTTP status, or 0 when no answer came.
    :ivar text: the body, or the reason why there is none.
    :ivar why: what another request will not change: ``certificate`` (of the service, not trusted), ``stranger`` (the service
        wants another client certificate), ``login`` (it wants another one), ``plain`` (it speaks no TLS), ``tls`` (it speaks
        nothing else), ``other`` (it speaks no HTTP), ``file`` (one that the request needs cannot be used); else empty.
    """

    status: int
    text: str
    why: str = ""


def get(
    url, username=None, password=None, ca_path=None, client_cert=None, client_key=None, client_pem=None, timeout=5.0, method="GET"
):  # fmt: skip
    """Send a request and never raise.

    :param url: http or https URL.
    :param username: name for basic authentication, or None.
    :param password: its password.
    :param ca_path: file with the certificate authority to check the chain against; without it the chain is not checked.
    :param client_cert: file with the certificate to show where the service wants one, and maybe its key.
    :param client_key: file with its key.
    :param client_pem: the certificate to show and its key, as text, instead of files.
    :param timeout: seconds for the connection and for each read.
    :param method: of the request, which has no body.
    """
    parts = urlsplit(url)
    try:
        if parts.scheme == "https":
            context = tls_context(ca_path, client_cert, client_key, client_pem)
            connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        headers = {}
        if username:
            pair = "{0}:{1}".format(username, password or "").encode("utf-8")
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
        try:
            path = parts.path or "/"
            connection.request(method, path + ("?" + parts.query if parts.query else ""), headers=headers)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
            return Answer(response.status, text, _lasting(response.status, text, username))
        finally:
            connection.close()
    except UnusableFile as error:
        return Answer(0, str(error), "file")
    except (OSError, http.client.HTTPException, socket.timeout, ValueError) as error:
        return Answer(0, _words(error), _cause(error))


class UnusableFile(Exception):
    """A file that the request needs is missing or holds something else; the message says which, and what is wrong."""


def load_pem(context, text):
    """Have a TLS context show a certificate. Python reads it from files alone, so it gets one that is in memory.

    :param text: the certificate and its key, in PEM.
    :raises OSError: when it cannot be used.
    """
    if not hasattr(os, "memfd_create"):
        # A controller that does not run Linux.
        with tempfile.NamedTemporaryFile("w", encoding="ascii") as stream:
            stream.write(text)
            stream.flush()
            context.load_cert_chain(stream.name, password=lambda: "")
        return
    handle = os.memfd_create("client certificate")
    try:
        os.write(handle, text.encode("ascii"))
        context.load_cert_chain("/proc/self/fd/{0}".format(handle), password=lambda: "")
    finally:
        os.close(handle)


def tls_context(ca_path, client_cert, client_key, client_pem=None):
    """The TLS settings of a request.

    :raises UnusableFile: when one of the files cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_path)
    except (OSError, ValueError) as error:
        raise UnusableFile(
            "the certificate authority {0} cannot be used: {1}".format(ca_path, _words(error))
        ) from error
    context.check_hostname = False
    if not ca_path:
        context.verify_mode = ssl.CERT_NONE
    if client_cert:
        try:
            context.load_cert_chain(client_cert, client_key or None, password=lambda: "")
        except (OSError, ValueError) as error:
            names = " with the key ".join(name for name in (client_cert, client_key) if name)
            raise UnusableFile("the client certificate {0} cannot be used: {1}".format(names, _words(error))) from error
    elif client_pem:
        try:
            load_pem(context, client_pem)
        except (OSError, ValueError) as error:
            raise UnusableFile("the client certificate cannot be used: {0}".format(_words(error))) from error
    return context


def _lasting(status, text, username):
    if status == 400 and "HTTP request to an HTTPS server" in text:
        return "tls"
    return "login" if status in (401, 403) and username else ""


def _cause(error):
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate"
    reason = str(getattr(error, "reason", "") or "")
    if isinstance(error, ssl.SSLError) and reason.endswith(_STRANGER):
        return "stranger"
    if isinstance(error, ssl.SSLError) and reason.endswith(_NO_TLS):
        return "plain"
    # One that ends before its first word is a server that has just gone.
    if isinstance(error, http.client.BadStatusLine) and not isinstance(error, http.client.RemoteDisconnected):
        return "other"
    return ""


def _words(error):
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    text = (
        getattr(error, "strerror", None) if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else ""
    )
    return text or str(error) or type(error).__name__
