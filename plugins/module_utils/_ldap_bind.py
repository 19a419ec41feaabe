# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs in at a server of LDAP with a name and a password, and out again: a simple bind (RFC 4511, section 4.2), with TLS from the
beginning, by StartTLS (section 4.14), or without.

The password is sent once, over no connection but the one that was asked for.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils import _client
from ansible_collections.vigil.monitoring.plugins.module_utils import _ldap_message as messages

# Seconds for a connection, and for all that is said over it.
CONNECT, WHOLE = 5.0, 10.0
START_TLS, BIND, UNBIND = 1, 2, 3


class Server(NamedTuple):
    """A server of LDAP, which may have several hosts that stand in for each other.

    :ivar tls: whether the connection has TLS.
    :ivar start_tls: whether that begins after a request in the clear.
    :ivar ca_paths: files with the authorities that its certificate is checked against; those of the system where there are none.
    :ivar verify: whether it is checked.
    """

    hosts: tuple
    port: int
    name: str
    password: str
    tls: bool = False
    start_tls: bool = False
    ca_paths: tuple = ()
    client_cert: str | None = None
    client_key: str | None = None
    verify: bool = True


class Answer(NamedTuple):
    """What the first host has answered that was there."""

    host: str
    result: messages.Result


def bind(server, connect_timeout=CONNECT, timeout=WHOLE):
    """Log in once.

    :param server: a :class:`Server`. Its hosts are tried in their order until there is a connection to one.
    :param connect_timeout: seconds for the connection to one host.
    :param timeout: seconds for all that is said over it.
    :returns: an :class:`Answer`.
    :raises _client.AskError: when there is none.
    """
    context = _context(server) if server.tls else None
    failed = _client.AskError("input", "it has no host")
    for host in server.hosts:
        try:
            connection = _Connection(host, server, context, connect_timeout, timeout)
        except _client.AskError as error:
            failed = error
            continue
        with contextlib.closing(connection):
            request = messages.bind_request(BIND, server.name, server.password)
            return Answer(host, connection.ask(request, BIND, messages.BIND_RESPONSE))
    raise failed


def _context(server):
    """The TLS settings.

    :raises _client.AskError: when a file that they name cannot be used.
    """
    first, others = (server.ca_paths[0], server.ca_paths[1:]) if server.ca_paths else (None, ())
    context = _client.tls_context(
        _client.Access(
            ca_path=first, client_cert=server.client_cert, client_key=server.client_key, verify=server.verify
        )
    )
    for path in others:
        try:
            context.load_verify_locations(path)
        except (OSError, ssl.SSLError) as error:
            raise _client.AskError("input", "ca_path {0} cannot be used: {1}".format(path, error)) from error
    return context


class _Connection:
    """A connection to one host, with TLS where that was asked for.

    :raises _client.AskError: when there is none.
    """

    def __init__(self, host, server, context, connect_timeout, timeout):
        self.timeout = timeout
        try:
            self.socket = socket.create_connection((host, server.port), connect_timeout)
        except OSError as error:
            raise _client.not_connected(error, connect_timeout) from error
        except (ValueError, OverflowError) as error:
            raise _client.AskError("input", "{0}:{1} is no address: {2}".format(host, server.port, error)) from error
        self.deadline = time.monotonic() + timeout
        try:
            if context:
                self._begin_tls(host, server.start_tls, context)
        except BaseException:
            self.socket.close()
            raise

    def _begin_tls(self, host, start_tls, context):
        if start_tls:
            result = self.ask(messages.start_tls_request(START_TLS), START_TLS, messages.EXTENDED_RESPONSE)
            if result.code != messages.SUCCESS:
                raise _client.AskError("tls", "it refuses StartTLS: {0}".format(result.words))
        with self._errors():
            self.socket = context.wrap_socket(self.socket, server_hostname=host)

    def ask(self, request, number, operation):
        """The result in the answer to a request."""
        data = b""
        with self._errors():
            self._wait()
            self.socket.sendall(request)
            missing = messages.lacks(data)
            while missing:
                self._wait()
                # Not a byte more than belongs to it: what follows may have to be TLS.
                received = self.socket.recv(missing)
                if not received:
                    raise _client.AskError("broken", "it ends the connection without an answer")
                data += received
                missing = messages.lacks(data)
            return messages.result(data, number, operation)

    def _wait(self):
        """Let the next step take as long as there is time."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout
        self.socket.settimeout(left)

    @contextlib.contextmanager
    def _errors(self):
        """Whatever goes wrong, as one kind of error."""
        try:
            self._wait()
            yield
        except messages.LdapError as error:
            raise _client.AskError("broken", str(error)) from error
        except socket.timeout as error:
            text = "it accepts connections, but did not respond within {0:g} s".format(self.timeout)
            raise _client.AskError("slow", text) from error
        except OSError as error:
            raise _client.not_connected(error, self.timeout) from error
        except ValueError as error:
            raise _client.AskError("input", str(error)) from error

    def close(self):
        """Log out and end it."""
        with contextlib.suppress(OSError):
            self.socket.settimeout(1.0)
            self.socket.sendall(messages.unbind_request(UNBIND))
        self.socket.close()
