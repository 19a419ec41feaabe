# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to a monitoring API anywhere on the network, with a distinct error for each kind of failure.

Unlike ``open_url`` it follows no redirects (credentials stay with the server that they are meant for), reads no
``.netrc``, has a deadline for the whole response, and distinguishes an unreachable host from an invalid response.
"""

from __future__ import annotations

import base64
import email.utils
import http.client
import json
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from typing import NamedTuple
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

from ansible_collections.vigil.monitoring.plugins.module_utils._http import load_pem

CHUNK = 1 << 18
# TLS alerts for a missing or untrusted client certificate, in the terms of OpenSSL.
STRANGER = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "CERTIFICATE_UNKNOWN", "CERTIFICATE_EXPIRED")

_USERINFO = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s@\"']*@")
_SECRET_PARAMETER = re.compile(
    r"(?i)([?&][^=&\s]*(?:passw|secret|token|apikey|api_key|api-key|credential|auth|signature)[^=&\s]*=)[^&\s\"']*"
)


class Reply(NamedTuple):
    """An HTTP response of any status.

    :ivar certificate: that of the server, as TLS sends it; None where the connection had none.
    """

    status: int
    headers: object
    body: bytes
    certificate: bytes | None = None


def date_of(reply):
    """The time of the server that answered, in seconds since the epoch; None where it does not say it."""
    try:
        return email.utils.parsedate_to_datetime(reply.headers.get("Date")).timestamp()
    except (AttributeError, TypeError, ValueError, IndexError):
        return None


class AskError(Exception):
    """There was no complete response.

    :ivar kind: ``unreachable`` (no connection), ``tls`` (no trusted one), ``stranger`` (the server requires
        a client certificate that it trusts), ``slow`` (connected, but no response in time),
        ``broken`` (the response ended early), ``input`` (the request is invalid).
    :ivar transient: whether a retry may help.
    """

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind
        self.transient = kind in ("unreachable", "slow", "broken")


class Access(NamedTuple):
    """Credentials and TLS settings for a server.

    :ivar client_pem: certificate and key as text, instead of files.
    :ivar verify: check the server's certificate.
    :ivar check_name: check also that it is for the name in the URL.
    :ivar headers: pairs of a name and a value, sent with each request.
    """

    username: str | None = None
    password: str | None = None
    ca_path: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    client_pem: str | None = None
    verify: bool = True
    check_name: bool = True
    use_proxy: bool = False
    headers: tuple = ()


# What a module is told about a server that somebody else may have deployed; the fragment `access` documents it.
OPTIONS = {
    "url_username": {"type": "str"},
    "url_password": {"type": "str", "no_log": True},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "ca_path": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
    "check_name": {"type": "bool", "default": True},
    "use_proxy": {"type": "bool", "default": True},
}
REQUIRED_BY = {"client_key": "client_cert", "url_password": "url_username"}


def server_of(given, option):
    """The server from a module's options.

    :param given: the options, those of :data:`OPTIONS` among them.
    :param option: name of the one that holds its URL, maybe with user info.
    :returns: its URL without user info, and an :class:`Access`.
    """
    url, name, password = split_userinfo(given[option])
    return url, Access(
        username=given["url_username"] or name,
        password=given["url_password"] or password,
        ca_path=given["ca_path"],
        client_cert=given["client_cert"],
        client_key=given["client_key"],
        verify=given["validate_certs"],
        check_name=given["check_name"],
        use_proxy=given["use_proxy"],
    )


def hide_userinfo(module, url):
    """Keep a password in a URL out of a module's output.

    :param module: a :class:`_module.Module`.
    :returns: the URL without user info.
    """
    bare, dummy, password = split_userinfo(url)
    if password:
        # Both spellings: as it stands in the URL, which is among the module's arguments, and as it is sent.
        module.know(password, url.rpartition("@")[0].partition("://")[2].partition(":")[2])
    return bare


def split_userinfo(url):
    """``http://me:secret@host/p`` as the URL without it, the name and the password (None where there is none)."""
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None, None
    name, colon, password = userinfo.partition(":")
    return urlunsplit(parts._replace(netloc=host)), unquote(name), unquote(password) if colon else None


def without_secrets(text):
    """A text whose URLs show neither passwords nor parameters that look like secrets."""
    return _SECRET_PARAMETER.sub(r"\1********", _USERINFO.sub(r"\1********@", text))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args, **kwargs):
        return None


def _connecting_within(base, connect_timeout, shown=None):
    """A connection class with a time-out of its own for the connection, TLS included.

    :param shown: list to which the certificate of the server is appended.
    """

    class Connection(base):
        def connect(self):
            whole, self.timeout = self.timeout, min(self.timeout, connect_timeout)
            super().connect()
            self.timeout = whole
            self.sock.settimeout(whole)
            if shown is not None:
                shown.append(self.sock.getpeercert(binary_form=True))

    return Connection


class _Http(urllib.request.HTTPHandler):
    def __init__(self, connect_timeout):
        super().__init__()
        self._connection = _connecting_within(http.client.HTTPConnection, connect_timeout)

    def http_open(self, req):
        return self.do_open(self._connection, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, connect_timeout, context, shown):
        super().__init__(context=context)
        self._tls = context
        self._connection = _connecting_within(http.client.HTTPSConnection, connect_timeout, shown)

    def https_open(self, req):
        return self.do_open(self._connection, req, context=self._tls)


def tls_context(access):
    """The TLS settings of an :class:`Access`.

    :raises AskError: when a file that it names cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=access.ca_path or None)
    except (OSError, ssl.SSLError) as error:
        raise AskError("input", "ca_path {0} cannot be used: {1}".format(access.ca_path, error)) from error
    if not (access.verify and access.check_name):
        context.check_hostname = False
    if not access.verify:
        context.verify_mode = ssl.CERT_NONE
    if access.client_cert:
        try:
            context.load_cert_chain(access.client_cert, access.client_key or None, password=lambda: "")
        except (OSError, ssl.SSLError, ValueError) as error:
            names = " and ".join(name for name in (access.client_cert, access.client_key) if name)
            raise AskError("input", "client_cert {0} cannot be used: {1}".format(names, error)) from error
    elif access.client_pem:
        try:
            load_pem(context, access.client_pem)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise AskError("input", "the client certificate cannot be used: {0}".format(error)) from error
    return context


def get(url, access=None, timeout=10.0, connect_timeout=None):
    """Send a GET request; see :func:`send`."""
    return send("GET", url, None, access, timeout, connect_timeout)


def send(method, url, body=None, access=None, timeout=10.0, connect_timeout=None, form=None):
    """Send one request.

    :param url: http or https URL without user info.
    :param body: what to send as JSON, or None.
    :param form: what to send as a form instead, name -> value.
    :param access: an :class:`Access`; None sends no credentials.
    :param timeout: seconds for the whole.
    :param connect_timeout: seconds for the connection; None: the same.
    :raises AskError: when there is no complete response.
    """
    access = access or Access()
    deadline = time.monotonic() + timeout
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise AskError("input", without_secrets("{0}: {1}".format(url, error))) from error
    if scheme not in ("http", "https"):
        raise AskError("input", "{0} is not an http:// or https:// URL".format(without_secrets(url)))
    connect_timeout = timeout if connect_timeout is None else min(timeout, connect_timeout)
    handlers, shown = [_NoRedirect(), _Http(connect_timeout)], []
    if scheme == "https":
        handlers.append(_Https(connect_timeout, tls_context(access), shown))
    handlers.append(urllib.request.ProxyHandler(None if access.use_proxy else {}))
    opener = urllib.request.build_opener(*handlers)
    data = None if body is None else json.dumps(body).encode("utf-8")
    kind = "application/json"
    if form is not None:
        data, kind = urlencode(form).encode("ascii"), "application/x-www-form-urlencoded"
    try:
        try:
            request = urllib.request.Request(url, data=data, headers=_headers(access, data and kind), method=method)
            response = opener.open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            reply = _read(response, deadline, timeout)
            return reply._replace(certificate=shown[-1]) if shown else reply
    except urllib.error.URLError as error:
        raise not_connected(error.reason, connect_timeout) from error
    except ssl.SSLError as error:
        raise not_connected(error, connect_timeout) from error
    except socket.timeout as error:
        raise AskError(
            "slow", "it accepts connections, but did not respond within {0:.0f} s".format(timeout)
        ) from error
    except http.client.InvalidURL as error:
        # Its own words repeat the path, which may be a secret.
        raise AskError(
            "input", "its URL has a blank or a control character in it, or a port that is no number"
        ) from error
    except (http.client.HTTPException, OSError) as error:
        raise AskError(
            "broken", "the connection ended before the response was complete ({0})".format(_words(error))
        ) from error
    except ValueError as error:
        raise AskError("input", without_secrets("{0}: {1}".format(url, error))) from error


def _headers(access, kind):
    """What is sent besides the body: credentials, and what kind it is of."""
    headers = {"Accept": "application/json, text/plain;q=0.5, */*;q=0.1", "User-Agent": "vigil.monitoring"}
    if access.username is not None:
        pair = "{0}:{1}".format(access.username, access.password or "").encode("utf-8")
        headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
    if kind is not None:
        headers["Content-Type"] = kind
    return {**headers, **dict(access.headers)}


def _read(response, deadline, timeout):
    """A complete response.

    :raises AskError: when it is not complete in time.
    """
    chunks = []
    while True:
        chunk = response.read(CHUNK)
        if not chunk:
            break
        chunks.append(chunk)
        if time.monotonic() > deadline:
            raise AskError("slow", "the response was not complete after {0:.0f} s".format(timeout))
    status = response.status if hasattr(response, "status") else response.code
    return Reply(status, response.headers, b"".join(chunks))


def not_connected(reason, seconds):
    """The error that an exception of a socket means.

    :param seconds: that it was given.
    """
    if isinstance(reason, ssl.SSLCertVerificationError):
        return AskError("tls", "its certificate is not trusted: {0}".format(reason.verify_message or reason))
    if isinstance(reason, ssl.SSLError) and str(reason.reason or "").endswith(STRANGER):
        return AskError("stranger", "a trusted client certificate is required ({0})".format(reason.reason))
    if isinstance(reason, ssl.SSLError):
        return AskError("tls", "no TLS connection could be made: {0}".format(reason.reason or reason))
    if isinstance(reason, socket.timeout):
        return AskError("unreachable", "no connection within {0:.0f} s".format(seconds))
    if isinstance(reason, socket.gaierror):
        return AskError("unreachable", "its name cannot be resolved: {0}".format(reason.strerror or reason))
    if isinstance(reason, ConnectionRefusedError):
        return AskError("unreachable", "connection refused")
    if isinstance(reason, (ConnectionResetError, BrokenPipeError)):
        return AskError("broken", "the connection was reset")
    return AskError("unreachable", _words(reason))


def _words(error):
    text = getattr(error, "strerror", None) or str(error)
    return without_secrets(text) if text else type(error).__name__
