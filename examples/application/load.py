# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load generator for the shop: requests at a steady rate, some of which fail or are slow, as specified.

usage: python3 load.py URL [--rate 20] [--errors 0.1] [--slow 0.2] [--seconds 60]

It needs only the standard library. Every ten seconds, and at the end, it prints the number of responses by status.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import signal
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

ARTICLES = ("lamp", "chair", "table")
# Maximum number of concurrent requests: an application that hangs must not exhaust the machine of the load generator.
MOST_AT_ONCE = 64


class Load:
    """The requests and their outcomes."""

    def __init__(self, url: str, errors: float, slow: float, delay: float):
        self.url, self.errors, self.slow, self.delay = url.rstrip("/"), errors, slow, delay
        self.answers: collections.Counter[str] = collections.Counter()
        self.lock = threading.Lock()
        self.waiting = threading.BoundedSemaphore(MOST_AT_ONCE)

    def request(self) -> urllib.request.Request:
        """The next request."""
        chance = random.random()
        if chance < self.errors:
            return urllib.request.Request(self.url + "/payment?fail=true")
        if chance < self.errors + self.slow:
            return urllib.request.Request(f"{self.url}/report?seconds={self.delay}")
        if chance > 0.9:
            return urllib.request.Request(self.url + "/payment")
        if random.random() < 0.3:
            body = json.dumps({"article": random.choice(ARTICLES), "amount": random.randint(1, 5)}).encode()
            return urllib.request.Request(self.url + "/orders", body, {"Content-Type": "application/json"})
        return urllib.request.Request(self.url + "/orders")

    def one(self) -> None:
        """Send one request and count its response."""
        try:
            with urllib.request.urlopen(self.request(), timeout=30) as answer:
                outcome = str(answer.status)
        except urllib.error.HTTPError as error:
            outcome = str(error.code)
        except OSError as error:
            outcome = type(getattr(error, "reason", error)).__name__
        finally:
            self.waiting.release()
        with self.lock:
            self.answers[outcome] += 1

    def report(self) -> None:
        """Print the number of responses by status since the last report."""
        with self.lock:
            counted, self.answers = self.answers, collections.Counter()
        print(
            time.strftime("%H:%M:%S"),
            "  ".join(f"{name}: {count}" for name, count in sorted(counted.items())),
            flush=True,
        )


def main() -> None:
    """Send requests until the time is over or a signal arrives."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=20, help="requests per second")
    parser.add_argument("--errors", type=float, default=0.0, help="share of requests that are answered with 502")
    parser.add_argument("--slow", type=float, default=0.02, help="share of slow requests")
    parser.add_argument("--delay", type=float, default=0.2, help="duration of slow requests in seconds")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="duration in seconds; default: until interrupted"
    )
    given = parser.parse_args()
    load, stop = Load(given.url, given.errors, given.slow, given.delay), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_signal: stop.set())
    began = reported = due = time.monotonic()
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        while not stop.is_set() and time.monotonic() - began < given.seconds:
            if load.waiting.acquire(timeout=1):
                pool.submit(load.one)
            due = max(due + 1 / given.rate, time.monotonic() - 1)
            stop.wait(max(0.0, due - time.monotonic()))
            if time.monotonic() - reported > 10:
                load.report()
                reported = time.monotonic()
    load.report()


if __name__ == "__main__":
    main()
