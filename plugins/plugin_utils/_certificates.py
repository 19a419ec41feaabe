# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the certificates that somebody else has issued. Texts in, sentences out; no key is repeated."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority import (
    begin_of,
    covers,
    datetime,
    end_of,
    is_signed_by,
    names_of,
    read_certificates,
    read_key,
    same_key,
    x509,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem
from ansible_collections.vigil.monitoring.plugins.plugin_utils._tls import FILES

# RFC 5280, 4.2.1.12.
SERVER_AUTH, CLIENT_AUTH, ANY = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "2.5.29.37.0"
# A certificate, its key, and what it has to be for.
PAIRS = (
    ("certificate", "key", SERVER_AUTH, "serverAuth"),
    ("client_certificate", "client_key", CLIENT_AUTH, "clientAuth"),
)


def problems(
    texts: dict, at: datetime.datetime, names=(), reached: str = "", matches: dict | None = None, both: bool = False
) -> Iterator:
    """What is wrong with the files of a host.

    :param texts: key of :data:`_tls.FILES` to a pair of path and text; what is not there is not looked at.
    :param at: the time.
    :param names: under which the host is known, for the message.
    :param reached: the name or address under which Prometheus reaches the service; empty where that does not matter.
    :param matches: key of a certificate to why its key does not belong to it, or an empty text, as another machine that
        has the key says it; without it, the key is among the texts.
    :param both: whether the service shows its certificate also where it is the client.
    """
    trusted = yield from _read("ca", texts)
    for one in trusted or ():
        yield from _period(FILES["ca"], texts["ca"][0], one, at, several=len(trusted) > 1)
    for what, key, usage, word in PAIRS:
        chain = yield from _read(what, texts)
        if not chain:
            continue
        variable, path = FILES[what], texts[what][0]
        for one in chain:
            yield from _period(variable, path, one, at, several=len(chain) > 1)
        if trusted:
            yield from _path(variable, path, chain, trusted, texts["ca"][0])
        wanted = [(usage, word), *([PAIRS[1][2:]] if both and what == "certificate" else [])]
        for one, name in wanted:
            if not is_for(chain[0], one):
                found = "{0} is not for {1}: its extended key usage lacks it".format(path, name)
                yield Problem(variable, found, "have one issued with the extended key usage {0}".format(name))
        if matches is None:
            yield from _key(chain[0], path, key, texts)
        elif matches.get(what):
            yield Problem(
                FILES[key], matches[what], "give the key that the certificate in {0} was requested with".format(path)
            )
        if what == "certificate" and reached and not covers(chain[0], reached):
            known = ", ".join(names_of(chain[0])) or "no name at all"
            found = "{0} is for {1}, and Prometheus reaches this host as {2}".format(path, known, reached)
            others = [name for name in names if covers(chain[0], name)]
            remedy = (
                "set monitoring_address: {0}".format(others[0]) if others else "have one issued for {0}".format(reached)
            )
            yield Problem(variable, found, remedy + (", or have one issued for {0}".format(reached) if others else ""))


def _read(what, texts):
    """The certificates in a file; None where it has none, or is not there."""
    path, text = texts.get(what) or ("", None)
    if text is None:
        return None
    try:
        return read_certificates(text)
    except ValueError as error:
        yield Problem(
            FILES[what], "{0} cannot be used: {1}".format(path, error), "give a file with certificates in PEM"
        )
    return None


def _period(variable, path, certificate, at, several):
    which = " ({0})".format(subject(certificate)) if several else ""
    if end_of(certificate) <= at:
        found = "{0}{1} expired on {2:%Y-%m-%d %H:%M} UTC".format(path, which, end_of(certificate))
        yield Problem(variable, found, "renew it")
    elif begin_of(certificate) > at:
        found = "{0}{1} is not valid before {2:%Y-%m-%d %H:%M} UTC".format(path, which, begin_of(certificate))
        yield Problem(
            variable,
            found,
            "wait until then, or correct the clock of the controller, which says {0:%Y-%m-%d %H:%M} UTC".format(at),
        )


def _path(variable, path, chain, trusted, ca_path):
    """A path from the certificate to one of those to trust, over the others in its file."""
    current, left = chain[0], list(chain[1:])
    while not any(current == one or is_signed_by(current, one) for one in trusted):
        issuer = next((one for one in left if is_signed_by(current, one)), None)
        if issuer is None:
            found = "{0} was issued by {1}, which {2} does not have: it has {3}".format(
                path if current is chain[0] else "{0} ({1})".format(path, subject(current)),
                current.issuer.rfc4514_string() or "nobody",
                ca_path,
                "; ".join(map(subject, trusted)),
            )
            remedy = "append the certificate of the intermediate authority to {0}, or put that of the root into {1}"
            yield Problem(variable, found, remedy.format(path, ca_path))
            return
        left.remove(issuer)
        current = issuer


def _key(certificate, path, key, texts):
    key_path, text = texts.get(key) or ("", None)
    if text is None:
        return
    try:
        found = read_key(text)
    except ValueError as error:
        yield Problem(
            FILES[key],
            "{0}: {1}".format(key_path, error),
            "give the key that the certificate in {0} was requested with".format(path),
        )
        return
    if not same_key(certificate, found):
        yield Problem(
            FILES[key],
            "{0} does not belong to the certificate in {1}".format(key_path, path),
            "give the key that the certificate was requested with",
        )


def is_for(certificate, usage) -> bool:
    """Whether a certificate may be used for something; one that says nothing may be used for all."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return bool({usage, ANY}.intersection(one.dotted_string for one in found))


def subject(certificate) -> str:
    """Whose a certificate is, for people."""
    return certificate.subject.rfc4514_string() or ", ".join(names_of(certificate)) or "without a name"
