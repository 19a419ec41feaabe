# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program of its own: what the process of a proven service is, and what it says. The controller hands its text to Python
on the host, where a module would take several times as long to arrive and to begin.

usage: python3 -c TEXT PROVEN URL NAMES PATH...
"""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
from urllib.parse import urlsplit

TIMEOUT = 5.0  # seconds; whoever takes longer is left to the module


def process(pid):
    """What the kernel says of a process, and its executable; None where there is none of this id."""
    try:
        with open("/proc/{0}/stat".format(pid), encoding="utf-8", errors="replace") as stream:
            stat = stream.read()
        return {"stat": stat, "executable": os.readlink("/proc/{0}/exe".format(pid))}
    except OSError:
        return None


def said(url, names, paths):
    """Status and telling lines of a service's answers; None where it gives none.

    :param names: metrics whose lines are wanted.
    """
    where = urlsplit(url)
    telling = re.compile(r"(?m)^(?:{0})[ {{].*$".format("|".join(map(re.escape, names))))
    found = []
    try:
        for path in paths:
            connection = http.client.HTTPConnection(where.hostname, where.port or 80, timeout=TIMEOUT)
            connection.request("GET", where.path.rstrip("/") + path)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            found.append({"status": answer.status, "text": "\n".join(telling.findall(text))})
            connection.close()
    except (OSError, http.client.HTTPException):
        return None
    return found


def main(proven, url, names, *paths):
    """Print what there is to be seen, as one line of JSON."""
    with open(proven, encoding="utf-8") as stream:
        known = json.load(stream)
    seen = {"process": process(int(known["pid"])), "said": said(url, names.split(","), paths)}
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
