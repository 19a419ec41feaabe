# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate authority of an inventory: data in, certificates and keys out.

What it issues is a function of its own key, of the name, and of the time: the same inventory gives the same certificate on
every controller, so nothing of it is kept, two colleagues do not replace each other's, and a host that has it is compared
like any other file. The private key of a certificate is derived by HKDF (RFC 5869) from the authority's own, which could
impersonate every host anyway. The signature has to be deterministic for the same reason: RSA with PKCS #1 v1.5, or Ed25519.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import ipaddress
import math
from typing import NamedTuple

from ansible.errors import AnsibleError

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:  # ansible-core brings it along; ansible-test imports without
    x509 = None

UTC = datetime.timezone.utc
DAY = datetime.timedelta(days=1)
# Years in which nobody has to think of the authority; browsers and Go accept any length for one of one's own.
CA_DAYS = 3650
# How far the clocks of two hosts may differ when a certificate is new.
SKEW = DAY
# The order of the curve P-256 (FIPS 186-4, D.1.2.3): private keys are 1 to ORDER - 1.
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class AuthorityProblem(AnsibleError):
    """The authority cannot be used; the message says why, and what to do."""


class Issued(NamedTuple):
    """A certificate and its key, as texts in PEM.

    :ivar ends: when it is no longer valid.
    """

    certificate: str
    key: str
    ends: datetime.datetime


class Subject(NamedTuple):
    """What a certificate is for.

    :ivar name: whose it is, for people: the host, or who asks.
    :ivar use: what sets it apart from others of the same name, such as the service.
    :ivar names: DNS names and addresses under which it is reached; none for whoever only asks.
    :ivar server: whether it may answer.
    :ivar client: whether it may ask.
    """

    name: str
    use: str
    names: tuple = ()
    server: bool = False
    client: bool = False


def now():
    """The time in UTC, to the second."""
    return datetime.datetime.now(UTC).replace(microsecond=0)


def begin_of(certificate):
    """When a certificate begins to be valid, in UTC."""
    return _utc(certificate, "not_valid_before")


def end_of(certificate):
    """When a certificate is no longer valid, in UTC."""
    return _utc(certificate, "not_valid_after")


def _utc(certificate, name):
    # cryptography 42 renamed it.
    found = getattr(certificate, name + "_utc", None)
    return found or getattr(certificate, name).replace(tzinfo=UTC)


def period(anchor, days, at):
    """When the certificate that is valid at a time begins and ends.

    They follow each other so that a third of the life of each is left when the next one begins: a run in that time renews.

    :param anchor: when the first one begins.
    :param days: life of each.
    :param at: the time.
    """
    step = datetime.timedelta(days=days) * 2 / 3
    number = max(0, math.floor((at - anchor) / step))
    begin = (anchor + number * step).replace(microsecond=0)
    return begin, begin + datetime.timedelta(days=days)


def read_certificates(text):
    """The certificates in a text in PEM, in their order.

    :raises ValueError: when there is none, or one cannot be read.
    """
    marker = "-----END CERTIFICATE-----"
    parts = [part + marker for part in text.split(marker)[:-1]]
    if not parts:
        raise ValueError("it has no certificate in PEM")
    return [x509.load_pem_x509_certificate(part[part.index("-----BEGIN") :].encode("ascii")) for part in parts]


def read_key(text):
    """A private key in PEM.

    :raises ValueError: when it cannot be read.
    """
    # Its numbers are checked where it is made; RSA's check takes ten times as long as everything else here.
    arguments = {"unsafe_skip_rsa_key_validation": True}
    try:
        try:
            return serialization.load_pem_private_key(text.encode("ascii"), None, **arguments)
        except TypeError as error:
            if "unsafe_skip" not in str(error):
                raise
            return serialization.load_pem_private_key(text.encode("ascii"), None)
    except (TypeError, ValueError, UnicodeEncodeError, UnsupportedAlgorithm) as error:
        raise ValueError("it is no private key in PEM without a passphrase: {0}".format(error)) from error


def same_key(certificate, key):
    """Whether a certificate is for a private key."""
    return _public(certificate.public_key()) == _public(key.public_key())


def _public(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def pem(certificate):
    """A certificate as text in PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _key_pem(key):
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode("ascii")


class Authority:
    """A certificate authority.

    :param key: its private key.
    :param trusted: certificates in the order in which they are told to others; the one that is for the key issues.
    :param others: private keys of others among them, while the authority is rotated.
    :raises AuthorityProblem: when it cannot issue.
    """

    def __init__(self, key, trusted, others=()):
        if not isinstance(key, (rsa.RSAPrivateKey, ed25519.Ed25519PrivateKey)):
            raise AuthorityProblem("its key is neither RSA nor Ed25519: give one of these, or have one made")
        own = [certificate for certificate in trusted if same_key(certificate, key)]
        if not own:
            raise AuthorityProblem("its key belongs to none of its certificates: put both back from one backup")
        self.key, self.certificate, self.trusted = key, own[0], list(trusted)
        self._others = list(others)
        self._secret = None

    @classmethod
    def make(cls, name, at=None, days=CA_DAYS):
        """A new one, with an RSA key: browsers take no Ed25519.

        :param name: what people see as its name.
        """
        return cls.certify(rsa.generate_private_key(public_exponent=65537, key_size=3072), name, at, days)

    @classmethod
    def certify(cls, key, name, at=None, days=CA_DAYS):
        """One with a key that is there, and a certificate of its own."""
        return cls(key, [_authority_certificate(key, name, at or now(), days, x509.random_serial_number())])

    @classmethod
    def read(cls, key, certificates, others=()):
        """One from its texts in PEM.

        :param others: private keys of others among the certificates, while it is rotated.
        :raises AuthorityProblem: when they cannot be used.
        """
        try:
            found, others = read_key(key), [read_key(other) for other in others]
        except ValueError as error:
            raise AuthorityProblem("its key cannot be used: {0}".format(error)) from error
        try:
            return cls(found, read_certificates(certificates), others)
        except ValueError as error:
            raise AuthorityProblem("its certificate cannot be used: {0}".format(error)) from error

    @property
    def key_text(self):
        """Its private key in PEM."""
        return _key_pem(self.key)

    @property
    def trusted_text(self):
        """The certificates to trust, in PEM."""
        return "".join(map(pem, self.trusted))

    @property
    def fingerprint(self):
        """SHA-256 of its certificate, in hexadecimal."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def derive(self, what, length=32):
        """Secret bytes that only its key gives.

        :param what: tells them from others.
        """
        if self._secret is None:
            if isinstance(self.key, rsa.RSAPrivateKey):
                exponent = self.key.private_numbers().d
                self._secret = exponent.to_bytes((exponent.bit_length() + 7) // 8, "big")
            else:
                raw = serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
                self._secret = self.key.private_bytes(*raw)
        info = b"vigil.monitoring\0" + what.encode("utf-8")
        return HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=info).derive(self._secret)

    def for_purpose(self, what):
        """An authority of its own for one purpose, so that who may ask one service may not ask the others. It follows from
        this one; while this one is rotated, that of the other one is trusted as well.

        :param what: tells it from others.
        """
        made, trusted = self._for_purpose(what), []
        for certificate in self.trusted:
            key = next((key for key in (self.key, *self._others) if same_key(certificate, key)), None)
            if key:
                trusted += Authority(key, [certificate])._for_purpose(what).trusted
        return Authority(made.key, trusted)

    def _for_purpose(self, what):
        key = ed25519.Ed25519PrivateKey.from_private_bytes(self.derive("purpose\0" + what))
        begin, name = begin_of(self.certificate) + SKEW, "Monitoring CA for {0}".format(what)
        serial = int.from_bytes(self.derive("purpose serial\0" + what, 16), "big") >> 1 or 1
        return Authority(key, [_authority_certificate(key, name, begin, CA_DAYS, serial)])

    def anchor(self, name, renewed=None, days=90):
        """When the first certificate of a name begins: spread over the hosts, so that not all are renewed in one run.

        :param renewed: when somebody wanted a new one, which is then the first.
        """
        if renewed:
            return renewed
        step = int(days * 86400 * 2 / 3)
        digest = hashlib.sha256((self.fingerprint + name).encode("utf-8")).digest()
        offset = int.from_bytes(digest[:8], "big") % step
        return begin_of(self.certificate) + SKEW - datetime.timedelta(seconds=offset)

    def issue(self, subject, days=90, at=None, renewed=None):
        """The certificate that is valid at a time.

        :param subject: a :class:`Subject`.
        :param days: life of a certificate.
        :param at: the time; default: now.
        :param renewed: when somebody wanted a new one, or None.
        :raises AuthorityProblem: when the authority itself is no longer valid.
        """
        at = at or now()
        begin, end = period(self.anchor(subject.name, renewed, days), days, at)
        end = min(end, end_of(self.certificate))
        if end <= at:
            raise AuthorityProblem("it expired on {0:%Y-%m-%d}: rotate it".format(end_of(self.certificate)))
        # Two certificates with one number, and nothing but another end, are refused by browsers (RFC 5280, 4.1.2.2).
        dates = (begin.isoformat(), end.isoformat())
        what = "\0".join((*subject[:2], *map(str, subject.names), str(subject[3:]), *dates))
        number = int.from_bytes(self.derive("key\0" + what, 48), "big") % (ORDER - 1) + 1
        key = ec.derive_private_key(number, ec.SECP256R1())
        serial = int.from_bytes(hmac.new(self.derive("serial"), what.encode("utf-8"), "sha256").digest()[:16], "big")
        usages = [ExtendedKeyUsageOID.SERVER_AUTH] if subject.server else []
        usages += [ExtendedKeyUsageOID.CLIENT_AUTH] if subject.client else []
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name("{0} {1}".format(subject.name, subject.use).strip()))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(serial >> 1 or 1)
            .not_valid_before(max(begin - SKEW, begin_of(self.certificate)))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(self._identifier(), critical=False)
        )
        if subject.names:
            builder = builder.add_extension(alternative_names(subject.names), critical=False)
        return Issued(pem(builder.sign(self.key, _digest(self.key))), _key_pem(key), end)

    def _identifier(self):
        found = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found.value)


def _authority_certificate(key, name, at, days, serial):
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(name))
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(at - SKEW)
        .not_valid_after(at + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, _digest(key))
    )


def _digest(key):
    return hashes.SHA256() if isinstance(key, rsa.RSAPrivateKey) else None


def _name(text):
    # RFC 5280, A.1: a common name has at most 64 characters. What counts are the alternative names.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _usage(**wanted):
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign"
    )
    usages = dict.fromkeys([*names.split(), "encipher_only", "decipher_only"], False)
    return x509.KeyUsage(**{**usages, **wanted})


def alternative_names(names):
    """Names and addresses as the extension of a certificate.

    :raises AuthorityProblem: for what is neither.
    """
    found = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            try:
                found.append(x509.DNSName(name.encode("idna").decode("ascii") if not name.isascii() else name))
            except (UnicodeError, ValueError) as error:
                raise AuthorityProblem("{0!r} is neither a DNS name nor an address".format(name)) from error
    return x509.SubjectAlternativeName(found)


def names_of(certificate):
    """The DNS names and addresses of a certificate, as texts."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in found if isinstance(name, (x509.DNSName, x509.IPAddress))]


def covers(certificate, name):
    """Whether a certificate is for a DNS name or an address; a wildcard stands for one label (RFC 6125, 6.4.3)."""
    name = str(name).lower().rstrip(".")
    for found in map(str.lower, names_of(certificate)):
        if found == name or (found.startswith("*.") and name.partition(".")[2] == found[2:] and "." in name):
            return True
    return False


def is_signed_by(certificate, issuer):
    """Whether one certificate was signed by the key of another."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True
