# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS and authentication between all services, by one switch: what `monitoring_tls` makes of a service's configuration.

Exporters answer only to holders of a client certificate, which Prometheus and the verification have. What people use
(Prometheus, Alertmanager, Grafana) asks for a password; machines have passwords of their own, which nobody has to know.
"""

from __future__ import annotations

import base64
import functools
import hmac
import os
import posixpath
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.vigil.monitoring.plugins.plugin_utils._references import OWN

# How a service is closed: to whoever has no client certificate, or no password.
CERTIFICATE, PASSWORD = "certificate", "password"
# Where certificates come from.
CA, HOST, CONTROLLER = "ca", "host", "controller"
SOURCES = (CA, HOST, CONTROLLER)
DAYS = 90
USERNAME = "admin"
# The directory of the authority, in that of the inventory, of which Ansible reads everything else that is not hidden as an inventory.
FOLDER = ".tls"
# Where 0.3.0 had it.
FORMER_FOLDER = "tls"
# What is configured as a path, and the variable that names the file where the source is not the inventory's own authority.
FILES = {
    "ca": "monitoring_tls_ca_file",
    "certificate": "monitoring_tls_cert_file",
    "key": "monitoring_tls_key_file",
    "client_certificate": "monitoring_tls_client_cert_file",
    "client_key": "monitoring_tls_client_key_file",
}
NAMES = {
    "ca": "ca.crt",
    "certificate": "server.crt",
    "key": "server.key",
    "client_certificate": "client.crt",
    "client_key": "client.key",
    "password": "password",
}
# Who asks, as the user name of its requests.
VERIFICATION, PROMETHEUS, GRAFANA = "vigil-verification", "vigil-prometheus", "vigil-grafana"
PROMXY = "vigil-promxy"
MACHINES = (VERIFICATION, PROMETHEUS, GRAFANA, PROMXY)
# https://wiki.mozilla.org/Security/Server_Side_TLS, "intermediate", by the names that Go has for them; TLS 1.3 has its own.
CIPHERS = [
    "TLS_{0}_WITH_{1}".format(exchange, cipher)
    for cipher in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256")
    for exchange in ("ECDHE_ECDSA", "ECDHE_RSA")
]
# The same by OpenSSL's names.
OPENSSL_CIPHERS = [
    "{0}-{1}".format(exchange, cipher)
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for exchange in ("ECDHE-ECDSA", "ECDHE-RSA")
]
MODERN = {"min_version": "TLS12", "cipher_suites": CIPHERS}
# Rounds of bcrypt, as a power of two: OWASP's ten for what a person has thought of; four, the least, for 256 random bits.
PERSON, MACHINE = 10, 4
INSTALL_BCRYPT = "run `pip install bcrypt` with the Python of ansible-playbook ({0})"
NO_BCRYPT = "monitoring_tls needs the Python library bcrypt on the controller: " + INSTALL_BCRYPT
# What may be a DNS name in a certificate.
_DNS = re.compile(r"(?=.{1,253}$)(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?")


def switched_on(own: Any, shared: Any) -> bool:
    """Whether the switch is on for a service.

    :param own: value of ``<service>_tls``, None where it is not set.
    :param shared: value of ``monitoring_tls``, likewise.
    """
    found = shared if own in (None, "") else own
    return boolean(found, strict=False) if found is not None else False


def names_of_host(host: str, get: Callable, url: str = "") -> list[str]:
    """Names and addresses under which a host is reached, for its certificate: sorted, each once.

    :param get: function of the name of a variable of the host, which returns its value or None.
    :param url: under which people reach the service, or an empty text.
    """
    overrides = get("monitoring_scrape")
    addresses = [one.get("address") for one in overrides.values() if isinstance(one, dict)] if overrides else []
    found = [host, get("ansible_host"), get("monitoring_address"), *addresses]
    found += [*(get("monitoring_tls_names") or ()), host_of(url)]
    names = {str(name).strip("[]").lower() for name in found if name}
    return sorted({name for name in names if is_name(name)} | {"localhost", "127.0.0.1", "::1"})


def host_of(url: str) -> str | None:
    """The host in a URL, or in ``HOST:PORT``; None where there is none."""
    return urlsplit(url if "://" in url else "//" + url).hostname


def is_name(text: str) -> bool:
    """Whether a certificate may be for this: an address, or a DNS name."""
    import ipaddress  # noqa: PLC0415

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return bool(_DNS.fullmatch(text))
    return True


class Login(NamedTuple):
    """With what a machine authenticates."""

    username: str
    password: str


class Tls:
    """Certificates, keys, users and passwords for one service of one host.

    :param i: the inputs of its role.
    :param name: of the service.
    :param url: under which people reach it.
    """

    def __init__(self, i, name: str, url: str = ""):
        self.i, self.name, self.url = i, name, url
        self.source = str(i.shared("monitoring_tls_source", CA))
        self.config_dir = i["config_dir"]

    # The files

    def path(self, what: str) -> str:
        """The path on the host of a key of :data:`NAMES`; empty where the inventory names no such file."""
        if self.source == HOST and what in FILES:
            return str(self.i.shared(FILES[what]) or "")
        return posixpath.join(self.config_dir, OWN, NAMES[what])

    def name_in_tree(self, what: str) -> str:
        """The same as a path that counts from the configuration's directory, so that a staged copy is whole."""
        return self.path(what) if self.source == HOST and what in FILES else OWN + NAMES[what]

    def server_files(self) -> list[dict]:
        """Certificate, key, and the authority of those who ask, as the module config_files takes them."""
        found = (
            self._issued("server", self._subject(server=True))
            if self.source == CA
            else self._read("certificate", "key")
        )
        return self._entries(certificate=found[0], key=found[1], ca=self.ca_text())

    def client_files(self) -> list[dict]:
        """What Prometheus shows and trusts, as the module config_files takes it."""
        issued = self._issued("client", self._subject(client=True)) if self.source == CA else None
        found = issued or self._read("client_certificate", "client_key")
        return self._entries(client_certificate=found[0], client_key=found[1], ca=self.ca_text())

    def ca_files(self) -> list[dict]:
        """The authority alone."""
        return self._entries(ca=self.ca_text())

    def password_file(self, machine: str) -> dict:
        """The password of a machine."""
        return {"path": self.name_in_tree("password"), "content": self.login(machine).password, "secret": True}

    def _entries(self, **texts):
        if self.source == HOST:
            return []
        return [
            {"path": self.name_in_tree(what), "content": text, **({"secret": True} if what.endswith("key") else {})}
            for what, text in texts.items()
        ]

    def _read(self, *wanted):
        """The texts of files of the controller."""
        return [self._text(what) for what in wanted] if self.source == CONTROLLER else ["" for dummy in wanted]

    def _text(self, what):
        path = self.i.shared(FILES[what])
        if not path:
            raise AnsibleError("{0} is not set: monitoring_tls_source: controller needs it".format(FILES[what]))
        (text,) = self.i.lookup("ansible.builtin.file", str(path), rstrip=False)
        return text

    def _subject(self, **use):
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority import Subject  # noqa: PLC0415

        names = tuple(names_of_host(self.i.host, self.i.shared, self.url)) if use.get("server") else ()
        return Subject(self.i.host, self.name, names, **use)

    def _issued(self, what, subject):
        def issue():
            store = self.store()
            found = store.authority().issue(subject, self._days(), renewed=store.renewed(self.i.host))
            return found.certificate, found.key

        return self.i.once(("tls", what), issue)

    def _days(self):
        return int(self.i.shared("monitoring_tls_days", DAYS))

    def ca_text(self) -> str:
        """The certificates to trust, in PEM."""
        if self.source == CA:
            return self.store().authority().trusted_text
        return self._read("ca")[0]

    def store(self):
        """The files of the authority on the controller."""
        return self.i.once("tls store", lambda: store_of(self.i))

    # Configurations

    def server_config(self) -> dict:
        """``tls_server_config`` of exporter-toolkit for who asks with a certificate."""
        return {
            **self.public_config(),
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": self.name_in_tree("ca"),
        }

    def public_config(self) -> dict:
        """``tls_server_config`` of exporter-toolkit for who asks with a password."""
        names = {"cert_file": self.name_in_tree("certificate"), "key_file": self.name_in_tree("key")}
        return {**names, **MODERN}

    def client_config(self) -> dict:
        """``tls_config`` of Prometheus for what it scrapes and tells."""
        names = {"ca_file": "ca", "cert_file": "client_certificate", "key_file": "client_key"}
        return {option: self.name_in_tree(what) for option, what in names.items()}

    def cluster_files(self, name: str) -> list[dict]:
        """What members of a cluster of Alertmanagers show each other, from an authority for this alone, so that their
        certificates open nothing else; and the configuration that names it.

        :param name: path of the configuration, below its directory.
        """
        paths = {what: self.name_in_tree(what) for what in ("ca", "certificate", "key")}
        entries = []
        if self.source == CA:
            paths = {what: OWN + "cluster_" + NAMES[what] for what in paths}
            authority = self.store().authority().for_purpose("the cluster of Alertmanagers")
            subject = self._subject(server=True)._replace(client=True)
            renewed = self.store().renewed(self.i.host)
            issued = self.i.once("tls cluster", lambda: authority.issue(subject, self._days(), renewed=renewed))
            texts = {"ca": authority.trusted_text, "certificate": issued.certificate, "key": issued.key}
            entries = [
                {"path": paths[what], "content": text, **({"secret": True} if what == "key" else {})}
                for what, text in texts.items()
            ]
        # Alertmanager takes paths from its own working directory here.
        paths = {what: posixpath.join(self.config_dir, path) for what, path in paths.items()}
        pair = {"cert_file": paths["certificate"], "key_file": paths["key"]}
        answers = {**pair, **MODERN, "client_ca_file": paths["ca"], "client_auth_type": "RequireAndVerifyClientCert"}
        data = {"tls_server_config": answers, "tls_client_config": {**pair, "ca_file": paths["ca"]}}
        return [{"path": name, "data": data}, *entries]

    def cluster_ca(self) -> str:
        """The path on the host of the certificates by which members of a cluster know each other."""
        return posixpath.join(self.config_dir, OWN, "cluster_" + NAMES["ca"]) if self.source == CA else self.path("ca")

    # Who may ask

    def login(self, machine: str) -> Login:
        """User name and password of a machine: the password follows from a secret of the inventory's own."""
        digest = hmac.new(self.store().machines(), machine.encode("utf-8"), "sha256").digest()
        return Login(machine, base64.urlsafe_b64encode(digest).decode("ascii").rstrip("="))

    def users(self) -> dict:
        """User names to bcrypt hashes, as exporter-toolkit takes them."""
        return self.i.once("tls users", self._users)

    def _users(self):
        person, password = str(self.i.shared("monitoring_username", USERNAME)), self.i.shared("monitoring_password")
        found = {person: bcrypt_hash(str(password), self._salt(person), PERSON)} if password else {}
        found.update((str(name), str(hashed)) for name, hashed in (self.i.shared("monitoring_users") or {}).items())
        for machine in MACHINES:
            found[machine] = bcrypt_hash(self.login(machine).password, self._salt(machine), MACHINE)
        return found

    def _salt(self, user):
        """A salt that is the same in each run, and tells nothing of the password: it follows from the inventory's secret."""
        text = "\0".join(("salt", self.i.host, self.name, user))
        return hmac.new(self.store().machines(), text.encode("utf-8"), "sha256").digest()[:16]

    def secrets(self) -> list:
        """What may not be printed."""
        logins = [self.login(machine).password for machine in MACHINES]
        return [
            *filter(None, [self.i.shared("monitoring_password"), self.i.shared("monitoring_tls_passphrase")]),
            *logins,
        ]

    # How the verification asks

    def health(self, closed_by: str) -> dict:
        """How the host asks: suboptions of ``health`` of the module service."""
        found = {"ca_path": self.path("ca")} if self.path("ca") else {}
        if closed_by == PASSWORD:
            return {**found, **self.login(VERIFICATION)._asdict()}
        if self.source == HOST:
            pair = {"client_cert": self.path("client_certificate"), "client_key": self.path("client_key")}
            return {**found, **(pair if all(pair.values()) else {})}
        return {**found, "client_pem": self.client_pem()}

    def client_pem(self) -> str:
        """A certificate with its key, in PEM, with which the verification asks; it is on no host's disk."""
        if self.source == CA:
            from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority import Subject  # noqa: PLC0415

            subject = Subject("verification", "", client=True)
            return "".join(self.i.once("tls client", lambda: self.store().authority().issue(subject, 3)[:2]))
        return "".join(self._read("client_certificate", "client_key"))

    def ca_here(self) -> str:
        """The file on the controller with the authority; empty where there is none."""
        if self.source == HOST:
            return ""
        return self.store().path("ca.crt") if self.source == CA else str(self.i.shared(FILES["ca"]) or "")


def store_of(i):
    """The files of the authority of an inventory.

    :raises AnsibleError: when no variable says where they are, or how their keys are encrypted, or there are none and this is no
        deployment, which would make them.
    """
    from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority_store import Store  # noqa: PLC0415

    passphrase = i.shared("monitoring_tls_passphrase") or i.shared("monitoring_password")
    if not passphrase:
        raise AnsibleError(
            "monitoring_password is not set: monitoring_tls needs it for the people who log in, and to encrypt the key of the"
            " certificate authority; put it into a vault"
        )

    def read(path):
        (text,) = i.lookup("ansible.builtin.file", path)
        return text

    store = Store(folder_of(i.shared), str(passphrase), read, keep=i.deploys and not i.check_mode)
    if not i.deploys and not store.is_there():
        raise AnsibleError("{0} has no certificate authority yet: site.yml makes one".format(store.folder))
    return store


class FormerFolder(AnsibleError):
    """The authority is where 0.3.0 had it: a new one would give all hosts other certificates.

    :ivar found: what was found, for a sentence.
    :ivar remedy: what to do.
    """

    def __init__(self, former: str, folder: str):
        self.found = "the certificate authority of version 0.3.0 is in {0}".format(former)
        self.remedy = "rename that directory to {0}, where it is looked for now".format(folder)
        super().__init__("{0}; {1}".format(self.found, self.remedy))


def folder_of(get: Callable) -> str:
    """The directory of the authority on the controller.

    :param get: function of the name of a variable.
    :raises AnsibleError: when the inventory has no directory, and no variable names one; or when an authority is where 0.3.0 had it.
    """
    given = get("monitoring_tls_dir")
    if given:
        return os.path.abspath(os.path.expanduser(str(given)))
    for source in [*(get("ansible_inventory_sources") or ()), get("inventory_dir")]:
        if source and os.path.exists(str(source)):
            path = os.path.abspath(str(source))
            beside = path if os.path.isdir(path) else os.path.dirname(path)
            folder, former = (os.path.join(beside, name) for name in (FOLDER, FORMER_FOLDER))
            if not os.path.isdir(folder) and os.path.isfile(os.path.join(former, "ca.key")):
                raise FormerFolder(former, folder)
            return folder
    raise AnsibleError(
        "monitoring_tls_dir is not set, and the inventory has no directory: name one for the certificate authority"
    )


@functools.lru_cache(maxsize=64)
def bcrypt_hash(password: str, salt: bytes, rounds: int) -> str:
    """The bcrypt hash of a password.

    :param salt: 16 bytes.
    :param rounds: as a power of two.
    :raises AnsibleError: when the library is missing, or the password is too long for bcrypt.
    """
    try:
        import bcrypt  # noqa: PLC0415
    except ImportError as error:
        import sys  # noqa: PLC0415

        raise AnsibleError(NO_BCRYPT.format(sys.executable)) from error
    raw = password.encode("utf-8")
    if len(raw) > 72 or b"\0" in raw:
        # What is beyond would not count, and would let in whoever knows the beginning.
        raise AnsibleError(
            "a password has more than 72 bytes, or a NUL, which bcrypt does not take: give a shorter one"
        )
    return bcrypt.hashpw(raw, _bcrypt_salt(salt, rounds)).decode("ascii")


def _bcrypt_salt(salt, rounds):
    """16 bytes in bcrypt's own order of Base64's letters."""
    standard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    own = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    text = base64.b64encode(salt).decode("ascii").rstrip("=")[:22].translate(str.maketrans(standard, own))
    return "$2b${0:02d}${1}".format(rounds, text).encode("ascii")
