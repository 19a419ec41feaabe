"""Where notifications end in the lab: a server that speaks what the services behind Alertmanager's channels speak.

HTTP, by the first part of the path: `/slack/NAME`, `/webhook/NAME`, `/discord/NAME`, `/msteams/NAME`, `/v2/enqueue`
(PagerDuty), `/v2/alerts` (Opsgenie), `/botTOKEN/sendMessage` (Telegram). SMTP on a port of its own. What a real service
would refuse is refused. GET `/messages` tells what arrived so far.

A test has one of its own with `serve`; on a lab host it is a service: `python3 sink.py ADDRESS HTTP-PORT SMTP-PORT`.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import email
import email.policy
import http.server
import json
import signal
import socketserver
import ssl
import sys
import threading
import time
from dataclasses import dataclass, field

PAGERDUTY_SEVERITIES = ("critical", "error", "warning", "info")


@dataclass(frozen=True)
class Message:
    """What arrived.

    :ivar channel: the end of the path of its URL, or the recipient; for PagerDuty the routing key.
    :ivar at: seconds since the epoch.
    :ivar title: the line that a person sees first.
    :ivar text: everything that a person sees.
    :ivar body: what was sent, parsed.
    :ivar accepted: whether the sink took it.
    """

    kind: str
    channel: str
    at: float
    title: str
    text: str
    body: object
    accepted: bool = True


@dataclass
class Sink:
    """What arrived so far, and how to reach it.

    :ivar broken: channels that answer 500.
    :ivar login: the user name and password that SMTP asks for.
    :ivar tls: with which STARTTLS is offered.
    """

    url: str = ""
    smtp: str = ""
    login: tuple[str, str] | None = None
    tls: ssl.SSLContext | None = None
    messages: list[Message] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def take(self, kind: str, channel: str, title: str, text: str, body: object) -> bool:
        """Note a message; whether its channel works."""
        accepted = channel not in self.broken
        self.messages.append(Message(kind, channel, time.time(), title, text, body, accepted))
        return accepted

    def of(self, *channels: str, accepted: bool = True) -> list[Message]:
        """The messages of these channels, in the order of their arrival."""
        return [one for one in self.messages if one.channel in channels and one.accepted == accepted]

    def wait(self, channel: str, count: int = 1, within: float = 20.0) -> list[Message]:
        """The messages of a channel as soon as there are so many; an AssertionError when time is up."""
        deadline = time.monotonic() + within
        while len(self.of(channel)) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"{channel} got {len(self.of(channel))} of {count}; {self.told()}")
            time.sleep(0.05)
        return self.of(channel)

    def told(self) -> str:
        """One line for each message, for a person."""
        lines = [f"{one.at:.1f} {one.kind} {one.channel} {one.title} {one.accepted}" for one in self.messages]
        return "\n".join(["what arrived:", *lines])


def read(path: str, body: dict) -> tuple[str, str, str, str]:
    """Kind, channel, title and text of a message that came by HTTP.

    Raises KeyError or ValueError when the service would refuse it.
    """
    parts = path.strip("/").split("/")
    if path == "/v2/enqueue":
        if body["event_action"] not in ("trigger", "resolve", "acknowledge"):
            raise ValueError("event_action")
        payload = body["payload"]
        if body["event_action"] == "trigger" and payload["severity"] not in PAGERDUTY_SEVERITIES:
            raise ValueError("severity")
        # Needed, says the documentation of Events v2.
        _needed = body["dedup_key"], payload["source"]
        return "pagerduty", body["routing_key"], payload["summary"], json.dumps(body)
    if path == "/v2/alerts":
        return "opsgenie", "opsgenie", body["message"], body["description"]
    if parts[-1] == "sendMessage":
        return "telegram", parts[0].removeprefix("bot"), body["text"].splitlines()[0], body["text"]
    kind, channel = parts
    if kind == "slack":
        attachment = body["attachments"][0]
        return kind, channel, attachment["title"], attachment["text"]
    if kind == "discord":
        return kind, channel, body["embeds"][0]["title"], body["embeds"][0]["description"]
    if kind == "msteams":
        blocks = body["attachments"][0]["content"]["body"]
        return kind, channel, blocks[0]["text"], "\n".join(block["text"] for block in blocks)
    return kind, channel, body["alerts"][0]["labels"]["alertname"], json.dumps(body)


class _Http(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        """Tell what arrived."""
        self._answer(200, json.dumps([dataclasses.asdict(one) for one in list(self.server.sink.messages)]))

    def do_POST(self):
        """Take a message."""
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(data)
            kind, channel, title, text = read(self.path.partition("?")[0], body)
        except (KeyError, ValueError, IndexError) as error:
            self.server.sink.take("refused", self.path, repr(error), data.decode("utf-8", "replace"), None)
            self._answer(400, "refused: {0!r}".format(error))
            return
        if not self.server.sink.take(kind, channel, title, text, body):
            self._answer(500, "out of order")
        elif kind == "telegram":
            self._answer(200, json.dumps({"ok": True, "result": {"message_id": 1, "chat": {"id": 1}, "date": 1}}))
        else:
            self._answer(202 if kind in ("pagerduty", "opsgenie") else 200, "ok")

    def _answer(self, status: int, text: str):
        self.send_response(status)
        body = text.encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        """Stay silent: the messages are the log."""


class _Smtp(socketserver.StreamRequestHandler):
    def finish(self):
        """Close the socket, which after STARTTLS is another one than the server's."""
        super().finish()
        self.connection.close()

    def handle(self):
        """Speak as much SMTP as a client needs that sends one message."""
        self._say("220 sink")
        to: list[str] = []
        sink = self.server.sink
        known = not sink.login
        while line := self.rfile.readline():
            command = line.decode().strip()
            verb = command[:4].upper()
            if verb == "EHLO":
                for offer in ("sink", *["STARTTLS"] * bool(sink.tls), *["AUTH PLAIN"] * bool(sink.login)):
                    self._say("250-" + offer)
                self._say("250 8BITMIME")
            elif verb == "STAR":
                self._say("220 go on")
                self.connection = sink.tls.wrap_socket(self.connection, server_side=True)
                self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
            elif verb == "AUTH":
                given = base64.b64decode(command.split()[-1]).decode().split("\0")[1:]
                known = tuple(given) == sink.login
                self._say("235 welcome" if known else "535 no such login")
            elif not known:
                self._say("530 authentication required")
            elif verb == "RCPT":
                to.append(command.partition("<")[2].partition(">")[0])
                self._say("250 OK")
            elif verb == "DATA":
                self._say("354 go on")
                self._say("250 OK" if self._message(to[0]) else "451 out of order")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 OK")

    def _message(self, to: str) -> bool:
        lines = []
        for line in self.rfile:
            if line.rstrip(b"\r\n") == b".":
                break
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        parts = {part.get_content_subtype(): part.get_content() for part in message.walk() if not part.is_multipart()}
        return self.server.sink.take("email", to, str(message["Subject"]), "\n".join(parts.values()), parts)

    def _say(self, text: str):
        self.wfile.write(text.encode() + b"\r\n")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address, handler, sink):
        self.sink = sink
        super().__init__(address, handler)


@contextlib.contextmanager
def serve(address: str = "127.0.0.1", port: int = 0, smtp_port: int = 0, login=None, tls=None):
    """A sink for the length of a `with` block; on ports that are free where none are given. ``login``, ``tls``: see Sink."""
    sink = Sink(login=login, tls=tls)
    with _Server((address, port), _Http, sink) as web, _Server((address, smtp_port), _Smtp, sink) as smtp:
        sink.url = f"http://{address}:{web.server_address[1]}"
        sink.smtp = f"{address}:{smtp.server_address[1]}"
        for server in (web, smtp):
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        try:
            yield sink
        finally:
            web.shutdown()
            smtp.shutdown()


if __name__ == "__main__":
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_signal: over.set())
    with serve(sys.argv[1], *map(int, sys.argv[2:])):
        over.wait()
