# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a certificate is valid that a server shows, and what that means.

Python tells it only of a certificate that it has verified, so it is read from the certificate itself (RFC 5280, 4.1).
"""

from __future__ import annotations

import calendar
import time
from typing import NamedTuple, Optional

from ansible_collections.vigil.monitoring.plugins.module_utils._findings import RED, UNVERIFIED, Finding

DAY = 86400.0
# Tags of ASN.1 that are used here.
SEQUENCE, VERSION, UTC_TIME = 0x30, 0xA0, 0x17
# What is left when somebody has to know, in days. Our own certificates of 90 days are renewed with 30 left, and those of others
# no later: what has less was forgotten. Of one that is valid for a shorter time, a part of it.
SOON, NOW = 21, 7
PART_SOON, PART_NOW = 1 / 4, 1 / 12


class Validity(NamedTuple):
    """When a certificate begins and ends to be valid, in seconds since the epoch."""

    begin: float
    end: float


def validity(der: bytes) -> Optional[Validity]:
    """The time for which a certificate is valid; None where it cannot be read.

    :param der: the certificate as bytes, as TLS sends it.
    """
    try:
        inside = _parts(_parts(der)[0][1])[0][1]
        fields = [value for tag, value in _parts(inside) if tag != VERSION]
        # Serial number, algorithm, issuer, validity.
        begin, end = (_time(*one) for one in _parts(fields[3]))
    except (IndexError, ValueError):
        return None
    return Validity(begin, end)


def _parts(data):
    """The elements of an encoded sequence: tags and contents."""
    found, place = [], 0
    while place < len(data):
        tag, length, place = data[place], data[place + 1], place + 2
        if length & 0x80:
            size = length & 0x7F
            length, place = int.from_bytes(data[place : place + size], "big"), place + size
        if place + length > len(data):
            raise ValueError("it ends early")
        found.append((tag, data[place : place + length]))
        place += length
    return found


def _time(tag, value):
    text = value.decode("ascii")
    if tag == UTC_TIME:
        # RFC 5280, 4.1.2.5.1.
        text = ("19" if text[:2] >= "50" else "20") + text
    return float(calendar.timegm(time.strptime(text, "%Y%m%d%H%M%SZ")))


def finding(found: Optional[Validity], now: float, variable: str) -> Optional[Finding]:
    """What the time that is left means; None where that is enough.

    :param found: of the certificate that the service shows; None where it shows none.
    :param now: seconds since the epoch.
    :param variable: in which TLS of the service is configured, where ``monitoring_tls`` does not.
    """
    if found is None:
        return None
    left, life = (found.end - now) / DAY, (found.end - found.begin) / DAY
    if left >= min(SOON, life * PART_SOON):
        return None
    day = time.strftime("%Y-%m-%d", time.gmtime(found.end))
    words = "expired on {0}" if left <= 0 else "expires on {0}, in {1:.0f} day{2}"
    text = (
        "its certificate {0}; site.yml renews one of monitoring_tls, any other has to be renewed where {1} has it from"
    )
    whole = words.format(day, left, "" if round(left) == 1 else "s")
    return Finding(RED if left < min(NOW, life * PART_NOW) else UNVERIFIED, text.format(whole, variable))
