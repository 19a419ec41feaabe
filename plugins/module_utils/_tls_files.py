# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether certificates that something else has put on a host work, found by a handshake in memory with its own TLS library.

So the one certificate, its key, the intermediates beside it, the authority, the time and the name are judged as they are used,
without a library for certificates on the host.
"""

from __future__ import annotations

import os
import ssl
import time
from typing import Optional

# Rounds of messages; a handshake takes three.
ROUNDS = 10
VARIABLES = {
    "ca": "monitoring_tls_ca_file",
    "certificate": "monitoring_tls_cert_file",
    "key": "monitoring_tls_key_file",
    "client_certificate": "monitoring_tls_client_cert_file",
    "client_key": "monitoring_tls_client_key_file",
}
# What OpenSSL calls a purpose that a certificate lacks.
PURPOSE = "unsuitable certificate purpose"
PARTIAL = getattr(ssl, "VERIFY_X509_PARTIAL_CHAIN", 0x80000)


def problems(files: dict, name: str = "", both: bool = False) -> list[str]:
    """What is wrong with the files, one sentence each, with the variable, what was found, and what to do.

    :param files: key of :data:`VARIABLES` to the path of a file; what is not there is not looked at.
    :param name: name or address under which the service is reached; empty where that does not matter.
    :param both: whether the service shows its certificate also where it is the client.
    """
    missing = [_sentence(what, *_unreadable(path)) for what, path in files.items() if _unreadable(path)]
    if missing:
        return missing
    found = []
    for what, key, purpose in (
        ("certificate", "key", "serverAuth"),
        ("client_certificate", "client_key", "clientAuth"),
    ):
        if files.get(what):
            found.append(_pair_problem(files, what, key, purpose, name if what == "certificate" else ""))
    if both and not found[0]:
        found.append(_pair_problem(files, "certificate", "key", "clientAuth", ""))
    return [sentence for sentence in found if sentence]


def _sentence(what, found, remedy):
    return "{0}: {1}; {2}".format(VARIABLES[what], found, remedy)


def _unreadable(path):
    """What is wrong with a file itself, and what to do; None where it can be read."""
    if not os.path.exists(path):
        return "{0} is not there".format(path), "have whatever issues it put it there, or correct the path"
    if not os.path.isfile(path):
        # A pipe would keep everybody waiting.
        return "{0} is no file".format(path), "correct the path"
    try:
        with open(path, "rb") as stream:
            stream.read(1)
    except OSError as error:
        return "{0} cannot be read: {1}".format(path, error.strerror or error), "give a file"
    return None


def _pair_problem(files, what, key, purpose, name) -> Optional[str]:
    """What keeps a certificate from being taken for a purpose."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    shows, checks = (server, client) if purpose == "serverAuth" else (client, server)
    try:
        shows.load_cert_chain(files[what], files[key], password=lambda: "")
    except ssl.SSLError as error:
        return _unusable_pair(files, what, key, error)
    except (OSError, ValueError) as error:
        return _sentence(key, "{0} cannot be used: {1}".format(files[key], error), "give a key without a passphrase")
    try:
        checks.load_verify_locations(files["ca"])
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error
        return _sentence(
            "ca", "{0} cannot be used: {1}".format(files["ca"], reason), "give a file with certificates in PEM"
        )
    # As Go has it: whatever is in the file is trusted, be it a root or not.
    checks.verify_flags = (checks.verify_flags | PARTIAL) & ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    checks.verify_mode = ssl.CERT_REQUIRED
    client.check_hostname = bool(name)
    if purpose != "serverAuth":
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        # It has to show something itself, at which nobody looks.
        server.load_cert_chain(files[what], files[key], password=lambda: "")
    reason = _refusal(server, client, name or None)
    if not reason:
        return None
    path = files[what]
    if reason == PURPOSE:
        remedy = "have one issued with the extended key usage {0}".format(purpose)
        return _sentence(what, "{0} is not for {1}: its extended key usage lacks it".format(path, purpose), remedy)
    if "mismatch" in reason:
        found = "{0} is for other names than {1}, under which Prometheus reaches this host".format(path, name)
        return _sentence(
            what, found, "have one issued for {0}, or set monitoring_address to a name that it has".format(name)
        )
    if "expired" in reason:
        found = "{0}, or one that it was issued by, has expired".format(path)
        return _sentence(
            what, found, "renew it; if it was renewed, correct the clock of the host, which says {0}".format(_now())
        )
    if "not yet valid" in reason:
        found = "{0}, or one that it was issued by, is not valid yet".format(path)
        return _sentence(what, found, "wait, or correct the clock of the host, which says {0}".format(_now()))
    found = "{0} was not issued by an authority in {1}: {2}".format(path, files["ca"], reason)
    remedy = "append the certificates of intermediate authorities to {0}, or put that of the root into {1}"
    return _sentence(what, found, remedy.format(path, files["ca"]))


def _unusable_pair(files, what, key, error):
    reason = str(error.reason or error)
    if "KEY_VALUES_MISMATCH" in reason or "KEY_TYPE_MISMATCH" in reason:
        found = "{0} does not belong to the certificate in {1}".format(files[key], files[what])
        return _sentence(key, found, "give the key that the certificate was requested with")
    # OpenSSL does not say which of the two files it means.
    with open(files[what], "rb") as stream:
        has_certificate = b"-----BEGIN CERTIFICATE-----" in stream.read()
    if not has_certificate:
        return _sentence(what, "{0} has no certificate in PEM".format(files[what]), "give a file with one")
    found = "{0} cannot be used with the certificate in {1}: {2}".format(files[key], files[what], reason)
    return _sentence(key, found, "give its private key in PEM, without a passphrase")


def _refusal(server, client, name) -> str:
    """Why one of the two does not take the other; empty where they talk to each other."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for dummy in range(ROUNDS):
        for side in list(sides):
            try:
                side.do_handshake()
                sides.remove(side)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError as error:
                return error.verify_message or str(error)
            except ssl.SSLError as error:
                return str(error.reason or error)
        if not sides:
            break
    return ""


def _now():
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
