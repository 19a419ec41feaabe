# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the certificate authority on the controller."""

from __future__ import annotations

import datetime
import multiprocessing
import os
import stat

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _authority_store
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority import AuthorityProblem
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority_store import Store


def unreadable(path):
    raise AnsibleError("no vault secrets were found that could decrypt")


def store(folder, passphrase="passphrase", read=unreadable, keep=True):
    return Store(str(folder), passphrase, read, keep)


def test_made_once_and_found_again(tmp_path):
    made = store(tmp_path / "tls")
    key, machines = made.authority().key_text, made.machines()
    again = store(tmp_path / "tls")
    assert again.authority().key_text == key and again.machines() == machines and len(machines) == 32
    for name in ("ca.key", "machines.key"):
        text = (tmp_path / "tls" / name).read_text(encoding="ascii")
        assert text.startswith("$ANSIBLE_VAULT;") and "PRIVATE" not in text
        assert stat.S_IMODE(os.stat(tmp_path / "tls" / name).st_mode) == 0o600
    assert sorted(os.listdir(tmp_path / "tls")) == ["ca.crt", "ca.key", "machines.key"]


def test_a_check_writes_nothing(tmp_path):
    made = store(tmp_path / "tls", keep=False)
    assert made.authority().key_text == made.authority().key_text and made.machines() == made.machines()
    assert not (tmp_path / "tls").exists()


def _fingerprint(folder):
    return store(folder).authority().fingerprint + store(folder).machines().hex()


def test_processes_at_the_same_time_make_one(tmp_path):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert len(set(pool.map(_fingerprint, [tmp_path / "tls"] * 8))) == 1


def test_processes_that_find_the_key_alone_make_one_certificate(tmp_path):
    store(tmp_path / "tls").authority()
    os.unlink(tmp_path / "tls" / "ca.crt")
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert len(set(pool.map(_fingerprint, [tmp_path / "tls"] * 8))) == 1


def test_a_run_that_was_killed_after_the_key(tmp_path):
    key = store(tmp_path).authority().key_text
    os.unlink(tmp_path / "ca.crt")
    again = store(tmp_path).authority()
    assert again.key_text == key and (tmp_path / "ca.crt").read_text(encoding="ascii") == again.trusted_text


def test_a_key_that_is_gone_is_not_made_anew(tmp_path):
    store(tmp_path).authority()
    os.unlink(tmp_path / "ca.key")
    with pytest.raises(AuthorityProblem, match="put the key back from a backup"):
        store(tmp_path).authority()


def test_by_a_vault_password_of_the_run(tmp_path):
    store(tmp_path).authority()
    asked = []

    def read(path):
        asked.append(path)
        secret = VaultSecret(b"passphrase")
        with open(path, "rb") as stream:
            return VaultLib([("default", secret)]).decrypt(stream.read()).decode("ascii")

    assert store(tmp_path, "another", read).authority().key_text == store(tmp_path).authority().key_text
    assert asked == [str(tmp_path / "ca.key")]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: None, "can be decrypted neither with monitoring_tls_passphrase"),
        (lambda path: path.write_text("-----BEGIN PRIVATE KEY-----\n", encoding="ascii"), "is not encrypted: run `ansible-vault"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be read"),
    ],
)  # fmt: skip
def test_a_key_that_cannot_be_used_is_said(tmp_path, spoil, words):
    store(tmp_path).authority()
    spoil(tmp_path / "ca.key")
    with pytest.raises(AuthorityProblem, match=words):
        store(tmp_path, "another").authority()


def test_a_directory_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("", encoding="ascii")
    with pytest.raises(AuthorityProblem, match=r"monitoring_tls_dir: .*file/tls cannot be written: "):
        store(tmp_path / "file" / "tls").authority()


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(dummy):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_authority_store.os, "fsync", full)
    with pytest.raises(AuthorityProblem, match=r"ca\.key cannot be written: .*No space left"):
        store(tmp_path).authority()
    assert os.listdir(tmp_path) == []


def test_who_wants_new_certificates(tmp_path):
    made, at = store(tmp_path), datetime.datetime(2027, 1, 1, tzinfo=datetime.timezone.utc)
    assert made.renewed("web1") is None
    made.renew(["web1", "web2"], at)
    made.renew(["web2"], at + datetime.timedelta(days=1))
    assert made.renewed("web1") == at and made.renewed("web2") == at + datetime.timedelta(days=1)
    (tmp_path / "renewed.json").write_text("[", encoding="utf-8")
    with pytest.raises(AuthorityProblem, match=r"renewed\.json cannot be read"):
        made.renewed("web1")
