# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that answers over real connections what a test gives it, right or wrong; the real servers of LDAP are in tests/faults."""

from __future__ import annotations

import contextlib
import socket
import threading

OK, WRONG, BUSY = 0, 49, 51
BIND, EXTENDED = 0x61, 0x78


def answer(code, text="", number=2, operation=BIND, more=b""):
    """A response, written out by hand: no length in it is above 127."""
    said = text.encode()
    inside = bytes((0x0A, 1, code, 0x04, 0, 0x04, len(said))) + said + more
    return bytes((0x30, len(inside) + 5, 0x02, 1, number, operation, len(inside))) + inside


# How Active Directory writes lengths, and ends texts.
ACTIVE_DIRECTORY = b"0\x84\0\0\0\x19\x02\x01\x02a\x84\0\0\0\x10\n\x011\x04\0\x04\tdata 52e\0"
START_TLS = answer(OK, number=1, operation=EXTENDED)


class Server:
    """One that listens on a port of its own.

    :param turns: what it sends after each thing that it has received, and ``TLS`` where it goes on with TLS.
    :ivar received: what it was sent, after TLS.
    """

    def __init__(self, turns, context=None):
        self.turns, self.context, self.received = list(turns), context, []
        self.ends = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, dummy = self._listening.accept()
                connection.settimeout(5)
                with contextlib.suppress(OSError):
                    self._talk(connection)
                connection.close()

    def _talk(self, connection):
        for turn in self.turns:
            if turn == "TLS":
                connection = self.context.wrap_socket(connection, server_side=True)
                continue
            self.received.append(connection.recv(1 << 16))
            for part in [turn] if isinstance(turn, bytes) else turn:
                connection.sendall(part)
                self.ends.wait(0.01)
        if self.turns[-1:] == [b""]:
            # It says nothing, and holds the line.
            self.ends.wait(5)
        else:
            # Until the other side ends it.
            self.received.append(connection.recv(1 << 16))
        connection.close()

    def close(self):
        """End it."""
        self.ends.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@contextlib.contextmanager
def serve(*turns, context=None):
    """A server for the length of a `with` block."""
    server = Server(turns, context)
    try:
        yield server
    finally:
        server.close()
