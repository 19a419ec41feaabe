"""What discovers many targets for a Prometheus, and what all of them answer to a scrape, by one process.

usage: target.py ADDRESS NUMBER; prints its port. Below /discovery/ are NUMBER targets, everywhere else is a page of metrics.
"""

from __future__ import annotations

import asyncio
import json
import sys

PAGE = b"# TYPE answered gauge\nanswered 1\n"
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: {0}\r\nContent-Length: {1}\r\n\r\n"


def answer(kind: str, body: bytes) -> bytes:
    """A whole answer."""
    return HEAD.format(kind, len(body)).encode() + body


class Answering(asyncio.Protocol):
    """One connection, kept open."""

    page = answer("text/plain; version=0.0.4", PAGE)
    discovery = b""

    def connection_made(self, transport):
        self.transport, self.seen = transport, b""

    def data_received(self, data):
        *asked, self.seen = (self.seen + data).split(b"\r\n\r\n")
        for request in asked:
            self.transport.write(self.discovery if request.startswith(b"GET /discovery/") else self.page)


async def main(address: str, number: int) -> None:
    """Answer until this process is ended."""
    server = await asyncio.get_running_loop().create_server(Answering, address, 0)
    port = server.sockets[0].getsockname()[1]
    groups = [{"targets": [f"{address}:{port}"], "labels": {"instance": f"host{one:05}"}} for one in range(number)]
    Answering.discovery = answer("application/json", json.dumps(groups).encode())
    print(port, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
