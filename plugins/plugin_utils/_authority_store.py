# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of an inventory's certificate authority, in a directory of the controller.

``ca.crt`` has the certificates to trust, ``ca.key`` the private key of the one that issues, ``machines.key`` what the passwords
of machines are made of. Both keys are files of Ansible Vault, so the directory belongs into the repository of the inventory.

While the authority is rotated there is another key: ``next.key`` of the one that is announced beside the one that issues, and
then ``previous.key`` of the one that has issued. Each step is one renaming, so that a run that was killed is taken up again.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Callable

from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret, is_encrypted
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _controller
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority import (
    SKEW,
    Authority,
    AuthorityProblem,
    datetime,
    now,
    pem,
    read_certificates,
    read_key,
    same_key,
)

CERTIFICATES, KEY, MACHINES, RENEWED = "ca.crt", "ca.key", "machines.key", "renewed.json"
NEXT, PREVIOUS = "next.key", "previous.key"
NAME = "Monitoring CA {0:%Y-%m-%d}"
# Where a rotation is.
IDLE, ANNOUNCED, SWITCHED = "idle", "announced", "switched"


class Store:
    """The directory of an authority.

    :param folder: its path.
    :param passphrase: that of its keys.
    :param read: function of a path that returns the text of a file, decrypted by the vault passwords of this run.
    :param keep: whether what is missing may be written; otherwise it is made for this process alone.
    """

    def __init__(self, folder: str, passphrase: str, read: Callable[[str], str], keep: bool = True):
        self.folder, self.keep = folder, keep
        self._passphrase, self._read = passphrase, read
        self._made = {}

    def path(self, name: str) -> str:
        """The path of one of its files."""
        return os.path.join(self.folder, name)

    def is_there(self) -> bool:
        """Whether there is an authority."""
        return os.path.exists(self.path(KEY)) or os.path.exists(self.path(CERTIFICATES))

    def authority(self) -> Authority:
        """The authority, made where there is none.

        :raises AuthorityProblem: when its files cannot be used.
        """
        if "authority" not in self._made:
            self._made["authority"] = self._authority()
        return self._made["authority"]

    def machines(self) -> bytes:
        """The secret that the passwords of machines are made of, made where there is none.

        :raises AuthorityProblem: when its file cannot be used.
        """
        if "machines" not in self._made:
            text = self._secret(MACHINES) if os.path.exists(self.path(MACHINES)) else self._first(MACHINES, _random)
            self._made["machines"] = base64.b64decode(text)
        return self._made["machines"]

    def _authority(self):
        if not self.is_there():
            text = self._first(KEY, lambda: Authority.make(NAME.format(now())).key_text)
        elif not os.path.exists(self.path(KEY)):
            raise AuthorityProblem(
                "{0} has {1} and no {2}: put the key back from a backup, or remove {1} to have a new authority made, which no"
                " host trusts until the next run".format(self.folder, CERTIFICATES, KEY)
            )
        else:
            text = self._secret(KEY)
        others = [self._secret(name) for name in (NEXT, PREVIOUS) if os.path.exists(self.path(name))]
        try:
            return Authority.read(text, self._certificates(text), others)
        except AuthorityProblem as error:
            raise AuthorityProblem("the certificate authority in {0}: {1}".format(self.folder, error)) from error

    def _certificates(self, key):
        """The certificates to trust. A run that was killed may have left the key alone, whose certificate nobody has seen."""
        found = self._text(CERTIFICATES)
        if found is None and self.keep:
            with self.locked():
                # Another process may have made it while this one waited.
                found = self._text(CERTIFICATES)
                if found is None:
                    found = Authority.certify(read_key(key), NAME.format(now())).trusted_text
                    self.write(CERTIFICATES, found)
        return found or Authority.certify(read_key(key), NAME.format(now())).trusted_text

    def _text(self, name):
        """The text of one of its files; None where it is not there."""
        try:
            with open(self.path(name), encoding="ascii") as stream:
                return stream.read()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeError) as error:
            raise AuthorityProblem("{0} cannot be read: {1}".format(self.path(name), error)) from error

    def _first(self, name, make):
        """The content of a file that is not there yet: another process may make it at the same time."""
        if not self.keep:
            return make()
        with self.locked():
            if os.path.exists(self.path(name)):
                return self._secret(name)
            text = make()
            self.write_secret(name, text)
            return text

    # Its rotation

    def stage(self) -> str:
        """Where a rotation is: ``idle``, ``announced`` or ``switched``."""
        if not os.path.exists(self.path(NEXT)):
            return SWITCHED if os.path.exists(self.path(PREVIOUS)) else IDLE
        key = read_key(self._secret(NEXT))
        return ANNOUNCED if any(same_key(certificate, key) for certificate in self._trusted()) else IDLE

    def announce(self) -> bool:
        """Have a new authority trusted beside the one that issues.

        :returns: whether that changed anything: one that is announced already is not made anew.
        :raises AuthorityProblem: when there is no authority, or its files cannot be used.
        """
        if not self.is_there():
            raise AuthorityProblem("{0} has no certificate authority yet: site.yml makes one".format(self.folder))
        self.authority()
        with self._changing():
            # Another run may have done it while this one waited.
            if self.stage() != IDLE:
                return False
            old = self._authority()
            if os.path.exists(self.path(NEXT)):
                # A run that was killed before its certificate was written.
                key = read_key(self._secret(NEXT))
                new = Authority.certify(key, self._new_name(old))
            else:
                new = Authority.make(self._new_name(old))
                self.write_secret(NEXT, new.key_text)
            self.write(CERTIFICATES, old.trusted_text + new.trusted_text)
        return True

    @staticmethod
    def _new_name(old):
        name = NAME.format(now())
        return name if name not in old.certificate.subject.rfc4514_string() else "{0} {1:%H:%M:%S}".format(name, now())

    def switch(self) -> bool:
        """Have the new authority issue.

        :returns: whether that changed anything.
        :raises AuthorityProblem: when none is announced.
        """
        with self._changing():
            stage = self.stage()
            if stage == SWITCHED:
                return False
            if stage == IDLE:
                raise AuthorityProblem(
                    "no new certificate authority is announced in {0}: announce it first".format(self.folder)
                )
            with open(self.path(KEY), encoding="ascii") as stream:
                self.write(PREVIOUS, stream.read(), 0o600)
            os.replace(self.path(NEXT), self.path(KEY))
        return True

    def finish(self) -> bool:
        """Have nobody trust the old authority any more.

        :returns: whether that changed anything.
        :raises AuthorityProblem: when the new one does not issue yet.
        """
        with self._changing():
            stage = self.stage()
            if stage == ANNOUNCED:
                raise AuthorityProblem(
                    "the old certificate authority in {0} still issues: switch first".format(self.folder)
                )
            if stage == IDLE:
                return False
            old = read_key(self._secret(PREVIOUS))
            left = [certificate for certificate in self._trusted() if not same_key(certificate, old)]
            self.write(CERTIFICATES, "".join(map(pem, left)))
            os.unlink(self.path(PREVIOUS))
        return True

    def _trusted(self):
        text = self._text(CERTIFICATES)
        return read_certificates(text) if text else []

    @contextlib.contextmanager
    def _changing(self):
        try:
            with self.locked():
                yield
        finally:
            self._made.pop("authority", None)

    @contextlib.contextmanager
    def locked(self):
        """Keep other runs on this controller out, in a with block.

        :raises AuthorityProblem: when the directory cannot be written.
        """
        try:
            os.makedirs(self.folder, exist_ok=True)
            handle = os.open(self.folder, os.O_RDONLY)
        except OSError as error:
            raise AuthorityProblem(
                "monitoring_tls_dir: {0} cannot be written: {1}".format(self.folder, error)
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def write_secret(self, name: str, text: str) -> None:
        """Write one of its files, encrypted."""
        secret = VaultSecret(self._passphrase.encode("utf-8"))
        self.write(name, VaultLib([("default", secret)]).encrypt(text, secret=secret).decode("ascii"), 0o600)

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """Write one of its files in one step.

        :raises AuthorityProblem: when it cannot be written.
        """
        write_to(self.folder, name, text, mode)

    def _secret(self, name):
        """The text of an encrypted file: by the passphrase, else by the vault passwords of this run."""
        path = self.path(name)
        try:
            with open(path, "rb") as stream:
                raw = stream.read()
        except OSError as error:
            raise AuthorityProblem("{0} cannot be read: {1}".format(path, error)) from error
        if not is_encrypted(raw):
            raise AuthorityProblem("{0} is not encrypted: run `ansible-vault encrypt {0}`".format(path))
        try:
            return VaultLib([("default", VaultSecret(self._passphrase.encode("utf-8")))]).decrypt(raw).decode("ascii")
        except (AnsibleError, UnicodeError):
            pass
        try:
            return str(self._read(path))
        except AnsibleError as error:
            raise AuthorityProblem(
                "{0} can be decrypted neither with monitoring_tls_passphrase (monitoring_password where that is not set) nor with"
                " a vault password of this run; if monitoring_password was changed, set monitoring_tls_passphrase to the former one".format(
                    path
                )
            ) from error

    def renewed(self, host: str) -> datetime.datetime | None:
        """When somebody wanted new certificates for a host."""
        return self._time_of(host, self._renewals().get(host))

    def check_renewals(self) -> None:
        """Read when somebody wanted new certificates, for all hosts.

        :raises AuthorityProblem: when that cannot be read, or cannot be.
        """
        for host, text in self._renewals().items():
            self._time_of(host, text)

    def _time_of(self, host, text):
        if text is None:
            return None
        where = "{0}: {1} has {2!r}, which is {{0}}: correct it, or remove the line".format(
            self.path(RENEWED), host, text
        )
        try:
            found = datetime.datetime.fromisoformat(text)
        except (TypeError, ValueError):
            found = None
        if not found or not found.tzinfo:
            raise AuthorityProblem(where.format("no time"))
        # What it would issue is valid a day before that, and not yet.
        if found > now() + SKEW:
            raise AuthorityProblem(where.format("in the future"))
        return found

    def renew(self, hosts, at: datetime.datetime) -> None:
        """Have new certificates and keys issued for hosts from now on."""
        with self.locked():
            self.write(
                RENEWED, json.dumps({**self._renewals(), **dict.fromkeys(hosts, at.isoformat())}, indent=1) + "\n"
            )

    def _renewals(self):
        try:
            with open(self.path(RENEWED), encoding="utf-8") as stream:
                return dict(json.load(stream))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError) as error:
            raise AuthorityProblem("{0} cannot be read: {1}".format(self.path(RENEWED), error)) from error


def _random():
    return base64.b64encode(secrets.token_bytes(32)).decode("ascii")


def write_to(folder: str, name: str, text: str, mode: int = 0o644) -> None:
    """Write a file of the controller in one step.

    :raises AuthorityProblem: when it cannot be written.
    """
    path = os.path.join(folder, name)
    try:
        _controller.write_file(path, text, mode)
    except OSError as error:
        raise AuthorityProblem("{0} cannot be written: {1}".format(path, error)) from error
